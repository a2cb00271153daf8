"""Matplotlib pictures of runs. Functions take data and an optional ``ax``, return the Axes."""

from kerasrnn.plotting.classes import plot_confusion
from kerasrnn.plotting.curves import (
    metrics_in,
    plot_histories,
    plot_history,
    plot_panels,
    save_curves,
)
from kerasrnn.plotting.numbers import plot_forecast, plot_predicted
from kerasrnn.plotting.style import FORMATS, panel_size, save
from kerasrnn.plotting.tokens import plot_tokens

__all__ = [
    "FORMATS",
    "metrics_in",
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
]
