"""``load(name or path)`` → a ``Dataset``: checked arrays, split in three, with their meaning."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kerasrnn.data import downloads, sentences
from kerasrnn.data.corpora import CORPORA, ThreeParts, check_split
from kerasrnn.data.readers import formats
from kerasrnn.errors import InputError

NAMES = ("digits", "mnist")
TEST_SPLIT = 0.2  # cut from data that comes without a test part, always the same way
_TEST_SEED = 0
_LARGEST = 1e18  # whose square float32 still holds


@dataclass(frozen=True, eq=False)
class Part:
    """Sequences of one part of a dataset and their targets.

    x: (n, time, features), right-padded where lengths differ. y: int (n,), indices into the
    dataset's labels. lengths: int32 (n,), or None where every sequence fills all steps.
    """

    x: np.ndarray
    y: np.ndarray
    lengths: np.ndarray | None = None

    def __len__(self):
        return len(self.x)

    def take(self, indices) -> Part:
        """The sequences at ``indices``."""
        lengths = None if self.lengths is None else self.lengths[indices]
        return Part(self.x[indices], self.y[indices], lengths)


@dataclass(frozen=True, eq=False)
class Dataset(ThreeParts):
    """Data ready for training.

    name: short, used in run names. source: what ``load`` was given, an absolute path if one.
    labels: the class names, in index order. axes: what each axis of x means. train,
    validation, test: the parts; validation is None if none was asked for. options: the
    ``validation_split`` and ``seed`` that ``load`` was given. one_scale: all features are of
    one kind (pixels), so that one mean and variance scales them all.
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
    task: str = "classifier"

    def __str__(self):
        sizes = ", ".join(f"{size:,} {name}" for name, size in self.sizes().items())
        _, steps, features = self.train.x.shape
        longest = "" if self.train.lengths is None else "up to "
        return (
            f"{self.name}: {sizes} {self.axes[0]}s of {longest}{steps} {self.axes[1]}s "
            f"× {features} {self.axes[2]}s, {len(self.labels)} labels"
        )

    def fingerprint(self) -> str:
        """SHA-256 of all arrays and labels, to tell whether a run still has its data."""
        digest = hashlib.sha256("\0".join(self.labels).encode())
        for part in self.parts().values():
            for array in (part.x, part.y, part.lengths):
                if array is not None:
                    digest.update(f"{array.dtype}{array.shape}".encode())
                    digest.update(np.ascontiguousarray(array))
        return digest.hexdigest()


def task_of(source) -> str:
    """The task that data is for, from its name or kind: ``"classifier"``, ``"tagger"`` (Python
    source, CoNLL files) or ``"generator"`` (any other text).

    Raises ``InputError`` for data that is not there.
    """
    path = Path(source)
    if source in NAMES or path.suffix in (".npz", ".ts") or _ts_files(path):
        return "classifier"
    if source in sentences.NAMES or path.suffix in sentences.SUFFIXES:
        return "tagger"
    if source in CORPORA or source == "-" or path.is_file():
        return "generator"
    if path.is_dir():
        if any(file.suffix in sentences.SUFFIXES for file in path.iterdir()):
            return "tagger"
        return "generator" if next(path.rglob("*.txt"), None) else "classifier"
    raise downloads.unknown(source, NAMES + CORPORA + sentences.NAMES)


def load(name_or_path="digits", *, validation_split=0.1, seed=0) -> Dataset:
    """Load a dataset by name, or from a file or folder.

    ``digits``: 1,797 handwritten digits, 8×8, read row by row (scikit-learn; E. Alpaydin and
    C. Kaynak, UCI 1998). ``mnist``: 70,000 handwritten digits, 28×28 (LeCun, Cortes, Burges),
    looked for under ``KERASRNN_DATA`` and in the cache, else downloaded once. An ``.npz``
    file holds ``x`` and ``y``, or ``x_train``, ``y_train``, ``x_test``, ``y_test``, with
    ``lengths`` (``lengths_train``, ``lengths_test``) where sequences are right-padded, and
    optionally ``labels``, the class names. A folder holds IDX files named as MNIST's, or one
    dataset of the UCR/UEA archive: ``NAME_TRAIN.ts`` and ``NAME_TEST.ts``. The former can be
    given alone and takes the latter with it, which is then the test part, as published.

    Args:
        name_or_path: one of the names above, or a path.
        validation_split: share of the training part cut off for validation, in [0, 1);
            stratified. 0 for none.
        seed: fixes that cut.

    Raises:
        InputError: unknown name, defective file, or data that cannot be trained on.
    """
    check_split(validation_split)
    if not 0 <= seed < 2**32:
        raise InputError("seed out of range", found=seed, expected="0 ≤ seed < 2^32")
    raw = _read(str(name_or_path))
    labels, (y_train, y_test) = _encode_labels(raw)
    train = _check(Part(raw["x_train"], y_train, raw.get("lengths_train")), raw, "training")
    if y_test is None:
        train, test = _cut(train, raw, labels, TEST_SPLIT, _TEST_SEED, "test")
    else:
        test = _check(Part(raw["x_test"], y_test, raw.get("lengths_test")), raw, "test")
        if train.x.shape[2] != test.x.shape[2] or (
            train.lengths is None and train.x.shape[1] != test.x.shape[1]
        ):
            raise InputError(
                "training and test sequences differ in shape",
                where=raw["source"],
                found=f"{train.x.shape[1:]} and {test.x.shape[1:]}",
                expected="the same (time, features)",
            )
    validation = None
    if validation_split:
        train, validation = _cut(train, raw, labels, validation_split, seed, "validation")
    return Dataset(
        name=raw["name"],
        source=raw["source"],
        labels=labels,
        axes=raw["axes"],
        train=train,
        validation=validation,
        test=test,
        options={"validation_split": validation_split, "seed": seed},
        one_scale=raw.get("one_scale", False),
    )


def load_sequences(name_or_path) -> tuple[np.ndarray, np.ndarray | None]:
    """Sequences to predict: x (n, time, features) and lengths (n,) or None.

    Takes a dataset's name (its test part), an ``.npz`` file with ``x`` (or ``x_test``) and
    perhaps ``lengths``, an ``.npy`` file, a ``.ts`` file, or an IDX file of images.
    """
    name_or_path = str(name_or_path)
    path = Path(name_or_path)
    if name_or_path in NAMES or path.is_dir():
        test = load(name_or_path, validation_split=0).test
        return test.x, test.lengths
    if not path.is_file():
        raise downloads.unknown(name_or_path, NAMES)
    lengths = None
    if path.suffix in (".npz", ".npy"):
        arrays = formats.read_numpy(path)
        key = next((key for key in ("x", "x_test") if key in arrays), None)
        if key is None:
            raise InputError(
                "no sequences in the file", where=path, found=_names(arrays), expected="an array x"
            )
        x, lengths = arrays[key], arrays.get(key.replace("x", "lengths"))
    elif path.suffix == ".ts":
        x, lengths, _ = _read_whole_ts(path)
    else:
        x = formats.read_idx_images(path)
    part = _check(Part(x, np.zeros(x.shape[:1], int), lengths), {"source": str(path)}, "input")
    return part.x, part.lengths


def _read(name_or_path):
    """The raw arrays of a dataset: x_train, y_train, maybe x_test, …, and their meaning."""
    path = Path(name_or_path)
    if name_or_path == "digits":
        return _read_digits()
    if name_or_path == "mnist":
        folder = downloads.find_mnist()
        return {**_read_idx_folder(folder), "name": "mnist", "source": "mnist"}
    if path.is_dir():
        return _read_ts_folder(path) if _ts_files(path) else _read_idx_folder(path)
    if path.is_file():
        if path.suffix == ".ts":
            return _read_ts(path)
        if path.suffix != ".npz":
            raise InputError(
                "unknown kind of file",
                where=path,
                expected="an .npz or .ts file, or a folder of IDX or .ts files",
            )
        return _read_npz(path)
    raise downloads.unknown(name_or_path, NAMES)


def _read_digits():
    from sklearn.datasets import load_digits

    digits = load_digits()
    return {
        "name": "digits",
        "source": "digits",
        "x_train": digits.images.astype("float32"),
        "y_train": digits.target,
        "axes": ("image", "row", "column"),
        "one_scale": True,
    }


def _read_idx_folder(folder):
    files = formats.find_idx(folder)
    if "train_images" not in files or "train_labels" not in files:
        raise InputError(
            "no training images and labels in the folder",
            where=folder,
            found=", ".join(path.name for path in files.values()) or "no IDX files",
            expected="files named like train-images-idx3-ubyte[.gz], train-labels-idx1-ubyte[.gz]",
        )
    if ("test_images" in files) != ("test_labels" in files):
        raise InputError("a test part with only images or only labels", where=folder)
    raw = {
        "name": Path(folder).resolve().name,
        "source": str(Path(folder).resolve()),
        "axes": ("image", "row", "column"),
        "one_scale": True,
    }
    for part in ("train", "test"):
        if f"{part}_images" in files:
            raw[f"x_{part}"] = formats.read_idx_images(files[f"{part}_images"])
            raw[f"y_{part}"] = formats.read_idx_labels(files[f"{part}_labels"])
    return raw


def _read_npz(path):
    arrays = formats.read_numpy(path)
    if "x" in arrays and "y" in arrays:
        keys = {"x_train": "x", "y_train": "y", "lengths_train": "lengths"}
    elif all(key in arrays for key in ("x_train", "y_train")):
        keys = {
            f"{key}_{part}": f"{key}_{part}" for key in ("x", "y") for part in ("train", "test")
        }
        keys |= {f"lengths_{part}": f"lengths_{part}" for part in ("train", "test")}
        if ("x_test" in arrays) != ("y_test" in arrays):
            raise InputError("only one of x_test and y_test", where=path, expected="both or none")
    else:
        raise InputError(
            "unknown arrays in the .npz file",
            where=path,
            found=_names(arrays),
            expected="x and y, or x_train and y_train (and x_test, y_test)",
        )
    raw = {key: arrays[name] for key, name in keys.items() if name in arrays}
    raw |= {
        "name": path.stem,
        "source": str(path.resolve()),
        "axes": ("sequence", "step", "feature"),
    }
    if "labels" in arrays:
        raw["labels"] = tuple(str(label) for label in arrays["labels"].ravel())
    raw["one_scale"] = raw["x_train"].dtype == np.uint8  # pixels
    return raw


def _ts_files(folder):
    return sorted(folder.glob("*_TRAIN.ts"))


def _read_ts_folder(folder):
    files = _ts_files(folder)
    if len(files) > 1:
        raise InputError(
            "several datasets in the folder",
            where=folder,
            found=", ".join(path.name for path in files),
            fix="give one of these files",
        )
    return {**_read_ts(files[0]), "source": str(folder.resolve())}


def _read_ts(path):
    """The sequences of a .ts file, and of the NAME_TEST.ts that belongs to a NAME_TRAIN.ts."""
    name = path.stem.removesuffix("_TRAIN")
    files = {"train": path}
    if name != path.stem and path.with_name(f"{name}_TEST.ts").is_file():
        files["test"] = path.with_name(f"{name}_TEST.ts")
    train = path.with_name(f"{name.removesuffix('_TEST')}_TRAIN.ts")
    if name.endswith("_TEST") and train.is_file():
        raise InputError("the test part alone", where=path, fix=f"give {train.name}")
    parts = {part: _read_whole_ts(file) for part, file in files.items()}
    raw = {"name": name, "source": str(path.resolve()), "axes": ("sequence", "step", "feature")}
    unequal = any(lengths is not None for _, lengths, _ in parts.values())
    whole = all(_are_whole(labels) for _, _, labels in parts.values())
    for part, (x, lengths, labels) in parts.items():
        if labels is None:
            raise InputError(
                "a .ts file without labels", where=files[part], expected="@classLabel true"
            )
        # labels 1, 2, …, 10 are to sort as numbers
        raw |= {f"x_{part}": x, f"y_{part}": labels.astype(int) if whole else labels}
        if unequal:
            full = np.full(len(x), x.shape[1], "int32")
            raw[f"lengths_{part}"] = full if lengths is None else lengths
    return raw


def _are_whole(labels):
    return labels is not None and all(re.fullmatch("0|-?[1-9][0-9]{0,8}", str(y)) for y in labels)


def _read_whole_ts(path):
    """As ``formats.read_ts``; missing values are refused."""
    x, lengths, labels = formats.read_ts(path)
    if missing := np.isnan(x).sum():
        raise InputError(
            "missing values", where=path, found=f"{missing:,} '?'", fix="fill them in beforehand"
        )
    return x, lengths, labels


def _names(arrays):
    return ", ".join(sorted(arrays)) or "no arrays"


def _encode_labels(raw):
    """The class names, and the targets of both parts as indices into them."""
    where = raw["source"]
    targets = [_flatten_targets(raw.get(f"y_{part}"), where) for part in ("train", "test")]
    if "labels" in raw:
        labels = raw["labels"]
        if len(set(labels)) < max(len(labels), 2):
            raise InputError(
                "class names that repeat, or fewer than two", where=where, found=labels
            )
        for y in targets:
            if y is None:
                continue
            integers = y.dtype.kind in "iu"
            if not integers or y.min() < 0 or y.max() >= len(labels):
                raise InputError(
                    "a label outside the classes",
                    where=where,
                    found=f"y from {y.min()} to {y.max()}" if integers else f"y of {y.dtype}",
                    expected=f"indices 0 to {len(labels) - 1} into 'labels'",
                )
        return labels, targets
    classes = np.unique(targets[0])
    if len(classes) < 2:
        raise InputError(
            "only one class", where=where, found=repr(str(classes[0])), expected="two or more"
        )
    encoded = []
    for y in targets:
        if y is not None:
            strange = np.setdiff1d(y, classes)
            if len(strange):
                raise InputError(
                    "a label outside the classes",
                    where=where,
                    found=f"{str(strange[0])!r} in the test part",
                    expected=f"one of the {len(classes)} labels of the training part",
                )
            y = np.searchsorted(classes, y)
        encoded.append(y)
    return tuple(str(label) for label in classes), encoded


def _flatten_targets(y, where):
    if y is None:
        return None
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise InputError(
            "targets of the wrong shape",
            where=where,
            found=f"y {y.shape}",
            expected="(n,), one label for each sequence",
            fix="for one-hot targets store y.argmax(-1)" if y.ndim == 2 else None,
        )
    if not len(y):
        raise InputError("empty data", where=where, found="no labels")
    if y.dtype.kind == "f":
        if not np.array_equal(y, np.round(y)):
            raise InputError(
                "targets that are not labels",
                where=where,
                found=y[y != np.round(y)][0],
                expected="integers or strings",
            )
        y = y.astype(int)
    if y.dtype.kind not in "iubU":
        raise InputError("targets of an unknown kind", where=where, found=y.dtype)
    return y


def _check(part, raw, what):
    """The part with x as (n, time, features) and lengths as int32, or an InputError."""
    where, x, lengths = raw["source"], part.x, part.lengths
    if x.ndim == 2:
        x = x[:, :, None]  # one feature a step
    if x.ndim != 3 or x.dtype.kind not in "fiub":
        raise InputError(
            f"{what} sequences of the wrong shape or kind",
            where=where,
            found=f"x {part.x.shape} of {part.x.dtype}",
            expected="numbers (n, time, features)",
        )
    if 0 in x.shape:
        raise InputError("empty data", where=where, found=f"{what} x {x.shape}")
    if len(x) != len(part.y):
        raise InputError(
            f"{what} sequences and labels differ in number",
            where=where,
            found=f"{len(x):,} and {len(part.y):,}",
        )
    if x.dtype.kind == "f" or x.dtype.itemsize > 4:
        with np.errstate(over="ignore"):  # what becomes infinite is named below
            x = x.astype("float32", copy=False)
    if lengths is not None:
        lengths = _check_lengths(lengths, x, where, what)
        real = np.arange(x.shape[1]) < lengths[:, None]
        x = np.where(real[:, :, None], x, np.zeros((), x.dtype))
    finite = np.isfinite(x) if x.dtype.kind == "f" else np.True_
    if not finite.all():
        index = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise InputError(
            f"{what} sequences with values that are not finite",
            where=where,
            found=f"{x[index]} at x[{', '.join(map(str, index))}] ({(~finite).sum():,} in all)",
            expected="numbers; where sequences end early, pad and store 'lengths'",
        )
    largest = max(abs(float(x.max())), abs(float(x.min())))
    if largest > _LARGEST:
        raise InputError(
            f"{what} sequences with values too large for float32 statistics",
            where=where,
            found=f"{largest:.3g}",
            expected=f"at most {_LARGEST:g}",
            fix="store them in another unit",
        )
    return Part(x, part.y, lengths)


def _check_lengths(lengths, x, where, what):
    n, time = x.shape[:2]
    if lengths.shape != (n,) or lengths.dtype.kind not in "iu":
        raise InputError(
            f"{what} lengths of the wrong shape or kind",
            where=where,
            found=f"{lengths.shape} of {lengths.dtype}",
            expected=f"integers ({n},)",
        )
    if lengths.min() < 1 or lengths.max() > time:
        raise InputError(
            f"{what} lengths out of range",
            where=where,
            found=f"{lengths.min()} to {lengths.max()}",
            expected=f"1 to {time} steps",
        )
    return lengths.astype("int32")


def _cut(part, raw, labels, share, seed, what):
    """Cut a stratified share off a part."""
    from sklearn.model_selection import train_test_split

    try:
        kept, cut = train_test_split(
            np.arange(len(part)), test_size=share, stratify=part.y, random_state=seed
        )
    except ValueError as error:
        present, counts = np.unique(part.y, return_counts=True)
        rarest = counts.argmin()
        raise InputError(
            f"too few sequences to cut {share:.0%} off for {what}",
            where=raw["source"],
            found=f"{len(part)} in all, {counts[rarest]} of {labels[present[rarest]]!r}",
            expected="at least 2 of each label, and one of each label in each part",
            fix="add data, or set --validation-split 0" if what == "validation" else "add data",
        ) from error
    return part.take(np.sort(kept)), part.take(np.sort(cut))
