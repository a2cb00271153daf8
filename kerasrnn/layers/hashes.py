"""Hashes of small numbers that int32 holds, alike in TensorFlow and NumPy."""

from __future__ import annotations

FACTOR, PRIME = 8_011, 262_139


def mixed(code, *values):
    """The hash, below ``PRIME``, of one and of numbers or arrays of numbers below 2^18."""
    for value in values:
        code = (code * FACTOR + value + 1) % PRIME
    return code
