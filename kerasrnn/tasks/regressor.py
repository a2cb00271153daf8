"""The regressor: numbers for each sequence, or the next values of a series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from kerasrnn import layers
from kerasrnn.data.batches import SequenceBatches
from kerasrnn.data.checks import has_missing, missing_error
from kerasrnn.data.inputs import kept_columns, read_inputs
from kerasrnn.data.readers import Rows, TextParts, TimeSeries
from kerasrnn.data.sequences import Dataset, dataset_of
from kerasrnn.data.series import Series
from kerasrnn.data.series_batches import SeriesBatches
from kerasrnn.data.sources import read_by_options, source_of
from kerasrnn.data.times import iso_times
from kerasrnn.data.windows import WindowFormat
from kerasrnn.errors import InputError
from kerasrnn.files import read_json
from kerasrnn.inference.calling import compiled, in_batches, model_inputs, outputs
from kerasrnn.inference.explaining import Explanation
from kerasrnn.inference.exports import Export
from kerasrnn.inference.signatures import (
    Example,
    Servable,
    Signature,
    example_sequences,
    one_step_at_least,
)
from kerasrnn.options import tables
from kerasrnn.runs import Run
from kerasrnn.tasks import base
from kerasrnn.tasks.blending import blended
from kerasrnn.tasks.explanations import chosen, each, explain_numbers
from kerasrnn.tasks.held_out import held_out
from kerasrnn.tasks.members import is_mixed, members_beside, shares_of, with_members
from kerasrnn.tasks.recipes import sequence_recipe, series_recipe
from kerasrnn.tasks.regression_models import build_forecaster, build_numbers
from kerasrnn.tasks.regression_report import (
    measure,
    report_numbers,
    report_series,
    score,
    unit_of,
)

_FILE = "targets.json"
_SAID = ("targets", "quantiles", "format")  # of the numbers, in the reading of an export
_MOST_WINDOWS = 1 << 12  # of an epoch


class Forecast(NamedTuple):
    """The next values of a series.

    times: (horizon,), or None where its rows have none. values: float32 (horizon, targets), or
    (horizon, targets, levels) of quantiles. id: which series it is.
    """

    times: np.ndarray | None
    values: np.ndarray
    id: str = ""


class Regressor(base.Predictor):
    """Gives sequences their numbers, or series their next values.

    Args:
        model: a model of ``build_regressor``.
        targets: the names of the numbers.
        format: of the windows of a series, if it forecasts.

    Raises:
        InputError: names or levels that do not match the model.

    >>> import kerasrnn, numpy as np
    >>> model = kerasrnn.build_regressor((None, 2), targets=1, units=4)
    >>> Regressor(model, ["weight"]).predict(np.zeros((3, 9, 2))).shape
    (3, 1)
    """

    task = "regressor"

    def __init__(
        self,
        model: keras.Model,
        targets: Sequence[str],
        format: WindowFormat | None = None,
    ):
        levels = [
            x.levels for x in layers.layers_in(model) if isinstance(x, layers.SortedQuantiles)
        ]
        self.quantiles = tuple(levels[0]) if levels else ()
        expected = (*((format.horizon,) if format else ()), len(targets))
        expected += (len(self.quantiles),) if levels else ()
        if tuple(model.output_shape[1:]) != expected:
            raise InputError(
                "a model that does not match its targets",
                found=f"output {model.output_shape[1:]}",
                expected=f"{expected} for {', '.join(targets)}",
            )
        self.model, self.targets, self.format = model, tuple(targets), format
        self._shapes = {x.name: tuple(x.shape[1:]) for x in model.inputs}
        self._call = compiled(model, outputs)

    @classmethod
    def _from_run(cls, run: Run):
        said = read_json(run.path / _FILE, dict)
        return cls(base.load_run_model(run), *_from_json(said, run.path / _FILE))

    @classmethod
    def _from_export(cls, export: Export):
        return _ExportedRegressor(export)

    def predict(
        self, x: np.ndarray, lengths: np.ndarray | None = None, known: np.ndarray | None = None
    ) -> np.ndarray:
        """The numbers of each sequence, float32 (n, targets).

        Of a forecast (n, horizon, targets), of quantiles with a last axis of levels.

        Args:
            x: raw sequences (n, time, features), or windows (n, window, columns).
            lengths: int (n,), the steps of each sequence before its padding.
            known: (n, horizon, columns), what is known in advance of a forecast.

        Raises:
            InputError: inputs that do not fit the model.
        """
        inputs = model_inputs(self._shapes, x=x, lengths=lengths, known=known)
        found = in_batches(self._call, *inputs)
        if np.isnan(found).any() and has_missing(inputs[0], lengths):
            raise missing_error()
        return found

    def forecast(self, rows: Rows) -> Forecast:
        """What follows the rows of a series.

        rows: in the order of time, with the columns of the training series, at least a window of
        them. Where there are columns known in advance, the rows to predict follow with these, and
        with NaN for the targets.

        Raises ``InputError`` where rows are too few, or the model does not forecast.

        >>> import kerasrnn
        >>> from kerasrnn.data.readers import Rows
        >>> series = kerasrnn.Series.from_arrays(np.arange(60.0), horizon=2, window=8)
        >>> model = kerasrnn.build_regressor((8, 1), targets=1, horizon=2, units=4)
        >>> regressor = Regressor(model, series.targets, format=series.format())
        >>> regressor.forecast(Rows(np.ones((9, 1)))).values.shape
        (2, 1)
        """
        if self.format is None:
            raise InputError("a regressor of sequences does not forecast")
        inputs, times = self.format.last_window(rows)
        return Forecast(times, self.predict(**inputs)[0], rows.id)

    def said(self) -> dict:
        """What the model's numbers mean, as JSON."""
        return {
            "targets": list(self.targets),
            "quantiles": list(self.quantiles),
            "format": self.format and self.format.to_json(),
        }


def _from_json(said, where):
    try:
        return said["targets"], said["format"] and WindowFormat.from_json(said["format"])
    except (KeyError, TypeError) as error:
        raise InputError("unexpected JSON", where=where) from error


class _ExportedRegressor(Regressor):
    def __init__(self, export):
        said = export.reading(*_SAID)
        self.targets, self.format = _from_json(said, export)
        self.quantiles = tuple(said["quantiles"])
        self._shapes = {name: tuple(of["shape"][1:]) for name, of in export.inputs().items()}

        def call(*arrays):
            return export.call(**dict(zip(self._shapes, arrays, strict=True)))["prediction"]

        self._call = call


class RegressorTask(base.Task):
    """Numbers for each sequence, or the next values of series."""

    name = "regressor"
    kinds = ("numbers", "series")
    summary = "Numbers for each sequence, or the next values of a series."
    predictor = Regressor
    keeps_start = True

    def load(self, *source: str, **options) -> Dataset | Series:
        if len(source) != 1:
            raise InputError("several data sets for a regressor", found=" ".join(source))
        found = read_by_options(*source, self.name, options)
        if isinstance(found, TimeSeries):
            defaults = tables(self.name, "series")[0]
            return Series.from_rows(found, source_of(*source), *source, defaults | options)
        if isinstance(found, TextParts) or not found.targets:
            raise InputError(
                "no numbers to predict",
                where=" ".join(source),
                fix="name their column by --target, or train a classifier on the labels",
            )
        return dataset_of(found, *source, options)

    def recipe(self, data: Dataset | Series, settings: base.Settings) -> dict[str, base.Choice]:
        return series_recipe() if isinstance(data, Series) else sequence_recipe(data, settings)

    def build(self, data: Dataset | Series, settings: base.Settings) -> keras.Model:
        """Input shape, targets and scaling follow from the data."""
        options = dict(settings.model)
        members = options.pop("members")
        if not isinstance(data, Series):
            return with_members(members, lambda: build_numbers(data, options))
        if members > 1:
            raise InputError("members of a forecast", fix="average --seeds --ensemble")
        return build_forecaster(data, options)

    def training_model(self, model: keras.Model, settings: base.Settings) -> keras.Model:
        return members_beside(model) if settings.model["members"] > 1 else model

    def loss(self, settings: base.Settings, data: Dataset | Series) -> keras.losses.Loss:
        """Huber's, or the pinball loss; in units of the naive error, or of the deviation."""
        return layers.ScaledError(unit_of(data).tolist(), settings.model["quantiles"] or ())

    def batches(self, data: Dataset | Series, settings: base.Settings, seed: int):
        size = settings.fit["batch_size"]
        if isinstance(data, Series):
            return SeriesBatches(data.train, size, seed, _MOST_WINDOWS)
        members = settings.model["members"]
        if members == 1:
            return SequenceBatches(data.train, size, seed)
        beside = replace(data.train, y=data.train.y[:, None])
        weights = 1 - held_out(data.train, members, seed).astype("float32")
        return SequenceBatches(beside, size, seed, weights)

    def artifacts(self, data: Dataset | Series) -> dict:
        format = data.format().to_json() if isinstance(data, Series) else None
        return {_FILE: {"targets": list(data.targets), "format": format}}

    def outputs(self, artifacts: dict, options: dict) -> list:
        """The target, its step and its quantile."""
        targets, format = artifacts[_FILE]["targets"], artifacts[_FILE]["format"]
        steps = range(format["horizon"] if format else 1)
        return [*product(steps, targets, options.get("quantiles") or [None])]

    def validator(self, model, data: Dataset | Series, settings: base.Settings):
        if data.validation is None:
            return None
        regressor = _regressor(model, data)
        return lambda: measure(regressor, data, data.validation)

    def finish(self, run: Run, data: Dataset | Series):
        """Of sequences: mix the mean and a ridge regression into the answer."""
        if isinstance(data, Series):
            return None
        quantiles, seed = run.info["options"].get("quantiles") or (), run.info["seed"]
        return base.change_best(run, lambda model: blended(model, data, quantiles, seed))

    def evaluate(self, model, data: Dataset | Series, settings, folder) -> base.Evaluation:
        report = report_series if isinstance(data, Series) else report_numbers
        regressor, part = _regressor(model, data), data.validation
        validated = {} if part is None else {"validation": measure(regressor, data, part)}
        metrics, found = report(regressor, data, folder)
        metrics |= {"shares": shares_of(model)} if is_mixed(model) else {}
        return base.Evaluation(validated | metrics, found)

    def next_command(self, data: Dataset | Series, run: Run) -> list[str]:
        return ["predict", str(run), data.source]

    def predictions(
        self, predictor: Regressor, inputs: Sequence[str], encoding: str | None
    ) -> base.Predictions:
        def parts():
            for source in inputs:
                yield from read_inputs(source, _columns(predictor), encoding)

        if predictor.format is not None:
            return _forecasts(predictor, (rows for part in parts() for rows in part.inputs))

        def answers():
            for part, kept in kept_columns(parts()):
                yield kept, predictor.predict(part.inputs, part.lengths)

        def columns(answer):
            kept, found = answer
            return base.beside(kept, **_named(predictor, found))

        return base.Predictions(answers(), lambda answer: base.rows(columns(answer)), columns)

    def explanation(self, predictor: Regressor, source: str, row, encoding) -> Explanation:
        parts = read_inputs(source, _columns(predictor), encoding)
        return explain_numbers(predictor, chosen(each(parts), row or 0, source))

    def score(
        self, predictor: Regressor, source: str, folder: Path | None, encoding: str | None
    ) -> base.Evaluation:
        parts = read_inputs(source, _columns(predictor), encoding)
        return score(predictor, parts, source, folder)

    def servable(self, predictor: Regressor) -> Servable:
        """``x`` (and ``lengths``, or ``known``) → ``prediction``."""
        model = predictor.model
        exported = layers.for_export(model)

        def answer(*inputs):
            return {"prediction": outputs(exported, [one_step_at_least(inputs[0]), *inputs[1:]])}

        specs = [tf.TensorSpec((None, *x.shape[1:]), x.dtype, x.name) for x in model.inputs]
        given = example_sequences(model)
        found = np.asarray(outputs(model, given))
        named = {x.name: values for x, values in zip(model.inputs, given, strict=True)}
        return Servable(
            self.name,
            exported,
            {"serving_default": Signature(answer, specs)},
            [Example("serving_default", named, {"prediction": found})],
            numeric_model=model,
            output="prediction",
            reading=predictor.said(),
        )


TASK = RegressorTask()


def _columns(predictor):
    """What the columns of a file mean; an export says beside that what its numbers do."""
    return {name: role for name, role in predictor.reading.items() if name not in _SAID}


def _regressor(model, data):
    return Regressor(model, data.targets, data.format() if isinstance(data, Series) else None)


def _named(predictor, found):
    """Predictions (n, targets) or (n, targets, levels) as columns of a table."""
    found = np.vectorize(lambda value: float(f"{value:.7g}"), otypes=["f8"])(found)  # as float32
    if not predictor.quantiles:
        return dict(zip(predictor.targets, found.T.tolist(), strict=True))
    return {
        f"{target} {level:g}": found[:, index, place].tolist()
        for index, target in enumerate(predictor.targets)
        for place, level in enumerate(predictor.quantiles)
    }


def _forecasts(predictor, every):
    """The predictions of ``kerasrnn predict`` for series."""

    def columns(answer):
        _, found = answer
        steps = predictor.format.horizon
        times = range(1, steps + 1) if found.times is None else iso_times(found.times)
        kept = {predictor.reading.get("id", "id"): [found.id] * steps} if found.id else {}
        time = predictor.reading.get("time", "step" if found.times is None else "time")
        return kept | {time: list(times)} | _named(predictor, found.values)

    def draw(answers, ax):
        from kerasrnn.plotting import plot_forecast

        rows, found = answers[-1]
        names = list(predictor.format.columns)
        history = rows.values[-2 * predictor.format.window :, names.index(predictor.targets[0])]
        return plot_forecast(
            history, found.values[:, 0], predictor.quantiles, ax, name=predictor.targets[0]
        )

    answers = ((rows, predictor.forecast(rows)) for rows in every)
    return base.Predictions(answers, lambda answer: base.rows(columns(answer)), columns, draw=draw)
