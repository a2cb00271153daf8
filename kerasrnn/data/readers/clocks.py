"""Columns of tables as times."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kerasrnn.data.readers.numbers import Notation, is_missing, to_numbers

_CLOCK = (
    r"(?:(?:[T ]|, ?) *(?P<H>\d{1,2})(?::(?P<M>\d{2})(?::(?P<S>\d{2})(?:[.,](?P<f>\d{1,9}))?)?)?"
    r" ?(?P<p>[AaPp][Mm])?(?P<z> ?(?:Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?))?)?$"
)
_MONTHS = {"jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6, "jul": 7, "aug": 8}
_MONTHS |= {"sep": 9, "oct": 10, "nov": 11, "dec": 12}
_QUARTERS = {f"q{number}": 3 * number - 2 for number in (1, 2, 3, 4)}  # their first months
_NAME = (
    r"(?P<n>(?i:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|"
    r"sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?))\.?"
)
_DATES = {  # what comes first: the pattern of a date
    "iso": r"^(?P<y>\d{4})-(?P<m>\d{1,2})(?:-(?P<d>\d{1,2}))?",
    "year": r"^(?P<y>\d{4})[/.](?P<m>\d{1,2})[/.](?P<d>\d{1,2})",
    "compact": r"^(?P<y>(?:19|20)\d{2})(?P<m>\d{2})(?P<d>\d{2})?",
    "dots": r"^(?P<d>\d{1,2})\.(?P<m>\d{1,2})\.(?P<y>\d{4})",
    "day": r"^(?P<d>\d{1,2})[/-](?P<m>\d{1,2})[/-](?P<y>\d{4})",
    "month": r"^(?P<m>\d{1,2})[/-](?P<d>\d{1,2})[/-](?P<y>\d{4})",
    "day, short year": r"^(?P<d>\d{1,2})[/-](?P<m>\d{1,2})[/-](?P<s>\d{2})",
    "month, short year": r"^(?P<m>\d{1,2})[/-](?P<d>\d{1,2})[/-](?P<s>\d{2})",
    "named day": rf"^(?:(?P<d>\d{{1,2}})[ .-]*[ -])?{_NAME}[ ,-]+(?P<y>\d{{4}})",
    "named day, short year": rf"^(?P<d>\d{{1,2}})[ .-]*[ -]{_NAME}[ ,-]+(?P<s>\d{{2}})",
    "named, short year": rf"^{_NAME}[ -](?P<s>\d{{2}})",
    "named month": rf"^{_NAME} (?P<d>\d{{1,2}}),? +(?P<y>\d{{4}})",
    "named year": rf"^(?P<y>\d{{4}})[ -]{_NAME}(?:[ -](?P<d>\d{{1,2}}))?",
    "quarter": r"^(?P<y>\d{4})[ -]?(?P<n>[Qq][1-4])",
    "first quarter": r"^(?P<n>[Qq][1-4])[ -]?(?P<y>\d{4})",
    "short": r"^(?P<y>\d{1,3})-(?P<m>\d{2})",  # the months of years that are counted, as 1-01
}
_LIKE_IDS = ("short", "named, short year")  # what ids, or days without a year, look like too
_AMBIGUOUS = (["day", "month"], ["day, short year", "month, short year"])
_PIVOT = 69  # of two digits, the first year that is one of 1900 and on, as POSIX has it
_DAY = 86_400_000_000  # microseconds


class Clock(NamedTuple):
    """How the times of a column are written.

    kind: ``"numbers"``, a key of the patterns of dates, ``"open"`` where day and month cannot be
    told apart, or ``""`` for no times. zoned: with a zone.
    """

    kind: str
    zoned: bool = False


def clock_of(array: pa.Array, notation: Notation) -> Clock:
    """How the times of the head of a column are written."""
    if not pa.types.is_string(array.type):
        temporal = pa.types.is_temporal(array.type)
        return Clock("time" if temporal else "numbers")
    text = pc.utf8_trim_whitespace(array)
    text = text.filter(pc.invert(is_missing(text)))
    fits = [kind for kind in _DATES if len(text) and _fits(text, kind)]
    if fits in _AMBIGUOUS:
        fits = [kind for kind in fits if _is_even(_parse(text, kind)[0])]
        if len(fits) != 1:
            return Clock("open")
    if fits:
        zones = _parse(text, fits[0])[1]
        return Clock(fits[0], bool(zones.mean() > 0.5))
    if to_numbers(text, notation)[1] is None:
        return Clock("numbers")
    # A defect among times: the format that most have tells which it is.
    counts = {kind: _count(text, kind) for kind in _DATES if kind not in _LIKE_IDS}
    best = max(counts, key=counts.get)
    return Clock(best if counts[best] else "")


def to_times(array: pa.Array, clock: Clock) -> tuple[np.ndarray, int | None]:
    """datetime64[us] (rows,), NaT where missing, in UTC; and the first row that is no such time."""
    if not pa.types.is_string(array.type):
        if pa.types.is_timestamp(array.type) and array.type.tz:
            array = array.cast(pa.timestamp(array.type.unit, "UTC"))
            array = array.cast(pa.timestamp(array.type.unit))
        try:
            times = array.cast(pa.timestamp("us"), safe=False)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            return np.full(len(array), "NaT", "datetime64[us]"), 0
        return times.to_numpy(zero_copy_only=False).astype("datetime64[us]"), None
    text = pc.utf8_trim_whitespace(array)
    missing = is_missing(text).to_numpy(zero_copy_only=False)
    times = np.full(len(text), np.datetime64("NaT"), "datetime64[us]")
    found, zoned, bad = _parse(text.filter(pa.array(~missing)), clock.kind)
    places = np.flatnonzero(~missing)
    if bad is None and (zoned != clock.zoned).any():
        bad = int((zoned != clock.zoned).argmax())
    if bad is not None:
        return times, int(places[bad])
    times[places] = found
    return times, None


def _fits(text, kind):
    """Whether all are times of a kind; those that ids may look like follow each other besides."""
    if _count(text, kind) < len(text):
        return False
    found, _, bad = _parse(text, kind)
    if bad is not None or kind not in _LIKE_IDS:
        return bad is None
    months = found.astype("datetime64[M]").astype(int)
    steps = np.diff(months)
    if kind == "short":
        return bool(len(months) > 2 and (steps == 1).all())
    days = (steps % 12 == 0).all() and ((months >= 372) & (months < 744)).all()  # Jan 1 to 31
    return bool((steps > 0).all() or (steps < 0).all()) and not days


def _is_even(times):
    """Whether times follow each other at one distance, or at one of months."""
    months = times.astype("datetime64[M]")
    days, steps = np.unique(times - months), np.unique(np.diff(months))
    return len(times) > 2 and 1 in (len(np.unique(np.diff(times))), max(len(days), len(steps)))


def _count(text, kind):
    return pc.sum(pc.match_substring_regex(text, _DATES[kind] + _CLOCK)).as_py() or 0


def _parse(text, kind):
    """Times, whether each has a zone, and the first row that is none, or None."""
    parts = pc.extract_regex(text, _DATES[kind] + _CLOCK)
    valid = parts.is_valid()
    names = {field.name for field in parts.type}

    def word(name):
        return pc.if_else(valid, parts.field(name) if name in names else "", "")

    def part(name, default=0):
        words = pc.if_else(pc.equal(word(name), ""), str(default), word(name))
        return words.cast(pa.int64()).to_numpy(zero_copy_only=False)

    year, month, day = part("y"), part("m", 1), part("d", 1)
    if "s" in names:
        year = part("s") + np.where(part("s") < _PIVOT, 2000, 1900)
    if "n" in names:
        month = _months(word("n"))
    hour, minute, second = part("H"), part("M"), part("S")
    micro = pc.utf8_slice_codeunits(pc.utf8_rpad(word("f"), 6, "0"), 0, 6)
    micro = micro.cast(pa.int64()).to_numpy(zero_copy_only=False)
    half = pc.utf8_lower(word("p"))
    zones = pc.utf8_ltrim_whitespace(word("z"))
    pm, am = (pc.equal(half, word).to_numpy(zero_copy_only=False) for word in ("pm", "am"))
    bad = ~valid.to_numpy(zero_copy_only=False) | (pm | am) & ((hour < 1) | (hour > 12))
    hour = np.where(pm & (hour < 12), hour + 12, np.where(am & (hour == 12), 0, hour))
    bad |= (year < 1) | (month < 1) | (month > 12) | (day < 1) | (minute > 59) | (second > 59)
    bad |= (hour > 24) | ((hour == 24) & (minute + second + micro > 0))
    month = np.clip(month, 1, 12)
    first = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    last = ((first + 1).astype("datetime64[D]") - first.astype("datetime64[D]")).astype(int)
    bad |= day > last
    zoned = pc.not_equal(zones, "").to_numpy(zero_copy_only=False)
    if bad.any():
        return None, zoned, int(bad.argmax())
    days = first.astype("datetime64[D]").astype(int) + day - 1
    seconds = (hour * 60 + minute) * 60 + second - _offsets(zones)
    return (days * _DAY + seconds * 1_000_000 + micro).astype("datetime64[us]"), zoned, None


def _months(words):
    """The numbers of months by their names, or of the first ones of quarters."""
    numbers = {**_MONTHS, **_QUARTERS, "": 1}
    return np.array([numbers[word.lower()[:3]] for word in words.to_pylist()], int)


def _offsets(zones):
    """Seconds east of Greenwich."""
    known = {}
    for zone in zones.unique().to_pylist():
        digits = zone[1:].replace(":", "").ljust(4, "0") if zone[:1] in ("+", "-") else "0000"
        seconds = int(digits[:2]) * 3600 + int(digits[2:]) * 60
        known[zone] = -seconds if zone[:1] == "-" else seconds
    codes = zones.dictionary_encode()
    table = np.array([known[zone] for zone in codes.dictionary.to_pylist()] or [0])
    return table[codes.indices.to_numpy(zero_copy_only=False)] if len(zones) else 0
