# SPDX-License-Identifier: Apache-2.0
"""Pressure along the main corridors: from the delivery points upstream along the strongest flow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from serai.report.charts import BOTTOM, LEFT, TOP, Frame, _distance, heading, tick_texts, ticks
from serai.report.place import GAS_EDGES
from serai.report.svg import SMALL, figure, path, shortened, tag, text_width, words
from serai.report.words import clock, number
from serai.units import BAR

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from serai.report.shown import Shown

    Floats = NDArray[np.float64]

CORRIDORS = 4
WIDTH, HEIGHT = 620.0, 250.0
NARROW = 400.0


@dataclass(frozen=True)
class Corridor:
    """A path of nodes with the distance of each from the start [km], along the flow."""

    nodes: tuple[str, ...]
    km: tuple[float, ...]
    stations: tuple[tuple[float, str], ...]

    @property
    def title(self) -> str:
        """Where it leads from and to."""
        return f"{self.nodes[0]} to {self.nodes[-1]}"


@dataclass(frozen=True)
class _Reach:
    """One element with flow: its ends along the flow, its flow [million m3/d] and its length [km]."""

    upstream: str
    downstream: str
    flow: float
    km: float
    name: str
    kind: str


def corridors(shown: Shown, most: int = CORRIDORS) -> list[Corridor]:
    """Return the paths that carry most: each is chosen for the flow x length that the others do not cover."""
    reaches = _reaches(shown)
    traces = [_trace(n, reaches, up=True) for n in _points(shown, "offtakes")]
    traces += [_trace(n, reaches, up=False) for n in _points(shown, "supplies")]
    found: list[Corridor] = []
    covered: set[str] = set()
    for _ in range(most):
        best: tuple[float, list[_Reach]] = (0.0, [])
        for trace in traces:
            gain = sum(r.flow * r.km for r in trace if r.name not in covered)
            if gain > best[0] and sum(r.km for r in trace) > 0.0:
                best = (gain, trace)
        if not best[1]:
            break
        covered |= {r.name for r in best[1]}
        found.append(_corridor(best[1]))
    return found


def _reaches(shown: Shown) -> list[_Reach]:
    net = shown.network
    mean = dict(zip(shown.names("flow"), shown.mean(shown.rate("flow")), strict=True))
    out = []
    for kind in GAS_EDGES:
        t = net.active(kind)
        for k, name in enumerate(t.names):
            flow = float(mean.get(name, 0.0))
            a, b = str(t["from_node"][k]), str(t["to_node"][k])
            start, end = (a, b) if flow >= 0 else (b, a)
            km = float(t["length"][k]) / 1e3 if kind == "pipes" else 0.0
            if abs(flow) > 1e-6:
                out.append(_Reach(start, end, abs(flow), km, name, kind))
    return out


def _points(shown: Shown, kind: str) -> list[str]:
    t = shown.network.active(kind)
    return sorted({str(n) for n in t["node"]}) if len(t) else []


def _trace(node: str, reaches: list[_Reach], *, up: bool) -> list[_Reach]:
    """Follow the strongest flow from a node, upstream or downstream; return the reaches in the direction of flow."""
    at: dict[str, list[_Reach]] = {}
    for r in reaches:
        at.setdefault(r.downstream if up else r.upstream, []).append(r)
    trace, seen = [], {node}
    while at.get(node):
        reach = max(at[node], key=lambda r: r.flow)
        node = reach.upstream if up else reach.downstream
        if node in seen:
            break
        seen.add(node)
        trace.append(reach)
    return trace[::-1] if up else trace


def _corridor(trace: list[_Reach]) -> Corridor:
    nodes, km, stations = [], [], []
    at = 0.0
    for reach in trace:
        nodes.append(reach.upstream)
        km.append(at)
        if reach.kind in {"compressors", "control_valves"}:
            stations.append((at, reach.name))
        at += reach.km
    return Corridor((*nodes, trace[-1].downstream), (*km, at), tuple(stations))


def instants(shown: Shown) -> list[tuple[int, str]]:
    """Return the two results to draw: where the gas stored is highest and lowest; one for a steady state."""
    if not shown.lasts:
        return [(0, "")]
    stored = shown.volume("linepack_total")
    high, low = int(np.argmax(stored)), int(np.argmin(stored))
    if stored[high] - stored[low] <= 1e-6 * stored[high]:
        return [(0, "the whole time")]
    texts = [(high, "linepack highest"), (low, "linepack lowest")]
    return [(k, f"{clock(float(shown.hours[k]))}, {why}") for k, why in texts]


def draw_profile(shown: Shown, corridor: Corridor, width: float) -> str:
    """Return the pressure over the distance, with the limits of the nodes and the stations on the way."""
    index = {n: k for k, n in enumerate(shown.names("pressure"))}
    rows = [index[n] for n in corridor.nodes]
    bara = shown.pressure()[:, rows]
    t = shown.network["gas_nodes"]
    low, high = (np.array([t[c][t.row(n)] for n in corridor.nodes]) / BAR for c in ("pressure_min", "pressure_max"))
    x = np.array(corridor.km)
    moments = instants(shown)
    drawn = bara[[k for k, _ in moments]]
    every = np.concatenate([drawn.ravel(), low[np.isfinite(low)], high[np.isfinite(high)]])
    bottom, top = float(every.min()), float(every.max())
    span = max(top - bottom, 1.0)
    f = Frame(
        LEFT, width - 14.0, TOP + 26.0, HEIGHT - BOTTOM, bottom - 0.04 * span, top + 0.08 * span, 0.0, float(x[-1])
    )
    parts = [_forbidden(f, x, low, up=False), _forbidden(f, x, high, up=True)]
    for value, text in zip(marks := ticks(f.low, f.high), tick_texts(marks), strict=True):
        parts.append(tag("path", d=f"M{f.left:.1f} {f.y(value):.1f}H{f.right:.1f}", cls="rule"))
        parts.append(words(text, f.left - 6, f.y(value) + 4, "t", anchor="end"))
    parts.append(tag("path", d=f"M{f.left:.1f} {f.bottom:.1f}H{f.right:.1f}", cls="ax") + _distance(f, "km"))
    parts.append(_posts(f, corridor, width))
    for k, (values, (_, _why)) in enumerate(zip(drawn, moments, strict=True)):
        parts.append(path([(f.x(a), f.y(b)) for a, b in zip(x, values, strict=True)], f"series {('s1', 's2')[k]}"))
    said = f"Pressure from {corridor.title}: {number(drawn[0][0])} bara first, {number(drawn[0][-1])} bara last"
    svg = '<svg width="24" height="8" aria-hidden="true"><path class="series {}" d="M0 4H24"/></svg>'
    keys = "".join(f"<span>{svg.format(('s1', 's2')[k])}{why}</span>" for k, (_, why) in enumerate(moments) if why)
    cls = "fig wide" if width > NARROW else "fig slim"
    return figure(width, HEIGHT, "".join(parts), said, cls) + (
        f'<div class="keys {cls.split()[1]}">{keys}</div>' if keys else ""
    )


def _posts(f: Frame, corridor: Corridor, width: float) -> str:
    """Mark the stations and the main nodes above the figure, names kept apart."""
    marks = [(0.0, corridor.nodes[0]), *corridor.stations, (corridor.km[-1], corridor.nodes[-1])]
    shown: list[tuple[float, float, str]] = []
    taken: list[tuple[float, float, int]] = []
    out = ""
    for at, name in sorted(marks, key=lambda m: (m[0] not in {0.0, corridor.km[-1]}, m[0])):
        x = f.x(at)
        text = shortened(name, width * 0.3)
        half = text_width(text, SMALL) / 2.0
        left = min(max(x - half, 2.0), width - 2.0 - 2 * half)
        row = next(
            (r for r in (0, 1) if not any(left < b and left + 2 * half > a and k == r for a, b, k in taken)), None
        )
        out += tag("path", d=f"M{x:.1f} {f.top:.1f}V{f.bottom:.1f}", cls="post")
        if row is not None:
            taken.append((left - 6, left + 2 * half + 6, row))
            shown.append((left, 11.0 + 13.0 * row, text))
    return out + "".join(words(text, x, y, "halop") for x, y, text in shown)


def _forbidden(f: Frame, x: Floats, limit: Floats, *, up: bool) -> str:
    """Hatch beyond the limits, held from each node to half way to the next."""
    out = ""
    edges = np.concatenate([[x[0]], (x[:-1] + x[1:]) / 2.0, [x[-1]]])
    line = []
    for k, value in enumerate(limit):
        a, b = f.x(float(edges[k])), f.x(float(edges[k + 1]))
        if not np.isfinite(value) or b - a < 0.1:
            continue
        y = min(max(f.y(float(value)), f.top), f.bottom)
        far = f.top if up else f.bottom
        out += tag("rect", x=a, y=min(y, far), width=b - a, height=abs(far - y), fill="url(#hatch)")
        line += [(a, y), (b, y)]
    return out + (path(line, "lim") if line else "")


def profile_figures(shown: Shown) -> str:
    """Return the corridors, each drawn for wide and for narrow pages."""
    if not shown.has("flow") or not len(shown.network.active("pipes")):
        return ""
    out = ""
    for c in corridors(shown):
        title = heading(c.title, "bara over km", f"{number(c.km[-1], 0)} km")
        out += tag("figure", title + draw_profile(shown, c, WIDTH) + draw_profile(shown, c, NARROW), cls="panel")
    return out
