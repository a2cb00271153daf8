import contextlib
import gc
import json
import os
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf
from factories import RUN_FILES

from kerasrnn import (
    Classifier,
    InputError,
    evaluate,
    load_corpus,
    load_dataset,
    load_model,
    open_run,
    resume,
    train,
)
from kerasrnn.fitting.optimizers import OPTIMIZERS, make_optimizer
from kerasrnn.options import FIT
from kerasrnn.tasks import task_of
from kerasrnn.tasks.scaling import scaling

SMALL = {"units": 4, "cell": "simple", "bidirectional": False, "members": 1, "quiet": True}


@pytest.fixture
def at_batch(monkeypatch):
    """Call a function at the end of a batch of an epoch of the next training."""
    from kerasrnn import training

    def arm(epoch, batch, action):
        class Armed(training.Recorder):
            def on_epoch_begin(self, number, logs=None):
                super().on_epoch_begin(number, logs)
                self.number = number

            def on_train_batch_end(self, index, logs=None):
                if (self.number, index) == (epoch, batch):
                    action(self.model)

        monkeypatch.setattr(training, "Recorder", Armed)

    return arm


def _in_memory():
    tf.compat.v1.get_default_graph()  # which TensorFlow makes once and keeps
    gc.collect()
    return [x for x in gc.get_objects() if isinstance(x, keras.Model | tf.Graph)]


@pytest.mark.parametrize("task", ["classifier", "generator", "infiller"])
def test_a_training_leaves_no_model_and_no_graph_in_memory(task, tmp_path):
    text = tmp_path / "text"
    text.write_text("All work and no play makes Jack a dull boy.\n" * 99)
    data = load_dataset() if task == "classifier" else load_corpus(text, task=task)
    before = {id(x) for x in _in_memory()}
    train(data, tmp_path / "run", units=4, epochs=1, quiet=True)
    assert [x for x in _in_memory() if id(x) not in before] == []


def test_a_run_holds_everything(digit_run):
    of_labels = {"labels.json", "accuracy.png", "confusion.png"}
    assert {path.name for path in digit_run.path.iterdir()} == RUN_FILES | of_labels
    history = digit_run.history()
    assert list(history) == [
        "epoch",
        "accuracy",
        "loss",
        "val_loss",
        "val_accuracy",
        "learning_rate",
        "seconds",
    ]
    assert history["epoch"] == [1, 2] and history["learning_rate"] == pytest.approx([0.005] * 2)
    info = digit_run.info
    assert info["options"]["units"] == (8, 8) and info["options"]["epochs"] == 2
    assert sum(info["data"]["sizes"].values()) == 1797 and info["seed"] == 0


def test_metrics_are_those_keras_computes_on_the_same_part(digit_run):
    model, test = load_model(digit_run.path), load_dataset("digits").test
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    loss, accuracy = model.evaluate(test.x, test.y, verbose=0)
    metrics = digit_run.metrics()
    assert metrics["test"]["loss"] == pytest.approx(loss, abs=1e-4)
    assert metrics["test"]["accuracy"] == pytest.approx(accuracy)
    best = min(digit_run.history()["val_loss"])
    assert metrics["validation"]["loss"] == pytest.approx(best, abs=1e-4)
    assert metrics["baseline"]["most frequent label"]["accuracy"] == pytest.approx(0.1, abs=0.02)
    assert metrics["baseline"]["1-nearest neighbour"]["accuracy"] > 0.95
    assert set(metrics["labels"]) == set("0123456789")


def test_evaluating_again_gives_the_same_numbers(digit_run):
    before = digit_run.metrics()
    assert evaluate(open_run(digit_run.path)) == before == digit_run.metrics()


@pytest.mark.slow
def test_the_same_seed_gives_the_same_run(digit_run, tmp_path):
    again = train(load_dataset("digits"), tmp_path / "r", epochs=2, units=(8, 8), quiet=True)
    other = train(
        load_dataset("digits"), tmp_path / "s", epochs=2, units=(8, 8), quiet=True, seed=1
    )
    assert again.history()["val_loss"] == digit_run.history()["val_loss"]
    assert other.history()["val_loss"] != digit_run.history()["val_loss"]


@pytest.mark.slow
def test_best_is_the_epoch_of_the_lowest_validation_loss(tmp_path, at_batch):
    def spoil(model):
        head = model.get_layer("head")
        head.set_weights([100 * weight for weight in head.get_weights()])

    at_batch(2, 40, spoil)
    run = train(load_dataset("digits"), tmp_path / "r", epochs=3, **SMALL)
    losses = run.history()["val_loss"]
    assert losses[2] > losses[1] > 0
    assert run.metrics()["validation"]["loss"] == pytest.approx(min(losses), rel=1e-3)


def test_without_a_validation_part(tmp_path):
    run = train(load_dataset("digits", validation_split=0), tmp_path / "r", epochs=1, **SMALL)
    assert "val_loss" not in run.history() and "validation" not in run.metrics()
    assert (run.path / "best.keras").exists()


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_learns_and_is_saved_with_the_model(tmp_path, ragged, optimizer):
    data = load_dataset(ragged)
    run = train(
        data,
        tmp_path / "r",
        epochs=8,
        batch_size=32,
        optimizer=optimizer,
        learning_rate=0.05,
        clip_norm=1.0,
        stem="none",
        **SMALL,
    )
    assert run.history()["loss"][-1] < run.history()["loss"][0]
    saved = keras.models.load_model(run.path / "last.keras").optimizer
    assert isinstance(saved, OPTIMIZERS[optimizer]) and saved.global_clipnorm == 1.0
    assert int(saved.iterations) == 8 * 2


def test_gradients_are_clipped_by_their_global_norm():
    given = FIT["generator"] | {"optimizer": "sgd", "learning_rate": 1.0, "clip_norm": 1.0}
    optimizer = make_optimizer(given, steps=1)
    weights = [keras.Variable([0.0, 0.0]), keras.Variable([0.0])]
    optimizer.apply([np.array([3.0, 0.0]), np.array([4.0])], weights)
    np.testing.assert_allclose(weights[0], [-0.6, 0], rtol=1e-6)
    np.testing.assert_allclose(weights[1], [-0.8], rtol=1e-6)


@pytest.mark.slow
def test_unequal_lengths_train_and_predict_from_raw_input(tmp_path, ragged):
    data = load_dataset(ragged)
    run = train(data, tmp_path / "r", epochs=15, learning_rate=0.05, **SMALL)
    assert run.metrics()["test"]["accuracy"] == 1
    model, part = load_model(run.path), data.test
    predict = Classifier(model, data.labels).predict_proba
    probabilities = predict(part.x, part.lengths)
    longer = np.pad(part.x, [(0, 0), (0, 30), (0, 0)], constant_values=7)
    np.testing.assert_allclose(predict(longer, part.lengths), probabilities, atol=1e-6)
    whole = predict(part.x[:, :2])
    np.testing.assert_allclose(predict(part.x[:, :2], np.full(len(part), 2)), whole, atol=1e-6)


def test_features_of_their_own_units_are_standardised_each_over_its_real_steps(ragged):
    data = load_dataset(ragged)
    part = data.train
    real = np.arange(part.x.shape[1]) < part.lengths[:, None]
    scaled = np.array(scaling(data.train, data.one_scale)(part.x))[real]
    np.testing.assert_allclose(scaled.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(0), 1, atol=1e-5)


def test_pixels_are_standardised_together():
    data = load_dataset("digits")
    scaled = np.array(scaling(data.train, data.one_scale)(data.train.x))
    assert abs(scaled.mean()) < 1e-5 and scaled.std() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(
        scaled, (data.train.x - data.train.x.mean()) / data.train.x.std(), atol=1e-5
    )


def test_a_constant_feature_is_not_blown_up_and_a_small_one_not_lost(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 5, 3))
    x[:, :, 1] = 0.1
    x[:, :, 2] *= 1e-6
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(40) % 2)
    data = load_dataset(tmp_path / "a.npz")
    layer = scaling(data.train, data.one_scale)
    np.testing.assert_allclose(np.array(layer(np.full((1, 1, 3), 0.6)))[0, 0, 1], 0.5, rtol=1e-5)
    assert np.array(layer(data.train.x))[:, :, 2].std() == pytest.approx(1, rel=1e-3)


@pytest.mark.slow
def test_an_epoch_a_line_on_stderr_and_nothing_on_stdout(tmp_path, capsys):
    train(load_dataset("digits"), tmp_path / "r", epochs=2, **{**SMALL, "quiet": False})
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if line.startswith("epoch ")]
    assert [line.split()[1] for line in lines] == ["1/2", "2/2"]
    assert "val_accuracy" in lines[0] and "simple_1" in captured.err
    assert captured.err.startswith("digits: 1,293 training, ") and captured.out == ""


def test_quiet_is_quiet(tmp_path, capsys):
    train(load_dataset("digits"), tmp_path / "r", epochs=1, **SMALL)
    assert capsys.readouterr() == ("", "")


@pytest.mark.slow
@pytest.mark.parametrize(("epoch", "finished"), [(0, 0), (2, 2)])
def test_ctrl_c_leaves_a_usable_run(tmp_path, at_batch, epoch, finished):
    at_batch(epoch, 3, lambda _: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        train(load_dataset("digits"), tmp_path / "r", epochs=4, **SMALL)
    run = open_run(tmp_path / "r")
    assert len(run.history().get("epoch", [])) == finished
    assert evaluate(run)["test"]["accuracy"] > 0
    assert (run.path / "loss.png").exists() == (finished > 0)
    assert not list(run.path.glob(".*"))


def test_ctrl_c_while_files_are_written_waits_until_they_agree(tmp_path, monkeypatch):
    from kerasrnn.fitting import recorder

    write = recorder.history_text

    def pressed(rows):
        os.kill(os.getpid(), signal.SIGINT)
        return write(rows)

    monkeypatch.setattr(recorder, "history_text", pressed)
    with pytest.raises(KeyboardInterrupt):
        train(load_dataset("digits"), tmp_path / "r", epochs=4, **SMALL)
    run = open_run(tmp_path / "r")
    assert run.history()["epoch"] == [1] and run.model_path.name == "best.keras"


def test_a_full_disk_at_a_later_epoch_keeps_the_earlier_ones(tmp_path, monkeypatch):
    save, calls = keras.Model.save, []

    def full(self, path):
        calls.append(path)
        if len(calls) > 1:
            path.write_bytes(b"half")
            raise OSError(28, "No space left on device")
        save(self, path)

    monkeypatch.setattr(keras.Model, "save", full)
    with pytest.raises(InputError, match="cannot write .*r: found No space left"):
        train(load_dataset("digits"), tmp_path / "r", epochs=3, **SMALL)
    run = open_run(tmp_path / "r")
    assert run.history()["epoch"] == [1] and not list(run.path.glob(".*"))
    monkeypatch.undo()
    evaluate(run)


def test_a_loss_that_is_not_finite_ends_the_training_and_leaves_nothing(tmp_path):
    with pytest.raises(InputError, match="loss is inf in step 2 of epoch 1: expected a finite"):
        train(
            load_dataset("digits"),
            tmp_path / "r",
            optimizer="sgd",
            learning_rate=1e38,
            **SMALL,
        )
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    "options",
    [
        {"units": 0},
        {"cell": "rnn"},
        {"epochs": 0},
        {"batch_size": -1},
        {"batch_size": 1.5},
        {"learning_rate": 0},
        {"learning_rate": float("nan")},
        {"optimizer": "lion"},
        {"clip_norm": -1},
        {"dropout": 1.0},
    ],
)
def test_a_bad_option_is_named_before_anything_is_made(tmp_path, options):
    with pytest.raises(InputError, match="expected"):
        train(load_dataset("digits"), tmp_path / "r", **{**SMALL, **options})
    assert list(tmp_path.iterdir()) == []


def test_an_existing_run_is_never_damaged(digit_run):
    before = {path.name: path.read_bytes() for path in digit_run.path.iterdir()}
    with pytest.raises(InputError, match="exists already"):
        train(load_dataset("digits"), digit_run.path, **SMALL)
    assert {path.name: path.read_bytes() for path in digit_run.path.iterdir()} == before


def test_data_of_another_run_is_not_evaluated_as_its_own(digit_run):
    before = (digit_run.path / "metrics.json").read_bytes()
    with pytest.raises(InputError, match="has changed: found fingerprint"):
        evaluate(digit_run, load_dataset("digits", seed=1))
    assert (digit_run.path / "metrics.json").read_bytes() == before


@pytest.mark.slow
def test_changed_data_is_noticed(tmp_path, ragged):
    run = train(load_dataset(ragged), tmp_path / "r", epochs=1, **SMALL)
    arrays = dict(np.load(ragged))
    arrays["x"] += 1
    np.savez(ragged, **arrays)
    with pytest.raises(InputError, match="the data of .* has changed: found fingerprint"):
        evaluate(run)


@pytest.mark.parametrize("shape", [(2, 8, 7), (2, 9, 8)])
def test_sequences_that_do_not_fit_the_model_are_named(shape):
    task, digits = task_of("classifier"), load_dataset("digits")
    settings, _ = task.completed(digits, task.settings({}))
    classifier = Classifier(task.build(digits, settings), digits.labels)
    with pytest.raises(InputError, match=r"found .*; expected x \(n, 8, 8\)"):
        classifier.predict_proba(np.zeros(shape))
    with pytest.raises(InputError, match=r"found x \(2, 8, 8\), lengths \(2\); expected"):
        classifier.predict_proba(np.zeros((2, 8, 8)), np.array([3, 4]))


def test_run_json_is_plain_json(digit_run):
    info = json.loads((digit_run.path / "run.json").read_text())
    assert info["task"] == "classifier" and info["options"]["units"] == [8, 8]


def test_callbacks_of_keras_are_called(tmp_path):
    seen = []
    follow = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(sorted(logs))
    )
    train(load_dataset("digits"), tmp_path / "r", epochs=2, callbacks=[follow], **SMALL)
    assert len(seen) == 2 and "val_accuracy" in seen[0]


@pytest.mark.slow
def test_an_interrupt_that_was_lost_ends_the_training_after_its_step(tmp_path, at_batch):
    def lost(_):
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:  # as Python drops it within a callback from C
            return

    at_batch(1, 3, lost)
    with pytest.raises(KeyboardInterrupt):
        train(load_dataset("digits"), tmp_path / "r", epochs=4, **SMALL)
    assert len(open_run(tmp_path / "r").history()["epoch"]) == 1


def test_an_interrupt_while_the_run_is_made_is_obeyed(tmp_path, monkeypatch):
    from kerasrnn import runs

    write = runs.write_json

    def pressed(path, value):
        if path.name.endswith("-run.json"):
            with contextlib.suppress(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
        write(path, value)

    monkeypatch.setattr(runs, "write_json", pressed)
    with pytest.raises(KeyboardInterrupt):
        train(load_dataset("digits"), tmp_path / "r", epochs=4, **SMALL)
    assert open_run(tmp_path / "r").history() == {}


@pytest.mark.slow
def test_checkpoints_between_the_ends_of_epochs(tmp_path, at_batch):
    class Killed(BaseException):
        pass

    def kill(_):
        raise Killed

    options = SMALL | {"epochs": 2, "checkpoint_every": "4"}
    whole = train(load_dataset("digits"), tmp_path / "whole", **options)
    at_batch(1, 6, kill)
    with pytest.raises(Killed):
        train(load_dataset("digits"), tmp_path / "r", **options)
    with np.load(tmp_path / "r" / "state.npz") as state:
        progress = json.loads(state["progress"].tobytes())
    assert (progress["epoch"], progress["step"]) == (1, 3)  # step 44, of epochs of 41
    at_batch(None, None, kill)
    run = resume(tmp_path / "r", quiet=True)
    assert run.history()["val_loss"] == whole.history()["val_loss"]
