"""A folder for each class, in it a table for each sequence: its rows are the steps."""

from __future__ import annotations

import warnings
from functools import partial
from pathlib import Path

import numpy as np

from kerasrnn.data.readers import Arrays, Sequences
from kerasrnn.data.readers.folders import class_folders, entries, part_folders
from kerasrnn.data.readers.part_files import TABLES, is_named, pad_sequences, read_parts
from kerasrnn.errors import InputError

LAYOUT = "tables"


def find(path: Path) -> bool:
    """Whether a folder has a folder for each class with tables in it, a sequence a file.

    They may lie in ``train``, ``test`` and ``dev`` or ``validation`` folders. No file is read.
    """
    try:
        classes = class_folders(part_folders(path)["training"]).values()
        return len(classes) > 1 and all(map(_tables, classes))
    except (InputError, OSError):
        return False


def read_dataset(path: Path, encoding: str | None = None) -> Arrays:
    """The sequences of a folder that ``find`` knows, labelled by the names of their folders.

    Features are the columns of numbers of the first file, by name; times and row numbers are left
    out, which is said. ``reading`` has the ``LAYOUT`` and these ``"features"``.

    Raises ``InputError`` for a file that is no table, lacks a feature or has a value that is no
    number.
    """
    folders = part_folders(path)
    first = _tables(next(iter(class_folders(folders["training"]).values()), path))
    if not first:
        raise InputError("no folders of tables by class", where=path)
    features = _features(first[0], encoding)
    found = read_parts(folders, partial(_read_classes, features), encoding)
    found.reading = {"layout": LAYOUT, "features": features}
    return found


def read_files(
    path: Path, features: list[str], encoding: str | None = None
) -> tuple[Sequences, list[str]]:
    """The sequences of a file, of the files of a folder, or of folders of classes: to predict.

    features: those of the ``reading``. Returns the sequences, with their labels where there are
    any, and the name of each file. Raises as ``read_dataset`` does.
    """
    if path.is_dir():
        folders = part_folders(path)
        path = folders.get("test", folders["training"])
        if find(path):
            files = [file for inner in class_folders(path).values() for file in _tables(inner)]
            names = [str(file.relative_to(path)) for file in files]
            return _read_classes(features, path, encoding), names
    files = _tables(path) if path.is_dir() else [path]
    if not files:
        raise InputError("no tables in the folder", where=path)
    return _read(files, features, encoding), [file.name for file in files]


def _tables(folder):
    return [file for file in entries(folder) if is_named(file, *TABLES)]


def _features(path, encoding):
    """The columns of numbers of a table."""
    from kerasrnn.data.columns import Head
    from kerasrnn.data.readers.tables import open_table

    head = Head(open_table(path, encoding=encoding))
    left = [name for name, column in head.columns.items() if column.kind in ("time", "row")]
    for name, column in head.columns.items():
        if column.kind in ("text", "category", "id"):
            raise InputError(
                f"column {name!r} of a sequence is no number",
                where=path,
                found=repr(column.values[0][:40]),
                fix="leave it out of the files",
            )
    if left:
        warnings.warn(
            f"{', '.join(left)}: left out of the features, as times or row numbers", stacklevel=4
        )
    features = [name for name in head.columns if name not in left]
    if not features:
        raise InputError("no column of numbers", where=path)
    return features


def _read_classes(features, folder, encoding):
    classes = {name: _tables(inner) for name, inner in class_folders(folder).items()}
    files = [file for tables in classes.values() for file in tables]
    if not files:
        raise InputError("no folders of tables by class", where=folder)
    labels = [name for name, tables in classes.items() for _ in tables]
    return _read(files, features, encoding)._replace(y=np.array(labels))


def _read(files, features, encoding):
    from kerasrnn.data.readers.tables import open_table

    sequences = []
    for file in files:
        table, parts, first = open_table(file, encoding=encoding), [], 0
        for batch in table.batches(features):
            parts.append(np.stack([table.numbers(batch, name, first) for name in features], 1))
            first += batch.num_rows
        if not first:
            raise InputError("a sequence without steps", where=file)
        sequences.append(np.concatenate(parts))
    x, lengths = pad_sequences(sequences)
    return Sequences(x, None, None if (lengths == x.shape[1]).all() else lengths)
