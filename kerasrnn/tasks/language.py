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


class TextTask(base.Task):
    """A task whose data is a text.

    most_epochs: of a text, however short. dropouts: of texts up to 500,000 tokens, and longer ones.
    """

    kinds = ("text",)
    no_ensemble = "they read token by token; a classifier, regressor or tagger is averaged"
    most_epochs: int
    dropouts: tuple[float, float]

    def artifacts(self, data: Corpus) -> dict:
        return {"vocabulary.json": list(data.vocabulary.tokens)}

    def add_metrics(self, data: Corpus, logs: dict) -> dict:
        return logs | evaluation.language_metrics(logs["loss"], data.tokens.bits)

    def recipe(self, data: Corpus, settings: base.Settings) -> dict[str, base.Choice]:
        tokens, vocabulary = len(data.train), len(data.vocabulary)
        length = f"{tokens:,} {data.tokens.noun}"
        known = f"{vocabulary:,} in the vocabulary"
        batch = 16 if tokens < _SHORT else 32 if tokens < _LONG else 64
        read = (settings.fit["batch_size"] or batch) * settings.fit["sequence_length"]
        steps = math.ceil(tokens / read)  # of an epoch
        most = math.ceil(_READ / (1 + vocabulary / _LARGE) / tokens)
        epochs = max(min(most, self.most_epochs), math.ceil(_STEPS / steps))
        return {
            "batch_size": base.Choice(batch, length),
            "epochs": base.Choice(epochs, f"{epochs * steps:,} steps, {length}, {known}"),
            "dropout": base.Choice(self.dropouts[tokens >= _LONG], length),
            "learning_rate": base.Choice(0.01 if vocabulary < _LARGE else 0.005, known),
        }
