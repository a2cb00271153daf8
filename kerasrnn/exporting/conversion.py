"""The model alone in ONNX or LiteRT: numbers in, numbers out, through the maintained converters.

Neither format has strings, look-ups or a loop around a whole model, so what stands for words
is left to the caller: ids go in and probabilities come out.
"""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace
from importlib.util import find_spec

import keras
import numpy as np
import tensorflow as tf

from kerasrnn import layers
from kerasrnn.errors import InputError
from kerasrnn.exporting.signatures import Servable, output_names
from kerasrnn.inference.calling import gives_logits

_OPSET = 17  # tf2onnx 1.17 writes up to 18
_LITERT_NEEDS = (3, 15)  # before, its converter fails on loops
_AXES = ("batch", "time", "characters")


def core(servable, rows) -> Servable:
    """A ``Servable`` of the model alone: its own inputs → ``probabilities``.

    Of a generator it is one step, with states in and out. rows: of the example.
    """
    model = servable.core or servable.model
    inputs = [tf.TensorSpec(i.shape, i.dtype, i.name) for i in model.inputs]
    states = [f"{spec.name}_next" for spec in inputs[1:] if servable.core]
    if servable.task == "model":
        names = output_names(model)
    else:
        names = ["logits" if gives_logits(servable.model) else "probabilities", *states]
    given = [_core_input(servable, spec, rows) for spec in inputs]
    found = keras.tree.flatten(model(given if len(given) > 1 else given[0], training=False))
    example = (
        "serving_default",
        {spec.name: value for spec, value in zip(inputs, given, strict=True)},
        {name: np.asarray(value) for name, value in zip(names, found, strict=True)},
    )
    signatures = {"serving_default": (model, inputs)}
    return replace(servable, model=model, signatures=signatures, examples=[example])


def _core_input(servable, spec, rows):
    """Values for an input of the model: those of the first example where it has some."""
    known = servable.examples[0][1]
    if spec.name in known and servable.task in ("classifier", "model"):
        return np.asarray(known[spec.name])[:rows]
    rng = np.random.default_rng(0)
    shape = [rows, *(size or 5 for size in spec.shape[1:])]
    if spec.dtype.is_floating:
        return rng.normal(0, 0.5, shape).astype("float32")
    first, vocabulary = servable.vocabularies[spec.name]
    return rng.integers(first, first + len(vocabulary), shape, "int32")


def write_onnx(model, names, place):
    """Write model.onnx into the folder ``place``, for batches and sequences of any size.

    names: those of its outputs. Raises ``InputError`` where tf2onnx is missing, or fails.
    """
    if not (find_spec("tf2onnx") and find_spec("onnx")):
        raise InputError("ONNX needs tf2onnx", fix="pip install 'kerasrnn[onnx]'")
    import onnx
    from tf2onnx import convert

    specs = [tf.TensorSpec(x.shape, x.dtype, name=x.name) for x in model.inputs]
    model = layers.keras_clone(model)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization):  # tensors would become inputs
            layer.mean, layer.variance = np.asarray(layer.mean), np.asarray(layer.variance)

    def call(*inputs):
        found = model(list(inputs) if len(inputs) > 1 else inputs[0], training=False)
        return dict(zip(names, keras.tree.flatten(found), strict=True))

    with _refusing("ONNX"):
        converted, _ = convert.from_function(
            tf.function(call, input_signature=specs, autograph=False),
            specs,
            opset=_OPSET,
            custom_op_handlers={"SelectV2": (_where, [])},
        )
    for value in [*converted.graph.input, *converted.graph.output]:
        for axis, size in zip(_AXES, value.type.tensor_type.shape.dim, strict=False):
            if size.dim_param:
                size.dim_param = axis
    onnx.save(converted, place / "model.onnx")


def _where(context, node, name, arguments):
    """``tf.where`` as ONNX's Where: tf2onnx multiplies by 0 and 1, which lets NaN through."""
    node.type = "Where"


def write_litert(model, names, place):
    """Write model.tflite into the folder ``place``, for one sequence of any length at a time.

    It has built-in operations only: with a batch of any size LiteRT would need TensorFlow's
    Flex delegate, which no interpreter of today's Python packages has.

    names: those of its outputs. Raises ``InputError`` where the converter fails.
    """
    if tuple(map(int, keras.__version__.split(".")[:2])) < _LITERT_NEEDS:
        raise InputError("LiteRT needs Keras 3.15 or newer", found=keras.__version__)
    model = keras.Model(model.inputs, dict(zip(names, model.outputs, strict=True)))
    specs = [tf.TensorSpec((1, *x.shape[1:]), x.dtype, name=x.name) for x in model.inputs]
    with _refusing("LiteRT"), contextlib.redirect_stdout(io.StringIO()):
        model.export(
            place / "model.tflite",
            format="litert",
            verbose=False,
            input_signature=[specs],
            target_spec={"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]},
        )


@contextlib.contextmanager
def _refusing(name):
    """Whatever a converter raises, in one line; and nothing of what it says besides."""
    logger = tf.get_logger()
    before = logger.level
    logger.setLevel("ERROR")
    try:
        yield
    except (InputError, OSError):
        raise
    except Exception as error:  # converters raise many kinds
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"cannot convert to {name}: {reason}") from error
    finally:
        logger.setLevel(before)
