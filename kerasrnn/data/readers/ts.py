"""The .ts files of the UCR/UEA archive of time series."""

from __future__ import annotations

import math
import os
import re
from contextlib import suppress
from itertools import islice
from pathlib import Path

import numpy as np

from kerasrnn.data.readers import Arrays, Sequences
from kerasrnn.data.readers.part_files import (
    files_of_folder,
    files_of_parts,
    head_of,
    numbers,
    pad_sequences,
    read_parts,
)
from kerasrnn.data.readers.text_files import read_lines
from kerasrnn.errors import InputError


def read_ts(path: str | os.PathLike, encoding: str | None = None) -> Sequences:
    """Read a .ts file of the UCR/UEA/TSER archives: sequences, labels or numbers, lengths.

    After comments (``#`` or ``%``) and a header (``@equalLength true`` …, ``@data``) each line
    is one sequence: its dimensions separated by ``:``, the values of each by ``,``, and the
    label or the number to predict last (Löning et al., sktime; timeseriesclassification.com;
    Tan et al. 2021, tseregression.org).

    Returns:
        x: float32 (n, time, features), right-padded with zeros; ``?`` is NaN. y: strings (n,)
        where ``@classLabel`` is true, float64 (n,) where ``@targetLabel`` is, else None.
        lengths: int32 (n,), or None where ``@equalLength`` is true.

    Raises:
        InputError: no such file, or a line that is not as said; it is named.
    """
    lines = ((number, line.strip()) for number, line in read_lines(path, encoding=encoding))
    lines = ((number, line) for number, line in lines if line and line[0] not in "#%")
    header = _read_header(_header_lines(lines, path), path)
    labels, dimensions, steps = header["labels"], header["dimensions"], header["steps"]
    sequences, given = [], []
    for number, line in lines:
        where = f"{path}:{number}"
        fields = line.split(":")
        if header["target"]:
            given.append(_target(fields, dimensions, where))
        elif labels is not None:
            given.append(_label(fields, labels, dimensions, where))
        sequences.append(_sequence(fields, dimensions, steps, where))
        dimensions = len(fields)
        steps = len(sequences[-1]) if header["equal"] else None
    if not sequences:
        raise InputError("no sequences after @data", where=path)
    x, lengths = pad_sequences(sequences)
    return Sequences(x, np.array(given) if given else None, None if header["equal"] else lengths)


def read_dataset(path: Path, encoding: str | None = None) -> Arrays:
    """The sequences of a .ts file, and of the NAME_TEST.ts that belongs to a NAME_TRAIN.ts.

    Raises ``InputError``.
    """
    return read_parts(files_of_parts(path), _read_labelled, encoding)


def read_folder(folder: Path, encoding: str | None = None) -> Arrays:
    """The one dataset of a folder with a file NAME_TRAIN.ts. Raises ``InputError``."""
    return read_parts(files_of_folder(folder, "*.ts"), _read_labelled, encoding)


def has_targets(path: Path) -> bool:
    """Whether a .ts file, or that of a folder, has numbers to predict. Its head is read."""
    path = files_of_folder(path, "*.ts")["training"] if path.is_dir() else path
    return any(line.lower().split()[:2] == ["@targetlabel", "true"] for line in head_of(path))


def _header_lines(lines, path):
    """The lines to @data, which are taken off an iterator; or to one that is no header."""
    found = []
    for number, line in lines:
        if line.split()[0].lower() == "@data":
            return found
        found.append((number, line))
        if line[0] != "@" and any(later[:5].lower() == "@data" for _, later in islice(lines, 1000)):
            return found
        if line[0] != "@":
            break
    raise InputError("no @data line", where=path, expected="a .ts file")


def _read_header(lines, path):
    """The lines before @data: labels, dimensions and steps (None if not there), and equal."""
    values, places = {}, {}
    for number, line in lines:
        key, *words = line.split()
        if key[0] != "@":
            raise InputError("data before @data", where=f"{path}:{number}", found=repr(key[:40]))
        values[key.lower()], places[key.lower()] = words, f"{path}:{number}"

    def flag(name, default=None):
        words = values.get(name.lower(), [str(default)])
        if not words or words[0].lower() not in ("true", "false"):
            raise InputError(
                f"a .ts header that does not say {name}",
                where=places.get(name.lower(), path),
                expected="true or false",
            )
        return words[0].lower() == "true"

    def count(name):
        words = values.get(name.lower())
        if words is None:
            return None
        if len(words) != 1 or not re.fullmatch("0*[1-9][0-9]{0,8}", words[0]):
            where = places[name.lower()]
            raise InputError(f"a bad {name}", where=where, expected="one positive integer")
        return int(words[0])

    if flag("@timeStamps", False):
        raise InputError(
            "a .ts file with time stamps",
            where=places["@timestamps"],
            expected="@timeStamps false",
            fix="write the values alone, a missing step as '?'",
        )
    target = flag("@targetLabel", False)
    labels = values["@classlabel"][1:] if flag("@classLabel", False if target else None) else None
    if labels == []:
        raise InputError("@classLabel without labels", where=places["@classlabel"])
    equal = flag("@equalLength", False)
    return {
        "target": target,
        "labels": labels,
        "dimensions": 1 if flag("@univariate", False) else count("@dimensions"),
        "steps": count("@seriesLength") if equal else None,
        "equal": equal,
    }


def _target(fields, dimensions, where):
    """Take the number to predict off the fields of a line."""
    if len(fields) <= (dimensions or 1):
        raise InputError("a line without a target", where=where, expected="one after the last ':'")
    value = fields.pop().strip()
    with suppress(ValueError):
        if math.isfinite(number := float(value)):
            return number
    raise InputError("a target that is not a number", where=where, found=repr(value[:40]))


def _label(fields, labels, dimensions, where):
    """Take the label off the fields of a line."""
    label = fields[-1].strip()
    if label in labels and len(fields) > 1:
        return fields.pop().strip()
    if not label or len(fields) == (dimensions or 1):
        raise InputError("a line without a label", where=where, expected="one after the last ':'")
    raise InputError(
        "a label that the header does not name",
        where=where,
        found=repr(label[:40]),
        expected=" or ".join(labels) if len(labels) < 8 else f"one of {len(labels)}",
    )


def _sequence(fields, dimensions, steps, where):
    """The values of a line, (time, dimensions)."""
    if dimensions is not None and len(fields) != dimensions:
        raise InputError(
            "a line of other dimensions", where=where, found=len(fields), expected=dimensions
        )
    channels = [numbers(field.split(","), where) for field in fields]
    for number, channel in enumerate(channels, 1):
        if len(channel) != len(channels[0]):
            raise InputError(
                "dimensions of different length in one sequence",
                where=where,
                found=f"{len(channel)} values in dimension {number}",
                expected=f"{len(channels[0])}, as in dimension 1",
            )
    if steps is not None and len(channels[0]) != steps:
        raise InputError(
            "a sequence of another length though @equalLength is true",
            where=where,
            found=f"{len(channels[0])} steps",
            expected=steps,
        )
    return np.array(channels).T


def _read_labelled(path, encoding):
    sequences = read_ts(path, encoding)
    if sequences.y is None:
        raise InputError(
            "a .ts file without labels",
            where=path,
            expected="@classLabel true, or @targetLabel true",
        )
    return sequences
