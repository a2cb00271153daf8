"""Train one model on the machines of a Ray cluster, with Ray Train.

    pip install 'kerasrnn[ray]'
    python scripts/ray_train.py --workers 4 reviews.csv --epochs 20 -o runs/reviews
    python scripts/ray_train.py --workers 2 --gpus 1 mnist -o runs/mnist

What follows the options of this program is that of ``kerasrnn train`` (``kerasrnn train
--help``), which each worker calls with ``--strategy multiworker`` and the ``TF_CONFIG`` that Ray
Train sets. Where a worker is lost all begin again with ``--resume``, from the last checkpoint;
so does the same command where the run is there and unfinished.

The machines must see the data and the run under one path.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import click
from ray_cluster import ADDRESS, Command, connected

from kerasrnn.cli.common import import_tensorflow
from kerasrnn.cli.output import print_metrics
from kerasrnn.errors import InputError
from kerasrnn.runs import open_run

_REFUSED = 2  # exit code of kerasrnn where the input is to blame, or
_LOST = "another worker has ended"


def train_once(arguments, output, workers, cpus, gpus):
    """Train until the end, or until a worker is lost; print what the chief says.

    Raises ``InputError`` where the input is bad, and ``ray.train.TrainingFailedError``.
    """
    import_tensorflow()
    from ray import train
    from ray.train.tensorflow import TensorflowTrainer

    needs = {"CPU": cpus} | ({"GPU": gpus} if gpus else {})
    storage = output.with_name(f".{output.name}.ray")  # of Ray, which needs one, and our logs
    given = {"arguments": arguments, "output": str(output), "logs": str(storage)}
    trainer = TensorflowTrainer(
        work,
        train_loop_config=given | {"folder": os.getcwd(), "threads": max(1, int(cpus))},
        scaling_config=train.ScalingConfig(
            num_workers=workers, use_gpu=bool(gpus), resources_per_worker=needs
        ),
        run_config=train.RunConfig(storage_path=str(storage)),
    )
    storage.mkdir(parents=True, exist_ok=True)
    ended = threading.Event()
    printer = threading.Thread(target=follow, args=(storage / "0.log", ended))
    printer.start()
    try:
        trainer.fit()
    except train.WorkerGroupError as error:
        for failure in error.worker_failures.values():
            if isinstance(failure, InputError):
                raise failure from error
        raise
    finally:
        ended.set()
        printer.join()
        shutil.rmtree(storage, ignore_errors=True)


def follow(path, ended):
    """Print a file as it grows, until it has ended."""
    place, last = 0, False
    while not last:
        last = ended.wait(1)
        if path.exists():
            with path.open(encoding="utf-8", errors="replace") as file:
                file.seek(place)
                sys.stderr.write(file.read())
                place = file.tell()


def work(given):
    """What each worker does: ``kerasrnn train`` in a process of its own, that can be killed."""
    from ray import train

    if not os.path.isdir(given["folder"]):
        found = given["folder"]
        raise InputError("a machine that does not see the folder of the command", found=found)
    words = [*given["arguments"], "-o", given["output"], "--strategy", "multiworker"]
    if os.path.exists(os.path.join(given["output"], "run.json")):
        words = ["--resume", given["output"]]
    environment = os.environ | {"OMP_NUM_THREADS": str(given["threads"])}
    environment.pop("TF_USE_LEGACY_KERAS")  # of Ray, for a Keras that is not meant here
    log = Path(given["logs"], f"{train.get_context().get_world_rank()}.log")
    with log.open("wb") as file:
        process = subprocess.run(
            [sys.executable, "-m", "kerasrnn", "train", *words],
            cwd=given["folder"],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=file,
            preexec_fn=_end_with_parent,
        )
    if process.returncode < 0:
        raise RuntimeError(f"a worker was killed by signal {-process.returncode}")
    if process.returncode:
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        line = said[-1] if said else f"exit code {process.returncode}"
        refused = process.returncode == _REFUSED and _LOST not in line
        raise (InputError if refused else RuntimeError)(line)


def _end_with_parent():
    """Have Linux kill this process when its worker ends; it may wait for one that is no more."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


@click.command(cls=Command, context_settings={"show_default": True, "ignore_unknown_options": True})
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The run.")
@click.option("--workers", type=click.IntRange(1), default=2, help="Processes that train.")
@click.option("--cpus", type=click.FloatRange(0.1), default=1.0, help="Of a worker.")
@click.option("--gpus", type=click.FloatRange(0), default=0.0, help="Of a worker.")
@click.option("--retries", type=click.IntRange(0), default=3, help="After a worker was lost.")
@ADDRESS
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[DATA] [OPTIONS]...")
def main(output, workers, cpus, gpus, retries, address, arguments):
    """Train as 'kerasrnn train DATA OPTIONS' does, on a Ray cluster."""
    with connected(address, workers * cpus, workers * gpus):
        from ray.train import TrainingFailedError

        for left in reversed(range(retries + 1)):
            try:
                train_once(arguments, output.absolute(), workers, cpus, gpus)
                break
            except TrainingFailedError as error:
                said = str(error).strip().splitlines()[-1]
                if not left:
                    raise InputError(f"training failed: {said}", where=output) from error
                click.echo(f"training failed: {said}; {left} retries are left", err=True)
    print_metrics(open_run(output).metrics())


if __name__ == "__main__":
    main()
