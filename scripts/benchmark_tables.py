"""Tables of any size: rows read a second, and the memory of a training on a large CSV.

    python scripts/benchmark_tables.py read
    python scripts/benchmark_tables.py train --gigabytes 2

``read`` times the reading of tables of several widths, numbers and texts, from bytes to arrays.
``train`` writes a CSV of series, a series a row, trains on it in a process of its own and prints
the most memory that it took (resident set, by ``getrusage``).
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np

WIDTHS = (2, 20, 200)
TURNS = 3


def write_series(path: Path, size: float, steps: int):
    """Write a CSV of about ``size`` bytes: a label and a noisy wave of its frequency a row."""
    rng = np.random.default_rng(0)
    names = ",".join(["label", *(f"t{step}" for step in range(steps))])
    with path.open("w", encoding="utf-8") as file:
        file.write(names + "\n")
        while file.tell() < size:
            labels = rng.integers(4, size=500)
            phases = rng.uniform(0, 6, (500, 1)) + np.arange(steps) / 10 * (1 + labels[:, None] / 2)
            values = np.sin(phases) + rng.normal(0, 0.3, (500, steps))
            lines = [",".join(map("{:.5f}".format, row)) for row in values]
            file.writelines(
                f"{'abcd'[label]},{line}\n" for label, line in zip(labels, lines, strict=True)
            )


@click.group()
def main():
    """Measure how tables are read."""


@main.command()
@click.option("--rows", default=200_000, show_default=True)
def read(rows: int):
    """Rows a second from a CSV file to an array."""
    from kerasrnn.data.readers.tables import open_table

    click.echo(f"{'numbers a row':>13} {'rows':>9} {'MB':>6} {'rows/s, best':>13} {'median':>9}")
    with tempfile.TemporaryDirectory() as folder:
        for width in WIDTHS:
            path = Path(folder) / f"{width}.csv"
            number = rows // max(1, width // 10)
            np.savetxt(
                path,
                np.random.default_rng(0).normal(size=(number, width)),
                "%.5f",
                ",",
                header=",".join(f"x{i}" for i in range(width)),
                comments="",
            )
            times = []
            for _ in range(TURNS):
                start = time.perf_counter()
                table = open_table(path)
                for batch in table.batches():
                    for name in table.columns:
                        table.numbers(batch, name)
                times.append(time.perf_counter() - start)
            size = path.stat().st_size / 1e6
            best, median = number / min(times), number / statistics.median(times)
            click.echo(f"{width:>13} {number:>9,} {size:>6.0f} {best:>13,.0f} {median:>9,.0f}")


@main.command()
@click.option("--gigabytes", default=2.0, show_default=True)
@click.option("--steps", default=500, show_default=True, help="Numbers a series.")
@click.option("--epochs", default=1, show_default=True)
def train(gigabytes: float, steps: int, epochs: int):
    """The most memory of a training on a large CSV file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.csv"
        write_series(path, gigabytes * 1e9, steps)
        options = ["--units", "8", "--unidirectional", "--batch-size", "256"]
        command = [sys.executable, "-m", "kerasrnn", "train", str(path), *options]
        start = time.perf_counter()
        subprocess.run(
            [*command, "--epochs", str(epochs), "-o", str(Path(folder) / "run")], check=True
        )
        seconds = time.perf_counter() - start
        most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        click.echo(
            f"{path.stat().st_size / 1e9:.2f} GB of CSV: {seconds:.0f} s, "
            f"at most {most / 1e9:.2f} GB of memory"
        )


if __name__ == "__main__":
    main()
