"""Several trainings of the same data, from seeds or on folds, and the average of their models."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import keras

from kerasrnn import plotting, training
from kerasrnn.errors import InputError, check_positive, check_seed
from kerasrnn.files import locked, read_text
from kerasrnn.fitting.workers import check_alone, this_worker
from kerasrnn.inference.loading import load_model, save_model
from kerasrnn.models import build_ensemble
from kerasrnn.processes import Process
from kerasrnn.runs import Run, create_run, open_run
from kerasrnn.tasks import task_of
from kerasrnn.tasks.base import Settings
from kerasrnn.training import describe, evaluate_on, run_training

_VOCABULARIES = {"tokens": "vocabulary.json", "characters": "characters.json"}  # of inputs
_PAUSE = 0.1  # seconds between looks at the processes


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
        parallel: trainings at a time, each a process; their numbers stay the same, but for the
            order of sums in convolutions.
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
    >>> list(whole.summary["test"]["accuracy"]), [run.path.name for run in whole.runs]
    ... # doctest: +SKIP
    (['mean', 'deviation'], ['seed-0', 'seed-1', 'seed-2'])
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
    >>> list(cross_validate(data, folds=3).summary["validation"]["accuracy"])  # doctest: +SKIP
    ['mean', 'deviation']
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
    check_alone(settings.fit["strategy"], "several trainings")
    task = task_of(data.task)
    if ensemble and task.no_ensemble:
        raise InputError(f"an ensemble of {task.name}s", found=task.no_ensemble)
    asked = settings.fit | settings.model
    plan = {"members": [*map(list, members)], "ensemble": ensemble, "options": asked}
    info = {"data": describe(data), "options": asked, "seed": members[0].seed, "members": []}
    info |= {"plan": plan, "given": settings.given}
    whole = create_run(data.name, task.name, info, task.artifacts(data), output)
    return _run_planned(whole, data, settings, members, parallel, ensemble, quiet)


def resume(
    run: str | os.PathLike,
    data=None,
    *,
    parallel: int = 1,
    quiet: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    **budget,
) -> Run:
    """Go on with a run, as ``training.resume`` does, or with one of several trainings.

    Of several those that are finished stay, one that was begun goes on, and the others are
    trained; ``parallel`` at a time. Arguments and errors are otherwise as of ``training.resume``,
    but several have no other ``budget`` and no ``callbacks``.

    >>> resume("runs/digits-classifier-1", epochs=40)  # doctest: +SKIP
    """
    worker = this_worker(budget.get("strategy", "auto"))
    if (worker and not worker.chief) or "plan" not in open_run(run).info:
        return training.resume(run, data, quiet=quiet, callbacks=callbacks, **budget)
    run = open_run(run)
    check_positive(parallel=parallel)
    if run.finished or budget or callbacks:
        raise InputError(
            f"{run} is of several trainings" + (" and finished" if run.finished else ""),
            found=", ".join(budget) or None,
            fix="go on with one of its runs",
        )
    try:
        plan = run.info["plan"]
        members, ensemble = [Member(*row) for row in plan["members"]], plan["ensemble"]
        data = training.load_data(run) if data is None else training.same_data(run, data)
        settings = task_of(run.task).settings(plan["options"], data.options, data.kind)
    except (KeyError, TypeError) as error:
        raise InputError("run.json does not hold its plan", where=run.path / "run.json") from error
    check_alone(settings.fit["strategy"], "several trainings")
    return _run_planned(run, data, settings, members, parallel, ensemble, quiet)


def _run_planned(whole, data, settings, members, parallel, ensemble, quiet):
    """Train those members of a run of runs that it does not hold yet."""
    train = _one_by_one if parallel == 1 else _in_processes
    finished = {run.path.name for run in whole.runs}
    waiting = [member for member in members if member.name not in finished]
    with locked(whole.path):
        try:
            for member in train(data, settings, waiting, whole.path, parallel, quiet):
                finished.add(member.name)
                names = [other.name for other in members if other.name in finished]
                whole = _rewritten(whole, members=names)
                if not quiet:
                    print(_said(open_run(whole.path / member.name)), file=sys.stderr)
        except BaseException as error:
            _stopped(whole, len(members), error)
            raise
    _summarize(whole)
    return _average(whole, data, members) if ensemble else whole


def _rewritten(whole, **changes):
    """The run with other words in its run.json."""
    changes["options"] = open_run(whole.path / changes["members"][0]).info["options"]
    run = Run(whole.path, whole.info | changes)
    run.write_json({"run.json": run.info})
    return run


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
    whole.write_json({"metrics.json": {"summary": whole.summary}})
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
    print(f"go on with: kerasrnn train --resume {shlex.quote(str(whole))}", file=sys.stderr)


def _recut(data, options):
    """The data, cut by other options; itself where they are the same."""
    if options == data.options:
        return data
    if sources := data.sources_again:
        return task_of(data.task).load(*sources, **options)
    if getattr(data, "remake", None) is None:
        raise InputError("data that cannot be read again to cut it otherwise", where=data.name)
    return data.remake(options)


def _one_by_one(data, settings, members, folder, parallel, quiet) -> Iterator[Member]:
    """Train the members in this process; each is given when it is finished."""
    for member in members:
        with _naming(member):
            cut = _recut(data, member.options)
            _train_member(cut, settings, folder / member.name, member.seed, quiet)
        yield member


def _in_processes(data, settings, members, folder, parallel, quiet) -> Iterator[Member]:
    """Train the members in processes, some at a time; each is given when it is finished."""
    waiting, running = [*members], {}
    sources = data.sources_again
    if not quiet:
        print(f"{data}; {len(members)} trainings, {parallel} at a time", file=sys.stderr)
    try:
        while waiting or running:
            while waiting and len(running) < parallel:
                member = waiting.pop(0)
                cut = None if sources else _recut(data, member.options)
                job = (data.task, cut, sources, member, settings, folder / member.name)
                # all threads for each: sums over fewer of them differ in their last digits
                running[member.name] = member, Process(_train_one, *job, share=1)
            for member, process in [*running.values()]:
                with _naming(member):
                    ended = process.ended()
                if ended:
                    del running[member.name]
                    yield member
            time.sleep(_PAUSE)
    finally:
        for _, process in running.values():
            process.interrupt()
        for _, process in running.values():
            process.stop()


def _train_one(task, data, sources, member, settings, output):
    """Train a member on data, or on what is read from its sources: what a process does."""
    if data is None:
        data = task_of(task).load(*sources, **member.options)
    _train_member(data, settings, output, member.seed, quiet=True)


def _train_member(data, settings, place, seed, quiet):
    """Train a member, or go on with it where it was begun."""
    if (place / "run.json").exists():
        run = open_run(place)
        if not run.finished:
            training.resume(run, data, quiet=quiet)
        return
    shutil.rmtree(place, ignore_errors=True)  # of one that was killed while it was made
    run_training(data, settings, place, seed=seed, quiet=quiet)


@contextlib.contextmanager
def _naming(member):
    """Have an ``InputError`` say whose it is."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{member.name}: {error}") from error


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
    whole.write_json(artifacts := task.artifacts(data))
    whole = _rewritten(whole, members=whole.info["members"], data=describe(data))
    for run, name in ((run, name) for run in runs for name in artifacts):
        if name in _VOCABULARIES.values():
            continue
        if read_text(run.path / name) != read_text(whole.path / name):
            raise InputError(f"runs that differ in {name} cannot be averaged", where=run)
    models = [load_model(run) for run in runs]
    model = build_ensemble(models, renumber=[_renumber(whole, run, artifacts) for run in runs])
    for name in ("last.keras", "best.keras"):
        save_model(model, whole, name)
    evaluate_on(whole, data)
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
