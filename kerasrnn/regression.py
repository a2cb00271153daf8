"""Numbers predicted: their metrics, and linear forecasts, by scikit-learn. No Keras here."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.metrics import (
    mean_absolute_error,
    mean_pinball_loss,
    r2_score,
    root_mean_squared_error,
)
from sklearn.model_selection import KFold, TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

_ALPHAS = 10.0 ** np.arange(-2, 6)  # of ridge regression, on standardized columns
_WIDE = 10.0 ** np.arange(-6, 5)  # on columns that vary together by about 1
_MOST_WEIGHED = 1 << 12  # rows that weights are fitted to
_BLOCKS = 4  # of the later half of windows, in order of time, that the penalty is chosen on
MOST_ROWS = 1 << 14  # that a ridge regression is fitted to


def regression_metrics(y, predicted, scale=None) -> dict[str, float]:
    """Mean absolute error, root mean squared error and R², each the mean over the targets.

    y, predicted: float (n, targets), or (n, horizon, targets), whose steps all count alike. scale:
    (targets,), the mean absolute error of a naive forecast, for the MASE (Hyndman & Koehler 2006).

    >>> regression_metrics(np.array([[1.0], [3.0]]), np.array([[2.0], [3.0]]))
    {'mae': 0.5, 'rmse': 0.7071067811865476, 'r2': 0.5}
    """
    y, predicted = (np.asarray(a, "float64").reshape(-1, np.shape(y)[-1]) for a in (y, predicted))
    errors = mean_absolute_error(y, predicted, multioutput="raw_values")
    metrics = {
        "mae": float(errors.mean()),
        "rmse": float(root_mean_squared_error(y, predicted)),
        "r2": float(r2_score(y, predicted)) if len(y) > 1 else float("nan"),
    }
    return metrics if scale is None else metrics | {"mase": float((errors / scale).mean())}


def quantile_report(y, predicted, quantiles) -> dict[str, dict[str, float]]:
    """Of each level its pinball loss, and its coverage: the fraction of y that is not above it.

    y: float (…, targets). predicted: (…, targets, levels).

    >>> quantile_report(np.array([[1.0], [2.0]]), np.array([[[1.5]], [[1.5]]]), [0.5])
    {'0.5': {'pinball': 0.25, 'coverage': 0.5}}
    """
    y, levels = np.ravel(y), np.reshape(predicted, (-1, len(quantiles))).T
    return {
        f"{level:g}": {
            "pinball": float(mean_pinball_loss(y, found, alpha=level)),
            "coverage": float((y <= found).mean()),
        }
        for level, found in zip(quantiles, levels, strict=True)
    }


def ridge(x: np.ndarray, y: np.ndarray, horizon: int | None = None):
    """Ridge regression of y (n, …) on flattened x (n, …), as a function of further x.

    Its penalty is chosen by cross-validation: in order of time for windows of a ``horizon``.
    """
    shape, number = y.shape[1:], len(x)
    if number == 1:
        return lambda x: np.repeat(y.astype("float64"), len(x), axis=0)
    folds = KFold(min(5, number)) if horizon is None else None
    size = (number - (horizon or 0)) // (2 * _BLOCKS)
    if horizon is not None and size > 0:
        folds = TimeSeriesSplit(_BLOCKS, gap=horizon, test_size=size)
    chosen = evenly(number, MOST_ROWS)
    x, y = (a[chosen].reshape(len(chosen), -1).astype("float64") for a in (x, y))
    fit = make_pipeline(StandardScaler(), RidgeCV(_ALPHAS, cv=folds)).fit(x, y)
    return lambda x: fit.predict(x.reshape(len(x), -1)).reshape(len(x), *shape)


def ridge_weights(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Kernel (columns, targets) and bias (targets,) of the ridge regression of y (n, targets) on x.

    The penalty of each target is chosen by leaving out one row after the other. Columns of x
    (n, columns) count as they are scaled.
    """
    chosen = evenly(len(x), _MOST_WEIGHED)
    fit = RidgeCV(_WIDE, alpha_per_target=True).fit(x[chosen], y[chosen].astype("float64"))
    return fit.coef_.reshape(y.shape[1], -1).T, np.reshape(fit.intercept_, -1)


def evenly(number: int, most: int) -> np.ndarray:
    """So many indices below ``number`` at most, spread evenly.

    >>> evenly(10, 4).tolist()
    [0, 3, 6, 9]
    """
    return np.linspace(0, number - 1, min(number, most)).round().astype(int)
