"""ONNX: the model alone, for batches and sequences of any size, through tf2onnx."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from kerasrnn import layers
from kerasrnn.errors import InputError
from kerasrnn.exporting.formats import (
    MODEL_ALONE,
    Written,
    call_by_name,
    converting,
    described_by_example,
    model_alone,
)
from kerasrnn.inference.signatures import Servable

WORDS = MODEL_ALONE.format("ONNX") + " `model.onnx` runs with ONNX Runtime."
_OPSET = 17  # tf2onnx 1.17 writes up to 18
_AXES = ("batch", "time", "characters")


def write(servable: Servable, place: Path) -> Written:
    """Write model.onnx. Raises ``InputError`` where tf2onnx is missing, or fails."""
    if not (find_spec("tf2onnx") and find_spec("onnx")):
        raise InputError("ONNX needs tf2onnx", fix="pip install 'kerasrnn[onnx]'")
    import onnx
    from tf2onnx import convert

    model, inputs, example = model_alone(servable, rows=3)
    model = _with_constants(model)

    def call(*given):
        return call_by_name(model, example.outputs, given)

    with converting("ONNX"):
        converted, _ = convert.from_function(
            tf.function(call, input_signature=inputs, autograph=False),
            inputs,
            opset=_OPSET,
            custom_op_handlers={"SelectV2": (_where, [])},
        )
    for value in [*converted.graph.input, *converted.graph.output]:
        for axis, size in zip(_AXES, value.type.tensor_type.shape.dim, strict=False):
            if size.dim_param:
                size.dim_param = axis
    place.mkdir()
    onnx.save(converted, place / "model.onnx")
    return described_by_example(inputs, example)


def open_model(folder):
    """A function of the name of a signature and its inputs that gives arrays by name."""
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / "model.onnx")
    types = {"tensor(float)": "float32", "tensor(int32)": "int32", "tensor(int64)": "int64"}

    def answer(signature, inputs):
        given = session.get_inputs()
        arrays = {one.name: np.array(inputs[one.name], types[one.type]) for one in given}
        names = [one.name for one in session.get_outputs()]
        return dict(zip(names, session.run(names, arrays), strict=True))

    return answer


def _with_constants(model):
    """The model, or a copy where it scales its input: tf2onnx makes inputs of tensors."""
    if not _scalings(model):
        return model
    copy = layers.keras_clone(model)
    for layer in _scalings(copy):
        layer.mean, layer.variance = np.asarray(layer.mean), np.asarray(layer.variance)
    return copy


def _scalings(model):
    """The ``Normalization`` layers of a model."""
    return [x for x in layers.layers_in(model) if isinstance(x, keras.layers.Normalization)]


def _where(context, node, name, arguments):
    """``tf.where`` as ONNX's Where: tf2onnx multiplies by 0 and 1, which lets NaN through."""
    node.type = "Where"
