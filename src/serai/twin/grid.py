# SPDX-License-Identifier: Apache-2.0
"""What the meters of the grid tell at one electric scan: the estimate alone, quick enough for every scan.

The grid is estimated without its plants and drives: what couples it with the gas is tested by the diagnosis, on a
slower beat, and a gas reading of a minute ago says nothing about a second of the grid.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import chi2

from serai.errors import SeraiError
from serai.estimate import Estimator
from serai.estimate.given import Given, Tags
from serai.estimate.meters import Functions, Meter
from serai.network.branches import ENDS
from serai.network.tables import Table, table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from serai.estimate import Estimate
    from serai.network import Network
    from serai.twin.latest import Latest

    Floats = NDArray[np.float64]

Key = tuple[str, str]
SURE = 0.01  # probability with which a scan in which nothing is wrong passes the limit of J
EVERY = 10  # scans between two looks at the standard deviations: they change with the meters that read, not the values
RESULTS = (  # variable of results, its dimension, what an instrument calls it
    ("magnitude", "bus", "magnitude"), ("angle", "bus", "angle"),
    ("active_power", "generator", "active_power"), ("reactive_power", "generator", "reactive_power"),
    ("drawn", "load", "active_power"), ("drawn_reactive", "load", "reactive_power"),
    ("active_power_from", "grid_branch", "active_power_from"), ("active_power_to", "grid_branch", "active_power_to"),
    ("reactive_power_from", "grid_branch", "reactive_power_from"),
    ("reactive_power_to", "grid_branch", "reactive_power_to"), ("loading", "grid_branch", "loading"),
)  # fmt: skip


def grid_of(network: Network) -> Network | None:
    """Return the grid of a network with its own instruments; None where there is none.

    The motors of compressor stations become loads, named after their stations' drives, with the meters of the motors.
    """
    if not len(network.active("buses")):
        return None
    kinds = ("buses", "loads", "generators", "shunts", "switches", "hvdc_links", *ENDS)
    tables = {k: t for k, t in network.tables.items() if k in kinds}
    drives = network.active("drives")
    motors = {str(drives["compressor"][k]): n for k, n in enumerate(drives.names)
              if drives["kind"][k] == "electric motor"}  # fmt: skip
    if motors:
        rows = [{"name": n, "bus": str(drives["bus"][drives.row(n)])} for n in motors.values()]
        tables["loads"] = _together(network["loads"], table("loads", rows))
    meters = network["instruments"]
    if len(meters):
        tables["instruments"] = _own(network, meters, tables, motors)
    return replace(network, tables=tables, _kinds={})


def _together(first: Table, more: Table) -> Table:
    """Return two tables of one kind as one; columns that the second does not have stay behind."""
    columns = {c: np.concatenate([first[c], more[c]]) for c in more.columns if c in first.columns}
    return Table(first.kind, columns) if len(first) else more


def _own(network: Network, meters: Table, tables: Mapping[str, Table], motors: Mapping[str, str]) -> Table:
    """Return the instruments of the grid; what a station's motors draw is read of the load that stands for them."""
    where, quantity = (meters[c].astype(object) for c in ("where", "quantity"))
    mine = np.zeros(len(meters), bool)
    for k, (name, what) in enumerate(zip(where, quantity, strict=True)):
        if what == "drive_power" and name in motors:
            where[k], quantity[k], mine[k] = motors[str(name)], "active_power", True
        else:
            mine[k] = network.kind_of(str(name)) in tables
    columns = {c: meters[c] for c in meters.columns} | {"where": where.astype(str), "quantity": quantity.astype(str)}
    return Table(meters.kind, columns).where(mine)


@dataclass(frozen=True, slots=True)
class GridSeen:
    """The grid at one scan.

    time      of the scan [s since 1970 UTC]
    values    (n_key,) SI; sigma (n_key,), nan = not said
    losses    [W], load, made [W] with their standard deviations
    objective, limit   J of the scan and what it passes once in `1 / SURE` scans in which nothing is wrong
    """

    time: float
    values: Floats
    sigma: Floats
    totals: Mapping[str, tuple[float, float]]
    objective: float
    limit: float


class GridSight:
    """Estimates the grid scan by scan; `keys` (quantity, element) are what it knows, in this order."""

    def __init__(self, network: Network, latest: Latest) -> None:
        """Lay the matrix out. `latest` holds the instruments, of which those of the grid are taken."""
        grid = grid_of(network)
        if grid is None:
            raise SeraiError(f"{network.name} has no grid")
        self.network = grid
        self._tags = Tags(grid)
        places = [(latest.place.get(m.tag, -1), m) for m in self._tags.meters]
        self._at = np.array([k for k, _ in places if k >= 0], np.intp)
        self.meters = [m for k, m in places if k >= 0]
        self.estimator = Estimator(grid, self.meters)
        self._latest = latest
        self._scan = np.array([latest.instruments[k].scan for k in self._at])
        self.keys: tuple[Key, ...] = self._listed()
        self.place = {key: k for k, key in enumerate(self.keys)}
        self._count = 0
        self._sigma = np.full(len(self.keys), np.nan)
        self._spread: dict[str, float] = {}

    def _listed(self) -> tuple[Key, ...]:
        names = {"bus": ("buses",), "generator": ("generators",), "load": ("loads",), "grid_branch": tuple(ENDS)}
        dims = {d: [n for kind in kinds for n in self.network.active(kind).names] for d, kinds in names.items()}
        return tuple((quantity, n) for _, d, quantity in RESULTS for n in dims[d])

    def read(self, quality: NDArray[np.uint16], useless: np.uint16) -> Given:
        """Return the newest readings of the grid that are fit to be weighed, each with its own time."""
        at, latest = self._at, self._latest
        sigma = latest.sigma_of(at)
        good = ((quality[at] & useless) == 0) & np.isfinite(latest.value[at]) & (sigma > 0.0)
        which = np.flatnonzero(good)
        out = Given()
        out.meters = [self.meters[k] for k in which.tolist()]
        out.values, out.sigmas = latest.value[at[which]].tolist(), sigma[which].tolist()
        out.times = (latest.time[at[which]] / 1e6).tolist()
        return out

    def see(self, found: Given, time: float) -> GridSeen | None:
        """Estimate one scan; None where there is no answer."""
        e = self.estimator.run(found)
        if not e.converged:
            return None
        d = e.state.dataset
        values = np.full(len(self.keys), np.nan)
        for variable, dim, quantity in RESULTS:
            if variable not in d:
                continue
            for name, value in zip(d[dim].values.tolist(), d[variable].values.tolist(), strict=True):
                k = self.place.get((quantity, name))
                if k is not None:
                    values[k] = value
        if self._count % EVERY == 0:
            self._look(e)
        self._count += 1
        totals = {"losses": float(d["losses"]), "load": float(np.nansum(d["drawn"].values)),
                  "made": float(np.nansum(d["active_power"].values))}  # fmt: skip
        blind = {q for q, _ in e.unobservable}
        if blind:  # a sum of what is only partly known is not known
            totals = dict.fromkeys(totals, float("nan"))
        freedom = e.degrees_of_freedom
        limit = float(chi2.isf(SURE, freedom)) if freedom > 0 else float("nan")
        spread = {k: (v, self._spread.get(k, float("nan"))) for k, v in totals.items()}
        return GridSeen(time, values, self._sigma, spread, e.objective, limit)

    def _look(self, e: Estimate) -> None:
        """Take the standard deviations of what is metered, and of the totals."""
        sigma = np.full(len(self.keys), np.nan)
        variance = np.maximum(e.sigmas**2 - e.omega, 0.0)
        for m, v in zip(e.meters, variance.tolist(), strict=True):
            k = self.place.get((m.quantity, m.where))
            if k is not None:
                sigma[k] = np.sqrt(v)
        self._sigma = sigma
        made = [Meter("active_power", n) for n in self.network.active("generators").names]
        load = [Meter("active_power", n) for n in self.network.active("loads").names]
        self._spread = {
            "made": sum_sigma(e, made, [1.0] * len(made)), "load": sum_sigma(e, load, [1.0] * len(load)),
            "losses": sum_sigma(e, made + load, [1.0] * len(made) + [-1.0] * len(load)),
        }  # fmt: skip


def sum_sigma(e: Estimate, meters: Sequence[Meter], factors: Sequence[float]) -> float:
    """Return the standard deviation [SI] of a sum of measurable quantities: s'K^-1 s with the slopes s of the sum."""
    p = e._ready()  # noqa: SLF001 - the factors of this estimate, as `Estimate.sigma` uses them
    functions = Functions(p.frame, meters)
    _, slopes = functions.bind(p.laws.x)()
    place = np.full(len(e.x), -1)
    place[p.free] = np.arange(p.n)
    at = place[functions.columns]
    running = ~functions.idle[functions.rows]
    inside = (at >= 0) & running
    rhs = np.zeros(p.n + p.m)
    np.add.at(rhs, at[inside], (np.asarray(factors)[functions.rows] * slopes * p.unit[at])[inside])
    return float(np.sqrt(max(float(rhs @ p.lu.solve(rhs)), 0.0))) if rhs.any() else 0.0
