"""The layer that scales the raw input of a classifier or regressor."""

from __future__ import annotations

import keras
import numpy as np

from kerasrnn.data.checks import step_chunks
from kerasrnn.data.sequences import Dataset, Part

_MOST_FLAT = 2048  # values of a sequence that a linear model reads


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


def reads_flat(data: Dataset) -> bool:
    """Whether a linear model may read all steps: sequences are whole, of one length, not long."""
    train = data.train
    return train.lengths is None and not data.missing and train.x[0].size <= _MOST_FLAT


def flat(scale: keras.layers.Normalization, part: Part) -> np.ndarray:
    """The scaled steps of sequences, float64 (n, steps · features)."""
    return np.array(scale(np.asarray(part.x, "float32")), "float64").reshape(len(part), -1)
