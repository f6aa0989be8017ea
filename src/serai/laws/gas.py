# SPDX-License-Identifier: Apache-2.0
"""What must hold in a gas network.

Symbols: p pressure [Pa], p1, p2 at the ends, m mass flow from 1 to 2 [kg/s], rho density [kg/m3], Phi = integral of
rho dp, R_s specific gas constant [J/(kg K)], T temperature [K], RT = R_s T [J/kg], A cross-section [m2], D diameter
[m], L length [m], b1, b2, b3, b4, b5 coefficients of 1/Z (see `fluid`), eps [kg/s] the flow over which |m| is smoothed.

References:
[1] A. Osiadacz, Simulation and Analysis of Gas Networks, Spon 1987: the isothermal equations of motion.
[2] T. Koch, B. Hiller, M. Pfetsch, L. Schewe (eds.), Evaluating Gas Network Capacities, SIAM 2015,
    doi 10.1137/1.9781611973693, ch. 2: resistors (Eq. 2.24 ff.), compressors (Eq. 2.31), control valves.

"""

from __future__ import annotations

from math import exp, log, sqrt

from serai.lanes import maximum, where
from serai.laws.fluid import density, potential
from serai.laws.friction import (
    drag_chen,
    drag_colebrook_white,
    drag_given,
    drag_hofer,
    drag_nikuradse,
    drag_nikuradse_laminar,
    drag_swamee_jain,
)
from serai.laws.law import inline, law

LOWEST = 1e3  # Pa: below it an iterate (never an answer) keeps the density it has there
LEAST_RATIO = 0.05  # the same for the ratio of a compressor
PRESSURE, FLOW = (1e5, 100e5), (-800.0, 800.0)
FLUID = {
    "b1": (0.99, 1.01),
    "b2": (1e-8, 3e-8),
    "b3": (-1e-16, 1e-16),
    "b4": (-1e-24, 1e-24),
    "b5": (-1e-32, 1e-32),
    "RT": (1.2e5, 1.6e5),
}
PIPE = {
    "p1": PRESSURE, "p2": PRESSURE, "m": FLOW, **FLUID,
    "L": (1e2, 2e5), "D": (0.1, 1.42), "A": (0.01, 1.6), "zeta": (0.0, 5.0), "E": (0.85, 1.0), "eta": (1e-5, 1.3e-5),
    "e": (1e-5, 1e-3), "lam": (0.008, 0.03), "eps": (1e-5, 1e-3), "gh": (-5e3, 5e3), "rate": (0.0, 1e-2), "m_old": FLOW,
}  # fmt: skip
PIPE_COLUMNS = "p1 p2 m"
PIPE_PARAMETERS = "b1 b2 b3 b4 b5 RT L D A zeta E eta e lam eps gh rate m_old"


@inline
def _momentum(p1, p2, m, drag, ddrag, b1, b2, b3, b4, b5, RT, L, D, A, zeta, E, gh, rate, m_old):
    """Return the momentum row of a pipe and its slopes in p1, p2, m.

        Phi(p1) - Phi(p2) = (L/D + zeta/lam) lam m|m| / (2 A2 E2)  +  g dh (rho1^2 + rho2^2)/2
                            + (rho1 + rho2)/2 L/A (m - m_old)/dt

    the equation of motion dm/dt / A + dp/dx + lam m|m|/(2 D A2 rho) + rho g dh/dx = 0 times rho, over the length [1].

    drag  lam m|m| and ddrag its slope     zeta  fittings [-]        E  efficiency [-]
    gh    g times the height gained [J/kg]     rate  1/dt, 0 = steady [1/s]     m_old  flow one step ago [kg/s]
    eta, e, lam  viscosity [Pa s], relative roughness [-] and given factor [-] of the drag (see `friction`)

    Exact along x for the isothermal steady flow of any gas of the form of `fluid` on level ground; the height term is
    the trapezoid of rho^2, off by S2/24 of the drop for S = 2 g dh/(Z R_s T).
    """
    phi1, d1 = potential(p1, b1, b2, b3, b4, b5, RT)
    phi2, d2 = potential(p2, b1, b2, b3, b4, b5, RT)
    rho1, r1 = density(p1, b1, b2, b3, b4, b5, RT)
    rho2, r2 = density(p2, b1, b2, b3, b4, b5, RT)
    k = 1.0 / (2.0 * A * A)
    loss = k * (L / (D * E * E) * drag + zeta * m * abs(m))
    dloss = k * (L / (D * E * E) * ddrag + 2.0 * zeta * abs(m))
    inertia = L / A * rate
    turn = inertia * (m - m_old)
    value = phi1 - phi2 - loss - gh * (rho1 * rho1 + rho2 * rho2) / 2.0 - (rho1 + rho2) / 2.0 * turn
    return (
        value,
        d1 - gh * rho1 * r1 - r1 / 2.0 * turn,
        -d2 - gh * rho2 * r2 - r2 / 2.0 * turn,
        -dloss - (rho1 + rho2) / 2.0 * inertia,
    )


@law(PIPE_COLUMNS, PIPE_PARAMETERS, valid=PIPE)
def pipe_given(p1, p2, m, b1, b2, b3, b4, b5, RT, L, D, A, zeta, E, eta, e, lam, eps, gh, rate, m_old):
    """Momentum of a pipe with a given friction factor (see `_momentum`)."""
    drag, ddrag = drag_given(m, D, A, eta, e, lam, eps)
    return _momentum(p1, p2, m, drag, ddrag, b1, b2, b3, b4, b5, RT, L, D, A, zeta, E, gh, rate, m_old)


@law(PIPE_COLUMNS, PIPE_PARAMETERS, valid=PIPE)
def pipe_colebrook_white(p1, p2, m, b1, b2, b3, b4, b5, RT, L, D, A, zeta, E, eta, e, lam, eps, gh, rate, m_old):
    """Momentum of a pipe with Colebrook-White friction, the reference (see `_momentum`)."""
    drag, ddrag = drag_colebrook_white(m, D, A, eta, e, lam, eps)
    return _momentum(p1, p2, m, drag, ddrag, b1, b2, b3, b4, b5, RT, L, D, A, zeta, E, gh, rate, m_old)


@law(PIPE_COLUMNS, PIPE_PARAMETERS, valid=PIPE)
def pipe_nikuradse(p1, p2, m, b1, b2, b3, b4, b5, RT, L, D, A, zeta, E, eta, e, lam, eps, gh, rate, m_old):
    """Momentum of a pipe with the friction of a fully rough wall (Nikuradse) (see `_momentum`)."""
    drag, ddrag = drag_nikuradse(m, D, A, eta, e, lam, eps)
    return _momentum(p1, p2, m, drag, ddrag, b1, b2, b3, b4, b5, RT, L, D, A, zeta, E, gh, rate, m_old)


@law(PIPE_COLUMNS, PIPE_PARAMETERS, valid=PIPE)
def pipe_nikuradse_laminar(p1, p2, m, b1, b2, b3, b4, b5, RT, L, D, A, zeta, E, eta, e, lam, eps, gh, rate, m_old):
    """Momentum of a pipe with 64/Re added to the rough-wall friction, as in pandapipes (see `_momentum`)."""
    drag, ddrag = drag_nikuradse_laminar(m, D, A, eta, e, lam, eps)
    return _momentum(p1, p2, m, drag, ddrag, b1, b2, b3, b4, b5, RT, L, D, A, zeta, E, gh, rate, m_old)


@law(PIPE_COLUMNS, PIPE_PARAMETERS, valid=PIPE)
def pipe_swamee_jain(p1, p2, m, b1, b2, b3, b4, b5, RT, L, D, A, zeta, E, eta, e, lam, eps, gh, rate, m_old):
    """Momentum of a pipe with Swamee-Jain friction (see `_momentum`)."""
    drag, ddrag = drag_swamee_jain(m, D, A, eta, e, lam, eps)
    return _momentum(p1, p2, m, drag, ddrag, b1, b2, b3, b4, b5, RT, L, D, A, zeta, E, gh, rate, m_old)


@law(PIPE_COLUMNS, PIPE_PARAMETERS, valid=PIPE)
def pipe_chen(p1, p2, m, b1, b2, b3, b4, b5, RT, L, D, A, zeta, E, eta, e, lam, eps, gh, rate, m_old):
    """Momentum of a pipe with Chen friction (see `_momentum`)."""
    drag, ddrag = drag_chen(m, D, A, eta, e, lam, eps)
    return _momentum(p1, p2, m, drag, ddrag, b1, b2, b3, b4, b5, RT, L, D, A, zeta, E, gh, rate, m_old)


@law(PIPE_COLUMNS, PIPE_PARAMETERS, valid=PIPE)
def pipe_hofer(p1, p2, m, b1, b2, b3, b4, b5, RT, L, D, A, zeta, E, eta, e, lam, eps, gh, rate, m_old):
    """Momentum of a pipe with Hofer friction (see `_momentum`)."""
    drag, ddrag = drag_hofer(m, D, A, eta, e, lam, eps)
    return _momentum(p1, p2, m, drag, ddrag, b1, b2, b3, b4, b5, RT, L, D, A, zeta, E, gh, rate, m_old)


@law("m", "", rows=2, valid={"m": FLOW})
def passage(m):
    """What flows through an element leaves the balance of node 1 and enters that of node 2: (-m, +m)."""
    return -m, m, -1.0, 1.0


@law("w", "", valid={"w": FLOW})
def withdrawal(w):
    """What is withdrawn [kg/s] leaves the balance of its node: inflow - outflow - w - storage = 0."""
    return -w, -1.0


@law(
    "p",
    "b1 b2 b3 b4 b5 RT V rate mass_old",
    valid={"p": PRESSURE, "V": (1.0, 1e5), "rate": (0.0, 1e-2), "mass_old": (0.0, 1e6), **FLUID},
)
def linepack(p, b1, b2, b3, b4, b5, RT, V, rate, mass_old):
    """Gas stored at a node leaves its balance: -(V rho(p) - mass_old)/dt.

    V  half the volume of the adjoining pipe cells [m3]    mass_old  V rho one step ago [kg]    rate  1/dt, 0 = steady
    """
    rho, slope = density(p, b1, b2, b3, b4, b5, RT)
    return -(V * rho - mass_old) * rate, -V * slope * rate


@law("p1 p2 d", "", valid={"p1": PRESSURE, "p2": PRESSURE, "d": (-1e5, 50e5)})
def drop(p1, p2, d):
    """Pressure drop d [Pa] of a valve, check valve, control valve or short pipe: p1 - p2 = d.

    Open: d = 0 is known. Closed: m = 0 is known. Control valve: the outlet pressure is known.
    """
    return p1 - p2 - d, 1.0, -1.0, -1.0


@law("p1 p2 m", "xi eps", valid={"p1": PRESSURE, "p2": PRESSURE, "m": FLOW, "xi": (0.0, 2e5), "eps": (1e-3, 1.0)})
def resistor_constant(p1, p2, m, xi, eps):
    """Constant loss xi [Pa] in the direction of flow: p1 - p2 = xi sgn(m), with sgn smoothed over eps [kg/s] [2]."""
    s = sqrt(m * m + eps * eps)
    return p1 - p2 - xi * m / s, 1.0, -1.0, -xi * eps * eps / (s * s * s)


@law(
    "p1 p2 m",
    "b1 b2 b3 b4 b5 RT zeta A eps",
    valid={
        "p1": PRESSURE,
        "p2": PRESSURE,
        "m": FLOW,
        "zeta": (0.0, 100.0),
        "A": (0.01, 1.6),
        "eps": (1e-3, 1.0),
        **FLUID,
    },
)
def resistor_drag(p1, p2, m, b1, b2, b3, b4, b5, RT, zeta, A, eps):
    """Loss by drag, dp = zeta rho v|v|/2 with the density at the inlet [2]: p1 - p2 = zeta m|m| / (2 A2 rho_in)."""
    p = where(m >= 0.0, p1, p2)
    rho, r = density(maximum(p, LOWEST), b1, b2, b3, b4, b5, RT)
    s = sqrt(m * m + eps * eps)
    k = zeta / (2.0 * A * A)
    lost = k * m * s / rho
    thinner = where(p > LOWEST, lost / rho * r, 0.0)
    return (
        p1 - p2 - lost,
        1.0 + where(m >= 0.0, thinner, 0.0),
        -1.0 + where(m >= 0.0, 0.0, thinner),
        -k * (s + m * m / s) / rho,
    )


@law("p1 p2 r", "", valid={"p1": PRESSURE, "p2": PRESSURE, "r": (1.0, 2.0)})
def ratio(p1, p2, r):
    """Pressure ratio r of a compressor station: p2 = r p1. Bypass: r = 1 is known."""
    return p2 - r * p1, -r, 1.0, -p1


@law(
    "p1 r m W",
    "b1 b2 b3 b4 b5 RT kappa eff",
    valid={
        "p1": PRESSURE,
        "r": (1.01, 2.0),
        "m": (1.0, 800.0),
        "W": (0.0, 5e7),
        "kappa": (1.25, 1.4),
        "eff": (0.6, 0.9),
        **FLUID,
    },
)
def compression(p1, r, m, W, b1, b2, b3, b4, b5, RT, kappa, eff):
    """Shaft power of adiabatic compression [2, Eq. 2.31]: eff W = m H, H = Z1 R_s T k/(k-1) (r^((k-1)/k) - 1).

    H  adiabatic head [J/kg]     W  shaft power [W]     eff  adiabatic efficiency     kappa  heat capacity ratio
    """
    p = maximum(p1, LOWEST)
    rho, slope = density(p, b1, b2, b3, b4, b5, RT)
    ZRT = p / rho
    dZRT = where(p1 > LOWEST, (1.0 - ZRT * slope) / rho, 0.0)
    x = (kappa - 1.0) / kappa
    lift = maximum(r, LEAST_RATIO)
    power = exp(x * log(lift))
    H = ZRT / x * (power - 1.0)
    dH = where(r > LEAST_RATIO, ZRT * power / lift, 0.0)
    return eff * W - m * H, -m * dZRT / x * (power - 1.0), -m * dH, -H, eff


@law("W f", "eff LHV", valid={"W": (0.0, 5e7), "f": (0.0, 10.0), "eff": (0.2, 0.5), "LHV": (3e7, 5e7)})
def turbine_fuel(W, f, eff, LHV):
    """Fuel gas f [kg/s] of a gas-turbine drive: eff f LHV = W, LHV the net heating value [J/kg]."""
    return eff * f * LHV - W, -1.0, eff * LHV


@law("m", "sign", valid={"m": FLOW, "sign": (-1.0, 1.0)})
def circulation(m, sign):
    """Nothing circulates in a loop without resistance: the sum of sign m [kg/s] round it is 0, sign = +-1 its sense.

    Round open valves, short pipes and bypassed stations the pressures say nothing of how the flow divides, and one of
    their equations is void. This one takes its place: the limit of small equal resistances. Stations side by side with
    one ratio share their flow by it too [2, ch. 2].
    """
    return sign * m, sign


@law("x s", "offset share", valid={"x": FLOW, "s": FLOW, "offset": FLOW, "share": (0.1, 10.0)})
def share(x, s, offset, share):
    """Several units follow one signal s, each by its share: x = offset + share s."""
    return x - offset - share * s, 1.0, -share
