"""Text from a generator: the loop over tokens runs inside one compiled graph."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from kerasrnn.errors import InputError
from kerasrnn.models import step_model
from kerasrnn.text import detokenize, tokenize

UNKNOWN_CHOICES = ("error", "skip", "unk")
_LARGEST_PIECE = 64  # tokens between two looks at the text, once the first are out


class Writer:
    """Writes on from a prompt with a generator, again and again without compiling anew.

    Args:
        model: a model of ``build_generator``.
        vocabulary: the ``Vocabulary`` of its ids.
        unit: ``"char"`` or ``"word"``, as the vocabulary was made.

    Raises:
        InputError: the model is no generator, or its size is not the vocabulary's.
    """

    def __init__(self, model, vocabulary, unit="char"):
        if model.output_shape[-1] != len(vocabulary):
            raise InputError(
                "a vocabulary that does not match the model",
                found=f"{len(vocabulary)} tokens",
                expected=model.output_shape[-1],
            )
        self.vocabulary, self.unit = vocabulary, unit
        self._step = step_model(model)
        self._gives_logits = model.layers[-1].activation.__name__ == "linear"
        sizes = [state.shape[1] for state in self._step.inputs[1:]]
        states = [tf.TensorSpec((None, size)) for size in sizes]
        self._start = [np.zeros((1, size), "float32") for size in sizes]
        self._read_graph = tf.function(
            self._read,
            input_signature=[tf.TensorSpec((None,), tf.int32), states],
            autograph=False,  # which would cost the first character a fifth of a second
        )
        self._write_graph = tf.function(self._write, autograph=False)

    def write(self, prompt, length=200, **options) -> list[str]:
        """The whole continuations, one text for each sample; arguments as for ``stream``."""
        pieces = list(self.stream(prompt, length, **options))
        return ["".join(texts) for texts in zip(*pieces, strict=True)]

    def stream(
        self, prompt, length=200, *, samples=1, stop=None, unknown="error", seed=0, **sampling
    ) -> Iterator[list[str]]:
        """Continuations of a prompt, in pieces, as they are made.

        Args:
            prompt: text that is read through the model first; not part of the result.
            length: number of tokens to write at most.
            samples: number of continuations, made in one batch.
            stop: a continuation ends before the first place where it holds this text.
            unknown: what to do with prompt tokens that the vocabulary lacks: ``"error"``,
                ``"skip"`` them, or read them as ``"unk"``.
            seed: the same seed gives the same text.
            **sampling: ``temperature`` (0 for the likeliest token each time), ``top_k`` (only
                the k likeliest; 0 for all), ``top_p`` (only the likeliest that together have
                probability p; Holtzman et al. 2020), ``repetition_penalty`` (factor on the
                log-probability of tokens already written; after Keskar et al. 2019).

        Yields:
            A list with the next piece of each sample, ``""`` where it has ended.

        Raises:
            InputError: an argument outside what is said above, or an empty prompt.
        """
        ids = self._encode(prompt, unknown)
        numbers, used = _check_sampling(**sampling)
        for name, value in {"length": length, "samples": samples}.items():
            if not isinstance(value, int) or value < 1:
                raise InputError(f"{name} out of range", found=value, expected="1 or more")
        if stop == "":
            raise InputError("an empty stop text", expected="at least one character, or None")
        return self._pieces(ids, prompt, length, samples, stop, seed, numbers, used)

    def _pieces(self, ids, prompt, length, samples, stop, seed, numbers, used):
        scores, states = self._read_graph(ids, self._start)
        scores, *states = [tf.repeat(tensor, samples, axis=0) for tensor in (scores, *states)]
        written = tf.zeros(tf.shape(scores), tf.bool)
        ends = [_End(stop, prompt) for _ in range(samples)]
        position, size = 0, 1
        while position < length and not all(end.reached for end in ends):
            size = min(size, length - position)
            tokens, scores, states, written = self._write_graph(
                scores,
                states,
                written,
                tf.constant(size),
                tf.constant([seed, position], tf.int64),
                {name: tf.constant(value, tf.float32) for name, value in numbers.items()},
                used,
            )
            position += size
            rows = tokens.numpy().T
            last = position == length
            yield [self._text(end, row, last) for end, row in zip(ends, rows, strict=True)]
            size = min(2 * size, _LARGEST_PIECE)

    def _text(self, end, ids, last):
        tokens = self.vocabulary.decode(ids)
        return end.release(detokenize(tokens, self.unit, after=end.tail), last)

    def _encode(self, prompt, unknown):
        if unknown not in UNKNOWN_CHOICES:
            raise InputError(
                "bad unknown", found=repr(unknown), expected=" or ".join(UNKNOWN_CHOICES)
            )
        tokens = tokenize(prompt, self.unit)
        strange = [token for token in dict.fromkeys(tokens) if token not in self.vocabulary]
        if strange and unknown == "error":
            raise InputError(
                "the vocabulary lacks tokens of the prompt",
                found=", ".join(map(repr, strange[:8])) + (", …" if len(strange) > 8 else ""),
                fix="leave them out, or choose unknown 'skip' or 'unk'",
            )
        if unknown == "skip":
            tokens = [token for token in tokens if token in self.vocabulary]
        if not tokens:
            raise InputError("empty prompt", expected="text to start from")
        return np.array(self.vocabulary.encode(tokens), "int32")

    def _next(self, tokens, states):
        """Log-probabilities (samples, vocabulary) of what follows the tokens, and new states."""
        values = self._step([tokens, *states])
        for value in values:  # the step model knows no batch size, the loop wants one
            value.set_shape((tokens.shape[0], None))
        output, *states = values
        return tf.nn.log_softmax(output) if self._gives_logits else tf.math.log(output), states

    def _read(self, ids, states):
        def read_one(index, scores, *states):
            scores, states = self._next(ids[index][None], states)
            return index + 1, scores, *states

        start = (tf.constant(0), tf.zeros((1, len(self.vocabulary))), *states)
        _, scores, *states = tf.while_loop(lambda index, *_: index < tf.size(ids), read_one, start)
        return scores, states

    def _write(self, scores, states, written, size, seed, numbers, used):
        def write_one(index, tokens, scores, written, *states):
            noise_seed = seed + tf.stack([tf.constant(0, tf.int64), tf.cast(index, tf.int64)])
            token = _choose(scores, written, noise_seed, numbers, used)
            written |= tf.one_hot(token, len(self.vocabulary), True, False, dtype=tf.bool)
            scores, states = self._next(token, states)
            return index + 1, tokens.write(index, token), scores, written, *states

        start = (tf.constant(0), tf.TensorArray(tf.int32, size), scores, written, *states)
        _, tokens, scores, written, *states = tf.while_loop(
            lambda index, *_: index < size, write_one, start
        )
        return tokens.stack(), scores, states, written


class _End:
    """The end of one sample: holds back what may become its stop text."""

    def __init__(self, stop, prompt):
        self.stop, self.held, self.reached = stop, "", False
        self.tail = prompt[-1:]  # the last character so far, which decides about a space

    def release(self, text, last):
        """The text that can go out now that ``text`` was written."""
        if self.reached:
            return ""
        self.tail = text[-1:] or self.tail
        text = self.held + text
        self.held = ""
        if not self.stop:
            return text
        if self.stop in text:
            self.reached = True
            return text[: text.index(self.stop)]
        if not last:
            sizes = range(min(len(self.stop) - 1, len(text)), 0, -1)
            size = next((size for size in sizes if self.stop.startswith(text[-size:])), 0)
            cut = len(text) - size
            text, self.held = text[:cut], text[cut:]
        return text


def _check_sampling(temperature=1.0, top_k=0, top_p=1.0, repetition_penalty=1.0):
    """The numbers of the sampling, and which of them have an effect."""
    if not 0 <= temperature < float("inf"):
        raise InputError("temperature out of range", found=temperature, expected="0 or more")
    if not isinstance(top_k, int) or top_k < 0:
        raise InputError("top_k out of range", found=top_k, expected="an int, 0 for all tokens")
    if not 0 < top_p <= 1:
        raise InputError("top_p out of range", found=top_p, expected="0 < top_p ≤ 1")
    if not 0 < repetition_penalty < float("inf"):
        raise InputError(
            "repetition_penalty out of range", found=repetition_penalty, expected="above 0"
        )
    numbers = {
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "repetition_penalty": repetition_penalty,
    }
    none = {"temperature": 0, "top_k": 0, "top_p": 1, "repetition_penalty": 1}
    return numbers, tuple(name for name in numbers if numbers[name] != none[name])


def _choose(scores, written, seed, numbers, used):
    """A token for each row of log-probabilities (samples, vocabulary); never the unknown one.

    Sampling adds Gumbel noise and takes the largest (Gumbel 1954; Maddison et al. 2014).
    """
    vocabulary_size = tf.shape(scores)[1]
    scores = tf.where(tf.range(vocabulary_size) == 0, scores.dtype.min, scores)
    if "repetition_penalty" in used:
        scores = tf.where(written, scores * numbers["repetition_penalty"], scores)
    if "temperature" not in used:
        return tf.argmax(scores, -1, tf.int32)
    scores = scores / numbers["temperature"]
    if "top_k" in used:
        k = tf.minimum(tf.cast(numbers["top_k"], tf.int32), vocabulary_size)
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
