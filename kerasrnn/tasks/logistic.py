"""Logistic regression, by scikit-learn, to stand beside a network."""

from __future__ import annotations

import warnings

import numpy as np

_MOST_FEATURES = 20_000_000  # in memory at a time, about a gigabyte
_MOST_PRODUCTS = 200_000_000  # of a step of the regression, a minute's or two in all
MOST_WEIGHTS = 3_000_000  # of a layer
_SURE = 10.0  # the logit of a label that all rows have, or, negative, none


def fits(features: int, classes: int) -> bool:
    """Whether so many features of all rows together are fitted in memory and in a minute or two."""
    return features <= _MOST_FEATURES and features * classes <= _MOST_PRODUCTS


def logistic_regression(
    x,
    y: np.ndarray,
    classes: int,
    *,
    penalty: float,
    tolerance: float,
    weights: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (classes, features) and bias (classes,) of the logits of some rows.

    Args:
        x: a sparse matrix (rows, features).
        y: the class of each row, int (rows,); or 0 and 1 (rows, classes) where a row has several,
            of which each is judged alone.
        classes: number of them, those that no row has included.
        penalty: on the sum of squares of the coefficients, halved.
        tolerance: of the gradient, at which the search ends.
        weights: of the rows, float (rows,).
    """
    from sklearn.linear_model import LogisticRegression

    coefficients, bias = np.zeros((classes, x.shape[1])), np.full(classes, -_SURE)
    regression = LogisticRegression(C=1 / penalty, max_iter=1000, tol=tolerance)
    several = y.ndim == 2
    with warnings.catch_warnings():  # of one that has not quite converged
        warnings.simplefilter("ignore")
        for label, target in enumerate(y.T if several else [y]):
            there = np.unique(target)
            if len(there) == 1:
                bias[label if several else there] = _SURE if not several or target[0] else -_SURE
                continue
            regression.fit(x, target, weights)
            found, start = regression.coef_, regression.intercept_
            if len(there) == 2 and not several:  # the logit of the second
                found, start = np.concatenate([0 * found, found]), np.array([0, *start])
            rows = [label] if several else there
            coefficients[rows], bias[rows] = found, start
    return coefficients, bias
