# SPDX-License-Identifier: Apache-2.0
"""The volume balance of old: what goes in, less what goes out, less what the linepack gained, zone by zone.

The baseline beside the sequential test, at its best: zones end at metered stations, the linepack is that of the gauges
interpolated along the pipes, the mean of the last day is taken off (constant biases), and a sequential probability
ratio test (A. Wald, Ann. Math. Statist. 16 (1945) 117) that starts again at zero waits for a loss of some sizes, on
means of ten minutes whose spread clean days have taught. It needs no law of motion; it finds a zone, no place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from serai.simulate.certificate import density_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from serai.estimate.moving import Moving

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]

BLOCK = 10  # scans
FORGET = 144  # blocks: the mean that is taken off is that of a day
SIZES = (0.005, 0.01, 0.02, 0.05)  # of what flows through a zone: what the test waits for
ROUND = 1e-3  # weight that ties a node to its neighbours beside a gauge's 1


class VolumeBalance:
    """Balances of the zones of a filter's pipes, from the same readings.

    zones   number of a zone for each node (n,); through (n_zone,) [kg/s] that usually enters each
    """

    def __init__(self, moving: Moving) -> None:
        pipes, lo = moving.pipes, moving.layout
        g = pipes.system.gas
        start, end = g.ends()
        n = len(g.names)
        joined = coo_array((np.ones(len(start)), (start, end)), shape=(n, n))
        self.count, self.zones = connected_components(joined, directed=False)
        self.scan = pipes.scan
        self.n_flow = len(lo.flow_meters)
        usual = np.array([x.flow for x in pipes.exchanges])
        into = -np.array([np.bincount(self.zones, pipes.W[:, k], self.count) for k in range(len(usual))]).T
        self.into = into[:, lo.exchange]  # (n_zone, n_flow_meter)
        self.through = np.maximum((np.clip(into * usual, 0.0, None)).sum(1), 1e-3)
        unmetered = np.ones(len(usual), bool)
        unmetered[lo.exchange] = False
        self.rest = into[:, unmetered] @ usual[unmetered]
        self._interpolation(moving, n)

    def _interpolation(self, moving: Moving, n: int) -> None:
        """Lay out pressures of all nodes from those of the gauges: even along the pipes between them."""
        pipes, node = moving.pipes, moving.layout.node
        g = pipes.system.gas
        start, end = g.ends()
        volume = np.maximum(g.volume, 1.0)
        tie = np.zeros((n, n))
        for a, b, v in zip(start, end, volume, strict=True):
            w = ROUND * volume.max() / v
            tie[[a, b, a, b], [a, b, b, a]] += [w, w, -w, -w]
        read = np.zeros((len(node), n))
        read[np.arange(len(node)), node] = 1.0
        self.spread = np.linalg.solve(tie + read.T @ read + 1e-12 * np.eye(n), read.T)  # (n, n_gauge)
        self.storage = g.storage
        self.first = pipes.system.equations.columns["pressure"].first

    def linepack(self, gauges: Floats) -> Floats:
        """Return the gas [kg] in each zone for readings of the gauges (n_scan, n_gauge): (n_scan, n_zone)."""
        p = gauges @ self.spread.T
        out = np.zeros((len(p), self.count))
        for stamp in self.storage:
            nodes = stamp.columns[0] - self.first
            mass = np.array([stamp.get("V") * density_of(row[nodes], stamp) for row in p])
            for k, zone in enumerate(self.zones[nodes]):
                out[:, zone] += mass[:, k]
        return out

    def imbalance(self, values: Floats) -> Floats:
        """Return what is lost [kg/s] in each zone, by blocks of ten scans: (n_block, n_zone).

        values (n_scan, n_meter) as the filter takes them; a missing one keeps its last value.
        """
        z = _kept(values)
        pack = self.linepack(z[:, self.n_flow :])
        n = (len(z) - 1) // BLOCK
        flow = (z[1 : n * BLOCK + 1, : self.n_flow] @ self.into.T + self.rest).reshape(n, BLOCK, -1).mean(1)
        gained = (pack[BLOCK : n * BLOCK + 1 : BLOCK] - pack[: n * BLOCK : BLOCK]) / (BLOCK * self.scan)
        return np.asarray(flow - gained)

    @staticmethod
    def steadied(lost: Floats) -> Floats:
        """Return imbalances less the mean of the day before each block (what is constant is a bias)."""
        total = np.vstack([np.zeros(lost.shape[1]), np.cumsum(lost, axis=0)])
        k = np.arange(len(lost))
        first = np.maximum(0, k - FORGET)
        mean = (total[k] - total[first]) / np.maximum(1, k - first)[:, None]
        out = lost - mean
        out[0] = 0.0
        return out

    def evidence(self, lost: Floats, sigma: Floats) -> Floats:
        """Return the largest log-likelihood ratio (n_block, n_zone) of any size, started again at zero [Wald 1945]."""
        x = self.steadied(lost)
        best = np.zeros_like(x)
        for size in SIZES:
            delta = size * self.through
            rise = delta / sigma**2 * (x - delta / 2.0)
            s = np.zeros(x.shape[1])
            for k in range(len(x)):
                s = np.maximum(0.0, s + rise[k])
                best[k] = np.maximum(best[k], s)
        return best


def _kept(values: Floats) -> Floats:
    """Return readings (n_scan, n_meter) with the last one in place of each that is missing."""
    z = values.copy()
    row = np.where(np.isfinite(z), np.arange(len(z))[:, None], 0)
    np.maximum.accumulate(row, axis=0, out=row)
    return np.nan_to_num(z[row, np.arange(z.shape[1])[None, :]])


@dataclass(frozen=True)
class BalanceLimits:
    """What clean days have taught the volume balance: spread of each zone's imbalance, level of the evidence."""

    sigma: Floats
    level: float
