"""Tokens of texts on coloured ground."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from kerasrnn.plotting.style import ink, new_axes, palette, shades

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = 66  # characters of a line of tokens
_SHOWN = str.maketrans({"\n": "↵", "\t": "→"})
_LEAST = 1e-3  # probability, below which all tokens have one colour


class Cell(NamedTuple):
    """A token, the colour of its ground, a smaller word below it, and the colour of that.

    Without either of the former the colour is the token's.
    """

    text: str
    face: object = "none"
    below: str = ""
    colour: object = None


def write_cells(ax: Axes, lines: Sequence[Sequence[Cell]], *, gap: float = 1, high: float = 1):
    """Write lines of cells on Axes, broken where they are too long.

    A figure that holds nothing else gets as high as the text needs.

    gap: characters between two cells. high: lines of text that a line needs.
    """
    from matplotlib.patches import Rectangle

    row = 0.0
    for cells in lines:
        column = 0.0
        for cell in cells:
            shown = cell.text.translate(_SHOWN)
            wide = max(_width(shown), 0.72 * _width(cell.below))
            if column and column + wide > _COLUMNS:
                row, column = row + high, 0.0
            edge = min(0.25, gap / 4)
            place, size = (column - edge, row + 0.08), (wide + 2 * edge, 0.84)
            ax.add_patch(Rectangle(place, *size, facecolor=cell.face, edgecolor="none"))
            given = cell.face != "none"
            middle = given or cell.below
            style = {"va": "center", "ha": "center" if middle else "left", "family": "monospace"}
            accent = {"color": cell.colour} if cell.colour else {}
            colour = {"color": ink(cell.face)} if given else {} if cell.below else accent
            place = column + wide / 2 if middle else column
            ax.text(place, row + 0.53, shown, fontsize=10, **style, **colour)
            if cell.below:
                colour = accent or {"alpha": 0.75}
                ax.text(place, row + 1.28, cell.below, fontsize=7, **style, **colour)
            column += wide + gap
            if "\n" in cell.text:
                row, column = row + high, 0.0
        row += high * (column > 0)
    row = max(row, 1)
    if len(ax.figure.axes) == 1:
        ax.figure.set_figheight(0.26 * row + 0.6)
    ax.set(xlim=(-0.5, _COLUMNS + 0.5), ylim=(row, 0))
    ax.axis("off")


def _width(text):
    """Columns that a text takes in a font of fixed width."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def gap_of(tokens: Sequence[str | None]) -> int:
    """Columns between tokens: none between characters."""
    return 0 if all(token is None or len(token) == 1 for token in tokens) else 1


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
    from matplotlib.patches import Patch

    ax = ax or new_axes()
    labels = sorted({label for pairs in sentences for _, label in pairs})
    colours = {label: colormaps["tab20"](2 * index % 20 + 1) for index, label in enumerate(labels)}
    write_cells(ax, [[Cell(token, colours[label]) for token, label in row] for row in sentences])
    patches = [Patch(facecolor=colours[label], label=label) for label in labels]
    ax.legend(handles=patches, loc="upper left", bbox_to_anchor=(0, 0), ncols=6, fontsize=8)
    return ax


def plot_probabilities(passages: Sequence[Mapping[str, Sequence]], ax: Axes | None = None) -> Axes:
    """Draw the tokens of texts, each the redder the less likely it was after those before it.

    Args:
        passages: ``[{"tokens", "probabilities"}]``, as examples.json has them.
        ax: Axes to draw on; a new figure's by default.

    Returns:
        The Axes.

    >>> passage = {"tokens": ["a", "b"], "probabilities": [0.9, 0.01]}
    >>> [text.get_text() for text in plot_probabilities([passage]).texts]
    ['a', 'b']
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm

    ax = ax or new_axes()
    colours = ScalarMappable(LogNorm(_LEAST, 1), shades(ax, palette(ax)[1]).reversed())
    lines = [
        [
            Cell(token, colours.to_rgba(max(p, _LEAST)))
            for token, p in zip(passage["tokens"], passage["probabilities"], strict=True)
        ]
        for passage in passages
    ]
    tokens = [token for passage in passages for token in passage["tokens"]]
    write_cells(ax, lines, gap=gap_of(tokens), high=1.1)
    bar = ax.figure.colorbar(
        colours, ax=ax, location="bottom", fraction=0.05, aspect=40, shrink=0.6, pad=0.02
    )
    bar.set_ticks([0.001, 0.01, 0.1, 1], labels=["≤ 0.001", "0.01", "0.1", "1"])
    bar.set_label("probability of the token after those before it", fontsize=10)
    bar.ax.tick_params(labelsize=9)
    bar.outline.set_visible(False)
    return ax


def plot_perplexity(positions: Mapping[str, Sequence[float]], ax: Axes | None = None) -> Axes:
    """Draw the perplexity of tokens by how many were read before them.

    Args:
        positions: ``{"step", "perplexity"}``, as metrics.json has it of a generator.
        ax: Axes to draw on; a new figure's by default.

    Returns:
        The Axes.

    >>> plot_perplexity({"step": [1, 2, 4], "perplexity": [30.0, 12.0, 8.0]}).get_ylabel()
    'perplexity'
    """
    ax = ax or new_axes()
    steps, perplexity = positions["step"], positions["perplexity"]
    ax.plot(steps, perplexity, marker="o", color=palette(ax)[0])
    ax.set_xscale("log", base=2)
    ax.set_xticks([step for step in steps if step & (step - 1) == 0])
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:.0f}")
    ax.minorticks_off()
    for step, value in ((steps[0], perplexity[0]), (steps[-1], perplexity[-1])):
        style = {"textcoords": "offset points", "fontsize": 11, "ha": "center"}
        ax.annotate(f"{value:.3g}", (step, value), (0, 8), **style)
    ax.set(
        xlabel="place of the token, read from empty states",
        ylabel="perplexity",
        title="Perplexity by place",
    )
    ax.set_ylim(0, 1.12 * max(perplexity))
    ax.grid()
    return ax


def plot_tagged(sentences: Sequence[Mapping[str, Sequence]], ax: Axes | None = None) -> Axes:
    """Draw sentences with the label of each token, and where it is wrong what was predicted.

    A wrong token stands on red, the redder the surer the prediction; below it first what was
    predicted and then the true label.

    Args:
        sentences: ``[{"tokens", "true", "predicted", "probabilities"}]``, as examples.json has
            them.
        ax: Axes to draw on; a new figure's by default.

    Returns:
        The Axes.

    >>> row = {"tokens": ["time"], "true": ["NOUN"], "predicted": ["VERB"], "probabilities": [0.9]}
    >>> [text.get_text() for text in plot_tagged([row]).texts]
    ['time', 'VERB≠NOUN']
    """
    ax = ax or new_axes()
    red = palette(ax)[1]
    wrong = shades(ax, red)

    def cell(token, true, predicted, probability):
        if true == predicted:
            return Cell(token, below=predicted)
        return Cell(token, wrong(0.25 + 0.75 * probability), f"{predicted}≠{true}", red)

    columns = ("tokens", "true", "predicted", "probabilities")
    rows = [[*map(cell, *(sentence[name] for name in columns))] for sentence in sentences]
    write_cells(ax, rows, high=1.9)
    ax.set_title("Sentences with the surest mistakes: predicted ≠ true", fontsize=11, loc="left")
    return ax


def plot_blanks(texts: Sequence[Mapping], ax: Axes | None = None) -> Axes:
    """Draw texts with what an infiller puts into their blanks, and the true token where it differs.

    A filled blank stands on blue, the bluer the surer; where it is wrong on red.

    Args:
        texts: ``[{"tokens", "true", "candidates"}]``, as examples.json has them.
        ax: Axes to draw on; a new figure's by default.

    Returns:
        The Axes.

    >>> text = {"tokens": ["a", None], "true": {"1": "c"}, "candidates": {"1": [["b", 0.5]]}}
    >>> [text.get_text() for text in plot_blanks([text]).texts]
    ['a', 'b', 'c']
    """
    ax = ax or new_axes()
    right, wrong = (shades(ax, palette(ax)[place]) for place in (0, 1))

    def cell(text, place, token):
        if token is not None:
            return Cell(token)
        (best, p), true = text["candidates"][str(place)][0], text["true"].get(str(place))
        if true in (None, best):
            return Cell(best, right(0.2 + 0.8 * p))
        return Cell(best, wrong(0.2 + 0.8 * p), true.translate(_SHOWN), palette(ax)[1])

    rows = [[cell(text, *item) for item in enumerate(text["tokens"])] for text in texts]
    tokens = [token for text in texts for token in [*text["tokens"], *text["true"].values()]]
    write_cells(ax, rows, gap=gap_of(tokens), high=1.8)
    ax.set_title("Filled blanks; below a wrong one the true token", fontsize=11, loc="left")
    return ax
