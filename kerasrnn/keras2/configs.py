"""Which layers of Keras 2 are known, and their options as those of Keras 3."""

from __future__ import annotations

import keras

from kerasrnn.errors import InputError

MODELS = ("Sequential", "Functional", "Model")
RECURRENT = ("LSTM", "GRU", "SimpleRNN", "ConvLSTM1D", "ConvLSTM2D", "Bidirectional")
WRAPPERS = ("Bidirectional", "TimeDistributed")
_ALIASES = {  # names that a layer had for a while, or where it needed a GPU
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "CuDNNGRU": "GRU",
    "CuDNNLSTM": "LSTM",
    "UnifiedGRU": "GRU",
    "UnifiedLSTM": "LSTM",
}
_RNN = """activation use_bias return_sequences return_state go_backwards stateful dropout
recurrent_dropout zero_output_for_mask"""
_GATED = f"{_RNN} recurrent_activation"
_CONV = """filters kernel_size strides padding data_format dilation_rate activation use_bias
output_padding depth_multiplier"""
_KNOWN = {  # options that count, by layer
    "LSTM": f"units {_GATED} unit_forget_bias",
    "GRU": f"units {_GATED} reset_after",
    "SimpleRNN": f"units {_RNN}",
    "ConvLSTM1D ConvLSTM2D": f"{_CONV} {_GATED} unit_forget_bias",
    "Dense": "units activation use_bias",
    "Embedding": "input_dim output_dim mask_zero",
    "Masking": "mask_value",
    "Dropout AlphaDropout": "rate noise_shape seed",
    "SpatialDropout1D GaussianDropout": "rate seed",
    "GaussianNoise": "stddev seed",
    "ActivityRegularization": "l1 l2",
    "Activation": "activation",
    "Softmax": "axis",
    "ReLU": "max_value negative_slope threshold",
    "LeakyReLU ELU": "alpha",
    "PReLU": "shared_axes",
    "Flatten": "data_format",
    "Reshape": "target_shape",
    "Permute": "dims",
    "RepeatVector": "n",
    "BatchNormalization": "axis momentum epsilon center scale",
    "LayerNormalization": "axis epsilon center scale",
    "Attention": "use_scale score_mode dropout",
    "AdditiveAttention": "use_scale dropout",
    "Add Subtract Multiply Average Maximum Minimum": "",
    "Concatenate": "axis",
    "Dot": "axes normalize",
    "Conv1D Conv2D": f"{_CONV} groups",
    "SeparableConv1D SeparableConv2D Conv1DTranspose": _CONV,
    "MaxPooling1D AveragePooling1D MaxPooling2D": "pool_size strides padding data_format",
    "GlobalMaxPooling1D GlobalAveragePooling1D": "data_format keepdims",
    "GlobalMaxPooling2D GlobalAveragePooling2D": "data_format keepdims",
    "UpSampling1D": "size",
    "Cropping1D": "cropping",
    "ZeroPadding1D": "padding data_format",
}
LAYERS = {kind: set(known.split()) for kinds, known in _KNOWN.items() for kind in kinds.split()}
_WITHOUT_EFFECT = {  # on what a trained model answers
    *("batch_input_shape", "input_shape", "input_dtype", "input_length", "implementation"),
    *("unroll", "fused", "renorm_clipping", "renorm_momentum", "virtual_batch_size"),
}
_NEEDED = {"activation", "recurrent_activation"}  # whose defaults have changed
_NEW_NAMES = {("LeakyReLU", "alpha"): "negative_slope"}
_ACTIVATIONS = {
    *("linear", "tanh", "sigmoid", "hard_sigmoid", "relu", "relu6", "leaky_relu", "elu", "selu"),
    *("gelu", "softmax", "softplus", "softsign", "swish", "exponential", "mish"),
}
_FLOATS = ("float16", "bfloat16", "float32", "float64", "mixed_float16", "mixed_bfloat16")
_INTEGERS = ("bool", "uint8", "int8", "int16", "int32", "int64")
_PENALTIES = {  # of training
    "regularizer": (keras.regularizers, ("L1", "L2", "L1L2")),
    "constraint": (keras.constraints, ("MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm")),
}


def parts(config) -> tuple[str, dict]:
    """The class and the options of a layer or a model.

    >>> parts({"class_name": "CuDNNLSTM", "config": {"name": "lstm", "units": 4}})
    ('CuDNNLSTM', {'name': 'lstm', 'units': 4})
    """
    config = config if isinstance(config, dict) else {}
    kind, options = config.get("class_name"), config.get("config")
    if kind == "Sequential" and isinstance(options, list):  # before Keras 2.2.3
        options = {"layers": options}
    if not isinstance(kind, str) or not isinstance(options, dict):
        raise InputError("a damaged file", found="a layer without class and options")
    return kind, options


def kind_of(config) -> str:
    """The class in Keras 3 of a layer. Raises ``InputError`` where it is not known."""
    kind, options = parts(config)
    kind = _ALIASES.get(kind, kind)
    if kind not in LAYERS and kind not in WRAPPERS and kind not in MODELS:
        function = options.get("function")  # of an operation
        raise InputError(
            f"layer {options.get('name')!r}: a layer that cannot be converted",
            found=f"{kind} {function}" if isinstance(function, str) else kind,
            fix="it may hold code; load the model in Keras 2, with tf-keras, and replace it",
        )
    return kind


def name_of(options: dict) -> str:
    """The name of a layer. Raises ``InputError`` where it has none."""
    name = options.get("name")
    if not isinstance(name, str) or not name:
        raise InputError("a damaged file", found="a layer without a name")
    return name


def options_of(kind: str, config: dict) -> dict:
    """The options of a known layer as Keras 3 takes them.

    Initial values of weights are left out, as are choices of how to compute.

    Raises:
        InputError: an option that cannot be converted, or a value that is none.

    >>> config = {"name": "rnn", "units": 4, "activation": "tanh", "time_major": False}
    >>> options_of("SimpleRNN", {"class_name": "SimpleRNN", "config": config})
    {'name': 'rnn', 'dtype': None, 'units': 4, 'activation': 'tanh'}
    """
    original, given = parts(config)
    options = common(kind, given)
    for key, value in given.items():
        end = key.rsplit("_")[-1]
        if key in ("trainable", *options, *_WITHOUT_EFFECT) or end == "initializer":
            continue
        if key in LAYERS[kind]:
            options[_NEW_NAMES.get((kind, key), key)] = _value(kind, given, key)
        elif end in _PENALTIES and value is not None:
            options[key] = _penalty(given, key, *_PENALTIES[end])
        elif not (value is None or value is False or (key, value) == ("groups", 1)):  # not off
            raise _unknown(given, key)
    missing = LAYERS[kind] & _NEEDED - given.keys()
    if missing and not original.startswith("CuDNN"):
        raise InputError(f"layer {given['name']!r}: an option is missing", found=min(missing))
    if kind == "GRU":
        options.setdefault("reset_after", original == "CuDNNGRU")  # Keras 3 has another default
    return options


def common(kind: str, given: dict) -> dict:
    """The options that every layer has."""
    dtype = given.get("dtype")
    if isinstance(dtype, dict) and isinstance(dtype.get("config"), dict):  # a policy
        dtype = dtype["config"].get("name")
    if kind == "Embedding" and dtype in _INTEGERS:  # once that of its input
        dtype = None
    if dtype is not None and dtype not in _FLOATS:
        raise _unknown(given, "dtype")
    return {"name": plain_name(given), "dtype": dtype}


def plain_name(given: dict) -> str | None:
    """The name of a layer or a model, if it has one, without slashes, which Keras 3 refuses."""
    return name_of(given).replace("/", "_") if given.get("name") is not None else None


def is_trainable(given: dict) -> bool:
    """Whether a layer or a model learns."""
    trainable = given.get("trainable", True)
    if not isinstance(trainable, bool):
        raise _unknown(given, "trainable")
    return trainable


def input_of(given: dict, shape: list | None = None) -> keras.KerasTensor:
    """An input, of the options of an InputLayer, or those of a model's first layer."""
    shape, dtype = given.get("batch_input_shape", shape), given.get("dtype") or "float32"
    if isinstance(dtype, dict):  # a policy, of a first layer
        dtype = "float32"
    if dtype not in (*_FLOATS[:4], *_INTEGERS):
        raise _unknown(given, "dtype")
    if given.get("sparse") or given.get("ragged"):
        raise _unknown(given, "sparse" if given.get("sparse") else "ragged")
    if not isinstance(shape, (list, tuple)) or not shape or not all(map(_is_size, shape)):
        raise _unknown({**given, "batch_input_shape": shape}, "batch_input_shape")
    return keras.Input(batch_shape=shape, dtype=dtype, name=plain_name(given))


def _is_size(size):
    return size is None or (type(size) is int and size > 0)


def _value(kind, given, key):
    """A value that has the form of an option's: a number, a word, a flag, or numbers."""
    value = given[key]
    if key.endswith("activation"):
        return _activation(given, key)
    if kind == "BatchNormalization" and key == "axis" and isinstance(value, list):
        (value,) = value if len(value) == 1 else (None,)
    if isinstance(value, list):
        flat = [item for part in value for item in (part if isinstance(part, list) else [part])]
        if not all(item is None or type(item) is int for item in flat):
            raise _unknown(given, key)
        return tuple(tuple(part) if isinstance(part, list) else part for part in value)
    if not isinstance(value, (int, float, str, type(None))):
        raise _unknown(given, key)
    return value


def _activation(given, key):
    value = given[key] if given[key] is not None else "linear"
    if not isinstance(value, str) or value not in _ACTIVATIONS:
        raise InputError(
            f"layer {given.get('name')!r}: unknown {key}",
            found=repr(value),
            expected=", ".join(sorted(_ACTIVATIONS)),
        )
    return value


def _penalty(given, key, module, known):
    """A regularizer or a constraint."""
    kind, options = parts(given[key])
    numbers = all(isinstance(value, (int, float, list)) for value in options.values())
    if kind not in known or not numbers:
        raise _unknown(given, key)
    return getattr(module, kind)(**options)


def _unknown(given, key):
    return InputError(
        f"layer {given.get('name')!r}: an option that cannot be converted",
        found=f"{key}={given.get(key)!r}"[:200],
    )
