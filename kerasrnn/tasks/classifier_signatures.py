"""The signatures of a classifier's export: of sequences of numbers, of texts and of token ids."""

from __future__ import annotations

from itertools import islice

import keras
import numpy as np
import tensorflow as tf

from kerasrnn.data.parts import pad, real_steps
from kerasrnn.inference import text_ops
from kerasrnn.inference.signatures import Signature, example_text, one_step_at_least, string_spec
from kerasrnn.layers import layers_in


def float_signatures(predictor, answer):
    """Signatures of raw sequences; examples as (signature, inputs, inputs of the model)."""
    model = predictor.model
    x = tf.TensorSpec((None, None, model.inputs[0].shape[2]), tf.float32, "x")
    lengths = tf.TensorSpec((None,), tf.int32, "lengths")

    def padded(x, lengths):
        return answer(one_step_at_least(x), lengths)

    def whole(x):
        return padded(x, tf.fill([tf.shape(x)[0]], tf.shape(x)[1]))

    values = _raw_values(model, (4, model.inputs[0].shape[1] or 6, x.shape[2]))
    if len(model.inputs) == 1:
        plain = Signature(lambda x: answer(one_step_at_least(x)), [x])
        return {"serving_default": plain}, [("serving_default", {"x": values}, [values])], ()
    steps = np.array([values.shape[1], 1, 0, 3], "int32")
    values[~real_steps(steps, values.shape[1])] = 1e6  # padding must not count
    inputs = {"x": values, "lengths": steps}
    full = [values[:1], steps[:1]]
    examples = [("serving_default", inputs, [values, steps]), ("whole", {"x": full[0]}, full)]
    signatures = {
        "serving_default": Signature(padded, [x, lengths]),
        "whole": Signature(whole, [x]),
    }
    return signatures, examples, ()


def _raw_values(model, shape):
    """Values of the size that the model's scaling expects."""
    values = np.random.default_rng(0).normal(size=shape)
    scalings = (x for x in layers_in(model) if isinstance(x, keras.layers.Normalization))
    for layer in islice(scalings, 1):  # of an ensemble the members' are much alike
        values = values * np.sqrt(layer.variance) + layer.mean
    return np.array(values, "float32")  # a copy: what a tensor gives cannot be written to


def token_signatures(predictor, answer):
    """Signatures of texts, or of token ids where there is no vocabulary."""
    vocabulary, tokens = predictor.vocabulary, predictor.tokens
    if vocabulary is None:
        ids = np.array([[1, 1, 1], [1, 0, 0]], "int32")
        spec = tf.TensorSpec((None, None), tf.int32, "tokens")
        signature = Signature(lambda tokens: answer(_right_padded(tokens)), [spec])
        return {"serving_default": signature}, [("serving_default", {"tokens": ids}, [ids])], ()
    table = text_ops.lookup(vocabulary)
    terms, tables = text_ops.ops_of(tokens).term_reader()

    def read(text):
        ids = text_ops.ids(table, terms(text)[:, : predictor.max_length])[0]
        first = tf.maximum(ids[:, :1], vocabulary.unknown_id)  # of a text without any token
        return answer(tf.concat([first, ids[:, 1:]], 1))

    texts = [example_text(vocabulary, tokens, number) for number in (8, 0, 3)]
    ids = pad([vocabulary.encode(predictor.terms(text)) for text in texts])
    examples = [("serving_default", {"text": texts}, [ids])]
    return {"serving_default": Signature(read, [string_spec("text")])}, examples, (table, *tables)


def _right_padded(tokens):
    gaps = tf.reduce_any((tokens[:, 1:] != 0) & (tokens[:, :-1] == 0))
    tf.debugging.Assert(~gaps, ["id 0 before a token: expected padding on the right only"])
    return tokens
