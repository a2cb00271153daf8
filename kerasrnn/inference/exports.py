"""Exports as they are used: loaded, checked, and called with NumPy arrays and strings."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from kerasrnn.errors import InputError, reason_of
from kerasrnn.files import digest, read_json
from kerasrnn.text import Vocabulary

FORMAT = 2  # of signature.json
MODEL = "model"  # the task of an export of any other Keras model


@dataclass(frozen=True, eq=False)
class Export:
    """An export that was loaded. about: what its signature.json says."""

    path: Path
    about: dict
    _loaded: object

    def __str__(self):
        return str(self.path)

    def __fspath__(self):
        return str(self.path)

    @property
    def task(self) -> str:
        """``"classifier"``, …, or ``"model"`` for any other Keras model."""
        return self.about["task"]

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the last axis of ``probabilities``."""
        return tuple(self.about["labels"])

    def reading(self, *names: str) -> dict:
        """How input is read, of the options named, or all: ``{"level": "char", …}``.

        Raises ``InputError``.
        """
        if not names:
            return self.about["reading"]
        return {name: self._entry("reading", name) for name in names}

    def vocabulary(self, name: str = "tokens") -> Vocabulary:
        """The vocabulary of an input of the model. Raises ``InputError`` where it has none."""
        said = self._entry("vocabularies", name)
        return Vocabulary(reserved=said["tokens"][1:], padded=said["first_id"] == 1)

    def inputs(self, signature: str = "serving_default") -> dict[str, dict]:
        """Type and shape of each input of a signature. Raises ``InputError``."""
        return self._entry("signatures", signature)["inputs"]

    def _entry(self, table, name):
        """An entry of a table in signature.json."""
        entries = self.about[table]
        if name not in entries:
            raise InputError(
                f"not among the {table} of the export",
                where=self,
                found=name,
                expected=" or ".join(entries) or "none",
            )
        return entries[name]

    def function(self, signature: str) -> Callable[..., dict[str, tf.Tensor]]:
        """A signature as a function of tensors by name, for use within a graph."""
        self.inputs(signature)
        loaded = self._loaded  # its signatures live no longer than it
        return lambda **inputs: loaded.signatures[signature](**inputs)

    def call(self, signature: str = "serving_default", **inputs) -> dict[str, np.ndarray]:
        """The outputs of a signature, strings as str.

        Raises ``InputError`` for inputs that do not fit it, and what else its graph refuses.

        >>> load_export("saved_models/digits").call(x=images)["label"]  # doctest: +SKIP
        array(['0', '1'], dtype='<U1')
        """
        known = self.inputs(signature)
        if inputs.keys() != known.keys():
            raise InputError(
                f"inputs of {signature}",
                found=", ".join(inputs) or "none",
                expected=", ".join(known),
            )
        tensors = {name: _fitting(name, inputs[name], spec) for name, spec in known.items()}
        try:
            outputs = self._loaded.signatures[signature](**tensors)
        except tf.errors.OpError as error:
            raise InputError(reason_of(error), where=signature) from error
        return {name: _from_bytes(value.numpy()) for name, value in outputs.items()}


def _fitting(name, value, spec):
    """A value as the tensor that an input takes."""
    wanted = tf.as_dtype(spec["dtype"])
    kinds = "USO" if wanted == tf.string else "fiu" if wanted.is_floating else "iub"
    try:
        value = np.asarray(value)
        found = f"{value.dtype} of shape {value.shape}"
        if has_shape(value.shape, spec["shape"]) and value.dtype.kind in kinds:
            tensor = tf.constant(value, wanted)
            if wanted.is_integer and not np.array_equal(tensor, value):
                raise OverflowError("numbers that are too large")
            return tensor
    except (ValueError, TypeError, OverflowError) as error:
        found = reason_of(error)
    raise InputError(
        f"{name} does not fit the export",
        found=found,
        expected=f"{spec['dtype']} {shape_text(spec['shape'])}",
    )


def has_shape(shape: Sequence[int], expected: Sequence[int | None]) -> bool:
    """Whether a shape is as expected, where None is any size."""
    return len(shape) == len(expected) and all(
        wanted in (None, size) for wanted, size in zip(expected, shape, strict=True)
    )


def shape_text(shape: Sequence) -> str:
    """A shape in words.

    >>> shape_text((None, 2))
    '(any, 2)'
    """
    return f"({', '.join('any' if size is None else str(size) for size in shape)})"


def _from_bytes(value):
    return np.char.decode(value.astype("S"), "utf-8") if value.dtype == object else value


def is_export(path: str | os.PathLike) -> bool:
    """Whether there is an export of this package at ``path``."""
    return (Path(path) / "signature.json").is_file()


def read_about(path: str | os.PathLike) -> dict:
    """What the signature.json of an export says. Raises ``InputError``."""
    path = Path(path)
    if not is_export(path):
        other = (path / "saved_model.pb").is_file()
        raise InputError(
            f"a SavedModel from elsewhere: {path}" if other else f"no export at {path}",
            expected="a directory made by 'kerasrnn export', with its signature.json",
        )
    file = path / "signature.json"
    about = read_json(file, dict)
    if about.get("format") != FORMAT:
        raise InputError(
            "export of another kerasrnn version",
            where=file,
            found=f"format {about.get('format')}",
            expected=f"format {FORMAT}",
            fix="export it again",
        )
    if about.get("digest") != digest_of(about):
        raise _damaged(path, "signature.json is changed")
    return about


def digest_of(about: dict) -> str:
    """The SHA-256 of what a signature.json says, but for its own ``"digest"``."""
    said = {name: value for name, value in about.items() if name != "digest"}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _damaged(path, how):
    return InputError(f"damaged export: {how}", where=path, fix="export it again")


def load_export(path: str | os.PathLike) -> Export:
    """Load an export of this package, a SavedModel, and check that it is as it was written.

    A SavedModel is code that is run: load one only from people you trust. The check finds
    accidental damage, not tampering.

    Raises:
        InputError: not an export, one of another version or format, or a damaged one.

    >>> load_export("saved_models/digits-classifier-1").labels[:2]  # doctest: +SKIP
    ('0', '1')
    """
    path, about = Path(path), read_about(path)
    for name, expected in about["files"].items():
        file = path / name
        if not file.is_file() or digest(file) != expected:
            raise _damaged(path, f"{name} is {'changed' if file.is_file() else 'missing'}")
    if about["kind"] != "saved_model":
        raise InputError(
            f"an export as {about['kind']}, not as a SavedModel",
            where=path,
            fix="its model_card.md says how to run it",
        )
    try:
        return Export(path, about, tf.saved_model.load(path))
    except (OSError, ValueError, tf.errors.OpError) as error:  # of an older TensorFlow
        raise InputError(f"cannot load: {reason_of(error)}", where=path) from error
