"""The answer of a regressor of sequences: a mix of its networks, ridge regressions and the mean.

Its shares are those that answer best for sequences that nothing in the mix has learnt from
(Wolpert 1992; Breiman 1996). Where there is nothing to learn that is the mean alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from kerasrnn.data.sequences import Dataset
from kerasrnn.layers import ScaledError
from kerasrnn.regression import ridge_weights
from kerasrnn.tasks.held_out import held_out, mean_of, possible_shares, unseen_answers
from kerasrnn.tasks.members import SHARE_OF, is_mixed, members_of, with_answer
from kerasrnn.tasks.readings import readings
from kerasrnn.tasks.regression_report import unit_of

_MOST_MIXED = 4_000_000  # numbers, of all shares that are tried at once


def blended(
    model: keras.Model, data: Dataset, quantiles: Sequence[float], seed: int
) -> keras.Model:
    """A trained model with the mean and ridge regressions mixed into its answer.

    The shares of each target are 0 or more, together 1, and have the lowest loss: of members for
    each training sequence by those that it was ``held_out`` from, else for the validation part.
    Without either the model stays as it is. The regressions are of what ``readings`` gives. A mix
    of ``quantiles`` is of those of the network, of the targets, and of each regression: its answer
    and the quantiles of its errors.

    Args:
        model: of ``RegressorTask.build``, trained on the data with that seed.
    """
    train, held = data.train, held_out(data.train, len(members_of(model)), seed)
    if is_mixed(model) or not (held.any() or data.validation):
        return model
    part = train if held.any() else data.validation
    constant, parts, linear = _typical(train.y, quantiles), [unseen_answers(model, part, held)], []
    for reading in readings(data, model, seed):
        asked = reading.train if held.any() else reading.coordinates(part)
        found, slopes, bias = _regression(reading.train, train.y, asked, held)
        missed = _wide(bias, quantiles) + _typical(part.y - found, quantiles)
        parts.append(_wide(found - bias, quantiles) + missed)
        linear.append((reading, slopes, missed))
    first, *others = _shares(part.y, constant, parts, unit_of(data), quantiles)
    total = _wide(1 - first - sum(others), quantiles) * constant
    answers = []
    for share, (reading, slopes, missed) in zip(others, linear, strict=True):
        if share.any():
            kernel, bias = reading.weights(slopes, 0)
            share = np.broadcast_to(_wide(share, quantiles), total.shape)
            total = total + share * (missed + _wide(bias, quantiles))
            answers.append(_ridge(reading, kernel, share, model.inputs))
    scale = _wide(first, quantiles).tolist()
    mixed = keras.layers.Rescaling(scale, total.tolist(), name="mix")(model.outputs[0])
    if answers:
        mixed = keras.layers.Add(name="answer")([mixed, *answers])
    return with_answer(model, mixed)


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
    blocks = np.array_split(tried, 1 + len(tried) * len(y) // _MOST_MIXED)
    for target in range(y.shape[1]):
        loss = ScaledError([unit[target]], quantiles)
        beside = np.stack([part[:, [target]] - constant[target] for part in parts])
        mixed = (constant[target] + np.tensordot(block, beside, 1) for block in blocks)
        losses = [loss.call(y[None, :, [target]], block) for block in mixed]  # (choices, n)
        chosen.append(tried[np.concatenate(losses).mean(1).argmin()])
    return np.transpose(chosen)


def _ridge(reading, kernel, share, inputs):
    """The share in the answer of what a kernel makes of what is read of a model's inputs."""
    name, options = reading.name, {"use_bias": False, "dtype": "float32"}
    if share.ndim > 1:  # of quantiles; Keras adds what is broadcast as a bias where n is like them
        kernel = np.repeat(kernel, share.shape[1], axis=1)
    layer = keras.layers.Dense(kernel.shape[1], name=f"ridge_of_{name}", **options)
    found = layer(reading.read(inputs))
    layer.set_weights([kernel])
    if share.ndim > 1:
        found = keras.layers.Reshape(share.shape, name=f"levels_of_{name}")(found)
    return keras.layers.Rescaling(share.tolist(), name=f"{SHARE_OF}{name}")(found)
