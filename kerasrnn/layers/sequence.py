"""The small layers of a stack: masks, pooling, one-hot vectors, words composed from characters."""

from __future__ import annotations

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kerasrnn")
class LengthMask(keras.layers.Layer):
    """Mark the first ``length`` steps of each sequence as real and zero the rest.

    Call on ``[x, lengths]``: x float (batch, time, features), lengths int (batch,) or
    (batch, 1). Returns x with the padded steps set to zero, whatever they held, NaN
    included, and with a mask (batch, time) for every layer that follows.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs):
        x, _ = inputs
        real = ops.expand_dims(self.compute_mask(inputs), -1)
        return ops.where(real, x, ops.zeros_like(x))

    def compute_mask(self, inputs, previous_mask=None):
        x, lengths = inputs
        step = ops.cumsum(ops.ones_like(x[:, :, 0], dtype="int32"), axis=1)  # 1, 2, …, time
        return step <= ops.reshape(ops.cast(lengths, "int32"), (-1, 1))

    def compute_output_shape(self, input_shape):
        return input_shape[0]


@keras.saving.register_keras_serializable(package="kerasrnn")
class MaskOf(keras.layers.Layer):
    """The mask of a masked x (batch, time, features) as a tensor, bool (batch, time)."""

    def call(self, x, mask=None):
        return mask

    def compute_mask(self, x, previous_mask=None):
        return None


@keras.saving.register_keras_serializable(package="kerasrnn")
class ZeroPadding(keras.layers.Layer):
    """Zero the masked steps of x (batch, time, features), and keep the mask."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, x, mask=None):
        return x if mask is None else ops.where(ops.expand_dims(mask, -1), x, ops.zeros_like(x))


@keras.saving.register_keras_serializable(package="kerasrnn")
class OneHot(keras.layers.Layer):
    """Token ids (batch, time) as one-hot vectors (batch, time, vocabulary_size).

    With ``mask_zero`` id 0 is padding: its steps are masked for the layers that follow.
    """

    def __init__(self, vocabulary_size, mask_zero=True, **kwargs):
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        self.mask_zero = mask_zero
        self.supports_masking = True

    def call(self, ids):
        return ops.one_hot(ops.cast(ids, "int32"), self.vocabulary_size, dtype=self.compute_dtype)

    def compute_mask(self, ids, previous_mask=None):
        return ops.not_equal(ids, 0) if self.mask_zero else None

    def compute_output_shape(self, input_shape):
        return (*input_shape, self.vocabulary_size)

    def get_config(self):
        config = {"vocabulary_size": self.vocabulary_size, "mask_zero": self.mask_zero}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable(package="kerasrnn")
class CharacterEncoder(keras.layers.Layer):
    """Words composed from their characters, so that unseen words are read too.

    Ids (batch, time, characters), padded with 0, as vectors (batch, time, units): an
    embedding, a convolution over three characters and the maximum over each word (Ma & Hovy
    2016). Padding never counts; a word without characters gives zeros and is masked.
    """

    def __init__(self, vocabulary_size, units, embedding=32, **kwargs):
        super().__init__(**kwargs)
        self.vocabulary_size, self.units, self.embedding = vocabulary_size, units, embedding
        self.lookup = keras.layers.Embedding(vocabulary_size, embedding)
        self.convolution = keras.layers.Conv1D(units, 3, padding="same", activation="relu")

    def build(self, input_shape):
        self.lookup.build((None, None))
        self.convolution.build((None, None, self.embedding))
        self.built = True

    def call(self, ids):
        batch, time, characters = ops.shape(ids)
        ids = ops.reshape(ids, (-1, characters))
        real = ops.expand_dims(ops.cast(ops.not_equal(ids, 0), self.compute_dtype), -1)
        # after relu no value is below the zeros that stand for padding
        x = self.convolution(self.lookup(ids) * real) * real
        return ops.reshape(ops.max(x, axis=1), (batch, time, self.units))

    def compute_mask(self, ids, previous_mask=None):
        return ops.any(ops.not_equal(ids, 0), axis=-1)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:2], self.units)

    def get_config(self):
        names = ("vocabulary_size", "units", "embedding")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable(package="kerasrnn")
class FlipTime(keras.layers.Layer):
    """Reverse the time axis and keep the mask as it is.

    A layer with ``go_backwards=True`` returns its outputs in the order it read, last step
    first, beside the mask of the unreversed input; flipping brings them into line again.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, x):
        return ops.flip(x, axis=1)


@keras.saving.register_keras_serializable(package="kerasrnn")
class SequencePooling(keras.layers.Layer):
    """Mean or maximum over the real steps: (batch, time, units) → (batch, units).

    Masked steps never count. A sequence without any real step gives zeros.
    """

    def __init__(self, mode="mean", **kwargs):
        super().__init__(**kwargs)
        self.mode = mode
        self.supports_masking = True

    def call(self, x, mask=None):
        if mask is None:
            return ops.mean(x, axis=1) if self.mode == "mean" else ops.max(x, axis=1)
        real = ops.expand_dims(mask, -1)
        count = ops.sum(ops.cast(real, x.dtype), axis=1)
        if self.mode == "mean":
            total = ops.sum(ops.where(real, x, ops.zeros_like(x)), axis=1)
            return total / ops.maximum(count, 1)
        highest = ops.max(ops.where(real, x, ops.full_like(x, float("-inf"))), axis=1)
        return ops.where(count > 0, highest, ops.zeros_like(highest))

    def compute_mask(self, x, previous_mask=None):
        return None

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[-1])

    def get_config(self):
        return {**super().get_config(), "mode": self.mode}
