"""Files that belong together: NAME_TRAIN beside NAME_TEST, and what becomes of them."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from kerasrnn.data.readers import Arrays
from kerasrnn.data.readers.text_files import MARKS, open_unpacked
from kerasrnn.errors import InputError

PARTS = {  # as the names of files and folders call them
    "training": r"train|training",
    "validation": r"dev|valid|validation|val|testa",
    "test": r"test|testb",
}
TABLES = ("*.csv", "*.tsv", "*.tab", "*.jsonl", "*.ndjson", "*.json", "*.parquet")
_WORDS = {part: re.compile(rf"(?<![a-z])({words})(?![a-z])") for part, words in PARTS.items()}
_ABOUT = re.compile(r"(read[_-]?me|licen[cs]e|copying|changelog|citation)(?![a-z])")
_LONGEST_LINE = 1 << 20  # characters


def part_of(name: str) -> str | None:
    """The part that the name of a file or folder says, the last one it says, or None.

    >>> part_of("GunPoint_TRAIN.ts"), part_of("wnut17train.conll"), part_of("trainers.txt")
    ('training', 'training', None)
    """
    return _cut_at_part(name)[0]


def files_of_parts(path: Path) -> dict[str, Path]:
    """The file of each part: one whose name says ``train`` and those beside it of other parts.

    Names differ in the word for the part alone, in any case, gzipped or not. Any other file is
    all training part. Raises ``InputError`` for the file of another part where there is a
    training part beside it, and where two files are meant for one part.
    """
    part, name = _cut_at_part(path.name)
    if part is None:
        return {"training": path}
    found = {part: path}
    for other in sorted(path.parent.iterdir()):
        its_part, its_name = _cut_at_part(other.name)
        if its_name == name and its_part not in (None, part) and not other.is_dir():
            before = found.setdefault(its_part, other)
            if before.name.removesuffix(".gz") != other.name.removesuffix(".gz"):
                raise InputError(
                    f"two files of the {its_part} part",
                    where=path.parent,
                    found=f"{before.name} and {other.name}",
                    expected="one",
                )
    if part == "training":
        return {part: found[part] for part in PARTS if part in found}
    if "training" in found:
        raise InputError(f"the {part} part alone", where=path, fix=f"give {found['training'].name}")
    return {"training": path}


def files_of_folder(folder: Path, *patterns: str) -> dict[str, Path]:
    """The file of each part of the one dataset of a folder, of files named like the patterns.

    Raises ``InputError`` where there are several datasets, or no training part.
    """
    files = [path for path in sorted(folder.iterdir()) if is_named(path, *patterns)]
    training = {
        _cut_at_part(path.name)[1]: path for path in files if part_of(path.name) == "training"
    }
    if len(training) > 1:
        raise InputError(
            "several datasets in the folder",
            where=folder,
            found=", ".join(path.name for path in training.values()),
            fix="give one of these files",
        )
    if not training and len(files) != 1:
        raise InputError(
            "no file of the training part",
            where=folder,
            found=", ".join(path.name for path in files[:9]) or "no file",
            expected=f"a name with 'train', such as NAME_TRAIN{patterns[0].removeprefix('*')}",
        )
    return files_of_parts(next(iter(training.values()), files[0]))


def is_named(path: str | os.PathLike, *patterns: str) -> bool:
    """Whether a path is that of no folder and named like one of the patterns, gzipped or not."""
    name = os.path.basename(path).lower().removesuffix(".gz")
    return any(fnmatchcase(name, pattern) for pattern in patterns) and not os.path.isdir(path)


def read_parts(files: dict[str, Path], read: Callable, encoding: str | None = None) -> Arrays:
    """The sequences of all files. Raises what ``read`` does, and for files that do not agree.

    read: from a path and the encoding to ``Sequences`` with labels as strings, or numbers to
    predict. Lengths that all fill their steps are left out.
    """
    parts = {part: read(path, encoding) for part, path in files.items()}
    kinds = {part: sequences.y.dtype.kind == "f" for part, sequences in parts.items()}
    if len(set(kinds.values())) > 1:
        raise InputError(
            "labels in one file and numbers to predict in another",
            where=" ".join(str(path) for path in files.values()),
        )
    for part, found in parts.items():
        if found.lengths is not None and (found.lengths == found.x.shape[1]).all():
            parts[part] = found._replace(lengths=None)
    targets = ("target",) if kinds["training"] else None
    return Arrays(name_of(files["training"]), parts, targets=targets)


def pad_sequences(sequences: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Sequences (time, features) as one array (n, longest, features), and their lengths."""
    lengths = np.array([len(sequence) for sequence in sequences], "int32")
    x = np.zeros((len(sequences), lengths.max(), sequences[0].shape[1]), "float32")
    with np.errstate(over="ignore"):  # what becomes infinite shows
        for row, sequence in zip(x, sequences, strict=True):
            row[: len(sequence)] = sequence
    return x, lengths


def trim(sequence: np.ndarray) -> np.ndarray:
    """A sequence (time, features) without the last steps that are missing in all features."""
    real = np.flatnonzero(~np.isnan(sequence).all(1))
    return sequence[: real[-1] + 1 if len(real) else 0]


def numbers(texts: Sequence[str], where: str) -> np.ndarray:
    """Numbers as float64, ``?`` and ``NaN`` being NaN. Raises ``InputError`` at ``where``."""
    characters = "".join(texts)
    if "?" in characters:
        texts = ["nan" if text.strip() == "?" else text for text in texts]
    try:
        found = np.array(texts, "float64")
    except ValueError:
        found = None
    if found is None or "_" in characters:  # Python reads 1_000
        wrong = next((text for text in texts if not _is_number(text)), "")
        raise InputError(
            "a value that is not a number",
            where=where,
            found=repr(wrong.strip()[:40]),
            expected="a number or ?",
        )
    return found


def head_of(path: str | os.PathLike, size: int = 1 << 16) -> list[str]:
    """The first lines of a file that are not empty, the last left out where it may be cut."""
    text, is_whole = _head(path, size)
    lines = text.split("\n")
    return [line for line in (lines if is_whole else lines[:-1]) if line.strip()]


def first_text(path: str | os.PathLike) -> str:
    """The first characters of a file, to see what it is: by its byte order mark, or in any
    encoding that agrees with ASCII.

    Of a file that cannot be read, or is binary, there are none.
    """
    return _head(path, 1 << 16)[0]


def first_words(path: str | os.PathLike, most: int) -> set[str]:
    """The words with which the lines of a file begin, ``most`` and one at most; read as a head."""
    found = set()
    try:
        with open_unpacked(path) as file, _as_text(file) as lines:
            while len(found) <= most and (line := lines.readline(_LONGEST_LINE)):
                found.update(line.split(maxsplit=1)[:1])
    except InputError:
        pass  # who reads it says so
    return found


def is_about_data(path: Path) -> bool:
    """Whether the name of a file says that it tells of the data: README, LICENSE, …

    >>> is_about_data(Path("x/README.txt")), is_about_data(Path("readmission.txt"))
    (True, False)
    """
    return bool(_ABOUT.match(path.name.lower()))


def name_of(path: Path) -> str:
    """What a dataset is called: its file without the word for a part, or its folder.

    >>> name_of(Path("GunPoint_TRAIN.ts.gz")), name_of(Path("TREC/train.txt"))
    ('GunPoint', 'TREC')
    """
    name = path.name.removesuffix(".gz")
    words = "|".join(PARTS.values())
    rest, cut = re.subn(rf"[ ._-]*(?<![a-z])({words})(?![a-z])", "", name, flags=re.IGNORECASE)
    stem = rest.split(".")[0].strip(" _-") if cut else Path(name).stem
    return stem or path.resolve().parent.name


def _head(path, size):
    """The first text of a file, and whether that is all of it."""
    try:
        with open_unpacked(path) as file, _as_text(file) as lines:
            text = lines.read(size)
    except InputError:
        return "", True
    return "" if "\0" in text else text, len(text) < size


def _as_text(file):
    """A binary file as text by its byte order mark, with every line end as ``\\n``."""
    begin = file.peek(4)
    encoding = next((name for mark, name in MARKS.items() if begin.startswith(mark)), "utf-8-sig")
    return io.TextIOWrapper(file, encoding, errors="replace")


def _is_number(text):
    try:
        float(text.replace("_", "x").replace("?", "nan"))
    except ValueError:
        return False
    return True


def _cut_at_part(name):
    """The part that a name says, and the name with the word for it cut out, in small letters."""
    name = name.lower().removesuffix(".gz")
    found = [
        (match.start(), part, match) for part in _WORDS for match in _WORDS[part].finditer(name)
    ]
    if not found:
        return None, name
    _, part, match = max(found)
    return part, f"{name[: match.start()]}\0{name[match.end() :]}"
