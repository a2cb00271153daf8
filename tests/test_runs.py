import json
import os

import pytest
from conftest import invoke, refused

from kerasrnn import InputError, latest_run, list_runs, open_run
from kerasrnn.cli.runs import table
from kerasrnn.files import atomic, locked
from kerasrnn.history import spread
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


def listed(*words):
    """The names of the runs that ``kerasrnn runs`` lists, in their order."""
    return [
        row["run"].split("/", 1)[1] for row in json.loads(invoke("runs", *words, "--json").stdout)
    ]


@pytest.fixture
def three(workplace):
    """Runs a, b and c: of 2, 10 and no epochs, evaluated as 0.25, 0.5 and not."""
    for name, epochs, accuracy in (("a", 2, 0.25), ("b", 10, 0.5), ("c", 0, None)):
        data = {"name": f"of {name}", "sizes": {"training": 5}}
        run = make(f"runs/{name}", data=data, created=f"2026-01-02T03:04:{name}")
        rows = [{"epoch": n + 1, "loss": 1.0, "seconds": 40.0} for n in range(epochs)]
        if rows:
            (run.path / "history.csv").write_text(history_text(rows))
            run.write_json({"metrics.json": {"test": {"accuracy": accuracy}}})


def test_runs_are_sorted_and_chosen(three):
    assert listed() == ["a", "b", "c"]
    assert listed("--sort", "-epochs") == ["b", "a", "c"]
    assert listed("--sort", "evaluated") == ["a", "b", "c"]  # what has none comes last
    assert listed("--sort=-evaluated") == ["b", "a", "c"]
    assert listed("--sort", "-run") == ["c", "b", "a"]
    assert listed("--finished") == ["a", "b"] and listed("--unfinished") == ["c"]
    assert listed("--task", "classifier", "--data", "of b") == ["b"]
    assert listed("--task", "tagger") == []
    assert "unknown column: found 'f1'; expected run or task" in refused("runs", "--sort", "f1")


def test_the_table_of_runs_fits_its_width(three):
    rows = json.loads(invoke("runs", "--json").stdout)
    wide = table(rows)
    assert wide[0].split()[:5] == ["run", "task", "data", "size", "epochs"]
    assert wide[2].split()[:5] == ["runs/b", "classifier", "of", "b", "5"] and "0:06:40" in wide[2]
    assert "parameters" not in wide[0]  # as none says them
    for width in (80, 60, 40):
        lines = table(rows, width)
        assert max(map(len, lines)) <= width and len(lines) == 4
        assert lines[1].startswith("runs/a ") and lines[1].endswith("test accuracy 0.2500")


def test_the_lowest_validation_loss_is_a_number(three):
    path = open_run("runs/a").path
    for losses, lowest in (("1,nan\n2,0.5\n3,0.75", 0.5), ("1,nan", None)):
        (path / "history.csv").write_text(f"epoch,val_loss\n{losses}\n")
        assert json.loads(invoke("runs", "--json").stdout)[0]["val_loss"] == lowest


def test_members_are_listed_below_their_run_and_trials_after_all(three):
    make("runs/b/seed-0"), make("runs/study/trial-0"), make("runs/other/x")
    os.mknod("runs/study/study.jsonl")
    assert listed() == ["a", "b", "c"]
    assert listed("--members") == ["a", "b", "b/seed-0", "c", "study/trial-0"]


def test_runs_are_removed_whole_and_nothing_else_is(three, workplace):
    (workplace / "kept").write_text("kept")
    os.symlink(workplace, "runs/a/link")
    assert (
        refused("runs", "rm", "runs/a") == "kerasrnn: runs/a: nobody to ask; say --yes to remove it"
    )
    said = invoke("runs", "rm", "runs/a", "runs/b", "runs/b/", "--yes", "--json").stdout
    assert json.loads(said) == ["runs/a", "runs/b/"]
    assert os.listdir("runs") == ["c"] and (workplace / "kept").exists()
    assert "options of the list before rm" in refused("runs", "--finished", "rm", "runs/c", "--yes")
    os.chdir("runs/c")
    assert invoke("runs", "-q", "rm", ".", "--yes").output == ""
    assert os.listdir(workplace / "runs") == []


def test_what_is_no_run_or_at_work_is_neither_removed_nor_renamed(three, workplace):
    (workplace / "runs/notes").mkdir()
    os.symlink("a", "runs/link")
    make("runs/b/seed-0")
    for path, message in (
        ("runs/notes", "runs/notes is not a run"),
        ("runs/nothing", "no run at runs/nothing"),
        ("runs", "runs is not a run"),
        ("runs/link", "runs/link is a link"),
        ("runs/link/", "runs/link/ is a link"),
        ("runs/b/seed-0", "runs/b/seed-0 is a part of b"),
    ):
        assert message in refused("runs", "rm", "runs/a", path, "--yes")
        assert message in refused("runs", "rename", path, "new")
    for held in ("runs/a", "runs/b/seed-0"):
        with locked(held):
            assert "another process is at work" in refused(
                "runs", "rm", "runs/a", "runs/b", "--yes"
            )
    assert {*listed()} == {"a", "link", "b", "c"}


def test_a_run_gets_another_name_in_its_folder(three, workplace):
    make("runs/b/seed-0")
    info = open_run("runs/b").info | {"members": ["seed-0"]}
    open_run("runs/b").write_json({"run.json": info})
    assert invoke("runs", "rename", "runs/b", "both").stdout == "runs/both\n"
    assert [run.path.name for run in open_run("runs/both").runs] == ["seed-0"]
    path = workplace / "runs" / "both"
    assert json.loads(invoke("runs", "rename", path, "b", "--json").stdout) == str(path)[:-4] + "b"
    assert "runs/c exists already" in refused("runs", "rename", "runs/b", "c")
    for name in ("", ".", "..", ".hidden", "x/y", "/tmp/x", "x\ny"):
        assert "no name of a run" in refused("runs", "rename", "runs/b", name)
    assert listed() == ["a", "b", "c"]


def test_a_number_that_is_not_finite_has_no_mean():
    rows = [{"test": {"mae": 1.0, "r2": float("nan")}}, {"test": {"mae": 3.0, "r2": 0.5}}]
    assert spread(rows)["test"].keys() == {"mae"}
