"""Recurrent layers on NumPy arrays by the C library of ``_loops.c``, on several cores.

The library is built when the package is installed, where there is a compiler; ``library()`` is
None without it. Weights are laid out as Keras has them: kernel (inputs, gates · units),
recurrent kernel (units, gates · units), bias (gates · units,), a GRU's (2, gates · units).
"""

from __future__ import annotations

import ctypes
import importlib.machinery
import math
import os
from functools import cache
from pathlib import Path

import numpy as np

CELLS = {"simple": 0, "gru": 1, "lstm": 2}  # as _loops.c numbers them
GATES = {"simple": 1, "gru": 3, "lstm": 4}
_KEPT = {"simple": 2, "gru": 5, "lstm": 6}  # values of a unit and step kept for the way back
_PANEL = 8  # units that _loops.c computes at once
_ALIGNMENT = 64  # bytes; arrays so aligned TensorFlow takes over without a copy
_WORTH_A_THREAD = 2_000_000  # multiplications; less is done sooner than handed over
_NONE = np.zeros(0, "float32")
_SIZES = ("rows", "steps", "inputs", "units")
_FLAGS = ("reverse", "zero_masked", "joined", "second")
_ARRAYS = [
    "mask",
    "x",
    "w",
    "u",
    "bias",
    "state_bias",
    "h0",
    "c0",
    "out",
    "last",
    "h",
    "c",
    "kept",
    "d_out",
    "d_last",
    "d_h",
    "d_c",
    "d_gates",
    "d_state",
    "d_h0",
    "d_c0",
    "d_w",
    "d_u",
    "d_bias",
    "d_state_bias",
]


class _Loop(ctypes.Structure):
    _fields_ = (
        [(name, ctypes.c_int64) for name in _SIZES]
        + [(name, ctypes.c_int32) for name in _FLAGS]
        + [(name, ctypes.c_void_p) for name in _ARRAYS]
    )


@cache
def library():
    """The C library, or None where it was not built."""
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        path = Path(__file__).with_name(f"_loops{suffix}")
        if path.exists():
            loaded = ctypes.CDLL(str(path))
            size, number, pointer = ctypes.c_int64, ctypes.c_int, ctypes.c_void_p
            loaded.kerasrnn_loops.argtypes = [pointer, number, size, *[number] * 3]
            arrays = [pointer, size, size, pointer, size, pointer, pointer, number, size, number]
            loaded.kerasrnn_inputs.argtypes = arrays
            return loaded
    return None


def forward(cell, x, mask, *layers, reverse, zero_masked, sequences, keep, threads, joined=False):
    """All steps of layers that read the same: one, or the two of a bidirectional layer.

    Args:
        cell: ``"lstm"``, ``"gru"`` (reset after the product) or ``"simple"``.
        x: float32 (batch, time, inputs).
        mask: bool (batch, time), or (0,) for none. Masked steps change no state.
        *layers: for each layer, all float32: kernel, recurrent kernel and bias as Keras has
            them, and the initial states h and c (batch, units); c of an LSTM only, else (0,).
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
    """
    batch, steps, inputs = x.shape
    all_loops, results, lstm = [], [], cell == "lstm"
    number = len(reverse) if joined else 1
    for index, (layer, back) in enumerate(zip(_groups(layers, 5), reverse, strict=True)):
        _check_shapes(x, mask, *layer, cell)
        kernel, recurrent, bias, h0, c0 = layer
        units = recurrent.shape[0]
        again = joined and index
        if not again:
            out = _empty(batch, steps, number * units) if sequences else _NONE
        kept = (batch, steps, -(-units // _PANEL), _KEPT[cell], _PANEL)
        arrays = {
            **_weights(kernel, recurrent, bias, cell),
            "mask": mask,
            "x": x,
            "h0": h0,
            "c0": c0,
            "out": out,
            "last": _NONE if sequences else _empty(batch, units),
            "h": _empty(batch, units),
            "c": _empty(batch, units) if lstm else _NONE,
            "kept": _empty(*kept) if keep else _NONE,
        }
        output = arrays["out" if sequences else "last"]
        results += [_NONE if again else output, *map(arrays.get, ("h", "c", "kept"))]
        place = (number, again)
        all_loops.append(_loop(arrays, batch, steps, inputs, units, back, zero_masked, *place))
    work = batch * steps * (inputs + units) * recurrent.shape[1] * len(all_loops)
    threads = max(1, min(threads, work // _WORTH_A_THREAD))
    _run(cell, False, all_loops, _size_of_part(batch, work, threads // len(all_loops)), threads)
    return results


def backward(cell, x, mask, *layers, reverse, zero_masked, threads, joined=False):
    """Gradients of what ``forward`` was given, from those of what it gave.

    Args:
        *layers: for each layer the gradients of its outputs and last states h and c, its kernel,
            recurrent kernel and bias, and what ``forward`` kept.
        cell, x, mask, reverse, zero_masked, threads, joined: as ``forward`` had them.

    Returns:
        For each layer the gradients of the gates' sums, for ``inputs_gradient``; and of what
        ``forward`` was given for it.
    """
    batch, steps, inputs = x.shape
    lstm, gru, number = cell == "lstm", cell == "gru", len(reverse)
    units, columns = layers[4].shape
    work = 3 * batch * steps * (inputs + units) * columns * number
    size = _size_of_part(batch, work, threads // number)
    parts = -(-batch // size) or 1
    all_loops, results, totals = [], [], []
    for index, (layer, back) in enumerate(zip(_groups(layers, 7), reverse, strict=True)):
        d_output, d_h, d_c, kernel, recurrent, bias, kept = layer
        units = recurrent.shape[0]
        d_output = layers[0] if joined else d_output
        sequences = d_output.ndim == 3
        d_gates = _empty(batch, steps, -(-units // _PANEL) * GATES[cell] * _PANEL)
        arrays = {
            **_weights(kernel, recurrent, bias, cell),
            "mask": mask,
            "x": x,
            "kept": kept,
            "d_out": d_output if sequences else _NONE,
            "d_last": _NONE if sequences else d_output,
            "d_h": d_h,
            "d_c": d_c,
            "d_gates": d_gates,
            "d_state": _empty(*d_gates.shape) if gru else _NONE,
            "d_h0": _empty(batch, units),
            "d_c0": _empty(batch, units) if lstm else _NONE,
        }
        sums = [_empty(parts, *weights.shape) for weights in (kernel, recurrent, bias)]
        arrays |= {"d_w": sums[0], "d_u": sums[1], "d_bias": sums[2]}
        if gru and bias.ndim == 2:
            arrays |= {"d_bias": sums[2][0, 0], "d_state_bias": sums[2][0, 1]}
        place = (number if joined else 1, joined and index)
        all_loops.append(_loop(arrays, batch, steps, inputs, units, back, zero_masked, *place))
        totals.append(sums)
        results.append((d_gates, arrays["d_h0"], arrays["d_c0"]))
    _run(cell, True, all_loops, size, threads)
    return [
        array
        for (d_gates, d_h0, d_c0), sums in zip(results, totals, strict=True)
        for array in (d_gates, *map(_total, sums), d_h0, d_c0)
    ]


def inputs_gradient(cell, *layers, threads):
    """The gradient of x (batch, time, inputs), from those of the gates' sums of ``backward``.

    layers: for each layer that gradient, and its kernel.
    """
    (batch, steps, columns), inputs = layers[0].shape, layers[1].shape[0]
    rows, d_gates, kernels = batch * steps, layers[::2], layers[1::2]
    number = len(kernels)
    d_x = _empty(batch, steps, inputs)
    units = (ctypes.c_int64 * number)(*(kernel.shape[1] // GATES[cell] for kernel in kernels))
    of_layers = [(ctypes.c_void_p * number)(*map(_address, each)) for each in (d_gates, kernels)]
    size = _size_of_part(rows, d_x.size * columns * number, threads)
    sizes, how = (rows, inputs, units, GATES[cell]), (number, size, threads)
    _check(library().kerasrnn_inputs(_address(d_x), *sizes, *of_layers, *how))
    return d_x


def _groups(arrays, size):
    return [arrays[start : start + size] for start in range(0, len(arrays), size)]


def _weights(kernel, recurrent, bias, cell):
    both = cell == "gru" and bias.ndim == 2
    return {
        "w": kernel,
        "u": recurrent,
        "bias": bias[0] if both else bias,
        "state_bias": bias[1] if both else _NONE,
    }


def _loop(arrays, *sizes):
    """What C reads of one layer."""
    loop = _Loop(*sizes)
    loop.alive = arrays  # as long as the loop is
    for name, array in arrays.items():
        if array.size:
            setattr(loop, name, _address(array))
    return loop


def _run(cell, back, all_loops, size, threads):
    """The loops of all layers, in parts of so many rows."""
    together = (_Loop * len(all_loops))(*all_loops)
    _check(library().kerasrnn_loops(together, len(all_loops), size, CELLS[cell], back, threads))


def _total(of_parts):
    """The sum over the parts, and of a single one no copy."""
    return of_parts[0] if len(of_parts) == 1 else of_parts.sum(0)


def _check(short):
    if short:
        raise MemoryError("no memory for a recurrent layer")


def _address(array):
    """Where an array begins that C may read: in order, float32 or bool."""
    flags = array.flags
    if not flags.c_contiguous or array.dtype.char not in "f?":
        raise ValueError(f"an array of {array.dtype} that C cannot read, strides {array.strides}")
    if flags.writeable and array.size:  # three times as fast as what follows
        return ctypes.addressof(ctypes.c_char.from_buffer(array))
    return array.__array_interface__["data"][0]


def _check_shapes(x, mask, kernel, recurrent, bias, h0, c0, cell):
    """Refuse arrays that do not fit together, since C would read beyond them."""
    (batch, steps, inputs), units = x.shape, recurrent.shape[0]
    columns = GATES[cell] * units
    fit = {
        "kernel": (kernel.shape, [(inputs, columns)]),
        "recurrent kernel": (recurrent.shape, [(units, columns)]),
        "bias": (bias.shape, [(columns,), (2, columns)] if cell == "gru" else [(columns,)]),
        "state h": (h0.shape, [(batch, units)]),
        "state c": (c0.shape, [(batch, units) if cell == "lstm" else (0,)]),
        "mask": (mask.shape, [(batch, steps), (0,)]),
    }
    for name, (found, expected) in fit.items():
        if found not in expected:
            raise ValueError(f"{name} of shape {found}, expected {expected[0]}")


def _size_of_part(rows, work, threads):
    """Rows for each thread, in fours where there are several parts."""
    number = max(1, min(threads, rows // 4, work // _WORTH_A_THREAD))
    size = -(-rows // number)
    return max(1, size + (-size % 4 if number > 1 else 0))


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _empty(*shape):
    """An array for float32 values, at an address that TensorFlow takes over without a copy."""
    size = math.prod(shape)
    memory = np.empty(size + _ALIGNMENT // 4, "float32")
    start = -_address(memory) % _ALIGNMENT // 4
    return memory[start : start + size].reshape(shape)
