"""What a training leaves after its epochs: rows of the history, models, a line to stderr."""

from __future__ import annotations

import math
import shutil
import sys
import time
from collections.abc import Callable
from itertools import count

import keras

from kerasrnn.errors import InputError
from kerasrnn.files import writing_together
from kerasrnn.fitting import checkpoints
from kerasrnn.fitting.interrupts import no_interrupt
from kerasrnn.inference.loading import save_model
from kerasrnn.inference.states import CarriedState
from kerasrnn.runs import history_text
from kerasrnn.tasks import task_of

_STATES = (checkpoints.BEFORE, checkpoints.NAME)  # the one that counts comes last
_LINES = 50  # of a hundred epochs or more about so many are said
_SHARE = 20  # of the time, one part of so many goes into files at most


class Recorder(keras.callbacks.Callback):
    """After each epoch: history.csv, last.keras and best.keras of the run, a line to stderr.

    The best model is the one that its task judges best by the validation part; without one the
    last. Of short epochs not all are written, since that would take longer than to learn, but with
    the next one the rows of those between; a best one and the last one always are. Of many epochs
    only every few are said, by a line, not a bar. After ``patience`` epochs without a better one
    the training ends. With the models, and every so many steps or minutes, the checkpoint is
    written. Of several workers the chief alone validates and writes.
    """

    def __init__(self, run, trained, data, settings, tokens, quiet, devices):
        super().__init__()
        self.devices = devices
        self.run, self.trained, self.data, self.tokens = run, trained, data, tokens
        self.task = task_of(data.task)
        self.validate = self.task.validator(trained, data, settings)
        self.sample = None if quiet else self.task.sampler(trained, data, settings)
        self.sample_every = settings.fit.get("sample_every", 0)
        self.every = max(1, settings.fit["epochs"] // _LINES)
        self.writes_from = 0.0  # on the clock
        self.line = not quiet and (self.every > 1 or not sys.stderr.isatty())
        self.greet = not quiet
        self.patience = settings.fit["patience"]
        self.due = timer(settings.fit["checkpoint_every"])
        self.checkpoint = None  # until its model is compiled
        self.rows, self.best, self.best_epoch = [], math.inf, 0

    def state(self) -> dict:
        return {"rows": self.rows, "best": self.best, "best_epoch": self.best_epoch}

    def restore(self, state: dict):
        self.rows, self.best = state["rows"], state["best"]
        self.best_epoch = state["best_epoch"]

    def on_train_begin(self, logs=None):
        chief = self.devices.worker.chief  # the others are told
        if chief and self.task.keeps_start and self.validate and not self.checkpoint:
            save_model(self.trained, self.run, "best.keras")
            self.best = self.validate()["loss"]

    def on_epoch_begin(self, epoch, logs=None):
        if isinstance(self.model, CarriedState):
            self.model.reset()
        if self.greet and self.checkpoint:
            steps = f" and {self.checkpoint.step} steps" if self.checkpoint.step else ""
            print(f"going on after {epoch} epochs{steps}", file=sys.stderr)
        self.greet = False
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        trained = time.perf_counter() - self.start
        logs.update(self.task.add_metrics(self.data, logs))  # for the callbacks that follow too
        if self.validate is not None:
            measured = {*logs, *self.task.validated}
            found = self.devices.tell(self.validate)
            logs.update((f"val_{k}", v) for k, v in found.items() if k in measured)
        row = {"epoch": epoch + 1, **{name: float(value) for name, value in logs.items()}}
        row["learning_rate"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        row["seconds"] = round(time.perf_counter() - self.start, 3)
        if self.tokens:
            row["tokens_per_second"] = round(self.tokens / trained)
        self.rows.append(row)
        self._judge(row)
        if self.patience and epoch + 1 - self.best_epoch >= self.patience:
            self.model.stop_training = True

    def after_step(self, ending: bool):
        """Write the checkpoint, if it is time to or if the training is to end here."""
        if self.devices.worker.chief and (ending or self.due()):
            with no_interrupt(), writing_together(self.run.path, *_STATES) as paths:
                self.checkpoint.write(*paths)

    def after_epoch(self):
        """Write the files and say how far the training is, if it is time to."""
        if not self.devices.worker.chief:
            return
        epoch = self.checkpoint.epoch
        last = epoch == self.params["epochs"] or self.checkpoint.stopped
        best = self.best_epoch == epoch
        counts = (best and self.validate) or last
        if counts or time.monotonic() >= self.writes_from:
            self._write(best)
        if self.line and (counts or epoch % self.every == 0):
            print(_epoch_line(self.rows[-1], self.params["epochs"]), file=sys.stderr)
        if self.sample and self.sample_every and (last or epoch % self.sample_every == 0):
            print(f"---\n{self.sample()}\n---", file=sys.stderr)

    def _judge(self, row):
        """Note whether the epoch is the best so far: without validation each one is."""
        found = self.task.monitored(row) if self.validate else -math.inf
        if found < self.best or not self.validate:
            self.best, self.best_epoch = found, row["epoch"]

    def _write(self, best):
        start = time.monotonic()
        names = ["best.keras"] * best + ["last.keras", "history.csv", *_STATES]
        with no_interrupt(), writing_together(self.run.path, *names) as paths:
            *models, history, before, state = paths
            self.trained.save(models[-1])
            if best:
                shutil.copyfile(models[-1], models[0])
            history.write_text(history_text(self.rows), encoding="utf-8")
            self.checkpoint.write(before, state)
        end = time.monotonic()
        self.writes_from = end + _SHARE * (end - start)


def timer(every: str | int | None) -> Callable[[], bool]:
    """A function that says after each step whether so many steps or minutes are over.

    every: ``"500"`` steps or ``"10m"``, minutes; None for never. Raises ``InputError``.

    >>> due = timer("2")
    >>> [due() for _ in range(5)]
    [False, True, False, True, False]
    """
    if every is None:
        return lambda: False
    every = str(every)
    clock, unit = (time.monotonic, 60) if every.endswith("m") else (count(1).__next__, 1)
    try:
        size = unit * float(every.removesuffix("m"))
    except ValueError:
        size = 0
    if not 0 < size < math.inf:
        raise InputError(
            "checkpoint_every", found=repr(every), expected="steps or minutes, such as 500 or 10m"
        )
    last = time.monotonic() if unit > 1 else 0

    def due():
        nonlocal last
        if (now := clock()) - last < size:
            return False
        last = now
        return True

    return due


def _epoch_line(row, epochs):
    hidden = ("epoch", "learning_rate", "seconds", "tokens_per_second")
    numbers = [f"{name} {value:.4f}" for name, value in row.items() if name not in hidden]
    if "tokens_per_second" in row:
        numbers.append(f"{row['tokens_per_second']:,} tokens/s")
    return "  ".join([f"epoch {row['epoch']}/{epochs}", *numbers, f"{row['seconds']:.1f} s"])
