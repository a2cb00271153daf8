"""How a classifier or tagger does, class by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kerasrnn.plotting.style import ink, new_axes, palette, shades, short

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes

_MOST_VALUES = 20  # classes up to which a confusion matrix shows its numbers
_MOST_BARS = 50
_FEW = 10  # cases, of which a share says little
_ROW = 0.2  # inches of a class
_SCORES = (0, 0.25, 0.5, 0.75, 1)


def plot_confusion(
    matrix: np.ndarray,
    labels: Sequence[str],
    ax: Axes | None = None,
    *,
    normalize: bool = False,
) -> Axes:
    """Draw a confusion matrix, true labels down and predicted labels across.

    The shade of a cell is its share of its row, so that rare classes are seen; up to 20 classes
    have their numbers too. A figure that holds nothing else gets as large as the labels need.

    Args:
        matrix: counts, int (classes, classes), as ``evaluation.confusion`` gives them.
        labels: the names of the classes.
        ax: Axes to draw on; a new figure's by default.
        normalize: show percentages of the row instead of counts.

    Returns:
        The Axes.

    >>> import numpy as np
    >>> plot_confusion(np.array([[3, 1], [0, 2]]), ["no", "yes"]).get_xlabel()
    'predicted label'
    """
    import numpy as np

    ax, matrix, number = ax or new_axes(), np.asarray(matrix), len(labels)
    few = number <= _MOST_VALUES
    cell = max(0.34 if few else 0.2, 3.2 / number)  # inches
    size = 1.6 + cell * number
    _grow(ax, size * 1.05, size)
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    image = ax.imshow(shares, cmap=shades(ax, palette(ax)[0]), vmin=0, vmax=1)
    longest = 3 if normalize else len(str(matrix.max()))
    letters = {"ha": "center", "va": "center", "fontsize": min(11, 110 * cell / max(longest, 2))}
    for row, column in zip(*matrix.nonzero(), strict=True) if few else ():
        value, share = matrix[row, column], shares[row, column]
        shown = f"{100 * share:.0f}" if normalize else str(value)
        colour = ink(image.cmap(image.norm(share)))
        ax.text(column, row, shown, color=colour, **letters)
    if not few or normalize:
        bar = ax.figure.colorbar(image, ax=ax, fraction=0.045, pad=0.02, ticks=_SCORES)
        bar.ax.set_yticklabels([f"{score:.0%}" for score in _SCORES])
        bar.outline.set_visible(False)
    names = [short(label) for label in labels]
    turned = max(map(len, names)) > (3 if number <= 12 else 2)
    size = 11 if few else 9
    ax.set_xticks(range(number), names, rotation=90 if turned else 0, fontsize=size)
    ax.set_yticks(range(number), names, fontsize=size)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    title = "Confusion matrix" + (", % of the true label" if normalize and few else "")
    ax.set(xlabel="predicted label", ylabel="true label", title=title)
    return ax


def plot_f1(report: Mapping[str, Mapping[str, float]], ax: Axes | None = None) -> Axes:
    """Draw the F1 of each class as a bar, the best at the top, with how often it occurs.

    Marks show precision and recall. Of more than 50 classes those with the lowest F1 are drawn,
    and the title says so.

    Args:
        report: ``{label: {"precision", "recall", "f1", "support"}}``, as metrics.json has it.
        ax: Axes to draw on; a new figure's by default.

    Returns:
        The Axes.

    >>> score = {"precision": 0.5, "recall": 1.0, "f1": 0.67, "support": 4}
    >>> plot_f1({"yes": score}).get_xlabel()
    'F1'
    """
    ax = ax or new_axes()
    rows = sorted(report.items(), key=lambda item: item[1]["f1"])
    title = "F1 of each class"
    if len(rows) > _MOST_BARS:
        rows, title = rows[:_MOST_BARS], f"The {_MOST_BARS} lowest F1 of {len(rows)} classes"
    _grow(ax, 6.4, max(3.0, 1.3 + 1.2 * _ROW * len(rows)))
    places, f1 = range(len(rows)), [row["f1"] for _, row in rows]
    ax.barh(places, f1, height=0.72, color=palette(ax)[0], alpha=0.5)
    for name, marker in (("precision", "|"), ("recall", ".")):
        style = {"color": ax.xaxis.label.get_color(), "markersize": 7, "clip_on": False}
        ax.plot([row[name] for _, row in rows], places, marker, label=name, **style)
    for place, (_, row) in enumerate(rows):
        ax.text(1.03, place, f"{row['support']:,}", va="center", fontsize=9)
    ax.text(1.03, len(rows) - 0.4, "cases", fontsize=9)
    _legend_above(ax)
    ax.set_yticks(places, [short(label) for label, _ in rows], fontsize=9)
    ax.set(xlim=(0, 1), ylim=(-0.6, len(rows) - 0.4), xlabel="F1")
    ax.set_title(title, loc="left")
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x")
    return ax


def plot_calibration(bins: Sequence[Mapping[str, float]], ax: Axes | None = None) -> Axes:
    """Draw how often predictions are right against how sure they are: a reliability diagram.

    Bars are the share of the cases in each bin; Guo et al. 2017, figure 1.

    Args:
        bins: ``[{"confidence", "accuracy", "count"}]``, as ``evaluation.calibration`` gives them.
        ax: Axes to draw on; a new figure's by default.

    Returns:
        The Axes.

    >>> plot_calibration([{"confidence": 0.9, "accuracy": 0.8, "count": 10}]).get_ylabel()
    'share that is right'
    """
    ax = ax or new_axes()
    total = sum(one["count"] for one in bins)
    sure, right, share = zip(
        *((one["confidence"], one["accuracy"], one["count"] / total) for one in bins), strict=True
    )
    gap = sum(abs(a - b) * part for a, b, part in zip(sure, right, share, strict=True))
    colours = palette(ax)
    ax.bar(sure, share, width=0.045, color=colours[0], alpha=0.3, label="share of the cases")
    ax.plot([0, 1], [0, 1], color=ax.xaxis.label.get_color(), linewidth=1, linestyle=":")
    points = [*zip(sure, right, (one["count"] >= _FEW for one in bins), strict=True)]
    many, few = ([point[:2] for point in points if point[2] == kind] for kind in (True, False))
    if many:
        ax.plot(*zip(*many, strict=True), color=colours[1], marker="o", label="share that is right")
    if few:
        style = {"markerfacecolor": "none", "markeredgecolor": colours[1], "linestyle": ""}
        ax.plot(*zip(*few, strict=True), marker="o", label=f"… of fewer than {_FEW}", **style)
    low = max(0.0, min(sure) - 0.08)
    ax.set(
        xlim=(low, 1.03),
        ylim=(0, 1.03),
        xlabel="probability of the prediction",
        ylabel="share that is right",
        title=f"Calibration: off by {100 * gap:.1f} % on average",
    )
    ax.grid()
    ax.legend(fontsize=10)
    return ax


def plot_label_counts(counts: Mapping[str, Mapping[str, int]], ax: Axes | None = None) -> Axes:
    """Draw which share of each part has each label.

    Args:
        counts: ``{part: {label: count}}``, as run.json has it.
        ax: Axes to draw on; a new figure's by default.

    Returns:
        The Axes.

    >>> plot_label_counts({"train": {"no": 3, "yes": 1}}).get_xlabel()
    'share of the part'
    """
    ax, first = ax or new_axes(), next(iter(counts.values()))
    order = sorted(first, key=first.get)
    _grow(ax, 6.4, max(3.0, 1.3 + 1.2 * _ROW * len(order)))
    marks = zip(counts.items(), palette(ax), "osD", strict=False)
    for number, ((part, row), colour, marker) in enumerate(marks):
        total = max(sum(row.values()), 1)
        shares, name = [row[label] / total for label in order], f"{part} ({total:,})"
        if not number:
            ax.barh(order, shares, height=0.72, color=colour, alpha=0.4, label=name)
        else:
            ax.plot(shares, order, marker, color=colour, markersize=5, label=name)
    ax.set_yticks(range(len(order)), [short(label) for label in order], fontsize=9)
    ax.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g} %")
    ax.set(ylim=(-0.6, len(order) - 0.4), xlabel="share of the part")
    ax.set_title("Labels", loc="left")
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x")
    _legend_above(ax)
    return ax


def plot_lengths(
    histograms: Mapping[str, tuple[Sequence[float], Sequence[int]]], ax: Axes | None = None
) -> Axes:
    """Draw how long sequences are, which share of each part.

    Args:
        histograms: ``{part: [edges, counts]}``, as run.json has it.
        ax: Axes to draw on; a new figure's by default.

    Returns:
        The Axes.

    >>> plot_lengths({"train": [[1, 2, 3], [4, 6]]}).get_xlabel()
    'length'
    """
    ax = ax or new_axes()
    colours = [palette(ax)[place] for place in (0, 1, 2)]
    for number, (part, (edges, counts)) in enumerate(histograms.items()):
        total = max(sum(counts), 1)
        filled = {"fill": True, "alpha": 0.25} if not number else {"linewidth": 1.8}
        shares, name = [count / total for count in counts], f"{part} ({total:,})"
        ax.stairs(shares, edges, color=colours[number], label=name, **filled)
    ax.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g} %")
    ax.set(xlabel="length", ylabel="share of the part", title="Lengths")
    ax.set_ylim(bottom=0)
    ax.grid()
    ax.legend()
    return ax


def _legend_above(ax):
    """The legend on the line of the title, which stands on the left."""
    ax.legend(
        loc="lower right",
        bbox_to_anchor=(1, 1),
        ncols=4,
        fontsize=10,
        frameon=False,
        borderaxespad=0.2,
        columnspacing=1,
        handletextpad=0.4,
    )


def _grow(ax, width, height):
    """Give the figure a size, where it holds nothing else."""
    if len(ax.figure.axes) == 1:
        ax.figure.set_size_inches(width, height)
