# SPDX-License-Identifier: Apache-2.0
"""What is wrong over time: gas in motion, every scan by itself, and sequences sent before, as one ranked list.

Three tests share a budget of false alarms a month. The watch (`leaks`) follows gas in the pipes. All other laws have no
memory (`instant`) and are tested at every scan, and on the mean of ten. What each meter is off by all the time is
learned slowly and taken off, so that a change is told and a bias within the class is not. `replays` knows what was sent
before. One thing that is wrong is one `Incident`, updated while it lasts.
"""

from __future__ import annotations

import base64
import zlib
from copy import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from serai.diagnose.daily import Accounts, Sheet
from serai.diagnose.incident import Incident, Ledger
from serai.diagnose.instant import STANDS, instant, meters, standing, start
from serai.diagnose.leaks import SETTLED, Finding, Watch
from serai.diagnose.lesson import OWN, WINDOWS, Learning, Taught, own_lesson, read_lesson
from serai.diagnose.minutes import SCAN, Minutes
from serai.diagnose.replays import Replays
from serai.diagnose.scan import Diagnosis, Fault, diagnose
from serai.diagnose.sequential import MONTH
from serai.errors import SeraiError
from serai.estimate import Estimator
from serai.estimate.doubts import SCANS, Memory, stuck_stations, wrong_units
from serai.estimate.given import Given, Tags
from serai.estimate.meters import dimension
from serai.estimate.moving import Moving
from serai.estimate.moving_model import exchanges
from serai.known import Known
from serai.simulate.measured import measured
from serai.simulate.steady import steady
from serai.system.knowns import PARAMETERS
from serai.telemetry.readings import Readings

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from serai.diagnose.departures import Departure
    from serai.estimate.meters import Meter
    from serai.network import Network
    from serai.simulate.labelled import Result

    Floats = NDArray[np.float64]

BUDGET = 0.1  # alarms a month
DAY = 1440.0  # scans over which an offset of a meter is forgotten
GAP = 30  # scans without any reading after which the watch begins anew
RESTING = 120  # scans that the watch needs to be at rest again when it takes up a lesson
TELLING = 0.003  # share from which on an order is another one
CLEAR = 10.0  # sigmas from zero beyond which the ratio of two readings of a meter means something
KEPT = 0.005  # share to which a set-point of a station is kept
WORK = ("power", "fuel", "drive_power")  # of a station, which its laws tell ...
STATION = 0.02  # ... but for so much (share): the gas and its temperature are not quite those of the case
RAMP = 5  # scans in which what was ordered comes true: readings of the element, of before or after, tell nothing
KNOWN = 30  # scans of a meter from which on its offset is known, so that its scores may spread by its noise alone
ENDS = ("from_node", "to_node", "from_bus", "to_bus", "node", "gas_node", "bus", "generator")
LOSSES = ("leak", "power loss")
COMMANDS = ("outlet_pressure", "inlet_pressure", "ratio")
UNITS = {"pressure": "Pa", "mass flow": "kg/s", "power": "W", "reactive power": "var", "per unit": "pu", "angle": "rad"}
OF_KIND = {"leak": "kg/s", "power loss": "W", "branch open": "of it", "branch closed": "of it", "valve open": "kg/s"}


class Course:
    """Keeps what is known of a network's past; `scan` takes readings as they come and returns what is wrong now.

    network   what exists, on its day; hour the local hour at which it begins
    shown     Knowns that are taken as given (set-points, positions); not given = the case's own. `shows` changes them
    kept      share to which set-points of stations must be kept; None = they are not tested
    lesson    of clean days (`learn`), or its file; not given = the one that comes with the case, where it fits; None =
              limits of theory, which are wide
    budget    false alarms a month, all tests together
    settled   scans of a minute before gas in motion is judged; None = what the lesson says, a day without one
    """

    def __init__(
        self, network: Network, *, hour: float | None = None, shown: Iterable[Known] | None = None,
        kept: float | None = KEPT, lesson: Taught | str | os.PathLike[str] | None = OWN, budget: float = BUDGET,
        settled: int | None = None,
    ) -> None:  # fmt: skip
        self.notes: list[str] = []
        taught = self._taught(network, lesson)
        self.network, self.kept, self.budget = network, kept, budget
        self.tags = Tags(network)
        self.minutes = Minutes(self.tags)
        self.counts = self.minutes.counts
        self.ledger = Ledger()
        self.replays = Replays(len(self.tags.meters), budget / 10.0 * SCAN / MONTH / max(1, len(self.tags.meters)))
        self.last: Diagnosis | None = None
        self.learning: Learning | None = None
        self.shown = list(network.knowns(hour) if shown is None else shown)
        self.begun, self._pressures, flows = _usual(network, self.shown, hour, self.notes)
        self.spread = ({}, {}) if taught is None else taught.spread
        self._lay_scan()
        self._anew = False  # whether the watch forgets what it saw before it settled
        self.watch = self._watch(flows, taught, settled)
        self.accounts = Accounts(network, self.tags, self.watch)
        if taught is not None and taught.state:
            self._take_up(taught, settled)

    # ------------------------------------------------------------------------------------------------------- laid out

    def _taught(self, network: Network, lesson: Taught | str | os.PathLike[str] | None) -> Taught | None:
        """Return the lesson that is asked for; one of another day is left aside, one of another case is an error."""
        if lesson is OWN:
            lesson = own_lesson(network)
        taught = lesson if isinstance(lesson, Taught) or lesson is None else read_lesson(lesson)
        if taught is None:
            return None
        if taught.case != network.name:
            msg = f"the lesson is of {taught.case}, not of {network.name}"
            raise SeraiError(msg)
        if taught.day and taught.day != network.day:
            self.notes.append(f"the lesson is left aside: it is of the day {taught.day!r}, not of {network.day!r}")
            return None
        return taught

    def _lay_scan(self) -> None:
        self.bare = instant(self.network)
        of = {t: k for k, t in enumerate(m.tag for m in self.tags.meters)}
        own = meters(self.bare)
        self._place = np.array([of.get(m.tag, -1) if m.tag else -1 for m in own], np.intp)
        n = len(own)
        self.offset, self.heard = np.zeros(n), np.zeros(n)
        self.ring = np.full((max(WINDOWS), n), np.nan)
        self.memory = Memory.of(n)
        self._own = own
        self._varies = np.array([m.where in self.bare["compressors"] for m in own], bool)
        self._doubt = np.where(self._varies & np.array([m.quantity in WORK for m in own], bool), STATION, 0.0)
        self._spreads: dict[tuple[int, bytes], Mapping[tuple[str, str], float]] = {}
        self._mine: dict[str, NDArray[np.bool_]] = {}
        self._orders: dict[tuple[str, str], float] = {}
        self._changed: dict[str, int] = {}
        self._before = -1
        self._faults: set[tuple[str, str]] = set()
        self._aside = np.zeros(len(self.tags.meters), bool)
        self._pressure = np.array([dimension(m.quantity) == "pressure" for m in self.tags.meters], bool)
        self._estimators: dict[tuple[tuple[str, str, float], ...], Estimator] = {}
        self.shows(self.shown)

    def shows(self, shown: Iterable[Known]) -> None:
        """Take other Knowns as given from now on: what the control room is shown and has ordered."""
        self.shown = list(shown)
        self._changes()
        key = standing(self.bare, self.shown)
        if key not in self._estimators:
            begin = start(self.bare, self.shown, self._pressures)
            if len(self._estimators) > 3:
                self._estimators.pop(next(iter(self._estimators)))
            exact = [k for k in self.shown if k.where in self.bare and k.quantity in ("in_service", "closed", "steps",
                     "tap_position")]  # fmt: skip
            self._estimators[key] = Estimator(self.bare, self._own, setpoints=begin, exact=exact, units=False)
        self.estimator = self._estimators[key]

    def _changes(self) -> None:
        """Note what is shown otherwise than before: it needs time to become true, and its meters a new offset."""
        now = {(k.quantity, k.where): k.value for k in self.shown if k.quantity in (*STANDS, *PARAMETERS)}
        gone = set(self._orders) - set(now)
        new = {k for k, v in now.items() if abs(v - self._orders.get(k, np.inf)) > TELLING * abs(v)}
        for _, where in gone | new if self._orders else ():
            self._changed[where] = self._before
            mine = self._meters_of(where)
            self.offset[mine], self.heard[mine] = 0.0, 0.0
        self._orders = {k: v if k in new else self._orders[k] for k, v in now.items()}

    def _meters_of(self, where: str) -> NDArray[np.bool_]:
        """Tell which meters (n_meter,) are those of an element."""
        if where not in self._mine:
            self._mine[where] = np.array([m.where == where for m in self._own])
        return self._mine[where]

    def _watch(self, flows: dict[tuple[str, str], float], taught: Taught | None, settled: int | None) -> Watch | None:
        if not len(self.network.active("pipes")) or not self._pressures:
            self.notes.append("gas in motion is not watched: no pipes, or no steady state to begin from")
            return None
        try:
            moving = Moving(self.network, flows, self._pressures)
        except SeraiError as error:
            self.notes.append(f"gas in motion is not watched: {error}")
            return None
        if not moving.tags:
            self.notes.append("gas in motion is not watched: no meters of flow or pressure")
            return None
        if taught is not None and (taught.gas is None or taught.tags != moving.tags):
            self.notes.append("the lesson is left aside: it is of other meters of gas")
            taught, self.spread = None, ({}, {})
        if taught is None:
            return Watch(moving, budget=self.budget / 2.0, settled=SETTLED if settled is None else settled)
        self._anew = not taught.state
        rest = SETTLED if taught.state else taught.settled
        return Watch(moving, taught.gas, budget=self.budget / 2.0, settled=rest if settled is None else settled)

    # ----------------------------------------------------------------------------------------------------------- scans

    @property
    def incidents(self) -> tuple[Incident, ...]:
        """What is wrong now, the surest first."""
        return self.ledger.ranked()

    @property
    def closed(self) -> tuple[Incident, ...]:
        """What was wrong and is over, in the order of its end."""
        return tuple(self.ledger.closed)

    @property
    def sheets(self) -> tuple[Sheet, ...]:
        """Balance sheets of the gas days that are over, and of the present one as far as it has gone."""
        now = self.accounts.so_far()
        return (*self.accounts.sheets, *([now] if now else []))

    def scan(self, readings: Readings, shown: Iterable[Known] | None = None) -> tuple[Incident, ...]:
        """Take readings as they come, of any length and order; return all that is wrong now, the surest first."""
        if shown is not None:
            self.shows(shown)
        for minute, values in self.minutes.add(readings):
            self._minute(minute, values)
        return self.incidents

    def rest(self) -> tuple[Incident, ...]:
        """Close the last scan, because no more readings will come."""
        for minute, values in self.minutes.rest():
            self._minute(minute, values)
        return self.incidents

    def _minute(self, minute: int, values: Floats) -> None:
        time = float(minute * SCAN)
        self.counts.add("scans")
        missed = minute - self._before - 1 if self._before >= 0 else 0
        self._before = minute
        read, values = values, values.copy()  # what is set aside becomes nan in `values`
        played = self.replays.scan(values)
        self.ledger.take("sequence", self._sequences(played, time, values))
        values[played] = np.nan
        wrong = np.isfinite(read) & ~np.isfinite(values)
        self._forget(wrong & ~self._aside)
        self._aside = wrong
        if self.watch is not None:
            self._follow(self.watch, values, time, missed)
        self._test(values, time)
        leaks = [x for x in self.ledger.open if x.kind.startswith("leak")]
        self.accounts.take(time, np.where(wrong, np.nan, read), self.last, leaks)

    def _forget(self, wrong: NDArray[np.bool_]) -> None:
        """Take back what was read of meters (n_meter,) that only now are known to be wrong."""
        if not wrong.any():
            return
        scans = max(SCANS, int(self.replays.run[wrong].max()))
        self.ring[-scans:, (self._place >= 0) & wrong[self._place]] = np.nan
        if self.watch is not None and self.learning is None:
            self.watch.take_back(scans - 1, wrong[[self.tags.number[t] for t in self.watch.moving.tags]])

    def _sequences(self, played: NDArray[np.bool_], time: float, values: Floats) -> list[Incident]:
        """Return incidents of what is sent again and of stations that stand still; these are set aside in `values`."""
        found = []
        if played.any():
            which = np.flatnonzero(played)
            suspects = tuple(("forged", self.tags.meters[k].name) for k in which)
            run = int(self.replays.run[which].max())
            chance = float(np.exp(max(-700.0, float(self.replays.log[which].min())))) * self.replays.size * MONTH / SCAN
            found.append(Incident("forged", suspects, "sequence", time - SCAN * (run - 1), time, false_alarm=chance))
        inside = self._place >= 0
        z = np.where(inside, values[self._place], np.nan)
        self.memory.see(z, np.full(len(z), time))
        for f in stuck_stations(self._own, self.memory, np.isfinite(z)):
            suspects = tuple(("stuck", name) for name in f.where)
            found.append(Incident("stuck", suspects, "sequence", time, time))
            values[[self.tags.number[name] for name in f.where if name in self.tags.number]] = np.nan
        return found + self._units(time, values)

    def _units(self, time: float, values: Floats) -> list[Incident]:
        """Return incidents of meters that read, from one scan to the next, as if in another unit; set aside."""
        every, kept = np.arange(len(values)), self.accounts.kept
        with np.errstate(invalid="ignore"):  # near its zero a meter tells no factor: a start or stop is no other unit
            clear, now = (np.abs(x) > CLEAR * self.tags.sigmas(every, x) for x in (kept, values))
            told = np.where(clear & (now | self._pressure), kept, np.nan)
        wrong = wrong_units(self.tags.meters, values, self.tags.sigmas(every, values), told)
        if not wrong:
            return []
        values[list(wrong)] = np.nan
        grouped: dict[str, list[str]] = {}
        for k, (_, words) in wrong.items():
            grouped.setdefault(words, []).append(self.tags.meters[k].name)
        return [
            Incident("unit", tuple(("unit", n) for n in names), "sequence", time, time, unit=words)
            for words, names in grouped.items()
        ]

    # ------------------------------------------------------------------------------------------------- gas in motion

    def _follow(self, watch: Watch, values: Floats, time: float, missed: int) -> None:
        if missed > GAP:
            self.counts.add("gap")
            watch.rest_again()
        if self._anew and watch.memory.count == watch.settled:
            watch.rest_again(0)
        silent = np.full(len(watch.moving.tags), np.nan)
        for _ in range(missed if missed <= GAP else 0):
            watch.values(silent)
        of = self.tags.number
        found = watch.values(values[[of[t] for t in watch.moving.tags]])
        if self.learning is not None:
            self.learning.y.append(watch.memory.recent[-1].astype(np.float32))
            return
        told = [self._of_gas(f, time, k) for k, f in enumerate(found, start=1)]
        self.ledger.take("gas in motion", told)

    def _of_gas(self, f: Finding, time: float, order: int) -> Incident:
        kind = "bias or forged" if f.kind == "bias" else f.kind
        unit = "kg/s"
        if f.kind == "bias":
            unit = UNITS.get(dimension(self.tags.meters[self.tags.number[f.where[0]]].quantity), "")
        return Incident(
            kind, tuple((kind, w) for w in f.where), "gas in motion", time - SCAN * f.onset, time, f.size, f.sigma,
            unit, f.score, f.level, f.false_alarm, f.smallest, f.pipe, f.share, f.share_sigma, order,
        )  # fmt: skip

    # ---------------------------------------------------------------------------------------------------------- a scan

    def _test(self, values: Floats, time: float) -> None:
        if not (self._place >= 0).any():  # nothing but pipes
            return
        z = np.where(self._place >= 0, values[self._place], np.nan)
        moving = self._moving()
        z[moving] = np.nan
        self.ring = np.vstack([self.ring[1:], z])
        self.ring[:, moving] = np.nan  # nor does a mean of before and after
        found: list[Incident] = []
        commands = self._commands()
        for window in range(len(WINDOWS)):
            d = self._one(window, time, commands if window == 0 else [])
            if d is None:
                continue
            if not d.estimate.converged:
                self.counts.add("scans without an estimate")
                continue
            if self.learning is not None and self.counts["scans"] > SCAN:
                self.learning.spreads.add(window, list(d.tested.keys()), d.tested.statistic())
            if window == 0:
                self.last = d
                faults = {(s.kind, s.where) for f in d.faults for s in f.suspects[:1]}
                if faults != self._faults:
                    self.ring[:-1] = np.nan  # a mean of before and after tells of neither
                self._faults = faults
            new = [] if self.learning is not None else self._of_scan(d, window, time)
            found = [x for x in found if not any(y.alike(x) for y in new)] + new if window else new
        self.ledger.take("scan", found)
        wrong = found or any(x.source == "scan" for x in self.ledger.open)
        if self.last is not None and not wrong:  # what is wrong in one place shows in residuals everywhere
            self._learn_offsets(self.last)

    def _sigmas(self, values: Floats) -> Floats:
        """Return the standard deviations of readings (n_meter,), nan where there is none."""
        sigma = np.full(len(values), np.nan)
        heard = np.isfinite(values)
        sigma[heard] = self.tags.sigmas(self._place[heard], values[heard])
        return np.asarray(np.hypot(sigma, self._doubt * np.nan_to_num(values)))

    def _one(self, window: int, time: float, commands: Sequence[Known]) -> Diagnosis | None:
        """Return the diagnosis of the mean of the last scans, offsets taken off; None while there are too few.

        The laws hold for every scan, for their mean but to first order: where a reading moves by s within the window,
        a product that it is a factor of is off by up to the share (s / mean)^2, which joins its sigma.
        """
        length = WINDOWS[window]
        rows = self.ring[-length:]
        there = np.isfinite(rows).sum(0)
        mean = np.where(there >= (length + 1) // 2, np.nansum(rows, axis=0) / np.maximum(there, 1), np.nan)
        mean[~np.isfinite(rows[-1])] = np.nan
        sigma = self._sigmas(mean)
        fit = np.isfinite(sigma) & (sigma > 0.0)
        if not fit.any() or (length > 1 and self.counts["scans"] < length):
            return None
        mean = mean - np.nan_to_num(sigma) * self.offset
        if length > 1:
            moved = np.sqrt(np.nansum((rows - np.nansum(rows, axis=0) / np.maximum(there, 1)) ** 2, axis=0)
                            / np.maximum(there, 1))  # fmt: skip
            sigma = np.hypot(sigma, moved * np.minimum(1.0, moved / np.maximum(np.abs(mean), 1e-300)))
        which = np.flatnonzero(fit)
        scan = Given([self._own[k] for k in which], mean[which].tolist(), sigma[which].tolist(), [time] * len(which))
        alarms = self.budget / 2.0 * SCAN / MONTH / len(WINDOWS)
        spread = {} if self.learning is not None else self._spread_now(window)
        estimator = self.estimator if window == 0 else copy(self.estimator)
        return diagnose(self.bare, scan, commands=commands, alarms=alarms, estimator=estimator, spread=spread)

    def _commands(self) -> list[Known]:
        if self.kept is None or self.learning is not None:
            return []
        return [
            Known(k.quantity, k.where, k.value, self.kept * abs(k.value)) for k in self.shown
            if k.quantity in COMMANDS and k.where in self.bare and not self._fresh(k.where)
        ]  # fmt: skip

    def _fresh(self, where: str) -> bool:
        """Tell whether an element was ordered or shown otherwise only just now."""
        return self._before - self._changed.get(where, self._before - RAMP) < RAMP

    def _moving(self) -> NDArray[np.bool_]:
        """Tell which meters (n_meter,) are of elements that were ordered or shown otherwise only just now."""
        self._changed = {w: k for w, k in self._changed.items() if self._fresh(w)}
        found = np.zeros(len(self._own), bool)
        for where in self._changed:
            found |= self._meters_of(where)
        return found

    def _spread_now(self, window: int) -> Mapping[tuple[str, str], float]:
        """Return the spreads that hold now: below 1, of noise alone, only where the offsets of meters are known.

        Those of a compressor station never are: its laws are off by another share at every working point.
        """
        taught = self.spread[window]
        if not taught:
            return taught
        unsure = ((self.heard < KNOWN) | self._varies) & (self._place >= 0)
        key = (window, unsure.tobytes())
        if key not in self._spreads:
            names = {n for k in np.flatnonzero(unsure) for n in self._near(self._own[k])}
            self._spreads = {k: v for k, v in self._spreads.items() if k[0] != window}
            self._spreads[key] = {k: max(1.0, v) if k[1] in names else v for k, v in taught.items()}
        return self._spreads[key]

    def _near(self, meter: Meter) -> tuple[str, ...]:
        """Return what a meter speaks of: itself, its element and the nodes or buses at its ends."""
        kind = self.bare.kind_of(meter.where)
        t = self.bare[kind]
        k = t.row(meter.where)
        return (meter.name, meter.where, *(str(t[c][k]) for c in ENDS if c in t.columns))

    def _learn_offsets(self, d: Diagnosis) -> None:
        """Move the offset of each meter by its residual: the mean at first, later with a memory of a day."""
        e = d.estimate
        told = e.used & np.isfinite(e.residuals)
        self.heard = self.heard + told
        share = 1.0 / np.clip(self.heard, 1.0, DAY)
        moved = np.where(told, np.nan_to_num(e.residuals) / np.where(told, e.sigmas, 1.0), 0.0)
        self.offset = self.offset + share * moved

    def _of_scan(self, d: Diagnosis, window: int, time: float) -> list[Incident]:
        began = time - SCAN * (WINDOWS[window] - 1) / 2.0
        found = [self._of_fault(d, f, window, began, time) for f in d.faults]
        found += [self._of_command(d, c, time) for c in d.commands]
        return found

    @staticmethod
    def _gravest(f: Fault) -> Fault:
        """Return a fault with what is lost leading its set, where that and a wrong meter explain a scan as well."""
        lost = next((s for s in f.suspects if s.kind in LOSSES), None)
        if f.kind != "reading" or lost is None:
            return f
        others = tuple(s for s in f.suspects if s is not lost)
        return replace(f, suspects=(lost, *others), size=lost.size, sigma=abs(lost.size / lost.score), score=lost.score)

    def _of_fault(self, d: Diagnosis, f: Fault, window: int, began: float, time: float) -> Incident:
        f = self._gravest(f)
        suspects = [("bias or forged" if s.kind == "reading" else s.kind, s.where) for s in f.suspects]
        plants = self.bare["plants"]
        for kind, name in list(suspects):
            if kind == "efficiency" and name in plants:
                suspects.append(("forged", f"power of {plants['generator'][plants.row(name)]}"))
        spread = self._spread_now(window).get((f.suspects[0].kind, f.suspects[0].where), 1.0)
        return Incident(
            suspects[0][0], tuple(suspects), "scan", began, time, f.size, f.sigma, self._unit(f), abs(f.score) / spread,
            d.limit, f.false_alarm * MONTH / SCAN, f.least, order=f.order,
        )  # fmt: skip

    def _unit(self, f: Fault) -> str:
        best = f.suspects[0]
        if best.kind != "reading":
            return OF_KIND.get(best.kind, "SI")
        meter = next((m for m in self._own if m.name == best.where), None)
        return UNITS.get(dimension(meter.quantity), "") if meter else ""

    def _of_command(self, d: Diagnosis, c: Departure, time: float) -> Incident:
        k = c.command
        return Incident(
            "command", (("command", k.where),), "scan", time, time, c.held, c.sigma,
            UNITS.get(dimension(k.quantity), k.quantity), abs(c.score), d.limit, c.false_alarm * MONTH / SCAN,
        )  # fmt: skip

    # --------------------------------------------------------------------------------------------------- save, restore

    def save(self, *, replays: bool = True) -> dict[str, Any]:
        """Return all that changes from scan to scan as numbers, texts and lists: what `restore` takes.

        replays  keep the scans of the last day too (some megabytes): without them what is played again goes unseen
                 until they are gathered anew
        """
        watch = None if self.watch is None else {k: packed(v) for k, v in self.watch.save().items()}
        return {
            "case": self.network.name, "before": self._before, "changed": dict(self._changed),
            "minutes": self.minutes.save(), "watch": watch,
            "meters": [m.name for m in self._own], "ledger": self.ledger.save(), "counts": dict(self.counts.counted),
            "scan": {k: packed(getattr(self, k)) for k in ("offset", "heard", "ring")},
            "accounts": {k: packed(v) for k, v in self.accounts.save().items()},
            "replays": {k: packed(v) for k, v in self.replays.save().items()} if replays else None,
        }  # fmt: skip

    def restore(self, saved: dict[str, Any]) -> None:
        """Take up where `save` left off; SeraiError when it is of another case or of other meters."""
        if saved["case"] != self.network.name or saved["meters"] != [m.name for m in self._own]:
            msg = f"what was kept is of another case or of other meters than {self.network.name} has: begin anew"
            raise SeraiError(msg)
        if self.watch is not None and saved["watch"] is not None:
            self.watch.restore({k: unpacked(v) for k, v in saved["watch"].items()})
        for k, v in saved["scan"].items():
            setattr(self, k, unpacked(v))
        if saved["replays"] is not None:
            self.replays.restore({k: unpacked(v) for k, v in saved["replays"].items()})
        self.accounts.restore({k: unpacked(v) for k, v in saved.get("accounts", {}).items()})
        self.ledger.restore(saved["ledger"])
        self.counts.counted.clear()
        self.counts.counted.update(saved["counts"])
        self.minutes.restore(saved["minutes"])
        self._before, self._changed = int(saved["before"]), dict(saved["changed"])

    def _take_up(self, taught: Taught, settled: int | None) -> None:
        """Begin where the clean days of a lesson ended; time may have passed since, so the watch rests for a while."""
        try:
            self.restore(taught.state)
        except SeraiError as error:
            self.notes.append(str(error))
            return
        self.ledger = Ledger()
        self.accounts.day, self._changed = None, {}
        self.counts.counted.clear()
        self.minutes.restore({"last": -1, "mark": 0, "open": []})
        self._before = -1
        self.ring[:] = np.nan
        if self.watch is not None and settled is None:
            self.watch.rest_again(RESTING)


def _usual(
    network: Network, shown: Sequence[Known], hour: float | None, notes: list[str]
) -> tuple[Result | None, dict[str, float], dict[tuple[str, str], float]]:
    """Return the steady state of what is shown, pressures of its nodes and flows of exchanges; empty without one."""
    try:
        day = steady(network, shown, hour=hour)
    except SeraiError as error:
        notes.append(f"no steady state to begin from: {error}")
        return None, {}, {}
    if "pressure" not in day.dataset:
        return day, {}, {}
    p = day.pressure
    pressures = {str(n): float(v) for n, v in zip(p["gas_node"].values, p.values, strict=True) if np.isfinite(v)}
    flows = {}
    for x in exchanges(network, {}):
        flows[x.quantity, x.where] = float(np.nan_to_num(float(measured(day, x.quantity, x.where))))
    return day, pressures, flows


def packed(value: Any) -> Any:
    """Return an array as text (zlib, base 64), numbers and texts as they are, so that JSON takes it."""
    if isinstance(value, list) and value and isinstance(value[0], (list, float, int)):
        value = np.asarray(value)
    if not isinstance(value, np.ndarray):
        return value
    data = base64.b64encode(zlib.compress(np.ascontiguousarray(value).tobytes(), 1)).decode("ascii")
    return {"type": value.dtype.str, "shape": list(value.shape), "data": data}


def unpacked(value: Any) -> Any:
    """Return what `packed` was given."""
    if not isinstance(value, dict):
        return value
    raw = zlib.decompress(base64.b64decode(value["data"]))
    return np.frombuffer(raw, np.dtype(value["type"])).reshape(value["shape"]).copy()


# ------------------------------------------------------------------------------------------------------- a time series


@dataclass(frozen=True)
class History:
    """What was wrong over a time series: `for incident in history`.

    incidents  all that were told, those that still last first, the surest first
    course     with everything that was remembered
    """

    incidents: tuple[Incident, ...]
    course: Course

    def __iter__(self) -> Any:
        """Go through the incidents."""
        return iter(self.incidents)

    def __len__(self) -> int:
        return len(self.incidents)

    def sheets_csv(self) -> str:
        """Return the daily balance sheets as one CSV."""
        texts = [s.csv() for s in self.course.sheets]
        return "".join([*texts[:1], *(t.split("\n", 1)[1] for t in texts[1:])])

    def __str__(self) -> str:
        """Say what was wrong, a line each."""
        c = self.course.counts
        lines = [f"{self.course.network.name}: {len(self.incidents)} incidents in {c['scans'] / 60.0:.1f} h"]
        return "\n".join([*lines, *(f"{x.number}. {x}" for x in self.incidents)])


def over_time(network: Network, readings: Readings | Iterable[Readings], **asked: Any) -> History:
    """Say what was wrong over many scans.

    readings  a batch that spans many scans, or batches in the order of their arrival
    asked     what `Course` takes besides: lesson, budget, hour, shown, kept
    """
    course = Course(network, **asked)
    shown_at = getattr(readings, "shown", None) if "shown" not in asked else None
    begin = getattr(readings, "start", None)
    for batch in [readings] if isinstance(readings, Readings) else readings:
        if shown_at is not None and begin is not None and len(batch):
            course.shows(shown_at(float(batch.time.max()) / 1e6 - begin))
        course.scan(batch)
    course.rest()
    return History((*course.incidents, *reversed(course.closed)), course)
