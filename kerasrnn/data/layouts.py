"""From a table, read as its layout says, to the sequences, texts or series in it. No Keras here.

``read_tables`` reads the parts to train on, ``read_rows`` another file by a saved ``reading``.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kerasrnn.data.columns import check_column
from kerasrnn.data.readers import Arrays, LabelledTexts, Rows, Sequences, TextParts, TimeSeries
from kerasrnn.data.readers.part_files import name_of, part_of
from kerasrnn.data.roles import Layout
from kerasrnn.data.storage import GrowingArray
from kerasrnn.data.times import regular
from kerasrnn.errors import InputError


class Inputs(NamedTuple):
    """Some of what a table holds, as ``read_rows`` gives it.

    inputs: texts, list of n strings; sequences, float32 (n, time, features), NaN where missing
    and 0 after the end; or a list of ``Rows``. lengths: int32 (n,), or None where no sequence
    ends early, and of texts and series. labels: of each the label as a string, None where it is
    missing; or the numbers to predict, float64 (n, targets); None where the table has no such
    column. ids: a string for each, or None. groups, splits: as labels, or None where the reading
    has no such column. rows: the original columns, a ``pyarrow.Table`` of n rows (of a sequence
    of several rows the first one); None of series.
    """

    inputs: Any
    lengths: np.ndarray | None = None
    labels: Any = None
    ids: list | None = None
    groups: list | None = None
    splits: list | None = None
    rows: Any = None

    def where(self, kept: np.ndarray) -> Inputs:
        """Those of some indices, without the original columns."""
        return Inputs(*(_take(value, kept) for value in self[:-1]))


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
    label = reading.get("label")
    if label and layout.columns[label].kind in ("whole", "row"):
        reading = reading | {"whole": True}
    parts = {}
    for part, table in tables.items():
        for found in read_rows(table, reading, rows=False):
            for name_, some in _by_part(found, part, table.path):
                parts.setdefault(name_, _Part(reading)).add(some)
    if "training" not in parts:
        raise InputError("no rows of the training part", where=tables["training"].path)
    _warn_of_left_out(parts, tables["training"].path)
    if layout.kind == "texts":
        texts = {part: found.texts() for part, found in parts.items()}
        return TextParts(name, texts, reading)
    unequal = any(found.ends_early for found in parts.values())
    arrays = {part: found.sequences(unequal) for part, found in parts.items()}
    return Arrays(
        name,
        arrays,
        targets=tuple(reading["target"]) if "target" in reading else None,
        one_scale=layout.layout == "wide",
        reading=reading,
    )


def read_rows(table, reading: dict, *, rows: bool = True) -> Iterator[Inputs]:
    """What another table holds, by the ``reading`` of a run; for predict and evaluate.

    Args:
        table: a ``readers.tables.Table`` of the file.
        reading: as ``Arrays``, ``TextParts`` and ``TimeSeries`` have it, with a layout. The
            columns of label, target, group and split may be missing in the table; of a file
            without header whose label was in the first column too.
        rows: whether the original columns are wanted.

    Yields:
        ``Inputs``: batches in the order of the file where a row is a text or sequence (layouts
        ``"texts"`` and ``"wide"``), in constant memory; else all at once, ids in the order of
        their first row.

    Raises:
        InputError: a missing column, named with its nearest neighbours, or a bad value.
    """
    reading = _shifted(table, reading)
    for role in ("text", "id", "time", "features", "known"):
        value = reading.get(role, [])
        for name in value if isinstance(value, list) else [value]:
            check_column(name, table.columns, table.path, f"the {role} of the model")
    if reading["layout"] in ("texts", "wide"):
        yield from _row_by_row(table, reading, rows)
    elif reading["layout"] == "long":
        yield _by_id(table, reading, rows)
    else:
        yield Inputs(_read_series(table, reading))


def _row_by_row(table, reading, rows):
    first = 0
    columns = None if rows else _columns(table, reading)
    for batch in table.batches(columns):
        if reading["layout"] == "texts":
            inputs, lengths = [v or "" for v in table.strings(batch, reading["text"])], None
        else:
            inputs, lengths = _steps(table, batch, reading["features"], first)
        yield Inputs(
            inputs,
            lengths,
            _labels(table, batch, reading, first),
            *(_strings(table, batch, reading, role) for role in ("id", "group", "split")),
            batch if rows else None,
        )
        first += batch.num_rows


def _steps(table, batch, names, first):
    """Rows as sequences (n, time, 1); what is missing at the end of a row is not there."""
    x = np.empty((batch.num_rows, len(names), 1), "float32")
    for step, name in enumerate(names):
        x[:, step, 0] = table.numbers(batch, name, first)
    real = ~np.isnan(x[:, ::-1, 0])
    ends = np.where(real.any(1), real.argmax(1), len(names))
    lengths = (len(names) - ends).astype("int32")
    if (lengths == 0).any():
        row = first + int(np.argmin(lengths))
        raise InputError("a row without a value", where=table.line(row), expected="a sequence")
    if not ends.any():
        return x, None
    x[np.arange(len(names)) >= lengths[:, None]] = 0
    return x, lengths


def _by_id(table, reading, rows):
    """The sequences of a table with a step a row, in the order of the first row of each."""
    found = _Steps(table, reading, rows)
    inserted, sequences = 0, []
    for own in found.groups:
        values = found.values[own]
        times = None if found.times is None else found.times[own]
        filled, _ = regular(values, times, table.path)
        inserted += len(filled) - len(values)
        sequences.append(filled)
    if inserted:
        warnings.warn(
            f"{table.path}: {inserted:,} rows are missing between the times of "
            f"{reading['time']!r}, and count as missing values",
            stacklevel=3,
        )
    lengths = np.array([len(sequence) for sequence in sequences], "int32")
    x = np.zeros((len(sequences), lengths.max(), len(reading["features"])), "float32")
    for row, sequence in zip(x, sequences, strict=True):
        row[: len(sequence)] = sequence
    equal = len(lengths) and lengths.min() == lengths.max()
    return Inputs(
        x,
        None if equal else lengths,
        found.one_each("label", "target"),
        [found.ids[own[0]] for own in found.groups],
        found.one_each("group"),
        found.one_each("split"),
        found.rows.take(found.firsts) if rows else None,
    )


class _Steps:
    """The columns of a table with a step a row, and the rows of each id in the order of time.

    values: float32 (rows, features). times: or None. ids: a string a row. groups: of each id the
    indices of its rows. firsts: the first row of each id in the file.
    """

    def __init__(self, table, reading, rows=False):
        import pyarrow

        self.table, self.reading = table, reading
        self.values, times, ids, kept, first = [], [], [], [], 0
        self.others = {role: [] for role in ("label", "target", "group", "split")}
        names = reading["features"]
        for batch in table.batches(None if rows else _columns(table, reading)):
            columns = [table.numbers(batch, name, first) for name in names]
            self.values.append(np.stack(columns, axis=1).astype("float32"))
            if "time" in reading:
                times.append(table.times(batch, reading["time"], first))
            if "id" in reading:
                ids += table.strings(batch, reading["id"])
            self.others["label"].append(_labels(table, batch, reading, first))
            for role in ("group", "split"):
                self.others[role].append(_strings(table, batch, reading, role))
            kept += [batch] if rows else []
            first += batch.num_rows
        if not first:
            raise InputError("empty data", where=table.path, found="no rows")
        self.values = np.concatenate(self.values)
        self.times = np.concatenate(times) if times else None
        self.ids = ids or [""] * first
        self.rows = pyarrow.Table.from_batches(kept) if rows else None
        self.groups, self.firsts = self._group()

    def _group(self):
        number = {}
        codes = np.array([number.setdefault(id, len(number)) for id in self.ids], "int64")
        order = (
            np.lexsort((self.times, codes))
            if self.times is not None
            else codes.argsort(kind="stable")
        )
        ends = np.flatnonzero(np.diff(codes[order])) + 1
        groups = np.split(order, ends)
        self._check_times(codes, order)
        return groups, [int(own.min()) for own in groups]

    def _check_times(self, codes, order):
        """Raise ``InputError`` for a row without a time, and for two of one id and time."""
        if self.times is None:
            return
        column = self.reading["time"]
        none = np.isnan(self.times) if self.times.dtype.kind == "f" else np.isnat(self.times)
        if none.any():
            where = self.table.line(int(none.argmax()))
            raise InputError(f"a row without a time in {column!r}", where=where)
        times, ids = self.times[order], codes[order]
        same = (times[1:] == times[:-1]) & (ids[1:] == ids[:-1])
        if same.any():
            row = int(max(order[1:][same][0], order[:-1][same][0]))
            raise InputError(
                f"two rows of one time{' and id' if 'id' in self.reading else ''}",
                where=self.table.line(row),
                found=" ".join(filter(None, [self.ids[row], str(self.times[row])])),
                fix="" if "id" in self.reading else "name the column of the series by --id",
            )

    def one_each(self, *roles):
        """The value of each id, which all its rows must have."""
        found = [value for value in self.others[roles[0]] if value is not None]
        if not found:
            return None
        numbers = isinstance(found[0], np.ndarray)
        values = np.concatenate(found) if numbers else np.array(sum(found, []), object)
        for own in self.groups:
            other = values[own] != values[own[0]]
            if numbers:
                other = (other & ~(np.isnan(values[own]) & np.isnan(values[own[0]]))).any(1)
            if other.any():
                row = int(own[other.argmax()])
                role = next(role for role in roles if role in self.reading)
                raise InputError(
                    f"an id with two values of its {role}",
                    where=self.table.line(row),
                    found=f"{values[own[0]]} and {values[row]} of {self.ids[row]}",
                    expected="one for each id",
                )
        values = values[[own[0] for own in self.groups]]
        return values if numbers else values.tolist()


def _read_series(table, reading):
    """The series of a table: ``Rows`` of each id in the order of time."""
    found = _Steps(table, reading)
    return [
        Rows(
            found.values[own].astype("float64"),
            None if found.times is None else found.times[own],
            found.ids[own[0]] or "",
        )
        for own in found.groups
    ]


def _time_series(name, tables, reading):
    if "validation" in tables:
        warnings.warn(
            f"{tables['validation'].path}: not read; the end of the series is the validation part",
            stacklevel=3,
        )
    test = tables.get("test")
    return TimeSeries(
        name,
        _read_series(tables["training"], reading),
        tuple(reading["features"]),
        tuple(reading["target"]),
        tuple(reading.get("known", ())),
        None if test is None else _read_series(test, reading),
        reading,
    )


class _Part:
    """What is read of one part, batch by batch."""

    def __init__(self, reading):
        self.reading, self.x, self.size = reading, None, 0
        self.inputs, self.labels, self.lengths, self.groups = [], [], [], []
        self.left_out, self.ends_early = 0, False

    def add(self, found):
        """Add some inputs; those that have no label are left out."""
        labels = found.labels
        if isinstance(labels, np.ndarray):
            real = ~np.isnan(labels).any(1)
        else:
            real = np.array([label is not None for label in labels], bool)
        self.left_out += int((~real).sum())
        found = found.where(np.flatnonzero(real)) if not real.all() else found
        self.size += len(found.inputs)
        self.labels.append(found.labels)
        self.groups += found.groups or []
        if self.reading["layout"] == "texts":
            self.inputs += found.inputs
            return
        self._add_sequences(found)

    def _add_sequences(self, found):
        x, lengths = found.inputs, found.lengths
        if self.x is None:
            self.x = GrowingArray(x.shape[1:], "float32")
        self.ends_early |= lengths is not None
        self.lengths.append(np.full(len(x), x.shape[1], "int32") if lengths is None else lengths)
        self.x.append(x)

    def _groups(self):
        return self.groups or None

    def texts(self):
        labels = [label for some in self.labels for label in some]
        return LabelledTexts(self.inputs, labels, self._groups())

    def sequences(self, unequal):
        """unequal: whether sequences of any part end early."""
        if "target" in self.reading:
            y = np.concatenate(self.labels)
        else:
            y = np.array([label for some in self.labels for label in some])
            y = y.astype(int) if self.reading.get("whole") else y
        lengths = np.concatenate(self.lengths) if unequal else None
        return Sequences(self.x.array(), y, lengths, self._groups())


def _by_part(found, part, where):
    """What is read, cut by the column that says the part of each: pairs (part, ``Inputs``)."""
    if found.splits is None or part != "training":
        yield part, found
        return
    said = [part_of(value or "") for value in found.splits]
    for name in dict.fromkeys(said):
        if name is None:
            value = found.splits[said.index(None)]
            raise InputError(
                "a part that is none",
                where=where,
                found=repr(value),
                expected="train, validation or test",
            )
        yield name, found.where(np.array([i for i, other in enumerate(said) if other == name]))


def _warn_of_left_out(parts, where):
    left_out = sum(found.left_out for found in parts.values())
    if left_out:
        warnings.warn(f"{where}: {left_out:,} without a label or target are left out", stacklevel=3)
    if not all(found.size for found in parts.values()):
        raise InputError("no labels", where=where)


def _labels(table, batch, reading, first):
    """Labels as strings, numbers to predict as float64 (n, targets), or None."""
    if "target" in reading:
        if not set(reading["target"]) <= {*table.columns}:
            return None
        return np.stack([table.numbers(batch, name, first) for name in reading["target"]], axis=1)
    labels = _strings(table, batch, reading, "label")
    if labels is None:
        return None
    labels = [label if label is None or label.strip() else None for label in labels]
    if reading.get("whole"):
        numbers = table.numbers(batch, reading["label"], first)
        labels = [
            None if np.isnan(v) else f"{v:.0f}" if v.is_integer() else f"{v}" for v in numbers
        ]
    return labels


def _strings(table, batch, reading, role):
    name = reading.get(role)
    return table.strings(batch, name) if name in table.columns else None


def _columns(table, reading):
    """The columns of a reading that a table has."""
    values = [value for role, value in reading.items() if role not in ("layout", "whole")]
    names = [n for v in values for n in (v if isinstance(v, list) else [v])]
    return [name for name in dict.fromkeys(names) if name in table.columns]


def _check_columns(table, reading, columns, part):
    """Raise ``InputError`` for a column that a part lacks; warn of one that is new there."""
    if part == "training":
        return
    for name in _columns_of(reading):
        check_column(name, table.columns, table.path, f"the {part} part")
    new = [name for name in table.columns if name not in columns]
    if new and table.header:
        from difflib import get_close_matches

        close = get_close_matches(new[0], columns, 1)
        near = f"; the training part has {close[0]!r}" if close else ""
        warnings.warn(f"{table.path}: a column that is not read: {new[0]!r}{near}", stacklevel=4)


def _columns_of(reading):
    values = [v for role, v in reading.items() if role not in ("layout", "whole", "split")]
    return [name for value in values for name in (value if isinstance(value, list) else [value])]


def _shifted(table, reading):
    """The reading for a table without header that lacks the label in its first column."""
    names = reading.get("features", [])
    shift = reading["layout"] == "wide" and not table.header and reading.get("label") == "1"
    if not shift or len(table.columns) != len(names) or names[0] != "2":
        return reading
    return {**reading, "features": list(table.columns), "label": ""}


def _take(value, kept):
    if value is None:
        return None
    return value[kept] if isinstance(value, np.ndarray) else [value[index] for index in kept]
