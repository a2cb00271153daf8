"""Labels of entities chosen together: what a tagger's probabilities pass through at last."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

_REACH = 3  # steps to each side that a label is judged with; entities are short
_RARE = 1e-6  # what pairs that may not be count


@keras.saving.register_keras_serializable(package="kerasrnn")
class LabelPairs(keras.layers.Layer):
    """Probabilities of labels (batch, time, labels), each step's with those of its neighbours.

    What each label becomes is the probability of the best sequence of labels through it, of those
    in which a label is followed only by what may follow it; they add up to 1 at each step. The
    highest ones are Viterbi's (1967) path, found without a loop over time: a label is judged with
    three steps to each side, which decide wherever entities are as short. Masked steps are no part
    of a sequence.

    Args:
        pairs: which label may follow which, 0 or 1 (labels + 1, labels + 1); the last row and
            column are the edge of a sentence.

    >>> import numpy as np
    >>> from kerasrnn import layers
    >>> pairs = [[1, 1, 1, 1], [1, 1, 0, 1], [1, 1, 1, 1], [1, 1, 0, 1]]  # B, O, I: no I after O
    >>> x = np.array([[[0.3, 0.5, 0.2], [0.1, 0.3, 0.6]]])
    >>> layers.LabelPairs(pairs)(x).numpy().argmax(-1)
    array([[0, 2]])
    """

    activation = staticmethod(keras.activations.softmax)  # it gives probabilities

    def __init__(self, pairs: Sequence[Sequence[int]], **kwargs):
        super().__init__(**kwargs)
        self.pairs = [[int(may) for may in row] for row in pairs]
        self.supports_masking = True

    def call(self, x, mask=None):
        weights = ops.convert_to_tensor(np.maximum(self.pairs, _RARE), x.dtype)
        real = ops.ones_like(x[:, :, :1])
        if mask is not None:
            real *= ops.expand_dims(ops.cast(mask, x.dtype), -1)
        room = [(0, 0), (1, 1), (0, 0)]
        steps = ops.concatenate([ops.pad(x * real, room), 1 - ops.pad(real, room)], axis=-1)
        before, after = steps, ops.ones_like(steps)
        for _ in range(_REACH):
            behind = ops.concatenate([steps[:, :1], before[:, :-1]], axis=1)  # edges at both ends
            ahead = ops.concatenate([(steps * after)[:, 1:], steps[:, -1:]], axis=1)
            before = _shares(steps * ops.max(behind[..., :, None] * weights, axis=-2))
            after = _shares(ops.max(weights * ahead[..., None, :], axis=-1))
        return _shares((before * after)[:, 1:-1, :-1])

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "pairs": self.pairs}


def _shares(x):
    return x / ops.maximum(ops.sum(x, axis=-1, keepdims=True), 1e-30)
