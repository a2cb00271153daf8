"""A Keras 2 HDF5 file as a ``.keras`` file."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path

import keras
import numpy as np

from kerasrnn.errors import InputError
from kerasrnn.files import atomic
from kerasrnn.keras2.graphs import build_model
from kerasrnn.keras2.hdf5 import read_model


def convert(
    source: str | os.PathLike, target: str | os.PathLike, *, overwrite: bool = False
) -> keras.Model:
    """Write a recurrent model of Keras 2 as a ``.keras`` file that stock Keras 3 loads.

    Only numbers and JSON are read, of layers that are known; no code is run. The new file is
    loaded again, in Keras's safe mode, before it goes to its place.

    Args:
        source: an HDF5 file of a whole model, as ``model.save("old.h5")`` of Keras 2 wrote it.
        target: the file to write; ends in ``.keras``.
        overwrite: replace a file that is there already.

    Returns:
        The model, uncompiled, of stock layers of Keras 3. Its outputs are those of Keras 2.

    Raises:
        InputError: a damaged file, weights alone, a model of another Keras, a layer or an
            option that is not known, or a target that is there or cannot be written.

    >>> convert("old.h5", "new.keras")  # doctest: +SKIP
    <Sequential name=sequential, built=True>
    """
    check_target(target, overwrite=overwrite)
    saved = read_model(source)
    try:
        model = build_model(saved)
    except InputError as error:
        raise InputError(error, where=source) from error
    if '"hard_sigmoid"' in json.dumps(saved.config):
        warnings.warn(
            "weights before hard_sigmoid are 1.2 times those of Keras 2, where it is steeper",
            stacklevel=2,
        )
    with atomic(target) as temporary:
        model.save(temporary)
        _check(model, temporary)
    return model


def check_target(target: str | os.PathLike, *, overwrite: bool):
    """Raise ``InputError`` unless a ``.keras`` file can be written there."""
    target = Path(target)
    if target.suffix != ".keras":
        raise InputError("not the name of a .keras file", found=repr(str(target)))
    if target.exists() and not overwrite:
        raise InputError(f"{target} exists already", fix="pass --overwrite or another name")


def _check(model, path):
    """Raise ``InputError`` unless a file holds the weights of a model."""
    loaded = keras.models.load_model(path, compile=False, safe_mode=True)
    pairs = zip(model.get_weights(), loaded.get_weights(), strict=True)
    if not all(np.array_equal(one, other) for one, other in pairs):
        raise InputError("a model that this Keras does not save whole", found=keras.__version__)
