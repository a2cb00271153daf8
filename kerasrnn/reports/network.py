"""What a .keras file says of its model, read without Keras: layers, shapes, parameters."""

from __future__ import annotations

import json
import math
import os
import re
import zipfile
from typing import NamedTuple

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
_LARGEST = 1 << 26  # bytes of a configuration
_CELLS = ("LSTM", "GRU", "SimpleRNN")
_KEEPING = ("Dropout", "SpatialDropout1D", "Activation")  # the shape, of which they say nothing


class Layer(NamedTuple):
    """A layer of a model as a reader wants to know it.

    said: its settings in words. directions: ``"both"``, ``"forward"``, ``"backward"``, or empty of
    what is not recurrent. shape: of its output, None for what is free; None where it is not known.
    reads: names of the layers before, where it is not the one above alone. apart: whether the one
    above is none of them.
    """

    name: str
    kind: str
    said: list[str]
    directions: str
    shape: list | None
    parameters: int
    reads: list[str]
    apart: bool = False


class Network(NamedTuple):
    """A model: names of its inputs with their shapes, its layers in order, its parameters.

    What only makes masks is left out of the layers. Of an average of several members alike the
    inputs and layers are those of the first.
    """

    inputs: dict[str, list]
    layers: list[Layer]
    parameters: int
    members: int = 1


def read_network(path: str | os.PathLike) -> Network | None:
    """The model in a .keras file; None where it cannot be made out.

    >>> read_network("runs/digits-classifier-1/best.keras").parameters  # doctest: +SKIP
    85010
    """
    import h5py

    try:
        with zipfile.ZipFile(path) as file:
            if file.getinfo(_CONFIG).file_size > _LARGEST:
                return None
            config = json.loads(file.read(_CONFIG))["config"]
            with file.open(_WEIGHTS) as weights, h5py.File(weights, "r") as groups:
                return _network(config, groups)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, zipfile.BadZipFile):
        return None  # it is a model that the report cannot show, and is good for all else


def _sizes(layers):
    """How many numbers each group of layers in an HDF5 file holds, by its name."""
    import h5py

    sizes = {}
    for name in layers:
        found = []
        layers[name].visititems(
            lambda _, item, found=found: (
                found.append(math.prod(item.shape)) if isinstance(item, h5py.Dataset) else None
            )
        )
        sizes[name] = sum(found)
    return sizes


def _network(config, weights):
    """A model by its configuration and its group of an HDF5 file."""
    sizes = _sizes(weights["layers"])
    models = [row for row in config["layers"] if isinstance(row["config"].get("layers"), list)]
    kinds = [[layer["class_name"] for layer in row["config"]["layers"]] for row in models]
    if len(kinds) > 1 and all(one == kinds[0] for one in kinds):
        first = _network(models[0]["config"], weights["layers"][_snake(models[0]["class_name"])])
        return first._replace(parameters=sum(sizes.values()), members=len(kinds))
    return _plain_network(config, sizes)


def _plain_network(config, sizes):
    rows = config["layers"]
    masks = {name for row in rows for name, _, kind in _tensors(row) if kind == "bool"}
    shapes = _shapes(rows)
    counts, layers, inputs = {}, [], {}
    for row in rows:
        kind, settings = row["class_name"], row["config"]
        key = _snake(kind)
        number = counts[key] = counts.get(key, -1) + 1
        if kind == "InputLayer":
            inputs[settings["name"]] = settings.get("batch_shape", [])[1:]
        elif settings["name"] not in masks:
            size = sizes.get(f"{key}_{number}" if number else key, 0)
            layers.append(_layer(row, shapes.get(settings["name"]), size, _reads(row)))
    before = [*inputs]
    for index, layer in enumerate(layers):
        if layer.reads == before:
            layers[index] = layer._replace(reads=[])
        elif layer.reads:
            layers[index] = layer._replace(apart=before[-1] not in layer.reads)
        before = [layer.name]
    return Network(inputs, layers, sum(sizes.values()))


def _layer(row, shape, parameters, reads):
    settings, kind = row["config"], row["class_name"]
    directions, cell = "", row
    if kind == "Bidirectional":
        directions, cell = "both", settings["layer"]
        kind = f"Bidirectional {cell['class_name']}"
    elif kind in _CELLS:
        directions = "backward" if settings.get("go_backwards") else "forward"
    said = _said(cell["class_name"], cell["config"], directions)
    return Layer(settings["name"], kind, said, directions, shape, parameters, reads)


def _said(kind, settings, directions):
    """The settings of a layer that tell what it does, in words."""
    said = []
    if units := settings.get("units"):
        said.append(f"{units} units" + (" each way" if directions == "both" else ""))
    if directions:
        said.append("every step" if settings.get("return_sequences") else "the last step")
    if "output_dim" in settings:
        said.append(f"{settings.get('input_dim')} tokens, {settings['output_dim']} wide")
    if "filters" in settings:
        said.append(f"{settings['filters']} filters over {_joined(settings.get('kernel_size'))}")
    if settings.get("rate"):
        said.append(f"rate {settings['rate']:g}")
    if "mode" in settings:
        said.append(f"{settings['mode']}")
    activation = settings.get("activation")
    if not directions and isinstance(activation, str) and activation != "linear":
        said.append(activation)
    if isinstance(settings.get("layers"), list):
        said.append(f"{len(settings['layers'])} layers")
    return said


def _joined(value):
    return " × ".join(map(str, value)) if isinstance(value, list) else f"{value}"


def _shapes(rows):
    """The shape of each layer's output but the batch, as the layers that read it say."""
    shapes, after = {}, None
    for row in reversed(rows):
        name, settings = row["config"]["name"], row["config"]
        if not row.get("inbound_nodes") and after is not None:
            shapes[name] = after
        for read, shape, _ in _tensors(row):
            shapes[read] = shape[1:]
        given = (row.get("build_config") or {}).get("input_shape")
        if given and name not in shapes and "units" in settings:  # the last one
            shapes[name] = [*given[1:-1], settings["units"]]
        if given:
            after = given[1:]
        elif row["class_name"] not in _KEEPING:
            after = None
    return shapes


def _tensors(row):
    """The (layer, shape, type) of each tensor that a layer of a functional model reads."""
    waiting = [node for node in row.get("inbound_nodes", ()) if isinstance(node, dict)]
    while waiting:
        item = waiting.pop(0)
        if isinstance(item, dict) and item.get("class_name") == "__keras_tensor__":
            said = item["config"]
            yield said["keras_history"][0], said["shape"], said["dtype"]
        elif isinstance(item, (dict, list)):
            waiting += item.values() if isinstance(item, dict) else item


def _reads(row):
    return [*dict.fromkeys(name for name, _, kind in _tensors(row) if kind != "bool")]


def _snake(name):
    """A class as Keras names its group of weights: ``LayerNorm`` is ``layer_norm``."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
