# SPDX-License-Identifier: Apache-2.0
"""What the machines of a compressor station can do: characteristic diagrams, drives, configurations.

A machine runs at a speed n [1/min], n_min <= n <= n_max, with an inlet flow Q [m3/s] and an adiabatic head H [kJ/kg]

    H = (1, Q, Q2) C (1, n, n2)T,     H <= s1 + s2 Q + s3 Q2 (surge line),     H >= c1 + c2 Q + c3 Q2 (choke line)

and takes m H / eta(Q, n) from a drive that gives at most P(n) at 15 degrees Celsius. A configuration has stages in
series, each of machines side by side that share one head. A station runs when one of its configurations can; gas is not
recycled round a machine.

References:
[1] M. Schmidt et al., GasLib - A Library of Gas Network Instances, Data 2(4):40, 2017, doi 10.3390/data2040040.
[2] T. Koch, B. Hiller, M. Pfetsch, L. Schewe (eds.), Evaluating Gas Network Capacities, SIAM 2015, ch. 2.3.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from serai.network.gaslib_stations import largest_power

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from serai.dispatch.nomination_model import Fluid
    from serai.network import Network

    Floats = NDArray[np.float64]

SPREAD = 0.02  # by which the sampled ranges of flow and head are widened before the relaxation trusts them
KILO = 1e3
POWER_PER_HEAD = 100.0  # kJ/kg: a drive asked for twice its power counts as this much head too many


@dataclass(frozen=True)
class Machine:
    """One compressor with its drive; coefficients as in the module's equation, drive as a row of `machine_drives`."""

    name: str
    head: Floats
    efficiency: Floats
    surge: Floats
    choke: Floats
    slow: float
    fast: float
    drive: dict[str, Any] | None

    def lift(self, Q: float, n: float) -> float:
        """Return the head [kJ/kg] at a flow [m3/s] and speed [1/min]."""
        return float(np.array([1.0, Q, Q * Q]) @ self.head @ np.array([1.0, n, n * n]))

    def speed(self, Q: float, H: float) -> float:
        """Return the speed [1/min] of a head, the nearest of its range where none gives it."""
        c, b, a = np.array([1.0, Q, Q * Q]) @ self.head
        roots = np.roots([a, b, c - H]) if a else np.array([(H - c) / b if b else np.inf])
        real = [float(r.real) for r in np.atleast_1d(roots) if abs(complex(r).imag) < 1e-9 * (1.0 + abs(r))]
        inside = [r for r in real if self.slow * 0.5 <= r <= self.fast * 1.5]
        near = min(inside or real or [self.fast], key=lambda r: abs(r - 0.5 * (self.slow + self.fast)))
        return float(np.clip(near, self.slow, self.fast))

    def outside(self, Q: float, H: float, m: float) -> dict[str, float]:
        """Return by how much [kJ/kg] a point is outside each border (below zero: inside), for a mass flow [kg/s]."""
        q = np.array([1.0, Q, Q * Q])
        found = {
            "largest speed": H - self.lift(Q, self.fast),
            "smallest speed": self.lift(Q, self.slow) - H,
            "surge line": H - float(q @ self.surge),
            "choke line": float(q @ self.choke) - H,
        }
        if self.drive is not None:
            n = self.speed(Q, H)
            limit = largest_power(self.drive, n)
            eta = float(q @ self.efficiency @ np.array([1.0, n, n * n]))
            if np.isfinite(limit) and limit > 0.0 and eta > 0.0:
                found["power of the drive"] = POWER_PER_HEAD * (m * H / eta / limit - 1.0)
        return {k: v for k, v in found.items() if np.isfinite(v)}

    def range_at(self, H: float) -> tuple[float, float]:
        """Return least and most flow [m3/s] at a head, by its borders alone; crossed where there is none."""
        Q = np.linspace(0.0, self.widest, 400)
        q = np.stack([np.ones_like(Q), Q, Q * Q])
        fast, slow = np.array([1.0, self.fast, self.fast**2]), np.array([1.0, self.slow, self.slow**2])
        worst = np.maximum.reduce([H - fast @ self.head.T @ q, slow @ self.head.T @ q - H, H - self.surge @ q,
                                   self.choke @ q - H])  # fmt: skip
        inside = np.flatnonzero(worst <= 0.0)
        if len(inside):
            return float(Q[inside[0]]), float(Q[inside[-1]])
        nearest = float(Q[worst.argmin()])
        return nearest, nearest

    def same(self, other: Machine) -> bool:
        """Whether another machine has the same diagram and speeds."""
        mine = (self.head, self.surge, self.choke, np.array([self.slow, self.fast]))
        theirs = (other.head, other.surge, other.choke, np.array([other.slow, other.fast]))
        return all(np.array_equal(a, b) for a, b in zip(mine, theirs, strict=True))

    @cached_property
    def widest(self) -> float:
        """A flow [m3/s] beyond its whole diagram: where its fastest line has fallen below the choke line, or zero."""
        Q = np.linspace(0.0, 60.0, 1201)
        q = np.stack([np.ones_like(Q), Q, Q * Q])
        top = np.array([1.0, self.fast, self.fast**2]) @ self.head.T @ q
        out = np.flatnonzero((top < np.maximum(self.choke @ q, 0.0)) & (Q > 0.2))
        return float(Q[out[0]]) if len(out) else 60.0

    def extent(self) -> tuple[float, float, float, float]:
        """Return least and most flow [m3/s] and head [kJ/kg] of its diagram, widened by SPREAD."""
        heads = np.linspace(0.1, self.lift(0.0, self.fast) * 1.5 + 50.0, 400)
        found = []
        for H in heads:
            low, high = self.range_at(float(H))
            if high > low:
                found.append((low, high, float(H)))
        if not found:
            return 0.0, np.inf, 0.0, np.inf
        a = np.array(found)
        step = self.widest / 399, float(heads[1] - heads[0])  # the sampling of both
        least = [float(a[:, c].min()) for c in (0, 2)]
        most = [float(a[:, c].max()) for c in (1, 2)]
        lows = [max(0.0, (v - d) * (1.0 - SPREAD)) for v, d in zip(least, step, strict=True)]
        highs = [(v + d) * (1.0 + SPREAD) for v, d in zip(most, step, strict=True)]
        return lows[0], highs[0], lows[1], highs[1]


@dataclass(frozen=True)
class Envelope:
    """What a running station can do at all: flow [kg/s], pressure ratio, and its configurations of stages of machines.

    A station without machine data runs at any ratio of its table; with them in one of its configurations.
    """

    flow_min: float = 0.0
    flow_max: float = np.inf
    ratio_min: float = 1.0
    ratio_max: float = np.inf
    configurations: dict[str, tuple[tuple[Machine, ...], ...]] = field(default_factory=dict)

    def outside(self, p_in: float, p_out: float, m: float, gas: Adiabatic) -> tuple[float, str]:
        """Return by how much [kJ/kg] the best configuration is outside its borders, and which it is with its border."""
        best: tuple[float, str] = (np.inf, "no configuration")
        for name, stages in self.configurations.items():
            value, border = _series(stages, p_in, p_out, m, gas)
            if value < best[0]:
                best = value, f"configuration {name}, {border}"
        return best if self.configurations else (-np.inf, "")


@dataclass(frozen=True)
class Adiabatic:
    """The gas as a machine meets it: density and head; kappa is its heat capacity ratio."""

    fluid: Fluid
    kappa: float

    def head(self, p_in: float, p_out: float) -> float:
        """Return the adiabatic head [kJ/kg]: Z1 R_s T k/(k-1) ((p2/p1)^((k-1)/k) - 1) [2, Eq. 2.31]."""
        x = (self.kappa - 1.0) / self.kappa
        return float(p_in / self.fluid.rho(p_in) / x * ((p_out / p_in) ** x - 1.0) / KILO)


def _series(
    stages: tuple[tuple[Machine, ...], ...], p_in: float, p_out: float, m: float, gas: Adiabatic
) -> tuple[float, str]:
    """Return how far outside its borders the worst machine is, at the best pressures between the stages."""
    if len(stages) == 1:
        return _parallel(stages[0], p_in, p_out, m, gas)
    best: tuple[float, str] = (np.inf, "")
    low, high = 0.0, 1.0
    for _ in range(4):  # a grid that closes in on the best split of the ratio
        shares = np.linspace(low, high, 9)
        tried = []
        for share in shares.tolist():
            between = p_in * (p_out / p_in) ** share
            first = _parallel(stages[0], p_in, between, m, gas)
            rest = _series(stages[1:], between, p_out, m, gas)
            tried.append(max(first, rest))
        k = min(range(9), key=lambda j: tried[j][0])
        best = min(best, tried[k])
        low, high = shares[max(k - 1, 0)], shares[min(k + 1, 8)]
    return best


def _parallel(machines: tuple[Machine, ...], p_in: float, p_out: float, m: float, gas: Adiabatic) -> tuple[float, str]:
    """Return how far outside the worst of machines side by side is; all stand at one place of their range of flow."""
    H, rho = gas.head(p_in, p_out), float(gas.fluid.rho(p_in))
    Q = m / rho
    if len(machines) == 1 or all(machines[0].same(x) for x in machines[1:]):
        flows = [Q / len(machines)] * len(machines)
    else:
        ranges = [x.range_at(H) for x in machines]
        least, most = sum(r[0] for r in ranges), sum(r[1] for r in ranges)
        place = (Q - least) / (most - least) if most > least else 0.5
        flows = [a + place * (b - a) for a, b in ranges]
    worst: tuple[float, str] = (-np.inf, "")
    for machine, flow in zip(machines, flows, strict=True):
        for border, value in machine.outside(flow, H, flow * rho).items():
            worst = max(worst, (value, f"{border} of {machine.name}"))
    return worst


def envelopes(network: Network, fluid: Fluid, low: Floats, high: Floats, kappa: float) -> dict[str, Envelope]:
    """Return the envelope of every station; low, high [Pa] (n_station,) are the range of their inlet pressure."""
    t = network.active("compressors")
    machines = _machines(network)
    out = {}
    for k, name in enumerate(t.names):
        top = float(t["ratio_max"][k]) if t["ratio_max"][k] > 1.0 else np.inf
        found = _configurations(network, name, machines)
        out[name] = _bounded(found, fluid, (float(low[k]), float(high[k])), kappa, top) if found else Envelope(
            ratio_max=top
        )  # fmt: skip
    return out


def _machines(network: Network) -> dict[str, Machine]:
    t, d = network["machines"], network["machine_drives"]
    out = {}
    for k, name in enumerate(t.names):
        head, eta = (
            np.array([t[f"{c}_isoline_coeff_{j}"][k] for j in range(1, 10)]).reshape(3, 3) for c in ("n", "eta_ad")
        )
        surge, choke = (np.array([t[f"{c}_coeff_{j}"][k] for j in range(1, 4)]) for c in ("surgeline", "chokeline"))
        if not np.all(np.isfinite(head)):
            continue
        drive = str(t["drive"][k])
        row = {c: d[c][d.row(drive)] for c in d.columns} if drive in d else None
        out[name] = Machine(
            name, head, eta, surge, choke, float(t["speed_min"][k]), float(t["speed_max"][k]), row
        )  # fmt: skip
    return out


def _configurations(
    network: Network, station: str, machines: dict[str, Machine]
) -> dict[str, tuple[tuple[Machine, ...], ...]]:
    t = network["station_configurations"]
    found: dict[str, dict[int, list[Machine]]] = {}
    unknown = set()
    for k in range(len(t)):
        if t["station"][k] != station:
            continue
        name, machine = str(t["configuration"][k]), str(t["machine"][k])
        if machine not in machines:
            unknown.add(name)
            continue
        found.setdefault(name, {}).setdefault(int(t["stage"][k]), []).append(machines[machine])
    return {n: tuple(tuple(s[j]) for j in sorted(s)) for n, s in found.items() if n not in unknown}


def _bounded(
    found: dict[str, tuple[tuple[Machine, ...], ...]],
    fluid: Fluid,
    inlet: tuple[float, float],
    kappa: float,
    top: float,
) -> Envelope:
    """Return an envelope with the widest flow and ratio that any configuration reaches at these inlet pressures."""
    gas = Adiabatic(fluid, kappa)
    extents = {x.name: x.extent() for stages in found.values() for s in stages for x in s}
    p = np.linspace(max(inlet[0], 1e5), max(inlet[1], 1e5), 9)
    x = (kappa - 1.0) / kappa
    per = p / fluid.rho(p) / x / KILO  # head over (r^x - 1)
    flow_low, flow_high, ratio_low, ratio_high = np.inf, 0.0, np.inf, 1.0
    for stages in found.values():
        least = sum(extents[a.name][0] for a in stages[0])
        most = sum(extents[a.name][1] for a in stages[0])
        heads_low = [max(extents[a.name][2] for a in s) for s in stages]
        heads_high = [min(extents[a.name][3] for a in s) for s in stages]
        flow_low = min(flow_low, least * float(gas.fluid.rho(p[0])))
        flow_high = max(flow_high, most * float(gas.fluid.rho(p[-1])))
        # later stages meet denser gas, whose p/rho is within that of the first inlet and of 130 bar
        dense = float(np.min(np.linspace(1e5, 130e5, 27) / fluid.rho(np.linspace(1e5, 130e5, 27)))) / x / KILO
        high = 1.0
        for h in heads_high:
            high *= (1.0 + h / min(float(per.min()), dense)) ** (1.0 / x)
        low = 1.0
        for h in heads_low:
            low *= (1.0 + h / max(float(per.max()), float(1e5 / fluid.rho(1e5)) / x / KILO)) ** (1.0 / x)
        ratio_low, ratio_high = min(ratio_low, low), max(ratio_high, high)
    return Envelope(flow_low, flow_high, ratio_low, min(top, ratio_high), found)
