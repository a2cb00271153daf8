"""Labels for each token of sentences, by a tagger."""

from __future__ import annotations

from itertools import islice

import numpy as np

from kerasrnn.data.batches import read_sentences
from kerasrnn.data.sentences import split_source
from kerasrnn.errors import InputError
from kerasrnn.inference.calling import compiled, in_groups
from kerasrnn.inference.loading import load_model
from kerasrnn.runs import Run
from kerasrnn.tasks.generator import load_vocabulary
from kerasrnn.text import split_words


class Tagger:
    """Gives the tokens of texts their labels.

    Args:
        model: a model of ``build_tagger`` that reads tokens.
        labels: their names, in the order of the model's outputs.
        vocabulary, characters: those of ``Sentences``.
        unit: ``"word"`` or ``"char"``, what a token is.

    Raises:
        InputError: the labels do not match the model.
    """

    def __init__(self, model, labels, vocabulary, characters, unit="word"):
        if model.output_shape[-1] != len(labels):
            raise InputError(
                "labels.json does not match its model",
                found=f"{len(labels)} labels",
                expected=model.output_shape[-1],
            )
        self.model, self.labels, self.unit = model, labels, unit
        self.vocabulary, self.characters = vocabulary, characters

    def tag_text(self, text) -> list[list[tuple[str, str]]]:
        """Split a text and label it: for each line, sentence or block its (token, label) pairs.

        Words are split off punctuation (``text.split_words``), a line is a sentence; of
        characters those that follow each other with one label are joined to one token.
        """
        if self.unit == "word":
            return self.tag([words for line in text.splitlines() if (words := split_words(line))])
        return [_joined(block) for block in self.tag([list(b) for b in split_source(text)])]

    def tag(self, sentences) -> list[list[tuple[str, str]]]:
        """The (token, label) pairs of sentences, lists of tokens."""
        predicted = iter(self.predict(sentences).argmax(-1))
        return [
            [
                (token, self.labels[label])
                for token, label in zip(sentence, islice(predicted, len(sentence)), strict=True)
            ]
            for sentence in sentences
        ]

    def predict(self, sentences) -> np.ndarray:
        """Probabilities (tokens, labels), those of all sentences one after the other."""
        return predict_labels(self.model, sentences, self)


def load_tagger(run: Run) -> Tagger:
    """The ``Tagger`` of the best model of a run. Raises ``InputError``."""
    vocabularies = [load_vocabulary(run, f"{name}.json") for name in ("vocabulary", "characters")]
    unit = run.info["data"].get("unit", "word")
    return Tagger(load_model(run.path), run.labels(), *vocabularies, unit)


def predict_labels(model, sentences, data) -> np.ndarray:
    """Probabilities (tokens, labels) for sentences, lists of tokens.

    data: what holds the ``vocabulary`` and the ``characters`` of the model's ids.
    """
    spelled = len(model.inputs) == 2

    def answer(sentences):
        return compiled(model)(read_sentences(sentences, data, spelled).values())

    return in_groups(sentences, model.output_shape[-1], answer)


def _joined(pairs):
    """Neighbouring characters of one label as one token."""
    joined = []
    for character, label in pairs:
        if joined and joined[-1][1] == label:
            joined[-1] = joined[-1][0] + character, label
        else:
            joined.append((character, label))
    return joined
