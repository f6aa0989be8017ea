# SPDX-License-Identifier: Apache-2.0
"""Search set-points for a GasLib nomination that keep its bounds; deterministic, prints what it finds.

A nomination fixes flows only. This looks for one pressure (at the swing), the ratios of the stations and the pressure
drops of the control valves: least squares over the bounds that are broken, with all devices relaxed (no modes), so that
the answer moves smoothly with the set-points. The start is: everything open, the swing at three quarters of its highest
pressure. What comes out is rounded, solved again with its modes, and written as tests/cases/gaslib/<net>-setpoints.csv.

    python benchmarks/gaslib_setpoints.py DATA/gas/gaslib/GasLib-11.zip --swing entry01
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from scipy.optimize import least_squares

import serai as sr
from serai import Known
from serai.errors import SeraiError
from serai.system import Closed, System, override
from serai.system.system import Fixed

MARGIN = 0.02  # bar inside a pressure bound
OPEN = 1e-3  # a ratio or drop [bar] this near to nothing means open


def bypasses(net, shut):
    """Add to what is shut the valves that lead round a control valve or a station: past them it controls nothing."""
    joints = [(n, kind, str(net[kind]["from_node"][k]), str(net[kind]["to_node"][k]))
              for kind in ("valves", "short_pipes") for k, n in enumerate(net.active(kind).names)]  # fmt: skip
    shut = list(shut)
    for kind in ("control_valves", "compressors"):
        t = net.active(kind)
        for k in range(len(t)):
            while path := _way(joints, shut, str(t["from_node"][k]), str(t["to_node"][k])):
                on_it = [n for n, what in path if what == "valves"]
                if not on_it:
                    break
                shut.append(on_it[0])
    return shut


def holding(net, shut, chosen):
    """Return what the chosen control valves hold, all that their zone bears [bar], and which of them are shut instead.

    A zone is what pipes, short pipes, resistors and open valves join. One control valve a zone holds it, the others
    into it are shut: two cannot hold one pressure.
    """
    ends = [(str(net[kind]["from_node"][k]), str(net[kind]["to_node"][k]))
            for kind in ("pipes", "short_pipes", "valves", "resistors") for k, n in enumerate(net.active(kind).names)
            if n not in shut]  # fmt: skip
    zone = {n: n for n in net["gas_nodes"].names}

    def find(n):
        while zone[n] != n:
            n = zone[n]
        return n

    for a, b in ends:
        zone[find(a)] = find(b)
    t = net["gas_nodes"]
    lowest, highest = {}, {}
    for k, n in enumerate(t.names):
        z = find(n)
        lowest[z] = max(lowest.get(z, 0.0), t["pressure_min"][k] / 1e5)
        highest[z] = min(highest.get(z, 1e9), t["pressure_max"][k] / 1e5)
    held, closed, taken = {}, [], set()
    cv = net.active("control_valves")
    for k, n in enumerate(cv.names):
        if n not in chosen:
            continue
        a, b = find(str(cv["from_node"][k])), find(str(cv["to_node"][k]))
        limit = min(highest[b], cv["pressure_out_max"][k] / 1e5)
        if b in taken:
            closed.append(n)
            continue
        taken.add(b)
        held[n] = round(limit - 0.02 * (limit - lowest[b]) - 0.005, 2)
    return held, closed


def _way(joints, shut, start, end):
    came = {start: None}
    todo = [start]
    while todo:
        node = todo.pop(0)
        for name, kind, a, b in joints:
            if name in shut or node not in (a, b):
                continue
            other = b if node == a else a
            if other not in came:
                came[other] = (node, name, kind)
                todo.append(other)
    if end not in came:
        return []
    out = []
    while came[end] is not None:
        end, name, kind = came[end]
        out.append((name, kind))
    return out


class Relaxed:
    """A network whose stations hold ratios and whose control valves hold drops, whatever the direction of flow."""

    def __init__(self, net, swing, *, shut, held, opened):
        self.net, self.swing, self.held = net, swing, held
        self.stations = [n for n in net.active("compressors").names if n not in shut and n not in opened]
        self.valves = [n for n in net.active("control_valves").names if n not in shut and n not in held]
        node = net["supplies"]["node"][net["supplies"].row(swing)]
        row = net["gas_nodes"].row(str(node))
        self.low, self.high = (net["gas_nodes"][f"pressure_{e}"][row] / 1e5 for e in ("min", "max"))
        self.begin = max(self.low, 0.75 * self.high)
        knowns = [Known("pressure", swing, self.begin * 1e5)]
        knowns += [Known("ratio", n, 1.0) for n in self.stations]
        knowns += [Known("pressure_drop", n, 0.0) for n in self.valves]
        knowns += [Known("open", n, 0.0) for n in shut] + [Known("open", n, 1.0) for n in opened]
        knowns += [Known("outlet_pressure", n, p * 1e5) for n, p in held.items()]
        self.system = System(net, override(net, net.knowns(), knowns))
        self.fixed = self.system.fix()
        self.closed = Closed(self.system, self.fixed)
        c = self.system.equations.columns
        self.columns = [c["pressure"].first + self.system.gas.node[str(node)]]
        self.columns += [c.find("ratio", n) for n in self.stations] + [c.find("drop", n) for n in self.valves]
        self.closed.solve(cold=True)
        self.good = self.closed.x.copy()

    def start(self):
        return np.array([self.begin] + [1.0] * len(self.stations) + [0.0] * len(self.valves))

    def bounds(self):
        n, v = len(self.stations), len(self.valves)
        return [max(self.low, 1.5)] + [1.0] * n + [0.0] * v, [self.high] + [1.9] * n + [60.0] * v

    def state(self, z):
        fixed = dict(self.fixed)
        unit = [1e5] + [1.0] * len(self.stations) + [1e5] * len(self.valves)
        for column, value in zip(self.columns, z * unit, strict=True):
            fixed[column] = Fixed(column, float(value), fixed[column].known)
        self.closed.x[:] = self.good
        self.closed.set_known(fixed)
        return self.closed.solve().x

    def broken(self, z, *, keep=False):
        """Every bound as a number: how far it is broken [bar, shares of 10 % of the flow, MW], else 0."""
        try:
            x = self.state(z)
        except SeraiError:
            return np.full(self.size, 30.0)
        if keep:
            self.good = x.copy()
        net, c = self.net, self.system.equations.columns
        t = net.active("gas_nodes")
        p = x[c["pressure"].span][: len(t)] / 1e5
        low, high = t["pressure_min"] / 1e5, t["pressure_max"] / 1e5
        room = np.minimum(MARGIN, 0.1 * (high - low))
        parts = [np.fmax(low + room - p, 0.0), np.fmax(p - high + room, 0.0)]
        flow = 0.1 * self.system.flow_scale
        for kind in ("pipes", "short_pipes", "valves", "control_valves", "resistors", "compressors"):
            t = net.active(kind)
            m = x[[c["flow"].index[n] for n in t.names]] if len(t) else np.empty(0)
            parts += [np.fmax(t["flow_min"] - m, 0.0) / flow, np.fmax(m - t["flow_max"], 0.0) / flow]
            if kind in ("control_valves", "compressors") and len(t):
                at = self.system.gas.node
                p1, p2 = (p[[at[str(n)] for n in t[e]]] for e in ("from_node", "to_node"))
                parts += [np.fmax(t["pressure_in_min"] / 1e5 - p1, 0.0), np.fmax(p2 - t["pressure_out_max"] / 1e5, 0.0)]
            if kind == "compressors" and len(t):
                parts.append(np.fmax(x[c["power"].span] - t["power_max"], 0.0) / 1e6)
        parts.append(
            1e-3 * (z - self.start()) * np.array([0.0] + [1.0] * len(self.stations) + [0.1] * len(self.valves))
        )
        out = np.nan_to_num(np.concatenate(parts))
        self.size = len(out)
        return out


def search(net, swing, *, shut, held, opened, rounds):
    model = Relaxed(net, swing, shut=shut, held=held, opened=opened)
    model.broken(model.start(), keep=True)
    found = least_squares(
        model.broken, model.start(), bounds=model.bounds(), diff_step=1e-4, max_nfev=rounds, x_scale="jac",
        callback=None,
    )  # fmt: skip
    return model, found.x


def knowns_of(model, z, shut):
    """Return the set-points as rows (quantity, where, value, unit)."""
    rows = [("pressure", model.swing, f"{z[0]:.2f}", "bara")]
    n = len(model.stations)
    for name, ratio in zip(model.stations, z[1 : n + 1], strict=True):
        rows.append(("open", name, "1", "") if ratio < 1.0 + OPEN else ("ratio", name, f"{ratio:.4f}", ""))
    for name, drop in zip(model.valves, z[n + 1 :], strict=True):
        rows.append(("open", name, "1", "") if drop < OPEN else ("pressure_drop", name, f"{drop:.3f}", "bar"))
    rows += [("outlet_pressure", name, f"{p:.2f}", "bara") for name, p in model.held.items()]
    rows += [("open", name, "0", "") for name in shut]
    return rows


def as_knowns(rows):
    unit = {"bara": 1e5, "bar": 1e5, "": 1.0}
    return [Known(q, where, float(value) * unit[u]) for q, where, value, u in rows]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("net", type=Path)
    parser.add_argument("--scenario")
    parser.add_argument("--swing", required=True)
    parser.add_argument("--shut", nargs="*", default=[])
    parser.add_argument("--hold", nargs="*", default=[], help="control valves that hold what their zone bears")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    net = sr.read(given.net, scenario=given.scenario)
    shut = bypasses(net, given.shut)
    held, more = holding(net, shut, given.hold)
    shut += more
    opened = []
    for _ in range(9):  # what gas would flow through backwards: a station stands open, a control valve is shut
        model, z = search(net, f"supply {given.swing}", shut=shut, held=held, opened=opened, rounds=given.rounds)
        x, flow = model.state(z), model.system.equations.columns["flow"]
        back = sorted((n for n in (*held, *model.valves) if x[flow.index[n]] < -1e-6), key=lambda n: x[flow.index[n]])[
            :1
        ]
        drop = model.system.equations.columns["drop"]
        lifting = [n for n in held if n not in back and x[drop.index[n]] < 0.0]
        print("lifting:", lifting, "backwards:", back, "cost", 0.5 * np.sum(model.broken(z) ** 2))
        turned = [n for n, r in zip(model.stations, z[1:], strict=False) if x[flow.index[n]] < 0.0 and r > 1.0 + OPEN]
        if not (back or lifting or turned):
            break
        opened += turned
        held = {n: p for n, p in held.items() if n not in back and n not in lifting}
        shut += back
    rows = knowns_of(model, z, shut) + [("open", n, "1", "") for n in opened]
    result = sr.steady(net, as_knowns(rows))
    for row in rows:
        print(*row)
    broken = result.breaks()
    for b in broken:
        print("broken:", b)
    print(f"{len(broken)} bounds broken; mismatch {result.mismatch:.1e}; modes {result.modes}")
    if given.write:
        with given.write.open("w", encoding="utf-8", newline="") as file:
            out = csv.writer(file, lineterminator="\n")
            out.writerow(("quantity", "where", "value", "unit"))
            out.writerows(rows)


if __name__ == "__main__":
    main()
