# SPDX-License-Identifier: Apache-2.0
"""Hydraulic replay of the bundled case: a plan that transport accepts and the laws refuse, and one they accept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import serai as sr
from plan.made_plans import made
from serai.errors import UnknownName
from serai.plan.case import Work, read_planning
from serai.plan.expansion import checked, expanded, field_capacity, hubs_of, planned_of, turned, waiting
from serai.plan.problem import Problem
from serai.plan.replay import Cut, replay, with_cuts
from serai.plan.scenarios import expected

YEAR = 365.0 * 86400.0


@pytest.fixture(scope="module")
def network():
    return sr.read("turkmenistan")


@pytest.fixture(scope="module")
def case():
    return read_planning("turkmenistan")


def sure(case):
    return Problem(case, expected(case))


def test_transport_accepts_what_the_laws_refuse(case, network):
    """Etrek may export 8 bcm/y in the plan; its gas would have to pass CAC-3 Balkan CS backwards, from the north.

    The field there gives 1.6 at most (supplies.csv, Korpeje), so the laws deliver less than that, and the cut says so.
    """
    plan = made(sure(case))
    assert plan.flows.loc[2027, "Iran Etrek"] > 5.9  # the transport model carries it
    found = replay(plan, network, years=[2027], seasons=["spring"])
    assert not found.accepted
    assert found.trials[0].element == "CAC-3 Balkan CS"
    assert found.trials[0].mismatch < 1e-7
    (cut,) = found.cuts
    assert (cut.planned, cut.year) == ("Iran Etrek", 2027)
    assert 0.5 < cut.carried < 1.6


def test_what_the_cuts_leave_is_accepted_and_solves_the_laws(case, network):
    """Plan, replay, cut, again: the second cut is for the winter, which leaves a little less for Etrek."""
    tables, taken = case, []
    for _ in range(4):
        found = replay(made(sure(tables)), network, years=[2027])
        if found.accepted:
            break
        taken += [c.carried for c in found.cuts]
        tables = with_cuts(tables, found.cuts)
    assert found.accepted
    assert 1 <= len(taken) <= 3
    assert taken == sorted(taken, reverse=True)
    assert found.table["mismatch"].max() < 1e-7
    assert found.table["delivered"].tolist() == pytest.approx(found.table["asked"].tolist(), rel=2e-3)


def test_a_cut_takes_what_was_built_with_it(case):
    cut = Cut("Iran Etrek", 3.0, 20.0, "CAC-3 Balkan CS", 2035, built=("Iran Etrek second line",))
    less = with_cuts(case, [cut])
    assert {c.name: c.capacity for c in less.corridors}["Iran Etrek"] == 3.0
    assert {p.name: p.capacity for p in less.projects}["Iran Etrek second line"] == 0.0
    kept = with_cuts(case, [replace(cut, built=())])
    assert {p.name: p.capacity for p in kept.projects}["Iran Etrek second line"] == 12.0


def test_works_change_the_network(case, network):
    """By 2041: Line D open, Malay CS 32 MW stronger, a second pipe at Gedaim, a new offtake on a node of its own."""
    problem = sure(case)
    at = made(problem, ["Line D", "China A-C boost", "Connector", "Galkynysh phase 4"]).solved.decisions
    net = expanded(network, problem, at, 14)
    assert "Line D (proposed)" in net.active("pipes")
    stronger = net["compressors"]["power_max"][net["compressors"].row("Malay CS")]
    assert stronger == pytest.approx(network["compressors"]["power_max"][network["compressors"].row("Malay CS")] + 32e6)
    assert "Samandepe Junction - Gedaim, second line" in net.active("pipes")
    assert net["offtakes"]["node"][net["offtakes"].row("Caspian connector export")] == "Caspian connector export point"
    assert "Line D (proposed)" not in expanded(network, problem, at, 0).active("pipes")
    assert field_capacity(problem, at, 14)["Galkynysh"] == 52.0
    most = net["supplies"]["flow_max"][net["supplies"].row("Dauletabad field")]
    assert most * YEAR / network.gas.standard_density / 1e9 == pytest.approx(14.0 * 0.96**15)
    assert waiting(problem, at, 14) == ["Belek-1 CS", *(f"EW CS-{k}" for k in range(1, 7))]


def test_nodes_belong_to_hubs_and_elements_to_plans(case, network):
    hub = hubs_of(network, case)
    assert (hub["Deryalyk"], hub["Gedaim"], hub["Etrek Border"]) == ("North", "East", "West")
    assert set(hub.values()) == {"East", "North", "West"}
    assert planned_of(case, network, "CAC-3 Balkan CS") == ["Iran Etrek"]
    assert planned_of(case, network, "EW CS-3 Inlet") == ["East-West"]
    assert planned_of(case, network, "Samandepe Junction - Gedaim, second line") == ["China A-C"]


def test_a_line_that_runs_backwards_has_its_stations_turned(case, network):
    net, names = turned(network, case, ["East-West"])
    t = net["control_valves"]
    assert (t["from_node"][t.row("Belek Regulator")], t["to_node"][t.row("Belek Regulator")]) == (
        "Belek Header", "Belek EW End",
    )  # fmt: skip
    assert "EW CS-3" in names
    assert "Malay CS" not in names


def test_names_that_the_network_lacks_are_told(case, network):
    checked(network, case)
    wrong = replace(case, works=(*case.works, Work(project="Line D", kind="pipes", element="Line E", change="open")))
    with pytest.raises(UnknownName, match=r"works\.csv, Line D: turkmenistan has no row 'Line E' in pipes\.csv"):
        checked(network, wrong)


def test_days_of_peak_flow_are_those_on_which_nothing_is_stopped(case, network):
    """Of two futures the one with the larger flow has a stop: the other is the day that is replayed."""
    from serai.plan.montecarlo import free_rule, operate
    from serai.plan.replay import Stage
    from serai.plan.scenarios import draw

    drawn = draw(replace(case, outages_history=()), 2, seed=1)
    shut = drawn.available.copy()
    nominated = drawn.nominated.copy()
    nominated[:, 0] *= 0.5  # the first future takes less, so the second is the busiest
    shut[-1, 1] = 0.0
    problem = Problem(case, replace(drawn, available=shut, nominated=nominated))
    plan = made(problem)
    stage = Stage(plan, network, operate(problem, free_rule(problem, plan.solved.decisions)))
    day = stage.busiest(0, 0)
    np.testing.assert_allclose(day.corridors, stage.sold.by_corridor[:, 0, 0, 0] / problem.days[0])
