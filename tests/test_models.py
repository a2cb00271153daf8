import gc

import keras
import numpy as np
import pytest
import reference

from kerasrnn import (
    InputError,
    build_classifier,
    build_encoder,
    build_generator,
    load_model,
    recurrent_stack,
    step_model,
)
from kerasrnn.inference.calling import compiled
from kerasrnn.inference.states import CarriedState
from kerasrnn.options import POOLINGS

LENGTHS = np.array([7, 3, 1, 5], "int32")
TOKENS = np.random.default_rng(3).integers(1, 9, (4, 7)) * (np.arange(7) < LENGTHS[:, None])
DIRECTIONS = {
    "both": {"bidirectional": True},
    "forward": {"bidirectional": False},
    "backward": {"bidirectional": False, "go_backwards": True},
}


def sequences(time=7, features=3, seed=0):
    return np.random.default_rng(seed).normal(size=(4, time, features)).astype("float32")


def padded(x, steps, value=np.nan):
    return np.pad(x, [(0, 0), (0, steps), (0, 0)], constant_values=value)


@pytest.mark.parametrize("cell", ["lstm", "gru", "simple"])
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("pooling", POOLINGS)
def test_agrees_with_the_equations_in_numpy_whatever_the_lengths(cell, direction, pooling):
    model = build_classifier(
        (None, 3),
        num_classes=4,
        units=(6, 5),
        cell=cell,
        pooling=pooling,
        lengths=True,
        **DIRECTIONS[direction],
    )
    weights = [np.random.default_rng(1).normal(0, 0.5, w.shape) for w in model.get_weights()]
    model.set_weights(weights)
    x = sequences()
    expected = [
        reference.classifier(cell, row[:length], weights, 2, direction, pooling)
        for row, length in zip(x, LENGTHS, strict=True)
    ]
    np.testing.assert_allclose(np.array(model([x, LENGTHS])), expected, atol=1e-5)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("value", [0, 1e30, np.nan])
def test_padding_floats_further_never_changes_the_output(pooling, value):
    model = build_classifier((None, 3), num_classes=4, units=(6, 5), pooling=pooling, lengths=True)
    x = sequences()
    once = np.array(model([x, LENGTHS]))
    again = np.array(model([padded(x, 20, value), LENGTHS]))
    np.testing.assert_allclose(again, once, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("embedding", [5, None])
@pytest.mark.parametrize("functional", [False, True])
def test_padding_tokens_further_never_changes_the_output(pooling, embedding, functional):
    model = build_classifier(
        vocabulary_size=9,
        num_classes=3,
        embedding_dim=embedding,
        units=(6, 5),
        cell="gru",
        pooling=pooling,
        functional=functional,
    )
    ids = np.random.default_rng(0).integers(1, 9, (4, 7))
    ids[np.arange(7) >= LENGTHS[:, None]] = 0
    once = np.array(model(ids))
    np.testing.assert_allclose(np.array(model(np.pad(ids, [(0, 0), (0, 9)]))), once, atol=1e-6)
    for row, length, output in zip(ids, LENGTHS, once, strict=True):
        alone = np.array(model(row[None, :length]))
        np.testing.assert_allclose(alone[0], output, atol=1e-6)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_sequence_of_no_steps_gives_finite_probabilities(pooling):
    model = build_classifier((None, 3), num_classes=4, units=5, pooling=pooling, lengths=True)
    output = np.array(model([sequences(), np.array([0, 7, 7, 7])]))
    np.testing.assert_allclose(output.sum(-1), 1, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_sequential_and_functional_are_equal_from_the_same_seed(direction):
    models = []
    for functional in (False, True):
        keras.utils.set_random_seed(3)
        models.append(
            build_classifier(
                (7, 3), num_classes=4, units=(6, 5), functional=functional, **DIRECTIONS[direction]
            )
        )
    assert isinstance(models[0], keras.Sequential)
    assert not isinstance(models[1], keras.Sequential)
    for first, second in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(first, second)
    first, second = (model.predict(sequences(), verbose=0) for model in models)
    np.testing.assert_array_equal(first, second)


@pytest.mark.slow
def test_compile_and_fit_as_a_keras_user_types_them_learns_from_raw_pixels():
    from sklearn.datasets import load_digits

    digits = load_digits()
    keras.utils.set_random_seed(0)
    model = build_classifier(
        (8, 8), num_classes=10, units=(16,), dropout=0, scaling=keras.layers.Rescaling(1 / 16)
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(digits.images, digits.target, epochs=6, verbose=0).history
    assert history["accuracy"][-1] > 0.6
    assert history["loss"][-1] < history["loss"][0]


def test_the_loss_is_taken_from_the_logits_behind_the_softmax():
    model = build_classifier((1, 1), num_classes=2, units=1)
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.get_layer("head").set_weights([np.zeros((2, 2)), np.array([0.0, 200.0])])
    loss = model.evaluate(np.zeros((1, 1, 1)), np.array([0]), verbose=0)
    assert loss == pytest.approx(200, abs=0.01)


def test_logits_are_the_probabilities_before_the_softmax():
    outputs = []
    for activation in ("softmax", None):
        keras.utils.set_random_seed(0)
        model = build_classifier((7, 3), num_classes=4, units=5, activation=activation)
        outputs.append(np.array(model(sequences())))
    np.testing.assert_allclose(outputs[0], keras.ops.softmax(outputs[1]), atol=1e-6)


@pytest.mark.parametrize("lengths", [False, True])
def test_a_saved_model_gives_the_same_output(tmp_path, lengths):
    scaling = keras.layers.Normalization(mean=[1.0, 2, 3], variance=[4.0, 5, 6])
    model = build_classifier(
        (None, 3), num_classes=4, units=(6, 5), lengths=lengths, scaling=scaling, pooling="max"
    )
    model.save(tmp_path / "model.keras")
    inputs = [sequences(), LENGTHS] if lengths else sequences()
    loaded = load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(np.array(loaded(inputs)), np.array(model(inputs)))
    assert len(keras.models.clone_model(model).get_weights()) == len(model.get_weights())


def test_inputs_can_be_given_by_name():
    model = build_classifier((None, 3), num_classes=4, units=5, lengths=True)
    by_place = model.predict([sequences(), LENGTHS], verbose=0)
    by_name = model.predict({"lengths": LENGTHS, "x": sequences()}, verbose=0)
    np.testing.assert_array_equal(by_place, by_name)


def test_a_model_composes_in_a_larger_functional_graph():
    left, right = (
        build_classifier((7, 3), num_classes=4, units=5, activation=None) for _ in range(2)
    )
    x = keras.Input((7, 3))
    outer = keras.Model(x, keras.layers.add([left(x), right(x)]))
    assert outer.predict(sequences(), verbose=0).shape == (4, 4)


def test_the_stack_is_what_was_asked_for():
    names = [type(layer).__name__ for layer in recurrent_stack((7, 5, 3), cell="gru")]
    assert names == ["Bidirectional", "Dropout"] * 3
    assert [type(layer).__name__ for layer in recurrent_stack(4, dropout=0)] == ["Bidirectional"]


@pytest.mark.parametrize(
    "options",
    [
        {"units": 0},
        {"units": ()},
        {"units": (5, -1)},
        {"units": 2.5},
        {"cell": "rnn"},
        {"dropout": 1},
        {"dropout": -0.1},
        {"pooling": "sum"},
        {"num_classes": 1},
        {"go_backwards": True},
        {"input_shape": (7,)},
        {"input_shape": None},
        {"vocabulary_size": 9},
    ],
)
def test_a_bad_argument_is_named(options):
    with pytest.raises(InputError, match="expected|choose|reads both ways"):
        build_classifier(**{"input_shape": (7, 3), "num_classes": 4, **options})


IDS = np.random.default_rng(0).integers(0, 9, (4, 7))


@pytest.mark.parametrize("cell", ["lstm", "gru", "simple"])
@pytest.mark.parametrize("embedding", [5, None])
@pytest.mark.parametrize("functional", [False, True])
def test_steps_of_a_generator_are_its_sequence(cell, embedding, functional):
    model = build_generator(
        9, units=(6, 5), cell=cell, embedding_dim=embedding, functional=functional, dropout=0.5
    )
    step = step_model(model)
    states = [np.zeros((4, s.shape[1]), "float32") for s in step.inputs[1:]]
    outputs = []
    for token in IDS.T:
        output, *states = (np.array(value) for value in step([token, *states]))
        outputs.append(output)
    np.testing.assert_allclose(np.stack(outputs, 1), np.array(model(IDS)), atol=1e-6)
    assert len(states) == (4 if cell == "lstm" else 2)
    weights = {id(weight) for weight in model.trainable_weights}
    assert {id(weight) for weight in step.trainable_weights} == weights


@pytest.mark.parametrize("cell", ["lstm", "gru", "simple"])
def test_carried_states_join_neighbouring_windows(cell):
    model = build_generator(9, units=(6, 5), cell=cell, dropout=0.5)
    carried = CarriedState(model, batch_size=4)
    for _ in range(2):
        windows = [np.array(carried(IDS[:, start : start + 3])) for start in (0, 3, 6)]
        np.testing.assert_allclose(np.concatenate(windows, 1), np.array(model(IDS)), atol=1e-6)
        carried.reset()


@pytest.mark.slow
def test_training_with_carried_states_trains_the_generator_itself():
    keras.utils.set_random_seed(0)
    model = build_generator(4, units=16, dropout=0)
    carried = CarriedState(model, batch_size=8)
    carried.compile(keras.optimizers.Adam(0.03), "sparse_categorical_crossentropy")
    text = np.tile([1, 2, 2], 300)[: 8 * 96 + 1]
    x, y = text[:-1].reshape(8, 48, 2), text[1:].reshape(8, 48, 2)
    rows = [part.transpose(1, 0, 2).reshape(-1, 2) for part in (x, y)]  # row k goes on in k + 8
    losses = []
    for _ in range(12):
        carried.reset()
        losses += carried.fit(*rows, batch_size=8, shuffle=False, verbose=0).history["loss"]
    # What follows a window's first 2 depends on the window before. Without the state a third
    # of all tokens could only be guessed, with a loss of log(2) / 3 = 0.23 at the least.
    assert losses[-1] < 0.1 < losses[0]
    output = np.array(model(text[None, :40]))[0]
    assert (output.argmax(-1)[8:] == text[9:41]).all()
    assert any(np.array(state).any() for state in carried.carried)
    assert len(carried.trainable_weights) == len(model.trainable_weights)


def test_a_generator_never_sees_what_comes_later():
    model = build_generator(9, units=(6, 5))
    later = IDS.copy()
    later[:, 4:] = 0
    np.testing.assert_allclose(
        np.array(model(later))[:, :4], np.array(model(IDS))[:, :4], atol=1e-6
    )


@pytest.mark.slow
def test_a_generator_learns_to_repeat(tmp_path):
    keras.utils.set_random_seed(0)
    model = build_generator(4, units=16, dropout=0, embedding_dim=None)
    model.compile(keras.optimizers.Adam(0.03), "sparse_categorical_crossentropy")
    text = np.tile([1, 2, 3, 3], (8, 6))
    model.fit(text[:, :-1], text[:, 1:], epochs=60, verbose=0)
    output = np.array(model(text[:1, :-1]))[0]
    assert (output.argmax(-1)[4:] == text[0, 5:]).all()
    model.save(tmp_path / "g.keras")
    again = np.array(load_model(tmp_path / "g.keras")(text[:1, :-1]))[0]
    np.testing.assert_array_equal(again, output)


def test_a_tied_output_is_the_embedding_itself(tmp_path):
    model = build_generator(50, units=8, embedding_dim=6, tied=True)
    assert model.count_params() == 50 * 6 + 4 * 8 * (6 + 8 + 1) + 8 * 6
    matrix, *_, projection = model.get_weights()
    ids = np.array([[3, 7, 1]])
    hidden = keras.Model(model.inputs, model.get_layer("lstm_1").output)(ids)
    logits = np.array(hidden) @ projection @ matrix.T
    expected = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(np.array(model(ids)), expected, rtol=1e-4)
    model.save(tmp_path / "a.keras")
    np.testing.assert_array_equal(load_model(tmp_path / "a.keras")(ids), model(ids))
    with pytest.raises(InputError, match="a tied output without an embedding"):
        build_generator(50, embedding_dim=None, tied=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bidirectional": True}, "it would see the token that it is to predict"),
        ({"go_backwards": True}, "cannot read backwards"),
        ({"vocabulary_size": 1}, "bad vocabulary_size: found 1"),
        ({"embedding_dim": -1}, "bad embedding"),
        ({"units": 0}, "bad units"),
    ],
)
def test_a_bad_argument_of_a_generator_is_named(options, message):
    with pytest.raises(InputError, match=message):
        build_generator(**{"vocabulary_size": 9, **options})


def test_only_a_generator_has_steps():
    with pytest.raises(InputError, match="not a generator: found a layer bidirectional_1"):
        step_model(build_classifier((7, 3), num_classes=4))


STATES = {"lstm": 2, "gru": 1, "simple": 1}


def encoder_inputs(model):
    """Sequences, their lengths where the model takes them, and random initial states."""
    rng = np.random.default_rng(2)
    known = {"x": sequences(), "lengths": LENGTHS, "tokens": TOKENS}
    return {
        tensor.name: known[tensor.name]
        if tensor.name in known
        else rng.normal(size=(4, tensor.shape[-1]))
        for tensor in model.inputs
    }


def numbers(results):
    return [np.array(result) for result in results]


@pytest.mark.parametrize("cell", STATES)
def test_an_encoder_gives_all_outputs_and_the_states_of_each_layer_and_direction(cell):
    model = build_encoder((3, 10), units=20, cell=cell)
    outputs, *states = model(np.zeros((5, 3, 10), "float32"))
    assert outputs.shape == (5, 3, 40)
    assert [state.shape for state in states] == [(5, 20)] * 2 * STATES[cell]
    two = build_encoder((3, 10), units=(7, 6), cell=cell, bidirectional=False, projection=4)
    outputs, *states = two(np.zeros((5, 3, 10), "float32"))
    assert outputs.shape == (5, 3, 4)
    assert [state.shape[1] for state in states] == [7] * STATES[cell] + [6] * STATES[cell]


@pytest.mark.slow
@pytest.mark.parametrize("cell", STATES)
@pytest.mark.parametrize(
    ("direction", "projection"),
    [("both", None), ("both", 3), ("forward", 3), ("backward", None)],
)
def test_an_encoder_of_layers_or_of_cells_agrees_with_the_equations(cell, direction, projection):
    options = {"units": (6, 5), "cell": cell, "projection": projection, **DIRECTIONS[direction]}
    options |= {"lengths": True, "initial_states": True}
    models = [build_encoder((None, 3), **options, from_cells=flag) for flag in (False, True)]
    weights = [np.random.default_rng(1).normal(0, 0.5, w.shape) for w in models[0].get_weights()]
    given = encoder_inputs(models[0])
    for model in models:
        model.set_weights(weights)
    by_layers, by_cells = (numbers(model(given)) for model in models)
    for one, other in zip(by_layers, by_cells, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    initial = list(given.values())[2:]
    for row, length in enumerate(LENGTHS):
        outputs, states = reference.encoder(
            cell,
            given["x"][row, :length],
            weights,
            2,
            direction,
            [state[row] for state in initial],
            projection=projection is not None,
        )
        np.testing.assert_allclose(by_layers[0][row, :length], outputs, atol=1e-5)
        assert not by_layers[0][row, length:].any()
        for state, expected in zip(by_layers[1:], states, strict=True):
            np.testing.assert_allclose(state[row], expected, atol=1e-5)


@pytest.mark.parametrize("from_cells", [False, True])
def test_an_encoder_of_cells_holds_keras_cells(from_cells):
    model = build_encoder((7, 3), cell="gru", from_cells=from_cells)
    side = model.get_layer("bidirectional_1").backward_layer
    assert (not hasattr(side, "units")) == from_cells  # a plain RNN around a cell
    assert type(side.cell) is keras.layers.GRUCell


@pytest.mark.parametrize("value", [0, np.nan])
def test_padding_further_never_changes_what_an_encoder_gives(value):
    model = build_encoder((None, 3), units=(6, 5), lengths=True, projection=4)
    outputs, *states = numbers(model([sequences(), LENGTHS]))
    more, *again = numbers(model([padded(sequences(), 20, value), LENGTHS]))
    np.testing.assert_allclose(more[:, :7], outputs, atol=1e-6)
    assert not more[:, 7:].any()
    for state, other in zip(states, again, strict=True):
        np.testing.assert_allclose(other, state, atol=1e-6)


def test_initial_states_of_zero_are_the_default():
    keras.utils.set_random_seed(0)
    plain = build_encoder((7, 3), units=(6, 5))
    started = build_encoder((7, 3), units=(6, 5), initial_states=True)
    started.set_weights(plain.get_weights())
    zeros = [np.zeros((4, *tensor.shape[1:])) for tensor in started.inputs[1:]]
    for one, other in zip(plain(sequences()), started([sequences(), *zeros]), strict=True):
        np.testing.assert_allclose(np.array(one), np.array(other), atol=1e-6)


def test_an_encoder_goes_on_where_it_ended():
    model = build_encoder((None, 3), units=(6, 5), bidirectional=False, initial_states=True)
    zeros = [np.zeros((4, *tensor.shape[1:])) for tensor in model.inputs[1:]]
    whole = numbers(model([sequences(), *zeros]))
    first, *states = numbers(model([sequences()[:, :4], *zeros]))
    second, *states = numbers(model([sequences()[:, 4:], *states]))
    for one, other in zip(whole, [np.concatenate([first, second], 1), *states], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"input_shape": (None, 3), "lengths": True, "initial_states": True, "projection": 4},
        {"input_shape": (7, 3), "scaling": keras.layers.Rescaling(0.5), "initial_states": True},
        {"vocabulary_size": 9, "embedding_dim": None, "from_cells": True, "initial_states": True},
        {"vocabulary_size": 9, "bidirectional": False, "cell": "gru", "initial_states": True},
    ],
)
def test_a_saved_or_cloned_encoder_gives_the_same(tmp_path, options):
    model = build_encoder(units=(6, 5), **options)
    model.save(tmp_path / "model.keras")
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    given = encoder_inputs(model)
    for other in (load_model(tmp_path / "model.keras"), clone):
        assert [tensor.name for tensor in other.inputs] == list(given)
        for one, again in zip(numbers(model(given)), numbers(other(given)), strict=True):
            np.testing.assert_array_equal(one, again)


@pytest.mark.slow
def test_an_encoder_learns_inside_another_model():
    keras.utils.set_random_seed(0)
    encoder = build_encoder((7, 3), units=6, dropout=0)
    _, *states = encoder(encoder.inputs[0])
    head = keras.layers.Dense(2, activation="softmax")
    model = keras.Model(encoder.inputs, head(keras.layers.concatenate(states)))
    model.compile(keras.optimizers.Adam(0.05), "sparse_categorical_crossentropy")
    losses = model.fit(sequences(), np.array([0, 1, 0, 1]), epochs=15, verbose=0).history["loss"]
    assert losses[-1] < 0.2 < losses[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"projection": 0}, "projection out of range: found 0; expected a positive int"),
        ({"projection": 2.5}, "projection out of range"),
        ({"units": 0}, "bad units"),
        ({"cell": "rnn"}, "unknown cell"),
        ({"go_backwards": True}, "reads both ways already"),
        ({"input_shape": None}, "the input is not clear"),
        ({"input_shape": (7,)}, "bad input_shape"),
    ],
)
def test_a_bad_argument_of_an_encoder_is_named(options, message):
    with pytest.raises(InputError, match=message):
        build_encoder(**{"input_shape": (7, 3), **options})


def test_what_is_no_keras_archive_is_refused(tmp_path):
    for name, content in {"a.h5": b"\x89HDF", "b.keras": b"nothing", "c.pkl": b""}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="not a .keras model file"):
            load_model(tmp_path / name)
    with pytest.raises(InputError, match="no model"):
        load_model(tmp_path / "absent.keras")


def test_a_damaged_archive_is_refused(tmp_path):
    path = tmp_path / "model.keras"
    build_classifier((7, 3), num_classes=4, units=5).save(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(InputError, match="cannot load the model"):
        load_model(path)


def test_code_in_an_archive_is_not_run(tmp_path):
    path = tmp_path / "lambda.keras"
    keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x + 1)]).save(path)
    with pytest.raises(InputError, match="cannot load the model"):
        load_model(path)


def test_a_compiled_model_lives_as_long_as_it_is_called():
    model = build_classifier((5, 3), num_classes=2, units=(4,))
    x = np.ones((2, 5, 3), "float32")
    expected = np.array(model(x))
    predict = compiled(model)
    del model
    gc.collect()
    np.testing.assert_allclose(predict(x.astype("float64")), expected, atol=1e-6)
