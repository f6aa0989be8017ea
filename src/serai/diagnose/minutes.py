# SPDX-License-Identifier: Apache-2.0
"""Readings of any order put to scans of a minute, by one rule.

A reading belongs to the full minute nearest to the time at which its source took it; of several of one meter in one
scan the latest counts. A scan is closed when a reading comes that was taken more than half a minute and GRACE behind
it; what comes later is late. Readings of bad quality, of tags that are no instruments and from the future are left out.
All of these are counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from serai.estimate.given import TOLERATED, Tags
from serai.telemetry.readings import MICROSECONDS, Counts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from serai.telemetry.readings import Readings

    Floats = NDArray[np.float64]

SCAN = 60  # s
GRACE = 5.0  # s
AHEAD = 60.0  # s: what was taken so long after it arrived has a clock that is wrong


class Minutes:
    """Collects readings until their scan is closed.

    tags    the instruments of a case (`serai.estimate.given.Tags`)
    last    number of the last scan that was closed (minutes since 1970 UTC), -1 = none yet
    counts  readings taken, late, useless, of unknown tags, from the future, superseded
    """

    def __init__(self, tags: Tags) -> None:
        self.tags = tags
        self.last = -1
        self.counts = Counts("diagnosis")
        self._open: dict[int, tuple[Floats, NDArray[np.int64]]] = {}
        self._mark = 0

    def add(self, readings: Readings) -> Iterator[tuple[int, Floats]]:
        """Take a batch; yield every scan that it closes: its minute and the values (n_instrument,), nan = none."""
        if not len(readings):
            return
        number = self.tags.of(readings.register)[readings.tag]
        bad = (readings.quality & ~np.uint16(int(TOLERATED))) != 0
        bad |= ~np.isfinite(readings.value)
        ahead = (readings.received > 0) & (readings.time > readings.received + int(AHEAD * MICROSECONDS))
        minute = (readings.time + SCAN * MICROSECONDS // 2) // (SCAN * MICROSECONDS)
        late = minute <= self.last
        fit = (number >= 0) & ~bad & ~ahead & ~late
        told = number >= 0
        for name, rows in (
            ("unknown tag", number < 0), ("useless", told & bad), ("from the future", told & ~bad & ahead),
            ("late", told & ~bad & ~ahead & late), ("taken", fit),
        ):  # fmt: skip
            if rows.any():
                self.counts.add(name, int(rows.sum()))
        self._put(number[fit], minute[fit], readings.time[fit], readings.value[fit])
        right = ~ahead & told
        if right.any():
            self._mark = max(self._mark, int(readings.time[right].max()))
        yield from self._close((self._mark - int(GRACE * MICROSECONDS)) / MICROSECONDS / SCAN - 0.5)

    def rest(self) -> Iterator[tuple[int, Floats]]:
        """Close and yield all scans that are open: nothing more will come."""
        yield from self._close(float("inf"))

    def save(self) -> dict[str, Any]:
        """Return the scans that are open, as lists; `restore` takes them."""
        scans = [
            [m, [[int(k), float(v[k]), int(t[k])] for k in np.flatnonzero(np.isfinite(v))]]
            for m, (v, t) in self._open.items()
        ]
        return {"last": self.last, "mark": self._mark, "open": scans}

    def restore(self, saved: dict[str, Any]) -> None:
        """Take up what was kept."""
        self.last, self._mark, self._open = int(saved["last"]), int(saved["mark"]), {}
        for m, rows in saved["open"]:
            values, times = self._scan(int(m))
            for k, v, t in rows:
                values[k], times[k] = v, t

    def _scan(self, minute: int) -> tuple[Floats, NDArray[np.int64]]:
        n = len(self.tags.meters)
        return self._open.setdefault(minute, (np.full(n, np.nan), np.zeros(n, np.int64)))

    def _put(self, number: NDArray[np.intp], minute: NDArray[np.int64], time: NDArray[np.int64], value: Floats) -> None:
        for m in np.unique(minute).tolist():
            values, times = self._scan(m)
            mine = np.flatnonzero(minute == m)
            mine = mine[np.argsort(time[mine], kind="stable")]
            newer = mine[time[mine] >= times[number[mine]]]
            known = int(np.isfinite(values[np.unique(number[mine])]).sum())
            superseded = len(mine) - len(np.unique(number[mine])) + known
            if superseded:
                self.counts.add("superseded", superseded)
            values[number[newer]], times[number[newer]] = value[newer], time[newer]

    def _close(self, until: float) -> Iterator[tuple[int, Floats]]:
        for m in sorted(k for k in self._open if k <= until):
            values, _ = self._open.pop(m)
            self.last = m
            yield m, values
