# SPDX-License-Identifier: Apache-2.0
"""What exists, as plain objects for a map and its element pages: place, ends, capacity, facts, source, confidence."""

from __future__ import annotations

from math import degrees, isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from serai.network.tables import KINDS
from serai.twin.layout import shown_in
from serai.units import UNITS, from_si

if TYPE_CHECKING:
    from serai.network import Network, Table

GAS = ("gas_nodes", "supplies", "offtakes", "pipes", "short_pipes", "valves", "check_valves", "control_valves",
       "resistors", "compressors")  # fmt: skip
POWER = ("buses", "lines", "transformers", "transformers3", "branches", "hvdc_links", "generators", "loads", "shunts")
NAMES = {
    "pipes": "pipe", "short_pipes": "pipe", "compressors": "compressor", "valves": "valve", "check_valves": "valve",
    "control_valves": "regulator", "resistors": "resistor", "supplies": "field", "plants": "plant",
    "transformers": "transformer", "transformers3": "transformer", "lines": "line", "branches": "line",
    "hvdc_links": "line", "buses": "bus", "generators": "generator", "loads": "load", "shunts": "shunt",
}  # fmt: skip
_ENDS = (("from_node", "to_node"), ("from_bus", "to_bus"), ("hv_bus", "lv_bus"))
_CAPACITY = {"pipes": ("flow_max", "flow"), "supplies": ("flow_max", "supply"), "offtakes": ("flow_max", "withdrawal"),
             "compressors": ("power_max", "power"), "generators": ("active_power_max", "active_power")}  # fmt: skip
_LEFT_OUT = {"name", "source", "confidence", "status", "latitude", "longitude", "x", "y"}


def elements(network: Network) -> list[dict[str, Any]]:
    """Return every element of the network, whatever its status, as plain objects."""
    where = _places(network)
    found = [_element(network, kind, k, where) for kind in (*GAS, *POWER) for k in range(len(network[kind]))]
    found += [_plant(network, k, where) for k in range(len(network["plants"]))]
    return found


def identify(network: Network, name: str) -> str:
    """Return the id under which an element is known: table and name."""
    return f"{network.kind_of(name)}/{name}"


def _places(network: Network) -> dict[str, list[float]]:
    """Return [longitude, latitude] of nodes and buses that have them, else the case's schematic x and y."""
    out = {}
    for kind in ("gas_nodes", "buses"):
        t = network[kind]
        for k, name in enumerate(t.names):
            for x, y, factor in (("longitude", "latitude", degrees(1.0)), ("x", "y", 1.0)):
                if x in t.columns and isfinite(float(t[x][k])) and isfinite(float(t[y][k])):
                    out[name] = [round(factor * float(t[x][k]), 5), round(factor * float(t[y][k]), 5)]
                    break
    return out


def has_map(network: Network) -> bool:
    """Tell whether nodes and buses are placed by latitude and longitude."""
    tables = [network[k] for k in ("gas_nodes", "buses") if len(network[k])]
    return bool(tables) and all(np.isfinite(t["latitude"]).all() for t in tables if "latitude" in t.columns)


def _element(network: Network, kind: str, k: int, where: dict[str, list[float]]) -> dict[str, Any]:
    t = network[kind]
    name = t.names[k]
    a, b = next(((str(t[x][k]), str(t[y][k])) for x, y in _ENDS if x in t.columns), ("", ""))
    at = where.get(name) or where.get(_cell(t, "node", k)) or where.get(_cell(t, "bus", k))
    path = [where[n] for n in (a, b) if n in where] if a else None
    capacity, unit = _capacity(network, kind, k)
    confidence = _cell(t, "confidence", k)
    return {
        "id": f"{kind}/{name}", "kind": _kind(t, kind, k), "table": kind, "name": name, "from": a or None,
        "to": b or None, "at": at if not a else None, "path": path if path and len(path) == 2 else None,
        "carrier": _carrier(network, kind, name),
        "level_kv": _level(network, t, kind, k), "length_km": _scaled(t, "length", k, 1e-3),
        "diameter_mm": _scaled(t, "diameter", k, 1e3), "capacity": capacity, "unit": unit,
        "status": _cell(t, "status", k), "source": _cell(t, "source", k), "confidence": confidence or "medium",
        "synthetic": confidence == "low", "facts": _facts(network, kind, k),
    }  # fmt: skip


def _plant(network: Network, k: int, where: dict[str, list[float]]) -> dict[str, Any]:
    found = _element(network, "plants", k, where)
    t = network["plants"]
    return {**found, "at": where.get(str(t["gas_node"][k])), "from": str(t["gas_node"][k]),
            "to": str(t["generator"][k]), "path": None, "carrier": "both"}  # fmt: skip


def _cell(t: Table, column: str, k: int) -> str:
    return str(t[column][k]) if column in t.columns else ""


def _kind(t: Table, kind: str, k: int) -> str:
    said = _cell(t, "kind", k)
    if kind == "gas_nodes":
        return {"town": "town", "city": "town", "field": "field", "border": "border"}.get(said, "node")
    if kind == "offtakes":
        return {"export": "export", "city": "town"}.get(said, said.replace(" ", "-") or "offtake")
    return "export" if kind == "loads" and said == "export" else NAMES[kind]


def _carrier(network: Network, kind: str, name: str) -> str:
    if kind == "compressors":
        drives = network["drives"]
        mine = [k for k in range(len(drives)) if drives["compressor"][k] == name]
        return "both" if any(drives["kind"][k] == "electric motor" for k in mine) else "gas"
    if kind == "generators":
        return "both" if name in set(network["plants"]["generator"]) else "power"
    return "gas" if kind in GAS else "power"


def _level(network: Network, t: Table, kind: str, k: int) -> float | None:
    bus = next((_cell(t, c, k) for c in ("bus", "from_bus", "hv_bus") if c in t.columns), "")
    if kind == "buses":
        return round(float(t["voltage"][k]) / 1e3, 3)
    buses = network["buses"]
    return round(float(buses["voltage"][buses.row(bus)]) / 1e3, 3) if bus in buses else None


def _scaled(t: Table, column: str, k: int, factor: float) -> float | None:
    value = float(t[column][k]) * factor if column in t.columns else float("nan")
    return round(value, 3) if isfinite(value) else None


def _capacity(network: Network, kind: str, k: int) -> tuple[float | None, str | None]:
    if kind not in _CAPACITY:
        return None, None
    column, quantity = _CAPACITY[kind]
    unit = shown_in(quantity)[0]
    t = network[kind]
    value = float(network.limit(kind, column)[k]) if column in t.columns else float("nan")
    return (round(from_si(value, unit, network.gas.standard_density), 4), unit) if isfinite(value) else (None, unit)


def _facts(network: Network, kind: str, k: int) -> list[dict[str, Any]]:
    """Return the columns of an element that are given, in the units of its file."""
    t, out = network[kind], []
    for column in KINDS[kind].columns:
        if column.name in _LEFT_OUT or column.name not in t.columns:
            continue
        value = t[column.name][k]
        if column.type is float:
            if not isfinite(float(value)):
                continue
            unit = column.unit if column.unit in UNITS else ""
            plain = from_si(float(value), unit, network.gas.standard_density)
            out.append({"key": column.name, "value": float(f"{plain:.6g}"), "unit": unit})
        elif column.type is str and str(value):
            out.append({"key": column.name, "value": str(value), "unit": ""})
        elif column.type in (int, bool):
            out.append({"key": column.name, "value": column.type(value), "unit": ""})
    return out
