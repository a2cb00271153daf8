"""UTF-8 text, in pieces or in lines."""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Iterator

from kerasrnn.errors import InputError
from kerasrnn.files import check_regular


def read_text(
    path: str | os.PathLike, chunk_size: int = 1 << 24, where: str | os.PathLike | None = None
) -> Iterator[str]:
    """The text of a UTF-8 file in pieces, with every line end as ``\\n`` and no byte order mark.

    where: what messages call the file, by default its path.

    Raises:
        InputError: no regular file, binary, or not UTF-8; the byte offset is named.
    """
    check_regular(path)
    try:
        with open(path, "rb") as file:
            yield from _decode(file, chunk_size, path if where is None else where)
    except OSError as error:
        raise InputError(f"cannot read {path}", found=error.strerror) from error


def read_lines(path: str | os.PathLike) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 file with their numbers, from 1. Raises as ``read_text`` does."""
    return enumerate("".join(read_text(path)).split("\n"), 1)


def read_standard_input() -> str:
    """The text of standard input. Raises as ``read_text`` does."""
    return "".join(_decode(sys.stdin.buffer, 1 << 24, "standard input"))


def _decode(file, chunk_size, where):
    decoder = codecs.getincrementaldecoder("utf-8")()
    newlines = io.IncrementalNewlineDecoder(None, translate=True)
    offset, mark = 0, "\ufeff"
    while True:
        data = file.read(chunk_size)
        if b"\0" in data:
            raise InputError(
                "not a text file",
                where=where,
                found=f"a zero byte at offset {offset + data.index(0):,}",
            )
        kept = len(decoder.getstate()[0])  # bytes of a character cut by the last piece
        try:
            text = decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            raise InputError(
                "not UTF-8",
                where=where,
                found=f"byte {error.object[error.start]:#04x} at offset "
                f"{offset - kept + error.start:,}",
                fix="convert it to UTF-8",
            ) from error
        text = newlines.decode(text, final=not data)
        if text:
            yield text.removeprefix(mark)
            mark = ""
        if not data:
            return
        offset += len(data)
