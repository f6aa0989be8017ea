# SPDX-License-Identifier: Apache-2.0
"""Quality: what is found against readings on their way in. Flags are added, nothing is removed, each is counted.

Every rule looks at the readings of one tag in the order in which they came, so it finds the same in one large batch as
in many small ones:

STALE         older than `stale_scans` scans when it came; tags that send nothing are told by `silent`
OUT_OF_RANGE  outside the span by more than 1.25 % below or 3.125 % above: NAMUR NE 43, where a transmitter's failure
              signal begins
FROZEN        exactly the same number for `frozen_scans` scans, from a meter that has noise
FLATLINE      over `WINDOW` readings less scatter than `noise` x sigma, or all at an end of the span
SPIKE         off the median of the last `RECENT` readings and off the last one, by more than `spike` robust standard
              deviations (1.4826 x median absolute deviation, at least sigma): the Hampel identifier, Pearson, IEEE
              Trans. Control Syst. Technol. 10 (2002) 55. A true step carries it on its first reading, as nobody can
              know yet whether it returns at once; the second confirms it and is clean.
DUPLICATED    a time that this tag has sent already, among its last `TIMES`; it changes nothing for what follows
OUT_OF_ORDER  before the newest time of its tag; readings that came without a time of their own say nothing of order
CLOCK_SKEW    from the future by more than `skew`, or `DELAYS` times in a row too old by the same amount, within `skew`:
              a clock that is behind, where late readings would catch up

What the source itself said (`Quality`, low byte, SUBSTITUTED among it) stays; such readings are no evidence of what the
meter does, so FROZEN, FLATLINE and SPIKE pass over them. Where a plant rests, its flow and power are exactly 0: that
is not frozen. A number in steps coarser than sigma repeats by itself: for it FROZEN does not hold, and FLATLINE only
at an end of the span.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot, isnan, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from serai.network.quantities import MEASURABLE
from serai.telemetry.points import ModbusAddress
from serai.telemetry.readings import MICROSECONDS, Counts, Quality, now

if TYPE_CHECKING:
    from collections.abc import Iterable

    from serai.telemetry.points import Point
    from serai.telemetry.readings import Readings, Register

TIMES, DELAYS, WINDOW, RECENT = 32, 8, 16, 7
RULES = (
    Quality.STALE, Quality.OUT_OF_RANGE, Quality.FROZEN, Quality.DUPLICATED, Quality.OUT_OF_ORDER, Quality.CLOCK_SKEW,
    Quality.FLATLINE, Quality.SPIKE,
)  # fmt: skip
BELOW, ABOVE = 0.0125, 0.03125  # of the span: (4 - 3.8)/16 and (20.5 - 20)/16 mA, NAMUR NE 43:2003
_RESTS = ("mass flow", "power", "reactive power")  # dimensions that are exactly 0 while a plant stands still
_NOT_LIVE = int(Quality.INVALID | Quality.SUBSTITUTED | Quality.BLOCKED | Quality.NOT_TOPICAL)
_STALE, _RANGE, _FROZEN, _AGAIN, _ORDER, _SKEW, _FLAT, _SPIKE = (int(rule) for rule in RULES)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is too much.

    stale_scans, stale_least   scans, and at least seconds, after which a reading is old
    frozen_scans               scans over which a number may repeat
    noise                      part of sigma that every meter with noise scatters by at least
    spike                      robust standard deviations
    skew                       [s] that clocks may differ
    off                        rules that are not applied
    """

    stale_scans: float = 3.0
    stale_least: float = 10.0
    frozen_scans: float = 10.0
    noise: float = 0.01
    spike: float = 8.0
    skew: float = 2.0
    off: Quality = Quality.GOOD


# What a tag is held to. kind: 0 = nothing known, 1 = a flag, 2 = a number in coarse steps, 3 = a number with noise
_HELD = np.dtype(
    [("kind", "i1"), ("rests", "?"), ("low", "f8"), ("high", "f8"), ("sigma", "f8"), ("share", "f8"),
     ("stale", "i8"), ("frozen", "i8")]
)  # fmt: skip
# What is remembered of a tag. equal: readings with the last value, the first of them at `since`; the rings count on
_MEMORY = np.dtype(
    [("time", "i8"), ("heard", "i8"), ("value", "f8"), ("since", "i8"), ("equal", "i8"), ("sent", "i8"),
     ("live", "i8")]
)  # fmt: skip


class Checks:
    """The rules with what they remember of every tag.

    counts   readings looked at, and under each flag's name those that were given it
    """

    def __init__(self, points: Iterable[Point], register: Register, limits: Limits | None = None) -> None:
        """Hold the tags of `points` to their instruments; tags that only `register` knows to times alone."""
        self.limits = limits or Limits()
        self.counts = Counts("quality")
        self._register = register
        self._points = {register.number(p.tag): p for p in points}
        self._rules = np.uint16(sum(int(rule) for rule in RULES if not rule & self.limits.off))
        self._begun = now()
        self._held, self._memory = np.empty(0, _HELD), np.empty(0, _MEMORY)
        self._times = np.empty((0, TIMES), np.int64)
        self._delays = np.empty((0, DELAYS), np.int64)
        self._values = np.empty((0, WINDOW))
        self._grow()

    def check(self, batch: Readings) -> Readings:
        """Return the same readings with the flags that the rules add."""
        if len(self._register) > len(self._held):
            self._grow()
        quality = batch.quality.copy()
        limits = (self.limits.noise, self.limits.spike, int(self.limits.skew * MICROSECONDS))
        _look(
            (batch.tag, batch.time, batch.value, batch.received), quality, self._rules,
            (self._held, self._memory, self._times, self._delays, self._values), limits,
        )  # fmt: skip
        self.counts.add("readings", len(batch))
        for rule in (*RULES, Quality.SUBSTITUTED):
            found = int(np.count_nonzero(quality & np.uint16(rule)))
            if found:
                self.counts.add(str(rule.name).lower(), found)
        return batch.with_quality(quality)

    def silent(self, at: int | None = None) -> dict[str, float]:
        """Return the tags that are overdue at a time [µs since 1970 UTC; now], each with its silence [s]."""
        at = now() if at is None else at
        heard = np.maximum(self._memory["heard"], self._begun)
        late = np.flatnonzero((at - heard > self._held["stale"]) & (self._held["kind"] > 0))
        return {self._register[k]: (at - int(heard[k])) / MICROSECONDS for k in late.tolist()}

    def _grow(self) -> None:
        """Make room for every tag of the register; what is remembered stays."""
        old, size = len(self._held), len(self._register)
        self._held = np.resize(self._held, size) if old else np.zeros(size, _HELD)
        self._held[old:] = np.zeros((), _HELD)
        for k in range(old, size):
            self._held[k] = self._limits_of(self._points.get(k))
        fresh = np.zeros(size - old, _MEMORY)
        fresh["time"], fresh["value"] = np.iinfo(np.int64).min, np.nan
        self._memory = np.concatenate([self._memory, fresh])
        for name, filler in (("_times", np.iinfo(np.int64).min), ("_delays", 0), ("_values", np.nan)):
            ring = getattr(self, name)
            more = np.full((size - old, ring.shape[1]), filler, ring.dtype)
            setattr(self, name, np.concatenate([ring, more]))

    def _limits_of(self, point: Point | None) -> tuple[Any, ...]:
        """Return the row of `_HELD` of a point."""
        if point is None:
            return (0, False, np.nan, np.nan, 0.0, 0.0, np.iinfo(np.int64).max, np.iinfo(np.int64).max)
        i = point.instrument
        stale = max(self.limits.stale_scans * i.scan, self.limits.stale_least)
        coarse = step(point) > hypot(i.sigma, 0.0 if isnan(i.high) else i.share * abs(i.high))
        return (
            1 if point.flag else 2 if coarse else 3, MEASURABLE[i.quantity].dimension in _RESTS,
            i.low, i.high, i.sigma, i.share,
            int(stale * MICROSECONDS), int(self.limits.frozen_scans * i.scan * MICROSECONDS),
        )  # fmt: skip


def step(point: Point) -> float:
    """Return the step [SI] in which the number of a point is sent; 0 for a floating one."""
    a = point.address
    if isinstance(a, ModbusAddress) and "int" in a.type:
        return abs(a.scale * point.factor)
    return 0.0


# ------------------------------------------------------------------------------------------------------------ rules


@njit(cache=True, nogil=True)
def _look(columns, quality, rules, tables, limits):  # noqa: ANN001, ANN202 - compiled
    """Add to `quality` (n,) what the rules find, reading by reading; the memory is brought up to date."""
    tag, time, value, received = columns
    held, memory, times, delays, values = tables
    noise, spike, skew = limits
    for i in range(len(tag)):
        k = tag[i]
        h, m = held[k], memory[k]
        own = time[i] != received[i]  # else it has no time but that of its arrival, which says nothing of order
        found = _range(value[i], h)
        if own and _sent_before(time[i], m, times[k]):
            found |= _AGAIN
        else:
            spanned = time[i] - times[k, (m.sent + 1 - DELAYS) % TIMES]
            found |= _clock(received[i] - time[i], m, delays[k], min(skew, spanned // 2), skew)
            if received[i] - time[i] > h.stale:
                found |= _STALE
            if own and time[i] < m.time:
                found |= _ORDER
            elif h.kind > 1 and not quality[i] & _NOT_LIVE and np.isfinite(value[i]):
                found |= _live((time[i], value[i]), h, m, values[k], (noise, spike))
            if own:
                m.time = max(m.time, time[i])
                times[k, m.sent % TIMES] = time[i]
                m.sent += 1
        m.heard = max(m.heard, received[i])
        quality[i] |= np.uint16(found) & rules


@njit(cache=True, nogil=True)
def _range(value, h):  # noqa: ANN001, ANN202 - compiled
    margin = 0.0 if np.isnan(h.low) or np.isnan(h.high) else h.high - h.low
    outside = value < h.low - BELOW * margin or value > h.high + ABOVE * margin
    return _RANGE if outside else 0


@njit(cache=True, nogil=True)
def _sent_before(time, m, times):  # noqa: ANN001, ANN202 - compiled
    if time <= m.time:
        for earlier in times:
            if earlier == time:
                return True
    return False


@njit(cache=True, nogil=True)
def _clock(delay, m, delays, even, skew):  # noqa: ANN001, ANN202 - compiled
    """Tell a clock that is ahead, or behind: `DELAYS` old readings whose delays differ by no more than `even`."""
    delays[m.sent % DELAYS] = delay
    if delay < -skew:
        return _SKEW
    least = most = delay
    for d in delays:
        least, most = min(least, d), max(most, d)
    behind = m.sent + 1 >= DELAYS and least > skew and most - least <= even
    return _SKEW if behind else 0


@njit(cache=True, nogil=True)
def _live(reading, h, m, values, limits):  # noqa: ANN001, ANN202 - compiled
    """Apply the rules on what a meter does from reading to reading."""
    time, value = reading
    noise, spike = limits
    found = 0
    if value == m.value:
        m.equal += 1
    else:
        m.value, m.since, m.equal = value, time, 1
    resting = h.rests and value == 0.0
    if h.kind == 3 and m.equal >= 3 and time - m.since >= h.frozen and not resting:
        found |= _FROZEN
    if m.live >= RECENT and h.sigma + h.share > 0.0 and _spike(value, h, m, values, spike):
        found |= _SPIKE
    values[m.live % WINDOW] = value
    m.live += 1
    if m.live >= WINDOW and _flat(h, values, noise):
        found |= _FLAT
    return found


@njit(cache=True, nogil=True)
def _spike(value, h, m, values, factor):  # noqa: ANN001, ANN202 - compiled
    jump = abs(value - values[(m.live - 1) % WINDOW])
    if not jump > factor * h.sigma:  # the scale is at least this: most readings end here
        return False
    recent = np.empty(RECENT)
    for j in range(RECENT):
        recent[j] = values[(m.live - 1 - j) % WINDOW]
    median = _middle(recent)
    for j in range(RECENT):
        recent[j] = abs(recent[j] - median)
    scale = max(1.4826 * _middle(recent), sqrt(h.sigma**2 + (h.share * median) ** 2))
    return jump > factor * scale and abs(value - median) > factor * scale


@njit(cache=True, nogil=True)
def _middle(numbers):  # noqa: ANN001, ANN202 - compiled
    """Return the median of an odd number of numbers, which are sorted in place."""
    for i in range(1, len(numbers)):
        x, j = numbers[i], i
        while j > 0 and numbers[j - 1] > x:
            numbers[j] = numbers[j - 1]
            j -= 1
        numbers[j] = x
    return numbers[len(numbers) // 2]


@njit(cache=True, nogil=True)
def _flat(h, values, noise):  # noqa: ANN001, ANN202 - compiled
    least = most = values[0]
    mean = square = 0.0
    at_rest = False  # a meter that is cut at zero shows a little more than it now and then
    for x in values:
        least, most = min(least, x), max(most, x)
        mean += x / WINDOW
        at_rest = at_rest or (h.rests and x == 0.0)
    near = 1e-6 * (h.high - h.low)
    if least >= h.high - near or (most <= h.low + near and not at_rest):
        return True
    for x in values:
        square += (x - mean) ** 2
    floor = noise**2 * (h.sigma**2 + (h.share * mean) ** 2)
    return h.kind == 3 and not at_rest and square < floor * (WINDOW - 1)
