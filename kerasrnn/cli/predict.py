"""``kerasrnn predict``: labels, numbers and texts for files, names and texts."""

from __future__ import annotations

from collections.abc import Iterator

import click

from kerasrnn.cli.common import RUN_OR_DATA, load_predictor, option, split_model, talk, verb
from kerasrnn.cli.output import to_json
from kerasrnn.errors import InputError


@verb(output=("FILE", "Write to a .csv, .jsonl or .parquet file, a text or a picture"))
@click.argument("inputs", type=RUN_OR_DATA, nargs=-1, metavar="[RUN|EXPORT] INPUT...")
@option("--encoding", metavar="NAME", help="Encoding of text files  [utf-8]")
def predict(inputs, encoding, output, as_json):
    """Predict labels, numbers or texts of INPUT.

    The first argument is the model where it is a run or an export; by default the newest run.

    A classifier or regressor: INPUT is a file of the kind it was trained on, with labels or
    without, a data set's name for its test part, or - for standard input. Its columns are kept,
    and the predicted ones follow. A classifier of texts also takes a text itself.

    A tagger: INPUT is a text file, a CoNLL file whose words are taken as they are, - for
    standard input, or the text itself. Prints a token and its label per line, and a blank line
    after each sentence; with -o words.png a picture of the words in the colours of their labels.

    A generator or infiller: INPUT is a prompt, a text with blanks, or - for standard input.

    A SavedModel is code: use only exports from people you trust.

    \b
    Examples:
      kerasrnn predict digits
      kerasrnn predict runs/reviews-classifier-1 new.csv -o labelled.csv
      kerasrnn predict runs/ud-ewt-tagger-1 "Time flies like an arrow."
    """
    path, inputs = split_model(inputs)
    if not inputs:
        raise click.UsageError("Missing argument 'INPUT...'.")
    _, task, predictor = load_predictor(path)
    predictions = task.predictions(predictor, inputs, encoding)
    if output is None:
        for text in _json(predictions) if as_json else _texts(predictions):
            click.echo(text, nl=False)
        return
    _write(output, predictions, as_json)
    talk(f"wrote {output}")


def _json(predictions) -> Iterator[str]:
    """All records as one JSON list, in pieces."""
    separator = "["
    for batch in predictions.batches:
        for record in predictions.records(batch):
            yield separator + to_json(record)
            separator = ", "
    yield f"{separator}]\n" if separator == "[" else "]\n"


def _texts(predictions) -> Iterator[str]:
    """The predictions as plain text, in pieces: by themselves, or as CSV."""
    if predictions.text:
        return map(predictions.text, predictions.batches)
    from kerasrnn.data.writers import csv_lines

    return csv_lines(map(predictions.columns, predictions.batches))


def _write(output, predictions, as_json):
    """Write a table, a text, or for the suffix of a picture the picture."""
    from kerasrnn import plotting
    from kerasrnn.data import writers
    from kerasrnn.files import write_pieces

    suffix = output.suffix.lower()
    picture, table = suffix in plotting.FORMATS, suffix in writers.FORMATS
    if as_json and (picture or table):
        raise InputError(f"--json for a {suffix}", found=output.name, fix="choose a .json")
    if picture and predictions.draw is None:
        fix = "choose a .csv, .jsonl or .parquet" if predictions.columns else "choose a .txt"
        raise InputError("no picture of these predictions", found=output.name, fix=fix)
    if table and predictions.columns is None:
        raise InputError("texts that are no table", found=output.name, fix="choose a .txt")
    if picture:
        batches = list(predictions.batches)
        plotting.save(output, lambda ax: predictions.draw(batches, ax))
    elif table:
        writers.write_table(output, map(predictions.columns, predictions.batches))
    else:
        write_pieces(output, _json(predictions) if as_json else _texts(predictions))


VERBS = [predict]
