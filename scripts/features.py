"""Classify the UCR/UEA series by features of an encoder, beside the classifier of ``train``.

    python scripts/features.py                                   # all under KERASRNN_DATA
    python scripts/features.py ~/data/JapaneseVowels --seed 1 --units 100

Features of a series are the final states of an encoder, the mean of its outputs over time, or
both; ridge regression on these (RidgeClassifierCV of scikit-learn) tells the class. The
encoder is ``untrained``, as ``build_encoder`` leaves it, or ``trained``: with the weights of
the classifier that was trained end to end, the last column. All train on the same part of the
published training series, and accuracy is that on the published test series.
"""

from __future__ import annotations

import os
import tempfile
from datetime import date
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click

KINDS = ("states", "mean", "both")


@click.command(context_settings={"show_default": True})
@click.argument("data", nargs=-1)
@click.option("--units", type=int, default=50, help="Width of the encoder's one layer.")
@click.option("--cell", type=click.Choice(["lstm", "gru", "simple"]), default="lstm", help="Cell.")
@click.option("--pooling", type=click.Choice(["last", "mean", "max"]), default="max", help="End.")
@click.option("--batch-size", type=int, default=8, help="Series a step of the training.")
@click.option("--epochs", type=int, default=30, help="Passes over the training part.")
@click.option("--seed", type=int, default=0, help="Of all weights and of the training.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder to keep the runs in.")
def main(data, units, cell, seed, output, **options):
    """Print the test accuracy of each kind of features of each DATA, a folder or .ts file."""
    from kerasrnn import load_dataset

    folder = output or Path(tempfile.mkdtemp(prefix="features-"))
    columns = [f"{encoder}: {kind}" for encoder in ("untrained", "trained") for kind in KINDS]
    click.echo(f"Test accuracy, {units} units, seed {seed}, {date.today()}, runs in {folder}\n")
    click.echo("| series | " + " | ".join([*columns, "end to end"]) + " |")
    click.echo("|---" * (len(columns) + 2) + "|")
    for source in data or published():
        series = load_dataset(source, seed=seed)
        accuracies = compare(series, folder, seed, {"units": units, "cell": cell}, options)
        cells = " | ".join(f"{100 * accuracy:.2f} %" for accuracy in accuracies)
        click.echo(f"| {series.name} | {cells} |")


def published():
    """The folders of series under KERASRNN_DATA."""
    root = Path(os.environ.get("KERASRNN_DATA", "")) / "timeseries"
    found = sorted(path.parent for path in root.glob("*/*_TRAIN.ts"))
    if not found:
        raise click.UsageError("no series under KERASRNN_DATA/timeseries: give a folder as DATA")
    return found


def compare(series, folder, seed, stack, options):
    """Accuracies of the features of an untrained and of a trained encoder, and end to end."""
    import keras

    from kerasrnn import build_encoder, load_model, train
    from kerasrnn.tasks.scaling import scaling

    run = train(series, folder / series.name, seed=seed, quiet=True, **stack, **options)
    keras.utils.set_random_seed(seed)
    lengths = series.train.lengths is not None
    encoder = build_encoder(
        (None, series.train.x.shape[2]),
        lengths=lengths,
        scaling=scaling(series.train, series.one_scale),
        **stack,
    )
    accuracies = ridge_accuracies(encoder, series)
    weights = load_model(run.path).get_weights()
    encoder.set_weights(weights[:-2])  # without those of the head
    accuracies += ridge_accuracies(encoder, series)
    return [*accuracies, run.metrics()["test"]["accuracy"]]


def ridge_accuracies(encoder, series):
    """Test accuracy of ridge regression on each kind of features."""
    import numpy as np
    from sklearn.linear_model import RidgeClassifierCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    train, test = features(encoder, series.train), features(encoder, series.test)
    ridge = make_pipeline(StandardScaler(), RidgeClassifierCV(np.logspace(-3, 3, 13)))
    return [
        ridge.fit(train[kind], series.train.y).score(test[kind], series.test.y) for kind in KINDS
    ]


def features(encoder, part):
    """Features (n, width) of a part, by kind."""
    import numpy as np

    inputs = part.x if part.lengths is None else [part.x, part.lengths]
    outputs, *states = encoder.predict(inputs, batch_size=256, verbose=0)
    steps = part.x.shape[1] if part.lengths is None else part.lengths[:, None]
    mean = outputs.sum(axis=1) / steps  # outputs in the padding are zero
    states = np.concatenate(states, axis=-1)
    return {"states": states, "mean": mean, "both": np.concatenate([states, mean], axis=-1)}


if __name__ == "__main__":
    main()
