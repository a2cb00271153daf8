import ast
import re
import subprocess
import sys

import pytest
from conftest import ROOT

import kerasrnn

# Imports go downwards in this order only; it has the places of modules to come. plotting is
# above runs, whose atomic writes it uses; generation is below training, which prints samples.
ORDER = (  # noqa: SIM905
    "cli report export exported cards conversion serving training tasks infilling tagging "
    "generation batches datasets sentences corpora models layers devices loops strings text "
    "downloads formats plotting runs evaluation options errors"
).split()
WITHOUT_KERAS = {
    "cards",
    "cli",
    "sentences",
    "text",
    "downloads",
    "formats",
    "runs",
    "evaluation",
    "plotting",
    "errors",
    "options",
}


def imports(module):
    """The names of the package's modules that a module imports, at its top or anywhere in it."""
    tree = ast.parse((ROOT / "kerasrnn" / f"{module}.py").read_text())
    top, anywhere = set(), set()
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names] + [node.module]
        anywhere.update(names)
        if node in tree.body:
            top.update(names)
    return top, anywhere


MODULES = sorted(p.stem for p in (ROOT / "kerasrnn").glob("[a-z]*.py"))


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_downwards_only(module):
    assert module in ORDER, "a new module needs its place in the order"
    _, names = imports(module)
    for name in names:
        match = re.fullmatch(r"kerasrnn\.(\w+)", name)
        if match and match[1] in ORDER:
            assert ORDER.index(match[1]) > ORDER.index(module), f"{module} imports {match[1]}"


@pytest.mark.parametrize("module", sorted(WITHOUT_KERAS & set(MODULES)))
def test_modules_without_keras_do_not_import_it_at_their_top(module):
    top, _ = imports(module)
    assert not {name.split(".")[0] for name in top} & {"keras", "tensorflow"}


def modules_after(*words):
    """The top-level modules that a fresh process has imported after running some code."""
    code = f"import sys\n{words[0]}\nprint(*sorted(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in out.stdout.split("\n")[-2].split()}


RUN = """from click.testing import CliRunner
from kerasrnn.cli import main
CliRunner().invoke(main, {})"""


@pytest.mark.parametrize(
    "code",
    [
        "import kerasrnn; dir(kerasrnn); kerasrnn.InputError",
        *(RUN.format([*verb, "--help"]) for verb in ((), ("train",), ("evaluate",), ("predict",))),
        RUN.format(["--version"]),
        RUN.format(["runs"]),
    ],
)
def test_starting_imports_nothing_heavy(code):
    heavy = {"tensorflow", "keras", "sklearn", "matplotlib", "scipy", "numpy"}
    assert not modules_after(code) & heavy


def test_plot_never_imports_tensorflow(digit_run, tmp_path):
    words = ["plot", str(digit_run.path), "--output", str(tmp_path / "a.png")]
    assert not modules_after(RUN.format(words)) & {"tensorflow", "keras", "sklearn"}
    assert (tmp_path / "a.png").exists()


def test_every_public_name_is_there_and_documented():
    for name in kerasrnn.__all__:
        assert getattr(kerasrnn, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        kerasrnn.nothing  # noqa: B018


def test_the_version_is_that_of_the_installed_package():
    from importlib.metadata import version

    assert version("kerasrnn") == kerasrnn.__version__
    assert f"## {kerasrnn.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_errors_are_one_line_with_all_their_parts():
    error = kerasrnn.InputError("a", found="b\nc", expected="d", fix="e", where="f")
    assert str(error) == "f: a: found b c; expected d; e"
    assert isinstance(error, ValueError)
