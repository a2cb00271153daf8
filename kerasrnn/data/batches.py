"""What ``fit`` reads: batches of sequences, sentences and text, in an order fixed by a seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain

import keras
import numpy as np

from kerasrnn.data.corpora import Corpus
from kerasrnn.data.parts import real_steps
from kerasrnn.data.sentences import Sentences, pad_character_ids, pad_token_ids
from kerasrnn.data.sequences import Part
from kerasrnn.data.storage import chunks
from kerasrnn.errors import InputError, check_choice, check_memory, check_positive, check_range
from kerasrnn.options import SAMPLINGS
from kerasrnn.text import Vocabulary, lower_case

_RARE = 0.25  # how often rare words are unknown
_COPIES = 3  # of the predictions of a batch: themselves, their softmax and its gradient


class Batches(keras.utils.PyDataset):
    """Batches in an order that is fixed by (seed, epoch) and differs every epoch.

    ``fit(shuffle=True)`` repeats one order after ``set_random_seed``. A subclass sets what
    ``_arrange`` needs and begins with epoch 0.
    """

    tokens: int | None = None  # of an epoch, where it has some to count
    seed: int

    def begin(self, epoch: int):
        """Put the batches in the order of an epoch, 0 for the first."""
        self.epoch = epoch
        self._arrange(np.random.default_rng([self.seed, epoch]))

    def on_epoch_end(self):
        self.begin(self.epoch + 1)

    def _arrange(self, rng: np.random.Generator):
        raise NotImplementedError


class SequenceBatches(Batches):
    """Batches of a part.

    Gives x and y, or ``{"x", "lengths"}`` and y where lengths differ, and weights where there are
    some, (n,), or (n, members) of each sequence for each of the members of a model.
    """

    def __init__(self, part: Part, batch_size: int, seed: int, weights: np.ndarray | None = None):
        super().__init__()
        self.part, self.batch_size, self.seed, self.weights = part, batch_size, seed, weights
        self.begin(0)

    def __len__(self):
        return math.ceil(len(self.part) / self.batch_size)

    def __getitem__(self, index):
        start = index * self.batch_size
        chosen = self.order[start : start + self.batch_size]
        batch = self.part.take(chosen)
        x = batch.x if batch.lengths is None else {"x": batch.x, "lengths": batch.lengths}
        return (x, batch.y) if self.weights is None else (x, batch.y, self.weights[chosen])

    def _arrange(self, rng):
        self.order = rng.permutation(len(self.part))


class WindowBatches(Batches):
    """Fixed-length windows of a corpus; targets are the inputs shifted by one token.

    Running text is cut at an offset that differs every epoch, fixed by (seed, epoch).
    ``"random"`` sampling takes the windows in random order; with ``"sequential"`` row i of a
    batch continues where row i of the batch before ended, so that states can be carried. Of
    independent lines each window holds one line, or a piece of a long one, with weight 0 in
    the rest of the window. rare: replaces rare tokens; None leaves the text as it is.

    Gives ids and targets, int32 (batch, sequence_length), and weights for lines.

    Raises ``InputError`` where the text is too short, or its vocabulary so large that the
    predictions of a batch do not fit the memory.

    >>> corpus = Corpus.from_text("abcdefgh", validation_split=0)
    >>> options = {"batch_size": 1, "sampling": "sequential", "seed": 0}
    >>> x, y = WindowBatches(corpus, sequence_length=7, **options)[0]
    >>> x.tolist(), y.tolist()
    ([[1, 2, 3, 4, 5, 6, 7]], [[2, 3, 4, 5, 6, 7, 8]])
    """

    def __init__(
        self,
        corpus: Corpus,
        *,
        sequence_length: int,
        batch_size: int,
        sampling: str,
        seed: int,
        rare: RareTokens | None = None,
    ):
        super().__init__()
        check_choice("sampling", sampling, SAMPLINGS)
        self.sequential = sampling == "sequential"
        if corpus.lines and self.sequential:
            raise InputError(
                "sequential sampling of independent lines", fix="choose sampling 'random'"
            )
        self.ids, self.sequence_length = corpus.train, sequence_length
        self.batch_size, self.seed, self.rare = batch_size, seed, rare
        self.sizes = None  # of lines
        if corpus.lines:
            self._cut_lines(*corpus.line_bounds(corpus.train))
        else:
            self._fit_text()
        self.tokens = self.number * sequence_length
        if self.sizes is not None:
            self.tokens = int(self.sizes.sum())
        size = batch_size * self.sequence_length * corpus.vocabulary.num_ids
        check_memory("predictions of a batch", 4 * _COPIES * size)
        self.begin(0)

    def __len__(self):
        return math.ceil(self.number / self.batch_size)

    def __getitem__(self, index):
        chosen = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        steps = np.arange(self.sequence_length + 1)
        if self.sizes is None:
            starts = self.offset + self.sequence_length * chosen
            tokens = self._read(starts[:, None] + steps, index)
            return tokens[:, :-1], tokens[:, 1:]
        # index -1 is the end of the last line, the right start token for the first line
        indices = np.minimum(self.starts[chosen][:, None] + steps, len(self.ids) - 1)
        tokens = self._read(indices, index)
        real = real_steps(self.sizes[chosen], self.sequence_length)
        return tokens[:, :-1] * real, tokens[:, 1:] * real, real.astype("float32")

    def _read(self, places, index):
        ids = self.ids[places].astype("int32")
        if self.rare is not None:
            self.rare.replace(ids, [self.seed, self.epoch, index])
        return ids

    def _arrange(self, rng):
        if self.sizes is None:
            self.offset = rng.integers(self.offsets)
        self.order = np.arange(self.number)
        if self.sequential:
            self.order = self.order.reshape(self.batch_size, -1).T.ravel()
        else:
            rng.shuffle(self.order)  # in place: of a large text these are many

    def _fit_text(self):
        """How many windows there are, the same number for every offset."""
        need = self.sequence_length * (self.batch_size if self.sequential else 1)
        spare = len(self.ids) - 1 - need
        if spare < 0:
            raise InputError(
                "a text shorter than " + ("its rows of windows" if self.sequential else "a window"),
                found=f"{len(self.ids):,} training tokens",
                expected=f"at least {need + 1:,}",
                fix="give more text, or choose a smaller --sequence-length or --batch-size",
            )
        self.offsets = min(spare, self.sequence_length - 1) + 1
        self.number = (len(self.ids) - self.offsets) // self.sequence_length
        if self.sequential:
            self.number -= self.number % self.batch_size

    def _cut_lines(self, befores, ends):
        """Starts and sizes of the windows: a line each, long lines in pieces."""
        # A line has its tokens and its end; before its first piece stands the end before it. Piece
        # i of a line reads from sequence_length · i on; ``first`` is the number of its first piece.
        sizes = ends - befores
        self.sequence_length = min(self.sequence_length, int(sizes.max(initial=1)))
        pieces = -(-sizes // self.sequence_length)
        first = np.repeat(np.cumsum(pieces) - pieces, pieces)
        self.number = int(pieces.sum())
        if not self.number:
            raise InputError("no line to train on", fix="give more lines")
        within = self.sequence_length * (np.arange(self.number) - first)
        self.starts = np.repeat(befores, pieces) + within
        self.sizes = np.minimum(np.repeat(ends, pieces) - self.starts, self.sequence_length)


class MaskedBatches(Batches):
    """Windows of a corpus in which some tokens are masked, others in every epoch.

    The targets are the tokens themselves, with weight 1 where they are masked and 0 elsewhere.
    rare: as of ``WindowBatches``.
    """

    def __init__(
        self,
        corpus: Corpus,
        *,
        sequence_length: int,
        batch_size: int,
        mask_rate: float,
        mask_span: int,
        seed: int,
        rare: RareTokens | None = None,
    ):
        super().__init__()
        self.windows = WindowBatches(
            corpus,
            sequence_length=sequence_length,
            batch_size=batch_size,
            sampling="random",
            seed=seed,
            rare=rare,
        )
        self.rate, self.longest, self.seed = mask_rate, mask_span, seed
        self.mask_id, self.tokens = corpus.vocabulary.mask_id, self.windows.tokens
        check_mask(mask_rate, mask_span)
        self.begin(0)

    def __len__(self):
        return len(self.windows)

    def __getitem__(self, index):
        tokens, _ = self.windows[index]
        rng = np.random.default_rng([self.seed, self.epoch, index])
        masked = mask_tokens(tokens.shape, self.rate, self.longest, rng)
        return np.where(masked, self.mask_id, tokens), tokens, masked.astype("float32")

    def begin(self, epoch):
        self.epoch = epoch
        self.windows.begin(epoch)


class RareTokens:
    """Replaces rare tokens: of n occurrences with probability rate / (rate + n).

    counts: int (ids,), how often each id occurs; padding, which does not, stays. by: ids, one of
    which stands in the place of each.
    """

    def __init__(self, counts: np.ndarray, rate: float, by: Sequence[int]):
        self.by, self.rates = by, np.where(counts > 0, rate / (rate + counts), 0)

    def replace(self, ids: np.ndarray, seed: list[int]):
        """Change ids (batch, time) in place, fixed by a seed."""
        rng = np.random.default_rng(seed)
        chosen = rng.random(ids.shape) < self.rates[ids]
        ids[chosen] = rng.choice(self.by, chosen.sum())


def token_counts(ids: np.ndarray, vocabulary: Vocabulary) -> np.ndarray:
    """How often each id of a vocabulary occurs, int (ids,)."""
    return sum(np.bincount(some, minlength=vocabulary.num_ids) for _, some in chunks(ids))


def new_tokens(corpus: Corpus) -> RareTokens | None:
    """What replaces rare tokens of a text by ones that its training part lacks, at rate 1.

    So new tokens come about as often as later text brings them (Good 1953), and have been met
    then. They are those of the vocabulary that occur in the validation part alone, and the unknown
    one; None where there are none of the former.
    """
    known, counts = corpus.vocabulary, token_counts(corpus.train, corpus.vocabulary)
    lacking = np.flatnonzero(counts == 0)
    new = lacking[lacking != known.mask_id]
    return RareTokens(counts, 1, new) if (new != known.unknown_id).any() else None


class SentenceBatches(Batches):
    """Batches of sentences of about one length, in an order fixed by (seed, epoch).

    Gives ids, labels and weights, all (batch, time), the weights 1 at real steps; with
    ``use_characters`` the ids are ``{"tokens", "characters"}``, and a word that occurs n times is
    the unknown one with probability a / (a + n), a = 0.25 (Kiperwasser & Goldberg 2016), so that
    its characters and its context are learnt from.
    """

    def __init__(self, data: Sentences, *, batch_size: int, use_characters: bool, seed: int):
        super().__init__()
        self.data, self.batch_size, self.seed = data, batch_size, seed
        self.use_characters = use_characters
        self.tokens = len(data.train.y)
        if use_characters:
            words = [*chain.from_iterable(_as_known(data.train.tokens, data))]
            ids = data.vocabulary.encode(words)
            counts = np.bincount(ids, minlength=data.vocabulary.num_ids)
            self.rare = RareTokens(counts, _RARE, [data.vocabulary.unknown_id])
        self.begin(0)

    def __len__(self):
        return len(self.groups)

    def __getitem__(self, index):
        batch = self._read(index)
        if index == 1:  # Keras takes each size for fixed that its first two batches share
            batch = keras.tree.map_structure(longer_than, batch, self._read(0))
        return batch

    def _read(self, index):
        part = self.data.train.take(self.groups[index])
        x = sentence_inputs(part.tokens, self.data, self.use_characters)
        if not self.use_characters:
            return x["tokens"], *part.targets()
        self.rare.replace(x["tokens"], [self.seed, self.epoch, index])
        return x, *part.targets()

    def _arrange(self, rng):
        lengths = self.data.train.lengths + rng.random(len(self.data.train))  # ties in any order
        number = math.ceil(len(lengths) / self.batch_size)
        self.groups = np.array_split(np.argsort(lengths), number)
        self.groups = [self.groups[index] for index in rng.permutation(number)]


def longer_than(array, other):
    """The array, padded by one along each axis but the first where the two are of one size."""
    same = [int(a == b) for a, b in zip(array.shape[1:], other.shape[1:], strict=True)]
    return np.pad(array, [(0, 0)] + [(0, more) for more in same])


def sentence_inputs(
    sentences: Sequence[Sequence[str]], data: Sentences, use_characters: bool
) -> dict[str, np.ndarray]:
    """Ids of sentences, lists of tokens, for a tagger: ``{"tokens"}``, maybe ``"characters"``.

    data: ``Sentences``, or what else holds ``vocabulary``, ``characters`` and ``lower_case``.
    """
    ids = {"tokens": pad_token_ids(_as_known(sentences, data), data.vocabulary)}
    if use_characters:
        ids["characters"] = pad_character_ids(sentences, data.characters)
    return ids


def _as_known(sentences, data):
    """Sentences with their tokens as the vocabulary holds them."""
    return [[*map(lower_case, row)] for row in sentences] if data.lower_case else sentences


def mask_tokens(
    shape: tuple[int, int], rate: float, longest: int, rng: np.random.Generator
) -> np.ndarray:
    """Which tokens to mask: runs of 1 to ``longest``, bool ``shape`` (windows, time).

    On average a little less than the fraction ``rate`` is masked, since runs may overlap, and
    of all windows together at least one token. Raises ``InputError`` for numbers out of range.
    """
    check_mask(rate, longest)
    starts = rng.random(shape) < 2 * rate / (1 + longest)
    lengths = rng.integers(1, longest + 1, shape)
    masked = np.zeros(shape, bool)
    for ahead in range(min(longest, shape[1])):
        masked[:, ahead:] |= (starts & (lengths > ahead))[:, : shape[1] - ahead]
    if not masked.any():
        masked[0, rng.integers(shape[1])] = True
    return masked


def check_mask(rate: float, longest: int):
    """Raise ``InputError`` unless 0 < rate < 1 and ``longest`` is a positive int."""
    check_range("mask_rate", rate, 0, 1, open_low=True)
    check_positive(mask_span=longest)
