"""The linear part of a tagger: logistic regression on what words and their neighbours look like."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from kerasrnn.data.batches import sentence_inputs
from kerasrnn.data.sentences import Sentences
from kerasrnn.layers import LinearTagger, OpinionPool
from kerasrnn.tasks.logistic import MOST_WEIGHTS, fits, logistic_regression
from kerasrnn.text import Vocabulary

_NAME = "features"
_BUCKETS = 1 << 17  # at most
_FEATURES = 27  # of a token
_FEWEST = 2  # occurrences of what has a weight
_PENALTY, _TOLERANCE = 2.0, 1e-4
_AT_ONCE = 256  # sentences
_OTHER = 4  # the kind of letters without case, and of unknown characters


def with_linear(model: keras.Model, data: Sentences, neighbours: Sequence[int]) -> keras.Model:
    """The model with a linear tagger beside it; its answer is the geometric mean of both.

    Of a few hundred or thousand sentences a network learns less about rare and unknown words than
    their spelling and neighbours give a linear model, and the two err differently. The regression
    is fitted here, and stays; ``without_linear`` gives what is to be trained. Where there is too
    much to fit in about two minutes, the model stays alone.

    Args:
        model: of ids of tokens and of their characters, ending in the layer ``"head"``.
        data: the sentences it will be trained on.
        neighbours: where the words stand that it may read beside each, of ``neighbours_of``.
    """
    labels = len(data.labels)
    if not fits(len(data.train.y) * _FEATURES, labels):
        return model
    lower, kinds = _characters(data.characters)
    layer = LinearTagger(
        labels,
        buckets=min(_BUCKETS, MOST_WEIGHTS // labels) + 2,
        lower=lower,
        kinds=kinds,
        neighbours=neighbours,
        name=_NAME,
    )
    beside = layer(model.inputs)
    fit_linear(layer, data)
    return keras.Model(model.inputs, OpinionPool(name="pool")([model.output, beside]))


def without_linear(model: keras.Model) -> keras.Model:
    """The part of a model of ``with_linear`` that gradients train; of another, all of it."""
    if isinstance(model.layers[-1], OpinionPool):
        return keras.Model(model.inputs, model.get_layer("head").output)
    return model


def neighbours_of(bidirectional: bool, go_backwards: bool) -> tuple[int, ...]:
    """Two words to each side that a network reads.

    >>> neighbours_of(True, False), neighbours_of(False, False)
    ((-1, 1, -2, 2), (-1, -2))
    """
    if bidirectional:
        return (-1, 1, -2, 2)
    return (1, 2) if go_backwards else (-1, -2)


def biases(model: keras.Model) -> list[keras.Variable]:
    """What is added to the logits of each label, in the network and in what stands beside it."""
    found = [layer for layer in model.layers if layer.name in ("head", _NAME)]
    return [layer.bias for layer in found]


def fit_linear(layer: LinearTagger, data: Sentences):
    """Set the weights of a layer by logistic regression on the training part."""
    x = _features(layer, data)
    frequency = np.bincount(x.indices, minlength=layer.buckets)
    seen = np.flatnonzero(frequency >= _FEWEST)
    coefficients, bias = logistic_regression(
        x[:, seen], data.train.y, layer.labels, penalty=_PENALTY, tolerance=_TOLERANCE
    )
    kernel = np.zeros(layer.kernel.shape, "float32")
    kernel[seen] = coefficients.T
    layer.set_weights([kernel, bias])


def _features(layer, data):
    """Which features each token has: a sparse matrix (tokens, buckets)."""
    from scipy import sparse

    tokens, found = data.train.tokens, []
    for start in range(0, len(tokens), _AT_ONCE):
        some = tokens[start : start + _AT_ONCE]
        ids, characters = sentence_inputs(some, data, True).values()
        found.append(np.asarray(layer.codes(ids, characters))[ids != 0])
    codes = np.concatenate(found)
    rows = np.repeat(np.arange(len(codes)), codes.shape[1])
    ones = np.ones(codes.size, "float32")
    return sparse.csr_array((ones, (rows, codes.ravel())), shape=(len(codes), layer.buckets))


def _characters(vocabulary: Vocabulary):
    """For each id of a character that of its small letter, and its kind in a shape."""
    lower, kinds = np.arange(vocabulary.num_ids), np.full(vocabulary.num_ids, _OTHER)
    kinds[0] = 0
    for character in (token for token in vocabulary.tokens if len(token) == 1):
        number = vocabulary.encode(character)
        small = vocabulary.encode(character.lower())
        lower[number] = number if small == vocabulary.unknown_id else small
        kinds[number] = _kind(character) or _OTHER + 1 + number
    return lower.tolist(), kinds.tolist()


def _kind(character):
    """1 for a capital, 2 for a small letter, 3 for a digit; 0 for what is no letter."""
    tests = (str.isupper, str.islower, str.isdigit)
    found = (number for number, test in enumerate(tests, 1) if test(character))
    return next(found, _OTHER if character.isalpha() else 0)
