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
    plain_name,
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
    if saved.backend not in ("", "tensorflow") and "'class_name': 'Conv" in str(saved.config):
        raise InputError(
            "convolutions whose kernels are the other way round",
            found=f"a model of Keras on {saved.backend}",
            fix="load and save it in Keras 2 on TensorFlow",
        )
    left = dict(saved.weights)
    try:
        model = _model(saved.config, left, Masks())
    except InputError:
        raise
    except (Exception, MemoryError) as error:  # Keras raises many kinds
        raise InputError(f"a model that Keras 3 cannot build: {reason_of(error)}") from error
    if left:
        raise InputError("weights of layers that the model lacks", found=", ".join(left)[:200])
    return model


def _model(config, weights: Weights, masks: Masks, shape=None):
    """A model; its weights are taken out of ``weights``. shape: of an input it does not tell."""
    kind, options = parts(config)
    if kind not in MODELS:
        raise InputError("not a Sequential or functional model", found=kind)
    if not isinstance(options.get("layers"), list) or not options["layers"]:
        raise InputError("a damaged file", found="a model without layers")
    build = _sequential if kind == "Sequential" else _functional
    model = build(options, weights, masks, shape)
    model.trainable = is_trainable(options)
    return model


def _sequential(options, weights, masks, shape):
    first, *others = options["layers"]
    if parts(first)[0] == "InputLayer":
        x = input_of(parts(first)[1])
    else:
        told = {**_told(first), "name": f"{name_of(parts(first)[1])}_input"}
        x = input_of(told, options.get("build_input_shape", shape))
        others = [first, *others]
    layers = [x]
    for config in others:
        layer = _Layer(config, weights)
        x = layer.call([x], {}, masks)
        layers += layer.made.layers
    return keras.Sequential(layers, name=plain_name(options))


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
        self.name = name_of(parts(config)[1])
        self.kind, self.config, self.stored = kind_of(config), config, weights.pop(self.name, [])
        self.made = None

    def call(self, inputs: Sequence[keras.KerasTensor], arguments: dict, masks: Masks):
        """Its output. arguments: of the call in Keras 2, beside its inputs."""
        try:
            arguments = masks.to_give(self.kind, inputs) | arguments
            output = self._call(inputs, arguments)
            masks.follow(self.kind, self.made.layers[-1], inputs, output)
        except InputError as error:
            if str(error).startswith("layer "):
                raise
            raise InputError(f"layer {self.name!r}: {error}") from error
        except (Exception, MemoryError) as error:  # Keras raises many kinds
            reason = f"layer {self.name!r}: Keras 3 refuses it: {reason_of(error)}"
            raise InputError(reason) from error
        if self.made.hides:
            masks.hide(output)
        return output

    def _call(self, inputs, arguments):
        x, shape = inputs[0] if len(inputs) == 1 else list(inputs), inputs[0].shape
        if self.kind in RECURRENT and len(inputs) > 1:
            x, *arguments["initial_state"] = inputs
        if self.made is not None:
            return _called(self.made.layers, x, arguments)
        self.made = _made(self.config, self.stored, shape)
        layer = self.made.layers[-1]
        if getattr(layer, "stateful", False):
            check_memory("states", 8 * (shape[0] or 1) * parts(self.config)[1].get("units", 1))
        with given(layer, self.made.weights):
            return _called(self.made.layers, x, arguments)


def _called(layers, x, arguments):
    *first, last = layers
    for layer in first:
        x = layer(x)
    return last(x, **arguments)


class _Made(NamedTuple):
    """A layer that is not yet built, with one before it perhaps, and the weights of the last.

    hides: whether it makes a mask of its own.
    """

    layers: list[keras.layers.Layer]
    weights: list[np.ndarray]
    hides: bool = False


def _made(config, stored, shape):
    """The layer of a config. shape: of its input, the batch first."""
    kind, (_, options) = kind_of(config), parts(config)
    values = [value for _, value in stored]
    if kind in MODELS:
        made = _nested(config, stored, shape)
    elif kind == "TimeDistributed":
        made = _at_each_step(options, stored, shape)
    elif kind == "Bidirectional":
        made = _bidirectional(options, values)
    else:
        made = _single(kind, options_of(kind, config), values)
    made.layers[-1].trainable = is_trainable(options)
    return made


def _single(kind, options, values):
    layers = [getattr(keras.layers, kind)(**options)]
    if kind == "Activation" and options["activation"] == "hard_sigmoid":
        layers.insert(0, keras.layers.Rescaling(SLOPE, name=f"{options['name']}_slope"))
    return _Made(layers, arranged(kind, options, values))


def _at_each_step(options, stored, shape):
    inner = _made(options.get("layer"), stored, (shape[0], *shape[2:]))
    layer = inner.layers[0] if len(inner.layers) == 1 else keras.Sequential(inner.layers)
    if isinstance(layer, keras.layers.Masking) or getattr(layer, "mask_zero", 0) or inner.hides:
        raise InputError("a mask made at each step, which Keras 3 does not hand on")
    layer = keras.layers.TimeDistributed(layer, **common("TimeDistributed", options))
    return _Made([layer], inner.weights)


def _bidirectional(options, values):
    layers, weights, half = {}, [], len(values) // 2
    for key, part in (("layer", values[:half]), ("backward_layer", values[half:])):
        config = options.get(key) or options.get("layer")
        if kind_of(config) not in RECURRENT[:-1]:
            raise InputError(f"layer {options.get('name')!r}: no recurrent layer in it")
        inner = _made(config, [("", value) for value in part], ())
        weights += inner.weights
        if options.get(key):
            layers[key] = inner.layers[-1]
    merge = {"merge_mode": options["merge_mode"]} if "merge_mode" in options else {}
    layer = keras.layers.Bidirectional(**layers, **merge, **common("Bidirectional", options))
    return _Made([layer], weights)


def _nested(config, stored, shape):
    """A model in a model.

    The names of its weights, which Keras 2 saves in one list, begin with those of its layers.
    """
    layers = parts(config)[1].get("layers") or []
    owners = [(inner, name_of(parts(one)[1])) for one in layers for inner in _names(one)]
    weights, masks = {}, Masks()
    for name, value in stored:
        places = [(f"/{name}".find(f"/{inner}/"), inner != owner, owner) for inner, owner in owners]
        owner = min((place for place in places if place[0] >= 0), default=(0, 0, ""))[-1]
        weights.setdefault(owner, []).append((name, value))
    model = _model(config, weights, masks, shape)
    if weights:
        raise InputError("weights of layers that the model lacks", found=str(weights.popitem()[0]))
    return _Made([model], [], any(masks.of(x) is not None for x in model.outputs))


def _names(config):
    """The names of a layer and of all layers in it."""
    options = parts(config)[1]
    inner = [*(options.get("layers") or []), options.get("layer") or options.get("backward_layer")]
    return [name_of(options), *(name for one in inner if one for name in _names(one))]


class _Call(NamedTuple):
    """A call of a layer in the graph of a functional model: ``node`` as Keras 2 saves it."""

    name: str
    number: int
    node: list


def _functional(options, weights, masks, _):
    layers, tensors, calls = {}, {}, []
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
    return keras.Model(*ends, name=plain_name(options))


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
    other = [key for key in arguments if key not in known and arguments[key] not in (None, False)]
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
