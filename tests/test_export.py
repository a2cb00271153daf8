"""The directory that an export is: its files, its check, and what is refused."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from test_serving import LABELS, WORDS, some_tagger, some_writer

from kerasrnn import InputError, load, load_export, load_model, models
from kerasrnn.cli import main
from kerasrnn.exporting import check as _check
from kerasrnn.exporting import export
from kerasrnn.tasks import predict


@pytest.fixture(scope="module")
def digits(digit_run, tmp_path_factory):
    """The export of a short run on digits, checked in a fresh process."""
    return export(digit_run, tmp_path_factory.mktemp("exports") / "digits")


@pytest.fixture
def copy(digits, tmp_path):
    return Path(shutil.copytree(digits, tmp_path / "copy"))


@pytest.fixture(scope="module")
def tagged(tmp_path_factory):
    return export(some_tagger(), tmp_path_factory.mktemp("exports") / "tagger", check=False)


def invoke(*words):
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result


def test_the_files_of_an_export(digits):
    names = {path.relative_to(digits).as_posix() for path in digits.rglob("*") if path.is_file()}
    assert names >= {"saved_model.pb", "model_card.md", "signature.json", "examples.json"}
    about = json.loads((digits / "signature.json").read_text())
    assert about["task"] == "classifier" and about["labels"] == list(map(str, range(10)))
    assert about["signatures"]["serving_default"] == {
        "inputs": {"x": {"dtype": "float32", "shape": [None, None, 8]}},
        "outputs": {
            "label": {"dtype": "string", "shape": [None]},
            "probabilities": {"dtype": "float32", "shape": [None, 10]},
        },
    }
    assert set(about["files"]) == names - {"signature.json", "model_card.md"}


def test_it_predicts_as_the_run_does_wherever_it_is_moved(digits, digit_run, tmp_path):
    x = load("digits").test.x
    moved = load_export(shutil.copytree(digits, tmp_path / "moved"))
    expected = predict(load_model(digit_run.path), x)
    np.testing.assert_allclose(moved.classify(x), expected, atol=1e-5)
    labels = moved.ask(x=x)["label"]
    assert labels.tolist() == [moved.labels[index] for index in expected.argmax(-1)]


def test_the_check_finds_what_differs(copy, capsys):
    examples = json.loads((copy / "examples.json").read_text())
    examples[0]["outputs"]["probabilities"][0][0] += 2e-5
    examples[0]["outputs"]["label"][1] = "?"
    (copy / "examples.json").write_text(json.dumps(examples))
    assert not _check.check(copy)
    said = capsys.readouterr().out
    assert "label differs by inf" in said and "probabilities differs by 2e-05" in said


def test_an_export_that_disagrees_is_not_made(digit_run, tmp_path, monkeypatch):
    from kerasrnn.exporting import signatures as serving

    right = serving._named
    monkeypatch.setattr(serving, "_named", lambda labels, p: right(labels, np.asarray(p) + 1e-4))
    with pytest.raises(InputError, match="does not answer as the Keras model does: found serving"):
        export(digit_run, tmp_path / "wrong")
    assert not list(tmp_path.iterdir())


def test_the_programs_of_the_card_run_as_they_stand(tagged, monkeypatch):
    monkeypatch.chdir(tagged.parent)
    card = (tagged / "model_card.md").read_text()
    programs = [part.split("```")[0] for part in card.split("```python\n")[1:]]
    assert len(programs) == 2
    command = [sys.executable, "-P", "-c", "\n".join(programs)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.count("'labels'") == 2, done.stderr


def test_saved_model_cli_runs_it(tmp_path):
    made = export(some_writer(), tmp_path / "writer", check=False)
    card = (made / "model_card.md").read_text().replace("saved_model_cli", "CLI")
    (line,) = [x for x in card.splitlines() if x.startswith("CLI run") and "def generate" in x]
    tool = f"{sys.executable} -m tensorflow.python.tools.saved_model_cli"
    done = subprocess.run(
        line.replace("CLI", tool), shell=True, cwd=tmp_path, capture_output=True, text=True
    )
    example = json.loads((made / "examples.json").read_text())[0]
    (text,) = example["outputs"]["text"]
    assert str(text.encode()) in done.stdout, done.stderr  # bytes, as it prints them


def test_two_exports_live_in_one_process(tmp_path):
    """Their layers have the same names for the selector, and other sizes."""
    for index, units in enumerate(((4, 3), 7, (5, 5))):
        model = models.build_classifier((None, 3), 3, units=units)
        made = export(model, tmp_path / str(index), labels=LABELS, check=False)
        x = np.random.default_rng(index).normal(size=(4, 6, 3)).astype("float32")
        np.testing.assert_allclose(load_export(made).classify(x), model(x), atol=1e-5)


def test_the_verbs(digits, tagged, digit_run, workplace):
    assert invoke("export", digit_run.path, "--no-check").stdout == "saved_models/digit-run\n"
    again = ["export", digit_run.path, "--no-check", "--output", "x", "--format", "saved_model"]
    assert invoke(*again).stdout == "x\n"
    assert invoke(*again, "--overwrite").stdout == "x\n"
    of_run, of_export = (
        [row.rpartition(",")[0] for row in invoke("predict", path, "digits").stdout.splitlines()]
        for path in (digit_run.path, "x")
    )
    assert of_run == of_export  # but for the last digit of a probability
    twice = list(csv.DictReader(io.StringIO(invoke("predict", digits, "digits", "digits").stdout)))
    assert len(twice) == 2 * len(load("digits").test) and twice[-1]["index"] == str(len(twice) - 1)
    out = json.loads(invoke("predict", tagged, "the cat\nsat.", "--json").stdout)
    assert [[pair["token"] for pair in block] for block in out] == [["the", "cat"], ["sat", "."]]
    assert {pair["label"] for block in out for pair in block} <= set(LABELS)


def test_exports_of_texts_take_texts(workplace):
    from test_serving import some_infiller

    writer, infiller = some_writer(), some_infiller()
    export(writer, "writer", check=False)
    export(infiller, "infiller", check=False)
    (text,) = json.loads(invoke("predict", "writer", "abc", "--json").stdout)
    assert text == "abc" + writer.write("abc", 500)[0]
    filled = invoke("predict", "infiller", "ab_d", "_a").stdout.splitlines()
    assert filled == [infiller.fill(text)[0] for text in ("ab_d", "_a")]


def test_a_classifier_of_texts_takes_texts(workplace):
    model = models.build_classifier(vocabulary_size=len(WORDS) + 1, num_classes=3, units=6)
    export(model, "moods", labels=LABELS, vocabulary=WORDS, check=False)
    rows = json.loads(invoke("predict", "moods", "the cat", "sat zebra", "", "--json").stdout)
    ids = np.array([[2, 3], [4, 1], [0, 0]])  # the unknown word is 1, padding 0
    for row, expected in zip(rows, model(ids).numpy(), strict=True):
        np.testing.assert_allclose([*row["probabilities"].values()], expected, atol=1e-5)
        assert row["label"] == LABELS[expected.argmax()]


def refused(*words):
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == 2 and len(result.stderr.splitlines()) == 1, result.output
    return result.stderr


def test_what_cannot_be_exported_is_named(digit_run, digits, workplace):
    export_to = ("export", digit_run.path, "--no-check", "--output")
    assert "no run at nowhere" in refused("export", "nowhere")
    assert "not a run" in refused("export", digits)
    (workplace / "full").mkdir()
    (workplace / "full" / "a.txt").write_text("mine")
    assert "full exists already" in refused(*export_to, "full")
    assert "full is not an export, so it is not" in refused(*export_to, "full", "--overwrite")
    assert "cannot write" in refused(*export_to, "full/a.txt/x")
    assert sorted(path.name for path in workplace.rglob("*")) == ["a.txt", "full"]
    with pytest.raises(InputError, match="unknown format: found 'h5'; expected saved_model"):
        export(digit_run, format="h5")
    with pytest.raises(InputError, match="nothing that can be exported: found str"):
        export("model", "x")
    with pytest.raises(InputError, match="no path to export to"):
        export(some_writer())
    with pytest.raises(InputError, match="2 labels; expected 3"):
        export(models.build_classifier((4, 3), 3), "x", labels=["a", "b"])
    assert not (workplace / "x").exists()


def test_a_failed_export_leaves_the_old_one(copy, digit_run, monkeypatch):
    before = (copy / "saved_model.pb").read_bytes()

    def full(*arguments, **options):
        raise tf.errors.UnknownError(None, None, f"{{{{node x}}}} {copy}; No space left on device")

    monkeypatch.setattr(tf.saved_model, "save", full)
    with pytest.raises(InputError, match=r"cannot write .*: found No space left on device; free"):
        export(digit_run, copy, overwrite=True)
    assert (copy / "saved_model.pb").read_bytes() == before
    assert os.listdir(copy.parent) == ["copy"]


ABOUT = {"format": 1, "kind": "saved_model", "task": "classifier", "labels": ["a"]}
ABOUT |= {"unit": None, "signatures": {}, "files": {}}
SIDES = {"inputs": {"x": {"dtype": "float23", "shape": [None]}}, "outputs": {}}


def damage(copy, how):
    data = next(copy.glob("variables/*data*"))
    if how == "truncated":
        data.write_bytes(data.read_bytes()[:-9])
    elif how == "missing":
        data.unlink()
    elif how == "edited":
        raw = bytearray((copy / "saved_model.pb").read_bytes())
        raw[len(raw) // 2] ^= 1
        (copy / "saved_model.pb").write_bytes(raw)
    elif how == "elsewhere":
        (copy / "signature.json").unlink()
    elif how == "version":
        about = json.loads((copy / "signature.json").read_text()) | {"format": 99}
        (copy / "signature.json").write_text(json.dumps(about))
    else:
        (copy / "signature.json").write_text(how)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("truncated", "damaged export: variables/variables.data-00000-of-00001 is changed"),
        ("missing", "damaged export: variables/variables.data-00000-of-00001 is missing"),
        ("edited", "damaged export: saved_model.pb is changed"),
        ("elsewhere", "a SavedModel from elsewhere"),
        ("version", "export of another kerasrnn version"),
        ("{", "broken signature.json"),
        ("[]", "broken signature.json"),
        ('{"format": 1}', "broken signature.json"),
        (json.dumps({**ABOUT, "signatures": {"serving_default": {}}}), "broken signature.json"),
        (json.dumps({**ABOUT, "task": "sorter"}), "broken signature.json"),
        (json.dumps({**ABOUT, "labels": [1]}), "broken signature.json"),
        (json.dumps({**ABOUT, "files": ["a"]}), "broken signature.json"),
        (json.dumps({**ABOUT, "signatures": {"a": SIDES}}), "broken signature.json"),
        (json.dumps(ABOUT), "no such signature: found serving_default; expected"),
    ],
)
def test_a_damaged_or_foreign_export_is_named(copy, how, message):
    damage(copy, how)
    assert message in refused("predict", copy, "digits")


def test_inputs_that_do_not_fit_are_named(digits, tagged, workplace):
    np.save(workplace / "wide.npy", np.zeros((2, 8, 9)))
    line = refused("predict", digits, "wide.npy")
    assert "x does not fit the export: found float32 of shape (2, 8, 9)" in line
    assert "expected float32 of shape (any, any, 8)" in line
    loaded = load_export(digits)
    for x in (np.zeros((2, 8)), [["a"]], np.zeros((2, 8, 8), complex)):
        with pytest.raises(InputError, match="x does not fit the export"):
            loaded.ask(x=x)
    with pytest.raises(InputError, match="inputs of serving_default: found y; expected x"):
        loaded.ask(y=1)
    with pytest.raises(InputError, match="no such signature: found tag; expected serving_default"):
        loaded.ask("tag", x=1)
    assert "unknown dataset" in refused("predict", digits, "nothing")


def test_a_model_of_ones_own_with_stock_layers(workplace):
    x = keras.Input((None, 6), name="x")
    y = keras.layers.Bidirectional(keras.layers.LSTM(3))(x)
    model = keras.Model(x, keras.layers.Dense(2, name="score")(y))
    values = np.random.default_rng(0).normal(size=(3, 4, 6)).astype("float32")
    made = export(model, "own", check=False)
    np.testing.assert_allclose(load_export(made).ask(x=values)["outputs"], model(values), atol=1e-5)
    assert b"CudnnRNNV3" in (made / "saved_model.pb").read_bytes()
    assert "a plain Keras model, which takes no files" in refused("predict", made, "x.npz")
