"""What an export answers: for each task its signatures, graphs that take raw input.

Each function here gives a ``Servable``. Sequences of a batch may be of any length, and padding
never changes a result. Tokens that a vocabulary lacks are read as the unknown one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import keras
import numpy as np
import tensorflow as tf

from kerasrnn import layers
from kerasrnn.data.corpora import BLANK_ID
from kerasrnn.data.sentences import WORD_LENGTH
from kerasrnn.errors import InputError
from kerasrnn.inference import text_ops as strings
from kerasrnn.inference.calling import gives_logits
from kerasrnn.tasks.generator import Writer
from kerasrnn.tasks.infiller import Infiller
from kerasrnn.tasks.tagger import Tagger
from kerasrnn.text import LINE_END, Vocabulary, split_words, tokenize

_SAMPLED = ("temperature",)
_FILTERED = ("temperature", "top_k", "top_p")


@dataclass(frozen=True, eq=False)
class Servable:
    """A model with what it takes to answer raw input.

    task: ``"classifier"``, …, or ``"model"`` for any other Keras model. model: the one whose
    weights are saved. tables: look-ups that the graphs use. signatures: ``{name: (function,
    inputs)}``, a function of tensors that gives a dict of them, and the ``tf.TensorSpec`` of
    each. examples: ``(name, inputs, outputs)`` of signatures, the outputs as the Keras model
    gives them. labels: what the last axis of ``probabilities`` means. unit: what a token is,
    ``"char"`` or ``"word"``, of a text. core: what is exported where there are no strings, if
    not the model. traced: the model that the signatures call, if not ``model``.
    vocabularies: ``{input of the core: (id of the first token, Vocabulary)}``.
    """

    task: str
    model: keras.Model
    signatures: dict[str, tuple[Callable, list[tf.TensorSpec]]]
    examples: list[tuple[str, dict, dict]]
    labels: tuple[str, ...] = ()
    unit: str | None = None
    tables: tuple = ()
    core: keras.Model | None = None
    traced: keras.Model | None = None
    vocabularies: dict[str, tuple[int, Vocabulary]] = field(default_factory=dict)


def _strings(name, rank=1):
    return tf.TensorSpec((None,) * rank, tf.string, name)


def _scalar(name, dtype):
    return tf.TensorSpec((), dtype, name)


def _probabilities(model, inputs):
    """Of a model for any device, float32."""
    output = model(inputs[0] if len(inputs) == 1 else inputs, training=False)
    return tf.nn.softmax(output) if gives_logits(model) else output


# --- classifier ---------------------------------------------------------------------------


def serve_classifier(model, labels, vocabulary=None, unit="word") -> Servable:
    """``x`` (and ``lengths``, or ``text``, or ``tokens``) → ``label``, ``probabilities``.

    Args:
        model: a model of ``build_classifier``.
        labels: their names, in the order of the model's outputs.
        vocabulary: of a model that reads tokens: its ids are those of this ``Vocabulary``, each
            plus 1, and the export takes texts instead of ids.
        unit: what a token of the text is, ``"char"`` or ``"word"``.
    """
    _check_labels(model, labels)
    names, traced = tf.constant(list(labels)), layers.for_export(model)

    def answer(*inputs):
        probabilities = _probabilities(traced, inputs)
        label = tf.gather(names, tf.argmax(probabilities, -1))
        return {"label": label, "probabilities": probabilities}

    read = _reads_floats if model.inputs[0].dtype == "float32" else _reads_tokens
    signatures, examples, tables = read(model, answer, vocabulary, unit)
    examples = [
        (name, inputs, _named(labels, _probabilities(model, as_read)))
        for name, inputs, as_read in examples
    ]
    known = {"vocabularies": {"tokens": (1, vocabulary)}, "unit": unit} if tables else {}
    return Servable(
        "classifier",
        model,
        signatures,
        examples,
        tuple(labels),
        tables=tables,
        traced=traced,
        **known,
    )


def _named(labels, probabilities):
    probabilities = np.asarray(probabilities)
    label = [labels[index] for index in probabilities.argmax(-1)]
    return {"label": label, "probabilities": probabilities}


def _reads_floats(model, answer, vocabulary, unit):
    x = tf.TensorSpec((None, None, model.inputs[0].shape[2]), tf.float32, "x")
    lengths = tf.TensorSpec((None,), tf.int32, "lengths")

    def padded(x, lengths):
        return answer(_one_step_at_least(x), lengths)

    def whole(x):
        return padded(x, tf.fill([tf.shape(x)[0]], tf.shape(x)[1]))

    values = _raw_values(model, (4, model.inputs[0].shape[1] or 6, x.shape[2]))
    if len(model.inputs) == 1:
        plain = (lambda x: answer(_one_step_at_least(x)), [x])
        return {"serving_default": plain}, [("serving_default", {"x": values}, [values])], ()
    steps = np.array([values.shape[1], 1, 0, 3], "int32")
    values[np.arange(values.shape[1]) >= steps[:, None]] = 1e6  # padding must not count
    inputs = {"x": values, "lengths": steps}
    full = [values[:1], steps[:1]]
    examples = [("serving_default", inputs, [values, steps]), ("whole", {"x": full[0]}, full)]
    return {"serving_default": (padded, [x, lengths]), "whole": (whole, [x])}, examples, ()


def _raw_values(model, shape):
    """Values of the size that the model's scaling expects."""
    values = np.random.default_rng(0).normal(size=shape)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization):
            values = values * np.sqrt(layer.variance) + layer.mean
    return np.array(values, "float32")  # a copy: what a tensor gives cannot be written to


def _one_step_at_least(x):
    """x (batch, time, …), with a step of zeros or empty strings where it has none."""
    missing = tf.cast(tf.shape(x)[1] == 0, tf.int32)
    return tf.pad(x, [[0, 0], [0, missing], *[[0, 0]] * (x.shape.rank - 2)])


def _reads_tokens(model, answer, vocabulary, unit):
    if vocabulary is None:
        ids = np.array([[1, 1, 1], [1, 0, 0]], "int32")
        spec = tf.TensorSpec((None, None), tf.int32, "tokens")
        example = ("serving_default", {"tokens": ids}, [ids])
        signature = (lambda tokens: answer(_right_padded(tokens)), [spec])
        return {"serving_default": signature}, [example], ()
    table = strings.table(vocabulary, 1)

    def read(text):
        ids, _ = strings.ids(table, strings.tokenize(text, unit))
        return answer(ids)

    texts = [_some_text(vocabulary, unit, 8), _some_text(vocabulary, unit, 3)]
    ids = [np.add(vocabulary.encode(tokenize(text, unit)), 1).tolist() for text in texts]
    ids = keras.utils.pad_sequences(ids, padding="post")
    examples = [("serving_default", {"text": texts}, [ids])]
    return {"serving_default": (read, [_strings("text")])}, examples, (table,)


def _right_padded(tokens):
    gaps = tf.reduce_any((tokens[:, 1:] != 0) & (tokens[:, :-1] == 0))
    tf.debugging.Assert(~gaps, ["id 0 before a token: expected padding on the right only"])
    return tokens


def _some_text(vocabulary, unit, number, first=1):
    """A text of tokens that the vocabulary has, always the same."""
    known = [token for token in vocabulary.tokens[first:] if token != LINE_END]
    chosen = np.random.default_rng(number).integers(len(known), size=number)
    return ("" if unit == "char" else " ").join(known[index] for index in chosen)


# --- tagger -------------------------------------------------------------------------------


def serve_tagger(tagger: Tagger) -> Servable:
    """``text``, a sentence each, or ``tokens`` → ``tokens``, ``labels``, ``probabilities``."""
    model, names = tagger.model, tf.constant(list(tagger.labels))
    traced = layers.for_export(model)
    table = strings.table(tagger.vocabulary, 1)
    spelled = len(model.inputs) == 2
    letters_table = strings.table(tagger.characters, 1) if spelled else None

    def tag(tokens, lengths):
        real = tf.sequence_mask(lengths, tf.shape(tokens)[1])
        inputs = [tf.where(real, table.lookup(tokens), 0)]
        if spelled:
            letters = tf.strings.unicode_split(tokens, "UTF-8")[:, :, :WORD_LENGTH]
            inputs.append(strings.ids(letters_table, letters)[0])
        probabilities = _probabilities(traced, inputs)
        labels = tf.where(real, tf.gather(names, tf.argmax(probabilities, -1)), "")
        probabilities = tf.where(real[:, :, None], probabilities, 0.0)
        return {"tokens": tokens, "labels": labels, "probabilities": probabilities}

    def tag_text(text):
        words = tagger.unit == "word"
        split = strings.split_words(text) if words else strings.tokenize(text, "char")
        return tag(*strings.padded(split, ""))

    def tag_tokens(tokens):
        tokens = _one_step_at_least(tokens)
        return tag(tokens, tf.reduce_sum(tf.cast(tokens != "", tf.int32), 1))

    first = 1 if len(tagger.vocabulary) > 1 else 0
    texts = [_some_text(tagger.vocabulary, tagger.unit, size, first) for size in (9, 0, 3)]
    split = split_words if tagger.unit == "word" else list
    sentences = [split(text) for text in texts]
    tokens = fill(sentences, "")
    outputs = {"tokens": tokens, **_tagged(tagger, sentences)}
    examples = [
        ("serving_default", {"text": texts}, outputs),
        ("tag_tokens", {"tokens": tokens}, outputs),
    ]
    signatures = {
        "serving_default": (tag_text, [_strings("text")]),
        "tag_tokens": (tag_tokens, [_strings("tokens", 2)]),
    }
    vocabularies = {"tokens": (1, tagger.vocabulary)}
    if spelled:
        vocabularies["characters"] = (1, tagger.characters)
    return Servable(
        "tagger",
        model,
        signatures,
        examples,
        labels=tuple(tagger.labels),
        unit=tagger.unit,
        tables=(table, letters_table) if spelled else (table,),
        traced=traced,
        vocabularies=vocabularies,
    )


def _tagged(tagger, sentences):
    rows = np.split(tagger.predict(sentences), np.cumsum([len(s) for s in sentences])[:-1])
    labels = [[tagger.labels[index] for index in row.argmax(-1)] for row in rows]
    none = np.zeros(len(tagger.labels), "float32")
    return {"labels": fill(labels, ""), "probabilities": np.array(fill(rows, none))}


def fill(rows, padding):
    """Lists of unequal length, all made as long as the longest, one item at least."""
    longest = max(1, *map(len, rows))
    return [[*row, *[padding] * (longest - len(row))] for row in rows]


# --- generator ----------------------------------------------------------------------------


def serve_generator(writer: Writer) -> Servable:
    """``generate``: prompts → texts, whole in the graph; ``step``: one token, states in and out."""
    table, tokens = strings.table(writer.vocabulary), tf.constant(writer.vocabulary.tokens)

    def generate(prompt, length, temperature, top_k, top_p, seed):
        _check_numbers(length, temperature, top_k, top_p)
        scores, states = writer.read(*_read_prompts(writer, table, prompt))
        written = tf.zeros(tf.shape(scores), tf.bool)
        size = tf.shape(scores)[1]
        numbers = {
            "temperature": temperature,
            "top_k": tf.cast(tf.where(top_k > 0, top_k, size), tf.float32),
            "top_p": tf.where(top_p < 1, top_p, 2.0),  # not even what rounding would cut off
        }
        seeds = tf.stack([seed, 0])

        def write(used, batch):
            rows = [tf.identity(tensor) for tensor in (scores, *states, written)]
            for tensor in rows:  # not ensure_shape, which is run whatever branch is taken
                tensor.set_shape((batch, None))
            given = (rows[0], rows[1:-1], rows[-1], length, seeds, numbers, used)
            return writer.write_tokens(*given)[0]

        filtered = (top_k > 0) | (top_p < 1)
        kind = tf.where(temperature == 0, 0, tf.where(filtered, 2, 1))
        kind += tf.where(tf.shape(scores)[0] == 1, 3, 0)
        # a batch that is known to be 1 is a third faster: TensorFlow fuses its products
        kinds = [(used, batch) for batch in (None, 1) for used in ((), _SAMPLED, _FILTERED)]
        ids = tf.switch_case(kind, [partial(write, *which) for which in kinds])
        rows = tf.gather(tokens, tf.transpose(ids))
        text = strings.detokenize(rows, writer.unit, prompt)
        return {"text": strings.until_line_end(text) if writer.lines else text}

    numbers = [
        _scalar("length", tf.int32),
        _scalar("temperature", tf.float32),
        _scalar("top_k", tf.int32),
        _scalar("top_p", tf.float32),
        _scalar("seed", tf.int64),
    ]
    generated = (generate, [_strings("prompt"), *numbers])
    step, inputs, example = _serve_step(writer)
    signatures = {"serving_default": generated, "generate": generated, "step": (step, inputs)}
    examples = [*_written(writer), ("step", *example)]
    return Servable(
        "generator",
        writer.model,
        signatures,
        examples,
        unit=writer.unit,
        tables=(table,),
        core=writer.step_model,
        vocabularies={"tokens": (0, writer.vocabulary)},
    )


def _check_numbers(length, temperature, top_k, top_p):
    tf.debugging.assert_positive(length, "length out of range: expected 1 or more")
    tf.debugging.assert_non_negative(temperature, "temperature out of range: expected 0 or more")
    tf.debugging.assert_non_negative(top_k, "top_k out of range: expected 0 or more")
    tf.debugging.Assert((top_p > 0) & (top_p <= 1), ["top_p out of range: expected 0 < top_p ≤ 1"])


def _read_prompts(writer, table, prompt):
    """Ids (batch, time) and lengths of prompts."""
    text = strings.clean_prompt(prompt, writer.unit) if writer.classic else prompt
    ids, lengths = strings.ids(table, strings.tokenize(text, writer.unit))
    if not writer.lines:
        tf.debugging.assert_positive(lengths, "empty prompt: expected text to start from")
        return ids, lengths
    start = tf.fill([tf.shape(ids)[0], 1], writer.vocabulary.encode(LINE_END))
    return tf.concat([start, ids], 1), lengths + 1


def _serve_step(writer):
    model = writer.step_model
    names = [_state_name(state) for state in model.inputs[1:]]

    def step(token, *states):
        scores, states = writer.next_token(token, states)
        return {"logits": scores, **dict(zip(names, states, strict=True))}

    inputs = [tf.TensorSpec((None,), tf.int32, "token")]
    inputs += [
        tf.TensorSpec((None, state.shape[1]), tf.float32, name)
        for name, state in zip(names, model.inputs[1:], strict=True)
    ]
    rng, token = np.random.default_rng(0), np.array([0, 1, len(writer.vocabulary) - 1], "int32")
    states = [rng.normal(0, 0.5, (3, spec.shape[1])).astype("float32") for spec in inputs[1:]]
    given = {"token": token, **dict(zip(names, states, strict=True))}
    scores, states = writer.next_token(tf.constant(token), [tf.constant(s) for s in states])
    found = {"logits": scores.numpy()} | {
        name: state.numpy() for name, state in zip(names, states, strict=True)
    }
    return step, inputs, (given, found)


def _state_name(state):
    """``lstm_1_c`` for the input ``lstm_1_1`` of a step model."""
    layer, number = state.name.rsplit("_", 1)
    return f"{layer}_{'hc'[int(number)]}"


def _written(writer):
    prompt = "" if writer.lines else _some_text(writer.vocabulary, writer.unit, 5)
    kinds = ({"temperature": 0.0}, {"temperature": 0.8}, {"top_k": 3, "top_p": 0.9})
    for signature, some in zip(("generate", "serving_default", "generate"), kinds, strict=True):
        given = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 1} | some
        text = writer.write(prompt, 24, **given)
        yield signature, {"prompt": [prompt], "length": 24, **given}, {"text": text}


# --- infiller -----------------------------------------------------------------------------


def serve_infiller(infiller: Infiller) -> Servable:
    """``text`` with a ``_`` for each hidden token → ``text`` with all of them filled in."""
    model, vocabulary = infiller.model, infiller.vocabulary
    traced = layers.for_export(model, lengths=True)
    table, tokens_of = strings.table(vocabulary), tf.constant(vocabulary.tokens)

    def fill_one(ids, lengths):
        """The surest blank of each text."""
        known = traced([ids, lengths], training=False)[:, :, BLANK_ID + 1 :]
        blank = ids == BLANK_ID
        surest = tf.argmax(tf.where(blank, tf.reduce_max(known, -1), known.dtype.min), 1)
        token = tf.argmax(tf.gather(known, surest, batch_dims=1), -1, tf.int32) + BLANK_ID + 1
        here = tf.one_hot(surest, tf.shape(ids)[1], True, False, dtype=tf.bool) & blank
        return tf.where(here, token[:, None], ids), lengths

    def fill_all(text):
        text = strings.clean(text, "_") if infiller.classic else text
        tokens, lengths = strings.padded(strings.tokenize(text, infiller.unit), "")
        tokens = strings.blanks(tokens)
        before = table.lookup(tokens)
        after, _ = tf.while_loop(
            lambda ids, _: tf.reduce_any(ids == BLANK_ID), fill_one, (before, lengths)
        )
        tokens = tf.where(before == BLANK_ID, tf.gather(tokens_of, after), tokens)
        return {"text": strings.detokenize(tokens, infiller.unit)}

    texts = [_with_blanks(vocabulary, infiller.unit, number) for number in (12, 5)]
    example = {"text": texts}, {"text": [infiller.fill(text)[0] for text in texts]}
    signatures = {"serving_default": (fill_all, [_strings("text")])}
    examples = [("serving_default", *example)]
    return Servable(
        "infiller",
        model,
        signatures,
        examples,
        unit=infiller.unit,
        tables=(table,),
        traced=traced,
        vocabularies={"tokens": (0, vocabulary)},
    )


def _with_blanks(vocabulary, unit, number):
    tokens = tokenize(_some_text(vocabulary, unit, number, BLANK_ID + 1), unit)
    tokens[1::4] = ["_"] * len(tokens[1::4])
    return ("" if unit == "char" else " ").join(tokens)


# --- any other model ----------------------------------------------------------------------


def serve_model(model) -> Servable:
    """The inputs of a Keras model → its outputs, by their names; ``outputs`` where there is one.

    Stock recurrent layers become this package's, which run on any device.
    """
    traced = layers.for_export(model)
    names = output_names(model)
    inputs = [tf.TensorSpec([None, *i.shape[1:]], i.dtype, i.name) for i in model.inputs]

    def call(*given):
        return answer(traced, given)

    def answer(model, given):
        found = model(list(given) if len(given) > 1 else given[0], training=False)
        return dict(zip(names, keras.tree.flatten(found), strict=True))

    rng = np.random.default_rng(0)
    shapes = [[2, *(size or 5 for size in spec.shape[1:])] for spec in inputs]
    given = [
        rng.normal(size=shape).astype(spec.dtype.as_numpy_dtype)
        if spec.dtype.is_floating
        else np.ones(shape, spec.dtype.as_numpy_dtype)
        for shape, spec in zip(shapes, inputs, strict=True)
    ]
    found = {name: np.asarray(value) for name, value in answer(model, given).items()}
    example = ("serving_default", {s.name: v for s, v in zip(inputs, given, strict=True)}, found)
    signatures = {"serving_default": (call, inputs)}
    return Servable("model", model, signatures, [example], traced=traced)


def output_names(model) -> list[str]:
    """Names for the outputs of a Keras model."""
    return model.output_names if len(model.outputs) > 1 else ["outputs"]


def _check_labels(model, labels):
    if model.output_shape[-1] != len(labels):
        raise InputError(
            "labels that do not match the model",
            found=f"{len(labels)} labels",
            expected=model.output_shape[-1],
        )
