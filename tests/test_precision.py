"""Precision, determinism, TensorBoard, and where runs are."""

import sys
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
from conftest import invoke, refused

from kerasrnn import (
    Classifier,
    Dataset,
    InputError,
    build_classifier,
    build_generator,
    build_tagger,
    list_runs,
    load_model,
    resume,
    train,
)
from kerasrnn.runs import make_directory

FAST = {"epochs": 2, "units": 4, "batch_size": 16, "members": 1, "quiet": True}
MIXED = ("mixed_bfloat16", "mixed_float16")


def sequences():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 12, 3)).astype("float32"), np.arange(60) % 3
    return Dataset.from_arrays(x + y[:, None, None], y, name="steps")


@pytest.mark.slow
@pytest.mark.parametrize(("cell", "precision"), [("lstm", MIXED[0]), ("gru", MIXED[1])])
def test_16_bits_give_what_32_do_to_their_precision(precision, cell):
    x = np.random.default_rng(0).normal(size=(5, 9, 3)).astype("float32")
    outputs = []
    for one in ("float32", precision):
        keras.utils.set_random_seed(0)
        model = build_classifier(
            (9, 3), num_classes=4, units=(8, 6), cell=cell, stem="fcn", precision=one
        )
        assert model.output.dtype == "float32"
        assert {weight.dtype for weight in model.weights} == {"float32"}
        outputs.append(model.predict(x, verbose=0))
    assert 0 < abs(outputs[0] - outputs[1]).max() < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("precision", MIXED)
def test_padding_changes_nothing_in_16_bits(precision):
    model = build_tagger(num_labels=3, vocabulary_size=9, units=4, precision=precision)
    ids = np.array([[3, 4, 5, 0, 0]])
    whole, short = (model.predict(x, verbose=0) for x in (ids, ids[:, :3]))
    assert np.array_equal(whole[:, :3], short)


def test_an_unknown_precision():
    with pytest.raises(InputError, match="unknown precision: found .float8.; expected float32"):
        build_generator(9, precision="float8")


@pytest.mark.slow
def test_a_training_in_16_bits_learns_resumes_and_predicts(tmp_path):
    precision = "mixed_float16"  # the one that scales its loss
    data, options = sequences(), FAST | {"stem": "none", "precision": precision}
    options |= {"schedule": "constant"}
    with pytest.warns(UserWarning, match=f"{precision} on a CPU, where float32 is faster"):
        longer = train(data, tmp_path / "l", **options | {"epochs": 3})
    assert longer.history()["loss"][1] < longer.history()["loss"][0]
    with pytest.warns(UserWarning):
        short = train(data, tmp_path / "s", **options)
        resume(short, data, epochs=3, quiet=True)
    same = ("epoch", "loss", "accuracy")
    assert all(short.history()[name] == longer.history()[name] for name in same)
    weights = zip(load_model(short).get_weights(), load_model(longer).get_weights(), strict=True)
    assert all(np.array_equal(a, b) for a, b in weights)
    assert Classifier.load(short).predict_proba(data.test.x).dtype == np.float32


@pytest.mark.slow
def test_deterministic_is_asked_of_tensorflow(tmp_path, monkeypatch):
    import tensorflow as tf

    asked = []
    monkeypatch.setattr(tf.config.experimental, "enable_op_determinism", lambda: asked.append(True))
    run = train(sequences(), tmp_path / "r", deterministic=True, **FAST)
    assert asked == [True] and run.info["options"]["deterministic"] is True


def test_tensorboard_without_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(InputError, match=r"need it; pip install 'kerasrnn\[tensorboard\]'"):
        train(sequences(), tmp_path / "r", tensorboard=True, **FAST)
    assert not (tmp_path / "r").exists()


@pytest.mark.slow
def test_tensorboard_gets_every_epoch(tmp_path):
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run = train(sequences(), tmp_path / "r", tensorboard=True, **FAST)
    found = accumulators.EventAccumulator(str(run.path / "tensorboard" / "train")).Reload()
    events = found.Tensors("epoch_loss")
    values = [
        float(
            np.frombuffer(event.tensor_proto.tensor_content, "float32")[0]
            if event.tensor_proto.tensor_content
            else event.tensor_proto.float_val[0]
        )
        for event in events
    ]
    assert values == pytest.approx(run.history()["loss"])


@pytest.mark.slow
def test_runs_may_be_elsewhere(workplace, monkeypatch):
    monkeypatch.setenv("KERASRNN_RUNS", "elsewhere")
    run = train(sequences(), **FAST)
    assert str(run) == "elsewhere/steps-classifier-1"
    assert list_runs() == [run] and list_runs("runs") == []
    assert invoke("runs", "--runs-dir", "nowhere").stdout == ""
    assert "elsewhere/steps" in invoke("runs", "--runs-dir", "elsewhere").stdout
    assert "no run in nowhere/" in refused("evaluate", "--runs-dir", "nowhere")


def test_numbers_of_runs_are_made_once(workplace):
    with ThreadPoolExecutor(8) as pool:
        made = pool.map(lambda _: make_directory("d", "classifier", None).name, range(40))
    assert sorted(made) == sorted(f"d-classifier-{number}" for number in range(1, 41))
