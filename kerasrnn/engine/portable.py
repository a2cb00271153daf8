"""A recurrent layer of an export: cuDNN where the graph runs on a GPU, else plain TensorFlow.

Stock Keras chooses when it traces: a graph traced without a GPU never uses cuDNN, and one traced
on a GPU runs nowhere else. Here each layer is a call of a function with two bodies, one for each
device, under one name; both go into the SavedModel, and TensorFlow's implementation selector (a
pass of Grappler) takes the one for the device of the call when the graph is run. Weights and
shapes are arguments, so that all layers of one kind of cell share the two.
"""

from __future__ import annotations

from functools import cache

import tensorflow as tf

from kerasrnn.engine import compat
from kerasrnn.engine.native import LayerInputs, LayerResult

CELLS = ("lstm", "gru")  # those that cuDNN has
_MATRIX = tf.TensorSpec((None, None))
_BIAS_AND_STATES = {
    "lstm": [tf.TensorSpec((None,)), _MATRIX, _MATRIX],
    "gru": [tf.TensorSpec((2, None)), _MATRIX],
}


def recurrence(
    cell: str, x, lengths, inputs: LayerInputs, *, go_backwards: bool = False
) -> LayerResult:
    """All steps of an LSTM or GRU layer, on the device that the graph is run on.

    Args:
        cell: one of ``CELLS``; a GRU that resets after the product; Keras's default activations.
        x: float32 (batch, time, inputs), at least one step.
        lengths: int32 (batch,), the steps before the padding on the right; may be 0.
        inputs: weights as Keras has them, a GRU's bias (2, 3 · units) or (3 · units,); initial
            states (batch, units), c of an LSTM only.
        go_backwards: read the real steps from the last to the first.

    Returns:
        The outputs (batch, time, units) in the order of Keras's layer, unspecified at padded
        steps; and the states (batch, units) after the last real step, c as it came of a GRU.
    """
    bias, states = inputs.bias, [inputs.h, inputs.c]
    if cell == "gru":
        bias = bias if bias.shape.rank == 2 else tf.stack([bias, tf.zeros_like(bias)])
        states = [inputs.h]
    steps = tf.maximum(lengths, 1)  # cuDNN takes no empty row
    if go_backwards:
        x = tf.reverse_sequence(x, steps, seq_axis=1, batch_axis=0)
    called, other = _bodies(cell)
    compat.add_to_current_graph(other)
    weights = (inputs.kernel, inputs.recurrent_kernel, bias)
    outputs, *last = called(tf.transpose(x, [1, 0, 2]), steps, *weights, *states)
    outputs = tf.transpose(outputs, [1, 0, 2])
    if go_backwards:  # in the order of time, then in Keras's, where the last step is the first
        outputs = tf.reverse(tf.reverse_sequence(outputs, steps, seq_axis=1, batch_axis=0), [1])
    real = lengths[:, None] > 0
    last = [tf.where(real, new, old) for new, old in zip(last, states, strict=True)]
    return LayerResult(outputs, last[0], last[1] if cell == "lstm" else inputs.c)


@cache
def _bodies(cell):
    """The two bodies as concrete functions: that for a CPU, which a graph calls, and cuDNN's."""
    x, lengths = tf.TensorSpec((None, None, None)), tf.TensorSpec((None,), tf.int32)
    signature = [x, lengths, _MATRIX, _MATRIX, *_BIAS_AND_STATES[cell]]
    bodies = {
        "lstm": {"CPU": _lstm_on_cpu, "GPU": _lstm_on_gpu},
        "gru": {"CPU": _gru_on_cpu, "GPU": _gru_on_gpu},
    }
    return compat.alternatives(f"kerasrnn_{cell}", bodies[cell], signature)


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
    at_the_end = tf.stack([lengths - 1, tf.range(tf.size(lengths))], 1)
    return block.h, *[tf.gather_nd(values, at_the_end) for values in (block.h, block.cs)]


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


def _lstm_on_gpu(x, lengths, kernel, recurrent, bias, h, c):
    return _cudnn("lstm", x, lengths, [kernel, recurrent, bias], h, c[None])


def _gru_on_gpu(x, lengths, kernel, recurrent, bias, h):
    return _cudnn("gru", x, lengths, [kernel, recurrent, bias], h, 0.0)


def _cudnn(cell, x, lengths, weights, h, c):
    found = tf.raw_ops.CudnnRNNV3(
        input=x,
        input_h=h[None],
        input_c=c,
        params=cudnn_parameters(cell, *weights),
        sequence_lengths=lengths,
        rnn_mode=cell,
        is_training=True,  # as Keras calls it in predictions too; there is no dropout
        time_major=True,
    )
    states = [found.output_h, found.output_c] if cell == "lstm" else [found.output_h]
    return found.output, *[state[0] for state in states]


def cudnn_parameters(cell, kernel, recurrent, bias):
    """The weights of a layer as the one vector that cuDNN reads.

    First the matrices of all gates for the input, then those for the state, each (units,
    inputs), then the biases in the same order. cuDNN has two biases for each gate; Keras's LSTM
    has one, so the other is 0. Keras orders a GRU's gates as z, r, h, cuDNN as r, z, h (NVIDIA,
    cuDNN API, RNN mode).
    """
    if cell == "lstm":
        order, bias = (0, 1, 2, 3), tf.stack([tf.zeros_like(bias), bias])
    else:
        order = (1, 0, 2)
    parts = [tf.split(values, len(order), axis=1) for values in (kernel, recurrent)]
    parts += [tf.split(one, len(order)) for one in tf.unstack(bias)]
    ordered = [of_gates[gate] for of_gates in parts for gate in order]
    return tf.concat([tf.reshape(tf.transpose(part), [-1]) for part in ordered], 0)
