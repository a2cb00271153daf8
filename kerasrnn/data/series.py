"""Series whose future is to be predicted: a ``Series`` of windows, cut in order of time."""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import keras
import numpy as np

from kerasrnn.data import times as time
from kerasrnn.data.parts import ThreeParts
from kerasrnn.data.readers import Rows, TimeSeries
from kerasrnn.errors import InputError, check_positive, check_split

TEST_SPLIT = 0.2  # of the rows of each series, its last
_HORIZONS = 4  # of a window, by default
_MOST_OF_ROWS = 3  # a window is a third of the training rows at most, by default


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows of one part, sliced where they are asked for.

    values: float32 (rows, columns) of all series, one after the other. origins: int64 (n,), the
    row of the first value to predict of each window. begins: int64 (n,), the first row of its
    series. window, horizon: rows before and from there.
    known, targets: the columns known in advance, and those to predict.
    """

    values: np.ndarray
    origins: np.ndarray
    begins: np.ndarray
    window: int
    horizon: int
    known: tuple[int, ...]
    targets: tuple[int, ...]

    def __len__(self):
        return len(self.origins)

    def take(self, indices) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Inputs and targets of windows: x (n, window, columns), known (n, horizon, known) where
        there are such columns, and y (n, horizon, targets).
        """
        starts = self.origins[indices][:, None]
        future = self.values[starts + np.arange(self.horizon)]
        inputs = {"x": self.values[starts + np.arange(-self.window, 0)]}
        if self.known:
            inputs["known"] = future[:, :, self.known]
        return inputs, future[:, :, self.targets]

    def before(self, distance: int) -> np.ndarray:
        """The targets so many rows before those to predict, (n, horizon, targets).

        The rows of a season before, of several seasons where one is shorter than the horizon. The
        last row seen where the series does not go back so far.
        """
        steps = np.arange(self.horizon)
        rows = self.origins[:, None] + steps - distance * (steps // distance + 1)
        rows = np.where(rows < self.begins[:, None], self.origins[:, None] - 1, rows)
        return self.values[rows][:, :, self.targets]


class WindowFormat(NamedTuple):
    """How windows are made of the rows of a series, for a model that was trained on such.

    columns: of the rows, without those of the calendar. ``targets``, …, ``step`` as of ``Series``.
    """

    columns: tuple[str, ...]
    targets: tuple[str, ...]
    known: tuple[str, ...]
    calendar: tuple[str, ...]
    window: int
    horizon: int
    step: time.Step | None

    def to_json(self) -> dict:
        """As JSON has it."""
        return self._asdict() | {"step": self.step and list(self.step)}

    @classmethod
    def from_json(cls, said: dict) -> WindowFormat:
        """Of what ``to_json`` gave. Raises TypeError for something else."""
        said = {name: tuple(v) if isinstance(v, list) else v for name, v in said.items()}
        return cls(**said | {"step": said["step"] and time.Step(*said["step"])})

    def last_window(self, rows: Rows) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
        """The inputs (1, …) of a model for what follows some rows, and its times (horizon,).

        Where columns are known in advance, the rows to predict are the last ones, and have no
        targets. Raises ``InputError`` where rows are too few, or have no times but need such.
        """
        values, times = time.regular(rows.values, rows.times, "the series")
        if values.shape[1] != len(self.columns):
            raise InputError(
                "rows that do not fit the model",
                found=f"{values.shape[1]} columns",
                expected=", ".join(self.columns),
            )
        own = [self.columns.index(name) for name in self.known if name in self.columns]
        targets = [self.columns.index(name) for name in self.targets]
        future = values[len(values) :]
        if own:
            ahead = int(np.isnan(values[::-1, targets]).all(1).cumprod().sum())
            values, future = values[: len(values) - ahead], values[len(values) - ahead :]
            self._check_known(future[: self.horizon, own])
        if len(values) < self.window or (self.calendar and times is None):
            raise InputError(
                "rows too few for a forecast" if times is not None else "rows without times",
                found=f"{len(values)}",
                expected=f"at least {self.window}" + " with times" * bool(self.calendar),
            )
        known = np.zeros((self.horizon, 0)) if not own else future[: self.horizon, own]
        after = None
        if times is not None:
            times = times[: len(values)]
            after = (self.step or time.step_of(times)).after(times[-1], self.horizon)
        window = carry_forward(values)[-self.window :]
        if self.calendar:
            window = np.c_[window, time.calendar(times[-self.window :], self.calendar)]
            known = np.c_[known, time.calendar(after, self.calendar)]
        inputs = {"x": window[None].astype("float32")}
        return inputs | ({"known": known[None].astype("float32")} if known.size else {}), after

    def _check_known(self, known):
        if len(known) < self.horizon or np.isnan(known).any():
            raise InputError(
                "a forecast needs what is known in advance",
                found=f"{int((~np.isnan(known).any(1)).sum())} rows of it",
                expected=f"{self.horizon} rows with {', '.join(self.known)}, after the last value "
                f"of {', '.join(self.targets)}",
            )


@dataclass(frozen=True, eq=False)
class Series(ThreeParts):
    """One or several series, and the windows of them to learn from and to be tested on.

    columns: of a row: those of the data, then those of its calendar. targets: the columns to
    predict; known: those known in advance. horizon, window: rows to predict, and rows to see.
    season: rows after which the series repeats itself, or None. step: of its times, or None.
    calendar: the cycles of the calendar that are columns. scale: float64 (targets,), the mean
    absolute error of the seasonal naive forecast (the last value, where there is no season) over
    the training rows, which errors are measured in (MASE, Hyndman & Koehler 2006). train,
    validation, test: ``Windows``, in order of time; the values that a window of one part is to
    predict lie all in that part. ``name``, ``source``, ``options`` and ``reading`` as of
    ``Dataset``.

    >>> print(Series.from_arrays(np.arange(300) ** 2, horizon=5, window=20))
    series: 192 training, 20 validation, 56 test windows of 20 rows of 1 column, to predict 5 of 1
    """

    name: str
    source: str
    columns: tuple[str, ...]
    targets: tuple[str, ...]
    known: tuple[str, ...]
    horizon: int
    window: int
    season: int | None
    step: time.Step | None
    calendar: tuple[str, ...]
    scale: np.ndarray
    train: Windows
    validation: Windows | None
    test: Windows
    options: dict
    reading: dict = field(default_factory=dict)

    task = "regressor"

    @classmethod
    def from_arrays(
        cls,
        values: np.ndarray | Sequence[np.ndarray],
        *,
        times: np.ndarray | Sequence[np.ndarray] | None = None,
        columns: Sequence[str] | None = None,
        targets: Sequence[str] | None = None,
        known: Sequence[str] = (),
        horizon: int | None = None,
        window: int | None = None,
        season: int | None = None,
        name: str = "series",
        validation_split: float = 0.1,
    ) -> Series:
        """A ``Series`` of arrays in memory.

        Args:
            values: numbers (rows, columns), or (rows,) for one column, in the order of time, NaN
                where missing; a list of such arrays for several series.
            times: of the rows, datetime64 or numbers; a list for several series. Where there are
                some, gaps are found, and the calendar is known in advance.
            columns: names, by default ``"1"``, ``"2"``, ….
            targets: those to predict, by default all that are not known in advance.
            known: those known in advance, so that their values over the horizon are seen too.
            horizon: rows to predict; by default a season, or one row.
            window: rows to see; by default four times the horizon, in whole seasons where they
                fit, and a third of the training rows at most.
            season: rows after which the series repeats; found by default.
            name: used in run names.
            validation_split: fraction of the rows before the test part that the best epoch is
                chosen on; the last fifth of the rows of each series is the test part.

        Raises:
            InputError: arrays that cannot be trained on.

        >>> rows = np.random.default_rng(0).normal(size=(200, 2))
        >>> Series.from_arrays(rows, targets=["2"], horizon=3, window=8).sizes()
        {'training': 134, 'validation': 14, 'test': 38}
        """
        several = isinstance(values, (list, tuple)) and np.ndim(values[0]) > 0
        every = [np.asarray(rows, "float64") for rows in (values if several else [values])]
        every = [rows[:, None] if rows.ndim == 1 else rows for rows in every]
        given = [None] * len(every) if times is None else times if several else [times]
        names = columns or [str(index + 1) for index in range(every[0].shape[1])]
        found = TimeSeries(
            name,
            [
                Rows(rows, None if at is None else np.asarray(at), str(index + 1))
                for index, (rows, at) in enumerate(zip(every, given, strict=True))
            ],
            tuple(names),
            tuple(targets or [column for column in names if column not in known]),
            tuple(known),
        )
        options = {"horizon": horizon, "window": window, "season": season}
        return cls.from_rows(found, "", name, options | {"validation_split": validation_split})

    @classmethod
    def from_rows(cls, found: TimeSeries, source: str, where: str, options: dict) -> Series:
        """A ``Series`` of what a reader found.

        source: what it was read from, an absolute path. where: what messages call it. options:
        "horizon", "window", "season" and "validation_split", as of ``from_arrays``.
        """
        _check(found, where, options)
        rows, cuts, step = _lay_out(found, where)
        number, cut = max((len(one.values), cut) for one, cut in zip(rows, cuts, strict=True))
        longest = next(one.values for one in rows if len(one.values) == number)
        targets = [found.columns.index(target) for target in found.targets]
        history = longest[: number - cut]
        season = options["season"] or time.find_season(history[:, targets[0]], step)
        horizon = _horizon(options["horizon"], season, where)
        window = options["window"] or _window(horizon, season, len(history))
        calendar = time.calendar_names(step, len(history))
        columns = (*found.columns, *time.calendar_columns(calendar))
        known = (*found.known, *time.calendar_columns(calendar))
        bounds = _bounds(rows, cuts, options["validation_split"], horizon)
        sizes = (window, horizon, tuple(map(columns.index, known)), tuple(targets))
        parts = _windows(rows, bounds, calendar, sizes, where)
        return cls(
            *(found.name, source, columns, found.targets, known, horizon, window, season, step),
            *(calendar, _naive_error(rows, bounds, targets, season)),
            *(parts["training"], parts.get("validation"), parts["test"]),
            *(options, found.reading),
        )

    def format(self) -> WindowFormat:
        """How windows are made of rows, for who uses a model of this data."""
        columns = self.columns[: len(self.columns) - 2 * len(self.calendar)]
        return WindowFormat(
            *(columns, self.targets, self.known, self.calendar),
            *(self.window, self.horizon, self.step),
        )

    def __str__(self):
        columns = len(self.columns) - 2 * len(self.calendar)
        return (
            f"{self.name}: {self._sizes_in_words()} windows of {self.window} rows of {columns} "
            f"column{'s' * (columns > 1)}, to predict {self.horizon} of {', '.join(self.targets)}"
            + (f"; season of {self.season} rows" if self.season else "")
            + (f"; calendar: {', '.join(self.calendar)}" if self.calendar else "")
        )

    def fingerprint(self) -> str:
        """SHA-256 of all values and of where they are cut."""
        digest = hashlib.sha256("\0".join(self.columns + self.targets + self.known).encode())
        digest.update(np.ascontiguousarray(self.train.values))
        for part in self.parts().values():
            digest.update(f"{part.window} {part.horizon}".encode())
            digest.update(np.ascontiguousarray(part.origins))
        return digest.hexdigest()


class SeriesBatches(keras.utils.PyDataset):
    """Batches of windows, in an order fixed by (seed, epoch); so many in an epoch at most.

    Windows that overlap have little new to say: of many an epoch takes other ones each time.
    """

    tokens = None  # there are none to count

    def __init__(self, part: Windows, batch_size: int, seed: int, most_windows: int):
        super().__init__()
        self.part, self.batch_size, self.seed = part, batch_size, seed
        self.number = min(len(part), most_windows)
        self.epoch = -1
        self.on_epoch_end()

    def __len__(self):
        return math.ceil(self.number / self.batch_size)

    def __getitem__(self, index):
        start = index * self.batch_size
        inputs, y = self.part.take(self.order[start : start + self.batch_size])
        return (inputs if len(inputs) > 1 else inputs["x"]), y

    def on_epoch_end(self):
        self.epoch += 1
        rng = np.random.default_rng([self.seed, self.epoch])
        self.order = rng.permutation(len(self.part))[: self.number]


def carry_forward(values: np.ndarray) -> np.ndarray:
    """Values (rows, columns) with the last known one in place of each that is missing.

    So no value depends on a later one. Before the first known value stands 0.

    >>> carry_forward(np.array([[np.nan], [2.0], [np.nan]])).ravel().tolist()
    [0.0, 2.0, 2.0]
    """
    missing = np.isnan(values)
    if not missing.any():
        return values
    rows = np.where(missing, 0, np.arange(len(values))[:, None])
    filled = np.take_along_axis(values, np.maximum.accumulate(rows, axis=0), axis=0)
    return np.nan_to_num(filled, nan=0.0)


def _check(found, where, options):
    check_split(options["validation_split"])
    check_positive(
        **{
            name: options[name]
            for name in ("horizon", "window", "season")
            if options[name] is not None
        }
    )
    for what, names in (("target", found.targets), ("known column", found.known)):
        for name in names:
            if name not in found.columns:
                raise InputError(
                    f"no such {what}", where=where, found=name, expected=" or ".join(found.columns)
                )
    both = set(found.targets) & set(found.known)
    if both or not found.targets:
        raise InputError(
            "no column to predict" if not both else "a target that is known in advance",
            where=where,
            found=", ".join(both) or None,
        )
    for rows in found.series:
        if np.isinf(rows.values).any():
            row, column = np.argwhere(np.isinf(rows.values))[0]
            raise InputError(
                "a value that is not finite",
                where=where,
                found=f"{rows.values[row, column]} in {found.columns[column]} of row {row + 1}",
            )


def _lay_out(found, where):
    """The rows of each series with its test rows, how many those are, and the usual step."""
    tests = {rows.id: rows for rows in found.test or ()}
    rows, cuts = [], []
    for one in found.series:
        after = tests.get(one.id)
        if after is not None:
            times = None if one.times is None else np.concatenate([one.times, after.times])
            both = Rows(np.concatenate([one.values, after.values]), times, one.id)
        else:
            both = one
        values, times = time.regular(both.values, both.times, where)
        rows.append(Rows(values, times, one.id))
        cuts.append(len(after.values) if after is not None else int(TEST_SPLIT * len(values)))
    longest = max(rows, key=lambda one: len(one.values))
    timed = longest.times is not None and len(longest.values) > 1
    return rows, cuts, time.step_of(longest.times) if timed else None


def _horizon(given, season, where):
    if given is not None:
        return given
    horizon = season or 1
    warnings.warn(
        f"{where}: predicting {horizon} row{'s' * (horizon > 1)}"
        f"{', a season' if season else ''}; choose with --horizon",
        stacklevel=4,
    )
    return horizon


def _window(horizon, season, rows):
    """Four horizons, in whole seasons where a season fits, and a third of the rows at most."""
    window = max(min(_HORIZONS * horizon, rows // _MOST_OF_ROWS), 1)
    if season and season <= window:
        window -= window % season
    return window


def _bounds(rows, cuts, validation_split, horizon):
    """Of each series the rows where its validation part and its test part begin."""
    bounds = []
    for one, cut in zip(rows, cuts, strict=True):
        test = len(one.values) - cut
        # of a short series two horizons at least, or there would be little to choose an epoch on
        held = min(max(int(validation_split * test), 2 * horizon), test // 4)
        bounds.append((test - (held if validation_split else 0), test))
    return bounds


def _windows(rows, bounds, calendar, sizes, where):
    """The windows of each part: those all of whose targets lie in it, none of them missing."""
    window, horizon, _, targets = sizes
    origins = {"training": [], "validation": [], "test": []}
    values, start = [], 0
    for one, (validation, test) in zip(rows, bounds, strict=True):
        ends = {"training": validation, "validation": test, "test": len(one.values)}
        whole = np.cumsum(np.r_[0, np.isnan(one.values[:, targets]).any(1)])
        first = window
        for part, end in ends.items():
            found = np.arange(first, end - horizon + 1)
            found = found[whole[found + horizon] == whole[found]]
            origins[part].append(np.stack([start + found, np.full(len(found), start)]))
            first = max(window, end)
        columns = carry_forward(one.values)
        if calendar:
            columns = np.concatenate([columns, time.calendar(one.times, calendar)], axis=1)
        values.append(columns.astype("float32"))
        start += len(columns)
    values = np.concatenate(values) if len(values) > 1 else values[0]
    parts = {
        part: Windows(values, *np.concatenate(found, axis=1), *sizes)
        for part, found in origins.items()
    }
    for part in ("training", "test"):
        if not len(parts[part]):
            raise InputError(
                f"series too short for a window of its {part} part",
                where=where,
                found=f"{max(len(one.values) for one in rows):,} rows",
                expected=f"a window of {window} and a horizon of {horizon} rows in it",
                fix="choose a smaller --horizon or --window",
            )
    return {part: found for part, found in parts.items() if len(found)}


def _naive_error(rows, bounds, targets, season):
    """Mean absolute error of the seasonal naive forecast of a row, over the training rows.

    Of the last value where there is no season, or no training part longer than one.
    """
    history = [one.values[:end][:, targets] for one, (end, _) in zip(rows, bounds, strict=True)]
    distance = season if season and max(map(len, history)) > season else 1
    errors = np.concatenate([np.abs(some[distance:] - some[:-distance]) for some in history])
    error = np.nanmean(errors, axis=0) if len(errors) else np.ones(len(targets))
    return np.where(error > 0, error, 1.0)
