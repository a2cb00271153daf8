"""IDX files, the format of MNIST: a header with the shape, then the bytes of one array."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np

from kerasrnn.data.readers import Arrays, Sequences
from kerasrnn.data.readers.text_files import open_unpacked
from kerasrnn.errors import InputError, memory_limit

# Type codes of the IDX format, as published with the MNIST database (LeCun, Cortes, Burges).
_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_DIMENSIONS = {"images": 3, "labels": 1}
_CHUNK = 1 << 24  # bytes that are read at once
AXES = ("image", "row", "column")


def read_idx(path: str | os.PathLike, what: str | None = None) -> np.ndarray:
    """Read one IDX file, gzipped or not, as an array of the shape its header states.

    what: ``"images"``, an array (n, rows, columns), or ``"labels"``, (n,); None for either.

    Raises:
        InputError: no regular file, not IDX, truncated, longer than its header says, larger
            than the memory, or something else than ``what``.
    """
    with open_unpacked(path) as file:
        dtype, shape = _read_header(file, path)
        size = math.prod(shape) * dtype.itemsize
        data = _read_at_most(file, size, path)
    if len(data) != size:
        raise InputError(
            "truncated IDX file" if len(data) < size else "IDX file with bytes past its end",
            where=path,
            found=f"{len(data):,} bytes after the header",
            expected=f"{size:,} for shape {shape}",
            fix="copy or download it again",
        )
    if what is not None and len(shape) != _DIMENSIONS[what]:
        raise InputError(
            "IDX file of another kind",
            where=path,
            found=f"shape {shape}",
            expected=what,
            fix="are images and labels swapped?",
        )
    return np.frombuffer(data, dtype).reshape(shape).astype(dtype.newbyteorder("="))


def find_idx(folder: str | os.PathLike) -> dict[str, Path]:
    """The IDX files of a folder by their usual names.

    Keys are ``train_images``, ``train_labels``, ``test_images``, ``test_labels``; a key is
    absent where there is no such file. Both ``train-images-idx3-ubyte`` and
    ``train-images.idx3-ubyte`` are known, ``t10k`` or ``test`` mark the test part, gzipped
    or not. Raises ``InputError`` where two files could be meant.
    """
    found: dict[str, Path] = {}
    for path in sorted(Path(folder).iterdir()):
        name = path.name.lower()
        if path.is_dir() or "idx" not in name:
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


def read_folder(folder: Path, encoding: str | None = None) -> Arrays:
    """The images and labels of a folder of IDX files. Raises ``InputError``."""
    files = find_idx(folder)
    if "train_images" not in files or "train_labels" not in files:
        raise InputError(
            "no training images and labels in the folder",
            where=folder,
            found=", ".join(path.name for path in files.values()) or "no IDX files",
            expected="files named like train-images-idx3-ubyte[.gz], train-labels-idx1-ubyte[.gz]",
        )
    if ("test_images" in files) != ("test_labels" in files):
        raise InputError("a test part with only images or only labels", where=folder)
    parts = {
        name: Sequences(*(read_idx(files[f"{key}_{kind}"], kind) for kind in ("images", "labels")))
        for name, key in {"training": "train", "test": "test"}.items()
        if f"{key}_images" in files
    }
    return Arrays(folder.resolve().name, parts, axes=AXES, one_scale=True)


def read_inputs(path: Path, encoding: str | None = None) -> Sequences:
    """The images of an IDX file, to predict. Raises ``InputError``."""
    return Sequences(read_idx(path, "images"))


def _read_header(file, path):
    head = file.read(4)
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in _TYPES:
        raise InputError(
            "not an IDX file",
            where=path,
            found=f"first bytes {head.hex(' ') or '(none)'}",
            expected="00 00, a type code and the number of dimensions",
        )
    lengths = file.read(4 * head[3])
    if len(lengths) < 4 * head[3]:
        raise InputError("truncated IDX file", where=path, fix="copy or download it again")
    return np.dtype(_TYPES[head[2]]), tuple(np.frombuffer(lengths, ">u4").tolist())


def _read_at_most(file, size, path):
    """The rest of a file, or a few bytes more than ``size``."""
    data = bytearray()
    while len(data) <= size and (chunk := file.read(_CHUNK)):
        data += chunk
        if len(data) > memory_limit():
            raise InputError("an IDX file larger than the memory", where=path)
    return data
