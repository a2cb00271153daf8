"""The recurrent layers of an export: cuDNN where the file runs on a GPU, TensorFlow's elsewhere.

``layers.for_export`` puts them in the place of a model's own. They are for predictions: traced
into a graph, and never saved as a ``.keras`` file.
"""

from __future__ import annotations

import keras

from kerasrnn.engine import portable
from kerasrnn.layers.recurrent import (
    CarriesMask,
    Recurrent,
    by_lengths,
    of_each_unit,
    unusual_dtype,
    unusual_option,
)


class _Portable(Recurrent):
    def inner_loop(self, sequences, initial_state, mask, training=False):
        unusual = unusual_dtype(self.cell, "float32") or unusual_option(self.cell)
        if self.cell_name not in portable.CELLS or unusual or of_each_unit(mask):
            return self.loop_of_keras(sequences, initial_state, mask, training)
        return by_lengths(self, sequences, initial_state, mask)


@keras.saving.register_keras_serializable(package="kerasrnn")
class PortableLSTM(_Portable, keras.layers.LSTM):
    """An LSTM of an export."""

    cell_name = "lstm"


@keras.saving.register_keras_serializable(package="kerasrnn")
class PortableGRU(_Portable, keras.layers.GRU):
    """A GRU of an export."""

    cell_name = "gru"


@keras.saving.register_keras_serializable(package="kerasrnn")
class PortableSimpleRNN(_Portable, keras.layers.SimpleRNN):
    """A simple recurrent layer of an export; TensorFlow computes it on any device."""

    cell_name = "simple"


@keras.saving.register_keras_serializable(package="kerasrnn")
class PassingEmbedding(CarriesMask, keras.layers.Embedding):
    """An embedding that passes on the mask of its ids, where it makes none itself."""

    def compute_mask(self, ids, previous_mask=None):
        return super().compute_mask(ids) if self.mask_zero else previous_mask
