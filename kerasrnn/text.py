"""Text to tokens to ids and back. No Keras here."""

from __future__ import annotations

import json
import re
import tempfile
from collections import Counter
from collections.abc import Iterable

import numpy as np

from kerasrnn.errors import InputError

UNITS = ("char", "word")
UNKNOWN = "<unk>"
UNKNOWN_CHOICES = ("error", "skip", "unk")
LINE_END = "\n"  # the token that ends an independent line
BLANK = "<blank>"  # the token that stands for a hidden one
LARGE = 1 << 28  # bytes of ids that are still held in memory
_WORD = re.compile(
    r"\w+(?=n[’']t\b)|n[’']t\b|[’'](?:s|re|ve|ll|d|m)\b|\d+(?:[.,:]\d+)+|\w+|\.{2,}|[^\w\s]", re.I
)
NO_SPACE_BEFORE = set(".,;:!?)]}%…'’”")
NO_SPACE_AFTER = set("([{$‘“")


def clean(text, kept="") -> str:
    """Letters A to Z and ``kept`` only, lower-cased; all other runs of characters are one space.

    The classic cleaning of *Dive into Deep Learning* (Zhang et al.), which applies it to each
    line and strips the line.
    """
    return re.sub(f"[^A-Za-z{kept}]+", " ", text).strip().lower()


def tokenize(text, unit="char") -> list[str]:
    """Split a text into characters (Unicode code points) or words (at white space).

    Raises ``InputError`` for another ``unit``.
    """
    if unit not in UNITS:
        raise InputError("unknown unit of text", found=repr(unit), expected=" or ".join(UNITS))
    return list(text) if unit == "char" else text.split()


def split_words(text) -> list[str]:
    """Words, numbers and punctuation marks of a text, each by itself, as treebanks split them.

    English contractions are taken apart: "don't" is "do", "n't".
    """
    return re.findall(_WORD, text)


def detokenize(tokens, unit="char", after="") -> str:
    """Join tokens as text: characters as they are, words with spaces.

    No space goes before closing punctuation or after opening brackets. ``after`` is the text
    that the result is to follow; only its last character matters.
    """
    if unit == "char":
        return "".join(tokens)
    text = ""
    last = after[-1:]
    for token in tokens:
        glued = not last or last.isspace() or token in NO_SPACE_BEFORE or last in NO_SPACE_AFTER
        text += token if glued else f" {token}"
        last = text[-1:]
    return text


def count(tokens) -> Counter:
    """How often each token occurs, in an iterable of tokens or nested lists of them."""
    return Counter(_flatten(tokens))


class Vocabulary:
    """Tokens and their ids.

    Id 0 is the unknown token, the reserved tokens follow, then all others by falling
    frequency, those that occur equally often in the order of their first appearance.

    Args:
        tokens: an iterable of tokens, or nested lists of them, or a ``Counter``.
        min_frequency: tokens that occur less often are left out.
        max_size: largest number of tokens, the unknown and reserved ones included.
        reserved: tokens that come right after the unknown one.

    Raises:
        InputError: a reserved token repeats, or there is no room for the reserved ones.
    """

    def __init__(self, tokens=(), *, min_frequency=1, max_size=None, reserved=()):
        fixed = [UNKNOWN, *reserved]
        if len(set(fixed)) < len(fixed):
            raise InputError("reserved tokens that repeat", found=fixed)
        if max_size is not None and max_size < len(fixed):
            raise InputError(
                "max_size too small", found=max_size, expected=f"at least {len(fixed)}"
            )
        counts = tokens if isinstance(tokens, Counter) else count(tokens)
        kept = [
            token
            for token, number in counts.most_common()  # stable: ties in order of appearance
            if number >= min_frequency and token not in fixed
        ]
        self.tokens = tuple((fixed + kept)[:max_size])
        self._ids = {token: index for index, token in enumerate(self.tokens)}

    def __len__(self):
        return len(self.tokens)

    def __contains__(self, token):
        return token in self._ids

    def __eq__(self, other):
        return isinstance(other, Vocabulary) and self.tokens == other.tokens

    __hash__ = None

    def __repr__(self):
        return f"Vocabulary({len(self)} tokens)"

    def encode(self, tokens):
        """The id of a token; for a list of tokens, nested or not, lists of ids."""
        if isinstance(tokens, str):
            return self._ids.get(tokens, 0)
        return [self.encode(token) for token in tokens]

    def decode(self, ids):
        """The token of an id; for lists or arrays of ids, nested or not, lists of tokens.

        Raises ``InputError`` for an id outside the vocabulary.
        """
        if isinstance(ids, (int, np.integer)):
            if not 0 <= ids < len(self):
                raise InputError(
                    "an id outside the vocabulary", found=ids, expected=f"0 to {len(self) - 1}"
                )
            return self.tokens[ids]
        return [self.decode(index) for index in ids]

    def to_json(self) -> str:
        """The tokens as a JSON list, in the order of their ids."""
        return json.dumps(self.tokens, ensure_ascii=False)

    @classmethod
    def from_json(cls, text) -> Vocabulary:
        """The vocabulary that ``to_json`` wrote. Raises ``InputError`` for another text."""
        try:
            tokens = json.loads(text)
        except ValueError as error:
            raise InputError(f"broken vocabulary: {error}") from error
        if (
            not isinstance(tokens, list)
            or not all(isinstance(token, str) for token in tokens)
            or tokens[:1] != [UNKNOWN]
            or len(set(tokens)) < len(tokens)
        ):
            raise InputError(
                "not a vocabulary", expected=f"a JSON list of distinct strings, {UNKNOWN!r} first"
            )
        return cls(reserved=tokens[1:])


def clean_prompt(text, unit="char") -> str:
    """``clean`` for a text that is to go on: of characters the space at its end stays."""
    ended = unit == "char" and not text[-1:].isalpha()
    return (clean(text) + " " * ended).lstrip()


def known(tokens, vocabulary, unknown="error") -> list[str]:
    """The tokens that a vocabulary knows.

    unknown: what to do with those that it lacks: ``"error"``, ``"skip"`` them, or keep them
    as ``"unk"``.

    Raises ``InputError`` for a token that the vocabulary lacks, or another ``unknown``.
    """
    if unknown not in UNKNOWN_CHOICES:
        raise InputError("bad unknown", found=repr(unknown), expected=" or ".join(UNKNOWN_CHOICES))
    strange = [token for token in dict.fromkeys(tokens) if token not in vocabulary]
    if strange and unknown == "error":
        raise InputError(
            "the vocabulary lacks tokens of the text",
            found=", ".join(map(repr, strange[:8])) + (", …" if len(strange) > 8 else ""),
            fix="leave them out, or choose unknown 'skip' or 'unk'",
        )
    if unknown == "skip":
        tokens = [token for token in tokens if token in vocabulary]
    return tokens


def encode_corpus(read, unit="char", *, lines=False, classic=False, max_tokens=None, **vocabulary):
    """The vocabulary of a corpus and its ids, read in pieces, so that it may be large.

    The text is read twice, to count and to encode. A large array of ids is a memory map of a
    temporary file; its type is the smallest unsigned integer that holds them.

    Args:
        read: called without arguments, gives an iterator over the pieces of the text.
        unit: ``"char"`` or ``"word"``.
        lines: strip each line, leave blank ones out, and end each by the token ``LINE_END``.
        classic: ``clean`` each line; join lines of characters without anything in between.
        max_tokens: use only so many tokens, from the beginning.
        **vocabulary: ``min_frequency``, ``max_size``, ``reserved`` of the ``Vocabulary``.

    Returns:
        ``(Vocabulary, ids)`` with ids (tokens,).
    """
    counts, total = Counter(), 0
    for tokens in _pieces(read(), unit, lines, classic, max_tokens):
        _add_counts(counts, tokens)
        total += len(tokens)
    known = Vocabulary(counts, **vocabulary)
    dtype = np.min_scalar_type(len(known) - 1)
    if total * dtype.itemsize < LARGE:
        ids = np.empty(total, dtype)
    else:
        with tempfile.TemporaryFile() as file:  # unnamed: it goes with the array
            ids = np.memmap(file, dtype, "w+", shape=(total,))
    start = 0
    encode = _character_encoder(known, dtype) if unit == "char" else known.encode
    for tokens in _pieces(read(), unit, lines, classic, max_tokens):
        ids[start : start + len(tokens)] = encode(tokens)
        start += len(tokens)
    return known, ids


def _pieces(chunks, unit, lines, classic, max_tokens):
    """Arrays of code points, or lists of words, that together are the whole corpus."""
    left = max_tokens
    ends = "\n" if classic or lines else "" if unit == "char" else " \t\n"
    for text in _whole(chunks, ends):
        if classic or lines:
            text = _line_by_line(text, unit, lines, classic)
        if unit == "char":
            tokens = np.frombuffer(text.encode("utf-32-le"), "<u4")
        elif lines:
            tokens = [token for line in text.split("\n")[:-1] for token in (*line.split(), "\n")]
        else:
            tokens = tokenize(text, unit)
        yield tokens[:left]
        if left is not None:
            left -= min(left, len(tokens))
            if left == 0:
                return


def _line_by_line(text, unit, lines, classic):
    found = text.split("\n")
    found = [clean(line) if classic else line.strip() for line in found]
    if lines:
        return "".join(line + LINE_END for line in found if line)
    return ("" if unit == "char" else " ").join(found)


def _whole(chunks, ends):
    """The chunks, cut anew so that each stops after one of the characters in ``ends``."""
    rest = ""
    for chunk in chunks:
        text = rest + chunk
        cut = max(text.rfind(end) for end in ends) + 1 if ends else len(text)
        if cut:
            yield text[:cut]
        rest = text[cut:]
    if rest:
        yield rest


def _add_counts(counts, tokens):
    """Count tokens; new ones go in by their first appearance."""
    if isinstance(tokens, list):
        counts.update(tokens)
        return
    numbers = np.bincount(tokens)
    present = numbers.nonzero()[0].tolist()
    first = {code: int((tokens == code).argmax()) for code in present if chr(code) not in counts}
    for code in sorted(present, key=lambda code: first.get(code, -1)):
        counts[chr(code)] += int(numbers[code])


def _character_encoder(vocabulary, dtype):
    """A function from an array of code points to one of ids."""
    table = np.zeros(0x110000, dtype)
    for index, token in enumerate(vocabulary.tokens):
        if len(token) == 1:
            table[ord(token)] = index
    return table.__getitem__


def _flatten(tokens) -> Iterable[str]:
    for token in tokens:
        if isinstance(token, str):
            yield token
        else:
            yield from _flatten(token)
