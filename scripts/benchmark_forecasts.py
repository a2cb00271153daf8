"""Forecasts of three public series beside simple ones: a table in Markdown.

    python scripts/benchmark_forecasts.py FOLDER --seeds 5

FOLDER holds ETTh1.csv (Zhou et al. 2021), daily-min-temperatures.csv (Melbourne, Australian Bureau
of Meteorology) and airline-passengers.csv (Box & Jenkins 1976); by default ``forecast`` under
``KERASRNN_DATA``. Each series is cut in order of time: its last fifth is the test part, a tenth of
the rest before it, two horizons at least, the validation part, and all errors are those of all
windows of the test part. Ridge regressions see the same windows of the training part, with the
penalty chosen by cross-validation in order of time: of all columns, of the target alone, and of
the target and the calendar; and of the target alone in windows as long as the horizon.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click
import numpy as np

from kerasrnn import Series, regression, train
from kerasrnn.data.roles import Roles
from kerasrnn.data.sources import read_source
from kerasrnn.options import tables
from kerasrnn.tasks import task_of
from kerasrnn.tasks.regression_report import forecast_baselines, measure
from kerasrnn.tasks.regressor import Regressor

DATA = {
    "ETTh1, `OT`": ("ETTh1.csv", "OT", 24, 96),
    "minimum temperatures": ("daily-min-temperatures.csv", "Temp", 7, None),
    "airline passengers": ("airline-passengers.csv", "Passengers", 12, None),
}
METRICS = ("mae", "rmse", "mase")


def load(folder: Path, file: str, target: str, horizon: int, window: int | None) -> Series:
    """A series of the benchmark."""
    path = str(folder / file)
    options = tables("regressor", "series")[0] | {"horizon": horizon, "window": window}
    return Series.from_rows(read_source(path, roles=Roles(target=target)), path, path, options)


def linear_rows(data: Series, short: Series) -> dict[str, dict]:
    """The metrics of the linear forecast that training starts from, and of other ridges.

    short: the same series with windows as long as the horizon.
    """
    task = task_of("regressor")
    settings, _ = task.completed(data, task.settings({}, data.options, "series"))
    model = task.build(data, settings)
    start = Regressor(model, data.targets, data.format())
    (target,) = data.train.targets

    def metrics(series, see):
        inputs, y = series.train.take(slice(None))
        fit = regression.ridge(see(inputs), y, series.horizon)
        inputs, y = series.test.take(slice(None))
        return regression.regression_metrics(y, fit(see(inputs)), series.scale)

    def alone(given):
        return given["x"][:, :, target]

    def with_calendar(given):
        known = given["known"].reshape(len(given["x"]), -1)
        return np.concatenate([alone(given), known], axis=1)

    return {
        "ridge, target only": metrics(data, alone),
        "ridge, target and calendar": metrics(data, with_calendar),
        "ridge, target only, window of the horizon": metrics(short, alone),
        "linear start of ours": measure(start, data, data.test),
    }


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option("--seeds", type=int, default=5, show_default=True, help="Trainings; 0: none.")
def main(folder, seeds):
    """Train on each series and print a table."""
    folder = folder or Path(os.environ.get("KERASRNN_DATA", ".")) / "forecast"
    print("| series | forecast | MAE | RMSE | MASE |\n|---|---|---|---|---|")
    for name, row in DATA.items():
        data = load(folder, *row)
        every = []
        for seed in range(seeds):
            with tempfile.TemporaryDirectory() as place:
                run = train(data, Path(place) / "run", seed=seed, quiet=True)
                every.append(run.metrics()["test"])
        rows = {
            key: regression.regression_metrics(data.test.take(slice(None))[1], found, data.scale)
            for key, found in forecast_baselines(data).items()
            if key != "mean"
        }
        short = load(folder, *row[:3], row[2])
        for key, found in (rows | linear_rows(data, short)).items():
            print_row(name, key, [f"{found[metric]:.4g}" for metric in METRICS])
        if not every:
            continue
        values = np.array([[found[metric] for metric in METRICS] for found in every]).T
        texts = [f"**{some.mean():.4g}** ± {some.std():.1g}" for some in values.round(9)]
        print_row(name, f"kerasrnn, {seeds} seeds", texts)


def print_row(*cells):
    """A row of the table: texts, or lists of them."""
    flat = [text for cell in cells for text in ([cell] if isinstance(cell, str) else cell)]
    print(f"| {' | '.join(flat)} |", flush=True)


if __name__ == "__main__":
    main()
