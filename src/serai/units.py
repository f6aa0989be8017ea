# SPDX-License-Identifier: Apache-2.0
"""Units at the edge: SI inside, a suffix outside.

A file column is named `length_km`, a result attribute says `bar`; everything between is SI (Pa, kg/s, K, m, s, W,
var, VA, V, A, rad). Standard volumes become mass by the case's standard density, so a volume unit is only
meaningful together with the reference temperature that the case states.

Pressures are absolute; `barg` adds one standard atmosphere.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from serai.errors import UnknownName

STANDARD_ATMOSPHERE = 101_325.0  # Pa, exact: 10th CGPM 1954, resolution 4
GRAVITY = 9.806_65  # m/s2, exact: 3rd CGPM 1901
GAS_CONSTANT = 8.314_462_618_153_24  # J/(mol K), exact since SI 2019
MOLAR_MASS_AIR = 28.965_46e-3  # kg/mol, ISO 6976:2016, table 1 (dry air)
ZERO_CELSIUS = 273.15  # K, exact
DAY = 86_400.0  # s
HOUR = 3_600.0  # s
YEAR = 365.0 * DAY  # s, the year of published annual volumes
BAR = 1e5  # Pa


@dataclass(frozen=True, slots=True)
class Unit:
    """SI value = file value x factor + offset; a standard volume also takes x standard density."""

    dimension: str
    factor: float
    offset: float = 0.0
    standard_volume: bool = False


UNITS: dict[str, Unit] = {
    "m": Unit("length", 1.0),
    "km": Unit("length", 1e3),
    "mm": Unit("length", 1e-3),
    "pa": Unit("pressure", 1.0),
    "kpa": Unit("pressure", 1e3),
    "mpa": Unit("pressure", 1e6),
    "bara": Unit("pressure", BAR),
    "barg": Unit("pressure", BAR, STANDARD_ATMOSPHERE),
    "bar": Unit("pressure difference", BAR),
    "k": Unit("temperature", 1.0),
    "degc": Unit("temperature", 1.0, ZERO_CELSIUS),
    "kg_per_s": Unit("mass flow", 1.0),
    "t_per_h": Unit("mass flow", 1e3 / HOUR),
    "m3_per_s": Unit("mass flow", 1.0, standard_volume=True),
    "thousand_m3_per_h": Unit("mass flow", 1e3 / HOUR, standard_volume=True),
    "million_m3_per_day": Unit("mass flow", 1e6 / DAY, standard_volume=True),
    "bcm_per_year": Unit("mass flow", 1e9 / YEAR, standard_volume=True),
    "w": Unit("power", 1.0),
    "kw": Unit("power", 1e3),
    "mw": Unit("power", 1e6),
    "gw": Unit("power", 1e9),
    "var": Unit("reactive power", 1.0),
    "kvar": Unit("reactive power", 1e3),
    "mvar": Unit("reactive power", 1e6),
    "va": Unit("apparent power", 1.0),
    "kva": Unit("apparent power", 1e3),
    "mva": Unit("apparent power", 1e6),
    "v": Unit("voltage", 1.0),
    "kv": Unit("voltage", 1e3),
    "a": Unit("current", 1.0),
    "ka": Unit("current", 1e3),
    "rad": Unit("angle", 1.0),
    "deg": Unit("angle", 0.017_453_292_519_943_295),
    "pu": Unit("per unit", 1.0),
    "ohm": Unit("resistance", 1.0),
    "ohm_per_km": Unit("resistance per length", 1e-3),
    "us_per_km": Unit("susceptance per length", 1e-9),
    "s": Unit("time", 1.0),
    "min": Unit("time", 60.0),
    "h": Unit("time", HOUR),
    "percent": Unit("ratio", 1e-2),
    "kg_per_m3": Unit("density", 1.0),
    "kg_per_kmol": Unit("molar mass", 1e-3),
    "pa_s": Unit("viscosity", 1.0),
    "w_per_m2_k": Unit("heat transfer", 1.0),
    "mj_per_m3": Unit("energy per standard volume", 1e6),
    "mj_per_kg": Unit("energy per mass", 1e6),
    "mj_per_kwh": Unit("heat rate", 1.0 / 3.6),
    "": Unit("", 1.0),
}

WRITTEN = {  # where people write another word than the tables do
    "pa": "Pa", "kpa": "kPa", "mpa": "MPa", "bara": "bar", "k": "K", "degc": "°C", "kg_per_s": "kg/s", "t_per_h": "t/h",
    "m3_per_s": "m³/s", "thousand_m3_per_h": "thousand m³/h", "million_m3_per_day": "Mm³/d", "million_m3": "Mm³",
    "bcm_per_year": "bcm/a", "w": "W", "kw": "kW", "mw": "MW", "gw": "GW", "kvar": "kvar", "mvar": "Mvar", "va": "VA",
    "kva": "kVA", "mva": "MVA", "v": "V", "kv": "kV", "a": "A", "ka": "kA", "deg": "°", "ohm": "Ω", "percent": "%",
    "ohm_per_km": "Ω/km", "us_per_km": "µS/km", "kg_per_m3": "kg/m³", "kg_per_kmol": "kg/kmol", "pa_s": "Pa·s",
    "w_per_m2_k": "W/(m²·K)", "mj_per_m3": "MJ/m³", "mj_per_kg": "MJ/kg", "mj_per_kwh": "MJ/kWh",
}  # fmt: skip


def written(unit: str) -> str:
    """Return a unit as people write it: `bara` -> bar, `million_m3_per_day` -> Mm³/d."""
    return WRITTEN.get(unit, unit)


def unit_of(name: str) -> Unit:
    """Look up a unit by its suffix; UnknownName lists the ones that exist."""
    try:
        return UNITS[name]
    except KeyError:
        known = ", ".join(sorted(u for u in UNITS if u))
        msg = f"unknown unit {name!r}; known units: {known}"
        raise UnknownName(msg) from None


def to_si(value: float, unit: str, standard_density: float = float("nan")) -> float:
    """Return `value`, given in `unit`, in SI; standard volumes need the standard density [kg/m3]."""
    u = unit_of(unit)
    factor = u.factor * standard_density if u.standard_volume else u.factor
    return value * factor + u.offset


def from_si(value: float, unit: str, standard_density: float = float("nan")) -> float:
    """Return the SI `value` in `unit`; standard volumes need the standard density [kg/m3]."""
    u = unit_of(unit)
    factor = u.factor * standard_density if u.standard_volume else u.factor
    return (value - u.offset) / factor


def iso(time: float, digits: str = "milliseconds") -> str:
    """Return a time [s since 1970 UTC] as ISO 8601 with Z; `digits` as `datetime.isoformat` names them."""
    return datetime.fromtimestamp(time, UTC).isoformat(timespec=digits).replace("+00:00", "Z")


def moment(text: str) -> float:
    """Return a time [s since 1970 UTC] from ISO 8601; ValueError where it is none, or where its zone is left open."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text!r} has no zone")
    return found.timestamp()
