# SPDX-License-Identifier: Apache-2.0
"""Ensembles of grids: every scenario equals `steady`; bad ones are named and leave the others alone."""

import multiprocessing
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import pandas as pd
import pytest

from power.pandapower_arrays import file_of
from serai.errors import SeraiError, UnknownName
from serai.known import Known
from serai.network import read
from serai.simulate import ensemble as module
from serai.simulate.ensemble import Ensemble, ensemble
from serai.simulate.steady import steady


@pytest.fixture(scope="module")
def network():
    return read(file_of("case14"))


@pytest.fixture(scope="module")
def loads(network):
    return [k for k in network.knowns() if network.kind_of(k.where) == "loads"]


def spread(loads, count, sigma=0.1, seed=0):
    base = np.array([k.value for k in loads])
    values = base * (1.0 + sigma * np.random.default_rng(seed).standard_normal((count, len(base))))
    return pd.DataFrame(values, columns=[f"{k.quantity}@{k.where}" for k in loads])


def alone(network, table, s, **options):
    knowns = [Known(*name.split("@"), float(v)) for name, v in table.iloc[s].items()]
    return steady(network, knowns, **options)


def assert_same(many, s, one, atol=1e-9):
    for name in ("magnitude", "angle"):
        np.testing.assert_allclose(many.dataset[name].values[s], one.dataset[name].values, atol=atol)


@pytest.mark.parametrize("q_limits", [True, False])
def test_every_scenario_equals_steady(network, loads, q_limits):
    table = spread(loads, 21, sigma=0.25)
    prepared = Ensemble(network, q_limits=q_limits)
    many = prepared.run(table)
    assert prepared.reason_for_slow == ""
    assert not many.failed
    assert many.mismatch.max() <= 2e-8
    assert many.magnitude.dims == ("scenario", "bus")
    for s in range(21):
        assert_same(many, s, alone(network, table, s, q_limits=q_limits))


def test_reactive_limits_are_reached_and_left_by_lane():
    network = read(file_of("case118"))
    loads = [k for k in network.knowns() if network.kind_of(k.where) == "loads"]
    table = spread(loads, 16, sigma=0.15)
    table *= np.linspace(0.7, 1.1, 16)[:, None]
    many = Ensemble(network).run(table)
    assert not many.failed
    sides = set()
    for s in range(0, 16, 3):
        one = alone(network, table, s)
        sides.add(frozenset(one.modes))
        assert_same(many, s, one)
    assert len(sides) > 1


def test_columns_of_every_kind_that_the_kernel_takes(network):
    rng = np.random.default_rng(4)
    generator = [k for k in network.knowns() if network.kind_of(k.where) == "generators"]
    held = next(k for k in generator if k.quantity == "magnitude" and k.where != "generator 1")
    made = next(k for k in generator if k.quantity == "active_power" and k.where != "generator 1")
    table = {
        (held.quantity, held.where): held.value * rng.uniform(0.98, 1.02, 9),
        (made.quantity, made.where): made.value * rng.uniform(0.5, 1.5, 9),
        ("active_withdrawal", "bus 9"): rng.uniform(-5e6, 5e6, 9),
        ("in_service", "branch 3"): np.array([1, 0, 1, 1, 0, 1, 1, 1, 0.0]),
        "reactive_power@load 4": rng.uniform(-4e6, 4e6, 9),
    }
    prepared = Ensemble(network)
    many = prepared.run(table)
    assert prepared.reason_for_slow == ""
    assert not many.failed
    header = [x if isinstance(x, tuple) else tuple(x.split("@")) for x in table]
    for s in range(9):
        one = steady(network, [Known(q, w, float(v[s])) for (q, w), v in zip(header, table.values(), strict=True)])
        assert_same(many, s, one)


def test_every_outage_equals_steady_and_islands_are_dead(network):
    many = Ensemble(network).lose()
    assert len(many.dataset.scenario) == 20
    assert many.status.values[13] == "solved"  # branch 14 holds bus 8 alone
    assert np.isnan(many.magnitude.sel(scenario="branch 14", bus="bus 8"))
    for name in ("branch 2", "branch 5", "branch 14", "branch 20"):
        one = steady(network, [Known("in_service", name, 0.0)])
        ours = many.dataset.sel(scenario=name)
        np.testing.assert_allclose(ours["magnitude"].values, one.dataset["magnitude"].values, atol=1e-9)
        np.testing.assert_allclose(ours["angle"].values, one.dataset["angle"].values, atol=1e-9)
    with pytest.raises(UnknownName, match="no line"):
        Ensemble(network).lose(["bus 1"])


def test_bad_scenarios_are_named_and_the_others_are_right(network, loads):
    table = spread(loads, 40)
    good = Ensemble(network).run(table)
    bad = table.copy()
    bad.index = [f"case {k}" for k in range(40)]
    bad.iloc[3, 2] = np.nan
    bad.iloc[11] *= 40.0
    bad.iloc[12, 0] = np.inf
    bad.iloc[25] *= -300.0
    many = Ensemble(network).run(bad)
    assert list(many.failed) == ["case 3", "case 11", "case 12", "case 25"]
    assert many.failed["case 3"] == f"bad input: {table.columns[2]} is nan"
    assert many.failed["case 12"] == f"bad input: {table.columns[0]} is inf"
    assert many.status.values[[3, 11, 12, 25]].tolist() == ["bad input", "no answer", "bad input", "no answer"]
    others = np.setdiff1d(np.arange(40), [3, 11, 12, 25])
    np.testing.assert_allclose(many.magnitude.values[others], good.magnitude.values[others], atol=1e-9)
    assert np.isnan(many.magnitude.values[[3, 11, 12, 25]]).all()
    assert "36 of 40" in repr(many)


def test_values_that_leave_no_trace_in_the_voltages_are_checked(network):
    table = {("in_service", "branch 3"): [1.0, 0.5, np.nan], "magnitude@generator 2": [1.0, 1.0, -1.0]}
    many = Ensemble(network).run(table)
    assert many.status.values.tolist() == ["solved", "bad input", "bad input"]


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"active_power@load 99": [1.0]}, "load 99"),
        ({"pressure@load 2": [1.0]}, "pressure"),
        ({"active_power": [1.0]}, "quantity@element"),
        ({3: [1.0]}, "quantity@element"),
        ({"active_power@load 2": [1.0], "active_power@load 3": [1.0, 2.0]}, "equally long"),
        ({"active_power@load 2": [1.0], ("active_power", "load 2"): [1.0]}, "twice"),
        ((["active_power@load 2"], np.ones((3, 2))), "shape"),
        (pd.DataFrame({"active_power@load 2": ["much"]}), "active_power@load 2"),
        (7, "DataFrame"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(network, table, says):
    with pytest.raises(SeraiError, match=says):
        Ensemble(network).run(table)


def test_what_no_kernel_takes_is_solved_one_by_one(network, loads):
    table = spread(loads, 3)
    fast = Ensemble(network).run(table)
    slow = Ensemble(network, outputs=("magnitude", "loading"))
    many = slow.run(table)
    assert "kernel" in slow.reason_for_slow
    assert set(many.dataset.data_vars) == {"magnitude", "loading", "status", "mismatch", "iterations"}
    np.testing.assert_allclose(many.magnitude.values, fast.magnitude.values, atol=1e-9)
    table.iloc[1, 0] = np.nan
    table.iloc[2] *= 100.0
    many = slow.run(table)
    assert many.status.values.tolist() == ["solved", "bad input", "no answer"]
    turned = next(k for k in network.knowns() if k.quantity == "angle")
    angles = Ensemble(network).run({("angle", turned.where): [0.0, 0.1]})
    np.testing.assert_allclose(np.diff(angles.angle.values, axis=0), 0.1, atol=1e-9)


def test_gas_and_coupled_networks_go_through_the_same_call():
    network = read("four_buses")
    base = steady(network)
    k = next(k for k in network.knowns() if k.quantity == "active_power" and network.kind_of(k.where) == "loads")
    many = ensemble(network, {(k.quantity, k.where): [k.value, 1.01 * k.value]})
    assert not many.failed
    np.testing.assert_allclose(many.pressure.values[0], base.pressure.values, rtol=1e-9)
    assert many.pressure.dims == ("scenario", "gas_node")
    closed = ensemble(network, {("in_service", k.where): [1.0, 0.0, 0.5]})
    assert closed.status.values.tolist() == ["solved", "solved", "bad input"]


def test_room_is_used_again(network, loads):
    prepared = Ensemble(network)
    first = prepared.run(spread(loads, 16))
    memory = first.found.room.magnitude.ctypes.data
    second = prepared.run(spread(loads, 16, seed=1), into=first)
    assert second.found.room.magnitude.ctypes.data == memory
    fresh = prepared.run(spread(loads, 16, seed=1))
    np.testing.assert_array_equal(second.magnitude.values, fresh.magnitude.values)


def test_parts_on_disk_are_whole_resumed_and_in_order(network, loads, tmp_path):
    table = spread(loads, 50)
    table.iloc[33, 1] = np.nan
    seen = []
    many = ensemble(network, table, to=tmp_path, chunk=20, progress=seen.append)
    assert seen == [0.4, 0.8, 1.0]
    assert list(many.failed) == [33]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["index.json", *(f"part-00000{k}.nc" for k in range(3))]
    stamps = [p.stat().st_mtime_ns for p in sorted(tmp_path.glob("*.nc"))]
    (tmp_path / "part-000001.nc").unlink()
    again = ensemble(network, (table.iloc[k : k + 20] for k in range(0, 50, 20)), to=tmp_path, chunk=20)
    after = [p.stat().st_mtime_ns for p in sorted(tmp_path.glob("*.nc"))]
    assert [a == b for a, b in zip(stamps, after, strict=True)] == [True, False, True]
    assert again.dataset.identical(many.dataset)
    with pytest.raises(SeraiError, match="another ensemble"):
        ensemble(network, table, to=tmp_path, chunk=25)


class Unreliable:
    """An executor that loses every second piece."""

    def __init__(self):
        self.count = 0

    def submit(self, work, piece):
        self.count += 1
        future = Future()
        if self.count % 2:
            future.set_exception(BrokenProcessPool("killed"))
        else:
            future.set_result(work(piece))
        return future


def test_a_lost_worker_loses_no_scenario(network, loads, monkeypatch):
    table = spread(loads, 30)
    expected = Ensemble(network).run(table)
    executor = Unreliable()
    many = ensemble(network, table, executor=executor, chunk=8)
    assert executor.count == 4
    assert not many.failed
    np.testing.assert_allclose(many.magnitude.values, expected.magnitude.values, atol=1e-9)
    assert module._PREPARED.ensemble.network is network  # prepared once, for the next piece


def test_two_spawned_workers_give_the_same(network, loads):
    table = spread(loads, 20)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        many = ensemble(network, table, executor=pool, chunk=10)
    np.testing.assert_allclose(many.magnitude.values, Ensemble(network).run(table).magnitude.values, atol=1e-9)
