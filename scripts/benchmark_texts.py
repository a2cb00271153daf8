"""Seconds of ``fit`` on batches of texts, beside ``fit`` on arrays that were padded before.

A bidirectional LSTM of 64 units reads texts as long as IMDb's reviews (22,500 of them, about
log-normal, median 175 and mean 234 words), cut at 400 words, in batches of 64. Per round each
takes the same number of batches, one after the other:

    similar   ``TextBatches``: batches of similar length, made while training
    prepared  the same batches, made before
    padded    arrays of texts in random order, all padded to 400 words

    python scripts/benchmark_texts.py --batches 60 --rounds 5
"""

from __future__ import annotations

import argparse
import time

import keras
import numpy as np

from kerasrnn import build_classifier
from kerasrnn.data.text_batches import TextBatches
from kerasrnn.data.texts import TextPart, pad_texts, starts_of

TEXTS, LONGEST, BATCH, WORDS = 22_500, 400, 64, 20_000
MEDIAN, MEAN = 175, 234


class Some(keras.utils.PyDataset):
    """Batches from a function of their index."""

    def __init__(self, make, number):
        super().__init__()
        self.make, self.number = make, number

    def __len__(self):
        return self.number

    def __getitem__(self, index):
        return self.make(index)


def reviews(rng):
    """Texts as long as IMDb's, of words that are as frequent as Zipf's law says."""
    spread = np.sqrt(2 * np.log(MEAN / MEDIAN))
    lengths = rng.lognormal(np.log(MEDIAN), spread, TEXTS).clip(10, LONGEST).astype("int32")
    frequency = 1 / np.arange(1, WORDS)
    ids = rng.choice(np.arange(1, WORDS), lengths.sum(), p=frequency / frequency.sum())
    return TextPart(ids.astype("int32"), rng.integers(0, 2, TEXTS), lengths)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--batches", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    keras.utils.set_random_seed(0)
    part = reviews(np.random.default_rng(0))
    model = build_classifier(vocabulary_size=WORDS, num_classes=2, units=64, pooling="max")
    model.compile("adam", "sparse_categorical_crossentropy")
    batches = TextBatches(part, BATCH, 0)
    kept = [batches[index] for index in range(given.batches)]
    some = np.random.default_rng(1).permutation(len(part))[: given.batches * BATCH]
    padded = pad_texts(part.x, starts_of(part.lengths)[some], part.lengths[some])
    data = {
        "similar": lambda: (Some(batches.__getitem__, given.batches),),
        "prepared": lambda: (Some(kept.__getitem__, given.batches),),
        "padded": lambda: (padded, part.y[some]),
    }
    seconds = {name: [] for name in data}
    for turn in range(given.rounds + 1):
        for name, make in data.items():
            inputs = make()
            start = time.perf_counter()
            model.fit(
                *inputs, batch_size=BATCH if len(inputs) > 1 else None, shuffle=False, verbose=0
            )
            if turn:  # the first traces the graph
                seconds[name].append(time.perf_counter() - start)
    real = sum(int((x != 0).sum()) for x, _ in kept) / sum(x.size for x, _ in kept)
    print(f"{given.batches} batches of {BATCH}; words are {real:.0%} of the steps of similar ones,")
    print(f"{(padded != 0).mean():.0%} of those padded to {LONGEST}")
    print(f"{'':<10}{'min s':>8}{'median s':>10}{'of similar':>12}")
    for name, found in seconds.items():
        ratio = np.median(found) / np.median(seconds["similar"])
        print(f"{name:<10}{min(found):>8.2f}{np.median(found):>10.2f}{ratio:>12.2f}")
    start = time.perf_counter()
    for index in range(given.batches):
        batches[index]
    print(f"making a batch takes {1e3 * (time.perf_counter() - start) / given.batches:.2f} ms")


if __name__ == "__main__":
    main()
