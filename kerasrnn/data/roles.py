"""What the columns of a table are for, and how it is read: ``find_layout(table, roles)``.

Where several readings are possible the user is asked, with the command of each. No Keras here.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field, fields

from kerasrnn.data.columns import (
    MOST_REPEATED,
    Column,
    Head,
    check_column,
    numbered,
    warn_of_codes,
    words_of,
)
from kerasrnn.errors import InputError

_FEWEST_STEPS = 4  # numbered columns that make a series a row
_STEPS_A_NUMBER = 4  # of these for each other column of numbers, at least
_MOST_CLASSES = 60  # of labels that are numbers; the UCR archive has as many
_SURE_CLASSES = 10  # up to which whole numbers are labels without being asked about
_MOST_COMMANDS = 4  # spelled out where several readings are possible
_LABELS = {"label", "labels", "class", "category", "sentiment", "target", "y"}
_TIMES = {
    *("time", "timestamp", "date", "datetime", "step", "t", "tick", "second", "seconds", "ms"),
    *("frame", "minute", "hour", "day", "week", "month", "quarter", "year", "index"),
}
_IDS = {
    *("id", "ids", "case", "subject", "sequence", "series", "sample", "device", "sensor", "unit"),
    *("entity", "person", "user", "patient", "trial", "session", "station", "machine", "store"),
    *("item", "sku", "uid", "uuid", "key"),
}
_PARTS = {"train", "training", "dev", "val", "valid", "validation", "test", "testing"}
_SEVERAL = ("target", "features", "known")  # roles of one or several columns
_WORDS = {  # what a column holds
    "row": "row numbers",
    "id": "ids that do not repeat",
    "constant": "the same everywhere",
    "empty": "empty",
    "text": "text",
    "category": "categories",
    "time": "times",
    "number": "numbers",
    "whole": "whole numbers",
}


@dataclass(frozen=True)
class Roles:
    """What the user says of the columns of a table; None where it is to be found.

    text, label, id, time, group: names of columns. target, features, known: one or several,
    separated by commas, or from the first to the last of a range, ``t0:t99``.

    >>> Roles(features="t0:t2").resolve(("t0", "t1", "t2", "y"), "a.csv").features
    ['t0', 't1', 't2']
    """

    text: str | None = None
    label: str | None = None
    target: str | None = None
    features: str | None = None
    id: str | None = None
    time: str | None = None
    group: str | None = None
    known: str | None = None

    def resolve(self, columns: tuple[str, ...], where: str) -> Roles:
        """The same with lists for the roles of several columns.

        Raises ``InputError`` for a column that the table does not have.
        """
        given = {row.name: getattr(self, row.name) for row in fields(self)}
        given = {role: value for role, value in given.items() if value is not None}
        for role, value in given.items():
            names = _names(value, columns, f"--{role}", where) if role in _SEVERAL else [value]
            for name in names:
                check_column(name, columns, where, f"--{role}")
            given[role] = names if role in _SEVERAL else value
        return Roles(**given)

    def check_together(self, task: str | None, where: str):
        """Raise ``InputError`` for roles of different tasks."""
        if self.text and (self.target or task == "regressor"):
            raise _no_numbers_of_texts(where)
        if self.label and (self.target or task == "regressor"):
            raise InputError(
                "a label for a regressor",
                where=where,
                found=f"--label {self.label}",
                expected="either --label, for classes, or --target, for numbers",
            )
        if self.target and task == "classifier":
            raise InputError("--target for a classifier", where=where, expected="--label")


@dataclass(frozen=True)
class Layout:
    """One reading of a table.

    layout: ``"texts"``, ``"wide"`` (a series a row), ``"long"`` (a step a row, with an id) or
    ``"series"``. kind: as ``data.kinds.kind_of`` says it. reading: the roles, as a run keeps
    them. columns: what each column is. chosen: whether the user chose the features.
    """

    layout: str
    kind: str
    reading: dict
    columns: dict[str, Column] = field(repr=False)
    chosen: bool = False

    def role(self, name: str) -> str:
        """What a column is for: text, label, target, id, time, feature, … or ``""``."""
        for role in sorted(self.reading, key=lambda role: role == "features"):
            value = self.reading[role]
            if role != "layout" and (name in value if isinstance(value, list) else name == value):
                return role.removesuffix("s") if role == "features" else role
        return ""

    def command(self, *path: str) -> str:
        """The command that trains on the table with this reading."""
        words = ["kerasrnn", "train", *map(str, path)]
        roles = ["text", "id", "time", "label", "target", "group", "known"]
        for role in roles + ["features"] * self.chosen:
            if value := self.reading.get(role):
                words += [f"--{role}", ",".join(value) if isinstance(value, list) else value]
        return shlex.join(words)

    def __str__(self):
        what = ", ".join(self.reading.get("target", [self.reading.get("label", "")]))
        if self.kind == "series":
            return f"the next values of {what}"
        if self.layout == "texts":
            return f"the label ({what}) of each text ({self.reading['text']})"
        one = {"wide": "row", "long": "id"}[self.layout]
        noun = "number" if self.kind == "numbers" else "label"
        return f"a {noun} for each {one} ({what})"


def find_layout(table, roles: Roles | None = None, task: str | None = None) -> Layout:
    """How a table is read: from what the user says, and the kinds and names of its columns.

    table: a ``readers.tables.Table``. roles: what the user says. task: the one asked for.

    Raises:
        InputError: no reading is possible, or several are: their commands are spelled out.
    """
    readings = find_readings(table, roles, task)
    if len(readings) > 1:
        raise _question(table.path, readings)
    return readings[0]


def find_readings(table, roles: Roles | None = None, task: str | None = None) -> list[Layout]:
    """Each reading of a table that is possible; arguments as of ``find_layout``.

    Raises ``InputError`` where none is.
    """
    said = (roles or Roles()).resolve(table.columns, table.path)
    said.check_together(task, table.path)
    head = Head(table)
    if not head.rows:
        raise InputError("empty data", where=table.path, found="no rows")
    finder = _Finder(head, said, task)
    readings = [*finder.texts(), *(finder.sequences() or finder.series())]
    if not readings:
        raise _no_reading(head, said)
    if said.group:
        readings = [reading for reading in readings if reading.layout != "series"]
    if not readings:
        what = "--group of a series, whose parts follow each other in time"
        fix = "leave it out, or name what tells several series apart by --id"
        raise InputError(what, where=table.path, found=repr(said.group), fix=fix)
    if len(readings) == 1:
        used = [column for name, column in head.columns.items() if readings[0].role(name)]
        warn_of_codes(table.path, used)
    return readings


class _Finder:
    """The possible readings of a table: one for each column that could be what is not said."""

    def __init__(self, head, said, task):
        self.head, self.said, self.task, self.columns = head, said, task, head.columns
        self.split = next(filter(self._says_part, self.columns), None)
        counted = self._find_counted()
        self.time = said.time or self._find_time() or counted.get("time")
        self.ids = [said.id] if said.id else self._find_ids() or [*counted.values()][:1]
        self.taken = {self.time, self.split, said.group, said.id}
        free = [n for n in self._of("number", "whole") if n not in {*self.taken, *self.ids}]
        self.numbers = [name for name in free if not self._is_id(name)]

    def texts(self) -> list[Layout]:
        """A text and its label a row."""
        said = self.said
        others = said.time or said.features or said.target or said.known
        if self.task == "regressor" or (others and not said.text):
            return []
        texts = [said.text] if said.text else self._of("text")
        if not said.text and len(self.numbers) > 1:  # names, say, beside measurements
            texts = [name for name in texts if self.columns[name].words >= 2]
        return [
            self._layout("texts", text=text, **role)
            for text in texts
            for role in self._asked([n for n in self.columns if n != text], self.head.rows)
            if "label" in role
        ]

    def sequences(self) -> list[Layout]:
        """Sequences with something to predict of each, or of their future."""
        if self.said.text:
            return []
        repeated = [id for id in self.ids if self.head.repeats(id)]
        found = [reading for id in repeated for reading in self._long(id)]
        timed = self.time and self.columns[self.time].kind != "row"
        if timed and self.said.label and self.said.features:  # steps of a row were named
            timed = self.said.time or found
        if not timed and not (self.said.id and repeated):
            found += self._wide()
        return found

    def series(self) -> list[Layout]:
        """One series, of which the next values are to be predicted."""
        said = self.said
        if said.text or said.label or said.id or self.task == "classifier":
            return []
        if self.time and not said.time and self._times_repeat():
            return []
        if said.target and not self.time and self._of("text"):
            return []
        alone = len(self.numbers) == 1 and not self._of("text", "category", "id", "time")
        if not self.time and not said.target and not (alone or (self.task and said.features)):
            return []
        targets = [said.target] if said.target else [[name] for name in self.numbers]
        return [self._series(target) for target in targets]

    def _long(self, id):
        """The readings by an id: a label or a number for each, or the future of each."""
        said = self.said
        futures = self.task != "classifier" and not said.label
        free = [name for name in self.columns if name not in {id, *self.taken}]
        constant = [name for name in free if self.head.constant_within(id, name)]
        varying = [name for name in self.numbers if name not in constant]
        if said.target and not set(said.target) <= {*constant}:
            return [self._series(said.target, id)] if futures else []
        number = self.columns[id].distinct if self.head.whole else self.head.rows
        roles = self._asked(constant, number)
        if roles:
            features = said.features or varying
            return self._labelled("long", roles, features, id=id, time=self.time)
        return [self._series([name], id) for name in varying] if futures and self.time else []

    def _wide(self):
        """The readings of a row as a series, with its label or numbers."""
        said, names = self.said, list(self.columns)
        steps = said.features or numbered(self.columns)
        if self.head.table.header or said.features:
            rest = [name for name in names if name not in steps]
        else:  # the label is the column that is no number, or the first or the last
            steps = [name for name in names if self.columns[name].may_be_step]
            rest = self._of("category") or list(dict.fromkeys((names[0], names[-1])))
        others = [name for name in rest if name in self.numbers]
        few = 1 if said.features else max(_FEWEST_STEPS, _STEPS_A_NUMBER * len(others))
        if len(steps) < few:
            return []
        return self._labelled("wide", self._asked(rest, self.head.rows), steps, id=said.id)

    def _labelled(self, layout, roles, features, **others):
        """The readings by what could be predicted, which is no feature."""
        found = []
        for role in roles:
            out = {role.get("label"), *role.get("target", ())}
            if left := [name for name in features if name not in out]:
                found.append(self._layout(layout, **others, features=left, **role))
        return found

    def _series(self, target, id=None):
        features = {*(self.said.features or self.numbers), *target, *(self.said.known or ())}
        features = [name for name in self.columns if name in features]
        return self._layout("series", id=id, time=self.time, target=target, features=features)

    def _asked(self, names, number):
        """What could be predicted: ``[{"label": …}, {"target": […]}, …]``.

        names: the columns among which it is. number: of what has a label each.
        """
        if self.said.label:
            return [{"label": self.said.label}]
        if self.said.target:
            return [{"target": self.said.target}]
        names = [name for name in names if name not in self.taken]
        labels = [name for name in names if self._may_be_label(name, number)]
        named = [name for name in labels if name.lower() in _LABELS]
        labels = named or [name for name in labels if name not in self.ids]
        numbers = [name for name in names if name in self.numbers]
        if self.task == "regressor":
            return [{"target": [name]} for name in numbers]
        whole = [name for name in labels if self.columns[name].kind == "whole"]
        unsure = [name for name in whole if self.columns[name].distinct > _SURE_CLASSES]
        targets = [] if self.task else unsure if labels else numbers
        if named or (not self.head.table.header and labels):
            targets = []
        return [{"label": name} for name in labels] + [{"target": [name]} for name in targets]

    def _may_be_label(self, name, number):
        column = self.columns[name]
        if column.kind == "whole":
            most = number / 2 if name.lower() in _LABELS else min(_MOST_CLASSES, number / 5)
            return column.distinct <= max(2, most) and column.distinct < number
        return column.kind == "category" and column.distinct < number

    def _find_time(self):
        """The column of times; or one of numbers whose name says so, where it is the only one."""
        times = self._of("time")
        if len(times) > 1:
            times = [name for name in times if words_of(name) & _TIMES]
        elif not times and self.head.table.header:
            times = self._of("row", "whole", "number")
            times = [name for name in times if words_of(name) and words_of(name) <= _TIMES]
        return times[0] if len(times) == 1 else None

    def _times_repeat(self):
        return self.head.repeated(self.time) > MOST_REPEATED

    def _find_ids(self):
        """Columns that tell sequences apart: by name, or as each has a time but once."""
        said = self.said
        taken = {said.label, said.text, said.group, self.time, self.split}
        taken |= {*(said.target or ()), *(said.features or ())}
        could = [
            name
            for name in self._of("whole", "category", "text", "id")
            if name not in taken and self.head.repeats(name)
        ]
        found = [name for name in could if self._is_id(name)]
        if not found and self.time and self._times_repeat():
            found = [name for name in could if not self.head.repeats(name, self.time)]
        finest = [
            name for name in found if all(self.head.constant_within(name, other) for other in found)
        ]
        return finest if len(finest) == 1 else found

    def _find_counted(self):
        """The first two columns, where the second counts the rows of each value of the first."""
        id, time = [*self.columns, None][:2]
        asked = time in self._of("whole") and not (self.said.id or self.said.time)
        if asked and self.head.repeats(id) and self.head.counts_within(id, time):
            return {"id": id, "time": time}
        return {}

    def _is_id(self, name):
        could = self.head.table.header and self.columns[name].kind != "number"
        return could and bool(words_of(name) & _IDS)

    def _says_part(self, name):
        """Whether a column says which part a row is of."""
        values = {value.lower() for value in self.columns[name].values}
        return len(values) > 1 and values <= _PARTS and bool(values & {"train", "training"})

    def _of(self, *kinds):
        return [name for name, column in self.columns.items() if column.kind in kinds]

    def _layout(self, layout, **roles):
        said = self.said
        roles |= {"group": said.group, "split": self.split, "known": said.known}
        reading = {"layout": layout, **{role: value for role, value in roles.items() if value}}
        kind = {"texts": "texts", "series": "series"}.get(layout, "sequences")
        kind = "numbers" if kind == "sequences" and "target" in reading else kind
        return Layout(layout, kind, reading, self.columns, said.features is not None)


def _names(value, columns, option, where):
    """The columns that ``a,b`` or ``t0:t9`` names, each once."""
    if value in columns:
        return [value]
    names = []
    for name in map(str.strip, value.split(",")):
        first, colon, last = name.partition(":")
        if colon and name not in columns:
            for end in (first, last):
                check_column(end, columns, where, option)
            names += columns[columns.index(first) : columns.index(last) + 1]
            if columns.index(first) > columns.index(last):
                fix = f"turn it round: {last}:{first}"
                raise InputError(f"{option}: an empty range", where=where, found=name, fix=fix)
        else:
            names.append(name)
    return list(dict.fromkeys(names))


def _question(path, readings):
    """The error where several readings are possible."""
    commands = [f"`{reading.command(path)}`" for reading in readings[:_MOST_COMMANDS]]
    more = len(readings) - len(commands)
    return InputError(
        "several readings are possible",
        where=path,
        found="; ".join(map(str, readings[:_MOST_COMMANDS])) + (f" and {more} more" * bool(more)),
        fix=f"choose one: {' or '.join(commands)}",
    )


def _no_numbers_of_texts(where):
    return InputError(
        "numbers to predict from texts, which no task does",
        where=where,
        expected="--label, the class of each text",
    )


def _no_reading(head, said):
    """The error where no reading is possible."""
    path, columns = head.table.path, head.columns
    texts = [name for name, column in columns.items() if column.kind == "text"]
    command = shlex.join(["kerasrnn", "train", str(path)])
    shown = [f"{name} ({_WORDS[column.kind]})" for name, column in [*columns.items()][:12]]
    found = ", ".join(shown) + (", …" if len(columns) > 12 else "")
    if texts and said.target:
        return _no_numbers_of_texts(path)
    if texts or said.text:
        text = shlex.quote(said.text or texts[0])
        return InputError(
            "texts without a column that could be their label",
            where=path,
            found=found,
            fix=f"name it: `{command} --text {text} --label COLUMN`; or learn to write such "
            f"lines: `{command} --task generator`",
        )
    numbers = [name for name, column in columns.items() if column.kind in ("number", "whole")]
    labels = [name for name, column in columns.items() if column.kind == "category"]
    ways = [f"`{command} --target {shlex.quote(n)}`, in the order of rows" for n in numbers[-1:]]
    ways += [f"`{command} --id COLUMN`, where a row is a step of a sequence"] * bool(numbers)
    if len(numbers) > 1:
        could = (n for n in labels + numbers if n.lower() in _LABELS)
        label = said.label or next(could, "COLUMN")
        steps = [name for name in numbers if name != label]
        label, steps = map(shlex.quote, (label, f"{steps[0]}:{steps[-1]}"))
        way = f"`{command} --label {label} --features {steps}`, where a row is a sequence"
        ways.append(way)
    return InputError(
        "a table that could mean many things",
        where=path,
        found=found,
        fix=f"say what its columns are: {'; or '.join(ways)}" if ways else None,
    )
