"""``kerasrnn export``."""

from __future__ import annotations

import click

from kerasrnn import options
from kerasrnn.cli.common import RUN, find_run, import_tensorflow, option, talk, verb
from kerasrnn.cli.output import print_json


@verb(
    output=("DIRECTORY", "Directory to make  [saved_models/<name of the run>]"),
    json='Print {"run", "export"}',
)
@click.argument("run", type=RUN, required=False)
@option(
    "--format",
    type=click.Choice(options.EXPORT_FORMATS),
    default=options.EXPORT_FORMATS[0],
    help=f"ONNX and LiteRT: numbers in, numbers out  [{options.EXPORT_FORMATS[0]}]",
)
@option(
    "--check/--no-check",
    default=True,
    help="Compare its answers with the model's in a fresh process  [yes]",
)
@option("--overwrite", is_flag=True, group="Output", help="Replace an export that is there")
def export(run, output, as_json, **given):
    """Export a run as SavedModel, ONNX or LiteRT.

    RUN is by default the newest; its best model is taken. A SavedModel takes raw input and
    needs TensorFlow only. Before it goes to its place, a fresh process without kerasrnn
    compares its answers with the model's. The model card in it says how to call it.

    \b
    Examples:
      kerasrnn export
      kerasrnn export runs/digits-classifier-1 -o saved_models/digits
      kerasrnn export --format onnx
    """
    run = find_run(run)
    import_tensorflow()
    from kerasrnn.exporting.saving import export as export_run

    path = export_run(run, output, **given)
    talk(f"how to call it: {path / 'model_card.md'}")
    if as_json:
        print_json({"run": str(run), "export": str(path)})
    else:
        click.echo(path)


VERBS = [export]
