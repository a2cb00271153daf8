"""``kerasrnn inspect``: what data is, before a model is trained on it."""

from __future__ import annotations

import shutil

import click

from kerasrnn import options
from kerasrnn.cli.common import DATA, option, verb
from kerasrnn.cli.output import print_json

_MOST = 20  # columns and classes that are shown


def role_options(function):
    """Add the options that say what the columns of a table are."""
    for name, metavar, text in reversed(options.ROLES):
        function = option(f"--{name}", metavar=metavar, help=text, group="Columns")(function)
    return function


@verb(json="Print the facts as JSON", runs=False)
@click.argument("data", type=DATA)
@role_options
@option("--task", type=click.Choice(options.TASKS), metavar="NAME", help="The task it is for")
@option("--test", metavar="PATH", help="The test part, in a file of its own")
@option("--encoding", metavar="NAME", help="Encoding of text files  [utf-8]")
def inspect(data, task, test, encoding, as_json, **roles):
    """Show what a file, folder or data set holds.

    Its format, what its columns are for, how long sequences or texts are, how many are of each
    class, what is missing, what stands in two parts, and the command that trains on it. Where
    a table can be read in several ways, the command of each.

    \b
    Examples:
      kerasrnn inspect reviews.csv
      kerasrnn inspect sensors.csv --id device --time when
      kerasrnn inspect digits --json
    """
    from kerasrnn.data.inspection import inspect_source
    from kerasrnn.data.roles import Roles

    roles = Roles(**{name: value for name, value in roles.items() if value is not None})
    facts = inspect_source(data, roles=roles, task=task, test=test, encoding=encoding)
    if as_json:
        print_json(facts)
        return
    for name, lines in _rows(facts):
        for line in lines:
            click.echo(f"{name:<12}{line}".rstrip())
            name = ""


def _rows(facts):
    """What is printed: pairs of a name and its lines."""
    yield "format", [facts["format"]]
    if columns := facts.get("columns"):
        yield "columns", _table(columns)
    if "rows" in facts:
        series = facts.get("series", 1)
        yield "rows", [f"{facts['rows']:,}" + (f" of {series:,} series" if series > 1 else "")]
    if "reading" in facts:
        yield "reading", [facts["reading"]]
    if lengths := facts.get("lengths"):
        low, middle, high, of = lengths.values()
        between = f"{low:,} to {high:,} {of}, median {middle:,}"
        yield "lengths", [between if low < high else f"{high:,} {of}"]
    if times := facts.get("times"):
        yield "times", [" to ".join(time.replace("T00:00:00.000000", "") for time in times)]
    if classes := facts.get("classes"):
        shown = [f"{label} {number:,}" for label, number in [*classes.items()][:_MOST]]
        more = f", … ({len(classes):,} in all)" * (len(classes) > _MOST)
        yield "classes", _wrapped(", ".join(shown) + more)
    if targets := facts.get("targets"):
        yield "targets", [", ".join(f"{name} {value:g}" for name, value in targets.items())]
    if "missing" in facts:
        yield "missing", [f"{facts['missing']:,} values" if facts["missing"] else "none"]
    windows = facts.get("windows")
    if windows:
        window, horizon, season = windows.values()
        said = f"{window:,} row{'s' * (window > 1)}, to predict {horizon:,}"
        yield "windows", [said + (f"; season of {season:,} rows" if season else "")]
    if sizes := facts.get("sizes"):
        said = ", ".join(f"{part} {size:,}" for part, size in sizes.items())
        yield "parts", [said + " windows" * bool(windows)]
    for part, number in facts.get("duplicates", {}).items():
        yield "duplicates", [f"{number:,} of the {part} part stand in the training part"]
    if "task" in facts:
        yield "task", [facts["task"]]
    yield "readings" if "readings" in facts else "", facts.get("readings", [])
    yield "warnings", facts["warnings"]
    yield "train", facts["train"]


def _table(columns):
    width = max(len(column["name"]) for column in columns[:_MOST])
    lines = [
        f"{column['name']:<{width}}  {column['role'] or '-':<8}  {column['kind']}"
        for column in columns[:_MOST]
    ]
    return lines + [f"… ({len(columns):,} in all)"] * (len(columns) > _MOST)


def _wrapped(text):
    import textwrap

    return textwrap.wrap(text, min(shutil.get_terminal_size().columns, 100) - 12)


VERBS = [inspect]
