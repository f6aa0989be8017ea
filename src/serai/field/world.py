# SPDX-License-Identifier: Apache-2.0
"""The true world of a scenario, moving: a transient that goes on, and what exact instruments would read in it.

Between the instants at which it is solved the world is taken as a straight line. Withdrawals, loads and set-points
are straight lines there too, so the error is of second order in what they change in one step; where something jumps,
the instants stand close (1, 3, 7, 15 and 31 s behind it). The grid is solved exactly at each of these instants.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, inf, isnan, pi, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from serai.errors import BadTimes, SeraiError
from serai.field.disturbed import disturbed
from serai.known import Event, Known
from serai.laws.fluid import compressibility
from serai.network.instruments import instruments
from serai.simulate.extract import arrays, names_of
from serai.simulate.measured import places
from serai.simulate.transient import Running

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from serai.field.disturbed import Disturbed
    from serai.field.scenario import Leak, Scenario, Theft
    from serai.network import Network
    from serai.simulate.extract import Variables

    Floats = NDArray[np.float64]

AFTER = (1.0, 3.0, 7.0, 15.0, 31.0)  # s behind a jump at which the world is solved again
CLOSE = 0.5  # s: instants that lie closer are one
KNOT = 60.0  # s between the values of what wanders
DISCHARGE = 0.85  # of a hole with sharp edges in choked flow: general knowledge, 0.8 to 0.9
PACKED = 240  # states kept as columns before they become readings


@dataclass(frozen=True)
class Path:
    """True readings `values` (n, n_instrument) at `times` (n,) [s]; straight between."""

    times: Floats
    values: Floats

    def __call__(self, time: Floats, which: NDArray[np.intp]) -> Floats:
        """Return the values (m,) at times (m,) of instruments (m,)."""
        t = self.times
        k = np.clip(np.searchsorted(t, time), 1, len(t) - 1)
        share = np.clip((time - t[k - 1]) / (t[k] - t[k - 1]), 0.0, 1.0)
        return np.asarray((1.0 - share) * self.values[k - 1, which] + share * self.values[k, which])


class Wander:
    """Factors (n,) about 1 that wander: an Ornstein-Uhlenbeck process at knots of KNOT, straight between.

    deviation  standard deviation; memory [s] over which the factor forgets
    """

    def __init__(self, n: int, deviation: float, memory: float, seed: Sequence[int]) -> None:
        self._kept, self._new = np.exp(-KNOT / memory), np.sqrt(1.0 - np.exp(-2.0 * KNOT / memory))
        self._deviation, self._rng, self._n = deviation, np.random.default_rng(seed), n
        self._knots: list[Floats] = []

    def at(self, time: float) -> Floats:
        """Return the factors at a time [s], from 0 on."""
        k = int(time // KNOT)
        while len(self._knots) < k + 2:
            fresh = self._rng.standard_normal(self._n)
            self._knots.append(self._kept * self._knots[-1] + self._new * fresh if self._knots else fresh)
        share = time / KNOT - k
        wave = (1.0 - share) * self._knots[k] + share * self._knots[k + 1]
        return np.asarray(1.0 + self._deviation * np.clip(wave, -3.0, 3.0))


class Exact:
    """What exact instruments read: positions in result arrays of every instrument, found once.

    tags  of the instruments, in the order of the table
    """

    def __init__(self, model: Network, world: Disturbed) -> None:
        listed = instruments(model)
        self.tags = tuple(i.tag for i in listed)
        self.is_pressure = np.array([i.quantity.endswith("pressure") for i in listed], bool)
        lost: dict[str, list[str]] = {}
        offtakes = world.network["offtakes"]
        for name in (*world.leaks, *world.thefts):
            if name in offtakes:
                lost.setdefault(str(offtakes["node"][offtakes.row(name)]), []).append(name)
        self.dims = names_of(world.network)
        index = {dim: {name: k for k, name in enumerate(names)} for dim, names in self.dims.items()}
        terms: dict[str, list[tuple[int, int, float]]] = {}

        def add(k: int, place: tuple[str, str, str], sign: float) -> None:
            variable, dimension, name = place
            terms.setdefault(variable, []).append((k, index.get(dimension, {}).get(name, -1), sign))

        for k, i in enumerate(listed):
            where = world.beyond.get(i.where, i.where) if i.quantity == "flow_out" else i.where
            for place, sign in zip(places(world.network, i.quantity, where), (1.0, -1.0), strict=False):
                add(k, place, sign)
            if i.quantity == "withdrawal" and world.network.kind_of(where) == "gas_nodes":
                for name in lost.get(where, ()):  # no meter sees what is lost
                    add(k, ("delivered", "offtake", name), -1.0)
        self._terms = {
            variable: tuple(np.array(x) for x in zip(*found, strict=True)) for variable, found in terms.items()
        }

    def of(self, variables: Variables) -> Floats:
        """Return the exact readings (n_time, n_instrument), SI, from the arrays of results; what does not run: nan."""
        n = next(len(values) for _, values in variables.values())
        found = np.zeros((n, len(self.tags)))
        for variable, (to, at, sign) in self._terms.items():
            values = variables[variable][1][:, at] if variable in variables else np.full((n, len(at)), np.nan)
            np.add.at(found.T, to, (sign * np.where(at >= 0, values, np.nan)).T)
        return found


class World:
    """A scenario's truth, moving forward: `advance` solves on, `times` (n,) and `values` (n, n_instrument) grow.

    network      the model; the truth is made from it (`world.network` is the truth's own)
    scenario     with its day, start and what goes wrong
    seed         of everything random
    step         [s] longest time step
    story        operations of a forger's world, which hold beside those of the scenario
    """

    def __init__(
        self, network: Network, scenario: Scenario, *, seed: int, step: float, story: Sequence[Event] = ()
    ) -> None:
        turns = max(step, KNOT) / min(step, KNOT) if step > 0.0 else 0.5
        if not 0.0 < step <= 3600.0 or abs(turns - round(turns)) > 1e-9 * turns:
            raise BadTimes(f"the step of the truth must divide {KNOT:g} s or be a multiple of it, got {step:g} s")
        self.model = network.on(scenario.day) if scenario.day else network
        self.scenario, self.step, self.time = scenario, step, 0.0
        made = disturbed(self.model, scenario, seed)
        self.network, self._made = made.network, made
        self.exact = Exact(self.model, made)
        self._moving = [
            (k.quantity, k.where)
            for k in self.network.knowns()
            if (k.quantity == "withdrawal" and k.where in self.network["offtakes"])
            or (k.quantity == "active_power" and k.where in self.network["loads"])
        ]
        truth = scenario.truth
        self._wander = Wander(len(self._moving), truth.wander, truth.wander_time, [seed, 2]) if truth.wander else None
        self._rates: list[float] = [0.0 for _ in scenario.leaks]
        events = [Event(o.time, o.known) for o in scenario.operations]
        self.events = sorted([*events, *story], key=lambda e: e.time)
        self._jumps = sorted({j for j in self._all_jumps() if j > 0.0})
        self.running = Running(
            self.network, (), (), cell=truth.cell, start_hour=scenario.start_hour,
        )  # fmt: skip
        self._times: list[float] = []
        self._parts: list[Floats] = []
        self._waiting: list[float] = []
        self._last: Floats | None = None

    # ------------------------------------------------------------------ what holds

    def _all_jumps(self) -> list[float]:
        found = [e.time for e in self.events]
        for x in self.scenario.leaks:
            found += [x.begin, x.end]
        for theft in self.scenario.thefts:
            found += _switching(theft)
        return [t for t in found if t < inf]

    def _given(self, time: float) -> list[Known]:
        """Return the Knowns that stand in for the case's own at the end of a step, `time`: exclusive of what begins."""
        found: list[Known] = []
        if self._wander is not None:
            factors = dict(zip(self._moving, self._wander.at(time), strict=True))
            hour = self.scenario.start_hour + time / 3600.0
            for known in self.network.knowns(hour):
                factor = factors.get((known.quantity, known.where))
                if factor is not None:
                    found.append(Known(known.quantity, known.where, known.value * float(factor), source="wander"))
        for leak, name, rate in zip(self.scenario.leaks, self._made.leaks, self._rates, strict=True):
            found.append(Known("withdrawal", name, rate if leak.begin < time <= leak.end else 0.0, source="leak"))
        for theft, name in zip(self.scenario.thefts, self._made.thefts, strict=True):
            quantity = "active_power" if name in self.network["loads"] else "withdrawal"
            found.append(Known(quantity, name, theft.rate if _taking(theft, time) else 0.0, source="theft"))
        return found

    def _split(self, events: list[Event]) -> list[Event]:
        """Return events in which what happens to a pipe happens to both its pieces."""
        more = [
            Event(e.time, Known(e.known.quantity, self._made.beyond[e.known.where], e.known.value))
            for e in events
            if e.known.where in self._made.beyond
        ]
        return [*events, *more]

    # ---------------------------------------------------------------------- moving

    def begin(self) -> None:
        """Solve the steady state at the start."""
        self._put_in_force(0.0)
        self.running.begin()
        self._rates = [self._first_rate(leak) for leak in self.scenario.leaks]
        self._keep(0.0)
        self._pack()

    def advance(self, to: float, progress: Callable[[float], None] | None = None) -> None:
        """Solve on to a time [s]; raises what a transient raises; it then stands where the last answer was."""
        begun = self.time
        for instant in self.instants(self.time, to):
            self._bleed()
            before = self._state()
            self._put_in_force(instant)
            try:
                self.running.advance(self.time, instant, instant - self.time, None)
            except SeraiError:
                vars(self.running).update(before)
                self._pack()
                raise
            self.time = instant
            self._keep(instant)
            if len(self._waiting) >= PACKED:
                self._pack()
                if progress is not None:
                    progress((self.time - begun) / (to - begun))
        self._pack()

    def instants(self, begin: float, end: float) -> list[float]:
        """Return the times in (begin, end] at which the world is solved."""
        first, last = ceil(begin / self.step + 1e-9), int(end / self.step + 1e-9)
        firm = {end, *(k * self.step for k in range(first, last + 1))}
        firm |= {j for j in self._jumps if begin < j <= end}
        soft = {j + a for j in self._jumps for a in AFTER if begin < j + a <= end}
        found: list[float] = []
        for t in sorted(firm | soft):
            if t in firm:
                while found and found[-1] not in firm and t - found[-1] < CLOSE:
                    found.pop()
                found.append(t)
            elif t - (found[-1] if found else begin) >= CLOSE:
                found.append(t)
        return [t for t in found if t - begin > 1e-6]

    def tell(self, known: Known) -> None:
        """Let a Known hold from now on; raises SeraiError, and changes nothing, where the world has no answer to it.

        The answer is tried over a second: what can only be kept up for a while fails later, in `advance`.
        """
        before = self._state()
        new = Event(self.time, known)
        self.events.append(new)
        self._put_in_force(self.time + AFTER[0])
        try:
            self.running.advance(self.time, self.time + AFTER[0], AFTER[0], None)
        except SeraiError:
            self.events.remove(new)
            raise
        finally:
            vars(self.running).update(before)
        self._jumps = sorted({*self._jumps, self.time})

    def take_back(self, known: Known) -> None:
        """Let a Known that was told hold no longer, from now on."""
        self.events = [e for e in self.events if e.known is not known]
        self._jumps = sorted({*self._jumps, self.time})

    def _put_in_force(self, time: float) -> None:
        """Give the transient what holds in the step that ends at a time."""
        self.running.knowns = tuple(self._given(time))
        self.running.events = tuple(self._split(self.events))

    def _state(self) -> dict[str, Any]:
        """Return what to put back where a step fails."""
        running = self.running
        kept = {k: v.copy() if isinstance(v, np.ndarray | dict | list) else v for k, v in vars(running).items()}
        kept["segments"] = [replace(s, times=s.times.copy(), states=s.states.copy(), knowns=s.knowns.copy())
                            for s in running.segments]  # fmt: skip
        return kept

    # ----------------------------------------------------------------------- leaks

    def _first_rate(self, leak: Leak) -> float:
        if not isnan(leak.rate):
            return leak.rate
        if isnan(leak.share):
            return 0.0  # a hole: follows the pressure
        columns = self.running.system.equations.columns["flow"]
        index = columns.index
        column = index.get(leak.pipe, index.get(f"{leak.pipe} [cell 1]"))
        return 0.0 if column is None else leak.share * abs(float(self.running.x[column]))

    def _bleed(self) -> None:
        """Let holes take what the pressure now drives out of them: choked flow of an ideal nozzle x DISCHARGE.

        m = C A sqrt(kappa p rho (2/(kappa+1))^((kappa+1)/(kappa-1)))      [API RP 581:2016, eq. 3.12 in form]
        """
        gas = self.network.gas
        for n, leak in enumerate(self.scenario.leaks):
            if isnan(leak.hole):
                continue
            columns = self.running.system.equations.columns["pressure"]
            p = float(self.running.x[columns.index[f"{leak.pipe} leak point"]])
            rho = p / (
                float(compressibility(gas, np.array([p]), gas.temperature)[0]) * gas.specific_constant * gas.temperature
            )
            k = gas.heat_capacity_ratio
            area = pi * leak.hole**2 / 4.0
            self._rates[n] = DISCHARGE * area * sqrt(k * p * rho * (2.0 / (k + 1.0)) ** ((k + 1.0) / (k - 1.0)))

    def leak_rate(self, pipe: str) -> float:
        """Return what the leak of a pipe takes while it is open [kg/s], at the present pressure."""
        at = [leak.pipe for leak in self.scenario.leaks].index(pipe)
        return self._rates[at]

    def rates(self) -> dict[str, float]:
        """Return what each leak takes at present [kg/s], by pipe."""
        return {
            leak.pipe: rate if leak.begin < self.time <= leak.end else 0.0
            for leak, rate in zip(self.scenario.leaks, self._rates, strict=True)
        }

    # ------------------------------------------------------------------- recording

    def _keep(self, time: float) -> None:
        self.running.record(time)
        self._waiting.append(time)

    def _pack(self) -> None:
        """Turn the kept states into what exact instruments read."""
        if not self._waiting:
            return
        parts = [
            self.exact.of(arrays(s.system, np.array(s.states), self.exact.dims, s.knowns))
            for s in self.running.segments
            if s.times
        ]
        found = np.concatenate(parts)
        self.running.forget()
        self._times += self._waiting
        self._waiting = []
        # what does not run carries nothing; a gas node that nothing feeds keeps its pressure
        found[:, ~self.exact.is_pressure] = np.nan_to_num(found[:, ~self.exact.is_pressure])
        for k in np.flatnonzero(np.isnan(found).any(axis=0)):
            previous = self._last[k] if self._last is not None else 0.0
            for row in found:
                row[k] = previous = previous if isnan(row[k]) else row[k]
        self._last = found[-1].copy()
        self._parts.append(found)

    def path(self) -> Path:
        """Return what has been solved, as a path through it."""
        return Path(self.times, self.values)

    @property
    def times(self) -> Floats:
        """Instants solved so far [s], (n,)."""
        return np.asarray(self._times)

    @property
    def values(self) -> Floats:
        """Exact readings (n, n_instrument), SI."""
        if len(self._parts) > 1:
            self._parts = [np.concatenate(self._parts)]
        return self._parts[0]

    def forget(self, before: float) -> None:
        """Let go of all but the last instant before a time [s]."""
        k = max(int(np.searchsorted(self.times, before, side="right")) - 1, 0)
        self._parts, self._times = [self.values[k:].copy()], self._times[k:]


def _taking(theft: Theft, time: float) -> bool:
    """Tell whether a theft takes at the end of a step."""
    if not theft.begin < time <= theft.end:
        return False
    period = theft.on + theft.off
    return theft.off == 0.0 or 0.0 < (time - theft.begin) % period <= theft.on


def _switching(theft: Theft) -> list[float]:
    """Return the times at which a theft begins and ends to take, up to its end or to 31 days."""
    found = [theft.begin, theft.end]
    if theft.off > 0.0:
        last = min(theft.end, theft.begin + 31 * 86400.0)
        n = int((last - theft.begin) / (theft.on + theft.off)) + 1
        found += [theft.begin + k * (theft.on + theft.off) + d for k in range(n) for d in (0.0, theft.on)]
    return [t for t in found if t <= theft.end]
