"""The recurrent stack that all builders share, and what lies between it and the input."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras

from kerasrnn.engine import native
from kerasrnn.errors import InputError, check_choice, check_memory, check_positive, check_range
from kerasrnn.layers import (
    GRU,
    LSTM,
    AttentionPooling,
    Bidirectional,
    FillMissing,
    FlipTime,
    InstanceScaling,
    LengthMask,
    MaskedAveragePooling1D,
    MaskedConv1D,
    OneHot,
    SequencePooling,
    SimpleRNN,
)
from kerasrnn.options import MOST_LAYERS, POOLINGS, PRECISIONS, STEMS

Units = int | Sequence[int]
InputShape = tuple[int | None, int] | None

CELLS = {"lstm": LSTM, "gru": GRU, "simple": SimpleRNN}
_BLOCKS = ((1, 8), (2, 5), (1, 3))  # of a stem: filters, of those of the first, and kernel size


def recurrent_stack(
    units: Units = 50,
    *,
    cell: str = "lstm",
    bidirectional: bool = True,
    go_backwards: bool = False,
    dropout: float = 0.2,
    precision: str | None = None,
    return_sequences: bool = False,
) -> list[keras.Layer]:
    """The layers of a recurrent stack: each cell layer, followed by its dropout.

    Feed it (batch, time, features), with a mask where lengths differ. The last layer gives
    its last state, (batch, units) or (batch, 2 · units), or with ``return_sequences`` all
    step outputs, (batch, time, …). The last state of a backward layer is the one at step 0,
    and masked steps change no state.

    Args:
        units: width of each layer: ``(64, 32)`` is two layers; an int is one.
        cell: ``"lstm"`` (Hochreiter & Schmidhuber 1997, with forget gate), ``"gru"`` (Cho et
            al. 2014, reset after the product) or ``"simple"`` (Elman 1990).
        bidirectional: read both ways and join the two (Schuster & Paliwal 1997).
        go_backwards: read from the last step to the first, in a stack of one direction.
        dropout: rate of outputs dropped after each layer while training, in [0, 1).
        precision: ``"float32"``; ``"mixed_bfloat16"`` or ``"mixed_float16"`` compute the recurrent
            layers in 16 bits, from weights of 32 (Micikevicius et al. 2018), for GPUs: a CPU is
            slower so. float16 needs a ``keras.optimizers.LossScaleOptimizer``. ``None`` for
            Keras's policy.
        return_sequences: give all steps of the last layer, not its last state.

    Raises:
        InputError: an argument outside what is said above, or a model larger than the memory.

    >>> [layer.name for layer in recurrent_stack((64, 32), cell="gru")]
    ['bidirectional_1', 'dropout_1', 'bidirectional_2', 'dropout_2']
    """
    check_choice("cell", cell, CELLS)
    if precision is not None:
        check_choice("precision", precision, PRECISIONS)
    units = _check_units(units, native.CELLS[cell].gates)
    check_range("dropout", dropout, 0, 1)
    if bidirectional and go_backwards:
        raise InputError(
            "go_backwards in a bidirectional stack, which reads both ways already",
            fix="choose bidirectional=False with go_backwards=True, or leave it out",
        )
    layers = []
    for depth, width in enumerate(units, 1):
        sequences = return_sequences or depth < len(units)
        layer = CELLS[cell](
            width,
            return_sequences=sequences,
            go_backwards=go_backwards,
            dtype=precision,
            name=f"{cell}_{depth}",
        )
        if bidirectional:
            layer = Bidirectional(layer, dtype=precision, name=f"bidirectional_{depth}")
        layers.append(layer)
        if go_backwards and sequences:
            layers.append(FlipTime(name=f"flip_{depth}"))
        if dropout:
            layers.append(keras.layers.Dropout(dropout, name=f"dropout_{depth}"))
    return layers


def _check_units(units, gates):
    widths = tuple(units) if isinstance(units, (tuple, list)) else (units,)
    if not widths or not all(isinstance(width, int) and width >= 1 for width in widths):
        raise InputError("bad units", found=units, expected="a positive int, or one for each layer")
    if len(widths) > MOST_LAYERS:
        raise InputError("too many layers", found=len(widths), expected=f"at most {MOST_LAYERS}")
    # the recurrent kernels alone, in float32
    check_memory("a model", 4 * gates * sum(width**2 for width in widths))
    return widths


def pooled_stack(
    units: Units,
    pooling: str,
    stem: str,
    stem_filters: int,
    stem_stride: int,
    **options,
) -> list[Callable]:
    """What makes a vector of the steps: the stem, the recurrent stack, and the pooling.

    These are layers; where the stem stands beside the stack, one function.
    """
    check_choice("pooling", pooling, POOLINGS)
    check_choice("stem", stem, STEMS)
    convolutions = stem_layers(stem, stem_filters, stem_stride, options["precision"])
    stack = recurrent_stack(units, return_sequences=pooling != "last", **options)
    if pooling == "attention":
        stack.append(AttentionPooling(name="pooling"))
    elif pooling != "last":
        stack.append(SequencePooling(pooling, name="pooling"))
    if stem != "fcn":
        return convolutions + stack
    if stem_stride > 1:
        stack.insert(0, MaskedAveragePooling1D(stem_stride, name="stride"))
    convolutions.append(SequencePooling("mean", name="stem_mean"))

    def beside(x):
        both = [apply(stack, [x]), apply(convolutions, [x])]
        return keras.layers.Concatenate(name="stack_and_stem")(both)

    return [beside]


def stem_layers(
    stem: str, filters: int, stride: int = 1, precision: str | None = None
) -> list[keras.Layer]:
    """The layers before or beside a recurrent stack: three convolutions, each with its norm.

    They are those of a fully convolutional network (Wang et al. 2017); the normalization counts
    real steps only. ``stride``: of the first, whose kernel is at least two of them wide.
    ``precision``: of the convolutions, as in ``recurrent_stack``.
    """
    if stem == "none":
        return []
    check_positive(stem_filters=filters, stem_stride=stride)
    layers = []
    for number, (times, size) in enumerate(_BLOCKS, 1):
        layers += [
            MaskedConv1D(
                times * filters,
                size if number > 1 else max(size, 2 * stride),
                stride if number == 1 else 1,
                use_bias=False,
                kernel_initializer="he_uniform",
                dtype=precision,
                name=f"conv_{number}",
            ),
            keras.layers.BatchNormalization(momentum=0.9, name=f"norm_{number}"),
            keras.layers.ReLU(name=f"relu_{number}"),
        ]
    return layers


def state_names(layer: keras.Layer) -> dict[str, int]:
    """Name and size of each state of a recurrent layer.

    ``lstm_1_h``, ``lstm_1_c``; of a bidirectional layer ``bidirectional_1_forward_h``, ….
    """
    both = isinstance(layer, keras.layers.Bidirectional)
    cell = (layer.forward_layer if both else layer).cell
    sizes = [cell.state_size] if isinstance(cell.state_size, int) else cell.state_size
    return {
        f"{layer.name}{side}_{letter}": size
        for side in (("_forward", "_backward") if both else ("",))
        for size, letter in zip(sizes, "hc", strict=False)
    }


def read_input(
    input_shape,
    vocabulary_size,
    embedding_dim,
    lengths,
    scaling,
    missing,
    instance_scaling=False,
    spread=1.0,
):
    """The Input tensors, and the layers between them and the stack."""
    if (input_shape is None) == (vocabulary_size is None):
        raise InputError(
            "the input is not clear",
            expected="input_shape=(time or None, features), or vocabulary_size= for token ids",
        )
    if vocabulary_size is not None:
        if lengths or missing or scaling is not None or instance_scaling:
            raise InputError(
                "lengths, missing, scaling and instance scaling are for sequences of numbers",
                fix="leave them out for token ids, of which 0 is padding",
            )
        return read_tokens(vocabulary_size, embedding_dim, mask_zero=True, spread=spread)
    if len(input_shape) != 2 or not input_shape[1]:
        raise InputError("bad input_shape", found=input_shape, expected="(time or None, features)")
    x = keras.Input(input_shape, name="x")
    inputs, layers = [x], [] if scaling is None else [scaling]
    if lengths:
        inputs.append(keras.Input((), dtype="int32", name="lengths"))
        layers.append(LengthMask(name="mask"))
    if missing:
        layers.append(FillMissing(name="fill_missing"))
    if instance_scaling:
        layers.append(InstanceScaling(name="instance_scaling"))
    return inputs, layers


def read_tokens(vocabulary_size, embedding_dim, mask_zero, spread=1.0):
    """The Input tensor of token ids, and the embedding; spread: of its initial values."""
    if not isinstance(vocabulary_size, int) or vocabulary_size < 2:
        raise InputError("bad vocabulary_size", found=vocabulary_size, expected="2 or more")
    ids = keras.Input((None,), dtype="int32", name="tokens")
    if not embedding_dim:
        return [ids], [OneHot(vocabulary_size, mask_zero, name="one_hot")]
    if not isinstance(embedding_dim, int) or embedding_dim < 1:
        raise InputError(
            "bad embedding_dim", found=embedding_dim, expected="a positive int, or None for one-hot"
        )
    # Keras's own initial values, within ±0.05, cost a small model its first epoch.
    layer = keras.layers.Embedding(
        vocabulary_size,
        embedding_dim,
        embeddings_initializer=keras.initializers.RandomNormal(stddev=spread),
        mask_zero=mask_zero,
        name="embedding",
    )
    return [ids], [layer]


def assemble(inputs, layers, functional):
    plain = all(isinstance(layer, keras.Layer) for layer in layers)
    if plain and not functional and len(inputs) == 1:
        return keras.Sequential([*inputs, *layers])
    return keras.Model(inputs[0] if len(inputs) == 1 else inputs, apply(layers, inputs))


def apply(layers, inputs):
    outputs = inputs[0]
    for layer in layers:
        arguments = [outputs, inputs[1]] if isinstance(layer, LengthMask) else outputs
        outputs = layer(arguments)
    return outputs
