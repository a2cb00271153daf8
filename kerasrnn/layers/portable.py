"""The recurrent layers of an export: cuDNN where the file runs on a GPU, TensorFlow's elsewhere.

``layers.for_export`` puts them in the place of a model's own. They are for predictions: traced
into a graph, and never saved as a ``.keras`` file.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from kerasrnn.engine import portable
from kerasrnn.layers.recurrent import (
    CarriesMask,
    Recurrent,
    layer_inputs,
    of_each_unit,
    unusual_option,
)


class _Portable(Recurrent):
    def inner_loop(self, sequences, initial_state, mask, training=False):
        if self.cell_name not in portable.CELLS or unusual_option(self.cell) or of_each_unit(mask):
            return super().inner_loop(sequences, initial_state, mask, training=training)
        time = tf.shape(sequences)[1]
        if mask is None:
            lengths = tf.fill([tf.shape(sequences)[0]], time)
        else:
            lengths = tf.reduce_sum(tf.cast(mask, tf.int32), 1)
            on_the_right = tf.reduce_all(mask == tf.sequence_mask(lengths, time))
            tf.debugging.Assert(on_the_right, ["a masked step before a real one: pad on the right"])
        inputs = layer_inputs(self, initial_state)
        result = portable.recurrence(
            self.cell_name, sequences, lengths, inputs, go_backwards=self.go_backwards
        )
        outputs, last = result.outputs, result.h
        if mask is not None:
            last = tf.where(lengths[:, None] > 0, last, 0.0)
            outputs = self._fill_masked(outputs, mask, last)
        outputs.set_shape((None, sequences.shape[1], self.units))
        states = [result.h, result.c][: len(initial_state)]
        for array in (last, *states):
            array.set_shape((None, self.units))
        last = outputs[:, -1] if self.zero_output_for_mask else last
        return last, outputs if self.return_sequences else last[:, None], states

    def _fill_masked(self, outputs, mask, last):
        """At masked steps zeros, or what the last step gave, as Keras has them."""
        if self.go_backwards:  # the masked steps come first
            mask, last = tf.reverse(mask, [1]), tf.zeros_like(last)
        elif self.zero_output_for_mask:
            last = tf.zeros_like(last)
        return tf.where(mask[:, :, None], outputs, last[:, None])


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
