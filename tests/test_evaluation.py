import numpy as np
import pytest

from kerasrnn.evaluation import (
    baseline_metrics,
    classification_metrics,
    confusion,
    label_report,
)

Y = np.array([0, 0, 1, 2])
P = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.5, 0.3], [0.3, 0.3, 0.4]], "float32")


def test_metrics_are_those_of_a_count_by_hand():
    metrics = classification_metrics(Y, P)
    assert metrics["loss"] == pytest.approx(-np.log([0.7, 0.1, 0.5, 0.4]).mean(), rel=1e-5)
    assert metrics["accuracy"] == 0.75
    assert metrics["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)


def test_the_baseline_knows_the_label_frequencies_only():
    metrics = baseline_metrics(np.array([0, 0, 0, 1]), Y[:3], 2)
    assert metrics["accuracy"] == pytest.approx(2 / 3)
    assert metrics["loss"] == pytest.approx(-np.log([0.75, 0.75, 0.25]).mean())


def test_each_label_has_its_own_row():
    report = label_report(Y, P.argmax(-1), ("a", "accuracy", "c"))
    assert list(report) == ["a", "accuracy", "c"]
    assert report["a"] == {"precision": 1, "recall": 0.5, "f1": pytest.approx(2 / 3), "support": 2}


def test_confusion_counts_true_down_predicted_across():
    assert confusion(Y, P.argmax(-1), 3).tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 1]]
