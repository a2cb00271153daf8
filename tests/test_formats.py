"""Formats of published data sets, as they are published: files are written in their layouts."""

import gzip
import json
import re

import keras
import numpy as np
import pytest
from factories import write_ts

from kerasrnn import (
    Classifier,
    InputError,
    Regressor,
    build_regressor,
    export,
    load_dataset,
    load_export,
    load_sentences,
    open_run,
    train,
)
from kerasrnn.data.inputs import read_inputs
from kerasrnn.data.kinds import kind_of
from kerasrnn.data.readers import arff, labelled_texts, numpy_arrays, sequence_folders, ts, ucr
from kerasrnn.data.readers.conll import read_conllu
from kerasrnn.data.readers.part_files import files_of_folder, files_of_parts, name_of, part_of
from kerasrnn.data.sequences import Dataset, dataset_of, read_sequences
from kerasrnn.data.sources import read_source
from kerasrnn.layers import FillMissing
from kerasrnn.runs import create_run

nan = np.nan


def write(folder, **files):
    """Files of a folder, ``name_ext`` meaning ``name.ext``; returns the first one's path."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        path = folder / ".".join(name.rsplit("_", 1))
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder / ".".join(next(iter(files)).rsplit("_", 1))


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        ("GunPoint_TRAIN.ts GunPoint_TEST.ts Other_TEST.ts", ("training", "test")),
        ("stsa.binary.train stsa.binary.dev stsa.binary.test", ("training", "validation", "test")),
        ("train.txt valid.txt test.txt notes.txt", ("training", "validation", "test")),
        ("train-a.tsv val-a.tsv dev-b.tsv", ("training", "validation")),
        ("X_TRAIN.npy x_Test.npy y_train.npy", ("training", "test")),
        ("a_train.tsv.gz a_test.tsv a_test.tsv.gz", ("training", "test")),
        ("trains.txt test.txt", ("training",)),
    ],
)
def test_files_that_differ_in_the_word_for_a_part_belong_together(tmp_path, names, parts):
    for name in names.split():
        (tmp_path / name).touch()
    first, *others = (tmp_path / name for name in names.split())
    found = files_of_parts(first)
    assert tuple(found) == parts and found["training"] == first
    if len(parts) > 1:
        assert found[parts[1]] == others[0]
        with pytest.raises(InputError, match=f"the {parts[1]} part alone; give {first.name}"):
            files_of_parts(others[0])


def test_one_dataset_of_a_folder_and_two_files_of_a_part(tmp_path):
    for name in ("a_TRAIN.ts", "a_TEST.ts", "readme.md"):
        (tmp_path / name).touch()
    assert list(files_of_folder(tmp_path, "*.ts")) == ["training", "test"]
    (tmp_path / "a_testB.ts").touch()
    with pytest.raises(InputError, match="two files of the test part: found a_TEST.ts and a_testB"):
        files_of_folder(tmp_path, "*.ts")
    (tmp_path / "b_train.ts").touch()
    with pytest.raises(InputError, match="several datasets in the folder: found a_TRAIN.ts, b_tra"):
        files_of_folder(tmp_path, "*.ts")
    with pytest.raises(InputError, match="no file of the training part: found no file"):
        files_of_folder(tmp_path, "*.arff")
    assert name_of(tmp_path / "wnut17train.conll") == "wnut17"
    assert part_of("emerging.test.annotated") == "test"


UCR = "1\t0.5\t-1e-1\t3\r\n-1.0000000e+00\t4\tNaN\t6\r\n10\t7\t8\tNaN\r\n"


def test_a_ucr_file_with_windows_line_ends_and_missing_values(tmp_path):
    path = write(tmp_path, Steps_TRAIN_tsv=UCR, Steps_TEST_tsv=UCR.replace("NaN", "2"))
    x, y, lengths = ucr.read_ucr(path)
    expected = np.array([[0.5, -0.1, 3], [4, nan, 6], [7, 8, 0]], "float32")
    np.testing.assert_array_equal(x[:, :, 0], expected)
    assert y.tolist() == ["1", "-1", "10"] and lengths.tolist() == [3, 3, 2]
    found = ucr.read_dataset(path)
    assert found.name == "Steps" and list(found.parts) == ["training", "test"]
    data = dataset_of(found, "", {"validation_split": None, "seed": 0})
    assert data.labels == ("-1", "1", "10") and data.train.y.tolist() == [1, 0, 2]
    assert data.test.lengths.tolist() == [3, 3, 3]
    assert ucr.is_ucr(path) and ucr.read_folder(tmp_path).name == "Steps"
    assert not ucr.is_ucr(write(tmp_path, notes_txt=UCR))


@pytest.mark.parametrize("separator", ["\t", ",", "  "])
def test_a_ucr_file_with_any_separator_and_labels_that_are_words(tmp_path, separator):
    text = "\n".join(separator.join(row.split()) for row in ("up 1 2", "", "down 3 ?", ""))
    x, y, lengths = ucr.read_ucr(write(tmp_path, a_txt=text))
    assert x.tolist() == [[[1], [2]], [[3], [0]]]
    assert y.tolist() == ["up", "down"] and lengths.tolist() == [2, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\t2\t3\n1\t2\n", "a.tsv:2: a line unlike the others: found 1 values; expected a label"),
        ("1\t2\n1.5\t2\n", "a.tsv:2: a label that is not whole: found '1.5'"),
        ("1\t2\n1\tb\n", "a.tsv:2: a value that is not a number: found 'b'; expected a number or"),
        ("1\t1_0\n", "a.tsv:1: a value that is not a number: found '1_0'"),
        ("1\t2\n\t2\n", "a.tsv:2: a label that is not whole: found ''"),
        ("1\t2\n2\tNaN\n", "a.tsv:2: a sequence without values"),
        ("1\n", "a.tsv:1: a line unlike the others: found 0 values"),
        ("\n", "a.tsv: no sequences in the file"),
    ],
)
def test_a_defective_ucr_file_is_named_with_its_line(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        ucr.read_ucr(write(tmp_path, a_tsv=text))


@pytest.mark.parametrize(
    ("name", "shapes", "labels"),
    [("CBF", [(30, 128, 1), (900, 128, 1)], "123"), ("Coffee", [(28, 286, 1)] * 2, "01")],
)
def test_the_published_ucr_files(timeseries_folder, name, shapes, labels):
    folder = timeseries_folder / name
    assert all(map(ucr.is_ucr, folder.iterdir()))
    found = ucr.read_folder(folder)
    assert [part.x.shape for part in found.parts.values()] == shapes
    assert sorted(set(found.parts["training"].y)) == [*labels]


PLAIN = """% a comment
@Relation 'Gun Point'
@ATTRIBUTE att0 numeric
@attribute 'att 1' REAL
@attribute target {1, 2,10}

@data
0.5,?,2
-1e-1,3,10
4,5,1
"""
RELATIONAL = """@relation Motions
@attribute Motions relational
@attribute att0 numeric
@attribute att1 numeric
@attribute att2 numeric
@end Motions
@attribute activity {Standing,'Run, fast'}
@data
'1,2,3\\n4,?,6',Standing
"7,8,?\\n9,10,?\\n",'Run, fast'
"""


def test_an_arff_file_of_one_dimension(tmp_path):
    x, y, lengths = arff.read_arff(write(tmp_path, a_arff=PLAIN))
    assert x.tolist() == [[[0.5], [0]], [[np.float32(-0.1)], [3]], [[4], [5]]]
    assert y.tolist() == ["2", "10", "1"] and lengths.tolist() == [1, 2, 2]


def test_an_arff_file_of_several_dimensions(tmp_path):
    path = write(tmp_path, a_TRAIN_arff=RELATIONAL, a_TEST_arff=RELATIONAL)
    x, y, lengths = arff.read_arff(path)
    expected = [[[1, 4], [2, nan], [3, 6]], [[7, 9], [8, 10], [0, 0]]]
    np.testing.assert_array_equal(x, expected)
    assert y.tolist() == ["Standing", "Run, fast"] and lengths.tolist() == [3, 2]
    assert list(load_dataset(tmp_path, validation_split=0).sizes()) == ["training", "test"]
    text = RELATIONAL.replace("{Standing,'Run, fast'}", "numeric")
    text = text.replace(",Standing", ",1.5").replace("'Run, fast'", "-2")
    assert arff.read_arff(write(tmp_path, b_arff=text)).y.tolist() == [1.5, -2]
    text = PLAIN.replace(",2\n", ",?\n").replace(",10\n", ",?\n").replace(",1\n", ",?\n")
    path = write(tmp_path, c_arff=text)
    assert arff.read_arff(path).x.shape == (3, 2, 1)
    with pytest.raises(InputError, match="an .arff file without labels"):
        arff.read_dataset(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("@data\n", ""), "a.arff:7: an unknown line before @data: found '0.5,\\?,2'"),
        ((PLAIN[-32:], ""), "no @data line"),
        (("4,5,1", "4,1"), "a.arff:10: a row unlike the header: found 1 steps; expected 2"),
        (("4,5,1", "4,5,3"), "a.arff:10: .* the header does not name: found '3'; expected 1 or 2"),
        (("4,5,1", "4,b,1"), "a.arff:10: a value that is not a number: found 'b'"),
        (("4,5,1", "?,?,1"), "a.arff:10: a sequence without values"),
        (("4,5,1", "4"), "a.arff:10: a row without a label"),
        (("4,5,1", "4,5,?"), "a.arff:10: a label in some rows, \\? in others"),
        (("REAL", "date"), "a.arff:4: attribute att 1 is not numeric: found date"),
        (("{1, 2,10}", "numeric"), None),
        (("target {1, 2,10}", "att2 numeric"), "a.arff:5: no label: found att2 numeric"),
        (("@attribute target {1, 2,10}\n", ""), "a.arff:4: no label"),
    ],
)
def test_a_defective_arff_file_is_named_with_its_line(tmp_path, change, message):
    path = write(tmp_path, a_arff=PLAIN.replace(*change))
    if message is None:
        assert arff.read_arff(path).y.tolist() == [2.0, 10.0, 1.0]
        return
    with pytest.raises(InputError, match=message):
        arff.read_arff(path)


def test_a_relational_row_of_other_dimensions_is_named(tmp_path):
    with pytest.raises(InputError, match="a.arff:10: a row of other dimensions: found 1; exp"):
        arff.read_arff(write(tmp_path, a_arff=RELATIONAL.replace("\\n9,10,?\\n", "")))
    with pytest.raises(InputError, match="a.arff:9: a relational value without quotes"):
        arff.read_arff(write(tmp_path, a_arff=RELATIONAL.replace("'1,2,3\\n4,?,6'", "1,2,3")))


def test_numbers_to_predict_of_a_ts_file(tmp_path):
    header = "@univariate false\n@missing true\n@equalLength false\n@targetLabel true\n@data\n"
    path = write_ts(tmp_path, "1,?:3,4:0.5\n5,6:7,8:-2\n", header)
    x, y, lengths = ts.read_ts(path)
    np.testing.assert_array_equal(x, [[[1, 3], [nan, 4]], [[5, 7], [6, 8]]])
    assert y.tolist() == [0.5, -2] and lengths.tolist() == [2, 2]
    data = load_dataset(write_ts(tmp_path, "1,?:3,4:0.5\n5,6:7,8:-2\n" * 5, header))
    assert data.targets == ("target",) and data.task == "regressor" and data.missing
    for row, message in (
        ("1:2:b", "target that is not a number: found 'b'"),
        ("1:2:nan", "target that is not a number"),
        ("1", "line without a target"),
    ):
        with pytest.raises(InputError, match=f"a.ts:6: a {message}"):
            ts.read_ts(write_ts(tmp_path, row, header))


def test_arrays_of_numpy_by_their_names(tmp_path):
    x, y = np.arange(60.0).reshape(10, 3, 2), np.arange(10) % 2
    names = {"X_TRAIN": x, "y_train": y, "X_val": x[:4], "val_y": y[:4], "x_TEST": x, "Y_test": y}
    np.savez(tmp_path / "a.npz", **names, other=x)
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, array in names.items():
        np.save(folder / f"{name}.npy", array)
    np.save(folder / "weights.npy", x)
    for source in (tmp_path / "a.npz", folder / "X_TRAIN.npy"):
        found = numpy_arrays.read_dataset(source)
        assert {part: len(s.y) for part, s in found.parts.items()} == {
            "training": 10,
            "validation": 4,
            "test": 10,
        }
        assert found.targets is None
    np.savez(tmp_path / "b.npz", X=x, x=x, y=y)
    with pytest.raises(InputError, match="b.npz: two arrays x of the training part"):
        numpy_arrays.read_dataset(tmp_path / "b.npz")
    with pytest.raises(InputError, match="unknown arrays .* found x; expected"):
        numpy_arrays.read_dataset(folder / "weights.npy")


def test_a_y_that_is_not_whole_is_to_be_predicted(tmp_path):
    x, y = np.zeros((4, 3)), np.array([[0.5, 1], [2, 3], [4, 5], [6, 7]])
    for arrays, targets in (
        ({"y": y}, ("target_1", "target_2")),
        ({"y": y[:, 0]}, ("target",)),
        ({"y": y[:, 1]}, None),
        ({"y": y, "targets": ["heat", "load"]}, ("heat", "load")),
        ({"y": y[:, 1], "targets": "load"}, ("load",)),
    ):
        np.savez(tmp_path / "a.npz", x=x, **arrays)
        assert numpy_arrays.read_dataset(tmp_path / "a.npz").targets == targets


def filled(x):
    """A loop over the steps that fills what ``FillMissing`` fills."""
    x, last = x.copy(), np.zeros((len(x), x.shape[2]), x.dtype)
    for step in range(x.shape[1]):
        x[:, step] = last = np.where(np.isnan(x[:, step]), last, x[:, step])
    return x


@pytest.mark.parametrize("steps", [1, 2, 3, 8, 33])
def test_missing_values_are_the_last_before_them(steps):
    rng = np.random.default_rng(steps)
    x = rng.normal(size=(5, steps, 3)).astype("float32")
    x[rng.random(x.shape) < 0.6] = nan
    np.testing.assert_array_equal(FillMissing()(x), filled(x))
    model = keras.Sequential([keras.Input((None, 3)), FillMissing()])
    np.testing.assert_array_equal(model(x), filled(x))
    assert type(keras.layers.deserialize(keras.layers.serialize(FillMissing()))) is FillMissing


def test_the_gradient_of_filled_values_is_that_of_the_last_ones():
    import tensorflow as tf

    x = tf.constant([[[nan], [2.0], [nan], [nan], [5.0]]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.reduce_sum(FillMissing()(x) * tf.constant([1.0, 2, 4, 8, 16])[None, :, None])
    assert tf.squeeze(tape.gradient(y, x)).numpy().tolist() == [0, 14, 0, 0, 16]


def with_gaps(lengths):
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    x = rng.normal(8.0 * y[:, None, None] + 100, 1, (60, 9, 2)).astype("float32")
    x[rng.random(x.shape) < 0.3] = nan
    steps = rng.integers(2, 10, 60) if lengths else None
    return Dataset.from_arrays(x, np.array(["down", "up"])[y], lengths=steps), x, steps


@pytest.mark.slow
@pytest.mark.parametrize("lengths", [False, True])
def test_sequences_with_missing_values_are_trained_on_and_predicted(tmp_path, lengths):
    data, x, steps = with_gaps(lengths)
    assert data.missing
    run = train(data, tmp_path / "run", epochs=2, units=4, stem_filters=8, members=1, quiet=True)
    classifier = Classifier.load(run)
    scaling = classifier.model.get_layer("scaling")
    part = data.train
    real = part.x[np.arange(9) < (part.lengths if lengths else np.full(len(part), 9))[:, None]]
    np.testing.assert_allclose(np.ravel(scaling.mean), np.nanmean(real, 0), rtol=1e-5)
    np.testing.assert_allclose(np.ravel(scaling.variance), np.nanvar(real, 0), rtol=1e-4)
    found = classifier.predict_proba(x, steps)
    assert np.isfinite(found).all()
    export(run, tmp_path / "export", check=lengths)  # without them the layers are the same
    exported = Classifier.load(load_export(tmp_path / "export"))
    np.testing.assert_allclose(exported.predict_proba(x, steps), found, atol=1e-5)


@pytest.mark.slow
def test_missing_values_are_refused_by_a_model_that_was_trained_without_any(tmp_path):
    _, x, _ = with_gaps(lengths=False)
    y = np.arange(60) % 2
    data = Dataset.from_arrays(np.nan_to_num(x), y)
    run = train(data, tmp_path / "run", epochs=1, members=1, units=4, stem_filters=8, quiet=True)
    export(run, tmp_path / "export", check=False)
    for source in (run, tmp_path / "export"):
        with pytest.raises(InputError, match="missing values for a model .* without any"):
            Classifier.load(source).predict(x)


def test_missing_values_are_refused_by_a_regressor_that_was_trained_without_any():
    regressor = Regressor(build_regressor((None, 2), targets=1, units=3), ["a"])
    x = np.zeros((2, 5, 2))
    assert regressor.predict(x).shape == (2, 1)
    with pytest.raises(InputError, match="missing values for a model .* without any"):
        regressor.predict(np.where(np.arange(2), x, nan))


def test_a_folder_of_gzipped_files_in_small_letters_is_known(tmp_path):
    for part in ("train", "test"):
        (tmp_path / f"a_{part}.tsv.gz").write_bytes(gzip.compress(UCR.encode()))
    assert kind_of(tmp_path) == "sequences"
    found = read_source(tmp_path)
    assert found.name == "a" and list(found.parts) == ["training", "test"]


@pytest.mark.parametrize(("read", "text"), [(ucr.read_ucr, UCR), (arff.read_arff, PLAIN)])
def test_a_gzipped_file_is_read(tmp_path, read, text):
    path = write(tmp_path, a_txt=text)
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(text.encode()))
    for plain, packed in zip(read(path), read(tmp_path / "a.txt.gz"), strict=True):
        np.testing.assert_array_equal(plain, packed)


LINES = {
    "trec": "DESC:manner How did serfdom develop ?\nENTY:cremat What film ?\n" * 9,
    "sst": "1 a stirring , funny film\n0 tedious\n" * 4,
    "tab": "pos\ta fine film\nneg\tdull, and long\n" * 20,
    "fasttext": "__label__a __label__b one two\n__label__b three\n" * 4,
}


@pytest.mark.parametrize("name", LINES)
def test_lines_with_the_label_first_in_files_side_by_side(tmp_path, name):
    for part in ("train", "dev", "test"):
        (tmp_path / f"{name}.{part}").write_text(LINES[name].replace("\n", "\r\n"))
    (tmp_path / "readme.md").write_text("No data.\n" * 9)
    lines = LINES[name].count("\n")
    for source in (tmp_path, tmp_path / f"{name}.train"):
        assert labelled_texts.find(source) == "lines"
        found = labelled_texts.read_dataset(source)
        assert found.name == name and list(found.parts) == ["training", "validation", "test"]
        texts, labels = found.parts["test"]
        assert len(texts) == len(labels) == lines
        if name == "fasttext":
            assert texts[:2] == ["one two", "three"] and labels[:2] == [["a", "b"], ["b"]]
        else:
            words = re.split("[ \t]", LINES[name].split("\n")[0], maxsplit=1)
            assert [labels[0], texts[0]] == words
    (texts, labels), _ = labelled_texts.read_texts(tmp_path / f"{name}.test", "lines")
    assert len(texts) == len(labels) == lines


def test_the_published_labelled_lines(textclass_folder):
    found = labelled_texts.read_dataset(textclass_folder / "sst")
    assert {part: len(p.texts) for part, p in found.parts.items()} == {
        "training": 6920,
        "validation": 872,
        "test": 1821,
    }
    assert labelled_texts.find(textclass_folder / "trec") == "lines"
    with pytest.raises(InputError, match="TREC.train:66: not UTF-8: .* add --encoding cp1252"):
        labelled_texts.read_dataset(textclass_folder / "trec")
    found = labelled_texts.read_dataset(textclass_folder / "trec" / "TREC.train", "latin-1")
    assert [len(p.texts) for p in found.parts.values()] == [5452, 500]
    assert len(set(found.parts["training"].labels)) == 50
    names = labelled_texts.read_dataset(textclass_folder / "names")
    assert labelled_texts.find(textclass_folder / "names") == "files"
    texts, labels = names.parts["training"]
    assert len(texts) == 20_074 and len(set(labels)) == 18 and labels[0] == "Arabic"


def make_imdb(folder, test=True):
    """A folder as aclImdb is published, with a text of each file's own."""
    for part in ("train", "test") if test else ("train",):
        for name in ("pos", "neg", *(("unsup",) if part == "train" else ())):
            (folder / part / name).mkdir(parents=True)
            for number in range(3):
                path = folder / part / name / f"{number}_{number + 5}.txt"
                path.write_text(f"{part} {name} {number} goes<br />\nmore of it")
        (folder / part / "labeledBow.feat").write_text("9 0:9 1:1\n" * 9)
        (folder / part / "urls_pos.txt").write_text("http://a\n" * 9)
    (folder / "imdb.vocab").write_text("the\nand\n" * 9)
    (folder / "README").write_text("Large Movie Review Dataset v1.0\n" * 9)
    return folder


def test_a_folder_for_each_class_in_a_folder_for_each_part(tmp_path):
    folder = make_imdb(tmp_path / "aclImdb")
    assert labelled_texts.find(folder) == "folders"
    with pytest.warns(UserWarning, match="train/unsup: left out, as what is in it has no label"):
        found = labelled_texts.read_dataset(folder)
    assert found.name == "aclImdb" and list(found.parts) == ["training", "test"]
    assert found.parts["training"].labels == ["neg"] * 3 + ["pos"] * 3
    assert found.parts["test"].texts[3] == "test pos 0 goes<br />\nmore of it"
    read, names = labelled_texts.read_texts(folder, "folders")
    assert read == found.parts["test"] and names[3] == "pos/0_5.txt"
    (texts, labels), names = labelled_texts.read_texts(folder / "test" / "pos", "folders")
    assert texts[0] == "test pos 0 goes<br />\nmore of it" and labels is None
    (folder / "test" / "pos" / "0_5.txt").write_text("")
    with pytest.warns(UserWarning, match="1 empty texts of the test part left out"):
        assert len(labelled_texts.read_dataset(folder).parts["test"].texts) == 5


def test_a_file_for_each_class_in_folders_and_without(tmp_path):
    for part in ("train", "valid"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "Greek.txt").write_text("Adamou\n\nAntonopoulos\n")
        (tmp_path / part / "New York.txt").write_text("Smith\nvan der Berg\n")
    for source, parts in (
        (tmp_path, ["training", "validation"]),
        (tmp_path / "valid", ["training"]),
    ):
        assert labelled_texts.find(source) == "files"
        found = labelled_texts.read_dataset(source)
        assert list(found.parts) == parts
        texts, labels = found.parts["training"]
        assert texts == ["Adamou", "Antonopoulos", "Smith", "van der Berg"]
        assert labels == ["Greek", "Greek", "New York", "New York"]


@pytest.mark.parametrize("labels", ["01", ("neg", "pos"), ("__label__a", "__label__b")])
@pytest.mark.parametrize("packed", [False, True])
def test_lines_sorted_by_class(tmp_path, labels, packed):
    lines = [f"{label} the line {n} of caf\u00e9s" for label in labels for n in range(4_000)]
    data = "\n".join(lines).encode()
    (tmp_path / "reviews.all").write_bytes(gzip.compress(data) if packed else data)
    assert kind_of(tmp_path / "reviews.all") == "texts"
    texts, found = labelled_texts.read_dataset(tmp_path / "reviews.all").parts["training"]
    assert len(texts) == 8_000 and len(set(found)) == 2


def test_a_class_in_the_suffix_of_each_file(tmp_path):
    (tmp_path / "rt-polarity.neg").write_text("simplistic , silly and tedious\nI left .\n" * 5)
    (tmp_path / "rt-polarity.pos").write_text("smart and alert\na gem\n" * 4)
    (tmp_path / "README.txt").write_text("Movie reviews.\n" * 9)
    assert kind_of(tmp_path) == "texts"
    texts, labels = labelled_texts.read_dataset(tmp_path).parts["training"]
    assert labels == ["neg"] * 10 + ["pos"] * 8 and texts[10] == "smart and alert"
    write(tmp_path / "code", main_c="int main(void)\n{ return 0; }\n" * 9, main_h="int x;\n" * 9)
    write(tmp_path / "parts", news_train="one two\n" * 9, news_test="one two\n" * 9)
    for name in ("code", "parts"):
        assert labelled_texts.find(tmp_path / name) is None


def test_a_folder_without_known_data_says_what_is_in_it(tmp_path):
    (tmp_path / "README.txt").write_text("All about it.\n")
    (tmp_path / "hindi.pos").write_text("<Sentence id=1>\n")
    with pytest.raises(InputError, match="no data of a known format .* found hindi.pos"):
        kind_of(tmp_path)


def test_what_holds_no_labelled_texts(tmp_path):
    novel = "It was the best of times, it was the worst of times.\n" * 9
    write(tmp_path / "novels", a_txt=novel, b_txt=novel)
    write(tmp_path / "conll", train_txt="EU B-ORG\n. O\n\n" * 9, test_txt="EU B-ORG\n. O\n\n" * 9)
    write(tmp_path / "mixed", names_txt="Ada\nAlan\n" * 9, novel_txt=novel)
    write(tmp_path / "one", names_txt="Ada\nAlan\n" * 9)
    write(tmp_path / "ucr", a_TRAIN_txt="1 2 3\n2 3 4\n" * 9)
    (tmp_path / "empty").mkdir()
    for folder in tmp_path.iterdir():
        assert labelled_texts.find(folder) is None, folder
        with pytest.raises(InputError, match="no labelled texts in the folder"):
            labelled_texts.read_dataset(folder)
    for name, text in {
        "names": "Ada Lovelace\nAlan Turing\n" * 5,
        "play": "HAMLET: To be.\nHORATIO: My lord.\n" * 50,
        "list": "".join(f"{i} of them\n" for i in range(50)),
        "table": "1\ta b\tc d\n2\te f\tg h\n" * 50,
    }.items():
        assert labelled_texts.find(write(tmp_path, **{f"{name}_txt": text})) is None, name


def test_several_files_of_labelled_lines_are_asked_about(tmp_path):
    for name in ("fine", "binary"):
        (tmp_path / f"stsa.{name}.train").write_text(LINES["sst"])
    with pytest.raises(InputError, match="several datasets .* found stsa.binary.train, stsa.fine"):
        labelled_texts.read_dataset(tmp_path)
    assert labelled_texts.read_dataset(tmp_path / "stsa.fine.train").name == "stsa"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "__label__a b\nc d\n",
            "a.txt:2: a line without a label: found 'c d'; expected __lab",
        ),
        ("__label__ b\n", "a.txt:1: a line without a label"),
        ("\n \n", "a.txt: no texts in the file"),
        ("1 a\0b\n", "a.txt:1: not a text file"),
    ],
)
def test_a_defective_labelled_line_is_named(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        labelled_texts.read_dataset(write(tmp_path, a_txt=text))


def test_lines_to_predict_may_have_labels_or_none(tmp_path):
    path = write(tmp_path, a_txt="pos good\n\nneg bad\n")
    read = labelled_texts.read_texts
    assert read(path, "lines") == ((["pos good", "neg bad"], None), None)
    assert read(path, "lines", ["neg", "pos", "other"])[0].labels == ["pos", "neg"]
    assert read(path, "files", ["neg", "pos"])[0].labels is None
    assert read(path, "folders") == ((["pos good\n\nneg bad"], None), ["a.txt"])
    with pytest.raises(InputError, match="a.csv: a table for a model that was trained on texts"):
        read(write(tmp_path, a_csv="a,b"), "lines")


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_link_out_of_the_folder_is_refused(tmp_path, what):
    folder = make_imdb(tmp_path / "aclImdb")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.txt").write_text("secret")
    if what == "file":
        (folder / "train" / "pos" / "x.txt").symlink_to("../../../outside/secret.txt")
    else:
        (folder / "train" / "more").symlink_to("../../outside")
    with pytest.raises(InputError, match="a link that leads out of its folder: found .*outside"):
        labelled_texts.read_dataset(folder)


def make_gestures(folder, **change):
    """Sequences of gestures: a CSV a sequence, in a folder a class, in a folder a part."""
    for part in ("train", "test"):
        for name, level in (("wave", 1), ("rest", 0)):
            (folder / part / name).mkdir(parents=True)
            for number in range(6):
                rows = [f"{step},{level + number},{step / 2}" for step in range(3 + number % 2)]
                path = folder / part / name / f"{number}.csv"
                path.write_text("\n".join([change.get("header", "time,a,b"), *rows]) + "\n")
    return folder


def test_a_folder_of_tables_for_each_class(tmp_path):
    folder = make_gestures(tmp_path / "gestures")
    assert sequence_folders.find(folder) and labelled_texts.find(folder) is None
    with pytest.warns(UserWarning, match="time: left out of the features"):
        found = sequence_folders.read_dataset(folder)
    assert found.name == "gestures" and found.reading["features"] == ["a", "b"]
    x, y, lengths = found.parts["training"]
    assert x.shape == (12, 4, 2) and y.tolist() == ["rest"] * 6 + ["wave"] * 6
    assert lengths.tolist() == [3, 4] * 6
    assert x[7].tolist() == [[2, 0], [2, 0.5], [2, 1], [2, 1.5]]
    read = sequence_folders.read_files(folder, ["a", "b"])
    assert read[0].y.tolist() == y.tolist() and read[1][0] == "rest/0.csv"
    for path, number in ((folder / "test" / "wave", 6), (folder / "test" / "wave" / "0.csv", 1)):
        read, names = sequence_folders.read_files(path, ["a", "b"])
        assert read.y is None and len(read.x) == len(names) == number
    (folder / "train" / "wave" / "3.csv").write_text("time,a\n0,1\n1,2\n")
    with pytest.raises(InputError, match="3.csv: no such column: found 'b'"):
        sequence_folders.read_dataset(folder)
    (folder / "train" / "wave" / "3.csv").write_text("time,a,b\n0,1,2\n1,x,2\n")
    with pytest.raises(InputError, match="3.csv:3: no number in column 'a': found 'x'"):
        sequence_folders.read_dataset(folder)


def test_numbers_to_predict_are_told_from_the_head_of_a_file(tmp_path):
    header = "@univariate true\n@equalLength true\n@targetLabel true\n@data\n"
    path = write_ts(tmp_path, "1,2:0.5\n3,4:2\n", header)
    assert kind_of(path) == "numbers" and read_sequences(str(path)).y.tolist() == [0.5, 2]
    path = write(tmp_path, a_arff=PLAIN.replace("{1, 2,10}", "numeric"))
    assert kind_of(path) == "numbers"
    assert kind_of(write(tmp_path, b_arff=PLAIN)) == "sequences"
    for y, kind, read in (([0.5, 1], "numbers", [0.5, 1.0]), ([2.0, 1], "sequences", [2, 1])):
        folder = tmp_path / kind
        folder.mkdir()
        np.save(folder / "x_train.npy", np.zeros((2, 3)))
        np.save(folder / "y_train.npy", y)
        np.savez(tmp_path / "a.npz", x=np.zeros((2, 3)), y=y)
        assert {kind_of(folder), kind_of(tmp_path / "a.npz")} == {kind}
        assert str(read_sequences(str(tmp_path / "a.npz")).y.tolist()) == str(read)


CONLL2003 = "-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\n. . O O\n\n" * 5


def test_the_label_of_columns_is_chosen_by_number_or_name(tmp_path, ewt_folder):
    path = write(tmp_path / "conll", train_txt=CONLL2003, valid_txt=CONLL2003, test_txt=CONLL2003)
    assert kind_of(path) == kind_of(path.parent) == "sentences"
    for source in (path, path.parent):
        data = load_sentences(source)
        assert data.sizes() == {"training": 10, "validation": 10, "test": 10}
        assert data.labels == ("B-ORG", "O") and data.name == "conll"
    assert load_sentences(path, label="2").labels == (".", "NNP", "VBZ")
    with pytest.raises(InputError, match="no such label column: found 'pos'; expected its number"):
        load_sentences(path, label="pos")
    with pytest.raises(InputError, match="no such label column: found '5'; .* up to 4"):
        load_sentences(path, label="5")
    with pytest.raises(InputError, match="valid.txt: the validation part alone; give train.txt"):
        load_sentences(path.with_name("valid.txt"))
    dev = ewt_folder / "en_ewt-ud-dev.conllu"
    for name, number in (("xpos", "5"), ("form", "2")):
        assert next(read_conllu(dev, name)) == next(read_conllu(dev, number))
    assert next(read_conllu(dev)) == next(read_conllu(dev, "4"))


def test_the_published_files_of_emerging_entities(wnut_folder):
    data = load_sentences(wnut_folder)
    assert data.sizes() == {"training": 3394, "validation": 1009, "test": 1287}
    assert len(data.labels) == 13 and data.name == "wnut17"
    alone = load_sentences(wnut_folder / "wnut17train.conll")
    assert sum(alone.sizes().values()) == 3394


def test_sentences_of_another_encoding(tmp_path):
    path = write(tmp_path, a_conll="café A\nb B\n\n".encode("latin-1") * 9)
    with pytest.raises(InputError, match="a.conll:1: not UTF-8: .* add --encoding cp1252"):
        load_sentences(path)
    data = load_sentences(path, encoding="latin-1")
    assert data.train.tokens[0] == ["café", "b"]
    assert load_sentences(path, **data.options).fingerprint() == data.fingerprint()


def test_the_label_column_of_a_run_of_format_2(workplace):
    run = create_run("a", "tagger", {"data": {}, "options": {}, "seed": 0}, {})
    (run.path / "checksums.json").unlink()
    for column, options in (("upos", {}), ("xpos", {"label": "xpos"})):
        info = run.info | {"format": 2, "data": {"options": {"column": column}}}
        (run.path / "run.json").write_text(json.dumps(info))
        assert open_run(run.path).info["data"]["options"] == options


def test_what_is_to_be_predicted_keeps_its_texts_or_the_names_of_its_files(tmp_path):
    path = write(tmp_path, a_test="".join(f"__label__a __label__b t{i}\n" for i in range(5)))
    (part,) = read_inputs(str(path), {"layout": "lines"})
    assert part.inputs[:2] == ["t0", "t1"] and part.labels == ["a|b"] * 5
    assert part.rows.column("text").to_pylist() == part.inputs
    (part,) = read_inputs(str(make_imdb(tmp_path / "imdb")), {"layout": "folders"})
    assert part.labels == ["neg"] * 3 + ["pos"] * 3
    assert part.rows.column("file").to_pylist()[3] == "pos/0_5.txt"
    reading = {"layout": "tables", "features": ["b"]}
    (part,) = read_inputs(str(make_gestures(tmp_path / "gestures")), reading)
    assert part.inputs.shape == (12, 4, 1) and part.lengths.tolist() == [3, 4] * 6
    assert part.labels.tolist()[5:7] == ["rest", "wave"]
    (part,) = read_inputs(str(tmp_path / "gestures" / "test" / "wave" / "0.csv"), reading)
    assert part.labels is None and part.rows.column("file").to_pylist() == ["0.csv"]
