"""Saved Keras models, loaded safely."""

from __future__ import annotations

import zipfile
from pathlib import Path

import keras

import kerasrnn.layers  # noqa: F401 (makes its layers known to Keras)
from kerasrnn.errors import InputError
from kerasrnn.runs import open_run


def load_model(path) -> keras.Model:
    """Load a ``.keras`` file, or the best model of a run directory.

    The archive is checked and loaded in Keras's safe mode, so no code in it is run.

    Raises:
        InputError: not there, not a local path, another format, or damaged.
    """
    path = Path(path)
    if path.is_dir():
        path = open_run(path).model_path
    if not path.is_file():
        raise InputError(f"no model at {path}", expected="a run or a .keras file")
    if path.suffix != ".keras" or not zipfile.is_zipfile(path):
        raise InputError(
            "not a .keras model file",
            where=path,
            fix="HDF5 and pickled models are refused; save it again with Keras 3",
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
