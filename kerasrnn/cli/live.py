"""``kerasrnn train --live``: report.html of a run while it trains."""

from __future__ import annotations

import os
import time
import warnings
from pathlib import Path

import keras

from kerasrnn.cli.common import talk
from kerasrnn.cli.report import write_report
from kerasrnn.errors import InputError
from kerasrnn.runs import open_run

_SHARE = 20  # of the time, one part of so many goes into pages at most


class LiveReport(keras.callbacks.Callback):
    """Writes report.html when an epoch's files are there, unless that takes too much of the time.

    The page loads itself anew until ``close`` has written the last one.
    """

    def __init__(self):
        super().__init__()
        self.path, self.due = None, 0.0

    def on_train_begin(self, logs=None):
        self.path = Path(self.params["run"])
        talk(f"live report    {(self.path / 'report.html').resolve()}")
        self._write()

    def on_epoch_begin(self, epoch, logs=None):
        if time.monotonic() >= self.due:
            self._write()

    def on_train_end(self, logs=None):
        self._write()

    def close(self):
        """Leave a page that stays as it is, of a run that has ended in whichever way."""
        if self.path and os.path.isfile(self.path / "run.json"):
            write_page(self.path, live=False)

    def _write(self):
        start = time.monotonic()
        write_page(self.path, live=True)
        end = time.monotonic()
        self.due = end + _SHARE * (end - start)


def write_page(run: str | os.PathLike, live: bool):
    """Write report.html into a run; warns where it cannot, for a training is worth more."""
    try:
        write_report([open_run(run)], live=live)
    except InputError as error:
        warnings.warn(f"{error}; report.html was not written", stacklevel=2)
