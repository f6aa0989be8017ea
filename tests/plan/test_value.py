# SPDX-License-Identifier: Apache-2.0
"""Yearly values, their slopes and stress tests by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from plan.tiny_plans import SETTINGS, plan_case, sure
from serai.plan.case import Contract, Field, Home, Link, Project
from serai.plan.neutrality import dependences, elements
from serai.plan.regret import fixed
from serai.plan.value import (
    capacities,
    deliverable,
    firm_sales,
    left_without,
    peak_demand,
    policy,
    standing,
    stopped,
    warm,
)


def element(case, name):
    return next(e for e in elements(case) if e.name == name)


def test_what_is_decided_stands_after_its_lead():
    case = plan_case(projects=(Project(name="A two", adds_to="A", capacity=5.0, capex=1.0, lead=2),))
    problem = sure(case)
    x = np.array([[1.0, 1.0, 1.0]])
    assert standing(problem, x).tolist() == [[0.0, 0.0, 1.0]]
    assert capacities(problem, x)[2].tolist() == [[8.0, 8.0, 13.0], [10.0, 10.0, 10.0]]


def test_a_year_and_the_slopes_of_its_bound():
    """8 at 100 and 7 at 60 less 20 at 10: 1,020. One more bcm over A is worth 40, over B nothing."""
    problem = sure(plan_case())
    at, none = fixed(problem), np.zeros((2, 3))
    found = policy(problem, at, np.ones((1, 3)), none, none)
    np.testing.assert_allclose(found.value, 1020.0)
    np.testing.assert_allclose(found.bounds.booked[:, 0], [[40.0, 0.0]] * 3)
    np.testing.assert_allclose(found.volume[:, 0, 0], [8.0, 7.0])
    np.testing.assert_allclose(found.revenue[:, 0, 0], [800.0, 420.0])
    assert not found.unserved.any()


def test_a_fee_moves_gas_and_a_toll_takes_of_the_revenue():
    """A fee of 50 on A leaves 50 there, 60 at B: 10 go to B. A toll of half leaves the same 50."""
    problem = sure(plan_case())
    at, none = fixed(problem), np.zeros((2, 3))
    for fee, toll in ((50.0, 0.0), (0.0, 0.5)):
        f, t = none.copy(), none.copy()
        f[0], t[0] = fee, toll
        found = policy(problem, at, np.ones((1, 3)), f, t)
        np.testing.assert_allclose(found.volume[:, 0, 0], [5.0, 10.0])
        np.testing.assert_allclose(found.value, 5 * 50 + 10 * 60 - 200)
        np.testing.assert_allclose(found.earned, 5 * 100 + 10 * 60 - 200)


def test_homes_that_no_gas_reaches_are_paid_for():
    """25 asked at home, 20 there: 5 are missing at 3,000 each."""
    problem = sure(plan_case(home=(Home(hub="Hub", demand=25.0),)))
    none = np.zeros((2, 3))
    found = policy(problem, fixed(problem), np.ones((1, 3)), none, none)
    np.testing.assert_allclose(found.unserved, 5.0)
    np.testing.assert_allclose(found.earned, -5 * 3000 - 20 * 10)


def test_what_a_stop_leaves():
    """Without A 10 go to B at 60, without B 8 to A at 100."""
    problem = sure(plan_case())
    of = {d.name: d for d in dependences(problem) if d.dimension == "market"}
    np.testing.assert_allclose(stopped(problem, fixed(problem), of["Alpha"]), 600.0)
    np.testing.assert_allclose(stopped(problem, fixed(problem), of["Beta"]), 800.0)


def test_what_the_loss_of_an_element_leaves():
    """Two trains of 10: one leaves 10, homes take 5, so 5 can go; on the peak day homes ask for 15 and lack 5."""
    case = plan_case(
        fields=(Field(name="Field", hub="Hub", capacity=20.0, decline=0.0, cost=10.0, trains=2),),
        home=(Home(hub="Hub", demand=5.0, peak=3.0),),
    )
    problem, lost = sure(case), element(case, "Field, one of 2")
    at = fixed(problem)
    np.testing.assert_allclose(deliverable(problem, at, lost)[0], 5.0)
    np.testing.assert_allclose(warm(problem, at, lost)[0], -5.0)
    np.testing.assert_allclose(deliverable(problem, at, element(case, "A"))[0], 10.0)
    np.testing.assert_allclose(peak_demand(problem), 15.0)


def test_one_line_of_a_trunk_and_one_train_that_declines():
    """A trunk of two lines loses half; a train of a field that loses a tenth a year has lost it too."""
    case = plan_case(
        settings=replace(SETTINGS, base_year=2025),
        links=(Link(name="Trunk", from_hub="Hub", to_hub="Coast", capacity=6.0, lines=2),),
        fields=(Field(name="Field", hub="Hub", capacity=20.0, decline=0.1, cost=10.0, trains=2),),
        home=(Home(hub="Hub", demand=5.0), Home(hub="Coast", demand=1.0)),
    )
    problem = sure(case)
    assert left_without(problem, element(case, "Trunk, one of 2"))[1].tolist() == [0.5]
    hub = case.hubs.index("Hub")
    np.testing.assert_allclose(left_without(problem, element(case, "Field, one of 2"))[2][hub], [9.0, 8.1, 7.29])


def test_firm_sales_are_take_or_pay_while_a_contract_runs():
    contract = Contract(
        name="Long", market="Alpha", corridors=("A",), option="signed", start=2027, end=2027, quantity=8.0,
        take_or_pay=0.75,
    )  # fmt: skip
    found = firm_sales(sure(plan_case(contracts=(contract,))))
    assert found[0].tolist() == pytest.approx([0.0, 6.0, 0.0])
    assert not found[1:].any()
