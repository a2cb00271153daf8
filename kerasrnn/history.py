"""What the columns of history.csv say: numbers by epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

History = Mapping[str, Sequence[float]]


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
