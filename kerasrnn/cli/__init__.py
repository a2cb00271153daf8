"""The command line."""

from kerasrnn.cli.verbs import main

__all__ = ["main"]
