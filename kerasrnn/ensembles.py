"""Several trainings of the same data, from seeds or on folds, and the average of their models."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from kerasrnn import plotting
from kerasrnn.engine import native
from kerasrnn.errors import InputError, check_positive, check_seed
from kerasrnn.files import atomic, read_text, write_json
from kerasrnn.inference.loading import load_model
from kerasrnn.models import build_ensemble
from kerasrnn.runs import Run, create_run, open_run
from kerasrnn.tasks import task_of
from kerasrnn.tasks.base import Settings
from kerasrnn.training import describe, evaluate, run_training

_VOCABULARIES = {"tokens": "vocabulary.json", "characters": "characters.json"}  # of inputs
_PAUSE = 0.1  # seconds between looks at the processes
_WORKER = "from kerasrnn.ensembles import work; work()"


class Member(NamedTuple):
    """One of several trainings.

    name: of its run directory. seed: of the training. options: what its data is cut by.
    """

    name: str
    seed: int
    options: dict


def train_seeds(
    data,
    output: str | os.PathLike | None = None,
    *,
    seeds: int | Sequence[int] = 5,
    parallel: int = 1,
    ensemble: bool = False,
    quiet: bool = False,
    **options,
) -> Run:
    """Train on data once with each seed: how much of a result is luck.

    The run of each seed is the one that ``train`` makes with it, and lies in ``seed-<s>`` of the
    directory.

    Args:
        data, quiet, **options: as of ``train``.
        output: directory to make; by default ``runs/<data>-<task>-<n>``.
        seeds: their number, from 0 on; or the seeds.
        parallel: trainings at a time, each a process with its share of the threads. Sums of
            other numbers of threads differ in the last digits, and trainings with them.
        ensemble: average the models to one (see ``build_ensemble``), which the directory is then
            a run of: evaluated, and used and exported as any other.

    Returns:
        A run whose ``runs`` are those of the seeds, and whose ``summary`` has the mean and the
        sample standard deviation of each number: ``{"test": {"accuracy": {"mean", "deviation"}}}``.

    Raises:
        InputError: as of ``train``, or an option outside what is said above. What is finished by
            then stays.
        KeyboardInterrupt: Ctrl-C, after what is finished was left in order.

    >>> from kerasrnn import load_dataset
    >>> whole = train_seeds(load_dataset("digits"), seeds=3, ensemble=True)  # doctest: +SKIP
    >>> whole.summary["test"]["accuracy"], evaluate(whole)["test"]["accuracy"]  # doctest: +SKIP
    ({'mean': 0.9722, 'deviation': 0.0056}, 0.9833)
    """
    settings = task_of(data.task).settings(options, data.options, data.kind)
    members = seed_members(data, range(seeds) if isinstance(seeds, int) else seeds)
    return run_members(
        data, settings, members, output, parallel=parallel, ensemble=ensemble, quiet=quiet
    )


def cross_validate(
    data,
    output: str | os.PathLike | None = None,
    *,
    folds: int = 5,
    seed: int = 0,
    parallel: int = 1,
    ensemble: bool = False,
    quiet: bool = False,
    **options,
) -> Run:
    """Train once for each of several folds of the training part, with that fold as validation part.

    Folds have the same fraction of each class, and keep groups together; those of a tagger are
    sentences that follow each other. The fold chooses the best epoch, so its score is a little too
    good; the test part has no say in anything.

    Args:
        data: from files or arrays, without a validation part in a file of its own.
        folds: two or more.
        seed: of every training, and of the folds.
        output, parallel, ensemble, quiet, **options: as of ``train_seeds``; a run lies in
            ``fold-<n>``.

    Returns:
        As ``train_seeds``.

    Raises:
        InputError: as of ``train_seeds``, or data that has no folds.

    >>> import numpy as np
    >>> from kerasrnn import Dataset
    >>> data = Dataset.from_arrays(np.random.rand(60, 9, 2), np.arange(60) % 2)
    >>> cross_validate(data, folds=3, epochs=5).summary["validation"]  # doctest: +SKIP
    {'loss': {'mean': 0.6952, 'deviation': 0.0071}, 'accuracy': {'mean': 0.4792, …
    """
    settings = task_of(data.task).settings(options, data.options, data.kind)
    members = fold_members(data, folds, seed)
    return run_members(
        data, settings, members, output, parallel=parallel, ensemble=ensemble, quiet=quiet
    )


def seed_members(data, seeds: Sequence[int], *, recut: bool = False) -> list[Member]:
    """A training from each seed. recut: the seed cuts the validation part too, where one does."""
    for seed in seeds:
        check_seed(seed)
    if len(set(seeds)) != len(seeds) or len(seeds) < 2:
        found = ", ".join(map(str, seeds))
        raise InputError("seeds", found=found or "none", expected="two or more different ones")
    own = recut and "seed" in data.options
    return [
        Member(f"seed-{seed}", seed, data.options | ({"seed": seed} if own else {}))
        for seed in seeds
    ]


def fold_members(data, folds: int, seed: int) -> list[Member]:
    """A training for each fold. Raises ``InputError`` where the data has none."""
    if data.no_folds:
        raise InputError(f"folds of {data.name}", found=data.no_folds)
    check_positive(folds=folds)
    check_seed(seed)
    if folds < 2:
        raise InputError("too few folds", found=folds, expected="two or more")
    return [
        Member(f"fold-{number}", seed, data.options | {"fold": [number, folds]})
        for number in range(1, folds + 1)
    ]


def run_members(
    data,
    settings: Settings,
    members: Sequence[Member],
    output: str | os.PathLike | None = None,
    *,
    parallel: int = 1,
    ensemble: bool = False,
    quiet: bool = False,
) -> Run:
    """Train all members on data, and leave a run of runs. Arguments as of ``train_seeds``."""
    check_positive(parallel=parallel)
    task = task_of(data.task)
    if ensemble and task.no_ensemble:
        raise InputError(f"an ensemble of {task.name}s", found=task.no_ensemble)
    info = {"data": describe(data), "options": settings.fit | settings.model}
    info |= {"seed": members[0].seed, "members": []}
    whole = create_run(data.name, task.name, info, task.artifacts(data), output)
    train = _one_by_one if parallel == 1 else _in_processes
    finished = set()
    try:
        for member in train(data, settings, members, whole.path, parallel, quiet):
            finished.add(member.name)
            whole = _rewritten(whole, members=[m.name for m in members if m.name in finished])
            if not quiet:
                print(_said(open_run(whole.path / member.name)), file=sys.stderr)
    except BaseException as error:
        _stopped(whole, len(members), error)
        raise
    _summarize(whole)
    if ensemble:
        whole = _average(whole, data, members)
    return whole


def _rewritten(whole, **changes):
    """The run with other words in its run.json."""
    changes["options"] = open_run(whole.path / changes["members"][0]).info["options"]
    write_json(whole.path / "run.json", info := whole.info | changes)
    return Run(whole.path, info)


def _said(run):
    """A line about a finished run: of each part the first number beside the loss."""
    numbers = []
    for part, row in run.metrics().items():
        name = next((name for name in row if name != "loss"), None)
        if part in ("validation", "test") and name:
            numbers.append(f"{part} {name} {row[name]:.4f}")
    return f"{run}: {', '.join(numbers)}"


def _summarize(whole):
    """metrics.json of what the runs measured, and a picture of each metric with all curves."""
    write_json(whole.path / "metrics.json", {"summary": whole.summary})
    histories = {run.path.name: run.history() for run in whole.runs}
    for metric in plotting.metrics_in(next(iter(histories.values()))):
        plotting.save_curves(whole.path / f"{metric}.png", histories, [metric])


def _stopped(whole, number, error):
    """Leave what is finished in order, and say what that is."""
    done = len(whole.runs)
    if done:
        _summarize(whole)
    elif not any(path.is_dir() for path in whole.path.iterdir()):
        shutil.rmtree(whole.path, ignore_errors=True)
        return
    words = f"{whole} holds {done} of {number} runs"
    if isinstance(error, InputError):
        raise InputError(f"{error}; {words}") from error
    print(f"stopped: {words}", file=sys.stderr)


def _recut(data, options):
    """The data, cut by other options; itself where they are the same."""
    if options == data.options:
        return data
    if sources := _sources(data):
        return task_of(data.task).load(*sources, **options)
    if getattr(data, "remake", None) is None:
        raise InputError("data that cannot be read again to cut it otherwise", where=data.name)
    return data.remake(options)


def _sources(data):
    """What the data is read again from; nothing of data in memory or from standard input."""
    sources = [data.source] if isinstance(data.source, str) else [*data.source]
    return [] if "-" in sources or not all(sources) else sources


def _one_by_one(data, settings, members, folder, parallel, quiet) -> Iterator[Member]:
    """Train the members in this process; each is given when it is finished."""
    for member in members:
        try:
            cut = _recut(data, member.options)
            run_training(cut, settings, folder / member.name, seed=member.seed, quiet=quiet)
        except InputError as error:
            raise InputError(f"{member.name}: {error}") from error
        yield member


def _in_processes(data, settings, members, folder, parallel, quiet) -> Iterator[Member]:
    """Train the members in processes, some at a time; each is given when it is finished.

    A process ends as after Ctrl-C where its input is closed, as it is when this one ends.
    """
    waiting, running = [*members], {}
    try:
        while waiting or running:
            while waiting and len(running) < parallel:
                member = waiting.pop(0)
                running[member.name] = _start(data, settings, member, folder, parallel), member
            for name, (process, member) in [*running.items()]:
                if process.poll() is not None:
                    del running[name]
                    _check_end(process, member)
                    yield member
            time.sleep(_PAUSE)
    finally:
        for process, _ in running.values():
            process.stdin.close()
        for process, _ in running.values():
            process.wait()


def _start(data, settings, member, folder, parallel):
    """A process that trains a member."""
    threads = max(1, native.cores() // parallel)
    sources = _sources(data)
    job = {
        "data": None if sources else _recut(data, member.options),
        "load": (data.task, sources, member.options),
        "settings": settings,
        "output": folder / member.name,
        "seed": member.seed,
        "threads": threads,
    }
    try:
        words = pickle.dumps(job)
    except TypeError as error:
        raise InputError("data that cannot go to another process", fix="--parallel 1") from error
    environment = os.environ | {
        "KERAS_BACKEND": "tensorflow",
        "OMP_NUM_THREADS": str(threads),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    }
    process = subprocess.Popen(
        [sys.executable, "-c", _WORKER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,  # Ctrl-C reaches it by way of this process alone
    )
    with contextlib.suppress(BrokenPipeError):  # its end tells more
        process.stdin.write(words)
        process.stdin.flush()
    return process


def _check_end(process, member):
    """Raise ``InputError`` unless a process has done its work."""
    process.stdin.close()
    said = process.stdout.read()
    process.stdout.close()
    if process.returncode:
        error = json.loads(said)["error"] if said else f"exit code {process.returncode}"
        raise InputError(f"{member.name}: {error}")


def work():
    """Train the member whose job comes by standard input: what a process does."""
    import _thread
    import threading

    import tensorflow as tf

    job = pickle.load(sys.stdin.buffer)
    tf.config.threading.set_intra_op_parallelism_threads(job["threads"])

    def watch():
        sys.stdin.buffer.read()
        _thread.interrupt_main()

    threading.Thread(target=watch, daemon=True).start()
    task, sources, options = job["load"]
    try:
        with contextlib.redirect_stdout(sys.stderr):
            data = job["data"] or task_of(task).load(*sources, **options)
            run_training(data, job["settings"], job["output"], seed=job["seed"], quiet=True)
    except Exception as error:
        kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
        print(json.dumps({"error": f"{kind}{error}"}))
        sys.exit(1)


def _average(whole: Run, data, members: Sequence[Member]) -> Run:
    """Make a run of runs the run of their average; evaluates it.

    Its data are those of the members where they are all the same; else the training part of all
    of them, whose vocabulary has the tokens of each.
    """
    task, runs = task_of(data.task), whole.runs
    if len({run.info["data"]["fingerprint"] for run in runs}) > 1:
        wider = {"validation_split": 0, "max_vocabulary": None}
        data = _recut(data, data.options | {k: v for k, v in wider.items() if k in data.options})
    else:
        data = _recut(data, members[0].options)
    for name, value in (artifacts := task.artifacts(data)).items():
        write_json(whole.path / name, value)
    whole = _rewritten(whole, members=whole.info["members"], data=describe(data))
    for run, name in ((run, name) for run in runs for name in artifacts):
        if name in _VOCABULARIES.values():
            continue
        if read_text(run.path / name) != read_text(whole.path / name):
            raise InputError(f"runs that differ in {name} cannot be averaged", where=run)
    models = [load_model(run) for run in runs]
    model = build_ensemble(models, renumber=[_renumber(whole, run, artifacts) for run in runs])
    for name in ("last.keras", "best.keras"):
        with atomic(whole.path / name) as temporary:
            model.save(temporary)
    evaluate(whole, data)
    return whole


def _renumber(whole: Run, run: Run, artifacts: dict) -> dict[str, list[int]]:
    """By input, the ids of a run for those of the whole, where their vocabularies differ."""
    tables = {}
    for name, file in _VOCABULARIES.items():
        if file in artifacts:
            ours, theirs = (one.vocabulary(file, padded=True) for one in (whole, run))
            if ours != theirs:
                tables[name] = [0, *theirs.encode(list(ours.tokens))]
    return tables
