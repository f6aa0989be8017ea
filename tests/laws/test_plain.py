# SPDX-License-Identifier: Apache-2.0
"""Every small function that formulas share: compiled and plain Python give the same."""

import inspect

import numpy as np
import pytest

from serai import lanes
from serai.laws import fluid, friction, gas, links, power
from serai.laws.gas import FLUID, PIPE, PRESSURE

VALID = {
    **PIPE, **FLUID,
    "p": PRESSURE, "Re": (4e3, 1e8), "s": (1.0, 500.0), "lam_given": (0.008, 0.03), "lam_t": (0.008, 0.03),
    "dlam_t": (-1e-6, 0.0), "dlam_ds": (-1e-4, 0.0), "drag": (-1e3, 1e3), "ddrag": (0.0, 10.0),
}  # fmt: skip
SHARED = {
    f"{module.__name__.rsplit('.', 1)[1]}.{name}": f
    for module in (fluid, friction, gas, links, power, lanes)
    for name, f in vars(module).items()
    if hasattr(f, "py_func") and f.py_func.__module__ == module.__name__
}


@pytest.mark.parametrize("name", sorted(SHARED))
def test_plain_python_equals_the_compiled_function(name):
    function = SHARED[name]
    rng = np.random.default_rng(11)
    arguments = list(inspect.signature(function.py_func).parameters)
    for _ in range(30):
        x = [rng.uniform(*VALID.get(a, (0.1, 1.0))) for a in arguments]
        np.testing.assert_allclose(function.py_func(*x), function(*x), rtol=1e-11)


@pytest.mark.parametrize("Re", [50.0, 1999.0, 2000.0, 3000.0, 4000.0, 4001.0])
def test_the_joined_friction_is_continuous_in_value_and_slope(Re):
    lam_t, dlam_t = friction.colebrook_white.py_func(max(Re, 4000.0), 1e-5)
    value, slope = friction.all_flows.py_func(Re, lam_t, dlam_t)
    h = 1e-3
    around = [
        friction.all_flows.py_func(r, *friction.colebrook_white.py_func(max(r, 4000.0), 1e-5))[0]
        for r in (Re - h, Re + h)
    ]
    assert value == pytest.approx(sum(around) / 2, rel=1e-6)
    assert slope == pytest.approx((around[1] - around[0]) / (2 * h), rel=2e-2, abs=1e-9)


def test_nan_wins_in_maximum_and_minimum():
    nan = float("nan")
    for f in (lanes.maximum, lanes.minimum):
        assert np.isnan(f(nan, 1.0))
        assert np.isnan(f(1.0, nan))
