"""The tasks: one file each, with all that sets a task apart. ``options`` has their defaults."""

from __future__ import annotations

from importlib import import_module

from kerasrnn import options
from kerasrnn.errors import check_choice


def task_of(name: str):
    """The ``Task`` of a name; imports its module and no other's. Raises ``InputError``.

    >>> task_of("classifier").kinds
    ('sequences', 'texts')
    """
    check_choice("task", name, options.TASKS)
    return import_module(f"kerasrnn.tasks.{name}").TASK
