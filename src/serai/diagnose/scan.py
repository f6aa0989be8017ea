# SPDX-License-Identifier: Apache-2.0
"""What is wrong in one scan: every hypothesis tested, the best removed, and again, until nothing is left to explain.

The threshold is that of the largest of M correlated standard normals, by the bound 2 M (1 - Phi(t)): with a thousand
hypotheses three sigma are passed by chance in every scan. What the data cannot tell apart is one answer, a set.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace
from math import nan
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import chi2, norm

from serai.diagnose.departures import Departure, departures
from serai.diagnose.hypotheses import Hypotheses, hypotheses
from serai.diagnose.switches import CLOSED, OPEN, SWITCHED
from serai.estimate import Estimator
from serai.estimate.doubts import Memory
from serai.estimate.given import Given, given
from serai.known import Known
from serai.telemetry.readings import Readings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from serai.estimate import Estimate, Finding
    from serai.network import Network

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]

ALIKE = 0.98  # hypotheses whose directions correlate more are one for every scan of these meters
SURE = 0.01  # ... and those that explain this scan as well but for so much chance are one for this scan
GROSS = 20.0  # sigmas from which a wrong reading is left out and the state estimated anew: the laws bend
CONTENDERS = 4  # branches that may be the open one and are estimated anew: the laws bend so much that scores mislead
REAL = 0.5  # share of what the score promised by which J must fall, or no branch is open
WORKING = {"compressors": "ratio", "control_valves": "outlet_pressure"}  # quantity that is free in one that works
POWER = 0.9  # with which the smallest detectable size is found
MOST = 8  # faults that are removed one after the other


@dataclass(frozen=True)
class Suspect:
    """One explanation: kind and element, its statistic and its size (in the unit of the fault's kind, SI)."""

    kind: str
    where: str
    score: float
    size: float


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong, with everything that explains it as well.

    order        in which it was removed, from 1
    suspects     the set that the data cannot tell apart, the best first
    size, sigma  estimated size of the best and its standard deviation, SI: kg/s of a leak, W of a power loss, the unit
                 of the reading, a share of a branch that is open (1 = all of it)
    score        its statistic: standard normal while nothing is wrong
    false_alarm  bound of the probability that the largest of all hypotheses reaches this score by chance
    least        size of the best that is told nine times in ten, SI
    confirmed    whether the state was estimated again with it, and the readings then agree better
    """

    order: int
    suspects: tuple[Suspect, ...]
    size: float
    sigma: float
    score: float
    false_alarm: float
    confirmed: bool = False
    least: float = nan

    @property
    def kind(self) -> str:
        """What the best explanation is."""
        return self.suspects[0].kind

    @property
    def smallest_detectable(self) -> float:
        """Size of the best explanation that is told nine times in ten, SI."""
        return self.least

    @property
    def kinds(self) -> frozenset[str]:
        """All kinds in the set."""
        return frozenset(s.kind for s in self.suspects)

    @property
    def where(self) -> tuple[str, ...]:
        """All elements and meters in the set, the best first."""
        return tuple(dict.fromkeys(s.where for s in self.suspects))

    def __str__(self) -> str:
        """Say it in one line."""
        best, *others = self.suspects
        also = ", ".join(f"{s.kind} {s.where}" for s in others[:4])
        more = f" and {len(others) - 4} more" if len(others) > 4 else ""
        alike = f"; as well: {also}{more}" if others else ""
        return (
            f"{best.kind} {best.where}: {self.size:.4g} +/- {self.sigma:.2g}, score {self.score:+.1f}, false alarm "
            f"{self.false_alarm:.1g}{alike}"
        )


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What one scan says.

    estimate    of the scan as it came
    faults      what is wrong, in the order of removal
    commands    set-points that the state does not keep
    tested      every hypothesis, before any was removed
    alarms      probability of any fault told while nothing is wrong (bound)
    left        estimate after the faults that were estimated anew
    """

    estimate: Estimate
    faults: tuple[Fault, ...]
    commands: tuple[Departure, ...]
    tested: Hypotheses
    alarms: float
    left: Estimate

    def __repr__(self) -> str:
        """Say what is wrong, a line each."""
        lines = [f"<serai diagnosis of {self.estimate.network.name}: {len(self.faults)} faults>"]
        lines += [f"{f.order}. {f}" for f in self.faults] + [f"command {c}" for c in self.commands]
        return "\n".join(lines)

    def __iter__(self) -> Iterator[Fault]:
        """Go through the faults."""
        return iter(self.faults)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong with the readings before any test; of a state that was not found, what was noted of them."""
        return self.estimate.findings if self.estimate.converged else self.estimate.noted

    @property
    def limit(self) -> float:
        """Score from which a hypothesis is told."""
        return limit(self.tested, self.alarms)

    def smallest(self, power: float = POWER) -> Floats:
        """Return the smallest size of every hypothesis (n,) that is told with probability `power`, SI; inf = none."""
        seen = self.tested.information > 0.0
        root = np.sqrt(np.where(seen, self.tested.information, 1.0))
        return np.where(seen, (self.limit + norm.isf(1.0 - power)) / root, np.inf)


def limit(h: Hypotheses, alarms: float) -> float:
    """Return the score that the largest of all hypotheses passes by chance with probability `alarms` at most."""
    return float(norm.isf(alarms / (2.0 * _count(h))))


def _count(h: Hypotheses) -> int:
    return max(1, int((h.information > 0.0).sum()))


def diagnose(
    network: Network,
    readings: Any,
    *,
    commands: Iterable[Known] = (),
    alarms: float = 0.01,
    estimator: Estimator | None = None,
    spread: Mapping[tuple[str, str], float] | None = None,
) -> Diagnosis:
    """Say what is wrong in one scan: wrong readings, leaks and thefts, positions, commands nobody gave.

    network    what exists, and how it is said to stand
    readings   as `estimate` takes them
    commands   set-points that are meant to hold (sigma = how well they are kept): the state is held against them
    alarms     probability of any fault told in a clean scan
    estimator  one kept from scan to scan, which starts where the last scan ended
    spread     of statistics on clean days by (kind, element), where it is above 1 (`course.learn`)

    An estimate that did not converge tells nothing: see `estimate.findings`. Errors as `estimate` raises them.
    """
    found = given(network, readings, estimator._tags if estimator else None)  # noqa: SLF001 - laid out once
    kept = estimator or Estimator(network, found.meters)
    if isinstance(readings, Readings):
        kept.remember(readings)
    first = kept.run(found)
    scan = _Scan(copy(kept), found, spread or {})
    h = tested = hypotheses(first).spreading(scan.spread)
    faults: list[Fault] = []
    while first.converged and len(faults) < MOST:
        passed = np.abs(h.score()) >= limit(tested, alarms)
        if not passed.any():
            break
        k = int(np.argmax(np.where(passed, np.abs(h.statistic()), 0.0)))  # of these the likeliest: J falls most
        if h.kind[k] in SWITCHED:
            fault, h = scan.switched(h, h.kind[k], len(faults) + 1)
        elif scan.passed_by(h, k):
            fault, h = scan.put_to_work(h, k, len(faults) + 1)
        else:
            fault, h = scan.without(h, k, len(faults) + 1)
        power = limit(tested, alarms) + norm.isf(1.0 - POWER)
        faults += [replace(fault, least=power * fault.least)] if fault else []
    gone = departures(h, tuple(commands), alarms) if first.converged else ()
    return Diagnosis(first, tuple(faults), gone, tested, alarms, h.estimate)


def _fault(h: Hypotheses, k: int, order: int, members: Ints) -> Fault:
    """Return hypothesis k as a fault together with those (numbers, any order) that are not to be told from it."""
    z = h.statistic()
    members = members[np.lexsort((members, -np.round(np.abs(z[members]), 9), members != k))]
    suspects = tuple(Suspect(h.kind[j], h.where[j], float(z[j]), float(h.slope[j] / h.information[j])) for j in members)
    sigma = float(h.information[k]) ** -0.5
    spread = float(h.spread[k]) if len(h.spread) else 1.0
    chance = min(1.0, 2.0 * _count(h) * float(norm.sf(abs(h.score()[k]))))
    return Fault(order, suspects, suspects[0].size, sigma, float(z[k]), chance, least=spread * sigma)


def _alike(h: Hypotheses, k: int) -> NDArray[np.bool_]:
    """Tell which hypotheses (n,) no scan of these meters tells from number k."""
    information = np.where(h.information > 0.0, h.information, np.inf)
    share: Floats = np.abs(h.shared(k)) / np.sqrt(information * information[k])
    return np.asarray((share > ALIKE) & (h.statistic() != 0.0))


@dataclass
class _Scan:
    """One scan that is estimated again without what was found wrong.

    estimator  a copy with a memory of its own: a scan that is looked at twice does not stand still
    readings   those that are left
    spread     of statistics on clean days
    linear     faults told that only the kept factors know, by kind and element
    """

    estimator: Estimator
    readings: Given
    spread: Mapping[tuple[str, str], float]
    linear: tuple[tuple[str, str], ...] = ()

    def without(self, h: Hypotheses, k: int, order: int) -> tuple[Fault, Hypotheses]:
        """Return number k as a fault, and all hypotheses beside it."""
        z = h.statistic()
        fault = _fault(h, k, order, self._members(h, k))
        if h.kind[k] == "reading" and abs(z[k]) > GROSS:
            again = _left_out(self.readings, h.where[k])
            e = self._estimate(again)
            if e.converged and e.objective < h.estimate.objective:
                self.readings = again
                return replace(fault, confirmed=True), self._beside(hypotheses(e).spreading(self.spread))
        self.linear = (*self.linear, (h.kind[k], h.where[k]))
        return fault, h.beside(k)

    @staticmethod
    def _members(h: Hypotheses, k: int) -> Ints:
        """Return all that explains this scan, or every scan, as well as number k."""
        z = h.score()
        close = (z[k] ** 2 - z**2 < chi2.isf(SURE, 1)) & (z != 0.0)
        return np.flatnonzero(_alike(h, k) | close)

    def switched(self, h: Hypotheses, kind: str, order: int) -> tuple[Fault | None, Hypotheses]:
        """Return the branch or valve that stands otherwise than said, and all hypotheses beside it.

        The likeliest are estimated anew in their other position; no fault where the readings refute all of them.
        """
        z = np.where([k == kind for k in h.kind], np.abs(h.statistic()), 0.0)
        tried = [int(k) for k in np.argsort(-z)[:CONTENDERS] if z[k] > REAL * z.max()]
        quantity, value = SWITCHED[kind]
        found = []
        for k in tried:
            again = replace(self.readings, exact=_set(self.readings.exact, Known(quantity, h.where[k], value)))
            e = self._estimate(again)
            if e.converged:
                fall = _objective(h.estimate, h.where[k], kind == CLOSED) - _objective(e, h.where[k], kind == OPEN)
                found.append((-fall, k, again, e))
        least, k, again, e = min(found, key=lambda f: f[:2], default=(0.0, -1, self.readings, h.estimate))
        if -least < REAL * z.max() ** 2:
            left = h.information.copy()
            left[tried] = 0.0
            return None, replace(h, information=left)
        self.readings = again
        as_good = np.array([j for J, j, *_ in found if J - least < chi2.isf(SURE, 1)])
        fault = _fault(h, k, order, np.union1d(as_good, np.flatnonzero(_alike(h, k) & (z == 0.0))))
        return replace(fault, confirmed=True), self._beside(hypotheses(e).spreading(self.spread))

    def passed_by(self, h: Hypotheses, k: int) -> bool:
        """Tell whether a hypothesis is about a station that is said to be passed by, or a valve said to be open."""
        fixed = h.estimate.problem.frame.fixed.values()
        return h.kind[k] in ("position", "efficiency", "reading") and any(
            f.known.quantity == "open" and f.known.where == self._element(h, k) and f.known.value == 1.0 for f in fixed
        )

    @staticmethod
    def _element(h: Hypotheses, k: int) -> str:
        return h.estimate.meters[h.reading[k]].where if h.reading[k] >= 0 else h.where[k]

    def put_to_work(self, h: Hypotheses, k: int, order: int) -> tuple[Fault, Hypotheses]:
        """Return number k as a station that works, or a valve that is shut, where that explains the readings better."""
        name = self._element(h, k)
        kept, before = self.estimator, self.readings
        kind = h.estimate.network.kind_of(name)
        if kind in WORKING:
            self.estimator = copy(kept)
            self.estimator.stands(Known(WORKING[kind], name, 1.1))
        else:  # a valve that is shut
            self.readings = replace(before, exact=_set(before.exact, Known("open", name, 0.0)))
        e = self._estimate(self.readings)
        if not e.converged or h.estimate.objective - e.objective < REAL * h.statistic()[k] ** 2:
            self.estimator, self.readings = kept, before
            return self.without(h, k, order)
        fault = _fault(h, k, order, self._members(h, k))
        there = next((s for s in fault.suspects if (s.kind, s.where) == ("position", name)), None)
        others = tuple(s for s in fault.suspects if s is not there)
        suspects = (there or Suspect("position", name, fault.score, fault.size), *others)
        return replace(fault, suspects=suspects, confirmed=True), self._beside(hypotheses(e).spreading(self.spread))

    def _estimate(self, readings: Given) -> Estimate:
        self.estimator.memory = Memory.of(len(self.estimator.meters))
        return self.estimator.run(readings)

    def _beside(self, h: Hypotheses) -> Hypotheses:
        place = {key: k for k, key in reversed(list(enumerate(zip(h.kind, h.where, strict=True))))}
        for key in self.linear:
            k = place.get(key, -1)
            if k >= 0 and h.information[k] > 0.0:
                h = h.beside(k)
        return h


def _objective(e: Estimate, branch: str, out: bool) -> float:  # noqa: FBT001 - one of two positions
    """Return J of an estimate; where a branch is out in it, the branch's own meters are held against zero."""
    mine = [j for j, m in enumerate(e.meters) if out and m.where == branch and np.isfinite(e.values[j])]
    return e.objective + float(((e.values[mine] / e.sigmas[mine]) ** 2).sum())


def _set(exact: list[Known], new: Known) -> list[Known]:
    """Return exact Knowns with one of them standing otherwise."""
    return [*(k for k in exact if (k.quantity, k.where) != (new.quantity, new.where)), new]


def _left_out(readings: Given, name: str) -> Given:
    kept = [k for k, m in enumerate(readings.meters) if m.name != name]
    columns = {c: [getattr(readings, c)[k] for k in kept] for c in ("meters", "values", "sigmas", "times")}
    return replace(readings, **columns)
