"""Functions called in processes beside this one, each with its share of the threads. No Keras."""

from __future__ import annotations

import _thread
import contextlib
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

from kerasrnn.engine import native
from kerasrnn.errors import InputError

_WORK = "from kerasrnn.processes import _work; _work()"


class Process:
    """A process that calls a function of a module, and says nothing but what error it met.

    It ends as after Ctrl-C where ``stop`` is called, and where this process ends.

    Args:
        call: the function; what it returns is lost.
        arguments: for it.
        share: the number of such processes at a time.

    Raises:
        InputError: arguments that cannot be pickled.
    """

    def __init__(self, call: Callable, *arguments, share: int):
        threads = max(1, native.cores() // share)
        try:
            words = pickle.dumps((threads, call, arguments))
        except TypeError as error:
            raise InputError(
                "data that cannot go to another process", fix="leave --parallel out"
            ) from error
        environment = {
            "KERAS_BACKEND": "tensorflow",
            "OMP_NUM_THREADS": str(threads),
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-c", _WORK],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # where TensorFlow talks as it starts
            env=os.environ | environment,
            start_new_session=True,  # Ctrl-C reaches it by way of this process alone
        )
        with contextlib.suppress(BrokenPipeError):  # its end tells more
            self._process.stdin.write(words)
            self._process.stdin.flush()

    def ended(self) -> bool:
        """Whether it has ended. Raises ``InputError`` with what ended it, if not its work."""
        if self._process.poll() is None:
            return False
        with self._process as ended:
            said = ended.stdout.read()
        if ended.returncode:
            raise InputError(json.loads(said) if said else f"killed: exit code {ended.returncode}")
        return True

    def interrupt(self):
        """Have it end."""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()

    def stop(self):
        """Have it end, and wait for that."""
        self.interrupt()
        self._process.wait()


def _work():
    """What such a process does."""
    import tensorflow as tf

    threads, call, arguments = pickle.load(sys.stdin.buffer)
    tf.config.threading.set_intra_op_parallelism_threads(threads)

    def watch():
        while os.read(0, 1):  # sys.stdin has a lock, without which Python cannot end
            pass
        _thread.interrupt_main()

    threading.Thread(target=watch, daemon=True).start()
    try:
        with contextlib.redirect_stdout(sys.stderr):
            call(*arguments)
    except Exception as error:
        kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
        print(json.dumps(f"{kind}{error}"))
        sys.exit(1)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # there is nothing left to stop
