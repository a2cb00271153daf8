"""Several models that learn together in one: each from its own loss, the answer their mean."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import softmax

from kerasrnn import Classifier, Dataset, InputError, Texts, build_classifier, export, train
from kerasrnn.tasks.explanations import explain_label
from kerasrnn.tasks.members import members_beside, members_of, with_members
from kerasrnn.training import resume

TINY = {"units": 2, "stem_filters": 2, "schedule": "constant", "members": 2, "quiet": True}


def sequences(number=24):
    """Sequences of unequal length, of two classes."""
    rng, y = np.random.default_rng(0), np.arange(number) % 2
    x = rng.normal(y[:, None, None], 1, (number, 6, 2)).astype("float32")
    return Dataset.from_arrays(x, y, lengths=rng.integers(2, 7, number), test=(x, y))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    data = sequences()
    return train(data, tmp_path_factory.mktemp("members") / "run", epochs=2, **TINY), data


def test_each_member_learns_from_its_own_loss():
    model = with_members(3, lambda: build_classifier((None, 2), num_classes=4, units=2))
    x, y = np.random.default_rng(0).normal(size=(5, 7, 2)).astype("float32"), np.arange(5) % 4
    loss, fitted = keras.losses.SparseCategoricalCrossentropy(), members_beside(model)
    with tf.GradientTape(persistent=True) as tape:
        together = loss(np.repeat(y[:, None], 3, axis=1), fitted(x))
        alone = [loss(y, member(x)) for member in members_of(model)]
    assert float(together) == pytest.approx(np.mean(alone), rel=1e-6)
    for member, own in zip(members_of(model), alone, strict=True):
        weights = [weight.value for weight in member.trainable_variables]
        for ours, theirs in zip(
            tape.gradient(together, weights), tape.gradient(own, weights), strict=True
        ):
            np.testing.assert_allclose(3 * ours, theirs, atol=1e-6)
    assert np.abs(model(x) - np.mean([member(x) for member in members_of(model)], 0)).max() < 1e-6


@pytest.mark.slow
def test_the_mean_is_half_of_the_answer_of_a_run_and_its_export(trained, tmp_path):
    run, data = trained
    predictor = Classifier.load(run)
    x, lengths = data.test.x, np.full(len(data.test.x), 6)
    model = predictor.model
    mean = np.mean([member([x, lengths]) for member in members_of(model)], axis=0)
    (linear,) = (layer for layer in model.layers if layer.name.startswith("logistic_of_"))
    beside = keras.Model(model.inputs, linear.output)([x, lengths])
    both = softmax((np.log(mean) + np.log(beside)) / 2, axis=-1)
    found = predictor.predict_proba(x, lengths)
    np.testing.assert_allclose(found, both, atol=1e-6)
    exported = Classifier.load(export(run, tmp_path / "export", check=False))
    np.testing.assert_allclose(exported.predict_proba(x, lengths), found, atol=1e-6)


@pytest.mark.slow
def test_the_first_is_explained(trained):
    predictor = Classifier.load(trained[0])
    found = explain_label(predictor, trained[1].test.x[0])
    assert {one.name for one in found.reading.layers} == {"bidirectional_1"}
    assert found.answer["probability"] == predictor.predict_proba(trained[1].test.x[:1]).max()


@pytest.mark.slow
def test_a_training_goes_on_bit_for_bit(trained, tmp_path):
    run, data = trained
    half = train(data, tmp_path / "half", epochs=1, **TINY)
    whole = resume(half, data, epochs=2, quiet=True)
    assert whole.history()["loss"] == run.history()["loss"]


@pytest.mark.slow
def test_members_start_from_those_of_a_run(trained, tmp_path):
    run, data = trained
    options = TINY | {"members": 3, "learning_rate": 1e-9}
    started = train(data, tmp_path / "started", epochs=1, start_from=run.path, **options)
    old, new = (members_of(Classifier.load(one).model) for one in (run, started))
    for member, source in zip(new, [*old, old[0]], strict=True):
        ours, theirs = (model.get_layer("head").get_weights() for model in (member, source))
        assert all(np.abs(a - b).max() < 1e-6 for a, b in zip(ours, theirs, strict=True))


def test_what_is_refused(tmp_path):
    texts = Texts.from_lists(["good day", "bad day"] * 9, ["yes", "no"] * 9)
    with pytest.raises(InputError, match="members of a classifier of texts"):
        train(texts, tmp_path / "texts", members=2, quiet=True)
    with pytest.raises(InputError, match="members"):
        train(sequences(), tmp_path / "none", **TINY | {"members": 0})
