# SPDX-License-Identifier: Apache-2.0
"""GasLib `.cs` files: the machines of compressor stations, their drives, measured points and configurations.

Coefficients stay as the file has them, for speeds in 1/min, inlet flows in m3/s, heads in kJ/kg and powers in kW.
The order of `power_fun_coeff_1..9` is not documented; row by row in (1, T, T2) x (1, n, n2) reproduces the measured
powers that GasLib files list under `maximalPowerMeasurements`, where they list them.

Reference: Schmidt et al., GasLib - A Library of Gas Network Instances, Data 2(4):40, 2017, doi 10.3390/data2040040.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite, nan
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from serai.network.gaslib_xml import Document, Element

Row = dict[str, Any]

AMBIENT = 15.0  # degC, the ambient temperature at which the power of a station is stated (ISO 2314)
BURNS_GAS = ("gasTurbine", "gasDrivenMotor")

_MACHINES = ("turboCompressor", "pistonCompressor")
_DRIVES = (*BURNS_GAS, "electricMotor", "steamTurbine")
_SETS = {
    "surgelineMeasurements": "surge line",
    "characteristicDiagramMeasurements": "characteristic diagram",
    "specificEnergyConsumptionMeasurements": "energy consumption",
    "maximalPowerMeasurements": "largest power",
}

# GasLib parameter -> (column, dimension)
_MACHINE = {
    "speedMin": ("speed_min", "speed [1/min]"),
    "speedMax": ("speed_max", "speed [1/min]"),
    "efficiencyOfChokeline": ("efficiency_of_chokeline", ""),
    **{f"{fit}_isoline_coeff_{k}": (f"{fit}_isoline_coeff_{k}", "") for fit in ("n", "eta_ad") for k in range(1, 10)},
    **{f"{line}_coeff_{k}": (f"{line}_coeff_{k}", "") for line in ("surgeline", "chokeline") for k in range(1, 4)},
}
_DRIVE = {
    **{f"energy_rate_fun_coeff_{k}": (f"energy_rate_fun_coeff_{k}", "") for k in range(1, 4)},
    **{f"power_fun_coeff_{k}": (f"power_fun_coeff_{k}", "") for k in range(1, 10)},
}
_POINT = {
    "speed": ("speed", "speed [1/min]"),
    "volumetricFlowrate": ("volumetric_flow", "volume flow"),
    "adiabaticHead": ("adiabatic_head", "head [kJ/kg]"),
    "adiabaticEfficiency": ("adiabatic_efficiency", ""),
    "ambientTemperature": ("ambient_temperature", "temperature"),
    "compressorPower": ("power", "power"),
    "maximalPower": ("power", "power"),
    "fuelConsumption": ("energy_rate", "power"),
}


@dataclass
class _Station:
    """One station being read."""

    document: Document
    name: str
    rows: dict[str, list[Row]] = field(default_factory=dict)

    def add(self, kind: str, row: Row) -> None:
        self.rows.setdefault(kind, []).append(row)

    def full(self, name: str) -> str:
        """Return the name of a machine or drive in the case: GasLib's ids repeat from station to station."""
        return f"{self.name}/{name}"


def read_stations(document: Document, stations: Iterable[str]) -> dict[str, list[Row]]:
    """Return rows of machines, machine_drives, their points and station_configurations, SI but for coefficients.

    stations  names of the network's compressor stations; a station that is not among them is a mistake
    """
    known = set(stations)
    document.root.carry("machines")
    document.root.carry("sources", *document.root.attributes)
    rows: dict[str, list[Row]] = {}
    for element in document.root.children:
        if element.tag != "compressorStation":
            continue
        element.carry("machines")
        name = document.attribute(element, "id", "machines.station")
        if name not in known:
            document.mistake(element, f"{name!r} is no compressor station of the network")
        station = _Station(document, name)
        for part in element.children:
            _PARTS.get(part.tag, _unknown)(station, part)
        _check_references(station, element)
        for kind, more in station.rows.items():
            rows.setdefault(kind, []).extend(more)
    return rows


def _unknown(_station: _Station, _part: Element) -> None:
    """Leave a part without a mark: it is reported as lost."""


def _owners(station: _Station, part: Element, kind: str, tags: Iterable[str], spec: Mapping[str, Any]) -> None:
    """Read machines or drives: their parameters and their measured points."""
    part.carry(kind)
    for element in part.children:
        if element.tag not in tags:
            continue
        element.carry(f"{kind}.kind")
        name = station.full(station.document.attribute(element, "id", f"{kind}.name"))
        row: Row = {"name": name, "station": station.name, "kind": element.tag, "source": station.document.file}
        if "drive" in element.attributes and kind == "machines":
            row["drive"] = station.full(station.document.attribute(element, "drive", f"{kind}.drive"))
        station.document.keep_attributes(element, row, kind)
        for child in element.children:
            if child.tag in spec and spec[child.tag][0] not in row:
                column, dimension = spec[child.tag]
                value = station.document.value(child, dimension, f"{kind}.{column}", where=f"{name} {child.tag}")
                row[column] = value
            elif child.tag.endswith("Measurements"):
                owner = {"machines": "machine", "machine_drives": "drive"}[kind]
                _points(station, child, f"{owner}_points", {owner: name, "set": _SETS.get(child.tag, child.tag)})
            else:
                station.document.keep(child, row, kind)
        station.add(kind, row)


def _machines(station: _Station, part: Element) -> None:
    _owners(station, part, "machines", _MACHINES, _MACHINE)


def _drives(station: _Station, part: Element) -> None:
    _owners(station, part, "machine_drives", _DRIVES, _DRIVE)


def _points(station: _Station, container: Element, kind: str, shared: Row) -> None:
    """Read measured points; a line that holds points hands its own value down to them."""
    container.carry(f"{kind}.set")
    for element in container.children:
        if element.tag == "measurement":
            element.carry(kind)
            row = dict(shared)
            for child in element.children:
                _point_value(station, child, kind, row)
            station.add(kind, row)
        elif element.tag in _POINT:
            line = dict(shared)
            _point_value(station, element, kind, line)
            _points(station, element, kind, line)
            element.carry(f"{kind}.{_POINT[element.tag][0]}")


def _point_value(station: _Station, element: Element, kind: str, row: Row) -> None:
    if element.tag not in _POINT or _POINT[element.tag][0] in row:
        station.document.keep(element, row, kind)
        return
    column, dimension = _POINT[element.tag]
    row[column] = station.document.value(element, dimension, f"{kind}.{column}")


def _configurations(station: _Station, part: Element) -> None:
    """Read configurations: serial stages of machines side by side."""
    kind = "station_configurations"
    document = station.document
    part.carry(kind)
    for configuration in part.children:
        if configuration.tag != "configuration":
            continue
        configuration.carry(kind)
        shared: Row = {
            "station": station.name,
            "configuration": document.attribute(configuration, "confId", f"{kind}.configuration"),
            "serial_stages": _count(document, configuration, "nrOfSerialStages", f"{kind}.serial_stages"),
        }
        document.keep_attributes(configuration, shared, kind)
        for stage in configuration.children:
            if stage.tag == "stage":
                _stage(station, stage, shared)


def _stage(station: _Station, stage: Element, shared: Row) -> None:
    kind = "station_configurations"
    document = station.document
    stage.carry(kind)
    common: Row = {
        **shared,
        "stage": _count(document, stage, "stageNr", f"{kind}.stage"),
        "parallel_units": _count(document, stage, "nrOfParallelUnits", f"{kind}.parallel_units"),
    }
    document.keep_attributes(stage, common, kind)
    machines = [e for e in stage.children if e.tag == "compressor"]
    if not machines:
        document.mistake(stage, "a stage must name its compressors")
    for element in machines:
        element.carry(kind)
        row = {**common, "machine": station.full(document.attribute(element, "id", f"{kind}.machine"))}
        if "nominalSpeed" in element.attributes:
            text = document.attribute(element, "nominalSpeed", f"{kind}.nominal_speed")
            row["nominal_speed"] = document.number(element, text, "nominalSpeed")
        document.keep_attributes(element, row, kind)
        station.add(kind, row)


def _count(document: Document, element: Element, name: str, place: str) -> int:
    text = document.attribute(element, name, place)
    if text.isascii() and text.isdigit() and int(text) >= 1:
        return int(text)
    if text:
        document.mistake(element, f"must be a whole number of at least 1, got {text!r}", name)
    return 1


_PARTS = {"compressors": _machines, "drives": _drives, "configurations": _configurations}


def _check_references(station: _Station, element: Element) -> None:
    """Report machines that name no drive of the station, and configurations that name no machine of it."""
    names = {kind: [r["name"] for r in station.rows.get(kind, [])] for kind in ("machines", "machine_drives")}
    both = [*names["machines"], *names["machine_drives"]]
    for name in sorted({n for n in both if both.count(n) > 1}):
        station.document.mistake(element, f"{name!r} is given twice")
    for kind, column, target in (
        ("machines", "drive", "machine_drives"),
        ("station_configurations", "machine", "machines"),
    ):
        for row in station.rows.get(kind, []):
            if column in row and row[column] not in names[target]:
                told = f"{row[column]!r} does not exist; the station has {', '.join(names[target]) or 'none'}"
                station.document.mistake(element, told, column)


# ------------------------------------------------------------------------------------ what follows for the station


def largest_power(drive: Row, speed: float, ambient: float = AMBIENT) -> float:
    """Largest shaft power [kW] of a drive at a speed [1/min] and an ambient temperature [degC]; nan without the data.

    gas turbine: P = (1, T, T2) C (1, n, n2)T     gas-driven motor: P = p1 + p2 n + p3 n2
    """
    c = [drive.get(f"power_fun_coeff_{k}", nan) for k in range(1, 10)]
    n = (1.0, speed, speed**2)
    if drive["kind"] == "gasDrivenMotor":
        return float(sum(a * b for a, b in zip(c[:3], n, strict=True)))
    t = (1.0, ambient, ambient**2)
    return float(sum(t[i] * c[3 * i + j] * n[j] for i in range(3) for j in range(3)))


def energy_rate(drive: Row, power: float) -> float:
    """Energy [kW] that a drive takes for a shaft power [kW]: e1 + e2 P + e3 P2; nan without the data."""
    e1, e2, e3 = (drive.get(f"energy_rate_fun_coeff_{k}", nan) for k in (1, 2, 3))
    return float(e1 + e2 * power + e3 * power**2)


@dataclass(frozen=True)
class Rating:
    """What machine data say of a whole station; nan or 0 where they say nothing.

    power              [W] largest shaft power of any configuration, at AMBIENT and each machine's largest speed
    efficiency         adiabatic, median of the measured points of its machines
    drive_efficiency   shaft power over fuel heat at that power; nan unless all its drives burn gas
    """

    units: int = 0
    stages: int = 0
    power: float = nan
    efficiency: float = nan
    drive_efficiency: float = nan


def rate(rows: Mapping[str, list[Row]], station: str) -> Rating:
    """Derive units, stages, power and efficiencies of a station from its machine data."""
    machines = {r["name"]: r for r in rows.get("machines", []) if r["station"] == station}
    drives = {r["name"]: r for r in rows.get("machine_drives", []) if r["station"] == station}
    configurations: dict[str, set[str]] = {}
    stages = [0]
    for r in rows.get("station_configurations", []):
        if r["station"] == station:
            configurations.setdefault(r["configuration"], set()).add(r["machine"])
            stages.append(r["serial_stages"])
    best: tuple[float, float] = (nan, nan)
    for running in configurations.values():
        pair = _power_and_energy([machines[m] for m in sorted(running) if m in machines], drives)
        if isfinite(pair[0]) and not pair[0] <= best[0]:
            best = pair
    share = best[0] / best[1] if isfinite(best[1]) and best[1] > 0.0 else nan
    gas_only = all(d["kind"] in BURNS_GAS for d in drives.values())
    return Rating(
        units=len(machines),
        stages=max(stages),
        power=best[0] * 1e3,
        efficiency=_efficiency(rows, set(machines)),
        drive_efficiency=share if gas_only and 0.0 < share <= 1.0 else nan,
    )


def _power_and_energy(running: list[Row], drives: Mapping[str, Row]) -> tuple[float, float]:
    """Sum shaft power and energy rate [kW] of machines that run together; nan when one of them is not known."""
    power = energy = 0.0
    for machine in running:
        drive = drives.get(machine.get("drive", ""))
        own = nan if drive is None else largest_power(drive, machine.get("speed_max") or nan)
        if drive is None or not own > 0.0:
            return nan, nan
        power += own
        energy += energy_rate(drive, own)
    return (power, energy) if running else (nan, nan)


def _efficiency(rows: Mapping[str, list[Row]], machines: set[str]) -> float:
    measured = [
        r["adiabatic_efficiency"]
        for r in rows.get("machine_points", [])
        if r["machine"] in machines and r.get("adiabatic_efficiency") is not None
    ]
    return float(median(measured)) if measured else nan
