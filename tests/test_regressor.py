"""The regressor: numbers for sequences, forecasts of series, from runs and exports alike."""

import csv
import json

import keras
import numpy as np
import pytest
from conftest import invoke, refused
from sklearn.linear_model import Ridge

from kerasrnn import (
    Dataset,
    InputError,
    Regressor,
    Series,
    build_regressor,
    export,
    layers,
    load_model,
    regression,
    train,
)
from kerasrnn.data.layouts import Batch
from kerasrnn.data.readers import Rows
from kerasrnn.tasks import linear_forecast
from kerasrnn.tasks.regression_report import score
from kerasrnn.tasks.smoothing import Smoothing, smoothing_kernels
from kerasrnn.training import evaluate

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 7, 3)).astype("float32")
QUICK = {"units": 4, "epochs": 1, "quiet": True}


def monthly(years=12, start="2000-01"):
    """A growing series with a season, as (values, times)."""
    months = np.arange(12 * years)
    level = np.exp(0.01 * months + 0.3 * np.sin(months * np.pi / 6))
    noise = np.random.default_rng(1).normal(0, 0.02, len(months))
    return 100 * level * np.exp(noise), np.datetime64(start, "M") + months


@pytest.fixture(scope="module")
def forecaster(tmp_path_factory):
    """A run on a CSV of a monthly series, with quantiles."""
    folder = tmp_path_factory.mktemp("forecast")
    values, times = monthly()
    lines = [f"{time},{value:.4f}" for time, value in zip(times, values, strict=True)]
    (folder / "sales.csv").write_text("\n".join(["month,sales", *lines]))
    options = ["--horizon", 6, "--quantiles", "0.1,0.5,0.9", "--backtest", 3, "--epochs", 1]
    invoke("train", folder / "sales.csv", *options, "--units", 4, "-o", folder / "run")
    return folder / "run"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A run on sequences of unequal length, whose sum and last value are to be predicted."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(2, 8, 400)
    x = rng.normal(3, 2, (400, 7, 1))
    x[np.arange(7) >= lengths[:, None]] = 0
    last = x[np.arange(400), lengths - 1]
    y = np.concatenate([x.sum(1), 100 * last], axis=1)
    data = Dataset.from_arrays(x, y, lengths=lengths, targets=("sum", "last"))
    folder = tmp_path_factory.mktemp("weights") / "run"
    net = {"units": 16, "stem_filters": 16, "members": 3}
    return train(data, folder, epochs=12, learning_rate=0.02, quiet=True, **net), data


def test_metrics_are_those_of_their_formulas():
    y, found = RNG.normal(size=(2, 50, 4, 2))
    scale = np.array([2.0, 3.0])
    metrics = regression.regression_metrics(y, found, scale)
    errors = np.abs(y - found).reshape(-1, 2)
    squares = (errors**2).sum(0)
    assert metrics["mae"] == pytest.approx(errors.mean())
    assert metrics["rmse"] == pytest.approx(np.sqrt(squares / 200).mean())
    deviations = ((y - y.mean((0, 1))) ** 2).sum((0, 1))
    assert metrics["r2"] == pytest.approx((1 - squares / deviations).mean())
    assert metrics["mase"] == pytest.approx((errors.mean(0) / scale).mean())


def test_the_loss_is_hubers_or_that_of_quantiles():
    y, scale = RNG.normal(0, 5, (9, 4, 2)), np.array([2.0, 3.0])
    found = RNG.normal(0, 5, (9, 4, 2))
    missed = np.abs(y - found) / scale
    expected = np.where(missed <= 1, missed**2 / 2, missed - 0.5).mean()
    assert float(layers.ScaledError(scale)(y, found)) == pytest.approx(expected, rel=1e-5)
    levels = np.array([0.1, 0.5, 0.9])
    found = np.sort(RNG.normal(0, 5, (9, 4, 2, 3)))
    missed = (y[..., None] - found) / scale[:, None]
    expected = np.maximum(levels * missed, (levels - 1) * missed).mean()
    assert float(layers.ScaledError(scale, levels)(y, found)) == pytest.approx(expected, rel=1e-5)
    report = regression.quantile_report(y, found, levels)
    assert report["0.9"]["coverage"] == pytest.approx((y <= found[..., 2]).mean())


def test_ridge_regression_agrees_with_scikit_learn():
    x, y = RNG.normal(3, [1, 5, 9], (40, 3)), RNG.normal(size=(40, 2))
    standard = (x - x.mean(0)) / x.std(0)
    answers = linear_forecast._ridge_path(x, y, [0.1, 10.0])(x)
    for alpha, found in zip([0.1, 10.0], answers, strict=True):
        np.testing.assert_allclose(found, Ridge(alpha).fit(standard, y).predict(standard))


@pytest.mark.parametrize("cell", ["lstm", "gru", "simple"])
def test_models_of_numbers_save_and_load(cell, tmp_path):
    scaled = keras.layers.Normalization(axis=1, mean=[5.0, 9], variance=[4.0, 1], invert=True)
    options = {"targets": 2, "units": 5, "cell": cell, "target_scaling": scaled}
    models = []
    for functional in (False, True):
        keras.utils.set_random_seed(0)
        models.append(build_regressor((7, 3), functional=functional, **options))
    np.testing.assert_allclose(models[0](X), models[1](X), atol=1e-6)
    models[0].save(tmp_path / "a.keras")
    np.testing.assert_array_equal(load_model(tmp_path / "a.keras")(X), models[0](X))


def test_a_forecaster_is_its_linear_part_until_it_learns():
    """Log, scaling, kernel and exponential, computed by NumPy."""
    model = build_regressor(
        (7, 3),
        targets=1,
        horizon=2,
        known=1,
        linear=True,
        log_columns=[1],
        scaling=keras.layers.Normalization(mean=[1.0, 2, 3], variance=[4.0, 1, 9]),
        target_scaling=keras.layers.Normalization(axis=2, mean=[2.0], variance=[1.0], invert=True),
        units=4,
    )
    kernel, bias = RNG.normal(0, 0.1, (7 * 3 + 2, 2)), RNG.normal(size=2)
    model.get_layer("linear").set_weights([kernel, bias])
    x, known = np.exp(RNG.normal(size=(5, 7, 3))), RNG.normal(size=(5, 2, 1))
    seen = x.copy()
    seen[:, :, 1] = np.log(seen[:, :, 1])
    seen = (seen - [1, 2, 3]) / [2, 1, 3]
    flat = np.concatenate([seen.reshape(5, -1), known.reshape(5, -1)], axis=1)
    expected = np.exp(flat @ kernel + bias + 2)[:, :, None]
    np.testing.assert_allclose(model([x, known]), expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"targets": 0}, "targets out of range"),
        ({"horizon": 2, "quantiles": (0.5, 0.1)}, "quantiles that do not rise"),
        ({"quantiles": (0.5, 1.0)}, "a quantile out of range"),
        ({"linear": True}, "of a forecast; give a horizon"),
        ({"horizon": 2, "lengths": True}, "lengths in a forecast"),
        ({"pooling": "first"}, "unknown pooling"),
    ],
)
def test_bad_arguments_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        build_regressor((7, 3), **{"targets": 1, **change})


@pytest.mark.slow
def test_numbers_are_learnt_in_their_own_units(weights):
    run, data = weights
    metrics = run.metrics()
    assert [*metrics["test"]] == ["loss", "mae", "rmse", "r2"]  # as the pages show them
    assert metrics["test"]["r2"] > 0.8 > metrics["baseline"]["mean"]["r2"]
    assert all(one["r2"] > 0.8 for one in metrics["targets"].values())
    assert set(metrics["baseline"]) == {"mean", "ridge"}
    assert (run.path / "predicted.png").exists()
    x, lengths = data.test.x, data.test.lengths
    regressor = Regressor.load(run)
    found = regressor.predict(x, lengths)
    assert found.dtype == "float32" and regressor.targets == ("sum", "last")
    mae = np.abs(found - data.test.y).mean()
    assert metrics["test"]["mae"] == pytest.approx(mae, rel=1e-4)
    x = x.copy()
    x[np.arange(7) >= lengths[:, None]] = np.nan  # padding counts for nothing
    np.testing.assert_allclose(regressor.predict(x, lengths), found, atol=1e-4)
    assert evaluate(run, data)["test"] == metrics["test"]


@pytest.mark.slow
def test_a_run_and_its_export_predict_the_same(weights, tmp_path):
    run, data = weights
    exported = Regressor.load(export(run, tmp_path / "export", check=False))
    x, lengths = data.test.x, data.test.lengths
    expected = Regressor.load(run).predict(x, lengths)
    np.testing.assert_allclose(exported.predict(x, lengths), expected, rtol=1e-4, atol=1e-3)
    with pytest.raises(InputError, match="inputs that do not fit the model"):
        exported.predict(x[:, :, 0], lengths)


@pytest.mark.slow
def test_a_table_of_numbers_trains_and_predicts_back(workplace):
    rows = RNG.normal(size=(60, 5)).round(3)
    table = [["a", *(f"t{step}" for step in range(5)), "weight"]]
    table += [[f"s{i}", *row, round(row.sum(), 3)] for i, row in enumerate(rows)]
    with open("weights.csv", "w", newline="") as file:
        csv.writer(file).writerows(table)
    options = ["--target", "weight", "--features", "t0:t4", "--units", 4, "--epochs", 1]
    options += ["--stem-filters", 4, "--members", 3]
    invoke("train", "weights.csv", *options, "-o", "run")
    lines = list(csv.DictReader(invoke("predict", "run", "weights.csv").stdout.splitlines()))
    assert len(lines) == 60 and lines[3]["a"] == "s3"
    found = [float(line["predicted_weight"]) for line in lines]
    mae = np.abs(np.array(found) - rows.sum(1)).mean()
    scored = json.loads(invoke("evaluate", "run", "weights.csv", "--json").stdout)
    assert scored["test"]["mae"] == pytest.approx(mae, abs=2e-3)


def test_a_positive_series_with_a_growing_season_is_read_in_logarithms():
    values, times = monthly()
    data = Series.from_arrays(values, times=times, horizon=12)
    assert linear_forecast.fit_linear(data).log
    shifted = Series.from_arrays(values - 300, times=times, horizon=12)
    assert not linear_forecast.fit_linear(shifted).log


def missed(start, data):
    """The mean absolute error of a linear forecast in the test part of a series without times."""
    inputs, y = data.test.take(slice(None))
    x = (inputs["x"] - start.mean) / np.sqrt(start.variance)
    found = (x.reshape(len(y), -1) @ start.kernel + start.bias).reshape(y.shape)
    return np.abs(found * np.sqrt(start.variance) + start.mean - y).mean()


@pytest.mark.parametrize("season", [False, True])
def test_where_nothing_is_better_the_start_is_about_as_good_as_the_naive_forecast(season):
    """On random walks, of values or of whole seasons."""
    errors = []
    for seed in range(12):
        steps = np.random.default_rng(seed).normal(size=(60, 4))
        values = np.cumsum(steps, 0).ravel() if season else np.cumsum(steps)
        data = Series.from_arrays(values - 500, horizon=4, window=8, season=4)
        naive = np.abs(data.test.before(4 if season else 1) - data.test.take(slice(None))[1])
        errors.append([missed(linear_forecast.fit_linear(data), data), naive.mean()])
    found, naive = np.mean(errors, axis=0)
    assert found < 1.05 * naive


def test_of_short_series_the_mean_errs_less_than_its_best_member():
    months, errors = np.arange(72), []
    for seed in range(24):
        rng = np.random.default_rng(seed)
        values = 3 * np.sin(months * np.pi / 6) + rng.normal(0, 0.3, 72).cumsum()
        values += rng.normal(size=72) - 500
        data = Series.from_arrays(values, horizon=6, window=24, season=12)
        start = linear_forecast.fit_linear(data)
        weights = start.members.values()
        assert min(weights) > 0 and sum(weights) == pytest.approx(1)
        space = linear_forecast._Space(data, log=False)
        best = min(space.tried(), key=lambda found: found[1])[0]
        x = (data.test.take(slice(None))[0]["x"] - start.mean) / np.sqrt(start.variance)
        single = space.raw_of(space.fit({best: 1.0})(x, np.zeros((len(x), 6, 0))))
        errors.append([missed(start, data), np.abs(single - data.test.take(slice(None))[1]).mean()])
    mean, single = np.mean(errors, axis=0)
    assert mean < 0.95 * single


def test_the_linear_map_is_the_mean_of_the_members():
    """Of two targets, one of two further columns known in advance, and the calendar."""
    rng, days = np.random.default_rng(0), np.arange(300)
    rows = rng.normal(size=(300, 4)) + 2 * np.sin(days * 2 * np.pi / 7)[:, None]
    rows[2:, 0] += rows[:-2, 3]
    options = {"targets": ["1", "2"], "known": ["3"], "horizon": 3, "window": 14}
    data = Series.from_arrays(rows, times=np.datetime64("2024-01-01") + days, **options)
    start = linear_forecast.fit_linear(data)
    space = linear_forecast._Space(data, start.log)
    corrected = [one for one in start.members if isinstance(one, linear_forecast.Correction)]
    assert any(one.every for one in corrected) and any(one.cycles for one in corrected)
    assert len(corrected) < len(start.members)
    seen = np.concatenate([a.reshape(len(a), -1) for a in (space.x, space.known)], axis=1)
    expected = sum(
        weight * space.fit({one: 1.0})(space.x, space.known)
        for one, weight in start.members.items()
    )
    found = (seen @ start.kernel + start.bias).reshape(expected.shape)
    np.testing.assert_allclose(found, expected, atol=1e-8)


def test_too_few_windows_to_choose_on_are_continued_by_a_damped_trend():
    values = 100 + np.random.default_rng(0).normal(size=15).cumsum()
    start = linear_forecast.fit_linear(Series.from_arrays(values, horizon=2, window=4))
    trend = Smoothing("trend", 0.3)
    assert start.members == {trend: 1.0} and not start.log
    np.testing.assert_allclose(start.kernel, smoothing_kernels(4, 2, None)[trend], atol=1e-9)


def test_a_logarithm_that_overflows_is_infinitely_bad(recwarn):
    """Half the slope of a steep rise, over a long horizon, is too much for an exponential."""
    rng = np.random.default_rng(0)
    rises = [np.linspace(-70, 70, rng.integers(6, 12)) for _ in range(60)]
    data = Series.from_arrays(np.exp(np.concatenate(rises)), horizon=90, window=6)
    errors = [error for _, error, _ in linear_forecast._Space(data, log=True).tried()]
    start = linear_forecast.fit_linear(data)
    assert np.inf in errors and start.log and np.isfinite(start.error)
    assert "theta" not in {one.kind for one in start.members}
    assert not recwarn.list


@pytest.mark.slow
def test_the_run_of_a_forecast_holds_everything(forecaster):
    names = {path.name for path in forecaster.iterdir()}
    assert {"best.keras", "forecast.png", "predicted.png", "targets.json"} <= names
    metrics = json.loads((forecaster / "metrics.json").read_text())
    assert [*metrics["test"]] == ["loss", "mae", "rmse", "r2", "mase"]
    simple = metrics["baseline"]
    assert set(simple) == {"mean", "last value", "seasonal naive", "ridge"}
    assert all(metrics["test"]["mae"] < simple[name]["mae"] for name in simple)
    coverage = [row["coverage"] for row in metrics["quantiles"].values()]
    assert coverage == sorted(coverage) and coverage[-1] - coverage[0] > 0.5
    assert metrics["backtest"]["origins"] == 3
    assert metrics["backtest"]["mae"]["deviation"] > 0


def test_predict_continues_a_file_with_its_times(forecaster, tmp_path):
    sales = forecaster.parent / "sales.csv"
    lines = list(csv.DictReader(invoke("predict", forecaster, sales).stdout.splitlines()))
    assert [line["month"] for line in lines] == [f"2012-{month:02}" for month in range(1, 7)]
    levels = [[float(line[f"sales {level}"]) for level in (0.1, 0.5, 0.9)] for line in lines]
    assert (np.diff(levels) >= 0).all()
    truth, _ = monthly(13)
    assert np.abs(np.array(levels)[:, 1] / truth[144:150] - 1).max() < 0.15
    found = Regressor.load(forecaster).forecast(Rows(monthly()[0][:, None], monthly()[1]))
    np.testing.assert_allclose(found.values[:, 0], levels, rtol=1e-4)
    picture = tmp_path / "next.png"
    invoke("predict", forecaster, sales, "-o", picture)
    assert picture.exists()
    (tmp_path / "short.csv").write_text("\n".join(sales.read_text().splitlines()[:9]))
    assert "found 8; expected at least 36" in refused("predict", forecaster, tmp_path / "short.csv")


@pytest.mark.slow
def test_a_forecast_and_its_export_agree(forecaster, tmp_path):
    exported = export(forecaster, tmp_path / "export", check=False)
    sales = forecaster.parent / "sales.csv"
    a, b = (invoke("predict", source, sales).stdout for source in (forecaster, exported))
    a, b = (list(csv.DictReader(text.splitlines())) for text in (a, b))
    for one, other in zip(a, b, strict=True):
        assert one["month"] == other["month"]
        assert float(one["sales 0.9"]) == pytest.approx(float(other["sales 0.9"]), rel=1e-4)


def test_evaluate_scores_all_windows_of_another_file(forecaster):
    sales = forecaster.parent / "sales.csv"
    metrics = json.loads(invoke("evaluate", forecaster, sales, "--json").stdout)
    assert set(metrics["baseline"]) == {"last value", "seasonal naive"}
    assert metrics["test"]["mae"] < metrics["baseline"]["seasonal naive"]["mae"]


def test_numbers_to_score_by_are_asked_for(tmp_path):
    model = build_regressor((2, 1), targets=1, units=2)
    regressor = Regressor(model, ["y"])
    for labels in (None, np.full((3, 1), np.nan)):
        with pytest.raises(InputError, match="a.csv: no numbers to score by: expected y"):
            score(regressor, [Batch(np.zeros((3, 2, 1)), labels=labels)], "a.csv", None)
    with pytest.raises(InputError, match="no numbers to score by"):
        score(regressor, [], "a.csv", None)


@pytest.mark.slow
def test_the_start_is_kept_where_training_makes_it_worse(tmp_path):
    values, times = monthly()
    data = Series.from_arrays(values, times=times, horizon=6)
    bad = train(data, tmp_path / "bad", **{**QUICK, "learning_rate": 5.0})
    good = load_model(bad)
    start = linear_forecast.fit_linear(data)
    np.testing.assert_allclose(good.get_layer("linear").kernel, start.kernel, rtol=1e-5, atol=1e-7)
    assert not np.any(good.get_layer("head").kernel)


@pytest.mark.slow
def test_several_targets_and_series_without_times(tmp_path):
    rows = [RNG.normal(size=(80, 3)).cumsum(0) for _ in range(2)]
    data = Series.from_arrays(rows, targets=["1", "3"], horizon=2, window=6, season=4)
    run = train(data, tmp_path / "run", quantiles=(0.2, 0.8), **QUICK)
    assert set(run.metrics()["targets"]) == {"1", "3"}
    found = Regressor.load(run).forecast(Rows(rows[0], None, "a"))
    assert found.values.shape == (2, 2, 2) and found.times is None and found.id == "a"
