"""``train``: build, fit, record in a run directory, evaluate."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from kerasrnn import options as choices
from kerasrnn import plotting
from kerasrnn.errors import InputError, check_choice, check_positive, check_range, check_seed
from kerasrnn.files import atomic, write_json
from kerasrnn.inference.loading import load_model
from kerasrnn.inference.states import CarriedState
from kerasrnn.runs import Run, create_run, open_run
from kerasrnn.tasks import task_of
from kerasrnn.tasks.base import Settings

OPTIMIZERS = {
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD,
}
_WARM_UP = 0.05  # fraction of the steps in which the cosine schedule rises to the learning rate
_LAST_RATE = 0.02  # of the learning rate at its end


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

    The task is that of the data: a ``Dataset`` trains a classifier, ``Sentences`` a tagger, a
    ``Corpus`` a generator or an infiller.
    After every epoch the run holds another row of history.csv, the model in last.keras and,
    when the validation loss is the lowest so far, in best.keras (the training loss where
    there is no validation part). At the end the best model is evaluated, once, and the
    pictures are drawn. Ctrl-C leaves a usable run of the epochs finished so far.

    Args:
        data: from ``load_dataset``, ``load_sentences`` or ``load_corpus``.
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
            - ``clip_norm``: largest global norm of the gradients (Pascanu et al. 2013); 0 for
              no limit.
            - of a generator ``sequence_length`` of its windows; ``sampling``, ``"random"``
              windows that start with all-zero states or ``"sequential"`` ones with states
              carried from batch to batch; every ``sample_every`` epochs print a sample that
              continues ``prompt``, 0 for never.
            - of an infiller ``sequence_length``, and ``mask_rate``, the fraction of tokens that
              is masked, in runs of up to ``mask_span``.

            ``options.FIT`` and ``options.MODEL`` hold their defaults for each task.

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
) -> Run:
    """``train`` with the settings of a task."""
    run = fit(data, settings, output, seed=seed, quiet=quiet, callbacks=callbacks)
    evaluate(run, data)
    return run


def fit(
    data,
    settings: Settings,
    output: str | os.PathLike | None = None,
    *,
    seed: int = 0,
    quiet: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Run:
    """``run_training`` without the evaluation at its end."""
    task = task_of(data.task)
    _check_fit(settings.fit)
    check_seed(seed)
    keras.utils.set_random_seed(seed)
    model = task.build(data, settings)
    batches = task.batches(data, settings, seed)
    fitted = _compile(task, model, settings, data, len(batches))
    with _obeying_interrupts() as interrupts:
        info = {"data": _describe(data), "options": settings.fit | settings.model, "seed": seed}
        run = create_run(data.name, data.task, info, task.artifacts(data), output)
        try:
            if not quiet:
                print(data, file=sys.stderr)
                model.summary(print_fn=lambda line: print(line, file=sys.stderr))
            recorder = _Recorder(run, model, data, settings, batches.tokens, quiet)
            followers = [interrupts, recorder, *_plateau(settings, recorder), *callbacks]
            with contextlib.redirect_stdout(sys.stderr):
                fitted.fit(
                    batches,
                    epochs=settings.fit["epochs"],
                    shuffle=False,  # the batches have an order already
                    callbacks=followers,
                    verbose=0 if quiet or recorder.line else 1,  # a progress bar
                )
        except KeyboardInterrupt:
            _stopped(model, run, quiet)
            raise
        except BaseException:
            if not (run.path / "last.keras").exists():
                shutil.rmtree(run.path, ignore_errors=True)  # nothing to keep
            raise
    draw_history(run)
    return run


def _plateau(settings, recorder):
    if settings.fit["schedule"] != "plateau":
        return []
    monitored = "val_loss" if recorder.validate else "loss"
    return [keras.callbacks.ReduceLROnPlateau(monitored, factor=0.5, patience=2)]


def make_optimizer(fit: dict, steps: int) -> keras.optimizers.Optimizer:
    """The Keras optimizer for the options of a fit, over a training of so many steps.

    Raises ``InputError`` for an unknown optimizer or schedule, or a clip_norm out of range.
    """
    check_choice("optimizer", fit["optimizer"], choices.OPTIMIZERS)
    check_choice("schedule", fit["schedule"], choices.SCHEDULES)
    check_range("clip_norm", fit["clip_norm"], 0)
    rate = fit["learning_rate"]
    if fit["schedule"] == "cosine":
        rising = math.ceil(_WARM_UP * steps)
        rate = keras.optimizers.schedules.CosineDecay(
            rate / rising,
            max(steps - rising, 1),
            alpha=_LAST_RATE,
            warmup_target=rate,
            warmup_steps=rising,
        )
    return OPTIMIZERS[fit["optimizer"]](
        learning_rate=rate, global_clipnorm=fit["clip_norm"] or None
    )


def evaluate(run: str | os.PathLike, data=None) -> dict:
    """Evaluate the best model of a run; write metrics.json, and pictures of some tasks.

    Args:
        run: the run, or its path.
        data: its data, loaded again by default.

    Returns:
        ``{"validation": {"loss", …}, "test": {…}, "baseline": {…}}`` with those parts that
        there are. Of a classifier each has "loss", "accuracy", "macro_f1" (and "micro_f1" where
        there may be several labels) and "calibration_error"; "baseline" holds those of several
        by name: of the label frequencies of the training part, of TF-IDF with logistic
        regression for texts and of the nearest neighbour for sequences; and "labels" holds
        {"precision", "recall", "f1", "support"} of each. Of a generator each has "loss",
        "perplexity" and "bits_per_character" (or "bits_per_word") over the whole validation
        text, the baseline is the best n-gram model, and "ngrams" holds the losses of all; of an
        infiller the same over masked tokens, beside the frequencies of tokens. A tagger is
        scored as a classifier is, beside the most frequent label of each token, with "entity_f1"
        and "entities" where its labels say where entities begin and end.

    Raises:
        InputError: the data is not what the run was trained on, or the model is damaged.

    >>> evaluate("runs/digits-classifier-1")["test"]["accuracy"]  # doctest: +SKIP
    0.9777777777777777
    """
    run = open_run(run)
    task = task_of(run.task)
    said = run.info["data"].get("options")
    if data is None:
        data = load_data(run)
    settings = task.settings(run.info["options"], said if isinstance(said, dict) else {}, data.kind)
    model = load_model(run)
    try:
        validate = task.validator(model, data, settings)
        metrics = {"validation": validate()} if validate else {}
        metrics |= task.evaluate(model, data, run.path)
    except (TypeError, KeyError) as error:  # run.json was changed by hand
        raise InputError("run.json does not fit the model", where=run.path / "run.json") from error
    write_json(run.path / "metrics.json", metrics)
    return metrics


def load_data(run: str | os.PathLike):
    """The data of a run, cut as it was; raises ``InputError`` if it is another one now."""
    run = open_run(run)
    said = run.info["data"]
    try:
        source, options, fingerprint = said["source"], said["options"], said["fingerprint"]
        sources = [source] if isinstance(source, str) else source
        if "-" in sources or not any(sources):
            where = "came from standard input" if "-" in sources else "was in memory"
            raise InputError(
                f"the data of {run} {where} and cannot be read again",
                fix="give evaluate the data, or train on a file",
            )
        data = task_of(run.task).load(*sources, **options)
    except (KeyError, TypeError) as error:
        raise InputError(
            "run.json does not say how to load the data again", where=run.path / "run.json"
        ) from error
    found = data.fingerprint()
    if found != fingerprint:
        before, now = said.get("origin", ""), data.origin
        raise InputError(
            f"the data of {run} has changed",
            where=" ".join(sources),
            found=f"fingerprint {found[:12]}" + (f" of {now}" if now else ""),
            expected=fingerprint[:12] + (f" of {before}" if before else ""),
            fix="bring the old data back, or train again",
        )
    return data


def draw_history(run: Run) -> list[Path]:
    """Write one picture of each metric of the history into the run; returns their paths."""
    history = run.history()
    return [
        plotting.save_curves(run.path / f"{metric}.png", {"": history}, [metric])
        for metric in plotting.metrics_in(history)
    ]


class _Recorder(keras.callbacks.Callback):
    """After each epoch: history.csv, last.keras and best.keras of the run, a line to stderr."""

    def __init__(self, run, trained, data, settings, tokens, quiet):
        super().__init__()
        self.run, self.trained, self.data, self.tokens = run, trained, data, tokens
        self.task = task_of(data.task)
        self.validate = self.task.validator(trained, data, settings)
        self.sample = None if quiet else self.task.sampler(trained, data, settings)
        self.sample_every = settings.fit.get("sample_every", 0)
        self.line = not quiet and not sys.stderr.isatty()
        self.rows, self.best = [], math.inf

    def on_train_begin(self, logs=None):
        if self.task.keeps_start and self.validate:
            _save(self.trained, self.run, "best.keras")
            self.best = self.validate()["loss"]

    def on_epoch_begin(self, epoch, logs=None):
        if isinstance(self.model, CarriedState):
            self.model.reset()
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        trained = time.perf_counter() - self.start
        if not math.isfinite(logs["loss"]):
            raise InputError(
                f"the loss is {logs['loss']} in epoch {epoch + 1}",
                expected="a finite number",
                fix="lower --learning-rate or set --clip-norm",
            )
        logs.update(self.task.add_metrics(self.data, logs))  # for the callbacks that follow too
        if self.validate is not None:
            measured = set(logs)
            logs.update((f"val_{k}", v) for k, v in self.validate().items() if k in measured)
        row = {"epoch": epoch + 1, **{name: float(value) for name, value in logs.items()}}
        row["learning_rate"] = float(self.model.optimizer.learning_rate)
        row["seconds"] = round(time.perf_counter() - self.start, 3)
        if self.tokens:
            row["tokens_per_second"] = round(self.tokens / trained)
        self.rows.append(row)
        self._write(row)
        if self.line:
            print(_epoch_line(row, self.params["epochs"]), file=sys.stderr)
        last = epoch + 1 == self.params["epochs"]
        if self.sample and self.sample_every and (last or (epoch + 1) % self.sample_every == 0):
            print(f"---\n{self.sample()}\n---", file=sys.stderr)

    def _write(self, row):
        with _no_interrupt():
            last = _save(self.trained, self.run, "last.keras")
            monitored = row.get("val_loss", row["loss"])
            if monitored < self.best:
                self.best = monitored
                with atomic(self.run.path / "best.keras") as temporary:
                    shutil.copyfile(last, temporary)
            self.run.write_history(self.rows)


def _epoch_line(row, epochs):
    hidden = ("epoch", "learning_rate", "seconds", "tokens_per_second")
    numbers = [f"{name} {value:.4f}" for name, value in row.items() if name not in hidden]
    if "tokens_per_second" in row:
        numbers.append(f"{row['tokens_per_second']:,} tokens/s")
    return "  ".join([f"epoch {row['epoch']}/{epochs}", *numbers, f"{row['seconds']:.1f} s"])


def _save(model, run, name):
    with atomic(run.path / name) as temporary:
        model.save(temporary)
    return run.path / name


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
def _obeying_interrupts():
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
def _no_interrupt():
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


def _compile(task, model, settings, data, steps):
    """The model to fit, compiled, with all its variables made.

    ``fit`` would trace its graph once more for variables that it makes itself.
    """
    optimizer = make_optimizer(settings.fit, steps=settings.fit["epochs"] * steps)
    loss, metrics = task.loss(settings, data), task.metrics(data)
    _compile_one(model, optimizer, loss, metrics)
    fitted = task.training_model(model, settings)
    if fitted is not model:
        _compile_one(fitted, optimizer, loss, metrics)
    return fitted


def _compile_one(model, optimizer, loss, metrics):
    model.compile(optimizer, loss, weighted_metrics=metrics)
    model.optimizer.build(model.trainable_variables)
    if metrics:
        shape = (1,) * (len(model.output_shape) - 1)
        model.compute_metrics(None, np.zeros(shape), np.zeros((*shape, model.output_shape[-1])))
        model.reset_metrics()


def _stopped(model, run, quiet):
    """Leave a usable run after Ctrl-C: the last finished epoch, or the weights so far."""
    with _no_interrupt():
        if not (run.path / "last.keras").exists():
            _save(model, run, "last.keras")
        draw_history(run)
    if not quiet:
        finished = len(run.history().get("epoch", ()))
        print(f"\nstopped: {run} holds {finished} finished epochs", file=sys.stderr)


def _describe(data):
    return {
        "name": data.name,
        "source": data.source,
        "options": data.options,
        "fingerprint": data.fingerprint(),
        "sizes": data.sizes(),
        "origin": data.origin,
        "reading": data.reading,
    } | ({"level": data.level} if hasattr(data, "level") else {})


def _check_fit(fit):
    names = ("epochs", "batch_size", "sequence_length")
    check_positive(**{name: fit[name] for name in names if name in fit})
    check_range("learning_rate", fit["learning_rate"], 0, open_low=True)
    check_range("sample_every", fit.get("sample_every", 0), 0)
