"""The linear part of a classifier of texts: logistic regression on their n-grams."""

from __future__ import annotations

import keras
import numpy as np

from kerasrnn.data.texts import TextPart, pad_texts, starts_of
from kerasrnn.layers import NgramClassifier
from kerasrnn.tasks.logistic import MOST_WEIGHTS, fits, logistic_regression

SIZES = {"word": (1, 2), "char": (1, 2, 3, 4, 5)}
_BUCKETS, _ROOM = 1 << 18, 4  # at most, and for each n-gram of the texts
_AT_ONCE = 1 << 16  # tokens
_PENALTY, _TOLERANCE = 0.1, 1e-3


def with_ngrams(
    model: keras.Model, train: TextPart, classes: int, level: str, weights: np.ndarray | None = None
) -> keras.Model:
    """The model with a logistic regression beside it; its answer is the mean of both.

    Small sets need it: of a few hundred texts a network learns less than what TF-IDF of n-grams
    gives a linear model, and the two err differently (Wang & Manning 2012; Mesnil et al. 2015).
    The regression is fitted here, and stays; ``without_ngrams`` gives what is to be trained.
    Where there is too much to fit in about a minute, the model stays alone.

    Args:
        model: of token ids, ending in a softmax, or a sigmoid for several labels a text.
        train: the texts it will be trained on.
        classes: number of labels.
        level: of the texts, ``"word"`` or ``"char"``.
        weights: float (n,), of the texts.
    """
    sizes = SIZES[level]
    number = len(train.x) * len(sizes)
    if not fits(number, classes):
        return model
    ids, found = model.inputs[0], model.outputs[0]
    layer = NgramClassifier(
        classes,
        sizes=sizes,
        buckets=min(_BUCKETS, _ROOM * number, MOST_WEIGHTS // classes) + 2,
        activation="sigmoid" if train.y.ndim == 2 else "softmax",
        name="ngrams",
    )
    beside = layer(ids)
    fit_ngrams(layer, train, weights)
    return keras.Model(ids, keras.layers.Average(name="mean")([found, beside]))


def without_ngrams(model: keras.Model) -> keras.Model:
    """The part of a model of ``with_ngrams`` that gradients train; of another, all of it."""
    if isinstance(model.layers[-1], keras.layers.Average):
        return keras.Model(model.inputs[0], model.get_layer("head").output)
    return model


def fit_ngrams(layer: NgramClassifier, train: TextPart, weights: np.ndarray | None = None):
    """Set the weights of a layer by logistic regression on TF-IDF of the n-grams of some texts."""
    from scipy import sparse

    counts = _counts(layer, train)
    frequency = np.bincount(counts.indices, minlength=layer.buckets)
    seen = np.flatnonzero(frequency)
    rarity = 1 + np.log((1 + len(train)) / (1 + frequency[seen]))
    x = counts[:, seen]
    lengths = np.sqrt(x @ rarity**2)
    x = sparse.diags_array(1 / np.maximum(lengths, 1e-9)) @ x @ sparse.diags_array(rarity)
    coefficients, bias = logistic_regression(
        x.tocsr(), train.y, layer.classes, penalty=_PENALTY, tolerance=_TOLERANCE, weights=weights
    )
    kernel = np.zeros(layer.kernel.shape, "float32")
    kernel[seen] = (coefficients * rarity).T
    squares = np.zeros(layer.buckets, "float32")
    squares[seen] = rarity**2
    layer.set_weights([kernel, squares, bias])


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
