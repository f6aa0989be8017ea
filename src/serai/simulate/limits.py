# SPDX-License-Identifier: Apache-2.0
"""Which limits of the network a result keeps and which it breaks, one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from serai.system.gas import JOINING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import xarray as xr
    from numpy.typing import NDArray

    from serai.network import Network

    Floats = NDArray[np.float64]

NEGLIGIBLE = 1e-6  # relative: a set-point on its own limit is not a break


@dataclass(frozen=True)
class Break:
    """One limit that a result does not keep: `value` beyond `limit`, SI; `time` [s], nan in a steady state."""

    element: str
    quantity: str
    value: float
    limit: float
    time: float = float("nan")


def breaks(network: Network, data: xr.Dataset) -> list[Break]:
    """Return every limit that is not kept, each with the value at its worst time, the worst first within a kind.

    A unit that stands still is not below its smallest output.
    """
    return [b for found in _checks(network, data) for b in found]


def _checks(net: Network, data: xr.Dataset) -> Iterator[list[Break]]:
    pairs = (
        ("gas_nodes", "gas_node", "pressure", "pressure_min", "pressure_max"),
        ("pipes", "gas_branch", "flow", "flow_min", "flow_max"),
        *((kind, "gas_branch", "flow", "flow_min", "flow_max") for kind in JOINING[1:]),
        ("supplies", "supply", "supplied", "flow_min", "flow_max"),
        ("offtakes", "offtake", "delivered", "flow_min", "flow_max"),
        ("compressors", "compressor", "ratio", "", "ratio_max"),
        ("compressors", "compressor", "power", "", "power_max"),
        ("buses", "bus", "magnitude", "magnitude_min", "magnitude_max"),
        ("generators", "generator", "active_power", "active_power_min", "active_power_max"),
        ("generators", "generator", "reactive_power", "reactive_power_min", "reactive_power_max"),
    )
    for kind, dim, variable, low, high in pairs:
        t = net.active(kind)
        if len(t) and variable in data:
            values = data[variable].sel({dim: list(t.names)})
            if variable == "active_power":
                values = values.where(values != 0.0)
            yield from _outside(values, t.names, variable, t[low] if low else None, t[high] if high else None)
    if "loading" in data:
        loading = data["loading"]
        names = tuple(str(n) for n in loading["grid_branch"].values)
        yield from _outside(loading, names, "loading", None, np.ones(len(names)))
    yield _station_pressures(net, data)


def _outside(
    values: xr.DataArray, names: Sequence[str], quantity: str, low: Floats | None, high: Floats | None
) -> Iterator[list[Break]]:
    """Yield the breaks of one quantity below `low` and above `high` (n,)."""
    array = np.atleast_2d(values.values)
    times = values["time"].values if "time" in values.dims else np.array([np.nan])
    for limit, sign in ((low, -1.0), (high, 1.0)):
        if limit is None:
            continue
        with np.errstate(invalid="ignore"):
            beyond = sign * (array - limit) - NEGLIGIBLE * np.maximum(np.abs(limit), 1e-3)
        worst = np.where(np.isnan(beyond), -np.inf, beyond)
        at = worst.argmax(axis=0)
        broken = [k for k in range(len(names)) if worst[at[k], k] > 0]
        broken.sort(key=lambda k: -worst[at[k], k])
        yield [Break(names[k], quantity, float(array[at[k], k]), float(limit[k]), float(times[at[k]])) for k in broken]


def _station_pressures(net: Network, data: xr.Dataset) -> list[Break]:
    """Inlet and outlet limits of stations, on the pressures of their end nodes."""
    out: list[Break] = []
    if "pressure" not in data:
        return out
    for kind in ("compressors", "control_valves"):
        t = net.active(kind)
        if not len(t):
            continue
        flow = data["flow"].sel(gas_branch=list(t.names)).values
        for end, column, sign, quantity in (
            ("from_node", "pressure_in_min", -1.0, "inlet_pressure"),
            ("to_node", "pressure_out_max", 1.0, "outlet_pressure"),
        ):
            p = data["pressure"].sel(gas_node=[str(n) for n in t[end]])
            # a closed station has no inlet or outlet, only two neighbours
            values = p.copy(data=np.where(np.abs(flow) > 0.0, p.values, np.nan))
            low, high = (t[column], None) if sign < 0 else (None, t[column])
            for found in _outside(values, t.names, quantity, low, high):
                out += found
    return out
