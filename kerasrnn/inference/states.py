"""Generators with their states in and out, one step at a time or over sequences."""

from __future__ import annotations

from collections.abc import Callable

import keras

from kerasrnn.errors import InputError
from kerasrnn.layers import OneHot
from kerasrnn.models.stack import state_names

_STEPWISE = (keras.layers.Embedding, OneHot, keras.layers.Dropout, keras.layers.Dense)


def step_model(generator: keras.Model) -> keras.Model:
    """One step of a generator with its states in and out, sharing its weights.

    Takes ``[token, *states]`` and returns ``[output, *states]``: token ids (batch,), output
    (batch, vocabulary_size) as the generator gives it, and for each layer its states (batch,
    units), such as ``lstm_1_h`` and ``lstm_1_c``. All-zero states are the start.

    Raises:
        InputError: the model is not a plain stack like those of ``build_generator``.

    >>> from kerasrnn import build_generator
    >>> [x.name for x in step_model(build_generator(65)).inputs]
    ['tokens', 'lstm_1_h', 'lstm_1_c']
    """

    def step(layer):
        return _Step(layer.cell, dtype=layer.dtype_policy, name=f"{layer.name}_step")

    return _with_states(generator, (), step)


def sequence_model(generator: keras.Model) -> keras.Model:
    """A generator with its states in and out, sharing its weights.

    As ``step_model``, but for ids (batch, time) and output (batch, time, vocabulary_size);
    the states that come out are those after the last step.
    """

    def twin(layer):
        made = type(layer).from_config({**layer.get_config(), "return_state": True})
        made.cell = layer.cell

        def call(x, states):
            output, *final = made(x, initial_state=states)
            return output, final

        return call

    return _with_states(generator, (None,), twin)


class _Step(keras.layers.Layer):
    """A cell as a layer with a name of its own: a functional model wants distinct ones."""

    def __init__(self, cell, **kwargs):
        super().__init__(**kwargs)
        self.cell = cell

    def call(self, x, states):
        return self.cell(x, states)

    def get_config(self):  # to be copied
        return {**super().get_config(), "cell": keras.saving.serialize_keras_object(self.cell)}

    @classmethod
    def from_config(cls, config):
        cell = keras.saving.deserialize_keras_object(config["cell"])
        return cls(**{**config, "cell": cell})


def _with_states(generator, token_shape, runner_of: Callable):
    """The generator with states as inputs and outputs; ``runner_of`` a layer runs it."""
    tokens = keras.Input(token_shape, dtype="int32", name="tokens")
    x, initial, final, embedding = tokens, [], [], None
    for layer in generator.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        if isinstance(layer, keras.layers.RNN):
            states = [keras.Input((size,), name=name) for name, size in state_names(layer).items()]
            x, new = runner_of(layer)(x, states)
            initial += states
            final += [y if y.dtype == "float32" else keras.ops.cast(y, "float32") for y in new]
        elif isinstance(layer, keras.layers.Activation) and embedding:  # of a tied output
            x = layer(embedding(x, reverse=True))
        elif isinstance(layer, _STEPWISE):
            if isinstance(layer, keras.layers.ReversibleEmbedding):
                embedding = layer
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

    def __init__(self, generator: keras.Model, batch_size: int):
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
