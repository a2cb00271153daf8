"""Line charts and histograms as numbers that the templates draw as SVG, with or without JavaScript.

What is drawn here is what a browser without JavaScript, a printer and a screen reader get;
``report.js`` draws the same from ``Chart.data`` when one hovers or zooms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

WIDTH, HEIGHT = 640, 280  # of a chart, in its own units
LEFT, RIGHT, TOP, BOTTOM = 58, 628, 14, 242  # of the area within its axes
COLOURS = 8  # of the palette in report.css
MARKERS = 4  # shapes that tell lines apart, too
_MOST_POINTS = 1000  # of a line; of more every k-th is kept
_TICKS = 5
_MARKS = 8  # markers on a line


class Line(NamedTuple):
    """A line of a chart: points (x, y), where y may be None.

    keys: names in the legend by which it is hidden. colour: its place in the palette. dashed:
    whether it is so. band: (low, high) of each point, or empty.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float | None]
    keys: tuple[str, ...] = ()
    colour: int = 0
    dashed: bool = False
    band: Sequence[tuple[float, float]] = ()


class Chart(NamedTuple):
    """A line chart: what the template draws, and ``data``, which report.js draws anew."""

    title: str
    x: str
    x_ticks: list
    y_ticks: list
    lines: list
    notes: list
    data: dict


def line_chart(
    lines: Sequence[Line],
    title: str,
    x: str,
    *,
    group: str = "",
    notes: Sequence[tuple[float, str]] = (),
    whole: bool = False,
) -> Chart:
    """A chart of lines.

    group: charts of one are zoomed together. notes: places on the x axis and what is to be said
    of them. whole: whether x are whole numbers.

    >>> chart = line_chart([Line("loss", [1, 2], [0.5, 0.25])], "Loss", "epoch", whole=True)
    >>> chart.x_ticks, chart.lines[0]["path"]
    ([(58.0, '1'), (628.0, '2')], 'M58 24.4L628 231.6')
    """
    lines = [_thinned(line) for line in lines]
    low, high = _span([value for line in lines for value in line.x], 0.0)
    heights = [value for line in lines for value in (*line.y, *(v for b in line.band for v in b))]
    bottom, top = _span(heights, 0.05)

    def across(value):
        return round(LEFT + (value - low) / (high - low) * (RIGHT - LEFT), 1)

    def up(value):
        return round(BOTTOM - (value - bottom) / (top - bottom) * (BOTTOM - TOP), 1)

    drawn = [_drawn(line, across, up) for line in lines]
    said = [
        {
            "name": line.name,
            "keys": line.keys,
            "colour": line.colour % COLOURS,
            "dashed": line.dashed,
            "x": [*map(short, line.x)],
            "y": [*map(short, line.y)],
            "band": [[*map(short, pair)] for pair in line.band],
        }
        for line in lines
    ]
    return Chart(
        title,
        x,
        [(across(value), f"{value:.6g}") for value in ticks(low, high, whole)],
        [(up(value), f"{value:.6g}") for value in ticks(bottom, top)],
        drawn,
        [(across(place), words) for place, words in notes if low <= place <= high],
        {"lines": said, "x": x, "group": group, "whole": whole, "notes": list(notes)},
    )


def ticks(low: float, high: float, whole: bool = False) -> list[float]:
    """About five round numbers from ``low`` to ``high``.

    >>> ticks(0, 1), ticks(1, 50, whole=True)
    ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [10.0, 20.0, 30.0, 40.0, 50.0])
    """
    rough = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(size for size in (1, 2, 5, 10) if rough <= size * power * 1.0001)
    step = max(step, 1.0) if whole else step
    first = math.ceil(low / step - 1e-9)
    return [round(n * step, 12) for n in range(first, math.floor(high / step + 1e-9) + 1)]


def histogram(edges: Sequence[float], counts: Sequence[int]) -> list[dict]:
    """The bars of a histogram: ``x``, ``width`` and ``height`` in a box of 100 by 100.

    >>> histogram([1, 2, 3], [5, 10])[0]
    {'x': 0.0, 'width': 50.0, 'height': 50.0, 'said': '1 to 2', 'count': 5}
    """
    low, high, most = edges[0], edges[-1], max([*counts, 1])
    span = (high - low) or 1
    return [
        {
            "x": round(100 * (left - low) / span, 2),
            "width": round(100 * (right - left) / span, 2),
            "height": round(100 * count / most, 2),
            "said": f"{left:.4g} to {right:.4g}",
            "count": count,
        }
        for left, right, count in zip(edges, edges[1:], counts, strict=False)
    ]


def finite(value) -> bool:
    """Whether a value is a number that can be drawn."""
    return isinstance(value, (int, float)) and math.isfinite(value)


def short(value):
    """A number with six digits, None for what is none.

    >>> short(0.12345678), short(float("nan"))
    (0.123457, None)
    """
    return float(f"{value:.6g}") if finite(value) else None


def _thinned(line):
    """The line with no more points than one can see."""
    every = math.ceil(len(line.x) / _MOST_POINTS)
    if every <= 1:
        return line
    kept = [*range(0, len(line.x) - 1, every), len(line.x) - 1]
    band = [line.band[index] for index in kept] if line.band else ()
    return line._replace(
        x=[line.x[index] for index in kept], y=[line.y[index] for index in kept], band=band
    )


def _span(values, margin):
    """The lowest and the highest of values, which differ, and a margin around them."""
    found = [value for value in values if finite(value)] or [0.0, 1.0]
    low, high = min(found), max(found)
    if low == high:
        low, high = low - (abs(low) * 0.1 or 0.5), high + (abs(high) * 0.1 or 0.5)
    return low - margin * (high - low), high + margin * (high - low)


def _drawn(line, across, up):
    """What the template draws of a line."""
    points = [
        (across(x), up(y)) if finite(x) and finite(y) else None
        for x, y in zip(line.x, line.y, strict=True)
    ]
    there = [point for point in points if point]
    every = max(1, len(there) // _MARKS)
    band = ""
    if line.band:
        edges = [
            (across(x), up(low), up(high)) for x, (low, high) in zip(line.x, line.band, strict=True)
        ]
        around = [(x, low) for x, low, _ in edges] + [(x, high) for x, _, high in edges[::-1]]
        band = path(around) + "Z"
    return {
        "name": line.name,
        "colour": line.colour % COLOURS,
        "dashed": line.dashed,
        "path": path(points),
        "marker": line.colour % MARKERS,
        "marks": there[::every] if len(there) == 1 or line.keys else [],
        "band": band,
    }


def path(points: Sequence[tuple[float, float] | None]) -> str:
    """The ``d`` of an SVG path through points; None lifts the pen.

    >>> path([(1, 2), (3, 4.5), None, (5, 6)])
    'M1 2L3 4.5M5 6'
    """
    words, down = [], False
    for point in points:
        if point:
            words.append(f"{'L' if down else 'M'}{point[0]:g} {point[1]:g}")
        down = point is not None
    return "".join(words)
