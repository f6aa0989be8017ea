# SPDX-License-Identifier: Apache-2.0
"""Ensembles of gas and of gas with power: every scenario as `steady` has it, and the bad ones harm nobody."""

import numpy as np
import pytest

import serai as sr
from serai import Known
from serai.errors import PhysicsRefused, SeraiError, UnknownName
from serai.simulate.batched import MISSING, REFUSED, SOLVED, fits, solve_scenarios
from serai.simulate.ensemble import ensemble
from simulate.small import line, line_knowns

COMPARED = ("pressure", "flow", "withdrawal", "ratio", "power", "magnitude", "angle", "active_power", "plant_fuel")


def table_of(network, n, spread, seed=0):
    """Every given withdrawal, supply and load of a network, and n scenarios of them (n, n_given)."""
    knowns = [
        k for k in network.knowns(None) if k.quantity in ("withdrawal", "supply", "active_power") and k.value != 0.0
    ]
    knowns = [k for k in knowns if network.kind_of(k.where) in ("offtakes", "supplies", "loads")]
    random = np.random.default_rng(seed)
    values = np.array([k.value for k in knowns]) * (1.0 + spread * random.standard_normal((n, len(knowns))))
    return [(k.quantity, k.where) for k in knowns], values


def check_against_steady(network, given, values, many, scenarios):
    for s in scenarios:
        one = sr.steady(network, [Known(q, w, v) for (q, w), v in zip(given, values[s], strict=True)])
        for name in COMPARED:
            if name in many.data:
                mine, theirs = many.data[name].values[s], one.dataset[name].values
                np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-9 * np.nanmax(np.abs(theirs)), err_msg=name)
        assert {n: m for _, n, m in one.modes} == many.modes.get(s, {})


def test_scenarios_are_what_steady_says_whatever_their_modes():
    network = sr.read("loop_with_station")
    given, values = table_of(network, 300, 0.6)
    many = solve_scenarios(network, given, values)
    assert 0.8 < (many.status == SOLVED).mean() < 1.0
    assert len({str(m) for m in many.modes.values()}) >= 1  # some have left the set-point of the station
    switched = [s for s in many.modes if many.status[s] == SOLVED][:8]
    assert switched
    good = [int(s) for s in np.flatnonzero(many.status == SOLVED)]
    check_against_steady(network, given, values, many, {*good[::40], *switched})
    assert np.nanmax(many.mismatch) < 1e-8
    assert many.certified[0] < 1e-7
    for s in many.failed[:4]:
        with pytest.raises(PhysicsRefused):
            sr.steady(network, [Known(q, w, v) for (q, w), v in zip(given, values[s], strict=True)])


def test_sixteen_that_cannot_flow_are_refused_and_the_others_are_exact():
    network, count = line(), 1024
    knowns = line_knowns()
    given = [("withdrawal", "town")]
    values = np.random.default_rng(1).uniform(20.0, 60.0, (count, 1))
    alone = solve_scenarios(network, given, values, knowns=knowns)
    bad = np.arange(7, count, 64)
    values[bad] = 1e4
    many = solve_scenarios(network, given, values, knowns=knowns)
    assert many.failed == list(bad)
    assert (many.status[bad] == REFUSED).all()
    assert "pressure would fall below zero at B" in many.reasons[int(bad[0])]
    assert np.isnan(many.data["pressure"].values[bad]).all()
    rest = np.setdiff1d(np.arange(count), bad)
    np.testing.assert_allclose(many.data["pressure"].values[rest], alone.data["pressure"].values[rest], rtol=1e-9)


def test_set_points_move_and_missing_values_are_named():
    network, knowns = line(), line_knowns()
    values = np.array([[60e5, 50.0], [55e5, 40.0], [np.nan, 40.0], [58e5, np.inf]])
    given = [("pressure", "field"), ("withdrawal", "town")]
    many = solve_scenarios(network, given, values, knowns=knowns)
    assert list(many.status) == [SOLVED, SOLVED, MISSING, MISSING]
    assert "pressure of field" in many.reasons[2]
    for s in (0, 1):
        one = sr.steady(network, line_knowns(values[s, 1], values[s, 0]))
        np.testing.assert_allclose(many.data["pressure"].values[s], one.dataset["pressure"].values, rtol=1e-9)


def test_tables_that_fit_nothing_are_refused():
    network, knowns = line(), line_knowns()
    with pytest.raises(UnknownName):
        solve_scenarios(network, [("withdrawal", "nowhere")], [[1.0]], knowns=knowns)
    with pytest.raises(SeraiError, match="one column for each Known"):
        solve_scenarios(network, [("withdrawal", "town")], [[1.0, 2.0]], knowns=knowns)
    with pytest.raises(SeraiError, match="given twice"):
        solve_scenarios(network, [("withdrawal", "town")] * 2, [[1.0, 2.0]], knowns=knowns)


def test_a_table_without_a_single_sound_row_is_all_missing():
    many = solve_scenarios(line(), [("withdrawal", "town")], [[np.nan], [np.inf]], knowns=line_knowns())
    assert list(many.status) == [MISSING, MISSING]
    assert np.isnan(many.data["pressure"].values).all()


def test_a_valve_that_differs_is_solved_one_by_one():
    network = sr.read("two_pipes")
    given, values = table_of(network, 3, 0.1)
    pipe = str(network["pipes"].names[0])
    given = [*given, ("in_service", pipe)]
    values = np.c_[values, [1.0, 0.0, 1.0]]
    many = solve_scenarios(network, given, values)
    assert many.status[0] == SOLVED == many.status[2]
    check_against_steady(network, given[:-1], values[:, :-1], many, [0, 2])


def test_gas_and_power_together():
    network = sr.read("turkmenistan")
    given, values = table_of(network, 100, 0.2)
    many = solve_scenarios(network, given, values)
    good = [int(s) for s in np.flatnonzero(many.status == SOLVED)]
    assert len(good) > 60
    check_against_steady(network, given, values, many, good[::12])


def test_the_public_call_runs_gas_in_lanes_and_keeps_the_order():
    values = np.random.default_rng(2).uniform(20.0, 60.0, 200)
    values[[3, 150]] = 1e4, np.nan
    many = ensemble(line(), {"withdrawal@town": values}, knowns=line_knowns())
    assert list(many.failed) == [3, 150]
    assert many.dataset["status"].values[3] == "refused by physics"
    assert many.dataset["status"].values[150] == "bad input"
    for s in (0, 77, 199):
        one = sr.steady(line(), line_knowns(values[s]))
        np.testing.assert_allclose(many.dataset["pressure"].values[s], one.dataset["pressure"].values, rtol=1e-9)
    assert not fits([("in_service", "P")], None)
    assert not fits([("withdrawal", "town")], ["linepack"])
