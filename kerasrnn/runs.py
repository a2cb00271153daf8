"""The run directory: make one, open one, list them, find the newest. No Keras here.

A run is one directory that holds everything a training made (DESIGN: run directory)::

    run.json      format, task, data, options, seed, library versions
    labels.json   what the class indices mean (vocabulary.json: the tokens' ids)
    history.csv   one row an epoch
    last.keras    the model after the last finished epoch
    best.keras    the model at the best validation loss
    state.npz     from where the training goes on; previous.npz the one before it
    metrics.json  evaluation on the validation and test parts, beside a baseline
    examples.json  inputs with what was predicted of them
    checksums.json  the SHA-256 of each of these

The directory of several trainings of the same data holds theirs, ``seed-0``, …, and a run.json
that names them, its ``members``; and what a run holds beside where they were averaged to one model.

Every file is written beside its place and then moved there by ``os.replace``, so a reader
never sees half a file and a failed write leaves the old one.
"""

from __future__ import annotations

import csv
import io
import math
import os
import shutil
import warnings
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from kerasrnn import options
from kerasrnn.errors import InputError
from kerasrnn.files import check_sum, read_json, read_text, write_json, writing_together
from kerasrnn.history import MEASURED, measured, spread

if TYPE_CHECKING:
    from kerasrnn.text import Vocabulary

FORMAT = 3
_INTEGERS = {"epoch"}
_TOO_LARGE = 1e100  # of a metric: no picture could show it
_INFO = {"task": str, "created": str, "data": dict, "options": dict, "seed": int}
_RENAMED = {  # names of options in formats 1 and 2, and what they are called now
    "column": "label",
    "unit": "level",
    "classic": "letters_only",
    "max_tokens": "max_corpus_tokens",
    "max_size": "max_vocabulary",
    "steps": "sequence_length",
    "embedding": "embedding_dim",
    "characters": "use_characters",
}
_LIBRARIES = ("kerasrnn", "tensorflow", "keras", "numpy", "scikit-learn")


@dataclass(frozen=True)
class Run:
    """One run directory and what its run.json says. It is a path wherever one is taken.

    >>> open_run("runs/digits-classifier-1").task  # doctest: +SKIP
    'classifier'
    """

    path: Path
    info: dict

    def __str__(self):
        return str(self.path)

    def __fspath__(self):
        return str(self.path)

    @property
    def task(self) -> str:
        return self.info["task"]

    @property
    def model_path(self) -> Path:
        """best.keras, or last.keras where no epoch was finished. Raises ``InputError``."""
        for name in ("best.keras", "last.keras"):
            if (self.path / name).is_file():
                return self.path / name
        if "members" in self.info:
            number, first = len(self.runs), next(iter(self.runs), None)
            raise InputError(
                f"{self.path} holds {number} run{'s' * (number != 1)} and no model of its own",
                fix=f"name one of them, such as {first}, or train with --ensemble"
                if first
                else "train again with 'kerasrnn train'",
            )
        raise InputError(
            f"run {self.path} holds no model",
            expected="best.keras or last.keras",
            fix="train again with 'kerasrnn train'",
        )

    @property
    def finished(self) -> bool:
        """Whether it was trained to its end and evaluated; of several trainings, all of them."""
        if not (self.path / "metrics.json").exists():
            return False
        if (plan := self.info.get("plan")) is None:
            return True
        everyone = len(self.info["members"]) == len(plan["members"])
        return everyone and not (plan["ensemble"] and self.metrics().keys() == {"summary"})

    @property
    def runs(self) -> list[Run]:
        """The finished runs in one of several trainings, in order; none of an ordinary run."""
        names = self.info.get("members", [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise InputError("members that are no names", where=self.path / "run.json")
        return [open_run(self.path / name) for name in names]

    @property
    def size(self) -> int | None:
        """The sequences, sentences or tokens of its training part, where run.json says it."""
        sizes = self.info["data"].get("sizes")
        size = sizes.get("training") if isinstance(sizes, dict) else None
        return size if isinstance(size, int) else None

    @property
    def summary(self) -> dict[str, dict]:
        """Mean and deviation of what its ``runs`` measured, as of ``spread``.

        >>> list(open_run("runs/digits-classifier-1").summary["test"])  # doctest: +SKIP
        ['loss', 'accuracy', 'macro_f1', 'calibration_error']
        """
        return spread([measured(run.metrics()) for run in self.runs])

    def vocabulary(self, name: str = "vocabulary.json", *, padded: bool = False) -> Vocabulary:
        """A vocabulary of the run. Raises ``InputError``."""
        from kerasrnn.text import Vocabulary  # with NumPy, which listing runs does without

        path = self.path / name
        try:
            return Vocabulary.from_json(_of_run(read_text, path), padded=padded)
        except InputError as error:
            message = str(error)
            raise InputError(message, where=None if str(path) in message else path) from error

    def reading(self, *names: str) -> dict:
        """How the data of the run was read: ``{"text": "review", "level": "char", …}``.

        names: of the options wanted; without any what its columns mean, and the encoding and the
        column of the label where they were named.
        """
        said = self.info["data"]
        options = said.get("options", {}) | said.get("reading", {})
        if not names:
            named = {name: options[name] for name in ("encoding", "label") if options.get(name)}
            return said.get("reading", {}) | named
        return {name: options[name] for name in names if name in options}

    def labels(self) -> tuple[str, ...]:
        """The class names, in the order of the model's outputs."""
        labels = _of_run(read_json, self.path / "labels.json", list)
        if not all(isinstance(label, str) for label in labels):
            raise InputError("labels that are no strings", where=self.path / "labels.json")
        return tuple(labels)

    def metrics(self) -> dict:
        """The content of metrics.json; empty where the run was not evaluated."""
        path = self.path / "metrics.json"
        metrics = _of_run(read_json, path, dict) if path.exists() else {}
        parts = [metrics[part] for part in MEASURED if part in metrics]
        if not all(isinstance(part, dict) for part in parts):
            raise InputError("unexpected JSON", where=path, expected="a table for each part")
        return metrics

    def history(self) -> dict[str, list[float]]:
        """history.csv as columns: ``{"epoch": [1, 2], "loss": [2.2, 1.9], …}``."""
        path = self.path / "history.csv"
        if not path.exists():
            return {}
        check_sum(path)
        try:
            with path.open(newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file, strict=True))
            columns = rows[0].keys() if rows else ()
            return {name: [_number(name, row[name]) for row in rows] for name in columns}
        except (ValueError, TypeError, csv.Error) as error:
            raise InputError(
                f"broken history: {error}", where=path, expected="a table of numbers"
            ) from error

    def write_json(self, values: dict):
        """Write files of JSON, ``{"metrics.json": …}``, together."""
        with writing_together(self.path, *values) as paths:
            for path, value in zip(paths, values.values(), strict=True):
                write_json(path, value)


def history_text(rows: list[dict]) -> str:
    """What history.csv holds: one row an epoch."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def create_run(
    dataset_name: str,
    task: str,
    info: dict,
    artifacts: dict,
    output: str | os.PathLike | None = None,
) -> Run:
    """Make a new run directory with run.json and what its numbers mean in it.

    Args:
        dataset_name: goes into the default name, ``runs/<data>-<task>-<n>``.
        task: ``"classifier"``, …
        info: what run.json holds beyond format, task, time and library versions.
        artifacts: JSON values to write, ``{"labels.json": [...]}``.
        output: the directory to make instead of the default one.

    Raises:
        InputError: ``output`` exists already, or the place cannot be written.
    """
    path = make_directory(dataset_name, task, output)
    info = {
        "format": FORMAT,
        "task": task,
        "created": datetime.now(UTC).isoformat(timespec="milliseconds"),
        **info,
        "versions": library_versions(),
    }
    run = Run(path, info)
    try:
        run.write_json(artifacts | {"run.json": info})
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise
    return run


def open_run(path: str | os.PathLike) -> Run:
    """Open a run directory, checking that it is one and that this version can read it.

    Takes a ``Run`` too. Raises ``InputError``.

    >>> open_run("runs/digits-classifier-1").metrics()["test"]  # doctest: +SKIP
    {'loss': 0.0815, 'accuracy': 0.9778, 'macro_f1': 0.9779}
    """
    if isinstance(path, Run):
        return path
    path = Path(path)
    if not path.is_dir():
        raise InputError(
            f"no run at {path}",
            expected="a run directory made by 'kerasrnn train'",
            fix="'kerasrnn runs' lists what is there",
        )
    file = path / "run.json"
    if not file.is_file():
        raise InputError(f"{path} is not a run", expected="a run.json in it")
    info = read_json(file, dict)
    check_sum(file)
    if not isinstance(info.get("format"), int):
        raise InputError("not the run.json of a kerasrnn run", where=file)
    if not 1 <= info["format"] <= FORMAT:
        raise InputError(
            "run of another kerasrnn version",
            where=file,
            found=f"format {info['format']}",
            expected=f"format {FORMAT}",
            fix="open it with the version that made it",
        )
    wrong = [key for key, kind in _INFO.items() if not isinstance(info.get(key), kind)]
    if info.get("task") not in options.TASKS:
        wrong.append("task")
    if wrong:
        raise InputError(f"run.json without a proper {', '.join(dict.fromkeys(wrong))}", where=file)
    return Run(path, _today(info))


def _today(info):
    """What a run.json of any format says, with today's names of options."""
    if info["format"] == FORMAT:
        return info

    def renamed(table):
        return {_RENAMED.get(name, name): value for name, value in table.items()}

    data = info["data"]
    said = data["options"] if isinstance(data.get("options"), dict) else {}
    if said.get("column") == "upos":  # the default, whatever was read
        said = {name: value for name, value in said.items() if name != "column"}
    data = {**renamed(data), "options": renamed(said)}
    return {**info, "data": data, "options": renamed(info["options"])}


def runs_folder() -> Path:
    """Where runs are made and looked for: the environment's KERASRNN_RUNS, or ``runs``."""
    return Path(os.environ.get("KERASRNN_RUNS") or "runs")


def list_runs(root: str | os.PathLike | None = None) -> list[Run]:
    """The runs in ``root``, by default ``runs_folder()``, the oldest first.

    Directories that are no runs are passed over, with a warning where a run.json is broken.

    >>> [run.task for run in list_runs("a folder that is not there")]
    []
    """
    root = Path(root or runs_folder())
    if not root.is_dir():
        return []
    runs = []
    for file in root.glob("*/run.json"):
        try:
            runs.append(open_run(file.parent))
        except InputError as error:
            warnings.warn(f"{error}; the run is passed over", stacklevel=2)
    return sorted(runs, key=lambda run: run.info["created"])


def names_of(runs: list[Run]) -> list[str]:
    """A name of each run: that of its directory, or the path where several are called so."""
    names = [run.path.resolve().name for run in runs]
    return names if len({*names}) == len(names) else [str(run) for run in runs]


def latest_run(
    root: str | os.PathLike | None = None,
    *,
    task: str | None = None,
    finished: bool | None = None,
) -> Run:
    """The newest run in ``root``, as of ``list_runs``. Raises ``InputError``.

    task: whose it is to be. finished: whether it is to be so; None where it may be either.

    >>> latest_run(task="generator").vocabulary()  # doctest: +SKIP
    Vocabulary(66 tokens)
    """
    runs = [
        run
        for run in list_runs(root)
        if task in (None, run.task) and finished in (None, run.finished)
    ]
    if not runs:
        kind = ("unfinished " if finished is False else "") + (task or "run")
        raise InputError(
            f"no {kind} in {Path(root or runs_folder())}{os.sep}",
            fix="make one with 'kerasrnn train', or name a run directory",
        )
    return runs[-1]


def make_directory(dataset_name: str, task: str, output: str | os.PathLike | None) -> Path:
    """A new directory at ``output``, or ``runs/<data>-<task>-<n>``. Raises ``InputError``."""
    root = runs_folder()
    try:
        if output is not None:
            path = Path(output)
            if not os.path.lexists(path):
                path.mkdir(parents=True)
                return path
            half = (path / "run.json").exists() and not (path / "metrics.json").exists()
            raise InputError(
                f"{output} exists already",
                found="an unfinished run" if half else None,
                expected="a new directory",
                fix=f"go on with 'kerasrnn train --resume {output}', or choose another --output"
                if half
                else "choose another --output, or remove it",
            )
        root.mkdir(parents=True, exist_ok=True)
        for number in count(1):
            path = root / f"{dataset_name}-{task}-{number}"
            with suppress(FileExistsError):
                path.mkdir()
                return path
    except OSError as error:
        raise InputError(
            f"cannot make {output or root}", found=error.strerror, fix="choose another --output"
        ) from error


def _of_run(read, path, *arguments):
    if not path.exists():
        raise InputError(f"missing file {path}", fix="the run is incomplete")
    value = read(path, *arguments)
    check_sum(path)
    return value


def library_versions() -> dict[str, str]:
    """The versions of the libraries that matter to a run, of those that are installed."""
    versions = {}
    for name in _LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def _number(column, text):
    if column in _INTEGERS:
        return int(text)
    value = float(text)
    if _TOO_LARGE < abs(value) < math.inf:
        raise ValueError(f"{column} {text}")
    return value
