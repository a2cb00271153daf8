"""``kerasrnn train``."""

from __future__ import annotations

import shlex

import click

from kerasrnn import options
from kerasrnn.cli.common import (
    DataSource,
    import_tensorflow,
    is_quiet,
    json_option,
    option,
    output_option,
    quiet_option,
    talk,
    verb,
)
from kerasrnn.cli.output import print_json, print_metrics
from kerasrnn.errors import InputError, check_seed

_GROUPS = {"Text": ("generator", "infiller")}  # headings whose options are these tasks' alone


class _Units(click.ParamType):
    """``50`` or ``64,32``."""

    name = "units"

    def convert(self, value, param, ctx):
        try:
            return tuple(int(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not a number or a list like 64,32", param, ctx)


def _option(group, *names, help, choices=None, **settings):
    """An option whose default depends on the task; the help tells it, and which tasks have it."""
    name = names[-1].split("/")[0].lstrip("-").replace("-", "_")
    values = options.defaults(name)
    if choices:
        settings |= {"type": click.Choice(choices), "metavar": "NAME"}
        help = help.format(f"{', '.join(choices[:-1])} or {choices[-1]}")
    if tuple(values) not in (options.TASKS, _GROUPS.get(group)):
        help = f"({_name_tasks(list(values), options.TASKS)}) {help}"
    if next(iter(values.values())) is not None and not settings.get("is_flag"):
        help += f"  [{_spell_defaults(values)}]"
    title = f"{group} ({', '.join(_GROUPS[group])})" if group in _GROUPS else group
    return option(*names, help=help, default=None, group=title, **settings)


def _name_tasks(tasks, all_tasks):
    others = [task for task in all_tasks if task not in tasks]
    return f"not {others[0]}" if len(tasks) > 2 and len(others) == 1 else ", ".join(tasks)


def _spell_defaults(values):
    """``50; tagger, infiller 128; generator 256``."""
    tasks_of = {}
    for task, value in values.items():
        tasks_of.setdefault(value, []).append(task)
    (first, _), *rest = tasks_of.items()
    texts = [_spell(first)]
    for value, tasks in rest:
        others = len(rest) == 1 and len(tasks) == len(values) - 1 > 1
        texts.append(f"{'others' if others else ', '.join(tasks)} {_spell(value)}")
    return "; ".join(texts)


def _spell(value):
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else f"{value}"


@verb()
@click.argument("data", type=DataSource(), nargs=-1, metavar="[DATA]...")
@_option("Model", "--units", type=_Units(), metavar="N[,N…]", help="Layer width")
@option("--layers", type=int, metavar="N", group="Model", help="Layers  [one for each of --units]")
@option("--stacked", is_flag=True, group="Model", help="Two layers, the same as --layers 2")
@_option("Model", "--cell", choices=options.CELLS, help="Recurrent cell: {}")
@_option("Model", "--bidirectional/--unidirectional", help="Read both ways, or forwards only")
@_option("Model", "--go-backwards", is_flag=True, help="With --unidirectional: read backwards")
@_option(
    "Model",
    "--dropout",
    type=float,
    metavar="RATE",
    help="Dropout rate after each recurrent layer",
)
@_option("Model", "--pooling", choices=options.POOLINGS, help="Pool the steps: {}")
@_option(
    "Model",
    "--embedding-dim",
    type=int,
    metavar="N",
    help="Width of the embedding, 0: one-hot",
)
@_option(
    "Model",
    "--use-characters/--no-characters",
    help="Read words by character too  [yes for words]",
)
@_option("Model", "--tied", is_flag=True, help="Share weights of embedding and output")
@_option("Model", "--functional", is_flag=True, help="A functional model, not a Sequential")
@_option("Training", "--epochs", type=int, metavar="N", help="Training passes")
@_option("Training", "--batch-size", type=int, metavar="N", help="Sequences per step")
@_option("Training", "--optimizer", choices=options.OPTIMIZERS, help="{}")
@_option("Training", "--learning-rate", type=float, metavar="RATE", help="Learning rate")
@_option("Training", "--schedule", choices=options.SCHEDULES, help="{}")
@_option(
    "Training",
    "--clip-norm",
    type=float,
    metavar="NORM",
    help="Largest global norm of the gradients, 0: no limit",
)
@option(
    "--seed",
    type=int,
    metavar="N",
    default=0,
    group="Training",
    help="Seed of weights, order, dropout and splits  [0]",
)
@option(
    "--task",
    type=click.Choice(options.TASKS),
    metavar="NAME",
    group="Data",
    help=f"{', '.join(options.TASKS[:-1])} or {options.TASKS[-1]}  [by DATA]",
)
@_option(
    "Data",
    "--validation-split",
    type=float,
    metavar="FRACTION",
    help="Fraction held out to choose the best epoch",
)
@_option("Data", "--column", metavar="NAME", help="CoNLL-U column to predict")
@_option("Data", "--min-frequency", type=int, metavar="N", help="Rarer tokens are unknown")
@_option("Data", "--max-vocabulary", type=int, metavar="N", help="Largest size of the vocabulary")
@_option("Text", "--level", choices=options.LEVELS, help="Kind of token: {}")
@_option("Text", "--lines", is_flag=True, help="Lines are independent, such as names")
@_option("Text", "--letters-only", is_flag=True, help="Keep letters only, in lower case")
@_option(
    "Text",
    "--max-corpus-tokens",
    type=int,
    metavar="N",
    help="Use at most this many tokens of the text",
)
@_option("Text", "--sequence-length", type=int, metavar="N", help="Tokens per training sequence")
@_option("Text", "--sampling", choices=options.SAMPLINGS, help="{} sequences")
@_option(
    "Text",
    "--mask-rate",
    type=float,
    metavar="RATE",
    help="Fraction of tokens masked in training",
)
@_option("Text", "--mask-span", type=int, metavar="N", help="Longest run of masked tokens")
@_option(
    "Text",
    "--sample-every",
    type=int,
    metavar="N",
    help="Print a sample every N epochs, 0: never",
)
@_option("Text", "--prompt", metavar="TEXT", help="Prompt of those samples")
@output_option("Directory to make  [runs/<data>-<task>-<n>]", metavar="DIRECTORY")
@quiet_option
@json_option()
def train(data, task, output, seed, as_json, layers, stacked, **given):
    """Train a model on DATA and leave a run. Defaults are in brackets, the classifier's first.

    \b
    DATA: digits, mnist, an .npz or .ts file, a UCR/UEA or IDX folder             (classifier)
          python, a .conllu or .conll file, or a folder of them                   (tagger)
          english, shakespeare, time-machine, text files, folders of them, -  (generator, infiller)

    \b
    Examples:
      kerasrnn train --stacked
      kerasrnn train mnist --units 128,64 --cell gru --epochs 5 -o runs/mnist
      kerasrnn train time-machine --task infiller
    """
    from kerasrnn.data.kinds import kind_of

    data = data or ("digits",)
    given = {name: value for name, value in given.items() if value is not None}
    check_seed(seed)
    name = task or options.TASK_OF_KIND[kind_of(data[0])]
    if layers is not None or stacked:
        units = given.get("units", (options.MODEL[name]["units"],))
        given["units"] = _stack_units(units, layers, stacked)
    if "seed" in options.DATA[name]:
        given["seed"] = seed
    import_tensorflow()
    from kerasrnn.tasks import task_of
    from kerasrnn.training import run_training

    row = task_of(name)
    settings = row.settings(given)
    loaded = row.load(*data, **settings.data)
    run = run_training(loaded, settings, output, seed=seed, quiet=is_quiet())
    metrics = run.metrics()
    if as_json:
        print_json({"run": str(run), **metrics})
    else:
        print_metrics(metrics)
        click.echo(f"run            {run}")
    talk("next")
    for words in (row.next_command(loaded, run), ["evaluate", str(run)], ["plot", str(run)]):
        talk(f"  kerasrnn {shlex.join(words)}")


def _stack_units(units, layers, stacked):
    """The width of each layer from --units, --layers and --stacked."""
    if stacked:
        if layers not in (None, 2):
            raise InputError("--stacked means --layers 2", found=f"--layers {layers}")
        layers = 2
    if layers < 1:
        raise InputError("--layers out of range", found=layers, expected="1 or more")
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
