"""The generator: the next token at each step, and so text from a prompt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial

import keras
import numpy as np
import tensorflow as tf

from kerasrnn import evaluation
from kerasrnn.data.batches import WindowBatches, new_tokens
from kerasrnn.data.corpora import Corpus, load_corpus
from kerasrnn.data.inputs import text_of
from kerasrnn.errors import InputError, check_positive, check_range
from kerasrnn.inference import text_ops
from kerasrnn.inference.explaining import Explanation
from kerasrnn.inference.exports import Export
from kerasrnn.inference.generation import GenerationLoops, SampleEnd, Sampling, step_of
from kerasrnn.inference.signatures import (
    Example,
    Servable,
    Signature,
    example_text,
    scalar_spec,
    string_spec,
)
from kerasrnn.inference.states import CarriedState, step_model
from kerasrnn.inference.text_loss import TextLoss
from kerasrnn.models import build_generator
from kerasrnn.options import GENERATION
from kerasrnn.runs import Run
from kerasrnn.tasks import base
from kerasrnn.tasks.explanations import explain_text, single
from kerasrnn.tasks.language import TextTask
from kerasrnn.tasks.text_report import LossTally, beginning, ngram_baseline
from kerasrnn.text import LINE_END, Vocabulary, tokens_of

MAX_LENGTH = GENERATION["max_length"]
_LARGEST_PIECE = 64  # tokens between two looks at the text, once the first are out
_SAMPLE_LENGTH = 200  # tokens of a sample while training
_SAMPLE_LINES = 5
_SAMPLES = 2  # in examples.json
_SAMPLE_PROMPT = 20  # tokens
_SAMPLED = ("temperature",)
_FILTERED = ("temperature", "top_k", "top_p")


class TextGenerator(base.Predictor):
    """Generates text from a prompt, again and again without compiling anew.

    Args:
        model: a model of ``build_generator``.
        vocabulary: the ``Vocabulary`` of its ids.
        level: ``"char"`` or ``"word"``, as the vocabulary was made.
        lines: it learnt independent lines: a text starts and ends where a line does, so the
            prompt may be empty.
        letters_only: prompts are cleaned as its text was (``text.clean``).

    Raises:
        InputError: the model is no generator, or its size is not the vocabulary's.

    >>> import kerasrnn
    >>> letters = Vocabulary("abc")
    >>> generator = TextGenerator(kerasrnn.build_generator(letters.num_ids, units=4), letters)
    >>> len(generator.generate("a", max_length=5)[0])
    5
    """

    task = "generator"

    def __init__(
        self,
        model: keras.Model,
        vocabulary: Vocabulary,
        level: str = "char",
        *,
        lines: bool = False,
        letters_only: bool = False,
    ):
        base.check_outputs(model, vocabulary.num_ids, "tokens")
        self.model = model
        self._read_with(step_of(model), vocabulary, level, lines, letters_only)

    def _read_with(self, step, vocabulary, level="char", lines=False, letters_only=False):
        self.vocabulary, self.tokens = vocabulary, tokens_of(level)
        self.lines, self.letters_only = lines, letters_only
        line_end = vocabulary.line_end_id if lines else None
        self.loops = GenerationLoops(*step, vocabulary.num_ids, line_end)

    @classmethod
    def _from_run(cls, run: Run):
        reading = run.reading("level", "lines", "letters_only")
        return cls(base.load_run_model(run), run.vocabulary(), **reading)

    @classmethod
    def _from_export(cls, export: Export):
        return _ExportedGenerator(export)

    def generate(self, prompt: str, max_length: int = MAX_LENGTH, **options) -> list[str]:
        """The whole continuations, one text for each sample; arguments as for ``stream``."""
        pieces = list(self.stream(prompt, max_length, **options))
        return ["".join(texts) for texts in zip(*pieces, strict=True)]

    def search(
        self,
        prompt: str,
        max_length: int = MAX_LENGTH,
        *,
        beams: int = 4,
        samples: int = 1,
        stop: str | Sequence[str] = (),
        unknown: str = "error",
    ) -> list[str]:
        """The likeliest continuations that beam search finds, best first.

        At each step the ``beams`` continuations of the highest probability are kept
        (Lowerre 1976); the other arguments are those of ``stream``, ``samples`` at most
        ``beams``. Raises ``InputError``.
        """
        ids = self._encode(prompt, unknown)
        check_positive(max_length=max_length, beams=beams, samples=samples)
        stops = self._stops(stop)
        if samples > beams:
            raise InputError("more samples than beams", found=samples, expected=f"at most {beams}")
        position = self.loops.read_graph([ids], [len(ids)])
        tokens, parents = self.loops.search_graph(
            position, tf.constant(max_length), tf.constant(beams)
        )
        beam, backwards = np.arange(samples), []
        for row, parent in zip(tokens.numpy()[::-1], parents.numpy()[::-1], strict=True):
            backwards.append(row[beam])
            beam = parent[beam]
        rows = np.array(backwards[::-1]).T
        return [self._text(SampleEnd(stops, prompt), row, True) for row in rows]

    def stream(
        self,
        prompt: str,
        max_length: int = MAX_LENGTH,
        *,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        repetition_penalty: float = 1.0,
        samples: int = 1,
        stop: str | Sequence[str] = (),
        unknown: str = "error",
        seed: int | None = None,
    ) -> Iterator[list[str]]:
        """Continuations of a prompt, in pieces, as they are made.

        Args:
            prompt: text that is read through the model first; not part of the result.
            max_length: number of tokens to generate at most.
            temperature, top_k, top_p, repetition_penalty: how tokens are chosen, see
                ``inference.generation.Sampling``.
            samples: number of continuations, made in one batch.
            stop: a continuation ends before the first place where it holds this text, or one
                of several.
            unknown: what to do with prompt tokens that the vocabulary lacks: ``"error"``,
                ``"skip"`` them, or read them as ``"unk"``.
            seed: the same seed gives the same text; None draws another each time.

        Yields:
            A list with the next piece of each sample, ``""`` where it has ended.

        Raises:
            InputError: an argument outside what is said above, or an empty prompt.
        """
        ids = self._encode(prompt, unknown)
        sampling = Sampling(temperature, top_k, top_p, repetition_penalty)
        sampling.check()
        check_positive(max_length=max_length, samples=samples)
        if seed is None:
            seed = int(np.random.default_rng().integers(2**32))
        check_range("seed", seed, 0, 2**63)
        ends = [SampleEnd(self._stops(stop), prompt) for _ in range(samples)]
        return self._pieces(ids, ends, max_length, seed, sampling)

    def _stops(self, stop):
        stops = [stop] if isinstance(stop, str) else list(stop)
        if "" in stops:
            raise InputError("an empty stop text", expected="at least one character")
        return stops + [LINE_END] * self.lines

    def _pieces(self, ids, ends, max_length, seed, sampling):
        start = self.loops.read_graph([ids], [len(ids)])
        position = tf.nest.map_structure(lambda x: tf.repeat(x, len(ends), axis=0), start)
        numbers = {name: tf.constant(n, tf.float32) for name, n in sampling._asdict().items()}
        done, size, used = 0, 1, sampling.used()
        while done < max_length and not all(end.reached for end in ends):
            size = min(size, max_length - done)
            seeds = tf.constant([seed, done], tf.int64)
            tokens, position = self.loops.write_graph(
                position, tf.constant(size), seeds, numbers, used
            )
            done += size
            rows, last = tokens.numpy().T, done == max_length
            yield [self._text(end, row, last) for end, row in zip(ends, rows, strict=True)]
            size = min(2 * size, _LARGEST_PIECE)

    def _text(self, end, ids, last):
        tokens = self.vocabulary.decode(ids)
        return end.release(self.tokens.join(tokens, after=end.tail), last)

    def _encode(self, prompt, unknown):
        if self.letters_only:
            prompt = self.tokens.clean_prompt(prompt)
        tokens = self.vocabulary.known(self.tokens.split(prompt), unknown)
        if self.lines:
            tokens = [LINE_END, *tokens]
        if not tokens:
            raise InputError("empty prompt", expected="text to start from", fix="give a prompt")
        return np.array(self.vocabulary.encode(tokens), "int32")


class _ExportedGenerator(TextGenerator):
    def __init__(self, export):
        names = list(export.inputs("step"))[1:]
        sizes = [export.inputs("step")[name]["shape"][1] for name in names]
        function = export.function("step")

        def step(tokens, states):
            outputs = function(token=tokens, **dict(zip(names, states, strict=True)))
            return outputs["logits"], [outputs[name] for name in names]

        reading = export.reading("level", "lines", "letters_only")
        self._read_with((step, sizes), export.vocabulary(), **reading)


class GeneratorTask(TextTask):
    """The next token at each step of a text."""

    name = "generator"
    summary = "Generates text from a prompt."
    predictor = TextGenerator
    most_epochs = (20, 10)  # the best one comes before
    dropouts = (0.5, 0.6)

    def load(self, *source: str, **options) -> Corpus:
        return load_corpus(*source, **options)

    def build(self, data: Corpus, settings: base.Settings) -> keras.Model:
        return build_generator(data.vocabulary.num_ids, **settings.model)

    def training_model(self, model, settings: base.Settings) -> keras.Model:
        """One that carries its states on from batch to batch, with sequential sampling."""
        if settings.fit["sampling"] == "sequential":
            return CarriedState(model, settings.fit["batch_size"])
        return model

    def batches(self, data: Corpus, settings: base.Settings, seed: int):
        names = ("sequence_length", "batch_size", "sampling")
        options = {name: settings.fit[name] for name in names}
        return WindowBatches(data, seed=seed, rare=new_tokens(data), **options)

    def validator(self, model, data: Corpus, settings: base.Settings):
        if not len(data.validation):
            return None
        loss = TextLoss(model)
        return lambda: _validation(loss, data)

    def evaluate(self, model, data: Corpus, settings: base.Settings, folder) -> base.Evaluation:
        written = {"samples": _samples(model, data, settings)}
        if not len(data.validation):
            return base.Evaluation({}, written)
        tally = LossTally()
        metrics = {"validation": _validation(TextLoss(model), data, tally)}
        metrics |= ngram_baseline(data) | {"positions": tally.positions()}
        return base.Evaluation(metrics, written | {"passages": [tally.passage(data)]})

    def sampler(self, model, data: Corpus, settings: base.Settings):
        generator, (prompt, unknown) = _generator(model, data), _prompt(data, settings)
        samples = _SAMPLE_LINES if data.lines else 1

        def sample():
            texts = generator.generate(
                prompt, _SAMPLE_LENGTH, samples=samples, unknown=unknown, seed=0
            )
            return "\n".join(prompt + text for text in texts)

        generator.stream(prompt, unknown=unknown)  # a bad prompt is named now, not epochs later
        return sample

    def next_command(self, data: Corpus, run: Run) -> list[str]:
        prompt = data.tokens.separator.join(beginning(data, 20))
        return ["generate", str(run), *([] if data.lines else ["--prompt", prompt])]

    def predictions(
        self, predictor: TextGenerator, inputs: Sequence[str], encoding: str | None
    ) -> base.Predictions:
        texts = map(text_of, inputs)
        return base.Predictions.of_texts(prompt + predictor.generate(prompt)[0] for prompt in texts)

    def explanation(self, predictor: TextGenerator, source: str, row, encoding) -> Explanation:
        return explain_text(predictor, single(source, row))

    def servable(self, predictor: TextGenerator) -> Servable:
        """``generate``: prompts → texts, in one graph; ``step``: one token, states in and out."""
        table = text_ops.lookup(predictor.vocabulary)
        generate = Signature(
            partial(_generate, predictor, table),
            [
                string_spec("prompt"),
                scalar_spec("max_length", tf.int32),
                scalar_spec("temperature", tf.float32),
                scalar_spec("top_k", tf.int32),
                scalar_spec("top_p", tf.float32),
                scalar_spec("seed", tf.int64),
            ],
        )
        numeric_model = step_model(predictor.model)
        step, example = _step(predictor, numeric_model)
        return Servable(
            self.name,
            predictor.model,
            {"serving_default": generate, "generate": generate, "step": step},
            [*_examples(predictor), example],
            tables=(table,),
            numeric_model=numeric_model,
            vocabularies={"tokens": predictor.vocabulary},
            reading={
                "level": predictor.tokens.level,
                "lines": predictor.lines,
                "letters_only": predictor.letters_only,
            },
        )


TASK = GeneratorTask()


def _generator(model, data):
    return TextGenerator(
        model,
        data.vocabulary,
        data.level,
        lines=data.lines,
        letters_only=data.options["letters_only"],
    )


def _prompt(data, settings):
    """What samples continue, and what is to be done with tokens of it that are unknown."""
    if settings.fit["prompt"] is not None or data.lines:
        return settings.fit["prompt"] or "", "error"
    ids = data.validation if len(data.validation) else data.train
    return data.tokens.join(data.vocabulary.decode(ids[:_SAMPLE_PROMPT])), "unk"


def _samples(model, data, settings):
    """Texts of a model, the same ones every time; none where the prompt is a bad one."""
    generator, prompt, written = _generator(model, data), _prompt(data, settings)[0], []
    with suppress(InputError):
        for seed in range(_SAMPLES):
            (text,) = generator.generate(prompt, _SAMPLE_LENGTH, unknown="unk", seed=seed)
            written.append({"prompt": prompt, "text": text, "seed": seed})
    return written


def _validation(loss, data, tally=None):
    """The metrics of the validation text."""
    if data.lines:
        value = loss.of_lines(data.validation, *data.line_bounds(data.validation), tally)
    else:
        value = loss.of_text(data.train, data.validation, tally)
    tokens = {"tokens": len(data.validation)}
    return evaluation.language_metrics(value, data.tokens.bits) | tokens


def _generate(generator, table, prompt, max_length, temperature, top_k, top_p, seed):
    """Texts from prompts, in a graph."""
    tf.debugging.assert_positive(max_length, "max_length out of range: expected 1 or more")
    tf.debugging.assert_non_negative(temperature, "temperature out of range: expected 0 or more")
    tf.debugging.assert_non_negative(top_k, "top_k out of range: expected 0 or more")
    tf.debugging.Assert((top_p > 0) & (top_p <= 1), ["top_p out of range: expected 0 < top_p ≤ 1"])
    position = generator.loops.read(*_read_prompts(generator, table, prompt))
    scores = position.scores
    numbers = {
        "temperature": temperature,
        "top_k": tf.cast(tf.where(top_k > 0, top_k, tf.shape(scores)[1]), tf.float32),
        "top_p": tf.where(top_p < 1, top_p, 2.0),  # not even what rounding would cut off
    }
    seeds = tf.stack([seed, 0])

    def write(used, batch):
        rows = tf.nest.map_structure(tf.identity, position)
        for tensor in tf.nest.flatten(rows):  # not ensure_shape: it runs whatever branch is taken
            tensor.set_shape((batch, None))
        return generator.loops.write(rows, max_length, seeds, numbers, used)[0]

    filtered = (top_k > 0) | (top_p < 1)
    kind = tf.where(temperature == 0, 0, tf.where(filtered, 2, 1))
    kind += tf.where(tf.shape(scores)[0] == 1, 3, 0)
    # a batch that is known to be 1 is a third faster: TensorFlow fuses its products
    kinds = [(used, batch) for batch in (None, 1) for used in ((), _SAMPLED, _FILTERED)]
    ids = tf.switch_case(kind, [partial(write, *which) for which in kinds])
    rows = tf.gather(tf.constant(generator.vocabulary.tokens), tf.transpose(ids))
    text = text_ops.ops_of(generator.tokens).join(rows, prompt)
    return {"text": text_ops.until_line_end(text) if generator.lines else text}


def _read_prompts(generator, table, prompt):
    """Ids (batch, time) and lengths of prompts, in a graph."""
    ops = text_ops.ops_of(generator.tokens)
    text = ops.clean_prompt(prompt) if generator.letters_only else prompt
    ids, lengths = text_ops.ids(table, ops.split(text))
    if not generator.lines:
        tf.debugging.assert_positive(lengths, "empty prompt: expected text to start from")
        return ids, lengths
    start = tf.fill([tf.shape(ids)[0], 1], generator.vocabulary.line_end_id)
    return tf.concat([start, ids], 1), lengths + 1


def _step(generator, model):
    """The signature of one step, and an example of it."""
    sizes = {x.name: x.shape[1] for x in model.inputs[1:]}

    def step(token, *states):
        scores, states = generator.loops.next_token(token, states)
        return {"logits": scores, **dict(zip(sizes, states, strict=True))}

    inputs = [tf.TensorSpec((None,), tf.int32, "token")]
    inputs += [tf.TensorSpec((None, size), tf.float32, name) for name, size in sizes.items()]
    rng = np.random.default_rng(0)
    token = np.array([0, 1, generator.vocabulary.num_ids - 1], "int32")
    states = {name: rng.normal(0, 0.5, (3, n)).astype("float32") for name, n in sizes.items()}
    found = step(tf.constant(token), *map(tf.constant, states.values()))
    outputs = {name: value.numpy() for name, value in found.items()}
    return Signature(step, inputs), Example("step", {"token": token, **states}, outputs)


def _examples(generator):
    prompt = "" if generator.lines else example_text(generator.vocabulary, generator.tokens, 5)
    kinds = ({"temperature": 0.0}, {"temperature": 0.8}, {"top_k": 3, "top_p": 0.9})
    for signature, some in zip(("generate", "serving_default", "generate"), kinds, strict=True):
        given = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 1} | some
        text = generator.generate(prompt, 24, **given)
        yield Example(signature, {"prompt": [prompt], "max_length": 24, **given}, {"text": text})
