"""Exponential smoothing as linear maps of windows, and the weights of a mean of forecasts."""

import doctest

import numpy as np
import pytest
from scipy.optimize import minimize

from kerasrnn.tasks import linear_forecast, smoothing
from kerasrnn.tasks.smoothing import Smoothing, smoothing_kernels

HORIZON = 7
SIZES = [(9, None), (2, None), (13, 4), (8, 4), (6, 4), (4, 4), (3, 4)]  # of windows, seasons


@pytest.mark.parametrize("module", [smoothing, linear_forecast])
def test_the_examples_of_the_docstrings(module):
    found = doctest.testmod(module)
    assert found.attempted and not found.failed


def textbook(values, season, smoothing):
    """Holt-Winters' equations of level, trend and season, one number after the other."""
    trended, (alpha, gamma) = smoothing.kind == "trend", smoothing[1:]
    beta, phi = (0.1, 0.9) if trended else (0.0, 0.0)
    level, trend, seasonal = values[0], 0.0, [0.0]
    if season:
        level = sum(values[:season]) / season
        if trended and len(values) >= 2 * season:
            trend = (sum(values[season : 2 * season]) / season - level) / season
        level -= trend * (season + 1) / 2
        seasonal = [values[i] - level - trend * (i + 1) for i in range(season)]
    elif trended:
        number = max(len(values) // 2, 2)
        trend = (values[number - 1] - values[0]) / (number - 1)
        level -= trend
    for value in values:
        before, repeated = level, seasonal[-season if season else 0]
        level = alpha * (value - repeated) + (1 - alpha) * (before + phi * trend)
        trend = beta * (level - before) + (1 - beta) * phi * trend
        seasonal.append(gamma * (value - level) + (1 - gamma) * repeated if season else 0.0)
    after = seasonal[-season:] if season else [0.0]
    return [
        level + sum(phi**step for step in range(1, ahead + 2)) * trend + after[ahead % len(after)]
        for ahead in range(HORIZON)
    ]


@pytest.mark.parametrize(("window", "season"), SIZES)
def test_kernels_are_the_recursions_of_textbooks(window, season):
    values = np.random.default_rng(0).normal(5, 2, window)
    fits = season and season <= window
    kernels = smoothing_kernels(window, HORIZON, season)
    steps = np.arange(1, HORIZON + 1)
    for one, kernel in kernels.items():
        expected = np.full(HORIZON, values[-1])
        if one.kind == "season":
            expected = np.tile(values[-season:], HORIZON)[:HORIZON]
        elif one.kind == "theta":
            level = textbook(values, None, one)
            expected = level + np.polyfit(np.arange(window), values, 1)[0] / 2 * steps
        elif one.kind != "last":
            expected = textbook(values, season if fits else None, one)
        np.testing.assert_allclose(values @ kernel, expected, err_msg=str(one))
    kinds = {one.kind for one in kernels}
    assert kinds == {"last", "level", "trend", "season" if fits else "theta"}


@pytest.mark.parametrize(("window", "season"), [*SIZES, (1, None), (1, 1)])
def test_a_constant_continues(window, season):
    for one, kernel in smoothing_kernels(window, HORIZON, season).items():
        np.testing.assert_allclose(kernel.sum(0), 1, err_msg=str(one))


@pytest.mark.parametrize("window", [4, 6, 8, 13])
def test_a_season_is_repeated(window):
    values = np.resize([3.0, 1, 4, 1], window + HORIZON)
    for one, kernel in smoothing_kernels(window, HORIZON, 4).items():
        if one.kind != "last":
            np.testing.assert_allclose(values[:window] @ kernel, values[window:], err_msg=str(one))


def test_a_straight_line_goes_on_by_half_of_its_slope_or_less_and_less():
    kernels, line = smoothing_kernels(10, HORIZON, None), 2.0 * np.arange(10)
    found = line @ kernels[Smoothing("theta", 1.0)]
    np.testing.assert_allclose(found, 18 + np.arange(1, HORIZON + 1))
    rises = np.diff(line @ kernels[Smoothing("trend", 0.3)])
    assert 0 < rises[0] < 2
    np.testing.assert_allclose(rises[1:] / rises[:-1], 0.9)


def test_weights_have_the_lowest_sum_of_squares_and_distance():
    rng = np.random.default_rng(0)
    residuals = rng.uniform(0.5, 3, (6, 1, 1, 1)) * rng.normal(size=(6, 40, 4, 2))
    residuals += rng.normal(size=(40, 4, 2))
    errors = np.abs(residuals).mean((1, 2, 3))
    near = (1 / errors) / (1 / errors).sum()
    lowest = (residuals**2).mean((1, 2, 3)).min()

    def loss(weights):
        squares = (np.tensordot(weights, residuals, 1) ** 2).mean() / lowest
        return 40 / 4 * squares + 30 * ((weights - near) ** 2).sum()

    whole = {"type": "eq", "fun": lambda weights: weights.sum() - 1}
    expected = minimize(loss, near, bounds=[(0, 1)] * 6, constraints=whole, tol=1e-12)
    found = linear_forecast.mean_weights(errors, residuals, 4)
    assert found.min() >= 0 and found.sum() == pytest.approx(1)
    np.testing.assert_allclose(found, expected.x, atol=1e-5)


def test_weights_of_forecasts_without_errors():
    """All weight is on what never errs; where none does, they are equal."""
    residuals = np.stack([np.zeros((9, 2, 1)), np.ones((9, 2, 1))])
    found = linear_forecast.mean_weights(np.array([0.0, 1.0]), residuals, 2)
    np.testing.assert_allclose(found, [1, 0], atol=1e-9)
    found = linear_forecast.mean_weights(np.zeros(2), residuals * 0, 2)
    np.testing.assert_allclose(found, 0.5)
