"""The ranges of options that ``tune`` searches. No Keras and no Optuna here.

A range is ``(low, high)``, both within it, or a list of choices.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kerasrnn import options
from kerasrnn.errors import InputError

Range = tuple | list  # of numbers; of numbers or names

WIDEST = {  # of the options that can be searched; whole numbers, where both ends are such
    "units": (1, 4096),
    "layers": (1, options.MOST_LAYERS),
    "cell": [*options.CELLS],
    "dropout": (0.0, 0.95),
    "stem": [*options.STEMS],
    "pooling": [*options.POOLINGS],
    "embedding_dim": (1, 4096),
    "batch_size": (1, 65536),
    "optimizer": [*options.OPTIMIZERS],
    "learning_rate": (1e-7, 10.0),
    "schedule": [*options.SCHEDULES],
    "clip_norm": (0.0, 1000.0),
    "class_weight": [*options.CLASS_WEIGHTS],
    "sequence_length": (2, 65536),
    "mask_rate": (0.01, 0.95),
}
_USUAL = {
    "units": (16, 128),
    "layers": (1, 3),
    "cell": ["lstm", "gru"],
    "dropout": (0.0, 0.6),
    "batch_size": (8, 64),
    "learning_rate": (5e-4, 2e-2),
}
_POOLED = {"pooling": ["last", "mean", "max", "mean_max", "attention"]}
_SEQUENCES = _USUAL | {"dropout": (0.0, 0.85), "stem": [*options.STEMS]} | _POOLED
_TEXT = _USUAL | {"units": (64, 512), "batch_size": (16, 128), "sequence_length": (32, 128)}
_OF_TASK = {  # what is searched where nothing is said
    "classifier": _SEQUENCES,
    "regressor": _SEQUENCES,
    "tagger": _USUAL | {"units": (64, 256), "embedding_dim": (32, 128)},
    "generator": _TEXT,
    "infiller": _TEXT,
}
_OF_KIND = {
    "texts": _USUAL | _POOLED | {"units": (32, 256), "embedding_dim": (32, 128)},
    "series": _USUAL | _POOLED | {"learning_rate": (3e-4, 1e-2)},
}


def parse_range(text: str) -> tuple[str, Range]:
    """The name and the range of ``NAME=LOW:HIGH`` or ``NAME=CHOICE,CHOICE``.

    Raises ``InputError`` for anything else.

    >>> parse_range("learning_rate=1e-4:1e-2"), parse_range("units=32,64"), parse_range("cell=gru")
    (('learning_rate', (0.0001, 0.01)), ('units', [32, 64]), ('cell', ['gru']))
    """
    name, equals, said = text.partition("=")
    name = name.strip().lstrip("-").replace("-", "_")
    between = ":" in said
    values = [_value(part.strip()) for part in said.split(":" if between else ",")]
    if not name or not equals or "" in values or (between and len(values) != 2):
        raise InputError("no range", found=text, expected="NAME=LOW:HIGH or NAME=CHOICE,CHOICE,…")
    return name, (values[0], values[1]) if between else values


def show_range(found: Range) -> str:
    """A range as ``parse_range`` takes it.

    >>> show_range((0.0005, 0.02)), show_range(["lstm", "gru"])
    ('0.0005:0.02', 'lstm,gru')
    """
    between = isinstance(found, tuple)
    return (":" if between else ",").join(
        f"{value:g}" if isinstance(value, float) else f"{value}" for value in found
    )


def usual_ranges(task: str, kind: str | None = None) -> dict[str, Range]:
    """What is searched for a task, and a kind of data, where nothing is said.

    >>> usual_ranges("classifier", "texts")["units"]
    (32, 256)
    """
    return _OF_KIND.get(kind, _OF_TASK[task])


def search_space(
    task: str,
    kind: str | None,
    search: Iterable[str] | None = None,
    ranges: Mapping[str, Range] | None = None,
    fixed: Iterable[str] = (),
) -> dict[str, Range]:
    """The ranges to search: the usual ones, without those of options that are fixed.

    Args:
        task, kind: of the data.
        search: names of the options to search instead of all that are usual.
        ranges: other ranges by name; their options are searched too.
        fixed: names of options that have one value.

    Raises:
        InputError: an option that the task does not have, that is not searched, or that is
            fixed as well; a range beyond what the option can be; nothing to search.

    >>> search_space("generator", None, ["dropout", "layers"], {"layers": (2, 4)})
    {'dropout': (0.0, 0.6), 'layers': (2, 4)}
    """
    usual, ranges, fixed = usual_ranges(task, kind), dict(ranges or {}), set(fixed)
    names = [*(usual if search is None else search), *ranges]
    tables = options.tables(task, kind)
    allowed = [n for n in WIDEST if n == "layers" or any(n in table for table in tables[1:])]
    for name in names:
        if name not in allowed:
            expected = ", ".join(allowed)
            raise InputError("no option to search", found=name, expected=f"some of {expected}")
    for name in [*(search or ()), *ranges]:
        if name in fixed:
            raise InputError(
                "an option that is searched and has one value", found=name, fix="choose one"
            )
    space = {
        name: _check(name, ranges.get(name, usual.get(name, WIDEST[name])))
        for name in dict.fromkeys(names)
        if name not in fixed
    }
    if not space:
        raise InputError("nothing to search", fix="leave out some options that have one value")
    return space


def _check(name, found):
    """A range of an option, with numbers of its type."""
    widest = WIDEST[name]
    good = isinstance(found, (tuple, list)) and len(found) > 0
    if isinstance(widest, list):
        good = good and isinstance(found, list) and all(value in widest for value in found)
    elif good:
        low, high = widest
        kind = type(low)
        good = all(isinstance(value, (int, kind)) and low <= value <= high for value in found)
        if isinstance(found, tuple):
            good = good and len(found) == 2 and found[0] < found[1]
        found = type(found)(kind(value) for value in found) if good else found
    if not good:
        shown = show_range(found) if isinstance(found, (tuple, list)) else found
        ordered = "LOW:HIGH or choices " if isinstance(widest, tuple) else "choices "
        raise InputError(
            f"no range of {name}", found=shown, expected=f"{ordered}within {show_range(widest)}"
        )
    return found


def _value(text):
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
