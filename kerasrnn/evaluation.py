"""Metrics of predictions, by scikit-learn. No Keras here."""

from __future__ import annotations

import math

import numpy as np
from sklearn.dummy import DummyClassifier
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    log_loss,
    precision_recall_fscore_support,
)


def classification_metrics(y, probabilities) -> dict[str, float]:
    """Loss (mean cross-entropy, nats), accuracy and macro F1.

    y: int (n,). probabilities: float (n, classes), each row adding up to 1.
    """
    classes = np.arange(probabilities.shape[1])
    predicted = probabilities.argmax(-1)
    probabilities = probabilities.astype("float64")
    probabilities /= probabilities.sum(-1, keepdims=True)
    return {
        "loss": float(log_loss(y, probabilities, labels=classes)),
        "accuracy": float(accuracy_score(y, predicted)),
        "macro_f1": float(f1_score(y, predicted, average="macro", zero_division=0)),
    }


def baseline_metrics(y_train, y_test, num_classes) -> dict[str, float]:
    """The metrics of always predicting the label frequencies of the training part."""
    dummy = DummyClassifier(strategy="prior").fit(np.zeros((len(y_train), 1)), y_train)
    probabilities = np.zeros((len(y_test), num_classes))
    probabilities[:, dummy.classes_] = dummy.predict_proba(np.zeros((len(y_test), 1)))
    return classification_metrics(y_test, probabilities)


def label_report(y, predicted, labels) -> dict[str, dict[str, float]]:
    """Precision, recall, F1 and support (number of true cases) of each label."""
    scores = precision_recall_fscore_support(
        y, predicted, labels=np.arange(len(labels)), zero_division=0
    )
    names = ("precision", "recall", "f1", "support")
    return {
        label: dict(zip(names, row, strict=True))
        for label, *row in zip(labels, *(column.tolist() for column in scores), strict=True)
    }


def confusion(y, predicted, num_classes) -> np.ndarray:
    """Counts (true label, predicted label), int (classes, classes)."""
    return confusion_matrix(y, predicted, labels=np.arange(num_classes))


def language_metrics(loss, unit="char") -> dict[str, float]:
    """What follows from a loss in nats per token: perplexity e^loss, and bits, loss / ln 2.

    unit: what a token is, ``"char"`` or ``"word"``.
    """
    bits = {"char": "bits_per_character", "word": "bits_per_word"}[unit]
    perplexity = math.exp(min(loss, 700.0))  # beyond which float64 ends
    return {"loss": loss, "perplexity": perplexity, bits: loss / math.log(2)}


def ngram_losses(train, validation, vocabulary_size, max_order=5) -> dict[int, float]:
    """Loss (nats per token) of smoothed n-gram models, ``{n: loss}`` for n = 1 … max_order.

    Counts come from ``train``; each token of ``validation`` is predicted once, from the n - 1
    tokens before it there. Orders are interpolated down to the uniform distribution
    (Witten & Bell 1991, method C): with c(h) occurrences of a context h, T(h) of them
    different, p(w | h) = (c(hw) + T(h) p(w | h')) / (c(h) + T(h)), h' one token shorter.

    train, validation: int (tokens,), all below vocabulary_size.
    """
    train, validation = train.astype("int64"), validation.astype("int64")
    contexts, asked = np.zeros_like(train), np.zeros_like(validation)  # numbered; -1 for none
    probability = np.full(len(validation), 1 / vocabulary_size)
    losses = {}
    for order in range(1, max_order + 1):
        grams = np.where(contexts < 0, -1, contexts * vocabulary_size + train)
        known, counts = np.unique(grams[grams >= 0], return_counts=True)
        heads, starts, kinds = np.unique(
            known // vocabulary_size, return_index=True, return_counts=True
        )
        totals = np.add.reduceat(counts, starts) if len(counts) else counts
        wanted = np.where(asked < 0, -1, asked * vocabulary_size + validation)
        gram, head = _positions(known, wanted), _positions(heads, asked)
        count = np.where(gram < 0, 0, np.append(counts, 0)[gram])
        total, kind = (np.append(values, 0)[head] for values in (totals, kinds))
        smoothed = (count + kind * probability) / np.maximum(total + kind, 1)
        probability = np.where(head < 0, probability, smoothed)
        losses[order] = float(-np.log(probability).mean())
        contexts = np.append(-1, _positions(known, grams)[:-1])
        asked = np.append(-1, gram[:-1])
    return losses


def _positions(known, wanted):
    """Where each wanted number is in the sorted known ones; -1 where it is not."""
    places = np.searchsorted(known, wanted)
    found = np.append(known, -1)[places] == wanted
    return np.where(found & (wanted >= 0), places, -1)
