"""``kerasrnn evaluate``, ``plot`` and ``runs``: what there is to see of a training."""

from __future__ import annotations

import os

import click

from kerasrnn.cli.common import (
    RUN,
    RUN_OR_DATA,
    find_run,
    import_tensorflow,
    load_predictor,
    option,
    split_model,
    talk,
    verb,
)
from kerasrnn.cli.output import (
    print_confusion,
    print_details,
    print_json,
    print_metrics,
    print_runs,
    run_row,
)
from kerasrnn.errors import InputError
from kerasrnn.files import replacing_directory, write_json


@verb(output=("DIRECTORY", "Directory to make for the metrics and pictures of DATA"))
@click.argument("arguments", type=RUN_OR_DATA, nargs=-1, metavar="[RUN|EXPORT] [DATA]")
@option("--encoding", metavar="NAME", help="Encoding of text files  [utf-8]")
def evaluate(arguments, encoding, output, as_json):
    """Evaluate a run, or a model on other data.

    The run is by default the newest. Without DATA a classifier, tagger or regressor is scored on
    its test part, beside baselines, and confusion.png is drawn. A generator reads the whole
    validation text, beside smoothed n-gram models; an infiller predicts masked tokens. The
    numbers go to metrics.json of the run too.

    DATA is a file or folder of the kind that the model was trained on, with labels; a label that
    training did not have counts as wrong.

    \b
    Examples:
      kerasrnn evaluate
      kerasrnn evaluate runs/digits-classifier-1 --json
      kerasrnn evaluate runs/reviews-classifier-1 new.csv -o scores
    """
    path, data = split_model(arguments)
    if len(data) > 1:
        raise InputError("several data sets to evaluate on", found=" ".join(data), expected="one")
    if data:
        source, metrics = _score(path, data[0], encoding, output)
    else:
        if encoding or output:
            raise InputError("--encoding and --output are for DATA", fix="name the data")
        source = find_run(path)
        import_tensorflow()
        from kerasrnn.training import evaluate as evaluate_run

        metrics = evaluate_run(source)
    if as_json:
        print_json({"run": str(source), **metrics})
        return
    print_metrics(metrics)
    print_details(metrics)
    if "confusion" in metrics:
        print_confusion(**metrics["confusion"])


def _score(path, data, encoding, output):
    """The model and its metrics on some data; written into a new directory where one is named."""
    source, task, predictor = load_predictor(path)
    if output is None:
        return source, task.score(predictor, data, None, encoding).metrics
    if os.path.lexists(output):
        raise InputError(f"{output} exists already", fix="choose another --output")
    with replacing_directory(output) as folder:
        folder.mkdir()
        metrics, examples = task.score(predictor, data, folder, encoding)
        write_json(folder / "metrics.json", metrics)
        write_json(folder / "examples.json", examples)
    talk(f"wrote {output}")
    return source, metrics


@verb(
    output=(
        "FILE",
        "One picture of all metrics, .png, .svg or .pdf  [a PNG each, in the first run]",
    ),
    json="Print the paths of the pictures as JSON",
)
@click.argument("runs", type=RUN, nargs=-1, metavar="[RUN]...")
@option(
    "--metric",
    multiple=True,
    metavar="NAME",
    help="Metric to draw, such as loss; repeatable  [all that the runs have]",
)
@option("--show", is_flag=True, help="Open a window instead of writing files")
def plot(runs, metric, output, show, as_json):
    """Draw training curves of one or several runs.

    RUN is by default the newest; the curves of several, or of the runs in one, are drawn on the
    same axes.

    \b
    Examples:
      kerasrnn plot
      kerasrnn plot runs/forward runs/both -o forward-or-both.svg
    """
    from kerasrnn import plotting

    named = [find_run(run) for run in runs or (None,)]
    opened = [one for run in named for one in run.runs or [run]]
    histories = {run.path.name if len(opened) > 1 else "": run.history() for run in opened}
    if len(histories) < len(opened):
        histories = {str(run): run.history() for run in opened}
    first, *others = histories.values()
    metrics = metric or [m for m in plotting.metrics_in(first) if all(m in one for one in others)]
    if not metrics:
        raise InputError("no finished epoch to draw", where=", ".join(map(str, opened)))
    name = "{}.png" if len(named) == 1 else "compare-{}.png"
    if show:
        _show(histories, metrics)
        pictures = {}
    elif output is not None:
        pictures = {output: metrics}
    else:
        pictures = {named[0].path / name.format(metric): [metric] for metric in metrics}
    for path, names in pictures.items():
        plotting.save_curves(path, histories, names)
        if not as_json:
            click.echo(path)
    if as_json:
        print_json([str(path) for path in pictures])


def _show(histories, metrics):
    import matplotlib
    import matplotlib.pyplot as plt

    from kerasrnn import plotting

    if matplotlib.get_backend().lower() == "agg" and not os.environ.get("MPLBACKEND"):
        raise InputError("no display to open a window on", fix="leave --show out, or set --output")
    size = plotting.panel_size(len(metrics))
    _, axes = plt.subplots(1, len(metrics), squeeze=False, figsize=size, layout="constrained")
    plotting.plot_panels(histories, metrics, axes[0])
    plt.show()


@verb()
def runs(as_json):
    """List the runs in runs/, the oldest first.

    For each the lowest validation loss and its last evaluation, on its test part where it has
    one. A run that cannot be read is named on stderr.
    """
    from kerasrnn.runs import list_runs

    rows = []
    for run in list_runs():
        try:
            rows.append(run_row(run))
        except InputError as error:  # one broken run must not hide the others
            talk(f"kerasrnn: {error}")
    if as_json:
        print_json(rows)
    elif rows:
        print_runs(rows)
    else:
        talk("no runs here; 'kerasrnn train' makes one")


VERBS = [evaluate, plot, runs]
