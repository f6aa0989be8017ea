# SPDX-License-Identifier: Apache-2.0
"""The frontier against plans solved one by one, by hand, and against what a bound may never do."""

from __future__ import annotations

import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from plan.tiny_plans import plan_case, two_hubs
from serai.errors import SeraiError
from serai.plan.frontier import Point, agreed, frontier, worst_mean
from serai.plan.neutrality import Neutrality
from serai.plan.plan import plan
from serai.plan.problem import Problem
from serai.plan.scenarios import draw
from serai.plan.solve import solve
from serai.plan.told import shown

RULE = Neutrality(measures=("volume",), since=1)
GAP = 1e-5


@pytest.fixture(scope="module")
def found():
    return frontier(
        two_hubs(), risks=(0.0, 0.6), shares=(1.0, 0.7, 0.55), bounded=("market",), neutrality=RULE, tail=0.4,
        futures=5, gap=GAP,
    )  # fmt: skip


def test_every_point_is_what_a_plan_from_nothing_finds(found):
    """What is kept between points changes no answer."""
    problem = Problem(two_hubs(), draw(two_hubs(), 5, seed=1))
    for point in found.points:
        rule = Neutrality(max_share={"market": point.share}, measures=("volume",), since=1)
        alone = solve(problem, rule, risk=point.risk, tail=0.4, gap=GAP, seconds=30.0)
        assert point.value == pytest.approx(alone.value, rel=2 * GAP)
        assert point.bound >= alone.value * (1 - 1e-9)
        assert point.gap <= GAP


def test_no_bound_and_no_fear_ever_pay_beyond_the_gap(found):
    for _, line in found.table.groupby("risk"):
        assert all(a <= b * (1 + GAP) for a, b in pairwise(line.sort_values("share")["value"]))
    for _, line in found.table.groupby("share"):
        assert all(a >= b * (1 - GAP) for a, b in pairwise(line.sort_values("risk")["value"]))


def test_value_is_the_mixture_of_mean_and_worst(found):
    table = found.table
    np.testing.assert_allclose(
        table["value"], (1 - table["risk"]) * table["mean"] + table["risk"] * table["worst"], rtol=1e-9
    )


def test_price_of_neutrality_by_hand():
    """15 are sold, at most a share a of them at 100, the rest at 60: 15 x 40 x 0.01 for a point in each of 3 years."""
    rule = Neutrality(measures=("volume",), since=0)
    one = frontier(
        plan_case(), risks=(0.0,), shares=(0.5, 0.52), bounded=("market",), neutrality=rule, futures=1, gap=1e-7
    ).table
    assert one["value"].tolist() == pytest.approx([3 * (7.5 * 160 - 200), 3 * (15 * 0.52 * 100 + 15 * 0.48 * 60 - 200)])
    assert one["price_difference"].iloc[0] == pytest.approx(3 * 15 * 40 / 100)
    assert one["price_dual"].iloc[1] == pytest.approx(3 * 15 * 40 / 100, rel=1e-6)


def test_workers_find_the_same(found):
    """Each bound on its own, in another process: neither order nor memory changes an answer."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as workers:
        shared = frontier(
            two_hubs(), risks=(0.0, 0.6), shares=(1.0, 0.7, 0.55), bounded=("market",), neutrality=RULE, tail=0.4,
            futures=5, gap=GAP, executor=workers,
        )  # fmt: skip
    np.testing.assert_allclose(shared.table["value"], found.table["value"], rtol=2 * GAP)


def test_bounds_that_no_plan_keeps_are_a_point_without_one():
    rule = Neutrality(survive="any one element", cover=0.0, since=0)
    (point,) = frontier(plan_case(), risks=(0.0,), shares=(1.0,), neutrality=rule, futures=1).points
    assert point.decisions is None
    assert np.isnan(point.value)


def point(risk, share, mean, worst, bound, *, decisions="plan"):
    return Point(risk, share, (1 - risk) * mean + risk * worst, bound, mean, worst, 1.0, decisions, 1.0, 1)


def test_points_learn_from_each_other_by_hand():
    """A plan found at a tighter bound, or at another risk, counts at a point whose own search was out of time."""
    known = agreed([
        point(0.0, 0.5, 100.0, 20.0, 110.0), point(0.0, 1.0, 90.0, 30.0, 120.0),
        point(0.5, 0.5, 80.0, 10.0, 90.0, decisions="poor"), point(0.5, 1.0, 95.0, 40.0, 70.0),
        point(1.0, 0.5, 60.0, 35.0, 36.0), point(1.0, 1.0, 70.0, 34.0, 80.0),
    ])  # fmt: skip
    by = {(p.risk, p.share): p for p in known}
    assert by[0.0, 1.0].value == 100.0  # the plan of the tighter bound; its own was worth 90
    assert by[0.5, 0.5].value == 60.0  # 0.5 x 100 + 0.5 x 20, found without fear; its own was worth 45
    assert (by[0.5, 0.5].mean, by[0.5, 0.5].worst) == (100.0, 20.0)
    assert np.isnan(by[0.5, 0.5].room)
    assert by[1.0, 1.0].value == 40.0  # the worst of the plan of half fear
    assert by[0.5, 0.5].bound == 70.0  # of the looser bound; nearer than the chord (110 + 36) / 2 = 73
    assert by[1.0, 1.0].bound == 70.0  # fear is never worth more
    assert all(p.value <= p.bound for p in known)
    assert (known[0].risk, known[-1].share) == (0.0, 1.0)


def test_what_no_plan_exceeds_at_two_risks_bounds_those_between():
    """(100 + 40) / 2 = 70 between the two; the plan itself keeps its decisions where another is worth more."""
    itself = point(0.5, 0.5, 80.0, 30.0, 95.0)
    known = agreed([point(0.0, 0.5, 98.0, 30.0, 100.0), itself, point(1.0, 0.5, 60.0, 35.0, 40.0)], itself)
    assert known[1].bound == 70.0
    assert (known[1].value, known[1].decisions) == (55.0, "plan")
    assert agreed([*known[:1], replace(itself), *known[2:]])[1].value == 64.0


def test_a_search_around_a_plan_starts_from_it():
    """With no time at all every point is worth what the plan is worth there, sold within its bound, or more."""
    rule = Neutrality(max_share={"market": 0.6}, measures=("volume",), since=1)
    made = plan(two_hubs(), neutrality=rule, tail=0.4, futures=4, gap=GAP, seconds=30.0)
    around = made.frontier(risks=(0.0, 0.5), shares=(0.6, 0.8), gap=GAP, seconds=0.0)
    (own,) = [p for p in around.points if (p.risk, p.share) == around.chosen]
    for p in around.points:
        assert p.value >= (1 - p.risk) * own.mean + p.risk * own.worst - 1e-6 * abs(own.value)


def test_a_share_beyond_one_is_refused():
    with pytest.raises(SeraiError, match="between 0 and 1"):
        frontier(plan_case(), shares=(1.2,))


def test_mean_of_the_worst_by_hand():
    """A quarter of four equal futures is the worst; of 0.3, the worst and a twentieth of the next."""
    value, even = np.array([4.0, 1.0, 3.0, 2.0]), np.full(4, 0.25)
    assert worst_mean(value, even, 0.25) == 1.0
    assert worst_mean(value, even, 0.3) == pytest.approx((0.25 * 1 + 0.05 * 2) / 0.3)


def test_dask_workers_find_the_same(found):
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        shared = frontier(
            two_hubs(), risks=(0.0, 0.6), shares=(1.0, 0.7, 0.55), bounded=("market",), neutrality=RULE, tail=0.4,
            futures=5, gap=GAP, executor=client,
        )  # fmt: skip
    np.testing.assert_allclose(shared.table["value"], found.table["value"], rtol=2 * GAP)


def test_around_a_plan_the_plan_is_one_of_the_points():
    """Its own risk and share stand for the nearest; a tighter bound is worth less, a looser one more."""
    rule = Neutrality(max_share={"market": 0.6}, measures=("volume",), since=1)
    made = plan(two_hubs(), neutrality=rule, risk=0.2, tail=0.4, futures=4, gap=GAP, seconds=30.0)
    around = made.frontier(risks=(0.0, 0.5), shares=(0.52, 0.7, 1.0), gap=GAP)
    assert sorted({p.risk for p in around.points}) == [0.2, 0.5]
    assert sorted({p.share for p in around.points}) == [0.6, 0.7, 1.0]
    (own,) = [p for p in around.points if (p.risk, p.share) == around.chosen]
    assert own.value == made.value
    line = around.table[around.table["risk"] == 0.2]
    assert line["chosen"].tolist() == [True, False, False]
    assert line["proven"].all()
    assert line["value"].is_monotonic_increasing
    points = json.loads(json.dumps(shown(made, None, around.table), allow_nan=False))["points"]
    assert [(p["lambda"], p["limit"]) for p in points] == [(r, s) for r in (0.2, 0.5) for s in (60.0, 70.0, 100.0)]
    assert points[0]["value"] * 1e3 == pytest.approx(made.value, abs=1e-3)
    assert points[0]["chosen"]
    assert points[2]["price_step"] is None
