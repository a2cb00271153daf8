"""scripts/predict_files.py: every row once, as the export itself answers, in constant memory."""

import csv
import itertools
import json
import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import ROOT, load_script

from kerasrnn.text import Vocabulary

pytestmark = pytest.mark.slow

SCRIPT = ROOT / "scripts" / "predict_files.py"


predict_files = load_script("predict_files")


def run(*arguments, code=0):
    result = CliRunner().invoke(predict_files.main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.output


def records(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def ask(path, **inputs):
    from kerasrnn import load_export

    return load_export(path).call(**inputs)


def numbers(*shape):
    return np.random.default_rng(1).normal(size=shape).astype("float32")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_labels_of_an_npz_file_are_those_of_the_export(tiny_exports, tmp_path, save):
    x = numbers(10, 4, 2)
    save(tmp_path / "in.npz", x=x)
    run(tiny_exports / "gestures", tmp_path / "in.npz", tmp_path / "out.jsonl", "--batch-size", 4)
    expected = ask(tiny_exports / "gestures", x=x)
    found = records(tmp_path / "out.jsonl")
    assert [row["index"] for row in found] == list(range(10))
    assert [row["label"] for row in found] == expected["label"].tolist()
    probabilities = [row["probability"] for row in found]
    np.testing.assert_allclose(probabilities, expected["probabilities"].max(1), atol=2e-6)


def test_padding_beyond_the_lengths_counts_for_nothing(tiny_exports, tmp_path):
    x, lengths = numbers(6, 5, 2), np.array([5, 1, 2, 3, 4, 1])
    expected = ask(tiny_exports / "strokes", x=x, lengths=lengths)
    x[np.arange(5) >= lengths[:, None]] = np.nan
    np.savez(tmp_path / "in.npz", x=x, lengths=lengths)
    run(tiny_exports / "strokes", tmp_path / "in.npz", tmp_path / "out.jsonl", "--batch-size", 4)
    found = [row["probability"] for row in records(tmp_path / "out.jsonl")]
    np.testing.assert_allclose(found, expected["probabilities"].max(1), atol=2e-6)


@pytest.mark.parametrize("name", ["gestures", "strokes"])
def test_a_csv_file_holds_sequences_of_any_lengths(tiny_exports, tmp_path, name):
    sequences = [numbers(time, 2) for time in (3, 3, 1, 2)]
    lines = [",".join(map(str, x.ravel().tolist())) for x in sequences]
    (tmp_path / "in.csv").write_text(
        "\n".join(["a,b,c,d,e,f", *lines[:2], lines[2] + ",,", lines[3]])
    )
    run(tiny_exports / name, tmp_path / "in.csv", tmp_path / "out.jsonl")
    for x, row in zip(sequences, records(tmp_path / "out.jsonl"), strict=True):
        inputs = {"x": x[None]} | ({"lengths": [len(x)]} if name == "strokes" else {})
        expected = ask(tiny_exports / name, **inputs)["probabilities"].max()
        assert row["probability"] == pytest.approx(expected, abs=2e-6)


def test_a_two_dimensional_array_has_one_feature_a_step(tmp_path):
    np.save(tmp_path / "in.npy", np.arange(6).reshape(2, 3))
    rows = list(predict_files.read_rows(tmp_path / "in.npy", 1))
    np.testing.assert_array_equal(rows, [[[0], [1], [2]], [[3], [4], [5]]])


TEXTS = ["good day", "", "bad — “day”", "line\u2028in a line"]


@pytest.mark.parametrize("name", ["in.txt", "in.csv"])
def test_texts_come_from_lines_or_from_a_column(tiny_exports, tmp_path, name):
    if name == "in.txt":
        (tmp_path / name).write_text("\n".join(TEXTS) + "\n", encoding="utf-8-sig")
    else:
        with (tmp_path / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([["id", "text"], *enumerate(TEXTS)])
    run(tiny_exports / "moods", tmp_path / name, tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    expected = ask(tiny_exports / "moods", text=TEXTS)["label"].tolist()
    assert [(row["index"], row["label"]) for row in found] == list(
        zip("0123", expected, strict=True)
    )


def test_a_tagger_gives_tokens_and_labels(tiny_exports, tmp_path):
    (tmp_path / "in.txt").write_text("good day .\n\nbad\n")
    run(tiny_exports / "tagger", tmp_path / "in.txt", tmp_path / "out.jsonl")
    found = records(tmp_path / "out.jsonl")
    assert [row["tokens"] for row in found] == [["good", "day", "."], [], ["bad"]]
    assert [len(row["labels"]) for row in found] == [3, 0, 1]
    run(tiny_exports / "tagger", tmp_path / "in.txt", tmp_path / "out.csv")
    assert '"[""good"", ""day"", "".""]"' in (tmp_path / "out.csv").read_text()


def test_a_regressor_gives_numbers(tmp_path):
    from kerasrnn import Regressor, build_regressor, export

    for targets in (["y"], ["y", "z"]):
        model = build_regressor((4, 2), targets=len(targets), units=3)
        path = export(Regressor(model, targets), tmp_path / "-".join(targets), check=False)
        np.save(tmp_path / "in.npy", x := numbers(3, 4, 2))
        run(path, tmp_path / "in.npy", tmp_path / "out.jsonl")
        found = [row["prediction"] for row in records(tmp_path / "out.jsonl")]
        expected = ask(path, x=x)["prediction"].reshape(np.shape(found))
        np.testing.assert_allclose(found, expected, atol=2e-6)


def test_texts_may_have_several_labels(tmp_path):
    from kerasrnn import Classifier, build_classifier, export

    vocabulary = Vocabulary(["good", "bad", "day"], padded=True)
    stack = {"num_classes": 3, "vocabulary_size": vocabulary.num_ids, "units": 3}
    model = build_classifier(activation="sigmoid", **stack)
    path = export(Classifier(model, ["a", "b", "c"], vocabulary), tmp_path / "moods", check=False)
    (tmp_path / "in.txt").write_text("good day\nbad\n")
    run(path, tmp_path / "in.txt", tmp_path / "out.jsonl")
    expected = ask(path, text=["good day", "bad"])
    for row, p in zip(records(tmp_path / "out.jsonl"), expected["probabilities"], strict=True):
        assert row["labels"] == [name for name, one in zip("abc", p, strict=True) if one >= 0.5]
        assert row["probability"] == pytest.approx(p.max(), abs=2e-6)


def test_a_generator_takes_its_options_and_repeats_itself_for_a_seed(tiny_exports, tmp_path):
    (tmp_path / "in.txt").write_text("ab\ncafe\n")
    given = ["--max-length", 7, "--top-k", 3, "--top-p", 0.9, "--temperature", 0.7, "--seed", 5]
    for name in ("one", "two"):
        run(tiny_exports / "generator", tmp_path / "in.txt", tmp_path / f"{name}.jsonl", *given)
    found = records(tmp_path / "one.jsonl")
    assert found == records(tmp_path / "two.jsonl")
    expected = ask(
        tiny_exports / "generator",
        prompt=["ab", "cafe"],
        **{"max_length": 7, "top_k": 3, "top_p": 0.9, "temperature": 0.7, "seed": 5},
    )
    assert [row["text"] for row in found] == expected["text"].tolist()


def test_with_a_batch_of_one_a_generator_writes_the_same_for_any_shards(tiny_exports, tmp_path):
    (tmp_path / "in.txt").write_text("ab\n" * 4)
    path, given = tiny_exports / "generator", ("--max-length", 9, "--batch-size", 1)
    whole = sharded(path, tmp_path, 1, *given)
    assert sharded(path, tmp_path, 3, *given) == whole
    assert len({row["text"] for row in whole}) == 4  # each with noise of its own


def sharded(export, folder, shards, *options):
    found = []
    for number in range(1, shards + 1):
        part = folder / f"{number}.jsonl"
        run(export, folder / "in.txt", part, "--shard", f"{number}/{shards}", *options)
        found += records(part)
    return sorted(found, key=lambda row: row["index"])


def test_an_infiller_fills_its_blanks(tiny_exports, tmp_path):
    (tmp_path / "in.txt").write_text("a_c\n")
    run(tiny_exports / "infiller", tmp_path / "in.txt", tmp_path / "out.jsonl")
    (row,) = records(tmp_path / "out.jsonl")
    assert len(row["text"]) == 3 and "_" not in row["text"]


def test_all_shards_together_have_each_row_once(tiny_exports, tmp_path):
    (tmp_path / "in.txt").write_text("".join(f"good {i * 'bad '}\n" for i in range(23)))
    whole = sharded(tiny_exports / "moods", tmp_path, 1)
    assert [row["index"] for row in whole] == list(range(23))
    found = sharded(tiny_exports / "moods", tmp_path, 3, "--batch-size", 4)
    for row, expected in zip(found, whole, strict=True):
        assert row == expected | {"probability": pytest.approx(expected["probability"], abs=2e-6)}


def test_a_shard_without_rows_still_has_the_header(tiny_exports, tmp_path):
    (tmp_path / "in.txt").write_text("good\n")
    run(tiny_exports / "moods", tmp_path / "in.txt", tmp_path / "out.csv", "--shard", "2/2")
    assert (tmp_path / "out.csv").read_text() == "index,label,probability\n"


BAD = {
    "no file": ("gestures", "none.npz", None, "no file"),
    "not an export": (".", "in.npz", {"x": numbers(2, 4, 2)}, "is not an export"),
    "features": ("gestures", "in.npz", {"x": numbers(2, 4, 3)}, "takes (n, time, 2)"),
    "no x": ("gestures", "in.npz", {"y": numbers(2)}, "no array x, found y"),
    "strings": ("gestures", "in.npz", {"x": np.full((2, 4, 2), "a")}, "expected numbers"),
    "objects": ("gestures", "in.npz", {"x": np.array([[[{}, 1]]])}, "expected an array of numbers"),
    "order": ("gestures", "in.npz", {"x": numbers(2, 4, 3).T}, "C order"),
    "infinite": ("gestures", "in.npz", {"x": np.full((2, 4, 2), 1e39)}, "rows 0 to 1: values that"),
    "lengths": (
        "strokes",
        "in.npz",
        {"x": numbers(2, 4, 2), "lengths": np.array([4, 5])},
        "length 5 of row 1; expected 1 to 4",
    ),
    "few lengths": (
        "strokes",
        "in.npz",
        {"x": numbers(2, 4, 2), "lengths": np.array([4])},
        "lengths is (1,); expected (2,)",
    ),
    "text for numbers": ("gestures", "in.txt", b"hello", "an .npz, .npy or .csv file"),
    "numbers for text": ("moods", "in.npz", {"x": numbers(2)}, "a .csv or text file"),
    "a word among numbers": ("gestures", "in.csv", b"1,2\n3,four\n", "row 1 holds 'four'"),
    "values of a step": (
        "gestures",
        "in.csv",
        b"1,2\n3\n",
        "row 1 has 1 values; expected a multiple",
    ),
    "no column": ("moods", "in.csv", b"a,b\n1,2\n", "no column 'text', found a, b"),
    "short row": ("moods", "in.csv", b"a,text\n1\n", "no text in row 0"),
    "not UTF-8": ("moods", "in.txt", b"caf\xe9\n", "not UTF-8"),
    "not a zip": ("gestures", "in.npz", b"hello", "cannot read"),
    "empty prompt": ("generator", "in.txt", b"ab\n\n", "[empty prompt: expected text to"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_ends_with_one_line_and_leaves_nothing(tiny_exports, tmp_path, case):
    name, file, content, message = BAD[case]
    if isinstance(content, bytes):
        (tmp_path / file).write_bytes(content)
    elif content:
        np.savez(tmp_path / file, **content)
    output = run(tiny_exports / name, tmp_path / file, tmp_path / "out.jsonl", code=2)
    assert message in output and output.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} <= {file}


def test_an_array_that_ends_early_is_bad_input(tiny_exports, tmp_path):
    np.save(tmp_path / "in.npy", numbers(9, 4, 2))
    os.truncate(tmp_path / "in.npy", 300)
    output = run(tiny_exports / "gestures", tmp_path / "in.npy", tmp_path / "out.jsonl", code=2)
    assert "ends early" in output


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "a/b", "1/2/3"])
def test_a_bad_shard_is_refused(tmp_path, shard):
    output = run(tmp_path, tmp_path / "x.npz", tmp_path / "y.csv", "--shard", shard, code=2)
    assert output == f"Error: --shard {shard}; expected i/n with 1 ≤ i ≤ n, such as 3/8\n"


def test_another_suffix_or_place_of_the_output_is_refused(tiny_exports, tmp_path):
    (tmp_path / "in.txt").write_text("good\n")
    output = run(tiny_exports / "moods", tmp_path / "in.txt", tmp_path / "out.parquet", code=2)
    assert "expected a name that ends in .jsonl or .csv" in output
    output = run(tiny_exports / "moods", tmp_path / "in.txt", tmp_path / "no" / "out.csv", code=2)
    assert "cannot write" in output


def test_a_plain_keras_model_is_refused(tiny_exports, tmp_path):
    sides = {"inputs": {"x": {}}, "outputs": {"outputs": {}}}
    about = {"task": "model", "signatures": {"serving_default": sides}}
    (tmp_path / "signature.json").write_text(json.dumps(about))
    (tmp_path / "in.txt").write_text("good\n")
    output = run(tmp_path, tmp_path / "in.txt", tmp_path / "out.csv", code=2)
    assert "an export of the task model; expected one of classifier, regressor, tagger" in output


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_large_array_is_never_in_memory_whole(tmp_path, save):
    save(tmp_path / "in.npz", x=np.zeros((60_000, 64, 8), "float32"))  # 123 MB
    tracemalloc.start()
    number = sum(1 for _ in predict_files.read_rows(tmp_path / "in.npz", 8))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert number == 60_000
    assert peak < 8 << 20


def test_rows_are_asked_for_a_batch_at_a_time():
    class Asked:
        features, takes = None, ("text",)

        def answer(self, rows, numbers):
            return [{"text": row} for row in rows]

    endless = zip(itertools.count(), itertools.repeat("a"))
    found = list(itertools.islice(predict_files.predict(Asked(), endless, 10), 25))
    assert [row["index"] for row in found] == list(range(25))


def test_it_runs_without_kerasrnn(tiny_exports, tmp_path):
    (tmp_path / "in.txt").write_text("good\n")
    code = "import sys, runpy; sys.modules['kerasrnn'] = None; sys.argv = sys.argv[1:]; "
    code += "runpy.run_path(sys.argv[0], run_name='__main__')"
    arguments = [SCRIPT, tiny_exports / "moods", tmp_path / "in.txt", tmp_path / "out.csv"]
    subprocess.run([sys.executable, "-c", code, *map(str, arguments)], check=True)
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 2


@pytest.mark.parametrize("given", [("--max-length", 0), ("--max-length", 10**12), ("--top-p", 2)])
def test_options_of_a_generator_out_of_range_are_bad_input(tiny_exports, tmp_path, given):
    (tmp_path / "in.txt").write_text("ab\n")
    paths = (tiny_exports / "generator", tmp_path / "in.txt", tmp_path / "out.csv")
    output = run(*paths, *given, code=2)
    assert output.startswith("Error: rows 0 to 0: ") and output.count("\n") == 1
