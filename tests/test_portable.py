"""Recurrent layers for any device. No GPU is needed: the selector is watched from a CPU."""

import itertools
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasrnn import build_classifier, build_infiller, layers
from kerasrnn.engine import portable

RNG = np.random.default_rng(0)
X = RNG.normal(size=(5, 7, 3)).astype("float32")
MASK = np.arange(7) < np.array([7, 3, 1, 0, 5])[:, None]  # an empty row too


def layer(cell, bidirectional=False, inputs=3, **options):
    made = getattr(layers, cell)(6, **options)
    made = layers.Bidirectional(made) if bidirectional else made
    made.build((None, None, inputs))
    for weight in made.weights:
        weight.assign(RNG.normal(0, 0.5, weight.shape))
    return made


def graph(function, *specs):
    return tf.function(function, input_signature=specs, autograph=False)


def exported(made, *states, masked=False):
    """A layer, with a mask and states if asked for, as a model for an export and as it is."""
    x, mask = keras.Input((None, 3), name="x"), keras.Input((None,), dtype="bool", name="mask")
    inputs = [keras.Input((size,), name=f"state_{i}") for i, size in enumerate(states)]
    outputs = made(x, initial_state=inputs or None, mask=mask if masked else None)
    model = keras.Model([x, *([mask] if masked else []), *inputs], outputs)
    copy = layers.for_export(model)
    assert all("Portable" in type(one).__name__ for one in recurrent_layers(copy))
    specs = [tf.TensorSpec(one.shape, one.dtype) for one in model.inputs]
    several = len(specs) > 1
    return graph(lambda *given: copy(list(given) if several else given[0]), *specs), model


def recurrent_layers(model):
    for one in model.layers:
        if isinstance(one, keras.layers.Bidirectional):
            yield from (one.forward_layer, one.backward_layer)
        elif isinstance(one, keras.layers.RNN):
            yield one


def assert_close(ones, others, atol=2e-6):
    pairs = zip(keras.tree.flatten(ones), keras.tree.flatten(others), strict=True)
    for one, other in pairs:
        np.testing.assert_allclose(one, other, atol=atol)


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["LSTM", "GRU", "SimpleRNN"])
def test_the_body_for_a_cpu_equals_the_layer(cell):
    flags = itertools.product([True, False], repeat=5)
    for sequences, backwards, masked, bidirectional, zeros in flags:
        if bidirectional and backwards:
            continue
        options = {"return_sequences": sequences, "go_backwards": backwards}
        made = layer(cell, bidirectional, zero_output_for_mask=zeros, **options)
        call, model = exported(made, masked=masked)
        given = [X, MASK] if masked else [X]
        assert_close(call(*given), model(given if masked else X))


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["LSTM", "GRU", "SimpleRNN"])
@pytest.mark.parametrize("embedding_dim", [3, None])
def test_lengths_stand_for_a_mask_that_the_model_does_not_make(cell, embedding_dim):
    cell = {"LSTM": "lstm", "GRU": "gru", "SimpleRNN": "simple"}[cell]
    model = build_infiller(9, embedding_dim=embedding_dim, units=(6, 5), cell=cell, dropout=0.2)
    copy = layers.for_export(model, lengths=True)
    ids = np.random.default_rng(0).integers(0, 9, (5, 7)).astype("int32")
    lengths = np.array([7, 3, 1, 2, 5], "int32")
    specs = tf.TensorSpec((None, None), tf.int32), tf.TensorSpec((None,), tf.int32)
    found = graph(lambda ids, lengths: copy([ids, lengths]), *specs)(ids, lengths)
    for row, of_row, length in zip(found, ids, lengths, strict=True):
        assert_close(row[:length], model(of_row[None, :length])[0])


def test_states_no_bias_and_an_empty_row():
    rng = np.random.default_rng(1)
    for cell, number in (("LSTM", 2), ("GRU", 1)):
        for zeros in (False, True):
            options = {"return_sequences": True, "return_state": True, "use_bias": False}
            made = layer(cell, zero_output_for_mask=zeros, **options)
            given = [X, MASK, *rng.normal(size=(number, 5, 6)).astype("float32")]
            call, model = exported(made, *[6] * number, masked=True)
            assert_close(call(*given), model(given))


def test_padding_before_a_real_step_is_refused():
    call, _ = exported(layer("LSTM"), masked=True)
    with pytest.raises(tf.errors.InvalidArgumentError, match="pad on the right"):
        call(X, MASK[:, ::-1])


@pytest.mark.parametrize("options", [{"activation": "relu"}, {"dtype": "float16"}])
def test_what_cudnn_does_not_compute_takes_the_loop_of_keras(options):
    call, model = exported(layer("LSTM", **options))
    definition = call.get_concrete_function().graph.as_graph_def()
    assert "kerasrnn_lstm" not in str(definition)
    assert_close(call(X), model(X), atol=2e-3)


def numpy_lstm(parameters, x, h, c):
    """cuDNN's LSTM, from its parameter vector: W of i, f, g, o; R of the same; both biases."""
    units, inputs = len(h), x.shape[1]
    sizes = [(units, inputs)] * 4 + [(units, units)] * 4 + [(units,)] * 8
    parts, start = [], 0
    for size in sizes:
        number = int(np.prod(size))
        parts.append(parameters[start : start + number].reshape(size))
        start += number
    assert start == len(parameters)
    w, r, b_w, b_r = (parts[i : i + 4] for i in (0, 4, 8, 12))

    def sigmoid(value):
        return 1 / (1 + np.exp(-value))

    for row in x:
        i, f, g, o = (w[k] @ row + r[k] @ h + b_w[k] + b_r[k] for k in range(4))
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
    return h


def numpy_gru(parameters, x, h):
    """cuDNN's GRU: W of r, z, n; R of the same; both biases."""
    units, inputs = len(h), x.shape[1]
    sizes = [(units, inputs)] * 3 + [(units, units)] * 3 + [(units,)] * 6
    ends = np.cumsum([int(np.prod(size)) for size in sizes])
    assert ends[-1] == len(parameters)
    parts = [
        part.reshape(s) for part, s in zip(np.split(parameters, ends[:-1]), sizes, strict=True)
    ]
    w, r, b_w, b_r = (parts[i : i + 3] for i in (0, 3, 6, 9))

    def sigmoid(value):
        return 1 / (1 + np.exp(-value))

    for row in x:
        reset, keep = (sigmoid(w[k] @ row + r[k] @ h + b_w[k] + b_r[k]) for k in (0, 1))
        new = np.tanh(w[2] @ row + b_w[2] + reset * (r[2] @ h + b_r[2]))
        h = (1 - keep) * new + keep * h
    return h


@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_the_parameters_of_cudnn_mean_the_same_layer(cell, go_backwards):
    kind = {"lstm": "LSTM", "gru": "GRU"}[cell]
    made = layer(kind, go_backwards=go_backwards)
    parameters = portable.cudnn_parameters(cell, [*map(tf.convert_to_tensor, made.weights)]).numpy()
    for row in X:
        x = row[::-1] if go_backwards else row
        states = [np.zeros(6)] * (2 if cell == "lstm" else 1)
        found = (numpy_lstm if cell == "lstm" else numpy_gru)(parameters, x, *states)
        np.testing.assert_allclose(found, made(row[None])[0], atol=1e-5)


def test_cudnn_reads_rows_of_one_length():
    for cell in ("lstm", "gru"):
        _, body = portable._bodies(cell)
        nodes = {node.name: node for node in body.graph.as_graph_def().node}
        (node,) = [node for node in nodes.values() if node.op == "CudnnRNNV3"]
        assert nodes[node.input[4]].op == "Fill", "the fifth input of CudnnRNNV3 is its lengths"
        assert node.attr["rnn_mode"].s.decode() == cell and node.attr["time_major"].b


def save(folder, cell, called, monkeypatch):
    """A classifier with lengths, and layers inside a loop, in a SavedModel."""
    original = portable._bodies
    if called == "GPU":
        monkeypatch.setattr(portable, "_bodies", lambda cell: original(cell)[::-1])
    keras.utils.set_random_seed(1)
    model = build_classifier((None, 3), num_classes=4, units=(6, 5), lengths=True, cell=cell)
    copy = layers.for_export(model)
    infiller = layers.for_export(build_infiller(9, units=7, cell=cell), lengths=True)
    module = tf.Module()
    module.weights = [v.value for v in copy.variables + infiller.variables]

    def classify(x, lengths):
        return {"probabilities": copy([x, lengths])}

    def loop(ids):
        def again(index, ids):
            lengths = tf.fill([tf.shape(ids)[0]], 3)
            return index + 1, tf.argmax(infiller([ids, lengths]), -1, tf.int32)

        return {"ids": tf.while_loop(lambda i, _: i < 3, again, (tf.constant(0), ids))[1]}

    x, lengths = tf.TensorSpec((None, None, 3), name="x"), tf.TensorSpec((None,), tf.int32)
    signatures = {
        "classify": graph(classify, x, lengths),
        "loop": graph(loop, tf.TensorSpec((None, None), tf.int32)),
    }
    tf.saved_model.save(module, folder, signatures=signatures)
    monkeypatch.undo()
    lengths = MASK.sum(1).astype("int32")
    np.savez(folder / "expected.npz", x=X, lengths=lengths, probabilities=model([X, lengths]))


LOAD = """
import sys
import numpy as np, tensorflow as tf
if sys.argv[1] == "off":
    tf.config.optimizer.set_experimental_options({"implementation_selector": False})
for folder in sys.argv[2:]:
    try:
        model, data = tf.saved_model.load(folder), np.load(folder + "/expected.npz")
        found = model.signatures["classify"](x=data["x"], lengths=data["lengths"])
        model.signatures["loop"](ids=np.array([[1, 2, 3, 4]], "int32"))
        print(float(np.abs(found["probabilities"] - data["probabilities"]).max()))
    except tf.errors.OpError as error:
        print("Cudnn" in str(error) and "No OpKernel" in str(error))
assert "kerasrnn" not in sys.modules
"""


def load(selector, *folders):
    """What a fresh process without this package finds."""
    done = subprocess.run(
        [sys.executable, "-c", LOAD, selector, *map(str, folders)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONSAFEPATH": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.slow
def test_both_bodies_are_saved_and_the_selector_takes_the_one_for_the_device(tmp_path, monkeypatch):
    """A file in which the call names cuDNN runs on a CPU, by the selector alone."""
    for cell in ("lstm", "gru"):
        for called in ("CPU", "GPU"):
            folder = tmp_path / f"{cell}-{called}"
            save(folder, cell, called, monkeypatch)
            raw = (folder / "saved_model.pb").read_bytes()
            assert raw.count(b"api_preferred_device") == 2 and b"CudnnRNNV3" in raw
    right = [tmp_path / f"{cell}-CPU" for cell in ("lstm", "gru")]
    swapped = [tmp_path / f"{cell}-GPU" for cell in ("lstm", "gru")]
    found = load("on", *right, *swapped)
    assert all(float(difference) <= 1e-5 for difference in found)
    *found, lstm, gru = load("off", *right, *swapped)
    assert all(float(difference) <= 1e-5 for difference in found)
    assert lstm == gru == "True", "without the selector the swapped files must fail"
