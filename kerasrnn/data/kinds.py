"""Which kind of data a name, file or folder is: sequences, sentences or text. No Keras here.

A new format is one file in ``readers/`` and one row of ``FORMATS``.
"""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from kerasrnn.data.readers import (
    arff,
    conll,
    idx,
    labelled_texts,
    numpy_arrays,
    sentence_files,
    sequence_folders,
    text_files,
    token_tables,
    ts,
    ucr,
)
from kerasrnn.data.readers.blanks import is_at_blanks
from kerasrnn.data.readers.folders import part_folders
from kerasrnn.data.readers.part_files import (
    TABLES,
    first_text,
    head_of,
    is_about_data,
    is_named,
    part_of,
)
from kerasrnn.errors import InputError
from kerasrnn.files import check_regular

NAMES = {  # of data that needs no path, and their kinds
    "digits": "sequences",
    "mnist": "sequences",
    "python": "sentences",
    "english": "text",
    "time-machine": "text",
    "shakespeare": "text",
}
_USUAL = ("train.csv", "NAME_TRAIN.ts", "NAME.conllu", "CLASS.txt", "train-images-idx3-ubyte.gz")
_MOST = 0.95  # fraction of the lines that agree about the columns of a table
_FEWEST_ROWS = 20  # of columns of words
_LOOKED_AT = 9  # files of a folder of texts
_NUMBERS = re.compile(r"[-+]?[\d.]+([eE][-+]?\d+)?([\s,;]+[-+]?[\d.]+([eE][-+]?\d+)?)+")
_TAG = re.compile(r"[^a-z\s\d]{1,8}|[A-Z][A-Z0-9_$|:=-]*")
_JSON = re.compile(  # an object, or a list of objects, lists, strings or numbers
    r"""\s*(\{\s*("[^"]*"\s*:|\}) | \[\s*(\{\s*["}]|\[\s*["\d-]|"[^"]*"\s*[,\]]|-?[\d.]+\s*,))""",
    re.VERBOSE,
)


class Format(NamedTuple):
    """A format of data files.

    said: its name. pattern: the names of its files, gzipped or not. kind: of its data, or
    ``"table"``, whose columns say it. read: from a path and an encoding (which binary files do
    without) to ``Arrays`` (sequences) or ``TextParts`` (texts), from a path and a column to
    (tokens, labels) of each sentence, or from a path to pieces of text; None where no file holds
    all. read_inputs: from a path and an encoding to ``Sequences`` to predict or score. folder: the
    names of files that mark a folder of it. read_folder: from such a folder and an encoding to what
    ``read`` gives. holds: whether a file so named, or where ``folder`` is None a folder, is of the
    format by what is in it; None where the name says enough. has_targets: whether a file or folder
    of it has numbers to predict instead of labels; None where none has.
    """

    said: str
    pattern: str
    kind: str
    read: Callable | None
    read_inputs: Callable | None = None
    folder: str | None = None
    read_folder: Callable | None = None
    holds: Callable[[Path], object] | None = None
    has_targets: Callable[[Path], bool] | None = None


def _has_columns_of_labels(path):
    """Whether lines are CoNLL columns: a label in each that many lines share."""
    lines = [line.strip() for line in head_of(path)]
    lines = [line for line in lines if line[0] != "#" and not line.startswith("-DOCSTART-")]
    rows = [line.split() for line in lines]
    if not rows or min(map(len, rows)) < 2:
        return False
    if conll.is_conllu(lines):
        return True
    constant = len({len(row) for row in rows}) == 1
    label = conll.columns_of(rows)[1] if constant else -1
    labels = Counter(row[label] for row in rows)
    entities = conll.are_entities(set(labels))
    tags = sum(number for label, number in labels.items() if _TAG.fullmatch(label))
    many = tags >= _MOST * len(rows) and _repeat(labels)
    tabs = all(line.count("\t") for line in lines)
    sentences = tabs and re.search(r"\S\n[ \t]*\n.*\S", first_text(path))
    return constant and bool(entities or many or sentences)


def _has_columns(path):
    """Whether lines are separated by tabs, commas or semicolons, the same number in most."""
    lines = [line.strip() for line in head_of(path)]
    if len(lines) > 2 and sum(map(bool, map(_NUMBERS.fullmatch, lines))) >= _MOST * len(lines):
        return True
    return is_at_blanks(path) or any(_is_separated(lines, separator) for separator in "\t,;")


def _has_tagged_words(path):
    """Whether each word has a slash and a tag, and tags are far fewer than words."""
    lines = head_of(path)
    pairs = [conll.tagged_words(line) for line in lines]
    tags = [tag for line in pairs for _, tag in line]
    return bool(pairs) and all(pairs) and len(lines) < len(tags) and _repeat(Counter(tags))


FORMATS = (
    Format(
        *(".ts of the UEA archive", "*.ts", "sequences", ts.read_dataset, ts.read_ts),
        *("*train*.ts", ts.read_folder),
        has_targets=ts.has_targets,
    ),
    Format(
        *(".arff of the UEA archive", "*.arff", "sequences", arff.read_dataset, arff.read_arff),
        *("*train*.arff", arff.read_folder),
        has_targets=arff.has_targets,
    ),
    Format(
        *("NumPy's .npz or .npy", "*.np[yz]", "sequences"),
        *(numpy_arrays.read_dataset, numpy_arrays.read_inputs),
        *("*.npy", numpy_arrays.read_folder),
        has_targets=numpy_arrays.has_targets,
    ),
    Format("CoNLL-U", "*.conllu", "sentences", conll.read_conllu, folder="*.conllu"),
    Format("CoNLL columns", "*.conll", "sentences", conll.read_conll, folder="*.conll"),
    Format(
        *("IDX", "*idx[13]-ubyte*", "sequences", None, idx.read_inputs),
        *("*idx[13]-ubyte*", idx.read_folder),
    ),
    Format(
        *("a table of tokens", "*", "sentences", sentence_files.read),
        folder="*train*",
        holds=token_tables.find,
    ),
    Format(
        *("text of the UCR archive", "*.t[sx][vt]", "sequences", ucr.read_dataset),
        *(ucr.read_ucr, "*train*.t[sx][vt]", ucr.read_folder, ucr.is_ucr),
    ),
    Format(
        *("lines of word/TAG", "*", "sentences", conll.read_conll),
        folder="*train*",
        holds=_has_tagged_words,
    ),
    Format(
        *("labelled texts", "*", "texts", labelled_texts.read_dataset),
        read_folder=labelled_texts.read_dataset,
        holds=labelled_texts.find,
    ),
    Format(
        *("a table a sequence in folders by class", "*", "sequences", None),
        read_folder=sequence_folders.read_dataset,
        holds=sequence_folders.find,
    ),
    *(Format("table", pattern, "table", None, folder=pattern) for pattern in TABLES),
    Format(
        *("CoNLL columns", "*", "sentences", conll.read_conll),
        folder="*train*",
        holds=_has_columns_of_labels,
    ),
    Format("table", "*", "table", None, holds=_has_columns),
    Format("text", "*", "text", text_files.read_text, folder="**/*.txt"),
)


def kind_of(
    source: str | os.PathLike,
    *,
    roles=None,
    task: str | None = None,
    encoding: str | None = None,
) -> str:
    """The kind of data, from its name, or from the name and content of a file or folder.

    source: a name of ``NAMES``, ``-``, or a path. roles, task, encoding: as of
    ``data.sources.read_source``; they may decide how a table is read.

    Returns ``"sequences"``, ``"numbers"`` (sequences with numbers to predict), ``"series"``,
    ``"texts"``, ``"sentences"`` or ``"text"``. Raises ``InputError`` for data that is not there,
    or that is no prose and nothing else either.

    >>> kind_of("digits"), kind_of("python"), kind_of("-")
    ('sequences', 'sentences', 'text')
    """
    source = os.fspath(source)
    if source in NAMES or source == "-":
        return NAMES.get(source, "text")
    found = format_of(source)
    kind = found.kind
    if kind == "sequences" and _has_targets(found, Path(source)):
        return "numbers"
    if kind == "table":
        from kerasrnn.data.sources import layout_of

        return layout_of(source, roles=roles, task=task, encoding=encoding).kind
    if kind == "text":
        files = texts_of(Path(source)) if os.path.isdir(source) else [source]
        for path in files[:_LOOKED_AT]:
            if roles and roles.label and _columns_of_words(path):
                return "sentences"
            check_is_prose(path)
    return kind


def _has_targets(found, path):
    try:
        return found.has_targets is not None and found.has_targets(path)
    except InputError:
        return False  # who reads it says what is wrong


def format_of(source: str | os.PathLike) -> Format:
    """The format of a file or folder, from its name and content.

    Raises ``InputError`` where there is none.
    """
    if os.path.isdir(source):
        return folder_format(Path(source))
    check_exists(os.fspath(source), NAMES)
    return file_format(source)


def file_format(path: str | os.PathLike) -> Format:
    """The format of a file, text where it is no other."""
    path = Path(path)
    return next(
        row
        for row in FORMATS
        if is_named(path, row.pattern) and (row.holds is None or row.holds(path))
    )


def folder_format(folder: Path) -> Format:
    """The format of a folder by what is in it, but for a README and the like.

    Raises ``InputError`` where none is in it, as there are only folders, which may hold a data set
    each.
    """
    inside = sorted(path for path in folder.iterdir() if not is_about_data(path))
    for row in FORMATS:
        if row.read_folder and not row.folder and row.holds(folder):
            return row
        files = (path for path in inside if row.folder and is_named(path, row.folder))
        if row.kind == "text":  # of all that ends in .txt, prose
            files = (p for p in texts_of(folder) if file_format(p).kind in ("text", "texts"))
        if any(not path.is_dir() and (row.holds is None or row.holds(path)) for path in files):
            return row
    if tables_of_parts(folder):
        return next(row for row in FORMATS if row.kind == "table")
    inner = [path.name for path in inside if path.is_dir()]
    training = part_folders(folder)["training"]
    if training != folder and (row := folder_format(training)).kind == "sentences":
        return row
    if len(inside) == 1 and not inner and (row := file_format(inside[0])).kind == "sentences":
        return row
    if inner:
        raise InputError(
            "no data in the folder itself",
            where=folder,
            found=f"the folders {', '.join(inner[:20])}",
            fix="give one of these",
        )
    raise InputError(
        "no data of a known format in the folder",
        where=folder,
        found=", ".join(path.name for path in inside[:9]) or "no file",
        expected=f"files such as {', '.join(_USUAL)}, or a folder for each class",
    )


def texts_of(folder: Path) -> list[Path]:
    """The .txt files of a folder and of all folders in it, but for a README and the like."""
    return sorted(path for path in folder.rglob("*.txt") if not is_about_data(path))


def tables_of_parts(folder: Path) -> list[Path]:
    """The tables of folders ``train``, ``test``, … that hold one file each."""
    inner = [path for path in sorted(folder.iterdir()) if path.is_dir() and part_of(path.name)]
    files = [[file for file in path.iterdir() if file.is_file()] for path in inner]
    return [one[0] for one in files if len(one) == 1 and is_named(one[0], *TABLES)]


def check_exists(source: str, names: Iterable[str]):
    """Raise ``InputError`` unless ``source`` is the path of a regular file.

    names: what could have been meant instead.
    """
    from difflib import get_close_matches

    if os.path.exists(source):
        check_regular(source)
    elif Path(source).suffix or os.sep in source:
        raise InputError("no such file or folder", found=repr(source))
    else:
        close = get_close_matches(source, names, 1)
        raise InputError(
            "unknown dataset",
            found=repr(source),
            expected=f"{', '.join(names)}, or the path of a file or folder",
            fix=f"did you mean '{close[0]}'?" if close else None,
        )


def check_is_prose(path: str | os.PathLike):
    """Raise ``InputError`` where a text file is JSON, but no list of records, or holds columns.

    A model trained to write such a file is seldom what was meant.
    """
    fix = "add --task generator to train on its characters all the same"
    if _JSON.match(first_text(path)):
        raise InputError(
            "not prose",
            where=path,
            found="JSON",
            expected="a table: an object with the same names in each line, or a list of such",
            fix=fix,
        )
    if _NUMBERS.fullmatch(first_text(path).strip()):
        raise InputError(
            "not prose",
            where=path,
            found="numbers that are no columns",
            expected="a row of a table, or a number, on each line",
            fix=fix,
        )
    if width := _columns_of_words(path):
        raise InputError(
            "not prose",
            where=path,
            found=f"{width} columns of words",
            expected="the number of the column of labels: --task tagger --label N",
            fix=fix,
        )


def _columns_of_words(path):
    """How many columns a file has that are set apart by blanks, its rows in groups; 0 for prose."""
    lines = [line for line in head_of(path) if not line.startswith(("# ", "-DOCSTART-"))]
    widths = {len(line.split()) for line in lines}
    if len(lines) < _FEWEST_ROWS or len(widths) > 1 or min(widths) < 3:
        return 0
    marks = "".join("x" if line.strip() else " " for line in first_text(path).split("\n"))
    return min(widths) if re.search("xx +x", marks) else 0


def _repeat(labels):
    """Whether labels, a Counter, are several, and occur at least three times on average."""
    number = sum(labels.values())
    return number >= 8 and 1 < len(labels) <= number / 3


def _is_separated(lines, separator):
    if separator == "\t":
        widths = [line.count("\t") + 1 for line in lines]
    else:  # of prose, a space follows
        within = rf"{separator}(?=\s|$)|(?<![\d,])\d{{1,3}}(,\d{{3}})+(?![\d,])"  # 1,000
        text = (re.sub(within, " ", line) for line in lines)
        try:
            widths = [len(row) for row in csv.reader(text, delimiter=separator)]
        except csv.Error:
            return False
    width, number = Counter(widths).most_common(1)[0] if widths else (1, 0)
    return width > 1 and number >= max(2 if separator == "\t" else 3, _MOST * len(widths))
