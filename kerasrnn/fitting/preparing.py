"""What is trained: a model, compiled for its task, and its batches."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from kerasrnn.data.batches import Batches
from kerasrnn.errors import InputError
from kerasrnn.fitting import warm
from kerasrnn.fitting.devices import Devices
from kerasrnn.fitting.optimizers import make_optimizer
from kerasrnn.options import MIXED
from kerasrnn.tasks import task_of
from kerasrnn.tasks.base import Settings


class Prepared(NamedTuple):
    """What is trained: the model, the one that is fitted in its place, and the batches; and where.

    started: what ``warm.start`` says of the model.
    """

    model: keras.Model
    fitted: keras.Model
    batches: Batches
    devices: Devices
    started: dict


def prepare(
    data, settings: Settings, seed: int, devices: Devices, before: Mapping = MappingProxyType({})
) -> Prepared:
    """What is trained on some data, with a copy of the model on each device.

    before: what run.json says where a training goes on.

    Raises ``InputError`` where states that are carried on would have to be on several.
    """
    if devices.replicas > 1 and settings.fit.get("sampling") == "sequential":
        raise InputError(
            "sequential sampling on several devices",
            fix="choose --sampling random, or --strategy none",
        )
    task = task_of(data.task)
    keras.utils.set_random_seed(seed)
    if settings.fit["deterministic"]:
        tf.config.experimental.enable_op_determinism()
    precision = settings.model["precision"]
    if precision in MIXED and not tf.config.list_physical_devices("GPU"):
        warnings.warn(f"{precision} on a CPU, where float32 is faster", stacklevel=4)
    with devices.scope():
        model = task.build(data, settings)
    started = warm.start(model, task, data, settings, before.get("start"))
    batches = task.batches(data, settings, seed)
    steps = settings.fit["epochs"] * len(batches)
    fitted = _compile(task, model, settings, data, steps, devices)
    return Prepared(model, fitted, batches, devices, started)


def _compile(task, model, settings, data, steps, devices):
    """The model to fit, compiled, with all its variables made.

    ``fit`` would trace its graph once more for variables that it makes itself.
    """
    scaled = settings.model["precision"] == "mixed_float16"
    with devices.scope():
        optimizer = make_optimizer(settings.fit, steps, scaled=scaled)
        optimizer.build(model.trainable_variables)
    loss, metrics = task.loss(settings, data), task.metrics(data)
    _compile_one(model, optimizer, loss, metrics)
    fitted = task.training_model(model, settings)
    if fitted is not model:
        _compile_one(fitted, optimizer, loss, metrics)
    return fitted


def _compile_one(model, optimizer, loss, metrics):
    model.compile(optimizer, loss, weighted_metrics=metrics)
    if metrics:
        shape = (1,) * (len(model.output_shape) - 1)
        model.compute_metrics(None, np.zeros(shape), np.zeros((*shape, model.output_shape[-1])))
        model.reset_metrics()
