"""Training on several devices and several workers: what is equal, and what a lost worker leaves.

Those with more than one pair of processes are run where KERASRNN_WORKERS is set.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from conftest import ROOT

from kerasrnn import Dataset, InputError, train
from kerasrnn.engine import compat
from kerasrnn.fitting.interrupts import Interrupts
from kerasrnn.fitting.replicas import shards
from kerasrnn.fitting.workers import Worker, check_alone, this_worker

several = pytest.mark.skipif("KERASRNN_WORKERS" not in os.environ, reason="needs KERASRNN_WORKERS")
# of the batches of 8 the last has one row: fewer than there are replicas
NET = {"units": 4, "stem": "fcn", "stem_filters": 4, "dropout": 0, "batch_size": 8, "members": 1}
WORK = """
import json, sys
import numpy as np, tensorflow as tf
from kerasrnn import Dataset, train
said = json.loads(sys.argv[1])
if said["devices"] > 1:
    cpu = tf.config.list_physical_devices("CPU")[0]
    parts = [tf.config.LogicalDeviceConfiguration()] * said["devices"]
    tf.config.set_logical_device_configuration(cpu, parts)
with np.load(said["data"]) as file:
    data = Dataset.from_arrays(**file, validation_split=0.2)
train(data, said["output"], quiet=True, **said["options"])
"""


def cluster(index, *ports, **more):
    addresses = [f"127.0.0.1:{port}" for port in ports]
    task = {"type": "worker", "index": index}
    return json.dumps({"cluster": {"worker": addresses, **more}, "task": task})


def free_ports(number):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def start(number, folder, *words):
    """As many workers, each a process in a folder of its own; what they print goes there."""
    ports, processes = free_ports(number) if number > 1 else [], []
    for index in range(number):
        place = folder / f"worker-{index}"
        place.mkdir(exist_ok=True)
        environment = os.environ | {"PYTHONPATH": str(ROOT), "KERAS_BACKEND": "tensorflow"}
        environment |= {"TF_CONFIG": cluster(index, *ports)} if ports else {}
        with (place / "printed").open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, *map(str, words)], cwd=place, env=environment, stderr=file
            )
        processes.append(process)
    return processes


def last_lines(folder, number):
    printed = [(folder / f"worker-{index}" / "printed").read_text() for index in range(number)]
    assert not any("Traceback" in text for text in printed)
    return [text.strip().splitlines()[-1] for text in printed]


@pytest.fixture(scope="module")
def sequences(tmp_path_factory):
    """An .npz of 41 sequences of unequal length for training, of two unequal classes."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("data") / "some.npz"
    x, lengths = rng.normal(size=(65, 9, 2)), rng.integers(3, 10, 65)
    np.savez(path, x=x.astype("float32"), y=x[:, :3].sum((1, 2)) > 1, lengths=lengths)
    return path


def trained(path, folder, number=1, devices=1, **options):
    """The history of a training of so many workers, the chief's, and the files of the others."""
    options = NET | {"epochs": 3, "class_weight": "balanced"} | options
    said = {"data": str(path), "output": "run", "devices": devices, "options": options}
    for process in start(number, folder, "-c", WORK, json.dumps(said)):
        assert process.wait() == 0, (folder / "worker-0" / "printed").read_text()
    found = [{*os.listdir(folder / f"worker-{index}")} for index in range(1, number)]
    return history(folder / "worker-0" / "run"), found


def history(run):
    rows = np.genfromtxt(run / "history.csv", delimiter=",", names=True)
    return {name: rows[name] for name in rows.dtype.names if "loss" in name or "accuracy" in name}


@pytest.fixture(scope="module")
def alone(sequences, tmp_path_factory):
    with np.load(sequences) as file:
        data = Dataset.from_arrays(**file, validation_split=0.2)
    options = NET | {"epochs": 3, "class_weight": "balanced", "quiet": True}
    run = train(data, tmp_path_factory.mktemp("alone") / "run", **options)
    return history(run.path)


def assert_equal(found, expected):
    assert found.keys() == expected.keys() >= {"loss", "val_loss", "accuracy"}
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=0, atol=1e-5, err_msg=name)


@pytest.mark.slow
def test_two_workers_have_the_losses_of_one_process(alone, sequences, tmp_path):
    found, others = trained(sequences, tmp_path, number=2)
    assert_equal(found, alone)
    assert others == [{"printed"}]  # the chief alone writes


@several
def test_two_devices_of_a_machine_have_the_losses_of_one(alone, sequences, tmp_path):
    found, _ = trained(sequences, tmp_path, devices=2, strategy="mirrored")
    assert_equal(found, alone)


@several
@pytest.mark.parametrize("kind", ["number", "devices"])
def test_four_replicas_have_the_losses_of_one(kind, alone, sequences, tmp_path):
    strategy = {"devices": "mirrored", "number": "auto"}[kind]
    found, _ = trained(sequences, tmp_path, **{kind: 4}, strategy=strategy)
    assert_equal(found, alone)


@several
@pytest.mark.parametrize("lost", [0, 1])
@pytest.mark.parametrize("number", [2, 4])
def test_a_lost_worker_ends_all_and_they_go_on_bit_for_bit(number, lost, sequences, tmp_path):
    options = {"epochs": 15, "patience": 0, "dropout": 0.3, "checkpoint_every": "2"}
    whole, _ = trained(sequences, tmp_path, number, **options)
    words = [word for name, value in (NET | options).items() for word in (f"--{name}", value)]
    words = [str(word).replace("_", "-") for word in words]
    words = ["-m", "kerasrnn", "train", sequences, *words, "--class-weight", "balanced"]
    begun = start(number, tmp_path, *words, "--validation-split", 0.2, "-o", "cut")
    cut = tmp_path / "worker-0" / "cut"
    while not (cut / "history.csv").exists():
        assert begun[0].poll() is None, last_lines(tmp_path, 1)
        time.sleep(0.02)
    begun[lost].kill()
    codes = [process.wait() for process in begun]
    assert codes.pop(lost) == -signal.SIGKILL and {*codes} == {2}
    for index, line in enumerate(last_lines(tmp_path, number)):
        assert index == lost or f"kerasrnn train --resume {cut}" in line
    for process in start(number, tmp_path, "-m", "kerasrnn", "train", "--resume", cut):
        assert process.wait() == 0, last_lines(tmp_path, number)
    again = history(cut)
    for name, values in whole.items():
        np.testing.assert_array_equal(again[name], values, err_msg=name)


@several
@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("pressed", [0, 1])
def test_an_interrupted_worker_ends_all_in_order(signal_, pressed, sequences, tmp_path):
    begun = start(2, tmp_path, "-m", "kerasrnn", "train", sequences, "-o", "run")
    run = tmp_path / "worker-0" / "run"
    while not (run / "history.csv").exists():
        assert begun[0].poll() is None, last_lines(tmp_path, 1)
        time.sleep(0.02)
    begun[pressed].send_signal(signal_)
    code = {signal.SIGINT: 130, signal.SIGTERM: 143}[signal_]
    assert [process.wait() for process in begun] == [code, code]
    assert all(f"--resume {run}" in line for line in last_lines(tmp_path, 2))


@several
def test_workers_with_other_data_are_refused(tmp_path):
    for index in range(2):
        (tmp_path / f"worker-{index}").mkdir()
        rows = "".join(f"{i % 9},{i + index},{'ab'[i % 2]}\n" for i in range(90))
        (tmp_path / f"worker-{index}" / "some.csv").write_text(f"id,x,label\n{rows}")
    words = ["train", "some.csv", "--label", "label", "--features", "id,x"]
    begun = start(2, tmp_path, "-m", "kerasrnn", *words, "-o", "run")
    assert [process.wait() for process in begun] == [2, 2]
    chief, other = last_lines(tmp_path, 2)
    assert other.endswith("differs from the chief: found other data")
    assert chief.endswith("cannot be reached; start all of them again")
    assert not (tmp_path / "worker-0" / "run").exists()  # nothing to keep


def test_the_rows_of_a_batch_are_shared_without_overlap_or_loss():
    for rows in (1, 3, 4, 13):
        batch = (np.arange(rows), np.arange(rows), np.linspace(1, 2, rows, dtype="float32"))
        found, number = shards(batch, range(4), 4, by_weight=True)
        kept = [x for (x, _, _), _, counts in found if counts]
        assert number == rows and np.concatenate(kept).tolist() == [*range(rows)]
        assert all(len(x) == 1 for (x, _, _), _, counts in found if not counts)
        assert sum(share for _, share, _ in found) == pytest.approx(1)
        weights = [w.sum() if counts else 0 for (_, _, w), _, counts in found]
        shares = [share for _, share, _ in found]
        np.testing.assert_allclose(shares, np.divide(weights, sum(weights)), rtol=1e-6)


def test_a_loss_per_row_is_shared_by_rows():
    batch = (np.arange(3), np.arange(3), np.array([9.0, 0, 0], "float32"))
    found, _ = shards(batch, range(2), 2, by_weight=False)
    assert [float(share) for _, share, _ in found] == pytest.approx([1 / 3, 2 / 3])


def test_which_worker_this_is(monkeypatch):
    assert this_worker() is None
    monkeypatch.setenv("TF_CONFIG", cluster(0, 9000))
    assert this_worker("auto") is None and this_worker("multiworker").chief
    monkeypatch.setenv("TF_CONFIG", cluster(1, 9000, 9001))
    assert this_worker() == Worker(1, 2, "127.0.0.1:9001")
    monkeypatch.setenv("TF_CONFIG", cluster(1, 9000, 9001, chief=["10.0.0.1:80"]))
    assert this_worker() == Worker(2, 3, "127.0.0.1:9001") and not this_worker().chief
    assert this_worker("none") is this_worker("mirrored") is None
    with pytest.raises(InputError, match="several workers"):
        check_alone("auto", "a search")


@pytest.mark.parametrize(
    "said",
    ["", "{", "[]", '{"cluster": {"worker": ["a:1", "b:1"]}}', cluster(2, 1, 2), cluster(0, ps=[])],
)
def test_a_cluster_that_cannot_be_trained_on(said, monkeypatch, tmp_path):
    monkeypatch.setenv("TF_CONFIG", said)
    with pytest.raises(InputError, match="TF_CONFIG"):
        this_worker("multiworker")


def test_an_unknown_strategy(tmp_path):
    data = Dataset.from_arrays(np.zeros((20, 4, 1)), np.arange(20) % 2)
    with pytest.raises(InputError, match="unknown strategy"):
        train(data, tmp_path / "r", strategy="tpu", quiet=True)


@pytest.mark.slow
def test_one_device_is_said_to_train_alone(tmp_path):
    data = Dataset.from_arrays(np.zeros((20, 4, 1)), np.arange(20) % 2)
    with pytest.warns(UserWarning, match="one device"):
        train(data, tmp_path / "r", strategy="mirrored", quiet=True, epochs=1, **NET)


def test_interrupts_wait_until_all_workers_know():
    interrupts = Interrupts(together=True)
    interrupts.press(signal.SIGTERM, None)
    interrupts.check()
    assert interrupts.noted is not None and interrupts.pressed is None
    with pytest.raises(KeyboardInterrupt):  # a second one is in earnest
        interrupts.press(signal.SIGINT, None)


def test_a_keras_with_other_names_is_seen():
    optimizer = keras.optimizers.SGD()
    assert compat.take_sums(optimizer)
    assert optimizer._all_reduce_sum_gradients([1]) == [1]
    assert not compat.take_sums(object())
    for layer, own in ((keras.layers.BatchNormalization(), False), (SimpleNamespace(), True)):
        compat.take_moments(layer, sum)
        assert layer.synchronized is own
