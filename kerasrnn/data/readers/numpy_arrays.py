"""NumPy's .npz archives and .npy files."""

from __future__ import annotations

import os
import re
import zipfile
from pathlib import Path

import numpy as np

from kerasrnn.data.readers import Arrays, Sequences
from kerasrnn.data.readers.part_files import PARTS, is_named, part_of
from kerasrnn.errors import InputError, memory_limit
from kerasrnn.files import check_regular

_ROLES = ("x", "y", "lengths", "labels", "targets")
_ZIP, _NPY = (b"PK\x03\x04", b"PK\x05\x06"), b"\x93NUMPY"


def read_numpy(
    path: str | os.PathLike, roles: tuple[str, ...] | None = None
) -> dict[str, np.ndarray]:
    """Every array of an .npz archive, or the one of an .npy file under the name ``x``.

    roles: of the arrays of an archive only those called so, such as ``("y",)``.

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
            return {
                name: content[name]
                for name in content.files
                if roles is None or (_role(name) or "-")[0] in roles
            }
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


def read_dataset(path: Path, encoding: str | None = None) -> Arrays:
    """The sequences of an .npz file, or of .npy files side by side. Raises ``InputError``.

    Arrays are called ``x`` and ``y``, or ``x_train``, ``y_train``, ``x_val``, ``y_val``,
    ``x_test``, ``y_test`` in any case, with the part before or after; perhaps ``lengths``
    (``lengths_train``, …), ``labels``, the class names, and ``targets``, the names of numbers
    to predict. So are .npy files: ``X_TRAIN.npy`` and ``y_train.npy``. Where y holds numbers
    that are not whole it is to be predicted as such.
    """
    if path.suffix.lower() == ".npy" and _role(path.stem):
        return read_folder(path.parent)
    return _arrays(read_numpy(path), path, path.stem)


def read_folder(folder: Path, encoding: str | None = None) -> Arrays:
    """The arrays of a folder of .npy files such as X_TRAIN.npy. Raises ``InputError``."""
    files = [path for path in sorted(folder.iterdir()) if is_named(path, "*.npy")]
    found = {path.stem: read_numpy(path)["x"] for path in files if _role(path.stem)}
    return _arrays(found, folder, folder.resolve().name)


def read_inputs(path: Path, encoding: str | None = None) -> Sequences:
    """The sequences of an .npz or .npy file: those of the test part, or else all.

    y are labels as they are, names where there are ``labels``, or numbers that are to be
    predicted. Raises ``InputError``.
    """
    arrays = read_numpy(path)
    found = _by_role(arrays, path)
    part = "test" if ("x", "test") in found else "training"
    if ("x", part) not in found:
        raise InputError(
            "no sequences in the file", where=path, found=_names(arrays), expected="an array x"
        )
    y, labels = found.get(("y", part)), found.get(("labels", "training"))
    if y is not None and y.dtype.kind == "f" and ("targets", "training") not in found:
        y = y if _is_number(y) else y.astype(int)
    if y is not None and labels is not None and y.dtype.kind in "iu" and y.size:
        if y.min() < 0 or y.max() >= labels.size:
            raise InputError("a label outside the classes", where=path, found=y.max())
        y = labels.ravel()[y]
    return Sequences(found["x", part], y, found.get(("lengths", part)))


def has_targets(path: Path) -> bool:
    """Whether an .npz file or a folder of .npy files has numbers to predict. Only y is read."""
    if path.suffix.lower() == ".npy":
        path = path.parent
    if path.is_dir():
        files = [file for file in path.iterdir() if (_role(file.stem) or "-")[0] == "y"]
        return any(_is_number(read_numpy(file)["x"]) for file in files if is_named(file, "*.npy"))
    found = _by_role(read_numpy(path, ("y", "targets")), path)
    return any(role == "targets" or _is_number(array) for (role, _), array in found.items())


def _arrays(arrays, where, name):
    found = _by_role(arrays, where)
    if ("x", "training") not in found or ("y", "training") not in found:
        raise InputError(
            "unknown arrays in the file or folder",
            where=where,
            found=_names(arrays),
            expected="x and y, or x_train and y_train (and x_test, y_test)",
        )
    parts = {}
    for part in PARTS:
        sequences = Sequences(*(found.get((role, part)) for role in _ROLES[:3]))
        if (sequences.x is None) != (sequences.y is None):
            raise InputError(f"only x or only y of the {part} part", where=where, expected="both")
        if sequences.x is not None:
            parts[part] = sequences
    labels, targets = (found.get((role, "training")) for role in ("labels", "targets"))
    if targets is None and any(_is_number(sequences.y) for sequences in parts.values()):
        y = parts["training"].y
        several = y.ndim == 2 and y.shape[1] > 1
        targets = [f"target_{i + 1}" for i in range(y.shape[1])] if several else ["target"]
    elif targets is not None:
        targets = targets.ravel()
    return Arrays(
        name,
        parts,
        None if labels is None else tuple(str(label) for label in labels.ravel()),
        None if targets is None else tuple(map(str, targets)),
        one_scale=parts["training"].x.dtype == np.uint8,  # pixels
    )


def _role(name):
    """What an array is by its name: (x, y, …, the part that it is of), or None."""
    words = re.split(r"[ ._-]", name.lower())
    roles = [word for word in words if word in _ROLES]
    parts = [part_of(word) for word in words if word not in _ROLES]
    if len(roles) != 1 or len(parts) > 1 or None in parts:
        return None
    return roles[0], (*parts, "training")[0]


def _by_role(arrays, where):
    found = {}
    for name, array in arrays.items():
        role = _role(name)
        if role in found:
            raise InputError(f"two arrays {role[0]} of the {role[1]} part", where=where, found=name)
        if role is not None:
            found[role] = array
    return found


def _is_number(y):
    """Whether y holds numbers that are no labels: some are not whole."""
    return y.dtype.kind == "f" and not (np.isfinite(y) & (y == np.round(y))).all()


def _names(arrays):
    return ", ".join(sorted(arrays)) or "no arrays"
