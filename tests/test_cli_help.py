"""What the command line says of itself, and what it imports to say it."""

import subprocess
import sys

import click
import pytest
from conftest import invoke

from kerasrnn import options
from kerasrnn.cli import main

VERBS = list(main.commands)


def help_of(verb=None):
    """The lines of a help text on a wide terminal."""
    context = main.make_context("kerasrnn", [], resilient_parsing=True, terminal_width=100)
    if verb is None:
        return main.get_help(context).splitlines()
    command = main.commands[verb]
    return command.get_help(click.Context(command, parent=context, info_name=verb)).splitlines()


@pytest.mark.parametrize("verb", VERBS)
def test_a_help_fits_two_screens(verb):
    lines = help_of(verb)
    assert len(lines) <= (118 if verb == "train" else 60) and max(map(len, lines)) <= 100


@pytest.mark.parametrize("verb", VERBS)
def test_a_help_has_examples_and_describes_every_option(verb):
    command, lines = main.commands[verb], help_of(verb)
    text = "\n".join(lines)
    example = f"    kerasrnn {verb}"
    assert any(line.startswith(example) for line in lines), text
    assert "  Examples:" in lines
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert parameter.help and all(f"{name}" in text for name in parameter.opts)


def test_the_options_of_train_stand_in_groups_with_the_defaults_of_each_task():
    lines = help_of("train")
    titles = [line for line in lines if line.endswith(":") and line[0] != " "]
    columns, forecasts = "Columns (classifier, regressor):", "Forecasts (regressor):"
    assert titles == [
        "Model:",
        "Training:",
        "Repetition:",
        "Data:",
        columns,
        forecasts,
        "Text:",
        "Output:",
    ]

    def said(name):
        (line,) = [line for line in lines if line.startswith(f"  {name} ")]
        return line.split(maxsplit=2)[2]

    assert said("--optimizer") == "adam, adamw, rmsprop or sgd  [adam]"
    assert said("--target") == "(regressor) Numbers to predict"
    assert said("--time") == "Times of the rows"
    assert said("--batch-size") == "Sequences per training step  [auto; tagger 32]"
    assert said("--sequence-length") == "(generator, infiller) Tokens per training sequence  [64]"


def test_every_figure_is_one_of_plot():
    from kerasrnn.plotting import FIGURES

    assert ("curves", *FIGURES) == options.FIGURES


def test_the_list_of_verbs_cuts_no_sentence():
    lines = help_of()
    for name, command in main.commands.items():
        first = command.help.split(".")[0] + "."
        assert len(first) <= 45 and any(line.split() == [name, *first.split()] for line in lines)


def test_every_option_of_a_task_is_an_option_of_train():
    names = {parameter.name for parameter in main.commands["train"].params}
    for tables in (options.DATA, options.MODEL, options.FIT):
        for table in tables.values():
            assert table.keys() <= names


def test_version_and_no_arguments():
    assert invoke("--version").stdout.startswith("kerasrnn, version")
    assert "Commands:" in invoke(code=2).stderr


def test_completion_offers_runs_exports_datasets_and_choices(trained, workplace):
    from click.shell_completion import ShellComplete

    (workplace / "saved_models" / "mine").mkdir(parents=True)
    (workplace / "saved_models" / "mine" / "signature.json").touch()
    completer = ShellComplete(main, {}, "kerasrnn", "_KERASRNN_COMPLETE")

    def offered(arguments, incomplete):
        return [item.value for item in completer.get_completions(arguments, incomplete)]

    assert offered([], "ev") == ["evaluate"]
    assert offered(["evaluate"], "ru") == ["runs/digits-classifier-1"]
    assert offered(["generate"], "sa") == ["saved_models/mine"]
    assert offered(["predict"], "saved") == ["saved_models/mine"]
    assert offered(["predict", "saved_models/mine"], "di") == ["digits"]
    assert offered(["train"], "mn") == ["mnist"]
    assert offered(["train", "--cell"], "g") == ["gru"]


def modules_of(*words):
    """The modules that a fresh process has imported after a command."""
    code = f"""import sys
from click.testing import CliRunner
from kerasrnn.cli import main
result = CliRunner().invoke(main, {[str(word) for word in words]!r})
assert result.exit_code == 0, result.output
print(*sorted(sys.modules))"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split("\n")[-2].split())


def rooms(modules):
    """The rooms of the package among modules."""
    names = (name.split(".") for name in modules)
    return {name[1] for name in names if name[0] == "kerasrnn" and len(name) > 1}


LIGHT = {"cli", "errors", "files", "history", "options", "ranges", "runs", "text"}


@pytest.mark.parametrize(
    ("words", "heavy"),
    [
        (["--help"], set()),
        (["train", "--help"], set()),
        (["--version"], set()),
        (["runs"], set()),
        (["plot", "runs/digits-classifier-1"], {"matplotlib", "numpy"}),
        (["plot", "--terminal"], set()),
        (["report", "runs/digits-classifier-1"], {"numpy"}),
    ],
)
def test_what_needs_no_network_imports_no_tensorflow(trained, words, heavy):
    modules = modules_of(*words)
    libraries = {"tensorflow", "keras", "sklearn", "scipy", "matplotlib", "numpy"}
    assert modules & libraries == heavy
    own = {"plot": {"plotting"}, "report": {"reports", "plotting"}}
    assert rooms(modules) <= LIGHT | own.get(words[0], set())


@pytest.mark.slow
def test_using_a_model_imports_neither_training_nor_exports_nor_pictures(writing):
    used = rooms(modules_of("generate", "--prompt", "abc", "--max-length", "3"))
    assert {"tasks", "inference"} <= used
    assert not used & {"training", "exporting", "plotting"}
