"""The run directory: make one, open one, list them, find the newest. No Keras here.

A run is one directory that holds everything a training made (DESIGN: run directory)::

    run.json      format, task, data, options, seed, library versions
    labels.json   what the class indices mean (vocabulary.json: the tokens' ids)
    history.csv   one row an epoch
    last.keras    the model after the last finished epoch
    best.keras    the model at the best validation loss
    metrics.json  evaluation on the validation and test parts, beside a baseline

Every file is written beside its place and then moved there by ``os.replace``, so a reader
never sees half a file and a failed write leaves the old one.
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from itertools import count
from pathlib import Path

from kerasrnn.errors import InputError
from kerasrnn.files import write_json, write_text

FORMAT = 1
ROOT = Path("runs")
_INTEGERS = {"epoch"}
_INFO = {"task": str, "created": str, "data": dict, "options": dict, "seed": int}
_LIBRARIES = ("kerasrnn", "tensorflow", "keras", "numpy", "scikit-learn")


@dataclass(frozen=True)
class Run:
    """One run directory and what its run.json says."""

    path: Path
    info: dict

    def __str__(self):
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
        raise InputError(
            f"run {self.path} holds no model",
            expected="best.keras or last.keras",
            fix="train again with 'kerasrnn train'",
        )

    def read_text(self, name) -> str:
        """The content of a text file of the run. Raises ``InputError``."""
        return _read_text(self.path / name)

    def labels(self) -> tuple[str, ...]:
        """The class names, in the order of the model's outputs."""
        labels = _read_json(self.path / "labels.json", list)
        if not all(isinstance(label, str) for label in labels):
            raise InputError("labels that are no strings", where=self.path / "labels.json")
        return tuple(labels)

    def metrics(self) -> dict:
        """The content of metrics.json; empty where the run was not evaluated."""
        path = self.path / "metrics.json"
        return _read_json(path, dict) if path.exists() else {}

    def history(self) -> dict[str, list[float]]:
        """history.csv as columns: ``{"epoch": [1, 2], "loss": [2.2, 1.9], …}``."""
        path = self.path / "history.csv"
        if not path.exists():
            return {}
        try:
            with path.open(newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file, strict=True))
            columns = rows[0].keys() if rows else ()
            return {name: [_number(name, row[name]) for row in rows] for name in columns}
        except (ValueError, TypeError, csv.Error) as error:
            raise InputError(
                f"broken history: {error}", where=path, expected="a table of numbers"
            ) from error

    def write_history(self, rows: list[dict]):
        """Write one row an epoch to history.csv."""
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self.path / "history.csv", text.getvalue())


def create_run(dataset_name, task, info, meaning, out=None) -> Run:
    """Make a new run directory with run.json and what its numbers mean in it.

    Args:
        dataset_name: goes into the default name, ``runs/<data>-<task>-<n>``.
        task: ``"classifier"``, …
        info: what run.json holds beyond format, task, time and library versions.
        meaning: JSON values to write, ``{"labels.json": [...]}``.
        out: the directory to make instead of the default one.

    Raises:
        InputError: ``out`` exists already, or the place cannot be written.
    """
    path = _make_directory(dataset_name, task, out)
    info = {
        "format": FORMAT,
        "task": task,
        "created": datetime.now(UTC).isoformat(timespec="milliseconds"),
        **info,
        "versions": library_versions(),
    }
    try:
        for name, value in meaning.items():
            write_json(path / name, value)
        write_json(path / "run.json", info)
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise
    return Run(path, info)


def open_run(path) -> Run:
    """Open a run directory, checking that it is one and that this version can read it."""
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
    info = _read_json(file, dict)
    if not isinstance(info.get("format"), int):
        raise InputError("not the run.json of a kerasrnn run", where=file)
    if info["format"] != FORMAT:
        raise InputError(
            "run of another kerasrnn version",
            where=file,
            found=f"format {info['format']}",
            expected=f"format {FORMAT}",
            fix="open it with the version that made it",
        )
    wrong = [key for key, kind in _INFO.items() if not isinstance(info.get(key), kind)]
    if wrong:
        raise InputError(f"run.json without a proper {', '.join(wrong)}", where=file)
    return Run(path, info)


def list_runs(root=ROOT) -> list[Run]:
    """The runs in ``root``, the oldest first. Directories that are no runs are passed over."""
    root = Path(root)
    if not root.is_dir():
        return []
    runs = []
    for file in root.glob("*/run.json"):
        try:
            runs.append(open_run(file.parent))
        except InputError:
            continue
    return sorted(runs, key=lambda run: run.info["created"])


def latest_run(root=ROOT, tasks=None) -> Run:
    """The newest run in ``root``, of one of ``tasks`` if given. Raises ``InputError``."""
    runs = [run for run in list_runs(root) if tasks is None or run.task in tasks]
    if not runs:
        kind = "run" if tasks is None else " or ".join(tasks)
        raise InputError(
            f"no {kind} in {Path(root)}{os.sep}",
            fix="make one with 'kerasrnn train', or name a run directory",
        )
    return runs[-1]


def _make_directory(dataset_name, task, out):
    try:
        if out is not None:
            path = Path(out)
            if not os.path.lexists(path):
                path.mkdir(parents=True)
                return path
            raise InputError(
                f"{out} exists already",
                expected="a new directory",
                fix="choose another --out, or remove it",
            )
        ROOT.mkdir(parents=True, exist_ok=True)
        for number in count(1):
            path = ROOT / f"{dataset_name}-{task}-{number}"
            with suppress(FileExistsError):
                path.mkdir()
                return path
    except OSError as error:
        raise InputError(
            f"cannot make {out or ROOT}", found=error.strerror, fix="choose another --out"
        ) from error


def _read_text(path):
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InputError(f"missing file {path}", fix="the run is incomplete") from error
    except OSError as error:
        raise InputError(f"cannot read {path}", found=error.strerror) from error
    except UnicodeDecodeError as error:
        raise InputError(f"broken text: {error}", where=path) from error


def _read_json(path, kind):
    """The value in a JSON file, which must be a ``dict`` or a ``list``."""
    try:
        value = json.loads(_read_text(path))
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"broken JSON: {error}", where=path) from error
    if not isinstance(value, kind):
        raise InputError("unexpected JSON", where=path, expected=f"a {kind.__name__}")
    return value


def library_versions():
    versions = {}
    for name in _LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def _number(column, text):
    return int(text) if column in _INTEGERS else float(text)
