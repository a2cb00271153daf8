"""A model as a SavedModel for CPU and GPU: it takes raw input, needs no other file or package,
and is checked, in a process without kerasrnn, against the Keras model that it was made from.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from kerasrnn.errors import InputError
from kerasrnn.exporting import signatures as serving
from kerasrnn.exporting.conversion import core, write_litert, write_onnx
from kerasrnn.exporting.model_card import model_card
from kerasrnn.inference.exports import FORMAT, FORMATS, digest, is_export
from kerasrnn.inference.loading import load_model
from kerasrnn.runs import Run, library_versions
from kerasrnn.tasks.generator import Writer, load_writer
from kerasrnn.tasks.infiller import Infiller, load_infiller
from kerasrnn.tasks.tagger import Tagger, load_tagger

ROOT = Path("saved_models")
_CHECK = Path(__file__).with_name("check.py")


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
            servable = core(servable, rows=1 if format == "litert" else 3)
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
    module.weights = [variable.value for variable in (servable.traced or servable.model).variables]
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
    about["files"] = {file.relative_to(place).as_posix(): digest(file) for file in files}
    about["versions"] = library_versions()
    _write_json(place / "signature.json", about)
    text = model_card(name, about, examples, metrics)
    (place / "model_card.md").write_text(text, encoding="utf-8")


def _plain(arrays):
    """Arrays as JSON has them; a float32 keeps all its digits."""
    return {name: np.asarray(value).tolist() for name, value in arrays.items()}


def _write_json(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False) + "\n", encoding="utf-8")


def _check(place):
    """Run ``check.py`` of an export; raises ``InputError`` where it fails."""
    command = [sys.executable, "-P", str(place / "check.py")]
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    )
    if done.returncode:
        said = done.stdout.splitlines()[:1] or done.stderr.splitlines()[-1:] or ["nothing"]
        raise InputError("the export does not answer as the Keras model does", found=said[0])
