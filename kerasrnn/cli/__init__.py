"""The command line: verbs that parse, call the library and print. Nothing heavy up here.

A verb is a function in a file of this package, which lists its verbs in ``VERBS``; a new file
takes its place in ``_FILES``.
"""

from __future__ import annotations

from importlib import import_module

import click

from kerasrnn.cli.common import Group

__all__ = ["main"]

_FILES = (  # in the order of the help
    *("train", "tune", "inspect", "evaluate", "plot", "report", "runs"),
    *("predict", "explain", "use", "export", "convert", "info"),
)


@click.group(cls=Group)
@click.version_option(package_name="kerasrnn", prog_name="kerasrnn")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def main(debug: bool):
    """Recurrent networks in Keras: train, evaluate, plot, use and export them.

    A run is the directory that 'train' makes. The other verbs take one, by default the newest.

    \b
    Examples:
      kerasrnn train --stacked         a stacked bidirectional LSTM on handwritten digits
      kerasrnn evaluate                the newest run, on its test part
      kerasrnn plot --show             its curves in a window
      kerasrnn train shakespeare       a character generator
      kerasrnn generate --prompt "ROMEO:"
      kerasrnn export                  the newest run as a SavedModel
    """


for _file in _FILES:
    for _verb in import_module(f"kerasrnn.cli.{_file}").VERBS:
        main.add_command(_verb)
