import math
from collections import Counter

import numpy as np
import pytest

from kerasrnn.evaluation import (
    baseline_metrics,
    classification_metrics,
    confusion,
    entity_metrics,
    entity_report,
    is_entity_scheme,
    label_report,
    ngram_losses,
    outside_shift,
    tagging_baseline,
    tagging_metrics,
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


def test_the_tagging_baseline_is_each_words_most_frequent_label():
    train = [["a", "a", "b"], ["a", "b", "c"]]
    probabilities = tagging_baseline(train, np.array([0, 0, 1, 1, 2, 1]), [["a", "b"], ["x"]], 3)
    prior = np.array([3, 4, 2]) / 9
    np.testing.assert_allclose(probabilities[0], (np.array([2, 1, 0]) + prior) / 4)
    np.testing.assert_allclose(probabilities[1], (np.array([0, 1, 1]) + prior) / 3)
    np.testing.assert_allclose(probabilities[2], prior)
    assert probabilities.argmax(-1).tolist() == [0, 1, 1]  # of a tie, what is common elsewhere


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ("O B-PER I-PER", True),
        ("O I-PER", True),
        ("O B-a-b S-a-b E-a-b", True),
        ("U-X L-X O", True),
        ("O", False),
        ("O B-PER X-PER", False),
        ("O B-", False),
        ("NOUN VERB -LRB-", False),
    ],
)
def test_entity_schemes_are_known_by_their_labels(labels, expected):
    assert is_entity_scheme(labels.split()) is expected


def scored(true, predicted):
    """Entity metrics of sentences written as labels with blanks, sentences parted by ``|``."""
    sentences = [[part.split() for part in text.split("|")] for text in (true, predicted)]
    labels = sorted({label for part in sentences for sentence in part for label in sentence})
    lengths = [len(sentence) for sentence in sentences[0]]
    assert lengths == [len(sentence) for sentence in sentences[1]]
    y, found = (np.array([labels.index(w) for s in part for w in s]) for part in sentences)
    return (y, found, lengths, labels)


@pytest.mark.parametrize(
    ("true", "predicted", "counts"),  # entities right, predicted, true; by conlleval's rules
    [
        ("B-X I-X O B-Y", "B-X I-X O B-Y", (2, 2, 2)),
        ("B-X I-X O", "B-X O O", (0, 1, 1)),  # the end is wrong
        ("B-X I-X", "B-Y I-Y", (0, 1, 1)),  # the type is wrong
        ("B-X I-X", "I-X I-X", (1, 1, 1)),  # IOB1: I after O begins
        ("B-X B-X", "I-X I-X", (0, 1, 2)),
        ("B-X B-X", "I-X B-X", (2, 2, 2)),  # IOB1: B parts neighbours
        ("B-X I-X", "B-X I-Y", (0, 2, 1)),  # another type begins an entity
        ("B-X | B-X", "B-X | I-X", (2, 2, 2)),  # a sentence's end ends an entity
        ("B-X I-X | B-X", "B-X I-X | O", (1, 1, 2)),
        ("B-X I-X E-X", "I-X I-X I-X", (1, 1, 1)),
        ("S-X S-X B-X E-X", "S-X B-X I-X E-X", (1, 2, 3)),
        ("U-X B-X L-X O", "U-X I-X L-X O", (2, 2, 2)),
        ("E-X I-X", "E-X E-X", (2, 2, 2)),
        ("O O", "O I-X", (0, 1, 0)),
        ("B-X O", "O O", (0, 0, 1)),
    ],
)
def test_entities_are_counted_as_conlleval_counts(true, predicted, counts):
    right, found, real = counts
    metrics = entity_metrics(*scored(true, predicted))
    assert metrics["entity_precision"] == (right / found if found else 0)
    assert metrics["entity_recall"] == (right / real if real else 0)
    assert metrics["entity_f1"] == pytest.approx(2 * right / (found + real))


def conlleval(true, predicted):
    """Right, predicted and true entities by conlleval's walk over one sentence, label by label."""

    def ends(last, now):
        other = last[2:] != now[2:]
        return (last[0] in "BI" and now[0] in "BSO") or last[0] in "ES" or (last != "O" and other)

    def starts(last, now):
        other = last[2:] != now[2:]
        return now[0] in "BS" or (last[0] in "ESO" and now[0] in "EI") or (now != "O" and other)

    right = found = real = 0
    both, last = False, ("O", "O")
    for now in [*zip(true, predicted, strict=True), ("O", "O")]:
        ended = [ends(*pair) for pair in zip(last, now, strict=True)]
        started = [starts(*pair) for pair in zip(last, now, strict=True)]
        if both and any(ended):
            right += all(ended)
            both = False
        if both and now[0][2:] != now[1][2:]:
            both = False
        both = both or (all(started) and now[0][2:] == now[1][2:])
        real, found, last = real + started[0], found + started[1], now
    return right, found, real


@pytest.mark.parametrize("places", ["BI", "BIES"])
def test_random_labels_count_as_in_conllevals_walk(places):
    labels = ["O", *(f"{place}-{kind}" for place in places for kind in "XY")]
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 9, 200)
    y = rng.integers(0, len(labels), lengths.sum())
    predicted = np.where(rng.random(len(y)) < 0.8, y, rng.integers(0, len(labels), len(y)))
    names = [
        [[labels[i] for i in part] for part in np.split(ids, np.cumsum(lengths)[:-1])]
        for ids in (y, predicted)
    ]
    counts = [conlleval(*pair) for pair in zip(*names, strict=True)]
    right, found, real = np.sum(counts, 0)
    metrics = entity_metrics(y, predicted, lengths, labels)
    assert metrics["entity_precision"] == right / found
    assert metrics["entity_recall"] == right / real
    report = entity_report(y, predicted, lengths, labels)
    assert sum(row["support"] for row in report.values()) == real and list(report) == ["X", "Y"]


def test_tagging_metrics_count_tokens_and_entities_where_there_are_any():
    y, predicted, lengths, labels = scored("B-X I-X O | O", "B-X O O | O")
    metrics = tagging_metrics(y, np.eye(len(labels))[predicted], lengths, labels)
    assert metrics["accuracy"] == 0.75 and metrics["entity_f1"] == 0
    plain = ["loss", "accuracy", "macro_f1", "calibration_error"]
    assert list(tagging_metrics(Y, P, [4], ("a", "b", "c"))) == plain


def test_outside_is_shifted_until_most_entities_are_right():
    labels = ("B-X", "O")
    truth = np.tile([0, 1, 1, 1], 10)
    sure = np.where(truth == 0, 0.3, 0.05)  # all entities are found from a threshold below 0.3 on
    shift, metrics = outside_shift(truth, np.stack([sure, 1 - sure], 1), np.full(10, 4), labels)
    assert -2.75 <= shift <= -1 and metrics["entity_f1"] == 1
    sure = np.where(truth == 0, 0.9, 0.1)
    assert outside_shift(truth, np.stack([sure, 1 - sure], 1), np.full(10, 4), labels)[0] == 0
