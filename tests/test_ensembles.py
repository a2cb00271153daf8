"""Several trainings of the same data: seeds, folds, and the average of their models."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from statistics import fmean, stdev

import numpy as np
import pytest
from conftest import invoke, refused

from kerasrnn import (
    Classifier,
    Dataset,
    InputError,
    Regressor,
    Sentences,
    Series,
    Tagger,
    Texts,
    build_classifier,
    build_ensemble,
    cross_validate,
    evaluate,
    export,
    load_dataset,
    load_model,
    open_run,
    resume,
    train,
    train_seeds,
)
from kerasrnn.data.parts import cut_missing
from kerasrnn.data.sequences import Part
from kerasrnn.runs import measured
from kerasrnn.training import run_training

FAST = {"epochs": 1, "units": 3, "cell": "simple", "bidirectional": False, "quiet": True}
STEM = FAST | {"stem": "conv", "stem_filters": 4, "members": 1}
WORDS = ["--epochs", "1", "--units", "3", "--cell", "simple", "--unidirectional", "--quiet"]


def noise(n=40, **options):
    """Sequences of two classes."""
    rng, y = np.random.default_rng(0), np.arange(n) % 2
    x = rng.normal(2.0 * y[:, None, None] - 1, 1, (n, 6, 2))
    return Dataset.from_arrays(x, y, **options)


def weights(run):
    return [*map(np.ravel, load_model(run).get_weights())]


def same(one, other):
    return all(map(np.array_equal, weights(one), weights(other)))


def members_mean(whole, predict):
    """The mean of what ``predict`` gives for the predictor of each member."""
    kind = {"classifier": Classifier, "regressor": Regressor, "tagger": Tagger}[whole.task]
    return np.mean([predict(kind.load(run)) for run in whole.runs], axis=0), kind


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    """Runs of three seeds and their average, of sequences of unequal length."""
    y = np.arange(40) % 2
    rng = np.random.default_rng(0)
    lengths = rng.integers(2, 7, 40)
    data = Dataset.from_arrays(
        rng.normal(y[:, None, None], 1, (40, 6, 2)), y, lengths=lengths, validation_split=0.1
    )
    folder = tmp_path_factory.mktemp("seeds")
    return train_seeds(data, folder / "all", seeds=3, ensemble=True, **STEM), data


@pytest.mark.slow
def test_each_seed_is_a_run_as_train_makes_it(seeds, tmp_path):
    whole, data = seeds
    assert [run.path.name for run in whole.runs] == ["seed-0", "seed-1", "seed-2"]
    single = train(data, tmp_path / "single", seed=1, **STEM)
    assert same(whole.runs[1], single) and not same(whole.runs[0], single)
    assert whole.runs[1].metrics() == single.metrics()


@pytest.mark.slow
def test_mean_and_deviation_are_those_of_the_runs(seeds):
    whole, _ = seeds
    for part in ("validation", "test"):
        found = [run.metrics()[part]["loss"] for run in whole.runs]
        expected = {"mean": np.mean(found), "deviation": np.std(found, ddof=1)}
        assert whole.summary[part]["loss"] == pytest.approx(expected)
    assert whole.metrics()["summary"] == whole.summary
    assert {"most frequent label", "1-nearest neighbour"} < whole.summary.keys()


@pytest.mark.slow
def test_the_ensemble_gives_the_mean_of_the_probabilities(seeds, tmp_path):
    whole, data = seeds
    x, lengths = data.test.x.copy(), data.test.lengths
    x[np.arange(6) >= lengths[:, None]] = 1e6  # padding must not count
    mean, kind = members_mean(whole, lambda one: one.predict_proba(x, lengths))
    assert np.abs(kind.load(whole).predict_proba(x, lengths) - mean).max() < 1e-6
    exported = kind.load(export(whole, tmp_path / "export", check=False))
    assert np.abs(exported.predict_proba(x, lengths) - mean).max() < 1e-6
    right = np.array(data.labels)[mean.argmax(-1)] == np.array(data.labels)[data.test.y]
    metrics = whole.metrics()
    assert metrics["test"]["accuracy"] == pytest.approx(right.mean())
    assert metrics["validation"]["loss"] > 0  # all members were cut alike
    assert evaluate(whole, data) == metrics


def test_models_of_different_inputs_or_one_alone_are_no_ensemble():
    models = [build_classifier((None, n), num_classes=2, units=2) for n in (2, 3)]
    with pytest.raises(InputError, match=r"cannot be averaged: found x \(None, None, 2\)"):
        build_ensemble(models)
    with pytest.raises(InputError, match="two or more"):
        build_ensemble(models[:1])


def texts(folder):
    """A table of texts whose words are rare, so that each cut has a vocabulary of its own."""
    rng, rows = np.random.default_rng(0), ["text,label"]
    for number in range(40):
        words = rng.choice([f"w{n}" for n in range(30)], 5)
        rows.append(f"{'good' if number % 2 else 'bad'} {' '.join(words)},{number % 2}")
    (folder / "texts.csv").write_text("\n".join(rows))


@pytest.mark.slow
def test_folds_of_texts_with_vocabularies_of_their_own_are_averaged(workplace):
    texts(workplace)
    words = ["train", "texts.csv", *WORDS, "--folds", "3", "--ensemble"]
    assert "ensemble, test" in invoke(*words).stdout
    whole = open_run("runs/texts-classifier-1")
    sizes = [run.info["data"]["sizes"] for run in whole.runs]
    assert sum(one["validation"] for one in sizes) == 32 and {one["test"] for one in sizes} == {8}
    own = {run.vocabulary().tokens for run in whole.runs}
    assert len(own) == 3 and all(set(tokens) <= set(whole.vocabulary().tokens) for tokens in own)
    asked = ["good w3 w7 w11 never", "w1 w2 w2 bad", ""]
    mean, kind = members_mean(whole, lambda one: one.predict_proba(asked))
    assert np.abs(kind.load(whole).predict_proba(asked) - mean).max() < 1e-6
    exported = kind.load(export(whole, "export", check=False))
    assert np.abs(exported.predict_proba(asked) - mean).max() < 1e-6


@pytest.mark.slow
def test_a_tagger_and_a_regressor_are_averaged(tmp_path):
    rng = np.random.default_rng(0)
    pairs = [[(w, w[0]) for w in rng.choice(["aa", "ab", "ba", "bb", "b"], 4)] for _ in range(24)]
    data = Sentences.from_lists(pairs)
    whole = cross_validate(data, tmp_path / "tagger", folds=2, ensemble=True, **FAST)
    asked = [["aa", "b", "c"], ["ba"]]
    mean, kind = members_mean(whole, lambda one: one.predict_proba(asked))
    assert np.abs(kind.load(whole).predict_proba(asked) - mean).max() < 1e-6
    x = rng.normal(size=(30, 5, 2))
    data = Dataset.from_arrays(x, x.sum((1, 2))[:, None], targets=["sum"])
    options = {"seeds": [3, 8], "ensemble": True, "quantiles": (0.1, 0.9), "members": 3}
    whole = train_seeds(data, tmp_path / "regressor", stem="none", **options, **FAST)
    mean, kind = members_mean(whole, lambda one: one.predict(x))
    assert np.abs(kind.load(whole).predict(x) - mean).max() < 1e-5
    assert whole.metrics()["test"]["rmse"] > 0


@pytest.mark.parametrize("grouped", [False, True])
def test_folds_cover_each_sequence_once_and_keep_groups_together(grouped):
    y, number = np.arange(30) % 3, np.arange(30)
    groups = [str(n // 4) for n in range(30)] if grouped else None
    seen, shares = [], []
    for fold in range(1, 4):
        parts = {part: Part(number[:, None, None], y) for part in ("training", "test")}
        options = {"validation_split": 0.1, "seed": 1, "fold": [fold, 3]}
        cut_missing(parts, options, "here", "sequences", groups)
        off, left = (parts[part].x.ravel().tolist() for part in ("validation", "training"))
        assert not set(off) & set(left) and len(off) + len(left) == 30 and len(parts["test"]) == 30
        if grouped:
            assert not {groups[n] for n in off} & {groups[n] for n in left}
        seen += off
        shares.append(np.bincount(parts["validation"].y, minlength=3).tolist())
    assert sorted(seen) == number.tolist()
    assert grouped or max(map(max, shares)) - min(map(min, shares)) <= 1  # stratified


@pytest.mark.slow
def test_a_fold_is_loaded_again_with_its_run(workplace):
    invoke("train", "digits", *WORDS, "--folds", "2")
    whole = open_run("runs/digits-classifier-1")
    first, second = whole.runs
    assert first.info["data"]["options"]["fold"] == [1, 2]
    before = second.metrics()
    assert evaluate(second) == before and "test" in before
    assert refused("predict", whole, "digits").endswith(
        "holds 2 runs and no model of its own; name one of them, such as "
        "runs/digits-classifier-1/fold-1, or train with --ensemble"
    )
    assert "holds 2 runs" in refused("export", whole)
    invoke("plot")
    assert (whole.path / "loss.png").exists()
    (row,) = json.loads(invoke("runs", "--json").stdout)
    assert row["runs"] == 2 and row["value"] == whole.summary["test"]["accuracy"]
    assert "2 runs" in invoke("runs").stdout and "±" in invoke("runs").stdout


@pytest.mark.slow
def test_seeds_of_the_command_cut_as_seed_does(workplace):
    result = invoke("train", "digits", *WORDS, "--seed", "4", "--seeds", "2", "--json")
    said = json.loads(result.stdout)
    invoke("train", "digits", *WORDS, "--seed", "5", "-o", "single")
    one, single = open_run("runs/digits-classifier-1").runs[1], open_run("single")
    assert same(one, single) and one.metrics() == single.metrics()
    assert one.info["data"]["fingerprint"] == single.info["data"]["fingerprint"]
    found = [open_run(f"{said['run']}/seed-{n}").metrics()["test"]["accuracy"] for n in (4, 5)]
    expected = {"mean": fmean(found), "deviation": stdev(found)}
    assert said["summary"]["test"]["accuracy"] == pytest.approx(expected)


@pytest.mark.slow
def test_processes_give_the_numbers_that_one_gives(seeds, tmp_path):
    whole, data = seeds
    other = train_seeds(data, tmp_path / "parallel", seeds=3, parallel=2, **STEM)
    assert [run.path.name for run in other.runs] == ["seed-0", "seed-1", "seed-2"]
    for one, two in zip(whole.runs, other.runs, strict=True):  # but for the order of sums
        for pair in zip(weights(one), weights(two), strict=True):
            np.testing.assert_allclose(*pair, atol=1e-3)
    found, expected = (run.summary["test"]["loss"]["mean"] for run in (other, whole))
    assert found == pytest.approx(expected, rel=1e-3)


@pytest.mark.slow
def test_ctrl_c_leaves_what_is_finished(workplace):
    words = ["train", "digits", *WORDS[2:-1], "--epochs", "4", "--seeds", "40", "-o", "out"]
    command = [sys.executable, "-m", "kerasrnn", *words, "--parallel", "2"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    while process.poll() is None:
        time.sleep(0.2)
        if os.path.exists("out/run.json") and open_run("out").runs:
            process.send_signal(signal.SIGINT)
            break
    said = process.communicate()[1]
    done = len(open_run("out").runs)
    assert process.returncode == 130 and 0 < done < 40, said
    assert f"stopped: out holds {done} of 40 runs" in said
    assert open_run("out").metrics()["summary"]["test"]


@pytest.mark.slow
def test_a_failing_member_is_named_and_what_is_finished_stays(tmp_path, monkeypatch):
    def fail_second(data, settings, output, **how):
        if how["seed"] == 1:
            raise InputError("the loss is nan in epoch 1")
        return run_training(data, settings, output, **how)

    monkeypatch.setattr("kerasrnn.ensembles.run_training", fail_second)
    with pytest.raises(InputError, match="^seed-1: the loss is nan .*; .*all holds 1 of 3 runs$"):
        train_seeds(noise(), tmp_path / "all", seeds=3, members=1, **FAST)
    assert [run.path.name for run in open_run(tmp_path / "all").runs] == ["seed-0"]
    with pytest.raises(InputError, match="unknown cell"):
        train_seeds(noise(), tmp_path / "other", seeds=3, **FAST | {"cell": "lstn"})
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
def test_what_a_process_refuses_is_one_line(tmp_path):
    with pytest.raises(InputError, match="^seed-[01]: unknown cell: found 'lstn'"):
        train_seeds(noise(), tmp_path / "all", parallel=2, **FAST | {"cell": "lstn"})
    assert not (tmp_path / "all").exists()


def test_what_cannot_be_repeated_is_refused_in_one_line(workplace):
    (workplace / "text.txt").write_text("the cat sat on the mat\n" * 30)
    (workplace / "two.csv").write_text("day,x\n" + "".join(f"{n},{n % 7}\n" for n in range(90)))
    assert "--seeds with --folds" in refused("train", "--seeds", "2", "--folds", "2")
    assert "a single training" in refused("train", "--ensemble")
    assert "a single training" in refused("train", "--parallel", "2")
    assert "--seeds out of range: found 1" in refused("train", "--seeds", "1")
    assert "parallel out of range" in refused("train", "--seeds", "2", "--parallel", "0", *WORDS)
    text = ["train", "text.txt", "--task", "generator", *WORDS]
    assert "which is cut in order" in refused(*text, "--folds", "2")
    assert "token by token" in refused(*text, "--seeds", "2", "--ensemble")
    assert "--backtest" in refused("train", "two.csv", "--horizon", "2", "--folds", "2", *WORDS)
    assert not (workplace / "runs").exists()
    with pytest.raises(InputError, match="too few for so many folds"):
        cross_validate(noise(12), folds=9, **FAST)
    held = Texts.from_lists(["a b", "b"] * 9, [0, 1] * 9, validation=(["a"], [0]))
    with pytest.raises(InputError, match="a validation part of its own; leave --folds out"):
        cross_validate(held, **FAST)
    with pytest.raises(InputError, match="folds of series: found a series"):
        cross_validate(Series.from_arrays(np.arange(90.0), horizon=2, window=8), **FAST)
    with pytest.raises(InputError, match="two or more different"):
        train_seeds(load_dataset("digits"), seeds=[1, 1])
    assert not any((workplace / "runs").iterdir())


@pytest.mark.slow
def test_generators_are_trained_from_seeds(workplace):
    (workplace / "text.txt").write_text("the cat sat on the mat\n" * 30)
    said = invoke("train", "text.txt", *WORDS, "--seeds", "2").stdout
    assert "validation" in said and "±" in said


@pytest.fixture(scope="module")
def averaged(tmp_path_factory):
    """Runs of three seeds on digits and their average."""
    folder, options = tmp_path_factory.mktemp("averaged"), FAST | {"epochs": 2}
    return train_seeds(load_dataset("digits"), folder / "all", seeds=3, ensemble=True, **options)


@pytest.mark.slow
@pytest.mark.parametrize("parallel", [1, 2])
def test_several_trainings_go_on_where_they_were_stopped(averaged, tmp_path, parallel):
    half = open_run(shutil.copytree(averaged, tmp_path / "half"))
    for name in ("metrics.json", "best.keras", "last.keras"):
        (half.path / name).unlink()
    half.write_json({"run.json": half.info | {"members": ["seed-0"]}})
    (half.path / "seed-1" / "metrics.json").unlink()  # trained, but not evaluated
    shutil.rmtree(half.path / "seed-2")
    half = open_run(half.path)
    assert not half.finished and averaged.finished
    again = resume(half, parallel=parallel, quiet=True)
    assert again.finished and [run.path.name for run in again.runs] == [
        "seed-0",
        "seed-1",
        "seed-2",
    ]
    one, other = (measured(run.metrics())["test"] for run in (again, averaged))
    assert one == pytest.approx(other, rel=1e-7)  # sums in another process
    with pytest.raises(InputError, match="of several trainings and finished; go on with one of"):
        resume(again)
