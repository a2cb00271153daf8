"""The times of series: their step, what follows them, their calendar, their season. No Keras."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np

from kerasrnn.errors import InputError

_SECOND = 1_000_000  # microseconds
_DAY = 86_400 * _SECOND
_YEAR = 365.2425 * _DAY
_CYCLES = {"hour": _DAY, "weekday": 7 * _DAY, "season": _YEAR}  # of the calendar, their lengths
_MOST_GAPS = 1.0  # rows filled in for each row that there is
_CALENDAR_SEASON = 3, 0.3  # seasons that must be there, and the autocorrelation that tells one
_LONGEST = 400  # such lag
_ANY_SEASON = 6, 0.4  # the same of lags that no calendar suggests: of many one fits by chance


class Step(NamedTuple):
    """The distance of two rows: months, or microseconds, or a number where times are numbers."""

    unit: str  # "months", "us" or "number"
    size: float

    def after(self, last, number: int) -> np.ndarray:
        """The next ``number`` times after the time ``last``.

        >>> Step("months", 1).after(np.datetime64("2020-12-31", "us"), 2).astype("M8[D]").tolist()
        [datetime.date(2021, 1, 31), datetime.date(2021, 2, 28)]
        """
        ahead = np.arange(1, number + 1)
        if self.unit == "number":
            return last + ahead * self.size
        last = np.datetime64(last, "us")
        if self.unit == "us":
            return last + (ahead * int(self.size)).astype("m8[us]")
        first = last.astype("M8[M]")
        months = first + ahead * int(self.size)
        inside = last - first.astype("M8[us]")
        ends = (months + 1).astype("M8[D]").astype("M8[us]") - np.timedelta64(1, "D")
        day = inside.astype("m8[D]").astype("m8[us]")
        return np.minimum(months.astype("M8[us]") + day, ends) + (inside - day)

    @property
    def microseconds(self) -> float | None:
        """Its length, of a month on average; None where times are numbers."""
        if self.unit == "number":
            return None
        return self.size * (_YEAR / 12 if self.unit == "months" else 1)


def step_of(times: np.ndarray) -> Step:
    """The usual step of rising times, datetime64 or numbers.

    >>> step_of(np.array(["1949-01", "1949-02", "1949-03"], "M8[us]"))
    Step(unit='months', size=1)
    """
    if times.dtype.kind != "M":
        return Step("number", float(np.median(np.diff(times))) if len(times) > 1 else 1.0)
    times = times.astype("M8[us]")
    months = times.astype("M8[M]")
    inside = times - months.astype("M8[us]")
    last_days = (times + np.timedelta64(1, "D")).astype("M8[M]") > months
    steps = np.diff(months.astype("int64"))
    if len(steps) and steps.min() >= 1 and (len(set(inside.tolist())) == 1 or last_days.all()):
        return Step("months", int(np.median(steps)))
    return Step("us", int(np.median(np.diff(times).astype("int64"))) if len(times) > 1 else _DAY)


def regular(
    values: np.ndarray, times: np.ndarray | None, where: str
) -> tuple[np.ndarray, np.ndarray | None]:
    """The rows at regular times: a gap of so many steps becomes as many rows of NaN.

    values: float (rows, columns). times: of the rows, or None. Warns where the times have no
    regular step, and takes the rows as they follow each other. Raises ``InputError`` for times
    that do not rise.
    """
    if times is None or len(times) < 2:
        return values, times
    times = times.astype("M8[us]") if times.dtype.kind == "M" else times
    rises = np.diff(times).astype("float64") > 0
    if not rises.all():
        row = int(np.argmin(rises))
        raise InputError(
            "times that do not rise",
            where=where,
            found=f"{times[row + 1]} after {times[row]}",
            fix="name the column that tells series apart by --id, or leave rows out that repeat",
        )
    step = step_of(times)
    if step.unit == "months":
        months = times.astype("M8[M]").astype("int64")
        places = (months - months[0]) / step.size
    else:
        places = (times - times[0]).astype("float64") / step.size
    rows = np.rint(places).astype("int64")
    if np.abs(places - rows).max() > 0.1 or (np.diff(rows) < 1).any():
        warnings.warn(f"{where}: times without a regular step; rows count as steps", stacklevel=3)
        return values, times
    missing = int(rows[-1]) + 1 - len(rows)
    if not missing:
        return values, times
    if missing > _MOST_GAPS * len(rows):
        warnings.warn(f"{where}: gaps longer than the data; rows count as steps", stacklevel=3)
        return values, times
    filled = np.full((rows[-1] + 1, values.shape[1]), np.nan)
    filled[rows] = values
    all_times = np.concatenate([times[:1], step.after(times[0], rows[-1])])
    all_times[rows] = times
    return filled, all_times


def iso_times(times: np.ndarray) -> list:
    """Times as ISO has them, without the parts that are the same in all; numbers as they are.

    >>> iso_times(np.array(["1949-01", "1949-02"], "M8[us]")), iso_times(np.array([3.0, 4.0]))
    (['1949-01', '1949-02'], [3, 4])
    """
    if times.dtype.kind != "M":
        whole = (times % 1 == 0).all()
        return [int(time) if whole else time for time in times.tolist()]
    for unit in ("M", "D", "m", "s"):
        shorter = times.astype(f"M8[{unit}]")
        if (shorter == times).all() and (unit != "M" or len(times) > 1):
            return np.datetime_as_string(shorter).tolist()
    return np.datetime_as_string(times).tolist()


def calendar_names(step: Step | None, rows: int) -> tuple[str, ...]:
    """The cycles of the calendar that that many rows see twice, in steps of a quarter or less.

    >>> calendar_names(Step("us", 3600 * 1_000_000), rows=10_000)
    ('hour', 'weekday')
    """
    length = None if step is None else step.microseconds
    if length is None:
        return ()
    return tuple(
        name
        for name, cycle in _CYCLES.items()
        if 4 * length <= cycle and rows * length >= 2 * cycle
    )


def calendar_columns(names: tuple[str, ...]) -> list[str]:
    """The names of the columns of ``calendar``."""
    return [f"{part} of {name}" for name in names for part in ("sine", "cosine")]


def calendar(times: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """Where times are in cycles of the calendar, as sine and cosine, float64 (rows, 2 · names).

    names: ``"hour"`` of the day, ``"weekday"``, and ``"season"``, the time of the year.

    >>> calendar(np.array(["2024-01-01T06"], "M8[us]"), ("hour",)).round(3).tolist()
    [[1.0, 0.0]]
    """
    if not names:
        return np.zeros((len(times), 0))
    times = times.astype("M8[us]")
    since = {
        "hour": times - times.astype("M8[D]"),
        "weekday": times - np.datetime64("1970-01-05", "us"),  # a Monday
        "season": times - times.astype("M8[Y]").astype("M8[us]"),
    }
    turns = [2 * np.pi * since[name].astype("float64") / _CYCLES[name] for name in names]
    return np.stack([part(turn) for turn in turns for part in (np.sin, np.cos)], axis=1)


def find_season(values: np.ndarray, step: Step | None) -> int | None:
    """The season of a series in steps, by its autocorrelation; None where it has none.

    Of the cycles of the calendar in steps (hours of a day and week, days of a week and year,
    months, quarters and weeks of a year), or without times of all lags where the autocorrelation
    of the values less a straight line has a peak, that with the highest autocorrelation of the
    values less their moving average over the season: 0.3 at least, over three seasons; of all
    lags 0.4, over six.

    values: float (rows,), NaN where missing.

    >>> find_season(np.sin(np.arange(90) * 2 * np.pi / 12), None)
    12
    """
    length = None if step is None else step.microseconds
    seasons, least = _ANY_SEASON if length is None else _CALENDAR_SEASON
    most = len(values) // seasons
    if most < 2 or np.isnan(values).all():
        return None
    values = np.where(np.isnan(values), np.nanmean(values), values)
    if length is None:
        candidates = _peaks(values, min(most, _LONGEST))
    else:
        candidates = {round(cycle / length) for cycle in _CYCLES.values() if cycle >= 2 * length}
    scores = {lag: _seasonality(values, lag) for lag in sorted(candidates) if 2 <= lag <= most}
    best = max(scores.values(), default=0.0)
    close = [lag for lag, score in scores.items() if score >= max(least, 0.95 * best)]
    return close[0] if close else None  # not one of its multiples


def _peaks(values, most):
    """The lags up to ``most`` where values less a straight line are more alike than beside them."""
    rows = np.arange(len(values))
    rest = values - np.polyval(np.polyfit(rows, values, 1), rows)
    spectrum = np.abs(np.fft.rfft(rest, 2 * len(rest))) ** 2
    alike = np.fft.irfft(spectrum)[: most + 2] / (len(rest) - np.arange(most + 2))
    peaks = (alike[1:-1] > alike[:-2]) & (alike[1:-1] >= alike[2:])
    return (1 + np.flatnonzero(peaks)).tolist()


def _seasonality(values, lag):
    """The autocorrelation at a lag of the values less their moving average over the lag."""
    weights = np.full(lag + 1 - lag % 2, 1.0)
    if lag % 2 == 0:
        weights[[0, -1]] = 0.5
    smooth = np.convolve(values, weights / lag, "valid")
    rest = values[len(weights) // 2 :][: len(smooth)] - smooth
    rest = rest - rest.mean()
    total = float(rest @ rest)
    if total <= 1e-12 * max(float(values @ values), 1e-300):
        return 0.0
    return float(rest[lag:] @ rest[:-lag]) / total * len(rest) / (len(rest) - lag)
