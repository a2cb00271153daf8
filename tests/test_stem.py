"""The convolutional stem, and the poolings with it: numbers, padding, files, exports."""

import importlib.util

import keras
import numpy as np
import pytest
import tensorflow as tf
from factories import check_together

from kerasrnn import (
    InputError,
    build_classifier,
    build_encoder,
    build_regressor,
    build_tagger,
    export,
    layers,
)
from kerasrnn.exporting.formats import format_module
from kerasrnn.layers import AttentionPooling, MaskedConv1D

LENGTHS = np.array([11, 5, 1, 8], "int32")
X = np.random.default_rng(0).normal(size=(4, 11, 3)).astype("float32")
REAL = np.arange(11) < LENGTHS[:, None]
SMALL = {"stem": "conv", "stem_filters": 4, "units": 5}
BESIDE = SMALL | {"stem": "fcn"}
WITH_STEM = {
    "classifier": lambda **more: build_classifier((None, 3), num_classes=3, **BESIDE | more),
    "regressor": lambda **more: build_regressor((None, 3), targets=2, **BESIDE | more),
    "each scaled": lambda **more: build_classifier(
        (None, 3), num_classes=3, instance_scaling=True, **BESIDE | more
    ),
    "before": lambda **more: build_classifier((None, 3), num_classes=3, **SMALL | more),
    "tagger": lambda **more: build_tagger((None, 3), num_labels=3, **SMALL | more),
    "encoder": lambda **more: build_encoder((None, 3), **SMALL | more),
}


def padded(steps, value=np.nan):
    """X with more steps, and the same value wherever there is padding."""
    more = np.pad(X, [(0, 0), (0, steps), (0, 0)])
    return np.where((np.arange(11 + steps) < LENGTHS[:, None])[..., None], more, value)


def moved(model):
    """The model with statistics and weights other than those that it starts with."""
    rng = np.random.default_rng(1)
    for weight in model.weights:
        noise = rng.uniform(0.1, 0.5, weight.shape)
        weight.assign(noise if "variance" in weight.name else weight + noise)
    return model


def convolve(x, real, kernel, stride=1):
    """A convolution of x (time, features) centred on each step that is left, and its mask."""
    x = np.where(real[:, None], x, 0.0)
    size = len(kernel)
    around = np.pad(x, [((size - 1) // 2, size), (0, 0)])
    starts = range(0, len(x), stride)
    y = [np.einsum("kf,kfo->o", around[t : t + size], kernel) for t in starts]
    return np.array(y), np.array([real[t : t + stride].any() for t in starts])


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [8, 5, 3, 1])
def test_a_masked_convolution_in_numpy(size, stride):
    layer = MaskedConv1D(2, size, stride)
    holes = REAL & (np.arange(11) % 4 != 1)  # any mask, not only that of padding
    for x, mask in ((np.where(holes[..., None], X, np.nan), holes), (X, None)):
        y = np.array(layer(x, mask=mask))
        assert y.shape == layer.compute_output_shape(x.shape)
        real = np.ones_like(holes) if mask is None else mask
        kernel, bias = layer.get_weights()
        pairs = [convolve(*row, kernel, stride) for row in zip(x, real, strict=True)]
        np.testing.assert_allclose(y, [one + bias for one, _ in pairs], atol=1e-5)
        if mask is not None:
            follows = layer.compute_mask(x, tf.constant(mask))
            np.testing.assert_array_equal(follows, [one for _, one in pairs])


@pytest.mark.parametrize("training", [True, False])
def test_a_block_in_numpy(training):
    """Statistics are those of the real steps of the batch, or the moving ones."""
    model = moved(WITH_STEM["classifier"](lengths=True, stem_stride=2))
    names = ("moving_mean", "moving_variance")
    norm = model.get_layer("norm_1")
    before = [np.array(getattr(norm, name)) for name in names]
    block = keras.Model(model.inputs, model.get_layer("relu_1").output)
    found = np.array(block([padded(2), LENGTHS], training=training))
    (kernel,) = model.get_layer("conv_1").get_weights()
    real = np.pad(REAL, [(0, 0), (0, 2)])
    pairs = [convolve(*row, kernel, 2) for row in zip(padded(2), real, strict=True)]
    y, real = (np.array(some) for some in zip(*pairs, strict=True))
    mean, variance = (y[real].mean(0), y[real].var(0)) if training else before
    gamma, beta = np.array(norm.gamma), np.array(norm.beta)
    expected = np.maximum(gamma * (y - mean) / np.sqrt(variance + 1e-3) + beta, 0)
    np.testing.assert_allclose(found[real], expected[real], atol=1e-5)
    for name, old, new in zip(names, before, (mean, variance), strict=True):
        np.testing.assert_allclose(getattr(norm, name), 0.9 * old + 0.1 * new, atol=1e-5)


def test_each_sequence_scaled_by_itself_in_numpy():
    x = padded(2) * 10.0 ** np.array([-4, 0, 2, 3])[:, None, None]
    x[3, :, 1] = 7.0  # does not vary
    mask = np.arange(13) < LENGTHS[:, None]
    found = np.asarray(layers.InstanceScaling()(x.astype("float32"), mask=mask))
    for row, length in enumerate(LENGTHS):
        own = x[row, :length]
        size = np.maximum(own.std(0), 1e-7)
        expected = np.concatenate(
            [
                (own - own.mean(0)) / size,
                np.tile([np.log(size), own.mean(0)], (length, 1, 1)).reshape(length, 6),
            ],
            1,
        )
        np.testing.assert_allclose(found[row, :length], expected, rtol=1e-3, atol=1e-3)


def test_attention_in_numpy():
    layer = AttentionPooling()
    layer.build((None, None, 3))
    kernel, bias, query = (np.random.default_rng(2).normal(size=w.shape) for w in layer.weights)
    layer.set_weights([kernel, bias, query])
    expected = []
    for x in (row[:length] for row, length in zip(X, LENGTHS, strict=True)):
        scores = np.exp(np.tanh(x @ kernel + bias) @ query)
        expected.append((scores / scores.sum() * x).sum(0))
    found = layer(padded(0).astype("float32"), mask=REAL)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_array_equal(layer(X, mask=np.zeros_like(REAL)), np.zeros((4, 3)))


@pytest.mark.parametrize("task", WITH_STEM)
def test_shapes_and_names(task):
    model = WITH_STEM[task]()
    numbers = [(layer.name, layer.filters) for layer in model.layers if "conv" in layer.name]
    assert numbers == [("conv_1", 4), ("conv_2", 8), ("conv_3", 4)]
    assert [layer.kernel_size[0] for layer in model.layers if "conv" in layer.name] == [8, 5, 3]
    paths = ["/".join(weight.path.split("/")[-2:]) for weight in model.weights][:5]
    of_norm = [f"norm_1/{name}" for name in ("gamma", "beta", "moving_mean", "moving_variance")]
    assert paths == ["conv_1/kernel", *of_norm]
    shapes = {
        "classifier": (3,),
        "regressor": (2,),
        "each scaled": (3,),
        "before": (3,),
        "tagger": (11, 3),
        "encoder": (11, 10),
    }
    assert keras.tree.flatten(model(X))[0].shape == (4, *shapes[task])
    if task in ("classifier", "regressor"):
        assert model.get_layer("head").kernel.shape[0] == 2 * 5 + 4  # the stack's and the stem's
    if task in ("classifier", "before"):
        short = WITH_STEM[task](stem_stride=4, functional=True)
        read = short.get_layer("bidirectional_1").input
        assert keras.Model(short.input, read)(X).shape == (4, 3, 3 if task == "classifier" else 4)
        assert keras.Model(short.input, short.get_layer("conv_1").output)(X).shape == (4, 3, 4)


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_masked_average_in_numpy(stride):
    layer = layers.MaskedAveragePooling1D(stride)
    holes = REAL & (np.arange(11) % 4 != 1)
    for x, mask in ((np.where(holes[..., None], X, np.nan), holes), (X, None)):
        y, real = np.array(layer(x, mask=mask)), np.ones_like(holes) if mask is None else mask
        assert y.shape == layer.compute_output_shape(x.shape)
        for t, row in enumerate(y.swapaxes(0, 1)):
            some, kept = x[:, stride * t :][:, :stride], real[:, stride * t :][:, :stride]
            total = np.where(kept[..., None], some, 0).sum(1)
            np.testing.assert_allclose(row, total / np.maximum(kept.sum(1), 1)[:, None], atol=1e-6)
        if mask is not None:
            follows = np.array(layer.compute_mask(x, tf.constant(mask)))
            expected = [real[:, t : t + stride].any(1) for t in range(0, 11, stride)]
            np.testing.assert_array_equal(follows, np.array(expected).T)


@pytest.mark.slow
@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("pooling", ["last", "mean_max", "attention"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("task", ["classifier", "before"])
def test_padding_never_changes_the_output(stride, pooling, training, task):
    options = {"lengths": True, "pooling": pooling, "dropout": 0, "stem_stride": stride}
    model = moved(WITH_STEM[task](**options))
    expected = np.array(model([padded(0, 0), LENGTHS], training=training))
    if not training:
        alone = [model([x[None, :n], np.array([n])]) for x, n in zip(X, LENGTHS, strict=True)]
        np.testing.assert_allclose(np.concatenate(alone), expected, atol=1e-5)
    for steps, value in ((1, np.nan), (2, 1e6), (3, 1e30), (5, -np.inf)):
        found = model([padded(steps, value), LENGTHS], training=training)
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("task", ["tagger", "encoder"])
def test_padding_never_changes_a_step(task):
    model = moved(WITH_STEM[task](lengths=True))
    one, other = (
        keras.tree.flatten(model([padded(steps, np.nan), LENGTHS]))[0][:, :11] for steps in (0, 6)
    )
    np.testing.assert_allclose(one[REAL], other[REAL], atol=1e-5)


def test_tokens_and_characters_go_through_a_stem_too():
    ids = np.random.default_rng(3).integers(1, 9, (4, 11)) * REAL
    more = np.pad(ids, [(0, 0), (0, 3)])
    options = {"vocabulary_size": 9, **SMALL}
    model = build_classifier(num_classes=3, stem_stride=2, pooling="attention", **options)
    np.testing.assert_allclose(model(more), model(ids), atol=1e-6)
    tagger = build_tagger(num_labels=3, character_vocabulary_size=6, **options)
    spelled = np.repeat(ids[..., None] % 6, 2, -1)
    longer = np.repeat(more[..., None] % 6, 2, -1)
    one, other = tagger([ids, spelled]), tagger([more, longer])[:, :11]
    np.testing.assert_allclose(one[REAL], other[REAL], atol=1e-6)


@pytest.mark.parametrize("stride", [1, 3])
def test_the_gradient_is_that_without_padding(stride):
    options = {"lengths": True, "pooling": "attention", "dropout": 0, "stem_stride": stride}
    model = moved(WITH_STEM["classifier"](**options))
    found = []
    for x in (padded(0, 0), padded(4), padded(7, 1e6)):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(model([x, LENGTHS], training=True)[:, 0])
        found.append(tape.gradient(loss, model.trainable_variables))
    for expected, *others in zip(*found, strict=True):
        assert np.isfinite(expected).all() and np.abs(expected).max() > 0
        for other in others:
            np.testing.assert_allclose(other, expected, atol=1e-5)


def test_a_forecast_may_have_a_stem():
    options = {"targets": 1, "horizon": 4, "linear": True, "known": 2, "pooling": "mean_max"}
    model = build_regressor((11, 3), stem_stride=2, **SMALL, **options)
    assert model([X, np.ones((4, 4, 2))]).shape == (4, 4, 1)


@pytest.mark.slow
@pytest.mark.parametrize("task", WITH_STEM)
@pytest.mark.parametrize("lengths", [True, False])
def test_saved_and_copied(task, lengths, tmp_path):
    model = moved(WITH_STEM[task](lengths=lengths))
    given = [padded(2, 0), LENGTHS] if lengths else X
    expected = keras.tree.flatten(model(given))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    copies = [layers.keras_clone(model), layers.for_export(model)]
    stock = layers.with_native_layers(copies[0])
    for copy in (loaded, stock, *copies):
        for one, other in zip(keras.tree.flatten(copy(given)), expected, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("pooling", ["last", "attention", "mean_max"])
def test_a_model_that_learns_from_lengths_at_the_call_only(pooling):
    model = moved(WITH_STEM["classifier"](pooling=pooling, stem_stride=2))
    copy = layers.for_export(model, lengths=True)
    alone = [model(x[None, :n]) for x, n in zip(X, LENGTHS, strict=True)]
    np.testing.assert_allclose(copy([padded(3), LENGTHS]), np.concatenate(alone), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("format", ["saved_model", "onnx", "litert"])
def test_exports_answer_alike(format, tmp_path):
    """In this process and in a fresh one."""
    if format == "onnx" and not importlib.util.find_spec("tf2onnx"):
        pytest.skip("no tf2onnx")
    options = {"stem_stride": 2, "pooling": "attention"}
    asked = {
        True: {"x": padded(3, 1e6)[1:2], "lengths": LENGTHS[1:2]},
        False: {"x": X[:1, :6]},
    }
    made = []
    for lengths, given in asked.items():
        model = moved(WITH_STEM["classifier"](lengths=lengths, **options))
        made.append(export(model, tmp_path / str(lengths), format=format, check=False))
        (found,) = format_module(format).open_model(made[-1])("serving_default", given).values()
        expected = model([*given.values()] if lengths else given["x"])
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert check_together(made) == ["True True", "False True"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stem": "dense"}, "unknown stem: found 'dense'; expected none or conv or fcn"),
        ({"stem_filters": 0}, "stem_filters out of range: found 0"),
        ({"stem_stride": 1.5}, "stem_stride out of range: found 1.5"),
    ],
)
def test_what_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        WITH_STEM["classifier"](**options)
