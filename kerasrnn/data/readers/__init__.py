"""Readers of data files, one a format: a path in, arrays out, every defect named. No Keras here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass
class Arrays:
    """Labelled sequences as a file holds them, unchecked.

    name: short. x, y, lengths: of the training part, or of all sequences where there are no
    x_test, y_test, lengths_test; lengths where sequences are right-padded. labels: the class
    names, if y holds indices into them. axes: what each axis of x means. one_scale: all
    features are of one kind (pixels), so that one mean and variance scales them all.
    """

    name: str
    x: Any
    y: Any
    lengths: Any = None
    x_test: Any = None
    y_test: Any = None
    lengths_test: Any = None
    labels: tuple[str, ...] | None = None
    axes: tuple[str, str, str] = ("sequence", "step", "feature")
    one_scale: bool = False
