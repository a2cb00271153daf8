"""Text in pieces or in lines: UTF-8 or an encoding that is named, gzipped or not."""

from __future__ import annotations

import codecs
import gzip
import io
import logging
import os
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from kerasrnn.errors import InputError, memory_limit
from kerasrnn.files import check_regular

_log = logging.getLogger(__name__)
_PIECE = 1 << 24  # bytes that are read at once
_BOMB = 1 << 23  # characters from which on a gzip file is looked at as one
_MOST_UNPACKED = 100  # times its size; real text is packed to a tenth
_LARGE = 1 << 26  # bytes of a file whose reading takes its time
_BINARY = {  # how files begin that hold no text, and what they are
    b"PK\x03\x04": "a ZIP archive, as workbooks of Excel are",
    b"\xd0\xcf\x11\xe0": "an old document of Office, such as .xls",
    b"\x89HDF": "HDF5",
    b"%PDF": "PDF",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"7z\xbc\xaf": "7z",
}
MARKS = {  # byte order marks, the longer first, and what they say
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def read_text(
    path: str | os.PathLike,
    where: str | os.PathLike | None = None,
    *,
    encoding: str | None = None,
) -> Iterator[str]:
    """The text of a file in pieces, with every line end as ``\\n`` and no byte order mark.

    where: what messages call the file, by default its path. encoding: a codec of Python; by
    default UTF-8, or UTF-16 or UTF-32 by its byte order mark. A gzipped file is unpacked.

    Raises:
        InputError: no regular file, binary, damaged, or of another encoding; the line and the
            byte are named, and an encoding that reads it.
    """
    return _with_newlines(read_pieces(path, _PIECE, where, encoding=encoding))


def read_pieces(
    path: str | os.PathLike,
    chunk_size: int,
    where: str | os.PathLike | None = None,
    *,
    encoding: str | None = None,
) -> Iterator[str]:
    """As ``read_text``, with line ends as they are."""
    where = path if where is None else where
    with open_unpacked(path, where) as file:
        yield from _reported(_decode(file, chunk_size, where, encoding), file, where)


def read_lines(
    path: str | os.PathLike, *, encoding: str | None = None, longest: int | None = None
) -> Iterator[tuple[int, str]]:
    """The lines of a file with their numbers, from 1.

    longest: the characters of a line at most; by default all lines together are limited by the
    memory, which a small gzipped file may exceed. Raises what ``read_text`` does, and
    ``InputError`` beyond that.
    """
    what, most = ("text", memory_limit() // 4) if longest is None else ("line", longest)
    number, size, begun = 1, 0, []
    for piece in read_text(path, encoding=encoding):
        first, *others = piece.split("\n")
        begun.append(first)
        size += len(piece if longest is None else first)
        if size > most:
            raise InputError(f"a {what} too large for the memory", where=f"{path}:{number}")
        for line in others:
            yield number, "".join(begun)
            number, begun = number + 1, [line]
            size = size if longest is None else len(line)
    yield number, "".join(begun)


def read_standard_input() -> str:
    """The text of standard input. Raises as ``read_text`` does."""
    return "".join(_with_newlines(_decode(sys.stdin.buffer, _PIECE, "standard input", None)))


def line_ends(text: str | bytes) -> int:
    """The number of line ends in a text, ``\\n``, ``\\r\\n`` or ``\\r``.

    >>> line_ends("a\\r\\nb\\r\\n"), line_ends(b"a\\rb\\n")
    (2, 2)
    """
    new, old = ("\n", "\r") if isinstance(text, str) else (b"\n", b"\r")
    returns = text.count(old)
    return text.count(new) + (returns - text.count(old + new) if returns else 0)


@contextmanager
def open_unpacked(path: str | os.PathLike, where: str | os.PathLike | None = None):
    """A binary file, unpacked if it is gzipped; what reading it raises is an ``InputError``.

    where: what messages call the file, by default its path.
    """
    where = path if where is None else where
    check_regular(path)
    try:
        with open(path, "rb") as file:
            packed = file.peek(2)[:2] == b"\x1f\x8b"
            yield gzip.GzipFile(fileobj=file) if packed else file
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        fix = "copy or download it again"
        raise InputError("a damaged gzip file", where=where, found=error, fix=fix) from error
    except OSError as error:
        raise InputError(f"cannot read {path}", found=error.strerror) from error


def _reported(pieces, file, where):
    """The pieces; of a large file the log says how far it was read.

    Raises ``InputError`` where little unpacks to very much.
    """
    raw = getattr(file, "fileobj", file)
    size, said, unpacked = os.fstat(raw.fileno()).st_size, None, 0
    for piece in pieces:
        unpacked += len(piece)
        if unpacked > max(_BOMB, _MOST_UNPACKED * raw.tell()):
            raise InputError(
                "a gzip file that unpacks to far more than it holds",
                where=where,
                found=f"{unpacked:,} characters of {raw.tell():,} bytes",
                fix="unpack it, if that is meant",
            )
        percent = 100 * raw.tell() // max(size, 1)
        if size > _LARGE and percent != said:
            said = percent
            _log.info("reading %s: %d %%", where, percent)
        yield piece
    if said is not None:
        _log.info("")  # a terminal's line is empty again


def _with_newlines(pieces):
    newlines = io.IncrementalNewlineDecoder(None, translate=True)
    for piece in pieces:
        if text := newlines.decode(piece):
            yield text
    if text := newlines.decode("", final=True):
        yield text


def _decode(file, chunk_size, where, encoding):
    data = file.read(max(chunk_size, 4))
    if kind := next((kind for begin, kind in _BINARY.items() if data.startswith(begin)), None):
        raise InputError(
            "not a text file", where=where, found=kind, fix="save it as CSV or text, or unpack it"
        )
    if encoding is None:
        encoding = next((name for mark, name in MARKS.items() if data.startswith(mark)), "utf-8")
    decoder = _decoder(encoding)
    offset, line, mark, returned = 0, 1, "\ufeff", False
    while True:
        kept = len(decoder.getstate()[0])  # bytes of a character cut by the last piece
        try:
            text = decoder.decode(data, final=not data)
            text.encode()  # no lone surrogates
        except UnicodeError as error:
            raise _undecodable(error, data, encoding, where, offset - kept, line) from error
        if "\0" in text:
            at = data.find(b"\0")
            raise InputError(
                "not a text file",
                where=f"{where}:{line + line_ends(text[: text.index(chr(0))])}",
                found=f"a zero byte at offset {offset + at:,}",
                fix=f"add --encoding {wide} if it is one" if (wide := _wide(data)) else None,
            )
        if text:
            yield text.removeprefix(mark)
            mark = ""
        if not data:
            return
        line += line_ends(text) - (returned and text.startswith("\n"))
        returned = text.endswith("\r")  # perhaps half a line end
        offset += len(data)
        data = file.read(chunk_size)


def _decoder(encoding):
    try:
        codec = codecs.lookup(encoding)
        if not codec._is_text_encoding or codec.incrementaldecoder is None:
            raise LookupError
        return codec.incrementaldecoder()
    except (LookupError, ValueError, TypeError) as error:
        raise InputError(
            "unknown encoding", found=repr(encoding), expected="such as utf-8, utf-16 or cp1252"
        ) from error


def _undecodable(error, data, encoding, where, offset, line):
    """The error about bytes that are no text; offset: that of the first byte of its object."""
    name = encoding.upper()
    bad = getattr(error, "object", data)
    if not isinstance(error, UnicodeDecodeError):
        return InputError(f"not {name}", where=f"{where}:{line}", found=error)
    reads = _wide(bad) or _one_byte(bad[error.start :])
    return InputError(
        f"not {name}",
        where=f"{where}:{line + line_ends(bad[: error.start])}",
        found=f"byte {bad[error.start]:#04x} at offset {offset + error.start:,}",
        fix=f"convert it to UTF-8, or add --encoding {reads}, which reads it",
    )


def _wide(data):
    """The encoding of text whose every other byte is zero, or None."""
    half = min(len(data), 1000) // 2
    for name, first in {"utf-16-be": 0, "utf-16-le": 1}.items():
        if half and data[first : 2 * half : 2].count(0) > 0.7 * half:
            return name
    return None


def _one_byte(data):
    try:
        data.decode("cp1252")
    except UnicodeDecodeError:
        return "latin-1"
    return "cp1252"
