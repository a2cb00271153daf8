"""``inspect_source``: what a file or folder holds, before a model learns it. No Keras here."""

from __future__ import annotations

import math
import os
import shlex
import statistics
import warnings
from array import array
from collections import Counter

import numpy as np

from kerasrnn import options
from kerasrnn.data.kinds import NAMES, format_of, kind_of
from kerasrnn.data.layouts import Batch, read_rows
from kerasrnn.data.parts import TEST_SPLIT, validation_share
from kerasrnn.data.readers import TextParts
from kerasrnn.data.roles import Roles, find_readings
from kerasrnn.data.series import Series
from kerasrnn.data.sources import find_tables, read_source
from kerasrnn.data.table_parts import read_tables
from kerasrnn.data.times import iso_times
from kerasrnn.errors import InputError

_KINDS = {"tagger": "sentences", "generator": "text", "infiller": "text"}  # that tasks read
_ROWS = 1024  # of arrays that are looked at together


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
        InputError: as ``read_source``, but not for several readings.

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
    tallies = {part: _Tally() for part in tables}
    for part, tally in tallies.items():
        for batch in read_rows(tables[part], first.reading, rows=False):
            tally.add(batch)
    said = _described(tallies, series=first.kind == "series")
    if first.kind == "series":
        said |= _windows(tables, first, source)
    return (
        facts
        | said
        | {
            "reading": str(first),
            "task": options.TASK_OF_KIND[first.kind],
            "train": commands,
        }
    )


def _windows(tables, layout, source):
    """What training makes of series: windows, and the parts that they are cut in."""
    known = options.tables("regressor", "series")[0]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*; choose with --horizon")  # as it is a fact
        try:
            data = Series.from_rows(read_tables(tables, layout), "", source, known)
        except InputError as error:
            warnings.warn(str(error), stacklevel=2)
            return {}
    sizes = {"training": 0, "validation": 0, "test": 0} | data.sizes()
    facts = {"window": data.window, "horizon": data.horizon, "season": data.season}
    return {"windows": facts, "sizes": sizes}


def _inspect_other(source, roles, task, test, encoding):
    """The facts of what is no table, or is not to be read as one."""
    kind = _KINDS.get(task) or kind_of(source, roles=roles)
    look = {"sentences": _inspect_sentences, "text": _inspect_text}.get(kind)
    if look:
        facts = look(source, roles, encoding)
    else:
        facts = _inspect_arrays(source, roles, test, encoding)
    more = _words(task=task, label=roles and roles.label, test=test, encoding=encoding)
    return (
        {"format": _format(source, kind)}
        | facts
        | {
            "task": task or options.TASK_OF_KIND[kind],
            "train": [" ".join([shlex.join(["kerasrnn", "train", source]), *more])],
        }
    )


def _inspect_arrays(source, roles, test, encoding):
    found = read_source(source, roles=roles, test=test, encoding=encoding)
    tallies = {}
    for part, some in found.parts.items():
        tally = tallies[part] = _Tally()
        x, y, lengths = (*some, None)[:3]
        for start in range(0, len(x), _ROWS):
            rows = slice(start, start + _ROWS)
            labels = y[rows]
            if isinstance(found, TextParts) or not found.targets:
                names = getattr(found, "labels", None)
                labels = [names[label] if names else str(label) for label in labels]
            tally.add(Batch(x[rows], None if lengths is None else lengths[rows], labels))
    return _described(tallies)


def _inspect_sentences(source, roles, encoding):
    from kerasrnn.data.sentences import load_sentences

    _check_roles(roles, source, "label")
    data = load_sentences(source, label=roles and roles.label, encoding=encoding)
    counts = Counter(int(y) for part in data.parts().values() for y in part.y)
    names = data.labels + data.unseen_labels
    lengths = Counter(int(n) for part in data.parts().values() for n in part.lengths)
    return {
        "sizes": data.sizes(),
        "lengths": _range(lengths, data.tokens.noun),
        "classes": {names[index]: number for index, number in counts.most_common()},
    }


def _inspect_text(source, roles, encoding):
    from kerasrnn.data.corpora import load_corpus

    _check_roles(roles, source)
    data = load_corpus(source, encoding=encoding)
    return {"sizes": data.sizes(), "characters": len(data.vocabulary)}


class _Tally:
    """Counts of one part, batch by batch."""

    def __init__(self):
        self.size = self.missing = self.unlabelled = 0
        self.words, self.lengths, self.classes, self.keys = (
            Counter(),
            Counter(),
            Counter(),
            array("q"),
        )
        self.numbers, self.times, self.texts = [], [], False

    def add(self, batch):
        inputs, lengths, labels = batch[:3]
        self.size += len(inputs)
        self.texts |= bool(len(inputs)) and isinstance(inputs[0], str)
        if self.texts:
            self.words.update(len(text.split()) for text in inputs)
            self.lengths.update(map(len, inputs))
            self.missing += sum(not text.strip() for text in inputs)
            self.keys.extend(map(hash, inputs))
        elif isinstance(inputs, list):  # series
            self.lengths.update(len(rows.values) for rows in inputs)
            self.missing += sum(int(np.isnan(rows.values).sum()) for rows in inputs)
            times = [rows.times for rows in inputs if rows.times is not None]
            self.times += [time for own in times for time in (own[0], own[-1])]
        else:
            x = np.asarray(inputs, "float32")
            steps = [x.shape[1]] * len(x) if lengths is None else lengths.tolist()
            self.lengths.update(steps)
            self.missing += int(np.isnan(x).sum())
            self.keys.extend(hash(row.tobytes()) for row in x)
        if isinstance(labels, np.ndarray):
            self.numbers.append(labels)
        elif labels is not None:
            self.unlabelled += sum(label is None for label in labels)
            self.classes.update(label for label in labels if label is not None)


def _described(tallies, series=False):
    """What the tallies of the parts say together."""
    total = sum((tally.lengths for tally in tallies.values()), Counter())
    words = sum((tally.words for tally in tallies.values()), Counter())
    of, counted = "rows" if series else "steps", total
    if words:
        of, counted = ("words", words) if _median(words) > 1 else ("characters", total)
    classes = sum((tally.classes for tally in tallies.values()), Counter())
    numbers = [rows for tally in tallies.values() for rows in tally.numbers]
    facts = {
        "rows": sum(tally.size for tally in tallies.values()),
        "lengths": _range(counted, of),
        "missing": sum(tally.missing for tally in tallies.values()),
    }
    if series:
        times = [time for tally in tallies.values() for time in tally.times]
        facts |= {"series": facts["rows"], "rows": sum(n * k for n, k in total.items())}
        ends = np.array([min(times), max(times)]) if times else np.array([])
        facts["times"] = [str(time) for time in iso_times(ends)]
    else:
        facts["sizes"] = {part: tally.size for part, tally in tallies.items()}
        if "test" not in tallies:
            facts["sizes"] = _cut_sizes(facts["sizes"], "texts" if words else "sequences")
    if classes:
        facts["classes"] = dict(classes.most_common())
        facts["unlabelled"] = sum(tally.unlabelled for tally in tallies.values())
    if numbers:
        values = np.concatenate(numbers)
        low, mean, high = (f(values) for f in (np.nanmin, np.nanmean, np.nanmax))
        facts["targets"] = {"min": float(low), "mean": float(mean), "max": float(high)}
    if len(tallies) > 1 and not series:
        facts["duplicates"] = _duplicates(tallies)
    return facts


def _duplicates(tallies):
    """How many of each other part stand in the training part too."""
    training = np.frombuffer(tallies["training"].keys, "int64")
    return {
        part: int(np.isin(np.frombuffer(tally.keys, "int64"), training).sum())
        for part, tally in tallies.items()
        if part != "training"
    }


def _cut_sizes(sizes, what):
    """The sizes of the parts after what is missing is cut off, as ``parts.cut_missing`` does."""
    left = sizes["training"]
    test = math.ceil(TEST_SPLIT * left)
    share = validation_share(left - test, what)
    validation = sizes.get("validation") or math.ceil(share * (left - test))
    rest = left - test - (0 if "validation" in sizes else validation)
    return {"training": rest, "validation": validation, "test": test}


def _range(counts, of):
    return {"min": min(counts), "median": _median(counts), "max": max(counts), "of": of}


def _median(counts):
    """The median of counted values."""
    total, seen = counts.total(), 0
    for value in sorted(counts):
        seen += counts[value]
        if 2 * seen >= total:
            return value
    return statistics.median([])


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
