"""Models of Keras 2 as .keras files: their answers, what is refused, damage."""

import copy
import json
import random

import h5py
import keras
import numpy as np
import pytest
from conftest import invoke, refused
from reference import sigmoid

from kerasrnn import InputError, load_model
from kerasrnn.keras2.converting import convert
from kerasrnn.keras2.graphs import build_model
from kerasrnn.keras2.hdf5 import Saved, read_model

RNG = np.random.default_rng(0)
GATES = {"LSTM": 4, "GRU": 3, "SimpleRNN": 1}
X = RNG.normal(size=(3, 5, 2)).astype("float32")
IDS = np.array([[3, 1, 2, 4, 1], [2, 3, 0, 0, 0], [1, 0, 4, 0, 0]], "float32")


def hard_sigmoid(a):
    """As Keras 2 has it: another slope than Keras 3's."""
    return np.clip(0.2 * a + 0.5, 0, 1)


def cell_weights(cell, inputs, units, bias=None):
    """Kernel, recurrent kernel and bias; ``bias`` is its shape where it is not the plain one."""
    wide = GATES[cell] * units
    return [
        RNG.normal(0, 0.6, s).astype("f4") for s in ((inputs, wide), (units, wide), bias or wide)
    ]


def outputs(cell, x, weights, gate=sigmoid, mask=None, state=None, backwards=False):
    """The output (time, units) of each step of a sequence x (time, features), and the last state.

    A step that does not count repeats the output and the states before it.
    """
    kernel, recurrent, bias = (weight.astype("f8") for weight in weights)
    units = len(recurrent)
    h, c = state if state is not None else (np.zeros(units), np.zeros(units))
    shown = []
    order = range(len(x))[::-1] if backwards else range(len(x))
    for t in order:
        before = h, c
        if cell == "LSTM":
            i, f, new, o = np.split(x[t] @ kernel + h @ recurrent + bias, 4)
            c = gate(f) * c + gate(i) * np.tanh(new)
            h = gate(o) * np.tanh(c)
        elif cell == "GRU" and bias.ndim == 2:  # reset after the product
            (xz, xr, xn), (hz, hr, hn) = (
                np.split(x[t] @ kernel + bias[0], 3),
                np.split(h @ recurrent + bias[1], 3),
            )
            z = gate(xz + hz)
            h = z * h + (1 - z) * np.tanh(xn + gate(xr + hr) * hn)
        elif cell == "GRU":
            (xz, xr, xn), (uz, ur, un) = (
                np.split(x[t] @ kernel + bias, 3),
                np.split(recurrent, 3, 1),
            )
            z, r = gate(xz + h @ uz), gate(xr + h @ ur)
            h = z * h + (1 - z) * np.tanh(xn + (r * h) @ un)
        else:
            h = np.tanh(x[t] @ kernel + h @ recurrent + bias)
        if mask is not None and not mask[t]:
            h, c = before
        shown.append(h)
    return np.array(shown), (h, c)


def last(cell, x, weights, mask=None, **options):
    """The last output of each sequence of a batch."""
    masks = [None] * len(x) if mask is None else mask
    rows = zip(x, masks, strict=True)
    return np.array([outputs(cell, row, weights, mask=m, **options)[0][-1] for row, m in rows])


def layer(kind, name, **options):
    return {"class_name": kind, "config": {"name": name, "trainable": True, **options}}


def rnn(kind, name="rnn", units=4, **options):
    """A recurrent layer as Keras 2 describes it."""
    initial = {"class_name": "VarianceScaling", "config": {"scale": 1.0, "seed": None}}
    usual = {"activation": "tanh", "use_bias": True, "kernel_initializer": initial}
    if kind != "SimpleRNN":
        usual["recurrent_activation"] = "sigmoid"
    usual = {} if "CuDNN" in kind else usual | {"implementation": 1, "unroll": False}
    return layer(kind, name, **{"units": units, "time_major": False, **usual, **options})


def write(path, config, weights, text=np.bytes_, **attributes):
    """An HDF5 file as Keras 2 writes it. weights: layer → its weights. text: type of strings."""
    attributes = {"keras_version": "2.2.4-tf", "backend": "tensorflow", **attributes}
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = text(json.dumps(config))
        for name, value in attributes.items():
            file.attrs[name] = text(value)
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = np.array([*weights], "S")
        for name, values in weights.items():
            inner = group.create_group(name)
            names = [f"{name}/weight_{i}:0" for i in range(len(values))]
            inner.attrs["weight_names"] = np.array(names, "S")
            for each, value in zip(names, values, strict=True):
                inner[each] = value


def sequential(*layers, shape=(None, 5, 2)):
    """A Sequential model as before Keras 2.2.3, without a layer for its input."""
    first = copy.deepcopy(layers[0])
    first["config"]["batch_input_shape"] = list(shape)
    return {"class_name": "Sequential", "config": [first, *layers[1:]]}


def functional(layers, nodes, ends):
    """A functional model. nodes: layer → its inputs, by name. ends: names of the outputs."""
    for one in layers:
        one["name"] = name = one["config"]["name"]
        one["inbound_nodes"] = [[[of, 0, i, {}] for of, i in nodes[name]]] if name in nodes else []
    inputs = [one["name"] for one in layers if one["class_name"] == "InputLayer"]
    ends = {"input_layers": [[n, 0, 0] for n in inputs], "output_layers": [[n, 0, 0] for n in ends]}
    return {"class_name": "Model", "config": {"name": "model", "layers": layers, **ends}}


def converted(folder, config, weights, **attributes):
    """The model, from the file that ``convert`` makes of what Keras 2 wrote; stock layers only."""
    write(folder / "old.h5", config, weights, **attributes)
    convert(folder / "old.h5", folder / "new.keras")
    model = load_model(folder / "new.keras")
    assert all(type(one).__module__.startswith("keras.") for one in model.layers)
    return model


def assert_close(found, expected):
    np.testing.assert_allclose(found, expected, atol=1e-6, rtol=0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:weights before hard_sigmoid")
@pytest.mark.parametrize("gate", [sigmoid, hard_sigmoid])
@pytest.mark.parametrize(
    ("cell", "options", "bias"),
    [
        ("LSTM", {}, None),
        ("GRU", {}, None),  # without reset_after, as before Keras 2.1.3
        ("GRU", {"reset_after": False}, None),
        ("GRU", {"reset_after": True}, (2, 12)),
        ("SimpleRNN", {}, None),
    ],
)
def test_a_cell_answers_as_its_equations(cell, options, bias, gate, tmp_path):
    weights = cell_weights(cell, 2, 4, bias)
    if cell != "SimpleRNN":
        options = {**options, "recurrent_activation": gate.__name__}
    model = converted(tmp_path, sequential(rnn(cell, **options)), {"rnn": weights})
    assert_close(model(X), last(cell, X, weights, gate=gate))


@pytest.mark.filterwarnings("ignore:weights before hard_sigmoid")
def test_hard_sigmoid_is_that_of_keras_2_everywhere(tmp_path):
    kernel, bias = RNG.normal(size=(2, 3)).astype("f4"), RNG.normal(size=3).astype("f4")
    hard = {"activation": "hard_sigmoid"}
    layers = [
        layer("TimeDistributed", "steps", layer=layer("Activation", "in", **hard)),
        layer("Dense", "dense", units=3, **hard),
        layer("Activation", "out", **hard),
    ]
    model = converted(tmp_path, sequential(*layers), {"dense": [kernel, bias]})
    assert_close(model(X), hard_sigmoid(hard_sigmoid(hard_sigmoid(X) @ kernel + bias)))


def by_cudnn(weights, bias):
    """Weights of a gate of size (units, features) row by row, as cuDNN has them."""
    kernel, recurrent, _ = weights
    gates = kernel.shape[1] // len(recurrent)

    def rows(weight):
        return np.hstack(
            [part.T.ravel().reshape(part.shape) for part in np.split(weight, gates, 1)]
        )

    return [rows(kernel), rows(recurrent), bias]


@pytest.mark.parametrize("cell", ["LSTM", "GRU"])
def test_weights_of_cudnn_answer_without_a_gpu(cell, tmp_path):
    bias = RNG.normal(size=8 * 4 if cell == "LSTM" else 6 * 4).astype("f4")
    forward = cell_weights(cell, 2, 4)
    forward[2] = bias.reshape(2, -1).sum(0) if cell == "LSTM" else bias.reshape(2, -1)
    both = layer("Bidirectional", "both", layer=rnn(f"CuDNN{cell}"), merge_mode="concat")
    stored = by_cudnn(forward, bias)
    model = converted(tmp_path, sequential(both), {"both": stored * 2})
    sides = [last(cell, x, forward) for x in (X, X[:, ::-1])]
    assert_close(model(X), np.concatenate(sides, -1))


def test_masked_steps_do_not_count_in_either_direction(tmp_path):
    table = RNG.normal(size=(5, 3)).astype("f4")
    forward, backward = cell_weights("LSTM", 3, 4), cell_weights("LSTM", 3, 4)
    inner = rnn("LSTM", return_sequences=True)
    layers = [
        layer("Embedding", "words", input_dim=5, output_dim=3, mask_zero=True, input_length=5),
        layer("Bidirectional", "both", layer=inner, merge_mode="sum"),
    ]
    weights = {"words": [table], "both": [*forward, *backward]}
    model = converted(tmp_path, sequential(*layers, shape=(None, 5)), weights)
    x, mask = table[IDS.astype(int)], IDS != 0
    for found, row, counts in zip(model(IDS).numpy(), x, mask, strict=True):
        one = outputs("LSTM", row, forward, mask=counts)[0]
        other = outputs("LSTM", row, backward, mask=counts, backwards=True)[0][::-1]
        assert_close(found[counts], (one + other)[counts])
        assert not found[~counts].any()  # as in tf.keras 2


@pytest.mark.parametrize("merge", ["Concatenate", "Add"])
def test_a_mask_outlives_a_merge_with_a_sequence_that_has_none(merge, tmp_path):
    table = RNG.normal(size=(5, 2)).astype("f4")
    weights = cell_weights("GRU", 4 if merge == "Concatenate" else 2, 3)
    layers = [
        layer("InputLayer", "ids", batch_input_shape=[None, 5], dtype="float32", sparse=False),
        layer("InputLayer", "x", batch_input_shape=[None, 5, 2], dtype="float32"),
        layer("Embedding", "words", input_dim=5, output_dim=2, mask_zero=True),
        layer(merge, "merge", **({"axis": -1} if merge == "Concatenate" else {})),
        layer("Dropout", "dropout", rate=0.5),
        rnn("GRU", "rnn", 3),
    ]
    nodes = {"words": [("ids", 0)], "merge": [("words", 0), ("x", 0)]}
    nodes |= {"dropout": [("merge", 0)], "rnn": [("dropout", 0)]}
    config = functional(layers, nodes, ["rnn"])
    model = converted(tmp_path, config, {"words": [table], "rnn": weights})
    words = table[IDS.astype(int)]
    x = np.concatenate([words, X], -1) if merge == "Concatenate" else words + X
    assert_close(model([IDS, X]), last("GRU", x, weights, mask=IDS != 0))


def test_a_layer_that_is_given_states_keeps_its_mask(tmp_path):
    table, one, two = (
        RNG.normal(size=(5, 2)).astype("f4"),
        *(cell_weights("LSTM", 2, 3) for _ in "12"),
    )
    layers = [
        layer("InputLayer", "x", batch_input_shape=[None, 5, 2], dtype="float32"),
        layer("InputLayer", "ids", batch_input_shape=[None, 5], dtype="float32"),
        rnn("LSTM", "reader", 3, return_state=True),
        layer("Embedding", "words", input_dim=5, output_dim=2, mask_zero=True),
        rnn("LSTM", "writer", 3),
    ]
    nodes = {"reader": [("x", 0)], "words": [("ids", 0)]}
    nodes["writer"] = [("words", 0), ("reader", 1), ("reader", 2)]
    config = functional(layers, nodes, ["writer"])
    weights = {"reader": one, "words": [table], "writer": two}
    model = converted(tmp_path, config, weights)
    for row, ids, found in zip(X, IDS, model([X, IDS]).numpy(), strict=True):
        state = outputs("LSTM", row, one)[1]
        read = table[ids.astype(int)]
        assert_close(found, outputs("LSTM", read, two, mask=ids != 0, state=state)[0][-1])


def test_what_the_command_says(workplace):
    weights = {"rnn": cell_weights("LSTM", 2, 4)}
    write("old.h5", sequential(rnn("LSTM", recurrent_activation="hard_sigmoid")), weights)
    done = invoke("convert", "old.h5", "new.keras")
    assert (
        done.stdout == "rnn  LSTM           112\nnew.keras: 1 layers, 3 weights, 112 parameters\n"
    )
    assert "1.2 times those of Keras 2" in done.stderr
    assert 'keras.models.load_model("new.keras")' in done.stderr
    assert "new.keras exists already" in refused("convert", "old.h5", "new.keras")
    facts = json.loads(invoke("convert", "old.h5", "new.keras", "--overwrite", "--json").stdout)
    assert facts["layers"] == [{"name": "rnn", "class": "LSTM", "parameters": 112}]
    assert (facts["model"], facts["weights"], facts["parameters"]) == ("new.keras", 3, 112)
    assert "no file gone.h5" in refused("convert", "gone.h5", "b.keras")
    assert "not the name of a .keras file: found 'b.h5'" in refused("convert", "old.h5", "b.h5")
    assert "not an HDF5 file" in refused("convert", "new.keras", "b.keras")
    assert sorted(path.name for path in workplace.iterdir()) == ["new.keras", "old.h5"]


NESTED = layer(
    "Sequential", "inner", layers=[layer("Masking", "m", batch_input_shape=[None, 5, 2])]
)
REFUSED = [
    (layer("Lambda", "double", function=["4wEAAAA=", None, None]), "'double': .* found Lambda;"),
    (layer("TFOpLambda", "times", function="math.multiply"), "found TFOpLambda math.multiply"),
    (layer("Mine", "own", units=3), "layer 'own': a layer that cannot be converted: found Mine"),
    (
        rnn("LSTM", time_major=True),
        "'rnn': an option that cannot be conv.*time_major=True",
    ),
    (rnn("LSTM", novel=1), "found novel=1"),
    (rnn("LSTM", activation="hard_sigmoid"), "'rnn': hard_sigmoid, which is another function"),
    (layer("LSTM", "rnn", units=4, activation="tanh"), "is missing: found recurrent_activation"),
    (layer("SeparableConv1D", "c", activation="relu", groups=2), "found groups=2"),
    (rnn("LSTM", activation="my_tanh"), "'rnn': unknown activation: found 'my_tanh'"),
    (rnn("LSTM", activation={"class_name": "Lambda"}), "unknown activation"),
    (rnn("LSTM", units=10**9), "that do not fit its options: found shape .2, 16."),
    (rnn("LSTM", units=-1), "layer 'rnn': Keras 3 refuses it"),
    (rnn("LSTM", kernel_regularizer=layer("system", "os")), "found kernel_regularizer"),
    (rnn("GRU"), "layer 'rnn': weights that do not fit"),
    (rnn("LSTM", dtype="string"), "found dtype='string'"),
    (layer("TimeDistributed", "rnn", layer=layer("Masking", "m")), "a mask made at each step"),
    (layer("Bidirectional", "rnn", layer=layer("Dense", "d", units=2)), "no recurrent layer in it"),
]


@pytest.mark.parametrize(("one", "message"), REFUSED)
def test_what_is_not_known_is_refused_by_name(one, message):
    weights = {"rnn": [("w:0", weight) for weight in cell_weights("LSTM", 2, 4)]}
    with pytest.raises(InputError, match=message) as error:
        build_model(Saved(sequential(one), weights, "2.2.4", "tensorflow"))
    assert "\n" not in str(error.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.attrs.pop("model_config"), "no Keras model"),
        (lambda f: f.attrs.update(model_config="{"), "a damaged file"),
        (lambda f: f.attrs.update(model_config='{"a": NaN}'), "NaN in the config"),
        (lambda f: f.attrs.update(model_config="[" * 10**5), "a damaged file"),
        (
            lambda f: f.attrs.update(keras_version="1.2.2"),
            "not a model of Keras 2: found Keras 1.2.2",
        ),
        (lambda f: f.attrs.update(keras_version="3.0.5"), "keras.models.load_model reads it"),
        (lambda f: f.pop("model_weights"), "a damaged file: found no model_weights"),
        (lambda f: put(f, np.full((2, 16), np.nan, "f4")), "not finite: found 32 of 32"),
        (lambda f: put(f, np.zeros((2, 16), "i4")), "no floats: found int32"),
        (lambda f: put(f, np.zeros((2, 15), "f4")), "weights that do not fit its options"),
        (lambda f: put(f, np.zeros((2, 16), "f4"), compression="gzip"), "do not lie in the file"),
        (lambda f: put(f, shape=(10**6, 10**6), dtype="f4"), "do not lie in the file as they are"),
        (lambda f: put(f, np.zeros((2, 16), "f4"), external="x.raw"), "do not lie in the file"),
        (lambda f: put(f, link=h5py.ExternalLink("x.h5", "/w")), "a damaged file: found no"),
        (lambda f: put(f, link=h5py.SoftLink("/model_weights")), "a damaged file: found no"),
    ],
)
def test_a_file_that_claims_what_it_has_not_is_refused(change, message, workplace):
    write("old.h5", sequential(rnn("LSTM")), {"rnn": cell_weights("LSTM", 2, 4)})
    with h5py.File("old.h5", "a") as file:
        change(file)
    with pytest.raises(InputError, match=message):
        convert("old.h5", "new.keras")
    assert not list(workplace.glob("*.keras"))


def put(file, data=None, link=None, **options):
    """Another dataset or link in place of the kernel."""
    group, name = file["model_weights/rnn"], "rnn/weight_0:0"
    del group[name]
    if link is not None:
        group[name] = link
    else:
        group.create_dataset(name, data=data, **options)


def test_weights_alone_are_refused(workplace):
    with h5py.File("weights.h5", "w") as file:
        file.attrs["layer_names"] = np.array(["lstm"], "S")
    assert "weights without their model" in refused("convert", "weights.h5", "new.keras")


def test_any_damage_of_a_config_is_one_line(tmp_path):
    layers = [layer("Dropout", "d", rate=0.1), rnn("GRU", "rnn"), layer("Dense", "end", units=2)]
    config = sequential(*layers)
    values = [None, True, -1, 10**12, 0.5, "", "relu", [], [[1]], {}, layer("LSTM", "q", units=2)]
    draw = random.Random(0)
    for _ in range(60):
        broken = copy.deepcopy(config)
        part = draw.choice(broken["config"])
        part = draw.choice([part, part["config"], part["config"], broken])
        part[draw.choice([*part])] = draw.choice(values)
        weights = {"rnn": [("w", w) for w in cell_weights("GRU", 2, 4)]}
        weights["end"] = [("w", np.ones((4, 2), "f4")), ("b", np.ones(2, "f4"))]
        try:
            build_model(Saved(broken, weights, "2.2.4", "tensorflow"))
        except InputError as error:
            assert "\n" not in str(error)


@pytest.mark.slow
def test_any_damage_of_a_file_is_one_line(tmp_path):
    path = tmp_path / "old.h5"
    write(path, sequential(rnn("LSTM")), {"rnn": cell_weights("LSTM", 2, 4)})
    data = path.read_bytes()
    draw = random.Random(0)
    for number in range(20):
        broken = bytearray(data[: draw.randrange(len(data))] if number % 2 else data)
        for _ in range(0 if number % 2 else 30):
            broken[draw.randrange(len(broken))] ^= 1 << draw.randrange(8)
        path.write_bytes(broken)
        try:
            build_model(read_model(path))
        except InputError as error:
            assert "\n" not in str(error)


@pytest.mark.slow
def test_the_answers_of_keras_2_itself(tmp_path):
    keras2 = pytest.importorskip("tf_keras")
    from_keras2 = keras2.layers

    def tagger():
        words, x = from_keras2.Input((None,)), from_keras2.Input((None, 2))
        y = from_keras2.Embedding(5, 3, mask_zero=True)(words)
        y = from_keras2.Concatenate()([y, x])
        y = from_keras2.Bidirectional(from_keras2.LSTM(4, return_sequences=True))(y)
        y = from_keras2.GRU(4, reset_after=False, recurrent_activation="hard_sigmoid")(y)
        inner = keras2.Sequential([from_keras2.BatchNormalization(), from_keras2.Dense(3)])
        return keras2.Model([words, x], inner(from_keras2.Activation("hard_sigmoid")(y)))

    model = tagger()
    model.set_weights([RNG.uniform(0.1, 1, w.shape) for w in model.get_weights()])
    model.save(tmp_path / "old.h5")
    with pytest.warns(UserWarning, match="1.2 times"):
        convert(tmp_path / "old.h5", tmp_path / "new.keras")
    given = [IDS, X]
    assert_close(keras.models.load_model(tmp_path / "new.keras")(given), model(given))
