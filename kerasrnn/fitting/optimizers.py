"""Optimizers, and what ends a training before its last epoch."""

from __future__ import annotations

import math
import time
from pathlib import Path

import keras

from kerasrnn import options as choices
from kerasrnn.errors import InputError, check_choice, check_range

OPTIMIZERS = {
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD,
}
_WARM_UP = 0.05  # fraction of the steps in which the cosine schedule rises to the learning rate
_LAST_RATE = 0.02  # of the learning rate at its end


def make_optimizer(fit: dict, steps: int, *, scaled: bool = False) -> keras.optimizers.Optimizer:
    """The Keras optimizer for the options of a fit, over a training of so many steps.

    scaled: whether it scales the loss, so that gradients of float16 do not vanish.

    Raises ``InputError`` for an unknown optimizer or schedule, or a clip_norm out of range.
    """
    check_choice("optimizer", fit["optimizer"], choices.OPTIMIZERS)
    check_choice("schedule", fit["schedule"], choices.SCHEDULES)
    check_range("clip_norm", fit["clip_norm"], 0)
    rate = fit["learning_rate"]
    if fit["schedule"] == "cosine":
        rising = math.ceil(_WARM_UP * steps)
        rate = keras.optimizers.schedules.CosineDecay(
            rate / rising,
            max(steps - rising, 1),
            alpha=_LAST_RATE,
            warmup_target=rate,
            warmup_steps=rising,
        )
    optimizer = OPTIMIZERS[fit["optimizer"]](
        learning_rate=rate, global_clipnorm=fit["clip_norm"] or None
    )
    return keras.optimizers.LossScaleOptimizer(optimizer) if scaled else optimizer


def inner_optimizer(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """The optimizer that counts the steps: the one within one that scales the loss, else itself."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def tensorboard(folder: Path) -> keras.callbacks.Callback:
    """Keras's callback for TensorBoard. Raises ``InputError`` where that is not installed."""
    try:
        import tensorboard  # noqa: F401 (which tf.summary needs)
    except ImportError as error:
        raise InputError(
            "curves for TensorBoard need it", fix="pip install 'kerasrnn[tensorboard]'"
        ) from error
    return keras.callbacks.TensorBoard(folder, write_graph=False)


def limits(fit: dict, steps: int, monitored: str) -> dict[str, keras.callbacks.Callback]:
    """The callbacks that change the rate or end a training of so many steps, by its options.

    monitored: name of the loss by which epochs are judged.
    """
    found = {}
    if fit["schedule"] == "plateau":
        found["plateau"] = Plateau(monitored, factor=0.5, patience=2)
    if fit["max_minutes"] is not None:
        found["time"] = TimeLimit(60 * fit["max_minutes"], steps)
    return found


class Plateau(keras.callbacks.ReduceLROnPlateau):
    """Keras's, which can go on where it was."""

    def state(self) -> dict:
        return {"best": self.best, "wait": self.wait}

    def restore(self, state: dict):
        self.best, self.wait = state["best"], state["wait"]


class TimeLimit(keras.callbacks.Callback):
    """Ends a training after some seconds, with its learning rate where it ends without a limit.

    Where the time is too short for all steps, each one that is made counts for several of the
    schedule, as many as the time left asks for. The first step, which traces the graph, says
    nothing of the others. Where a training goes on with another limit, the schedule is again where
    the time so far is in that one.

    Args:
        seconds: from now.
        steps: of the whole training.
    """

    def __init__(self, seconds: float, steps: int):
        super().__init__()
        self.seconds, self.steps = seconds, steps
        self.begun = time.monotonic()
        self.made, self.first, self.owed, self.changed = 0, None, 0.0, False

    def state(self) -> dict:
        passed = time.monotonic() - self.begun
        return {"seconds": passed, "owed": self.owed, "limit": self.seconds}

    def restore(self, state: dict):
        self.begun -= state["seconds"]
        self.owed, self.changed = state["owed"], state.get("limit", 0) != self.seconds

    def on_train_batch_begin(self, batch, logs=None):
        if self.changed:
            self.changed = False
            passed = (time.monotonic() - self.begun) / self.seconds
            iterations = inner_optimizer(self.model.optimizer).iterations
            done = int(keras.ops.convert_to_numpy(iterations))
            iterations.assign(min(done, int(passed * self.steps)))

    def on_train_batch_end(self, batch, logs=None):
        now = time.monotonic()
        left = self.begun + self.seconds - now
        if left <= 0:
            self.model.stop_training = True
        if self.first is None:
            self.first = now
            return
        self.made += 1
        optimizer = inner_optimizer(self.model.optimizer)
        done = int(keras.ops.convert_to_numpy(optimizer.iterations))
        affordable = left / ((now - self.first) / self.made)
        self.owed += max((self.steps - done) / max(affordable, 1) - 1, 0)
        skipped = min(int(self.owed), max(self.steps - done, 0))
        if skipped:
            self.owed -= skipped
            optimizer.iterations.assign_add(skipped)
        if done + skipped >= self.steps:
            self.model.stop_training = True
