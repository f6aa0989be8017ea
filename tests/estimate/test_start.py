# SPDX-License-Identifier: Apache-2.0
"""Where the search begins must not matter: at the pressures that are read, or at the set-points' steady state."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.stats import chi2

import serai as sr
from gas.test_gaslib import NETS, stated
from serai.estimate import Estimator, Meter, estimate
from serai.known import Known
from serai.simulate.measured import measured


def metered(net, setpoints, seed):
    """Pressures of all nodes, flows of every second element, all supplies and withdrawals, with noise."""
    truth = sr.steady(net, setpoints)
    joining = [n for kind in ("compressors", "control_valves", "pipes") for n in net[kind].names]
    meters = [("pressure", n) for n in net["gas_nodes"].names] + [("flow", n) for n in joining[::2]]
    meters += [("supply", n) for n in net["supplies"].names] + [("withdrawal", n) for n in net["offtakes"].names]
    random, found = np.random.default_rng(seed), []
    for quantity, where in meters:
        value = float(measured(truth, quantity, where))
        sigma = 4e3 if quantity == "pressure" else 0.2 + 0.005 * abs(value)
        found.append(Known(quantity, where, value + sigma * random.standard_normal(), sigma))
    return truth, found


@pytest.mark.parametrize("name", ["GasLib-24", "GasLib-40", "GasLib-134", "GasLib-135"])
def test_a_cold_start_finds_the_same_estimate(data, name):
    file, scenario = NETS[name]
    net, setpoints = sr.read(data / "gas/gaslib" / file, scenario=scenario), stated(name)
    truth, readings = metered(net, setpoints, 0)
    warm = estimate(net, readings, setpoints=setpoints)
    cold = estimate(net, readings, exact=[k for k in setpoints if k.quantity == "open"])
    assert warm.problem.frame.steady
    assert not cold.problem.frame.steady
    assert warm.converged
    assert cold.converged, cold.reason
    assert not cold.unobservable
    assert cold.objective == pytest.approx(warm.objective, rel=1e-9)
    assert cold.chi_square > 1e-3
    unit = warm.problem.frame.system.equations.columns.scales()
    assert (np.abs(cold.x - warm.x) / unit).max() < 1e-8
    assert np.abs(cold.state.pressure - truth.pressure).max() < 6 * 4e3


@cache
def gaslib_582(folder):
    """The network, a Known for each meter as it would read without error, and the exact truth."""
    net, setpoints = sr.read(folder / "gas/gaslib" / NETS["GasLib-582"][0]), stated("GasLib-582")
    truth, noisy = metered(net, setpoints, 0)
    exact = [Known(k.quantity, k.where, float(measured(truth, k.quantity, k.where)), k.sigma) for k in noisy]
    return net, truth, exact, [k for k in setpoints if k.quantity == "open"]


def test_exact_readings_of_gaslib_582_give_the_exact_state(data):
    net, truth, exact, positions = gaslib_582(data)
    found = estimate(net, exact, exact=positions)
    assert found.converged, found.reason
    assert not found.findings
    assert not found.problem.frame.steady  # a cold start
    assert found.objective < 1e-12
    for name in ("pressure", "flow", "withdrawal", "supplied", "delivered", "ratio", "power"):
        ours, theirs = found.state.dataset[name].values, truth.dataset[name].values
        assert np.abs(ours - theirs).max() < 1e-6 * np.abs(theirs).max(), name


def test_gaslib_582_from_cold_starts_is_statistically_right(data):
    """347 of its 651 flows are below 0.5 kg/s: their pressures say little, and their signs are the noise's.

    Chi-square of the sum of J over the seeds, and of errors of what is metered: both sides at 1 in 1,000.
    """
    net, _, exact, positions = gaslib_582(data)
    value, sigma = (np.array([getattr(k, a) for k in exact]) for a in ("value", "sigma"))
    J, errors, freedoms = 0.0, [], 0
    for seed in range(6):
        z = value + sigma * np.random.default_rng(seed).standard_normal(len(value))
        found = estimate(net, [replace(k, value=v) for k, v in zip(exact, z, strict=True)], exact=positions)
        assert found.converged, found.reason
        assert found.mismatch < 1e-12
        J, freedoms = J + found.objective, freedoms + found.degrees_of_freedom
        spread = sigma**2 - found.omega
        told = spread > 1e-6 * sigma**2
        errors.append((found.estimated - value)[told] / np.sqrt(spread[told]))
    assert 0.0005 < chi2.sf(J, freedoms) < 0.9995
    assert np.mean(np.abs(np.concatenate(errors)) > 1.96) == pytest.approx(0.05, abs=0.015)


def test_what_does_not_converge_is_said():
    """A reading that no state comes near: not converged, or so bad a fit that nobody can take it for the truth."""
    net = sr.read("two_pipes")
    readings = [Known("pressure", "Field", 60e5, 5e3), Known("pressure", "Town B", 50e5, 5e3),
                Known("withdrawal", "Town A gas", 40.0, 0.3), Known("withdrawal", "Town B gas", 3e3, 0.3)]  # fmt: skip
    found = estimate(net, readings)
    assert not found.converged or found.chi_square < 1e-12
    if not found.converged:
        assert "do not use it" in str(found.findings[-1])


def test_an_estimator_goes_on_from_scan_to_scan():
    net = sr.read("two_pipes")
    meters = [Meter("pressure", "Field"), Meter("withdrawal", "Town A gas"), Meter("withdrawal", "Town B gas")]
    estimator = Estimator(net, meters)
    sigmas = (5e3, 0.3, 0.3)

    def scan(*values):
        return [Known(m.quantity, m.where, v, s) for m, v, s in zip(meters, values, sigmas, strict=True)]

    first = estimator.run(scan(61e5, 36.0, 33.0))
    near = estimator.run(scan(61.001e5, 36.002, 33.001))
    assert near.steps < first.steps
    alone = estimate(net, scan(61.001e5, 36.002, 33.001))
    assert float(near.state.pressure["Town B"]) == pytest.approx(float(alone.state.pressure["Town B"]), rel=1e-10)
    # the first estimate keeps its own factors although the matrix has been used since
    assert first.sigma("pressure", "Town B") == pytest.approx(
        estimate(net, scan(61e5, 36.0, 33.0)).sigma("pressure", "Town B"), rel=1e-9
    )
    gone = estimator.run([k for k in scan(61e5, 36.0, 33.0) if k.where != "Town B gas"])
    assert [n for _, n in gone.unobservable]
    assert gone.used.tolist() == [True, True, False]


def test_the_package_can_be_called():
    import serai.estimate

    net = sr.read("two_pipes")
    readings = [Known("pressure", "Field", 60e5, 5e3), Known("withdrawal", "Town A gas", 40.0, 0.3),
                Known("withdrawal", "Town B gas", 30.0, 0.3)]  # fmt: skip
    assert serai.estimate(net, readings).converged
