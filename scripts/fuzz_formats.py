"""Files of the formats of published data sets, and what is read from them, for fuzz_readers.py."""

from __future__ import annotations

import gzip
import io
import math

import numpy as np
from hypothesis import strategies as st

from kerasrnn.data.readers import arff, conll, idx, labelled_texts, numpy_arrays, ts, ucr
from kerasrnn.data.readers import sequence_folders as tables

VALUES = st.floats(-1e9, 1e9, width=32) | st.integers(-99, 99).map(float) | st.just(math.nan)
MARKS = st.characters(categories=("L", "N", "P", "S"), exclude_characters="#_-\"'")
WORDS = st.text(MARKS, min_size=1, max_size=9)


def encoded(draw, lines):
    """Lines as bytes: with any line end and mark, gzipped or not."""
    text = draw(st.sampled_from(["\n", "\r\n"])).join([*lines, ""])
    data = text.encode(draw(st.sampled_from(["utf-8", "utf-8-sig"])))
    return gzip.compress(data, mtime=0) if draw(st.booleans()) else data


def arrays(sequences, labels, whole):
    """What is expected of a reader of series: x, y and lengths as lists."""
    lengths = [len(sequence) for sequence in sequences]
    x = np.zeros((len(sequences), max(lengths), len(sequences[0][0])), "float32")
    for row, sequence in zip(x, sequences, strict=True):
        row[: len(sequence)] = sequence
    return x.tolist(), labels, None if whole else lengths


@st.composite
def some_sequences(draw, features=1, equal=True):
    """Sequences (n, time, features) as lists."""
    steps = draw(st.integers(1, 5))
    sizes = draw(st.lists(st.integers(1, 5).map(lambda n: steps if equal else n), min_size=1))
    row = st.lists(VALUES, min_size=features, max_size=features)
    return [draw(st.lists(row, min_size=size, max_size=size)) for size in sizes[:6]]


def trimmed(sequences):
    """Sequences without steps at the end that miss all values; None where nothing is left."""
    for sequence in sequences:
        while sequence and all(map(math.isnan, sequence[-1])):
            del sequence[-1]
    return sequences if all(sequences) else None


def written(value, missing="?"):
    return missing if math.isnan(value) else repr(value)


@st.composite
def ucr_files(draw):
    separator = draw(st.sampled_from("\t, "))
    labels = {"1": "1", "2.0": "2", "-1.0000000e+00": "-1", "up": "up", "é": "é"}
    sequences = draw(some_sequences())
    given = [draw(st.sampled_from([*labels])) for _ in sequences]
    missing = draw(st.sampled_from(["NaN", "?", "nan"]))
    lines = [
        separator.join([label, *(written(step[0], missing) for step in sequence)])
        for label, sequence in zip(given, sequences, strict=True)
    ]
    width, kept = len(sequences[0]), trimmed(sequences)
    data = encoded(draw, lines)
    if kept is None:
        return data, None
    whole = all(len(sequence) == width for sequence in kept)
    return data, arrays(kept, [labels[label] for label in given], whole)


@st.composite
def ts_files(draw):
    features, equal, target = draw(st.integers(1, 3)), draw(st.booleans()), draw(st.booleans())
    sequences = draw(some_sequences(features, equal))
    one = VALUES.filter(math.isfinite) if target else st.sampled_from(["1", "10", "ü"])
    labels = [draw(one) for _ in sequences]
    lines = [
        "# a comment",
        f"@univariate {str(features == 1).lower()}",
        f"@equalLength {str(equal).lower()}",
        "@targetLabel true" if target else "@classLabel true 1 10 ü",
        "@data",
    ]
    for sequence, label in zip(sequences, labels, strict=True):
        channels = [",".join(map(written, channel)) for channel in zip(*sequence, strict=True)]
        lines.append(":".join([*channels, repr(label) if target else label]))
    return encoded(draw, lines), arrays(sequences, labels, equal)


@st.composite
def arff_files(draw):
    features = draw(st.integers(0, 3))  # 0: one dimension, not relational
    sequences = draw(some_sequences(features or 1))
    names = {"1": "1", "'a, b'": "a, b", '"ü"': "ü"}
    labels = [draw(st.sampled_from([*names])) for _ in sequences]
    width = len(sequences[0])
    lines = ["% a comment", "@RELATION 'a b'", *(["@attribute a relational"] if features else [])]
    lines += [f"@Attribute att{step} numeric" for step in range(width)]
    lines += ["@end a"] if features else []
    lines += ["@attribute target {1, 'a, b',\"ü\"}", "@data"]
    for sequence, label in zip(sequences, labels, strict=True):
        rows = [",".join(map(written, channel)) for channel in zip(*sequence, strict=True)]
        text = "\\n".join(rows)
        lines.append(f"'{text}',{label}" if features else f"{text},{label}")
    kept = trimmed(sequences)
    data = encoded(draw, lines)
    if kept is None:
        return data, None
    whole = all(len(sequence) == width for sequence in kept)
    return data, arrays(kept, [names[label] for label in labels], whole)


SENTENCES = st.lists(
    st.lists(st.tuples(WORDS, st.sampled_from(["O", "B-X", "é"])), min_size=1, max_size=4),
    min_size=1,
    max_size=5,
)


@st.composite
def conll_files(draw):
    sentences, separator = draw(SENTENCES), draw(st.sampled_from(["\t", " "]))
    lines = ["# a comment", "-DOCSTART- O", ""]
    for sentence in sentences:
        lines += [separator.join([token, "x", label]) for token, label in sentence]
        lines.append(draw(st.sampled_from(["", "\t", " "])))
    expected = [tuple(map(list, zip(*sentence, strict=True))) for sentence in sentences]
    return encoded(draw, lines), expected


@st.composite
def conllu_files(draw):
    sentences = draw(SENTENCES)
    lines = []
    for sentence in sentences:
        lines.append("# text = a")
        for number, (token, label) in enumerate(sentence, 1):
            lines.append("\t".join([str(number), token, token, label, *"______"]))
        lines.append("")
    expected = [tuple(map(list, zip(*sentence, strict=True))) for sentence in sentences]
    return encoded(draw, lines), expected


TEXTS = st.lists(WORDS, min_size=1, max_size=4).map(" ".join)


@st.composite
def labelled_lines(draw):
    prefix = draw(st.sampled_from(["", "__label__"]))
    label = st.sampled_from(["pos", "DESC:manner", "0"])
    several = st.lists(label, min_size=1, max_size=2 if prefix else 1)
    rows = draw(st.lists(st.tuples(several, TEXTS), min_size=1, max_size=6))
    separator = draw(st.sampled_from([" ", "\t"]))
    lines = [separator.join([*(prefix + name for name in names), text]) for names, text in rows]
    one = all(len(names) == 1 for names, _ in rows)
    labels = [names[0] if one else names for names, _ in rows]
    return encoded(draw, lines), ([text for _, text in rows], labels)


@st.composite
def texts(draw):
    text = draw(TEXTS)
    return encoded(draw, [text]), (["other", text], ["neg", "pos"])


@st.composite
def steps(draw):
    rows = draw(st.lists(st.tuples(VALUES, VALUES), min_size=2, max_size=6))
    lines = ["a,b", *(f"{written(a, '')},{written(b, '')}" for a, b in rows)]
    if any(math.isnan(a) and math.isnan(b) for a, b in rows):
        return encoded(draw, lines), None
    return encoded(draw, lines), np.array(rows, "float32").tolist()


@st.composite
def npz_files(draw):
    sequences = draw(some_sequences(2))
    x, y = np.array(sequences, "float32"), np.arange(len(sequences)) % 2
    file = io.BytesIO()
    np.savez(file, **{draw(st.sampled_from(["x", "X_train"])): x, "y_train": y})
    return file.getvalue(), (x.tolist(), y.tolist(), None)


@st.composite
def idx_files(draw):
    shape = draw(st.tuples(*[st.integers(1, 3)] * 3))
    array = np.frombuffer(
        draw(st.binary(min_size=math.prod(shape), max_size=math.prod(shape))), "u1"
    )
    head = bytes([0, 0, 8, 3]) + np.array(shape, ">u4").tobytes()
    data = head + array.tobytes()
    return data, array.reshape(shape).tolist()


# Readers: from a path to what is expected.


def lists(sequences):
    return tuple(None if part is None else part.tolist() for part in sequences)


def read_lines(path):
    texts, labels = labelled_texts.read_dataset(path).parts["training"]
    return [*texts], labels


def read_class_folder(path):
    """A folder of two classes, one of which is in the file's folder."""
    other = path.parents[1] / "neg" / "1.txt"
    other.parent.mkdir(exist_ok=True)
    other.write_text("other")
    return read_lines(path.parents[1])


def read_table_folder(path):
    other = path.parents[1] / "rest" / "1.csv"
    other.parent.mkdir(exist_ok=True)
    other.write_text("a,b\n1,2\n3,5\n")
    x, _, lengths = tables.read_dataset(path.parents[1]).parts["training"]
    return x[1, : None if lengths is None else lengths[1]].tolist()


FORMATS = (  # a name, that of a file, files with what is read from each, a reader
    ("ucr", "a_TRAIN.tsv", ucr_files(), lambda path: lists(ucr.read_ucr(path))),
    ("ts", "a_TRAIN.ts", ts_files(), lambda path: lists(ts.read_ts(path))),
    ("arff", "a_TRAIN.arff", arff_files(), lambda path: lists(arff.read_arff(path))),
    ("conll", "a.conll", conll_files(), lambda path: list(conll.read_conll(path))),
    ("conllu", "a.conllu", conllu_files(), lambda path: list(conll.read_conllu(path))),
    ("lines", "a.train", labelled_lines(), read_lines),
    ("texts", "data/pos/1.txt", texts(), read_class_folder),
    ("steps", "data/wave/1.csv", steps(), read_table_folder),
    ("npz", "a.npz", npz_files(), lambda p: lists(numpy_arrays.read_dataset(p).parts["training"])),
    ("idx", "a-idx3-ubyte", idx_files(), lambda path: idx.read_idx(path).tolist()),
)
