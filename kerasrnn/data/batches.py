"""What ``fit`` reads: batches of sequences and of windows of text, in an order fixed by a seed."""

from __future__ import annotations

import math

import keras
import numpy as np

from kerasrnn.data.corpora import BLANK_ID, Corpus
from kerasrnn.data.sentences import Sentences, character_ids, word_ids
from kerasrnn.errors import InputError

SAMPLINGS = ("random", "sequential")


class Sequences(keras.utils.PyDataset):
    """Batches of a part, in an order that is fixed by (seed, epoch) and differs every epoch.

    ``fit(shuffle=True)`` repeats one order after ``set_random_seed``.
    """

    tokens = None

    def __init__(self, part, batch_size, seed):
        super().__init__()
        self.part, self.batch_size, self.seed = part, batch_size, seed
        self.epoch = -1
        self.on_epoch_end()

    def __len__(self):
        return math.ceil(len(self.part) / self.batch_size)

    def __getitem__(self, index):
        start = index * self.batch_size
        batch = self.part.take(self.order[start : start + self.batch_size])
        x = batch.x if batch.lengths is None else {"x": batch.x, "lengths": batch.lengths}
        return x, batch.y

    def on_epoch_end(self):
        self.epoch += 1
        self.order = np.random.default_rng([self.seed, self.epoch]).permutation(len(self.part))


class Windows(keras.utils.PyDataset):
    """Windows of a corpus with the same shifted by one token as targets, anew each epoch.

    Running text is cut at an offset that differs every epoch, fixed by (seed, epoch).
    ``"random"`` sampling takes the windows in random order; with ``"sequential"`` row i of a
    batch goes on where row i of the batch before ended, so that states can be carried. Of
    independent lines each window holds one line, or a piece of a long one, with weight 0 in
    the rest of the window.

    Raises ``InputError`` where the text is too short.
    """

    def __init__(self, corpus: Corpus, *, steps, batch_size, sampling, seed):
        super().__init__()
        if sampling not in SAMPLINGS:
            raise InputError(
                "unknown sampling", found=repr(sampling), expected=" or ".join(SAMPLINGS)
            )
        self.sequential = sampling == "sequential"
        if corpus.lines and self.sequential:
            raise InputError(
                "sequential sampling of independent lines", fix="choose sampling 'random'"
            )
        self.ids, self.steps, self.batch_size, self.seed = corpus.train, steps, batch_size, seed
        self.sizes = None
        if corpus.lines:
            self._cut_lines(*corpus.line_bounds(corpus.train))
        else:
            self._fit_text()
        self.tokens = self.number * steps if self.sizes is None else int(self.sizes.sum())
        self.epoch = -1
        self.on_epoch_end()

    def __len__(self):
        return math.ceil(self.number / self.batch_size)

    def __getitem__(self, index):
        chosen = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        steps = np.arange(self.steps + 1)
        if self.sizes is None:
            tokens = self.ids[self.offset + self.steps * chosen[:, None] + steps].astype("int32")
            return tokens[:, :-1], tokens[:, 1:]
        # before the first line stands the end of the last one: places of -1 are right
        places = np.minimum(self.starts[chosen][:, None] + steps, len(self.ids) - 1)
        tokens = self.ids[places].astype("int32")
        real = np.arange(self.steps) < self.sizes[chosen][:, None]
        return tokens[:, :-1] * real, tokens[:, 1:] * real, real.astype("float32")

    def on_epoch_end(self):
        self.epoch += 1
        rng = np.random.default_rng([self.seed, self.epoch])
        if self.sizes is None:
            self.offset = rng.integers(self.offsets)
        self.order = np.arange(self.number)
        if self.sequential:
            self.order = self.order.reshape(self.batch_size, -1).T.ravel()
        else:
            rng.shuffle(self.order)  # in place: of a large text these are many

    def _fit_text(self):
        """How many windows there are, the same number for every offset."""
        need = self.steps * (self.batch_size if self.sequential else 1)
        spare = len(self.ids) - 1 - need
        if spare < 0:
            raise InputError(
                "a text shorter than " + ("its rows of windows" if self.sequential else "a window"),
                found=f"{len(self.ids):,} training tokens",
                expected=f"at least {need + 1:,}",
                fix="give more text, or choose fewer --steps or a smaller --batch-size",
            )
        self.offsets = min(spare, self.steps - 1) + 1
        self.number = (len(self.ids) - self.offsets) // self.steps
        if self.sequential:
            self.number -= self.number % self.batch_size

    def _cut_lines(self, befores, ends):
        """Starts and sizes of the windows: a line each, long lines in pieces."""
        sizes = ends - befores
        self.steps = min(self.steps, int(sizes.max(initial=1)))
        pieces = -(-sizes // self.steps)
        first = np.repeat(np.cumsum(pieces) - pieces, pieces)
        self.number = int(pieces.sum())
        if not self.number:
            raise InputError("no line to train on", fix="give more lines")
        self.starts = np.repeat(befores, pieces) + self.steps * (np.arange(self.number) - first)
        self.sizes = np.minimum(np.repeat(ends, pieces) - self.starts, self.steps)


class HiddenTokens(keras.utils.PyDataset):
    """Windows of a corpus in which some tokens are replaced by a blank, anew each epoch.

    The targets are the tokens themselves, with weight 1 where they are hidden and 0 elsewhere.
    """

    def __init__(self, corpus: Corpus, *, steps, batch_size, mask_rate, mask_span, seed):
        super().__init__()
        self.windows = Windows(
            corpus, steps=steps, batch_size=batch_size, sampling="random", seed=seed
        )
        self.rate, self.longest, self.seed = mask_rate, mask_span, seed
        self.tokens = self.windows.tokens
        hide((1, steps), mask_rate, mask_span, np.random.default_rng(0))  # names bad numbers now

    def __len__(self):
        return len(self.windows)

    def __getitem__(self, index):
        tokens, _ = self.windows[index]
        rng = np.random.default_rng([self.seed, self.windows.epoch, index])
        hidden = hide(tokens.shape, self.rate, self.longest, rng)
        return np.where(hidden, BLANK_ID, tokens), tokens, hidden.astype("float32")

    def on_epoch_end(self):
        self.windows.on_epoch_end()


class TaggedBatches(keras.utils.PyDataset):
    """Batches of sentences of about one length, in an order fixed by (seed, epoch).

    Gives ids, labels and weights, all (batch, time), the weights 1 at real steps; with
    ``characters`` the ids are ``{"tokens", "characters"}``.
    """

    def __init__(self, data: Sentences, *, batch_size, characters, seed):
        super().__init__()
        self.data, self.batch_size, self.seed = data, batch_size, seed
        self.characters = characters
        self.tokens = len(data.train.y)
        self.epoch = -1
        self.on_epoch_end()

    def __len__(self):
        return len(self.groups)

    def __getitem__(self, index):
        batch = self._read(index)
        if index == 1:  # Keras takes each size for fixed that its first two batches share
            batch = keras.tree.map_structure(_longer_than, batch, self._read(0))
        return batch

    def _read(self, index):
        part = self.data.train.take(self.groups[index])
        x = read_sentences(part.tokens, self.data, self.characters)
        return x if self.characters else x["tokens"], *part.targets()

    def on_epoch_end(self):
        self.epoch += 1
        rng = np.random.default_rng([self.seed, self.epoch])
        lengths = self.data.train.lengths + rng.random(len(self.data.train))  # ties in any order
        number = math.ceil(len(lengths) / self.batch_size)
        self.groups = np.array_split(np.argsort(lengths), number)
        self.groups = [self.groups[place] for place in rng.permutation(number)]


def _longer_than(array, other):
    """The array, padded by one along each axis but the first where the two are of one size."""
    same = [int(a == b) for a, b in zip(array.shape[1:], other.shape[1:], strict=True)]
    return np.pad(array, [(0, 0)] + [(0, more) for more in same])


def read_sentences(sentences, data, characters) -> dict[str, np.ndarray]:
    """Ids of sentences, lists of tokens, for a tagger: ``{"tokens"}``, maybe ``"characters"``.

    data: what holds the ``vocabulary`` and the ``characters`` of the ids.
    """
    ids = {"tokens": word_ids(sentences, data.vocabulary)}
    if characters:
        ids["characters"] = character_ids(sentences, data.characters)
    return ids


def hide(shape, rate, longest, rng) -> np.ndarray:
    """Which tokens to hide: runs of 1 to ``longest``, bool ``shape`` (windows, steps).

    On average a little less than the share ``rate`` is hidden, since runs may overlap, and of
    all windows together at least one token. Raises ``InputError`` for numbers out of range.
    """
    if not 0 < rate < 1:
        raise InputError("mask_rate out of range", found=rate, expected="0 < rate < 1")
    if not isinstance(longest, int) or longest < 1:
        raise InputError("mask_span out of range", found=longest, expected="a positive int")
    starts = rng.random(shape) < 2 * rate / (1 + longest)
    lengths = rng.integers(1, longest + 1, shape)
    hidden = np.zeros(shape, bool)
    for ahead in range(min(longest, shape[1])):
        hidden[:, ahead:] |= (starts & (lengths > ahead))[:, : shape[1] - ahead]
    if not hidden.any():
        hidden[0, rng.integers(shape[1])] = True
    return hidden
