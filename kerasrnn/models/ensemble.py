"""Several models as one, whose output is the mean of theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from kerasrnn.errors import InputError
from kerasrnn.layers import Renumber


def build_ensemble(
    models: Sequence[keras.Model], *, renumber: Sequence[Mapping[str, np.ndarray]] | None = None
) -> keras.Model:
    """One model from several of the same inputs and output: its output is the mean of theirs.

    For classifiers that is the mean of their probabilities (Hansen & Salamon 1990; Lakshminarayanan
    et al. 2017). The model is functional, uncompiled, and shares the weights of its members, which
    are models in it, ``member_1``, ….

    Args:
        models: two or more models, sequential or functional.
        renumber: where members have vocabularies of their own: for each member, by the name of
            an input, the id that it knows each id of that input by, int (num_ids,).

    Raises:
        InputError: a single model, or models whose inputs or outputs differ.

    >>> from kerasrnn import build_classifier
    >>> models = [build_classifier((None, 3), num_classes=2, units=n) for n in (4, 5)]
    >>> build_ensemble(models).output_shape
    (None, 2)
    """
    if len({_sides(model) for model in models}) != 1 or len(models) < 2:
        raise InputError(
            "models that cannot be averaged",
            found="; ".join(dict.fromkeys(map(_sides, models))) or "none",
            expected="two or more of the same inputs and output",
        )
    first = models[0]
    inputs = [keras.Input(x.shape[1:], dtype=x.dtype, name=x.name) for x in first.inputs]
    outputs = []
    for number, model in enumerate(models, 1):
        single = isinstance(model, keras.Sequential)
        sides = (model.inputs[0], model.outputs[0]) if single else (model.input, model.output)
        member = keras.Model(*sides, name=f"member_{number}")
        tables = renumber[number - 1] if renumber else {}
        given = [_renumbered(x, tables.get(x.name), number) for x in inputs]
        outputs.append(member(given[0] if len(given) == 1 else given))
    return keras.Model(
        inputs[0] if len(inputs) == 1 else inputs, keras.layers.Average(name="mean")(outputs)
    )


def _sides(model):
    """Inputs and output of a model, in words."""
    if len(model.outputs) != 1:
        raise InputError("a model of several outputs", found=", ".join(model.output_names))
    inputs = ", ".join(f"{x.name} {tuple(x.shape)} {x.dtype}" for x in model.inputs)
    return f"{inputs} → {tuple(model.output_shape)}"


def _renumbered(x, table, number):
    if table is None:
        return x
    layer = Renumber(len(table), name=f"{x.name}_{number}")
    found = layer(x)
    layer.set_weights([np.asarray(table, "int32")])
    return found
