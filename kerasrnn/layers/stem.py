"""Convolution over the steps of padded sequences, for the stem before a recurrent stack."""

from __future__ import annotations

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kerasrnn")
class MaskedConv1D(keras.layers.Conv1D):
    """A ``keras.layers.Conv1D`` that no padding reaches: (batch, time, features) → (…, filters).

    Masked steps are zeros to it, as is what lies before the first step and after the last. The
    kernel of output step t is centred on input step t · strides, however long the sequence is
    (padding ``"same"`` of Keras shifts it by the length), and there are ⌈time / strides⌉
    output steps. One is real where any of its ``strides`` input steps is.

    Args:
        filters, kernel_size, strides: as of ``keras.layers.Conv1D``, and so are all others but
            ``padding``, which is given.

    >>> import numpy as np
    >>> from kerasrnn import layers
    >>> sums = layers.MaskedConv1D(1, 3, strides=2, kernel_initializer="ones")
    >>> x = np.array([[[1.0], [2.0], [3.0], [99.0], [99.0]]])
    >>> mask = np.array([[True, True, True, False, False]])
    >>> sums(x, mask=mask).numpy().ravel(), sums.compute_mask(x, mask).numpy().ravel()
    (array([3., 5., 0.], dtype=float32), array([ True,  True, False]))
    """

    def __init__(self, filters: int, kernel_size: int, strides: int = 1, **kwargs):
        super().__init__(filters, kernel_size, strides, **kwargs | {"padding": "valid"})
        self.supports_masking = True

    def call(self, x, mask=None):
        if mask is not None:
            x = ops.where(ops.expand_dims(mask, -1), x, ops.zeros_like(x))
        around = self.kernel_size[0] - 1
        return super().call(ops.pad(x, [(0, 0), (around // 2, around - around // 2), (0, 0)]))

    def compute_mask(self, x, previous_mask=None):
        (stride,) = self.strides
        if previous_mask is None or stride == 1:
            return previous_mask
        real = ops.expand_dims(ops.cast(previous_mask, "float32"), -1)
        real = ops.pad(real, [(0, 0), (0, stride - 1), (0, 0)])
        return ops.max_pool(real, stride, stride)[:, :, 0] > 0

    def compute_output_shape(self, input_shape):
        batch, time, features = input_shape
        around = self.kernel_size[0] - 1
        return super().compute_output_shape((batch, time and time + around, features))
