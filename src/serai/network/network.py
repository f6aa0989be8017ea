# SPDX-License-Identifier: Apache-2.0
"""The network: tables of what exists, the gas in it, and the case's own Knowns."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import nan
from typing import TYPE_CHECKING, Any

import numpy as np

from serai.errors import SeraiError, UnknownName
from serai.known import Known
from serai.network.tables import KINDS, Table, _not_found, table
from serai.units import DAY, GAS_CONSTANT, STANDARD_ATMOSPHERE, YEAR, ZERO_CELSIUS

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
    """One operating day.

    profiles         name -> 24 or more factors, one an hour
    air_temperature  [K] outdoor mean of the day; nan = not said
    hot              lines carry current_max x rating_factor_hot, units make active_power_max_summer
    """

    name: str
    profiles: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    note: str = ""
    air_temperature: float = nan
    hot: bool = False


@dataclass(frozen=True)
class HeatDemand:
    """How much gas homes take on a day of a given outdoor temperature.

    A share s of an offtake's mean follows the day's degree days, the rest is even:
    withdrawal = mean x (1 - s + s max(0, base - T) / (degree days of a year / 365)).

    base_temperature      [K] at and above which nobody heats
    degree_days_per_year  [K d] below it, of a year of normal weather
    """

    base_temperature: float
    degree_days_per_year: float

    def factor(self, temperature: float, share: float) -> float:
        """Return the withdrawal over its mean of the year, on a day of this mean outdoor temperature [K]."""
        mean = self.degree_days_per_year * DAY / YEAR
        return 1.0 - share + share * max(0.0, self.base_temperature - temperature) / mean


@dataclass(frozen=True)
class Network:
    """Everything that exists in a case. Frozen: every change returns a new network.

    tables      kind -> Table; absent kinds are empty tables
    gas         the gas
    base_power  [VA] of per-unit values; frequency [Hz]
    days        operating days by name; `day` is the one whose set-points `knowns()` gives
    utc_offset  [h] of local time; gas_day_start [h, local time] at which the gas day begins
    heat_demand how homes follow the outdoor temperature; None = not said
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
    gas_day_start: float = 0.0
    heat_demand: HeatDemand | None = None
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

    def limit(self, kind: str, column: str, table: Table | None = None) -> NDArray[np.float64]:
        """Return a limit of the elements of a kind (n,), SI, as it holds on the present day.

        On a hot day a line carries current_max x rating_factor_hot and a unit makes active_power_max_summer at most.
        `table` takes the place of the table of the kind (its rows in service, say).
        """
        t = self[kind] if table is None else table
        values: NDArray[np.float64] = t[column]
        if self.day in self.days and self.days[self.day].hot:
            if (kind, column) == ("lines", "current_max"):
                values = values * t["rating_factor_hot"]
            if (kind, column) == ("generators", "active_power_max"):
                summer = t["active_power_max_summer"]
                values = np.where(np.isnan(summer), values, summer)
        return values

    def at_temperature(self, celsius: float) -> Network:
        """Return the network with the withdrawals of its homes as they are at an outdoor temperature [degrees Celsius].

        Every offtake with a heat_share takes withdrawal_mean by `HeatDemand`, on the present day and at its profile.
        All other set-points stay: whether the fields can follow is what the job then shows.
        """
        heat = self.heat_demand
        if heat is None:
            msg = f"{self.name} does not say how homes follow the temperature: case.toml has no [heat_demand]"
            raise SeraiError(msg)
        t, offtakes = self["setpoints"], self["offtakes"]
        value, source = t["value"].copy(), t["source"].copy()
        for i in range(len(t)):
            where = str(t["where"][i])
            if t["quantity"][i] != "withdrawal" or t["day"][i] not in (self.day, "") or where not in offtakes:
                continue
            row = offtakes.row(where)
            share = float(offtakes["heat_share"][row])
            if share > 0.0:
                value[i] = offtakes["withdrawal_mean"][row] * heat.factor(celsius + ZERO_CELSIUS, share)
                source[i] = f"heat demand at {celsius:g} degrees Celsius"
        return self.with_tables(setpoints=t.replace(value=value, source=source))

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
