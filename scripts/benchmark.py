"""Times of training, prediction and generation, beside stock Keras and PyTorch, in one run.

    python scripts/benchmark.py step                    # fit against fit
    python scripts/benchmark.py predict
    python scripts/benchmark.py generate [RUN]
    python scripts/benchmark.py scaling --output scaling.png

All take turns in one process, so that a busy machine troubles them alike; the ratios are of
times taken one after the other. PyTorch takes part where it is installed. The limit is what a
large product of matrices reaches at the same moment.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import statistics
import sys
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click

GATES = {"lstm": 4, "gru": 3, "simple": 1}
WINDOW = 40  # characters that the Keras example reads anew for each one it writes
PROMPT = "the "


@dataclass(frozen=True)
class Work:
    """A model and what it reads. features: of a classifier; None for a character generator."""

    name: str
    units: tuple[int, ...]
    batch: int
    time: int
    features: int | None
    cell: str = "lstm"
    classes: int = 10

    @property
    def directions(self):
        return 1 if self.features is None else 2

    def operations(self):
        """Floating-point operations of the recurrent layers, forward, for one batch."""
        total, width = 0, self.features or 64
        for units in self.units:
            total += self.directions * GATES[self.cell] * units * (width + units)
            width = units * self.directions
        return 2 * total * self.batch * self.time


WORK = (
    Work("BiLSTM(50)×2, batch 64, 28×28", (50, 50), 64, 28, 28),
    Work("BiLSTM(128)×2, batch 100, 28×28", (128, 128), 100, 28, 28),
    Work("character LSTM 256, batch 64, 64 steps", (256,), 64, 64, None, classes=65),
)


def arrays(work, batches):
    """Inputs and targets of so many batches."""
    import numpy as np

    rng = np.random.default_rng(0)
    rows = work.batch * batches
    if work.features is None:
        ids = rng.integers(0, work.classes, (rows, work.time + 1), "int32")
        return ids[:, :-1], ids[:, 1:]
    x = rng.normal(size=(rows, work.time, work.features)).astype("float32")
    return x, rng.integers(0, work.classes, rows, "int32")


def ours(work):
    """The model of this package."""
    import keras

    from kerasrnn import build_classifier, build_generator

    keras.utils.set_random_seed(0)
    how = {"units": work.units, "cell": work.cell, "dropout": 0.2}
    if work.features is None:
        model = build_generator(work.classes, embedding=64, **how)
    else:
        model = build_classifier((work.time, work.features), work.classes, **how)
    return compiled(model)


def stock(work):
    """The same model of Keras's own layers, with the same weights."""
    model = ours(work)
    config = json.loads(json.dumps(model.get_config()), object_hook=_as_keras_layer)
    same = type(model).from_config(config)
    same.set_weights(model.get_weights())
    assert not any("kerasrnn" in type(layer).__module__ for layer in same._flatten_layers())
    return compiled(same)


def _as_keras_layer(item):
    if item.get("registered_name") in {
        f"kerasrnn>{name}" for name in ("Bidirectional", "LSTM", "GRU", "SimpleRNN")
    }:
        return {**item, "module": "keras.layers", "registered_name": None}
    return item


def compiled(model):
    """The model, ready to learn."""
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


class Torch:
    """The same network of PyTorch, with the two calls of Keras that are timed."""

    def __init__(self, work):
        import torch
        from torch import nn

        self.torch, self.work = torch, work
        kinds = {"lstm": nn.LSTM, "gru": nn.GRU, "simple": nn.RNN}
        (units, *more), number = work.units, len(work.units)
        assert all(width == units for width in more)
        width = work.features or 64
        dropout = 0.2 if number > 1 else 0
        both = work.directions == 2
        layers = {
            "rnn": kinds[work.cell](
                width, units, number, batch_first=True, bidirectional=both, dropout=dropout
            ),
            "dropout": nn.Dropout(0.2),
            "head": nn.Linear(units * work.directions, work.classes),
        }
        if work.features is None:
            layers["embedding"] = nn.Embedding(work.classes, width)
        self.layers = nn.ModuleDict(layers)
        self.optimizer = torch.optim.Adam(self.layers.parameters())
        self.loss = nn.CrossEntropyLoss()

    def _forward(self, x):
        if self.work.features is None:
            x = self.layers["embedding"](x)
        output, state = self.layers["rnn"](x)
        if self.work.features is not None:
            state = state[0] if isinstance(state, tuple) else state
            output = self.torch.cat([state[-2], state[-1]], -1)
        return self.layers["head"](self.layers["dropout"](output))

    def fit(self, x, y, batch_size):
        self.layers.train()
        x, y = self.torch.from_numpy(x), self.torch.from_numpy(y).long()
        for start in range(0, len(x), batch_size):
            self.optimizer.zero_grad()
            output = self._forward(x[start : start + batch_size])
            target = y[start : start + batch_size]
            self.loss(output.flatten(0, -2), target.flatten()).backward()
            self.optimizer.step()

    def predict(self, x, batch_size):
        self.layers.eval()
        x = self.torch.from_numpy(x)
        with self.torch.inference_mode():
            for start in range(0, len(x), batch_size):
                self._forward(x[start : start + batch_size]).softmax(-1).numpy()


def contenders(work):
    """Models by name, the package's first."""
    models = {"kerasrnn": ours(work), "keras": stock(work)}
    if importlib.util.find_spec("torch"):
        models["torch"] = Torch(work)
    return models


def dataset(arrays, batch_size):
    """Batches for Keras, without autotuning, which at times waits a second at the end."""
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    return tf.data.Dataset.from_tensor_slices(arrays).batch(batch_size).with_options(options)


def compare(work, verb, batches, rounds):
    """Seconds of a batch, in ``rounds`` turns, for each contender; and memory they added.

    Prediction by ``models.compiled``, as the package predicts; Keras's ``model.predict`` of the
    same model is a contender of its own.
    """
    from kerasrnn import models

    x, y = arrays(work, batches)
    data = {"step": (x, y), "predict": (x,)}[verb]
    calls, added = {}, {}
    for name, model in contenders(work).items():
        before = resident()
        call = model.fit if verb == "step" else model.predict
        if name == "torch":
            calls[name] = partial(call, *data, batch_size=work.batch)
        else:
            calls[name] = partial(call, dataset(data, work.batch).prefetch(2), verbose=0)
        if name == "kerasrnn" and verb == "predict":
            own = partial(predict_batches, models.compiled(model), x, work.batch)
            calls = {"kerasrnn": own, "kerasrnn, model.predict": calls[name]}
            calls["kerasrnn, model.predict"]()
        calls[name]()
        added[name] = resident() - before
    times = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            times[name].append(timed(call) / batches)
    return times, added


def predict_batches(predict, x, batch_size):
    """All batches of x by a function of ``models.compiled``."""
    for start in range(0, len(x), batch_size):
        predict([x[start : start + batch_size]])


def report(work, verb, times, added):
    """Print what was measured."""
    limit = product_speed()
    passes = 3 if verb == "step" else 1
    click.echo(f"\n{work.cell} {work.name}: limit {limit / 1e9:,.0f} GF/s")
    for name, values in times.items():
        reached = passes * work.operations() / min(values) / limit
        memory = f"{added[name] / 2**20:>5,.0f} MiB" if name in added else ""
        ratios = [other / own for other, own in zip(values, times["kerasrnn"], strict=True)]
        click.echo(
            f"  {name:<23} minimum {min(values) * 1e3:>8.2f} ms  median "
            f"{statistics.median(values) * 1e3:>8.2f} ms  {statistics.median(ratios):>5.2f}× of "
            f"kerasrnn's time  {reached:>4.0%} of the limit  {memory}"
        )


def product_speed():
    """Floating-point operations a second of a large product, all cores."""
    import tensorflow as tf

    a = tf.random.normal((2048, 2048))
    return 2 * 2048**3 / min(timed(lambda: (a @ a).numpy()) for _ in range(5))


def timed(call):
    """Seconds that a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def resident():
    """Bytes of this process's memory that are resident; 0 where that is not known."""
    if sys.platform != "linux":
        return 0
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@click.group()
@click.option("--threads", type=int, help="As many threads for each contender; else all cores.")
def main(threads):
    """Compare with stock Keras and PyTorch."""
    import tensorflow as tf

    number = threads or len(os.sched_getaffinity(0))
    tf.config.threading.set_intra_op_parallelism_threads(number)
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(number)


def cells(default):
    return click.option(
        "--cell", "cell", multiple=True, type=click.Choice(tuple(GATES)), default=default
    )


ROUNDS = click.option("--rounds", type=int, default=7, show_default=True, help="Turns of each.")
BATCHES = click.option("--batches", type=int, default=30, show_default=True, help="Of a turn.")


@main.command()
@cells(("lstm", "gru"))
@ROUNDS
@BATCHES
def step(cell, rounds, batches):
    """A training step, by ``fit``."""
    for kind, work in itertools.product(cell, WORK):
        work = replace(work, cell=kind)
        report(work, "step", *compare(work, "step", batches, rounds))


@main.command()
@cells(("lstm",))
@ROUNDS
@BATCHES
def predict(cell, rounds, batches):
    """A batch of prediction, of 64 and of 1."""
    for kind, work, size in itertools.product(cell, WORK, (64, 1)):
        name = work.name.replace(f"batch {work.batch}", f"batch {size}")
        work = replace(work, cell=kind, batch=size, name=name)
        report(work, "predict", *compare(work, "predict", batches, rounds))


@main.command()
@cells(("lstm",))
@click.option("--rounds", type=int, default=3, show_default=True, help="Turns of each.")
@click.option("--output", type=click.Path(path_type=Path), default="scaling.png", show_default=True)
def scaling(cell, rounds, output):
    """Units × batch × steps: times of stock Keras and PyTorch as multiples, and a plot."""
    sizes, found = (16, 50, 128, 256), {}
    for length, batch, units in itertools.product((10, 100), (1, 64), sizes):
        name = f"Bi({units}), batch {batch}, {length} steps"
        work = Work(name, (units,), batch, length, 28, cell=cell[0])
        times, added = compare(work, "step", 10, rounds)
        report(work, "step", times, added)
        own = times.pop("kerasrnn")
        for other, values in times.items():
            ratio = statistics.median(a / b for a, b in zip(values, own, strict=True))
            found.setdefault(length, {}).setdefault((other, batch), []).append(ratio)
    draw(found, sizes, output)
    click.echo(f"\nwrote {output}")


def draw(found, sizes, output):
    """A panel for each number of steps, a line for each contender and batch size."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    panels = figure.subplots(1, len(found), sharey=True)
    for panel, (length, lines) in zip(panels, found.items(), strict=True):
        for (other, batch), ratios in lines.items():
            style = {"marker": "o", "color": "C0" if batch == 1 else "C1"}
            line = "-" if other == "keras" else "--"
            panel.plot(sizes, ratios, line, label=f"{other}, batch {batch}", **style)
        panel.axhline(1, color="grey", linewidth=0.8)
        panel.set(title=f"{length} steps", xlabel="units", xscale="log")
        panel.set_xticks(sizes, map(str, sizes))
        panel.minorticks_off()
    panels[0].set_ylabel("time of a training step, kerasrnn = 1")
    panels[-1].legend()
    figure.savefig(output)


@main.command()
@click.argument("run", required=False)
@click.option("--rounds", type=int, default=5, show_default=True, help="Turns of both.")
@click.option("--length", type=int, default=2000, show_default=True, help="Characters a turn.")
@click.option("--long", type=int, default=100_000, show_default=True, help="For the memory.")
def generate(run, rounds, length, long):
    """Characters a second, beside a loop that calls ``model.predict``.

    The loop is the way of the Keras example ``lstm_character_level_text_generation``: the last
    40 characters are read anew for each character. Then the time to the first character, and
    the memory while 100,000 characters are written.
    """
    import numpy as np

    from kerasrnn import build_generator, load_model, open_run
    from kerasrnn.options import MODEL
    from kerasrnn.tasks.generator import Writer, load_vocabulary
    from kerasrnn.text import Vocabulary

    if run:
        model, vocabulary = load_model(run), load_vocabulary(open_run(run))
    else:
        vocabulary = Vocabulary(map(chr, range(32, 97 + 26)))
        model = build_generator(len(vocabulary), **MODEL["generator"])
    start = time.perf_counter()
    writer = Writer(model, vocabulary)
    prompt = PROMPT if all(c in writer.vocabulary for c in PROMPT) else writer.vocabulary.tokens[1]
    next(writer.stream(prompt, length))
    click.echo(f"first character {time.perf_counter() - start:.2f} s after the model is there")

    def keras_loop(number):
        ids = writer.vocabulary.encode(list(prompt))
        rng = np.random.default_rng(0)
        for _ in range(number):
            output = model.predict(np.array([ids[-WINDOW:]]), verbose=0)[0, -1]
            output = output.astype("float64") / output.sum(dtype="float64")
            ids.append(int(rng.choice(len(output), p=output)))

    keras_loop(5)
    writer.write(prompt, length)
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(length / timed(lambda: writer.write(prompt, length)))
        theirs.append(50 / timed(lambda: keras_loop(50)))
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    for name, values in (("Writer", ours), ("model.predict", theirs), ("ratio", ratios)):
        low, middle = min(values), statistics.median(values)
        click.echo(f"{name:<14} minimum {low:>8,.1f}  median {middle:>8,.1f}")
    written, memory = 0, []
    for (piece,) in writer.stream(prompt, long):
        written += len(piece)
        if written >= len(memory) * long // 4 + 1:
            memory.append(f"{resident() / 2**20:,.0f} MiB")
    click.echo(f"resident memory over {written:,} characters: {', '.join(memory)}")


if __name__ == "__main__":
    main()
