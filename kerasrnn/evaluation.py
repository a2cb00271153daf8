"""Metrics of predictions, by scikit-learn. No Keras here."""

from __future__ import annotations

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
