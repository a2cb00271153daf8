"""The answer of a regressor of few sequences: networks, ridge regression and mean, mixed."""

import operator
from itertools import product

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.linear_model import RidgeCV

from kerasrnn import Dataset, InputError, Regressor, Series, build_regressor, export, train
from kerasrnn.data.sequences import Part
from kerasrnn.layers import ScaledError
from kerasrnn.tasks.blending import blended
from kerasrnn.tasks.explanations import explain_numbers
from kerasrnn.tasks.held_out import held_out
from kerasrnn.tasks.members import members_beside, members_of, with_members
from kerasrnn.tasks.readings import readings
from kerasrnn.training import resume

TINY = {
    "units": 2,
    "cell": "simple",
    "stem": "none",
    "members": 4,
    "schedule": "constant",
    "quiet": True,
}


def numbers(number=40, noise=0.5, seed=0, **options):
    """Sequences whose sum is to be predicted, and beside it what nobody can know."""
    rng = np.random.default_rng(seed)
    x = rng.normal(5, 2, (number, 6, 2)).astype("float32")
    y = [x.sum((1, 2)) + rng.normal(0, noise, number), 1e3 + 50 * rng.normal(size=number)]
    return Dataset.from_arrays(x, np.stack(y, 1), targets=("sum", "chance"), **options)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    data = numbers()
    return train(data, tmp_path_factory.mktemp("mix") / "run", epochs=3, seed=5, **TINY), data


def huber(errors):
    size = np.abs(errors)
    return np.where(size < 1, size**2 / 2, size - 0.5).mean()


@pytest.mark.parametrize(("members", "out"), [(3, 1), (5, 1), (8, 2)])
def test_each_sequence_is_kept_from_some_members_evenly(members, out):
    x, y = np.zeros((8 * members, 2, 1)), np.random.default_rng(0).normal(size=(8 * members, 2))
    part = Part(x, y)
    held = held_out(part, members, seed=1)
    assert (held.sum(1) == out).all() and (held.sum(0) == 8 * out).all()
    assert (held == held_out(part, members, seed=1)).all()
    assert (held != held_out(part, members, seed=2)).any()
    few = Part(x[:2], y[:2])
    assert not held_out(part, 2, seed=1).any() and not held_out(few, 3, seed=1).any()
    groups = np.arange(len(x)) % (members + 1)
    held = held_out(Part(x, y, groups=groups), members, seed=1)
    assert (held.sum(1) == out).all() and held.any(0).all()
    assert all((held[groups == one] == held[one]).all() for one in groups)


def test_a_member_learns_nothing_from_what_is_kept_from_it():
    model = with_members(3, lambda: build_regressor((6, 2), targets=2, units=2))
    data = numbers()
    x, y, held = data.train.x, data.train.y, held_out(data.train, 3, seed=0)
    fitted, loss = members_beside(model), ScaledError([1e4, 1e4])

    def gradients(y):
        with tf.GradientTape() as tape:
            found = loss(y[:, None], fitted(x), 1 - held.astype("float32"))
        second = members_of(model)[1].trainable_variables
        return tape.gradient(found, [weight.value for weight in second])

    before, unseen, seen = gradients(y), y.copy(), y.copy()
    unseen[held[:, 1]] += 1e3
    seen[~held[:, 1]] += 1e3
    for old, same, other in zip(before, gradients(unseen), gradients(seen), strict=True):
        np.testing.assert_array_equal(old, same)
        assert np.abs(np.asarray(old) - other).max() > 0


@pytest.mark.slow
def test_the_mix_is_the_best_for_sequences_that_its_parts_did_not_see(trained):
    run, data = trained
    x, y, held = data.train.x, data.train.y, held_out(data.train, 4, seed=5)
    model = Regressor.load(run).model
    members = np.stack([np.asarray(member(x)) for member in members_of(model)], 1)
    read = [one.train for one in readings(data, model, seed=5)]
    assert len(read) == 2

    def ridge(z, rows, target):
        return RidgeCV(10.0 ** np.arange(-6, 5)).fit(z[rows], y[rows, target]).predict(z)

    answer, possible = np.asarray(model(x)), np.array([*product(range(21), repeat=3)]) / 20
    for target in range(2):
        mean, unit = y[:, target].mean(), y[:, target].std()
        unseen = [(members[:, :, target] * held).sum(1) / held.sum(1)]
        whole = [members[:, :, target].mean(1)]
        for z in read:
            folds = np.stack([ridge(z, ~rows, target) for rows in held.T], 1)
            straight = (folds * held).sum(1) / held.sum(1)
            missed = (y[:, target] - straight).mean()
            unseen.append(straight + missed)
            whole.append(ridge(z, slice(None), target) + missed)

        def mixed(shares, parts, mean=mean):
            return mean + sum(map(operator.mul, shares, (part - mean for part in parts)))

        best = min(
            possible[possible.sum(1) <= 1],
            key=lambda shares: huber((mixed(shares, unseen) - y[:, target]) / unit),
        )
        np.testing.assert_allclose(answer[:, target], mixed(best, whole), rtol=1e-3)


def test_what_cannot_be_known_is_answered_by_the_mean(trained):
    run, data = trained
    found = Regressor.load(run).predict(data.test.x)
    assert np.abs(found[:, 1] - data.train.y[:, 1].mean()).max() < 0.3 * data.train.y[:, 1].std()
    metrics = run.metrics()
    assert sum(metrics["shares"].values()) == pytest.approx(1)
    assert 0.4 < metrics["shares"]["mean"] < 0.6  # all of one target, nothing of the other
    assert metrics["targets"]["sum"]["r2"] > 0.9
    assert metrics["test"]["mae"] < 1.05 * metrics["baseline"]["mean"]["mae"]


@pytest.mark.slow
def test_the_run_its_export_and_its_explanation_agree(trained, tmp_path):
    run, data = trained
    predictor = Regressor.load(run)
    found = predictor.predict(data.test.x)
    exported = Regressor.load(export(run, tmp_path / "export", check=False))
    np.testing.assert_allclose(exported.predict(data.test.x), found, rtol=1e-4)
    explanation = explain_numbers(predictor, data.test.x[0])
    assert explanation.answer["numbers"]["sum"] == pytest.approx(found[0, 0], rel=1e-5)
    assert {one.name for one in explanation.reading.layers} == {"bidirectional_1"}
    assert blended(predictor.model, data, (), 5) is predictor.model  # mixed once


@pytest.mark.slow
def test_a_training_goes_on_bit_for_bit(trained, tmp_path):
    run, data = trained
    half = train(data, tmp_path / "half", epochs=2, seed=5, **TINY)
    whole = resume(half, data, epochs=3, quiet=True)
    assert whole.history()["loss"] == run.history()["loss"]
    ours, theirs = (Regressor.load(one).predict(data.test.x) for one in (whole, run))
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
def test_quantiles_are_mixed_too(tmp_path):
    data = numbers(120, noise=4.0)
    levels = (0.1, 0.5, 0.9)
    run = train(data, tmp_path / "run", epochs=2, quantiles=levels, **TINY)
    found = Regressor.load(run).predict(data.test.x)
    assert found.shape == (len(data.test.x), 2, 3) and (np.diff(found, axis=-1) >= 0).all()
    expected = np.quantile(data.train.y[:, 1], levels)
    assert np.abs(found[:, 1] - expected).max() < 0.5 * data.train.y[:, 1].std()
    covered = (data.train.y[:, 0] <= Regressor.load(run).predict(data.train.x)[:, 0, 2]).mean()
    assert 0.75 < covered <= 1
    exported = Regressor.load(export(run, tmp_path / "export", check=False))
    np.testing.assert_allclose(exported.predict(data.test.x), found, rtol=1e-4)


def test_as_many_sequences_as_quantiles_are_answered_as_others_are():
    x = np.random.default_rng(0).normal(size=(60, 5, 1)).astype("float32")
    data = Dataset.from_arrays(x, x.sum(1), targets=("sum",), validation_split=0.3)
    levels = (0.1, 0.5, 0.9)
    model = build_regressor((5, 1), targets=1, units=2, quantiles=levels)
    mixed = blended(model, data, levels, 0)
    assert mixed.get_layer("answer") is mixed.layers[-1]  # the regression has a share
    found = mixed(x[:7]).numpy()
    np.testing.assert_allclose(mixed(x[:3]), found[:3], atol=1e-5)  # Keras once took 3 for levels


@pytest.mark.slow
def test_one_alone_is_mixed_by_the_validation_part(tmp_path):
    data = numbers(60, validation_split=0.3)
    run = train(data, tmp_path / "run", epochs=1, **TINY | {"members": 1})
    predictor = Regressor.load(run)
    assert run.metrics()["targets"]["sum"]["r2"] > 0.9  # of the ridge regression
    reading = explain_numbers(predictor, data.test.x[0]).reading
    assert reading.saliency.shape == (6,) and np.abs(reading.saliency).max() > 0
    plain = train(numbers(), tmp_path / "plain", epochs=1, **TINY | {"members": 1})
    assert isinstance(Regressor.load(plain).model, keras.Sequential)  # nothing is mixed in


@pytest.mark.slow
def test_of_unequal_sequences_a_regression_reads_pieces(tmp_path):
    rng = np.random.default_rng(0)
    x, lengths = rng.normal(size=(60, 9, 1)), rng.integers(3, 10, 60)
    y = np.array([[row[:length].mean()] for row, length in zip(x[:, :, 0], lengths, strict=True)])
    data = Dataset.from_arrays(x, y, lengths=lengths, targets=("mean",))
    run = train(data, tmp_path / "run", epochs=1, **TINY)
    regressor = Regressor.load(run)
    assert regressor.model.get_layer("ridge_of_steps").get_weights()[0].shape == (32, 1)
    assert run.metrics()["test"]["r2"] > 0.9
    found, x[np.arange(9) >= lengths[:, None]] = regressor.predict(x, lengths), 1e6
    np.testing.assert_allclose(regressor.predict(x, lengths), found, rtol=1e-5, atol=1e-6)


def test_a_forecast_has_no_members(tmp_path):
    data = Series.from_arrays(np.arange(60.0), horizon=2, window=8)
    with pytest.raises(InputError, match="members of a forecast"):
        train(data, tmp_path / "run", members=2, quiet=True)
