"""``train``: build, fit, record in a run directory, evaluate; and what reads a run with Keras."""

from __future__ import annotations

import contextlib
import math
import shutil
import signal
import sys
import threading
import time

import keras
import numpy as np

from kerasrnn import plotting
from kerasrnn.errors import InputError
from kerasrnn.files import atomic, write_json
from kerasrnn.inference.loading import load_model
from kerasrnn.inference.states import CarriedState
from kerasrnn.runs import Run, create_run
from kerasrnn.tasks import TASKS

OPTIMIZERS = {
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD,
}
SCHEDULES = ("constant", "cosine", "plateau")
_WARM_UP = 0.05  # share of the steps in which the cosine schedule rises to the learning rate
_LAST_RATE = 0.02  # of the learning rate at its end
_POSITIVE = ("epochs", "batch_size", "steps")


def train(data, out=None, *, seed=0, quiet=False, **options) -> Run:
    """Train a model on data and leave everything in a new run directory.

    The task is that of the data: a ``Dataset`` trains a classifier, ``Sentences`` a tagger, a
    ``Corpus`` a generator or an infiller.
    After every epoch the run holds a row more of history.csv, the model in last.keras and,
    when the validation loss is the lowest so far, in best.keras (the training loss where
    there is no validation part). At the end the best model is evaluated, once, and the
    pictures are drawn. Ctrl-C leaves a usable run of the epochs finished so far.

    Args:
        data: from ``load``, ``load_sentences`` or ``load_corpus``.
        out: directory to make; by default ``runs/<data>-<task>-<n>``.
        seed: fixes weights, dropout and the order of the batches.
        quiet: nothing on stderr.
        **options: those of the builder of the task, such as ``units=(50, 50)``, and

            - ``epochs``, ``batch_size``, ``learning_rate``: positive numbers.
            - ``optimizer``: ``"adam"``, ``"adamw"``, ``"rmsprop"`` or ``"sgd"``, with Keras's
              defaults.
            - ``schedule`` of the learning rate: ``"constant"``; ``"cosine"``, which rises for
              the first twentieth of the steps and falls along a cosine to 2 % (Loshchilov &
              Hutter 2017); ``"plateau"``, halved after two epochs without a lower loss.
            - ``clip_norm``: largest global norm of the gradients (Pascanu et al. 2013); 0 for
              no limit.
            - of a generator ``steps``, the length of its windows; ``sampling``, ``"random"``
              windows that start with all-zero states or ``"sequential"`` ones with states
              carried from batch to batch; ``sample_every`` so many epochs print a text that
              goes on from ``prompt``, 0 for never.
            - of an infiller ``steps``, and ``mask_rate``, the share of tokens that is hidden, in
              runs of up to ``mask_span``.

            ``options.FIT`` and ``options.MODEL`` hold their defaults for each task.

    Raises:
        InputError: a bad option, an existing ``out``, a full disk, a loss that is not finite.
        KeyboardInterrupt: Ctrl-C, after the run was left in order.
    """
    task = TASKS[data.task]
    fit_options, model_options = task.complete(options)
    _check_options(fit_options, seed)
    keras.utils.set_random_seed(seed)
    model = task.build(data, model_options)
    options = fit_options | model_options
    batches = task.batches(data, options, seed)
    optimizer = make_optimizer(fit_options, steps=fit_options["epochs"] * len(batches))
    _compile(model, optimizer, task.metrics)
    fitted = task.fitted(model, options)
    if fitted is not model:
        _compile(fitted, optimizer, task.metrics)
    sample = task.sample(model, data, options) if not quiet else None
    info = {"data": _describe(data), "options": options, "seed": seed}
    run = create_run(data.name, data.task, info, task.meaning(data), out)
    if not quiet:
        print(data, file=sys.stderr)
        model.summary(print_fn=lambda line: print(line, file=sys.stderr))
    bar = not quiet and sys.stderr.isatty()
    recorder = _Recorder(
        run,
        model,
        tokens=batches.tokens,
        examine=task.examine(model, data, options),
        widen=lambda logs: task.widen(data, logs),
        sample=sample,
        sample_every=fit_options.get("sample_every", 0),
        line=not quiet and not bar,
    )
    callbacks = [recorder]
    if fit_options["schedule"] == "plateau":
        monitored = "val_loss" if recorder.examine else "loss"
        callbacks.append(keras.callbacks.ReduceLROnPlateau(monitored, factor=0.5, patience=2))
    try:
        with contextlib.redirect_stdout(sys.stderr):
            fitted.fit(
                batches,
                epochs=fit_options["epochs"],
                shuffle=False,  # the batches have an order already
                callbacks=callbacks,
                verbose=1 if bar else 0,
            )
    except KeyboardInterrupt:
        _stopped(model, run, quiet)
        raise
    except BaseException:
        if not (run.path / "last.keras").exists():
            shutil.rmtree(run.path, ignore_errors=True)  # nothing to keep
        raise
    draw_history(run)
    evaluate(run, data)
    return run


def make_optimizer(options, steps) -> keras.optimizers.Optimizer:
    """The Keras optimizer for ``options`` of ``train``, over a training of so many steps.

    Raises ``InputError`` for an optimizer, schedule or clip_norm that there is not.
    """
    name, schedule, clip_norm = (options[key] for key in ("optimizer", "schedule", "clip_norm"))
    if name not in OPTIMIZERS:
        raise InputError("unknown optimizer", found=repr(name), expected=", ".join(OPTIMIZERS))
    if schedule not in SCHEDULES:
        raise InputError("unknown schedule", found=repr(schedule), expected=", ".join(SCHEDULES))
    if not clip_norm >= 0:
        raise InputError("clip_norm out of range", found=clip_norm, expected="0 or more")
    rate = options["learning_rate"]
    if schedule == "cosine":
        rising = math.ceil(_WARM_UP * steps)
        rate = keras.optimizers.schedules.CosineDecay(
            rate / rising,
            max(steps - rising, 1),
            alpha=_LAST_RATE,
            warmup_target=rate,
            warmup_steps=rising,
        )
    return OPTIMIZERS[name](learning_rate=rate, global_clipnorm=clip_norm or None)


def evaluate(run: Run, data=None) -> dict:
    """Evaluate the best model of a run; write metrics.json, and pictures of some tasks.

    Args:
        run: the run.
        data: its data, loaded again by default.

    Returns:
        ``{"validation": {"loss", …}, "test": {…}, "baseline": {…}}`` with those parts that
        there are. Of a classifier each has "loss", "accuracy", "macro_f1", the baseline
        predicts the label frequencies of the training part, and "labels" holds {"precision",
        "recall", "f1", "support"} of each. Of a generator each has "loss", "perplexity" and
        "bits_per_character" (or "bits_per_word") over the whole validation text, the baseline
        is the best n-gram model, and "ngrams" holds the losses of all; of an infiller the same
        over hidden tokens, beside the frequencies of tokens. A tagger is scored as a
        classifier is, beside the most frequent label of each token, with "entity_f1" and
        "entities" where its labels say where entities begin and end.

    Raises:
        InputError: the data is not what the run was trained on, or the model is damaged.
    """
    if data is None:
        data = load_data(run)
    task, model = TASKS[run.task], load_model(run.model_path)
    examine = task.examine(model, data, run.info["options"])
    metrics = {"validation": examine()} if examine else {}
    metrics |= task.assess(model, data, run.path)
    write_json(run.path / "metrics.json", metrics)
    return metrics


def load_data(run: Run):
    """The data of a run, cut as it was; raises ``InputError`` if it is another one now."""
    said = run.info["data"]
    try:
        source, options, fingerprint = said["source"], said["options"], said["fingerprint"]
        sources = [source] if isinstance(source, str) else source
        if "-" in sources:
            raise InputError(
                f"the data of {run} came from standard input and cannot be read again",
                fix="train on a file to evaluate the run later",
            )
        data = TASKS[run.task].load(*sources, **options)
    except (KeyError, TypeError) as error:
        raise InputError(
            "run.json does not say how to load the data again", where=run.path / "run.json"
        ) from error
    found = data.fingerprint()
    if found != fingerprint:
        raise InputError(
            f"the data of {run} has changed",
            where=" ".join(sources),
            found=f"fingerprint {found[:12]}",
            expected=fingerprint[:12],
            fix="bring the old data back, or train again",
        )
    return data


def draw_history(run: Run) -> list:
    """Write one picture of each metric of the history into the run; returns their paths."""
    history = run.history()
    return [
        plotting.save(
            run.path / f"{metric}.png",
            lambda ax, metric=metric: plotting.plot_history(history, metric, ax),
        )
        for metric in plotting.metrics_in(history)
    ]


class _Recorder(keras.callbacks.Callback):
    """After each epoch: history.csv, last.keras and best.keras of the run, a line to stderr."""

    def __init__(self, run, trained, *, tokens, examine, widen, sample, sample_every, line):
        super().__init__()
        self.run, self.trained, self.tokens = run, trained, tokens
        self.examine, self.widen = examine, widen
        self.sample, self.sample_every, self.line = sample, sample_every, line
        self.rows, self.best = [], math.inf

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
        logs.update(self.widen(logs))  # for the callbacks that follow, the progress bar too
        if self.examine is not None:
            known = set(logs)
            logs.update((f"val_{k}", v) for k, v in self.examine().items() if k in known)
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


@contextlib.contextmanager
def _no_interrupt():
    """Hold Ctrl-C back until the block is done, so that a run's files always agree."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed = []
    handler = signal.signal(signal.SIGINT, lambda *_: pressed.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if pressed:
            raise KeyboardInterrupt


def _compile(model, optimizer, metrics):
    """Compile, and make all variables now: ``fit`` would trace its graph once more for them."""
    # Steps of weight 0, which are padding, count for nothing in the mean.
    loss = keras.losses.SparseCategoricalCrossentropy(reduction="mean_with_sample_weight")
    model.compile(optimizer, loss, weighted_metrics=list(metrics))
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
    } | ({"unit": data.unit} if hasattr(data, "unit") else {})


def _check_options(options, seed):
    if not 0 <= seed < 2**32:
        raise InputError("seed out of range", found=seed, expected="0 ≤ seed < 2^32")
    for name in _POSITIVE:
        value = options.get(name, 1)
        if not isinstance(value, int) or value < 1:
            raise InputError(f"{name} out of range", found=value, expected="a positive int")
    if not options["learning_rate"] > 0:
        raise InputError(
            "learning_rate out of range",
            found=options["learning_rate"],
            expected="a positive number",
        )
    if options.get("sample_every", 0) < 0:
        raise InputError(
            "sample_every out of range", found=options["sample_every"], expected="0 or more"
        )
