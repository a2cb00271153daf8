"""Batch prediction, tuning and training on a Ray cluster, and what these do without one.

The tests with a real Ray take minutes: KERASRNN_RAY=1 has them run, two workers each.
"""

import csv
import importlib.util
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pytest
from conftest import ROOT, invoke, load_script
from pyarrow import dataset, parquet

from kerasrnn import InputError
from kerasrnn.data.layouts import read_rows
from kerasrnn.data.readers.tables import open_table

ray_predict = load_script("ray_predict")
STEPS = 6


def needs_ray(test):
    asked = "KERASRNN_RAY" in os.environ and importlib.util.find_spec("ray")
    return pytest.mark.slow(pytest.mark.skipif(not asked, reason="no Ray, or none wanted")(test))


def write_waves(path, rows, seed=0):
    """A table of noisy waves, one a row, with its label."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(2, size=rows)
    waves = np.sin(np.arange(STEPS) * (1 + kinds[:, None])) + rng.normal(0, 0.2, (rows, STEPS))
    names = ["name", *(f"t{step}" for step in range(STEPS)), "label"]
    cells = [[f"w{n}" for n in range(rows)], *waves.T.round(4), np.array(["up", "down"])[kinds]]
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        parquet.write_table(pa.table(cells, names), path, row_group_size=64)
    else:
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([names, *zip(*cells, strict=True)])
    return path


@pytest.fixture(scope="module")
def waves(tmp_path_factory):
    """An export of a classifier of waves."""
    folder = tmp_path_factory.mktemp("waves")
    data = write_waves(folder / "train.csv", 80)
    options = ["--epochs", 1, "--units", 4, "--label", "label", "-q"]
    invoke("train", data, *options, "-o", folder / "run")
    invoke("export", folder / "run", "-o", folder / "export", "-q")
    return folder / "export"


def command(script, *arguments):
    """A program for Ray in a process group of its own."""
    words = [sys.executable, ROOT / "scripts" / script, *arguments]
    return subprocess.Popen(
        [*map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "RAY_worker_niceness": "0"},
        start_new_session=True,
    )


def finished(script, *arguments, code=0):
    """What a program for Ray prints, on stdout and on stderr."""
    process = command(script, *arguments)
    said = process.communicate()
    assert process.returncode == code, said
    return said


def read_parts(folder):
    """The rows of all parts in the order of their names."""
    return dataset.dataset(folder).to_table()


@needs_ray
def test_killed_and_started_again_it_writes_what_predict_writes(waves, tmp_path):
    big = write_waves(tmp_path / "big.csv", 6000)
    small = [
        write_waves(tmp_path / "in" / n / "a.parquet", 300, seed) for seed, n in enumerate("xy")
    ]
    words = [waves, big, tmp_path / "in", "-o", tmp_path / "out", "--rows", 128]
    process, parts = command("ray_predict.py", *words), []
    while len(parts) < 5:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
        parts = [*(tmp_path / "out").glob("**/part-*")]
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("**/part-*")}
    assert len(written) < 53
    _, said = finished("ray_predict.py", *words)
    assert f"there before: {len(written)} parts" in said
    assert {path: path.stat().st_mtime_ns for path in written} == written
    for source, name in zip([big, *small], ["big.csv", "x/a.parquet", "y/a.parquet"], strict=True):
        invoke("predict", waves, source, "-o", tmp_path / "plain.parquet", "-q")
        plain, found = (
            parquet.read_table(tmp_path / "plain.parquet"),
            read_parts(tmp_path / "out" / name),
        )
        assert found.drop("probability").equals(plain.drop("probability"))
        np.testing.assert_allclose(found["probability"], plain["probability"], atol=2e-6)
    _, said = finished("ray_predict.py", *words)
    assert "0 rows in 0 new parts" in said


@needs_ray
def test_a_bad_row_is_named_by_its_line_and_nothing_else_is_said(waves, tmp_path):
    path = write_waves(tmp_path / "bad.csv", 900)
    lines = path.read_text().split("\n")
    lines[700] = lines[700].replace(",", ",x", 1)
    path.write_text("\n".join(lines))
    words = [waves, path, "-o", tmp_path / "out", "--rows", 100]
    out, said = finished("ray_predict.py", *words, code=2)
    assert out == "" and said.count("\n") == 1
    assert "bad.csv:701: no number in column 't0': found 'x" in said


def test_a_part_of_a_table_is_read_as_the_table_is(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a;b\n" + '"1,5";"x\ny"\n' * 20 + "z;y\n")
    table = open_table(path)
    (rows,) = table.batches()
    part = open_table(ray_predict.part_of(table, 18, rows.slice(18)))
    assert part.numbers(rows.slice(18, 2), "a", 0).tolist() == [1.5, 1.5]
    with pytest.raises(InputError, match=r"a.csv:42: no number in column 'a': found 'z'"):
        list(read_rows(part, {"layout": "wide", "features": ["a"]}))


def test_parts_have_the_same_rows_however_they_are_read():
    rows = pa.record_batch({"n": pa.array(range(25))})
    for batches in ([rows], [rows.slice(0, 3), rows.slice(3, 1), rows.slice(4)]):
        parts = [part["n"].to_pylist() for part in ray_predict.cut(iter(batches), 10)]
        assert parts == [[*range(10)], [*range(10, 20)], [*range(20, 25)]]
    large = pa.record_batch({"text": ["x" * (1 << 24)] * 5})
    batches = (large.slice(row, 1) for row in range(5))
    assert [part.num_rows for part in ray_predict.cut(batches, 10)] == [2, 2, 1]


def test_the_tables_of_a_folder_are_found_but_hidden_ones(tmp_path):
    for name in ("b/x.parquet", "a.csv", "_old/x.csv", ".x.csv", "note.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    out = tmp_path.parent / "elsewhere"
    assert [*ray_predict.files_of([tmp_path], out, True)] == ["a.csv", "b/x.parquet"]
    assert [*ray_predict.files_of([tmp_path], out, False)] == ["a.csv", "b/x.parquet", "note.txt"]
    for inputs, place, message in (
        ([tmp_path], tmp_path / "out", "the output is within the input"),
        ([tmp_path, tmp_path / "a.csv"], out, "two files of one name"),
        ([tmp_path / "none"], out, "no file or folder"),
        ([tmp_path / "_old" / ".."], tmp_path, "within the input"),
    ):
        with pytest.raises(InputError, match=message):
            ray_predict.files_of(inputs, place, True)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="nothing to predict"):
        ray_predict.files_of([tmp_path / "empty"], out, True)


def test_a_file_that_changed_is_predicted_again_and_another_export_refused(tmp_path, capsys):
    (tmp_path / "a.csv").write_text("a\n1\n")
    place = tmp_path / "out" / "a.csv"
    given, made_with = (place, tmp_path / "a.csv"), {"export": "a", "rows": 10}
    assert ray_predict.begin(*given, **made_with) == set()
    (place / "part-000003.parquet").touch()
    assert ray_predict.begin(*given, **made_with) == {3}
    for name, value in (("export", "b"), ("rows", 11)):
        with pytest.raises(InputError, match=f"predicted before with other {name}"):
            ray_predict.begin(*given, **made_with | {name: value})
    (tmp_path / "a.csv").write_text("a\n1\n2\n")
    assert ray_predict.begin(*given, **made_with) == set()
    assert "a.csv has changed" in capsys.readouterr().err
    state = ray_predict.read_json(place / ray_predict.STATE, dict)
    ray_predict.write_json(place / ray_predict.STATE, state | {"parts": 0})
    assert ray_predict.begin(*given, **made_with) is None
    with pytest.raises(InputError, match="cannot write"):
        ray_predict.begin(tmp_path / "a.csv" / "b", tmp_path / "a.csv", **made_with)


@needs_ray
def test_a_study_of_ray_is_one_that_tune_goes_on_with(tmp_path):
    data = write_waves(tmp_path / "waves_TRAIN.csv", 60)
    write_waves(tmp_path / "waves_TEST.csv", 20, 1)
    words = [data, "--label", "label", "--search", "units", "--range", "units=3:40"]
    words += ["--epochs", 1, "-o", tmp_path / "study"]
    out, said = finished("ray_tune.py", "--workers", 2, *words, "--trials", 2)
    assert "2 trials: 2 complete" in out and said.count("\ntrial ") == 2
    assert "3 trials: 3 complete" in invoke("tune", *words, "--trials", 3).stdout
    out, said = finished("ray_tune.py", "--workers", 2, *words, "--seed", 1, code=2)
    assert out == "" and "this study has other data" in said and "Traceback" not in said


@needs_ray
def test_a_training_whose_worker_is_killed_goes_on(tmp_path):
    data, run = write_waves(tmp_path / "waves.csv", 200), tmp_path / "runs" / "waves"
    words = ["--workers", 2, data, "--label", "label", "--units", 4, "--epochs", 6, "-o", run]
    process = command("ray_train.py", *words)
    while not (run / "history.csv").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.2)
    found = subprocess.run(
        ["pgrep", "-f", f"kerasrnn train .*{run}"], capture_output=True, text=True, check=True
    )
    os.kill(int(found.stdout.split()[-1]), signal.SIGKILL)
    out, said = process.communicate()
    assert process.returncode == 0, said
    assert "3 retries are left" in said and "Traceback" not in said
    epochs = [row.split(",")[0] for row in (run / "history.csv").read_text().split()]
    assert epochs == ["epoch", *"123456"]
    assert "test" in out and not [*run.parent.glob(".*")]
    out, said = finished("ray_train.py", *words, code=2)
    assert f"{run} is finished" in said and "Traceback" not in said
