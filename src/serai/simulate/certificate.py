# SPDX-License-Identifier: Apache-2.0
"""The certificate of a result: every mismatch computed again, by other means than the solver's own laws.

Where the laws use closed forms and real arithmetic, this uses the tables, quadrature and complex numbers: the
density is integrated over the pressure by Gauss-Legendre, Colebrook-White is solved by the Lambert W function, grid
powers are S = V conj(Y V). A slip in a law, a slope, a sign or a stamp shows here.

Each mismatch is relative to what counts as one in the case: the total supply for mass, the highest known pressure
for pressures (a momentum mismatch is divided by the density), the base power for power, the heat or work itself for
machines.

States may come alone (n_column,) or many at once (n_scenario, n_column): all is computed along the last axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import lambertw

from serai.units import GRAVITY

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from serai.system import System
    from serai.system.equations import Stamp

    Floats = NDArray[np.float64]
    Mask = NDArray[np.bool_]
    Largest = tuple[Floats, NDArray[np.intp], list[str]]
    Many = dict[str, Largest]

NODES, WEIGHTS = np.polynomial.legendre.leggauss(8)
Mismatches = dict[str, tuple[float, str]]


@dataclass(frozen=True)
class Step:
    """The time step that led to a state: its length [s] and the state before (n_column,)."""

    length: float
    before: Floats


@dataclass(frozen=True)
class Absent:
    """What is not there in some of many states: (n_scenario, n) each; it neither holds nor carries anything.

    edges     of the gas graph, lost or in a part without gas
    branches  of the grid that carry current (`PowerGraph.alive_branch`)
    plants    in the order of their fuel columns
    """

    edges: Mask
    branches: Mask
    plants: Mask


def certify(system: System, x: Floats, step: Step | None = None) -> Mismatches:
    """Return for each kind of equation (largest relative mismatch, its element) at the state x (n_column,), SI."""
    return {
        kind: (float(size[0]), names[int(at[0])])
        for kind, (size, at, names) in certify_all(system, x[None, :], step).items()
    }


def certify_all(system: System, X: Floats, step: Step | None = None, absent: Absent | None = None) -> Many:
    """Return for each kind of equation the largest relative mismatch of every state X (n_scenario, n_column), SI.

    kind -> (mismatch (n_scenario,), number of its element (n_scenario,), names of the elements)
    """
    found: Many = {}
    if system.gas.names:
        found["mass balance"] = _mass(system, X, step)
        found.update(_momentum(system, X, step, absent))
        found.update(_joints(system, X))
        found.update(_machines(system, X, absent))
    if system.power.names:
        found["power balance"] = _grid(system, X, absent)
    return {k: v for k, v in found.items() if v[2]}


def worst_of_all(found: Many) -> Floats:
    """Return the largest mismatch of every state (n_scenario,); what is not a number wins."""
    return np.max([size for size, _, _ in found.values()], axis=0) if found else np.zeros(1)


def worst(mismatches: Mismatches) -> tuple[float, str]:
    """Return the largest mismatch and a text that names its equation and element."""
    if not mismatches:
        return 0.0, ""
    kind = max(mismatches, key=lambda k: (np.isnan(mismatches[k][0]), mismatches[k][0]))
    return mismatches[kind][0], f"{kind} of {mismatches[kind][1]}"


def _largest(values: Floats, names: list[str]) -> Largest:
    """Return the largest of values (n_scenario, n), where it is, and the names."""
    if not names:
        return np.zeros(len(values)), np.zeros(len(values), np.intp), names
    k = np.argmax(np.where(np.isnan(values), np.inf, np.abs(values)), axis=1)
    return np.abs(values[np.arange(len(values)), k]), k, names


def _part(system: System, x: Floats, quantity: str) -> Floats:
    c = system.equations.columns
    return x[..., c[quantity].span] if quantity in c else np.empty((*x.shape[:-1], 0))


def _add(sums: NDArray[Any], where: NDArray[np.intp], values: NDArray[Any]) -> None:
    """Add values (..., k) to sums (..., n) at the places (k,)."""
    np.add.at(sums.T, where, values.T)


def density_of(p: Floats, stamp: Stamp) -> Floats:
    """Return rho = p / (Z R_s T) for the instances of a stamp, with 1/Z summed term by term."""
    over_z = sum(stamp.get(f"b{k + 1}") * np.abs(p) ** k for k in range(5))
    return np.asarray(p * over_z / stamp.get("RT"))


def stored(system: System, x: Floats) -> Floats:
    """Return the gas stored at each node [kg] (..., n_node): half of each adjoining cell."""
    mass = np.zeros((*x.shape[:-1], len(system.gas.names)))
    first = system.equations.columns["pressure"].first
    for stamp in system.gas.storage:
        node = stamp.columns[0] - first
        _add(mass, node, stamp.get("V") * density_of(x[..., stamp.columns[0]], stamp))
    return mass


def taken(system: System, x: Floats) -> Floats:
    """Return what leaves the network at each node [kg/s] (..., n_node): withdrawals, fuel of drives and of plants."""
    g, net = system.gas, system.network
    out = np.zeros((*x.shape[:-1], len(g.names)))
    out[..., : g.shown] += _part(system, x, "withdrawal")
    drives, stations = net.active("drives"), net["compressors"]
    c = system.equations.columns
    for name in c["fuel"].names if "fuel" in c else ():
        row = drives.row(name)
        at = str(drives["fuel_node"][row]) or str(stations["from_node"][stations.row(str(drives["compressor"][row]))])
        out[..., g.node[at]] += x[..., c.find("fuel", name)]
    plants = net.active("plants")
    for name in c["plant_fuel"].names if "plant_fuel" in c else ():
        out[..., g.node[str(plants["gas_node"][plants.row(name)])]] += x[..., c.find("plant_fuel", name)]
    return out


def _mass(system: System, x: Floats, step: Step | None) -> Largest:
    g = system.gas
    start, end = g.ends()
    m = _part(system, x, "flow")
    net = -taken(system, x)
    _add(net, start, -m)
    _add(net, end, m)
    if step is not None:
        net -= (stored(system, x) - stored(system, step.before)) / step.length
    return _largest(net / system.flow_scale, g.names)


def _momentum(system: System, x: Floats, step: Step | None, absent: Absent | None) -> Many:
    g = system.gas
    c = system.equations.columns
    height = np.array(g.height)
    start, end = g.ends()
    p = _part(system, x, "pressure")
    values, names = [], []
    for stamp, edges in g.momentum:
        p1, p2, m = p[..., start[edges]], p[..., end[edges]], x[..., c["flow"].first + edges]
        half, mid = (p1 - p2) / 2.0, (p1 + p2) / 2.0
        driven = sum(w * density_of(mid + half * u, stamp) * half for u, w in zip(NODES, WEIGHTS, strict=True))
        L, D, A = stamp.get("L"), stamp.get("D"), stamp.get("A")
        lam_mm = _drag(stamp, m)
        lost = (L / D * lam_mm / stamp.get("E") ** 2 + stamp.get("zeta") * m * np.abs(m)) / (2.0 * A * A)
        rho1, rho2 = density_of(p1, stamp), density_of(p2, stamp)
        lifted = GRAVITY * (height[end] - height[start])[edges] * (rho1**2 + rho2**2) / 2.0
        turned = np.zeros_like(m)
        if step is not None:
            turned = (rho1 + rho2) / 2.0 * L / A * (m - step.before[..., c["flow"].first + edges]) / step.length
        mean = np.maximum((np.abs(rho1) + np.abs(rho2)) / 2.0, 1e-6)
        off = (driven - lost - lifted - turned) / mean / system.pressure_scale
        values.append(off if absent is None else np.where(absent.edges[:, edges], 0.0, off))
        names += list(stamp.names)
    return {"momentum": _largest(np.concatenate(values, axis=1), names)} if values else {}


def _drag(stamp: Stamp, m: Floats) -> Floats:
    """Return lam m|m| of pipes, with friction factors from formulas other than the laws' own code."""
    D, A, eta, e = (stamp.get(s) for s in ("D", "A", "eta", "e"))
    kind = stamp.law.name.removeprefix("pipe_")
    a = np.abs(m)
    s = np.sqrt(m * m + stamp.get("eps") ** 2)
    if kind == "given":
        return np.asarray(stamp.get("lam") * m * s)
    if kind == "nikuradse":
        return np.asarray(m * s / (2.0 * np.log10(1.0 / e) + 1.138) ** 2)
    if kind == "nikuradse_laminar":
        return np.asarray(64.0 * A * eta / D * m + m * s / (1.14 - 2.0 * np.log10(e)) ** 2)
    Re = np.maximum(s * D / (A * eta), 1e-30)
    turbulent = TURBULENT_FORMULA[kind]
    high = np.maximum(Re, 4000.0)
    lam = np.where(Re < 2000.0, 64.0 / Re, turbulent(high, e))
    between = (Re >= 2000.0) & (Re < 4000.0)
    if between.any():
        lam = np.where(between, _transition(Re, e, turbulent), lam)
    return np.asarray(lam * m * np.where(a > 0, s, 0.0))


def _transition(Re: Floats, e: Floats, turbulent: Callable[[Floats, Floats], Floats]) -> Floats:
    """Cubic between 64/2000 and lam(4000) with the slopes of both (slope of the turbulent side by differences)."""
    h, four = 2000.0, np.full_like(Re, 4000.0)
    d = 0.05
    slope = (turbulent(four + d, e) - turbulent(four - d, e)) / (2.0 * d)
    y0, y1, k0, k1 = 0.032, turbulent(four, e), -64.0 / 2000.0**2 * h, slope * h
    t = (Re - 2000.0) / h
    return np.asarray(y0 + t * (k0 + t * (3 * (y1 - y0) - 2 * k0 - k1 + t * (2 * (y0 - y1) + k0 + k1))))


def _colebrook(Re: Floats, e: Floats) -> Floats:
    """Colebrook-White by the Lambert W function: 1/sqrt(lam) = 2/ln10 W(ln10 Re/5.02 10^(e Re/18.62)) - e Re/9.31.

    With a = e/3.71, b = 2.51/Re: x = c W(10^(a/(2b)) ln10/(2b)) - a/b, c = 2/ln10; large arguments by logarithm.
    """
    a, b, ln10 = e / 3.71, 2.51 / Re, float(np.log(10.0))
    log_argument = a / (2.0 * b) * ln10 + np.log(ln10 / (2.0 * b))
    small = log_argument < 500.0
    W = np.where(
        small, np.real(lambertw(np.exp(np.where(small, log_argument, 0.0)), 0)), log_argument - np.log(log_argument)
    )
    for _ in range(4):  # W + ln W = log_argument; a few Newton steps also polish the large ones
        W = W - (W + np.log(W) - log_argument) / (1.0 + 1.0 / W)
    x = 2.0 / ln10 * W - a / b
    return np.asarray(1.0 / x**2)


TURBULENT_FORMULA: dict[str, Callable[[Floats, Floats], Floats]] = {
    "colebrook_white": _colebrook,
    "swamee_jain": lambda Re, e: 0.25 / np.log10(e / 3.7 + 5.74 / Re**0.9) ** 2,
    "chen": lambda Re, e: (
        0.25 / np.log10(e / 3.7065 - 5.0452 / Re * np.log10(e**1.1098 / 2.8257 + 5.8506 / Re**0.8981)) ** 2
    ),
    "hofer": lambda Re, e: 0.25 / np.log10(4.518 / Re * np.log10(Re / 7.0) + e / 3.71) ** 2,
}


def _joints(system: System, x: Floats) -> Many:
    """Pressure drops, ratios and resistors, straight from the elements' tables."""
    g, c = system.gas, system.equations.columns
    p, m = _part(system, x, "pressure"), _part(system, x, "flow")
    values, names = [], []
    for e in g.edges:
        p1, p2 = p[..., e.start], p[..., e.end]
        if "drop" in c and e.name in c["drop"].index:
            values.append(p1 - p2 - x[..., c.find("drop", e.name)])
        elif e.kind == "compressors":
            values.append(p2 - x[..., c.find("ratio", e.name)] * p1)
        else:
            continue
        names.append(e.name)
    for law in ("resistor_constant", "resistor_drag"):
        for stamp in system.equations.stamps_of(law):
            edges = stamp.columns[2] - c["flow"].first
            p1, p2, q = x[..., stamp.columns[0]], x[..., stamp.columns[1]], m[..., edges]
            s = np.sqrt(q * q + stamp.get("eps") ** 2)
            if law == "resistor_constant":
                lost = stamp.get("xi") * q / s
            else:
                inflow = density_of(np.where(q >= 0, p1, p2), stamp)
                lost = (
                    stamp.get("zeta") * inflow / 2.0 * (q / (stamp.get("A") * inflow)) * (s / (stamp.get("A") * inflow))
                )
            values += list(np.moveaxis(p1 - p2 - lost, -1, 0))
            names += list(stamp.names)
    return {"pressure": _largest(_columns(values, len(x)) / system.pressure_scale, names)}


def _columns(values: list[Floats], count: int) -> Floats:
    """Return values (n_scenario,) of many elements as (n_scenario, n)."""
    return np.stack(values, axis=1) if values else np.empty((count, 0))


def _machines(system: System, x: Floats, absent: Absent | None) -> Many:
    """Shaft power, fuel of drives and plants, motors: work and heat against each other, relative to the largest."""
    net, c = system.network, system.equations.columns
    values, names = [], []
    gas = net.gas
    for stamp in system.equations.stamps_of("compression"):
        p1, r, m, W = (x[..., k] for k in stamp.columns)
        r = np.where(r > 0.0, r, np.nan)  # a state without a ratio has no mismatch that could be small
        over_z = sum(stamp.get(f"b{k + 1}") * np.abs(p1) ** k for k in range(5))
        k = gas.heat_capacity_ratio
        head = stamp.get("RT") / over_z * k / (k - 1.0) * (r ** ((k - 1.0) / k) - 1.0)
        work = (
            m * head / net.active("compressors")["efficiency"][[net.active("compressors").row(n) for n in stamp.names]]
        )
        values += list(np.moveaxis((W - work) / np.maximum(np.abs(W), 1e6), -1, 0))
        names += list(stamp.names)
    lhv = gas.net_heating_value / gas.standard_density
    drives = net.active("drives")
    for quantity in ("fuel", "drive_power"):
        for name in c[quantity].names if quantity in c else ():
            row = drives.row(name)
            W = x[..., c.find("power", str(drives["compressor"][row]))]
            given = x[..., c.find(quantity, name)] * (lhv if quantity == "fuel" else 1.0) * drives["efficiency"][row]
            values.append((W - given) / np.maximum(np.abs(W), 1e6))
            names.append(name)
    plants = net.active("plants")
    for k, name in enumerate(c["plant_fuel"].names if "plant_fuel" in c else ()):
        row = plants.row(name)
        P = x[..., c.find("active_power", str(plants["generator"][row]))]
        heat = plants["no_load"][row] + P * (plants["heat_rate"][row] + P * plants["heat_rate_slope"][row])
        off = (x[..., c.find("plant_fuel", name)] * lhv - heat) / np.maximum(np.abs(heat), 1e6)
        values.append(off if absent is None else np.where(absent.plants[:, k], 0.0, off))
        names.append(name)
    return {"machines": _largest(_columns(values, len(x)), names)}


def _grid(system: System, x: Floats, absent: Absent | None) -> Largest:
    """Complex power balance of every node, S = V conj(Y V), in units of the base power."""
    g, net, c = system.power, system.network, system.equations.columns
    S = net.base_power
    V = _part(system, x, "magnitude") * np.exp(1j * _part(system, x, "angle"))
    balance = -(_part(system, x, "active_withdrawal") + 1j * _part(system, x, "reactive_withdrawal")) / S
    for name in g.generators:
        made = x[..., c.find("active_power", name)] + 1j * x[..., c.find("reactive_power", name)]
        balance[..., g.at(name)] += made / S
    f, t = g.ends
    yff, yft, ytf, ytt = (y[g.alive_branch] for y in g.branches.admittances())
    there = 1.0 if absent is None else np.where(absent.branches, 0.0, 1.0)
    Vf, Vt = V[..., f], V[..., t]
    _add(balance, f, -Vf * np.conj(yff * Vf + yft * Vt) * there)
    _add(balance, t, -Vt * np.conj(ytf * Vf + ytt * Vt) * there)
    stub = g.branches.stub_g[g.alive_stub] + 1j * g.branches.stub_b[g.alive_stub]
    _add(balance, g.stub_node, -(np.abs(V[..., g.stub_node]) ** 2) * np.conj(stub))
    shunts, buses = net.active("shunts"), net["buses"]
    for k, name in enumerate(shunts.names):
        if g.at(name) >= 0:
            own = shunts["voltage"][k]
            nominal = buses["voltage"][buses.row(str(shunts["bus"][k]))]
            v2 = np.abs(V[..., g.at(name)]) ** 2 * (1.0 if np.isnan(own) else (nominal / own) ** 2)
            balance[..., g.at(name)] -= (
                v2 * shunts["steps"][k] * (shunts["active_power"][k] + 1j * shunts["reactive_power"][k]) / S
            )
    loads = net.active("loads")
    for part, quantity in ((1.0, "load_active_power"), (1j, "load_reactive_power")):
        for name in c[quantity].names if quantity in c else ():
            row, node = loads.row(name), g.at(name)
            side = "active" if part == 1.0 else "reactive"
            z, i = (loads[f"constant_{what}_{side}"][row] for what in ("impedance", "current"))
            v = np.abs(V[..., node])
            balance[..., node] -= part * x[..., c.find(quantity, name)] * (1.0 - z - i + i * v + z * v * v) / S
    drives = net.active("drives")
    for name in c["drive_power"].names if "drive_power" in c else ():
        row = drives.row(name)
        factor = drives["power_factor"][row]  # S = P (1 + j tan(arccos factor))
        turned = 1.0 if np.isnan(factor) else 1.0 + 1j * np.tan(np.arccos(factor))
        balance[..., g.at(str(drives["bus"][row]))] -= turned * x[..., c.find("drive_power", name)] / S
    links = net.active("hvdc_links")
    for name in c["link_sent"].names if "link_sent" in c else ():
        row = links.row(name)
        sent = x[..., c.find("link_sent", name)]
        received = sent - links["loss_constant"][row] - links["loss_share"][row] * np.abs(sent)
        balance[..., g.at(str(links["from_bus"][row]))] += (-sent + 1j * x[..., c.find("link_reactive_from", name)]) / S
        balance[..., g.at(str(links["to_bus"][row]))] += (received + 1j * x[..., c.find("link_reactive_to", name)]) / S
    return _largest(np.maximum(np.abs(balance.real), np.abs(balance.imag)), g.names)
