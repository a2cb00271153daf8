"""Fit the rational function that stands for tanh in the native loops.

    python scripts/fit_tanh.py

tanh(x) ≈ x P(x²) / Q(x²) for |x| ≤ 9, with P of degree 4, Q of degree 4 and Q(0) = 1. The fit
minimizes the largest relative error: a weighted linear least-squares problem for the coefficients,
solved again and again with weights that grow where the error is large (Lawson's algorithm for
rational functions; Lawson 1961, and Loeb's linearization). Prints the error of the coefficients
that stand in ``kerasrnn/engine/src/vector.h`` and of new ones, computed exactly and in float32 as
the loops compute. The new ones are as good, not the same to the last digit.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

SOURCE = Path(__file__).resolve().parents[1] / "kerasrnn" / "engine" / "src" / "vector.h"
END = 9.0  # beyond it tanh is 1 in float32
DEGREE = 4  # of P and of Q, in x²


def committed() -> tuple[np.ndarray, np.ndarray]:
    """The coefficients of P and of Q in ``vector.h``, from the constant one up."""
    text = SOURCE.read_text(encoding="utf-8")
    body = text[text.index("INLINE v8 tanh8") : text.index("return x * p / q;")]
    found = []
    for name in "pq":
        (first,) = re.findall(rf"{name} = (\S+)f \+ s \* (\S+)f;", body)
        rest = re.findall(rf"{name} = (\S+)f \+ s \* {name};", body)
        found.append(np.array([*map(float, reversed(rest)), *map(float, first)]))
    return found[0], found[1]


def fit(points: int = 4000, rounds: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients of P and of Q, from the constant one up, of the least largest error."""
    x = END * (1 - np.cos(np.linspace(0, np.pi / 2, points + 1)[1:]))
    s = x * x / END**2  # within 0 … 1, so that the problem is well conditioned
    target = np.tanh(x) / x
    powers = s[:, None] ** np.arange(DEGREE + 1)
    weights, q, best = np.ones(points), np.ones(points), (np.inf, None)
    for _ in range(rounds):
        # P - target (Q - 1) = target, divided by target and the last Q: the relative error
        rows = np.hstack([powers / target[:, None], -powers[:, 1:]]) / q[:, None]
        scale = np.sqrt(weights)
        solution = np.linalg.lstsq(rows * scale[:, None], scale / q, rcond=None)[0]
        p, q = solution[: DEGREE + 1], np.append(1, solution[DEGREE + 1 :])
        q_values = powers @ q
        error = np.abs(powers @ p / q_values / target - 1)
        if error.max() < best[0]:
            best = error.max(), (p, q)
        weights *= error / error.max() + 1e-3
        weights, q = weights / weights.mean(), q_values
    unscale = END ** (-2.0 * np.arange(DEGREE + 1))
    return best[1][0] * unscale, best[1][1] * unscale


def errors(p: np.ndarray, q: np.ndarray) -> tuple[float, float]:
    """The largest relative error for |x| ≤ 9, exact and computed in float32."""
    x = np.concatenate([np.geomspace(1e-6, END, 200_001), np.linspace(1e-3, END, 200_001)])
    results = []
    for kind in ("float64", "float32"):
        values = x.astype(kind)
        s = values * values
        top, bottom = (np.full_like(s, polynomial[-1]) for polynomial in (p, q))
        for index in range(DEGREE - 1, -1, -1):
            top = top * s + np.asarray(p[index], kind)
            bottom = bottom * s + np.asarray(q[index], kind)
        exact = np.tanh(values.astype("float64"))
        results.append(float(np.abs(values * top / bottom / exact - 1).max()))
    return results[0], results[1]


def main() -> None:
    """Print both sets of coefficients and their errors."""
    for name, (p, q) in (("committed", committed()), ("fitted", fit())):
        exact, single = errors(p, q)
        print(f"{name}: largest relative error {exact:.2e}, computed in float32 {single:.2e}")
        for polynomial, coefficients in (("P", p), ("Q", q)):
            numbers = ", ".join(f"{value:.9g}" for value in coefficients)
            print(f"  {polynomial}: {numbers}")


if __name__ == "__main__":
    main()
