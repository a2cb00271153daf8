"""The recurrent equations in NumPy, independent of Keras, one sequence at a time.

LSTM: Hochreiter & Schmidhuber 1997 with the forget gate of Gers et al. 2000.
GRU: Cho et al. 2014 in the form that resets after the product. Simple: Elman 1990.
Weights are in Keras's layout: gates side by side in the order i, f, c, o and z, r, h.
"""

import numpy as np


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def simple_step(x, state, kernel, recurrent, bias):
    (h,) = state
    return (np.tanh(x @ kernel + h @ recurrent + bias),)


def lstm_gates(x, h, kernel, recurrent, bias):
    """Input gate, forget gate, candidate, output gate."""
    i, f, candidate, o = np.split(x @ kernel + h @ recurrent + bias, 4)
    return sigmoid(i), sigmoid(f), np.tanh(candidate), sigmoid(o)


def lstm_step(x, state, *weights):
    h, c = state
    i, f, candidate, o = lstm_gates(x, h, *weights)
    c = f * c + i * candidate
    return o * np.tanh(c), c


def gru_gates(x, h, kernel, recurrent, bias):
    """Update gate, reset gate, candidate."""
    xz, xr, xh = np.split(x @ kernel + bias[0], 3)
    hz, hr, hh = np.split(h @ recurrent + bias[1], 3)
    z, r = sigmoid(xz + hz), sigmoid(xr + hr)
    return z, r, np.tanh(xh + r * hh)


def gru_step(x, state, *weights):
    (h,) = state
    z, _, candidate = gru_gates(x, h, *weights)
    return (z * h + (1 - z) * candidate,)


STEPS = {"simple": (simple_step, 1), "lstm": (lstm_step, 2), "gru": (gru_step, 1)}


def scan(cell, x, weights, backward=False, state=None):
    """Outputs (time, units) of one direction in the order of x, and its final states (units,)."""
    step, states = STEPS[cell]
    state = (np.zeros(weights[1].shape[0]),) * states if state is None else state
    outputs = []
    for row in x[::-1] if backward else x:
        state = step(row, state, *weights)
        outputs.append(state[0])
    return np.array(outputs[::-1] if backward else outputs), state


def layer(cell, x, weights, backward=False):
    """Outputs (time, units) of one direction for x (time, features), in the order of x."""
    return scan(cell, x, weights, backward)[0]


def encoder(cell, x, weights, depth, direction, initial, projection=False):
    """Outputs (time, width) and the final states, from initial states, of a whole encoder."""
    weights, initial = [w.astype("float64") for w in weights], list(initial)
    outputs, final = x.astype("float64"), []
    count = STEPS[cell][1]
    directions = {"forward": [False], "backward": [True], "both": [False, True]}[direction]
    for _ in range(depth):
        sides = []
        for backward in directions:
            side, states = scan(cell, outputs, weights[:3], backward, initial[:count])
            weights, initial = weights[3:], initial[count:]
            sides.append(side)
            final += states
        if projection:
            maps, weights = weights[: len(sides)], weights[len(sides) :]
            sides = [side @ matrix for side, matrix in zip(sides, maps, strict=True)]
        outputs = np.concatenate(sides, -1)
    return outputs, final


def classifier(cell, x, weights, depth, direction, pooling):
    """Probabilities (classes,) for x (time, features) by the weights of a whole classifier."""
    weights = [w.astype("float64") for w in weights]
    outputs = x.astype("float64")
    directions = {"forward": [False], "backward": [True], "both": [False, True]}[direction]
    for _ in range(depth):
        sides = []
        for backward in directions:
            sides.append(layer(cell, outputs, weights[:3], backward))
            weights = weights[3:]
        outputs = np.concatenate(sides, -1)
    if pooling == "last":
        ends = [side[0] if b else side[-1] for side, b in zip(sides, directions, strict=True)]
        pooled = np.concatenate(ends)
    elif pooling == "attention":
        kernel, bias, query = weights[:3]
        weights = weights[3:]
        scores = np.exp(np.tanh(outputs @ kernel + bias) @ query)
        pooled = (scores / scores.sum() * outputs).sum(0)
    else:
        pooled = np.concatenate([getattr(outputs, one)(0) for one in pooling.split("_")])
    logits = pooled @ weights[0] + weights[1]
    exponents = np.exp(logits - logits.max())
    return exponents / exponents.sum()
