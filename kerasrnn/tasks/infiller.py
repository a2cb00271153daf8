"""Blanks in a text, filled in from both sides; and how well an infiller does that."""

from __future__ import annotations

import numpy as np

from kerasrnn.data.batches import hide
from kerasrnn.data.corpora import BLANK_ID
from kerasrnn.errors import InputError
from kerasrnn.inference.calling import compiled
from kerasrnn.inference.loading import load_model
from kerasrnn.runs import Run
from kerasrnn.tasks.generator import check_positive, check_vocabulary, load_vocabulary, reading
from kerasrnn.text import BLANK, clean, detokenize, known, tokenize

_BATCH = 64


class Infiller:
    """Fills the blanks of texts with an infiller, again and again without compiling anew.

    Args:
        model: a model of ``build_infiller``.
        vocabulary: the ``Vocabulary`` of its ids, ``text.BLANK`` among them.
        unit: ``"char"`` or ``"word"``, as the vocabulary was made.
        classic: texts are cleaned as its text was (``text.clean``).

    Raises:
        InputError: the vocabulary is not the model's, or has no token for blanks.
    """

    def __init__(self, model, vocabulary, unit="char", *, classic=False):
        check_vocabulary(model, vocabulary)
        if vocabulary.encode(BLANK) != BLANK_ID:
            raise InputError("a vocabulary without a token for blanks", expected=repr(BLANK))
        self.model, self.vocabulary = model, vocabulary
        self.unit, self.classic = unit, classic
        self._predict = compiled(model)

    def fill(self, text, *, alternatives=1, unknown="error") -> tuple[str, list[list[tuple]]]:
        """The text with its blanks filled, and what else might stand there.

        Each ``_`` is a hidden character, or each word of ``_`` only a hidden word. Again and
        again all blanks that are left are predicted, and the surest is filled in.

        Args:
            text: a text with at least one blank.
            alternatives: how many candidates to give for each blank.
            unknown: what to do with tokens that the vocabulary lacks: ``"error"``, ``"skip"``
                them, or read them as ``"unk"``.

        Returns:
            ``(text, candidates)``: for each blank the likeliest ``(token, probability)`` at the
            moment it was filled, best first.

        Raises:
            InputError: no blank, a token that the vocabulary lacks, or an argument outside
                what is said above.
        """
        check_positive(alternatives=alternatives)
        tokens = self._tokens(text, unknown)
        ids = np.array([self.vocabulary.encode(tokens)], "int32")
        blanks = np.flatnonzero([token == BLANK for token in tokens])
        if not len(blanks):
            raise InputError("no blank in the text", expected="a _ for each hidden token")
        candidates = {}
        alternatives = min(alternatives, len(self.vocabulary) - BLANK_ID - 1)
        while len(candidates) < len(blanks):
            left = [place for place in blanks if place not in candidates]
            probabilities = self._predict([ids])[0, left]
            probabilities[:, : BLANK_ID + 1] = 0  # neither the unknown token nor another blank
            row = probabilities.max(-1).argmax()
            order = probabilities[row].argsort()[::-1][:alternatives]
            ids[0, left[row]] = order[0]
            candidates[left[row]] = [
                (self.vocabulary.decode(token), float(probabilities[row, token])) for token in order
            ]
        tokens = [
            candidates[place][0][0] if place in candidates else token
            for place, token in enumerate(tokens)
        ]
        return detokenize(tokens, self.unit), [candidates[place] for place in blanks]

    def _tokens(self, text, unknown):
        if self.classic:
            text = clean(text, "_")
        tokens = tokenize(text, self.unit)
        tokens = [BLANK if token.strip("_") == "" else token for token in tokens]
        return known(tokens, self.vocabulary, unknown)


def load_infiller(run: Run) -> Infiller:
    """The ``Infiller`` of the best model of a run. Raises ``InputError``."""
    known = reading(run, "unit", "classic")
    return Infiller(load_model(run.path), load_vocabulary(run), **known)


def hidden_loss(model, ids, steps, rate, longest) -> float:
    """The mean cross-entropy (nats) of the hidden tokens of a text.

    The text is cut into windows of ``steps``, and some tokens of each are hidden, always the
    same ones (``batches.hide``).

    Raises ``InputError`` where the text is shorter than a window.
    """
    number = len(ids) // steps
    if not number:
        raise InputError(
            "a validation text shorter than a window",
            found=f"{len(ids):,} tokens",
            expected=f"at least {steps:,}",
            fix="give more text, or choose fewer --steps",
        )
    windows = ids[: number * steps].astype("int32").reshape(number, steps)
    rng = np.random.default_rng(0)
    total = count = 0
    for start in range(0, number, _BATCH):
        tokens = windows[start : start + _BATCH]
        hidden = hide(tokens.shape, rate, longest, rng)
        output = compiled(model)([np.where(hidden, BLANK_ID, tokens)])
        chosen = np.take_along_axis(output, tokens[:, :, None], -1)[hidden]
        total -= np.log(np.maximum(chosen, 1e-38, dtype="float64")).sum()
        count += hidden.sum()
    return float(total / count)
