"""What a training leaves after its epochs: rows of the history, models, a line to stderr."""

from __future__ import annotations

import math
import shutil
import sys
import time

import keras

from kerasrnn.errors import InputError
from kerasrnn.files import atomic
from kerasrnn.fitting.interrupts import no_interrupt
from kerasrnn.inference.loading import save_model
from kerasrnn.inference.states import CarriedState
from kerasrnn.tasks import task_of

_WRITES = 50  # of a hundred epochs or more about so many are written and said


class Recorder(keras.callbacks.Callback):
    """After each epoch: history.csv, last.keras and best.keras of the run, a line to stderr.

    The best model is the one that its task judges best by the validation part; without one the
    last. Of many epochs only every few are written, with the rows of those between, and said by a
    line, not a bar. After ``patience`` epochs without a better one the training ends.
    """

    def __init__(self, run, trained, data, settings, tokens, quiet):
        super().__init__()
        self.run, self.trained, self.data, self.tokens = run, trained, data, tokens
        self.task = task_of(data.task)
        self.validate = self.task.validator(trained, data, settings)
        self.sample = None if quiet else self.task.sampler(trained, data, settings)
        self.sample_every = settings.fit.get("sample_every", 0)
        self.every = max(1, settings.fit["epochs"] // _WRITES)
        self.line = not quiet and (self.every > 1 or not sys.stderr.isatty())
        self.patience = settings.fit["patience"]
        self.rows, self.written, self.best, self.best_epoch = [], 0, math.inf, 0

    def on_train_begin(self, logs=None):
        if self.task.keeps_start and self.validate:
            save_model(self.trained, self.run, "best.keras")
            self.best = self.validate()["loss"]

    def on_epoch_begin(self, epoch, logs=None):
        if isinstance(self.model, CarriedState):
            self.model.reset()
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        trained = time.perf_counter() - self.start
        if not math.isfinite(logs["loss"]):
            raise InputError(
                f"the loss is {logs['loss']} in epoch {epoch + 1}",
                expected="a finite number",
                fix="lower --learning-rate or set --clip-norm",
            )
        logs.update(self.task.add_metrics(self.data, logs))  # for the callbacks that follow too
        if self.validate is not None:
            measured = {*logs, *self.task.validated}
            logs.update((f"val_{k}", v) for k, v in self.validate().items() if k in measured)
        row = {"epoch": epoch + 1, **{name: float(value) for name, value in logs.items()}}
        row["learning_rate"] = float(self.model.optimizer.learning_rate)
        row["seconds"] = round(time.perf_counter() - self.start, 3)
        if self.tokens:
            row["tokens_per_second"] = round(self.tokens / trained)
        self.rows.append(row)
        self._judge(row)
        if (self.validate and self.best_epoch == epoch + 1) or (epoch + 1) % self.every == 0:
            self._write()
        if self.patience and epoch + 1 - self.best_epoch >= self.patience:
            self.model.stop_training = True
        last = epoch + 1 == self.params["epochs"]
        if self.sample and self.sample_every and (last or (epoch + 1) % self.sample_every == 0):
            print(f"---\n{self.sample()}\n---", file=sys.stderr)

    def on_train_end(self, logs=None):
        if self.written < len(self.rows):
            self._write()

    def _judge(self, row):
        """Note whether the epoch is the best so far: without validation each one is."""
        found = self.task.monitored(row) if self.validate else -math.inf
        if found < self.best or not self.validate:
            self.best, self.best_epoch = found, row["epoch"]

    def _write(self):
        row = self.rows[-1]
        with no_interrupt():
            last = save_model(self.trained, self.run, "last.keras")
            if self.best_epoch == row["epoch"]:
                with atomic(self.run.path / "best.keras") as temporary:
                    shutil.copyfile(last, temporary)
            self.run.write_history(self.rows)
        self.written = len(self.rows)
        if self.line:
            print(_epoch_line(row, self.params["epochs"]), file=sys.stderr)


def _epoch_line(row, epochs):
    hidden = ("epoch", "learning_rate", "seconds", "tokens_per_second")
    numbers = [f"{name} {value:.4f}" for name, value in row.items() if name not in hidden]
    if "tokens_per_second" in row:
        numbers.append(f"{row['tokens_per_second']:,} tokens/s")
    return "  ".join([f"epoch {row['epoch']}/{epochs}", *numbers, f"{row['seconds']:.1f} s"])
