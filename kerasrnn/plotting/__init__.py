"""Pictures of runs. Functions take data and an optional ``ax``, return the Axes.

Matplotlib is imported when something is drawn.
"""

from kerasrnn.plotting.classes import plot_confusion
from kerasrnn.plotting.curves import (
    best_epoch,
    metrics_in,
    plot_histories,
    plot_history,
    plot_panels,
    save_curves,
    smoothed,
    with_speed,
)
from kerasrnn.plotting.figures import FIGURES, find
from kerasrnn.plotting.numbers import plot_forecast, plot_predicted
from kerasrnn.plotting.style import (
    FORMATS,
    add_panels,
    contrast,
    ink,
    palette,
    panel_size,
    save,
    styled,
)
from kerasrnn.plotting.terminal import draw_text
from kerasrnn.plotting.tokens import plot_tokens

__all__ = [
    "FIGURES",
    "FORMATS",
    "add_panels",
    "best_epoch",
    "contrast",
    "draw_text",
    "find",
    "ink",
    "metrics_in",
    "palette",
    "panel_size",
    "plot_confusion",
    "plot_forecast",
    "plot_histories",
    "plot_history",
    "plot_panels",
    "plot_predicted",
    "plot_tokens",
    "save",
    "save_curves",
    "smoothed",
    "styled",
    "with_speed",
]
