"""The small layers of a stack: masks, pooling, one-hot vectors, words composed from characters."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from kerasrnn.errors import InputError


@keras.saving.register_keras_serializable(package="kerasrnn")
class LengthMask(keras.layers.Layer):
    """Mark the first ``length`` steps of each sequence as real and zero the rest.

    Called on ``[x, lengths]``: x floats (batch, time, features) or token ids (batch, time),
    lengths int (batch,) or (batch, 1). Returns x with the padded steps set to zero, whatever
    they held, NaN included, and with a mask (batch, time) for the layers that follow.

    >>> import numpy as np
    >>> from kerasrnn import layers
    >>> layers.LengthMask()([np.array([[5, 6, 7]]), np.array([2])]).numpy()
    array([[5, 6, 0]])
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs):
        x, _ = inputs
        real = self.compute_mask(inputs)
        real = ops.expand_dims(real, -1) if len(x.shape) == 3 else real
        return ops.where(real, x, ops.zeros_like(x))

    def compute_mask(self, inputs, previous_mask=None):
        x, lengths = inputs
        x = x[:, :, 0] if len(x.shape) == 3 else x
        step = ops.cumsum(ops.ones_like(x, dtype="int32"), axis=1)  # 1, 2, …, time
        return step <= ops.reshape(ops.cast(lengths, "int32"), (-1, 1))

    def compute_output_shape(self, input_shape):
        return input_shape[0]


@keras.saving.register_keras_serializable(package="kerasrnn")
class MaskOf(keras.layers.Layer):
    """The mask of a masked x (batch, time, features) as a tensor, bool (batch, time).

    >>> import numpy as np
    >>> from kerasrnn import layers
    >>> x = layers.LengthMask()([np.ones((1, 3, 1)), np.array([2])])
    >>> layers.MaskOf()(x).numpy()
    array([[ True,  True, False]])
    """

    def call(self, x, mask=None):
        return mask

    def compute_mask(self, x, previous_mask=None):
        return None


@keras.saving.register_keras_serializable(package="kerasrnn")
class ZeroPadding(keras.layers.Layer):
    """Zero the masked steps of x (batch, time, features), and keep the mask.

    >>> import numpy as np
    >>> from kerasrnn import layers
    >>> layers.ZeroPadding()(np.ones((1, 2, 1)), mask=np.array([[True, False]])).numpy().ravel()
    array([1., 0.], dtype=float32)
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, x, mask=None):
        return x if mask is None else ops.where(ops.expand_dims(mask, -1), x, ops.zeros_like(x))


@keras.saving.register_keras_serializable(package="kerasrnn")
class FillMissing(keras.layers.Layer):
    """Fill the missing values of x (batch, time, features), which are NaN, and keep the mask.

    Each becomes the last value of its feature before it, or 0 where there is none: the mean,
    after inputs were scaled (Che et al. 2018, "forward"). Padding on the right that is zero
    stays so.

    >>> import numpy as np
    >>> from kerasrnn import layers
    >>> x = np.array([[[np.nan], [2.0], [np.nan], [np.nan], [5.0]]])
    >>> layers.FillMissing()(x).numpy().ravel()
    array([0., 2., 2., 2., 5.], dtype=float32)
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, x):
        step = ops.cumsum(ops.ones_like(x, dtype="int32"), axis=1)  # 1, 2, …, time
        steps = ops.shape(x)[1]

        def fill(shift, x):
            """Values reach twice as far each time."""
            before = ops.where(step > shift, ops.roll(x, shift, axis=1), ops.full_like(x, np.nan))
            return 2 * shift, ops.where(ops.isnan(x), before, x)

        _, x = ops.while_loop(lambda shift, _: shift < steps, fill, (1, x))
        return ops.where(ops.isnan(x), ops.zeros_like(x), x)

    def compute_output_shape(self, input_shape):
        return input_shape


@keras.saving.register_keras_serializable(package="kerasrnn")
class OneHot(keras.layers.Layer):
    """Token ids (batch, time) as one-hot vectors (batch, time, vocabulary_size).

    Args:
        vocabulary_size: number of ids.
        mask_zero: id 0 is padding: its steps are masked for the layers that follow. Without
            it, a mask of the ids is passed on.

    >>> import numpy as np
    >>> from kerasrnn import layers
    >>> layers.OneHot(3)(np.array([[2, 0]])).numpy()
    array([[[0., 0., 1.],
            [1., 0., 0.]]], dtype=float32)
    """

    def __init__(self, vocabulary_size: int, mask_zero: bool = True, **kwargs):
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        self.mask_zero = mask_zero
        self.supports_masking = True

    def call(self, ids):
        return ops.one_hot(ops.cast(ids, "int32"), self.vocabulary_size, dtype=self.compute_dtype)

    def compute_mask(self, ids, previous_mask=None):
        return ops.not_equal(ids, 0) if self.mask_zero else previous_mask

    def compute_output_shape(self, input_shape):
        return (*input_shape, self.vocabulary_size)

    def get_config(self):
        config = {"vocabulary_size": self.vocabulary_size, "mask_zero": self.mask_zero}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable(package="kerasrnn")
class Renumber(keras.layers.Layer):
    """Ids of one vocabulary as those of another, ids (batch, time, …) → ids.

    Its weight ``table`` (num_ids,) holds the new id of each.

    Args:
        num_ids: of the ids that it takes.

    >>> import numpy as np
    >>> from kerasrnn import layers
    >>> layer = layers.Renumber(3)
    >>> layer.build((None, None))
    >>> layer.set_weights([np.array([0, 2, 1])])
    >>> layer(np.array([[1, 2, 0]])).numpy()
    array([[2, 1, 0]], dtype=int32)
    """

    def __init__(self, num_ids: int, **kwargs):
        super().__init__(**kwargs)
        self.num_ids = num_ids

    def build(self, input_shape):
        self.table = self.add_weight(
            (self.num_ids,), "zeros", dtype="int32", trainable=False, name="table"
        )

    def call(self, ids):
        return ops.take(self.table, ops.cast(ids, "int32"), axis=0)

    def compute_output_spec(self, ids):
        return keras.KerasTensor(ids.shape, "int32")

    def get_config(self):
        return {**super().get_config(), "num_ids": self.num_ids}


@keras.saving.register_keras_serializable(package="kerasrnn")
class CharacterEncoder(keras.layers.Layer):
    """Compose each word from its characters, so that unseen words are read too.

    Ids (batch, time, characters), padded with 0, become vectors (batch, time, units): an
    embedding, a convolution over three characters and the maximum over each word (Ma & Hovy
    2016). Padding never counts; a word without characters gives zeros and is masked.

    Args:
        vocabulary_size: number of character ids, padding included.
        units: width of a composed word.
        embedding_dim: width of a character's embedding.

    >>> import numpy as np
    >>> from kerasrnn import layers
    >>> layers.CharacterEncoder(30, 16)(np.array([[[3, 1, 20], [2, 0, 0]]])).shape
    TensorShape([1, 2, 16])
    """

    def __init__(self, vocabulary_size: int, units: int, embedding_dim: int = 32, **kwargs):
        super().__init__(**kwargs)
        self.vocabulary_size, self.units = vocabulary_size, units
        self.embedding_dim = embedding_dim
        self.lookup = keras.layers.Embedding(vocabulary_size, embedding_dim)
        self.convolution = keras.layers.Conv1D(units, 3, padding="same", activation="relu")

    def build(self, input_shape):
        self.lookup.build((None, None))
        self.convolution.build((None, None, self.embedding_dim))
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
        names = ("vocabulary_size", "units", "embedding_dim")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}

    @classmethod
    def from_config(cls, config):
        names = {"embedding": "embedding_dim"}  # in files of the first format
        return cls(**{names.get(name, name): value for name, value in config.items()})


@keras.saving.register_keras_serializable(package="kerasrnn")
class FlipTime(keras.layers.Layer):
    """Reverse the time axis of x (batch, time, …) and keep the mask as it is.

    A layer with ``go_backwards=True`` returns its outputs in the order it read, last step
    first, beside the mask of the unreversed input; flipping brings them into line again.

    >>> import numpy as np
    >>> from kerasrnn import layers
    >>> layers.FlipTime()(np.array([[[1.0], [2.0]]])).numpy().ravel()
    array([2., 1.], dtype=float32)
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, x):
        return ops.flip(x, axis=1)


def _mean(x, real):
    if real is None:
        return ops.mean(x, axis=1)
    total = ops.sum(ops.where(real, x, ops.zeros_like(x)), axis=1)
    return total / ops.maximum(_count(x, real), 1)


def _max(x, real):
    if real is None:
        return ops.max(x, axis=1)
    highest = ops.max(ops.where(real, x, ops.full_like(x, float("-inf"))), axis=1)
    return ops.where(_count(x, real) > 0, highest, ops.zeros_like(highest))


def _count(x, real):
    return ops.sum(ops.cast(real, x.dtype), axis=1)


def _mean_max(x, real):
    return ops.concatenate([_mean(x, real), _max(x, real)], axis=-1)


MODES = {"mean": _mean, "max": _max, "mean_max": _mean_max}
"""Poolings: functions of x (batch, time, units) and ``real``, bool (batch, time, 1) or None."""


@keras.saving.register_keras_serializable(package="kerasrnn")
class SequencePooling(keras.layers.Layer):
    """Pool the real steps of a sequence: (batch, time, units) → (batch, units).

    Masked steps never count. A sequence without any real step gives zeros.

    Args:
        mode: a key of ``MODES``: ``"mean"`` or ``"max"`` over time, or ``"mean_max"``, both
            joined: (batch, 2 · units).

    Raises:
        InputError: a mode that is not there.

    >>> import numpy as np
    >>> from kerasrnn import layers
    >>> x = np.array([[[1.0], [3.0], [99.0]]])
    >>> layers.SequencePooling("mean")(x, mask=np.array([[True, True, False]])).numpy()
    array([[2.]], dtype=float32)
    """

    def __init__(self, mode="mean", **kwargs):
        super().__init__(**kwargs)
        if mode not in MODES:
            raise InputError("unknown pooling", found=repr(mode), expected=" or ".join(MODES))
        self.mode = mode
        self.supports_masking = True

    def call(self, x, mask=None):
        return MODES[self.mode](x, None if mask is None else ops.expand_dims(mask, -1))

    def compute_mask(self, x, previous_mask=None):
        return None

    def compute_output_shape(self, input_shape):
        width = input_shape[-1]
        return (input_shape[0], 2 * width if self.mode == "mean_max" else width)

    def get_config(self):
        return {**super().get_config(), "mode": self.mode}


@keras.saving.register_keras_serializable(package="kerasrnn")
class AttentionPooling(keras.layers.Layer):
    """Pool the real steps of a sequence by what they hold: (batch, time, units) → (batch, units).

    The sum of the steps h, each weighted by the softmax over the real steps of its score
    v · tanh(W h + b), the additive attention of Bahdanau et al. 2015, with W (units, units).
    Masked steps never count. A sequence without any real step gives zeros.

    >>> import numpy as np
    >>> from kerasrnn import layers
    >>> x = np.array([[[1.0], [1.0], [99.0]]])
    >>> layers.AttentionPooling()(x, mask=np.array([[True, True, False]])).numpy()
    array([[1.]], dtype=float32)
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, input_shape):
        width = input_shape[-1]
        self.kernel = self.add_weight((width, width), name="kernel")
        self.bias = self.add_weight((width,), "zeros", name="bias")
        self.query = self.add_weight((width, 1), name="query")

    def call(self, x, mask=None):
        if mask is not None:
            mask = ops.expand_dims(mask, -1)
            x = ops.where(mask, x, ops.zeros_like(x))
        score = ops.matmul(ops.tanh(ops.matmul(x, self.kernel) + self.bias), self.query)
        if mask is not None:  # e to the power of this is 0, and no score comes near it
            score = ops.where(mask, score, ops.full_like(score, -1e4))
        weight = ops.exp(score - ops.max(score, axis=1, keepdims=True))
        return ops.sum(weight * x, axis=1) / ops.sum(weight, axis=1)

    def compute_mask(self, x, previous_mask=None):
        return None

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[-1])
