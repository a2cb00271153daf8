"""``load_sentences(name, file or folder)`` → ``Sentences``: a label for each token, in three parts.

What a network reads are ids with 0 for padding, so words and characters have the id of their
``Vocabulary`` plus one: 0 is padding (what ``mask_zero`` of an ``Embedding`` leaves out), 1 is
unknown, and there are ``len(vocabulary) + 1`` ids in all.
"""

from __future__ import annotations

import hashlib
import io
import keyword
import re
import sys
import sysconfig
import token
import tokenize
from collections import Counter
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kerasrnn.data import downloads
from kerasrnn.data.corpora import ThreeParts, check_split
from kerasrnn.data.readers import formats
from kerasrnn.errors import InputError
from kerasrnn.text import Vocabulary

NAMES = ("python",)
SUFFIXES = (".conllu", ".conll")  # of files that hold nothing else
TEST_SPLIT = 0.1  # cut from data that comes without a test part
WORD_LENGTH = 24  # characters of a word that are read; the rest is cut off
_PARTS = {  # as the names of files call them
    "training": r"train|training",
    "validation": r"dev|valid|validation|val|testa",
    "test": r"test|testb",
}
_SUFFIXES = ((".conllu",), (".conll", ".txt"))  # of a folder's files, the first that are there
_SOURCE_EVERY = 3  # of the standard library's files, to keep it quick
_SOURCE_LENGTH = 1000  # characters of a sequence of whole lines


@dataclass(frozen=True, eq=False)
class TaggedPart:
    """Sentences of one part and a label for each of their tokens.

    tokens: a list of tokens for each sentence. y: int (tokens,), the labels of all of them one
    after the other, indices into the data's labels. lengths: int32 (n,), tokens of each.
    """

    tokens: list[list[str]]
    y: np.ndarray
    lengths: np.ndarray

    def __len__(self):
        return len(self.tokens)

    def take(self, indices) -> TaggedPart:
        """The sentences at ``indices``."""
        lengths = self.lengths[indices]
        starts = (np.cumsum(self.lengths) - self.lengths)[indices]
        steps = _steps(lengths)
        places = starts[:, None] + np.arange(steps.shape[1])
        return TaggedPart([self.tokens[index] for index in indices], self.y[places[steps]], lengths)

    def targets(self) -> tuple[np.ndarray, np.ndarray]:
        """Labels int32 (n, time), 0 where padded, and weights float32 (n, time), 1 where real."""
        steps = _steps(self.lengths)
        labels = np.zeros(steps.shape, "int32")
        labels[steps] = self.y
        return labels, steps.astype("float32")


@dataclass(frozen=True, eq=False)
class Sentences(ThreeParts):
    """Sentences ready for a tagger.

    name: short, used in run names. source: what ``load_sentences`` was given, absolute paths.
    options: how they were read and cut. unit: what a token is, ``"word"`` or ``"char"``.
    labels: their names, in index order. vocabulary, characters: the tokens and the characters
    of the training part. train, validation, test: the parts; validation is None if none was
    asked for.
    """

    name: str
    source: tuple[str, ...]
    options: dict
    unit: str
    labels: tuple[str, ...]
    vocabulary: Vocabulary
    characters: Vocabulary
    train: TaggedPart
    validation: TaggedPart | None
    test: TaggedPart
    task: str = "tagger"

    def __str__(self):
        sizes = ", ".join(f"{size:,} {name}" for name, size in self.sizes().items())
        tokens = sum(len(part.y) for part in self.parts().values())
        what = {"char": "sequences of {:,} characters", "word": "sentences of {:,} words"}
        return (
            f"{self.name}: {sizes} {what[self.unit].format(tokens)} in all, "
            f"{len(self.vocabulary):,} in the vocabulary, {len(self.labels)} labels"
        )

    def fingerprint(self) -> str:
        """SHA-256 of the vocabularies, labels and all sentences."""
        digest = hashlib.sha256(self.vocabulary.to_json().encode())
        digest.update(self.characters.to_json().encode())
        digest.update("\0".join(self.labels).encode())
        for part in self.parts().values():
            digest.update("\0".join(chain.from_iterable(part.tokens)).encode())
            digest.update(np.ascontiguousarray(part.y))
            digest.update(np.ascontiguousarray(part.lengths))
        return digest.hexdigest()


def load_sentences(
    *source, column="upos", validation_split=0.1, min_frequency=2, max_size=None
) -> Sentences:
    """Load labelled sentences for a tagger, by name, or from files or a folder.

    ``python``: source files of Python's own standard library, each *character* labelled with
    the kind of its token (``token_kinds``); sequences are whole lines of about 1,000 characters,
    and each file is in one part only. A ``.conllu`` file is read as CoNLL-U (Universal
    Dependencies), any other as CoNLL columns: the token first, the label last. Of a folder, or
    of several files, those whose names say so are the training (``train``), validation
    (``dev``, ``valid``) and test part (``test``). What no file holds is cut from the end of
    the training part, so that one file is cut 80 / 10 / 10 in order.

    Args:
        *source: one of these, or several files.
        column: of CoNLL-U, which one is the label (``formats.CONLLU_COLUMNS``).
        validation_split: share cut off for validation, in [0, 1), where the data has no such
            part; 0 for none.
        min_frequency: words and characters that occur less often in the training part are
            unknown, so that there are unknown ones to learn from.
        max_size: of the vocabulary of words, the unknown one included.

    Raises:
        InputError: no such data, a defective file, fewer than two labels, too few sentences,
            or a label that the training part lacks.
    """
    check_split(validation_split)
    source = tuple(map(str, source))
    if source == ("python",):
        raw = _read_python(validation_split)
    else:
        raw = _read_files(source, column)
        _cut_missing(raw, validation_split, source)
    labels = tuple(sorted({label for sentence in raw["training"] for label in sentence.labels}))
    if len(labels) < 2:
        raise InputError(
            "only one label", where=" ".join(source), found=repr(labels[0]), expected="two or more"
        )
    parts = {part: _encode(raw[part], labels, part) for part in raw}
    counts = Counter(chain.from_iterable(parts["training"].tokens))
    path = Path(source[0]).resolve()
    characters = Counter(chain.from_iterable(chain.from_iterable(parts["training"].tokens)))
    return Sentences(
        name=path.name if path.is_dir() else path.stem,
        source=tuple(s if s in NAMES else str(Path(s).resolve()) for s in source),
        options={
            "column": column,
            "validation_split": validation_split,
            "min_frequency": min_frequency,
            "max_size": max_size,
        },
        unit="char" if source == ("python",) else "word",
        labels=labels,
        vocabulary=Vocabulary(counts, min_frequency=min_frequency, max_size=max_size),
        characters=Vocabulary(characters, min_frequency=min_frequency),
        train=parts["training"],
        validation=parts.get("validation"),
        test=parts["test"],
    )


def word_ids(sentences, vocabulary) -> np.ndarray:
    """Ids of tokens, int32 (n, time): 0 where padded, 1 unknown, else the vocabulary's plus 1.

    sentences: n lists of tokens.
    """
    steps = _steps([len(sentence) for sentence in sentences])
    ids = np.zeros(steps.shape, "int32")
    ids[steps] = np.add(vocabulary.encode(list(chain.from_iterable(sentences))), 1)
    return ids


def character_ids(sentences, characters) -> np.ndarray:
    """Ids of the characters of words, int32 (n, time, word length), numbered as ``word_ids`` are.

    sentences: n lists of words, of which ``WORD_LENGTH`` characters are taken at most.
    """
    steps = _steps([len(sentence) for sentence in sentences])
    words = [word[:WORD_LENGTH] for word in chain.from_iterable(sentences)]
    letters = word_ids(words, characters)
    ids = np.zeros((*steps.shape, letters.shape[1]), "int32")
    ids[steps] = letters
    return ids


def _steps(lengths):
    """Which steps are real, bool (n, time), where lengths (n,) are."""
    lengths = np.asarray(lengths, "int64")
    return np.arange(lengths.max(initial=0)) < lengths[:, None]


class _Sentence(NamedTuple):
    """One sentence as it was read, with the line of each token in the file."""

    tokens: list[str]
    labels: list[str]
    lines: list[int]
    path: Path


def _read_files(source, column):
    parts = {}
    for part, paths in _find_files(source).items():
        parts[part] = []
        for path in paths:
            if path.suffix == ".conllu":
                found = formats.read_conllu(path, column)
            else:
                found = formats.read_conll(path)
            found = [_Sentence(*sentence, path) for sentence in found]
            if not found:
                raise InputError("no sentences in the file", where=path)
            parts[part] += found
    return parts


def _find_files(source):
    """The files of each part; those of a single file are all the training part's."""
    if not source:
        raise InputError("no data to load", expected="a name, files or a folder")
    paths = [Path(name) for name in source]
    for name, path in zip(source, paths, strict=True):
        if not path.is_file() and not (path.is_dir() and len(paths) == 1):
            raise downloads.unknown(name, NAMES)
    if paths[0].is_file() and len(paths) == 1:
        return {"training": paths}
    if paths[0].is_dir():
        files = sorted(path for path in paths[0].iterdir() if path.is_file())
        kinds = [[path for path in files if path.suffix in suffixes] for suffixes in _SUFFIXES]
        paths = next(filter(None, kinds), [])
    found = {}
    for path in paths:
        part = next((part for part in _PARTS if _says(path.stem, _PARTS[part])), None)
        if part is not None:
            found.setdefault(part, []).append(path)
    if "training" not in found:
        raise InputError(
            "no file of the training part",
            where=" ".join(source),
            found=", ".join(path.name for path in paths) or "no .conllu, .conll or .txt file",
            expected="a name with 'train', such as train.conllu or train.txt",
        )
    return {part: found[part] for part in _PARTS if part in found}


def _says(name, words):
    return re.search(rf"(?<![a-z])({words})(?![a-z])", name.lower())


def _cut_missing(parts, validation_split, source):
    """Add the test and the validation part that no file holds, from the end of the training."""
    total = len(parts["training"])
    for part, share in (("test", TEST_SPLIT), ("validation", validation_split)):
        if part not in parts and share:
            cut = len(parts["training"]) - max(1, int(total * share))
            parts["training"], parts[part] = parts["training"][:cut], parts["training"][cut:]
    if not all(parts.values()):
        raise InputError(
            "too few sentences to cut", where=" ".join(source), found=total, expected="3 or more"
        )


def _encode(sentences, labels, part):
    ids = {label: index for index, label in enumerate(labels)}
    for sentence in sentences:
        for label, line in zip(sentence.labels, sentence.lines, strict=True):
            if label not in ids:
                raise InputError(
                    "a label that the training part lacks",
                    where=f"{sentence.path}:{line}",
                    found=f"{label!r} in the {part} part",
                    expected=f"one of the {len(labels)} labels of the training part",
                )
    flat = [ids[label] for sentence in sentences for label in sentence.labels]
    return TaggedPart(
        tokens=[sentence.tokens for sentence in sentences],
        y=np.array(flat, np.min_scalar_type(len(labels) - 1)),
        lengths=np.array([len(sentence.tokens) for sentence in sentences], "int32"),
    )


# --- Python's own source --------------------------------------------------------------------

_KINDS = {
    token.COMMENT: "comment",
    token.NAME: "name",
    token.NUMBER: "number",
    token.OP: "operator",
    token.STRING: "string",
}


def token_kinds(source) -> list[str]:
    """The kind of token that each character of Python source is part of, by ``tokenize``.

    comment, keyword (``keyword.iskeyword``), name, number, operator, string, or
    whitespace: all that is between. From Python 3.12 on, the expressions within an f-string
    are taken apart and only its text is string.
    """
    starts = np.cumsum([0] + [len(line) for line in io.StringIO(source)]).tolist()
    # a brace between tokens is one of a doubled pair in an f-string that is taken apart
    kinds = ["string" if character in "{}" else "whitespace" for character in source]
    for kind, text, (row, column), (last_row, last_column), _ in tokenize.generate_tokens(
        io.StringIO(source).readline
    ):
        name = "keyword" if keyword.iskeyword(text) else _KINDS.get(kind)
        if token.tok_name[kind].startswith(("FSTRING", "TSTRING")):
            name = "string"
        if name is not None:
            begin, end = starts[row - 1] + column, starts[last_row - 1] + last_column
            kinds[begin:end] = [name] * (end - begin)
    return kinds


def _read_python(validation_split):
    folder = Path(sysconfig.get_path("stdlib"))
    files = _modules(folder)[::_SOURCE_EVERY]
    parts = {}
    for part, share in (("test", TEST_SPLIT), ("validation", validation_split)):
        if share and files:
            number = max(1, int(len(files) * share))
            chosen = {files[(i + 1) * len(files) // number - 1] for i in range(number)}
            parts[part] = [s for path in sorted(chosen) for s in _read_source(path)]
            files = [path for path in files if path not in chosen]
    parts["training"] = [s for path in files for s in _read_source(path)]
    if not parts["training"]:
        raise InputError("Python's standard library is here without its source", where=folder)
    return parts


def _modules(folder):
    """Files of the standard library's modules, without tests and generated tables."""
    left_out, names = {"test", "tests", "idle_test", "encodings"}, sys.stdlib_module_names
    tops = [top for top in folder.iterdir() if top.name.removesuffix(".py") in names]
    files = [path for top in tops for path in ([top] if top.is_file() else top.rglob("*.py"))]
    return sorted(
        path
        for path in files
        if path.suffix == ".py" and not left_out & set(path.relative_to(folder).parts)
    )


def _read_source(path):
    """Sequences of whole lines of a source file."""
    with tokenize.open(path) as file:
        text = file.read()
    kinds = token_kinds(text)
    begin, first = 0, 1
    for piece in split_source(text):
        end = begin + len(piece)
        yield _Sentence(list(piece), kinds[begin:end], [first] * len(piece), path)
        begin, first = end, first + piece.count("\n")


def split_source(text) -> list[str]:
    """Blocks of whole lines, of about 1,000 characters each, that together are the text."""
    pieces = [""]
    for line in io.StringIO(text):
        if len(pieces[-1]) + len(line) > _SOURCE_LENGTH:
            pieces.append("")
        pieces[-1] += line
    return [piece for piece in pieces if piece]
