"""A training that was stopped anywhere goes on as if nothing had happened.

scripts/faults.py kills trainings in processes of their own, and breaks their files by the thousand.
"""

import contextlib
import json
import os
import shutil
import signal

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from conftest import invoke, load_script, refused

from kerasrnn import InputError, evaluate, list_runs, open_run
from kerasrnn.cli import main
from kerasrnn.files import CHECKSUMS, check_sum, locked, read_json, writing_together
from kerasrnn.training import resume

faults = load_script("fault_tasks")
DIGITS = ["digits", "--units", "4", "--cell", "simple", "--unidirectional", "--batch-size", "256"]
DIGITS += ["--schedule", "constant", "-q"]
_LAST = "state.npz"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The files of the tasks."""
    folder = tmp_path_factory.mktemp("data")
    faults.make_data(folder)
    return folder


@pytest.fixture
def here(data, monkeypatch):
    monkeypatch.chdir(data)
    return data


def afresh(*words, code=0):
    """The result of a command whose layers have the names that they have in a new process."""
    keras.backend.clear_session()
    return invoke(*words, code=code)


def train_until(monkeypatch, words, run, place, number, strike):
    """Run a command in which ``strike`` is called where a place is met the n-th time."""
    with monkeypatch.context() as patches:
        faults.Faults(str(run), place, number, strike).install(patches.setattr)
        return afresh(*words, code=130)


def press(_):
    os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A training of four epochs, as a path."""
    run = tmp_path_factory.mktemp("whole") / "run"
    afresh("train", *DIGITS, "--epochs", 4, "-o", run)
    return run


@pytest.fixture(scope="module")
def half_made(tmp_path_factory):
    """The same, stopped within its third epoch."""
    run = tmp_path_factory.mktemp("half") / "run"
    words = ["train", *DIGITS, "--epochs", 4, "--checkpoint-every", 4, "-o", run]
    with pytest.MonkeyPatch.context() as monkeypatch:
        train_until(monkeypatch, words, run, "step", 15, press)
    return run


@pytest.fixture
def half(half_made, tmp_path):
    """A copy of it."""
    return shutil.copytree(half_made, tmp_path / "half")


def assert_equal(run, whole):
    """The same numbers, bit for bit, but for what the command said of checkpoints."""
    one, other = faults.content(run), faults.content(whole)
    for found in (one, other):
        del found["run.json"]
    assert faults.differences(one, other) == []


def damage(path):
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole)


@pytest.mark.slow
@pytest.mark.parametrize(
    "task",
    ["carried", "tagger", "series", "sequences", "texts", "numbers", "random", "infiller"],
)
def test_a_training_that_was_stopped_goes_on_with_the_same_numbers(task, here, monkeypatch):
    whole, run = here / f"whole-{task}", here / f"run-{task}"
    afresh(*faults.start_or_resume(task, str(whole)))
    for step in (23, 3)[: 1 if task in ("sequences", "numbers") else 2]:  # which take longest
        train_until(monkeypatch, faults.start_or_resume(task, str(run)), run, "step", step, press)
    afresh(*faults.start_or_resume(task, str(run)))
    assert faults.differences(faults.content(run), faults.content(whole)) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "number"),
    [("half checkpoint", 2), ("half model", 3), ("replace", 17)],
)
def test_a_training_that_ended_while_it_wrote_goes_on_too(
    place, number, whole, tmp_path, monkeypatch
):
    class Gone(KeyboardInterrupt):
        pass

    def strike(_):
        raise Gone

    run = tmp_path / "run"
    words = ["train", *DIGITS, "--epochs", 4, "-o", run]
    train_until(monkeypatch, words, run, place, number, strike)
    afresh("train", "--resume", run, "-q")
    assert_equal(run, whole)


@pytest.mark.slow
def test_the_steps_of_an_epoch_are_kept_where_it_is_stopped_in_validation(
    whole, tmp_path, monkeypatch
):
    from kerasrnn.tasks.classifier import ClassifierTask

    made = ClassifierTask.validator

    def validator(*arguments):
        validate, calls = made(*arguments), []

        def pressed():
            calls.append(1)
            if len(calls) == 2:
                press("validation")
            return validate()

        return pressed

    run = tmp_path / "run"
    with monkeypatch.context() as patches:
        patches.setattr(ClassifierTask, "validator", validator)
        afresh("train", *DIGITS, "--epochs", 4, "-o", run, code=130)
    with np.load(run / _LAST) as file:
        state = json.loads(file["progress"].tobytes())
    assert (state["epoch"], state["step"]) == (1, 6)
    afresh("train", "--resume", run, "-q")
    assert_equal(run, whole)


@pytest.mark.slow
def test_the_checkpoint_before_is_taken_where_the_last_is_damaged(half, whole):
    damage(half / _LAST)
    said = afresh("train", "--resume", half).stderr
    assert "state.npz is damaged" in said and "going on from the checkpoint before it" in said
    assert_equal(half, whole)


@pytest.mark.slow
def test_two_damaged_checkpoints_are_refused(half):
    damage(half / _LAST)
    damage(half / "previous.npz")
    before = {path.name: path.read_bytes() for path in half.iterdir()}
    assert "previous.npz is damaged: found SHA-256" in refused("train", "--resume", half)
    assert {path.name: path.read_bytes() for path in half.iterdir()} == before


@pytest.mark.slow
def test_a_damaged_best_model_is_said_before_the_training_goes_on(half, whole):
    damage(half / "best.keras")
    said = afresh("train", "--resume", half).stderr
    assert "best.keras is damaged" in said
    assert_equal(half, whole)  # a later epoch was better


@pytest.mark.slow
def test_what_the_numbers_mean_is_written_anew(half, whole):
    damage(half / "labels.json")
    afresh("train", "--resume", half)
    assert_equal(half, whole)
    assert open_run(half).labels() == open_run(whole).labels()


@pytest.mark.slow
def test_more_epochs_go_on_from_the_last(whole, tmp_path):
    run = tmp_path / "run"
    afresh("train", *DIGITS, "--epochs", 3, "-o", run)
    assert "is finished; train on with more --epochs" in refused("train", "--resume", run)
    assert "fewer epochs than are done" in refused("train", "--resume", run, "--epochs", 2)
    afresh("train", "--resume", run, "--epochs", 4, "-q")
    assert_equal(run, whole)


@pytest.mark.slow
def test_a_training_that_patience_ended_goes_on_with_more_of_it(tmp_path, monkeypatch):
    """Also where it is stopped again before its next checkpoint."""
    run = tmp_path / "run"
    still = ["--learning-rate", 1e-30, "--patience", 1, "--epochs", 9]
    afresh("train", *DIGITS, *still, "-o", run)
    assert open_run(run).history()["epoch"] == [1, 2]

    def strike(_):
        raise KeyboardInterrupt

    words = ["train", "--resume", run, "--patience", 3, "-q"]
    train_until(monkeypatch, words, run, "half checkpoint", 1, strike)
    assert not open_run(run).finished
    afresh("train", "--resume", run, "-q")
    assert open_run(run).history()["epoch"] == [1, 2, 3, 4]


@pytest.mark.slow
def test_changed_data_is_refused(here, monkeypatch, tmp_path):
    run = tmp_path / "run"
    words = faults.start_or_resume("numbers", str(run))
    train_until(monkeypatch, words, run, "step", 3, press)
    table = here / "numbers.csv"
    text = table.read_text()
    table.write_text(text.replace("0.", "1.", 1))
    assert "has changed: found fingerprint" in refused("train", "--resume", run)
    table.write_text(text)


def test_an_unfinished_run_is_evaluated_and_stays_unfinished(half):
    with pytest.warns(UserWarning, match="is not trained to its end"):
        assert evaluate(half)["test"]["accuracy"] > 0
    assert not open_run(half).finished


def test_a_run_without_an_epoch_stays_unfinished_too(half):
    for name in ("state.npz", "previous.npz", "history.csv"):
        (half / name).unlink()
    with pytest.warns(UserWarning, match="is not trained to its end"):
        evaluate(half)
    assert not open_run(half).finished


def test_one_process_at_a_time(half):
    with locked(half):
        assert f"another process is at work in {half}" in refused("train", "--resume", half)


def test_what_a_killed_process_left_half_written_is_cleared_away(half):
    (half / ".123-best.keras").write_bytes(b"half")
    with locked(half):
        assert not list(half.glob(".*"))


def test_every_file_of_a_run_but_its_pictures_has_a_checksum(whole):
    noted = read_json(whole / CHECKSUMS, dict)
    files = {path.name for path in whole.iterdir() if path.suffix not in (".png", ".html")}
    assert {*noted} == files - {CHECKSUMS}


@pytest.mark.parametrize("name", ["run.json", "metrics.json", "history.csv"])
def test_a_damaged_file_is_named_once_and_the_others_are_listed(whole, workplace, name):
    for number in range(2):
        shutil.copytree(whole, workplace / f"runs/{number}")
    path = workplace / "runs/0" / name
    path.write_bytes(path.read_bytes().replace(b"0", b"1", 1))
    result = invoke("runs", "--json")
    assert f"{name} is damaged" in result.stderr
    assert "runs/1" in result.stdout and "runs/0" not in result.stdout


def test_an_unreadable_run_is_no_run_with_a_warning(workplace):
    (workplace / "runs/a").mkdir(parents=True)
    (workplace / "runs/a/run.json").write_text("{")
    with pytest.warns(UserWarning, match="broken JSON"):
        assert list_runs() == []


def test_a_damaged_file_does_not_become_a_good_one_when_it_is_replaced(tmp_path):
    """Where a process is killed between the checksums and the file."""
    with writing_together(tmp_path, "a") as (path,):
        path.write_text("1")
    (tmp_path / "a").write_text("damaged")
    with (
        contextlib.suppress(ZeroDivisionError),
        pytest.MonkeyPatch.context() as patches,
        writing_together(tmp_path, "a") as (path,),
    ):
        path.write_text("2")
        replace = os.replace

        def killed(new, place):
            if os.path.basename(place) == "a":
                raise ZeroDivisionError
            replace(new, place)

        patches.setattr(os, "replace", killed)
    with pytest.raises(InputError, match="a is damaged"):
        check_sum(tmp_path / "a")


@pytest.mark.slow
def test_a_tagger_is_finished_once(here, tmp_path, monkeypatch):
    """Ended between its last model, with labels chosen together, and its evaluation."""
    from kerasrnn import training

    run = tmp_path / "run"
    with monkeypatch.context() as patches:
        patches.setattr(training, "draw_history", lambda run: press(run))
        afresh(*faults.start_or_resume("tagger", str(run)), code=130)
    before = faults.saved_weights(run / "best.keras")
    resume(run, quiet=True)
    after = faults.saved_weights(run / "best.keras")
    assert faults.differences(before, after) == [] and b"LabelPairs" in after["config"]
    assert np.isfinite(open_run(run).metrics()["test"]["loss"])


FILES = ["run.json", "labels.json", "history.csv", "metrics.json", "best.keras", CHECKSUMS]


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES)
def test_a_damaged_file_is_named_or_not_needed(file, digit_run, workplace):
    """Each verb gives the answer that it gave, or one line and exit code 2."""
    words = [["predict", "run", "digits"], ["plot", "run", "--json"], ["evaluate", "run", "--json"]]
    shutil.copytree(digit_run.path, workplace / "run")
    answers = [invoke(*verb).stdout for verb in words]
    damage(workplace / "run" / file)
    for verb, answer in zip(words, answers, strict=True):
        result = CliRunner().invoke(main, verb)
        assert "Traceback" not in result.stderr
        if result.exit_code:
            assert result.exit_code == 2 and result.stderr.startswith("kerasrnn: ")
            assert file in result.stderr or CHECKSUMS in result.stderr
        else:
            assert result.stdout == answer


@pytest.mark.slow
def test_a_damaged_file_of_an_export_is_named(tiny_exports, workplace):
    shutil.copytree(tiny_exports / "tagger", workplace / "export")
    answer = invoke("predict", "export", "good day").stdout
    for path in sorted(path for path in (workplace / "export").rglob("*") if path.is_file()):
        whole = path.read_bytes()
        damage(path)
        if path.name == "model_card.md":  # which nothing reads
            assert invoke("predict", "export", "good day").stdout == answer
        else:
            said = refused("predict", "export", "good day")
            assert path.name in said or "signature.json" in said
        path.write_bytes(whole)
