"""The model alone in ONNX and LiteRT; ONNX where tf2onnx is installed."""

import json

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from test_serving import LABELS, some_infiller, some_tagger, some_writer

from kerasrnn import InputError, load_export, models
from kerasrnn.cli import main
from kerasrnn.exporting import export


def test_litert_answers_as_the_model_without_flex(digit_run, workplace):
    result = CliRunner().invoke(main, ["export", str(digit_run.path), "--format", "litert"])
    if keras.__version__ < "3.15":
        assert result.exit_code == 2 and "LiteRT needs Keras 3.15 or newer" in result.stderr
        return
    assert result.exit_code == 0, result.output  # it was checked
    assert result.stdout == "saved_models/digit-run-litert\n"
    line = "litert has no strings and no loop around a model: in place of serving_default there is"
    assert f"{line} x → probabilities, as numbers" in result.stderr
    assert b"Flex" not in (workplace / "saved_models/digit-run-litert/model.tflite").read_bytes()
    with pytest.raises(InputError, match="an export as litert, not as a SavedModel"):
        load_export("saved_models/digit-run-litert")


def test_onnx_is_refused_where_it_is_not_installed(workplace, monkeypatch):
    from kerasrnn.exporting import conversion

    monkeypatch.setattr(conversion, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"ONNX needs tf2onnx; pip install 'kerasrnn\[onnx\]'"):
        export(some_writer(), "x", format="onnx")
    assert not list(workplace.iterdir())


def onnx_session(folder):
    onnxruntime = pytest.importorskip("onnxruntime")
    return onnxruntime.InferenceSession(folder / "model.onnx")


@pytest.mark.parametrize("cell", ["lstm", "gru", "simple"])
def test_onnx_takes_any_batch_any_length_and_any_padding(workplace, cell):
    pytest.importorskip("tf2onnx")
    options = {"lengths": True, "units": (6, 5), "cell": cell, "pooling": "max"}
    model = models.build_classifier((None, 3), 3, **options)
    session = onnx_session(export(model, "c", labels=LABELS, format="onnx"))
    rng = np.random.default_rng(0)
    for batch, time in ((1, 1), (4, 9), (64, 28)):
        x = rng.normal(size=(batch, time, 3)).astype("float32")
        lengths = rng.integers(1, time + 1, batch).astype("int32")
        x[np.arange(time) >= lengths[:, None]] = np.nan
        (found,) = session.run(None, {"x": x, "lengths": lengths})
        np.testing.assert_allclose(found, model([x, lengths]), atol=1e-5)


@pytest.mark.parametrize("make", [some_tagger, some_writer, some_infiller])
def test_onnx_of_texts_has_ids_and_a_vocabulary_beside_it(workplace, make):
    pytest.importorskip("tf2onnx")
    pytest.importorskip("onnxruntime")
    about = json.loads((export(make(), "x", format="onnx") / "signature.json").read_text())
    tokens = about["vocabularies"]["tokens"]
    assert tokens["tokens"][0] == "<unk>" and tokens["first_id"] == (
        1 if make is some_tagger else 0
    )
    (sides,) = about["signatures"].values()
    assert "string" not in json.dumps(sides) and about["instead_of"][0] == "serving_default"
