# SPDX-License-Identifier: Apache-2.0
"""Can this nomination be carried? Feasible with set-points, infeasible with a proof, or undecided and how near.

1. A relaxation of the laws (`relaxation`) that cannot be satisfied proves *infeasible*, with the limits that bind.
2. Else its choices (valves, control valves, stations) and its point are where the exact laws begin
   (`nomination_setpoints`). Set-points are *feasible* only when `steady` solves them, its certificate holds, and every
   limit is kept.
3. Else the choice is set aside, the lines of the relaxation are drawn nearer, and the next one is tried. What is left
   when choices or time run out is *undecided*, with the smallest violation found.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from serai.dispatch.nomination_model import pose
from serai.dispatch.nomination_proof import flow_proof, prove
from serai.dispatch.nomination_setpoints import SOURCE, Tried, attempt
from serai.dispatch.relaxation import Relaxation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from serai.dispatch.nomination_model import Task
    from serai.dispatch.nomination_proof import Proof
    from serai.dispatch.nomination_setpoints import Broken
    from serai.dispatch.relaxation import Point
    from serai.known import Known
    from serai.network import Network
    from serai.simulate.labelled import Result

TRIES = 12  # choices that are given to the exact laws
KEPT = 1e-6  # of a limit: what `Result.breaks` takes for kept


@dataclass(frozen=True)
class Nomination:
    """The answer of a nomination check.

    status     "feasible", "infeasible" or "undecided"
    knowns     of the best set-points found, with the nominated flows; () when none were
    result     the steady state that the exact laws give to `knowns`; None when none was found
    broken     limits that this state does not keep, the worst first; empty when feasible
    proof      why it is infeasible; None otherwise
    machines   station -> configuration that runs, with the border of its diagram that is nearest
    tried      choices given to the exact laws; `reasons` says why those without a state have none
    seconds    that the check took
    swing      the supply or offtake that took rounding and fuel
    """

    status: str
    knowns: tuple[Known, ...] = ()
    result: Result | None = None
    broken: tuple[Broken, ...] = ()
    proof: Proof | None = None
    machines: Mapping[str, str] = field(default_factory=dict)
    tried: int = 0
    reasons: tuple[str, ...] = ()
    seconds: float = 0.0
    swing: str = ""

    @property
    def setpoints(self) -> tuple[Known, ...]:
        """What the check chose: the Knowns besides the nominated flows."""
        return tuple(k for k in self.knowns if k.source == SOURCE)

    @property
    def violation(self) -> float:
        """The largest violation of a limit, as a share of it: 0 = all kept, inf = no state was found."""
        if self.status == "feasible":
            return 0.0
        return max((b.share for b in self.broken), default=np.inf if self.result is None else 0.0)

    @property
    def mismatch(self) -> float:
        """What the certificate of the state found, recomputed outside the solver; nan without a state."""
        return float("nan") if self.result is None else float(self.result.mismatch)

    def __repr__(self) -> str:
        """Say the answer in one line."""
        if self.status == "feasible":
            more = f"{len(self.setpoints)} set-points keep every limit, mismatch {self.mismatch:.1e}"
        elif self.proof is not None:
            more = self.proof.reason
        elif self.broken:
            b = self.broken[0]
            more = f"nearest: {b.quantity} of {b.element} is {b.value:.6g}, its limit {b.limit:.6g}"
        else:
            more = self.reasons[-1] if self.reasons else "no choice was found in time"
        return f"<Nomination {self.status}: {more}; {self.seconds:.1f} s>"


def nominate(
    network: Network,
    nomination: Mapping[str, float] | None = None,
    *,
    swing: str | None = None,
    seconds: float = 60.0,
    told: Callable[[str], None] | None = None,
) -> Nomination:
    """Check whether a gas network can carry a nomination.

    network     gas only; its limits are those of its tables, its stations run within their machine data if it has any
    nomination  supply, offtake or node -> flow [kg/s]; what is not named keeps the network's own set-point, and what
                has none is free between its flow limits
    swing       the supply or offtake that takes the rounding and the fuel of drives; not given = the largest supply
    seconds     time limit; when it ends the check, the answer is "undecided" with the best set-points so far
    told        called with a sentence after every stage

    Raises UnknownName for a name that is not there, BadNomination for flows that do not balance or exceed the limits of
    a supply or offtake, SeraiError for a network with a power grid.
    """
    began = time.perf_counter()
    say = told or (lambda _: None)
    task = pose(network, nomination, swing)
    return _Check(task, Relaxation(task, seconds), say, began).run()


@dataclass
class _Check:
    task: Task
    relaxation: Relaxation
    say: Callable[[str], None]
    began: float
    tries: list[Tried] = field(default_factory=list)
    excluded: list[Mapping[str, str]] = field(default_factory=list)

    def run(self) -> Nomination:
        relaxation, flows = self.relaxation, flow_proof(self.task)
        if flows is not None:
            return self._answer("infeasible", None, flows)
        while relaxation.left > 0.0 and len(self.tries) < TRIES:
            point = relaxation.point(self.excluded)
            if point is None:
                return self._without_point()
            tried = self._try(point)
            if tried.result is not None and not tried.broken:
                return self._answer("feasible", tried)
        return self._answer("undecided", self._best())

    def _try(self, point: Point) -> Tried:
        self.say(f"choice {len(self.tries) + 1}: exact laws, {self.relaxation.left:.0f} s left")
        tried = attempt(self.task, point, self.relaxation.hard, seconds=max(2.0, 0.5 * self.relaxation.left))
        self.tries.append(tried)
        self.excluded.append(point.modes)
        if tried.broken or tried.result is None:
            self.say(tried.reason or f"limits broken by {tried.worst:.1%}: {tried.broken[0].element}")
            self.relaxation.refine(point)
        return tried

    def _without_point(self) -> Nomination:
        """Tell a proof from choices that ran out, or from time that did."""
        if self.relaxation.left > 0.0:
            self.say(f"no choice is left; proof, {self.relaxation.left:.0f} s left")
            proof = prove(self.relaxation)
            if proof is not None:
                return self._answer("infeasible", self._best(), proof)
            point = self.relaxation.softened
            if point is not None and point.modes not in self.excluded:  # hard limits failed it by a tolerance only
                tried = self._try(point)
                if tried.result is not None and not tried.broken:
                    return self._answer("feasible", tried)
        return self._answer("undecided", self._best())

    def _best(self) -> Tried | None:
        """Return the attempt with the smallest violation."""
        return min(self.tries, key=lambda t: t.worst, default=None)

    def _answer(self, status: str, tried: Tried | None, proof: Proof | None = None) -> Nomination:
        known = tried is not None and tried.result is not None
        return Nomination(
            status=status, knowns=tried.knowns if tried is not None and known else (),
            result=tried.result if tried is not None else None, broken=tried.broken if tried is not None else (),
            proof=proof, machines=tried.machines if tried is not None else {}, tried=len(self.tries),
            reasons=tuple(t.reason for t in self.tries if t.reason), seconds=time.perf_counter() - self.began,
            swing=self.task.swing,
        )  # fmt: skip
