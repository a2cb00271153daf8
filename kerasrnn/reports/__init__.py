"""Runs as one self-contained HTML page, read from their files. No Keras here."""

from kerasrnn.reports.page import render

__all__ = ["render"]
