"""``kerasrnn inspect``: what is said of files, folders and data sets, without TensorFlow."""

import json

import numpy as np
import pytest
from conftest import invoke, refused
from test_cli_help import modules_of
from test_roles import REVIEWS, STEPS, WIDE, write

from kerasrnn import InputError, load_dataset, load_series
from kerasrnn.data import storage
from kerasrnn.data.inspection import inspect_source
from kerasrnn.data.roles import Roles


def test_a_table_of_texts(tmp_path):
    rows = [[*row, "a" if i % 7 else ""] for i, row in enumerate(REVIEWS)]
    rows[0][2] = "note"
    path = write(tmp_path / "reviews.csv", rows)
    facts = inspect_source(path)
    assert facts["columns"] == [
        {"name": "review", "kind": "text", "role": "text"},
        {"name": "sentiment", "kind": "category", "role": "label"},
        {"name": "note", "kind": "constant", "role": ""},
    ]
    assert facts["classes"] == {"nnn": 20, "ppp": 20} and facts["rows"] == 40
    assert facts["lengths"]["of"] == "words" and facts["missing"] == 0
    assert facts["sizes"] == {"training": 32, "validation": 0, "test": 8}
    assert facts["task"] == "classifier" and facts["warnings"] == []
    assert facts["train"] == [f"kerasrnn train {path} --text review --label sentiment"]


def test_parts_missing_values_and_duplicates(tmp_path):
    rows = [
        ["?" if (i, k) == (3, 2) else cell for k, cell in enumerate(row)]
        for i, row in enumerate(WIDE)
    ]
    path = write(tmp_path / "X_TRAIN.csv", rows)
    write(tmp_path / "X_TEST.csv", [WIDE[0], *WIDE[-3:], ["", *WIDE[9][1:]]])
    facts = inspect_source(path)
    assert facts["sizes"] == {"training": 30, "validation": 0, "test": 3} and facts["missing"] == 1
    assert facts["duplicates"] == {"test": 3}
    assert "1 without a label or target are left out" in facts["warnings"][0]
    assert facts["lengths"] == {"min": 8, "median": 8, "max": 8, "of": "steps"}


def test_parts_are_those_of_training(tmp_path):
    """By a column that says them, without what has no label, and of a group together."""
    said = ["split", *(["train"] * 5 + ["dev", *["test"] * 4]) * 3]
    rows = [[*row, part] for row, part in zip(WIDE, said, strict=True)]
    rows[3][0] = ""
    facts = inspect_source(write(tmp_path / "a.csv", rows))
    assert facts["sizes"] == {"training": 14, "validation": 3, "test": 12}
    rows = [[*row, f"g{i // 10}"] for i, row in enumerate(WIDE)]
    path = write(tmp_path / "b.csv", [[*WIDE[0], "group"], *rows[1:]])
    data = load_dataset(path, roles=Roles(group="group"))
    facts = inspect_source(path, roles=Roles(group="group"))
    assert facts["sizes"] == {"training": 0, "validation": 0, "test": 0} | data.sizes()


def test_the_same_sequence_is_found_whatever_its_padding(tmp_path):
    one = np.arange(6.0).reshape(3, 2, 1)
    arrays = {"x_train": one, "y_train": [0, 1, 1], "x_test": np.pad(one, ((0, 0), (0, 3), (0, 0)))}
    np.savez(tmp_path / "a.npz", **arrays, y_test=[0, 1, 1], lengths_test=[2, 2, 2])
    assert inspect_source(tmp_path / "a.npz")["duplicates"] == {"test": 3}


def test_each_of_several_labels_is_counted(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("__label__a __label__b so it is\n__label__b it is not\n" * 9)
    facts = inspect_source(path)
    assert facts["classes"] == {"b": 18, "a": 9} and facts["lengths"]["of"] == "words"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": np.arange(9) % 2}, "differ in number"),
        ({"y": np.eye(2)[np.arange(40) % 2]}, "argmax"),
        ({"x": np.ones((40, 5, 2)) * 1j}, "wrong shape or kind"),
        ({"y": np.array(1)}, "wrong shape"),
        ({"labels": ["a"]}, "fewer than two"),
        ({"lengths": np.array(1)}, "lengths of the wrong shape"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(tmp_path, change, message):
    arrays = {"x": np.ones((40, 5, 2)), "y": np.arange(40) % 2} | change
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(InputError, match=message):
        inspect_source(tmp_path / "a.npz")
    np.savez(
        tmp_path / "a.npz", x=np.ones((40, 5, 2)), y=np.arange(40) % 2 * 1.0, labels=["a", "b"]
    )
    assert inspect_source(tmp_path / "a.npz")["classes"] == {"a": 20, "b": 20}


def test_sequences_of_several_rows_and_their_gaps(tmp_path):
    path = write(tmp_path / "steps.csv", [row for row in STEPS if row[1][14:16] != "03"])
    facts = inspect_source(path)
    assert facts["rows"] == 8 and facts["lengths"]["max"] == 10 and facts["missing"] == 16
    assert "8 rows are missing between the times" in facts["warnings"][0]
    assert facts["train"][0].endswith("--id case --time when --label activity")


def test_every_reading_that_is_possible_is_said(tmp_path):
    path = write(tmp_path / "a.csv", [row[:4] for row in STEPS])
    facts = inspect_source(path)
    assert facts["readings"] == ["the next values of x", "the next values of y"]
    assert [words.split()[-1] for words in facts["train"]] == ["x", "y"]
    facts = inspect_source(path, roles=Roles(target="y"))
    assert facts["task"] == "regressor" and (facts["series"], facts["rows"]) == (8, 80)
    assert facts["times"] == ["2020-01-01T00:00", "2020-01-01T00:09"]
    assert facts["lengths"] == {"min": 10, "median": 10, "max": 10, "of": "rows"}


def seasons(path, rows):
    """A table of a number a month, which repeats itself after a year."""
    values = [f"{1990 + i // 12}-{1 + i % 12:02},{50 + i % 12 * 3}.5" for i in range(rows)]
    path.write_text("\n".join(["month,sales", *values]))
    return path


def test_windows_and_parts_of_a_series_are_those_of_its_training(tmp_path):
    path = seasons(tmp_path / "sales.csv", 120)
    facts = inspect_source(path)
    with pytest.warns(UserWarning, match="predicting 12 rows, a season; choose with --horizon"):
        data = load_series(path)
    assert facts["sizes"] == data.sizes() and facts["sizes"]["validation"] > 0
    assert facts["windows"] == {"window": 24, "horizon": 12, "season": 12}
    assert facts["warnings"] == [] and facts["rows"] == 120
    lines = invoke("inspect", path).stdout.splitlines()
    assert "windows     24 rows, to predict 12; season of 12 rows" in lines
    sizes = ", ".join(f"{part} {size}" for part, size in data.sizes().items())
    assert f"parts       {sizes} windows" in lines


def test_the_test_part_of_a_series_may_be_a_file(tmp_path):
    path = seasons(tmp_path / "sales_train.csv", 120)
    lines = seasons(tmp_path / "sales_test.csv", 144).read_text().split("\n")
    (tmp_path / "sales_test.csv").write_text("\n".join([lines[0], *lines[-24:]]))
    facts = inspect_source(path)
    assert facts["rows"] == 144 and facts["sizes"]["test"] == 13


def test_a_series_too_short_to_train_on_is_shown_all_the_same(tmp_path):
    path = tmp_path / "short.csv"
    path.write_text("day,x\n2020-01-01,1.5\n2020-01-02,2.5\n2020-01-03,2.25\n")
    facts = inspect_source(path, roles=Roles(target="x", time="day"), task="regressor")
    assert "series too short for a window" in facts["warnings"][0]
    assert facts["rows"] == 3 and "sizes" not in facts and "windows" not in facts
    shown = invoke("inspect", path, "--target", "x", "--time", "day", "--task", "regressor").stdout
    assert "series too short" in shown and "parts" not in shown


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("digits", {"task": "classifier", "rows": 1797}),
        ("python", {"task": "tagger"}),
        ("english", {"task": "generator"}),
        ("forecast/airline-passengers.csv", {"task": "regressor", "rows": 144}),
        ("forecast/daily-min-temperatures.csv", {"task": "regressor"}),
        ("text/timemachine.txt", {"task": "generator"}),
        ("textclass/names", {"task": "classifier", "rows": 20_074}),
        ("textclass/sst", {"sizes": {"training": 6920, "validation": 872, "test": 1821}}),
        ("textclass/sst/stsa.binary.train", {"rows": 9613}),
        ("tagging/wnut17/wnut17train.conll", {"task": "tagger"}),
        ("timeseries/CBF", {"sizes": {"training": 30, "test": 900}}),
        ("timeseries/Coffee/Coffee_TRAIN.txt", {"classes": {"0": 29, "1": 27}}),
        ("timeseries/JapaneseVowels", {"lengths": {"min": 7, "median": 15, "max": 29}}),
    ],
)
def test_real_data(text_folder, name, facts):
    source = text_folder.parent / name if "/" in name else name
    found = inspect_source(source)
    assert found["train"] == [f"kerasrnn train {source}" + found["train"][0].split(str(source))[1]]
    for key, value in facts.items():
        same = value.items() <= found[key].items() if isinstance(value, dict) else None
        assert found[key] == value or same, found


@pytest.mark.slow
def test_the_command_trains(tmp_path, workplace):
    path = write(tmp_path / "wide.csv", WIDE)
    (command,) = inspect_source(path)["train"]
    words = command.split()[1:]
    result = invoke(*words, "--epochs", "1", "--units", "2", "--members", "1", "--json")
    assert json.loads(result.stdout)["run"]


def test_what_is_printed(tmp_path):
    path = write(tmp_path / "wide.csv", WIDE)
    lines = invoke("inspect", path).stdout.splitlines()
    said = dict(line.split(maxsplit=1) for line in lines if line[0] != " ")
    assert said["format"] == "CSV, separated by commas" and said["rows"] == "30"
    assert said["lengths"] == "8 steps" and said["missing"] == "none"
    assert said["classes"] == "0 10, 1 10, 2 10"
    assert said["parts"] == "training 24, validation 0, test 6"
    assert said["train"] == f"kerasrnn train {path} --label label"
    assert json.loads(invoke("inspect", path, "--json").stdout)["task"] == "classifier"


def test_what_was_said_is_part_of_the_command(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("Blätter fallen.\n".encode("latin-1") * 9)
    assert inspect_source(path, encoding="latin-1")["train"] == [
        f"kerasrnn train {path} --encoding latin-1"
    ]
    table = write(tmp_path / "wide.csv", WIDE)
    (command,) = inspect_source(table, test=str(table), roles=Roles(label="label"))["train"]
    assert command == f"kerasrnn train {table} --label label --test {table}"


def test_columns_are_those_of_the_task_that_is_named(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("Peter NNP PER 1\nran VBD NONE 1\n. . NONE 4\n\n" * 20)
    facts = inspect_source(path, roles=Roles(label="3"), task="tagger")
    assert facts["format"] == "columns of words" and facts["classes"] == {"NONE": 40, "PER": 20}
    assert facts["train"] == [f"kerasrnn train {path} --task tagger --label 3"]
    facts = inspect_source(path, roles=Roles(label="2"))
    assert facts["task"] == "tagger" and facts["train"] == [f"kerasrnn train {path} --label 2"]
    facts = inspect_source(path, task="generator")
    assert (facts["format"], facts["task"], facts["characters"]) == ("text", "generator", 19)
    assert "not prose: found 4 columns of words" in refused("inspect", path)
    said = refused("inspect", path, "--task", "infiller", "--label", "3")
    assert "columns of what is no table: found --label; leave them out" in said
    table = write(tmp_path / "wide.csv", WIDE)
    assert inspect_source(table, task="generator")["sizes"]["training"] > 1000


def test_levels_of_labels_of_texts_are_cut(tmp_path):
    path = tmp_path / "a_train.txt"
    path.write_text("DESC:def What is it ?\nNUM:count How many are there ?\n" * 20)
    facts = inspect_source(path, roles=Roles(label="1"))
    assert facts["classes"] == {"DESC": 20, "NUM": 20}
    assert facts["train"] == [f"kerasrnn train {path} --label 1"]


def test_bad_input_is_one_line(tmp_path):
    path = write(tmp_path / "reviews.csv", REVIEWS)
    said = refused("inspect", path, "--label", "sentimnet")
    assert "--label: no such column: found 'sentimnet'" in said
    assert said.endswith("did you mean 'sentiment'?")
    assert "no such file or folder" in refused("inspect", "absent.csv")


def test_it_imports_no_tensorflow(tmp_path):
    for path in (write(tmp_path / "reviews.csv", REVIEWS), seasons(tmp_path / "sales.csv", 120)):
        assert not modules_of("inspect", path) & {"tensorflow", "keras", "matplotlib"}


@pytest.mark.slow
def test_the_memory_does_not_grow_with_the_table(tmp_path, monkeypatch):
    import tracemalloc

    monkeypatch.setattr(storage, "_IN_MEMORY", 1 << 20)
    row, peaks = ",".join(["1", *["0.123"] * 60]), []
    head = ",".join(["y", *(f"t{i}" for i in range(60))])
    for rows in (45_000, 90_000):
        path = tmp_path / "wide.csv"
        path.write_text(f"{head}\n" + f"{row}\n" * rows + f"2{row[1:]}\n" * rows)
        tracemalloc.start()
        assert inspect_source(path)["classes"] == {"1": rows, "2": rows}
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
