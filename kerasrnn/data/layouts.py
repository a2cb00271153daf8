"""``read_rows``: the sequences, texts or series of a table, by its ``reading``. No Keras here."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from itertools import chain, groupby
from typing import Any, NamedTuple

import numpy as np

from kerasrnn.data.columns import MOST_REPEATED, check_column, codes_of
from kerasrnn.data.readers import Rows
from kerasrnn.data.readers.part_files import pad_sequences
from kerasrnn.data.times import regular
from kerasrnn.errors import InputError

_SMALL = 1 << 26  # bytes of a table that is read at once


class Batch(NamedTuple):
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

    def where(self, kept: np.ndarray) -> Batch:
        """Those of some indices, without the original columns."""
        return Batch(*(_take(value, kept) for value in self[:-1]))


def read_rows(table, reading: dict, *, rows: bool = True) -> Iterator[Batch]:
    """What another table holds, by the ``reading`` of a run; for predict and evaluate.

    Args:
        table: a ``readers.tables.Table`` of the file.
        reading: as ``Arrays``, ``TextParts`` and ``TimeSeries`` have it, with a layout. The
            columns of label, target, group and split may be missing in the table; of a file
            without header whose label was in the first column too.
        rows: whether the original columns are wanted.

    Yields:
        ``Batch``: batches in the order of the file where a row is a text or sequence (layouts
        ``"texts"`` and ``"wide"``), or the rows of each id of a large table stand together, in
        constant memory; else all at once, ids in the order of their first row.

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
        yield from _by_id(table, reading, rows)
    else:
        yield Batch(read_series(table, reading))


def _row_by_row(table, reading, rows):
    first = 0
    columns = None if rows else _columns(table, reading)
    for batch in table.batches(columns):
        if reading["layout"] == "texts":
            inputs, lengths = [v or "" for v in table.strings(batch, reading["text"])], None
        else:
            inputs, lengths = _steps(table, batch, reading["features"], first)
        yield Batch(
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
    inserted = 0
    for first, batches in _whole_ids(table, reading, None if rows else _columns(table, reading)):
        found = _Steps(table, reading, batches, first, rows)
        sequences = []
        for own in found.groups:
            values = found.values[own]
            times = None if found.times is None else found.times[own]
            filled, _ = regular(values, times, table.path)
            inserted += len(filled) - len(values)
            sequences.append(filled)
        yield _padded(found, sequences)
    if inserted:
        warnings.warn(
            f"{table.path}: {inserted:,} rows are missing between the times of "
            f"{reading['time']!r}, and count as missing values",
            stacklevel=3,
        )


def _whole_ids(table, reading, columns):
    """Batches with all rows of their ids, and the number of their first row.

    A small table, or one where the rows of an id do not stand together, is one piece.
    """
    batches = table.batches(columns)
    if os.path.getsize(table.path) <= _SMALL or not _stand_together(table, reading.get("id")):
        yield 0, list(batches)
        return
    pending, first = [], 0
    for batch in batches:
        ids = table.strings(batch, reading["id"])
        end = next((row for row in range(len(ids), 0, -1) if ids[row - 1] != ids[-1]), 0)
        if end:
            yield first, [*pending, batch.slice(0, end)]
            first += sum(part.num_rows for part in pending) + end
            pending, batch = [], batch.slice(end)
        pending.append(batch)
    if pending:
        yield first, pending


def _stand_together(table, column):
    """Whether all rows of an id follow each other."""
    if column is None:
        return False
    seen, last = set(), None
    for batch in table.batches([column]):
        for value, _ in groupby(table.strings(batch, column)):
            if value != last and value in seen:
                return False
            seen.add(value)
            last = value
    return True


def _padded(found, sequences):
    """The sequences of some steps as a ``Batch``."""
    x, lengths = pad_sequences(sequences)
    equal = len(lengths) and lengths.min() == lengths.max()
    return Batch(
        x,
        None if equal else lengths,
        found.one_each("label", "target"),
        [found.ids[own[0]] for own in found.groups],
        found.one_each("group"),
        found.one_each("split"),
        found.rows and found.rows.take(found.firsts),
    )


class _Steps:
    """Some columns of a table with a step a row, and the rows of each id in the order of time.

    first: number of the first row in the table. values: float32 (rows, features), float64 of
    series. times: or None. ids: a string a row. groups: of each id the indices of its rows.
    firsts: the first row of each id, among these.
    """

    def __init__(self, table, reading, batches, first=0, rows=False):
        import pyarrow

        self.table, self.reading, self.first = table, reading, first
        self.values, times, ids, kept = [], [], [], []
        self.others = {role: [] for role in ("label", "target", "group", "split")}
        names, dtype = reading["features"], "f8" if reading["layout"] == "series" else "f4"
        for batch in batches:
            columns = [table.numbers(batch, name, first) for name in names]
            self.values.append(np.stack(columns, axis=1).astype(dtype, copy=False))
            if "time" in reading:
                times.append(table.times(batch, reading["time"], first))
            if "id" in reading:
                ids += table.strings(batch, reading["id"])
            self.others["label"].append(_labels(table, batch, reading, first))
            for role in ("group", "split"):
                self.others[role].append(_strings(table, batch, reading, role))
            kept += [batch] if rows else []
            first += batch.num_rows
        if not self.values:
            raise InputError("empty data", where=table.path, found="no rows")
        self.values = np.concatenate(self.values)
        self.times = np.concatenate(times) if times else None
        self.ids = ids or [""] * len(self.values)
        self._check_ids()
        self.rows = pyarrow.Table.from_batches(kept) if rows else None
        self.groups, self.firsts = self._group()

    def _check_ids(self):
        empty = {id for id in {*self.ids} if not (id or "").strip()}
        if "id" in self.reading and empty:
            row = next(row for row, id in enumerate(self.ids) if id in empty)
            what, where = f"a row without an id in {self.reading['id']!r}", self.first + row
            raise InputError(what, where=self.table.line(where))

    def _group(self):
        codes = codes_of(self.ids)
        order = (
            np.lexsort((self.times, codes))
            if self.times is not None
            else codes.argsort(kind="stable")
        )
        order = self._with_one_row_a_time(codes, order)
        ends = np.flatnonzero(np.diff(codes[order])) + 1
        groups = np.split(order, ends)
        return groups, [int(own.min()) for own in groups]

    def _with_one_row_a_time(self, codes, order):
        """The rows in order, without those of a time that a row above has: that has their mean.

        Raises ``InputError`` for a row without a time, and for two of one time and id of what is
        no series, or where they are many.
        """
        if self.times is None:
            return order
        column = self.reading["time"]
        none = np.isnan(self.times) if self.times.dtype.kind == "f" else np.isnat(self.times)
        if none.any():
            where = self.table.line(self.first + int(none.argmax()))
            raise InputError(f"a row without a time in {column!r}", where=where)
        times, ids = self.times[order], codes[order]
        again = np.r_[False, (times[1:] == times[:-1]) & (ids[1:] == ids[:-1])]
        if not again.any():
            return order
        row = int(order[again.argmax() - 1 : again.argmax() + 1].max())
        where, found = self.table.line(self.first + row), (self.ids[row], str(self.times[row]))
        if self.reading["layout"] != "series" or again.mean() > MOST_REPEATED:
            raise InputError(
                f"two rows of one time{' and id' if 'id' in self.reading else ''}",
                where=where,
                found=" ".join(filter(None, found)),
                fix=None if "id" in self.reading else "name the column of the series by --id",
            )
        warnings.warn(
            f"{where}: a row of a time that another has, {found[1]}, one of {again.sum():,}; the "
            "mean of such rows is taken",
            stacklevel=3,
        )
        starts = np.flatnonzero(~again)
        values = self.values[order]
        known = np.add.reduceat(~np.isnan(values), starts)
        total = np.add.reduceat(np.nan_to_num(values), starts)
        self.values[order[starts]] = np.where(known > 0, total / np.maximum(known, 1), np.nan)
        return order[starts]

    def one_each(self, *roles):
        """The value of each id, which all its rows must have."""
        found = [value for value in self.others[roles[0]] if value is not None]
        if not found:
            return None
        numbers = isinstance(found[0], np.ndarray)
        values = (
            np.concatenate(found) if numbers else np.array([*chain.from_iterable(found)], object)
        )
        for own in self.groups:
            other = values[own] != values[own[0]]
            if numbers:
                other = (other & ~(np.isnan(values[own]) & np.isnan(values[own[0]]))).any(1)
            if other.any():
                row = int(own[other.argmax()])
                role = next(role for role in roles if role in self.reading)
                raise InputError(
                    f"an id with two values of its {role}",
                    where=self.table.line(self.first + row),
                    found=f"{values[own[0]]} and {values[row]} of {self.ids[row]}",
                    expected="one for each id",
                )
        values = values[[own[0] for own in self.groups]]
        return values if numbers else values.tolist()


def read_series(table, reading: dict) -> list[Rows]:
    """The series of a table, each in the order of time; as ``read_rows`` does."""
    found = _Steps(table, reading, table.batches(_columns(table, reading)))
    splits = None
    if any(found.others["split"]):
        splits = np.array([*chain.from_iterable(found.others["split"])], object)
    return [
        Rows(
            found.values[own],
            None if found.times is None else found.times[own],
            found.ids[own[0]],
            None if splits is None else splits[own],
        )
        for own in found.groups
    ]


def _labels(table, batch, reading, first):
    """Labels as strings, numbers to predict as float64 (n, targets), or None."""
    if "target" in reading:
        if not set(reading["target"]) <= {*table.columns}:
            return None
        return np.stack([table.numbers(batch, name, first) for name in reading["target"]], axis=1)
    labels = _strings(table, batch, reading, "label")
    if labels is None:
        return None
    return [_label((label or "").strip()) for label in labels]


def _label(text):
    """A label, or None; a whole number without a point: 1 for 1.0000000e+00, as of UCR."""
    written = re.fullmatch(r"[-+]?\d+(\.0*)?([eE][-+]?\d+)?", text) and {*text} & {*".eE"}
    return f"{float(text):.0f}" if written and float(text).is_integer() else text or None


def _strings(table, batch, reading, role):
    name = reading.get(role)
    return table.strings(batch, name) if name in table.columns else None


def _columns(table, reading):
    """The columns of a reading that a table has."""
    return [name for name in dict.fromkeys(columns_of(reading)) if name in table.columns]


def columns_of(reading: dict) -> list[str]:
    """The columns that a reading names."""
    values = [value for role, value in reading.items() if role != "layout"]
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
