"""Generators with their states in and out, step by step or over sequences."""

from __future__ import annotations

import keras

from kerasrnn.errors import InputError
from kerasrnn.layers import OneHot

_STEPWISE = (keras.layers.Embedding, OneHot, keras.layers.Dropout, keras.layers.Dense)


def step_model(generator) -> keras.Model:
    """One step of a generator with its states in and out, sharing its weights.

    Takes ``[token, *states]`` and returns ``[output, *states]``: token ids (batch,), output
    (batch, vocabulary_size) as the generator gives it, and for each layer its states (batch,
    units): h and c for ``"lstm"``, h for the other cells. All-zero states are the start.

    Raises:
        InputError: the model is not a plain stack like those of ``build_generator``.
    """
    return _with_states(generator, (), lambda layer, x, states: layer.cell(x, states))


def sequence_model(generator) -> keras.Model:
    """A generator with its states in and out, sharing its weights.

    As ``step_model``, but for ids (batch, time) and output (batch, time, vocabulary_size);
    the states that come out are those after the last step.
    """

    def call(layer, x, states):
        twin = type(layer).from_config({**layer.get_config(), "return_state": True})
        twin.cell = layer.cell
        output, *final = twin(x, initial_state=states)
        return output, final

    return _with_states(generator, (None,), call)


def _with_states(generator, token_shape, call):
    """The generator with states as inputs and outputs; ``call`` runs a recurrent layer."""
    tokens = keras.Input(token_shape, dtype="int32", name="tokens")
    x, initial, final = tokens, [], []
    for layer in generator.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        if isinstance(layer, keras.layers.RNN):
            sizes = layer.cell.state_size
            sizes = [sizes] if isinstance(sizes, int) else sizes
            states = [
                keras.Input((size,), name=f"{layer.name}_{i}") for i, size in enumerate(sizes)
            ]
            layer.cell.name = f"{layer.name}_cell"  # a functional model wants distinct names
            x, new = call(layer, x, states)
            initial += states
            final += new
        elif isinstance(layer, keras.layers.Activation):  # the head of a tied output
            x = layer(generator.get_layer("embedding")(x, reverse=True))
        elif isinstance(layer, _STEPWISE):
            x = layer(x)
        else:
            raise InputError(
                "not a generator", found=f"a layer {layer.name} of {type(layer).__name__}"
            )
    return keras.Model([tokens, *initial], [x, *final])


class CarriedState(keras.Model):
    """A generator whose states go on from one batch to the next, without gradient.

    For batches whose rows continue the rows of the batch before, all of ``batch_size`` rows.
    The states are variables of this model; the weights are the generator's own, which is
    what one saves.

    Args:
        generator: a model of ``build_generator``.
        batch_size: number of rows in every batch.
    """

    def __init__(self, generator, batch_size):
        super().__init__()
        self.sequence_model = sequence_model(generator)
        self.carried = [
            self.add_weight((batch_size, state.shape[1]), "zeros", trainable=False)
            for state in self.sequence_model.inputs[1:]
        ]

    def call(self, tokens, training=None):
        output, *states = self.sequence_model([tokens, *self.carried], training=training)
        for variable, state in zip(self.carried, states, strict=True):
            variable.assign(keras.ops.stop_gradient(state))
        return output

    def reset(self):
        """Start anew with all-zero states."""
        for variable in self.carried:
            variable.assign(keras.ops.zeros_like(variable))
