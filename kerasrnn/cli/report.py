"""``kerasrnn report``: runs as one HTML page."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import click

from kerasrnn.cli.common import RUN, find_run, verb
from kerasrnn.cli.output import print_json
from kerasrnn.runs import Run


@verb(
    output=("FILE", "The page  [report.html in the run; compare.html in the first of several]"),
    json='Print {"runs", "report"}',
)
@click.argument("runs", type=RUN, nargs=-1, metavar="[RUN]...")
def report(runs, output, as_json):
    """Write an HTML page of one or several runs.

    RUN is by default the newest. The page is one file that loads nothing from the internet: curves
    to zoom and read, metrics beside baselines, mistakes, the model, options, data, and the command
    that made it. Several runs stand side by side, with what differs between them.

    \b
    Examples:
      kerasrnn report
      kerasrnn report runs/forward runs/both -o forward-or-both.html
    """
    opened = [find_run(run) for run in runs or (None,)]
    path = write_report(opened, output)
    if as_json:
        print_json({"runs": [str(run) for run in opened], "report": str(path)})
    else:
        click.echo(path)


def write_report(runs: Sequence[Run], output: Path | None = None, live: bool = False) -> Path:
    """Write the page of runs; gives its path. live: whether it is to be loaded anew."""
    from kerasrnn.files import write_text
    from kerasrnn.reports import render

    path = output or runs[0].path / ("report.html" if len(runs) == 1 else "compare.html")
    write_text(path, render(runs, command_of, live))
    return path


def command_of(run: Run) -> str:
    """The command that makes such a run, as far as its options tell; empty of data in memory."""
    from kerasrnn.cli.train import words_of
    from kerasrnn.reports.facts import settings_of

    source = run.info["data"].get("source")
    sources = [source] if isinstance(source, str) else source or []
    if not any(sources):
        return ""
    given = {one.name: one.value for one in settings_of(run) if one.origin == "given"}
    words = ["kerasrnn", "train", *map(str, sources), "--task", run.task]
    if seed := given.pop("seed", 0):
        words += ["--seed", str(seed)]
    if plan := run.info.get("plan"):
        words += _repetition(plan)
    return shlex.join([*words, *words_of(given)])


def _repetition(plan):
    """The options of several trainings."""
    number = str(len(plan["members"]))
    name = "--folds" if plan["members"][0][0].startswith("fold-") else "--seeds"
    return [name, number, *["--ensemble"] * bool(plan["ensemble"])]


VERBS = [report]
