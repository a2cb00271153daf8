"""Any other Keras model as an export: its own inputs and outputs."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from kerasrnn import layers
from kerasrnn.exporting.formats import output_names, random_input
from kerasrnn.inference.exports import MODEL
from kerasrnn.inference.signatures import Example, Servable, Signature

SUMMARY = "A Keras model with its own inputs and outputs."


def serve_model(model: keras.Model) -> Servable:
    """The inputs of a Keras model → its outputs, by their names; ``outputs`` where there is one.

    Stock recurrent layers become this package's, which run on any device.

    Raises:
        InputError: the model is neither sequential nor functional.
    """
    exported, names = layers.for_export(model), output_names(model)
    inputs = [tf.TensorSpec([None, *x.shape[1:]], x.dtype, x.name) for x in model.inputs]

    def answer(model, given):
        found = model(list(given) if len(given) > 1 else given[0], training=False)
        return dict(zip(names, keras.tree.flatten(found), strict=True))

    given = [random_input(spec, rows=2) for spec in inputs]
    example = Example(
        "serving_default",
        {spec.name: value for spec, value in zip(inputs, given, strict=True)},
        {name: np.asarray(value) for name, value in answer(model, given).items()},
    )
    signature = Signature(lambda *given: answer(exported, given), inputs)
    return Servable(MODEL, exported, {"serving_default": signature}, [example], model)
