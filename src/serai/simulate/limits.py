# SPDX-License-Identifier: Apache-2.0
"""Which limits of the network a result keeps and which it breaks, one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from serai.system.gas import JOINING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

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
NEEDED = {variable for _, _, variable, _, _ in CHECKED} | {"loading"}


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
    times = data["time"].values if "time" in data.dims else np.array([np.nan])
    place = {str(dim): {str(n): k for k, n in enumerate(data[dim].values)} for dim in data.dims if dim != "time"}
    arrays = {str(v): np.atleast_2d(data[v].values) for v in data.data_vars if str(v) in NEEDED}
    found: list[Break] = []
    for names, quantity, values, low, high in _checks(network, arrays, place):
        for limit, beyond in _beyond(values, low, high):
            at = beyond.argmax(axis=0)
            broken = [k for k in range(len(names)) if beyond[at[k], k] > 0]
            broken.sort(key=lambda k: -beyond[at[k], k])
            found += [
                Break(names[k], quantity, float(values[at[k], k]), float(limit[k]), float(times[at[k]])) for k in broken
            ]
    return found


def breaks_by_time(network: Network, data: xr.Dataset) -> list[Break]:
    """Return every limit that a course (with a dimension `time`) reaches, the soonest first.

    `time` is when a straight line between two results crosses the limit, `value` the worst of the course.
    """
    times = data["time"].values.astype(float)
    place = {str(dim): {str(n): k for k, n in enumerate(data[dim].values)} for dim in data.dims if dim != "time"}
    arrays = {str(v): np.atleast_2d(data[v].values) for v in data.data_vars if str(v) in NEEDED}
    found: list[Break] = []
    for names, quantity, values, low, high in _checks(network, arrays, place):
        for limit, beyond in _beyond(values, low, high):
            for k in np.flatnonzero((beyond > 0.0).any(axis=0)).tolist():
                at = int(np.argmax(beyond[:, k] > 0.0))
                time = float(times[at])
                if at and np.isfinite(beyond[at - 1, k]):
                    inside = -float(beyond[at - 1, k])
                    time = float(times[at - 1] + (times[at] - times[at - 1]) * inside / (inside + beyond[at, k]))
                worst = float(values[int(np.argmax(beyond[:, k])), k])
                found.append(Break(names[k], quantity, worst, float(limit[k]), time))
    return sorted(found, key=lambda b: b.time)


def breaks_each(network: Network, arrays: Mapping[str, Floats], dims: Mapping[str, Sequence[str]]) -> list[list[Break]]:
    """Return for each of many steady states what `breaks` returns; arrays (n_state, n_element), dims their elements."""
    place = {dim: {n: k for k, n in enumerate(names)} for dim, names in dims.items()}
    found: list[list[Break]] = [[] for _ in range(len(next(iter(arrays.values()))))] if arrays else []
    for names, quantity, values, low, high in _checks(network, arrays, place):
        for limit, beyond in _beyond(values, low, high):
            for s in np.flatnonzero((beyond > 0.0).any(axis=1)).tolist():
                at = np.flatnonzero(beyond[s] > 0.0)
                broken = at[np.argsort(-beyond[s, at], kind="stable")].tolist()
                found[s] += [Break(names[k], quantity, float(values[s, k]), float(limit[k])) for k in broken]
    return found


def _checks(
    net: Network, arrays: Mapping[str, Floats], place: Mapping[str, Mapping[str, int]]
) -> Iterator[tuple[Sequence[str], str, Floats, Floats | None, Floats | None]]:
    """Yield names, quantity, values (n_state, n), lower and upper limits (n,) of every kind of limit in turn."""

    def pick(variable: str, dim: str, names: Sequence[str]) -> Floats:
        return arrays[variable][:, [place[dim][n] for n in names]]

    for kind, dim, variable, low, high in CHECKED:
        t = net.active(kind)
        if len(t) and variable in arrays:
            values = pick(variable, dim, t.names)
            if variable == "active_power":
                values = np.where(values != 0.0, values, np.nan)
            top = net.limit(kind, high, t) if high else None
            yield t.names, variable, values, t[low] if low else None, top
    if "loading" in arrays:
        names = tuple(place["grid_branch"])
        yield names, "loading", arrays["loading"], None, np.ones(len(names))
    for kind in ("compressors", "control_valves"):
        t = net.active(kind)
        if len(t) and "pressure" in arrays:
            closed = pick("flow", "gas_branch", t.names) == 0.0
            p1, p2 = (
                np.where(closed, np.nan, pick("pressure", "gas_node", [str(n) for n in t[end]]))
                for end in ("from_node", "to_node")
            )
            yield t.names, "inlet_pressure", p1, t["pressure_in_min"], None
            yield t.names, "outlet_pressure", p2, None, t["pressure_out_max"]


def _beyond(values: Floats, low: Floats | None, high: Floats | None) -> Iterator[tuple[Floats, Floats]]:
    """Yield each limit (n,) with how far values (n_state, n) are beyond it; what cannot be told is not."""
    for limit, sign in ((low, -1.0), (high, 1.0)):
        if limit is None:
            continue
        with np.errstate(invalid="ignore"):
            beyond = sign * (values - limit) - NEGLIGIBLE * np.maximum(np.abs(limit), 1e-3)
        yield limit, np.where(np.isnan(beyond), -np.inf, beyond)


def in_words(b: Break) -> str:
    """Say a break: element, quantity, value and limit in display units."""
    side = "below" if b.value < b.limit else "above"
    scale, unit, digits = {
        "pressure": (1e5, " bara", 1), "inlet_pressure": (1e5, " bara", 1), "outlet_pressure": (1e5, " bara", 1),
        "power": (1e6, " MW", 1), "active_power": (1e6, " MW", 1), "reactive_power": (1e6, " Mvar", 1),
        "loading": (1e-2, " %", 0), "magnitude": (1.0, " pu", 3), "ratio": (1.0, "", 2),
    }.get(b.quantity, (1.0, " kg/s", 1))  # fmt: skip
    quantity = b.quantity.replace("_", " ")
    return f"{b.element}: {quantity} {b.value / scale:.{digits}f}{unit}, {side} {b.limit / scale:.{digits}f}"
