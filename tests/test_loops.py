import os
import resource
import sys

import numpy as np
import pytest
import reference
import tensorflow as tf

from kerasrnn.engine import native as loops

pytestmark = pytest.mark.skipif(loops.library() is None, reason="the native loop was not built")
CELLS = ("lstm", "gru", "simple")


def problem(cell, batch=5, steps=4, inputs=3, units=9, seed=0):
    """x, the weights and the initial states of a layer, float32; without an LSTM's, c is (0,)."""
    rng = np.random.default_rng(seed)
    gates = loops.CELLS[cell].gates * units
    bias = (2, gates) if cell == "gru" else (gates,)
    shapes = [(batch, steps, inputs), (inputs, gates), (units, gates), bias, (batch, units)]
    shapes.append((batch, units) if cell == "lstm" else (0,))
    return [rng.normal(size=shape).astype("float32") for shape in shapes]


def forward(cell, arrays, mask=np.zeros(0, bool), reverse=(False,), threads=1, **options):  # noqa: B008
    x, *layer = arrays
    options = {"zero_masked": False, "sequences": True, "keep": True, **options}
    found = loops.forward(cell, x, mask, layer, reverse=reverse, threads=threads, **options)
    return [array.numpy() for array in found]


def backward(cell, arrays, kept, d_results, reverse=(False,), threads=1):
    x, *layer = arrays
    none = np.zeros(0, bool)
    how = {"reverse": reverse, "zero_masked": False, "threads": threads}
    layers = [*d_results, *layer[:3], kept]
    d_gates, *found = loops.backward(cell, x, none, layers, **how)
    d_x = loops.inputs_gradient(cell, [d_gates, layer[0]], threads=threads)
    return [array.numpy() for array in (d_x, *found)]


def scan(cell, arrays, back):
    """Outputs in the order of reading and last states, float64, by the reference."""
    x, kernel, recurrent, bias, h0, c0 = arrays
    outputs, states = [], []
    for row in range(len(x)):
        state = (h0[row], c0[row]) if len(c0) else (h0[row],)
        output, last = reference.scan(cell, x[row], (kernel, recurrent, bias), back, state)
        outputs.append(output[::-1] if back else output)
        states.append(last)
    return [np.array(outputs), *(np.array(state) for state in zip(*states, strict=True))]


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_it_equals_the_equations_and_its_gradient_their_differences(cell, back):
    arrays = problem(cell)
    exact = [array.astype("float64") for array in arrays]
    output, h, c, kept = forward(cell, arrays, reverse=(back,))
    expected = scan(cell, exact, back)
    for one, other in zip((output, h, c), expected, strict=False):
        np.testing.assert_allclose(one, other, atol=1e-6)

    rng = np.random.default_rng(1)
    d_results = [rng.normal(size=array.shape) for array in (output, h, c)]

    def loss():
        return sum((d * r).sum() for d, r in zip(d_results, scan(cell, exact, back), strict=False))

    d_results32 = [d.astype("float32") for d in d_results]
    found = backward(cell, arrays, kept, d_results32, reverse=(back,))
    for gradient, array in zip(found, exact, strict=True):
        assert gradient.shape == array.shape
        for place in rng.choice(array.size, min(array.size, 12), replace=False):
            place = np.unravel_index(place, array.shape)
            value, differences = array[place], []
            for step in (1e-5, -1e-5):
                array[place] = value + step
                differences.append(loss())
            array[place] = value
            difference = (differences[0] - differences[1]) / 2e-5
            assert gradient[place] == pytest.approx(difference, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_threads_change_nothing_and_neither_does_a_second_time(cell):
    arrays = problem(cell, batch=37, steps=100, inputs=11, units=40)  # work for three threads
    arrays[2] /= 9  # so that gradients do not explode over the steps
    one, several, again = (forward(cell, arrays, threads=n) for n in (1, 3, 3))
    for a, b, c in zip(one, several, again, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(b, c)
    d_results = [np.ones_like(array) for array in one[:3]]
    one, several, again = (backward(cell, arrays, one[3], d_results, threads=n) for n in (1, 3, 3))
    for a, b, c in zip(one, several, again, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
        np.testing.assert_array_equal(b, c)


@pytest.mark.parametrize("units", [1, 7, 8, 17])
@pytest.mark.parametrize("batch", [0, 1, 3, 14])
def test_two_layers_at_once_equal_each_alone(units, batch):
    one, two = (problem("lstm", batch, steps=1000, units=units, seed=seed) for seed in (0, 1))
    two[0] = one[0]
    both = forward("lstm", [*one, *two[1:]], reverse=(False, True), threads=2)
    alone = [*forward("lstm", one), *forward("lstm", two, reverse=(True,))]
    for a, b in zip(both, alone, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("cell", CELLS)
def test_shapes_that_do_not_fit_are_refused(cell):
    names = ("x", "kernel", "recurrent kernel", "bias", "state h", "state c")
    arrays = problem(cell)
    for index, name in enumerate(names):
        wrong = [*arrays]
        wrong[index] = np.append(arrays[index], arrays[index][..., :1], axis=-1)
        if name == "state c" and cell != "lstm":
            wrong[index] = arrays[4]
        with pytest.raises(
            tf.errors.InvalidArgumentError, match=r"of shape \(.*expected \("
        ) as said:
            forward(cell, wrong)
        assert (name if name != "x" else "kernel") in str(said.value)
    for mask in (np.ones((5, 3), bool), np.ones((4, 4), bool), np.ones((5, 4, 1), bool)):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"mask .*expected \(5, 4\)"):
            forward(cell, arrays, mask)
    with pytest.raises(tf.errors.InvalidArgumentError, match="2 dimensions of x"):
        forward(cell, [arrays[0][0], *arrays[1:]])
    d_results = [np.ones((5, 4, 9), "float32"), arrays[4], arrays[5]]
    kept = forward(cell, arrays)[3]
    backward(cell, arrays, kept, d_results)
    with pytest.raises(tf.errors.InvalidArgumentError, match="what is kept of shape"):
        backward(cell, arrays, kept[:, 1:], d_results)
    with pytest.raises(tf.errors.InvalidArgumentError, match="gradient of outputs of shape"):
        backward(cell, arrays, kept, [d_results[0][:, 1:], *d_results[1:]])


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss in KiB")
def test_ten_thousand_steps_take_no_more_memory_than_a_few():
    arrays = problem("lstm", batch=8, steps=3, units=16)

    def steps(number):
        for _ in range(number):
            output, h, c, kept = forward("lstm", arrays, threads=2)
            backward("lstm", arrays, kept, (output, h, c), threads=2)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    before = steps(500)
    assert steps(10_000) - before < 5 * 1024


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own():
    arrays = problem("lstm", batch=37, steps=100, units=40)
    expected = forward("lstm", arrays, threads=2)[0]
    child = os.fork()
    if not child:
        os._exit(not np.array_equal(forward("lstm", arrays, threads=2)[0], expected))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("steps", [1, 6, 300])
@pytest.mark.parametrize("units", [1, 7, 8, 50])
@pytest.mark.parametrize("cell", CELLS)
def test_few_rows_give_what_they_give_among_many(cell, units, steps):
    arrays = problem(cell, batch=14, steps=steps, inputs=11, units=units)
    mask = np.random.default_rng(1).random((14, steps)) > 0.3
    for options in ({}, {"zero_masked": True, "mask": mask}, {"reverse": (True,), "mask": mask}):
        options["keep"] = False  # nothing is kept of steps at which no row is real
        together = forward(cell, arrays, **options)
        for start, stop in ((0, 1), (1, 3), (3, 7), (7, 12), (12, 14)):
            part = [array[start:stop] for array in arrays]
            some = [part[0], *arrays[1:4], *part[4:]]
            mine = {**options, "mask": mask[start:stop]} if "mask" in options else options
            for one, all_rows in zip(forward(cell, some, **mine), together, strict=True):
                np.testing.assert_array_equal(one, all_rows[start:stop])


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("batch", [1, 3])
def test_threads_that_share_the_steps_of_few_rows_change_nothing(cell, batch):
    one, two = (problem(cell, batch, 150, 11, 300, seed) for seed in (0, 1))  # work for several
    one[2:3], two[2:3] = [one[2] / 9], [two[2] / 9]
    some = np.random.default_rng(1).random((batch, 150)) > 0.3
    for mask in (np.zeros(0, bool), some):
        both = [*one, *two[1:]]
        options = {"mask": mask, "keep": False, "reverse": (False, True)}
        alone = forward(cell, both, **options)
        for threads in (2, 3, 8):
            for _ in range(5):
                for a, b in zip(
                    forward(cell, both, threads=threads, **options), alone, strict=True
                ):
                    np.testing.assert_array_equal(a, b)
