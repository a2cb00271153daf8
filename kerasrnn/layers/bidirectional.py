"""Both directions of a layer in one operation, on a CPU and on a GPU."""

from __future__ import annotations

from functools import partial

import keras
import tensorflow as tf
from keras import ops

from kerasrnn.engine import native, portable
from kerasrnn.layers.recurrent import (
    CarriesMask,
    Native,
    implementation,
    layer_inputs,
    lengths_of,
    of_each_unit,
    padded_on_the_right,
    standardized,
    states_of,
)


@keras.saving.register_keras_serializable(package="kerasrnn")
class Bidirectional(CarriesMask, keras.layers.Bidirectional):
    """``keras.layers.Bidirectional`` that runs both directions in one operation.

    Schuster & Paliwal 1997. Arguments, weights and results are those of Keras's layer.

    >>> import numpy as np
    >>> from kerasrnn import layers
    >>> layers.Bidirectional(layers.LSTM(4))(np.ones((2, 3, 5), "float32")).shape
    TensorShape([2, 8])
    """

    def call(self, sequences, initial_state=None, mask=None, training=None):
        layers = (self.forward_layer, self.backward_layer)
        loops = {implementation(layer).name for layer in layers}
        if not _share_a_loop(*layers) or loops not in ({"native"}, {"cudnn"}):
            return super().call(sequences, initial_state, mask, training)
        dtype, (loop,) = layers[0].cell.compute_dtype, loops
        x, states, mask = standardized(dtype, sequences, initial_state, mask)
        if of_each_unit(mask):
            at_once = False
        elif loop == "native":
            worthwhile = partial(native.worthwhile, layers[0].cell_name, x.shape, training=training)
            at_once = all(worthwhile(units=layer.units) for layer in layers)
        else:
            at_once = self._one_call_of_cudnn(layers, states, mask)
        if not at_once:
            return super().call(sequences, initial_state, mask, training)
        if states is None:
            batch = ops.shape(x)[0]
            states = [state for layer in layers for state in layer.get_initial_state(batch)]
        half = len(states) // 2
        inputs = [layer_inputs(layers[0], states[:half]), layer_inputs(layers[1], states[half:])]
        if loop == "native":
            return self._call_native(layers, x, inputs, mask, training)
        return self._call_cudnn(layers, x, inputs, mask)

    def _one_call_of_cudnn(self, layers, states, mask):
        if self.merge_mode != "concat" or layers[0].units != layers[1].units:
            return False
        if [layer.go_backwards for layer in layers] != [False, True]:
            return False
        if mask is None:
            return True
        if states is not None and layers[0].cell_name == "lstm":
            return False
        if self.return_sequences and not layers[0].zero_output_for_mask:
            return False
        return not tf.executing_eagerly() or bool(padded_on_the_right(mask))

    def _call_cudnn(self, layers, x, inputs, mask):
        lengths = None if mask is None else lengths_of(x, mask)
        results = portable.both_directions(layers[0].cell_name, x, lengths, inputs)
        if self.return_sequences:
            output = tf.concat([result.outputs for result in results], -1)
        else:
            output = tf.concat([result.h for result in results], -1)
            if mask is not None:
                output = tf.where(lengths[:, None] > 0, output, tf.zeros_like(output))
        return self._with_states(output, layers, results)

    def _call_native(self, layers, x, inputs, mask, training):
        joined = self.return_sequences and self.merge_mode == "concat"
        joined = joined and layers[0].units == layers[1].units
        results = native.recurrence(
            layers[0].cell_name,
            x,
            mask,
            inputs,
            reverse=[layer.go_backwards for layer in layers],
            zero_masked=layers[0].zero_output_for_mask,
            return_sequences=self.return_sequences,
            training=training,
            joined=joined,
        )
        forward, backward = (result.outputs for result in results)
        output = forward if joined else self._merge(forward, backward)
        return self._with_states(output, layers, results)

    def _with_states(self, output, layers, results):
        if not self.return_state:
            return output
        output = output if isinstance(output, tuple) else (output,)
        final = (states_of(*pair) for pair in zip(layers, results, strict=True))
        return *output, *(state for states in final for state in states)

    def _merge(self, forward, backward):
        if self.return_sequences:
            backward = ops.flip(backward, axis=1)
        if self.merge_mode is None:
            return forward, backward
        if self.merge_mode == "concat":
            return ops.concatenate([forward, backward], axis=-1)
        if self.merge_mode == "mul":
            return forward * backward
        total = forward + backward
        return total / 2 if self.merge_mode == "ave" else total


def _share_a_loop(forward, backward):
    """Whether both are layers of this package that one native operation can run together."""
    return (
        isinstance(forward, Native)
        and type(forward) is type(backward)
        and not (forward.stateful or forward.cell.dropout or backward.cell.dropout)
        and forward.zero_output_for_mask == backward.zero_output_for_mask
    )
