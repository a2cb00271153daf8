"""``load_texts`` and ``load_series``: from a file or folder to data to train on."""

from __future__ import annotations

import os

from kerasrnn.data.readers import TextParts, TimeSeries
from kerasrnn.data.roles import Roles
from kerasrnn.data.series import Series
from kerasrnn.data.sources import options_of, read_source, source_of
from kerasrnn.data.texts import Texts
from kerasrnn.errors import InputError
from kerasrnn.options import tables


def load_texts(
    source: str | os.PathLike,
    *,
    roles: Roles | None = None,
    test: str | os.PathLike | None = None,
    encoding: str | None = None,
    level: str | None = None,
    max_vocabulary: int | None = None,
    min_frequency: int | None = None,
    max_length: int | None = None,
    multi_label: str | None = None,
    validation_split: float | None = None,
    seed: int = 0,
) -> Texts:
    """Labelled texts of a table, of lines with the label first, or of files by class.

    Args:
        source: the path of a file or folder.
        roles: what the columns of a table are, where that is not to be found.
        test: the path of the test part, where it is not beside the other.
        encoding: of text files, by default UTF-8.
        level, max_vocabulary, min_frequency, max_length: as of ``Texts.from_lists``.
        multi_label: what separates the labels of a text that has several.
        validation_split, seed: as of ``Texts.from_lists``.

    Raises:
        InputError: no such file, or no labelled texts in it.

    >>> load_texts("reviews.csv", roles=Roles(text="review"))  # doctest: +SKIP
    """
    given = os.fspath(source)
    found = read_source(given, roles=roles, task="classifier", test=test, encoding=encoding)
    if not isinstance(found, TextParts):
        raise InputError("no labelled texts", where=given, found="sequences", fix="load_dataset")
    options = {
        "level": level,
        "max_vocabulary": max_vocabulary,
        "min_frequency": min_frequency,
        "max_length": max_length,
        "multi_label": multi_label,
        "validation_split": validation_split,
        "seed": seed,
    }
    options |= options_of(roles, test, encoding)
    return Texts.from_parts(found, source_of(given), given, options)


def load_series(
    source: str | os.PathLike,
    *,
    roles: Roles | None = None,
    test: str | os.PathLike | None = None,
    encoding: str | None = None,
    horizon: int | None = None,
    window: int | None = None,
    season: int | None = None,
    validation_split: float = 0.1,
) -> Series:
    """One or several series of a table, whose next values are to be predicted.

    Args:
        source: the path of a file or folder.
        roles, test, encoding: as of ``load_texts``.
        horizon, window, season, validation_split: as of ``Series.from_arrays``.

    Raises:
        InputError: no such file, or no series in it.

    >>> load_series("ETTh1.csv", roles=Roles(target="OT"), horizon=24)  # doctest: +SKIP
    """
    given = os.fspath(source)
    found = read_source(given, roles=roles, task="regressor", test=test, encoding=encoding)
    if not isinstance(found, TimeSeries):
        raise InputError("no series", where=given, found="sequences", fix="load_dataset")
    options = {"horizon": horizon, "window": window, "season": season}
    options |= {"validation_split": validation_split} | options_of(roles, test, encoding)
    known = tables("regressor", "series")[0]
    return Series.from_rows(found, source_of(given), given, known | options)
