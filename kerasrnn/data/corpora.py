"""``load_corpus(name, file, folder or -)`` → a ``Corpus``: text as ids, cut in two."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from kerasrnn.data import downloads
from kerasrnn.data.kinds import NAMES, check_exists, texts_of
from kerasrnn.data.parts import ThreeParts, with_tokens_of
from kerasrnn.data.readers.text_files import read_text
from kerasrnn.errors import InputError, check_choice, check_positive, check_range, check_split
from kerasrnn.options import LEVELS
from kerasrnn.text import LINE_END, MASK, Tokens, Vocabulary, clean, tokens_of

LARGE = 1 << 28  # bytes of ids that are still held in memory
LONGEST = 1 << 28  # characters of a line or word, which is held in memory
TASKS = ("generator", "infiller")  # that read a corpus
_NAMES = tuple(name for name, kind in NAMES.items() if kind == "text")


@dataclass(frozen=True, eq=False)
class Corpus(ThreeParts):
    """Text ready for a generator or an infiller.

    name: short, used in run names. source: what ``load_corpus`` was given, absolute paths; empty
    for a text in memory. options: how the text was read and cut. vocabulary: the tokens. train,
    validation: ids of the beginning and of the end of the text, unsigned integers (tokens,),
    memory-mapped where the text is large; of independent lines, each ended by ``"\\n"``,
    validation holds lines from everywhere.

    >>> print(Corpus.from_text("to be or not to be. " * 5))
    text: 90 training, 10 validation characters, 9 in the vocabulary
    """

    name: str
    source: tuple[str, ...]
    options: dict
    vocabulary: Vocabulary
    train: np.ndarray
    validation: np.ndarray
    task: str = "generator"

    no_folds = "a text, which is cut in order; --seeds shows the spread"

    @classmethod
    def from_text(
        cls,
        text: str,
        *,
        task: str = "generator",
        level: str = "char",
        lines: bool = False,
        letters_only: bool = False,
        max_corpus_tokens: int | None = None,
        validation_split: float = 0.1,
        min_frequency: int = 1,
        max_vocabulary: int | None = None,
        start_from: str | os.PathLike | None = None,
        name: str = "text",
    ) -> Corpus:
        """A corpus of a text in memory; arguments and errors as of ``load_corpus``.

        >>> corpus = Corpus.from_text("to be or not to be", level="word", validation_split=0)
        >>> corpus.train.tolist(), corpus.vocabulary.tokens
        ([1, 2, 3, 4, 1, 2], ('<unk>', 'to', 'be', 'or', 'not'))
        """
        options = {
            "level": level,
            "lines": lines,
            "letters_only": letters_only,
            "max_corpus_tokens": max_corpus_tokens,
            "min_frequency": min_frequency,
            "max_vocabulary": max_vocabulary,
            "validation_split": validation_split,
        }
        options |= {"start_from": os.path.abspath(start_from)} if start_from else {}
        _check_options(task, options)
        return _encode(lambda: iter([text]), name, (), name, task, options)

    @property
    def tokens(self) -> Tokens:
        """What splits and joins its text."""
        return tokens_of(self.level)

    @property
    def level(self) -> str:
        """What a token is, ``"char"`` or ``"word"``."""
        return self.options["level"]

    @property
    def lines(self) -> bool:
        """Whether the lines are independent of each other."""
        return self.options["lines"]

    def line_bounds(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The index of the line end before each line of ``ids`` (-1 for the first), and its own.

        >>> corpus = Corpus.from_text("ada\\nbo", lines=True, validation_split=0)
        >>> corpus.line_bounds(corpus.train)
        (array([-1,  3]), array([3, 6]))
        """
        ends = np.flatnonzero(ids == self.vocabulary.line_end_id)
        return np.append(-1, ends[:-1]), ends

    def lengths_of(self, part: np.ndarray) -> np.ndarray | None:
        """The tokens of each line; None of running text."""
        if not self.lines:
            return None
        befores, ends = self.line_bounds(part)
        return ends - befores - 1

    def __str__(self):
        tokens = f"{self.tokens.noun}, {len(self.vocabulary):,} in the vocabulary"
        return f"{self.name}: {self._sizes_in_words()} {tokens}"

    def fingerprint(self) -> str:
        """SHA-256 of the vocabulary and all ids."""
        digest = hashlib.sha256(self.vocabulary.to_json().encode())
        for ids in (self.train, self.validation):
            digest.update(np.ascontiguousarray(ids))
        return digest.hexdigest()


def load_corpus(
    *source: str | os.PathLike,
    task: str = "generator",
    level: str = "char",
    lines: bool = False,
    letters_only: bool = False,
    max_corpus_tokens: int | None = None,
    validation_split: float = 0.1,
    min_frequency: int = 1,
    max_vocabulary: int | None = None,
    encoding: str | None = None,
    start_from: str | os.PathLike | None = None,
) -> Corpus:
    """Load text for a generator or an infiller: by name, files, folders of .txt, or ``-``.

    ``english``: the help texts in Python's own ``pydoc_data.topics``. ``time-machine``: H. G.
    Wells's novel, the copy of *Dive into Deep Learning*. ``shakespeare``: the 1,115,394
    characters of char-rnn and nanoGPT. The latter two are looked for under ``KERASRNN_DATA``
    and in the cache, else downloaded once. ``-`` is standard input.

    Args:
        *source: one or more of these; several are read one after the other.
        task: ``"generator"``, or ``"infiller"``, whose vocabulary holds a token for masks.
        level: tokens are characters (``"char"``) or words (``"word"``).
        lines: lines are independent of each other, such as names; ``"\\n"`` ends each and
            empty ones are left out. Not for an infiller.
        letters_only: only the letters a to z, lower-cased, line by line (``text.clean``).
        max_corpus_tokens: use at most this many tokens, from the beginning.
        validation_split: fraction of the text, at its end, that is never trained on, in [0, 1).
            It is cut before any window is, so that no window holds both. Of independent
            lines, which are often sorted, every tenth (for 0.1) is taken.
        min_frequency: tokens that occur less often are unknown.
        max_vocabulary: largest number of tokens in the vocabulary.
        encoding: of the files, by default UTF-8.
        start_from: a run whose tokens the vocabulary has too, to train on from it.

    Raises:
        InputError: unknown name, not UTF-8, binary, empty, or of one distinct token only.

    >>> load_corpus("english", level="word").tokens.noun
    'words'
    """
    if not source:
        raise InputError("no text to load", expected="a name, files, folders or -")
    source = tuple(map(os.fspath, source))
    options = {
        "level": level,
        "lines": lines,
        "letters_only": letters_only,
        "max_corpus_tokens": max_corpus_tokens,
        "min_frequency": min_frequency,
        "max_vocabulary": max_vocabulary,
        "validation_split": validation_split,
    }
    options |= {"encoding": encoding} if encoding else {}
    options |= {"start_from": os.path.abspath(start_from)} if start_from else {}
    _check_options(task, options)
    readers = [reader for name in source for reader in _readers(name, encoding)]
    return _encode(
        lambda: (piece for reader in readers for piece in reader()),
        Path(source[0]).stem if source[0] != "-" else "stdin",
        tuple(s if s in (*_NAMES, "-") else str(Path(s).resolve()) for s in source),
        " ".join(source),
        task,
        options,
    )


def _encode(read, name, source, where, task, options):
    """The corpus of a text that ``read()`` gives in pieces. where: what messages call it."""
    reserved = [LINE_END] * options["lines"] + [MASK] * (task == "infiller")
    known, ids = encode_corpus(read, options, reserved)
    _check_ids(ids, known, 1 + len(reserved), where)
    split = options["validation_split"]
    if options["lines"]:
        train, validation = _cut_lines(ids, known.line_end_id, split)
    else:
        cut = int(len(ids) * (1 - split))
        train, validation = ids[:cut], ids[cut:]
    return Corpus(name, source, options, known, train, validation, task)


def _check_options(task, options):
    check_choice("task of a corpus", task, TASKS)
    check_choice("level", options["level"], LEVELS)
    check_split(options["validation_split"])
    check_positive(min_frequency=options["min_frequency"])
    if options["max_vocabulary"] is not None:
        check_positive(max_vocabulary=options["max_vocabulary"])
    if options["max_corpus_tokens"] is not None:
        check_range("max_corpus_tokens", options["max_corpus_tokens"], 2, expected="2 or more")
    if options["lines"] and task == "infiller":
        raise InputError(
            "independent lines for an infiller",
            expected="running text",
            fix="leave lines out, or train a generator",
        )


def _check_ids(ids, vocabulary, reserved, where):
    if not len(ids):
        raise InputError("empty text", where=where, expected="at least two different tokens")
    if len(vocabulary) < reserved + 2:
        token = vocabulary.tokens[-1 if len(vocabulary) > reserved else 0]
        raise InputError(
            "only one distinct token", where=where, found=f"{len(ids):,} times {token[:40]!r}"
        )


def _cut_lines(ids, line_end_id, validation_split):
    """Every n-th line to the validation part, whatever the order of the lines."""
    ends = np.flatnonzero(ids == line_end_id)
    turns = np.floor(np.arange(len(ends) + 1) * validation_split)
    chosen = np.repeat(np.diff(turns) > 0, np.diff(ends, prepend=-1))
    ids = ids[: len(chosen)]  # without a last line that max_corpus_tokens cut off
    return ids[~chosen], ids[chosen]


def _readers(source, encoding):
    """Functions that each give an iterator over the pieces of one text."""
    if source == "english":
        from pydoc_data.topics import topics

        return [lambda: iter(["\n\n".join(topics[key] for key in sorted(topics))])]
    if source == "-":
        return [_spool(sys.stdin.buffer, encoding)]
    path = Path(source)
    if source in downloads.TEXTS:
        path = downloads.find_text(source)
    elif os.path.isdir(source):
        paths = texts_of(path)
        if not paths:
            raise InputError("no .txt files in the folder", where=path)
        return [partial(read_text, path, encoding=encoding) for path in paths]
    else:
        check_exists(source, _NAMES)
    return [partial(read_text, path, encoding=encoding)]


def _spool(stream, encoding):
    """A reader of a stream that can be read twice."""
    file = tempfile.NamedTemporaryFile()  # noqa: SIM115 (lives as long as the reader)
    shutil.copyfileobj(stream, file)
    file.flush()
    return lambda: read_text(file.name, where="standard input", encoding=encoding)


# --- from pieces of text to ids -------------------------------------------------------------


def encode_corpus(
    read: Callable[[], Iterator[str]], options: dict, reserved: Sequence[str] = ()
) -> tuple[Vocabulary, np.ndarray]:
    """The vocabulary of a text and its ids (tokens,), read in pieces, so that it may be large.

    The text is read twice, to count and to encode. A large array of ids is a memory map of a
    temporary file; its type is the smallest unsigned integer that holds them.

    read: called without arguments, gives an iterator over the pieces of the text. options: those
    of a ``Corpus``. reserved: of the ``Vocabulary``.
    """
    tokens = tokens_of(options["level"])
    counts, total = Counter(), 0
    for sequence in _sequences(read(), tokens, options):
        tokens.add_counts(counts, sequence)
        total += len(sequence)
    fewest, most = options["min_frequency"], options["max_vocabulary"]
    known = Vocabulary(counts, min_frequency=fewest, max_size=most, reserved=reserved)
    known = with_tokens_of(known, options.get("start_from"), max_size=most)
    dtype = np.min_scalar_type(len(known) - 1)
    if total * dtype.itemsize < LARGE:
        ids = np.empty(total, dtype)
    else:
        with tempfile.TemporaryFile() as file:  # unnamed: it goes with the array
            ids = np.memmap(file, dtype, "w+", shape=(total,))
    start, encode = 0, tokens.encoder(known, dtype)
    for sequence in _sequences(read(), tokens, options):
        ids[start : start + len(sequence)] = encode(sequence)
        start += len(sequence)
    return known, ids


def _sequences(chunks, tokens, options):
    """Pieces of tokens, as ``tokens.sequence`` gives them, that are the whole corpus."""
    left, lines = options["max_corpus_tokens"], options["lines"]
    by_line = lines or options["letters_only"]
    for text in _whole(chunks, "\n" if by_line else tokens.boundaries):
        if by_line:
            text = _line_by_line(text, tokens, lines, options["letters_only"])
        sequence = tokens.sequence(text, lines)
        yield sequence[:left]
        if left is not None:
            left -= min(left, len(sequence))
            if left == 0:
                return


def _line_by_line(text, tokens, lines, letters_only):
    found = [clean(line) if letters_only else line.strip() for line in text.split("\n")]
    if lines:
        return "".join(line + LINE_END for line in found if line)
    return tokens.separator.join(found)


def _whole(chunks, ends):
    """The chunks, cut anew so that each stops after one of the characters in ``ends``."""
    rest = ""
    for chunk in chunks:
        text = rest + chunk
        cut = max(text.rfind(end) for end in ends) + 1 if ends else len(text)
        if cut:
            yield text[:cut]
        rest = text[cut:]
        if len(rest) > LONGEST:
            raise InputError(
                "a line or word too long",
                found=f"{len(rest):,} characters",
                fix="break it into lines",
            )
    if rest:
        yield rest
