"""Labelled sentences in a file of any format: columns, or a table of tokens."""

from __future__ import annotations

import os
from collections.abc import Iterator

from kerasrnn.data.readers import conll, token_tables


def read(
    path: str | os.PathLike, label: str | None = None, encoding: str | None = None
) -> Iterator[tuple[list[str], list[str]]]:
    """The sentences of a file: tokens and a label for each. Arguments as of ``conll.read``."""
    if columns := token_tables.find(path, encoding):
        return token_tables.read(path, columns, label, encoding)
    return conll.read(path, label, encoding)


def read_tokens(path: str | os.PathLike, encoding: str | None = None) -> list[list[str]]:
    """The tokens of each sentence of a file, which may lack labels."""
    return [tokens for tokens, _ in read(path, "form", encoding)]


def label_of(path: str | os.PathLike, encoding: str | None = None) -> str | None:
    """The column that is the label, where that is not the last; said where it may be another."""
    if columns := token_tables.find(path, encoding):
        return token_tables.label_of(path, columns)
    return conll.label_of(path, encoding)
