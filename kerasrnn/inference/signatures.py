"""What an export answers: graphs that take raw input, with examples of their answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from kerasrnn.layers import layers_in
from kerasrnn.text import Tokens, Vocabulary


class Signature(NamedTuple):
    """A function of tensors that gives a dict of them, and the spec of each of its inputs."""

    function: Callable
    inputs: list[tf.TensorSpec]


class Example(NamedTuple):
    """Inputs of a signature by name, and its outputs as the Keras model gives them."""

    signature: str
    inputs: dict
    outputs: dict


@dataclass(frozen=True, eq=False)
class Servable:
    """A model with what it takes to answer raw input.

    task: ``"classifier"``, …, or ``"model"`` for any other Keras model. model: the one whose
    weights are saved. signatures, examples: of what the export answers. numeric_model: what a
    format without strings holds. labels: what the last axis of ``probabilities`` means. tables:
    look-ups that the graphs use. vocabularies: of the inputs of ``numeric_model``, by name.
    output: what the numeric model gives; None: probabilities or logits, as it ends.
    reading: how input is read, ``{"level", …}``, for who loads the export: what the columns of
    its files mean, and how a text becomes tokens.
    """

    task: str
    model: keras.Model
    signatures: dict[str, Signature]
    examples: list[Example]
    numeric_model: keras.Model
    labels: tuple[str, ...] = ()
    tables: tuple = ()
    vocabularies: dict[str, Vocabulary] = field(default_factory=dict)
    output: str | None = None
    reading: dict = field(default_factory=dict)


def string_spec(name: str, rank: int = 1) -> tf.TensorSpec:
    """Of strings (batch,), or of another rank."""
    return tf.TensorSpec((None,) * rank, tf.string, name)


def scalar_spec(name: str, dtype) -> tf.TensorSpec:
    """Of one number."""
    return tf.TensorSpec((), dtype, name)


def one_step_at_least(x: tf.Tensor) -> tf.Tensor:
    """x (batch, time, …), with a step of zeros or empty strings where it has none."""
    missing = tf.cast(tf.shape(x)[1] == 0, tf.int32)
    return tf.pad(x, [[0, 0], [0, missing], *[[0, 0]] * (x.shape.rank - 2)])


def fill(rows: Sequence, padding) -> list[list]:
    """Lists of unequal length, all made as long as the longest, one item at least.

    >>> fill([["a"], ["b", "c"]], "")
    [['a', ''], ['b', 'c']]
    """
    longest = max(1, *map(len, rows)) if rows else 1
    return [[*row, *[padding] * (longest - len(row))] for row in rows]


def example_text(vocabulary: Vocabulary, tokens: Tokens, number: int) -> str:
    """A text of so many tokens that a vocabulary has, always the same."""
    special = (vocabulary.unknown_id, vocabulary.line_end_id, vocabulary.mask_id)
    known = [token for token in vocabulary.tokens if vocabulary.encode(token) not in special]
    known = known or [vocabulary.tokens[0]]
    chosen = np.random.default_rng(number).integers(len(known), size=number)
    return tokens.separator.join(known[index] for index in chosen)


def example_sequences(model: keras.Model) -> list[np.ndarray]:
    """Raw inputs of a model of numbers, always the same, of the size that its scaling expects."""
    rng, given, found = np.random.default_rng(0), [], layers_in(model)
    scalings = [x for x in found if isinstance(x, keras.layers.Normalization) and not x.invert]
    logarithm = next((layer for layer in found if layer.name == "logarithm"), None)
    for x in model.inputs:
        if len(x.shape) == 1:
            steps = np.array([given[0].shape[1], 1, 0, 3], "int32")
            given[0][np.arange(steps[0]) >= steps[:, None]] = 1e6  # padding must not count
            given.append(steps)
            continue
        values, known = rng.normal(size=(4, *(n or 6 for n in x.shape[1:]))), x.name == "known"
        own = (layer for layer in scalings if (layer.name == "known_scaling") == known)
        for layer in islice(own, 1):  # of an ensemble the members' are much alike
            values = values * np.sqrt(np.asarray(layer.variance)) + np.asarray(layer.mean)
        if logarithm is not None and not known:
            values[:, :, logarithm.columns] = np.exp(values[:, :, logarithm.columns])
        given.append(np.array(values, "float32"))
    return given
