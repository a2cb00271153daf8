"""Times that a table has in several columns: a date and a clock time, or year, month, day, …."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from itertools import chain, takewhile

import pyarrow as pa
import pyarrow.compute as pc

from kerasrnn.data.readers.clocks import clock_of, to_times
from kerasrnn.data.readers.numbers import as_strings

_UNITS = ("year", "month", "day", "hour", "minute", "second")
_SHORT = {"yr": "year", "mo": "month", "dy": "day", "hr": "hour", "min": "minute", "sec": "second"}
_BETWEEN = ("-", "-", " ", ":", ":")
_DOTTED = r"^ *(\d{1,2})\.(\d{2})(?:\.(\d{2}))? *$"  # a clock time as 18.00.00


class JoinedTimes:
    """A source of rows in which the columns of the parts of a time are one, named after them all.

    It stands where the first of them stood, and holds a time in one piece. The parts are no
    columns any more.
    """

    def __init__(self, source, parts: Sequence[str]):
        self._source, self._parts, self._name = source, list(parts), " ".join(parts)
        first, *others = parts
        names = (self._name if name == first else name for name in source.columns)
        self.columns = tuple(name for name in names if name not in others)
        self.path, self.header, self.notation = source.path, source.header, source.notation
        self.description, self.line = source.description, source.line
        self.nested = getattr(source, "nested", ())

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """As of the source."""
        read = chain.from_iterable(self._parts if x == self._name else [x] for x in columns)
        for batch in self._source.batches([*dict.fromkeys(read)]):
            arrays = [self._joined(batch) if x == self._name else batch.column(x) for x in columns]
            yield pa.record_batch(arrays, names=list(columns))

    def _joined(self, batch):
        parts = [pc.utf8_trim_whitespace(as_strings(batch.column(name))) for name in self._parts]
        if len(parts) == 2 and _unit(self._parts[0]) != _UNITS[0]:
            clock = pc.replace_substring_regex(parts[1], _DOTTED, r"\1:\2:\3")
            clock = pc.utf8_rtrim(clock, ":")  # without seconds
            return pc.binary_join_element_wise(parts[0], clock, " ")
        found = parts[0]
        for between, part in zip(_BETWEEN, parts[1:], strict=False):
            found = pc.binary_join_element_wise(found, pc.utf8_lpad(part, 2, "0"), between)
        return found


def with_joined_times(source):
    """The source with such columns joined, where there are some and the first rows are times."""
    parts = _parts(source.columns) if source.header else []
    if not parts or " ".join(parts) in source.columns:
        return source
    joined = JoinedTimes(source, parts)
    with contextlib.suppress(pa.ArrowException):  # of columns that hold something else
        for head in joined.batches([" ".join(parts)]):
            array = head.column(0)
            clock = clock_of(array, source.notation)
            dated = clock.kind not in ("", "open", "numbers")
            return joined if dated and to_times(array, clock)[1] is None else source
    return source


def _unit(name):
    word = name.strip().lower()
    return _SHORT.get(word, word)


def _parts(columns):
    """The columns of year, month and what follows them, or of date and time; [] where none are."""
    found = {_unit(name): name for name in columns}
    if "max" in found and found.get("minute", "").strip().lower() == "min":
        del found["minute"]  # the least value
    units = [*takewhile(found.__contains__, _UNITS)]
    if len(units) > 1:
        return [found[unit] for unit in units]
    return [found[word] for word in ("date", "time")] if {"date", "time"} <= found.keys() else []
