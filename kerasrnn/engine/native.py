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

import tensorflow as tf

CELLS = {"simple": 0, "gru": 1, "lstm": 2}  # as loops.h numbers them
GATES = {"simple": 1, "gru": 3, "lstm": 4}


@cache
def library():
    """The operations, or None where they were not built or TensorFlow has no place for them."""
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        path = Path(__file__).with_name(f"_native{suffix}")
        if path.exists():
            operations = tf.load_op_library(str(path))
            return operations if hasattr(operations, "kerasrnn_forward") else None
    return None


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
    return library().kerasrnn_inputs_gradient(layers=layers, cell=CELLS[cell], threads=threads)


def _shared(cell, reverse, zero_masked, threads, joined):
    """The attributes of both operations; bit i of reverse tells of layer i."""
    return {
        "cell": CELLS[cell],
        "threads": threads,
        "reverse": sum(1 << index for index, back in enumerate(reverse) if back),
        "zero_masked": int(zero_masked),
        "joined": int(joined),
    }


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
