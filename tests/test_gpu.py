"""Layers, trainings and exports on a GPU: ``KERASRNN_TEST_GPU=1 pytest tests/test_gpu.py``.

The first tests need none: the equations stand in for cuDNN.
"""

import os
import subprocess
import sys
from collections import namedtuple

import numpy as np
import pytest
import tensorflow as tf
from test_portable import save
from twins import MASKS, PAIRS, assert_same, initial_states, normal, pair

from kerasrnn import (
    TextGenerator,
    Vocabulary,
    build_generator,
    export,
    layers,
    load_dataset,
    load_model,
    resume,
    train,
)
from kerasrnn.engine import portable
from kerasrnn.layers import recurrent

CELLS = [cell for cell in PAIRS if cell in portable.CELLS]
ON_GPU = pytest.mark.skipif(not os.environ.get("KERASRNN_TEST_GPU"), reason="KERASRNN_TEST_GPU")
RIGHT = [name for name in MASKS if name != "gaps"]  # padding is on the right


@pytest.fixture
def stand_in(monkeypatch):
    """A GPU that is none: cuDNN's operation by the equations, for rows of one length."""
    monkeypatch.setattr(recurrent, "_gpus", lambda: [1])
    monkeypatch.setattr(tf.raw_ops, "CudnnRNNV3", cudnn)


Found = namedtuple("Found", "output output_h output_c")


def cudnn(input, input_h, input_c, params, sequence_lengths, rnn_mode, direction, **_):
    """tf.raw_ops.CudnnRNNV3: time first, one vector of parameters (NVIDIA, cuDNN API)."""
    np.testing.assert_array_equal(sequence_lengths, input.shape[0])
    number, units, width = 1 + (direction == "bidirectional"), input_h.shape[-1], input.shape[-1]
    gates = {"lstm": 4, "gru": 3}[rnn_mode]
    shapes = [*[(units, width)] * gates, *[(units, units)] * gates] * number
    shapes += [(units,)] * 2 * gates * number
    parts = tf.split(params, [int(np.prod(shape)) for shape in shapes])
    parts = [tf.reshape(part, shape) for part, shape in zip(parts, shapes, strict=True)]
    matrices, biases = parts[: 2 * gates * number], parts[2 * gates * number :]
    found = []
    for at in range(number):
        of = slice(2 * gates * at, 2 * gates * (at + 1))
        c = input_c[at] if rnn_mode == "lstm" else None
        found.append(one_direction(input, input_h[at], c, matrices[of], biases[of], at))
    outputs, h, c = zip(*found, strict=True)
    return Found(tf.concat(outputs, -1), tf.stack(h), None if c[0] is None else tf.stack(c))


def one_direction(x, h, c, matrices, biases, backward):
    half, outputs = len(matrices) // 2, []
    for step in x[::-1] if backward else x:
        of_x = [
            step @ tf.transpose(w) + b for w, b in zip(matrices[:half], biases[:half], strict=True)
        ]
        of_h = [
            h @ tf.transpose(w) + b for w, b in zip(matrices[half:], biases[half:], strict=True)
        ]
        if c is None:
            reset, keep = (tf.sigmoid(of_x[i] + of_h[i]) for i in range(2))
            h = keep * h + (1 - keep) * tf.tanh(of_x[2] + reset * of_h[2])
        else:
            i, f, g, o = (a + b for a, b in zip(of_x, of_h, strict=True))
            c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
            h = tf.sigmoid(o) * tf.tanh(c)
        outputs.append(h)
    return tf.stack(outputs[::-1] if backward else outputs), h, c


def assert_all_alike(cell, mask, *, go_backwards, **how):
    """With states and without, one direction and, of a layer that reads forwards, both."""
    cases = [("no", False, False, True), ("no", True, True, False)]
    cases += [] if go_backwards else [("concat", False, True, True), ("concat", True, True, False)]
    for both, states, zero, bias in cases:
        options = {"zero_output_for_mask": zero, "use_bias": bias, "both": both, **how}
        ours, stock = pair(cell, return_state=True, go_backwards=go_backwards, **options)
        assert layers.implementation(ours) == ("cudnn", "there is a GPU")
        given = initial_states(cell, 1 if both == "no" else 2) if states else None
        assert_same(ours, stock, normal(5, 6, 3), MASKS[mask], given)


@pytest.mark.slow
@pytest.mark.parametrize("mask", ["none", "empty", "short"])
@pytest.mark.parametrize(("backward", "sequences"), [(False, False), (False, True), (True, True)])
@pytest.mark.parametrize("cell", CELLS)
def test_masks_and_states_around_cudnn(stand_in, cell, backward, sequences, mask):
    assert_all_alike(cell, mask, return_sequences=sequences, go_backwards=backward)


def test_which_loop_a_layer_takes_on_a_gpu(stand_in):
    assert layers.implementation(layers.LSTM(3)).name == "cudnn"
    assert layers.implementation(layers.GRU(3, dtype="mixed_float16")).name == "cudnn"
    for layer, reason in (
        (layers.SimpleRNN(3), "cuDNN is taken for LSTM and GRU"),
        (layers.LSTM(3, use_cudnn=False), "use_cudnn=False"),
        (layers.LSTM(3, dtype="mixed_bfloat16"), "computes in bfloat16"),
        (layers.LSTM(3, recurrent_dropout=0.1), "recurrent dropout"),
        (layers.GRU(3, reset_after=False), "reset_after=False"),
    ):
        assert layers.implementation(layer) == ("keras", reason)


def test_nan_in_padding_reaches_no_gradient(stand_in):
    x, mask = normal(5, 6, 3).numpy(), MASKS["short"]
    x[~mask] = np.nan
    for cell in CELLS:
        for both in ("no", "concat"):
            layer, _ = pair(cell, both=both, return_sequences=True)
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(tf.where(mask[..., None], layer(x, mask=mask), 0.0))
            for gradient in tape.gradient(loss, [w.value for w in layer.trainable_variables]):
                assert np.isfinite(gradient).all()


def test_a_mask_with_gaps_takes_the_loop_of_keras_or_is_refused(stand_in, monkeypatch):
    ours, stock = pair("gru", return_sequences=True)
    assert_same(ours, stock, normal(5, 6, 3), MASKS["gaps"])
    zeros = tf.zeros((6, 5, 11)), tf.zeros((1, 5, 11)), None
    monkeypatch.setattr(tf.raw_ops, "CudnnRNNV3", lambda **_: Found(*zeros))
    with pytest.raises(tf.errors.InvalidArgumentError, match="pad on the right"):
        tf.function(ours)(normal(5, 6, 3), mask=tf.constant(MASKS["gaps"]))


# --- on a GPU -------------------------------------------------------------------------------


@ON_GPU
@pytest.mark.parametrize("mask", RIGHT)
@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_cudnn_equals_the_loop_of_keras(cell, backward, sequences, mask):
    assert_all_alike(cell, mask, return_sequences=sequences, go_backwards=backward)


@ON_GPU
@pytest.mark.parametrize("cell", CELLS)
def test_in_a_graph_compiled_by_xla_and_in_16_bits(cell):
    ours, stock = pair(cell, return_sequences=True)
    x, mask = normal(5, 6, 3), tf.constant(MASKS["empty"])
    expected = stock(x, mask=mask)
    for by_xla in (False, True):
        found = tf.function(ours, jit_compile=by_xla)(x, mask=mask)
        np.testing.assert_allclose(found, expected, atol=1e-3 if by_xla else 1e-5)
    short, _ = pair(cell, return_sequences=True, dtype="mixed_float16")
    short.set_weights(ours.get_weights())
    assert short(x, mask=mask).dtype == tf.float16
    np.testing.assert_allclose(short(x, mask=mask), expected, atol=0.02)


ASK = """
import sys
import numpy as np, tensorflow as tf
tf.debugging.set_log_device_placement(True)
model, data = tf.saved_model.load(sys.argv[1]), np.load(sys.argv[1] + "/expected.npz")
ask = model.signatures["classify"]
found = ask(x=data["x"], lengths=data["lengths"])["probabilities"]
print(float(np.abs(found - data["probabilities"]).max()))
nothing = ask(x=np.zeros((0, 7, 3), "float32"), lengths=np.zeros(0, "int32"))
assert nothing["probabilities"].shape == (0, 4)
assert "kerasrnn" not in sys.modules
"""


@ON_GPU
@pytest.mark.parametrize("cell", CELLS)
def test_one_export_answers_alike_on_both_devices(cell, tmp_path, monkeypatch):
    save(tmp_path / "made", cell, "CPU", monkeypatch)
    for devices in (os.environ.get("CUDA_VISIBLE_DEVICES", "0"), "-1"):
        done = subprocess.run(
            [sys.executable, "-P", "-c", ASK, tmp_path / "made"],
            capture_output=True,
            text=True,
            env=os.environ | {"CUDA_VISIBLE_DEVICES": devices, "TF_CPP_MIN_LOG_LEVEL": "0"},
        )
        assert done.returncode == 0, done.stderr
        assert float(done.stdout.split()[-1]) <= 1e-5
        placed = [line for line in done.stderr.splitlines() if "CudnnRNNV3)" in line]
        assert bool(placed) == (devices != "-1")
        assert all("device:GPU:" in line for line in placed)


@ON_GPU
def test_exports_of_a_generator_pass_their_check(tmp_path):
    model = build_generator(5, units=(8, 8))
    generator = TextGenerator(model, Vocabulary("abcd"))
    path = export(generator, tmp_path / "generator")  # which runs check.py
    assert TextGenerator.load(path).generate("ab", 9, seed=1) == generator.generate("ab", 9, seed=1)


@ON_GPU
def test_a_deterministic_training_is_the_same_twice_and_when_resumed(tmp_path):
    how = {"units": (8, 8), "schedule": "constant", "deterministic": True, "quiet": True}
    one = train(load_dataset("digits"), tmp_path / "one", epochs=3, **how)
    two = train(load_dataset("digits"), tmp_path / "two", epochs=2, **how)
    two = resume(two, epochs=3, quiet=True)
    ours, theirs = (load_model(run.path / "last.keras").get_weights() for run in (one, two))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)
