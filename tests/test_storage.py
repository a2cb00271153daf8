"""Arrays larger than the memory: read back exactly, whichever rows are asked for."""

import numpy as np
import pytest

from kerasrnn.data import storage
from kerasrnn.data.storage import FileArray, GrowingArray, chunks, select


@pytest.fixture(params=["memory", "file"])
def grown(request, monkeypatch):
    if request.param == "file":
        monkeypatch.setattr(storage, "_IN_MEMORY", 1000)
    values = np.random.default_rng(0).normal(size=(500, 3, 2)).astype("float32")
    array = GrowingArray((3, 2), "float32")
    for start in range(0, 500, 70):
        array.append(values[start : start + 70])
    found = array.array()
    assert isinstance(found, FileArray) == (request.param == "file")
    return values, found


def test_rows_come_back_in_any_order_and_number(grown):
    values, found = grown
    order = np.random.default_rng(1).permutation(500)
    assert (found.shape, found.dtype, found.ndim, len(found)) == ((500, 3, 2), "float32", 3, 500)
    for rows in (order, order[:1], np.sort(order[:90]), slice(10, 40), slice(0, 0), [4, 4, 5]):
        np.testing.assert_array_equal(found[rows], values[rows])


def test_a_selection_of_a_selection_names_the_right_rows(grown):
    values, found = grown
    first, second = np.arange(499, -1, -3), np.array([7, 0, 90])
    chosen = select(select(found, first), second)
    np.testing.assert_array_equal(chosen[:], values[first][second])
    np.testing.assert_array_equal(chosen[[1]], values[first][second][[1]])


def test_chunks_are_the_whole_array_in_order(grown, monkeypatch):
    values, found = grown
    monkeypatch.setattr(storage, "_CHUNK", 24 * 64)
    starts, pieces = zip(*chunks(found), strict=True)
    assert starts == tuple(range(0, 500, 64))
    np.testing.assert_array_equal(np.concatenate(pieces), values)


def test_an_empty_array_is_empty():
    assert GrowingArray((4,), "int32").array().shape == (0, 4)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["classifier", "regressor"])
def test_sequences_in_a_file_are_trained_as_those_in_memory(task, tmp_path, monkeypatch):
    import kerasrnn

    x = np.random.default_rng(0).normal(size=(60, 9)).astype("float32")
    names = [f"t{step}" for step in range(9)]
    y = x[:, 3] + x[:, 5]
    answers = np.where(y > 0, "up", "down") if task == "classifier" else y.round(4)
    rows = [
        ",".join([*map(str, values), str(answer)])
        for values, answer in zip(x, answers, strict=True)
    ]
    name = "label" if task == "classifier" else "target"
    path = tmp_path / "rows.csv"
    path.write_text("\n".join([",".join([*names, name]), *rows]) + "\n")
    roles = kerasrnn.Roles(**{name: name})
    small = {"units": 2, "stem": "none", "members": 2, "epochs": 1, "quiet": True}
    whole = kerasrnn.load_dataset(path, roles=roles)
    monkeypatch.setattr(storage, "_IN_MEMORY", 500)
    stored = kerasrnn.load_dataset(path, roles=roles)
    assert isinstance(stored.train.x, FileArray) and isinstance(whole.train.x, np.ndarray)
    runs = [
        kerasrnn.train(data, tmp_path / kind, **small)
        for kind, data in (("file", stored), ("memory", whole))
    ]
    assert runs[0].metrics() == runs[1].metrics()
