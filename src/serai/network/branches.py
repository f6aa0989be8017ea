# SPDX-License-Identifier: Apache-2.0
"""Lines, transformers and per-unit branches as one list of pi-branches.

    ┌ I_f ┐   ┌ (y_s + y_f)/t²       -y_s/conj(T) ┐ ┌ V_f ┐
    │     │ = │                                   │ │     │      T = t exp(j s),   y_s = 1/(r + j x)
    └ I_t ┘   └ -y_s/T                y_s + y_t   ┘ └ V_t ┘

I_f, I_t     currents into the branch at its from and to end [pu]
r, x         series resistance and reactance [pu of base power and of the to-bus's nominal voltage]
y_f, y_t     g_from + j b_from, g_to + j b_to: shunt admittances behind the ratio and at the to end [pu]
t, s         ratio and phase shift at the from end: from leads to by s [rad]

Name plates become pi-branches as in MATPOWER and pandapower (docs/converters.md has every equation). Reference:
R. D. Zimmerman, C. E. Murillo-Sanchez, MATPOWER User's Manual 8.0, doi 10.5281/zenodo.11212330, eq. 3.1 and 3.2.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from serai.errors import SeraiError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from serai.network.network import Network
    from serai.network.tables import Table

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Flags = NDArray[np.bool_]
    Complexes = NDArray[np.complex128]
    Texts = NDArray[Any]

ENDS = {
    "lines": ("from_bus", "to_bus"),
    "transformers": ("hv_bus", "lv_bus"),
    "transformers3": ("hv_bus", "mv_bus", "lv_bus"),
    "branches": ("from_bus", "to_bus"),
}
_SIDES = ("hv", "mv", "lv")


@dataclass(frozen=True)
class PiBranches:
    """Pi-branches in service, in per unit of the network's base power and the buses' nominal voltages.

    Branches closed at both ends, all (n,):
    name, kind, row    the element, its table and its row there
    arm                0 = the element itself; 1, 2, 3 = hv, mv, lv winding of a three-winding transformer
    from_node, to_node nodes: those of `node_of_bus`, then one star point per three-winding transformer
    r, x, g_from, b_from, g_to, b_to, ratio, shift   see the module's equation; shift in rad
    rating             apparent power [pu]; nan = none given

    Shunts that remain of branches open at one end, of branches with both ends at one node, and of the iron at a
    star point, all (m,): stub_name, stub_kind, stub_row, stub_arm, stub_end (0 from, 1 to, 2 neither), stub_node,
    stub_g, stub_b [pu].

    node_count         nodes with the star points; star_name (k,) the transformer of star point node_count - k + i
    """

    name: Texts
    kind: Texts
    row: Ints
    arm: Ints
    from_node: Ints
    to_node: Ints
    r: Floats
    x: Floats
    g_from: Floats
    b_from: Floats
    g_to: Floats
    b_to: Floats
    ratio: Floats
    shift: Floats
    rating: Floats
    stub_name: Texts
    stub_kind: Texts
    stub_row: Ints
    stub_arm: Ints
    stub_end: Ints
    stub_node: Ints
    stub_g: Floats
    stub_b: Floats
    node_count: int
    star_name: Texts

    def __len__(self) -> int:
        """Return the number of branches closed at both ends."""
        return len(self.row)

    def admittances(self) -> tuple[Complexes, Complexes, Complexes, Complexes]:
        """Return y_ff, y_ft, y_tf, y_tt [pu], each (n,)."""
        return _two_port(
            self.r + 1j * self.x,
            self.g_from + 1j * self.b_from,
            self.g_to + 1j * self.b_to,
            self.ratio * np.exp(1j * self.shift),
        )


def pi_branches(
    network: Network,
    node_of_bus: NDArray[Any] | None = None,
    closed: Mapping[str, NDArray[np.bool_]] | None = None,
) -> PiBranches:
    """Turn lines, transformers, three-winding transformers and branches into pi-branches.

    node_of_bus  (n_bus,) node of every row of `buses`, -1 = dead; not given = every bus in service is its own node
    closed       kind -> (n, 2), three-winding (n, 3): whether the end is connected; not given = every end is

    An end at a dead node counts as open. A branch open at one end leaves its input admittance at the other as a stub:
    y_tt - y_tf y_ft / y_ff. Open at both ends it is out. SeraiError where switches exist and no positions are given.
    """
    if node_of_bus is None:
        if closed is None and len(network.active("switches")):
            raise SeraiError(f"{network.name}: has switches, so pi_branches needs node_of_bus and closed (topology)")
        alive = network["buses"]["status"] == "in service" if len(network["buses"]) else np.zeros(0, bool)
        node_of_bus = np.where(alive, np.cumsum(alive) - 1, -1)
    nodes = np.asarray(node_of_bus, np.int64)
    count = int(nodes.max(initial=-1)) + 1
    parts = [
        _ported(network, kind, make(network, network[kind]), nodes, closed or {})
        for kind, make in (("lines", _lines), ("transformers", _transformers), ("branches", _branches))
        if len(network[kind])
    ]
    stars: list[str] = []
    if len(network["transformers3"]):
        part, stars = _transformers3(network, network["transformers3"], nodes, count, closed or {})
        parts.append(part)
    return _assemble(parts, count + len(stars), stars)


@dataclass
class _Pi:
    """Branches before they are connected, (n,) each; z, y_from, y_to, tap complex."""

    z: Complexes
    y_from: Complexes
    y_to: Complexes
    tap: Complexes
    rating: Floats
    name: Texts = field(default_factory=lambda: np.zeros(0, object))
    kind: Texts = field(default_factory=lambda: np.zeros(0, object))
    row: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    arm: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    from_node: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    to_node: Ints = field(default_factory=lambda: np.zeros(0, np.int64))


def _two_port(
    z: Complexes, y_from: Complexes, y_to: Complexes, tap: Complexes
) -> tuple[Complexes, Complexes, Complexes, Complexes]:
    y = 1.0 / z
    return (y + y_from) / np.abs(tap) ** 2, -y / np.conj(tap), -y / tap, y + y_to


def _nominal(network: Network, names: NDArray[Any]) -> Floats:
    """Nominal voltages [V] of the buses called `names`."""
    buses = network["buses"]
    voltage: Floats = buses["voltage"][[buses.row(str(n)) for n in names]]
    return voltage


def _lines(network: Network, t: Table) -> _Pi:
    v = _nominal(network, t["from_bus"])
    base = v**2 / network.base_power  # ohm
    z = (t["resistance"] + 1j * t["reactance"]) * t["length"] / t["parallel"] / base
    half = 0.5 * (t["conductance"] + 1j * t["susceptance"]) * t["length"] * t["parallel"] * base
    rating = np.sqrt(3.0) * v * network.limit("lines", "current_max", t) * t["parallel"] / network.base_power
    return _Pi(z, half, half.copy(), np.ones(len(t), complex), rating)


def _branches(network: Network, t: Table) -> _Pi:
    half = 0.5 * (t["conductance"] + 1j * t["susceptance"])
    return _Pi(
        t["resistance"] + 1j * t["reactance"],
        half + t["conductance_from"] + 1j * t["susceptance_from"],
        half + t["conductance_to"] + 1j * t["susceptance_to"],
        t["tap_ratio"] * np.exp(1j * t["phase_shift"]),
        t["rating"] / network.base_power,
    )


def tap_voltage(t: Table) -> Complexes:
    """Voltage of the tapped winding over its rated voltage, complex, at the present steps (n,).

    ratio        1 + n d exp(j a)            n steps from neutral, d voltage per step, a its angle
    ideal shift  exp(j n a), or a chord of n d on the unit circle where a = 0: exp(2 j asin(n d / 2))
    """
    n, d, a = t["tap_position"] - t["tap_neutral"], t["tap_step"], t["tap_step_angle"]
    turned = np.where(a != 0.0, n * a, 2.0 * np.arcsin(np.clip(n * d / 2.0, -1.0, 1.0)))
    tapped: Complexes = np.where(t["tap_kind"] == "ideal shift", np.exp(1j * turned), 1.0 + n * d * np.exp(1j * a))
    return tapped


def _magnetising(iron: Floats, current: Floats, rating: Floats, base_power: float) -> Complexes:
    """Admittance of the iron [pu of base power at rated voltage]: losses in W, current as a share of the rating."""
    reactive = np.sqrt(np.maximum((current * rating) ** 2 - iron**2, 0.0))
    y: Complexes = (iron - 1j * reactive) / base_power
    return y


def _t_to_pi(z: Complexes, y: Complexes, r_share: Any, x_share: Any) -> tuple[Complexes, Complexes, Complexes]:
    """Wye-delta: series z split at the magnetising branch y becomes (z_pi, y_from, y_to)."""
    za = z.real * r_share + 1j * z.imag * x_share
    zb = z - za
    z_pi = za + zb + za * zb * y
    return z_pi, zb * y / z_pi, za * y / z_pi


def _transformers(network: Network, t: Table) -> _Pi:
    nominal_hv, nominal_lv = _nominal(network, t["hv_bus"]), _nominal(network, t["lv_bus"])
    hv = np.where(np.isnan(t["hv_voltage"]), nominal_hv, t["hv_voltage"])
    lv = np.where(np.isnan(t["lv_voltage"]), nominal_lv, t["lv_voltage"])
    tapped, at_hv = tap_voltage(t), t["tap_side"] == "hv"
    hv, lv = np.where(at_hv, hv * abs(tapped), hv), np.where(at_hv, lv, lv * abs(tapped))
    turn = np.where(at_hv, 1.0, -1.0) * np.angle(tapped)
    # the name plate refers to the tapped low-voltage winding, the branch to the bus behind it
    to_bus = (lv / nominal_lv) ** 2
    vk, vr = t["short_circuit_voltage"], t["short_circuit_resistive"]
    z = (vr + 1j * np.sqrt(np.maximum(vk**2 - vr**2, 0.0))) * network.base_power / t["rating"] * to_bus
    z = z / t["parallel"]
    y = _magnetising(t["iron_loss"], t["no_load_current"], t["rating"], network.base_power) * t["parallel"] / to_bus
    z, y_from, y_to = _t_to_pi(z, y, t["leakage_resistance_share_hv"], t["leakage_reactance_share_hv"])
    ratio = (hv / lv) * (nominal_lv / nominal_hv)
    tap = ratio * np.exp(1j * (t["phase_shift"] + turn))
    return _Pi(z, y_from, y_to, tap, t["rating"] * t["parallel"] / network.base_power)


def _star_impedances(t: Table) -> list[Complexes]:
    """Impedances of the hv, mv, lv arms [1/VA]: pairs measured at the smaller rating, then delta to wye."""
    s = {side: t[f"{side}_rating"] for side in _SIDES}
    pair = {}
    for a, b in (("hv", "mv"), ("mv", "lv"), ("hv", "lv")):
        vk, vr = t[f"short_circuit_voltage_{a}_{b}"], t[f"short_circuit_resistive_{a}_{b}"]
        pair[a, b] = (vr + 1j * np.sqrt(np.maximum(vk**2 - vr**2, 0.0))) / np.minimum(s[a], s[b])
    hm, ml, hl = pair["hv", "mv"], pair["mv", "lv"], pair["hv", "lv"]
    return [0.5 * (hm + hl - ml), 0.5 * (hm + ml - hl), 0.5 * (ml + hl - hm)]


def _arm(network: Network, t: Table, side: str, z: Complexes) -> _Pi:
    """One winding: hv from its bus to the star, mv and lv from the star to their bus; the star is at hv voltage."""
    nominal = {k: _nominal(network, t[f"{k}_bus"]) for k in ("hv", side)}
    from_v, to_v = t["hv_voltage"].copy(), t[f"{side}_voltage"].copy()
    tapped = np.where(t["tap_side"] == side, tap_voltage(t), 1.0)
    # at the star point the winding's far side is divided instead: same ratio, another reference of the impedance
    star = t["tap_at_star_point"]
    near, far = np.where(star, 1.0, abs(tapped)), np.where(star, 1.0 / abs(tapped), 1.0)
    from_v, to_v = (from_v * near, to_v * far) if side == "hv" else (from_v * far, to_v * near)
    shift = (1.0 if side == "hv" else -1.0) * np.angle(tapped)
    if side != "hv":
        shift = shift + t[f"{side}_phase_shift"]
    to_bus = (to_v / nominal[side]) ** 2
    iron = _magnetising(t["iron_loss"], t["no_load_current"], t[f"{side}_rating"], network.base_power)
    y = np.where(t["iron_loss_side"] == side, iron / to_bus, 0.0)
    z, y_from, y_to = _t_to_pi(z * network.base_power * to_bus, y, 0.5, 0.5)
    ratio = (from_v / to_v) * (nominal[side] / nominal["hv"])
    return _Pi(z, y_from, y_to, ratio * np.exp(1j * shift), t[f"{side}_rating"] / network.base_power)


def _nodes_of(network: Network, names: NDArray[Any], nodes: Ints) -> Ints:
    buses = network["buses"]
    found: Ints = nodes[[buses.row(str(n)) for n in names]]
    return found


def _end_nodes(network: Network, kind: str, nodes: Ints, closed: Mapping[str, NDArray[np.bool_]]) -> list[Ints]:
    """Node of each end, -1 where the end is open or dead or the element out of service."""
    t = network[kind]
    found = []
    for k, column in enumerate(ENDS[kind]):
        node = _nodes_of(network, t[column], nodes)
        keep = t["status"] == "in service"
        if kind in closed:
            keep = keep & closed[kind][:, k]
        found.append(np.where(keep, node, -1))
    return found


def _ported(network: Network, kind: str, pi: _Pi, nodes: Ints, closed: Mapping[str, NDArray[np.bool_]]) -> _Pi:
    n = len(network[kind])
    pi.name, pi.kind = np.array(network[kind].names, object), np.full(n, kind, object)
    pi.row, pi.arm = np.arange(n), np.zeros(n, np.int64)
    pi.from_node, pi.to_node = _end_nodes(network, kind, nodes, closed)
    return pi


def _transformers3(
    network: Network, t: Table, nodes: Ints, first: int, closed: Mapping[str, NDArray[np.bool_]]
) -> tuple[_Pi, list[str]]:
    """Arms of all three-winding transformers, and the names of those that have a star point (node first + k)."""
    ends = _end_nodes(network, "transformers3", nodes, closed)
    alive = np.any([e >= 0 for e in ends], axis=0)
    star = np.where(alive, first + np.cumsum(alive) - 1, -1)
    arms = []
    for k, (side, z) in enumerate(zip(_SIDES, _star_impedances(t), strict=True)):
        pi = _arm(network, t, side, z)
        pi.name, pi.kind = np.array(t.names, object), np.full(len(t), "transformers3", object)
        pi.row, pi.arm = np.arange(len(t)), np.full(len(t), k + 1)
        pi.from_node, pi.to_node = (ends[k], star) if side == "hv" else (star, ends[k])
        arms.append(pi)
    at_star = alive & (t["iron_loss_side"] == "star")
    if at_star.any():
        arms.append(_iron_at_star(network, t, star, at_star))
    return _join(arms), [str(n) for n in np.array(t.names, object)[alive]]


def _iron_at_star(network: Network, t: Table, star: Ints, rows: Flags) -> _Pi:
    """The iron as a branch from the star to itself whose admittances add up to it."""
    y = _magnetising(t["iron_loss"], t["no_load_current"], t["hv_rating"], network.base_power)
    y = (y * (_nominal(network, t["hv_bus"]) / t["hv_voltage"]) ** 2)[rows]
    n, nothing = int(rows.sum()), np.zeros(int(rows.sum()), complex)
    pi = _Pi(np.ones(n, complex), y, nothing, np.ones(n, complex), np.full(n, np.nan))
    pi.name, pi.kind = np.array(t.names, object)[rows], np.full(n, "transformers3", object)
    pi.row, pi.arm = np.flatnonzero(rows), np.zeros(n, np.int64)
    pi.from_node = pi.to_node = star[rows]
    return pi


def _join(parts: Sequence[_Pi]) -> _Pi:
    if not parts:
        empty = np.zeros(0, complex)
        return _Pi(empty, empty, empty, empty, np.zeros(0))
    return _Pi(**{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(_Pi)})


def _assemble(parts: Sequence[_Pi], node_count: int, stars: Sequence[str]) -> PiBranches:
    pi = _join(parts)
    f, t = pi.from_node, pi.to_node
    whole = (f >= 0) & (t >= 0) & (f != t)
    looped = (f >= 0) & (f == t)
    stub = ((f >= 0) ^ (t >= 0)) | looped
    y_ff, y_ft, y_tf, y_tt = (y[stub] for y in _two_port(pi.z, pi.y_from, pi.y_to, pi.tap))
    at_from, at_to = y_ff - y_ft * y_tf / y_tt, y_tt - y_tf * y_ft / y_ff
    left = np.where(looped[stub], y_ff + y_ft + y_tf + y_tt, np.where(f[stub] >= 0, at_from, at_to))
    end = np.where(looped[stub], 2, np.where(f[stub] >= 0, 0, 1))
    z, tap = pi.z[whole], pi.tap[whole]
    return PiBranches(
        name=pi.name[whole], kind=pi.kind[whole], row=pi.row[whole], arm=pi.arm[whole],
        from_node=f[whole], to_node=t[whole], r=z.real, x=z.imag,
        g_from=pi.y_from[whole].real, b_from=pi.y_from[whole].imag,
        g_to=pi.y_to[whole].real, b_to=pi.y_to[whole].imag,
        ratio=np.abs(tap), shift=np.angle(tap), rating=pi.rating[whole],
        stub_name=pi.name[stub], stub_kind=pi.kind[stub], stub_row=pi.row[stub], stub_arm=pi.arm[stub],
        stub_end=end, stub_node=np.where(f[stub] >= 0, f[stub], t[stub]), stub_g=left.real, stub_b=left.imag,
        node_count=node_count, star_name=np.array(stars, object),
    )  # fmt: skip
