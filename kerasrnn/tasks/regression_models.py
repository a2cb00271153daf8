"""The models of a regressor, as its data asks for them."""

from __future__ import annotations

import keras
import numpy as np

from kerasrnn.data.sequences import Dataset
from kerasrnn.data.series import Series
from kerasrnn.models import build_regressor
from kerasrnn.tasks.linear_forecast import fit_linear
from kerasrnn.tasks.regression_report import unit_of
from kerasrnn.tasks.scaling import scaling


def build_numbers(data: Dataset, options: dict) -> keras.Model:
    """A model of the numbers of sequences, in their own units."""
    x, lengths = data.train.x, data.train.lengths
    mean = data.train.y.mean(0, dtype="float64")
    return build_regressor(
        (x.shape[1] if lengths is None else None, x.shape[2]),
        targets=len(data.targets),
        lengths=lengths is not None,
        scaling=scaling(data.train, data.one_scale),
        missing=data.missing,
        target_scaling=_to_targets(mean, unit_of(data) ** 2, axis=1),
        **options,
    )


def build_forecaster(data: Series, options: dict) -> keras.Model:
    """A model that starts as the best linear forecast; its stack learns what that leaves."""
    linear = fit_linear(data)
    targets, known = list(data.train.targets), list(data.train.known)
    mean, variance = linear.mean, linear.variance

    def scale(name, columns):
        of = {"mean": mean[columns].tolist(), "variance": variance[columns].tolist()}
        return keras.layers.Normalization(axis=-1, name=name, **of)

    model = build_regressor(
        (data.window, len(data.columns)),
        targets=len(targets),
        horizon=data.horizon,
        known=len(known),
        linear=True,
        log_columns=targets if linear.log else (),
        scaling=scale("scaling", slice(None)),
        known_scaling=scale("known_scaling", known) if known else None,
        target_scaling=_to_targets(mean[targets], variance[targets], axis=2),
        **options,
    )
    kernel, bias = linear.kernel, linear.bias
    levels = options["quantiles"]
    if levels:
        # around the forecast, as far as its errors on later windows lay from their median
        kernel = np.repeat(kernel, len(levels), axis=1)
        errors = linear.residuals - np.median(linear.residuals, axis=0)
        spread = np.quantile(errors, levels, axis=0)
        bias = (bias[:, None] + spread.reshape(len(levels), -1).T).ravel()
    layer = model.get_layer("linear")
    layer.set_weights([kernel, bias])
    layer.trainable = False
    return model


def _to_targets(mean, variance, axis):
    """The layer from the head's units to the targets'."""
    return keras.layers.Normalization(
        axis=axis,
        mean=np.asarray(mean).tolist(),
        variance=np.asarray(variance).tolist(),
        invert=True,
        name="target_scaling",
    )
