"""Models called compiled, with rows and sentences in batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from kerasrnn.engine.compat import fast_call
from kerasrnn.errors import InputError
from kerasrnn.inference.exports import has_shape, shape_text

_BATCH_ROWS, _LEAST_ROWS = 256, 16
_BATCH_STEPS = 1 << 15  # of sequences
_BATCH_TOKENS = 1 << 13  # in a batch of sentences, padding included


def compiled(model: keras.Model, answer: Callable | None = None) -> Callable[..., np.ndarray]:
    """The probabilities of a model as a function of its inputs, traced once for all their sizes.

    ``predict_on_batch`` would trace its graph anew for many of the sizes. Sizes that the model
    fixes are known in the graph, so that its layers can choose their loop by them. A model
    that ends without a softmax gets one.

    answer: what to give instead, a function of the model and a list of its inputs.

    Returns:
        A function of one array for each input of the model that gives an array.

    >>> import kerasrnn, numpy as np
    >>> call = compiled(kerasrnn.build_classifier((None, 2), num_classes=3, units=4))
    >>> call(np.zeros((5, 7, 2), "float32")).shape
    (5, 3)
    """
    give = answer or probabilities
    signature = [tf.TensorSpec([None, *x.shape[1:]], x.dtype) for x in model.inputs]
    graph = tf.function(
        lambda *inputs: give(model, inputs), input_signature=signature, autograph=False
    )
    call = fast_call(graph.get_concrete_function())

    def predict(*inputs):
        pairs = zip(inputs, signature, strict=True)
        (output,) = call(*(tf.constant(array, spec.dtype) for array, spec in pairs))
        return output.numpy()

    return predict


def probabilities(model: keras.Model, inputs: Sequence) -> tf.Tensor:
    """What a model gives for a list of its inputs, after a softmax where it has none."""
    output = outputs(model, inputs)
    return tf.nn.softmax(output) if gives_logits(model) else output


def outputs(model: keras.Model, inputs: Sequence) -> tf.Tensor:
    """What a model gives for a list of its inputs, as it is."""
    return model(inputs[0] if len(inputs) == 1 else list(inputs), training=False)


def gives_logits(model: keras.Model) -> bool:
    """Whether a model ends without a softmax or another activation.

    Raises ``InputError`` where its last layer does not tell.
    """
    return _activation(model) in (None, keras.activations.linear)


def gives_several(model: keras.Model) -> bool:
    """Whether a model ends with a sigmoid: a probability for each label by itself.

    Raises ``InputError`` where its last layer does not tell.
    """
    return _activation(model) is keras.activations.sigmoid


def _activation(model):
    """The activation at the end of a model."""
    last = model.layers[-1]
    if isinstance(last, keras.layers.Average):  # of an ensemble, or with n-grams
        last = model.layers[-2]
    if isinstance(last, keras.Model):
        return _activation(last)
    if isinstance(last, keras.layers.Softmax):
        return keras.activations.softmax
    if not hasattr(last, "activation"):
        raise InputError(
            "a model that does not say whether it gives probabilities",
            found=f"{type(last).__name__} as its last layer",
            expected="a layer with an activation, or keras.layers.Softmax",
        )
    return last.activation


def model_inputs(shapes: Mapping[str, tuple], **given) -> list:
    """The inputs of a model in its order, of what was given for them.

    shapes: of each input, by name, without the batch; None is any size. ``lengths`` that are not
    given are those of whole sequences. Raises ``InputError`` where shapes or names do not fit.

    >>> [array.shape for array in model_inputs({"x": (None, 2)}, x=[[[0, 1]], [[1, 0]]])]
    [(2, 1, 2)]
    """
    given = {name: array for name, array in given.items() if array is not None}
    given |= {name: np.asarray(a) for name, a in given.items() if not hasattr(a, "shape")}
    x = given["x"]
    if "lengths" in shapes and x.ndim > 1:
        given["lengths"] = np.asarray(given.get("lengths", np.full(*x.shape[:2])), "int32")
    wanted = {name: (*x.shape[:1], *shape) for name, shape in shapes.items()}
    fits = given.keys() == wanted.keys() and all(
        has_shape(given[name].shape, shape) for name, shape in wanted.items()
    )
    if not fits:
        raise InputError(
            "inputs that do not fit the model",
            found=", ".join(f"{name} {shape_text(of.shape)}" for name, of in given.items()),
            expected=", ".join(f"{name} {shape_text(('n', *of))}" for name, of in shapes.items()),
        )
    return [given[name] for name in shapes]


def in_batches(call: Callable[..., np.ndarray], *inputs: np.ndarray) -> np.ndarray:
    """What ``call`` gives for all rows of its inputs, asked for some of them at a time.

    Of long sequences fewer at a time, so that what layers make of them stays in the caches.
    """
    first = inputs[0]
    steps = first.shape[1] if first.ndim > 1 else 1
    size = max(_LEAST_ROWS, min(_BATCH_ROWS, _BATCH_STEPS // max(steps, 1)))
    starts = range(0, max(len(first), 1), size)
    batches = ([array[start : start + size] for array in inputs] for start in starts)
    return np.concatenate([call(*batch) for batch in batches])


def by_length(call: Callable[[np.ndarray], np.ndarray], lengths: np.ndarray) -> np.ndarray:
    """What ``call`` gives for all texts, asked for in batches of about one length.

    call: a function of the indices of some texts that gives a row for each. lengths: int (n,),
    the tokens of each, at least one.
    """
    groups = [np.array(group, int) for group in list(_groups(lengths)) or [[]]]
    rows = np.concatenate([call(group) for group in groups])
    return rows[np.argsort(np.concatenate(groups))]


def in_groups(call: Callable, sentences: Sequence[Sequence[str]], width: int) -> np.ndarray:
    """Probabilities (tokens, width) for sentences, asked for in batches of about one length.

    call: a function of a list of sentences that gives (n, time, width). Raises ``InputError``
    for a sentence that is too long for a batch of its own.
    """
    lengths = np.array([len(sentence) for sentence in sentences], int)
    if lengths.max(initial=0) > 4 * _BATCH_TOKENS:
        raise InputError(
            "a sentence too long to be labelled",
            found=f"{lengths.max():,} tokens",
            expected=f"at most {4 * _BATCH_TOKENS:,}",
            fix="break the text into lines",
        )
    results = [np.zeros((0, width), "float32")] * (len(sentences) or 1)
    for group in _groups(lengths):
        rows = call([sentences[index] for index in group])
        for index, row in zip(group, rows, strict=True):
            results[index] = row[: lengths[index]]
    return np.concatenate(results)


def _groups(lengths):
    """Indices of sentences of about one length, so many that a batch fits into memory."""
    order = [index for index in np.argsort(lengths, kind="stable") if lengths[index]]
    while order:
        size = max(1, _BATCH_TOKENS // lengths[order[0]])
        while size > 1 and size * lengths[order[min(size, len(order)) - 1]] > _BATCH_TOKENS:
            size //= 2
        yield order[:size]
        order = order[size:]
