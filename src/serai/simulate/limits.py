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
CHECKED = (  # kind, dimension and variable of the result, columns of the lower and the upper limit
    ("gas_nodes", "gas_node", "pressure", "pressure_min", "pressure_max"),
    *((kind, "gas_branch", "flow", "flow_min", "flow_max") for kind in JOINING),
    ("supplies", "supply", "supplied", "flow_min", "flow_max"),
    ("offtakes", "offtake", "delivered", "flow_min", "flow_max"),
    ("compressors", "compressor", "ratio", "", "ratio_max"),
    ("compressors", "compressor", "power", "", "power_max"),
    ("buses", "bus", "magnitude", "magnitude_min", "magnitude_max"),
    ("generators", "generator", "active_power", "active_power_min", "active_power_max"),
    ("generators", "generator", "reactive_power", "reactive_power_min", "reactive_power_max"),
)


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

    A unit that stands still is not below its smallest output; a station that is closed has no inlet or outlet pressure.
    """
    return _Search(data).all(network)


class _Search:
    """The arrays of a result, picked by name (plain numpy: N-1 asks this for every outage)."""

    def __init__(self, data: xr.Dataset) -> None:
        self.data = data
        self.times = data["time"].values if "time" in data.dims else np.array([np.nan])
        self.place = {
            str(dim): {str(n): k for k, n in enumerate(data[dim].values)} for dim in data.dims if dim != "time"
        }

    def all(self, net: Network) -> list[Break]:
        """Return the breaks of every limit in turn."""
        found: list[Break] = []
        for kind, dim, variable, low, high in CHECKED:
            t = net.active(kind)
            if len(t) and variable in self.data:
                values = self.pick(variable, dim, t.names)
                if variable == "active_power":
                    values = np.where(values != 0.0, values, np.nan)
                top = net.limit(kind, high, t) if high else None
                found += self.outside(values, t.names, variable, t[low] if low else None, top)
        if "loading" in self.data:
            names = tuple(self.place["grid_branch"])
            loading = np.atleast_2d(self.data["loading"].values)
            found += self.outside(loading, names, "loading", None, np.ones(len(names)))
        for kind in ("compressors", "control_valves"):
            t = net.active(kind)
            if len(t) and "pressure" in self.data:
                closed = self.pick("flow", "gas_branch", t.names) == 0.0
                p1, p2 = (
                    np.where(closed, np.nan, self.pick("pressure", "gas_node", [str(n) for n in t[end]]))
                    for end in ("from_node", "to_node")
                )
                found += self.outside(p1, t.names, "inlet_pressure", t["pressure_in_min"], None)
                found += self.outside(p2, t.names, "outlet_pressure", None, t["pressure_out_max"])
        return found

    def pick(self, variable: str, dim: str, names: Sequence[str]) -> Floats:
        """Return the values of named elements (n_time, n)."""
        at = [self.place[dim][n] for n in names]
        return np.atleast_2d(self.data[variable].values)[:, at]

    def outside(
        self, values: Floats, names: Sequence[str], quantity: str, low: Floats | None, high: Floats | None
    ) -> Iterator[Break]:
        """Yield the breaks of values (n_time, n) below `low` and above `high` (n,)."""
        for limit, sign in ((low, -1.0), (high, 1.0)):
            if limit is None:
                continue
            with np.errstate(invalid="ignore"):
                beyond = sign * (values - limit) - NEGLIGIBLE * np.maximum(np.abs(limit), 1e-3)
            worst = np.where(np.isnan(beyond), -np.inf, beyond)
            at = worst.argmax(axis=0)
            broken = [k for k in range(len(names)) if worst[at[k], k] > 0]
            broken.sort(key=lambda k: -worst[at[k], k])
            for k in broken:
                yield Break(names[k], quantity, float(values[at[k], k]), float(limit[k]), float(self.times[at[k]]))
