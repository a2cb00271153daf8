"""Masks as Keras 2 has them, where Keras 3 takes others.

Keras 3 forgets the mask of a layer that is given initial states. Where sequences meet, a step
counts in Keras 2 if it does in all that have a mask; in Keras 3 if it does in any, and always
where one has no mask. Masks are therefore given to layers by hand there, as part of the graph.
"""

from __future__ import annotations

import keras

from kerasrnn.engine.compat import mask_of
from kerasrnn.errors import InputError
from kerasrnn.keras2.configs import MODELS, RECURRENT

_MERGES = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate")
_ATTENTIONS = ("Attention", "AdditiveAttention")
_TAKERS = (*RECURRENT, "TimeDistributed", "GlobalAveragePooling1D")  # of one mask
_HIDDEN = object()  # in place of a mask that a model in the model makes


class Masks:
    """The masks of a graph's tensors, where Keras 3 takes others by itself or may not be asked."""

    def __init__(self):
        self._known = {}  # by the id of the tensor, which is kept beside its mask
        self._by_hand = set()

    def of(self, x: keras.KerasTensor) -> keras.KerasTensor | None:
        """The mask of a tensor in Keras 2. Raises ``InputError`` for one out of a nested model."""
        mask = self._known[id(x)][1] if id(x) in self._known else mask_of(x)
        if mask is _HIDDEN:
            raise InputError(
                "a mask that comes out of a model in the model and meets others",
                fix="move the layers of the inner model to the outer one, in Keras 2",
            )
        return mask

    def hide(self, output):
        """Remember that tensors have a mask that this graph does not make."""
        self._known |= {id(x): (x, _HIDDEN) for x in keras.tree.flatten(output)}

    def to_give(self, kind: str, inputs: list[keras.KerasTensor]) -> dict:
        """What a layer must be called with besides: masks, or nothing.

        Raises:
            InputError: a mask would go into a model in the model.
        """
        by_hand = any(id(x) in self._by_hand for x in inputs)
        if kind in MODELS and any(self.of(x) is not None for x in inputs):
            raise InputError("a mask that goes into a model in the model")
        if kind == "TimeDistributed" and inputs[0].ndim > 3 and self.of(inputs[0]) is not None:
            raise InputError("a mask of sequences of sequences, which Keras 3 takes otherwise")
        if kind in _ATTENTIONS and by_hand:
            return {"mask": [self.of(x) for x in inputs]}
        if kind not in _TAKERS or not (by_hand or len(inputs) > 1):
            return {}
        mask = self.of(inputs[0])
        return {} if mask is None else {"mask": mask}

    def follow(self, kind: str, layer, inputs: list[keras.KerasTensor], output):
        """Remember the mask of a layer's output where Keras 3 would take another."""
        _, known = self._known.get(id(inputs[0]), (None, None))
        if kind in _MERGES:
            self._meet(layer, inputs, output)
        elif known is _HIDDEN and layer.supports_masking:
            self.hide([x for x in keras.tree.flatten(output) if x.ndim > 2])
        elif known is not None and layer.supports_masking and kind not in (*_TAKERS, *_ATTENTIONS):
            self._set(output, known, id(inputs[0]) in self._by_hand)

    def _meet(self, layer, inputs, output):
        """Masks where tensors are merged: a step counts where it does in all that have one."""
        masks = [self.of(x) for x in inputs]
        different = list({id(mask): mask for mask in masks if mask is not None}.values())
        by_hand = any(id(x) in self._by_hand for x in inputs)
        if getattr(layer, "axis", -1) not in (-1, output.ndim - 1):  # joined in time
            if by_hand:
                raise InputError("sequences with masks that are joined in time")
        elif different:
            mask = different[0]
            for other in different[1:]:
                mask = keras.ops.logical_and(mask, other)
            self._set(output, mask, by_hand or None in masks or len(different) > 1)

    def _set(self, x, mask, by_hand):
        self._known[id(x)] = x, mask
        if by_hand:
            self._by_hand.add(id(x))
