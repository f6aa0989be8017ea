# SPDX-License-Identifier: Apache-2.0
"""Darcy friction factors: how hard a wall holds the gas back.

Each function returns the drag of one pipe and its slope in the flow,

    drag(m) = lam(Re) m |m|        [kg2/s2],        Re = |m| D / (A eta),        e = k / D

m    mass flow, positive from -> to [kg/s]      lam  Darcy friction factor [-] (four times Fanning's)
D    inner diameter [m]    A  cross-section [m2]    eta  dynamic viscosity [Pa s]    k  sand roughness [m]

All take the same arguments (m, D, A, eta, e, lam_given, eps), so that the pipe law is written once. |m| is smoothed
to s = sqrt(m2 + eps2), so that every drag has a slope above zero at rest; eps is the flow at Re = 1 to 10, and is made
large only for the first step of a cold start. The turbulent formulas give way to the laminar 64/Re below Re = 2000.

References:
[1] C. F. Colebrook, J. Inst. Civ. Eng. 11 (1939) 133-156, doi 10.1680/ijoti.1939.13150, Eq. 16 (with 3.71, 2.51).
[2] J. Nikuradse, VDI-Forschungsheft 361 (1933); in the form 1/sqrt(lam) = 2 log10(1/e) + 1.138.
[3] P. K. Swamee, A. K. Jain, J. Hydraul. Div. ASCE 102 (1976) 657-664.
[4] N. H. Chen, Ind. Eng. Chem. Fundam. 18 (1979) 296-297, doi 10.1021/i160071a019, Eq. 7.
[5] P. Hofer, GWF Gas/Erdgas 114 (1973) 113-119.

"""

from __future__ import annotations

from math import log, sqrt

from serai.lanes import maximum, where
from serai.laws.law import inline

LN10 = 2.302_585_092_994_046
LAMINAR, TURBULENT = 2_000.0, 4_000.0  # Reynolds numbers that bound the transition


@inline
def colebrook_white(Re, e):
    """Return lam and dlam/dRe of [1]: x = -2 log10(e/3.71 + 2.51 x/Re) with x = 1/sqrt(lam).

    Newton on x from Hofer's explicit x; three steps reach round-off for Re > 2000.
    """
    x = -2.0 / LN10 * log(4.518 / Re * log(Re / 7.0) / LN10 + e / 3.71)
    for _ in range(4):
        inner = e / 3.71 + 2.51 * x / Re
        slope = 1.0 + 2.0 / LN10 * (2.51 / Re) / inner
        x = x - (x + 2.0 / LN10 * log(inner)) / slope
    inner = e / 3.71 + 2.51 * x / Re
    dx = 2.0 / LN10 * (2.51 * x / (Re * Re)) / inner / (1.0 + 2.0 / LN10 * (2.51 / Re) / inner)
    return 1.0 / (x * x), -2.0 * dx / (x * x * x)


@inline
def swamee_jain(Re, e):
    """Return lam and dlam/dRe of [3]: lam = 0.25 / log10(e/3.7 + 5.74/Re^0.9)^2."""
    term = 5.74 * Re**-0.9
    inner = e / 3.7 + term
    y = log(inner) / LN10
    return 0.25 / (y * y), -0.5 / (y * y * y) * (-0.9 * term / Re) / (inner * LN10)


@inline
def chen(Re, e):
    """Return lam and dlam/dRe of [4], Eq. 7: 1/sqrt(lam) = -2 log10(e/3.7065 - 5.0452/Re log10(B))."""
    term = 5.8506 * Re**-0.8981
    B = e**1.1098 / 2.8257 + term
    c = 5.0452 / (LN10 * Re)
    inner = e / 3.7065 - c * log(B)
    x = -2.0 / LN10 * log(inner)
    dinner = c / Re * log(B) + c * 0.8981 * term / (Re * B)
    return 1.0 / (x * x), -2.0 / (x * x * x) * (-2.0 / LN10 * dinner / inner)


@inline
def hofer(Re, e):
    """Return lam and dlam/dRe of [5]: 1/sqrt(lam) = -2 log10(4.518/Re log10(Re/7) + e/3.71)."""
    inner = 4.518 / (LN10 * Re) * log(Re / 7.0) + e / 3.71
    dinner = 4.518 / (LN10 * Re * Re) * (1.0 - log(Re / 7.0))
    x = -2.0 / LN10 * log(inner)
    return 1.0 / (x * x), -2.0 / (x * x * x) * (-2.0 / LN10 * dinner / inner)


@inline
def nikuradse(e):
    """Return lam of [2], the fully rough wall: independent of the flow."""
    x = 2.0 / LN10 * log(1.0 / e) + 1.138
    return 1.0 / (x * x)


@inline
def all_flows(Re, lam_t, dlam_t):
    """Return lam and dlam/dRe over all Reynolds numbers: 64/Re, a joining cubic, the turbulent formula.

    lam_t, dlam_t belong to max(Re, TURBULENT); the cubic meets both ends in value and slope.
    """
    h = TURBULENT - LAMINAR
    t = (Re - LAMINAR) / h
    lam_l, dlam_l = 64.0 / LAMINAR, -64.0 / (LAMINAR * LAMINAR)
    u, v = t * t, t * t * t
    lam = (2 * v - 3 * u + 1) * lam_l + (v - 2 * u + t) * h * dlam_l + (3 * u - 2 * v) * lam_t + (v - u) * h * dlam_t
    dlam = (6 * u - 6 * t) / h * (lam_l - lam_t) + (3 * u - 4 * t + 1) * dlam_l + (3 * u - 2 * t) * dlam_t
    lam = where(Re < LAMINAR, 64.0 / Re, where(Re < TURBULENT, lam, lam_t))
    dlam = where(Re < LAMINAR, -64.0 / (Re * Re), where(Re < TURBULENT, dlam, dlam_t))
    return lam, dlam


@inline
def _drag(m, s, lam, dlam_ds):
    """Return lam m s and its slope in m, for s = sqrt(m2 + eps2) and lam = lam(s)."""
    return lam * m * s, lam * s + (lam + dlam_ds * s) * m * m / s


@inline
def drag_given(m, D, A, eta, e, lam_given, eps):
    """Return the drag for a given friction factor."""
    return _drag(m, sqrt(m * m + eps * eps), lam_given, 0.0)


@inline
def drag_nikuradse(m, D, A, eta, e, lam_given, eps):
    """Return the drag of the fully rough wall [2]."""
    return _drag(m, sqrt(m * m + eps * eps), nikuradse(e), 0.0)


@inline
def drag_nikuradse_laminar(m, D, A, eta, e, lam_given, eps):
    """Return the drag for lam = 64/Re + 1/(2 log10(1/e) + 1.14)^2, the default of pandapipes.

    Written so that 64/Re never divides by zero: lam m|m| = 64 A eta/D m + lam_rough m|m|.
    """
    x = 2.0 / LN10 * log(1.0 / e) + 1.14
    rough, slope = _drag(m, sqrt(m * m + eps * eps), 1.0 / (x * x), 0.0)
    laminar = 64.0 * A * eta / D
    return laminar * m + rough, laminar + slope


@inline
def drag_colebrook_white(m, D, A, eta, e, lam_given, eps):
    """Return the drag by Colebrook-White [1]."""
    s = sqrt(m * m + eps * eps)
    Re = s * D / (A * eta)
    lam_t, dlam_t = colebrook_white(maximum(Re, TURBULENT), e)
    lam, dlam = all_flows(Re, lam_t, dlam_t)
    return _drag(m, s, lam, dlam * D / (A * eta))


@inline
def drag_swamee_jain(m, D, A, eta, e, lam_given, eps):
    """Return the drag by Swamee-Jain [3]."""
    s = sqrt(m * m + eps * eps)
    Re = s * D / (A * eta)
    lam_t, dlam_t = swamee_jain(maximum(Re, TURBULENT), e)
    lam, dlam = all_flows(Re, lam_t, dlam_t)
    return _drag(m, s, lam, dlam * D / (A * eta))


@inline
def drag_chen(m, D, A, eta, e, lam_given, eps):
    """Return the drag by Chen [4]."""
    s = sqrt(m * m + eps * eps)
    Re = s * D / (A * eta)
    lam_t, dlam_t = chen(maximum(Re, TURBULENT), e)
    lam, dlam = all_flows(Re, lam_t, dlam_t)
    return _drag(m, s, lam, dlam * D / (A * eta))


@inline
def drag_hofer(m, D, A, eta, e, lam_given, eps):
    """Return the drag by Hofer [5]."""
    s = sqrt(m * m + eps * eps)
    Re = s * D / (A * eta)
    lam_t, dlam_t = hofer(maximum(Re, TURBULENT), e)
    lam, dlam = all_flows(Re, lam_t, dlam_t)
    return _drag(m, s, lam, dlam * D / (A * eta))
