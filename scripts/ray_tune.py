"""Search for options as ``kerasrnn tune`` does, with trials on the machines of a Ray cluster.

    pip install 'kerasrnn[ray,tune]'
    python scripts/ray_tune.py --workers 8 reviews.csv --trials 100 -o runs/tuned
    python scripts/ray_tune.py --workers 4 --gpus 1 digits --search units,dropout

What follows the options of this program is that of ``kerasrnn tune`` (``kerasrnn tune --help``),
and so is the study: one that either of them began the other goes on with. The machines must see
the data and the study under one path.
"""

from __future__ import annotations

import os
from functools import partial

import click
from ray_cluster import ADDRESS, Command, connected

from kerasrnn.errors import InputError, reason_of


class Task:
    """A task of Ray that calls a function, in the place of ``kerasrnn.processes.Process``."""

    def __init__(self, call, *arguments, share, cpus, gpus):
        import ray

        # a process of its own each: TensorFlow keeps its memory and its threads
        remote = ray.remote(max_calls=1, num_cpus=cpus, num_gpus=gpus)(_work)
        self._task = remote.remote(call, arguments, os.getcwd(), max(1, int(cpus)))

    def ended(self) -> bool:
        """Whether it has ended. Raises ``InputError`` with what ended it, if not its work."""
        import ray

        if not ray.wait([self._task], timeout=0)[0]:
            return False
        try:
            ray.get(self._task)
        except ray.exceptions.RayTaskError as error:
            kind = "" if isinstance(error.cause, InputError) else f"{type(error.cause).__name__}: "
            raise InputError(f"{kind}{reason_of(error.cause)}") from error
        return True

    def interrupt(self):
        """Have it end as after Ctrl-C."""
        import ray

        ray.cancel(self._task)

    def stop(self):
        """Have it end, and wait for that."""
        import ray

        self.interrupt()
        ray.wait([self._task])


def _work(call, arguments, folder, threads):
    """What such a task does."""
    if not os.path.isdir(folder):
        raise InputError("a machine that does not see the folder of the command", found=folder)
    os.chdir(folder)
    os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"  # a GPU may be shared
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    call(*arguments)


@click.command(cls=Command, context_settings={"show_default": True, "ignore_unknown_options": True})
@click.option("--workers", type=click.IntRange(1), default=2, help="Trials at a time.")
@click.option("--cpus", type=click.FloatRange(0.1), default=1.0, help="Of a worker.")
@click.option("--gpus", type=click.FloatRange(0), default=0.0, help="Of a worker.")
@ADDRESS
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[DATA] [OPTIONS]...")
def main(workers, cpus, gpus, address, arguments):
    """Search as 'kerasrnn tune DATA OPTIONS' does, on a Ray cluster."""
    from kerasrnn.cli import main as kerasrnn

    words = ["tune", *arguments, "--parallel", str(workers)]
    with connected(address, workers * cpus, workers * gpus):
        kerasrnn(words, prog_name="kerasrnn", obj=partial(Task, cpus=cpus, gpus=gpus))


if __name__ == "__main__":
    main()
