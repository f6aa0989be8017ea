# SPDX-License-Identifier: Apache-2.0
"""Hydraulic replay of the bundled case: a plan that transport accepts and the laws refuse, and one they accept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import serai as sr
from plan.made_plans import made
from plan.tiny_plans import corridor, plan_case
from plan.tiny_plans import sure as certain
from serai.errors import UnknownName
from serai.plan.carried import settled, sold_anew
from serai.plan.case import Derated, Work, read_planning
from serai.plan.expansion import (
    Day,
    checked,
    expanded,
    field_capacity,
    hubs_of,
    meetings,
    planned_of,
    turned,
    waiting,
)
from serai.plan.montecarlo import operate, rule_of
from serai.plan.problem import Problem
from serai.plan.replay import Cut, Stage, Trial, replay, with_cuts
from serai.plan.scenarios import draw, expected, usable

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
    from serai.plan.montecarlo import free_rule

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


# ------------------------------------------------------------------------------------------ lines that run backwards


def test_gas_of_both_ends_meets_where_something_leaves_the_line(case, network):
    """East-West: the Ashgabat line leaves before EW CS-1, the Gokdepe tie before EW CS-3, the western system behind
    EW CS-6; between the other stations there is one pipe and nothing else."""
    assert meetings(network, case, ["East-West"]) == [3, 1, 0]
    _, names = turned(network, case, ["East-West"], 3)
    assert names == ["EW CS-3", "EW CS-4", "EW CS-5", "EW CS-6", "Belek Regulator"]


def day_of(case, corridors, produced, home):
    """A day by name [bcm/y]."""
    return Day(np.array([corridors.get(c.name, 0.0) for c in case.corridors]), np.array(produced), np.array(home))


def test_a_little_gas_that_comes_back_is_used_at_the_first_town(case, network):
    """2 bcm/y come back from the west on a cold day: less than Gokdepe takes, so the stations east of it stay as they
    are. With all turned, or all but the first, no state keeps every limit, though there is one."""
    problem = sure(case)
    plan = made(problem)
    stage = Stage(plan, network, operate(problem, rule_of(plan)))
    sold = {"China A-C": 30.0, "Uzbekistan": 0.3, "Iran Sarahs": 12.0, "Iran Etrek": 0.6}
    day = day_of(case, sold, [80.5, 7.0, 0.0], [32.8, 6.2, 5.6])
    day = replace(day, produced=np.array([32.8 + 6.2 + 5.6 + sum(sold.values()) - 8.2, 8.2, 0.0]))
    trial = stage.run(0, 0, day)
    assert trial.carried
    assert trial.mismatch < 1e-7
    assert stage.met == {True: 3}


# -------------------------------------------------------------------------------------------------------------- cuts


@pytest.fixture(scope="module")
def stage(case, network):
    """The bundled case with the Trans-Caspian line, sold without bounds; nothing is solved."""
    problem = sure(case)
    plan = made(problem, ["Trans-Caspian first line", "Block 1 second stage"])
    return Stage(plan, network, operate(problem, rule_of(plan)))


def trial_of(element, quantity, side, short, year=2040):
    asked, lacks = 80.0, sum(v for _, v in short)
    return Trial(year, "spring", asked, asked - lacks, carried=False, element=element, quantity=quantity, side=side,
                 short=tuple(short))  # fmt: skip


def test_an_element_of_the_corridor_itself_cuts_its_capacity(case, stage):
    day = day_of(case, {"Iran Etrek": 8.0}, [50.0, 8.0, 0.0], [20.0, 4.0, 3.0])
    (cut,) = stage.cuts(13, day, trial_of("CAC-3 Balkan CS", "flow", "low", [("Iran Etrek", 6.0)]))
    assert (cut.planned, cut.derated, cut.asked) == ("Iran Etrek", None, 8.0)
    assert cut.carried == pytest.approx(2.0 * 0.99)


def test_an_element_of_a_trunk_line_cuts_the_line(case, stage):
    """What goes over it: 15 to Kiyanly and 3 to homes of the west less 8 of its own, of which 1 cannot."""
    day = day_of(case, {"Trans-Caspian": 15.0}, [50.0, 8.0, 0.0], [20.0, 3.0, 4.0])
    h = case.hubs.index("West")
    day = replace(day, produced=np.where(np.arange(3) == h, 8.0, 0.0), home=np.where(np.arange(3) == h, 3.0, 0.0))
    (cut,) = stage.cuts(13, day, trial_of("EW CS-3 Inlet", "pressure", "low", [("Trans-Caspian", 1.0)]))
    assert (cut.planned, cut.derated, cut.asked) == ("East-West", None, 10.0)
    assert cut.carried == pytest.approx(9.0 * 0.99)


def test_a_shared_element_cuts_the_day_alone(case, stage):
    """The largest field gives all it can: no corridor's own pipe is at fault, so only the springs of 2040 have less."""
    day = day_of(case, {"Trans-Caspian": 15.0}, [50.0, 8.0, 0.0], [20.0, 4.0, 3.0])
    (cut,) = stage.cuts(13, day, trial_of("Galkynysh field", "net supply", "high", [("Trans-Caspian", 5.0)]))
    assert cut.planned == "Trans-Caspian"
    assert cut.derated == Derated("Trans-Caspian", 2040, winter=False, share=pytest.approx(10.0 * 0.99 / 15.0))
    less = with_cuts(case, [cut])
    assert (less.corridors, less.projects, less.derated) == (case.corridors, case.projects, (cut.derated,))


def test_shares_of_a_year_multiply_and_leave_other_days_alone():
    """Two rows on A in 2027 leave 0.5 x 0.8 = 0.4 of its 8 bcm; the year before it sells 8."""
    rows = (Derated("A", 2027, winter=False, share=0.5), Derated("A", 2027, winter=False, share=0.8))
    tiny = plan_case(derated=rows)
    np.testing.assert_allclose(usable(tiny, rows)[:, 0, :, 0], [[1.0, 0.4, 1.0], [1.0, 1.0, 1.0]])
    np.testing.assert_allclose(draw(tiny, 3, seed=1).available[0, :, :, 0], [[1.0, 0.4, 1.0]] * 3)
    assert made(certain(tiny)).flows["A"].tolist() == pytest.approx([8.0, 3.2, 8.0])


def test_a_plan_sold_anew_keeps_its_builds_and_sells_within_the_cuts():
    """A falls from 8 to 6 for good and to half of that in 2027; B had 7 of the 15 to sell and takes up to its 10."""
    plan = made(certain(plan_case()))
    cuts = [
        Cut("A", 6.0, 8.0, "pipe", 2026),
        Cut("A", 3.0, 6.0, "field", 2027, derated=Derated("A", 2027, winter=False, share=0.5)),
    ]
    anew = sold_anew(plan, cuts)
    assert anew.solved.decisions.x is plan.solved.decisions.x
    sold = operate(anew.problem, rule_of(anew)).by_corridor[:, 0, :, 0]
    np.testing.assert_allclose(sold, [[6.0, 3.0, 6.0], [9.0, 10.0, 9.0]])
    twice = sold_anew(anew, [])
    np.testing.assert_allclose(twice.problem.scenarios.available, anew.problem.scenarios.available)
    assert corridor("A", 6.0) == next(c for c in twice.problem.case.corridors if c.name == "A")


def test_a_day_that_is_the_same_is_not_solved_again(case, network):
    plan = made(sure(with_cuts(case, [Cut("Iran Etrek", 0.6, 8.0, "CAC-3 Balkan CS", 2027)])))
    found = replay(plan, network, years=[2027], seasons=["spring"])
    assert found.accepted
    again = replay(plan, network, years=[2027], seasons=["spring"], before=found)
    assert again.trials[0] is found.trials[0]


def test_a_refused_plan_is_sold_anew_until_the_laws_carry_it(case, network):
    plan = made(sure(case))
    tables = settled(plan, replay(plan, network, years=[2027]), network, [2027])
    found = replay(made(sure(tables)), network, years=[2027])
    assert found.accepted
    assert 0.5 < {c.name: c.capacity for c in tables.corridors}["Iran Etrek"] < 1.6


def test_a_state_that_steady_does_not_confirm_is_refused(case, network, monkeypatch):
    """The search has the day carried; a limit that only the confirmation sees (10 bar at Mary Gate) refuses it."""
    from serai.plan import replay as module
    from serai.simulate.steady import steady

    plan = made(sure(with_cuts(case, [Cut("Iran Etrek", 0.6, 8.0, "CAC-3 Balkan CS", 2027)])))
    t = network["gas_nodes"]
    low = t["pressure_max"].copy()
    low[t.row("Mary Gate")] = 10e5
    tighter = t.replace(pressure_max=low)

    def stricter(net, knowns=()):
        return steady(net.with_tables(gas_nodes=tighter), knowns)

    stage = Stage(plan, network, operate(plan.problem, rule_of(plan)))
    monkeypatch.setattr(module, "steady", stricter)
    trial = stage.run(0, 1, stage.busiest(0, 1))
    assert (trial.carried, trial.element, trial.quantity, trial.side) == (False, "Mary Gate", "pressure", "high")
    assert trial.delivered == pytest.approx(trial.asked, rel=2e-3)
    assert trial.mismatch < 1e-7
