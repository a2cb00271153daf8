"""scripts/archive.py: every problem of a folder, resumed, beside published results."""

import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import invoke, load_script

TS_HEADER = "@univariate true\n@equalLength true\n@classLabel true a b\n@data\n"


archive = load_script("archive")


def run(*arguments, code=0):
    result = CliRunner().invoke(archive.main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


def cells(text):
    """The rows of a table in Markdown by their problems: {problem: {column: cell}}."""
    lines = [line.strip("| \n").split(" | ") for line in text.splitlines() if line[:1] == "|"]
    return {line[0]: dict(zip(lines[0], line, strict=True)) for line in lines[2:]}


def waves(number, seed):
    """Series of six steps and their classes, two of three of class "a"."""
    rng = np.random.default_rng(seed)
    for i in range(number):
        label = "b" if i % 3 == 2 else "a"
        yield rng.normal(2.0 if label == "a" else -2.0, 0.5, 6).round(3), label


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two problems, one that is broken, a folder of no problem, and a file."""
    folder = tmp_path_factory.mktemp("archive")
    for name in ("GunPoint", "Tiny", "Broken", "notes", "Numbers"):
        (folder / name).mkdir()
    for part, number in {"TRAIN": 18, "TEST": 9}.items():
        ts = "".join(f"{','.join(map(str, x))}:{label}\n" for x, label in waves(number, number))
        (folder / "GunPoint" / f"GunPoint_{part}.ts").write_text(TS_HEADER + ts)
        (folder / "Broken" / f"Broken_{part}.ts").write_text(TS_HEADER + "1,2,three:a\n1,2,3:b\n")
        header = TS_HEADER.replace("classLabel true a b", "targetLabel true")
        targets = ts.replace(":a", ":1.5").replace(":b", ":2.5")
        (folder / "Numbers" / f"Numbers_{part}.ts").write_text(header + targets)
        lines = ["\t".join(["12"["ab".index(y)], *map(str, x)]) for x, y in waves(number, 1)]
        (folder / "Tiny" / f"Tiny_{part}.tsv").write_text("\n".join(lines) + "\n")
    (folder / "notes" / "about.txt").write_text("Series of six steps, made up for a test.\n")
    (folder / "README.md").write_text("Problems.\n")
    return folder


def train_here(folder, seed, place, options):
    """As ``archive.train``, but in this process."""
    shutil.rmtree(place, ignore_errors=True)
    invoke("train", folder, "--seed", seed, "-o", place, "--quiet", *options)


@pytest.mark.slow
def test_the_problems_are_trained_on_once_and_a_broken_one_is_named(folder, tmp_path, monkeypatch):
    """One journey: each training is a process, of some seconds; here only those of one problem."""
    ways = {"Tiny": archive.train, "GunPoint": train_here}
    monkeypatch.setattr(archive, "train", lambda folder, *how: ways[folder.name](folder, *how))
    runs, output = tmp_path / "runs", tmp_path / "table.md"
    command = [folder, "--seeds", 2, "--output", output, "--runs", runs]
    options = ["--", "--epochs", 1, "--units", 4, "--members", 1]
    (runs / "Tiny-1").mkdir(parents=True)
    (runs / "Tiny-1" / "run.json").write_text("{}")  # a half run
    first = run(*command, *options, code=1)
    assert "Numbers: left out" in first.stderr and "notes: left out" in first.stderr
    broken = first.stderr.splitlines()[-1]
    assert first.stderr.splitlines()[-2] == "failed:" and "Broken_TRAIN.ts" in broken
    assert sorted(path.name for path in runs.iterdir()) == [
        *("GunPoint-0", "GunPoint-1", "Tiny-0", "Tiny-1", "archive.json")
    ]
    assert output.read_text() == first.stdout
    table = cells(first.stdout)
    assert list(table) == ["GunPoint", "Tiny"]
    facts = [table["Tiny"][name] for name in archive.HEADER[1:6]]
    assert facts == ["18", "9", "6", "1", "2"]
    accuracies = [
        100 * archive.open_run(runs / f"Tiny-{i}").metrics()["test"]["accuracy"] for i in (0, 1)
    ]
    expected = f"**{np.mean(accuracies):.1f}** ± {np.std(accuracies):.1f}"
    assert table["Tiny"]["accuracy"] == expected
    assert table["Tiny"]["chance"] == "66.7" and table["Tiny"]["1-NN"] == "100.0"
    assert table["Tiny"]["ROCKET"] == "–" and table["GunPoint"]["1-NN DTW"] == "91.3"
    assert float(table["Tiny"]["seconds"]) > 0
    assert "Mean rank over 1 of 2 problems: kerasrnn " in first.stdout

    before = {path: path.stat().st_mtime_ns for path in runs.rglob("*")}
    second = run(*command, *options, code=1)
    assert second.stdout == first.stdout
    assert {path: path.stat().st_mtime_ns for path in runs.rglob("*")} == before
    assert "are of the options" in run(*command, "--", "--epochs", 2, code=2).stderr


@pytest.mark.slow
def test_a_training_that_fails_is_named(folder, tmp_path):
    runs = tmp_path / "runs"
    failed = run(
        folder, "--only", "Tiny", "--seeds", 1, "--runs", runs, "--", "--epochs", 0, code=1
    )
    assert cells(failed.stdout) == {}
    said = failed.stderr.splitlines()[-1].strip()
    assert said.startswith("Tiny-0:") and "epochs" in said


def test_an_unknown_problem_and_an_empty_folder_are_refused(folder, tmp_path):
    assert "no such problem" in run(folder, "--only", "Tinny", code=2).stderr
    assert "no folders" in run(tmp_path, code=2).stderr


def test_ties_share_the_mean_of_their_ranks():
    accuracies = np.array([[90.0, 80.0, 90.0, 70.0], [50.0, 50.0, 50.0, 50.0]])
    expected = [[1.5, 3, 1.5, 4], [2.5, 2.5, 2.5, 2.5]]
    np.testing.assert_array_equal(archive.ranks(accuracies), expected)


def test_ranks_are_over_problems_of_which_all_have_a_number():
    def row(name, accuracy):
        return archive.Row(name, (1, 1, 1, 1, 2), [accuracy], [], 50.0, float("nan"))

    text = archive.table([row("ArrowHead", 85.0), row("BasicMotions", 1.0), row("Own", 1.0)])
    said = "kerasrnn 2.00, LSTM-FCN 1.00, InceptionTime 3.00, ROCKET 4.00, 1-NN DTW 5.00"
    assert text.endswith(f"Mean rank over 1 of 3 problems: {said}.\n")
    assert cells(text)["ArrowHead"]["1-NN"] == "–" and cells(text)["ArrowHead"]["seconds"] == "–"
    assert "rank" not in archive.table([row("Own", 1.0)])


def test_published_numbers_are_whole_lines_of_percentages():
    numbers = np.array(list(archive.PUBLISHED.values()))
    assert numbers.shape == (128 + 29, len(archive.METHODS))
    assert np.nanmin(numbers) > 1 and np.nanmax(numbers) == 100
    known = dict(zip(archive.METHODS, (~np.isnan(numbers)).sum(0), strict=True))
    assert known == {"LSTM-FCN": 72, "InceptionTime": 157, "ROCKET": 128, "1-NN DTW": 156}


def test_the_length_is_that_of_both_parts(tmp_path):
    folder = tmp_path / "Ragged"
    folder.mkdir()
    header = TS_HEADER.replace("equalLength true", "equalLength false")
    (folder / "Ragged_TRAIN.ts").write_text(header + "1,2,3:a\n1,2:b\n3,4:a\n3,1:b\n")
    (folder / "Ragged_TEST.ts").write_text(header + "1,2,3,4:a\n1,2:b\n")
    assert archive.facts_of(folder) == (4, 2, "2–4", 1, 2)
