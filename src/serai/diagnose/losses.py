# SPDX-License-Identifier: Apache-2.0
"""Where gas and power go: technical losses from the estimated state, and what the meters alone leave unaccounted for.

The estimate closes every balance, so its sheet tells technical losses: heat of the grid, gas that stations and plants
burn. Unaccounted-for gas is what the meters themselves leave over, zone by zone, without any law but that of mass: what
is metered into a zone less what is metered out of it. Its sigma is that of its meters, so a zone whose gas is missing
by many of them has lost it, or has a meter that is wrong. Zones are the parts between metered edges: stations and
regulators.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.stats import norm

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from serai.estimate import Estimate
    from serai.network import Network

    Ints = NDArray[np.intp]

EDGES = ("pipes", "short_pipes", "valves", "check_valves", "control_valves", "resistors", "compressors")
# quantity of a meter -> (its element's column of the node, sign into the network)
ENDS = {("supplies", "supply"): ("node", 1.0), ("offtakes", "withdrawal"): ("node", -1.0),
        ("plants", "plant_fuel"): ("gas_node", -1.0)}  # fmt: skip


@dataclass(frozen=True)
class Zone:
    """Gas that the meters of one zone leave unaccounted for.

    nodes         of the zone
    metered_in    [kg/s] what its meters say flows in
    unaccounted   [kg/s] metered in less metered out; sigma [kg/s] of it
    unmetered     supplies, offtakes, plants and stations that take part without a meter: their gas is in it too
    """

    nodes: tuple[str, ...]
    metered_in: float
    unaccounted: float
    sigma: float
    unmetered: tuple[str, ...]

    @property
    def chance(self) -> float:
        """Probability of so much by the meters' noise alone; tells nothing where `unmetered` is not empty."""
        return float(2.0 * norm.sf(abs(self.unaccounted) / self.sigma)) if self.sigma > 0.0 else 1.0


@dataclass(frozen=True)
class Losses:
    """Balance sheet of one scan, and unaccounted-for gas by zone.

    gas    [kg/s] supplied, delivered, burnt in plants, burnt in stations; the first less the others is zero
    power  [W] made, drawn, in drives, heat of the grid; the first less the others is zero
    zones  the largest first
    """

    gas: dict[str, float]
    power: dict[str, float]
    zones: tuple[Zone, ...]

    @property
    def gap(self) -> tuple[float, float]:
        """By how much the sheets of gas [kg/s] and power [W] do not close."""
        gas, power = list(self.gas.values()), list(self.power.values())
        return gas[0] - sum(gas[1:]), power[0] - sum(power[1:])


def losses(estimate: Estimate) -> Losses:
    """Return where gas and power go in an estimated state, and what its meters leave unaccounted for by zone.

    One instant: gas that goes into linepack between two scans is in `unaccounted`. nan where the state is not
    observable.
    """
    d = estimate.state.dataset
    untold = {quantity for quantity, _ in estimate.unobservable}

    def total(name: str) -> float:
        if name not in d:
            return 0.0
        own = name in ("fuel", "drive_power") and name not in untold  # a station has one of the two, the other is nan
        return float(np.nansum(d[name].values) if own else np.sum(d[name].values))

    gas = {"supplied": total("supplied"), "delivered": total("delivered"), "burnt in plants": total("plant_fuel"),
           "burnt in stations": total("fuel")}  # fmt: skip
    power = {"made": total("active_power"), "drawn": total("drawn"), "in drives": total("drive_power"),
             "heat of the grid": total("active_power_from") + total("active_power_to")}  # fmt: skip
    return Losses(gas, power, _zones(estimate))


def _zones(e: Estimate) -> tuple[Zone, ...]:
    network = e.network
    nodes = network.active("gas_nodes").names
    if not len(nodes):
        return ()
    place = {n: k for k, n in enumerate(nodes)}
    read = {(m.quantity, m.where): (e.values[k], e.sigmas[k]) for k, m in enumerate(e.meters) if e.used[k]}
    edges = _edges(network)
    zone = _parts(place, [(a, b) for a, b, name in edges if ("flow", name) not in read])
    count = int(zone.max()) + 1
    flows, unmetered = _exchanges(network, set(read))
    inward, net, variance = np.zeros(count), np.zeros(count), np.zeros(count)
    cut = [(node, sign, "flow", name) for a, b, name in edges if ("flow", name) in read
           for node, sign in ((a, -1.0), (b, 1.0)) if zone[place[a]] != zone[place[b]]]  # fmt: skip
    for node, sign, quantity, name in (*flows, *cut):
        value, sigma = read[quantity, name]
        k = zone[place[node]]
        net[k] += sign * value
        variance[k] += sigma**2
        inward[k] += max(sign * value, 0.0)
    missing: list[list[str]] = [[] for _ in range(count)]
    for node, name in unmetered:
        missing[zone[place[node]]].append(name)
    members = [tuple(n for n in nodes if zone[place[n]] == k) for k in range(count)]
    found = [Zone(members[k], float(inward[k]), float(net[k]), float(variance[k]) ** 0.5, tuple(missing[k]))
             for k in range(count)]  # fmt: skip
    return tuple(sorted(found, key=lambda z: -len(z.nodes)))


def _edges(network: Network) -> list[tuple[str, str, str]]:
    """Return (from, to, name) of everything in service that gas flows through."""
    tables = [network.active(kind) for kind in EDGES if kind in network.tables]
    return [(str(a), str(b), name) for t in tables
            for a, b, name in zip(t["from_node"], t["to_node"], t.names, strict=True)]  # fmt: skip


def _parts(place: dict[str, int], edges: list[tuple[str, str]]) -> Ints:
    rows, columns = [place[a] for a, _ in edges], [place[b] for _, b in edges]
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(len(place), len(place)))
    return np.asarray(connected_components(graph, directed=False)[1], np.intp)


def _exchanges(
    network: Network, read: set[tuple[str, str]]
) -> tuple[list[tuple[str, float, str, str]], list[tuple[str, str]]]:
    """Return what is metered at nodes (node, sign, quantity, element), and what is not (node, element)."""
    metered: list[tuple[str, float, str, str]] = []
    unmetered: list[tuple[str, str]] = []
    for (kind, quantity), (column, sign) in ENDS.items():
        t = network.active(kind)
        for name in t.names:
            node = str(t[column][t.row(name)])
            if (quantity, name) in read:
                metered.append((node, sign, quantity, name))
            else:
                unmetered.append((node, name))
    t = network.active("drives")
    running = set(network.active("compressors").names)
    for name, node in zip(t["compressor"], t["fuel_node"], strict=True) if len(t) else ():
        if not node or name not in running:
            continue
        if ("fuel", str(name)) in read:
            metered.append((str(node), -1.0, "fuel", str(name)))
        else:
            unmetered.append((str(node), str(name)))
    return metered, unmetered
