"""Models called compiled, with rows and sentences in batches."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import tensorflow as tf

_PREDICT_BATCH = 256
_BATCH_TOKENS = 1 << 13  # in a batch of sentences, padding included


@lru_cache(maxsize=2)
def compiled(model):
    """The model as a function of a list of arrays of any sizes, traced once; gives an array.

    ``predict_on_batch`` would trace its graph anew for many of the sizes.
    """
    signature = [tf.TensorSpec([None] * len(x.shape), x.dtype) for x in model.inputs]
    several = len(signature) > 1
    graph = tf.function(
        lambda *inputs: model(list(inputs) if several else inputs[0], training=False),
        input_signature=signature,
        autograph=False,
    )
    traced = graph.get_concrete_function()
    call, variables = traced.inference_fn.call_flat, traced.captured_inputs

    def predict(inputs):
        # nothing of the traced function but its call: the rest takes as long as a small model
        pairs = zip(inputs, signature, strict=True)
        (output,) = call(*(tf.constant(array, spec.dtype) for array, spec in pairs), *variables)
        return output.numpy()

    return predict


def gives_logits(model) -> bool:
    """Whether a model ends without a softmax."""
    return model.layers[-1].activation.__name__ == "linear"


def in_batches(inputs, answer) -> np.ndarray:
    """What a function of a list of arrays gives, asked for some of their rows at a time."""
    rows = range(0, max(len(inputs[0]), 1), _PREDICT_BATCH)
    batches = ([array[row : row + _PREDICT_BATCH] for array in inputs] for row in rows)
    return np.concatenate([answer(batch) for batch in batches])


def in_groups(sentences, width, answer) -> np.ndarray:
    """Probabilities (tokens, width) for sentences, asked for in batches of about one length.

    answer: a function of a batch of sentences that gives (n, time, width).
    """
    lengths = np.array([len(sentence) for sentence in sentences], int)
    results = [np.zeros((0, width), "float32")] * (len(sentences) or 1)
    for group in _groups(lengths):
        rows = answer([sentences[index] for index in group])
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
