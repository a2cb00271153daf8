"""What a Keras 2 HDF5 file holds of a model: its config and its weights. No Keras.

The HDF5 library crashes or never ends on some damaged files (one of 200), so a process of its
own reads them. Numbers are read only where they lie in the file as plain bytes, so that no file
makes more of them than its size: neither compressed nor chunked, not in another file.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from itertools import count, takewhile
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from kerasrnn.errors import InputError
from kerasrnn.files import check_regular

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_PLAIN = (h5py.h5d.COMPACT, h5py.h5d.CONTIGUOUS)
_WORK = "from kerasrnn.keras2.hdf5 import _work; _work()"
_TOP = "top_level_model_weights"
_SECONDS = 30  # to read a small file, and another one for each
_BYTES = 5 << 20  # of a large file
_MEMORY = 4 << 30  # bytes that reading may take beside a few times the file


class Saved(NamedTuple):
    """A model as Keras 2 saved it.

    config: ``{"class_name": …, "config": …}``. weights: for each layer that has some, by its
    name, the names and values of its weights. version: of Keras. backend: the library below it.
    """

    config: dict
    weights: dict[str, list[tuple[str, np.ndarray]]]
    version: str
    backend: str


def read_model(path: str | os.PathLike) -> Saved:
    """Read a whole model that Keras 2 saved as HDF5.

    Raises:
        InputError: no such file, another kind of file, weights without their model, numbers
            that are not finite or are not stored plainly, damaged.
    """
    check_regular(path)
    with open(path, "rb") as file:
        start = file.read(len(_SIGNATURE))
    if start != _SIGNATURE:
        raise InputError(
            "not an HDF5 file",
            where=path,
            expected="a model that Keras 2 saved as .h5",
            fix="save it so in Keras 2: model.save('old.h5')",
        )
    limit = _SECONDS + os.path.getsize(path) // _BYTES
    paths = os.pathsep.join(filter(None, sys.path))
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder, "model.npz")
        try:
            done = subprocess.run(
                [sys.executable, "-c", _WORK, os.path.abspath(path), found],
                capture_output=True,
                env=os.environ | {"PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1"},
                timeout=limit,
            )
        except subprocess.TimeoutExpired as error:
            raise _damaged(f"the HDF5 library reads it for {limit} seconds", path) from error
        if done.returncode:
            raise _damaged(f"the HDF5 library ends with code {done.returncode}", path)
        if done.stdout:
            raise InputError(json.loads(done.stdout), where=path)
        return _unpacked(found)


def _work():
    """What the process does: the file of its first argument, as .npz in that of its second."""
    path, out = sys.argv[1:]
    size = os.path.getsize(path)
    with contextlib.suppress(ImportError):  # on Windows
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY + 4 * size,) * 2)
    try:
        with h5py.File(path, "r") as file:
            saved = _model(file, size)
        _pack(saved, out)
    except Exception as error:  # h5py raises many kinds
        reason = str(error).split("\n")[0] or type(error).__name__
        ours = error if isinstance(error, InputError) else _damaged(reason)
        print(json.dumps(str(ours)))


def _pack(saved, out):
    names = {layer: [name for name, _ in of] for layer, of in saved.weights.items()}
    index = np.frombuffer(json.dumps([saved.config, names, *saved[2:]]).encode(), "uint8")
    values = [value for of in saved.weights.values() for _, value in of]
    np.savez(out, index, *values)


def _unpacked(file):
    with np.load(file, allow_pickle=False) as archive:
        index, *values = (archive[name] for name in archive)
    config, names, *others = json.loads(index.tobytes())
    left = iter(values)
    weights = {layer: [(name, next(left)) for name in of] for layer, of in names.items()}
    return Saved(config, weights, *others)


def _damaged(found, where=None):
    return InputError("a damaged file", found=found, where=where)


def _model(file, size):
    version, backend = (_text(file, name, "") for name in ("keras_version", "backend"))
    config = _text(file, "model_config", None)
    if config is None:
        raise InputError(
            "weights without their model" if "layer_names" in file.attrs else "no Keras model",
            expected="a whole model of Keras 2",
            fix="save it so in Keras 2: model.save('old.h5'), not save_weights",
        )
    if not version.startswith("2."):
        newer = version[:1].isdigit() and int(version[0]) > 2
        raise InputError(
            "not a model of Keras 2",
            found=f"Keras {version or '1'}",
            fix="keras.models.load_model reads it" if newer else "load and save it in Keras 2",
        )
    config = json.loads(config, parse_constant=_refuse_constant)
    group = _member(file, "model_weights", h5py.Group)
    reader = _Numbers(size)
    weights = {name: reader.layer(group, name) for name in _texts(group, "layer_names")}
    if _has(group, _TOP) and reader.layer(group, _TOP):
        raise InputError("weights of the model itself, outside of its layers")
    return Saved(config, {name: of for name, of in weights.items() if of}, version, backend)


class _Numbers:
    """Reads weights; the bytes that a file can still hold go down with each."""

    def __init__(self, size: int):
        self.left = size

    def layer(self, group, name):
        """The names and values of a layer's weights."""
        group = _member(group, name, h5py.Group)
        return [(each, self.weight(group, each)) for each in _texts(group, "weight_names")]

    def weight(self, group, name):
        data = _member(group, name, h5py.Dataset)
        stored = data.id.get_create_plist()
        if data.dtype.kind != "f" or data.dtype.itemsize > 8:
            raise InputError(f"weight {name}: no floats", found=data.dtype)
        plain = stored.get_layout() in _PLAIN and not stored.get_external_count()
        self.left -= data.nbytes
        if not plain or data.id.get_storage_size() != data.nbytes or self.left < 0:
            raise InputError(
                f"weight {name}: numbers that do not lie in the file as they are",
                found=f"shape {data.shape}",
                fix="undo compression with h5repack -l CONTI -f NONE",
            )
        values = data[()] if data.size else np.zeros(data.shape, data.dtype)
        if bad := int(np.sum(~np.isfinite(values))):
            raise InputError(
                f"weight {name}: numbers that are not finite",
                found=f"{bad:,} of {values.size:,}",
                fix="the training diverged or the file is damaged",
            )
        return np.asarray(values, data.dtype.newbyteorder("="))


def _member(group, name, kind):
    """A group or dataset in a group, by its path; no link to another place is followed."""
    for part in name.split("/"):
        if not isinstance(group, h5py.Group) or not _has(group, part):
            raise _damaged(f"no {name} in {group.name}")
        group = group[part]
    if not isinstance(group, kind):
        raise _damaged(f"{name} is no {kind.__name__.lower()}")
    return group


def _has(group, name):
    """Whether a group holds something itself; a link is not followed to see that."""
    links, name = group.id.links, name.encode()
    return links.exists(name) and links.get_info(name).type == h5py.h5l.TYPE_HARD


def _texts(group, name):
    """A list of strings, cut into several attributes where it was long for one."""
    numbered = takewhile(group.attrs.__contains__, (f"{name}{i}" for i in count()))
    pieces = [name] if name in group.attrs else [*numbered]
    if not pieces:
        raise _damaged(f"no {name} in {group.name}")
    texts = [text for piece in pieces for text in np.ravel(group.attrs[piece]).tolist()]
    return [text.decode() if isinstance(text, bytes) else str(text) for text in texts]


def _text(group, name, default):
    """A string, or ``default`` where there is none."""
    if name not in group.attrs:
        return default
    text = group.attrs[name]
    text = text.decode() if isinstance(text, bytes) else text
    if not isinstance(text, str):
        raise _damaged(f"{name} is no text")
    return text


def _refuse_constant(word):
    raise _damaged(f"{word} in the config of the model")
