"""Serving: requests a second, latency, time to load and characters a second of exports.

    python scripts/benchmark_inference.py classify --output serving.png
    python scripts/benchmark_inference.py classify runs/digits-classifier-1
    python scripts/benchmark_inference.py classify --shape mnist
    python scripts/benchmark_inference.py load
    python scripts/benchmark_inference.py generate

All have the same weights and take turns in one process, so that a busy machine troubles them
alike; ratios are of turns taken one after the other. PyTorch and ONNX Runtime take part where
they are installed, after it is checked that they answer the same.
"""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click
import numpy as np
from peers import TorchModel, stock, timed

from kerasrnn.engine.native import cores

SHAPES = {"digits": (8, 8), "mnist": (28, 28)}
BATCHES = (1, 8, 64, 512)
TOLERANCE = {"CPU": 1e-5, "GPU": 1e-3}  # which multiplies in TensorFloat-32
REFERENCE = "Keras predict"  # whose time is 1
FIRST_PREDICTION = """
import json, sys, time
import tensorflow as tf
inputs = json.loads(sys.argv[2])
start = time.perf_counter()
loaded = tf.saved_model.load(sys.argv[1])
call = loaded.signatures["serving_default"]
specs = call.structured_input_signature[1]
found = call(**{name: tf.constant(inputs[name], specs[name].dtype) for name in specs})
[value.numpy() for value in found.values()]
print(time.perf_counter() - start)
"""


@dataclass(eq=False)
class Contender:
    """A way to ask the model. call: x (batch, time, features) → probabilities, NumPy arrays.

    latencies: seconds of each call. turns: seconds a call, of each turn.
    """

    name: str
    call: Callable
    latencies: list[float] = field(default_factory=list)
    turns: list[float] = field(default_factory=list)


# --- contenders ---------------------------------------------------------------------------


def contenders(model, folder):
    """All that can take part, Keras's ``predict`` first."""
    from kerasrnn.inference.calling import compiled

    twin, graph = stock(model), compiled(model)
    yield Contender(REFERENCE, lambda x: twin.predict(x, batch_size=len(x), verbose=0))
    yield Contender("Keras __call__", lambda x: twin(x, training=False).numpy())
    yield Contender("kerasrnn predict", lambda x: model.predict(x, batch_size=len(x), verbose=0))
    yield Contender("kerasrnn compiled", graph)
    yield Contender("SavedModel", saved_model(model, folder))
    for name, package, make in (
        ("ONNX Runtime", "onnxruntime", onnx_runtime),
        ("PyTorch", "torch", pytorch),
    ):
        try:
            if importlib.util.find_spec(package) is None:
                raise ValueError(f"{package} is not installed")
            yield Contender(name, make(model, folder))
        except ValueError as error:  # InputError of an export is one too
            click.echo(f"without {name}: {error}")


def untrained(shape):
    """The model of ``kerasrnn train --stacked`` for sequences of a shape."""
    from kerasrnn import build_classifier

    return build_classifier(SHAPES[shape], num_classes=10, units=(50, 50))


def _labels(model):
    return [str(number) for number in range(model.output_shape[-1])]


def saved_model(model, folder):
    import tensorflow as tf

    from kerasrnn import export, load_export

    path = export(model, folder / "saved_model", labels=_labels(model), check=False)
    call = load_export(path).function("serving_default")
    return lambda x: call(x=tf.constant(x))["probabilities"].numpy()


def onnx_runtime(model, folder):
    import onnxruntime

    from kerasrnn import export

    path = export(model, folder / "onnx", format="onnx", labels=_labels(model), check=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cores()
    session = onnxruntime.InferenceSession(path / "model.onnx", options)
    (given,) = session.get_inputs()
    return lambda x: session.run(None, {given.name: x})[0]


def pytorch(model, folder):
    import torch

    torch.set_num_threads(cores())
    return TorchModel(model)


# --- measuring ----------------------------------------------------------------------------


def check_alike(contenders, x):
    """End here if one of them answers otherwise than the first."""
    import tensorflow as tf

    tolerance = TOLERANCE["GPU" if tf.config.list_physical_devices("GPU") else "CPU"]
    expected = contenders[0].call(x)
    for contender in contenders[1:]:
        delta = float(np.abs(contender.call(x) - expected).max())
        if not delta <= tolerance:
            raise click.ClickException(f"{contender.name} differs by {delta:.2g}")


def take_turns(contenders, x, turns, calls):
    """So many turns of so many calls of each, after some that do not count."""
    for contender in contenders:
        contender.latencies, contender.turns = [], []
        for _ in range(min(calls, 5)):
            contender.call(x)
    for _ in range(turns):
        for contender in contenders:
            latencies = [timed(lambda c=contender: c.call(x)) for _ in range(calls)]
            contender.latencies += latencies
            contender.turns.append(sum(latencies) / calls)


def summary(contender, reference, batch):
    """The numbers of a row of the table.

    A request is one sequence; a call has a batch of them. latency: seconds of a call, p50 and
    p99. ratio: how many times the requests a second of the reference, the median of turns.
    """
    rates = [batch / seconds for seconds in contender.turns]
    pairs = zip(reference.turns, contender.turns, strict=True)
    return {
        "batch": batch,
        "name": contender.name,
        "median": statistics.median(rates),
        "best": max(rates),
        "latency": np.percentile(contender.latencies, [50, 99]).tolist(),
        "ratio": statistics.median(theirs / own for theirs, own in pairs),
    }


def show(row):
    p50, p99 = (1000 * seconds for seconds in row["latency"])
    click.echo(
        f"| {row['batch']} | {row['name']} | {row['median']:,.0f} | {row['best']:,.0f} "
        f"| {p50:.2f} | {p99:.2f} | {row['ratio']:.2f} |"
    )


def draw(rows, output):
    """Latency, and requests a second beside the reference, by batch size."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.5), layout="constrained")
    latency, ratio = figure.subplots(1, 2)
    for number, name in enumerate(dict.fromkeys(row["name"] for row in rows)):
        own = [row for row in rows if row["name"] == name]
        sizes = [row["batch"] for row in own]
        style = {"color": f"C{number}", "marker": "osD^vPX"[number % 7]}
        p50, p99 = np.transpose([row["latency"] for row in own]) * 1000
        latency.errorbar(sizes, p50, [0 * p50, np.maximum(p99 - p50, 0)], **style, label=name)
        ratio.plot(sizes, [row["ratio"] for row in own], **style)
    latency.set(ylabel="latency of a call, p50 to p99, ms", title="Latency")
    ratio.set(ylabel=f"times the requests a second of {REFERENCE}", title="Throughput")
    ratio.axhline(1, color="grey", linewidth=0.8)
    for panel in (latency, ratio):
        panel.set(xscale="log", yscale="log", xlabel="sequences a call")
        panel.set_xticks(sizes, map(str, sizes))
        panel.minorticks_off()
        panel.grid(alpha=0.3)
    figure.legend(*latency.get_legend_handles_labels(), loc="outside right center")
    figure.savefig(output, dpi=120)


# --- command line -------------------------------------------------------------------------


@click.group()
def main():
    """Compare ways to serve a model, in one run."""
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(cores())
    except RuntimeError:  # TensorFlow is at work already
        click.echo("TensorFlow keeps its number of threads", err=True)


TURNS = click.option("--turns", type=click.IntRange(1), default=10, show_default=True)


@main.command()
@click.argument("model", required=False)
@click.option("--shape", type=click.Choice(list(SHAPES)), default="digits", show_default=True)
@click.option("--batch", "batches", type=int, multiple=True, default=BATCHES, show_default=True)
@TURNS
@click.option("--calls", type=click.IntRange(1), default=10, show_default=True, help="Of a turn.")
@click.option("--output", type=click.Path(path_type=Path), help="Draw a picture too.")
def classify(model, shape, batches, turns, calls, output):
    """Requests a second and latency of a classifier.

    MODEL is a run or a .keras file; by default the model of `kerasrnn train --stacked`,
    untrained.
    """
    import keras

    from kerasrnn import load_model

    keras.utils.set_random_seed(0)
    model = load_model(model) if model else untrained(shape)
    if len(model.inputs) > 1 or model.inputs[0].dtype != "float32":
        raise click.UsageError("MODEL must take sequences of numbers of one length")
    time, features = model.inputs[0].shape[1:]
    x = np.random.default_rng(0).normal(size=(max(batches), time or 28, features))
    x, rows = x.astype("float32"), []
    with tempfile.TemporaryDirectory() as folder:
        taking_part = list(contenders(model, Path(folder)))
        check_alike(taking_part, x)
        click.echo(f"\nx is (batch, {x.shape[1]}, {features}), {cores()} cores; a request is one")
        click.echo("sequence, a call has a batch of them; times are of calls\n")
        click.echo("| batch | | requests/s, median | best | p50 ms | p99 ms | ratio |")
        click.echo("|---|---|---|---|---|---|---|")
        for batch in batches:
            take_turns(taking_part, x[:batch], turns, calls)
            rows += [summary(contender, taking_part[0], batch) for contender in taking_part]
            for row in rows[-len(taking_part) :]:
                show(row)
    if output:
        draw(rows, output)
        click.echo(f"\nwrote {output}")


@main.command()
@click.argument("path", required=False, type=click.Path(exists=True, path_type=Path))
@TURNS
def load(path, turns):
    """Loading an export plus its first prediction, each in a fresh process with TensorFlow.

    PATH is an export; by default one of the model of `kerasrnn train --stacked`.
    """
    from kerasrnn import export

    with tempfile.TemporaryDirectory() as folder:
        if path is None:
            model = untrained("digits")
            path = export(model, Path(folder) / "digits", labels=_labels(model), check=False)
        example = json.loads((path / "examples.json").read_text(encoding="utf-8"))[0]
        command = [sys.executable, "-P", "-c", FIRST_PREDICTION, path]
        command.append(json.dumps(example["inputs"]))
        seconds = [
            float(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
            for _ in range(turns)
        ]
    click.echo(
        f"load and first prediction: minimum {min(seconds):.2f} s, "
        f"median {statistics.median(seconds):.2f} s, maximum {max(seconds):.2f} s"
    )


@main.command()
@TURNS
@click.option("--max-length", type=int, default=1000, show_default=True, help="Characters a turn.")
@click.option("--units", type=int, default=256, show_default=True, help="Of the LSTM.")
def generate(turns, max_length, units):
    """Characters a second of an exported generator, beside `TextGenerator.generate`.

    It has 65 characters.
    """
    import tensorflow as tf

    from kerasrnn import TextGenerator, Vocabulary, build_generator, export, load_export

    vocabulary = Vocabulary(map(chr, range(32, 32 + 64)))  # and the unknown one
    generator = TextGenerator(build_generator(vocabulary.num_ids, units=units), vocabulary)
    with tempfile.TemporaryDirectory() as folder:
        call = load_export(export(generator, Path(folder) / "generator", check=False)).function(
            "generate"
        )
    prompt = tf.constant(["THE "])
    numbers = {
        "max_length": tf.constant(max_length),
        "temperature": tf.constant(1.0),
        "top_k": tf.constant(0),
        "top_p": tf.constant(1.0),
        "seed": tf.constant(0, tf.int64),
    }
    calls = {
        "generate": lambda: generator.generate("THE ", max_length),
        "export": lambda: call(prompt=prompt, **numbers)["text"].numpy(),
    }
    rates = {name: [] for name in calls}
    for turn in range(-2, turns):  # the first two do not count
        for name, ask in calls.items():
            rate = max_length / timed(ask)
            if turn >= 0:
                rates[name].append(rate)
    rates["ratio"] = [b / a for a, b in zip(*rates.values(), strict=True)]
    for name, values in rates.items():
        low, middle = min(values), statistics.median(values)
        click.echo(f"{name:<14} minimum {low:>10,.2f}  median {middle:>10,.2f}")


if __name__ == "__main__":
    main()
