"""Classifiers of any head, and labels that training never saw."""

import keras
import numpy as np
import pytest

from kerasrnn import Classifier, Dataset, InputError, Vocabulary, build_classifier, evaluate, train
from kerasrnn.inference.calling import compiled, gives_logits

X = np.random.default_rng(0).normal(size=(6, 7, 3)).astype("float32")


def test_logits_are_given_as_probabilities():
    """By the same weights under a softmax."""
    plain = build_classifier((None, 3), num_classes=4, units=5)
    logits = build_classifier((None, 3), num_classes=4, units=5, activation=None)
    logits.set_weights(plain.get_weights())
    assert gives_logits(logits) and not gives_logits(plain)
    expected = Classifier(plain, "abcd").predict_proba(X)
    found = Classifier(logits, "abcd").predict_proba(X)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(found.sum(-1), 1, rtol=1e-5)
    assert Classifier(logits, "abcd").predict(X) == ["abcd"[i] for i in expected.argmax(-1)]


def test_a_softmax_may_be_a_layer_and_an_unclear_head_is_named():
    stack = [keras.Input((7, 3)), keras.layers.LSTM(4), keras.layers.Dense(2)]
    model = keras.Sequential([*stack, keras.layers.Softmax()])
    np.testing.assert_allclose(Classifier(model, "ab").predict_proba(X).sum(-1), 1, rtol=1e-5)
    unclear = keras.Sequential([*stack, keras.layers.Dropout(0.5)])
    with pytest.raises(InputError, match="does not say whether it gives probabilities.*Dropout"):
        Classifier(unclear, "ab")


def test_a_compiled_model_takes_plain_arrays():
    model = build_classifier((None, 3), num_classes=2, units=4)
    np.testing.assert_allclose(compiled(model)(X), model(X), atol=1e-6)
    lengths = np.array([7, 1, 2, 3, 4, 5])
    model = build_classifier((None, 3), num_classes=2, units=4, lengths=True)
    np.testing.assert_allclose(compiled(model)(X, lengths), model([X, lengths]), atol=1e-6)


def test_texts_are_classified_as_their_ids_are():
    words = Vocabulary(["good", "day", "bad"], padded=True)
    model = build_classifier(num_classes=2, vocabulary_size=words.num_ids, units=4)
    classifier = Classifier(model, ["no", "yes"], words)
    ids = np.array([words.encode(["good", "day"]), [words.unknown_id, 0]])
    np.testing.assert_allclose(
        classifier.predict_proba(["good day", "evening"]), model(ids), atol=1e-6
    )


@pytest.mark.slow
def test_a_label_only_in_the_test_part_counts_as_wrong(tmp_path):
    x = np.concatenate([np.zeros((20, 4, 1)), np.ones((20, 4, 1))])
    y = np.repeat(["low", "high"], 20)
    test = (np.array([[[0.0]] * 4, [[1.0]] * 4, [[1.0]] * 4]), np.array(["low", "high", "new"]))
    with pytest.warns(UserWarning, match="new"):
        data = Dataset.from_arrays(x, y, test=test)
    assert data.labels == ("high", "low") and data.unseen_labels == ("new",)
    run = train(data, tmp_path / "r", units=4, epochs=10, learning_rate=0.05, members=1, quiet=True)
    metrics = run.metrics()
    assert metrics["test"]["accuracy"] == pytest.approx(2 / 3)
    assert np.isfinite(metrics["test"]["loss"])
    assert metrics["labels"]["new"] == {"precision": 0, "recall": 0, "f1": 0, "support": 1}
    assert run.labels() == ("high", "low")
    assert Classifier.load(run).predict(np.ones((1, 4, 1))) == ["high"]
    assert Classifier.load(str(run)).predict(np.zeros((1, 4, 1))) == ["low"]
    assert evaluate(run, data) == metrics
    with pytest.raises(InputError, match="was in memory and cannot be read again; give evaluate"):
        evaluate(run)


@pytest.mark.slow
def test_the_run_of_another_task_is_named(text_run):
    with pytest.raises(InputError, match="made for another task: found generator; expected class"):
        Classifier.load(text_run)


@pytest.mark.slow
def test_evaluate_takes_a_path_and_names_a_run_json_of_another_task(digit_run, tmp_path):
    assert evaluate(str(digit_run)) == digit_run.metrics()
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(digit_run.path, copy)
    text = (copy / "run.json").read_text()
    (copy / "run.json").write_text(text.replace('"classifier"', '"generator"'))
    with pytest.raises(InputError):
        evaluate(copy)
