"""What a regressor needs beside the stack: logarithms, quantiles in order, its loss."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kerasrnn")
class Logarithm(keras.layers.Layer):
    """The natural logarithm of some columns of x (batch, time, columns); the others as they are.

    Args:
        columns: their indices.
        floor: smaller values count as this one, which is positive.

    >>> import numpy as np
    >>> from kerasrnn import layers
    >>> layers.Logarithm([1])(np.array([[[2.0, 1.0]]])).numpy()
    array([[[2., 0.]]], dtype=float32)
    """

    def __init__(self, columns: Sequence[int], floor: float = 1e-6, **kwargs):
        super().__init__(**kwargs)
        self.columns, self.floor = list(columns), floor

    def call(self, x):
        chosen = ops.any(ops.one_hot(self.columns, x.shape[-1], dtype="bool"), axis=0)
        return ops.where(chosen, ops.log(ops.maximum(x, self.floor)), x)

    def get_config(self):
        return {**super().get_config(), "columns": self.columns, "floor": self.floor}


@keras.saving.register_keras_serializable(package="kerasrnn")
class SortedQuantiles(keras.layers.Layer):
    """Quantiles (…, levels) in rising order, so that none crosses another.

    Sorting never makes them worse (Chernozhukov, Fernández-Val & Galichon 2010).

    Args:
        levels: in (0, 1), rising; kept for who reads the model.

    >>> import numpy as np
    >>> from kerasrnn import layers
    >>> layers.SortedQuantiles([0.1, 0.5, 0.9])(np.array([[3.0, 1.0, 2.0]])).numpy()
    array([[1., 2., 3.]], dtype=float32)
    """

    def __init__(self, levels: Sequence[float], **kwargs):
        super().__init__(**kwargs)
        self.levels = list(levels)

    def call(self, x):
        return ops.sort(x, axis=-1)

    def get_config(self):
        return {**super().get_config(), "levels": self.levels}


@keras.saving.register_keras_serializable(package="kerasrnn")
class ScaledError(keras.losses.Loss):
    """Huber's loss of numbers in units of a scale, or the pinball loss of their quantiles.

    Targets y (batch, …, targets); predictions of the same shape, or (batch, …, targets, levels).

    Args:
        scale: the unit of each target, such as its standard deviation.
        quantiles: levels in (0, 1) that are predicted; none for the numbers themselves.

    >>> import numpy as np
    >>> from kerasrnn import layers
    >>> float(layers.ScaledError([2.0])(np.array([[0.0]]), np.array([[1.0]])))  # 0.5²/2
    0.125
    >>> float(layers.ScaledError([1.0], [0.9])(np.array([[1.0]]), np.array([[[0.0]]])))
    0.8999999761581421
    """

    def __init__(self, scale, quantiles=(), name="scaled_error", **kwargs):
        super().__init__(name=name, **kwargs)
        self.scale, self.quantiles = list(scale), list(quantiles)

    def call(self, y, predicted):
        scale = ops.cast(self.scale, predicted.dtype)
        y = ops.cast(y, predicted.dtype)
        if not self.quantiles:
            return keras.losses.huber(y / scale, predicted / scale)
        levels = ops.cast(self.quantiles, predicted.dtype)
        missed = (y[..., None] - predicted) / scale[:, None]
        loss = ops.maximum(levels * missed, (levels - 1) * missed)
        return ops.mean(loss, axis=(-1, -2))

    def get_config(self):
        return {**super().get_config(), "scale": self.scale, "quantiles": self.quantiles}
