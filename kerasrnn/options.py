"""The choices and defaults of every option, for the library and the command line. No Keras here.

A task's options stand in three tables, which ``Settings`` keeps apart: those of its data, of
its model and of the fit. What is None is found from the data: by its reader, or by the task's
recipe.
"""

from __future__ import annotations

CELLS = ("lstm", "gru", "simple")
POOLINGS = ("last", "mean", "max", "mean_max", "attention")
STEMS = ("none", "conv", "fcn")
STEMS_OF_STEPS = STEMS[:2]  # that leave the steps to the head
BUDGET = ("epochs", "max_minutes", "patience")  # what ends a training
GOES_ON = (*BUDGET, "checkpoint_every", "strategy")  # with what one may go on that was stopped
MIXED = ("mixed_bfloat16", "mixed_float16")
PRECISIONS = ("float32", *MIXED)
OPTIMIZERS = ("adam", "adamw", "rmsprop", "sgd")
SCHEDULES = ("constant", "cosine", "plateau")
STRATEGIES = ("auto", "none", "mirrored", "multiworker")  # of devices and machines
SAMPLINGS = ("random", "sequential")
LEVELS = ("char", "word")
CLASS_WEIGHTS = ("none", "balanced")
FREEZES = ("embedding", "stack", "all-but-head")
UNKNOWN_CHOICES = ("error", "skip", "unk")
MOST_LAYERS = 64
STYLES = ("light", "dark")  # of pictures
FIGURES = (  # that 'plot' draws: curves, what an evaluation left, and what training saw
    *("curves", "confusion", "confusion-percent", "f1", "calibration", "positions", "mistakes"),
    *("sentences", "passages", "blanks", "forecasts", "labels", "lengths"),
)
EXPORT_FORMATS = ("saved_model", "onnx", "litert")
ROLES = (  # of the columns of a table: the option, what it takes, what it is
    ("text", "COLUMN", "Texts to classify"),
    ("label", "COLUMN", "Classes to predict"),
    ("target", "COLUMN,…", "Numbers to predict"),
    ("features", "COLUMN,…", "What to predict from; a range: t0:t99"),
    ("id", "COLUMN", "What tells sequences of several rows apart"),
    ("time", "COLUMN", "Times of the rows"),
    ("known", "COLUMN,…", "Features that are known in advance"),
    ("group", "COLUMN", "Rows of one group stay in one part"),
)

_FIT = {
    "epochs": 30,
    "batch_size": 32,
    "optimizer": "adam",
    "learning_rate": 0.005,
    "schedule": "constant",
    "clip_norm": 1.0,
    "patience": 0,
    "max_minutes": None,
    "checkpoint_every": None,
    "start_from": None,
    "freeze": None,
    "strategy": "auto",
    "deterministic": False,
    "tensorboard": False,
}
_TEXT_FIT = _FIT | {
    "epochs": None,
    "batch_size": None,
    "learning_rate": None,
    "schedule": "cosine",
    "sequence_length": 64,
}
_STACK = {
    "units": 50,
    "cell": "lstm",
    "bidirectional": True,
    "go_backwards": False,
    "dropout": 0.2,
    "precision": None,
    "functional": False,
}
_TEXT = {
    "validation_split": 0.1,
    "level": "char",
    "letters_only": False,
    "max_corpus_tokens": None,
    "min_frequency": 1,
    "max_vocabulary": None,
    "encoding": None,
    "start_from": None,
}
_POOLED = (
    _STACK | dict.fromkeys(("stem", "stem_stride", "pooling", "dropout")) | {"stem_filters": 64}
)
_PLAIN = {"stem": "none", "stem_stride": 1}
_BY_RECIPE = dict.fromkeys(("epochs", "batch_size", "learning_rate", "schedule", "patience"))
_TABLE = dict.fromkeys(("features", "id", "time", "group", "test", "encoding"))

DATA = {
    "classifier": {"validation_split": None, "seed": 0, "text": None, "label": None} | _TABLE,
    "regressor": {"validation_split": None, "seed": 0, "target": None} | _TABLE,
    "tagger": {
        "validation_split": 0.1,
        "label": None,
        "min_frequency": 2,
        "max_vocabulary": None,
        "encoding": None,
        "start_from": None,
    },
    "generator": _TEXT | {"lines": False},
    "infiller": _TEXT,
}
MODEL = {
    "classifier": _POOLED | {"members": None, "instance_scaling": None},
    "regressor": _POOLED | {"members": None, "quantiles": None},
    "tagger": _STACK
    | {"units": 128, "stem": "none", "embedding_dim": 64, "use_characters": None, "dropout": 0.4},
    "generator": _STACK
    | {"units": 256, "embedding_dim": 64, "dropout": None, "tied": None, "bidirectional": False},
    "infiller": _STACK | {"units": 128, "embedding_dim": 64, "dropout": None, "tied": None},
}
FIT = {
    "classifier": _FIT | _BY_RECIPE | {"class_weight": "none"},
    "regressor": _FIT | _BY_RECIPE,
    "tagger": _FIT | {"epochs": None, "schedule": "cosine"},
    "generator": _TEXT_FIT | {"sampling": "random", "sample_every": 5, "prompt": None},
    "infiller": _TEXT_FIT | {"mask_rate": 0.15, "mask_span": 4},
}
OF_KIND = {  # what differs for a kind of data, in the same three tables
    "texts": (
        {
            "level": None,
            "max_vocabulary": None,
            "min_frequency": None,
            "max_length": None,
            "multi_label": None,
            "start_from": None,
        },
        _PLAIN
        | {"units": 128, "embedding_dim": 64, "dropout": 0.4, "pooling": "max", "members": 1}
        | {"instance_scaling": False},
        _FIT
        | {"epochs": None, "batch_size": None}
        | {"learning_rate": 0.004, "schedule": "cosine"},
    ),
    "series": (
        {
            "validation_split": 0.1,
            "horizon": None,
            "window": None,
            "season": None,
            "known": None,
            "backtest": 0,
        },
        {"units": 32, "members": 1},
        {},
    ),
}
GENERATION = {  # of ``kerasrnn generate``
    "max_length": 500,
    "temperature": 1.0,
    "top_k": 0,
    "top_p": 1.0,
    "repetition_penalty": 1.0,
}
TASKS = tuple(MODEL)
TASK_OF_KIND = {
    "sequences": "classifier",
    "texts": "classifier",
    "numbers": "regressor",
    "series": "regressor",
    "sentences": "tagger",
    "text": "generator",
}


def defaults(name: str) -> dict:
    """The default of an option for each task, and each kind of data, that has one of its own.

    >>> defaults("pooling")
    {'classifier': None, 'regressor': None, 'texts': 'max'}
    """
    owners = {task: tables(task) for task in TASKS} | OF_KIND
    return {
        owner: table[name] for owner, three in owners.items() for table in three if name in table
    }


def tables(task: str, kind: str | None = None) -> list[dict]:
    """The options of a task with their defaults: those of its data, model and fit.

    kind: of the data, where it is known.
    """
    own = (DATA[task], MODEL[task], FIT[task])
    return [table | more for table, more in zip(own, OF_KIND.get(kind, ({}, {}, {})), strict=True)]
