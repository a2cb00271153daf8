"""What arrays must be to be trained on: every defect is named. No Keras here."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from kerasrnn.data.parts import real_steps
from kerasrnn.data.storage import FileArray, chunks
from kerasrnn.errors import InputError

_LARGEST = 1e18  # whose square float32 still holds
_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,8}")  # a label that is a number


def check_sequences(
    x: np.ndarray | FileArray, lengths: np.ndarray | None, where: str, what: str
) -> tuple[np.ndarray, np.ndarray | None]:
    """Sequences as (n, time, features) with zeros as padding, and lengths as int32 or None.

    where, what: the file and the part of it, for messages. Raises ``InputError``.
    """
    given = x
    if x.ndim == 2:
        x = x[:, :, None]  # one feature a step
    if x.ndim != 3 or x.dtype.kind not in "fiub":
        raise InputError(
            f"{what} sequences of the wrong shape or kind",
            where=where,
            found=f"x {given.shape} of {given.dtype}",
            expected="numbers (n, time, features)",
        )
    if 0 in x.shape:
        raise InputError("empty data", where=where, found=f"{what} x {x.shape}")
    if isinstance(x, FileArray):  # its padding is zeros already, as who wrote it knows
        lengths = None if lengths is None else _check_lengths(lengths, x, where, what)
        _check_values(x, lengths, where, what)
        return x, lengths
    if x.dtype.kind == "f" or x.dtype.itemsize > 4:
        with np.errstate(over="ignore"):  # what becomes infinite is named below
            x = x.astype("float32", copy=False)
    if lengths is not None:
        lengths = _check_lengths(lengths, x, where, what)
        real = real_steps(lengths, x.shape[1])
        x = np.where(real[:, :, None], x, np.zeros((), x.dtype))
    _check_values(x, lengths, where, what)
    return x, lengths


def has_missing(x: np.ndarray | FileArray, lengths: np.ndarray | None = None) -> bool:
    """Whether sequences (n, time, features) lack a value: NaN in one of their ``lengths`` steps.

    >>> x = np.array([[[1.0], [np.nan]]])
    >>> has_missing(x), has_missing(x, np.array([1]))
    (True, False)
    """
    if x.dtype.kind != "f":
        return False
    return any(np.isnan(steps).any() for steps in step_chunks(x, lengths))


def missing_error() -> InputError:
    """What is said of missing values for a model that does not fill them."""
    return InputError(
        "missing values for a model that was trained without any",
        found="NaN",
        fix="fill them in beforehand, or train it on data with missing values",
    )


def step_chunks(
    x: np.ndarray | FileArray, lengths: np.ndarray | None = None
) -> Iterator[np.ndarray]:
    """The real steps of sequences (n, time, features) in pieces, (steps, features) each."""
    for start, chunk in chunks(x):
        steps = chunk.reshape(-1, chunk.shape[2])
        if lengths is not None:
            steps = steps[real_steps(lengths[start : start + len(chunk)], chunk.shape[1]).ravel()]
        yield steps


def _check_values(x, lengths, where, what):
    for start, chunk in chunks(x):
        _check_chunk(chunk, start, where, what)
    if what != "training" or x.dtype.kind != "f":
        return
    seen = np.zeros(x.shape[2], bool)  # features of which there is any value
    for steps in step_chunks(x, lengths):
        seen |= ~np.isnan(steps).all(0)
        if seen.all():
            return
    raise InputError(
        "a feature without any value in the training part",
        where=where,
        found=f"feature {seen.argmin() + 1} of {len(seen)}",
        fix="leave it out",
    )


def _check_chunk(x, start, where, what):
    infinite = np.isinf(x) if x.dtype.kind == "f" else np.False_
    if infinite.any():
        index = tuple(int(i) for i in np.argwhere(infinite)[0])
        place = ", ".join(map(str, (start + index[0], *index[1:])))
        raise InputError(
            f"{what} sequences with values that are not finite",
            where=where,
            found=f"{x[index]} at x[{place}]",
            expected="numbers, NaN where one is missing",
        )
    largest = max(abs(float(reduce(x, axis=None))) for reduce in (np.fmax.reduce, np.fmin.reduce))
    if largest > _LARGEST:
        raise InputError(
            f"{what} sequences with values too large for float32 statistics",
            where=where,
            found=f"{largest:.3g}",
            expected=f"at most {_LARGEST:g}",
            fix="store them in another unit",
        )


def _check_lengths(lengths, x, where, what):
    n, time = x.shape[:2]
    if lengths.shape != (n,) or lengths.dtype.kind not in "iu":
        raise InputError(
            f"{what} lengths of the wrong shape or kind",
            where=where,
            found=f"{lengths.shape} of {lengths.dtype}",
            expected=f"integers ({n},)",
        )
    if lengths.min() < 1 or lengths.max() > time:
        raise InputError(
            f"{what} lengths out of range",
            where=where,
            found=f"{lengths.min()} to {lengths.max()}",
            expected=f"1 to {time} steps",
        )
    return lengths.astype("int32")


def encode_labels(
    targets: dict[str, np.ndarray], names: tuple[str, ...] | None, where: str
) -> tuple[tuple[str, ...], tuple[str, ...], dict[str, np.ndarray]]:
    """The class names, those of other parts only, and the targets as indices into both.

    Where all names are whole numbers, they are in the order of these: 10 after 9.

    Args:
        targets: of each part, ``"training"`` among them: integers or strings (n,).
        names: the class names, where the targets are indices into them.
        where: the source, for messages.

    Returns:
        labels, unseen: class names of the training part, and others. indices: int (n,) of each
        part; those from ``len(labels)`` on mean unseen ones.

    Raises:
        InputError: targets that are no labels, fewer than two classes, indices outside the
            named classes, or a part without any label of the training part.
    """
    targets = {part: _flatten_targets(y, where) for part, y in targets.items()}
    if names is not None:
        _check_indices(names, targets.values(), where)
        return names, (), targets
    targets = _alike(targets)
    classes = np.unique(targets["training"])
    if len(classes) < 2:
        raise InputError(
            "only one class", where=where, found=repr(str(classes[0])), expected="two or more"
        )
    unseen = np.setdiff1d(np.concatenate([*targets.values()]), classes)
    for part, y in targets.items():
        if np.isin(y, unseen).all():
            raise InputError(
                f"a {part} part without any label of the training part",
                where=where,
                found=repr(str(unseen[0])),
                expected=f"one of {len(classes)}, such as {str(classes[0])!r}",
            )
    indices = {}
    for part, y in targets.items():
        known = np.searchsorted(classes, y)
        indices[part] = np.where(
            np.isin(y, unseen), len(classes) + np.searchsorted(unseen, y), known
        )
    labels, others = (tuple(str(label) for label in found) for found in (classes, unseen))
    return labels, others, indices


def check_numbers(y: np.ndarray, names: tuple[str, ...], where: str, what: str) -> np.ndarray:
    """Numbers to predict as float32 (n, targets). Raises ``InputError``."""
    y = y[:, None] if y.ndim == 1 else y
    if y.ndim != 2 or y.shape[1] != len(names) or y.dtype.kind not in "fiub":
        raise InputError(
            f"{what} targets of the wrong shape or kind",
            where=where,
            found=f"y {y.shape} of {y.dtype}",
            expected=f"numbers (n, {len(names)})",
        )
    y = y.astype("float32")
    if not np.isfinite(y).all():
        row, column = np.argwhere(~np.isfinite(y))[0]
        raise InputError(
            f"a {what} target that is not finite",
            where=where,
            found=f"{y[row, column]} in {names[column]} of sequence {row}",
            fix="leave such sequences out",
        )
    return y


def _alike(targets):
    """Labels of all parts as numbers where all are whole ones, and else as strings."""
    names = [np.unique(y) for y in targets.values() if y.dtype.kind == "U"]
    if not names:
        return targets
    kind = int if all(map(_WHOLE.fullmatch, np.concatenate(names))) else str
    return {part: y.astype(kind) for part, y in targets.items()}


def _check_indices(labels, targets, where):
    if len(set(labels)) < max(len(labels), 2):
        raise InputError("class names that repeat, or fewer than two", where=where, found=labels)
    for y in targets:
        integers = y.dtype.kind in "iu"
        if not integers or y.min() < 0 or y.max() >= len(labels):
            raise InputError(
                "a label outside the classes",
                where=where,
                found=f"y from {y.min()} to {y.max()}" if integers else f"y of {y.dtype}",
                expected=f"indices 0 to {len(labels) - 1} into 'labels'",
            )


def _flatten_targets(y, where):
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise InputError(
            "targets of the wrong shape",
            where=where,
            found=f"y {y.shape}",
            expected="(n,), one label for each sequence",
            fix="for one-hot targets store y.argmax(-1)" if y.ndim == 2 else None,
        )
    if not len(y):
        raise InputError("empty data", where=where, found="no labels")
    if y.dtype.kind == "f":
        with np.errstate(invalid="ignore"):  # of NaN and what is infinite
            whole = y.astype(int)
        if (whole != y).any():
            raise InputError(
                "targets that are not labels",
                where=where,
                found=y[whole != y][0],
                expected="integers or strings",
            )
        y = whole
    if y.dtype.kind not in "iubU":
        raise InputError("targets of an unknown kind", where=where, found=y.dtype)
    return y
