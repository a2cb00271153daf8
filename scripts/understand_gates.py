"""The gates of trained cells over a sentence: numbers and figures of docs/understanding/gates.md.

    python scripts/understand_gates.py           # about a minute on two cores
    python scripts/understand_gates.py lstm gru

Three small models learn to predict the next character of The Time Machine (of the texts within
Python where that is not at hand). Then the NumPy equations of tests/reference.py run with their
weights over text that they have not seen.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import understanding as page

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import click
import numpy as np
import reference

PARTS = {
    "simple": [reference.simple_step],
    "lstm": [reference.lstm_gates, reference.lstm_step],
    "gru": [reference.gru_gates, reference.gru_step],
}
NAMES = {
    "lstm": ("input gate i", "forget gate f", "output gate o"),
    "gru": ("update gate z", "reset gate r"),
}
KINDS = ("letters", "spaces", "other marks")
UNITS, EPOCHS, READ = 64, 8, 4000


def code() -> dict[str, str]:
    """The functions of tests/reference.py that the page shows."""
    parts = {f"code-{cell}": PARTS[cell] for cell in PARTS}
    parts["code-scan"] = [reference.sigmoid, reference.scan]
    return {
        name: "```python\n" + "\n\n".join(map(inspect.getsource, functions)).rstrip() + "\n```"
        for name, functions in parts.items()
    }


def trained(corpus, cell):
    """A small generator, trained, and its loss on the rest of the text."""
    import keras

    from kerasrnn import build_generator
    from kerasrnn.data.batches import WindowBatches
    from kerasrnn.inference.text_loss import TextLoss

    keras.utils.set_random_seed(0)
    model = build_generator(
        corpus.vocabulary.num_ids, units=UNITS, cell=cell, dropout=0, embedding_dim=32
    )
    model.compile(
        keras.optimizers.Adam(0.005, global_clipnorm=1.0), "sparse_categorical_crossentropy"
    )
    batches = WindowBatches(corpus, sequence_length=64, batch_size=32, sampling="random", seed=0)
    model.fit(batches, epochs=EPOCHS, verbose=0)
    return model, TextLoss(model).of_text(corpus.train, corpus.validation)


def values(model, cell, ids):
    """Gates {name: (time, units)} and outputs (time, units) over ids (time,), by NumPy.

    Also the largest difference between these outputs and those of the layer.
    """
    embedding, layer = model.layers[:2]
    weights = [weight.astype("float64") for weight in layer.get_weights()]
    x = embedding(ids[None]).numpy()
    outputs, _ = reference.scan(cell, x[0].astype("float64"), weights)
    before = np.concatenate([np.zeros((1, UNITS)), outputs[:-1]])
    gates = {}
    if cell in NAMES:
        rows = [
            getattr(reference, f"{cell}_gates")(*pair, *weights)
            for pair in zip(x[0], before, strict=True)
        ]
        columns = [np.array(column) for column in zip(*rows, strict=True)]
        del columns[2]  # the candidate, which is no gate
        gates = dict(zip(NAMES[cell], columns, strict=True))
    return gates, outputs, np.abs(layer(x).numpy()[0] - outputs).max()


def kinds(characters):
    """Which characters are letters, white space, other marks: bool (time,) each."""
    letters = np.array([character.isalpha() for character in characters])
    spaces = np.array([character.isspace() for character in characters])
    return dict(zip(KINDS, (letters, spaces, ~letters & ~spaces), strict=True))


def chosen_units(gates, where):
    """(title, row (time,)) of single units whose gates tell something."""
    names = [*gates]
    keeps, other = names[1] if len(names) == 3 else names[0], names[0 if len(names) == 3 else 1]
    falls, other_falls = (
        gates[name][where["letters"]].mean(0) - gates[name][where["spaces"]].mean(0)
        for name in (keeps, other)
    )
    longest = np.median(gates[keeps], 0).argmax()
    found = [(keeps, falls.argmax(), "shuts at spaces")]
    found += [(other, other_falls.argmin(), "opens at spaces"), (keeps, longest, "longest memory")]
    return [
        (f"{name[-1]} of unit {unit}, {why}", gates[name][:, unit]) for name, unit, why in found
    ]


def heat_map(name, characters, rows):
    """Rows (title, values in [0, 1]) over the characters of a sentence."""

    def paint(figure):
        axes = figure.subplots()
        image = axes.imshow([row for _, row in rows], cmap="cividis", vmin=0, vmax=1, aspect="auto")
        axes.set_yticks(range(len(rows)), [title for title, _ in rows])
        shown = [{" ": "␣", "\n": "↵"}.get(character, character) for character in characters]
        axes.set_xticks(range(len(shown)), shown, family="DejaVu Sans Mono")
        axes.tick_params(which="both", length=0)
        axes.set_yticks(np.arange(len(rows) - 1) + 0.5, minor=True)
        axes.grid(which="minor", axis="y", color="white", linewidth=2)
        axes.spines[:].set_visible(False)
        bar = figure.colorbar(image, ax=axes, pad=0.01, ticks=(0, 0.5, 1))
        bar.ax.set_yticklabels(["0 shut", "½", "1 open"])

    page.draw(name, (9.5, 0.9 + 0.32 * len(rows)), paint)


def study(cell, corpus) -> dict[str, str]:
    """Train a model, draw its figure; what the page says about it."""
    model, loss = trained(corpus, cell)
    ids = corpus.validation[:READ].astype("int32")
    characters = corpus.vocabulary.decode(ids)
    where = kinds(characters)
    gates, outputs, difference = values(model, cell, ids)
    facts = {
        "weights of the recurrent layer": f"{model.layers[1].count_params():,}",
        "loss on unseen text": f"{loss:.3f} nats a character",
        "mean change of a unit from step to step": f"{np.abs(np.diff(outputs, axis=0)).mean():.2f}",
        f"layer − NumPy, largest of {READ:,} steps": f"{difference:.0e}",
    }
    found = {f"facts-{cell}": "\n".join(f"{name:<42}{fact}" for name, fact in facts.items())}
    if not gates:
        return found
    whole = [(f"{name}, mean of all", gate.mean(1)) for name, gate in gates.items()]
    rows = whole + chosen_units(gates, where)
    start = "".join(characters).index(". ", 400) + 2  # a sentence with a past to remember
    sentence = slice(start, start + 64)
    heat_map(
        f"gates-{cell}.svg", characters[sentence], [(title, row[sentence]) for title, row in rows]
    )
    cells = [
        [title, *(f"{row[where[kind]].mean():.2f}" for kind in KINDS), f"{np.median(row):.3f}"]
        for title, row in rows
    ]
    return found | {f"values-{cell}": page.table(["gate", *KINDS, "median"], cells)}


@click.command()
@click.argument("cells", nargs=-1, type=click.Choice([*PARTS]))
def main(cells):
    """Study some cells, by default all."""
    from kerasrnn import load_corpus

    corpus, outputs = load_corpus(page.text_at_hand()), code()
    for cell in cells or PARTS:
        outputs |= study(cell, corpus)
    page.show("gates.md", outputs)


if __name__ == "__main__":
    main()
