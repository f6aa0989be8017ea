# SPDX-License-Identifier: Apache-2.0
"""Floors of neutrality by hand: which tests there are, when decisions hold them, what they ask of the master."""

from __future__ import annotations

import pytest

from plan.tiny_plans import plan_case, sure
from serai.plan.case import Contract, Field, Project
from serai.plan.floors import Floors
from serai.plan.neutrality import Neutrality
from serai.plan.regret import fixed
from serai.plan.solve import solve

TRAINS = (Field(name="Field", hub="Hub", capacity=20.0, decline=0.0, cost=10.0, trains=4),)


def firm(quantity, option="signed"):
    return Contract(
        name="Long", market="Alpha", corridors=("A",), option=option, start=2026, end=2030, quantity=quantity,
        take_or_pay=1.0,
    )  # fmt: skip


def floors(case, rule):
    problem = sure(case)
    return problem, Floors(problem, problem, rule)


def test_what_is_tested():
    """Corridors can only cost exports; trains cost homes too; a market with a border point of its own is one stop."""
    _, corridors = floors(plan_case(), Neutrality(survive="any one corridor", since=0))
    assert [t.name for t in corridors.tests] == ["export without A", "export without B"]
    _, every = floors(plan_case(fields=TRAINS), Neutrality(survive="any one element", max_loss=0.5, since=0))
    assert [t.name for t in every.tests[:2]] == ["stop of route A", "stop of route B"]
    assert [t.name for t in every.tests[-2:]] == ["export without Field, one of 4", "homes without Field, one of 4"]
    assert len(every.tests) == 2 + 2 + 2


@pytest.mark.parametrize(("quantity", "holds"), [(8.0, True), (8.1, False)])
def test_firm_sales_hold_when_the_rest_can_carry_them(quantity, holds):
    """Without B 8 can leave over A: 8 of firm sales hold, 8.1 do not; at a cover of half 8.1 do."""
    case = plan_case(fields=TRAINS, contracts=(firm(quantity),))
    problem, found = floors(case, Neutrality(survive="any one corridor", since=0))
    assert found.hold(fixed(problem)) is holds
    problem, found = floors(case, Neutrality(survive="any one corridor", cover=0.5, since=0))
    assert found.hold(fixed(problem))


def test_a_floor_makes_the_search_build_what_survives():
    """9 are firm without B's 10: A has 8, so A must grow, although it never pays."""
    more = Project(name="A two", adds_to="A", capacity=1.0, capex=500.0, upkeep=0.0, lead=0)
    case = plan_case(fields=TRAINS, contracts=(firm(9.0),), projects=(more,))
    free = solve(sure(case), Neutrality(), gap=1e-7, seconds=20.0)
    held = solve(sure(case), Neutrality(survive="any one corridor", since=0), gap=1e-7, seconds=20.0)
    assert not free.decisions.x.any()
    assert held.decisions.x[0].tolist() == [1.0, 1.0, 1.0]
    assert held.value < free.value


def test_an_open_contract_that_would_not_survive_is_not_signed():
    case = plan_case(fields=TRAINS, contracts=(firm(12.0, "open"),))
    held = solve(sure(case), Neutrality(survive="any one corridor", since=0), gap=1e-7, seconds=20.0)
    assert held.decisions.u[0] == 0.0
