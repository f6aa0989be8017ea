# SPDX-License-Identifier: Apache-2.0
"""From readings at odd times to values on a grid, by rules that say what happens in gaps and with bad quality.

What is known at a time
- A good reading holds from its time until the next reading of its tag, good or bad, and at most `hold` seconds. Where
  nothing holds is a gap, and a gap is nan, never zero and never bridged.
- A reading with a bit of `bad` in its quality, or with the value nan, is not used as a value; it ends what held before
  it, for from then on the source itself says that it does not know.

The rules, for a bucket start <= time < end
- `mean`: the integral of what is held over the known part of the bucket, divided by the length of that part.
  `share` says how much of the bucket was known; a mean over a share of 0.01 is a mean over a hundredth of the time.
- `last`, `min`, `max`: of the good readings in the bucket; what is held over from before does not count.
- `count`: good readings in the bucket, 0 where there are none.
- `interpolation`: the value at the start of the bucket on the straight line between the good readings on both sides,
  when they are neighbours (no bad reading between) at most `hold` seconds apart; at a good reading, its value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from serai.errors import BadTimes, SeraiError
from serai.telemetry.readings import MICROSECONDS, Quality, Readings

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

# readings with one of these are not used as values; a substituted or late one is, and says so in its quality
BAD = (
    Quality.OVERFLOW
    | Quality.ELAPSED_TIME_INVALID
    | Quality.BLOCKED
    | Quality.NOT_TOPICAL
    | Quality.INVALID
    | Quality.STALE
    | Quality.OUT_OF_RANGE
    | Quality.FROZEN
    | Quality.FLATLINE
    | Quality.SPIKE
)
KINDS = ("mean", "last", "min", "max", "count", "interpolation")


@dataclass(frozen=True, slots=True)
class Rule:
    """How readings become values on a grid.

    kind   mean (time-weighted), last, min, max, count or interpolation
    hold   seconds that a reading holds without a successor
    bad    quality bits with which a reading is not used
    """

    kind: str
    hold: float
    bad: Quality = BAD

    def __post_init__(self) -> None:
        """Refuse rules that say nothing."""
        if self.kind not in KINDS:
            msg = f"rule {self.kind!r}: it is one of {', '.join(KINDS)}"
            raise SeraiError(msg)
        if not 0 < self.hold < np.inf:
            msg = f"rule {self.kind}: hold must be a number of seconds above 0, got {self.hold}"
            raise SeraiError(msg)

    @property
    def looks_ahead(self) -> bool:
        """Whether readings after the end of the grid matter."""
        return self.kind == "interpolation"


@dataclass(frozen=True, slots=True)
class Resampled:
    """Values on a grid.

    tags    (n_tag,)
    times   starts of the buckets, (n,) [µs since 1970 UTC]; the step is the same throughout
    value   (n_tag, n), SI; nan = a gap (0 for `count`)
    share   (n_tag, n): part of the bucket in which a good reading held, 0 to 1
    bad     (n_tag, n): readings in the bucket that were not used
    rule    how it was made
    """

    tags: tuple[str, ...]
    times: NDArray[np.int64]
    value: NDArray[np.float64]
    share: NDArray[np.float64]
    bad: NDArray[np.int64]
    rule: Rule

    def to_xarray(self) -> xr.Dataset:
        """Return it as a dataset of dims tag and time."""
        import xarray as xr  # noqa: PLC0415 - slow to import, and writers and readers of history do without

        dims = ("tag", "time")
        return xr.Dataset(
            {"value": (dims, self.value), "share": (dims, self.share), "bad": (dims, self.bad)},
            coords={"tag": list(self.tags), "time": self.times.astype("datetime64[us]")},
            attrs={"rule": self.rule.kind, "hold_seconds": self.rule.hold, "bad_quality": int(self.rule.bad)},
        )


def grid(start: int, end: int, step: float) -> NDArray[np.int64]:
    """Return the edges of the buckets, (n + 1,) [µs]: whole steps from start until end is covered.

    Raises BadTimes where there is no bucket, or more than ten million.
    """
    width = round(step * MICROSECONDS)
    if width <= 0 or start >= end or (end - start) // width > 10_000_000:
        msg = f"no grid from {start} to {end} µs in steps of {step} s: give a start before the end and a step above 0"
        raise BadTimes(msg)
    n = -(-(end - start) // width)
    return start + width * np.arange(n + 1, dtype=np.int64)


def resample(readings: Readings, tags: Sequence[str], edges: NDArray[np.int64], rule: Rule) -> Resampled:
    """Return readings (by tag and then time, each time once) on a grid of edges (n + 1,) [µs]."""
    shape = (len(tags), len(edges) - 1)
    value, share, bad = np.full(shape, np.nan), np.zeros(shape), np.zeros(shape, np.int64)
    good = ((readings.quality & np.uint16(rule.bad)) == 0) & ~np.isnan(readings.value)
    for k, number in enumerate(readings.register.numbers(tags).tolist()):
        low, high = np.searchsorted(readings.tag, [number, number + 1])
        t, v, ok = readings.time[low:high], readings.value[low:high], good[low:high]
        mean, share[k] = _held(t, v, ok, edges, rule.hold)
        bad[k] = np.diff(np.searchsorted(t[~ok], edges))
        if rule.kind == "mean":
            value[k] = mean
        elif rule.kind == "interpolation":
            value[k] = _between(t, v, ok, edges[:-1], rule.hold)
        else:
            value[k] = _inside(t[ok], v[ok], edges, rule.kind)
    return Resampled(tuple(tags), edges[:-1], value, share, bad, rule)


def _held(
    t: NDArray[np.int64], v: NDArray[np.float64], ok: NDArray[np.bool_], edges: NDArray[np.int64], hold: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean of what is held, and the share of time in which something is, of each bucket, (n,) each.

    With F(x) the integral of what is held up to x and K(x) the time for which something is, the mean over a bucket is
    the difference of F divided by the difference of K.
    """
    n = len(edges) - 1
    if not len(t):
        return np.full(n, np.nan), np.zeros(n)
    following = np.r_[t[1:], np.iinfo(np.int64).max]
    length = np.where(ok, np.minimum(following - t, round(hold * MICROSECONDS)), 0)
    middle = float(np.mean(v[ok])) if ok.any() else 0.0  # integrals of what differs from the middle lose no digits
    height = np.where(ok, v - middle, 0.0)
    area, known = np.r_[0.0, np.cumsum(height * length)], np.r_[0, np.cumsum(length)]
    which = np.searchsorted(t, edges, side="right") - 1  # the reading that holds at an edge
    at = np.maximum(which, 0)
    inside = np.where(which >= 0, np.clip(edges - t[at], 0, length[at]), 0)
    area_to = np.where(which >= 0, area[at] + height[at] * inside, 0.0)
    known_to = np.where(which >= 0, known[at] + inside, 0)
    time = np.diff(known_to)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(time > 0, np.diff(area_to) / time + middle, np.nan)
    return mean, time / np.diff(edges)


def _between(
    t: NDArray[np.int64], v: NDArray[np.float64], ok: NDArray[np.bool_], at: NDArray[np.int64], hold: float
) -> NDArray[np.float64]:
    """Return the value at times `at` (n,) on the lines between neighbouring good readings, nan where there is none."""
    out = np.full(len(at), np.nan)
    if not len(t):
        return out
    k = np.searchsorted(t, at, side="right") - 1
    i, j = np.maximum(k, 0), np.minimum(k + 1, len(t) - 1)
    exact = (k >= 0) & (t[i] == at) & ok[i]
    gap = t[j] - t[i]
    line = (k >= 0) & (j > k) & ok[i] & ok[j] & (gap > 0) & (gap <= round(hold * MICROSECONDS)) & ~exact
    out[exact] = v[i][exact]
    weight = (at[line] - t[i][line]) / gap[line]
    out[line] = (1.0 - weight) * v[i][line] + weight * v[j][line]
    return out


def _inside(t: NDArray[np.int64], v: NDArray[np.float64], edges: NDArray[np.int64], kind: str) -> NDArray[np.float64]:
    """Return the last, lowest, highest or number of the good readings (t, v) in each bucket, (n,)."""
    first = np.searchsorted(t, edges)
    count = np.diff(first)
    if kind == "count":
        return count.astype(np.float64)
    out = np.full(len(count), np.nan)
    full = count > 0
    if kind == "last":
        out[full] = v[first[1:][full] - 1]
    elif full.any():
        fold = np.minimum if kind == "min" else np.maximum
        # reduceat folds from each start to the next; the starts of full buckets follow each other without a gap
        out[full] = fold.reduceat(v[: first[-1]], first[:-1][full])
    return out
