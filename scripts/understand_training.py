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

LENGTHS, TOKENS, UNITS, EPOCHS = (4, 16), 1024, 64, 6  # TOKENS: of a batch
SEEDS = (0, 1)
ORDERS = ("random", "sequential")
CLIPS = {"not clipped": None, "clipped at 1": 1.0}
STEPS = 400  # of the trainings with and without clipping
READ = (1, 2, 4, 8, 16, 32, 64, 128)  # letters that are read before the next is predicted
PROMPT = "the time traveller sa"


@cache
def corpus():
    from kerasrnn import load_corpus

    return load_corpus(page.text_at_hand(), letters_only=True)


@cache
def trained(order, length, seed):
    """A run of a small GRU with windows of a length in an order; constant rate."""
    from kerasrnn.tasks import task_of
    from kerasrnn.training import run_training

    options = {"cell": "gru", "units": UNITS, "dropout": 0, "embedding_dim": 32}
    options |= {"sampling": order, "sequence_length": length, "batch_size": TOKENS // length}
    options |= {"epochs": EPOCHS, "learning_rate": 0.005, "schedule": "constant"}
    settings = task_of("generator").settings(options | {"sample_every": 0}, corpus().options, None)
    folder = tempfile.mkdtemp(prefix="understand-")
    output = f"{folder}/{order}-{seed}"
    return run_training(corpus(), settings, output, seed=seed, quiet=True, evaluated=False)


def sampling() -> str:
    """Validation loss by epoch with windows of both lengths in both orders."""
    curves = {
        (order, length): np.array(
            [trained(order, length, seed).history()["val_loss"] for seed in SEEDS]
        )
        for length in LENGTHS
        for order in ORDERS
    }

    def paint(figure):
        axes = figure.subplots()
        epochs = range(1, EPOCHS + 1)
        for (order, length), losses in curves.items():
            color, mark = (page.ORANGE, "o") if order == "random" else (page.BLUE, "s")
            line = ":" if length == LENGTHS[0] else "-"
            label = f"{length} letters, {order}"
            axes.plot(epochs, losses.mean(0), mark + line, color=color, label=label)
            axes.fill_between(epochs, losses.min(0), losses.max(0), color=color, alpha=0.2, lw=0)
        axes.set(xlabel="epoch", ylabel="nats a letter, unseen text", xticks=epochs)
        axes.legend(frameon=False)

    page.draw("training-sampling.svg", (6, 3.4), paint)
    chosen = [0, 1, 3, EPOCHS - 1]
    rows = [
        [
            f"{length} letters, {order}",
            *(f"{losses[:, epoch].mean():.3f}" for epoch in chosen),
            f"{np.ptp(losses[:, -1]):.3f}",
        ]
        for (order, length), losses in curves.items()
    ]
    titles = [f"epoch {epoch + 1}" for epoch in chosen]
    return page.table(["windows", *titles, "between two seeds"], rows)


def losses_after(model) -> np.ndarray:
    """Mean loss of the next letter (positions,) from an empty state, anywhere in unseen text."""
    ids = corpus().validation.astype("int32")
    longest = max(READ)
    starts = np.arange(0, len(ids) - longest - 1, 24)
    tokens = ids[starts[:, None] + np.arange(longest + 1)]
    probabilities = np.asarray(model(tokens[:, :-1]))
    right = np.take_along_axis(probabilities, tokens[:, 1:, None], 2)[:, :, 0]
    return -np.log(right).mean(0)


def likeliest(model, prompt) -> str:
    """The three likeliest letters after a prompt that is read from an empty state."""
    known = corpus().vocabulary
    p = np.asarray(model(np.array([known.encode([*prompt])])))[0, -1]
    best = [(known.decode(int(i)).replace(" ", "␣"), p[i]) for i in np.argsort(-p)[:3]]
    return "   ".join(f"{letter} {probability:4.0%}" for letter, probability in best)


def warm_up() -> tuple[str, str]:
    """Loss of the next letter by how many were read before it, and what comes after a prompt."""
    from kerasrnn import load_model

    models = {order: load_model(trained(order, LENGTHS[-1], 0)) for order in ORDERS}
    curves = {order: losses_after(model) for order, model in models.items()}

    def paint(figure):
        axes = figure.subplots()
        positions = np.arange(1, max(READ) + 1)
        for (order, losses), color in zip(curves.items(), (page.ORANGE, page.BLUE), strict=True):
            smooth = [losses[p - 1 - p // 8 : p + p // 8].mean() for p in positions]
            axes.plot(positions, smooth, color=color, label=f"learnt from {order} windows")
        axes.set_xscale("log", base=2)
        axes.set_xticks(READ, map(str, READ))
        axes.set(xlabel="letters read", ylabel="nats, the next letter")
        axes.legend(frameon=False)

    page.draw("training-warm-up.svg", (6, 3.4), paint)
    rows = []
    for order, losses in curves.items():
        means = [losses[n - 1 - n // 8 : n + n // 8].mean() for n in READ]
        rows.append([order, *(f"{mean:.2f}" for mean in means)])
    lines = []
    for number in (1, 2, 3, 6, 12, len(PROMPT)):
        prompt = PROMPT[-number:]
        shown = prompt.replace(" ", "␣").rjust(len(PROMPT))
        lines.append(f"{shown}  →  {likeliest(models['random'], prompt)}")
    titles = [f"{number} read" for number in READ]
    return page.table(["learnt from", *titles], rows), "\n".join(lines)


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
