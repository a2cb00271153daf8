"""``load_corpus(name, file, folder or -)`` → a ``Corpus``: text as ids, cut in two."""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from kerasrnn.data import downloads
from kerasrnn.data.readers import formats
from kerasrnn.errors import InputError
from kerasrnn.text import BLANK, LINE_END, Vocabulary, encode_corpus

CORPORA = ("english", *downloads.TEXTS)
BLANK_ID = _LINE_END_ID = 1  # right after the unknown token


class ThreeParts:
    """What labelled data has in common: a ``train``, a ``test`` and maybe a ``validation`` part."""

    def parts(self) -> dict:
        """The parts that there are, by name: training, validation, test."""
        parts = {"training": self.train, "validation": self.validation, "test": self.test}
        return {name: part for name, part in parts.items() if part is not None}

    def sizes(self) -> dict[str, int]:
        """Number of sequences or sentences of each part."""
        return {name: len(part) for name, part in self.parts().items()}


@dataclass(frozen=True, eq=False)
class Corpus:
    """Text ready for a generator.

    name: short, used in run names. source: what ``load_corpus`` was given, absolute paths.
    options: how the text was read and cut. vocabulary: the tokens. train, validation: ids of
    the beginning and of the end of the text, unsigned integers (tokens,), memory-mapped where
    the text is large; of independent lines, each ended by ``"\\n"``, validation holds lines
    from everywhere.
    """

    name: str
    source: tuple[str, ...]
    options: dict
    vocabulary: Vocabulary
    train: np.ndarray
    validation: np.ndarray
    task: str = "generator"

    @property
    def unit(self) -> str:
        """What a token is, ``"char"`` or ``"word"``."""
        return self.options["unit"]

    @property
    def lines(self) -> bool:
        """Whether the lines are independent of each other."""
        return self.options["lines"]

    def line_bounds(self, ids) -> tuple[np.ndarray, np.ndarray]:
        """The places of the line end before each line of ``ids``, -1 at first, and of its own."""
        ends = np.flatnonzero(ids == _LINE_END_ID)
        return np.append(-1, ends[:-1]), ends

    def sizes(self) -> dict[str, int]:
        """Number of tokens of each part."""
        return {"training": len(self.train), "validation": len(self.validation)}

    def __str__(self):
        unit = {"char": "characters", "word": "words"}[self.unit]
        sizes = ", ".join(f"{size:,} {part}" for part, size in self.sizes().items() if size)
        return f"{self.name}: {sizes} {unit}, {len(self.vocabulary):,} in the vocabulary"

    def fingerprint(self) -> str:
        """SHA-256 of the vocabulary and all ids."""
        digest = hashlib.sha256(self.vocabulary.to_json().encode())
        for ids in (self.train, self.validation):
            digest.update(np.ascontiguousarray(ids))
        return digest.hexdigest()


def load_corpus(
    *source,
    task="generator",
    unit="char",
    lines=False,
    classic=False,
    max_tokens=None,
    validation_split=0.1,
    **vocabulary,
) -> Corpus:
    """Load text for a generator or an infiller: by name, files, folders of .txt, or ``-``.

    ``english``: the help texts in Python's own ``pydoc_data.topics``. ``time-machine``: H. G.
    Wells's novel, the copy of *Dive into Deep Learning*. ``shakespeare``: the 1,115,394
    characters of char-rnn and nanoGPT. The latter two are looked for under ``KERASRNN_DATA``
    and in the cache, else downloaded once. ``-`` is standard input.

    Args:
        *source: one or more of these; several are read one after the other.
        task: ``"generator"``, or ``"infiller"``, whose vocabulary holds a token for blanks.
        unit: tokens are ``"char"`` or ``"word"``.
        lines: lines are independent of each other, such as names; ``"\\n"`` ends each and
            blank ones are left out.
        classic: letters only, lower-cased, line by line (``text.clean``).
        max_tokens: only so many tokens, from the beginning.
        validation_split: share of the text, at its end, that is never trained on, in [0, 1).
            It is cut before any window is, so that no window holds both. Of independent
            lines, which are often sorted, every tenth (for 0.1) is taken.
        **vocabulary: ``min_frequency`` and ``max_size`` of the ``Vocabulary``.

    Raises:
        InputError: unknown name, not UTF-8, binary, empty, or of one distinct token only.
    """
    check_split(validation_split)
    if max_tokens is not None and max_tokens < 2:
        raise InputError("max_tokens out of range", found=max_tokens, expected="2 or more")
    source = tuple(map(str, source))
    readers = [reader for name in source for reader in _text_readers(name)]

    def read():
        for reader in readers:
            yield from reader()

    reserved = [LINE_END] * lines + [BLANK] * (task == "infiller")
    known, ids = encode_corpus(
        read,
        unit,
        lines=lines,
        classic=classic,
        max_tokens=max_tokens,
        reserved=reserved,
        **vocabulary,
    )
    _check_ids(ids, known, 1 + len(reserved), " ".join(source))
    train, validation = (_cut_lines if lines else _cut)(ids, validation_split)
    options = {"unit": unit, "lines": lines, "classic": classic, "max_tokens": max_tokens}
    return Corpus(
        name=Path(source[0]).stem if source[0] != "-" else "stdin",
        source=tuple(s if s in (*CORPORA, "-") else str(Path(s).resolve()) for s in source),
        options={**options, **vocabulary, "validation_split": validation_split},
        vocabulary=known,
        train=train,
        validation=validation,
        task=task,
    )


def check_split(validation_split):
    """Raise ``InputError`` unless 0 ≤ validation_split < 1."""
    if not 0 <= validation_split < 1:
        raise InputError(
            "validation split out of range", found=validation_split, expected="0 ≤ split < 1"
        )


def _check_ids(ids, vocabulary, reserved, where):
    if not len(ids):
        raise InputError("empty text", where=where, expected="at least two different tokens")
    if len(vocabulary) < reserved + 2:
        token = vocabulary.tokens[-1 if len(vocabulary) > reserved else 0]
        raise InputError(
            "only one distinct token", where=where, found=f"{len(ids):,} times {token!r}"
        )


def _cut(ids, validation_split):
    cut = int(len(ids) * (1 - validation_split))
    return ids[:cut], ids[cut:]


def _cut_lines(ids, validation_split):
    """Every n-th line to the validation part, whatever the order of the lines."""
    ends = np.flatnonzero(ids == _LINE_END_ID)
    turns = np.floor(np.arange(len(ends) + 1) * validation_split)
    chosen = np.repeat(np.diff(turns) > 0, np.diff(ends, prepend=-1))
    ids = ids[: len(chosen)]  # without a last line that max_tokens cut off
    return ids[~chosen], ids[chosen]


def _text_readers(source):
    """Functions that each give an iterator over the pieces of one text."""
    if source == "english":
        from pydoc_data.topics import topics

        return [lambda: iter(["\n\n".join(topics[key] for key in sorted(topics))])]
    if source == "-":
        return [_spool(sys.stdin.buffer)]
    path = Path(source)
    if source in downloads.TEXTS:
        path = downloads.find_text(source)
    if path.is_dir():
        paths = sorted(path.rglob("*.txt"))
        if not paths:
            raise InputError("no .txt files in the folder", where=path)
        return [partial(formats.read_text, path) for path in paths]
    if not path.is_file():
        raise downloads.unknown(source, CORPORA)
    return [partial(formats.read_text, path)]


def _spool(stream):
    """A reader of a stream that can be read twice."""
    file = tempfile.NamedTemporaryFile()  # noqa: SIM115 (lives as long as the reader)
    shutil.copyfileobj(stream, file)
    file.flush()
    return lambda: formats.read_text(file.name)
