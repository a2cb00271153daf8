"""What a model is to predict, or to be scored on: from files, names or texts, some at a time."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from kerasrnn.data.kinds import NAMES
from kerasrnn.data.readers.text_files import read_standard_input
from kerasrnn.data.sequences import load_dataset, load_sequences

_ROWS = 1024  # of arrays that are taken at a time


class Inputs(NamedTuple):
    """Some sequences or texts, in the order of their file.

    x: (n, time, features), or n texts. lengths: the steps of each sequence, or None. y: their
    true labels (n strings, or n lists of them) or numbers (n, targets); None where the file has
    none. columns: what is kept beside the predictions, ``{name: n values}``.
    """

    x: np.ndarray | Sequence[str]
    lengths: np.ndarray | None = None
    y: Sequence | np.ndarray | None = None
    columns: Mapping[str, Sequence] = {}


@contextmanager
def as_file(source: str) -> Iterator[str]:
    """The path of a source; what standard input holds is in a temporary file for the while."""
    if source != "-":
        yield source
        return
    with tempfile.NamedTemporaryFile(prefix="kerasrnn-") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
        file.flush()
        yield file.name


def read_sequences(source: str) -> Iterator[Inputs]:
    """The sequences of an array file, or of a data set's test part. Raises ``InputError``."""
    if source in NAMES or os.path.isdir(source):
        data = load_dataset(source, validation_split=0)
        x, lengths, y = data.test.x, data.test.lengths, data.test.y
        names = np.array(data.labels + data.unseen_labels)
        y = names[y] if len(names) else y
    else:
        (x, lengths), y = load_sequences(source), None
    for start in range(0, len(x), _ROWS):
        rows = slice(start, start + _ROWS)
        yield Inputs(
            x[rows],
            None if lengths is None else lengths[rows],
            None if y is None else y[rows],
        )


def number(parts: Iterator[Inputs]) -> Iterator[Inputs]:
    """The parts, with an ``index`` over all of them where they have no columns of their own."""
    start = 0
    for part in parts:
        index = range(start, start + len(part.x))
        start += len(part.x)
        yield part if part.columns else part._replace(columns={"index": index})


def text_of(argument: str) -> str:
    """A text of the command line; for ``-`` standard input without its last line end."""
    if argument != "-":
        return argument
    return read_standard_input().removesuffix("\n")
