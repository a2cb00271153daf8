"""The .ts files of the UCR/UEA archive of time series."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from kerasrnn.data.readers import Arrays, Sequences
from kerasrnn.data.readers.text_files import read_lines
from kerasrnn.errors import InputError


def read_ts(path: str | os.PathLike) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Read a .ts file of the UCR/UEA archive: sequences, their lengths, their labels.

    After comments (``#`` or ``%``) and a header (``@equalLength true`` …, ``@data``) each line
    is one sequence: its dimensions separated by ``:``, the values of each by ``,``, and the
    label last (Löning et al., sktime; timeseriesclassification.com).

    Returns:
        x: float32 (n, time, features), right-padded with zeros; ``?`` is NaN. lengths: int32
        (n,), or None where ``@equalLength`` is true. labels: strings (n,), or None where
        ``@classLabel`` is false.

    Raises:
        InputError: no such file, or a line that is not as said; it is named.
    """
    lines = ((number, line.strip()) for number, line in read_lines(path))
    lines = [(number, line) for number, line in lines if line and line[0] not in "#%"]
    keys = [line.split()[0].lower() for _, line in lines]
    if "@data" not in keys:
        raise InputError("no @data line", where=path, expected="a .ts file")
    start = keys.index("@data")
    header = _read_header(lines[:start], path)
    labels, dimensions, steps = header["labels"], header["dimensions"], header["steps"]
    sequences, given = [], []
    for number, line in lines[start + 1 :]:
        where = f"{path}:{number}"
        fields = line.split(":")
        if labels is not None:
            given.append(_label(fields, labels, dimensions, where))
        sequences.append(_sequence(fields, dimensions, steps, where))
        dimensions = len(fields)
        steps = len(sequences[-1]) if header["equal"] else None
    if not sequences:
        raise InputError("no sequences after @data", where=path)
    lengths = np.array([len(sequence) for sequence in sequences], "int32")
    x = np.zeros((len(sequences), lengths.max(), dimensions), "float32")
    for row, sequence in zip(x, sequences, strict=True):
        row[: len(sequence)] = sequence
    return x, None if header["equal"] else lengths, np.array(given) if given else None


def read_dataset(path: Path) -> Arrays:
    """The sequences of a .ts file, and of the NAME_TEST.ts that belongs to a NAME_TRAIN.ts.

    Labels that are whole numbers stay numbers, so that 10 sorts after 9. Raises ``InputError``.
    """
    name = path.stem.removesuffix("_TRAIN")
    files = [path]
    if name != path.stem and path.with_name(f"{name}_TEST.ts").exists():
        files.append(path.with_name(f"{name}_TEST.ts"))
    train = path.with_name(f"{name.removesuffix('_TEST')}_TRAIN.ts")
    if name.endswith("_TEST") and train.exists():
        raise InputError("the test part alone", where=path, fix=f"give {train.name}")
    found = [_read_labelled(file) for file in files]
    unequal = any(lengths is not None for _, lengths, _ in found)
    whole = all(re.fullmatch("0|-?[1-9][0-9]{0,8}", y) for *_, labels in found for y in labels)
    parts = {}
    for part, (x, lengths, labels) in zip(("training", "test"), found, strict=False):
        if unequal and lengths is None:
            lengths = np.full(len(x), x.shape[1], "int32")
        parts[part] = Sequences(x, labels.astype(int) if whole else labels, lengths)
    return Arrays(name, parts)


def read_folder(folder: Path) -> Arrays:
    """The one dataset of a folder with a file NAME_TRAIN.ts. Raises ``InputError``."""
    files = sorted(folder.glob("*_TRAIN.ts"))
    if len(files) > 1:
        raise InputError(
            "several datasets in the folder",
            where=folder,
            found=", ".join(path.name for path in files),
            fix="give one of these files",
        )
    return read_dataset(files[0])


def read_inputs(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """The sequences of a .ts file, to predict, and their lengths or None."""
    return _read_whole(path)[:2]


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

    for name, what in {"@timeStamps": "time stamps", "@targetLabel": "target numbers"}.items():
        if flag(name, False):
            where = places[name.lower()]
            raise InputError(f"a .ts file with {what}", where=where, expected=f"{name} false")
    labels = values["@classlabel"][1:] if flag("@classLabel") else None
    if labels == []:
        raise InputError("@classLabel without labels", where=places["@classlabel"])
    equal = flag("@equalLength", False)
    return {
        "labels": labels,
        "dimensions": 1 if flag("@univariate", False) else count("@dimensions"),
        "steps": count("@seriesLength") if equal else None,
        "equal": equal,
    }


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
    channels = [_values(field, where) for field in fields]
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
    with np.errstate(over="ignore"):  # what becomes infinite shows
        return np.array(channels).T.astype("float32")


def _values(field, where):
    try:
        return [float(value) for value in field.replace("?", "nan").split(",")]
    except ValueError as error:
        value = str(error).split("float: ")[-1]
        raise InputError(
            "a value that is not a number", where=where, found=value[:40], expected="a number or ?"
        ) from error


def _read_labelled(path):
    x, lengths, labels = _read_whole(path)
    if labels is None:
        raise InputError("a .ts file without labels", where=path, expected="@classLabel true")
    return x, lengths, labels


def _read_whole(path):
    """As ``read_ts``; missing values are refused."""
    x, lengths, labels = read_ts(path)
    if missing := np.isnan(x).sum():
        raise InputError(
            "missing values", where=path, found=f"{missing:,} '?'", fix="fill them in beforehand"
        )
    return x, lengths, labels
