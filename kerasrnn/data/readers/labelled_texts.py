"""Labelled texts outside tables: a label before each line, or files and folders named by class."""

from __future__ import annotations

import mimetypes
import re
import statistics
import warnings
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from kerasrnn.data.readers import LabelledTexts, TextParts
from kerasrnn.data.readers.conll import are_entities
from kerasrnn.data.readers.folders import class_folders, entries, part_folders, warn_of_unlabelled
from kerasrnn.data.readers.part_files import (
    TABLES,
    files_of_parts,
    first_words,
    head_of,
    is_about_data,
    is_named,
    name_of,
    part_of,
)
from kerasrnn.data.readers.text_files import read_lines, read_text
from kerasrnn.data.storage import StoredTexts
from kerasrnn.errors import InputError

_PREFIX = "__label__"  # of fastText
_LABEL = re.compile(r"-?\d{1,4}|[^\W\d_]([\w:/&.+-]*\w)?")
_MOST_WORDS = 3  # of a line in a file that stands for a class, by the median
_FEWEST_LINES = 4
LAYOUTS = ("lines", "folders", "files")
_NO_TEXTS = (*TABLES, "*.np[yz]")
_TYPES = mimetypes.MimeTypes()  # those that Python knows itself, alike on all machines


def find(path: Path) -> str | None:
    """How a file or folder holds labelled texts; None where it does not.

    Heads are read, and the whole of a file whose first lines all begin with one word, as it may be
    sorted by class.

    ``"lines"``: a label before each line, as TREC, SST and fastText have it: in a file, or in a
    folder in one file that is the training part. ``"folders"``: a folder for each class with a
    text a file, as aclImdb. ``"files"``: a file for each class, a text a line: ``CLASS.txt``, of
    at most 3 words by the median, since a folder of novels is none; or ``NAME.CLASS``, as
    rt-polarity.pos beside rt-polarity.neg. Folders may lie in ``train``, ``test`` and ``dev`` or
    ``validation`` folders.
    """
    if not path.is_dir():
        return "lines" if _has_labelled_lines(path) else None
    try:
        return _layout(part_folders(path)["training"])
    except (InputError, OSError):
        return None


def read_dataset(path: Path, encoding: str | None = None) -> TextParts:
    """The texts of a file or folder of a layout that ``find`` knows, in their parts.

    Beside a file whose name says ``train`` those of other parts belong to it. Labels are
    strings, or lists of strings where a line of fastText's has several. Texts that are empty
    are left out, which is said, as is a folder ``unsup``. ``reading`` has the layout.

    encoding: of the files, UTF-8 where it is None.

    Raises:
        InputError: no such layout, or a file that cannot be read or has a line without a label.
    """
    if not path.is_dir():
        found = {part: _read_lines(file, encoding) for part, file in files_of_parts(path).items()}
        return TextParts(name_of(path), checked(found), {"layout": "lines"})
    folders = part_folders(path)
    layout = _layout(folders["training"])
    if layout is None:
        raise InputError(
            "no labelled texts in the folder",
            where=path,
            expected="lines with the label first, a folder for each class, or a file for each",
        )
    if layout == "lines" and len(folders) == 1:
        return read_dataset(_line_file(folders["training"]), encoding)
    found = {part: _read_folder(folder, layout, encoding) for part, folder in folders.items()}
    return TextParts(path.resolve().name, checked(found), {"layout": layout})


def read_texts(
    path: Path, layout: str, labels: Collection[str] = (), encoding: str | None = None
) -> tuple[LabelledTexts, list[str] | None]:
    """The texts of a file or folder, to predict or to score, with None where they have no labels.

    Args:
        path: a file of lines, with a label first or without; or a folder, with a ``test`` part
            or folders of classes or without. A file holds one text where a file is a text.
        layout: what ``find`` said of the data that was trained on.
        labels: those of the model; lines that all begin with one of them have them.
        encoding: of the files, UTF-8 where it is None.

    Returns:
        The texts, and of texts in a file each the names of these.

    Raises:
        InputError: a file or folder that holds no texts.
    """
    if path.is_dir():
        return _read_folder_of_texts(path, encoding)
    if is_named(path, *_NO_TEXTS):
        raise InputError(
            "a table for a model that was trained on texts outside tables",
            where=path,
            fix="give a text a line, a folder of texts, or the text itself",
        )
    if layout == "folders":
        return LabelledTexts([_read_file(path, encoding)], None), [path.name]
    lines = [line for _, line in read_lines(path, encoding=encoding) if line.strip()]
    first = {_cut(line)[0].removeprefix(_PREFIX) for line in lines}
    if layout == "lines" and (_has_labelled_lines(path) or (lines and first <= {*labels})):
        return _read_lines(path, encoding), None
    return LabelledTexts(lines, None), None


def first_levels(label: str | list[str], level: int) -> str | list[str]:
    """The first levels of a label whose levels are set apart by ``:``, ``/`` or ``.``.

    >>> first_levels("DESC:manner", 1), first_levels(["sci.med.eyes", "misc"], 2)
    ('DESC', ['sci.med', 'misc'])
    """
    if isinstance(label, list):
        return [first_levels(one, level) for one in label]
    return re.match(rf"(?:[^:/.]*[:/.]){{0,{level - 1}}}[^:/.]*", label)[0] or label


def checked(parts: dict[str, LabelledTexts]) -> dict[str, LabelledTexts]:
    """The parts without empty texts, and with lists of labels in all or none of them."""
    several = any(isinstance(found.labels[0], list) for found in parts.values())
    for part, found in parts.items():
        texts, labels = found.texts, found.labels
        if several and not isinstance(labels[0], list):
            labels = [[label] for label in labels]
        kept = [index for index, text in enumerate(texts) if text]
        if left := len(texts) - len(kept):
            warnings.warn(f"{left:,} empty texts of the {part} part left out", stacklevel=3)
            full, texts = texts, StoredTexts()
            texts.extend(filter(None, full))
            labels = [labels[i] for i in kept]
        parts[part] = LabelledTexts(texts, labels)
    return parts


def _read_folder_of_texts(folder, encoding):
    folders = part_folders(folder)
    folder = folders.get("test", folders["training"])
    layout = _layout(folder)
    if layout == "folders":
        files = [file for inner in class_folders(folder).values() for file in _text_files(inner)]
        names = [str(file.relative_to(folder)) for file in files]
        return _read_folder(folder, layout, encoding), names
    if layout == "lines":
        files = files_of_parts(_line_file(folder))
        return _read_lines(files.get("test", files["training"]), encoding), None
    if layout is not None:
        return _read_folder(folder, layout, encoding), None
    files = _text_files(folder)
    if not files:
        raise InputError("no texts in the folder", where=folder)
    texts = [_read_file(file, encoding) for file in files]
    return LabelledTexts(texts, None), [file.name for file in files]


def _layout(folder):
    """The layout of the folder of one part."""
    classes = class_folders(folder)
    if len(classes) > 1 and all(map(_text_files, classes.values())):
        return "folders"
    if _class_files(folder):
        return "files"
    return None if _line_file(folder) is None else "lines"


def _class_files(folder):
    """The file of each class: CLASS.txt of short lines, or of one name with CLASS as its suffix."""
    files = [file for file in entries(folder) if not is_about_data(file)]
    texts = [file for file in files if is_named(file, "*.txt")]
    named = len(texts) > 1 and not any(part_of(file.name) for file in texts)
    if named and all(map(_has_short_lines, texts)) and not any(map(_has_labelled_lines, texts)):
        return {_halves(file)[0]: file for file in texts}
    found = {_halves(file)[1]: file for file in files}
    alike = len({_halves(file)[0] for file in files}) == 1 and len(found) == len(files) > 1
    return found if alike and all(map(_is_class_of_lines, files)) else {}


def _halves(path):
    """What stands before the suffix of a name, and the suffix, but for that of gzip."""
    stem, _, suffix = path.name.removesuffix(".gz").rpartition(".")
    return stem, suffix


def _is_class_of_lines(path):
    """Whether the suffix of a file is a word that no format has, and its lines are prose."""
    suffix = _halves(path)[1]
    known = is_named(path, *_NO_TEXTS, "*.txt") or _TYPES.guess_type(path.name)[0]
    lines = head_of(path, 1 << 13)
    prose = sum(bool(re.search(r"[^\W\d_]\S* +\S", line)) for line in lines)
    word = suffix.isalpha() and len(suffix) > 2 and not part_of(suffix)
    return bool(word and not known and len(lines) >= _FEWEST_LINES and prose > len(lines) / 2)


def _line_file(folder):
    """The training file of a folder of lines with their label first, or None."""
    files = [file for file in entries(folder) if _has_labelled_lines(file)]
    training = [file for file in files if part_of(file.name) == "training"] or files
    if len(training) > 1 and part_of(training[0].name) == "training":
        raise InputError(
            "several datasets in the folder",
            where=folder,
            found=", ".join(file.name for file in training),
            fix="give one of these files",
        )
    return training[0] if len(training) == 1 else None


def _text_files(folder):
    """The files of a folder that hold a text each: .txt, or without a suffix."""
    files = [file for file in entries(folder) if not is_named(file, *_NO_TEXTS)]
    texts = [file for file in files if is_named(file, "*.txt", "*.text")]
    return texts or [file for file in files if not re.search(r"\.\D", file.name)]


def _has_short_lines(path):
    words = [len(line.split()) for line in head_of(path, 1 << 13)]
    return len(words) > 1 and statistics.median(words) <= _MOST_WORDS


def _has_labelled_lines(path):
    """Whether each line of a file's head is one of few labels and a text."""
    lines = head_of(path)
    if is_named(path, *_NO_TEXTS) or len(lines) < _FEWEST_LINES:
        return False
    if sum(line.startswith(_PREFIX) for line in lines) > 0.9 * len(lines):
        return True
    rows = [_cut(line) for line in lines]
    counts = Counter(label for label, _ in rows)
    labels = {*counts}
    if statistics.median(counts.values()) < 2 or any(_has_labels_last(lines, m) for m in ";|,"):
        return False
    if len(labels) == 1:  # a file that is sorted by class, maybe
        labels = first_words(path, len(rows))
    sure = part_of(path.name) is not None or all(map(str.isdigit, labels))
    most = len(rows) / (4 if sure else 10)
    if not 1 < len(labels) <= most or not all(map(_LABEL.fullmatch, labels)):
        return False
    if are_entities(labels) and not any(" " in text for _, text in rows):
        return False  # tokens, a line each
    prose = sum(bool(re.search(r"[^\W\d_]{2}", text)) for _, text in rows)
    return prose > 0.9 * len(rows) and max(line.count("\t") for line in lines) < 2


def _has_labels_last(lines, mark):
    """Whether each line has a mark once, and behind it one of few labels, as a table does."""
    ends = {line.rpartition(mark)[2].strip() for line in lines}
    once = all(line.count(mark) == 1 for line in lines)
    return once and 1 < len(ends) <= len(lines) / 4 and all(map(_LABEL.fullmatch, ends))


def _cut(line):
    """The first word of a line, and the rest."""
    label, _, text = re.sub("[ \t]+", " ", line.strip(), count=1).partition(" ")
    return label, text.strip()


def _read_folder(folder, layout, encoding):
    if layout == "lines":
        file = _line_file(folder)
        if file is None:
            raise InputError("no lines with a label first", where=folder)
        return _read_lines(file, encoding)
    texts, labels = StoredTexts(), []
    if layout == "folders":
        warn_of_unlabelled(folder)
        for name, inner in class_folders(folder).items():
            files = _text_files(inner)
            texts.extend(_read_file(file, encoding) for file in files)
            labels += [name] * len(files)
    else:
        for label, file in _class_files(folder).items():
            found = [line.strip() for _, line in read_lines(file, encoding=encoding)]
            found = [line for line in found if line]
            texts.extend(found)
            labels += [label] * len(found)
    if not texts:
        raise InputError("no texts in the folder", where=folder)
    return LabelledTexts(texts, labels)


def _read_file(path, encoding):
    return "".join(read_text(path, encoding=encoding)).strip()


def _read_lines(path, encoding):
    """The texts of lines with a label first; lists of labels where a line has several."""
    texts, labels = StoredTexts(), []
    texts.extend(_labelled_lines(path, encoding, labels))
    if not len(texts):
        raise InputError("no texts in the file", where=path)
    if all(len(given) == 1 for given in labels):
        labels = [given[0] for given in labels]
    return LabelledTexts(texts, labels)


def _labelled_lines(path, encoding, labels):
    """The texts of lines, whose labels are added to a list."""
    prefixed = None
    for number, line in read_lines(path, encoding=encoding):
        if not line.strip():
            continue
        label, text = _cut(line)
        given = [label]
        while text.startswith(_PREFIX):
            label, text = _cut(text)
            given.append(label)
        prefixed = label.startswith(_PREFIX) if prefixed is None else prefixed
        if label.startswith(_PREFIX) is not prefixed or label == _PREFIX:
            raise InputError(
                "a line without a label",
                where=f"{path}:{number}",
                found=repr(line[:40]),
                expected=f"{_PREFIX}NAME first",
            )
        labels.append([name.removeprefix(_PREFIX) for name in given])
        yield text
