"""How pictures look on paper and on a screen, and how they are written."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from kerasrnn.errors import InputError, check_choice
from kerasrnn.files import atomic
from kerasrnn.options import STYLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

FORMATS = (".png", ".svg", ".pdf")  # those that need no other program
_COLOURS = {"light": ("#FFFFFF", "#222222"), "dark": ("#22272E", "#E6E6E6")}  # ground and ink
MARKERS = "osD^vP*"  # as many as share no factor with the number of colours
_OKABE_ITO = (  # Okabe & Ito 2008, "Color Universal Design", in an order of ours
    *("#0072B2", "#56B4E9", "#D55E00", "#009E73"),  # blue, sky blue, vermillion, bluish green
    *("#CC79A7", "#000000", "#E69F00", "#F0E442"),  # reddish purple, black, orange, yellow
)
_LEAST_CONTRAST = 3  # of lines with their ground, as WCAG 2.2 asks in 1.4.11
_LEAST_COLOURS = 5
_SIZES = {  # points on 6.4 inches; in a column of 3.4 inches a little more than half of it
    "font.size": 13,
    "axes.titlesize": 14,
    "axes.labelsize": 14,
    "xtick.labelsize": 12,
    "ytick.labelsize": 12,
    "legend.fontsize": 12,
    "legend.title_fontsize": 12,
    "lines.linewidth": 2,
    "lines.markersize": 7,
    "axes.linewidth": 1,
    "grid.linewidth": 0.6,
}


def short(label: str, longest: int = 22) -> str:
    """A label with no more characters than there is room for.

    >>> short("Iris-versicolor", 14)
    'Iris-versicol…'
    """
    return label if len(label) <= longest else f"{label[: longest - 1]}…"


def styled(style: str = "light") -> AbstractContextManager:
    """A context in which new figures have the fonts and colours of a style.

    Args:
        style: ``"light"`` or ``"dark"``.

    Raises:
        InputError: another style.

    >>> from matplotlib.figure import Figure
    >>> with styled("dark"):
    ...     ax = Figure().subplots()
    >>> palette(ax)[0]
    '#56B4E9'
    """
    import matplotlib

    check_choice("style", style, STYLES)
    ground, ink = _COLOURS[style]
    inked = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    colours = dict.fromkeys(("figure.facecolor", "axes.facecolor", "legend.facecolor"), ground)
    return matplotlib.rc_context(
        _SIZES
        | colours
        | dict.fromkeys((*inked, "grid.color"), ink)
        | {"axes.prop_cycle": matplotlib.cycler(color=_seen_on(ground))}
        | {"savefig.facecolor": "auto", "grid.alpha": 0.25, "axes.axisbelow": True}
        | {"axes.spines.top": False, "axes.spines.right": False, "pdf.fonttype": 42}
    )


def contrast(one, other) -> float:
    """The contrast of two colours of Matplotlib, from 1 to 21, as WCAG 2.2 defines it.

    >>> contrast("white", "black")
    21.0
    """
    from matplotlib.colors import to_rgb

    def luminance(colour):
        linear = (
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
            for part in to_rgb(colour)
        )
        return sum(weight * part for weight, part in zip(weights, linear, strict=True))

    weights = (0.2126, 0.7152, 0.0722)
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def palette(ax: Axes) -> list[str]:
    """The colours for the lines of some Axes, which the colour-blind tell apart.

    Those of the eight of Okabe & Ito (2008) that stand out from its ground, five or six.
    """
    return _seen_on(ax.get_facecolor())


def _seen_on(ground):
    found = [colour for colour in _OKABE_ITO if contrast(colour, ground) >= _LEAST_CONTRAST]
    if len(found) < _LEAST_COLOURS:  # on a ground between light and dark
        found = sorted(_OKABE_ITO, key=lambda colour: -contrast(colour, ground))[:_LEAST_COLOURS]
    return found


def ink(ground) -> str:
    """``"black"`` or ``"white"``, which stands out more from a colour.

    >>> ink("#0072B2")
    'white'
    """
    return max("black", "white", key=lambda colour: contrast(colour, ground))


def shades(ax: Axes, colour: str) -> Colormap:
    """A colour map from the ground of some Axes to a colour."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("shades", [ax.get_facecolor(), colour])


def grid(panels: int) -> tuple[int, int]:
    """Rows and columns in which ``panels`` Axes stand.

    >>> grid(2), grid(5)
    ((1, 2), (2, 3))
    """
    columns = panels if panels <= 3 else math.ceil(math.sqrt(panels))
    return math.ceil(panels / columns), columns


def panel_size(panels: int) -> tuple[float, float]:
    """Width and height in inches of a figure with ``panels`` Axes."""
    rows, columns = grid(panels)
    return 6.4 * columns, 4.8 * rows


def add_panels(figure, panels: int) -> list[Axes]:
    """New Axes of a figure, in the order of a text."""
    rows, columns = grid(panels)
    return [figure.add_subplot(rows, columns, place + 1) for place in range(panels)]


def save(path: str | os.PathLike, draw: Callable, panels: int = 1, style: str = "light") -> Path:
    """Call ``draw`` with ``panels`` Axes of a style and write the figure to ``path``.

    The suffix chooses the format: .png, .svg or .pdf. Raises ``InputError`` for another, or a
    place that cannot be written.
    """
    from matplotlib.figure import Figure

    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise InputError(
            "unknown picture format", found=repr(path.name), expected=".png, .svg or .pdf"
        )
    with styled(style):
        figure = Figure(figsize=panel_size(panels), layout="constrained")
        draw(*add_panels(figure, panels))
        with atomic(path) as temporary:
            figure.savefig(temporary, dpi=150)
    return path


def new_axes() -> Axes:
    import matplotlib.pyplot as plt

    return plt.subplots()[1]
