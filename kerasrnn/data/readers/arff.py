"""The .arff files of the UCR/UEA archive of time series, of one dimension or several."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kerasrnn.data.readers import Arrays, Sequences
from kerasrnn.data.readers.part_files import (
    files_of_folder,
    files_of_parts,
    head_of,
    numbers,
    pad_sequences,
    read_parts,
    trim,
)
from kerasrnn.data.readers.text_files import read_lines
from kerasrnn.errors import InputError

_ATTRIBUTE = re.compile(r"""@attribute\s+('[^']*'|"[^"]*"|[^\s{]+)\s*(\S.*)""", re.IGNORECASE)
_NUMERIC = ("numeric", "real", "integer")


class _Header(NamedTuple):
    """relational: a row is a quoted string. steps: of a sequence. labels: those there are, or
    None for any; numeric: a number to predict stands in their place."""

    relational: bool
    steps: int
    labels: list[str] | None
    numeric: bool


def read_arff(path: str | os.PathLike, encoding: str | None = None) -> Sequences:
    """Read an .arff file of the UCR/UEA archive: sequences, labels or numbers, lengths.

    A row of one dimension is the values of its steps, ``?`` where missing, and the label. In
    one of several dimensions a relational attribute is one quoted string, in which the
    dimensions are separated by the two characters ``\\n`` (Weka's format; Bagnall et al. 2018).
    Steps at the end that are missing in all dimensions make a sequence shorter.

    Returns:
        x: float32 (n, time, features), right-padded with zeros. y: strings (n,), or float64
        where the last attribute is numeric; None where all labels are ``?``. lengths: int32
        (n,), or None where all are of one length.

    Raises:
        InputError: no such file, or a line that is not as said; it is named.
    """
    lines = ((number, line.strip()) for number, line in read_lines(path, encoding=encoding))
    lines = ((number, line) for number, line in lines if line and line[0] != "%")
    header = _read_header(lines, path)
    sequences, labels = [], []
    for number, line in lines:
        where = f"{path}:{number}"
        values, label = _cut(line, where)
        sequences.append(_sequence(values, header, where))
        labels.append(_label(label, header, where))
        dimensions = sequences[0].shape[1]
        if sequences[-1].shape[1] != dimensions:
            raise InputError(
                "a row of other dimensions",
                where=where,
                found=sequences[-1].shape[1],
                expected=dimensions,
            )
        if (labels[-1] is None) != (labels[0] is None):
            raise InputError("a label in some rows, ? in others", where=where)
    if not sequences:
        raise InputError("no sequences after @data", where=path)
    x, lengths = pad_sequences(sequences)
    y = None if labels[0] is None else np.array(labels)
    return Sequences(x, y, None if (lengths == header.steps).all() else lengths)


def read_dataset(path: Path, encoding: str | None = None) -> Arrays:
    """The sequences of an .arff file, and of the NAME_TEST that belongs to a NAME_TRAIN.

    Raises ``InputError``.
    """
    return read_parts(files_of_parts(path), _read_labelled, encoding)


def read_folder(folder: Path, encoding: str | None = None) -> Arrays:
    """The one dataset of a folder with a file NAME_TRAIN.arff. Raises ``InputError``."""
    return read_parts(files_of_folder(folder, "*.arff"), _read_labelled, encoding)


def has_targets(path: Path) -> bool:
    """Whether an .arff file, or that of a folder, has numbers to predict. Its head is read."""
    path = files_of_folder(path, "*.arff")["training"] if path.is_dir() else path
    lines = [line.strip() for line in head_of(path, 1 << 22)]
    lines = ((number, line) for number, line in enumerate(lines, 1) if line[0] != "%")
    return _read_header(lines, path).numeric


def _read_header(lines, path):
    """What the lines to @data say; the iterator is left after them."""
    attributes, relational, where = [], None, path
    for number, line in lines:
        where, key = f"{path}:{number}", line.split()[0].lower()
        attribute = _ATTRIBUTE.fullmatch(line)
        if key == "@data":
            break
        if attribute and attribute[2].lower() == "relational" and relational is None:
            relational = attributes
            attributes = []
        elif attribute:
            attributes.append((_unquoted(attribute[1]), attribute[2], where))
        elif key == "@end" and relational == []:
            relational.append(attributes)
            attributes = []
        elif key != "@relation":
            raise InputError("an unknown line before @data", where=where, found=repr(line[:40]))
    else:
        raise InputError("no @data line", where=path, expected="an .arff file")
    steps = relational[0] if relational else attributes[:-1]
    if relational == [] or not steps or len(attributes) != (1 if relational else len(steps) + 1):
        raise InputError(
            "unknown attributes",
            where=where,
            expected="one for each step, or one relational one of them, and the label last",
        )
    for name, kind, place in steps:
        if kind.lower() not in _NUMERIC:
            raise InputError(f"attribute {name} is not numeric", where=place, found=kind[:40])
    return _with_labels(bool(relational), len(steps), *attributes[-1])


def _with_labels(relational, steps, name, kind, where):
    """The header, whose last attribute is the label."""
    if kind.startswith("{") and kind.endswith("}"):
        labels = re.findall(r"""'[^']*'|"[^"]*"|[^,'"\s][^,]*""", kind[1:-1])
        return _Header(relational, steps, [_unquoted(label.strip()) for label in labels], False)
    numeric = kind.lower() in _NUMERIC and (relational or name.lower() == "target")
    if not numeric and kind.lower() != "string":
        raise InputError(
            "no label", where=where, found=f"{name} {kind[:40]}", expected="{…} last, its classes"
        )
    return _Header(relational, steps, None, numeric)


def _cut(line, where):
    """The values of a row and its label, which is the last and may be quoted."""
    quoted = line[-1] in "'\""
    start = line.rfind(line[-1], 0, -1) if quoted else line.rfind(",") + 1
    values = line[: max(start, 0)].rstrip()
    if not values.endswith(","):
        raise InputError("a row without a label", where=where, expected="one after a comma")
    return values[:-1].strip(), _unquoted(line[start:])


def _sequence(text, header, where):
    """The values of a row, (time, dimensions), without missing ones at the end."""
    if header.relational:
        if len(text) < 2 or text[0] not in "'\"" or text[-1] != text[0]:
            raise InputError("a relational value without quotes", where=where, found=text[:40])
        text = text[1:-1].removesuffix("\\n")
    rows = [numbers(row.split(","), where) for row in text.split("\\n")]
    wrong = [len(row) for row in rows if len(row) != header.steps]
    if wrong or (len(rows) > 1 and not header.relational):
        raise InputError(
            "a row unlike the header", where=where, found=f"{wrong[0]} steps", expected=header.steps
        )
    sequence = trim(np.array(rows).T)
    if not len(sequence):
        raise InputError("a sequence without values", where=where)
    return sequence


def _label(text, header, where):
    """A label, or a number to predict; None for ?."""
    if text == "?":
        return None
    if header.numeric:
        return float(numbers([text], where)[0])
    if header.labels is not None and text not in header.labels:
        expected = " or ".join(header.labels) if len(header.labels) < 8 else "one of the header's"
        raise InputError(
            "a label that the header does not name",
            where=where,
            found=repr(text[:40]),
            expected=expected,
        )
    if not text:
        raise InputError("an empty label", where=where)
    return text


def _unquoted(text):
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[0] in "'\"" and text[-1] == text[0] else text


def _read_labelled(path, encoding):
    sequences = read_arff(path, encoding)
    if sequences.y is None:
        raise InputError("an .arff file without labels", where=path, found="? in every row")
    return sequences
