# SPDX-License-Identifier: Apache-2.0
"""Plans solved by hand, and a plan with every part against the whole program written out and solved by HiGHS."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from plan.tiny_plans import SETTINGS, corridor, futures, market, plan_case, sure, two_hubs
from serai.errors import PhysicsRefused
from serai.plan.case import Contract, Field, Home, Project
from serai.plan.extensive import Extensive
from serai.plan.neutrality import Neutrality
from serai.plan.problem import Problem
from serai.plan.scenarios import draw
from serai.plan.solve import solve

NOW = {"since": 0}


def worth(problem, rule=None, **more):
    return solve(problem, rule or Neutrality(), gap=1e-7, seconds=300.0, **more)


def test_gas_goes_home_first_and_then_where_it_earns_most():
    """15 are left after the home's 5: 8 at 100, 7 at 60, all of 20 at a cost of 10: 1,020 a year."""
    found = worth(sure(plan_case()))
    assert found.value == pytest.approx(3 * (8 * 100 + 7 * 60 - 20 * 10), rel=1e-9)
    assert found.gap <= 1e-7
    np.testing.assert_allclose(found.mixture.mean("volume").sum(axis=-1)[:, 0], [8.0, 7.0], atol=1e-6)


def test_a_project_is_built_when_it_pays_and_carries_after_its_lead():
    """5 more over A take gas from B: 5 x 40 = 200 a year; decided in 2026 it carries in 2027 and 2028."""
    project = Project(name="A two", adds_to="A", capacity=5.0, capex=350.0, upkeep=0.0, lead=1)
    found = worth(sure(plan_case(projects=(project,))))
    assert found.value == pytest.approx(3 * 1020 + 2 * 200 - 350, rel=1e-9)
    assert found.decisions.x.tolist() == [[1.0, 1.0, 1.0]]
    dear = worth(sure(plan_case(projects=(replace(project, capex=450.0),))))
    assert dear.value == pytest.approx(3 * 1020, rel=1e-9)
    assert not dear.decisions.x.any()


def test_money_is_discounted_and_upkeep_is_paid_while_it_stands():
    """10 %: years count 1, 1/1.1, 1/1.21; upkeep of 10 % of 100 in both years in which it stands."""
    project = Project(name="A two", adds_to="A", capacity=5.0, capex=100.0, upkeep=0.1, lead=1)
    case = plan_case(projects=(project,), settings=replace(SETTINGS, discount=0.1))
    later = 1 / 1.1 + 1 / 1.21
    assert worth(sure(case)).value == pytest.approx(1020 * (1 + later) + (200 - 10) * later - 100, rel=1e-9)


def test_a_stage_waits_for_the_one_before_it():
    one = Project(name="One", adds_to="A", capacity=0.5, capex=900.0, upkeep=0.0, lead=0)
    two = Project(name="Two", adds_to="A", capacity=5.0, capex=100.0, upkeep=0.0, lead=0, after="One")
    found = worth(sure(plan_case(projects=(one, two))))
    assert not found.decisions.x.any()  # together they cost 1,000 and bring 3 x 5.5 x 40 = 660


def test_a_share_of_the_volume_is_kept_by_selling_less():
    """At most 60 % by one market: B carries 7 of 15, A 8 = 53 %: free. At most half: both 7.5."""
    half = Neutrality(max_share={"market": 0.5}, measures=("volume",), **NOW)
    assert worth(sure(plan_case()), Neutrality(max_share={"market": 0.6}, measures=("volume",), **NOW)).value == (
        pytest.approx(3060, rel=1e-7)
    )
    assert worth(sure(plan_case()), half).value == pytest.approx(3 * (7.5 * 160 - 200), rel=1e-7)


def test_a_share_of_the_revenue_is_another_bound():
    """Half of the revenue each: 100 a = 60 b with b <= 10, a + b <= 15: a = 5.625, b = 9.375."""
    rule = Neutrality(max_share={"market": 0.5}, measures=("revenue",), **NOW)
    assert worth(sure(plan_case()), rule).value == pytest.approx(3 * (2 * 562.5 - 200), rel=1e-7)


def test_a_signed_contract_earns_take_or_pay_and_pays_what_it_fails_to_deliver():
    """10 a year at 100 over A of 8: 2 are missed each year at a penalty of half the price."""
    contract = Contract(
        name="Long", market="Alpha", corridors=("A",), option="signed", start=2026, end=2030, quantity=10.0,
        deliver_or_pay=0.5,
    )  # fmt: skip
    found = worth(sure(plan_case(contracts=(contract,))))
    assert found.value == pytest.approx(3 * (1020 - 2 * 50), rel=1e-9)


def test_take_or_pay_is_paid_once_and_made_up_later():
    """The buyer takes 4 of 8 and pays for 7: 3 x 100 come without gas; with no room left nothing is made up."""
    contract = Contract(
        name="Long", market="Beta", corridors=("B",), option="signed", start=2026, end=2030, quantity=8.0,
        take_or_pay=0.875, take=0.5, make_up=2,
    )  # fmt: skip
    spot = market("Beta", 60.0, ("B",), limit=0.0)
    case = plan_case(contracts=(contract,), markets=(market("Alpha", 100.0, ("A",)), spot))
    assert worth(sure(case)).value == pytest.approx(3 * (8 * 100 + 4 * 60 + 3 * 60 - 17 * 10), rel=1e-9)


def test_what_repays_a_debt_brings_no_money():
    """3 of the 8 that go to Alpha each year repay a debt."""
    contract = Contract(
        name="Debt", market="Alpha", corridors=("A",), option="signed", start=2026, end=2030, quantity=8.0, in_kind=3.0,
        deliver_or_pay=1.0,
    )  # fmt: skip
    assert worth(sure(plan_case(contracts=(contract,)))).value == pytest.approx(3 * (1020 - 3 * 100), rel=1e-9)


def test_transit_is_paid_on_what_is_booked_and_no_more_is_booked_than_pays():
    """Due on bookings, used or not: at 10 A is worth 90 and 8 are booked; at 45 it is worth 55, B 60 comes first."""
    for fee, booked in ((10.0, 8.0), (45.0, 5.0)):
        ways = (corridor("A", 8.0, transit_fee=fee), corridor("B", 10.0))
        found = worth(sure(plan_case(settings=replace(SETTINGS, ship_or_pay=1.0), corridors=ways)))
        np.testing.assert_allclose(found.decisions.booked[0], booked, atol=1e-6)
        assert found.value == pytest.approx(3 * (booked * (100 - fee) + (15 - booked) * 60 - 200), rel=1e-7)


def test_an_open_contract_is_signed_only_when_it_pays():
    contract = Contract(
        name="New", market="Beta", corridors=("B",), option="open", start=2026, end=2030, quantity=8.0, discount=0.5,
        deliver_or_pay=1.0,
    )  # fmt: skip
    case = plan_case(contracts=(contract,))
    assert worth(sure(case)).decisions.u[0] == 0.0
    closed = plan_case(
        contracts=(contract,), markets=(market("Alpha", 100.0, ("A",)), market("Beta", 60.0, ("B",), limit=0.0))
    )
    assert worth(sure(closed)).decisions.u[0] == 1.0  # 7 of 8 at 30 less 1 missed at 30


def test_the_stop_of_a_neighbour_costs_no_more_than_allowed():
    """Without A: 10 at 60. Revenue 1,220 may fall by 40 % to 732: so it is held at 1,000 = 600 / 0.6."""
    rule = Neutrality(max_loss=0.4, stops=("market",), **NOW)
    found = worth(sure(plan_case()), rule)
    assert found.mixture.mean("revenue").sum(axis=(0, 2))[0] == pytest.approx(1000.0, rel=1e-6)


def test_n_1_names_the_plan_that_cannot_survive():
    """Without the field's one train homes have nothing; with three trains of 20 the peak of 10 is served."""
    rule = Neutrality(survive="any one element", cover=0.0, **NOW)
    with pytest.raises(PhysicsRefused, match="no plan keeps"):
        worth(sure(plan_case()), rule)
    trains = (Field(name="Field", hub="Hub", capacity=20.0, decline=0.0, cost=10.0, trains=3),)
    case = plan_case(fields=trains, home=(Home(hub="Hub", demand=5.0, peak=2.0),))
    assert worth(sure(case), rule).value == pytest.approx(3060, rel=1e-7)


def test_risk_weighs_the_worst_futures():
    """A project wins 60 a bcm in one future and its price is lost in the other: the mean takes it, fear does not."""
    project = Project(name="C", adds_to="C", capacity=5.0, capex=300.0, upkeep=0.0, lead=0)
    case = plan_case(
        projects=(project,), corridors=(corridor("A", 8.0), corridor("B", 10.0), corridor("C", 0.0)),
        markets=(market("Alpha", 100.0, ("A",)), market("Beta", 60.0, ("B",)), market("Gamma", 100.0, ("C",))),
    )  # fmt: skip
    problem = futures(case, [{"Gamma": 120.0}, {"Gamma": 20.0}])
    bold, careful = worth(problem, risk=0.0, tail=0.5), worth(problem, risk=1.0, tail=0.5)
    assert bold.value == pytest.approx(3060 + 0.5 * 3 * 5 * 60 - 300, rel=1e-7)
    assert careful.value == pytest.approx(3060, rel=1e-7)


@pytest.mark.parametrize(
    ("risk", "rule"),
    [
        (0.0, Neutrality()),
        (0.4, Neutrality()),
        (0.0, Neutrality(max_share=0.7, since=2)),
        (0.5, Neutrality(max_share={"bloc": 0.65, "transit": 0.75}, since=2)),
        (0.2, Neutrality(max_loss=0.75, since=2)),
        (0.0, Neutrality(survive="any one element", cover=0.5, since=1)),
    ],
)
def test_the_search_finds_what_the_whole_program_finds(risk, rule):
    """Two ways that share nothing but the arrays: HiGHS on every future written out, and cuts from yearly networks."""
    problem = Problem(two_hubs(), draw(two_hubs(), 5, seed=3))
    whole = Extensive(problem, rule, risk=risk, tail=0.4).highs()
    whole.setOptionValue("mip_rel_gap", 1e-8)
    whole.run()
    truth = whole.getInfo().objective_function_value
    found = solve(problem, rule, risk=risk, tail=0.4, gap=1e-6, seconds=300.0)
    assert found.value == pytest.approx(truth, rel=2e-6)
    assert found.bound >= truth - 1e-6 * abs(truth)
    assert max(p.gap for p in found.mixture.policies) < 1e-9


def test_tighter_bounds_never_pay():
    problem = Problem(two_hubs(), draw(two_hubs(), 3, seed=5))
    values = [
        solve(problem, Neutrality(max_share=s, since=1), gap=1e-4, seconds=30.0).value for s in (0.5, 0.6, 0.8, 1.0)
    ]
    assert all(a <= b * (1 + 2e-4) for a, b in pairwise(values))
