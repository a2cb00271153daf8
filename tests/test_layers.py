import numpy as np
import pytest

from kerasrnn.layers import FlipTime, LengthMask, MaskOf, OneHot, SequencePooling, ZeroPadding

X = np.arange(24, dtype="float32").reshape(2, 4, 3) - 12
MASK = np.array([[True, True, False, False], [False] * 4])


def test_length_mask_zeroes_what_the_padding_held():
    output = np.array(LengthMask()([np.where(MASK[:, :, None], X, np.nan), np.array([2, 0])]))
    np.testing.assert_array_equal(output, np.where(MASK[:, :, None], X, 0))


def test_the_mask_as_a_tensor():
    masked = LengthMask()([X, np.array([2, 0])])
    np.testing.assert_array_equal(np.array(MaskOf()(masked)), MASK)


def test_zero_padding_zeroes_masked_steps_only():
    expected = np.where(MASK[:, :, None], X, 0)
    np.testing.assert_array_equal(np.array(ZeroPadding()(X, mask=MASK)), expected)
    np.testing.assert_array_equal(np.array(ZeroPadding()(X)), X)


def test_one_hot_rows_of_tokens():
    np.testing.assert_array_equal(
        np.array(OneHot(4)(np.array([[2, 0]]))), [[[0, 0, 1, 0], [1, 0, 0, 0]]]
    )


def test_flip_time():
    np.testing.assert_array_equal(np.array(FlipTime()(X)), X[:, ::-1])


@pytest.mark.parametrize("mode", ["mean", "max"])
def test_pooling_counts_real_steps_only(mode):
    pool = SequencePooling(mode)
    np.testing.assert_allclose(np.array(pool(X)), getattr(X, mode)(1))
    masked = np.array(pool(X, mask=MASK))
    np.testing.assert_allclose(masked[0], getattr(X[0, :2], mode)(0))
    np.testing.assert_array_equal(masked[1], 0)
