"""The regressor: numbers for each sequence, or the next values of a series."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from kerasrnn.errors import InputError, check_positive, check_range
from kerasrnn.layers import Logarithm, SortedQuantiles
from kerasrnn.models.stack import InputShape, Units, apply, assemble, pooled_stack, read_input


def build_regressor(
    input_shape: InputShape,
    *,
    targets: int,
    horizon: int | None = None,
    quantiles: Sequence[float] | None = None,
    known: int = 0,
    linear: bool = False,
    log_columns: Sequence[int] = (),
    units: Units = 50,
    cell: str = "lstm",
    bidirectional: bool = True,
    go_backwards: bool = False,
    dropout: float = 0.2,
    precision: str | None = None,
    stem: str = "none",
    stem_filters: int = 64,
    stem_stride: int = 1,
    pooling: str = "last",
    lengths: bool = False,
    missing: bool = False,
    scaling: keras.Layer | None = None,
    known_scaling: keras.Layer | None = None,
    target_scaling: keras.Layer | None = None,
    functional: bool = False,
) -> keras.Model:
    """Numbers for each sequence: input → stem → recurrent stack → pooling → Dense → own units.

    The model is uncompiled and returns (batch, targets); with a ``horizon`` the next values of a
    series, (batch, horizon, targets); with ``quantiles`` these have a last axis of levels. Learn
    with ``layers.ScaledError``, or with any loss of numbers.

    Args:
        input_shape: ``(time or None, features)`` of float sequences; time must be given for
            ``linear``.
        targets: number of numbers to predict.
        horizon: steps of the future to predict them for; ``None`` for none.
        quantiles: rising levels in (0, 1) to predict instead of one number for each target.
        known: columns that are known in advance: the model then takes ``[x, known]``, known
            (batch, horizon, columns).
        linear: add a linear map of all steps to the output, the layer ``"linear"``, to which the
            stack's part, which starts at zero, is a correction (Lai et al. 2018). The stack then
            sees each step as its difference to the last, so that levels that it has not seen in
            training are no strangers to it (Zeng et al. 2023).
        log_columns: columns of x whose logarithm is taken; outputs are exponentials then.
        lengths, missing: see ``build_classifier``; lengths not with ``horizon``.
        scaling: a ``keras.layers.Normalization`` or ``Rescaling`` layer for raw x, or for the
            logarithms of its ``log_columns``; ``known_scaling``: the same for ``known``.
        target_scaling: the layer that takes what the head gives to the targets' own units, such
            as ``keras.layers.Normalization(mean=…, variance=…, invert=True)``.
        stem, stem_filters, stem_stride, pooling: see ``build_classifier``.
        functional: a functional model instead of a ``keras.Sequential``; same weights.
        units, cell, bidirectional, go_backwards, dropout, precision: see ``recurrent_stack``.

    Raises:
        InputError: an argument outside what is said above.

    >>> build_regressor((None, 3), targets=2, units=8).output_shape
    (None, 2)
    >>> build_regressor((96, 7), targets=1, horizon=24, quantiles=(0.1, 0.9)).output_shape
    (None, 24, 1, 2)
    """
    check_positive(targets=targets, **({} if horizon is None else {"horizon": horizon}))
    _check_quantiles(quantiles)
    if (horizon is None and (known or linear or log_columns)) or (horizon and lengths):
        raise InputError(
            "known, linear and log_columns are of a forecast"
            if not lengths
            else "lengths in a forecast, whose windows are all of one length",
            fix="give a horizon" if not lengths else "leave them out",
        )
    if linear and input_shape[0] is None:
        raise InputError("a linear part of any number of steps", fix="give input_shape its time")
    inputs, before = read_input(input_shape, None, None, lengths, scaling, missing)
    if log_columns:
        before.insert(0, Logarithm(log_columns, name="logarithm"))
    stack = pooled_stack(
        units,
        pooling,
        stem,
        stem_filters,
        stem_stride,
        cell=cell,
        bidirectional=bidirectional,
        go_backwards=go_backwards,
        dropout=dropout,
        precision=precision,
    )
    shape = (*((horizon,) if horizon else ()), targets, *((len(quantiles),) if quantiles else ()))
    start = "zeros" if linear else "glorot_uniform"
    size = horizon or 1
    for number in shape[1 if horizon else 0 :]:
        size *= number
    stack.append(keras.layers.Dense(size, kernel_initializer=start, name="head"))
    after = [keras.layers.Reshape(shape, name="shape")] if len(shape) > 1 else []
    after += [] if target_scaling is None else [target_scaling]
    after += [keras.layers.Activation("exponential", name="exponential")] if log_columns else []
    after += [SortedQuantiles(quantiles, name="quantiles")] if quantiles else []
    if not known and not linear:
        return assemble(inputs, before + stack + after, functional)
    if known:
        inputs.append(keras.Input((horizon, known), name="known"))
    return _forecaster(inputs, before, stack, after, known_scaling, linear)


def _forecaster(inputs, before, stack, after, known_scaling, linear):
    """The functional model of a forecast with known columns or a linear part."""
    x, *future = inputs
    x = apply(before, [x])
    if future and known_scaling is not None:
        future = [known_scaling(future[0])]
    future = [keras.layers.Flatten(name="known_flat")(known) for known in future]

    def joined(part, name):
        return keras.layers.Concatenate(name=name)([part, *future]) if future else part

    *recurrent, head = stack
    seen = x - x[:, -1:] if linear else x
    output = head(joined(apply(recurrent, [seen]), "state_and_known"))
    if linear:
        steps = joined(keras.layers.Flatten(name="steps")(x), "steps_and_known")
        straight = keras.layers.Dense(head.units, name="linear")(steps)
        output = keras.layers.Add(name="sum")([straight, output])
    return keras.Model(inputs if len(inputs) > 1 else inputs[0], apply(after, [output]))


def _check_quantiles(quantiles):
    for level in quantiles or ():
        check_range("a quantile", level, 0, 1, open_low=True)
    if list(quantiles or ()) != sorted(set(quantiles or ())):
        raise InputError("quantiles that do not rise", found=quantiles)
