"""Train the three published row-by-row MNIST programs with kerasrnn.

    python scripts/reproduce_mnist.py            # all three, some 15 minutes on two cores
    python scripts/reproduce_mnist.py --program a

As in the published programs all 60,000 training images are trained on, and the test images
are looked at after every epoch. What is compared is the last epoch, not the best.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
from datetime import date
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click

PROGRAMS = {
    "a": {
        "title": "bidirectional LSTM 2×128, Adam 0.003, batch 100, 2 epochs",
        "options": {"units": (128, 128), "dropout": 0},
        "fit": {"batch_size": 100, "epochs": 2, "learning_rate": 0.003},
        "published": {"test accuracy": [None, 0.9738]},
    },
    "b": {
        "title": "LSTM 2×128, Adam 0.001, batch 100, 5 epochs",
        "options": {"units": (128, 128), "dropout": 0, "bidirectional": False},
        "fit": {"batch_size": 100, "epochs": 5, "learning_rate": 0.001},
        "published": {
            "training loss": [0.5073, 0.1264, 0.0792, 0.0580, 0.0497],
            "training accuracy": [0.8312, 0.9610, 0.9758, 0.9820, 0.9845],
            "test accuracy": [0.9553, 0.9673, 0.9780, 0.9794, 0.9817],
        },
    },
    "c": {
        "title": "bidirectional LSTM 2×50, dropout 0.2, Adam 0.001, batch 64, 10 epochs",
        "options": {"units": (50, 50), "dropout": 0.2},
        "fit": {"batch_size": 64, "epochs": 10, "learning_rate": 0.001},
        "published": {},
    },
}
COLUMNS = {
    "training loss": "loss",
    "training accuracy": "accuracy",
    "test accuracy": "val_accuracy",
}


@click.command()
@click.option(
    "--program", type=click.Choice(list(PROGRAMS)), multiple=True, help="Which.  [default: all]"
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the training.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder to keep the runs in.")
def main(program, seed, output):
    """Train the published programs and print their numbers beside ours."""
    from kerasrnn import load_dataset, train

    mnist = load_dataset("mnist", validation_split=0)
    mnist = dataclasses.replace(mnist, validation=mnist.test)
    folder = output or Path(tempfile.mkdtemp(prefix="mnist-"))
    summary = []
    for name in program or PROGRAMS:
        spec = PROGRAMS[name]
        click.echo(f"({name}) {spec['title']}", err=True)
        run = train(mnist, folder / name, seed=seed, clip_norm=0, **spec["fit"], **spec["options"])
        history = run.history()
        click.echo(f"\n({name}) {spec['title']}\n")
        click.echo(epoch_table(history, spec["published"]))
        summary.append((name, spec, history["val_accuracy"][-1], sum(history["seconds"])))
    click.echo(f"\nTest accuracy after the last epoch, {date.today()}, runs in {folder}\n")
    click.echo("| program | published | kerasrnn | seconds |\n|---|---|---|---|")
    for name, spec, accuracy, seconds in summary:
        published = spec["published"].get("test accuracy", [None])[-1]
        click.echo(
            f"| ({name}) {spec['title']} | {percent(published)} | {percent(accuracy)} "
            f"| {seconds:.0f} |"
        )


def epoch_table(history, published):
    """One row an epoch, each number of ours followed by the published one where there is one."""
    lines = ["| epoch | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for index, epoch in enumerate(history["epoch"]):
        cells = []
        for title, column in COLUMNS.items():
            show = "{:.4f}".format if column == "loss" else percent
            theirs = published.get(title, [None] * (index + 1))[index]
            ours = show(history[column][index])
            cells.append(ours if theirs is None else f"{ours} (published {show(theirs)})")
        lines.append(f"| {epoch} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def percent(share):
    """0.9817 as "98.17 %"."""
    return "–" if share is None else f"{100 * share:.2f} %"


if __name__ == "__main__":
    main()
