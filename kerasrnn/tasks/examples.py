"""Inputs with what was predicted of them: what examples.json of a run holds, for pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from kerasrnn import evaluation
from kerasrnn.data.storage import FileArray
from kerasrnn.data.texts import SEPARATOR
from kerasrnn.files import json_text

MISTAKES = 24  # of a part
_SENTENCES = 12
_MOST_BYTES = 250_000  # of all examples
_STEPS = 500  # of an input
_MOST_VALUES = 12_500  # of an input
_LETTERS = 3000  # of a text
_TOKENS = 200  # of a sentence


def kept(examples: Iterable[dict], most: int = MISTAKES) -> list[dict]:
    """The first examples: at most so many, and no more than examples.json is to hold.

    >>> kept(({"number": n} for n in range(9)), 2)
    [{'number': 0}, {'number': 1}]
    """
    found, room = [], _MOST_BYTES
    for example in examples:
        room -= len(json_text([[example]]))
        if len(found) == most or room < 0:
            break
        found.append(example)
    return found


def rounded(values: np.ndarray, digits: int = 4) -> list:
    """Numbers with so many significant digits as lists: whole ones as int, None for NaN.

    >>> rounded(np.array([[1.0, 0.123456, np.nan]]))
    [[1, 0.1235, None]]
    """
    if np.ndim(values):
        return [rounded(row, digits) for row in values]
    value = float(f"{values:.{digits}g}")
    if not np.isfinite(value):
        return None
    return int(value) if value.is_integer() else value


def sequence(x: np.ndarray, features: Sequence[str] = ()) -> dict:
    """One sequence (time, features) as ``{"values", "features", "stride"}``.

    Of more than 500 steps every k-th is there, k being the stride; of more features than there is
    room for, the first. features: their names.

    >>> sequence(np.array([[1.0], [0.5]]), ["height"])
    {'values': [[1], [0.5]], 'features': ['height']}
    """
    stride = max(1, -(-len(x) // _STEPS))
    x = x[::stride]
    width = max(1, _MOST_VALUES // max(len(x), 1))
    found = {"values": rounded(x[:, :width])}
    if len(features) == x.shape[1]:
        found["features"] = [*features[:width]]
    return found | ({"stride": stride} if stride > 1 else {})


def shown(
    inputs, lengths: np.ndarray | None, features: Sequence[str] = ()
) -> Callable[[int], dict]:
    """A function that gives a row of some inputs as a picture needs it.

    inputs: n texts, or sequences (n, time, features). lengths: int (n,), of the latter.
    """

    def show(row):
        if not isinstance(inputs, (np.ndarray, FileArray)):
            return {"text": inputs[row][:_LETTERS]}
        length = None if lengths is None else lengths[row]
        return sequence(inputs[row][:length], features)

    return show


def mistakes(
    y: np.ndarray, found: np.ndarray, labels: Sequence[str], show: Callable[[int], dict]
) -> Iterator[dict]:
    """Rows whose label is wrong, the surest first.

    y: int (n,), or 0 and 1 (n, labels). found: probabilities (n, classes), of the first labels.
    labels: their names. show: as of ``shown``.
    """
    if y.ndim == 1:
        chosen, sure = found.argmax(-1), found.max(-1)
        rows = np.flatnonzero(chosen != y)
    else:
        chosen = evaluation.chosen_labels(found, y.shape[1])
        wrong = (chosen != y)[:, : found.shape[1]]
        sure = np.where(wrong, np.maximum(found, 1 - found), 0).max(-1)
        rows = np.flatnonzero((chosen != y).any(-1))

    def name(of):
        return labels[of] if y.ndim == 1 else SEPARATOR.join(labels[k] for k in of.nonzero()[0])

    for row in rows[np.argsort(-sure[rows], kind="stable")]:
        yield {
            "input": show(row),
            "true": name(y[row]),
            "predicted": name(chosen[row]),
            "probability": rounded(sure[row]),
        }


def tagged(
    tokens: Sequence[Sequence[str]], y: np.ndarray, found: np.ndarray, labels: Sequence[str]
) -> list[dict]:
    """The sentences with the surest mistakes, or of a long one the tokens around it.

    tokens: of each sentence. y: int (tokens,), of all one after the other. found: probabilities
    (tokens, classes), of the first labels. labels: their names.
    """
    starts = np.cumsum([0, *map(len, tokens)])
    chosen, sure = found.argmax(-1), found.max(-1)
    places = np.flatnonzero(chosen != y)
    places = places[np.argsort(-sure[places], kind="stable")]
    first = {}  # the surest mistake of each sentence
    for place, row in zip(places, np.searchsorted(starts, places, "right") - 1, strict=True):
        first.setdefault(int(row), place - starts[row])

    def sentence(row, place):
        start = max(0, min(place - _TOKENS // 2, len(tokens[row]) - _TOKENS))
        part = slice(starts[row] + start, min(starts[row] + start + _TOKENS, starts[row + 1]))
        return {
            "tokens": [*tokens[row][start : start + _TOKENS]],
            "true": [labels[k] for k in y[part]],
            "predicted": [labels[k] for k in chosen[part]],
            "probabilities": rounded(sure[part]),
        }

    return kept((sentence(*item) for item in first.items()), _SENTENCES)
