"""The answer of a regressor of sequences: a mix of its networks, a ridge regression and the mean.

Its shares are those that answer best for sequences that nothing in the mix has learnt from
(Wolpert 1992; Breiman 1996). Where there is nothing to learn that is the mean alone.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from itertools import product

import keras
import numpy as np

from kerasrnn.data.sequences import Dataset, Part
from kerasrnn.inference.calling import compiled, in_batches, outputs
from kerasrnn.layers import ScaledError
from kerasrnn.regression import ridge_weights
from kerasrnn.tasks.members import members_beside, members_of
from kerasrnn.tasks.regression_report import unit_of
from kerasrnn.tasks.scaling import scaling

_HELD = 4  # one of so many members does not learn from a sequence
_FEWEST = 3  # members, of which each learns from two thirds at least
_PARTS = 20  # of the whole, in which shares are counted
_MOST_FLAT = 2048  # values of a sequence up to which the ridge regression reads it


def held_out(part: Part, members: int, seed: int) -> np.ndarray:
    """Which members do not learn from which sequences of a part, bool (n, members).

    From each sequence a quarter of them, of few one, evenly over the members and over the range of
    the targets; from sequences of one group the same. None do not of fewer than three members, or
    where there are fewer sequences, or groups, than members.

    >>> held_out(Part(np.zeros((8, 5, 1)), np.arange(8.0)[:, None]), 4, seed=0).sum(0).tolist()
    [2, 2, 2, 2]
    """
    rng, y, own = np.random.default_rng(seed), part.y.astype("float64"), np.arange(len(part))
    if part.groups is not None:
        _, own = np.unique(part.groups, return_inverse=True)
        y = np.stack([np.bincount(own, target) / np.bincount(own) for target in y.T], axis=1)
    held, deviation = np.zeros((len(y), members), bool), y.std(0)
    if not _FEWEST <= members <= len(y):
        return held[own]
    out = np.arange(max(1, members // _HELD))
    order = np.argsort((y / np.where(deviation > 0, deviation, 1)).sum(1), kind="stable")
    for start in range(0, len(y), members):
        places = rng.permutation(members)
        for place, row in enumerate(order[start : start + members]):
            held[row, places.take(place + out, mode="wrap")] = True
    return held[own]


def blended(
    model: keras.Model, data: Dataset, quantiles: Sequence[float], seed: int
) -> keras.Model:
    """A trained model with the mean and a ridge regression mixed into its answer.

    The shares of each target are 0 or more, together 1, and have the lowest loss: of members for
    each training sequence by those that it was ``held_out`` from, else for the validation part.
    Without either the model stays as it is. The regression reads the scaled steps, where all
    sequences are whole, of one length and not long. A mix of ``quantiles`` is of those of the
    network, of the targets, and of the regression: its answer and the quantiles of its errors.

    Args:
        model: of ``RegressorTask.build``, trained on the data with that seed.
    """
    train, held = data.train, held_out(data.train, len(members_of(model)), seed)
    mixed = any(layer.name == "mix" for layer in model.layers)
    if mixed or not (held.any() or data.validation):
        return model
    part, missed = train if held.any() else data.validation, 0.0
    constant, parts = _typical(train.y, quantiles), [_answers(model, part, held)]
    scale = scaling(train, data.one_scale, "ridge_scaling")
    whole = train.lengths is None and not data.missing
    if whole and train.x[0].size <= _MOST_FLAT:
        found, kernel, bias = _regression(_flat(scale, train), train.y, _flat(scale, part), held)
        missed = _wide(bias, quantiles) + _typical(part.y - found, quantiles)
        parts.append(_wide(found - bias, quantiles) + missed)
    shares = _shares(part.y, constant, parts, unit_of(data), quantiles)
    first, *others = (_wide(share, quantiles) for share in shares)
    constant = (1 - first - sum(others)) * constant + sum(others) * missed
    answer = keras.layers.Rescaling(first.tolist(), constant.tolist(), name="mix")(model.outputs[0])
    if any(share.any() for share in others):
        answer = _with_ridge(model, answer, scale, kernel * shares[1])
    return keras.Model(model.inputs[0] if len(model.inputs) == 1 else model.inputs, answer)


def _answers(model, part, held):
    """What a model says of a part; of members the mean of those that a sequence was held from."""
    inputs = [part.x] if part.lengths is None else [part.x, part.lengths]
    apart = members_beside(model) if held.any() else model
    found = in_batches(compiled(apart, outputs), *inputs)
    return _mean_of(found, held) if held.any() else found


def _mean_of(found, held):
    """Of found (n, members, …) the mean of the members that are held, (n, …)."""
    return np.stack([row[chosen].mean(0) for row, chosen in zip(found, held, strict=True)])


def _wide(values, quantiles):
    """Values (…, targets) with an axis for levels, where there are some."""
    return values[..., None] if quantiles else values


def _typical(values, quantiles):
    """The mean of values (n, targets), or their quantiles (targets, levels)."""
    return (
        np.quantile(values, quantiles, axis=0).T if quantiles else values.mean(0, dtype="float64")
    )


def _flat(scale, part):
    """The scaled steps of sequences, float64 (n, steps · features)."""
    return np.array(scale(np.asarray(part.x, "float32")), "float64").reshape(len(part), -1)


def _regression(x, y, asked, held):
    """Ridge regression of y: what it says of those asked, its kernel and its bias.

    Of members it is made for each without the sequences that are held from it.
    """
    kernel, bias = ridge_weights(x, y)
    if not held.any():
        return asked @ kernel + bias, kernel, bias
    fits = [ridge_weights(x[~rows], y[~rows]) for rows in held.T]
    found = np.stack([asked @ slopes + start for slopes, start in fits], axis=1)
    return _mean_of(found, held), kernel, bias


def _shares(y, constant, parts, unit, quantiles):
    """The shares of the parts of lowest loss, (parts, targets); what is left is the constant's."""
    tried = [row for row in product(range(_PARTS + 1), repeat=len(parts)) if sum(row) <= _PARTS]
    tried, chosen = np.array(tried) / _PARTS, []
    for target in range(y.shape[1]):
        loss = ScaledError([unit[target]], quantiles)
        beside = [part[:, [target]] - constant[target] for part in parts]
        losses = [
            float(loss(y[:, [target]], constant[target] + sum(map(operator.mul, row, beside))))
            for row in tried
        ]
        chosen.append(tried[np.argmin(losses)])
    return np.transpose(chosen)


def _with_ridge(model, answer, scale, kernel):
    """The answer and what a kernel makes of the scaled steps."""
    read = keras.layers.Flatten(name="steps")(scale(model.inputs[0]))
    layer = keras.layers.Dense(kernel.shape[1], use_bias=False, name="ridge")
    found = layer(read)
    layer.set_weights([kernel])
    if len(answer.shape) > 2:
        found = keras.layers.Reshape((kernel.shape[1], 1), name="levels")(found)
    return keras.layers.Add(name="answer")([answer, found])
