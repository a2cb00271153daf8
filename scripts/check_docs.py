"""Run the commands and programs of README.md and docs/, and compare what they print with the page.

Each page has a process and an empty folder of its own, in which its blocks run in order:

    ```sh       commands that run whole
    ```bash     commands that train for long: each training has a second or two, and a command
                whose data, run or extra is not here is only parsed; so is what is not of kerasrnn
    ```python   programs; the names of one block are known in the next; one that imports what is not
                installed is only parsed
    ```console  commands after "$ " and what they print; otherwise as ```bash
    ```output   what the block before it prints

Each line of it must be printed: numbers, spaces and the order may differ, and "…" stands for
anything. Other blocks are not looked at. A notebook runs from top to bottom.

    python scripts/check_docs.py                     all, two at a time
    python scripts/check_docs.py docs/data.md        some
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WRITTEN = ("api.md", "commands.md")  # by reference.py, from docstrings that the tests run
NOT_HERE = {"devices.md": "several machines", "ray.md": "Ray"}  # these pages are only parsed
NOT_RUN = ("curl", "docker", "mkdocs", "pip", "pytest")
TRAIN = ("train", "tune")  # verbs that have, in bash blocks, no more time than this:
BUDGET = ("--max-minutes", "0.02")
EMBEDDED = ("digits", "english", "python")
EXTRAS = {"onnx": "tf2onnx", "tune": "optuna"}  # a word of a command: what it needs installed
DATA = {  # what pages call a set: its place under KERASRNN_DATA
    "airline-passengers.csv": "forecast/airline-passengers.csv",
    "ItalyPowerDemand": "timeseries/ItalyPowerDemand",
    "mnist": "mnist",
    "names": "textclass/names",
    "shakespeare": "text/tinyshakespeare.txt",
    "time-machine": "text/timemachine.txt",
}
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
_NUMBER = re.compile(r"[-+]?\d[\d,]*(\.\d+)?(e[-+]?\d+)?")
_FILE = re.compile(r"/|\.(csv|conllu|h5|jsonl|keras|npz|parquet|py|txt)$")


class Wrong(Exception):
    """A block does not do what the page says."""


@dataclass
class Page:
    """What became of the blocks of a page: how many commands and programs ran, or were parsed."""

    path: Path
    ran: int = 0
    parsed: int = 0
    seconds: float = 0.0
    wrong: str = ""


def blocks(text: str) -> Iterator[tuple[str, str, int]]:
    """Language, text and first line of each fenced block of a page."""
    for match in _FENCE.finditer(text):
        yield match[1], match[2], text.count("\n", 0, match.start(2)) + 1


def check(path: Path) -> Page:
    """Run the blocks of a page, or a notebook, in a new folder, up to the first that fails."""
    page, began = Page(path), time.monotonic()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        os.symlink(ROOT / "scripts", "scripts")
        for name, place in DATA.items():
            if (data := Path(os.environ.get("KERASRNN_DATA", "-"), place)).exists():
                os.symlink(data, name)
        write_examples()
        if path.suffix == ".ipynb":
            page.wrong = run_notebook(path, page)
        else:
            page.wrong = run_blocks(path, page)
    page.seconds = time.monotonic() - began
    return page


def write_examples():
    """Small files that pages speak of and do not make."""
    numbers = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
    rows = [
        f"the {number} film of {year} is {year % 5 * 'very '}{word},{label}"
        for year in range(2000, 2005)
        for number in numbers
        for word, label in [("dull", "neg"), ("lovely", "pos")]
    ]
    for name in ("reviews.csv", "new.csv"):
        Path(name).write_text("\n".join(["review,sentiment", *rows[::2], *rows[1::2]]) + "\n")
    rows = [
        f"d{d},{t},{d % 2 + t / 9},{'on' if d % 2 else 'off'}" for d in range(30) for t in range(9)
    ]
    Path("sensors.csv").write_text("\n".join(["device,when,x,state", *rows]) + "\n")
    rows = [f"2024-01-{h // 24 + 1:02} {h % 24:02}:00,{h % 24 + h / 99}" for h in range(720)]
    Path("load.csv").write_text("\n".join(["date,OT", *rows]) + "\n")


def run_blocks(path, page):
    """What is wrong with the first block that fails, or an empty string."""
    names, printed = {"__name__": "__main__"}, None
    for language, text, line in blocks(path.read_text(encoding="utf-8")):
        try:
            if language == "python":
                printed = run_python("\n" * (line - 1) + text, names, page)
            elif language in ("sh", "bash", "console"):
                printed = run_commands(text, language, page)
            elif language == "output" and printed is not None:
                compare(text, printed)
        except Wrong as error:
            return f"{path}:{line}: {error}"
        except Exception:
            return f"{path}:{line}: {traceback.format_exc(limit=-3)}"
    return ""


def run_notebook(path, page):
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    notebook = nbformat.read(path, as_version=4)
    page.ran = sum(cell.cell_type == "code" for cell in notebook.cells)
    try:
        NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    except CellExecutionError as error:
        return f"{path}: {error}"
    return ""


def run_python(text, names, page):
    """What a program prints; None where it was only parsed, for want of what it imports."""
    code, imported = compile(text, str(page.path), "exec"), set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            imported |= {name.name.partition(".")[0] for name in node.names}
    if page.path.name in NOT_HERE or not all(map(find_spec, imported)):
        page.parsed += 1
        return None
    page.ran += 1
    with (
        contextlib.redirect_stdout(io.StringIO()) as printed,
        contextlib.redirect_stderr(io.StringIO()),
    ):
        exec(code, names)
    return printed.getvalue()


def run_commands(text, language, page):
    """What the commands of a block print; None where one was only parsed, or cut short."""
    printed, whole = "", True
    for command, expected in session(text) if language == "console" else commands(text):
        short = language != "sh"
        if page.path.name in NOT_HERE or (short and not is_here(command)):
            parse(command)
            page.parsed, whole = page.parsed + 1, False
            continue
        said = run_pipeline(command, short)
        page.ran, printed = page.ran + 1, printed + said
        if short and words_of(command)[0] in TRAIN:
            whole = False
        elif expected:
            compare(expected, said)
    return printed if whole else None


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Each command of a block, on one line or, by \\ or an open quotation mark, on several."""
    command = ""
    for line in text.splitlines(keepends=True):
        command += line
        if not line.endswith("\\\n") and closed(command):
            if shlex.split(command, comments=True):
                yield command.strip(), ""
            command = ""


def session(text: str) -> Iterator[tuple[str, str]]:
    """Each command of a session, and what it prints."""
    for part in re.split(r"^\$ ", text, flags=re.M)[1:]:
        command = next(commands(part))[0]
        yield command, part.removeprefix(command)


def closed(command):
    """Whether the quotation marks of a command are all closed."""
    try:
        shlex.split(command, comments=True)
    except ValueError:
        return False
    return True


def words_of(command):
    """The words after "kerasrnn"; of another command an empty list."""
    words = shlex.split(command.replace("\\\n", " "), comments=True)
    return words[1:] if words[0] == "kerasrnn" else []


def is_here(command):
    """Whether the data and the runs that a command of kerasrnn takes are in the folder."""
    words = words_of(command)
    taken = [
        word
        for before, word in zip(["", *words], words, strict=False)
        if before not in ("-o", "--output") and _FILE.search(word) and " " not in word
    ]
    if words and words[0] in (*TRAIN, "inspect"):
        data = context_of(words).params["data"]
        taken += [data] if words[0] == "inspect" else data
    there = [word in EMBEDDED or os.path.exists(word) for word in map(str, taken)]
    extras = [find_spec(EXTRAS.get(word, "re")) for word in words]
    return bool(words) and "--resume" not in words and all(there) and all(extras)


def parse(command):
    """Raise ``Wrong`` where a verb, an option or the syntax of a shell is none."""
    if words := words_of(command):
        context_of(words)
    elif subprocess.run(["bash", "-n", "-c", command], capture_output=True).returncode:
        raise Wrong(f"no command of a shell: {command}")


def context_of(words):
    """The options and arguments of a command of kerasrnn."""
    import click

    from kerasrnn.cli import main

    above = main.make_context("kerasrnn", [], resilient_parsing=True)
    try:
        return main.commands[words[0]].make_context(words[0], words[1:], parent=above)
    except (KeyError, click.ClickException) as error:
        raise Wrong(f"kerasrnn {shlex.join(words)}: {error!r}") from error


def run_pipeline(command, short):
    """What the last of the commands with | between them prints."""
    printed = ""
    for stage in re.split(r"\s\|\s", command):
        if words := words_of(stage):
            printed = run_kerasrnn(words, printed, short)
        elif stage.split()[0] not in NOT_RUN:
            result = subprocess.run(
                ["bash", "-c", stage], input=printed, capture_output=True, text=True
            )
            if result.returncode:
                raise Wrong(f"{stage}: exit code {result.returncode}: {result.stderr}")
            printed = result.stdout
    return printed


def run_kerasrnn(words, given, short):
    """What a command of kerasrnn prints, in this process; one that trains gets less time."""
    from click.testing import CliRunner

    from kerasrnn.cli import main

    more = BUDGET if short and words[0] in TRAIN else ()
    if words[-2:-1] == ["<"]:
        words, given = words[:-2], Path(words[-1]).read_text(encoding="utf-8")
    result = CliRunner().invoke(main, [*words, *more], input=given)
    if result.exit_code:
        raise Wrong(f"kerasrnn {shlex.join(words)}: exit code {result.exit_code}: {result.output}")
    return result.output


def compare(expected: str, printed: str):
    """Raise ``Wrong`` at the first line of a page that is not printed, numbers and order aside."""
    lines = shape(printed)
    for line in shape(expected):
        pattern = re.compile(".*".join(map(re.escape, line.split("…"))))
        if not any(map(pattern.fullmatch, lines)):
            raise Wrong(f"not printed: {line!r}; what is printed:\n{printed}")


def shape(text):
    """The lines of a text that are not empty, with 0 for each number and one space for several."""
    lines = (" ".join(_NUMBER.sub("0", line).split()) for line in text.splitlines())
    return [line for line in lines if line not in ("", "…")]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pages", nargs="*", type=Path, help="pages and notebooks  [all]")
    pages = [path.resolve() for path in parser.parse_args().pages] or [
        ROOT / "README.md",
        *sorted(path for path in ROOT.glob("docs/**/*.md") if path.name not in WRITTEN),
        *sorted(ROOT.glob("docs/**/*.ipynb")),
    ]
    os.environ |= {"MPLBACKEND": "agg", "TF_CPP_MIN_LOG_LEVEL": "3"}
    wrong = 0
    spawn = get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=spawn, max_tasks_per_child=1) as pool:
        for done in as_completed([pool.submit(check, path) for path in pages]):
            page = done.result()
            name = os.path.relpath(page.path, ROOT)
            print(f"{page.seconds:6.1f} s  {page.ran:3} run  {page.parsed:3} parsed  {name}")
            if page.wrong:
                print(page.wrong, file=sys.stderr)
                wrong += 1
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
