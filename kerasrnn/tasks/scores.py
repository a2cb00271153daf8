"""Scores of a predictor on labelled data that it was not trained with."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from kerasrnn import evaluation
from kerasrnn.errors import InputError
from kerasrnn.tasks.base import report_labels


def label_scores(
    answers: Iterable[tuple[np.ndarray, Sequence | None]],
    labels: Sequence[str],
    separator: str | None,
    where: str,
    folder: Path | None,
) -> dict:
    """The metrics of probabilities and true labels, the scores of each label, and who is who.

    Args:
        answers: pairs of probabilities (n, labels) and n true labels, None where one is
            missing; of no labels at all None.
        labels: those of the predictor.
        separator: of several labels in one string, None where there is one each.
        where: the source, for messages.
        folder: for a picture of the confusion matrix, or None.

    Raises:
        InputError: the source has no labels.
    """
    found, truth = [], []
    for probabilities, given in answers:
        if given is None:
            raise InputError(
                "no labels to score by", where=where, fix="give data with the label column"
            )
        known = [row for row, label in enumerate(given) if label is not None]
        found.append(probabilities[known])
        truth += [str(given[row]) for row in known]
    found = np.concatenate(found) if found else np.zeros((0, len(labels)))
    if not len(found):
        raise InputError("no labels to score by", where=where, found="an empty column")
    sets = [[label for label in row.split(separator) if label] for row in truth]
    sets = sets if separator else [[label] for label in truth]
    names = all_labels(labels, sets, where)
    index = {name: number for number, name in enumerate(names)}
    if separator:
        y = np.zeros((len(sets), len(names)), "uint8")
        for row, label_set in zip(y, sets, strict=True):
            row[[index[label] for label in label_set]] = 1
        predicted = evaluation.chosen_labels(found, len(names))
    else:
        y, predicted = np.array([index[label] for (label,) in sets]), found.argmax(-1)
    metrics = {
        "test": evaluation.classification_metrics(y, found),
        "labels": report_labels(y, predicted, names, folder),
    }
    if not separator:
        matrix = evaluation.confusion(y, predicted, len(names))
        metrics["confusion"] = {"labels": [*names], "counts": matrix.tolist()}
    return metrics


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
