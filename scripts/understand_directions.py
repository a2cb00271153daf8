"""Forward and backward states, joined and stacked: the numbers of docs/understanding/directions.md.

python scripts/understand_directions.py      # some seconds
"""

from __future__ import annotations

import numpy as np
import understanding as page

BATCH, STEPS, FEATURES, UNITS = 5, 3, 10, 20
MODES = ("concat", "sum", "mul", "ave")


def adding(x, mask=None, *, merge_mode="concat", return_sequences=True) -> list[np.ndarray]:
    """What a bidirectional layer makes of x (time,) whose one unit adds up what it reads.

    Without its time axis each array is (time, width), or (width,) of the last states.
    """
    import keras

    from kerasrnn import layers

    keras.utils.set_random_seed(0)
    cell = layers.SimpleRNN(
        1, activation="linear", use_bias=False, return_sequences=return_sequences
    )
    layer = layers.Bidirectional(cell, merge_mode=merge_mode)
    layer.build((1, None, 1))
    layer.set_weights([np.ones((1, 1), "float32")] * 4)  # h = 1 · x + 1 · h
    mask = None if mask is None else np.array([mask])
    outputs = layer(np.array(x, "float32")[None, :, None], mask=mask)
    outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    return [output.numpy()[0] for output in outputs]


def sums() -> str:
    """What the adding layer makes of 1, 2, 3, in each way to join its directions."""
    x = [1, 2, 3]
    forward, backward = adding(x, merge_mode=None)
    rows = {"step": [[1], [2], [3]], "input": np.reshape(x, (3, 1))}
    rows |= {"forward": forward, "backward": backward}
    lines = [f"{name:<10}{_row(row)}" for name, row in rows.items()]
    lines += [f"{mode:<10}{_row(adding(x, merge_mode=mode)[0])}" for mode in MODES]
    (last,) = adding(x, return_sequences=False)
    return "\n".join([*lines, "", f"without return_sequences: {_cell(last)}"])


def masked() -> str:
    """The same with a fourth step that is padding, once read and once masked."""
    x = [1, 2, 3, 9]
    lines = [f"{'input':<27}{_row(np.reshape(x, (4, 1)))}"]
    for title, mask in (("no mask", None), ("mask 1 1 1 0", [True, True, True, False])):
        both = adding(x, mask, merge_mode=None)
        for side, row in zip(("forward", "backward"), both, strict=True):
            lines.append(f"{f'{title}, {side}':<27}{_row(row)}")
        (last,) = adding(x, mask, return_sequences=False)
        lines.append(f"{f'{title}, last states':<27}{_cell(last)}")
    return "\n".join(lines)


def _row(values):
    return "".join(f"{_cell(value):>9}" for value in values)


def _cell(value):
    text = " ".join(f"{one:g}" for one in value)
    return f"[{text}]" if len(value) > 1 else text


def example() -> dict[str, np.ndarray]:
    """Every array on the way of 5 sequences through two bidirectional layers, by its name."""
    import keras

    from kerasrnn import layers

    keras.utils.set_random_seed(0)
    whole = {"return_sequences": True, "return_state": True}
    x = np.random.default_rng(0).normal(size=(BATCH, STEPS, FEATURES)).astype("float32")
    found = {"x, the input": x}
    first = layers.Bidirectional(layers.GRU(UNITS, **whole))
    outputs, forward, backward = first(x)
    found["layer 1: outputs"] = outputs
    found["layer 1: state of the forward direction"] = forward
    found["layer 1: state of the backward direction"] = backward
    second = layers.Bidirectional(layers.GRU(UNITS, **whole))
    found["layer 2: outputs"], *ends = second(outputs)
    found["layer 2: state of each direction"] = ends[0]
    last = layers.Bidirectional(layers.GRU(UNITS))
    last.build(outputs.shape)
    last.set_weights(second.get_weights())
    found["layer 2 without return_sequences"] = last(outputs)
    for mode in MODES[1:]:
        merged = layers.Bidirectional(layers.GRU(UNITS, return_sequences=True), merge_mode=mode)
        found[f"a layer with merge_mode={mode!r}"] = merged(x)
    outputs, *states = layers.Bidirectional(layers.LSTM(UNITS, **whole))(x)
    found["LSTM instead of GRU: outputs"] = outputs
    found["LSTM: forward h, forward c, backward h, backward c, each"] = states[0]
    return {name: np.asarray(array) for name, array in found.items()}


def shapes(found: dict[str, np.ndarray]) -> str:
    rows = [[name, f"`{tuple(map(int, array.shape))}`"] for name, array in found.items()]
    return page.table(["array", "shape"], rows)


def places(found: dict[str, np.ndarray]) -> str:
    """Where the states are found in the outputs."""
    outputs = found["layer 1: outputs"]
    forward = found["layer 1: state of the forward direction"]
    backward = found["layer 1: state of the backward direction"]
    second, last = found["layer 2: outputs"], found["layer 2 without return_sequences"]
    ends = np.concatenate([second[:, -1, :UNITS], second[:, 0, UNITS:]], axis=1)
    facts = {
        "outputs[:, -1, :20] is the forward state": (outputs[:, -1, :UNITS], forward),
        "outputs[:, 0, 20:]  is the backward state": (outputs[:, 0, UNITS:], backward),
        "outputs[:, -1, 20:] is the backward state": (outputs[:, -1, UNITS:], backward),
        "return_sequences=False gives both, joined": (last, ends),
        "return_sequences=False gives outputs[:, -1]": (last, second[:, -1]),
    }
    return "\n".join(f"{fact:<46}{np.allclose(a, b, atol=1e-6)}" for fact, (a, b) in facts.items())


def outputs() -> dict[str, str]:
    """What the page shows."""
    found = example()
    texts = {"sums": sums(), "masked": masked()}
    return texts | {"shapes": shapes(found), "places": places(found)}


def _arrow(axes, start, end, color):
    axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": color, "lw": 1.6})


def _box(axes, x, y, text, color):
    box = {"boxstyle": "round,pad=0.45", "fc": "white", "ec": color, "lw": 1.6}
    axes.text(x, y, text, ha="center", va="center", bbox=box, fontsize=9.5)


def paint(figure):
    """Three steps, both directions, what is joined where."""
    axes = figure.subplots()
    for step in range(3):
        x = 3 * step
        _box(axes, x, 0, f"x{step + 1}  (5, 10)", "black")
        _box(axes, x - 0.55, 1.2, f"→h{step + 1}\n(5, 20)", page.BLUE)
        _box(axes, x + 0.55, 2.3, f"←h{step + 1}\n(5, 20)", page.ORANGE)
        _box(axes, x, 3.5, f"output {step + 1}  (5, 40)", "black")
        _arrow(axes, (x - 0.2, 0.22), (x - 0.5, 0.85), page.BLUE)
        _arrow(axes, (x + 0.2, 0.22), (x + 0.55, 1.95), page.ORANGE)
        _arrow(axes, (x - 0.5, 1.55), (x - 0.25, 3.25), page.BLUE)
        _arrow(axes, (x + 0.5, 2.65), (x + 0.25, 3.25), page.ORANGE)
    for step in range(2):
        x = 3 * step
        _arrow(axes, (x + 0.0, 1.2), (x + 1.9, 1.2), page.BLUE)
        _arrow(axes, (x + 3.0, 2.3), (x + 1.1, 2.3), page.ORANGE)
    _arrow(axes, (6.0, 1.2), (7.3, 1.2), page.BLUE)
    axes.text(7.4, 1.2, "forward state\n= →h3  (5, 20)", va="center", color=page.BLUE)
    _arrow(axes, (0.0, 2.3), (-1.3, 2.3), page.ORANGE)
    axes.text(
        -1.4, 2.3, "backward state\n= ←h1  (5, 20)", va="center", ha="right", color=page.ORANGE
    )
    axes.set(xlim=(-3.4, 9.4), ylim=(-0.4, 3.9))
    axes.axis("off")


def main():
    page.show("directions.md", outputs())
    page.draw("directions.svg", (9.5, 3.8), paint)


if __name__ == "__main__":
    main()
