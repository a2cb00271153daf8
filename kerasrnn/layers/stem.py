"""Convolution and averages over the steps of padded sequences, for the stem of a stack."""

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
        return _any_real(previous_mask, *self.strides)

    def compute_output_shape(self, input_shape):
        batch, time, features = input_shape
        around = self.kernel_size[0] - 1
        return super().compute_output_shape((batch, time and time + around, features))


@keras.saving.register_keras_serializable(package="kerasrnn")
class MaskedAveragePooling1D(keras.layers.Layer):
    """The mean of every few real steps: (batch, time, features) → (batch, ⌈time / n⌉, features).

    Args:
        pool_size: n, from 1. A step of the output is real where any of its n steps is.

    >>> import numpy as np
    >>> from kerasrnn import layers
    >>> x = np.array([[[1.0], [2.0], [3.0], [99.0], [99.0]]])
    >>> mask = np.array([[True, True, True, False, False]])
    >>> layers.MaskedAveragePooling1D(2)(x, mask=mask).numpy().ravel()
    array([1.5, 3. , 0. ], dtype=float32)
    """

    def __init__(self, pool_size: int, **kwargs):
        super().__init__(**kwargs)
        self.pool_size = pool_size
        self.supports_masking = True

    def call(self, x, mask=None):
        real = ops.ones_like(x[:, :, :1]) if mask is None else ops.expand_dims(mask, -1)
        real = ops.cast(real, x.dtype)
        total = self._sum(ops.where(real > 0, x, ops.zeros_like(x)))
        return total / ops.maximum(self._sum(real), 1)

    def _sum(self, x):
        size = self.pool_size
        missing = size - 1 - (ops.shape(x)[1] + size - 1) % size  # ONNX has no modulo of negatives
        x = ops.pad(x, [(0, 0), (0, missing), (0, 0)])
        return ops.sum(ops.reshape(x, (ops.shape(x)[0], -1, size, x.shape[2])), 2)

    def compute_mask(self, x, previous_mask=None):
        return _any_real(previous_mask, self.pool_size)

    def compute_output_shape(self, input_shape):
        batch, time, features = input_shape
        return batch, time and -(-time // self.pool_size), features

    def get_config(self):
        return super().get_config() | {"pool_size": self.pool_size}


@keras.saving.register_keras_serializable(package="kerasrnn")
class PiecewiseAggregate(keras.layers.Layer):
    """The means of equal pieces of sequences: (batch, time, features) → (batch, pieces, features).

    Piecewise aggregate approximation (Keogh et al. 2001). Of n real steps piece i holds those from
    ⌊i · n / pieces⌋ up to ⌈(i + 1) · n / pieces⌉, so that neighbours may share one, and of fewer
    steps than pieces each is repeated. Of none the means are 0.

    Args:
        pieces: their number.

    >>> import numpy as np
    >>> from kerasrnn import layers
    >>> x = np.array([[[1.0], [2.0], [4.0], [6.0], [99.0]]])
    >>> mask = np.array([[True, True, True, True, False]])
    >>> layers.PiecewiseAggregate(2)(x, mask=mask).numpy().ravel()
    array([1.5, 5. ], dtype=float32)
    """

    def __init__(self, pieces: int, **kwargs):
        super().__init__(**kwargs)
        self.pieces = pieces

    def call(self, x, mask=None):
        real = ops.ones_like(x[:, :, 0]) if mask is None else mask
        real = ops.cast(real, "float32")
        piece = ops.reshape(ops.arange(self.pieces, dtype="float32"), (1, -1, 1))
        lengths = ops.reshape(ops.sum(real, axis=1), (-1, 1, 1))
        starts = ops.floor(piece * lengths / self.pieces)
        ends = ops.ceil((piece + 1) * lengths / self.pieces)
        step = ops.expand_dims(ops.cumsum(real, axis=1), 1)  # 1, 2, …, and then the last again
        inside = (step > starts) & (step <= ends) & (ops.expand_dims(real, 1) > 0)
        inside = ops.cast(inside, x.dtype)
        total = ops.matmul(inside, ops.where(ops.expand_dims(real, -1) > 0, x, ops.zeros_like(x)))
        return total / ops.maximum(ops.sum(inside, axis=-1, keepdims=True), 1)

    def compute_mask(self, x, previous_mask=None):
        return None

    def compute_output_shape(self, input_shape):
        return input_shape[0], self.pieces, input_shape[2]

    def get_config(self):
        return super().get_config() | {"pieces": self.pieces}


def _any_real(mask, steps):
    """Which groups of so many steps hold a real one, bool (batch, ⌈time / steps⌉)."""
    if mask is None or steps == 1:
        return mask
    real = ops.expand_dims(ops.cast(mask, "float32"), -1)
    real = ops.pad(real, [(0, 0), (0, steps - 1), (0, 0)])
    return ops.max_pool(real, steps, steps)[:, :, 0] > 0
