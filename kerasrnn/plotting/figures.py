"""The pictures that can be drawn of what an evaluation left in a run, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from kerasrnn.plotting.classes import plot_confusion


class Figure(NamedTuple):
    """A row of ``FIGURES``.

    Attributes:
        file: the JSON file of a run that holds what is drawn.
        key: of its table; dots go into tables in it, ``"data.distribution"``.
        draw: called with what is found there, and with Axes.
    """

    file: str
    key: str
    draw: Callable


def _confusion(found, ax):
    import numpy as np

    return plot_confusion(np.array(found["counts"]), found["labels"], ax)


FIGURES = {
    "confusion": Figure("metrics.json", "confusion", _confusion),
}


def find(figure: Figure, content: dict):
    """What a figure draws in the content of its file; None where it is not there.

    >>> find(Figure("run.json", "data.name", print), {"data": {"name": "digits"}})
    'digits'
    """
    for name in figure.key.split("."):
        content = content.get(name) if isinstance(content, dict) else None
    return content
