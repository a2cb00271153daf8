"""The loop over epochs and steps, which can begin anywhere."""

from __future__ import annotations

import io
import math
import weakref
from collections.abc import Callable, Sequence
from contextlib import contextmanager

import keras
import tensorflow as tf

from kerasrnn.data.batches import Batches
from kerasrnn.errors import InputError
from kerasrnn.fitting.checkpoints import Checkpoint
from kerasrnn.fitting.devices import Devices
from kerasrnn.fitting.interrupts import Interrupts


def run_epochs(
    model: keras.Model,
    batches: Batches,
    epochs: int,
    checkpoint: Checkpoint,
    interrupts: Interrupts,
    callbacks: Sequence[keras.callbacks.Callback],
    devices: Devices,
    *,
    after_step: Callable[[bool], None],
    after_epoch: Callable[[], None],
    progress_bar: bool,
):
    """What ``fit`` does, from where the checkpoint is on.

    after_step, after_epoch: called after all callbacks, the checkpoint being up to date; the first
    with whether the training is to end here. Raises ``InputError`` where the loss is no number.
    """

    def rest():
        return (batches[index] for index in range(checkpoint.step, len(batches)))

    # TensorFlow keeps for good what from_generator is given: nothing that holds batches or model
    held = weakref.ref(rest)
    data = devices.dataset(lambda: held()(), _spec(batches), model)
    followers = keras.callbacks.CallbackList(
        callbacks,
        add_history=True,
        add_progbar=progress_bar,
        verbose=1,
        epochs=epochs,
        steps=len(batches),
        model=model,
        run=str(checkpoint.folder),  # beside what Keras tells callbacks, in their params
    )
    model.stop_training = False
    train_step = devices.stepper(model, interrupts)
    followers.on_train_begin()
    _restore(checkpoint, devices)
    while checkpoint.epoch < epochs and not checkpoint.stopped:
        model.reset_metrics()
        followers.on_epoch_begin(checkpoint.epoch)
        if checkpoint.step:
            checkpoint.apply()  # metrics and carried states, which begin anew with an epoch
        batches.begin(checkpoint.epoch + 1)  # the order 0 was looked at
        read, ending = iter(data), model.stop_training
        while checkpoint.step < len(batches) and not ending:
            with interrupts.step():
                followers.on_train_batch_begin(checkpoint.step)
                logs = train_step(read)
                _check_loss(logs, checkpoint)
                followers.on_train_batch_end(checkpoint.step, logs)
                checkpoint.step += 1
            after_step(interrupts.pressed is not None)
            interrupts.check()
            ending = devices.ends(model.stop_training)
        with _kept(checkpoint, after_step):
            followers.on_epoch_end(checkpoint.epoch, dict(model.get_metrics_result()))
        checkpoint.epoch, checkpoint.step = checkpoint.epoch + 1, 0
        checkpoint.stopped = devices.any(model.stop_training)
        after_epoch()
    followers.on_train_end()


@contextmanager
def _kept(checkpoint, after_step):
    """Keep the steps of an epoch where its validation is interrupted."""
    progress = checkpoint.progress()
    try:
        yield
    except KeyboardInterrupt:
        if checkpoint.progress() == progress:
            after_step(True)
        raise


def _restore(checkpoint, devices):
    """Have every worker where the chief finds that the training was."""
    if devices.worker.chief:
        checkpoint.restore()
    if devices.together:
        file = io.BytesIO()
        checkpoint.save(file)
        checkpoint.load(io.BytesIO(devices.send(file.getvalue())))


def _check_loss(logs, checkpoint):
    if not math.isfinite(loss := float(logs["loss"])):
        raise InputError(
            f"the loss is {loss} in step {checkpoint.step + 1} of epoch {checkpoint.epoch + 1}",
            expected="a finite number",
            fix="lower --learning-rate or set --clip-norm",
        )


def _spec(batches):
    """The types and shapes of all batches; None for a size that is not always the same.

    As ``fit`` finds them: by the first two batches of the first epoch.
    """
    batches.begin(0)
    some = [batches[index] for index in range(min(2, len(batches)))]

    def common(*arrays):
        shapes = zip(*(array.shape for array in arrays), strict=True)
        sizes = [sizes[0] if len({*sizes}) == 1 else None for sizes in shapes]
        return tf.TensorSpec((None, *sizes[1:]), arrays[0].dtype)

    return keras.tree.map_structure(common, *some)
