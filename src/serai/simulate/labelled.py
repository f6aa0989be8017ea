# SPDX-License-Identifier: Apache-2.0
"""Results: an xarray dataset with units, whose arrays also take an element's name."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from serai.errors import UnknownName
from serai.simulate.limits import Break, breaks

if TYPE_CHECKING:
    from serai.network import Network

ELEMENTS = (
    "gas_node", "gas_branch", "pipe", "compressor", "supply", "offtake",
    "bus", "generator", "load", "grid_branch", "plant", "link",
)  # fmt: skip


class Labelled(xr.DataArray):  # type: ignore[no-untyped-call]  # xarray's own hook is untyped
    """A result array; `array["Gedaim"]` is the value, or the series over time, of one element. SI, see `attrs`."""

    __slots__ = ()

    def __getitem__(self, key: Any) -> Any:
        """Return the part of an element by its name; everything else as xarray does."""
        if isinstance(key, str) and key not in self.coords:
            for dim in self.dims:
                if dim in ELEMENTS:
                    if key not in self.indexes[dim]:
                        msg = f"{self.name} has no {str(dim).replace('_', ' ')} {key!r}"
                        raise UnknownName(msg)
                    return self.sel({dim: key})
        return super().__getitem__(key)


@dataclass(frozen=True)
class Result:
    """What a job found: `dataset` (xarray, SI, units in the attributes), and what qualifies it.

    network     that was solved
    dataset     all arrays; each is also an attribute: `result.pressure["Gedaim"]`
    mismatch    largest mismatch, recomputed from the results outside the solver, relative to the case's scales
    mismatches  the same for each kind of equation: (value, element)
    modes       (time [s], element, mode) of everything that left its set-point
    notes       (element, sentence): trips that the wiring of gas and power caused
    dead        (element, sentence): what no reference reaches
    iterations  Newton steps in all
    """

    network: Network
    dataset: xr.Dataset
    mismatch: float
    worst: str
    mismatches: dict[str, tuple[float, str]] = field(default_factory=dict)
    modes: tuple[tuple[float, str, str], ...] = ()
    notes: tuple[tuple[str, str], ...] = ()
    dead: tuple[tuple[str, str], ...] = ()
    iterations: int = 0

    def __getattr__(self, name: str) -> Labelled:
        """Return an array of the dataset by its name."""
        if name.startswith("__") or "dataset" not in self.__dict__:
            raise AttributeError(name)
        if name not in self.dataset:
            msg = f"no result {name!r}; there are {', '.join(map(str, self.dataset.data_vars))}"
            raise AttributeError(msg)
        return Labelled(self.dataset[name])

    def breaks(self) -> list[Break]:
        """Return every limit of the network that the result does not keep, worst time of each element."""
        return breaks(self.network, self.dataset)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the dataset as NetCDF; the file appears whole or not at all."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            self.dataset.to_netcdf(partial, engine="h5netcdf")
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        return target

    def __repr__(self) -> str:
        """Say what it is in one line."""
        sizes = ", ".join(f"{n} {d}" for d, n in self.dataset.sizes.items())
        return f"<serai result of {self.network.name}: {sizes}; mismatch {self.mismatch:.1e} ({self.worst})>"


UNITS = {
    "pressure": ("Pa", "absolute pressure"),
    "withdrawal": ("kg s-1", "net withdrawal by supplies and offtakes, positive out of the network"),
    "flow": ("kg s-1", "mass flow at the from end, positive from -> to"),
    "flow_out": ("kg s-1", "mass flow at the to end, positive from -> to"),
    "velocity": ("m s-1", "largest gas speed in the pipe"),
    "linepack": ("kg", "gas in the pipe"),
    "ratio": ("1", "pressure ratio"),
    "power": ("W", "shaft power"),
    "fuel": ("kg s-1", "fuel gas of the drive"),
    "drive_power": ("W", "electric power of the drive"),
    "supplied": ("kg s-1", "gas into the network"),
    "delivered": ("kg s-1", "gas out of the network"),
    "angle": ("rad", "voltage angle"),
    "magnitude": ("1", "voltage magnitude, per unit of nominal"),
    "active_withdrawal": ("W", "active power of all loads at the bus"),
    "reactive_withdrawal": ("var", "reactive power of all loads at the bus"),
    "active_power": ("W", "active power produced"),
    "reactive_power": ("var", "reactive power produced"),
    "drawn": ("W", "active power drawn"),
    "drawn_reactive": ("var", "reactive power drawn"),
    "active_power_from": ("W", "active power into the branch at its from end"),
    "reactive_power_from": ("var", "reactive power into the branch at its from end"),
    "active_power_to": ("W", "active power into the branch at its to end"),
    "reactive_power_to": ("var", "reactive power into the branch at its to end"),
    "loading": ("1", "current over rating, larger end"),
    "plant_fuel": ("kg s-1", "gas burnt by the plant"),
    "link_sent": ("W", "active power taken from the from bus"),
    "link_received": ("W", "active power given to the to bus"),
    "linepack_total": ("kg", "gas in all pipes"),
    "fuel_total": ("kg s-1", "fuel of all drives"),
    "losses": ("W", "active power lost in the grid"),
    "ledger_error": ("1", "gas that the ledger of the day does not account for, over what passes"),
}


def described(variables: dict[str, tuple[tuple[str, ...], Any]], coords: dict[str, Any]) -> xr.Dataset:
    """Return the dataset of arrays with their units and long names."""
    data = {
        name: (dims, np.asarray(values), {"units": UNITS[name][0], "long_name": UNITS[name][1]})
        for name, (dims, values) in variables.items()
    }
    return xr.Dataset(data, coords=coords)
