"""Any other Keras model as an export: its own inputs and outputs."""

from __future__ import annotations

import keras
import tensorflow as tf

from kerasrnn import layers
from kerasrnn.exporting.formats import call_by_name, output_names, random_input
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

    given = {spec.name: random_input(spec, rows=2) for spec in inputs}
    example = Example("serving_default", given, call_by_name(model, names, given.values()))
    signature = Signature(lambda *given: call_by_name(exported, names, given), inputs)
    return Servable(MODEL, exported, {"serving_default": signature}, [example], model)
