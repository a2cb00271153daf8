"""Scaling of each sequence by itself."""

from __future__ import annotations

import keras
from keras import ops

from kerasrnn.layers.sequence import MODES

_LEAST = 1e-7  # of a standard deviation, of input that is scaled as a whole


@keras.saving.register_keras_serializable(package="kerasrnn")
class InstanceScaling(keras.layers.Layer):
    """Shape, size and level of sequences: (batch, time, features) → (batch, time, 3 · features).

    First each feature with mean 0 and variance 1 over the real steps of its own sequence, as the
    UCR archive has its series (instance normalization, Ulyanov et al. 2016); then the logarithm of
    the standard deviation and the mean that were taken off, the same at all steps. So nothing is
    lost, and where sequences differ a thousandfold in size, small ones are seen as well as large.
    A feature that does not vary within a sequence has the shape 0.

    >>> import numpy as np
    >>> x = np.array([[[3.0], [5.0], [99.0]]])
    >>> mask = np.array([[True, True, False]])
    >>> InstanceScaling()(x, mask=mask).numpy()[0, :2].round(2).tolist()
    [[-1.0, 0.0, 4.0], [1.0, 0.0, 4.0]]
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, x, mask=None):
        real = None if mask is None else ops.expand_dims(mask, -1)

        def mean(values):
            return ops.expand_dims(MODES["mean"](values, real), 1)

        level = mean(x)
        size = ops.maximum(ops.sqrt(mean(ops.square(x - level))), _LEAST)
        same = ops.ones_like(x)
        return ops.concatenate([(x - level) / size, ops.log(size) * same, level * same], axis=-1)

    def compute_output_shape(self, input_shape):
        return *input_shape[:-1], 3 * input_shape[-1]
