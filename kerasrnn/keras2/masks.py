"""Masks as Keras 2 has them, where Keras 3 takes others.

Keras 3 forgets the mask of a layer that is given initial states. Where sequences meet, a step
counts in Keras 2 if it does in all that have a mask; in Keras 3 if it does in any, and always
where one has no mask. Masks are therefore given to layers by hand there, as part of the graph.
"""

from __future__ import annotations

import keras

from kerasrnn.engine.compat import mask_of

_MERGES = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate")
_TAKERS = ("LSTM", "GRU", "SimpleRNN", "Bidirectional", "TimeDistributed", "GlobalAveragePooling1D")


class Masks:
    """The masks of a graph's tensors that differ from those that Keras 3 takes by itself."""

    def __init__(self):
        self._given = {}

    def of(self, x: keras.KerasTensor) -> keras.KerasTensor | None:
        """The mask of a tensor in Keras 2."""
        return self._given.get(id(x), mask_of(x))

    def to_give(self, kind: str, inputs: list[keras.KerasTensor]) -> dict:
        """What a layer must be called with besides: a mask, or nothing."""
        x = inputs[0]
        by_hand = id(x) in self._given or len(inputs) > 1
        return (
            {"mask": self.of(x)} if kind in _TAKERS and by_hand and self.of(x) is not None else {}
        )

    def follow(self, kind: str, layer, inputs: list[keras.KerasTensor], output):
        """Remember the mask of a layer's output where Keras 3 would take another."""
        if kind in _MERGES and isinstance(output, keras.KerasTensor):
            masks = [self.of(x) for x in inputs]
            same = len({id(mask) for mask in masks}) == 1 and not self._given.keys() & set(
                map(id, inputs)
            )
            if same or (kind == "Concatenate" and layer.axis not in (-1, output.ndim - 1)):
                return
            found = list({id(mask): mask for mask in masks if mask is not None}.values())
            mask = found[0]
            for other in found[1:]:
                mask = keras.ops.logical_and(mask, other)
            self._given[id(output)] = mask
        elif kind not in _TAKERS and layer.supports_masking and id(inputs[0]) in self._given:
            self._given[id(output)] = self._given[id(inputs[0])]
