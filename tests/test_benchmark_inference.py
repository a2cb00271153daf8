"""scripts/benchmark_inference.py runs, and its PyTorch twin answers as the Keras model does."""

import re

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from conftest import load_script

from kerasrnn import build_classifier

pytestmark = pytest.mark.slow

benchmark = load_script("benchmark_inference")


def run(*arguments):
    result = CliRunner().invoke(benchmark.main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_classify_gives_a_row_for_each_contender_and_a_picture(tmp_path):
    picture = tmp_path / "serving.png"
    given = ["--turns", 1, "--calls", 2, "--batch", 1, "--batch", 2, "--output", picture]
    output = run("classify", *given)
    rows = re.findall(r"^\| (\d) \| ([\w ]+) \|", output, re.MULTILINE)
    for batch in "12":
        assert {(batch, "Keras predict"), (batch, "Keras __call__"), (batch, "SavedModel")} <= {
            *rows
        }
    assert picture.stat().st_size > 1000


def test_contenders_that_differ_end_the_benchmark():
    right = benchmark.Contender("one", lambda x: x)
    wrong = benchmark.Contender("other", lambda x: x + 1e-4)
    with pytest.raises(benchmark.click.ClickException, match="other differs by 0.0001"):
        benchmark.check_alike([right, wrong], np.zeros(3, "float32"))


def test_load_is_timed_in_a_fresh_process(tiny_exports):
    output = run("load", tiny_exports / "gestures", "--turns", 1)
    assert re.search(r"minimum \d+\.\d\d s", output)


def test_generate_compares_the_export_with_the_generator():
    output = run("generate", "--turns", 1, "--max-length", 5, "--units", 3)
    assert re.search(r"^ratio +minimum +\d", output, re.MULTILINE)


@pytest.mark.parametrize("cell", ["lstm", "gru", "simple"])
def test_pytorch_gets_the_same_weights(cell, tmp_path):
    pytest.importorskip("torch")
    scaling = keras.layers.Normalization(mean=[1.0, 2.0], variance=[4.0, 9.0])
    model = build_classifier((4, 2), num_classes=3, units=(3, 5), cell=cell, scaling=scaling)
    for weight in model.trainable_variables:  # biases too
        weight.assign(np.random.default_rng(1).normal(size=weight.shape))
    x = np.random.default_rng(0).normal(size=(6, 4, 2)).astype("float32")
    found = benchmark.pytorch(model, tmp_path)(x)
    np.testing.assert_allclose(found, model(x), atol=1e-6)
