"""Recipes: what the size of some data asks of a training. They know facts, never names.

Their numbers were chosen by cross-validation over the training parts of several data sets
(docs/defaults.md).
"""

from __future__ import annotations

import math

from kerasrnn.data.sequences import Dataset
from kerasrnn.tasks.base import Choice, Settings

_FEW = 1000  # sequences; fewer fit into many small batches only when they are repeated
_STEPS = (1200, 4000)  # of gradient descent, at least and, beyond ten epochs, at most
_EPOCHS = 30
_LONG, _LONGEST = 200, 700  # steps that a stem leaves of longer sequences: about, and at most
_STRIDE = 4  # half of a kernel, so that each step counts more than once


def sequence_recipe(data: Dataset, settings: Settings) -> dict[str, Choice]:
    """Choices for a classifier, or a regressor, of sequences of numbers.

    >>> import numpy as np
    >>> from kerasrnn import options
    >>> x, y = np.zeros((90, 50, 1)), ["up", "down", "flat"] * 30
    >>> data = Dataset.from_arrays(x, y, test=(x, y))
    >>> recipe = sequence_recipe(data, Settings(*options.tables("classifier")))
    >>> recipe["batch_size"]
    Choice(value=15, reason='90 sequences in 6 equal batches')
    >>> recipe["epochs"]
    Choice(value=200, reason='1,200 steps')
    """
    number, steps, _ = data.train.x.shape
    fit, model = settings.fit, settings.model
    recipe = {"batch_size": _batch_size(number)}
    batches = math.ceil(number / (fit["batch_size"] or recipe["batch_size"].value))
    stem = model["stem"] or ("none" if data.one_scale else "fcn")
    reason = "images, read row by row" if stem == "none" else "shapes in short pieces of a sequence"
    recipe |= {
        "epochs": _epochs(batches),
        "stem": Choice(stem, reason),
        "pooling": Choice("last", "both directions have read all steps"),
    }
    if stem == "none":
        return recipe | {
            "stem_stride": Choice(1, "no stem"),
            "dropout": Choice(0.2, "no stem"),
            "learning_rate": Choice(0.005, "no stem"),
            "schedule": Choice("constant", "no stem"),
            "patience": Choice(0, "no stem"),
        }
    stride = max(1, min(_STRIDE, round(steps / _LONG)), math.ceil(steps / _LONGEST))
    return recipe | {
        "stem_stride": Choice(stride, f"sequences of {steps:,} steps"),
        "dropout": _dropout(data, stem),
        "learning_rate": Choice(0.005, "convolutions with normalization"),
        "schedule": Choice("cosine", f"{_STEPS[0]:,} steps or more"),
        "patience": _patience(data, fit["epochs"] or recipe["epochs"].value),
    }


def _batch_size(number):
    if number >= _FEW:
        return Choice(32, f"{number:,} sequences")
    batches = math.ceil(number / 16)
    return Choice(math.ceil(number / batches), f"{number:,} sequences in {batches:,} equal batches")


def _epochs(batches):
    fewest, most = _STEPS
    epochs = max(math.ceil(fewest / batches), min(_EPOCHS, max(10, most // batches)))
    return Choice(epochs, f"{epochs * batches:,} steps")


def _dropout(data, stem):
    if stem == "fcn" and data.labels:
        return Choice(0.8, "the stack shall not outdo the convolutions beside it")
    return Choice(0.2, "numbers to predict" if data.targets else "convolutions before the stack")


def _patience(data, epochs):
    if data.validation is None:
        return Choice(0, "no validation part")
    return Choice(max(5, epochs // 2), f"half of {epochs} epochs")


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
