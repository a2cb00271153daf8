"""Saved Keras models, loaded safely."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import keras

import kerasrnn.layers  # noqa: F401 (makes its layers known to Keras)
from kerasrnn.errors import InputError
from kerasrnn.files import check_regular, check_sum, writing_together
from kerasrnn.inference.exports import Export, is_export, load_export
from kerasrnn.runs import Run, open_run


def open_source(source: str | os.PathLike) -> Run | Export:
    """The run or the export at a path; one that is open already as it is.

    Raises ``InputError`` where there is neither.
    """
    if isinstance(source, (Run, Export)):
        return source
    if is_export(source) or (Path(source) / "saved_model.pb").is_file():
        return load_export(source)
    return open_run(source)


def load_model(path: str | os.PathLike) -> keras.Model:
    """Load a ``.keras`` file, or the best model of a run.

    The archive is checked and loaded in Keras's safe mode, so no code in it is run.

    Raises:
        InputError: not there, not a local path, another format, or damaged.

    >>> load_model("runs/digits-classifier-1").output_shape  # doctest: +SKIP
    (None, 10)
    """
    path = Path(path)
    if path.is_dir():
        path = open_run(path).model_path
    if not path.is_file():
        if path.exists():
            check_regular(path)
        raise InputError(f"no model at {path}", expected="a run or a .keras file")
    check_sum(path)
    if path.suffix != ".keras" or not zipfile.is_zipfile(path):
        raise InputError(
            "not a .keras model file",
            where=path,
            fix="'kerasrnn convert' makes one of an HDF5 file of Keras 2; pickles are refused",
        )
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged:
            raise ValueError(f"damaged member {damaged}")
        return keras.models.load_model(path, safe_mode=True)
    except Exception as error:  # Keras raises many kinds for a bad archive
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise InputError(
            f"cannot load the model: {reason}", where=path, fix="train or save it again"
        ) from error


def save_model(model: keras.Model, run: Run, name: str) -> Path:
    """Write a model into a run, whole or not at all; returns its path."""
    with writing_together(run.path, name) as (temporary,):
        model.save(temporary)
    return run.path / name
