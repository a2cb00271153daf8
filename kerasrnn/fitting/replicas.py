"""One step of a training on several devices, equal to that of one device.

Each replica takes its rows of the batch, and of the loss of the batch the share that is theirs:
their sum is the loss of one device. The gradients are summed before they are clipped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import keras
import numpy as np
import tensorflow as tf

from kerasrnn import layers
from kerasrnn.engine import compat
from kerasrnn.fitting.optimizers import inner_optimizer

_SEED = "seed_generator_state"  # the variable from which Keras draws dropout
_APART = 1_000_003  # between the seeds of two replicas


def shards(batch: tuple, own: Iterable[int], number: int, by_weight: bool) -> tuple:
    """The rows of a batch for some of several replicas, and their number of all.

    Of each replica the rows, which part of the loss of the batch is theirs, and 1. One for which
    none is left gets the first row, which counts for nothing: 0 and 0.

    Args:
        batch: (x, y) or (x, y, weights), rows first.
        own: the numbers of some replicas of ``number``.
        by_weight: whether the loss is divided by the weights; or else by the number of rows.

    >>> (((x, y), share, real), _), rows = shards((np.arange(3), np.arange(3)), [0, 1], 2, False)
    >>> x.tolist(), float(share), float(rows)
    ([0], 0.3333333432674408, 3.0)
    """
    rows = len(batch[1])
    weights = batch[2] if by_weight and len(batch) > 2 else np.ones(rows, "float32")
    whole = weights.sum(dtype="float64")
    found = []
    for index in own:
        start, stop = rows * index // number, rows * (index + 1) // number
        some = slice(start, stop) if start < stop else slice(0, 1)
        part = weights[start:stop].sum(dtype="float64") / (whole or 1)
        mine = keras.tree.map_structure(lambda array, some=some: array[some], batch)
        found.append((mine, np.float32(part), np.float32(start < stop)))
    return tuple(found), np.float32(rows)


def train_function(
    model: keras.Model, strategy: tf.distribute.Strategy, local: int
) -> Callable[[Iterable, tf.Tensor], tuple[dict, tf.Tensor]]:
    """A function that trains a step on all replicas.

    It takes an iterator over ``shards`` and some words of this process, float32 (n,), the last of
    which is how many steps the optimizer is to have made before this one; and gives the loss and
    the metrics of the epoch so far, and the sum of the words of all processes.

    Args:
        model: compiled; its variables and its optimizer's were made within the strategy's scope,
            those of its metrics without.
        local: the number of replicas of this process.
    """
    times = (
        1 if compat.take_sums(inner_optimizer(model.optimizer)) else strategy.num_replicas_in_sync
    )
    counting = {}  # 1, or 0 for a replica without rows, by its number
    for layer in layers.layers_in(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            compat.take_moments(layer, lambda x, mask: _moments(x, mask, counting[_number()]))

    def replica(parts, words):
        index = _number()
        counting[index] = parts[index % local][-1]
        words = words if index % local == 0 else tf.zeros_like(words)
        return _step(model, index, parts[index % local], words, times)

    @tf.function(reduce_retracing=True)
    def step(read, words):
        parts, rows = next(read)
        found = strategy.run(replica, args=(parts, words))
        found = tf.nest.map_structure(lambda a: strategy.experimental_local_results(a)[0], found)
        loss, metrics, others, words = found
        model.metrics[0].update_state(loss, sample_weight=rows)
        for variable, more in zip(model.metrics_variables, metrics, strict=True):
            variable.assign_add(more)
        for variable, value in zip(model.non_trainable_variables, others, strict=True):
            if value is not None:
                variable.assign(value)
        return model.get_metrics_result(), words

    return step


def _step(model, index, part, words, times):
    """One step of a replica.

    Gives the loss, what the metrics rise by, and the new values of variables that are no weights,
    all of them the same for all replicas; and the sum of the words. times: how often the optimizer
    adds up the gradients.
    """
    (x, y, *weights), share, real = part
    trained, kept = model.trainable_variables, model.non_trainable_variables
    measured, optimizer = model.metrics_variables, model.optimizer
    replicas = tf.distribute.get_replica_context().num_replicas_in_sync
    apart = [np.array([_APART * index, 0]) if v.name == _SEED else 0 for v in kept]
    begin = [(seed, seed + by) for seed, by in zip(kept, apart, strict=True) if np.any(by)]
    begin += [(variable, tf.zeros(variable.shape)) for variable in measured]
    # what a replica assigns by itself, the others would not have
    with keras.StatelessScope(begin) as scope, tf.GradientTape() as tape:
        predicted = model(x, training=True)
        loss = model.compute_loss(x, y, predicted, *weights, training=True)
        loss *= share * replicas  # Keras divides it by them
        scaled = optimizer.scale_loss(loss)
        model.compute_metrics(x, y, predicted, *weights)
    gradients = [
        None if found is None else tf.ensure_shape(found, weight.shape) / times
        for found, weight in zip(tape.gradient(scaled, trained), trained, strict=True)
    ]
    metrics = [real * scope.get_current_value(variable) for variable in measured]
    others = [scope.get_current_value(variable) for variable in kept]
    others = [
        new if new is None else share * new if new.dtype.is_floating else new - by
        for new, by in zip(others, apart, strict=True)
    ]
    gradients, (loss,), metrics, others, (words,) = _sums(
        gradients, [loss], metrics, others, [words]
    )
    inner = inner_optimizer(optimizer)
    inner.iterations.assign(tf.cast(words[-1], inner.iterations.dtype))
    optimizer.apply(gradients, trained)
    return loss, metrics, others, words


def _sums(*lists):
    """The sums over all replicas of lists of tensors, by one exchange; those of ints stay."""
    given = [tensor for tensors in lists for tensor in tensors]
    summed = [
        n for n, tensor in enumerate(given) if tensor is not None and tensor.dtype.is_floating
    ]
    flat = [tf.reshape(tf.cast(given[n], "float32"), [-1]) for n in summed]
    total = tf.distribute.get_replica_context().all_reduce("SUM", tf.concat(flat, 0))
    parts = tf.split(total, [given[n].shape.num_elements() for n in summed])
    for n, part in zip(summed, parts, strict=True):
        given[n] = tf.cast(tf.reshape(part, given[n].shape), given[n].dtype)
    rest = iter(given)
    return [[next(rest) for _ in tensors] for tensors in lists]


def _number():
    """Which replica is being traced."""
    index = tf.distribute.get_replica_context().replica_id_in_sync_group
    return int(tf.get_static_value(index))


def _moments(inputs, mask, counts):
    """Mean and variance over the steps of all replicas, those that are masked left out.

    inputs: (batch, time, features). mask: bool (batch, time), or None. counts: 0 where those of
    this replica count for nothing, else 1.
    """
    real = tf.ones_like(inputs[..., :1]) if mask is None else tf.cast(mask, inputs.dtype)[..., None]
    real *= tf.cast(counts, inputs.dtype)
    ((count, total),) = _sums([tf.reduce_sum(real), tf.reduce_sum(inputs * real, (0, 1))])
    mean = total / count
    ((squares,),) = _sums([tf.reduce_sum(tf.square(inputs - mean) * real, (0, 1))])
    return mean, squares / count
