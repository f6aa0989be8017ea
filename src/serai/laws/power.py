# SPDX-License-Identifier: Apache-2.0
"""What must hold in a power grid.

Symbols: v voltage magnitude [per unit], a angle [rad], P and Q active and reactive power [W, var]. Admittances are
per unit times the base power [W], so that powers come out in W.

Reference:
[1] R. D. Zimmerman, C. E. Murillo-Sanchez, MATPOWER User's Manual 8.0, ch. 3: branches (Eq. 3.2), balances (Eq. 3.5).
"""

from __future__ import annotations

from math import cos, sin, sqrt

from serai.laws.law import law

ADMITTANCE = (-5e9, 5e9)
ANGLE, MAGNITUDE, POWER = (-0.6, 0.6), (0.9, 1.1), (-1e9, 1e9)


@law(
    "a1 v1 a2 v2",
    "Gff Bff Gft Bft Gtf Btf Gtt Btt",
    rows=4,
    valid={
        "a1": ANGLE,
        "v1": MAGNITUDE,
        "a2": ANGLE,
        "v2": MAGNITUDE,
        **dict.fromkeys(("Gff", "Bff", "Gft", "Bft", "Gtf", "Btf", "Gtt", "Btt"), ADMITTANCE),
    },
)
def branch(a1, v1, a2, v2, Gff, Bff, Gft, Bft, Gtf, Btf, Gtt, Btt):
    """Power that a pi-branch takes out of the balances of its ends: (-P1, -Q1, -P2, -Q2), S = V conj(Y V) [1, Eq. 3.2].

        P1 = v1^2 Gff + v1 v2 (Gft cos t + Bft sin t)          t = a1 - a2
        Q1 = -v1^2 Bff + v1 v2 (Gft sin t - Bft cos t)
        P2 = v2^2 Gtt + v1 v2 (Gtf cos t - Btf sin t)
        Q2 = -v2^2 Btt + v1 v2 (-Gtf sin t - Btf cos t)

    Gff + j Bff etc. are the entries of the branch's admittance matrix, tap ratio and phase shift included.
    """
    t = a1 - a2
    c, s = cos(t), sin(t)
    vv = v1 * v2
    x1, y1 = Gft * c + Bft * s, Gft * s - Bft * c
    x2, y2 = Gtf * c - Btf * s, -Gtf * s - Btf * c
    return (
        -v1 * v1 * Gff - vv * x1,
        v1 * v1 * Bff - vv * y1,
        -v2 * v2 * Gtt - vv * x2,
        v2 * v2 * Btt - vv * y2,
        vv * y1, -2.0 * v1 * Gff - v2 * x1, -vv * y1, -v1 * x1,
        -vv * x1, 2.0 * v1 * Bff - v2 * y1, vv * x1, -v1 * y1,
        -vv * y2, -v2 * x2, vv * y2, -2.0 * v2 * Gtt - v1 * x2,
        vv * x2, -v2 * y2, -vv * x2, 2.0 * v2 * Btt - v1 * y2,
    )  # fmt: skip


@law("v", "G B", rows=2, valid={"v": MAGNITUDE, "G": ADMITTANCE, "B": ADMITTANCE})
def shunt(v, G, B):
    """Power that an admittance G + jB takes out of its bus: (-G v^2, +B v^2)."""
    return -G * v * v, B * v * v, -2.0 * G * v, 2.0 * B * v


@law("P", "", valid={"P": POWER})
def consumption(P):
    """Power withdrawn at a bus (active or reactive) leaves its balance: -P."""
    return -P, -1.0


@law("P", "", valid={"P": POWER})
def production(P):
    """Power of a generator (active or reactive) enters the balance of its bus: +P."""
    return P, 1.0


@law("P v", "z i", valid={"P": POWER, "v": MAGNITUDE, "z": (0.0, 1.0), "i": (0.0, 1.0)})
def voltage_dependent_load(P, v, z, i):
    """Power of a load with shares of constant impedance z and constant current i: -P (1 - z - i + i v + z v^2)."""
    factor = 1.0 - z - i + i * v + z * v * v
    return -P * factor, -factor, -P * (i + 2.0 * z * v)


@law("P1 P2", "constant part", valid={"P1": POWER, "P2": POWER, "constant": (0.0, 1e7), "part": (0.0, 0.05)})
def direct_current_link(P1, P2, constant, part):
    """Received power of a direct-current link: P2 = P1 - constant - part |P1|; |P1| is smoothed over 1 W."""
    s = sqrt(P1 * P1 + 1.0)
    return P2 - P1 + constant + part * s, -1.0 + part * P1 / s, 1.0
