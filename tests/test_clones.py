"""Copies of a model with other recurrent layers; masks that reach the next layer on any Keras."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasrnn import InputError, build_classifier, build_generator, build_tagger, layers
from kerasrnn.engine import native

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 6, 3)).astype("float32")
CLONES = {
    "native": layers.with_native_layers,
    "export": layers.for_export,
    "keras": layers.keras_clone,
}


@pytest.fixture
def next_keras(monkeypatch):
    """Recurrent layers as Keras 3.16 makes them: they say that they do not pass masks on."""

    def without_masks(original):
        def init(self, *args, **kwargs):
            original(self, *args, **kwargs)
            self.supports_masking = False

        return init

    for kind in (keras.layers.RNN, keras.layers.Bidirectional):
        monkeypatch.setattr(kind, "__init__", without_masks(kind.__init__))
    assert not keras.layers.LSTM(2).supports_masking


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["lstm", "gru", "simple"])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_padding_changes_nothing_on_the_next_keras(cell, bidirectional, next_keras, tmp_path):
    options = {"pooling": "mean", "lengths": True, "cell": cell, "bidirectional": bidirectional}
    model = build_classifier((None, 3), num_classes=4, units=(5, 4), **options)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    lengths = np.array([6, 2, 1, 4], "int32")
    padded = np.concatenate([X, np.ones((4, 5, 3), "float32")], 1)
    expected = np.array(model([X, lengths]))
    for copy in (model, loaded, *(clone(model) for clone in CLONES.values())):
        np.testing.assert_allclose(copy([padded, lengths]), expected, atol=1e-6)


def test_layers_of_cells_pass_their_mask_on_too(next_keras):
    x = layers.LengthMask()([X, np.array([6, 2, 0, 4])])
    for layer in (layers.RNN(keras.layers.GRUCell(4), return_sequences=True), layers.GRU(4)):
        y = layers.Bidirectional(layer)(x)
        masks = [layers.MaskOf()(one) for one in (x, y)]
        if layer.return_sequences:
            np.testing.assert_array_equal(*masks)
        else:
            assert masks[1] is None


ORDER = ("LSTM", "GRU", "both", "SimpleRNN", "GRU")


def some_model():
    """Nested, shared and wrapped layers, a frozen one, and one that computes in float64."""
    x = keras.Input((6, 3), name="series")
    scaled = keras.layers.Normalization(name="scaling")
    scaled.adapt(X * 3 + 1)
    shared = keras.layers.LSTM(5, return_sequences=True, name="shared")
    inner_input = keras.Input((6, 5))
    inner = keras.Model(
        inner_input, keras.layers.GRU(4, return_sequences=True, name="deep")(inner_input)
    )
    y = shared(scaled(x))
    y = keras.layers.Concatenate()([inner(y), shared(x)[:, :, :2]])
    both = keras.layers.Bidirectional(
        keras.layers.LSTM(3, return_sequences=True, use_cudnn=False), "sum", name="both"
    )
    both.forward_layer.trainable = False
    y = both(y)
    y = keras.layers.Reshape((3, 2, 3))(y)
    y = keras.layers.TimeDistributed(keras.layers.SimpleRNN(4, name="wrapped"))(y)
    frozen = keras.layers.GRU(3, trainable=False, dtype="float64", name="frozen")
    return keras.Model(x, frozen(y))


def recurrent_classes(model):
    """The names of the recurrent layers' classes, however deep, in the order of the model."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from recurrent_classes(layer)
        elif isinstance(layer, keras.layers.TimeDistributed):
            yield f"{layer.layer.__module__.split('.')[0]}.{type(layer.layer).__name__}"
        elif isinstance(layer, (keras.layers.RNN, keras.layers.Bidirectional)):
            yield f"{type(layer).__module__.split('.')[0]}.{type(layer).__name__}"


@pytest.mark.slow
@pytest.mark.parametrize("clone", CLONES)
@pytest.mark.parametrize("first", ["keras", "native"])
def test_a_copy_has_the_same_names_weights_and_answers(first, clone):
    model = CLONES[first](some_model()) if first == "native" else some_model()
    copy = CLONES[clone](model)
    assert copy is not model or clone == first
    np.testing.assert_allclose(copy(X), model(X), atol=1e-6)
    prefix = {"native": "kerasrnn.", "export": "kerasrnn.Portable", "keras": "keras."}[clone]
    both = "keras.Bidirectional" if clone == "keras" else "kerasrnn.Bidirectional"
    kinds = [both if kind == "both" else prefix + kind for kind in ORDER]
    assert list(recurrent_classes(copy)) == kinds
    assert [layer.name for layer in copy.layers] == [layer.name for layer in model.layers]
    assert [w.path for w in copy.trainable_weights] == [w.path for w in model.trainable_weights]
    assert copy.get_layer("frozen").dtype_policy.name == "float64"
    assert copy.get_layer("both").forward_layer.use_cudnn is False
    for one, other in zip(copy.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def fitted(model, copy_between=None):
    keras.utils.set_random_seed(0)
    model.compile("adam", "sparse_categorical_crossentropy")
    losses = []
    for _ in range(2):
        losses += model.fit(X, np.array([0, 1, 2, 0]), epochs=1, verbose=0).history["loss"]
        if copy_between:
            copy_between(model)
    return losses, model


def stock_classifier():
    keras.utils.set_random_seed(1)
    both = keras.layers.Bidirectional(keras.layers.LSTM(4, return_sequences=True, dropout=0.3))
    return keras.Sequential(
        [keras.Input((6, 3)), both, keras.layers.GRU(4), keras.layers.Dense(3, "softmax")]
    )


@pytest.fixture(scope="module")
def never_copied():
    return fitted(stock_classifier())


@pytest.mark.slow
@pytest.mark.parametrize("clone", CLONES)
def test_the_model_that_is_copied_trains_on_as_if_nothing_had_been(clone, never_copied):
    losses, plain = never_copied
    nodes = []

    def copy(model):
        nodes.append([layer.output for layer in model.layers])  # of the one node of each
        CLONES[clone](model)(X)

    again, copied = fitted(stock_classifier(), copy)
    assert again == losses
    assert copied.layers[0].name.startswith("bidirectional")
    for one, other in zip(copied.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert nodes[1] == [layer.output for layer in copied.layers]


@pytest.mark.slow
def test_only_the_copy_for_training_is_compiled():
    _, model = fitted(stock_classifier())
    assert layers.with_native_layers(model).compiled
    assert type(layers.with_native_layers(model)) is keras.Sequential
    model.compile("adam", lambda y, probabilities: 0.0)  # a loss that no copy can have
    assert not layers.for_export(model).compiled and not layers.keras_clone(model).compiled


def test_models_that_have_no_such_layer_or_cannot_be_copied():
    plain = keras.Sequential([keras.Input((6, 3)), keras.layers.Dense(2)])
    assert layers.with_native_layers(plain) is plain
    ours = build_classifier((None, 3), num_classes=2, units=4)
    assert layers.with_native_layers(ours) is ours

    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.layer = keras.layers.LSTM(2)

        def call(self, x):
            return self.layer(x)

    model = Subclassed()
    assert layers.with_native_layers(model) is model
    for clone in (layers.for_export, layers.keras_clone):
        with pytest.raises(InputError, match="cannot be copied: found Subclassed"):
            clone(model)


@pytest.mark.parametrize("clone", ["export", "keras"])
def test_the_models_of_the_builders(clone):
    ids = np.array([[3, 1, 4, 0], [2, 0, 0, 0]])
    spelled = np.array([[[1, 2], [3, 0], [4, 4], [0, 0]], [[5, 0], [0, 0], [0, 0], [0, 0]]])
    tied = build_generator(9, units=5, embedding_dim=4, tied=True)
    tagger = build_tagger(vocabulary_size=9, character_vocabulary_size=6, num_labels=3, units=4)
    for model, given in ((tied, ids), (tagger, [ids, spelled])):
        np.testing.assert_allclose(CLONES[clone](model)(given), model(given), atol=1e-6)


@pytest.mark.skipif(native.library() is None, reason="the native loop was not built")
def test_an_export_is_traced_without_native_operations():
    copy = layers.for_export(build_classifier((None, 3), num_classes=3, units=(5, 4), lengths=True))
    specs = [tf.TensorSpec(one.shape, one.dtype) for one in copy.inputs]
    graph = tf.function(lambda *given: copy(list(given)), input_signature=specs)
    definition = str(graph.get_concrete_function().graph.as_graph_def())
    assert "Kerasrnn" not in definition and "kerasrnn_lstm" in definition
