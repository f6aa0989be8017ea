# SPDX-License-Identifier: Apache-2.0
"""Dispatch over a day: the linepack as storage, confirmed by `transient`."""

import numpy as np
import pytest

import serai as sr
from serai.dispatch import dispatch


@pytest.fixture(scope="module")
def day():
    return dispatch(sr.read("loop_with_station"), hours=6, step="1h", seconds=30)


def test_a_day_is_confirmed_and_leaves_the_pipes_as_full(day):
    net = sr.read("loop_with_station")
    again = sr.transient(net, hours=6, step="1h", cell=1e9, events=day.commands)
    assert day.status == "optimal"
    assert again.mismatch < 1e-9
    assert again.breaks() == []
    assert float(again.linepack_total[-1]) >= float(day.before.linepack_total[-1]) * (1 - 1e-6)
    assert day.value == pytest.approx(float(again.fuel_total[1:].sum()) * 3600.0, rel=1e-9)


def test_storage_saves_more_than_the_best_hour_after_hour(day):
    """Constant set-points that leave the pipes as full are the case's own: the linepack must be what saves."""
    assert day.saved > 0.3 * day.value_before
    held = [float(v) for v in day.result.linepack_total]
    assert min(held) < 0.8 * held[0]


def test_free_linepack_saves_more_and_says_so(day):
    loose = dispatch(sr.read("loop_with_station"), hours=6, step="1h", seconds=30, linepack="free")
    assert loose.feasible
    assert loose.value < day.value


def test_ramps_hold(day):
    slow = dispatch(sr.read("loop_with_station"), hours=6, step="1h", seconds=30, ramps={("ratio", "Station"): 0.05})
    assert slow.feasible
    change = np.abs(np.diff(slow.result.ratio["Station"].values))
    assert change.max() <= 0.05 * (1 + 1e-5)
    assert slow.value > day.value


def test_the_table_says_before_and_after(day):
    table = day.table
    assert table.sizes == {"time": 6, "setpoint": 1}
    assert table["before"].values.ravel() == pytest.approx(1.4)
    assert table["after"].values[:, 0] == pytest.approx(day.result.ratio["Station"].values[1:], rel=1e-6)
