"""``kerasrnn tune``."""

from __future__ import annotations

import shlex
from collections import Counter
from functools import partial

import click

from kerasrnn import options, ranges
from kerasrnn.cli.common import DATA, import_tensorflow, is_quiet, option, talk, verb
from kerasrnn.cli.output import print_json, print_metrics, show_number
from kerasrnn.cli.train import read_options, stack_units, training_options, words_of

_MOST = 10  # trials that are shown
_SPLIT = 0.2  # for validation, of data that is else trained on whole
_USUAL = ", ".join(ranges.usual_ranges("classifier"))
_OWN = ("--max-minutes", "--seeds", "--folds", "--parallel", "--ensemble")  # mean something else
_fixed = partial(training_options, hidden=True, without=_OWN)
_search = partial(option, group="Search")


@verb(
    output=(
        "DIRECTORY",
        "Directory of the study; goes on if it is there  [runs/<data>-<task>-study-<n>]",
    )
)
@click.argument("data", type=DATA, nargs=-1, metavar="[DATA]...")
@_search("--search", metavar="NAME,…", help=f"Options to search  [{_USUAL}]")
@_search(
    "--range",
    "given_ranges",
    multiple=True,
    metavar="NAME=RANGE",
    help="Search an option in LOW:HIGH, or among choices with commas; repeatable",
)
@_search("--trials", type=int, default=20, metavar="N", help="Trials of the study  [20]")
@_search("--max-minutes", type=float, metavar="X", help="Time for this command")
@_search("--parallel", type=int, default=1, metavar="N", help="Processes to work on it  [1]")
@_search("--seed", type=int, default=0, metavar="N", help="Seed of search and training  [0]")
@_fixed
@click.pass_obj
def tune(
    process,
    data,
    task,
    output,
    seed,
    as_json,
    layers,
    stacked,
    search,
    given_ranges,
    trials,
    max_minutes,
    parallel,
    **given,
):
    """Search for better options with Optuna.

    DATA is what 'kerasrnn train' takes. Each trial is a run in the directory of the study, scored
    by its validation part and pruned where others were better at the same stage. The best one is
    then evaluated on the test part, and the command that trains like it is printed.

    Every option of 'kerasrnn train' can be given too; it is then fixed, and not searched. The
    same command with --output goes on with a study, after Ctrl-C or beside another that runs.

    \b
    Examples:
      kerasrnn tune digits --trials 30 -o runs/tuned
      kerasrnn tune reviews.csv --search units,dropout,learning_rate --max-minutes 60
      kerasrnn tune digits --range units=32,64,128 --range learning_rate=1e-4:1e-2 --cell gru
    """
    data = data or ("digits",)
    name, kind, given = read_options(data[0], task, seed, given)
    if layers is not None or stacked:
        units = stack_units(given.get("units", (1,)), layers, stacked)
        if len(given.get("units", ())) < 2:
            given["layers"] = len(units)
    own = dict(map(ranges.parse_range, given_ranges))
    names = search and [name.strip().replace("-", "_") for name in search.split(",")]
    of_data = {n: value for n, value in given.items() if n in options.tables(name, kind)[0]}
    fixed = {n: value for n, value in given.items() if n not in of_data}
    ranges.search_space(name, kind, names, own, fixed)  # refused before anything is loaded
    import_tensorflow()
    from kerasrnn.tuning import tune as tune_on

    found = tune_on(
        _load(name, kind, data, of_data),
        output,
        search=names,
        ranges=own,
        trials=trials,
        max_minutes=max_minutes,
        parallel=parallel,
        **({"process": process} if process else {}),  # of scripts/ray_tune.py
        seed=seed,
        quiet=is_quiet(),
        **fixed,
    )
    said = {"task": task} if task else {}
    words = ["train", *data, *words_of(said | of_data | found.options)]
    command = shlex.join(["kerasrnn", *words, *(["--seed", str(seed)] if seed else [])])
    if as_json:
        rows = [{**trial._asdict(), "run": str(trial.run)} for trial in found.trials]
        paths = {"study": str(found.path), "run": str(found.best), "command": command}
        print_json({**paths, "options": found.options, "trials": rows, **found.best.metrics()})
        return
    _print_trials(found.trials)
    click.echo()
    print_metrics(found.best.metrics())
    click.echo(f"run            {found.best}\n\n{command}")


def _load(name, kind, data, given):
    """The data, with a validation part where nobody says that there be none."""
    from kerasrnn.tasks import task_of

    task = task_of(name)
    loaded = task.load(*data, **task.settings(given, kind=kind).data)
    if loaded.sizes().get("validation") or "validation_split" in given:
        return loaded
    talk(f"{_SPLIT:.0%} of the training part is cut off to judge trials by")
    given = given | {"validation_split": _SPLIT}
    return task.load(*data, **task.settings(given, kind=kind).data)


def _print_trials(trials):
    """Print the best trials as a table, and how many there are."""
    rows = [["trial", "state", "score", "epochs", *trials[0].options]]
    for trial in trials[:_MOST]:
        values = (f"{v:g}" if isinstance(v, float) else str(v) for v in trial.options.values())
        score = show_number(trial.score)
        rows.append([str(trial.number), trial.state, score, str(trial.epochs), *values])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)))
    states = Counter(trial.state for trial in trials)
    counts = ", ".join(f"{number} {state}" for state, number in states.items())
    click.echo(f"{len(trials)} trials: {counts}")


VERBS = [tune]
