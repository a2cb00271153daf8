"""What a model is to predict, or to be scored on: from files, names or texts, some at a time."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from kerasrnn.data.layouts import Batch, read_rows
from kerasrnn.data.readers import labelled_texts, sequence_folders
from kerasrnn.data.readers.text_files import read_standard_input
from kerasrnn.data.sequences import read_sequences
from kerasrnn.data.sources import find_tables
from kerasrnn.data.texts import SEPARATOR

_ROWS = 1024  # of arrays that are taken at a time
_HEAD = 1 << 16  # bytes
_ARRAYS = {  # names of files of sequences, and how these begin
    ".npz": rb"PK\x03\x04",
    ".npy": rb"\x93NUMPY",
    ".arff": rb"(?i)(?:[#%][^\n]*\n|\s)*@relation",
    ".ts": rb"(?:[#%][^\n]*\n|\s)*@",
}


def read_inputs(
    source: str,
    reading: Mapping,
    encoding: str | None = None,
    labels: Sequence[str] = (),
) -> Iterator[Batch]:
    """What a source holds for a model of sequences or texts, with the labels where it has them.

    Args:
        source: a file of the kind that the model was trained on, a data set's name or a folder
            for its test part, or ``-`` for such a file on standard input.
        reading: of the run, how its files are read.
        encoding: of text files; where it is None that of the reading, or UTF-8.
        labels: those of the model, by which the label at the start of a line is known.

    Raises:
        InputError: no such file, or one of another kind.
    """
    layout, encoding = reading.get("layout"), encoding or reading.get("encoding")
    with _as_file(source, {} if layout else _ARRAYS) as path:
        if layout in labelled_texts.LAYOUTS:
            yield from _read_texts(Path(path), reading, labels, encoding)
        elif layout == sequence_folders.LAYOUT:
            yield from _read_tables(Path(path), reading["features"], encoding)
        elif layout:
            yield from read_rows(_open_table(path, encoding), dict(reading))
        else:
            yield from _read_arrays(path, encoding)


def _open_table(path, encoding):
    """The table of a file; of a folder that of the test part, or of the one part that it has."""
    from kerasrnn.data.readers.tables import open_table

    if os.path.isdir(path):
        tables = find_tables(path, None, encoding)
        if tables:
            return tables.get("test", tables["training"])
    return open_table(path, encoding=encoding)


@contextmanager
def _as_file(source, names):
    """The path of a source; what standard input holds is in a temporary file for the while.

    names: the ends of its name by how it begins.
    """
    if source != "-":
        yield source
        return
    head = sys.stdin.buffer.read(_HEAD)
    name = next((name for name, begins in names.items() if re.match(begins, head)), "")
    with tempfile.NamedTemporaryFile(prefix="kerasrnn-", suffix=name) as file:
        file.write(head)
        shutil.copyfileobj(sys.stdin.buffer, file)
        file.flush()
        yield file.name


def _read_arrays(source, encoding):
    """The sequences of a file, or of a data set's test part, with y where there is one."""
    x, y, lengths = read_sequences(source, encoding)
    yield from _in_batches(x, lengths, y)


def _in_batches(inputs, lengths=None, labels=None, rows=None):
    """The values of a ``Batch``, some rows at a time."""
    values = Batch(inputs, lengths, labels, rows=rows)
    for start in range(0, len(inputs), _ROWS):
        some = slice(start, start + _ROWS)
        yield Batch(*(None if value is None else value[some] for value in values))


def _read_texts(path, reading, labels, encoding):
    """The texts of a file or folder, with the text or the name of its file as a column."""
    from pyarrow import table

    (texts, found), names = labelled_texts.read_texts(path, reading["layout"], labels, encoding)
    if found and "label_level" in reading:
        found = [labelled_texts.first_levels(label, reading["label_level"]) for label in found]
    if found and isinstance(found[0], list):
        found = [*map(SEPARATOR.join, found)]
    kept = table({"text": texts} if names is None else {"file": names})
    yield from _in_batches(texts, labels=found, rows=kept)


def _read_tables(path, features, encoding):
    """The sequences of a file or of the files of a folder, with the names of these as a column."""
    from pyarrow import table

    (x, y, lengths), names = sequence_folders.read_files(path, features, encoding)
    yield from _in_batches(x, lengths, y, table({"file": names}))


def kept_columns(parts: Iterator[Batch]) -> Iterator[tuple[Batch, dict[str, Sequence]]]:
    """Each part with the columns of its file, or an ``index`` over all parts where it has none."""
    start = 0
    for part in parts:
        index = {"index": range(start, start + len(part.inputs))}
        start += len(part.inputs)
        if part.rows is None:
            yield part, index
        else:
            yield part, part.rows.to_pydict()


def text_of(argument: str) -> str:
    """A text of the command line; for ``-`` standard input without its last line end."""
    if argument != "-":
        return argument
    return read_standard_input().removesuffix("\n")
