"""Matplotlib pictures of runs. Functions take data and an optional ``ax``, return the Axes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kerasrnn.errors import InputError
from kerasrnn.files import atomic

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes

FORMATS = (".png", ".svg", ".pdf")  # those that need no other program
_NOT_CURVES = (
    "epoch",
    "seconds",
    "learning_rate",
    "tokens_per_second",
    "bits_per_character",  # the loss in another unit
    "bits_per_word",
)
_COLUMNS = 66  # characters of a line of tokens
_MOST_POINTS = 5000  # of a scatter plot
_MOST_VALUES = 20  # classes up to which a confusion matrix shows its numbers


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
    ax = ax or _new_axes()
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


def plot_confusion(matrix: np.ndarray, labels: Sequence[str], ax: Axes | None = None) -> Axes:
    """Draw a confusion matrix, true labels down and predicted labels across.

    Args:
        matrix: counts, int (classes, classes), as ``evaluation.confusion`` gives them.
        labels: the names of the classes.
        ax: Axes to draw on; a new figure's by default.

    Returns:
        The Axes.

    >>> import numpy as np
    >>> plot_confusion(np.array([[3, 1], [0, 2]]), ["no", "yes"]).get_xlabel()
    'predicted label'
    """
    from sklearn.metrics import ConfusionMatrixDisplay

    few = len(labels) <= _MOST_VALUES
    display = ConfusionMatrixDisplay(matrix, display_labels=labels)
    display.plot(
        ax=ax,
        include_values=few,
        cmap="Blues",
        colorbar=not few,
        xticks_rotation="vertical" if max(map(len, labels)) > 2 else "horizontal",
    )
    display.ax_.set(xlabel="predicted label", ylabel="true label", title="Confusion matrix")
    return display.ax_


def plot_tokens(sentences: Sequence[Sequence[tuple[str, str]]], ax: Axes | None = None) -> Axes:
    """Draw the tokens of sentences, each on the colour of its label.

    A figure that holds nothing else gets as high as the text needs.

    Args:
        sentences: the (token, label) pairs of each, as ``Tagger.predict`` gives them.
        ax: Axes to draw on; a new figure's by default.

    Returns:
        The Axes.

    >>> ax = plot_tokens([[("time", "NOUN"), ("flies", "VERB")]])
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['NOUN', 'VERB']
    """
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    ax = ax or _new_axes()
    labels = sorted({label for pairs in sentences for _, label in pairs})
    colours = {label: colormaps["tab20"](2 * index % 20 + 1) for index, label in enumerate(labels)}
    row = column = 0
    for pairs in sentences:
        for token, label in pairs:
            shown = token.replace("\n", "↵").replace("\t", "→")
            if column and column + len(shown) > _COLUMNS:
                row, column = row + 1, 0
            patch = {"facecolor": colours[label], "edgecolor": "none"}
            ax.add_patch(Rectangle((column - 0.25, row + 0.1), len(shown) + 0.5, 0.8, **patch))
            ax.text(column, row + 0.55, shown, family="monospace", fontsize=9, va="center")
            column += len(shown) + 1
            if "\n" in token:
                row, column = row + 1, 0
        row, column = row + (column > 0), 0
    if len(ax.figure.axes) == 1:
        ax.figure.set_figheight(0.26 * max(row, 1) + 0.6)
    ax.set(xlim=(-0.5, _COLUMNS + 0.5), ylim=(max(row, 1), 0))
    ax.axis("off")
    patches = [Rectangle((0, 0), 1, 1, facecolor=colours[label], label=label) for label in labels]
    ax.legend(handles=patches, loc="upper left", bbox_to_anchor=(0, 0), ncols=6, fontsize=8)
    return ax


def plot_predicted(
    y: np.ndarray, predicted: np.ndarray, ax: Axes | None = None, name: str = "value"
) -> Axes:
    """Draw predicted against true numbers, and the line on which they would be equal.

    Args:
        y, predicted: numbers of one shape; 5,000 of more are drawn, evenly spread.
        ax: Axes to draw on; a new figure's by default.
        name: what the numbers are.

    Returns:
        The Axes.

    >>> plot_predicted([1.0, 2.0], [1.5, 2.0], name="weight").get_xlabel()
    'true weight'
    """
    import numpy as np

    ax = ax or _new_axes()
    y, predicted = np.ravel(y), np.ravel(predicted)
    chosen = np.linspace(0, len(y) - 1, min(len(y), _MOST_POINTS)).astype(int)
    ax.scatter(y[chosen], predicted[chosen], s=8, alpha=0.4, edgecolors="none")
    ends = [min(y.min(), predicted.min()), max(y.max(), predicted.max())]
    ax.plot(ends, ends, color="black", linewidth=0.8)
    ax.set(xlabel=f"true {name}", ylabel=f"predicted {name}", title="Predicted against true")
    ax.grid(alpha=0.3)
    return ax


def plot_forecast(
    history: np.ndarray,
    forecast: np.ndarray,
    quantiles: Sequence[float] = (),
    ax: Axes | None = None,
    *,
    truth: np.ndarray | None = None,
    name: str = "value",
) -> Axes:
    """Draw a forecast after its history, with the band between its outer quantiles.

    Args:
        history: numbers (rows,) up to the forecast.
        forecast: numbers (horizon,), or (horizon, levels) of quantiles.
        quantiles: their levels.
        ax: Axes to draw on; a new figure's by default.
        truth: what came to pass, (horizon,).
        name: what the numbers are.

    Returns:
        The Axes.

    >>> ax = plot_forecast([1.0, 2.0], [[2.0, 3.0, 4.0]], (0.1, 0.5, 0.9))
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['history', '0.1 to 0.9', 'forecast (0.5)']
    """
    import numpy as np

    ax = ax or _new_axes()
    history, forecast = np.asarray(history), np.asarray(forecast)
    steps = np.arange(1, len(forecast) + 1)
    ax.plot(np.arange(1 - len(history), 1), history, label="history")
    label = "forecast"
    if len(quantiles):
        middle = int(np.abs(np.array(quantiles) - 0.5).argmin())
        band = f"{quantiles[0]:g} to {quantiles[-1]:g}"
        ax.fill_between(steps, forecast[:, 0], forecast[:, -1], alpha=0.3, color="C1", label=band)
        label, forecast = f"forecast ({quantiles[middle]:g})", forecast[:, middle]
    marker = "o" if len(steps) == 1 else None
    ax.plot(steps, forecast, color="C1", marker=marker, label=label)
    if truth is not None:
        ax.plot(steps, truth, color="black", linewidth=0.8, marker=marker, label="true")
    ax.set(xlabel="step from the last value seen", ylabel=name, title=f"Forecast of {name}")
    ax.grid(alpha=0.3)
    ax.legend()
    return ax


def panel_size(panels: int) -> tuple[float, float]:
    """Width and height in inches of a figure with ``panels`` Axes side by side."""
    return 6.4 * panels, 4.8


def save(path: str | os.PathLike, draw: Callable, panels: int = 1) -> Path:
    """Call ``draw`` with ``panels`` Axes side by side and write the figure to ``path``.

    The suffix chooses the format: .png, .svg or .pdf. Raises ``InputError`` for another, or a
    place that cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise InputError(
            "unknown picture format", found=repr(path.name), expected=".png, .svg or .pdf"
        )
    figure = Figure(figsize=panel_size(panels), layout="constrained")
    draw(*figure.subplots(1, panels, squeeze=False)[0])
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=150)
    return path


def save_curves(
    path: str | os.PathLike, histories: Mapping[str, Mapping], metrics: Sequence[str]
) -> Path:
    """Draw metrics of ``{name: history}`` side by side and write them to ``path`` as ``save``."""
    return save(path, lambda *axes: plot_panels(histories, metrics, axes), len(metrics))


def _new_axes():
    import matplotlib.pyplot as plt

    return plt.subplots()[1]
