"""The model card of an export, in Markdown: what it is, what it takes and how to call it."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from string import Template

from kerasrnn.exporting.formats import format_module
from kerasrnn.history import measured
from kerasrnn.inference.signatures import Example

_CALL = Template("""## Calling it

```python
import json
import pathlib

import numpy as np


$open_model

folder = pathlib.Path($folder)  # where this export is
answer = open_model(folder)
for example in json.loads((folder / "examples.json").read_text(encoding="utf-8")):
    print(example["signature"], answer(example["signature"], example["inputs"]))
```""")
_INTACT = """## Is it intact?

`python check.py` runs the examples of `examples.json` and compares the answers with those of the
Keras model; `signature.json` has the SHA-256 of every file."""


def model_card(
    name: str, summary: str, about: dict, examples: Sequence[Example], metrics: dict
) -> str:
    """The text of model_card.md.

    Args:
        name: of the export.
        summary: what its task does, in a sentence.
        about: as in signature.json.
        examples: as in examples.json.
        metrics: those of its run; empty where there is none.
    """
    module = format_module(about["kind"])
    parts = [
        f"# {name}",
        f"{summary} Task: {about['task']}; made by {_made_by(about['versions'])}.",
        module.WORDS,
        *_measured(metrics),
        *_labels(about["labels"]),
        "## Signatures",
        _signatures(about["signatures"]),
        _CALL.substitute(open_model=inspect.getsource(module.open_model), folder=repr(name)),
        *_usage(module, name, examples),
        _INTACT,
    ]
    return "\n\n".join(parts) + "\n"


def _usage(module, name, examples):
    """Other ways to call each signature, where the format has some."""
    if not hasattr(module, "usage"):
        return []
    first = {example.signature: example for example in reversed(examples)}
    return [module.usage(name, first[signature]) for signature in sorted(first)]


def _made_by(versions):
    """Those that are known: another build of TensorFlow has another name."""
    names = [name for name in ("kerasrnn", "tensorflow", "keras") if name in versions]
    return ", ".join(f"{name} {versions[name]}" for name in names) or "kerasrnn"


def _measured(metrics):
    rows = measured(metrics)
    if not rows:
        return []
    names = [name for name, value in next(iter(rows.values())).items() if isinstance(value, float)]
    table = [["", *names]] + [
        [part, *(_number(row.get(name)) for name in names)] for part, row in rows.items()
    ]
    return ["## Measured", _table(table)]


def _number(value):
    return f"{value:.4f}" if isinstance(value, float) else ""


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
