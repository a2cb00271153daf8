"""Tables of any format, read in batches of rows: CSV, TSV, JSON Lines and Parquet."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from kerasrnn.data.columns import check_column
from kerasrnn.data.readers.clocks import Clock, clock_of, to_times
from kerasrnn.data.readers.delimited import Delimited
from kerasrnn.data.readers.joined_times import JoinedTimes, with_joined_times
from kerasrnn.data.readers.json_lines import NAMES, JsonLines, holds_objects
from kerasrnn.data.readers.numbers import as_strings, to_numbers
from kerasrnn.data.readers.parquet import Parquet
from kerasrnn.data.readers.part_files import TABLES, is_named
from kerasrnn.errors import InputError
from kerasrnn.files import check_regular

_THOUSANDS = re.compile(r"[+-]?\d{1,3}([.,]\d{3})+")


class Table:
    """A table in a file, which is read anew for each pass and never held.

    path: the file. name: its name without suffix. columns: the names, in the order of the file.
    header: whether the file names them; else they are ``"1"``, ``"2"``, …. description: the
    format and dialect in words. nested: columns of lists and the like, which are left out. The
    parts of a time, such as year, month and day, are one column (``joined_times``).
    """

    def __init__(self, source: Delimited | JsonLines | Parquet | JoinedTimes, name: str):
        self._source = source
        self._clocks: dict[str, Clock] = {}
        self.path: Path = source.path
        self.name = name
        self.columns: tuple[str, ...] = source.columns
        self.header: bool = source.header
        self.description: str = source.description
        self.nested: tuple[str, ...] = getattr(source, "nested", ())

    def __repr__(self):
        return f"Table({str(self.path)!r}: {self.description}, {len(self.columns)} columns)"

    def __fspath__(self):
        return str(self.path)

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """All rows in the order of the file, some thousands at once.

        columns: those wanted; by default all. Raises ``InputError`` for one that is not there,
        and for a row that is none, with its line.
        """
        columns = self.columns if columns is None else list(columns)
        for column in columns:
            self._check(column)
        return self._source.batches(columns)

    def head(self, rows: int = 10_000) -> pa.Table:
        """The first rows. Raises as ``batches`` does."""
        found, missing = [], rows
        for batch in self.batches():
            found.append(batch.slice(0, missing))
            missing -= len(found[-1])
            if missing <= 0:
                break
        if not found:
            return pa.table({column: pa.array([], pa.string()) for column in self.columns})
        return pa.Table.from_batches(found)

    def line(self, row: int) -> str:
        """Where a row stands, counted from 0: ``path:line``, or ``path, row n`` in Parquet."""
        return self._source.line(row)

    def strings(self, rows: pa.RecordBatch | pa.Table, column: str) -> list[str | None]:
        """The values of a column as they are written; None where there is none."""
        array = self._array(rows, column)
        try:
            encoded = as_strings(array).dictionary_encode()  # equal values are one object
        except pa.ArrowException as error:  # a time zone that is not known here
            raise InputError(f"column {column!r}", where=self.path, found=error) from error
        values = encoded.dictionary.to_pylist()
        return [None if index is None else values[index] for index in encoded.indices.to_pylist()]

    def numbers(
        self, rows: pa.RecordBatch | pa.Table, column: str, first_row: int = 0
    ) -> np.ndarray:
        """A column as float64 (rows,), NaN where a value is missing (``numbers.MISSING``).

        first_row: the row of the file that is the first of ``rows``. Raises ``InputError`` with
        the line for what is no number, or infinite.
        """
        array = self._array(rows, column)
        values, bad = to_numbers(array, self._source.notation)
        if bad is not None:
            what, value = f"no number in column {column!r}", str(array[bad].as_py())
            expected = f"a finite number with the decimal mark {self._source.notation.decimal!r}"
            fix = "write thousands without separators" if _THOUSANDS.fullmatch(value) else None
            self._refuse(what, value, first_row + bad, expected, fix)
        return values

    def times(self, rows: pa.RecordBatch | pa.Table, column: str, first_row: int = 0) -> np.ndarray:
        """A column as datetime64[us] (rows,) in UTC, NaT where missing; or float64 of numbers.

        The first rows of the file tell how all its times are written. Raises ``InputError`` with
        the line for what is no such time, and where day and month cannot be told apart.
        """
        if column not in self._clocks:
            for head in self.batches([column]):
                self._clocks[column] = clock_of(head.column(0), self._source.notation)
                break
        clock, array = self._clocks.get(column, Clock("")), self._array(rows, column)
        if clock.kind == "numbers":
            return self.numbers(rows, column, first_row)
        if clock.kind in ("open", ""):
            what = "times whose day may be the month" if clock.kind else "no times"
            value = next((word for word in array.to_pylist() if word), "")
            expected = "ISO 8601, such as 2020-01-31 13:00"
            self._refuse(f"{what} in column {column!r}", str(value), first_row, expected)
        times, bad = to_times(array, clock)
        if bad is not None:
            what, value = f"no such time in column {column!r}", str(array[bad].as_py())
            self._refuse(what, value, first_row + bad, "all times of the column written alike")
        return times

    def _array(self, rows, column):
        self._check(column)
        array = rows.column(column)
        return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array

    def _check(self, column):
        if column in self.nested:
            raise InputError(f"nested values in column {column!r}", where=self.path)
        check_column(column, self.columns, self.path)

    def _refuse(self, what, value, row, expected, fix=None):
        where, found = self.line(row), repr(value[:40])
        raise InputError(what, where=where, found=found, expected=expected, fix=fix)


def open_table(
    path: str | os.PathLike | Table, *, encoding: str | None = None, header: bool | None = None
) -> Table:
    """The table in a file: CSV, TSV, JSON Lines or a list of JSON objects, each perhaps gzipped,
    or Parquet; by suffix, and by content where that says nothing. One that is open as it is.

    encoding: of text, a codec of Python; by default UTF-8. header: whether the first row of a
    CSV names the columns; by default found.

    Raises ``InputError`` where the file is no table, with its line.
    """
    if isinstance(path, Table):
        return path
    path = Path(path)
    if is_named(path, "*.parquet") or _begins(path) == b"PAR1":
        source = Parquet(path)
    elif is_named(path, *NAMES) or (not is_named(path, *TABLES) and holds_objects(path)):
        source = JsonLines(path, encoding)
    else:
        source = Delimited(path, encoding, header)
    return Table(with_joined_times(source), Path(path.name.removesuffix(".gz")).stem)


def _begins(path):
    check_regular(path)
    try:
        with open(path, "rb") as file:
            return file.read(4)
    except OSError as error:
        raise InputError(f"cannot read {path}", found=error.strerror) from error
