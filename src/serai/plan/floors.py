# SPDX-License-Identifier: Apache-2.0
"""Floors that neutrality asks for: revenue after a stop, homes and firm exports without any one element."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from serai.plan.neutrality import elements, tightest
from serai.plan.value import Stress, firm_sales, stresses, trees

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from serai.plan.master import Answer, Master
    from serai.plan.neutrality import Neutrality
    from serai.plan.problem import Problem
    from serai.plan.recourse import Trees
    from serai.plan.value import Decisions

    Floats = NDArray[np.float64]

SHORT = 1e-6  # a stress test may lack this share of what it asks


@dataclass(frozen=True)
class Floors:
    """The stress tests of one plan; `sure` holds the one expected future."""

    problem: Problem
    sure: Problem
    neutrality: Neutrality

    @cached_property
    def tests(self) -> list[Stress]:
        """Stops first, then losses of elements."""
        rule = self.neutrality
        found = [Stress("stop", d) for d, _ in tightest(self.problem, rule.losses)]
        if rule.survive:
            for e in elements(self.problem.case):
                if e.kind == "corridor":  # homes are served at the hubs: no corridor's loss can touch them
                    found.append(Stress("export", e))
                elif rule.survive == "any one element":
                    found += [Stress("export", e), Stress("homes", e)]
        return found

    @cached_property
    def _asked(self) -> Floats:
        """What each test's floor is by sale signed, (T, G, Y)."""
        firm = self.neutrality.cover * firm_sales(self.problem)
        return np.array([firm if t.what == "export" else np.zeros_like(firm) for t in self.tests])

    @cached_property
    def _memory(self) -> Trees:
        return trees(self.sure, len(self.tests))

    def hold(self, at: Decisions) -> bool:
        """Whether whole decisions pass every loss of an element; stops are passed by selling less."""
        if not self.neutrality.survive:
            return True
        left = stresses(self.sure, at, self.tests, self._memory)[0]
        need = np.einsum("tgy,g->yt", self._asked, at.u)
        late, lost = self.neutrality.since, np.array([t.what != "stop" for t in self.tests])
        return bool((left >= need - SHORT * np.maximum(1.0, need))[late:, lost].all())

    def add(self, master: Master, at: Decisions, answer: Answer) -> tuple[int, Floats | None]:
        """Add the floors that an answer breaks to a master; return how many, and what stops leave (Y, stops)."""
        p, rule, places = self.problem, self.neutrality, master.at
        if not self.tests:
            return 0, None
        left, bounds = stresses(self.sure, at, self.tests, self._memory)
        stop = np.array([t.what == "stop" for t in self.tests])
        kept = 1.0 - (rule.max_loss or 0.0)
        has = places.revenue >= 0
        revenue = np.where(has, answer.values[places.revenue], 0.0).sum(axis=(0, 2))
        asked = self._asked
        need = np.where(stop, kept * revenue[:, None], np.einsum("tgy,g->yt", asked, at.u))
        lacking = left < need - SHORT * np.maximum(1.0, np.where(stop, revenue[:, None], need))
        lacking[: rule.since] = False
        years, tests = np.nonzero(lacking)
        if len(years):
            fixed = np.delete(asked, p.open_contracts, axis=1).sum(axis=1).T  # (Y, T)
            dense = np.zeros((len(years), master.highs.getNumCol()))
            for k, (y, t) in enumerate(zip(years, tests, strict=True)):
                if stop[t]:
                    dense[k, places.revenue[:, y].ravel()] = kept
                else:
                    dense[k, places.u] = asked[t, p.open_contracts, y]
            names = [f"{self.tests[t].name} {p.years[y]}" for y, t in zip(years, tests, strict=True)]
            master.add_floors(names, replace(bounds, constant=bounds.constant - fixed), (years, tests), dense)
        return len(years), left[:, stop] if stop.any() else None
