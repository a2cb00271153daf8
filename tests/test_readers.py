import gzip

import numpy as np
import pytest
from factories import CONLLU, TS_HEADER, idx_bytes, write_ts

from kerasrnn import InputError
from kerasrnn.data.readers import text_files
from kerasrnn.data.readers.conll import read, read_conll, read_conllu
from kerasrnn.data.readers.idx import find_idx, read_idx
from kerasrnn.data.readers.numpy_arrays import read_numpy
from kerasrnn.data.readers.text_files import read_text
from kerasrnn.data.readers.ts import read_ts

CODES = {"u1": 0x08, "i1": 0x09, ">i2": 0x0B, ">i4": 0x0C, ">f4": 0x0D, ">f8": 0x0E}


@pytest.mark.parametrize("dtype", CODES)
@pytest.mark.parametrize("compress", [gzip.compress, bytes])
def test_idx_of_every_type_gzipped_or_not(tmp_path, dtype, compress):
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    path = tmp_path / "a-idx3"
    path.write_bytes(compress(idx_bytes(array, CODES[dtype])))
    read = read_idx(path)
    np.testing.assert_array_equal(read, array)
    assert read.dtype.isnative


def test_the_real_mnist_files(mnist_folder):
    files = find_idx(mnist_folder)
    labels = read_idx(files["test_labels"], "labels")
    assert read_idx(files["test_images"], "images").shape == (10_000, 28, 28)
    # The first test labels and the count of ones, as the MNIST page's viewers show them.
    assert labels[:5].tolist() == [7, 2, 1, 0, 4] and (labels == 1).sum() == 1135


WHOLE = idx_bytes(np.zeros((5, 2, 2), "u1"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an IDX file: found first bytes \\(none\\)"),
        (b"PK\x03\x04", "not an IDX file: found first bytes 50 4b"),
        (WHOLE[:-1], "truncated IDX file: found 19 bytes after the header; expected 20"),
        (WHOLE[:6], "truncated"),
        (WHOLE + b"\0", "bytes past its end"),
        (gzip.compress(WHOLE, mtime=0)[:-9], "damaged gzip"),
        (gzip.compress(WHOLE, mtime=0)[:20] + b"\xff" * 20, "damaged gzip"),
        (b"\0\0\x08\xff", "truncated"),
    ],
)
def test_a_defective_idx_file_is_named(tmp_path, content, message):
    path = tmp_path / "images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_idx(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_images_and_labels_swapped(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(WHOLE)
    with pytest.raises(InputError, match="swapped"):
        read_idx(path, "labels")
    with pytest.raises(InputError, match="no file"):
        read_idx(tmp_path / "b", "images")


def test_idx_files_are_found_by_their_names(tmp_path):
    for name in (
        "train-images-idx3-ubyte.gz",
        "train-labels.idx1-ubyte",
        "t10k-images.idx3-ubyte",
        "emnist-test-labels-idx1-ubyte",
        "notes.txt",
    ):
        (tmp_path / name).touch()
    assert list(find_idx(tmp_path)) == [
        "test_labels",
        "test_images",
        "train_images",
        "train_labels",
    ]
    (tmp_path / "more-train-images-idx3-ubyte").touch()
    with pytest.raises(InputError, match="two files of train images"):
        find_idx(tmp_path)


def test_npz_and_npy(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.ones(3), y=np.array(["a", "b"]))
    assert read_numpy(tmp_path / "a.npz")["y"].tolist() == ["a", "b"]
    np.save(tmp_path / "a.npy", np.ones(3))
    assert read_numpy(tmp_path / "a.npy")["x"].sum() == 3


def test_pickles_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x=np.array([[1], [1, 2]], dtype=object))
    with pytest.raises(InputError, match="only pickle could read: .*lengths"):
        read_numpy(path)


@pytest.mark.parametrize("keep", [0, 10, 200, -30])
def test_a_truncated_npz_is_refused(tmp_path, keep):
    path = tmp_path / "a.npz"
    np.savez(path, x=np.zeros((50, 3)))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match="a.npz"):
        read_numpy(path)


@pytest.mark.parametrize("chunk_size", [1, 2, 3, 7, 1 << 24])
def test_text_is_the_same_however_it_is_cut(tmp_path, monkeypatch, chunk_size):
    monkeypatch.setattr(text_files, "_PIECE", chunk_size)
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffa\r\nbé\r😀\n\nשלום\r\n".encode())
    assert "".join(read_text(path)) == "a\nbé\n😀\n\nשלום\n"


@pytest.mark.parametrize("chunk_size", [1, 4, 1 << 24])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"abc\xffd", "not UTF-8: found byte 0xff at offset 3; convert"),
        (b"abc\xc3", "not UTF-8: found byte 0xc3 at offset 3"),
        ("é" * 5, "not UTF-8: found byte 0xe9 at offset 0"),
        (b"a\xe2\x82b", "not UTF-8: found byte 0xe2 at offset 1"),
        (b"abcde\0f", "not a text file: found a zero byte at offset 5"),
        (b"a\r\nb\rc\n\xffd", "a.txt:4: not UTF-8: found byte 0xff at offset 7"),
    ],
)
def test_what_is_no_text_is_named_with_its_offset(
    tmp_path, monkeypatch, content, message, chunk_size
):
    monkeypatch.setattr(text_files, "_PIECE", chunk_size)
    path = tmp_path / "a.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode("latin-1"))
    with pytest.raises(InputError, match=message):
        list(read_text(path))


def test_a_missing_text_is_named(tmp_path):
    with pytest.raises(InputError, match="no file"):
        list(read_text(tmp_path / "a.txt"))


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_conllu_gives_words_and_the_column_asked_for(tmp_path, ending):
    path = tmp_path / "a.conllu"
    path.write_bytes(("\ufeff" + CONLLU.replace("\n", ending)).encode())
    assert list(read_conllu(path)) == [
        (["ca", "n't"], ["AUX", "PART"]),
        (["New York", "_"], ["PROPN", "SYM"]),
    ]
    for column, labels in (("deprel", ["root", "punct"]), ("lemma", ["New York", "_"])):
        assert list(read_conllu(path, column))[1][1] == labels
    assert next(read_conllu(path, "feats"))[1] == ["Mood=Ind", "_"]  # _ says that none are


@pytest.mark.parametrize(
    ("change", "column", "message"),
    [
        (
            ("", ""),
            "pos",
            "unknown label column: found 'pos'; expected id or form or lemma",
        ),
        (("\tMD", ""), "upos", "a.conllu:3: not a line of CoNLL-U: found 9 columns; expected 10"),
        (("\tPART", "\t_"), "upos", "a.conllu:4: a token without a label \\(upos\\): found '_'"),
        (("\tPART", "\t "), "upos", "a.conllu:4: a token without a label"),
        (("\tn't", "\t"), "upos", "a.conllu:4: an empty token"),
        (("\n\n", "\n"), "upos", "a.conllu:7: .*in turn: found '1'; expected 3; is a blank line"),
        (("2\tn't", "x\tn't"), "upos", "a.conllu:4: .*found 'x'"),
        (("n't", "n\udcff"), "upos", "not UTF-8: found byte 0xff at offset 21"),
    ],
)
def test_a_defective_conllu_file_is_named_with_its_line(tmp_path, change, column, message):
    path = tmp_path / "a.conllu"
    path.write_bytes(CONLLU.replace(*change).encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=message):
        list(read_conllu(path, column))


def test_english_ewt_has_its_published_sentences(ewt_folder):
    numbers = {"train": 12_544, "dev": 2_001, "test": 2_077}
    for part, number in numbers.items():
        assert sum(1 for _ in read_conllu(ewt_folder / f"en_ewt-ud-{part}.conllu")) == number


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("EU NNP B-ORG\nis VBZ O\n\n\n. . O", [("EU is", "B-ORG O"), (".", "O")]),
        ("\ufeffEU\tB-ORG\r\nis \t O\r\n \t\r\n. O \r\n", [("EU is", "B-ORG O"), (".", "O")]),
        ("-DOCSTART- -X- O O\n\na x y O\n-DOCSTART-\nb x y P", [("a", "O"), ("b", "P")]),
        ("# id 1\na O\n# b c\nb P\n# text\n\n# c\n", [("a b", "O P")]),
        ("# # O\na b O\n# x y z\n\n# sent 1\nc d P", [("# a", "O O"), ("c", "P")]),
        ("", []),
        ("# only\n\n# comments", []),
        ("-DOCSTART- O\n\n", []),
        ("a\u00a0b O\n\u3000 P", [("a\u00a0b|\u3000", "O P")]),
        ("EU B-ORG 0 _\nis O 0 _\n# no\n", [("EU is", "B-ORG O")]),
        ("EU NNP O\nis VBZ O", [("EU is", "O O")]),
        ("EU 0\nis 0", [("EU is", "0 0")]),
        ("# a\nO\tby\n\n# b\nB-ACTOR\tbo\n# x", [("by", "O"), ("bo", "B-ACTOR")]),
        ("O\tby\nO\tbo", [("O O", "by bo")]),
        ("O O\nB-X I-X", [("O B-X", "O I-X")]),
    ],
)
def test_conll_columns_give_the_first_and_the_last(tmp_path, text, sentences):
    path = tmp_path / "a.txt"
    path.write_bytes(text.encode())
    expected = [
        (tokens.split("|") if "|" in tokens else tokens.split(), labels.split())
        for tokens, labels in sentences
    ]
    assert [(tokens, labels) for tokens, labels in read_conll(path)] == expected


def test_tabs_alone_part_columns_where_tokens_hold_spaces(tmp_path):
    path = tmp_path / "a.conll"
    path.write_text("New York\tB-LOC\nis\tO\n")
    assert list(read_conll(path)) == [(["New York", "is"], ["B-LOC", "O"])]


LABEL_FIRST = "O\tby\nB-ACTOR\tbo\n"


@pytest.mark.parametrize(
    ("text", "label", "tokens", "labels"),
    [
        ("EU B-ORG 0\nis O 0", "3", "EU is", "0 0"),
        ("EU B-ORG 0\nis O 0", "1", "B-ORG O", "EU is"),
        (LABEL_FIRST, "1", "by bo", "O B-ACTOR"),
        (LABEL_FIRST, "2", "O B-ACTOR", "by bo"),
        (LABEL_FIRST, "form", "by bo", "by bo"),
        ("O\tby\nO\tbo", "1", "by bo", "O O"),
        ("EU NNP O\nis VBZ O", "2", "EU is", "NNP VBZ"),
    ],
)
def test_the_column_of_the_label_may_be_named(tmp_path, text, label, tokens, labels):
    path = tmp_path / "a.txt"
    path.write_text(text)
    assert list(read_conll(path, label)) == [(tokens.split(), labels.split())]


def test_conllu_is_known_by_its_content_too(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(CONLLU)
    assert [*read(path)] == [*read_conllu(path)]
    path.write_text(LABEL_FIRST)
    assert [*read(path)] == [*read_conll(path)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a O\nb\n", "a.txt:2: a line without a label: found 1 column"),
        ("a x O\nb O\nc x O\n", "a.txt:2: a line unlike the others: found 2 columns; expected 3"),
        ("a O\n\nb _\n", "a.txt:3: a token without a label: found '_'"),
        ("a\tO\n\nb\t\n", "a.txt:3: a token without a label: found ''"),
        ("a\tO\n\n\tO\n", "a.txt:3: an empty token"),
        ("a O\n\0", "not a text file"),
    ],
)
def test_a_defective_conll_file_is_named_with_its_line(tmp_path, text, message):
    path = tmp_path / "a.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        list(read_conll(path))
    with pytest.raises(InputError, match="no file"):
        list(read_conll(tmp_path / "b.txt"))


@pytest.mark.slow
@pytest.mark.parametrize("end", ["", "\n"])
def test_a_sentence_of_many_tokens_is_read(tmp_path, end):
    path = tmp_path / "a.txt"
    path.write_text("\n".join(["a O", "b P"] * 50_000) + end)
    [(tokens, labels)] = read_conll(path)
    assert len(tokens) == len(labels) == 100_000


def test_sequences_of_unequal_length_of_a_ts_file(tmp_path):
    x, labels, lengths = read_ts(write_ts(tmp_path))
    assert (
        x.dtype == np.float32 and lengths.tolist() == [3, 2] and labels.tolist() == ["up", "down"]
    )
    np.testing.assert_array_equal(x[0], [[1, 4], [2, 5], [3, 6]])
    np.testing.assert_array_equal(x[1], np.array([[-0.15, 0], [np.nan, 7], [0, 0]], "float32"))


def test_a_ts_file_of_equal_length_and_without_labels(tmp_path):
    header = "@univariate true\n@EQUALLENGTH True\n@seriesLength 3\n@classLabel false\n@DATA\n"
    x, labels, lengths = read_ts(write_ts(tmp_path, "1,2,3\n4,5,6", header))
    assert x.tolist() == [[[1], [2], [3]], [[4], [5], [6]]]
    assert lengths is None and labels is None


def test_dimensions_that_the_header_leaves_out_are_those_of_the_first_line(tmp_path):
    header = TS_HEADER.replace("@dimensions 2\n", "")
    assert read_ts(write_ts(tmp_path, header=header)).x.shape == (2, 3, 2)
    with pytest.raises(
        InputError, match="a.ts:11: a line of other dimensions: found 1; expected 2"
    ):
        read_ts(write_ts(tmp_path, "1:2:up\n1:up", header))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("1,2:up", "a.ts:11: a line of other dimensions: found 1; expected 2"),
        ("1,2:3,4:5,6:up", "a.ts:11: a line of other dimensions: found 3"),
        ("1,2:3,4:up\n1,2:3,4", "a.ts:12: a line without a label: expected one after the last"),
        ("1,2:3,4:", "a.ts:11: a line without a label"),
        ("up", "a.ts:11: .*label"),
        ("1,2:3,4:left", "a label that the header does not name: found 'left'; expected up or do"),
        ("1,b:3,4:up", "a.ts:11: a value that is not a number: found 'b'; expected a number or ?"),
        ("1,:3,4:up", "not a number: found ''"),
        ("1,2::up", "not a number: found ''"),
        ("1,2:3,4,5:up", "found 3 values in dimension 2; expected 2, as in dimension 1"),
        ("", "no sequences after @data"),
    ],
)
def test_a_defective_line_of_a_ts_file_is_named(tmp_path, rows, message):
    with pytest.raises(InputError, match=message) as caught:
        read_ts(write_ts(tmp_path, rows))
    assert "a.ts" in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("@data\n", "", "no @data line"),
        ("@data", "1,2:3,4:up\n@data", "a.ts:10: data before @data"),
        ("@classLabel true up down\n", "", "does not say @classLabel: expected true or false"),
        ("true up down", "true", "a.ts:9: @classLabel without labels"),
        ("@timeStamps false", "@timeStamps true", "a.ts:4: a .ts file with time stamps"),
        ("@dimensions 2", "@dimensions two", "a.ts:7: a bad @dimensions"),
        ("@dimensions 2", "@dimensions ²", "a.ts:7: a bad @dimensions"),
        ("@equalLength false", "@equalLength maybe", "a.ts:8: .* does not say @equalLength"),
        ("@equalLength false", "@equalLength true", "a.ts:14: .*: found 2 steps; expected 3"),
        (
            "@equalLength false",
            "@equalLength true\n@seriesLength 2",
            "a.ts:12: a sequence of another length though @equalLength is true: found 3",
        ),
    ],
)
def test_a_defective_header_of_a_ts_file_is_named(tmp_path, old, new, message):
    assert old in TS_HEADER
    with pytest.raises(InputError, match=message):
        read_ts(write_ts(tmp_path, header=TS_HEADER.replace(old, new)))


@pytest.mark.parametrize(
    ("name", "shape", "lengths", "classes"),
    [
        ("BasicMotions", (40, 100, 6), None, 4),
        ("ItalyPowerDemand", (67, 24, 1), None, 2),
        ("JapaneseVowels", (270, 26, 12), (7, 26), 9),
        ("UnitTest", (20, 24, 1), None, 2),
    ],
)
def test_the_published_ts_files(timeseries_folder, name, shape, lengths, classes):
    # Shapes and lengths as timeseriesclassification.com states them.
    x, labels, found = read_ts(timeseries_folder / name / f"{name}_TRAIN.ts")
    assert x.shape == shape and len(set(labels)) == classes
    assert lengths == (None if found is None else (found.min(), found.max()))
