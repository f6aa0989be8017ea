# SPDX-License-Identifier: Apache-2.0
"""The gas itself: compressibility, density and the potential that drives it through a pipe.

Every equation of state is brought to one form, a polynomial of 1/Z:

    rho(p) = p (b1 + b2 p + b3 p2 + b4 p3 + b5 p4) / (R_s T)          1/Z = b1 + b2 p + ...
    Phi(p) = integral of rho dp = p2 (b1/2 + b2 p/3 + b3 p2/4 + b4 p3/5 + b5 p4/6) / (R_s T)

p    absolute pressure [Pa]        rho  density [kg/m3]       Phi  momentum potential [kg2/(m4 s2)]
R_s  specific gas constant [J/(kg K)]     T  temperature [K]

Below zero pressure both are continued oddly (p|p| instead of p2): a demand that the pipe cannot carry then has an
answer with a negative pressure, which the jobs refuse by name, instead of no answer at all.

References:
[1] California Natural Gas Association (CNGA) compressibility, as given in A. Gyrya, A. Zlotnik, Applied Mathematical
    Modelling 65 (2019) 34-51, doi 10.1016/j.apm.2018.07.051.
[2] J. Papay, OGIL Musz. Tud. Kozl., Budapest (1968) 267-273: Z = 1 - 3.52 pr e^(-2.26 Tr) + 0.274 pr2 e^(-1.878 Tr).
[3] O. Kunz, W. Wagner, J. Chem. Eng. Data 57 (2012) 3032-3091, doi 10.1021/je300655b (GERG-2008).

"""

from __future__ import annotations

from math import exp
from typing import TYPE_CHECKING

import numpy as np

from serai.errors import SeraiError
from serai.laws.law import inline
from serai.units import GAS_CONSTANT, MOLAR_MASS_AIR, STANDARD_ATMOSPHERE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from serai.network import Gas

TERMS = 5  # coefficients b1..b5
FITTED_TO = 130e5  # Pa: unless told otherwise, fits hold from zero to here

# Orders of GERG-2008 components in pyaga8's Composition.
GERG_COMPONENTS = (
    "methane", "nitrogen", "carbon_dioxide", "ethane", "propane", "isobutane", "n_butane", "isopentane", "n_pentane",
    "hexane", "heptane", "octane", "nonane", "decane", "hydrogen", "oxygen", "carbon_monoxide", "water",
    "hydrogen_sulfide", "helium", "argon",
)  # fmt: skip


@inline
def density(p, b1, b2, b3, b4, b5, RT):
    """Return rho(p) [kg/m3] and its slope; odd below zero."""
    q = abs(p)
    series = b1 + q * (b2 + q * (b3 + q * (b4 + q * b5)))
    slope = b1 + q * (2.0 * b2 + q * (3.0 * b3 + q * (4.0 * b4 + q * 5.0 * b5)))
    per = 1.0 / RT  # one division for eight lanes
    return p * series * per, slope * per


@inline
def potential(p, b1, b2, b3, b4, b5, RT):
    """Return Phi(p) [kg2/(m4 s2)] and its slope, which is rho(|p|); odd below zero."""
    q = abs(p)
    series = b1 / 2.0 + q * (b2 / 3.0 + q * (b3 / 4.0 + q * (b4 / 5.0 + q * b5 / 6.0)))
    slope = b1 + q * (b2 + q * (b3 + q * (b4 + q * b5)))
    per = 1.0 / RT
    return p * q * series * per, q * slope * per


def compressibility(gas: Gas, pressure: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Return Z (n,) of the gas at pressures (n,) [Pa] and one temperature [K], by its own equation of state.

    Raises SeraiError for a law that needs something the case does not give.
    """
    p = np.asarray(pressure, float)
    if gas.compressibility == "ideal":
        return np.ones_like(p)
    if gas.compressibility == "linear":
        return 1.0 + gas.coefficients[0] * p
    if gas.compressibility == "papay":
        return _papay(p / gas.critical_pressure, temperature / gas.critical_temperature)
    if gas.compressibility == "gerg-2008":
        return _gerg(gas, p, temperature)
    b = coefficients(gas, temperature)
    return np.asarray(1.0 / np.polynomial.polynomial.polyval(p, b))


def coefficients(gas: Gas, temperature: float, up_to: float = FITTED_TO) -> tuple[float, ...]:
    """Return b1..b5 of 1/Z [1, 1/Pa, ...] at a temperature [K].

    CNGA and the ideal gas are exact; Papay, a linear Z and GERG-2008 are fitted from 0 to `up_to` [Pa]: to 3e-5,
    1e-5 and 1e-4 up to 130 bar, to round-off up to a few bar (`fit_error` tells).
    """
    kind = gas.compressibility
    if kind == "ideal":
        return (1.0, 0.0, 0.0, 0.0, 0.0)
    if kind == "coefficients":
        return tuple(gas.coefficients) + (0.0,) * (TERMS - len(gas.coefficients))
    if kind.startswith("cnga"):
        return _cnga(gas.molar_mass, temperature, as_gastransim=kind == "cnga-gastransim")
    p = _chebyshev(0.0, up_to)
    y = 1.0 / compressibility(gas, p, temperature)
    scaled = np.polynomial.polynomial.polyfit(p / up_to, y, TERMS - 1)
    return tuple(float(c / up_to**k) for k, c in enumerate(scaled))


def fit_error(gas: Gas, temperature: float, low: float = 1e5, high: float = 100e5) -> float:
    """Return the largest relative error in Z of the fitted form between two pressures [Pa]."""
    p = np.linspace(low, high, 400)
    form = 1.0 / np.polynomial.polynomial.polyval(p, coefficients(gas, temperature, max(high, FITTED_TO)))
    return float(np.max(np.abs(form / compressibility(gas, p, temperature) - 1.0)))


def _papay(pr: NDArray[np.float64], tr: float) -> NDArray[np.float64]:
    return 1.0 - 3.52 * pr * exp(-2.26 * tr) + 0.274 * pr * pr * exp(-1.878 * tr)


def _cnga(molar_mass: float, temperature: float, *, as_gastransim: bool) -> tuple[float, ...]:
    """Full CNGA [1]. The published formula takes gauge pressure in psi; so with absolute pressure b1 loses q p_atm.

    GasTranSim adds it instead, with 101350 Pa, and its R_s = 8.314/(0.02896 G): that variant only replays its series,
    so its gravity G is the one that gives R_s the value that the molar mass gives here.
    """
    psi = 6894.75729
    gravity = 8.314 / (0.02896 * GAS_CONSTANT) * molar_mass if as_gastransim else molar_mass / MOLAR_MASS_AIR
    q = 344_400.0 * 10.0 ** (1.785 * gravity) / (1.8 * temperature) ** 3.825
    b1 = 1.0 + q * 101_350.0 / psi if as_gastransim else 1.0 - q * STANDARD_ATMOSPHERE / psi
    return (b1, q / psi, 0.0, 0.0, 0.0)


def _gerg(gas: Gas, pressure: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Z by GERG-2008 [3] for the case's composition (mole fractions, scaled to one)."""
    try:
        import pyaga8  # noqa: PLC0415 - optional
    except ImportError:
        msg = "compressibility gerg-2008 needs the package pyaga8: install serai[gerg], or choose papay or cnga"
        raise SeraiError(msg) from None
    unknown = set(gas.composition) - set(GERG_COMPONENTS)
    if unknown or not gas.composition:
        msg = f"gas composition: {', '.join(sorted(unknown)) or 'empty'}; GERG-2008 knows {', '.join(GERG_COMPONENTS)}"
        raise SeraiError(msg)
    total = sum(gas.composition.values())
    mixture = pyaga8.Composition()
    for name, fraction in gas.composition.items():
        setattr(mixture, name, fraction / total)
    state = pyaga8.Gerg2008()
    state.set_composition(mixture)
    out = np.empty_like(pressure)
    for i, p in enumerate(pressure):
        state.pressure = max(p, 1.0) / 1e3  # kPa
        state.temperature = temperature
        state.calc_density(0)
        state.calc_properties()
        out[i] = state.z
    return out


def _chebyshev(low: float, high: float, n: int = 60) -> NDArray[np.float64]:
    """Points dense at both ends, so that a least-squares fit is nearly the best uniform one."""
    return low + (high - low) * 0.5 * (1.0 - np.cos(np.pi * (np.arange(n) + 0.5) / n))
