import math
from collections import Counter

import numpy as np
import pytest

from kerasrnn.evaluation import (
    baseline_metrics,
    classification_metrics,
    confusion,
    label_report,
    ngram_losses,
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


def witten_bell(train, history, token, size):
    """The same probability from dictionaries, one token at a time."""
    probability = 1 / size
    for length in range(len(history) + 1):
        context = tuple(history[len(history) - length :])
        grams = [train[i : i + length + 1] for i in range(len(train) - length)]
        follow = Counter(gram[-1] for gram in grams if tuple(gram[:-1]) == context)
        if follow:
            kinds, total = len(follow), sum(follow.values())
            probability = (follow[token] + kinds * probability) / (total + kinds)
    return probability


def test_ngram_losses_are_those_of_counting_by_hand():
    rng = np.random.default_rng(0)
    train, validation = rng.integers(0, 4, 60), rng.integers(0, 5, 30)
    losses = ngram_losses(train, validation, 5, max_order=4)
    for order, loss in losses.items():
        by_hand = [
            witten_bell(train.tolist(), validation[max(0, i - order + 1) : i].tolist(), token, 5)
            for i, token in enumerate(validation.tolist())
        ]
        assert loss == pytest.approx(-np.log(by_hand).mean()), order
    total = sum(witten_bell(train.tolist(), [1, 2], token, 5) for token in range(5))
    assert total == pytest.approx(1)


def test_longer_contexts_know_more_of_a_text_that_repeats():
    text = np.tile(np.array([1, 2, 3, 1, 2, 0]), 200).astype("uint8")
    losses = ngram_losses(text, text[:60], 4)
    assert losses[1] == pytest.approx(math.log(6) - (2 / 6) * 2 * math.log(2), abs=0.01)
    assert losses[5] < 0.1 < losses[2] < losses[1]
