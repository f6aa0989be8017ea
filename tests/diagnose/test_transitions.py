# SPDX-License-Identifier: Apache-2.0
"""Stations that start, stop and ride down: what they do by themselves is nothing wrong, and what is wrong stays told.

The truth is solved by `steady` for every scan, with the efficiency of the station 1.5 % off.
"""

import numpy as np
import pytest

import serai as sr
from estimate.moving_line import case
from serai.diagnose import diagnose
from serai.diagnose.course import Course
from serai.diagnose.instant import instant, meters, start
from serai.estimate import Estimator
from serai.estimate.given import Given
from serai.known import Known
from serai.network import table
from serai.network.instruments import instruments
from serai.simulate.measured import measured
from serai.telemetry.readings import Readings, Register

START = 1_800_000_000.0
CALM, RIDE, REST = 15, 6, 12  # scans at full load, down to nearly nothing, and there
METERS = {"CS PT in": ("inlet_pressure", 3e3, 0.0), "CS PT out": ("outlet_pressure", 3e3, 0.0),
          "CS FT": ("flow", 0.05, 0.0075), "CS JT": ("power", 1e4, 0.01)}  # fmt: skip


@pytest.fixture(scope="module")
def line():
    """The line whose station is metered like those of the country: its laws are tested scan by scan."""
    rows = [{"name": tag, "quantity": q, "where": "CS", "unit": {"inlet_pressure": "pa", "outlet_pressure": "pa",
             "flow": "kg_per_s", "power": "w"}[q], "sigma": s, "sigma_of_reading": r, "scan": 60.0}
            for tag, (q, s, r) in METERS.items()]  # fmt: skip
    return case().with_tables(instruments=table("instruments", rows))


def shown(export, *more):
    return [Known("pressure", "field", 65e5), Known("withdrawal", "town", 0.2 * export),
            Known("withdrawal", "export", 0.8 * export), *(more or [Known("outlet_pressure", "CS", 67e5)])]  # fmt: skip


def exact(line, loads):
    t = line["compressors"]
    true = line.with_tables(compressors=t.replace(efficiency=0.985 * t["efficiency"]))
    states = {w: sr.steady(true, shown(w)) for w in set(loads)}
    return np.array([[float(measured(states[w], i.quantity, i.where)) for i in instruments(line)] for w in loads])


@pytest.fixture(scope="module")
def ridden(line):
    """Readings (n_scan, 4) of a station that rides from 200 kg/s down to 4."""
    loads = [200.0] * CALM + np.linspace(200.0, 4.0, RIDE + 1)[1:].tolist() + [4.0] * REST
    true, r = exact(line, loads), np.random.default_rng(4)
    sigma = np.array([np.hypot(s, q * np.abs(true[:, k])) for k, (_, s, q) in enumerate(METERS.values())]).T
    return true + 0.44 * sigma * r.standard_normal(true.shape)


def followed(line, z, given=None):
    course, told = Course(line, shown=shown(200.0)), {}
    register = Register(tuple(METERS))
    for k, row in enumerate(z):
        t = START + 60.0 * k
        rows = [(tag, t, float(v), 0, t) for tag, v in zip(METERS, row, strict=True)]
        for x in course.scan(Readings.of(register, rows), given(k) if given else None):
            told.setdefault(x.number, x)
    return [x for x in told.values() if x.source == "scan"]


def test_a_station_that_rides_down_is_nothing_wrong(line, ridden):
    """The mean of ten scans that ride from full load to none has the sigma of that mean, and that of its motion."""
    assert followed(line, ridden) == []


def test_a_meter_of_power_that_is_wrong_before_it_rides_down_is_told(line, ridden):
    z = ridden.copy()
    z[8:, 3] *= 1.3
    (first, *_) = followed(line, z)
    assert "CS JT" in first.where
    assert first.told < START + 60.0 * CALM


def test_an_order_that_comes_true_within_the_minute_is_nothing_wrong_and_no_offset(line, ridden):
    """Scans of before that are judged with what is shown after: none of them is learned from, nor averaged."""
    calm = ridden[:CALM]
    bypass = sr.steady(line, shown(200.0, Known("open", "CS", 1.0)))
    after = np.array([[float(measured(bypass, i.quantity, i.where)) for i in instruments(line)]])
    r = np.random.default_rng(5)
    after = after + np.array([3e3, 3e3, 1.5, 1e4]) * 0.44 * r.standard_normal((25, 4))
    stop = shown(200.0, Known("open", "CS", 1.0))
    for early in (0, 1):
        told = followed(line, np.vstack([calm, after]), lambda k, e=early: stop if k >= CALM - e else shown(200.0))
        assert told == []


def test_a_station_that_stops_though_nobody_said_so_is_told(line, ridden):
    bypass = sr.steady(line, shown(200.0, Known("open", "CS", 1.0)))
    after = np.array([[float(measured(bypass, i.quantity, i.where)) for i in instruments(line)]] * 8)
    told = followed(line, np.vstack([ridden[:CALM], after]))
    assert any("CS" in x.where for x in told)
    assert min(x.told for x in told) <= START + 60.0 * (CALM + 3)


def held(line, inlet, outlet, flow, command):
    """Return the departures of one scan of the station alone."""
    bare = instant(line)
    own = meters(bare)
    values = {"inlet_pressure": (inlet, 3e3), "outlet_pressure": (outlet, 3e3), "flow": (flow, 0.2)}
    told = [m for m in own if m.quantity in values and m.where == "CS"]
    z, sigma = zip(*(values[m.quantity] for m in told), strict=True)
    begin = start(bare, [Known("outlet_pressure", "CS", 67e5)], {"B": inlet, "C": outlet})
    kept = Estimator(bare, own, setpoints=begin, units=False)
    scan = Given(told, list(z), list(sigma), [START] * len(told))
    return diagnose(bare, scan, commands=[command], estimator=kept).commands


@pytest.mark.parametrize(
    ("inlet", "outlet", "flow", "told"),
    [
        (55e5, 70e5, 0.1, False),  # closed: the line behind it is fuller than asked
        (70e5, 70e5, 200.0, False),  # passed by: the line before it is
        (55e5, 70e5, 200.0, True),  # it works, and for another set-point
        (55e5, 63e5, 200.0, True),  # the same below
        (55e5, 63e5, 0.1, True),  # it was stopped
    ],
)
def test_a_set_point_that_is_out_of_reach_is_no_command(line, inlet, outlet, flow, told):
    found = held(line, inlet, outlet, flow, Known("outlet_pressure", "CS", 67e5, sigma=0.005 * 67e5))
    assert bool(found) is told


def test_a_station_at_its_largest_ratio_keeps_what_it_can(line):
    t = line["compressors"]
    small = line.with_tables(compressors=t.replace(ratio_max=np.array([1.2])))
    command = Known("outlet_pressure", "CS", 67e5, sigma=0.005 * 67e5)
    assert not held(small, 50e5, 60e5, 200.0, command)
    assert held(small, 53e5, 60e5, 200.0, command)
