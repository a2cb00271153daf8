"""A layer of this package beside Keras's own with the same weights, and what both give."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasrnn import layers
from kerasrnn.engine import native

NATIVE = pytest.mark.skipif(native.library() is None, reason="the native loop was not built")
PAIRS = {
    "lstm": (layers.LSTM, keras.layers.LSTM),
    "gru": (layers.GRU, keras.layers.GRU),
    "simple": (layers.SimpleRNN, keras.layers.SimpleRNN),
}
MASKS = {
    "none": None,
    "right": np.arange(6) < np.array([[6], [1], [3], [5], [2]]),
    "gaps": np.random.default_rng(3).random((5, 6)) < 0.5,
    "empty": np.arange(6) < np.array([[0], [2], [0], [6], [1]]),
    "short": np.arange(6) < np.array([[3], [2], [0], [3], [1]]),
}


def pair(cell, shape=(5, 6, 3), units=11, both="no", **options):
    """One of our layers and Keras's with the same weights; ``both``: joined by Bidirectional."""
    options.setdefault("recurrent_initializer", "glorot_uniform")  # orthogonal takes seconds
    options.setdefault("bias_initializer", keras.initializers.RandomNormal(stddev=0.5, seed=1))
    ours, stock = (kind(units, **options) for kind in PAIRS[cell])
    stock.use_cudnn = False  # which has other masks than Keras's loop
    if both != "no":
        ours = layers.Bidirectional(ours, merge_mode=both)
        stock = keras.layers.Bidirectional(stock, merge_mode=both)
    for layer in (ours, stock):
        layer.build(shape)
    ours.set_weights(stock.get_weights())
    return ours, stock


def run(layer, x, mask=None, states=None, training=True):
    """All outputs, and the gradients of x, of the initial states and of the weights."""
    with tf.GradientTape() as tape:
        floats = [x] * x.dtype.is_floating + (states or [])
        tape.watch(floats)
        outputs = layer(x, mask=mask, initial_state=states, training=training)
        outputs = tf.nest.flatten(outputs)
        waves = [
            tf.reshape(tf.cos(tf.range(tf.size(o), dtype="float32")), o.shape) for o in outputs
        ]
        loss = sum(tf.reduce_sum(o * wave) for o, wave in zip(outputs, waves, strict=True))
    of = [*floats, *(weight.value for weight in layer.trainable_variables)]
    return outputs, tape.gradient(loss, of, unconnected_gradients="zero")


def assert_same(ours, stock, *arguments, **options):
    """Outputs within 1e-5, gradients within 1e-4 of the largest."""
    for ones, others, bound in zip(
        run(ours, *arguments, **options), run(stock, *arguments, **options), (0, 1), strict=True
    ):
        assert len(ones) == len(others)
        for one, other in zip(ones, others, strict=True):
            assert one.shape == other.shape
            scale = max(1e-3, np.abs(np.nan_to_num(other)).max(initial=0))
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-4 * scale if bound else 1e-5)


def initial_states(cell, directions=1):
    """Some for the layers of ``pair``."""
    number = directions * (2 if cell == "lstm" else 1)
    return [normal(5, 11, seed=seed) for seed in range(number)]


def normal(*shape, seed=0):
    return tf.constant(np.random.default_rng(seed).normal(size=shape).astype("float32"))
