import doctest
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from twins import NATIVE, PAIRS, assert_same, normal, pair

from kerasrnn import InputError, build_classifier, layers
from kerasrnn.engine import native as native
from kerasrnn.layers import (
    CharacterEncoder,
    FlipTime,
    LengthMask,
    MaskOf,
    OneHot,
    SequencePooling,
    ZeroPadding,
)
from kerasrnn.layers.sequence import MODES

X = np.arange(24, dtype="float32").reshape(2, 4, 3) - 12
MASK = np.array([[True, True, False, False], [False] * 4])


def test_length_mask_zeroes_what_the_padding_held():
    output = np.array(LengthMask()([np.where(MASK[:, :, None], X, np.nan), np.array([2, 0])]))
    np.testing.assert_array_equal(output, np.where(MASK[:, :, None], X, 0))


def test_the_mask_as_a_tensor():
    masked = LengthMask()([X, np.array([2, 0])])
    np.testing.assert_array_equal(np.array(MaskOf()(masked)), MASK)


def test_zero_padding_zeroes_masked_steps_only():
    expected = np.where(MASK[:, :, None], X, 0)
    np.testing.assert_array_equal(np.array(ZeroPadding()(X, mask=MASK)), expected)
    np.testing.assert_array_equal(np.array(ZeroPadding()(X)), X)


def test_one_hot_rows_of_tokens():
    np.testing.assert_array_equal(
        np.array(OneHot(4)(np.array([[2, 0]]))), [[[0, 0, 1, 0], [1, 0, 0, 0]]]
    )


def test_flip_time():
    np.testing.assert_array_equal(np.array(FlipTime()(X)), X[:, ::-1])


@pytest.mark.parametrize("mode", MODES)
def test_pooling_counts_real_steps_only(mode):
    pool = SequencePooling(mode)
    expected = [np.hstack([getattr(x, one)(1) for one in mode.split("_")]) for x in (X, X[:, :2])]
    assert pool.compute_output_shape(X.shape) == expected[0].shape
    np.testing.assert_allclose(np.array(pool(X)), expected[0])
    masked = np.array(pool(X, mask=MASK))
    np.testing.assert_allclose(masked[0], expected[1][0])
    np.testing.assert_array_equal(masked[1], 0)


def test_an_unknown_pooling_is_refused():
    with pytest.raises(
        InputError, match="unknown pooling: found 'median'; expected mean or max or mean_max"
    ):
        SequencePooling("median")


def test_files_of_the_first_format_hold_a_character_encoder_by_its_old_argument():
    config = CharacterEncoder(9, 4, embedding_dim=5).get_config()
    config["embedding"] = config.pop("embedding_dim")
    assert CharacterEncoder.from_config(config).embedding_dim == 5


@pytest.mark.parametrize(
    "module", [layers.recurrent, layers.bidirectional, layers.sequence, layers.stem, layers.clones]
)
def test_the_examples_of_the_docstrings(module):
    found = doctest.testmod(module)
    assert found.attempted and not found.failed


REASONS = {
    "recurrent dropout": {"recurrent_dropout": 0.1},
    "an activation other than tanh": {"activation": "relu"},
    "computes in bfloat16": {"dtype": "mixed_bfloat16"},
    "computes in float64": {"dtype": "float64"},
}


@NATIVE
@pytest.mark.parametrize("reason", REASONS)
def test_another_path_and_the_same_numbers(reason):
    ours, stock = pair("gru", **REASONS[reason], seed=2)
    assert layers.implementation(ours) == ("keras", reason)
    x = normal(5, 6, 3)
    np.testing.assert_array_equal(np.array(ours(x)), np.array(stock(x)))


def test_without_the_library_the_layers_are_those_of_keras(monkeypatch):
    monkeypatch.setattr(native, "library", lambda: None)
    ours, stock = pair("lstm", both="concat")
    path = layers.implementation(ours)
    assert path.name == "keras" and "no compiler" in path.reason
    assert_same(ours, stock, normal(5, 6, 3))
    assert layers.implementation(stock) == ("keras", "not a layer of kerasrnn")


@NATIVE
@pytest.mark.parametrize("jit", [False, True])
def test_compiled_by_tensorflow_and_by_xla(jit):
    ours, stock = pair("lstm", both="concat")
    seen = []

    @tf.function(jit_compile=jit)
    def step(x):
        seen.append(layers.implementation(ours))
        return ours(x)

    np.testing.assert_allclose(step(normal(5, 6, 3)), stock(normal(5, 6, 3)), atol=1e-5)
    assert seen == [("keras", "compiled by XLA") if jit else ("native", "float32 on a CPU")]


@NATIVE
@pytest.mark.slow
def test_xla_may_be_asked_of_fit_too():
    model = keras.Sequential([keras.Input((6, 3)), layers.LSTM(4), keras.layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile=True)
    history = model.fit(normal(5, 6, 3), np.ones((5, 1)), epochs=2, verbose=0).history["loss"]
    assert history[1] < history[0]


@NATIVE
@pytest.mark.slow
def test_an_export_runs_where_there_is_no_kerasrnn(tmp_path):
    model = build_classifier((None, 3), num_classes=2, units=(5, 4))
    x = np.array(normal(5, 6, 3))
    expected = np.array(model(x))
    model.export(tmp_path / "exported", verbose=False)
    tf.saved_model.save(model, str(tmp_path / "saved"))
    np.save(tmp_path / "x.npy", x)
    code = (
        "import sys, numpy as np, tensorflow as tf\n"
        "x = np.load('x.npy')\n"
        "exported, saved = tf.saved_model.load('exported'), tf.saved_model.load('saved')\n"
        "a, b = exported.serve(x), saved.signatures['serving_default'](tf.constant(x))\n"
        "assert 'kerasrnn' not in sys.modules\n"
        "np.save('y.npy', np.stack([a, *b.values()]))\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True)
    for output in np.load(tmp_path / "y.npy"):
        np.testing.assert_allclose(output, expected, atol=1e-5)


def second_derivative(model, x):
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = tf.reduce_sum(model(x) ** 2)
        gradient = inner.gradient(y, x)
    return outer.gradient(gradient, x)


@NATIVE
def test_second_derivatives_are_refused_with_the_way_out():
    ours, stock = pair("lstm")
    x = normal(5, 6, 3)
    model = keras.Sequential([keras.Input((6, 3)), ours])
    with pytest.raises(NotImplementedError, match=r"layers\.keras_clone\(model\)"):
        second_derivative(model, x)
    found = second_derivative(layers.keras_clone(model), x)
    np.testing.assert_allclose(found, second_derivative(stock, x), atol=1e-5)


@pytest.mark.parametrize("cell", PAIRS)
def test_saved_cloned_and_rebuilt_from_its_config(cell, tmp_path):
    ours, stock = pair(cell, both="concat", return_sequences=True)
    assert type(ours.backward_layer) is PAIRS[cell][0]
    model = keras.Sequential([keras.Input((6, 3)), ours])
    x = normal(5, 6, 3)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(np.array(loaded(x)), np.array(model(x)))
    again = keras.models.clone_model(model)
    assert type(again.layers[0]) is layers.Bidirectional
    again.set_weights(stock.get_weights())
    np.testing.assert_allclose(again(x), stock(x), atol=1e-5)
    one, other = ours.forward_layer.get_config(), stock.forward_layer.get_config()
    assert one.keys() == other.keys()
