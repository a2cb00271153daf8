"""The linear part of a classifier of texts: logistic regression on their n-grams."""

from __future__ import annotations

import keras
import numpy as np

from kerasrnn.data.texts import TextPart, Texts, pad_texts, starts_of
from kerasrnn.layers import NgramClassifier
from kerasrnn.tasks.logistic import MOST_WEIGHTS, fits, logistic_regression
from kerasrnn.text import Vocabulary

SIZES = {"word": (1, 2), "char": (1, 2, 3, 4, 5)}
_BUCKETS, _ROOM = 1 << 18, 4  # at most, and for each n-gram of the texts
_RUNS = (3, 4, 5)  # letters of a word between blanks
_AT_ONCE = 1 << 16  # tokens
_PENALTY, _TOLERANCE = 0.1, 1e-3


def with_ngrams(model: keras.Model, data: Texts, weights: np.ndarray | None = None) -> keras.Model:
    """The model with a logistic regression beside it; its answer is the mean of both.

    Small sets need it: of a few hundred texts a network learns less than what TF-IDF of n-grams
    gives a linear model, and the two err differently (Wang & Manning 2012; Mesnil et al. 2015).
    The regression is fitted here, and stays; ``without_ngrams`` gives what is to be trained.
    Where there is too much to fit in about a minute, the model stays alone.

    Args:
        model: of token ids, ending in a softmax, or a sigmoid for several labels a text.
        data: the texts it will be trained on.
        weights: float (n,), of the training texts.
    """
    train, classes, sizes = data.train, len(data.labels), SIZES[data.level]
    number = len(train.x) * len(sizes)
    if not fits(number, classes):
        return model
    spellings = spellings_of(data.vocabulary) if data.tokens.composed else None
    if spellings is not None:
        counts = np.bincount(train.x[:], minlength=spellings.shape[0])
        if not fits(number + int(counts @ spellings.sum(1)), classes):
            spellings = None
    ids, found = model.inputs[0], model.outputs[0]
    layer = NgramClassifier(
        classes,
        sizes=sizes,
        buckets=min(_BUCKETS, _ROOM * number, MOST_WEIGHTS // classes) + 2,
        spelled=0 if spellings is None else spellings.shape[0],
        activation="sigmoid" if train.y.ndim == 2 else "softmax",
        name="ngrams",
    )
    beside = layer(ids)
    fit_ngrams(layer, train, weights, spellings)
    return keras.Model(ids, keras.layers.Average(name="mean")([found, beside]))


def without_ngrams(model: keras.Model) -> keras.Model:
    """The part of a model of ``with_ngrams`` that gradients train; of another, all of it."""
    if isinstance(model.layers[-1], keras.layers.Average):
        return keras.Model(model.inputs[0], model.get_layer("head").output)
    return model


def fit_ngrams(
    layer: NgramClassifier, train: TextPart, weights: np.ndarray | None = None, spellings=None
):
    """Set the weights of a layer by logistic regression on TF-IDF of the n-grams of some texts.

    spellings: as of ``spellings_of``, where the layer counts these.
    """
    from scipy import sparse

    x, seen, rarity = _weighted(_counts(layer, train))
    parts = [x]
    if spellings is not None:
        x, kept, rarities = _weighted(_token_counts(train, spellings.shape[0]) @ spellings)
        parts.append(x)
    coefficients, bias = logistic_regression(
        sparse.hstack(parts, format="csr"),
        train.y,
        layer.classes,
        penalty=_PENALTY,
        tolerance=_TOLERANCE,
        weights=weights,
    )
    kernel, squares = np.zeros(layer.kernel.shape, "float32"), np.zeros(layer.buckets, "float32")
    kernel[seen] = (coefficients[:, : len(seen)] * rarity).T
    squares[seen] = rarity**2
    found = [kernel, squares, bias]
    if spellings is not None:
        runs = spellings[:, kept]
        found.append(runs @ (coefficients[:, len(seen) :] * rarities).T)
        found.append(runs @ rarities**2)
    layer.set_weights(found)


def spellings_of(vocabulary: Vocabulary):
    """How often each run of three to five letters is in each word: a sparse matrix (ids, runs).

    A word has an edge on each side. Padding and the unknown word have no letters.

    >>> spellings_of(Vocabulary(["a", "ab"], padded=True)).toarray().astype(int).tolist()
    [[0, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 1, 1]]
    """
    from scipy import sparse

    numbers, rows, columns = {}, [], []
    for row, word in enumerate(vocabulary.tokens[1:], vocabulary.unknown_id + 1):
        edged = f" {word} "
        for size in _RUNS:
            for start in range(len(edged) - size + 1):
                rows.append(row)
                run = edged[start : start + size]
                columns.append(numbers.setdefault(run, len(numbers)))
    ones = np.ones(len(rows), "float32")
    return sparse.csr_array((ones, (rows, columns)), shape=(vocabulary.num_ids, len(numbers)))


def _weighted(counts):
    """Texts as TF-IDF at length 1, of columns that are anywhere; these, and their weights."""
    from scipy import sparse

    frequency = np.bincount(counts.indices, minlength=counts.shape[1])
    seen = np.flatnonzero(frequency)
    rarity = 1 + np.log((1 + counts.shape[0]) / (1 + frequency[seen]))
    x = counts[:, seen]
    lengths = np.sqrt(x @ rarity**2)
    x = sparse.diags_array(1 / np.maximum(lengths, 1e-9)) @ x @ sparse.diags_array(rarity)
    return x, seen, rarity


def _token_counts(part, number):
    """How often each token id is in each text: a sparse matrix (texts, number)."""
    from scipy import sparse

    rows = np.repeat(np.arange(len(part)), part.lengths)
    ones = np.ones(len(rows), "float32")
    return sparse.csr_array((ones, (rows, part.x[:])), shape=(len(part), number))


def _counts(layer, part):
    """How often each n-gram is in each text: a sparse matrix (texts, buckets)."""
    from scipy import sparse

    starts, found = starts_of(part.lengths), []
    at_once = max(1, _AT_ONCE // int(part.lengths.max()))
    for start in range(0, len(part), at_once):
        some = slice(start, start + at_once)
        codes = np.asarray(layer.codes(pad_texts(part.x, starts[some], part.lengths[some])))
        rows, places = codes.nonzero()
        ones = np.ones(len(rows), "float32")
        shape = len(codes), layer.buckets
        found.append(sparse.csr_array((ones, (rows, codes[rows, places])), shape=shape))
    return sparse.vstack(found, format="csr")
