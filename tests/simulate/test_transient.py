# SPDX-License-Identifier: Apache-2.0
"""Transient: mass, events, steps, and agreement with the steady state."""

import numpy as np
import pytest

import serai as sr
from serai.errors import BadTimes, PhysicsRefused, SeraiError
from serai.known import Known, Series, at, seconds
from serai.simulate.transient import clock, transient
from simulate.small import GRID, electric_station, line, line_knowns, station


def test_nothing_changes_when_nothing_is_changed():
    day = transient(line(), hours=6, step="30min", knowns=line_knowns())
    assert day.dataset.sizes["time"] == 13
    np.testing.assert_allclose(day.pressure["B"], float(day.pressure["B"][0]), rtol=1e-9)
    assert day.dataset.attrs["ledger_error"] < 1e-12


def test_a_long_wait_ends_in_the_steady_state():
    day = transient(
        line(), hours=72, step="1h", knowns=line_knowns(50.0), events=[at("01:00", Known("withdrawal", "town", 60.0))]
    )
    then = sr.steady(line(), line_knowns(60.0), cell=10e3)
    assert float(day.pressure["B"][-1]) == pytest.approx(float(then.pressure["B"]), rel=1e-6)
    assert float(day.flow["P"][-1]) == pytest.approx(60.0, rel=1e-5)


def test_the_ledger_closes():
    times = tuple(3600.0 * k for k in range(25))
    values = tuple(50.0 + 15.0 * np.sin(k / 3.0) for k in range(25))
    knowns = [line_knowns()[0], Series("withdrawal", "town", times, values)]
    for accuracy in (None, 500.0):
        day = transient(line(), hours=24, step="30min", knowns=knowns, accuracy=accuracy)
        assert day.dataset.attrs["ledger_error"] < 1e-10
        d = day.dataset
        change = d["linepack_total"][-1] - d["linepack_total"][0]
        gained = d["supplied_total"][-1] - d["delivered_total"][-1] - d["burnt_total"][-1]
        assert float(change) == pytest.approx(float(gained), rel=1e-9, abs=1e-3)
        assert day.mismatch < 1e-9


def test_adaptive_steps_come_closer_to_fine_steps_than_coarse_ones():
    event = [at("01:00", Known("withdrawal", "town", 70.0))]

    def pressure(step, accuracy=None):
        day = transient(line(), hours=4, step=step, knowns=line_knowns(), events=event, accuracy=accuracy)
        return day.pressure["B"].values[:: len(day.dataset.time) // 4], day.dataset.attrs["steps"]

    (fine, _), (coarse, n), (adaptive, m) = pressure("30s"), pressure("1h"), pressure("1h", 2e3)
    assert np.abs(adaptive - fine).max() < 0.3 * np.abs(coarse - fine).max()
    assert n == 4
    assert 4 < m < 400


def test_an_event_between_results_starts_at_its_moment():
    event = [at(1000.0, Known("withdrawal", "town", 0.0))]
    day = transient(line(), hours=1, step="30min", knowns=line_knowns(), events=event)
    gone = float(day.dataset["delivered_total"][-1])
    assert gone == pytest.approx(50.0 * 1000.0, rel=1e-9)


def test_losing_the_supply_of_a_drive_in_the_middle_of_the_day():
    knowns = [*GRID, Known("pressure", "field", 60e5), Known("withdrawal", "town", 30.0), Known("ratio", "CS", 1.4)]
    day = transient(
        electric_station(),
        hours=4,
        step="30min",
        knowns=knowns,
        events=[at("01:00", Known("in_service", "L", 0.0)), at("02:00", Known("in_service", "L", 1.0))],
    )
    r = day.ratio["CS"].values
    assert r[2] == pytest.approx(1.4)
    assert r[3] == pytest.approx(1.0)
    assert r[-1] == pytest.approx(1.4)
    assert ("CS", "bypassed: its motor has no supply, bus 2 is dead") in day.notes
    assert day.dataset.attrs["ledger_error"] < 1e-10
    assert np.isnan(day.magnitude["bus 2"].values[3])


def test_a_field_lost_for_good_lives_on_linepack_until_it_is_gone():
    events = [at("01:00", Known("supply", "field", 0.0))]
    with pytest.raises(PhysicsRefused, match=r"at \d\d:\d\d.*below zero"):
        transient(line(), hours=48, step="15min", knowns=line_knowns(), events=events)
    short = transient(line(), hours=2, step="15min", knowns=line_knowns(), events=events)
    p = short.pressure["A"].values
    assert p[-1] < p[4]
    assert short.dataset.attrs["ledger_error"] < 1e-10


def test_modes_are_told_with_their_time():
    knowns = [Known("pressure", "field", 60e5), Known("withdrawal", "town", 30.0), Known("outlet_pressure", "CS", 70e5)]
    day = transient(
        station(ratio_max=1.25),
        hours=6,
        step="30min",
        knowns=knowns,
        events=[at("02:00", Known("withdrawal", "town", 60.0))],
    )
    assert any(name == "CS" and mode == "largest ratio" and 7200.0 < t <= 6 * 3600.0 for t, name, mode in day.modes)


def test_times_that_do_not_fit():
    with pytest.raises(BadTimes, match="whole number of steps"):
        transient(line(), hours=1, step="25min", knowns=line_knowns())
    with pytest.raises(BadTimes, match="must be above 0"):
        transient(line(), hours=1, step=0.0, knowns=line_knowns())
    with pytest.raises(BadTimes, match="lies outside"):
        transient(line(), hours=1, knowns=line_knowns(), events=[at("02:00", Known("withdrawal", "town", 1.0))])
    with pytest.raises(BadTimes, match="is no time"):
        seconds("soon")
    with pytest.raises(SeraiError, match="times that rise"):
        Series("withdrawal", "town", (0.0, 0.0), (1.0, 2.0))


def test_how_times_are_written():
    assert (seconds("06:30"), seconds("90min"), seconds("1.5h"), seconds("30s"), seconds(7)) == (
        23400,
        5400,
        5400,
        30,
        7,
    )
    assert (clock(23400.0), clock(61.0)) == ("06:30", "00:01:01")
    series = Series("withdrawal", "town", (0.0, 10.0), (1.0, 3.0))
    assert [series.at(t).value for t in (-1.0, 5.0, 99.0)] == [1.0, 2.0, 3.0]


def test_progress_is_told():
    told = []
    transient(line(), hours=1, step="30min", knowns=line_knowns(), progress=told.append)
    assert told == [0.5, 1.0]


def test_a_station_told_a_lower_ratio_rests_until_its_outlet_has_fallen_and_then_runs_again():
    """Truth: a station that would hold more than is there has to run: closed is for p2 >= ratio x p1 only."""
    net = sr.read("loop_with_station")
    lower = sr.at("10min", sr.Known("ratio", "Station", 1.3))
    day = sr.transient(net, hours=2.0, step="60s", events=[lower])
    flow, ratio = day.flow["Station"].values, day.ratio["Station"].values
    assert flow[11:].min() == pytest.approx(0.0, abs=1e-6)
    assert (ratio >= 1.3 - 1e-6).all()
    assert ratio[-1] == pytest.approx(1.3)
    assert flow[-1] > 100.0
