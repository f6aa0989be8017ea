# SPDX-License-Identifier: Apache-2.0
"""Laws x network: the columns and rows of one case, what its Knowns fix, and the square system that remains."""

from __future__ import annotations

from collections import defaultdict
from math import isnan
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from serai.errors import NoReference, NoSwing, NotClosed, SeraiError
from serai.known import Known
from serai.system import gas as gas_part
from serai.system import power as power_part
from serai.system.columns import Fixed
from serai.system.equations import Equations
from serai.system.knowns import PARAMETERS, checked, override

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from serai.network import Network, Table
    from serai.system.gas import GasGraph
    from serai.system.power import PowerGraph

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]

TWICE = {
    "pressure": "of two stations in parallel let one hold the pressure and give the other a ratio or a flow.",
    "magnitude": "generators at one bus hold one voltage; give the others their reactive power.",
}
SMALLEST_FLOW = 1e-3  # kg/s: what counts as one is never less, whatever rounding leaves of a withdrawal
PRESSURES = ("pressure", "outlet_pressure", "inlet_pressure")
DECOUPLING = ("outlet_pressure", "inlet_pressure", "flow")  # set-points that part the pressures of two sides


class System:
    """The laws of a network with its columns and rows, ready to be closed by Knowns.

    network      as given, with taps, steps and switch positions taken from the Knowns
    knowns       the exact Knowns in force after trips (a drive without supply, a field without power)
    notes        (element, sentence): what the wiring of gas and power changed by itself
    equations    columns, rows, stamps
    gas, power   the graphs behind them
    dead         (element, sentence): what no reference reaches, left out of the equations
    """

    def __init__(
        self,
        network: Network,
        knowns: Iterable[Known],
        *,
        cell: float | None = None,
        distributed: bool = False,
        steady: bool = True,
    ) -> None:
        """Build the equations; pipes are cut into cells of at most `cell` [m]; `steady`: every gas island must balance.

        Raises UnknownName, SeraiError (Knowns that fit nothing) and NoReference (an island without a pressure).
        """
        given = checked(network, knowns)
        self.base = network
        self.network = _with_positions(network, given)
        self.notes: list[tuple[str, str]] = []
        self.dead: list[tuple[str, str]] = []
        self.cell = cell
        self.steady = steady
        self.distributed = distributed
        self.known_at: dict[str, set[str]] = defaultdict(set)
        for k in given:
            self.known_at[k.where].add(k.quantity)
        self.power = self._power_graph(given)
        self.trips = self._trips()
        self.take(given)
        for k in self.trips:
            self.known_at[k.where].add(k.quantity)
        self.gas = self._gas_graph()
        self.equations = Equations()
        self._scales()
        if self.gas.names:
            gas_part.add_gas(self.equations, self.network, self.gas, self.pressure_scale, self.flow_scale)
        if self.power.names:
            power_part.add_power(self.equations, self.network, self.power, self.known_at, distributed=distributed)
        self._links()

    # ------------------------------------------------------------------ graphs

    def _power_graph(self, knowns: list[Known]) -> PowerGraph:
        net = self.network
        buses, generators = net["buses"], net["generators"]
        referenced = set()
        for k in knowns:
            if k.quantity != "angle":
                continue
            if k.where in buses:
                referenced.add(k.where)
            elif generators["status"][generators.row(k.where)] == "in service":
                referenced.add(str(generators["bus"][generators.row(k.where)]))
        graph = power_part.graph(net, referenced, {k.where: k.value for k in knowns if k.quantity == "closed"})
        in_service = net.active("buses")
        if len(in_service) and not graph.names:
            msg = (
                f"{net.name}: no bus has a known angle, so the grid has no reference. Give Known('angle', bus, 0) for "
                f"one bus of each island, and let one generator there run without a set-point of active power."
            )
            raise NoReference(msg, missing=in_service.names)
        for bus in graph.dead:
            self.dead.append((bus, "no energised path to a bus with a known angle"))
        links = net.active("hvdc_links")
        for row, link in enumerate(links.names):
            ends = [str(links[end][row]) for end in ("from_bus", "to_bus")]
            if min(graph.at(bus) for bus in ends) < 0:
                lost = " and ".join(bus for bus in ends if graph.at(bus) < 0)
                self.dead.append((link, f"sends nothing: {lost} without supply"))
        return graph

    def take(self, knowns: Iterable[Known]) -> None:
        """Put these Knowns in force: other values for the columns that were known before, after trips."""
        given = [k for k in knowns if k.quantity not in PARAMETERS]
        self.knowns = override(self.network, given, self.trips)

    def _trips(self) -> list[Known]:
        """Return the Knowns by which a station without electric supply is bypassed and a field without power stops."""
        net, tripped = self.network, []
        drives = net.active("drives")
        for k, drive in enumerate(drives.names):
            bus, station = str(drives["bus"][k]), str(drives["compressor"][k])
            if (
                drives["kind"][k] == "electric motor"
                and self.power.at(bus) < 0
                and station in net.active("compressors")
            ):
                tripped.append(Known("open", station, 1.0, source=f"{drive}: {bus} is dead"))
                self.notes.append((station, f"bypassed: its motor has no supply, {bus} is dead"))
        supplies = net.active("supplies")
        for k, supply in enumerate(supplies.names):
            load = str(supplies["needs_power"][k])
            if load and self.power.at(load) < 0:
                tripped.append(Known("supply", supply, 0.0, source=f"{load} is dead"))
                self.notes.append((supply, f"stopped: its load {load} is dead"))
        return tripped

    def _gas_graph(self) -> GasGraph:
        """Lay out the gas network without islands that nothing feeds; name an island without a pressure."""
        idle = self._islands()
        net = self.network
        if idle:
            net = net.with_status(idle)
            self.network = net
            for node in idle:
                self.dead.append((node, "a gas island without supply, withdrawal or pressure"))
        return gas_part.graph(net, self.cell)

    def _islands(self) -> list[str]:
        """Return the nodes of idle islands; NoReference or NoSwing for a part of the network that is not determined.

        An island is what hangs together; a zone is what still does when stations that hold a pressure or a flow, and
        closed valves, are taken out. Each zone needs a pressure; each island needs a supply or offtake that swings.
        """
        g = gas_part.graph(self.network, None)
        if not g.names:
            return []
        start, end = g.ends()
        apart = {k.where for k in self.knowns if k.quantity in DECOUPLING or (k.quantity == "open" and k.value == 0.0)}
        # the losses in a station's piping stay joined to their side of it
        through = np.array([e.element not in apart or e.kind not in gas_part.JOINING for e in g.edges], dtype=bool)
        island = _labels(len(g.names), start, end)
        zone = _labels(len(g.names), start[through], end[through])
        withdrawn = self.withdrawals(g)
        pressed = self._pressed(g)
        moving = {int(island[k]) for k, (value, free) in withdrawn.items() if free or value != 0.0}
        moving |= {int(island[k]) for k in self._burning(g)}
        idle = np.array([k not in moving | {int(island[p]) for p in pressed} for k in island], dtype=bool)
        if self.steady:
            self._determined(g, island, zone, pressed, moving)
        return [g.names[k] for k in range(g.shown) if idle[k]]

    def _burning(self, g: GasGraph) -> list[int]:
        """Return the nodes at which a unit that runs takes its gas: none may run on an island that nothing feeds."""
        plants, standing = self.network.active("plants"), set()
        for k in self.knowns:
            if k.quantity == "active_power" and k.value == 0.0:
                standing.add(k.where)
        running = set(self.power.generators) - standing
        at = [str(plants["gas_node"][k]) for k in range(len(plants)) if str(plants["generator"][k]) in running]
        return [g.node[n] for n in at if n in g.node]

    def _determined(self, g: GasGraph, island: Ints, zone: Ints, pressed: list[int], moving: set[int]) -> None:
        pinned = {int(zone[k]) for k in pressed}
        for number in dict.fromkeys(int(z) for z, i in zip(zone, island, strict=True) if int(i) in moving):
            if number in pinned:
                continue
            nodes = [g.names[k] for k in np.flatnonzero(zone == number)]
            whole = [g.names[k] for k in np.flatnonzero(island == island[zone == number][0])]
            what = "island" if len(whole) == len(nodes) else "zone between stations"
            msg = (
                f"gas {what} of {len(nodes)} nodes ({_some(nodes)}): no pressure is known in it, only flows. Give the "
                f"pressure of one node, supply or offtake, the outlet or inlet pressure of a station, or a ratio."
            )
            raise NoReference(msg, missing=nodes, island=whole)
        withdrawn = self.withdrawals(g)
        swinging = {int(island[k]) for k, (_, free) in withdrawn.items() if free}
        for number in sorted(moving - swinging):
            nodes = [g.names[k] for k in np.flatnonzero(island == number)]
            lack = sum(value for k, (value, _) in withdrawn.items() if island[k] == number)
            msg = (
                f"gas island of {len(nodes)} nodes ({_some(nodes)}): every supply and withdrawal is given, so nothing "
                f"can balance it; the withdrawals exceed the supplies by {lack:.4g} kg/s before fuel. Give one supply "
                f"or offtake a pressure instead of its flow."
            )
            raise NoSwing(msg, missing=nodes, island=nodes)

    def _pressed(self, g: GasGraph) -> list[int]:
        """Return the nodes whose pressure a Known of an element in service gives."""
        found = []
        for k in self.knowns:
            if k.quantity in PRESSURES and self.running(k.where):
                node = g.node.get(self.node_of(k))
                if node is not None:
                    found.append(node)
        return found

    def running(self, name: str) -> bool:
        """Tell whether an element is in service."""
        t = self.network[self.network.kind_of(name)]
        return bool(t["status"][t.row(name)] == "in service")

    def node_of(self, known: Known) -> str:
        """Return the gas node that a Known of pressure, withdrawal or supply speaks of."""
        kind = self.network.kind_of(known.where)
        if kind == "gas_nodes":
            return known.where
        t = self.network[kind]
        column = {"outlet_pressure": "to_node", "inlet_pressure": "from_node"}.get(known.quantity, "node")
        return str(t[column][t.row(known.where)])

    def withdrawals(self, g: GasGraph) -> dict[int, tuple[float, bool]]:
        """Return (net withdrawal [kg/s], free to swing) of each node with supplies, offtakes or a Known of its own."""
        value: dict[tuple[str, str], float] = {(k.where, k.quantity): k.value for k in self.knowns}
        out: dict[int, tuple[float, bool]] = {}
        for kind, quantity, sign in (("supplies", "supply", -1.0), ("offtakes", "withdrawal", 1.0)):
            t = self.network.active(kind)
            for row, name in enumerate(t.names):
                node = g.node.get(str(t["node"][row]))
                if node is None:
                    continue
                total, free = out.get(node, (0.0, False))
                known = value.get((name, quantity))
                out[node] = (total + sign * (known or 0.0), free or known is None)
        for name, node in g.node.items():
            if (name, "withdrawal") in value:
                out[node] = (value[name, "withdrawal"], False)
        return out

    def _scales(self) -> None:
        pressures = [k.value for k in self.knowns if k.quantity in PRESSURES]
        self.pressure_scale = max(pressures, default=50e5)
        total = sum(abs(value) for value, _ in self.withdrawals(self.gas).values()) / 2.0
        self.flow_scale = max(total, SMALLEST_FLOW) if total > 0 else 1.0

    # ------------------------------------------------------------------- links

    def _links(self) -> None:
        """Gas-fired plants and drives: fuel leaves a gas node, electric power leaves a bus."""
        self._drives()
        net, eq, g = self.network, self.equations, self.gas
        t = net.active("plants")
        alive = set(self.power.generators)
        mine = [k for k in range(len(t)) if str(t["generator"][k]) in alive and str(t["gas_node"][k]) in g.node]
        if not mine:
            return
        names = [t.names[k] for k in mine]
        lhv = self._heating_value("plants")
        f = eq.columns.add("plant_fuel", names, 1.0, 1.0)
        P = eq.columns["active_power"]
        column = np.array([P.index[str(t["generator"][k])] for k in mine])
        node = np.array([g.node[str(t["gas_node"][k])] for k in mine])
        rows = eq.add_rows("plant fuel", names, net.base_power)
        eq.add(
            "plant_fuel", names, (rows,), (column, f[:]),
            no_load=t["no_load"][mine], heat_rate=t["heat_rate"][mine], slope=t["heat_rate_slope"][mine], LHV=lhv,
        )  # fmt: skip
        eq.add("withdrawal", names, (self.balance_row(node),), (f[:],))

    def _drives(self) -> None:
        net, eq, g = self.network, self.equations, self.gas
        t = net.active("drives")
        if "power" not in eq.columns:
            return
        W = eq.columns["power"]
        running = [k for k in range(len(t)) if str(t["compressor"][k]) in W.index]
        gas = [k for k in running if t["kind"][k] == "gas turbine"]
        electric = [k for k in running if t["kind"][k] != "gas turbine" and self.power.at(str(t["bus"][k])) >= 0]
        if gas:
            names = [t.names[k] for k in gas]
            f = eq.columns.add("fuel", names, 1.0, 0.1)
            station = net["compressors"]
            at = [
                str(t["fuel_node"][k]) or str(station["from_node"][station.row(str(t["compressor"][k]))]) for k in gas
            ]
            lost = [n for n in at if n not in g.node]
            if lost:
                msg = f"drives take fuel at nodes that are not in service: {', '.join(lost)}"
                raise SeraiError(msg)
            shaft = np.array([W.index[str(t["compressor"][k])] for k in gas])
            rows = eq.add_rows("turbine fuel", names, 1e6)
            eq.add(
                "turbine_fuel",
                names,
                (rows,),
                (shaft, f[:]),
                eff=t["efficiency"][gas],
                LHV=self._heating_value("drives"),
            )
            eq.add("withdrawal", names, (self.balance_row(np.array([g.node[n] for n in at])),), (f[:],))
        if electric:
            names = [t.names[k] for k in electric]
            P = eq.columns.add("drive_power", names, 1e6, 0.0)
            shaft = np.array([W.index[str(t["compressor"][k])] for k in electric])
            rows = eq.add_rows("motor", names, 1e6)
            eq.add("motor", names, (rows,), (shaft, P[:]), eff=t["efficiency"][electric])
            node = np.array([self.power.at(str(t["bus"][k])) for k in electric])
            first = {label: first for label, _, first, _ in eq.row_blocks}
            eq.add("consumption", names, (first["active power balance"] + node,), (P[:],))
            factor = t["power_factor"][electric]
            tan = np.where(np.isnan(factor), 0.0, np.sqrt(1.0 / np.where(np.isnan(factor), 1.0, factor) ** 2 - 1.0))
            eq.add("motor_reactive", names, (first["reactive power balance"] + node,), (P[:],), tan=tan)

    def _heating_value(self, what: str) -> float:
        """Net heating value [J/kg]."""
        gas = self.network.gas
        if isnan(gas.net_heating_value):
            msg = f"{self.network.name}: {what} burn gas, but case.toml [gas] gives no net_heating_value_mj_per_m3"
            raise SeraiError(msg)
        return gas.net_heating_value / gas.standard_density

    def balance_row(self, nodes: Ints) -> Ints:
        """Return the mass-balance rows of gas nodes."""
        first = {label: first for label, _, first, _ in self.equations.row_blocks}["mass balance"]
        return np.asarray(first + nodes, dtype=np.intp)

    # ------------------------------------------------------------------ Knowns

    def fix(self) -> dict[int, Fixed]:
        """Return the column that each Known in force closes.

        Elements that are dead or out of service take no Knowns. Two different values for one column raise NotClosed.
        """
        fixed: dict[int, Fixed] = {}
        for known in self.knowns:
            placed = self.place(known)
            if placed is not None:
                self._add(fixed, Fixed(*placed, known))
        self._gas_defaults(fixed)
        self._power_defaults(fixed)
        return fixed

    def _add(self, fixed: dict[int, Fixed], new: Fixed) -> None:
        old = fixed.get(new.column)
        if old is not None and old.value != new.value:
            quantity, name = self.equations.columns.name(new.column)
            msg = (
                f"{quantity} of {name} is given twice: {_say(old.known)} and {_say(new.known)}. Take one of them back; "
                + TWICE.get(quantity, "one value closes it.")
            )
            raise NotClosed(msg, twice=[old.known.where, new.known.where])
        fixed[new.column] = new

    def place(self, known: Known) -> tuple[int, float] | None:
        """Return column and value of a Known, or None where it is handled with others or its element is not running."""
        c, q, where = self.equations.columns, known.quantity, known.where
        kind = self.network.kind_of(where)
        if q in PRESSURES:
            node = self.gas.node.get(self.node_of(known)) if self.running(where) else None
            return None if node is None else (c["pressure"].first + node, known.value)
        if q in ("withdrawal", "supply", "steps", "tap_position", "closed"):
            return None
        if q == "open":
            return self._position(where, kind, is_open=known.value == 1.0)
        if kind in ("loads", "buses", "generators"):
            return self._electric(known, kind)
        quantity = {
            "pressure_drop": "drop", "active_power": "link_sent",
            "reactive_power_from": "link_reactive_from", "reactive_power_to": "link_reactive_to",
        }.get(q, q)  # fmt: skip
        if quantity not in c:
            return None
        column = c[quantity].index.get(where, c[quantity].index.get(f"{where} [cell 1]"))
        return None if column is None else (column, known.value)

    def _position(self, where: str, kind: str, *, is_open: bool) -> tuple[int, float] | None:
        c = self.equations.columns
        if where not in c["flow"].index:
            return None
        if not is_open:
            return c["flow"].index[where], 0.0
        return (c["ratio"].index[where], 1.0) if kind == "compressors" else (c["drop"].index[where], 0.0)

    def _electric(self, known: Known, kind: str) -> tuple[int, float] | None:
        c, q, node = self.equations.columns, known.quantity, self.power.at(known.where)
        if node < 0 or kind == "loads":
            return None  # loads are summed over their bus
        if q in ("angle", "magnitude"):
            return c[q].first + node, known.value
        if kind == "buses":
            return None  # summed with the loads of the bus
        if q == "active_power" and known.where in self.power.following:
            return None  # beside the signal that its island shares
        return c[q].index[known.where], known.value

    def _gas_defaults(self, fixed: dict[int, Fixed]) -> None:
        """Withdrawals of all nodes (zero where nothing is), and what stands open when nobody says otherwise."""
        if not self.gas.names:
            return
        c = self.equations.columns
        given = self.withdrawals(self.gas)
        for k in range(self.gas.shown):
            value, free = given.get(k, (0.0, False))
            if not free:
                name = self.gas.names[k]
                fixed[c["withdrawal"].first + k] = Fixed(
                    c["withdrawal"].first + k, value, Known("withdrawal", name, value)
                )
        for edge in self.gas.edges:
            if edge.kind in ("short_pipes", "valves", "check_valves"):
                column, shut = c["drop"].index[edge.name], c["flow"].index[edge.name]
                if column not in fixed and shut not in fixed:
                    fixed[column] = Fixed(column, 0.0, Known("open", edge.element, 1.0, source="default"))

    def _power_defaults(self, fixed: dict[int, Fixed]) -> None:
        """Withdrawals of all buses: the sum of what their loads draw; links keep their reactive power at zero."""
        c, g, net = self.equations.columns, self.power, self.network
        if not g.names:
            return
        value = {(k.where, k.quantity): k for k in self.knowns}
        if g.sharing is not None:
            given = [value.get((name, "active_power")) for name in g.sharing.names]
            g.sharing.set(offset=[0.0 if k is None else k.value for k in given])
        total = {q: np.zeros(len(g.names)) for q in ("active_withdrawal", "reactive_withdrawal")}
        loads = net.active("loads")
        by_voltage = power_part.depends_on_voltage(loads)
        for row, name in enumerate(loads.names):
            node = g.at(name)
            if node < 0:
                continue
            P, Q = self.drawn(row, name, value)
            if by_voltage[row]:
                for quantity, x in (("load_active_power", P), ("load_reactive_power", Q)):
                    column = c[quantity].index[name]
                    fixed[column] = Fixed(column, x, Known(quantity, name, x))
            else:
                total["active_withdrawal"][node] += P
                total["reactive_withdrawal"][node] += Q
        for (where, quantity), known in value.items():
            if quantity in total and g.at(where) >= 0:
                total[quantity][g.at(where)] += known.value
        for quantity, sums in total.items():
            first = c[quantity].first
            for k, x in enumerate(sums):
                fixed[first + k] = Fixed(first + k, float(x), Known(quantity, g.names[k], float(x)))
        for quantity in ("link_reactive_from", "link_reactive_to"):
            if quantity in c:
                for name, column in c[quantity].index.items():
                    fixed.setdefault(
                        column, Fixed(column, 0.0, Known("reactive_power_from", name, 0.0, source="default"))
                    )

    def drawn(self, row: int, name: str, value: dict[tuple[str, str], Known]) -> tuple[float, float]:
        """Return active and reactive power of a load; its power factor gives what no set-point does."""
        loads = self.network.active("loads")
        active = value.get((name, "active_power"))
        if active is None:
            msg = f"load {name}: no active power is known. Give Known('active_power', '{name}', watts)"
            raise NotClosed(msg, missing=[name])
        reactive = value.get((name, "reactive_power"))
        if reactive is not None:
            return active.value, reactive.value
        factor = loads["power_factor"][row]
        return active.value, 0.0 if isnan(factor) else active.value * float(np.sqrt(1.0 / factor**2 - 1.0))


def _with_positions(network: Network, knowns: list[Known]) -> Network:
    """Return the network with the status, taps and steps that Knowns give; the topology takes switch positions."""
    changed: dict[str, Table] = {}
    for known in knowns:
        column = {"steps": "steps", "tap_position": "tap_position", "in_service": "status"}.get(known.quantity)
        if column is None:
            continue
        kind = network.kind_of(known.where)
        t = changed.get(kind, network[kind])
        values = t[column].copy()
        in_words = "in service" if known.value else "out of service"
        values[t.row(known.where)] = in_words if column == "status" else known.value
        changed[kind] = t.replace(**{column: values})
    return network.with_tables(**changed) if changed else network


def _labels(n: int, start: Ints, end: Ints) -> Ints:
    """Return the connected component of each of n nodes (n,)."""
    joined = coo_array((np.ones(len(start)), (start, end)), shape=(n, n))
    return np.asarray(connected_components(joined, directed=False)[1], dtype=np.intp)


def _say(known: Known) -> str:
    source = f" ({known.source})" if known.source else ""
    return f"{known.quantity} of {known.where} = {known.value:g}{source}"


def _some(names: list[str], limit: int = 6) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
