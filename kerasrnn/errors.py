"""The one error that bad input raises, the checks that raise it, and an interrupt."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from numbers import Real


class InputError(ValueError):
    """Something the user passed is wrong: data, an option, a path, a run.

    The message is one line: ``where: what: found …; expected …; fix``. At the command
    line it becomes that line and exit code 2; in Python it is a ``ValueError``.

    >>> raise InputError("unknown cell", found="'lstn'", expected="lstm or gru")
    Traceback (most recent call last):
    kerasrnn.errors.InputError: unknown cell: found 'lstn'; expected lstm or gru
    """

    def __init__(self, what, *, found=None, expected=None, fix=None, where=None):
        message = str(what)
        if found is not None:
            message += f": found {found}"
        if expected is not None:
            message += f"{':' if found is None else ';'} expected {expected}"
        if fix is not None:
            message += f"; {fix}"
        if where is not None:
            message = f"{where}: {message}"
        super().__init__(" ".join(message.split()))


class Terminated(KeyboardInterrupt):
    """SIGTERM, as a cluster sends it before it takes a machine away: to be obeyed as Ctrl-C is."""


def reason_of(error: BaseException) -> str:
    """The line of another library's error that says what is wrong.

    >>> reason_of(RuntimeError("Graph execution error:\\n\\nno text: expected some [Op:Assert]"))
    'no text: expected some'
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if "expected" in line]
    line = (told or lines or [type(error).__name__])[0].split(" [Op:")[0]
    return line if told else line.split("; ")[-1]


def check_choice(name: str, value, choices: Iterable[str]):
    """Raise ``InputError`` unless ``value`` is one of ``choices``."""
    choices = list(choices)
    if not isinstance(value, str) or value not in choices:
        raise InputError(f"unknown {name}", found=repr(value), expected=" or ".join(choices))


def check_positive(**numbers):
    """Raise ``InputError`` unless all are ints of 1 or more, below 2^31."""
    for name, value in numbers.items():
        if not _is_int(value) or not 1 <= value < 2**31:
            raise InputError(f"{name} out of range", found=value, expected="a positive int")


def check_range(name: str, value, low, high=math.inf, *, open_low=False, expected=None):
    """Raise ``InputError`` unless ``value`` is a number, low ≤ (or <) value < high."""
    real = isinstance(value, Real) and not isinstance(value, bool)
    if not real or not (low < value if open_low else low <= value) or not value < high:
        text = f"{low} {'<' if open_low else '≤'} {name} < {high}"
        if high == math.inf:
            text = f"above {low}" if open_low else f"{low} or more"
        raise InputError(f"{name} out of range", found=value, expected=expected or text)


def check_seed(seed):
    """Raise ``InputError`` unless ``seed`` is an int of 32 bits."""
    if not _is_int(seed) or not 0 <= seed < 2**32:
        raise InputError("seed out of range", found=seed, expected="an int, 0 ≤ seed < 2^32")


def check_split(split):
    """Raise ``InputError`` unless 0 ≤ validation split < 1, or it is None."""
    if split is not None:
        check_range("validation split", split, 0, 1)


def check_memory(what: str, size: int):
    """Raise ``InputError`` where ``size`` bytes are more than this process can ever have."""
    limit = memory_limit()
    if size > limit:
        raise InputError(
            f"{what} larger than the memory",
            found=f"{size / 1e9:,.1f} GB",
            expected=f"at most {limit / 1e9:,.1f} GB",
            fix="choose fewer units or a smaller vocabulary",
        )


def memory_limit() -> int:
    """Bytes that this process can have at most: the machine's memory, or the process's limit."""
    limits = [2**63]
    if hasattr(os, "sysconf"):
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
        import resource

        limits += [n for n in resource.getrlimit(resource.RLIMIT_AS) if n != resource.RLIM_INFINITY]
    return min(limits)


def _is_int(value):
    return isinstance(value, int) and not isinstance(value, bool)
