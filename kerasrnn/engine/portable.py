"""An LSTM or GRU layer by lengths: cuDNN on a GPU, plain TensorFlow elsewhere.

In a training the device is known. In an export it is not: stock Keras chooses when it traces, so a
graph traced without a GPU never uses cuDNN, and one traced on a GPU runs nowhere else. Here each
layer of an export is a call of a function with two bodies, one for each device, under one name;
both go into the SavedModel, and TensorFlow's implementation selector (a pass of Grappler) takes
the one for the device of the call when the graph is run. Weights and shapes are arguments, so
that all layers of one kind of cell share the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import tensorflow as tf

from kerasrnn.engine import compat
from kerasrnn.engine.native import LayerInputs, LayerResult

CELLS = ("lstm", "gru")  # those that cuDNN has
_SURE = 1e4  # of a gate's sum: its sigmoid is 1 in any type of floats, and 0 of its negative
_MATRIX = tf.TensorSpec((None, None))
_BIAS_AND_STATES = {
    "lstm": [tf.TensorSpec((None,)), _MATRIX, _MATRIX],
    "gru": [tf.TensorSpec((2, None)), _MATRIX],
}


def recurrence(
    cell: str, x, lengths, inputs: LayerInputs, *, go_backwards: bool = False, on_gpu: bool = False
) -> LayerResult:
    """All steps of an LSTM or GRU layer, on the device that the graph is run on.

    Args:
        cell: one of ``CELLS``; a GRU that resets after the product; Keras's default activations.
        x: floats (batch, time, inputs), at least one step; float32 unless ``on_gpu``.
        lengths: int32 (batch,), the steps before the padding on the right; may be 0. None where
            none is padded and ``on_gpu``.
        inputs: weights as Keras has them, a GRU's bias (2, 3 · units) or (3 · units,); initial
            states (batch, units), c of an LSTM only.
        go_backwards: read the real steps from the last to the first.
        on_gpu: by cuDNN, here and now; else in a graph that may run on a CPU or a GPU.

    Returns:
        The outputs (batch, time, units) in the order of Keras's layer, unspecified at padded
        steps; and the states (batch, units) after the last real step, c as it came of a GRU.
    """
    states = [inputs.h, inputs.c] if cell == "lstm" else [inputs.h]
    if on_gpu:
        called = _BODIES[cell]["GPU"]
    else:
        called, other = _bodies(cell)
        compat.add_to_current_graph(other)
    if go_backwards:
        x = _reversed(x, lengths)
    weights = (inputs.kernel, inputs.recurrent_kernel, _bias(cell, inputs))
    outputs, *last = called(tf.transpose(x, [1, 0, 2]), lengths, *weights, *states)
    outputs = tf.transpose(outputs, [1, 0, 2])
    if lengths is not None:
        if go_backwards:  # in the order of time, then in Keras's, where the last step is the first
            outputs = tf.reverse(_reversed(outputs, lengths), [1])
        real = lengths[:, None] > 0
        last = [tf.where(real, new, old) for new, old in zip(last, states, strict=True)]
    return LayerResult(outputs, last[0], last[1] if cell == "lstm" else inputs.c)


def _reversed(x, lengths):
    if lengths is None:
        return tf.reverse(x, [1])
    return tf.reverse_sequence(x, lengths, seq_axis=1, batch_axis=0)


@cache
def _bodies(cell):
    """The two bodies as concrete functions: that for a CPU, which a graph calls, and cuDNN's."""
    x, lengths = tf.TensorSpec((None, None, None)), tf.TensorSpec((None,), tf.int32)
    signature = [x, lengths, _MATRIX, _MATRIX, *_BIAS_AND_STATES[cell]]
    return compat.alternatives(f"kerasrnn_{cell}", _BODIES[cell], signature)


def _lstm_on_cpu(x, lengths, kernel, recurrent, bias, h, c):
    peephole = tf.zeros_like(bias[: tf.shape(h)[1]])
    block = tf.raw_ops.BlockLSTMV2(
        seq_len_max=tf.cast(tf.maximum(tf.reduce_max(lengths), 0), tf.int64),  # no row: not -2³¹
        x=x,
        cs_prev=c,
        h_prev=h,
        w=tf.concat([kernel, recurrent], 0),
        b=bias,
        wci=peephole,
        wcf=peephole,
        wco=peephole,
        cell_clip=0.0,
        use_peephole=False,
    )
    return block.h, *[tf.gather_nd(values, _at_the_end(lengths)) for values in (block.h, block.cs)]


def _at_the_end(lengths):
    """Where the last real step of each row is in (time, batch); the first of one that has none."""
    return tf.stack([tf.maximum(lengths - 1, 0), tf.range(tf.size(lengths))], 1)


def _real(lengths, steps):
    """Which steps of each row are no padding, (time, batch, 1)."""
    return tf.transpose(tf.sequence_mask(lengths, steps))[:, :, None]


def _gru_on_cpu(x, lengths, kernel, recurrent, bias, h):
    steps, units = tf.shape(x)[0], tf.shape(h)[1]
    sums = tf.TensorArray(tf.float32, steps).unstack(tf.tensordot(x, kernel, 1) + bias[0])

    def step(t, h, outputs):
        of_input, of_state = sums.read(t), tf.matmul(h, recurrent) + bias[1]
        gates = tf.sigmoid(of_input[:, : 2 * units] + of_state[:, : 2 * units])
        keep, reset = gates[:, :units], gates[:, units:]
        new = tf.tanh(of_input[:, 2 * units :] + reset * of_state[:, 2 * units :])
        h = tf.where((t < lengths)[:, None], new + keep * (h - new), h)
        return t + 1, h, outputs.write(t, h)

    start = (tf.constant(0), h, tf.TensorArray(tf.float32, steps))
    _, h, outputs = tf.while_loop(lambda t, *_: t < steps, step, start)
    return outputs.stack(), h


def _lstm_on_gpu(x, lengths, *weights_and_states):
    *weights, h, c = weights_and_states
    outputs, h, c = _cudnn("lstm", x, lengths, [weights], h[None], c[None])
    if lengths is None:
        return outputs, h[0], c[0]
    return outputs, tf.gather_nd(outputs, _at_the_end(lengths)), c[0]


def _gru_on_gpu(x, lengths, *weights_and_state):
    *weights, h = weights_and_state
    outputs, h, _ = _cudnn("gru", x, lengths, [weights], h[None])
    return outputs, h[0]


_BODIES = {
    "lstm": {"CPU": _lstm_on_cpu, "GPU": _lstm_on_gpu},
    "gru": {"CPU": _gru_on_cpu, "GPU": _gru_on_gpu},
}


def both_directions(cell: str, x, lengths, layers: Sequence[LayerInputs]) -> list[LayerResult]:
    """Two layers of as many units on a GPU by one call of cuDNN: the second reads backwards.

    Args:
        cell, x, lengths: as of ``recurrence``.
        layers: what the two read. With lengths, the initial states of an LSTM are zeros.

    Returns:
        The results of each, the outputs of both in the order of time, zeros at padded steps.
    """
    weights = [(one.kernel, one.recurrent_kernel, _bias(cell, one)) for one in layers]
    h, c = tf.stack([one.h for one in layers]), None
    if cell == "lstm":
        c = tf.stack([one.c for one in layers])
    outputs, h, c = _cudnn(cell, tf.transpose(x, [1, 0, 2]), lengths, weights, h, c)
    h, c = tf.unstack(h), [of.c for of in layers] if c is None else tf.unstack(c)
    if lengths is not None:
        outputs = tf.where(_real(lengths, tf.shape(x)[1]), outputs, tf.zeros_like(outputs))
    one, other = tf.split(outputs, 2, axis=-1)
    if lengths is not None and cell == "lstm":
        h[0] = tf.gather_nd(one, _at_the_end(lengths))
    outputs = (tf.transpose(half, [1, 0, 2]) for half in (one, other))
    return [LayerResult(*of_one) for of_one in zip(outputs, h, c, strict=True)]


def _bias(cell, inputs):
    """The bias of a layer as cuDNN wants it of a GRU, (2, 3 · units)."""
    bias = inputs.bias
    if cell == "lstm" or bias.shape.rank == 2:
        return bias
    return tf.stack([bias, tf.zeros_like(bias)])


def _cudnn(cell, x, lengths, weights, h, c=None):
    """Outputs and states, (directions, batch, units), of a layer or of one in each direction.

    All rows are read to the end, since rows of unequal lengths fail in TensorFlow now and then,
    with numbers that are wrong or an error (tensorflow issues 60192 and 105092): padded steps
    leave the states as they are instead, but for h of an LSTM.
    """
    if lengths is not None:
        x, weights = _without_padding(cell, x, lengths, weights)
    steps, rows = tf.unstack(tf.shape(x)[:2])
    row = [[0, 0], [0, tf.cast(rows == 0, tf.int32)], [0, 0]]  # cuDNN takes no empty batch
    x, h = tf.pad(x, row), tf.pad(h, row)
    found = tf.raw_ops.CudnnRNNV3(
        input=x,
        input_h=h,
        input_c=0.0 if c is None else tf.pad(c, row),
        params=cudnn_parameters(cell, *weights),
        sequence_lengths=tf.fill([tf.shape(x)[1]], steps),
        rnn_mode=cell,
        direction="bidirectional" if len(weights) == 2 else "unidirectional",
        is_training=True,  # as Keras calls it in predictions too; there is no dropout
        time_major=True,
    )
    last_c = None if c is None else found.output_c[:, :rows]
    return found.output[:, :rows], found.output_h[:, :rows], last_c


def _without_padding(cell, x, lengths, weights):
    """x (time, batch, inputs) and weights whose padded steps change neither h of a GRU nor c.

    A further input is 1 where there is padding. Its weights shut the input gate of an LSTM and
    open its forget gate, and keep all of the state of a GRU.
    """
    real = _real(lengths, tf.shape(x)[0])
    x = tf.where(real, x, tf.zeros_like(x))  # NaN times 0 is none in the gradients of the weights
    x = tf.concat([x, tf.cast(~real, x.dtype)], -1)
    closes = (-_SURE, _SURE, 0.0, 0.0) if cell == "lstm" else (_SURE, 0.0, 0.0)

    def extended(kernel, *others):
        of_gates = tf.split(tf.zeros_like(kernel[:1]), len(closes), axis=1)
        row = tf.concat([gate + by for gate, by in zip(of_gates, closes, strict=True)], 1)
        return tf.concat([kernel, row], 0), *others

    return x, [extended(*of_one) for of_one in weights]


def cudnn_parameters(cell, *layers):
    """The weights of a layer, or of one in each direction, as the one vector that cuDNN reads.

    First the matrices of all gates for the input, then those for the state, each (units,
    inputs); those of the second layer; then the biases in the same order. cuDNN has two biases
    for each gate; Keras's LSTM has one, so the other is 0. Keras orders a GRU's gates as z, r, h,
    cuDNN as r, z, h (NVIDIA, cuDNN API, RNN mode).

    Args:
        cell: one of ``CELLS``.
        layers: kernel, recurrent kernel and bias of each, the last of a GRU (2, 3 · units).
    """
    order = (0, 1, 2, 3) if cell == "lstm" else (1, 0, 2)
    matrices, biases = [], []
    for kernel, recurrent, bias in layers:
        for of_gates in (kernel, recurrent):
            of_gates = tf.split(of_gates, len(order), axis=1)
            matrices += [tf.transpose(of_gates[gate]) for gate in order]
        bias = tf.stack([tf.zeros_like(bias), bias]) if cell == "lstm" else bias
        for of_gates in tf.unstack(bias):
            of_gates = tf.split(of_gates, len(order))
            biases += [of_gates[gate] for gate in order]
    return tf.concat([tf.reshape(part, [-1]) for part in matrices + biases], 0)
