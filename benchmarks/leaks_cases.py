# SPDX-License-Identifier: Apache-2.0
"""The two networks of `leaks.py`: Turkmenistan with its own instruments, GasLib-135 with meters at every end."""

import csv
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from leaks_truth import Case, usual
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

import serai as sr
from serai import Known
from serai.estimate.moving import Meter, meters
from serai.estimate.moving_model import STATIONS

ROOT = Path(__file__).parent.parent
DATA = Path(os.environ.get("SERAI_DATA", ROOT.parent / "shared" / "data"))


def turkmenistan():
    """Return the case on its mean day: profiles of the case, instruments of the case."""
    net = sr.read("turkmenistan").on("average 2023")
    flows, pressures, ratios, along = usual(net)
    hourly = {key: np.empty(24) for key in flows}
    for hour in range(0, 24, 3):
        at, *_ = usual(net, hour=float(hour))
        for key, value in at.items():
            hourly[key][hour : hour + 3] = value
    valves = net["control_valves"]
    held = {k.where: k.value for k in net.knowns() if k.quantity == "outlet_pressure" and k.where in valves}
    return Case(net, meters(net), flows, pressures, ratios, along, hourly, "Galkynysh field", held)


def gaslib_135():
    """Return GasLib-135 with meters at every entry, exit and station, a nomination that swings over the day."""
    net = sr.read(DATA / "gas" / "gaslib" / "GasLib-135.zip")
    with (ROOT / "tests" / "cases" / "gaslib" / "GasLib-135-setpoints.csv").open(encoding="utf-8") as file:
        unit = {"bara": 1e5, "bar": 1e5, "": 1.0}
        knowns = [Known(r["quantity"], r["where"], float(r["value"]) * unit[r["unit"]]) for r in csv.DictReader(file)]
    flows, pressures, ratios, along = usual(net, knowns=knowns)
    hour = np.arange(24)
    city = 1.0 + 0.15 * np.sin(2.0 * np.pi * (hour - 10.0) / 24.0) + 0.05 * np.sin(4.0 * np.pi * (hour - 7.0) / 24.0)
    swing = next(k.where for k in knowns if k.quantity == "pressure")
    hourly = {k: v * (city if k[0] == "withdrawal" else np.ones(24)) for k, v in flows.items()}
    found = []
    for (quantity, where), flow in flows.items():
        accuracy = {"withdrawal": 0.005, "supply": 0.005}.get(quantity, 0.01)
        floor = 0.1 if quantity == "flow" else max(5e-4 * abs(flow), 1e-3)  # of 200 kg/s for a station
        found.append(Meter(f"{where} FT {quantity}", quantity, where, floor, accuracy / 2.0, accuracy))
    ends = {str(net[k][c][i]) for k, c in (("supplies", "node"), ("offtakes", "node"), ("compressors", "from_node"),
            ("compressors", "to_node")) for i in range(len(net[k]))}  # fmt: skip
    found += [Meter(f"{n} PT", "pressure", n, 0.05e5, 0.0, 0.1e5) for n in sorted(ends)]
    return Case(net, found, flows, pressures, ratios, along, hourly, swing)


CASES = {"turkmenistan": turkmenistan, "gaslib-135": gaslib_135}

# -------------------------------------------------------------------- lines

HALF = 0.5  # of its design flow
FALL = 0.1  # of its rating: what a line at its design flow loses
OVER = 100e3  # m


@dataclass
class Line:
    """Pipes in series, from one station, branch or end to the next.

    pipes    (name, length [m], whether it is laid along the line) in their order
    loaded   whether it carries at least half its design flow: that at which 100 km lose a tenth of the rating
    """

    name: str
    pipes: list
    length: float
    loaded: bool

    def at(self, share):
        """Return pipe and share of the pipe's length at a share of the line's."""
        x = share * self.length
        for name, length, along in self.pipes:
            if x <= length:
                return name, (x / length if along else 1.0 - x / length)
            x -= length
        return self.pipes[-1][0], 1.0

    @staticmethod
    def distance(case, one, other):
        """Return the way along the pipes between two places (pipe, share of its length) [m]."""
        t = case.net.active("pipes")
        nodes = {n: k for k, n in enumerate(case.net["gas_nodes"].names)}
        if other[0] not in t:
            return float("inf")
        if one[0] == other[0]:
            return abs(one[1] - other[1]) * t["length"][t.row(one[0])]
        a, b = ([nodes[str(n)] for n in t[c]] for c in ("from_node", "to_node"))
        size = len(nodes)
        way = dijkstra(coo_array((t["length"], (a, b)), shape=(size, size)).tocsr(), directed=False)
        best = np.inf
        for e1, s1 in (("from_node", one[1]), ("to_node", 1.0 - one[1])):
            for e2, s2 in (("from_node", other[1]), ("to_node", 1.0 - other[1])):
                i, j = t.row(one[0]), t.row(other[0])
                here, there = nodes[str(t[e1][i])], nodes[str(t[e2][j])]
                best = min(best, s1 * t["length"][i] + way[here, there] + s2 * t["length"][j])
        return float(best)


def lines(case):
    """Return the lines of a case: pipes, joined where two meet and both or neither carry half their design flow."""
    net, t = case.net, case.net.active("pipes")
    meets = {}
    for k in range(len(t)):
        for c in ("from_node", "to_node"):
            meets.setdefault(str(t[c][k]), []).append(k)
    share = [abs(case.along[n]) / design(net, t, k) for k, n in enumerate(t.names)]
    ends = {n for n, p in meets.items() if len(p) != 2 or (share[p[0]] >= HALF) != (share[p[1]] >= HALF)}
    for kind in STATIONS:
        s = net.active(kind)
        ends |= {str(s[c][k]) for c in ("from_node", "to_node") for k in range(len(s))}
    seen, out = set(), []
    for k in range(len(t)):
        if k in seen:
            continue
        pipes = _run(t, meets, ends, k)
        seen |= {p for p, _ in pipes}
        length = sum(t["length"][p] for p, _ in pipes)
        loaded = share[k] >= HALF and length >= SHORTEST
        out.append(Line(_name(t, pipes), [(t.names[p], t["length"][p], f) for p, f in pipes], length, loaded))
    return out


SHORTEST = 20e3  # m: a line is at least a cell of the filter


def _run(t, meets, ends, first):
    """Follow pipes both ways from one, to where its line ends; return [(row, laid along)]."""
    out = [(first, True)]
    for side in (1, 0):
        k, along = first, True
        while True:
            node = str(t["to_node" if along == (side == 1) else "from_node"][k])
            if node in ends:
                break
            k2 = next(p for p in meets[node] if p != k)
            if k2 in {p for p, _ in out}:
                break
            along = (str(t["from_node"][k2]) == node) == (side == 1)
            out = [*out, (k2, along)] if side == 1 else [(k2, along), *out]
            k = k2
    return out


def _name(t, pipes):
    (a, fa), (b, fb) = pipes[0], pipes[-1]
    return f"{t['from_node' if fa else 'to_node'][a]} - {t['to_node' if fb else 'from_node'][b]}"


def design(net, t, k):
    """Return the flow [kg/s] at which 100 km of a pipe lose a tenth of its rating [general design practice]."""
    nodes = net["gas_nodes"]
    rating = min(
        x for x in (float(t["pressure_max"][k]), *(float(nodes["pressure_max"][nodes.row(str(t[c][k]))])
                    for c in ("from_node", "to_node"))) if np.isfinite(x) and x > 0.0
    )  # fmt: skip
    D, e = t["diameter"][k], t["roughness"][k]
    lam = (2.0 * np.log10(3.71 * D / max(e, 1e-6))) ** -2
    rho = rating * 0.95 / (0.87 * net.gas.specific_constant * net.gas.temperature)
    return float(np.pi * D**2 / 4.0 * np.sqrt(2.0 * D * rho * FALL * rating / OVER / lam))
