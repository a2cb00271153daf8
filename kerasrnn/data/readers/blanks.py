"""Tables of numbers whose columns are set apart by blanks, as NumPy's ``savetxt`` writes them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence

from kerasrnn.data.readers.numbers import MISSING
from kerasrnn.data.readers.part_files import head_of

_VALUE = re.compile(
    r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|\d{1,4}[-/]\d{1,2}[-/]\d{1,4}(T\S*)?"
    r"|\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?"
)
_COMMENTS = re.compile(r"(?:#.*(?:\r?\n|\Z)|\r?\n)*")
_ENDS = re.compile(r"^[ \t]+|[ \t]+(?=\r?$)", re.MULTILINE)
_GAP = re.compile(r"[ \t]+")
_FEWEST = 3  # lines
_HEAD = 1 << 20  # bytes


def is_at_blanks(path: str | os.PathLike) -> bool:
    """Whether the first lines of a file are ``at_blanks``."""
    return at_blanks(head_of(path, _HEAD))


def at_blanks(lines: Sequence[str]) -> bool:
    """Whether lines hold numbers, dates and clock times alone, as many each, between blanks.

    The first line may be names. Comments at the beginning do not count.

    >>> at_blanks(["# x y", "1.0  2", " 1.5 nan", "2e-3 4"]), at_blanks(["1,5", "2,5", "3,5"])
    (True, False)
    """
    if any(re.search("[\t,;|]", line) for line in lines[-_FEWEST:]):
        return False
    rows = [row for line in lines if (row := line.split()) and not line.startswith("#")]
    if len(rows) < _FEWEST or len(set(map(len, rows))) > 1:
        return False
    return all(_VALUE.fullmatch(word) or word in MISSING for row in rows[1:] for word in row)


def at_tabs(pieces: Iterable[str]) -> Iterator[str]:
    """The pieces of such a text with a tab between columns, as many lines as before.

    Of the comments at the beginning the last stays, as names, where it has as many words as the
    first row.

    >>> "".join(at_tabs(["# x y\\n 1.0  2 \\n3", " 4"]))
    'x\\ty\\n1.0\\t2\\n3\\t4'
    """
    rest, begun = "", False
    for piece in pieces:
        lines, end, rest = (rest + piece).rpartition("\n")
        if lines or end:
            yield _GAP.sub("\t", _ENDS.sub("", lines if begun else _named(lines))) + end
            begun = True
    if rest:
        yield _GAP.sub("\t", _ENDS.sub("", rest if begun else _named(rest)))


def _named(text):
    """A text whose comments at the beginning are empty lines, but for one of names."""
    comments = _COMMENTS.match(text)[0]
    *others, last = comments.rstrip("\r\n").split("\n")
    row = text[len(comments) :].split("\n")[0]
    names = last.removeprefix("#") if len(last[1:].split()) == len(row.split()) else ""
    if not comments.strip():
        return text
    ends = comments[len(comments.rstrip("\r\n")) :]
    return "\n" * len(others) + names + ends + text[len(comments) :]
