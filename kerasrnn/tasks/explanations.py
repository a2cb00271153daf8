"""One input explained, as each task reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice

import keras
import numpy as np
import tensorflow as tf

from kerasrnn.data.batches import sentence_inputs
from kerasrnn.data.inputs import text_of
from kerasrnn.data.layouts import Batch
from kerasrnn.data.texts import SEPARATOR, TextPart
from kerasrnn.errors import InputError
from kerasrnn.inference.calling import compiled
from kerasrnn.inference.explaining import Explanation, check_single, close_reader
from kerasrnn.tasks.examples import rounded
from kerasrnn.tasks.members import members_of, network_of
from kerasrnn.tasks.ngram_regression import without_ngrams
from kerasrnn.text import LINE_END, MASK

_CANDIDATES = 3
_WORDS = 100  # tokens of a text in examples.json


def chosen(rows: Iterable, row: int, source: str):
    """The row of some number, from 0. Raises ``InputError`` where there are fewer."""
    rows = iter(rows)
    before = sum(1 for _ in islice(rows, row))
    for found in rows:
        return found
    raise InputError(
        "no such row", where=source, found=row, expected=f"0 to {before - 1}" if before else "a row"
    )


def single(source: str, row: int | None) -> str:
    """The text of an argument, which is no file with rows. Raises ``InputError``."""
    if row is not None:
        raise InputError("--row is for files", found=row, fix="give the text itself")
    return text_of(source)


def each(parts: Iterable[Batch]):
    """Each sequence of some batches without its padding, each text, or the rows of each series."""
    for part in parts:
        for row in range(len(part.inputs)):
            if isinstance(part.inputs, list):
                yield part.inputs[row]
            else:
                length = None if part.lengths is None else part.lengths[row]
                yield part.inputs[np.array([row])][0][:length]


def explain_label(predictor, given) -> Explanation:
    """The likeliest label of a sequence (time, features), or of a text.

    Of a text the network is read closely without the n-grams beside it, of members the first.
    """
    if predictor.reads_text:
        check_single(predictor.model)
        steps = predictor.terms(given)
        if not steps:
            raise InputError("a text without a token", found=repr(given[:40]))
        found = predictor.predict_proba([given])[0]
        model = without_ngrams(predictor.model)
        inputs = [np.array([predictor.vocabulary.encode(steps)])]
    else:
        steps, model = given, members_of(predictor.model)[0]
        inputs = [given[None], np.array([len(given)])][: len(model.inputs)]
        found = predictor.predict_proba(*inputs)[0]
    best = int(found.argmax())
    names = predictor.labels_of(found[None])[0]
    said = {
        "label": SEPARATOR.join(names) if predictor.several else names,
        "probability": float(found[best]),
        "explained": predictor.labels[best],
        "probabilities": dict(zip(predictor.labels, found.tolist(), strict=True)),
    }
    return Explanation(said, steps, close_reader(model)(inputs, lambda out: out[0, best]))


def salient_texts(predictor, part: TextPart, found: np.ndarray) -> Callable[[int], dict]:
    """A function that gives a text for examples.json: its first tokens, and how salient they are.

    found: probabilities (n, labels), whose likeliest label is what the tokens speak for. An
    average of several models tells no saliency.
    """
    model, joined = predictor.model, predictor.tokens.separator
    single = not any(isinstance(layer, keras.Model) for layer in model.layers)
    read = close_reader(without_ngrams(model)) if single else None

    def show(row):
        ids = part.select(np.array([row])).x[:_WORDS]
        tokens = predictor.vocabulary.decode(ids)
        said = {"text": joined.join(tokens)}
        if read is None:
            return said
        best = int(found[row].argmax())
        saliency = read([ids[None]], lambda out: out[0, best]).saliency
        return said | {"tokens": tokens, "saliency": rounded(saliency)}

    return show


def explain_tags(predictor, tokens: Sequence[str]) -> Explanation:
    """The label of each token of a sentence; the saliency is that of all of them together."""
    check_single(predictor.model)
    found = predictor.predict_proba([tokens])
    best = found.argmax(-1)
    inputs = sentence_inputs([tokens], predictor, len(predictor.model.inputs) == 2)
    places = np.stack([np.arange(len(tokens)), best], 1)
    reading = close_reader(predictor.model)(
        list(inputs.values()),
        lambda out: tf.reduce_sum(tf.gather_nd(out[0], places)),
    )
    notes = [predictor.labels[label] for label in best]
    return Explanation({"labels": notes}, list(tokens), reading, notes, found.max(-1))


def explain_text(predictor, text: str) -> Explanation:
    """The probability of each token of a text after those before it, and the likeliest next ones.

    The saliency is that of the likeliest next token.
    """
    if predictor.letters_only:
        text = predictor.tokens.clean_prompt(text)
    steps = predictor.vocabulary.known(predictor.tokens.split(text), "unk")
    steps = [LINE_END, *steps] if predictor.lines else steps
    if not steps:
        raise InputError("an empty text", expected="text to read")
    ids = np.array([predictor.vocabulary.encode(steps)])
    found = compiled(predictor.model)(ids)[0]
    sure = np.append(np.nan, found[np.arange(len(steps) - 1), ids[0, 1:]])
    order = found[-1].argsort(kind="stable")[::-1][:_CANDIDATES]
    best = int(order[0])
    said = {
        "next": [[predictor.vocabulary.decode(int(k)), float(found[-1, k])] for k in order],
        "perplexity": float(np.exp(-np.log(sure[1:]).mean())) if len(steps) > 1 else None,
    }
    reading = close_reader(predictor.model)([ids], lambda out: out[0, -1, best])
    return Explanation(said, steps, reading, sure=sure)


def explain_blanks(predictor, text: str) -> Explanation:
    """What may stand in each blank of a text; the saliency is that of all blanks together."""
    filled, candidates = predictor.fill(text, alternatives=_CANDIDATES, unknown="unk")
    steps = predictor.split(text, "unk")
    ids = np.array([predictor.vocabulary.encode(steps)])
    blanks = [place for place, token in enumerate(steps) if token == MASK]
    best = [predictor.vocabulary.encode(found[0][0]) for found in candidates]
    reading = close_reader(predictor.model)(
        [ids],
        lambda out: tf.reduce_sum(tf.gather_nd(out[0], list(zip(blanks, best, strict=True)))),
    )
    sure = np.full(len(steps), np.nan)
    sure[blanks] = [found[0][1] for found in candidates]
    said = {"text": filled, "candidates": [[list(one) for one in found] for found in candidates]}
    notes = ["" for _ in steps]
    for place, found in zip(blanks, candidates, strict=True):
        notes[place] = found[0][0]
    shown = [predictor.tokens.blank if token == MASK else token for token in steps]
    return Explanation(said, shown, reading, notes, sure)


def explain_numbers(predictor, given) -> Explanation:
    """The numbers of a sequence (time, features), or the forecast after the ``Rows`` of a series.

    The saliency is that of the first target, of a forecast the mean over its steps; of quantiles
    the middle one. Read closely is the network alone, of members the first.
    """
    if predictor.format:
        inputs, _ = predictor.format.last_window(given)
    else:
        every = {"x": given[None], "lengths": np.array([len(given)])}
        inputs = {x.name: every[x.name] for x in predictor.model.inputs}
    found = predictor.predict(**inputs)[0]
    middle = int(np.abs(np.array(predictor.quantiles or [0.5]) - 0.5).argmin())

    def first(values):
        values = values[..., middle] if predictor.quantiles else values
        return values[..., 0]

    targets = np.moveaxis(found, 1, 0) if predictor.format else found
    said = {
        "numbers": dict(zip(predictor.targets, targets.tolist(), strict=True)),
        "quantiles": list(predictor.quantiles),
    }
    given = [inputs[x.name] for x in predictor.model.inputs]
    reading = close_reader(network_of(predictor.model))(
        given, lambda out: tf.reduce_mean(first(out[0]))
    )
    shown = inputs["x"][0]
    if predictor.format:
        shown = shown[:, : len(predictor.format.columns)]  # without the calendar
    return Explanation(said, shown, reading)
