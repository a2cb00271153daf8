import gzip
import io

import numpy as np
import pytest
from factories import idx_bytes, write_ts

from kerasrnn import Dataset, InputError, load_dataset
from kerasrnn.data.inputs import read_inputs
from kerasrnn.data.kinds import kind_of
from kerasrnn.data.readers import Arrays, Sequences
from kerasrnn.data.sequences import dataset_of, load_sequences, read_sequences


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return {"x": rng.normal(size=(40, 5, 3)), "y": np.arange(40) % 4}


def test_digits_are_split_in_a_stratified_way_and_always_the_same():
    first, second = load_dataset("digits", seed=1), load_dataset("digits", seed=2)
    assert (len(first.train), len(first.validation), len(first.test)) == (1293, 144, 360)
    assert first.train.x.shape[1:] == (8, 8) and first.labels == tuple("0123456789")
    assert first.axes == ("image", "row", "column")
    np.testing.assert_array_equal(first.test.x, second.test.x)
    assert not np.array_equal(first.validation.x, second.validation.x)
    for part in (first.train, first.validation, first.test):
        share = np.bincount(part.y) / len(part)
        assert abs(share - 0.1).max() < 0.02
    assert (
        first.fingerprint() == load_dataset("digits", seed=1).fingerprint() != second.fingerprint()
    )


def test_no_sequence_is_in_two_parts():
    data = load_dataset("digits")
    parts = [{row.tobytes() for row in part.x} for part in (data.train, data.validation, data.test)]
    from sklearn.datasets import load_digits

    distinct = {image.astype("float32").tobytes() for image in load_digits().images}
    assert len(parts[0]) + len(parts[1]) + len(parts[2]) == len(distinct)


def test_mnist_under_the_data_folder(mnist_folder):
    data = load_dataset("mnist")
    assert (len(data.train), len(data.validation), len(data.test)) == (54_000, 6_000, 10_000)
    assert data.train.x.shape[1:] == (28, 28) and data.one_scale


def test_a_folder_of_idx_files(tmp_path):
    images = np.arange(40 * 6, dtype="u1").reshape(40, 2, 3)
    labels = (np.arange(40) % 2).astype("u1")
    for name, array in {
        "train-images-idx3-ubyte": images,
        "train-labels-idx1-ubyte": labels,
    }.items():
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(idx_bytes(array)))
    data = load_dataset(tmp_path, validation_split=0.1)
    assert (len(data.train), len(data.validation), len(data.test)) == (28, 4, 8)
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx_bytes(images[:9]))
    with pytest.raises(InputError, match="only images or only labels"):
        load_dataset(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(labels[:9]))
    assert len(load_dataset(tmp_path).test) == 9
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(labels[:7]))
    with pytest.raises(InputError, match="differ in number: found 9 and 7"):
        load_dataset(tmp_path)


def test_an_npz_with_its_own_test_part(tmp_path, arrays):
    path = save(
        tmp_path / "a.npz",
        x_train=arrays["x"],
        y_train=np.array(list("wxyz"))[arrays["y"]],
        x_test=arrays["x"][:3],
        y_test=np.array(list("zzw")),
    )
    data = load_dataset(path)
    assert data.labels == ("w", "x", "y", "z") and data.test.y.tolist() == [3, 3, 0]
    assert data.name == "a" and data.train.x.dtype == np.float32


def test_sequences_of_unequal_length(ragged):
    data = load_dataset(ragged)
    part = data.train
    assert part.lengths.max() <= 8 and np.isfinite(part.x).all()
    padding = np.arange(part.x.shape[1]) >= part.lengths[:, None]
    assert (part.x[padding] == 0).all()


def test_one_feature_a_step_may_come_without_its_axis(tmp_path, arrays):
    data = load_dataset(save(tmp_path / "a.npz", x=arrays["x"][:, :, 0], y=arrays["y"]))
    assert data.train.x.shape[1:] == (5, 1)


def test_the_test_part_of_another_file_has_the_labels_that_it_names(tmp_path, arrays):
    """And of a file or folder with a test part of its own that is taken."""
    names, (x, y) = np.array(list("abcd")), (arrays["x"], arrays["y"])
    path = save(tmp_path / "a.npz", **arrays, labels=names)
    other = save(tmp_path / "b.npz", x=x[:6], y=3.0 - y[:6], labels=names[::-1])
    data = load_dataset(path, test=other)
    assert data.labels == (*"abcd",) and data.test.y.tolist() == y[:6].tolist()
    both = save(tmp_path / "c.npz", x_train=x, y_train=y, x_test=x[:5], y_test=y[:5])
    assert load_dataset(path, test=both).test.y.tolist() == y[:5].tolist()
    folder = tmp_path / "idx"
    folder.mkdir()
    for name, size in {"train": 9, "t10k": 7}.items():
        images = np.zeros((size, 5, 3), "uint8")
        (folder / f"{name}-images-idx3-ubyte").write_bytes(idx_bytes(images))
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(idx_bytes(images[:, 0, 0]))
    assert load_dataset(path, test=folder).sizes() == {"training": 40, "test": 7}
    assert len(load_dataset("digits", test=save(other, x=np.ones((5, 8, 8)), y=y[:5])).test) == 5
    for test, message in {"nowhere.csv": "no such file", __file__: "another kind of data"}.items():
        with pytest.raises(InputError, match=message):
            load_dataset("digits", test=test)
    with pytest.raises(InputError, match="a test part without labels"):
        load_dataset(path, test=save(other, x=x))


TS = "@univariate true\n@equalLength {}\n@classLabel true 2 10 9\n@data\n"


@pytest.fixture
def ts_folder(tmp_path):
    """TRAIN of unequal length and TEST of equal length, as .ts files."""
    rows = "".join(f"{i},2,3:2\n{i},5:10\n{i}:9\n" for i in range(10))
    write_ts(tmp_path, rows, TS.format("false")).rename(tmp_path / "Steps_TRAIN.ts")
    write_ts(tmp_path, "1,2,3,4:10\n", TS.format("true")).rename(tmp_path / "Steps_TEST.ts")
    (tmp_path / "Steps.txt").write_text("what it is about")
    return tmp_path


def test_the_train_and_test_files_of_a_series(ts_folder):
    for source in (ts_folder, ts_folder / "Steps_TRAIN.ts"):
        data = load_dataset(source, validation_split=0.1)
        assert (len(data.train), len(data.validation), len(data.test)) == (27, 3, 1)
        assert data.name == "Steps" and data.source == str(source)
        assert data.labels == ("2", "9", "10") and data.test.y.tolist() == [2]
        assert data.train.x.shape[1:] == (3, 1) and set(data.train.lengths) == {1, 2, 3}
        assert data.test.lengths.tolist() == [4] and not data.one_scale
        assert kind_of(str(source)) == "sequences"


def test_a_test_file_may_stand_beside_its_training_file(ts_folder):
    """And have labels that are no numbers, where those of the training file are."""
    test = write_ts(ts_folder, "1,2:10\n1,2:x\n", TS.format("false").replace("9", "x"))
    test = test.rename(ts_folder / "Other_TEST.ts")
    (ts_folder / "Other_TRAIN.ts").write_text("")
    with pytest.warns(UserWarning, match=r"count as wrong: 'x' \(1\)"):
        data = load_dataset(ts_folder / "Steps_TRAIN.ts", test=test)
    assert data.labels == ("10", "2", "9") and data.test.y.tolist() == [0, 3]


def test_files_of_sequences_are_read_in_the_encoding_that_is_named(ts_folder, tmp_path):
    rows = (ts_folder / "Steps_TRAIN.ts").read_text().replace("2 10 9", "é 10 9")
    path, ucr = ts_folder / "Steps_TRAIN.ts", tmp_path / "Lines_TRAIN.tsv"
    path.write_text(rows.replace(":2\n", ":é\n"), encoding="cp1252")
    arff = "@relation r\n@attribute a numeric\n@attribute b numeric\n@attribute c {é,b}\n@data\n"
    (tmp_path / "a.arff").write_text(arff + "1,2,é\n3,4,b\n" * 5, encoding="cp1252")
    ucr.write_text("1\t2\t3\n2\t2\t3\n" * 9)
    folder = tmp_path / "tables"
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        for i in range(5):
            (folder / name / f"{i}.csv").write_text("é,x\n1,2\n2,3\n", encoding="cp1252")
    for source, labels in {path: ("10", "9", "é"), tmp_path / "a.arff": ("b", "é")}.items():
        with pytest.raises(InputError, match="not UTF-8.* --encoding"):
            load_dataset(source)
        assert load_dataset(source, encoding="cp1252").labels == labels
    (ts_folder / "Steps_TEST.ts").unlink()
    assert set(read_sequences(str(path), "cp1252").y) == {"é", "10", "9"}
    assert load_dataset(folder, encoding="cp1252").reading["features"] == ["é", "x"]
    assert load_dataset(ucr, encoding="cp1252").labels == ("1", "2")


def test_a_series_without_its_test_file(ts_folder):
    with pytest.raises(InputError, match="the test part alone; give Steps_TRAIN.ts"):
        load_dataset(ts_folder / "Steps_TEST.ts")
    (ts_folder / "Steps_TEST.ts").unlink()
    assert load_dataset(ts_folder).sizes() == {"training": 24, "test": 6}
    (ts_folder / "Steps_TRAIN.ts").rename(ts_folder / "steps.ts")
    assert len(load_dataset(ts_folder / "steps.ts").test) == 6
    with pytest.raises(InputError, match="unknown kind of file: found text"):
        load_dataset(ts_folder)


def test_series_that_cannot_be_trained_on_are_named(ts_folder):
    (ts_folder / "More_TRAIN.ts").touch()
    with pytest.raises(InputError, match="several datasets .*found More_TRAIN.ts, Steps_TRAIN.ts"):
        load_dataset(ts_folder)
    path = write_ts(ts_folder, "1,?,3:2\n1:9", TS.format("false"))
    assert np.isnan(load_sequences(path)[0][0, 1])
    header = TS.format("false").replace("true 2 10 9", "false")
    with pytest.raises(
        InputError, match="a.ts: a .ts file without labels: expected @classLabel true"
    ):
        load_dataset(write_ts(ts_folder, "1,2,3", header))
    assert load_sequences(path)[0].shape == (1, 3, 1)


def test_the_published_split_of_a_series(timeseries_folder):
    data = load_dataset(timeseries_folder / "JapaneseVowels", validation_split=0)
    assert data.sizes() == {"training": 270, "test": 370}
    assert data.train.lengths.max() == 26 and data.test.lengths.max() == 29
    assert "of up to 26 steps × 12 features, 9 labels" in str(data)
    test = timeseries_folder / "JapaneseVowels" / "JapaneseVowels_TEST.ts"
    np.testing.assert_array_equal(load_sequences(test)[0], data.test.x)


def test_named_classes(tmp_path, arrays):
    path = save(tmp_path / "a.npz", **arrays, labels=np.array(list("abcd")))
    assert load_dataset(path).labels == tuple("abcd")
    arrays["y"] = arrays["y"].astype(str)
    save(path, **arrays, labels=np.array(list("abcd")))
    with pytest.raises(InputError, match="found y of <U21; expected indices 0 to 3"):
        load_dataset(path)
    arrays["y"] = arrays["y"].astype(int)
    save(path, **arrays, labels=np.array(list("abc")))
    with pytest.raises(InputError, match="outside the classes: found y from 0 to 3; expected .* 2"):
        load_dataset(path)


PARTS = ("train", "test")


def with_value(x, value, index):
    x = x.copy()
    x[index] = value
    return x


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: {"x": a["x"]}, "unknown arrays .*found x; expected x and y"),
        (
            lambda a: {**a, "x": with_value(a["x"], -np.inf, (1, 2, 0))},
            r"found -inf at x\[\d+, 2, 0\]; expected numbers, NaN where one is missing",
        ),
        (
            lambda a: {**a, "x": with_value(a["x"], np.nan, (..., 1))},
            "a feature without any value in the training part: found feature 2 of",
        ),
        (lambda a: {**a, "x": a["x"] * 1e300}, "not finite"),
        (lambda a: {**a, "x": a["x"] * 1e30}, "too large for float32 .*; expected at most 1e[+]18"),
        (lambda a: {**a, "x": a["x"][:, 0, 0]}, r"found x \(40,\)"),
        (lambda a: {**a, "x": a["x"][:, :, :, None]}, r"expected numbers \(n, time, features\)"),
        (lambda a: {**a, "x": a["x"].astype(str)}, "wrong shape or kind"),
        (lambda a: {**a, "x": a["x"][:39]}, "differ in number: found 39 and 40"),
        (lambda a: {"x": a["x"][:0], "y": a["y"][:0]}, "empty data"),
        (lambda a: {**a, "x": a["x"][:, :0]}, "empty data"),
        (lambda a: {**a, "y": a["y"] * 0}, "only one class: found '0'"),
        (lambda a: {**a, "y": np.eye(4)[a["y"]]}, r"y.argmax\(-1\)"),
        (lambda a: {**a, "y": a["y"] * 1j}, "unknown kind"),
        (
            lambda a: {**a, "y": np.arange(40)},
            "too few sequences to cut a test part off: found 40, one of each label",
        ),
        (lambda a: {**a, "y": np.where(a["y"], 1, 1e30)}, r"are not labels: found 1e\+30"),
        (lambda a: {**a, "lengths": a["y"] + 9}, "found 9 to 12; expected 1 to 5 steps"),
        (lambda a: {**a, "lengths": a["y"]}, "found 0 to 3"),
        (lambda a: {**a, "lengths": a["y"][:9]}, "lengths of the wrong shape"),
        (lambda a: {**a, "labels": np.array(list("aabc"))}, "repeat"),
        (
            lambda a: {"x_train": a["x"], "y_train": a["y"], "x_test": a["x"]},
            "only x or only y of the test part: expected both",
        ),
        (
            lambda a: {
                "x_train": a["x"],
                "y_train": a["y"],
                "x_test": a["x"][:, :, :2],
                "y_test": a["y"],
            },
            "differ in shape",
        ),
        (
            lambda a: {
                "x_train": a["x"],
                "y_train": a["y"],
                "x_test": a["x"],
                "y_test": a["y"] + 9,
            },
            "a test part without any label of the training part: found '9'; expected one of 4",
        ),
    ],
)
def test_data_that_cannot_be_trained_on_is_named(tmp_path, arrays, change, message):
    path = save(tmp_path / "a.npz", **change(arrays))
    with pytest.raises(InputError, match=message) as caught:
        load_dataset(path)
    assert "a.npz" in str(caught.value)


def test_an_unknown_name_or_file_is_named(tmp_path):
    with pytest.raises(InputError, match="did you mean 'digits'"):
        load_dataset("digit")
    with pytest.raises(InputError, match="no such file or folder: found '.*absent.npz'"):
        load_dataset(tmp_path / "absent.npz")
    (tmp_path / "a.xyz").touch()
    with pytest.raises(InputError, match="unknown kind of file"):
        load_dataset(tmp_path / "a.xyz")
    with pytest.raises(InputError, match="no data of a known format"):
        load_dataset(tmp_path)
    with pytest.raises(InputError, match="validation split out of range"):
        load_dataset("digits", validation_split=1.0)


def test_a_dataset_says_what_it_is(ragged):
    assert str(load_dataset("digits")) == (
        "digits: 1,293 training, 144 validation, 360 test images of 8 rows × 8 columns, 10 labels"
    )
    assert "sequences of up to 9 steps × 2 features, 2 labels" in str(load_dataset(ragged))


def test_sequences_to_predict(tmp_path, ragged, arrays):
    x, lengths = load_sequences(ragged)
    assert x.shape == (60, 9, 2) and lengths.shape == (60,)
    np.save(tmp_path / "a.npy", arrays["x"])
    assert load_sequences(tmp_path / "a.npy")[0].shape == (40, 5, 3)
    (tmp_path / "images-idx3-ubyte").write_bytes(idx_bytes(np.zeros((4, 2, 3), "u1")))
    assert load_sequences(tmp_path / "images-idx3-ubyte")[0].shape == (4, 2, 3)
    assert load_sequences("digits")[0].shape == (360, 8, 8)
    with pytest.raises(InputError, match="found y; expected an array x"):
        load_sequences(save(tmp_path / "a.npz", y=arrays["y"]))
    with pytest.raises(InputError, match="wrong shape"):
        load_sequences(save(tmp_path / "a.npz", x=np.array(1.0)))
    with pytest.raises(InputError, match="unknown dataset"):
        load_sequences("nowhere")


@pytest.mark.parametrize("name", ["a.npz", "a.npy", "a.ts", "a.arff", "a-idx3-ubyte"])
def test_sequences_to_predict_come_by_standard_input_too(tmp_path, monkeypatch, arrays, name):
    path = tmp_path / name
    if path.suffix == ".npy":
        np.save(path, arrays["x"])
    elif path.suffix == ".npz":
        save(path, **arrays)
    else:
        ts = "# a comment\n@classLabel true a b\n@data\n1,2,3:a\n2,3,4:b\n"
        arff = "% a comment\n@RELATION x\n@attribute t real\n@attribute y {a,b}\n@data\n1,a\n"
        idx = idx_bytes(np.ones((4, 2, 3), "u1"))
        path.write_bytes({".ts": ts.encode(), ".arff": arff.encode()}.get(path.suffix, idx))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))
    (piped,), (read,) = read_inputs("-", {}), read_inputs(str(path), {})
    assert np.array_equal(piped.inputs, read.inputs) and len(piped.inputs)


def few(rng, counts):
    """Sequences of as many of each class as counts say."""
    y = np.repeat(np.arange(len(counts)), counts)
    return rng.normal(size=(len(y), 5, 3)), y


def test_a_label_of_the_test_part_only_is_kept_and_named(tmp_path, arrays):
    x, y = arrays["x"], np.array(list("bcde"))[arrays["y"]]
    y_test = np.array(["e", "a", "z", "b", "z"])
    path = save(tmp_path / "a.npz", x_train=x, y_train=y, x_test=x[:5], y_test=y_test)
    said = "a.npz: labels that the training part lacks count as wrong: 'a' \\(1\\), 'z' \\(2\\)$"
    with pytest.warns(UserWarning, match=said):
        data = load_dataset(path)
    assert data.labels == tuple("bcde") and data.unseen_labels == ("a", "z")
    assert data.test.y.tolist() == [3, 4, 5, 0, 5]


@pytest.mark.parametrize(
    ("counts", "training", "validation"),
    [
        ([6] * 5, [5] * 5, [1] * 5),  # Beef of the UCR archive
        ([1, 9, 30], [1, 8, 27], [0, 1, 3]),
        ([2, 1, 1], [1, 1, 1], [1, 0, 0]),
    ],
)
def test_what_can_be_cut_off_for_validation_is_cut(counts, training, validation):
    x, y = few(np.random.default_rng(0), counts)
    cut = {"test": (x, y), "validation_split": 0.1}
    parts = [Dataset.from_arrays(x, y, seed=seed, **cut) for seed in (0, 0, 1)]
    for data in parts:
        assert np.bincount(data.train.y).tolist() == training
        assert np.bincount(data.validation.y, minlength=len(counts)).tolist() == validation
        rows = {row.tobytes() for part in (data.train, data.validation) for row in part.x}
        assert len(rows) == len(x)
    first, again, other = (data.fingerprint() for data in parts)
    assert first == again and (first != other or min(counts) == 1)


def test_a_large_share_for_validation_leaves_something_to_train_on():
    x = np.random.default_rng(0).normal(size=(5, 4, 1))
    data = Dataset.from_arrays(x, x[:, 0], targets=("a",), validation_split=0.8)
    assert data.sizes() == {"training": 1, "validation": 3, "test": 1}
    x, groups = np.tile(x, (6, 1, 1)), [*"abc"] * 10
    found = Arrays("a", {"training": Sequences(x, np.arange(30) % 2)}, groups=groups)
    data = dataset_of(found, "", {"validation_split": 0.6, "seed": 0})
    assert data.sizes() == {"training": 10, "validation": 10, "test": 10}


def test_a_dataset_too_small_for_validation_goes_without():
    x, y = few(np.random.default_rng(0), [1, 1, 1])
    with pytest.warns(UserWarning, match="the best epoch is chosen without one"):
        data = Dataset.from_arrays(x, y, test=(x, y), validation_split=0.1)
    assert data.validation is None and data.sizes() == {"training": 3, "test": 3}


def test_few_sequences_are_all_trained_on_unless_a_share_is_given():
    x, y = np.zeros((999, 2, 1)), np.arange(999) % 3
    few = Dataset.from_arrays(x, y, test=(x, y))
    assert few.validation is None and len(few.train) == 999
    assert len(Dataset.from_arrays(x, y, test=(x, y), validation_split=0.2).validation) == 200
    many = Dataset.from_arrays(*(np.concatenate([a, a[:1]]) for a in (x, y)), test=(x, y))
    assert len(many.train) == 900 and len(many.validation) == 100


def test_arrays_in_memory_are_checked_and_cut_as_those_of_a_file(tmp_path, arrays, ragged):
    path = save(tmp_path / "a.npz", **arrays)
    data = Dataset.from_arrays(**arrays, seed=3)
    assert data.fingerprint() == load_dataset(path, seed=3).fingerprint()
    assert data.source == "" and data.name == "arrays" and data.origin == ""
    with np.load(ragged) as stored:
        given = dict(stored)
    assert Dataset.from_arrays(**given).fingerprint() == load_dataset(ragged).fingerprint()
    given["test"] = (given["x"][:4], given["y"][:4], given["lengths"][:4])
    assert Dataset.from_arrays(**given).test.lengths.tolist() == given["lengths"][:4].tolist()
    with pytest.raises(InputError, match="^noise: training sequences of the wrong shape"):
        Dataset.from_arrays(arrays["y"], arrays["y"], name="noise")
    named = Dataset.from_arrays(**arrays, labels=["a", "b", "c", "d", "e"])
    assert named.labels == ("a", "b", "c", "d", "e")


def test_messages_show_the_path_as_it_was_given(tmp_path, monkeypatch, arrays):
    folder = tmp_path / ("a-long-name-" * 10) / "ucr" / "GestureWiimoteZ"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder.parent)
    save(folder / "GestureWiimoteZ.npz", x=arrays["x"], y=arrays["y"] * 0)
    for given in (
        "GestureWiimoteZ/GestureWiimoteZ.npz",
        "./GestureWiimoteZ/GestureWiimoteZ.npz",
        str(folder / "GestureWiimoteZ.npz"),
    ):
        with pytest.raises(InputError) as caught:
            load_dataset(given)
        assert str(caught.value).startswith(f"{given}: only one class")


def test_an_archive_that_would_not_fit_the_memory_is_refused(tmp_path, arrays, monkeypatch):
    path = save(tmp_path / "a.npz", **arrays)
    monkeypatch.setattr("kerasrnn.data.readers.numpy_arrays.memory_limit", lambda: 1000)
    with pytest.raises(InputError, match="a.npz: an archive larger than the memory: found 0.0 GB"):
        load_dataset(path)
    (tmp_path / "a-idx3-ubyte").write_bytes(gzip.compress(idx_bytes(np.zeros((99, 9, 9), "u1"))))
    monkeypatch.setattr("kerasrnn.data.readers.idx.memory_limit", lambda: 1000)
    with pytest.raises(InputError, match="a-idx3-ubyte: an IDX file larger than the memory"):
        load_sequences(tmp_path / "a-idx3-ubyte")
