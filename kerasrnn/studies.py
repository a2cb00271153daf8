"""Studies of Optuna, kept in the journal of a directory that several processes share. No Keras.

A journal is safer than SQLite: each change is one line, appended under a lock, and file systems
of a network, which break the locks of SQLite, keep it too.
"""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from kerasrnn.errors import InputError

JOURNAL = "study.jsonl"
LEVELS = 20  # of the progress of a trial, at which it is compared with others
_FIRST_LEVEL = 5  # before it no trial is pruned
_DIGITS = 3  # of a number that is searched


def import_optuna():
    """Optuna, which then tells warnings only. Raises ``InputError`` where it is missing."""
    try:
        import optuna
    except ImportError as error:
        raise InputError("tune needs Optuna", fix="pip install 'kerasrnn[tune]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def open_study(folder: Path, made_of: Mapping, first: Mapping | None):
    """The ``optuna.Study`` in a folder; a new one where there is none.

    made_of: what all its trials share; JSON. first: values of its first trial, some or all.

    Raises ``InputError`` where it is made of something else, or damaged.
    """
    optuna = import_optuna()
    journal, file = optuna.storages.journal, str((folder / JOURNAL).absolute())
    try:
        backend = journal.JournalFileBackend(file, journal.JournalFileOpenLock(file))
        study = optuna.create_study(
            storage=optuna.storages.JournalStorage(backend),
            study_name="kerasrnn",
            pruner=optuna.pruners.MedianPruner(n_warmup_steps=_FIRST_LEVEL),
            load_if_exists=True,
        )
    except (ValueError, KeyError, AssertionError) as error:
        raise InputError("a damaged study", where=file) from error
    said = json.loads(json.dumps(made_of, default=os.fspath))
    before = study.user_attrs.get("made of")
    if before is None:
        study.set_user_attr("made of", said)
        study.enqueue_trial(dict(first or {}))
    elif before != said:
        name = next(name for name in said if before.get(name) != said[name])
        raise InputError(
            f"this study has other {name}",
            where=folder,
            found=_shown(said[name]),
            expected=_shown(before.get(name)),
            fix="repeat its options, or choose another --output",
        )
    return study


def ask(study, space: Mapping, *entropy: int):
    """A new ``optuna.Trial`` with a value of each range of a space.

    entropy: what fixes them, besides the trials so far.
    """
    optuna = import_optuna()
    trials = study.get_trials(deepcopy=False)
    begun = sum(trial.state != optuna.trial.TrialState.WAITING for trial in trials)
    sequence = np.random.SeedSequence([*entropy, begun])
    study.sampler = optuna.samplers.TPESampler(seed=int(sequence.generate_state(1)[0]))
    trial = study.ask({name: _distribution(found) for name, found in space.items()})
    trial.set_user_attr("process", [platform.node(), os.getpid()])
    return trial


def _distribution(found):
    distributions = import_optuna().distributions
    if isinstance(found, list):
        return distributions.CategoricalDistribution(found)
    low, high = found
    kinds = {int: distributions.IntDistribution, float: distributions.FloatDistribution}
    return kinds[type(low)](low, high, log=0 < low <= high / 10)


def values_of(trial) -> dict:
    """The values of a trial, rounded."""
    return {
        name: float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value
        for name, value in trial.params.items()
    }


def judged(study) -> list:
    """The trials that have a score, ``user_attrs["judged"]``."""
    states = import_optuna().trial.TrialState
    found = study.get_trials(deepcopy=False, states=(states.COMPLETE, states.PRUNED))
    return [trial for trial in found if "judged" in trial.user_attrs]


def count(study, before: float = math.inf) -> int:
    """The number of trials that are finished or being made, of those numbered before one."""
    states = import_optuna().trial.TrialState
    return sum(
        trial.state in (states.COMPLETE, states.PRUNED)
        or (trial.state == states.RUNNING and _is_alive(trial))
        for trial in study.get_trials(deepcopy=False)
        if trial.number < before
    )


def _is_alive(trial):
    """Whether the process of a trial is there, as far as this one can tell."""
    node, process = trial.user_attrs.get("process", (None, None))
    if node != platform.node() or os.name == "nt":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _shown(value):
    if not isinstance(value, dict):
        return value
    return ", ".join(f"{name} {found}" for name, found in value.items()) or "none"
