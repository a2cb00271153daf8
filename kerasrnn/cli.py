"""The command line: verbs that parse, call the library and print. Nothing heavy up here."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import shlex
import sys
from pathlib import Path

import click

from kerasrnn.errors import InputError


class _Group(click.Group):
    """Turns bad input into one line on stderr and exit code 2."""

    def invoke(self, context):
        try:
            return super().invoke(context)
        except InputError as error:
            raise _Refusal(str(error)) from error
        except OSError as error:
            if error.errno == errno.EPIPE:  # the reader of our output has left; click knows
                raise
            place = f"{error.filename}: " if error.filename else ""
            raise _Refusal(f"{place}{error.strerror or error}") from error
        except Exception as error:  # TensorFlow's own is known by name, so as not to import it
            if type(error).__name__ not in ("MemoryError", "ResourceExhaustedError"):
                raise
            raise _Refusal(
                "out of memory; choose fewer --units or a smaller --batch-size"
            ) from error


class _Refusal(click.ClickException):
    exit_code = 2

    def show(self, file=None):
        click.echo(f"kerasrnn: {self.message}", err=True)


class _RunPath(click.ParamType):
    name = "run"

    def shell_complete(self, ctx, param, incomplete):
        from click.shell_completion import CompletionItem

        from kerasrnn.runs import list_runs

        found = [str(run) for run in list_runs()]
        names = [CompletionItem(name) for name in found if name.startswith(incomplete)]
        return names or [CompletionItem(incomplete, type="dir")]


class _Data(click.ParamType):
    name = "data"

    def shell_complete(self, ctx, param, incomplete):
        from click.shell_completion import CompletionItem

        from kerasrnn.datasets import NAMES

        names = [CompletionItem(name) for name in NAMES if name.startswith(incomplete)]
        return names or [CompletionItem(incomplete, type="file")]


class _Units(click.ParamType):
    """``50`` or ``64,32``."""

    name = "n[,n…]"

    def convert(self, value, param, ctx):
        try:
            return tuple(int(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not a number or a list like 64,32", param, ctx)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="kerasrnn")
def main():
    """Recurrent networks in Keras: train, evaluate, plot and use them.

    \b
    kerasrnn train --stacked       a stacked bidirectional LSTM on handwritten digits
    kerasrnn evaluate              the newest run, on its test part
    kerasrnn plot --show           its curves in a window

    A run is one directory; every verb but 'train' takes one, by default the newest.
    """


def _import_keras():
    """Import Keras and TensorFlow without TensorFlow's start-up lines.

    Some of them come before any of its settings counts, hence the closed file descriptor.
    """
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    stderr = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        import kerasrnn.training  # noqa: F401
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)


_json_option = click.option("--json", "as_json", is_flag=True, help="Print results as JSON.")


@main.command(context_settings={"show_default": True})
@click.argument("data", type=_Data(), default="digits")
@click.option("--units", type=_Units(), default="50", help="Width of all layers, or one a layer.")
@click.option("--layers", type=int, help="Number of layers.  [default: one for each of --units]")
@click.option("--stacked", is_flag=True, help="The same as --layers 2.")
@click.option("--cell", type=click.Choice(["lstm", "gru", "simple"]), default="lstm", help="Cell.")
@click.option(
    "--bidirectional/--unidirectional", default=True, help="Read both ways, or forwards only."
)
@click.option(
    "--go-backwards", is_flag=True, help="With --unidirectional: read from the last step."
)
@click.option("--dropout", type=float, default=0.2, help="Share dropped after each layer.")
@click.option(
    "--pooling",
    type=click.Choice(["last", "mean", "max"]),
    default="last",
    help="What the head sees: the last state, or the mean or maximum over the steps.",
)
@click.option("--functional", is_flag=True, help="A functional model instead of a Sequential.")
@click.option("--epochs", type=int, default=30, help="Passes over the training part.")
@click.option("--batch-size", type=int, default=32, help="Sequences a step.")
@click.option(
    "--optimizer",
    type=click.Choice(["adam", "adamw", "rmsprop", "sgd"]),
    default="adam",
    help="Optimizer.",
)
@click.option("--learning-rate", type=float, default=0.005, help="Learning rate.")
@click.option(
    "--clip-norm",
    type=float,
    default=1.0,
    help="Largest global norm of the gradients; 0 for no limit.",
)
@click.option("--seed", type=int, default=0, help="Fixes weights, order, dropout, validation cut.")
@click.option(
    "--validation-split",
    type=float,
    default=0.1,
    help="Share of the training part that chooses the best epoch.",
)
@click.option(
    "--out", type=click.Path(), help="Directory to make.  [default: runs/<data>-<task>-<n>]"
)
@click.option("--quiet", is_flag=True, help="Nothing on stderr.")
@_json_option
def train(data, out, seed, validation_split, quiet, as_json, units, layers, stacked, **options):
    """Train a classifier on DATA and leave a run directory.

    DATA is 'digits' (the default, ships with scikit-learn), 'mnist', an .npz file with x and
    y (or x_train, y_train, x_test, y_test), or a folder of IDX files.

    \b
    kerasrnn train --stacked
    kerasrnn train mnist --units 128,64 --cell gru --epochs 5
    kerasrnn train sensors.npz --unidirectional --out runs/forward
    """
    units = _stack_units(units, layers, stacked)
    _import_keras()
    from kerasrnn.datasets import load
    from kerasrnn.training import train as train_run

    dataset = load(data, validation_split=validation_split, seed=seed)
    try:
        run = train_run(dataset, out, seed=seed, quiet=quiet, units=units, **options)
    except KeyboardInterrupt:
        sys.exit(130)
    metrics = run.metrics()
    if as_json:
        click.echo(json.dumps({"run": str(run), **metrics}))
        return
    _print_metrics(metrics)
    click.echo(f"run            {run}")
    if not quiet:
        click.echo("next", err=True)
        path = str(run)
        for words in (["plot", path, "--show"], ["evaluate", path], ["predict", path, data]):
            click.echo(f"  kerasrnn {shlex.join(words)}", err=True)


@main.command(context_settings={"show_default": True})
@click.argument("run", type=_RunPath(), required=False)
@_json_option
def evaluate(run, as_json):
    """Evaluate RUN (by default the newest) on its test part.

    Writes metrics.json and confusion.png into the run. The baseline beside the numbers
    predicts the label frequencies of the training part.

    \b
    kerasrnn evaluate runs/digits-classifier-1 --json
    """
    run = _open(run)
    _import_keras()
    from kerasrnn.training import evaluate as evaluate_run

    metrics = evaluate_run(run)
    if as_json:
        click.echo(json.dumps(metrics))
        return
    _print_metrics(metrics)
    click.echo("label          precision    recall        f1   support")
    for label, row in metrics["labels"].items():
        click.echo(
            f"{label:<14}{row['precision']:>10.4f}{row['recall']:>10.4f}"
            f"{row['f1']:>10.4f}{row['support']:>10}"
        )


@main.command(context_settings={"show_default": True})
@click.argument("runs", type=_RunPath(), nargs=-1, metavar="[RUN]...")
@click.option("--metric", multiple=True, help="What to draw, again for more.  [default: all]")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="One picture with all metrics, .png, .svg or .pdf.  "
    "[default: one PNG for each metric, in the run]",
)
@click.option("--show", is_flag=True, help="Open a window instead of writing files.")
def plot(runs, metric, output, show):
    """Draw the training curves of RUN (by default the newest), or of several on one Axes.

    \b
    kerasrnn plot
    kerasrnn plot runs/forward runs/both --output forward-or-both.svg
    """
    from kerasrnn import plotting

    opened = [_open(run) for run in runs] or [_open(None)]
    histories = {run.path.name if len(opened) > 1 else "": run.history() for run in opened}
    if len(histories) < len(opened):
        histories = {str(run): run.history() for run in opened}
    metrics = list(metric) or plotting.metrics_in(opened[0].history())
    if not metrics:
        raise InputError(f"{opened[0]} has no finished epoch to draw")
    if show:
        _show(plotting, histories, metrics)
        return
    name = "{}.png" if len(opened) == 1 else "compare-{}.png"
    pictures = (
        {output: metrics}
        if output
        else {opened[0].path / name.format(metric): [metric] for metric in metrics}
    )
    for path, names in pictures.items():

        def draw(*axes, names=names):
            plotting.plot_panels(histories, names, axes)

        click.echo(plotting.save(path, draw, panels=len(names)))


@main.command(context_settings={"show_default": True})
@click.argument("run", type=_RunPath())
@click.argument("input", type=_Data())
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to a file instead of stdout.",
)
@_json_option
def predict(run, input, output, as_json):
    """Predict a label for each sequence in INPUT with the best model of RUN.

    INPUT is an .npz file with x (and lengths), an .npy file, an IDX file of images, or a
    dataset's name for its test part. Prints CSV: index, label, probability; with --json a
    list of {"label", "probabilities"}.

    \b
    kerasrnn predict runs/digits-classifier-1 digits
    """
    run = _open(run)
    _import_keras()
    from kerasrnn.datasets import load_sequences
    from kerasrnn.models import load_model
    from kerasrnn.runs import write_text
    from kerasrnn.training import predict as predict_sequences

    labels = run.labels()
    x, lengths = load_sequences(input)
    probabilities = predict_sequences(load_model(run.path), x, lengths)
    if probabilities.shape[1] != len(labels):
        raise InputError(
            f"labels.json of {run} does not match its model",
            found=f"{len(labels)} labels",
            expected=probabilities.shape[1],
        )
    text = (_as_json if as_json else _as_csv)(labels, probabilities)
    if output:
        write_text(output, text)
        click.echo(f"wrote {output}", err=True)
    else:
        click.echo(text, nl=False)


@main.command()
@_json_option
def runs(as_json):
    """List the runs in runs/, the oldest first."""
    from kerasrnn.runs import list_runs

    rows = []
    for run in list_runs():
        try:
            rows.append(_run_row(run))
        except InputError as error:  # one broken run must not hide the others
            click.echo(f"kerasrnn: {error}", err=True)
    if as_json:
        click.echo(json.dumps(rows))
        return
    if not rows:
        click.echo("no runs here; 'kerasrnn train' makes one", err=True)
        return
    width = max(len(row["run"]) for row in rows)
    click.echo(f"{'run':<{width}}  {'made (UTC)':<16}  epochs  val_loss  test accuracy")
    for row in rows:
        click.echo(
            f"{row['run']:<{width}}  {row['created'][:16].replace('T', ' ')}  {row['epochs']:>6}"
            f"  {_cell(row['val_loss']):>8}  {_cell(row['test_accuracy']):>13}"
        )


def _stack_units(units, layers, stacked):
    """The width of each layer from --units, --layers and --stacked."""
    if stacked:
        if layers not in (None, 2):
            raise InputError("--stacked means --layers 2", found=f"--layers {layers}")
        layers = 2
    if layers is None:
        return units
    if layers < 1:
        raise InputError("--layers out of range", found=layers, expected="1 or more")
    if len(units) == 1:
        return units * layers
    if len(units) != layers:
        raise InputError(
            "--units and --layers differ",
            found=f"{len(units)} widths for {layers} layers",
            expected="one width, or one for each layer",
        )
    return units


def _open(path):
    """The run at ``path``; the newest, named on stderr, where there is none."""
    from kerasrnn.runs import latest_run, open_run

    if path is not None:
        return open_run(path)
    run = latest_run()
    click.echo(f"run {run}", err=True)
    return run


def _print_metrics(metrics):
    click.echo("                    loss  accuracy  macro F1")
    for part in ("validation", "test", "baseline"):
        if part in metrics:
            row = metrics[part]
            click.echo(
                f"{part:<14}{row['loss']:>10.4f}{row['accuracy']:>10.4f}{row['macro_f1']:>10.4f}"
            )


def _show(plotting, histories, metrics):
    import matplotlib
    import matplotlib.pyplot as plt

    if matplotlib.get_backend().lower() == "agg" and not os.environ.get("MPLBACKEND"):
        raise InputError("no display to open a window on", fix="leave --show out, or set --output")
    size = plotting.panel_size(len(metrics))
    _, axes = plt.subplots(1, len(metrics), squeeze=False, figsize=size, layout="constrained")
    plotting.plot_panels(histories, metrics, axes[0])
    plt.show()


def _as_csv(labels, probabilities):
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["index", "label", "probability"])
    for index, row in enumerate(probabilities):
        writer.writerow([index, labels[row.argmax()], f"{row.max():.6f}"])
    return file.getvalue()


def _as_json(labels, probabilities):
    rows = [
        {
            "label": labels[row.argmax()],
            "probabilities": dict(zip(labels, map(float, row), strict=True)),
        }
        for row in probabilities
    ]
    return json.dumps(rows, ensure_ascii=False) + "\n"


def _run_row(run):
    history = run.history()
    test = run.metrics().get("test", {})
    return {
        "run": str(run),
        "task": run.task,
        "created": run.info["created"],
        "epochs": len(history.get("epoch", ())),
        "val_loss": min(history.get("val_loss", ()), default=None),
        "test_accuracy": test.get("accuracy"),
    }


def _cell(number):
    return "-" if number is None else f"{number:.4f}"
