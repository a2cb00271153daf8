"""On which devices and machines a training runs: one, those of this machine, several workers."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import platform
import shlex
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from kerasrnn.engine import compat, native
from kerasrnn.errors import InputError, Terminated
from kerasrnn.files import locked
from kerasrnn.fitting.interrupts import Interrupts
from kerasrnn.fitting.optimizers import inner_optimizer
from kerasrnn.fitting.replicas import shards, train_function
from kerasrnn.fitting.workers import Worker, this_worker
from kerasrnn.runs import Run

_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
    tf.errors.UnknownError,
)
_PIECES = 1 << 16  # how many values two bytes have


def machine() -> dict:
    """What a training depends on beside libraries, as run.json and ``kerasrnn info`` say it.

    >>> machine()["threads"] > 0
    True
    """
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "native operations": native.library() is not None,
        "gpus": [device.name for device in tf.config.list_physical_devices("GPU")],
        "threads": native.cores(),
    }


class Devices:
    """One device: what several do together it does alone.

    Attributes:
        worker: which process this is of those that train together.
        replicas: the number of devices that have a copy of the model.
        run: that is trained, once it is known.
    """

    worker, replicas, run = Worker(), 1, None

    @property
    def together(self) -> bool:
        """Whether other processes train along."""
        return self.worker.number > 1

    def scope(self) -> contextlib.AbstractContextManager:
        """Within it variables are made, a copy for each device."""
        return contextlib.nullcontext()

    def stepper(self, model: keras.Model, interrupts: Interrupts) -> Callable[[Iterator], dict]:
        """A function that trains a step on what it reads and gives loss and metrics."""
        # One replica has nothing to sum; of a sum TensorFlow keeps graph and variables for good.
        compat.take_sums(inner_optimizer(model.optimizer))
        model.make_train_function()
        return model.train_function

    def dataset(self, read: Callable[[], Iterator], spec, model: keras.Model) -> tf.data.Dataset:
        """The batches of an epoch for that function to read, some read ahead."""
        return tf.data.Dataset.from_generator(read, output_signature=spec).prefetch(
            tf.data.AUTOTUNE
        )

    def ends(self, wish: bool) -> bool:
        """Whether the epoch is to end after a step, as one of the workers wishes."""
        return wish

    def any(self, wish: bool) -> bool:
        """Whether one of the workers wishes it."""
        return wish

    def tell(self, make: Callable):
        """What the chief makes, values of JSON, for all workers."""
        return make()

    def send(self, content: bytes) -> bytes:
        """The chief's bytes, for all workers."""
        return content

    def locked(self, run: Run) -> contextlib.AbstractContextManager:
        """``files.locked`` for the chief, which alone has the run's directory."""
        return locked(run.path) if self.worker.chief else contextlib.nullcontext()

    @contextlib.contextmanager
    def guarded(self):
        """Within it the loss of a worker is an ``InputError`` that says how to go on."""
        yield


class Replicas(Devices):
    """Devices with a copy of the model each, which share the rows of every batch.

    Args:
        strategy: over them.
        worker: which process this is of those that train together.
        quiet: whether it says nothing on stderr.
    """

    def __init__(self, strategy: tf.distribute.Strategy, worker: Worker, quiet: bool):
        self.strategy, self.worker, self.quiet = strategy, worker, quiet
        self.replicas = strategy.num_replicas_in_sync
        self.local = self.replicas // worker.number  # of this process
        self._wish = self._ending = False

    def scope(self):
        return self.strategy.scope()

    def stepper(self, model, interrupts):
        run = train_function(model, self.strategy, self.local)
        optimizer = inner_optimizer(model.optimizer)

        def step(read):
            noted = interrupts.noted
            words = [self._wish, noted is KeyboardInterrupt, noted is Terminated]
            # a limit of time, which the chief alone has, may have changed them
            words.append(int(optimizer.iterations.numpy()) if self.worker.chief else 0)
            logs, words = run(read, tf.constant(words, "float32"))
            stop, pressed, terminated, _ = words.numpy()
            self._ending = stop > 0
            if self.together and (pressed or terminated):
                interrupts.pressed = Terminated if terminated else KeyboardInterrupt
            return logs

        self._wish = self._ending = False
        return step

    def dataset(self, read, spec, model):
        own = range(self.worker.index * self.local, (self.worker.index + 1) * self.local)
        by_weight = model.loss.reduction == "mean_with_sample_weight"
        number = tf.TensorSpec((), "float32")
        return super().dataset(
            lambda: (shards(batch, own, self.replicas, by_weight) for batch in read()),
            ((((spec, number, number),) * self.local), number),
            model,
        )

    def ends(self, wish):
        if not self.together:
            return wish
        self._wish = wish  # known to all with the next step
        return self._ending

    def any(self, wish):
        self._wish = self._ending = False
        return bool(self._sum([wish])[0]) if self.together else wish

    def tell(self, make):
        if not self.together:
            return make()
        content = json.dumps(make(), default=float).encode() if self.worker.chief else b""
        return json.loads(self.send(content))

    def send(self, content):
        if not self.together:
            return content
        content = content if self.worker.chief else b""
        high, low = self._sum(divmod(len(content), _PIECES))
        size = int(high) * _PIECES + int(low)
        padded = np.zeros(size + size % 2, "uint8")
        padded[: len(content)] = np.frombuffer(content, "uint8")
        return self._sum(padded.view("uint16")).astype("uint16").tobytes()[:size]

    def _sum(self, numbers):
        """The sums over the workers of small whole numbers of each, as floats: as gradients go."""
        return self._total(np.asarray(numbers, "float32")).numpy()

    @functools.cached_property
    def _total(self):
        def replica(vector):
            context = tf.distribute.get_replica_context()
            first = tf.get_static_value(context.replica_id_in_sync_group) % self.local == 0
            return context.all_reduce("SUM", vector * float(first))

        def total(vector):
            found = self.strategy.run(replica, args=(vector,))
            return self.strategy.experimental_local_results(found)[0]

        return tf.function(total, input_signature=[tf.TensorSpec((None,), "float32")])

    @contextlib.contextmanager
    def guarded(self):
        try:
            yield
        except KeyboardInterrupt:
            if not self.worker.chief and not self.quiet:  # which has said it
                print(f"stopped; {self._again()}", file=sys.stderr)
            raise
        except _LOST as error:
            if not self.together:
                raise
            what = "another worker has ended or cannot be reached"
            raise InputError(what, fix=self._again()) from error

    def _again(self):
        """How to go on: without the run where the chief has removed it, there was nothing in it."""
        kept = self.run and (self.run.path.exists() or not self.worker.chief)
        words = f" with: kerasrnn train --resume {shlex.quote(str(self.run))}" if kept else ""
        return f"start all of them again{words}"


def shared_run(devices: Devices, make: Callable[[], Run], expected: dict | None = None) -> Run:
    """The run that the chief makes or opens, for all workers.

    expected: what its run.json is to say of data and options. Raises ``InputError`` where a worker
    has other ones, and as ``make`` does.
    """
    if not devices.together:
        return make()

    def made():
        run = make()
        return {"path": os.path.abspath(run), "info": run.info}

    told = devices.tell(made)
    run = devices.run = Run(Path(told["path"]), told["info"])
    _check_same(json.loads(json.dumps(expected or run.info)), run.info)
    return run


def _check_same(here, chief):
    """Raise ``InputError`` where a worker would train another model than the chief."""
    other = []
    if here["data"]["fingerprint"] != chief["data"]["fingerprint"]:
        other.append("data")
    names = {*here["options"], *chief["options"]}
    other += sorted(n for n in names if here["options"].get(n) != chief["options"].get(n))
    if other:
        raise InputError("a worker differs from the chief", found=f"other {', '.join(other)}")


def open_devices(strategy: str, *, quiet: bool = False) -> Devices:
    """The devices that a strategy means here.

    ``"auto"``: several workers where TF_CONFIG names them, else all GPUs where there are several,
    else one device. Workers wait for each other. Raises ``InputError``.
    """
    worker = this_worker(strategy)
    if worker is not None:
        if not quiet and worker.number > 1:
            print(f"worker {worker.index} of {worker.number} at {worker.address}", file=sys.stderr)
        return Replicas(_multiworker(os.environ["TF_CONFIG"]), worker, quiet)
    several = len(tf.config.list_physical_devices("GPU")) > 1
    if strategy == "none" or (strategy == "auto" and not several):
        return Devices()
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if len(devices) < 2:
        warnings.warn("--strategy mirrored with one device, which trains alone", stacklevel=3)
        return Devices()
    return Replicas(_mirrored(tuple(device.name for device in devices)), Worker(), quiet)


@functools.cache
def _mirrored(names):
    """The strategy over devices of this machine; two would take each other's messages."""
    return tf.distribute.MirroredStrategy(names)


@functools.cache
def _multiworker(cluster):
    """The strategy over the workers; of a process there can be but one."""
    in_main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, signal.SIG_DFL) if in_main else None
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()  # which no interrupt can be raised in
    except RuntimeError as error:
        raise InputError(
            "TensorFlow had begun to work before it was told of the other workers",
            fix="train in a fresh process, before all else",
        ) from error
    except tf.errors.OpError as error:
        raise InputError(
            f"cannot join the other workers: {error.message.splitlines()[0]}", where="TF_CONFIG"
        ) from error
    finally:
        if in_main:
            signal.signal(signal.SIGINT, before)
