"""Recipes: what the size of some data asks of a training. They know facts, never names.

Their numbers were chosen by cross-validation over the training parts of several data sets
(docs/defaults.md).
"""

from __future__ import annotations

import math

from kerasrnn.data.sequences import Dataset
from kerasrnn.tasks.base import Choice, Settings
from kerasrnn.tasks.scaling import size_ratio

_FEW = 1000  # sequences; fewer fit into many small batches only when they are repeated
_STEPS = (1200, 4000)  # of gradient descent, at least and at most, but for the fewest epochs
_STEPS_OF_NUMBERS = 600  # at least, of few sequences
_EPOCHS = (5, 30)  # of many sequences, at least and at most
_EPOCHS_OF_IMAGES = 10  # at least: their stack is cheap
_READ = 20_000_000  # steps of sequences that a stem reads in all, some minutes on two cores
_LONG, _LONGEST = 200, 700  # steps that a stem leaves of longer sequences: about, and at most
_MEMBERS = 5  # of few sequences, whose trainings differ most
_MEMBERS_OF_NUMBERS = (3, 8)  # each of which sees only some of few sequences
_LARGE_RATIO = 300  # of sizes; the convolutions do not see the small ones any more
_IMAGES = "images, read row by row"
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
    recipe = {"batch_size": _batch_size(number)}
    if data.one_scale:
        recipe |= _of_images(settings.model["stem"])
    else:
        recipe |= _of_series(data, settings.model["stem"], steps)
    if "instance_scaling" in settings.model:
        recipe["instance_scaling"] = _instance_scaling(data)
    size = settings.fit["batch_size"] or recipe["batch_size"].value
    read = math.ceil(steps / (settings.model["stem_stride"] or recipe["stem_stride"].value))
    low = _EPOCHS_OF_IMAGES if data.one_scale else _EPOCHS[0]
    recipe["epochs"] = _epochs(data, size, read, low)
    epochs = settings.fit["epochs"] or recipe["epochs"].value
    recipe["members"] = _members(data, epochs * number * read)
    return recipe | {"patience": _patience(data, epochs)}


def _instance_scaling(data):
    if data.one_scale:
        return Choice(False, _IMAGES)
    ratio = size_ratio(data.train)
    return Choice(ratio > _LARGE_RATIO, f"sizes differ {ratio:,.0f}-fold")


def _of_images(stem):
    return {
        "stem": Choice("none", _IMAGES),
        "stem_stride": Choice(1, _IMAGES),
        "pooling": Choice("last", _IMAGES),
        "dropout": Choice(0.8 if stem == "fcn" else 0.2, _IMAGES),
        "learning_rate": Choice(0.005, _IMAGES),
        "schedule": Choice("constant", _IMAGES),
    }


def _of_series(data, stem, steps):
    chosen = stem or "fcn"
    stride = max(1, min(_STRIDE, round(steps / _LONG)), math.ceil(steps / _LONGEST))
    last = Choice("last", "the convolutions beside the stack see all steps")
    both = Choice("mean_max", "early steps count as late ones")
    return {
        "stem": Choice("fcn", "shapes in short pieces of a sequence"),
        "stem_stride": Choice(1 if stem == "none" else stride, f"sequences of {steps:,} steps"),
        "pooling": last if chosen == "fcn" else both,
        "dropout": _dropout(data, chosen),
        "learning_rate": Choice(0.005, "falls to the end"),
        "schedule": Choice("cosine", "the last weights are good ones"),
    }


def _batch_size(number):
    if number >= _FEW:
        return Choice(32, f"{number:,} sequences")
    batches = math.ceil(number / 16)
    return Choice(math.ceil(number / batches), f"{number:,} sequences in {batches:,} equal batches")


def _epochs(data, size, read, low):
    """At least ``low`` of sequences in batches of a size, of which so many steps are read."""
    number, (fewest, most), members = len(data.train), _STEPS, 1
    if data.targets and number < _FEW:
        fewest, members = _STEPS_OF_NUMBERS, _MEMBERS_OF_NUMBERS[0]
    batches = math.ceil(number / size)
    most = max(fewest, min(most, _READ // (members * size * read)))
    epochs = max(math.ceil(fewest / batches), min(_EPOCHS[1], max(low, most // batches)))
    return Choice(epochs, f"{epochs * batches:,} steps")


def _members(data, read):
    """So many that they read no more than a stem may, of steps of sequences one read so many."""
    number = len(data.train)
    if data.targets and number < _FEW:
        fewest, most = _MEMBERS_OF_NUMBERS
        members = max(fewest, min(most, _READ // read))
        return Choice(members, "few sequences: those kept from a member tell its share")
    if data.one_scale or number >= _FEW:
        return Choice(1, f"{number:,} sequences, whose trainings differ little")
    return Choice(max(1, min(_MEMBERS, _READ // read)), "few sequences: a mean errs less")


def _dropout(data, stem):
    if stem == "fcn" and data.labels:
        return Choice(0.8, "the stack shall not outdo the convolutions beside it")
    return Choice(0.2, "numbers to predict" if data.targets else "a stack that reads all")


def _patience(data, epochs):
    if data.validation is None:
        return Choice(0, "no validation part")
    if data.one_scale:
        return Choice(0, _IMAGES)
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
