"""``Texts``: labelled texts as token ids, in three parts. No Keras here."""

from __future__ import annotations

import hashlib
import os
import warnings
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from textwrap import shorten

import numpy as np

from kerasrnn.data.checks import encode_labels
from kerasrnn.data.parts import (
    ThreeParts,
    cut_missing,
    real_steps,
    warn_of_unseen_labels,
    with_tokens_of,
)
from kerasrnn.data.readers import LabelledTexts, TextParts
from kerasrnn.data.storage import FileArray, GrowingArray, chunks
from kerasrnn.errors import InputError, check_positive, check_seed, check_split
from kerasrnn.text import UNKNOWN, Tokens, Vocabulary, tokens_of

LONGEST = 500  # tokens of a text that are read, unless max_length says otherwise
_LOOKED_AT = 10_000  # texts that tell the level
_TEXTS = 1 << 12  # that are taken at a time
_EXAMPLES = 20  # texts one of which is shown
_LINE = 60  # characters of it
_TOKENS = 1 << 20  # that are kept as a list
_MANY = 1_000_000  # words from which on those that occur once are unknown
SEPARATOR = "|"  # of several labels, where they come as lists


@dataclass(frozen=True, eq=False)
class TextPart:
    """Texts of one part as token ids, and their labels.

    x: int32 (tokens,), the ids of all texts one after the other, in a file where they are many.
    y: int (n,), indices into the data's labels, or uint8 (n, labels), 1 for each that a text has.
    lengths: int32 (n,), the tokens of each, at least one.
    """

    x: np.ndarray | FileArray
    y: np.ndarray
    lengths: np.ndarray

    def __len__(self):
        return len(self.lengths)

    def select(self, indices: np.ndarray) -> TextPart:
        """The texts at ``indices``."""
        lengths, starts = self.lengths[indices], starts_of(self.lengths)[indices]
        return TextPart(_gather(self.x, starts, lengths), self.y[indices], lengths)

    def texts(self, vocabulary: Vocabulary, separator: str) -> Iterator[str]:
        """Each text as its tokens, joined."""
        names = np.array(["", *vocabulary.tokens], object)
        for start, length in zip(starts_of(self.lengths), self.lengths, strict=True):
            yield separator.join(names[self.x[start : start + length]])


@dataclass(frozen=True, eq=False)
class Texts(ThreeParts):
    """Texts ready for a classifier.

    name: short, used in run names. source: where they come from, an absolute path; ``""`` for
    lists in memory. labels: the class names, in index order; an index, or a column, from
    ``len(labels)`` on, in another part than the training part, means one of the
    unseen_labels, which the training part lacks. vocabulary: the tokens of the training part,
    id 0 being padding. train, validation, test: the parts; validation is None if there is none.
    options: how they were read and cut, with the ``level`` and ``max_length`` that were found.
    truncated: number of training texts that were longer. reading: how another file of the kind
    is read. example: the beginning of a text of the test part, as it was written. remake: of
    texts in memory, cuts them by other options.

    >>> data = Texts.from_lists(["Good day!", "Bad day."] * 10, ["yes", "no"] * 10)
    >>> data.labels, data.level, data.vocabulary.tokens
    (('no', 'yes'), 'word', ('<unk>', 'day', 'good', '!', 'bad', '.'))
    """

    name: str
    source: str
    labels: tuple[str, ...]
    vocabulary: Vocabulary
    train: TextPart
    validation: TextPart | None
    test: TextPart
    options: dict
    truncated: int = 0
    unseen_labels: tuple[str, ...] = ()
    reading: dict = field(default_factory=dict)
    example: str = ""
    task: str = "classifier"
    kind: str | None = "texts"
    remake: Callable[[dict], Texts] | None = None

    @classmethod
    def from_lists(
        cls,
        texts: Sequence[str],
        labels: Sequence,
        *,
        validation: tuple[Sequence[str], Sequence] | None = None,
        test: tuple[Sequence[str], Sequence] | None = None,
        level: str | None = None,
        max_vocabulary: int | None = None,
        min_frequency: int | None = None,
        max_length: int | None = None,
        validation_split: float | None = None,
        seed: int = 0,
        start_from: str | os.PathLike | None = None,
        name: str = "texts",
    ) -> Texts:
        """Texts in memory, each with a label, or with a list of labels.

        Args:
            texts: n strings.
            labels: a label for each, or a list of labels where a text may have several.
            validation, test: texts and labels of those parts, which are otherwise cut off.
            level: tokens are ``"word"`` (words and marks, in lower case) or ``"char"``; None for
                characters where most texts are a single word, else words.
            max_vocabulary: largest number of tokens, the unknown one included.
            min_frequency: tokens that occur less often in the training part are unknown; by
                default 1 of fewer than a million words, else 2.
            max_length: tokens of a text that are read, the first ones; None for 500.
            validation_split: fraction of the training part that is cut off for validation, in
                [0, 1), the same of each class; 0 for none. By default 0.1, and none of fewer
                than 10,000.
            seed: fixes that cut.
            start_from: a run whose tokens the vocabulary has too, to train on from it.
            name: used in run names.

        Raises:
            InputError: texts that cannot be trained on, or a bad option.

        >>> print(Texts.from_lists(["ann", "bob", "eve", "tom"] * 5, ["f", "m", "f", "m"] * 5))
        texts: 16 training, 4 test texts of up to 3 characters, 9 in the vocabulary, 2 labels
        """
        parts = {"training": (texts, labels), "validation": validation, "test": test}
        parts = {part: LabelledTexts(*map(list, found)) for part, found in parts.items() if found}
        options = {
            "level": level,
            "max_vocabulary": max_vocabulary,
            "min_frequency": min_frequency,
            "max_length": max_length,
            "multi_label": None,
            "validation_split": validation_split,
            "seed": seed,
        }
        options |= {"start_from": os.path.abspath(start_from)} if start_from else {}
        remake = partial(cls.from_parts, TextParts(name, parts), "", name)
        return replace(remake(options), remake=remake)

    @classmethod
    def from_parts(cls, found: TextParts, source: str, where: str, options: dict) -> Texts:
        """What a reader gave, checked, cut and encoded.

        Args:
            found: of a reader.
            source: where it comes from, an absolute path or ``""``.
            where: what messages call it.
            options: all those of ``from_lists``, and ``multi_label``, the separator of several
                labels.

        Raises:
            InputError: as of ``from_lists``.
        """
        _check(found.parts, options, where)
        labels, unseen, y, several = _encode_labels(found.parts, options["multi_label"], where)
        training = found.parts["training"].texts
        level = options["level"] or _level_of(training)
        longest = options["max_length"] or LONGEST
        known = {}  # the number of each token of all parts
        parts = {
            part: _number(some.texts, tokens_of(level), known, y[part], longest + 1)
            for part, some in found.parts.items()
        }
        cut_missing(parts, options, where, "texts", found.groups)
        truncated = int((parts["training"].lengths > longest).sum())
        parts = {name: _shorten(part, longest) for name, part in parts.items()}
        few_words = level == "word" and len(parts["training"].x) < _MANY
        fewest = options["min_frequency"] or (1 if few_words else 2)
        options = options | {"min_frequency": fewest}
        vocabulary = _vocabulary(parts["training"], known, options)
        ids = np.array(vocabulary.encode(list(known)), "int32")
        parts = {name: _renumbered(part, ids) for name, part in parts.items()}
        separator = (options["multi_label"] or SEPARATOR) if several else None
        resolved = {"level": level, "max_length": longest, "multi_label": separator}
        written = found.parts.get("test", found.parts["training"]).texts
        data = cls(
            *(found.name, source, labels, vocabulary),
            *(parts["training"], parts.get("validation"), parts["test"]),
            *(options | resolved, truncated, unseen),
            found.reading | ({"separator": separator} if several else {}),
            example=_example(written, parts["test"], vocabulary, tokens_of(level), longest),
        )
        warn_of_unseen_labels(data, where)
        if truncated and not options["max_length"]:
            warnings.warn(
                f"{where}: {data.said_of_lengths()}; --max-length reads more", stacklevel=3
            )
        return data

    @property
    def level(self) -> str:
        """What a token is, ``"word"`` or ``"char"``."""
        return self.options["level"]

    @property
    def tokens(self) -> Tokens:
        """What splits its texts."""
        return tokens_of(self.level)

    @property
    def several(self) -> bool:
        """Whether a text may have several labels, or none."""
        return self.options["multi_label"] is not None

    def said_of_lengths(self) -> str:
        """How many texts were longer than what is read of them."""
        longest, noun = self.options["max_length"], self.tokens.noun
        share = self.truncated / len(self.train)
        return f"{share:.1%} of the texts are longer than {longest:,} {noun} and cut there"

    def __str__(self):
        longest = max(int(part.lengths.max()) for part in self.parts().values())
        return (
            f"{self.name}: {self._sizes_in_words()} texts of up to {longest:,} {self.tokens.noun}, "
            f"{len(self.vocabulary):,} in the vocabulary, {len(self.labels)} labels"
            + (", several a text" if self.several else "")
            + (f"; {self.said_of_lengths()}" if self.truncated else "")
        )

    def fingerprint(self) -> str:
        """SHA-256 of the vocabulary, the labels and all texts."""
        digest = hashlib.sha256(self.vocabulary.to_json().encode("utf-8", "surrogatepass"))
        digest.update("\0".join(self.labels + self.unseen_labels).encode())
        for part in self.parts().values():
            for values in (part.x, part.y, part.lengths):
                digest.update(f"{values.dtype}{values.shape}".encode())
                for _, some in chunks(values):
                    digest.update(np.ascontiguousarray(some))
        return digest.hexdigest()


def terms_of(text: str, tokens: Tokens) -> list[str]:
    """The tokens of a text that is to be classified: one at least, which is then unknown."""
    return tokens.terms(text) or [UNKNOWN]


def starts_of(lengths: np.ndarray) -> np.ndarray:
    """Where each of some texts begins that lie one after the other, int64 (n,)."""
    return np.cumsum(lengths, dtype="int64") - lengths


def pad_texts(x: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Some of the texts in x (tokens,), as int32 (n, longest), padded on the right with 0.

    >>> pad_texts(np.array([7, 8, 9]), np.array([1, 0]), np.array([2, 1])).tolist()
    [[8, 9], [7, 0]]
    """
    real = real_steps(lengths)
    padded = np.zeros(real.shape, "int32")
    padded[real] = x[_places(starts, lengths)]
    return padded


def _check(parts, options, where):
    """Raise ``InputError`` for options out of range, and for parts that are none."""
    check_split(options["validation_split"])
    check_seed(options["seed"])
    names = ("min_frequency", "max_vocabulary", "max_length")
    check_positive(**{name: options[name] for name in names if options[name] is not None})
    for name, (texts, labels) in parts.items():
        if len(texts) != len(labels) or not texts:
            raise InputError(
                f"{name} texts and labels of unequal number, or none",
                where=where,
                found=f"{len(texts):,} and {len(labels):,}",
            )
        strange = next((i for i, text in enumerate(texts) if not isinstance(text, str)), None)
        if strange is not None:
            raise InputError(
                f"{name} text {strange + 1} is no text", where=where, found=repr(texts[strange])
            )


def _level_of(texts):
    """Characters where half of the texts are a single word, else words."""
    some = texts[:: -(-len(texts) // _LOOKED_AT)]
    return "char" if np.median([len(text.split()) for text in some]) <= 1 else "word"


def _number(texts, tokens, known, y, longest):
    """The first tokens of texts as their numbers in ``known``, where new ones are added."""
    x, numbers, lengths = GrowingArray((), "int32"), array("i"), array("i")
    for text in texts:
        row = [known.setdefault(token, len(known)) for token in terms_of(text, tokens)[:longest]]
        numbers.extend(row)
        lengths.append(len(row))
        if len(numbers) > _TOKENS:
            x.append(numbers)
            numbers = array("i")
    x.append(numbers)
    return TextPart(x.array(), y, np.frombuffer(lengths, "int32"))


def _vocabulary(training, known, options):
    """The vocabulary of the training part, whose tokens are numbered in ``known``."""
    counts, most = np.zeros(len(known), "int64"), options["max_vocabulary"]
    for _, some in chunks(training.x):
        counts += np.bincount(some, minlength=len(known))
    vocabulary = Vocabulary(
        Counter(dict(zip(known, counts.tolist(), strict=True))),
        min_frequency=options["min_frequency"],
        max_size=most,
        padded=True,
    )
    return with_tokens_of(vocabulary, options.get("start_from"), max_size=most)


def _example(texts, part, vocabulary, tokens, longest):
    """The beginning of one of some texts that is in a part, with few unknown tokens."""
    ends = np.cumsum(part.lengths[:_EXAMPLES], dtype="int64")
    rows = {tuple(row.tolist()) for row in np.split(part.x[: ends[-1]], ends[:-1])}

    def of_part(text):
        return tuple(vocabulary.encode(terms_of(text, tokens)[:longest])) in rows

    def unknown(text):
        return sum(token not in vocabulary for token in terms_of(text, tokens))

    found = map(_beginning, islice(filter(of_part, texts), _EXAMPLES))
    return min(filter(None, found), key=unknown, default="")


def _beginning(text):
    """A line of some words of a text, which is no option of a command."""
    text = " ".join(text.split()).lstrip("- ")
    return shorten(text, _LINE, placeholder="", break_on_hyphens=False) or text[:_LINE]


def _shorten(part, longest):
    """The first ``longest`` tokens of each text."""
    if part.lengths.max() <= longest:
        return part
    lengths, starts = np.minimum(part.lengths, longest).astype("int32"), starts_of(part.lengths)
    return TextPart(_gather(part.x, starts, lengths), part.y, lengths)


def _gather(x, starts, lengths):
    """The tokens of some texts, one text after the other."""
    found = GrowingArray((), "int32")
    for some in range(0, len(lengths), _TEXTS):
        rows = slice(some, some + _TEXTS)
        found.append(x[_places(starts[rows], lengths[rows])])
    return found.array()


def _renumbered(part, ids):
    """The part with ``ids`` of its numbers."""
    x = GrowingArray((), "int32")
    for _, some in chunks(part.x):
        x.append(ids[some])
    return TextPart(x.array(), part.y, part.lengths)


def _places(starts, lengths):
    """Where the tokens of some texts are, int64 (tokens,)."""
    within = np.arange(lengths.sum(dtype="int64")) - np.repeat(starts_of(lengths), lengths)
    return np.repeat(starts, lengths) + within


def _encode_labels(parts, separator, where):
    """Labels, unseen labels, the targets of each part, and whether a text may have several."""
    given = {part: labels for part, (_, labels) in parts.items()}
    if isinstance(given["training"][0], str) and separator:
        given = {
            part: [
                [label for one in row.split(separator) if (label := one.strip())] for row in rows
            ]
            for part, rows in given.items()
        }
    if not isinstance(given["training"][0], (list, tuple, set, frozenset)):
        y = {part: np.asarray(labels) for part, labels in given.items()}
        return *encode_labels(y, None, where), False
    sets = {part: [set(map(str, row)) for row in labels] for part, labels in given.items()}
    names = {part: set().union(*rows) for part, rows in sets.items()}
    labels = tuple(sorted(names["training"]))
    if len(labels) < 2:
        raise InputError(
            "fewer than two labels", where=where, found=" ".join(labels) or "none", expected="more"
        )
    unseen = tuple(sorted(set().union(*names.values()) - set(labels)))
    places = {label: place for place, label in enumerate(labels + unseen)}
    y = {part: np.zeros((len(rows), len(places)), "uint8") for part, rows in sets.items()}
    for part, rows in sets.items():
        for row, found in zip(y[part], rows, strict=True):
            row[[places[label] for label in found]] = 1
    y["training"] = y["training"][:, : len(labels)]
    return labels, unseen, y, True
