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


LARGE_WEIGHTS = 800_000  # numbers, beyond what the caches of a core hold
MANY_STEPS = 20
LARGE_BATCH = 128


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
            return operations if hasattr(operations, "kerasrnn_forward_all") else None
    return None


def worthwhile(cell: str, shape: tf.TensorShape, units: int, training: bool) -> bool:
    """Whether the native loop of a layer is faster than Keras's, by the map in docs/engine.md.

    Weights are packed anew in each call, which few steps of a large layer do not pay back.
    Sizes that are not known when a graph is traced count as many steps, a small batch and
    as many features as units.

    Args:
        cell: a key of ``CELLS``.
        shape: of the input, (batch, time, features).
        units: of the layer.
        training: whether a gradient will be asked for.
    """
    batch, steps, features = shape
    if training:
        return cell != "simple" or units < 256 or batch is None or batch < LARGE_BATCH
    if CELLS[cell].gates * units * (units + (features or units)) < LARGE_WEIGHTS:
        return True
    return cell != "simple" and (steps is None or steps >= MANY_STEPS)


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
        tf.errors.ResourceExhaustedError: not enough memory, before any is used.
    """
    attributes = {
        "reverse": reverse,
        "zero_masked": zero_masked,
        "threads": tf.config.threading.get_intra_op_parallelism_threads() or cores(),
        "joined": joined,
    }
    mask = tf.zeros(0, bool) if mask is None else mask
    inputs = LayerInputs(*map(list, zip(*layers, strict=True)))

    options = {"return_sequences": return_sequences, "keep": bool(training)}
    found = forward(cell, x, mask, inputs, **attributes, **options)
    results = LayerResult(found.outputs, found.h, found.c)
    return [LayerResult(*arrays) for arrays in zip(*results, strict=True)]


# Registered for the operations: what `tf.custom_gradient` is given, it keeps in a registry for
# good, and with it the graph and the model of every training.
@tf.RegisterGradient("KerasrnnForwardAll")
@tf.RegisterGradient("KerasrnnForwardJoined")
@tf.RegisterGradient("KerasrnnForwardLast")
def _gradients(op, *d_results):
    """The gradients of the arrays that ``forward`` was given, in their order; the mask has none."""
    x, mask, *arrays = op.inputs
    inputs = LayerInputs(*_lists(arrays, len(LayerInputs._fields)))
    cell = next(name for name, cell in CELLS.items() if cell.code == op.get_attr("cell"))
    layers = range(op.get_attr("number"))
    attributes = {
        "reverse": [bool(op.get_attr("reverse") >> index & 1) for index in layers],
        "zero_masked": bool(op.get_attr("zero_masked")),
        "threads": op.get_attr("threads"),
        "joined": op.type == "KerasrnnForwardJoined",
    }
    *d_results, _ = _lists(d_results, len(LayerResult._fields) + 1)
    if op.get_attr("keep"):
        *_, tape = _lists(op.outputs, len(LayerResult._fields) + 1)
    else:  # outside training nothing is saved: forward again in the rare case of a gradient
        options = {"return_sequences": op.type != "KerasrnnForwardLast", "keep": True}
        tape = forward(cell, x, mask, inputs, **attributes, **options).tape
    d = backward(cell, x, mask, inputs, tape, LayerResult(*d_results), **attributes)
    # an operation of its own, pruned where nobody asks for the gradient of the input
    d_x = inputs_gradient(cell, d.d_sums, inputs.kernel, threads=attributes["threads"])
    return [d_x, None, *(array for arrays in d[1:] for array in arrays)]


def _lists(arrays, number):
    """That many lists of the same length."""
    arrays = list(arrays)
    size = len(arrays) // number
    return [arrays[i * size : (i + 1) * size] for i in range(number)]


@tf.RegisterGradient("KerasrnnBackward")
@tf.RegisterGradient("KerasrnnInputsGradient")
def _second_derivatives(*_):
    raise NotImplementedError(
        "second derivatives of a native recurrent layer: use layers.keras_clone(model)"
    )


def forward(
    cell, x, mask, inputs, *, reverse, zero_masked, return_sequences, keep, threads, joined=False
):
    """The operation of all steps forward, of one layer or of two that read the same.

    Args:
        cell, x, reverse, zero_masked, return_sequences, joined: as in ``recurrence``.
        mask: (batch, time), or (0,) for none.
        inputs: ``LayerInputs`` of lists, with an array for each layer.
        keep: save what ``backward`` needs.
        threads: the most that run at once.

    Returns:
        A named tuple of lists, with an array for each layer: outputs, h and c as in
        ``LayerResult``, but joined outputs are the first layer's and the second's are (0,); and
        tape (batch, time, panels, slots, 8), what is saved, or (0,).

    Raises:
        tf.errors.InvalidArgumentError: shapes that do not fit together.
        tf.errors.ResourceExhaustedError: not enough memory, before any is used.
    """
    form = ("joined" if joined else "all") if return_sequences else "last"
    return getattr(library(), f"kerasrnn_forward_{form}")(
        x=x,
        mask=mask,
        kernel=inputs.kernel,
        recurrent_kernel=inputs.recurrent_kernel,
        bias=inputs.bias,
        initial_h=inputs.h,
        initial_c=inputs.c,
        **_attributes(cell, reverse, zero_masked, threads),
        keep=int(keep),
    )


def backward(
    cell, x, mask, inputs, tape, d_results, *, reverse, zero_masked, threads, joined=False
):
    """The operation of the gradients of what ``forward`` was given, from those of its results.

    Args:
        tape: for each layer what ``forward`` saved.
        d_results: ``LayerResult`` of lists, the gradients of outputs, h and c.
        cell, x, mask, inputs, reverse, zero_masked, threads, joined: as for ``forward``.

    Returns:
        A named tuple of lists, with an array for each layer: d_sums, the gradients of the gate
        sums, for ``inputs_gradient``; d_kernel, d_recurrent_kernel, d_bias, d_initial_h and
        d_initial_c.
    """
    return library().kerasrnn_backward(
        x=x,
        mask=mask,
        kernel=inputs.kernel,
        recurrent_kernel=inputs.recurrent_kernel,
        bias=inputs.bias,
        tape=tape,
        d_outputs=d_results.outputs,
        d_h=d_results.h,
        d_c=d_results.c,
        **_attributes(cell, reverse, zero_masked, threads),
        joined=int(joined),
    )


def inputs_gradient(cell, d_sums, kernel, *, threads):
    """The operation of the gradient of x (batch, time, inputs), from the d_sums of ``backward``.

    d_sums, kernel: lists, with an array for each layer.
    """
    code = CELLS[cell].code
    return library().kerasrnn_inputs_gradient(
        d_sums=d_sums, kernel=kernel, cell=code, threads=threads
    )


def _attributes(cell, reverse, zero_masked, threads):
    """The attributes of both operations; bit i of reverse is that of layer i."""
    return {
        "cell": CELLS[cell].code,
        "threads": threads,
        "reverse": sum(1 << index for index, back in enumerate(reverse) if back),
        "zero_masked": int(zero_masked),
    }


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
