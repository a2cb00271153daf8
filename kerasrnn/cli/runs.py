"""``kerasrnn runs``: the runs as a table, and what is done to whole runs."""

from __future__ import annotations

import math
import os
import shutil
import sys
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

import click

from kerasrnn.cli.common import RUN, Verb, option, talk
from kerasrnn.cli.output import print_json, show_number
from kerasrnn.errors import InputError, check_choice
from kerasrnn.files import locked, remove_directory
from kerasrnn.history import headline
from kerasrnn.options import TASKS
from kerasrnn.runs import Run, list_runs, open_run, runs_folder

_WHOLES = ("run.json", "study.jsonl")  # files of directories whose runs belong together
_COLUMNS = {  # of the table: what of a row they show, and how
    "run": ("run", str),
    "task": ("task", str),
    "data": ("data", str),
    "size": ("size", "{:,}".format),
    "parameters": ("parameters", "{:,}".format),
    "epochs": ("epochs", "{:,}".format),
    "time": ("seconds", lambda seconds: str(timedelta(seconds=round(seconds)))),
    "made (UTC)": ("made", lambda made: made[:16].replace("T", " ")),
    "val_loss": ("val_loss", show_number),
    "evaluated": ("value", show_number),
}
_SORTED = {title.split()[0]: key for title, (key, _) in _COLUMNS.items()}
_LEAST = ("made (UTC)", "parameters", "data", "time", "val_loss", "size", "task", "epochs")
_LEFT = ("run", "task", "data", "evaluated")  # of the columns, those that start at the left


class _Runs(Verb, click.Group):
    """A verb that has others below it."""

    def format_options(self, ctx, formatter):
        super().format_options(ctx, formatter)
        self.format_commands(ctx, formatter)


@click.group(cls=_Runs, invoke_without_command=True)
@option("--task", type=click.Choice(TASKS), metavar="TASK", help="Runs of a task")
@option("--data", metavar="NAME", help="Runs of a data set, such as digits")
@option("--finished/--unfinished", default=None, help="Runs that are evaluated, or are not")
@option("--members", is_flag=True, help="The runs in those of several trainings and in studies too")
@option(
    "--sort",
    metavar="COLUMN",
    help=f"{', '.join(_SORTED)}; -COLUMN: the largest first  [made]",
)
@click.pass_context
def runs(ctx, task, data, finished, members, sort, as_json):
    """List the runs in runs/, the oldest first.

    For each its training part's sequences, sentences or tokens, the epochs and their time, the
    lowest validation loss and its last evaluation, on its test part where it has one. A run that
    cannot be read is named on stderr. Columns that do not fit a narrow terminal are left out.

    \b
    Examples:
      kerasrnn runs
      kerasrnn runs --task classifier --sort -evaluated
      kerasrnn runs rename runs/digits-classifier-1 small
      kerasrnn runs rm runs/small
    """
    wanted = {"task": task, "data": data, "finished": finished}
    if ctx.invoked_subcommand:
        if members or sort or as_json or any(value is not None for value in wanted.values()):
            raise InputError(
                f"options of the list before {ctx.invoked_subcommand}", fix="leave them out"
            )
        return
    rows = []
    for run in _found(members):
        try:
            rows.append(_row(run))
        except InputError as error:  # one broken run must not hide the others
            talk(f"kerasrnn: {error}")
    for key, value in wanted.items():
        rows = [row for row in rows if value in (None, row[key])]
    rows = _sort(rows, sort) if sort else rows
    if as_json:
        print_json(rows)
    elif rows:
        wide = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        click.echo("\n".join(table(rows, wide)))
    else:
        talk("no runs here; 'kerasrnn train' makes one")


def _found(members):
    """The runs of the folder, each before those in it where they are wanted, then of studies."""
    for run in list_runs():
        yield run
        yield from list_runs(run.path) if members else ()
    for study in sorted(runs_folder().glob("*/study.jsonl")) if members else ():
        yield from list_runs(study.parent)


def _row(run: Run) -> dict:
    """What is said of a run; part, metric and value of the last evaluation.

    Of several runs that were not averaged the value is {"mean", "deviation"}.
    """
    history, inner = run.history(), run.runs
    part, metric, value = headline(run.metrics()) or (None, None, None)
    seconds = [n for one in (run, *inner) for n in one.history().get("seconds", ())]
    return {
        "run": str(run),
        "task": run.task,
        "data": run.info["data"].get("name"),
        "made": run.info["created"],
        "runs": len(inner),
        "size": run.size,
        "parameters": run.info.get("parameters"),
        "epochs": len(history.get("epoch", ())),
        "seconds": sum(seconds) if seconds else None,
        "val_loss": min(filter(math.isfinite, history.get("val_loss", ())), default=None),
        "part": part,
        "metric": metric,
        "value": value,
        "finished": run.finished,
    }


def _sort(rows, column):
    """The rows by a column, which a - before it turns round; those without it come last."""
    name = column.removeprefix("-")
    check_choice("column", name, _SORTED)

    def value(row):
        found = row[_SORTED[name]]
        return found["mean"] if isinstance(found, dict) else found

    having = [row for row in rows if isinstance(value(row), (str, int, float))]
    missing = [row for row in rows if row not in having]
    return sorted(having, key=value, reverse=column != name) + missing


def table(rows: list[dict], width: int | None = None) -> list[str]:
    """The lines of a table of rows, without columns that are empty or do not fit the width."""
    shown = {
        title: [title, *(_cell(row, title, *column) for row in rows)]
        for title, column in _COLUMNS.items()
    }
    wide = {title: max(map(len, cells)) for title, cells in shown.items()}
    for title in _LEAST:
        empty = all(cell == "-" for cell in shown[title][1:])
        if empty or (width and sum(wide.values()) + 2 * len(wide) - 2 > width):
            del shown[title], wide[title]
    return [
        "  ".join(
            f"{cell:{'<' if title in _LEFT else '>'}{wide[title]}}"
            for title, cell in zip(shown, cells, strict=True)
        ).rstrip()
        for cells in zip(*shown.values(), strict=True)
    ]


def _cell(row, title, key, show):
    if title == "epochs" and row["runs"]:
        return f"{row['runs']} runs"
    if title == "evaluated":
        missing = "-" if row["finished"] else "unfinished"
        return f"{row['part']} {row['metric']} {show(row['value'])}" if row["metric"] else missing
    return "-" if row[key] is None else show(row[key])


@runs.command(cls=Verb, runs=False, json="Print the paths of what was removed as JSON")
@click.argument("paths", type=RUN, nargs=-1, required=True, metavar="RUN...")
@option("--yes", is_flag=True, help="Do not ask")
def rm(paths, yes, as_json):
    """Remove runs with all that is in them.

    Nothing is removed where one of them is no run, is being trained, is a link, or is in a run of
    several trainings or a study.

    \b
    Examples:
      kerasrnn runs rm runs/digits-classifier-1
    """
    paths = {os.path.abspath(path): path for path in paths}.values()
    with ExitStack() as held:
        places = [held.enter_context(_taken(path)) for path in paths]
        said = ", ".join(paths)
        if not yes:
            if not sys.stdin.isatty():
                raise InputError("nobody to ask", where=said, fix="say --yes to remove it")
            click.confirm(f"Remove {said}?", abort=True, err=True)
        for place in places:
            remove_directory(place)
    talk(f"removed {said}")
    if as_json:
        print_json([*paths])


@runs.command(cls=Verb, runs=False, json="Print the new path as JSON")
@click.argument("path", type=RUN, metavar="RUN")
@click.argument("name")
def rename(path, name, as_json):
    """Give a run another name in its folder.

    \b
    Examples:
      kerasrnn runs rename runs/digits-classifier-1 small
    """
    if not name or name[0] == "." or not name.isprintable() or name != os.path.basename(name):
        raise InputError(
            "no name of a run", found=repr(name), expected="one without / or a first ."
        )
    with _taken(path) as place:
        new = place.with_name(name)
        said = str(new) if os.path.isabs(path) else os.path.relpath(new)
        if os.path.lexists(new):
            raise InputError(f"{said} exists already", fix="choose another name")
        place.rename(new)
    print_json(said) if as_json else click.echo(said)


@contextmanager
def _taken(path):
    """The directory of a run that nobody works in, held until the block is done."""
    run, place = open_run(path), Path(os.path.abspath(path))
    if place.is_symlink() or not place.samefile(run.path):
        raise InputError(f"{path} is a link", expected="the run itself", fix="name its directory")
    if any((place.parent / name).exists() for name in _WHOLES):
        raise InputError(f"{path} is a part of {place.parent.name}", fix="name that one as a whole")
    with ExitStack() as held:
        inner = (file.parent for file in place.glob("*/run.json"))
        for folder in (place, *(one for one in inner if not one.is_symlink())):
            held.enter_context(locked(folder))
        yield place


VERBS = [runs]
