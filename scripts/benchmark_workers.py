"""Training on several workers of this machine: sequences a second of 1, 2 and 4 processes.

    python scripts/benchmark_workers.py
    python scripts/benchmark_workers.py --workers 1,2 --units 50 --batch-size 32

The batch is the same for all, shared by the workers. Each number of workers takes a turn, again
and again, so that a busy machine troubles them alike; the first epoch, which traces the graph,
does not count. All workers have the cores of this machine: what is seen is what the exchange of
gradients costs, not what more machines bring.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click

WORK = """
import json, sys
import numpy as np
from kerasrnn import Dataset, train
said = json.loads(sys.argv[1])
x = np.random.default_rng(0).normal(size=said["shape"]).astype("float32")
y = np.arange(len(x)) % 10
data = Dataset.from_arrays(x, y, validation_split=0, test=(x[:10], y[:10]))
train(data, said["output"], quiet=True, **said["options"])
"""


def train_on(number, folder, said):
    """Seconds of each epoch but the first of a training on so many workers."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    addresses = ["{}:{}".format(*one.getsockname()) for one in sockets]
    for one in sockets:
        one.close()
    processes = []
    for index in range(number):
        config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        environment = os.environ | {"TF_CONFIG": json.dumps(config)}
        words = [sys.executable, "-c", WORK, json.dumps(said | {"output": str(folder)})]
        processes.append(subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL))
    if any([process.wait() for process in processes]):
        raise SystemExit(f"a training on {number} workers failed")
    from kerasrnn.runs import open_run

    return open_run(folder).history()["seconds"][1:]


@click.command()
@click.option("--workers", default="1,2,4", metavar="N,…", show_default=True)
@click.option("--turns", default=3, show_default=True)
@click.option("--epochs", default=6, show_default=True, help="Of a turn.")
@click.option("--sequences", default=2048, show_default=True)
@click.option("--steps", default=64, show_default=True, help="Of a sequence, of 16 features.")
@click.option("--units", default=128, show_default=True, help="Of a bidirectional LSTM.")
@click.option("--batch-size", default=256, show_default=True)
def main(workers, turns, epochs, sequences, steps, units, batch_size):
    """Print the throughput of a training on 1, 2 and 4 workers."""
    from kerasrnn.engine.native import cores

    options = {"epochs": epochs, "units": units, "batch_size": batch_size, "dropout": 0}
    options |= {"stem": "none", "pooling": "last"}
    said = {"shape": [sequences, steps, 16], "options": options}
    found = {int(number): [] for number in workers.split(",")}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(turns):
            for number, seconds in found.items():
                seconds += train_on(number, Path(folder) / f"{number}-{turn}", said)
    print(f"{cores()} cores, {turns * (epochs - 1)} epochs of {sequences} × {steps} × 16 each")
    print(f"{'workers':>7} {'seq./s':>9} {'slowest':>9} {'fastest':>9}")
    for number, seconds in found.items():
        rates = [
            sequences / one for one in (statistics.median(seconds), max(seconds), min(seconds))
        ]
        print(f"{number:7}" + "".join(f" {rate:9,.0f}" for rate in rates))


if __name__ == "__main__":
    main()
