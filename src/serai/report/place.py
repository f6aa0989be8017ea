# SPDX-License-Identifier: Apache-2.0
"""Where things stand on the map: by latitude and longitude, by the case's schematic, or by a layout drawn here."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import nan
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, shortest_path

from serai.network.branches import ENDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from serai.network import Network, Table

    Floats = NDArray[np.float64]

EARTH = 6371.0  # km, mean radius
GAS_EDGES = ("pipes", "short_pipes", "valves", "check_valves", "control_valves", "resistors", "compressors")
PIVOTS = 50  # of the drawn layout
SMOOTHED = 400  # nodes up to which a drawn layout is improved


@dataclass(frozen=True)
class Edge:
    """One drawn connection: its table, name and ends."""

    kind: str
    name: str
    start: str
    end: str
    status: str


@dataclass(frozen=True)
class Places:
    """Plane position of every gas node and bus: x to the right, y up.

    how       geographic, schematic or drawn
    km        kilometres per unit; nan where positions are no distances
    middle    latitude and longitude [deg] of the origin, geographic only
    """

    at: dict[str, tuple[float, float]]
    how: str
    km: float = nan
    middle: tuple[float, float] = (nan, nan)


def edges_of(network: Network, *, pick: tuple[str, ...] = ("gas", "power")) -> list[Edge]:
    """Return every connection between two points, whatever its status."""
    found = []
    for kind in GAS_EDGES if "gas" in pick else ():
        t = network[kind]
        found += [_edge(t, kind, k, "from_node", "to_node") for k in range(len(t))]
    for kind, ends in ENDS.items() if "power" in pick else ():
        t = network[kind]
        for k in range(len(t)):
            found += [_edge(t, kind, k, a, b) for a, b in pairwise(ends)]
    return found


def _edge(t: Table, kind: str, row: int, start: str, end: str) -> Edge:
    return Edge(kind, t.names[row], str(t[start][row]), str(t[end][row]), str(t["status"][row]))


def places(network: Network) -> Places:
    """Return where everything stands."""
    for columns, how in ((("longitude", "latitude"), "geographic"), (("x", "y"), "schematic")):
        given = _given(network, *columns)
        wanted = len(network.active("gas_nodes")) + len(network.active("buses"))
        if given and len(given) >= wanted / 2.0 and len(set(given.values())) > 1:
            found = _on_earth(given) if how == "geographic" else Places(given, how)
            return Places(_completed(network, found.at), how, found.km, found.middle)
    return Places(_drawn(network), "drawn")


def _given(network: Network, x: str, y: str) -> dict[str, tuple[float, float]]:
    out = {}
    for kind in ("gas_nodes", "buses"):
        t = network[kind]
        for k, name in enumerate(t.names):
            at = float(t[x][k]), float(t[y][k])
            if np.isfinite(at).all():
                out[name] = at
    return out


def _on_earth(given: dict[str, tuple[float, float]]) -> Places:
    """Plane with the middle latitude kept true to scale (equirectangular): right for a country."""
    lon, lat = np.array(list(given.values())).T
    mid_lon, mid_lat = (lon.min() + lon.max()) / 2.0, (lat.min() + lat.max()) / 2.0
    at = {n: (EARTH * float(np.cos(mid_lat)) * (x - mid_lon), EARTH * (y - mid_lat)) for n, (x, y) in given.items()}
    return Places(at, "geographic", 1.0, (float(np.degrees(mid_lat)), float(np.degrees(mid_lon))))


def _completed(network: Network, at: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """Put points without a place amid their neighbours, as far as these have one."""
    found = dict(at)
    near: dict[str, list[str]] = {}
    for e in edges_of(network):
        near.setdefault(e.start, []).append(e.end)
        near.setdefault(e.end, []).append(e.start)
    for _ in range(10):
        missing = [n for n in near if n not in found and any(m in found for m in near[n])]
        if not missing:
            break
        for n in missing:
            x, y = np.mean([found[m] for m in near[n] if m in found], axis=0)
            found[n] = (float(x), float(y))
    return found


def _drawn(network: Network) -> dict[str, tuple[float, float]]:
    """Lay out a network without places: pivot multidimensional scaling of the distances along its edges.

    Brandes, Pich: Eigensolver methods for progressive multidimensional scaling of large data, 2007.
    """
    names = [*network.active("gas_nodes").names, *network.active("buses").names]
    row = {n: k for k, n in enumerate(names)}
    pairs = [(row[e.start], row[e.end]) for e in edges_of(network) if e.start in row and e.end in row]
    pairs += _links(network, row)
    n = len(names)
    i, j = (np.array(p, np.int64) for p in zip(*pairs, strict=True)) if pairs else (np.empty(0, np.int64),) * 2
    graph = coo_array((np.ones(len(i)), (i, j)), shape=(n, n)).tocsr()
    count, part = connected_components(graph, directed=False)
    at = np.zeros((n, 2))
    right = 0.0
    for k in sorted(range(count), key=lambda c: -int((part == c).sum())):
        mine = np.flatnonzero(part == k)
        xy = _scaled(graph[mine][:, mine])
        at[mine] = xy - xy.min(axis=0) + (right, 0.0)
        right = float(at[mine, 0].max()) + 1.5
    return {name: (float(x), float(y)) for name, (x, y) in zip(names, at, strict=True)}


def _links(network: Network, row: dict[str, int]) -> list[tuple[int, int]]:
    """Pairs that join gas and power: plants."""
    plants, units = network.active("plants"), network["generators"]
    found = []
    for k in range(len(plants)):
        a, b = str(plants["gas_node"][k]), str(units["bus"][units.row(str(plants["generator"][k]))])
        if a in row and b in row:
            found.append((row[a], row[b]))
    return found


def _scaled(graph: Any) -> Floats:
    n = graph.shape[0]
    if n == 1:
        return np.zeros((1, 2))
    pivots = [0]
    rows = [shortest_path(graph, directed=False, unweighted=True, indices=0)]
    while len(pivots) < min(PIVOTS, n):
        far = int(np.min(rows, axis=0).argmax())
        pivots.append(far)
        rows.append(shortest_path(graph, directed=False, unweighted=True, indices=far))
    d2 = np.array(rows).T ** 2
    centred = -0.5 * (d2 - d2.mean(axis=0) - d2.mean(axis=1, keepdims=True) + d2.mean())
    _, vectors = np.linalg.eigh(centred.T @ centred)
    xy = centred @ vectors[:, ::-1][:, :2]
    if xy.shape[1] < 2:
        xy = np.hstack([xy, np.zeros((n, 1))])
    spread = float(np.abs(xy).max()) or 1.0
    xy = xy / spread * float(np.sqrt(d2.max())) / 2.0
    return _smoothed(graph, xy) if n <= SMOOTHED else xy


def _smoothed(graph: Any, xy: Floats) -> Floats:
    """Majorise the stress a few times, so that every edge is about as long as every other (SMACOF, weights 1/d2)."""
    d = shortest_path(graph, directed=False, unweighted=True)
    n = len(d)
    weight = 1.0 / np.where(d > 0, d, 1.0) ** 2
    np.fill_diagonal(weight, 0.0)
    total = weight.sum(axis=1)
    # tiny fixed offsets part points that start on each other
    xy = xy + 1e-3 * np.column_stack([np.cos(np.arange(n) * 2.4), np.sin(np.arange(n) * 2.4)])
    for _ in range(60):
        difference = xy[:, None] - xy[None]
        length = np.maximum(np.hypot(*np.moveaxis(difference, 2, 0)), 1e-9)
        pull = weight * d / length
        xy = (weight @ xy + (pull[:, :, None] * difference).sum(axis=1)) / total[:, None]
    return np.asarray(xy)
