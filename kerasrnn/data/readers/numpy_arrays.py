"""NumPy's .npz archives and .npy files."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np

from kerasrnn.data.readers import Arrays, Sequences
from kerasrnn.errors import InputError, memory_limit
from kerasrnn.files import check_regular

_ZIP, _NPY = (b"PK\x03\x04", b"PK\x05\x06"), b"\x93NUMPY"


def read_numpy(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Every array of an .npz archive, or the one of an .npy file under the name ``x``.

    Pickled objects are refused, and archives that would unpack to more than the memory.

    Raises:
        InputError: no regular file, not NumPy's format, damaged, too large, or with object
            arrays.
    """
    check_regular(path)
    try:
        with open(path, "rb") as file:
            start = file.read(6)
            if not start.startswith((*_ZIP, _NPY)):
                raise InputError("not an .npz or .npy file", where=path)
            if start.startswith(_ZIP):
                _check_size(file, path)
            file.seek(0)
            content = np.load(file, allow_pickle=False)
            if isinstance(content, np.ndarray):
                return {"x": content}
            return {name: content[name] for name in content.files}
    except InputError:
        raise
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


def _check_size(file, path):
    with zipfile.ZipFile(file) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > memory_limit():
        raise InputError(
            "an archive larger than the memory",
            where=path,
            found=f"{size / 1e9:,.1f} GB when unpacked",
            expected=f"at most {memory_limit() / 1e9:,.1f} GB",
        )


def read_dataset(path: Path) -> Arrays:
    """The sequences and labels of an .npz file. Raises ``InputError``.

    It holds ``x`` and ``y``, or ``x_train``, ``y_train``, ``x_test``, ``y_test``, perhaps
    ``lengths`` (``lengths_train``, ``lengths_test``) and ``labels``, the class names.
    """
    arrays = read_numpy(path)
    suffixes = {"training": "_train"}
    if "x" in arrays and "y" in arrays:
        suffixes = {"training": ""}
    elif not ("x_train" in arrays and "y_train" in arrays):
        raise InputError(
            "unknown arrays in the .npz file",
            where=path,
            found=_names(arrays),
            expected="x and y, or x_train and y_train (and x_test, y_test)",
        )
    else:
        if ("x_test" in arrays) != ("y_test" in arrays):
            raise InputError("only one of x_test and y_test", where=path, expected="both or none")
        suffixes |= {"test": "_test"} if "x_test" in arrays else {}
    parts = {
        part: Sequences(*(arrays.get(name + suffix) for name in Sequences._fields))
        for part, suffix in suffixes.items()
    }
    labels = arrays.get("labels")
    if labels is not None:
        labels = tuple(str(label) for label in labels.ravel())
    pixels = parts["training"].x.dtype == np.uint8
    return Arrays(path.stem, parts, labels, one_scale=pixels)


def read_inputs(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """The sequences of an .npz or .npy file, to predict, and their lengths or None."""
    arrays = read_numpy(path)
    key = next((key for key in ("x", "x_test") if key in arrays), None)
    if key is None:
        raise InputError(
            "no sequences in the file", where=path, found=_names(arrays), expected="an array x"
        )
    return arrays[key], arrays.get(key.replace("x", "lengths"))


def _names(arrays):
    return ", ".join(sorted(arrays)) or "no arrays"
