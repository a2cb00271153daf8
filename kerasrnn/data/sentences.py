"""``load_sentences(name, file or folder)`` → ``Sentences``: a label for each token."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np

from kerasrnn.data.kinds import NAMES, check_exists, file_format
from kerasrnn.data.parts import (
    ThreeParts,
    check_folds,
    pad,
    real_steps,
    warn_of_no_validation,
    warn_of_unseen_labels,
    with_tokens_of,
)
from kerasrnn.data.python_source import read_python
from kerasrnn.data.readers import sentence_files
from kerasrnn.data.readers.folders import part_folders
from kerasrnn.data.readers.part_files import (
    PARTS,
    files_of_parts,
    is_about_data,
    is_named,
    name_of,
    part_of,
)
from kerasrnn.errors import InputError, check_positive, check_split
from kerasrnn.text import Tokens, Vocabulary, lower_case, tokens_of

TEST_SPLIT = 0.1  # cut from data that comes without a test part
WORD_LENGTH = 24  # characters of a word that are read; the rest is cut off
_NAMES = tuple(name for name, kind in NAMES.items() if kind == "sentences")


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

    def take(self, indices: np.ndarray) -> TaggedPart:
        """The sentences at ``indices``."""
        lengths = self.lengths[indices]
        starts = (np.cumsum(self.lengths) - self.lengths)[indices]
        real = real_steps(lengths)
        positions = starts[:, None] + np.arange(real.shape[1])
        tokens = [self.tokens[index] for index in indices]
        return TaggedPart(tokens, self.y[positions[real]], lengths)

    def targets(self) -> tuple[np.ndarray, np.ndarray]:
        """Labels int32 (n, time), 0 where padded, and weights float32 (n, time), 1 where real."""
        real = real_steps(self.lengths)
        labels = np.zeros(real.shape, "int32")
        labels[real] = self.y
        return labels, real.astype("float32")


@dataclass(frozen=True, eq=False)
class Sentences(ThreeParts):
    """Sentences ready for a tagger.

    name: short, used in run names. source: what ``load_sentences`` was given, absolute paths;
    empty for lists in memory. options: how they were read and cut. level: what a token is,
    ``"word"`` or ``"char"``. labels: their names, in index order; an index from
    ``len(labels)`` on, in another part than the training part, means one of the unseen_labels,
    which the training part lacks. vocabulary, characters: the tokens, words in lower case, and
    the characters of the training part, id 0 being padding. train, validation, test: the parts;
    validation is None if there is none. remake: of lists in memory, cuts them by other options.

    >>> sentence = [("time", "NOUN"), ("flies", "VERB")]
    >>> Sentences.from_lists([sentence] * 8).labels
    ('NOUN', 'VERB')
    """

    name: str
    source: tuple[str, ...]
    options: dict
    level: str
    labels: tuple[str, ...]
    vocabulary: Vocabulary
    characters: Vocabulary
    train: TaggedPart
    validation: TaggedPart | None
    test: TaggedPart
    unseen_labels: tuple[str, ...] = ()
    task: str = "tagger"
    remake: Callable[[dict], Sentences] | None = None

    @classmethod
    def from_lists(
        cls,
        train: Iterable[Sequence[tuple[str, str]]],
        *,
        validation: Iterable[Sequence[tuple[str, str]]] | None = None,
        test: Iterable[Sequence[tuple[str, str]]] | None = None,
        level: str = "word",
        name: str = "lists",
        validation_split: float = 0.1,
        min_frequency: int = 2,
        max_vocabulary: int | None = None,
        start_from: str | os.PathLike | None = None,
    ) -> Sentences:
        """Labelled sentences in memory: each a list of (token, label).

        Args:
            train: the sentences of the training part.
            validation, test: those of other parts, which are otherwise cut off its end.
            level: tokens are ``"word"`` or ``"char"``.
            name: used in run names.
            validation_split, min_frequency, max_vocabulary, start_from: as of ``load_sentences``.

        Raises:
            InputError: what ``load_sentences`` raises.

        >>> sentence = [("Time", "NOUN"), ("flies", "VERB")]
        >>> print(Sentences.from_lists([sentence] * 10))  # doctest: +ELLIPSIS
        lists: 8 training, 1 validation, 1 test sentences of 20 words in all, 3 in the ...
        """
        parts = {"training": train, "validation": validation, "test": test}
        parts = {
            part: [_unzip(sentence, f"{name}, {part} sentence {i}") for i, sentence in enumerate(p)]
            for part, p in parts.items()
            if p is not None
        }
        options = _options(validation_split, min_frequency, max_vocabulary, start_from)
        remake = partial(_cut_in_parts, parts, level, name, (), name)
        return replace(remake(options), remake=remake)

    @property
    def lower_case(self) -> bool:
        """Whether the vocabulary holds tokens in lower case: words, whose characters tell it."""
        return self.tokens.composed

    @property
    def reading(self) -> dict:
        """What the files of a run mean beside its options."""
        return {"lower_case": self.lower_case}

    @property
    def tokens(self) -> Tokens:
        """What splits and joins its text."""
        return tokens_of(self.level)

    def __str__(self):
        total = sum(len(part.y) for part in self.parts().values())
        what = "sentences" if self.tokens.composed else "sequences"
        return (
            f"{self.name}: {self._sizes_in_words()} {what} of {total:,} {self.tokens.noun} in all, "
            f"{len(self.vocabulary):,} in the vocabulary, {len(self.labels)} labels"
        )

    def fingerprint(self) -> str:
        """SHA-256 of the vocabularies, labels and all sentences."""
        digest = hashlib.sha256(self.vocabulary.to_json().encode())
        digest.update(self.characters.to_json().encode())
        digest.update("\0".join(self.labels + self.unseen_labels).encode())
        for part in self.parts().values():
            digest.update("\0".join(chain.from_iterable(part.tokens)).encode())
            digest.update(np.ascontiguousarray(part.y))
            digest.update(np.ascontiguousarray(part.lengths))
        return digest.hexdigest()


def load_sentences(
    *source: str | os.PathLike,
    label: str | None = None,
    validation_split: float = 0.1,
    min_frequency: int = 2,
    max_vocabulary: int | None = None,
    encoding: str | None = None,
    fold: tuple[int, int] | None = None,
    start_from: str | os.PathLike | None = None,
) -> Sentences:
    """Load labelled sentences for a tagger, by name, or from files or a folder.

    ``python``: source files of Python's own standard library, each *character* labelled with
    the kind of its token (``token_kinds``); sequences are whole lines of about 1,000 characters,
    and each file is in one part only. A ``.conllu`` file is read as CoNLL-U (Universal
    Dependencies), any other as CoNLL columns, the token first. Of a folder, or of several
    files, those whose names say so are the training (``train``), validation (``dev``,
    ``valid``) and test part (``test``), or lie in folders whose names do; so are those beside
    one file ``…train…`` whose names differ in that word alone. What no file holds is cut from
    the end of the training part, so that one file is cut 80 / 10 / 10 in order.

    Args:
        *source: one of these, or several files.
        label: the column that is the label: its number from 1, or a name of
            ``readers.conll.CONLLU_COLUMNS``; by default upos of CoNLL-U, else what
            is found in the training part, mostly the last; of a table of tokens its name.
        validation_split: fraction cut off for validation, in [0, 1), where the data has no such
            part; 0 for none.
        min_frequency: words and characters that occur less often in the training part are
            unknown, so that there are unknown ones to learn from.
        max_vocabulary: largest number of words in the vocabulary, the unknown one included.
        encoding: of the files, UTF-8 where it is None.
        fold: the number of a fold, from 1, and how many there are: that fold, sentences that
            follow each other, is the validation part.
        start_from: a run whose tokens the vocabulary has too, to train on from it.

    Raises:
        InputError: no such data, a defective file, fewer than two labels, or too few sentences.

    >>> load_sentences("python").labels[:3]
    ('comment', 'keyword', 'name')
    """
    options = _options(validation_split, min_frequency, max_vocabulary, start_from)
    options |= {"label": label, "encoding": encoding} | ({"fold": fold} if fold else {})
    source = tuple(map(os.fspath, source))
    where = " ".join(source)
    if source == ("python",):
        if fold:
            raise InputError("folds of source files", found="python", fix="leave --folds out")
        parts = read_python({"test": TEST_SPLIT, "validation": validation_split})
        return _encode(parts, "char", "python", source, where, options)
    files = _find_files(source)
    if label is None:  # the training part says it: others may lack labels
        label = options["label"] = sentence_files.label_of(files["training"][0], encoding)
    parts = {
        part: [sentence for path in paths for sentence in _read(path, label, encoding)]
        for part, paths in files.items()
    }
    path = Path(source[0]).resolve()
    name = path.name if path.is_dir() else name_of(path)
    source = tuple(str(Path(s).resolve()) for s in source)
    return _cut_in_parts(parts, "word", name, source, where, options)


def read_sentences(
    source: str, label: str | None = None, encoding: str | None = None
) -> list[tuple[list[str], list[str]]]:
    """The labelled sentences of a file, of a folder's test part, or of a name's: tokens, labels.

    Arguments and what is raised as of ``load_sentences``.
    """
    if source in _NAMES or os.path.isdir(source):
        data = load_sentences(source, label=label, encoding=encoding, validation_split=0)
        names = np.array(data.labels + data.unseen_labels)[data.test.y]
        rows = np.split(names, np.cumsum(data.test.lengths)[:-1])
        return [(t, y.tolist()) for t, y in zip(data.test.tokens, rows, strict=True)]
    check_exists(source, _NAMES)
    return _read(Path(source), label, encoding)


def pad_token_ids(sentences: Sequence[Sequence[str]], vocabulary: Vocabulary) -> np.ndarray:
    """Ids of the tokens of sentences, int32 (n, time), 0 where padded.

    sentences: n lists of tokens. vocabulary: a padded one.

    >>> pad_token_ids([["b"], ["a", "?"]], Vocabulary("ab", padded=True)).tolist()
    [[3, 0], [2, 1]]
    """
    return pad([vocabulary.encode(list(sentence)) for sentence in sentences])


def pad_character_ids(sentences: Sequence[Sequence[str]], vocabulary: Vocabulary) -> np.ndarray:
    """Ids of the characters of words, int32 (n, time, word length), 0 where padded.

    sentences: n lists of words, of which ``WORD_LENGTH`` characters are taken at most.
    vocabulary: a padded one of characters.
    """
    real = real_steps([len(sentence) for sentence in sentences])
    words = [word[:WORD_LENGTH] for word in chain.from_iterable(sentences)]
    letters = pad_token_ids(words, vocabulary)
    ids = np.zeros((*real.shape, letters.shape[1]), "int32")
    ids[real] = letters
    return ids


def _options(validation_split, min_frequency, max_vocabulary, start_from):
    check_split(validation_split)
    check_positive(min_frequency=min_frequency)
    if max_vocabulary is not None:
        check_positive(max_vocabulary=max_vocabulary)
    return {
        "validation_split": validation_split,
        "min_frequency": min_frequency,
        "max_vocabulary": max_vocabulary,
    } | ({"start_from": os.path.abspath(start_from)} if start_from else {})


def _unzip(sentence, where):
    """The tokens and the labels of a list of pairs."""
    pairs = [tuple(pair) for pair in sentence]
    right = all(len(pair) == 2 and all(isinstance(s, str) and s for s in pair) for pair in pairs)
    if not pairs or not right:
        raise InputError(
            "not a labelled sentence", where=where, expected="pairs of strings (token, label)"
        )
    tokens, labels = zip(*pairs, strict=True)
    return list(tokens), list(labels)


def _read(path, label, encoding):
    sentences = list(sentence_files.read(path, label, encoding))
    if not sentences:
        raise InputError("no sentences in the file", where=path)
    return sentences


def _find_files(source):
    """The files of each part; those of a single file are all the training part's."""
    if not source:
        raise InputError("no data to load", expected="a name, files or a folder")
    paths = [Path(name) for name in source]
    if len(paths) == 1 and os.path.isdir(source[0]):
        folder, paths = paths[0], _files_of(paths[0])
        if not paths and (folders := part_folders(folder))["training"] != folder:
            return {part: _files_of(inner) for part, inner in folders.items()}
        if len(paths) == 1:
            return {"training": paths}
        _check_one_dataset(paths, source[0])
    else:
        for name in source:
            check_exists(name, _NAMES)
        if len(paths) == 1:
            return {part: [path] for part, path in files_of_parts(paths[0]).items()}
    found = {}
    for path in paths:
        found.setdefault(part_of(path.name), []).append(path)
    if "training" not in found:
        raise InputError(
            "no file of the training part",
            where=" ".join(source),
            found=", ".join(path.name for path in paths) or "no .conllu, .conll or .txt file",
            expected="a name with 'train', such as train.conllu or train.txt",
        )
    return {part: found[part] for part in PARTS if part in found}


def _files_of(folder):
    """The .conllu files of a folder; or else those in columns, by name or content."""
    files = [path for path in sorted(folder.iterdir()) if not path.is_dir()]
    files = [path for path in files if not is_about_data(path)]
    trees = [path for path in files if is_named(path, "*.conllu")]
    return trees or [
        path
        for path in files
        if is_named(path, "*.conll", "*.txt")  # as shared tasks name them
        or file_format(path).kind == "sentences"
    ]


def _check_one_dataset(paths, folder):
    """Raise ``InputError`` where two training files have a file of another part each."""
    training = [path for path in paths if part_of(path.name) == "training"]
    whole = [path for path in training if len(files_of_parts(path)) > 1]
    if len(whole) > 1:
        raise InputError(
            "several datasets in the folder",
            where=folder,
            found=", ".join(path.name for path in whole),
            fix="give one of these files",
        )


def _cut_in_parts(parts, level, name, source, where, options):
    """The ``Sentences`` of those that there are of each part, those that lack cut off."""
    parts = dict(parts)
    _cut_missing(parts, options, where)
    return _encode(parts, level, name, source, where, options)


def _cut_missing(parts, options, where):
    """Add the test and the validation part that no file holds, from the end of the training."""
    total, fold = len(parts["training"]), options.get("fold")
    if fold:
        check_folds(parts, where)
    for part, fraction in (("test", TEST_SPLIT), ("validation", options["validation_split"])):
        left = parts["training"]
        if part == "validation" and fold:
            number, folds = fold
            first, end = (len(left) * n // folds for n in (number - 1, number))
            parts["training"], parts[part] = left[:first] + left[end:], left[first:end]
        elif part == "validation" and part not in parts and fraction and len(left) == 1:
            warn_of_no_validation(where)
        elif part not in parts and fraction:
            cut = max(0, len(left) - max(1, int(total * fraction)))
            parts["training"], parts[part] = left[:cut], left[cut:]
    if not all(parts.values()):
        raise InputError(
            "too few sentences to cut",
            where=where,
            found=total,
            expected="2 or more, and some that are left to train on",
        )


def _encode(parts, level, name, source, where, options):
    """The ``Sentences`` of lists of (tokens, labels). where: what messages call them."""
    tokens_of(level)  # names a bad one
    seen = {part: {y for _, labels in parts[part] for y in labels} for part in parts}
    labels = tuple(sorted(seen["training"]))
    if len(labels) < 2:
        raise InputError(
            "only one label", where=where, found=repr(labels[0]), expected="two or more"
        )
    unseen = tuple(sorted(set().union(*seen.values()) - set(labels)))
    ids = {label: index for index, label in enumerate(labels + unseen)}
    encoded = {part: _encode_part(parts[part], ids) for part in parts}
    tokens = chain.from_iterable(encoded["training"].tokens)
    counts = Counter(map(lower_case, tokens) if tokens_of(level).composed else tokens)
    letters = Counter(chain.from_iterable(chain.from_iterable(encoded["training"].tokens)))
    fewest, most = options["min_frequency"], options["max_vocabulary"]
    words = Vocabulary(counts, min_frequency=fewest, max_size=most, padded=True)
    characters = Vocabulary(letters, min_frequency=fewest, padded=True)
    start = options.get("start_from")
    data = Sentences(
        name=name,
        source=source,
        options=options,
        level=level,
        labels=labels,
        vocabulary=with_tokens_of(words, start, max_size=most),
        characters=with_tokens_of(characters, start, "characters.json"),
        train=encoded["training"],
        validation=encoded.get("validation"),
        test=encoded["test"],
        unseen_labels=unseen,
    )
    warn_of_unseen_labels(data, where)
    return data


def _encode_part(sentences, ids):
    flat = [ids[label] for _, labels in sentences for label in labels]
    return TaggedPart(
        tokens=[tokens for tokens, _ in sentences],
        y=np.array(flat, np.min_scalar_type(len(ids) - 1)),
        lengths=np.array([len(tokens) for tokens, _ in sentences], "int32"),
    )
