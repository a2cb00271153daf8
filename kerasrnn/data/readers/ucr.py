"""The text files of the UCR archive of time series: a sequence a line, its label first."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from kerasrnn.data.columns import codes_of, turns_of
from kerasrnn.data.readers import Arrays, Sequences
from kerasrnn.data.readers.part_files import (
    files_of_folder,
    files_of_parts,
    head_of,
    is_named,
    numbers,
    pad_sequences,
    part_of,
    read_parts,
    trim,
)
from kerasrnn.data.readers.text_files import read_lines
from kerasrnn.errors import InputError

PATTERNS = ("*.tsv", "*.txt")
_LARGEST = 1e9  # of a label


def read_ucr(path: str | os.PathLike, encoding: str | None = None) -> Sequences:
    """Read a text file of the UCR archive (Dau et al. 2018): sequences, their labels, lengths.

    Each line is a label and the values of one sequence, separated by tabs, commas or white
    space. Values that are missing are ``NaN`` or ``?``; where they end a line the sequence is
    shorter. Labels such as ``1.0000000e+00`` are whole numbers.

    Returns:
        x: float32 (n, time, 1), right-padded with zeros. y: strings (n,). lengths: int32 (n,),
        or None where all are of one length.

    Raises:
        InputError: no such file, or a line that is not as said; it is named.
    """
    sequences, labels, width, separator = [], [], None, None
    for number, line in read_lines(path, encoding=encoding):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        if width is None:
            separator = _separator(line)
        label, *values = line.strip(" \r").split(separator)
        width = width or len(values)
        if len(values) != width or not values:
            raise InputError(
                "a line unlike the others",
                where=where,
                found=f"{len(values)} values",
                expected=f"a label and {width or 'some'}",
            )
        labels.append(_label(label.strip(), where))
        sequence = trim(numbers(values, where)[:, None])
        if not len(sequence):
            raise InputError("a sequence without values", where=where)
        sequences.append(sequence)
    if not sequences:
        raise InputError("no sequences in the file", where=path)
    x, lengths = pad_sequences(sequences)
    return Sequences(x, np.array(labels), None if (lengths == width).all() else lengths)


def is_ucr(path: str | os.PathLike) -> bool:
    """Whether a file is one of the UCR archive by its name and its first lines.

    Its name ends in .tsv or .txt and says which part it is, and each line is a whole number and
    two or more other numbers. Where the first of these count the lines of each whole number, as
    times of several series do, it is a table.
    """
    if not is_named(path, *PATTERNS) or part_of(os.path.basename(path)) is None:
        return False
    lines = head_of(path)
    separator = _separator(lines[0]) if lines else None
    try:
        rows = [line.strip(" \r").split(separator) for line in lines]
        found = [(_label(label, ""), numbers(values, "")) for label, *values in rows]
        whole = all(float(label).is_integer() and len(values) > 1 for label, values in found)
    except ValueError:
        return False
    return bool(rows) and whole and not _count_up(found)


def _count_up(rows):
    """Whether the first values are 1, 2, … among the rows of each label."""
    labels, values = zip(*rows, strict=True)
    turns = turns_of(codes_of(labels))
    return turns.max() > 1 and all(
        row[0] == turn + 1 for row, turn in zip(values, turns, strict=True)
    )


def read_dataset(path: Path, encoding: str | None = None) -> Arrays:
    """The sequences of a file, and of the NAME_TEST that belongs to a NAME_TRAIN.

    Raises ``InputError``.
    """
    return read_parts(files_of_parts(path), read_ucr, encoding)


def read_folder(folder: Path, encoding: str | None = None) -> Arrays:
    """The one dataset of a folder with a file NAME_TRAIN.tsv or .txt. Raises ``InputError``."""
    return read_parts(files_of_folder(folder, *PATTERNS), read_ucr, encoding)


def _separator(line):
    return "\t" if "\t" in line.strip() else "," if "," in line else None


def _label(text, where):
    """A label as a string; of a number, that of a whole one."""
    try:
        value = float(text)
    except ValueError:
        value = None
    if value is not None and value.is_integer() and abs(value) < _LARGEST and "_" not in text:
        return str(int(value))
    if not text or value is not None:
        raise InputError(
            "a label that is not whole", where=where, found=repr(text), expected="a label first"
        )
    return text
