"""``load_dataset(name or path)`` → a ``Dataset``: checked arrays in three parts."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from kerasrnn.data.checks import check_numbers, check_sequences, encode_labels, has_missing
from kerasrnn.data.kinds import NAMES, check_exists, file_format
from kerasrnn.data.parts import ThreeParts, cut_missing, warn_of_unseen_labels
from kerasrnn.data.readers import Arrays, Sequences, TextParts, idx
from kerasrnn.data.roles import Roles
from kerasrnn.data.sources import options_of, read_source, source_of
from kerasrnn.data.storage import FileArray, chunks, select
from kerasrnn.errors import InputError, check_seed, check_split

_NAMES = tuple(name for name, kind in NAMES.items() if kind == "sequences")


@dataclass(frozen=True, eq=False)
class Part:
    """Sequences of one part of a dataset and their targets.

    x: (n, time, features), right-padded where lengths differ; in a file where it is large. y: int
    (n,), indices into the dataset's labels, or float32 (n, targets). lengths: int32 (n,), or None
    where every sequence fills all steps. groups: (n,), in training what each belongs to, where that
    is known: what is judged by sequences of a group shall not have learnt from others of it.
    """

    x: np.ndarray | FileArray
    y: np.ndarray
    lengths: np.ndarray | None = None
    groups: np.ndarray | None = None

    def __len__(self):
        return len(self.x)

    @property
    def inputs(self) -> list[np.ndarray | FileArray]:
        """What a model reads of them: x, and lengths where they differ."""
        return [self.x] if self.lengths is None else [self.x, self.lengths]

    def select(self, indices: np.ndarray) -> Part:
        """The sequences at ``indices``; of a file they are not read yet."""
        lengths, groups = (
            None if of is None else of[indices] for of in (self.lengths, self.groups)
        )
        return Part(select(self.x, indices), self.y[indices], lengths, groups)

    def take(self, indices: np.ndarray) -> Part:
        """The sequences at ``indices``."""
        lengths = None if self.lengths is None else self.lengths[indices]
        return Part(self.x[indices], self.y[indices], lengths)


@dataclass(frozen=True, eq=False)
class Dataset(ThreeParts):
    """Sequences ready for a classifier or a regressor.

    name: short, used in run names. source: what ``load_dataset`` was given, an absolute path if
    one, ``""`` for arrays in memory. labels: the class names, in index order; an index from
    ``len(labels)`` on, in a test part, means one of the unseen_labels, which the training part
    lacks. axes: what each axis of x means. train, validation, test: the parts; validation is
    None if there is none. options: the ``validation_split`` and ``seed`` that cut them.
    one_scale: all features are of one kind (pixels), so that one mean and variance scales them.
    targets: names of the numbers to predict, where there are such instead of labels. reading: how
    another file of the kind is read. remake: of arrays in memory, cuts them by other options.

    >>> data = load_dataset("digits")
    >>> data.train.x.shape, data.sizes()
    ((1293, 8, 8), {'training': 1293, 'validation': 144, 'test': 360})
    """

    name: str
    source: str
    labels: tuple[str, ...]
    axes: tuple[str, str, str]
    train: Part
    validation: Part | None
    test: Part
    options: dict
    one_scale: bool = False
    unseen_labels: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    reading: dict = field(default_factory=dict)
    remake: Callable[[dict], Dataset] | None = None

    vocabulary = None  # there are no tokens
    several = False  # one label for each

    @classmethod
    def from_arrays(
        cls,
        x: np.ndarray,
        y: np.ndarray,
        *,
        lengths: np.ndarray | None = None,
        test: tuple | None = None,
        labels: tuple[str, ...] | None = None,
        targets: tuple[str, ...] | None = None,
        name: str = "arrays",
        validation_split: float | None = None,
        seed: int = 0,
    ) -> Dataset:
        """A dataset of arrays in memory, checked and cut as ``load_dataset`` does.

        Args:
            x: numbers (n, time, features), or (n, time) for one feature; right-padded where
                sequences differ in length.
            y: integers or strings (n,), a label for each sequence; or with ``targets`` numbers
                to predict (n, targets).
            lengths: int (n,), the steps of each sequence before its padding.
            test: ``(x, y)`` or ``(x, y, lengths)`` of the test part, which is otherwise cut off.
            labels: the class names, if y holds indices into them.
            targets: names of the numbers to predict, for a regressor.
            name: used in run names.
            validation_split, seed: as of ``load_dataset``.

        Raises:
            InputError: arrays that cannot be trained on.

        >>> x, y = np.random.default_rng(0).normal(size=(40, 5, 3)), ["up", "down"] * 20
        >>> print(Dataset.from_arrays(x, y))
        arrays: 32 training, 8 test sequences of 5 steps × 3 features, 2 labels
        """
        parts = {"training": (x, y, lengths)} | ({"test": tuple(test)} if test else {})
        parts = {
            part: Sequences(*(None if a is None else np.asarray(a) for a in found))
            for part, found in parts.items()
        }
        found = Arrays(name, parts, labels and tuple(labels), targets and tuple(targets))
        options = {"validation_split": validation_split, "seed": seed}
        remake = partial(_cut_in_parts, found, "", name)
        return replace(remake(options), remake=remake)

    @property
    def task(self) -> str:
        """The task that the data is for by itself."""
        return "regressor" if self.targets else "classifier"

    @property
    def missing(self) -> bool:
        """Whether a value is missing in any part: NaN."""
        return any(has_missing(part.x) for part in self.parts().values())

    def __str__(self):
        _, steps, features = self.train.x.shape
        longest = "" if self.train.lengths is None else "up to "
        return (
            f"{self.name}: {self._sizes_in_words()} {self.axes[0]}s of {longest}{steps} "
            f"{self.axes[1]}s × {features} {self.axes[2]}s, "
            + (f"to predict {', '.join(self.targets)}" if self.targets else "")
            + (f"{len(self.labels)} labels" if self.labels else "")
        )

    def fingerprint(self) -> str:
        """SHA-256 of all arrays and labels, to tell whether a run still has its data."""
        digest = hashlib.sha256("\0".join(self.labels + self.unseen_labels + self.targets).encode())
        for part in self.parts().values():
            for array in (part.x, part.y, part.lengths):
                if array is not None:
                    digest.update(f"{array.dtype}{array.shape}".encode())
                    for _, chunk in chunks(array):
                        digest.update(np.ascontiguousarray(chunk))
        return digest.hexdigest()


def load_dataset(
    name_or_path: str | os.PathLike = "digits",
    *,
    roles: Roles | None = None,
    test: str | os.PathLike | None = None,
    encoding: str | None = None,
    validation_split: float | None = None,
    seed: int = 0,
) -> Dataset:
    """Load labelled sequences by name, or from a file or folder.

    ``digits``: 1,797 handwritten digits, 8×8, read row by row (scikit-learn; E. Alpaydin and
    C. Kaynak, UCI 1998). ``mnist``: 70,000 handwritten digits, 28×28 (LeCun, Cortes, Burges),
    looked for under ``KERASRNN_DATA`` and in the cache, else downloaded once. An ``.npz``
    file holds ``x`` and ``y``, or ``x_train``, ``y_train``, ``x_test``, ``y_test``, with
    ``lengths`` (``lengths_train``, ``lengths_test``) where sequences are right-padded, and
    optionally ``labels``, the class names. A folder holds IDX files named as MNIST's, or one
    dataset of the UCR/UEA archive: ``NAME_TRAIN.ts`` and ``NAME_TEST.ts``. The former can be
    given alone and takes the latter with it, which is then the test part, as published.

    A table holds a series a row, or a step a row with an id; see ``Roles`` for what its columns
    are found by.

    Args:
        name_or_path: one of the names above, or a path.
        roles: what the columns of a table are, where that is not to be found.
        test: the path of the test part, where it is not beside the other.
        encoding: of text files, by default UTF-8.
        validation_split: fraction of the training part that is cut off for validation, in
            [0, 1), the same of each class; 0 for none. Of classes too small for that, one
            sequence, where there are two. By default 0.1, and none of fewer than 1,000.
        seed: fixes that cut.

    Raises:
        InputError: unknown name, defective file, or data that cannot be trained on.

    >>> print(load_dataset("digits", validation_split=0))
    digits: 1,437 training, 360 test images of 8 rows × 8 columns, 10 labels
    """
    given = os.fspath(name_or_path)
    options = {"validation_split": validation_split, "seed": seed}
    found = read_source(given, roles=roles, test=test, encoding=encoding)
    if not isinstance(found, Arrays):
        raise InputError(
            "no sequences",
            where=given,
            found="texts" if isinstance(found, TextParts) else "series",
            expected="sequences with a label or number each",
        )
    return dataset_of(found, given, options | options_of(roles, test, encoding))


def load_sequences(name_or_path: str | os.PathLike) -> tuple[np.ndarray, np.ndarray | None]:
    """Sequences to predict: x (n, time, features) and lengths (n,) or None.

    Takes a dataset's name (its test part), an ``.npz`` file with ``x`` (or ``x_test``) and
    perhaps ``lengths``, an ``.npy`` file, a ``.ts`` file, or an IDX file of images.

    Raises ``InputError``.

    >>> x, lengths = load_sequences("digits")
    >>> x.shape, lengths
    ((360, 8, 8), None)
    """
    found = read_sequences(os.fspath(name_or_path))
    return found.x, found.lengths


def read_sequences(source: str, encoding: str | None = None) -> Sequences:
    """As ``load_sequences``, with y where the source has it: labels, or numbers to predict.

    Raises ``InputError``.
    """
    if source in _NAMES or os.path.isdir(source):
        data = load_dataset(source, encoding=encoding, validation_split=0)
        part, names = data.test, np.array(data.labels + data.unseen_labels)
        return Sequences(part.x, names[part.y] if data.labels else part.y, part.lengths)
    check_exists(source, _NAMES)
    found = file_format(source)
    read = found.read_inputs if found and found.read_inputs else idx.read_inputs
    x, y, lengths = read(Path(source), encoding)
    x, lengths = check_sequences(x, lengths, source, "input")
    if y is not None and len(y) != len(x):
        raise InputError(
            "sequences and targets differ in number", where=source, found=f"{len(x)} and {len(y)}"
        )
    return Sequences(x, y, lengths)


def dataset_of(arrays: Arrays, given: str, options: dict) -> Dataset:
    """The dataset of what a reader gives, checked and cut.

    given: where it comes from, a name or a path. options: what it was read and cut by.
    """
    return _cut_in_parts(arrays, source_of(given), given, options)


def _cut_in_parts(arrays, source, where, options):
    """The dataset of some arrays. where: what messages call them. options: those of its cuts."""
    check_split(options["validation_split"])
    check_seed(options["seed"])
    given = {part: sequences.y for part, sequences in arrays.parts.items()}
    labels = unseen = targets = ()
    if arrays.targets:
        targets = arrays.targets
        y = {part: check_numbers(found, targets, where, part) for part, found in given.items()}
    else:
        labels, unseen, y = encode_labels(given, arrays.labels, where)
    parts = {
        part: _part(sequences.x, y[part], sequences.lengths, where, part)
        for part, sequences in arrays.parts.items()
    }
    _align(parts, where)
    if arrays.groups is not None:
        groups = np.unique(arrays.groups, return_inverse=True)[1]
        parts["training"] = replace(parts["training"], groups=groups)
    cut_missing(parts, options, where, "sequences", arrays.groups)
    data = Dataset(
        *(arrays.name, source, labels, arrays.axes),
        *(parts["training"], parts.get("validation"), parts["test"]),
        *(options, arrays.one_scale, unseen, targets, arrays.reading),
    )
    warn_of_unseen_labels(data, where)
    return data


def _align(parts, where):
    """Give all parts lengths where any has such, or where they differ in time.

    Raises ``InputError`` unless all have the features of the training part.
    """
    train = parts["training"]
    for name, part in parts.items():
        if train.x.shape[2] != part.x.shape[2]:
            raise InputError(
                f"training and {name} sequences differ in shape",
                where=where,
                found=f"{train.x.shape[1:]} and {part.x.shape[1:]}",
                expected="the same number of features",
            )
    if len({part.x.shape[1] if part.lengths is None else 0 for part in parts.values()}) > 1:
        for name, part in parts.items():
            if part.lengths is None:
                parts[name] = replace(part, lengths=np.full(len(part), part.x.shape[1], "int32"))


def _part(x, y, lengths, where, what):
    x, lengths = check_sequences(x, lengths, where, what)
    if len(x) != len(y):
        raise InputError(
            f"{what} sequences and targets differ in number",
            where=where,
            found=f"{len(x):,} and {len(y):,}",
        )
    return Part(x, y, lengths)
