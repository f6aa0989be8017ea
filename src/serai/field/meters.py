# SPDX-License-Identifier: Apache-2.0
"""From what is true to what the stations send: bias, noise, jitter, gaps, faults and forgeries.

Every draw is a function of seed, scan interval and minute, so the same readings come out whether they are asked for in
one piece or scan by scan, with sockets or without. A reading is what stations send: a float of 32 bits in the unit of
the instrument, with a time of whole milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor
from typing import TYPE_CHECKING

import numpy as np

from serai.errors import SeraiError
from serai.network.instruments import instruments
from serai.telemetry.readings import MICROSECONDS, Quality, Readings, Register
from serai.units import UNITS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from serai.field.scenario import Forgery, MeterFault, Scenario
    from serai.network import Network

    Floats = NDArray[np.float64]
    Signal = Callable[[Floats, NDArray[np.intp]], Floats]

WINDOW = 60.0  # s: the draws of one window come from one generator
_OVERFLOW, _INVALID, _NOT_TOPICAL = (np.uint16(q) for q in (Quality.OVERFLOW, Quality.INVALID, Quality.NOT_TOPICAL))
ZERO_BAND = 0.0125  # of the span below its low end: NAMUR NE 43 takes signals down to there (3.8 mA) as measured
PHASE = 0.03  # of a scan interval: by so much stations take their scan at different moments


@dataclass(frozen=True, slots=True)
class Scan:
    """What one group of meters (of one scan interval) would send in a window: arrays (n_scan, n_meter)."""

    due: Floats  # (n_scan,) nominal times
    time: Floats  # when it was taken, true time
    value: Floats  # SI
    quality: NDArray[np.uint16]
    sent: NDArray[np.bool_]
    latency: Floats


@dataclass(frozen=True, slots=True)
class _Draws:
    """What chance decides for one window of a group."""

    due: Floats
    time: Floats
    noise: Floats
    lost: NDArray[np.bool_]
    invalid: NDArray[np.bool_]
    latency: Floats


class Group:
    """The meters of one scan interval."""

    def __init__(self, scan: float, members: NDArray[np.intp]) -> None:
        self.scan, self.members = scan, members
        self.windows: dict[int, _Draws] = {}  # the last ones drawn


class Meters:
    """All meters of a network in a scenario.

    start    of the run [s since 1970 UTC]
    signal   true readings (n,) at times (n,) of instruments (n,), `story` the same in a forger's world
    """

    def __init__(self, network: Network, scenario: Scenario, *, seed: int, start: float) -> None:
        listed = instruments(network)
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
        # a volume meter counts true standard volume; the control room takes it for mass by the model's density
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
            due = np.arange(first, last + 1) * scan
            rng = np.random.default_rng([self.seed, 5, round(1e3 * scan), window])
            shape = (len(due), len(group.members))
            noise = rng.standard_normal(shape)
            lag = scan * self._phase[group.members] + np.minimum(m.jitter * np.abs(rng.standard_normal(shape)), scan)
            chance = rng.random(shape)
            time = np.maximum(due[:, None] - lag, 0.0)
            lost, invalid = chance < m.dropout, (chance >= m.dropout) & (chance < m.dropout + m.invalid)
            found = _Draws(due, time, noise, lost, invalid, rng.exponential(m.latency, shape))
            group.windows[window] = found
            for old in [w for w in group.windows if w < window - 1]:
                del group.windows[old]
        return found

    # --------------------------------------------------------------------- readings

    def scan(self, group: Group, window: int, signal: Signal, story: Signal | None = None) -> Scan:
        """Return what a group would send in a window."""
        d = self._draws(group, window)
        time = np.rint(1e3 * d.time) / 1e3
        value, swing = self._honest(group, d, time, signal)
        quality = np.zeros(value.shape, np.uint16)
        sent = ~d.lost & self.wanted[group.members]
        for fault, tags in self._faults:
            self._fault(fault, _inside(group, tags), (group, d, time, value, swing, quality, sent), signal)
        for forgery, tags in self._forged:
            columns = _inside(group, tags)
            if len(columns):
                self._forge(forgery, columns, (group, window, time, value, quality, sent), (signal, story))
        value = self._as_sent(group, value, quality)
        quality[d.invalid] |= _INVALID
        value[(quality & _INVALID) > 0] = np.nan
        return Scan(d.due, time, value, quality, sent, d.latency)

    def _honest(self, group: Group, d: _Draws, time: Floats, signal: Signal) -> tuple[Floats, Floats]:
        """Return readings without faults, and the white noise in them, (n_scan, n_meter)."""
        g = group.members
        true = signal(time.ravel(), np.broadcast_to(g, time.shape).ravel()).reshape(time.shape)
        true = np.where(self.volume[g], true * self.density_ratio, true)
        swing = d.noise * np.hypot(self.noise_fixed[g], self.noise_share[g] * true)
        return true * (1.0 + self.gain[g]) + self.offset[g] + swing, swing

    density_ratio: float = 1.0  # the model's standard density over the true one

    def _as_sent(self, group: Group, value: Floats, quality: NDArray[np.uint16]) -> Floats:
        """Cut readings at the span, with the bit OVERFLOW; round them to what 32 bits hold in the unit sent.

        A meter at rest that would show a little less than its zero shows zero, and nothing is wrong.
        """
        g = group.members
        with np.errstate(invalid="ignore"):
            cut = np.clip(value, self.low[g], self.high[g])  # nan bounds clip nothing
        cut = np.where(np.isnan(cut), value, cut)
        rest = self.low[g] - ZERO_BAND * (self.high[g] - self.low[g])
        quality[(cut != value) & ~(value >= rest) | (value > cut)] |= _OVERFLOW
        with np.errstate(over="ignore"):
            short = ((cut - self.zero[g]) / self.factor[g]).astype(np.float32)
        return short.astype(np.float64) * self.factor[g] + self.zero[g]

    def _fault(self, f: MeterFault, columns: NDArray[np.intp], at: tuple, signal: Signal) -> None:
        """Lay one fault over the readings of a window; the arrays are changed in place."""
        group, d, time, value, swing, quality, sent = at
        if not len(columns):
            return
        now = np.zeros(time.shape, bool)
        now[:, columns] = (d.due[:, None] > f.begin) & (d.due[:, None] <= f.end)
        if not now.any():
            return
        if f.fault in ("bias", "unit"):
            value[now] = value[now] * f.factor + f.value
        elif f.fault == "drift":
            days = (time[now] - f.begin) / 86400.0
            value[now] = value[now] * (1.0 + (f.factor - 1.0) * days) + f.value * days
        elif f.fault == "noise":
            value[now] += (f.factor - 1.0) * swing[now]
        elif f.fault == "stuck":
            held = self._before(group, f.begin, signal)
            value[now] = np.broadcast_to(held, value.shape)[now]
        elif f.fault == "dead":
            sent[now] = False
        else:
            quality[now] |= _INVALID

    def _before(self, group: Group, begin: float, signal: Signal) -> Floats:
        """Return the honest readings (n_meter,) of the last scan that is due at or before a time."""
        due = floor(begin / group.scan + 1e-9) * group.scan
        if due <= 0.0:
            due = group.scan
        window = ceil(due / WINDOW - 1e-9) - 1
        d = self._draws(group, window)
        row = int(np.argmin(np.abs(d.due - due)))
        return self._honest(group, d, np.rint(1e3 * d.time) / 1e3, signal)[0][row]

    def _forge(self, f: Forgery, columns: NDArray[np.intp], at: tuple, signals: tuple[Signal, Signal | None]) -> None:
        """Lay one forgery over the readings of a window; the arrays are changed in place."""
        group, window, time, value, quality, sent = at
        due = self._draws(group, window).due
        now = np.zeros(time.shape, bool)
        now[:, columns] = (due[:, None] > f.begin) & (due[:, None] <= f.end)
        if not now.any():
            return
        if f.kind == "offset":
            value[now] = value[now] * f.factor + f.value
        elif f.kind == "replay":
            old = self._draws(group, window - round(f.ago / WINDOW))
            was = self._honest(group, old, np.rint(1e3 * old.time) / 1e3, signals[0])[0]
            value[now] = was[now]
        else:
            signal, story = signals
            if story is None:
                raise SeraiError(f"the forgery of {', '.join(f.tags[:3])} needs the forger's world")
            where = np.broadcast_to(group.members, time.shape)[now]
            value[now] += story(time[now], where) - signal(time[now], where)
        sent[now] = self.wanted[np.broadcast_to(group.members, time.shape)[now]]
        quality[now] = Quality.GOOD

    # -------------------------------------------------------------------- batches

    def batch(self, begin: float, end: float, signal: Signal, story: Signal | None = None) -> Readings:
        """Return the readings that arrive of scans due in (begin, end] [s], in the order in which they arrive.

        What a lost link holds back comes with the scan in which the link is back.
        """
        parts = []
        for group in self.groups:
            if not self.wanted[group.members].any():
                continue
            for window in range(floor(begin / WINDOW + 1e-9), ceil(end / WINDOW - 1e-9)):
                scan = self.scan(group, window, signal, story)
                rows = (scan.due > begin + 1e-9) & (scan.due <= end + 1e-9)
                if rows.any():
                    parts.append(self._columns(group, scan, rows))
        tag, due, time, value, quality, latency = (np.concatenate(x) for x in zip(*parts, strict=True))
        stamp = np.rint((self.start + time + self.clock[tag]) * 1e3).astype(np.int64) * (MICROSECONDS // 1000)
        received = np.rint((self.start + time + latency) * MICROSECONDS).astype(np.int64)
        keep = self._silence(tag, due, quality, received)
        order = np.argsort(received[keep], kind="stable")
        tag, stamp, value, quality, received = (x[keep][order] for x in (tag, stamp, value, quality, received))
        return Readings(self.register, tag.astype(np.int32), stamp, value, quality, received)

    def _columns(self, group: Group, scan: Scan, rows: NDArray[np.bool_]) -> tuple[NDArray, ...]:
        sent = scan.sent & rows[:, None]
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


def _inside(group: Group, tags: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the columns of a group that tags are."""
    return np.flatnonzero(np.isin(group.members, tags))
