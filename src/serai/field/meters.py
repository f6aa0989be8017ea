# SPDX-License-Identifier: Apache-2.0
"""From what is true to what the stations send: bias, noise, jitter, gaps, faults and forgeries.

Every draw is a function of seed, scan interval and minute, so the same readings come out whether they are asked for in
one piece or scan by scan, with sockets or without. A reading is what stations send: a float of 32 bits in the unit of
the instrument, with a time of whole milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor
from typing import TYPE_CHECKING, Any

import numpy as np

from serai.errors import SeraiError
from serai.network.instruments import instruments
from serai.telemetry.readings import MICROSECONDS, Quality, Readings, Register, joined
from serai.units import UNITS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from serai.field.scenario import Forgery, MeterFault, Scenario
    from serai.network import Network

    Floats = NDArray[np.float64]
    Mask = NDArray[np.bool_]
    Signal = Callable[[Floats, NDArray[np.intp]], Floats]

WINDOW = 60.0  # s: the draws of one window come from one generator
_OVERFLOW, _INVALID, _NOT_TOPICAL = (np.uint16(q) for q in (Quality.OVERFLOW, Quality.INVALID, Quality.NOT_TOPICAL))
ZERO_BAND = 0.0125  # of the span below its low end: NAMUR NE 43 takes signals down to there (3.8 mA) as measured
PHASE = 0.03  # of a scan interval: by so much stations take their scan at different moments


@dataclass(frozen=True, slots=True)
class _Draws:
    """What chance decides for one window of a group."""

    due: Floats
    time: Floats
    noise: Floats
    lost: NDArray[np.bool_]
    invalid: NDArray[np.bool_]
    latency: Floats

    def part(self, rows: slice) -> _Draws:
        """Return those of some scans."""
        d = self
        return _Draws(d.due[rows], d.time[rows], d.noise[rows], d.lost[rows], d.invalid[rows], d.latency[rows])


class Group:
    """The meters of one scan interval."""

    def __init__(self, scan: float, members: NDArray[np.intp]) -> None:
        self.scan, self.members = scan, members
        self.windows: dict[int, _Draws] = {}  # the last ones drawn


@dataclass(frozen=True, slots=True)
class Scan:
    """What one group of meters would send in a window: arrays (n_scan, n_meter) that faults change in place.

    rows     which scans of the window these are
    due      (n_scan,) nominal times [s since the start]; `time` when each was taken
    value    SI; `sent` = False: never comes; `latency` [s] on its way
    """

    group: Group
    window: int
    rows: slice
    due: Floats
    time: Floats
    value: Floats
    quality: NDArray[np.uint16]
    sent: NDArray[np.bool_]
    latency: Floats


class Meters:
    """All meters of a network in a scenario.

    start          of the run [s since 1970 UTC]
    density_ratio  the model's standard density over that of the true gas: what volume meters count is taken for mass
    """

    def __init__(
        self, network: Network, scenario: Scenario, *, seed: int, start: float, density_ratio: float = 1.0
    ) -> None:
        listed = instruments(network)
        self.density_ratio = density_ratio
        self.scenario, self.seed, self.start = scenario, seed, start
        self.tags = tuple(i.tag for i in listed)
        self.at = {tag: k for k, tag in enumerate(self.tags)}
        self.register = Register(self.tags)
        self._class(network, scenario, seed)
        stations = sorted({i.station for i in listed})
        number = {s: k for k, s in enumerate(stations)}
        self.station = np.array([number[i.station] for i in listed], np.intp)
        self.stations = stations
        rng = np.random.default_rng([seed, 4])
        self._phase = rng.uniform(0.0, PHASE, len(stations))[self.station]
        self.clock = np.rint(1e3 * scenario.metering.clock * rng.standard_normal(len(stations)))[self.station] / 1e3
        scans = np.array([i.scan for i in listed])
        self.groups = [Group(float(s), np.flatnonzero(scans == s)) for s in np.unique(scans)]
        self.wanted = np.ones(len(listed), bool)
        self._faults = [(f, np.array([self.at[t] for t in f.tags], np.intp)) for f in scenario.meter_faults]
        self._forged = [(f, np.array([self.at[t] for t in f.tags], np.intp)) for f in scenario.forgeries]
        self._held: dict[tuple[float, float], Floats] = {}
        self._silent = [(s, np.flatnonzero(self.station == number[s.station])) for s in scenario.silences]

    def _class(self, network: Network, scenario: Scenario, seed: int) -> None:
        """Draw the bias of every meter, uniform with `bias` x its standard deviation, so inside 2 of them."""
        listed, metering = instruments(network), scenario.metering
        low, high, sigma, share = (np.array([getattr(i, k) for i in listed]) for k in ("low", "high", "sigma", "share"))
        self.low, self.high = low, high
        draw = np.random.default_rng([seed, 3]).uniform(-np.sqrt(3.0), np.sqrt(3.0), (2, len(listed)))
        self.offset, self.gain = metering.bias * draw * np.stack([sigma, share])
        left = np.sqrt(max(0.0, 1.0 - metering.bias**2))
        self.noise_fixed, self.noise_share = left * sigma, left * share
        density = network.gas.standard_density
        unit = [UNITS[i.unit] for i in listed]
        self.factor = np.array([u.factor * (density if u.standard_volume else 1.0) for u in unit])
        self.zero = np.array([u.offset for u in unit])
        self.volume = np.array([u.standard_volume for u in unit])

    def only(self, tags: Iterable[str]) -> None:
        """Let no other meters be reported; UnknownName-like text for tags that do not exist."""
        wanted = list(tags)
        lost = [t for t in wanted if t not in self.at]
        if lost:
            raise SeraiError(f"no instruments {', '.join(lost[:5])}; their tags stand in instruments.csv")
        self.wanted[:] = False
        self.wanted[[self.at[t] for t in wanted]] = True

    # ---------------------------------------------------------------------- chance

    def _draws(self, group: Group, window: int) -> _Draws:
        """Return the draws of the scans with WINDOW x window < nominal time <= WINDOW x (window + 1)."""
        found = group.windows.get(window)
        if found is None:
            m, scan = self.scenario.metering, group.scan
            first, last = floor(WINDOW * window / scan + 1e-9) + 1, floor(WINDOW * (window + 1) / scan + 1e-9)
            due = np.asarray(np.arange(first, last + 1) * scan, np.float64)
            rng = np.random.default_rng([self.seed, 5, round(1e3 * scan), window])
            shape = (len(due), len(group.members))
            noise = rng.standard_normal(shape)
            lag: Floats = scan * self._phase[group.members] + np.minimum(
                m.jitter * np.abs(rng.standard_normal(shape)), scan
            )
            chance = rng.random(shape)
            taken = np.maximum(due[:, None] - lag, 0.0)
            time = np.asarray(np.rint(1e3 * taken) / 1e3, np.float64)  # stations stamp whole milliseconds
            lost, invalid = chance < m.dropout, (chance >= m.dropout) & (chance < m.dropout + m.invalid)
            found = _Draws(due, time, noise, lost, invalid, rng.exponential(m.latency, shape))
            group.windows[window] = found
            for old in [w for w in group.windows if w < window - 1]:
                del group.windows[old]
        return found

    # --------------------------------------------------------------------- readings

    def scan(self, group: Group, window: int, rows: slice, signal: Signal, story: Signal | None = None) -> Scan:
        """Return what a group would send in some scans of a window."""
        d = self._draws(group, window).part(rows)
        value, swing = self._honest(group, d, signal)
        s = Scan(group, window, rows, d.due, d.time, value, np.zeros(value.shape, np.uint16), ~d.lost, d.latency)
        s.sent[:] &= self.wanted[group.members]
        for fault, tags in self._faults:
            self._in_the_meter(fault, s, _now(s, tags, fault), swing, signal)
        self._cut(s)
        for fault, tags in self._faults:
            _on_the_way(fault, s, _now(s, tags, fault))
        s.quality[d.invalid] |= _INVALID
        for forgery, tags in self._forged:
            self._forge(forgery, s, _now(s, tags, forgery), signal, story)
        g = group.members
        with np.errstate(over="ignore"):  # what 32 bits cannot hold is sent as infinite
            short = ((s.value - self.zero[g]) / self.factor[g]).astype(np.float32)
        s.value[:] = short.astype(np.float64) * self.factor[g] + self.zero[g]
        s.value[(s.quality & _INVALID) > 0] = np.nan
        return s

    def _honest(self, group: Group, d: _Draws, signal: Signal) -> tuple[Floats, Floats]:
        """Return readings without faults, and the white noise in them, (n_scan, n_meter)."""
        g = group.members
        true = signal(d.time.ravel(), np.broadcast_to(g, d.time.shape).ravel()).reshape(d.time.shape)
        true = np.where(self.volume[g], true * self.density_ratio, true)
        swing = d.noise * np.hypot(self.noise_fixed[g], self.noise_share[g] * true)
        return true * (1.0 + self.gain[g]) + self.offset[g] + swing, swing

    def _cut(self, s: Scan) -> None:
        """Cut readings at the span, with the bit OVERFLOW.

        A meter at rest that would show a little less than its zero shows zero, and nothing is wrong.
        """
        low, high = self.low[s.group.members], self.high[s.group.members]
        cut = np.fmin(np.fmax(s.value, low), high)  # nan bounds cut nothing
        rest = low - ZERO_BAND * (high - low)
        s.quality[(s.value < rest) | (s.value > cut)] |= _OVERFLOW
        s.value[:] = cut

    def _in_the_meter(self, f: MeterFault, s: Scan, now: Mask, swing: Floats, signal: Signal) -> None:
        """Lay a fault of the meter itself over a window where `now` holds; the arrays of the scan are changed."""
        if not now.any():
            return
        value = s.value
        if f.fault == "bias":
            value[now] = value[now] * f.factor + f.value
        elif f.fault == "drift":
            days = (s.time[now] - f.begin) / 86400.0
            value[now] = value[now] * (1.0 + (f.factor - 1.0) * days) + f.value * days
        elif f.fault == "noise":
            value[now] += (f.factor - 1.0) * swing[now]
        elif f.fault == "stuck":
            value[now] = np.broadcast_to(self._before(s.group, f.begin, signal), value.shape)[now]

    def _before(self, group: Group, begin: float, signal: Signal) -> Floats:
        """Return the honest readings (n_meter,) of the last scan that is due at or before a time; kept once found."""
        key = group.scan, begin
        if key in self._held:
            return self._held[key]
        due = max(floor(begin / group.scan + 1e-9), 1) * group.scan
        d = self._draws(group, ceil(due / WINDOW - 1e-9) - 1)
        self._held[key] = np.asarray(self._honest(group, d, signal)[0][int(np.argmin(np.abs(d.due - due)))])
        return self._held[key]

    def _forge(self, f: Forgery, s: Scan, now: Mask, signal: Signal, story: Signal | None) -> None:
        """Lay a forgery over a window where `now` holds: what comes is of good quality, whatever the meter does."""
        if not now.any():
            return
        members = np.broadcast_to(s.group.members, now.shape)[now]
        if f.kind == "offset":
            s.value[now] = s.value[now] * f.factor + f.value
        elif f.kind == "replay":
            old = self._draws(s.group, s.window - round(f.ago / WINDOW)).part(s.rows)
            s.value[now] = self._honest(s.group, old, signal)[0][now]
        elif story is None:
            raise SeraiError(f"the forgery of {', '.join(f.tags[:3])} needs the forger's world")
        else:
            ratio = np.where(self.volume[members], self.density_ratio, 1.0)
            s.value[now] += ratio * (story(s.time[now], members) - signal(s.time[now], members))
        s.sent[now] = self.wanted[members]
        s.quality[now] = 0

    # -------------------------------------------------------------------- batches

    def batch(self, begin: float, end: float, signal: Signal, story: Signal | None = None) -> Readings:
        """Return the readings of scans due in (begin, end] [s], in the order in which they arrive: see `Arrivals`."""
        parts = []
        for group in self.groups:
            if not self.wanted[group.members].any():
                continue
            for window in range(floor(begin / WINDOW + 1e-9), ceil(end / WINDOW - 1e-9)):
                due = self._draws(group, window).due
                rows = slice(*np.searchsorted(due, (begin + 1e-9, end + 1e-9), side="right").tolist())
                if rows.start < rows.stop:
                    parts.append(self._columns(group, self.scan(group, window, rows, signal, story)))
        if not parts:
            return Readings.of(self.register, [])
        tag, due, time, value, quality, latency = (np.concatenate(x) for x in zip(*parts, strict=True))
        stamp = np.rint((self.start + time + self.clock[tag]) * 1e3).astype(np.int64) * (MICROSECONDS // 1000)
        received = np.rint((self.start + time + latency) * MICROSECONDS).astype(np.int64)
        keep = self._silence(tag, due, quality, received)
        order = np.argsort(received[keep], kind="stable")
        tag, stamp, value, quality, received = (x[keep][order] for x in (tag, stamp, value, quality, received))
        return Readings(self.register, tag.astype(np.int32), stamp, value, quality, received)

    def _columns(self, group: Group, scan: Scan) -> tuple[NDArray[Any], ...]:
        sent = scan.sent
        tag = np.broadcast_to(group.members, sent.shape)[sent]
        due = np.broadcast_to(scan.due[:, None], sent.shape)[sent]
        return tag, due, scan.time[sent], scan.value[sent], scan.quality[sent], scan.latency[sent]

    def _silence(
        self, tag: NDArray[np.intp], due: Floats, quality: NDArray[np.uint16], received: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Return which readings ever arrive; those that a link held back arrive when it is back."""
        keep = np.ones(len(tag), bool)
        for silence, members in self._silent:
            mine = np.isin(tag, members)
            now = mine & (due > silence.begin) & (due <= silence.end)
            if silence.restart or not silence.kept:
                keep &= ~now
            else:
                back = np.int64((self.start + silence.end) * MICROSECONDS)
                received[now] = np.maximum(received[now], back)
            if silence.restart:
                scans = self._scan_of(tag)
                first = mine & (due > silence.end) & (due <= silence.end + scans)
                quality[first] |= _NOT_TOPICAL
        return keep

    def _scan_of(self, tag: NDArray[np.intp]) -> Floats:
        scans = np.empty(len(self.tags))
        for group in self.groups:
            scans[group.members] = group.scan
        return scans[tag]


class Arrivals:
    """Readings on their way: handed out in the order in which they arrive, when they do.

    What a lost link holds back waits here until the link is back.
    """

    def __init__(self) -> None:
        self._waiting: list[Readings] = []

    def __len__(self) -> int:
        return sum(map(len, self._waiting))

    def add(self, batch: Readings) -> None:
        """Let readings set out."""
        if len(batch):
            self._waiting.append(batch)

    def until(self, time: float) -> Readings | None:
        """Return what has arrived by a time [s since 1970 UTC]; None = nothing."""
        if not self._waiting:
            return None
        every = joined(self._waiting)
        here = every.received <= time * MICROSECONDS
        late = every.take(~here)
        self._waiting = [late] if len(late) else []
        if not here.any():
            return None
        found = every.take(here)
        return found.take(np.argsort(found.received, kind="stable"))


def _now(s: Scan, tags: NDArray[np.intp], wrong: MeterFault | Forgery) -> Mask:
    """Return where in a window something is wrong with these tags, (n_scan, n_meter)."""
    return np.asarray(((s.due > wrong.begin) & (s.due <= wrong.end))[:, None] & np.isin(s.group.members, tags))


def _on_the_way(f: MeterFault, s: Scan, now: Mask) -> None:
    """Lay a fault behind the meter over a window: a wrong unit, nothing sent, marked invalid."""
    if f.fault == "unit":
        s.value[now] = s.value[now] * f.factor + f.value
    elif f.fault == "dead":
        s.sent[now] = False
    elif f.fault == "invalid":
        s.quality[now] |= _INVALID
