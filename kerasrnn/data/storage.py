"""Arrays that may be larger than the memory: in a temporary file beyond a size. No Keras here."""

from __future__ import annotations

import operator
import os
import tempfile
from array import array
from collections.abc import Iterable, Iterator
from itertools import islice, pairwise

import numpy as np

from kerasrnn.errors import InputError

_IN_MEMORY = 1 << 26  # bytes of an array that are kept in memory
_CHUNK = 1 << 24  # bytes that are read at a time
_TEXTS = 1000  # that are read at a time


class FileArray:
    """Rows of an array in a file, read when they are asked for.

    ``x[rows]`` reads a row, a slice, or rows in any order, as an array in memory. Pages are read,
    not mapped, so that the memory of the process stays small.
    """

    def __init__(self, file, dtype: np.dtype, shape: tuple[int, ...], rows: np.ndarray | None):
        self._file, self.dtype, self.shape, self._rows = file, dtype, shape, rows
        self._size = dtype.itemsize * int(np.prod(shape[1:], dtype="int64"))

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, rows):
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(len(self)))
        elif isinstance(rows, (int, np.integer)):
            return self[[range(len(self))[rows]]][0]
        rows = np.asarray(rows) if self._rows is None else self._rows[rows]
        found = np.empty((len(rows), *self.shape[1:]), self.dtype)
        flat, start = found.view("uint8").reshape(len(rows), -1 if len(rows) else 0), 0
        ends = [*(np.flatnonzero(np.diff(rows) != 1) + 1), len(rows)] if len(rows) else []
        for end in ends:  # rows that follow each other at once
            self._read(flat[start:end], int(rows[start]))
            start = end
        return found

    def _read(self, into, row):
        view, offset = memoryview(into).cast("B"), row * self._size
        while len(view):
            size = os.preadv(self._file.fileno(), [view], offset)
            if not size:
                raise InputError("a temporary file that was cut", where=self._file.name)
            view, offset = view[size:], offset + size

    def select(self, rows: np.ndarray) -> FileArray:
        """The array of some rows of this one, not read yet."""
        rows = np.asarray(rows) if self._rows is None else self._rows[rows]
        return FileArray(self._file, self.dtype, (len(rows), *self.shape[1:]), rows)


class GrowingArray:
    """Takes rows, and gives them as one array: in memory, or in a file where it is large.

    row_shape, dtype: of a row. The file has no name, and goes with the array; the folder of
    temporary files holds it (``TMPDIR``).

    >>> rows = GrowingArray((2,), "float32")
    >>> rows.append([[1, 2], [3, 4]])
    >>> rows.array().tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """

    def __init__(self, row_shape: tuple[int, ...], dtype):
        self.row_shape, self._dtype = tuple(row_shape), np.dtype(dtype)
        self._chunks, self._size, self._length, self._file = [], 0, 0, None

    def __len__(self):
        return self._length

    def append(self, rows):
        """Add rows at the end. Raises ``InputError`` where the disk is full."""
        rows = np.ascontiguousarray(rows, self._dtype).reshape(-1, *self.row_shape)
        self._length += len(rows)
        self._size += rows.nbytes
        self._chunks.append(rows)
        if self._file is None and self._size > _IN_MEMORY:
            self._file = tempfile.TemporaryFile(prefix="kerasrnn-")  # noqa: SIM115, it lasts
        if self._file is not None:
            self._flush()

    def _flush(self):
        try:
            for chunk in self._chunks:
                self._file.write(chunk)
        except OSError as error:
            raise InputError(
                "no room for data larger than the memory",
                where=tempfile.gettempdir(),
                found=error.strerror,
                fix="free space there, or name another folder by TMPDIR",
            ) from error
        self._chunks = []

    def array(self) -> np.ndarray | FileArray:
        """All rows, (n, *row_shape)."""
        shape = (self._length, *self.row_shape)
        if self._file is None:
            none = np.zeros((0, *self.row_shape), self._dtype)
            self._chunks = [np.concatenate([none, *self._chunks])]
            return self._chunks[0]
        self._file.flush()
        return FileArray(self._file, self._dtype, shape, None)


class StoredTexts:
    """A list of texts that only grows; beyond a size it lies in a file, as UTF-8.

    >>> texts = StoredTexts()
    >>> texts.extend(["a", "né", ""])
    >>> len(texts), texts[1], texts[::2], [*texts]
    (3, 'né', ['a', ''], ['a', 'né', ''])
    """

    def __init__(self):
        self._bytes, self._ends = GrowingArray((), "uint8"), array("q", [0])

    def __len__(self):
        return len(self._ends) - 1

    def __eq__(self, other):
        return len(self) == len(other) and all(map(operator.eq, self, other))

    __hash__ = None

    def extend(self, texts: Iterable[str]):
        """Add texts at the end. Raises ``InputError`` where the disk is full."""
        texts = iter(texts)
        while encoded := [t.encode("utf-8", "surrogatepass") for t in islice(texts, _TEXTS)]:
            for text in encoded:
                self._ends.append(self._ends[-1] + len(text))
            self._bytes.append(np.frombuffer(b"".join(encoded), "uint8"))

    def __getitem__(self, places):
        if isinstance(places, slice):
            return [self[place] for place in range(*places.indices(len(self)))]
        start, end = self._ends[places], self._ends[places + 1]
        return self._bytes.array()[start:end].tobytes().decode("utf-8", "surrogatepass")

    def __iter__(self):
        stored = self._bytes.array()
        for first in range(0, len(self), _TEXTS):
            ends = self._ends[first : first + _TEXTS + 1]
            some = stored[ends[0] : ends[-1]].tobytes()
            for start, end in pairwise(ends):
                yield some[start - ends[0] : end - ends[0]].decode("utf-8", "surrogatepass")


def select(array: np.ndarray | FileArray, rows: np.ndarray) -> np.ndarray | FileArray:
    """Some rows of an array; of one in a file they are not read yet."""
    return array.select(rows) if isinstance(array, FileArray) else array[rows]


def chunks(array: np.ndarray | FileArray) -> Iterator[tuple[int, np.ndarray]]:
    """The array in pieces that fit into memory well, each with the number of its first row.

    >>> [(start, rows.tolist()) for start, rows in chunks(np.arange(3))]
    [(0, [0, 1, 2])]
    """
    row = array.dtype.itemsize * int(np.prod(array.shape[1:], dtype="int64"))
    step = max(1, _CHUNK // max(row, 1))
    for start in range(0, len(array), step):
        yield start, array[start : start + step]
