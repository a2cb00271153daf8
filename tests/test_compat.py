"""Private names of TensorFlow and Keras: all in one module, each with a fallback."""

import ast
from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from kerasrnn import layers
from kerasrnn.engine import compat, native

X = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
NATIVE = pytest.mark.skipif(native.library() is None, reason="the native loop was not built")


def test_no_other_module_imports_private_ones():
    package = Path(kerasrnn.__file__).parent
    private = ("keras.src", "tensorflow.python")
    importing = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in (getattr(node, "module", None), *(alias.name for alias in node.names))
        if (name or "").startswith(private)
    }
    assert importing <= {"engine/compat.py"}


@pytest.mark.parametrize("private", [True, False])
@pytest.mark.parametrize("jit", [True, False])
def test_xla_is_seen_with_and_without_the_private_name(jit, private, monkeypatch):
    assert compat.GraphOrParentsInXlaContext is not None
    if not private:
        monkeypatch.setattr(compat, "GraphOrParentsInXlaContext", None)
    seen = []

    @tf.function(jit_compile=jit)
    def outer(x):
        def body(i, x):
            seen.append(compat.compiled_by_xla())
            return i + 1, x

        return tf.while_loop(lambda i, _: i < 2, body, (0, x))[1]

    outer(tf.zeros(2))
    assert seen == [jit] * len(seen) and seen


class WithoutPrivateNames:
    """A concrete function of a TensorFlow that has none of its undocumented attributes."""

    def __init__(self, concrete):
        self.concrete = concrete

    def __call__(self, *tensors):
        return self.concrete(*tensors)


@pytest.mark.parametrize("wrap", [lambda concrete: concrete, WithoutPrivateNames])
def test_a_fast_call_answers_as_the_function(wrap):
    weight = tf.Variable(2.0)
    function = tf.function(lambda x, y: {"b": x * weight, "a": y + 1.0})
    spec = tf.TensorSpec((None,), tf.float32)
    call = compat.fast_call(wrap(function.get_concrete_function(spec, spec)))
    a, b = call(tf.constant([1.0]), tf.constant([5.0]))
    assert (float(a[0]), float(b[0])) == (6.0, 2.0)
    weight.assign(3.0)
    assert float(call(tf.constant([1.0]), tf.constant([5.0]))[1][0]) == 3.0


def test_without_attributes_of_alternatives_the_first_body_is_run(monkeypatch):
    function, bodies = tf.function, {"CPU": lambda x: x + 1.0, "GPU": lambda x: x - 1.0}
    both = compat.alternatives("some_name", bodies, [tf.TensorSpec(())])
    definition = both[0].function_def
    assert definition.attr["api_implements"].s == b"some_name"

    def without(body, experimental_attributes=None, **options):
        if experimental_attributes:
            raise TypeError("unexpected keyword argument 'experimental_attributes'")
        return function(body, **options)

    monkeypatch.setattr(tf, "function", without)
    first, second = compat.alternatives("some_name", bodies, [tf.TensorSpec(())])
    assert (float(first(tf.constant(1.0))), float(second(tf.constant(1.0)))) == (2.0, 0.0)


def test_a_function_goes_into_the_graph_where_tensorflow_can():
    (concrete,) = compat.alternatives("n", {"CPU": lambda x: x}, [tf.TensorSpec(())])
    with tf.Graph().as_default() as graph:
        assert compat.add_to_current_graph(concrete)
        assert not compat.add_to_current_graph(WithoutPrivateNames(concrete))
    assert len(graph.as_graph_def().library.function) == 1


def test_the_dropout_mask_of_a_cell_with_and_without_its_method():
    cell = keras.layers.LSTMCell(4, dropout=0.5, seed=1)
    step = tf.ones((50, 8))
    assert compat.input_dropout(cell, step) is cell.get_dropout_mask(step)

    class Plain:
        dropout, seed_generator = 0.5, keras.random.SeedGenerator(1)

    mask = compat.input_dropout(Plain, step).numpy()
    assert set(np.unique(mask)) == {0.0, 2.0} and mask.shape == (50, 8)


def test_the_mask_of_a_tensor_with_and_without_the_private_name():
    masked = keras.layers.Masking()(keras.Input((3, 2)))
    assert compat.mask_of(masked).shape == (None, 3)
    assert compat.mask_of(np.ones(3)) is None


def test_a_newer_keras_is_warned_of(monkeypatch, recwarn):
    for version in ("3.15.1", "3.15.9", "3.9.0", "3.15.0rc1"):
        monkeypatch.setattr(keras, "__version__", version)
        compat.warn_of_untested_keras()
    assert not recwarn.list
    for version in ("3.16.0", "4.0.0"):
        monkeypatch.setattr(keras, "__version__", version)
        with pytest.warns(UserWarning, match=f"Keras {version} is newer than 3.15"):
            compat.warn_of_untested_keras()


def by_keras(model, folder):
    model.export(folder / "exported", verbose=False)


def by_tensorflow(model, folder):
    tf.saved_model.save(model, str(folder / "saved"))


def by_keras_as_onnx(model, folder):
    model.export(folder / "model.onnx", format="onnx", verbose=False)


def by_tf2onnx(model, folder):
    from tf2onnx import convert

    function = tf.function(lambda x: model(x), input_signature=[tf.TensorSpec((None, 5, 3))])
    convert.from_function(
        function, function.input_signature, output_path=str(folder / "model.onnx")
    )


def by_litert(model, folder):
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.target_spec.supported_ops = [
        tf.lite.OpsSet.TFLITE_BUILTINS,
        tf.lite.OpsSet.SELECT_TF_OPS,
    ]
    (folder / "model.tflite").write_bytes(converter.convert())


@pytest.mark.slow
@NATIVE
@pytest.mark.parametrize(
    "export", [by_keras, by_tensorflow, by_keras_as_onnx, by_tf2onnx, by_litert]
)
def test_no_exporter_writes_a_native_operation(export, tmp_path):
    if "onnx" in export.__name__ and not find_spec("tf2onnx"):
        pytest.skip("tf2onnx is not installed")
    model = keras.Sequential(
        [keras.Input((5, 3)), layers.Bidirectional(layers.GRU(3, return_sequences=True))]
    )
    model.add(layers.LSTM(2))
    model(X)
    assert layers.implementation(model.layers[1]).name == "native"
    export(model, tmp_path)
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert written and not any(b"Kerasrnn" in content for content in written)
    assert layers.implementation(model.layers[1]).name == "native"
