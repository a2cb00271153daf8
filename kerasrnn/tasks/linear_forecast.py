"""The linear part that a forecast starts from: a mean of smoothing and ridge regressions."""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls

from kerasrnn.data.series import Series
from kerasrnn.data.times import calendar_columns
from kerasrnn.regression import evenly
from kerasrnn.tasks.smoothing import Smoothing, smoothing_kernels

_ALPHAS = 10.0 ** np.arange(-3, 6)  # penalties tried, on standardized columns
_BLOCKS = 4  # of the later half of the training windows, on which members are chosen
_MOST_WINDOWS = 1 << 12  # seen to choose; four times as many to fit
_LESS = 0.98  # of an error: logarithms, which exaggerate growth, must err less by so much
_TO_ERRORS = 30.0  # how much weights are held to those of the single errors


class Correction(NamedTuple):
    """A ridge regression of what a simple forecast misses.

    reference: the kind of smoothing that it corrects, "last" or "season". every: it sees the
    history of all columns, not only that of its target. cycles: of the calendar that it sees.
    alpha: its penalty.
    """

    reference: str
    every: bool
    cycles: tuple[str, ...]
    alpha: float

    @property
    def kind(self) -> tuple:
        """All but the penalty."""
        return self[:3]


class LinearForecast(NamedTuple):
    """A linear forecast of scaled windows, and how they are scaled.

    log: of logarithms of the targets. members: what it is the mean of, with their weights.
    mean, variance: (columns,), of the training rows, after the logarithm where there is one.
    kernel: (window · columns + horizon · known, horizon · targets); bias: (horizon · targets,).
    residuals: (n, horizon, targets), its errors on training windows that it was not fitted to.
    error: their mean size in units of the series' scale.
    """

    log: bool
    members: dict[Smoothing | Correction, float]
    mean: np.ndarray
    variance: np.ndarray
    kernel: np.ndarray
    bias: np.ndarray
    residuals: np.ndarray
    error: float


def fit_linear(series: Series) -> LinearForecast:
    """A mean of linear forecasts, weighted by later blocks of the training windows.

    Each block of windows is predicted from those that end before it begins. Tried are exponential
    smoothing, and ridge regressions that correct the last value or that of a season ago: nine
    penalties, each subset of the calendar's cycles, the history of the target and of all columns.
    Of each kind the one of the lowest error has a weight in the mean (``mean_weights``), of the
    values, or of their logarithms where all targets are positive and that errs clearly less. Where
    there are too few windows to choose on, it is a damped trend.

    >>> rows = np.arange(120) + 10 * np.sin(np.arange(120) * np.pi / 6)
    >>> found = fit_linear(Series.from_arrays(rows, horizon=12, window=24, season=12))
    >>> found.log, found.kernel.shape, round(sum(found.members.values()), 6)
    (False, (24, 12), 1.0)
    """
    positive = series.train.values[_training_rows(series)][:, series.train.targets].min() > 0
    means = [_best_mean(_Space(series, log)) for log in (False, True)[: 1 + positive]]
    log = len(means) > 1 and means[1][0] < _LESS * means[0][0]
    error, members, residuals = means[log]
    space = _Space(series, log)
    predict = space.fit(members)
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
    return LinearForecast(log, members, space.mean, space.variance, kernel, bias, residuals, error)


def mean_weights(errors: np.ndarray, residuals: np.ndarray, horizon: int) -> np.ndarray:
    """Weights of a mean of forecasts, none below 0, with sum 1, float64 (members,).

    errors: (members,), their mean sizes. residuals: (members, n, horizon, targets). The weights
    have a small mean square of the weighted residuals, as far as so many windows, which overlap,
    tell (Bates & Granger 1969), and else lie near those that fall with the error.

    >>> residuals = np.array([1.0, -1.0, 2.0]).reshape(3, 1, 1, 1)
    >>> mean_weights(np.array([1.0, 1.0, 2.0]), residuals, 1).round(2).tolist()
    [0.4, 0.42, 0.18]
    """
    near = 1 / np.maximum(errors, 1e-9)
    near /= near.sum()
    windows = max(residuals.shape[1] / horizon, 1)  # that do not overlap
    flat = residuals.reshape(len(residuals), -1)
    squares = flat @ flat.T / flat.shape[1]
    values, vectors = np.linalg.eigh(squares * windows / (squares.diagonal().min() + 1e-12))
    # for weights whose sum is 1 both terms are of degree 2: the row of ones sets their scale only
    rows = [
        np.sqrt(np.maximum(values, 0))[:, None] * vectors.T,
        np.sqrt(_TO_ERRORS) * (np.eye(len(near)) - near[:, None]),
        np.ones((1, len(near))),
    ]
    wanted = np.append(np.zeros(2 * len(near)), 1)
    found, _ = nnls(np.concatenate(rows), wanted, maxiter=100 * len(near))
    return found / found.sum()


def _best_mean(space):
    """The error of the best mean in a space, its members with weights, and its residuals."""
    kept = {}
    for member, error, residuals in space.tried():
        if error < kept.get(member.kind, (np.inf,))[0]:
            kept[member.kind] = error, member, residuals
    if not kept:
        seasonal = Smoothing("season") in space.kernels
        return np.inf, {Smoothing("trend", 0.3, 0.2 * seasonal): 1.0}, None
    errors, members, residuals = zip(*kept.values(), strict=True)
    residuals = np.stack(residuals)
    weights = mean_weights(np.array(errors), residuals, space.series.horizon)
    residuals = np.tensordot(weights, residuals, 1)
    named = {
        member: float(weight) for member, weight in zip(members, weights, strict=True) if weight
    }
    return space.error(residuals), named, residuals


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
        order = np.argsort(age, kind="stable")[evenly(len(part), 4 * _MOST_WINDOWS)]
        self.age = age[order]
        inputs, self.raw = part.take(order)
        self.x = self._scaled(inputs["x"], slice(None), self.targets)
        known = list(part.known)
        self.known = np.zeros((len(order), series.horizon, 0))
        if known:
            self.known = (inputs["known"] - self.mean[known]) / np.sqrt(self.variance[known])
        self.y = self._scaled(self.raw, self.targets, slice(None))
        self.kernels = smoothing_kernels(series.window, series.horizon, series.season)
        chosen = evenly(len(order), _MOST_WINDOWS)
        blocks = _blocks(self.age[chosen], series.horizon)
        self.blocks = [(chosen[before], chosen[block]) for before, block in blocks]
        self.rows = [row for _, block in self.blocks for row in block]

    def _logs(self, values, columns):
        if self.log:
            values = values.copy()
            values[..., columns] = np.log(values[..., columns])
        return values

    def _scaled(self, values, columns, logs):
        values = self._logs(values.astype("float64"), logs)
        return (values - self.mean[columns]) / np.sqrt(self.variance[columns])

    def raw_of(self, scaled):
        """Scaled targets in their own units, infinite where an exponential is too large."""
        values = scaled * np.sqrt(self.variance[self.targets]) + self.mean[self.targets]
        with np.errstate(over="ignore"):
            return np.exp(values) if self.log else values

    def error(self, residuals):
        """The mean size of errors on the blocks, (n, horizon, targets), in units of the scale."""
        found = self.raw_of(self.y[self.rows] - residuals)
        return float((np.abs(self.raw[self.rows] - found) / self.series.scale).mean())

    def smoothed(self, x, kernel):
        """What a kernel of smoothing gives for each target, (n, horizon, targets)."""
        return np.tensordot(x[:, :, self.targets], kernel, (1, 0)).swapaxes(1, 2)

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

    def tried(self):
        """Members with their errors on the blocks and their residuals there, where there are any.

        Of corrections that differ by their penalty only, the best one.
        """
        if not self.blocks:
            return
        x, y = self.x[self.rows], self.y[self.rows]
        for member, kernel in self.kernels.items():
            residuals = y - self.smoothed(x, kernel)
            yield member, self.error(residuals), residuals
        calendar, lowest = self.series.calendar, {}
        for size in range(len(calendar) + 1):
            for cycles in combinations(calendar, size):
                for found in self.corrections(False, cycles):
                    lowest[cycles] = min(found[1], lowest.get(cycles, np.inf))
                    yield found
        if len(self.series.columns) - 2 * len(calendar) > 1:
            yield from self.corrections(True, min(lowest, key=lowest.get))

    def corrections(self, every, cycles):
        """The best correction of each reference, with its error and residuals."""
        references = [name for name in ("last", "season") if Smoothing(name) in self.kernels]
        number, horizon, targets = self.y[self.rows].shape
        missed = np.empty((len(_ALPHAS), len(references), number, horizon, targets))
        for target in range(targets):
            end = 0
            for before, block in self.blocks:
                begin, end = end, end + len(block)
                seen, wanted = self.pairs(before, references, every, cycles, target)
                path = _ridge_path(seen, wanted, _ALPHAS)
                seen, wanted = self.pairs(block, references, every, cycles, target)
                for found, place in zip(path(seen), missed, strict=True):
                    parts = np.split(wanted - found, len(references), axis=1)
                    place[:, begin:end, :, target] = parts
        for index, reference in enumerate(references):
            errors = [self.error(one) for one in missed[:, index]]
            best = int(np.argmin(errors))
            member = Correction(reference, every, cycles, float(_ALPHAS[best]))
            yield member, errors[best], missed[best, index].copy()

    def pairs(self, rows, references, every, cycles, target):
        """What ridge regressions of one target see in windows, and what references miss there.

        (n, features) and (n, references · horizon).
        """
        x, y = self.x[rows], self.y[rows, :, target]
        kernels = [self.kernels[Smoothing(reference)] for reference in references]
        missed = [y - x[:, :, self.targets[target]] @ kernel for kernel in kernels]
        seen = self.features(x, self.known[rows], every, cycles, target)
        return seen, np.concatenate(missed, axis=1)

    def fit(self, members):
        """The mean of members, by their weights, a function of scaled windows."""
        smooth, ridges = 0, {}
        for member, weight in members.items():
            corrects = isinstance(member, Correction)
            simple = Smoothing(member.reference) if corrects else member
            smooth = smooth + weight * self.kernels[simple]
            if corrects:
                ridges.setdefault(member[1:3], []).append((member, weight))
        fits = []
        for (every, cycles), some in ridges.items():
            references, alphas = zip(*((one.reference, one.alpha) for one, _ in some), strict=True)
            weights = np.array([weight for _, weight in some])
            for target in range(len(self.targets)):
                pairs = self.pairs(slice(None), references, every, cycles, target)
                fits.append((every, cycles, target, weights, _ridge_path(*pairs, alphas)))

        def predict(x, known):
            answers = self.smoothed(x, smooth)
            for every, cycles, target, weights, path in fits:
                found = path(self.features(x, known, every, cycles, target))
                for index, (weight, one) in enumerate(zip(weights, found, strict=True)):
                    answers[:, :, target] += weight * np.split(one, len(weights), axis=1)[index]
            return answers

        return predict


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
        return [mean + x @ kernel for kernel in shrunk]

    return predict
