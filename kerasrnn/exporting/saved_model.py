"""SavedModel: all signatures, with strings and loops, for any device."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from string import Template

import tensorflow as tf

from kerasrnn.errors import InputError, reason_of
from kerasrnn.exporting.formats import Written, described
from kerasrnn.inference.signatures import Example, Servable

WORDS = (
    "It needs TensorFlow only, on a CPU or a GPU: labels, vocabulary and scaling are inside. Each "
    "LSTM and GRU layer is in it twice, once for a CPU and once for cuDNN. Batches may be of any "
    "size, sequences of any length. **A SavedModel is code: load it only if you trust who made "
    "it.**"
)
_SHORT = 400  # characters of a request that the card still shows
_USAGE = Template("""### `$signature`

With TensorFlow Serving's REST interface$where, for a model that is served as `$name`:

```bash
curl -d $request \\
  http://localhost:8501/v1/models/$name:predict
```

which answers $answer. With TensorFlow's own tool:

```bash
saved_model_cli show --dir $folder --tag_set serve --signature_def $signature
saved_model_cli run --dir $folder --tag_set serve --signature_def $signature $inputs
```""")


def write(servable: Servable, place: Path) -> Written:
    """Write a SavedModel with its tables.

    Raises:
        InputError: a layer has states or tables of its own.
        OSError: the place cannot be written.
    """
    module = tf.Module()
    module.weights = [variable.value for variable in servable.model.variables]
    module.tables = list(servable.tables)
    graphs, traced = {}, {}
    for name, (function, inputs) in servable.signatures.items():
        if function not in graphs:
            graph = tf.function(function, input_signature=inputs, autograph=False)
            graphs[function] = graph.get_concrete_function()
        traced[name] = graphs[function]
    try:
        tf.saved_model.save(module, place, signatures=traced)
    except tf.errors.OpError as error:  # of a full disk, for one
        raise OSError(reason_of(error)) from error
    except AssertionError as error:  # variables or tables that are no weights
        raise InputError(
            "a layer with states or tables of its own cannot be exported",
            fix="build the model without stateful=True and look-ups of strings",
        ) from error
    signatures = {
        name: described(servable.signatures[name].inputs, graph.structured_outputs)
        for name, graph in traced.items()
    }
    return Written(signatures, servable.examples)


def usage(name: str, example: Example) -> str:
    """How to call the signature of an example without Python, Markdown for the model card."""
    signature, inputs, outputs = example
    request = _json({"signature_name": signature, "inputs": inputs})
    answer = _json({"outputs": outputs if len(outputs) > 1 else next(iter(outputs.values()))})
    short = len(request) <= _SHORT
    return _USAGE.substitute(
        name=name,
        signature=signature,
        folder=shlex.quote(name),
        request=shlex.quote(request) if short else "@request.json",
        where="" if short else " (`signature_name`, and `inputs` as in `examples.json`)",
        answer=f"`{answer}`" if len(answer) <= _SHORT else "with `outputs`",
        inputs=_tool_inputs(inputs),
    )


def open_model(folder):
    """A function of the name of a signature and its inputs that gives arrays by name."""
    import tensorflow as tf

    loaded = tf.saved_model.load(folder)  # its functions live no longer than it

    def answer(signature, inputs):
        asked = loaded.signatures[signature]
        specs = asked.structured_input_signature[1]
        tensors = {name: tf.constant(inputs[name], specs[name].dtype) for name in specs}
        return {name: value.numpy() for name, value in asked(**tensors).items()}

    return answer


def _tool_inputs(inputs):
    """The inputs as saved_model_cli takes them: expressions, or files where they are long."""
    expressions = ";".join(f"{name}={value!r}" for name, value in inputs.items())
    if len(expressions) <= _SHORT:
        return f"--input_exprs {shlex.quote(expressions)}"
    return f"--inputs '{';'.join(f'{name}={name}.npy' for name in inputs)}'"


def _json(value):
    return json.dumps(value, ensure_ascii=False)
