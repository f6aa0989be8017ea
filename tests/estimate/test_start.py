# SPDX-License-Identifier: Apache-2.0
"""Where the search begins must not matter: at the pressures that are read, or at the set-points' steady state."""

import numpy as np
import pytest

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
