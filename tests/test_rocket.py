"""MiniRocket's values, against loops over kernels and steps."""

from itertools import combinations

import keras
import numpy as np
import pytest

from kerasrnn import layers


def convolved(x, places, dilation):
    """One kernel of nine taps on a sequence (time,), with zeros around it."""
    taps = [2.0 if tap in places else -1.0 for tap in range(9)]
    return np.array(
        [
            sum(
                weight * x[step + dilation * (tap - 4)]
                for tap, weight in enumerate(taps)
                if 0 <= step + dilation * (tap - 4) < len(x)
            )
            for step in range(len(x))
        ]
    )


def adapted(steps, features, seed=0, rows=12):
    x = np.random.default_rng(seed).normal(size=(rows, steps, features)).astype("float32")
    layer = layers.MiniRocket.of_length(steps)
    layer.adapt(x, seed=seed)
    return layer, x


@pytest.mark.parametrize(("steps", "features"), [(30, 1), (40, 3), (5, 1)])
def test_values_are_shares_of_steps_above_thresholds(steps, features):
    layer, x = adapted(steps, features)
    found = np.asarray(layer(x))
    assert found.shape == (len(x), layers.MiniRocket.VALUES)
    levels, widths, channels = (np.asarray(weight) for weight in layer.weights)
    assert max(layer.dilations) * 8 < max(steps, 9) and min(layer.dilations) == 1
    kernels, value = [*combinations(range(9), 3)], 0
    for index, number in enumerate(layer.thresholds):
        for kernel in (0, 40, 83):
            read = channels[index, :, kernel]
            assert set(read) <= {0, 1} and read.any()
            values = convolved(x[3] @ read, kernels[kernel], layer.dilations[index])
            for place in range(number):
                level, width = levels[value + place, kernel], widths[index, kernel]
                share = np.clip((values - level) / width + 0.5, 0, 1).mean()
                column = (value + place) * len(kernels) + kernel
                assert found[3, column] == pytest.approx(share, abs=1e-4)
                assert abs(share - (values > level).mean()) <= 0.25
        value += number


def test_thresholds_are_quantiles_of_training_sequences():
    layer, x = adapted(60, 1, rows=200)
    shares = np.asarray(layer(x)).reshape(len(x), -1, 84).mean((0, 2))
    first = shares[: layer.thresholds[0]]  # of one dilation, from low to high
    assert (np.diff(first) < 0).all()
    np.testing.assert_allclose(first, 1 - (np.arange(len(first)) + 0.5) / len(first), atol=0.05)
    other = layers.MiniRocket.of_length(60)
    other.adapt(x, seed=1)
    assert not np.allclose(other.weights[0], layer.weights[0])


def test_padding_changes_nothing():
    rng, lengths = np.random.default_rng(0), np.array([25, 4, 11, 1])
    x = rng.normal(size=(4, 25, 2)).astype("float32")
    mask = np.arange(25) < lengths[:, None]
    layer = layers.MiniRocket.of_length(11)
    layer.adapt(np.where(mask[:, :, None], x, np.nan), mask)
    assert np.isfinite(np.asarray(layer.weights[0])).all()
    x[~mask] = np.nan
    found = np.asarray(layer(x, mask=mask))
    for row, length in enumerate(lengths):
        alone = np.asarray(layer(x[[row], :length]))
        np.testing.assert_allclose(found[row], alone[0], atol=1e-5)


def test_a_model_with_it_is_saved(tmp_path):
    layer, x = adapted(20, 2)
    inputs = keras.Input((None, 2))
    model = keras.Model(inputs, layer(inputs))
    assert not model.trainable_weights and model.output_shape == (None, 4032)
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(again(x[:, :7]), model(x[:, :7]))
