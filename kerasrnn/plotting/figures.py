"""The pictures that can be drawn of what an evaluation left in a run, by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from kerasrnn.plotting.classes import (
    plot_calibration,
    plot_confusion,
    plot_f1,
    plot_label_counts,
    plot_lengths,
)
from kerasrnn.plotting.examples import plot_mistakes
from kerasrnn.plotting.numbers import plot_forecasts
from kerasrnn.plotting.tokens import plot_blanks, plot_perplexity, plot_probabilities, plot_tagged


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


def _confusion(normalize, found, ax):
    import numpy as np

    return plot_confusion(np.array(found["counts"]), found["labels"], ax, normalize=normalize)


FIGURES = {
    "confusion": Figure("metrics.json", "confusion", partial(_confusion, False)),
    "confusion-percent": Figure("metrics.json", "confusion", partial(_confusion, True)),
    "f1": Figure("metrics.json", "labels", plot_f1),
    "calibration": Figure("metrics.json", "calibration", plot_calibration),
    "positions": Figure("metrics.json", "positions", plot_perplexity),
    "mistakes": Figure("examples.json", "mistakes", plot_mistakes),
    "sentences": Figure("examples.json", "sentences", plot_tagged),
    "passages": Figure("examples.json", "passages", plot_probabilities),
    "blanks": Figure("examples.json", "blanks", plot_blanks),
    "forecasts": Figure("examples.json", "forecasts", plot_forecasts),
    "labels": Figure("run.json", "data.distribution.labels", plot_label_counts),
    "lengths": Figure("run.json", "data.distribution.lengths", plot_lengths),
}


def find(figure: Figure, content: dict):
    """What a figure draws in the content of its file; None where it is not there.

    >>> find(Figure("run.json", "data.name", print), {"data": {"name": "digits"}})
    'digits'
    """
    for name in figure.key.split("."):
        content = content.get(name) if isinstance(content, dict) else None
    return content
