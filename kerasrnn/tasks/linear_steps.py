"""The linear part of a classifier of few sequences: logistic regression on all their steps."""

from __future__ import annotations

import warnings

import keras
import numpy as np

from kerasrnn.data.sequences import Dataset
from kerasrnn.tasks.logistic import logits, with_pool
from kerasrnn.tasks.recipes import FEW

_MOST_PRODUCTS = 3_000_000  # of a step of a regression, of which there are some thousand
_FOLDS = 5
_INVERSE_PENALTIES = (1e-4, 1e-3, 1e-2, 0.1, 1, 10)


def with_linear(
    model: keras.Model, data: Dataset, weights: np.ndarray | None = None
) -> keras.Model:
    """The model with a logistic regression of all steps beside it; their geometric mean answers.

    Where each step of a sequence has its own meaning, as the hours of a day have, a linear model
    errs less than a network that learns this from a few dozen sequences. Its penalty is the one
    of the least loss in cross-validation, and its weight half of what this leaves out of the loss
    of the labels' frequencies, so that where it knows little it says little. The regression is
    fitted here, and stays; ``without_pool`` gives what is to be trained.

    The model stays alone for many sequences, of unequal length or with missing values, images,
    those too large to fit in seconds, and where a class has one sequence only.

    weights: float (n,), of the training sequences.
    """
    x, y = data.train.x, data.train.y
    number, size, classes = len(x), int(np.prod(x.shape[1:])), len(data.labels)
    folds = min(_FOLDS, np.bincount(y, minlength=classes).min())
    many = number >= FEW or number * size * classes > _MOST_PRODUCTS
    if many or folds < 2 or data.one_scale or data.missing or data.train.lengths is not None:
        return model
    steps = keras.layers.Flatten(name="all_steps")(model.inputs[0])
    linear = keras.layers.Dense(classes, "softmax", trainable=False, name="linear_steps")
    beside = linear(steps)
    parameters, skill = _fit(x.reshape(number, size), y, int(folds), weights)
    linear.set_weights(parameters)
    return with_pool(model, beside, skill / 2)


def _fit(x, y, folds, weights):
    """The kernel (steps, classes) and the bias (classes,) for raw values (n, steps); the skill."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    steps = [("scaling", StandardScaler()), ("regression", LogisticRegression(max_iter=1000))]
    search = GridSearchCV(
        Pipeline(steps),
        {"regression__C": _INVERSE_PENALTIES},
        scoring="neg_log_loss",
        cv=StratifiedKFold(folds, shuffle=True, random_state=0),
    )
    with warnings.catch_warnings():  # of one that has not quite converged
        warnings.simplefilter("ignore")
        search.fit(x.astype("float64"), y, regression__sample_weight=weights)
    scaling, regression = (step for _, step in search.best_estimator_.steps)
    coefficients, bias = logits(regression)
    kernel = (coefficients / scaling.scale_).T
    shares = np.bincount(y) / len(y)
    skill = max(0.0, 1 + search.best_score_ / -np.sum(shares * np.log(shares)))
    return [kernel, bias - scaling.mean_ @ kernel], float(skill)
