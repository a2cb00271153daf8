"""What ends a training, and what is written while it lasts."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

from kerasrnn import Dataset, InputError, train
from kerasrnn.fitting import optimizers
from kerasrnn.fitting.optimizers import TimeLimit

SMALL = {"units": 3, "cell": "simple", "bidirectional": False, "stem": "none", "pooling": "last"}
SMALL |= {"members": 1}


def sequences(number=40):
    x = np.random.default_rng(0).normal(size=(number, 4, 1))
    return Dataset.from_arrays(x, x.sum((1, 2)) > 0, validation_split=0.25)


class Counter(int):
    """A number of steps that can be raised, as ``optimizer.iterations``."""

    def assign(self, number):
        self.model.optimizer.iterations = counted(self.model, number)

    def assign_add(self, more):
        self.assign(self + more)


def counted(model, number):
    counter = Counter(number)
    counter.model = model
    return counter


def made(monkeypatch, seconds, steps, each, first=0.0, before=None):
    """How far the schedule is after each step that is made; each step takes ``each`` seconds.

    before: the state of a training that goes on, whose schedule is over.
    """
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(optimizers.time, "monotonic", lambda: clock.now)
    limit = TimeLimit(seconds, steps)
    model = SimpleNamespace(stop_training=False, optimizer=SimpleNamespace())
    model.optimizer.iterations = counted(model, 0 if before is None else steps)
    limit.set_model(model)
    if before is not None:
        limit.restore(before)
    reached = []
    while not model.stop_training and len(reached) < steps:
        limit.on_train_batch_begin(len(reached))
        clock.now += first if not reached and first else each
        model.optimizer.iterations = counted(model, model.optimizer.iterations + 1)
        limit.on_train_batch_end(len(reached))
        reached.append(int(model.optimizer.iterations))
    return reached, clock.now


def test_with_enough_time_no_step_is_left_out(monkeypatch):
    reached, _ = made(monkeypatch, seconds=101, steps=100, each=1)
    assert reached == [*range(1, 101)]


@pytest.mark.parametrize("first", [0, 20])
def test_with_too_little_time_the_schedule_ends_with_it(monkeypatch, first):
    reached, end = made(monkeypatch, seconds=100, steps=1000, each=1, first=first)
    assert end <= 101 and reached[-1] >= 990
    half = len(reached) // 2
    assert reached[half] == pytest.approx(500, abs=30)  # evenly
    assert len(reached) == pytest.approx(100 - first, abs=2)


def test_with_more_time_the_schedule_goes_on_from_where_that_puts_it(monkeypatch):
    before = {"seconds": 100, "owed": 0.3}
    reached, _ = made(monkeypatch, 400, steps=1000, each=1, before=before | {"limit": 100})
    assert reached[1] == pytest.approx(250, abs=9) and reached[-1] >= 990
    assert len(reached) == pytest.approx(300, abs=3)
    reached, _ = made(monkeypatch, 400, steps=1000, each=1, before=before | {"limit": 400})
    assert len(reached) <= 2


@pytest.mark.slow
def test_a_training_keeps_its_time(tmp_path):
    run = train(sequences(), tmp_path / "r", epochs=5000, max_minutes=0.05, quiet=True, **SMALL)
    rates = run.history()["learning_rate"]
    assert len(rates) < 5000 and run.model_path.name == "best.keras"
    assert run.info["options"]["max_minutes"] == 0.05


def test_patience_ends_a_training_that_gets_no_better(tmp_path):
    options = {"learning_rate": 1e-30, "patience": 3, "quiet": True} | SMALL
    run = train(sequences(), tmp_path / "r", epochs=50, **options)
    assert run.history()["epoch"] == [1, 2, 3, 4]


@pytest.mark.slow
def test_of_many_short_epochs_some_are_written_and_said(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr("kerasrnn.fitting.recorder._SHARE", 1e9)  # so that none is long enough
    save, saved = keras.Model.save, []
    monkeypatch.setattr(keras.Model, "save", lambda *given: saved.append(given) or save(*given))
    data = sequences(10)
    data = Dataset.from_arrays(
        data.train.x, data.train.y, validation_split=0, test=(data.test.x, data.test.y)
    )
    run = train(data, tmp_path / "r", epochs=105, **SMALL)
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("epoch ")]
    assert len(lines) == 53 and lines[0].startswith("epoch 2/105")
    assert lines[-1].startswith("epoch 105/105")
    assert len(saved) == 2  # the first and the last
    assert run.history()["epoch"] == [*range(1, 106)]
    best, last = ((run.path / name).read_bytes() for name in ("best.keras", "last.keras"))
    assert best == last  # without validation the last epoch counts


@pytest.mark.parametrize("options", [{"patience": -1}, {"max_minutes": 0}])
def test_limits_out_of_range(options, tmp_path):
    with pytest.raises(InputError, match="out of range"):
        train(sequences(), tmp_path / "r", quiet=True, **options)
    assert not (tmp_path / "r").exists()
