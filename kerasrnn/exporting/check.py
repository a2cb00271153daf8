"""Whether this export answers as the Keras model did that it was made from.

Run it anywhere: ``python check.py``. It needs NumPy and TensorFlow (ONNX Runtime for an .onnx
file), nothing else. Each example of examples.json goes through its signature; classes and texts
must be equal, numbers within 1e-5, of the largest where that is above 1. Exit code 0 if all are,
else 1.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np

TOLERANCE = 1e-5


def open_model(folder):
    """In an export, the function of its format stands here."""
    raise NotImplementedError


def difference(found, expected):
    """The largest difference of numbers, in units of the largest of them where that is above 1.

    Of texts 0 or infinity.
    """
    expected = np.array(expected)
    if found.shape != expected.shape:
        return float("inf")
    if expected.dtype.kind == "U":
        same = np.array_equal(np.char.decode(found.astype("S"), "utf-8"), expected)
        return 0.0 if same else float("inf")
    return float(np.abs(found - expected).max(initial=0) / np.abs(expected).max(initial=1))


def check(folder):
    """Whether all examples of an export are answered as they were."""
    answer, deltas = open_model(folder), [0.0]
    for example in json.loads((folder / "examples.json").read_text(encoding="utf-8")):
        answers = answer(example["signature"], example["inputs"])
        for name, expected in example["outputs"].items():
            delta = difference(np.asarray(answers[name]), expected)
            deltas.append(delta)
            if not delta <= TOLERANCE:
                print(f"{example['signature']}: {name} differs by {delta:.3g}")
    worst = np.max(deltas)
    print(f"largest difference {worst:.3g}")
    return bool(worst <= TOLERANCE)


if __name__ == "__main__":
    os.environ["NVIDIA_TF32_OVERRIDE"] = "0"  # else a GPU rounds products to 10 bits
    agrees = check(Path(sys.argv[1] if len(sys.argv) > 1 else __file__).resolve().parent)
    sys.exit(0 if agrees and "kerasrnn" not in sys.modules else 1)
