"""Sentences in columns: CoNLL-U, and the columns of the shared tasks of CoNLL."""

from __future__ import annotations

import itertools
import os
import re
import statistics
import warnings
from collections.abc import Iterator, Sequence

from kerasrnn.data.readers.part_files import head_of, is_named
from kerasrnn.data.readers.text_files import read_lines
from kerasrnn.errors import InputError, check_choice

CONLLU_COLUMNS = (
    *("id", "form", "lemma", "upos", "xpos"),
    *("feats", "head", "deprel", "deps", "misc"),
)

_ENTITY = re.compile(r"O|[BIESLU]-\S+")
_FILLER = re.compile(r"[\W\d_]+")  # what a column holds that says nothing, where it is alone


def read_conllu(
    path: str | os.PathLike, label: str | None = None, encoding: str | None = None
) -> Iterator[tuple[list[str], list[str]]]:
    """The sentences of a CoNLL-U file: tokens and a label for each.

    Comments, the ranges of multiword tokens (``1-2``) and empty nodes (``1.1``) are left out.
    The format is that of Universal Dependencies, https://universaldependencies.org/format.html.

    label: the column that is the label, one of ``CONLLU_COLUMNS`` or its number from 1; by
    default upos. ``_`` is no label, save in feats and misc, where it says that there are none.
    encoding: of the file, UTF-8 where it is None.

    Raises:
        InputError: unknown column, what ``read_text`` raises, or a line that is not CoNLL-U,
            has no label or is not numbered in turn.
    """
    numbers = {str(number): name for number, name in enumerate(CONLLU_COLUMNS, 1)}
    column = "upos" if label is None else numbers.get(str(label), str(label))
    check_choice("label column", column, CONLLU_COLUMNS)
    return sentences_of(_conllu_rows(path, column, encoding))


def read_conll(
    path: str | os.PathLike, label: str | None = None, encoding: str | None = None
) -> Iterator[tuple[list[str], list[str]]]:
    """The sentences of a file of columns: tokens and a label for each.

    The first column is the token, as in the shared tasks of CoNLL 2000 to 2003, or where it holds
    labels of entities the last. Lines that are blank or start with ``-DOCSTART-`` end a sentence.
    Columns are separated by white space, or by tabs only if that alone gives a constant number of
    columns. A line that starts with ``"# "`` is a comment, unless it has as many columns as the
    others and a label that others have. Lines such as ``The/DT cat/NN``, as the Brown Corpus has
    them, are a sentence each.

    label: the number of the column that is the label, from 1, or ``"form"`` for the tokens; by
    default as ``columns_of`` finds it, and then ``_`` is no label. encoding: as of ``read_conllu``.

    Raises:
        InputError: no such column, what ``read_text`` raises, or a line that has no label or
            another number of columns than most.
    """
    return sentences_of(_conll_rows(path, label, encoding))


def read(
    path: str | os.PathLike, label: str | None = None, encoding: str | None = None
) -> Iterator[tuple[list[str], list[str]]]:
    """``read_conllu`` for a file of CoNLL-U, by its name or content; else ``read_conll``."""
    reader = read_conllu if _is_conllu_file(path) else read_conll
    return reader(path, label, encoding)


def _is_conllu_file(path):
    return is_named(path, "*.conllu") or is_conllu(head_of(path))


def is_conllu(lines: Sequence[str]) -> bool:
    """Whether lines that are not empty are numbered in ten columns, but for comments."""
    rows = [line for line in lines if line[0] != "#"]
    return bool(rows) and all(row.count("\t") == 9 and row[0].isdigit() for row in rows)


def label_of(path: str | os.PathLike, encoding: str | None = None) -> str | None:
    """The number of the column that is the label, where that is not the last; else None.

    It is found as ``columns_of`` does, and said. encoding: as of ``read_conllu``.
    """
    certain = [] if _is_conllu_file(path) else _lines(path, encoding)[1]
    if not certain or _are_tagged(certain):
        return None
    _, rows, width = _split(certain)
    uneven = any(len(row) != width for row in rows.values())  # which reading it says
    token, index = (0, width - 1) if uneven else columns_of([*rows.values()])
    if (token, index) == (0, width - 1):
        return None
    warnings.warn(
        f"{path}: column {token + 1} is read as the token and column {index + 1} of {width} as "
        "its label; choose another with --label",
        stacklevel=4,
    )
    return str(index + 1)


def tagged_words(line: str) -> list[tuple[str, str]]:
    """The words and tags of a line in which a slash is between them; [] of another.

    >>> tagged_words("1/2/CD cup/NN"), tagged_words("and/or not")
    ([('1/2', 'CD'), ('cup', 'NN')], [])
    """
    pairs = [piece.rpartition("/")[::2] for piece in line.split()]
    return pairs if all(word and tag for word, tag in pairs) else []


def sentences_of(rows):
    """Rows (token, label), with None between sentences → lists of each, by sentence."""
    for real, group in itertools.groupby(rows, key=lambda row: row is not None):
        if real:
            tokens, labels = zip(*group, strict=True)
            yield list(tokens), list(labels)


def _conllu_rows(path, column, encoding):
    index, turn = CONLLU_COLUMNS.index(column), 1
    for number, line in read_lines(path, encoding=encoding):
        if not line.strip():
            turn = 1
            yield None
        elif not line.startswith("#"):
            fields = line.split("\t")
            if len(fields) != len(CONLLU_COLUMNS):
                raise InputError(
                    "not a line of CoNLL-U",
                    where=f"{path}:{number}",
                    found=_columns(len(fields)),
                    expected=f"{len(CONLLU_COLUMNS)}, separated by tabs",
                )
            if re.fullmatch(r"[0-9]+[-.][0-9]+", fields[0]):
                continue
            if fields[0] != str(turn):
                raise InputError(
                    "a token that is not numbered in turn",
                    where=f"{path}:{number}",
                    found=repr(fields[0]),
                    expected=turn,
                    fix="is a blank line between sentences missing?" if fields[0] == "1" else None,
                )
            turn += 1
            form, label = fields[1], fields[index]
            literal = column in ("feats", "misc") or (column in ("form", "lemma") and form == "_")
            _check_row(form, label, literal, f"{path}:{number}", f" ({column})")
            yield form, label


def _conll_rows(path, label, encoding):
    lines, certain = _lines(path, encoding)
    if not certain:
        return
    if _are_tagged(certain):
        index = 1 if label is None else _index(label, 2, path)
        for _, line in certain:
            yield from ((word, (word, tag)[index]) for word, tag in tagged_words(line))
            yield None
        return
    split, rows, width = _split(certain)
    token, index = _token_and_label(rows.values(), label, width, path)
    for number, fields in rows.items():
        where, found = f"{path}:{number}", _columns(len(fields))
        if len(fields) < 2 and label != "form":
            raise InputError(
                "a line without a label", where=where, found=found, expected="a token and a label"
            )
        if len(fields) != width:
            raise InputError("a line unlike the others", where=where, found=found, expected=width)
        _check_row(fields[token], fields[index], label is not None, where)
    labels = {fields[index] for fields in rows.values()}
    for number, line in lines:
        fields = rows.get(number) or split(line)
        if not line.strip():
            yield None
        elif number in rows or (len(fields) == width and fields[index] in labels):
            yield fields[token], fields[index]


def _lines(path, encoding):
    """The lines of a file with their numbers, and those that are no comment for certain.

    These tell the separator, the number of columns and the labels, by which a line that starts
    with ``"# "`` is a token or a comment.
    """
    lines = [
        (number, "" if line.startswith("-DOCSTART-") else line)
        for number, line in read_lines(path, encoding=encoding)
    ]
    return lines, [(n, line) for n, line in lines if line.strip() and not line.startswith("# ")]


def _are_tagged(lines):
    return all(tagged_words(line) for _, line in lines)


def _split(lines):
    """The function that splits lines, the fields of each, and how many most of them have."""
    split = _separator([line for _, line in lines])
    rows = {number: split(line) for number, line in lines}
    return split, rows, statistics.mode(len(fields) for fields in rows.values())


def columns_of(rows: Sequence[Sequence[str]]) -> tuple[int, int]:
    """Which columns of rows, all of one width, are the token and its label.

    The first and the last, but for columns at the end that hold the same number or mark in each
    row. Where only the first one holds labels of entities, the token is the last.

    >>> columns_of([["EU", "B-ORG", "0"], ["rejects", "O", "0"]])
    (0, 1)
    >>> columns_of([["O", "by"], ["B-DIRECTOR", "tarkovsky"]])
    (1, 0)
    """
    values = [set(column) for column in zip(*rows, strict=True)]
    last = len(values) - 1
    while last > 1 and len(values[last]) == 1 and _FILLER.fullmatch(*values[last]):
        last -= 1
    first_only = are_entities(values[0]) and not are_entities(values[last])
    return (last, 0) if first_only else (0, last)


def are_entities(labels: set[str]) -> bool:
    """Whether labels are ``O`` and others such as ``B-PER``."""
    return labels != {"O"} and all(map(_ENTITY.fullmatch, labels))


def _token_and_label(rows, label, width, path):
    """The indices of the columns of the tokens and of the labels."""
    token, index = columns_of([row for row in rows if len(row) == width])
    if label is None:
        return token, index
    if label == "form":
        return token, token
    chosen = _index(label, width, path)
    return (index if chosen == token else token), chosen


def _index(label, width, path):
    """The index of the column that the user calls the label."""
    numbers = {str(number): number - 1 for number in range(1, width + 1)} | {"form": 0}
    if str(label) not in numbers:
        raise InputError(
            "no such label column",
            where=path,
            found=repr(label),
            expected=f"its number, up to {width}",
        )
    return numbers[str(label)]


def _separator(lines):
    """The function that splits lines of CoNLL columns: at spaces and tabs, or at tabs only."""
    uneven = len({len(_at_blanks(line)) for line in lines}) > 1
    widths = {len(_at_tabs(line)) for line in lines} if uneven else ()
    return _at_tabs if len(widths) == 1 and min(widths) > 1 else _at_blanks


def _at_blanks(line):
    return re.split("[ \t]+", line.strip(" \t"))  # no other white space, which tokens may hold


def _at_tabs(line):
    return [field.strip(" ") for field in line.split("\t")]


def _check_row(token, label, literal, where, column=""):
    if not token:
        raise InputError("an empty token", where=where)
    if not label.strip() or (label == "_" and not literal):
        raise InputError(f"a token without a label{column}", where=where, found=repr(label))


def _columns(number):
    return f"{number} column{'' if number == 1 else 's'}"
