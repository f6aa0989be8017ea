# SPDX-License-Identifier: Apache-2.0
"""The figures of the day: linepack, balance, exports, stations, pressures, electricity, losses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from serai.report.charts import Chart, Limit, Line, line_chart
from serai.report.svg import tag
from serai.report.words import VOLUME, VOLUME_RATE, number
from serai.units import BAR

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from serai.report.shown import Shown

    Floats = NDArray[np.float64]

MOST_LINES = 5
NODES = 6


def gas_figures(shown: Shown) -> str:
    """Return the charts of the gas day; nothing for a steady state."""
    if not (shown.lasts and shown.has_gas):
        return ""
    x = shown.hours
    charts = [
        Chart("Linepack", VOLUME, x, (Line("", shown.volume("linepack_total")),), note="gas in all pipes"),
        Chart(
            "Supply and withdrawal", VOLUME_RATE, x,
            (Line("supply", shown.rate_total("supplied")), Line("withdrawal", withdrawn(shown), "s2")),
            note="withdrawal with all fuel gas",
        ),
    ]  # fmt: skip
    exports = {n: v for n, v in shown.exports().items() if float(np.max(v)) > 0.0}
    if exports:
        charts.append(Chart("Gas export by point", VOLUME_RATE, x, _top(exports), zero=True))
    uses = _uses(shown)
    if len(uses) > 1:
        charts.append(Chart("Gas used at home", VOLUME_RATE, x, _top(uses), zero=True))
    charts += _station_charts(shown)
    return "".join(tag("figure", line_chart(c), cls="panel") for c in charts)


def _uses(shown: Shown) -> dict[str, Floats]:
    """Return what home gas is used for: kind -> million m3/d over time, the largest first."""
    found = shown.grouped("delivered", "offtakes", "kind", shown.rate("delivered")) if shown.has("delivered") else {}
    found.pop("export", None)
    if shown.has("plant_fuel"):
        found["power plants"] = shown.rate_total("plant_fuel")
    return {
        k: v for k, v in sorted(found.items(), key=lambda p: -float(shown.mean(p[1]))) if float(np.max(np.abs(v))) > 0.0
    }


def withdrawn(shown: Shown) -> Floats:
    """Return everything that leaves the gas network, fuel of drives and plants included [million m3/d]."""
    return sum((shown.rate_total(v) for v in ("delivered", "fuel", "plant_fuel")), np.zeros(len(shown.hours)))


def _station_charts(shown: Shown) -> list[Chart]:
    if not shown.has("power"):
        return []
    power = np.nan_to_num(shown.megawatt("power"))
    names = shown.names("power")
    works = [k for k in np.argsort(-shown.mean(power)) if float(power[:, k].max()) > 0.05][:MOST_LINES]
    if not works:
        return []
    ratio = shown.raw("ratio")
    return [
        Chart("Station shaft power", "MW", shown.hours, tuple(Line(names[k], power[:, k]) for k in works), zero=True),
        Chart(
            "Station pressure ratio",
            "outlet over inlet",
            shown.hours,
            tuple(Line(names[k], ratio[:, k]) for k in works),
        ),
    ]


def _top(series: dict[str, Floats]) -> tuple[Line, ...]:
    """Return the largest series, the rest summed."""
    items = list(series.items())
    shown = items if len(items) <= MOST_LINES + 1 else items[:MOST_LINES]
    lines = [Line(_short(n), v) for n, v in shown]
    if len(items) > len(shown):
        rest = np.sum([v for _, v in items[len(shown) :]], axis=0)
        lines.append(Line(f"{len(items) - len(shown)} others", rest))
    return tuple(lines)


def _short(name: str) -> str:
    return name.removesuffix(" export")


def pressure_figures(shown: Shown) -> str:
    """Return small charts of the main nodes, each with the limit that it is nearest to."""
    if not (shown.lasts and shown.has_gas):
        return ""
    index = {n: k for k, n in enumerate(shown.names("pressure"))}
    bara = shown.pressure()
    t = shown.network["gas_nodes"]
    out = ""
    for name in main_nodes(shown):
        values = bara[:, index[name]]
        limits = _nearest(
            values, float(t["pressure_min"][t.row(name)]) / BAR, float(t["pressure_max"][t.row(name)]) / BAR
        )
        out += tag(
            "figure",
            line_chart(Chart(name, "bara", shown.hours, (Line("", values),), limits, height=150.0)),
            cls="panel",
        )
    return out


def main_nodes(shown: Shown) -> list[str]:
    """Return the export points with flow, the largest supplies and the nodes nearest to a limit."""
    net = shown.network
    wanted: list[str] = []
    t = net["offtakes"]
    wanted += [str(t["node"][t.row(n)]) for n, v in shown.exports().items() if float(np.max(v)) > 0.0][:3]
    if shown.has("supplied"):
        t = net["supplies"]
        mean = shown.mean(shown.rate("supplied"))
        names = shown.names("supplied")
        wanted += [str(t["node"][t.row(names[k])]) for k in np.argsort(-mean)[:1]]
    wanted += [name for name, *_ in margins(shown)]
    known = set(shown.names("pressure"))
    return [n for n in dict.fromkeys(wanted) if n in known][:NODES]


def margins(shown: Shown) -> list[tuple[str, float, float, float, float, str]]:
    """Return (node, worst pressure, limit, margin [bar], time [h], side), the smallest margin first."""
    bara = shown.pressure()
    t = shown.network["gas_nodes"]
    out = []
    for k, name in enumerate(shown.names("pressure")):
        row = t.row(name)
        low, high = float(t["pressure_min"][row]) / BAR, float(t["pressure_max"][row]) / BAR
        values = bara[:, k]
        if not np.isfinite(values).any():
            continue
        at_low, at_high = int(np.nanargmin(values)), int(np.nanargmax(values))
        pairs = [
            (values[at_low] - low, values[at_low], low, at_low, "lowest"),
            (high - values[at_high], values[at_high], high, at_high, "highest"),
        ]
        finite = [p for p in pairs if np.isfinite(p[0])]
        if finite:
            margin, value, limit, at, side = min(finite, key=lambda p: p[0])
            out.append((name, float(value), float(limit), float(margin), float(shown.hours[at]), side))
    return sorted(out, key=lambda m: m[3])


def _nearest(values: Floats, low: float, high: float) -> tuple[Limit, ...]:
    """Return the limit that the course comes nearest to, both when they are about as near."""
    found = []
    if np.isfinite(low):
        found.append((float(np.nanmin(values)) - low, Limit(low, "below", f"lowest allowed {number(low)}")))
    if np.isfinite(high):
        found.append((high - float(np.nanmax(values)), Limit(high, "above", f"highest allowed {number(high)}")))
    return tuple(limit for _, limit in sorted(found, key=lambda p: p[0])[:1])


def power_figures(shown: Shown) -> str:
    """Return the charts of the electric day; nothing for a steady state."""
    if not (shown.lasts and shown.has_power):
        return ""
    x = shown.hours
    made = shown.power_total("active_power")
    abroad = np.sum(list(shown.power_exports().values()), axis=0) if shown.power_exports() else np.zeros(len(x))
    home = shown.power_total("drawn") - abroad + shown.power_total("drive_power")
    lines = [Line("generation", made), Line("home load", home, "s2")]
    if float(np.max(np.abs(abroad))) > 0.0:
        lines.append(Line("export", abroad, "s3"))
    losses = shown.power_total("losses")
    charts = [
        Chart("Generation and load", "MW", x, tuple(lines), zero=True),
        Chart("Grid losses", "MW", x, (Line("", losses),), zero=True, note=_share(losses, made)),
    ]
    abroad_by = {n: v for n, v in shown.power_exports().items() if float(np.max(np.abs(v))) > 0.0}
    if len(abroad_by) > 1:
        charts.append(Chart("Electricity export by point", "MW", x, _top(abroad_by), zero=True))
    charts += _loading_chart(shown)
    units = shown.grouped("active_power", "generators", "technology", shown.megawatt("active_power"))
    units = dict(sorted(units.items(), key=lambda p: -float(shown.mean(p[1]))))
    if len(units) > 1:
        charts.append(Chart("Generation by technology", "MW", x, _top(units), zero=True))
    charts.append(_voltage_chart(shown))
    return "".join(tag("figure", line_chart(c), cls="panel") for c in charts)


def _loading_chart(shown: Shown) -> list[Chart]:
    if not shown.has("loading"):
        return []
    values = 100.0 * shown.raw("loading")
    peak = np.nan_to_num(values, nan=-1.0).max(axis=0)
    names = shown.names("loading")
    k = int(np.argmax(peak))
    limit = (Limit(100.0, "above", "rating 100"),)
    return [
        Chart(
            "Highest line loading",
            "% of rating",
            shown.hours,
            (Line("", values[:, k]),),
            limit,
            note=names[k],
            zero=True,
        )
    ]


def _voltage_chart(shown: Shown) -> Chart:
    magnitude = shown.raw("magnitude")
    buses = shown.network["buses"]
    rows = [buses.row(n) for n in shown.names("magnitude")]
    limits = []
    low, high = (buses[c][rows] for c in ("magnitude_min", "magnitude_max"))
    if np.isfinite(low).any():
        limits.append(Limit(float(np.nanmax(low)), "below", f"lowest allowed {number(float(np.nanmax(low)), 2)}"))
    if np.isfinite(high).any():
        limits.append(Limit(float(np.nanmin(high)), "above", f"highest allowed {number(float(np.nanmin(high)), 2)}"))
    lines = (Line("highest", np.nanmax(magnitude, axis=1)), Line("lowest", np.nanmin(magnitude, axis=1), "s2"))
    return Chart(
        "Voltages", "per unit of nominal", shown.hours, lines, tuple(limits), note="highest and lowest of all buses"
    )


def _share(losses: Floats, made: Floats) -> str:
    with np.errstate(divide="ignore", invalid="ignore"):
        share = 100.0 * losses / made
    finite = share[np.isfinite(share)]
    if not len(finite):
        return ""
    return f"{number(float(finite.min()), 2)} to {number(float(finite.max()), 2)} % of generation"
