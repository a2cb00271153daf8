"""Characters a second of ``generation.Writer`` beside a loop that calls ``model.predict``.

    python scripts/benchmark_generation.py              # an untrained default generator
    python scripts/benchmark_generation.py runs/shakespeare-generator-1

The loop is the way of the Keras example ``lstm_character_level_text_generation``: the last 40
characters are read anew for each character. Both in one process, in turns; then the time to
the first character and the memory while 100,000 characters are written.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click

WINDOW = 40  # characters, as in the Keras example
PROMPT = "the "


@click.command()
@click.argument("run", required=False)
@click.option("--rounds", type=int, default=5, show_default=True, help="Turns of both.")
@click.option("--length", type=int, default=2000, show_default=True, help="Characters a turn.")
@click.option("--long", type=int, default=100_000, show_default=True, help="For the memory.")
def main(run, rounds, length, long):
    """Time the generation of text."""
    import numpy as np

    from kerasrnn import build_generator, load_model, open_run
    from kerasrnn.generation import Writer, load_vocabulary
    from kerasrnn.options import MODEL
    from kerasrnn.text import Vocabulary

    if run:
        model, vocabulary = load_model(run), load_vocabulary(open_run(run))
    else:
        vocabulary = Vocabulary(map(chr, range(32, 97 + 26)))
        model = build_generator(len(vocabulary), **MODEL["generator"])
    start = time.perf_counter()
    writer = Writer(model, vocabulary)
    prompt = PROMPT if all(c in writer.vocabulary for c in PROMPT) else writer.vocabulary.tokens[1]
    next(writer.stream(prompt, length))
    click.echo(f"first character {time.perf_counter() - start:.2f} s after the model is there")

    def keras_loop(number):
        ids = writer.vocabulary.encode(list(prompt))
        rng = np.random.default_rng(0)
        for _ in range(number):
            output = model.predict(np.array([ids[-WINDOW:]]), verbose=0)[0, -1]
            output = output.astype("float64") / output.sum(dtype="float64")
            ids.append(int(rng.choice(len(output), p=output)))

    keras_loop(5)
    writer.write(prompt, length)
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(length / timed(lambda: writer.write(prompt, length)))
        theirs.append(50 / timed(lambda: keras_loop(50)))
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    for name, values in (("Writer", ours), ("model.predict", theirs), ("ratio", ratios)):
        low, middle = min(values), statistics.median(values)
        click.echo(f"{name:<14} minimum {low:>8,.1f}  median {middle:>8,.1f}")
    written, memory = 0, []
    for (piece,) in writer.stream(prompt, long):
        written += len(piece)
        if written >= len(memory) * long // 4 + 1:
            memory.append(resident())
    click.echo(f"resident memory over {written:,} characters: {', '.join(memory)}")


def timed(call):
    """Seconds that a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def resident():
    """The memory of this process that is resident, as text."""
    if sys.platform != "linux":
        return "unknown"
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return f"{pages * os.sysconf('SC_PAGE_SIZE') / 2**20:,.0f} MiB"


if __name__ == "__main__":
    main()
