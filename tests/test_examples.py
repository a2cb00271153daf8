"""The examples in the docstrings of the package, run as they stand."""

import doctest
import importlib
import pkgutil

import pytest

import kerasrnn

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(kerasrnn.__path__, "kerasrnn.")
    if not module.name.endswith(("__main__", "exporting.check", "._native"))
)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_are_true(name, workplace):
    found = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert found.failed == 0


def test_every_public_function_and_class_has_an_example():
    without = [name for name in kerasrnn.__all__ if ">>>" not in getattr(kerasrnn, name).__doc__]
    assert without == []
