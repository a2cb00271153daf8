"""What ``fit`` reads of texts: batches of similar length, in an order fixed by a seed."""

from __future__ import annotations

import math

import numpy as np

from kerasrnn.data.batches import Batches, RareTokens, longer_than, token_counts
from kerasrnn.data.texts import TextPart, pad_texts, starts_of
from kerasrnn.text import Vocabulary

_RARE = 1  # how often rare tokens are unknown
_POOL = 50  # batches of texts in random order, sorted by length among themselves


class TextBatches(Batches):
    """Batches of texts of about one length, in an order fixed by (seed, epoch).

    The texts are shuffled, sorted by length within pools of 50 batches, and the batches
    shuffled again: little is padded, and no two epochs have the same batches. Gives ids int32
    (batch, time), y, and the weights of the texts where there are some. Of a vocabulary that is
    given, a token that occurs n times is the unknown one with probability 1 / (1 + n), anew each
    time (Iyyer et al. 2015; Kiperwasser & Goldberg 2016, by frequency): what is unknown later has
    then been met, and no text is known by its rarest words.

    >>> part = TextPart(np.array([5, 6, 7]), np.array([0, 1]), np.array([2, 1]))
    >>> x, y = TextBatches(part, batch_size=2, seed=0)[0]
    >>> x.tolist(), y.tolist()
    ([[7, 0], [5, 6]], [1, 0])
    """

    def __init__(
        self,
        part: TextPart,
        batch_size: int,
        seed: int,
        weights: np.ndarray | None = None,
        vocabulary: Vocabulary | None = None,
    ):
        super().__init__()
        self.part, self.batch_size, self.seed, self.weights = part, batch_size, seed, weights
        self.tokens, self.starts = len(part.x), starts_of(part.lengths)
        self.rare = None
        if vocabulary is not None:
            counts = token_counts(part.x, vocabulary)
            self.rare = RareTokens(counts, _RARE, [vocabulary.unknown_id])
        self.begin(0)

    def __len__(self):
        return len(self.groups)

    def __getitem__(self, index):
        chosen = self.groups[index]
        ids = self._ids(index)
        if index == 1:  # Keras takes each size for fixed that its first two batches share
            ids = longer_than(ids, self._ids(0))
        batch = ids, self.part.y[chosen]
        return batch if self.weights is None else (*batch, self.weights[chosen])

    def _ids(self, index):
        chosen = self.groups[index]
        ids = pad_texts(self.part.x, self.starts[chosen], self.part.lengths[chosen])
        if self.rare is not None:
            self.rare.replace(ids, [self.seed, self.epoch, index])
        return ids

    def _arrange(self, rng):
        order, pool = rng.permutation(len(self.part)), _POOL * self.batch_size
        pools = np.split(order, range(pool, len(order), pool))
        order = np.concatenate(
            [some[np.argsort(self.part.lengths[some], kind="stable")] for some in pools]
        )
        number = math.ceil(len(order) / self.batch_size)
        groups = np.array_split(order, number)
        self.groups = [groups[index] for index in rng.permutation(number)]
