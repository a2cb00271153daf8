"""Times of training, prediction and generation, beside stock Keras and PyTorch, in one run.

    python scripts/benchmark.py step                    # fit against fit
    python scripts/benchmark.py predict
    python scripts/benchmark.py generate [RUN]
    python scripts/benchmark.py scaling --output scaling.png
    python scripts/benchmark.py sweep                   # where the native loop is worth taking

All take turns in one process, so that a busy machine troubles them alike; the ratios are of
times taken one after the other. PyTorch takes part where it is installed. The limit is what a
large product of matrices reaches at the same moment.
"""

from __future__ import annotations

import itertools
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
from peers import TorchModel, has_torch, stock, timed

GATES = {"lstm": 4, "gru": 3, "simple": 1}
WINDOW = 40  # characters that the Keras example reads anew for each one it writes
PROMPT = "the "
SLOW = 2e10  # operations a second, of a slow machine


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
        model = build_generator(work.classes, embedding_dim=64, **how)
    else:
        model = build_classifier((work.time, work.features), num_classes=work.classes, **how)
    return compiled(model)


def compiled(model):
    """The model, ready to learn."""
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def contenders(work):
    """Models by name, the package's first."""
    model = ours(work)
    models = {"kerasrnn": model, "keras": compiled(stock(model))}
    if has_torch():
        models["torch"] = TorchModel(model)
    return models


def dataset(arrays, batch_size):
    """Batches for Keras, without autotuning, which at times waits a second at the end."""
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    return tf.data.Dataset.from_tensor_slices(arrays).batch(batch_size).with_options(options)


def compare(work, verb, batches, rounds):
    """Seconds of a batch, in ``rounds`` turns, for each contender; and memory they added.

    Prediction by ``inference.calling.compiled``, as the package predicts; ``model.predict`` of
    the same model is a contender of its own.
    """
    from kerasrnn.inference import calling

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
            own = partial(predict_batches, calling.compiled(model), x, work.batch)
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
    """All batches of x by a function of ``calling.compiled``."""
    for start in range(0, len(x), batch_size):
        predict(x[start : start + batch_size])


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
    return 2 * 2048**3 / min(timed(lambda: tf.reduce_sum(a @ a).numpy()) for _ in range(5))


def resident():
    """Bytes of this process's memory that are resident; 0 where that is not known."""
    if sys.platform != "linux":
        return 0
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@click.group()
@click.option("--threads", type=int, help="As many threads for each contender; else all cores.")
@click.pass_context
def main(context, threads):
    """Compare with stock Keras and PyTorch."""
    import tensorflow as tf

    context.obj = number = threads or len(os.sched_getaffinity(0))
    tf.config.threading.set_intra_op_parallelism_threads(number)
    if has_torch():
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
@cells(("lstm", "gru", "simple"))
@click.option("--units", "sizes", type=int, multiple=True, default=(16, 64, 256, 512, 1024))
@click.option("--batch", "batches", type=int, multiple=True, default=(1, 8, 32, 256))
@click.option("--length", "lengths", type=int, multiple=True, default=(10, 100, 1000))
@click.option("--inputs", type=int, default=64, show_default=True, help="Features of the input.")
@click.option("--rounds", type=int, default=5, show_default=True, help="Turns of each.")
@click.option("--cap", type=float, default=2.0, show_default=True, help="Seconds a call at most.")
@click.pass_context
def sweep(context, cell, sizes, batches, lengths, inputs, rounds, cap):
    """Where the native loop of one layer is faster than Keras's: a table for each cell.

    Each entry has two ratios of Keras's time to the native loop's, of the fastest call and of
    the median, forward and for a training step. With --threads 1 they are of processor time,
    which other work on the machine troubles little. Work that would take longer than the cap
    is left out.
    """
    clock = time.process_time if context.obj == 1 else time.perf_counter
    for kind, verb in itertools.product(cell, ("forward", "step")):
        click.echo(f"\n{kind}, {verb}\n\n| batch | steps | {' | '.join(map(str, sizes))} |")
        click.echo("|---|---|" + "---|" * len(sizes))
        for batch, length in itertools.product(batches, lengths):
            row = [batch, length]
            for units in sizes:
                work = Work(kind, (units,), batch, length, inputs, cell=kind)
                passes = 1 if verb == "forward" else 3
                if passes * work.operations() / work.directions / SLOW > cap:
                    row.append("–")
                    continue
                times = layer_times(work, verb, rounds, clock)
                low = min(times["keras"]) / min(times["native"])
                pairs = zip(times["keras"], times["native"], strict=True)
                row.append(f"{low:.2f} {statistics.median(a / b for a, b in pairs):.2f}")
            click.echo(f"| {' | '.join(map(str, row))} |")


def layer_times(work, verb, rounds, clock):
    """Seconds of a call of the native layer and of Keras's, in turns."""
    import keras
    import tensorflow as tf

    from kerasrnn import layers

    name = {"lstm": "LSTM", "gru": "GRU", "simple": "SimpleRNN"}[work.cell]
    x, calls = tf.random.normal((work.batch, work.time, work.features)), {}
    for path, kinds in (("native", layers), ("keras", keras.layers)):
        options = {"return_sequences": True, "recurrent_initializer": "glorot_uniform"}
        layer = getattr(kinds, name)(*work.units, **options)
        layer.build(x.shape)
        function = tf.function(partial({"forward": run, "step": differentiate}[verb], layer))
        calls[path] = partial(function.get_concrete_function(x), x)
    for call in calls.values():
        call()
    repeats = max(1, int(0.02 / timed(calls["native"], clock)))
    times = {path: [] for path in calls}
    for _ in range(rounds):
        for path, call in calls.items():
            seconds = timed(lambda call=call: [call() for _ in range(repeats)], clock)
            times[path].append(seconds / repeats)
    return times


def run(layer, x):
    return layer(x, training=False)


def differentiate(layer, x):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(x, training=True) ** 2)
    return tape.gradient(loss, [weight.value for weight in layer.trainable_variables])


@main.command()
@click.argument("run_or_export", required=False)
@click.option("--rounds", type=int, default=5, show_default=True, help="Turns of both.")
@click.option("--length", type=int, default=2000, show_default=True, help="Characters a turn.")
@click.option("--long", type=int, default=100_000, show_default=True, help="For the memory.")
def generate(run_or_export, rounds, length, long):
    """Characters a second, beside a loop that calls ``model.predict``.

    The loop is the way of the Keras example ``lstm_character_level_text_generation``: the last
    40 characters are read anew for each character. Then the time to the first character, and
    the memory while 100,000 characters are written.
    """
    import numpy as np

    from kerasrnn import TextGenerator, Vocabulary, build_generator

    if run_or_export:
        generator = TextGenerator.load(run_or_export)
    else:
        vocabulary = Vocabulary(map(chr, range(32, 97 + 26)))
        generator = TextGenerator(build_generator(vocabulary.num_ids, units=256), vocabulary)
    model, vocabulary = generator.model, generator.vocabulary
    prompt = PROMPT if all(c in vocabulary for c in PROMPT) else vocabulary.tokens[1]
    start = time.perf_counter()
    next(generator.stream(prompt, length))
    click.echo(f"first character {time.perf_counter() - start:.2f} s after the model is there")

    def keras_loop(number):
        ids = list(vocabulary.encode(list(prompt)))
        rng = np.random.default_rng(0)
        for _ in range(number):
            output = model.predict(np.array([ids[-WINDOW:]]), verbose=0)[0, -1]
            output = output.astype("float64") / output.sum(dtype="float64")
            ids.append(int(rng.choice(len(output), p=output)))

    keras_loop(5)
    generator.generate(prompt, length)
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(length / timed(lambda: generator.generate(prompt, length)))
        theirs.append(50 / timed(lambda: keras_loop(50)))
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    for name, values in (("generate", ours), ("model.predict", theirs), ("ratio", ratios)):
        low, middle = min(values), statistics.median(values)
        click.echo(f"{name:<14} minimum {low:>8,.1f}  median {middle:>8,.1f}")
    written, memory = 0, []
    for (piece,) in generator.stream(prompt, long):
        written += len(piece)
        if written >= len(memory) * long // 4 + 1:
            memory.append(f"{resident() / 2**20:,.0f} MiB")
    click.echo(f"resident memory over {written:,} characters: {', '.join(memory)}")


if __name__ == "__main__":
    main()
