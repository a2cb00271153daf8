"""The recurrent layers beside Keras's own: the same outputs, states and gradients."""

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf
from keras.layers import Bidirectional as Both
from sklearn.datasets import load_digits
from twins import MASKS, NATIVE, PAIRS, assert_same, initial_states, normal, pair

from kerasrnn import layers

CASES = (
    ("none", True, False),
    ("gaps", True, True),
    ("empty", False, True),
    ("short", True, False),
)


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
        given = initial_states(cell) if states else None
        assert_same(ours, stock, normal(5, 6, 3), MASKS[mask], given)
    assert_same(ours, stock, normal(5, 6, 3), MASKS[mask], given, training=False)


@pytest.mark.slow
@NATIVE
@pytest.mark.parametrize("merge", ["concat", "sum", "ave", "mul", None])
@pytest.mark.parametrize("cell", PAIRS)
def test_it_equals_bidirectional_of_keras(cell, merge):
    for mask, sequences, state in CASES:
        how = {"return_sequences": sequences, "return_state": state, "both": merge}
        ours, stock = pair(cell, **how)
        assert layers.implementation(ours).name == "native"
        assert_same(ours, stock, normal(5, 6, 3), MASKS[mask])
    given = initial_states(cell, 2)
    assert_same(*pair(cell, both=merge), normal(5, 6, 3), states=given)


@pytest.mark.slow
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
@pytest.mark.parametrize(("cell", "units"), [("lstm", 260), ("gru", 300), ("simple", 516)])
def test_weights_so_large_that_threads_share_each_step(cell, units):
    ours, stock = pair(cell, shape=(9, 5, units), units=units, return_sequences=True)
    x, mask = normal(9, 5, units), np.arange(5) < np.arange(1, 10)[:, None] % 6
    assert_same(ours, stock, x)
    assert_same(ours, stock, x, mask)


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


@pytest.mark.slow
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


@NATIVE
@pytest.mark.slow
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
@pytest.mark.parametrize("seeds", [range(20), pytest.param(range(20, 60), marks=pytest.mark.slow)])
def test_any_options_give_what_keras_gives(seeds):
    for seed in seeds:
        cell, options, x, mask, states, how = some_case(seed)
        stock_options = options if mask is None else options | {"unroll": False}  # see above
        ours, _ = pair(cell, x.shape, **options)
        _, stock = pair(cell, x.shape, **stock_options)
        ours.set_weights(stock.get_weights())
        try:
            assert_same(in_graph(ours, how), stock, x, mask, states)
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
