"""LiteRT: the model alone, for one sequence of any length at a time, through Keras's exporter.

It has built-in operations only: with a batch of any size LiteRT would need TensorFlow's Flex
delegate, which no interpreter of today's Python packages has.
"""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from kerasrnn.exporting.formats import (
    MODEL_ALONE,
    Written,
    converting,
    described_by_example,
    model_alone,
)
from kerasrnn.inference.signatures import Servable

WORDS = (
    MODEL_ALONE.format("LiteRT")
    + " `model.tflite` takes one sequence at a time, of any length. It has built-in operations "
    "only and needs no Flex delegate; a batch of any size would need it."
)


def write(servable: Servable, place: Path) -> Written:
    """Write model.tflite. Raises ``InputError`` where the converter fails."""
    model, inputs, example = model_alone(servable, rows=1)
    outputs = dict(zip(example.outputs, _outputs(model), strict=True))
    specs = [tf.TensorSpec((1, *x.shape[1:]), x.dtype, name=x.name) for x in inputs]
    place.mkdir()
    with converting("LiteRT"), contextlib.redirect_stdout(io.StringIO()):
        keras.Model(model.inputs, outputs).export(
            place / "model.tflite",
            format="litert",
            verbose=False,
            input_signature=[specs],
            target_spec={"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]},
        )
    return described_by_example(inputs, example)


def _outputs(model):
    """What a model gives; an average as the mean of a stack.

    For the sum of (1, n, 1) Keras adds a bias, in a layout that LiteRT does not know.
    """
    last = model.layers[-1]
    if isinstance(last, keras.layers.Average):
        return [keras.ops.mean(keras.ops.stack(last.input), axis=0)]
    return model.outputs


def open_model(folder):
    """A function of the name of a signature and its inputs that gives arrays by name."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        from tensorflow.lite.python.interpreter import Interpreter
    runner = Interpreter(str(folder / "model.tflite")).get_signature_runner()
    details = runner.get_input_details()

    def answer(signature, inputs):
        return runner(**{k: np.array(inputs[k], v["dtype"]) for k, v in details.items()})

    return answer
