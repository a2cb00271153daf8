"""Which kind of data a name, file or folder is: sequences, sentences or text. No Keras here.

A new format is one file in ``readers/`` and one row of ``FORMATS``.
"""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from kerasrnn.data.readers import arff, conll, idx, numpy_arrays, text_files, ts
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
_HEAD = 1 << 16  # characters of a file that are looked at
_MOST = 0.95  # fraction of the lines that agree about the columns of a table
_SEPARATORS = {"\t": "tabs", ",": "commas", ";": "semicolons"}
_ENTITY = re.compile(r"O|[BIESLU]-\S+")
_TAG = re.compile(r"[^a-z\s\d]{1,8}|[A-Z][A-Z0-9_$|:=-]*")
_JSON = re.compile(  # an object, or a list of objects, lists, strings or numbers
    r"""\s*(\{\s*("[^"]*"\s*:|\}) | \[\s*(\{\s*["}]|\[\s*["\d-]|"[^"]*"\s*[,\]]|-?[\d.]+\s*,))""",
    re.VERBOSE,
)
_NUMBERS = re.compile(r"[-+]?[\d.]+([eE][-+]?\d+)?([\s,;]+[-+]?[\d.]+([eE][-+]?\d+)?)+")


class Format(NamedTuple):
    """A format of data files.

    pattern: the names of its files. kind: of its data. read: from a path to ``Arrays``
    (sequences), from a path and a column to (tokens, labels) of each sentence, or from a path
    to pieces of text; None where no file holds all. read_inputs: from a path to sequences to
    predict and their lengths. folder: the names of files that mark a folder of it.
    read_folder: from such a folder to ``Arrays``.
    """

    pattern: str
    kind: str
    read: Callable | None
    read_inputs: Callable | None = None
    folder: str | None = None
    read_folder: Callable | None = None


FORMATS = (
    Format("*.ts", "sequences", ts.read_dataset, ts.read_inputs, "*_TRAIN.ts", ts.read_folder),
    Format(
        "*.arff", "sequences", arff.read_dataset, arff.read_inputs, "*_TRAIN.arff", arff.read_folder
    ),
    Format("*.np[yz]", "sequences", numpy_arrays.read_dataset, numpy_arrays.read_inputs),
    Format("*.conllu", "sentences", conll.read_conllu, folder="*.conllu"),
    Format("*.conll", "sentences", lambda path, column: conll.read_conll(path), folder="*.conll"),
    Format(
        "*idx[13]-ubyte*", "sequences", None, idx.read_inputs, "*idx[13]-ubyte*", idx.read_folder
    ),
    Format("*.txt", "text", text_files.read_text, folder="**/*.txt"),
)


def kind_of(source: str | os.PathLike) -> str:
    """The kind of data, from its name, or from the name and content of a file or folder.

    Returns ``"sequences"``, ``"sentences"`` or ``"text"``. Raises ``InputError`` for data that
    is not there, or a file of another suffix that is not prose (``check_is_prose``).

    >>> kind_of("digits"), kind_of("python"), kind_of("-")
    ('sequences', 'sentences', 'text')
    """
    source = os.fspath(source)
    if source in NAMES or source == "-":
        return NAMES.get(source, "text")
    if os.path.isdir(source):
        return folder_format(Path(source)).kind
    check_exists(source, NAMES)
    found = file_format(source)
    if found is not None and found.kind != "text":
        return found.kind
    check_is_prose(source)
    return "text"


def file_format(path: str | os.PathLike) -> Format | None:
    """The format of a file by its name, or None."""
    name = os.path.basename(path)
    return next((row for row in FORMATS if fnmatchcase(name, row.pattern)), None)


def folder_format(folder: Path) -> Format:
    """The format of a folder by the names in it; by default that of MNIST."""
    for row in FORMATS:
        if row.folder and any(not path.is_dir() for path in folder.glob(row.folder)):
            return row
    return next(row for row in FORMATS if row.read_folder is idx.read_folder)


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
    """Raise ``InputError`` where a text file looks like a table, JSON or CoNLL columns.

    A model trained to write such a file is seldom what was meant.
    """
    head = next(text_files.read_text(path, 4 * _HEAD), "")[:_HEAD]
    lines = [line.strip() for line in head.split("\n")]
    if len(head) == _HEAD:
        del lines[-1]  # it may be cut
    lines = [line for line in lines if line]
    found = "JSON" if _JSON.match(head) else _columns_of_labels(head, lines) or _table(path, lines)
    if found:
        tagger = "--task tagger for a label for each token, or " if "CoNLL" in found else ""
        raise InputError(
            "not prose",
            where=path,
            found=found,
            fix=f"add {tagger}--task generator to train on its characters all the same",
        )


def _columns_of_labels(head, lines):
    """CoNLL columns: a label at the end of each line that many lines share."""
    lines = [line for line in lines if line[0] != "#" and not line.startswith("-DOCSTART-")]
    rows = [line.split() for line in lines]
    if not rows or min(map(len, rows)) < 2:
        return None
    if all(line.count("\t") == 9 and line[0].isdigit() for line in lines):
        return "columns of CoNLL-U"
    labels = Counter(row[-1] for row in rows)
    entities = all(map(_ENTITY.fullmatch, labels)) and set(labels) != {"O"}
    tags = sum(number for label, number in labels.items() if _TAG.fullmatch(label))
    many = len(rows) >= 8 and tags >= _MOST * len(rows) and 1 < len(labels) <= len(rows) / 3
    constant = len({len(row) for row in rows}) == 1
    sentences = re.search(r"\S\n[ \t]*\n.*\S", head) and all(line.count("\t") for line in lines)
    return "CoNLL columns" if constant and (entities or many or sentences) else None


def _table(path, lines):
    """Columns separated by tabs, commas or semicolons, in the same number in most lines."""
    suffix = Path(path).suffix.lower()
    if suffix in (".csv", ".tsv"):
        return f"a table ({suffix})"
    if len(lines) > 2 and sum(map(bool, map(_NUMBERS.fullmatch, lines))) >= _MOST * len(lines):
        return "a table of numbers"
    for separator, name in _SEPARATORS.items():
        if separator == "\t":
            widths = [line.count("\t") + 1 for line in lines]
        else:  # of prose, a space follows
            within = rf"{separator}(?=\s|$)|(?<![\d,])\d{{1,3}}(,\d{{3}})+(?![\d,])"  # 1,000
            text = (re.sub(within, " ", line) for line in lines)
            try:
                widths = [len(row) for row in csv.reader(text, delimiter=separator)]
            except csv.Error:
                continue
        width, number = Counter(widths).most_common(1)[0] if widths else (1, 0)
        enough = 2 if separator == "\t" else 3
        if width > 1 and number >= max(enough, _MOST * len(widths)):
            return f"a table of {width} columns separated by {name}"
    return None
