"""The requests in docs/serving.md, read as TensorFlow Serving reads them, are answered.

What it takes is in tensorflow_serving/util/json_tensor.cc: the shape of an array is that of its
first items, integers have no point, and the row form stacks all inputs on a new first axis.
"""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

pytestmark = pytest.mark.slow

RECIPE = (Path(__file__).parents[1] / "docs" / "serving.md").read_text("utf-8")
REQUESTS = re.findall(
    r"^curl -d '(.*)' \\\n  http://localhost:8501/v1/models/(\w+):predict$", RECIPE, re.MULTILINE
)
KINDS = {tf.float32: (int, float), tf.int32: (int,), tf.int64: (int,), tf.string: (str,)}


def tensor(value, spec):
    """A JSON value as the tensor that the server makes of it; it must suit the signature."""
    array = np.array(value, object)
    assert all(type(item) in KINDS[spec.dtype] for item in array.ravel()), (spec.name, value)
    found = tf.constant(value, spec.dtype)
    assert spec.shape.is_compatible_with(found.shape), (spec, found.shape)
    return found


def tensors(body, specs):
    assert len(body.keys() & {"inputs", "instances"}) == 1
    if "inputs" in body:
        return {name: tensor(body["inputs"][name], spec) for name, spec in specs.items()}
    rows = body["instances"]
    assert rows and all(row.keys() == specs.keys() for row in rows)
    assert all(spec.shape.rank for spec in specs.values())
    return {name: tensor([row[name] for row in rows], spec) for name, spec in specs.items()}


def answer(body, outputs):
    """The response: of an only output without its name, of rows one by one."""
    plain = {name: strings(value.numpy().tolist()) for name, value in outputs.items()}
    if "inputs" in body:
        return {"outputs": plain if len(plain) > 1 else next(iter(plain.values()))}
    rows = zip(*plain.values(), strict=True)
    return {"predictions": [dict(zip(plain, row, strict=True)) for row in rows]}


def strings(value):
    if isinstance(value, list):
        return [strings(item) for item in value]
    return value.decode("utf-8") if isinstance(value, bytes) else value


def ask(folder, body):
    loaded = tf.saved_model.load(folder)
    call = loaded.signatures[body.get("signature_name", "serving_default")]
    found = answer(body, call(**tensors(body, call.structured_input_signature[1])))
    return json.loads(json.dumps(found, allow_nan=False))


@pytest.mark.parametrize(("text", "name"), REQUESTS, ids=[name for _, name in REQUESTS])
def test_a_request_is_answered_row_for_row(tiny_exports, text, name):
    body = json.loads(text)
    found = ask(tiny_exports / name, body)
    if "instances" in body:
        assert len(found["predictions"]) == len(body["instances"])
    else:
        outputs, first = found["outputs"], next(iter(body["inputs"].values()))
        columns = outputs.values() if isinstance(outputs, dict) else [outputs]
        assert [len(column) for column in columns] == [len(first)] * len(columns)


def test_rows_and_columns_of_one_request_get_the_same_answer(tiny_exports):
    texts = [text for text, name in REQUESTS if name == "gestures"]
    columns, rows = (ask(tiny_exports / "gestures", json.loads(text)) for text in texts)
    names = [row["label"] for row in rows["predictions"]]
    assert names == columns["outputs"]["label"]


def test_there_is_a_request_for_every_export_and_signature(tiny_exports):
    asked = {(name, json.loads(text).get("signature_name")) for text, name in REQUESTS}
    rows = {name for text, name in REQUESTS if "instances" in json.loads(text)}
    there = set()
    for path in tiny_exports.iterdir():
        about = json.loads((path / "signature.json").read_text(encoding="utf-8"))
        there |= {(path.name, signature) for signature in about["signatures"]}
        assert path.name in rows or about["task"] != "classifier"
    assert there - asked == {("generator", "step"), ("generator", "serving_default")}
    assert REQUESTS and RECIPE.count("curl -d") == len(REQUESTS)


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash")
def test_the_commands_are_bash():
    blocks = re.findall(r"```bash\n(.*?)```", RECIPE, re.DOTALL)
    assert len(blocks) > len(REQUESTS)
    subprocess.run(["bash", "-n"], input="\n".join(blocks), text=True, check=True)
