"""A linear classifier of the n-grams of token ids, as a layer."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import ops

from kerasrnn.layers.hashes import mixed


@keras.saving.register_keras_serializable(package="kerasrnn")
class NgramClassifier(keras.layers.Layer):
    """Probabilities (batch, classes) from the n-grams of token ids (batch, time), 0 for padding.

    Each run of n tokens, and of the edge before the first and after the last, falls into a
    bucket by its hash (Weinberger et al. 2009). A text is the sum of its n-grams, each weighted
    by how rare it is, at length 1 (TF-IDF); the probabilities are linear in it, after the
    activation. So they are in the sum of the spellings of its words, runs of letters that many
    words share (Bojanowski et al. 2017), which each word has once and for all. Training by
    gradients leaves the weights alone: ``fit_ngrams`` of the classifier finds them, by logistic
    regression. Until then all classes are alike.

    Args:
        classes: number of labels.
        sizes: n, ascending: ``(1, 2)`` counts tokens and pairs of them.
        buckets: number of them; n-grams that share one are alike.
        spelled: number of token ids whose spellings count too, or 0.
        activation: ``"softmax"``, or ``"sigmoid"`` for several labels a text.

    >>> import numpy as np
    >>> from kerasrnn import layers
    >>> layer = layers.NgramClassifier(4, sizes=(1, 2), buckets=100)
    >>> layer(np.array([[5, 6, 0]])).numpy()
    array([[0.25, 0.25, 0.25, 0.25]], dtype=float32)
    """

    def __init__(
        self,
        classes: int,
        *,
        sizes: Sequence[int],
        buckets: int,
        spelled: int = 0,
        activation: str = "softmax",
        **kwargs,
    ):
        super().__init__(**kwargs | {"trainable": False})
        self.classes, self.sizes, self.buckets = classes, tuple(sizes), buckets
        self.spelled = spelled
        self.activation = keras.activations.get(activation)

    def build(self, input_shape):
        self.kernel = self.add_weight((self.buckets, self.classes), "zeros", name="kernel")
        self.squares = self.add_weight((self.buckets,), "zeros", name="squares")
        self.bias = self.add_weight((self.classes,), "zeros", name="bias")
        if self.spelled:
            shape = (self.spelled, self.classes)
            self.spelling_kernel = self.add_weight(shape, "zeros", name="spelling_kernel")
            shape = (self.spelled,)
            self.spelling_squares = self.add_weight(shape, "zeros", name="spelling_squares")

    def codes(self, ids):
        """The bucket of each n-gram, int32 (batch, n-grams); 0, which is no bucket, in padding."""
        edged = ops.pad(ops.cast(ids, "int32"), [(0, 0), (1, self.sizes[-1])])
        real, steps = edged != 0, ops.shape(ids)[1] + 1
        last, found = self.sizes[-1], []
        code = ops.zeros_like(edged[:, :steps])
        for place in range(last):
            token = edged[:, place : place + steps]
            code = mixed(code, token)
            if place + 1 in self.sizes:
                some = real[:, place : place + steps]  # one edge after the last token counts
                some = some | real[:, place - 1 : place - 1 + steps] if place else some
                found.append(ops.where(some, 1 + code % (self.buckets - 1), 0))
        return ops.concatenate(found, axis=1)

    def call(self, ids):
        found = self.bias + _linear(self.codes(ids), self.kernel, self.squares)
        if self.spelled:
            found = found + _linear(ids, self.spelling_kernel, self.spelling_squares)
        return self.activation(found)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.classes)

    def get_config(self):
        return {
            **super().get_config(),
            "classes": self.classes,
            "sizes": self.sizes,
            "buckets": self.buckets,
            "spelled": self.spelled,
            "activation": keras.activations.serialize(self.activation),
        }


def _linear(codes, kernel, squares):
    """The sum of the rows of a kernel that codes say, divided by the root of that of squares."""
    square = ops.sum(ops.take(squares, codes), axis=1, keepdims=True)
    return ops.sum(ops.take(kernel, codes, axis=0), axis=1) / ops.sqrt(ops.maximum(square, 1e-9))
