"""The options of each task and their defaults, for ``train`` and the command line's help."""

from __future__ import annotations

_FIT = {
    "epochs": 30,
    "batch_size": 32,
    "optimizer": "adam",
    "learning_rate": 0.005,
    "schedule": "constant",
    "clip_norm": 1.0,
}
_TEXT_FIT = _FIT | {
    "epochs": 20,
    "batch_size": 64,
    "learning_rate": 0.01,
    "schedule": "cosine",
    "steps": 64,
}
_STACK = {
    "units": 50,
    "cell": "lstm",
    "bidirectional": True,
    "go_backwards": False,
    "dropout": 0.2,
    "functional": False,
}

FIT = {
    "classifier": _FIT,
    "tagger": _FIT | {"epochs": 10, "schedule": "cosine"},
    "generator": _TEXT_FIT | {"sampling": "random", "sample_every": 5, "prompt": None},
    "infiller": _TEXT_FIT | {"mask_rate": 0.15, "mask_span": 4},
}
MODEL = {
    "classifier": _STACK | {"pooling": "last"},
    "tagger": _STACK | {"units": 128, "embedding": 64, "characters": None, "dropout": 0.4},
    "generator": _STACK | {"units": 256, "embedding": 64, "tied": False, "bidirectional": False},
    "infiller": _STACK | {"units": 128, "embedding": 64},
}
_TEXT = {
    "validation_split": 0.1,
    "unit": "char",
    "classic": False,
    "max_tokens": None,
    "min_frequency": 1,
    "max_size": None,
}
DATA = {
    "classifier": {"validation_split": 0.1, "seed": 0},
    "generator": _TEXT | {"lines": False},
    "tagger": {
        "validation_split": 0.1,
        "column": "upos",
        "min_frequency": 2,
        "max_size": None,
    },
    "infiller": _TEXT,
}


def defaults(name) -> dict:
    """The default of an option for each task that has it: ``{"classifier": 30, …}``."""
    return {
        task: table[task][name]
        for table in (FIT, MODEL, DATA)
        for task in table
        if name in table[task]
    }
