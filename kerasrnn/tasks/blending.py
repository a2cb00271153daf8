"""The answer of a regressor of sequences: a mix of its networks, a ridge regression and the mean.

Its shares are those that answer best for sequences that nothing in the mix has learnt from
(Wolpert 1992; Breiman 1996). Where there is nothing to learn that is the mean alone.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence

import keras
import numpy as np

from kerasrnn.data.sequences import Dataset
from kerasrnn.layers import ScaledError
from kerasrnn.regression import ridge_weights
from kerasrnn.tasks.held_out import held_out, mean_of, possible_shares, unseen_answers
from kerasrnn.tasks.members import is_mixed, members_of, with_answer
from kerasrnn.tasks.regression_report import unit_of
from kerasrnn.tasks.scaling import flat, flat_size, flat_values, scaling


def blended(
    model: keras.Model, data: Dataset, quantiles: Sequence[float], seed: int
) -> keras.Model:
    """A trained model with the mean and a ridge regression mixed into its answer.

    The shares of each target are 0 or more, together 1, and have the lowest loss: of members for
    each training sequence by those that it was ``held_out`` from, else for the validation part.
    Without either the model stays as it is. The regression reads the scaled steps, of long or
    unequal sequences the means of pieces. A mix of ``quantiles`` is of those of the network, of the
    targets, and of the regression: its answer and the quantiles of its errors.

    Args:
        model: of ``RegressorTask.build``, trained on the data with that seed.
    """
    train, held = data.train, held_out(data.train, len(members_of(model)), seed)
    if is_mixed(model) or not (held.any() or data.validation):
        return model
    part, missed = train if held.any() else data.validation, 0.0
    constant, parts = _typical(train.y, quantiles), [unseen_answers(model, part, held)]
    scale = scaling(train, data.one_scale, "ridge_scaling")
    if flat_size(data):
        x, asked = (flat_values(data, scale, each) for each in (train, part))
        found, kernel, bias = _regression(x, train.y, asked, held)
        missed = _wide(bias, quantiles) + _typical(part.y - found, quantiles)
        parts.append(_wide(found - bias, quantiles) + missed)
    shares = _shares(part.y, constant, parts, unit_of(data), quantiles)
    first, *others = (_wide(share, quantiles) for share in shares)
    constant = (1 - first - sum(others)) * constant + sum(others) * missed
    answer = keras.layers.Rescaling(first.tolist(), constant.tolist(), name="mix")(model.outputs[0])
    if any(share.any() for share in others):
        answer = _with_ridge(answer, flat(data, scale, model.inputs), kernel * shares[1])
    return with_answer(model, answer)


def _wide(values, quantiles):
    """Values (…, targets) with an axis for levels, where there are some."""
    return values[..., None] if quantiles else values


def _typical(values, quantiles):
    """The mean of values (n, targets), or their quantiles (targets, levels)."""
    return (
        np.quantile(values, quantiles, axis=0).T if quantiles else values.mean(0, dtype="float64")
    )


def _regression(x, y, asked, held):
    """Ridge regression of y: what it says of those asked, its kernel and its bias.

    Of members it is made for each without the sequences that are held from it.
    """
    kernel, bias = ridge_weights(x, y)
    if not held.any():
        return asked @ kernel + bias, kernel, bias
    fits = [ridge_weights(x[~rows], y[~rows]) for rows in held.T]
    found = np.stack([asked @ slopes + start for slopes, start in fits], axis=1)
    return mean_of(found, held), kernel, bias


def _shares(y, constant, parts, unit, quantiles):
    """The shares of the parts of lowest loss, (parts, targets); what is left is the constant's."""
    tried, chosen = possible_shares(len(parts)), []
    for target in range(y.shape[1]):
        loss = ScaledError([unit[target]], quantiles)
        beside = [part[:, [target]] - constant[target] for part in parts]
        losses = [
            float(loss(y[:, [target]], constant[target] + sum(map(operator.mul, row, beside))))
            for row in tried
        ]
        chosen.append(tried[np.argmin(losses)])
    return np.transpose(chosen)


def _with_ridge(answer, read, kernel):
    """The answer and what a kernel makes of what is read, the scaled steps."""
    layer = keras.layers.Dense(kernel.shape[1], use_bias=False, name="ridge")
    found = layer(read)
    layer.set_weights([kernel])
    if len(answer.shape) > 2:
        found = keras.layers.Reshape((kernel.shape[1], 1), name="levels")(found)
    return keras.layers.Add(name="answer")([answer, found])
