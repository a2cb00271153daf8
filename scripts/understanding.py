"""What the programs scripts/understand_*.py share: pages that hold their output, and figures.

A page of docs/understanding/ has places ``<!-- NAME -->`` … ``<!-- end -->``; what a program prints
under a name is written there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import matplotlib
from matplotlib.figure import Figure

DOCS = Path(__file__).resolve().parents[1] / "docs"
FIGURES = DOCS / "images" / "understanding"
BLUE, ORANGE, GREEN, PINK, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9"
"""Colours that all can tell apart (Okabe & Ito 2008)."""


def filled(page: str, outputs: dict[str, str]) -> str:
    """The text of a page of docs/understanding/ with the outputs of its program in their places.

    An output is Markdown where it begins with ``|`` or a fence, else it is fenced.
    """
    text = (DOCS / "understanding" / page).read_text(encoding="utf-8")
    for name, output in outputs.items():
        block = output if output.startswith(("|", "```")) else f"```text\n{output}\n```"
        found = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.S)
        if not found.search(text):
            raise ValueError(f"{page} has no place <!-- {name} -->")
        text = found.sub(lambda match, block=block: f"{match[1]}\n{block}\n\n{match[2]}", text)
    return text


def show(page: str, outputs: dict[str, str]):
    """Print the outputs, and write them into their page."""
    for name, output in outputs.items():
        print(f"--- {name}\n{output}\n")
    (DOCS / "understanding" / page).write_text(filled(page, outputs), encoding="utf-8")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def draw(name: str, size: tuple[float, float], paint: Callable[[Figure], None]):
    """Write a figure of a size in inches, on white, that ``paint`` has painted."""
    settings = {"svg.hashsalt": name, "font.size": 10, "axes.spines.top": False}
    with matplotlib.rc_context(settings | {"axes.spines.right": False}):
        figure = Figure(figsize=size, layout="constrained", facecolor="white")
        paint(figure)
        FIGURES.mkdir(parents=True, exist_ok=True)
        metadata = {"Date": None} if name.endswith(".svg") else {}
        figure.savefig(FIGURES / name, dpi=150, metadata=metadata)


def text_at_hand() -> str:
    """The Time Machine where it lies under KERASRNN_DATA, else the texts within Python."""
    path = Path(os.environ.get("KERASRNN_DATA", ""), "text", "timemachine.txt")
    return "time-machine" if path.exists() else "english"
