"""How a regressor did on the test part, beside baselines, with pictures."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from kerasrnn import layers, plotting, regression
from kerasrnn.data.parts import real_steps
from kerasrnn.data.sequences import Dataset
from kerasrnn.data.series import Series
from kerasrnn.data.storage import chunks
from kerasrnn.data.windows import Windows
from kerasrnn.errors import InputError
from kerasrnn.tasks import examples
from kerasrnn.tasks.base import Evaluation

_FORECASTS = 4  # in examples.json
_WINDOWS = 1024  # that are taken at a time
_MOST_FLAT = 2048  # values of a sequence up to which the ridge regression sees all of them


def unit_of(data: Dataset | Series) -> np.ndarray:
    """What the loss counts errors of each target in, float64 (targets,).

    The naive forecast's error of a series, else the standard deviation in training.
    """
    if isinstance(data, Series):
        return data.scale
    deviation = data.train.y.std(0, dtype="float64")
    return np.where(deviation > 0, deviation, 1.0)


def measure(regressor, data: Dataset | Series, part) -> dict[str, float]:
    """The loss of a part, and the metrics of what is predicted for it."""
    y, found = _predictions(regressor, part)
    scale = data.scale if isinstance(data, Series) else None
    metrics = regression.regression_metrics(y, _middle(regressor, found), scale)
    return _loss(regressor, data, y, found) | metrics


def _loss(regressor, data, y, found):
    loss = layers.ScaledError(unit_of(data).tolist(), regressor.quantiles)
    return {"loss": float(loss(y, found))}


def report_numbers(regressor, data: Dataset, folder: Path) -> Evaluation:
    """How a regressor of sequences did; draws predicted.png."""
    y, found = _predictions(regressor, data.test)
    mean = np.broadcast_to(data.train.y.mean(0), y.shape)
    seen = data.train.select(regression.evenly(len(data.train), regression.MOST_ROWS))
    ridge = regression.ridge(_values(data, seen), seen.y)
    baselines = {"mean": mean, "ridge": ridge(_values(data, data.test))}
    metrics = _report(regressor, None, y, found, baselines, folder)
    show = examples.shown(data.test.x, data.test.lengths, data.reading.get("features", ()))
    metrics["test"] = _loss(regressor, data, y, found) | metrics["test"]
    wrong = _mistakes(y, _middle(regressor, found), unit_of(data), show)
    return Evaluation(metrics, {"mistakes": wrong})


def report_series(regressor, data: Series, folder: Path) -> Evaluation:
    """How a forecast did; draws predicted.png and forecast.png."""
    y, found = _predictions(regressor, data.test)
    baselines = forecast_baselines(data)
    metrics = _report(regressor, data.scale, y, found, baselines, folder)
    metrics["test"] = _loss(regressor, data, y, found) | metrics["test"]
    if data.options.get("backtest"):
        metrics["backtest"] = _backtest(data, y, _middle(regressor, found))
    history, truth = _before_and_after(data.test, -1)
    plotting.save(
        folder / "forecast.png",
        lambda ax: plotting.plot_forecast(
            history, found[-1, :, 0], regressor.quantiles, ax, truth=truth, name=data.targets[0]
        ),
    )
    return Evaluation(metrics, {"forecasts": _forecasts(regressor, data.test, found)})


def _before_and_after(windows, place):
    """The first target up to two windows before an origin, and from there to the horizon."""
    rows = windows.origins[place] + np.arange(-2 * windows.window, windows.horizon)
    values = windows.values[rows[rows >= windows.begins[place]], windows.targets[0]]
    return values[: -windows.horizon], values[-windows.horizon :]


def _forecasts(regressor, windows, found):
    """A few of the forecasts of the first target, spread over all of them."""

    def forecast(place):
        history, truth = _before_and_after(windows, place)
        return {
            "history": examples.rounded(history),
            "truth": examples.rounded(truth),
            "forecast": examples.rounded(found[place, :, 0]),
            "quantiles": list(regressor.quantiles),
        }

    return examples.kept(map(forecast, regression.evenly(len(windows), _FORECASTS)))


def _mistakes(y, found, unit, show):
    """The sequences whose numbers are furthest off, in units of each target."""
    far = (np.abs(found - y) / unit).max(-1)

    def numbers(row):
        return examples.rounded(row[0] if len(row) == 1 else row)

    return examples.kept(
        {"input": show(row), "true": numbers(y[row]), "predicted": numbers(found[row])}
        for row in np.argsort(-far, kind="stable")
    )


def score(regressor, parts, source: str, folder: Path | None) -> Evaluation:
    """The metrics of a regressor on other data, beside forecasts that need no training.

    parts: ``layouts.Batch``es, with numbers to predict, or of series. folder: for a picture.
    Raises ``InputError`` where there is nothing to score by.
    """
    format, baselines, scale = regressor.format, {}, None
    parts = list(parts)
    if format is not None:
        windows = format.windows([rows for part in parts for rows in part.inputs])
        y, found = _predictions(regressor, windows)
        baselines, scale = _naive(windows, format.season), np.array(format.scale)
    else:
        given = [part.labels for part in parts if part.labels is not None] or [np.zeros((0, 1))]
        y = np.concatenate(given)
        real = ~np.isnan(y).any(-1)
        if not real.any():
            raise InputError(
                "no numbers to score by", where=source, expected=", ".join(regressor.targets)
            )
        found = np.concatenate([regressor.predict(part.inputs, part.lengths) for part in parts])
        y, found = y[real], found[real]
    metrics = _report(regressor, scale, y, found, baselines, folder)
    if format is not None:
        return Evaluation(metrics, {"forecasts": _forecasts(regressor, windows, found)})
    show, rows = _show_parts(parts), np.flatnonzero(real)
    wrong = _mistakes(y, _middle(regressor, found), y.std(0) + 1e-9, lambda row: show(rows[row]))
    return Evaluation(metrics, {"mistakes": wrong})


def _show_parts(parts):
    """A function that shows a row of some batches."""
    starts = np.cumsum([0, *(len(part.inputs) for part in parts)])

    def show(row):
        number = int(np.searchsorted(starts, row, "right")) - 1
        part = parts[number]
        return examples.shown(part.inputs, part.lengths)(row - starts[number])

    return show


def _naive(windows, season):
    """Forecasts that need no training, by name."""
    found = {"last value": windows.before(1)}
    return found | ({"seasonal naive": windows.before(season)} if season else {})


def forecast_baselines(data: Series) -> dict[str, np.ndarray]:
    """What simple forecasts give for the test windows, by name, each (n, horizon, targets).

    The mean of the training windows; the last value; the value a season ago; ridge regression of
    the window's values of all columns, and of those known in advance that came with the data.
    """
    train, test = data.train, data.test
    chosen = regression.evenly(len(train), regression.MOST_ROWS)
    inputs, y = train.take(chosen)
    ridge = regression.ridge(_flat(data, inputs), y, data.horizon)
    found = {
        "mean": np.broadcast_to(y.mean((0, 1)), (len(test), *y.shape[1:])),
        **_naive(test, data.season),
    }
    pieces = (_flat(data, inputs) for inputs, _ in _in_pieces(test))
    return found | {"ridge": np.concatenate([ridge(piece) for piece in pieces])}


def _flat(data, inputs):
    """The inputs of windows without the calendar, (n, values)."""
    calendar = 2 * len(data.calendar)
    parts = [inputs["x"][:, :, : len(data.columns) - calendar]]
    if len(data.known) > calendar:
        parts.append(inputs["known"][:, :, : len(data.known) - calendar])
    return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)


def _in_pieces(part):
    for start in range(0, len(part), _WINDOWS):
        yield part.take(slice(start, start + _WINDOWS))


def _predictions(regressor, part):
    """The targets of a part and what is predicted for them."""
    if not isinstance(part, Windows):
        return part.y, regressor.predict(part.x, part.lengths)
    pairs = [(y, regressor.predict(**inputs)) for inputs, y in _in_pieces(part)]
    return tuple(np.concatenate(side) for side in zip(*pairs, strict=True))


def _middle(regressor, found):
    """One number for each target: of quantiles that of the level nearest to one half."""
    if not regressor.quantiles:
        return found
    return found[..., int(np.abs(np.array(regressor.quantiles) - 0.5).argmin())]


def _report(regressor, scale, y, found, baselines, folder):
    """Metrics of predictions, of their quantiles and of each target; draws predicted.png."""
    middle = _middle(regressor, found)
    metrics = {
        "test": regression.regression_metrics(y, middle, scale),
        "baseline": {
            name: regression.regression_metrics(y, other, scale)
            for name, other in baselines.items()
        },
    }
    if regressor.quantiles:
        metrics["quantiles"] = regression.quantile_report(y, found, regressor.quantiles)
    if len(regressor.targets) > 1:
        metrics["targets"] = {
            name: regression.regression_metrics(
                y[..., [index]], middle[..., [index]], None if scale is None else scale[[index]]
            )
            for index, name in enumerate(regressor.targets)
        }
    if folder is not None:
        _draw(regressor, y, middle, folder)
    return metrics


def _draw(regressor, y, middle, folder):
    plotting.save(
        folder / "predicted.png",
        lambda *axes: [
            plotting.plot_predicted(y[..., index], middle[..., index], ax, name=name)
            for index, (ax, name) in enumerate(zip(axes, regressor.targets, strict=False))
        ],
        panels=min(len(regressor.targets), 4),
    )


def _backtest(data, y, found):
    """Metrics at origins spread over the test part: their mean and deviation over the origins."""
    origins = regression.evenly(len(y), data.options["backtest"])
    rows = [regression.regression_metrics(y[[one]], found[[one]], data.scale) for one in origins]
    return {"origins": len(origins)} | {
        name: {
            "mean": float(np.mean([row[name] for row in rows])),
            "deviation": float(np.std([row[name] for row in rows])),
        }
        for name in ("mae", "rmse", "mase")
    }


def _values(data, part):
    """What ridge regression sees of the sequences of a part, (n, values): all, or a summary."""
    size = math.prod(part.x.shape[1:])
    if part.lengths is None and size <= _MOST_FLAT and not data.missing:
        return part.x[:].reshape(-1, size)
    lengths = np.full(len(part), part.x.shape[1]) if part.lengths is None else part.lengths
    return np.concatenate([_summary(x, lengths[at : at + len(x)]) for at, x in chunks(part.x)])


def _summary(x, lengths):
    """Of each feature mean, deviation, least, greatest, first and last value of the real steps."""
    steps = x.shape[1]
    real = real_steps(lengths, steps)[:, :, None] & ~np.isnan(x)
    number = np.maximum(real.sum(1), 1)
    mean = np.where(real, x, 0).sum(1) / number
    deviation = np.sqrt((np.where(real, x - mean[:, None], 0) ** 2).sum(1) / number)
    least = np.where(real, x, np.inf).min(1)
    greatest = np.where(real, x, -np.inf).max(1)
    first = np.take_along_axis(x, real.argmax(1)[:, None], axis=1)[:, 0]
    last = np.take_along_axis(x, (steps - 1 - real[:, ::-1].argmax(1))[:, None], axis=1)[:, 0]
    found = np.concatenate([mean, deviation, least, greatest, first, last], axis=1)
    return np.where(np.isfinite(found), found, 0)
