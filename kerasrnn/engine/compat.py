"""Every private or undocumented name of TensorFlow and Keras that the package uses.

Each function has a fallback for the day the name is gone; a test takes the name away and runs it.
No other module imports ``keras.src`` or ``tensorflow.python``.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable

import keras
import tensorflow as tf

try:
    from tensorflow.python.ops.control_flow_util import GraphOrParentsInXlaContext
except ImportError:
    GraphOrParentsInXlaContext = None

NEWEST_KERAS = (3, 15)  # of those that the tests were run with
_EXPORTERS = ("keras.src.export", "tensorflow.python.saved_model", "tf2onnx", "tensorflow.lite")


def warn_of_untested_keras() -> None:
    """Warn where Keras is newer than any that this package was tested with."""
    if tuple(int(part) for part in keras.__version__.split(".")[:2]) > NEWEST_KERAS:
        newest = ".".join(map(str, NEWEST_KERAS))
        warnings.warn(
            f"Keras {keras.__version__} is newer than {newest}, the newest that kerasrnn was"
            " tested with: compare a layer with Keras's own, or install an older Keras",
            stacklevel=2,
        )


def compiled_by_xla() -> bool:
    """Whether the graph that is being traced, or one around it, is compiled by XLA."""
    graph = tf.compat.v1.get_default_graph()
    if GraphOrParentsInXlaContext is not None:
        return bool(GraphOrParentsInXlaContext(graph))
    while graph is not None:
        context = getattr(graph, "_get_control_flow_context", lambda: None)()
        while context is not None:
            if context.IsXLAContext():
                return True
            context = context.outer_context
        graph = getattr(graph, "outer_graph", None)
    return False


def traced_by_exporter() -> bool:
    """Whether Keras, TensorFlow or tf2onnx is tracing the current graph to write it to a file.

    They offer no hook, so this looks for their modules among the callers.
    """
    frame = sys._getframe()
    while frame:
        if frame.f_globals.get("__name__", "").startswith(_EXPORTERS):
            return True
        frame = frame.f_back
    return False


def fast_call(concrete) -> Callable[..., list[tf.Tensor]]:
    """A traced function without the checks around it, which take as long as a small model.

    Args:
        concrete: a ``ConcreteFunction``.

    Returns:
        A function of its tensors, flat and of the traced dtypes, that gives a list of tensors.
    """
    try:
        call, captured = concrete.inference_fn.call_flat, list(concrete.captured_inputs)
    except AttributeError:
        return lambda *tensors: tf.nest.flatten(concrete(*tensors))
    return lambda *tensors: call(*tensors, *captured)


def alternatives(name: str, bodies: dict[str, Callable], signature) -> list:
    """Concrete functions that compute the same, from which TensorFlow chooses by device.

    Grappler's implementation selector reads the attributes. Without them, the function that a
    graph calls is the one that runs.

    Args:
        name: what they have in common.
        bodies: device, ``"CPU"`` or ``"GPU"``, → function of tensors.
        signature: their ``tf.TensorSpec``.
    """

    def trace(device, body):
        options = {"input_signature": signature, "autograph": False}
        attributes = {"api_implements": name, "api_preferred_device": device}
        try:
            function = tf.function(body, experimental_attributes=attributes, **options)
        except (TypeError, ValueError):
            function = tf.function(body, **options)
        return function.get_concrete_function()

    with tf.init_scope():
        return [trace(device, body) for device, body in bodies.items()]


def add_to_current_graph(concrete) -> bool:
    """Save a function beside the graph that is being traced, although nothing there calls it.

    Returns:
        False where this TensorFlow cannot, so that a file holds only what its graph calls.
    """
    try:
        concrete.add_to_graph(tf.compat.v1.get_default_graph())
    except (AttributeError, TypeError):
        return False
    return True


def input_dropout(cell, step) -> tf.Tensor:
    """The dropout mask (batch, inputs) of a cell with ``dropout``, for all steps of a call.

    Args:
        cell: a cell of Keras.
        step: one step of the input, (batch, inputs).
    """
    if hasattr(cell, "get_dropout_mask"):
        return cell.get_dropout_mask(step)
    return keras.random.dropout(tf.ones_like(step), cell.dropout, seed=cell.seed_generator)


def mask_of(x: keras.KerasTensor) -> keras.KerasTensor | None:
    """The mask that Keras hands on with a tensor; None too where it no longer does so."""
    return getattr(x, "_keras_mask", None)


def take_sums(optimizer: keras.optimizers.Optimizer) -> bool:
    """Have an optimizer take gradients that are summed over the replicas of ``tf.distribute``.

    Returns:
        False where this Keras's sums them once more.
    """
    if not hasattr(optimizer, "_all_reduce_sum_gradients"):
        return False
    optimizer._all_reduce_sum_gradients = list
    return True


def take_moments(layer: keras.layers.BatchNormalization, moments: Callable):
    """Have a layer normalize by ``moments(inputs, mask)``, which gives mean and variance.

    Where a Keras calls them by another name, each replica of ``tf.distribute`` has its own; with
    ``synchronized`` they are of all replicas where there is no mask.
    """
    layer._moments, layer.synchronized = moments, not hasattr(layer, "_moments")
