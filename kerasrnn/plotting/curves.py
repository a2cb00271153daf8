"""Training curves: metrics of a history over its epochs."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from kerasrnn.errors import InputError, check_range
from kerasrnn.history import History, best_epoch
from kerasrnn.plotting.style import MARKERS, new_axes, palette, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes


_SPEEDS = ("tokens_per_second", "sequences_per_second")
_NOT_CURVES = (
    *("epoch", "seconds", "learning_rate", *_SPEEDS),
    "bits_per_character",  # the loss in another unit
    "bits_per_word",
)
_DECADES = 100  # times the least learning rate, from which on its axis is logarithmic
_MOST_ENTRIES = 8  # of a legend beside lines; of more each run has one
_COLUMN = 28  # entries of a legend beside the Axes, at most
_MARKS = 8  # of a line, about
_WORDS = ("training", "validation")


def metrics_in(history: History) -> list[str]:
    """The metrics of a history that are drawn, one picture each.

    >>> metrics_in({"epoch": [1], "loss": [2.0], "val_loss": [2.5], "seconds": [0.3]})
    ['loss']
    """
    return [name for name in history if not name.startswith("val_") and name not in _NOT_CURVES]


def with_speed(history: History, sequences: int | None) -> History:
    """A history with ``sequences_per_second``, where it does not say its tokens per second.

    sequences: those of the training part. The seconds of an epoch are those of its validation too.

    >>> with_speed({"loss": [2.0], "seconds": [0.5]}, 100)["sequences_per_second"]
    [200.0]
    """
    seconds = history.get("seconds", ())
    if not sequences or "tokens_per_second" in history or not all(n > 0 for n in seconds):
        return history
    return {**history, "sequences_per_second": [sequences / n for n in seconds]}


def smoothed(values: Sequence[float], smoothing: float) -> list[float]:
    """The exponential moving average of values, without its bias to zero at the beginning.

    As TensorBoard smooths (``resmoothDataset`` in its ``vz_line_chart2``): values that are no
    numbers stay, and the average goes on behind them.

    Args:
        values: one an epoch.
        smoothing: the weight of the average before, from 0 to below 1.

    Raises:
        InputError: another smoothing.

    >>> smoothed([1.0, 2.0, 2.0], 0.5)
    [1.0, 1.6666666666666667, 1.8571428571428572]
    """
    check_range("smoothing", smoothing, 0, 1)
    average, weight, found = 0.0, 1.0, []
    for value in values:
        if math.isfinite(value):
            average = smoothing * average + (1 - smoothing) * value
            weight *= smoothing
            value = average / (1 - weight)
        found.append(value)
    return found


def lines_of(history: History, metric: str) -> dict[str, str]:
    """The columns of a history that show a metric, and the word for each.

    Raises ``InputError`` where the history lacks the metric.

    >>> lines_of({"loss": [2.0], "val_loss": [2.5]}, "loss")
    {'loss': 'training', 'val_loss': 'validation'}
    """
    if not history.get(metric):
        found = [
            *metrics_in(history),
            *(name for name in history if name not in metrics_in(history)),
        ]
        raise InputError(
            f"no {metric!r} in the history", found=", ".join(found) or "no finished epoch"
        )
    if metric.startswith("val_") or metric in ("seconds", "learning_rate", *_SPEEDS):
        return {metric: ""}
    columns = [metric, f"val_{metric}"]
    return {column: word for column, word in zip(columns, _WORDS, strict=True) if column in history}


def plot_history(
    history: History,
    metric: str = "loss",
    ax: Axes | None = None,
    label: str | None = None,
    smoothing: float = 0.0,
) -> Axes:
    """Draw one metric of a history over the epochs: training solid, validation dashed.

    A ring marks the epoch with the best model. A learning rate that spans decades gets a
    logarithmic axis.

    Args:
        history: columns ``{"loss": [...], "val_loss": [...], "epoch": [...]}``, as
            ``Run.history()`` or the ``.history`` of a Keras ``History`` gives them; without
            ``epoch`` the epochs count from 1.
        metric: the column to draw, with that of the validation part where there is one; or
            ``"val_loss"`` alone, ``"learning_rate"``, ``"tokens_per_second"``, …
        ax: Axes to draw on; a new figure's by default.
        label: name of the run in the legend, where several are drawn on one Axes; both its
            lines then have one colour and one marker.
        smoothing: of an exponential moving average, from 0 to below 1, as of ``smoothed``; the
            values themselves stay, faint.

    Returns:
        The Axes.

    Raises:
        InputError: the history lacks the metric, or no such smoothing.

    >>> plot_history({"loss": [2.0, 1.0], "val_loss": [2.5, 2.2]}).get_ylabel()
    'loss'
    """
    from matplotlib.ticker import MaxNLocator

    lines = lines_of(history, metric)
    smoothing = 0 if metric == "learning_rate" else smoothing  # it has no noise
    ax = ax or new_axes()
    colours, run = palette(ax), len(_looks(ax))
    epochs = history.get("epoch") or range(1, len(history[metric]) + 1)
    best = best_epoch(history) if any(name.startswith("val_") for name in lines) else None
    for index, (column, word) in enumerate(lines.items()):
        colour = colours[(run if label else index) % len(colours)]
        look = {"color": colour, "linestyle": "--" if word == "validation" else "-"}
        if label or len(epochs) == 1:
            look["marker"] = MARKERS[run % len(MARKERS)]
        values = history[column]
        if smoothing:
            ax.plot(epochs, values, color=colour, alpha=0.35, linewidth=1, zorder=1.5, label="_raw")
        name = ", ".join(filter(None, (label, word))) or "_"
        every = max(1, len(epochs) // _MARKS)
        look |= {"markevery": (run % every, every), "label": name}
        ax.plot(epochs, smoothed(values, smoothing), **look)
        if best is not None and column.startswith("val_"):
            ring = {"facecolors": "none", "edgecolors": colour, "zorder": 3}
            ax.scatter(epochs[best], values[best], s=130, linewidths=2, **ring)
    name = metric.replace("val_", "validation ").replace("_", " ").replace("f1", "F1")
    ax.set(xlabel="epoch", ylabel=name, title=f"{name[0].upper()}{name[1:]} by epoch")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    _scale(ax, metric, history[metric])
    ax.grid(True)
    _add_legend(ax, None if best is None else f"○ best epoch{'' if label else f': {epochs[best]}'}")
    return ax


def _looks(ax):
    """The colours and markers of the runs on some Axes, and a line of each."""
    lines = [line for line in ax.get_lines() if line.get_label() != "_raw"]
    return {(line.get_color(), line.get_marker()): line for line in reversed(lines)}


def _scale(ax, metric, values):
    if metric == "learning_rate" and min(values) > 0 and max(values) >= _DECADES * min(values):
        ax.set_yscale("log")
    if metric in _SPEEDS:
        ax.set_ylim(bottom=0)


def _add_legend(ax, title):
    """A legend of the lines; of many lines one beside the Axes, of runs."""
    from matplotlib.lines import Line2D

    lines = [line for line in ax.get_lines() if not line.get_label().startswith("_")]
    if len(lines) <= _MOST_ENTRIES:
        if lines or title:
            ax.legend(handles=lines, title=title, alignment="left")
        return
    entries = {
        re.sub(f", ({'|'.join(_WORDS)})$", "", line.get_label()): {
            "color": line.get_color(),
            "marker": line.get_marker(),
        }
        for line in lines
    }
    if len(entries) < len(lines):
        plain = ax.xaxis.label.get_color()
        entries |= {
            word: {"color": plain, "linestyle": dashes}
            for word, dashes in zip(_WORDS, ("-", "--"), strict=True)
        }
    handles = [Line2D([], [], label=name, **look) for name, look in entries.items()]
    size = "small" if len(handles) < _COLUMN / 2 else "x-small"
    ax.legend(
        handles=handles,
        title=title,
        alignment="left",
        loc="upper left",
        bbox_to_anchor=(1, 1),
        fontsize=size,
        title_fontsize=size,
        labelspacing=0.3,
        ncols=math.ceil(len(handles) / _COLUMN),
    )


def plot_histories(
    histories: Mapping[str, History],
    metric: str = "loss",
    ax: Axes | None = None,
    smoothing: float = 0.0,
) -> Axes:
    """Draw one metric of several runs on one Axes.

    Args:
        histories: ``{name: history}``; the names stand in the legend where there are several.
        metric, ax, smoothing: as for ``plot_history``.

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
        ax = plot_history(history, metric, ax, name if len(histories) > 1 else None, smoothing)
    return ax


def plot_panels(
    histories: Mapping[str, History], metrics: Sequence[str], smoothing: float, *axes: Axes
):
    """Draw each metric of several runs on the Axes in the same place."""
    for ax, metric in zip(axes, metrics, strict=True):
        plot_histories(histories, metric, ax, smoothing)


def save_curves(
    path: str | os.PathLike, histories: Mapping[str, History], metrics: Sequence[str]
) -> Path:
    """Draw metrics of ``{name: history}`` side by side and write them to ``path`` as ``save``."""
    return save(path, partial(plot_panels, histories, metrics, 0.0), len(metrics))
