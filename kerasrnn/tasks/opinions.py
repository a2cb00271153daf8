"""The answer of a classifier of few sequences: what networks, linear models and frequencies say.

Their probabilities are pooled by logarithms (Genest & Zidek 1986; Heskes 1998), with those shares
that answer best for sequences that nothing in the pool has learnt from (Wolpert 1992).
"""

from __future__ import annotations

import operator
from typing import NamedTuple

import keras
import numpy as np
from scipy.special import log_softmax, softmax

from kerasrnn.data.sequences import Dataset, Part
from kerasrnn.layers import OpinionPool
from kerasrnn.layers.linear import LEAST
from kerasrnn.tasks.held_out import held_out, mean_of, possible_shares, unseen_answers
from kerasrnn.tasks.logistic import logistic_regression
from kerasrnn.tasks.members import OPINION_OF, is_mixed, members_of, with_answer
from kerasrnn.tasks.readings import Reading, has_readings, readings

_FEWEST = 5  # members, of which each learns from four fifths at least
_PENALTIES = 10.0 ** np.arange(-4, 2)
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
    if members < _FEWEST or not has_readings(data):
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
    """A trained model with linear models and the label frequencies pooled with its answer.

    The shares are 0 or more, together 1, and give the lowest cross-entropy: of members for the
    training sequences, by those that each was held from, else for the validation part. Members
    are judged by one that learnt from less, and answer by all: their share is the mean of that
    and 1. Of fewer members, which learn from all, nothing tells: they and the best linear model
    have half each. One network without a validation part stays as it is, and so does a model of
    images. The linear models are logistic regressions of what ``readings`` gives, each with the
    penalty that suits it best alone.

    Args:
        model: of ``ClassifierTask.build``, trained on the data with that seed.
        weights: of the training sequences, all of a label alike, float (n,).
    """
    members = len(members_of(model))
    held = held_for_opinions(data, members, seed)
    counts = np.bincount(data.train.y, weights, minlength=len(data.labels))
    judges = _judges(data, held, members, counts, seed)
    if judges is None or data.one_scale or is_mixed(model):
        return model
    read = readings(data, model, seed)
    linear = [_best_regression(reading, data, judges, weights) for reading in read]
    answers, often = [one.answers for one in linear], _log(counts / counts.sum())
    if held.any() or not len(judges.rows):
        network = _log(unseen_answers(model, judges.part, held[judges.rows]))
        shares = _shares(judges, network, *answers, often)
        if held.any():
            shares = (shares + np.eye(len(shares))[0]) / 2
    else:
        shares = _halves(judges, answers, often)
    if shares[0] == 1:
        return model
    chosen = [pair for pair in zip(linear, shares[1:], strict=False) if pair[1]]
    opinions = [_layer_of(one, model.inputs) for one, _ in chosen]
    kept = [float(share) for share in (shares[0], *(share for _, share in chosen))]
    mix = OpinionPool(kept, (shares[-1] * often).tolist(), name="mix")
    return with_answer(model, mix([model.outputs[0], *opinions]))


class _Judges(NamedTuple):
    """Sequences by which opinions are judged.

    rows: theirs in the training part, none of a validation part. folds: which of several
    regressions is made without which row, bool (rows, regressions). count: for how much each does.
    """

    part: Part
    rows: np.ndarray
    folds: np.ndarray
    count: np.ndarray

    def loss(self, logits) -> float:
        """The cross-entropy of logits (n, classes), or (1, classes)."""
        logs = np.broadcast_to(log_softmax(logits, axis=-1), (len(self.part), logits.shape[-1]))
        return -np.average(logs[np.arange(len(self.part)), self.part.y], weights=self.count)


class _Regression(NamedTuple):
    """A logistic regression of what is read, and the logs of what it says to the judges."""

    reading: Reading
    slopes: np.ndarray
    bias: np.ndarray
    answers: np.ndarray


def _judges(data, held, members, counts, seed):
    """Who judges; None where nobody can. counts: of the labels, weighted."""
    train, part, folds = data.train, data.validation, held
    if part is None and members > 1 and not held.any() and has_readings(data):
        folds = held_out(train, _FEWEST, seed)
    rows = folds.any(1).nonzero()[0]
    part = train.take(rows) if len(rows) else part
    if part is None:
        return None
    number = np.bincount(train.y, minlength=len(data.labels))
    return _Judges(part, rows, folds[rows], (counts / np.maximum(number, 1))[part.y])


def _best_regression(reading, data, judges, weights):
    """The regression of what is read whose penalty the judges like best."""
    train, classes, x = data.train, len(data.labels), reading.train
    asked = x[judges.rows] if len(judges.rows) else reading.coordinates(judges.part)

    def fit(penalty, rows):
        some = None if weights is None else weights[rows]
        options = {"penalty": penalty, "tolerance": _TOLERANCE, "weights": some}
        slopes, bias = logistic_regression(x[rows], train.y[rows], classes, **options)
        return slopes.T, bias

    def answers(penalty):
        if not len(judges.rows):
            return _log(said(*whole(penalty)))
        learnt = (np.delete(np.arange(len(x)), judges.rows[out]) for out in judges.folds.T)
        found = [said(*fit(penalty, rows)) for rows in learnt]
        return _log(mean_of(np.stack(found, 1), judges.folds))

    def said(slopes, bias):
        return softmax(asked @ slopes + bias, axis=-1)

    def whole(penalty):
        return fit(penalty, np.arange(len(x)))

    tried = {penalty: answers(penalty) for penalty in _PENALTIES}
    best = min(tried, key=lambda penalty: judges.loss(tried[penalty]))
    return _Regression(reading, *whole(best), tried[best])


def _shares(judges, *opinions):
    """The shares of opinions, logs of probabilities, whose pool the judges like best.

    The last opinion, the same for all, is not pooled alone.
    """
    tried = possible_shares(len(opinions) - 1)[1:]  # without that of nothing to the others
    tried = np.column_stack([tried, 1 - tried.sum(1)])
    losses = [judges.loss(sum(map(operator.mul, shares, opinions))) for shares in tried]
    return tried[np.argmin(losses)]


def _halves(judges, answers, often):
    """Half to the network and half to the best of the other answers, if that knows anything."""
    losses, shares = [judges.loss(one) for one in answers], np.zeros(len(answers) + 2)
    shares[0] = 1
    if losses and min(losses) < judges.loss(often[None]):
        shares[[0, 1 + np.argmin(losses)]] = 0.5
    return shares


def _layer_of(regression, inputs):
    """The answer of a regression of what is read of a model's inputs."""
    reading = regression.reading
    kernel, bias = reading.weights(regression.slopes, regression.bias)
    options = {"activation": "softmax", "dtype": "float32"}
    layer = keras.layers.Dense(len(bias), name=f"{OPINION_OF}{reading.name}", **options)
    answer = layer(reading.read(inputs))
    layer.set_weights([kernel, bias])
    return answer


def _log(probabilities):
    return np.log(np.maximum(probabilities, LEAST))
