"""From where a training goes on that was killed: state.npz of its run."""

from __future__ import annotations

import json
import os
import shutil
import warnings
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Protocol

import keras
import numpy as np

from kerasrnn.errors import InputError
from kerasrnn.files import check_sum
from kerasrnn.options import BUDGET
from kerasrnn.runs import Run

NAME, BEFORE = "state.npz", "previous.npz"
_PROGRESS = "progress"
_BROKEN = (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile)  # of a file


class Keeper(Protocol):
    """What changes while a training runs, beside variables."""

    def state(self) -> dict:
        """As values of JSON."""

    def restore(self, state: dict):
        """Be as it was."""


class Checkpoint:
    """Where a training is, and how that is written and found again.

    state.npz has the values of all variables of the model, its optimizer and its metrics, those
    of the seeds of dropout and of carried states among them, and as JSON the position and what
    the keepers keep. previous.npz is the state.npz before.

    Args:
        folder: of the run.
        model: compiled, all its variables made.
        keepers: by name.
        fit: the options of the fit; a training that those of ``BUDGET`` ended goes on under
            others only.

    Attributes:
        epoch: finished ones. step: those made of the epoch after them. stopped: whether it ended
            before its last epoch.
    """

    def __init__(
        self, folder: Path, model: keras.Model, keepers: Mapping[str, Keeper], fit: Mapping
    ):
        self.folder, self.keepers, self.budget = folder, keepers, _budget(fit)
        self.epoch, self.step, self.stopped = 0, 0, False
        found = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
        self._variables = [*{id(variable): variable for variable in found}.values()]
        self._values = None  # found in a file

    def __bool__(self):
        return any((self.folder / name).exists() for name in (NAME, BEFORE))

    def write(self, before: Path, state: Path):
        """Write the two files at paths, from which they are moved to their places.

        Raises ``InputError`` where a weight is no number: nothing could go on from that.
        """
        if (self.folder / NAME).exists():
            _link(self.folder / NAME, before)
        with state.open("wb") as file:
            self.save(file)

    def progress(self) -> str:
        """The position and what the keepers keep, as JSON."""
        kept = {name: keeper.state() for name, keeper in self.keepers.items()}
        stopped = self.budget if self.stopped else None
        position = {"epoch": self.epoch, "step": self.step, "stopped": stopped}
        return json.dumps({**position, "keepers": kept})

    def save(self, file: BinaryIO):
        """Write to a file where the training is."""
        words = np.frombuffer(self.progress().encode(), np.uint8)
        values = {f"{n}": variable.numpy() for n, variable in enumerate(self._variables)}
        if not all(np.isfinite(x).all() for x in values.values() if x.dtype.kind == "f"):
            raise InputError(
                f"weights that are no numbers in epoch {self.epoch + bool(self.step)}",
                fix="lower --learning-rate or set --clip-norm; the checkpoint before is kept",
            )
        np.savez(file, **{_PROGRESS: words}, **values)

    def restore(self):
        """Be where the training was when the last file was written that is whole.

        Without one a training begins anew. Raises ``InputError`` where there are files, and none
        is whole.
        """
        broken = None
        for name in (NAME, BEFORE):
            path = self.folder / name
            if not path.exists():
                continue
            try:
                self._read(path)
            except InputError as error:
                broken = error
                continue
            if broken:
                warnings.warn(f"{broken}; going on from the checkpoint before it", stacklevel=2)
                (self.folder / NAME).unlink()  # which would be the one before the next
            self._look_at_best()
            return
        if broken:
            raise broken

    def _look_at_best(self):
        """Warn where the best model so far is damaged: a better one will put that right."""
        with suppress(FileNotFoundError):
            try:
                check_sum(self.folder / "best.keras")
            except InputError as error:
                warnings.warn(f"{error}; going on, as a later epoch may be better", stacklevel=2)

    def apply(self):
        """Give the variables the values that were found, if some were."""
        for variable, value in zip(self._variables, self._values or (), strict=False):
            variable.assign(value)

    def _read(self, path):
        check_sum(path)
        try:
            self.load(path)
        except _BROKEN as error:
            raise InputError(f"not a checkpoint of this run: {error}", where=path) from error

    def load(self, file: Path | BinaryIO):
        """Be where the training was when a file was saved."""
        with np.load(file, allow_pickle=False) as found:
            progress = _progress(found)
            values = [found[f"{n}"] for n in range(len(self._variables))]
        shapes = [tuple(variable.shape) for variable in self._variables]
        if [value.shape for value in values] != shapes:
            raise ValueError("variables of other shapes")
        self.epoch, self.step = progress["epoch"], progress["step"]
        self.stopped = progress["stopped"] == self.budget
        for name, keeper in self.keepers.items():
            keeper.restore(progress["keepers"][name])
        self._values = values
        self.apply()


def is_unfinished(run: Run) -> bool:
    """Whether a training is to go on: no epoch is done, or its checkpoint is not the last."""
    path = run.path / NAME
    if run.finished or "members" in run.info:
        return False
    if not path.exists():  # which older runs do not have
        return not (run.path / "history.csv").exists()
    try:
        with np.load(path, allow_pickle=False) as file:
            progress = _progress(file)
        given = run.info["options"]
        return progress["epoch"] < given["epochs"] and progress["stopped"] != _budget(given)
    except _BROKEN:
        return True  # a broken one: nobody knows


def _budget(options):
    return {name: options.get(name) for name in BUDGET}


def _progress(file):
    return json.loads(file[_PROGRESS].tobytes())


def _link(path, new):
    try:
        os.link(path, new)
    except OSError:  # a file system without links
        shutil.copyfile(path, new)
