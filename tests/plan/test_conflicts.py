# SPDX-License-Identifier: Apache-2.0
"""Bounds that contradict each other are named, and each of those named is needed for the contradiction."""

from __future__ import annotations

from dataclasses import replace

import pytest

from plan.tiny_plans import plan_case, sure
from serai.errors import PhysicsRefused
from serai.plan.case import Contract, Field, Home, Link, Project
from serai.plan.conflicts import conflicts
from serai.plan.neutrality import Neutrality
from serai.plan.plan import plan

RULE = Neutrality(survive="any one element", cover=1.0, since=0)


def two_places(**more):
    """West takes 4 (8 on the peak day), makes 5, and hangs on one line of 6 to a field of two trains."""
    return plan_case(**{
        "fields": (Field(name="East field", hub="Hub", capacity=20.0, decline=0.0, cost=10.0, trains=2),
                   Field(name="West field", hub="West", capacity=5.0, decline=0.0, cost=10.0, trains=5)),
        "links": (Link(name="Line", from_hub="Hub", to_hub="West", capacity=6.0),),
        "home": (Home(hub="Hub", demand=2.0, peak=2.0), Home(hub="West", demand=4.0, peak=2.0)),
        **more,
    })  # fmt: skip


def test_the_conflict_of_a_lost_line_is_irreducible():
    """Without the line 3 of 8 lack in the West: its peak, its fields and the rule contradict each other."""
    (found,) = conflicts(sure(two_places()), RULE)
    assert (found.test, found.element, found.year) == ("homes", "Line", 2026)
    assert found.lacks == pytest.approx(3.0)
    assert found.bounds == ("survive 'any one element': Line", "output of the fields of West", "peak demand of West")
    more = two_places(fields=(*two_places().fields[:1], replace(two_places().fields[1], capacity=8.0)))
    assert not conflicts(sure(more), replace(RULE, since=0))  # without the bound on output there is none
    warm = two_places(home=(two_places().home[0], replace(two_places().home[1], peak=1.25)))
    assert not conflicts(sure(warm), RULE)  # nor without the peak
    assert not conflicts(sure(two_places()), replace(RULE, survive="any one corridor"))  # nor without the rule


def test_a_project_that_would_mend_it_takes_the_conflict_away():
    late = Project(name="More", adds_to="West field", capacity=3.0, capex=1.0, upkeep=0.0, lead=1)
    (found,) = conflicts(sure(two_places(projects=(late,))), RULE)
    assert found.year == 2026  # it carries from 2027 on
    assert not conflicts(sure(two_places(projects=(replace(late, lead=0),))), RULE)


def test_firm_sales_that_cannot_be_covered_are_named():
    """8 firm over A alone: without A, B carries 10 and covers them; without B too; a smaller B does not."""
    long = Contract(name="Long", market="Alpha", corridors=("A",), option="signed", start=2026, end=2040, quantity=8.0,
                    take_or_pay=1.0)  # fmt: skip
    fields = (Field(name="Field", hub="Hub", capacity=40.0, decline=0.0, cost=10.0, trains=4),)
    case = plan_case(contracts=(long,), fields=fields, home=(Home(hub="Hub", demand=5.0, peak=2.0),))
    assert not conflicts(sure(case), RULE)
    small = replace(case, corridors=(case.corridors[0], replace(case.corridors[1], capacity=6.0)))
    (found,) = conflicts(sure(small), RULE)
    assert found.element == "A"
    assert found.lacks == pytest.approx(2.0)
    assert found.bounds == ("survive 'any one element': A", "capacity of corridor B", "firm sales of 8.0 bcm")


def test_a_plan_that_cannot_be_says_why():
    with pytest.raises(PhysicsRefused, match=r"without Line lack 3\.00 bcm/y on the peak day in 2026") as caught:
        plan(two_places(), neutrality=RULE, futures=2, seconds=20.0)
    assert caught.value.elements == ("Line",)
