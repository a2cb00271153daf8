"""What several models that learn together are trained by: each its own loss."""

from __future__ import annotations

import keras
from keras import ops

_LEAST = 1e-7  # a probability, as in Keras's losses


@keras.saving.register_keras_serializable(package="kerasrnn")
class GeometricMean(keras.layers.Layer):
    """Of several probabilities (batch, classes) their geometric mean, and what is left of 1.

    The cross-entropy of the result (batch, 2 · classes) is the mean of those of the members, so
    that each learns from its own; that of their mean would have them share the work out, and none
    would be good alone (Jeffares et al. 2023). The columns beyond the classes hold what is left,
    in equal parts.

    >>> import numpy as np
    >>> from kerasrnn import layers
    >>> members = [np.array([[0.9, 0.1]]), np.array([[0.4, 0.6]])]
    >>> layers.GeometricMean()(members).numpy().round(3)
    array([[0.6  , 0.245, 0.078, 0.078]], dtype=float32)
    """

    def call(self, members):
        logs = [ops.log(ops.maximum(member, _LEAST)) for member in members]
        mean = ops.exp(sum(logs) / len(logs))
        left = ops.maximum(1 - ops.sum(mean, axis=-1, keepdims=True), 0)
        return ops.concatenate([mean, ops.ones_like(mean) * left / mean.shape[-1]], axis=-1)

    def compute_output_shape(self, input_shape):
        batch, classes = input_shape[0]
        return (batch, 2 * classes)
