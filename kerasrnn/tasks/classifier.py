"""The classifier: one label for each sequence or text, or several for each text."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

import keras
import numpy as np
import tensorflow as tf

from kerasrnn import evaluation, layers
from kerasrnn.data.batches import SequenceBatches
from kerasrnn.data.checks import has_missing, missing_error
from kerasrnn.data.inputs import kept_columns, read_inputs
from kerasrnn.data.layouts import Batch
from kerasrnn.data.readers import TextParts
from kerasrnn.data.sequences import Dataset, dataset_of
from kerasrnn.data.sources import read_by_options, source_of
from kerasrnn.data.text_batches import TextBatches
from kerasrnn.data.texts import SEPARATOR, Texts, pad_texts, starts_of, terms_of
from kerasrnn.errors import InputError, check_choice
from kerasrnn.inference import text_ops
from kerasrnn.inference.calling import (
    by_length,
    compiled,
    gives_several,
    in_batches,
    model_inputs,
    probabilities,
)
from kerasrnn.inference.explaining import Explanation
from kerasrnn.inference.exports import Export
from kerasrnn.inference.signatures import Example, Servable, fill
from kerasrnn.models import build_classifier
from kerasrnn.options import CLASS_WEIGHTS, tables
from kerasrnn.runs import Run
from kerasrnn.tasks import base, examples
from kerasrnn.tasks.classifier_signatures import float_signatures, token_signatures
from kerasrnn.tasks.explanations import chosen, each, explain_label, salient_texts
from kerasrnn.tasks.members import is_mixed, members_beside, shares_of, with_members
from kerasrnn.tasks.ngram_regression import with_ngrams, without_ngrams
from kerasrnn.tasks.opinions import held_for_opinions, pooled
from kerasrnn.tasks.recipes import sequence_recipe
from kerasrnn.tasks.scaling import scaling
from kerasrnn.tasks.scores import label_scores, report_labels
from kerasrnn.tasks.text_recipe import text_recipe
from kerasrnn.text import Vocabulary, tokens_of

_READING = ("level", "max_length")  # of a text, among the options of its data


class Classifier(base.Predictor):
    """Gives sequences, or texts, their labels.

    Args:
        model: a model of ``build_classifier``; with a sigmoid it gives a text several labels.
        labels: their names, in the order of the model's outputs.
        vocabulary: of a model that reads token ids, padded: the classifier then takes texts.
        level: what a token of a text is, ``"word"`` (words and marks, in lower case) or
            ``"char"``.
        max_length: tokens of a text that are read, the first ones; None for all.

    Raises:
        InputError: the labels or the vocabulary do not match the model, or it is no classifier.

    >>> import kerasrnn, numpy as np
    >>> model = kerasrnn.build_classifier((None, 2), num_classes=2, units=4)
    >>> Classifier(model, ["down", "up"]).predict_proba(np.zeros((3, 9, 2))).shape
    (3, 2)
    """

    task = "classifier"

    def __init__(
        self,
        model: keras.Model,
        labels: Sequence[str],
        vocabulary: Vocabulary | None = None,
        level: str = "word",
        max_length: int | None = None,
    ):
        _check_model(model, vocabulary)
        base.check_outputs(model, len(labels), "labels")
        self.model, self.labels, self.several = model, tuple(labels), gives_several(model)
        self.vocabulary, self.tokens, self.max_length = vocabulary, tokens_of(level), max_length
        pairs = zip(("x", "lengths"), model.inputs, strict=False)
        self._shapes = {name: tuple(x.shape[1:]) for name, x in pairs}
        self._fills = any(isinstance(x, layers.FillMissing) for x in layers.layers_in(model))
        self._call = compiled(model)

    @classmethod
    def _from_run(cls, run: Run):
        labels, reading = run.labels(), run.reading(*_READING)
        vocabulary = run.vocabulary(padded=True) if reading else None
        return cls(base.load_run_model(run, labels), labels, vocabulary, **reading)

    @classmethod
    def _from_export(cls, export: Export):
        return _ExportedClassifier(export)

    @property
    def reads_text(self) -> bool:
        """Whether it takes texts instead of sequences of numbers."""
        return self.vocabulary is not None

    def predict(self, x, lengths: np.ndarray | None = None) -> list[str] | list[list[str]]:
        """The likeliest label of each sequence; arguments as for ``predict_proba``.

        Where there may be several labels, the list of those with a probability of a half or more.
        """
        return self.labels_of(self.predict_proba(x, lengths))

    def labels_of(self, found: np.ndarray) -> list[str] | list[list[str]]:
        """The labels for probabilities (n, classes)."""
        if not self.several:
            return [self.labels[index] for index in found.argmax(-1)]
        chosen = evaluation.chosen_labels(found)
        return [[self.labels[index] for index in row.nonzero()[0]] for row in chosen]

    def predict_proba(self, x, lengths: np.ndarray | None = None) -> np.ndarray:
        """Probabilities, float32 (n, classes).

        Args:
            x: raw sequences (n, time, features); or where the classifier reads text n strings,
                or the token ids of n texts one after the other, int (tokens,).
            lengths: int (n,), the steps of each sequence before its padding, or the tokens of
                each text.

        Raises:
            InputError: sequences that do not fit the model.
        """
        if self.reads_text:
            return self._proba_of_texts(x, lengths)
        inputs = model_inputs(self._shapes, x=x, lengths=lengths)
        if not self._fills and has_missing(inputs[0], lengths):
            raise missing_error()
        return in_batches(self._call, *inputs)

    def _proba_of_texts(self, x, lengths):
        if lengths is None:
            rows = [self.vocabulary.encode(self.terms(text)) for text in x]
            x, lengths = np.array([*chain.from_iterable(rows)], "int32"), [*map(len, rows)]
        lengths = np.array(lengths, "int32")
        starts = starts_of(lengths)
        return by_length(
            lambda some: self._call(pad_texts(x, starts[some], lengths[some])), lengths
        )

    def terms(self, text: str) -> list[str]:
        """The tokens of a text that are read."""
        return terms_of(text, self.tokens)[: self.max_length]


class _ExportedClassifier(Classifier):
    def __init__(self, export):
        self.labels, inputs = export.labels, export.inputs()
        self.several = "labels" in export.about["signatures"]["serving_default"]["outputs"]
        self.vocabulary = export.vocabulary() if "text" in inputs else None
        self._shapes = {name: tuple(of["shape"][1:]) for name, of in inputs.items()}
        self._fills = export.reading().get("missing", False)

        def call(*arrays):
            return export.call(**dict(zip(inputs, arrays, strict=True)))["probabilities"]

        self._call = call

    def _proba_of_texts(self, x, lengths):
        return in_batches(self._call, np.array(x))  # the export reads them itself


class ClassifierTask(base.Task):
    """One label for each sequence of numbers, and one or several for each text."""

    name = "classifier"
    kinds = ("sequences", "texts")
    summary = "One label for each sequence, or one or several for each text."
    predictor = Classifier

    def load(self, *source: str, **options) -> Dataset | Texts:
        if len(source) != 1:
            raise InputError("several data sets for a classifier", found=" ".join(source))
        found = read_by_options(*source, self.name, options)
        if isinstance(found, TextParts):
            defaults = tables(self.name, "texts")[0]
            return Texts.from_parts(found, source_of(*source), *source, defaults | options)
        return dataset_of(found, *source, options)

    def recipe(self, data: Dataset | Texts, settings: base.Settings) -> dict[str, base.Choice]:
        recipe = sequence_recipe if data.vocabulary is None else text_recipe
        return recipe(data, settings)

    def build(self, data: Dataset | Texts, settings: base.Settings) -> keras.Model:
        """Input, classes and scaling follow from the data; beside texts stands a regression."""
        options = dict(settings.model)
        members = options.pop("members")
        options["activation"] = "sigmoid" if data.several else "softmax"
        model = with_members(
            members,
            lambda: build_classifier(num_classes=len(data.labels), **_input(data), **options),
        )
        if data.vocabulary is None:
            return model
        if members > 1:
            raise InputError("members of a classifier of texts", fix="average --seeds --ensemble")
        weights = _weights(data, settings.fit["class_weight"])
        return with_ngrams(model, data, weights)

    def training_model(self, model: keras.Model, settings: base.Settings) -> keras.Model:
        return members_beside(model) if settings.model["members"] > 1 else without_ngrams(model)

    def loss(self, settings: base.Settings, data: Dataset | Texts) -> keras.losses.Loss:
        if data.several:
            return keras.losses.BinaryCrossentropy()
        return super().loss(settings, data)

    def metrics(self, data: Dataset | Texts) -> list[str]:
        return [] if data.several else ["accuracy"]

    def batches(self, data: Dataset | Texts, settings: base.Settings, seed: int):
        train, size = data.train, settings.fit["batch_size"]
        weights, members = _weights(data, settings.fit["class_weight"]), settings.model["members"]
        if data.vocabulary is not None:
            return TextBatches(train, size, seed, weights, data.vocabulary)
        if members > 1:
            train = replace(train, y=np.repeat(train.y[:, None], members, axis=1))
            learns = 1 - held_for_opinions(data, members, seed).astype("float32")
            weights = learns if weights is None else learns * weights[:, None]
        return SequenceBatches(train, size, seed, weights)

    def artifacts(self, data: Dataset | Texts) -> dict:
        tokens = {} if data.vocabulary is None else {"vocabulary.json": [*data.vocabulary.tokens]}
        return {"labels.json": list(data.labels)} | tokens

    def validator(self, model, data: Dataset | Texts, settings: base.Settings):
        if data.validation is None:
            return None
        classifier = _classifier(model, data)
        return lambda: _validation(classifier, data)

    def finish(self, run: Run, data: Dataset | Texts):
        """Of few sequences: pool a linear model and the label frequencies with the answer."""
        if data.vocabulary is not None:
            return None
        seed, weights = run.info["seed"], _weights(data, run.info["options"]["class_weight"])
        return base.change_best(run, lambda model: pooled(model, data, seed, weights))

    def evaluate(self, model, data: Dataset | Texts, settings, folder) -> base.Evaluation:
        part, labels = data.test, (*data.labels, *data.unseen_labels)
        classifier = _classifier(model, data)
        metrics = {} if data.validation is None else {"validation": _validation(classifier, data)}
        found = classifier.predict_proba(part.x, part.lengths)
        metrics["test"] = evaluation.classification_metrics(part.y, found)
        metrics["baseline"] = _baselines(data)
        metrics |= {"shares": shares_of(model)} if is_mixed(model) else {}
        metrics |= report_labels(part.y, found, labels, folder)
        if data.vocabulary is None:
            show = examples.shown(part.x, part.lengths, data.reading.get("features", ()))
        else:
            show = salient_texts(classifier, part, found)
        wrong = examples.mistakes(part.y, found, labels, show)
        return base.Evaluation(metrics, {"mistakes": examples.kept(wrong)})

    def next_command(self, data: Dataset | Texts, run: Run) -> list[str]:
        shown = data.source if data.vocabulary is None else data.example
        return ["predict", str(run), shown]

    def predictions(
        self, predictor: Classifier, inputs: Sequence[str], encoding: str | None
    ) -> base.Predictions:
        name = "labels" if predictor.several else "label"

        def answers():
            parts = (part for source in inputs for part in _read(predictor, source, encoding))
            for part, kept in kept_columns(parts):
                yield kept, predictor.predict_proba(part.inputs, part.lengths)

        def columns(answer):
            kept, found = answer
            chosen = predictor.labels_of(found)
            chosen = [*map(SEPARATOR.join, chosen)] if predictor.several else chosen
            rounded = [round(float(row.max()), 6) for row in found]
            return base.beside(kept, **{name: chosen}, probability=rounded)

        def records(answer):
            kept, found = answer
            said = [dict(zip(predictor.labels, row, strict=True)) for row in found.tolist()]
            chosen = {name: predictor.labels_of(found)}
            return base.rows(base.beside(kept, **chosen, probabilities=said))

        return base.Predictions(answers(), records, columns)

    def explanation(self, predictor: Classifier, source: str, row, encoding) -> Explanation:
        rows = each(_read(predictor, source, encoding))
        return explain_label(predictor, chosen(rows, row or 0, source))

    def score(self, predictor: Classifier, source: str, folder, encoding) -> base.Evaluation:
        names = predictor.reading.get("features", ())

        def answer(part):
            found = predictor.predict_proba(part.inputs, part.lengths)
            return found, part.labels, examples.shown(part.inputs, part.lengths, names)

        answers = map(answer, _read(predictor, source, encoding))
        separator = predictor.reading.get("separator", SEPARATOR) if predictor.several else None
        return label_scores(answers, predictor.labels, separator, source, folder)

    def servable(self, predictor: Classifier) -> Servable:
        """``x`` (and ``lengths``, or ``text``, or ``tokens``) → ``label``, ``probabilities``.

        Where there may be several labels ``labels`` (batch, most) stands for ``label``, with
        ``""`` for none.
        """
        model, names = predictor.model, tf.constant(list(predictor.labels))
        exported = layers.for_export(model)

        def answer(*inputs):
            found = probabilities(exported, inputs)
            if predictor.several:
                rows = tf.broadcast_to(names, tf.shape(found))
                chosen = text_ops.padded(tf.ragged.boolean_mask(rows, found >= 0.5), "")[0]
                return {"labels": chosen, "probabilities": found}
            label = tf.gather(names, tf.argmax(found, -1))
            return {"label": label, "probabilities": found}

        reads_floats = model.inputs[0].dtype == "float32"
        read = float_signatures if reads_floats else token_signatures
        signatures, examples, tables = read(predictor, answer)
        examples = [
            Example(name, inputs, _answered(predictor, np.asarray(probabilities(model, as_read))))
            for name, inputs, as_read in examples
        ]
        reads = {"level": predictor.tokens.level, "max_length": predictor.max_length}
        reading = (reads if tables else {}) | ({"missing": True} if predictor._fills else {})
        return Servable(
            self.name,
            exported,
            signatures,
            examples,
            numeric_model=model,
            labels=predictor.labels,
            tables=tables,
            vocabularies={"tokens": predictor.vocabulary} if tables else {},
            reading=reading,
        )


TASK = ClassifierTask()


def _classifier(model, data):
    """The predictor of some data."""
    if data.vocabulary is None:
        return Classifier(model, data.labels)
    reading = {name: data.options[name] for name in _READING}
    return Classifier(model, data.labels, data.vocabulary, **reading)


def _validation(classifier, data):
    """The metrics of the validation part."""
    part = data.validation
    return evaluation.classification_metrics(part.y, classifier.predict_proba(part.x, part.lengths))


def _input(data):
    """What the input of the model is, as ``build_classifier`` takes it."""
    if data.vocabulary is not None:
        return {"vocabulary_size": data.vocabulary.num_ids}
    x, lengths = data.train.x, data.train.lengths
    return {
        "input_shape": (x.shape[1] if lengths is None else None, x.shape[2]),
        "lengths": lengths is not None,
        "scaling": scaling(data.train, data.one_scale),
        "missing": data.missing,
    }


def _weights(data, class_weight):
    """Weights of the training sequences: all labels together weigh the same if ``"balanced"``."""
    check_choice("class weight", class_weight, CLASS_WEIGHTS)
    if class_weight == "none":
        return None
    if data.several:
        raise InputError("class weights are for one label a text", fix="leave --class-weight out")
    from sklearn.utils.class_weight import compute_sample_weight

    return compute_sample_weight(class_weight, data.train.y).astype("float32")


def _baselines(data):
    """The metrics of what a model should be better than, by name."""
    train, test, number = data.train, data.test, len(data.labels)
    found = {"most frequent label": evaluation.baseline_metrics(train.y, test.y, number)}
    if data.vocabulary is None:
        nearest = evaluation.neighbour_baseline(train.x, train.y, test.x, test.y)
        return found | {"1-nearest neighbour": nearest}
    separator = data.tokens.separator
    texts, asked = (part.texts(data.vocabulary, separator) for part in (train, test))
    sizes = {"num_labels": number, "level": data.level, "num_tokens": len(train.x)}
    regression = evaluation.text_baseline(texts, train.y, asked, test.y, **sizes)
    return found | {"TF-IDF, logistic regression": regression}


def _read(predictor, source, encoding):
    """The inputs of a file, a name, standard input or, where texts are read, a text itself."""
    if predictor.reads_text and source != "-" and not os.path.exists(source):
        return iter([Batch([source])])
    return read_inputs(source, predictor.reading, encoding, predictor.labels)


def _check_model(model, vocabulary):
    """Raise ``InputError`` unless the model reads what a classifier reads, with such ids."""
    inputs, outputs = (getattr(model, side, ()) for side in ("inputs", "outputs"))
    ranks = [[len(x.shape) for x in side] for side in (inputs, outputs)]
    reads_ids = ranks[0] == [2] and not inputs[0].dtype.startswith("float")
    if not (reads_ids or ranks[0] in ([3], [3, 1])) or ranks[1] != [2]:
        raise InputError(
            "not the model of a classifier",
            found=" → ".join(str([tuple(x.shape) for x in side]) for side in (inputs, outputs)),
            expected="x (batch, time, features), with lengths (batch,) or without, or token ids "
            "(batch, time) → (batch, labels)",
        )
    sizes = {x.input_dim for x in model.layers if isinstance(x, keras.layers.Embedding)}
    if vocabulary is not None and (not vocabulary.padded or sizes - {vocabulary.num_ids}):
        raise InputError(
            "a vocabulary that does not match the model",
            found=f"{vocabulary.num_ids} ids{'' if vocabulary.padded else ', none for padding'}",
            expected=f"{' or '.join(map(str, sizes))} ids of a Vocabulary(…, padded=True)",
        )


def _answered(predictor, found):
    labels = predictor.labels_of(found)
    said = {"labels": fill(labels, "")} if predictor.several else {"label": labels}
    return said | {"probabilities": found}
