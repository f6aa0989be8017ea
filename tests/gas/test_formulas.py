# SPDX-License-Identifier: Apache-2.0
"""Friction factors and equations of state against each other and against the measured table of the gas notes."""

import numpy as np
import pytest

from serai.laws import fluid, friction
from serai.network import Gas
from serai.units import MOLAR_MASS_AIR

RE, E = np.meshgrid(np.geomspace(1e6, 1e8, 21), np.geomspace(5e-6, 1e-4, 9))
COMPOSITION = {"methane": 0.94, "ethane": 0.03, "nitrogen": 0.02, "carbon_dioxide": 0.01}
MOLAR_MASS = 0.94 * 16.043e-3 + 0.03 * 30.07e-3 + 0.02 * 28.0135e-3 + 0.01 * 44.01e-3
PRESSURES = np.array([20e5, 50e5, 80e5, 100e5])


def factor(formula):
    one = getattr(friction, formula).py_func
    return np.vectorize(lambda Re, e: one(Re, e)[0])(RE, E)


def test_colebrook_white_solves_its_own_equation():
    x = factor("colebrook_white") ** -0.5
    assert x == pytest.approx(-2.0 * np.log10(E / 3.71 + 2.51 * x / RE), rel=1e-13)


@pytest.mark.parametrize(("formula", "percent"), [("chen", 0.3), ("hofer", 0.7), ("swamee_jain", 0.9)])
def test_explicit_formulas_stay_as_near_to_colebrook_white_as_is_known(formula, percent):
    error = 100.0 * np.max(np.abs(factor(formula) / factor("colebrook_white") - 1.0))
    print(f"{formula}: {error:.2f} %")
    assert 0.5 * percent < error < 1.1 * percent


def test_the_rough_wall_is_only_a_start():
    rough = np.vectorize(friction.nikuradse.py_func)(E)
    error = 100.0 * (rough / factor("colebrook_white") - 1.0)
    assert error.min() == pytest.approx(-37.0, abs=3.0)
    assert np.median(error) == pytest.approx(-6.0, abs=3.0)


def test_factors_are_continuous_through_the_transition():
    for formula in ("colebrook_white", "chen", "hofer", "swamee_jain"):
        one = getattr(friction, formula).py_func
        for Re in (friction.LAMINAR, friction.TURBULENT):
            sides = (Re * (1 - 1e-9), Re * (1 + 1e-9))
            below, above = (friction.all_flows.py_func(x, *one(max(x, friction.TURBULENT), 1e-4)) for x in sides)
            assert below[0] == pytest.approx(above[0], rel=1e-6), formula
            assert below[1] == pytest.approx(above[1], rel=1e-4), formula


def gas(kind, **more):
    return Gas(molar_mass=MOLAR_MASS, compressibility=kind, critical_pressure=46.1e5, critical_temperature=193.9,
               composition=COMPOSITION, **more)  # fmt: skip


# errors in Z against GERG-2008 [%] at 20, 50, 80, 100 bar: the table of the gas notes
TABLE = {
    ("cnga-gastransim", 278.0): (-0.6, -0.35, 0.3, 0.3),
    ("cnga-gastransim", 308.0): (-0.4, -0.7, -1.2, -1.8),
    ("cnga", 278.0): (-0.1, 0.1, 0.7, 0.75),
    ("cnga", 288.0): (-0.1, -0.1, -0.0, -0.3),
    ("cnga", 308.0): (-0.1, -0.4, -0.9, -1.5),
    ("papay", 278.0): (-1.0, -1.4, -0.6, 0.2),
    ("papay", 288.0): (-0.9, -1.4, -1.0, -0.4),
    ("papay", 308.0): (-0.8, -1.3, -1.2, -1.0),
    ("linear", 278.0): (0.3, 0.6, 0.2, -1.0),
    ("linear", 308.0): (-1.3, -3.6, -6.8, -9.7),
}


@pytest.mark.parametrize(("kind", "temperature"), TABLE)
def test_equations_of_state_against_gerg(kind, temperature):
    pytest.importorskip("pyaga8", reason="pyaga8 is not installed: no GERG-2008 to compare with")
    more = {"coefficients": (-2.2e-8,)} if kind == "linear" else {}
    truth = fluid.compressibility(gas("gerg-2008"), PRESSURES, temperature)
    error = 100.0 * (fluid.compressibility(gas(kind, **more), PRESSURES, temperature) / truth - 1.0)
    print(kind, temperature, np.round(error, 2))
    assert error == pytest.approx(TABLE[kind, temperature], abs=0.15)


@pytest.mark.parametrize("kind", ["gerg-2008", "papay", "linear"])
@pytest.mark.parametrize("temperature", [278.0, 288.0, 308.0])
def test_the_fitted_form_is_the_equation_of_state(kind, temperature):
    if kind == "gerg-2008":
        pytest.importorskip("pyaga8", reason="pyaga8 is not installed: no GERG-2008 to compare with")
    more = {"coefficients": (-2.2e-8,)} if kind == "linear" else {}
    error = fluid.fit_error(gas(kind, **more), temperature)
    print(f"{kind} at {temperature:g} K: {error:.1e}")
    assert error < 1.5e-4


def test_cnga_takes_gauge_pressure():
    """At one standard atmosphere absolute, zero gauge, Z is 1."""
    light = Gas(molar_mass=0.6 * MOLAR_MASS_AIR, compressibility="cnga")
    one = fluid.compressibility(light, np.array([101_325.0]), 288.0)
    assert one[0] == pytest.approx(1.0, rel=1e-12)


def test_potential_is_the_integral_of_the_density():
    b = fluid.coefficients(gas("papay"), 288.0)
    p = np.linspace(1e5, 90e5, 4001)
    rho = np.array([fluid.density.py_func(x, *b, 1.4e5)[0] for x in p])
    simpson = (p[1] - p[0]) / 3.0 * (rho[0] + rho[-1] + 4.0 * rho[1:-1:2].sum() + 2.0 * rho[2:-1:2].sum())
    ends = [fluid.potential.py_func(x, *b, 1.4e5)[0] for x in (p[0], p[-1])]
    assert ends[1] - ends[0] == pytest.approx(simpson, rel=1e-12)
