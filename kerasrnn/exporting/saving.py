"""Exports as they are made: a model for inference without kerasrnn, that takes raw input, needs
no other file or package, and is checked, in a process of its own, against the Keras model.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from kerasrnn.errors import InputError
from kerasrnn.exporting import check as check_program
from kerasrnn.exporting.formats import format_module
from kerasrnn.exporting.keras_models import SUMMARY, serve_model
from kerasrnn.exporting.model_card import model_card
from kerasrnn.files import digest, replacing_directory
from kerasrnn.inference.exports import FORMAT, MODEL, digest_of, is_export
from kerasrnn.inference.signatures import Example, Servable
from kerasrnn.runs import Run, library_versions, open_run
from kerasrnn.tasks import task_of
from kerasrnn.tasks.base import Predictor
from kerasrnn.text import Vocabulary

ROOT = Path("saved_models")


def export(
    source: str | os.PathLike | Predictor | keras.Model,
    output: str | os.PathLike | None = None,
    *,
    format: str = "saved_model",
    labels: Sequence[str] | None = None,
    vocabulary: Vocabulary | None = None,
    level: str = "word",
    overwrite: bool = False,
    check: bool = True,
) -> Path:
    """Write a model for inference without kerasrnn, and check it there.

    The directory holds the model, ``model_card.md`` (how to call it), ``signature.json``
    (inputs, outputs and vocabularies for programs), ``examples.json`` and ``check.py``, which
    runs them. It is written beside its place and moved there when it has passed the check.

    Args:
        source: a run or its path; a ``Classifier``, ``Regressor``, ``Tagger``,
            ``TextGenerator`` or ``Infiller``; or any Keras model that is sequential or
            functional. It stays as it is.
        output: the directory to make; of a run by default ``saved_models/<run name>``.
        format: ``"saved_model"``, ``"onnx"`` (needs the extra ``onnx``) or ``"litert"``. The
            last two hold the model alone: numbers in, numbers out.
        labels, vocabulary, level: of a Keras model that is a classifier, see ``Classifier``.
        overwrite: replace an export that is there already.
        check: compare with the Keras model in a fresh process.

    Returns:
        The directory.

    Raises:
        InputError: an argument outside what is said above, a place that cannot be written, or
            an export that answers otherwise than the model.

    >>> from kerasrnn import build_classifier
    >>> export(build_classifier((28, 28), num_classes=10), "saved_models/digits")  # doctest: +SKIP
    PosixPath('saved_models/digits')
    """
    written_as = format_module(format)
    run = open_run(source) if isinstance(source, (str, os.PathLike)) else None
    path = _place(output, run, format)
    _check_place(path, overwrite)
    with replacing_directory(path) as place, _full_float32():
        servable = servable_of(run or source, labels, vocabulary, level)
        signatures, examples = written_as.write(servable, place)
        examples = [_plain(example) for example in examples]
        about = _write_beside(place, servable, format, signatures, examples)
        summary = SUMMARY if servable.task == MODEL else task_of(servable.task).summary
        card = model_card(path.name, summary, about, examples, run.metrics() if run else {})
        (place / "model_card.md").write_text(card, encoding="utf-8")
        if check:
            _check(place)
    return path


@contextlib.contextmanager
def _full_float32():
    """Within it a GPU rounds no product to TensorFloat-32, 10 bits of 23; check.py does not."""
    of_config = tf.config.experimental
    before = of_config.tensor_float_32_execution_enabled()
    of_config.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        of_config.enable_tensor_float_32_execution(before)


def servable_of(
    source: Run | Predictor | keras.Model,
    labels: Sequence[str] | None = None,
    vocabulary: Vocabulary | None = None,
    level: str = "word",
) -> Servable:
    """What ``export`` exports of its source."""
    if isinstance(source, Run):
        source = task_of(source.task).predictor.load(source)
    elif isinstance(source, keras.Model) and source.built:
        if labels is None:
            return serve_model(source)
        source = task_of("classifier").predictor(source, labels, vocabulary, level)
    if not isinstance(source, Predictor) or not hasattr(source, "model"):  # loaded from an export
        raise InputError(
            "nothing that can be exported",
            found=type(source).__name__,
            expected="a run, the Classifier, Regressor, Tagger, TextGenerator or Infiller of a "
            "Keras model, or a Keras model that was built",
        )
    servable = task_of(source.task).servable(source)
    return replace(servable, reading={**source.reading, **servable.reading})


def _place(output, run, format):
    """The directory to make."""
    if output is not None:
        return Path(output)
    if run is None:
        raise InputError("no directory to export to", fix="name one; only a run has a default")
    suffix = "" if format == "saved_model" else f"-{format}"
    return ROOT / f"{run.path.resolve().name}{suffix}"


def _check_place(path, overwrite):
    """Raise ``InputError`` unless there is nothing, or an export that may be replaced."""
    if not os.path.lexists(path):
        return
    if not overwrite:
        raise InputError(
            f"{path} exists already",
            expected="a new directory",
            fix="choose another --output, or --overwrite",
        )
    if not is_export(path):
        raise InputError(f"{path} is not an export, so it is not overwritten")


def _write_beside(place, servable, format, signatures, examples):
    """Write the files beside the model; gives what signature.json says."""
    _write_json(place / "examples.json", [example._asdict() for example in examples])
    (place / "check.py").write_text(_check_source(format), encoding="utf-8")
    files = sorted(file for file in place.rglob("*") if file.is_file())
    about = {
        "format": FORMAT,
        "kind": format,
        "task": servable.task,
        "labels": list(servable.labels),
        "reading": servable.reading,
        "vocabularies": {
            name: {"first_id": vocabulary.first_id, "tokens": list(vocabulary.tokens)}
            for name, vocabulary in servable.vocabularies.items()
        },
        "signatures": signatures,
        "files": {file.relative_to(place).as_posix(): digest(file) for file in files},
        "versions": library_versions(),
    }
    about["digest"] = digest_of(about)
    _write_json(place / "signature.json", about)
    return about


def _plain(example):
    """An example as JSON has it; a float32 keeps all its digits."""
    sides = (
        {name: np.asarray(value).tolist() for name, value in side.items()} for side in example[1:]
    )
    return Example(example.signature, *sides)


def _write_json(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False) + "\n", encoding="utf-8")


def _check_source(format):
    """check.py with the function that opens an export of a format."""
    stub, opened = (
        inspect.getsource(module.open_model) for module in (check_program, format_module(format))
    )
    return inspect.getsource(check_program).replace(stub, opened)


def _check(place):
    """Run check.py of an export. Raises ``InputError`` where it fails."""
    command = [sys.executable, "-P", str(place / "check.py")]
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    )
    if done.stdout and done.returncode:
        raise InputError(
            "the export does not answer as the Keras model does", found=done.stdout.splitlines()[0]
        )
    if done.returncode:
        said = done.stderr.splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise InputError("the export cannot be run", found=said[0])
