"""The one error that bad input raises."""

from __future__ import annotations


class InputError(ValueError):
    """Something the user passed is wrong: data, an option, a path, a run.

    The message is one line: ``where: what: found …; expected …; fix``. At the command
    line it becomes that line and exit code 2; in Python it is a ``ValueError``.
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
