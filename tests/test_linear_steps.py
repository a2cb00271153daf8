"""The logistic regression of all steps that stands beside a classifier of few sequences."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from kerasrnn import Classifier, Dataset, build_classifier, train
from kerasrnn.tasks import linear_steps, task_of
from kerasrnn.tasks.linear_steps import with_linear

TINY = {"units": 4, "stem": "none", "epochs": 2, "quiet": True}


def hours(number=60, classes=2, seed=0, **options):
    """Sequences whose class is told by the height of one step, in units of their own."""
    rng = np.random.default_rng(seed)
    y = np.arange(number) % classes
    x = rng.normal(size=(number, 9, 2))
    x[:, 3, 1] += 2 * y
    x = 1000 + 50 * x
    labels = [f"class {label}" for label in y]
    return Dataset.from_arrays(x, labels, test=(x[::2], labels[::2]), **options)


def beside(data, members=1):
    """The model of the task, and what its linear part says of the test part."""
    task = task_of("classifier")
    settings = task.settings({"units": 4, "members": members}, data.options, data.kind)
    settings, _ = task.completed(data, settings)
    model = task.build(data, settings)
    part = keras.Model(model.input, model.get_layer("linear_steps").output)
    return model, np.asarray(part(data.test.x.astype("float32")))


@pytest.mark.parametrize("classes", [2, 3])
def test_it_is_the_regression_of_scikit_learn_with_the_penalty_of_the_least_loss(classes):
    data = hours(classes=classes)
    x, y = data.train.x.reshape(len(data.train), -1), data.train.y
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    scores = {}
    for c in (1e-4, 1e-3, 1e-2, 0.1, 1, 10):
        regression = make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=1000))
        found = cross_val_score(regression, x, y, cv=folds, scoring="neg_log_loss")
        scores[c] = found.mean()
    best = max(scores, key=scores.get)
    expected = make_pipeline(StandardScaler(), LogisticRegression(C=best, max_iter=1000)).fit(x, y)
    asked = data.test.x.reshape(len(data.test), -1)
    model, found = beside(data)
    np.testing.assert_allclose(found, expected.predict_proba(asked), atol=1e-3)
    assert 1e-4 < best < 10 and found.max() > 0.8
    skill = 1 + scores[best] / np.log(classes)  # of as many sequences of each class
    assert model.get_layer("pool").second == pytest.approx(skill / 2, abs=1e-3)


def test_training_leaves_it_and_the_answer_is_its_pool_with_the_mean_of_the_members(tmp_path):
    data = hours()
    classifier = Classifier.load(train(data, tmp_path / "run", members=2, **TINY))
    model = classifier.model
    _, linear = beside(data)
    x = data.test.x.astype("float32")
    members = [np.asarray(model.get_layer(f"member_{number}")(x)) for number in (1, 2)]
    kept = np.asarray(keras.Model(model.input, model.get_layer("linear_steps").output)(x))
    np.testing.assert_allclose(kept, linear, atol=1e-5)
    weight = model.get_layer("pool").second
    pool = np.mean(members, 0) ** (1 - weight) * kept**weight
    found = classifier.predict_proba(data.test.x)
    np.testing.assert_allclose(found, pool / pool.sum(-1, keepdims=True), atol=1e-5)


@pytest.mark.parametrize("members", [1, 2])
def test_the_network_is_trained_alone_and_shares_its_weights(members):
    data, task = hours(), task_of("classifier")
    settings = task.settings({"units": 4, "members": members}, data.options, data.kind)
    settings, _ = task.completed(data, settings)
    model = task.build(data, settings)
    trained = task.training_model(model, settings)
    assert {id(w) for w in trained.trainable_weights} == {id(w) for w in model.trainable_weights}
    assert "linear_steps" not in [layer.name for layer in trained.layers]


def test_where_it_does_not_stand():
    data = hours()
    model = build_classifier((9, 2), num_classes=2, units=4)
    assert with_linear(model, data) is not model
    part = data.train
    for other in (
        replace(data, train=replace(part, lengths=np.full(len(part.x), 8))),
        replace(data, train=replace(part, x=np.where(part.x > part.x.min(), part.x, np.nan))),
        replace(data, one_scale=True),
        replace(data, train=replace(part, y=np.eye(len(part.y), dtype=int)[0])),
        hours(number=2000),
    ):
        assert with_linear(model, other) is model


def test_what_is_too_much_to_fit_has_none(monkeypatch):
    monkeypatch.setattr(linear_steps, "_MOST_PRODUCTS", 10)
    model = build_classifier((9, 2), num_classes=2, units=4)
    assert with_linear(model, hours()) is model
