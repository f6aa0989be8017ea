# SPDX-License-Identifier: Apache-2.0
"""The key figures of a country, from its estimated state, each with its standard deviation.

A figure that is not known is None, never 0; one that the model has no source for is absent.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import hypot, isfinite, nan
from typing import TYPE_CHECKING, Any

import numpy as np

from serai.units import DAY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from serai.network import Network
    from serai.twin.gas import GasSeen, GasSight
    from serai.twin.grid import GridSeen, GridSight

HOUR = 3600.0
MEGA = 1e6
TREND = 10  # gas scans from which on a trend is told
RUNS = 1e6  # W from which on a unit runs
Pair = tuple[float, float]  # value and standard deviation


@dataclass(frozen=True)
class Sums:
    """Which exchanges make which figure, laid out once: (quantity, element) -> factor.

    exports   offtakes that leave the country;  home: all other offtakes and what plants burn
    """

    exports: Mapping[tuple[str, str], float]
    home: Mapping[tuple[str, str], float]

    @classmethod
    def of(cls, network: Network, known: Iterable[tuple[str, str]]) -> Sums:
        """Lay the sums out for the exchanges that are known."""
        exports: dict[tuple[str, str], float] = {}
        home: dict[tuple[str, str], float] = {}
        offtakes = network["offtakes"]
        for quantity, name in known:
            if quantity == "withdrawal" and name in offtakes:
                abroad = str(offtakes["kind"][offtakes.row(name)]) == "export"
                (exports if abroad else home)[quantity, name] = 1.0
            elif quantity == "plant_fuel":
                home[quantity, name] = 1.0
        return cls(exports, home)


class Figures:
    """The key figures, and what they need to remember: linepack of the last hour by minute."""

    def __init__(self, network: Network, gas: GasSight | None, grid: GridSight | None) -> None:
        self.network, self._gas, self._grid = network, gas, grid
        self.sums = Sums.of(network, gas.keys if gas else ())
        self._packed: deque[Pair] = deque(maxlen=61)
        units = network.active("generators")
        self._most = network.limit("generators", "active_power_max", units) if len(units) else np.empty(0)
        self._units = np.array([grid.place["active_power", n] for n in units.names] if grid else [], np.intp)

    def remember(self, seen: GasSeen) -> None:
        """Note the linepack of a gas scan."""
        self._packed.append((seen.time, seen.linepack[0]))

    def trend(self) -> float:
        """Return how linepack changes [kg/s]: a straight line through the last hour; nan while too little is known."""
        if len(self._packed) < TREND:
            return nan
        t, m = np.array(self._packed).T
        return float(np.polyfit(t - t[0], m, 1)[0])

    def of_gas(self, seen: GasSeen, time: float) -> dict[str, Pair]:
        """Return linepack [kg], its trend, export and home_gas [kg/s] with their standard deviations."""
        sight = self._gas
        assert sight is not None  # noqa: S101 - what was seen was seen by it
        values = seen.at(time, sight.scan)

        def total(which: Mapping[tuple[str, str], float]) -> Pair:
            if not which:
                return nan, nan
            value = float(sum(f * values[sight.place[k]] for k, f in which.items()))
            return value, sight.sum_sigma(which) if seen.steps <= 1 else nan

        return {
            "linepack": (seen.linepack_at(time, sight.scan), seen.linepack_sigma), "trend": (self.trend(), nan),
            "export": total(self.sums.exports), "home_gas": total(self.sums.home),
        }  # fmt: skip

    def of_grid(self, seen: GridSeen) -> dict[str, Pair]:
        """Return electric_load, grid_losses and reserve [W] with their standard deviations.

        Reserve is what units that run could make more.
        """
        made = seen.values[self._units]
        running = made > RUNS
        reserve = float((self._most - made)[running].sum()) if np.isfinite(made).all() else nan
        return {"electric_load": seen.totals["load"], "grid_losses": seen.totals["losses"],
                "reserve": (reserve, seen.totals["made"][1])}  # fmt: skip


def unaccounted(findings: Iterable[Pair]) -> Pair:
    """Return the gas that leaves and is not metered [kg/s], of all leaks and thefts that are found; 0 where none is."""
    value, sigma = 0.0, 0.0
    for size, own in findings:
        value, sigma = value + size, hypot(sigma, own)
    return value, sigma


def shown(network: Network, found: dict[str, Pair], nominated: float = nan) -> dict[str, Any]:
    """Return figures as plain objects in display units."""
    rate = DAY / network.gas.standard_density / MEGA  # kg/s to million m3/d
    volume = 1.0 / network.gas.standard_density / MEGA
    scale = {"linepack": (volume, "million_m3", 3), "export": (rate, "million_m3_per_day", 3),
             "home_gas": (rate, "million_m3_per_day", 3), "gas_losses": (rate, "million_m3_per_day", 4),
             "electric_load": (1.0 / MEGA, "mw", 1), "reserve": (1.0 / MEGA, "mw", 1),
             "grid_losses": (1.0 / MEGA, "mw", 2)}  # fmt: skip
    out: dict[str, Any] = {}
    for name, (factor, unit, decimals) in scale.items():
        if name in found:
            value, sigma = found[name]
            out[name] = {"value": _number(value * factor, decimals), "unit": unit,
                         "sigma": _number(sigma * factor, decimals + 1), "low": None, "high": None}  # fmt: skip
    if "linepack" in out:
        out["linepack"]["trend_per_h"] = _number(found["trend"][0] * HOUR * volume, 4)
    if "export" in out:
        out["export"]["nominated"] = _number(nominated * rate, 3)
    return out


def _number(value: float, decimals: int) -> float | None:
    return round(value, decimals) if isfinite(value) else None
