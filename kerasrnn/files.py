"""Files written whole or not at all."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from pathlib import Path

from kerasrnn.errors import InputError


@contextmanager
def atomic(path):
    """Yield a temporary path beside ``path`` (same suffix) and move it there on success.

    Raises ``InputError`` where the place cannot be written (full or read-only disk).
    """
    path = Path(path)
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(
            f"cannot write {path}",
            found=error.strerror or str(error),
            fix="free space or choose another place",
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path, text):
    """Write ``text`` to ``path`` atomically, as UTF-8."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path, value):
    """Write ``value`` to ``path`` atomically, as indented JSON."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")
