"""What linear models read of sequences of numbers: their scaled steps, and MiniRocket's values."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np

from kerasrnn.data.sequences import Dataset, Part
from kerasrnn.engine.compat import mask_of
from kerasrnn.inference.calling import in_batches
from kerasrnn.layers import InstanceScaling, LengthMask, MiniRocket, PiecewiseAggregate, layers_in
from kerasrnn.tasks.logistic import fits
from kerasrnn.tasks.scaling import scaling

_MOST_FLAT = 2048  # values of a sequence, read as they are
_PIECES = 32
_MOST_PRODUCTS = 3_000_000  # of a step of a regression of them
_MOST_STEPS, _MOST_READ = 2_000_000, 20_000_000  # steps and their values, by MiniRocket
_LEAST = 1e-3  # added to the deviation of a value of MiniRocket


@dataclass(frozen=True)
class Reading:
    """What a linear model reads of each sequence, and the coordinates that it is fitted in.

    These are few, and vary together by about 1, which is what penalties are for.

    Attributes:
        name: of what is read.
        read: from the inputs of a model, tensors of Keras or arrays, values (batch, n).
        center, size: of the values, (n,).
        axes: (n, coordinates), orthonormal.
        train: the coordinates of the training part, float64 (sequences, coordinates).
    """

    name: str
    read: Callable
    center: np.ndarray
    size: np.ndarray
    axes: np.ndarray
    train: np.ndarray

    def coordinates(self, part: Part) -> np.ndarray:
        """Of the sequences of another part, float64 (n, coordinates)."""
        return (_values(self.read, part) - self.center) / self.size @ self.axes

    def weights(self, slopes: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Kernel and bias of the values, from those of the coordinates."""
        kernel = self.axes @ slopes / self.size[:, None]
        return kernel, bias - self.center @ kernel


def has_readings(data: Dataset) -> bool:
    """Whether there is something that a linear model can read in seconds, dozens of times.

    Not where values are missing, and not of images.
    """
    return bool(_kinds(data))


def readings(data: Dataset, model: keras.Model, seed: int) -> list[Reading]:
    """What linear models read of the sequences of some data, beside a model.

    ``steps``: all scaled steps of sequences of one length that are not too long, nor too many; of
    others the means of 32 equal pieces. ``rocket``: of the scaled steps what ``MiniRocket`` makes
    of them, with thresholds from the training part, drawn by the seed. As the model does, it reads
    each sequence scaled by itself, where their sizes differ much.
    """
    scaled = _scaled(data)
    return [_KINDS[kind](data, scaled, model, seed) for kind in _kinds(data)]


def _values(read, part):
    """What is read of a part, float64 (n, values)."""
    return in_batches(lambda *some: np.asarray(read(some), "float64"), *part.inputs)


def _kinds(data):
    number, steps, features = data.train.x.shape
    if data.one_scale or data.missing:
        return []
    rocket = number * steps <= _MOST_STEPS and number * steps * features <= _MOST_READ
    rocket = rocket and fits(number * MiniRocket.VALUES, max(len(data.labels), 1))
    flat = _is_short(data) or _is_small(data, _PIECES * features)
    return [kind for kind, there in (("steps", flat), ("rocket", rocket)) if there]


def _is_short(data):
    return data.train.lengths is None and _is_small(data, math.prod(data.train.x.shape[1:]))


def _is_small(data, size):
    products = len(data.train) * size * max(len(data.labels), 1)
    return size <= _MOST_FLAT and products <= _MOST_PRODUCTS


def _scaled(data):
    """The scaled steps of a model's inputs, masked where there are lengths, as a function."""
    scale, real = scaling(data.train, data.one_scale, "linear_scaling"), None
    if data.train.lengths is not None:
        real = LengthMask(name="real_steps")

    def read(inputs):
        steps = scale(inputs[0])
        return steps if real is None else real([steps, inputs[1]])

    return read


def _of_steps(data, scaled, model, seed):
    flatten = keras.layers.Flatten(name="steps")
    pieces = None if _is_short(data) else PiecewiseAggregate(_PIECES, name="pieces")

    def read(inputs):
        steps = scaled(inputs)
        return flatten(steps if pieces is None else pieces(steps))

    values = _values(read, data.train)
    return _reading("steps", read, values, np.ones(values.shape[1]))


def _of_rocket(data, scaled, model, seed):
    train = data.train
    steps = train.x.shape[1] if train.lengths is None else int(np.median(train.lengths))
    rocket = MiniRocket.of_length(steps, name="rocket")
    by_itself = None
    if any(isinstance(layer, InstanceScaling) for layer in layers_in(model)):
        by_itself = InstanceScaling(name="rocket_scaling")

    def prepared(inputs):
        return scaled(inputs) if by_itself is None else by_itself(scaled(inputs))

    some = prepared([array[:] for array in train.inputs])
    rocket.adapt(some, mask_of(some), seed)

    def read(inputs):
        return rocket(prepared(inputs))

    values = _values(read, train)
    return _reading("rocket", read, values, values.std(0) + _LEAST)


_KINDS = {"steps": _of_steps, "rocket": _of_rocket}


def _reading(name, read, values, deviation):
    """A reading whose coordinates are, of few sequences, as many as these."""
    size, axes = deviation * np.sqrt(values.shape[1]), np.eye(values.shape[1])
    center = values.mean(0)
    scaled = (values - center) / size
    if 2 * len(values) <= values.shape[1]:
        axes = np.linalg.svd(scaled, full_matrices=False)[2].T
        scaled = scaled @ axes
    return Reading(name, read, center, size, axes, scaled)
