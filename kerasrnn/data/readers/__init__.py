"""Readers of data files, one a format: a path in, arrays or columns out. No Keras here.

Every defect is an ``InputError`` that names the path, and the line where there are lines.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np


class Sequences(NamedTuple):
    """Sequences of one part as a file holds them, unchecked.

    x: numbers (n, time, features) or (n, time); a missing value is NaN. y: labels (n,), or numbers
    to predict (n, targets). lengths: the steps of each, where they are right-padded.
    """

    x: Any
    y: Any = None
    lengths: Any = None


@dataclass
class Arrays:
    """Sequences with a label or numbers each, as files hold them, unchecked.

    name: short. parts: ``"training"`` and perhaps ``"validation"`` and ``"test"``. labels: the
    class names, if y holds indices into them. targets: the names of the numbers to predict, if
    y holds such. axes: what each axis of x means. one_scale: all features are of one kind
    (pixels), so that one mean and variance scales them all. reading: how another file of the
    kind is read, such as the roles of its columns; JSON. groups: what each of the training part
    belongs to, n strings, where those of one group must not be in two parts.
    """

    name: str
    parts: dict[str, Sequences]
    labels: tuple[str, ...] | None = None
    targets: tuple[str, ...] | None = None
    axes: tuple[str, str, str] = ("sequence", "step", "feature")
    one_scale: bool = False
    reading: dict = field(default_factory=dict)
    groups: list[str] | None = None


class LabelledTexts(NamedTuple):
    """Texts of one part as files hold them.

    texts: n strings. labels: a string for each, or a list of strings where a text may have
    several; None of texts to predict.
    """

    texts: list[str]
    labels: list | None


@dataclass
class TextParts:
    """Texts with labels; ``name``, ``parts``, ``reading`` and ``groups`` as of ``Arrays``."""

    name: str
    parts: dict[str, LabelledTexts]
    reading: dict = field(default_factory=dict)
    groups: list[str] | None = None


class Rows(NamedTuple):
    """The rows of one series in the order of time.

    values: float64 (rows, columns), NaN where missing. times: datetime64 (rows,), or numbers,
    or None where rows have no time. id: which of several series it is. splits: what a column says
    of the part of each, strings (rows,); None where there is no such column.
    """

    values: np.ndarray
    times: np.ndarray | None = None
    id: str = ""
    splits: np.ndarray | None = None


@dataclass
class TimeSeries:
    """Series whose future is to be predicted, unchecked.

    columns: names of the columns of the values. targets: those to predict. known: those known
    in advance. test: the rows that follow in a file of their own; None where they are cut off.
    ``name`` and ``reading`` as of ``Arrays``.
    """

    name: str
    series: list[Rows]
    columns: tuple[str, ...]
    targets: tuple[str, ...]
    known: tuple[str, ...] = ()
    test: list[Rows] | None = None
    reading: dict = field(default_factory=dict)
