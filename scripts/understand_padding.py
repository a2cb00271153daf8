"""What padding does to a model that counts it: the numbers of docs/understanding/padding.md.

    python scripts/understand_padding.py      # about a minute on two cores

Digits of scikit-learn, read row by row; of each only the first 5 to 8 rows are kept. The same
sequences are then padded with zeros to 8, 16, 32 and 64 rows.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import understanding as page

PADDED = (8, 16, 32, 64)
UNITS, EPOCHS, TRAINING = 32, 12, 1437


@cache
def data():
    """x (n, 8, 8) in [0, 1] with zeros for the rows left out, y (n,), lengths (n,)."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    lengths = np.random.default_rng(0).integers(5, 9, len(digits.target))
    real = np.arange(8) < lengths[:, None]
    x = (digits.images / 16 * real[:, :, None]).astype("float32")
    return x, digits.target, lengths.astype("int32")


def padded(x, steps):
    """x with so many steps, the further ones zero."""
    return np.pad(x, [(0, 0), (0, steps - x.shape[1]), (0, 0)])


def stock(kind, steps=None):
    """A classifier of Keras's own layers, as tutorials build it."""
    import keras

    layers = [keras.Input((steps, 8))]
    if "Masking" in kind:
        layers.append(keras.layers.Masking())
    mean = "mean" in kind
    layers.append(keras.layers.Bidirectional(keras.layers.LSTM(UNITS, return_sequences=mean)))
    if mean:
        layers.append(keras.layers.GlobalAveragePooling1D())
    return keras.Sequential([*layers, keras.layers.Dense(10, activation="softmax")])


def ours(kind):
    """The classifier of this package, which takes the lengths."""
    from kerasrnn import build_classifier

    pooling = "mean" if "mean" in kind else "last"
    options = {"lengths": True, "units": UNITS, "dropout": 0, "pooling": pooling}
    return build_classifier((None, 8), num_classes=10, **options)


MODELS = {
    "Keras, last states": stock,
    "Keras, mean of the steps": stock,
    "Keras, Masking, last states": stock,
    "Keras, Masking, mean of the steps": stock,
    "kerasrnn, last states": ours,
    "kerasrnn, mean of the steps": ours,
}


@cache
def trained(kind):
    """A model trained on the digits padded to 8 steps; ours has the weights of Keras's masked."""
    import keras

    model = MODELS[kind](kind)
    if MODELS[kind] is ours:
        model.set_weights(trained(kind.replace("kerasrnn", "Keras, Masking")).get_weights())
        return model
    keras.utils.set_random_seed(0)
    model.set_weights(stock(kind).get_weights())  # all start alike
    x, y, _ = (array[:TRAINING] for array in data())
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=EPOCHS, batch_size=32, verbose=0)
    return model


def predictions(kind) -> list[np.ndarray]:
    """Probabilities of the test part, padded to each length, and to the last with 9s."""
    x, _, lengths = (array[TRAINING:] for array in data())
    wholes = [padded(x, steps) for steps in PADDED]
    nines = wholes[-1].copy()
    nines[np.arange(PADDED[-1]) >= lengths[:, None]] = 9
    wholes.append(nines)
    if MODELS[kind] is ours:
        wholes = [[whole, lengths] for whole in wholes]
    return [np.asarray(trained(kind)(whole, training=False)) for whole in wholes]


def models() -> tuple[str, dict]:
    """Accuracy of each model by the length that the test part is padded to."""
    truth, rows, curves = data()[1][TRAINING:], [], {}
    for kind in MODELS:
        found = predictions(kind)
        curves[kind] = [100 * (p.argmax(1) == truth).mean() for p in found]
        furthest = max(np.abs(p - found[0]).max() for p in found[:-1])
        moved = "0" if furthest < 1e-6 else f"{furthest:.2f}"
        shown = [f"{accuracy:.1f}" for accuracy in curves[kind]]
        rows.append([kind, *shown[:-1], moved, shown[-1]])
    titles = [f"to {steps}" for steps in PADDED]
    titles += ["largest change of a probability", f"to {PADDED[-1]}, with 9s"]
    return page.table(["accuracy, %, padded", *titles], rows), curves


def states() -> str:
    """How far the vectors that a trained layer gives of a sequence move with its padding."""
    import keras

    x, _, _ = data()
    layer = keras.layers.Bidirectional(keras.layers.LSTM(UNITS, return_sequences=True))
    layer.build((None, None, 8))
    layer.set_weights(trained("Keras, last states").layers[0].get_weights())
    start = x[:100, :5]  # five real rows each

    def vectors(steps):
        outputs = np.asarray(layer(padded(start, steps)))
        return outputs[:, -1, :UNITS], outputs[:, 0, UNITS:], outputs.mean(1)

    names = ("forward, last state", "backward, last state", "mean of the steps")
    right, rows = vectors(5), {name: [] for name in names}
    for more in (1, 3, 11, 59):
        for name, a, b in zip(names, right, vectors(5 + more), strict=True):
            rows[name].append(f"{np.linalg.norm(a - b) / np.linalg.norm(a):.0%}")
    titles = [f"{more} padded" for more in (1, 3, 11, 59)]
    return page.table(["changes by", *titles], [[name, *row] for name, row in rows.items()])


def statistics() -> str:
    """Mean and deviation that a Normalization layer learns with and without the padding."""
    import keras

    x, _, lengths = data()
    real = np.arange(8) < lengths[:, None]
    rows = []
    for title, values in (
        ("the real steps", x[real][:, 4]),
        *((f"padded to {steps}", padded(x, steps)[:, :, 4].ravel()) for steps in PADDED),
    ):
        layer = keras.layers.Normalization(axis=None)
        layer.adapt(values)
        mean, deviation = float(np.squeeze(layer.mean)), float(np.squeeze(layer.variance)) ** 0.5
        one = float(np.squeeze(layer(np.ones((1, 1), "float32"))))
        rows.append([title, f"{mean:.3f}", f"{deviation:.3f}", f"{one:.2f}"])
    return page.table(["learnt from", "mean", "deviation", "a value of 1 becomes"], rows)


def zeros() -> str:
    """How many real rows ``Masking`` takes for padding."""
    x, _, lengths = data()
    real = np.arange(8) < lengths[:, None]
    empty = int((x[real] == 0).all(-1).sum())
    return f"real rows that hold nothing but zeros: {empty:,} of {int(real.sum()):,}"


def losses() -> str:
    """Loss and accuracy of the same predictions of a tagger, padded and counted in three ways."""
    import keras

    rng = np.random.default_rng(0)
    lengths = rng.integers(5, 21, 64)
    right = rng.random((64, 20)) < 0.7  # seven of ten real tokens are labelled rightly
    rows = []
    for steps in (20, 40, 80):
        real = np.arange(steps) < lengths[:, None]
        labels = np.where(real, 1, 0)  # 0: padding
        probability = np.full((64, steps), 0.99)
        probability[:, :20] = np.where(real[:, :20], np.where(right, 0.8, 0.1), 0.99)
        p = np.stack([1 - probability, probability], -1)
        p[~real] = p[~real][:, ::-1]
        weights = real.astype("float32")

        def loss(reduction, weights=None, labels=labels, p=p):
            function = keras.losses.SparseCategoricalCrossentropy(reduction=reduction)
            return f"{float(function(labels, p, sample_weight=weights)):.3f}"

        hits = p.argmax(-1) == labels
        rows.append(
            [
                steps,
                f"{hits.mean():.0%}",
                f"{hits[real].mean():.0%}",
                loss("sum_over_batch_size"),
                loss("sum_over_batch_size", weights),
                loss("mean_with_sample_weight", weights),
            ]
        )
    titles = ["accuracy, all steps", "accuracy, real steps", "loss, all steps"]
    titles += ["weights, Keras's default", "weights, `mean_with_sample_weight`"]
    return page.table(["padded to", *titles], rows)


def paint(curves):
    """A function that draws accuracy by padded length."""
    shown = {
        "Keras, last states": ("no mask, last states", page.ORANGE, "o-"),
        "Keras, mean of the steps": ("no mask, mean of the steps", page.PINK, "s-"),
        "kerasrnn, last states": ("mask, last states", page.BLUE, "^--"),
        "kerasrnn, mean of the steps": ("mask, mean of the steps", page.GREEN, "D--"),
    }

    def painted(figure):
        axes = figure.subplots()
        for kind, (label, color, look) in shown.items():
            axes.plot(PADDED, curves[kind][:-1], look, color=color, label=label)
        axes.set(xlabel="steps after padding", ylabel="test accuracy, %", ylim=(0, 102))
        axes.set_xscale("log", base=2)
        axes.set_xticks(PADDED, map(str, PADDED))
        axes.legend(loc="lower left", frameon=False)

    return painted


def main():
    rows, curves = models()
    outputs = {maker.__name__: maker() for maker in (zeros, states, statistics, losses)}
    page.show("padding.md", {"models": rows} | outputs)
    page.draw("padding.svg", (6.5, 3.8), paint(curves))


if __name__ == "__main__":
    main()
