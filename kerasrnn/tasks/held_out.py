"""Sequences that some members of a model do not learn from, and what these then say of them."""

from __future__ import annotations

from itertools import product

import keras
import numpy as np

from kerasrnn.data.sequences import Part
from kerasrnn.inference.calling import compiled, in_batches, outputs
from kerasrnn.tasks.members import members_beside

_HELD = 4  # one of so many members does not learn from a sequence
_FEWEST = 3  # members, of which each learns from two thirds at least
_PARTS = 20  # of the whole, in which shares are counted


def held_out(part: Part, members: int, seed: int) -> np.ndarray:
    """Which members do not learn from which sequences of a part, bool (n, members).

    From each sequence a quarter of them, of few one, evenly over the members and over the range of
    the targets, or labels; from sequences of one group the same. None do not of fewer than three
    members, or where there are fewer sequences, or groups, than members.

    >>> held_out(Part(np.zeros((8, 5, 1)), np.arange(8.0)[:, None]), 4, seed=0).sum(0).tolist()
    [2, 2, 2, 2]
    """
    rng, y = np.random.default_rng(seed), part.y.reshape(len(part), -1).astype("float64")
    own = np.arange(len(part))
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


def unseen_answers(model: keras.Model, part: Part, held: np.ndarray) -> np.ndarray:
    """What a model says of a part; of members the mean of those that a sequence was held from."""
    apart = members_beside(model) if held.any() else model
    found = in_batches(compiled(apart, outputs), *part.inputs)
    return mean_of(found, held) if held.any() else found


def mean_of(found: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Of found (n, members, …) the mean of the members that are held, (n, …)."""
    return np.stack([row[chosen].mean(0) for row, chosen in zip(found, held, strict=True)])


def possible_shares(number: int) -> np.ndarray:
    """Shares of so many parts in an answer, each 0 or more, together 1 at most: (choices, number).

    >>> possible_shares(2)[:3].tolist()
    [[0.0, 0.0], [0.0, 0.05], [0.0, 0.1]]
    """
    tried = product(range(_PARTS + 1), repeat=number)
    return np.array([row for row in tried if sum(row) <= _PARTS]) / _PARTS
