# SPDX-License-Identifier: Apache-2.0
"""The board of docs/grafana as Grafana reads it: its panels, their SQL with macros and variables filled in.

Macros as the documentation of Grafana's PostgreSQL source describes them (docs/sources/datasources/postgres of
grafana/grafana); no code of Grafana is used.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

FOLDER = Path(__file__).parents[2] / "docs" / "grafana"
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def board():
    return json.loads((FOLDER / "board.json").read_text(encoding="utf-8"))


def panels():
    """Title -> SQL of every panel that asks the history."""
    return {p["title"]: t["rawSql"] for p in board()["panels"] for t in p.get("targets", ())}


def variables():
    """Name -> SQL of every variable that asks the history."""
    return {v["name"]: v["query"] for v in board()["templating"]["list"] if v["type"] == "query"}


def stamp(seconds: float) -> str:
    """A time as Grafana writes it into a query."""
    return f"'{datetime.fromtimestamp(seconds, UTC).strftime('%Y-%m-%dT%H:%M:%SZ')}'"


def expanded(sql: str, start: float, end: float, chosen: dict[str, list[str]] | None = None) -> str:
    """Return SQL as it reaches PostgreSQL: the time range [s since 1970 UTC] and the chosen values filled in."""

    def group(match):
        column, step = match[2], int(match[3]) * SECONDS[match[4]]
        bucket = f"floor(extract(epoch from {column})/{step})*{step}"
        return f'{bucket} AS "time"' if match[1] else bucket

    def value(match):
        quoted = ",".join("'" + x.replace("'", "''") + "'" for x in chosen[match[1]])
        return quoted if match[2] else chosen[match[1]][0]

    sql = re.sub(r"\$__timeFilter\(([^()]+)\)", rf"\1 BETWEEN {stamp(start)} AND {stamp(end)}", sql)
    sql = re.sub(r"\$__timeGroup(Alias)?\(([^,()]+), ?'(\d+)([smhd])'\)", group, sql)
    sql = sql.replace("$__timeFrom()", stamp(start)).replace("$__timeTo()", stamp(end))
    sql = re.sub(r"\$\{(\w+)(:sqlstring)?\}", value, sql)
    assert "$" not in sql, sql
    return sql


def lines(net):
    """Meters of every part of the gas network that meters close, as (line, tag, +1 in or -1 out), and its pipes.

    Worked out from the tables alone: nodes joined by all but metered stations are one line.
    """
    t = net["instruments"]
    tags = {(q, w): n for n, q, w in zip(t.names, t["quantity"], t["where"], strict=True)}
    nodes = net["gas_nodes"].names
    at = {name: k for k, name in enumerate(nodes)}
    pairs, stations, pipes = [], [], []
    for kind in ("pipes", "short_pipes", "valves", "check_valves", "control_valves", "resistors", "compressors"):
        edges = net.active(kind)
        for name, a, b in zip(edges.names, edges["from_node"], edges["to_node"], strict=True) if len(edges) else ():
            metered = ("flow", name) in tags
            (stations if metered else pairs).append((name, at[a], at[b]))
            pipes += [(name, at[a])] if kind == "pipes" else []
    a, b = np.array([p[1:] for p in pairs]).T
    count, zone = connected_components(coo_array((np.ones(len(a)), (a, b)), shape=(len(nodes),) * 2), directed=False)
    meters = [(zone[b], tags["flow", n], 1) for n, _, b in stations]
    meters += [(zone[a], tags["flow", n], -1) for n, a, _ in stations]
    drives = net["drives"]
    fuel = dict(zip(drives["compressor"], drives["fuel_node"], strict=True))
    takers = [("supplies", "supply", 1, None), ("offtakes", "withdrawal", -1, None)]
    for kind, quantity, sign, _ in takers:
        meters += [
            (zone[at[node]], tags[quantity, n], sign)
            for n, node in zip(net[kind].names, net[kind]["node"], strict=True)
            if (quantity, n) in tags
        ]
    meters += [
        (zone[at[node]], tags["plant_fuel", n], -1)
        for n, node in zip(net["plants"].names, net["plants"]["gas_node"], strict=True)
        if ("plant_fuel", n) in tags
    ]
    meters += [(zone[at[node]], tags["fuel", n], -1) for n, node in fuel.items() if ("fuel", n) in tags and node in at]
    names = {}
    for z in range(count):
        ends = [n for n, a, b in stations if z in (zone[a], zone[b])]
        mine = [name for name, a in pipes if zone[a] == z]
        if mine and any(m[0] == z for m in meters):
            names[z] = " / ".join(ends) or mine[0]
    found = sorted((names[z], tag, sign) for z, tag, sign in meters if z in names)
    return found, {names[z]: [n for n, a in pipes if zone[a] == z] for z in names}
