"""Ctrl-C while a training runs: obeyed at once, but never between two files of a run."""

from __future__ import annotations

import contextlib
import signal
import threading

import keras


class _Interrupts(keras.callbacks.Callback):
    """Raises an interrupt again after the step in which it was lost.

    Python drops an exception that a signal raises within a callback from C.
    """

    def __init__(self):
        super().__init__()
        self.pressed = False

    def on_train_batch_end(self, batch, logs=None):
        if self.pressed:
            raise KeyboardInterrupt


@contextlib.contextmanager
def obeying_interrupts():
    """Note each Ctrl-C; raises it at the end of the block at the latest."""
    interrupts = _Interrupts()

    def press(*_):
        interrupts.pressed = True
        raise KeyboardInterrupt

    with _handling(press):
        yield interrupts
        if interrupts.pressed:
            raise KeyboardInterrupt


@contextlib.contextmanager
def no_interrupt():
    """Hold Ctrl-C back until the block is done, so that a run's files always agree."""
    pressed = []
    with _handling(lambda *_: pressed.append(True)) as before:
        yield
    if pressed:
        before(signal.SIGINT, None)


@contextlib.contextmanager
def _handling(handler):
    """Have SIGINT handled by ``handler``, where this thread may; yields the handler before it."""
    if threading.current_thread() is not threading.main_thread():
        yield None
        return
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield before if callable(before) else signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
