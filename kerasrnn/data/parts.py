"""What all data has in common: its parts, padding, and which steps are real. No Keras here."""

from __future__ import annotations

import os
import platform
import warnings
from collections.abc import Sequence
from functools import partial
from itertools import chain
from typing import ClassVar

import numpy as np

from kerasrnn.errors import InputError
from kerasrnn.runs import open_run
from kerasrnn.text import MASK, Vocabulary

TEST_SPLIT = 0.2  # cut from data that comes without a test part, always the same way
VALIDATION_SPLIT = 0.1  # cut from a training part of so many sequences or more, unless it is said
_ENOUGH = {"sequences": 1_000, "texts": 10_000}
_TEST_SEED = 0
_MOST_LABELS = 50  # of a distribution
_BINS = 30
_OF_PYTHON = ("english", "python")  # names of data that comes with Python itself


class ThreeParts:
    """Data in a training part and, where there are any, a validation and a test part.

    kind: of the data, where its task has other options for it (``options.OF_KIND``). no_folds: why
    it cannot be cut in folds, where it cannot.
    """

    kind: str | None = None
    no_folds: ClassVar[str] = ""

    reading: ClassVar[dict] = {}  # what the columns of its files mean

    def parts(self) -> dict:
        """The parts that there are, by name: training, validation, test."""
        names = {"training": "train", "validation": "validation", "test": "test"}
        parts = {name: getattr(self, field, None) for name, field in names.items()}
        return {name: part for name, part in parts.items() if part is not None}

    def sizes(self) -> dict[str, int]:
        """Number of sequences, sentences or tokens of each part."""
        return {name: len(part) for name, part in self.parts().items()}

    @property
    def origin(self) -> str:
        """What the data comes with if it changes with it, such as a version of Python, or ``""``.

        The names ``english`` and ``python`` mean other data after an upgrade of Python.
        """
        sources = [self.source] if isinstance(self.source, str) else self.source
        if not set(sources) & set(_OF_PYTHON):
            return ""
        return f"Python {platform.python_version()}'s standard library"

    @property
    def sources_again(self) -> list[str]:
        """What it can be loaded from again; nothing where it is in memory or standard input."""
        sources = [self.source] if isinstance(self.source, str) else [*self.source]
        return [] if "-" in sources or not all(sources) else sources

    def lengths_of(self, part) -> np.ndarray | None:
        """The steps or tokens of each sequence of a part, or None where there are no such."""
        return getattr(part, "lengths", None)

    def distribution(self) -> dict:
        """How often each label and each length occurs, as run.json holds it.

        ``{"labels": {part: {label: count}}, "lengths": {part: [edges, counts]}}``, the parts being
        train, validation and test: the 50 most frequent labels of the training part, and a
        histogram of lengths where they differ.
        """
        parts = {name.removesuffix("ing"): part for name, part in self.parts().items()}
        names, found = getattr(self, "labels", ()), {}
        if names:
            names = (*names, *self.unseen_labels)
            counts = {name: label_counts(part.y, len(names)) for name, part in parts.items()}
            often = np.sort(np.argsort(-counts["train"], kind="stable")[:_MOST_LABELS])
            found["labels"] = {
                part: {names[label]: int(of[label]) for label in often}
                for part, of in counts.items()
            }
        lengths = {name: self.lengths_of(part) for name, part in parts.items()}
        lengths = {name: of for name, of in lengths.items() if of is not None and len(of)}
        if lengths and len({n for of in lengths.values() for n in (of.min(), of.max())}) > 1:
            found["lengths"] = _histograms(lengths)
        return found

    def _sizes_in_words(self) -> str:
        return ", ".join(f"{size:,} {name}" for name, size in self.sizes().items() if size)


def label_counts(y: np.ndarray, number: int) -> np.ndarray:
    """How often each of ``number`` labels occurs in the ``y`` of a part, int (number,)."""
    if y.ndim == 1:
        return np.bincount(y, minlength=number)
    return np.pad(y.sum(0, dtype=int), (0, number - y.shape[1]))


def _histograms(lengths):
    """Edges and counts of the lengths of each part, in the same bins of whole width."""
    least, most = (int(of([of(some) for some in lengths.values()])) for of in (np.min, np.max))
    edges = np.arange(least, most + 2 + (width := -(-(most + 1 - least) // _BINS)), width)
    edges = edges[: 1 + np.searchsorted(edges, most, "right")]
    return {
        name: [edges.tolist(), np.histogram(some, edges)[0].tolist()]
        for name, some in lengths.items()
    }


def validation_share(number: int, what: str = "sequences") -> float:
    """The fraction to cut off so many training rows for validation, where it is not given.

    Few are all trained on: a validation part of them would say little, and they are missed.

    what: they are, ``"sequences"`` or ``"texts"``.

    >>> validation_share(50), validation_share(1437), validation_share(1437, "texts")
    (0, 0.1, 0)
    """
    return VALIDATION_SPLIT if number >= _ENOUGH[what] else 0


def cut_missing(parts: dict, options: dict, where: str, what: str, groups: Sequence | None = None):
    """Cut the test and the validation part that data lacks off its training part, in place.

    Of each class the same fraction, or one of each of which there are two; targets (n, …) are
    no classes, of them any is cut off. What is of one group stays together.

    Args:
        parts: ``"training"``, and perhaps the others: parts with ``y`` and ``select(indices)``.
        options: the ``validation_split`` (None for that of ``validation_share``) and ``seed``
            of the validation part; or ``fold``, the number of a fold, from 1, and how many there
            are: that fold is the validation part.
        where, what: the source, and what parts consist of, for messages.
        groups: n values, of each of the training part what it belongs to.

    Raises:
        InputError: nothing can be cut off.
    """
    kept = np.arange(len(parts["training"]))
    groups = None if groups is None else np.unique(groups, return_inverse=True)[1]

    def cut(part, choose):
        nonlocal kept
        whole = parts["training"]
        own = None if groups is None else groups[kept]
        left, off = choose(whole.y, own)
        if len(off):
            parts["training"], parts[part] = whole.select(left), whole.select(off)
            kept = kept[left]
        return len(off)

    if "test" not in parts and not cut("test", partial(_cut, TEST_SPLIT, _TEST_SEED)):
        raise InputError(
            f"too few {what} to cut a test part off",
            where=where,
            found=f"{len(kept)}{', one of each label' if parts['training'].y.ndim == 1 else ''}"
            + (", of one group" if groups is not None else ""),
            expected="at least two" + (" of one label" if parts["training"].y.ndim == 1 else ""),
            fix="add data",
        )
    split, seed = options["validation_split"], options["seed"]
    split = validation_share(len(kept), what) if split is None else split
    if options.get("fold"):
        check_folds(parts, where)
        cut("validation", partial(_cut_fold, options["fold"], seed, where))
    elif "validation" not in parts and split and not cut("validation", partial(_cut, split, seed)):
        warn_of_no_validation(where, what)


def check_folds(parts: dict, where: str):
    """Raise ``InputError`` where the data has a validation part, so that no fold can be one."""
    if "validation" in parts:
        raise InputError(
            "folds of data that has a validation part of its own",
            where=where,
            fix="leave --folds out; --seeds shows the spread",
        )


def _cut_fold(fold, seed, where, y, groups):
    """As ``_cut``: one of several folds is cut off, of each class the same fraction."""
    from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold

    (number, folds), indices = fold, np.arange(len(y))
    shuffled = {"shuffle": True, "random_state": seed}
    if groups is not None:
        cut = GroupKFold(folds).split(indices, groups=groups)
    else:
        kind = StratifiedKFold if y.ndim == 1 else KFold
        cut = kind(folds, **shuffled).split(indices, y if y.ndim == 1 else None)
    try:
        return list(cut)[number - 1]
    except ValueError as error:
        raise InputError("too few for so many folds", where=where, found=str(error)) from error


def _cut(fraction, seed, y, groups):
    """The indices of what is left and of what is cut off, none where nothing can be."""
    from sklearn.model_selection import GroupShuffleSplit, train_test_split

    indices = np.arange(len(y))
    members = indices if groups is None else groups
    units = np.unique(members)
    labels = y if y.ndim == 1 and groups is None else np.zeros(len(units), int)
    if len(units) < 2:
        return indices, indices[:0]
    try:
        if groups is not None:
            shuffled = GroupShuffleSplit(1, test_size=fraction, random_state=seed)
            return next(shuffled.split(indices, groups=groups))
        classes = y if y.ndim == 1 else None
        kept, cut = train_test_split(
            indices, test_size=fraction, stratify=classes, random_state=seed
        )
    except ValueError:  # a class of one, more classes than sequences to cut off, or none left
        order = np.random.default_rng(seed).permutation(np.arange(len(units)))
        classes = [order[labels[order] == label] for label in np.unique(labels)]
        numbers = [min(max(1, int(len(c) * fraction)), len(c) - 1) for c in classes]
        cut = np.concatenate([c[:number] for c, number in zip(classes, numbers, strict=True)])
        cut = np.flatnonzero(np.isin(members, units[cut]))
        kept = np.setdiff1d(indices, cut)
    return np.sort(kept), np.sort(cut)


def warn_of_unseen_labels(data: ThreeParts, where: str):
    """Name the labels that other parts hold but not the training part, and how often."""
    if not data.unseen_labels:
        return
    first, counts = len(data.labels), np.zeros(len(data.labels + data.unseen_labels), int)
    for part in data.parts().values():
        if part.y.ndim == 2:  # of several labels: 1 where it has one
            counts[: part.y.shape[1]] += part.y.sum(0, dtype=int)
        else:
            counts += np.bincount(part.y, minlength=len(counts))
    counts = counts[first:]
    counts = zip(data.unseen_labels, counts, strict=True)
    text = ", ".join(f"{label!r} ({count:,})" for label, count in counts)
    warnings.warn(
        f"{where}: labels that the training part lacks count as wrong: {text}", stacklevel=4
    )


def warn_of_no_validation(where: str, what: str = "sequences"):
    """Say that there are too few of what it is for a validation part."""
    warnings.warn(
        f"{where}: too few {what} for a validation part; the best epoch is chosen without one",
        stacklevel=4,
    )


def with_tokens_of(
    vocabulary: Vocabulary,
    run: str | os.PathLike | None,
    file: str = "vocabulary.json",
    max_size: int | None = None,
) -> Vocabulary:
    """A vocabulary and, after its own tokens, those of a run that a model starts from.

    The model then knows words that its own texts lack. run: None for none. file: of its tokens.
    max_size: the largest number of tokens. Raises ``InputError``.
    """
    if run is None or not ((run := open_run(run)).path / file).exists():
        return vocabulary
    known = [token for token in run.vocabulary(file).tokens if token not in vocabulary]
    tokens = [*vocabulary.tokens, *(token for token in known if token != MASK)]
    return Vocabulary(reserved=tokens[1:max_size], padded=vocabulary.padded)


def real_steps(lengths: Sequence[int] | np.ndarray, time: int | None = None) -> np.ndarray:
    """Which steps are real and not padding, bool (n, time).

    lengths: int (n,). time: number of steps, by default the longest length.

    >>> real_steps([1, 3]).astype(int).tolist()
    [[1, 0, 0], [1, 1, 1]]
    """
    lengths = np.asarray(lengths, "int64")
    return np.arange(lengths.max(initial=0) if time is None else time) < lengths[:, None]


def pad(rows: Sequence[Sequence], padding=0, dtype="int32") -> np.ndarray:
    """Rows of unequal length as one array (n, longest), padded on the right.

    >>> pad([[5], [6, 7]]).tolist()
    [[5, 0], [6, 7]]
    """
    real = real_steps([len(row) for row in rows])
    padded = np.full(real.shape, padding, dtype)
    padded[real] = list(chain.from_iterable(rows))
    return padded
