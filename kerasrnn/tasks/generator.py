"""Text from a generator, and how well it predicts one: loops inside compiled graphs."""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from kerasrnn.errors import InputError
from kerasrnn.inference.calling import gives_logits
from kerasrnn.inference.loading import load_model
from kerasrnn.inference.states import sequence_model, step_model
from kerasrnn.runs import Run
from kerasrnn.text import LINE_END, Vocabulary, clean_prompt, detokenize, known, tokenize

_LARGEST_PIECE = 64  # tokens between two looks at the text, once the first are out
_WARM_UP = 256  # tokens that are read before those that count
_CHUNK = 256  # steps of a text that are read at once
_ROWS = 64  # places of a text that are read side by side


def load_writer(run: Run) -> Writer:
    """The ``Writer`` of the best model of a run. Raises ``InputError``."""
    known = reading(run, "unit", "lines", "classic")
    return Writer(load_model(run.path), load_vocabulary(run), **known)


def load_vocabulary(run: Run, name="vocabulary.json") -> Vocabulary:
    """A vocabulary of a run. Raises ``InputError``."""
    try:
        return Vocabulary.from_json(run.read_text(name))
    except InputError as error:
        raise InputError(str(error), where=run.path / name) from error


def reading(run: Run, *names) -> dict:
    """How the text of a run was read, of the options named: ``{"unit": "char", …}``."""
    options = run.info["data"].get("options", {})
    return {name: options[name] for name in names if name in options}


def check_positive(**numbers):
    """Raise ``InputError`` unless all are ints of 1 or more."""
    for name, value in numbers.items():
        if not isinstance(value, int) or value < 1:
            raise InputError(f"{name} out of range", found=value, expected="1 or more")


def check_vocabulary(model, vocabulary):
    """Raise ``InputError`` unless the model has an output for each token."""
    if model.output_shape[-1] != len(vocabulary):
        raise InputError(
            "a vocabulary that does not match the model",
            found=f"{len(vocabulary)} tokens",
            expected=model.output_shape[-1],
        )


class Writer:
    """Writes on from a prompt with a generator, again and again without compiling anew.

    Args:
        model: a model of ``build_generator``.
        vocabulary: the ``Vocabulary`` of its ids.
        unit: ``"char"`` or ``"word"``, as the vocabulary was made.
        lines: it learnt independent lines: a text starts and ends where a line does, so the
            prompt may be empty.
        classic: prompts are cleaned as its text was (``text.clean``).

    Raises:
        InputError: the model is no generator, or its size is not the vocabulary's.
    """

    def __init__(self, model, vocabulary, unit="char", *, lines=False, classic=False):
        check_vocabulary(model, vocabulary)
        self.model, self.vocabulary, self.unit = model, vocabulary, unit
        self.lines, self.classic = lines, classic
        self.step_model = step_model(model)
        self._gives_logits = gives_logits(model)
        self._read_graph = tf.function(
            self.read,
            input_signature=[
                tf.TensorSpec((None, None), tf.int32),
                tf.TensorSpec((None,), tf.int32),
            ],
            autograph=False,  # which would cost the first character a fifth of a second
        )
        self._write_graph = tf.function(self.write_tokens, autograph=False)
        self._search_graph = tf.function(self._search, autograph=False)

    def write(self, prompt, length=500, **options) -> list[str]:
        """The whole continuations, one text for each sample; arguments as for ``stream``."""
        pieces = list(self.stream(prompt, length, **options))
        return ["".join(texts) for texts in zip(*pieces, strict=True)]

    def search(
        self, prompt, length=500, *, beams=4, samples=1, stop=(), unknown="error"
    ) -> list[str]:
        """The likeliest continuations that beam search finds, best first.

        At each step the ``beams`` continuations of the highest probability are kept
        (Lowerre 1976); the other arguments are those of ``stream``, ``samples`` at most
        ``beams``. Raises ``InputError``.
        """
        ids = self._encode(prompt, unknown)
        check_positive(length=length, beams=beams, samples=samples)
        stops = self._stops(stop)
        if samples > beams:
            raise InputError("more samples than beams", found=samples, expected=f"at most {beams}")
        scores, states = self._read_graph([ids], [len(ids)])
        tokens, parents = self._search_graph(
            scores, states, tf.constant(length), tf.constant(beams)
        )
        beam, backwards = np.arange(samples), []
        for row, parent in zip(tokens.numpy()[::-1], parents.numpy()[::-1], strict=True):
            backwards.append(row[beam])
            beam = parent[beam]
        rows = np.array(backwards[::-1]).T
        return [self._text(_End(stops, prompt), row, True) for row in rows]

    def stream(
        self, prompt, length=500, *, samples=1, stop=(), unknown="error", seed=0, **sampling
    ) -> Iterator[list[str]]:
        """Continuations of a prompt, in pieces, as they are made.

        Args:
            prompt: text that is read through the model first; not part of the result.
            length: number of tokens to write at most.
            samples: number of continuations, made in one batch.
            stop: a continuation ends before the first place where it holds this text, or one
                of several.
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
        check_positive(length=length, samples=samples)
        stops = self._stops(stop)
        return self._pieces(ids, prompt, length, samples, stops, seed, numbers, used)

    def _stops(self, stop):
        stops = [stop] if isinstance(stop, str) else list(stop)
        if "" in stops:
            raise InputError("an empty stop text", expected="at least one character")
        return stops + [LINE_END] * self.lines

    def _pieces(self, ids, prompt, length, samples, stops, seed, numbers, used):
        scores, states = self._read_graph([ids], [len(ids)])
        scores, *states = [tf.repeat(tensor, samples, axis=0) for tensor in (scores, *states)]
        written = tf.zeros(tf.shape(scores), tf.bool)
        ends = [_End(stops, prompt) for _ in range(samples)]
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
        if self.classic:
            prompt = clean_prompt(prompt, self.unit)
        tokens = known(tokenize(prompt, self.unit), self.vocabulary, unknown)
        if self.lines:
            tokens = [LINE_END, *tokens]
        if not tokens:
            raise InputError("empty prompt", expected="text to start from", fix="give a prompt")
        return np.array(self.vocabulary.encode(tokens), "int32")

    def next_token(self, tokens, states):
        """Log-probabilities (samples, vocabulary) of what follows the tokens, and new states."""
        values = self.step_model([tokens, *states])
        for value in values:  # the step model knows no batch size, the loop wants one
            value.set_shape((tokens.shape[0], None))
        output, *states = values
        return tf.nn.log_softmax(output) if self._gives_logits else tf.math.log(output), states

    def read(self, ids, lengths):
        """Prompts (samples, time), padded on the right, read from all-zero states.

        Gives log-probabilities (samples, vocabulary) of what follows them, and the states.
        """

        def read_one(index, *before):
            scores, states = self.next_token(ids[:, index], before[1:])
            real = (index < lengths)[:, None]
            after = [
                tf.where(real, new, old) for new, old in zip((scores, *states), before, strict=True)
            ]
            return index + 1, *after

        sizes = [len(self.vocabulary), *(state.shape[1] for state in self.step_model.inputs[1:])]
        start = (tf.constant(0), *(tf.zeros((tf.shape(ids)[0], size)) for size in sizes))
        longest = tf.reduce_max(lengths)
        _, scores, *states = tf.while_loop(lambda index, *_: index < longest, read_one, start)
        return scores, states

    def write_tokens(self, scores, states, written, size, seed, numbers, used):
        """So many tokens (time, samples), fewer where all lines have ended before.

        scores, states: as ``read`` gives them. written: bool (samples, vocabulary), the tokens
        so far. seed: int64, the seed and the number of tokens written before. numbers: the
        options of the sampling, used: those of them that have an effect. Gives the tokens, and
        scores, states and written after them.
        """
        line_end = self.vocabulary.encode(LINE_END)

        def goes_on(index, tokens, scores, written, *states):
            more = index < size
            return more & ~tf.reduce_all(written[:, line_end]) if self.lines else more

        def write_one(index, tokens, scores, written, *states):
            noise_seed = seed + tf.stack([tf.constant(0, tf.int64), tf.cast(index, tf.int64)])
            token = _choose(scores, written, noise_seed, numbers, used)
            written |= tf.one_hot(token, len(self.vocabulary), True, False, dtype=tf.bool)
            scores, states = self.next_token(token, states)
            return index + 1, tokens.write(index, token), scores, written, *states

        start = (tf.constant(0), tf.TensorArray(tf.int32, size), scores, written, *states)
        number, tokens, scores, written, *states = tf.while_loop(goes_on, write_one, start)
        return tokens.gather(tf.range(number)), scores, states, written

    def _search(self, scores, states, length, beams):
        """Tokens and the beams they came from, both (length, beams)."""
        vocabulary_size = len(self.vocabulary)
        line_end = self.vocabulary.encode(LINE_END) if self.lines else -1
        resting = tf.one_hot([line_end], vocabulary_size, 0.0, scores.dtype.min)

        def search_one(index, tokens, parents, totals, last, scores, *states):
            scores = tf.where(last[:, None] == line_end, resting, _without_unknown(scores))
            joint = tf.reshape(totals[:, None] + scores, [-1])
            totals, best = tf.math.top_k(joint, beams)
            parent, token = best // vocabulary_size, best % vocabulary_size
            scores, states = self.next_token(token, [tf.gather(state, parent) for state in states])
            tokens, parents = tokens.write(index, token), parents.write(index, parent)
            return index + 1, tokens, parents, totals, token, scores, *states

        rows = [tf.repeat(tensor, beams, axis=0) for tensor in (scores, *states)]
        totals = tf.one_hot(0, beams, 0.0, scores.dtype.min / 2)  # at first there is one beam
        arrays = [tf.TensorArray(tf.int32, length) for _ in range(2)]
        start = (tf.constant(0), *arrays, totals, tf.fill([beams], -2), *rows)
        _, tokens, parents, *_ = tf.while_loop(lambda index, *_: index < length, search_one, start)
        return tokens.stack(), parents.stack()


class TextLoss:
    """The mean cross-entropy (nats per token) of a generator over whole texts, compiled once.

    Args:
        model: a model of ``build_generator``.
    """

    def __init__(self, model):
        self._model = sequence_model(model)
        self._gives_logits = gives_logits(model)
        self._sizes = [state.shape[1] for state in self._model.inputs[1:]]
        tokens = tf.TensorSpec((None, None), tf.int32)
        counted = tf.TensorSpec((None, None), tf.bool)
        states = [tf.TensorSpec((None, size)) for size in self._sizes]
        self._read_graph = tf.function(
            self._read, input_signature=[tokens, tokens, counted, states], autograph=False
        )

    def of_text(self, context, ids) -> float:
        """Over all of ids (tokens,), each predicted once from what comes before it.

        The text is read at up to 64 places side by side, at each after the 256 tokens before
        it, the first of them after the end of ``context``. Without a context the very first
        token, before which there is nothing, is not counted.
        """
        context = context[-_WARM_UP:]
        whole = np.concatenate([context, ids])
        first = max(len(context), 1)
        rows = min(_ROWS, max(1, (len(whole) - first) // _WARM_UP))
        bounds = np.linspace(first, len(whole), rows + 1).astype(int)
        starts = np.maximum(bounds[:-1] - 1 - _WARM_UP, 0)
        return self._sum(whole, starts, bounds[:-1], bounds[1:]) / (len(whole) - first)

    def of_lines(self, ids, befores, ends) -> float:
        """Over independent lines and their ends, each from all-zero states.

        befores, ends: (lines,), the places of the line ends around each line in ids (tokens,).
        """
        whole = np.concatenate([ids[-1:], ids])  # a line end before the first line
        order = np.argsort(ends - befores, kind="stable")
        groups = np.array_split(order, -(-len(order) // (4 * _ROWS)))
        total = 0.0
        for group in groups:
            starts, stops = befores[group] + 1, ends[group] + 2
            total += self._sum(whole, starts, starts + 1, stops)
        return total / len(ids)

    def _sum(self, whole, starts, firsts, stops):
        """The loss summed over the tokens firsts … stops - 1 of each row, read from starts."""
        states = [np.zeros((len(starts), size), "float32") for size in self._sizes]
        total, width = 0.0, int((stops - starts).max()) - 1
        for step in range(0, width, _CHUNK):
            places = starts[:, None] + np.arange(step, min(step + _CHUNK, width) + 1)
            tokens = whole[np.minimum(places, len(whole) - 1)].astype("int32")
            asked = places[:, 1:]
            counted = (asked >= firsts[:, None]) & (asked < stops[:, None])
            loss, states = self._read_graph(tokens[:, :-1], tokens[:, 1:], counted, states)
            total += float(loss)
        return total

    def _read(self, tokens, targets, counted, states):
        output, *states = self._model([tokens, *states], training=False)
        losses = keras.losses.sparse_categorical_crossentropy(
            targets, output, from_logits=self._gives_logits
        )
        return tf.reduce_sum(tf.where(counted, tf.cast(losses, tf.float64), 0)), states


class _End:
    """The end of one sample: holds back what may become a stop text."""

    def __init__(self, stops, prompt):
        self.stops, self.held, self.reached = stops, "", False
        self.tail = prompt[-1:]  # the last character so far, which decides about a space

    def release(self, text, last):
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
