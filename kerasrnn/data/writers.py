"""Tables written batch by batch: CSV, TSV, JSON Lines and Parquet."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from types import MappingProxyType, SimpleNamespace

import pyarrow as pa

from kerasrnn.errors import InputError
from kerasrnn.files import atomic

FORMATS = (".csv", ".tsv", ".jsonl", ".parquet")


@contextmanager
def table_writer(
    path: str | os.PathLike, columns: Mapping[str, pa.DataType | str]
) -> Iterator[Callable[[Mapping[str, Sequence]], None]]:
    """Yield a function that appends a batch of rows to a new table.

    path: its suffix, one of ``FORMATS``, says the format. columns: names and Arrow types, such
    as ``"string"``, ``"double"``, ``"int64"`` or ``"timestamp[us]"``. A
    batch is a list or array for each of them. NaN is written as no value in CSV and JSON. The
    file is there only once all is written.

    Raises ``InputError`` for another suffix, or a place that cannot be written.

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/labels.csv"
    >>> with table_writer(path, {"id": "int64", "label": "string"}) as write:
    ...     write({"id": [1, 2], "label": ["up", 'so "so"']})
    >>> print(open(path).read().strip())
    id,label
    1,up
    2,"so ""so"\""
    """
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise InputError(
            "no format of tables", found=repr(os.fspath(path)), expected=" or ".join(FORMATS)
        )
    schema = pa.schema([pa.field(name, kind) for name, kind in columns.items()])
    opened = {".parquet": _parquet, ".jsonl": _json_lines}.get(suffix, _delimited)
    with atomic(path) as temporary, opened(temporary, schema) as append:

        def write(batch):
            arrays = [pa.array(batch[field.name], field.type) for field in schema]
            append(pa.record_batch(arrays, schema=schema))

        yield write


def write_table(
    path: str | os.PathLike,
    batches: Iterable[Mapping[str, Sequence]],
    types: Mapping[str, pa.DataType] = MappingProxyType({}),
) -> int:
    """Write batches of columns as a new table; returns the number of rows.

    types: of some columns; the first batch tells those of the others.

    Raises ``InputError`` as ``table_writer`` does, for no batch at all, and for a value that is
    unlike those of the first batch.
    """
    batches = iter(batches)
    first = next(batches, None)
    if first is None:
        raise InputError("no rows to write", where=path)
    types = {name: types.get(name) or pa.array(values).type for name, values in first.items()}
    types = {n: pa.string() if pa.types.is_null(kind) else kind for n, kind in types.items()}
    rows = 0
    with table_writer(path, types) as write:
        try:
            for batch in chain([first], batches):
                write(batch)
                rows += len(next(iter(batch.values())))
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise InputError(
                "a column whose later values are of another kind", where=path, found=str(error)
            ) from error
    return rows


def csv_lines(batches: Iterable[Mapping[str, Sequence]]) -> Iterator[str]:
    """Batches of columns as the lines of one CSV table, a header first.

    >>> "".join(csv_lines([{"id": [1, 2], "value": [0.5, math.nan]}]))
    'id,value\\n1,0.5\\n2,\\n'
    """
    header = True
    for columns in batches:
        lines = []
        rows = _row_writer(lines.append, ",")
        if header:
            rows.writerow(columns)
        batch = pa.record_batch([*map(pa.array, columns.values())], names=[*columns])
        rows.writerows(zip(*_plain(batch), strict=True))
        header = False
        yield "".join(lines)


@contextmanager
def _parquet(path, schema):
    from pyarrow.parquet import ParquetWriter

    with ParquetWriter(path, schema) as writer:
        yield writer.write_batch


@contextmanager
def _delimited(path, schema):
    with open(path, "w", encoding="utf-8", newline="") as file:
        rows = _row_writer(file.write, "\t" if path.suffix.lower() == ".tsv" else ",")
        rows.writerow(schema.names)
        yield lambda batch: rows.writerows(zip(*_plain(batch), strict=True))


def _row_writer(write, separator):
    """A writer of rows, each of which is given to a function as a line."""
    # That line end makes csv quote both of its characters; the line gets the second alone.
    lines = SimpleNamespace(write=lambda line: write(line.removesuffix("\r\n") + "\n"))
    return csv.writer(lines, delimiter=separator, lineterminator="\r\n")


@contextmanager
def _json_lines(path, schema):
    with open(path, "w", encoding="utf-8") as file:
        yield lambda batch: file.writelines(
            json.dumps(dict(zip(schema.names, row, strict=True)), ensure_ascii=False) + "\n"
            for row in zip(*_plain(batch), strict=True)
        )


def _plain(batch):
    """The columns as lists of what JSON knows."""
    for column in batch.columns:
        if pa.types.is_temporal(column.type):
            column = column.cast(pa.string())
        values = column.to_pylist()
        if pa.types.is_floating(column.type):
            values = [None if value is None or math.isnan(value) else value for value in values]
        yield values
