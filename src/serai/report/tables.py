# SPDX-License-Identifier: Apache-2.0
"""The tables of the report: balances that close, stations, pressures, loadings, outages, what is estimated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from serai.network.quality import quality
from serai.report.day import margins
from serai.report.svg import figure, tag
from serai.report.words import NONE, VOLUME, VOLUME_RATE, clock, esc, number, plural, power_of_ten, sentence
from serai.simulate.outages import NO_ANSWER, REFUSED, SOLVED, UNSERVED, consequence, tally
from serai.units import BAR, DAY

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

    from serai.network.quality import Quality
    from serai.report.shown import Shown

TOP = 10
OUTAGES = 25
MOST = 20  # rows of lists that may grow with the network
LONG = 160  # characters of a finding that are shown


@dataclass(frozen=True)
class Cell:
    """A table cell: HTML that is safe already."""

    html: str
    cls: str = ""


def text(value: object) -> Cell:
    """Return a cell of escaped text."""
    return Cell(esc(value))


def figure_cell(value: float, decimals: int = 1, *, bad: bool = False) -> Cell:
    """Return a right-aligned number; `bad` tints it as a broken limit."""
    shown = number(value, decimals)
    return Cell(f'<span class="bad">{shown}</span>' if bad else shown, "n")


def table(heads: Sequence[str], rows: Sequence[Sequence[Cell]], cls: str = "") -> str:
    """Return a table; a head that starts with > stands over numbers, its unit after a | in small."""
    head = ""
    for h in heads:
        name, _, unit = h.removeprefix(">").partition("|")
        small = f'<span class="u">{esc(unit)}</span>' if unit else ""
        head += f'<th scope="col"{" class=n" if h.startswith(">") else ""}>{esc(name)}{small}</th>'.replace(
            "class=n", 'class="n"'
        )
    body = ""
    for row in rows:
        total = any("total" in c.cls for c in row)
        cells = "".join(_cell(c) for c in row)
        body += f"<tr{' class=' + chr(34) + 'total' + chr(34) if total else ''}>{cells}</tr>"
    rows_html = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return f'<div class="scroll" tabindex="0"><table class="{cls}">{rows_html}</table></div>'


def _first(heads: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Return a table of the first rows, and how many more there are."""
    if not rows:
        return ""
    more = f'<p class="foot">and {len(rows) - MOST:,} more</p>' if len(rows) > MOST else ""
    return table(heads, rows[:MOST]) + more


def _cell(cell: Cell) -> str:
    cls = cell.cls.replace("total", "").strip()
    return f'<td class="{cls}">{cell.html}</td>' if cls else f"<td>{cell.html}</td>"


def _total(*cells: Cell) -> list[Cell]:
    return [Cell(c.html, f"{c.cls} total") for c in cells]


# ------------------------------------------------------------------------------------------------- balances


def gas_balance(shown: Shown) -> str:
    """Return what came in, what went out and what stayed in the pipes; both sides to the same number."""
    days, scale = shown.days, shown.days
    into = (
        {n: float(v) * scale for n, v in zip(shown.names("supplied"), shown.mean(shown.rate("supplied")), strict=True)}
        if shown.has("supplied")
        else {}
    )
    out: list[tuple[str, float]] = []
    if shown.has("delivered"):
        kinds = shown.grouped("delivered", "offtakes", "kind", shown.rate("delivered"))
        home = [(k, float(shown.mean(v)) * days) for k, v in kinds.items() if k != "export"]
        out += [(f"Home: {k}", v) for k, v in sorted(home, key=lambda p: -p[1])]
    if shown.has("plant_fuel"):
        out.append(("Home: power plants", float(shown.mean(shown.rate_total("plant_fuel"))) * days))
    if shown.has("fuel"):
        out.append(("Fuel of compressor stations", float(shown.mean(shown.rate_total("fuel"))) * days))
    out += [(f"Export: {n.removesuffix(' export')}", float(shown.mean(v)) * days) for n, v in shown.exports().items()]
    out = [(n, v) for n, v in out if abs(v) > 0.0]
    gained = float(np.diff(shown.volume("linepack_total")[[0, -1]])[0]) if shown.lasts else 0.0
    total_in, total_out = sum(into.values()), sum(v for _, v in out)
    unit = VOLUME if shown.lasts else VOLUME_RATE
    rows = [
        [text(f"Supply: {n}"), figure_cell(v, 3), Cell(NONE, "n")] for n, v in sorted(into.items(), key=lambda p: -p[1])
    ]
    rows += [[text(n), Cell(NONE, "n"), figure_cell(v, 3)] for n, v in out]
    if shown.lasts:
        stored = "Taken out of the linepack" if gained < 0 else "Added to the linepack"
        cells = [figure_cell(-gained, 3), Cell(NONE, "n")] if gained < 0 else [Cell(NONE, "n"), figure_cell(gained, 3)]
        rows.append([text(stored), *cells])
    left, right = total_in + max(-gained, 0.0), total_out + max(gained, 0.0)
    rows.append(_total(text("Total"), figure_cell(left, 3), figure_cell(right, 3)))
    foot = f"Difference of the two totals {number(left - right, 6)} {unit}."
    if "ledger_error" in shown.result.dataset.attrs:
        error = float(shown.result.dataset.attrs["ledger_error"])
        foot += f" Ledger of the solver over every step: closes to {power_of_ten(error)} of the supply."
    return table(["", f">In|{unit}", f">Out|{unit}"], rows, "balance") + f'<p class="foot">{foot}</p>'


def power_balance(shown: Shown) -> str:
    """Return what was generated, drawn and lost, in GWh over the time (MW for a steady state)."""
    factor = shown.days * 24.0 / 1e3 if shown.lasts else 1.0
    unit = "GWh" if shown.lasts else "MW"
    decimals = 3 if shown.lasts else 1
    made = (
        shown.grouped("active_power", "generators", "technology", shown.megawatt("active_power"))
        if shown.has("active_power")
        else {}
    )
    into = [(f"Generation: {k}", float(shown.mean(v)) * factor) for k, v in made.items()]
    out: list[tuple[str, float]] = []
    if shown.has("drawn"):
        kinds = shown.grouped("drawn", "loads", "kind", shown.megawatt("drawn"))
        out += [(f"Home: {k}", float(shown.mean(v)) * factor) for k, v in kinds.items() if k != "export"]
        out += [
            (f"Export: {n.removesuffix(' export')}", float(shown.mean(v)) * factor)
            for n, v in shown.power_exports().items()
        ]
    if shown.has("drive_power"):
        out.append(("Home: compressor motors", float(shown.mean(shown.power_total("drive_power"))) * factor))
    if shown.has("link_sent"):
        out.append(
            (
                "Links: sent less received",
                float(shown.mean(shown.power_total("link_sent") - shown.power_total("link_received"))) * factor,
            )
        )
    out.append(("Losses of the grid", float(shown.mean(shown.power_total("losses"))) * factor))
    shunts = _shunts(shown) * factor
    if abs(shunts) > 0.0:
        out.append(("Shunts", shunts))
    rows = [[text(n), figure_cell(v, decimals), Cell(NONE, "n")] for n, v in sorted(into, key=lambda p: -p[1]) if v]
    rows += [[text(n), Cell(NONE, "n"), figure_cell(v, decimals)] for n, v in out if abs(v) > 0.0]
    left, right = sum(v for _, v in into), sum(v for _, v in out)
    rows.append(_total(text("Total"), figure_cell(left, decimals), figure_cell(right, decimals)))
    foot = f'<p class="foot">Difference of the two totals {number(left - right, 6)} {unit}.</p>'
    return table(["", f">In|{unit}", f">Out|{unit}"], rows, "balance") + foot


def _shunts(shown: Shown) -> float:
    """Mean active power of shunts [MW]."""
    net = shown.network
    t = net.active("shunts")
    if not len(t) or not np.any(t["active_power"]):
        return 0.0
    buses, names = net["buses"], shown.names("magnitude")
    magnitude = shown.raw("magnitude")
    total = 0.0
    for k, bus in enumerate(t["bus"]):
        if str(bus) not in names:
            continue
        own, nominal = float(t["voltage"][k]), float(buses["voltage"][buses.row(str(bus))])
        v2 = float(shown.mean(magnitude[:, names.index(str(bus))] ** 2)) * (
            1.0 if np.isnan(own) else (nominal / own) ** 2
        )
        total += v2 * float(t["steps"][k]) * float(t["active_power"][k]) / 1e6
    return total


# ------------------------------------------------------------------------------------------------- elements


def stations(shown: Shown) -> str:
    """Return the compressor stations: flow, ratio, power against what is installed, fuel."""
    if not shown.has("power") and not shown.has("ratio"):
        return ""
    t = shown.network["compressors"]
    flow = dict(zip(shown.names("flow"), shown.mean(shown.rate("flow")), strict=True))
    bara = dict(zip(shown.names("pressure"), shown.mean(shown.pressure()), strict=True))
    names = shown.names("power")
    power, ratio = np.nan_to_num(shown.megawatt("power")), shown.raw("ratio")
    fuel = shown.mean(shown.rate("fuel")) if shown.has("fuel") else np.full(len(names), np.nan)
    motor = shown.mean(shown.megawatt("drive_power")) if shown.has("drive_power") else np.full(len(names), np.nan)
    broken = {(b.element, b.quantity) for b in shown.breaks}
    rows = []
    for k in sorted(range(len(names)), key=lambda k: -float(power[:, k].max())):
        name, row = names[k], t.row(names[k])
        rows.append([
            text(name),
            text(_duty(power[:, k].max(), ratio[:, k])),
            figure_cell(float(flow.get(name, np.nan)), 2),
            figure_cell(float(bara.get(str(t["from_node"][row]), np.nan))),
            figure_cell(float(bara.get(str(t["to_node"][row]), np.nan))),
            figure_cell(_largest(ratio[:, k]), 3, bad=(name, "ratio") in broken),
            figure_cell(float(t["ratio_max"][row]), 2),
            figure_cell(float(power[:, k].max()), bad=(name, "power") in broken),
            figure_cell(float(t["power_max"][row]) / 1e6),
            figure_cell(float(fuel[k]) if fuel[k] > 5e-4 else np.nan, 3),
            figure_cell(float(motor[k]) if motor[k] > 0.05 else np.nan),
        ])  # fmt: skip
    heads = [
        "Station", "Works as", f">Mean flow|{VOLUME_RATE}", ">Inlet|bara", ">Outlet|bara", ">Highest ratio", ">allowed",
        ">Highest power|MW", ">installed|MW", f">Mean fuel|{VOLUME_RATE}", ">Motor|MW",
    ]  # fmt: skip
    return table(heads, rows)


def _largest(values: NDArray[np.float64]) -> float:
    return float(np.nanmax(values)) if np.isfinite(values).any() else float("nan")


def _duty(power: float, ratio: NDArray[np.float64]) -> str:
    if power > 0.05:
        return "compressing"
    return "bypass" if np.isfinite(ratio).any() and abs(float(np.nanmax(ratio)) - 1.0) < 1e-6 else "closed"


def worst_pressures(shown: Shown) -> str:
    """Return the nodes nearest to a limit of pressure."""
    rows = [
        [text(name), figure_cell(value, 2, bad=margin < -1e-6),
         text(f"{side} at {clock(hour)}" if shown.lasts else side), figure_cell(limit, 1), figure_cell(margin, 2)]
        for name, value, limit, margin, hour, side in margins(shown)[: 2 * TOP]
    ]  # fmt: skip
    return table(["Node", ">Pressure|bara", "", ">Limit|bara", ">Margin|bar"], rows) if rows else ""


def loadings(shown: Shown) -> str:
    """Return the ten branches of the grid with the highest loading."""
    if not shown.has("loading"):
        return '<p class="foot">No branch of the grid states a rating.</p>'
    values = np.nan_to_num(100.0 * shown.raw("loading"), nan=-1.0)
    names, power = shown.names("loading"), shown.megawatt("active_power_from")
    rows = []
    for k in np.argsort(-values.max(axis=0))[:TOP]:
        at = int(values[:, k].argmax())
        if values[at, k] < 0.0:
            continue
        rows.append([
            text(names[k]), figure_cell(float(values[at, k]), bad=values[at, k] > 100.0),
            figure_cell(float(power[at, k])), text(clock(float(shown.hours[at])) if shown.lasts else NONE),
            figure_cell(float(shown.mean(values)[k])),
        ])  # fmt: skip
    return table(["Branch", ">Highest loading|%", ">Power then|MW", "At", ">Mean|%"], rows)


_QUANTITY = {
    "pressure": ("bara", 1 / BAR), "inlet_pressure": ("bara", 1 / BAR), "outlet_pressure": ("bara", 1 / BAR),
    "power": ("MW", 1e-6), "active_power": ("MW", 1e-6), "reactive_power": ("Mvar", 1e-6), "ratio": ("", 1.0),
    "magnitude": ("per unit", 1.0), "loading": ("%", 100.0),
}  # fmt: skip


def broken_limits(shown: Shown) -> str:
    """Return every limit that is not kept, in the units of the report."""
    rows = []
    for b in shown.breaks:
        unit, factor = _QUANTITY.get(b.quantity, (VOLUME_RATE, DAY / shown.standard_density / 1e6))
        when = clock(shown.clock_hours(b.time)) if np.isfinite(b.time) else NONE
        rows.append([
            text(b.element), text(b.quantity.replace("_", " ")), figure_cell(b.value * factor, 3, bad=True),
            text("above" if b.value > b.limit else "below"), figure_cell(b.limit * factor, 3), text(unit), text(when),
        ])  # fmt: skip
    return _first(["Element", "Quantity", ">Value", "", ">Limit", "Unit", "Worst at"], rows)


def left_setpoints(shown: Shown) -> str:
    """Return what left its set-point, when, and what holds instead."""
    rows = [
        [text(clock(shown.clock_hours(t)) if shown.lasts else NONE), text(name), text(mode)]
        for t, name, mode in shown.result.modes
    ]
    rows += [
        [text(NONE), text(name), Cell(esc(what), "wrap")] for name, what in (*shown.result.notes, *shown.result.dead)
    ]
    return _first(["At", "Element", "What holds then"], rows)


def _one(kind: str) -> str:
    """Return the name of one element of a kind."""
    return kind.replace("_", " ").removesuffix("s").replace("supplie", "supply").replace("branche", "branch")


def outage_table(outages: xr.Dataset, shown: Shown) -> str:
    """Return the outages that matter, worst first as they come, with how many were examined."""
    data = {str(v): outages[v].values for v in outages}
    volume = DAY / shown.standard_density / 1e6
    rows = []
    for k in np.flatnonzero(consequence(outages)):
        status, finding = str(data["status"][k]), _brief(str(data["finding"][k]))
        short = [float(data[v][k]) * f for v, f in zip(UNSERVED, (volume, volume, 1e-6), strict=True)]
        solved = status == SOLVED
        rows.append([
            text(outages["outage"].values[k]), text(_one(str(data["kind"][k]))),
            *(_short(v if solved else np.nan, d) for v, d in zip(short, (2, 2, 1), strict=True)),
            Cell(str(int(data["breaks"][k])) if solved else NONE, "n"),
            Cell(("" if solved else f"<b>{esc(sentence(status))}.</b> ") + esc(finding), "wrap"),
        ])  # fmt: skip
    heads = [
        "Lost", "Kind", f">Unserved home gas|{VOLUME_RATE}", f">Unserved export|{VOLUME_RATE}", ">Unserved power|MW",
        ">Limits broken", "Finding",
    ]  # fmt: skip
    more = f" The worst {OUTAGES} of {len(rows)}:" if len(rows) > OUTAGES else ""
    return f'<p class="foot">{_examined(outages)}{more}</p>' + (table(heads, rows[:OUTAGES], "outages") if rows else "")


def _short(value: float, decimals: int) -> Cell:
    """Return what is unserved; nothing unserved is a plain 0."""
    return Cell("0", "n") if value == 0.0 else figure_cell(value, decimals)


def _brief(finding: str) -> str:
    """Return the first sentence of a finding as a reader sees it, cut where it is long.

    >>> _brief("no answer found: the flow would turn; 2 m3/d. Take less there")
    'The flow would turn; 2 m\u00b3/d'
    """
    told = finding.removeprefix("no answer found: ").split(". ")[0].removesuffix(".").replace("m3", "m\u00b3")
    return sentence(told if len(told) <= LONG else told[:LONG].rsplit(" ", 1)[0] + "\u2026")


def _examined(outages: xr.Dataset) -> str:
    """Say how many losses were examined, how they ended, and what their words mean."""
    left_out, at = int(outages.attrs.get("left_out", 0)), str(outages.attrs.get("at", ""))
    count, counts = outages.sizes["outage"], tally(outages)
    said = f"{plural(count, 'single loss', 'single losses')} examined" + (
        f" of {count + left_out:,}, the most loaded first" if left_out else ""
    )
    said += f", steady state after each{' at ' + at if at else ''}: "
    said += ", ".join(f"{n:,} {word}" for word, n in counts.items() if n) + "."
    if counts[REFUSED]:
        said += " Refused by physics: what is asked for cannot flow with the set-points as they are."
    if counts[NO_ANSWER]:
        said += " No answer: the solver found none, which does not prove that there is none."
    return esc(said)


# ------------------------------------------------------------------------------------------------- estimated

SURE = {"high": "high", "medium": "medium", "low": "synthetic or inferred"}  # confidence, word in the key
BAR_WIDTH, BAR_HEIGHT = 220.0, 12.0  # px


def data_quality(shown: Shown) -> str:
    """Return how many rows of each kind are well known, likely, synthetic; nothing where no row says so."""
    *kinds, whole = quality(shown.network)
    if not whole.rows:
        return ""
    extra = [f for f in ("computed", "unsaid") if getattr(whole, f)]
    heads = [
        "Kind", "Share of rows", ">Rows", ">In service", ">High", ">Medium", ">Low", ">Low share|%",
        *({"computed": ">Computed", "unsaid": ">Not said"}[f] for f in extra), ">With a source",
    ]  # fmt: skip
    rows = []
    for q in (*kinds, whole):
        counts = [q.rows, q.in_service, q.high, q.medium, q.low]
        more = [getattr(q, f) for f in extra]
        cells = [
            text(sentence(q.kind.replace("_", " "))), Cell(_shares(q), "bar"), *map(_count, counts),
            figure_cell(100.0 * q.synthetic), *map(_count, more), _count(q.sourced),
        ]  # fmt: skip
        rows.append(_total(*cells) if q is whole else cells)
    swatch = "".join(f"<span>{_bar([(0.0, 26.0, level)], 26.0)}{word}</span>" for level, word in SURE.items())
    return f'<div class="legend">{swatch}</div>' + table(heads, rows, "quality")


def _count(rows: int) -> Cell:
    return Cell(f"{rows:,}" if rows else NONE, "n")


def _shares(q: Quality) -> str:
    """Return the bar of one kind, full width = all its rows."""
    parts, x = [], 0.0
    for level in SURE:
        width = BAR_WIDTH * getattr(q, level) / q.rows
        if width > 0.0:
            parts.append((x, width, level))
        x += width
    said = ", ".join(f"{number(100.0 * getattr(q, level) / q.rows, 0)} % {word}" for level, word in SURE.items())
    return _bar(parts, BAR_WIDTH, said)


def _bar(parts: list[tuple[float, float, str]], width: float, label: str = "") -> str:
    """Return a flat bar of parts: left, width, confidence."""
    drawn = "".join(
        tag("rect", x=x + 0.5, y=0.5, width=max(w - 1.0, 0.5), height=BAR_HEIGHT - 1.0, cls=f"sure {level}")
        for x, w, level in parts
    )
    return figure(width, BAR_HEIGHT, drawn, label, "bar")


def synthetic_share(shown: Shown) -> str:
    """Say how many rows are synthetic or inferred, of all and without what only measures or sets the network."""
    *kinds, whole = quality(shown.network)
    if not whole.rows:
        return "No row of the case states how sure it is."
    said = f"{_share(whole.low, whole.rows)} are synthetic or inferred."
    own = [q for q in kinds if q.kind not in ("instruments", "setpoints")]
    low, rows = sum(q.low for q in own), sum(q.rows for q in own)
    return (
        said
        if rows in (0, whole.rows) or whole.low == whole.rows
        else f"{said} Without instruments and set-points: {_share(low, rows)}."
    )


def _share(low: int, rows: int) -> str:
    return f"{low:,} of {rows:,} rows ({number(100.0 * low / rows, 0)} %)"


def standard_conditions(shown: Shown) -> str:
    """Return what a standard cubic metre means in the case."""
    gas = shown.network.gas
    return f"{number(gas.standard_temperature - 273.15, 0)} °C and {number(gas.standard_pressure / BAR, 5)} bara"


def choices(shown: Shown) -> str:
    """Return the modelling choices, one line each."""
    gas, attrs, net = shown.network.gas, shown.result.dataset.attrs, shown.network
    rows: list[tuple[str, str]] = []
    if shown.has_gas:
        rows += [
            ("Equation of state", f"{gas.compressibility}, molar mass {number(gas.molar_mass * 1e3, 2)} g/mol"),
            ("Friction of pipes", f"{gas.friction}, dynamic viscosity {number(gas.viscosity * 1e6, 1)} µPa s"),
            (
                "Temperature",
                f"{number(gas.temperature - 273.15, 1)} °C, gas and soil, one value unless a pipe states its own",
            ),
            (
                "Standard conditions",
                f"{standard_conditions(shown)}; {number(gas.standard_density, 4)} kg per m³",
            ),
        ]
        if np.isfinite(gas.net_heating_value):
            rows.append(("Net heating value", f"{number(gas.net_heating_value / 1e6, 2)} MJ/m³"))
        if "cell" in attrs:
            rows.append(("Pipe cells", f"at most {number(float(attrs['cell']) / 1e3, 1)} km"))
    if shown.lasts:
        steps = np.diff(shown.seconds)
        rows.append(
            (
                "Time",
                (
                    f"implicit steps, results every {number(float(steps.max()) / 60, 1)} min over "
                    f"{number(float(shown.seconds[-1]) / 3600, 1)} h, {attrs.get('steps', len(steps))} steps in all"
                ),
            )
        )
    else:
        rows.append(("Time", "steady state: nothing changes"))
    if shown.has_power:
        rows.append(
            (
                "Grid",
                f"alternating current, full equations, {number(net.frequency, 0)} Hz; units keep their reactive limits",
            )
        )
    return table(["Choice", "Value"], [[text(a), Cell(esc(b), "wrap")] for a, b in rows])


def facts(rows: list[dict[str, str]]) -> str:
    """Return the facts that a text names, each with its source."""
    return (
        table(
            ["Fact", "What it says", "Source", "Confidence"],
            [
                [
                    text(f["entry"]),
                    *(Cell(esc(f.get(c, "")), "wrap") for c in ("what", "source")),
                    text(f.get("confidence", "")),
                ]
                for f in rows
            ],
            "facts",
        )
        if rows
        else ""
    )


def sources(shown: Shown) -> str:
    """Return the sources of the case."""
    rows = [[text(k), Cell(esc(v), "wrap")] for k, v in shown.network.sources.items()]
    return table(["Source", "What it is"], rows) if rows else '<p class="foot">The case states no sources.</p>'


def certificate(shown: Shown) -> str:
    """Return every mismatch that was computed again outside the solver."""
    r = shown.result
    rows = [
        [text(sentence(kind)), Cell(power_of_ten(value), "n"), text(where)]
        for kind, (value, where) in r.mismatches.items()
    ]
    return table(["Equation", ">Largest mismatch, relative", "Worst at"], rows) if rows else ""
