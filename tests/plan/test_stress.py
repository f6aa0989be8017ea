# SPDX-License-Identifier: Apache-2.0
"""What is left without pieces, the smallest breaking sets, N-1 and its European index: by hand, and against scipy."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from scipy.optimize import linprog

from plan.made_plans import made
from plan.tiny_plans import SETTINGS, corridor, market, plan_case, sure, two_hubs
from serai.plan.breaking import breaking
from serai.plan.case import Contract, Field, Home
from serai.plan.neutrality import dependences, elements
from serai.plan.problem import Problem
from serai.plan.scenarios import expected
from serai.plan.security import certificate, n_minus_1
from serai.plan.stress import left, stands

FIRM = Contract(name="Long", market="Alpha", corridors=("A",), option="signed", start=2026, end=2040, quantity=8.0,
                take_or_pay=0.75)  # fmt: skip


def three_ways(**more):
    """20 bcm in two trains, 5 at home (10 on the peak day), 8 over A at 100, 10 over B at 60, 6 over C at 50."""
    return plan_case(**{
        "fields": (Field(name="Field", hub="Hub", capacity=20.0, decline=0.0, cost=10.0, trains=2),),
        "corridors": (corridor("A", 8.0), corridor("B", 10.0), corridor("C", 6.0)),
        "markets": (market("Alpha", 100.0, ("A",)), market("Beta", 60.0, ("B",)), market("Gamma", 50.0, ("C",))),
        "home": (Home(hub="Hub", demand=5.0, peak=2.0),),
        **more,
    })  # fmt: skip


def test_what_is_left_by_hand():
    """15 can leave: 8 over A and 7 over B earn 1,220. Without A: 10 and 5 of C earn 850. Without a train: 5 over A."""
    p = sure(three_ways())
    a, b, _, train = parts = elements(p.case)
    found = left(p, made(p).solved.decisions, [[], [a], [a, b], [train], [train, train]])
    np.testing.assert_allclose(found.exported[:, 0], [15.0, 15.0, 6.0, 5.0, 0.0], atol=1e-9)
    np.testing.assert_allclose(found.revenue[:, 0], [1220.0, 850.0, 300.0, 500.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(found.missing[:, 0], [0.0, 0.0, 0.0, 0.0, 10.0], atol=1e-9)
    np.testing.assert_allclose(found.unserved[:, 0], [0.0, 0.0, 0.0, 0.0, 5.0], atol=1e-9)
    assert len(parts) == 4


def test_a_neighbour_that_stops_takes_its_ways_with_it():
    """Without Alpha's market 10 go over B and 5 over C."""
    p = sure(three_ways())
    alpha = next(d for d in dependences(p) if d.dimension == "market" and d.name == "Alpha")
    assert left(p, made(p).solved.decisions, [[alpha]]).revenue[0, 0] == pytest.approx(850.0)


def test_the_value_of_every_pair_is_that_of_the_linear_program():
    """scipy's linprog on the same arcs, two hubs and two seasons: what leaves the country without any two pieces."""
    case = two_hubs()
    p = Problem(case, expected(case))
    at, arcs = made(p).solved.decisions, p.arcs
    pairs = list(combinations(elements(case), 2))
    found, y = left(p, at, pairs, years=np.array([3])), 3
    cost = np.zeros(len(arcs.tail))
    cost[arcs.home], cost[arcs.sale] = -1e4, -1.0
    nodes = int(arcs.head.max()) + 1
    balance = np.zeros((nodes, len(cost)))
    np.add.at(balance, (arcs.tail, np.arange(len(cost))), -1.0)
    np.add.at(balance, (arcs.head, np.arange(len(cost))), 1.0)
    for k, capacity in enumerate(stands(p, at, pairs)[:, y]):
        capacity[arcs.home] = p.scenarios.home[:, 0, y]
        bounds = [(0.0, None if np.isinf(c) else c) for c in capacity]
        truth = linprog(cost, A_eq=balance[1:-1], b_eq=np.zeros(nodes - 2), bounds=bounds).x
        assert found.exported[k, 0] == pytest.approx(truth[arcs.sale].sum(), abs=1e-7)
        assert found.unserved[k, 0] == pytest.approx(p.scenarios.home[:, 0, y].sum() - truth[arcs.home].sum(), abs=1e-7)


def test_the_smallest_breaking_sets_are_found_by_size():
    """6 are firm. One train leaves 5: it breaks firm export alone. A and B together leave 300 of 1,220."""
    plan = made(sure(three_ways(contracts=(FIRM,))))
    found = breaking(plan, [2026], max_loss=0.7, most=3)
    by = dict(iter(found.groupby("criterion")))
    assert by["firm export"][["size", "set"]].to_numpy().tolist() == [[1, "Field, one of 2"]]
    assert by["firm export"]["by"].iloc[0] == pytest.approx(1.0)
    assert by["homes"]["size"].tolist() == [0]  # a train is left whatever else fails, and 10 is what homes take
    assert set(by["revenue"]["set"]) == {"A + B", "A + Field, one of 2"}  # 6 over C, or 5 over B: 300 each
    assert by["revenue"]["by"].tolist() == pytest.approx([1.0 - 300.0 / 1220.0 - 0.7] * 2)


def test_nothing_smaller_breaks_what_enumeration_found():
    """Two hubs: every set below the size found is tried again one at a time, and none breaks."""
    plan = made(Problem(two_hubs(), expected(two_hubs())), contracts=["New"])
    table = breaking(plan, [2029], max_loss=0.9, most=3)
    p, parts = Problem(two_hubs(), expected(two_hubs())), elements(two_hubs())
    base = left(p, plan.solved.decisions, [[]]).revenue[0, 3]
    size = int(table.loc[table["criterion"] == "revenue", "size"].iloc[0])
    assert size > 1
    for smaller in combinations(parts, size - 1):
        assert left(p, plan.solved.decisions, [smaller]).revenue[0, 3] >= 0.1 * base - 1e-6


def test_the_certificate_names_the_piece_that_fails():
    found = certificate(made(sure(three_ways(contracts=(FIRM,))))).set_index(["element", "year"])
    assert found.loc[("Field, one of 2", 2026), "left"] == pytest.approx(5.0)
    assert found.loc[("Field, one of 2", 2026), "cover"] == pytest.approx(5.0 / 6.0)
    assert not found.loc[("Field, one of 2", 2026), "holds"]
    assert found.loc[("A", 2026), "holds"]


def test_the_european_index_by_hand():
    """(EPm + Pm + Sm + LNGm - Im) / Dmax of Regulation (EU) 2017/1938, Annex II: (20 - 10) / 10 = 100 %.

    The mirror: without B, the largest border point, 8 and 6 can leave and 6 are firm.
    """
    found = n_minus_1(made(sure(three_ways(contracts=(FIRM,))))).set_index(["area", "year"])
    assert found.loc[("country", 2026), "index"] == pytest.approx(100.0)
    assert found.loc[("country", 2026), "element"] == "Field, one of 2"
    assert found.loc[("country", 2026), "Pm"] == pytest.approx(20.0 / 0.365)
    assert found.loc[("firm export", 2026), "element"] == "B"
    assert found.loc[("firm export", 2026), "index"] == pytest.approx(100.0 * 14.0 / 6.0)


def test_lines_side_by_side_fail_one_at_a_time():
    case = two_hubs()
    case = replace(case, links=tuple(replace(x, lines=2) for x in case.links))
    links = [e for e in elements(case) if e.kind == "link"]
    assert all(e.lost == 0.5 and e.name.endswith("one of 2") for e in links)
    assert SETTINGS.years == 3
