"""What all data has in common: its parts, padding, and which steps are real. No Keras here."""

from __future__ import annotations

import platform
import warnings
from collections.abc import Sequence
from itertools import chain
from typing import ClassVar

import numpy as np

_OF_PYTHON = ("english", "python")  # names of data that comes with Python itself


class ThreeParts:
    """Data in a training part and, where there are any, a validation and a test part."""

    reading: ClassVar[dict] = {}  # what the columns of its files mean

    def parts(self) -> dict:
        """The parts that there are, by name: training, validation, test."""
        names = {"training": "train", "validation": "validation", "test": "test"}
        parts = {name: getattr(self, field, None) for name, field in names.items()}
        return {name: part for name, part in parts.items() if part is not None}

    def sizes(self) -> dict[str, int]:
        """Number of sequences, sentences or tokens of each part."""
        return {name: len(part) for name, part in self.parts().items()}

    @property
    def origin(self) -> str:
        """What the data comes with if it changes with it, such as a version of Python, or ``""``.

        The names ``english`` and ``python`` mean other data after an upgrade of Python.
        """
        sources = [self.source] if isinstance(self.source, str) else self.source
        if not set(sources) & set(_OF_PYTHON):
            return ""
        return f"Python {platform.python_version()}'s standard library"

    def _sizes_in_words(self) -> str:
        return ", ".join(f"{size:,} {name}" for name, size in self.sizes().items() if size)


def warn_of_unseen_labels(data: ThreeParts, where: str):
    """Name the labels that other parts hold but not the training part, and how often."""
    if not data.unseen_labels:
        return
    y = np.concatenate([part.y for part in data.parts().values()])
    counts = np.bincount(y, minlength=len(data.labels + data.unseen_labels))[len(data.labels) :]
    counts = zip(data.unseen_labels, counts, strict=True)
    text = ", ".join(f"{label!r} ({count:,})" for label, count in counts)
    warnings.warn(
        f"{where}: labels that the training part lacks count as wrong: {text}", stacklevel=4
    )


def warn_of_no_validation(where: str):
    """Say that there are too few sequences for a validation part."""
    warnings.warn(
        f"{where}: too few sequences for a validation part; the best epoch is chosen without one",
        stacklevel=4,
    )


def real_steps(lengths: Sequence[int] | np.ndarray, time: int | None = None) -> np.ndarray:
    """Which steps are real and not padding, bool (n, time).

    lengths: int (n,). time: number of steps, by default the longest length.

    >>> real_steps([1, 3]).astype(int).tolist()
    [[1, 0, 0], [1, 1, 1]]
    """
    lengths = np.asarray(lengths, "int64")
    return np.arange(lengths.max(initial=0) if time is None else time) < lengths[:, None]


def pad(rows: Sequence[Sequence], padding=0, dtype="int32") -> np.ndarray:
    """Rows of unequal length as one array (n, longest), padded on the right.

    >>> pad([[5], [6, 7]]).tolist()
    [[5, 0], [6, 7]]
    """
    real = real_steps([len(row) for row in rows])
    padded = np.full(real.shape, padding, dtype)
    padded[real] = list(chain.from_iterable(rows))
    return padded
