"""Curves as text, for people at a terminal without windows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping

from kerasrnn.errors import InputError
from kerasrnn.history import History, best_epoch
from kerasrnn.plotting.curves import lines_of, smoothed

_COLOURS = (32, 166, 29, 169, 136, 102)  # of xterm's 256, seen on light and on dark ground
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # of a braille character
_SIDE = 11  # characters of the numbers beside the picture


def draw_text(
    histories: Mapping[str, History],
    metric: str = "loss",
    *,
    width: int = 80,
    height: int = 15,
    smoothing: float = 0.0,
    colour: bool = False,
) -> str:
    """One metric of several runs over the epochs, as lines of text.

    Args:
        histories, metric, smoothing: as of ``plot_histories``.
        width: of all in characters. height: of the picture alone.
        colour: lines of braille dots in the colours of a terminal; else each is of a letter.

    Raises:
        InputError: no history, one that lacks the metric, or no such smoothing.

    >>> print(draw_text({"": {"loss": [3.0, 2.0, 1.0]}}, width=22, height=3))
    loss
             3 |aaa
             2 |   aaaa
             1 |       aaa
                1        3
    a training  1
    """
    if not histories:
        raise InputError("no history to draw", expected="at least one")
    curves = [
        (name, points, best)
        for run, history in histories.items()
        for name, points, best in _curves(run, history, metric, smoothing)
    ]
    points = [point for _, found, _ in curves for point in found] or [(1, 0.0)]
    (first, last), (low, high) = ((min(ends), max(ends)) for ends in zip(*points, strict=True))
    columns = max(width - _SIDE - 1, 8)
    across, down = (2, 4) if colour else (1, 1)  # dots of a character
    to_x = _scale(first, last, across * columns - 1)
    to_y = _scale(high, low, down * height - 1)
    cells = {}
    for number, (_, found, _) in enumerate(curves):
        for x, y in _joined((to_x(x), to_y(y)) for x, y in found):
            place = y // down, x // across
            dots, _ = cells.get(place, (0, 0))
            cells[place] = dots | _DOTS[y % down][x % across], number
    sides = {0: high, height // 2: high + (low - high) * (height // 2) / max(height - 1, 1)}
    sides[height - 1] = low
    lines = [metric.replace("_", " ")]
    for row in range(height):
        side = f"{sides[row]:.4g}" if row in sides else ""
        drawn = (
            _character(*cells[row, column], colour) if (row, column) in cells else " "
            for column in range(columns)
        )
        lines.append(f"{side:>{_SIDE - 1}} |{''.join(drawn)}".rstrip())
    ends = f"{first}{last:>{columns - len(str(first))}}" if last > first else f"{first}"
    lines.append(" " * (_SIDE + 1) + ends)
    wide = max(len(name) for name, _, _ in curves)
    for number, (name, found, best) in enumerate(curves):
        value = f"{found[-1][1]:.4g}" if found else "no number"
        mark = _character(0xFF, number, colour)
        lines.append(f"{mark} {name:{wide}}  {value}{best}")
    return "\n".join(lines)


def _curves(run, history, metric, smoothing):
    """The lines of a run: name, points (epoch, value), and words about its best epoch."""
    lines, best = lines_of(history, metric), best_epoch(history)
    smoothing = 0 if metric == "learning_rate" else smoothing  # it has no noise
    epochs = history.get("epoch") or range(1, len(history[metric]) + 1)
    for column, word in lines.items():
        values = history[column]
        said = ""
        if best is not None and column.startswith("val_"):
            said = f"  best epoch {epochs[best]}: {values[best]:.4g}"
        drawn = smoothed(values, smoothing)
        points = [(x, y) for x, y in zip(epochs, drawn, strict=True) if math.isfinite(y)]
        yield ", ".join(filter(None, (run, word))) or metric, points, said


def _scale(start: float, end: float, size: int) -> Callable[[float], int]:
    """A function from numbers between two ends to dots from 0 to ``size``."""
    if start == end:
        return lambda value: size // 2
    return lambda value: round((value - start) / (end - start) * size)


def _joined(dots: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Dots, and those on the lines between them."""
    before = None
    for dot in dots:
        x, y = before or dot
        steps = max(abs(dot[0] - x), abs(dot[1] - y), 1)
        for step in range(1, steps + 1):
            yield round(x + (dot[0] - x) * step / steps), round(y + (dot[1] - y) * step / steps)
        before = dot


def _character(dots, number, colour):
    if not colour:
        return _LETTERS[number % len(_LETTERS)]
    return f"\x1b[38;5;{_COLOURS[number % len(_COLOURS)]}m{chr(0x2800 + dots)}\x1b[0m"
