"""Windows in random or sequential order, clipping, warm-up: docs/understanding/training.md.

    python scripts/understand_training.py          # about two minutes on two cores
    python scripts/understand_training.py clipping

Small GRUs and a simple cell learn to predict the next letter of The Time Machine, letters only (of
the texts within Python where that is not at hand).
"""

from __future__ import annotations

import tempfile
from functools import cache

import click
import numpy as np
import understanding as page

LENGTH, BATCH, UNITS, EPOCHS = 16, 64, 64, 8
SEEDS = (0, 1)
ORDERS = ("random", "sequential")
CLIPS = {"not clipped": None, "clipped at 1": 1.0}
STEPS = 400  # of the trainings with and without clipping
READ = (1, 2, 4, 8, 16, 32, 64, 128)  # letters that are read before the next is predicted
PROMPTS = ("e", "the time traveller", "it was at ten o clock to day that the time traveller")


@cache
def corpus():
    from kerasrnn import load_corpus

    return load_corpus(page.text_at_hand(), letters_only=True)


@cache
def trained(order, seed):
    """A run of a small GRU with windows in an order; no clipping, constant rate."""
    from kerasrnn.tasks import task_of
    from kerasrnn.training import fit

    options = {"cell": "gru", "units": UNITS, "dropout": 0, "embedding_dim": 32}
    options |= {"sampling": order, "sequence_length": LENGTH, "batch_size": BATCH}
    options |= {"epochs": EPOCHS, "learning_rate": 0.005, "schedule": "constant"}
    settings = task_of("generator").settings(options | {"sample_every": 0}, corpus().options, None)
    folder = tempfile.mkdtemp(prefix="understand-")
    return fit(corpus(), settings, f"{folder}/{order}-{seed}", seed=seed, quiet=True)


def sampling() -> str:
    """Validation loss by epoch with windows in both orders."""
    curves = {
        order: np.array([trained(order, seed).history()["val_loss"] for seed in SEEDS])
        for order in ORDERS
    }

    def paint(figure):
        axes = figure.subplots()
        epochs = range(1, EPOCHS + 1)
        for (order, losses), color, mark in zip(
            curves.items(), (page.ORANGE, page.BLUE), "os", strict=True
        ):
            axes.plot(epochs, losses.mean(0), marker=mark, color=color, label=f"{order} windows")
            axes.fill_between(epochs, losses.min(0), losses.max(0), color=color, alpha=0.2, lw=0)
        axes.set(xlabel="epoch", ylabel="nats a letter, unseen text")
        axes.legend(frameon=False)

    page.draw("training-sampling.svg", (6, 3.4), paint)
    chosen = [0, 1, 3, EPOCHS - 1]
    rows = [
        [order, *(f"{losses[:, e].mean():.3f}" for e in chosen), f"{np.ptp(losses[:, -1]):.3f}"]
        for order, losses in curves.items()
    ]
    titles = [f"epoch {epoch + 1}" for epoch in chosen]
    return page.table(["windows", *titles, "between two seeds"], rows)


def losses_after(model, first) -> np.ndarray:
    """Loss of the next letter (windows, positions) from all-zero states, in unseen text."""
    ids = corpus().validation.astype("int32")
    longest = max(READ)
    starts = np.arange(first, len(ids) - longest - 1, 24)
    tokens = ids[starts[:, None] + np.arange(longest + 1)]
    probabilities = np.asarray(model(tokens[:, :-1]))
    return -np.log(np.take_along_axis(probabilities, tokens[:, 1:, None], 2)[:, :, 0])


def warm_up() -> str:
    """Loss of the next letter by how many were read before it, and what prompts lead to."""
    from kerasrnn import TextGenerator, load_model

    curves = {}
    for order in ORDERS:
        curves[order] = losses_after(load_model(trained(order, 0)), 0).mean(0)

    def paint(figure):
        axes = figure.subplots()
        positions = np.arange(1, max(READ) + 1)
        for (order, losses), color in zip(curves.items(), (page.ORANGE, page.BLUE), strict=True):
            smooth = [losses[max(0, p - p // 4 - 1) : p + p // 4].mean() for p in positions]
            axes.plot(positions, smooth, color=color, label=f"learnt from {order} windows")
        axes.axvline(LENGTH, color="0.5", ls=":", lw=1)
        axes.text(LENGTH * 1.04, axes.get_ylim()[1], "length of a window", va="top", color="0.3")
        axes.set_xscale("log", base=2)
        axes.set_xticks(READ, map(str, READ))
        axes.set(xlabel="letters read", ylabel="nats, the next letter")
        axes.legend(frameon=False, loc="center right")

    page.draw("training-warm-up.svg", (6, 3.4), paint)
    rows = []
    for order, losses in curves.items():
        means = [losses[n - 1 : max(n, n + n // 2)].mean() for n in READ]
        rows.append([order, *(f"{mean:.2f}" for mean in means)])
    generator = TextGenerator.load(trained("sequential", 0))
    texts = [
        f"{prompt} | {generator.generate(prompt, 40, temperature=0.0)[0]}" for prompt in PROMPTS
    ]
    titles = [f"{number} read" for number in READ]
    return page.table(["learnt from", *titles], rows), "\n".join(texts)


def descent(clip):
    """Loss and norm of the gradient (steps,) of a simple cell under SGD."""
    import keras
    import tensorflow as tf

    from kerasrnn import build_generator
    from kerasrnn.data.batches import WindowBatches

    keras.utils.set_random_seed(0)
    model = build_generator(
        corpus().vocabulary.num_ids, cell="simple", units=128, dropout=0, embedding_dim=None
    )
    optimizer = keras.optimizers.SGD(1.0, global_clipnorm=clip)
    optimizer.build(model.trainable_variables)
    entropy = keras.losses.SparseCategoricalCrossentropy()

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = entropy(y, model(x, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss, tf.linalg.global_norm(gradients)

    batches = WindowBatches(corpus(), sequence_length=64, batch_size=32, sampling="random", seed=0)
    found = []
    while len(found) < STEPS:
        for index in range(len(batches)):
            found.append(step(*batches[index]))
        batches.on_epoch_end()
    return np.array(found[:STEPS], "float64").T


def clipping() -> str:
    """Loss and norm of the gradients by step, with and without clipping."""
    curves = {name: descent(clip) for name, clip in CLIPS.items()}

    def paint(figure):
        above, below = figure.subplots(2, 1, sharex=True)
        for (name, (loss, norm)), color in zip(
            curves.items(), (page.ORANGE, page.BLUE), strict=True
        ):
            above.plot(loss, color=color, lw=1.2, label=name)
            below.plot(norm, color=color, lw=1.0)
        below.axhline(1, color="0.4", ls=":", lw=1)
        above.set(ylabel="nats a letter")
        below.set(yscale="log", ylabel="norm of the gradient", xlabel="step")
        above.legend(frameon=False)

    page.draw("training-clipping.svg", (6.5, 4.2), paint)
    rows = [
        [
            name,
            *(f"{loss[step - 20 : step].mean():.2f}" for step in (100, 200, STEPS)),
            f"{loss.max():.1f}",
            f"{np.median(norm):.2f}",
            f"{norm.max():.3g}",
            f"{(norm > 1).mean():.0%}",
        ]
        for name, (loss, norm) in curves.items()
    ]
    titles = ["gradients", "loss, step 100", "step 200", f"step {STEPS}", "highest loss"]
    titles += ["median norm", "largest norm", "norms above 1"]
    return page.table(titles, rows)


@click.command()
@click.argument("parts", nargs=-1, type=click.Choice(["sampling", "warm-up", "clipping"]))
def main(parts):
    """Make some parts of the page, by default all."""
    parts, outputs = parts or ("sampling", "warm-up", "clipping"), {}
    if "sampling" in parts:
        outputs["sampling"] = sampling()
    if "warm-up" in parts:
        outputs["warm-up"], outputs["prompts"] = warm_up()
    if "clipping" in parts:
        outputs["clipping"] = clipping()
    page.show("training.md", outputs)


if __name__ == "__main__":
    main()
