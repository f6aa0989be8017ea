# SPDX-License-Identifier: Apache-2.0
"""Plans whose decisions are given by a test, sold where it earns most: nothing is searched."""

from __future__ import annotations

import numpy as np

from serai.plan.master import Prices
from serai.plan.mixture import Mixture
from serai.plan.montecarlo import free_rule, operate, values
from serai.plan.neutrality import Neutrality
from serai.plan.plan import Plan
from serai.plan.regret import fixed
from serai.plan.solve import Solved


def made(problem, projects=(), contracts=(), rule=None) -> Plan:
    """The plan that builds the named projects as early as may be and signs the named contracts."""
    at = fixed(problem, projects, contracts)
    sold = operate(problem, free_rule(problem, at))
    worth = float(values(problem, at, sold) @ problem.scenarios.probability)
    mixture = Mixture([sold], np.ones((1, len(problem.years))))
    none = np.zeros((len(problem.ways[0]), len(problem.years)))
    prices = Prices(np.ones(problem.scenarios.count), none, none)
    found = Solved(at, mixture, worth, worth, seconds=0.0, rounds=0, prices=prices, room=0.0)
    return Plan(problem, rule or Neutrality(), 0.0, 0.1, found)
