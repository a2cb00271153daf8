"""Folders as data sets are laid out: one for each part, in it one or a file for each class."""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path

from kerasrnn.data.readers.part_files import PARTS, part_of
from kerasrnn.errors import InputError

_UNLABELLED = re.compile(r"unsup(ervised)?|unlabell?ed|unlab")


def part_folders(folder: Path) -> dict[str, Path]:
    """The folders ``train``, ``test``, … of a folder by part; itself as ``"training"`` if none.

    Raises ``InputError`` where two are meant for one part.
    """
    found = {}
    for path in entries(folder, folders=True):
        found.setdefault(part_of(path.name), []).append(path)
    if "training" not in found:
        return {"training": folder}
    for part in PARTS:
        if len(found.get(part, ())) > 1:
            names = " and ".join(path.name for path in found[part])
            raise InputError(f"two folders of the {part} part", where=folder, found=names)
    return {part: found[part][0] for part in PARTS if part in found}


def class_folders(folder: Path) -> dict[str, Path]:
    """The folders of a folder by the names of their classes, without those of no class."""
    found = {path.name: path for path in entries(folder, folders=True)}
    return {name: path for name, path in found.items() if not _UNLABELLED.fullmatch(name.lower())}


def warn_of_unlabelled(folder: Path):
    """Say which folders ``class_folders`` leaves out: ``unsup``, as in aclImdb, and the like."""
    for path in entries(folder, folders=True):
        if _UNLABELLED.fullmatch(path.name.lower()):
            warnings.warn(f"{path}: left out, as what is in it has no label", stacklevel=4)


def entries(folder: Path, *, folders: bool = False) -> list[Path]:
    """The files of a folder, or its folders, in order, but for names like ``.x`` and ``__x``.

    Raises ``InputError`` for a link that leads out of the folder: a data set that was unpacked
    from an archive must not read what is elsewhere.
    """
    found = []
    with os.scandir(folder) as listed:
        for entry in listed:
            if entry.name.startswith((".", "__")) or entry.is_dir() is not folders:
                continue
            if entry.is_symlink():
                _check_inside(Path(entry.path), folder)
            found.append(Path(entry.path))
    return sorted(found)


def _check_inside(path, folder):
    target = path.resolve()
    if not target.is_relative_to(folder.resolve()):
        raise InputError(
            "a link that leads out of its folder",
            where=path,
            found=str(target),
            fix="put the file itself there",
        )
