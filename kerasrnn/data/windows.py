"""Windows of series, sliced where they are asked for, and how they are made of rows. No Keras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from kerasrnn.data import times as time
from kerasrnn.data.readers import Rows
from kerasrnn.errors import InputError


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

    columns: of the rows, without those of the calendar. ``targets``, …, ``scale`` as of ``Series``.
    """

    columns: tuple[str, ...]
    targets: tuple[str, ...]
    known: tuple[str, ...]
    calendar: tuple[str, ...]
    window: int
    horizon: int
    step: time.Step | None
    season: int | None
    scale: tuple[float, ...]

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

    def windows(self, every: Sequence[Rows]) -> Windows:
        """All windows of the rows of some series. Raises ``InputError`` where there is none."""
        rows = []
        for one in every:
            values, times = time.regular(one.values, one.times, "the series")
            rows.append(Rows(values, times, one.id))
        columns = (*self.columns, *time.calendar_columns(self.calendar))
        places = (tuple(map(columns.index, names)) for names in (self.known, self.targets))
        sizes = (self.window, self.horizon, *places)
        found = cut_windows(rows, [(0, 0)] * len(rows), self.calendar, sizes)["test"]
        if not len(found):
            raise InputError(
                "rows too few for a forecast and what came to pass",
                found=f"{max((len(one.values) for one in rows), default=0)}",
                expected=f"at least {self.window + self.horizon}",
            )
        return found

    def _check_known(self, known):
        if len(known) < self.horizon or np.isnan(known).any():
            names = ", ".join(name for name in self.known if name in self.columns)
            raise InputError(
                "a forecast needs what is known in advance",
                found=f"{int((~np.isnan(known).any(1)).sum())} rows of it",
                expected=f"{self.horizon} rows with {names} alone after the last value of "
                f"{', '.join(self.targets)}",
            )


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


def cut_windows(
    rows: Sequence[Rows],
    bounds: Sequence[tuple[int, int]],
    calendar: tuple[str, ...],
    sizes: tuple[int, int, tuple[int, ...], tuple[int, ...]],
) -> dict[str, Windows]:
    """The windows of each part: those all of whose targets lie in it, none of them missing.

    rows: of each series, at regular times. bounds: the rows where its validation part and its test
    part begin. calendar: the cycles to add as columns. sizes: window, horizon, the columns known
    in advance and those to predict.
    """
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
    return {
        part: Windows(values, *np.concatenate(found, axis=1), *sizes)
        for part, found in origins.items()
    }
