"""Columns of tables as numbers; what is none is found by its row."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

UNITS = ("$", "€", "£", "¥", "%")  # one of which all numbers of a column may have
MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "None", "?", "-")  # words of no value


class Notation(NamedTuple):
    """How numbers are written: decimal is ``"."`` or ``","``, and thousands may be grouped."""

    decimal: str = "."
    grouped: bool = False

    @property
    def group(self) -> str:
        """What stands between thousands."""
        return "," if self.decimal == "." else "."

    @property
    def pattern(self) -> str:
        """A regular expression for a number."""
        whole, mark = r"\d+", re.escape(self.decimal)
        if self.grouped:
            whole = rf"(?:\d+|\d{{1,3}}(?:{re.escape(self.group)}\d{{3}})+)"
        return rf"^[+-]?(?:{whole}(?:{mark}\d*)?|{mark}\d+)(?:[eE][+-]?\d+)?$"


def as_strings(array: pa.Array) -> pa.Array:
    """Values as they are written; whole numbers without a point, NaN as null."""
    if pa.types.is_floating(array.type):
        return pa.array([_written(value) for value in array.to_pylist()], pa.string())
    return array.cast(pa.string())


def _written(value):
    if value is None or math.isnan(value):
        return None
    return str(int(value)) if value.is_integer() and abs(value) < 1e16 else repr(value)


def is_missing(array: pa.Array) -> pa.Array:
    """Where an array of strings has no value, as booleans."""
    return pc.or_(
        pc.is_null(array), pc.is_in(pc.utf8_trim_whitespace(array), pa.array(MISSING))
    ).fill_null(True)


def to_numbers(array: pa.Array, notation: Notation) -> tuple[np.ndarray, int | None]:
    """float64 (rows,), NaN where a value is missing, and the first row that is no number.

    That row is None where all are numbers; infinite ones are none.
    """
    kind = array.type
    if pa.types.is_string(kind):
        return _parsed(array, notation)
    if pa.types.is_temporal(kind):
        return np.full(len(array), np.nan), 0 if len(array) else None
    values = array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return values, _first(np.isinf(values))


def _parsed(array, notation):
    if notation.decimal == ".":
        try:
            values = array.cast(pa.float64()).to_numpy(zero_copy_only=False)
        except pa.ArrowInvalid:
            pass
        else:
            odd = ~np.isfinite(values)
            if not odd.any():
                return values, None
            odd[odd] = ~is_missing(array.filter(pa.array(odd))).to_numpy(zero_copy_only=False)
            return values, _first(odd)
    text = pc.utf8_trim_whitespace(array)
    missing = is_missing(text)
    text = pc.if_else(missing, None, text)
    good = pc.match_substring_regex(text, notation.pattern)
    if not pc.all(good).as_py():
        units = (
            pc.replace_substring_regex(text, r"[-+\d.,eE ]", "").drop_null().unique().to_pylist()
        )
        if len(units) == 1 and units[0] in UNITS:
            text = pc.utf8_trim_whitespace(pc.replace_substring(text, units[0], ""))
            good = pc.match_substring_regex(text, notation.pattern)
    bad = _first(~good.fill_null(True).to_numpy(zero_copy_only=False))
    if bad is not None:
        return np.full(len(array), np.nan), bad
    if notation.grouped:
        text = pc.replace_substring(text, notation.group, "")
    if notation.decimal == ",":
        text = pc.replace_substring(text, ",", ".")
    values = text.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return values, _first(np.isinf(values))


def _first(flags):
    """The index of the first True, or None."""
    return int(flags.argmax()) if flags.any() else None
