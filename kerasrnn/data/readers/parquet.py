"""Parquet files as batches of columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from kerasrnn.data.readers.numbers import Notation
from kerasrnn.errors import InputError
from kerasrnn.files import check_regular

_TEXTS = (
    *(pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary),
    *(pa.types.is_large_string, pa.types.is_binary_view, pa.types.is_string_view, pa.types.is_null),
)
_ROWS, _SIZE = 1 << 14, 1 << 24  # of a batch, and bytes


class Parquet:
    """The rows of a Parquet file; see ``tables.Table`` for its attributes."""

    header = True
    notation = Notation()
    description = "Parquet"

    def __init__(self, path: Path):
        self.path = path
        with self._file() as file:
            schema = file.schema_arrow
        names = schema.names
        if twice := [name for name in names if names.count(name) > 1]:
            raise InputError("two columns of one name", where=path, found=repr(twice[0]))
        self.nested = tuple(field.name for field in schema if _is_nested(field.type))
        self.columns = tuple(name for name in names if name not in self.nested)

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Batches of columns, of the types in the file; dictionaries become their values."""
        with self._file() as file:
            wanted = list(columns) or list(self.columns[:1])
            groups = [file.metadata.row_group(n) for n in range(file.num_row_groups)]
            largest = max((g.total_byte_size // max(g.num_rows, 1) for g in groups), default=0)
            rows = max(1, min(_ROWS, _SIZE // max(largest, 1)))
            missing = file.metadata.num_rows
            for batch in file.iter_batches(rows, columns=wanted, use_threads=False):
                missing -= batch.num_rows
                arrays = [self._plain(batch.column(name), name) for name in columns]
                yield pa.record_batch(arrays, names=list(columns))
            if missing:  # PyArrow ends in silence where the counts of a damaged file differ
                found = f"{file.metadata.num_rows - missing:,} rows"
                expected = f"{file.metadata.num_rows:,}"
                raise InputError(
                    "a damaged Parquet file", where=self.path, found=found, expected=expected
                )

    def line(self, row: int) -> str:
        """``path, row n``, from 1."""
        return f"{self.path}, row {row + 1:,}"

    @contextmanager
    def _file(self):
        check_regular(self.path)
        try:
            with parquet.ParquetFile(
                self.path, buffer_size=1 << 20, page_checksum_verification=True
            ) as file:
                yield file
        except (pa.ArrowException, OSError, UnicodeError, MemoryError) as error:
            raise InputError("a damaged Parquet file", where=self.path, found=error) from error

    def _plain(self, array, name):
        """Values of dictionaries, and bytes or views of text as text."""
        if pa.types.is_dictionary(array.type):
            array = array.cast(array.type.value_type)
        if any(is_text(array.type) for is_text in _TEXTS):
            try:
                return array.cast(pa.string())
            except pa.ArrowInvalid as error:
                raise InputError(
                    f"no text in column {name!r}", where=self.path, found=error
                ) from error
        return array


def _is_nested(kind):
    return pa.types.is_nested(kind) or pa.types.is_interval(kind)
