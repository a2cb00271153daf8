"""What ``text`` does with strings, inside a graph, with tensors of strings.

Regular expressions are RE2's, which has no lookahead; what is a letter, a digit or white space
is as in Python, not in ASCII alone.
"""

from __future__ import annotations

import tensorflow as tf

from kerasrnn.text import BLANK, LINE_END, NO_SPACE_AFTER, NO_SPACE_BEFORE

_SPACE = "[\t-\r\x1c- \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"  # str.isspace
_WORD = r"[\pL\pN_]"  # as \w of Python
_MARK = "\x1f"  # white space, so that no text has it once its white space is blanks
_NO_WORD = rf"($|[^\pL\pN_{_MARK}])"
_TOKENS = (
    rf"{_MARK}([^{_MARK}]+){_MARK}|"
    rf"(\p{{Nd}}+(?:[.,:]\p{{Nd}}+)+|{_WORD}+|\.{{2,}}|[^\pL\pN_ {_MARK}])"
)


def table(vocabulary, first=0) -> tf.lookup.StaticHashTable:
    """A look-up of the ids of a ``Vocabulary``, the unknown token's for what it lacks.

    first: the id of its first token, which is the unknown one.
    """
    ids = range(first, first + len(vocabulary))
    pairs = tf.lookup.KeyValueTensorInitializer(
        list(vocabulary.tokens), list(ids), tf.string, tf.int32
    )
    return tf.lookup.StaticHashTable(pairs, first)


def tokenize(text, unit) -> tf.RaggedTensor:
    """Strings (batch,) as characters, or as words at white space: (batch, tokens)."""
    if unit == "char":
        return tf.strings.unicode_split(text, "UTF-8")
    return tf.strings.split(_replace(text, _SPACE, " "))


def split_words(text) -> tf.RaggedTensor:
    """Words, numbers and punctuation marks as ``text.split_words`` splits them, (batch, words)."""
    text = _replace(text, _SPACE, " ")
    text = _replace(text, rf"([nN][’'][tT]){_NO_WORD}", rf"{_MARK}\1{_MARK}\2")
    for _ in range(2):  # of two in a row, as in "I'd've", the first hides the second
        contraction = rf"([’'](?i:s|re|ve|ll|d|m)){_NO_WORD}"
        text = _replace(text, contraction, rf"{_MARK}\1{_MARK}\2")
    return tf.strings.split(_replace(text, _TOKENS, r" \1\2 "))


def clean(text, kept="") -> tf.Tensor:
    """``text.clean``; the characters in ``kept`` stay as they are."""
    return tf.strings.lower(tf.strings.strip(_replace(text, f"[^A-Za-z{kept}]+", " ")))


def clean_prompt(text, unit) -> tf.Tensor:
    """``text.clean_prompt``."""
    cleaned = clean(text)
    if unit == "word":
        return cleaned
    ended = (cleaned != "") & ~tf.strings.regex_full_match(text, r"(?s).*\pL")
    return tf.where(ended, cleaned + " ", cleaned)


def blanks(tokens) -> tf.Tensor:
    """Tokens with ``text.BLANK`` for those of ``_`` only."""
    return tf.where(tf.strings.regex_full_match(tokens, "_+"), BLANK, tokens)


def detokenize(tokens, unit, after="") -> tf.Tensor:
    """Tokens (batch, time), ``""`` for none, joined as ``text.detokenize`` does: (batch,).

    after: the texts (batch,) that the results are to follow.
    """
    if unit == "word":
        closes, opens = (_one_of(marks) for marks in (NO_SPACE_BEFORE, NO_SPACE_AFTER))
        glued = tf.strings.regex_full_match(tokens, closes)
        before = tf.concat([_column(after, tokens), tokens[:, :-1]], 1)
        glued |= tf.strings.regex_full_match(before, f"(?s)|.*({opens}|{_SPACE})") | (tokens == "")
        tokens = tf.where(glued, tokens, " " + tokens)
    return tf.strings.reduce_join(tokens, -1)


def until_line_end(text) -> tf.Tensor:
    """Texts up to their first ``text.LINE_END``."""
    return tf.strings.regex_replace(text, f"(?s){LINE_END}.*", "")


def padded(ragged, padding) -> tuple[tf.Tensor, tf.Tensor]:
    """Rows of unequal length as (batch, time, …) of at least one step, and the lengths (batch,)."""
    lengths = tf.cast(ragged.row_lengths(), tf.int32)
    longest = tf.cast(ragged.bounding_shape(), tf.int64)
    dense = ragged.to_tensor(padding, shape=[None] * ragged.shape.rank)
    missing = tf.cast(longest[1:] == 0, tf.int32)
    room = tf.pad(tf.stack([tf.zeros_like(missing), missing], 1), [[1, 0], [0, 0]])
    return tf.pad(dense, room, constant_values=padding), lengths


def ids(table, tokens) -> tuple[tf.Tensor, tf.Tensor]:
    """Ids of ragged tokens, ``padded`` with 0."""
    return padded(tf.ragged.map_flat_values(table.lookup, tokens), 0)


def _one_of(marks):
    return "[" + "".join(f"\\{mark}" if mark.isascii() else mark for mark in sorted(marks)) + "]"


def _column(after, tokens):
    return tf.broadcast_to(tf.reshape(after, [-1, 1]), [tf.shape(tokens)[0], 1])


def _replace(text, pattern, by):
    return tf.strings.regex_replace(text, pattern, by)
