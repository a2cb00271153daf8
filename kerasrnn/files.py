"""Files written whole or not at all, and read only where they are files."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from kerasrnn.errors import InputError

try:
    import fcntl
except ImportError:  # not on Windows, where nothing keeps two processes apart
    fcntl = None

CHECKSUMS = "checksums.json"
_LARGEST = 1 << 30  # bytes of a text file that is read at once
_NUMBERS = re.compile(r'\[\n[^\[\]{}"]*\]')  # no text holds a line end, so none is changed
_TEMPORARY = re.compile(r"\.\d+-")  # how the names of temporary files begin


@contextmanager
def atomic(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` (same suffix) and move it there on success.

    Raises ``InputError`` where the place cannot be written (full or read-only disk).
    """
    path = Path(path)
    if not path.name:
        raise InputError("no file to write", found=repr(str(path)), expected="the path of a file")
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def writing_together(folder: str | os.PathLike, *names: str) -> Iterator[list[Path]]:
    """Yield temporary paths for files of a folder, and move those written to their places.

    The folder's checksums.json has then, for each of them, the SHA-256 of what it holds, and first
    of what it held before: a process may be killed before all files are moved. Raises
    ``InputError`` where the place cannot be written.
    """
    folder = Path(folder)
    places = [folder / name for name in names]
    temporary = [folder / f".{os.getpid()}-{name}" for name in names]
    try:
        yield temporary
        noted = _checksums(folder)
        moves = [move for move in zip(temporary, places, strict=True) if move[0].exists()]
        for new, place in moves:
            sums = [digest(new), *_known(place, noted.get(place.name))]
            noted[place.name] = [*dict.fromkeys(sums)]
        write_json(folder / CHECKSUMS, noted)
        for new, place in moves:
            os.replace(new, place)
    except OSError as error:
        raise _cannot_write(folder, error) from error
    finally:
        for new in temporary:
            with suppress(OSError):
                new.unlink()


def _known(path, sums):
    """The sum of a file that is there, unless it is a damaged one, as a list."""
    found = [digest(path)] if path.is_file() else []
    return found if sums is None else [sum for sum in found if sum in sums]


def check_sum(path: str | os.PathLike):
    """Raise ``InputError`` where checksums.json beside a file says that it was another one."""
    path = Path(path)
    noted = _checksums(path.parent).get(path.name)
    if noted is not None and (found := digest(path)) not in noted:
        raise InputError(
            f"{path.name} is damaged",
            where=path,
            found=f"SHA-256 {found[:12]}",
            expected=" or ".join(sum[:12] for sum in noted),
            fix=f"bring a copy back; if you changed it yourself, delete {path.parent / CHECKSUMS}",
        )


def _checksums(folder):
    path = folder / CHECKSUMS
    noted = read_json(path, dict) if path.exists() else {}
    for sums in noted.values():
        if not isinstance(sums, list) or not all(isinstance(one, str) for one in sums):
            raise InputError("unexpected JSON", where=path, expected="a list of sums for each file")
    return noted


@contextmanager
def locked(folder: str | os.PathLike):
    """Have a folder for this process alone until the block is done, or the process is.

    What a process left half-written when it was killed is cleared away. Raises ``InputError``
    where another process has the folder.
    """
    folder = Path(folder)
    with ExitStack() as held:
        if fcntl is not None:
            number = os.open(folder, os.O_RDONLY)
            held.callback(os.close, number)
            _lock(number, folder)
        for path in folder.iterdir():
            if _TEMPORARY.match(path.name):
                path.unlink(missing_ok=True)
        yield


def _lock(number, folder):
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise InputError(
            f"another process is at work in {folder}", fix="wait until it has ended, or end it"
        ) from error
    except OSError:  # a file system without locks, where nothing keeps two apart either
        return


@contextmanager
def replacing_directory(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a path beside ``path`` for a new directory, and move it there on success.

    What is at ``path`` already is replaced then; where anything fails it stays. Raises
    ``InputError`` where the place cannot be written.
    """
    place = Path(os.path.realpath(path))
    new, old = (place.with_name(f".{os.getpid()}-{word}-{place.name}") for word in ("new", "old"))
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        yield new
        if place.exists():
            place.rename(old)
        new.rename(place)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        if old.exists() and not place.exists():
            old.rename(place)
        for left in (new, old):
            shutil.rmtree(left, ignore_errors=True)


def remove_directory(path: str | os.PathLike):
    """Remove a directory with all that is in it; what its links lead to stays.

    It loses its name first, so that nobody finds half of it. Raises ``InputError`` where it
    cannot be removed.
    """
    path = Path(path)
    nameless = path.with_name(f".{os.getpid()}-removed-{path.name}")
    try:
        path.rename(nameless)
        shutil.rmtree(nameless)
    except OSError as error:
        raise _cannot_write(path, error) from error


def _cannot_write(path, error):
    return InputError(
        f"cannot write {path}",
        found=error.strerror or str(error),
        fix="free space or choose another place",
    )


def write_text(path: str | os.PathLike, text: str):
    """Write ``text`` to ``path`` atomically, as UTF-8."""
    write_pieces(path, [text])


def write_pieces(path: str | os.PathLike, pieces: Iterable[str]):
    """Write pieces of a text to ``path`` atomically, as UTF-8."""
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(pieces)


def write_json(path: str | os.PathLike, value):
    """Write ``value`` to ``path`` atomically, as ``json_text`` gives it."""
    write_text(path, json_text(value))


def json_text(value) -> str:
    """A value as indented JSON, each list of numbers on one line.

    >>> print(json_text({"matrix": [[1, 2], [3, 4]]}), end="")
    {
      "matrix": [
        [1, 2],
        [3, 4]
      ]
    }
    """
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    return _NUMBERS.sub(
        lambda found: " ".join(found[0].split()).replace("[ ", "[")[:-2] + "]", text
    )


def check_regular(path: str | os.PathLike):
    """Raise ``InputError`` unless ``path`` is a regular file: pipes wait, devices never end.

    A link to a regular file is one.
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError as error:
        raise InputError(f"no file {path}") from error
    except OSError as error:
        raise InputError(f"cannot read {path}", found=error.strerror) from error
    if not stat.S_ISREG(mode):
        kind = "a directory" if stat.S_ISDIR(mode) else "a pipe, socket or device"
        raise InputError("not a regular file", where=path, found=kind)


def read_text(path: str | os.PathLike) -> str:
    """The text of a UTF-8 file. Raises ``InputError``, as for one that is no regular file."""
    check_regular(path)
    try:
        if (size := os.stat(path).st_size) > _LARGEST:
            raise InputError("a file too large", where=path, found=f"{size:,} bytes")
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read {path}", found=error.strerror) from error
    except UnicodeDecodeError as error:
        raise InputError(f"broken text: {error}", where=path) from error


def read_json(path: str | os.PathLike, kind: type):
    """The value in a JSON file, which must be a ``dict`` or a ``list``. Raises ``InputError``."""
    text = read_text(path)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"broken JSON: {error}", where=path) from error
    if not isinstance(value, kind):
        raise InputError("unexpected JSON", where=path, expected=f"a {kind.__name__}")
    return value


def digest(path: str | os.PathLike) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
