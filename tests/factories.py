"""Builders of test objects that several test files share."""

import struct
import subprocess
import sys

from kerasrnn.text import MASK, Vocabulary

WORDS = Vocabulary(["the", "cat", "sat", ".", "(", ")", "do", "n't", "café"], padded=True)
LETTERS = Vocabulary("abcdehnstfé", padded=True)
LABELS = ["NOUN", "VERB", "é"]
RUN_FILES = {
    *("run.json", "history.csv", "metrics.json", "examples.json", "checksums.json"),
    *("last.keras", "best.keras", "state.npz", "previous.npz", "loss.png"),
}
TS_HEADER = """# a comment
%another
@problemName Two
@timeStamps false
@missing true
@univariate false
@dimensions 2
@equalLength false
@classLabel true up down
@data
"""
TS_ROWS = "1,2,3:4,5,6:up\n\n# between\n-1.5E-1,?:0,7 : down\n"
CONLLU = """# sent_id = 1
1-2\tcan't\t_\t_\t_\t_\t_\t_\t_\t_
1\tca\tcan\tAUX\tMD\tMood=Ind\t0\troot\t_\t_
2\tn't\tnot\tPART\tRB\t_\t1\tadvmod\t_\t_
2.1\tgo\tgo\tVERB\tVB\t_\t_\t_\t0:root\t_

# text = New York _
1\tNew York\tNew York\tPROPN\tNNP\t_\t0\troot\t_\t_
2\t_\t_\tSYM\tNFP\t_\t1\tpunct\t_\t_"""


def idx_bytes(array, code=0x08):
    """An array as the bytes of an IDX file."""
    return (
        struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape) + array.tobytes()
    )


def write_ts(folder, rows=TS_ROWS, header=TS_HEADER):
    """A .ts file in a folder; returns its path."""
    path = folder / "a.ts"
    path.write_text(header + rows)
    return path


def columns(*sentences):
    """CoNLL columns of sentences written ``token/label token/label``."""
    return "\n\n".join("\n".join(pair.replace("/", " ") for pair in s.split()) for s in sentences)


def some_tagger(level="word", **stack):
    """A small untrained tagger of ``WORDS`` and their characters, or of ``LETTERS``."""
    from kerasrnn import Tagger, build_tagger

    stack = {"num_labels": len(LABELS), "units": 6, **stack}
    if level == "char":
        model = build_tagger(vocabulary_size=LETTERS.num_ids, **stack)
        return Tagger(model, LABELS, LETTERS, level="char")
    sizes = {"vocabulary_size": WORDS.num_ids, "character_vocabulary_size": LETTERS.num_ids}
    return Tagger(build_tagger(**sizes, **stack), LABELS, WORDS, LETTERS, lower_case=True)


def some_generator(tokens="abcdefgh\n", level="char", lines=False, letters_only=False, **stack):
    """A small untrained generator that is surer of its tokens than one of random weights."""
    from kerasrnn import TextGenerator, build_generator

    vocabulary = Vocabulary(tokens)
    model = build_generator(vocabulary.num_ids, **{"units": (8, 6), **stack})
    model.set_weights([2 * weight for weight in model.get_weights()])
    return TextGenerator(model, vocabulary, level, lines=lines, letters_only=letters_only)


def some_infiller(tokens="abcdefgh", level="char", letters_only=False, **stack):
    """A small untrained infiller."""
    from kerasrnn import Infiller, build_infiller

    vocabulary = Vocabulary(tokens, reserved=[MASK])
    model = build_infiller(vocabulary.num_ids, **{"units": 6, **stack})
    return Infiller(model, vocabulary, level, letters_only=letters_only)


def export_tiny(folder):
    """Make a tiny export of each kind in a folder."""
    import keras

    from kerasrnn import Classifier, Tagger, build_classifier, build_tagger, export

    keras.utils.set_random_seed(0)
    words, labels = Vocabulary(["good", "bad", "day"], padded=True), ["no", "maybe", "ja, ✓"]
    tiny = {"num_classes": 3, "units": 3}
    moods = build_classifier(vocabulary_size=words.num_ids, **tiny)
    tagger = build_tagger(num_labels=2, vocabulary_size=words.num_ids, units=3)
    sources = {
        "gestures": Classifier(build_classifier((4, 2), **tiny), labels),
        "strokes": Classifier(build_classifier((None, 2), lengths=True, **tiny), labels),
        "moods": Classifier(moods, labels, words),
        "tagger": Tagger(tagger, ("N", "V"), words),
        "generator": some_generator("abcdef ", units=3),
        "infiller": some_infiller("abcdef ", units=3),
    }
    for name, source in sources.items():
        export(source, folder / name, check=False)
    return folder


CHECK_ALL = """
import importlib.util, pathlib, sys
for folder in map(pathlib.Path, sys.argv[1:]):
    spec = importlib.util.spec_from_file_location("check", folder / "check.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    print(folder.name, module.check(folder))
assert "kerasrnn" not in sys.modules
"""


def check_together(folders):
    """Run check.py of exports in one fresh process: its lines, "NAME True" where all is well.

    Each export checks itself in a process of its own; to start TensorFlow takes it longer than all
    the rest.
    """
    command = [sys.executable, "-P", "-c", CHECK_ALL, *map(str, folders)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if not line.startswith("largest")]


def write_run(folder, task, *, epochs=6, planned=None, metrics=None, examples=None, **info):
    """A run of files alone, without a model; a history of so many epochs. Returns its path."""
    import json

    folder.mkdir(parents=True)
    made = {
        "format": 3,
        "task": task,
        "created": "2026-01-02T03:04:05.678+00:00",
        "data": {"name": "some", "source": "some.csv", "fingerprint": "f0", "sizes": {}},
        "options": {"epochs": planned or epochs, "units": [8, 8], "cell": "gru"},
        "recipe": {"cell": "short texts"},
        "seed": 3,
        "versions": {"keras": "3.15"},
    }
    files = {"run.json": made | info, "metrics.json": metrics, "examples.json": examples}
    for name, value in files.items():
        if value is not None:
            (folder / name).write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    rows = [
        f"{n},{1 / n},{1.2 / n + 0.001 * n},{1 - 0.5 / n},{1 - 0.6 / n},0.01,{n % 3}.5"
        for n in range(1, epochs + 1)
    ]
    head = "epoch,loss,val_loss,accuracy,val_accuracy,learning_rate,seconds"
    if rows:
        (folder / "history.csv").write_text("\n".join([head, *rows, ""]))
    return folder


def label_metrics(labels):
    """What metrics.json holds of a classifier of some labels."""
    number = len(labels)
    counts = [[20 if i == j else (i + 2 * j) % 5 for j in range(number)] for i in range(number)]
    row = {"loss": 0.25, "accuracy": 0.9, "macro_f1": 0.89, "calibration_error": 0.03}
    scores = {"precision": 0.9, "recall": 0.8, "f1": 0.85, "support": 30}
    return {
        "validation": row,
        "test": row | {"accuracy": 0.875},
        "baseline": {"most frequent label": {"loss": 2.0, "accuracy": 0.25, "macro_f1": 0.1}},
        "labels": {label: scores for label in labels},
        "confusion": {"labels": [*labels], "counts": counts},
        "calibration": [
            {"confidence": k / 10, "accuracy": k / 11, "count": 10 * k} for k in range(3, 10)
        ],
    }


def all_examples(text="a film of <b>no</b> use"):
    """An examples.json of everything that any task writes."""
    image = [[(i * j) % 17 for j in range(8)] for i in range(8)]
    tokens = ["time", "flies", "like"]
    return {
        "mistakes": [
            {"input": given, "true": "a", "predicted": "b", "probability": 0.9}
            for given in (
                {"text": text},
                {"text": "so so", "tokens": ["so", "so"], "saliency": [0.4, 0.1]},
                {"values": image},
                {"values": [[k % 7, -k % 5] for k in range(60)], "features": ["up", "down"]},
                {"values": [[k % n for n in range(1, 20)] for k in range(90)]},
            )
        ],
        "sentences": [
            {
                "tokens": tokens,
                "true": ["NOUN", "VERB", "ADP"],
                "predicted": ["NOUN", "NOUN", "ADP"],
                "probabilities": [0.9, 0.8, None],
            }
        ],
        "passages": [{"tokens": [*"all the\ntime"], "probabilities": [0.5, 0.01, 1e-6, 1.0] * 3}],
        "samples": [{"prompt": "ROMEO:", "text": " what\nlight", "seed": 0}],
        "blanks": [
            {
                "tokens": ["a", None, "c"],
                "true": {"1": "b"},
                "candidates": {"1": [["b", 0.9], ["\n", 0.05]]},
            }
        ],
        "forecasts": [
            {
                "history": [1, 2, 3, None, 5],
                "truth": [6, 7],
                "forecast": [[5, 6, 7], [6, 7, 9]],
                "quantiles": [0.1, 0.5, 0.9],
            }
        ],
    }
