"""What the first rows of a table say of its columns. No Keras here."""

from __future__ import annotations

import functools
import re
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from kerasrnn.data.readers.numbers import MISSING
from kerasrnn.errors import InputError

MOST_REPEATED = 0.01  # of the rows of a series, whose time another row has, as clocks are put back
_ROWS = 10_000  # that are looked at
_CELLS = 4_000_000  # that are looked at, at most
_MOST = 0.9  # of the values of a column that are of one kind
_MOST_WORDS = 20  # that may stand among numbers as classes do
_SHOWN = 1000  # distinct values of a column that are kept
_FAR, _FEWEST_BESIDE = 3, 10  # ranges of the others, and how many these are at least
_NUMBER = re.compile(r"[-+]?[\d.,]*\d[\d.,]*([eE][-+]?\d+)?")


@dataclass(frozen=True)
class Column:
    """What a column is.

    kind: ``"text"``, ``"category"`` (strings that repeat), ``"id"`` (strings that do not),
    ``"number"``, ``"whole"`` (numbers), ``"row"`` (the number of the row), ``"time"``,
    ``"constant"`` or ``"empty"``. distinct: how many values. missing: how many are. words: the
    mean number in a value. values: some of the distinct ones; of numbers none. code: a number in
    several rows that is far from all others, as those are that stand for missing values.
    """

    name: str
    kind: str
    distinct: int
    missing: int = 0
    words: float = 0.0
    values: tuple[str, ...] = ()
    code: float | None = None

    @property
    def may_be_step(self) -> bool:
        """Whether it could be a step of a series a row: of numbers, one number or none."""
        if self.kind == "constant":
            return _NUMBER.fullmatch(self.values[0].strip()) is not None
        return self.kind in ("number", "whole", "row", "empty")


class Head:
    """The first rows of a table and what its columns are.

    table: a ``readers.tables.Table``. A column that is constant or empty in them is looked up in
    the whole table: files are often sorted by label.
    """

    def __init__(self, table):
        most = max(200, min(_ROWS, _CELLS // max(1, len(table.columns))))
        self.table, self.head = table, table.head(most)
        self.rows = self.head.num_rows
        self._codes_of = functools.cache(self._find_codes)
        self.columns = {name: self._column(self.head, name) for name in table.columns}
        self.whole = self.rows < most  # there are no other rows
        if not self.whole:
            self._look_further()

    def repeats(self, *names: str) -> bool:
        """Whether some rows have the same values in all these columns."""
        return self.repeated(*names) > 0

    def repeated(self, *names: str) -> float:
        """The fraction of rows that have the same values in all these columns as one above."""
        return 1 - len(np.unique(self._codes(*names))) / self.rows

    def constant_within(self, id: str, name: str) -> bool:
        """Whether a column has one value in all rows of an id."""
        ids, values = self._codes(id), self._codes_of(name)
        firsts = np.unique(ids, return_index=True)[1]
        return bool((values == values[firsts][ids]).all())

    def counts_within(self, id: str, name: str) -> bool:
        """Whether a column of numbers is 0, 1, … or 1, 2, … in the rows of each id, of several."""
        ids = self._codes(id)
        first = self.table.numbers(self.head, name) - turns_of(ids)
        return bool(ids.any()) and first[0] in (0, 1) and bool((first == first[0]).all())

    def _codes(self, *names):
        """An integer for each row, from 0, the same where all these columns are the same."""
        codes = np.zeros(self.rows, "int64")
        for name in names:
            ids = self._codes_of(name)
            _, codes = np.unique(codes * (ids.max(initial=0) + 1) + ids, return_inverse=True)
        return codes

    def _find_codes(self, name):
        numeric = self.columns[name].kind in ("number", "whole")
        numbers = self._numbers(self.head, name) if numeric else None
        if numbers is None:
            return codes_of(self.table.strings(self.head, name))
        return np.unique(numbers, return_inverse=True)[1]

    def _look_further(self):
        """Replace what is said of columns that are constant or empty in the first rows only."""
        import pyarrow

        left = [name for name, found in self.columns.items() if found.distinct < 2]
        for batch in self.table.batches(left) if left else ():
            for name in list(left):
                known = {None, "", *self.columns[name].values}
                if {*self.table.strings(batch, name)} - known:
                    chunks = [*self.head.column(name).chunks, batch.column(name)]
                    both = pyarrow.table({name: pyarrow.chunked_array(chunks)})
                    self.columns[name] = self._column(both, name)
                    if self.columns[name].distinct > 1:
                        left.remove(name)
            if not left:
                return

    def _column(self, part, name):
        numbers = self._numbers(part, name)
        if numbers is not None and len(np.unique(numbers[np.isfinite(numbers)])) > 1:
            return _number_column(name, numbers)
        none = ("",) if numbers is None else MISSING
        strings = [value or "" for value in self.table.strings(part, name)]
        counts = Counter(value for value in strings if value.strip() not in none)
        missing, distinct = part.num_rows - counts.total(), len(counts)
        values = tuple(counts)[:_SHOWN]
        if distinct < 2 or numbers is not None:  # one number, however it is written
            kind = "constant" if distinct else "empty"
            return Column(name, kind, min(distinct, 1), missing, values=values)
        if self._is_time(part, name):
            return Column(name, "time", distinct, missing, values=values)
        words = sum(len(value.split()) * n for value, n in counts.items()) / counts.total()
        return Column(name, _string_kind(counts, words), distinct, missing, words, values)

    def _numbers(self, part, name):
        try:
            return self.table.numbers(part, name)
        except InputError:
            return None

    def _is_time(self, part, name):
        try:
            self.table.times(part.slice(0, 1000), name)
        except InputError:
            return False
        return True


def codes_of(values: list) -> np.ndarray:
    """An integer for each value, the same for the same, in the order of appearance.

    >>> codes_of(["b", "a", "b"]).tolist()
    [0, 1, 0]
    """
    codes = {}
    return np.array([codes.setdefault(value, len(codes)) for value in values], "int64")


def turns_of(codes: np.ndarray) -> np.ndarray:
    """How many rows above have the same code, int (rows,).

    >>> turns_of(np.array([5, 3, 5, 5])).tolist()
    [0, 0, 1, 2]
    """
    order = np.argsort(codes, kind="stable")
    _, starts, number = np.unique(codes[order], return_index=True, return_counts=True)
    turns = np.empty(len(codes), "int64")
    turns[order] = np.arange(len(codes)) - np.repeat(starts, number)
    return turns


def _number_column(name, numbers):
    real = numbers[np.isfinite(numbers)]
    missing, distinct = len(numbers) - len(real), len(np.unique(real))
    if not np.array_equal(real, np.round(real)):
        return Column(name, "number", distinct, missing, code=_code(real))
    rows = len(numbers) > 2 and real[0] in (0, 1) and not missing
    if rows and np.array_equal(np.diff(real), np.ones(len(real) - 1)):
        return Column(name, "row", distinct)
    return Column(name, "whole", distinct, missing, code=_code(real))


def _code(numbers):
    """The lowest or highest number where it is in three rows, and farther than others reach."""
    values, counts = np.unique(numbers, return_counts=True)
    for end, beside, other in ((0, 1, -1), (-1, -2, 0)) if len(values) > _FEWEST_BESIDE else ():
        far = abs(values[end] - values[beside]) > _FAR * abs(values[beside] - values[other])
        if far and counts[end] > 2 and values[end]:
            return float(values[end])
    return None


def _string_kind(counts, words):
    """Whether strings are classes, ids, texts, or numbers with a defect that reading will name."""
    total, distinct = counts.total(), len(counts)
    if distinct > _MOST_WORDS:
        numbers = sum(n for value, n in counts.items() if _NUMBER.fullmatch(value.strip()))
        if numbers > _MOST * total:
            return "number"
    if words < 5 and distinct <= max(2, total / 2) and distinct < total:
        return "category"
    coded = sum(bool(re.search(r"\d", value)) and " " not in value for value in counts)
    return "id" if coded > _MOST * distinct else "text"


def check_column(name: str, columns: tuple[str, ...], where: str, option: str = ""):
    """Raise ``InputError``, with the nearest neighbours, unless there is a column ``name``."""
    from difflib import get_close_matches

    if name in columns:
        return
    lower = {column.lower(): column for column in reversed(columns)}
    close = [repr(lower[found]) for found in get_close_matches(name.lower(), lower, 3)]
    more = f", … ({len(columns):,} in all)" if len(columns) > 20 else ""
    raise InputError(
        f"{option}: no such column".removeprefix(": "),
        where=where,
        found=repr(name),
        expected=f"one of {', '.join(columns[:20])}{more}",
        fix=f"did you mean {' or '.join(close)}?" if close else None,
    )


def warn_of_codes(where: str, columns: Iterable[Column]):
    """Say which numbers of the columns that are read may stand for missing values."""
    if found := [f"{one.code:g} in {one.name}" for one in columns if one.code is not None]:
        some = ", ".join(found[:3]) + (f" and {len(found) - 3} more columns" if found[3:] else "")
        text = f"{where}: {some}: far from all other values; leave empty what means a missing one"
        warnings.warn(text, stacklevel=4)


def words_of(name: str) -> set[str]:
    """The words of a column's name, in small letters.

    >>> sorted(words_of("seriesId_2"))
    ['id', 'series']
    """
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)}


def numbered(columns: dict[str, Column]) -> list[str]:
    """The most columns of numbers whose names count on, in that order: t0, t1, … or 0, 1, …"""
    found, runs, last = [], [[]], None
    for name, column in columns.items():
        match = re.fullmatch(r"(.*?)0*(\d+)", name)
        if match and column.may_be_step:
            found.append((match[1], int(match[2]), name))
    for prefix, number, name in sorted(found):
        if last != (prefix, number - 1):
            runs.append([])
        runs[-1].append(name)
        last = (prefix, number)
    return max(runs, key=len)
