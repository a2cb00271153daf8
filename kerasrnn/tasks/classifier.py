"""The classifier: one label for each sequence."""

from __future__ import annotations

import os
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from kerasrnn import evaluation, layers
from kerasrnn.data.batches import SequenceBatches
from kerasrnn.data.checks import has_missing, step_chunks
from kerasrnn.data.inputs import kept_columns, read_inputs
from kerasrnn.data.layouts import Batch
from kerasrnn.data.parts import pad, real_steps
from kerasrnn.data.sequences import Dataset, Part, load_dataset
from kerasrnn.errors import InputError
from kerasrnn.inference import text_ops
from kerasrnn.inference.calling import compiled, in_batches, probabilities
from kerasrnn.inference.exports import Export
from kerasrnn.inference.signatures import (
    Example,
    Servable,
    Signature,
    example_text,
    one_step_at_least,
    string_spec,
)
from kerasrnn.models import build_classifier
from kerasrnn.runs import Run
from kerasrnn.tasks import base
from kerasrnn.text import Vocabulary, tokens_of


class Classifier(base.Predictor):
    """Gives sequences, or texts, their labels.

    Args:
        model: a model of ``build_classifier``.
        labels: their names, in the order of the model's outputs.
        vocabulary: of a model that reads token ids, padded: the classifier then takes texts.
        level: what a token of a text is, ``"word"`` or ``"char"``.

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
    ):
        _check_model(model, vocabulary)
        base.check_labels(model, labels)
        self.model, self.labels = model, tuple(labels)
        self.vocabulary, self.tokens = vocabulary, tokens_of(level)
        self._shape = tuple(model.inputs[0].shape[1:])
        self._takes_lengths = len(model.inputs) == 2
        self._fills = any(isinstance(layer, layers.FillMissing) for layer in model.layers)
        self._call = compiled(model)

    @classmethod
    def _from_run(cls, run: Run):
        labels = run.labels()
        return cls(base.load_run_model(run, labels), labels)

    @classmethod
    def _from_export(cls, export: Export):
        return _ExportedClassifier(export)

    @property
    def reads_text(self) -> bool:
        """Whether it takes texts instead of sequences of numbers."""
        return self.vocabulary is not None

    def predict(self, x, lengths: np.ndarray | None = None) -> list[str]:
        """The likeliest label of each sequence; arguments as for ``predict_proba``."""
        return [self.labels[index] for index in self.predict_proba(x, lengths).argmax(-1)]

    def predict_proba(self, x, lengths: np.ndarray | None = None) -> np.ndarray:
        """Probabilities, float32 (n, classes).

        Args:
            x: raw sequences (n, time, features), or n texts where the classifier reads text.
            lengths: int (n,), the steps of each sequence before its padding.

        Raises:
            InputError: sequences that do not fit the model.
        """
        if self.reads_text:
            return in_batches(self._call, self._ids(x))
        fits = len(x.shape) == 3 and all(
            size in (None, n) for size, n in zip(self._shape, x.shape[1:], strict=True)
        )
        if not fits or (lengths is not None and not self._takes_lengths):
            raise InputError(
                "sequences that do not fit the model",
                found=f"(time, features) {x.shape[1:]}{'' if lengths is None else ' with lengths'}",
                expected=f"{self._shape}"
                f"{' with lengths' if self._takes_lengths else ', all of that length'}",
            )
        if not self._fills and has_missing(x, lengths):
            raise InputError(
                "missing values for a model that was trained without any",
                found="NaN",
                fix="fill them in beforehand, or train it on data with missing values",
            )
        inputs = [np.asarray(x, "float32")]
        if self._takes_lengths:
            full = np.full(len(x), x.shape[1])
            inputs.append(np.asarray(full if lengths is None else lengths, "int32"))
        return in_batches(self._call, *inputs)

    def _ids(self, texts):
        rows = [self.vocabulary.encode(self.tokens.split(text)) for text in texts]
        return pad(rows, 0, "int32")


class _ExportedClassifier(Classifier):
    def __init__(self, export):
        self.labels, inputs = export.labels, export.inputs()
        self.vocabulary = export.vocabulary() if "text" in inputs else None
        first = next(iter(inputs))
        self._shape = tuple(inputs[first]["shape"][1:])
        self._takes_lengths = "lengths" in inputs
        self._fills = export.reading().get("missing", False)

        def call(*arrays):
            return export.call(**dict(zip(inputs, arrays, strict=True)))["probabilities"]

        self._call = call

    def _ids(self, texts):
        return np.array(texts)  # the export reads them itself


class ClassifierTask(base.Task):
    """One label for each sequence of numbers."""

    name = "classifier"
    kind = "sequences"
    summary = "One label for each sequence."
    metrics = ("accuracy",)
    predictor = Classifier

    def load(self, *source: str, **options) -> Dataset:
        if len(source) != 1:
            raise InputError("several data sets for a classifier", found=" ".join(source))
        return load_dataset(*source, **options)

    def build(self, data: Dataset, settings: base.Settings) -> keras.Model:
        """Input shape, classes and scaling follow from the data."""
        x, lengths = data.train.x, data.train.lengths
        return build_classifier(
            (x.shape[1] if lengths is None else None, x.shape[2]),
            num_classes=len(data.labels),
            lengths=lengths is not None,
            scaling=scaling(data.train, data.one_scale),
            missing=data.missing,
            **settings.model,
        )

    def batches(self, data: Dataset, settings: base.Settings, seed: int):
        return SequenceBatches(data.train, settings.fit["batch_size"], seed)

    def artifacts(self, data: Dataset) -> dict:
        return {"labels.json": list(data.labels)}

    def validator(self, model, data: Dataset, settings: base.Settings):
        part = data.validation
        if part is None:
            return None
        classifier = Classifier(model, data.labels)
        return lambda: evaluation.classification_metrics(
            part.y, classifier.predict_proba(part.x, part.lengths)
        )

    def evaluate(self, model, data: Dataset, folder) -> dict:
        y, part = data.test.y, data.test
        predicted = Classifier(model, data.labels).predict_proba(part.x, part.lengths)
        labels = (*data.labels, *data.unseen_labels)
        return {
            "test": evaluation.classification_metrics(y, predicted),
            "baseline": evaluation.baseline_metrics(data.train.y, y, len(data.labels)),
            "labels": base.report_labels(y, predicted.argmax(-1), labels, folder),
        }

    def next_command(self, data: Dataset, run: Run) -> list[str]:
        return ["predict", str(run), data.source]

    def predictions(
        self, predictor: Classifier, inputs: Sequence[str], encoding: str | None
    ) -> base.Predictions:
        labels = predictor.labels

        def answers():
            parts = (part for source in inputs for part in _read(predictor, source, encoding))
            for part, kept in kept_columns(parts):
                yield kept, predictor.predict_proba(part.inputs, part.lengths)

        def columns(answer):
            kept, found = answer
            chosen = [labels[index] for index in found.argmax(-1)]
            rounded = [round(float(row.max()), 6) for row in found]
            return base.beside(kept, label=chosen, probability=rounded)

        def records(answer):
            kept, found = answer
            said = [dict(zip(labels, row, strict=True)) for row in found.tolist()]
            chosen = [labels[index] for index in found.argmax(-1)]
            return base.rows(base.beside(kept, label=chosen, probabilities=said))

        return base.Predictions(answers(), records, columns)

    def servable(self, predictor: Classifier) -> Servable:
        """``x`` (and ``lengths``, or ``text``, or ``tokens``) → ``label``, ``probabilities``."""
        model, names = predictor.model, tf.constant(list(predictor.labels))
        exported = layers.for_export(model)

        def answer(*inputs):
            found = probabilities(exported, inputs)
            label = tf.gather(names, tf.argmax(found, -1))
            return {"label": label, "probabilities": found}

        reads_floats = model.inputs[0].dtype == "float32"
        read = _float_signatures if reads_floats else _token_signatures
        signatures, examples, tables = read(predictor, answer)
        examples = [
            Example(name, inputs, _answered(predictor.labels, probabilities(model, as_read)))
            for name, inputs, as_read in examples
        ]
        reading = {"level": predictor.tokens.level} if tables else {}
        reading |= {"missing": True} if predictor._fills else {}
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


def _read(predictor, source, encoding):
    """The inputs of a file, a name, standard input or, where texts are read, a text itself."""
    if predictor.reads_text and source != "-" and not os.path.isfile(source):
        return iter([Batch([source])])
    return read_inputs(source, predictor.reading, encoding)


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


def scaling(part: Part, one_scale: bool) -> keras.layers.Normalization:
    """The layer that takes raw input to mean 0 and variance 1 over the real training steps.

    One mean and variance for all features where they are of one kind, else one for each; a
    feature that hardly varies in training is centred but not stretched. Missing values, NaN,
    stay out of both and stay missing.
    """
    axis = None if one_scale else 0

    def mean_of(value):
        """The mean of a function of the values, piece by piece, of those that are there."""
        total = number = 0
        for steps in step_chunks(part.x, part.lengths):
            total += np.nansum(value(steps), axis, dtype="float64")
            number += np.sum(~np.isnan(steps), axis)
        return total / np.maximum(number, 1)

    mean = mean_of(lambda steps: steps)
    variance = mean_of(lambda steps: np.square(steps - mean))
    variance = np.where(variance <= 1e-12 * mean**2, 1, variance)  # float32 rounding of a constant
    return keras.layers.Normalization(
        axis=None if one_scale else -1,
        mean=mean.tolist(),
        variance=variance.tolist(),
        name="scaling",
    )


def _answered(labels, found):
    found = np.asarray(found)
    return {"label": [labels[index] for index in found.argmax(-1)], "probabilities": found}


def _float_signatures(predictor, answer):
    """Signatures of raw sequences; examples as (signature, inputs, inputs of the model)."""
    model = predictor.model
    x = tf.TensorSpec((None, None, model.inputs[0].shape[2]), tf.float32, "x")
    lengths = tf.TensorSpec((None,), tf.int32, "lengths")

    def padded(x, lengths):
        return answer(one_step_at_least(x), lengths)

    def whole(x):
        return padded(x, tf.fill([tf.shape(x)[0]], tf.shape(x)[1]))

    values = _raw_values(model, (4, model.inputs[0].shape[1] or 6, x.shape[2]))
    if len(model.inputs) == 1:
        plain = Signature(lambda x: answer(one_step_at_least(x)), [x])
        return {"serving_default": plain}, [("serving_default", {"x": values}, [values])], ()
    steps = np.array([values.shape[1], 1, 0, 3], "int32")
    values[~real_steps(steps, values.shape[1])] = 1e6  # padding must not count
    inputs = {"x": values, "lengths": steps}
    full = [values[:1], steps[:1]]
    examples = [("serving_default", inputs, [values, steps]), ("whole", {"x": full[0]}, full)]
    signatures = {
        "serving_default": Signature(padded, [x, lengths]),
        "whole": Signature(whole, [x]),
    }
    return signatures, examples, ()


def _raw_values(model, shape):
    """Values of the size that the model's scaling expects."""
    values = np.random.default_rng(0).normal(size=shape)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization):
            values = values * np.sqrt(layer.variance) + layer.mean
    return np.array(values, "float32")  # a copy: what a tensor gives cannot be written to


def _token_signatures(predictor, answer):
    """Signatures of texts, or of token ids where there is no vocabulary."""
    vocabulary, tokens = predictor.vocabulary, predictor.tokens
    if vocabulary is None:
        ids = np.array([[1, 1, 1], [1, 0, 0]], "int32")
        spec = tf.TensorSpec((None, None), tf.int32, "tokens")
        signature = Signature(lambda tokens: answer(_right_padded(tokens)), [spec])
        return {"serving_default": signature}, [("serving_default", {"tokens": ids}, [ids])], ()
    table, ops = text_ops.lookup(vocabulary), text_ops.ops_of(tokens)

    def read(text):
        return answer(text_ops.ids(table, ops.split(text))[0])

    texts = [example_text(vocabulary, tokens, number) for number in (8, 3)]
    examples = [("serving_default", {"text": texts}, [predictor._ids(texts)])]
    return {"serving_default": Signature(read, [string_spec("text")])}, examples, (table,)


def _right_padded(tokens):
    gaps = tf.reduce_any((tokens[:, 1:] != 0) & (tokens[:, :-1] == 0))
    tf.debugging.Assert(~gaps, ["id 0 before a token: expected padding on the right only"])
    return tokens
