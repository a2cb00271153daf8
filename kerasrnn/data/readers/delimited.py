"""Rows of separated fields, CSV and TSV, in chunks of whole rows that PyArrow takes apart.

Quotes are those of RFC 4180. The chunks are cut here, since PyArrow names no line, takes a quote
that never closes for a long field, and has no field longer than one of its blocks.
"""

from __future__ import annotations

import collections
import itertools
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
from pyarrow import csv

from kerasrnn.data.readers.blanks import at_tabs, is_at_blanks
from kerasrnn.data.readers.dialects import (
    Dialect,
    Shape,
    dialect_of,
    is_value,
    lines_above,
    names_of,
    shape_of,
)
from kerasrnn.data.readers.text_files import line_ends, read_pieces
from kerasrnn.errors import InputError

LONGEST = 1 << 26  # bytes of a row
_CHUNK = 1 << 22
_HEAD = 1 << 20
_FOOTER = 4096  # bytes of the end in which it is looked for
_MARK = b"\xef\xbb\xbf"  # of byte order, here within a file
_LINE_END = re.compile(rb"\r?\n|\r")
_EMPTY_LINE = re.compile(rb"(?:\A|\n|\r(?!\n))[\r\n]")


class Delimited:
    """The rows of a file of separated fields; see ``tables.Table`` for its attributes."""

    def __init__(self, path: Path, encoding: str | None, header: bool | None):
        self.path, self.encoding, self.blanks = path, encoding, is_at_blanks(path)
        self.above = None  # lines above the table, which the first head tells
        size, rows, whole = _HEAD, 0, False
        while rows < 2 and not whole:  # where rows are large
            if size > LONGEST:
                raise InputError("a row too long", where=f"{path}:{rows + 1}")
            head, whole = self._head(size)
            if self.above is None and self._finds_above(head):
                head, whole = self._head(size)
            size *= 8
            if line_ends(head) < 2 and not whole:
                continue
            self.dialect: Dialect = dialect_of(head, whole, path, header)
            self.shape: Shape = shape_of(self.dialect.separator, self.dialect.quoted)
            rows = sum(1 for _ in itertools.islice(self.shape.rows(head), 2))
        self.header = self.dialect.header
        self.notation = self.dialect.notation
        if not rows:
            collections.deque(self._whole_rows(), 0)  # says why
            raise InputError("an empty table", where=path)
        self.columns = names_of(head, self.dialect, path)
        said = "numbers between blanks" if self.blanks else self.dialect.description
        self.description = ", ".join(filter(None, (said, encoding)))

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Batches of columns of strings; an empty field is null."""
        gap = False
        for data, line in self._data():
            if len(self.columns) == 1:
                gap = self._check_empty(data, line, gap)
            if next(self.shape.rows(data), None):
                yield self._parse(data, line, columns)

    def line(self, row: int) -> str:
        """``path:line`` of a row."""
        for data, line in self._data():
            for start, _ in self.shape.rows(data):
                if row == 0:
                    return f"{self.path}:{line + line_ends(data[:start])}"
                row -= 1
        return str(self.path)

    def _finds_above(self, head):
        self.above = lines_above(head)
        if self.above:
            lines = f"{self.above} line{'s' * (self.above > 1)}"
            warnings.warn(f"{self.path}: left out above the table: {lines}", stacklevel=3)
        return self.above > 0

    def _pieces(self, size):
        pieces = read_pieces(self.path, size, encoding=self.encoding)
        pieces = at_tabs(pieces) if self.blanks else pieces
        return _emptied(pieces, self.above) if self.above else pieces

    def _head(self, size):
        """About ``size`` bytes of the beginning, UTF-8, and whether they are all."""
        pieces, left = [], size
        for piece in self._pieces(_HEAD):
            pieces.append(piece.encode())
            left -= len(pieces[-1])
            if left <= 0:
                break
        head, whole = b"".join(pieces), left > 0
        if not head.strip(b"\r\n") and whole:
            raise InputError("an empty table", where=self.path)
        return (head + b"\n" if whole and not head.endswith(b"\n") else head), whole

    def _data(self):
        """As ``_chunks``, without the header."""
        skip = self.header
        for data, line in self._chunks():
            if skip:
                _, end = next(self.shape.rows(data), (0, len(data)))
                skip = not data[:end].strip(b"\r\n")
                data, line = data[end:], line + line_ends(data[:end])
            yield data, line

    def _chunks(self):
        """As ``_whole_rows``, without a footer and rows at the end of separators alone."""
        held, first, some = b"", 1, False
        for data, line in self._without_footer(self._whole_rows()):
            data, line = held + data, first if held else line
            end = self._end_of_filled(data)
            if end:
                yield data[:end], line
                some = True
            held = data[end:]
            if held:
                first = line + line_ends(data[:end])
        if held and not some:
            yield held, first

    def _end_of_filled(self, data):
        """Where the last row ends that holds more than separators; of one column, or much, all."""
        if len(self.columns) == 1 or len(data) > LONGEST:
            return len(data)
        filled = len(data.rstrip(self.dialect.separator.encode() + b" \t\r\n"))
        end = _LINE_END.search(data, filled)
        return end.end() if filled and end else 0

    def _whole_rows(self):
        """Bytes of whole rows, UTF-8, and the number of the line where they begin."""
        rest, line, pending, size = b"", 1, [], 0
        for piece in self._pieces(_CHUNK):
            pending.append(piece.encode())
            size += len(pending[-1])
            if size < len(rest):  # twice as many bytes, lest a long row take quadratic time
                continue
            rest = b"".join((rest, *pending))
            pending, size = [], 0
            end = self.shape.end(rest)
            self._check(rest[end:], line, rest[:end])
            if end:
                yield rest[:end], line
                line += line_ends(rest[:end])
                rest = rest[end:]
        rest = b"".join((rest, *pending))
        if not rest:
            return
        rest += b"" if rest.endswith(b"\n") else b"\n"
        end = self.shape.end(rest)
        self._check(rest[end:], line, rest[:end], last=True)
        yield rest, line

    def _without_footer(self, blocks):
        """Without a last line of one field below an empty one."""
        mark = re.escape(self.dialect.separator).encode()
        line = rb'(?:"[^"\r\n]*"|[^"\r\n' + mark + rb"]+)[ \t" + mark + rb"]*[\r\n]*\Z"
        end = rb"(?:\r\n|\n|\r(?!\n))"
        footer = re.compile(end + rb"[ \t" + mark + rb"]*" + end + rb"(" + line + rb")")
        last = next(blocks, None)
        for data, number in blocks:
            if len(data) < _FOOTER:
                last = last[0] + data, last[1]
            else:
                yield last
                last = data, number
        match = last and len(self.columns) > 1 and footer.search(last[0][-_FOOTER:])
        text = match[1].strip(b' "\t\r\n' + mark).decode(errors="ignore") if match else ""
        if text and not is_value(text):
            warnings.warn(f"{self.path}: the last line is left out: {text!r}", stacklevel=2)
            last = last[0][: -len(match[1])], last[1]
        if last:
            yield last

    def _check(self, rest, line, before, last=False):
        """Raise where the bytes after whole rows begin with no row."""
        fault = self.shape.fault(rest) if rest else None
        if fault is None and len(rest) <= LONGEST:
            return
        at, what = fault or (0, "a row too long")
        if not last and what == self.shape.UNCLOSED and len(rest) <= LONGEST:
            return
        where = f"{self.path}:{line + line_ends(before) + line_ends(rest[:at])}"
        fix = "double a quote inside quotes, and close them" if fault else None
        found = repr(rest[at : at + 40].decode(errors="ignore"))
        raise InputError(what, where=where, found=found, fix=fix)

    def _parse(self, data, line, columns):
        width = len(self.columns)
        names = [str(index) for index in range(width)]
        chosen = [str(self.columns.index(column)) for column in columns]
        mark = _MARK if data.startswith(_MARK) else b""  # PyArrow takes one off
        try:
            table = csv.read_csv(
                pa.BufferReader(mark + data),
                read_options=csv.ReadOptions(column_names=names, block_size=len(data) + 8),
                parse_options=csv.ParseOptions(
                    delimiter=self.dialect.separator,
                    quote_char='"' if self.dialect.quoted else False,
                    newlines_in_values=self.dialect.quoted,
                ),
                convert_options=csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()),
                    include_columns=chosen or names[:1],
                    null_values=[""],
                    strings_can_be_null=True,
                    check_utf8=False,
                ),
            )
        except pa.ArrowInvalid as error:
            self._check_widths(data, line)
            raise InputError("a broken table", where=self.path, found=error) from error
        batch = table.combine_chunks().to_batches()[0]
        return batch.select(chosen).rename_columns(list(columns))

    def _check_widths(self, data, line):
        for start, end in self.shape.rows(data):
            found = self.shape.width(data[start:end])
            if found != len(self.columns):
                raise InputError(
                    "a row with another number of fields",
                    where=f"{self.path}:{line + line_ends(data[:start])}",
                    found=found,
                    expected=f"{len(self.columns)}, separated by {self.dialect.separators}",
                )

    def _check_empty(self, data, line, gap):
        """Raise at an empty line with a row below, which of one column might be a missing value.

        gap: whether empty lines stand before. Returns whether they stand at the end.
        """
        if not (gap or _EMPTY_LINE.search(data)):
            return False
        at = -1 if gap else 0
        for start, end in self.shape.rows(data):
            if start > at:
                raise InputError(
                    "an empty line in a table of one column",
                    where=f"{self.path}:{line + line_ends(data[: max(at, 0)])}",
                    fix='write "" for a missing value',
                )
            at = end
        return at < len(data)


def _emptied(pieces, number):
    """The pieces of a text in which the first lines are empty."""
    lines = re.compile(rf"(?:[^\r\n]*(?:\r\n?|\n)){{{number}}}")
    begun = next(pieces)
    while not (match := lines.match(begun)) or match.end() == len(begun):
        begun += next(pieces)
    yield "\n" * number + begun[match.end() :]
    yield from pieces
