"""Ctrl-C and SIGTERM while a training runs: obeyed at once, never between two files of a run."""

from __future__ import annotations

import contextlib
import signal
import threading

from kerasrnn.errors import Terminated

_RAISED = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: Terminated}


class Interrupts:
    """What was pressed while a training runs: ``pressed`` is the exception for it, or None.

    together: with other processes, so that the first one is but ``noted`` until all know of it.
    """

    def __init__(self, together: bool = False):
        self.pressed = self.noted = None
        self._in_step, self._together = False, together

    def check(self):
        """Raise an interrupt again: Python drops one that it raises within a callback from C."""
        if self.pressed:
            raise self.pressed

    @contextlib.contextmanager
    def step(self):
        """Hold the first one back until a step is done, so that one knows which are done."""
        self._in_step = True
        try:
            yield
        finally:
            self._in_step = False

    def press(self, number, frame):
        """Handle a signal."""
        waits = (self._in_step or self._together) and not self.noted
        self.noted = _RAISED[number]
        if not self._together:
            self.pressed = self.noted
        if not waits:
            raise self.noted


@contextlib.contextmanager
def obeying_interrupts(together: bool = False):
    """Note each Ctrl-C and SIGTERM; raises it at the end of the block at the latest."""
    interrupts = Interrupts(together)
    with _handling(interrupts.press):
        yield interrupts
        if interrupts.noted:
            raise interrupts.noted


@contextlib.contextmanager
def no_interrupt():
    """Hold them back until the block is done, so that a run's files always agree."""
    pressed = []
    with _handling(lambda number, _: pressed.append(number)) as before:
        yield
    if pressed:
        before(pressed[0])


@contextlib.contextmanager
def _handling(handler):
    """Have the signals handled, where this thread may; yields a function that handles as before."""
    if threading.current_thread() is not threading.main_thread():
        yield None
        return
    before = {number: signal.signal(number, handler) for number in _RAISED}

    def as_before(number):
        if callable(before[number]):
            before[number](number, None)
        elif before[number] is signal.SIG_DFL:
            raise _RAISED[number]

    try:
        yield as_before
    finally:
        for number, old in before.items():
            signal.signal(number, old)
