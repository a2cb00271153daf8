"""The same as ``text``, whose functions are the independent implementation."""

import random
from itertools import chain

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasrnn import Vocabulary, text
from kerasrnn.inference import text_ops
from kerasrnn.options import LEVELS

CASES = [
    "",
    "Don't I'd've can't won't -- 1,000.5 3:30 n't ’s He’s rock'n'roll a_b '''s x''s é's",
    "naïve... .. . $5.00 (see [it]) 'sat 'd've 1990's end'\u2003tab\x1fq _n't cou\u0301ldn't ٣½Ⅷ中",
]
ALPHABET = "n't sNT’\"rdvelm12.,:_é ß\u0301-\t\n٣½Ⅷ中\u2003\x1f"


def texts(number):
    rng = random.Random(0)
    sizes = (rng.randrange(1, 25) for _ in range(number))
    return CASES + ["".join(rng.choice(ALPHABET) for _ in range(size)) for size in sizes]


def decoded(tensor):
    if isinstance(tensor, tf.RaggedTensor):
        return [[token.decode() for token in row] for row in tensor.to_list()]
    return [one.decode() for one in tensor.numpy()]


def test_texts_are_split_as_python_splits_them():
    some = texts(3000)
    assert decoded(text_ops.split_words(tf.constant(some))) == [text.split_words(t) for t in some]
    for tokens in map(text.tokens_of, LEVELS):
        found = decoded(text_ops.ops_of(tokens).split(tf.constant(some)))
        assert found == [tokens.split(t) for t in some]


def test_sentences_are_split_as_python_splits_them():
    some = [" ".join(text.split()) for text in texts(300)]  # a line each
    for tokens in map(text.tokens_of, LEVELS):
        expected = [[*chain.from_iterable(tokens.sentences(t))] for t in some]
        assert decoded(text_ops.ops_of(tokens).sentence(tf.constant(some))) == expected


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cn", "Co")), max_size=20))
def test_any_text_has_the_same_characters_and_cleaning(some):
    assert decoded(text_ops.CharacterOps().split(tf.constant([some]))) == [list(some)]
    assert decoded(text_ops.clean(tf.constant([some]))) == [text.clean(some)]
    for tokens in map(text.tokens_of, LEVELS):
        found = text_ops.ops_of(tokens).clean_prompt(tf.constant([some]))
        assert decoded(found) == [tokens.clean_prompt(some)]


@pytest.mark.parametrize("after", ["", "a", " ", "(", "a\n"])
def test_words_are_joined_as_python_joins_them(after):
    rng = random.Random(1)
    marks = ["a", ".", ",", "(", "$", "“", "”", "“x", "b\n", "%", "[", "…"]
    rows = [[rng.choice(marks) for _ in range(rng.randrange(7))] for _ in range(500)]
    dense, lengths = text_ops.padded(tf.ragged.constant(rows, dtype=tf.string), "")
    assert lengths.numpy().tolist() == [len(row) for row in rows]
    found = text_ops.WordOps().join(dense, tf.constant(after))
    assert decoded(found) == [text.WordTokens().join(row, after) for row in rows]


def test_ids_are_those_of_the_vocabulary():
    table = text_ops.lookup(Vocabulary(["the", "cat", "sat", "\n"], padded=True))
    ids, lengths = text_ops.ids(table, tf.ragged.constant([["the", "dog"], [], ["\n"]]))
    assert ids.numpy().tolist() == [[2, 1], [0, 0], [5, 0]]
    assert lengths.numpy().tolist() == [2, 0, 1]
    nothing, lengths = text_ops.ids(table, tf.ragged.constant([[], []], dtype=tf.string))
    assert nothing.shape == (2, 1) and not np.any(lengths), "one step at least"


def test_masks_and_ends_of_lines():
    found = text_ops.masked(tf.constant([["a", "_", "____", "a_"]]))
    assert decoded(found[0]) == ["a", text.MASK, text.MASK, "a_"]
    assert decoded(text_ops.until_line_end(tf.constant(["ab\ncd\nx", "q", "\n"]))) == [
        "ab",
        "q",
        "",
    ]
