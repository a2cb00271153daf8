"""Scores of labels, and of a predictor on labelled data that it was not trained with."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, islice
from pathlib import Path

import numpy as np

from kerasrnn import evaluation, plotting
from kerasrnn.errors import InputError
from kerasrnn.tasks import examples
from kerasrnn.tasks.base import Evaluation

_MOST_LABELS = 200  # of a confusion matrix in metrics.json


def label_scores(
    answers: Iterable[tuple[np.ndarray, Sequence | None, Callable[[int], dict]]],
    labels: Sequence[str],
    separator: str | None,
    where: str,
    folder: Path | None,
) -> Evaluation:
    """The metrics of probabilities and true labels, and the surest mistakes.

    Args:
        answers: probabilities (n, labels), n true labels, None where one is missing; of no
            labels at all None; and a function that shows an input (``examples.shown``).
        labels: those of the predictor.
        separator: of several labels in one string, None where there is one each.
        where: the source, for messages.
        folder: for a picture of the confusion matrix, or None.

    Raises:
        InputError: the source has no labels.
    """
    found, truth, surest = [], [], []
    for probabilities, given, show in answers:
        if given is None:
            raise InputError(
                "no labels to score by", where=where, fix="give data with the label column"
            )
        known = np.flatnonzero([label is not None for label in given])
        found.append(probabilities[known])
        some = [_split(str(given[row]), separator) for row in known]
        truth += some
        names = [*labels, *sorted(set(chain.from_iterable(some)) - set(labels))]
        wrong = examples.mistakes(
            _indices(some, names, separator), found[-1], names, _chosen(show, known)
        )
        surest += islice(wrong, examples.MISTAKES)
        surest = sorted(surest, key=lambda one: -one["probability"])[: examples.MISTAKES]
    found = np.concatenate(found) if found else np.zeros((0, len(labels)))
    if not len(found):
        raise InputError("no labels to score by", where=where, found="an empty column")
    names = all_labels(labels, truth, where)
    y = _indices(truth, names, separator)
    metrics = {"test": evaluation.classification_metrics(y, found)}
    metrics |= report_labels(y, found, names, folder)
    return Evaluation(metrics, {"mistakes": examples.kept(surest)})


def _split(label, separator):
    return [one for one in label.split(separator) if one] if separator else [label]


def _chosen(show, rows):
    """The function that shows the inputs of some rows."""
    return lambda place: show(rows[place])


def _indices(sets, names, separator):
    """Lists of labels as int (n,), of one each, or as 0 and 1 (n, names) of several."""
    index = {name: number for number, name in enumerate(names)}
    if not separator:
        return np.array([index[label] for (label,) in sets], int)
    y = np.zeros((len(sets), len(names)), "uint8")
    for row, label_set in zip(y, sets, strict=True):
        row[[index[label] for label in label_set]] = 1
    return y


def report_labels(
    y: np.ndarray, found: np.ndarray, labels: Sequence[str], folder: Path | None
) -> dict:
    """Scores of each label, the bins of the calibration error and the confusion matrix.

    y: int (n,); or 0 and 1 (n, labels), of which there is no such matrix. found: probabilities
    (n, classes), of the first labels. folder: for a picture of the matrix, or None.
    """
    several = y.ndim == 2
    predicted = evaluation.chosen_labels(found, len(labels)) if several else found.argmax(-1)
    report = {
        "labels": evaluation.label_report(y, predicted, labels),
        "calibration": evaluation.calibration(*evaluation.sureness(y, found)),
    }
    if several:
        return report
    matrix = evaluation.confusion(y, predicted, len(labels))
    if folder is not None:
        plotting.save(
            folder / "confusion.png", lambda ax: plotting.plot_confusion(matrix, labels, ax)
        )
    if len(labels) <= _MOST_LABELS:
        report["confusion"] = {"labels": [*labels], "counts": matrix.tolist()}
    return report


def all_labels(labels: Sequence[str], sets: Iterable[Sequence[str]], where: str) -> tuple[str, ...]:
    """The labels of a predictor and, after them, those that it never saw, which a warning names.

    sets: of each row a list of labels. where: the source.
    """
    counts = Counter(chain.from_iterable(sets))
    unseen = sorted(set(counts) - set(labels))
    if unseen:
        text = ", ".join(f"{label!r} ({counts[label]:,})" for label in unseen)
        warnings.warn(
            f"{where}: labels that training never saw count as wrong: {text}", stacklevel=3
        )
    return (*labels, *unseen)
