"""Fast recurrent layers, and the small ones that the stack needs beyond Keras's own.

``LSTM``, ``GRU`` and ``SimpleRNN`` are Keras's layers with a faster loop over time on a CPU; in
everything else, weights and numbers included, they are the same. ``which_path`` tells which loop
a layer takes.

All are registered under ``kerasrnn``; ``import kerasrnn.layers`` (or ``load_model``) makes
them known to Keras before a saved model is loaded.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from typing import NamedTuple

import keras
import tensorflow as tf
from keras import ops
from keras.src.models.functional import Functional
from tensorflow.python.ops.control_flow_util import GraphOrParentsInXlaContext

from kerasrnn.engine import native as loops
from kerasrnn.engine import portable as devices

_LOCAL = threading.local()
_EXPORTERS = ("keras.src.export", "tensorflow.python.saved_model", "tf2onnx", "tensorflow.lite")


class Path(NamedTuple):
    """Which loop over time a layer takes, ``"native"`` or ``"keras"``, and why not the other."""

    name: str
    reason: str


def which_path(layer) -> Path:
    """Which loop over time a layer takes when it is called here and now, and why.

    ``"native"`` is the loop of ``engine``; ``"keras"`` is Keras's own, cuDNN on a GPU. The
    numbers are the same. A layer takes its path when it is traced: a function that was traced
    for training runs only after ``engine.native.library()``, one traced for an export anywhere.

    Args:
        layer: a layer of this module, or ``Bidirectional`` around one.
    """
    layer = getattr(layer, "forward_layer", layer)
    reason = "not a layer of kerasrnn" if not isinstance(layer, _Native) else _obstacle(layer)
    return Path("keras", reason) if reason else Path("native", "float32 on a CPU")


def _obstacle(layer):
    """Why the layer cannot take the native loop, or None."""
    cell = layer.cell
    if keras.backend.backend() != "tensorflow":
        return f"the Keras backend is {keras.backend.backend()}"
    if loops.library() is None:
        return "no native loop: no compiler at the installation, or another TensorFlow"
    if tf.config.list_logical_devices("GPU"):
        return "there is a GPU"
    if layer.use_cudnn is True:
        return "use_cudnn=True"
    if cell.recurrent_dropout:
        return "recurrent dropout"
    if cell.dropout and getattr(cell, "implementation", 2) == 1:
        return "implementation=1 drops out each gate on its own"
    if getattr(_LOCAL, "portable", False):
        return "portable"
    return _peculiarity(cell) or (None if tf.executing_eagerly() else _obstacle_of_graph())


def _peculiarity(cell):
    """What sets a cell apart from the one that native loops and cuDNN compute, or None."""
    if cell.compute_dtype != "float32":
        return f"computes in {cell.compute_dtype}"
    if cell.activation is not keras.activations.tanh:
        return "an activation other than tanh"
    if getattr(cell, "recurrent_activation", None) not in (None, keras.activations.sigmoid):
        return "a recurrent activation other than sigmoid"
    if not getattr(cell, "reset_after", True):
        return "reset_after=False"
    return None


def _obstacle_of_graph():
    if GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph()):
        return "compiled by XLA"
    frame = sys._getframe()
    while frame:
        if frame.f_globals.get("__name__", "").startswith(_EXPORTERS):
            return "traced for an export"
        frame = frame.f_back
    return None


@contextlib.contextmanager
def portable():
    """Within it layers take Keras's loop, so that what is traced here runs in any process.

    For a ``tf.function`` that is traced before it is saved, and for second derivatives.
    ``model.export`` and ``tf.saved_model.save`` need no such help with what they trace.
    """
    before, _LOCAL.portable = getattr(_LOCAL, "portable", False), True
    try:
        yield
    finally:
        _LOCAL.portable = before


@contextlib.contextmanager
def adaptive(lengths=None):
    """Within it LSTM and GRU layers are traced for any device (``devices``), for predictions.

    lengths: int32 (batch,), the steps before the padding on the right of all sequences, for
    layers that get no mask; None where there is no padding.
    """
    before, _LOCAL.adaptive = getattr(_LOCAL, "adaptive", None), (lengths,)
    try:
        with portable():
            yield
    finally:
        _LOCAL.adaptive = before


class _Native:
    """What the three layers share: the loop over time, for layers of Keras."""

    use_cudnn = "auto"  # SimpleRNN has none

    def inner_loop(self, sequences, initial_state, mask, training=False):
        if getattr(_LOCAL, "adaptive", None):
            return self._adaptive_loop(sequences, initial_state, mask)
        if _obstacle(self):
            return super().inner_loop(sequences, initial_state, mask, training=training)
        if training and self.cell.dropout:
            sequences = sequences * self.cell.get_dropout_mask(sequences[:, 0, :])[:, None]
        ((output, *states),) = _loop([self], sequences, [initial_state], mask, training)
        if self.return_sequences:
            return output[:, -1], output, states
        return output, output[:, None], states

    def _adaptive_loop(self, sequences, initial_state, mask):
        cell, (lengths,), time = self.native_cell, _LOCAL.adaptive, tf.shape(sequences)[1]
        if mask is not None:
            mask = tf.cast(keras.tree.flatten(mask)[0], bool)
        elif lengths is not None:
            mask = tf.sequence_mask(lengths, time)
        if cell == "simple" or _peculiarity(self.cell):
            return super().inner_loop(sequences, initial_state, mask)
        if mask is None:
            lengths = tf.fill([tf.shape(sequences)[0]], time)
        else:
            lengths = tf.reduce_sum(tf.cast(mask, tf.int32), 1)
        kernel, recurrent, bias, *states = _given(self, keras.tree.flatten(initial_state))
        if cell == "gru":
            states = states[:1]
            bias = bias if bias.shape.rank == 2 else tf.stack([bias, tf.zeros_like(bias)])
        weights = [kernel, recurrent, bias]
        how = {"go_backwards": self.go_backwards}
        output, states = devices.recurrence(cell, sequences, lengths, weights, states, **how)
        if mask is not None:  # what a masked step gives is Keras's on any device
            mask = tf.reverse(mask, [1]) if self.go_backwards else mask
            rest = states[0] if not (self.zero_output_for_mask or self.go_backwards) else 0.0
            rest = tf.broadcast_to(rest, tf.shape(states[0]))[:, None]
            output = tf.where(mask[:, :, None], output, rest)
        output.set_shape((None, sequences.shape[1], self.units))
        for state in states:
            state.set_shape((None, self.units))
        last = output[:, -1] if self.zero_output_for_mask else states[0]
        return last, output if self.return_sequences else last[:, None], states


def _loop(layers, sequences, states, mask, training, joined=False):
    """The output and the last states of each of the layers that read the same."""
    results = loops.recurrence(
        layers[0].native_cell,
        sequences,
        None if mask is None else tf.cast(keras.tree.flatten(mask)[0], bool),
        [_given(*pair) for pair in zip(layers, states, strict=True)],
        reverse=[layer.go_backwards for layer in layers],
        zero_masked=layers[0].zero_output_for_mask,
        return_sequences=layers[0].return_sequences,
        training=training,
        joined=joined,
    )
    return [result[: 1 + _number_of_states(layers[0])] for result in results]


def _given(layer, states):
    """What the loop reads of a layer: kernel, recurrent kernel, bias, and the states h and c."""
    cell, states = layer.cell, keras.tree.flatten(states)
    expected = _number_of_states(layer)
    if len(states) != expected:
        raise ValueError(f"{len(states)} initial states of {layer.name}, expected {expected}")
    bias = tf.zeros(cell.kernel.shape[1]) if cell.bias is None else cell.bias
    c = states[1] if len(states) == 2 else tf.zeros(0)
    given = (cell.kernel, cell.recurrent_kernel, bias, states[0], c)
    return loops.LayerInputs(*map(tf.convert_to_tensor, given))


def _number_of_states(layer):
    return len(loops.CELLS[layer.native_cell].states)


@keras.saving.register_keras_serializable(package="kerasrnn")
class LSTM(_Native, keras.layers.LSTM):
    """``keras.layers.LSTM`` with a native loop on a CPU (Hochreiter & Schmidhuber 1997)."""

    native_cell = "lstm"


@keras.saving.register_keras_serializable(package="kerasrnn")
class GRU(_Native, keras.layers.GRU):
    """``keras.layers.GRU`` with a native loop on a CPU (Cho et al. 2014)."""

    native_cell = "gru"


@keras.saving.register_keras_serializable(package="kerasrnn")
class SimpleRNN(_Native, keras.layers.SimpleRNN):
    """``keras.layers.SimpleRNN`` with a native loop on a CPU (Elman 1990)."""

    native_cell = "simple"


@keras.saving.register_keras_serializable(package="kerasrnn")
class Bidirectional(keras.layers.Bidirectional):
    """``keras.layers.Bidirectional`` that runs both directions at once, where they are native."""

    def call(self, sequences, initial_state=None, mask=None, training=None):
        layers = (self.forward_layer, self.backward_layer)
        if not _alike(*layers) or any(map(_obstacle, layers)):
            return super().call(sequences, initial_state, mask, training)
        states = initial_state
        if states is None:
            batch = ops.shape(sequences)[0]
            states = [state for layer in layers for state in layer.get_initial_state(batch)]
        half = len(states) // 2
        halves = [states[:half], states[half:]]
        joined = self.return_sequences and self.merge_mode == "concat"
        joined = joined and self.forward_layer.units == self.backward_layer.units
        results = _loop(layers, sequences, halves, mask, training, joined)
        (forward, *states), (backward, *more) = results
        output = forward if joined else self._merge(forward, backward)
        if self.return_state:
            output = output if isinstance(output, tuple) else (output,)
            return *output, *states, *more
        return output

    def _merge(self, forward, backward):
        if self.return_sequences:
            backward = ops.flip(backward, axis=1)
        if self.merge_mode is None:
            return forward, backward
        if self.merge_mode == "concat":
            return ops.concatenate([forward, backward], axis=-1)
        if self.merge_mode == "mul":
            return forward * backward
        total = forward + backward
        return total / 2 if self.merge_mode == "ave" else total


def _alike(forward, backward):
    """Whether both are native layers that can share one loop."""
    return (
        isinstance(forward, _Native)
        and type(forward) is type(backward)
        and not (forward.stateful or forward.cell.dropout or backward.cell.dropout)
        and forward.zero_output_for_mask == backward.zero_output_for_mask
    )


def adopt(model) -> keras.Model:
    """A model with this module's layers for Keras's own of the same name, and the same weights.

    As it is where there are none, or where it is neither sequential nor functional.
    """
    twins = {getattr(keras.layers, kind.__name__): kind for kind in (LSTM, GRU, SimpleRNN)}

    def twin(layer):
        if type(layer) is keras.layers.Bidirectional:
            both = twin(layer.forward_layer), twin(layer.backward_layer)
            return Bidirectional(both[0], layer.merge_mode, backward_layer=both[1], name=layer.name)
        return twins.get(type(layer), type(layer)).from_config(layer.get_config())

    stock = (*twins, keras.layers.Bidirectional)
    if not any(type(layer) in stock for layer in model._flatten_layers()):
        return model
    if not isinstance(model, (keras.Sequential, Functional)):
        return model
    clone = keras.models.clone_model(model, clone_function=twin, recursive=True)
    clone.set_weights(model.get_weights())
    return clone
