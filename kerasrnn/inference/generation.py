"""Generation inside compiled graphs: a prompt read, tokens sampled, beams searched."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf

from kerasrnn.errors import check_positive, check_range
from kerasrnn.inference.calling import gives_logits
from kerasrnn.inference.states import step_model


class Sampling(NamedTuple):
    """How a token is chosen among the likely ones.

    temperature: 0 for the likeliest token each time. top_k: only the k likeliest; 0 for all.
    top_p: only the likeliest that together have probability p (Holtzman et al. 2020).
    repetition_penalty: factor on the log-probability of tokens already written (after Keskar
    et al. 2019).
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    repetition_penalty: float = 1.0

    def check(self):
        """Raise ``InputError`` for a number out of range."""
        check_range("temperature", self.temperature, 0)
        if self.top_k != 0:
            check_positive(top_k=self.top_k)
        check_range("top_p", self.top_p, 0, 1 + 1e-12, open_low=True, expected="0 < top_p ≤ 1")
        check_range("repetition_penalty", self.repetition_penalty, 0, open_low=True)

    def used(self) -> tuple[str, ...]:
        """The names of those that have an effect."""
        none = Sampling(0, 0, 1, 1)
        return tuple(name for name in self._fields if getattr(self, name) != getattr(none, name))


class Position(NamedTuple):
    """Where some texts (samples,) stand.

    scores: log-probabilities (samples, vocabulary) of what follows. states: of the model.
    written: bool (samples, vocabulary), the tokens so far.
    """

    scores: tf.Tensor
    states: list[tf.Tensor]
    written: tf.Tensor


class GenerationLoops:
    """The loops of a generator as graphs, made once for prompts and texts of any size.

    Args:
        step: tokens (samples,), states → log-probabilities (samples, vocabulary), states.
        state_sizes: the width of each state.
        num_tokens: size of the vocabulary; its token 0 is the unknown one and never chosen.
        line_end_id: the id that ends a text; None where texts have no end.
    """

    def __init__(
        self, step: Callable, state_sizes: list[int], num_tokens: int, line_end_id: int | None
    ):
        self._step, self._sizes = step, state_sizes
        self._num_tokens, self._line_end_id = num_tokens, line_end_id
        prompt = [tf.TensorSpec((None, None), tf.int32), tf.TensorSpec((None,), tf.int32)]
        # without autograph, which would cost the first character a fifth of a second
        self.read_graph = tf.function(self.read, input_signature=prompt, autograph=False)
        self.write_graph = tf.function(self.write, autograph=False)
        self.search_graph = tf.function(self._search, autograph=False)

    def next_token(self, tokens, states):
        """Log-probabilities (samples, vocabulary) of what follows the tokens, and new states."""
        scores, states = self._step(tokens, states)
        for value in (scores, *states):  # a step knows no batch size, the loop wants one
            value.set_shape((tokens.shape[0], None))
        return scores, states

    def read(self, ids, lengths) -> Position:
        """Prompts (samples, time), padded on the right, read from all-zero states."""

        def read_one(index, *before):
            scores, states = self.next_token(ids[:, index], before[1:])
            real = (index < lengths)[:, None]
            after = [
                tf.where(real, new, old) for new, old in zip((scores, *states), before, strict=True)
            ]
            return index + 1, *after

        sizes = [self._num_tokens, *self._sizes]
        start = (tf.constant(0), *(tf.zeros((tf.shape(ids)[0], size)) for size in sizes))
        longest = tf.reduce_max(lengths)
        _, scores, *states = tf.while_loop(lambda index, *_: index < longest, read_one, start)
        return Position(scores, states, tf.zeros(tf.shape(scores), tf.bool))

    def write(self, position, size, seed, numbers, used):
        """Up to ``size`` tokens (time, samples), fewer where all lines have ended before.

        seed: int64 (2,), the seed and the number of tokens written before. numbers: those of a
        ``Sampling`` as tensors, by name. used: the names of those that have an effect. Gives
        the tokens, and the ``Position`` after them.
        """

        def goes_on(index, tokens, scores, written, *states):
            if self._line_end_id is None:
                return index < size
            return (index < size) & ~tf.reduce_all(written[:, self._line_end_id])

        def write_one(index, tokens, scores, written, *states):
            noise_seed = seed + tf.stack([tf.constant(0, tf.int64), tf.cast(index, tf.int64)])
            token = _choose(scores, written, noise_seed, numbers, used)
            written |= tf.one_hot(token, self._num_tokens, True, False, dtype=tf.bool)
            scores, states = self.next_token(token, states)
            return index + 1, tokens.write(index, token), scores, written, *states

        scores, states, written = position
        start = (tf.constant(0), tf.TensorArray(tf.int32, size), scores, written, *states)
        number, tokens, scores, written, *states = tf.while_loop(goes_on, write_one, start)
        return tokens.gather(tf.range(number)), Position(scores, states, written)

    def _search(self, position, length, beams):
        """Tokens and the beams they came from, both (length, beams)."""
        line_end = -1 if self._line_end_id is None else self._line_end_id
        lowest = tf.constant(position.scores.dtype.min, position.scores.dtype)
        resting = tf.one_hot([line_end], self._num_tokens, 0.0, lowest)

        def search_one(index, tokens, parents, totals, last, scores, *states):
            scores = tf.where(last[:, None] == line_end, resting, _without_unknown(scores))
            joint = tf.reshape(totals[:, None] + scores, [-1])
            totals, best = tf.math.top_k(joint, beams)
            parent, token = best // self._num_tokens, best % self._num_tokens
            scores, states = self.next_token(token, [tf.gather(state, parent) for state in states])
            tokens, parents = tokens.write(index, token), parents.write(index, parent)
            return index + 1, tokens, parents, totals, token, scores, *states

        rows = [tf.repeat(x, beams, axis=0) for x in (position.scores, *position.states)]
        totals = tf.one_hot(0, beams, 0.0, lowest / 2)  # at first there is one beam
        arrays = [tf.TensorArray(tf.int32, length) for _ in range(2)]
        start = (tf.constant(0), *arrays, totals, tf.fill([beams], -2), *rows)
        _, tokens, parents, *_ = tf.while_loop(lambda index, *_: index < length, search_one, start)
        return tokens.stack(), parents.stack()


def step_of(generator: keras.Model) -> tuple[Callable, list[int]]:
    """The step of a generator for ``GenerationLoops``, and the sizes of its states."""
    model, logits = step_model(generator), gives_logits(generator)

    def step(tokens, states):
        output, *states = model([tokens, *states])
        return tf.nn.log_softmax(output) if logits else tf.math.log(output), states

    return step, [state.shape[1] for state in model.inputs[1:]]


class SampleEnd:
    """The end of one sample: holds back what may become a stop text."""

    def __init__(self, stops: list[str], prompt: str):
        self.stops, self.held, self.reached = stops, "", False
        self.tail = prompt[-1:]  # the last character so far, which decides about a space

    def release(self, text: str, last: bool) -> str:
        """The text that can go out now that ``text`` was written."""
        if self.reached:
            return ""
        self.tail = text[-1:] or self.tail
        text = self.held + text
        self.held = ""
        places = [text.index(stop) for stop in self.stops if stop in text]
        if places:
            self.reached = True
            return text[: min(places)]
        if not last:
            size = max((_overlap(text, stop) for stop in self.stops), default=0)
            cut = len(text) - size
            text, self.held = text[:cut], text[cut:]
        return text


def _overlap(text, stop):
    """Length of the longest end of ``text`` with which ``stop`` begins."""
    sizes = range(min(len(stop) - 1, len(text)), 0, -1)
    return next((size for size in sizes if stop.startswith(text[-size:])), 0)


def _choose(scores, written, seed, numbers, used):
    """A token for each row of log-probabilities (samples, vocabulary); never the unknown one.

    Sampling adds Gumbel noise and takes the largest (Gumbel 1954; Maddison et al. 2014).
    """
    scores = _without_unknown(scores)
    if "repetition_penalty" in used:
        scores = tf.where(written, scores * numbers["repetition_penalty"], scores)
    if "temperature" not in used:
        return tf.argmax(scores, -1, tf.int32)
    scores = scores / numbers["temperature"]
    if "top_k" in used:
        k = tf.minimum(tf.cast(numbers["top_k"], tf.int32), tf.shape(scores)[1])
        scores = tf.where(
            scores < tf.math.top_k(scores, k).values[:, -1:], scores.dtype.min, scores
        )
    if "top_p" in used:
        ordered = tf.sort(scores, direction="DESCENDING")
        before = tf.cumsum(tf.nn.softmax(ordered), axis=-1, exclusive=True)
        kept = tf.where(before < numbers["top_p"], ordered, scores.dtype.max)
        scores = tf.where(scores < tf.reduce_min(kept, -1, keepdims=True), scores.dtype.min, scores)
    uniform = tf.random.stateless_uniform(tf.shape(scores), seed, minval=1e-30)
    return tf.argmax(scores - tf.math.log(-tf.math.log(uniform)), -1, tf.int32)


def _without_unknown(scores):
    return tf.where(tf.range(tf.shape(scores)[1]) == 0, scores.dtype.min, scores)
