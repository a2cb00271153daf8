"""``kerasrnn evaluate``: the metrics of a run, or of a model on other data"""

from __future__ import annotations

import os

import click

from kerasrnn.cli.common import (
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
        if path and os.path.isfile(os.path.join(path, "signature.json")):
            raise InputError("an export, which knows no data", where=path, fix="name DATA")
        source = find_run(path)
        import_tensorflow()
        from kerasrnn.training import evaluate as evaluate_run

        metrics = evaluate_run(source)
        _renew_report(source)
    if as_json:
        print_json({"run": str(source), **metrics})
        return
    print_metrics(metrics)
    print_details(metrics)
    if "confusion" in metrics:
        print_confusion(**metrics["confusion"])


def _renew_report(run):
    from kerasrnn.cli.live import write_page

    if (run.path / "report.html").exists():
        write_page(run.path, live=False)


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


VERBS = [evaluate]
