"""``kerasrnn plot``: pictures of runs, in files, in a window or in the terminal."""

from __future__ import annotations

import os
import shutil
import sys
from functools import partial

import click

from kerasrnn.cli.common import RUN, find_run, option, talk, verb
from kerasrnn.cli.output import print_json
from kerasrnn.errors import InputError
from kerasrnn.files import check_sum, read_json
from kerasrnn.options import FIGURES, STYLES, TASKS
from kerasrnn.runs import list_runs, names_of, runs_folder

_CURVES = FIGURES[0]
_TEXT_WIDTH = 80  # of curves that go into a file or a pipe
_TEXT_HEIGHT = 15


@verb(
    output=("FILE", "One picture of all metrics, .png, .svg or .pdf  [a PNG each, in the run]"),
    json="Print the paths of the pictures as JSON",
)
@click.argument("runs", type=RUN, nargs=-1, metavar="[RUN]...")
@option(
    "--metric",
    multiple=True,
    metavar="NAME",
    help="Column of history.csv to draw, such as loss, val_loss, learning_rate or "
    "tokens_per_second (sequences_per_second without tokens, with the time of validation); "
    "repeatable  [those that the runs have in common]",
)
@option(
    "--figure",
    type=click.Choice(FIGURES),
    multiple=True,
    metavar="NAME",
    help=f"{_CURVES}, of the training part labels or lengths, or of what 'evaluate' left "
    f"{', '.join(FIGURES[1:-3])} or {FIGURES[-3]}; repeatable  [{_CURVES}]",
)
@option("--all", "everyone", is_flag=True, help="All runs that have the metrics, together")
@option("--task", type=click.Choice(TASKS), metavar="TASK", help="The newest, or all, of a task")
@option("--smooth", type=float, default=0.0, metavar="WEIGHT", help="Moving average  [0: none]")
@option(
    "--style", type=click.Choice(STYLES), default=STYLES[0], help="light or dark ground  [light]"
)
@option("--terminal", is_flag=True, help="Draw the curves in the terminal")
@option("--show", is_flag=True, help="Open a window instead of writing files")
def plot(runs, metric, figure, everyone, task, smooth, style, terminal, output, show, as_json):
    """Draw training curves of one or several runs.

    RUN is by default the newest; the curves of several, or of the runs in one, are drawn on the
    same axes. A ring marks the epoch of the best model.

    \b
    Examples:
      kerasrnn plot
      kerasrnn plot runs/forward runs/both -o forward-or-both.svg
      kerasrnn plot --all --task tagger --metric val_loss --smooth 0.6 --style dark
      kerasrnn plot --terminal
      kerasrnn plot --figure confusion
    """
    from kerasrnn.plotting import plot_panels, save

    if terminal + show + (output is not None or as_json) > 1:
        raise InputError("several places for pictures", expected="--terminal, --show or files")
    if terminal and {*figure} - {_CURVES}:
        raise InputError("--terminal draws curves alone", fix="leave --figure out")
    named = _named(runs, everyone, task)
    pictures = {}
    for name in figure or (_CURVES,):
        if name != _CURVES:
            pictures |= _left(name, named, everyone)
            continue
        histories = _histories(named, metric, everyone)
        metrics = metric or _common(histories)
        if terminal:
            return _print(histories, metrics, smooth)
        folder = runs_folder() if everyone else named[0].path
        for drawn in [metrics] if show or output else [[one] for one in metrics]:
            file = f"{'compare-' * (len(named) > 1)}{drawn[0]}.png"
            draw = partial(plot_panels, histories, drawn, smooth)
            pictures[folder / file] = len(drawn), draw
    if show:
        return _show(pictures.values(), style)
    if output is not None:
        if len(pictures) > 1:
            raise InputError("several pictures for one --output", fix="leave it out")
        pictures = dict.fromkeys([output], *pictures.values())
    for path, (panels, draw) in pictures.items():
        save(path, draw, panels, style)
        if not as_json:
            click.echo(path)
    if as_json:
        print_json([str(path) for path in pictures])


def _named(runs, everyone, task):
    """The runs that are meant; of several trainings the one that holds them."""
    if runs and (everyone or task):
        raise InputError("--all and --task are for runs without names", fix="leave them out")
    if not everyone:
        return [find_run(run, task) for run in runs or (None,)]
    found = [run for run in list_runs() if task in (None, run.task)]
    return found or [find_run(None, task)]  # which says that there is none


def _histories(named, metrics, everyone):
    """The histories of runs, and of those in them, by name; of all only those with the metrics."""
    from kerasrnn.plotting import with_speed

    found = []
    for run in (one for whole in named for one in whole.runs or [whole]):
        try:
            history = with_speed(run.history(), run.size)
        except InputError as error:
            if not everyone:
                raise
            talk(f"kerasrnn: {error}")  # one broken run must not hide the others
            continue
        if not everyone or (history and all(name in history for name in metrics)):
            found.append((run, history))
    if not found:
        raise InputError(
            f"no run with {', '.join(metrics) or 'a finished epoch'}", where=runs_folder()
        )
    names = names_of([run for run, _ in found]) if len(found) > 1 else [""]
    return {name: history for name, (_, history) in zip(names, found, strict=True)}


def _common(histories):
    """The metrics that histories have in common."""
    from kerasrnn.plotting import metrics_in

    first, *others = histories.values()
    metrics = [name for name in metrics_in(first) if all(name in other for other in others)]
    if not metrics:
        raise InputError(
            "no finished epoch to draw", where=", ".join(filter(None, histories)) or None
        )
    return metrics


def _left(name, named, everyone):
    """A picture of what an evaluation left in each run, as ``{path: (panels, function)}``."""
    from kerasrnn.plotting import FIGURES, find

    pictures = {}
    for run in named:
        held = {other: find(row, _content(run, row.file)) for other, row in FIGURES.items()}
        if held[name] is not None:
            pictures[run.path / f"{name}.png"] = 1, partial(FIGURES[name].draw, held[name])
        elif not everyone:
            raise InputError(
                f"{run} holds nothing to draw for {name!r}",
                found=", ".join(other for other in held if held[other] is not None) or None,
                fix=None
                if (run.path / "metrics.json").exists()
                else f"run 'kerasrnn evaluate {run}' first, which leaves what its task has",
            )
    if not pictures:
        raise InputError(f"no run with {name}", where=runs_folder())
    return pictures


def _content(run, file):
    """What a JSON file of a run holds; nothing where there is none."""
    path = run.path / file
    if not path.exists():
        return {}
    content = read_json(path, dict)
    check_sum(path)
    return content


def _print(histories, metrics, smoothing):
    """Draw curves on stdout: in colours on a terminal, in letters elsewhere."""
    from kerasrnn.plotting import draw_text

    coded = (sys.stdout.encoding or "").lower().startswith("utf")
    colour = sys.stdout.isatty() and coded and "NO_COLOR" not in os.environ
    wide, high = shutil.get_terminal_size((_TEXT_WIDTH, 3 * _TEXT_HEIGHT))
    size = {"width": wide, "height": max(5, min(_TEXT_HEIGHT, high - 8))}
    for metric in metrics:
        click.echo(draw_text(histories, metric, smoothing=smoothing, colour=colour, **size))


def _show(pictures, style):
    """Open a window for each picture."""
    import matplotlib
    import matplotlib.pyplot as plt

    from kerasrnn.plotting import add_panels, panel_size, styled

    if matplotlib.get_backend().lower() == "agg" and not os.environ.get("MPLBACKEND"):
        raise InputError("no display to open a window on", fix="leave --show out, or set --output")
    with styled(style):
        for panels, draw in pictures:
            draw(*add_panels(plt.figure(figsize=panel_size(panels), layout="constrained"), panels))
        plt.show()


VERBS = [plot]
