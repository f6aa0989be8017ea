# SPDX-License-Identifier: Apache-2.0
"""Readings that were sent before: the noise of a meter never repeats, so a sequence that does is played again.

Of each meter the scans of the last day are kept. A run of scans that equal, one by one, those of one earlier time has a
chance: of every scan the share of the kept ones that equal it as well (a coarse meter repeats itself often), multiplied
along the run, times the number of times at which it could have begun. A meter that stands still is no run. Runs of
several meters that were sent at one earlier time are one sequence: their chances are multiplied, times the number of
ways to choose so many meters, so that a station that is played again is told by its second scan.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import gammaln

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]

KEPT = 1440  # scans
FEWEST = 4  # scans of a run of one meter
TOGETHER = 2  # ... and of several that were sent at one time


@dataclass
class Replays:
    """Watches readings (n_meter,) scan by scan.

    chance   below which a run is told: of one meter and scan
    kept     last scans (KEPT, n_meter); count of them
    lag, run, log    of every meter: how many scans ago its present run was sent, how long it is, log of its chance
    """

    size: int
    chance: float
    kept: Floats = field(init=False)
    count: int = 0
    lag: Ints = field(init=False)
    run: Ints = field(init=False)
    log: Floats = field(init=False)

    def __post_init__(self) -> None:
        """Begin with nothing kept."""
        self.kept = np.full((KEPT, self.size), np.nan)
        self.lag, self.run = np.zeros(self.size, np.intp), np.zeros(self.size, np.intp)
        self.log = np.zeros(self.size)

    def scan(self, values: Floats) -> NDArray[np.bool_]:
        """Take one scan (n_meter,), nan where there is none; tell which meters are being played again."""
        n = min(self.count, KEPT)
        order = (self.count - 1 - np.arange(n)) % KEPT  # row of the scan 1, 2 .. n scans ago
        same = self.kept[order] == values[None, :]
        still = same[0] if n else np.zeros(self.size, bool)
        heard = np.isfinite(values)
        share = np.log((same.sum(0) + 1.0) / (n + 1.0))
        goes_on = heard & ~still & (self.lag > 0) & (self.lag <= n)
        goes_on[goes_on] = same[self.lag[goes_on] - 1, np.flatnonzero(goes_on)]
        begins = heard & ~still & ~goes_on & same.any(0)
        self.lag = np.where(goes_on, self.lag, np.where(begins, same.argmax(0) + 1 if n else 0, self.lag * ~heard))
        self.run = np.where(goes_on, self.run + 1, np.where(begins, 1, self.run * ~heard))
        self.log = np.where(goes_on, self.log + share, np.where(begins, share, self.log * ~heard))
        told = (self.run >= FEWEST) & (self.log + np.log(max(n, 1)) < np.log(self.chance))
        for lag in self._together(n):
            told |= (self.lag == lag) & (self.run >= TOGETHER)
            joins = heard & ~still & same[lag - 1] & (self.lag != lag)
            self.lag[joins], self.run[joins], self.log[joins] = lag, 1, share[joins]
        self.kept[self.count % KEPT] = values
        self.count += 1
        return np.asarray(told)

    def _together(self, n: int) -> list[int]:
        """Return how many scans ago the sequences were sent that several meters repeat; n scans are kept."""
        runs = self.run >= TOGETHER
        if not runs.any():
            return []
        lags, of = np.unique(self.lag[runs], return_inverse=True)
        many = np.bincount(of)
        ways = gammaln(self.size + 1.0) - gammaln(many + 1.0) - gammaln(self.size - many + 1.0)
        log = np.bincount(of, self.log[runs]) + ways + np.log(max(n, 1))
        return [int(lag) for lag in lags[(many > 1) & (log < np.log(self.chance))]]

    def save(self) -> dict[str, Any]:
        """Return what `restore` takes."""
        names = ("count", "kept", "lag", "run", "log")
        return {k: (v.tolist() if isinstance(v := getattr(self, k), np.ndarray) else v) for k in names}

    def restore(self, saved: dict[str, Any]) -> None:
        """Take up what was kept."""
        self.count = int(saved["count"])
        self.kept, self.log = np.array(saved["kept"], float), np.array(saved["log"], float)
        self.lag, self.run = np.array(saved["lag"], np.intp), np.array(saved["run"], np.intp)
