"""Shares of the steps at which convolutions of fixed kernels are above thresholds, as a layer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, islice

import keras
import numpy as np
from keras import ops

_TAPS = 9
_PLACES = np.array([*combinations(range(_TAPS), 3)])  # of the taps of 2, kernel by kernel
_KERNELS = np.full((_TAPS, len(_PLACES)), -1.0)
_KERNELS[_PLACES.T, np.arange(len(_PLACES))] = 2.0
_MOST_DILATIONS, _THRESHOLDS = 32, 48  # of each kernel, all together
_MOST_CHANNELS = 9  # features that a kernel reads
_SOFT = 0.1  # standard deviations of a convolution, over which a step comes to count
_LEAST = 1e-6


@keras.saving.register_keras_serializable(package="kerasrnn")
class MiniRocket(keras.layers.Layer):
    """At how many steps convolutions are above thresholds: (batch, time, features) → (batch, n).

    MiniRocket (Dempster, Schmidt & Webb 2021) has 84 kernels of nine taps, three of 2 and six of
    -1, which read every step, every second, and so on. Each value is the share of the steps at
    which a convolution is above a threshold, a quantile of that convolution in a training
    sequence. Of several features a kernel reads some, at random, and sums them. Here a step comes
    to count over a tenth of the convolution's standard deviation, not at once, so that rounding on
    another device changes little. Before the first step and after the last are zeros; masked
    steps are zeros too and never count.

    ``adapt`` finds thresholds; until then all are 0. Training by gradients leaves them alone.

    Args:
        dilations: for each size of the kernels, how many steps apart the taps are.
        thresholds: for each of these, how many each kernel has; n is 84 for each.

    >>> import numpy as np
    >>> from kerasrnn import layers
    >>> x = np.random.default_rng(0).normal(size=(20, 30, 1)).astype("float32")
    >>> layer = layers.MiniRocket.of_length(30)
    >>> layer.adapt(x)
    >>> layer(x).shape
    TensorShape([20, 4032])
    """

    VALUES = _THRESHOLDS * len(_PLACES)  # of a layer ``of_length``

    def __init__(self, dilations: Sequence[int], thresholds: Sequence[int], **kwargs):
        super().__init__(**kwargs | {"trainable": False, "dtype": "float32"})
        self.dilations, self.thresholds = [*map(int, dilations)], [*map(int, thresholds)]

    @classmethod
    def of_length(cls, steps: int, **kwargs) -> MiniRocket:
        """The layer for sequences of so many steps, which its longest kernels span."""
        longest = np.log2((max(steps, _TAPS) - 1) / (_TAPS - 1))
        tried = np.logspace(0, longest, _MOST_DILATIONS, base=2).astype(int)
        dilations, number = np.unique(tried, return_counts=True)
        number = number * _THRESHOLDS // _MOST_DILATIONS
        number[: _THRESHOLDS - number.sum()] += 1
        return cls(dilations, number, **kwargs)

    def build(self, input_shape):
        kernels, number = len(_PLACES), len(self.dilations)
        self.levels = self.add_weight((sum(self.thresholds), kernels), "zeros", name="levels")
        self.widths = self.add_weight((number, kernels), "ones", name="widths")
        self.channels = self.add_weight((number, input_shape[-1], kernels), "ones", name="channels")

    def adapt(self, x: np.ndarray, mask: np.ndarray | None = None, seed: int = 0) -> None:
        """Take thresholds from some training sequences (n, time, features), drawn by a seed.

        mask: bool (n, time), the real steps; by default all are.
        """
        if not self.built:
            self.build(x.shape)
        rng, kernels = np.random.default_rng(seed), len(_PLACES)
        rows = rng.integers(len(x), size=kernels)
        x = ops.take(ops.convert_to_tensor(x, "float32"), rows, axis=0)
        real = np.ones(x.shape[:2], bool) if mask is None else np.asarray(mask)[rows]
        x = ops.where(real[:, :, None], x, 0.0)
        self.channels.assign(_some_channels(rng, *self.channels.shape))
        levels, widths = [], []
        for index, number in enumerate(self.thresholds):
            found = np.asarray(self._convolved(x, index), "float64")
            own = [found[kernel, real[kernel], kernel] for kernel in range(kernels)]
            drawn = (np.arange(number) + rng.random((kernels, 1))) / number
            levels.extend(np.stack([*map(_quantiles, own, drawn)], axis=1))
            widths.append(np.maximum(_SOFT * found[real].std(0), _LEAST))
        self.levels.assign(np.stack(levels))
        self.widths.assign(np.stack(widths))

    def _convolved(self, x, index):
        """All kernels at the dilation of that index, (batch, time, kernels)."""
        dilation, steps = self.dilations[index], ops.shape(x)[1]
        around = dilation * (_TAPS // 2)
        padded = ops.pad(x, [(0, 0), (around, around), (0, 0)])
        starts = [dilation * tap for tap in range(_TAPS)]
        taps = ops.concatenate([padded[:, start : start + steps] for start in starts], axis=-1)
        kernels = ops.convert_to_tensor(_KERNELS[:, None], "float32") * self.channels[index]
        return ops.matmul(taps, ops.reshape(kernels, (-1, len(_PLACES))))

    def call(self, x, mask=None):
        real = ops.ones_like(x[:, :, 0]) if mask is None else ops.cast(mask, x.dtype)
        x = ops.where(ops.expand_dims(real, -1) > 0, x, ops.zeros_like(x))
        share = real / ops.maximum(ops.sum(real, axis=1, keepdims=True), 1)
        share, found, levels = ops.expand_dims(share, 1), [], iter(ops.unstack(self.levels))
        for index, number in enumerate(self.thresholds):
            width = self.widths[index]
            scaled = self._convolved(x, index) / width
            for level in islice(levels, number):
                above = ops.clip(scaled - (level / width - 0.5), 0, 1)
                found.append(ops.matmul(share, above)[:, 0])
        return ops.concatenate(found, axis=-1)

    def compute_mask(self, x, previous_mask=None):
        return None

    def compute_output_shape(self, input_shape):
        return input_shape[0], len(_PLACES) * sum(self.thresholds)

    def get_config(self):
        sizes = {"dilations": self.dilations, "thresholds": self.thresholds}
        return super().get_config() | sizes


def _some_channels(rng, dilations, features, kernels):
    """Which features each kernel reads at each dilation, 1 or 0 (dilations, features, kernels)."""
    most = np.log2(min(features, _MOST_CHANNELS) + 1)
    number = np.floor(2 ** rng.uniform(0, most, (dilations, 1, kernels))).clip(1, features)
    ranks = rng.random((dilations, features, kernels)).argsort(axis=1).argsort(axis=1)
    return (ranks < number).astype("float32")


def _quantiles(values, levels):
    return np.quantile(values, levels) if len(values) else np.zeros_like(levels)
