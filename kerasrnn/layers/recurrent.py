"""Keras's recurrent layers with a native loop over time on a CPU.

``LSTM``, ``GRU``, ``SimpleRNN`` and ``Bidirectional`` take the place of the layers of the same
name in ``keras.layers``: same arguments, weights, numbers and saved files. ``implementation``
tells which loop a layer takes.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import keras
import tensorflow as tf
from keras import ops

from kerasrnn.engine import compat, native

compat.warn_of_untested_keras()


class Implementation(NamedTuple):
    """The loop over time of a layer, ``"native"`` or ``"keras"``, and why."""

    name: str
    reason: str


def implementation(layer: keras.layers.Layer) -> Implementation:
    """Which loop over time a layer takes when it is called here and now, and why.

    ``"native"`` is the loop of ``kerasrnn.engine``; ``"keras"`` is Keras's own, which is cuDNN
    on a GPU. The numbers are the same. A traced function keeps the loop that it was traced with.
    Where ``engine.native.worthwhile`` says that Keras's loop is faster for the shapes of a call,
    that call takes it all the same.

    Args:
        layer: a recurrent layer, or ``Bidirectional`` around one.

    >>> import keras
    >>> from kerasrnn import layers
    >>> layers.implementation(keras.layers.LSTM(4))
    Implementation(name='keras', reason='not a layer of kerasrnn')
    """
    layer = getattr(layer, "forward_layer", layer)
    if not isinstance(layer, Native):
        return Implementation("keras", "not a layer of kerasrnn")
    if reason := why_not_native(layer):
        return Implementation("keras", reason)
    return Implementation("native", "float32 on a CPU")


def why_not_native(layer: Native) -> str | None:
    """Why the native loop does not apply to a layer here and now, or None."""
    cell = layer.cell
    if keras.backend.backend() != "tensorflow":
        return f"the Keras backend is {keras.backend.backend()}"
    if native.library() is None:
        return "no native loop: no compiler at the installation, or another TensorFlow"
    if tf.config.list_logical_devices("GPU"):
        return "there is a GPU"
    if layer.use_cudnn is True:
        return "use_cudnn=True"
    if cell.recurrent_dropout:
        return "recurrent dropout"
    if cell.dropout and getattr(cell, "implementation", 2) == 1:
        return "implementation=1 drops out each gate on its own"
    return unusual_option(cell) or (None if tf.executing_eagerly() else _why_not_in_this_graph())


def unusual_option(cell) -> str | None:
    """Why neither the native loop nor cuDNN computes a cell, or None."""
    if cell.compute_dtype != "float32":
        return f"computes in {cell.compute_dtype}"
    if cell.activation is not keras.activations.tanh:
        return "an activation other than tanh"
    if getattr(cell, "recurrent_activation", None) not in (None, keras.activations.sigmoid):
        return "a recurrent activation other than sigmoid"
    if not getattr(cell, "reset_after", True):
        return "reset_after=False"
    return None


def _why_not_in_this_graph():
    if compat.compiled_by_xla():
        return "compiled by XLA"
    return "traced for an export" if compat.traced_by_exporter() else None


class CarriesMask:
    """Passes its mask on, with any Keras: from 3.16 its recurrent layers say they do not."""

    @property
    def supports_masking(self):
        return True

    @supports_masking.setter
    def supports_masking(self, value):
        pass


class Recurrent(CarriesMask):
    """What the layers for training and those of an export share: how they read a call."""

    cell_name: str  # a key of engine.native.CELLS
    use_cudnn = "auto"  # SimpleRNN has none

    def call(self, sequences, initial_state=None, mask=None, training=False):
        arguments = standardized(self.cell.compute_dtype, sequences, initial_state, mask)
        sequences, initial_state, mask = arguments
        return super().call(sequences, initial_state, mask, training)


def standardized(dtype, sequences, initial_state, mask):
    """The arguments of a call in the one form that every loop reads; Keras's own reads more.

    Args:
        dtype: the compute dtype of the cell.
        sequences: (batch, time, features) of any dtype.
        initial_state: None, or tensors (batch or 1, units), one or nested.
        mask: None or any dtype (batch or 1, time), with or without a last axis of 1; one or
            nested. A mask of each unit, (batch, time, units), stays as it is.

    Returns:
        ``(sequences, states, mask)``: floats, None or a list of (batch, units), and None or
        bool (batch, time).
    """
    if not keras.backend.is_float_dtype(sequences.dtype):
        sequences = ops.cast(sequences, dtype)

    def whole(array, size=None):  # broadcast unless the shape is known to be right
        if array.shape[0] is not None and array.shape[0] == sequences.shape[0]:
            return array
        batch, time = ops.shape(sequences)[:2]
        return ops.broadcast_to(array, (batch, size or time))

    if initial_state is not None:
        states = keras.tree.flatten(initial_state)
        states = [ops.convert_to_tensor(state, dtype) for state in states]
        initial_state = [whole(state, state.shape[-1]) for state in states]
    mask = None if mask is None else keras.tree.flatten(mask)[0]
    if mask is None:
        return sequences, initial_state, None
    mask = ops.cast(mask, "bool")
    if len(mask.shape) == 3 and mask.shape[-1] == 1:
        mask = ops.squeeze(mask, -1)
    return sequences, initial_state, whole(mask) if len(mask.shape) == 2 else mask


def of_each_unit(mask) -> bool:
    """Whether a mask is of each unit, (batch, time, units), which only Keras's own loop reads."""
    return mask is not None and len(mask.shape) != 2


def layer_inputs(layer, states) -> native.LayerInputs:
    """What a loop reads of a layer: its weights, and the initial states (batch, units).

    Raises:
        ValueError: a number of states that the layer does not have.
    """
    cell, expected = layer.cell, native.CELLS[layer.cell_name].states
    if len(states) != len(expected):
        number = f"{len(states)} initial states of {layer.name}"
        raise ValueError(f"{number}, expected {len(expected)}: {', '.join(expected)}")
    bias = tf.zeros(cell.kernel.shape[1]) if cell.bias is None else cell.bias
    c = states[1] if len(states) == 2 else tf.zeros(0)
    arrays = (cell.kernel, cell.recurrent_kernel, bias, states[0], c)
    return native.LayerInputs(*map(tf.convert_to_tensor, arrays))


def _states(layer, result):
    """The final states of a layer, as Keras has them."""
    return [getattr(result, name) for name in native.CELLS[layer.cell_name].states]


class Native(Recurrent):
    """The loop over time of this package's recurrent layers."""

    def inner_loop(self, sequences, initial_state, mask, training=False):
        if (
            why_not_native(self)
            or of_each_unit(mask)
            or not native.worthwhile(self.cell_name, sequences.shape, self.units, training)
        ):
            return super().inner_loop(sequences, initial_state, mask, training=training)
        if training and self.cell.dropout:
            sequences = sequences * compat.input_dropout(self.cell, sequences[:, 0])[:, None]
        (result,) = native.recurrence(
            self.cell_name,
            sequences,
            mask,
            [layer_inputs(self, initial_state)],
            reverse=[self.go_backwards],
            zero_masked=self.zero_output_for_mask,
            return_sequences=self.return_sequences,
            training=training,
        )
        outputs, states = result.outputs, _states(self, result)
        if self.return_sequences:
            return outputs[:, -1], outputs, states
        return outputs, outputs[:, None], states


@keras.saving.register_keras_serializable(package="kerasrnn")
class LSTM(Native, keras.layers.LSTM):
    """``keras.layers.LSTM`` with a native loop on a CPU (Hochreiter & Schmidhuber 1997).

    Takes floats, ints or bools (batch, time, features); gives (batch, units), or (batch, time,
    units) with ``return_sequences``, and with ``return_state`` h and c (batch, units).
    Arguments, weights and results are those of Keras's layer.

    With ``unroll=True``, ``zero_output_for_mask=True``, ``go_backwards=True`` and a mask, Keras
    3.15 zeroes other steps than with ``unroll=False``; this layer gives the same for both.

    >>> import numpy as np
    >>> from kerasrnn import layers
    >>> layers.LSTM(4)(np.ones((2, 3, 5), "float32")).shape
    TensorShape([2, 4])
    """

    cell_name = "lstm"


@keras.saving.register_keras_serializable(package="kerasrnn")
class GRU(Native, keras.layers.GRU):
    """``keras.layers.GRU`` with a native loop on a CPU (Cho et al. 2014), see ``LSTM``.

    >>> import numpy as np
    >>> from kerasrnn import layers
    >>> layers.GRU(4, return_sequences=True)(np.ones((2, 3, 5), "float32")).shape
    TensorShape([2, 3, 4])
    """

    cell_name = "gru"


@keras.saving.register_keras_serializable(package="kerasrnn")
class SimpleRNN(Native, keras.layers.SimpleRNN):
    """``keras.layers.SimpleRNN`` with a native loop on a CPU (Elman 1990), see ``LSTM``.

    >>> import numpy as np
    >>> from kerasrnn import layers
    >>> output, state = layers.SimpleRNN(4, return_state=True)(np.ones((2, 3, 5), "float32"))
    >>> bool((output == state).numpy().all())
    True
    """

    cell_name = "simple"


@keras.saving.register_keras_serializable(package="kerasrnn")
class RNN(CarriesMask, keras.layers.RNN):
    """``keras.layers.RNN`` of any cell, with Keras's loop, that passes its mask on.

    >>> import keras
    >>> import numpy as np
    >>> from kerasrnn import layers
    >>> layers.RNN(keras.layers.GRUCell(4))(np.ones((2, 3, 5), "float32")).shape
    TensorShape([2, 4])
    """


@keras.saving.register_keras_serializable(package="kerasrnn")
class Bidirectional(CarriesMask, keras.layers.Bidirectional):
    """``keras.layers.Bidirectional`` that runs both directions in one operation on a CPU.

    Schuster & Paliwal 1997. Arguments, weights and results are those of Keras's layer.

    >>> import numpy as np
    >>> from kerasrnn import layers
    >>> layers.Bidirectional(layers.LSTM(4))(np.ones((2, 3, 5), "float32")).shape
    TensorShape([2, 8])
    """

    def call(self, sequences, initial_state=None, mask=None, training=None):
        layers = (self.forward_layer, self.backward_layer)
        if not _share_a_loop(*layers) or any(map(why_not_native, layers)):
            return super().call(sequences, initial_state, mask, training)
        dtype = layers[0].cell.compute_dtype
        x, states, mask = standardized(dtype, sequences, initial_state, mask)
        worthwhile = partial(native.worthwhile, layers[0].cell_name, x.shape, training=training)
        if of_each_unit(mask) or not all(worthwhile(units=layer.units) for layer in layers):
            return super().call(sequences, initial_state, mask, training)
        if states is None:
            batch = ops.shape(x)[0]
            states = [state for layer in layers for state in layer.get_initial_state(batch)]
        return self._call_native(layers, x, states, mask, training)

    def _call_native(self, layers, x, states, mask, training):
        half = len(states) // 2
        halves = (states[:half], states[half:])
        joined = self.return_sequences and self.merge_mode == "concat"
        joined = joined and layers[0].units == layers[1].units
        results = native.recurrence(
            layers[0].cell_name,
            x,
            mask,
            [layer_inputs(*pair) for pair in zip(layers, halves, strict=True)],
            reverse=[layer.go_backwards for layer in layers],
            zero_masked=layers[0].zero_output_for_mask,
            return_sequences=self.return_sequences,
            training=training,
            joined=joined,
        )
        forward, backward = (result.outputs for result in results)
        output = forward if joined else self._merge(forward, backward)
        if not self.return_state:
            return output
        output = output if isinstance(output, tuple) else (output,)
        final = (_states(*pair) for pair in zip(layers, results, strict=True))
        return *output, *(state for states in final for state in states)

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


def _share_a_loop(forward, backward):
    """Whether both are layers of this package that one native operation can run together."""
    return (
        isinstance(forward, Native)
        and type(forward) is type(backward)
        and not (forward.stateful or forward.cell.dropout or backward.cell.dropout)
        and forward.zero_output_for_mask == backward.zero_output_for_mask
    )
