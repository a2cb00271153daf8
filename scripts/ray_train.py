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
from pathlib import Path

import click
from ray_cluster import ADDRESS, Command, connected

from kerasrnn.cli.output import print_metrics
from kerasrnn.errors import InputError
from kerasrnn.runs import open_run

_REFUSED = 2  # exit code of kerasrnn where the input is to blame


def train_once(arguments, output, workers, cpus, gpus):
    """Train until the end, or until a worker is lost.

    Raises ``InputError`` where the input is bad, and ``ray.train.TrainingFailedError``.
    """
    from ray import train
    from ray.train.tensorflow import TensorflowTrainer

    given = {"arguments": arguments, "output": output.name, "folder": str(output.parent)}
    needs = {"CPU": cpus} | ({"GPU": gpus} if gpus else {})
    storage = output.with_name(f".{output.name}.ray")  # of Ray, which needs one
    trainer = TensorflowTrainer(
        work,
        train_loop_config=given | {"here": os.getcwd(), "threads": max(1, int(cpus))},
        scaling_config=train.ScalingConfig(
            num_workers=workers, use_gpu=bool(gpus), resources_per_worker=needs
        ),
        run_config=train.RunConfig(storage_path=str(storage)),
    )
    try:
        trainer.fit()
    except train.WorkerGroupError as error:
        for failure in error.worker_failures.values():
            if isinstance(failure, InputError):
                raise failure from error
        raise
    finally:
        shutil.rmtree(storage, ignore_errors=True)


def work(given):
    """What each worker does: ``kerasrnn train`` in a process of its own, that can be killed."""
    from ray import train

    if not os.path.isdir(given["here"]):
        found = given["here"]
        raise InputError("a machine that does not see the folder of the command", found=found)
    output = os.path.join(given["folder"], given["output"])
    words = [*given["arguments"], "-o", output, "--strategy", "multiworker"]
    if os.path.exists(os.path.join(output, "run.json")):
        words = ["--resume", output]
    if train.get_context().get_world_rank():
        words.append("--quiet")
    environment = os.environ | {"OMP_NUM_THREADS": str(given["threads"])}
    environment.pop("TF_USE_LEGACY_KERAS")  # of Ray, for a Keras that is not meant here
    process = subprocess.Popen(
        [sys.executable, "-m", "kerasrnn", "train", *words],
        cwd=given["here"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_end_with_parent,
    )
    line = ""
    for line in process.stderr:
        print(line, end="", flush=True)
    code = process.wait()
    if code:
        raise (InputError if code == _REFUSED else RuntimeError)(
            line.strip() or f"exit code {code}"
        )


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
    with connected(address, workers * cpus, workers * gpus, log=True):
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
