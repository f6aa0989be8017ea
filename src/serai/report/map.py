# SPDX-License-Identifier: Apache-2.0
"""The map: pipelines by flow, lines by voltage, what is synthetic stitched, what is broken marked."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import cos, hypot, isfinite, radians
from typing import TYPE_CHECKING

import numpy as np

from serai.report.labels import Wish, arrange
from serai.report.outlines import outlines
from serai.report.place import EARTH, GAS_EDGES, Places, edges_of, places
from serai.report.svg import SMALL, Box, figure, tag, text_width, words
from serai.report.words import VOLUME_RATE, esc, number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from serai.report.place import Edge
    from serai.report.shown import Shown

THIN, WIDE = 1.4, 7.2  # px: width of a pipe = THIN + WIDE x flow / largest flow
ARROW_EVERY = 58.0  # px between arrows at least
ARROW_FROM = 20.0  # px that a pipe must be long to carry an arrow
IDLE = 1e-4  # of the largest flow: below, a pipe is drawn hollow
DOUBLE = 0.75  # of the highest voltage: from here on a line is drawn double
CROWD = 250  # points from which symbols shrink and only the greatest are named
SMALL_MAP = 600.0  # px of width below which fewer names are asked for

Point = tuple[float, float]


@dataclass
class Run:
    """Parallel elements between the same two points, drawn as one."""

    start: Point
    end: Point
    kind: str
    names: list[str] = field(default_factory=list)
    flow: float = 0.0  # million m3/d along start -> end
    voltage: float = 0.0  # V
    status: str = "planned"
    synthetic: bool = True
    broken: bool = False

    @property
    def length(self) -> float:
        """Length on paper [px]."""
        return hypot(self.end[0] - self.start[0], self.end[1] - self.start[1])


@dataclass
class Sheet:
    """One map being drawn at a given size."""

    shown: Shown
    places: Places
    width: float
    height: float = 0.0
    layers: dict[str, list[str]] = field(default_factory=dict)
    wishes: list[Wish] = field(default_factory=list)
    obstacles: list[Box] = field(default_factory=list)
    strokes: list[tuple[float, float, float, float]] = field(default_factory=list)
    used: set[str] = field(default_factory=set)  # what the legend has to explain

    def __post_init__(self) -> None:
        """Fit everything in service into the sheet."""
        net = self.shown.network
        inner = [n for kind in ("gas_nodes", "buses") for n in net.active(kind).names if n in self.places.at]
        xy = np.array([self.places.at[n] for n in inner]) if inner else np.zeros((1, 2))
        low, high = xy.min(axis=0), xy.max(axis=0)
        span = np.maximum(high - low, 1e-9)
        margin_x, margin_y = (64.0, 46.0) if self.width >= SMALL_MAP else (34.0, 34.0)
        ratio = float(np.clip(span[1] / span[0], 0.3, 0.75 if self.width >= SMALL_MAP else 1.1))
        self.height = round((self.width - 2 * margin_x) * ratio + 2 * margin_y)
        room_x, room_y = self.width - 2 * margin_x, self.height - 2 * margin_y
        self.scale = float(min(room_x / span[0], room_y / span[1]))  # px per unit
        self.shift_x = self.width / 2.0 - self.scale * float(low[0] + high[0]) / 2.0
        self.shift_y = self.height / 2.0 + self.scale * float(low[1] + high[1]) / 2.0
        self.crowded = len(inner) > CROWD
        self.broken = {b.element for b in self.shown.breaks}

    def at(self, name: str) -> Point | None:
        """Return the position of a point on paper [px]."""
        if name not in self.places.at:
            return None
        x, y = self.places.at[name]
        return self.shift_x + self.scale * x, self.shift_y - self.scale * y

    def add(self, layer: str, svg: str) -> None:
        """Draw into a layer."""
        self.layers.setdefault(layer, []).append(svg)

    @property
    def frame(self) -> Box:
        """The sheet's edge."""
        return Box(0.0, 0.0, self.width, self.height)


# ------------------------------------------------------------------------------------------------- what connects


def runs(sheet: Sheet, pick: str) -> list[Run]:
    """Return the drawn connections of gas or power, parallel ones together."""
    found: dict[tuple[str, str], Run] = {}
    flows = _flows(sheet.shown) if pick == "gas" else {}
    for e in edges_of(sheet.shown.network, pick=(pick,)):
        start, end = sheet.at(e.start), sheet.at(e.end)
        if start is None or end is None:
            continue
        key = (min(e.start, e.end), max(e.start, e.end))
        turned = key[0] != e.start
        run = found.setdefault(key, Run(*((end, start) if turned else (start, end)), kind=e.kind))
        _join(sheet, run, e, -flows.get(e.name, 0.0) if turned else flows.get(e.name, 0.0))
    return list(found.values())


def _join(sheet: Sheet, run: Run, e: Edge, flow: float) -> None:
    net = sheet.shown.network
    table = net[e.kind]
    run.names.append(e.name)
    run.flow += flow
    best = ("in service", "out of service", "planned")
    run.status = min(run.status, e.status, key=best.index)
    run.synthetic &= str(table["confidence"][table.row(e.name)]) == "low"
    run.broken |= e.name in sheet.broken
    if e.kind not in GAS_EDGES:
        buses = net["buses"]
        run.voltage = max(float(buses["voltage"][buses.row(n)]) for n in (e.start, e.end))


def _flows(shown: Shown) -> dict[str, float]:
    if not shown.has("flow"):
        return {}
    mean = shown.mean(shown.rate("flow"))
    return {n: float(v) for n, v in zip(shown.names("flow"), mean, strict=True)}


def draw_pipes(sheet: Sheet) -> None:
    """Draw the pipelines: width by flow, arrows, hollow where idle, dotted where not in service."""
    every = runs(sheet, "gas")
    largest = max((abs(r.flow) for r in every), default=0.0)
    arrows: list[Point] = []
    for r in sorted(every, key=lambda r: abs(r.flow)):
        width = THIN + WIDE * (abs(r.flow) / largest if largest else 0.0)
        width *= 0.6 if sheet.crowded else 1.0
        title = tag("title", esc(f"{' + '.join(r.names)}: {number(abs(r.flow), 2)} {VOLUME_RATE}"))
        line = _line(r.start, r.end)
        if r.status == "planned":
            sheet.add("pipes", tag("path", title, d=line, cls="gas dots"))
            sheet.used.add("planned")
        elif r.status == "out of service":
            sheet.add("pipes", tag("path", title, d=line, cls="gas out") + tag("path", d=line, cls="core"))
            sheet.used.add("out of service")
        elif largest and abs(r.flow) <= IDLE * largest:
            sheet.add("pipes", tag("path", title, d=line, cls="gas tube") + tag("path", d=line, cls="core"))
            sheet.used.add("idle")
        else:
            cls = "gas stitched" if r.synthetic else "gas"
            sheet.add("pipes", tag("path", title, d=line, cls=cls, stroke_width=width))
            sheet.used |= {"flow", "stitched"} if r.synthetic else {"flow"}
            _arrow(sheet, r, width, arrows)
        sheet.strokes.append((*r.start, *r.end))
        if r.broken:
            _mark(sheet, ((r.start[0] + r.end[0]) / 2, (r.start[1] + r.end[1]) / 2), r.names[0])


def _arrow(sheet: Sheet, r: Run, width: float, arrows: list[Point]) -> None:
    x, y = (r.start[0] + r.end[0]) / 2.0, (r.start[1] + r.end[1]) / 2.0
    if r.length < ARROW_FROM or any(hypot(x - a, y - b) < ARROW_EVERY for a, b in arrows):
        return
    arrows.append((x, y))
    sign = 1.0 if r.flow >= 0 else -1.0
    ux, uy = sign * (r.end[0] - r.start[0]) / r.length, sign * (r.end[1] - r.start[1]) / r.length
    size = 4.0 + 0.55 * width
    tip, left, right = (
        (x + ux * a * size - uy * b * size, y + uy * a * size + ux * b * size)
        for a, b in ((1.1, 0), (-0.7, 0.9), (-0.7, -0.9))
    )
    d = f"M{tip[0]:.1f} {tip[1]:.1f}L{left[0]:.1f} {left[1]:.1f}L{right[0]:.1f} {right[1]:.1f}Z"
    sheet.add("arrows", tag("path", d=d, cls="arrow"))


def draw_lines(sheet: Sheet) -> None:
    """Draw the grid: the highest voltages double, the others thin; bent a little so that pipes stay visible."""
    every = [r for r in runs(sheet, "power") if r.length > 0.5]
    highest = max((r.voltage for r in every), default=0.0)
    for r in sorted(every, key=lambda r: r.voltage):
        double = r.voltage >= DOUBLE * highest and any(o.voltage < DOUBLE * highest for o in every)
        line, middle = _bent(r, 0.10 if sheet.places.how == "geographic" else 0.0)
        title = tag("title", esc(" + ".join(r.names)))
        if r.status == "planned":
            sheet.add("lines", tag("path", title, d=line, cls="pow dots"))
            sheet.used.add("planned")
            continue
        out = " out" if r.status == "out of service" else " stitched" if r.synthetic else ""
        sheet.used |= {"out of service"} if r.status == "out of service" else {"stitched"} if r.synthetic else set()
        sheet.add("lines", tag("path", title, d=line, cls=f"pow {'double' if double else 'single'}{out}"))
        if double:
            sheet.add("lines", tag("path", d=line, cls="core"))
        sheet.used.add("double" if double else "single")
        sheet.strokes += [(*r.start, *middle), (*middle, *r.end)]
        if r.broken:
            _mark(sheet, middle, r.names[0])


def _line(a: Point, b: Point) -> str:
    return f"M{a[0]:.1f} {a[1]:.1f}L{b[0]:.1f} {b[1]:.1f}"


def _bent(r: Run, bulge: float) -> tuple[str, Point]:
    (x1, y1), (x2, y2) = r.start, r.end
    if x2 < x1:
        (x1, y1), (x2, y2) = r.end, r.start  # all bulge to the same side of the map
    cx, cy = (x1 + x2) / 2.0 + bulge * (y2 - y1), (y1 + y2) / 2.0 - bulge * (x2 - x1)
    middle = (x1 + 2 * cx + x2) / 4.0, (y1 + 2 * cy + y2) / 4.0
    return f"M{x1:.1f} {y1:.1f}Q{cx:.1f} {cy:.1f} {x2:.1f} {y2:.1f}", middle


# ------------------------------------------------------------------------------------------------- what stands


def _mark(sheet: Sheet, at: Point, name: str) -> None:
    """Mark a broken limit: a diamond, the only colour on the map."""
    x, y = at
    title = tag("title", esc(f"{name}: a limit is broken"))
    d = f"M{x:.1f} {y - 8:.1f}L{x + 8:.1f} {y:.1f}L{x:.1f} {y + 8:.1f}L{x - 8:.1f} {y:.1f}Z"
    sheet.add("marks", tag("path", title, d=d, cls="broken") + words("!", x, y + 4, "bang", size=11, anchor="middle"))
    sheet.used.add("broken")


def _symbol(sheet: Sheet, name: str, at: Point, shape: str, radius: float, *, synthetic: bool = False) -> None:
    x, y = at
    if not Box(0, 0, sheet.width, sheet.height).grown(radius).overlap(Box(x - 1, y - 1, x + 1, y + 1)):
        return
    cls = "sym unsure" if synthetic else "sym"
    title = tag("title", esc(name))
    r = radius
    if shape == "hexagon":
        corners = [(x + r * cos(radians(60 * k)), y + r * cos(radians(60 * k - 90))) for k in range(6)]
        body = tag("path", title, d="M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in corners) + "Z", cls=cls)
    elif shape == "station":
        lines = f"M{x - r * 0.94:.1f} {y - r * 0.34:.1f}L{x + r * 0.5:.1f} {y - r * 0.86:.1f}"
        lines += f"M{x - r * 0.94:.1f} {y + r * 0.34:.1f}L{x + r * 0.5:.1f} {y + r * 0.86:.1f}"
        body = tag("circle", title, cx=x, cy=y, r=r, cls=cls)
        body += tag("path", d=lines, cls="sym open") if r > 5.0 else ""
    elif shape == "ring":
        body = tag("circle", title, cx=x, cy=y, r=r, cls=cls) + tag("circle", cx=x, cy=y, r=r * 0.36, cls="fill")
    elif shape == "bus":
        body = tag("rect", title, x=x - r, y=y - r, width=2 * r, height=2 * r, cls=f"{cls} powsym")
        body += tag("path", d=f"M{x - r:.1f} {y:.1f}H{x + r:.1f}", cls="sym powsym")
    elif shape == "small bus":
        body = tag("rect", title, x=x - r, y=y - r, width=2 * r, height=2 * r, cls="powfill")
    else:
        body = tag("circle", title, cx=x, cy=y, r=r, cls="fill")
    sheet.add("symbols", body)
    sheet.used.add(shape)
    if r >= 4.0:
        sheet.obstacles.append(Box(x - r, y - r, x + r, y + r))


def draw_gas_points(sheet: Sheet) -> None:
    """Draw fields, stations, border points and offtakes, each with its figure of the day."""
    shown, net = sheet.shown, sheet.shown.network
    shrink = 0.55 if sheet.crowded else 1.0
    supplied = _by_node(shown, "supplied", "supplies")
    exported = _by_node(shown, "delivered", "offtakes", "export")
    drawn = _by_node(shown, "delivered", "offtakes")
    stations = _stations(sheet, 6.5 * shrink)
    nodes = net.active("gas_nodes")
    terminals = {str(t["node"][t.row(n)]) for t in (net["supplies"], net["offtakes"]) for n in sheet.broken if n in t}
    for k, name in enumerate(nodes.names):
        at = sheet.at(name)
        if at is None:
            continue
        unsure = str(nodes["confidence"][k]) == "low"
        if name in exported:
            _symbol(sheet, name, at, "ring", 5.5 * shrink, synthetic=unsure)
            _wish(sheet, at, 5.5 * shrink, (name, _flow_text(exported[name])), 900 + exported[name])
        elif name in supplied:
            _symbol(sheet, name, at, "hexagon", 6.5 * shrink, synthetic=unsure)
            _wish(sheet, at, 6.5 * shrink, (name, _flow_text(supplied[name])), 700 + supplied[name])
        elif drawn.get(name, 0.0) > 0.0:
            _symbol(sheet, name, at, "dot", 2.4 * shrink)
            _wish(sheet, at, 2.4 * shrink, (name,), 100 + drawn[name])
        if name in terminals or (name in sheet.broken and name not in stations):
            _mark(sheet, at, name)


def _stations(sheet: Sheet, radius: float) -> set[str]:
    """Draw the compressor stations between their ends; return the end nodes."""
    net, shown = sheet.shown.network, sheet.shown
    table, ends = net.active("compressors"), set()
    power = (
        dict(zip(shown.names("power"), shown.mean(shown.megawatt("power")), strict=True)) if shown.has("power") else {}
    )
    for k, name in enumerate(table.names):
        start, end = str(table["from_node"][k]), str(table["to_node"][k])
        a, b = sheet.at(start), sheet.at(end)
        if a is None or b is None:
            continue
        at = ((a[0] + b[0]) / 2.0, (a[1] + b[1]) / 2.0)
        works = float(power.get(name, 0.0))
        runs_ = works > 0.05
        _symbol(
            sheet,
            name,
            at,
            "station",
            radius if runs_ else radius * 0.72,
            synthetic=str(table["confidence"][k]) == "low",
        )
        lines = (name, f"{number(works, 1)} MW") if runs_ else (name,)
        _wish(sheet, at, radius, lines, 500 + works if runs_ else 50.0)
        ends |= {start, end}
        if name in sheet.broken:
            _mark(sheet, at, name)
    return ends


def draw_buses(sheet: Sheet) -> None:
    """Draw the buses, the highest voltage large and by name."""
    net = sheet.shown.network
    buses = net.active("buses")
    if not len(buses):
        return
    highest = float(np.max(buses["voltage"]))
    units = net.active("generators")
    made = dict(
        zip(sheet.shown.names("active_power"), sheet.shown.mean(sheet.shown.megawatt("active_power")), strict=True)
    )
    at_bus: dict[str, float] = {}
    for k, unit in enumerate(units.names):
        bus = str(units["bus"][k])
        at_bus[bus] = at_bus.get(bus, 0.0) + float(made.get(unit, 0.0))
    every = bool(np.all(buses["voltage"] >= DOUBLE * highest))
    for k, name in enumerate(buses.names):
        at = sheet.at(name)
        if at is None:
            continue
        large = not sheet.crowded and (every or float(buses["voltage"][k]) >= DOUBLE * highest)
        _symbol(sheet, name, at, "bus" if large else "small bus", 5.0 if large else 2.2 if not sheet.crowded else 1.5)
        if large or at_bus.get(name, 0.0) > 0.0:
            made_here = at_bus.get(name, 0.0)
            text = (name, f"{number(made_here, 0)} MW made") if made_here > 0.5 else (name,)
            _wish(
                sheet,
                at,
                5.0 if large else 2.2,
                text if large else (name,),
                400 + made_here / 100 if large else made_here / 50,
            )
        if name in sheet.broken:
            _mark(sheet, at, name)
    for unit, bus in zip(units.names, units["bus"], strict=True):
        spot = sheet.at(str(bus))
        if unit in sheet.broken and spot is not None:
            _mark(sheet, spot, unit)


def _by_node(shown: Shown, variable: str, kind: str, wanted: str = "") -> dict[str, float]:
    """Return node -> million m3/d of its supplies or offtakes, mean over the day."""
    if not shown.has(variable):
        return {}
    table, out = shown.network[kind], dict[str, float]()
    for name, value in zip(shown.names(variable), shown.mean(shown.rate(variable)), strict=True):
        row = table.row(name)
        if not wanted or str(table["kind"][row]) == wanted:
            node = str(table["node"][row])
            out[node] = out.get(node, 0.0) + float(value)
    return out


def _flow_text(value: float) -> str:
    if value < 0.05:
        return "no flow" if value <= 0.0 else f"{number(value, 2)} Mm\u00b3/d"
    return f"{number(value, 1)} Mm\u00b3/d"


def _wish(sheet: Sheet, at: Point, radius: float, lines: tuple[str, ...], rank: float) -> None:
    small = sheet.width < SMALL_MAP
    if small and rank < 400 and not sheet.crowded:
        return
    sheet.wishes.append(Wish(*at, radius, lines, rank, far=rank >= 500 or (not small and rank >= 400)))


# ------------------------------------------------------------------------------------------------- frame


def draw_ground(sheet: Sheet) -> None:
    """Draw the degree lines and the scale bar of a geographic map; the scale bar is an obstacle for labels."""
    sheet.add("ground", tag("rect", x=0, y=0, width=sheet.width, height=sheet.height, cls="home"))
    if sheet.places.how != "geographic":
        return
    _countries(sheet)
    lat0, lon0 = sheet.places.middle
    per_lat = EARTH * radians(1.0) * sheet.scale
    per_lon = per_lat * cos(radians(lat0))
    every = next(s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20) if s * per_lat > 60 or s == 20)
    zero_x, zero_y = sheet.shift_x, sheet.shift_y
    for k in range(-2000, 2001):
        lon, lat = k * every, k * every
        x, y = zero_x + (lon - lon0) * per_lon, zero_y - (lat - lat0) * per_lat
        if 24 < x < sheet.width - 24:
            sheet.add("ground", tag("path", d=f"M{x:.1f} 0V{sheet.height:.1f}", cls="rule"))
            sheet.add(
                "ground",
                words(f"{number(abs(lon), 0 if every >= 1 else 1)}° {'E' if lon >= 0 else 'W'}", x + 3, 11, "t"),
            )
            sheet.obstacles.append(Box(x, 0, x + 34, 13))
        if 24 < y < sheet.height - 14:
            sheet.add("ground", tag("path", d=f"M0 {y:.1f}H{sheet.width:.1f}", cls="rule"))
            sheet.add(
                "ground",
                words(f"{number(abs(lat), 0 if every >= 1 else 1)}° {'N' if lat >= 0 else 'S'}", 3, y - 3, "t"),
            )
            sheet.obstacles.append(Box(0, y - 13, 34, y))
    _scale_bar(sheet)


def _countries(sheet: Sheet) -> None:
    """Draw land and sea where outlines are bundled; the country of the network is lighter."""
    lat0, lon0 = sheet.places.middle
    per_lat = EARTH * radians(1.0) * sheet.scale
    per_lon = per_lat * cos(radians(lat0))

    def degrees(x: float, y: float) -> Point:
        return lon0 + (x - sheet.shift_x) / per_lon, lat0 - (y - sheet.shift_y) / per_lat

    def paper(lon: float, lat: float) -> Point:
        return sheet.shift_x + (lon - lon0) * per_lon, sheet.shift_y - (lat - lat0) * per_lat

    spots = [sheet.at(n) for kind in ("gas_nodes", "buses") for n in sheet.shown.network.active(kind).names]
    found = outlines(*degrees(0.0, sheet.height), *degrees(sheet.width, 0.0), [degrees(*p) for p in spots if p])
    if found is None:
        return
    sheet.add("ground", tag("rect", x=0, y=0, width=sheet.width, height=sheet.height, cls="sea"))
    for name, rings in found.rings.items():
        d = "".join("M" + "L".join("{:.1f} {:.1f}".format(*paper(*p)) for p in ring) + "Z" for ring in rings)
        sheet.add(
            "ground",
            tag("path", tag("title", esc(name)), d=d, cls="home coast" if name == found.home else "land coast"),
        )
    for name, lon, lat in found.labels:
        x, y = paper(lon, lat)
        half = text_width(name, SMALL) / 2.0
        box = Box(x - half, y - 10, x + half, y + 4)
        if name != found.home and box.grown(16.0).inside(sheet.frame):
            sheet.add("ground", words(name, x, y, "t", anchor="middle"))
            sheet.obstacles.append(box)


def _scale_bar(sheet: Sheet) -> None:
    if not isfinite(sheet.places.km):
        return
    target = sheet.width * 0.16 / sheet.scale
    km = next(k for k in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000) if k > target * 0.55 or k == 5000)
    x2, y = sheet.width - 12.0, sheet.height - 12.0
    x1 = x2 - km * sheet.scale
    sheet.add("frame", tag("path", d=f"M{x1:.1f} {y - 5:.1f}V{y:.1f}H{x2:.1f}V{y - 5:.1f}", cls="scale"))
    sheet.add("frame", words(f"{km:,} km", (x1 + x2) / 2, y - 5, "halo", anchor="middle"))
    sheet.obstacles.append(Box(x1 - 6, y - 20, x2 + 6, y + 6))


ORDER = ("ground", "lines", "pipes", "arrows", "symbols", "marks", "labels", "numbers", "frame")


def draw_map(
    shown: Shown, width: float, where: Places | None = None, overlay: Callable[[Sheet], None] | None = None
) -> tuple[str, set[str]]:
    """Return the map as SVG, and what its legend has to explain; `overlay` draws more into it."""
    sheet = Sheet(shown, where or places(shown.network), width)
    draw_ground(sheet)
    if shown.has_power:
        draw_lines(sheet)
    if shown.has_gas:
        draw_pipes(sheet)
        draw_gas_points(sheet)
    if shown.has_power:
        draw_buses(sheet)
    if overlay is not None:
        overlay(sheet)
    most = 40 if width >= SMALL_MAP else 18
    wanted = sorted(sheet.wishes, key=lambda w: -w.rank)[: most * 2]
    strokes = np.array(sheet.strokes or np.empty((0, 4)))
    for label in arrange(wanted, sheet.obstacles, strokes, sheet.frame.grown(-2.0))[:most]:
        sheet.add("labels", label.draw())
    body = "".join("".join(sheet.layers.get(layer, ())) for layer in ORDER)
    name = shown.network.title or shown.network.name
    return figure(
        width, sheet.height, body, f"Map of {name}: pipelines by flow, lines by voltage", "fig map"
    ), sheet.used


_PIPES = (
    '<path class="gas" stroke-width="1.4" d="M0 7H9"/><path class="gas" stroke-width="5" d="M9 7H20"/>'
    '<path class="gas" stroke-width="8.6" d="M20 7H30"/>'
)
_CORE = '<path class="core" d="M0 7H30"/>'
_STATION = '<circle class="sym" cx="15" cy="7" r="6"/><path class="sym open" d="M9.4 5L18 1.8M9.4 9L18 12.2"/>'
_BUS = '<rect class="sym powsym" x="10" y="2" width="10" height="10"/><path class="sym powsym" d="M10 7H20"/>'
_LEGEND = (
    ("flow", _PIPES, "pipeline, width by mean flow"),
    ("idle", f'<path class="gas tube" d="M0 7H30"/>{_CORE}', "filled, no flow"),
    ("out of service", f'<path class="gas out" d="M0 7H30"/>{_CORE}', "out of service"),
    ("planned", '<path class="gas dots" d="M2 7H30"/>', "planned"),
    ("double", f'<path class="pow double" d="M0 7H30"/>{_CORE}', "highest voltage"),
    ("single", '<path class="pow single" d="M0 7H30"/>', "lower voltage"),
    ("stitched", '<path class="gas stitched" stroke-width="4" d="M0 7H30"/>', "synthetic or inferred"),
    ("hexagon", '<path class="sym" d="M21 7L18 12.2H12L9 7L12 1.8H18Z"/>', "supply"),
    ("station", _STATION, "compressor station"),
    ("ring", '<circle class="sym" cx="15" cy="7" r="5.5"/><circle class="fill" cx="15" cy="7" r="2"/>', "export point"),
    ("dot", '<circle class="fill" cx="15" cy="7" r="2.4"/>', "gas offtake"),
    ("bus", _BUS, "substation"),
    ("broken", '<path class="broken" d="M15 0L22 7L15 14L8 7Z"/>', "limit broken"),
)


def legend(used: Iterable[str], shown: Shown) -> str:
    """Return the legend of what a map shows, with the voltages in numbers."""
    used = set(used)
    levels = sorted({float(v) for v in shown.network.active("buses")["voltage"]}) if shown.has_power else []
    double = [v for v in levels if v >= DOUBLE * levels[-1]] if levels else []
    single = [v for v in levels if v not in double] if "double" in used else levels
    texts = {"double": _volts(double), "single": _volts(single)}
    out = ""
    for key, drawing, text in _LEGEND:
        if key in used:
            svg = f'<svg width="30" height="14" viewBox="0 0 30 14" aria-hidden="true">{drawing}</svg>'
            out += f"<span>{svg}{esc(texts.get(key) or text)}</span>"
    if shown.has_gas:
        out += "<span>Mm\u00b3/d = million m\u00b3/d</span>"
    return f'<div class="legend">{out}</div>'


def _volts(levels: list[float]) -> str:
    return ", ".join(number(v / 1e3, 0) for v in sorted(levels, reverse=True)) + " kV" if levels else ""
