"""What the export formats share, and what those share that hold the model alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from kerasrnn import layers, options
from kerasrnn.errors import InputError, check_choice, reason_of
from kerasrnn.inference.calling import gives_logits
from kerasrnn.inference.exports import MODEL
from kerasrnn.inference.signatures import Example, Servable
from kerasrnn.text import Vocabulary

MODEL_ALONE = (
    "It is the model alone, numbers in and numbers out: {} has no strings and no loop around a "
    "model, so the signatures of a SavedModel that take or give texts are not in it. Token ids "
    "are those of `vocabularies` in `signature.json`, in which the first token has the id "
    "`first_id`; 0 below it is padding, on the right. A generator is exported as one step: a "
    "token and states in, what may follow and states out."
)


class Written(NamedTuple):
    """What a format has written: its signatures as signature.json describes them, and examples."""

    signatures: dict[str, dict]
    examples: Sequence[Example]


def format_module(name: str) -> ModuleType:
    """The module of an export format. Raises ``InputError``."""
    check_choice("format", name, options.EXPORT_FORMATS)
    return import_module(f"kerasrnn.exporting.{name}")


def described(inputs: Iterable[tf.TensorSpec], outputs: dict) -> dict:
    """A signature as signature.json has it."""

    def described_one(spec):
        return {"dtype": spec.dtype.name, "shape": spec.shape.as_list()}

    return {
        "inputs": {spec.name: described_one(spec) for spec in inputs},
        "outputs": {name: described_one(spec) for name, spec in outputs.items()},
    }


def model_alone(servable: Servable, rows: int) -> tuple[keras.Model, list[tf.TensorSpec], Example]:
    """The model of a servable without its strings and loops, its inputs, and an example.

    It computes in float32: converters know no mixed precision. Of a generator it is one step,
    with states in and out. rows: of the example.
    """
    model = layers.in_float32(servable.numeric_model)
    inputs = [tf.TensorSpec(x.shape, x.dtype, x.name) for x in model.inputs]
    if servable.task == MODEL:
        names = output_names(model)
    else:
        first = servable.output
        if first is None:
            first = "logits" if gives_logits(servable.model) else "probabilities"
        states = model.inputs[1 : len(model.outputs)]  # none but of a generator
        names = [first, *(f"{state.name}_next" for state in states)]
    given = {spec.name: _example_input(servable, spec, rows) for spec in inputs}
    example = Example("serving_default", given, call_by_name(model, names, given.values()))
    return model, inputs, example


def call_by_name(model: keras.Model, names: Iterable[str], inputs: Iterable) -> dict:
    """The outputs of a model by name, for a list of its inputs."""
    inputs = list(inputs)
    found = model(inputs if len(inputs) > 1 else inputs[0], training=False)
    return dict(zip(names, keras.tree.flatten(found), strict=True))


def described_by_example(inputs: Iterable[tf.TensorSpec], example: Example) -> Written:
    """The only signature of a model; all sizes of its outputs but the last may be any."""
    specs = {
        name: tf.TensorSpec([None] * (len(value.shape) - 1) + [value.shape[-1]], value.dtype)
        for name, value in example.outputs.items()
    }
    return Written({example.signature: described(inputs, specs)}, [example])


def output_names(model: keras.Model) -> list[str]:
    """Names for the outputs of a Keras model."""
    return model.output_names if len(model.outputs) > 1 else ["outputs"]


def random_input(spec: tf.TensorSpec, rows: int, vocabulary: Vocabulary | None = None):
    """Values for an input of a model, always the same; ones where integers mean no token."""
    rng, shape = np.random.default_rng(0), [rows, *(size or 5 for size in spec.shape[1:])]
    if spec.dtype.is_floating:
        return rng.normal(0, 0.5, shape).astype(spec.dtype.as_numpy_dtype)
    if vocabulary is None:
        return np.ones(shape, "U1" if spec.dtype == tf.string else spec.dtype.as_numpy_dtype)
    return rng.integers(vocabulary.first_id, vocabulary.num_ids, shape, "int32")


def _example_input(servable, spec, rows):
    """Values for an input of the model: those of the first example where it has some."""
    values = np.asarray(servable.examples[0].inputs.get(spec.name, "none"))
    if np.issubdtype(values.dtype, np.number):
        return values[:rows]
    return random_input(spec, rows, servable.vocabularies.get(spec.name))


@contextmanager
def converting(name: str):
    """Raise as one ``InputError`` whatever a converter raises; drop what else it says."""
    logger = tf.get_logger()
    before = logger.level
    logger.setLevel("ERROR")
    try:
        yield
    except (InputError, OSError):
        raise
    except Exception as error:  # converters raise many kinds
        raise InputError(f"cannot convert to {name}: {reason_of(error)}") from error
    finally:
        logger.setLevel(before)
