"""The model card of an export, in Markdown: what it is, what it takes and how to call it."""

from __future__ import annotations

import json
import shlex

_MEANING = {
    "classifier": "One label for each sequence.",
    "tagger": 'A label for each token of a text; `""` and 0 stand for padding.',
    "generator": "Writes on from a prompt.",
    "infiller": "Fills the blanks of a text, a `_` for each hidden character, or of words `____`.",
    "model": "A Keras model with its own inputs and outputs.",
}
_ALONE = (
    "It is the model alone, numbers in and numbers out: {} has no strings and no loop around a "
    "model, so the signatures of a SavedModel that take or give texts are not in it. Token ids "
    "are those of `vocabularies` in `signature.json`, in which the first token has the id "
    "`first_id`; 0 below it is padding, on the right. A generator is exported as one step: a "
    "token and states in, what may follow and states out. "
)
_KIND = {
    "saved_model": "It needs TensorFlow only, on a CPU or a GPU: labels, vocabulary and scaling "
    "are inside, and LSTM and GRU layers take cuDNN where there is a GPU. Batches may be of any "
    "size, sequences of any length. **A SavedModel is code: load it only if you trust who made "
    "it.**",
    "onnx": _ALONE.format("ONNX") + "`model.onnx` runs with ONNX Runtime.",
    "litert": _ALONE.format("LiteRT")
    + "`model.tflite` takes one sequence at a time, of any length. It has built-in operations "
    "only and needs no Flex delegate; a batch of any size would need it.",
}
_SHORT = 400  # characters of a request that the card still shows


def model_card(name, about, examples, metrics) -> str:
    """The text of model_card.md.

    name: of the export. about: as in signature.json. examples: as in examples.json. metrics:
    of its run, or empty.
    """
    firsts = {example["signature"]: example for example in reversed(examples)}
    call = {"saved_model": _call_saved_model, "onnx": _call_onnx, "litert": _call_litert}
    parts = [
        f"# {name}",
        f"A {about['task']} made by {_made_by(about['versions'])}. " + _MEANING[about["task"]],
        _KIND[about["kind"]],
        *_measured(metrics),
        *_labels(about["labels"]),
        "## Signatures",
        _signatures(about["signatures"]),
        *(call[about["kind"]](name, one, firsts[one]) for one in about["signatures"]),
        "## Is it intact?",
        "`python check.py` runs the examples of `examples.json` and compares the answers with "
        "those of the Keras model; `signature.json` has the SHA-256 of every file.",
    ]
    return "\n\n".join(parts) + "\n"


def _made_by(versions):
    """Those that are known: another build of TensorFlow has another name."""
    names = [name for name in ("kerasrnn", "tensorflow", "keras") if name in versions]
    return ", ".join(f"{name} {versions[name]}" for name in names) or "kerasrnn"


def _measured(metrics):
    rows = {part: metrics[part] for part in ("validation", "test", "baseline") if part in metrics}
    if not rows:
        return []
    names = [name for name, value in next(iter(rows.values())).items() if isinstance(value, float)]
    table = [["", *names]] + [
        [part, *(f"{row[name]:.4f}" if name in row else "" for name in names)]
        for part, row in rows.items()
    ]
    return ["## Measured", _table(table)]


def _labels(labels):
    if not labels:
        return []
    listed = ", ".join(f"`{label}`" for label in labels)
    return ["## Labels", f"In the order of the last axis of `probabilities`: {listed}"]


def _signatures(signatures):
    rows = [["signature", "inputs", "outputs"]]
    for name, sides in signatures.items():
        rows.append([f"`{name}`", *(_specs(sides[side]) for side in ("inputs", "outputs"))])
    return _table(rows)


def _specs(specs):
    each = (f"`{name}` {spec['dtype']}{_shape(spec['shape'])}" for name, spec in specs.items())
    return "<br>".join(each)


def _shape(sizes):
    return f" ({', '.join('any' if n is None else str(n) for n in sizes)})" if sizes else ""


def _table(rows):
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def _call_saved_model(name, signature, example):
    """How to call a signature, with the first of its examples."""
    request = json.dumps(
        {"signature_name": signature, "inputs": example["inputs"]}, ensure_ascii=False
    )
    short = len(request) <= _SHORT
    answer = json.dumps({"outputs": _outputs(example["outputs"])}, ensure_ascii=False)
    read = f"""import json, pathlib
import tensorflow as tf

folder = pathlib.Path({name!r})  # where this export is
examples = json.loads((folder / "examples.json").read_text())
inputs = next(e["inputs"] for e in examples if e["signature"] == {signature!r})
"""
    inputs = "inputs = " + repr(example["inputs"]) + "\n"
    code = f"import tensorflow as tf\n\n{inputs}" if short else read
    path = repr(name) if short else "folder"
    body = (
        f"curl -d {shlex.quote(request)} \\\n"
        if short
        else f"""python - > request.json <<'END'
import json
example = next(e for e in json.load(open("examples.json")) if e["signature"] == {signature!r})
print(json.dumps({{"signature_name": {signature!r}, "inputs": example["inputs"]}}))
END
curl -d @request.json \\\n"""
    )
    return f"""## Calling `{signature}`

```python
{code}model = tf.saved_model.load({path})  # keep it: its signatures live no longer
call = model.signatures[{signature!r}]
specs = call.structured_input_signature[1]
print(call(**{{name: tf.constant(value, specs[name].dtype) for name, value in inputs.items()}}))
```

With TensorFlow Serving's REST interface, for a model that is served as `{name}`:

```bash
{body}  http://localhost:8501/v1/models/{name}:predict
```

which answers {"`" + answer + "`" if len(answer) <= _SHORT else "with `outputs`"}.

```bash
{_command_line(name, signature, example)}
```"""


def _outputs(outputs):
    return next(iter(outputs.values())) if len(outputs) == 1 else outputs


def _command_line(name, signature, example):
    shown = f"saved_model_cli show --dir {shlex.quote(name)} --tag_set serve"
    run = f"saved_model_cli run --dir {shlex.quote(name)} --tag_set serve"
    given = ";".join(f"{key}={value!r}" for key, value in example["inputs"].items())
    files = ";".join(f"{key}={key}.npy" for key in example["inputs"])
    inputs = (
        f"--input_exprs {shlex.quote(given)}" if len(given) <= _SHORT else f"--inputs '{files}'"
    )
    return f"{shown} --signature_def {signature}\n{run} --signature_def {signature} {inputs}"


def _call_onnx(*_):
    return """## Calling it

```python
import json
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("model.onnx")
inputs = json.load(open("examples.json"))[0]["inputs"]
types = {"tensor(float)": "float32", "tensor(int32)": "int32"}
arrays = {i.name: np.array(inputs[i.name], types[i.type]) for i in session.get_inputs()}
print(session.run(None, arrays))
```"""


def _call_litert(*_):
    return """## Calling it

```python
import json
import numpy as np
from ai_edge_litert.interpreter import Interpreter  # or tensorflow.lite.Interpreter

run = Interpreter("model.tflite").get_signature_runner()
inputs = json.load(open("examples.json"))[0]["inputs"]
kinds = run.get_input_details()
print(run(**{name: np.array(inputs[name], kinds[name]["dtype"]) for name in kinds}))
```"""
