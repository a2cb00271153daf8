"""``kerasrnn tune``: studies, their trials, and what ends them."""

import json
import os
import shlex
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import invoke, refused

pytest.importorskip("optuna")

from kerasrnn import Classifier, InputError, load_dataset, open_run, studies, tune, tuning
from kerasrnn.ranges import WIDEST, parse_range, search_space, show_range, usual_ranges

FIXED = {"cell": "simple", "bidirectional": False, "stem": "none", "batch_size": 48, "members": 1}
TINY = FIXED | {"quiet": True}
UNITS = {"search": [], "ranges": {"units": (3, 9), "learning_rate": (1e-3, 1e-1)}}


@pytest.fixture
def data(ragged):
    return load_dataset(ragged, validation_split=0.2)


def scores(folder):
    """The lowest mean of three validation losses in a row of each run of a study."""
    found = {}
    for path in folder.glob("trial-*"):
        losses = open_run(path).history()["val_loss"]
        means = [np.mean(losses[max(0, end - 3) : end]) for end in range(1, len(losses) + 1)]
        found[path] = min(means)
    return found


@pytest.mark.slow
def test_the_best_trial_has_the_lowest_validation_loss_and_is_evaluated_alone(data, tmp_path):
    found = tune(data, tmp_path / "study", trials=3, epochs=4, **UNITS, **TINY)
    expected = scores(tmp_path / "study")
    assert {trial.run: trial.score for trial in found.trials} == pytest.approx(expected)
    assert found.best.path == min(expected, key=expected.get) == found.trials[0].run
    evaluated = [path for path in expected if (path / "metrics.json").exists()]
    assert evaluated == [found.best.path] and "test" in found.best.metrics()
    for trial in found.trials:
        info = open_run(trial.run).info
        assert info["trial"]["state"] == trial.state and info["trial"]["score"] == trial.score
        assert info["options"]["units"] == [trial.options["units"]]
        assert info["options"]["cell"] == "simple" and info["options"]["epochs"] == 4
        assert (info["options"]["bidirectional"], info["seed"]) == (False, 0)
    best = found.trials[0].options
    assert found.options == {"epochs": 4} | FIXED | best | {"units": (best["units"],)}


@pytest.mark.slow
def test_a_study_that_goes_on_is_one_that_never_stopped(data, tmp_path):
    def search(name, trials):
        found = tune(data, tmp_path / name, trials=trials, epochs=1, **UNITS, **TINY)
        return {trial.number: trial.options for trial in found.trials}

    before = search("a", 1)
    assert before[0]["learning_rate"] == 0.005  # the default; 50 units are not in their range
    after = search("a", 2)
    assert sorted(after) == [0, 1] and before.items() <= after.items()
    assert after[0] != after[1]
    assert search("a", 2) == after == search("b", 2)


@pytest.mark.slow
def test_a_study_of_something_else_is_refused(data, ragged, tmp_path):
    made = {"trials": 1, "epochs": 1, **UNITS, **TINY}
    tune(data, tmp_path / "study", **made)
    with pytest.raises(InputError, match=r"other options: found .*epochs 2.*; expected .*epochs 1"):
        tune(data, tmp_path / "study", **made | {"epochs": 2})
    with pytest.raises(InputError, match="other ranges"):
        tune(data, tmp_path / "study", **made | {"ranges": {"units": (3, 10)}})
    with pytest.raises(InputError, match="other data"):
        tune(load_dataset(ragged, validation_split=0.3), tmp_path / "study", **made)
    with pytest.raises(InputError, match="exists already and is no study"):
        tune(data, tmp_path, **made)
    (tmp_path / "study" / studies.JOURNAL).write_text('{"op_code": 0, "study')
    with pytest.raises(InputError, match="damaged study"):
        tune(data, tmp_path / "study", **made)


def test_a_study_needs_a_validation_part_and_good_options(ragged, data, tmp_path):
    with pytest.raises(InputError, match="no validation part"):
        tune(load_dataset(ragged, validation_split=0), tmp_path / "study", **TINY)
    with pytest.raises(InputError, match="no such option: found sequence_length"):
        tune(data, tmp_path / "study", sequence_length=4, **TINY)
    with pytest.raises(InputError, match="epochs out of range"):
        tune(data, tmp_path / "study", epochs=0, **UNITS, **TINY)
    assert not (tmp_path / "study").exists()


@pytest.mark.slow
def test_layers_repeat_the_units(data, tmp_path):
    found = tune(
        *(data, tmp_path / "a"),
        **{"search": ["layers"], "ranges": {"layers": [2]}, "trials": 3},
        **{"units": 3, "epochs": 1},
        **TINY,
    )
    assert found.options["units"] == (3, 3) and "layers" not in found.options
    (only,) = found.trials  # others would have repeated it
    assert only.options == {"layers": 2}
    assert sorted(path.name for path in found.path.iterdir()) == [studies.JOURNAL, "trial-0"]


@pytest.mark.slow
def test_a_pruned_trial_leaves_a_run_in_order(data, tmp_path, monkeypatch):
    monkeypatch.setattr("optuna.trial.Trial.should_prune", lambda trial: trial.number == 1)
    found = tune(data, tmp_path / "study", trials=2, epochs=3, **UNITS, **TINY)
    _, pruned = found.trials
    assert (pruned.number, pruned.state, pruned.epochs) == (1, "pruned", 1)
    run = open_run(pruned.run)
    assert run.info["trial"]["state"] == "pruned" and len(run.history()["loss"]) == 1
    assert (run.path / "loss.png").exists() and not run.metrics()
    assert len(Classifier.load(run).predict(data.test.x, data.test.lengths)) == len(data.test)


@pytest.mark.slow
def test_trials_that_repeat_a_pruned_one_are_not_made(data, tmp_path, monkeypatch):
    monkeypatch.setattr("optuna.trial.Trial.should_prune", lambda trial: trial.params["layers"] > 1)
    made = {"search": ["layers"], "ranges": {"layers": [1, 2]}, "trials": 6, "epochs": 2}
    found = tune(data, tmp_path / "study", units=3, **made, **TINY)
    assert [(trial.options["layers"], trial.state) for trial in found.trials] == [
        (1, "complete"),
        (2, "pruned"),
    ]


@pytest.mark.slow
def test_time_ends_a_trial_after_its_epoch_and_the_study(data, tmp_path, monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr(tuning, "time", SimpleNamespace(time=lambda: next(clock)))
    made = {"trials": 9, "epochs": 99, **UNITS, **TINY}
    found = tune(data, tmp_path / "study", max_minutes=4 / 60, **made)
    (trial,) = found.trials
    assert trial.state == "complete" and 1 <= trial.epochs <= 4


@pytest.mark.slow
def test_a_loss_that_is_not_finite_fails_a_trial_and_not_the_study(data, tmp_path, monkeypatch):
    run_training = tuning.run_training

    def fails_first(data, settings, path, *, callbacks, **others):
        if path.name == "trial-0":
            callbacks[0].on_train_begin()
            raise InputError("the loss is nan in epoch 1")
        return run_training(data, settings, path, callbacks=callbacks, **others)

    monkeypatch.setattr(tuning, "run_training", fails_first)
    found = tune(data, tmp_path / "study", trials=2, epochs=1, **UNITS, **TINY)
    assert [trial.state for trial in found.trials] == ["complete", "failed"]


@pytest.mark.slow
def test_ctrl_c_leaves_a_study_that_goes_on(data, tmp_path, monkeypatch):
    made = {"trials": 2, "epochs": 2, **UNITS, **TINY}

    follow = tuning._Judge.on_epoch_end

    def press(judge, epoch, logs=None):
        follow(judge, epoch, logs)
        if epoch == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(tuning._Judge, "on_epoch_end", press)
        tune(data, tmp_path / "study", **made)
    stopped = open_run(tmp_path / "study" / "trial-0")
    assert stopped.info["trial"]["state"] == "interrupted"
    assert len(stopped.history()["loss"]) == 1 and stopped.model_path.exists()
    assert {trial.number for trial in tune(data, tmp_path / "study", **made).trials} == {1, 2}


def test_trials_of_dead_processes_do_not_count(tmp_path):
    study, space = studies.open_study(tmp_path, {}, {}), {"units": (3, 9)}
    assert studies.count(study) == 0
    trial = studies.ask(study, space, 0)
    assert studies.count(study) == 1 and studies.count(study, before=trial.number) == 0
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], stdout=-1)
    trial.set_user_attr("process", [os.uname().nodename, int(dead.stdout)])
    assert studies.count(study) == 0


@pytest.mark.slow
def test_two_processes_share_a_study(data, tmp_path):
    made = {"trials": 4, "epochs": 1, **UNITS, **TINY}
    found = tune(data, tmp_path / "study", parallel=2, **made)
    assert sorted(trial.number for trial in found.trials) == [0, 1, 2, 3]
    assert len({json.dumps(trial.options) for trial in found.trials}) == 4
    with pytest.raises(InputError, match="epochs out of range"):
        from_memory = type(data).from_arrays(
            data.train.x[:, :2], data.train.y, validation_split=0.2
        )
        tune(from_memory, tmp_path / "other", parallel=2, **made | {"epochs": 0})


PLAIN = ["--cell", "simple", "--unidirectional", "--stem", "none", "--members", "1"]


@pytest.mark.slow
def test_a_command_that_trains_like_the_best_is_printed(ragged, workplace):
    words = "--search units,dropout --range units=3,4 --trials 2 --epochs 1 --seed 5"
    result = invoke("tune", ragged, *words.split(), *PLAIN, "-o", "study", "--json")
    said = json.loads(result.stdout)
    assert said["run"] == said["trials"][0]["run"] and "test" in said
    assert "cut off to judge" in result.stderr or "trial 1" in result.stderr
    command = shlex.split(said["command"])
    assert command[:3] == ["kerasrnn", "train", str(ragged)] and command[-2:] == ["--seed", "5"]
    invoke(*command[1:], "-o", "run")
    trained = open_run("run").info["options"]
    best = open_run(said["run"]).info["options"]
    assert {name: trained[name] for name in said["options"]} == said["options"]
    assert trained["units"] == best["units"]
    shown = invoke("tune", ragged, *words.split(), *PLAIN, "-o", "study", "-q").stdout
    assert said["command"] in shown and "2 trials: " in shown


BAD = {
    "--range foo=1:2": "no option to search: found foo",
    "--range units=abc": "no range of units: found abc; expected LOW:HIGH or choices within 1:4096",
    "--range learning_rate=1e-2:1e-4": "no range of learning_rate: found 0.01:0.0001",
    "--range dropout=0:2": "no range of dropout: found 0:2",
    "--range units=1.5:3": "no range of units: found 1.5:3",
    "--range cell=lstm,foo": "no range of cell: found lstm,foo; expected choices within lstm,gru",
    "--range units": "no range: found units; expected NAME=LOW:HIGH or NAME=CHOICE,CHOICE,…",
    "--range units=1:2:3": "no range: found units=1:2:3",
    "--search foo": "no option to search: found foo",
    "--search units --units 8": "searched and has one value: found units",
    "--range sequence_length=8:16": "no option to search: found sequence_length",
}


@pytest.mark.parametrize("words", BAD)
def test_a_bad_range_is_one_line(words):
    assert BAD[words] in refused("tune", "digits", *words.split())


def test_a_missing_optuna_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    line = refused("tune", "digits", "--search", "units")
    assert line == "kerasrnn: tune needs Optuna; pip install 'kerasrnn[tune]'"


def test_usual_ranges_are_ranges_of_options_that_the_task_has():
    cases = [
        ("classifier", None),
        ("classifier", "texts"),
        ("regressor", None),
        ("regressor", "series"),
        ("tagger", None),
        ("generator", None),
        ("infiller", None),
    ]
    for case in cases:
        usual = usual_ranges(*case)
        assert search_space(*case) == usual
        assert set(search_space(*case, fixed=["units"])) == {*usual} - {"units"}
        for name, found in usual.items():
            assert parse_range(f"{name}={show_range(found)}") == (name, found), name
    assert not {*WIDEST} - {n for case in cases for n in search_space(*case, search=allowed(case))}


def allowed(case):
    from kerasrnn import options

    tables = options.tables(*case)[1:]
    return [name for name in WIDEST if any(name in table for table in tables)] + ["layers"]
