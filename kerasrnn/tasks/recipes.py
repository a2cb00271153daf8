"""The recipe for sequences of numbers: what their number and length ask of a training.

It knows sizes, never names. Its numbers were chosen by cross-validation over the training parts
of several data sets (docs/defaults.md).
"""

from __future__ import annotations

import math

from kerasrnn.data.sequences import Dataset
from kerasrnn.tasks.base import Choice, Settings

_MANY = 1000  # sequences that fill a training by themselves
_STEPS = 1200  # that few need, however often they repeat
_BATCH = 16  # of few
_LONG = 200  # steps that a stack reads one by one; of more the stem leaves about so many


def sequence_recipe(data: Dataset, settings: Settings) -> dict[str, Choice]:
    """Choices for a classifier, or a regressor, of sequences of numbers.

    >>> import numpy as np
    >>> from kerasrnn import options
    >>> x, y = np.zeros((90, 50, 1)), ["up", "down", "flat"] * 30
    >>> data = Dataset.from_arrays(x, y, test=(x, y))
    >>> settings = Settings(*options.tables("classifier"))
    >>> {name: choice.value for name, choice in sequence_recipe(data, settings).items()}
    """
    number, steps, _ = data.train.x.shape
    few = number < _MANY
    facts = f"{number:,} sequences"
    fit, stem = settings.fit, settings.model["stem"]
    if few:
        batches = math.ceil(number / _BATCH)
        batch = Choice(math.ceil(number / batches), f"{facts} in equal batches")
    else:
        batch = Choice(32, facts)
    batches = math.ceil(number / (fit["batch_size"] or batch.value))
    epochs = max(30, math.ceil(_STEPS / batches))
    stem = stem or ("conv" if few or steps > 30 else "none")
    return {
        "stem": Choice(stem, ""),
        "stem_stride": Choice(max(1, round(steps / _LONG)), f"{steps:,} steps"),
        "pooling": Choice("last", ""),
        "dropout": Choice(0.8 if stem == "conv" else 0.2, ""),
        "batch_size": batch,
        "epochs": Choice(epochs, f"{epochs * batches:,} steps of gradient descent"),
        "learning_rate": Choice(0.002 if stem == "conv" else 0.005, ""),
        "schedule": Choice("cosine" if stem == "conv" else "constant", ""),
        "patience": Choice(0, ""),
    }


def series_recipe() -> dict[str, Choice]:
    """Choices for forecasts: their model starts as the best linear one, and has little to learn."""
    linear = "from a linear start"
    return {
        "stem": Choice("none", linear),
        "stem_stride": Choice(1, "no stem"),
        "pooling": Choice("last", "the newest steps say most"),
        "dropout": Choice(0.2, linear),
        "batch_size": Choice(64, "windows overlap"),
        "epochs": Choice(10, linear),
        "learning_rate": Choice(0.001, linear),
        "schedule": Choice("cosine", linear),
        "patience": Choice(0, "few epochs"),
    }
