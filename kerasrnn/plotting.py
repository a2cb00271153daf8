"""Matplotlib pictures of runs. Functions take data and an optional ``ax``, return the Axes."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kerasrnn.errors import InputError
from kerasrnn.files import atomic

_NAMES = {"loss": "loss (nats)", "accuracy": "accuracy", "learning_rate": "learning rate"}
_NOT_CURVES = (
    "epoch",
    "seconds",
    "learning_rate",
    "tokens_per_second",
    "bits_per_character",  # the loss in another unit
    "bits_per_word",
)


def metrics_in(history) -> list[str]:
    """The metrics of a history that are drawn, one picture each: ``["loss", "accuracy"]``."""
    return [name for name in history if not name.startswith("val_") and name not in _NOT_CURVES]


def plot_history(history, metric="loss", ax=None, label=None):
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
    """
    if not history.get(metric):
        raise InputError(
            f"no {metric!r} in the history",
            found=", ".join(metrics_in(history)) or "no finished epoch",
        )
    if ax is None:
        import matplotlib.pyplot as plt

        _, ax = plt.subplots()
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
    name = _NAMES.get(metric, metric.replace("_", " "))
    ax.set(xlabel="epoch", ylabel=name, title=f"{metric.replace('_', ' ').capitalize()} by epoch")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.grid(alpha=0.3)
    ax.legend()
    return ax


def plot_histories(histories, metric="loss", ax=None):
    """Draw one metric of several runs on one Axes, ``{name: history}``; returns the Axes."""
    several = len(histories) > 1
    for name, history in histories.items():
        ax = plot_history(history, metric, ax, label=name if several else None)
    return ax


def plot_panels(histories, metrics, axes):
    """Draw each of the metrics of several runs on the Axes of the same place."""
    for ax, metric in zip(axes, metrics, strict=True):
        plot_histories(histories, metric, ax)


def plot_confusion(matrix, labels, ax=None):
    """Draw a confusion matrix, true labels down and predicted labels across.

    matrix: counts (classes, classes) as ``evaluation.confusion`` gives them. Returns the Axes.
    """
    from sklearn.metrics import ConfusionMatrixDisplay

    display = ConfusionMatrixDisplay(matrix, display_labels=labels)
    few = len(labels) <= 20
    display.plot(
        ax=ax,
        include_values=few,
        cmap="Blues",
        colorbar=not few,
        xticks_rotation="vertical" if max(map(len, labels)) > 2 else "horizontal",
    )
    display.ax_.set(xlabel="predicted label", ylabel="true label", title="Confusion matrix")
    return display.ax_


def panel_size(panels):
    """Width and height in inches of a figure with ``panels`` Axes side by side."""
    return 6.4 * panels, 4.8


def save(path, draw, panels=1):
    """Call ``draw`` with ``panels`` Axes side by side and write the figure to ``path``.

    The suffix chooses the format: .png, .svg, .pdf, or another that Matplotlib knows.
    """
    figure = Figure(figsize=panel_size(panels), layout="constrained")
    formats = figure.canvas.get_supported_filetypes()
    if path.suffix[1:].lower() not in formats:
        raise InputError(
            "unknown picture format", found=repr(path.name), expected=".png, .svg or .pdf"
        )
    axes = figure.subplots(1, panels, squeeze=False)[0]
    draw(*axes)
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=150)
    return path
