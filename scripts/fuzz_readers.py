"""Damaged files for every reader: a correct result or one InputError, never anything else.

python scripts/fuzz_readers.py [--examples 10000] [READER ...]
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import signal
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import click
from fuzz_formats import FORMATS
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from kerasrnn import InputError
from kerasrnn.data.readers.tables import open_table

SECONDS = 60  # after which a file hangs


class Valid(NamedTuple):
    """A file without a defect, and what is read from it; None where that is not compared.

    open: it may be refused too, since it may be meant in two ways.
    """

    data: bytes
    expected: Any = None
    open: bool = False


class Reader(NamedTuple):
    """A reader to try: its name, the name of its files, files without a defect, and itself."""

    name: str
    file: str
    valid: st.SearchStrategy[Valid]
    read: Callable[[Path], Any]


# Files without a defect. A strategy draws ``Valid``.

_LETTERS = st.characters(exclude_categories=("Cs",), exclude_characters="\0\ufeff")
_SEPARATORS = ",;\t|"


def _without_empty(rows, is_empty):
    """The rows up to the last that is not empty; those at the end of a table are none."""
    filled = [number for number, row in enumerate(rows, 1) if not is_empty(row)]
    return rows[: max(filled, default=0)]


@st.composite
def separated(draw):
    """A table of random texts, as Python writes it in a random dialect."""
    separator = draw(st.sampled_from(_SEPARATORS))
    everything = draw(st.booleans())  # is in quotes
    others = "" if everything else _SEPARATORS.replace(separator, "") + "\r"
    text = st.text(_LETTERS.filter(lambda mark: mark not in others), max_size=9)
    width = draw(st.integers(1, 4))
    rows = draw(st.lists(st.lists(text, min_size=width, max_size=width), min_size=1, max_size=8))
    names = [f"n{place}" for place in range(width)]
    file = io.StringIO(newline="")
    quoting = csv.QUOTE_ALL if everything else csv.QUOTE_MINIMAL
    ends = draw(st.sampled_from(["\n", "\r\n"]))
    csv.writer(file, delimiter=separator, quoting=quoting, lineterminator=ends).writerows(
        [names, *rows]
    )
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
    if width > 1 and not everything:
        rows = _without_empty(rows, lambda row: not "".join(row).strip(" "))
    columns = {name: [row[place] or None for row in rows] for place, name in enumerate(names)}
    return Valid(_perhaps_packed(draw, file.getvalue().encode(encoding)), columns)


@st.composite
def numeric(draw):
    """A table of numbers with decimal points or commas, perhaps with thousands in groups."""
    comma, grouped = draw(st.booleans()), draw(st.booleans())
    numbers = st.one_of(st.floats(-1e6, 1e6), st.integers(-(10**9), 10**9), st.just(math.nan))
    rows = draw(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=8))
    missing = draw(st.sampled_from(["", "NA", "?", "nan", "null"]))

    def written(value):
        if math.isnan(value):
            return missing
        text = f"{value:{',' if grouped else ''}.6f}" if grouped else repr(value)
        return text.translate(str.maketrans(",.", ".,")) if comma else text

    separator = ";" if comma or grouped else draw(st.sampled_from(_SEPARATORS))
    lines = ["a" + separator + "b", *(separator.join(map(written, row)) for row in rows)]
    rows = _without_empty(rows, lambda row: not "".join(map(written, row)))
    expected = [[float(f"{v:.6f}") if grouped else float(v) for v in row] for row in rows]
    columns = {name: [row[place] for row in expected] for place, name in enumerate("ab")}
    return Valid("\n".join(lines).encode(), columns, open=True)


@st.composite
def objects(draw):
    """JSON Lines, or a list, of objects of texts and numbers with some keys missing."""
    kinds = {
        "text": st.text(_LETTERS, max_size=9),
        "number": st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53),
        "flag": st.booleans(),
    }
    row = st.fixed_dictionaries({}, optional={k: v | st.none() for k, v in kinds.items()})
    rows = draw(st.lists(row, min_size=1, max_size=8))
    ascii_only = draw(st.booleans())
    lines = [json.dumps(row, ensure_ascii=ascii_only) for row in rows]
    text = "[" + ",\n".join(lines) + "]" if draw(st.booleans()) else "\n".join(lines)
    names = dict.fromkeys(key for row in rows for key in row)
    columns = {name: [_as_float(row.get(name)) for row in rows] for name in names}
    return Valid(_perhaps_packed(draw, text.encode()), columns)


@st.composite
def parquet(draw):
    """A Parquet file of texts, numbers, times and flags."""
    import pyarrow as pa
    from pyarrow.parquet import write_table

    rows = draw(st.integers(1, 8))

    def column(values):
        return draw(st.lists(values | st.none(), min_size=rows, max_size=rows))

    table = pa.table(
        {
            "text": pa.array(column(st.text(_LETTERS, max_size=9)), pa.string()),
            "number": pa.array(column(st.floats(allow_nan=False)), pa.float64()),
            "whole": pa.array(column(st.integers(-(2**63), 2**63 - 1)), pa.int64()),
            "flag": pa.array(column(st.booleans()), pa.bool_()),
            "list": pa.array(column(st.lists(st.booleans(), max_size=2)), pa.list_(pa.bool_())),
            "time": pa.array(column(st.integers(0, 2**40)), pa.timestamp("ms", "Europe/Berlin")),
            "word": pa.array(column(st.sampled_from("ab")), pa.string()).dictionary_encode(),
        }
    )
    file = io.BytesIO()
    compression = draw(st.sampled_from(["none", "snappy", "gzip"]))
    write_table(table, file, compression=compression, use_dictionary=draw(st.booleans()))
    return Valid(file.getvalue(), table.drop_columns("list").to_pydict())


def _as_float(value):
    return float(value) if type(value) is int else value


def _perhaps_packed(draw, data):
    return gzip.compress(data, mtime=0) if draw(st.booleans()) else data


# Readers: what they return equals ``Valid.expected`` where that is there.


def cells(path):
    """All columns of a table; all of its other methods may refuse it too."""
    table = open_table(path, header=True)
    columns = {name: [] for name in table.columns}
    for batch in table.batches():
        for name in table.columns:
            columns[name] += batch.column(name).to_pylist()
            table.strings(batch, name)
    for convert in (table.numbers, table.times):
        for name in table.columns:
            with _refusing(path):
                convert(table.head(), name)
    table.line(0)
    return columns


def guessed(path):
    """A table with nothing said about it."""
    table = open_table(path)
    table.head()
    return None


def numbers(path):
    """All columns of a table as numbers."""
    table = open_table(path, header=True)
    columns = {name: [] for name in table.columns}
    first = 0
    for batch in table.batches():
        for name in table.columns:
            columns[name] += table.numbers(batch, name, first).tolist()
        first += len(batch)
    return columns


READERS = {
    reader.name: reader
    for reader in (
        Reader("csv", "a.csv", separated(), cells),
        Reader("guess", "a.txt", separated().map(lambda valid: Valid(valid.data)), guessed),
        Reader("numbers", "a.csv", numeric(), numbers),
        Reader("jsonl", "a.jsonl", objects(), cells),
        Reader("parquet", "a.parquet", parquet(), cells),
        *(
            Reader(name, file, valid.map(lambda pair: Valid(*pair)), read)
            for name, file, valid, read in FORMATS
        ),
    )
}


# Damage.

_PIECES = (
    *(
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\0",
        b"\r\n",
        b"\r",
        b"\n",
        b"\n\n",
        b"\xc2\x85",
        b'"',
        b'""',
    ),
    *(b"nan", b"NaN", b"inf", b"-Infinity", b"1e999", b",", b";", b"\t", b"[", b"{", b"}", b"\\"),
    *(
        b"\xe9",
        "é".encode("utf-16-le"),
        b"\xe2\x80\xa8",
        b"\x1f\x8b",
        b"PAR1",
        b"9" * 20,
    ),
)


@st.composite
def damaged(draw, valid):
    """A file with one or several defects, or only what looks like some."""
    data = bytearray(draw(valid).data)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(data)))
        kind = draw(st.sampled_from(["cut", "flip", "put", "put", "drop", "ends", "pack", "any"]))
        if kind == "cut":
            del data[place:]
        elif kind == "flip" and place < len(data):
            data[place] = draw(st.integers(0, 255))
        elif kind == "put":
            data[place:place] = draw(st.sampled_from(_PIECES))
        elif kind == "drop":
            del data[place : place + draw(st.integers(1, 20))]
        elif kind == "ends":
            data = data.replace(b"\n", draw(st.sampled_from([b"\r\n", b"\r", b"\xc2\x85"])))
        elif kind == "pack":
            data = bytearray(gzip.compress(bytes(data), mtime=0))
        elif kind == "any":
            data = bytearray(draw(st.binary(max_size=200)))
    return Valid(bytes(data))


def files(reader: Reader) -> st.SearchStrategy[Valid]:
    """Files for a reader, with and without defects."""
    return reader.valid | damaged(reader.valid) | st.binary(max_size=100).map(Valid)


_FIELD, _MANY = b"a" * 10_000_000, 2_000_000
LARGE: tuple[tuple[str, Callable[[], bytes]], ...] = (  # files that are large, or become so
    ("nothing", lambda: b""),
    ("a large field", lambda: b"x,y\n1," + _FIELD + b"\n2,b\n"),
    ("a large field in quotes", lambda: b'x,y\n1,"' + _FIELD + b'"\n2,b\n'),
    ("quotes that never close", lambda: b'x,y\n1,"' + _FIELD + b"\n2,b\n"),
    ("many quotes", lambda: b"x,y\n" + b'"' * (_MANY + 1)),
    ("many separators", lambda: b"x,y\n" + b"," * _MANY),
    ("many line ends", lambda: b"x,y\n" + b"\n" * _MANY),
    ("a large JSON string", lambda: b'{"a": "' + _FIELD + b'"}\n{"a": "b"}'),
    ("many brackets", lambda: b"[" * _MANY),
    ("a large JSON number", lambda: b'{"a": ' + b"1" * _MANY + b"}"),
    ("a bomb of one line", lambda: gzip.compress(b"a" * 300_000_000, 1)),
    ("a bomb of lines", lambda: gzip.compress(b"a,b\n" + b"1,2\n" * 2 * _MANY, 1)),
    ("a bomb of zeros", lambda: gzip.compress(bytes(300_000_000), 1)),
    ("a bomb in quotes", lambda: gzip.compress(b'a,b\n1,"' + b"a\n" * 100_000_000, 1)),
)


def check(reader: Reader, valid: Valid) -> bool:
    """Whether a file is read; refused, it must be by one InputError that names it.

    Raises ``AssertionError`` for another result than expected, and whatever else the reader
    raises.
    """
    with tempfile.TemporaryDirectory() as folder, _alarm(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / reader.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(valid.data)
        try:
            found = reader.read(path)
        except InputError as error:
            assert "\n" not in str(error) and str(path) in str(error), error
            assert valid.expected is None or valid.open, f"refused: {error}"
            return False
    if valid.expected is not None:
        assert repr(found) == repr(valid.expected), f"{found}\nexpected {valid.expected}"
    return True


def fuzz(reader: Reader, examples: int) -> Counter:
    """Try a reader; the number of files that it read and refused. Raises what a reader does."""
    counts = Counter()

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(files(reader))
    def each(valid):
        counts[check(reader, valid)] += 1

    each()
    return counts


@contextmanager
def _refusing(path):
    """Let pass an InputError that names the path."""
    try:
        yield
    except InputError as error:
        assert "\n" not in str(error) and str(path) in str(error), error


@contextmanager
def _alarm():
    """Raise ``TimeoutError`` after ``SECONDS``."""

    def ring(*_):
        raise TimeoutError(f"no end after {SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@click.command()
@click.option("--examples", default=10_000, show_default=True, help="Files for each reader")
@click.option("--large/--no-large", default=True, help="Large files and gzip bombs too")
@click.argument("readers", nargs=-1, type=click.Choice(sorted(READERS)))
def main(examples, large, readers):
    """Try READERS, by default all, with damaged files."""
    failed = False
    print(f"{'reader':12} {'files':>7} {'read':>7} {'refused':>7} {'seconds':>8}")
    for name in readers or READERS:
        start = time.monotonic()
        try:
            counts = fuzz(READERS[name], examples)
            for _, data in LARGE if large else ():
                counts[check(READERS[name], Valid(data()))] += 1
        except Exception:
            traceback.print_exc()
            failed = True
            continue
        seconds = time.monotonic() - start
        row = (f"{n:>7,}" for n in (counts.total(), counts[True], counts[False]))
        print(f"{name:12} {' '.join(row)} {seconds:8.0f}", flush=True)
    raise SystemExit(failed)


if __name__ == "__main__":
    main()
