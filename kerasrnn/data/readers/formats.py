"""Readers of data files: bytes in, arrays out, every defect named. No Keras here."""

from __future__ import annotations

import codecs
import gzip
import io
import itertools
import math
import re
import statistics
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from kerasrnn.errors import InputError

# Type codes of the IDX format, as published with the MNIST database (LeCun, Cortes, Burges).
_IDX_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}

CONLLU_COLUMNS = (
    *("id", "form", "lemma", "upos", "xpos"),
    *("feats", "head", "deprel", "deps", "misc"),
)

_NUMPY_STARTS = (b"PK\x03\x04", b"PK\x05\x06", b"\x93NUMPY")


def read_idx(path) -> np.ndarray:
    """Read one IDX file, gzipped or not, as an array of the shape its header states.

    Raises:
        InputError: no such file, not IDX, truncated, or longer than its header says.
    """
    data = _read_bytes(path)
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _IDX_TYPES:
        raise InputError(
            "not an IDX file",
            where=path,
            found=f"first bytes {data[:4].hex(' ') or '(none)'}",
            expected="00 00, a type code and the number of dimensions",
        )
    dtype, dimensions = np.dtype(_IDX_TYPES[data[2]]), data[3]
    start = 4 + 4 * dimensions
    shape = np.frombuffer(data[4:start], ">u4", count=min(dimensions, (len(data) - 4) // 4))
    size = start + math.prod(int(length) for length in shape) * dtype.itemsize
    if len(shape) < dimensions or len(data) != size:
        raise InputError(
            "truncated IDX file" if len(data) < size else "IDX file with bytes past its end",
            where=path,
            found=f"{len(data):,} bytes",
            expected=f"{size:,} for shape {tuple(int(length) for length in shape)}",
            fix="copy or download it again",
        )
    array = np.frombuffer(data, dtype, offset=start).reshape([int(length) for length in shape])
    return array.astype(dtype.newbyteorder("="))


def read_idx_images(path) -> np.ndarray:
    """Read an IDX file of images, ``(n, rows, columns)``."""
    return _expect_dimensions(read_idx(path), 3, path, "images (n, rows, columns)")


def read_idx_labels(path) -> np.ndarray:
    """Read an IDX file of labels, ``(n,)``."""
    return _expect_dimensions(read_idx(path), 1, path, "labels (n,)")


def find_idx(folder) -> dict[str, Path]:
    """The IDX files of a folder by their usual names.

    Keys are ``train_images``, ``train_labels``, ``test_images``, ``test_labels``; a key is
    absent where there is no such file. Both ``train-images-idx3-ubyte`` and
    ``train-images.idx3-ubyte`` are known, ``t10k`` or ``test`` mark the test part, gzipped
    or not. Raises ``InputError`` where two files could be meant.
    """
    found: dict[str, Path] = {}
    for path in sorted(Path(folder).iterdir()):
        name = path.name.lower()
        if not path.is_file() or "idx" not in name:
            continue
        part = "test" if "t10k" in name or "test" in name else "train"
        kind = "images" if "images" in name else "labels" if "labels" in name else None
        if kind is None:
            continue
        key = f"{part}_{kind}"
        if key in found and found[key].name.removesuffix(".gz") != path.name.removesuffix(".gz"):
            raise InputError(
                f"two files of {part} {kind} in {folder}",
                found=f"{found[key].name} and {path.name}",
                expected="one",
            )
        found.setdefault(key, path)
    return found


def read_numpy(path) -> dict[str, np.ndarray]:
    """Every array of an .npz archive, or the one of an .npy file under the name ``x``.

    Pickled objects are refused.

    Raises:
        InputError: no such file, not NumPy's format, damaged, or with object arrays.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            if not file.read(6).startswith(_NUMPY_STARTS):
                raise InputError("not an .npz or .npy file", where=path)
            file.seek(0)
            content = np.load(file, allow_pickle=False)
            if isinstance(content, np.ndarray):
                return {"x": content}
            return {name: content[name] for name in content.files}
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"no file {path}") from error
    except Exception as error:  # zipfile and NumPy raise a dozen kinds for damaged bytes
        if "pickle" in str(error):
            raise InputError(
                "an array of Python objects, which only pickle could read",
                where=path,
                expected="arrays of numbers or strings",
                fix="where sequences differ in length, pad them and store their 'lengths'",
            ) from error
        raise InputError(
            f"damaged .npz or .npy file ({error})", where=path, fix="write or copy it again"
        ) from error


def read_ts(path) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
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
    lines = enumerate("".join(read_text(path)).split("\n"), 1)
    lines = ((number, line.strip()) for number, line in lines)
    lines = [(number, line) for number, line in lines if line and line[0] not in "#%"]
    keys = [line.split()[0].lower() for _, line in lines]
    if "@data" not in keys:
        raise InputError("no @data line", where=path, expected="a .ts file")
    start = keys.index("@data")
    header = _read_ts_header(lines[:start], path)
    labels, dimensions, steps = header["labels"], header["dimensions"], header["steps"]
    sequences, given = [], []
    for number, line in lines[start + 1 :]:
        where = f"{path}:{number}"
        fields = line.split(":")
        if labels is not None:
            given.append(_ts_label(fields, labels, dimensions, where))
        sequences.append(_ts_sequence(fields, dimensions, steps, where))
        dimensions = len(fields)
        steps = len(sequences[-1]) if header["equal"] else None
    if not sequences:
        raise InputError("no sequences after @data", where=path)
    lengths = np.array([len(sequence) for sequence in sequences], "int32")
    x = np.zeros((len(sequences), lengths.max(), dimensions), "float32")
    for row, sequence in zip(x, sequences, strict=True):
        row[: len(sequence)] = sequence
    return x, None if header["equal"] else lengths, np.array(given) if given else None


def _read_ts_header(lines, path):
    """What the lines before @data say: labels, dimensions and steps, or None, and equal."""
    said, places = {}, {}
    for number, line in lines:
        key, *words = line.split()
        if key[0] != "@":
            raise InputError("data before @data", where=f"{path}:{number}", found=repr(key[:40]))
        said[key.lower()], places[key.lower()] = words, f"{path}:{number}"

    def flag(name, default=None):
        words = said.get(name.lower(), [str(default)])
        if not words or words[0].lower() not in ("true", "false"):
            raise InputError(
                f"a .ts header that does not say {name}",
                where=places.get(name.lower(), path),
                expected="true or false",
            )
        return words[0].lower() == "true"

    def count(name):
        words = said.get(name.lower())
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
    labels = said["@classlabel"][1:] if flag("@classLabel") else None
    if labels == []:
        raise InputError("@classLabel without labels", where=places["@classlabel"])
    equal = flag("@equalLength", False)
    return {
        "labels": labels,
        "dimensions": 1 if flag("@univariate", False) else count("@dimensions"),
        "steps": count("@seriesLength") if equal else None,
        "equal": equal,
    }


def _ts_label(fields, labels, dimensions, where):
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


def _ts_sequence(fields, dimensions, steps, where):
    """The values of a line, (time, dimensions)."""
    if dimensions is not None and len(fields) != dimensions:
        raise InputError(
            "a line of other dimensions", where=where, found=len(fields), expected=dimensions
        )
    channels = [_ts_values(field, where) for field in fields]
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


def _ts_values(field, where):
    try:
        return [float(value) for value in field.replace("?", "nan").split(",")]
    except ValueError as error:
        value = str(error).split("float: ")[-1]
        raise InputError(
            "a value that is not a number", where=where, found=value[:40], expected="a number or ?"
        ) from error


def read_text(path, chunk_size=1 << 24) -> Iterator[str]:
    """The text of a UTF-8 file in pieces, with every line end as ``\\n`` and no byte order mark.

    Raises:
        InputError: no such file, binary, or not UTF-8; the byte offset is named.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    newlines = io.IncrementalNewlineDecoder(None, translate=True)
    offset, mark = 0, "\ufeff"
    try:
        with Path(path).open("rb") as file:
            while True:
                data = file.read(chunk_size)
                if b"\0" in data:
                    raise InputError(
                        "not a text file",
                        where=path,
                        found=f"a zero byte at offset {offset + data.index(0):,}",
                    )
                kept = len(decoder.getstate()[0])  # bytes of a character cut by the last piece
                text = decoder.decode(data, final=not data)
                text = newlines.decode(text, final=not data)
                if text:
                    yield text.removeprefix(mark)
                    mark = ""
                if not data:
                    return
                offset += len(data)
    except UnicodeDecodeError as error:
        raise InputError(
            "not UTF-8",
            where=path,
            found=f"byte {error.object[error.start]:#04x} at offset "
            f"{offset - kept + error.start:,}",
            fix="convert it to UTF-8",
        ) from error
    except FileNotFoundError as error:
        raise InputError(f"no file {path}") from error
    except OSError as error:
        raise InputError(f"cannot read {path}", found=error.strerror) from error


def read_conllu(path, column="upos") -> Iterator[tuple[list[str], list[str], list[int]]]:
    """The sentences of a CoNLL-U file: tokens, a label for each, the line each stands in.

    Comments, the ranges of multiword tokens (``1-2``) and empty nodes (``1.1``) are left out.
    The format is that of Universal Dependencies, https://universaldependencies.org/format.html.

    column: what is the label, one of ``CONLLU_COLUMNS``. ``_`` is no label, save in feats and
    misc, where it says that there are none.

    Raises:
        InputError: unknown column, what ``read_text`` raises, or a line that is not CoNLL-U,
            has no label or is not numbered in turn.
    """
    if column not in CONLLU_COLUMNS:
        raise InputError(
            "unknown column", found=repr(column), expected=f"one of {', '.join(CONLLU_COLUMNS)}"
        )
    return _sentences(_conllu_rows(path, column))


def read_conll(path) -> Iterator[tuple[list[str], list[str], list[int]]]:
    """The sentences of a file of columns: tokens, a label for each, the line each stands in.

    The first column is the token, the last the label, as in the shared tasks of CoNLL 2000 to
    2003. Blank lines and ``-DOCSTART-`` end a sentence. Spaces and tabs part the columns; tabs
    alone where only they give every line as many columns. A line that starts with ``"# "`` is
    a comment, unless it has as many columns as the others and a label that others have.

    Raises:
        InputError: what ``read_text`` raises, or a line that has no label or another number of
            columns than most.
    """
    return _sentences(_conll_rows(path))


def _sentences(rows):
    """Rows (token, label, line), with None between sentences → lists of each, by sentence."""
    for real, group in itertools.groupby(rows, key=lambda row: row is not None):
        if real:
            tokens, labels, lines = zip(*group, strict=True)
            yield list(tokens), list(labels), list(lines)


def _lines(path) -> Iterable[tuple[int, str]]:
    return enumerate("".join(read_text(path)).split("\n"), 1)


def _conllu_rows(path, column):
    place, turn = CONLLU_COLUMNS.index(column), 1
    for number, line in _lines(path):
        if not line.strip():
            turn = 1
            yield None
        elif not line.startswith("#"):
            fields = line.split("\t")
            if len(fields) != len(CONLLU_COLUMNS):
                raise InputError(
                    "not a line of CoNLL-U",
                    where=f"{path}:{number}",
                    found=_columns(len(fields)),
                    expected=f"{len(CONLLU_COLUMNS)}, parted by tabs",
                )
            if re.fullmatch(r"[0-9]+[-.][0-9]+", fields[0]):
                continue
            if fields[0] != str(turn):
                raise InputError(
                    "a token that is not numbered in turn",
                    where=f"{path}:{number}",
                    found=repr(fields[0]),
                    expected=turn,
                    fix="is a blank line between sentences missing?" if fields[0] == "1" else None,
                )
            turn += 1
            form, label = fields[1], fields[place]
            literal = column in ("feats", "misc") or (column in ("form", "lemma") and form == "_")
            _check_row(form, label, literal, f"{path}:{number}", f" ({column})")
            yield form, label, number


def _conll_rows(path):
    lines = [
        (number, "" if line.startswith("-DOCSTART-") else line) for number, line in _lines(path)
    ]
    certain = [(n, line) for n, line in lines if line.strip() and not line.startswith("# ")]
    if not certain:
        return
    split = _separator([line for _, line in certain])
    rows = {number: split(line) for number, line in certain}
    width = statistics.mode(len(fields) for fields in rows.values())
    for number, fields in rows.items():
        where, found = f"{path}:{number}", _columns(len(fields))
        if len(fields) < 2:
            raise InputError(
                "a line without a label", where=where, found=found, expected="a token and a label"
            )
        if len(fields) != width:
            raise InputError("a line unlike the others", where=where, found=found, expected=width)
        _check_row(fields[0], fields[-1], False, where)
    labels = {fields[-1] for fields in rows.values()}
    for number, line in lines:
        fields = rows.get(number) or split(line)
        if not line.strip():
            yield None
        elif number in rows or (len(fields) == width and fields[-1] in labels):
            yield fields[0], fields[-1], number


def _separator(lines):
    """The function that parts lines of CoNLL columns: at blanks of any kind, or at tabs."""
    uneven = len({len(_at_blanks(line)) for line in lines}) > 1
    widths = {len(_at_tabs(line)) for line in lines} if uneven else ()
    return _at_tabs if len(widths) == 1 and min(widths) > 1 else _at_blanks


def _at_blanks(line):
    return re.split("[ \t]+", line.strip(" \t"))  # no other white space, which tokens may hold


def _at_tabs(line):
    return [field.strip(" ") for field in line.split("\t")]


def _check_row(token, label, literal, where, column=""):
    if not token:
        raise InputError("an empty token", where=where)
    if not label.strip() or (label == "_" and not literal):
        raise InputError(f"a token without a label{column}", where=where, found=repr(label))


def _columns(number):
    return f"{number} column{'' if number == 1 else 's'}"


def _read_bytes(path):
    try:
        data = Path(path).read_bytes()
        return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except FileNotFoundError as error:
        raise InputError(f"no file {path}") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(
            f"damaged gzip file ({error})", where=path, fix="copy or download it again"
        ) from error
    except OSError as error:
        raise InputError(f"cannot read {path}", found=error.strerror) from error


def _expect_dimensions(array, dimensions, path, expected):
    if array.ndim != dimensions:
        raise InputError(
            "IDX file of another kind",
            where=path,
            found=f"shape {array.shape}",
            expected=expected,
            fix="are images and labels swapped?",
        )
    return array
