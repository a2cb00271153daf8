"""How the fields of a table are separated, quoted and written: found from its first rows."""

from __future__ import annotations

import itertools
import re
import statistics
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from kerasrnn.data.readers.numbers import MISSING, UNITS, Notation
from kerasrnn.errors import InputError

_SEPARATORS = {"\t": "tabs", ";": "semicolons", "|": "bars", ",": "commas"}
_COLUMNS = 100_000
_ROWS = 2000  # of the head that are looked at
_MOST_ABOVE = 10  # lines above a table
_MOST_ALIKE = 0.95  # of its rows that have the same number of fields
_NUMBER = re.compile(
    rf"[+-]?(?:[{''.join(UNITS)}] ?)?"
    r"(?:(?:\d+[.,]?\d*|[.,]\d+)(?:[eE][+-]?\d+)?|\d{1,3}(?:[.,]\d{3})+(?:[.,]\d*)?)"
    rf"(?: ?[{''.join(UNITS)}])?"
)
_USUAL = {  # names of columns that are seldom values
    *("text", "label", "class", "target", "sentence", "category", "sentiment", "title", "review"),
    *("id", "date", "time", "timestamp", "datetime", "value", "y", "x", "name", "author", "labels"),
    *("sentence #", "word", "token", "pos", "tag", "ner_tag", "pos_tag"),
}
_IN_QUOTES = re.compile('"([^"]|"")*"')
_EMPTY_LINES = re.compile(rb"[\r\n]*+")
_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}([-/.]\d{1,4})?([T ].*)?")
_NAME = re.compile(r"[^\W\d][\w .:/()%°#-]{0,39}")
_DECIMAL = {  # a fraction that is no group of thousands, for each decimal mark
    mark: re.compile(
        rf"[+-]?((\d*{sign}(\d{{1,2}}|\d{{4,}})|(0|\d{{4,}})?{sign}\d+)([eE][+-]?\d+)?"
        rf"|\d+{sign}\d*[eE][+-]?\d+)"
    )
    for mark, sign in {",": ",", ".": r"\."}.items()
}
_GROUPED = {  # thousands that are no fraction, for each decimal mark
    ".": re.compile(r"[+-]?\d{1,3}((,\d{3})+\.\d*|(,\d{3}){2,})"),
    ",": re.compile(r"[+-]?\d{1,3}((\.\d{3})+,\d*|(\.\d{3}){2,})"),
}


class Dialect(NamedTuple):
    """How a table is written: separator, whether quotes hold fields together, header, numbers."""

    separator: str
    quoted: bool
    header: bool
    notation: Notation

    @property
    def separators(self) -> str:
        """The name of its separator, in the plural."""
        return _SEPARATORS[self.separator]

    @property
    def description(self) -> str:
        """In words."""
        decimal = ", decimal commas" if self.notation.decimal == "," else ""
        quotes = "" if self.quoted else ", quotes as they are"
        kind = "TSV" if self.separator == "\t" else "CSV"
        return f"{kind}, separated by {self.separators}{quotes}{decimal}"


class Shape:
    """Finds rows and fields in bytes."""

    UNCLOSED = "quotes that never close"

    def __init__(self, separator: str, quoted: bool):
        mark = re.escape(separator).encode()
        self.quoted = quoted
        self._mark = separator.encode()
        # no group is repeated possessively: before 3.11.5 Python forgets where a failed one began
        inside = rb'"[^"]*+(?:""[^"]*+)*"(?!")'
        bare = rb"[^" + mark + rb"\r\n]*+"
        field = bare
        if quoted:
            field = rb"(?:" + inside + rb"(?=[" + mark + rb'\r\n]|\Z)|(?!")' + bare + rb")"
        row = rb"(?:" + field + mark + rb")*" + field + rb"(?:\n|\r(?:\n|(?!\Z)))"
        self._field = re.compile(field)
        self._row = re.compile(row)
        self._rows = re.compile(rb"(?:" + row + rb")*")
        self._begun = re.compile(rb"(?:" + field + mark + rb")*")
        self._inside = re.compile(inside)

    def end(self, data: bytes) -> int:
        """Where the last whole row ends; before it all is well."""
        if self.quoted and b'"' in data:
            return self._rows.match(data).end()
        return max(data.rfind(b"\n"), data.rfind(b"\r", 0, len(data) - 1)) + 1

    def rows(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Start and end of each row that is no empty line."""
        at = _EMPTY_LINES.match(data).end()
        while match := self._row.match(data, at):
            yield at, match.end()
            at = _EMPTY_LINES.match(data, match.end()).end()

    def fields(self, row: bytes) -> list[str]:
        """The fields of a row with its line end."""
        row = row.rstrip(b"\r\n")
        if not (self.quoted and b'"' in row):
            return row.decode().split(self._mark.decode())
        found, at = [], 0
        while at <= len(row):
            field = self._field.match(row, at)[0]
            at += len(field) + 1
            if field.startswith(b'"'):
                field = field[1:-1].replace(b'""', b'"')
            found.append(field.decode())
        return found

    def width(self, row: bytes) -> int:
        """The number of fields of a row."""
        plain = not (self.quoted and b'"' in row)
        return row.count(self._mark) + 1 if plain else len(self.fields(row))

    def fault(self, rest: bytes) -> tuple[int, str] | None:
        """Where bytes that begin no whole row have a defect, and which; None if they are cut."""
        at = self._begun.match(rest).end() if self.quoted else 0
        if not self.quoted or rest[at : at + 1] != b'"':
            return None
        match = self._inside.match(rest, at)
        if match is None or match.end() >= len(rest.rstrip(b"\r\n")):
            return at, self.UNCLOSED
        return at, "text after closing quotes"


@cache
def shape_of(separator: str, quoted: bool) -> Shape:
    """The shape of rows in a dialect."""
    return Shape(separator, quoted)


def dialect_of(head: bytes, whole: bool, path: Path, header: bool | None) -> Dialect:
    """The dialect of a table that begins with ``head``, or is all of it (``whole``).

    The separator is that which cuts most rows into as many fields, two or more: of equals the
    tab, then the semicolon, the bar, the comma. Quotes mean nothing only between tabs, where
    they cannot be those of fields. A header is a first row of names over columns of numbers or
    dates, or of names unlike what is below.
    """
    scores = {(mark, True): _score(head, whole, shape_of(mark, True)) for mark in _SEPARATORS}
    best = max(scores, key=lambda mark: (all(scores[mark]), scores[mark][1] > 0, scores[mark]))
    if not scores[best][0] and _literal_quotes(head):
        best = ("\t", False)
    elif scores[best][1] == 0:
        tabs = path.name.lower().removesuffix(".gz").endswith((".tsv", ".tab"))
        best = ("\t" if tabs else ",", True)
    rows = first_rows(head, shape_of(*best))
    if header is None:
        header = has_header(rows)
    return Dialect(*best, header, _notation(rows[header:]))


def lines_above(head: bytes) -> int:
    """The number of lines above a table: titles of one field, comments and empty lines.

    A comment begins with ``#``, and has another number of fields than the rows. A table of few
    rows has none.

    >>> lines_above(b"Sales of 2020\\n\\n" + b"month,sales\\n" + b"1,2\\n" * 9)
    2
    """
    lines = head.splitlines(keepends=True)[:_ROWS]
    below = b"".join(lines[_MOST_ABOVE:])
    for mark in _SEPARATORS:
        shape = shape_of(mark, True)
        width, part = _usual_width(below, shape)
        if part >= _MOST_ALIKE:
            break
    else:
        return 0

    def is_above(line):
        if line.count(b'"') % 2:  # a field that goes on
            return False
        first, *others = (field.strip() for field in shape.fields(line))
        titled = (first or len(others) + 1 != width) and not is_value(first) and not any(others)
        return titled or (first.startswith("#") and len(others) + 1 != width)

    above = [*itertools.takewhile(is_above, lines[: _MOST_ABOVE + 1])]
    number, blank = len(above), not b"".join(above).strip()
    goes_on = b"".join(lines[: number + 1]).count(b'"') % 2
    return 0 if blank or goes_on or number > _MOST_ABOVE else number


def is_value(text: str) -> bool:
    """Whether a text is a number or a date."""
    return bool(_NUMBER.fullmatch(text) or _DATE.fullmatch(text))


def names_of(head: bytes, dialect: Dialect, path: Path) -> tuple[str, ...]:
    """The names of the columns: those of the header, and numbers from 1 where there is none.

    A header may end in an empty name too many; or it lacks that of the first column, as R writes
    it, which is warned of. Raises ``InputError`` where two columns have one name.
    """
    first, *rows = first_rows(head, shape_of(dialect.separator, dialect.quoted))
    more = {len(row) for row in rows} if dialect.header else {len(first)}
    if more == {len(first) - 1} and not first[-1].strip():
        first = first[:-1]
    elif more == {len(first) + 1} and len(first) > 1:
        warnings.warn(f"{path}: a name less than columns; the first one has none", stacklevel=3)
        first = ["", *first]
    if len(first) > _COLUMNS:
        found = f"{len(first):,} columns"
        raise InputError("too many columns", where=path, found=found, expected=f"{_COLUMNS:,}")
    names = [name.strip() if dialect.header else "" for name in first]
    for place, name in enumerate(names, 1):
        if not name:
            names[place - 1] = f"column {place}" if str(place) in names else str(place)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError("two columns of one name", where=path, found=repr(twice))
    return tuple(names)


def has_header(rows: list[list[str]]) -> bool:
    """Whether the first of the rows names the columns."""
    first, *rest = [[field.strip() for field in row] for row in rows] or [[]]
    rest = [row for row in rest if len(row) == len(first)]
    if not rest:
        return bool(first) and not any(map(_NUMBER.fullmatch, first))
    columns = [
        (name, [value for value in values if value not in MISSING])
        for name, values in zip(first, zip(*rest, strict=True), strict=True)
    ]
    if any(_named(name, values) for name, values in columns):
        return True
    recurring = any(name in values for name, values in columns if name)
    if any(map(_NUMBER.fullmatch, first)):
        like = any(field.isdecimal() for row in rest for field in row)
        return _counts(first, 8 if like else 3) and not _counts(rest[0], 3) and not recurring
    names = all(not name or _NAME.fullmatch(name) for name in first)
    usual = [name.lower() in _USUAL for name in first]
    if not names or len(set(first)) < len(first) or (recurring and 2 * sum(usual) <= len(first)):
        return False
    return any(usual) or any(_unlike(name, values) for name, values in columns if name)


def _named(name, values):
    """Whether all values are numbers, or all dates, and the name is neither."""
    if not values or name in MISSING or is_value(name):
        return False
    return any(all(map(kind.fullmatch, values)) for kind in (_NUMBER, _DATE))


def _counts(row, least):
    """Whether the numbers in a row follow each other, three beside names or ``least`` of them."""
    numbers = [field for field in row if _NUMBER.fullmatch(field)]
    if len(numbers) < (least if len(numbers) == len(row) else 3):
        return False
    if not all(field.isdecimal() and len(field) < 10 for field in numbers):
        return False
    return [int(field) - int(numbers[0]) for field in numbers] == [*range(len(numbers))]


def _unlike(name, values):
    """Whether a name is none of the values of a column: these repeat, or are sentences."""
    if len(values) < 3:
        return False
    repeated = len(set(values)) <= len(values) / 2
    words = statistics.median(len(value.split()) for value in values)
    return repeated or (len(name.split()) == 1 and words >= 4)


def _score(head, whole, shape):
    """Whether quotes are sound, and the fraction of rows with the usual number of fields.

    The fraction is 0 where that number is one, or is that of less than half of the rows.
    """
    fault = shape.fault(head[shape.end(head) :])
    sound = fault is None or (not whole and fault[1] == shape.UNCLOSED)
    _, part = _usual_width(head, shape)
    return sound, part if part >= 0.5 else 0


def _usual_width(data, shape):
    """The usual number of fields, and the fraction of rows that have it; 0 where that is one."""
    widths = [shape.width(data[start:end]) for start, end in _spans(data, shape)]
    width = statistics.mode(widths or [1])
    return width, widths.count(width) / len(widths) if width > 1 else 0


def _literal_quotes(head):
    """Whether tabs separate, and most fields that begin with a quote are in no quotes."""
    rows = first_rows(head, shape_of("\t", False))
    quoted = [field for row in rows for field in row if field.startswith('"')]
    sound = sum(_IN_QUOTES.fullmatch(field) is not None for field in quoted)
    return len({len(row) for row in rows}) == 1 < len(rows[0]) and sound < len(quoted) / 2


def _spans(head, shape):
    return [span for span, _ in zip(shape.rows(head), range(_ROWS), strict=False)]


def first_rows(head: bytes, shape: Shape) -> list[list[str]]:
    """The fields of the rows that tell the dialect."""
    return [shape.fields(head[start:end]) for start, end in _spans(head, shape)]


def _notation(rows):
    """How numbers are written; ``.`` is the decimal mark unless only ``,`` can be."""
    fields = [field.strip() for row in rows for field in row if "," in field or "." in field]
    marks = {mark for mark in (",", ".") if any(_has_decimal(field, mark) for field in fields)}
    decimal = "," if marks == {","} else "."
    return Notation(decimal, any(map(_GROUPED[decimal].fullmatch, fields)))


def _has_decimal(field, mark):
    """Whether a mark in a field can only be that of a fraction."""
    grouped = mark in field and _GROUPED[mark].fullmatch(field)
    return bool(grouped or _DECIMAL[mark].fullmatch(field))
