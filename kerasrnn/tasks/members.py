"""Members: models of one kind that learn together, in one, and answer with their mean."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np

from kerasrnn.errors import check_positive
from kerasrnn.layers import OpinionPool
from kerasrnn.models import build_ensemble

OPINION_OF, SHARE_OF = "logistic_of_", "share_of_"  # of layers beside networks


def with_members(number: int, build: Callable[[], keras.Model]) -> keras.Model:
    """A model of so many members, each built alike from other random numbers; one is itself.

    Trainings of a few dozen sequences differ from seed to seed, and their mean errs less than they
    do, as that of InceptionTime's five networks does (Ismail Fawaz et al. 2020).

    >>> from kerasrnn import build_classifier
    >>> with_members(3, lambda: build_classifier((None, 2), num_classes=4)).output_shape
    (None, 4)
    """
    check_positive(members=number)
    return build() if number == 1 else build_ensemble([build() for _ in range(number)])


def members_beside(model: keras.Model) -> keras.Model:
    """The answers of the members of a model beside each other, (batch, members, …).

    It shares their weights. Fitted in the place of the model, each learns from its own loss, and
    by weights (batch, members) from sequences of its own.
    """
    answers = model.get_layer("mean").input
    return keras.Model(model.input, keras.ops.stack(answers, axis=1))


def members_of(model: keras.Model) -> list[keras.Model]:
    """The members of a model; of one without, itself."""
    return [layer for layer in model.layers if isinstance(layer, keras.Model)] or [model]


def is_mixed(model: keras.Model) -> bool:
    """Whether something beside the networks has a share in the answer: its last layer is a mix."""
    return any(layer.name == "mix" for layer in model.layers)


def shares_of(model: keras.Model) -> dict[str, float]:
    """What is mixed into an answer, by name, and which share each has; of several targets the mean.

    model: of which ``is_mixed`` is true.
    """
    mix = model.get_layer("mix")
    if isinstance(mix, OpinionPool):
        beside = _named(model, OPINION_OF)
        order = {
            id(opinion): number for number, opinion in enumerate(keras.tree.flatten(mix.input))
        }
        found = {"networks": mix.shares[0]}
        found |= {name: mix.shares[order[id(layer.output)]] for name, layer in beside.items()}
        rest = "frequencies"
    else:
        beside = {"networks": mix} | _named(model, SHARE_OF)
        found = {name: float(np.mean(layer.scale)) for name, layer in beside.items()}
        rest = "mean"
    return found | {rest: max(0.0, 1 - sum(found.values()))}


def _named(model, prefix):
    """The layers whose name begins so, by what follows."""
    layers = (layer for layer in model.layers if layer.name.startswith(prefix))
    return {layer.name.removeprefix(prefix): layer for layer in layers}


def with_answer(model: keras.Model, answer) -> keras.Model:
    """A model of the same inputs with another answer, such as a mix of its own with others."""
    return keras.Model(model.inputs[0] if len(model.inputs) == 1 else model.inputs, answer)


def network_of(model: keras.Model) -> keras.Model:
    """The network of a model, without what is mixed into its answer; of members the first."""
    first = members_of(model)[0]
    if first is model and is_mixed(model):
        return keras.Model(model.inputs, model.get_layer("mix").input)
    return first


def summarize(model: keras.Model, print_fn: Callable[[str], object]):
    """Print the layers of a model; of members then those of the first, as the others have them."""
    model.summary(print_fn=print_fn)
    first, *others = members_of(model)
    if others:
        first.summary(print_fn=print_fn)
