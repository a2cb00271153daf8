"""Logistic regression, by scikit-learn, to stand beside a network."""

from __future__ import annotations

import warnings

import keras
import numpy as np

from kerasrnn.layers import OpinionPool

_SURE = 10.0  # the logit of a label that all rows have, or, negative, none


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


def with_pool(model: keras.Model, beside) -> keras.Model:
    """The model whose answer is the geometric mean of its own and of what stands beside it."""
    pool = OpinionPool(name="pool")([model.outputs[0], beside])
    return keras.Model(model.inputs, pool)


def without_pool(model: keras.Model) -> keras.Model:
    """The part of a model of ``with_pool`` that gradients train; of another, all of it."""
    last = model.layers[-1]
    return keras.Model(model.inputs, last.input[0]) if isinstance(last, OpinionPool) else model
