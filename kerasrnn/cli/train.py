"""``kerasrnn train``."""

from __future__ import annotations

import contextlib
import os
import shlex

import click

from kerasrnn import options
from kerasrnn.cli.common import DATA, import_tensorflow, is_quiet, option, talk, verb
from kerasrnn.cli.output import print_json, print_metrics
from kerasrnn.errors import InputError, check_seed

_INSTANCE = "Also scale each sequence by its own mean and spread"
_SEED = "Seed of weights, order, dropout and splits  [0]"
_RESUME = "Go on with a run, by default the newest unfinished one"
_LIVE = "Keep report.html up to date, to be watched in a browser"
_GOES_ON = (*options.GOES_ON, "parallel")
_MOST_RUNS = 1000  # of one command
_WIDTH = 62  # of a help text on a line of 100; longer ones leave out the kinds of data
_METAVARS = {int: "N", float: "X", str: "TEXT", bool: None}


class _List(click.ParamType):
    """Numbers such as ``64,32``."""

    name = "numbers"

    def __init__(self, kind: type, example: str):
        self.kind, self.example = kind, example

    def convert(self, value, param, ctx):
        try:
            return tuple(self.kind(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not a number or a list like {self.example}", param, ctx)


# Of each group the options, their types (choices, bool for a flag, or what is shown of a text),
# and what they are; for {} the choices are put in.
_OPTIONS = {
    "Model": (
        ("--units", _List(int, "64,32"), "Layer width"),
        ("--layers", int, "Number of layers  [one for each of --units]"),
        ("--stacked", bool, "Two layers, the same as --layers 2"),
        ("--cell", options.CELLS, "Recurrent cell: {}"),
        ("--bidirectional/--unidirectional", bool, "Read both ways, or forwards only"),
        ("--go-backwards", bool, "With --unidirectional: read backwards"),
        ("--dropout", float, "Dropout rate of each layer"),
        ("--stem", options.STEMS, "Convolutions before or beside the layers: {}"),
        ("--stem-filters", int, "Width of the stem"),
        ("--stem-stride", int, "Steps merged by the stem"),
        ("--pooling", options.POOLINGS, "How the steps become one: {}"),
        ("--members", int, "Models that are averaged"),
        ("--instance-scaling/--one-scaling", bool, _INSTANCE),
        ("--embedding-dim", int, "Width of the embedding, 0: one-hot"),
        ("--use-characters/--no-characters", bool, "Read words by character too  [if words]"),
        ("--tied/--untied", bool, "Share weights of embedding and output"),
        ("--precision", options.PRECISIONS, "{}"),
        ("--functional", bool, "A functional model, not a Sequential"),
    ),
    "Training": (
        ("--epochs", int, "Passes over the data, by default from its size"),
        ("--batch-size", int, "Sequences per training step"),
        ("--optimizer", options.OPTIMIZERS, "{}"),
        ("--learning-rate", float, "Step size"),
        ("--schedule", options.SCHEDULES, "Learning rate over time: {}"),
        ("--clip-norm", float, "Largest global norm of the gradients, 0: no limit"),
        ("--patience", int, "Epochs without a better one to stop after, 0: none"),
        ("--max-minutes", float, "Time that the training may take"),
        ("--checkpoint-every", "N|Nm", "Steps or minutes between checkpoints  [epochs]"),
        ("--strategy", options.STRATEGIES, "Devices: {}"),
        ("--deterministic", bool, "The same numbers every time on a GPU too, slower"),
        ("--tensorboard", bool, "Curves for TensorBoard, in the run"),
        ("--class-weight", options.CLASS_WEIGHTS, "balanced: give rare labels more weight"),
        ("--start-from", "RUN", "Start from the weights of a run"),
        ("--freeze", options.FREEZES, "Do not train this part of the run of --start-from: {}"),
    ),
    "Repetition": (
        ("--seeds", int, "Train with N seeds, from --seed on; mean ± deviation"),
        ("--folds", int, "Cross-validate: N folds of the training part"),
        ("--parallel", int, "Trainings at a time, each a process  [1]"),
        ("--ensemble", bool, "Average the models to one"),
    ),
    "Data": (
        ("--task", options.TASKS, f"{', '.join(options.TASKS)}  [auto]"),
        ("--test", "PATH", "Test part in another file"),
        ("--encoding", "NAME", "Text encoding  [utf-8]"),
        ("--validation-split", float, "Validation share"),
        ("--min-frequency", int, "Read tokens that occur less often as unknown"),
        ("--max-vocabulary", int, "Largest size of the vocabulary"),
    ),
    "Columns (classifier, regressor)": tuple((f"--{name}", *row) for name, *row in options.ROLES),
    "Forecasts (regressor)": (
        ("--horizon", int, "Rows to predict  [a season]"),
        ("--window", int, "Rows to predict from"),
        ("--season", int, "Rows after which the series repeats  [found]"),
        ("--quantiles", _List(float, "0.1,0.5,0.9"), "Quantiles to predict"),
        ("--backtest", int, "Score forecasts from N points of the test part"),
    ),
    "Text": (
        ("--level", options.LEVELS, "{}"),
        ("--max-length", int, "Tokens that are read of each text"),
        ("--multi-label", "TEXT", "What separates the labels of a text"),
        ("--lines", bool, "Lines are independent, such as names"),
        ("--letters-only", bool, "Keep letters only, in lower case"),
        ("--max-corpus-tokens", int, "Read no more tokens of the text"),
        ("--sequence-length", int, "Tokens per training sequence"),
        ("--sampling", options.SAMPLINGS, "{} sequences"),
        ("--mask-rate", float, "Fraction of tokens masked in training"),
        ("--mask-span", int, "Longest run of masked tokens"),
        ("--sample-every", int, "Print a sample every N epochs, 0: never"),
        ("--prompt", str, "Prompt of those samples"),
    ),
}


def training_options(function, hidden=False, without=()):
    """Add the options of ``_OPTIONS``; None where the user does not give one.

    hidden: whether the help leaves them out. without: those that are not added.
    """
    for group, rows in reversed(_OPTIONS.items()):
        for names, kind, text in reversed(rows):
            if names in without:
                continue
            choices, flag = isinstance(kind, tuple), kind is bool
            metavar = kind if isinstance(kind, str) else _METAVARS.get(kind, "N[,N…]")
            settings = {"is_flag": flag, "metavar": metavar, "hidden": hidden}
            if choices:
                settings = {"metavar": "NAME", "hidden": hidden}
                text = text.format(f"{', '.join(kind[:-1])} or {kind[-1]}")
            name = names.split("/")[0].lstrip("-").replace("-", "_")
            help = _of_tasks(options.defaults(name), text, group, show="/" in names or not flag)
            type = click.Choice(kind) if choices else str if isinstance(kind, str) else kind
            add = option(names, type=type, default=None, help=help, group=group, **settings)
            function = add(function)
    return function


def _of_tasks(values, text, group, show):
    """What an option is, the tasks that have it, and its default for each of them."""
    of_texts = {"classifier"} if "texts" in values else set()
    others = [task for task in options.TASKS if task not in {*values} | of_texts]
    having = [owner for owner in values if owner in options.TASKS or "classifier" not in values]
    if having and others and f"({', '.join(having)})" not in group:
        text = f"({f'not {others[0]}' if len(others) == 1 else ', '.join(having)}) {text}"
    if not show or set(values.values()) <= {None}:
        return text
    of_tasks = {owner: value for owner, value in values.items() if owner in options.TASKS}
    whole, short = (f"{text}  [{_defaults(some)}]" for some in (values, of_tasks or values))
    left_out = "texts" in values and "classifier" not in of_tasks  # by the short one, altogether
    return whole if len(whole) <= _WIDTH or left_out else short


def _defaults(values):
    """The default of each task, those that agree together."""
    tasks_of = {}
    for task, value in values.items():
        tasks_of.setdefault(value, []).append(task)
    (first, _), *rest = tasks_of.items()
    texts = [_spell(first)]
    for value, tasks in rest:
        all_others = len(tasks) == len(values) - 1 > 1
        texts.append(f"{'others' if all_others else ', '.join(tasks)} {_spell(value)}")
    return "; ".join(texts)


def _spell(value):
    words = {"True": "yes", "False": "no", "None": "auto"}
    return words.get(f"{value}", f"{value}")


@verb(output=("DIRECTORY", "Directory to make  [runs/<data>-<task>-<n>]"))
@click.argument("data", type=DATA, nargs=-1, metavar="[DATA]...")
@training_options
@option("--seed", type=int, metavar="N", group="Training", help=_SEED)
@option("--resume", is_flag=False, flag_value="", metavar="[RUN]", group="Training", help=_RESUME)
@option("--live", is_flag=True, group="Output", help=_LIVE)
def train(data, resume, live, as_json, **given):
    """Train a model on DATA and leave a run. Defaults are in brackets, the classifier's first.

    \b
    DATA  classifier           digits, mnist, tables, texts by class, .npz, .ts, .arff, IDX
          regressor            tables of sequences with numbers to predict, series to forecast
          tagger               python, .conllu, .conll, or a folder of them
          generator, infiller  english, shakespeare, time-machine, texts, folders, -
    'kerasrnn inspect DATA' shows what is found in it.

    \b
    Examples:
      kerasrnn train --stacked
      kerasrnn train mnist --units 128,64 --cell gru --epochs 5 -o runs/mnist
      kerasrnn train reviews.csv --text review --label sentiment
      kerasrnn train passengers.csv --horizon 12
      kerasrnn train time-machine --task infiller
      kerasrnn train shapes.csv --seeds 5 --ensemble
      kerasrnn train --resume runs/digits-classifier-1
    """
    with _watched(live and not _follows(given)) as callbacks:
        if resume is not None:
            run, uses = _resume(data, resume, given, callbacks), []
        else:
            run, uses = _train(data or ("digits",), **given, callbacks=callbacks)
    if _follows(given):
        talk(f"trained; the chief has the run, {run}")
        return
    from kerasrnn.cli.live import write_page

    write_page(run, live=False)
    metrics = run.metrics()
    if as_json:
        print_json({"run": str(run), **metrics})
    else:
        print_metrics(metrics)
        click.echo(f"run            {run}")
    talk(f"report         {run.path / 'report.html'}")
    talk("next")
    for words in (*uses, ["plot", str(run)]):
        talk(f"  kerasrnn {shlex.join(words)}")


@contextlib.contextmanager
def _watched(live):
    """Callbacks for a training; the page of one that is live is left as it ends in any way."""
    if not live:
        yield []
        return
    import_tensorflow()
    from kerasrnn.cli.live import LiveReport

    report = LiveReport()
    try:
        yield [report]
    finally:
        report.close()


def _train(
    data, task, output, seed, layers, stacked, seeds, folds, parallel, ensemble, callbacks, **given
):
    """A new run, and the words of commands that use it."""
    _check_repetition(seeds, folds, parallel, ensemble)
    if callbacks and (seeds or folds):
        raise InputError("--live of several trainings", fix="watch them with 'kerasrnn report'")
    seed = seed or 0
    name, kind, given = read_options(data[0], task, seed, given)
    if layers is not None or stacked:
        units = given.get("units", (options.tables(name, kind)[1]["units"],))
        given["units"] = stack_units(units, layers, stacked)
    import_tensorflow()
    from kerasrnn.tasks import task_of
    from kerasrnn.training import run_training

    row = task_of(name)
    settings = row.settings(given, kind=kind)
    loaded = row.load(*data, **settings.data)
    if seeds or folds:
        run = _train_several(loaded, settings, output, seed, seeds, folds, parallel, ensemble)
    else:
        run = run_training(
            loaded, settings, output, seed=seed, quiet=is_quiet(), callbacks=callbacks
        )
    used = run.runs[0] if run.runs and not ensemble else run
    return run, [row.next_command(loaded, used), ["evaluate", str(used)]]


def _resume(data, path, given, callbacks):
    """The run at a path, or the newest unfinished one, gone on with."""
    from kerasrnn.runs import latest_run, open_run

    given = {name: value for name, value in given.items() if value not in (None, False)}
    strange = [*data, *(f"--{name.replace('_', '-')}" for name in given if name not in _GOES_ON)]
    if strange:
        allowed = ", ".join(f"--{name.replace('_', '-')}" for name in _GOES_ON)
        raise InputError("--resume with more", found=" ".join(strange), expected=allowed)
    if _follows(given):
        run = path or ""  # the chief says which
    else:
        run = open_run(path) if path else latest_run(finished=False)
        talk(f"run {run}")
    import_tensorflow()
    from kerasrnn.ensembles import resume

    return resume(run, quiet=is_quiet(), callbacks=callbacks, **given)


def _follows(given):
    """Whether this process is one of several workers, and another one has the run."""
    from kerasrnn.fitting.workers import this_worker

    worker = this_worker(given.get("strategy") or "auto")
    return worker is not None and not worker.chief


def _check_repetition(seeds, folds, parallel, ensemble):
    """Raise ``InputError`` for options of several trainings that do not go together."""
    if seeds is not None and folds is not None:
        raise InputError("--seeds with --folds", expected="one of them")
    if seeds is None and folds is None and (parallel is not None or ensemble):
        name = "--ensemble" if ensemble else "--parallel"
        raise InputError(f"{name} of a single training", expected="--seeds N or --folds N with it")
    for name, number in (("--seeds", seeds), ("--folds", folds)):
        if number is not None and not 2 <= number <= _MOST_RUNS:
            expected = f"2 to {_MOST_RUNS}"
            raise InputError(f"{name} out of range", found=number, expected=expected)


def _train_several(data, settings, output, seed, seeds, folds, parallel, ensemble):
    """The run of several trainings."""
    from kerasrnn.ensembles import fold_members, run_members, seed_members

    if folds:
        members = fold_members(data, folds, seed)
    else:
        members = seed_members(data, range(seed, seed + seeds), recut=True)
    how = {"parallel": 1 if parallel is None else parallel, "ensemble": bool(ensemble)}
    return run_members(data, settings, members, output, quiet=is_quiet(), **how)


def read_options(
    source: str, task: str | None, seed: int, given: dict
) -> tuple[str, str | None, dict]:
    """The task for a source, the kind of its data, and the options that were given."""
    given = {name: value for name, value in given.items() if value is not None}
    check_seed(seed)
    name, kind = _task_of(source, task, given)
    if "test" in given:
        given["test"] = os.path.abspath(given["test"])
    if "seed" in options.DATA[name]:
        given["seed"] = seed
    return name, kind, given


def words_of(given: dict) -> list[str]:
    """Options as the words of a command, in the order of ``_OPTIONS``.

    >>> words_of({"cell": "gru", "units": (64, 32), "bidirectional": False})
    ['--units', '64,32', '--cell', 'gru', '--unidirectional']
    """
    words = []
    for names, kind, _ in (row for rows in _OPTIONS.values() for row in rows):
        yes, _, no = names.partition("/")
        value = given.get(yes.lstrip("-").replace("-", "_"))
        if kind is bool and value is not None:
            words += [yes] if value else [no] if no else []
        elif value is not None:
            values = value if isinstance(value, (tuple, list)) else [value]
            words += [yes, ",".join(map(str, values))]
    return words


def _task_of(source, task, given):
    """The task for a source, and the kind of its data; None where nothing depends on it."""
    if task not in (None, "classifier", "regressor"):
        return task, None
    from kerasrnn.data.kinds import kind_of
    from kerasrnn.data.roles import Roles

    roles = {name: given[name] for name, *_ in options.ROLES if name in given}
    kind = kind_of(source, roles=Roles(**roles), task=task, encoding=given.get("encoding"))
    return task or options.TASK_OF_KIND[kind], kind


def stack_units(units: tuple, layers: int | None, stacked: bool | None) -> tuple:
    """The width of each layer from --units, --layers and --stacked."""
    if stacked:
        if layers not in (None, 2):
            raise InputError("--stacked means --layers 2", found=f"--layers {layers}")
        layers = 2
    if not 1 <= layers <= options.MOST_LAYERS:
        expected = f"1 to {options.MOST_LAYERS}"
        raise InputError("--layers out of range", found=layers, expected=expected)
    if len(units) == 1:
        return units * layers
    if len(units) != layers:
        raise InputError(
            "--units and --layers differ",
            found=f"{len(units)} widths for {layers} layers",
            expected="one width, or one for each layer",
        )
    return units


VERBS = [train]
