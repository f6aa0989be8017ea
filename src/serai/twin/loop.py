# SPDX-License-Identifier: Apache-2.0
"""The loop: readings in; estimate, diagnose, alarm, record; out comes what a control room shows. No sockets, no clock.

    loop.take(batch)      readings as they come, with the flags of the quality checks
    loop.scan(now)        one beat, in a thread of its own: returns what happened

A beat never waits for a solver longer than its patience. The grid is estimated with every beat that brings new readings
of it; where the answer is late, or there is none, the last one is shown and marked as a prediction. Gas and diagnosis
run beside, a scan a minute; between two scans gas is predicted by the filter's own forecast.
"""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite, nan
from threading import Lock
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from scipy.stats import chi2

from serai.errors import SeraiError
from serai.network.instruments import instruments
from serai.telemetry.readings import MICROSECONDS, Counts, joined
from serai.twin.beside import Beside
from serai.twin.figures import Figures
from serai.twin.gas import PREDICTED, GasSeen, GasSight
from serai.twin.grid import SURE, GridSeen, GridSight
from serai.twin.latest import NEVER, USELESS, Latest
from serai.twin.layout import Layout, limits_of
from serai.twin.residuals import residuals, unobservable
from serai.twin.timing import Timing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from serai.diagnose import Diagnosis
    from serai.diagnose.incident import Incident
    from serai.diagnose.leaks import Watch
    from serai.diagnose.minutes import Minutes
    from serai.known import Known as Given
    from serai.network import Network
    from serai.network.instruments import Instrument
    from serai.telemetry.readings import Readings, Register

    Floats = NDArray[np.float64]

MOST = 400_000  # readings that wait for the diagnosis; then the oldest are left out, and counted
GRACE = 8.0  # s: a scan of a minute is closed half a minute after it; one that is later by this did not come
ESTIMATE, PREDICTION, MEASURED, UNKNOWN = "e", "p", "m", "-"  # letters of `source`


class Judge(Protocol):
    """Diagnosis over time, as `serai.diagnose.course.Course` is."""

    watch: Watch | None
    minutes: Minutes
    last: Diagnosis | None

    def scan(self, readings: Readings, shown: Iterable[Given] | None = None) -> tuple[Incident, ...]:
        """Take readings, and what is shown to the control room; return all incidents that are open."""
        ...

    def save(self) -> dict[str, Any]:
        """Return all that it remembers, plain."""
        ...

    def restore(self, saved: dict[str, Any]) -> None:
        """Take up what `save` returned; SeraiError when it is of other meters."""
        ...


@dataclass(frozen=True, slots=True)
class Settings:
    """How the loop runs.

    period    [s] between two beats
    patience  [s] that a beat waits for the estimate of the grid, at most
    inline    do everything at once in the caller's thread: for tests and for time that runs faster
    """

    period: float = 1.0
    patience: float = 0.4
    inline: bool = False


@dataclass(frozen=True, slots=True)
class Judged:
    """What the diagnosis said, and the gas that it saw on its way."""

    incidents: tuple[Incident, ...]
    gas: GasSeen | None
    misfit: float
    limit: float
    residuals: Sequence[dict[str, Any]] = ()
    unobservable: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """What is known at one beat, in the order of the layout; SI.

    time      [s since 1970 UTC]; sequence of beats
    estimate, sigma, measured   (n_value,), nan = not known
    quality   (n_value,); source  a letter each
    """

    time: float
    beat: int
    estimate: Floats
    sigma: Floats
    measured: Floats
    quality: NDArray[np.uint16]
    source: str


class Loop:
    """One twin.

    network   on its day; its instruments are estimated
    judge     diagnosis over time; None = without (then gas is not followed either)
    watched   instruments that are followed and held to limits, not estimated, beside those of the network
    register  numbers of the tags in the batches that come

    timing, counts, latest, layout   for those who look;  known  of the last beat
    shown       what the control room takes as given at a time (set-points, positions), for the diagnosis
    beyond      which instruments (n_tag,) read something beyond the limit of what they measure
    incidents   that are open;  gas, grid   last seen;  trouble  what kept a stage from its answer, "" = nothing
    """

    def __init__(
        self, network: Network, register: Register, judge: Judge | None = None, *,
        watched: Sequence[Instrument] = (), settings: Settings | None = None,
    ) -> None:  # fmt: skip
        self.network, self.judge, self.settings = network, judge, settings or Settings()
        own = instruments(network)
        if not own:
            raise SeraiError(f"{network.name} has no instruments: nothing to read, so nothing to follow")
        self.latest = Latest([*own, *watched], register)
        self.grid_sight = GridSight(network, self.latest) if len(network.active("buses")) else None
        moving = judge.watch.moving if judge is not None and judge.watch is not None else None
        self.gas_sight = GasSight(moving) if moving is not None else None
        keys = [*(self.gas_sight.keys if self.gas_sight else ()), *(self.grid_sight.keys if self.grid_sight else ())]
        self.layout = Layout(network, keys, own)
        self._gas_at = self.layout.at(self.gas_sight.keys) if self.gas_sight else np.empty(0, np.intp)
        self._grid_at = self.layout.at(self.grid_sight.keys) if self.grid_sight else np.empty(0, np.intp)
        self.latest.hold(limits_of(network))
        self.beyond = np.zeros(len(self.latest), bool)
        self._lay_stations()
        self.figures = Figures(network, self.gas_sight, self.grid_sight)
        self._judged_tags = np.array([self.latest.number[k] for k in range(len(own))], np.int32)
        self._inbox: deque[Readings] = deque()
        self._unjudged: list[Readings] = []
        self.timing, self.counts = Timing(), Counts("loop")
        self._estimating: Beside[GridSeen | None] = Beside("grid", inline=self.settings.inline)
        self._judging: Beside[Judged] = Beside("diagnosis", inline=self.settings.inline)
        self.gas: GasSeen | None = None
        self.grid: GridSeen | None = None
        self.misfit: tuple[float, float] = (nan, nan)
        self.incidents: tuple[Incident, ...] = ()
        self.residuals: Sequence[dict[str, Any]] = ()
        self.unobservable: Sequence[str] = ()
        self.shown: Callable[[float], Iterable[Given]] | None = None
        self.trouble: dict[str, str] = {"grid": "", "gas": ""}
        self.known: Known | None = None
        self.beat = 0
        self.newest = NEVER
        self._grid_newest = 0.0
        watch = judge.watch if judge is not None else None
        self._gas_scans = watch.memory.count if watch is not None else -1
        self._last: Any = None
        self._turn = Lock()  # of the diagnosis: it is read and saved between two of its scans

    def _lay_stations(self) -> None:
        """Find the inlets and outlets of stations: their pressures are those of nodes, their ratio that of both."""
        place = self.layout.place
        self._alias: tuple[list[int], list[int]] = ([], [])
        self._ratio: tuple[list[int], list[int], list[int]] = ([], [], [])
        for kind in ("compressors", "control_valves"):
            t = self.network.active(kind)
            for k, name in enumerate(t.names):
                ends = [place.get(("pressure", str(t[c][k]))) for c in ("from_node", "to_node")]
                for quantity, node in zip(("inlet_pressure", "outlet_pressure"), ends, strict=True):
                    if (quantity, name) in place and node is not None:
                        self._alias[0].append(place[quantity, name])
                        self._alias[1].append(node)
                if ("ratio", name) in place and None not in ends:
                    self._ratio[0].append(place["ratio", name])
                    self._ratio[1].append(ends[0] or 0)
                    self._ratio[2].append(ends[1] or 0)

    # ------------------------------------------------------------------------------------------------------ readings

    def take(self, batch: Readings) -> None:
        """Take readings, from any thread; the next beat looks at them."""
        self._inbox.append(batch)

    def _drain(self) -> None:
        """Bring the newest readings up to date, and lay by what the diagnosis has to see."""
        while self._inbox:
            batch = self._inbox.popleft()
            self.newest = max(self.newest, self.latest.take(batch))
            if self.judge is not None:
                self._unjudged.append(batch.take(np.isin(batch.tag, self._judged_tags)))
        waiting = sum(map(len, self._unjudged))
        while waiting > MOST and len(self._unjudged) > 1:
            lost = len(self._unjudged.pop(0))
            waiting -= lost
            self.counts.add("readings that the diagnosis did not see", lost)

    # ---------------------------------------------------------------------------------------------------------- beat

    def scan(self, now: float) -> Known:
        """Take one beat at a time [s since 1970 UTC]."""
        begun = perf_counter()
        with self.timing.stage("readings"):
            self._drain()
        with self.timing.stage("quality"):
            quality = self.latest.quality_at(round(now * MICROSECONDS))
            self.beyond = self.latest.beyond(quality)
        fresh = self._estimate(now, quality)
        self._diagnose(now)
        with self.timing.stage("state"):
            self.known = self._together(now, quality, fresh=fresh)
        self.timing.add("scan", perf_counter() - begun)
        self.beat += 1
        return self.known

    def _estimate(self, now: float, quality: NDArray[np.uint16]) -> bool:
        """Estimate the grid where it was read anew; tell whether its state is that of this beat's readings."""
        sight = self.grid_sight
        if sight is None:
            return False
        begun = perf_counter()
        found = sight.read(quality, USELESS)
        newest = max(found.times, default=0.0)
        started = False
        if found.times and newest > self._grid_newest:
            started = self._estimating.start(lambda: sight.see(found, now))
            if started:
                self._grid_newest = newest
        answer = None
        try:
            answer = self._estimating.result(self.settings.patience)
            if answer is not None:
                self.grid, self.trouble["grid"] = answer, ""
            elif started and not self._estimating.busy:
                self.trouble["grid"] = "no estimate fits the readings"
        except (SeraiError, ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
            self.counts.add(f"estimate of the grid failed: {type(error).__name__}")
            self.trouble["grid"] = str(error)
        if self._estimating.busy:
            self.trouble["grid"] = f"the estimate has been under way for {self._estimating.waits:.1f} s"
        self.timing.add("estimate", perf_counter() - begun)
        return answer is not None or bool(found.times and newest <= self._grid_newest and not self.trouble["grid"])

    def _diagnose(self, now: float) -> None:
        """Take up what the diagnosis has said; hand it what came since."""
        if self.judge is None:
            return
        begun = perf_counter()
        self._take_up()
        if self._unjudged and not self._judging.busy:
            batch, shown = joined(self._unjudged), list(self.shown(now)) if self.shown else None
            if self._judging.start(lambda: self._judge(batch, shown)):
                self._unjudged = []
        elif not self._judging.busy and self._overdue(now):
            self._judging.start(self._predict)
        if self.settings.inline:
            self._take_up()
        self.timing.add("diagnosis beside the scan", perf_counter() - begun)

    def _take_up(self) -> None:
        try:
            judged = self._judging.result()
        except Exception as error:  # noqa: BLE001 - whatever fails there, the beat goes on and says so
            self.counts.add(f"diagnosis failed: {type(error).__name__}")
            self.trouble["gas"] = f"{type(error).__name__}: {error}"
            return
        if judged is None:
            return
        self.timing.add("diagnosis", self._judging.spent)
        self.trouble["gas"] = ""
        self.incidents = judged.incidents
        if judged.residuals:
            self.residuals, self.unobservable = judged.residuals, judged.unobservable
        if judged.gas is not None:
            if judged.gas.steps == 0:
                self.misfit = judged.misfit, judged.limit
                self.figures.remember(judged.gas)
            self.gas = judged.gas

    def _judge(self, batch: Readings, shown: list[Given] | None) -> Judged:
        """Diagnose, and look at the gas where it was scanned; in the thread beside."""
        assert self.judge is not None  # noqa: S101 - asked before
        with self._turn:
            return self._judge_alone(self.judge, batch, shown)

    def _judge_alone(self, judge: Judge, batch: Readings, shown: list[Given] | None) -> Judged:
        incidents = judge.scan(batch, shown)
        watch, said = judge.watch, self._said()
        if self.gas_sight is None or watch is None or watch.memory.count == self._gas_scans:
            return Judged(incidents, None, nan, nan, *said)
        self._gas_scans = watch.memory.count
        time = self.gas_sight.scan * judge.minutes.last
        y = watch.memory.recent[-1]
        heard = int((~watch.moving.dead).sum())
        return Judged(incidents, self.gas_sight.see(time), float(y @ y), float(chi2.isf(SURE, max(heard, 1))), *said)

    def _said(self) -> tuple[Sequence[dict[str, Any]], Sequence[str]]:
        """Return the residuals of the last diagnosed scan and what it could not see, where that scan is a new one."""
        last = self.judge.last if self.judge is not None else None
        if last is None or last is self._last:
            return (), ()
        self._last = last
        return residuals(last), list(unobservable(last))

    def _on_time(self, now: float) -> bool:
        """Tell whether the gas was scanned when it was due: carried on from there, it is an estimate still."""
        gas, sight = self.gas, self.gas_sight
        return bool(gas and sight and not gas.steps and now <= gas.time + 2.0 * sight.scan + GRACE)

    def _overdue(self, now: float) -> bool:
        gas, sight = self.gas, self.gas_sight
        return bool(gas and sight and gas.steps < PREDICTED and now > gas.time + 2.0 * sight.scan + GRACE)

    def _predict(self) -> Judged:
        """Carry the gas one scan on without readings; in the thread beside."""
        assert self.gas is not None  # noqa: S101 - asked before
        assert self.gas_sight is not None  # noqa: S101 - asked before
        with self._turn:
            return Judged(self.incidents, self.gas_sight.further(self.gas), nan, nan)

    # --------------------------------------------------------------------------------------------------------- state

    def _together(self, now: float, quality: NDArray[np.uint16], *, fresh: bool) -> Known:
        """Lay everything that is known into the order of the layout."""
        lo, n = self.layout, len(self.layout)
        estimate, sigma, measured = (np.full(n, nan) for _ in range(3))
        source = np.full(n, UNKNOWN)
        at = lo.tag_at
        tagged = at >= 0
        measured[tagged] = self.latest.value[at[tagged]]
        own = np.zeros(n, np.uint16)
        own[tagged] = quality[at[tagged]]
        source[np.isfinite(measured)] = MEASURED
        if self.grid is not None and self.grid_sight is not None:
            self._lay(self._grid_at, self.grid.values, self.grid.sigma, (estimate, sigma))
            source[self._grid_at] = ESTIMATE if fresh else PREDICTION
        gas, sight = self.gas, self.gas_sight
        if gas is not None and sight is not None and gas.steps < PREDICTED:
            self._lay(self._gas_at, gas.at(now, sight.scan), gas.sigma, (estimate, sigma))
            source[self._gas_at] = ESTIMATE if self._on_time(now) else PREDICTION
            to, of = (np.array(part, np.intp) for part in self._alias)
            estimate[to], sigma[to], source[to] = estimate[of], sigma[of], source[of]
            to, a, b = (np.array(part, np.intp) for part in self._ratio)
            estimate[to], source[to] = estimate[b] / estimate[a], source[a]
        source[~np.isfinite(estimate) & (source != MEASURED)] = UNKNOWN
        return Known(now, self.beat, estimate, sigma, measured, own, "".join(source.tolist()))

    @staticmethod
    def _lay(at: NDArray[np.intp], values: Floats, sigma: Floats, into: tuple[Floats, Floats]) -> None:
        into[0][at], into[1][at] = values, sigma

    def beside_diagnosis(self, work: Callable[[], object], patience: float = 10.0) -> bool:
        """Do something while the diagnosis does nothing; False where it was busy all the time [s]."""
        with self._alone(patience) as alone:
            if alone:
                work()
            return alone

    @contextmanager
    def _alone(self, patience: float) -> Iterator[bool]:
        got = self._turn.acquire(timeout=patience)
        try:
            yield got
        finally:
            if got:
                self._turn.release()

    def health(self, now: float) -> dict[str, Any]:
        """Return how well gas and grid are known: age, misfit and its limit, status."""
        out: dict[str, Any] = {}
        if self.gas_sight is not None:
            gas = self.gas
            late = not self._on_time(now)
            out["gas"] = {
                "age_s": round(now - gas.time + gas.steps * self.gas_sight.scan, 1) if gas else None,
                "chi2": _plain(self.misfit[0]), "chi2_limit": _plain(self.misfit[1]),
                "status": self._status(gas is None, late, self.trouble["gas"]),
                "reason": self.trouble["gas"],
            }  # fmt: skip
        if self.grid_sight is not None:
            grid = self.grid
            old = grid is None or now - grid.time > 10.0
            out["power"] = {
                "age_s": round(now - grid.time, 1) if grid else None,
                "chi2": _plain(grid.objective) if grid else None, "chi2_limit": _plain(grid.limit) if grid else None,
                "status": self._status(grid is None, old, self.trouble["grid"]), "reason": self.trouble["grid"],
            }  # fmt: skip
        return out

    @staticmethod
    def _status(none: bool, predicted: bool, trouble: str) -> str:  # noqa: FBT001 - three facts of one thing
        return "not known yet" if none else "prediction" if predicted or trouble else "estimate"

    def close(self) -> None:
        """End the threads beside."""
        self._estimating.close()
        self._judging.close()


def _plain(value: float) -> float | None:
    return round(value, 2) if isfinite(value) else None
