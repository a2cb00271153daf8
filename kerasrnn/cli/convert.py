"""``kerasrnn convert``."""

from __future__ import annotations

from pathlib import Path

import click

from kerasrnn.cli.common import import_tensorflow, option, talk, verb
from kerasrnn.cli.output import print_json
from kerasrnn.files import check_regular

_PATH = click.Path(path_type=Path)


@verb(json='Print {"model", "layers", "weights", "parameters"}')
@click.argument("source", metavar="OLD.h5", type=_PATH)
@click.argument("target", metavar="NEW.keras", type=_PATH)
@option("--overwrite", is_flag=True, group="Output", help="Replace a file that is there")
def convert(source, target, overwrite, as_json):
    """Turn a Keras 2 model into a Keras 3 file.

    OLD.h5 is a whole recurrent model that Keras 2 saved as HDF5. Only numbers and JSON are read
    from it; a layer that is not known, or that holds code, is refused. The outputs of the new
    model, of Keras's own layers, are those of the old one.

    \b
    Examples:
      kerasrnn convert old.h5 new.keras
    """
    check_regular(source)
    import_tensorflow()
    from kerasrnn.keras2.converting import convert as convert_model

    model = convert_model(source, target, overwrite=overwrite)
    layers = [
        {"name": layer.name, "class": type(layer).__name__, "parameters": layer.count_params()}
        for layer in model.layers
    ]
    weights, parameters = len(model.weights), model.count_params()
    if as_json:
        facts = {"model": str(target), "layers": layers}
        print_json({**facts, "weights": weights, "parameters": parameters})
        return
    width, wide = (max(len(layer[key]) for layer in layers) for key in ("name", "class"))
    for name, kind, number in map(dict.values, layers):
        click.echo(f"{name:<{width}}  {kind:<{wide}}  {number:>12,}")
    click.echo(f"{target}: {len(layers)} layers, {weights} weights, {parameters:,} parameters")
    talk(f'in Python: keras.models.load_model("{target}")')


VERBS = [convert]
