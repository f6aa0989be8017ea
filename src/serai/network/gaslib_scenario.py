# SPDX-License-Identifier: Apache-2.0
"""GasLib `.scn` files: one nomination, its flows as set-points, its bounds as limits.

A flow whose bounds coincide (or whose bound is `both`) is a set-point. A flow between different bounds stays free: its
bounds become the flow limits. Pressure bounds tighten the node's limits. What they replace stays in `x_` columns.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isnan, nan
from typing import TYPE_CHECKING, Any

from serai.errors import CaseError, Mistake

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from serai.network.gaslib_xml import Document, Element

Row = dict[str, Any]

BALANCED = 1e-6  # relative difference of entries and exits above which a nomination is said not to balance
_BOUNDS = {"lower": ("lower",), "upper": ("upper",), "both": ("lower", "upper")}
_TAPS = {"entry": "supplies", "exit": "offtakes"}


@dataclass
class Nominated:
    """What the scenario says of one entry or exit, in SI but for flows [m3/s at norm conditions]."""

    table: str
    node: str
    line: int
    flow: dict[str, float] = field(default_factory=dict)
    pressure: dict[str, float] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)  # bound -> pressure bound as the file has it

    @property
    def fixed(self) -> float:
        """The nominated flow; nan where it is free."""
        lower, upper = self.flow.get("lower", nan), self.flow.get("upper", nan)
        return lower if lower == upper else nan


@dataclass
class Nomination:
    """One scenario: entries and exits by node name, and what it tells about itself."""

    chosen: str = ""
    all_ids: tuple[str, ...] = ()
    taps: dict[str, Nominated] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)

    def volume(self, table: str) -> float:
        """Return the sum of the nominated flows of `supplies` or `offtakes` [m3/s at norm conditions]."""
        return sum(t.fixed for t in self.taps.values() if t.table == table and not isnan(t.fixed))


def read_scenario(document: Document, scenario_id: str | None, rows: Mapping[str, list[Row]]) -> Nomination:
    """Read one scenario of a file (the first unless named) and put its extras into `rows` of the network.

    Raises CaseError when there is no such scenario.
    """
    root = document.root
    root.carry("sources")
    scenarios = [e for e in root.children if e.tag == "scenario"]
    ids = tuple(e.attributes.get("id", "") for e in scenarios)
    wanted = scenario_id if scenario_id is not None else (ids[0] if ids else "")
    if not scenarios or wanted not in ids:
        told = f"has no scenario {wanted!r}; it has {', '.join(ids)}" if ids else "holds no scenario"
        raise CaseError(document.file, [Mistake(document.file, 0, "", told)])
    nomination = Nomination(wanted, ids)
    chosen = scenarios[ids.index(wanted)]
    for element in scenarios:
        if element is not chosen:
            element.carry_all(f"not this one: scenario_id={element.attributes.get('id', '')!r} reads it")
    chosen.carry("sources.scenario")
    if "id" in chosen.attributes:
        chosen.carry("sources.scenario", "id")
    by_name = {kind: {r["name"]: r for r in rows.get(kind, [])} for kind in ("gas_nodes", "pipes")}
    for element in chosen.children:
        if element.tag == "node":
            _node(document, element, rows, by_name["gas_nodes"], nomination)
        elif element.tag == "pipe":
            _extras(document, element, by_name["pipes"], "pipes")
        elif not element.children:
            told = " ".join(element.attributes.get(k, "") for k in ("value", "unit")).strip()
            nomination.sources[f"scenario_{element.tag}"] = told
            element.carry(f"sources.scenario_{element.tag}", "", *(set(element.attributes) & {"value", "unit"}))
    return nomination


def _extras(document: Document, element: Element, known: Mapping[str, Row], table: str) -> Row | None:
    """Carry parameters of a named element into its `x_` columns; return its row, None when it does not exist."""
    element.carry(table)
    name = document.attribute(element, "id", f"{table}.name")
    row = known.get(name)
    if row is None:
        document.mistake(element, f"{name!r} does not exist in the network", element.tag)
        return None
    for child in element.children:
        if child.tag not in {"flow", "pressure"} or table != "gas_nodes":
            document.keep(child, row, table)
    return row


def _node(
    document: Document,
    element: Element,
    rows: Mapping[str, list[Row]],
    nodes: Mapping[str, Row],
    nomination: Nomination,
) -> None:
    """Read the flows and pressure bounds of one entry or exit."""
    row = _extras(document, element, nodes, "gas_nodes")
    side = document.attribute(element, "type", "setpoints.quantity")
    if row is None:
        return
    name, table = row["name"], _TAPS.get(side, "")
    if not table or name not in {r["node"] for r in rows.get(table, [])}:
        document.mistake(element, f"{name!r} is no {side or 'entry or exit'} of the network", "type")
        return
    if name in nomination.taps:
        document.mistake(element, f"{name!r} is nominated twice, first in line {nomination.taps[name].line}")
        return
    tap = nomination.taps[name] = Nominated(table, name, element.line)
    for child in element.children:
        if child.tag == "flow":
            _bound(document, child, tap.flow, "norm volume flow", f"setpoints.value, {table}.flow_min/max")
        elif child.tag == "pressure":
            place = "gas_nodes.pressure_min/max"
            for bound in _bound(document, child, tap.pressure, "pressure", place):
                tap.written[bound] = " ".join(child.attributes[k] for k in ("value", "unit"))
    for quantity, bounds in (("flow", tap.flow), ("pressure", tap.pressure)):
        if bounds.get("lower", nan) > bounds.get("upper", nan):
            document.mistake(element, f"{name}: the lower bound is above the upper one", quantity)


def _bound(
    document: Document, element: Element, bounds: dict[str, float], dimension: str, place: str
) -> tuple[str, ...]:
    """Read one bound; return the sides (`lower`, `upper`) that it sets."""
    kind = document.attribute(element, "bound", place)
    value = document.value(element, dimension, place)
    sides = _BOUNDS.get(kind, ())
    if kind and not sides:
        document.mistake(element, f"must be lower, upper or both; got {kind!r}", "bound")
    if any(side in bounds for side in sides):
        document.mistake(element, f"the {kind} bound is given twice")
    if value is None:
        return ()
    bounds.update(dict.fromkeys(sides, value))
    return sides


# -------------------------------------------------------------------------------------------------------------- apply


def apply(document: Document, nomination: Nomination, rows: dict[str, list[Row]], density: float) -> None:
    """Put a nomination into the rows: set-points, limits, and the originals of what it replaces.

    density  [kg/m3] network-wide, turns the volumes into mass. Flow limits in `rows` are already mass flows [kg/s].
    """
    nodes = {r["name"]: r for r in rows["gas_nodes"]}
    for kind, quantity in (("supplies", "supply"), ("offtakes", "withdrawal")):
        for row in rows.get(kind, []):
            tap = nomination.taps.get(row["node"])
            if tap is None:
                continue
            about = {"where": row["name"], "source": f"{document.file} {nomination.chosen}"}
            if isnan(tap.fixed):
                _limit_flow(row, tap, density)
            else:
                flow = {"quantity": quantity, "value": tap.fixed * density, "unit": "thousand_m3_per_h"}
                rows["setpoints"].append({**flow, **about})
            _limit_pressure(document, nodes[tap.node], tap, rows["setpoints"], about["source"])


def _limit_flow(row: Row, tap: Nominated, density: float) -> None:
    for side, column, original in (("lower", "flow_min", "x_flowMin"), ("upper", "flow_max", "x_flowMax")):
        if side in tap.flow:
            row[original] = row.get(f"_{column}", "")
            row[column] = tap.flow[side] * density


def _limit_pressure(document: Document, node: Row, tap: Nominated, setpoints: list[Row], source: str) -> None:
    """Tighten the pressure limits of a node; equal bounds also fix its pressure."""
    for side, column, original, tighter in (
        ("lower", "pressure_min", "x_pressureMin", max),
        ("upper", "pressure_max", "x_pressureMax", min),
    ):
        if side in tap.pressure:
            node[original] = node.get(f"_{column}", "")
            node[f"x_scenario_pressure_{side}"] = tap.written[side]
            here = node.get(column)
            node[column] = tap.pressure[side] if here is None else tighter(here, tap.pressure[side])
    low, high = node.get("pressure_min"), node.get("pressure_max")
    if tap.pressure and low is not None and high is not None and low > high:
        told = f"{tap.node}: no pressure meets the limits of network and scenario: {low / 1e5:g} to {high / 1e5:g} bar"
        document.mistakes.append(Mistake(document.file, tap.line, "pressure", told))
    if tap.pressure.get("lower", nan) == tap.pressure.get("upper", nan):
        value = tap.pressure["lower"]
        where = {"quantity": "pressure", "where": tap.node, "source": source}
        setpoints.append({**where, "value": value, "unit": "bara"})


def describe(nomination: Nomination, rows: Mapping[str, list[Row]], density: float) -> dict[str, str]:
    """Return what `Network.sources` says of a nomination: its balance, and the flows that it leaves free."""
    entries, exits = nomination.volume("supplies") * density, nomination.volume("offtakes") * density
    free = list(_free(nomination, rows, density))
    difference = entries - exits
    told = f"entries {_flow(entries, density)}, exits {_flow(exits, density)}"
    if abs(difference) > BALANCED * max(abs(entries), abs(exits)):
        more = "entries exceed exits" if difference > 0 else "exits exceed entries"
        rest = "; the free flows make up for it" if free else ""
        told += f"; does not balance: {more} by {_flow(abs(difference), density)}{rest}"
    else:
        told += "; balanced"
    found = {
        "scenario": nomination.chosen,
        "scenarios": ", ".join(nomination.all_ids),
        "nomination": told,
        **nomination.sources,
    }
    if free:
        found["free"] = "; ".join(free)
    return found


def _free(nomination: Nomination, rows: Mapping[str, list[Row]], density: float) -> Iterable[str]:
    for kind in ("supplies", "offtakes"):
        for row in rows.get(kind, []):
            tap = nomination.taps.get(row["node"])
            if tap is None or isnan(tap.fixed):
                low, high = (row.get(c, nan) for c in ("flow_min", "flow_max"))
                why = "not nominated, " if tap is None else ""
                yield f"{row['name']}: {why}free between {_flow(low, density)} and {_flow(high, density)}"


def _flow(mass: float, density: float) -> str:
    return f"{mass / density * 3.6:.9g} thousand m3/h ({mass:.6g} kg/s)"
