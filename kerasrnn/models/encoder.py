"""The encoder: features of a sequence, all step outputs and final states."""

from __future__ import annotations

import keras

from kerasrnn.errors import check_choice, check_positive
from kerasrnn.layers import RNN, Bidirectional, MaskOf, ZeroPadding
from kerasrnn.models.stack import (
    InputShape,
    Units,
    apply,
    read_input,
    recurrent_stack,
    state_names,
    stem_layers,
)
from kerasrnn.options import STEMS_OF_STEPS


def build_encoder(
    input_shape: InputShape = None,
    *,
    units: Units = 50,
    cell: str = "lstm",
    bidirectional: bool = True,
    go_backwards: bool = False,
    dropout: float = 0.2,
    stem: str = "none",
    stem_filters: int = 64,
    vocabulary_size: int | None = None,
    embedding_dim: int | None = 64,
    lengths: bool = False,
    scaling: keras.Layer | None = None,
    missing: bool = False,
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
        input_shape, vocabulary_size, embedding_dim, lengths, scaling, missing, stem,
            stem_filters: see ``build_classifier``.
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
    inputs, layers = read_input(
        input_shape, vocabulary_size, embedding_dim, lengths, scaling, missing
    )
    check_choice("stem", stem, STEMS_OF_STEPS)
    outputs, given, final = apply(layers + stem_layers(stem, stem_filters), inputs), [], []
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
        sizes = state_names(twin)
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
        return Bidirectional(one, merge_mode=merge_mode, name=layer.name)
    name = layer.name.removeprefix("forward_")  # which Bidirectional puts before it again
    options = {"return_sequences": True, "return_state": True, "name": name}
    if from_cells:
        return RNN(layer.cell, go_backwards=layer.go_backwards, **options)
    return type(layer).from_config({**layer.get_config(), **options})


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
