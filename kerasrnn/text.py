"""Text to tokens to ids and back. No Keras here."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache

import numpy as np

from kerasrnn.errors import InputError, check_choice
from kerasrnn.options import UNKNOWN_CHOICES

UNKNOWN = "<unk>"
LINE_END = "\n"  # the token that ends an independent line
MASK = "<blank>"  # the token that stands for a hidden one, as vocabulary.json spells it
_WORD = re.compile(
    r"\w+(?=n[’']t\b)|n[’']t\b|[’'](?:s|re|ve|ll|d|m)\b|\d+(?:[.,:]\d+)+|\w+|\.{2,}|[^\w\s]", re.I
)
_LAST_CASED = 0x1E943  # the last letter that has a case
_BLOCK_LENGTH = 1000  # characters of a block of whole lines
NO_SPACE_BEFORE = set(".,;:!?)]}%…'’”")
NO_SPACE_AFTER = set("([{$‘“")


def clean(text: str, kept: str = "") -> str:
    """Letters A to Z and ``kept`` only, lower-cased; all other runs of characters are one space.

    The classic cleaning of *Dive into Deep Learning* (Zhang et al.), which applies it to each
    line and strips the line.

    >>> clean("It's 5 o'clock!")
    'it s o clock'
    """
    return re.sub(f"[^A-Za-z{kept}]+", " ", text).strip().lower()


def split_words(text: str) -> list[str]:
    """Words, numbers and punctuation marks of a text, each by itself, as treebanks split them.

    English contractions are taken apart.

    >>> split_words("I don't know.")
    ['I', 'do', "n't", 'know', '.']
    """
    return re.findall(_WORD, text)


@cache
def lower_cases() -> dict[int, int]:
    """The code point of each upper-case letter's lower-case one, where that is a single one."""
    pairs = ((code, chr(code).lower()) for code in range(_LAST_CASED + 1))
    return {code: ord(low) for code, low in pairs if len(low) == 1 and low != chr(code)}


def lower_case(text: str) -> str:
    """The text with each letter in lower case by itself (``lower_cases``), in every language.

    >>> lower_case("PARIS")
    'paris'
    """
    return text.lower() if text.isascii() else text.translate(lower_cases())


def split_blocks(text: str) -> list[str]:
    """Blocks of whole lines, of about 1,000 characters each, that together are the text."""
    blocks = [""]
    for line in io.StringIO(text):
        if len(blocks[-1]) + len(line) > _BLOCK_LENGTH:
            blocks.append("")
        blocks[-1] += line
    return [block for block in blocks if block]


class CharacterTokens:
    """A token is a character, a Unicode code point."""

    level = "char"
    noun = "characters"
    bits = "bits_per_character"
    boundaries = ""  # a text may be cut anywhere
    separator = ""
    blank = "_"
    composed = False  # a tagger does not read the characters of a token too

    def split(self, text: str) -> list[str]:
        """The tokens of a text."""
        return list(text)

    def join(self, tokens: Iterable[str], after: str = "") -> str:
        """Tokens as text; ``after``, the text that the result is to follow, does not matter."""
        return "".join(tokens)

    def clean_prompt(self, text: str) -> str:
        """Like ``clean``, but keeps a trailing space, which the text may go on from."""
        return (clean(text) + " " * (not text[-1:].isalpha())).lstrip()

    def sentences(self, text: str) -> list[list[str]]:
        """The tokens of each block of a text that is to be labelled."""
        return [list(block) for block in split_blocks(text)]

    def terms(self, text: str) -> list[str]:
        """The tokens of a text that is to be classified: its characters."""
        return list(text)

    def merge(self, pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """(token, label) pairs with neighbours of one label joined to one token.

        >>> CharacterTokens().merge([("a", "name"), ("b", "name"), ("=", "operator")])
        [('ab', 'name'), ('=', 'operator')]
        """
        merged = []
        for character, label in pairs:
            if merged and merged[-1][1] == label:
                merged[-1] = merged[-1][0] + character, label
            else:
                merged.append((character, label))
        return merged

    def show(self, token: str) -> str:
        """A token on one line, white space escaped."""
        return json.dumps(token)[1:-1]

    def sequence(self, text: str, lines: bool) -> np.ndarray:
        """Code points of a piece of a corpus, uint32 (tokens,)."""
        return np.frombuffer(text.encode("utf-32-le"), "<u4")

    def add_counts(self, counts: Counter, sequence: np.ndarray):
        """Count the tokens of a ``sequence``; new ones are added by their first appearance."""
        numbers = np.bincount(sequence)
        present = numbers.nonzero()[0].tolist()
        first = {
            code: int((sequence == code).argmax()) for code in present if chr(code) not in counts
        }
        for code in sorted(present, key=lambda code: first.get(code, -1)):
            counts[chr(code)] += int(numbers[code])

    def encoder(self, vocabulary: Vocabulary, dtype) -> Callable:
        """A function from a ``sequence`` to the ids of a vocabulary."""
        table = np.full(0x110000, vocabulary.unknown_id, dtype)
        for token in vocabulary.tokens:
            if len(token) == 1:
                table[ord(token)] = vocabulary.encode(token)
        return table.__getitem__


class WordTokens:
    """A token is a word: what white space separates."""

    level = "word"
    noun = "words"
    bits = "bits_per_word"
    boundaries = " \t\n"  # a text may be cut after one of these
    separator = " "
    blank = "____"
    composed = True  # a tagger also reads the characters of a token

    def split(self, text: str) -> list[str]:
        """The tokens of a text."""
        return text.split()

    def join(self, tokens: Iterable[str], after: str = "") -> str:
        """Tokens as text, with spaces but before closing and after opening punctuation.

        ``after`` is the text that the result is to follow; only its last character matters.

        >>> WordTokens().join(["(", "a", "word", ")", "."])
        '(a word).'
        """
        text, last = "", after[-1:]
        for token in tokens:
            glued = not last or last.isspace() or token in NO_SPACE_BEFORE or last in NO_SPACE_AFTER
            text += token if glued else f" {token}"
            last = text[-1:]
        return text

    def clean_prompt(self, text: str) -> str:
        """``clean``."""
        return clean(text)

    def sentences(self, text: str) -> list[list[str]]:
        """The words of each line of a text that is to be labelled (``split_words``)."""
        return [words for line in text.splitlines() if (words := split_words(line))]

    def terms(self, text: str) -> list[str]:
        """The tokens of a text that is to be classified: words and marks, in ``lower_case``.

        >>> WordTokens().terms("Don't PANIC!")
        ['do', "n't", 'panic', '!']
        """
        return split_words(lower_case(text))

    def merge(self, pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """(token, label) pairs as they are."""
        return pairs

    def show(self, token: str) -> str:
        """The token."""
        return token

    def sequence(self, text: str, lines: bool) -> list[str]:
        """The words of a piece of a corpus, with ``LINE_END`` after each line of ``lines``."""
        if not lines:
            return text.split()
        return [token for line in text.split("\n")[:-1] for token in (*line.split(), LINE_END)]

    def add_counts(self, counts: Counter, sequence: list[str]):
        """Count the tokens of a ``sequence``; new ones are added by their first appearance."""
        counts.update(sequence)

    def encoder(self, vocabulary: Vocabulary, dtype) -> Callable:
        """A function from a ``sequence`` to the ids of a vocabulary."""
        return vocabulary.encode


Tokens = CharacterTokens | WordTokens
_TOKENS = {tokens.level: tokens for tokens in (CharacterTokens(), WordTokens())}


def tokens_of(level: str) -> Tokens:
    """What splits and joins text at a level, ``"char"`` or ``"word"``. Raises ``InputError``.

    >>> tokens_of("word").split("to be")
    ['to', 'be']
    """
    check_choice("level", level, _TOKENS)
    return _TOKENS[level]


class Vocabulary:
    """Tokens and their ids.

    The first token is the unknown one; reserved tokens follow, then all others by falling
    frequency, those that occur equally often in the order of their first appearance.

    Args:
        tokens: an iterable of tokens, or nested lists of them, or a ``Counter``.
        min_frequency: tokens that occur less often are left out.
        max_size: largest number of tokens, the unknown and reserved ones included.
        reserved: tokens that come right after the unknown one.
        padded: id 0 stands for padding, and the tokens have the ids from 1 on.

    Raises:
        InputError: a reserved token repeats, or there is no room for the reserved ones.

    >>> vocabulary = Vocabulary("abracadabra", padded=True)
    >>> vocabulary.encode(["a", "b", "?"]), vocabulary.num_ids
    ([2, 3, 1], 7)
    """

    def __init__(
        self,
        tokens: Iterable = (),
        *,
        min_frequency: int = 1,
        max_size: int | None = None,
        reserved: Sequence[str] = (),
        padded: bool = False,
    ):
        fixed = [UNKNOWN, *reserved]
        if len(set(fixed)) < len(fixed):
            raise InputError("reserved tokens that repeat", found=fixed)
        if max_size is not None and max_size < len(fixed):
            raise InputError(
                "max_vocabulary too small", found=max_size, expected=f"at least {len(fixed)}"
            )
        counts = tokens if isinstance(tokens, Counter) else Counter(_flatten(tokens))
        kept = [
            token
            for token, number in counts.most_common()  # stable: ties in order of appearance
            if number >= min_frequency and token not in fixed
        ]
        self.tokens = tuple((fixed + kept)[:max_size])
        self.padded = padded
        self._ids = {token: index for index, token in enumerate(self.tokens, self.first_id)}

    @property
    def first_id(self) -> int:
        """The id of the first token, which is the unknown one."""
        return int(self.padded)

    @property
    def unknown_id(self) -> int:
        """The id of all tokens that the vocabulary lacks."""
        return self.first_id

    @property
    def line_end_id(self) -> int | None:
        """The id of ``LINE_END``; None where there is none."""
        return self._ids.get(LINE_END)

    @property
    def mask_id(self) -> int | None:
        """The id of ``MASK``; None where there is none."""
        return self._ids.get(MASK)

    @property
    def num_ids(self) -> int:
        """Number of ids, that of padding included: the ``vocabulary_size`` of a model."""
        return self.first_id + len(self.tokens)

    def __len__(self):
        return len(self.tokens)

    def __contains__(self, token):
        return token in self._ids

    def __eq__(self, other):
        if not isinstance(other, Vocabulary):
            return NotImplemented
        return (self.tokens, self.padded) == (other.tokens, other.padded)

    __hash__ = None

    def __repr__(self):
        return f"Vocabulary({len(self)} tokens)"

    def encode(self, tokens):
        """The id of a token; for a list of tokens, nested or not, lists of ids."""
        if isinstance(tokens, str):
            return self._ids.get(tokens, self.unknown_id)
        return [self.encode(token) for token in tokens]

    def decode(self, ids):
        """The token of an id; for lists or arrays of ids, nested or not, lists of tokens.

        Raises ``InputError`` for an id that stands for no token.
        """
        if isinstance(ids, (int, np.integer)):
            if not self.first_id <= ids < self.num_ids:
                raise InputError(
                    "an id outside the vocabulary",
                    found=ids,
                    expected=f"{self.first_id} to {self.num_ids - 1}",
                )
            return self.tokens[ids - self.first_id]
        return [self.decode(index) for index in ids]

    def known(self, tokens: Sequence[str], unknown: str = "error") -> list[str]:
        """The tokens of a text that the vocabulary has.

        unknown: what to do with the others: ``"error"``, ``"skip"`` them, or keep them as
        ``"unk"``.

        Raises ``InputError`` for a token that the vocabulary lacks, or another ``unknown``.
        """
        check_choice("treatment of tokens", unknown, UNKNOWN_CHOICES)
        strange = [token for token in dict.fromkeys(tokens) if token not in self]
        if strange and unknown == "error":
            raise InputError(
                "the vocabulary lacks tokens of the text",
                found=", ".join(map(repr, strange[:8])) + (", …" if len(strange) > 8 else ""),
                fix="leave them out, or choose unknown 'skip' or 'unk'",
            )
        return [token for token in tokens if unknown == "unk" or token in self]

    def to_json(self) -> str:
        """The tokens as a JSON list, in the order of their ids."""
        return json.dumps(self.tokens, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str, *, padded: bool = False) -> Vocabulary:
        """The vocabulary that ``to_json`` wrote. Raises ``InputError`` for another text."""
        try:
            tokens = json.loads(text)
        except (ValueError, RecursionError) as error:
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
        return cls(reserved=tokens[1:], padded=padded)


def _flatten(tokens) -> Iterable[str]:
    for token in tokens:
        if isinstance(token, str):
            yield token
        else:
            yield from _flatten(token)
