"""The layer that scales the raw input of a classifier or regressor."""

from __future__ import annotations

import keras
import numpy as np

from kerasrnn.data.checks import step_chunks
from kerasrnn.data.sequences import Part
from kerasrnn.regression import evenly

_MOST_MEASURED = 1 << 11  # sequences of which the sizes are compared


def scaling(part: Part, one_scale: bool, name: str = "scaling") -> keras.layers.Normalization:
    """The layer that takes raw input to mean 0 and variance 1 over the real training steps.

    One mean and variance for all features where they are of one kind, else one for each; a
    feature that hardly varies in training is centred but not stretched. Missing values, NaN,
    stay out of both and stay missing.
    """
    axis = None if one_scale else 0

    def mean_of(value):
        """The mean of a function of the values, piece by piece, of those that are there."""
        total = number = 0
        for steps in step_chunks(part.x, part.lengths):
            total += np.nansum(value(steps), axis, dtype="float64")
            number += np.sum(~np.isnan(steps), axis)
        return total / np.maximum(number, 1)

    mean = mean_of(lambda steps: steps)
    variance = mean_of(lambda steps: np.square(steps - mean))
    variance = np.where(variance <= 1e-12 * mean**2, 1, variance)  # float32 rounding of a constant
    return keras.layers.Normalization(
        axis=None if one_scale else -1,
        mean=mean.tolist(),
        variance=variance.tolist(),
        name=name,
    )


def size_ratio(part: Part) -> float:
    """By how much the sizes of sequences differ, from 1.

    The size of a feature in a sequence is its standard deviation over the real steps. Of each
    feature the 95th percentile over the 5th is taken, of the sequences in which it varies, and of
    the features the median.

    >>> x = np.array([1, -1, 1, -1])[None, :, None] * np.array([1, 1, 2, 1000])[:, None, None]
    >>> round(size_ratio(Part(x, np.zeros(4, int))))
    850
    """
    sizes = np.array([_sizes(part, row) for row in evenly(len(part), _MOST_MEASURED)])
    sizes = sizes[:, ~np.isnan(sizes).all(0)]
    if not sizes.size:
        return 1.0
    small, large = np.nanquantile(sizes, (0.05, 0.95), axis=0)
    return float(np.median(large / small))


def _sizes(part, row):
    """Of each feature the deviation within a sequence; NaN where it does not vary."""
    steps = None if part.lengths is None else part.lengths[row]
    x = np.ma.masked_invalid(np.asarray(part.x[row][:steps], "float64"))
    deviation = x.std(0)
    return np.ma.masked_where(deviation <= 1e-6 * abs(x).max(0), deviation).filled(np.nan)
