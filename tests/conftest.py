"""Real data where it is at hand, no window, no start-up lines, and no GPU unless asked for."""

import gc
import importlib.util
import os
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

os.environ["MPLBACKEND"] = "agg"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if os.environ.get("KERASRNN_TEST_GPU"):
    os.environ["NVIDIA_TF32_OVERRIDE"] = "0"  # else it rounds products to 10 bits
else:
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # the tests are of a CPU, but those of test_gpu.py
ROOT = Path(__file__).resolve().parents[1]


def load_script(name):
    """A program of scripts/ as a module; it finds those beside it, as when it is run."""
    folder = ROOT / "scripts"
    spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # dataclasses look there
    sys.path.insert(0, str(folder))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(folder))
    return module


if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as of a shell's job in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)  # else children ignore it as well


def pytest_collection_finish():
    """Search all objects for garbage seldom, and never what was imported: 5 % of the time else."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*gc.get_threshold()[:2], 100)


SHARED_DATA = ROOT.parent / "shared" / "data"
if "KERASRNN_DATA" not in os.environ and SHARED_DATA.is_dir():
    os.environ["KERASRNN_DATA"] = str(SHARED_DATA)


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """An empty folder as the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shared_data(name):
    """A folder of the real data; the test is skipped where it is not at hand."""
    folder = Path(os.environ.get("KERASRNN_DATA", "")) / name
    if not folder.is_dir():
        pytest.skip(f"{name} is not under KERASRNN_DATA")
    return folder


@pytest.fixture
def mnist_folder():
    return shared_data("mnist")


@pytest.fixture
def text_folder():
    return shared_data("text")


@pytest.fixture
def ewt_folder():
    return shared_data("tagging/ud-ewt")


@pytest.fixture
def textclass_folder():
    return shared_data("textclass")


@pytest.fixture
def wnut_folder():
    return shared_data("tagging/wnut17")


@pytest.fixture
def timeseries_folder():
    return shared_data("timeseries")


@pytest.fixture(scope="session")
def digit_run(tmp_path_factory):
    """A short run on digits, shared by the tests that only read it."""
    from kerasrnn import load_dataset, train

    out = tmp_path_factory.mktemp("shared") / "digit-run"
    return train(load_dataset("digits"), out, epochs=2, units=(8, 8), quiet=True)


@pytest.fixture(scope="session")
def text_run(tmp_path_factory):
    """A short run of a character generator, shared by the tests that only read it."""
    from kerasrnn import load_corpus, train

    folder = tmp_path_factory.mktemp("shared")
    (folder / "text.txt").write_text("abc fed hig\ncab defg ih\n" * 30)
    options = {"units": (8, 6), "epochs": 2, "sequence_length": 16, "quiet": True}
    return train(load_corpus(folder / "text.txt"), folder / "text-run", **options)


@pytest.fixture(scope="session")
def tiny_exports(tmp_path_factory):
    """A folder with a tiny export of each kind; tests only read it."""
    from factories import export_tiny

    return export_tiny(tmp_path_factory.mktemp("exports"))


@pytest.fixture
def ragged(tmp_path):
    """An .npz of sequences of unequal length: noise around +1 or -1 in each of two features."""
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    lengths = rng.integers(2, 9, 60)
    x = rng.normal(2.0 * y[:, None, None] - 1, 0.5, (60, 9, 2)).astype("float32")
    x[np.arange(9) >= lengths[:, None]] = np.nan
    path = tmp_path / "ragged.npz"
    np.savez(path, x=x, y=np.array(["down", "up"])[y], lengths=lengths)
    return path


def invoke(*arguments, code=0, text=None):
    """The result of a command, which must end with an exit code; ``text`` is its input."""
    from kerasrnn.cli import main

    result = CliRunner().invoke(main, [str(argument) for argument in arguments], input=text)
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


def refused(*arguments, code=2):
    """The last line that a refused command prints, on stderr alone."""
    result = invoke(*arguments, code=code)
    assert result.stdout == "" and "Traceback" not in result.stderr
    return result.stderr.strip().splitlines()[-1]


@pytest.fixture
def trained(workplace, digit_run):
    """A copy of the shared run as runs/digits-classifier-1 of an empty folder."""
    run = workplace / "runs" / "digits-classifier-1"
    shutil.copytree(digit_run.path, run)
    return run


@pytest.fixture
def writing(workplace, text_run):
    """A copy of the shared generator as runs/text-generator-1 of an empty folder."""
    run = workplace / "runs" / "text-generator-1"
    shutil.copytree(text_run.path, run)
    return run
