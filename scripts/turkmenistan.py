# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: INP001 - a script, not a package
"""What is made by rule in the bundled case of Turkmenistan: its instruments, and the numbers of its documentation page.

python scripts/turkmenistan.py instruments   writes src/serai/cases/turkmenistan/instruments.csv
python scripts/turkmenistan.py page          fills the marked blocks of docs/turkmenistan.md (about 40 s)
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from math import floor, log10
from pathlib import Path
from typing import TYPE_CHECKING

import serai as sr
from serai.network import table
from serai.network.sheet import table_text
from serai.units import to_si

if TYPE_CHECKING:
    from collections.abc import Iterator

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
            "modbus": f"{number}/{2 * (points[station] - 1)}",  # unit / first of two holding registers, float
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


def main() -> None:
    """Write what the command line names."""
    job = sys.argv[1] if len(sys.argv) == 2 else ""
    net = sr.read("turkmenistan")
    if job == "instruments":
        (CASE / "instruments.csv").write_text(table_text(instruments(net), net.gas.standard_density), encoding="utf-8")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
