"""Train the published character models of The Time Machine with kerasrnn.

    python scripts/reproduce_time_machine.py            # all four, some 20 minutes on two cores
    python scripts/reproduce_time_machine.py --model rnn-512-sequential

The models are those of *Dive into Deep Learning* (Zhang et al.), chapters on recurrent
networks: one-hot characters, the first 10,000 tokens of the cleaned text, batches of 32
windows of 35 steps, SGD with the gradients' norm clipped at 1, 500 epochs, no validation part.
One thing differs: the learning rate falls along a cosine, where the book keeps it (``--schedule
constant``), so that the last epoch is not as noisy as any.
Prints the training perplexity of the last epoch, tokens per second, and how each model goes on
greedily by 50 characters; the book says whether those are its own.
"""

from __future__ import annotations

import os
import tempfile
from datetime import date
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click

RNN = {"cell": "simple", "learning_rate": 1.0}
MODELS = {
    "rnn-512-random": {**RNN, "units": 512, "sampling": "random"},
    "rnn-512-sequential": {**RNN, "units": 512, "sampling": "sequential"},
    "rnn-256-sequential": {**RNN, "units": 256, "sampling": "sequential"},
    "lstm-2x256-sequential": {
        "cell": "lstm",
        "units": (256, 256),
        "learning_rate": 2.0,
        "sampling": "sequential",
    },
}
COMMON = {
    "embedding_dim": None,
    "dropout": 0,
    "sequence_length": 35,
    "batch_size": 32,
    "optimizer": "sgd",
    "clip_norm": 1.0,
}
PROMPTS = ("time traveller", "traveller")
LENGTH = 50


@click.command()
@click.option(
    "--model", type=click.Choice(list(MODELS)), multiple=True, help="Which.  [default: all]"
)
@click.option(
    "--schedule",
    type=click.Choice(["cosine", "constant"]),
    default="cosine",
    show_default=True,
    help="Of the learning rate.",
)
@click.option("--epochs", type=int, default=500, show_default=True, help="Passes over the text.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the training.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder to keep the runs in.")
def main(model, schedule, epochs, seed, output):
    """Train the published models and print perplexity, tokens per second and text."""
    from kerasrnn import TextGenerator, load_corpus, train

    corpus = load_corpus(
        "time-machine", letters_only=True, max_corpus_tokens=10_000, validation_split=0
    )
    whole = load_corpus("time-machine", letters_only=True, validation_split=0)
    book = "".join(whole.vocabulary.decode(whole.train))
    folder = output or Path(tempfile.mkdtemp(prefix="time-machine-"))
    rows = []
    for name in model or MODELS:
        options = COMMON | MODELS[name] | {"schedule": schedule}
        run = train(corpus, folder / name, epochs=epochs, seed=seed, quiet=True, **options)
        history = run.history()
        rows.append((name, history["perplexity"][-1], sorted(history["tokens_per_second"])))
        generator = TextGenerator.load(run)
        click.echo(f"{name}: perplexity {rows[-1][1]:.3f}, {sum(history['seconds']):.0f} s")
        for prompt in PROMPTS:
            text = prompt + generator.generate(prompt, LENGTH, temperature=0)[0]
            own = "the book's own" if text in book else "not in the book"
            click.echo(f"  {text!r}  ({own})")
    click.echo(f"\nTraining perplexity of the last epoch, {date.today()}, runs in {folder}\n")
    click.echo("| model | perplexity | tokens/s (median) |\n|---|---|---|")
    for name, perplexity, speeds in rows:
        click.echo(f"| {name} | {perplexity:.3f} | {speeds[len(speeds) // 2]:,.0f} |")


if __name__ == "__main__":
    main()
