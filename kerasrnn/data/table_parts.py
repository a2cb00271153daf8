"""``read_tables``: the parts of tables, to train on. No Keras here."""

from __future__ import annotations

import warnings
from difflib import get_close_matches
from itertools import chain
from pathlib import Path

import numpy as np

from kerasrnn.data.columns import check_column
from kerasrnn.data.layouts import columns_of, read_rows, read_series
from kerasrnn.data.parts import real_steps
from kerasrnn.data.readers import Arrays, LabelledTexts, Rows, Sequences, TextParts, TimeSeries
from kerasrnn.data.readers.numbers import MISSING
from kerasrnn.data.readers.part_files import name_of, part_of
from kerasrnn.data.roles import Layout
from kerasrnn.data.storage import GrowingArray, StoredTexts
from kerasrnn.errors import InputError

_VALUES = 1 << 22  # of sequences that are padded at a time
_NUMBERS = ("number", "whole", "constant")  # kinds of labels where words of no value are none


def read_tables(tables: dict, layout: Layout) -> Arrays | TextParts | TimeSeries:
    """The parts of tables, to train on.

    Args:
        tables: of each part, ``"training"`` among them, a ``readers.tables.Table``.
        layout: how they are read, of the training table.

    Returns:
        What a reader gives. Sequences or texts without a label, or without the number to
        predict, are left out, with a warning; of a column that says the part of a row each goes
        there.

    Raises:
        InputError: a column that another part lacks, what is no number or time, two rows of one
            id and time, an id with two labels.
    """
    for part, table in tables.items():
        _check_columns(table, layout.reading, layout.columns, part)
    name = name_of(Path(tables["training"].path))
    if layout.kind == "series":
        return _time_series(name, tables, layout.reading)
    reading = layout.reading
    numbers = "label" in reading and layout.columns[reading["label"]].kind in _NUMBERS
    none = {None, *MISSING} if numbers else {None}
    parts = {}
    for part, table in tables.items():
        for found in read_rows(table, reading, rows=False):
            for name_, some in _by_part(found, part, table.path):
                parts.setdefault(name_, _Part(reading, none)).add(some)
    if "training" not in parts:
        raise InputError("no rows of the training part", where=tables["training"].path)
    _warn_of_left_out(parts, tables["training"].path)
    groups = parts["training"].groups or None
    if layout.kind == "texts":
        texts = {part: found.texts() for part, found in parts.items()}
        return TextParts(name, texts, reading, groups)
    arrays = {part: found.sequences() for part, found in parts.items()}
    return Arrays(
        name,
        arrays,
        targets=tuple(reading["target"]) if "target" in reading else None,
        reading=reading,
        groups=groups,
    )


def _time_series(name, tables, reading):
    if "validation" in tables:
        warnings.warn(
            f"{tables['validation'].path}: not read; the end of the series is the validation part",
            stacklevel=3,
        )
    series = read_series(tables["training"], reading)
    if "test" in tables:
        test = read_series(tables["test"], reading)
    else:
        series, test = _cut_by_column(series, reading.get("split"), tables["training"].path)
    return TimeSeries(
        name,
        series,
        tuple(reading["features"]),
        tuple(reading["target"]),
        tuple(reading.get("known", ())),
        test,
        reading,
    )


def _cut_by_column(series, column, where):
    """Series, and the rows at their ends that a column says are the test part, or None."""
    if any(one.splits is None for one in series):
        return series, None
    cut, said = ([], []), set()
    for one in series:
        parts = _parts_said(one.splits.tolist(), where)
        said |= {*parts}
        end = len(parts) - parts.count("test")
        if "test" in parts[:end]:
            text = f"{where}: {column!r} is not heeded: the test part of {one.id or 'the series'} "
            warnings.warn(f"{text}does not follow others", stacklevel=4)
            return series, None
        for rows, some in zip((slice(end), slice(end, None)), cut, strict=True):
            times = None if one.times is None else one.times[rows]
            some.append(Rows(one.values[rows], times, one.id))
    if "validation" in said:
        text = f"{where}: the validation part is the end of what is before the test part"
        warnings.warn(text, stacklevel=4)
    return cut if "test" in said else (series, None)


def _parts_said(values, where):
    """The parts that words of a column say. Raises ``InputError`` for one that says none."""
    said = [part_of(value or "") for value in values]
    if None in said:
        raise InputError(
            "a part that is none",
            where=where,
            found=repr(values[said.index(None)]),
            expected="train, validation or test",
        )
    return said


class _Part:
    """What is read of one part, batch by batch."""

    def __init__(self, reading, none):
        self.reading, self.none, self.x, self.size = reading, none, None, 0
        self.labels, self.lengths, self.groups = [], [], []
        self.inputs = StoredTexts()
        self.left_out, self.ends_early = 0, False

    def add(self, found):
        """Add some inputs; those that have no label are left out."""
        labels = found.labels
        if isinstance(labels, np.ndarray):
            real = ~np.isnan(labels).any(1)
        else:
            real = np.array([label not in self.none for label in labels], bool)
        self.left_out += int((~real).sum())
        found = found.where(np.flatnonzero(real)) if not real.all() else found
        self.size += len(found.inputs)
        self.labels.append(found.labels)
        first = len(self.groups)  # without a group each is one by itself
        self.groups += [group or f"\0{i}" for i, group in enumerate(found.groups or (), first)]
        if self.reading["layout"] == "texts":
            self.inputs.extend(found.inputs)
            return
        self._add_sequences(found)

    def _add_sequences(self, found):
        x, lengths = found.inputs, found.lengths
        self.ends_early |= lengths is not None
        lengths = np.full(len(x), x.shape[1], "int32") if lengths is None else lengths
        self.lengths.append(lengths)
        if self.x is None:
            self.x = GrowingArray(x.shape[2:], "float32")
        self.x.append(x[real_steps(lengths, x.shape[1])])

    def texts(self):
        return LabelledTexts(self.inputs, [*chain.from_iterable(self.labels)])

    def sequences(self):
        if "target" in self.reading:
            y = np.concatenate(self.labels)
        else:
            y = np.array([*chain.from_iterable(self.labels)])
        lengths = np.concatenate(self.lengths)
        unequal = self.ends_early or lengths.min() < lengths.max()
        return Sequences(self._padded(lengths), y, lengths if unequal else None)

    def _padded(self, lengths):
        """All sequences as one array (n, longest, features)."""
        steps, ends = self.x.array(), np.cumsum(lengths)
        padded = GrowingArray((int(lengths.max()), *steps.shape[1:]), "float32")
        number = max(1, _VALUES // int(np.prod(padded.row_shape)))
        for start in range(0, len(lengths), number):
            some = lengths[start : start + number]
            real = real_steps(some, padded.row_shape[0])
            x = np.zeros((*real.shape, *steps.shape[1:]), "float32")
            x[real] = steps[ends[start] - some[0] : ends[start + len(some) - 1]]
            padded.append(x)
        return padded.array()


def _by_part(found, part, where):
    """What is read, cut by the column that says the part of each: pairs (part, ``Batch``)."""
    if found.splits is None or part != "training":
        yield part, found
        return
    said = _parts_said(found.splits, where)
    for name in dict.fromkeys(said):
        yield name, found.where(np.array([i for i, other in enumerate(said) if other == name]))


def _warn_of_left_out(parts, where):
    left_out = sum(found.left_out for found in parts.values())
    if left_out:
        warnings.warn(f"{where}: {left_out:,} without a label or target are left out", stacklevel=3)
    if not all(found.size for found in parts.values()):
        raise InputError("no labels", where=where)


def _check_columns(table, reading, columns, part):
    """Raise ``InputError`` for a column that a part lacks; warn of one that is new there."""
    if part == "training":
        return
    for name in columns_of({role: v for role, v in reading.items() if role != "split"}):
        check_column(name, table.columns, table.path, f"the {part} part")
    new = [name for name in table.columns if name not in columns]
    if new and table.header:
        close = get_close_matches(new[0], columns, 1)
        near = f"; the training part has {close[0]!r}" if close else ""
        warnings.warn(f"{table.path}: a column that is not read: {new[0]!r}{near}", stacklevel=4)
