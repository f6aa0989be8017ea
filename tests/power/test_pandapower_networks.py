# SPDX-License-Identifier: Apache-2.0
"""pandapower's own networks, converted and solved by `steady`, equal its `runpp` to 1e-8 pu in complex voltage.

Truth: `runpp` with its default models (transformers as T, voltage angles where the network asks for them), tolerance
tightened as far as its Newton follows.
"""

import warnings

import numpy as np
import pytest

from network.test_from_pandapower import meshed, shipped
from serai.network.from_pandapower import from_pandapower
from serai.simulate.steady import steady

pytestmark = pytest.mark.filterwarnings("ignore")  # pandapower and the libraries that it reads with

SHIPPED = [
    "example_simple", "example_multivoltage", "case9", "case14", "case_ieee30", "case39", "case57", "case118",
    "case145", "case300", "case1354pegase", "create_cigre_network_hv", "create_cigre_network_mv",
    "create_cigre_network_lv", "mv_oberrhein", "iceland", "GBreducednetwork", "GBnetwork", "case33bw",
]  # fmt: skip


def theirs(net, **options):
    import pandapower

    options = {"numba": False, "lightsim2grid": False} | options
    for tolerance in (1e-11, 1e-8, 1e-6):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                pandapower.runpp(net, tolerance_mva=tolerance, **options)
            break
        except pandapower.LoadflowNotConverged:
            continue
    return net.res_bus.vm_pu.to_numpy() * np.exp(1j * np.deg2rad(net.res_bus.va_degree.to_numpy()))


def ours(net, result):
    """Our voltages in the order of pandapower's buses; nan where a bus is dead or out of service."""
    v = dict(
        zip(result.dataset.bus.values.tolist(), result.magnitude.values * np.exp(1j * result.angle.values), strict=True)
    )
    return np.array([v.get(name, np.nan) for name in result.network["buses"].names[: len(net.bus)]])


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_networks(name):
    net = shipped(name)
    result = steady(from_pandapower(net), q_limits=False)
    np.testing.assert_allclose(ours(net, result), theirs(net), rtol=0.0, atol=1e-8)
    assert result.mismatch <= 1e-9


def test_one_of_every_element():
    """Transformers of two and three windings with taps and shifts, ZIP loads, wards, shunts, impedances, a DC line."""
    net, _ = meshed()
    net.dcline.loc[0, ["vm_from_pu", "vm_to_pu"]] = 1.005, 0.995
    result = steady(from_pandapower(net), q_limits=False)
    np.testing.assert_allclose(ours(net, result), theirs(net), rtol=0.0, atol=1e-8)


def test_open_ends_couplers_and_dead_buses():
    import pandapower as pp

    net, b = meshed()
    pp.create_switch(net, b[4], 4, et="l", closed=False)  # a line that keeps its charging
    pp.create_switch(net, b[5], 0, et="t3", closed=False)
    coupled = pp.create_bus(net, 20.0)
    pp.create_load(net, coupled, 0.2, 0.1)
    pp.create_switch(net, b[9], coupled, et="b", closed=True)
    dead = pp.create_bus(net, 20.0)
    pp.create_load(net, dead, 1.0, 0.1)
    result = steady(from_pandapower(net), q_limits=False)
    reference = theirs(net)
    mine = ours(net, result)
    assert np.array_equal(np.isnan(mine), np.isnan(reference))
    np.testing.assert_allclose(mine, reference, rtol=0.0, atol=1e-8)
    assert mine[coupled] == mine[b[9]]
    assert len(result.dead) == int(np.isnan(reference).sum())


def test_three_winding_transformer_at_every_tap_side():
    net, _ = meshed()
    for side in ("hv", "mv", "lv"):
        net.trafo3w.loc[0, "tap_side"] = side
        result = steady(from_pandapower(net), q_limits=False)
        np.testing.assert_allclose(ours(net, result), theirs(net), rtol=0.0, atol=1e-8)


def test_several_external_grids_in_one_island():
    import pandapower as pp

    net = shipped("case118")
    pp.create_ext_grid(net, 40, vm_pu=1.0, va_degree=20.0)
    net.gen.loc[net.gen.bus == 40, "in_service"] = False
    result = steady(from_pandapower(net), q_limits=False)
    np.testing.assert_allclose(ours(net, result), theirs(net), rtol=0.0, atol=1e-8)


@pytest.mark.parametrize("weights", [(0.3, 0.5, 1.0, 0.2), (0.0, 0.25, 0.25, 0.5), (1.0, 0.0, 0.0, 0.0)])
def test_distributed_slack(weights):
    """P = set-point + participation x signal, as pandapower's slack_weight; the reference unit's set-point is 0."""
    import pandapower as pp

    net = shipped("case118")
    sharing = [3, 7, 20]
    net.ext_grid["slack_weight"] = weights[0]
    net.gen["slack_weight"] = 0.0
    net.gen.loc[sharing, "slack_weight"] = weights[1:]
    pp.set_user_pf_options(net, distributed_slack=True)
    result = steady(from_pandapower(net), q_limits=False, distributed=True)
    np.testing.assert_allclose(ours(net, result), theirs(net, distributed_slack=True), rtol=0.0, atol=1e-8)
    more = [float(result.active_power["ext_grid 0"])]
    more += [float(result.active_power[f"gen {k}"]) - net.gen.p_mw[k] * 1e6 for k in sharing]
    signal = sum(more) / sum(weights)
    assert more == pytest.approx([w * signal for w in weights], abs=1.0)  # W
