"""What scripts/fuzz_options.py draws is what the command takes."""

import random

from conftest import load_script

from kerasrnn import options
from kerasrnn.cli import main


def test_options_that_are_drawn_are_those_of_the_command():
    fuzz, drawn = load_script("fuzz_options"), set()
    train = main.get_command(None, "train")
    for source in fuzz._SOURCES:
        for seed in range(40):
            words = fuzz.drawn(random.Random(seed), source)
            drawn |= {word for word in words if word.startswith("--")}
            train.make_context("train", words[1:])  # raises where there is no such option
    known = {name for owner in options.TASKS for table in options.tables(owner) for name in table}
    known |= {name for kind in options.OF_KIND.values() for table in kind for name in table}
    assert {*fuzz._VALUES, *fuzz._FLAGS} <= known
    assert len(drawn) > 40
