"""``read_source``: from a name, file or folder to what is in it, unchecked. No Keras here."""

from __future__ import annotations

import os
from dataclasses import fields, replace
from itertools import chain
from pathlib import Path

import numpy as np

from kerasrnn.data import downloads
from kerasrnn.data.checks import encode_labels
from kerasrnn.data.kinds import NAMES, check_exists, format_of, tables_of_parts
from kerasrnn.data.readers import (
    Arrays,
    LabelledTexts,
    Sequences,
    TextParts,
    TimeSeries,
    idx,
    labelled_texts,
    sequence_folders,
)
from kerasrnn.data.readers.labelled_texts import first_levels
from kerasrnn.data.readers.part_files import (
    TABLES,
    files_of_folder,
    files_of_parts,
    is_named,
    part_of,
)
from kerasrnn.data.roles import Layout, Roles, find_layout
from kerasrnn.data.table_parts import read_tables
from kerasrnn.errors import InputError, check_positive


def read_source(
    source: str | os.PathLike,
    *,
    roles: Roles | None = None,
    task: str | None = None,
    test: str | None = None,
    encoding: str | None = None,
) -> Arrays | TextParts | TimeSeries:
    """What a data set, file or folder holds, for a classifier or a regressor.

    Args:
        source: a name of ``NAMES``, or a path.
        roles: what the user says of the columns of a table; of texts outside tables ``label``
            may be the number of levels of labels such as ``DESC:manner`` that count.
        task: the one asked for, where several readings are possible.
        test: the path of the test part, where it is not beside the source: a file or folder of
            the same kind, of which its own test part is taken where it has one.
        encoding: of text files, by default UTF-8.

    Raises:
        InputError: no such data, a defective file, roles of what has no columns, or a table
            that can be read in several ways.

    >>> read_source("digits").parts["training"].x.shape
    (1797, 8, 8)
    """
    source = os.fspath(source)
    tables = find_tables(source, test, encoding)
    if tables:
        return read_tables(tables, find_layout(tables["training"], roles, task))
    level = roles.label if roles else None
    if roles not in (None, Roles(), Roles(label=level)) or not (level or "1").isdecimal():
        raise InputError(
            "columns of what is no table", where=source, found=str(roles), fix="leave them out"
        )
    found = _read(source, encoding)
    if test is not None:
        found = _with_test(found, os.fspath(test), encoding)
    return found if level is None else _cut_labels(found, int(level), source)


def _with_test(found, test, encoding):
    """What was found, with the test part of another file or folder, or else all that it holds."""
    path, layout = Path(test), found.reading.get("layout")
    if not path.is_dir():
        check_exists(test, ())
    if isinstance(found, TextParts):
        labels = found.parts["training"].labels
        known = {*(chain.from_iterable(labels) if isinstance(labels[0], list) else labels)}
        part, _ = labelled_texts.read_texts(path, layout, known, encoding)
    elif layout == sequence_folders.LAYOUT:
        part, _ = sequence_folders.read_files(path, found.reading["features"], encoding)
    elif format_of(test).kind != "sequences":
        raise InputError(
            "a test part of another kind of data",
            where=test,
            found=format_of(test).said,
            expected="sequences outside tables, as the training part has them",
        )
    elif path.is_dir():
        other = _named(_read(test, encoding), test)
        part = other.parts.get("test", other.parts["training"])
    else:
        part = format_of(test).read_inputs(path, encoding)
    y = part[1]
    if y is None:
        raise InputError("a test part without labels", where=test)
    if isinstance(found, TextParts):
        return replace(found, parts=labelled_texts.checked(found.parts | {"test": part}))
    found = _named(found, test) if y.dtype.kind == "U" else found
    return replace(found, parts=found.parts | {"test": part})


def _named(arrays, where):
    """Arrays whose labels are the names of the classes, where they are indices into these."""
    if arrays.labels is None:
        return arrays
    given = {part: found.y for part, found in arrays.parts.items()}
    names, _, y = encode_labels(given, arrays.labels, where)
    parts = {part: s._replace(y=np.array(names)[y[part]]) for part, s in arrays.parts.items()}
    return replace(arrays, parts=parts, labels=None)


def _cut_labels(found, level, source):
    """Texts with the first levels of their labels."""
    if not isinstance(found, TextParts):
        raise InputError("levels of what are no labels of texts", where=source, fix="no --label")
    check_positive(label=level)
    parts = {
        name: LabelledTexts(part.texts, [first_levels(label, level) for label in part.labels])
        for name, part in found.parts.items()
    }
    if parts["training"].labels == found.parts["training"].labels:
        raise InputError(
            f"labels of no more than {level} levels",
            where=source,
            found=repr(parts["training"].labels[0]),
            expected="DESC:manner, comp/graphics or comp.graphics, which --label 1 cuts",
            fix="leave --label out",
        )
    return replace(found, parts=parts, reading=found.reading | {"label_level": level})


def read_by_options(source: str, task: str, options: dict) -> Arrays | TextParts | TimeSeries:
    """As ``read_source``: roles, test and encoding are among the options of a task's data."""
    names = [row.name for row in fields(Roles)]
    return read_source(
        source,
        roles=Roles(**{name: options[name] for name in names if options.get(name) is not None}),
        task=task,
        test=options.get("test"),
        encoding=options.get("encoding"),
    )


def options_of(roles: Roles | None, test: str | None, encoding: str | None) -> dict:
    """What ``read_by_options`` reads by, without what is not said."""
    said = {} if roles is None else dict(vars(roles))
    said |= {"test": test and os.path.abspath(test), "encoding": encoding}
    return {name: value for name, value in said.items() if value is not None}


def source_of(given: str) -> str:
    """A source as a run keeps it: a name of ``NAMES``, or an absolute path."""
    return given if given in NAMES else os.path.abspath(given)


def layout_of(
    source: str | os.PathLike,
    *,
    roles: Roles | None = None,
    task: str | None = None,
    encoding: str | None = None,
) -> Layout:
    """How the table of a file or folder is read; arguments and errors as of ``read_source``."""
    return find_layout(find_tables(os.fspath(source), None, encoding)["training"], roles, task)


def find_tables(source: str, test: str | None, encoding: str | None) -> dict:
    """The table of each part, ``{"training": readers.tables.Table, …}``; ``{}`` for no table.

    A file is a table by its name or content; those beside it whose names differ in the word for
    the part are the other parts. Of a folder the files are so named, or lie in folders that are.
    Raises ``InputError``.
    """
    if source in NAMES or source == "-" or format_of(source).kind != "table":
        return {}
    from kerasrnn.data.readers.tables import open_table

    path = Path(source)
    files = _tables_of_folder(path) if path.is_dir() else files_of_parts(path)
    if test is not None:
        check_exists(os.fspath(test), ())
        files = {**files, "test": Path(test)}
    tables = {"training": open_table(files["training"], encoding=encoding)}
    header = tables["training"].header  # a small part alone could look otherwise
    for part, file in files.items():
        if part not in tables:
            tables[part] = open_table(file, encoding=encoding, header=header)
    return tables


def _tables_of_folder(folder):
    """The file of each part."""
    if any(is_named(path, *TABLES) for path in folder.iterdir()):
        return files_of_folder(folder, *TABLES)
    inner = {part_of(path.parent.name): path for path in tables_of_parts(folder)}
    if "training" not in inner:
        raise InputError("no table of the training part", where=folder)
    return inner


def _read(source, encoding):
    """What a name, file or folder holds that is no table."""
    if source == "digits":
        return _read_digits()
    if source == "mnist":
        return replace(idx.read_folder(downloads.find_mnist()), name="mnist")
    path, found = Path(source), format_of(source)
    read = found.read_folder if path.is_dir() else found.read
    if found.kind not in ("sequences", "texts") or read is None:
        raise InputError(
            "unknown kind of file",
            where=source,
            found=found.kind,
            expected="a table, .npz, .ts, .arff, a UCR or IDX folder, or texts by class",
        )
    return read(path, encoding)


def _read_digits():
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = digits.images.astype("float32")
    parts = {"training": Sequences(images, digits.target)}
    return Arrays("digits", parts, axes=idx.AXES, one_scale=True)
