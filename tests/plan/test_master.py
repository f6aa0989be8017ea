# SPDX-License-Identifier: Apache-2.0
"""Cuts of the master: true at every decision, exact where they were made; bounds of stress tests alike."""

from __future__ import annotations

import highspy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plan.tiny_plans import two_hubs
from serai.plan.floors import Floors
from serai.plan.master import Master, Prices, settle
from serai.plan.neutrality import Neutrality
from serai.plan.problem import Problem
from serai.plan.scenarios import draw, expected
from serai.plan.value import Decisions, capacities, policy, stresses, trees

CASE = two_hubs()
PROBLEM = Problem(CASE, draw(CASE, 4, seed=7))
SURE = Problem(CASE, expected(CASE))
RULE = Neutrality(max_share=0.7, max_loss=0.7, survive="any one element", cover=0.5, since=1)


def decisions(rng, *, whole=False):
    x = np.maximum.accumulate(PROBLEM.allowed, axis=1) * rng.random((len(CASE.projects), 1))
    u = np.ones(len(PROBLEM.sales))
    u[PROBLEM.open_contracts] = rng.random(len(PROBLEM.open_contracts))
    if whole:
        x, u = np.round(x), np.round(u)
    return Decisions(x, u, capacities(PROBLEM, x)[2] * rng.random())


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_a_bound_on_value_is_exact_where_it_was_made_and_true_elsewhere(seed):
    """At fixed prices the priced value of a year is concave in the decisions; the bound is its tangent."""
    rng = np.random.default_rng(seed)
    shape = (len(PROBLEM.ways[0]), len(PROBLEM.years))
    fee, toll = rng.uniform(-20, 40, shape), rng.uniform(-0.2, 0.3, shape)
    weight = rng.uniform(0.5, 2.0, (4, 1)) * PROBLEM.discount
    here, there = decisions(rng), decisions(rng)
    made, other = (policy(PROBLEM, at, weight, fee, toll) for at in (here, there))
    np.testing.assert_allclose(made.bounds.at(PROBLEM, here).sum(axis=1), made.value, rtol=1e-9, atol=1e-6)
    assert (made.bounds.at(PROBLEM, there).sum(axis=1) >= other.value - 1e-6).all()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_bounds_of_stress_tests_are_exact_and_true(seed):
    rng = np.random.default_rng(seed)
    tests = Floors(PROBLEM, SURE, RULE).tests
    here, there = decisions(rng), decisions(rng)
    left, bounds = stresses(SURE, here, tests)
    np.testing.assert_allclose(bounds.at(SURE, here), left, atol=1e-5)
    assert (bounds.at(SURE, there) >= stresses(SURE, there, tests)[0] - 1e-5).all()


def test_networks_solved_from_their_last_trees_give_the_same_value():
    """Decisions and prices move; values from memory equal those from nothing."""
    rng, memory = np.random.default_rng(3), trees(PROBLEM)
    none = np.zeros((len(PROBLEM.ways[0]), len(PROBLEM.years)))
    for _ in range(12):
        at, fee = decisions(rng), none + rng.uniform(0, 50)
        weight = rng.uniform(0.5, 2.0, (4, 1)) * PROBLEM.discount
        kept = policy(PROBLEM, at, weight, fee, none, memory)
        np.testing.assert_allclose(kept.value, policy(PROBLEM, at, weight, fee, none).value, rtol=1e-10, atol=1e-7)
        assert kept.gap < 1e-9


def test_the_master_says_what_its_cuts_say():
    """At decisions held fixed, one cut without prices bounds the plan exactly: its value less builds and bookings."""
    rng, rule = np.random.default_rng(5), Neutrality()
    master = Master(PROBLEM, rule, 0.0, 0.1)
    j = master.weigh(np.ones(4))
    values = np.zeros(len(master.at.integers))
    values[master.at.x[0]] = 1.0  # the first project, from its first year on
    master.limit(values, values)
    at = master.relaxed().decisions
    at = Decisions(at.x, at.u, np.minimum(at.booked, capacities(PROBLEM, at.x)[2]) * rng.random())
    none = np.zeros((len(PROBLEM.ways[0]), len(PROBLEM.years)))
    found = policy(PROBLEM, at, np.broadcast_to(PROBLEM.discount, (4, len(PROBLEM.years))), none, none)
    broken = master.add_value(found, Prices(np.ones(4), none, none), j, None)
    assert broken == 0.0
    paid = master.at.booked >= 0
    columns, amounts = master.at.booked[paid].astype(np.int32), at.booked[paid]
    master.highs.changeColsBounds(len(columns), columns, amounts, amounts)
    fixed = np.einsum("g,gsy,y,s->", at.u, PROBLEM.fixed, PROBLEM.discount, PROBLEM.scenarios.probability)
    spent = (PROBLEM.build_cost * at.x).sum() + (PROBLEM.booking_cost * at.booked).sum()
    np.testing.assert_allclose(master.relaxed().bound, found.value.sum() + fixed - spent, rtol=1e-9)


def test_weighings_of_another_attitude_do_not_bind():
    master = Master(PROBLEM, Neutrality(), 0.5, 0.5)
    master.weigh(np.ones(4))
    master.weigh(np.array([0.5, 0.5, 1.5, 1.5]))
    assert [master.live(j) for j in (0, 1)] == [True, True]
    master.ask(Neutrality(), 0.0)
    assert [master.live(j) for j in (0, 1)] == [True, False]


class Astray(highspy.Highs):
    """A solver whose kept basis has gone bad: its first runs say nothing."""

    silent = 1

    def run(self):
        self.silent -= 1
        return highspy.HighsStatus.kError if self.silent >= 0 else super().run()


@pytest.mark.parametrize("silent", [0, 1, 2, 3])
def test_a_program_that_ends_without_a_word_is_solved_anew(silent):
    """maximise x + 2 y, x + y <= 4, y <= 3: 7 at (1, 3), by whichever method has the first word."""
    highs = Astray()
    highs.setOptionValue("output_flag", False)
    highs.addVars(2, np.zeros(2), np.array([10.0, 3.0]))
    highs.changeColsCost(2, np.arange(2, dtype=np.int32), np.array([1.0, 2.0]))
    highs.changeObjectiveSense(highspy.ObjSense.kMaximize)
    highs.addRow(-highspy.kHighsInf, 4.0, 2, np.arange(2, dtype=np.int32), np.ones(2))
    highs.silent = silent
    assert settle(highs) == highspy.HighsModelStatus.kOptimal
    assert highs.getInfo().objective_function_value == pytest.approx(7.0, rel=1e-9)
    assert list(highs.getSolution().col_value) == pytest.approx([1.0, 3.0])
    assert [highs.getOptionValue(n)[1] for n in ("solver", "simplex_strategy", "presolve")] == ["choose", 1, "choose"]


def test_a_program_that_nothing_solves_says_so():
    highs = Astray()
    highs.setOptionValue("output_flag", False)
    highs.addVars(1, np.zeros(1), np.ones(1))
    highs.silent = 9
    assert settle(highs) == highspy.HighsModelStatus.kNotset
