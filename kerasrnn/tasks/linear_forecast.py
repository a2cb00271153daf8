"""The linear part that a forecast starts from: ridge regression of windows, chosen in time."""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np

from kerasrnn.data.series import Series
from kerasrnn.data.times import calendar_columns
from kerasrnn.regression import spread

_ALPHAS = np.append(10.0 ** np.arange(-3, 6), np.inf)  # penalties tried, on standardized columns
_BLOCKS = 4  # of the later half of the training windows, on which it is chosen
_MOST_WINDOWS = 1 << 12  # seen to choose; four times as many to fit


class Choice(NamedTuple):
    """What a linear forecast is made of.

    log: of logarithms. season: it corrects the values of a season ago, instead of the last one.
    every: it sees the history of all columns, not only that of its target. cycles: of the
    calendar that it sees. alpha: its penalty.
    """

    log: bool = False
    season: bool = False
    every: bool = False
    cycles: tuple[str, ...] = ()
    alpha: float = float(_ALPHAS[-1])


class LinearForecast(NamedTuple):
    """A linear forecast of scaled windows, and how they are scaled.

    mean, variance: (columns,), of the training rows, after the logarithm of the targets where
    the choice says so. kernel: (window · columns + horizon · known, horizon · targets); bias:
    (horizon · targets,). residuals: (n, horizon, targets), its errors on training windows that
    it was not fitted to. error: their mean size in units of the series' scale.
    """

    choice: Choice
    mean: np.ndarray
    variance: np.ndarray
    kernel: np.ndarray
    bias: np.ndarray
    residuals: np.ndarray
    error: float


def fit_linear(series: Series) -> LinearForecast:
    """The linear forecast of the lowest error on later blocks of the training windows.

    Each block of windows is predicted from those that end before it begins. Tried are logarithms
    (where all targets are positive), corrections to the last value and to that of a season ago,
    the history of the target and of all columns, each subset of the calendar's cycles, and ten
    penalties; the last is infinite and leaves the naive forecast.

    >>> rows = np.arange(120) + 10 * np.sin(np.arange(120) * np.pi / 6)
    >>> fit_linear(Series.from_arrays(rows, horizon=12, window=24, season=12)).choice.season
    True
    """
    positive = series.train.values[_training_rows(series)][:, series.train.targets].min() > 0
    tried = {}
    for log in (False, True)[: 1 + positive]:
        space = _Space(series, log)
        sizes = range(len(series.calendar) + 1)
        cycles = [some for size in sizes for some in combinations(series.calendar, size)]
        found = {
            choice: error for some in cycles for choice, error in space.errors(False, some).items()
        }
        if len(series.columns) - 2 * len(series.calendar) > 1:
            best = min(found, key=lambda choice: found[choice][0])
            found |= space.errors(True, best.cycles)
        tried |= found
    choice = min(tried, key=lambda choice: tried[choice][0], default=Choice())
    error, residuals = tried.get(choice, (np.nan, None))
    space = _Space(series, choice.log)
    predict = space.fit(choice)
    if residuals is None:  # too few windows to choose on
        residuals = space.y - predict(space.x, space.known)
    size = series.window * len(series.columns)
    basis = np.eye(size + series.horizon * len(series.known))
    basis = np.concatenate([np.zeros_like(basis[:1]), basis])
    answers = predict(
        basis[:, :size].reshape(len(basis), series.window, -1),
        basis[:, size:].reshape(len(basis), series.horizon, -1),
    ).reshape(len(basis), -1)
    bias, kernel = answers[0], answers[1:] - answers[0]
    return LinearForecast(choice, space.mean, space.variance, kernel, bias, residuals, error)


def _training_rows(series):
    """Which rows training windows see or predict, bool (rows,)."""
    part = series.train
    changes = np.zeros(len(part.values) + 1, int)
    np.add.at(changes, part.origins - part.window, 1)
    np.add.at(changes, part.origins + part.horizon, -1)
    return np.cumsum(changes)[:-1] > 0


class _Space:
    """Training windows as the model scales them, in order of time within their series."""

    def __init__(self, series: Series, log: bool):
        self.series, self.log, part = series, log, series.train
        self.targets = list(part.targets)
        rows = self._logs(part.values[_training_rows(series)].astype("float64"), self.targets)
        self.mean, self.variance = rows.mean(0), rows.var(0)
        self.variance = np.where(self.variance <= 1e-12 * self.mean**2, 1, self.variance)
        age = part.origins - part.begins
        order = np.argsort(age, kind="stable")[spread(len(part), 4 * _MOST_WINDOWS)]
        self.age = age[order]
        inputs, self.raw = part.take(order)
        self.x = self._scaled(inputs["x"], slice(None), self.targets)
        known = list(part.known)
        self.known = np.zeros((len(order), series.horizon, 0))
        if known:
            self.known = (inputs["known"] - self.mean[known]) / np.sqrt(self.variance[known])
        self.y = self._scaled(self.raw, self.targets, slice(None))

    def _logs(self, values, columns):
        if self.log:
            values = values.copy()
            values[..., columns] = np.log(values[..., columns])
        return values

    def _scaled(self, values, columns, logs):
        values = self._logs(values.astype("float64"), logs)
        return (values - self.mean[columns]) / np.sqrt(self.variance[columns])

    def raw_of(self, scaled):
        """Scaled targets in their own units."""
        values = scaled * np.sqrt(self.variance[self.targets]) + self.mean[self.targets]
        return np.exp(values) if self.log else values

    def features(self, x, known, every, cycles, target):
        """What a linear forecast of one target sees, (n, features)."""
        series = self.series
        history = len(series.columns) - 2 * len(series.calendar)
        x = x[:, :, :history] if every else x[:, :, [self.targets[target]]]
        last = x[:, -1:]
        wanted = calendar_columns(cycles)
        seen = [
            index
            for index, name in enumerate(series.known)
            if name in wanted or name in series.columns[:history]
        ]
        parts = (x[:, :-1] - last, last, known[:, :, seen])
        return np.concatenate([part.reshape(len(x), -1) for part in parts], axis=1)

    def reference(self, x, season, target):
        """What a linear forecast corrects, (n, horizon)."""
        steps = np.arange(self.series.horizon)
        window = self.series.window
        rows = window - self.series.season + steps % self.series.season if season else steps * 0 - 1
        return x[:, rows, self.targets[target]]

    def fit(self, choice):
        """The forecast of a choice, a function of scaled windows."""
        fits = []
        for target in range(len(self.targets)):
            f = self.features(self.x, self.known, choice.every, choice.cycles, target)
            y = self.y[:, :, target] - self.reference(self.x, choice.season, target)
            fits.append(_ridge_path(f, y, [choice.alpha]))

        def predict(x, known):
            found = [
                self.reference(x, choice.season, target)
                + fits[target](self.features(x, known, choice.every, choice.cycles, target))[0]
                for target in range(len(fits))
            ]
            return np.stack(found, axis=-1)

        return predict

    def errors(self, every, cycles):
        """Choices with their errors on the blocks: the mean in units of the scale, and all."""
        series, chosen = self.series, spread(len(self.x), _MOST_WINDOWS)
        x, known, y, age = (a[chosen] for a in (self.x, self.known, self.y, self.age))
        seasons = (False, True)[: 1 + bool(series.season and series.season <= series.window)]
        residuals = {}
        for before, block in _blocks(age, series.horizon):
            for target in range(len(self.targets)):
                f = self.features(x, known, every, cycles, target)
                references = [self.reference(x, season, target) for season in seasons]
                wanted = np.concatenate([y[:, :, target] - r for r in references], axis=1)
                for alpha, found in zip(
                    _ALPHAS, _ridge_path(f[before], wanted[before], _ALPHAS)(f[block]), strict=True
                ):
                    missed = np.split(wanted[block] - found, len(seasons), axis=1)
                    for season, one in zip(seasons, missed, strict=True):
                        choice = Choice(self.log, season, every, cycles, float(alpha))
                        residuals.setdefault(choice, {}).setdefault(target, []).append(one)
        rows = [row for _, block in _blocks(age, series.horizon) for row in chosen[block]]
        joined = {
            choice: np.stack([np.concatenate(found) for found in each.values()], axis=-1)
            for choice, each in residuals.items()
        }
        return {choice: (self._error(missed, rows), missed) for choice, missed in joined.items()}

    def _error(self, residuals, rows):
        found = self.raw_of(self.y[rows] - residuals)
        return float((np.abs(self.raw[rows] - found) / self.series.scale).mean())


def _blocks(age, horizon):
    """Blocks of the later half of windows, each with the windows that end before it begins."""
    size = len(age) // (2 * _BLOCKS)
    if not size:
        return
    for number in range(_BLOCKS):
        block = len(age) - (_BLOCKS - number) * size + np.arange(size)
        before = np.flatnonzero(age + horizon <= age[block[0]])
        if len(before) > 1:
            yield before, block


def _ridge_path(x, y, alphas):
    """Ridge regression of standardized x for each penalty: a function of x, a list of answers."""
    centre, spread = x.mean(0), x.std(0)
    spread = np.where(spread > 1e-9, spread, 1)
    x = (x - centre) / spread
    mean = y.mean(0)
    values, vectors = np.linalg.eigh(x.T @ x)
    turned = vectors.T @ (x.T @ (y - mean))

    def predict(x):
        x = ((x - centre) / spread) @ vectors
        shrunk = [turned / (np.maximum(values, 0) + alpha)[:, None] for alpha in alphas]
        means = [mean * np.isfinite(alpha) for alpha in alphas]  # no drift without coefficients
        return [mean + x @ kernel for mean, kernel in zip(means, shrunk, strict=True)]

    return predict
