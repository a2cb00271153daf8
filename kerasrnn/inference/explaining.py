"""What a model does with one input: its hidden states, and the steps that its answer hangs on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from kerasrnn.errors import InputError

_READERS = ("joined", "scaling", "one_hot", "embedding")  # layers whose output is the input's
_SQUASHING = (keras.activations.softmax, keras.activations.sigmoid)
MOST_UNITS = 64  # of a layer that are shown
METHODS = {
    "gradient x input": "Simonyan et al. 2014, with the scaled input as factor",
    "gradient norm": "Li et al. 2016, of the embedding of each token",
}


class LayerStates(NamedTuple):
    """The hidden states of one direction of a recurrent layer.

    name: of the layer. direction: ``"forward"`` or ``"backward"``. states: float32 (steps, units),
    step 0 first in both directions; behind a stem with a stride there are fewer than of the input.
    """

    name: str
    direction: str
    states: np.ndarray

    def most_varied(self, most: int = MOST_UNITS) -> np.ndarray:
        """The units that vary most over the steps, in their order; all where they are few.

        >>> LayerStates("lstm_1", "forward", np.array([[0, 1], [0, 2]])).most_varied(1).tolist()
        [1]
        """
        return np.sort(np.argsort(-self.states.var(0), kind="stable")[:most])


class Reading(NamedTuple):
    """How a model reads one input.

    layers: of each recurrent layer the states of each direction. saliency: float32 (time,), how
    much the answer changes with each step; with numbers as input positive where the step speaks
    for the answer. method: of the saliency, a key of ``METHODS``.
    """

    layers: list[LayerStates]
    saliency: np.ndarray
    method: str


class Explanation(NamedTuple):
    """One input, the answer of a model and how it came to it.

    answer: what is said of the whole input, as JSON. steps: tokens, or float (time, features).
    reading: of the model. notes: a word for each step, such as its label; or None. sure: float
    (time,), the probability of each step's token or label, NaN where there is none; or None.
    """

    answer: dict
    steps: Sequence[str] | np.ndarray
    reading: Reading
    notes: Sequence[str] | None = None
    sure: np.ndarray | None = None


def close_reader(model: keras.Model) -> Callable[..., Reading]:
    """A function that gives the hidden states and the saliency of each step of one input.

    The saliency of a step is the gradient of a score times the scaled input, summed over its
    features (Simonyan et al. 2014 take the gradient alone); of a token the norm of the gradient at
    its embedding or one-hot vector (Li et al. 2016).

    Args:
        model: of a builder, functional or sequential.

    Returns:
        A function of a list of the model's inputs, of one row without padding each, and of the
        score: what it makes a number of is what the head says, (1, …), logits where the model ends
        with a softmax or sigmoid, else its output.

    Raises:
        InputError: an average of several models, or one without a recurrent layer.

    >>> from kerasrnn import build_classifier
    >>> model = build_classifier((None, 2), num_classes=3, units=(5, 4))
    >>> reading = close_reader(model)([np.ones((1, 7, 2), "float32")], lambda out: out[0, 1])
    >>> [(one.name, one.direction, one.states.shape) for one in reading.layers[:2]]
    [('bidirectional_1', 'forward', (7, 5)), ('bidirectional_1', 'backward', (7, 5))]
    >>> reading.saliency.shape
    (7,)
    """
    check_single(model)
    model = _functional(model)
    recurrent = [x for x in model.layers if _is_recurrent(x)]
    if not recurrent:
        raise InputError("a model without a recurrent layer of its own", found=model.name)
    names = [layer.name for layer in model.layers]
    reader = next((model.get_layer(name) for name in _READERS if name in names), None)
    read = model.inputs[0] if reader is None else reader.output
    start = keras.Model(model.inputs, read)
    others = [place for place, x in enumerate(model.inputs) if x is not read]
    given = [read, *(model.inputs[place] for place in others)]
    rest = keras.Model(given, [_scores(model), *map(_sequences, recurrent)])

    def read_closely(inputs: Sequence[np.ndarray], score: Callable[[tf.Tensor], tf.Tensor]):
        arrays = [tf.constant(x, of.dtype) for x, of in zip(inputs, model.inputs, strict=True)]
        first = start(arrays if len(arrays) > 1 else arrays[0])
        first = tf.identity(first)  # without its mask: no step is padding
        with tf.GradientTape() as tape:
            tape.watch(first)
            found, *states = rest([first, *(arrays[place] for place in others)], training=False)
            total = score(tf.cast(found, tf.float32))
        method, saliency = _saliency(first, tape.gradient(total, first), model.inputs[0].dtype)
        pairs = zip(recurrent, states, strict=True)
        layers = [one for layer, values in pairs for one in _directions(layer, values[0].numpy())]
        return Reading(layers, saliency[0].numpy(), method)

    return read_closely


def _saliency(values, gradient, dtype):
    """The method and the saliency of each step; dtype: of the input."""
    if dtype.startswith("float"):
        known = tf.where(tf.math.is_nan(values), 0.0, values)
        return "gradient x input", tf.reduce_sum(gradient * known, -1)
    return "gradient norm", tf.norm(gradient, axis=-1)


def check_single(model: keras.Model):
    """Raise ``InputError`` where a model is the average of several."""
    members = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    if members:
        raise InputError(
            f"an average of {len(members)} models, each with states of its own",
            fix="explain one of the runs in it",
        )


def _functional(model):
    """A model whose layers are called once each and know it: a copy of a sequential or tied one."""
    tied = next((x for x in model.layers if isinstance(x, keras.layers.ReversibleEmbedding)), None)
    if tied is None and not isinstance(model, keras.Sequential):
        return model
    x = found = keras.Input(model.inputs[0].shape[1:], dtype=model.inputs[0].dtype)
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        weights, twin = layer.get_weights(), type(layer).from_config(layer.get_config())
        if tied is layer:
            twin = keras.layers.Embedding(tied.input_dim, tied.output_dim, name=tied.name)
        elif tied is not None and isinstance(layer, keras.layers.Activation):
            twin = keras.layers.Dense(tied.input_dim, layer.activation, False, name=layer.name)
            weights = [tied.get_weights()[0].T]
        found = twin(found)
        twin.set_weights(weights)
    return keras.Model(x, found)


def _is_recurrent(layer):
    return isinstance(layer, (keras.layers.RNN, keras.layers.Bidirectional))


def _scores(model):
    """What the head gives before a softmax or sigmoid; of other heads the output of the model.

    After a tagger's head its labels may be chosen together, which is left out here.
    """
    last = next((x for x in model.layers if x.name == "head"), model.layers[-1])
    if getattr(last, "activation", None) not in _SQUASHING:
        return model.outputs[0]
    if isinstance(last, keras.layers.Activation):
        return last.input
    plain = type(last).from_config({**last.get_config(), "activation": None})
    found = plain(last.input)
    plain.set_weights(last.get_weights())
    return found


def _sequences(layer):
    """All step outputs of a layer, also of one that gives its last state only."""
    if layer.return_sequences:
        return layer.output
    config = layer.get_config()
    inner = ("layer", "backward_layer") if isinstance(layer, keras.layers.Bidirectional) else ()
    for one in [config[name]["config"] for name in inner if config.get(name)] or [config]:
        one["return_sequences"] = True
    twin = type(layer).from_config({**config, "name": f"{layer.name}_steps"})
    x, *masks = layer.input if isinstance(layer.input, list) else [layer.input]
    found = twin(x, mask=masks[0] if masks else None)
    twin.set_weights(layer.get_weights())
    return found


def _directions(layer, values):
    """The states (steps, width) of a layer by direction, in the order of time."""
    values = values.astype("float32")
    if not isinstance(layer, keras.layers.Bidirectional):
        backward = layer.go_backwards
        name = "backward" if backward else "forward"
        return [LayerStates(layer.name, name, values[::-1] if backward else values)]
    halves = np.split(values, 2, axis=-1)
    return [
        LayerStates(layer.name, name, half)
        for name, half in zip(("forward", "backward"), halves, strict=True)
    ]
