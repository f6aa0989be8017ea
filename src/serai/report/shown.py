# SPDX-License-Identifier: Apache-2.0
"""A result as the report shows it: million m3/d at the case's standard conditions, bara, MW; time always first."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from serai.units import BAR, DAY

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from serai.network import Network, Table
    from serai.simulate.labelled import Result
    from serai.simulate.limits import Break

    Floats = NDArray[np.float64]

MEGA = 1e6


@dataclass(frozen=True)
class Shown:
    """A result in the units that a reader sees. A steady state is a day of one instant."""

    result: Result

    @property
    def network(self) -> Network:
        """The network that was solved."""
        return self.result.network

    @cached_property
    def seconds(self) -> Floats:
        """Times of the results [s since the start] (n_time,); one zero for a steady state."""
        data = self.result.dataset
        return np.asarray(data["time"].values, float) if "time" in data.dims else np.zeros(1)

    @property
    def lasts(self) -> bool:
        """Whether there is a course over time."""
        return len(self.seconds) > 1

    @cached_property
    def hours(self) -> Floats:
        """Local times [h] (n_time,)."""
        start = float(self.result.dataset.attrs.get("start_hour", 0.0))
        return start + self.seconds / 3600.0

    @cached_property
    def weights(self) -> Floats:
        """Share of the whole time that each result stands for (n_time,); implicit steps hold their end values."""
        if not self.lasts:
            return np.ones(1)
        steps = np.diff(self.seconds, prepend=self.seconds[0])
        return np.asarray(steps / steps.sum())

    @property
    def days(self) -> float:
        """Length in days; 1 for a steady state, whose rates are per day anyway."""
        return float(self.seconds[-1] - self.seconds[0]) / DAY if self.lasts else 1.0

    # ------------------------------------------------------------------ arrays

    def has(self, variable: str) -> bool:
        """Whether the result holds a variable with at least one number."""
        return variable in self.result.dataset and bool(np.isfinite(self.result.dataset[variable].values).any())

    def raw(self, variable: str) -> Floats:
        """Return a variable, SI, with time first: (n_time, n_element) or (n_time,)."""
        values = np.asarray(self.result.dataset[variable].values, float)
        return values if "time" in self.result.dataset[variable].dims else values[None]

    def names(self, variable: str) -> list[str]:
        """Return the elements of a variable."""
        dims = [d for d in self.result.dataset[variable].dims if d != "time"]
        return [str(n) for n in self.result.dataset[dims[0]].values] if dims else []

    @property
    def standard_density(self) -> float:
        """Mass of a standard cubic metre [kg]."""
        return self.network.gas.standard_density

    def rate(self, variable: str) -> Floats:
        """Return a mass flow in million m3/d."""
        return self.raw(variable) * DAY / self.standard_density / MEGA

    def volume(self, variable: str) -> Floats:
        """Return a mass in million m3."""
        return self.raw(variable) / self.standard_density / MEGA

    def pressure(self) -> Floats:
        """Return the pressures in bara (n_time, n_node)."""
        return self.raw("pressure") / BAR

    def megawatt(self, variable: str) -> Floats:
        """Return a power in MW."""
        return self.raw(variable) / MEGA

    def mean(self, values: Floats) -> Floats:
        """Return the mean over time of (n_time, ...)."""
        return np.asarray(np.tensordot(self.weights, np.nan_to_num(values), axes=1))

    # ------------------------------------------------------------------ groups

    def grouped(self, variable: str, kind: str, column: str, values: Floats) -> dict[str, Floats]:
        """Sum `values` (n_time, n_element) of a variable's elements by a text column of their table."""
        table: Table = self.network[kind]
        out: dict[str, Floats] = defaultdict(lambda: np.zeros(len(values)))
        for k, name in enumerate(self.names(variable)):
            label = str(table[column][table.row(name)]) or "other"
            out[label] = out[label] + np.nan_to_num(values[:, k])
        return dict(out)

    def exports(self) -> dict[str, Floats]:
        """Return gas export points: name -> million m3/d over time, the largest first; idle ones last."""
        return self._of_kind("delivered", "offtakes", "export", self.rate("delivered")) if self.has("delivered") else {}

    def power_exports(self) -> dict[str, Floats]:
        """Return export points of electricity: name -> MW over time, the largest first."""
        return self._of_kind("drawn", "loads", "export", self.megawatt("drawn")) if self.has("drawn") else {}

    def _of_kind(self, variable: str, kind: str, wanted: str, values: Floats) -> dict[str, Floats]:
        table = self.network[kind]
        found = {
            name: np.nan_to_num(values[:, k])
            for k, name in enumerate(self.names(variable))
            if str(table["kind"][table.row(name)]) == wanted
        }
        return dict(sorted(found.items(), key=lambda item: -float(self.mean(item[1]))))

    def total(self, variable: str, values: Floats) -> Floats:
        """Return the sum over elements (n_time,); zeros where the result has no such variable."""
        if not self.has(variable):
            return np.zeros(len(self.seconds))
        return np.asarray(np.nansum(values, axis=1) if values.ndim > 1 else np.nan_to_num(values))

    def rate_total(self, variable: str) -> Floats:
        """Return a mass flow summed over elements, million m3/d (n_time,)."""
        return self.total(variable, self.rate(variable)) if self.has(variable) else np.zeros(len(self.seconds))

    def power_total(self, variable: str) -> Floats:
        """Return a power summed over elements, MW (n_time,)."""
        return self.total(variable, self.megawatt(variable)) if self.has(variable) else np.zeros(len(self.seconds))

    @cached_property
    def breaks(self) -> list[Break]:
        """Every limit that is not kept."""
        return self.result.breaks()

    def clock_hours(self, seconds: float) -> float:
        """Return the local time [h] of a result time [s]."""
        return float(self.hours[0]) + (seconds - float(self.seconds[0])) / 3600.0

    # ------------------------------------------------------------------ what there is

    @property
    def has_gas(self) -> bool:
        """Whether there is a gas network in the result."""
        return self.has("pressure")

    @property
    def has_power(self) -> bool:
        """Whether there is a grid in the result."""
        return self.has("magnitude")
