# SPDX-License-Identifier: Apache-2.0
"""The estimate of a network's state from its readings, once or scan after scan."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from serai.errors import NotClosed, SeraiError
from serai.estimate.doubts import Memory, stuck_stations, wrong_units
from serai.estimate.findings import Finding, some
from serai.estimate.frame import Laws, frame, from_pressures
from serai.estimate.given import Tags, aligned, given, sigma_of
from serai.estimate.meters import STATUS, Functions, readable
from serai.estimate.problem import Problem
from serai.estimate.result import Estimate
from serai.estimate.snapshots import GridSnapshots, why_not
from serai.simulate.certificate import certify
from serai.simulate.steady import ACCEPTED
from serai.sparse import structural_check
from serai.system import override
from serai.telemetry.readings import MICROSECONDS, Readings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import ArrayLike, NDArray

    from serai.estimate.given import Given
    from serai.estimate.meters import Meter
    from serai.estimate.problem import Answer
    from serai.estimate.snapshots import Snapshots
    from serai.known import Known
    from serai.network import Network

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

HISTORY = 30  # scans of a batch that are looked at
KEPT = 8  # matrices for as many sets of exact Knowns (positions, say) are kept


def estimate(
    network: Network,
    readings: Any,
    *,
    exact: Iterable[Known] = (),
    setpoints: Iterable[Known] = (),
    hour: float | None = None,
) -> Estimate:
    """Estimate the state of gas and power together from readings; the laws hold exactly.

    network   what exists; its set-points are no facts here, they only say where the search starts. Exact are zero
              withdrawals where nothing is attached, the reference angle, positions, taps, steps and statuses
    readings  Knowns (sigma 0 holds exactly, above 0 is weighed), a `Readings` batch, or a table: a DataFrame or the
              path of a CSV file with columns value and unit, and tag, or quantity and where with sigma
    exact     more Knowns that hold exactly: positions, statuses, set-points known to be kept
    setpoints in the place of the case's own: the search starts from the steady state that they give
    hour      of the profiles of the case's set-points

    What is wrong with readings is found and told in `Estimate.findings`, never raised. Raises NotClosed where exact
    Knowns contradict each other, and SeraiError where there is nothing to estimate from.
    """
    found = given(network, readings)
    estimator = Estimator(network, found.meters, exact=exact, setpoints=setpoints, hour=hour)
    if isinstance(readings, Readings):
        estimator.remember(readings)
    return estimator.run(found)


class Estimator:
    """Estimates one network again and again: what does not depend on the readings is done once.

    network  what exists
    meters   those that may read; not given = the case's instruments
    exact    Knowns that hold exactly
    setpoints, hour   as `estimate` takes them: where the first search starts
    units    whether readings are held against the state last known for another unit (no, where nothing else tells it)
    """

    def __init__(
        self, network: Network, meters: Sequence[Meter] | None = None, *, exact: Iterable[Known] = (),
        setpoints: Iterable[Known] = (), hour: float | None = None, units: bool = True,
    ) -> None:  # fmt: skip
        self.units = units
        self.network, self.exact = network, tuple(exact)
        self._setpoints = override(network, network.knowns(hour), setpoints)
        self._tags = Tags(network)
        own = dict(zip(self._tags.meters, self._tags.instruments, strict=True))
        taken = own if meters is None else meters
        self.meters = tuple(m for m in taken if m.quantity not in STATUS and readable(network, m.quantity, m.where))
        middle = [own.get(m) for m in self.meters]
        self._typical = np.array([
            np.nan if i is None else sigma_of(i, 0.25 * (i.high - i.low) if i.high > i.low else 0.0) for i in middle
        ])  # fmt: skip
        self._problems: dict[tuple[tuple[str, str, float], ...], Problem] = {}
        self._grid: tuple[bytes, GridSnapshots] | None = None
        self.memory = Memory.of(len(self.meters))

    def run(self, readings: Any) -> Estimate:
        """Estimate from one scan, starting where the last one ended; of a batch the latest reading of each tag."""
        if isinstance(readings, Readings):
            self.remember(readings)
        found = given(self.network, readings, self._tags)
        values, sigmas, times = self._in_order(found)
        findings = list(found.findings)
        problem = self.problem(found.exact, sigmas)
        idle = problem.functions.idle & np.isfinite(values)
        if idle.any():
            names = tuple(self.meters[k].name for k in np.flatnonzero(idle))
            text = f"{some(names)}: not running (out of service, dead, or fed by nothing); set aside"
            findings.append(Finding("not running", names, text, set_aside=True))
        used = np.isfinite(values) & ~problem.functions.idle
        self.memory.see(values, times)
        stuck = stuck_stations(self.meters, self.memory, used)
        used &= ~np.isin([m.name for m in self.meters], [n for s in stuck for n in s.where]) if stuck else True
        suspects = self._suspects(problem, np.where(used, values, np.nan), sigmas)
        used[list(suspects)] = False
        weight = np.asarray(np.where(used, 1.0 / sigmas**2, 0.0), np.float64)
        answer = self._search(problem, values, weight)
        return self._result(problem, answer, (values, sigmas, used, weight), (*findings, *stuck), suspects)

    def stands(self, *knowns: Known) -> None:
        """Take the network to stand otherwise from now on: set-points in the place of those of the same elements.

        Where a station was passed by and now has a ratio, its ratio is free; where a position is given, it is exact.
        """
        self._setpoints = override(self.network, self._setpoints, knowns)
        self._problems = {}

    def remember(self, batch: Readings) -> None:
        """Look at the scans of a batch before its last one: a station that stands still shows over several."""
        times = np.unique(batch.time)
        if len(times) < 2:
            return
        place = {m.tag: k for k, m in enumerate(self.meters)}
        number = np.array([place.get(tag, -1) for tag in batch.register], np.intp)[batch.tag]
        for time in times[-1 - HISTORY : -1]:
            rows = (batch.time == time) & (number >= 0)
            values = np.full(len(self.meters), np.nan)
            values[number[rows]] = batch.value[rows]
            self.memory.see(values, np.full(len(values), time / MICROSECONDS))

    def snapshots(self, values: ArrayLike, sigmas: ArrayLike | None = None, *, residuals: bool = False) -> Snapshots:
        """Estimate many snapshots of a grid at once, eight a lane and on all threads.

        values  readings (n_snapshot, n_meter) in the order of `meters`, SI; nan = missing
        sigmas  of the meters (n_meter,), SI; not given = those of the case's instruments in the middle of their span
        residuals   whether to return those of every meter too

        The sums of readings that are injected at a bus are weighed as one. Raises SeraiError for a network that is not
        a plain grid, or meters that the lanes do not take: estimate such snapshots one by one with `run`.
        """
        sigma = self._typical if sigmas is None else np.asarray(sigmas, float)
        key = sigma.tobytes()
        if self._grid is None or self._grid[0] != key:
            problem = self.problem((), sigma)
            reason = why_not(problem)
            if reason:
                msg = f"{self.network.name} cannot be estimated in lanes: {reason}. Use run for each snapshot"
                raise SeraiError(msg)
            self._grid = key, GridSnapshots(problem, sigma)
        found = self._grid[1].solve(values)
        return replace(found, residuals=self._grid[1].residuals(found, values)) if residuals else found

    # --------------------------------------------------------------------------------------------------------- prepared

    def problem(self, exact: Iterable[Known] = (), sigmas: Floats | None = None) -> Problem:
        """Return the matrix of this network under more exact Knowns; laid out once for each set of them."""
        hold = (*self.exact, *exact)
        key = tuple((k.quantity, k.where, k.value) for k in hold)
        if key not in self._problems:
            made = frame(self.network, hold, [(m.quantity, m.where) for m in self.meters], self._setpoints)
            laws, functions = Laws(made.system, made.fixed), Functions(made, self.meters)
            if not laws.n:
                msg = f"{self.network.name}: nothing to estimate: no part of it runs, or everything is exact"
                raise SeraiError(msg)
            _contradictions(laws)
            typical = self._typical if sigmas is None else np.where(np.isfinite(sigmas), sigmas, self._typical)
            known = typical[np.isfinite(typical) & (typical > 0.0)]
            middle = float(np.median(known)) if len(known) else 1.0
            typical = np.where(np.isfinite(typical) & (typical > 0.0), typical, middle)
            while len(self._problems) >= KEPT:
                self._problems.pop(next(iter(self._problems)))
            self._problems[key] = Problem(made, laws, functions, typical)
        return self._problems[key]

    def _in_order(self, found: Given) -> tuple[Floats, Floats, Floats]:
        if len(found.meters) == len(self.meters) and all(
            a is b for a, b in zip(found.meters, self.meters, strict=True)
        ):
            return np.array(found.values, float), np.array(found.sigmas, float), np.array(found.times, float)
        return aligned(self.meters, found)

    def _suspects(self, problem: Problem, values: Floats, sigmas: Floats) -> dict[int, tuple[float, str]]:
        if not self.units:
            return {}
        expected = np.full(len(values), np.nan)
        if problem.last is not None or problem.frame.steady:
            problem.laws.x[:] = problem.frame.start if problem.last is None else problem.last
            problem.slopes()
            expected = np.where(problem.functions.idle, np.nan, problem.h)
        return wrong_units(self.meters, values, sigmas, expected)

    def _search(self, problem: Problem, values: Floats, weight: Floats) -> Answer:
        """Search from the last answer, from the steady start, and coldly from the pressures read and from the start."""
        start = problem.frame.start
        tries: list[tuple[Floats | None, bool]] = [(problem.last, False)] if problem.last is not None else []
        tries += [(start, False)] if problem.frame.steady else []
        tries += [(None, True), (start, True)]
        for x, cold in tries:
            begin = self._read_pressures(problem, values, weight) if x is None else x
            answer = problem.solve(values, weight, np.asarray(begin), cold=cold)
            if answer.converged:
                problem.last = answer.x
                return answer
        return answer

    @staticmethod
    def _read_pressures(problem: Problem, values: Floats, weight: Floats) -> Floats:
        """Return a start whose pressures are those that are read."""
        if "pressure" not in problem.frame.system.equations.columns:
            return problem.frame.start
        rows, columns, _ = problem.functions.linear
        span = problem.frame.system.equations.columns["pressure"].span
        single = np.bincount(rows, minlength=len(values))[rows] == 1
        mine = single & (columns >= span.start) & (columns < span.stop) & (weight[rows] > 0.0)
        return from_pressures(problem.frame, columns[mine], values[rows[mine]])

    # ----------------------------------------------------------------------------------------------------------- result

    def _result(
        self, problem: Problem, answer: Answer, read: tuple[Floats, Floats, Flags, Floats],
        findings: tuple[Finding, ...],
        suspects: dict[int, tuple[float, str]],
    ) -> Estimate:  # fmt: skip
        values, sigmas, used, weight = read
        system = problem.frame.system
        mismatches = certify(system, answer.x)
        worst = max((v for v, _ in mismatches.values()), default=0.0)
        converged, reason = answer.converged, answer.reason
        if converged and not worst <= ACCEPTED:
            converged, reason = (
                False,
                f"the laws do not hold: recomputed outside the solver they are off by {worst:.1e}",
            )
        if not converged:
            text = f"no estimate found: {reason}. The state is the last one tried: do not use it"
            findings = (*findings, Finding("not converged", (), text))
        return Estimate(
            system.network, self.meters, values, sigmas, used, answer.residuals, answer.x, converged,
            reason, answer.steps, mismatches, findings, suspects, problem, weight, answer.multipliers,
        )  # fmt: skip


def _contradictions(laws: Laws) -> None:
    """Refuse exact Knowns that leave some laws more equations than unknowns."""
    r, c = laws._all_rows, laws._all_columns  # noqa: SLF001 - the triplets of the class that `Laws` extends
    inside = c >= 0
    defect = structural_check(laws.system.equations.size, laws.n, r[inside], c[inside])
    if defect is None or not len(defect.rows):
        return
    eq = laws.system.equations
    rows = [" of ".join(eq.row_name(int(k))) for k in defect.rows]
    touched = np.isin(r, defect.rows)
    given_twice = _givens(laws, {int(k) for k in r[touched]})
    msg = (
        f"{laws.system.network.name}: exact Knowns contradict each other around the {some(rows, 4)}"
        f"{': ' + some(given_twice) if given_twice else ''}. Take one back, or give it a sigma above 0"
    )
    raise NotClosed(msg, twice=given_twice)


def _givens(laws: Laws, rows: set[int]) -> list[str]:
    """Return the exact Knowns that touch the given rows and that somebody gave."""
    found: dict[str, None] = {}
    for s in laws.stamps:
        touching = np.isin(s.rows, list(rows)).any(axis=0)
        for column in s.columns[:, touching].ravel():
            fixed = laws.fixed.get(int(column))
            if fixed is not None and fixed.known.source not in ("default", "nothing is attached"):
                found[f"{fixed.known.quantity} of {fixed.known.where}"] = None
    return list(found)
