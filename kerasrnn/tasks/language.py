"""What the tasks share whose data is a text: its tokens, and what its size asks of a training.

The recipe knows sizes, never names; docs/defaults.md has the measurements.
"""

from __future__ import annotations

import math

from kerasrnn import evaluation
from kerasrnn.data.corpora import Corpus
from kerasrnn.tasks import base

_SHORT, _LONG = 50_000, 500_000  # tokens: up to the one, and from the other on
_READ = 15_000_000  # tokens of a small vocabulary that are read in all, a quarter of an hour
_STEPS = 300  # that the shortest text needs, however often it repeats
_LARGE = 1_000  # tokens in a vocabulary whose softmax costs about as much as the stack
_NARROWER = 4  # times a tied output's softmax than another's


class TextTask(base.Task):
    """A task whose data is a text.

    most_epochs, dropouts: with an output of its own, and with a tied one; of a text, however short,
    and of texts up to 500,000 tokens.
    """

    kinds = ("text",)
    no_ensemble = "they read token by token; a classifier, regressor or tagger is averaged"
    most_epochs: tuple[int, int]
    dropouts: tuple[float, float]

    def artifacts(self, data: Corpus) -> dict:
        return {"vocabulary.json": list(data.vocabulary.tokens)}

    def add_metrics(self, data: Corpus, logs: dict) -> dict:
        return logs | evaluation.language_metrics(logs["loss"], data.tokens.bits)

    def recipe(self, data: Corpus, settings: base.Settings) -> dict[str, base.Choice]:
        tokens, vocabulary = len(data.train), len(data.vocabulary)
        length = f"{tokens:,} {data.tokens.noun}"
        known = f"{vocabulary:,} in the vocabulary"
        large, given = vocabulary >= _LARGE, settings.model
        chosen = large and tokens >= _SHORT and bool(given["embedding_dim"])
        tied = chosen if given["tied"] is None else given["tied"]
        batch = 16 if large or tokens < _SHORT else 32 if tokens < _LONG else 64
        read = (settings.fit["batch_size"] or batch) * settings.fit["sequence_length"]
        steps = math.ceil(tokens / read)  # of an epoch
        softmax = vocabulary / _LARGE / (_NARROWER if tied else 1)
        most = min(math.ceil(_READ / (1 + softmax) / tokens), self.most_epochs[tied])
        epochs = max(most, math.ceil(_STEPS / steps))
        return {
            "batch_size": base.Choice(batch, f"{length}, {known}"),
            "epochs": base.Choice(epochs, f"{epochs * steps:,} steps, {length}, {known}"),
            "dropout": base.Choice(self.dropouts[tied] if tokens < _LONG else 0.2, length),
            "learning_rate": base.Choice(0.005 if large and not tied else 0.01, known),
            "tied": base.Choice(chosen, f"{length}, {known}"),
        }
