"""Short trainings of each task for faults.py: their data, the words of their commands, their runs.

``Child`` is a process that runs one of them and may end itself: a copy of this process, made after
TensorFlow is imported and before it is used, since to import it takes longer than all the rest.
"""

from __future__ import annotations

import builtins
import io
import json
import os
import random
import re
import signal
import sys
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

_ADDRESS = re.compile(rb'"shared_object_id": \d+')  # of a configuration, other ones in each process
PLACES = ("step", "open", "replace", "link", "half checkpoint", "half model", "model", "unlink")
_SIGNALS = {signal.SIGINT, signal.SIGTERM}
TIMES = {"seconds", "tokens_per_second"}  # of a history: no two trainings have the same
_SMALL = ["--cell", "simple", "--unidirectional", "--units", "4"]
_STEM = [*_SMALL, "--stem", "fcn", "--stem-filters", "4"]
_MIXED = [*_STEM, "--members", "3"]
_TEXT = ["--units", "6", "--sequence-length", "12", "--batch-size", "8", "--sample-every", "0"]
_CARRIED = ["--sampling", "sequential", "--schedule", "plateau", "--learning-rate", "0.2"]
_CARRIED += ["--checkpoint-every", "5"]
_WORDS = {
    "good": ["fine", "great", "nice", "good", "the", "a"],
    "bad": ["poor", "awful", "bad", "dull", "the", "a"],
}
TASKS = {
    "digits": ["digits", "--units", "6", "--epochs", "4", "--batch-size", "128"],
    "sequences": ["sequences.npz", *_SMALL, "--stem", "none", "--epochs", "6", "--batch-size", "8"],
    "texts": ["texts.csv", "--units", "6", "--embedding-dim", "6", "--epochs", "5"],
    "numbers": ["numbers.csv", "--target", "y", *_MIXED, "--epochs", "8", "--batch-size", "16"],
    "series": ["series.csv", "--horizon", "6", *_SMALL, "--epochs", "8", "--batch-size", "16"],
    "tagger": ["tags.conll", "--units", "6", "--use-characters", "--epochs", "5"],
    "random": ["tale.txt", *_TEXT, "--epochs", "5"],
    "carried": ["tale.txt", *_TEXT, "--epochs", "9", *_CARRIED],
    "infiller": ["tale.txt", "--task", "infiller", *_TEXT[:-2], "--epochs", "5"],
}


def make_data(folder: Path):
    """Write the files that ``TASKS`` name into a folder."""
    rng = np.random.default_rng(0)
    y, lengths = np.arange(90) % 2, rng.integers(9, 20, 90)
    x = rng.normal(2.0 * y[:, None, None] - 1, 2, (90, 19, 2)).astype("float32")
    x[np.arange(19) >= lengths[:, None]] = np.nan
    np.savez(folder / "sequences.npz", x=x, y=np.array(["down", "up"])[y], lengths=lengths)
    rows = [(label, rng.choice(own, rng.integers(3, 9))) for label, own in [*_WORDS.items()] * 60]
    lines = [f"{' '.join(chosen)},{label}" for label, chosen in rows]
    (folder / "texts.csv").write_text("\n".join(["text,label", *lines]) + "\n")
    x = rng.normal(size=(150, 6))
    lines = [",".join(f"{value:.3f}" for value in (*row, row.sum())) for row in x]
    header = ",".join([*(f"t{step}" for step in range(6)), "y"])
    (folder / "numbers.csv").write_text("\n".join([header, *lines]) + "\n")
    months = np.datetime64("2000-01", "M") + np.arange(144)
    level = 100 + np.arange(144) + 30 * np.sin(np.arange(144) * np.pi / 6) + rng.normal(0, 5, 144)
    lines = [f"{month},{value:.2f}" for month, value in zip(months, level, strict=True)]
    (folder / "series.csv").write_text("\n".join(["month,sales", *lines]) + "\n")
    tokens = [("Ann", "B-PER"), ("Lee", "I-PER"), ("saw", "O"), ("Rome", "B-LOC"), ("again", "O")]
    kept = [[pair for pair in tokens if rng.random() < 0.8] or tokens for _ in range(300)]
    sentences = ["\n".join(" ".join(pair) for pair in sentence) for sentence in kept]
    (folder / "tags.conll").write_text("\n\n".join(sentences) + "\n")
    tale = " ".join(rng.choice(["the", "cat", "sat", "on", "a", "mat", "and", "saw", "dogs"], 900))
    (folder / "tale.txt").write_text(tale + "\n")


def start_or_resume(task: str, run: str) -> list[str]:
    """The command that goes on with a run of a task, or begins it."""
    if os.path.exists(os.path.join(run, "run.json")):
        return ["train", "--resume", run, "-q"]
    return ["train", *TASKS[task], "-o", run, "-q"]


# --- what a run holds --------------------------------------------------------------------


def content(run: Path) -> dict:
    """All that two trainings of the same numbers agree in."""
    from kerasrnn import open_run

    opened = open_run(run)
    found = {"history.csv": {k: v for k, v in opened.history().items() if k not in TIMES}}
    found["metrics.json"] = opened.metrics()
    found |= {"run.json": opened.info["options"], "checksums.json": checked(run)}
    with np.load(run / "state.npz") as file:
        state = {name: file[name] for name in file.files}
    progress = json.loads(state.pop("progress").tobytes())
    for row in progress["keepers"]["recorder"]["rows"]:
        for name in TIMES:
            row.pop(name, None)
    found |= {"state.npz": state, "progress": progress}
    for name in ("best.keras", "last.keras"):
        found[name] = saved_weights(run / name)
    return found


def checked(run: Path) -> str:
    """Whether each file is that of its checksum."""
    from kerasrnn.files import check_sum

    for path in run.iterdir():
        check_sum(path)
    return "as noted"


def saved_weights(path: Path) -> dict:
    """All arrays of a .keras file, and its configuration."""
    import h5py

    found = {}
    with zipfile.ZipFile(path) as archive:
        found["config"] = _ADDRESS.sub(b"", archive.read("config.json"))
        with h5py.File(io.BytesIO(archive.read("model.weights.h5")), "r") as file:
            file.visititems(
                lambda name, item: found.update({name: item[()]}) if hasattr(item, "dtype") else 0
            )
    return found


def differences(one: dict, other: dict, where: str = "") -> list[str]:
    """The names of what is not equal bit for bit."""
    found = []
    for name in one.keys() | other.keys():
        a, b = one.get(name), other.get(name)
        if isinstance(a, dict) and isinstance(b, dict):
            found += differences(a, b, f"{where}{name}/")
        elif isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
            same = a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
            found += [] if same else [f"{where}{name}"]
        elif repr(a) != repr(b):
            found.append(f"{where}{name}")
    return sorted(found)


# --- a process that ends itself ----------------------------------------------------------


class Faults:
    """Counts what happens in a run's folder, and calls ``strike(place)`` at the n-th of a place."""

    def __init__(self, folder: str, place: str | None, number: int, strike):
        self.folder, self.place, self.number = os.path.abspath(folder), place, number
        self.strike, self.counts = strike, Counter()

    def of_run(self, path) -> bool:
        is_path = isinstance(path, (str, os.PathLike))
        return is_path and os.path.abspath(path).startswith(self.folder)

    def now(self, place: str) -> bool:
        """Count; whether it is the time to strike."""
        self.counts[place] += 1
        return place == self.place and self.counts[place] == self.number

    def happen(self, place: str):
        if self.now(place):
            self.strike(place)

    def install(self, patch=setattr):
        """Watch all places; ``patch`` sets an attribute of an object."""
        import keras

        for owner, name in ((os, "replace"), (os, "link"), (os, "unlink")):
            patch(owner, name, self._before(getattr(owner, name), name))
        for owner in (io, builtins):
            patch(owner, "open", self._opened(io.open))
        patch(np, "savez", self._half_checkpoint(np.savez))
        patch(keras.Model, "save", self._half_model(keras.Model.save))
        patch(keras.Model, "make_train_function", self._steps(keras.Model.make_train_function))

    def _before(self, function, name):
        def watched(path, *arguments, **options):
            if self.of_run(path):
                self.happen(name)
            return function(path, *arguments, **options)

        return watched

    def _opened(self, function):
        def watched(path, mode="r", *arguments, **options):
            file = function(path, mode, *arguments, **options)
            if "w" in mode and self.of_run(path):
                self.happen("open")
            return file

        return watched

    def _half_checkpoint(self, function):
        def watched(file, **arrays):
            if self.now("half checkpoint"):
                whole = io.BytesIO()
                function(whole, **arrays)
                file.write(whole.getvalue()[: random.randrange(whole.tell())])
                file.flush()
                self.strike("half checkpoint")
                file.seek(0)  # the signal waits until the files are written
                file.truncate()
            return function(file, **arrays)

        return watched

    def _half_model(self, function):
        def watched(model, path, *arguments, **options):
            function(model, path, *arguments, **options)
            if self.now("half model"):
                whole = Path(path).read_bytes()
                os.truncate(path, random.randrange(len(whole)))
                self.strike("half model")
                Path(path).write_bytes(whole)  # the signal waits until the files are written
            self.happen("model")

        return watched

    def _steps(self, function):
        def watched(model, *arguments, **options):
            function(model, *arguments, **options)
            train = model.train_function

            def step(read):
                self.happen("step")
                return train(read)

            model.train_function = step

        return watched


class Child:
    """A process that runs a command of kerasrnn.

    Args:
        words: of the command.
        run: the folder in which ``place`` is looked for.
        place: of ``PLACES``, at whose n-th time ``strike(place)`` is called in it; None for never.
        number: n.
        strike: by default sends itself ``name``, a signal.
        seed: of what is cut where.
        user: number of the one whose process it is; None for the one who asks.
    """

    def __init__(
        self, words, run, place=None, number=0, name="SIGKILL", strike=None, seed=0, user=None
    ):
        self.output = [tempfile.TemporaryFile("w+") for _ in range(2)]  # noqa: SIM115
        self.begun = time.monotonic()
        sys.stdout.flush()
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        self.pid = os.fork()
        if not self.pid:
            random.seed(seed)
            if user is not None:
                os.setuid(user)
            strike = strike or (lambda _: os.kill(os.getpid(), signal.Signals[name]))
            os._exit(self._run(words, Faults(str(run), place, number, strike)))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def _run(self, words, faults):
        """What the process does; its exit code."""
        for number, file in enumerate(self.output, 1):
            os.dup2(file.fileno(), number)
        code = 0
        try:
            faults.install()
            from kerasrnn.cli import main as kerasrnn

            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            kerasrnn(words)
        except SystemExit as error:
            code = error.code
        except BaseException:
            traceback.print_exc()
            code = 1
        if code != 2:
            print(json.dumps(faults.counts), flush=True)
        sys.stdout.flush()
        sys.stderr.flush()
        return code

    def wait(self) -> tuple[int, str, str]:
        """Exit code, below 0 the number of a signal, stdout and stderr."""
        _, status = os.waitpid(self.pid, 0)
        self.seconds = time.monotonic() - self.begun
        said = []
        for file in self.output:
            file.seek(0)
            said.append(file.read())
            file.close()
        return os.waitstatus_to_exitcode(status), *said


def run_task(task: str, run: Path) -> tuple[dict[str, int], float]:
    """Train a task from its beginning to its end: how often each place was met, and seconds."""
    process = Child(start_or_resume(task, str(run)), run)
    code, out, err = process.wait()
    if code:
        raise RuntimeError(f"{task}: {err[-2000:]}")
    return json.loads(out.splitlines()[-1]), process.seconds
