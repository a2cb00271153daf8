"""``train``: build, fit, record in a run directory, evaluate."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import keras

from kerasrnn import plotting
from kerasrnn.errors import InputError, check_positive, check_range, check_seed
from kerasrnn.fitting import warm
from kerasrnn.fitting.checkpoints import NAME, Checkpoint, is_unfinished
from kerasrnn.fitting.devices import machine, open_devices, shared_run
from kerasrnn.fitting.interrupts import no_interrupt, obeying_interrupts
from kerasrnn.fitting.loop import run_epochs
from kerasrnn.fitting.optimizers import limits, tensorboard
from kerasrnn.fitting.preparing import prepare
from kerasrnn.fitting.recorder import Recorder, timer
from kerasrnn.inference.loading import load_model, save_model
from kerasrnn.options import BUDGET, GOES_ON
from kerasrnn.runs import Run, create_run, library_versions, open_run
from kerasrnn.tasks import task_of
from kerasrnn.tasks.base import Settings
from kerasrnn.tasks.members import summarize


def train(
    data,
    output: str | os.PathLike | None = None,
    *,
    seed: int = 0,
    quiet: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    **options,
) -> Run:
    """Train a model on data and leave everything in a new run directory.

    The task is that of the data: ``Texts`` train a classifier, a ``Dataset`` one too, or a
    regressor of its targets, a ``Series`` a regressor, ``Sentences`` a tagger, a ``Corpus`` a
    generator or an infiller.
    After every epoch the run holds another row of history.csv, the model in last.keras and,
    when the validation loss is the lowest so far, in best.keras (of a tagger of entities the F1
    the highest; where there is no validation part, the last). At the end the best model
    is evaluated, once, and the pictures are drawn. Ctrl-C leaves a usable run of the epochs
    finished so far; of short epochs a few of the last may not have been written.

    Args:
        data: from ``load_dataset``, ``load_texts``, ``load_series``, ``load_sentences`` or
            ``load_corpus``, or of arrays, rows or lists (``Dataset.from_arrays``, …).
        output: directory to make; by default ``runs/<data>-<task>-<n>``.
        seed: fixes weights, dropout and the order of the batches.
        quiet: nothing on stderr.
        callbacks: further callbacks of Keras for ``fit``.
        **options: those of the builder of the task, such as ``units=(50, 50)``, and

            - ``epochs``, ``batch_size``, ``learning_rate``: positive numbers.
            - ``optimizer``: ``"adam"``, ``"adamw"``, ``"rmsprop"`` or ``"sgd"``, with Keras's
              defaults.
            - ``schedule`` of the learning rate: ``"constant"``; ``"cosine"``, which rises for
              the first twentieth of the steps and falls along a cosine to 2 % (Loshchilov &
              Hutter 2017); ``"plateau"``, halved after two epochs without a lower loss.
            - ``patience``: epochs without a lower validation loss that end the training, 0 for
              none; ``max_minutes`` that it may last at most: the schedule is then run through
              in that time. Neither counts what comes before the first step.
            - ``checkpoint_every``: ``"500"`` steps or ``"10m"``, minutes, between the checkpoints
              that ``resume`` goes on from, beside those at the end of epochs.
            - ``strategy``: ``"mirrored"`` over the GPUs of this machine; ``"multiworker"`` over the
              machines that TF_CONFIG names, each of which makes this call; ``"none"``. A batch is
              shared between them. ``"auto"`` finds which.
            - ``deterministic``: the same numbers every time on a GPU too, which is slower; on a
              CPU they are anyway. It holds for the whole process.
            - ``tensorboard``: write curves for TensorBoard into the run.
            - ``clip_norm``: largest global norm of the gradients (Pascanu et al. 2013); 0 for
              no limit.
            - ``start_from``: a run whose weights the model starts from where they fit, of the
              same task or of another (docs/warm-starts.md); what nobody gave of the options of
              the model that its weights ask for are then those of the run. ``freeze``: what of
              them stays as it is, ``"embedding"``, ``"stack"`` or ``"all-but-head"``.
            - of a generator ``sequence_length`` of its windows; ``sampling``, ``"random"``
              windows that start with all-zero states or ``"sequential"`` ones with states
              carried from batch to batch; every ``sample_every`` epochs print a sample that
              continues ``prompt``, 0 for never.
            - of an infiller ``sequence_length``, and ``mask_rate``, the fraction of tokens that
              is masked, in runs of up to ``mask_span``.

            ``options.FIT`` and ``options.MODEL`` hold their defaults for each task; those that
            are None are chosen from the facts about the data (``Task.recipe``), and the run
            holds the reasons.

    Raises:
        InputError: a bad option, an existing ``output``, a full disk, a loss that is not finite.
        KeyboardInterrupt: Ctrl-C, after the run was left in order.

    >>> from kerasrnn import load_dataset
    >>> run = train(load_dataset("digits"), epochs=1, quiet=True)  # doctest: +SKIP
    """
    settings = task_of(data.task).settings(options, data.options, data.kind)
    return run_training(data, settings, output, seed=seed, quiet=quiet, callbacks=callbacks)


def run_training(
    data,
    settings: Settings,
    output: str | os.PathLike | None = None,
    *,
    seed: int = 0,
    quiet: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    evaluated: bool = True,
) -> Run:
    """``train`` with the settings of a task; ``evaluated`` at its end, or not."""
    task = task_of(data.task)
    check_seed(seed)
    devices = open_devices(settings.fit["strategy"], quiet=quiet)
    _check_fit(settings.fit)
    settings, reasons = task.completed(data, settings)
    with devices.guarded():
        prepared = prepare(data, settings, seed, devices)
        with obeying_interrupts(devices.together) as interrupts:
            chosen = {"options": settings.fit | settings.model, "recipe": reasons}
            chosen["given"] = settings.given
            info = {"data": describe(data), **chosen, "seed": seed, **prepared.started}
            info |= {"parameters": prepared.model.count_params(), "machine": machine()}
            run = shared_run(
                devices,
                lambda: create_run(data.name, data.task, info, task.artifacts(data), output),
                info,
            )
            with devices.locked(run):
                best = _fit(run, data, settings, reasons, prepared, interrupts, quiet, callbacks)
    if evaluated:
        _evaluate_once(run, data, devices, best)
    return run


def resume(
    run: str | os.PathLike,
    data=None,
    *,
    quiet: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    **budget,
) -> Run:
    """Go on with a training that was stopped or killed, as if nothing had happened.

    All numbers are then those of a training without a break, bit for bit, on the same machine with
    the same libraries; but for ``max_minutes``, which counts the time of both parts, and for
    further ``callbacks``, whose state nobody knows.

    Args:
        run: the run, or its path.
        data: its data, loaded again by default.
        quiet, callbacks: as of ``train``.
        **budget: another value of ``epochs``, ``max_minutes``, ``patience``,
            ``checkpoint_every`` or ``strategy``; a finished run goes on only with one of the
            first three. A cosine schedule ends with the last epoch: with more of them the rate is
            another from here on.

    Raises:
        InputError: the run is finished, another process trains it, its data has changed, or no
            checkpoint is whole; and as of ``train``.
        KeyboardInterrupt: as of ``train``.

    >>> resume("runs/digits-classifier-1", epochs=40)  # doctest: +SKIP
    """
    strategy = budget["strategy"] if "strategy" in budget else _strategy_of(run)
    devices = open_devices(strategy, quiet=quiet)

    def opened():
        found = open_run(run)
        _check_budget(found, budget)
        return Run(found.path, found.info | {"options": found.info["options"] | budget})

    with devices.guarded():
        run = shared_run(devices, opened)
        task = task_of(run.task)
        data = load_data(run) if data is None else same_data(run, data)
        settings = _settings_of(run, data)
        _check_fit(settings.fit)
        settings, reasons = task.completed(data, settings)
        prepared = prepare(data, settings, run.info["seed"], devices, run.info)
        with obeying_interrupts(devices.together) as interrupts, devices.locked(run):
            if devices.worker.chief:
                run = _begun_again(run, data, settings, budget)
            best = _fit(run, data, settings, reasons, prepared, interrupts, quiet, callbacks)
    _evaluate_once(run, data, devices, best)
    return run


def _begun_again(run, data, settings, budget):
    """The run with files that say what is trained, whole and up to date."""
    if budget:
        for name in ("metrics.json", "examples.json"):
            (run.path / name).unlink(missing_ok=True)
        run = Run(run.path, run.info | {"options": settings.fit | settings.model})
    run.write_json(task_of(run.task).artifacts(data) | {"run.json": run.info})
    return run


def _strategy_of(run):
    """What a run was trained with; a worker may not see its directory."""
    try:
        return open_run(run).info["options"].get("strategy", "auto")
    except InputError:
        return "auto"


def _check_budget(run, budget):
    strange = [name for name in budget if name not in GOES_ON]
    if strange:
        raise InputError(
            "options that a training cannot go on with",
            found=", ".join(strange),
            expected=", ".join(sorted(GOES_ON)),
        )
    if run.finished and not {*budget} & {*BUDGET}:
        raise InputError(f"{run} is finished", fix="train on with more --epochs, or make a new run")
    epochs = budget.get("epochs")
    done = 0 if epochs is None else len(run.history().get("epoch", ()))
    if done and epochs < done:
        raise InputError("fewer epochs than are done", found=epochs, expected=f"{done} or more")
    before = run.info.get("versions", {})
    changed = [name for name, number in library_versions().items() if before.get(name) != number]
    if changed:
        names = ", ".join(changed)
        warnings.warn(f"{run} goes on with another version of {names}", stacklevel=3)


def _fit(run, data, settings, reasons, prepared, interrupts, quiet, callbacks):
    """Train to the end in a run, from its checkpoint on; gives what ``Task.finish`` does."""
    model, fitted, batches, devices, started = prepared
    steps = settings.fit["epochs"] * len(batches)
    chief = devices.worker.chief
    quiet = quiet or not chief
    try:
        if not quiet:
            said = [*_lines(settings, reasons), *warm.lines(started)]
            print(data, *said, sep="\n", file=sys.stderr)
            summarize(model, lambda line: print(line, file=sys.stderr))
        recorder = Recorder(run, model, data, settings, batches.tokens, quiet, devices)
        ends = limits(settings.fit, steps, "val_loss" if recorder.validate else "loss")
        if not chief:
            ends.pop("time", None)  # of which the chief has the clock
        checkpoint = Checkpoint(run.path, fitted, {"recorder": recorder, **ends}, settings.fit)
        recorder.checkpoint = checkpoint
        followers = [recorder, *ends.values(), *callbacks]
        if settings.fit["tensorboard"] and chief:
            followers.append(tensorboard(run.path / "tensorboard"))
        with contextlib.redirect_stdout(sys.stderr):
            run_epochs(
                fitted,
                batches,
                settings.fit["epochs"],
                checkpoint,
                interrupts,
                followers,
                devices,
                after_step=recorder.after_step,
                after_epoch=recorder.after_epoch,
                progress_bar=not (quiet or recorder.line),
            )
    except KeyboardInterrupt:
        if chief:
            _stopped(model, run, quiet)
        raise
    except BaseException:
        if chief and not any((run.path / name).exists() for name in ("last.keras", NAME)):
            shutil.rmtree(run.path, ignore_errors=True)  # nothing to keep
        raise
    if not chief:
        return None
    best = task_of(data.task).finish(run, data)
    draw_history(run)
    return best


def _evaluate_once(run, data, devices, best):
    """Have the chief evaluate while the others wait."""
    if devices.worker.chief:
        evaluate_on(run, data, best)
    with contextlib.suppress(InputError), devices.guarded():
        devices.any(False)


def evaluate(run: str | os.PathLike, data=None) -> dict:
    """Evaluate the best model of a run; write metrics.json, examples.json and pictures.

    Args:
        run: the run, or its path.
        data: its data, loaded again by default.

    Returns:
        ``{"validation": {"loss", …}, "test": {…}, "baseline": {…}}`` with those parts that
        there are. Of a classifier each has "loss", "accuracy", "macro_f1" (and "micro_f1" where
        there may be several labels) and "calibration_error"; "baseline" holds those of several
        by name: of the label frequencies of the training part, of TF-IDF with logistic
        regression for texts and of the nearest neighbour for sequences; and "labels" holds
        {"precision", "recall", "f1", "support"} of each, "confusion" the matrix and "calibration"
        the bins of the calibration error. Of a generator each has "loss", "perplexity" and
        "bits_per_character" (or "bits_per_word") over the whole validation text, the baseline is
        the best n-gram model, "ngrams" holds the losses of all, "positions" the perplexity by
        the number of tokens read; of an
        infiller the same over masked tokens, beside the frequencies of tokens. A tagger is
        scored as a classifier is, beside the most frequent label of each token, with "entity_f1"
        and "entities" where its labels say where entities begin and end. A regressor has "mae",
        "rmse" and "r2", of a series "mase" too, beside the mean, ridge regression and the
        forecasts that need no training.

    Raises:
        InputError: the data is not what the run was trained on, or the model is damaged.

    >>> evaluate("runs/digits-classifier-1")["test"]["accuracy"]  # doctest: +SKIP
    0.9777777777777777
    """
    run = open_run(run)
    return evaluate_on(run, load_data(run) if data is None else same_data(run, data))


def evaluate_on(run: Run, data, best: keras.Model | None = None) -> dict:
    """``evaluate`` with data that is known to be the run's; best: its model, else it is read."""
    settings, best = _settings_of(run, data), best or load_model(run)
    metrics, examples = task_of(run.task).evaluate(best, data, settings, run.path)
    if run.runs:
        metrics["summary"] = run.summary
    if is_unfinished(run):
        warnings.warn(
            f"{run} is not trained to its end, so it has no metrics.json yet", stacklevel=2
        )
    else:
        run.write_json({"examples.json": examples, "metrics.json": metrics})
    return metrics


def load_data(run: str | os.PathLike):
    """The data of a run, cut as it was; raises ``InputError`` if it is another one now."""
    run = open_run(run)
    said = run.info["data"]
    try:
        source, options, _ = said["source"], said["options"], said["fingerprint"]
        sources = [source] if isinstance(source, str) else source
        if "-" in sources or not any(sources):
            where = "came from standard input" if "-" in sources else "was in memory"
            raise InputError(
                f"the data of {run} {where} and cannot be read again",
                fix="give evaluate the data, or train on a file",
            )
        if options.get("start_from"):  # whose tokens the run has now
            options = options | {"start_from": run.path}
        data = task_of(run.task).load(*sources, **options)
    except (KeyError, TypeError) as error:
        raise InputError(
            "run.json does not say how to load the data again", where=run.path / "run.json"
        ) from error
    return same_data(run, data)


def same_data(run, data):
    """The data, if it is that of the run. Raises ``InputError``."""
    said, found = run.info["data"], data.fingerprint()
    if (fingerprint := said["fingerprint"]) != found:
        before, now = said.get("origin", ""), data.origin
        source = said["source"]
        raise InputError(
            f"the data of {run} has changed",
            where=source if isinstance(source, str) else " ".join(source),
            found=f"fingerprint {found[:12]}" + (f" of {now}" if now else ""),
            expected=fingerprint[:12] + (f" of {before}" if before else ""),
            fix="bring the old data back, or train again",
        )
    return data


def _settings_of(run, data):
    """The settings of a run."""
    said, options = run.info["data"].get("options"), run.info["options"]
    return task_of(run.task).settings(options, said if isinstance(said, dict) else {}, data.kind)


def draw_history(run: Run) -> list[Path]:
    """Write one picture of each metric of the history into the run; returns their paths."""
    history = run.history()
    return [
        plotting.save_curves(run.path / f"{metric}.png", {"": history}, [metric])
        for metric in plotting.metrics_in(history)
    ]


def _stopped(model, run, quiet):
    """Leave a usable run after Ctrl-C: the last finished epoch, or the weights so far."""
    with no_interrupt():
        if not (run.path / "last.keras").exists():
            save_model(model, run, "last.keras")
        draw_history(run)
    if not quiet:
        finished = len(run.history().get("epoch", ()))
        print(f"\nstopped: {run} holds {finished} finished epochs", file=sys.stderr)
        print(f"go on with: kerasrnn train --resume {shlex.quote(str(run))}", file=sys.stderr)


def describe(data) -> dict:
    """What run.json says of the data of a run."""
    return {
        "name": data.name,
        "source": data.source,
        "options": data.options,
        "fingerprint": data.fingerprint(),
        "sizes": data.sizes(),
        "distribution": data.distribution(),
        "origin": data.origin,
        "reading": data.reading,
    } | ({"level": data.level} if hasattr(data, "level") else {})


def _check_fit(fit):
    """Raise ``InputError`` for an option out of range, of those that are given."""
    given = {name: value for name, value in fit.items() if value is not None}
    names = {*given} & {"epochs", "batch_size", "sequence_length"}
    check_positive(**{name: given[name] for name in sorted(names)})
    for name in ("learning_rate", "max_minutes", "sample_every", "patience"):
        check_range(name, given.get(name, 1), 0, open_low=name in ("learning_rate", "max_minutes"))
    timer(fit["checkpoint_every"])


def _lines(settings, reasons):
    """What the recipe chose, a line for each option, to be read."""
    values = settings.fit | settings.model
    wide = max(map(len, reasons), default=0)
    return [f"  {name:{wide}}  {values[name]!s:8}  {reason}" for name, reason in reasons.items()]
