"""Builders: one recurrent stack, one softmax head, plain uncompiled ``keras.Model``s.

To repeat a model, call ``keras.utils.set_random_seed(seed)`` before the builder, as for any
Keras model: the Sequential and the functional style then hold the same weights.
"""

from __future__ import annotations

import keras

from kerasrnn.errors import InputError, check_choice, check_range
from kerasrnn.layers import CharacterEncoder
from kerasrnn.models.stack import (
    InputShape,
    Units,
    assemble,
    pooled_stack,
    read_input,
    read_tokens,
    recurrent_stack,
    stem_layers,
)
from kerasrnn.options import STEMS_OF_STEPS


def build_classifier(
    input_shape: InputShape = None,
    *,
    num_classes: int,
    units: Units = 50,
    cell: str = "lstm",
    bidirectional: bool = True,
    go_backwards: bool = False,
    dropout: float = 0.2,
    precision: str | None = None,
    stem: str = "none",
    stem_filters: int = 64,
    stem_stride: int = 1,
    pooling: str = "last",
    vocabulary_size: int | None = None,
    embedding_dim: int | None = 64,
    lengths: bool = False,
    scaling: keras.Layer | None = None,
    missing: bool = False,
    instance_scaling: bool = False,
    activation: str | None = "softmax",
    functional: bool = False,
) -> keras.Model:
    """One label per sequence: input → stem → recurrent stack → pooling → Dense.

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
        missing: float sequences may hold NaN where a value is missing; after the scaling the
            last value before it takes its place, or 0 (``layers.FillMissing``).
        instance_scaling: each sequence of floats is scaled by itself too, and its size and level
            are further features (``layers.InstanceScaling``).
        stem: ``"conv"``, three convolutions with normalization (Wang et al. 2017) before the
            stack, as in DeepConvLSTM (Ordóñez & Roggen 2016); ``"fcn"``, the same beside the
            stack: the head sees their mean over the steps, and what the stack makes of the
            input, as in LSTM-FCN (Karim et al. 2018); the model is then functional, whatever
            ``functional`` says; ``"none"``. Padding changes nothing in it.
        stem_filters: width of its convolutions; the second is twice as wide.
        stem_stride: steps from one to the next that the stack sees: with 2 it reads half as
            many, of ``"fcn"`` means of two.
        pooling: ``"last"`` state of each direction; ``"mean"`` or ``"max"`` over the steps, or
            ``"mean_max"``, both joined; or ``"attention"``, a sum of the steps weighted by what
            they hold (Bahdanau et al. 2015, ``layers.AttentionPooling``).
        activation: ``"softmax"`` for probabilities, ``None`` for logits.
        functional: a functional model instead of a ``keras.Sequential``; same weights.
        units, cell, bidirectional, go_backwards, precision: see ``recurrent_stack``.
        dropout: as there, and of tokens also before the first layer.

    Raises:
        InputError: an argument outside what is said above.

    >>> model = build_classifier((28, 28), num_classes=10, units=(50, 50))
    >>> model.output_shape
    (None, 10)
    """
    _check_classes(num_classes)
    # of words that are seen a few times only, large initial values would stay noise
    inputs, layers = read_input(
        *(input_shape, vocabulary_size, embedding_dim),
        *(lengths, scaling, missing, instance_scaling),
        spread=0.1,
    )
    check_range("dropout", dropout, 0, 1)
    if vocabulary_size is not None and dropout:
        layers.append(keras.layers.Dropout(dropout, name="dropout_0"))
    layers += pooled_stack(
        units,
        pooling,
        stem,
        stem_filters,
        stem_stride,
        cell=cell,
        bidirectional=bidirectional,
        go_backwards=go_backwards,
        dropout=dropout,
        precision=precision,
    )
    layers.append(keras.layers.Dense(num_classes, activation=activation, name="head"))
    return assemble(inputs, layers, functional)


def build_tagger(
    input_shape: InputShape = None,
    *,
    num_labels: int,
    units: Units = 50,
    cell: str = "lstm",
    bidirectional: bool = True,
    go_backwards: bool = False,
    dropout: float = 0.2,
    precision: str | None = None,
    stem: str = "none",
    stem_filters: int = 64,
    vocabulary_size: int | None = None,
    embedding_dim: int | None = 64,
    character_vocabulary_size: int | None = None,
    character_units: int = 64,
    lengths: bool = False,
    scaling: keras.Layer | None = None,
    missing: bool = False,
    activation: str | None = "softmax",
    functional: bool = False,
) -> keras.Model:
    """A label at each step: input → stem → recurrent stack → Dense at each step.

    The model is uncompiled and learns from integer targets (batch, time) with
    ``"sparse_categorical_crossentropy"``; it returns (batch, time, num_labels). Padded steps
    change nothing at the others; give them weight 0.

    Args:
        input_shape: ``(time or None, features)`` of float sequences.
        num_labels: number of labels, at least 2.
        stem, stem_filters: ``"conv"`` or ``"none"``, as in ``build_classifier``.
        vocabulary_size, embedding_dim: token ids (batch, time) instead of floats, as in
            ``build_classifier``.
        character_vocabulary_size: number of ids of characters: the model then takes ``[tokens,
            characters]``, with the ids of each token's characters (batch, time, characters),
            padded with 0, and joins what they give (``layers.CharacterEncoder``) to the
            embedding. Two inputs make it functional, whatever ``functional`` says.
        character_units: width of a token composed from its characters.
        lengths, scaling, missing, activation, functional: as in ``build_classifier``.
        units, cell, bidirectional, go_backwards, precision: see ``recurrent_stack``.
        dropout: as there, and also before the first layer.

    Raises:
        InputError: an argument outside what is said above.

    >>> build_tagger(num_labels=5, vocabulary_size=1000).output_shape
    (None, None, 5)
    """
    _check_classes(num_labels)
    check_choice("stem", stem, STEMS_OF_STEPS)
    if character_vocabulary_size is not None and vocabulary_size is None:
        raise InputError("character_vocabulary_size without tokens", fix="give vocabulary_size too")
    inputs, layers = read_input(
        input_shape, vocabulary_size, embedding_dim, lengths, scaling, missing
    )
    stacked = stem_layers(stem, stem_filters, precision=precision) + recurrent_stack(
        units,
        cell=cell,
        bidirectional=bidirectional,
        go_backwards=go_backwards,
        dropout=dropout,
        precision=precision,
        return_sequences=True,
    )
    if dropout:
        stacked.insert(0, keras.layers.Dropout(dropout, name="dropout_0"))
    stacked.append(keras.layers.Dense(num_labels, activation=activation, name="head"))
    if character_vocabulary_size is None:
        return assemble(inputs, layers + stacked, functional)
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
    precision: str | None = None,
    embedding_dim: int | None = 64,
    tied: bool = False,
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
        tied: as of ``build_generator``.
        activation: ``"softmax"`` for probabilities, ``None`` for logits.
        functional: a functional model instead of a ``keras.Sequential``; same weights.
        units, cell, bidirectional, go_backwards, dropout, precision: see ``recurrent_stack``.

    Raises:
        InputError: an argument outside what is said above.

    >>> build_infiller(100, units=32).output_shape
    (None, None, 100)
    """
    return _tokens_to_tokens(
        *(vocabulary_size, embedding_dim, tied, activation, functional),
        units=units,
        cell=cell,
        bidirectional=bidirectional,
        go_backwards=go_backwards,
        dropout=dropout,
        precision=precision,
    )


def build_generator(
    vocabulary_size: int,
    *,
    units: Units = 50,
    cell: str = "lstm",
    bidirectional: bool = False,
    go_backwards: bool = False,
    dropout: float = 0.2,
    precision: str | None = None,
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
        units, cell, dropout, precision: see ``recurrent_stack``.
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
    return _tokens_to_tokens(
        *(vocabulary_size, embedding_dim, tied, activation, functional),
        units=units,
        cell=cell,
        bidirectional=False,
        dropout=dropout,
        precision=precision,
    )


def _tokens_to_tokens(vocabulary_size, embedding_dim, tied, activation, functional, **stack):
    """Token ids → recurrent stack → the tokens of the same vocabulary at each step."""
    inputs, layers = read_tokens(vocabulary_size, embedding_dim, mask_zero=False)
    layers += recurrent_stack(return_sequences=True, **stack)
    if tied:
        return _tie(inputs[0], layers[1:], vocabulary_size, embedding_dim, activation)
    layers.append(keras.layers.Dense(vocabulary_size, activation=activation, name="head"))
    return assemble(inputs, layers, functional)


def _tie(ids, stack, vocabulary_size, embedding_dim, activation):
    if not embedding_dim:
        raise InputError("a tied output without an embedding", fix="choose an embedding width")
    matrix = keras.layers.ReversibleEmbedding(
        vocabulary_size,
        embedding_dim,
        embeddings_initializer=keras.initializers.RandomNormal(stddev=0.2),
        name="embedding",
    )
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
