"""What the second direction gives an infiller: perplexity of masked characters, with and without.

    python scripts/compare_directions.py                       # both texts
    python scripts/compare_directions.py --text shakespeare --epochs 10

Two infillers are trained alike, one bidirectional, one that only reads forwards and is so much
wider that it has as many parameters (to the nearest unit). Both fill the same hidden
characters of the same validation text.
"""

from __future__ import annotations

import os
import tempfile
from datetime import date
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click

EPOCHS = {"time-machine": 15, "shakespeare": 4}


@click.command()
@click.option("--text", type=click.Choice([*EPOCHS]), multiple=True, help="[default: both]")
@click.option("--units", type=int, default=128, show_default=True, help="Of each direction.")
@click.option("--epochs", type=int, help="For each text.  [default: 15 and 4]")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the trainings.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder to keep the runs in.")
def main(text, units, epochs, seed, output):
    """Train both infillers on each text and print a table."""
    from kerasrnn import build_infiller, load_corpus, train

    folder = output or Path(tempfile.mkdtemp(prefix="directions-"))
    rows = []
    for name in text or EPOCHS:
        number = epochs or EPOCHS[name]
        corpus = load_corpus(name, task="infiller")

        def parameters(units, bidirectional, corpus=corpus):
            options = {"units": units, "bidirectional": bidirectional}
            return build_infiller(len(corpus.vocabulary), **options).count_params()

        wanted = parameters(units, True)
        width = min(
            range(units, 3 * units), key=lambda width: abs(parameters(width, False) - wanted)
        )
        for title, options in (
            (f"both directions, {units} units each", {"units": units, "bidirectional": True}),
            (f"forwards only, {width} units", {"units": width, "bidirectional": False}),
        ):
            run = train(
                corpus,
                folder / f"{name}-{options['units']}-{options['bidirectional']}",
                epochs=number,
                batch_size=64,
                dropout=0.2,
                seed=seed,
                quiet=True,
                **options,
            )
            perplexity = run.metrics()["validation"]["perplexity"]
            count = parameters(**options)
            rows.append(f"| {name}, {number} epochs | {title} | {count:,} | {perplexity:.3f} |")
            click.echo(rows[-1], err=True)
    click.echo(f"Perplexity of the hidden characters, {date.today()}, runs in {folder}\n")
    click.echo("| text | infiller | parameters | perplexity |\n|---|---|---|---|")
    click.echo("\n".join(rows))


if __name__ == "__main__":
    main()
