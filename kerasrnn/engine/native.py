"""The loops over time of recurrent layers as operations of TensorFlow, on several cores.

The operations are in a library of C (``src/``), built when the package is installed, where there
is a compiler; ``library()`` is None without it. Weights are laid out as Keras has them: kernel
(inputs, gates · units), recurrent kernel (units, gates · units), bias (gates · units,), a GRU's
(2, gates · units). All arrays are float32, masks bool.
"""

from __future__ import annotations

import importlib.machinery
import os
from functools import cache
from pathlib import Path
from typing import NamedTuple

import tensorflow as tf


class Cell(NamedTuple):
    """A kind of cell: its number in ``src/loops.h``, its gates, and the states that it carries."""

    code: int
    gates: int
    states: tuple[str, ...]


CELLS = {
    "simple": Cell(0, 1, ("h",)),
    "gru": Cell(1, 3, ("h",)),
    "lstm": Cell(2, 4, ("h", "c")),
}


class LayerInputs(NamedTuple):
    """What the loop reads of a layer: weights as Keras has them, and the initial states.

    h, c: (batch, units); c of an LSTM only, else (0,).
    """

    kernel: tf.Tensor
    recurrent_kernel: tf.Tensor
    bias: tf.Tensor
    h: tf.Tensor
    c: tf.Tensor


class LayerResult(NamedTuple):
    """What the loop gives of a layer; absent arrays have the shape (0,).

    outputs: (batch, time, units) in the order of reading, or the last (batch, units).
    h, c: the last states (batch, units).
    """

    outputs: tf.Tensor
    h: tf.Tensor
    c: tf.Tensor


@cache
def library():
    """The operations, or None where they were not built or TensorFlow has no place for them."""
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        path = Path(__file__).with_name(f"_native{suffix}")
        if path.exists():
            operations = tf.load_op_library(str(path))
            return operations if hasattr(operations, "kerasrnn_forward") else None
    return None


def recurrence(
    cell: str,
    x: tf.Tensor,
    mask: tf.Tensor | None,
    layers: list[LayerInputs],
    *,
    reverse: list[bool],
    zero_masked: bool,
    return_sequences: bool,
    training: bool,
    joined: bool = False,
) -> list[LayerResult]:
    """All steps of layers that read the same input, as one operation with a gradient.

    Args:
        cell: a key of ``CELLS``.
        x: (batch, time, inputs).
        mask: (batch, time) or None. Masked steps change no state.
        layers: one, or the two of a bidirectional layer.
        reverse: for each layer, whether it reads from the last step to the first.
        zero_masked: masked steps give zeros, else what the step before gave.
        return_sequences: give the outputs of all steps, not only the last.
        training: save what a gradient needs; without it a gradient runs forward again.
        joined: give all outputs of two layers as one array (batch, time, 2 · units), those of
            the second in the reverse order, as those of the first.

    Raises:
        tf.errors.InvalidArgumentError: shapes that do not fit together.
    """
    how = {
        "reverse": reverse,
        "zero_masked": zero_masked,
        "threads": tf.config.threading.get_intra_op_parallelism_threads() or cores(),
        "joined": joined,
    }
    mask = tf.zeros(0, bool) if mask is None else mask
    given = [array for layer in layers for array in layer]

    def run_forward(x, given, keep):
        return forward(cell, x, mask, given, **how, sequences=return_sequences, keep=keep)

    def gradient(x, given, kept, d_results):
        # Outside training nothing is saved: recompute it in the rare case of a gradient.
        kept = kept if training else run_forward(x, given, keep=True)[3::4]
        flat = []
        for one, array in enumerate(kept):
            flat += [*d_results[3 * one : 3 * one + 3], *given[5 * one : 5 * one + 3], array]
        found = backward(cell, x, mask, flat, **how)
        # an operation of its own, left out where nobody asks for the gradient of the input
        sums = [array for pair in zip(found[::6], given[::5], strict=True) for array in pair]
        d_x = inputs_gradient(cell, sums, threads=how["threads"])
        gradients = [d_x, *(array for index, array in enumerate(found) if index % 6)]
        for value, like in zip(gradients, [x, *given], strict=True):
            value.set_shape(like.shape)
        return gradients

    @tf.custom_gradient
    def run(x, *given):
        results = run_forward(x, given, keep=bool(training))
        kept = results[3::4]
        results = [array for index, array in enumerate(results) if index % 4 < 3]
        for index, array in enumerate(results):
            time = (x.shape[1],) if return_sequences and index % 3 == 0 else ()
            units = layers[index // 3].recurrent_kernel.shape[0]
            width = units * (2 if joined and index == 0 else 1)
            if not (index % 3 == 2 and cell != "lstm") and not (joined and index == 3):
                array.set_shape((x.shape[0], *time, width))
        return results, lambda *d_results: gradient(x, given, kept, d_results)

    results = run(x, *given)
    return [LayerResult(*results[index : index + 3]) for index in range(0, len(results), 3)]


@tf.RegisterGradient("KerasrnnBackward")
@tf.RegisterGradient("KerasrnnInputsGradient")
def _second_derivatives(*_):
    raise NotImplementedError(
        "second derivatives of a native recurrent layer: use layers.keras_clone(model)"
    )


def forward(cell, x, mask, layers, *, reverse, zero_masked, sequences, keep, threads, joined=False):
    """All steps of layers that read the same: one, or the two of a bidirectional layer.

    Args:
        cell: ``"lstm"``, ``"gru"`` (reset after the product) or ``"simple"``.
        x: (batch, time, inputs).
        mask: (batch, time), or (0,) for none. Masked steps change no state.
        layers: for each layer: kernel, recurrent kernel and bias, and the initial states h and
            c (batch, units); c of an LSTM only, else (0,).
        reverse: for each layer, whether it reads from the last step to the first.
        zero_masked: masked steps give zeros, else what the step before gave.
        sequences: give the outputs of all steps, not only the last.
        keep: keep what ``backward`` needs.
        threads: at most so many at once.
        joined: give all outputs of two layers as one array (batch, time, 2 · units), those of
            the second in the reverse order, and (0,) as those of the second.

    Returns:
        For each layer the outputs (batch, time, units) in the order of reading, or the last
        (batch, units); the last states h and c (batch, units); and what is kept. What there is
        not is (0,).

    Raises:
        tf.errors.InvalidArgumentError: shapes that do not fit together.
    """
    return library().kerasrnn_forward(
        x=x,
        mask=mask,
        layers=layers,
        results=4 * len(reverse),
        **_shared(cell, reverse, zero_masked, threads, joined),
        sequences=int(sequences),
        keep=int(keep),
    )


def backward(cell, x, mask, layers, *, reverse, zero_masked, threads, joined=False):
    """Gradients of what ``forward`` was given, from those of what it gave.

    Args:
        layers: for each layer the gradients of its outputs and last states h and c, its kernel,
            recurrent kernel and bias, and what ``forward`` kept.
        cell, x, mask, reverse, zero_masked, threads, joined: as ``forward`` had them.

    Returns:
        For each layer the gradients of the gates' sums, for ``inputs_gradient``; and of what
        ``forward`` was given for it.
    """
    return library().kerasrnn_backward(
        x=x,
        mask=mask,
        layers=layers,
        results=6 * len(reverse),
        **_shared(cell, reverse, zero_masked, threads, joined),
    )


def inputs_gradient(cell, layers, *, threads):
    """The gradient of x (batch, time, inputs), from those of the gates' sums of ``backward``.

    layers: for each layer that gradient, and its kernel.
    """
    return library().kerasrnn_inputs_gradient(layers=layers, cell=CELLS[cell].code, threads=threads)


def _shared(cell, reverse, zero_masked, threads, joined):
    """The attributes of both operations; bit i of reverse tells of layer i."""
    return {
        "cell": CELLS[cell].code,
        "threads": threads,
        "reverse": sum(1 << index for index, back in enumerate(reverse) if back),
        "zero_masked": int(zero_masked),
        "joined": int(joined),
    }


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
