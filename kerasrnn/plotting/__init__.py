"""Pictures of runs. Functions take data and an optional ``ax``, return the Axes.

Matplotlib is imported when something is drawn.
"""

from kerasrnn.history import best_epoch
from kerasrnn.plotting.classes import (
    plot_calibration,
    plot_confusion,
    plot_f1,
    plot_label_counts,
    plot_lengths,
)
from kerasrnn.plotting.curves import (
    metrics_in,
    plot_histories,
    plot_history,
    plot_panels,
    save_curves,
    smoothed,
    with_speed,
)
from kerasrnn.plotting.examples import plot_mistakes
from kerasrnn.plotting.figures import FIGURES, find
from kerasrnn.plotting.numbers import plot_forecast, plot_forecasts, plot_predicted
from kerasrnn.plotting.states import plot_explanation, plot_saliency, plot_states
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
from kerasrnn.plotting.tokens import (
    plot_blanks,
    plot_perplexity,
    plot_probabilities,
    plot_tagged,
    plot_tokens,
)

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
    "plot_blanks",
    "plot_calibration",
    "plot_confusion",
    "plot_explanation",
    "plot_f1",
    "plot_forecast",
    "plot_forecasts",
    "plot_histories",
    "plot_history",
    "plot_label_counts",
    "plot_lengths",
    "plot_mistakes",
    "plot_panels",
    "plot_perplexity",
    "plot_predicted",
    "plot_probabilities",
    "plot_saliency",
    "plot_states",
    "plot_tagged",
    "plot_tokens",
    "save",
    "save_curves",
    "smoothed",
    "styled",
    "with_speed",
]
