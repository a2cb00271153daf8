"""Training curves: metrics of a history over its epochs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.ticker import MaxNLocator

from kerasrnn.errors import InputError
from kerasrnn.plotting.style import new_axes, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NOT_CURVES = (
    "epoch",
    "seconds",
    "learning_rate",
    "tokens_per_second",
    "bits_per_character",  # the loss in another unit
    "bits_per_word",
)


def metrics_in(history: Mapping[str, Sequence[float]]) -> list[str]:
    """The metrics of a history that are drawn, one picture each.

    >>> metrics_in({"epoch": [1], "loss": [2.0], "val_loss": [2.5], "seconds": [0.3]})
    ['loss']
    """
    return [name for name in history if not name.startswith("val_") and name not in _NOT_CURVES]


def plot_history(
    history: Mapping[str, Sequence[float]],
    metric: str = "loss",
    ax: Axes | None = None,
    label: str | None = None,
) -> Axes:
    """Draw one metric of a history over the epochs: training solid, validation dashed.

    Args:
        history: columns ``{"loss": [...], "val_loss": [...], "epoch": [...]}``, as
            ``Run.history()`` or the ``.history`` of a Keras ``History`` gives them; without
            ``epoch`` the epochs count from 1.
        metric: the column to draw.
        ax: Axes to draw on; a new figure's by default.
        label: name of the run in the legend, where several are drawn on one Axes; both its
            lines then have one colour.

    Returns:
        The Axes.

    Raises:
        InputError: the history lacks the metric.

    >>> plot_history({"loss": [2.0, 1.0], "val_loss": [2.5, 2.2]}).get_ylabel()
    'loss'
    """
    if not history.get(metric):
        raise InputError(
            f"no {metric!r} in the history",
            found=", ".join(metrics_in(history)) or "no finished epoch",
        )
    ax = ax or new_axes()
    epochs = history.get("epoch") or range(1, len(history[metric]) + 1)
    marker = "o" if len(epochs) == 1 else None
    prefix = f"{label}, " if label else ""
    (line,) = ax.plot(epochs, history[metric], marker=marker, label=f"{prefix}training")
    if f"val_{metric}" in history:
        ax.plot(
            epochs,
            history[f"val_{metric}"],
            linestyle="--",
            marker=marker,
            color=line.get_color() if label else None,
            label=f"{prefix}validation",
        )
    name = metric.replace("_", " ")
    ax.set(xlabel="epoch", ylabel=name, title=f"{name.capitalize()} by epoch")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.grid(alpha=0.3)
    ax.legend()
    return ax


def plot_histories(
    histories: Mapping[str, Mapping[str, Sequence[float]]],
    metric: str = "loss",
    ax: Axes | None = None,
) -> Axes:
    """Draw one metric of several runs on one Axes.

    Args:
        histories: ``{name: history}``; the names stand in the legend where there are several.
        metric, ax: as for ``plot_history``.

    Returns:
        The Axes.

    Raises:
        InputError: no history, or one that lacks the metric.

    >>> ax = plot_histories({"one": {"loss": [2.0, 1.0]}, "two": {"loss": [3.0, 1.5]}})
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['one, training', 'two, training']
    """
    if not histories:
        raise InputError("no history to draw", expected="at least one")
    for name, history in histories.items():
        ax = plot_history(history, metric, ax, label=name if len(histories) > 1 else None)
    return ax


def plot_panels(histories: Mapping[str, Mapping], metrics: Sequence[str], axes: Sequence[Axes]):
    """Draw each metric of several runs on the Axes in the same place."""
    for ax, metric in zip(axes, metrics, strict=True):
        plot_histories(histories, metric, ax)


def save_curves(
    path: str | os.PathLike, histories: Mapping[str, Mapping], metrics: Sequence[str]
) -> Path:
    """Draw metrics of ``{name: history}`` side by side and write them to ``path`` as ``save``."""
    return save(path, lambda *axes: plot_panels(histories, metrics, axes), len(metrics))
