"""``inspect_source``: what a file or folder holds, before a model learns it. No Keras here."""

from __future__ import annotations

import os
import shlex
import warnings
from collections import Counter
from dataclasses import replace

import numpy as np

from kerasrnn import options
from kerasrnn.data.kinds import NAMES, format_of, kind_of
from kerasrnn.data.parts import label_counts
from kerasrnn.data.readers import LabelledTexts, TextParts, TimeSeries
from kerasrnn.data.roles import Roles, find_readings
from kerasrnn.data.sequences import dataset_of
from kerasrnn.data.series import Series
from kerasrnn.data.sources import find_tables, read_source
from kerasrnn.data.storage import chunks
from kerasrnn.data.table_parts import read_tables
from kerasrnn.data.texts import Texts
from kerasrnn.data.times import iso_times
from kerasrnn.errors import InputError

_KINDS = {"tagger": "sentences", "generator": "text", "infiller": "text"}  # that tasks read


def inspect_source(
    source: str | os.PathLike,
    *,
    roles: Roles | None = None,
    task: str | None = None,
    test: str | None = None,
    encoding: str | None = None,
) -> dict:
    """What a name, file or folder holds; arguments as of ``data.sources.read_source``.

    Tables are read in batches, so that they may be larger than the memory.

    Returns:
        Facts, for JSON: ``format``, ``columns`` (what each is and is for), ``sizes`` of the
        parts, ``lengths`` (min, median, max, and of what), ``classes`` (how many of each),
        ``windows`` of series to forecast (``sizes`` is then how many, where series are long
        enough for them), ``missing`` values, ``duplicates`` between parts, ``task``,
        ``warnings``, and ``train``, the commands that train on it: several where it can be
        read in several ways.

    Raises:
        InputError: as ``read_source``, but not for several readings; and for what cannot be
            trained on, of a table a warning.

    >>> inspect_source("digits")["lengths"]
    {'min': 8, 'median': 8, 'max': 8, 'of': 'steps'}
    """
    source = os.fspath(source)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tables = {} if task in _KINDS else find_tables(source, test, encoding)
        if tables:
            facts = _inspect_tables(source, tables, roles, task)
            more = _words(test=test, encoding=encoding)
            facts["train"] = [" ".join([command, *more]) for command in facts["train"]]
        else:
            facts = _inspect_other(source, roles, task, test, encoding)
    ours = [str(one.message) for one in caught if one.category is UserWarning]
    return {"source": source, **facts, "warnings": list(dict.fromkeys(ours))}


def _inspect_tables(source, tables, roles, task):
    table = tables["training"]
    readings = find_readings(table, roles, task)
    first = readings[0]
    facts = {
        "format": table.description,
        "columns": [
            {
                "name": name,
                "kind": column.kind,
                "role": first.role(name) if len(readings) == 1 else "",
            }
            for name, column in first.columns.items()
        ],
    }
    commands = [reading.command(source) for reading in readings]
    if len(readings) > 1:
        return facts | {"readings": [str(reading) for reading in readings], "train": commands}
    found = read_tables(tables, first)
    facts |= _described_series(found) if first.kind == "series" else {}
    try:  # what columns are is worth knowing all the same
        facts |= _described(found, source)
    except InputError as error:
        warnings.warn(str(error), stacklevel=2)
    task = options.TASK_OF_KIND[first.kind]
    return facts | {"reading": str(first), "task": task, "train": commands}


def _described(found, source):
    """What training makes of what a reader found."""
    if isinstance(found, TimeSeries):
        return _windows(found, source)
    if isinstance(found, TextParts):
        data, facts = _texts(found, source), _described_texts(found)
    else:
        data = dataset_of(found, source, options.tables("classifier", "sequences")[0])
        facts = _described_sequences(data, found)
    if data.labels:
        facts["classes"] = _classes(data)
    else:
        y = np.concatenate([part.y for part in data.parts().values()])
        facts["targets"] = {name: float(getattr(y, name)()) for name in ("min", "mean", "max")}
    rows = sum(data.sizes().values())
    return {"rows": rows, "sizes": _sizes(data)} | facts


def _texts(found, source):
    """Texts as training cuts them, but without their tokens, which take their time."""
    parts = {
        part: LabelledTexts([""] * len(some.texts), some.labels)
        for part, some in found.parts.items()
    }
    known = options.tables("classifier", "texts")[0] | {"level": "char"}
    return Texts.from_parts(replace(found, parts=parts), "", source, known)


def _described_texts(found):
    texts = {part: some.texts for part, some in found.parts.items()}
    words = [len(text.split()) for some in texts.values() for text in some]
    lengths = _range(words, "words")
    if lengths["median"] <= 1:
        lengths = _range([len(text) for some in texts.values() for text in some], "characters")
    keys = {part: [*map(hash, some)] for part, some in texts.items()} if len(texts) > 1 else {}
    return {"lengths": lengths, "missing": words.count(0)} | _duplicates(keys)


def _described_sequences(data, found):
    """What sequences are; those cut off for validation are looked for as training ones."""
    lengths, missing, keys = [], 0, {}
    for name, part in data.parts().items():
        name = name if name in found.parts else "training"
        steps = np.full(len(part), part.x.shape[1]) if part.lengths is None else part.lengths
        lengths.append(steps)
        for start, x in chunks(part.x):
            missing += int(np.isnan(x).sum())
            if len(found.parts) > 1:
                rows = zip(x.astype("float32", copy=False), steps[start:], strict=False)
                keys.setdefault(name, []).extend(hash(row[:n].tobytes()) for row, n in rows)
    lengths = _range(np.concatenate(lengths), "steps")
    return {"lengths": lengths, "missing": missing} | _duplicates(keys)


def _described_series(found):
    every = [*found.series, *(found.test or ())]
    lengths = _range([len(one.values) for one in every], "rows")
    times = [time for one in every if one.times is not None for time in one.times[[0, -1]]]
    ends = np.array([min(times), max(times)]) if times else np.array([])
    return {
        "rows": sum(len(one.values) for one in every),
        "lengths": lengths,
        "missing": sum(int(np.isnan(one.values).sum()) for one in every),
        "series": len(every),
        "times": [str(time) for time in iso_times(ends)],
    }


def _windows(found, source):
    """What training makes of series: windows, and the parts that they are cut in."""
    known = options.tables("regressor", "series")[0]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*; choose with --horizon")  # as it is a fact
        data = Series.from_rows(found, "", source, known)
    facts = {"window": data.window, "horizon": data.horizon, "season": data.season}
    return {"windows": facts, "sizes": _sizes(data)}


def _inspect_other(source, roles, task, test, encoding):
    """The facts of what is no table, or is not to be read as one."""
    kind = _KINDS.get(task) or kind_of(source, roles=roles)
    look = {"sentences": _inspect_sentences, "text": _inspect_text}.get(kind)
    if look:
        facts = look(source, roles, encoding)
    else:
        facts = _described(read_source(source, roles=roles, test=test, encoding=encoding), source)
    more = _words(task=task, label=roles and roles.label, test=test, encoding=encoding)
    return (
        {"format": _format(source, kind)}
        | facts
        | {
            "task": task or options.TASK_OF_KIND[kind],
            "train": [" ".join([shlex.join(["kerasrnn", "train", source]), *more])],
        }
    )


def _inspect_sentences(source, roles, encoding):
    from kerasrnn.data.sentences import load_sentences

    _check_roles(roles, source, "label")
    data = load_sentences(source, label=roles and roles.label, encoding=encoding)
    lengths = np.concatenate([part.lengths for part in data.parts().values()])
    return {
        "sizes": data.sizes(),
        "lengths": _range(lengths, data.tokens.noun),
        "classes": _classes(data),
    }


def _inspect_text(source, roles, encoding):
    from kerasrnn.data.corpora import load_corpus

    _check_roles(roles, source)
    data = load_corpus(source, encoding=encoding)
    return {"sizes": data.sizes(), "characters": len(data.vocabulary)}


def _sizes(data):
    return {"training": 0, "validation": 0, "test": 0} | data.sizes()


def _classes(data):
    """How many there are of each label, the most frequent first."""
    names = data.labels + data.unseen_labels
    counts = sum(label_counts(part.y, len(names)) for part in data.parts().values())
    return dict(Counter(dict(zip(names, counts.tolist(), strict=True))).most_common())


def _duplicates(keys):
    """How many of each other part stand in the training part too."""
    keys = {part: np.array(of) for part, of in keys.items()}
    training = keys.pop("training", None)
    found = {part: int(np.isin(of, training).sum()) for part, of in keys.items()}
    return {"duplicates": found} if found else {}


def _range(lengths, of):
    lengths = np.sort(lengths)
    places = {"min": 0, "median": (len(lengths) - 1) // 2, "max": -1}
    return {name: int(lengths[place]) for name, place in places.items()} | {"of": of}


def _check_roles(roles, source, *names):
    """Raise ``InputError`` for roles of columns other than those named, where there is no table."""
    said = {name: value for name, value in vars(roles or Roles()).items() if value is not None}
    if strange := said.keys() - {*names}:
        raise InputError(
            "columns of what is no table",
            where=source,
            found=" ".join(f"--{name}" for name in sorted(strange)),
            fix="leave them out",
        )


def _format(source, kind):
    if source in NAMES:
        return "a data set that is known by name"
    row = format_of(source)
    said = row.said if row.kind == "sentences" or kind != "sentences" else "columns of words"
    return f"folder of {said}" if os.path.isdir(source) else said


def _words(**given):
    """The options that are given, as words of a command."""
    return [shlex.join([f"--{name}", str(value)]) for name, value in given.items() if value]
