"""Exponential smoothing of a window as linear maps of its values. No Keras here."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_ALPHAS = 0.1, 0.3, 0.6, 1.0  # by which the level follows an error
_GAMMAS = 0.0, 0.2  # by which the season follows what the level leaves of it
_BETA, _PHI = 0.1, 0.9  # by which a trend follows the level, and what a step leaves of it


class Smoothing(NamedTuple):
    """A forecast of a window that needs no training.

    kind: "last", its last value; "season", its values of a season ago; "level", simple exponential
    smoothing, with an additive season where one fits into the window; "trend", the same with a
    damped trend (Gardner & McKenzie 1985); "theta", simple smoothing and half of the slope of the
    least squares line (Assimakopoulos & Nikolopoulos 2000, as Hyndman & Billah 2003 show).
    alpha, gamma: by how much of an error the level and the season change.
    """

    kind: str
    alpha: float = 1.0
    gamma: float = 0.0


def smoothing_kernels(window: int, horizon: int, season: int | None) -> dict[Smoothing, np.ndarray]:
    """Forecasts by exponential smoothing as kernels (window, horizon): windows @ kernel.

    With fixed parameters and a start that is linear in the window, so are all states of additive
    smoothing (Hyndman, Koehler, Ord & Snyder 2008, Forecasting with Exponential Smoothing): the
    recursion over the identity matrix is the kernel.

    >>> kernels = smoothing_kernels(3, 1, None)
    >>> (np.array([4.0, 8.0, 6.0]) @ kernels[Smoothing("level", 0.3)]).round(2).tolist()
    [5.44]
    """
    season = season if season and season <= window else None
    found = {Smoothing("last"): _repeated(window, horizon, 1)}
    if season:
        found[Smoothing("season")] = _repeated(window, horizon, season)
    grid = [
        Smoothing(kind, alpha, gamma)
        for kind in ("level", "trend")
        for alpha in _ALPHAS
        for gamma in (_GAMMAS if season and alpha < 1 else _GAMMAS[:1])
    ]
    found |= zip(grid, _recursion(grid, window, horizon, season), strict=True)
    if not season:
        centred = np.arange(window) - (window - 1) / 2
        slope = centred / max(centred @ centred, 0.5)  # 0.5 of two values, 0 of one
        drift = slope[:, None] * np.arange(1, horizon + 1) / 2
        for alpha in _ALPHAS:
            found[Smoothing("theta", alpha)] = found[Smoothing("level", alpha)] + drift
    return found


def _repeated(window, horizon, period):
    """The kernel that repeats the last ``period`` values."""
    steps = np.arange(horizon)
    kernel = np.zeros((window, horizon))
    kernel[window - period + steps % period, steps] = 1
    return kernel


def _recursion(grid, window, horizon, season):
    """Kernels of smoothing with level, trend and season, (len(grid), window, horizon)."""
    alpha, gamma = (np.array(some)[:, None] for some in list(zip(*grid, strict=True))[1:])
    trended = np.array([[float(one.kind == "trend")] for one in grid])
    beta, phi = _BETA * trended, _PHI * trended
    level, trend, seasonal = _start(trended, window, season)
    for row, value in enumerate(np.eye(window)):
        base, repeated = level + phi * trend, seasonal[row % len(seasonal)]
        error = value - base - repeated
        level = base + alpha * error
        trend = phi * trend + alpha * beta * error
        repeated += gamma * (1 - alpha) * error  # in its place among the seasonal values
    kernels = np.empty((len(grid), window, horizon))
    ahead = np.zeros_like(phi)
    for step in range(horizon):
        ahead = ahead + phi ** (step + 1)
        kernels[:, :, step] = level + ahead * trend + seasonal[(window + step) % len(seasonal)]
    return kernels


def _start(trended, window, season):
    """Level and trend (n, window) and seasonal values (season, n, window) before the first row.

    Of the means of the first two seasons, or of the first one where there are no two; without a
    season of the first half of the window.
    """
    rows = np.eye(window)
    if not season:
        last = max(min(window, max(2, window // 2)) - 1, 0)
        trend = trended * (rows[last] - rows[0]) / max(last, 1)
        return rows[0] - trend, trend, np.zeros((1, len(trended), window))
    first, second = rows[:season].mean(0), rows[season : 2 * season].sum(0) / season
    trend = trended * (second - first) / season * (window >= 2 * season)
    level = first - trend * (season + 1) / 2
    steps = np.arange(1, season + 1)[:, None, None]
    return level, trend, rows[:season, None] - level - steps * trend
