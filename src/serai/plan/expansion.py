# SPDX-License-Identifier: Apache-2.0
"""What a plan means for the network: which pipes and stations stand in a year, and what flows on one of its days."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from serai.errors import UnknownName
from serai.known import Known
from serai.network import table
from serai.network.sheet import near
from serai.plan.value import capacities, standing
from serai.units import YEAR

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from serai.network import Network
    from serai.plan.case import PlanningCase, Work
    from serai.plan.problem import Problem
    from serai.plan.value import Decisions

    Floats = NDArray[np.float64]

BCM = 1e9  # m3
SAME = 1e-6  # bcm/y
STATION_FUEL = 0.03  # of all production: what the swing field may give beyond the plan, which burns nothing in stations
BRANCHES = ("pipes", "compressors", "control_valves", "valves", "check_valves", "short_pipes", "resistors")


@dataclass(frozen=True)
class Day:
    """What flows on one day of a plan, as rates [bcm/y]: corridors (C,), hubs' production (H,) and home use (H,)."""

    corridors: Floats
    produced: Floats
    home: Floats

    def same(self, other: Day) -> bool:
        """Tell whether two days are one."""
        one, two = ((d.corridors, d.produced, d.home) for d in (self, other))
        return all(np.allclose(a, b, rtol=0.0, atol=SAME) for a, b in zip(one, two, strict=True))


def checked(network: Network, case: PlanningCase) -> None:
    """Refuse planning tables that name what the network does not have."""
    wanted = [("corridors.csv", c.name, "offtakes", c.offtake) for c in case.corridors if c.offtake]
    wanted += [("fields.csv", f.name, "supplies", s) for f in case.fields for s in f.supply]
    wanted += [("works.csv", w.project, w.kind, w.element) for w in case.works if w.change != "add"]
    wanted += [("works.csv", w.project, "gas_nodes", w.at) for w in case.works if w.change == "add"]
    added = {w.element for w in case.works if w.change == "add"}
    for file, row, kind, name in wanted:
        names = network[kind].names
        if name not in names and name not in added:
            msg = f"{file}, {row}: {network.name} has no row {name!r} in {kind}.csv{near(name, names)}"
            raise UnknownName(msg)


def expanded(network: Network, problem: Problem, at: Decisions, y: int) -> Network:
    """Return the network as it stands in year y: works of the projects done, border points and fields as planned."""
    case = problem.case
    built = {p.name for p, s in zip(case.projects, standing(problem, at.x)[:, y], strict=True) if s > 0.5}
    works = [w for w in case.works if w.project in built]
    network = network.with_status([w.element for w in works if w.change == "open"], "in service")
    network = _doubled(network, [w for w in works if w.change == "double"])
    network = _stronger(network, [w for w in works if w.change == "more"])
    network = _borders(network, case, works, capacities(problem, at.x)[2][:, y])
    return _fields(network, problem, at, y)


def turned(network: Network, case: PlanningCase, links: Iterable[str], near: int = 0) -> tuple[Network, list[str]]:
    """Turn the stations and regulators of some trunk lines round, for gas that comes back; return which were.

    near  how many of them, from the near hub on in the order of uses.csv, stay as they are: what is used on the way may
          be more than what comes back
    """
    names = {n for link in links for n in _machines(network, case, link)[near:]}
    found: list[str] = []
    for kind in ("compressors", "control_valves"):
        t = network[kind]
        swap = np.array([n in names for n in t.names], dtype=bool)
        if swap.any():
            one, two = t["from_node"], t["to_node"]
            ends = {"from_node": np.where(swap, two, one), "to_node": np.where(swap, one, two)}
            network = network.with_tables(**{kind: t.replace(**ends)})
            active = set(network.active(kind).names)
            found += [n for n, s in zip(t.names, swap, strict=True) if s and n in active]
    return network, found


def _machines(network: Network, case: PlanningCase, link: str) -> list[str]:
    """Return the stations and regulators of a trunk line in the order of uses.csv, from its near hub on."""
    used = [n for u in case.uses if u.planned == link for n in u.elements]
    return [n for n in used if n in network and network.kind_of(n) in ("compressors", "control_valves")]


def meetings(network: Network, case: PlanningCase, links: Iterable[str]) -> list[int]:
    """Return before which of their stations gas of both ends of some trunk lines may meet, the farthest first.

    That is where something leaves between two stations; elsewhere the flow would have to be none. 0 = nowhere: all
    gas on the way comes from the far hub.
    """
    touching: dict[str, int] = {}
    for kind in (*BRANCHES, "offtakes", "supplies"):
        t = network.active(kind)
        for column in ("from_node", "to_node", "node"):
            for node in t[column] if column in t.columns else ():
                touching[str(node)] = touching.get(str(node), 0) + 1
    found = {0}
    for link in links:
        mine = _machines(network, case, link)
        for k in range(1, len(mine)):
            one, two = network[network.kind_of(mine[k - 1])], network[network.kind_of(mine[k])]
            ends = str(one["to_node"][one.row(mine[k - 1])]), str(two["from_node"][two.row(mine[k])])
            if ends[0] != ends[1] and any(touching.get(n, 0) > 2 for n in ends):  # more than a station and a pipe
                found.add(k)
    return sorted(found, reverse=True)


def waiting(problem: Problem, at: Decisions, y: int) -> list[str]:
    """Return the stations that a project would open and that no built one has opened by year y."""
    case = problem.case
    built = {p.name for p, s in zip(case.projects, standing(problem, at.x)[:, y], strict=True) if s > 0.5}
    opened = {w.element for w in case.works if w.project in built and w.change == "open"}
    return [w.element for w in case.works if w.kind == "compressors" and w.change == "open" and w.element not in opened]


def _rows(network: Network, kind: str) -> list[dict[str, Any]]:
    t = network[kind]
    return [{c: v[i] for c, v in t.columns.items()} for i in range(len(t))]


def _with_rows(network: Network, kind: str, rows: Sequence[Mapping[str, Any]]) -> Network:
    return network.with_tables(**{kind: table(kind, list(rows))})


def _doubled(network: Network, works: Sequence[Work]) -> Network:
    """Lay a second pipe beside each named one."""
    if not works:
        return network
    rows = _rows(network, "pipes")
    by_name = {r["name"]: r for r in rows}
    rows += [{**by_name[w.element], "name": f"{w.element}, second line", "status": "in service"} for w in works]
    return _with_rows(network, "pipes", rows)


def _stronger(network: Network, works: Sequence[Work]) -> Network:
    if not works:
        return network
    t = network["compressors"]
    power = t["power_max"].copy()
    for w in works:
        power[t.row(w.element)] += w.power * 1e6
    return network.with_tables(compressors=t.replace(power_max=power))


def _borders(network: Network, case: PlanningCase, works: Sequence[Work], capacity: Floats) -> Network:
    """Open the offtakes of corridors that stand, new ones added, and let each pass what its corridors may."""
    network = _added(network, [w for w in works if w.change == "add"])
    t, rate = network["offtakes"], BCM * network.gas.standard_density / YEAR
    may: dict[str, float] = {}
    for c, size in zip(case.corridors, capacity, strict=True):
        may[c.offtake] = may.get(c.offtake, 0.0) + float(size) * rate
    most, status = t["flow_max"].copy(), t["status"].copy()
    for name, size in may.items():
        if name in t:
            most[t.row(name)] = size
            status[t.row(name)] = "in service" if size > 0.0 else status[t.row(name)]
    return network.with_tables(offtakes=t.replace(flow_max=most, status=status))


def _added(network: Network, works: Sequence[Work]) -> Network:
    """Add offtakes, each on a node of its own that a short pipe ties to the node `at`."""
    for w in works:
        nodes, ties, takes = (_rows(network, kind) for kind in ("gas_nodes", "short_pipes", "offtakes"))
        there, point = next(r for r in nodes if r["name"] == w.at), f"{w.element} point"
        said = {"status": "in service", "source": w.source, "confidence": w.confidence}
        nodes.append({**there, **said, "name": point})
        ties.append({**said, "name": f"{w.element} tie", "from_node": w.at, "to_node": point})
        takes.append({**said, "name": w.element, "node": point, "kind": "export"})
        for kind, rows in (("gas_nodes", nodes), ("short_pipes", ties), ("offtakes", takes)):
            network = _with_rows(network, kind, rows)
    return network


def _fields(network: Network, problem: Problem, at: Decisions, y: int) -> Network:
    """Let every supply give what its field has left by year y and what projects added, shared by their size."""
    t = network["supplies"]
    most = t["flow_max"].copy()
    for name, size in field_capacity(problem, at, y).items():
        field = next(f for f in problem.case.fields if f.name == name)
        rows = [t.row(s) for s in field.supply]
        share = t["flow_max"][rows] / t["flow_max"][rows].sum()
        most[rows] = size * share * BCM * network.gas.standard_density / YEAR
    most[t.row(swing_supply(problem.case))] += STATION_FUEL * most.sum()
    return network.with_tables(supplies=t.replace(flow_max=most))


def field_capacity(problem: Problem, at: Decisions, y: int) -> dict[str, float]:
    """Return what each field can give in year y, [bcm/y]."""
    past = float(problem.years[y] - problem.case.settings.base_year)
    found = {f.name: f.capacity * (1.0 - f.decline) ** past for f in problem.case.fields}
    for p, s in zip(problem.case.projects, standing(problem, at.x)[:, y], strict=True):
        if s > 0.5 and p.adds_to in found:
            found[p.adds_to] += p.capacity
    return found


def hubs_of(network: Network, case: PlanningCase) -> dict[str, str]:
    """Return the hub of every gas node: that of the nearest node, by count of branches, of a region or field."""
    region = {r: h.hub for h in case.home for r in h.regions}
    offtakes, supplies = network["offtakes"], network["supplies"]
    start: dict[str, str] = {}
    for node, name in zip(offtakes["node"], offtakes["region"], strict=True):
        if str(name) in region:
            start[str(node)] = region[str(name)]
    for f in case.fields:
        for s in f.supply:
            start.setdefault(str(supplies["node"][supplies.row(s)]), f.hub)
    ends: dict[str, list[str]] = {}
    for kind in BRANCHES:
        t = network[kind]
        for a, b in zip(t["from_node"], t["to_node"], strict=True) if len(t) else ():
            ends.setdefault(str(a), []).append(str(b))
            ends.setdefault(str(b), []).append(str(a))
    found, edge = dict(start), list(start)
    while edge:
        reached = []
        for node in edge:
            for other in ends.get(node, ()):
                if other not in found:
                    found[other] = found[node]
                    reached.append(other)
        edge = reached
    return found


def day_knowns(  # noqa: PLR0917 - a day of a plan on a network
    network: Network, problem: Problem, at: Decisions, y: int, day: Day, plants: Mapping[str, float]
) -> list[Known]:
    """Return what a day of the plan makes known: withdrawals of borders and homes, output of fields.

    plants  gas that power plants burn at each hub on the network's day [kg/s]

    Home use of a hub is the plan's, its offtakes scaled alike. The largest field swings: its pressure is known instead.
    """
    case, rate = problem.case, BCM * network.gas.standard_density / YEAR
    hub = hubs_of(network, case)
    own = {k.where: k.value for k in network.knowns() if k.quantity == "withdrawal"}
    offtakes = network.active("offtakes")
    borders = {c.offtake for c in case.corridors}
    homes = [i for i, n in enumerate(offtakes.names) if n not in borders]
    of = [hub[str(offtakes["node"][i])] for i in homes]
    found = []
    for h, name in enumerate(case.hubs):
        mine = [offtakes.names[i] for i, at_hub in zip(homes, of, strict=True) if at_hub == name]
        usual = sum(own.get(n, 0.0) for n in mine)
        wanted = float(day.home[h]) * rate - plants.get(name, 0.0)
        scale = max(0.0, wanted) / usual if usual > 0.0 else 0.0
        found += [Known("withdrawal", n, own.get(n, 0.0) * scale, source="plan") for n in mine]
    out = dict.fromkeys((n for n in offtakes.names if n in borders), 0.0)
    for c, flow in zip(case.corridors, day.corridors, strict=True):
        if c.offtake in out:
            out[c.offtake] += float(flow) * rate
    found += [Known("withdrawal", n, v, source="plan") for n, v in out.items()]
    set_by = {k.where for k in network.knowns()}
    found += [Known("open", n, 1.0, source="plan") for n in network.active("compressors").names if n not in set_by]
    return found + _outputs(network, problem, at, y, day)


def _outputs(network: Network, problem: Problem, at: Decisions, y: int, day: Day) -> list[Known]:
    """Share each hub's production among its fields by what they can give; the largest field takes what is left."""
    case, supplies = problem.case, network["supplies"]
    sizes = field_capacity(problem, at, y)
    swing = swing_supply(case)
    found = []
    for h, hub in enumerate(case.hubs):
        fields = [f for f in case.fields if f.hub == hub]
        whole = sum(sizes[f.name] for f in fields)
        part = min(1.0, float(day.produced[h]) / whole) if whole > 0.0 else 0.0
        for f in fields:
            for s in f.supply:
                if s != swing:
                    value = float(supplies["flow_max"][supplies.row(s)]) * part
                    found.append(Known("supply", s, value, source="plan"))
    return found


def swing_supply(case: PlanningCase) -> str:
    """Return the supply that closes the balance: of the largest field."""
    return max(case.fields, key=lambda f: f.capacity).supply[0]


def planned_of(case: PlanningCase, network: Network, element: str) -> list[str]:
    """Return the corridors and trunk lines that use an element of the network, a node or what was laid beside it."""
    element = element.removesuffix(", second line")
    labels = {element}
    if element in network:
        labels |= _labels(network, element)
    return [u.planned for u in case.uses if labels & set(u.elements)]


def _labels(network: Network, element: str) -> set[str]:
    kind = network.kind_of(element)
    pipes = network["pipes"]
    if kind == "pipes":
        return {str(pipes["corridor"][pipes.row(element)])}
    if kind == "gas_nodes":
        touching: Iterable[int] = np.flatnonzero((pipes["from_node"] == element) | (pipes["to_node"] == element))
        return {str(pipes["corridor"][i]) for i in touching}
    return set()
