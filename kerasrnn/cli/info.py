"""``kerasrnn info``."""

from __future__ import annotations

import os
import platform

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
    import tensorflow as tf

    from kerasrnn import layers
    from kerasrnn.data.downloads import cache_folder
    from kerasrnn.engine import native
    from kerasrnn.runs import library_versions

    loop = layers.implementation(layers.LSTM(1))
    facts = {
        **library_versions(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "native operations": native.library() is not None,
        "loop over time": loop.name,
        "reason": loop.reason,
        "gpus": [device.name for device in tf.config.list_physical_devices("GPU")],
        "threads": native.cores(),
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
