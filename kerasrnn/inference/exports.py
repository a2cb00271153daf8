"""Exports as they are used: loaded, checked, and asked with NumPy arrays and strings."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from kerasrnn.errors import InputError
from kerasrnn.export.signatures import fill
from kerasrnn.inference.calling import in_batches, in_groups
from kerasrnn.tasks.tagger import Tagger
from kerasrnn.text import UNITS

FORMAT = 1  # of signature.json
FORMATS = ("saved_model", "onnx", "litert")
_TASKS = ("classifier", "tagger", "generator", "infiller", "model")


@dataclass(frozen=True, eq=False)
class Export:
    """An export that was loaded. about: what its signature.json says."""

    path: Path
    about: dict
    _loaded: object

    def __str__(self):
        return str(self.path)

    @property
    def task(self) -> str:
        return self.about["task"]

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(self.about["labels"])

    def takes(self, name) -> bool:
        """Whether ``serving_default`` has an input of that name."""
        return name in self._signature("serving_default")["inputs"]

    def classify(self, x, lengths=None) -> np.ndarray:
        """Probabilities (n, classes) of sequences x (n, time, features), as ``tasks.predict``."""
        if self.takes("lengths") and lengths is None:
            lengths = np.full(len(x), x.shape[1], "int32")
        inputs = {"x": x} if lengths is None else {"x": x, "lengths": lengths}

        def answer(batch):
            return self.ask(**dict(zip(inputs, batch, strict=True)))["probabilities"]

        return in_batches([*inputs.values()], answer)

    def tagger(self) -> Tagger:
        """A ``Tagger`` that asks this export of one."""
        return _ExportedTagger(self)

    def ask(self, signature="serving_default", **inputs) -> dict[str, np.ndarray]:
        """The outputs of a signature; strings as str. Raises ``InputError`` for inputs that
        do not fit it."""
        known = self._signature(signature)
        if inputs.keys() != known["inputs"].keys():
            raise InputError(
                f"inputs of {signature}",
                found=", ".join(inputs) or "none",
                expected=", ".join(known["inputs"]),
            )
        tensors = {
            name: _fitting(name, inputs[name], spec) for name, spec in known["inputs"].items()
        }
        try:
            found = self._loaded.signatures[signature](**tensors)
        except tf.errors.InvalidArgumentError as error:
            raise InputError(_said(error), where=signature) from error
        return {name: _from_bytes(value.numpy()) for name, value in found.items()}

    def _signature(self, name):
        signatures = self.about["signatures"]
        if name not in signatures:
            raise InputError("no such signature", found=name, expected=" or ".join(signatures))
        return signatures[name]


class _ExportedTagger(Tagger):
    def __init__(self, export):
        self.export, self.labels, self.unit = export, export.labels, export.about["unit"]

    def predict(self, sentences):
        def answer(sentences):
            return self.export.ask("tag_tokens", tokens=fill(sentences, ""))["probabilities"]

        return in_groups(sentences, len(self.labels), answer)


def _said(error):
    """The line of a TensorFlow error that says what is wrong."""
    lines = [line.strip() for line in str(error).splitlines() if "expected" in line]
    return (lines or str(error).splitlines())[0]


def _fitting(name, value, spec):
    value = np.asarray(value)
    wanted = tf.as_dtype(spec["dtype"])
    kinds = "USO" if wanted == tf.string else "fiu" if wanted.is_floating else "iub"
    sizes = zip(value.shape, spec["shape"], strict=False)
    fits = value.ndim == len(spec["shape"]) and all(size in (None, n) for n, size in sizes)
    if not fits or value.dtype.kind not in kinds:
        shape = ", ".join("any" if size is None else str(size) for size in spec["shape"])
        raise InputError(
            f"{name} does not fit the export",
            found=f"{value.dtype} of shape {value.shape}",
            expected=f"{spec['dtype']} of shape ({shape})",
        )
    return tf.constant(value, wanted)


def _from_bytes(value):
    return np.char.decode(value.astype("S"), "utf-8") if value.dtype == object else value


def digest(path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_export(path) -> bool:
    """Whether there is an export of this package at ``path``."""
    return (Path(path) / "signature.json").is_file()


def read_about(path) -> dict:
    """What the signature.json of an export says. Raises ``InputError``."""
    path = Path(path)
    if not is_export(path):
        other = (path / "saved_model.pb").is_file()
        raise InputError(
            f"a SavedModel from elsewhere: {path}" if other else f"no export at {path}",
            expected="a directory made by 'kerasrnn export', with its signature.json",
        )
    file = path / "signature.json"
    try:
        about = json.loads(file.read_text(encoding="utf-8"))
        if about["format"] != FORMAT:
            raise InputError(
                "export of another kerasrnn version",
                where=file,
                found=f"format {about['format']}",
                expected=f"format {FORMAT}",
            )
        _check_about(about)
        return about
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError("broken signature.json", where=file, fix="export it again") from error


def _check_about(about):
    """Raise one of several errors unless a signature.json has all its parts."""
    signatures = about["signatures"].values()
    sides = [one[side] for one in signatures for side in ("inputs", "outputs")]
    proper = [about["task"] in _TASKS, about["kind"] in FORMATS, *map(_is_text, about["labels"])]
    proper += [about["unit"] in (None, *UNITS), *map(_is_text, about["files"].values())]
    for spec in (spec for side in sides for spec in side.values()):
        tf.TensorSpec(spec["shape"], spec["dtype"])
    if not all(proper):
        raise ValueError


def _is_text(value):
    return isinstance(value, str)


def load_export(path) -> Export:
    """Load an export of this package, a SavedModel, and check that it is as it was written.

    A SavedModel is code that is run: load one only from people you trust. The check finds
    damage, not ill will.

    Raises:
        InputError: not an export, one of another version or format, or a damaged one.
    """
    path, about = Path(path), read_about(path)
    for name, expected in about["files"].items():
        file = path / name
        if not file.is_file() or digest(file) != expected:
            raise InputError(
                f"damaged export: {name} is {'changed' if file.is_file() else 'missing'}",
                where=path,
                fix="export it again",
            )
    if about["kind"] != "saved_model":
        raise InputError(
            f"an export as {about['kind']}, not as a SavedModel",
            where=path,
            fix="its model_card.md says how to run it",
        )
    try:
        return Export(path, about, tf.saved_model.load(path))
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise InputError(f"cannot load: {str(error).splitlines()[0]}", where=path) from error
