"""The recipe for a tagger: what the number of its sentences asks of a training.

It knows sizes, never names; docs/defaults.md says what was measured.
"""

from __future__ import annotations

import math

from kerasrnn.tasks.base import Choice

_STEPS = 1000  # that few sentences need, however often they repeat
_EPOCHS = 10  # that many need


def tagger_recipe(sentences: int, batch_size: int) -> dict[str, Choice]:
    """Choices for a tagger of so many training sentences.

    >>> [tagger_recipe(number, 32)["epochs"].value for number in (500, 3400, 15_000)]
    [63, 10, 10]
    """
    batches = math.ceil(sentences / batch_size)
    epochs = max(_EPOCHS, math.ceil(_STEPS / batches))
    reason = f"{epochs * batches:,} steps of gradient descent over {sentences:,} sentences"
    return {"epochs": Choice(epochs, reason)}
