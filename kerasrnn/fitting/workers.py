"""Which of several workers this process is, as clusters say it in TF_CONFIG. No TensorFlow here."""

from __future__ import annotations

import json
import os
from typing import NamedTuple

from kerasrnn.errors import InputError, check_choice
from kerasrnn.options import STRATEGIES

_JOBS = ("chief", "worker")  # in the order in which their tasks are counted


class Worker(NamedTuple):
    """One of several processes that train together, the first of which is the chief."""

    index: int = 0
    number: int = 1
    address: str = ""

    @property
    def chief(self) -> bool:
        return self.index == 0


def this_worker(strategy: str = "auto") -> Worker | None:
    """Which worker of a training this process is; None where it is to train by itself.

    Under ``"auto"`` a cluster is one of two workers or more. Raises ``InputError`` for an unknown
    strategy, or where ``"multiworker"`` has no cluster that it can train on.

    >>> this_worker("mirrored")
    """
    check_choice("strategy", strategy, STRATEGIES)
    said = os.environ.get("TF_CONFIG", "")
    if strategy not in ("auto", "multiworker") or (strategy == "auto" and not said):
        return None
    try:
        found = json.loads(said or "{}")
        cluster, task = found.get("cluster", {}), found.get("task", {})
        addresses = [address for job in _JOBS for address in cluster.get(job, ())]
        if strategy == "auto" and len(addresses) < 2:
            return None
        if not cluster or {*cluster} - {*_JOBS} or task.get("type") not in cluster:
            raise ValueError
        before = len(cluster.get("chief", ())) if task["type"] == "worker" else 0
        worker = Worker(before + int(task["index"]), len(addresses))
        return worker._replace(address=addresses[worker.index])
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise InputError(
            "no cluster of workers in TF_CONFIG",
            found=said or None,
            expected='{"cluster": {"worker": ["host:port", …]}, "task": {"type": "worker", '
            '"index": 0}}',
            fix="leave --strategy out to train in this process alone" if not said else None,
        ) from error


def check_alone(strategy: str, what: str):
    """Raise ``InputError`` where a process that trains several models is one of several workers."""
    if this_worker(strategy):
        raise InputError(
            f"{what} on several workers", fix="give --strategy none, or one training at a time"
        )
