"""How a generator or an infiller did on the validation text: beside n-grams, and by position."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import dropwhile, takewhile

import numpy as np

from kerasrnn import evaluation
from kerasrnn.data.batches import mask_tokens
from kerasrnn.data.corpora import Corpus
from kerasrnn.tasks import examples
from kerasrnn.text import LINE_END, UNKNOWN

PASSAGE = 300  # tokens
_LOOKED_AT = 1000  # tokens, for a beginning
_NGRAM_TOKENS = 1 << 23  # the baseline counts no more than these, to stay within memory
_TEXTS = 6  # with blanks
_TOKENS = 100  # of each
_CANDIDATES = 3  # for a blank


def ngram_baseline(data: Corpus, max_order: int = 5) -> dict:
    """Smoothed n-grams that were counted in the training text, on the validation text."""
    if not len(data.validation):
        return {}
    losses = evaluation.ngram_losses(
        data.train[-_NGRAM_TOKENS:],
        data.validation[:_NGRAM_TOKENS],
        data.vocabulary.num_ids,
        max_order,
    )
    best = min(losses, key=losses.get)
    return {
        "baseline": evaluation.language_metrics(losses[best], data.tokens.bits) | {"ngram": best},
        "ngrams": {str(order): loss for order, loss in losses.items()},
    }


def beginning(data: Corpus, size: int) -> list[str]:
    """The first tokens of the text that was trained on, of a line, up to so many characters."""
    tokens = data.vocabulary.decode(data.train[:_LOOKED_AT])
    text = dropwhile(lambda token: not token.strip() or token == UNKNOWN, tokens)
    kept = []
    for token in takewhile(lambda token: token not in (LINE_END, UNKNOWN), text):
        if kept and len(data.tokens.separator.join([*kept, token])) > size:
            break
        kept.append(token)
    return kept or tokens[:1]


class LossTally:
    """Adds up the losses of a text by position, and keeps those of its first tokens."""

    def __init__(self):
        self._sums, self._counts, self._first = np.zeros(32), np.zeros(32, int), {}
        self._longest = 0

    def __call__(self, step: int, places: np.ndarray, losses: np.ndarray):
        """Take losses (rows, time), NaN where there is none.

        step: tokens that each row was read for before the first of them. places: (rows, time),
        which token of the text it is.
        """
        bins = np.ceil(np.log2(step + 1 + np.arange(losses.shape[1]))).astype(int)
        known = ~np.isnan(losses)
        np.add.at(self._sums, bins, np.where(known, losses, 0).sum(0, dtype="float64"))
        np.add.at(self._counts, bins, known.sum(0))
        if known.any():
            self._longest = max(self._longest, step + 1 + int(np.flatnonzero(known.any(0))[-1]))
        wanted = known & (places >= 0) & (places < PASSAGE)
        pairs = zip(places[wanted].tolist(), losses[wanted].tolist(), strict=True)
        self._first |= dict(reversed([*pairs]))  # of a place that several rows read, the first's

    def positions(self) -> dict:
        """The perplexity of the tokens before which so many were read, or up to half as many less.

        ``{"step": [1, 2, 4, 8, …], "perplexity"}``; the first token of a row is step 1.
        """
        bins = np.flatnonzero(self._counts)
        means = self._sums[bins] / self._counts[bins]
        return {
            "step": [min(2 ** int(number), self._longest) for number in bins],
            "perplexity": np.exp(np.minimum(means, 700)).tolist(),
        }

    def passage(self, data: Corpus) -> dict:
        """The first tokens of the validation text and the probability of each."""
        places = sorted(self._first)
        found = np.exp(-np.array([self._first[place] for place in places]))
        tokens = data.vocabulary.decode(data.validation[:PASSAGE])
        return {
            "tokens": [tokens[place] for place in places],
            "probabilities": examples.rounded(found),
        }


def blanks(call: Callable, data: Corpus, length: int, rate: float, span: int) -> list[dict]:
    """Windows of the validation text with masks, and what might stand there.

    call: ids → probabilities. length, rate, span: of windows and masks, as in training.
    """
    length = min(length, _TOKENS)
    number = min(_TEXTS, len(data.validation) // length)
    if not number:
        return []
    ids = data.validation[: number * length].astype("int32").reshape(number, length)
    masked = mask_tokens(ids.shape, rate, span, np.random.default_rng(0))
    found = call(np.where(masked, data.vocabulary.mask_id, ids))
    return examples.kept(_blanks(data.vocabulary, ids, masked, found))


def _blanks(vocabulary, ids, masked, found) -> Iterator[dict]:
    first = vocabulary.mask_id + 1  # neither the unknown token nor the mask
    for row, hidden, given in zip(ids, masked, found, strict=True):
        tokens = vocabulary.decode(row)
        places = np.flatnonzero(hidden).tolist()
        candidates = {}
        for place in places:
            best = first + np.argsort(-given[place, first:], kind="stable")[:_CANDIDATES]
            names = vocabulary.decode(best)
            candidates[str(place)] = [
                [name, examples.rounded(given[place, k])]
                for name, k in zip(names, best, strict=True)
            ]
        yield {
            "tokens": [None if hide else t for t, hide in zip(tokens, hidden, strict=True)],
            "true": {str(place): tokens[place] for place in places},
            "candidates": candidates,
        }
