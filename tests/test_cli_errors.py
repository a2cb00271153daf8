"""Every error is one line on stderr; what fails leaves nothing behind."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from conftest import invoke, refused

import kerasrnn.runs


def run_files(folder):
    return sorted(folder.rglob("*"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "digitz"], "unknown dataset: found 'digitz'; expected digits, mnist,"),
        (["train", "--units", "0"], "bad units: found"),
        (["train", "--units", "a"], "'a' is not a number or a list like 64,32"),
        (["train", "--units", "3,4", "--layers", "3"], "found 2 widths for 3 layers"),
        (["train", "--layers", "0"], "--layers out of range"),
        (["train", "--layers", "1000"], "--layers out of range: found 1000; expected 1 to 64"),
        (["train", "--layers", "99999999999999"], "--layers out of range"),
        (["train", "--stacked", "--layers", "3"], "--stacked means --layers 2"),
        (["train", "--cell", "rnn"], "'rnn' is not one of 'lstm', 'gru', 'simple'"),
        (["train", "--go-backwards"], "reads both ways already"),
        (["train", "--seed", "-1"], "seed out of range: found -1"),
        (["train", "--seed", "99999999999999999999"], "seed out of range"),
        (["train", "--epochs", "0"], "epochs out of range: found 0"),
        (["train", "-o", "runs"], "runs exists already"),
        (["train", "-o", ""], "Invalid value for '-o' / '--output': an empty path"),
        (["train", "broken.npz"], "broken.npz: not an .npz or .npy file"),
        (["train", "table.csv"], "table.csv: texts without a column that could be"),
        (["evaluate", "nowhere"], "unknown dataset: found 'nowhere'"),
        (["evaluate", "runs/nowhere"], "no run at runs/nowhere"),
        (["plot", "--metric", "f1"], "no 'f1' in the history"),
        (["plot", "--output", "a.xyz"], "unknown picture format"),
        (["plot", "--output", "a.pgf"], "found 'a.pgf'; expected .png, .svg or .pdf"),
        (["plot", "--output", ""], "an empty path"),
        (["plot", "--output", "foreign"], "'foreign' is a directory"),
        (["plot", "--output", "no/where/a.png"], "cannot write no/where/a.png: found No such file"),
        (["plot", "--output", "wide.npy/a.png"], "cannot write wide.npy/a.png: found Not a dir"),
        (["predict", "runs/digits-classifier-1", "absent.npz"], "no such file or folder"),
        (["predict", "runs/digits-classifier-1", "nothing"], "unknown dataset"),
        (["predict", "runs/digits-classifier-2", "digits"], "no run at runs/digits-classifier-2"),
        (["predict", "runs/digits-classifier-1", "wide.npy"], "that do not fit the model"),
        (["predict", "digits", "--output", "foreign/x/a"], "cannot write"),
        (["predict", "digits", "--output", ""], "an empty path"),
        (["predict", "./runs/typo", "digits"], "no run at runs/typo"),
        (["predict", "digits", "-o", "a.jsonl", "--json"], "--json for a .jsonl: found a.jsonl"),
        (["predict", "digits", "-o", "a.png"], "no picture of these predictions: found a.png"),
        (["predict", "runs/digits-classifier-1"], "Missing argument 'INPUT...'"),
        (["predict"], "Missing argument 'INPUT...'"),
        (["predict", "", "digits"], "unknown dataset: found ''"),
        (["predict", "runs/digits-classifier-1", "a\udcff"], "an argument that is not UTF-8"),
        (["generate", "runs/digits-classifier-1"], "found classifier; expected generator"),
        (["generate"], "no generator in runs/"),
        (["infill", "runs/digits-classifier-1", "a_"], "found classifier; expected infiller"),
        (["infill", "one", "two", "three"], "Too many arguments"),
        (["infill"], "Missing argument"),
        (["export", "foreign"], "foreign is not a run"),
        (["trian"], "No such command"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(trained, workplace, words, message):
    (workplace / "foreign").mkdir()
    (workplace / "broken.npz").write_bytes(b"PK broken")
    (workplace / "table.csv").write_text("label,text\nup,one\ndown,two\n")
    np.save(workplace / "wide.npy", np.zeros((2, 8, 9)))
    before = run_files(workplace)
    assert message in refused(*words)
    assert run_files(workplace) == before


HUGE = "99999999999"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["generate"], "empty prompt: expected text to start from"),
        (["generate", "--prompt", "aXc"], "lacks tokens of the text: found 'X'"),
        (["generate", "--prompt", "a\udcff"], "an argument that is not UTF-8"),
        (["generate", "--prompt", "a", "--temperature", "-1"], "temperature out of range"),
        (["generate", "--prompt", "a", "--temperature", "nan"], "temperature out of range"),
        (["generate", "--prompt", "a", "--top-p", "0"], "top_p out of range"),
        (["generate", "--prompt", "a", "--top-k", HUGE], "top_k out of range"),
        (["generate", "--prompt", "a", "--max-length", "0"], "length out of range"),
        (["generate", "--prompt", "a", "--max-length", HUGE], "length out of range"),
        (["generate", "--prompt", "a", "--seed", HUGE * 2], "seed out of range"),
        (["generate", "--prompt", "a", "--beams", "2", "--seed", "1"], "--seed with --beams"),
        (["generate", "--prompt", "a", "--beams", "2", "--top-k", "1"], "--top-k with --beams"),
        (["generate", "--prompt", "a", "--beams", "2", "--samples", "3"], "more samples than"),
        (["generate", "nowhere"], "no run at nowhere"),
        (["train", "text.txt", "--pooling", "max"], "generator has no such option: found pooling"),
        (["train", "text.txt", "--bidirectional"], "a generator cannot read backwards"),
        (["train", "text.txt"], "a text shorter than a window: found 9 training tokens"),
        (["train", "text.txt", "--sequence-length", "2", "--prompt", "X"], "lacks tokens of the"),
        (["train", "text.txt", "--sequence-length", "0"], "sequence_length out of range"),
        (["train", "text.txt", "--batch-size", "0"], "batch_size out of range"),
        (["train", "empty.txt"], "empty.txt: empty text"),
        (["train", "same.txt"], "same.txt: only one distinct token: found 9 times 'a'"),
        (["train", "latin.txt"], "not UTF-8: found byte 0xe9 at offset 3"),
        (["train", "binary.txt"], "binary"),
        (["train", "shakespear"], "did you mean 'shakespeare'"),
        (["train", "digits", "mnist"], "several data sets for a classifier"),
        (["train", "digits", "--lines"], "the classifier has no such option: found lines"),
        (["train", "text.txt", "--schedule", "linear"], "'linear' is not one of"),
    ],
)
def test_bad_text_is_one_line_and_exit_code_2(writing, workplace, words, message):
    (workplace / "text.txt").write_text("abcdefghij")
    (workplace / "empty.txt").write_text("")
    (workplace / "same.txt").write_text("a" * 9)
    (workplace / "latin.txt").write_bytes("café".encode("latin-1"))
    (workplace / "binary.txt").write_bytes(bytes(range(256)))
    before = run_files(workplace)
    assert message in refused(*words)
    assert run_files(workplace) == before


def test_no_runs_yet(workplace):
    assert "no runs here" in invoke("runs").stderr
    for words in (["evaluate"], ["plot"], ["export"], ["predict", "digits"]):
        assert "no run in runs/" in refused(*words)


def test_warnings_are_shown_where_they_are_ours(capsys):
    from kerasrnn.cli.common import _show_warning

    _show_warning("of a library", UserWarning, "/home/me/kerasrnn/.venv/lib/numpy/a.py")
    _show_warning("of ours", UserWarning, kerasrnn.runs.__file__)
    assert capsys.readouterr().err == "kerasrnn: of ours\n"


def test_a_plain_keras_model_as_an_export_is_for_python(workplace):
    import keras

    from kerasrnn import export

    model = keras.Sequential([keras.Input((3, 2)), keras.layers.LSTM(2)])
    export(model, "plain", check=False)
    assert "plain: a plain Keras model, which takes no files or texts; call it in Python" in (
        refused("predict", "plain", "digits")
    )


def test_a_damaged_run_is_refused(trained):
    (trained / "checksums.json").unlink()  # as one does who changes files by hand
    (trained / "metrics.json").write_text('{"validation": "x"}')
    assert "metrics.json: unexpected JSON" in refused("export")
    (trained / "metrics.json").write_text('{"test": {"accuracy": "x"}}')
    assert invoke("runs").stdout.endswith("  test accuracy -\n")
    (trained / "history.csv").write_text("epoch,loss\n1,1e308\n2,-1e308\n")
    assert "broken history" in refused("plot")
    (trained / "history.csv").write_text("epoch,loss\n1,nan\n2,inf\n3,-1e99\n4,1e99\n")
    assert "loss.png" in invoke("plot").stdout
    (trained / "best.keras").write_bytes(b"PK")
    assert "not a .keras model file" in refused("evaluate")
    (trained / "best.keras").unlink()
    (trained / "labels.json").write_text('["a", "b"]')
    assert "found 2 labels; expected 10" in refused("predict", trained, "digits")


def test_a_generator_without_its_vocabulary(writing):
    (writing / "checksums.json").unlink()
    (writing / "vocabulary.json").write_text('["<unk>", "a", "b"]')
    assert "found 3 tokens; expected" in refused("generate", writing, "--prompt", "a")
    (writing / "vocabulary.json").write_text('["a"]')
    assert "vocabulary.json: not a vocabulary" in refused("generate", writing, "--prompt", "a")
    (writing / "vocabulary.json").unlink()
    assert "missing file" in refused("generate", writing, "--prompt", "a")


@pytest.fixture
def failing(trained, monkeypatch):
    """Makes ``plot`` raise an error."""

    def fail_with(error):
        from kerasrnn import plotting

        def save(*_):
            raise error

        monkeypatch.setattr(plotting, "save", save)

    return fail_with


def test_an_unexpected_error_is_one_line_with_the_way_to_its_traceback(failing):
    failing(TypeError("a number\nof lines"))
    message = refused("plot", code=1)
    assert message.startswith("kerasrnn: internal error: TypeError: a number; run it again as")
    assert "kerasrnn --debug" in message


@pytest.mark.parametrize(("error", "code"), [(TypeError("a"), 1), (PermissionError(13, "b"), 2)])
def test_debug_shows_the_traceback_of_anything(failing, error, code):
    failing(error)
    result = invoke("--debug", "plot", code=code)
    assert "Traceback" in result.stderr and "in save" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("kerasrnn: ")


class ResourceExhaustedError(Exception):
    """As TensorFlow names it."""


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError(), "kerasrnn: out of memory; choose fewer --units or a smaller --batch-size"),
        (ResourceExhaustedError(), "kerasrnn: out of memory; choose fewer --units"),
        (PermissionError(13, "Permission denied", "a.png"), "kerasrnn: a.png: Permission denied"),
    ],
)
def test_too_little_memory_or_no_permission_is_the_users_to_mend(failing, error, message):
    failing(error)
    assert refused("plot").startswith(message)


def test_ctrl_c_anywhere_is_exit_code_130(failing):
    failing(KeyboardInterrupt())
    result = invoke("plot", code=130)
    assert "Traceback" not in result.stderr and "Aborted" not in result.stderr


@pytest.mark.slow
def test_ctrl_c_ends_training_with_a_usable_run(workplace):
    """A real process, interrupted from outside after its first epoch."""
    words = ["train", "--epochs", "5000", "--units", "4", "--cell", "simple"]
    process = subprocess.Popen(
        [sys.executable, "-m", "kerasrnn", *words], stderr=subprocess.PIPE, text=True
    )
    for line in process.stderr:
        if line.startswith("epoch 2/"):
            process.send_signal(signal.SIGINT)
            break
    rest = process.stderr.read()
    assert process.wait() == 130 and "Traceback" not in rest
    assert "stopped: runs/digits-classifier-1 holds" in rest
    assert "loss.png" in invoke("plot").stdout


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_tensorflow_is_imported(trained, number, code):
    process = subprocess.Popen(
        [sys.executable, "-m", "kerasrnn", "evaluate"], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr.readline() == "run runs/digits-classifier-1\n"
    process.send_signal(number)
    rest = process.stderr.read()
    assert process.wait() == code and rest == ""
