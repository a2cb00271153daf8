"""The signatures of a classifier's export: of sequences of numbers, of texts and of token ids."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from kerasrnn.data.parts import pad
from kerasrnn.inference import text_ops
from kerasrnn.inference.signatures import (
    Signature,
    example_sequences,
    example_text,
    one_step_at_least,
    string_spec,
)


def float_signatures(predictor, answer):
    """Signatures of raw sequences; examples as (signature, inputs, inputs of the model)."""
    model = predictor.model
    x = tf.TensorSpec((None, None, model.inputs[0].shape[2]), tf.float32, "x")
    lengths = tf.TensorSpec((None,), tf.int32, "lengths")

    def padded(x, lengths):
        return answer(one_step_at_least(x), lengths)

    def whole(x):
        return padded(x, tf.fill([tf.shape(x)[0]], tf.shape(x)[1]))

    values, *steps = example_sequences(model)
    if not steps:
        plain = Signature(lambda x: answer(one_step_at_least(x)), [x])
        return {"serving_default": plain}, [("serving_default", {"x": values}, [values])], ()
    given, full = [values, *steps], [values[:1], steps[0][:1]]
    inputs = {"x": values, "lengths": steps[0]}
    examples = [("serving_default", inputs, given), ("whole", {"x": full[0]}, full)]
    signatures = {
        "serving_default": Signature(padded, [x, lengths]),
        "whole": Signature(whole, [x]),
    }
    return signatures, examples, ()


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
