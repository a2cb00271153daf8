"""The model alone in ONNX and LiteRT; ONNX where tf2onnx is installed."""

import json

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from factories import LABELS, some_generator, some_infiller, some_tagger

from kerasrnn import (
    InputError,
    build_classifier,
    build_ensemble,
    build_regressor,
    export,
    load_export,
)
from kerasrnn.cli import main
from kerasrnn.exporting import onnx

pytestmark = pytest.mark.slow


@pytest.mark.slow
def test_litert_answers_as_the_model_without_flex(digit_run, workplace):
    result = CliRunner().invoke(main, ["export", str(digit_run), "--format", "litert"])
    assert result.exit_code == 0, result.output  # it was checked
    assert result.stdout == "saved_models/digit-run-litert\n"
    folder = workplace / "saved_models" / "digit-run-litert"
    assert b"Flex" not in (folder / "model.tflite").read_bytes()
    with pytest.raises(InputError, match="an export as litert, not as a SavedModel"):
        load_export(folder)


def test_onnx_is_refused_where_it_is_not_installed(workplace, monkeypatch):
    monkeypatch.setattr(onnx, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"ONNX needs tf2onnx; pip install 'kerasrnn\[onnx\]'"):
        export(some_generator(), "x", format="onnx")
    assert not list(workplace.iterdir())


def onnx_session(folder):
    onnxruntime = pytest.importorskip("onnxruntime")
    return onnxruntime.InferenceSession(folder / "model.onnx")


def test_litert_of_an_average_of_forecasts(workplace):
    made = {"targets": 1, "horizon": 6, "units": 4, "cell": "simple"}
    models = [build_regressor((8, 1), **made) for _ in range(2)]
    export(build_ensemble(models), "x", format="litert")  # it was checked


@pytest.mark.parametrize("cell", ["lstm", "gru", "simple"])
def test_onnx_takes_any_batch_any_length_and_any_padding(workplace, cell):
    pytest.importorskip("tf2onnx")
    options = {"lengths": True, "units": (6, 5), "cell": cell, "pooling": "max"}
    scaling = keras.layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 1.0, 9.0])
    model = build_classifier((None, 3), num_classes=3, scaling=scaling, **options)
    session = onnx_session(export(model, "c", labels=LABELS, format="onnx"))
    rng = np.random.default_rng(0)
    for batch, time in ((1, 1), (4, 9), (64, 28)):
        x = rng.normal(size=(batch, time, 3)).astype("float32")
        lengths = rng.integers(1, time + 1, batch).astype("int32")
        x[np.arange(time) >= lengths[:, None]] = np.nan
        (found,) = session.run(None, {"x": x, "lengths": lengths})
        np.testing.assert_allclose(found, model([x, lengths]), atol=1e-5)


@pytest.mark.parametrize("make", [some_tagger, some_generator, some_infiller])
def test_onnx_of_texts_has_ids_and_a_vocabulary_beside_it(workplace, make):
    pytest.importorskip("tf2onnx")
    pytest.importorskip("onnxruntime")
    source = make(activation=None)
    about = json.loads((export(source, "x", format="onnx") / "signature.json").read_text())
    assert about["vocabularies"]["tokens"] == {
        "first_id": source.vocabulary.first_id,
        "tokens": list(source.vocabulary.tokens),
    }
    (sides,) = about["signatures"].values()
    assert "string" not in json.dumps(sides)
    assert next(iter(sides["outputs"])) == "logits", "a model without a softmax gets none"


@pytest.mark.parametrize(
    ("precision", "make", "format"),
    [("mixed_float16", some_generator, "onnx"), ("mixed_bfloat16", some_tagger, "litert")],
)
def test_a_model_of_mixed_precision_is_converted_in_float32(workplace, precision, make, format):
    if format == "onnx":
        pytest.importorskip("tf2onnx")
        pytest.importorskip("onnxruntime")
    source = make(precision=precision)
    place = export(source, "x", format=format)  # it was checked
    (example,) = json.loads((place / "examples.json").read_text())
    outputs = example["outputs"]["probabilities"]
    keras.utils.clear_session()
    exact = make(precision="float32")
    exact.model.set_weights(source.model.get_weights())
    (same,) = json.loads(
        (export(exact, "y", format=format, check=False) / "examples.json").read_text()
    )
    np.testing.assert_allclose(outputs, same["outputs"]["probabilities"], atol=1e-6)


def test_the_program_of_the_card_runs_as_it_stands(workplace, capsys):
    pytest.importorskip("tf2onnx")
    pytest.importorskip("onnxruntime")
    card = (export(some_tagger(), "tags", format="onnx") / "model_card.md").read_text()
    assert "`vocabularies`" in card
    (program,) = (part.split("```")[0] for part in card.split("```python\n")[1:])
    exec(program, {})
    assert "array" in capsys.readouterr().out


def test_what_a_converter_says_is_one_line(workplace, monkeypatch):
    pytest.importorskip("tf2onnx")
    from tf2onnx import convert

    def fail(*arguments, **options):
        raise RuntimeError("no such op: Rfft\n  in node a\n  in node b")

    monkeypatch.setattr(convert, "from_function", fail)
    with pytest.raises(InputError, match="^cannot convert to ONNX: no such op: Rfft$"):
        export(some_tagger(), "x", format="onnx")
    assert not list(workplace.iterdir())
