"""JSON Lines of flat objects, or a small list of them, as batches of columns."""

from __future__ import annotations

import itertools
import json
import math
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from kerasrnn.data.readers.numbers import MISSING, Notation
from kerasrnn.data.readers.part_files import first_text
from kerasrnn.data.readers.text_files import read_lines, read_pieces, read_text
from kerasrnn.errors import InputError

NAMES = ("*.jsonl", "*.ndjson", "*.json")
LONGEST = 1 << 26  # characters of a line, or of a whole list
_ROWS, _SIZE = 10_000, 1 << 24  # of a batch, and characters; the first tells columns and types
_EXACT = 1 << 53  # whole numbers up to here are exact as float64
_BEGINS = re.compile(r'\s*(\[\s*)?\{\s*["}]')
_SPACE = re.compile(r"[ \t\r\n]*+")


class JsonLines:
    """The objects of a file; see ``tables.Table`` for its attributes."""

    header = True
    notation = Notation()

    def __init__(self, path: Path, encoding: str | None):
        self.path, self.encoding = path, encoding
        head = next(self._blocks(), None)
        if head is None:
            raise InputError("an empty table", where=path)
        self._types = _types(head)
        self.nested = tuple(key for key, kind in self._types.items() if kind is None)
        self.columns = tuple(key for key in self._types if key not in self.nested)
        self.description = "JSON Lines" if not self._is_list() else "a list of JSON objects"

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Batches of columns; a key that an object has not is null."""
        known = {*self._types}
        for rows in self._blocks():
            for line, row in rows:
                if not row.keys() <= known:
                    late = next(key for key in row if key not in known)
                    known.add(late)
                    text = f"{self.path}:{line}: the key {late!r} is left out, as it comes late"
                    warnings.warn(text, stacklevel=2)
            arrays = [_array(rows, key, self._types[key], self.path) for key in columns]
            yield pa.record_batch(arrays, names=list(columns))

    def line(self, row: int) -> str:
        """``path:line`` of a row."""
        found = next(itertools.islice(self.objects(), row, None), None)
        return f"{self.path}:{found[0]}" if found else str(self.path)

    def _blocks(self):
        """Lists of rows, each the number of its line and its object."""
        block, size = [], 0
        for line, row, length in self.objects():
            block.append((line, row))
            size += length
            if len(block) == _ROWS or size > _SIZE:
                yield block
                block, size = [], 0
        if block:
            yield block

    def _is_list(self):
        for piece in read_pieces(self.path, 1 << 16, encoding=self.encoding):
            if text := piece.lstrip():
                return text[0] == "["
        return False

    def objects(self):
        """The number of the line of each row, its object, and the characters of that."""
        rows = self._of_list() if self._is_list() else self._of_lines()
        for line, value, length in rows:
            if not isinstance(value, dict):
                found = type(value).__name__
                where = f"{self.path}:{line}"
                raise InputError("no JSON object", where=where, found=f"a {found}")
            yield line, value, length

    def _of_lines(self):
        for number, line in read_lines(self.path, encoding=self.encoding, longest=LONGEST):
            if line.strip(" \t\r\n"):
                value, end = _decode(line, _SPACE.match(line).end(), self.path, number)
                if rest := line[end:].strip(" \t\r\n"):
                    where = f"{self.path}:{number}"
                    raise InputError("text after a JSON object", where=where, found=rest[:40])
                yield number, value, len(line)

    def _of_list(self):
        text = self._whole()
        at, line = text.index("[") + 1, 1 + text.count("\n", 0, text.index("["))
        first = True
        while True:
            space = _SPACE.match(text, at).end()
            at, line = space, line + text.count("\n", at, space)
            mark = text[at : at + 1]
            if mark == "]":
                break
            if not first:
                if mark != ",":
                    self._broken(line, text[at:], "',' or ']'")
                space = _SPACE.match(text, at + 1).end()
                at, line = space, line + text.count("\n", at, space)
            value, end = _decode(text, at, self.path, line)
            yield line, value, end - at
            line += text.count("\n", at, end)
            at, first = end, False
        rest = _SPACE.match(text, at + 1).end()
        if rest < len(text):
            self._broken(line + text.count("\n", at, rest), text[rest:], "nothing after ']'")

    def _broken(self, line, text, expected):
        found = repr(text[:40]) if text else "the end of the file"
        where = f"{self.path}:{line}"
        raise InputError("a broken JSON list", where=where, found=found, expected=expected)

    def _whole(self):
        pieces, size = [], 0
        for piece in read_text(self.path, encoding=self.encoding):
            pieces.append(piece)
            size += len(piece)
            if size > LONGEST:
                fix = "write an object a line, as .jsonl"
                raise InputError("a JSON list too large", where=self.path, fix=fix)
        return "".join(pieces)


def holds_objects(path: Path) -> bool:
    """Whether a file begins with an object, or with a list of such."""
    return bool(_BEGINS.match(first_text(path)))


class _Refused(ValueError):
    """JSON that no table has."""


def _pairs(pairs):
    row = dict(pairs)
    if len(row) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _Refused(f"the key {next(key for key in keys if keys.count(key) > 1)!r} twice")
    return row


def _constant(word):
    raise _Refused(f"{word}, which is no JSON; write null for a missing value")


_DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_constant)


def _decode(text, at, path, line):
    try:
        return _DECODER.raw_decode(text, at)
    except json.JSONDecodeError as error:
        found = repr(text[error.pos : error.pos + 40]) if error.pos < len(text) else "its end"
        column = error.pos - text.rfind("\n", 0, error.pos)
        line += text.count("\n", at, error.pos)
        where = f"{path}:{line}"
        raise InputError(f"broken JSON at column {column}", where=where, found=found) from error
    except (ValueError, RecursionError) as error:
        found = str(error) if isinstance(error, _Refused) else "a number or nesting too large"
        raise InputError("broken JSON", where=f"{path}:{line}", found=found) from error


def _types(head):
    """The type of each column, from the first rows; None for nested values."""
    kinds, largest = {}, {}
    for _, row in head:
        for key, value in row.items():
            found = kinds.setdefault(key, set())
            if value is not None:
                found.add(type(value))
            if type(value) is int:
                largest[key] = max(largest.get(key, 0), abs(value))
    types = {}
    for key, found in kinds.items():
        if found and found <= {dict, list}:
            types[key] = None
        elif found == {bool}:
            types[key] = pa.bool_()
        elif found and found <= {int, float} and largest.get(key, 0) <= _EXACT:
            types[key] = pa.float64()
        elif found == {int} and largest[key] < 2**63:
            types[key] = pa.int64()
        else:
            types[key] = pa.string()
    return types


def _array(rows, key, kind, path):
    """A column; rows: the number of the line and the object of each."""
    values = [row.get(key) for _, row in rows]
    try:
        array = pa.array(values, kind)
        if kind != pa.float64() or not np.isinf(array.to_numpy(zero_copy_only=False)).any():
            return array
    except (pa.ArrowException, UnicodeError, OverflowError, TypeError, ValueError):
        pass
    values = [
        _value(value, kind, f"{path}:{line}", key)
        for (line, _), value in zip(rows, values, strict=True)
    ]
    return pa.array(values, kind)


def _value(value, kind, where, key):
    """A value as one of its column's type."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(value, dict | list):
        raise InputError(f"a nested value of {key!r}", where=where, expected="a string or number")
    if kind == pa.string() and value is not None:
        text = value if isinstance(value, str) else json.dumps(value)
        if any("\ud800" <= mark <= "\udfff" for mark in text):
            raise InputError(f"half a character in {key!r}", where=where, found=ascii(text[:40]))
        return text
    if isinstance(value, str) and value.strip() in MISSING:
        return None
    fits = value is None or (kind == pa.bool_() and isinstance(value, bool))
    if number and kind == pa.float64():
        fits = math.isfinite(value) and (isinstance(value, float) or abs(value) <= _EXACT)
    elif number and kind == pa.int64():
        fits = math.isfinite(value) and value == int(value) and abs(value) < 2**63
    if fits:
        return value
    raise InputError(
        f"a value of {key!r} unlike those before",
        where=where,
        found=json.dumps(value)[:40],
        expected={pa.bool_(): "true or false", pa.int64(): "a whole number"}.get(
            kind, "a finite number"
        ),
    )
