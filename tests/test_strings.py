"""The same as ``text``, whose functions are the independent implementation."""

import random

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasrnn import Vocabulary, text
from kerasrnn.inference import text_ops as strings

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
    assert decoded(strings.split_words(tf.constant(some))) == [text.split_words(t) for t in some]
    for unit in text.UNITS:
        found = decoded(strings.tokenize(tf.constant(some), unit))
        assert found == [text.tokenize(t, unit) for t in some]


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cn", "Co")), max_size=20))
def test_any_text_has_the_same_characters_and_cleaning(some):
    assert decoded(strings.tokenize(tf.constant([some]), "char")) == [list(some)]
    assert decoded(strings.clean(tf.constant([some]))) == [text.clean(some)]
    for unit in text.UNITS:
        found = strings.clean_prompt(tf.constant([some]), unit)
        assert decoded(found) == [text.clean_prompt(some, unit)]


@pytest.mark.parametrize("after", ["", "a", " ", "(", "a\n"])
def test_words_are_joined_as_python_joins_them(after):
    rng = random.Random(1)
    marks = ["a", ".", ",", "(", "$", "“", "”", "“x", "b\n", "%", "[", "…"]
    rows = [[rng.choice(marks) for _ in range(rng.randrange(7))] for _ in range(500)]
    dense, lengths = strings.padded(tf.ragged.constant(rows, dtype=tf.string), "")
    assert lengths.numpy().tolist() == [len(row) for row in rows]
    found = strings.detokenize(dense, "word", tf.constant(after))
    assert decoded(found) == [text.detokenize(row, "word", after) for row in rows]


def test_ids_are_those_of_the_vocabulary():
    vocabulary = Vocabulary(["the", "cat", "sat", "\n"])
    table = strings.table(vocabulary, first=1)
    ids, lengths = strings.ids(table, tf.ragged.constant([["the", "dog"], [], ["\n"]]))
    assert ids.numpy().tolist() == [[2, 1], [0, 0], [5, 0]] and lengths.numpy().tolist() == [
        2,
        0,
        1,
    ]
    nothing, lengths = strings.ids(table, tf.ragged.constant([[], []], dtype=tf.string))
    assert nothing.shape == (2, 1) and not np.any(lengths), "one step at least"


def test_blanks_and_ends_of_lines():
    found = strings.blanks(tf.constant([["a", "_", "____", "a_"]]))
    assert decoded(found[0]) == ["a", text.BLANK, text.BLANK, "a_"]
    assert decoded(strings.until_line_end(tf.constant(["ab\ncd\nx", "q", "\n"]))) == ["ab", "q", ""]
