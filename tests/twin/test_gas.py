# SPDX-License-Identifier: Apache-2.0
"""What the gas filter is read as: values of elements, predictions by the exact laws, standard deviations."""

import numpy as np
import pytest

import serai as sr
from serai.estimate.moving import Meter, Moving
from serai.simulate.measured import measured
from serai.twin.figures import Figures
from serai.twin.gas import GasSight

USUAL = {("supply", "Field supply"): 70.0, ("withdrawal", "Town A gas"): 40.0, ("withdrawal", "Town B gas"): 30.0}
PRESSURES = {"Field": 60e5, "Town A": 53.78e5, "Town B": 49.73e5}
T = 1.8e9


def followed(scans=300, seed=1):
    """A filter over two pipes that has followed exact flows and pressures with noise."""
    net = sr.read("two_pipes")
    meters = [Meter(f"{w} FT", q, w, sigma=0.05, share=0.0, bias=0.001) for q, w in USUAL]
    meters += [Meter(f"{n} PT", "pressure", n, sigma=3e3, share=0.0, bias=1e3) for n in PRESSURES]
    moving = Moving(net, USUAL, PRESSURES, given=meters, cell=10e3)
    random, x = np.random.default_rng(seed), moving.state.x
    for _ in range(scans):
        flows = np.array([70.0 + 2e-5 * (60e5 - moving.pipes.pressures(x)[0]), 40.0, 30.0])
        x = moving.pipes.step(x, flows, moving.pipes.efficiency)
        exact = np.concatenate([flows, moving.pipes.pressures(x)[:3]])
        moving.scan(exact + moving.layout.noise * random.standard_normal(6))
    return net, moving, x


@pytest.fixture(scope="module")
def line():
    return followed()


def test_pressures_flows_and_linepack_are_those_of_the_steady_state(line):
    net, moving, x = line
    truth, sight = sr.steady(net), GasSight(moving)
    seen = sight.see(T)
    for (quantity, where), k in sight.place.items():
        exact = float(measured(truth, quantity, where))
        assert abs(seen.values[k] - exact) < 5.0 * seen.sigma[k] + 0.002 * abs(exact), (quantity, where)
    true = sight._packed(x)[0]  # of the state that was read
    assert abs(seen.linepack[0] - true) < 5.0 * seen.linepack_sigma
    assert true == pytest.approx(float(truth.dataset.linepack.sum()), rel=0.005)


def test_the_standard_deviation_of_linepack_is_that_of_many_draws(line):
    _, moving, _ = line
    sight = GasSight(moving)
    seen, P, lo = sight.see(T), sight.covariance(), moving.layout
    draws = np.random.default_rng(2).multivariate_normal(np.zeros(lo.size), (P + P.T) / 2.0, 4000, method="eigh")
    pipes, s = moving.pipes, moving.state
    packed = [sight._packed(pipes.put(s.x, pipes.pressures(s.x) + d[lo.p]))[0] for d in draws]
    assert np.std(packed) == pytest.approx(seen.linepack_sigma, rel=0.05)
    home = {("withdrawal", "Town A gas"): 1.0, ("withdrawal", "Town B gas"): 1.0}
    at = [sight.place[k] - pipes.shown for k in home]
    assert np.std(draws[:, lo.u][:, at].sum(1)) == pytest.approx(sight.sum_sigma(home), rel=0.05)


def test_between_scans_it_goes_to_the_filters_own_forecast(line):
    _, moving, _ = line
    sight = GasSight(moving)
    seen = sight.see(T)
    x, _ = moving.forecast()
    shown = moving.pipes.shown
    assert np.allclose(seen.at(T + sight.scan, sight.scan)[:shown], moving.pipes.pressures(x)[:shown], rtol=1e-12)
    assert np.allclose(seen.at(T, sight.scan), seen.values)
    middle = seen.at(T + sight.scan / 2.0, sight.scan)
    assert np.allclose(middle, (seen.values + seen.after) / 2.0)


def test_without_readings_it_is_carried_on_by_the_laws_and_soon_says_no_sigma(line):
    _, moving, _ = line
    sight = GasSight(moving)
    seen = sight.see(T)
    before = moving.state
    x = seen.x
    for k in range(1, 4):
        seen = sight.further(seen)
        x_next = moving.pipes.step(x, before.u, before.e)
        assert (seen.steps, seen.time) == (k, T + k * sight.scan)
        assert np.allclose(seen.x, x_next, rtol=1e-10)
        x = x_next
    assert np.isnan(seen.sigma).all()
    assert moving.state is before  # the filter itself was not moved


def test_figures_of_gas(line):
    net, moving, _ = line
    sight = GasSight(moving)
    figures = Figures(net, sight, None)
    assert np.isnan(figures.trend())
    for k in range(30):
        seen = sight.see(T + 60.0 * k)
        figures.remember(seen)
    found = figures.of_gas(seen, seen.time)
    assert found["home_gas"][0] == pytest.approx(70.0, abs=5.0 * found["home_gas"][1] + 0.1)
    assert found["linepack"][1] > 0.0
    assert np.isnan(found["export"][0])  # nothing leaves the country here
    assert abs(figures.trend()) < 1e-6
