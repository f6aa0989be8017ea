# SPDX-License-Identifier: Apache-2.0
"""The laws over moments: slopes against differences, states against `steady` and `transient`."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import serai as sr
from serai.dispatch.choices import BY_FLOW, choices, controls, released, without
from serai.dispatch.horizon import Horizon
from serai.dispatch.limits import linepack_kept, loading, ramps
from serai.errors import NotClosed
from serai.simulate.certificate import stored
from serai.simulate.steady import Run
from serai.system import System, override

GAS = ("stations", "control valves")


def horizon(net, moments=1, groups=GAS):
    """Return a horizon of the case's own set-points and the states that it gives."""
    own = net.knowns(0.0)
    system = System(net, own)
    x = Run(system).solve(cold=True).x
    chosen = choices(system, released(net, own, groups), hold=BY_FLOW if moments > 1 else {"compressors": "ratio"})
    fixed = []
    for t in range(moments):
        system.take(net.knowns(t + 1.0 if moments > 1 else 0.0))
        fixed.append(without(system, system.fix(), chosen))
    more = {"step": 3600.0, "before": x} if moments > 1 else {}
    made = Horizon(system, fixed, controls(chosen), **more)
    return made, made.settle(made.states(x)), x


@pytest.fixture(scope="module", params=[1, 3])
def country(request):
    return horizon(sr.read("turkmenistan"), request.param)


def moved(h, X, move):
    """Return the states that lie a move (N,) of the free columns away."""
    Y = X.copy()
    y = h.y(X[:, h.free], h.free) + move.reshape(h.moments, h.n)
    Y[:, h.free] = h.x(y, h.free)
    return Y


def differences(h, X, function, direction, size=1e-6):
    return (function(moved(h, X, size * direction)) - function(moved(h, X, -size * direction))) / (2.0 * size)


def test_slopes_of_the_laws_are_those_of_differences(country):
    h, X, _ = country
    direction = np.random.default_rng(1).normal(size=h.n * h.moments)
    residual, A = h.laws(X)
    assert np.abs(residual).max() < 1e-9
    found, truth = A @ direction, differences(h, X, lambda Y: h.laws(Y)[0], direction)
    assert np.abs(found - truth).max() < 1e-7 * np.abs(truth).max()


def test_slopes_of_rows_are_those_of_differences(country):
    h, X, x = country
    direction = np.random.default_rng(2).normal(size=h.n * h.moments)
    column = h.controls[0]
    rows = [loading(h), loading(h, of="apparent power")]
    if h.moments > 1:
        rows += [linepack_kept(h, float(stored(h.system, x).sum())), ramps(h, {column: (0.1, ("ratio", "one"))})]
    for row in rows:
        values, G = row.at(X)
        truth = differences(h, X, lambda Y, row=row: row.at(Y)[0], direction)
        assert len(values) == len(row.names) == len(row.low)
        assert np.abs(G @ direction - truth).max() < 1e-6 * np.abs(truth).max()


def test_loading_is_that_of_the_result():
    net = sr.read("turkmenistan")
    h, X, _ = horizon(net)
    result = sr.steady(net, hour=0.0)
    values = loading(h).at(X)[0].reshape(2, -1).max(axis=0)
    names = [n for _, n in loading(h).names[: len(values)]]
    assert values == pytest.approx([float(result.loading[n]) for n in names], rel=1e-7)


def test_a_settled_day_is_the_transient_one():
    """Station ratios of the case's own, a town that asks for more hour after hour, inertia and linepack."""
    net = sr.read("loop_with_station")
    more = [sr.Known("withdrawal", "Town A gas", 60.0 + 10.0 * t) for t in range(4)]
    own = [override(net, net.knowns(), [k]) for k in more]
    system = System(net, own[0])
    x = Run(system).solve(cold=True).x
    chosen = choices(system, released(net, own[0], GAS))
    fixed = []
    for now in own[1:]:
        system.take(now)
        fixed.append(without(system, system.fix(), chosen))
    h = Horizon(system, fixed, controls(chosen), step=3600.0, before=x)
    X = h.settle(h.states(x))
    growing = sr.Series("withdrawal", "Town A gas", (0.0, 10800.0), (60.0, 90.0))
    day = sr.transient(net, hours=3, step="1h", cell=1e9, knowns=[growing])
    p, m = (system.equations.columns[q].span for q in ("pressure", "flow"))
    assert X[:, p] == pytest.approx(day.pressure.values[1:], rel=1e-9)
    truth = day.flow.sel(gas_branch=list(system.equations.columns["flow"].names)).values[1:]
    assert X[:, m] == pytest.approx(truth, abs=1e-6)


@given(st.lists(st.floats(-2e7, 2e7), min_size=1, max_size=5))
def test_coordinates_go_there_and_back(pressures):
    h = LOOP[0]
    column = h.system.equations.columns["pressure"].first
    p = np.array(pressures)
    back = np.array([float(h.x(h.y(np.array([v]), np.array([column])), np.array([column]))[0]) for v in p])
    assert back == pytest.approx(p, rel=1e-12, abs=1e-6)


def test_too_few_controls_are_refused_by_name():
    net = sr.read("loop_with_station")
    system = System(net, net.knowns())
    fixed = without(system, system.fix(), choices(system, released(net, net.knowns(), GAS)))
    with pytest.raises(NotClosed, match="Station"):
        Horizon(system, [fixed], [])


LOOP = horizon(sr.read("loop_with_station"))
