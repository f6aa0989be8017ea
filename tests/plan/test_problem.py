# SPDX-License-Identifier: Apache-2.0
"""What the tables mean in numbers, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from plan.tiny_plans import SETTINGS, corridor, plan_case, sure, two_hubs
from serai.plan.case import Contract, Field, Project
from serai.plan.problem import Problem
from serai.plan.scenarios import draw


def test_discount_counts_from_the_base_year_and_the_last_year_stands_for_those_after():
    """10 %, two years of end value: the last year counts 1 + 1/1.1 + 1/1.21 times."""
    settings = replace(SETTINGS, base_year=2025, discount=0.1, residual_years=2.0)
    problem = sure(plan_case(settings=settings))
    v = 1 / 1.1
    assert problem.discount.tolist() == pytest.approx([v, v**2, v**3 * (1 + v + v**2)])
    assert problem.spending.tolist() == pytest.approx([v, v**2, v**3])


def test_building_later_costs_less_and_no_upkeep_before_it_stands():
    """100 at 10 %, 5 % upkeep, lead 1: decided at once 100 + 5 (1/1.1 + 1/1.21); a year later 100/1.1 + 5/1.21."""
    project = Project(name="A two", adds_to="A", capacity=5.0, capex=100.0, upkeep=0.05, lead=1)
    problem = sure(plan_case(projects=(project,), settings=replace(SETTINGS, discount=0.1)))
    cost = problem.build_cost[0]
    assert cost.sum() == pytest.approx(100 + 5 / 1.1 + 5 / 1.21)
    assert cost[1:].sum() == pytest.approx(100 / 1.1 + 5 / 1.21)


def test_projects_are_decided_in_rounds_between_their_years():
    project = Project(name="A two", adds_to="A", capacity=5.0, capex=1.0, lead=0, earliest=2027, latest=2030)
    problem = sure(plan_case(projects=(project,), settings=replace(SETTINGS, years=6, decide_every=2)))
    assert problem.allowed.tolist() == [[False, False, True, False, True, False]]


def test_fields_of_a_hub_decline_each_by_its_own_rate_and_cost_their_mean():
    fields = (
        Field(name="Old", hub="Hub", capacity=10.0, decline=0.1, cost=20.0),
        Field(name="New", hub="Hub", capacity=30.0, decline=0.0, cost=10.0),
    )
    problem = sure(plan_case(fields=fields))
    assert problem.produced[0].tolist() == pytest.approx([40.0, 39.0, 38.1])
    assert problem.cost_of_gas.tolist() == pytest.approx([12.5])


def test_netback_is_the_price_less_fuel_and_the_fees_that_are_not_booked():
    """100 less 4 % fuel, 70 % of a fee of 30 (the rest is due on the booking) and a swap fee of 10: 65."""
    corridors = (corridor("A", 8.0, fuel=0.04, transit_fee=30.0, swap_fee=10.0), corridor("B", 10.0))
    problem = sure(plan_case(corridors=corridors, settings=replace(SETTINGS, ship_or_pay=0.3)))
    assert problem.netback[0, 0].tolist() == pytest.approx([65.0] * 3)
    assert problem.booking_cost[0].tolist() == pytest.approx([9.0] * 3)
    assert not problem.booking_cost[1].any()


def test_a_contract_pays_for_what_is_not_taken_and_fines_what_is_not_delivered():
    """The buyer takes 4 of 8, pays for 6: 2 x 100 come; a fine of half on all 4 nominated, won back by delivering."""
    contract = Contract(
        name="Long", market="Alpha", corridors=("A",), option="signed", start=2026, end=2030, quantity=8.0,
        take_or_pay=0.75, take=0.5, deliver_or_pay=0.5,
    )  # fmt: skip
    problem = sure(plan_case(contracts=(contract,)))
    assert problem.fixed[0, 0, 0] == pytest.approx(2 * 100 - 4 * 50)
    assert problem.margin[0, 0, 0] == pytest.approx(100 + 50)
    assert problem.netback[0, 0, 0] == pytest.approx(100)
    assert problem.limit[0, 0, 0] == pytest.approx(4.0)


def test_every_future_is_in_one_part_and_arcs_are_counted():
    case = two_hubs()
    problem = Problem(case, draw(case, 6, seed=2))
    np.testing.assert_array_equal(problem.parts.sum(axis=0), 1.0)
    hubs, q, corridors, links, sales = 2, 2, 3, 1, 2 + 3
    assert len(problem.arcs.tail) == 2 * hubs * q + 2 * links * q + corridors * q + len(problem.pairs[0]) + sales
    assert problem.arcs.tail.min() == 0
    assert problem.arcs.head.max() == hubs * q + corridors + sales + 1
