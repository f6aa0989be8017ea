# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: INP001 - a script, not a package
"""What is made by rule in the bundled case of Turkmenistan: its instruments, and the numbers of its documentation page.

python scripts/turkmenistan.py instruments   writes src/serai/cases/turkmenistan/instruments.csv
python scripts/turkmenistan.py page          fills the marked blocks of docs/turkmenistan.md (about a minute)
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from math import floor, isnan, log10
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

import serai as sr
from serai.network import table
from serai.network.quality import quality
from serai.network.sheet import table_text
from serai.simulate import replay, scenarios
from serai.units import to_si

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import xarray as xr

    from serai.network import Network, Table

ROOT = Path(__file__).resolve().parent.parent
CASE = ROOT / "src" / "serai" / "cases" / "turkmenistan"

# ---------------------------------------------------------------------------------------------------- instruments

# A class limit is taken as two standard deviations. Classes have sources; that a point has such a meter is inferred.
CUSTODY = "custody meters about 0.5 % each (ASGMT 2009, compiled public figures)"
COMMERCIAL = "meters of 0.5-1 % (project target for a metered line), the worse end taken"
PRESSURE = "pressure transmitters of 0.1 % (project target for a metered line)"
ORIFICE = "station flow by orifice, 1.5 %: general knowledge"
SHAFT = "shaft power from the machine's own measurements, 2 %: general knowledge"
ELECTRIC = "instrument transformers and transducers of class 0.5 (IEC 61869, IEC 60688): general knowledge"
GAS_SCAN, GRID_SCAN, MAIN_GRID_SCAN = 60.0, 4.0, 2.0  # s; grids are scanned every 1 to 4 s, gas once a minute

OTHER_PROTOCOLS = {  # two stations each; all others speak IEC 60870-5-104
    "Malay CS": "opcua", "Shatlyk EW CS": "opcua", "Kaka Gate": "modbus", "Tejen Gate": "modbus",
    "Serdar Gate": "mqtt", "Bereket Gate": "mqtt",
}  # fmt: skip
METERED = {"Gedaim": "facts.csv gedaim (border metering)", "Deryalyk": "facts.csv deryalyk_gms (metering station)"}


def instruments(net: Network) -> Table:
    """Return the instruments that the stations of the case would have."""
    rows = [*_gas_points(net), *_stations(net), *_grid(net)]
    numbers: dict[str, int] = {}
    points: dict[str, int] = defaultdict(int)
    for row in rows:
        station = str(row["station"])
        protocol = OTHER_PROTOCOLS.get(station, "iec104")
        number, points[station] = numbers.setdefault(station, len(numbers) + 1), points[station] + 1
        row["protocol"] = protocol
        row["address"] = {
            "iec104": f"{number}/{1000 + points[station]}",  # common address / information object
            "opcua": f"ns=2;s={row['name']}",
            "modbus": f"{number}/{3 * (points[station] - 1)}",  # unit / first of three registers: float, quality
            "mqtt": f"serai/{station}/{row['name']}",
        }[protocol]
    return table("instruments", rows)


def _row(
    net: Network, tag: str, quantity: str, where: str, unit: str, *, span: tuple[float, float],
    of_span: float = 0.0, of_reading: float = 0.0, scan: float, station: str, source: str, confidence: str = "low",
) -> dict[str, object]:  # fmt: skip
    """Return one instrument; `span` in `unit`, `of_span` and `of_reading` the class limits in percent."""
    density = net.gas.standard_density
    full = "full scale" if span[0] < 0.0 else "span"
    words = [f"{limit:g} % of {what}" for limit, what in ((of_reading, "reading"), (of_span, full)) if limit]
    sigma = float(f"{of_span / 200.0 * span[1]:.6g}")
    return {
        "name": f"{where} {tag}", "quantity": quantity, "where": where, "unit": unit,
        "range_min": to_si(span[0], unit, density), "range_max": to_si(span[1], unit, density),
        "sigma": to_si(sigma, unit, density), "sigma_of_reading": of_reading / 200.0,
        "accuracy": " + ".join(words), "scan": scan, "station": station, "source": source, "confidence": confidence,
    }  # fmt: skip


def _rounded(value: float) -> float:
    """Return the next larger round number: a span that a meter is set to."""
    scale = 10.0 ** floor(log10(value))
    return float(
        f"{min(x for x in (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0) if x * scale >= value) * scale:.3g}"
    )


def _flows(net: Network) -> dict[str, float]:
    """Return the largest day mean of every exchange and flow [million m3/d] over the days."""
    unit = to_si(1.0, "million_m3_per_day", net.gas.standard_density)
    most: dict[str, float] = defaultdict(float)
    for day in net.days:
        found = sr.steady(net.on(day)).dataset
        for variable in ("supplied", "delivered", "flow", "fuel", "plant_fuel"):
            for name, value in found[variable].to_series().items():
                most[str(name), variable] = max(most[str(name), variable], abs(value) / unit)
    return most


def _gas_points(net: Network) -> Iterator[dict[str, object]]:
    most = _flows(net)
    flow = "million_m3_per_day"
    nodes = net.active("gas_nodes")
    for k, node in enumerate(nodes.names):
        if nodes["kind"][k] in ("field", "border", "gate", "plant"):
            top = 25.0 * -(-nodes["pressure_max"][k] // 25e5)
            yield _row(
                net,
                "PT",
                "pressure",
                node,
                "bara",
                span=(0.0, top),
                of_span=0.1,
                scan=GAS_SCAN,
                station=node,
                source=PRESSURE,
            )
    t = net.active("supplies")
    for k, name in enumerate(t.names):
        top = _rounded(1.2 * most[name, "supplied"])
        yield _row(
            net,
            "FT",
            "supply",
            name,
            flow,
            span=(0.0, top),
            of_reading=1.0,
            of_span=0.05,
            scan=GAS_SCAN,
            station=str(t["node"][k]),
            source=COMMERCIAL,
        )
    t = net.active("offtakes")
    for k, name in enumerate(t.names):
        kind, node = str(t["kind"][k]), str(t["node"][k])
        if kind == "loss":
            continue  # nobody meters a loss: it is what the balance leaves
        limit, source = {"export": (0.5, CUSTODY), "field fuel": (2.0, f"{COMMERCIAL}; own use is metered worse")}.get(
            kind, (1.0, COMMERCIAL)
        )
        known = kind == "export" and node in METERED
        top = _rounded(1.2 * max(most[name, "delivered"], 0.01))
        yield _row(
            net, "FT", "withdrawal", name, flow, span=(0.0, top), of_reading=limit, of_span=0.05, scan=GAS_SCAN,
            station=node, source=f"{METERED[node]}; {source}" if known else source,
            confidence="medium" if known else "low",
        )  # fmt: skip
    t = net.active("plants")
    for k, name in enumerate(t.names):
        top = _rounded(1.2 * max(most[name, "plant_fuel"], 0.01))
        yield _row(
            net,
            "FT",
            "plant_fuel",
            name,
            flow,
            span=(0.0, top),
            of_reading=1.0,
            of_span=0.05,
            scan=GAS_SCAN,
            station=str(t["gas_node"][k]),
            source=COMMERCIAL,
        )


def _stations(net: Network) -> Iterator[dict[str, object]]:
    most = _flows(net)
    flow = "million_m3_per_day"
    drives = net.active("drives")
    motors = {str(drives["compressor"][k]) for k in range(len(drives)) if drives["kind"][k] == "electric motor"}
    for kind in ("compressors", "control_valves"):
        t = net.active(kind)
        for k, name in enumerate(t.names):
            if kind == "compressors" and t["x_build_status"][k] != "existing":
                continue  # planned and passed through: no station, no instruments
            for tag, quantity in (("PT in", "inlet_pressure"), ("PT out", "outlet_pressure")):
                yield _row(
                    net,
                    tag,
                    quantity,
                    name,
                    "bara",
                    span=(0.0, 100.0),
                    of_span=0.1,
                    scan=GAS_SCAN,
                    station=name,
                    source=PRESSURE,
                )
            top = _rounded(1.2 * max(most[name, "flow"], 1.0))
            yield _row(
                net,
                "FT",
                "flow",
                name,
                flow,
                span=(-top, top),
                of_reading=1.5,
                of_span=0.1,
                scan=GAS_SCAN,
                station=name,
                source=ORIFICE,
            )
            if kind == "compressors":
                top = float(t["power_max"][k]) / 1e6
                yield _row(
                    net,
                    "JT",
                    "power",
                    name,
                    "mw",
                    span=(0.0, top),
                    of_reading=2.0,
                    of_span=0.1,
                    scan=GAS_SCAN,
                    station=name,
                    source=SHAFT,
                )
                if name in motors:
                    yield _row(
                        net,
                        "JT motors",
                        "drive_power",
                        name,
                        "mw",
                        span=(0.0, top),
                        of_span=0.5,
                        scan=GRID_SCAN,
                        station=name,
                        source=ELECTRIC,
                    )
                else:
                    yield _row(
                        net,
                        "FT fuel",
                        "fuel",
                        name,
                        flow,
                        span=(0.0, 1.0),
                        of_reading=1.0,
                        of_span=0.05,
                        scan=GAS_SCAN,
                        station=name,
                        source=COMMERCIAL,
                    )


def _grid(net: Network) -> Iterator[dict[str, object]]:
    buses = net.active("buses")
    kv = dict(zip(buses.names, buses["voltage"] / 1e3, strict=True))
    site = {b: f"{re.sub(' [0-9]+$', '', b)} substation" for b in buses.names}
    scan = {b: MAIN_GRID_SCAN if v >= 500 else GRID_SCAN for b, v in kv.items()}
    for b in buses.names:
        yield _row(
            net,
            "UT",
            "magnitude",
            b,
            "pu",
            span=(0.0, 1.2),
            of_reading=0.5,
            of_span=0.1,
            scan=scan[b],
            station=site[b],
            source=ELECTRIC,
        )

    def power(where: str, bus: str, end: str, top: float) -> Iterator[dict[str, object]]:
        for letter, part, unit in (("P", "active", "mw"), ("Q", "reactive", "mvar")):
            quantity = f"{part}_power" + (f"_{end}" if end else "")
            tag = f"{letter} {end}".strip()
            yield _row(
                net,
                tag,
                quantity,
                where,
                unit,
                span=(-top, top),
                of_span=0.5,
                scan=scan[bus],
                station=site[bus],
                source=ELECTRIC,
            )

    t = net.active("lines")
    for k, name in enumerate(t.names):
        top = _rounded(1.2 * 3**0.5 * kv[str(t["from_bus"][k])] * t["current_max"][k] / 1e3)
        for end in ("from", "to"):
            yield from power(name, str(t[f"{end}_bus"][k]), end, top)
    t = net.active("transformers")
    for k, name in enumerate(t.names):
        for end, bus in (("from", "hv_bus"), ("to", "lv_bus")):
            yield from power(name, str(t[bus][k]), end, _rounded(1.2 * t["rating"][k] / 1e6))
    t = net.active("generators")
    for k, name in enumerate(t.names):
        yield from power(name, str(t["bus"][k]), "", _rounded(1.2 * t["active_power_max"][k] / 1e6))
    t = net.active("loads")
    given = [k for day in net.days for k in net.on(day).knowns() if k.quantity == "active_power"]
    most = {name: max(k.value / 1e6 for k in given if k.where == name) for name in t.names}
    for k, name in enumerate(t.names):
        yield from power(name, str(t["bus"][k]), "", _rounded(1.5 * max(most[name], 1.0)))


# ----------------------------------------------------------------------------------------------------------- page

PAGE = ROOT / "docs" / "turkmenistan.md"
N1 = ROOT / "tests" / "cases" / "turkmenistan" / "n1.csv"
PEAK = {"winter peak": 19, "average 2023": 20, "summer": 20}  # hour of the highest load, at which n1.csv was made
GAS, GRID = ("pipes", "compressors", "supplies"), ("lines", "transformers", "generators", "shunts")


def quality_table(net: Network) -> str:
    """Return the rows of each kind by confidence, as Markdown."""
    rows = [
        (q.kind.replace("_", " "), q.rows, q.in_service, q.high, q.medium, q.low, f"{100 * q.synthetic:.0f} %")
        for q in quality(net)
    ]
    return _markdown(("table", "rows", "in service", "high", "medium", "low", "synthetic"), rows)


def day_table(net: Network) -> str:
    """Return the key figures of every day, as Markdown."""
    columns = [_day(net.on(day)) for day in net.days]
    rows = [(what, *(c[what] for c in columns)) for what in columns[0]]
    return _markdown(("", *net.days), rows)


def _day(net: Network) -> dict[str, str]:
    mean, hours = sr.steady(net), sr.transient(net, hours=24, step="1h", start_hour=net.gas_day_start)
    m, h = mean.dataset, hours.dataset
    unit = to_si(1.0, "million_m3_per_day", net.gas.standard_density)
    kinds = net.active("offtakes")
    sold = {
        n: float(m["delivered"].sel(offtake=n)) / unit
        for n, k in zip(kinds.names, kinds["kind"], strict=True)
        if k == "export"
    }
    burnt = float(m["plant_fuel"].sum() + m["fuel"].fillna(0.0).sum()) / unit
    home = float(m["delivered"].sum()) / unit - sum(sold.values()) + burnt

    def between(values: xr.DataArray, scale: float, digits: int) -> str:
        return f"{float(values.min()) / scale:.{digits}f} to {float(values.max()) / scale:.{digits}f}"

    return {
        "gas produced": f"{float(m['supplied'].sum()) / unit:.2f}",
        "of it Galkynysh": f"{float(mean.supplied['Galkynysh field']) / unit:.2f}",
        "used at home": f"{home:.2f}",
        "of it burnt by power plants": f"{float(m['plant_fuel'].sum()) / unit:.2f}",
        "of it burnt by compressor stations": f"{float(m['fuel'].sum()) / unit:.2f}",
        "sold abroad": f"{sum(sold.values()):.2f}",
        "of it China": f"{sold['China (Gedaim) export']:.2f}",
        "pressure at Gedaim [bara], hours": between(hours.pressure["Gedaim"], 1e5, 1),
        "largest pressure ratio, hours": f"{float(h['ratio'].max()):.3f}",
        "largest station power [MW], hours": f"{float(h['power'].max()) / 1e6:.1f}",
        "linepack [million m3], hours": between(h["linepack_total"], net.gas.standard_density * 1e6, 0),
        "power made [MW]": f"{float(m['active_power'].sum()) / 1e6:.0f}",
        "losses of the grid [MW]": f"{float(m['losses']) / 1e6:.1f}",
        "voltage [pu], hours": between(h["magnitude"], 1.0, 3),
        "largest line loading [%], hours": f"{100 * float(h['loading'].max()):.0f}",
        "limits broken, mean and hours": str(len(mean.breaks()) + len(hours.breaks())),
        "largest recomputed mismatch": f"{max(mean.mismatch, hours.mismatch):.0e}",
    }


def replay_table(net: Network) -> str:
    """Return expected and found of every scenario, as Markdown."""
    rows = []
    for file in scenarios(net):
        found = replay(net, file)
        for k, row in found.table().iterrows():
            published = "" if isnan(row["published"]) else f"{row['published']:.1f} (x {row['factor']:g})"
            model = row["where"] + ", " if row["where"] and row["unit"] == "h" else ""
            title = found.scenario.title if k == 0 else ""
            rows.append(
                (
                    title,
                    row["what"],
                    row["expected"],
                    published,
                    f"{model}{row['model']:.1f} {row['unit']}",
                    row["verdict"],
                )
            )
    return _markdown(("event", "what", "expected", "published (factor allowed)", "model", "verdict"), rows)


def outage_table(net: Network, most: int = 15) -> str:
    """Return the worst losses of the case's own day, as Markdown."""
    unit = to_si(1.0, "million_m3_per_day", net.gas.standard_density)
    table = sr.outages(net).to_dataframe()
    refused = table[table["status"] != "solved"]
    rows = [
        (
            name,
            r["kind"],
            f"{r['unserved_gas'] / unit:.1f}",
            f"{r['unserved_export'] / unit:.1f}",
            f"{r['unserved_power'] / 1e6:.0f}",
            r["finding"],
        )
        for name, r in table[table["status"] == "solved"].head(most).iterrows()
    ]
    head = ("lost", "kind", "homes [million m3/d]", "exports", "power [MW]", "finding")
    return (
        _markdown(head, rows) + f"\nNo answer with unchanged set-points ({len(refused)}): {', '.join(refused.index)}.\n"
    )


def agreement(
    net: Network, days: Sequence[str] = ()
) -> tuple[list[tuple[object, ...]], dict[tuple[str, str], tuple[set[str], set[str]]], pd.DataFrame]:
    """Return table rows; (day, system) -> losses that only n1.csv names, only we; all our outages with their day."""
    given = pd.read_csv(N1)
    given["element"] = [_element(net, str(e)) for e in given["lost_element"]]
    rows, only, all_tables = [], {}, []
    for day in days or net.days:
        for system, kinds, hour in (("gas", GAS, None), ("power", GRID, PEAK[day])):
            ours = sr.outages(net.on(day), kinds=kinds, hour=hour).to_dataframe()
            mine = set(ours.index[(ours["status"] != "solved") | (ours["finding"] != "")])
            theirs = set(given["element"][(given["day"] == day) & (given["system"] == system)])
            rows.append(
                (
                    day,
                    system,
                    len(ours),
                    len(theirs),
                    len(mine),
                    len(theirs & mine),
                    len(theirs - mine),
                    len(mine - theirs),
                )
            )
            only[day, system] = theirs - mine, mine - theirs
            all_tables.append(ours.assign(day=day, system=system))
    return rows, only, pd.concat(all_tables)


AGREEMENT = ("day", "system", "losses tried", "first study", "Serai", "both", "first study only", "Serai only")


def _element(net: Network, text: str) -> str:
    """Return the name in the case of an element of n1.csv."""
    name = text.removeprefix("field ").split(" (stopped", 1)[0]
    return f"{name} field" if text.startswith("field ") and f"{name} field" in net else name


def _markdown(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(str(c).replace("|", "/") for c in line) + " |\n" for line in lines)


def page(net: Network) -> str:
    """Return the documentation page with its blocks made anew."""
    text = PAGE.read_text(encoding="utf-8")
    text = block(text, "quality", quality_table(net))
    text = block(text, "days", day_table(net))
    text = block(text, "replays", replay_table(net))
    text = block(text, "outages", outage_table(net))
    return block(text, "agreement", _markdown(AGREEMENT, agreement(net)[0]))


def block(text: str, name: str, new: str = "") -> str:
    """Return the page with a block exchanged; without `new`, what stands in the block."""
    parts = re.split(f"(?<=<!-- {name} -->\n)(.*?)(?=<!-- end -->)", text, flags=re.DOTALL)
    if len(parts) != 3:
        sys.exit(f"{PAGE.name} needs one block {name!r}")
    return "".join((parts[0], new, parts[2])) if new else parts[1]


def main() -> None:
    """Write what the command line names."""
    job = sys.argv[1] if len(sys.argv) == 2 else ""
    net = sr.read("turkmenistan")
    if job == "instruments":
        (CASE / "instruments.csv").write_text(table_text(instruments(net), net.gas.standard_density), encoding="utf-8")
    elif job == "page":
        PAGE.write_text(page(net), encoding="utf-8")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
