"""Series whose future is to be predicted: a ``Series`` of windows, cut in order of time."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from kerasrnn.data import times as time
from kerasrnn.data.parts import ThreeParts
from kerasrnn.data.readers import Rows, TimeSeries
from kerasrnn.data.windows import WindowFormat, Windows, cut_windows
from kerasrnn.errors import InputError, check_positive, check_split

TEST_SPLIT = 0.2  # of the rows of each series, its last
_HORIZONS = 4  # of a window, by default
_SEASONS, _REACH = 3, 200  # in a window of a shorter horizon, and the rows that they are at most
_FEWEST, _OF_ROWS = 16, 20  # rows of any window, and where they are a twentieth of the training's
_MOST_OF_ROWS = 3  # a window is a third of the training rows at most, by default


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
    kind = "series"
    no_folds = "a series, whose future must not be learnt from; --backtest N has several origins"

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
            window: rows to see; by default four times the horizon, or of a shorter one three
                seasons, as far as they are 200 rows, in whole seasons where they fit; and a third
                of the training rows at most.
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
        histories = [
            one.values[: len(one.values) - cut] for one, cut in zip(rows, cuts, strict=True)
        ]
        history = max(histories, key=len)
        targets = [found.columns.index(target) for target in found.targets]
        season = options["season"] or time.find_season(history[:, targets[0]], step)
        horizon = _horizon(options["horizon"], season, where)
        window = options["window"] or _window(horizon, season, len(history))
        calendar = time.calendar_names(step, len(history))
        columns = (*found.columns, *time.calendar_columns(calendar))
        known = (*found.known, *time.calendar_columns(calendar))
        bounds = _bounds(rows, cuts, options["validation_split"], horizon)
        sizes = (window, horizon, tuple(map(columns.index, known)), tuple(targets))
        parts = cut_windows(rows, bounds, calendar, sizes)
        for part in ("training", "test"):
            if not len(parts[part]):
                raise InputError(
                    f"series too short for a window of its {part} part",
                    where=where,
                    found=f"{max(len(one.values) for one in rows):,} rows",
                    expected=f"a window of {window} and a horizon of {horizon} rows in it",
                    fix="choose a smaller --horizon or --window",
                )
        return cls(
            *(found.name, source, columns, found.targets, known, horizon, window, season, step),
            *(calendar, _naive_error(rows, bounds, targets, season)),
            *(parts["training"], parts["validation"] if len(parts["validation"]) else None),
            parts["test"],
            *(options, found.reading),
        )

    def format(self) -> WindowFormat:
        """How windows are made of rows, for who uses a model of this data."""
        columns = self.columns[: len(self.columns) - 2 * len(self.calendar)]
        return WindowFormat(
            *(columns, self.targets, self.known, self.calendar),
            *(self.window, self.horizon, self.step, self.season, tuple(self.scale.tolist())),
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
        with np.errstate(over="ignore"):
            infinite = np.isinf(rows.values.astype("float32"))
        if infinite.any():
            row, column = np.argwhere(infinite)[0]
            raise InputError(
                "a value that is too large, or not finite",
                where=where,
                found=f"{rows.values[row, column]} in {found.columns[column]} of row {row + 1}",
            )


def _lay_out(found, where):
    """The rows of each series with its test rows, how many those are, and the usual step."""
    tests = {rows.id: rows for rows in found.test or ()}
    rows, cuts = [], []
    if strange := tests.keys() - {one.id for one in found.series}:
        warnings.warn(
            f"{where}: series that the training part lacks are left out of the test part: "
            + ", ".join(sorted(strange)),
            stacklevel=4,
        )
    for one in found.series:
        after = tests.get(one.id)
        if after is not None:
            times = None if one.times is None else np.concatenate([one.times, after.times])
            both = Rows(np.concatenate([one.values, after.values]), times, one.id)
        else:
            both = one
        values, times = time.regular(both.values, both.times, where)
        rows.append(Rows(values, times, one.id))
        if after is None:
            cuts.append(int(TEST_SPLIT * len(values)))
        elif times is None:
            cuts.append(len(after.values))
        else:  # some rows of it may have been filled in
            cuts.append(len(values) - int(np.searchsorted(times, after.times[0])))
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
    """Four horizons or three seasons, whole ones, and a third of the rows at most."""
    seasons = season * min(_SEASONS, _REACH // season) if season else 0
    window = max(_HORIZONS * horizon, seasons, min(_FEWEST, rows // _OF_ROWS))
    window = max(min(window, rows // _MOST_OF_ROWS), 1)
    if season and season <= window:
        window -= window % season
    return window


def _bounds(rows, cuts, validation_split, horizon):
    """Of each series the rows where its validation part and its test part begin."""
    bounds = []
    for one, cut in zip(rows, cuts, strict=True):
        test = len(one.values) - cut
        gap = np.isnan(one.values[:test]).all(1)[::-1].cumprod().sum()  # before a test file
        end = test - int(gap)
        # of a short series two horizons at least, or there would be little to choose an epoch on
        held = min(max(int(validation_split * end), 2 * horizon), end // 4)
        bounds.append((end - held if validation_split else test, test))
    return bounds


def _naive_error(rows, bounds, targets, season):
    """Mean absolute error of the seasonal naive forecast of a row, over the training rows.

    Of the last value where there is no season, or no training part longer than one.
    """
    history = [one.values[:end][:, targets] for one, (end, _) in zip(rows, bounds, strict=True)]
    distance = season if season and max(map(len, history)) > season else 1
    errors = np.concatenate([np.abs(some[distance:] - some[:-distance]) for some in history])
    error = np.nanmean(errors, axis=0) if len(errors) else np.ones(len(targets))
    return np.where(error > 0, error, 1.0)
