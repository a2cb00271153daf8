"""From a text to the batches a network reads, step by step: docs/understanding/text.md.

python scripts/understand_text.py      # some seconds
"""

from __future__ import annotations

import json

import numpy as np
import understanding as page

TEXT = "To be, or not to be: that is the question."
WINDOW, BATCH = 5, 2


def tokens() -> str:
    """The text as characters, as words, and as words and marks."""
    from kerasrnn.text import CharacterTokens, WordTokens

    characters, words = CharacterTokens(), WordTokens()
    lines = ["CharacterTokens().split(text)[:12]", _list(characters.split(TEXT)[:12]), ""]
    lines += ["WordTokens().split(text)", _list(words.split(TEXT)), ""]
    lines += ["WordTokens().terms(text)", _list(words.terms(TEXT))]
    return "\n".join(lines)


def ids() -> str:
    """The vocabulary of the words and marks, ids of two texts, and the way back."""
    from kerasrnn.text import Vocabulary, WordTokens

    split = WordTokens().terms
    vocabulary = Vocabulary(split(TEXT))
    other = split("To be or to sleep?")
    lines = ["vocabulary = Vocabulary(words)", ""]
    lines += [_line(index, token) for index, token in enumerate(vocabulary.tokens)]
    lines += ["", f"words     {_list(split(TEXT))}", f"encode    {vocabulary.encode(split(TEXT))}"]
    lines += ["", f"words     {_list(other)}", f"encode    {vocabulary.encode(other)}"]
    lines += [f"decode    {_list(vocabulary.decode(vocabulary.encode(other)))}"]
    return "\n".join(lines)


def cleaned() -> str:
    """The text of letters only, and how many characters are in each vocabulary."""
    from kerasrnn.text import Vocabulary, clean

    whole, letters = (len(Vocabulary(text)) for text in (TEXT, clean(TEXT)))
    lines = [f"text         {TEXT}", f"clean(text)  {clean(TEXT)}", ""]
    lines.append(f"characters in the vocabulary: {whole}, of letters only {letters}")
    return "\n".join(lines)


def smaller() -> str:
    """What is left of the vocabulary with limits."""
    from kerasrnn.text import Vocabulary, WordTokens

    words = WordTokens().terms(TEXT)
    lines = []
    for options in ({}, {"min_frequency": 2}, {"max_size": 4}):
        vocabulary = Vocabulary(words, **options)
        written = ", ".join(f"{name}={value}" for name, value in options.items())
        unknown = np.mean(np.array(vocabulary.encode(words)) == vocabulary.unknown_id)
        share = f"{unknown:.0%} of the text unknown"
        lines.append(f"Vocabulary(words{', ' * bool(written)}{written})".ljust(36) + share)
    return "\n".join(lines)


def corpus():
    """The text, letters only, as characters for a generator."""
    from kerasrnn import Corpus

    return Corpus.from_text(TEXT, letters_only=True, validation_split=0.2)


def corpora() -> str:
    """What a corpus holds."""
    found = corpus()
    lines = [f"print(corpus)       {found}"]
    for part in ("train", "validation"):
        some = getattr(found, part)
        lines += [f"{'corpus.' + part:<20}{some.tolist()}"]
        lines += [f"{'  decoded':<20}{json.dumps(''.join(found.vocabulary.decode(some)))}"]
    return "\n".join(lines)


def windows():
    """Ids and targets (batch, time) of the first batch of a generator."""
    from kerasrnn.data.batches import WindowBatches

    options = {"sequence_length": WINDOW, "batch_size": BATCH, "sampling": "random", "seed": 1}
    batches = WindowBatches(corpus(), **options)
    return batches, *batches[0]


def batches() -> str:
    """The first batch, as ids and as text."""
    found, x, y = windows()
    decode = corpus().vocabulary.decode
    lines = [f"{len(found)} batches of {BATCH} windows of {WINDOW} tokens", ""]
    for name, array in (("x", x), ("y", y)):
        for row in array:
            text = json.dumps("".join(decode(row)))
            lines.append(f"{name}  {_numbers(row)}   {text}")
            name = " "
    return "\n".join([*lines, "", f"shapes: x {x.shape}, y {y.shape}"])


def vectors() -> str:
    """The first window as one-hot vectors, and their shapes beside those of an embedding."""
    import keras

    from kerasrnn import layers

    _, x, _ = windows()
    number = corpus().vocabulary.num_ids
    one_hot = np.asarray(layers.OneHot(number, mask_zero=False)(x))
    embedded = keras.layers.Embedding(number, 4)(x)
    letters = corpus().vocabulary.decode(x[0])
    lines = [
        f"{json.dumps(letter):<5}{index:>3}   " + " ".join(f"{one:.0f}" for one in row)
        for letter, index, row in zip(letters, x[0], one_hot[0], strict=True)
    ]
    lines += [
        "",
        f"ids {x.shape} → one-hot {one_hot.shape}",
        f"ids {x.shape} → Embedding({number}, 4)",
    ]
    lines[-1] += f" {tuple(embedded.shape)}"
    return "\n".join(lines)


def padded() -> str:
    """Texts of unequal length as one batch, and its mask."""
    import keras

    from kerasrnn.data.sentences import pad_token_ids
    from kerasrnn.text import Vocabulary, WordTokens

    texts = ["To be, or not to be", "that is the question.", "Perchance!"]
    split = WordTokens().terms
    vocabulary = Vocabulary(split(TEXT), padded=True)
    batch = pad_token_ids([split(text) for text in texts], vocabulary)
    mask = keras.layers.Embedding(vocabulary.num_ids, 4, mask_zero=True).compute_mask(batch)
    lines = [f"{text:<24}{_numbers(row)}" for text, row in zip(texts, batch, strict=True)]
    lines += ["", "mask, 1 where a step is real"]
    lines += [" " * 24 + _numbers(row) for row in np.asarray(mask).astype(int)]
    return "\n".join([*lines, "", f"shape {batch.shape}"])


def _list(tokens):
    return json.dumps(tokens, ensure_ascii=False)


def _line(index, token):
    return f"{index:>4}  {token}"


def _numbers(row):
    return " ".join(f"{one:>2}" for one in row)


def outputs() -> dict[str, str]:
    """What the page shows."""
    makers = (tokens, ids, cleaned, smaller, corpora, batches, vectors, padded)
    return {maker.__name__: maker() for maker in makers}


def paint(figure):
    """One window as text, ids, one-hot vectors and embedded vectors."""
    import keras

    keras.utils.set_random_seed(0)
    _, x, y = windows()
    vocabulary = corpus().vocabulary
    number, window = vocabulary.num_ids, x[0]
    letters = [{" ": "␣"}.get(token, token) for token in vocabulary.decode(window)]
    targets = [{" ": "␣"}.get(token, token) for token in vocabulary.decode(y[0])]
    ids, hot, dense = figure.subplots(1, 3, width_ratios=(1.2, 2.4, 1.2))
    for step in range(WINDOW):
        ids.text(0.05, step, letters[step], va="center", family="DejaVu Sans Mono", size=13)
        ids.text(0.35, step, f"→  {window[step]}", va="center", size=11)
        ids.text(0.75, step, targets[step], va="center", size=13, color=page.ORANGE)
    ids.set(xlim=(0, 1), ylim=(WINDOW - 0.5, -0.5), title="token → id   (target)")
    ids.axis("off")
    hot.imshow(np.eye(number)[window], cmap="Blues", vmax=1.4, aspect="auto")
    hot.set(title=f"one-hot ({WINDOW}, {number})", xlabel="id", ylabel="step")
    weights = np.asarray(keras.layers.Embedding(number, 4)(window))
    dense.imshow(weights, cmap="PuOr", aspect="auto", vmin=-0.06, vmax=0.06)
    dense.set(title=f"embedding ({WINDOW}, 4)", xlabel="component")
    for axes, width in ((hot, number), (dense, 4)):
        axes.set_xticks(range(0, width, 1 + width // 10))
        axes.set_yticks(range(WINDOW), range(1, WINDOW + 1))
        axes.spines[:].set_visible(False)


def main():
    page.show("text.md", outputs())
    page.draw("text.svg", (9.5, 2.7), paint)


if __name__ == "__main__":
    main()
