import json
import os

import pytest

from kerasrnn import InputError, latest_run, list_runs, open_run
from kerasrnn.files import atomic
from kerasrnn.runs import create_run, history_text

INFO = {"data": {"name": "d"}, "options": {}, "seed": 0}


def make(output=None, **info):
    return create_run("d", "classifier", {**INFO, **info}, {"labels.json": ["a", "b"]}, output)


def test_runs_are_numbered_listed_and_the_newest_found(workplace):
    made = [make() for _ in range(11)]
    (workplace / "runs" / "notes").mkdir()
    assert [run.path.name for run in made] == [f"d-classifier-{n}" for n in range(1, 12)]
    assert [run.path for run in list_runs()] == [run.path for run in made]
    assert latest_run().path.name == "d-classifier-11"
    assert latest_run(task="classifier").task == "classifier"
    with pytest.raises(InputError, match="no generator in runs"):
        latest_run(task="generator")


def test_no_runs_at_all(workplace):
    assert list_runs() == []
    with pytest.raises(InputError, match="no run in runs/; make one with 'kerasrnn train'"):
        latest_run()


def test_a_run_says_what_it_holds(workplace):
    run = open_run(make().path)
    assert run.labels() == ("a", "b") and run.metrics() == {} and run.history() == {}
    assert run.info["versions"]["keras"] and run.info["format"] == 3
    rows = [{"epoch": 1, "loss": 2.5}, {"epoch": 2, "loss": 1.25}]
    (run.path / "history.csv").write_text(history_text(rows))
    assert run.history() == {"epoch": [1, 2], "loss": [2.5, 1.25]}
    with pytest.raises(InputError, match="holds no model: expected best.keras or last.keras"):
        run.model_path  # noqa: B018
    (run.path / "last.keras").touch()
    assert run.model_path.name == "last.keras"
    (run.path / "best.keras").touch()
    assert run.model_path.name == "best.keras"


def test_an_existing_directory_is_never_touched(workplace):
    run = make("mine")
    before = (run.path / "run.json").read_bytes()
    with pytest.raises(InputError, match="mine exists already: found an unfinished .*--resume"):
        make("mine")
    run.write_json({"metrics.json": {}})
    with pytest.raises(InputError, match="mine exists already: expected a new directory; choose"):
        make("mine")
    assert (run.path / "run.json").read_bytes() == before
    (workplace / "file").touch()
    with pytest.raises(InputError, match="file exists already"):
        make("file")
    with pytest.raises(InputError, match="cannot make file/below"):
        make("file/below")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is not a run: expected a run.json"),
        ("{", "broken JSON"),
        ("[]", "unexpected JSON: expected a dict"),
        ('{"format": "x"}', "not the run.json of a kerasrnn run"),
        ('{"format": 99}', "found format 99; expected format 3; open it with the version"),
        ('{"format": 1, "task": "classifier"}', "without a proper created, data, options, seed"),
    ],
)
def test_a_foreign_or_broken_run_is_named(workplace, content, message):
    (workplace / "r").mkdir()
    if content is not None:
        (workplace / "r" / "run.json").write_text(content)
    with pytest.raises(InputError, match=message):
        open_run("r")
    assert list_runs(".") == []


def test_broken_parts_of_a_run_are_named(workplace):
    run = make("r")
    for name, content, read in (
        ("labels.json", '{"a": 1}', run.labels),
        ("labels.json", "", run.labels),
        ("metrics.json", "nothing", run.metrics),
        ("history.csv", "epoch,loss\n1,two\n", run.history),
        ("history.csv", "epoch,loss\n1\n", run.history),
    ):
        (run.path / name).write_text(content)
        with pytest.raises(InputError, match=name):
            read()
    (run.path / "labels.json").unlink()
    with pytest.raises(InputError, match="missing file"):
        run.labels()
    with pytest.raises(InputError, match="no run at nowhere"):
        open_run("nowhere")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(workplace):
    (workplace / "a.txt").write_text("old")
    with (
        pytest.raises(InputError, match="cannot write a.txt: found No space"),
        atomic("a.txt") as t,
    ):
        t.write_text("half")
        raise OSError(28, "No space left on device")
    with pytest.raises(KeyboardInterrupt), atomic("a.txt") as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert (workplace / "a.txt").read_text() == "old"
    assert os.listdir() == ["a.txt"]


def test_json_is_read_back_as_written(workplace):
    run = make("r")
    assert json.loads((run.path / "run.json").read_text()) == run.info


def test_a_run_of_format_1_opens_under_the_names_of_today(workplace):
    path = make().path
    info = json.loads((path / "run.json").read_text()) | {"format": 1, "task": "generator"}
    info["options"] = {"steps": 64, "embedding": 32, "units": 8}
    info["data"] = {"unit": "char", "options": {"unit": "char", "classic": True, "max_size": 9}}
    (path / "run.json").write_text(json.dumps(info))
    (path / "checksums.json").unlink()
    run = open_run(path)
    assert run.info["options"] == {"sequence_length": 64, "embedding_dim": 32, "units": 8}
    assert run.reading("level", "letters_only", "lines") == {"level": "char", "letters_only": True}
    assert run.info["data"]["options"]["max_vocabulary"] == 9
    assert run.info["data"]["level"] == "char"


def test_a_run_is_a_path(workplace):
    run = make()
    assert os.fspath(run) == str(run.path) and open_run(run) is run


@pytest.mark.parametrize("metrics", ['{"validation": "x"}', '{"test": true}', "[]"])
def test_metrics_that_are_no_tables_are_named(workplace, metrics):
    run = make()
    (run.path / "metrics.json").write_text(metrics)
    with pytest.raises(InputError, match="metrics.json: unexpected JSON"):
        run.metrics()


def test_a_history_that_no_picture_could_show_is_named(workplace):
    run = make()
    (run.path / "history.csv").write_text("epoch,loss\n1,1e308\n2,-1e308\n")
    with pytest.raises(InputError, match="broken history: loss 1e308"):
        run.history()


def test_only_regular_files_are_read(workplace):
    run = make()
    (run.path / "vocabulary.json").symlink_to("/dev/zero")
    with pytest.raises(InputError, match="not a regular file"):
        run.vocabulary()
    (run.path / "labels.json").unlink()
    os.mkfifo(run.path / "labels.json")
    with pytest.raises(InputError, match="not a regular file"):
        run.labels()
