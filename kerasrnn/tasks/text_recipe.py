"""The recipe for texts: what their number and length ask of a training.

It knows sizes, never names; docs/defaults.md has the measurements.
"""

from __future__ import annotations

import math

from kerasrnn.data.texts import Texts
from kerasrnn.tasks.base import Choice, Settings

_FEW, _MANY = 1_000, 20_000  # texts: up to the one small batches help, from the other large ones
_EPOCHS = 12
_STEPS = 600  # that few texts need, however often they repeat
_TOKENS = 10_000_000  # that are read in all, some minutes on two cores


def text_recipe(data: Texts, settings: Settings) -> dict[str, Choice]:
    """Choices for a classifier of texts.

    >>> from kerasrnn import options
    >>> data = Texts.from_lists(["Good day!", "Bad day."] * 100, ["yes", "no"] * 100)
    >>> recipe = text_recipe(data, Settings(*options.tables("classifier", "texts")))
    >>> recipe["epochs"].value, recipe["epochs"].reason
    (60, '600 steps of gradient descent, as few texts need')
    """
    number, tokens = len(data.train), len(data.train.x)
    batch = 16 if number < _FEW else 32 if number < _MANY else 64
    steps = math.ceil(number / (settings.fit["batch_size"] or batch))
    most = max(1, round(_TOKENS / tokens))
    epochs = min(most, max(_EPOCHS, math.ceil(_STEPS / steps)))
    if epochs == most:
        reason = f"of {tokens:,} {data.tokens.noun} each"
    elif epochs > _EPOCHS:
        reason = f"{epochs * steps:,} steps of gradient descent, as few texts need"
    else:
        reason = f"{epochs * steps:,} steps of gradient descent"
    return {
        "batch_size": Choice(batch, f"{number:,} texts"),
        "epochs": Choice(epochs, reason),
    }
