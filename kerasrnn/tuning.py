"""``tune``: a search for better options, judged by the validation part, with Optuna.

A study is a directory that holds Optuna's journal and a run for each trial.
"""

from __future__ import annotations

import gc
import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from kerasrnn import options as choices
from kerasrnn import studies
from kerasrnn.errors import InputError, check_positive, check_range, check_seed
from kerasrnn.fitting.workers import check_alone
from kerasrnn.processes import Process
from kerasrnn.ranges import Range, search_space, show_range
from kerasrnn.runs import Run, make_directory, open_run
from kerasrnn.tasks import task_of
from kerasrnn.training import evaluate_on, run_training

_SMOOTHED = 3  # epochs whose mean is judged
_PAUSE = 0.3  # seconds between looks at other processes
_WORDS = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "interrupted"}


class Trial(NamedTuple):
    """One trial of a study.

    state: ``"complete"``, ``"pruned"``, or ``"failed"`` where its loss was not finite. score: the
    lowest validation loss, a mean of three epochs (of a tagger of entities minus the highest F1);
    infinite where there is none. options: those that were searched. run: its directory.
    """

    number: int
    state: str
    score: float
    epochs: int
    options: dict
    run: Path


@dataclass(frozen=True)
class Tuning:
    """What a study found so far.

    path: its directory. trials: the complete ones first, the best before others. best: the run
    of the best, which was evaluated on the test part. options: for ``train``, to train like it.

    >>> from kerasrnn import load_dataset, tune
    >>> found = tune(load_dataset("digits"), trials=5)  # doctest: +SKIP
    >>> found.best.metrics()["test"]["accuracy"]  # doctest: +SKIP
    0.9833333333333333
    """

    path: Path
    trials: tuple[Trial, ...]
    best: Run
    options: dict


def tune(
    data,
    output: str | os.PathLike | None = None,
    *,
    search: Iterable[str] | None = None,
    ranges: Mapping[str, Range] | None = None,
    trials: int = 20,
    max_minutes: float | None = None,
    parallel: int = 1,
    process: Callable = Process,
    seed: int = 0,
    quiet: bool = False,
    **options,
) -> Tuning:
    """Search for options that train a better model, with Optuna.

    Each trial trains as ``train`` does and leaves a run in the study's directory. The first has
    the default options; a tree-structured Parzen estimator (Bergstra et al. 2011) chooses those
    of the others. A trial's score is its lowest validation loss, as a mean of three epochs in a
    row (of a tagger of entities minus the highest F1). One that is worse than half of the others
    at the same stage is pruned. The test part is not looked at, except once for the best trial at
    the end.

    A study whose directory is there goes on. Several processes may work on one.

    Args:
        data: as for ``train``, with a validation part.
        output: the study's directory; by default ``runs/<data>-<task>-study-<n>``.
        search: names of the options to search, such as ``["units", "dropout"]``; by default those
            that ``ranges.usual_ranges`` names for the task.
        ranges: other ranges, ``{"units": [32, 64], "learning_rate": (1e-4, 1e-2)}``: a list of
            choices, or the lowest and the highest value.
        trials: of the whole study, with those that were made before.
        max_minutes: of this call; a trial ends then after the epoch it is in.
        parallel: processes that work on the study; each loads the data again.
        process: what makes them, as ``processes.Process`` does (``scripts/ray_tune.py``).
        seed: fixes the search, and what it fixes in ``train``.
        quiet: nothing on stderr.
        **options: of ``train``; these are not searched. ``layers`` repeats one ``units``.

    Raises:
        InputError: Optuna is missing; a bad range or option; no validation part; the study was
            made with other data or options; no trial was finished.
        KeyboardInterrupt: Ctrl-C; the study can be gone on with.

    >>> from kerasrnn import load_dataset, train
    >>> found = tune(load_dataset("digits"), search=["units"], trials=5)  # doctest: +SKIP
    >>> again = train(load_dataset("digits"), seed=1, **found.options)  # doctest: +SKIP
    """
    studies.import_optuna()
    check_positive(trials=trials, parallel=parallel)
    check_seed(seed)
    check_alone(options.get("strategy", "auto"), "a search")
    if max_minutes is not None:
        check_range("max_minutes", max_minutes, 0, open_low=True)
    if not data.sizes().get("validation"):
        raise InputError(
            "no validation part to judge by", fix="load data with validation_split=0.2"
        )
    if len(np.atleast_1d(options.get("units", 1))) > 1:
        options = options | {"layers": None}  # they are counted already
    space = search_space(data.task, data.kind, search, ranges, options)
    limit = math.inf if max_minutes is None else time.time() + 60 * max_minutes
    work = _Search(data, Path(), space, options, trials, limit, seed, quiet)
    first = work.first()  # the options are checked before a directory is made
    work = replace(work, path=_place(data, output))
    work.open(first)  # one process makes it
    if not quiet:
        said = "  ".join(f"{name} {show_range(found)}" for name, found in space.items())
        print(f"{data}\nstudy {work.path}  {said}", file=sys.stderr)
    try:
        work.go() if parallel == 1 and process is Process else work.share(parallel, process)
    except InputError:
        if not studies.count(work.open()):  # not one trial could be made
            shutil.rmtree(work.path)
        raise
    except KeyboardInterrupt:
        if not quiet:
            print(f"stopped; the same command with --output {work.path} goes on", file=sys.stderr)
        raise
    return work.found()


@dataclass(frozen=True)
class _Search:
    """The work on one study; whoever does it opens its journal."""

    data: Any
    path: Path
    space: dict
    options: dict
    trials: int
    limit: float
    seed: int
    quiet: bool
    worker: int = 0

    def open(self, first=None):
        """The study. first: the values of its first trial, where it may be a new one."""
        made_of = {
            "data": self.data.fingerprint(),
            "options": self.options,
            "ranges": self.space,
            "seed": self.seed,
        }
        return studies.open_study(self.path, made_of, first)

    def first(self):
        """The default values of what is searched, of those within their ranges."""
        task = task_of(self.data.task)
        settings, _ = task.completed(self.data, self.settings({}))
        defaults = settings.model | settings.fit
        units = np.atleast_1d(defaults["units"]).tolist()
        defaults |= {"units": units[0], "layers": len(units)}
        return {
            name: defaults[name]
            for name, found in self.space.items()
            if defaults[name] in found
            or (isinstance(found, tuple) and found[0] < defaults[name] < found[1])
        }

    def settings(self, chosen):
        """The settings of a trial with some values."""
        task = task_of(self.data.task)
        return task.settings(self.spelled(chosen), self.data.options, self.data.kind)

    def spelled(self, chosen):
        """All options that are not defaults, as ``train`` takes them."""
        table = choices.tables(self.data.task, self.data.kind)[1]
        options = self.options | chosen
        layers = options.pop("layers", None)
        if layers is not None or "units" in options:
            units = np.atleast_1d(options.get("units", table["units"])).tolist()
            options["units"] = tuple(units) * (layers or 1)
        return options

    def go(self):
        """Make trials, as long as there is time and some are left."""
        study = self.open()
        while time.time() < self.limit and studies.count(study) < self.trials:
            trial = studies.ask(study, self.space, self.seed, self.worker)
            if studies.count(study, before=trial.number) >= self.trials:  # another was quicker
                _tell(study, trial, "FAIL")
                return
            alike = [other for other in studies.judged(study) if other.params == trial.params]
            if alike:
                _tell(study, trial, alike[0].state.name, alike[0].value)
                continue
            done = self.train(study, trial)
            if not self.quiet:
                print(_line(done), file=sys.stderr)
            gc.collect()  # models are in circles

    def train(self, study, trial):
        """Train as a trial says, and judge it."""
        judge = _Judge(trial, task_of(self.data.task), self.limit)
        path, values = _run_of(self.path, trial), studies.values_of(trial)
        state = "FAIL"
        try:
            settings = self.settings(values)
            fixed = {"seed": self.seed, "quiet": True, "callbacks": [judge]}
            run_training(self.data, settings, path, evaluated=False, **fixed)
            state = "PRUNED" if judge.pruned else "COMPLETE"
        except (InputError, tf.errors.ResourceExhaustedError):
            if not judge.began:  # an option is wrong, and not what it leads to
                raise
            state, judge.score = "PRUNED", math.inf
        finally:
            said = {"score": judge.score, "epochs": len(judge.found)}
            trial.set_user_attr("judged", said)
            _tell(study, trial, state, judge.score)
            word = _word(state, judge.score)
            if (path / "run.json").exists():
                score = judge.score if math.isfinite(judge.score) else None
                mark = {"number": trial.number, "state": word, **said, "score": score}
                run = open_run(path)
                run.write_json({"run.json": run.info | {"trial": mark}})
        return Trial(trial.number, word, judge.score, said["epochs"], values, path)

    def share(self, workers, process):
        """Let several processes make the trials; says what each of all is."""
        sources = self.data.sources_again
        load = (self.data.task, sources, self.data.options) if sources else None
        job = self if load is None else replace(self, data=None)
        study = self.open()
        said = {trial.number for trial in studies.judged(study)}
        running = []
        try:
            for worker in range(workers):
                one = replace(job, worker=worker, quiet=True)
                running.append(process(_work, one, load, share=workers))
            while running:
                time.sleep(_PAUSE)
                running = [one for one in running if not one.ended()]
                for trial in studies.judged(study):
                    if trial.number not in said and not self.quiet:
                        print(_line(self.row(trial)), file=sys.stderr)
                    said.add(trial.number)
        finally:
            for one in running:
                one.interrupt()
            for one in running:
                one.stop()

    def found(self) -> Tuning:
        """What the study holds; the best run is evaluated where it was not yet."""
        trials = tuple(sorted(map(self.row, studies.judged(self.open())), key=_rank))
        if not trials or trials[0].state != "complete":
            raise InputError("no trial was finished", where=self.path, fix="give it more time")
        best = open_run(trials[0].run)
        if not best.metrics():
            evaluate_on(best, self.data)
        return Tuning(self.path, trials, best, self.spelled(trials[0].options))

    def row(self, trial):
        """A trial of the study as a ``Trial``."""
        score, epochs = (trial.user_attrs["judged"][name] for name in ("score", "epochs"))
        word, values = _word(trial.state.name, score), studies.values_of(trial)
        return Trial(trial.number, word, score, epochs, values, _run_of(self.path, trial))


class _Judge(keras.callbacks.Callback):
    """Scores a trial after each epoch; ends it where it is pruned, or the time is over."""

    def __init__(self, trial, task, limit):
        super().__init__()
        self.trial, self.task, self.limit = trial, task, limit
        self.began, self.pruned = False, False
        self.found, self.score, self.level = [], math.inf, 0

    def on_train_begin(self, logs=None):
        self.began = True

    def on_epoch_end(self, epoch, logs=None):
        self.found.append(self.task.monitored(logs))
        smoothed = float(np.mean(self.found[-_SMOOTHED:]))
        if smoothed < self.score:
            self.score = smoothed
        level = studies.LEVELS * (epoch + 1) // self.params["epochs"]
        if self.level < level < studies.LEVELS:
            self.level = level
            self.trial.report(smoothed, level)
            self.pruned = self.trial.should_prune()
        if self.pruned or time.time() >= self.limit:
            self.model.stop_training = True


def _work(search, load):
    """What each of several processes does: data that can be loaded is loaded there."""
    if load is not None:
        task, sources, options = load
        search = replace(search, data=task_of(task).load(*sources, **options))
    search.go()


def _place(data, output):
    """The directory of a study, new or not."""
    if output is None or not os.path.lexists(output):
        return make_directory(data.name, f"{data.task}-study", output)
    if not (Path(output) / studies.JOURNAL).is_file():
        raise InputError(
            f"{output} exists already and is no study", fix="choose another --output, or remove it"
        )
    return Path(output)


def _tell(study, trial, state, score=None):
    """End a trial; Optuna takes the score of a complete one alone."""
    state = studies.import_optuna().trial.TrialState[state]
    study.tell(trial, score if state == state.COMPLETE else None, state=state)


def _word(state, score):
    return "failed" if state == "PRUNED" and score == math.inf else _WORDS[state]


def _rank(trial):
    order = ("complete", "pruned", "failed")
    return order.index(trial.state), trial.score, trial.number


def _line(trial):
    values = "  ".join(f"{name} {value}" for name, value in trial.options.items())
    words = f"trial {trial.number}  {trial.state}  {trial.score:.4f}  {trial.epochs} epochs"
    return f"{words}  {values}"


def _run_of(path, trial):
    return path / f"trial-{trial.number}"
