"""The pages of docs/ that are made from the code."""

import importlib.util

import pytest
from conftest import ROOT

SCRIPT = ROOT / "scripts" / "reference.py"


@pytest.fixture(scope="module")
def reference():
    spec = importlib.util.spec_from_file_location("reference_pages", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["commands", "api"])
def test_a_page_is_what_the_code_says(reference, page):
    text = getattr(reference, page)()
    same = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8") == text
    assert same, "run 'python scripts/reference.py'"


def test_a_docstring_as_markdown(reference):
    lines = reference._markdown("Take ``x``.\n\nArgs:\n    x, y: one\n        two.\n\n>>> f(1)\n2")
    items = ["**Args**", "", "* `x`, `y`: one", "  two.", ""]
    assert lines == ["Take `x`.", "", *items, "```pycon", ">>> f(1)", "2", "```"]
