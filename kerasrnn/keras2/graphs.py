"""A model of Keras 2 built again: its layers called one after the other, with their weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np

from kerasrnn.errors import InputError, check_memory, reason_of
from kerasrnn.keras2.configs import (
    MODELS,
    RECURRENT,
    common,
    input_of,
    is_trainable,
    kind_of,
    name_of,
    options_of,
    parts,
)
from kerasrnn.keras2.hdf5 import Saved
from kerasrnn.keras2.masks import Masks
from kerasrnn.keras2.weights import SLOPE, arranged, given

Weights = dict[str, list[tuple[str, np.ndarray]]]


def build_model(saved: Saved) -> keras.Model:
    """The model, uncompiled, of stock layers of Keras 3 and with its weights.

    Raises:
        InputError: a layer or an option that is not known, or weights that do not fit.
    """
    if saved.backend not in ("", "tensorflow") and "Conv" in str(saved.config):
        raise InputError(
            "convolutions whose kernels are the other way round",
            found=f"a model of Keras on {saved.backend}",
            fix="load and save it in Keras 2 on TensorFlow",
        )
    left = dict(saved.weights)
    try:
        model = _model(saved.config, left)
    except InputError:
        raise
    except (Exception, MemoryError) as error:  # Keras raises many kinds
        raise InputError(f"a model that Keras 3 cannot build: {reason_of(error)}") from error
    if left:
        raise InputError("weights of layers that the model lacks", found=", ".join(left)[:200])
    return model


def _model(config, weights: Weights, shape=None):
    """A model; its weights are taken out of ``weights``. shape: of an input it does not tell."""
    kind, options = parts(config)
    if kind not in MODELS:
        raise InputError("not a Sequential or functional model", found=kind)
    if not isinstance(options.get("layers"), list) or not options["layers"]:
        raise InputError("a damaged file", found="a model without layers")
    build = _sequential if kind == "Sequential" else _functional
    model = build(options, weights, shape)
    model.trainable = is_trainable(options)
    return model


def _sequential(options, weights, shape):
    first, *others = options["layers"]
    if parts(first)[0] == "InputLayer":
        x = input_of(parts(first)[1])
    else:
        x = input_of(_told(first), options.get("build_input_shape", shape))
        others = [first, *others]
    layers, masks = [x], Masks()
    for config in others:
        layer = _Layer(config, weights)
        x = layer.call([x], {}, masks)
        layers.append(layer.layer)
    return keras.Sequential(layers, name=_model_name(options))


def _told(config):
    """What the first layer of a model, or the layer in it, says of its input."""
    kind, options = parts(config)
    if "batch_input_shape" in options:
        return options
    inner = options["layers"][0] if kind in MODELS and options.get("layers") else None
    inner = options.get("layer") if kind == "Bidirectional" else inner
    return {} if inner is None else _told(inner)


class _Layer:
    """A layer, built when it is first called."""

    def __init__(self, config, weights: Weights):
        stored = weights.pop(name_of(parts(config)[1]), [])
        self.kind, self.config, self.stored = kind_of(config), config, stored
        self.layer = None

    def call(self, inputs: Sequence[keras.KerasTensor], arguments: dict, masks: Masks):
        """Its output. arguments: of the call in Keras 2, beside its inputs."""
        arguments = masks.to_give(self.kind, inputs) | arguments
        x = inputs[0] if len(inputs) == 1 else list(inputs)
        if self.kind in RECURRENT and len(inputs) > 1:
            x, *arguments["initial_state"] = inputs
        try:
            output = self._call(x, inputs[0].shape, arguments)
        except InputError:
            raise
        except (Exception, MemoryError) as error:  # Keras raises many kinds
            name = parts(self.config)[1].get("name")
            raise InputError(f"layer {name!r}: Keras 3 refuses it: {reason_of(error)}") from error
        masks.follow(self.kind, self.layer, inputs, output)
        return output

    def _call(self, x, shape, arguments):
        if self.layer is not None:
            return self.layer(x, **arguments)
        self.layer, weights = _made(self.config, self.stored, shape)
        if getattr(self.layer, "stateful", False):
            check_memory("states", 8 * (shape[0] or 1) * parts(self.config)[1].get("units", 1))
        with given(self.layer, weights):
            return self.layer(x, **arguments)


def _made(config, stored, shape):
    """A layer that is not yet built, and its weights. shape: of its input, the batch first."""
    layer, weights = _made_trainable(config, stored, shape)
    layer.trainable = is_trainable(parts(config)[1])
    return layer, weights


def _made_trainable(config, stored, shape):
    kind, (_, options) = kind_of(config), parts(config)
    values = [value for _, value in stored]
    if kind in MODELS:
        return _nested(config, stored, shape), []
    if kind == "TimeDistributed":
        inner, values = _made(options.get("layer"), stored, (shape[0], *shape[2:]))
        return keras.layers.TimeDistributed(inner, **common(kind, options)), values
    if kind == "Bidirectional":
        return _bidirectional(options, values)
    made = options_of(kind, config)
    if kind == "Activation" and made["activation"] == "hard_sigmoid":
        steeper = keras.layers.Rescaling(SLOPE)
        activation = keras.layers.Activation("hard_sigmoid")
        return keras.Sequential([steeper, activation], name=made["name"]), values
    return getattr(keras.layers, kind)(**made), arranged(kind, made, values)


def _bidirectional(options, values):
    layers, weights, half = {}, [], len(values) // 2
    for key, part in (("layer", values[:half]), ("backward_layer", values[half:])):
        config = options.get(key) or options.get("layer")
        if kind_of(config) not in RECURRENT[:-1]:
            raise InputError(f"layer {options.get('name')!r}: no recurrent layer in it")
        inner, arranged_part = _made(config, [("", value) for value in part], ())
        weights += arranged_part
        if options.get(key):
            layers[key] = inner
    merge = {"merge_mode": options["merge_mode"]} if "merge_mode" in options else {}
    return keras.layers.Bidirectional(**layers, **merge, **common("", options)), weights


def _nested(config, stored, shape):
    """A model in a model: the names of its weights begin with those of its layers."""
    layers = parts(config)[1].get("layers")
    names = [name_of(parts(layer)[1]) for layer in layers or []]
    weights = {}
    for name, value in stored:
        owner = next((part for part in name.split("/") if part in names), None)
        if owner is None:
            raise InputError("weights of layers that the model lacks", found=name)
        weights.setdefault(owner, []).append((name, value))
    model = _model(config, weights, shape)
    if weights:
        raise InputError("weights of layers that the model lacks", found=", ".join(weights))
    return model


class _Call(NamedTuple):
    """A call of a layer in the graph of a functional model: ``node`` as Keras 2 saves it."""

    name: str
    number: int
    node: list


def _functional(options, weights, shape):
    layers, tensors, masks, calls = {}, {}, Masks(), []
    for config in options["layers"]:
        kind, inner = parts(config)
        name, nodes = config.get("name") or name_of(inner), config.get("inbound_nodes")
        if kind == "InputLayer":
            tensors[name, 0, 0] = input_of({"name": name, **inner})
            continue
        layers[name] = _Layer({**config, "config": {"name": name, **inner}}, weights)
        first = int(kind in MODELS and not _refers(options, name))
        calls += [_Call(name, first + i, node) for i, node in enumerate(nodes or [])]
    while calls:
        ready = [call for call in calls if _needs(call.node) <= tensors.keys()]
        if not ready:
            raise InputError("a damaged file", found=f"no input for layer {calls[0].name!r}")
        for name, number, node in ready:
            output = layers[name].call(*_arguments(node, tensors), masks)
            outputs = output if isinstance(output, (list, tuple)) else [output]
            tensors |= {(name, number, i): tensor for i, tensor in enumerate(outputs)}
        calls = [call for call in calls if call not in ready]
    ends = [_looked_up(options.get(key), tensors) for key in ("input_layers", "output_layers")]
    return keras.Model(*ends, name=_model_name(options))


def _refers(options, name):
    """Whether anything in a graph refers to the first output of a layer by the number 0."""
    nodes = [node for config in options["layers"] for node in config.get("inbound_nodes") or []]
    needed = [key for node in nodes for key in _needs(node)]
    return any(key[:2] == (name, 0) for key in [*needed, *_keys(options.get("output_layers"))])


def _needs(node):
    """Which tensors a call takes: name of a layer, number of its call, number of its output."""
    references, arguments = _split(node)
    states = arguments.get("initial_state") or []
    masks = [arguments["mask"]] if arguments.get("mask") else []
    return {_key(reference) for reference in [*references, *states, *masks]}


def _arguments(node, tensors):
    """The inputs of a call, and its other arguments."""
    references, given = _split(node)
    inputs = [tensors[_key(reference)] for reference in references]
    inputs += [tensors[_key(state)] for state in given.get("initial_state") or []]
    arguments = {"mask": tensors[_key(given["mask"])]} if given.get("mask") else {}
    if given.get("training") is not None:
        arguments["training"] = given["training"] is True
    return inputs, arguments


def _split(node):
    """The references of a call to its inputs, and its other arguments."""
    node = [node] if isinstance(node, list) and node and isinstance(node[0], str) else node
    if not isinstance(node, list) or not node or not all(map(_key, node)):
        raise InputError("a call of a layer that cannot be converted", found=str(node)[:200])
    arguments = node[0][3] if len(node[0]) > 3 else {}
    known = ("initial_state", "mask", "training")
    other = [key for key, value in arguments.items() if key not in known and value is not None]
    if other:
        found = f"{other[0]}={arguments[other[0]]!r}"[:200]
        raise InputError("an argument of a call that cannot be converted", found=found)
    return node, arguments


def _key(reference):
    """A reference to a tensor as it is looked up."""
    kinds = tuple(map(type, reference[:3])) if isinstance(reference, list) else ()
    if kinds != (str, int, int):
        raise InputError("a tensor that no layer gives", found=str(reference)[:200])
    return tuple(reference[:3])


def _keys(references):
    """All references in a list, a dict or a reference."""
    if isinstance(references, dict):
        references = list(references.values())
    if isinstance(references, list) and references and isinstance(references[0], str):
        references = [references]
    if not isinstance(references, list) or not references:
        raise InputError("a damaged file", found="a model without inputs or outputs")
    return [_key(reference) for reference in references]


def _looked_up(references, tensors):
    """Tensors by their references, in a dict or a list as these are; one by itself."""
    keys = _keys(references)
    unknown = [key for key in keys if key not in tensors]
    if unknown:
        raise InputError("a tensor that no layer gives", found=str(unknown[0]))
    found = [tensors[key] for key in keys]
    if isinstance(references, dict):
        return dict(zip(references, found, strict=True))
    return found if len(found) > 1 else found[0]


def _model_name(options):
    name = options.get("name")
    return name.replace("/", "_") if isinstance(name, str) else None
