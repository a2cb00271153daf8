"""The standard library's own source, each character with the kind of its token."""

from __future__ import annotations

import io
import keyword
import sys
import sysconfig
import token
import tokenize
from pathlib import Path

import numpy as np

from kerasrnn.errors import InputError
from kerasrnn.text import split_blocks

_EVERY = 3  # of the standard library's files, to keep it quick
_KINDS = {
    token.COMMENT: "comment",
    token.NAME: "name",
    token.NUMBER: "number",
    token.OP: "operator",
    token.STRING: "string",
}


def token_kinds(source: str) -> list[str]:
    """The kind of token that each character of Python source is part of, by ``tokenize``.

    comment, keyword (``keyword.iskeyword``), name, number, operator, string, or
    whitespace: all that is between. From Python 3.12 on, the expressions within an f-string
    are taken apart and only its text is string.

    >>> token_kinds("x = 1")
    ['name', 'whitespace', 'operator', 'whitespace', 'number']
    """
    starts = np.cumsum([0] + [len(line) for line in io.StringIO(source)]).tolist()
    # a brace between tokens is one of a doubled pair in an f-string that is taken apart
    kinds = ["string" if character in "{}" else "whitespace" for character in source]
    for kind, text, (row, column), (last_row, last_column), _ in tokenize.generate_tokens(
        io.StringIO(source).readline
    ):
        name = "keyword" if keyword.iskeyword(text) else _KINDS.get(kind)
        if token.tok_name[kind].startswith(("FSTRING", "TSTRING")):
            name = "string"
        if name is not None:
            begin, end = starts[row - 1] + column, starts[last_row - 1] + last_column
            kinds[begin:end] = [name] * (end - begin)
    return kinds


def read_python(fractions: dict[str, float]) -> dict[str, list[tuple[list[str], list[str]]]]:
    """The (characters, kinds) of blocks of whole lines; each file is in one part only.

    fractions: of the files, for each part that is cut off the training part.

    Raises ``InputError`` where the standard library is there without its source.
    """
    folder = Path(sysconfig.get_path("stdlib"))
    files = _modules(folder)[::_EVERY]
    parts = {}
    for part, fraction in fractions.items():
        if fraction and files:
            number = max(1, int(len(files) * fraction))
            chosen = {files[(i + 1) * len(files) // number - 1] for i in range(number)}
            parts[part] = [block for path in sorted(chosen) for block in _blocks(path)]
            files = [path for path in files if path not in chosen]
    parts["training"] = [block for path in files for block in _blocks(path)]
    if not parts["training"]:
        raise InputError("Python's standard library is here without its source", where=folder)
    return parts


def _modules(folder):
    """Files of the standard library's modules, without tests and generated tables."""
    left_out, names = {"test", "tests", "idle_test", "encodings"}, sys.stdlib_module_names
    tops = [top for top in folder.iterdir() if top.name.removesuffix(".py") in names]
    files = [path for top in tops for path in ([top] if top.is_file() else top.rglob("*.py"))]
    return sorted(
        path
        for path in files
        if path.suffix == ".py" and not left_out & set(path.relative_to(folder).parts)
    )


def _blocks(path):
    with tokenize.open(path) as file:
        text = file.read()
    kinds, begin = token_kinds(text), 0
    for block in split_blocks(text):
        yield list(block), kinds[begin : begin + len(block)]
        begin += len(block)
