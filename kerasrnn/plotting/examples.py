"""Inputs as what they are: images, series, texts; and what was predicted of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kerasrnn.plotting.style import new_axes, palette, shades, short
from kerasrnn.plotting.tokens import Cell, gap_of, write_cells

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes

_COLUMNS = 6  # of small pictures
_MOST_LINES = 3  # features up to which a sequence is drawn as lines
_LEAST_SIDE = 6  # of an image
_TEXTS = 12
_LABEL = 14  # characters of a label above a small picture
_TEXT_LETTERS = 190  # of a text


def is_image(values: np.ndarray) -> bool:
    """Whether (time, features) looks like an image read row by row: about square and of one kind.

    >>> import numpy as np
    >>> is_image(np.zeros((8, 8))), is_image(np.zeros((150, 1)))
    (True, False)
    """
    steps, features = values.shape
    square = min(steps, features) >= _LEAST_SIDE and 0.5 <= steps / features <= 2
    return square and bool((values >= 0).all() and (steps == features or (values % 1 == 0).all()))


def plot_mistakes(mistakes: Sequence[Mapping], ax: Axes | None = None) -> Axes:
    """Draw inputs whose prediction is wrong, the surest first, with what is true and predicted.

    Images as images, sequences of up to three features as lines, of more as a map of features over
    time, texts as text.

    Args:
        mistakes: ``[{"input", "true", "predicted", "probability"}]``, as examples.json has them;
            of a regressor without a probability.
        ax: Axes to draw on; a new figure's by default.

    Returns:
        The Axes.

    >>> wrong = {"input": {"text": "so so"}, "true": "bad", "predicted": "good", "probability": 0.9}
    >>> [text.get_text() for text in plot_mistakes([wrong]).texts]
    ['good 0.90, true: bad', 'so', 'so']
    """
    ax = ax or new_axes()
    if not mistakes:
        ax.text(0.5, 0.5, "no mistakes", ha="center", va="center")
        ax.axis("off")
    elif "text" in mistakes[0]["input"]:
        _write_texts(ax, mistakes[:_TEXTS])
    else:
        _draw_sequences(ax, mistakes)
    return ax


def _write_texts(ax, mistakes):
    """Each text below what is true and predicted, a word the bluer the more salient."""
    lines = []
    for one in mistakes:
        said = f"{one['predicted']} {one['probability']:.2f}, true: {one['true']}"
        lines += [[Cell(said, colour=palette(ax)[1])], _words(ax, one["input"])]
    tokens = [token for one in mistakes for token in one["input"].get("tokens", ["  "])]
    write_cells(ax, lines, high=1.15, gap=gap_of(tokens))
    salient = any("saliency" in one["input"] for one in mistakes)
    more = "; the bluer a token, the more salient" if salient else ""
    ax.set_title(f"The surest mistakes{more}", loc="left", fontsize=11)


def _words(ax, given):
    """A text as cells, up to about so many letters."""
    words, blue = given.get("tokens") or given["text"].split(), shades(ax, palette(ax)[0])
    salient = given.get("saliency") or [0.0] * len(words)
    most, letters, cells = max(map(abs, salient), default=0) or 1.0, 0, []
    for word, value in zip(words, salient, strict=True):
        letters += len(word) + 1
        if letters > _TEXT_LETTERS:
            return [*cells, Cell("…")]
        cells.append(Cell(word, blue(0.75 * abs(value) / most) if value else "none"))
    return cells


def _draw_sequences(ax, mistakes):
    """A small picture of each sequence, with what is true and predicted above it."""
    import numpy as np

    columns = min(_COLUMNS, len(mistakes))
    rows = -(-len(mistakes) // columns)
    if len(ax.figure.axes) == 1:
        ax.figure.set_size_inches(1.35 * columns + 0.3, 1.75 * rows + 0.5)
    ax.set(xlim=(0, columns), ylim=(1.3 * rows, 0))
    ax.axis("off")
    for number, one in enumerate(mistakes):
        row, column = divmod(number, columns)
        values = np.array(one["input"]["values"], float)
        inset = ax.inset_axes((column + 0.06, 1.3 * row + 0.3, 0.88, 0.94), transform=ax.transData)
        draw_sequence(inset, values)
        inset.set(xticks=[], yticks=[])
        ax.text(column + 0.5, 1.3 * row + 0.25, _said(one), ha="center", va="bottom", fontsize=8)
    ax.set_title("The surest mistakes" if "probability" in mistakes[0] else "The largest errors")


def draw_sequence(ax: Axes, values: np.ndarray):
    """Draw one sequence (time, features) as what it is: an image, lines, or a map over time."""
    if is_image(values):
        dark = "gray" if sum(ax.get_facecolor()[:3]) < 1.5 else "gray_r"
        ax.imshow(values, cmap=dark, interpolation="nearest")
        ax.spines[:].set_visible(False)
        return
    if values.shape[1] > _MOST_LINES:
        ax.imshow(values.T, cmap="viridis", aspect="auto", interpolation="nearest")
        ax.spines[:].set_visible(False)
        return
    for line, colour in zip(values.T, palette(ax), strict=False):
        ax.plot(line, color=colour, linewidth=1)
    ax.margins(x=0.02)


def _said(one):
    """What is said above a picture."""
    if "probability" not in one:
        predicted, true = (_numbers(one[name]) for name in ("predicted", "true"))
        return f"{predicted}\ntrue: {true}"
    predicted, true = (short(one[name], _LABEL) for name in ("predicted", "true"))
    return f"{predicted} {one['probability']:.2f}\ntrue: {true}"


def _numbers(value):
    """A number, or the first of several."""
    values = value if isinstance(value, list) else [value]
    return ", ".join(f"{one:.3g}" for one in values[:2])
