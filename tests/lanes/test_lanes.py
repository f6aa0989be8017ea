# SPDX-License-Identifier: Apache-2.0
"""One law, written once, gives every lane what it gives a float."""

from math import cos, exp, inf, log, nan, sin, sqrt

import numpy as np
import pytest
from numba import njit

from serai.lanes import EIGHT, fmuladd, load, maximum, minimum, splat, store, where
from serai.laws import LAWS

WIDTH = len(EIGHT)


def both(law):
    """The law over many points, eight at a time and one at a time: arrays (n_values, n_points)."""
    count = len(law.columns) + len(law.parameters)
    n_values = law.rows * (1 + len(law.columns))
    lines = ["def eight(x, out, lanes):", "    for i in range(x.shape[1] // len(lanes)):"]
    lines += [f"        values = formula({', '.join(f'load(x[{k}], i, lanes)' for k in range(count))})"]
    lines += [f"        store(out[{k}], i, values[{k}] + splat(0.0, lanes))" for k in range(n_values)]
    space = {"formula": law.formula, "load": load, "store": store, "splat": splat}
    exec("\n".join(lines), space)  # noqa: S102 - text made above
    rng = np.random.default_rng(7)
    ranges = [law.valid.get(symbol, (0.1, 1.0)) for symbol in (*law.columns, *law.parameters)]
    x = np.array([rng.uniform(low, high, 8 * WIDTH) for low, high in ranges])
    lanes = np.empty((n_values, x.shape[1]))
    njit(error_model="numpy")(space["eight"])(x, lanes, EIGHT)
    return lanes, np.array([law.formula(*point) for point in x.T]).T


@pytest.mark.parametrize("name", sorted(LAWS))
def test_a_law_gives_every_lane_what_it_gives_a_float(name):
    lanes, scalar = both(LAWS[name])
    assert np.isfinite(scalar).all()
    np.testing.assert_array_equal(lanes, scalar)


@njit(error_model="numpy")
def choices(a, b, out, lanes):
    x, y = load(a, 0, lanes), load(b, 0, lanes)
    store(out[0], 0, maximum(x, y))
    store(out[1], 0, minimum(x, y))
    store(out[2], 0, where(x < y, 1.0, splat(0.0, lanes)))
    store(out[3], 0, where(x >= y, 1.0, splat(0.0, lanes)))
    store(out[4], 0, where(x != y, 1.0, splat(0.0, lanes)))
    store(out[5], 0, where(x == y, splat(1.0, lanes), 0.0))
    store(out[6], 0, maximum(x, 0) + minimum(2, y))
    total = splat(0.0, lanes)
    total += x
    total -= 1
    total *= y
    total /= 2.0
    store(out[7], 0, fmuladd(-total, 2.0, +y))


@njit(error_model="numpy")
def scalar_choices(a, b):
    return maximum(a, b), minimum(a, b), where(a < b, 1.0, 0.0), fmuladd(a, b, 1)


def test_nan_wins_and_no_comparison_holds_for_it():
    a = np.array([1.0, nan, 2.0, nan, inf, -inf, nan, 0.0])
    b = np.array([2.0, 1.0, nan, nan, 1.0, nan, inf, 0.0])
    out = np.empty((8, 8))
    choices(a, b, out, EIGHT)
    np.testing.assert_array_equal(out[0], np.maximum(a, b))
    np.testing.assert_array_equal(out[1], np.minimum(a, b))
    for row, expected in zip(out[2:6], (a < b, a >= b, a != b, a == b), strict=True):
        np.testing.assert_array_equal(row, expected.astype(float))
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(out[6], np.maximum(a, 0) + np.minimum(2, b))
        np.testing.assert_array_equal(out[7], -((a - 1) * b / 2.0) * 2.0 + b)
    for x, y in zip(a, b, strict=True):
        expected = (np.maximum(x, y), np.minimum(x, y), float(x < y), x * y + 1)
        np.testing.assert_array_equal(scalar_choices(x, y), expected)
        plain = (maximum(x, y), minimum(x, y), where(x < y, 1.0, 0.0), fmuladd(x, y, 1.0))
        np.testing.assert_array_equal(plain, expected)


@njit(error_model="numpy")
def functions(a, out, lanes):
    x = load(a, 0, lanes)
    store(out, 0, sqrt(x) + exp(x) + log(x) + sin(x) + cos(x) + x**1.5 + abs(-x))


@pytest.mark.parametrize("width", [1, 4, 8])
def test_the_width_is_part_of_the_type(width):
    a, out = np.linspace(0.1, 3.0, width), np.empty(width)
    functions(a, out, (0.0,) * width)
    expected = np.sqrt(a) + np.exp(a) + np.log(a) + np.sin(a) + np.cos(a) + a**1.5 + a
    np.testing.assert_allclose(out, expected, rtol=1e-14)
