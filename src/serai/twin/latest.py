# SPDX-License-Identifier: Apache-2.0
"""The newest reading of every tag: bounded by the number of tags, brought up to date batch by batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from serai.telemetry.readings import MICROSECONDS, Quality, Readings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from serai.network.instruments import Instrument
    from serai.telemetry.readings import Register

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

NEVER = np.iinfo(np.int64).min
# what makes a reading unfit to be weighed: what says how it came (late, twice, out of order) does not
USELESS = np.uint16(
    Quality.INVALID | Quality.NOT_TOPICAL | Quality.BLOCKED | Quality.OVERFLOW | Quality.STALE | Quality.FROZEN
    | Quality.OUT_OF_RANGE | Quality.FLATLINE
)  # fmt: skip
SUSPECT = np.uint16(Quality.SPIKE | Quality.CLOCK_SKEW | Quality.SUBSTITUTED | Quality.OUT_OF_ORDER)


class Latest:
    """The newest reading of every instrument, in columns (n_tag,) in the order of `instruments`.

    value     SI, nan = none yet
    time      of the source [µs since 1970 UTC], NEVER = none yet; `received` when it came
    quality   flags as they came; `quality_at` adds STALE to what is overdue
    taken     readings taken in all; late: older than what was there already, so not shown
    """

    def __init__(self, instruments: Sequence[Instrument], register: Register, *, patience: float = 3.0) -> None:
        """Follow instruments; `patience`: scans, and at least 10 s, after which a reading is stale."""
        n = len(instruments)
        self.instruments = tuple(instruments)
        self.tags = tuple(i.tag for i in instruments)
        self.place = {tag: k for k, tag in enumerate(self.tags)}
        self.register = register
        self.number = register.numbers(self.tags)
        self.value, self.quality = np.full(n, np.nan), np.zeros(n, np.uint16)
        self.low, self.high = np.full(n, np.nan), np.full(n, np.nan)
        self.time, self.received = np.full(n, NEVER, np.int64), np.full(n, NEVER, np.int64)
        self.sigma = np.array([i.sigma for i in instruments])
        self.share = np.array([i.share for i in instruments])
        stale = [max(patience * i.scan, 10.0) for i in instruments]
        self.stale = (np.array(stale) * MICROSECONDS).astype(np.int64)
        self.taken = self.late = 0
        self._of = np.empty(0, np.intp)
        self._begun = np.iinfo(np.int64).max

    def __len__(self) -> int:
        return len(self.tags)

    def take(self, batch: Readings) -> int:
        """Take a batch in any order; return the newest source time in it, or NEVER."""
        if len(self._of) != len(self.register):
            self._of = np.full(len(self.register), -1, np.intp)
            self._of[self.number] = np.arange(len(self.tags))
        rows = np.flatnonzero(self._of[batch.tag] >= 0)
        self.taken += len(rows)
        if not len(rows):
            return NEVER
        at, time = self._of[batch.tag[rows]], batch.time[rows]
        order = np.lexsort((time, at))  # of equal times the one that came last
        last = order[np.r_[at[order][1:] != at[order][:-1], True]]
        newer = time[last] >= self.time[at[last]]
        self.late += int((~newer).sum())
        to, of = at[last][newer], rows[last[newer]]
        self.value[to], self.time[to] = batch.value[of], batch.time[of]
        self.quality[to], self.received[to] = batch.quality[of], batch.received[of]
        return int(time.max())

    def quality_at(self, now: int) -> NDArray[np.uint16]:
        """Return the quality of every tag at a time [µs]: STALE where it is overdue (n_tag,).

        What never came is overdue when it would have come, counted from the first look.
        """
        self._begun = min(self._begun, now)
        quality = self.quality.copy()
        overdue = now - np.maximum(self.time, self._begun) > self.stale
        quality[overdue] |= np.uint16(Quality.STALE)
        return quality

    def hold(self, limits: Mapping[tuple[str, str], tuple[float, float]]) -> None:
        """Hold every reading to the limits [SI, nan = none] of what it measures, by (quantity, element)."""
        for k, i in enumerate(self.instruments):
            self.low[k], self.high[k] = limits.get((i.quantity, i.where), (np.nan, np.nan))

    def beyond(self, quality: NDArray[np.uint16]) -> Flags:
        """Tell which instruments read something usable beyond its limit (n_tag,)."""
        with np.errstate(invalid="ignore"):
            found = (self.value < self.low) | (self.value > self.high)
        return np.asarray(found & ((quality & USELESS) == 0))

    def sigma_of(self, which: NDArray[np.intp]) -> Floats:
        """Return the standard deviation [SI] of the newest readings of some instruments."""
        return np.asarray(np.hypot(self.sigma[which], self.share[which] * self.value[which]))

    def batch(self, which: NDArray[np.intp]) -> Readings:
        """Return the newest readings of some instruments."""
        w = which
        return Readings(self.register, self.number[w], self.time[w], self.value[w], self.quality[w], self.received[w])

    def tally(self, quality: NDArray[np.uint16]) -> dict[str, int]:
        """Count instruments by what is said of them: good, suspect, stale, bad, total."""
        stale = (quality & np.uint16(Quality.STALE)) != 0
        bad = ((quality & USELESS) != 0) & ~stale
        suspect = ((quality & SUSPECT) != 0) & ~stale & ~bad
        counts = {"suspect": int(suspect.sum()), "stale": int(stale.sum()), "bad": int(bad.sum())}
        return {"good": len(self) - sum(counts.values()), **counts, "total": len(self)}
