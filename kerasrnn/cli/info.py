"""``kerasrnn info``."""

from __future__ import annotations

import os

import click

from kerasrnn.cli.common import import_tensorflow, verb
from kerasrnn.cli.output import print_json


@verb(runs=False)
def info(as_json):
    """Show versions, devices and where data is.

    The native loop is what makes recurrent layers fast on a CPU; the reason says why layers
    take Keras's own loop where they do.

    \b
    Examples:
      kerasrnn info
    """
    import_tensorflow()
    from kerasrnn import layers
    from kerasrnn.data.downloads import cache_folder
    from kerasrnn.fitting.devices import machine
    from kerasrnn.runs import library_versions

    loop = layers.implementation(layers.LSTM(1))
    facts = {
        **library_versions(),
        **machine(),
        "loop over time": loop.name,
        "reason": loop.reason,
        "KERASRNN_DATA": os.environ.get("KERASRNN_DATA"),
        "cache": str(cache_folder()),
    }
    if as_json:
        print_json(facts)
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        click.echo(f"{name:<{width}}  {_spell(value)}")


def _spell(value):
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(value) or "none" if isinstance(value, list) else value or "not set"


VERBS = [info]
