"""The directory that an export is: its files, its check, and what is refused."""

import csv
import importlib.util
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
from factories import LABELS, WORDS, some_generator, some_infiller, some_tagger

from kerasrnn import (
    Classifier,
    Infiller,
    InputError,
    Tagger,
    TextGenerator,
    Vocabulary,
    build_classifier,
    export,
    load_corpus,
    load_dataset,
    load_export,
    load_sentences,
    train,
)
from kerasrnn.cli import main
from kerasrnn.tasks import task_of

pytestmark = pytest.mark.slow

QUICK = {"epochs": 1, "quiet": True}


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


@pytest.fixture(scope="module")
def classifier():
    """One of sequences of three features, which a layer scales."""
    scaling = keras.layers.Normalization(mean=[5.0, -1, 0], variance=[2.0, 1, 1])
    return Classifier(build_classifier((6, 3), num_classes=3, units=6, scaling=scaling), LABELS)


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
    x = load_dataset("digits").test.x
    of_run = Classifier.load(digit_run)
    of_export = Classifier.load(shutil.copytree(digits, tmp_path / "moved"))
    np.testing.assert_allclose(of_export.predict_proba(x), of_run.predict_proba(x), atol=1e-5)
    assert of_export.predict(x) == of_run.predict(x)


def test_a_tagger_answers_alike_from_a_run_and_an_export(tmp_path):
    (tmp_path / "a.conll").write_text("the\tDET\ncat\tNOUN\n\nit\tPRON\nsat\tVERB\n\n" * 20)
    run = train(load_sentences(tmp_path / "a.conll"), tmp_path / "run", units=6, **QUICK)
    made = export(str(run), tmp_path / "export", check=False)
    of_run, of_export = (Tagger.load(path) for path in (str(run), made))
    for text in ("the cat sat.\n\nA cat, it sat", ""):
        assert of_export.predict(text) == of_run.predict(text)
    sentences = [["the", "cät"], [], ["it"] * 9]
    found, expected = (tagger.predict_proba(sentences) for tagger in (of_export, of_run))
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("lines", [False, True])
def test_a_generator_answers_alike_from_a_run_and_an_export(text_run, tmp_path, lines):
    run = text_run
    if lines:
        (tmp_path / "names.txt").write_text("adam\neve\nbede\n" * 40)
        corpus = load_corpus(tmp_path / "names.txt", lines=True)
        run = train(corpus, tmp_path / "run", units=6, sequence_length=8, **QUICK)
    made = export(run, tmp_path / "export", check=False)
    of_run, of_export = (TextGenerator.load(path) for path in (run, made))
    asked = (
        {},
        {"temperature": 0.0},
        {"top_k": 3, "samples": 3},
        {"top_p": 0.8, "repetition_penalty": 1.5},
        {"stop": ["e", "da"], "samples": 2, "unknown": "skip"},
    )
    for given in asked:
        texts = [one.generate("a", 30, seed=5, **given) for one in (of_run, of_export)]
        assert texts[0] == texts[1], given
    assert of_export.search("da", 9, beams=3, samples=2) == of_run.search(
        "da", 9, beams=3, samples=2
    )


def test_an_infiller_answers_alike_from_a_run_and_an_export(tmp_path):
    (tmp_path / "a.txt").write_text("abcd efgh " * 60)
    corpus = load_corpus(tmp_path / "a.txt", task="infiller", letters_only=True)
    run = train(corpus, tmp_path / "run", units=6, sequence_length=16, **QUICK)
    made = export(run, tmp_path / "export", check=False)
    of_run, of_export = (Infiller.load(path) for path in (run, made))
    for text in ("a_cd e__h", "_", "AB, _D"):
        (found, candidates), (expected, others) = (
            one.fill(text, alternatives=3) for one in (of_export, of_run)
        )
        assert found == expected == of_export.predict(text)
        for row, other in zip(candidates, others, strict=True):
            assert [token for token, _ in row] == [token for token, _ in other]
            np.testing.assert_allclose([p for _, p in row], [p for _, p in other], atol=1e-5)


@pytest.mark.parametrize("format", ["saved_model", "onnx", "litert"])
def test_the_model_of_the_caller_stays_as_it_is(classifier, tmp_path, format):
    if format == "onnx":
        pytest.importorskip("tf2onnx")
    model = classifier.model
    (scaling,) = (x for x in model.layers if isinstance(x, keras.layers.Normalization))
    kept = model.get_config(), scaling.mean, scaling.variance, [v.path for v in model.variables]
    export(model, tmp_path / "model", format=format, labels=LABELS, check=False)
    assert model.get_config() == kept[0] and [v.path for v in model.variables] == kept[3]
    assert scaling.mean is kept[1] and scaling.variance is kept[2]


def test_a_softmax_layer_gives_probabilities(tmp_path):
    logits = build_classifier((6, 3), num_classes=3, units=6, activation=None)
    model = keras.Sequential([keras.Input((6, 3)), *logits.layers, keras.layers.Softmax()])
    x = np.ones((2, 6, 3), "float32")
    made = export(model, tmp_path / "softmax", labels=LABELS, check=False)
    np.testing.assert_allclose(Classifier.load(made).predict_proba(x), model(x), atol=1e-5)
    nested = keras.Sequential([keras.Input((6, 3)), logits])
    made = export(nested, tmp_path / "nested", labels=LABELS, check=False)
    np.testing.assert_allclose(
        Classifier.load(made).predict_proba(x), keras.ops.softmax(logits(x)), atol=1e-5
    )


def test_a_last_layer_that_does_not_tell_is_named(workplace):
    model = keras.Sequential([keras.Input((6, 3)), keras.layers.GlobalAveragePooling1D()])
    with pytest.raises(InputError, match="found GlobalAveragePooling1D as its last layer"):
        export(model, "x", labels=LABELS)
    assert not list(workplace.iterdir())


def program_of(folder):
    """The check.py of an export as a module."""
    spec = importlib.util.spec_from_file_location("check", folder / "check.py")
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    return program


def test_the_check_finds_what_differs(copy, capsys):
    examples = json.loads((copy / "examples.json").read_text())
    program, (example, *_) = program_of(copy), examples
    assert program.check(copy)
    example["outputs"]["probabilities"][0][0] += 2e-5
    example["outputs"]["label"][1] = "?"
    (copy / "examples.json").write_text(json.dumps(examples))
    assert not program.check(copy)
    said = capsys.readouterr().out
    assert "label differs by inf" in said and "probabilities differs by 2e-05" in said
    example["outputs"] = {"probabilities": np.full((4, 10), np.nan).tolist()}
    (copy / "examples.json").write_text(json.dumps(examples))
    assert not program.check(copy), "no number equals NaN"


def test_an_export_that_disagrees_is_not_made(digit_run, tmp_path, monkeypatch):
    from kerasrnn.tasks import classifier

    right = classifier._answered
    monkeypatch.setattr(classifier, "_answered", lambda labels, p: right(labels, p + 1e-4))
    with pytest.raises(InputError, match="does not answer as the Keras model does: found serving"):
        export(digit_run, tmp_path / "wrong")
    assert not list(tmp_path.iterdir())


def test_the_programs_of_the_card_run_as_they_stand(tagged, monkeypatch):
    monkeypatch.chdir(tagged.parent)
    card = (tagged / "model_card.md").read_text()
    programs = [part.split("```")[0] for part in card.split("```python\n")[1:]]
    assert len(programs) == 1
    command = [sys.executable, "-P", "-c", "\n".join(programs)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.count("'labels'") == 2, done.stderr


def test_saved_model_cli_runs_it(tmp_path):
    made = export(some_generator(), tmp_path / "generator", check=False)
    card = (made / "model_card.md").read_text().replace("saved_model_cli", "CLI")
    (line,) = [x for x in card.splitlines() if x.startswith("CLI run") and "def generate" in x]
    tool = f"{sys.executable} -m tensorflow.python.tools.saved_model_cli"
    done = subprocess.run(
        line.replace("CLI", tool), shell=True, cwd=tmp_path, capture_output=True, text=True
    )
    example = json.loads((made / "examples.json").read_text())[0]
    (text,) = example["outputs"]["text"]
    assert str(text.encode()) in done.stdout, done.stderr  # bytes, as it prints them


def test_the_card_says_what_it_is_in_the_words_of_the_task(digits, tagged):
    for folder in (digits, tagged):
        card = (folder / "model_card.md").read_text()
        assert task_of(load_export(folder).task).summary in card
        assert "once for a CPU and once for cuDNN" in card and "$" not in card
    assert "| test | 0." in (digits / "model_card.md").read_text()


def test_two_exports_live_in_one_process(tmp_path):
    """Their layers have the same names for the selector, and other sizes."""
    for index, units in enumerate(((4, 3), 7, (5, 5))):
        model = build_classifier((None, 3), num_classes=3, units=units)
        made = export(model, tmp_path / str(index), labels=LABELS, check=False)
        x = np.random.default_rng(index).normal(size=(4, 6, 3)).astype("float32")
        np.testing.assert_allclose(Classifier.load(made).predict_proba(x), model(x), atol=1e-5)


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
    assert len(twice) == 2 * len(load_dataset("digits").test) and twice[-1]["index"] == str(
        len(twice) - 1
    )
    out = json.loads(invoke("predict", tagged, "the cat\nsat.", "--json").stdout)
    assert [[pair["token"] for pair in block] for block in out] == [["the", "cat"], ["sat", "."]]
    assert {pair["label"] for block in out for pair in block} <= set(LABELS)


def test_exports_of_texts_take_texts(workplace):
    generator, infiller = some_generator(), some_infiller()
    export(generator, "generator", check=False)
    export(infiller, "infiller", check=False)
    (text,) = json.loads(invoke("predict", "generator", "abc", "--json").stdout)
    assert text.startswith("abc") and len(text) > 100
    given = ("generator", "--prompt", "abc", "--seed", 3, "--max-length", 50)
    assert invoke("generate", *given).stdout == f"abc{generator.generate('abc', 50, seed=3)[0]}\n"
    filled = invoke("predict", "infiller", "ab_d", "_a").stdout.splitlines()
    assert filled == [infiller.predict(text) for text in ("ab_d", "_a")]


def test_a_classifier_of_texts_takes_texts(workplace):
    model = build_classifier(vocabulary_size=WORDS.num_ids, num_classes=3, units=6)
    export(model, "moods", labels=LABELS, vocabulary=WORDS, check=False)
    texts = ["the cat", "sat zebra", ""]
    rows = json.loads(invoke("predict", "moods", *texts, "--json").stdout)
    ids = np.array([[2, 3], [4, 1], [1, 0]])  # the unknown word, and no word, is 1; padding is 0
    for row, expected in zip(rows, model(ids).numpy(), strict=True):
        np.testing.assert_allclose([*row["probabilities"].values()], expected, atol=1e-5)
        assert row["label"] == LABELS[expected.argmax()]
    in_memory = Classifier(model, LABELS, WORDS)
    assert Classifier.load("moods").predict(texts) == in_memory.predict(texts)


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
    with pytest.raises(InputError, match="nothing that can be exported: found dict"):
        export({}, "x")
    with pytest.raises(InputError, match="nothing that can be exported: found _ExportedClassifier"):
        export(Classifier.load(digits), "x")
    with pytest.raises(InputError, match="no directory to export to"):
        export(some_generator())
    with pytest.raises(InputError, match="2 labels; expected 3"):
        export(build_classifier((4, 3), num_classes=3), "x", labels=["a", "b"])
    assert not (workplace / "x").exists()


KERAS_MODELS = {
    "labels of each step": (keras.Input((None, 3)), lambda x: keras.layers.Dense(3)(x)),
    "no time": (keras.Input((3,)), lambda x: keras.layers.Dense(3)(x)),
    "images": (keras.Input((4, 4, 3)), lambda x: keras.layers.GlobalAveragePooling2D()(x)),
}


@pytest.mark.parametrize("case", KERAS_MODELS)
def test_a_model_that_is_no_classifier_gets_no_labels(workplace, case):
    x, layer = KERAS_MODELS[case]
    with pytest.raises(InputError, match="not the model of a classifier: found .* → .*; expected"):
        export(keras.Model(x, layer(x)), "x", labels=LABELS)


def test_a_vocabulary_of_other_ids_is_named(workplace):
    model = build_classifier(vocabulary_size=WORDS.num_ids, num_classes=3, units=3)
    for vocabulary in (Vocabulary("ab", padded=True), Vocabulary(WORDS.tokens)):
        with pytest.raises(InputError, match="vocabulary that does not match the model"):
            export(model, "x", labels=LABELS, vocabulary=vocabulary)


@pytest.mark.parametrize("kind", ["stateful", "strings"])
def test_a_keras_model_with_states_or_tables_is_named(workplace, kind):
    if kind == "stateful":
        x = keras.Input((4, 3), batch_size=2)
        y = keras.layers.LSTM(3, stateful=True)(x)
    else:
        x = keras.Input((), dtype="string")
        y = keras.layers.TextVectorization(vocabulary=["a", "b"])(x)
    with pytest.raises(InputError, match="states or tables of its own cannot be exported"):
        export(keras.Model(x, y), "x")
    assert not list(workplace.iterdir())


def test_a_failed_export_leaves_the_old_one(copy, digit_run, monkeypatch):
    before = (copy / "saved_model.pb").read_bytes()

    def full(*arguments, **options):
        raise tf.errors.UnknownError(None, None, f"{{{{node x}}}} {copy}; No space left on device")

    monkeypatch.setattr(tf.saved_model, "save", full)
    with pytest.raises(InputError, match=r"cannot write .*: found No space left on device; free"):
        export(digit_run, copy, overwrite=True)
    assert (copy / "saved_model.pb").read_bytes() == before
    assert os.listdir(copy.parent) == ["copy"]


def edit(folder, **entries):
    """Change entries of a signature.json by hand."""
    about = json.loads((folder / "signature.json").read_text()) | entries
    (folder / "signature.json").write_text(json.dumps(about))


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
        edit(copy, format=99)
    elif how == "labels":
        edit(copy, labels=["a"])
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
        ("{", "signature.json: broken JSON"),
        ("[]", "signature.json: unexpected JSON: expected a dict"),
        ('{"format": 2}', "damaged export: signature.json is changed"),
        ("labels", "damaged export: signature.json is changed"),
    ],
)
def test_a_damaged_or_foreign_export_is_named(copy, how, message):
    damage(copy, how)
    assert message in refused("predict", copy, "digits")


def test_inputs_that_do_not_fit_are_named(digits, workplace):
    np.save(workplace / "wide.npy", np.zeros((2, 8, 9)))
    assert "(2, 8, 9)" in refused("predict", digits, "wide.npy")
    loaded = load_export(digits)
    bad = (np.zeros((2, 8)), [["a"]], np.zeros((2, 8, 9)), np.zeros((2, 8, 8), complex), [[1], 2])
    for x in bad:
        with pytest.raises(InputError, match="x does not fit the export: found .*; expected float"):
            loaded.call(x=x)
    with pytest.raises(InputError, match="inputs of serving_default: found y; expected x"):
        loaded.call(y=1)
    with pytest.raises(InputError, match="found tag; expected serving_default"):
        loaded.call("tag", x=1)
    assert "nothing" in refused("predict", digits, "nothing")


def test_numbers_that_a_graph_refuses_are_named(tiny_exports):
    loaded = load_export(tiny_exports / "generator")
    given = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 1, "prompt": ["ab"]}
    with pytest.raises(InputError, match="max_length does not fit the export: found numbers that"):
        loaded.call("generate", max_length=10**12, **given)
    with pytest.raises(InputError, match=r"generate: .*max_length out of range: expected 1"):
        loaded.call("generate", max_length=0, **given)


def test_a_model_of_ones_own_with_stock_layers(workplace):
    x = keras.Input((None, 6), name="x")
    y = keras.layers.Bidirectional(keras.layers.LSTM(3))(x)
    model = keras.Model(x, keras.layers.Dense(2, name="score")(y))
    values = np.random.default_rng(0).normal(size=(3, 4, 6)).astype("float32")
    made = export(model, "own", check=False)
    found = load_export(made).call(x=values)["outputs"]
    np.testing.assert_allclose(found, model(values), atol=1e-5)
    assert b"CudnnRNNV3" in (made / "saved_model.pb").read_bytes()
    assert "a plain Keras model, which takes no files" in refused("predict", made, "x.npz")


def test_a_link_to_an_export_is_replaced_where_it_points(copy, digit_run):
    link = copy.with_name("link")
    link.symlink_to(copy)
    (copy / "old.txt").write_text("old")
    export(digit_run, link, overwrite=True, check=False)
    assert link.is_symlink() and not (copy / "old.txt").exists()
    assert sorted(path.name for path in copy.parent.iterdir()) == ["copy", "link"]
