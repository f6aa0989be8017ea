# SPDX-License-Identifier: Apache-2.0
"""Solve a plan to a proven gap: cuts from exact yearly networks above, mixtures of whole policies below.

Above, a tree of decisions is searched over one linear program that gathers cuts as it goes (branch and cut; Benders
1962, Kelley 1960): its optimum bounds every plan. Below, at whole decisions, a mixture of policies that were solved
exactly keeps every bound on dependence in expectation (Dantzig & Wolfe 1960), so its value is attained. The gap between
the two is what is reported.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING

import numpy as np

from serai.errors import PhysicsRefused
from serai.plan.branching import WHOLE, Part, Tree
from serai.plan.floors import Floors
from serai.plan.master import Answer, Master, Prices
from serai.plan.mixture import Mix, Mixture
from serai.plan.scenarios import expected
from serai.plan.value import Decisions, Policy, capacities, policy, trees

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from serai.plan.neutrality import Neutrality
    from serai.plan.problem import Problem

    Floats = NDArray[np.float64]

__all__ = ["Mix", "Mixture", "Search", "Solved", "solve"]

ROUNDS = 400  # of cuts at most
OVERTIME, LATEST = 5.0, 60.0  # s beyond its time that a search may take to finish the plan at hand; one still ROUGH
ROUGH = 0.02  # relative: what other policies might add to a plan that is no good yet
QUIET, RECENT = 4, 12  # rounds without news that end the relaxation; policies that set prices in it
STALE = 60  # policies, most of them past, after which the program that mixes them is written anew
FRESH, SAME_WEIGHTS = 3, 0.05  # new weighings of the futures in one relaxation; mean difference that tells two apart
SHUT = 1e5  # USD/1,000 m3: no sale pays this
CUTS = 1  # rounds of cuts in a part of the tree before it is split: splitting closes more than cutting
SAFE = 0.98  # parts are left when their bound is within this share of the gap


@dataclass(frozen=True)
class Solved:
    """A plan: decisions, how gas is sold, value [million USD], the bound on any better one, seconds, rounds, parts.

    prices  of risk and dependence, under which the mixture is best
    room    what raising every bound on a share by 1 would earn at these decisions, by the duals [million USD]
    """

    decisions: Decisions
    mixture: Mixture
    value: float
    bound: float
    seconds: float
    rounds: int
    prices: Prices
    room: float
    parts: int = 1

    @property
    def gap(self) -> float:
        """What is left to prove, relative to the value."""
        return (self.bound - self.value) / max(1.0, abs(self.value))


def solve(
    problem: Problem,
    neutrality: Neutrality,
    *,
    risk: float = 0.0,
    tail: float = 0.1,
    gap: float = 1e-3,
    seconds: float = 60.0,
    progress: Callable[[float, float], None] | None = None,
) -> Solved:
    """Return the best plan found and its proven gap, within a time.

    progress  is told (value, bound) as they move
    """
    return Search(problem, neutrality, risk, tail).run(gap, seconds, progress)


class Search:
    """The master, what it has learned, and the best plan so far; may be run again for longer."""

    def __init__(self, problem: Problem, neutrality: Neutrality, risk: float, tail: float) -> None:
        """Start without a cut, every future weighed alike."""
        self.problem, self.neutrality, self.risk, self.tail = problem, neutrality, risk, tail
        self.master = Master(problem, neutrality, risk, tail)
        self.sure = type(problem)(problem.case, expected(problem.case))
        self.floors = Floors(problem, self.sure, neutrality)
        self.memory = trees(problem)
        self.best: Solved | None = None
        self.recent: list[Policy] = []
        self.nothing: Policy | None = None
        self.mixing: Mix | None = None  # of the last policies
        self.bound, self.rounds, self.gap = inf, 0, 0.0
        self.attained = 0.0  # what the last policy came to at its decisions: the scale of money
        self.told: Callable[[float, float], None] | None = None
        self.first: list[Decisions] = []  # plans to try before any other
        self.tree: Tree | None = None  # of the last run
        self.master.weigh(np.ones(problem.scenarios.count))

    def run(self, gap: float, seconds: float, progress: Callable[[float, float], None] | None = None) -> Solved:
        """Search until the gap is proven or the time is up; return the best plan.

        Raises PhysicsRefused when no plan keeps the bounds.
        """
        self.begun = time.perf_counter()
        self.until = self.begun + seconds
        self.gap, self.told = gap, progress
        count = len(self.master.at.integers)
        for at in self.first:
            found = self._attained(at)
            if found is not None and (self.best is None or found.value > self.best.value):
                self.best = found
        self.master.limit(np.zeros(count), np.ones(count))
        self.bound = min(self.bound, self._converge())
        self.tree = tree = Tree(np.zeros(count), np.ones(count), self.bound, self.tree)
        self._grow(tree)
        if self.best is None:
            msg = "no plan keeps every bound on dependence"
            raise PhysicsRefused(msg)
        self.bound = max(min(self.bound, tree.bound()), self.best.value)
        return replace(self.best, bound=self.bound, seconds=self._spent(), rounds=self.rounds, parts=tree.count)

    def ask(self, neutrality: Neutrality, risk: float) -> None:
        """Change bounds on shares and the attitude to risk; what was learned stays, the best plan is tried first."""
        self.neutrality, self.risk = neutrality, risk
        self.floors = Floors(self.problem, self.sure, neutrality)
        self.master.ask(neutrality, risk)
        self.bound, self.mixing = inf, None
        self.first, self.best = [self.best.decisions] if self.best else [], None

    def _left(self) -> float:
        return self.until - time.perf_counter()

    def _spent(self) -> float:
        return time.perf_counter() - self.begun

    def _enough(self) -> float:
        """Return the bound below which a part of the tree is left."""
        return self.best.value + SAFE * self.gap * max(1.0, abs(self.best.value)) if self.best else -inf

    def _step(self) -> float:
        """Return the change of a bound that is no news, [million USD]."""
        return self.gap / 8.0 * max(1.0, abs(self.best.value if self.best else self.attained))

    # -------------------------------------------------------------------------------------------------- the relaxation

    def _converge(self) -> float:
        """Add cuts at the relaxed optimum until they teach nothing more; return the bound that stands then.

        Prices of dependence and weights of futures come from a mixture of the last policies: right when it settles,
        and valid for cuts at any time.
        """
        bound, quiet, fresh = inf, 0, 0
        for _ in range(ROUNDS):
            answer = self.master.relaxed()
            quiet = quiet + 1 if bound - answer.bound <= self._step() else 0
            bound = min(bound, answer.bound)
            lacking, left = self.floors.add(self.master, answer.decisions, answer)
            prices = self._prices(answer.decisions, left) if self.recent else self._free()
            settled = quiet >= QUIET and not lacking
            if settled and fresh < FRESH and self._apart(prices.weight)[1] > SAME_WEIGHTS:
                self.master.weigh(prices.weight)  # what the futures weigh has moved: bound the plan by that too
                fresh, quiet, settled = fresh + 1, 0, False
            self._learn(answer, prices)
            if settled or self._left() < 0.0:
                break
        return bound

    def _prices(self, at: Decisions, left: Floats | None) -> Prices:
        """Return the prices under which the last policies, as if they were for these decisions, mix best."""
        if self.mixing is None or len(self.mixing.policies) > STALE:
            self.mixing = Mix(self, at, left)
        else:
            self.mixing.move(at, left)
        self.nothing = self.nothing or self._nothing(at)
        self.mixing.only([self.nothing, *self.recent[-RECENT:]])
        return self.mixing.solve()[2]

    def _free(self) -> Prices:
        """Return the prices of no bound at all: the first cuts, that need no volume to hold."""
        none = np.zeros((len(self.problem.ways[0]), len(self.problem.years)))
        return Prices(self.master.weighings[0], none, none)

    def _apart(self, weight: Floats) -> tuple[int, float]:
        """Return the weighing of the master that is nearest, and its mean difference."""
        prob, master = self.problem.scenarios.probability, self.master
        apart = [float(np.abs(w - weight) @ prob) if master.live(j) else inf for j, w in enumerate(master.weighings)]
        return int(np.argmin(apart)), min(apart)

    def _nothing(self, at: Decisions) -> Policy:
        """Return the policy of exporting nothing: no share is too large in it."""
        shut = np.full((len(self.problem.ways[0]), len(self.problem.years)), SHUT)
        weight = np.broadcast_to(self.problem.discount, (self.problem.scenarios.count, len(self.problem.years)))
        return policy(self.problem, at, weight, shut, np.zeros_like(shut))

    def _learn(self, answer: Answer, prices: Prices) -> float:
        """Add the cuts of the best policy at these prices, under the nearest weighing that the master has.

        Return by how much the answer breaks them.
        """
        p, j = self.problem, self._apart(prices.weight)[0]
        prices = replace(prices, weight=self.master.weighings[j])
        found = policy(p, answer.decisions, prices.weight[:, None] * p.discount, prices.fee, prices.toll, self.memory)
        self.recent = [*self.recent[-RECENT:], found]
        self.rounds += 1
        broken = self.master.add_value(found, prices, j, answer, 0.01 * self._step() / len(p.years))
        self.attained = answer.bound - broken
        return broken

    # -------------------------------------------------------------------------------------------------------- the tree

    def _grow(self, tree: Tree) -> None:
        """Search the tree until the gap is proven or the time is up."""
        part: Part | None = None
        made: tuple[int, float, bool] | None = None
        while part is not None or tree.parts:
            if part is None:
                part, made = tree.best(), None
            before = part.bound
            answer = self._bound(part)
            if made is not None and part.bound > -inf:
                tree.learned(made[0], made[1], up=made[2], loss=before - part.bound)
            if answer is None:
                tree.close(part)
                part = None
            else:
                values = answer.values[self.master.at.integers]
                part, made = tree.split(part, values, self._probe)
            if self.told is not None and self.best is not None:
                self.told(self.best.value, max(self.best.value, min(self.bound, tree.bound(part))))
            if self._left() < 0.0 and self.best is not None:
                break
            if tree.bound(part) <= self._enough():
                break
        if part is not None:
            tree.close(part)

    def _probe(self, part: Part) -> float:
        """Return the bound of a part without new cuts."""
        self.master.limit(part.low, part.high)
        try:
            return self.master.relaxed().bound
        except PhysicsRefused:
            return -inf

    def _bound(self, part: Part) -> Answer | None:
        """Bound a part of the tree; return where it is to be split, None when it is done with."""
        last, tried = inf, False
        for k in range(ROUNDS):
            self.master.limit(part.low, part.high)
            try:
                answer = self.master.relaxed()
            except PhysicsRefused:
                part.bound = -inf
                return None
            part.bound = min(part.bound, answer.bound)
            if part.bound <= self._enough():
                return None
            whole_numbers = self.master.at.integers
            values = answer.values[whole_numbers]
            part.settle(values, answer.slope[whole_numbers], part.bound - self._enough())
            whole = bool((np.minimum(values, 1.0 - values) <= WHOLE).all())
            if whole and tried and last - part.bound <= 0.1 * self._step():
                return None
            if not whole and (k >= CUTS or (k > 0 and last - part.bound <= self._step())):
                return answer
            lacking, left = self.floors.add(self.master, answer.decisions, answer)
            broken = self._learn(answer, self._prices(answer.decisions, left))
            if not lacking and broken <= self._step():
                if not whole:
                    return answer
                tried = True
                self._consider(answer)
            last = part.bound
        return answer

    # ------------------------------------------------------------------------------------------------ whole decisions

    def _consider(self, answer: Answer) -> None:
        """Find the best bookings and policies at whole decisions; keep the plan when it is the best so far."""
        at = answer.decisions
        whole = replace(at, x=np.round(at.x), u=np.round(at.u))
        values = np.round(answer.values[self.master.at.integers])
        self.master.limit(values, values)
        if (self.problem.booking_cost > 0.0).any():
            try:
                self._converge()
                answer = self.master.relaxed()
            except PhysicsRefused:  # these decisions miss a floor that was learned here: the master knows now
                return
        stands = capacities(self.problem, whole.x)[2]
        booked = np.where(self.problem.booking_cost > 0.0, np.minimum(answer.decisions.booked, stands), stands)
        decisions = Decisions(whole.x, whole.u, booked)
        lacking, left = self.floors.add(self.master, decisions, answer)
        if lacking and not self.floors.hold(decisions):
            return
        found = self._mix(decisions, left)
        if self.best is None or found.value > self.best.value:
            self.best = found

    def _settled(self, value: float, more: float) -> bool:
        """Whether a mixture is worth no more policies, which might add `more`: good enough, too late, or beaten."""
        late = self._left() < -(OVERTIME if more <= ROUGH * max(1.0, abs(value)) else LATEST)
        beaten = self.best is not None and value + more <= self.best.value
        return late or beaten or more <= self.gap / 8.0 * max(1.0, abs(value))

    def _attained(self, at: Decisions) -> Solved | None:
        """Return a plan of another neutrality or risk under this one; None where it misses a floor."""
        return self._mix(at, None) if self.floors.hold(at) else None

    def _mix(self, at: Decisions, left: Floats | None) -> Solved:
        """Mix policies at fixed decisions until no other policy would help; teach the master the last."""
        p, mix = self.problem, Mix(self, at, left)
        mix.add(self._nothing(at))
        prices = self._prices(at, left)
        share, value, level = None, -inf, np.zeros(len(p.years))
        for _ in range(ROUNDS):
            found = policy(p, at, prices.weight[:, None] * p.discount, prices.fee, prices.toll, self.memory)
            self.rounds += 1
            more = float((found.value - level).sum())
            done = share is not None and self._settled(value, more)
            j, apart = self._apart(prices.weight)
            if done and apart > 0.0:
                j, apart = self.master.weigh(prices.weight), 0.0
            if apart == 0.0:
                self.master.add_value(found, prices, j, None)
            if done:
                break
            mix.add(found)
            self.recent = [*self.recent[-RECENT:], found]
            share, value, prices, level = mix.solve()
        assert share is not None  # noqa: S101 - a mixture was solved
        return Solved(at, Mixture(mix.policies, share), value, inf, self._spent(), self.rounds, prices, mix.room(share))
