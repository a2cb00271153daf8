"""The tagger: a label for each token of a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from kerasrnn import evaluation, layers, plotting
from kerasrnn.data.batches import SentenceBatches, sentence_inputs
from kerasrnn.data.kinds import file_format
from kerasrnn.data.readers.sentence_files import read_tokens
from kerasrnn.data.readers.text_files import read_standard_input, read_text
from kerasrnn.data.sentences import WORD_LENGTH, Sentences, load_sentences, read_sentences
from kerasrnn.inference import text_ops
from kerasrnn.inference.calling import compiled, in_groups, probabilities
from kerasrnn.inference.explaining import Explanation
from kerasrnn.inference.exports import Export
from kerasrnn.inference.signatures import (
    Example,
    Servable,
    Signature,
    example_text,
    fill,
    one_step_at_least,
    string_spec,
)
from kerasrnn.models import build_tagger
from kerasrnn.runs import Run
from kerasrnn.tasks import base, examples
from kerasrnn.tasks.explanations import chosen, explain_tags
from kerasrnn.tasks.linear_tagging import biases, neighbours_of, with_linear, without_linear
from kerasrnn.tasks.scores import all_labels, report_labels
from kerasrnn.tasks.tagger_recipe import tagger_recipe
from kerasrnn.text import Vocabulary, tokens_of

_MOST_TOGETHER = 100  # labels; of each pair of them there is a number at each step


class Tagger(base.Predictor):
    """Gives the tokens of texts their labels.

    Args:
        model: a model of ``build_tagger`` that reads tokens.
        labels: their names, in the order of the model's outputs.
        vocabulary: of its tokens, padded.
        character_vocabulary: of their characters, padded; None where the model reads none.
        level: what a token is, ``"word"`` or ``"char"``.
        lower_case: the vocabulary holds tokens in lower case; the characters keep theirs.

    Raises:
        InputError: the labels do not match the model.

    >>> import kerasrnn
    >>> words = Vocabulary(["time", "flies"], padded=True)
    >>> model = kerasrnn.build_tagger(num_labels=2, vocabulary_size=words.num_ids, units=4)
    >>> [token for token, label in Tagger(model, ["N", "V"], words).predict("time flies")[0]]
    ['time', 'flies']
    """

    task = "tagger"

    def __init__(
        self,
        model: keras.Model,
        labels: Sequence[str],
        vocabulary: Vocabulary,
        character_vocabulary: Vocabulary | None = None,
        level: str = "word",
        lower_case: bool = False,
    ):
        base.check_outputs(model, len(labels), "labels")
        self.model, self.labels, self.tokens = model, tuple(labels), tokens_of(level)
        self.vocabulary, self.characters = vocabulary, character_vocabulary
        self.lower_case = lower_case
        self._use_characters = len(model.inputs) == 2
        self._compiled = compiled(model)

    @classmethod
    def _from_run(cls, run: Run):
        labels = run.labels()
        model = base.load_run_model(run, labels)
        vocabulary = run.vocabulary(padded=True)
        characters = run.vocabulary("characters.json", padded=True)
        level, lower = run.info["data"].get("level", "word"), run.reading("lower_case")
        return cls(model, labels, vocabulary, characters, level, **lower)

    @classmethod
    def _from_export(cls, export: Export):
        return _ExportedTagger(export)

    def predict(self, text: str) -> list[list[tuple[str, str]]]:
        """Split a text and label it: for each line or block its (token, label) pairs.

        Words are split off punctuation (``text.split_words``), a line is a sentence; of
        characters those that follow each other with one label are joined to one token.
        """
        return [self.tokens.merge(pairs) for pairs in self.tag(self.tokens.sentences(text))]

    def tag(self, sentences: Sequence[Sequence[str]]) -> list[list[tuple[str, str]]]:
        """The (token, label) pairs of sentences, lists of tokens."""
        predicted = iter(self.predict_proba(sentences).argmax(-1))
        return [
            [
                (token, self.labels[label])
                for token, label in zip(sentence, islice(predicted, len(sentence)), strict=True)
            ]
            for sentence in sentences
        ]

    def predict_proba(self, sentences: Sequence[Sequence[str]]) -> np.ndarray:
        """Probabilities, float32 (tokens, labels), of sentences one after the other."""
        return in_groups(self._call, sentences, len(self.labels))

    def _call(self, sentences):
        return self._compiled(*sentence_inputs(sentences, self, self._use_characters).values())


class _ExportedTagger(Tagger):
    def __init__(self, export):
        self.labels = export.labels
        self.tokens = tokens_of(export.reading("level").get("level", "word"))
        self._export = export

    def _call(self, sentences):
        return self._export.call("tag_tokens", tokens=fill(sentences, ""))["probabilities"]


class TaggerTask(base.Task):
    """A label for each token."""

    name = "tagger"
    kinds = ("sentences",)
    summary = 'A label for each token of a text; `""` and 0 stand for padding.'
    predictor = Tagger
    validated = ("entity_f1",)

    def load(self, *source: str, **options) -> Sentences:
        return load_sentences(*source, **options)

    def recipe(self, data: Sentences, settings: base.Settings) -> dict[str, base.Choice]:
        return tagger_recipe(len(data.train), settings.fit["batch_size"])

    def build(self, data: Sentences, settings: base.Settings) -> keras.Model:
        """Vocabularies and labels follow from the data; beside words stands a linear tagger."""
        options = dict(settings.model)
        del options["use_characters"]
        use_characters = _use_characters(data, settings)
        model = build_tagger(
            num_labels=len(data.labels),
            vocabulary_size=data.vocabulary.num_ids,
            character_vocabulary_size=data.characters.num_ids if use_characters else None,
            **options,
        )
        read = neighbours_of(options["bidirectional"], options["go_backwards"])
        return with_linear(model, data, read) if use_characters else model

    def training_model(self, model: keras.Model, settings: base.Settings) -> keras.Model:
        return without_linear(model)

    def metrics(self, data: Sentences) -> list[str]:
        return ["accuracy"]

    def batches(self, data: Sentences, settings: base.Settings, seed: int):
        return SentenceBatches(
            data,
            batch_size=settings.fit["batch_size"],
            use_characters=_use_characters(data, settings),
            seed=seed,
        )

    def artifacts(self, data: Sentences) -> dict:
        return {
            "labels.json": list(data.labels),
            "vocabulary.json": list(data.vocabulary.tokens),
            "characters.json": list(data.characters.tokens),
        }

    def validator(self, model, data: Sentences, settings: base.Settings):
        if data.validation is None:
            return None
        tagger, shifted = _tagger(model, data), _is_to_finish(data)
        return lambda: _validation(tagger, data, shifted)

    def monitored(self, row) -> float:
        """Entities are what counts where there are some, and their F1 rises after the loss does."""
        return -row.get("val_entity_f1", 0.0) or super().monitored(row)

    def finish(self, run: Run, data: Sentences):
        """Of entities: shift O for the highest F1 in validation, and choose labels together."""
        if _is_to_finish(data):
            return base.change_best(run, lambda model: _together(model, data))
        return None

    def evaluate(self, model, data: Sentences, settings, folder: Path) -> base.Evaluation:
        part, labels, tagger = data.test, (*data.labels, *data.unseen_labels), _tagger(model, data)
        validated = {} if data.validation is None else {"validation": _validation(tagger, data)}
        found = tagger.predict_proba(part.tokens)
        guessed = evaluation.tagging_baseline(
            data.train.tokens, data.train.y, part.tokens, len(data.labels)
        )
        baseline = evaluation.tagging_metrics(part.y, guessed, part.lengths, labels)
        metrics, sentences = _scores(part.y, found, part.tokens, labels, folder)
        return base.Evaluation(validated | metrics | {"baseline": baseline}, sentences)

    def explanation(self, predictor: Tagger, source: str, row, encoding) -> Explanation:
        return explain_tags(
            predictor, chosen(_sentences(predictor, source, encoding), row or 0, source)
        )

    def score(
        self, predictor: Tagger, source: str, folder: Path | None, encoding: str | None
    ) -> base.Evaluation:
        sentences = read_sentences(
            source, predictor.reading.get("label"), encoding or predictor.reading.get("encoding")
        )
        tokens, truth = zip(*sentences, strict=True)
        labels = all_labels(predictor.labels, truth, source)
        index = {label: number for number, label in enumerate(labels)}
        y = np.array([index[label] for row in truth for label in row])
        return _scores(y, predictor.predict_proba(tokens), tokens, labels, folder)

    def next_command(self, data: Sentences, run: Run) -> list[str]:
        sentence = min(data.test.tokens, key=lambda tokens: abs(len(tokens) - 8))
        return ["predict", str(run), data.tokens.join(sentence).strip()]

    def predictions(
        self, predictor: Tagger, inputs: Sequence[str], encoding: str | None
    ) -> base.Predictions:
        blocks = enumerate(
            block for text in inputs for block in _tag_input(predictor, text, encoding)
        )
        show = predictor.tokens.show

        def columns(numbered):
            number, block = numbered
            tokens, labels = zip(*block, strict=True)
            return {"sentence": [number] * len(block), "token": [*tokens], "label": [*labels]}

        return base.Predictions(
            blocks,
            lambda row: [[{"token": token, "label": label} for token, label in row[1]]],
            columns,
            lambda row: "".join(f"{show(token)}\t{label}\n" for token, label in row[1]) + "\n",
            lambda rows, ax: plotting.plot_tokens([block for _, block in rows], ax),
        )

    def servable(self, predictor: Tagger) -> Servable:
        """``text``, a sentence each, or ``tokens`` → ``tokens``, ``labels``, ``probabilities``."""
        exported = layers.for_export(predictor.model)
        ops = text_ops.ops_of(predictor.tokens)
        tag, tables, vocabularies = _tagging_graph(predictor, exported)

        def tag_text(text):
            return tag(*text_ops.padded(ops.sentence(text), ""))

        def tag_tokens(tokens):
            tokens = one_step_at_least(tokens)
            return tag(tokens, tf.reduce_sum(tf.cast(tokens != "", tf.int32), 1))

        return Servable(
            self.name,
            exported,
            {
                "serving_default": Signature(tag_text, [string_spec("text")]),
                "tag_tokens": Signature(tag_tokens, [string_spec("tokens", 2)]),
            },
            _examples(predictor),
            numeric_model=predictor.model,
            labels=predictor.labels,
            tables=tables,
            vocabularies=vocabularies,
            reading={"level": predictor.tokens.level, "lower_case": predictor.lower_case},
        )


TASK = TaggerTask()


def _use_characters(data, settings):
    """Whether tokens are also composed from their characters: words, unless told otherwise."""
    asked = settings.model["use_characters"]
    return data.tokens.composed if asked is None else asked


def _is_to_finish(data):
    """Whether ``finish`` changes the best model."""
    return evaluation.is_entity_scheme(data.labels) and len(data.labels) <= _MOST_TOGETHER


def _validation(tagger, data, shifted=False):
    """The metrics of the validation part; those of entities with O shifted as ``finish`` will."""
    part, labels = data.validation, (*data.labels, *data.unseen_labels)
    found = tagger.predict_proba(part.tokens)
    metrics = evaluation.tagging_metrics(part.y, found, part.lengths, labels)
    if shifted:
        metrics |= evaluation.outside_shift(part.y, found, part.lengths, labels)[1]
    return metrics


def _together(model, data):
    """The model with O shifted by the validation part, and its labels chosen together."""
    if any(isinstance(layer, layers.LabelPairs) for layer in layers.layers_in(model)):  # is done
        return model
    if (part := data.validation) is not None:
        labels = (*data.labels, *data.unseen_labels)
        found = _tagger(model, data).predict_proba(part.tokens)
        shift, _ = evaluation.outside_shift(part.y, found, part.lengths, labels)
        for bias in biases(model):
            bias.assign(bias + shift * np.array([label == "O" for label in data.labels]))
    pairs = evaluation.label_pairs(data.train.y, data.train.lengths, data.labels)
    together = layers.LabelPairs(pairs.tolist(), name="together")
    return keras.Model(model.inputs, together(model.outputs[0]))


def _tagger(model, data):
    return Tagger(model, data.labels, data.vocabulary, data.characters, data.level, data.lower_case)


def _scores(y, found, tokens, labels, folder):
    """The metrics of probabilities (tokens, labels), of each label and each type of entity."""
    lengths = np.array([*map(len, tokens)])
    metrics = {"test": evaluation.tagging_metrics(y, found, lengths, labels)}
    metrics |= report_labels(y, found, labels, folder)
    if evaluation.is_entity_scheme(labels):
        metrics["entities"] = evaluation.entity_report(y, found.argmax(-1), lengths, labels)
    return base.Evaluation(metrics, {"sentences": examples.tagged(tokens, y, found, labels)})


def _tag_input(tagger, text, encoding):
    """The labelled blocks of an input, as of ``_sentences``."""
    return [tagger.tokens.merge(pairs) for pairs in tagger.tag(_sentences(tagger, text, encoding))]


def _sentences(tagger, text, encoding):
    """The tokens of each sentence of a file, of standard input for ``-``, or of the text itself.

    The words of CoNLL columns are taken as they are; of a folder of them those of its test part.
    """
    encoding = encoding or tagger.reading.get("encoding")
    try:
        is_folder, is_file = Path(text).is_dir(), Path(text).is_file()
    except (OSError, ValueError):  # a text that cannot be the name of a file
        is_folder = is_file = False
    if is_folder:
        return [tokens for tokens, _ in read_sentences(text, None, encoding)]
    if is_file and tagger.tokens.composed and file_format(text).kind == "sentences":
        return read_tokens(text, encoding)
    if is_file:
        text = "".join(read_text(text, encoding=encoding))
    elif text == "-":
        text = read_standard_input()
    return tagger.tokens.sentences(text)


def _tagging_graph(tagger, exported):
    """A graph from tokens and lengths to their labels, its tables and vocabularies."""
    vocabularies = {"tokens": tagger.vocabulary}
    if len(tagger.model.inputs) == 2:
        vocabularies["characters"] = tagger.characters
    tables = tuple(text_ops.lookup(vocabulary) for vocabulary in vocabularies.values())
    lower, cases = text_ops.lower_reader() if tagger.lower_case else (lambda text: text, None)
    names = tf.constant(list(tagger.labels))

    def tag(tokens, lengths):
        real = tf.sequence_mask(lengths, tf.shape(tokens)[1])
        words = tf.reshape(lower(tf.reshape(tokens, [-1])), tf.shape(tokens))
        inputs = [tf.where(real, tables[0].lookup(words), 0)]
        if len(tables) == 2:
            letters = tf.strings.unicode_split(tokens, "UTF-8")[:, :, :WORD_LENGTH]
            inputs.append(text_ops.ids(tables[1], letters)[0])
        found = probabilities(exported, inputs)
        labels = tf.where(real, tf.gather(names, tf.argmax(found, -1)), "")
        found = tf.where(real[:, :, None], found, 0.0)
        return {"tokens": tokens, "labels": labels, "probabilities": found}

    return tag, tables if cases is None else (*tables, cases), vocabularies


def _examples(tagger):
    texts = [example_text(tagger.vocabulary, tagger.tokens, size) for size in (9, 0, 3)]
    sentences = [
        [token for row in tagger.tokens.sentences(text) for token in row] for text in texts
    ]
    bounds = np.cumsum([len(sentence) for sentence in sentences])[:-1]
    rows = np.split(tagger.predict_proba(sentences), bounds)
    labels = [[tagger.labels[index] for index in row.argmax(-1)] for row in rows]
    none = np.zeros(len(tagger.labels), "float32")
    tokens = fill(sentences, "")
    outputs = {
        "tokens": tokens,
        "labels": fill(labels, ""),
        "probabilities": np.array(fill(rows, none)),
    }
    return [
        Example("serving_default", {"text": texts}, outputs),
        Example("tag_tokens", {"tokens": tokens}, outputs),
    ]
