"""Train the default generator on tiny Shakespeare: validation loss against wall-clock time.

    python scripts/compare_shakespeare.py                      # 2 and 20 epochs
    python scripts/compare_shakespeare.py --epochs 2 --nanogpt ~/nanoGPT

The text is cut 90/10 in order, and the loss is that of the whole validation part. With
``--nanogpt`` (a checkout of karpathy/nanoGPT whose data/shakespeare_char is prepared) its
published configuration for a CPU is trained first, on the same machine, by the Python of
``--nanogpt-python``, and its last validation loss and time are put beside ours.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click

# The command of nanoGPT's README for a CPU, with the evaluations that it makes.
NANOGPT = (
    "train.py config/train_shakespeare_char.py --device=cpu --compile=False --eval_iters=20 "
    "--log_interval=100 --block_size=64 --batch_size=12 --n_layer=4 --n_head=4 --n_embd=128 "
    "--max_iters=2000 --lr_decay_iters=2000 --dropout=0.0"
)


@click.command()
@click.option("--epochs", type=int, multiple=True, default=(2, 20), show_default=True)
@click.option("--units", type=int, help="Width of the layer.  [default: the generator's]")
@click.option("--dropout", type=float, help="Dropout rate.  [default: the generator's]")
@click.option("--learning-rate", type=float, help="Learning rate.  [default: the generator's]")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the trainings.")
@click.option("--nanogpt", type=click.Path(exists=True, file_okay=False), help="Its checkout.")
@click.option("--nanogpt-python", default=sys.executable, help="A Python with PyTorch.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Folder for the runs and the picture."
)
def main(epochs, seed, nanogpt, nanogpt_python, output, **options):
    """Train for some numbers of epochs, print a table for each and draw all curves."""
    from kerasrnn import load_corpus, train

    options = {name: value for name, value in options.items() if value is not None}
    folder = output or Path(tempfile.mkdtemp(prefix="shakespeare-"))
    theirs = run_nanogpt(nanogpt, nanogpt_python) if nanogpt else None
    corpus = load_corpus("shakespeare")
    curves = {}
    for number in epochs:
        start = time.perf_counter()
        run = train(corpus, folder / f"{number}-epochs", epochs=number, seed=seed, **options)
        whole = time.perf_counter() - start
        curves[f"{number} epochs"] = seconds, losses = curve(run.history())
        click.echo(f"\n{number} epochs, {whole:.0f} s with start and evaluation\n")
        click.echo("| seconds | validation loss (nats) |\n|---|---|")
        for second, loss in zip(seconds, losses, strict=True):
            click.echo(f"| {second:.0f} | {loss:.4f} |")
        metrics = run.metrics()
        click.echo(f"best {metrics['validation']['loss']:.4f}, n-grams {metrics['ngrams']}")
    if theirs:
        click.echo(f"\nnanoGPT's configuration for a CPU: {theirs[1]:.4f} after {theirs[0]:.0f} s")
    click.echo(draw(curves, theirs, folder / "shakespeare.png"))


def run_nanogpt(checkout, python):
    """Wall-clock seconds and last validation loss (20 batches) of nanoGPT's own command."""
    start = time.perf_counter()
    process = subprocess.run(
        [python, *NANOGPT.split()], cwd=checkout, capture_output=True, text=True, check=True
    )
    losses = re.findall(r"val loss ([\d.]+)", process.stdout)
    return time.perf_counter() - start, float(losses[-1])


def curve(history):
    """Seconds since the start of the training and validation loss, a point for each epoch."""
    from itertools import accumulate

    return list(accumulate(history["seconds"])), history["val_loss"]


def draw(curves, theirs, path):
    """All curves on one Axes with a logarithmic time axis; returns the path."""
    from kerasrnn import plotting

    def draw_on(ax):
        for name, (seconds, losses) in curves.items():
            ax.plot(seconds, losses, marker="o", markersize=3, label=f"kerasrnn, {name}")
        if theirs:
            ax.plot(*theirs, "x", color="black", label="nanoGPT, configuration for a CPU")
        ax.set(xscale="log", xlabel="seconds", ylabel="validation loss (nats per character)")
        ax.set_title("Tiny Shakespeare")
        ax.grid(alpha=0.3)
        ax.legend()

    return plotting.save(path, draw_on)


if __name__ == "__main__":
    main()
