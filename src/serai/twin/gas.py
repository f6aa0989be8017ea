# SPDX-License-Identifier: Apache-2.0
"""What the gas filter knows, as values of elements: estimates at a scan, predictions between two, standard deviations.

The filter (`serai.estimate.moving`) takes a scan a minute. Between two scans its own forecast, one implicit step of the
exact laws, is the prediction: pressures and linepack go straight from the estimate to the forecast. Where scans stay
out, further steps follow with the exchanges that were estimated last.

Variances follow from the covariance P of the filter after its update, P - K V K'. Of a flow through a pipe

    dw/w = (p1 dp1 - p2 dp2) / (p1^2 - p2^2)

which is the momentum law without inertia, w|w| ~ p1^2 - p2^2; of linepack g'Pg with g = V drho/dp.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

from serai.simulate.certificate import density_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from serai.estimate.moving import Moving

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]

Key = tuple[str, str]  # quantity, element
PREDICTED = 30  # scans that are predicted at most: then the state is not known
LEVEL = 1e-3  # relative difference of the squares of pressures below which a flow's sigma is not said


@dataclass(frozen=True, slots=True)
class GasSeen:
    """The gas at one scan and one scan later.

    time       of the scan [s since 1970 UTC]; steps: predicted scans since the last real one
    values     (n_key,) SI at `time`;  after  one scan later;  sigma  standard deviations, nan = not said
    linepack   [kg] now and one scan later, and its sigma
    """

    time: float
    steps: int
    values: Floats
    after: Floats
    sigma: Floats
    linepack: tuple[float, float]
    linepack_sigma: float
    x: Floats  # state of the forecast, for the next one
    u: Floats
    e: Floats

    def at(self, time: float, scan: float) -> Floats:
        """Return the values at a time [s since 1970 UTC] up to two scans later, on a straight line (n_key,)."""
        share = min(max((time - self.time) / scan, 0.0), 2.0)
        return np.asarray((1.0 - share) * self.values + share * self.after)

    def linepack_at(self, time: float, scan: float) -> float:
        """Return the linepack [kg] at a time."""
        share = min(max((time - self.time) / scan, 0.0), 2.0)
        return (1.0 - share) * self.linepack[0] + share * self.linepack[1]


class GasSight:
    """Reads a filter: `keys` (quantity, element) are what it knows, in this order.

    moving   the filter; it is only read, and not while it takes a scan
    """

    def __init__(self, moving: Moving) -> None:
        self.moving = moving
        pipes = moving.pipes
        g = pipes.system.gas
        self.scan = pipes.scan
        nodes = [("pressure", n) for n in pipes.nodes[: pipes.shown]]
        taken = [(x.quantity, x.where) for x in pipes.exchanges]
        through = [("flow", n) for n in pipes.pipes]
        self.keys: tuple[Key, ...] = (*nodes, *taken, *through)
        self.place: Mapping[Key, int] = {key: k for k, key in enumerate(self.keys)}
        flow = pipes.system.equations.columns["flow"]
        edge = [flow.index.get(n, flow.index.get(f"{n} [cell 1]", -1)) for n in pipes.pipes]
        self._flow = np.array(edge, np.intp)
        start, end = g.ends()
        first = {e.element: k for k, e in reversed(list(enumerate(g.edges))) if e.kind == "pipes"}
        self._ends = np.array([(start[first[n]], end[first[n]]) for n in pipes.pipes], np.intp).reshape(-1, 2)
        self._kept: tuple[tuple[int, int], Floats] | None = None

    def see(self, time: float) -> GasSeen:
        """Return the state after the scan that the filter has taken at a time [s since 1970 UTC]."""
        s = self.moving.state
        return self._seen(time, 0, s.x, s.u, s.e)

    def state(self, seen: GasSeen) -> dict[str, dict[str, float]]:
        """Return pressures [Pa] of all nodes and flows [kg/s] of pipes, one scan on: quantity -> element -> value."""
        found: dict[str, dict[str, float]] = {"pressure": {}, "flow": {}}
        pipes = set(self.moving.pipes.pipes)
        for (quantity, name), value in zip(self.keys, seen.after.tolist(), strict=True):
            if quantity == "pressure" or (quantity == "flow" and name in pipes):
                found[quantity][name] = value
        return found

    def further(self, seen: GasSeen) -> GasSeen:
        """Return the prediction one scan on: no readings came."""
        return self._seen(seen.time + self.scan, seen.steps + 1, seen.x, seen.u, seen.e)

    def _seen(self, time: float, steps: int, x: Floats, u: Floats, e: Floats) -> GasSeen:
        pipes = self.moving.pipes
        after = pipes.step(x, u, e)
        p, q = pipes.pressures(x), pipes.pressures(after)
        flows = after[self._flow]  # those of the step that begins here: consistent with the pressures as updated
        shown = pipes.shown
        packed, slope = self._packed(x)
        sigma, of_linepack = self._sigma(p, flows, slope)
        if steps > 1:  # the gain was laid out for scans that come
            sigma, of_linepack = np.full(len(sigma), np.nan), float("nan")
        return GasSeen(
            time, steps, np.concatenate([p[:shown], u, flows]), np.concatenate([q[:shown], u, flows]), sigma,
            (packed, self._packed(after)[0]), of_linepack, after, u, e,
        )  # fmt: skip

    def _packed(self, x: Floats) -> tuple[float, Floats]:
        """Return the linepack [kg] of a state and its slope in the pressure of every node (n,)."""
        pipes = self.moving.pipes
        first = pipes.system.equations.columns["pressure"].first
        total, slope = 0.0, np.zeros(len(pipes.nodes))
        for stamp in pipes.system.gas.storage:
            at = stamp.columns[0]
            volume = stamp.get("V")
            total += float((volume * density_of(x[at], stamp)).sum())
            rise = (density_of(x[at] + 1.0, stamp) - density_of(x[at] - 1.0, stamp)) / 2.0
            np.add.at(slope, at - first, volume * rise)
        return total, slope

    def covariance(self) -> Floats:
        """Return the covariance of the filter's state after the update of its present gain (n_state, n_state)."""
        k = self.moving.stage()
        key = (id(self.moving.stages), k)
        if self._kept is None or self._kept[0] != key:
            s = self.moving.stages[k]
            self._kept = key, s.P - s.K @ (s.V @ s.K.T)
        return self._kept[1]

    def _sigma(self, p: Floats, flows: Floats, slope: Floats) -> tuple[Floats, float]:
        whole, lo = self.covariance(), self.moving.layout
        own = np.sqrt(np.maximum(np.diag(whole), 0.0))
        of_p = whole[lo.p, lo.p]
        a, b = self._ends.T
        level = p[a] ** 2 - p[b] ** 2
        sure = np.abs(level) > LEVEL * p[a] ** 2
        with np.errstate(divide="ignore", invalid="ignore"):
            ka, kb = flows * p[a] / level, -flows * p[b] / level
            variance = ka**2 * of_p[a, a] + kb**2 * of_p[b, b] + 2.0 * ka * kb * of_p[a, b]
        of_flow = np.where(sure, np.sqrt(np.maximum(variance, 0.0)), np.nan)
        shown = self.moving.pipes.shown
        packed = sqrt(max(float(slope @ of_p @ slope), 0.0))
        return np.concatenate([own[lo.p][:shown], own[lo.u], of_flow]), packed

    def sum_sigma(self, which: Mapping[Key, float]) -> float:
        """Return the standard deviation of a sum of exchanges with factors, by (quantity, element) [kg/s]."""
        lo, shown = self.moving.layout, self.moving.pipes.shown
        w = np.zeros(lo.u.stop - lo.u.start)
        for key, factor in which.items():
            w[self.place[key] - shown] += factor
        return sqrt(max(float(w @ self.covariance()[lo.u, lo.u] @ w), 0.0))
