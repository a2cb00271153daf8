"""What the backward direction adds on each kind of data: docs/understanding/bidirectional.md.

    python scripts/understand_bidirectional.py                # all that is at hand, six minutes
    python scripts/understand_bidirectional.py digits generator

On each kind of data three small GRUs are trained alike, from three seeds: one reads forwards, one
backwards, one both ways. Those of one direction are wider, so that all have as many weights. Sets
that do not come with a dependency are looked for under KERASRNN_DATA, else left out.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import understanding as page

SEEDS = (0, 1, 2)
WAYS = {
    "forwards": {"bidirectional": False},
    "backwards": {"bidirectional": False, "go_backwards": True},
    "both": {},
}


@dataclasses.dataclass
class Kind:
    """One kind of data: how its model is built, trained and scored.

    build: options of a stack → a model. batches: a seed → x and y, or batches, for ``fit``.
    score: a model → its score on data that it has not seen. epochs, rate: of the training.
    """

    build: Callable
    batches: Callable
    score: Callable
    units: int = 24
    epochs: int = 10
    rate: float = 0.01


def shared(*path) -> Path | None:
    """A folder of data where it is at hand."""
    folder = Path(os.environ.get("KERASRNN_DATA", ""), *path)
    return folder if "KERASRNN_DATA" in os.environ and folder.exists() else None


def accuracy(y, probabilities, weights=None):
    """In percent, of the steps of weight 1."""
    return 100 * np.average(np.asarray(probabilities).argmax(-1) == y, weights=weights)


def sequences(source, **options) -> Kind:
    """A classifier of sequences of numbers."""
    from kerasrnn import build_classifier, load_dataset
    from kerasrnn.data.batches import SequenceBatches

    data = load_dataset(source, validation_split=0)
    ragged = data.train.lengths is not None
    scale = np.nanmax(np.abs(data.train.x))
    train, test = (
        dataclasses.replace(part, x=np.nan_to_num(part.x / scale))
        for part in (data.train, data.test)
    )

    def build(**stack):
        shape = (None if ragged else train.x.shape[1], train.x.shape[2])
        return build_classifier(shape, num_classes=len(data.labels), lengths=ragged, **stack)

    def score(model):
        return accuracy(test.y, model([test.x, test.lengths] if ragged else test.x))

    return Kind(build, lambda seed: SequenceBatches(train, 32, seed), score, **options)


def surnames(folder) -> Kind:
    """A classifier of short texts, letter by letter."""
    from kerasrnn import build_classifier, load_texts
    from kerasrnn.data.text_batches import TextBatches
    from kerasrnn.data.texts import pad_texts, starts_of

    data = load_texts(folder, validation_split=0)
    test = data.test
    ids = pad_texts(np.asarray(test.x[:]), starts_of(test.lengths), test.lengths)

    def build(**stack):
        options = {"vocabulary_size": data.vocabulary.num_ids, "embedding_dim": 16}
        return build_classifier(num_classes=len(data.labels), **options, **stack)

    return Kind(
        build,
        lambda seed: TextBatches(data.train, 128, seed),
        lambda model: accuracy(test.y, model(ids)),
        epochs=3,
    )


def tagger(source, size, batch, epochs) -> Kind:
    """A label for each token, from the tokens alone."""
    from kerasrnn import build_tagger, load_sentences
    from kerasrnn.data.batches import SentenceBatches, sentence_inputs

    data = load_sentences(source)
    data = dataclasses.replace(data, train=data.train.take(np.arange(size)))
    test = data.test.take(np.arange(min(len(data.test), size // 4)))
    x, (y, weights) = sentence_inputs(test.tokens, data, False)["tokens"], test.targets()

    def build(**stack):
        options = {"vocabulary_size": data.vocabulary.num_ids, "embedding_dim": 16}
        return build_tagger(num_labels=len(data.labels), **options, **stack)

    def batches(seed):
        return SentenceBatches(data, batch_size=batch, use_characters=False, seed=seed)

    def score(model):
        return accuracy(y, model(x), weights)

    return Kind(build, batches, score, epochs=epochs)


def infiller() -> Kind:
    """Hidden letters of a text; the score is their perplexity."""
    from kerasrnn import build_infiller, load_corpus
    from kerasrnn.data.batches import MaskedBatches, mask_tokens

    corpus = load_corpus(page.text_at_hand(), task="infiller", letters_only=True)
    known = corpus.vocabulary
    windows = corpus.validation[: len(corpus.validation) // 64 * 64].reshape(-1, 64)
    windows = windows.astype("int32")
    hidden = mask_tokens(windows.shape, 0.15, 4, np.random.default_rng(0))

    def batches(seed):
        options = {"sequence_length": 64, "batch_size": 64, "mask_rate": 0.15, "mask_span": 4}
        return MaskedBatches(corpus, seed=seed, **options)

    def score(model):
        p = np.asarray(model(np.where(hidden, known.mask_id, windows)))
        right = np.take_along_axis(p, windows[:, :, None], 2)[:, :, 0]
        return np.exp(-np.log(right[hidden]).mean())

    def build(**stack):
        return build_infiller(known.num_ids, embedding_dim=32, **stack)

    return Kind(build, batches, score, units=48, epochs=6)


NAMES, TREEBANK = ("textclass", "names"), ("tagging", "ud-ewt")
KINDS = {  # name: what is scored, and a function that gives the kind, or None where it is not here
    "digits": ("digits, row by row: accuracy, %", lambda: sequences("digits", epochs=12)),
    "power": (
        "ItalyPowerDemand, 24 hours: accuracy, %",
        lambda: (
            (found := shared("timeseries", "ItalyPowerDemand"))
            and sequences(found, units=16, epochs=40)
        ),
    ),
    "vowels": (
        "JapaneseVowels, 7 to 29 steps: accuracy, %",
        lambda: (
            (found := shared("timeseries", "JapaneseVowels"))
            and sequences(found, units=16, epochs=15)
        ),
    ),
    "surnames": (
        "surnames, 18 languages: accuracy, %",
        lambda: (found := shared(*NAMES)) and surnames(found),
    ),
    "python": (
        "Python source, kind of each character: accuracy, %",
        lambda: tagger("python", 100, 4, 12),
    ),
    "words": (
        "UD English EWT, part of speech of each word: accuracy, %",
        lambda: (found := shared(*TREEBANK)) and tagger(found, 3000, 32, 4),
    ),
    "infiller": ("hidden letters of a text: perplexity, lower is better", infiller),
}


def widths(kind: Kind) -> dict[str, int]:
    """Units of each way, so that all have about as many weights."""

    def weights(units, way):
        return kind.build(units=units, cell="gru", **WAYS[way]).count_params()

    wanted = weights(kind.units, "both")
    wider = min(
        range(kind.units, 2 * kind.units), key=lambda n: abs(weights(n, "forwards") - wanted)
    )
    return {"forwards": wider, "backwards": wider, "both": kind.units}


def trained(kind: Kind, way: str, units: int):
    """A model, trained anew from each seed; its graph is made once."""
    import keras

    model = kind.build(units=units, cell="gru", dropout=0.2, **WAYS[way])
    loss = keras.losses.SparseCategoricalCrossentropy(reduction="mean_with_sample_weight")
    model.compile(keras.optimizers.Adam(kind.rate, global_clipnorm=1.0), loss)
    model.optimizer.build(model.trainable_variables)
    start = [variable.numpy() for variable in model.optimizer.variables]
    for seed in SEEDS:
        keras.utils.set_random_seed(seed)
        model.set_weights(kind.build(units=units, cell="gru", **WAYS[way]).get_weights())
        for variable, value in zip(model.optimizer.variables, start, strict=True):
            variable.assign(value)
        model.fit(kind.batches(seed), epochs=kind.epochs, verbose=0)
        yield model


def compared(name: str) -> str | None:
    """The scores of the three ways, mean ± standard deviation over the seeds."""
    title, make = KINDS[name]
    kind = make()
    if kind is None:
        click.echo(f"{title}: not at hand", err=True)
        return None
    rows = []
    for way, units in widths(kind).items():
        scores = [kind.score(model) for model in trained(kind, way, units)]
        weights = kind.build(units=units, cell="gru", **WAYS[way]).count_params()
        said = f"{np.mean(scores):.2f} ± {np.std(scores, ddof=1):.2f}"
        rows.append([way, units, f"{weights:,}", said])
    return page.table([title, "units", "weights", "score"], rows)


# --- why it cannot help a generator -----------------------------------------------------------

LENGTH, STEPS, EVERY, TEMPERATURE = 64, 600, 25, 0.7


def generators(corpus) -> dict:
    """A generator, and the same with a backward direction, which build_generator refuses."""
    import keras

    from kerasrnn import build_generator, layers

    number = corpus.vocabulary.num_ids
    keras.utils.set_random_seed(0)
    forward = build_generator(number, units=96, cell="gru", dropout=0, embedding_dim=32)
    gru = layers.GRU(64, return_sequences=True)
    both = keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),
            keras.layers.Embedding(number, 32),
            layers.Bidirectional(gru),
            keras.layers.Dense(number, activation="softmax"),
        ]
    )
    return {"forwards": forward, "both directions": both}


def watched(model, corpus) -> np.ndarray:
    """Losses on unseen text while a model trains, (times, 2): all steps, and last steps alone."""
    import keras

    from kerasrnn.data.batches import WindowBatches

    options = {"sequence_length": LENGTH, "batch_size": 32, "sampling": "random"}
    batches = WindowBatches(corpus, seed=0, **options)
    ids = corpus.validation.astype("int32")
    tokens = ids[np.arange(0, len(ids) - LENGTH - 1, 16)[:, None] + np.arange(LENGTH + 1)]
    model.compile(
        keras.optimizers.Adam(0.005, global_clipnorm=1.0), "sparse_categorical_crossentropy"
    )
    found, done = [], 0
    while True:
        for index in range(len(batches)):
            if done % EVERY == 0:
                p = np.asarray(model(tokens[:, :-1]))
                loss = -np.log(np.take_along_axis(p, tokens[:, 1:, None], 2)[:, :, 0] + 1e-9)
                found.append((loss.mean(), loss[:, -1].mean()))
            if done == STEPS:
                return np.array(found)
            model.train_on_batch(*batches[index])
            done += 1
        batches.on_epoch_end()


def written(model, corpus, prompt, size=60) -> str:
    """A continuation of a prompt, drawn token by token, each from the text so far."""
    known, rng = corpus.vocabulary, np.random.default_rng(0)
    ids = known.encode(corpus.tokens.split(prompt))
    for _ in range(size):
        p = np.asarray(model(np.array([ids[-LENGTH:]], "int32")))[0, -1].astype("float64")
        p = p ** (1 / TEMPERATURE)
        p[known.unknown_id] = 0
        ids.append(int(rng.choice(len(p), p=p / p.sum())))
    return corpus.tokens.join(known.decode(ids[len(prompt) :]))


def generator() -> tuple[str, str]:
    """Losses of both generators, as trained and as used, and what they write."""
    from kerasrnn import load_corpus

    corpus = load_corpus(page.text_at_hand(), letters_only=True)
    prompt = "".join(corpus.vocabulary.decode(corpus.validation[:LENGTH]))
    curves, rows, texts = {}, [], [f"{'prompt':<16} {prompt}"]
    for name, model in generators(corpus).items():
        curves[name] = watched(model, corpus)
        whole, last = curves[name][-1]
        rows.append([name, f"{model.count_params():,}", f"{whole:.3f}", f"{last:.3f}"])
        texts.append(f"{name:<16} {written(model, corpus, prompt)}")

    def paint(figure):
        axes = figure.subplots()
        steps = EVERY * np.arange(len(curves["forwards"]))
        colors = (page.BLUE, page.ORANGE)
        for (name, losses), color in zip(curves.items(), colors, strict=True):
            axes.plot(steps, losses[:, 0], color=color, label=f"{name}, as trained")
            axes.plot(steps, losses[:, 1], color=color, ls="--", label=f"{name}, as it writes")
        axes.set(xlabel="training step", ylabel="nats a letter, unseen text", ylim=(0, 3.4))
        axes.legend(frameon=False)

    page.draw("bidirectional-generator.svg", (6.5, 3.8), paint)
    titles = ["generator", "weights", "as trained", "as it writes"]
    return page.table(titles, rows), "\n".join(texts)


def contexts(figure):
    """Which tokens each task may read, and what it is asked for."""
    axes = figure.subplots()
    word = list("reading")
    tasks = (
        ("classifier: one label", None, range(7), range(7)),
        ("tagger: a label for each", 3, range(4), range(3, 7)),
        ("infiller: the hidden one", 3, range(3), range(4, 7)),
        ("generator: the next one", 3, range(3), ()),
    )
    for row, (title, asked, left, right) in enumerate(tasks):
        axes.text(-0.7, -row, title, ha="right", va="center")
        for place, letter in enumerate(word):
            beyond = "generator" in title and place > 3
            color = "0.7" if beyond else "black"
            hidden = place == asked and "tagger" not in title
            edge = "black" if place == asked else "0.6"
            box = {"boxstyle": "round,pad=0.3", "fc": "white", "ec": edge, "ls": "-"}
            shown = "?" if hidden or beyond else letter
            font = {"family": "DejaVu Sans Mono", "size": 12, "color": color}
            axes.text(place, -row, shown, ha="center", va="center", bbox=box, **font)
        for side, color, shift, arrow in (
            (left, page.BLUE, 0.27, "-|>"),
            (right, page.ORANGE, -0.27, "<|-"),
        ):
            if len(side):
                ends = (side[0] - 0.25, -row - shift), (side[-1] + 0.3, -row - shift)
                style = {"arrowstyle": arrow, "color": color, "lw": 1.8, "shrinkA": 0, "shrinkB": 0}
                axes.annotate("", ends[1], ends[0], arrowprops=style)
    axes.text(7.0, -2.0, "forward state reads →", color=page.BLUE, va="center")
    axes.text(7.0, -2.4, "backward state reads ←", color=page.ORANGE, va="center")
    axes.text(7.0, -3.0, "what is to come is not there", color="0.4", va="center")
    axes.set(xlim=(-4.6, 10.2), ylim=(-3.5, 0.5))
    axes.axis("off")


@click.command()
@click.argument("parts", nargs=-1, type=click.Choice([*KINDS, "generator"]))
def main(parts):
    """Compare on some kinds of data, by default all."""
    outputs = {}
    for part in parts or (*KINDS, "generator"):
        start = time.process_time()
        if part == "generator":
            outputs["generator"], outputs["texts"] = generator()
        elif said := compared(part):
            outputs[part] = said
        click.echo(f"{part}: {time.process_time() - start:.0f} s of CPU time", err=True)
    page.draw("bidirectional-contexts.svg", (9.5, 3.0), contexts)
    page.show("bidirectional.md", outputs)


if __name__ == "__main__":
    main()
