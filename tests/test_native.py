import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import reference
import tensorflow as tf

from kerasrnn.engine import native

pytestmark = pytest.mark.skipif(native.library() is None, reason="the native loop was not built")
CELLS = tuple(native.CELLS)


def problem(cell, batch=5, steps=4, inputs=3, units=9, seed=0):
    """x, the weights and the initial states of a layer, float32; without an LSTM's, c is (0,)."""
    rng = np.random.default_rng(seed)
    gates = native.CELLS[cell].gates * units
    bias = (2, gates) if cell == "gru" else (gates,)
    shapes = [(batch, steps, inputs), (inputs, gates), (units, gates), bias, (batch, units)]
    shapes.append((batch, units) if cell == "lstm" else (0,))
    return [rng.normal(size=shape).astype("float32") for shape in shapes]


def stacked(layers):
    return native.LayerInputs(*map(list, zip(*layers, strict=True)))


def forward(cell, x, layers, mask=np.zeros(0, bool), reverse=(False,), threads=1, **options):  # noqa: B008
    """The results of all layers: outputs, h, c and tape of the first, then of the second."""
    options = {"zero_masked": False, "return_sequences": True, "keep": True, **options}
    how = {"reverse": reverse, "threads": threads, **options}
    found = native.forward(cell, x, mask, stacked(layers), **how)
    return [array.numpy() for layer in zip(*found, strict=True) for array in layer]


def backward(cell, x, layer, tape, d_results, reverse=(False,), threads=1):
    """The gradients of x and of what the layer was given."""
    how = {"reverse": reverse, "zero_masked": False, "threads": threads}
    d_results = native.LayerResult(*([array] for array in d_results))
    found = native.backward(cell, x, np.zeros(0, bool), stacked([layer]), [tape], d_results, **how)
    d_sums, *gradients = found
    d_x = native.inputs_gradient(cell, d_sums, [layer[0]], threads=threads)
    return [d_x.numpy(), *(array.numpy() for (array,) in gradients)]


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
    output, h, c, tape = forward(cell, arrays[0], [arrays[1:]], reverse=(back,))
    expected = scan(cell, exact, back)
    for one, other in zip((output, h, c), expected, strict=False):
        np.testing.assert_allclose(one, other, atol=1e-6)

    rng = np.random.default_rng(1)
    d_results = [rng.normal(size=array.shape) for array in (output, h, c)]

    def loss():
        return sum((d * r).sum() for d, r in zip(d_results, scan(cell, exact, back), strict=False))

    d_results32 = [d.astype("float32") for d in d_results]
    found = backward(cell, arrays[0], arrays[1:], tape, d_results32, reverse=(back,))
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
    x, *layer = problem(cell, batch=37, steps=100, inputs=11, units=40)  # work for three threads
    layer[1] /= 9  # so that gradients do not explode over the steps
    one, several, again = (forward(cell, x, [layer], threads=n) for n in (1, 3, 3))
    for a, b, c in zip(one, several, again, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(b, c)
    d_results = [np.ones_like(array) for array in one[:3]]
    one, several, again = (
        backward(cell, x, layer, one[3], d_results, threads=n) for n in (1, 3, 3)
    )
    for a, b, c in zip(one, several, again, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
        np.testing.assert_array_equal(b, c)


@pytest.mark.parametrize("units", [1, 7, 8, 17])
@pytest.mark.parametrize("batch", [0, 1, 3, 14])
def test_two_layers_at_once_equal_each_alone(units, batch):
    (x, *one), (_, *two) = (problem("lstm", batch, 1000, units=units, seed=n) for n in (0, 1))
    both = forward("lstm", x, [one, two], reverse=(False, True), threads=2)
    alone = [*forward("lstm", x, [one]), *forward("lstm", x, [two], reverse=(True,))]
    for a, b in zip(both, alone, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("cell", CELLS)
def test_shapes_that_do_not_fit_are_refused(cell):
    names = ("x", "kernel", "recurrent kernel", "bias", "state h", "state c")
    x, *layer = arrays = problem(cell)
    for index, name in enumerate(names):
        wrong = [*arrays]
        wrong[index] = np.append(arrays[index], arrays[index][..., :1], axis=-1)
        if name == "state c" and cell != "lstm":
            wrong[index] = arrays[4]
        with pytest.raises(
            tf.errors.InvalidArgumentError, match=r"of shape \(.*expected \("
        ) as said:
            forward(cell, wrong[0], [wrong[1:]])
        assert (name if name != "x" else "kernel") in str(said.value)
    for mask in (np.ones((5, 3), bool), np.ones((4, 4), bool), np.ones((5, 4, 1), bool)):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"mask .*expected \(5, 4\)"):
            forward(cell, x, [layer], mask)
    with pytest.raises(tf.errors.InvalidArgumentError, match="2 dimensions of x"):
        forward(cell, x[0], [layer])
    d_results = [np.ones((5, 4, 9), "float32"), *layer[3:]]
    tape = forward(cell, x, [layer])[3]
    backward(cell, x, layer, tape, d_results)
    with pytest.raises(tf.errors.InvalidArgumentError, match="tape of shape"):
        backward(cell, x, layer, tape[:, 1:], d_results)
    with pytest.raises(tf.errors.InvalidArgumentError, match="gradient of outputs of shape"):
        backward(cell, x, layer, tape, [d_results[0][:, 1:], *d_results[1:]])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss in KiB")
def test_ten_thousand_steps_take_no_more_memory_than_a_few():
    x, *layer = problem("lstm", batch=8, steps=3, units=16)

    def steps(number):
        for _ in range(number):
            output, h, c, tape = forward("lstm", x, [layer], threads=2)
            backward("lstm", x, layer, tape, (output, h, c), threads=2)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    before = steps(500)
    assert steps(10_000) - before < 5 * 1024


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own():
    x, *layer = problem("lstm", batch=37, steps=100, units=40)
    expected = forward("lstm", x, [layer], threads=2)[0]
    child = os.fork()
    if not child:
        os._exit(not np.array_equal(forward("lstm", x, [layer], threads=2)[0], expected))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("steps", [1, 6, 300])
@pytest.mark.parametrize("units", [1, 7, 8, 50])
@pytest.mark.parametrize("cell", CELLS)
def test_few_rows_give_what_they_give_among_many(cell, units, steps):
    arrays = problem(cell, batch=14, steps=steps, inputs=11, units=units)
    mask = np.random.default_rng(1).random((14, steps)) > 0.3
    for options in ({}, {"zero_masked": True, "mask": mask}, {"reverse": (True,), "mask": mask}):
        options["keep"] = False  # nothing is kept of steps at which no row is real
        together = forward(cell, arrays[0], [arrays[1:]], **options)
        for start, stop in ((0, 1), (1, 3), (3, 7), (7, 12), (12, 14)):
            part = [array[start:stop] for array in arrays]
            some = [*arrays[1:4], *part[4:]]
            mine = {**options, "mask": mask[start:stop]} if "mask" in options else options
            found = forward(cell, part[0], [some], **mine)
            for one, all_rows in zip(found, together, strict=True):
                np.testing.assert_array_equal(one, all_rows[start:stop])


@pytest.mark.slow
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("batch", [1, 3])
def test_threads_that_share_the_steps_of_few_rows_change_nothing(cell, batch):
    (x, *one), (_, *two) = (problem(cell, batch, 150, 11, 300, seed) for seed in (0, 1))
    one[1], two[1] = one[1] / 9, two[1] / 9
    some = np.random.default_rng(1).random((batch, 150)) > 0.3
    for mask in (np.zeros(0, bool), some):
        options = {"mask": mask, "keep": False, "reverse": (False, True)}
        alone = forward(cell, x, [one, two], **options)
        for threads in (2, 3, 8):  # there is work for several
            for _ in range(5):
                found = forward(cell, x, [one, two], threads=threads, **options)
                for a, b in zip(found, alone, strict=True):
                    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("sequences", [False, True])
def test_shapes_are_known_before_a_graph_is_run(cell, sequences):
    _, *layer = problem(cell)
    options = {"reverse": [False], "zero_masked": False, "training": True}

    @tf.function
    def call(x, layer):
        with tf.GradientTape() as tape:
            tape.watch([x, *layer])
            (result,) = native.recurrence(
                cell, x, None, [layer], return_sequences=sequences, **options
            )
        shapes.extend(array.shape.as_list() for array in result)
        gradients = tape.gradient(result.outputs, [x, *layer])
        shapes.extend(array.shape.as_list() for array in gradients)

    shapes, spec = [], tf.TensorSpec((None, None, 3))
    layer = native.LayerInputs(*map(tf.constant, layer))
    call.get_concrete_function(spec, layer)
    c = [5, 9] if cell == "lstm" else [0]
    outputs = [None, None, 9] if sequences else [5, 9]  # as x, or as the states
    inputs = [array.shape.as_list() for array in layer]
    assert shapes == [outputs, [5, 9], c, [None, None, 3], *inputs]


SHORT_OF_MEMORY = """
import pathlib, resource, sys
import tensorflow as tf
from kerasrnn.engine import native
native.library()
_, most = resource.getrlimit(resource.RLIMIT_AS)
options = {"reverse": [False], "zero_masked": False, "return_sequences": True, "training": True}

def ask(limit, batch, steps, units):
    x, h = tf.zeros((batch, steps, 1)), tf.zeros((batch, units))
    layer = [tf.zeros((1, 4 * units)), tf.zeros((units, 4 * units)), tf.zeros(4 * units), h, h]
    if limit:
        used = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (used * resource.getpagesize() + limit, most))
    try:
        native.recurrence("lstm", x, None, [native.LayerInputs(*layer)], **options)
    except tf.errors.ResourceExhaustedError as error:
        print(error.message)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))

for numbers in sys.argv[1:]:
    ask(*map(int, numbers.split()))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_too_little_memory_is_an_error_before_any_is_used():
    limits_and_sizes = [
        (2**29, 1000, 1000, 256),  # the outputs of the operation
        (2**27, 4, 2, 4000),  # the packed weights
        (0, 2**12, 2**12, 2**13),  # more than a machine has, promised by one that overcommits
    ]
    cases = [" ".join(map(str, numbers)) for numbers in limits_and_sizes]
    arguments = [sys.executable, "-P", "-c", SHORT_OF_MEMORY, *cases]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    said = done.stdout.splitlines()
    assert len(said) == 3 and all("no memory for a recurrent layer" in line for line in said)


@pytest.mark.slow
def test_the_sanitizers_find_nothing_in_the_loops():
    script = Path(__file__).parents[1] / "scripts" / "sanitize.py"
    done = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_the_fit_of_tanh_is_as_good_as_the_constants_in_use():
    script = Path(__file__).parents[1] / "scripts" / "fit_tanh.py"
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    errors = re.findall(r"largest relative error (\S+),", done.stdout)
    assert len(errors) == 2 and all(float(error) < 2.2e-8 for error in errors)


@pytest.mark.parametrize(
    ("cell", "shape", "units", "training", "expected"),
    [
        ("lstm", (None, 1, 64), 256, False, True),
        ("lstm", (None, 1, 64), 1024, False, False),  # few steps
        ("lstm", (None, 100, 64), 1024, False, True),
        ("lstm", (None, None, 64), 1024, False, True),
        ("simple", (None, 100, 64), 1024, False, False),
        ("simple", (32, 100, 64), 1024, True, True),
        ("simple", (256, 100, 64), 256, True, False),  # a large batch
        ("lstm", (256, 1, 64), 1024, True, True),
        ("lstm", (None, None, None), 8, False, True),  # traced for any sizes
    ],
)
def test_the_loop_is_taken_where_it_is_worthwhile(cell, shape, units, training, expected):
    assert native.worthwhile(cell, shape, units, training) == expected
