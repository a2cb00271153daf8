"""Weights of Keras 2 in the layouts of Keras 3, given to layers as these are built."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import keras
import numpy as np

from kerasrnn.errors import InputError

SLOPE = 1.2  # of hard_sigmoid in Keras 2, 1/5, by that in Keras 3, 1/6
_GATES = {  # how many, which recurrent_activation acts on, which activation alone
    "GRU": (3, (0, 1), (2,)),
    "LSTM": (4, (0, 1, 3), None),
    "ConvLSTM1D": (4, (0, 1, 3), None),
    "ConvLSTM2D": (4, (0, 1, 3), None),
}


def arranged(kind: str, options: dict, weights: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The weights of a layer as the layer of Keras 3 has them.

    cuDNN's are told by their bias. Before a ``hard_sigmoid``, which is steeper in Keras 2
    (0.2 x + 0.5, clipped) than in Keras 3 (x/6 + 0.5, clipped), weights grow by 1.2.

    Raises:
        InputError: an LSTM whose ``activation`` is ``hard_sigmoid``.
    """
    weights = list(weights)
    if kind in ("LSTM", "GRU") and len(weights) == 3 and weights[1].ndim == 2:
        gates, units = _GATES[kind][0], len(weights[1])
        if weights[2].shape == (2 * gates * units,) and units and weights[0].ndim == 2:
            weights = _from_cudnn(kind, gates, *weights)
    return _steeper(kind, options, weights)


def _from_cudnn(kind, gates, kernel, recurrent, bias):
    """cuDNN's kernels are transposed, each gate's by itself, its biases two for each unit.

    kernel: (features, gates · units). recurrent: (units, gates · units). bias: (2 · gates · units).
    """

    def each(weight, change):
        if weight.shape[1] % gates:
            return weight  # which is refused by its shape
        return np.hstack([change(part) for part in np.hsplit(weight, gates)])

    kernel = each(kernel, lambda part: part.T.reshape(part.shape, order="F"))
    recurrent = each(recurrent, lambda part: part.T)
    bias = bias.reshape(2, -1)
    return [kernel, recurrent, bias.sum(axis=0) if kind == "LSTM" else bias]


def _steeper(kind, options, weights):
    gates, recurrent, alone = _GATES.get(kind, (1, (), (0,)))
    hard = {
        *(recurrent if options.get("recurrent_activation") == "hard_sigmoid" else ()),
        *((alone or ()) if options.get("activation") == "hard_sigmoid" else ()),
    }
    if alone is None and options.get("activation") == "hard_sigmoid":
        raise InputError(
            f"layer {options['name']!r}: hard_sigmoid, which is another function in Keras 3",
            found=f"it as the activation of {kind}",
        )
    if not hard:
        return weights
    scale = np.where(np.isin(np.arange(gates), [*hard]), SLOPE, 1.0)
    first = 1 if kind.startswith("Separable") else 0  # the activation follows its second kernel
    return [*weights[:first], *(_scaled(weight, scale) for weight in weights[first:])]


def _scaled(weight, scale):
    """Each gate's part of the last axis times its scale."""
    if not weight.ndim or weight.shape[-1] % len(scale):
        return weight  # which is refused by its shape
    gates = weight.reshape(*weight.shape[:-1], len(scale), -1).astype("float64")
    return (gates * scale[:, None]).reshape(weight.shape).astype(weight.dtype)


@contextmanager
def given(layer: keras.layers.Layer, weights: Sequence[np.ndarray]) -> Iterator[None]:
    """Within it a layer that is built takes these weights, in their order.

    Nothing is allocated for a weight of another shape.

    Raises:
        InputError: more weights than the layer has, fewer, or of other shapes.
    """
    left = list(weights)

    def instead_of(add_weight):
        def take(*_, shape=(), **options):
            value = left.pop(0) if left else None
            if value is None or value.shape != tuple(shape):
                raise InputError(
                    f"layer {layer.name!r}: weights that do not fit its options",
                    found="none" if value is None else f"shape {value.shape}",
                    expected=f"{options.get('name')} of shape {tuple(shape)}",
                )
            options["initializer"] = lambda shape, dtype: keras.ops.cast(value, dtype)
            return add_weight(shape=shape, **options)

        return take

    inner = {id(one): one for one in _inner(layer)}.values()
    for one in inner:
        one.add_weight = instead_of(one.add_weight)
    try:
        yield
    finally:
        for one in inner:
            del one.add_weight
    if left:
        raise InputError(
            f"layer {layer.name!r}: weights that do not fit its options",
            found=f"{len(weights)}",
            expected=f"{len(weights) - len(left)}",
        )


def _inner(layer):
    """A layer and those in it that make their weights themselves."""
    yield layer
    for name in ("cell", "layer", "forward_layer", "backward_layer"):
        if isinstance(one := getattr(layer, name, None), keras.layers.Layer):
            yield from _inner(one)
