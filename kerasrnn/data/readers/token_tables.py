"""Tables of sentences: a token a row beside the number of its sentence, or lists in JSON Lines."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from kerasrnn.data.columns import words_of
from kerasrnn.data.readers.conll import are_entities, sentences_of
from kerasrnn.data.readers.json_lines import NAMES, JsonLines
from kerasrnn.data.readers.part_files import TABLES, first_text, is_named
from kerasrnn.errors import InputError

_SENTENCES = {"sentence", "sentences", "sent"}  # words in the names of columns
_TOKENS = {"word", "words", "token", "tokens", "form"}
_LABELS = {"tag", "tags", "label", "labels", "ner", "pos", "upos", "xpos", "iob", "bio", "entity"}
_ROWS = 1000  # that are looked at


class Columns(NamedTuple):
    """The columns of such a table.

    token: of the tokens. labels: of what may be their label, that by default first. sentence: of
    the number of the sentence, or None where each row is one, with lists.
    """

    token: str
    labels: tuple[str, ...]
    sentence: str | None = None


def find(path: str | os.PathLike, encoding: str | None = None) -> Columns | None:
    """The columns of such a table, by their names and first values; None for another file.

    A token a row: the columns ``sentence`` (``Sentence #``, ``sentence_id``, …), ``word`` or
    ``token``, and ``tag``, ``label``, ``ner``, ``pos``, …; an empty number of a sentence is that
    of the row above. Of several labels those of entities come first, then the last column. In
    JSON Lines: objects with a list of tokens and a list of as many labels.
    """
    path = Path(path)
    named = is_named(path, *TABLES, "*.txt")
    if not named or not words_of(first_text(path).partition("\n")[0]) & _TOKENS:
        return None
    for codec in (encoding, "latin-1"):  # which reads all, and tells as much
        with suppress(InputError):  # who reads it says what is wrong
            return (_of_lists if is_named(path, *NAMES) else _of_rows)(path, codec)
    return None


def read(
    path: str | os.PathLike, columns: Columns, label: str | None, encoding: str | None
) -> Iterator[tuple[list[str], list[str]]]:
    """The sentences of such a table: tokens and a label for each.

    columns: as ``find`` has them. label: the name of the column, or ``"form"`` for the tokens; by
    default the first of the labels. Rows without a token are left out, with a warning.

    Raises:
        InputError: no such column, what the file has wrong, or a token without a label.
    """
    chosen = columns.token if label == "form" else label or next(iter(columns.labels), None)
    if chosen not in (columns.token, *columns.labels):
        raise InputError(
            "no such label column" if label else "no column of labels",
            where=path,
            found=label and repr(label),
            expected=" or ".join(columns.labels) or "a column named tag or label",
        )
    if columns.sentence is None:
        yield from _read_lists(path, columns.token, chosen, encoding)
    else:
        yield from sentences_of(_read_rows(path, columns, chosen, encoding))


def label_of(path: str | os.PathLike, columns: Columns) -> str | None:
    """The column that is the label by default; said where there are others."""
    first, *others = columns.labels or (None,)
    if others:
        warnings.warn(
            f"{path}: the label is {first}; choose another with --label: {', '.join(others)}",
            stacklevel=4,
        )
    return first


def _named(names, wanted):
    return [name for name in names if (words := words_of(name)) and words <= wanted]


def _in_order(labels: dict[str, set]):
    """Names of labels, those of entities first, and the last of others."""
    entities = [name for name, values in labels.items() if are_entities(values)]
    return (*entities, *reversed([name for name in labels if name not in entities]))


def _of_rows(path, encoding):
    from kerasrnn.data.readers.tables import open_table

    table = open_table(path, encoding=encoding)
    sentences = [name for name in table.columns if words_of(name) & _SENTENCES]
    tokens = _named(table.columns, _TOKENS)
    if len(sentences) != 1 or not tokens:
        return None
    head = table.head(_ROWS)
    starts = [begins for begins, _ in _with_starts(zip(table.strings(head, sentences[0])))]
    if 2 * sum(starts) > len(starts):  # texts, say, each with a word of it
        return None
    names = [name for name in _named(table.columns, _LABELS) if name != tokens[0]]
    labels = {name: {*table.strings(head, name)} - {None, ""} for name in names}
    labels = {name: values for name, values in labels.items() if values}
    return Columns(tokens[0], _in_order(labels), sentences[0])


def _with_starts(rows: Iterable[tuple]) -> Iterator[tuple[bool, tuple]]:
    """Whether each row, the number of its sentence first, begins a sentence; and the row."""
    last = None
    for row in rows:
        yield row[0] not in (None, last), row
        last = row[0] or last


def _read_rows(path, columns, label, encoding):
    """Pairs (token, label), with None before each sentence."""
    from kerasrnn.data.readers.tables import open_table

    table, empty = open_table(path, encoding=encoding), 0
    names = (columns.sentence, columns.token, label)
    batches = table.batches(list(dict.fromkeys(names)))
    rows = chain.from_iterable(
        zip(*(table.strings(batch, name) for name in names), strict=True) for batch in batches
    )
    for place, (begins, (_, token, value)) in enumerate(_with_starts(rows)):
        if begins:
            yield None
        if not (token or "").strip():
            empty += 1
        elif not (value or "").strip():
            raise InputError("a token without a label", where=table.line(place), found=repr(value))
        else:
            yield token.strip(), value.strip()
    if empty:
        warnings.warn(f"{path}: {empty:,} rows without a token are left out", stacklevel=2)


def _of_lists(path, encoding):
    _, row, _ = next(JsonLines(path, encoding).objects())
    lists = {name: value for name, value in row.items() if isinstance(value, list)}
    tokens = _named(lists, _TOKENS)
    if not tokens or not all(isinstance(token, str) for token in lists[tokens[0]]):
        return None
    number = len(lists.pop(tokens[0]))
    labels = {
        name: {*map(str, value)}
        for name, value in lists.items()
        if words_of(name) & _LABELS and len(value) == number
    }
    return Columns(tokens[0], _in_order(labels)) if labels else None


def _read_lists(path, token, label, encoding):
    for line, row, _ in JsonLines(path, encoding).objects():
        lists = [row.get(name) for name in (token, label)]
        if not all(isinstance(value, list) for value in lists) or len({*map(len, lists)}) > 1:
            raise InputError(
                f"no lists of {token} and {label} that are of one length",
                where=f"{path}:{line}",
                found=", ".join(repr(value)[:40] for value in lists),
            )
        if any(isinstance(value, (dict, list, type(None))) for value in chain(*lists)):
            raise InputError("a token without a label", where=f"{path}:{line}")
        if lists[0]:
            yield [str(value) for value in lists[0]], [str(value) for value in lists[1]]
