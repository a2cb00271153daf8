"""The pool of a classifier of few sequences: what weighs how much, and what learnt from what."""

import importlib.util
import operator
from dataclasses import replace
from itertools import product

import keras
import numpy as np
import pytest
import tensorflow as tf
from factories import check_together
from scipy.special import log_softmax, softmax
from sklearn.linear_model import LogisticRegression

from kerasrnn import Classifier, Dataset, build_classifier, export, layers, train
from kerasrnn.cli.output import print_metrics
from kerasrnn.exporting.formats import format_module
from kerasrnn.tasks.explanations import explain_label
from kerasrnn.tasks.members import is_mixed, members_beside, members_of, with_members
from kerasrnn.tasks.opinions import held_for_opinions, pooled
from kerasrnn.tasks.readings import readings
from kerasrnn.training import resume

TINY = {
    "units": 2,
    "cell": "simple",
    "bidirectional": False,
    "stem": "none",
    "members": 5,
    "schedule": "constant",
    "quiet": True,
}


def hours(number=60, seed=0, noise=1.0, validation_split=0):
    """Sequences of which single steps tell the label, as a linear model sees best."""
    rng, y = np.random.default_rng(seed), np.arange(number) % 3
    x = rng.normal(0, noise, (number, 8, 1)).astype("float32")
    x[np.arange(number), 2 * y, 0] += 3
    labels = np.array(["a", "b", "c"])[y]
    return Dataset.from_arrays(x, labels, test=(x, labels), validation_split=validation_split)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    data = hours()
    return train(data, tmp_path_factory.mktemp("pool") / "run", epochs=3, seed=4, **TINY), data


def test_all_learn_from_the_only_sequences_of_a_label():
    y, x = np.array([0, 1] * 10 + [2, 3, 3, 3]), np.zeros((24, 5, 1))
    data = Dataset.from_arrays(x, y, test=(x, y), validation_split=0)
    assert (held_for_opinions(data, 5, seed=0).sum(1) == (y != 2)).all()
    grouped = replace(data.train, groups=np.array([*range(21), 50, 50, 50]))
    held = held_for_opinions(replace(data, train=grouped), 5, seed=0)
    assert (held.sum(1) == (y < 2)).all()
    assert not held_for_opinions(data, 4, seed=0).any()
    gaps = replace(data.train, x=np.full_like(x, np.nan))
    assert not held_for_opinions(replace(data, train=gaps), 5, seed=0).any()


def test_a_member_learns_nothing_from_what_is_kept_from_it():
    model = with_members(5, lambda: build_classifier((8, 1), num_classes=3, units=2))
    data = hours()
    part, held = data.train, held_for_opinions(data, 5, seed=0)
    fitted, loss = members_beside(model), keras.losses.SparseCategoricalCrossentropy()
    second = [weight.value for weight in members_of(model)[1].trainable_variables]

    def gradients(y):
        with tf.GradientTape() as tape:
            wide = np.repeat(y[:, None], 5, axis=1)
            found = loss(wide, fitted(part.x), 1 - held.astype("float32"))
        return tape.gradient(found, second)

    unseen, seen = part.y.copy(), part.y.copy()
    unseen[held[:, 1]] = 0
    seen[~held[:, 1]] = 0
    for old, same, other in zip(gradients(part.y), gradients(unseen), gradients(seen), strict=True):
        np.testing.assert_array_equal(old, same)
        assert np.abs(np.asarray(old) - other).max() > 0


@pytest.mark.slow
def test_the_pool_is_the_best_for_sequences_that_its_parts_did_not_see(trained):
    run, data = trained
    x, y, held = data.train.x, data.train.y, held_for_opinions(data, 5, seed=4)
    model = Classifier.load(run).model
    members = np.stack([np.asarray(member(x)) for member in members_of(model)], 1)
    often, rows = np.log(np.bincount(y) / len(y)), np.arange(len(y))

    def loss(logits):
        return -log_softmax(logits, axis=-1)[rows, y].mean()

    unseen, whole = [np.log(members[held])], [np.log(members.mean(1))]
    for reading in readings(data, model, seed=4):
        read, tried = reading.train, []
        for penalty in 10.0 ** np.arange(-4, 2):
            regression = LogisticRegression(C=1 / penalty, tol=1e-3)
            logs = np.zeros_like(unseen[0])
            for out in held.T:
                logs[out] = regression.fit(read[~out], y[~out]).predict_log_proba(read[out])
            tried.append((loss(logs), logs, regression))
        _, logs, regression = min(tried, key=lambda one: one[0])
        unseen.append(logs)
        whole.append(regression.fit(read, y).predict_log_proba(read))
    assert len(unseen) == 3
    possible = [np.array(row) for row in product(range(21), repeat=3) if 0 < sum(row) <= 20]

    def pool(shares, opinions):
        return sum(map(operator.mul, shares, opinions)) + (1 - shares.sum()) * often

    best = min((row / 20 for row in possible), key=lambda row: loss(pool(row, unseen)))
    assert best[1:].sum() > 0.5
    answering = (best + np.eye(3)[0]) / 2  # members answer by all, and are judged by one
    expected = softmax(pool(answering, whole), axis=-1)
    np.testing.assert_allclose(np.asarray(model(x)), expected, atol=2e-2)  # another search


def test_of_few_members_half_is_the_best_linear_model(tmp_path):
    options = TINY | {"members": 3}
    data = hours(200, noise=0.5)
    model = Classifier.load(train(data, tmp_path / "run", epochs=1, **options)).model
    assert model.get_layer("mix").get_config()["shares"] == (0.5, 0.5)
    unseen = hours(300, seed=1).train
    assert np.mean(np.asarray(model(unseen.x)).argmax(-1) == unseen.y) > 0.9
    rng = np.random.default_rng(0)
    noise = replace(data.train, x=rng.normal(size=data.train.x.shape).astype("float32"))
    network = with_members(3, lambda: build_classifier((8, 1), num_classes=3, units=2))
    assert pooled(network, replace(data, train=noise), 4) is network


def test_a_linear_model_of_coordinates_is_one_of_what_is_read():
    data, rng = hours(), np.random.default_rng(0)
    model = build_classifier((8, 1), num_classes=3, units=2)
    for reading, size in zip(readings(data, model, 0), (8, 4032), strict=True):
        coordinates = reading.coordinates(data.train)
        np.testing.assert_allclose(coordinates, reading.train, atol=1e-6)
        assert coordinates.shape == (60, min(size, 60))
        assert np.square(coordinates).sum(1).mean() == pytest.approx(1, abs=0.2)
        slopes, bias = rng.normal(size=(coordinates.shape[1], 3)), rng.normal(size=3)
        kernel, start = reading.weights(slopes, bias)
        values = np.asarray(reading.read([data.train.x]))
        assert values.shape == (60, size)
        np.testing.assert_allclose(values @ kernel + start, coordinates @ slopes + bias, atol=1e-4)


def test_shares_are_printed_with_the_metrics(capsys):
    print_metrics({"test": {"loss": 1.0}, "shares": {"networks": 0.625, "mean": 0.0, "x": 0.375}})
    assert capsys.readouterr().out.splitlines()[-1] == "the answer    networks 0.625, x 0.375"


@pytest.mark.slow
def test_what_a_linear_model_sees_is_seen(trained, tmp_path):
    run, data = trained
    shares = run.metrics()["shares"]
    assert sum(shares.values()) == pytest.approx(1) and shares["networks"] < 0.75
    kept = Classifier.load(run).model.get_layer("mix").shares
    assert sorted(kept) == sorted(shares[name] for name in shares if name != "frequencies")
    unseen = hours(seed=1).train
    assert np.mean(Classifier.load(run).predict_proba(unseen.x).argmax(-1) == unseen.y) > 0.9
    assert is_mixed(Classifier.load(run).model)
    one = train(data, tmp_path / "one", epochs=1, **TINY | {"members": 1})
    assert not is_mixed(Classifier.load(one).model)


@pytest.mark.slow
def test_the_run_its_export_and_its_explanation_agree(trained, tmp_path):
    run, data = trained
    predictor = Classifier.load(run)
    found = predictor.predict_proba(data.test.x)
    exported = Classifier.load(export(run, tmp_path / "export", check=False))
    np.testing.assert_allclose(exported.predict_proba(data.test.x), found, atol=1e-5)
    explanation = explain_label(predictor, data.test.x[0])
    assert explanation.answer["probability"] == pytest.approx(found[0].max(), rel=1e-5)
    assert {one.name for one in explanation.reading.layers} == {"simple_1"}
    assert pooled(predictor.model, data, 4) is predictor.model  # pooled once


@pytest.mark.slow
def test_a_training_goes_on_bit_for_bit(trained, tmp_path):
    run, data = trained
    half = train(data, tmp_path / "half", epochs=2, seed=4, **TINY)
    whole = resume(half, data, epochs=3, quiet=True)
    assert whole.history()["loss"] == run.history()["loss"]
    ours, theirs = (Classifier.load(one).predict_proba(data.test.x) for one in (whole, run))
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
def test_a_validation_part_tells_the_shares_of_one_network(tmp_path):
    data = hours(300, validation_split=0.3)
    options = TINY | {"members": 1}
    model = Classifier.load(train(data, tmp_path / "run", epochs=2, **options)).model
    network = keras.Model(model.inputs[0], model.get_layer("head").output)
    unseen = hours(300, seed=1)

    def accuracy(model):
        return np.mean(np.asarray(model(unseen.train.x)).argmax(-1) == unseen.train.y)

    assert accuracy(model) > max(0.9, accuracy(network))


@pytest.mark.slow
@pytest.mark.parametrize(("class_weight", "expected"), [("none", 0.8), ("balanced", 0.5)])
def test_of_noise_the_label_frequencies_are_told(class_weight, expected, tmp_path):
    x = np.random.default_rng(0).normal(size=(80, 8, 1))
    y = np.where(np.arange(80) % 5, "often", "seldom")
    data = Dataset.from_arrays(x, y, test=(x, y), validation_split=0)
    run = train(data, tmp_path / "run", epochs=6, class_weight=class_weight, **TINY)
    found = Classifier.load(run).predict_proba(np.random.default_rng(1).normal(size=(80, 8, 1)))
    assert found[:, 0].mean() == pytest.approx(expected, abs=0.12)


@pytest.fixture(scope="module")
def unequal(tmp_path_factory):
    """A run on sequences of 3 to 9 steps, whose third tells the label."""
    rng, y = np.random.default_rng(0), np.arange(60) % 3
    lengths = rng.integers(3, 10, 60)
    x = np.full((60, 9, 1), 1e6)  # padding must not count
    for row, (label, length) in enumerate(zip(y, lengths, strict=True)):
        x[row, :length, 0] = rng.normal(0, 1, length)
        x[row, label * length // 3 : (label + 1) * length // 3] += 3
    given = x, y, lengths
    data = Dataset.from_arrays(x, y, lengths=lengths, test=given, validation_split=0)
    return train(data, tmp_path_factory.mktemp("unequal") / "run", epochs=1, **TINY), given


@pytest.mark.slow
def test_of_unequal_sequences_a_linear_model_reads_pieces(unequal):
    run, (x, y, lengths) = unequal
    classifier = Classifier.load(run)
    assert classifier.model.get_layer("logistic_of_steps").get_weights()[0].shape == (32, 3)
    found = classifier.predict_proba(x, lengths)
    assert np.mean(found.argmax(-1) == y) > 0.8
    for row in (0, 7):
        alone = classifier.predict_proba(x[[row], : lengths[row]], lengths[[row]])
        np.testing.assert_allclose(alone[0], found[row], atol=1e-5)


@pytest.mark.slow
def test_exports_pool_alike(unequal, tmp_path):
    """In this process and in a fresh one."""
    run, (x, _, lengths) = unequal
    formats = ["saved_model", "litert"] + ["onnx"] * bool(importlib.util.find_spec("tf2onnx"))
    given = {"x": x[:1].astype("float32"), "lengths": lengths[:1].astype("int32")}
    expected = Classifier.load(run).predict_proba(x[:1], lengths[:1])
    for format in formats:
        path = export(run, tmp_path / format, format=format, check=False)
        found = format_module(format).open_model(path)("serving_default", given)["probabilities"]
        np.testing.assert_allclose(found, expected, atol=1e-5, err_msg=format)
    made = [tmp_path / format for format in formats]
    assert check_together(made) == [f"{format} True" for format in formats]


@pytest.mark.parametrize("length", [0, 1, 5, 7, 20])
def test_pieces_are_the_means_of_their_steps(length):
    x = np.random.default_rng(length).normal(size=(1, 20, 2)).astype("float32")
    mask, x[:, length:] = np.arange(20)[None] < length, np.nan
    expected = np.zeros((7, 2))
    for piece in range(7 if length else 0):
        start, end = length * piece // 7, -(-length * (piece + 1) // 7)
        expected[piece] = x[0, start:end].mean(0)
    found = layers.PiecewiseAggregate(7)(x, mask=mask)
    np.testing.assert_allclose(found[0], expected, atol=1e-3)


def test_a_pool_weighs_its_opinions():
    first, second = np.array([[0.9, 0.1]]), np.array([[0.5, 0.5]])
    always = np.log([0.2, 0.8])
    layer = layers.OpinionPool([0.5, 0.25], (0.25 * always).tolist())
    expected = softmax(0.5 * np.log(first) + 0.25 * np.log(second) + 0.25 * always, axis=-1)
    np.testing.assert_allclose(layer([first, second]), expected, rtol=1e-3)
    again = layers.OpinionPool.from_config(layer.get_config())
    np.testing.assert_allclose(again([first, second]), expected, rtol=1e-3)
