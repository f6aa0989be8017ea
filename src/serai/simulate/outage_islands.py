# SPDX-License-Identifier: Apache-2.0
"""What hangs on what in an intact network, and what a single loss leaves of it: islands, zones, swings.

The graph of `System` without its equations: which part of the gas network would have no pressure or nothing to balance
it, which lies idle, and whether the grid falls apart, is told for a loss in a fraction of a millisecond.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from serai.errors import NoReference, NoSwing
from serai.system import System, override
from serai.system.gas import JOINING
from serai.system.system import DECOUPLING, PRESSURES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from serai.known import Known
    from serai.network import Network

    Ints = NDArray[np.intp]


class UnfitError(Exception):
    """A loss that lanes do not know."""


@dataclass
class Loss:
    """One loss as a scenario: what is known otherwise, and which equations give way.

    value     (element, quantity) -> value of all Knowns in force
    out       elements out of service; opened: stations passed through
    values    known column -> value; swaps: row -> (column, value)
    branches, edges, nodes, plants   numbers of what is not there
    """

    name: str
    value: dict[tuple[str, str], float]
    out: set[str] = field(default_factory=set)
    opened: set[str] = field(default_factory=set)
    relief: list[Known] = field(default_factory=list)
    values: dict[int, float] = field(default_factory=dict)
    swaps: dict[int, tuple[int, float]] = field(default_factory=dict)
    branches: list[int] = field(default_factory=list)
    edges: set[int] = field(default_factory=set)
    nodes: set[int] = field(default_factory=set)
    plants: set[int] = field(default_factory=set)
    devices: list[int] = field(default_factory=list)
    modes: list[str] = field(default_factory=list)
    switches: list[int] = field(default_factory=list)


class Intact:
    """The intact network: its system, the Knowns in force, and the graphs behind them.

    knowns  in force in the intact network, units at their output included; distributed: units share what is lacking
    """

    def __init__(self, network: Network, knowns: Iterable[Known], *, hour: float | None, distributed: bool) -> None:
        self.network, self.knowns = network, tuple(knowns)
        own = override(network, network.knowns(hour), self.knowns)
        self.system = System(network, own, distributed=distributed)
        self.fixed = self.system.fix()
        self.value = {(k.where, k.quantity): k.value for k in self.system.knowns}
        self._graphs()

    def _graphs(self) -> None:
        """Note what hangs on what: the edges of each element, terminals, zones, units and branches by name."""
        s, g = self.system, self.system.gas
        self.start, self.end = g.ends()
        self.edges_of: dict[str, list[int]] = {}
        for k, e in enumerate(g.edges):
            self.edges_of.setdefault(e.element, []).append(k)
        self.joining = np.array([e.kind in JOINING for e in g.edges], dtype=bool)
        self.apart = {w for (w, q), v in self.value.items() if q in DECOUPLING or (q == "open" and v == 0.0)}
        self.terminals = [
            (g.node[str(t["node"][row])], sign, name, quantity)
            for kind, quantity, sign in (("supplies", "supply", -1.0), ("offtakes", "withdrawal", 1.0))
            for t in (s.network.active(kind),)
            for row, name in enumerate(t.names)
            if str(t["node"][row]) in g.node
        ]
        self.node_at = {name: node for node, _, name, _ in self.terminals} | g.node
        self.pressed = {
            (k.where, k.quantity): node
            for k in s.knowns
            if k.quantity in PRESSURES and s.running(k.where)
            for node in (g.node.get(s.node_of(k)),)
            if node is not None
        }
        plants = s.network.active("plants")
        self.burners = [
            (str(plants["generator"][k]), g.node[str(plants["gas_node"][k])])
            for k in range(len(plants))
            if str(plants["gas_node"][k]) in g.node
        ]
        self.withdrawn = self.withdrawals(self.value, set())
        p = s.power
        self.branches_of: dict[str, list[int]] = {}
        for k, name in enumerate(p.branches.name[p.alive_branch]):
            self.branches_of.setdefault(str(name), []).append(k)
        self.stubs = {str(p.branches.stub_name[k]) for k in p.alive_stub}
        self.grid_parts = self.parts_of_grid(())
        self.momentum = {
            name: (int(stamp.rows[0, k]), int(stamp.columns[2, k]))
            for stamp, _ in g.momentum
            for k, name in enumerate(stamp.names)
        }

    def withdrawals(self, value: dict[tuple[str, str], float], out: set[str]) -> dict[int, tuple[float, bool]]:
        """Return (net withdrawal [kg/s], free to swing) of nodes, as `System.withdrawals` does."""
        found: dict[int, tuple[float, bool]] = {}
        for node, sign, name, quantity in self.terminals:
            if name in out:
                continue
            total, free = found.get(node, (0.0, False))
            known = value.get((name, quantity))
            found[node] = (total + sign * (known or 0.0), free or known is None)
        for name, node in self.system.gas.node.items():
            if (name, "withdrawal") in value:
                found[node] = (value[name, "withdrawal"], False)
        return found

    def undetermined(self, found: Loss) -> tuple[NoReference | None, set[int]]:
        """Return what `System` would refuse about its gas islands, or None, and the nodes of idle islands."""
        g = self.system.gas
        there = np.ones(len(self.start), bool)
        for name in found.out:
            there[self.edges_of.get(name, [])] = False
        apart = self.apart - found.opened
        through = there.copy()
        for name in apart:
            for k in self.edges_of.get(name, []):
                through[k] &= not self.joining[k]
        island, zone = (_labels(len(g.names), self.start[m], self.end[m]) for m in (there, through))
        withdrawn = self.withdrawals(found.value, found.out)
        pressed = []
        for (where, quantity), value in found.value.items():
            if quantity in PRESSURES and where not in found.out and value > 0.0:
                node = self.pressed.get((where, quantity), self.node_at.get(where))
                if node is not None:
                    pressed.append(node)
        moving = {int(island[k]) for k, (value, free) in withdrawn.items() if free or value != 0.0}
        standing = {w for (w, q), v in found.value.items() if q == "active_power" and v == 0.0} | found.out
        running = set(self.system.power.generators) - standing
        moving |= {int(island[node]) for unit, node in self.burners if unit in running}
        held = moving | {int(island[p]) for p in pressed}
        idle = {k for k in range(len(g.names)) if int(island[k]) not in held}
        pinned = {int(zone[k]) for k in pressed}
        for number in dict.fromkeys(int(z) for z, i in zip(zone, island, strict=True) if int(i) in moving):
            if number not in pinned:
                whole = [g.names[k] for k in np.flatnonzero(island == island[zone == number][0])]
                return NoReference("", missing=[g.names[k] for k in np.flatnonzero(zone == number)], island=whole), idle
        swinging = {int(island[k]) for k, (_, free) in withdrawn.items() if free}
        for number in sorted(moving - swinging):
            nodes = [g.names[k] for k in np.flatnonzero(island == number)]
            return NoSwing("", missing=nodes, island=nodes), idle
        return None, idle

    def parts_of_grid(self, gone: Sequence[int]) -> int:
        """Return into how many parts the grid falls without some branches."""
        p = self.system.power
        keep = np.ones(len(p.ends[0]), bool)
        keep[list(gone)] = False
        joined = coo_array((np.ones(int(keep.sum())), (p.ends[0][keep], p.ends[1][keep])), shape=(len(p.names),) * 2)
        return int(connected_components(joined, directed=False)[0]) if p.names else 0


def _labels(n: int, start: Ints, end: Ints) -> Ints:
    joined = coo_array((np.ones(len(start)), (start, end)), shape=(n, n))
    return np.asarray(connected_components(joined, directed=False)[1], dtype=np.intp)
