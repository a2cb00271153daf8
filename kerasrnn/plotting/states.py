"""What a model does with one input: hidden states and saliency over time, above the input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kerasrnn.plotting.examples import is_image
from kerasrnn.plotting.style import ink, new_axes, palette, shades

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

_SALIENCY, _MAP, _INPUT = 1.1, 1.5, 1.3  # inches
_STEP = 0.17  # inches of a token, at least
_LETTER = 0.085  # inches
_WIDEST = 24.0
_MOST_LINES = 3  # features up to which numbers are drawn as lines
_LEAST = 0.01  # probability, below which all tokens have one colour
_SHOWN = str.maketrans({"\n": "↵", "\t": "→", " ": "·"})


def plot_states(
    states: np.ndarray,
    ax: Axes | None = None,
    *,
    steps: int | None = None,
    largest: float = 1.0,
) -> Axes:
    """Draw hidden states over time as a map: red is negative, the ground zero, blue positive.

    Args:
        states: float (steps, units).
        ax: Axes to draw on; a new figure's by default.
        steps: of the input, where a stem with a stride leaves fewer of the states.
        largest: absolute value that has the full colour.

    Returns:
        The Axes.

    >>> import numpy as np
    >>> plot_states(np.zeros((5, 3))).get_ylabel()
    'unit'
    """
    ax = ax or new_axes()
    time = steps or len(states)
    extent = (-0.5, time - 0.5, states.shape[1] - 0.5, -0.5)
    kind = {"cmap": _both_ways(ax), "vmin": -largest, "vmax": largest, "interpolation": "nearest"}
    ax.imshow(states.T, aspect="auto", extent=extent, **kind)
    ax.set_ylabel("unit")
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    return ax


def plot_saliency(saliency: np.ndarray, ax: Axes | None = None) -> Axes:
    """Draw how much an answer hangs on each step as bars, as shares of the largest.

    Args:
        saliency: float (steps,), negative where a step speaks against the answer.
        ax: Axes to draw on; a new figure's by default.

    Returns:
        The Axes.

    >>> import numpy as np
    >>> plot_saliency(np.array([0.5, -1.0])).get_ylabel()
    'saliency'
    """
    import numpy as np

    ax = ax or new_axes()
    shares = saliency / max(np.abs(saliency).max(), 1e-30)
    colours = [palette(ax)[int(share < 0)] for share in shares]
    ax.bar(range(len(shares)), shares, width=0.85, color=colours)
    ax.axhline(0, linewidth=0.8, color=ax.yaxis.label.get_color())
    ax.set(ylabel="saliency", yticks=[])
    ax.tick_params(bottom=False)
    ax.margins(x=0)
    return ax


def plot_explanation(
    steps: Sequence[str] | np.ndarray,
    saliency: np.ndarray,
    layers: Sequence[tuple[str, np.ndarray]],
    ax: Axes | None = None,
    *,
    title: str = "",
    notes: Sequence[str] | None = None,
    sure: np.ndarray | None = None,
) -> Axes:
    """Draw saliency, the hidden states of each layer, and the input under them on one time axis.

    An image read row by row lies on its side, so that its rows are the steps, and stands upright
    beside that. The figure gets as large as its parts need.

    Args:
        steps: tokens, or numbers (time, features).
        saliency: float (time,).
        layers: pairs of a name and states (steps, units).
        ax: Axes whose place is taken; a new figure's by default.
        title: of the whole.
        notes: a word for each token, such as its label.
        sure: float (time,), the probability of each token, or of its label; NaN for none.

    Returns:
        The Axes of the input.

    >>> import numpy as np
    >>> ax = plot_explanation(["a", "b"], np.ones(2), [("lstm_1", np.zeros((2, 3)))])
    >>> [text.get_text() for text in ax.texts]
    ['a', 'b']
    """
    ax = ax or new_axes()
    tokens = not hasattr(steps, "shape")
    width = min(_WIDEST, max(7.0, 1.6 + _STEP * len(steps))) if tokens else 7.0
    room = (width - 1.6) / len(steps)  # inches of a step
    heights = [_SALIENCY, *[_MAP] * len(layers), _height(steps, room) if tokens else _INPUT]
    place = ax.get_subplotspec().subgridspec(len(heights), 1, height_ratios=heights, hspace=0.08)
    figure, rows = ax.figure, place.subplots(sharex=True)
    ax.remove()
    figure.set_size_inches(width, sum(heights) + 0.9 + _height(notes or (), room))
    plot_saliency(saliency, rows[0])
    rows[0].set_title(title)
    largest = max((float(abs(states).max()) for _, states in layers), default=1.0) or 1.0
    for (name, states), row in zip(layers, rows[1:], strict=False):
        plot_states(states, row, steps=len(steps), largest=largest)
        row.set_ylabel(name.replace(", ", "\n"), fontsize=10)
        row.tick_params(labelsize=9)
    if layers:
        bar = figure.colorbar(rows[1].images[0], ax=list(rows), fraction=0.02, pad=0.01, aspect=40)
        bar.set_label("hidden state", fontsize=10)
        bar.ax.tick_params(labelsize=9)
        bar.outline.set_visible(False)
    if tokens:
        _draw_tokens(rows[-1], steps, notes, sure, room)
    else:
        _draw_numbers(rows[-1], steps)
    rows[-1].set_xlim(-0.5, len(steps) - 0.5)
    return rows[-1]


def _both_ways(ax) -> Colormap:
    """A colour map from red over the ground to blue, which is the positive end."""
    from matplotlib.colors import LinearSegmentedColormap

    blue, red = palette(ax)[:2]
    return LinearSegmentedColormap.from_list("states", [red, ax.get_facecolor(), blue])


def _turned(words, room):
    """Whether some words are too long for their places, of so many inches, unless turned."""
    return max(map(len, words), default=0) * _LETTER > max(room - 0.04, _LETTER)


def _height(words, room):
    """Inches of a row of words."""
    if not words:
        return 0
    return 0.2 + _LETTER * max(map(len, words)) if _turned(words, room) else 0.3


def _draw_tokens(ax, tokens, notes, sure, room):
    """A cell for each token, on red where it is unlikely, and under it a word."""
    import numpy as np

    turned = _turned(tokens, room)
    unsure = shades(ax, palette(ax)[1])
    for place, token in enumerate(tokens):
        known = sure is not None and not np.isnan(sure[place])
        face = unsure(-np.log10(max(sure[place], _LEAST)) / 2) if known else ax.get_facecolor()
        ax.axvspan(place - 0.5, place + 0.5, color=face, linewidth=0)
        style = {"rotation": 90 if turned else 0, "ha": "center", "va": "center"}
        shown = token.translate(_SHOWN) if len(token) == 1 else token
        ax.text(place, 0.5, shown, color=ink(face), family="monospace", fontsize=9, **style)
    ax.set(ylim=(0, 1), yticks=[])
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    if notes:
        below = {"rotation": 90 if _turned(notes, room) else 0, "fontsize": 8}
        names = [note.translate(_SHOWN) for note in notes]
        ax.set_xticks(range(len(tokens)), names, family="monospace", **below)
    else:
        ax.set_xticks([])
    if sure is not None:
        ax.set_xlabel("the redder, the less probable", fontsize=10)


def _draw_numbers(ax, values):
    """Lines, or a map of features over time; of an image the image, and upright beside it."""
    import numpy as np
    from matplotlib.ticker import MaxNLocator

    values = np.nan_to_num(values)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if values.shape[1] <= _MOST_LINES:
        for line, colour in zip(values.T, palette(ax), strict=False):
            ax.plot(line, color=colour, marker="." if len(values) <= 60 else None)
        ax.set(xlabel="step", ylabel="input")
        ax.grid(axis="x")
        return
    if not (image := is_image(values)):  # each feature has a scale of its own
        values = (values - values.min(0)) / np.maximum(np.ptp(values, axis=0), 1e-30)
    cmap = ("gray" if ink(ax.get_facecolor()) == "white" else "gray_r") if image else "viridis"
    ax.imshow(values.T, aspect="auto", cmap=cmap, interpolation="nearest")
    ax.set(xlabel="row" if image else "step", ylabel="column" if image else "feature")
    if image:
        beside = ax.inset_axes((1.02, 0, 0.2, 1))
        beside.imshow(values, cmap=cmap, interpolation="nearest")
        beside.set_axis_off()
