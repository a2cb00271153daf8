"""How pictures look, and how they are written."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from kerasrnn.errors import InputError
from kerasrnn.files import atomic

FORMATS = (".png", ".svg", ".pdf")  # those that need no other program


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


def new_axes():
    import matplotlib.pyplot as plt

    return plt.subplots()[1]
