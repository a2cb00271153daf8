"""Trainings with options drawn at random, then every verb: a result or one line, never a fault.

python scripts/fuzz_options.py [--minutes 10] [--seed 0] [SOURCE ...]
"""

from __future__ import annotations

import os
import random
import shlex
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path

import click
import numpy as np
from click.testing import CliRunner
from fault_tasks import make_data

from kerasrnn import options
from kerasrnn.cli import main as kerasrnn

ALWAYS = {"units": "5", "epochs": "2", "members": "1", "stem": "none"}  # but for what is drawn
_SOURCES = {  # what is trained on: the words, and what ``options.tables`` calls it
    "digits": (["digits"], ("classifier", None)),
    "sequences": (["sequences.npz"], ("classifier", None)),
    "gaps": (["gaps.csv", "--label", "label", "--features", "t0:t2"], ("classifier", None)),
    "texts": (["texts.csv"], ("classifier", "texts")),
    "several": (["several.csv", "--multi-label", "|"], ("classifier", "texts")),
    "numbers": (["numbers.csv", "--target", "y"], ("regressor", None)),
    "targets": (["numbers.csv", "--target", "y,t5"], ("regressor", None)),
    "series": (["series.csv", "--horizon", "6"], ("regressor", "series")),
    "known": (
        ["known.csv", "--target", "y", "--known", "k", "--horizon", "5"],
        ("regressor", "series"),
    ),
    "entities": (["tags.conll"], ("tagger", None)),
    "python": (["python", "--max-vocabulary", "50"], ("tagger", None)),
    "generator": (["tale.txt"], ("generator", None)),
    "lines": (["names.txt", "--lines"], ("generator", None)),
    "infiller": (["tale.txt", "--task", "infiller"], ("infiller", None)),
}
_VALUES = {  # of options whose default does not say what they take
    "units": ["4", "7", "5,3", "1"],
    "cell": options.CELLS,
    "dropout": ["0", "0.5"],
    "stem": options.STEMS,
    "stem_filters": ["4", "1"],
    "stem_stride": ["1", "2", "3"],
    "pooling": options.POOLINGS,
    "members": ["1", "2", "3"],
    "precision": options.PRECISIONS,
    "embedding_dim": ["0", "1", "6"],
    "quantiles": ["0.5", "0.1,0.5,0.9"],
    "batch_size": ["1", "8", "500"],
    "optimizer": options.OPTIMIZERS,
    "learning_rate": ["0.01", "1"],
    "schedule": options.SCHEDULES,
    "clip_norm": ["0", "0.1"],
    "patience": ["0", "1"],
    "max_minutes": ["0.02"],
    "checkpoint_every": ["1", "0.01m"],
    "class_weight": options.CLASS_WEIGHTS,
    "validation_split": ["0", "0.2", "0.5"],
    "seed": ["0", "3"],
    "min_frequency": ["1", "2", "5"],
    "max_vocabulary": ["3", "40"],
    "max_length": ["1", "4"],
    "level": options.LEVELS,
    "window": ["1", "7", "24"],
    "season": ["1", "12"],
    "backtest": ["0", "3"],
    "max_corpus_tokens": ["900"],
    "sequence_length": ["1", "16"],
    "sampling": options.SAMPLINGS,
    "sample_every": ["0", "1"],
    "mask_rate": ["0.01", "0.5"],
    "mask_span": ["1", "3"],
}
_FAULTS = ("cannot convert", "does not answer as", "cannot be run")  # refused, and yet a fault
_FLAGS = {  # those that are given or not, or said both ways
    "bidirectional": ["--bidirectional", "--unidirectional"],
    "go_backwards": ["--unidirectional --go-backwards"],
    "functional": ["--functional"],
    "instance_scaling": ["--instance-scaling", "--one-scaling"],
    "use_characters": ["--use-characters", "--no-characters"],
    "tied": ["--tied", "--untied"],
    "letters_only": ["--letters-only"],
    "deterministic": ["--deterministic"],
}


def write_more(folder: Path):
    """Further files of ``_SOURCES``."""
    rng = np.random.default_rng(0)
    rows = [
        f"{n % 3 - 1 or ''},{rng.normal() + n % 2:.2f},{n % 5 or ''},{'ab'[n % 2]}"
        for n in range(80)
    ]
    (folder / "gaps.csv").write_text("\n".join(["t0,t1,t2,label", *rows]) + "\n")
    labels = ("x", "y", "x|y", "")
    rows = [f"{'good' if n % 2 else 'bad'} {n},{labels[n % 4]}" for n in range(90)]
    (folder / "several.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    rows = [f"{n},{n % 7},{f'{n % 7 + rng.normal():.2f}' * (n < 160)}" for n in range(165)]
    (folder / "known.csv").write_text("\n".join(["n,k,y", *rows]) + "\n")
    names = ["".join(rng.choice([*"abcdeioé"], rng.integers(2, 8))) for _ in range(200)]
    (folder / "names.txt").write_text("\n".join(names) + "\n")


def drawn(rng: random.Random, source: str) -> list[str]:
    """The words of a training: a source and options of its task, each with some probability."""
    words, (task, kind) = _SOURCES[source]
    names = {name for table in options.tables(task, kind) for name in table}
    given = {name: value for name, value in ALWAYS.items() if name in names}
    share, flags = rng.choice([0.05, 0.15, 0.3]), []
    for name in sorted(names):
        if rng.random() > share or f"--{name.replace('_', '-')}" in words:
            continue
        if name in _FLAGS:
            flags += rng.choice(_FLAGS[name]).split()
        elif name in _VALUES:
            given[name] = rng.choice(_VALUES[name])
    pairs = ((f"--{name.replace('_', '-')}", value) for name, value in given.items())
    return ["train", *words, *flags, *(word for pair in pairs for word in pair)]


def verbs(rng: random.Random, source: str, run: str, export: str) -> list[list[str]]:
    """What may be asked of a run, and of its export."""
    words, (task, kind) = _SOURCES[source]
    given = {"tagger": "Ann saw Rome", "generator": "the", "infiller": "the cat _ on"}.get(task)
    data = given or ("some good words" if kind == "texts" else words[0])
    format = rng.choice(options.EXPORT_FORMATS)
    return [
        ["evaluate", run],
        *([] if given else [["evaluate", run, words[0]]]),
        ["predict", run, data],
        ["explain", run, data, "-o", f"{run}.png"],
        *([["generate", run, "--max-length", "9", "--prompt", "a"]] if task == "generator" else []),
        *([["infill", run, data]] if task == "infiller" else []),
        ["export", run, "-o", export, "--format", format],
        *([["predict", export, data]] if format == "saved_model" else []),
        ["plot", run, "-o", f"{run}.svg"],
        ["report", run],
        ["train", "--resume", run, "--epochs", "3", "-q"],
    ]


def called(words: list[str], before: str = "") -> str:
    """How a command ends: done, refused, or FAULT; what it says of the latter two is printed."""
    result = CliRunner().invoke(kerasrnn, words)
    if not result.exit_code:
        return "done"
    said = result.output.strip()[-1500:]
    fault = result.exit_code != 2 or any(words in said for words in _FAULTS)
    print(f"{before}kerasrnn {shlex.join(words)}\n    [{result.exit_code}] {said}", flush=True)
    return "FAULT" if fault else "refused"


@click.command(help=__doc__)
@click.argument("sources", nargs=-1, type=click.Choice([*_SOURCES]))
@click.option("--minutes", default=10.0)
@click.option("--seed", default=0)
def main(sources, minutes, seed):
    rng, counts, end = random.Random(seed), Counter(), time.monotonic() + 60 * minutes
    place = Path(tempfile.mkdtemp())
    make_data(place)
    write_more(place)
    os.chdir(place)
    while time.monotonic() < end:
        source = rng.choice(sources or [*_SOURCES])
        words = [*drawn(rng, source), "-o", "run", "-q"]
        if rng.random() < 0.1:
            words += ["--seeds", "2", *rng.choice([["--ensemble"], []])]
        for path in ("run", "export"):
            shutil.rmtree(path, ignore_errors=True)
        how = called(words)
        counts[f"train {source} {how}"] += 1
        if how != "done":
            continue
        for asked in verbs(rng, source, "run", "export"):
            counts[f"{asked[0]} {called(asked, f'kerasrnn {shlex.join(words)}; ')}"] += 1
    shutil.rmtree(place)
    for name, number in sorted(counts.items()):
        print(f"{number:6} {name}")
    raise SystemExit(any("FAULT" in name for name in counts))


if __name__ == "__main__":
    main()
