"""The pages of docs/understanding/: their loops are the layers', their boxes what is printed."""

import re

import keras
import numpy as np
import pytest
import reference
from conftest import ROOT, load_script

from kerasrnn import layers

PAGES = ROOT / "docs" / "understanding"
CELLS = {"simple": "SimpleRNN", "lstm": "LSTM", "gru": "GRU"}


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("home", [keras.layers, layers], ids=["keras", "kerasrnn"])
def test_the_loop_of_the_page_is_the_layer(home, cell):
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(5, 3, 10)).astype("float32")
    layer = getattr(home, CELLS[cell])(20, return_sequences=True)
    layer.build(x.shape)
    layer.set_weights([np.random.default_rng(1).normal(size=w.shape) for w in layer.get_weights()])
    loop = [reference.layer(cell, one, layer.get_weights()) for one in x]
    np.testing.assert_allclose(layer(x), loop, atol=1e-5)


@pytest.mark.parametrize("page", ["directions", "text"])
def test_a_page_shows_what_its_script_prints(page):
    script = load_script(f"understand_{page}")
    filled = script.page.filled(f"{page}.md", script.outputs())
    assert filled == (PAGES / f"{page}.md").read_text(encoding="utf-8")


def test_the_equations_of_the_page_are_those_that_are_tested():
    script = load_script("understand_gates")
    filled = script.page.filled("gates.md", script.code())
    assert filled == (PAGES / "gates.md").read_text(encoding="utf-8")


def test_the_shapes_of_the_example():
    text = (PAGES / "directions.md").read_text(encoding="utf-8")
    for name, shape in (
        ("layer 1: outputs", "(5, 3, 40)"),
        ("layer 1: state of the backward direction", "(5, 20)"),
        ("layer 2 without return_sequences", "(5, 40)"),
    ):
        assert f"| {name} | `{shape}` |" in text


def test_pages_are_filled_and_their_figures_are_there():
    for path in PAGES.glob("*.md"):
        text = path.read_text(encoding="utf-8")
        assert not re.findall(r"<!-- (\S+) -->\s*<!-- end -->", text), path.name
        for figure in re.findall(r"\]\((\.\./images/\S+)\)", text):
            assert (PAGES / figure).stat().st_size < 100_000, figure
