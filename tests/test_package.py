import ast
import subprocess
import sys

import pytest
from conftest import ROOT

import kerasrnn

FLOORS = """
cli > ensembles tuning reports > exporting keras2 training > fitting > tasks > inference data
> models > layers processes > engine > runs plotting evaluation regression ranges studies
> history text > files > options errors
"""
ROOMS = {room: floor for floor, rooms in enumerate(FLOORS.split(">")) for room in rooms.split()}


def imports(path):
    """The names that a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_imports_go_downwards_only():
    """A module imports from rooms of lower floors, or from its own room."""
    package = ROOT / "kerasrnn"
    for path in package.rglob("*.py"):
        room = path.relative_to(package).parts[0].removesuffix(".py")
        if room.startswith("__"):
            continue
        for name in imports(path):
            other = name.split(".")[1] if name.startswith("kerasrnn.") else None
            if other in ROOMS and other != room:
                assert ROOMS[other] > ROOMS[room], f"{path.name} of {room} imports {name}"
        assert room in ROOMS, f"a new room needs its floor: {room}"


def test_files_and_functions_stay_small():
    """No file over 450 lines, no function over 45 lines of body without its docstring."""
    for path in (ROOT / "kerasrnn").rglob("*.py"):
        text = path.read_text()
        assert len(text.splitlines()) <= 450, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                documented = ast.get_docstring(node) is not None and len(node.body) > 1
                first = node.body[1 if documented else 0]
                assert node.end_lineno - first.lineno < 45, f"{path}: {node.name}"


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
