"""Metrics of predictions, by scikit-learn. No Keras here."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterable
from itertools import chain

import numpy as np
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    log_loss,
    precision_recall_fscore_support,
)

_BINS = 15  # of probabilities
_SHIFTS = np.arange(-4, 1.25, 0.25)  # in nats
_MOST_NGRAMS = 200_000  # of a text baseline
_MOST_TOKENS = 10_000_000  # that it learns from, about a minute's
_MOST_VALUES = 1 << 26  # of sequences among which the nearest is looked for
_MOST_PRODUCTS = 1e12  # of values with each other, about a minute's


def classification_metrics(y: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Loss (mean cross-entropy, nats), accuracy, macro F1 and calibration error.

    y: int (n,), or 0 and 1 (n, labels) where there may be several labels (``_several_metrics``).
    probabilities: float (n, classes), each row adding up to 1. A y of ``classes`` or more is a
    label that training never saw: it counts as wrong, and not in the loss, which would be
    infinite.

    >>> round(classification_metrics(np.array([0, 1]), np.array([[1, 0], [0.5, 0.5]]))["loss"], 4)
    0.3466
    """
    if y.ndim == 2:
        return _several_metrics(y, probabilities)
    classes = np.arange(probabilities.shape[1])
    predicted = probabilities.argmax(-1)
    probabilities = probabilities.astype("float64")
    probabilities /= probabilities.sum(-1, keepdims=True)
    seen = y < len(classes)
    loss = log_loss(y[seen], probabilities[seen], labels=classes) if seen.any() else math.inf
    return {
        "loss": float(loss),
        "accuracy": float(accuracy_score(y, predicted)),
        "macro_f1": float(f1_score(y, predicted, average="macro", zero_division=0)),
        "calibration_error": calibration_error(*sureness(y, probabilities)),
    }


def _several_metrics(y, probabilities):
    """Loss (mean binary cross-entropy, nats), accuracy, micro and macro F1, calibration error.

    A label is predicted from a probability of a half on. The accuracy is the share of rows that
    have all labels right. y may have more columns than probabilities: labels that training
    never saw, which count as wrong, and not in the loss.
    """
    predicted = chosen_labels(probabilities, y.shape[1])
    seen = y[:, : probabilities.shape[1]]
    right = np.where(seen == 1, probabilities, 1 - probabilities).astype("float64")
    return {
        "loss": float(-np.log(np.maximum(right, 1e-7)).mean()),
        "accuracy": float(accuracy_score(y, predicted)),
        "micro_f1": float(f1_score(y, predicted, average="micro", zero_division=0)),
        "macro_f1": float(f1_score(y, predicted, average="macro", zero_division=0)),
        "calibration_error": calibration_error(*sureness(y, probabilities)),
    }


def chosen_labels(probabilities: np.ndarray, num_labels: int | None = None) -> np.ndarray:
    """Which labels have a probability of a half or more, uint8 (n, labels).

    num_labels: columns of the result, where there are labels without a probability.
    """
    chosen = (probabilities >= 0.5).astype("uint8")
    missing = (num_labels or chosen.shape[1]) - chosen.shape[1]
    return np.pad(chosen, [(0, 0), (0, missing)])


def calibration_error(right: np.ndarray, sure: np.ndarray) -> float:
    """Expected calibration error (Guo et al. 2017, eq. 3): how far sureness is from accuracy.

    The mean over all cases of abs(accuracy - mean probability) in its bin, of 15 of equal width.

    right: bool (n,), whether each prediction is. sure: float (n,), its probability.

    >>> round(calibration_error(np.array([True, False]), np.array([0.9, 0.9])), 4)
    0.4
    """
    bins = calibration(right, sure)
    gaps = [abs(one["accuracy"] - one["confidence"]) * one["count"] for one in bins]
    return sum(gaps) / len(right)


def sureness(y: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether each prediction is right, bool (cases,), and its probability, float (cases,).

    y, probabilities: as of ``classification_metrics``. A case is a row, or where there may be
    several labels each label of a row.

    >>> right, sure = sureness(np.array([0, 1]), np.array([[0.9, 0.1], [0.75, 0.25]]))
    >>> right.tolist(), sure.tolist()
    ([True, False], [0.9, 0.75])
    """
    if y.ndim == 1:
        return y == probabilities.argmax(-1), probabilities.max(-1)
    right = (probabilities >= 0.5) == y[:, : probabilities.shape[1]]
    return right.ravel(), np.maximum(probabilities, 1 - probabilities).ravel()


def calibration(right: np.ndarray, sure: np.ndarray) -> list[dict]:
    """Mean probability, accuracy and number of cases of each bin of ``calibration_error``.

    Bins without a case are left out.

    >>> calibration(np.array([True, False]), np.array([0.875, 0.875]))
    [{'confidence': 0.875, 'accuracy': 0.5, 'count': 2}]
    """
    places = np.minimum((sure * _BINS).astype(int), _BINS - 1)
    counts = np.bincount(places, minlength=_BINS)
    sums = [np.bincount(places, values, _BINS) for values in (sure.astype("float64"), right)]
    return [
        {"confidence": float(sure / n), "accuracy": float(right / n), "count": int(n)}
        for sure, right, n in zip(*sums, counts, strict=True)
        if n
    ]


def baseline_metrics(y_train, y_test, num_classes) -> dict[str, float]:
    """The metrics of always predicting the label frequencies of the training part."""
    several = y_train.ndim == 2
    frequencies = y_train.mean(0) if several else np.bincount(y_train, minlength=num_classes)
    frequencies = frequencies if several else frequencies / len(y_train)
    return classification_metrics(y_test, np.tile(frequencies, (len(y_test), 1)))


def text_baseline(
    train_texts: Iterable[str],
    y_train,
    texts: Iterable[str],
    y_test,
    *,
    num_labels: int,
    level: str,
    num_tokens: int,
) -> dict:
    """The metrics of logistic regression on TF-IDF of n-grams, by scikit-learn.

    Texts are tokens joined by spaces, of which words and pairs of words are counted; or of
    level ``"char"`` characters, of which runs of up to five within words are. ``{"skipped":
    reason}`` where it would take much longer than a minute.

    num_tokens: those of the training part.
    """
    if num_tokens > _MOST_TOKENS:
        return {"skipped": f"{num_tokens:,} tokens are too many to count"}
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.pipeline import make_pipeline

    words = {"tokenizer": str.split, "token_pattern": None, "ngram_range": (1, 2)}
    ngrams = words if level == "word" else {"analyzer": "char_wb", "ngram_range": (1, 5)}
    counted = TfidfVectorizer(
        lowercase=False, sublinear_tf=True, max_features=_MOST_NGRAMS, **ngrams
    )
    regression = LogisticRegression(C=10, max_iter=1000, tol=1e-3)
    if y_train.ndim == 2:
        regression = OneVsRestClassifier(regression)
    with warnings.catch_warnings():  # of a label that all texts have, or none
        warnings.simplefilter("ignore")
        model = make_pipeline(counted, regression).fit(train_texts, y_train)
    found = model.predict_proba(texts)
    probabilities = np.zeros((len(found), num_labels))
    classes = np.arange(num_labels) if y_train.ndim == 2 else model.classes_
    probabilities[:, classes] = found
    return classification_metrics(y_test, probabilities)


def neighbour_baseline(x_train, y_train, x_test, y_test) -> dict:
    """Accuracy and macro F1 of the label of the nearest training sequence, by scikit-learn.

    Each feature has variance 1 over the training part, and padding is zeros. ``{"skipped":
    reason}`` where it would take much longer than a minute.

    x_train, x_test: (n, time, features); they may differ in time.
    """
    from sklearn.neighbors import KNeighborsClassifier

    size = np.prod(x_train.shape, dtype=float)
    products = size * len(x_test)
    if size > _MOST_VALUES or products > _MOST_PRODUCTS:
        return {"skipped": f"{len(x_train):,} × {len(x_test):,} sequences are too many to compare"}
    time = max(x_train.shape[1], x_test.shape[1])
    scale = np.nanstd(x_train[:], (0, 1), dtype="float64")
    flat = [
        np.nan_to_num(
            np.pad(x[:] / np.where(scale > 0, scale, 1), [(0, 0), (0, time - x.shape[1]), (0, 0)])
        )
        .reshape(len(x), -1)
        .astype("float32")
        for x in (x_train, x_test)
    ]
    nearest = KNeighborsClassifier(1, algorithm="brute").fit(flat[0], y_train)
    predicted = nearest.predict(flat[1])
    return {
        "accuracy": float(accuracy_score(y_test, predicted)),
        "macro_f1": float(f1_score(y_test, predicted, average="macro", zero_division=0)),
    }


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


def tagging_metrics(y, probabilities, lengths, labels) -> dict[str, float]:
    """Those of ``classification_metrics``, each token a case, and of ``entity_metrics``.

    The latter where the labels are an entity scheme.

    y: int (tokens,), all sentences one after the other. probabilities: float (tokens, labels).
    lengths: int (sentences,), the tokens of each. labels: their names.
    """
    metrics = classification_metrics(y, probabilities)
    if is_entity_scheme(labels):
        metrics |= entity_metrics(y, probabilities.argmax(-1), lengths, labels)
    return metrics


def tagging_baseline(train_tokens, y_train, tokens, num_labels) -> np.ndarray:
    """Probabilities (tokens, labels) from how often each word had each label in training.

    p(l | w) = (c(w, l) + p(l)) / (c(w) + 1), so that a known word gets its most frequent label
    and an unknown one that of most tokens; p(l) = (c(l) + 1) / (tokens + labels).

    train_tokens, tokens: lists of sentences, lists of words. y_train: int (training tokens,).
    """
    rows = {}
    train = [rows.setdefault(word, len(rows)) for word in chain.from_iterable(train_tokens)]
    counts = np.zeros((len(rows) + 1, num_labels))  # the last row is that of unknown words
    np.add.at(counts, (train, y_train), 1)
    prior = (counts.sum(0) + 1) / (counts.sum() + num_labels)
    table = (counts + prior) / (counts.sum(1, keepdims=True) + 1)
    return table[[rows.get(word, len(rows)) for word in chain.from_iterable(tokens)]]


def is_entity_scheme(labels) -> bool:
    """Whether all labels are ``O`` or say where in an entity of which type a token is.

    That is ``B-PER``, ``I-PER`` (IOB1, IOB2) and also ``E-PER``, ``S-PER`` (IOBES) or
    ``L-PER``, ``U-PER`` (BILOU).
    """
    typed = [label for label in labels if label != "O"]
    return bool(typed) and all(re.fullmatch("[BIESLU]-.+", label) for label in typed)


def entity_metrics(y, predicted, lengths, labels) -> dict[str, float]:
    """Precision, recall and F1 of entities, which are right if type and both ends are.

    They are found and counted as the shared tasks' ``conlleval`` does (Tjong Kim Sang &
    De Meulder 2003), which takes what is no proper sequence as it is: an ``I-`` after ``O`` or
    after another type begins an entity.

    y, predicted: int (tokens,). lengths: int (sentences,). labels: an entity scheme's.
    """
    scores = _entity_scores(_entities(y, lengths, labels), _entities(predicted, lengths, labels))
    return {f"entity_{name}": scores[name] for name in ("precision", "recall", "f1")}


def outside_shift(y, probabilities, lengths, labels) -> tuple[float, dict[str, float]]:
    """What to add to the logits of ``O`` for the highest F1 of entities, and their metrics then.

    Where most tokens are O a model finds few entities, each surely; with O a little less likely
    it finds more, and F1 is higher (Lipton et al. 2014 on thresholds). Tried are -4 to 1 nats;
    since the F1 of few entities jumps, the best has the highest mean with those around it.
    """
    outside = np.array([label == "O" for label in labels[: probabilities.shape[1]]])
    logits = np.log(np.maximum(probabilities, 1e-9))
    scores = [
        entity_metrics(y, (logits + shift * outside).argmax(-1), lengths, labels)
        for shift in _SHIFTS
    ]
    f1 = np.array([score["entity_f1"] for score in scores])
    around = np.convolve(np.pad(f1, 2, "edge"), (1, 2, 3, 2, 1), "valid")
    best = max(range(len(f1)), key=lambda i: (around[i], -abs(_SHIFTS[i])))
    return float(_SHIFTS[best]), scores[best]


def label_pairs(y, lengths, labels) -> np.ndarray:
    """Which label may follow which, bool (labels + 1, labels + 1); the last is a sentence's edge.

    One may if a pair like it is in y: with the same places (``B``, ``I``, …), and both of one
    type of entity or of two.
    """
    names = [*labels, ""]
    ends = np.cumsum(lengths)
    steps = np.insert(y.astype(int), np.append(0, ends), len(labels))

    def like(a, b):
        return names[a][:1], names[b][:1], names[a][2:] == names[b][2:]

    seen = {like(a, b) for a, b in {*zip(steps[:-1].tolist(), steps[1:].tolist(), strict=True)}}
    seen.add(like(-1, -1))  # what lies beyond an edge
    every = range(len(names))
    return np.array([[like(a, b) in seen for b in every] for a in every])


def entity_report(y, predicted, lengths, labels) -> dict[str, dict[str, float]]:
    """Precision, recall, F1 and support (number of true entities) of each type of entity."""
    true, found = _entities(y, lengths, labels), _entities(predicted, lengths, labels)
    types = sorted({label[2:] for label in labels if label != "O"})
    return {
        name: _entity_scores(*({e for e in part if e[2] == name} for part in (true, found)))
        for name in types
    }


def _entities(y, lengths, labels):
    """The entities as a set of (first token, last token, type).

    A token goes on with the entity of the token before, of the same sentence and type, unless
    it is B, S or U, or the one before is E, L, S or U.
    """
    types = [label[2:] for label in labels]
    place = np.array([label[0] for label in labels])[y]
    kind = np.array([types.index(name) for name in types])[y]
    sentence = np.repeat(np.arange(len(lengths)), lengths)
    inside = place != "O"
    goes_on = np.zeros(len(y), bool)
    goes_on[1:] = inside[1:] & inside[:-1] & ~np.isin(place[1:], list("BSU"))
    goes_on[1:] &= ~np.isin(place[:-1], list("ESLU"))
    goes_on[1:] &= (kind[1:] == kind[:-1]) & (sentence[1:] == sentence[:-1])
    begins = np.flatnonzero(inside & ~goes_on).tolist()
    ends = np.flatnonzero(inside & ~np.append(goes_on[1:], False)).tolist()
    return {(first, last, types[y[first]]) for first, last in zip(begins, ends, strict=True)}


def _entity_scores(true, found):
    right = len(true & found)
    return {
        "precision": right / max(len(found), 1),
        "recall": right / max(len(true), 1),
        "f1": 2 * right / max(len(true) + len(found), 1),
        "support": len(true),
    }


def confusion(y, predicted, num_classes) -> np.ndarray:
    """Counts (true label, predicted label), int (classes, classes)."""
    return confusion_matrix(y, predicted, labels=np.arange(num_classes))


def language_metrics(loss: float, bits: str = "bits_per_character") -> dict[str, float]:
    """What follows from a loss in nats per token: perplexity e^loss, and bits, loss / ln 2.

    bits: the name of the latter, such as ``text.CharacterTokens.bits``.

    >>> language_metrics(0.0)
    {'loss': 0.0, 'perplexity': 1.0, 'bits_per_character': 0.0}
    """
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
