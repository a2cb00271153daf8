"""A linear tagger of hashed features of tokens, and a mean of probabilities, as layers."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from kerasrnn.layers.hashes import FACTOR, PRIME, mixed

_AFFIXES = 4  # longest prefix and suffix, in characters
_LENGTH = 24  # characters of a token that are read
LEAST = 1e-9  # a probability
_POWERS = [pow(FACTOR, place, PRIME) for place in range(_LENGTH)]


@keras.saving.register_keras_serializable(package="kerasrnn")
class LinearTagger(keras.layers.Layer):
    """Probabilities (batch, time, labels), linear in what each token and its neighbours look like.

    The features are those of maximum entropy taggers (Ratnaparkhi 1996): the token, as its id and
    as it is written; its prefixes and suffixes of up to four characters; its shape, as ``Xx`` or
    ``dd``; ids, shapes and suffixes of its neighbours; pairs with the next ones. Each falls into a
    bucket by its hash (Weinberger et al. 2009). Training by gradients leaves the weights
    alone: ``fit_linear`` of the tagger finds them, by logistic regression. Until then all labels
    are alike.

    It reads a list of two: ids of tokens (batch, time) and of their characters (batch, time,
    characters), 0 for padding.

    Args:
        labels: number of them.
        buckets: number of them; features that share one are alike.
        lower: for each id of a character, that of its small letter.
        kinds: for each id of a character, what it is in a shape.
        neighbours: where the tokens stand that it reads too; those after it only where a model may
            read backwards.

    >>> import numpy as np
    >>> from kerasrnn import layers
    >>> layer = layers.LinearTagger(2, buckets=100, lower=[0, 1, 2], kinds=[0, 1, 1])
    >>> layer([np.array([[5, 6]]), np.array([[[1, 2], [2, 0]]])]).numpy()
    array([[[0.5, 0.5],
            [0.5, 0.5]]], dtype=float32)
    """

    activation = staticmethod(keras.activations.softmax)

    def __init__(
        self,
        labels: int,
        *,
        buckets: int,
        lower: Sequence[int],
        kinds: Sequence[int],
        neighbours: Sequence[int] = (-1, 1, -2, 2),
        **kwargs,
    ):
        super().__init__(**kwargs | {"trainable": False})
        self.labels, self.buckets, self.neighbours = labels, buckets, tuple(neighbours)
        self.lower, self.kinds = [*map(int, lower)], [*map(int, kinds)]

    def build(self, input_shape):
        self.kernel = self.add_weight((self.buckets, self.labels), "zeros", name="kernel")
        self.bias = self.add_weight((self.labels,), "zeros", name="bias")

    def codes(self, tokens, characters):
        """The bucket of each feature, int32 (batch, time, features); 0, no bucket, in padding."""
        tokens = ops.cast(tokens, "int32")
        characters = ops.pad(ops.cast(characters, "int32"), [(0, 0), (0, 0), (0, _LENGTH)])
        characters = characters[:, :, :_LENGTH]
        small = ops.take(ops.convert_to_tensor(self.lower, "int32"), characters)
        written = _hash_of_all(characters, characters != 0)
        starts = _running(ops.unstack(small[:, :, :_AFFIXES], _AFFIXES, axis=-1))
        ends = _running(_last(small, characters != 0))
        last = ops.where(tokens != 0, ends[2], 0)  # what stands beside a sentence is 0
        shapes = _shapes(ops.take(ops.convert_to_tensor(self.kinds, "int32"), characters))
        itself = ops.stack([tokens, shapes, last], axis=-1)
        around = [_beside(itself, places) for places in self.neighbours]
        next_ones = [x for x, at in zip(around, self.neighbours, strict=True) if abs(at) == 1]
        alone = ops.stack([tokens, written, shapes, *starts, *ends], axis=-1)
        alone = ops.concatenate([alone, *around], axis=-1)
        pairs = ops.concatenate([x[:, :, :2] for x in next_ones], axis=-1)
        beside = ops.concatenate([itself[:, :, :2]] * len(next_ones), axis=-1)
        number = alone.shape[-1]
        kinds = ops.arange(number + pairs.shape[-1], dtype="int32")
        codes = [mixed(kinds[:number], alone), mixed(kinds[number:], pairs, beside)]
        codes = 1 + ops.concatenate(codes, axis=-1) % (self.buckets - 1)
        return ops.where(tokens[:, :, None] != 0, codes, 0)

    def call(self, inputs):
        total = self.bias
        for codes in ops.unstack(self.codes(*inputs), axis=-1):  # all rows at once would be large
            total = total + ops.take(self.kernel, codes, axis=0)
        return self.activation(total)

    def compute_output_shape(self, input_shape):
        return (*input_shape[0], self.labels)

    def get_config(self):
        return {
            **super().get_config(),
            "labels": self.labels,
            "buckets": self.buckets,
            "lower": self.lower,
            "kinds": self.kinds,
            "neighbours": self.neighbours,
        }


@keras.saving.register_keras_serializable(package="kerasrnn")
class OpinionPool(keras.layers.Layer):
    """The logarithmic opinion pool of several probabilities (…, labels).

    That is their weighted geometric mean, made to add up to 1 (Heskes 1998; of taggers Smith et
    al. 2005). Its mask is that of the first.

    Args:
        shares: the weight of each; by default all weigh the same, together 1.
        bias: added to the logarithm for each label, the weighted one of a further opinion that is
            always the same.

    >>> import numpy as np
    >>> from kerasrnn import layers
    >>> layers.OpinionPool()([np.array([[0.9, 0.1]]), np.array([[0.5, 0.5]])]).numpy()
    array([[0.75, 0.25]], dtype=float32)
    """

    activation = staticmethod(keras.activations.softmax)

    def __init__(
        self, shares: Sequence[float] | None = None, bias: Sequence[float] = (0.0,), **kwargs
    ):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.shares, self.bias = shares and tuple(shares), tuple(bias)

    def call(self, opinions):
        shares = self.shares or [1 / len(opinions)] * len(opinions)
        logs = [ops.log(ops.maximum(opinion, LEAST)) for opinion in opinions]
        total = sum(share * log for share, log in zip(shares, logs, strict=True))
        return self.activation(total + ops.convert_to_tensor(self.bias, total.dtype))

    def compute_mask(self, opinions, mask=None):
        return None if mask is None else mask[0]

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def get_config(self):
        return {**super().get_config(), "shares": self.shares, "bias": self.bias}


def _running(values):
    """The hashes of the first, of the first two, … of some arrays."""
    return [mixed(0, *values[: number + 1]) for number in range(len(values))]


def _last(characters, real):
    """The last characters of each token, the last one first, 0 where there are no more."""
    length = ops.sum(ops.cast(real, "int32"), axis=-1, keepdims=True)
    places = ops.convert_to_tensor(np.arange(_LENGTH, dtype="int32"))
    return [
        ops.sum(ops.where(places == length - 1 - back, characters, 0), axis=-1)
        for back in range(_AFFIXES)
    ]


def _hash_of_all(values, kept):
    """The hash of those values (batch, time, characters) that are kept, one after the other."""
    ranks = ops.maximum(ops.cumsum(ops.cast(kept, "int32"), axis=-1) - 1, 0)
    powers = ops.take(ops.convert_to_tensor(_POWERS, "int32"), ranks)
    return ops.sum(ops.where(kept, values * powers % PRIME, 0), axis=-1) % PRIME


def _shapes(kinds):
    """The hash of the kinds of a token's characters, of each run of one kind two at most."""
    before = ops.pad(kinds, [(0, 0), (0, 0), (2, 0)])
    repeated = (kinds == before[:, :, 1:-1]) & (kinds == before[:, :, :-2])
    return _hash_of_all(kinds, (kinds != 0) & ~repeated)


def _beside(values, places):
    """The values (batch, time, n) of the tokens that stand so many on, 0 beyond the ends."""
    before, after = max(-places, 0), max(places, 0)
    padded = ops.pad(values, [(0, 0), (before, after), (0, 0)])
    return padded[:, after : after + ops.shape(values)[1]]
