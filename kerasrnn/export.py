"""A model as a SavedModel for CPU and GPU: it takes raw input, needs no other file or package,
and is checked, in a process without kerasrnn, against the Keras model that it was made from.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from kerasrnn import serving
from kerasrnn.cards import model_card
from kerasrnn.conversion import write_litert, write_onnx
from kerasrnn.errors import InputError
from kerasrnn.generation import Writer, load_writer
from kerasrnn.infilling import Infiller, load_infiller
from kerasrnn.models import load_model
from kerasrnn.runs import Run, library_versions
from kerasrnn.serving import fill
from kerasrnn.tagging import Tagger, in_groups, load_tagger
from kerasrnn.text import UNITS

FORMATS = ("saved_model", "onnx", "litert")
ROOT = Path("saved_models")
FORMAT = 1  # of signature.json
_TASKS = ("classifier", "tagger", "generator", "infiller", "model")
_BATCH = 256
_CHECK = Path(__file__).with_name("_check.py")


def export(
    subject,
    path=None,
    *,
    format="saved_model",
    labels=None,
    vocabulary=None,
    unit="word",
    overwrite=False,
    check=True,
) -> Path:
    """Write a model for inference without kerasrnn, and check it there.

    The directory holds the SavedModel, ``model_card.md`` (how to call it), ``signature.json``
    (inputs and outputs for programs), ``examples.json`` and ``check.py``, which runs them.
    It is written beside its place and moved there when it has passed the check.

    Args:
        subject: a ``Run``; a ``Tagger``, ``Writer`` or ``Infiller``; or any Keras model.
        path: the directory to make; of a run by default ``saved_models/<run name>``.
        format: ``"saved_model"``, ``"onnx"`` (needs the extra ``onnx``) or ``"litert"``. The
            last two hold the model alone: numbers in, numbers out.
        labels: names of the classes of a classifier that is given as a Keras model.
        vocabulary, unit: of one that reads tokens, see ``serving.serve_classifier``.
        overwrite: replace an export that is there already.
        check: compare with the Keras model in a fresh process.

    Returns:
        The directory.

    Raises:
        InputError: an argument outside what is said above, a place that cannot be written, or
            an export that answers otherwise than the model.
    """
    if format not in FORMATS:
        raise InputError("unknown format", found=repr(format), expected=" or ".join(FORMATS))
    if path is None and not isinstance(subject, Run):
        raise InputError("no path to export to", fix="name one; only a run has a default")
    suffix = "" if format == "saved_model" else f"-{format}"
    path = Path(path or ROOT / f"{subject.path.resolve().name}{suffix}")
    with _replacing(path, overwrite) as place:
        servable = servable_of(subject, labels, vocabulary, unit)
        about = {"format": FORMAT, "kind": format, "task": servable.task}
        if format != "saved_model":
            about["instead_of"] = list(servable.signatures)
            servable = serving.core(servable, rows=1 if format == "litert" else 3)
        about["signatures"] = _WRITERS[format](servable, place)
        metrics = subject.metrics() if isinstance(subject, Run) else {}
        _write_beside(servable, about, metrics, place, path.name)
        if check:
            _check(place)
    return path


def servable_of(subject, labels=None, vocabulary=None, unit="word") -> serving.Servable:
    """What ``export`` exports of its subject."""
    if isinstance(subject, Run):
        if subject.task == "classifier":
            return serving.serve_classifier(load_model(subject.path), subject.labels())
        load = {"tagger": load_tagger, "generator": load_writer, "infiller": load_infiller}
        subject = load[subject.task](subject)
    for kind, serve in (
        (Tagger, serving.serve_tagger),
        (Writer, serving.serve_generator),
        (Infiller, serving.serve_infiller),
    ):
        if isinstance(subject, kind):
            return serve(subject)
    if not isinstance(subject, keras.Model) or not subject.built:
        raise InputError(
            "nothing that can be exported",
            found=type(subject).__name__,
            expected="a Run, a Tagger, a Writer, an Infiller, or a Keras model that was built",
        )
    if labels is None:
        return serving.serve_model(subject)
    return serving.serve_classifier(subject, labels, vocabulary, unit)


@contextmanager
def _replacing(path, overwrite):
    """A place beside ``path`` to write to, moved there on success; else nothing is changed."""
    if os.path.lexists(path):
        if not overwrite:
            raise InputError(
                f"{path} exists already",
                expected="a new directory",
                fix="choose another --output, or --overwrite",
            )
        if not is_export(path):
            raise InputError(f"{path} is not an export, so it is not overwritten")
    place, old = (path.with_name(f".{os.getpid()}-{word}-{path.name}") for word in ("new", "old"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield place
        if path.exists():
            path.rename(old)
        place.rename(path)
    except (OSError, tf.errors.OpError) as error:
        if old.exists() and not path.exists():
            old.rename(path)
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        reason = reason.split("; ")[-1].split(" [Op")[0]  # of what TensorFlow puts around it
        raise InputError(
            f"cannot write {path}", found=reason, fix="free space or choose another place"
        ) from error
    finally:
        for left in (place, old):
            shutil.rmtree(left, ignore_errors=True)


def _write_saved_model(servable, place):
    """Write it; gives the inputs and outputs of each signature."""
    module = tf.Module()
    module.weights = [variable.value for variable in servable.model.variables]
    module.tables = list(servable.tables)
    graphs, signatures = {}, {}
    for name, (function, inputs) in servable.signatures.items():
        if function not in graphs:
            graph = tf.function(function, input_signature=inputs, autograph=False)
            graphs[function] = graph.get_concrete_function()
        signatures[name] = graphs[function]
    tf.saved_model.save(module, place, signatures=signatures)
    return {
        name: _sides(servable.signatures[name][1], graph.structured_outputs)
        for name, graph in signatures.items()
    }


def _write_core(convert, servable, place):
    """Write the model alone; gives the inputs and outputs of its only signature."""
    ((name, (_, inputs)),) = servable.signatures.items()
    ((_, _, outputs),) = servable.examples
    place.mkdir()
    convert(servable.model, list(outputs), place)
    specs = {
        key: tf.TensorSpec([None] * (value.ndim - 1) + [value.shape[-1]], value.dtype)
        for key, value in outputs.items()
    }
    return {name: _sides(inputs, specs)}


_WRITERS = {
    "saved_model": _write_saved_model,
    "onnx": partial(_write_core, write_onnx),
    "litert": partial(_write_core, write_litert),
}


def _sides(inputs, outputs):
    inputs = {spec.name: _described(spec) for spec in inputs}
    return {"inputs": inputs, "outputs": {key: _described(spec) for key, spec in outputs.items()}}


def _described(spec):
    return {"dtype": spec.dtype.name, "shape": spec.shape.as_list()}


def _write_beside(servable, about, metrics, place, name):
    """Write what stands beside the model, and the rest of ``about`` it."""
    examples = [
        {"signature": signature, "inputs": _plain(inputs), "outputs": _plain(outputs)}
        for signature, inputs, outputs in servable.examples
    ]
    _write_json(place / "examples.json", examples)
    shutil.copyfile(_CHECK, place / "check.py")
    about |= {"labels": list(servable.labels), "unit": servable.unit}
    if about["kind"] != "saved_model":  # which has them inside
        about["vocabularies"] = {
            input: {"first_id": first, "tokens": list(vocabulary.tokens)}
            for input, (first, vocabulary) in servable.vocabularies.items()
        }
    files = sorted(file for file in place.rglob("*") if file.is_file())
    about["files"] = {file.relative_to(place).as_posix(): _digest(file) for file in files}
    about["versions"] = library_versions()
    _write_json(place / "signature.json", about)
    text = model_card(name, about, examples, metrics)
    (place / "model_card.md").write_text(text, encoding="utf-8")


def _plain(arrays):
    """Arrays as JSON has them; a float32 keeps all its digits."""
    return {name: np.asarray(value).tolist() for name, value in arrays.items()}


def _write_json(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False) + "\n", encoding="utf-8")


def _digest(path):
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check(place):
    """Run ``check.py`` of an export; raises ``InputError`` where it fails."""
    command = [sys.executable, "-P", str(place / "check.py")]
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    )
    if done.returncode:
        said = (done.stdout.strip() or done.stderr.strip() or "nothing").splitlines()
        raise InputError("the export does not answer as the Keras model does", found=said[0])


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

    def classify(self, x, lengths=None) -> np.ndarray:
        """Probabilities (n, classes) of sequences x (n, time, features), as ``tasks.predict``."""
        rows = range(0, max(len(x), 1), _BATCH)
        names = self._signature("serving_default")["inputs"]
        if "lengths" in names and lengths is None:
            lengths = np.full(len(x), x.shape[1], "int32")
        inputs = {"x": x} if lengths is None else {"x": x, "lengths": lengths}
        batches = [{name: a[row : row + _BATCH] for name, a in inputs.items()} for row in rows]
        return np.concatenate([self.ask(**batch)["probabilities"] for batch in batches])

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
    proper += [
        _is_text(spec["dtype"]) and isinstance(spec["shape"], list)
        for side in sides
        for spec in side.values()
    ]
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
    for name, digest in about["files"].items():
        file = path / name
        if not file.is_file() or _digest(file) != digest:
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
