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

from kerasrnn import evaluation, plotting
from kerasrnn.datasets import Dataset, Part, load
from kerasrnn.errors import InputError
from kerasrnn.models import build_classifier, load_model
from kerasrnn.runs import Run, atomic, create_run, write_json

OPTIMIZERS = {
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD,
}
PREDICT_BATCH = 256


def train(
    dataset: Dataset,
    out=None,
    *,
    epochs=30,
    batch_size=32,
    optimizer="adam",
    learning_rate=0.005,
    clip_norm=1.0,
    seed=0,
    quiet=False,
    **model_options,
) -> Run:
    """Train a model on a dataset and leave everything in a new run directory.

    After every epoch the run holds a row more of history.csv, the model in last.keras and,
    when the validation loss is the lowest so far, in best.keras (the training loss where
    there is no validation part). At the end the test part is evaluated, once, and the
    pictures are drawn. Ctrl-C leaves a usable run of the epochs finished so far.

    Args:
        dataset: from ``load``.
        out: directory to make; by default ``runs/<data>-<task>-<n>``.
        epochs, batch_size, learning_rate: positive numbers.
        optimizer: ``"adam"``, ``"adamw"``, ``"rmsprop"`` or ``"sgd"``, with Keras's defaults.
        clip_norm: largest global norm of the gradients (Pascanu et al. 2013); 0 for no limit.
        seed: fixes weights, dropout and the order of the batches.
        quiet: nothing on stderr.
        **model_options: for the builder of the task, such as ``units=(50, 50)``.

    Raises:
        InputError: a bad option, an existing ``out``, a full disk, a loss that is not finite.
        KeyboardInterrupt: Ctrl-C, after the run was left in order.
    """
    _check_options(epochs=epochs, batch_size=batch_size, learning_rate=learning_rate)
    options = {
        "epochs": epochs,
        "batch_size": batch_size,
        "optimizer": optimizer,
        "learning_rate": learning_rate,
        "clip_norm": clip_norm,
        **model_options,
    }
    keras.utils.set_random_seed(seed)
    model = build(dataset, **model_options)
    _compile(model, make_optimizer(optimizer, learning_rate, clip_norm))
    info = {"data": _describe(dataset), "options": options, "seed": seed}
    run = create_run(dataset.name, dataset.task, info, dataset.labels, out)
    if not quiet:
        print(dataset, file=sys.stderr)
        model.summary(print_fn=lambda line: print(line, file=sys.stderr))
    try:
        _fit(model, dataset, run, epochs, batch_size, seed, quiet)
    except KeyboardInterrupt:
        _stopped(model, run, quiet)
        raise
    except BaseException:
        if not (run.path / "last.keras").exists():
            shutil.rmtree(run.path, ignore_errors=True)  # nothing to keep
        raise
    draw_history(run)
    evaluate(run, dataset)
    return run


def build(dataset: Dataset, **options) -> keras.Model:
    """The uncompiled model for a dataset: input shape, classes and scaling follow from it."""
    x, lengths = dataset.train.x, dataset.train.lengths
    time_steps = x.shape[1] if lengths is None else None
    return build_classifier(
        (time_steps, x.shape[2]),
        len(dataset.labels),
        lengths=lengths is not None,
        scaling=scaling(dataset),
        **options,
    )


def scaling(dataset: Dataset) -> keras.layers.Normalization:
    """The layer that takes raw input to mean 0 and variance 1 over the real training steps.

    One mean and variance for all features where they are of one kind, else one for each; a
    feature that hardly varies in training is centred but not stretched.
    """
    part = dataset.train
    steps = part.x.reshape(-1, part.x.shape[2])
    if part.lengths is not None:
        steps = steps[(np.arange(part.x.shape[1]) < part.lengths[:, None]).ravel()]
    axis = None if dataset.one_scale else 0
    mean, variance = steps.mean(axis, dtype="float64"), steps.var(axis, dtype="float64")
    variance = np.where(variance <= 1e-12 * mean**2, 1, variance)  # float32 rounding of a constant
    return keras.layers.Normalization(
        axis=None if dataset.one_scale else -1,
        mean=mean.tolist(),
        variance=variance.tolist(),
        name="scaling",
    )


def make_optimizer(name, learning_rate, clip_norm=0) -> keras.optimizers.Optimizer:
    """A Keras optimizer by name, clipping gradients by their global norm unless it is 0."""
    if name not in OPTIMIZERS:
        raise InputError("unknown optimizer", found=repr(name), expected=", ".join(OPTIMIZERS))
    if not clip_norm >= 0:
        raise InputError("clip_norm out of range", found=clip_norm, expected="0 or more")
    return OPTIMIZERS[name](learning_rate=learning_rate, global_clipnorm=clip_norm or None)


def predict(model, x, lengths=None) -> np.ndarray:
    """Probabilities (n, classes) for raw sequences x (n, time, features).

    Raises ``InputError`` where x or lengths do not fit the model.
    """
    wants_lengths = len(model.inputs) == 2
    expected = tuple(model.inputs[0].shape[1:])
    fits = all(size in (None, found) for size, found in zip(expected, x.shape[1:], strict=True))
    if not fits or (lengths is not None and not wants_lengths):
        raise InputError(
            "sequences that do not fit the model",
            found=f"(time, features) {x.shape[1:]}{'' if lengths is None else ' with lengths'}",
            expected=f"{expected}{' with lengths' if wants_lengths else ', all of that length'}",
        )
    if wants_lengths and lengths is None:
        lengths = np.full(len(x), x.shape[1], "int32")
    inputs = [x, lengths] if wants_lengths else x
    return model.predict(inputs, batch_size=PREDICT_BATCH, verbose=0)


def evaluate(run: Run, dataset: Dataset | None = None) -> dict:
    """Evaluate the best model of a run on its validation and test parts; write metrics.json.

    Args:
        run: the run.
        dataset: its data, loaded again by default.

    Returns:
        ``{"validation": {"loss", "accuracy", "macro_f1"}, "test": {…}, "baseline": {…},
        "labels": {label: {"precision", "recall", "f1", "support"}}}``. The baseline predicts
        the label frequencies of the training part for every test sequence.

    Raises:
        InputError: the data is not what the run was trained on, or the model is damaged.
    """
    if dataset is None:
        dataset = load_data(run)
    model = load_model(run.model_path)
    metrics = {}
    if dataset.validation is not None:
        metrics["validation"] = evaluation.classification_metrics(
            dataset.validation.y, _predict_part(model, dataset.validation)
        )
    y, probabilities = dataset.test.y, _predict_part(model, dataset.test)
    predicted = probabilities.argmax(-1)
    metrics["test"] = evaluation.classification_metrics(y, probabilities)
    metrics["baseline"] = evaluation.baseline_metrics(dataset.train.y, y, len(dataset.labels))
    metrics["labels"] = evaluation.label_report(y, predicted, dataset.labels)
    write_json(run.path / "metrics.json", metrics)
    matrix = evaluation.confusion(y, predicted, len(dataset.labels))
    plotting.save(
        run.path / "confusion.png", lambda ax: plotting.plot_confusion(matrix, dataset.labels, ax)
    )
    return metrics


def load_data(run: Run) -> Dataset:
    """The dataset of a run, cut as it was; raises ``InputError`` if it is another one now."""
    data = run.info["data"]
    try:
        dataset = load(data["source"], **data["split"])
        fingerprint = data["fingerprint"]
    except (KeyError, TypeError) as error:
        raise InputError(
            "run.json does not say how to load the data again", where=run.path / "run.json"
        ) from error
    if dataset.fingerprint() != fingerprint:
        raise InputError(
            f"the data of {run} has changed",
            where=data["source"],
            found=f"fingerprint {dataset.fingerprint()[:12]}",
            expected=fingerprint[:12],
            fix="bring the old data back, or train again",
        )
    return dataset


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


class _Batches(keras.utils.PyDataset):
    """Training batches in an order that is fixed by (seed, epoch) and differs every epoch.

    ``fit(shuffle=True)`` repeats one order after ``set_random_seed``.
    """

    def __init__(self, part: Part, batch_size, seed):
        super().__init__()
        self.part, self.batch_size, self.seed = part, batch_size, seed
        self.epoch = -1
        self.on_epoch_end()

    def __len__(self):
        return math.ceil(len(self.part) / self.batch_size)

    def __getitem__(self, index):
        start = index * self.batch_size
        batch = self.part.take(self.order[start : start + self.batch_size])
        return _inputs(batch), batch.y

    def on_epoch_end(self):
        self.epoch += 1
        self.order = np.random.default_rng([self.seed, self.epoch]).permutation(len(self.part))


class _Recorder(keras.callbacks.Callback):
    """After each epoch: history.csv, last.keras and best.keras of the run, a line to stderr."""

    def __init__(self, run, epochs, line):
        super().__init__()
        self.run, self.epochs, self.line = run, epochs, line
        self.rows, self.best = [], math.inf

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        seconds = time.perf_counter() - self.start
        if not math.isfinite(logs["loss"]):
            raise InputError(
                f"the loss is {logs['loss']} in epoch {epoch + 1}",
                expected="a finite number",
                fix="lower --learning-rate or set --clip-norm",
            )
        row = {"epoch": epoch + 1, **{name: float(value) for name, value in logs.items()}}
        row["learning_rate"] = float(self.model.optimizer.learning_rate)
        row["seconds"] = round(seconds, 3)
        self.rows.append(row)
        with _no_interrupt():
            last = _save(self.model, self.run, "last.keras")
            monitored = row.get("val_loss", row["loss"])
            if monitored < self.best:
                self.best = monitored
                with atomic(self.run.path / "best.keras") as temporary:
                    shutil.copyfile(last, temporary)
            self.run.write_history(self.rows)
        if self.line:
            numbers = "  ".join(f"{name} {value:.4f}" for name, value in logs.items())
            print(f"epoch {epoch + 1}/{self.epochs}  {numbers}  {seconds:.1f} s", file=sys.stderr)


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


def _compile(model, optimizer):
    """Compile, and make all variables now: ``fit`` would trace its graph once more for them."""
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.optimizer.build(model.trainable_variables)
    model.compute_metrics(None, np.zeros(1, "int32"), np.zeros((1, model.output_shape[-1])))
    model.reset_metrics()


def _fit(model, dataset, run, epochs, batch_size, seed, quiet):
    bar = not quiet and sys.stderr.isatty()
    validation = dataset.validation
    with contextlib.redirect_stdout(sys.stderr):
        model.fit(
            _Batches(dataset.train, batch_size, seed),
            validation_data=None if validation is None else (_inputs(validation), validation.y),
            validation_batch_size=PREDICT_BATCH,
            epochs=epochs,
            callbacks=[_Recorder(run, epochs, line=not quiet and not bar)],
            verbose=1 if bar else 0,
        )


def _stopped(model, run, quiet):
    """Leave a usable run after Ctrl-C: the last finished epoch, or the weights so far."""
    with _no_interrupt():
        if not (run.path / "last.keras").exists():
            _save(model, run, "last.keras")
        draw_history(run)
    if not quiet:
        finished = len(run.history().get("epoch", ()))
        print(f"\nstopped: {run} holds {finished} finished epochs", file=sys.stderr)


def _inputs(part):
    return part.x if part.lengths is None else {"x": part.x, "lengths": part.lengths}


def _predict_part(model, part):
    return predict(model, part.x, part.lengths)


def _describe(dataset):
    return {
        "name": dataset.name,
        "source": dataset.source,
        "fingerprint": dataset.fingerprint(),
        "split": dataset.split,
        "sequences": sum(map(len, dataset.parts().values())),
    }


def _check_options(**options):
    for name, value in options.items():
        if not value > 0 or (name != "learning_rate" and not isinstance(value, int)):
            kind = "number" if name == "learning_rate" else "int"
            raise InputError(f"{name} out of range", found=value, expected=f"a positive {kind}")
