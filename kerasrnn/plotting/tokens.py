"""Tokens of texts on coloured ground."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kerasrnn.plotting.style import new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = 66  # characters of a line of tokens


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

    ax = ax or new_axes()
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
