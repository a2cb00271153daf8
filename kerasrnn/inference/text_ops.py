"""What ``text`` does with strings, inside a graph, with tensors of strings.

Regular expressions are RE2's, which has no lookahead; what is a letter, a digit or white space
is as in Python, not in ASCII alone.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from kerasrnn.text import (
    LINE_END,
    MASK,
    NO_SPACE_AFTER,
    NO_SPACE_BEFORE,
    Tokens,
    Vocabulary,
    lower_cases,
)

_SPACE = "[\t-\r\x1c- \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"  # str.isspace
_WORD = r"[\pL\pN_]"  # as \w of Python
_NO_CASE = -1
_MARK = "\x1f"  # white space, so that no text has it once its white space is blanks
_NO_WORD = rf"($|[^\pL\pN_{_MARK}])"
_TOKENS = (
    rf"{_MARK}([^{_MARK}]+){_MARK}|"
    rf"(\p{{Nd}}+(?:[.,:]\p{{Nd}}+)+|{_WORD}+|\.{{2,}}|[^\pL\pN_ {_MARK}])"
)


def lookup(vocabulary: Vocabulary) -> tf.lookup.StaticHashTable:
    """A look-up of the ids of a vocabulary, the unknown token's for what it lacks."""
    ids = range(vocabulary.first_id, vocabulary.num_ids)
    pairs = tf.lookup.KeyValueTensorInitializer(
        list(vocabulary.tokens), list(ids), tf.string, tf.int32
    )
    return tf.lookup.StaticHashTable(pairs, vocabulary.unknown_id)


def lower_reader() -> tuple[Callable, tf.lookup.StaticHashTable]:
    """``text.lower_case`` for strings (n,), and the look-up that it uses."""
    pairs = tf.lookup.KeyValueTensorInitializer(
        *(list(side) for side in zip(*lower_cases().items(), strict=True)), tf.int32, tf.int32
    )
    table = tf.lookup.StaticHashTable(pairs, _NO_CASE)

    def lower(text):
        codes = tf.strings.unicode_decode(text, "UTF-8")
        low = tf.ragged.map_flat_values(table.lookup, codes)
        return tf.strings.unicode_encode(tf.where(low == _NO_CASE, codes, low), "UTF-8")

    return lower, table


class CharacterOps:
    """``text.CharacterTokens`` for tensors of strings."""

    def split(self, text) -> tf.RaggedTensor:
        """Strings (batch,) as characters (batch, tokens)."""
        return tf.strings.unicode_split(text, "UTF-8")

    def sentence(self, text) -> tf.RaggedTensor:
        """The tokens of texts (batch,) that are to be labelled."""
        return self.split(text)

    def term_reader(self) -> tuple[Callable, tuple]:
        """A function of texts (batch,) that gives their ``terms``, and the look-ups it uses."""
        return self.split, ()

    def join(self, tokens, after="") -> tf.Tensor:
        """Tokens (batch, time), ``""`` for none, as texts (batch,)."""
        return tf.strings.reduce_join(tokens, -1)

    def clean_prompt(self, text) -> tf.Tensor:
        """Like ``clean``, but keeps a trailing space."""
        cleaned = clean(text)
        ended = (cleaned != "") & ~tf.strings.regex_full_match(text, r"(?s).*\pL")
        return tf.where(ended, cleaned + " ", cleaned)


class WordOps:
    """``text.WordTokens`` for tensors of strings."""

    def split(self, text) -> tf.RaggedTensor:
        """Strings (batch,) as words (batch, tokens)."""
        return tf.strings.split(_replace(text, _SPACE, " "))

    def sentence(self, text) -> tf.RaggedTensor:
        """The words of sentences (batch,) that are to be labelled."""
        return split_words(text)

    def term_reader(self) -> tuple[Callable, tuple]:
        """A function of texts (batch,) that gives their ``terms``, and the look-ups it uses."""
        lower, table = lower_reader()
        return lambda text: split_words(lower(text)), (table,)

    def join(self, tokens, after="") -> tf.Tensor:
        """Tokens (batch, time), ``""`` for none, as texts (batch,) that follow ``after``."""
        closes, opens = (_one_of(marks) for marks in (NO_SPACE_BEFORE, NO_SPACE_AFTER))
        glued = tf.strings.regex_full_match(tokens, closes)
        before = tf.concat([_column(after, tokens), tokens[:, :-1]], 1)
        glued |= tf.strings.regex_full_match(before, f"(?s)|.*({opens}|{_SPACE})") | (tokens == "")
        return tf.strings.reduce_join(tf.where(glued, tokens, " " + tokens), -1)

    def clean_prompt(self, text) -> tf.Tensor:
        """``clean``."""
        return clean(text)


_OPS = {"char": CharacterOps(), "word": WordOps()}


def ops_of(tokens: Tokens) -> CharacterOps | WordOps:
    """What does in a graph what ``tokens`` do with strings."""
    return _OPS[tokens.level]


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


def masked(tokens) -> tf.Tensor:
    """Tokens with ``text.MASK`` for those of ``_`` only."""
    return tf.where(tf.strings.regex_full_match(tokens, "_+"), MASK, tokens)


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
