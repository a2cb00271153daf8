"""Whether this export answers as the Keras model did that it was made from.

Run it anywhere: ``python check.py``. It needs NumPy and TensorFlow (ONNX Runtime for an .onnx
file), nothing else. Each example of examples.json goes through its signature; classes and texts
must be equal, numbers within 1e-5. Exit code 0 if all are, else 1.
"""

import json
import sys
from pathlib import Path

import numpy as np

TOLERANCE = 1e-5


def open_saved_model(folder):
    import tensorflow as tf

    loaded = tf.saved_model.load(folder)  # its functions live no longer than it

    def answer(signature, inputs):
        asked = loaded.signatures[signature]
        specs = asked.structured_input_signature[1]
        tensors = {name: tf.constant(inputs[name], specs[name].dtype) for name in specs}
        return {name: value.numpy() for name, value in asked(**tensors).items()}

    return answer


def open_onnx(folder):
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / "model.onnx")
    types = {"tensor(float)": "float32", "tensor(int32)": "int32", "tensor(int64)": "int64"}

    def answer(signature, inputs):
        given = session.get_inputs()
        arrays = {one.name: np.array(inputs[one.name], types[one.type]) for one in given}
        names = [one.name for one in session.get_outputs()]
        return dict(zip(names, session.run(names, arrays), strict=True))

    return answer


def open_litert(folder):
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        from tensorflow.lite.python.interpreter import Interpreter
    runner = Interpreter(str(folder / "model.tflite")).get_signature_runner()
    details = runner.get_input_details()

    def answer(signature, inputs):
        return runner(**{k: np.array(inputs[k], v["dtype"]) for k, v in details.items()})

    return answer


def difference(found, expected):
    """The largest difference of numbers; of texts 0 or infinity."""
    expected = np.array(expected)
    if found.shape != expected.shape:
        return float("inf")
    if expected.dtype.kind == "U":
        return (
            0.0
            if np.array_equal(np.char.decode(found.astype("S"), "utf-8"), expected)
            else float("inf")
        )
    return float(np.abs(found - expected).max(initial=0))


def check(folder):
    kinds = {"model.onnx": open_onnx, "model.tflite": open_litert}
    found = [kinds[name] for name in kinds if (folder / name).is_file()]
    answer = (found or [open_saved_model])[0](folder)
    worst = 0.0
    for example in json.loads((folder / "examples.json").read_text(encoding="utf-8")):
        answers = answer(example["signature"], example["inputs"])
        for name, expected in example["outputs"].items():
            delta = difference(np.asarray(answers[name]), expected)
            worst = max(worst, delta)
            if not delta <= TOLERANCE:
                print(f"{example['signature']}: {name} differs by {delta:.3g}")
    print(f"largest difference {worst:.3g}")
    return worst <= TOLERANCE


if __name__ == "__main__":
    agrees = check(Path(sys.argv[1] if len(sys.argv) > 1 else __file__).resolve().parent)
    sys.exit(0 if agrees and "kerasrnn" not in sys.modules else 1)
