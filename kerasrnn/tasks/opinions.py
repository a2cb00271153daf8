"""The answer of a classifier of few sequences: what networks, a linear model and frequencies say.

Their probabilities are pooled by logarithms (Genest & Zidek 1986; Heskes 1998), with those shares
that answer best for sequences that nothing in the pool has learnt from (Wolpert 1992).
"""

from __future__ import annotations

import operator
from functools import partial

import keras
import numpy as np
from scipy.special import log_softmax, softmax

from kerasrnn.data.sequences import Dataset
from kerasrnn.layers import OpinionPool
from kerasrnn.layers.linear import LEAST
from kerasrnn.tasks.held_out import held_out, mean_of, possible_shares, unseen_answers
from kerasrnn.tasks.logistic import logistic_regression
from kerasrnn.tasks.members import is_mixed, members_of, with_answer
from kerasrnn.tasks.scaling import flat, flat_size, flat_values, scaling

_FEWEST = 5  # members, of which each learns from four fifths at least
_PENALTIES = (0.1, 1.0, 10.0, 100.0, 1e3)
_TOLERANCE = 1e-3  # of their search


def held_for_opinions(data: Dataset, members: int, seed: int) -> np.ndarray:
    """Which members do not learn from which training sequences, bool (n, members).

    None do not of few members, or where no linear model is to be judged. All learn from the only
    sequence of a label, and from the sequences of its only group.

    >>> x, y = np.zeros((11, 5, 1)), [*"abababababc"]
    >>> data = Dataset.from_arrays(x, y, test=(x, y))
    >>> held_for_opinions(data, 5, seed=0).sum(1).tolist()
    [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0]
    """
    train = data.train
    if members < _FEWEST or not flat_size(data):
        return np.zeros((len(train), members), bool)
    held = held_out(train, members, seed)
    groups = np.arange(len(train)) if train.groups is None else train.groups
    _, groups = np.unique(groups, return_inverse=True)
    labels = np.unique(np.stack([train.y, groups]), axis=1)[0]
    held[np.bincount(labels)[train.y] == 1] = False
    return held


def pooled(
    model: keras.Model, data: Dataset, seed: int, weights: np.ndarray | None = None
) -> keras.Model:
    """A trained model with the label frequencies and a linear model pooled with its answer.

    Their shares are 0 or more, together 1, and give the lowest cross-entropy: of members for the
    training sequences, by those that each was held from, else for the validation part. Members are
    judged by one that learnt from less, and answer by all: their share is the mean of that and 1.
    Without sequences to judge by, and of images, the model stays as it is. The linear model is
    logistic regression of the scaled steps, of long or unequal sequences the means of pieces.

    Args:
        model: of ``ClassifierTask.build``, trained on the data with that seed.
        weights: of the training sequences, all of a label alike, float (n,).
    """
    train, classes = data.train, len(data.labels)
    held = held_for_opinions(data, len(members_of(model)), seed)
    rows = held.any(1).nonzero()[0]
    asked = train.take(rows) if len(rows) else data.validation
    if asked is None or data.one_scale or is_mixed(model):
        return model
    number = np.bincount(train.y, minlength=classes)
    counts = np.bincount(train.y, weights, minlength=classes)
    often, count = _log(counts / counts.sum()), (counts / np.maximum(number, 1))[asked.y]
    network = _log(unseen_answers(model, asked, held[rows]))
    found = [(*_shares(asked.y, count, network, often), None)]
    scale = scaling(train, data.one_scale, "logistic_scaling")
    if flat_size(data):
        x, others = (flat_values(data, scale, part) for part in (train, asked))
        for penalty in _PENALTIES:
            fit = partial(_regression, x, train.y, weights, classes, penalty)
            linear = _log(_unseen(fit, others, held, rows))
            found.append((*_shares(asked.y, count, network, linear, often), fit))
    _, shares, fit = min(found, key=lambda each: each[0])
    if shares[0] == 1:
        return model
    if len(rows):
        shares = (shares + np.eye(len(shares))[0]) / 2
    opinions = model.outputs[:1]
    if fit is not None:
        layer = keras.layers.Dense(classes, activation="softmax", name="logistic")
        opinions.append(layer(flat(data, scale, model.inputs)))
        layer.set_weights(fit())
    mix = OpinionPool(shares[:-1].tolist(), (shares[-1] * often).tolist(), name="mix")
    return with_answer(model, mix(opinions))


def _log(probabilities):
    return np.log(np.maximum(probabilities, LEAST))


def _regression(x, y, weights, classes, penalty, rows=slice(None)):
    """The kernel and the bias of a logistic regression of some rows."""
    coefficients, bias = logistic_regression(
        x[rows],
        y[rows],
        classes,
        penalty=penalty,
        tolerance=_TOLERANCE,
        weights=None if weights is None else weights[rows],
    )
    return coefficients.T, bias


def _unseen(fit, asked, held, rows):
    """What regressions say of those asked; where these are rows that some are held from, those."""

    def answers(kernel, bias):
        return softmax(asked @ kernel + bias, axis=-1)

    if not len(rows):
        return answers(*fit())
    found = [answers(*fit(rows=~out)) for out in held.T]
    return mean_of(np.stack(found, axis=1), held[rows])


def _shares(y, count, *opinions):
    """The lowest cross-entropy of pools of opinions, logs of probabilities, and their shares.

    The last opinion, the same for all, is not pooled alone. count: for how much each y does.
    """
    tried = possible_shares(len(opinions) - 1)[1:]  # without that of nothing to the others
    tried = np.column_stack([tried, 1 - tried.sum(1)])
    losses = []
    for shares in tried:
        logits = sum(map(operator.mul, shares, opinions))
        surprise = -log_softmax(logits, axis=-1)[np.arange(len(y)), y]
        losses.append(np.average(surprise, weights=count))
    best = np.argmin(losses)
    return losses[best], tried[best]
