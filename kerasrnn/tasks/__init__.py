"""The tasks, one row each: options and their defaults, model, batches, measurements, data.

``training`` and the command line know no task by name; they take what its row says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import keras
import numpy as np

from kerasrnn import evaluation, options, plotting
from kerasrnn.data.batches import HiddenTokens, Sequences, TaggedBatches, Windows
from kerasrnn.data.corpora import load_corpus
from kerasrnn.data.sentences import Sentences, load_sentences
from kerasrnn.data.sequences import Dataset, load
from kerasrnn.errors import InputError
from kerasrnn.inference.calling import compiled, in_batches
from kerasrnn.inference.states import CarriedState
from kerasrnn.models import build_classifier, build_generator, build_infiller, build_tagger
from kerasrnn.tasks.generator import TextLoss, Writer
from kerasrnn.tasks.infiller import hidden_loss
from kerasrnn.tasks.tagger import predict_labels
from kerasrnn.text import detokenize

_SAMPLE_LENGTH = 200  # tokens written while training
_SAMPLE_LINES = 5
_PROMPT_LENGTH = 20
_NGRAM_TOKENS = 1 << 23  # the baseline counts no more than these, to stay within memory


@dataclass(frozen=True)
class Task:
    """What sets one task apart.

    name: of the task. meaning: data → ``{file name: JSON value}``, what the model's numbers
    mean. build: (data, options of the model) → model. batches: (data, all options, seed) →
    the ``PyDataset`` of the training. fitted: (model, options) → the model to fit,
    sharing the weights. examine: (model, data, options) → a function that gives the validation
    metrics, or None. widen: (data, logs) → logs with what follows from them. assess: (model,
    data, folder) → what else goes into metrics.json, pictures drawn into the folder.
    sample: (model, data, options) → a function that writes a text to look at; or None. load:
    (*sources, **options) → the data. metrics: of Keras, for ``fit``.
    """

    name: str
    meaning: Callable
    build: Callable
    batches: Callable
    examine: Callable
    assess: Callable
    load: Callable
    metrics: tuple = ()
    fitted: Callable = lambda model, given: model
    widen: Callable = lambda data, logs: logs
    sample: Callable = lambda model, data, given: None

    def complete(self, given) -> tuple[dict, dict]:
        """The options of the training and of the model, with defaults for those not given.

        Raises ``InputError`` for an option that the task does not have.
        """
        tables = options.FIT[self.name], options.MODEL[self.name]
        strange = [name for name in given if not any(name in table for table in tables)]
        if strange:
            raise InputError(
                f"the {self.name} has no such option",
                found=", ".join(strange),
                expected=", ".join(tables[0] | tables[1]),
            )
        return tuple(
            {name: given.get(name, default) for name, default in table.items()} for table in tables
        )


# --- classifier ---------------------------------------------------------------------------


def _load_dataset(*source, **given) -> Dataset:
    if len(source) != 1:
        raise InputError("several data sets for a classifier", found=" ".join(source))
    return load(*source, **given)


def _build_classifier(dataset: Dataset, given) -> keras.Model:
    """Input shape, classes and scaling follow from the data."""
    x, lengths = dataset.train.x, dataset.train.lengths
    return build_classifier(
        (x.shape[1] if lengths is None else None, x.shape[2]),
        len(dataset.labels),
        lengths=lengths is not None,
        scaling=scaling(dataset),
        **given,
    )


def scaling(dataset: Dataset) -> keras.layers.Normalization:
    """The layer that takes raw input to mean 0 and variance 1 over the real training steps.

    One mean and variance for all features where they are of one kind, else one for each; a
    feature that hardly varies in training is centred but not stretched.
    """
    part = dataset.train
    steps = part.x.reshape(-1, part.x.shape[2])
    if part.lengths is not None:
        steps = steps[(np.arange(part.x.shape[1]) < part.lengths[:, None]).ravel()]
    axis = None if dataset.one_scale else 0
    mean, variance = steps.mean(axis, dtype="float64"), steps.var(axis, dtype="float64")
    variance = np.where(variance <= 1e-12 * mean**2, 1, variance)  # float32 rounding of a constant
    return keras.layers.Normalization(
        axis=None if dataset.one_scale else -1,
        mean=mean.tolist(),
        variance=variance.tolist(),
        name="scaling",
    )


def predict(model, x, lengths=None) -> np.ndarray:
    """Probabilities (n, classes) for raw sequences x (n, time, features).

    Raises ``InputError`` where x or lengths do not fit the model.
    """
    wants_lengths = len(model.inputs) == 2
    expected = tuple(model.inputs[0].shape[1:])
    fits = all(size in (None, found) for size, found in zip(expected, x.shape[1:], strict=True))
    if not fits or (lengths is not None and not wants_lengths):
        raise InputError(
            "sequences that do not fit the model",
            found=f"(time, features) {x.shape[1:]}{'' if lengths is None else ' with lengths'}",
            expected=f"{expected}{' with lengths' if wants_lengths else ', all of that length'}",
        )
    if wants_lengths and lengths is None:
        lengths = np.full(len(x), x.shape[1], "int32")
    inputs = [np.asarray(x, "float32")]
    if wants_lengths:
        inputs.append(np.asarray(lengths, "int32"))
    return in_batches(inputs, compiled(model))


def _predict_part(model, part):
    return predict(model, part.x, part.lengths)


def _examine_classifier(model, dataset, given):
    part = dataset.validation
    if part is None:
        return None
    return lambda: evaluation.classification_metrics(part.y, _predict_part(model, part))


def _assess_classifier(model, dataset, folder):
    y, probabilities = dataset.test.y, _predict_part(model, dataset.test)
    return {
        "test": evaluation.classification_metrics(y, probabilities),
        "baseline": evaluation.baseline_metrics(dataset.train.y, y, len(dataset.labels)),
        "labels": _report_labels(y, probabilities.argmax(-1), dataset.labels, folder),
    }


def _report_labels(y, predicted, labels, folder):
    """Scores of each label, and the confusion matrix as a picture in the folder."""
    matrix = evaluation.confusion(y, predicted, len(labels))
    plotting.save(folder / "confusion.png", lambda ax: plotting.plot_confusion(matrix, labels, ax))
    return evaluation.label_report(y, predicted, labels)


# --- tagger -------------------------------------------------------------------------------


def _build_tagger(data: Sentences, given) -> keras.Model:
    """Vocabularies and labels follow from the data; ids have one more for padding."""
    spelled = _spelled(data, given)
    return build_tagger(
        num_labels=len(data.labels),
        vocabulary_size=len(data.vocabulary) + 1,
        **given | {"characters": len(data.characters) + 1 if spelled else None},
    )


def _spelled(data, given):
    """Whether tokens are also composed from their characters: words, unless told otherwise."""
    return data.unit == "word" if given["characters"] is None else given["characters"]


def _tagged_batches(data, given, seed):
    return TaggedBatches(
        data, batch_size=given["batch_size"], characters=_spelled(data, given), seed=seed
    )


def _tagging_metrics(model, data, part):
    probabilities = predict_labels(model, part.tokens, data)
    return evaluation.tagging_metrics(part.y, probabilities, part.lengths, data.labels)


def _examine_tagger(model, data, given):
    part = data.validation
    return None if part is None else lambda: _tagging_metrics(model, data, part)


def _assess_tagger(model, data, folder):
    part, labels = data.test, data.labels
    predicted = predict_labels(model, part.tokens, data)
    guessed = evaluation.tagging_baseline(data.train.tokens, data.train.y, part.tokens, len(labels))
    metrics = {
        "test": evaluation.tagging_metrics(part.y, predicted, part.lengths, labels),
        "baseline": evaluation.tagging_metrics(part.y, guessed, part.lengths, labels),
        "labels": _report_labels(part.y, predicted.argmax(-1), labels, folder),
    }
    if evaluation.is_entity_scheme(labels):
        metrics["entities"] = evaluation.entity_report(
            part.y, predicted.argmax(-1), part.lengths, labels
        )
    return metrics


# --- generator and infiller ---------------------------------------------------------------


def _vocabulary_of(corpus):
    return {"vocabulary.json": list(corpus.vocabulary.tokens)}


def _with_perplexity(corpus, logs):
    return logs | evaluation.language_metrics(logs["loss"], corpus.unit)


def _corpus_batches(corpus, given, seed):
    names = ("steps", "batch_size", "sampling")
    return Windows(corpus, seed=seed, **{name: given[name] for name in names})


def _hidden_batches(corpus, given, seed):
    names = ("steps", "batch_size", "mask_rate", "mask_span")
    return HiddenTokens(corpus, seed=seed, **{name: given[name] for name in names})


def _carry(model, given):
    if given["sampling"] == "sequential":
        return CarriedState(model, given["batch_size"])
    return model


def _examine_generator(model, corpus, given):
    if not len(corpus.validation):
        return None
    loss = TextLoss(model)
    bounds = corpus.line_bounds(corpus.validation) if corpus.lines else None

    def examine():
        value = (
            loss.of_lines(corpus.validation, *bounds)
            if corpus.lines
            else loss.of_text(corpus.train, corpus.validation)
        )
        tokens = {"tokens": len(corpus.validation)}
        return evaluation.language_metrics(value, corpus.unit) | tokens

    return examine


def _examine_infiller(model, corpus, given):
    if not len(corpus.validation):
        return None

    def examine():
        names = ("steps", "mask_rate", "mask_span")
        loss = hidden_loss(model, corpus.validation, *(given[name] for name in names))
        return evaluation.language_metrics(loss, corpus.unit)

    return examine


def _assess_text(model, corpus, folder, max_order=5):
    """Smoothed n-grams that were counted in the training text, on the validation text."""
    if not len(corpus.validation):
        return {}
    losses = evaluation.ngram_losses(
        corpus.train[-_NGRAM_TOKENS:],
        corpus.validation[:_NGRAM_TOKENS],
        len(corpus.vocabulary),
        max_order,
    )
    best = min(losses, key=losses.get)
    return {
        "baseline": evaluation.language_metrics(losses[best], corpus.unit) | {"ngram": best},
        "ngrams": {str(order): loss for order, loss in losses.items()},
    }


def _sample(model, corpus, given):
    writer = Writer(
        model, corpus.vocabulary, corpus.unit, lines=corpus.lines, classic=corpus.options["classic"]
    )
    prompt, unknown = given["prompt"], "error"
    if prompt is None and corpus.lines:
        prompt = ""
    elif prompt is None:
        ids = corpus.validation if len(corpus.validation) else corpus.train
        tokens = corpus.vocabulary.decode(ids[:_PROMPT_LENGTH])
        prompt, unknown = detokenize(tokens, corpus.unit), "unk"
    samples = _SAMPLE_LINES if corpus.lines else 1

    def write():
        texts = writer.write(prompt, _SAMPLE_LENGTH, samples=samples, unknown=unknown)
        return "\n".join(prompt + text for text in texts)

    writer.stream(prompt, unknown=unknown)  # a bad prompt is named now, not epochs later
    return write


_ROWS = (
    Task(
        name="classifier",
        metrics=("accuracy",),
        meaning=lambda dataset: {"labels.json": list(dataset.labels)},
        build=_build_classifier,
        batches=lambda dataset, given, seed: Sequences(dataset.train, given["batch_size"], seed),
        examine=_examine_classifier,
        assess=_assess_classifier,
        load=_load_dataset,
    ),
    Task(
        name="tagger",
        metrics=("accuracy",),
        meaning=lambda data: {
            "labels.json": list(data.labels),
            "vocabulary.json": list(data.vocabulary.tokens),
            "characters.json": list(data.characters.tokens),
        },
        build=_build_tagger,
        batches=_tagged_batches,
        examine=_examine_tagger,
        assess=_assess_tagger,
        load=load_sentences,
    ),
    Task(
        name="generator",
        meaning=_vocabulary_of,
        build=lambda corpus, given: build_generator(len(corpus.vocabulary), **given),
        batches=_corpus_batches,
        fitted=_carry,
        examine=_examine_generator,
        widen=_with_perplexity,
        assess=_assess_text,
        sample=_sample,
        load=load_corpus,
    ),
    Task(
        name="infiller",
        meaning=_vocabulary_of,
        build=lambda corpus, given: build_infiller(len(corpus.vocabulary), **given),
        batches=_hidden_batches,
        examine=_examine_infiller,
        widen=_with_perplexity,
        assess=partial(_assess_text, max_order=1),  # more would need tokens that are hidden
        load=partial(load_corpus, task="infiller"),
    ),
)
TASKS = {row.name: row for row in _ROWS}
