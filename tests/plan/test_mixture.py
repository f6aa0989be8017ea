# SPDX-License-Identifier: Apache-2.0
"""Mixtures of policies against linear programs solved by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from plan.tiny_plans import futures, plan_case, sure
from serai.plan.mixture import Mix
from serai.plan.neutrality import Neutrality
from serai.plan.regret import fixed
from serai.plan.value import policy

BOUND = Neutrality(max_share={"market": 0.5}, measures=("volume",), since=0)


def asked(problem, rule, risk=0.0, tail=0.5):
    return SimpleNamespace(problem=problem, sure=problem, neutrality=rule, risk=risk, tail=tail)


def policies(problem, at, *fees):
    """Policies at fees on Alpha and Beta."""
    none = np.zeros((2, len(problem.years)))
    weight = np.broadcast_to(problem.discount, (problem.scenarios.count, len(problem.years)))
    return [policy(problem, at, weight, none + np.reshape(fee, (2, 1)), none) for fee in fees]


def test_two_policies_mix_to_the_bound():
    """8 to A and 7 to B earn 1,020, 5 to A and 10 to B 900: half of 15 each is 5/6 of the first: 1,000 a year."""
    problem = sure(plan_case())
    at = fixed(problem)
    mix = Mix(asked(problem, BOUND), at)
    for found in policies(problem, at, (0.0, 0.0), (80.0, 0.0)):
        mix.add(found)
    share, value, _, _ = mix.solve()
    np.testing.assert_allclose(share[:, 0], [5 / 6, 1 / 6], atol=1e-9)
    assert value == pytest.approx(3 * 1000)


def test_prices_of_a_bound_by_hand():
    """Of the same mix: a bcm from A to B costs 40, so the row Alpha - half of all has a dual of 40 in each year.

    Raising the bound by 1 would let 15 more go to A: 600 a year.
    """
    problem = sure(plan_case())
    at = fixed(problem)
    mix = Mix(asked(problem, BOUND), at)
    for found in policies(problem, at, (0.0, 0.0), (80.0, 0.0)):
        mix.add(found)
    share, _, prices, _ = mix.solve()
    np.testing.assert_allclose(prices.fee[0] - prices.fee[1], 40.0)
    assert not prices.toll.any()
    assert mix.room(share) == pytest.approx(3 * 600)


def test_weights_of_futures_by_hand():
    """All weight on the worse half of two futures: it counts twice, the other not at all."""
    problem = futures(plan_case(), [{"Alpha": 120.0}, {"Alpha": 80.0}])
    at = fixed(problem)
    mix = Mix(asked(problem, Neutrality(), risk=1.0), at)
    mix.add(policies(problem, at, (0.0, 0.0))[0])
    _, value, prices, _ = mix.solve()
    np.testing.assert_allclose(prices.weight, [0.0, 2.0], atol=1e-9)
    assert value == pytest.approx(3 * (8 * 80 + 7 * 60 - 200))


def test_a_program_that_is_kept_answers_as_one_that_is_new():
    problem = futures(plan_case(), [{"Alpha": 120.0}, {"Alpha": 80.0}])
    at = fixed(problem)
    one, two, three = policies(problem, at, (0.0, 0.0), (80.0, 0.0), (0.0, 80.0))
    how = asked(problem, BOUND, risk=0.3)
    kept = Mix(how, at)
    for wanted in ([one, two], [two, three], [one, two, three]):
        kept.move(at)
        kept.only(wanted)
        new = Mix(how, at)
        new.only(wanted)
        assert kept.solve()[1] == pytest.approx(new.solve()[1], rel=1e-9)
