"""Builders: one recurrent stack, one softmax head, plain uncompiled ``keras.Model``s.

To repeat a model, call ``keras.utils.set_random_seed(seed)`` before the builder, as for any
Keras model: the Sequential and the functional style then hold the same weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras

from kerasrnn.errors import InputError, check_choice, check_memory, check_positive, check_range
from kerasrnn.layers import (
    GRU,
    LSTM,
    Bidirectional,
    CharacterEncoder,
    FlipTime,
    LengthMask,
    MaskOf,
    OneHot,
    SequencePooling,
    SimpleRNN,
    ZeroPadding,
)
from kerasrnn.options import POOLINGS

Units = int | Sequence[int]
InputShape = tuple[int | None, int] | None

CELLS = {"lstm": LSTM, "gru": GRU, "simple": SimpleRNN}
_MOST_LAYERS = 64


def recurrent_stack(
    units: Units = 50,
    *,
    cell: str = "lstm",
    bidirectional: bool = True,
    go_backwards: bool = False,
    dropout: float = 0.2,
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
        return_sequences: give all steps of the last layer, not its last state.

    Raises:
        InputError: an argument outside what is said above, or a model larger than the memory.

    >>> [layer.name for layer in recurrent_stack((64, 32), cell="gru")]
    ['bidirectional_1', 'dropout_1', 'bidirectional_2', 'dropout_2']
    """
    units = _check_units(units)
    check_choice("cell", cell, CELLS)
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
            width, return_sequences=sequences, go_backwards=go_backwards, name=f"{cell}_{depth}"
        )
        if bidirectional:
            layer = Bidirectional(layer, name=f"bidirectional_{depth}")
        layers.append(layer)
        if go_backwards and sequences:
            layers.append(FlipTime(name=f"flip_{depth}"))
        if dropout:
            layers.append(keras.layers.Dropout(dropout, name=f"dropout_{depth}"))
    return layers


def build_classifier(
    input_shape: InputShape = None,
    *,
    num_classes: int,
    units: Units = 50,
    cell: str = "lstm",
    bidirectional: bool = True,
    go_backwards: bool = False,
    dropout: float = 0.2,
    pooling: str = "last",
    vocabulary_size: int | None = None,
    embedding_dim: int | None = 64,
    lengths: bool = False,
    scaling: keras.Layer | None = None,
    activation: str | None = "softmax",
    functional: bool = False,
) -> keras.Model:
    """One label per sequence: input → recurrent stack → pooling → Dense.

    The model is uncompiled and learns from integer targets (batch,) with
    ``"sparse_categorical_crossentropy"``; it returns (batch, num_classes).

    Args:
        input_shape: ``(time or None, features)`` of float sequences.
        num_classes: number of labels, at least 2.
        vocabulary_size: for token ids (batch, time) instead of floats, padded on the right
            with id 0; ids are below ``vocabulary_size``.
        embedding_dim: width of the token embedding; ``None`` or 0 for one-hot vectors.
        lengths: float sequences of unequal length, padded on the right: the model then takes
            ``[x, lengths]`` with lengths int (batch,), and what the padding holds never
            counts. Two inputs make it functional, whatever ``functional`` says.
        scaling: a ``keras.layers.Normalization`` or ``Rescaling`` layer for raw float input.
        pooling: ``"last"`` state of each direction, or ``"mean"`` or ``"max"`` over the steps.
        activation: ``"softmax"`` for probabilities, ``None`` for logits.
        functional: a functional model instead of a ``keras.Sequential``; same weights.
        units, cell, bidirectional, go_backwards, dropout: see ``recurrent_stack``.

    Raises:
        InputError: an argument outside what is said above.

    >>> model = build_classifier((28, 28), num_classes=10, units=(50, 50))
    >>> model.output_shape
    (None, 10)
    """
    _check_classes(num_classes)
    check_choice("pooling", pooling, POOLINGS)
    inputs, layers = _read_input(input_shape, vocabulary_size, embedding_dim, lengths, scaling)
    layers += recurrent_stack(
        units,
        cell=cell,
        bidirectional=bidirectional,
        go_backwards=go_backwards,
        dropout=dropout,
        return_sequences=pooling != "last",
    )
    if pooling != "last":
        layers.append(SequencePooling(pooling, name="pooling"))
    layers.append(keras.layers.Dense(num_classes, activation=activation, name="head"))
    return _assemble(inputs, layers, functional)


def build_tagger(
    input_shape: InputShape = None,
    *,
    num_labels: int,
    units: Units = 50,
    cell: str = "lstm",
    bidirectional: bool = True,
    go_backwards: bool = False,
    dropout: float = 0.2,
    vocabulary_size: int | None = None,
    embedding_dim: int | None = 64,
    character_vocabulary_size: int | None = None,
    character_units: int = 64,
    lengths: bool = False,
    scaling: keras.Layer | None = None,
    activation: str | None = "softmax",
    functional: bool = False,
) -> keras.Model:
    """A label at each step: input → recurrent stack → Dense at each step.

    The model is uncompiled and learns from integer targets (batch, time) with
    ``"sparse_categorical_crossentropy"``; it returns (batch, time, num_labels). Padded steps
    change nothing at the others; give them weight 0.

    Args:
        input_shape: ``(time or None, features)`` of float sequences.
        num_labels: number of labels, at least 2.
        vocabulary_size, embedding_dim: token ids (batch, time) instead of floats, as in
            ``build_classifier``.
        character_vocabulary_size: number of ids of characters: the model then takes ``[tokens,
            characters]``, with the ids of each token's characters (batch, time, characters),
            padded with 0, and joins what they give (``layers.CharacterEncoder``) to the
            embedding. Two inputs make it functional, whatever ``functional`` says.
        character_units: width of a token composed from its characters.
        lengths, scaling, activation, functional: as in ``build_classifier``.
        units, cell, bidirectional, go_backwards: see ``recurrent_stack``.
        dropout: as there, and also before the first layer.

    Raises:
        InputError: an argument outside what is said above.

    >>> build_tagger(num_labels=5, vocabulary_size=1000).output_shape
    (None, None, 5)
    """
    _check_classes(num_labels)
    if character_vocabulary_size is not None and vocabulary_size is None:
        raise InputError("character_vocabulary_size without tokens", fix="give vocabulary_size too")
    inputs, layers = _read_input(input_shape, vocabulary_size, embedding_dim, lengths, scaling)
    stacked = recurrent_stack(
        units,
        cell=cell,
        bidirectional=bidirectional,
        go_backwards=go_backwards,
        dropout=dropout,
        return_sequences=True,
    )
    if dropout:
        stacked.insert(0, keras.layers.Dropout(dropout, name="dropout_0"))
    stacked.append(keras.layers.Dense(num_labels, activation=activation, name="head"))
    if character_vocabulary_size is None:
        return _assemble(inputs, layers + stacked, functional)
    spelling = keras.Input((None, None), dtype="int32", name="characters")
    composed = CharacterEncoder(character_vocabulary_size, character_units, name="spelling")(
        spelling
    )
    x = keras.layers.Concatenate(name="joined")([layers[0](inputs[0]), composed])
    for layer in stacked:
        x = layer(x)
    return keras.Model([*inputs, spelling], x)


def build_infiller(
    vocabulary_size: int,
    *,
    units: Units = 50,
    cell: str = "lstm",
    bidirectional: bool = True,
    go_backwards: bool = False,
    dropout: float = 0.2,
    embedding_dim: int | None = 64,
    activation: str | None = "softmax",
    functional: bool = False,
) -> keras.Model:
    """The hidden tokens, from both sides: token ids → recurrent stack → Dense at each step.

    The model is uncompiled; it takes ids (batch, time) in which some are replaced by that of
    a mask token, and returns (batch, time, vocabulary_size). Targets are the ids without the
    mask, with ``"sparse_categorical_crossentropy"`` and weight 1 only where they are hidden
    (Taylor 1953; Devlin et al. 2019).

    Args:
        vocabulary_size: number of tokens, the mask included, at least 2.
        embedding_dim: width of the token embedding; ``None`` or 0 for one-hot vectors.
        activation: ``"softmax"`` for probabilities, ``None`` for logits.
        functional: a functional model instead of a ``keras.Sequential``; same weights.
        units, cell, bidirectional, go_backwards, dropout: see ``recurrent_stack``.

    Raises:
        InputError: an argument outside what is said above.

    >>> build_infiller(100, units=32).output_shape
    (None, None, 100)
    """
    inputs, layers = _read_tokens(vocabulary_size, embedding_dim, mask_zero=False)
    layers += recurrent_stack(
        units,
        cell=cell,
        bidirectional=bidirectional,
        go_backwards=go_backwards,
        dropout=dropout,
        return_sequences=True,
    )
    layers.append(keras.layers.Dense(vocabulary_size, activation=activation, name="head"))
    return _assemble(inputs, layers, functional)


def build_encoder(
    input_shape: InputShape = None,
    *,
    units: Units = 50,
    cell: str = "lstm",
    bidirectional: bool = True,
    go_backwards: bool = False,
    dropout: float = 0.2,
    vocabulary_size: int | None = None,
    embedding_dim: int | None = 64,
    lengths: bool = False,
    scaling: keras.Layer | None = None,
    initial_states: bool = False,
    projection: int | None = None,
    from_cells: bool = False,
) -> keras.Model:
    """Features of a sequence: all step outputs and the final state of every layer and direction.

    The model is uncompiled and functional; it returns ``[outputs, *states]``: outputs (batch,
    time, width), zero in the padding, and the states (batch, units) layer by layer, forward
    before backward, h before c. Of a two-layer bidirectional LSTM these are eight: forward h,
    forward c, backward h, backward c of the first layer, then of the second. ``"gru"`` and
    ``"simple"`` have h only, a stack of one direction has that direction only. A backward
    state is the one at step 0. Width is that of the last layer, of both directions joined.

    Args:
        input_shape, vocabulary_size, embedding_dim, lengths, scaling: see ``build_classifier``.
        initial_states: start from given states instead of zeros: the model then takes
            ``[x, *states]`` (or ``[x, lengths, *states]``), in the order of the final states.
        projection: width of a linear map without bias, one for each layer and direction,
            that the outputs go through before the directions are joined; the states stay as
            they are. ``None`` for none.
        from_cells: make the layers of Keras's cells, such as ``keras.layers.LSTMCell``, each
            wrapped in a ``keras.layers.RNN``; the weights are the same in the same order.
        units, cell, bidirectional, go_backwards, dropout: see ``recurrent_stack``.

    Raises:
        InputError: an argument outside what is said above.

    >>> outputs, forward, backward = build_encoder((3, 10), cell="gru", units=20).outputs
    >>> outputs.shape, forward.shape, backward.shape
    ((None, 3, 40), (None, 20), (None, 20))
    """
    if projection is not None:
        check_positive(projection=projection)
    inputs, layers = _read_input(input_shape, vocabulary_size, embedding_dim, lengths, scaling)
    outputs, given, final = _apply(layers, inputs), [], []
    padded = lengths or vocabulary_size is not None
    # Beside initial states Keras hands a layer no mask of its own accord.
    mask = MaskOf(name="mask_of_steps")(outputs) if padded and initial_states else None
    for layer in recurrent_stack(
        units,
        cell=cell,
        bidirectional=bidirectional,
        go_backwards=go_backwards,
        dropout=dropout,
        return_sequences=True,
    ):
        if not isinstance(layer, (keras.layers.RNN, keras.layers.Bidirectional)):
            outputs = layer(outputs)
            continue
        twin = _return_states(layer, from_cells, joined=projection is None)
        sizes = _state_sizes(twin)
        states = [keras.Input((size,), name=name) for name, size in sizes.items()]
        start = {"initial_state": states, "mask": mask} if initial_states else {}
        results = twin(outputs, **start)
        outputs = _project(results[: -len(sizes)], projection, twin.name)
        given += states if initial_states else []
        final += results[-len(sizes) :]
    if padded:
        outputs = ZeroPadding(name="zero_padding")(outputs)
    inputs = [*inputs, *given]
    return keras.Model(inputs[0] if len(inputs) == 1 else inputs, [outputs, *final])


def _return_states(layer, from_cells, joined):
    """A recurrent layer like ``layer`` that gives all its outputs and its final states."""
    if isinstance(layer, keras.layers.Bidirectional):
        one = _return_states(layer.forward_layer, from_cells, joined)
        merge_mode = "concat" if joined else None
        return keras.layers.Bidirectional(one, merge_mode=merge_mode, name=layer.name)
    name = layer.name.removeprefix("forward_")  # which Bidirectional puts before it again
    options = {"return_sequences": True, "return_state": True, "name": name}
    if from_cells:
        return keras.layers.RNN(layer.cell, go_backwards=layer.go_backwards, **options)
    return type(layer).from_config({**layer.get_config(), **options})


def _state_sizes(layer):
    """Name and size of each state of a layer: ``lstm_1_h``, ``bidirectional_1_forward_c``, …"""
    both = isinstance(layer, keras.layers.Bidirectional)
    sizes = (layer.forward_layer if both else layer).state_size
    return {
        f"{layer.name}{side}_{letter}": size
        for side in (("_forward", "_backward") if both else ("",))
        for size, letter in zip(sizes, "hc", strict=False)
    }


def _project(directions, width, name):
    """The outputs of the directions joined, after a linear map of each where asked."""
    if width is None:
        return directions[0]
    sides = ("",) if len(directions) == 1 else ("_forward", "_backward")
    mapped = [
        keras.layers.Dense(width, use_bias=False, name=f"{name}{side}_projection")(outputs)
        for side, outputs in zip(sides, directions, strict=True)
    ]
    return mapped[0] if len(mapped) == 1 else keras.layers.Concatenate(name=f"{name}_join")(mapped)


def build_generator(
    vocabulary_size: int,
    *,
    units: Units = 50,
    cell: str = "lstm",
    bidirectional: bool = False,
    go_backwards: bool = False,
    dropout: float = 0.2,
    embedding_dim: int | None = 64,
    tied: bool = False,
    activation: str | None = "softmax",
    functional: bool = False,
) -> keras.Model:
    """The next token at each step: token ids → recurrent stack → Dense at each step.

    The model is uncompiled; it takes ids (batch, time) and returns (batch, time,
    vocabulary_size): at each step the probabilities of the token after it. Targets are the
    input shifted by one, with ``"sparse_categorical_crossentropy"``. It reads forwards only,
    so padding on the right changes nothing before it and no id is special.

    Args:
        vocabulary_size: number of tokens, at least 2.
        embedding_dim: width of the token embedding; ``None`` or 0 for one-hot vectors.
        tied: the head multiplies by the embedding's own matrix (Press & Wolf 2017), after a
            projection where the stack is not as wide: fewer weights where there are many
            words. Such a model is functional, whatever ``functional`` says.
        activation: ``"softmax"`` for probabilities, ``None`` for logits.
        functional: a functional model instead of a ``keras.Sequential``; same weights.
        units, cell, dropout: see ``recurrent_stack``.
        bidirectional, go_backwards: refused, with the reason.

    Raises:
        InputError: an argument outside what is said above.

    >>> build_generator(65, units=256).output_shape
    (None, None, 65)
    """
    if bidirectional or go_backwards:
        raise InputError(
            "a generator cannot read backwards: it would see the token that it is to predict",
            fix="leave the backward direction out; to fill blanks from both sides is another task",
        )
    inputs, layers = _read_tokens(vocabulary_size, embedding_dim, mask_zero=False)
    layers += recurrent_stack(
        units, cell=cell, bidirectional=False, dropout=dropout, return_sequences=True
    )
    if tied:
        return _tie(inputs[0], layers[1:], vocabulary_size, embedding_dim, activation)
    layers.append(keras.layers.Dense(vocabulary_size, activation=activation, name="head"))
    return _assemble(inputs, layers, functional)


def _tie(ids, stack, vocabulary_size, embedding_dim, activation):
    if not embedding_dim:
        raise InputError("a tied output without an embedding", fix="choose an embedding width")
    matrix = keras.layers.ReversibleEmbedding(vocabulary_size, embedding_dim, name="embedding")
    x = matrix(ids)
    for layer in stack:
        x = layer(x)
    if x.shape[-1] != embedding_dim:
        x = keras.layers.Dense(embedding_dim, use_bias=False, name="projection")(x)
    x = matrix(x, reverse=True)
    return keras.Model(ids, keras.layers.Activation(activation, name="head")(x))


def _check_classes(number):
    if not isinstance(number, int) or number < 2:
        raise InputError("too few classes", found=number, expected="an int of 2 or more")


def _check_units(units):
    widths = tuple(units) if isinstance(units, (tuple, list)) else (units,)
    if not widths or not all(isinstance(width, int) and width >= 1 for width in widths):
        raise InputError("bad units", found=units, expected="a positive int, or one for each layer")
    if len(widths) > _MOST_LAYERS:
        raise InputError("too many layers", found=len(widths), expected=f"at most {_MOST_LAYERS}")
    # the recurrent kernels of simple cells alone: more than that would be made in any case
    check_memory("a model", 4 * sum(width**2 for width in widths))
    return widths


def _read_input(input_shape, vocabulary_size, embedding_dim, lengths, scaling):
    """The Input tensors, and the layers between them and the stack."""
    if (input_shape is None) == (vocabulary_size is None):
        raise InputError(
            "the input is not clear",
            expected="input_shape=(time or None, features), or vocabulary_size= for token ids",
        )
    if vocabulary_size is not None:
        if lengths or scaling is not None:
            raise InputError("lengths and scaling are for float input; token id 0 is padding")
        return _read_tokens(vocabulary_size, embedding_dim, mask_zero=True)
    if len(input_shape) != 2 or not input_shape[1]:
        raise InputError("bad input_shape", found=input_shape, expected="(time or None, features)")
    x = keras.Input(input_shape, name="x")
    layers = [] if scaling is None else [scaling]
    if not lengths:
        return [x], layers
    return [x, keras.Input((), dtype="int32", name="lengths")], [*layers, LengthMask(name="mask")]


def _read_tokens(vocabulary_size, embedding_dim, mask_zero):
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
        embeddings_initializer=keras.initializers.RandomNormal(stddev=1.0),
        mask_zero=mask_zero,
        name="embedding",
    )
    return [ids], [layer]


def _assemble(inputs, layers, functional):
    if not functional and len(inputs) == 1:
        return keras.Sequential([*inputs, *layers])
    return keras.Model(inputs[0] if len(inputs) == 1 else inputs, _apply(layers, inputs))


def _apply(layers, inputs):
    outputs = inputs[0]
    for layer in layers:
        arguments = [outputs, inputs[1]] if isinstance(layer, LengthMask) else outputs
        outputs = layer(arguments)
    return outputs
