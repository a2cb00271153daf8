"""A recurrent layer of an export: cuDNN where the graph runs on a GPU, else plain TensorFlow.

A graph that is traced on a machine without a GPU never uses cuDNN in stock Keras, and one that
is traced on a GPU runs nowhere else. Here each layer is a call of a function with two bodies,
one for each device, under one name; both go into the SavedModel, and TensorFlow's
implementation selector (a pass of Grappler) takes the one for the device the call is placed on
when the graph is run. Weights and shapes are arguments, so that all layers of one kind of cell
share the two.
"""

from __future__ import annotations

from functools import cache

import tensorflow as tf

CALLED = "CPU"  # the body that the call names; the selector takes the other where that suits
_MATRIX = tf.TensorSpec((None, None))
_BIAS_AND_STATES = {
    "lstm": [tf.TensorSpec((None,)), _MATRIX, _MATRIX],
    "gru": [tf.TensorSpec((2, None)), _MATRIX],
}


def recurrence(cell, x, lengths, weights, states, *, go_backwards=False):
    """All steps of an LSTM or GRU layer, on the device that the graph is run on.

    Args:
        cell: ``"lstm"`` or ``"gru"`` (reset after the product), with Keras's activations.
        x: float32 (batch, time, inputs), at least one step.
        lengths: int32 (batch,), the steps before the padding on the right; may be 0.
        weights: kernel, recurrent kernel and bias as Keras has them.
        states: the initial ones, h and of an LSTM c, float32 (batch, units).
        go_backwards: read the real steps from the last to the first.

    Returns:
        ``(outputs, states)``: outputs (batch, time, units) in the order of Keras's layer, what
        stands in the padding is left open; the states after the last real step.
    """
    steps = tf.maximum(lengths, 1)  # cuDNN takes no empty row
    if go_backwards:
        x = tf.reverse_sequence(x, steps, seq_axis=1, batch_axis=0)
    call, other = _bodies(cell) if CALLED == "CPU" else _bodies(cell)[::-1]
    # in the file beside the one that is called, which alone would be saved
    other.add_to_graph(tf.compat.v1.get_default_graph())
    outputs, *last = call(tf.transpose(x, [1, 0, 2]), steps, *weights, *states)
    outputs = tf.transpose(outputs, [1, 0, 2])
    if go_backwards:  # in the order of time, then in Keras's, where the last step is the first
        outputs = tf.reverse(tf.reverse_sequence(outputs, steps, seq_axis=1, batch_axis=0), [1])
    real = lengths[:, None] > 0
    return outputs, [tf.where(real, new, old) for new, old in zip(last, states, strict=True)]


@cache
def _bodies(cell):
    """The two bodies as concrete functions, that for a CPU first."""
    x, lengths = tf.TensorSpec((None, None, None)), tf.TensorSpec((None,), tf.int32)
    signature = [x, lengths, _MATRIX, _MATRIX, *_BIAS_AND_STATES[cell]]
    lstm = {"CPU": _lstm_on_cpu, "GPU": _lstm_on_gpu}
    bodies = lstm if cell == "lstm" else {"CPU": _gru_on_cpu, "GPU": _gru_on_gpu}
    with tf.init_scope():
        return [
            tf.function(
                body,
                input_signature=signature,
                autograph=False,
                experimental_attributes={
                    "api_implements": f"kerasrnn_{cell}",
                    "api_preferred_device": device,
                },
            ).get_concrete_function()
            for device, body in bodies.items()
        ]


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
    """The weights of a layer as cuDNN reads them, one vector.

    The matrices of all gates for the input, then for the state, each (units, inputs), then the
    biases in the same order. cuDNN has two biases for each gate, Keras's LSTM one: the other is
    0. Keras's GRU has its gates as z, r, h, cuDNN as r, z, h (NVIDIA, cuDNN API, RNN mode).
    """
    if cell == "lstm":
        order, bias = (0, 1, 2, 3), tf.stack([tf.zeros_like(bias), bias])
    else:
        order = (1, 0, 2)
    parts = [tf.split(values, len(order), axis=1) for values in (kernel, recurrent)]
    parts += [tf.split(one, len(order)) for one in tf.unstack(bias)]
    ordered = [of_gates[gate] for of_gates in parts for gate in order]
    return tf.concat([tf.reshape(tf.transpose(part), [-1]) for part in ordered], 0)
