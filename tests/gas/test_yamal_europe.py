# SPDX-License-Identifier: Apache-2.0
"""Yamal-Europe, 122 km over 24 hours, against the outlet pressure that GasTranSim publishes (61 points).

Its params.json names no equation of state; the initial outlet pressure tells: the ideal gas gives 78.690 bar against
the published 78.689, CNGA would give 79.494.
"""

import csv
from itertools import pairwise

import numpy as np
import pytest

import serai as sr
from gas import gastransim
from serai.system import Closed, System

PARAMETERS = "params.json"


@pytest.fixture(scope="module")
def folder(data):
    return data / "gas" / "yamal-europe"


@pytest.fixture(scope="module")
def published(folder):
    with (folder / "outlet_pressure.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    times = np.array([float(r["time"]) * 3600.0 for r in rows])
    return times, np.array([float(r["outlet_pressure"]) for r in rows])


def day(folder, cell, step, **more):
    net = gastransim.network(folder, PARAMETERS, "ideal")
    return sr.transient(net, hours=24, step=step, knowns=gastransim.knowns(folder), cell=cell, **more)


def outlet(result, times):
    """Pressure at the outlet [bar] at any times [s]: straight lines between results."""
    series = result.dataset["pressure"].sel(gas_node="n2")
    return np.interp(times, series["time"].values, series.values) / 1e5


def ledger(result):
    """What the account misses, over what went through, from the results alone."""
    d = result.dataset
    supplied, delivered = float(d["supplied_total"][-1]), float(d["delivered_total"][-1])
    change = float(d["linepack_total"][-1] - d["linepack_total"][0])
    return abs(supplied - delivered - change) / supplied


def test_initial_state_tells_the_equation_of_state(folder):
    stated = gastransim.read_json(folder / "ic.json")["initial_nodal_pressure"]["2"]
    start = gastransim.at_start(gastransim.knowns(folder))
    found = {
        kind: float(sr.steady(gastransim.network(folder, PARAMETERS, kind), start).pressure["n2"])
        for kind in ("ideal", "cnga", "cnga-gastransim")
    }
    assert abs(found["ideal"] - stated) < 100.0
    assert min(abs(p - stated) for kind, p in found.items() if kind != "ideal") > 0.5e5


@pytest.mark.parametrize(("cell", "step", "allowed"), [(1e3, 60.0, 0.05), (5e3, 300.0, 0.15)])
def test_outlet_pressure_is_the_published_one(folder, published, cell, step, allowed):
    times, pressure = published
    result = day(folder, cell, step)
    error = np.abs(outlet(result, times) - pressure)
    print(
        f"cells {cell / 1e3:g} km, steps {step:g} s: largest error {error.max():.4f} bar, "
        f"rms {np.sqrt(np.mean(error**2)):.4f} bar, ledger {ledger(result):.1e}, mismatch {result.mismatch:.1e}"
    )
    assert error.max() < allowed
    assert ledger(result) < 1e-10
    assert result.dataset.attrs["ledger_error"] < 1e-10
    assert result.mismatch < 1e-9


@pytest.fixture(scope="module")
def fine(folder):
    return day(folder, 10e3, 30.0)


@pytest.mark.parametrize(("accuracy", "allowed"), [(2e3, 0.08), (500.0, 0.04)])
def test_adaptive_steps_close_the_ledger(folder, fine, accuracy, allowed):
    result = day(folder, 10e3, 1200.0, accuracy=accuracy)
    at = result.dataset["time"].values
    error = np.abs(outlet(result, at) - outlet(fine, at)).max()
    steps = result.dataset.attrs["steps"]
    print(
        f"accuracy {accuracy:g} Pa: {steps} steps, {error:.4f} bar from fixed steps of 30 s, "
        f"ledger {ledger(result):.1e}"
    )
    assert ledger(result) < 1e-10
    assert error < allowed
    assert steps < 86400 / 30 / 4


def test_tighter_accuracy_takes_more_steps(folder):
    few, many = (day(folder, 10e3, 3600.0, accuracy=a).dataset.attrs["steps"] for a in (2e4, 2e3))
    assert many > 1.5 * few


def test_halving_the_step_halves_the_error(folder, fine):
    """Implicit Euler is of first order; the fine run's own error is taken off by extrapolating it."""
    hours = np.arange(7, 15) * 3600.0
    exact = 2.0 * outlet(fine, hours) - outlet(day(folder, 10e3, 60.0), hours)
    errors = [np.abs(outlet(day(folder, 10e3, step), hours) - exact).max() for step in (1200.0, 600.0, 300.0)]
    print("errors [bar] at steps of 1200, 600, 300 s:", np.round(errors, 5))
    for coarse, finer in pairwise(errors):
        assert 1.8 < coarse / finer < 2.2


def test_cells_converge_to_the_exact_steady_profile(folder):
    """A steady pipe is exact whatever its cells: cutting it moves nothing."""
    start = gastransim.at_start(gastransim.knowns(folder))
    net = gastransim.network(folder, PARAMETERS, "cnga-gastransim")
    whole, cut = (float(sr.steady(net, start, cell=c).pressure["n2"]) for c in (None, 1e3))
    assert cut == pytest.approx(whole, rel=1e-12)


def test_a_step_without_end_is_the_steady_state(folder):
    """One implicit step of 1e12 s from another state gives the steady state: it is the same residual."""
    net = gastransim.network(folder, PARAMETERS, "cnga-gastransim")
    start = gastransim.at_start(gastransim.knowns(folder))
    later = [sr.Known(k.quantity, k.where, 1.3 * k.value if k.quantity == "withdrawal" else k.value) for k in start]
    before, after = sr.steady(net, start, cell=10e3), sr.steady(net, later, cell=10e3)

    from serai.simulate.transient import set_step

    system = System(net, start, cell=10e3)
    x = Closed(system, system.fix()).solve(cold=True).x
    system.take(later)
    closed = Closed(system, system.fix(), transient=True)
    closed.x[:] = x
    closed.set_known(system.fix())
    set_step(system, x, 1e12)
    closed.solve()
    outlet_column = system.equations.columns.find("pressure", "n2")
    assert x[outlet_column] == pytest.approx(float(before.pressure["n2"]), rel=1e-12)
    assert closed.x[outlet_column] == pytest.approx(float(after.pressure["n2"]), abs=0.1)


def test_a_long_run_comes_to_rest_at_the_steady_state(folder):
    net = gastransim.network(folder, PARAMETERS, "ideal")
    start = gastransim.at_start(gastransim.knowns(folder))
    more = sr.Known("withdrawal", "n2", 500.0)
    late = sr.transient(net, hours=96, step="1h", knowns=start, events=[sr.at("1h", more)], cell=10e3)
    rest = sr.steady(net, [*start, more], cell=10e3)
    assert float(late.pressure["n2"][-1]) == pytest.approx(float(rest.pressure["n2"]), abs=1.0)
    assert ledger(late) < 1e-10
