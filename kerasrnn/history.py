"""What history.csv says, numbers by epoch, and metrics.json, what was measured at the end."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

History = Mapping[str, Sequence[float]]
PARTS = ("test", "validation")  # that one judges a run by, the first there is
MEASURED = ("validation", "test", "baseline")  # the parts of metrics.json, in this order
_HEADLINES = ("entity_f1", "accuracy", "perplexity", "mae", "loss")  # the first stands for a run


def best_epoch(history: History) -> int | None:
    """The index of the epoch whose model a run keeps as its best; None without validation.

    That of the highest F1 of entities where it is measured, else of the lowest validation loss;
    the start of a training, which a regressor may keep, is none.

    >>> best_epoch({"val_loss": [2.0, 1.5, 1.75]})
    1
    """
    losses = history.get("val_loss", ())
    scores = history.get("val_entity_f1", [0.0] * len(losses))
    judged = (-score or loss for score, loss in zip(scores, losses, strict=True))
    found = [(value, index) for index, value in enumerate(judged) if value < math.inf]
    return min(found)[1] if found else None


def measured(metrics: dict) -> dict[str, dict]:
    """The rows of a table of what metrics.json holds: each part, then each baseline by its name.

    >>> measured({"baseline": {"mean": {"loss": 1.0}}, "test": {"loss": 0.5}})
    {'test': {'loss': 0.5}, 'mean': {'loss': 1.0}}
    """
    rows = {}
    for part in MEASURED:
        found = metrics.get(part, {})
        named = found and all(isinstance(row, dict) for row in found.values())
        rows |= found if named else {part: found} if found else {}
    return rows


def spread(rows: list[dict[str, dict]]) -> dict[str, dict]:
    """The mean and the sample standard deviation of each number that several runs measured.

    rows: of each run what ``measured`` gives. A single one has no deviation: None. A number that
    is not finite in one of them is left out.

    >>> spread([{"test": {"loss": 1.0}}, {"test": {"loss": 2.0}}])
    {'test': {'loss': {'mean': 1.5, 'deviation': 0.7071067811865476}}}
    """
    found = {}
    for part in rows[0] if rows else ():
        columns = [row.get(part, {}) for row in rows]
        found[part] = {
            name: {
                "mean": statistics.fmean(column[name] for column in columns),
                "deviation": statistics.stdev(column[name] for column in columns)
                if len(columns) > 1
                else None,
            }
            for name, value in columns[0].items()
            if isinstance(value, float)
            and all(math.isfinite(column.get(name, math.nan)) for column in columns)
        }
    return {part: numbers for part, numbers in found.items() if numbers}


def tabled(metrics: dict) -> dict[str, dict]:
    """The rows of a table of all that metrics.json holds.

    Those of ``measured``; of several runs their means and deviations, and those of their average.

    >>> list(tabled({"summary": {"mean": {}, "test": {}}, "test": {"loss": 0.5}}))
    ['test', 'ensemble, test', 'mean']
    """
    rows, means = measured(metrics), metrics.get("summary")
    if means is None:
        return rows
    parts = {part: means[part] for part in MEASURED if part in means}
    average = {f"ensemble, {part}": rows[part] for part in MEASURED if part in rows}
    return parts | average | {part: row for part, row in means.items() if part not in parts}


def headline(metrics: dict) -> tuple[str, str, float | dict] | None:
    """What stands for a run: the part, the metric and its value; None where nothing was measured.

    Of several runs that were not averaged the value is ``{"mean", "deviation"}``.

    >>> headline({"validation": {"loss": 0.25}, "test": {"loss": 0.5, "accuracy": 0.75}})
    ('test', 'accuracy', 0.75)
    """
    found = metrics if any(part in metrics for part in PARTS) else metrics.get("summary", {})
    part = next((part for part in PARTS if part in found), None)
    metric = next((name for name in _HEADLINES if name in found.get(part, {})), None)
    return (part, metric, found[part][metric]) if metric else None
