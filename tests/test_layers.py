import doctest
import subprocess
import sys

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf
from keras.layers import Bidirectional as Both
from sklearn.datasets import load_digits

from kerasrnn import InputError, build_classifier, layers
from kerasrnn.engine import native as loops
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
    np.testing.assert_allclose(np.array(pool(X)), getattr(X, mode)(1))
    masked = np.array(pool(X, mask=MASK))
    np.testing.assert_allclose(masked[0], getattr(X[0, :2], mode)(0))
    np.testing.assert_array_equal(masked[1], 0)


def test_an_unknown_pooling_is_refused():
    with pytest.raises(InputError, match="unknown pooling: found 'median'; expected mean or max"):
        SequencePooling("median")


def test_files_of_the_first_format_hold_a_character_encoder_by_its_old_argument():
    config = CharacterEncoder(9, 4, embedding_dim=5).get_config()
    config["embedding"] = config.pop("embedding_dim")
    assert CharacterEncoder.from_config(config).embedding_dim == 5


@pytest.mark.parametrize("module", [layers.recurrent, layers.sequence, layers.clones])
def test_the_examples_of_the_docstrings(module):
    found = doctest.testmod(module)
    assert found.attempted and not found.failed


# --- the fast recurrent layers, beside Keras's own --------------------------------------------

NATIVE = pytest.mark.skipif(loops.library() is None, reason="the native loop was not built")
PAIRS = {
    "lstm": (layers.LSTM, keras.layers.LSTM),
    "gru": (layers.GRU, keras.layers.GRU),
    "simple": (layers.SimpleRNN, keras.layers.SimpleRNN),
}
CASES = (
    ("none", True, False),
    ("gaps", True, True),
    ("empty", False, True),
    ("short", True, False),
)
MASKS = {
    "none": None,
    "right": np.arange(6) < np.array([[6], [1], [3], [5], [2]]),
    "gaps": np.random.default_rng(3).random((5, 6)) < 0.5,
    "empty": np.arange(6) < np.array([[0], [2], [0], [6], [1]]),
    "short": np.arange(6) < np.array([[3], [2], [0], [3], [1]]),
}


def pair(cell, shape=(5, 6, 3), units=11, both="no", **options):
    """One of our layers and Keras's with the same weights; ``both``: joined by Bidirectional."""
    options.setdefault("recurrent_initializer", "glorot_uniform")  # orthogonal takes seconds
    options.setdefault("bias_initializer", keras.initializers.RandomNormal(stddev=0.5, seed=1))
    ours, stock = (kind(units, **options) for kind in PAIRS[cell])
    if both != "no":
        ours = layers.Bidirectional(ours, merge_mode=both)
        stock = keras.layers.Bidirectional(stock, merge_mode=both)
    for layer in (ours, stock):
        layer.build(shape)
    ours.set_weights(stock.get_weights())
    return ours, stock


def run(layer, x, mask=None, states=None, training=True):
    """All outputs, and the gradients of x, of the initial states and of the weights."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        for state in states or []:
            tape.watch(state)
        outputs = layer(x, mask=mask, initial_state=states, training=training)
        outputs = list(outputs) if isinstance(outputs, (tuple, list)) else [outputs]
        waves = [
            tf.reshape(tf.cos(tf.range(tf.size(o), dtype="float32")), o.shape) for o in outputs
        ]
        loss = sum(tf.reduce_sum(o * wave) for o, wave in zip(outputs, waves, strict=True))
    of = [x, *(states or []), *(weight.value for weight in layer.trainable_variables)]
    return outputs, tape.gradient(loss, of, unconnected_gradients="zero")


def assert_same(ours, stock, *arguments, **options):
    """Outputs within 1e-5, gradients within 1e-4 of the largest."""
    for ones, others, bound in zip(
        run(ours, *arguments, **options), run(stock, *arguments, **options), (0, 1), strict=True
    ):
        assert len(ones) == len(others)
        for one, other in zip(ones, others, strict=True):
            assert one.shape == other.shape
            scale = max(1e-3, np.abs(np.nan_to_num(other)).max(initial=0))
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-4 * scale if bound else 1e-5)


def normal(*shape, seed=0):
    return tf.constant(np.random.default_rng(seed).normal(size=shape).astype("float32"))


@NATIVE
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("cell", PAIRS)
def test_it_equals_the_layer_of_keras(cell, backward, sequences, mask):
    for states, zero, bias in ((False, False, True), (True, True, True), (True, False, False)):
        how = {"return_sequences": sequences, "go_backwards": backward, "return_state": True}
        ours, stock = pair(cell, zero_output_for_mask=zero, use_bias=bias, **how)
        assert layers.implementation(ours) == ("native", "float32 on a CPU")
        number = 2 if cell == "lstm" else 1
        given = [normal(5, 11, seed=seed) for seed in range(number)] if states else None
        assert_same(ours, stock, normal(5, 6, 3), MASKS[mask], given)
    assert_same(ours, stock, normal(5, 6, 3), MASKS[mask], given, training=False)


@NATIVE
@pytest.mark.parametrize("merge", ["concat", "sum", "ave", "mul", None])
@pytest.mark.parametrize("cell", PAIRS)
def test_it_equals_bidirectional_of_keras(cell, merge):
    for mask, sequences, state in CASES:
        how = {"return_sequences": sequences, "return_state": state, "both": merge}
        ours, stock = pair(cell, **how)
        assert layers.implementation(ours).name == "native"
        assert_same(ours, stock, normal(5, 6, 3), MASKS[mask])
    given = [normal(5, 11, seed=seed) for seed in range(4 if cell == "lstm" else 2)]
    assert_same(*pair(cell, both=merge), normal(5, 6, 3), states=given)


@NATIVE
@pytest.mark.parametrize("cell", PAIRS)
@pytest.mark.parametrize(
    ("shape", "units"),
    [((1, 6, 3), 5), ((5, 6, 3), 1), ((5, 1, 1), 3), ((2, 1, 3), 4096)],
)
def test_unusual_sizes(cell, shape, units):
    if units == 4096 and cell != "simple":
        units = 1024  # to spare the time of the test; tried by hand
    ours, stock = pair(cell, shape=shape, units=units, return_sequences=True)
    assert_same(ours, stock, normal(*shape))


@NATIVE
def test_zero_steps_are_refused_as_keras_refuses_them():
    for layer in pair("lstm"):
        with pytest.raises(tf.errors.InvalidArgumentError, match="slice index 0"):
            layer(normal(5, 0, 3))


@NATIVE
@pytest.mark.parametrize("cell", PAIRS)
def test_nan_reaches_what_it_reaches_in_keras(cell):
    x = np.array(normal(5, 6, 3))
    x[1, 2, 0] = np.nan
    x[2, 3] = 1e30
    ours, stock = pair(cell, return_sequences=True)
    one, other = np.array(ours(x)), np.array(stock(x))
    np.testing.assert_array_equal(np.isnan(one), np.isnan(other))
    np.testing.assert_allclose(one, other, atol=1e-5)


@NATIVE
def test_states_that_do_not_fit_are_refused():
    ours, _ = pair("lstm")
    with pytest.raises(ValueError, match="4 initial states of lstm.*expected 2"):
        ours(normal(5, 6, 3), initial_state=[normal(5, 11)] * 4)
    with pytest.raises((ValueError, tf.errors.OpError), match=r"state h of shape \(5, 10\)"):
        ours(normal(5, 6, 3), initial_state=[normal(5, 10)] * 2)


@NATIVE
@pytest.mark.parametrize("both", ["no", "concat"])
@pytest.mark.parametrize("cell", PAIRS)
def test_what_keras_takes_is_taken(cell, both):
    """Ints and bools; masks (batch, time, 1), (1, time), of each unit; states (1, units)."""
    ours, stock = pair(cell, both=both, return_sequences=True)
    x, mask = normal(5, 6, 3), MASKS["gaps"]
    number = (2 if cell == "lstm" else 1) * (2 if both == "concat" else 1)
    states = [normal(1, 11, seed=seed) for seed in range(number)]
    ints = np.random.default_rng(0).integers(-3, 3, (5, 6, 3))
    of_each_unit = np.random.default_rng(0).random((5, 6, 11)) < 0.5
    for inputs, how in (
        (ints, {}),
        (ints.astype("uint8"), {}),
        (ints > 0, {"mask": mask}),
        (x, {"mask": mask[:, :, None]}),
        (x, {"mask": mask.astype("float32")}),
        (x, {"mask": mask[:1]}),
        (x, {"mask": of_each_unit}),
        (x, {"initial_state": states}),
        (x, {"initial_state": [np.array(state, "float64") for state in states], "mask": mask}),
    ):
        how = {name: value if name != "mask" else tf.constant(value) for name, value in how.items()}
        np.testing.assert_allclose(ours(inputs, **how), stock(inputs, **how), atol=1e-5)


@NATIVE
def test_a_state_of_one_row_in_a_graph_and_its_gradient():
    ours, stock = pair("gru")
    state = normal(1, 11)

    @tf.function(input_signature=[tf.TensorSpec((None, None, 3)), tf.TensorSpec((None, 11))])
    def call(x, state):
        return ours(x, initial_state=state)

    np.testing.assert_allclose(
        call(normal(5, 6, 3), state), stock(normal(5, 6, 3), initial_state=state), atol=1e-5
    )
    assert_same(ours, stock, normal(5, 6, 3), MASKS["gaps"], [state])


@NATIVE
def test_unrolled_with_a_mask_it_is_right_where_keras_is_not():
    """Keras's unrolled loop zeroes the outputs of a backward layer by the unreversed mask."""
    options = {"return_sequences": True, "use_bias": False, "both": "concat"}
    ours, stock = pair("lstm", (5, 6, 3), unroll=True, **options)
    loop = keras.layers.Bidirectional.from_config(stock.get_config())
    loop.forward_layer.unroll = loop.backward_layer.unroll = False
    loop.build((5, 6, 3))
    loop.set_weights(stock.get_weights())
    x, mask = normal(5, 6, 3), tf.constant(MASKS["gaps"])
    states = [normal(5, 11, seed=seed) for seed in range(4)]
    arguments = (x, mask, states)
    assert_same(ours, loop, *arguments)
    assert np.abs(stock(x, mask=mask, initial_state=states) - ours(x, mask=mask)).max() > 0.1
    graph = tf.function(lambda x, mask, states: ours(x, mask=mask, initial_state=states))
    found = np.array(graph(*arguments))
    weights = [weight.astype("float64") for weight in ours.get_weights()]
    weights = [[*weights[i : i + 2], np.zeros(44)] for i in (0, 2)]
    for row in range(5):
        real = np.array(mask[row])
        expected = np.zeros((6, 22))
        for side, backward in enumerate((False, True)):
            state = [np.array(one[row]) for one in states[2 * side : 2 * side + 2]]
            steps = np.array(x[row])[real]
            outputs, _ = reference.scan("lstm", steps, weights[side], backward, state)
            expected[real, 11 * side : 11 * side + 11] = outputs
        np.testing.assert_allclose(found[row], expected, atol=1e-5)


@NATIVE
def test_input_that_does_not_lie_in_order():
    x = np.array(normal(3, 6, 5)).T[::-1]
    ours, stock = pair("gru")
    np.testing.assert_allclose(ours(x[:, :, :3]), stock(x[:, :, :3]), atol=1e-5)


@NATIVE
@pytest.mark.parametrize("cell", PAIRS)
def test_dropout_is_that_of_keras(cell):
    ours, stock = pair(cell, dropout=0.5, seed=4)
    assert_same(ours, stock, normal(5, 6, 3))
    x = normal(5, 6, 3)
    assert np.abs(ours(x, training=True) - ours(x, training=False)).max() > 1e-3


@NATIVE
def test_a_stateful_layer_goes_on():
    ours, stock = pair("lstm", stateful=True)
    x = normal(5, 6, 3)
    for _ in range(2):
        np.testing.assert_allclose(ours(x), stock(x), atol=1e-5)


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
    monkeypatch.setattr(loops, "library", lambda: None)
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
def test_xla_may_be_asked_of_fit_too():
    model = keras.Sequential([keras.Input((6, 3)), layers.LSTM(4), keras.layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile=True)
    history = model.fit(normal(5, 6, 3), np.ones((5, 1)), epochs=2, verbose=0).history["loss"]
    assert history[1] < history[0]


@NATIVE
def test_an_export_runs_where_there_is_no_kerasrnn(tmp_path):
    model = build_classifier((None, 3), 2, units=(5, 4))
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


@NATIVE
def test_a_few_epochs_on_digits_lie_on_those_of_keras():
    x, y = load_digits(return_X_y=True)
    x = (x / 16).reshape(-1, 8, 8).astype("float32")
    losses = []
    for kind, both in ((layers.LSTM, layers.Bidirectional), (keras.layers.LSTM, Both)):
        keras.utils.set_random_seed(0)
        head = keras.layers.Dense(10, activation="softmax")
        model = keras.Sequential(
            [keras.Input((8, 8)), both(kind(16, return_sequences=True)), both(kind(16)), head]
        )
        model.compile("adam", "sparse_categorical_crossentropy")
        history = model.fit(x, y, epochs=3, batch_size=64, shuffle=False, verbose=0)
        losses.append(history.history["loss"])
    np.testing.assert_allclose(*losses, rtol=1e-3)


@NATIVE
def test_two_directions_of_different_widths():
    x = tf.constant(np.random.default_rng(0).normal(size=(3, 4, 5)).astype("float32"))
    results = []
    for kind, joined in ((layers.LSTM, layers.Bidirectional), (keras.layers.LSTM, Both)):
        keras.utils.set_random_seed(0)
        options = {"return_sequences": True, "recurrent_initializer": "glorot_uniform"}
        layer = joined(kind(7, **options), backward_layer=kind(12, go_backwards=True, **options))
        with tf.GradientTape() as tape:
            tape.watch(x)
            output = layer(x, training=True)
            loss = tf.reduce_sum(output * tf.cos(output))
        results.append([output, *tape.gradient(loss, [x, *layer.trainable_variables])])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


# --- any options -------------------------------------------------------------------------------


def some_case(seed):
    """Random options of a layer, and what it is called with."""
    rng = np.random.default_rng(seed)

    def one_of(*values):
        return values[rng.integers(len(values))]

    cell, both = one_of(*PAIRS), one_of("no", "no", "concat", "sum", "ave", "mul", None)
    batch, time, features, units = (int(size) for size in rng.integers(1, 9, 4))
    options = {
        "units": units,
        "both": both,
        "use_bias": one_of(True, False),
        "return_sequences": one_of(True, False),
        "return_state": one_of(True, False),
        "go_backwards": both == "no" and one_of(True, False),
        "zero_output_for_mask": one_of(True, False),
        "unroll": one_of(True, False, False),
    }
    x = rng.normal(0, 1.5, (batch, time, features))
    x = tf.constant(x.astype(one_of("float32", "float32", "float64", "int32", "bool")))
    masks = [
        rng.random((batch, time)) < 0.6,
        np.arange(time) < rng.integers(0, time + 1, (batch, 1)),
        rng.random((batch, time, 1)) < 0.6,
        rng.random((1, time)) < 0.6,
    ]
    mask = one_of(None, None, *map(tf.constant, masks))
    number = (2 if cell == "lstm" else 1) * (1 if both == "no" else 2)
    rows = one_of(batch, 1)
    states = [normal(rows, units, seed=seed + index) for index in range(number)]
    return cell, options, x, mask, one_of(None, states), one_of("eager", "graph", "any sizes")


@NATIVE
@pytest.mark.parametrize("seeds", [range(20), pytest.param(range(20, 300), marks=pytest.mark.slow)])
def test_any_options_give_what_keras_gives(seeds):
    for seed in seeds:
        cell, options, x, mask, states, how = some_case(seed)
        stock_options = options if mask is None else options | {"unroll": False}  # see above
        ours, _ = pair(cell, x.shape, **options)
        _, stock = pair(cell, x.shape, **stock_options)
        ours.set_weights(stock.get_weights())
        ones = [in_graph(ours, how), stock]
        try:
            found, expected = (run_any(one, x, mask, states) for one in ones)
            for one, other, bound in zip(found, expected, (1e-5, 1e-4), strict=True):
                for a, b in zip(one, other, strict=True):
                    scale = max(1, np.abs(b).max(initial=0)) if bound == 1e-4 else 1
                    np.testing.assert_allclose(a, b, rtol=0, atol=bound * scale)
        except Exception as error:
            error.add_note(f"seed {seed}: {cell}, {options}, {x.dtype}, {mask is not None}, {how}")
            raise


def in_graph(layer, how):
    """The layer as it is, or traced for one size or any."""
    if how == "eager":
        return layer

    def spec(array):
        shape = array.shape
        if how == "any sizes" and not getattr(layer, "forward_layer", layer).unroll:
            shape = [None, *([None] * (len(shape) > 2)), shape[-1]]
        return tf.TensorSpec(shape, array.dtype)

    def traced(x, mask=None, initial_state=None, training=True):
        def call(x, *others):
            others = list(others)
            arguments = {"mask": None if mask is None else others.pop(0)}
            return layer(x, initial_state=others or None, training=training, **arguments)

        arrays = [x, *([] if mask is None else [mask]), *(initial_state or [])]
        return tf.function(call, input_signature=[spec(array) for array in arrays])(*arrays)

    traced.trainable_variables = layer.trainable_variables
    return traced


def run_any(layer, x, mask, states):
    """Outputs and gradients, of the input too where it is floats."""
    with tf.GradientTape() as tape:
        floats = [x] * x.dtype.is_floating + (states or [])
        for array in floats:
            tape.watch(array)
        outputs = tf.nest.flatten(layer(x, mask=mask, initial_state=states, training=True))
        loss = sum(
            tf.reduce_sum(o * tf.cos(tf.reshape(tf.range(tf.size(o), dtype="float32"), o.shape)))
            for o in outputs
        )
    of = floats + [weight.value for weight in layer.trainable_variables]
    return outputs, tape.gradient(loss, of, unconnected_gradients="zero")
