# SPDX-License-Identifier: Apache-2.0
"""The network: tables of what exists, the gas in it, and the case's own Knowns."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import nan
from typing import TYPE_CHECKING, Any

import numpy as np

from serai.errors import UnknownName
from serai.known import Known
from serai.network.tables import KINDS, Table, _not_found, table
from serai.units import GAS_CONSTANT, STANDARD_ATMOSPHERE, ZERO_CELSIUS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

COMPRESSIBILITY = ("ideal", "cnga", "cnga-gastransim", "papay", "linear", "gerg-2008", "coefficients")
FRICTION = ("colebrook-white", "nikuradse", "nikuradse-laminar", "swamee-jain", "chen", "hofer")


@dataclass(frozen=True)
class Gas:
    """The gas in the pipes: one composition and one temperature for the whole network.

    temperature           [K]          of gas and soil unless a pipe states its own
    molar_mass            [kg/mol]
    compressibility       one of COMPRESSIBILITY; `linear` is Z = 1 + slope p, `coefficients` gives b1..b4 of 1/Z
    coefficients          b1..b4 [1, 1/Pa, 1/Pa2, 1/Pa3] or (slope,) [1/Pa]
    critical_pressure     [Pa], critical_temperature [K]   pseudocritical (Kay's rule), for `papay`
    composition           mole fractions by component, for `gerg-2008`
    viscosity             [Pa s] dynamic
    friction              one of FRICTION
    heat_capacity_ratio   kappa of the adiabatic compression
    net_heating_value, gross_heating_value   [J per standard m3]
    standard_temperature  [K], standard_pressure [Pa]      what a standard cubic metre means in this case
    standard_density      [kg per standard m3]
    """

    temperature: float = 288.15
    molar_mass: float = 0.0175
    compressibility: str = "papay"
    coefficients: tuple[float, ...] = ()
    critical_pressure: float = 46.0e5
    critical_temperature: float = 192.0
    composition: Mapping[str, float] = field(default_factory=dict)
    viscosity: float = 1.1e-5
    friction: str = "colebrook-white"
    heat_capacity_ratio: float = 1.3
    net_heating_value: float = nan
    gross_heating_value: float = nan
    standard_temperature: float = ZERO_CELSIUS + 15.0
    standard_pressure: float = STANDARD_ATMOSPHERE
    standard_density: float = nan

    def __post_init__(self) -> None:
        """Derive the standard density from the molar mass where it is not given (ideal gas)."""
        if np.isnan(self.standard_density):
            density = self.standard_pressure * self.molar_mass / (GAS_CONSTANT * self.standard_temperature)
            object.__setattr__(self, "standard_density", density)

    @property
    def specific_constant(self) -> float:
        """R_s = R / M [J/(kg K)]."""
        return GAS_CONSTANT / self.molar_mass


@dataclass(frozen=True)
class Day:
    """One operating day: its name, its hourly profiles (name -> 24 or more factors, one an hour) and notes."""

    name: str
    profiles: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Network:
    """Everything that exists in a case. Frozen: every change returns a new network.

    tables      kind -> Table; absent kinds are empty tables
    gas         the gas
    base_power  [VA] of per-unit values; frequency [Hz]
    days        operating days by name; `day` is the one whose set-points `knowns()` gives
    utc_offset  [h] of local time
    """

    name: str = "network"
    title: str = ""
    tables: Mapping[str, Table] = field(default_factory=dict)
    gas: Gas = field(default_factory=Gas)
    base_power: float = 100e6
    frequency: float = 50.0
    days: Mapping[str, Day] = field(default_factory=dict)
    day: str = ""
    utc_offset: float = 0.0
    sources: Mapping[str, str] = field(default_factory=dict)
    _kinds: dict[str, str] = field(default_factory=dict, repr=False, compare=False)
    _active: dict[str, Table] = field(default_factory=dict, init=False, repr=False, compare=False)  # found so far

    def __post_init__(self) -> None:
        """Index every name by its kind."""
        for kind, t in self.tables.items():
            if KINDS[kind].named:
                self._kinds.update(dict.fromkeys(t.names, kind))

    def __getitem__(self, kind: str) -> Table:
        """Return the table of a kind (empty when the case has none)."""
        if kind in self.tables:
            return self.tables[kind]
        if kind not in KINDS:
            msg = f"no kind of element {kind!r}; kinds: {', '.join(KINDS)}"
            raise UnknownName(msg)
        return table(kind, [])

    def kind_of(self, name: str) -> str:
        """Return the kind of the element called `name`; UnknownName offers near names."""
        try:
            return self._kinds[name]
        except KeyError:
            raise UnknownName(_not_found(name, self.name, tuple(self._kinds))) from None

    def __contains__(self, name: object) -> bool:
        """Tell whether an element of this name exists."""
        return name in self._kinds

    def active(self, kind: str) -> Table:
        """Return the rows of a kind that are in service."""
        if kind not in self._active:
            t = self[kind]
            self._active[kind] = t.where(t["status"] == "in service") if len(t) else t
        return self._active[kind]

    def on(self, day: str) -> Network:
        """Return the same network on another operating day."""
        if day not in self.days:
            msg = f"{self.name} has no day {day!r}; days: {', '.join(self.days) or 'none'}"
            raise UnknownName(msg)
        return replace(self, day=day)

    def with_tables(self, **tables: Table) -> Network:
        """Return a network with some tables exchanged."""
        return replace(self, tables={**self.tables, **tables}, _kinds={})

    def with_status(self, names: Iterable[str], status: str = "out of service") -> Network:
        """Return a network in which the named elements have another status."""
        changed: dict[str, Table] = {}
        for name in names:
            kind = self.kind_of(name)
            t = changed.get(kind, self[kind])
            state = t["status"].copy()
            state[t.row(name)] = status
            changed[kind] = t.replace(status=state)
        return self.with_tables(**changed)

    def knowns(self, hour: float | None = None) -> list[Known]:
        """Return the case's own Knowns of its day: daily means, or at an hour of the day where profiles apply.

        A set-point written for the day wins over one written for every day.
        Between full hours the profile is interpolated linearly; it repeats after its last hour.
        """
        t = self["setpoints"]
        best: dict[tuple[str, str], int] = {}
        for i, day in enumerate(t["day"]):
            key = (str(t["quantity"][i]), str(t["where"][i]))
            if day == self.day or (day == "" and key not in best):
                best[key] = i
        found = []
        for (quantity, where), i in best.items():
            value = float(t["value"][i])
            profile = str(t["profile"][i])
            if profile and hour is not None:
                value *= self.factor(profile, hour)
            found.append(Known(quantity, where, value, source=f"setpoints row {i + 2}"))
        return found

    def factor(self, profile: str, hour: float) -> float:
        """Return the factor of a profile of the present day at an hour (0 = midnight, local time)."""
        profiles: Mapping[str, Any] = self.days[self.day].profiles if self.day in self.days else {}
        if profile not in profiles:
            msg = f"day {self.day!r} has no profile {profile!r}; profiles: {', '.join(profiles) or 'none'}"
            raise UnknownName(msg)
        values = profiles[profile]
        n = len(values)
        k = int(np.floor(hour)) % n
        share = hour - np.floor(hour)
        return float((1.0 - share) * values[k] + share * values[(k + 1) % n])
