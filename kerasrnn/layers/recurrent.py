"""Keras's recurrent layers with a native loop over time on a CPU.

``LSTM``, ``GRU`` and ``SimpleRNN`` take the place of the layers of the same name in
``keras.layers``: same arguments, weights, numbers and saved files. ``implementation`` tells which
loop a layer takes.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import keras
import tensorflow as tf
from keras import ops

from kerasrnn.engine import compat, native, portable

compat.warn_of_untested_keras()

_DTYPES_OF_CUDNN = ("float32", "float16", "float64")  # its bfloat16 learns badly (docs/engine.md)
_PAD_ON_THE_RIGHT = "a masked step before a real one: pad on the right"


class Implementation(NamedTuple):
    """The loop over time of a layer, ``"native"``, ``"cudnn"`` or ``"keras"``, and why."""

    name: str
    reason: str


def implementation(layer: keras.layers.Layer) -> Implementation:
    """Which loop over time a layer takes when it is called here and now, and why.

    ``"native"`` is the loop of ``kerasrnn.engine`` for a CPU, ``"cudnn"`` NVIDIA's for a GPU, and
    ``"keras"`` Keras's own. The numbers are the same. A traced function keeps the loop that it was
    traced with. Where ``engine.native.worthwhile`` says that Keras's loop is faster for the shapes
    of a call, that call takes it all the same.

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
    on_gpu = _gpus()
    if reason := _why_not_cudnn(layer) if on_gpu else _why_not_native(layer):
        return Implementation("keras", reason)
    if on_gpu:
        return Implementation("cudnn", "there is a GPU")
    return Implementation("native", "float32 on a CPU")


def _gpus():
    return keras.backend.backend() == "tensorflow" and tf.config.list_logical_devices("GPU")


def _why_not_native(layer):
    if keras.backend.backend() != "tensorflow":
        return f"the Keras backend is {keras.backend.backend()}"
    if native.library() is None:
        return "no native loop: no compiler at the installation, or another TensorFlow"
    if layer.use_cudnn is True:
        return "use_cudnn=True"
    return unusual_dtype(layer.cell, "float32") or _why_not_this_call(layer.cell)


def _why_not_cudnn(layer):
    if layer.cell_name not in portable.CELLS:
        return "cuDNN is taken for LSTM and GRU"
    if layer.use_cudnn is False:
        return "use_cudnn=False"
    cell = layer.cell
    return unusual_dtype(cell, *_DTYPES_OF_CUDNN) or _why_not_this_call(cell)


def _why_not_this_call(cell):
    if cell.recurrent_dropout:
        return "recurrent dropout"
    if cell.dropout and getattr(cell, "implementation", 2) == 1:
        return "implementation=1 drops out each gate on its own"
    return unusual_option(cell) or (None if tf.executing_eagerly() else _why_not_in_this_graph())


def unusual_dtype(cell, *usual: str) -> str | None:
    """Why a loop does not compute a cell, or None."""
    return None if cell.compute_dtype in usual else f"computes in {cell.compute_dtype}"


def unusual_option(cell) -> str | None:
    """Why neither the native loop nor cuDNN computes a cell, whatever its dtype, or None."""
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

    def loop_of_keras(self, sequences, initial_state, mask, training):
        """Not Keras's cuDNN, which refuses masks and graphs, and files, that its loop computes."""
        of_a_gpu = _gpus() and self.use_cudnn is not True
        inner_loop = partial(keras.layers.RNN.inner_loop, self) if of_a_gpu else super().inner_loop
        return inner_loop(sequences, initial_state, mask, training=training)


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
    bias = tf.zeros(cell.kernel.shape[1], cell.compute_dtype) if cell.bias is None else cell.bias
    c = states[1] if len(states) == 2 else tf.zeros(0)
    arrays = (cell.kernel, cell.recurrent_kernel, bias, states[0], c)
    return native.LayerInputs(*map(tf.convert_to_tensor, arrays))


def states_of(layer, result) -> list:
    """The final states of a layer, as Keras has them."""
    return [getattr(result, name) for name in native.CELLS[layer.cell_name].states]


def by_lengths(layer, sequences, initial_state, mask, *, on_gpu: bool = False):
    """What ``inner_loop`` of a layer gives, by ``portable.recurrence``.

    Args:
        layer: an LSTM or GRU without ``unusual_option``.
        sequences: (batch, time, features), at least one step.
        initial_state: a list of (batch, units).
        mask: None or bool (batch, time): padding on the right.
        on_gpu: as ``portable.recurrence`` has it.
    """
    lengths = None if on_gpu and mask is None else lengths_of(sequences, mask)
    result = portable.recurrence(
        layer.cell_name,
        sequences,
        lengths,
        layer_inputs(layer, initial_state),
        go_backwards=layer.go_backwards,
        on_gpu=on_gpu,
    )
    outputs, last, states = result.outputs, result.h, states_of(layer, result)
    if mask is not None:
        last = tf.where(lengths[:, None] > 0, last, tf.zeros_like(last))
        outputs = _fill_masked(layer, outputs, mask, last)
    outputs.set_shape((None, sequences.shape[1], layer.units))
    for array in (last, *states):
        array.set_shape((None, layer.units))
    last = outputs[:, -1] if layer.zero_output_for_mask else last
    return last, outputs if layer.return_sequences else last[:, None], states


def lengths_of(sequences, mask) -> tf.Tensor:
    """The steps of each row (batch,), where padding is on the right; else the graph ends."""
    if mask is None:
        batch, time = tf.unstack(tf.shape(sequences)[:2])
        return tf.fill([batch], time)
    tf.debugging.Assert(padded_on_the_right(mask), [_PAD_ON_THE_RIGHT])
    return tf.reduce_sum(tf.cast(mask, tf.int32), 1)


def padded_on_the_right(mask) -> tf.Tensor:
    """Whether no masked step is before a real one."""
    lengths = tf.reduce_sum(tf.cast(mask, tf.int32), 1)
    return tf.reduce_all(mask == tf.sequence_mask(lengths, tf.shape(mask)[1]))


def _fill_masked(layer, outputs, mask, last):
    """At masked steps zeros, or what the last step gave, as Keras has them."""
    if layer.go_backwards:  # the masked steps come first
        mask, last = tf.reverse(mask, [1]), tf.zeros_like(last)
    elif layer.zero_output_for_mask:
        last = tf.zeros_like(last)
    return tf.where(mask[:, :, None], outputs, last[:, None])


class Native(Recurrent):
    """The loop over time of this package's recurrent layers."""

    def inner_loop(self, sequences, initial_state, mask, training=False):
        loop = "keras" if of_each_unit(mask) else implementation(self).name
        if loop == "native":
            worthwhile = native.worthwhile(self.cell_name, sequences.shape, self.units, training)
            loop = loop if worthwhile else "keras"
        if loop == "cudnn" and mask is not None and tf.executing_eagerly():
            loop = loop if padded_on_the_right(mask) else "keras"
        if loop == "keras":
            return self.loop_of_keras(sequences, initial_state, mask, training)
        if training and self.cell.dropout:
            sequences = sequences * compat.input_dropout(self.cell, sequences[:, 0])[:, None]
        if loop == "cudnn":
            return by_lengths(self, sequences, initial_state, mask, on_gpu=True)
        return self._native_loop(sequences, initial_state, mask, training)

    def _native_loop(self, sequences, initial_state, mask, training):
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
        outputs, states = result.outputs, states_of(self, result)
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
