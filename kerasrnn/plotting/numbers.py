"""Predicted numbers and forecasts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kerasrnn.plotting.style import new_axes, palette

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes

_MOST_POINTS = 5000  # of a scatter plot
_SIDE_BY_SIDE = 2  # forecasts


def plot_predicted(
    y: np.ndarray, predicted: np.ndarray, ax: Axes | None = None, name: str = "value"
) -> Axes:
    """Draw predicted against true numbers, and the line on which they would be equal.

    Args:
        y, predicted: numbers of one shape; 5,000 of more are drawn, evenly spread.
        ax: Axes to draw on; a new figure's by default.
        name: what the numbers are.

    Returns:
        The Axes.

    >>> plot_predicted([1.0, 2.0], [1.5, 2.0], name="weight").get_xlabel()
    'true weight'
    """
    import numpy as np

    ax = ax or new_axes()
    y, predicted = np.ravel(y), np.ravel(predicted)
    chosen = np.linspace(0, len(y) - 1, min(len(y), _MOST_POINTS)).astype(int)
    colour, plain = palette(ax)[0], ax.xaxis.label.get_color()
    ax.scatter(y[chosen], predicted[chosen], s=8, alpha=0.4, color=colour, edgecolors="none")
    ends = [min(y.min(), predicted.min()), max(y.max(), predicted.max())]
    ax.plot(ends, ends, color=plain, linewidth=0.8)
    ax.set(xlabel=f"true {name}", ylabel=f"predicted {name}", title="Predicted against true")
    ax.grid(True)
    return ax


def plot_forecast(
    history: np.ndarray,
    forecast: np.ndarray,
    quantiles: Sequence[float] = (),
    ax: Axes | None = None,
    *,
    truth: np.ndarray | None = None,
    name: str = "value",
) -> Axes:
    """Draw a forecast after its history, with the band between its outer quantiles.

    Args:
        history: numbers (rows,) up to the forecast.
        forecast: numbers (horizon,), or (horizon, levels) of quantiles.
        quantiles: their levels.
        ax: Axes to draw on; a new figure's by default.
        truth: what came to pass, (horizon,).
        name: what the numbers are.

    Returns:
        The Axes.

    >>> ax = plot_forecast([1.0, 2.0], [[2.0, 3.0, 4.0]], (0.1, 0.5, 0.9))
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['history', '0.1 to 0.9', 'forecast (0.5)']
    """
    import numpy as np

    ax = ax or new_axes()
    history, forecast = np.asarray(history), np.asarray(forecast)
    steps = np.arange(1, len(forecast) + 1)
    before, after, *_ = palette(ax)
    ax.plot(np.arange(1 - len(history), 1), history, color=before, label="history")
    label = "forecast"
    if len(quantiles):
        middle = int(np.abs(np.array(quantiles) - 0.5).argmin())
        band = f"{quantiles[0]:g} to {quantiles[-1]:g}"
        ax.fill_between(steps, forecast[:, 0], forecast[:, -1], alpha=0.3, color=after, label=band)
        label, forecast = f"forecast ({quantiles[middle]:g})", forecast[:, middle]
    marker = "o" if len(steps) == 1 else None
    ax.plot(steps, forecast, color=after, marker=marker, linestyle="--", label=label)
    if truth is not None:
        plain = ax.xaxis.label.get_color()
        ax.plot(steps, truth, color=plain, linewidth=0.8, marker=marker, label="true")
    ax.set(xlabel="step from the last value seen", ylabel=name, title=f"Forecast of {name}")
    ax.grid(True)
    ax.legend()
    return ax


def plot_forecasts(forecasts: Sequence[Mapping], ax: Axes | None = None) -> Axes:
    """Draw several forecasts side by side, each after its history and beside the truth.

    Args:
        forecasts: ``[{"history", "truth", "forecast", "quantiles"}]``, as examples.json has them.
        ax: Axes to draw on; a new figure's by default.

    Returns:
        The Axes.

    >>> one = {"history": [1.0, 2.0], "truth": [3.0], "forecast": [2.5], "quantiles": []}
    >>> [text.get_text() for text in plot_forecasts([one, one]).get_legend().get_texts()]
    ['history', 'forecast', 'true']
    """
    import numpy as np

    ax = ax or new_axes()
    rows = -(-len(forecasts) // _SIDE_BY_SIDE)
    if len(ax.figure.axes) == 1:
        ax.figure.set_size_inches(5.2 * _SIDE_BY_SIDE, 3.2 * rows + 0.6)
    ax.axis("off")
    for number, one in enumerate(forecasts):
        row, column = divmod(number, _SIDE_BY_SIDE)
        wide, high = 1 / _SIDE_BY_SIDE, 1 / rows
        place = (column * wide + 0.07, 1 - (row + 1) * high + 0.18 * high, wide - 0.08, 0.76 * high)
        inset, forecast = ax.inset_axes(place), np.array(one["forecast"])
        plot_forecast(one["history"], forecast, one["quantiles"], inset, truth=one["truth"])
        inset.set(title="", ylabel="", xlabel=inset.get_xlabel() if row == rows - 1 else "")
        inset.get_legend().remove()
    entries = {"handles": inset.get_legend_handles_labels()[0], "ncols": 4, "title": "Forecasts"}
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), frameon=False, **entries)
    return ax
