"""Copies of a model with other recurrent layers: native, for an export, or Keras's own.

The model that is copied, its layers and its weights, stays as it is.
"""

from __future__ import annotations

import contextlib

import keras

from kerasrnn import options
from kerasrnn.errors import InputError
from kerasrnn.layers import portable, recurrent
from kerasrnn.layers.bidirectional import Bidirectional
from kerasrnn.layers.sequence import LengthMask

_KINDS = ("LSTM", "GRU", "SimpleRNN")
_STOCK = [getattr(keras.layers, kind) for kind in (*_KINDS, "Bidirectional")]
_NATIVE = [*(getattr(recurrent, kind) for kind in _KINDS), Bidirectional]
_PORTABLE = [*(getattr(portable, f"Portable{kind}") for kind in _KINDS), Bidirectional]


def with_native_layers(model: keras.Model) -> keras.Model:
    """A copy of a model with this package's recurrent layers in place of Keras's.

    Returns:
        A model with the same names, weights and ``compile`` options; ``model`` itself where
        it has no such layer, or is neither sequential nor functional.

    >>> import keras
    >>> from kerasrnn import layers
    >>> model = keras.Sequential([keras.Input((28, 28)), keras.layers.LSTM(4)])
    >>> isinstance(layers.with_native_layers(model).layers[0], layers.LSTM)
    True
    """
    if not _names_in(model) & set(map(_name, _STOCK)):
        return model
    return _clone(model, _to(_NATIVE))


def keras_clone(model: keras.Model) -> keras.Model:
    """A copy of a model with Keras's recurrent layers in place of this package's.

    For what the native loop does not give: second derivatives, and converters that trace a
    ``tf.function``. Its layers carry their mask, as this package's do.

    Returns:
        An uncompiled model with the same names and weights.

    Raises:
        InputError: the model is neither sequential nor functional.

    >>> import keras
    >>> from kerasrnn import layers
    >>> model = keras.Sequential([keras.Input((28, 28)), layers.LSTM(4)])
    >>> type(layers.keras_clone(model).layers[-1]) is keras.layers.LSTM
    True
    """
    return _clone(_uncompiled(model), _to(_STOCK))


def for_export(model: keras.Model, *, lengths: bool = False) -> keras.Model:
    """A copy of a model whose recurrent layers run on any device, to be traced for a file.

    Each LSTM and GRU takes cuDNN where the file is run on a GPU (``engine.portable``). Masks
    must be those of padding on the right.

    Args:
        model: a sequential or functional model.
        lengths: the copy takes ``[x, lengths]``, lengths int32 (batch,), and no step after
            the length of a sequence counts. For a model of one input without a mask.

    Returns:
        An uncompiled model with the same weights.

    Raises:
        InputError: the model is neither sequential nor functional.

    >>> import numpy as np
    >>> from kerasrnn import build_infiller, layers
    >>> model = layers.for_export(build_infiller(9, units=4), lengths=True)
    >>> model([np.array([[3, 4, 0, 0]]), np.array([2])]).shape
    TensorShape([1, 4, 9])
    """
    model = _uncompiled(model)
    if not lengths:
        return _clone(model, _to(_PORTABLE))
    masked = {keras.layers.Embedding: portable.PassingEmbedding}
    (x,) = model.inputs
    x = keras.Input(x.shape[1:], dtype=x.dtype, name=x.name)
    steps = keras.Input((), dtype="int32", name="lengths")
    copy = _clone(model, _to(_PORTABLE) | masked)
    copy.supports_masking = True
    return keras.Model([x, steps], copy(LengthMask()([x, steps])))


def in_float32(model: keras.Model) -> keras.Model:
    """A copy of a model of mixed precision that computes in float32; of another the model itself.

    >>> from kerasrnn import build_generator, layers
    >>> model = layers.in_float32(build_generator(9, precision="mixed_float16"))
    >>> {layer.compute_dtype for layer in model.layers}
    {'float32'}
    """
    of_model = [layer for layer in layers_in(model) if isinstance(layer, keras.layers.Layer)]
    if any(layer.dtype_policy.name in options.MIXED for layer in of_model):
        return _clone(_uncompiled(model), {}, _whole)
    return model


def layers_in(model: keras.Model) -> list[keras.Layer]:
    """The layers of a model, those of the models in it in their place.

    >>> import keras
    >>> from kerasrnn import layers
    >>> inner = keras.Sequential([keras.Input((2,)), keras.layers.ReLU()])
    >>> outer = keras.Sequential([keras.Input((2,)), inner, keras.layers.Softmax()])
    >>> [type(layer).__name__ for layer in layers.layers_in(outer)]
    ['ReLU', 'Softmax']
    """
    found = []
    for layer in model.layers:
        found += layers_in(layer) if isinstance(layer, keras.Model) else [layer]
    return found


def _to(kinds):
    """Which class takes the place of which."""
    return dict(zip([*_STOCK, *_NATIVE], [*kinds, *kinds], strict=True))


def _uncompiled(model):
    """The same layers as a functional model without optimizer and loss, which may not be copied."""
    try:
        if isinstance(model, keras.Sequential):
            return keras.Model(model.inputs[0], model.outputs[0], name=model.name)
        return keras.Model(model.input, model.output, name=model.name)
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(
            "a model that cannot be copied",
            found=type(model).__name__,
            expected="a built Sequential or functional model",
        ) from error


def _clone(model, kinds, change=lambda config: config):
    """A copy with layers of other kinds, ``{class: class}``, and the same weights.

    change: what to make of the config of each.
    """
    pairs, by_name = [], {_name(old): new for old, new in kinds.items()}

    def twin(layer):
        kind = kinds.get(type(layer), type(layer))
        copy = kind.from_config(change(_replaced(layer.get_config(), by_name)))
        for old, new in zip(_directions(layer), _directions(copy), strict=True):
            new.supports_masking = True
            if hasattr(old, "use_cudnn"):  # which no config holds
                new.use_cudnn = old.use_cudnn
        pairs.append((layer, copy))
        return copy

    try:
        clone = keras.models.clone_model(model, clone_function=twin, recursive=True)
    except ValueError:
        if pairs:
            raise
        return model  # Keras copies no layers of a subclassed model
    for layer, copy in pairs:
        if isinstance(layer, keras.layers.Layer):  # not an operation like x[:, 0]
            copy.set_weights(layer.get_weights())
        if isinstance(copy, keras.layers.Normalization):
            copy.finalize_state()  # what it computes from its weights
    return clone


def _directions(layer):
    """The recurrent layers in one, itself included."""
    if isinstance(layer, keras.layers.Bidirectional):
        return [layer, layer.forward_layer, layer.backward_layer]
    return [layer] if isinstance(layer, keras.layers.RNN) else []


def _name(kind):
    """How a saved config names a class."""
    registered = keras.saving.get_registered_name(kind)
    return registered if ">" in registered else f"keras.layers>{kind.__name__}"


def _replaced(config, by_name):
    """A config with other classes in place of some, however deep they stand in it."""
    if isinstance(config, (list, tuple)):
        return type(config)(_replaced(value, by_name) for value in config)
    if not isinstance(config, dict):
        return config
    config = {key: _replaced(value, by_name) for key, value in config.items()}
    kind = by_name.get(config.get("registered_name") or _config_name(config))
    if kind is None:
        return config
    config.pop("build_config", None)  # the layer around it builds it
    stock = kind.__module__.startswith("keras.")
    return config | {
        "module": "keras.layers" if stock else kind.__module__,
        "class_name": kind.__name__,
        "registered_name": None if stock else keras.saving.get_registered_name(kind),
    }


def _whole(config):
    """A config with float32 in place of mixed precision, however deep it stands in it."""
    if isinstance(config, (list, tuple)):
        return type(config)(map(_whole, config))
    if not isinstance(config, dict):
        return "float32" if config in options.MIXED else config
    return {key: _whole(value) for key, value in config.items()}


def _config_name(config):
    return f"{config.get('module')}>{config.get('class_name')}"


def _names_in(model):
    """The names of all classes in a model's config."""
    names = set()

    def visit(config):
        if isinstance(config, dict):
            names.add(config.get("registered_name") or _config_name(config))
            config = list(config.values())
        if isinstance(config, (list, tuple)):
            for value in config:
                visit(value)

    with contextlib.suppress(NotImplementedError):  # of a subclassed model
        visit(model.get_config())
    return names
