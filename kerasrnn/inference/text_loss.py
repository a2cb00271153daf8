"""How well a generator predicts whole texts."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from kerasrnn.inference.calling import gives_logits
from kerasrnn.inference.states import sequence_model

_WARM_UP = 256  # tokens that are read before those that count
_CHUNK = 256  # steps of a text that are read at once, where the vocabulary is no larger
_LARGEST = 1 << 28  # probabilities of a chunk
_ROWS = 64  # places of a text that are read side by side


class TextLoss:
    """The mean cross-entropy (nats per token) of a generator over whole texts, compiled once.

    Args:
        model: a model of ``build_generator``.
    """

    def __init__(self, model: keras.Model):
        self._model = sequence_model(model)
        self._gives_logits = gives_logits(model)
        self._sizes = [state.shape[1] for state in self._model.inputs[1:]]
        tokens = tf.TensorSpec((None, None), tf.int32)
        counted = tf.TensorSpec((None, None), tf.bool)
        states = [tf.TensorSpec((None, size)) for size in self._sizes]
        self._read_graph = tf.function(
            self._read, input_signature=[tokens, tokens, counted, states], autograph=False
        )

    def of_text(self, context: np.ndarray, ids: np.ndarray, tally: Callable | None = None) -> float:
        """Over all of ids (tokens,), each predicted once from what comes before it.

        The text is read at up to 64 places side by side, at each after the 256 tokens before
        it, the first of them after the end of ``context``. Without a context the very first
        token, before which there is nothing, is not counted.

        tally: is given what is read as it is, warm-up included: the step of its first column,
        the places in ids (rows, time), negative before them, and their losses, NaN after the end.
        """
        context = context[-_WARM_UP:]
        whole = np.concatenate([context, ids])
        first = max(len(context), 1)
        rows = min(_ROWS, max(1, (len(whole) - first) // _WARM_UP))
        bounds = np.linspace(first, len(whole), rows + 1).astype(int)
        starts = np.maximum(bounds[:-1] - 1 - _WARM_UP, 0)
        tally = tally and _shifted(tally, len(context))
        total = self._sum(whole, starts, bounds[:-1], bounds[1:], tally)
        return total / (len(whole) - first)

    def of_lines(
        self,
        ids: np.ndarray,
        befores: np.ndarray,
        ends: np.ndarray,
        tally: Callable | None = None,
    ) -> float:
        """Over independent lines and their ends, each from all-zero states.

        befores, ends: (lines,), the places of the line ends around each line in ids (tokens,).
        tally: as of ``of_text``.
        """
        whole = np.concatenate([ids[-1:], ids])  # a line end before the first line
        order = np.argsort(ends - befores, kind="stable")
        groups = np.array_split(order, -(-len(order) // (4 * _ROWS)))
        total, tally = 0.0, tally and _shifted(tally, 1)
        for group in groups:
            starts, stops = befores[group] + 1, ends[group] + 2
            total += self._sum(whole, starts, starts + 1, stops, tally)
        return total / len(ids)

    def _sum(self, whole, starts, firsts, stops, tally):
        """The loss summed over the tokens firsts … stops - 1 of each row, read from starts."""
        states = [np.zeros((len(starts), size), "float32") for size in self._sizes]
        total, width = 0.0, int((stops - starts).max()) - 1
        chunk = min(_CHUNK, max(1, _LARGEST // (len(starts) * self._model.outputs[0].shape[-1])))
        for step in range(0, width, chunk):
            places = starts[:, None] + np.arange(step, min(step + chunk, width) + 1)
            tokens = whole[np.minimum(places, len(whole) - 1)].astype("int32")
            asked = places[:, 1:]
            counted = (asked >= firsts[:, None]) & (asked < stops[:, None])
            found = self._read_graph(tokens[:, :-1], tokens[:, 1:], counted, states)
            total, states = total + float(found[0]), found[2]
            if tally:
                tally(step, asked, np.where(asked < stops[:, None], found[1], np.nan))
        return total

    def _read(self, tokens, targets, counted, states):
        output, *states = self._model([tokens, *states], training=False)
        losses = keras.losses.sparse_categorical_crossentropy(
            targets, output, from_logits=self._gives_logits
        )
        total = tf.reduce_sum(tf.where(counted, tf.cast(losses, tf.float64), 0))
        return total, losses, states


def _shifted(tally, start):
    """A tally of places that count from ``start``."""
    return lambda step, places, losses: tally(step, places - start, losses)
