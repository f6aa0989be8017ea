# SPDX-License-Identifier: Apache-2.0
"""The converted network has pandapower's own answer, found by an independent Newton on the tables."""

import warnings
from copy import deepcopy
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from network.dense_powerflow import power_flow
from serai.errors import SeraiError, Untranslated
from serai.network.branches import pi_branches
from serai.network.from_pandapower import convert_pandapower, from_pandapower

pytestmark = pytest.mark.filterwarnings("ignore")  # pandapower and the libraries that it reads with

SHIPPED = [
    "example_simple", "example_multivoltage", "case4gs", "case5", "case6ww", "case9", "case14", "case24_ieee_rts",
    "case30", "case_ieee30", "case33bw", "case39", "case57", "case89pegase", "case118", "case145",
    "case_illinois200", "case300", "case1354pegase", "create_cigre_network_hv", "create_cigre_network_mv",
    "create_cigre_network_lv", "mv_oberrhein", "four_loads_with_branches_out", "simple_mv_open_ring_net",
    "panda_four_load_branch", "simple_four_bus_system", "GBreducednetwork", "iceland",
    "kb_extrem_landnetz_freileitung", "kb_extrem_landnetz_kabel_trafo",
]  # fmt: skip


def shipped(name):
    return deepcopy(_shipped(name))


@cache  # building one takes pandapower longer than solving it
def _shipped(name):
    import pandapower.networks

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = getattr(pandapower.networks, name)()
    return net[0] if isinstance(net, tuple) else net


def solved(net, tolerance_mva=1e-8, **options):
    """pandapower's answer [pu], complex; its tolerance is tightened where its Newton can reach it."""
    import pandapower

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for tolerance in (tolerance_mva / 1e3, tolerance_mva):
            try:
                pandapower.runpp(net, numba=False, tolerance_mva=tolerance, **options)
                break
            except pandapower.LoadflowNotConverged:
                continue
    return net.res_bus.vm_pu.to_numpy() * np.exp(1j * np.deg2rad(net.res_bus.va_degree.to_numpy()))


def assert_same_answer(net, network, **options):
    theirs = solved(net, **options)
    ours = power_flow(network)
    assert ours.mismatch < 1e-8
    mine = ours.voltage[: len(theirs)]
    assert np.array_equal(np.isnan(mine), np.isnan(theirs))
    np.testing.assert_allclose(mine, theirs, rtol=0.0, atol=1e-8)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_networks_have_pandapowers_answer(name):
    net = shipped(name)
    assert_same_answer(net, from_pandapower(net))


def meshed():
    return deepcopy(_meshed())


@cache
def _meshed():
    """Four voltage levels and one of every element that is carried."""
    import pandapower as pp

    net = pp.create_empty_network(f_hz=60.0, sn_mva=10.0)
    b = [pp.create_bus(net, v, name=f"B{i}") for i, v in enumerate([220, 110, 110, 20, 20, 20, 10, 110, 10, 20, 20])]
    pp.create_ext_grid(net, b[0], vm_pu=1.02, va_degree=5.0)
    plate = {"vk_percent": 11.0, "vkr_percent": 0.4, "pfe_kw": 60.0, "i0_percent": 0.15}
    pp.create_transformer_from_parameters(net, b[0], b[1], 100.0, 230.0, 115.0, **plate, shift_degree=0.0, parallel=2)
    pp.create_transformer_from_parameters(net, b[1], b[3], 40.0, 112.0, 21.0, **plate, shift_degree=150.0)
    pp.create_transformer_from_parameters(net, b[2], b[4], 25.0, 110.0, 20.0, **plate, shift_degree=150.0)
    pp.create_transformer3w_from_parameters(
        net, b[7], b[5], b[6], 113.0, 20.5, 10.2, 40.0, 25.0, 15.0, 10.5, 11.2, 12.3, 0.31, 0.32, 0.33, 35.0, 0.2,
        shift_mv_degree=150.0, shift_lv_degree=150.0, tap_pos=2, tap_neutral=0, tap_min=-8, tap_max=8,
        tap_step_percent=1.3, tap_side="hv", tap_changer_type="Ratio",
    )  # fmt: skip
    line = {"r_ohm_per_km": 0.12, "x_ohm_per_km": 0.39, "c_nf_per_km": 9.2, "g_us_per_km": 0.02, "max_i_ka": 0.6}
    for f, t, km in [(1, 2, 30.0), (1, 7, 22.0), (2, 7, 17.0), (3, 4, 4.0), (4, 5, 3.0), (3, 9, 2.0), (9, 10, 1.0)]:
        pp.create_line_from_parameters(net, b[f], b[t], km, **line, df=0.9, parallel=1 + (f == 1))
    pp.create_line_from_parameters(net, b[6], b[8], 2.0, **line)
    zip_shares = {f"const_{z}_percent": v for z, v in (("z_p", 20.0), ("i_p", 30.0), ("z_q", 50.0), ("i_q", 10.0))}
    pp.create_load(net, b[3], 8.0, 2.0, scaling=0.9, **zip_shares)
    pp.create_load(net, b[4], 5.0, 1.5)
    pp.create_load(net, b[8], 1.0, 0.3)
    pp.create_sgen(net, b[5], 3.0, 0.4, scaling=1.1)
    pp.create_storage(net, b[9], 0.5, 1.0, q_mvar=0.1)
    pp.create_motor(net, b[10], 0.4, 0.85, efficiency_percent=93.0, loading_percent=80.0)
    pp.create_gen(net, b[2], 12.0, 1.01, min_q_mvar=-20.0, max_q_mvar=20.0)
    pp.create_shunt(net, b[4], -1.5, 0.02, vn_kv=19.5, step=2)
    pp.create_ward(net, b[5], 0.7, 0.2, 0.1, 0.3)
    pp.create_xward(net, b[7], 1.0, 0.4, 0.2, 0.1, 0.8, 4.0, 1.0)
    pp.create_impedance(net, b[1], b[2], 0.02, 0.12, 50.0, gf_pu=0.001, bf_pu=0.01, gt_pu=0.002, bt_pu=0.03)
    pp.create_dcline(net, b[1], b[7], 6.0, 1.5, 0.1, 1.0, 1.0)
    pp.create_switch(net, b[3], 3, et="l")
    return net, b


def test_one_of_every_element():
    net, _ = meshed()
    net.dcline.loc[0, ["vm_from_pu", "vm_to_pu"]] = 1.005, 0.995
    assert_same_answer(net, from_pandapower(net))
    net.dcline.loc[0, "p_mw"] = -4.0  # the other way
    assert_same_answer(net, from_pandapower(net))


def test_open_ends_and_dead_buses():
    import pandapower as pp

    net, b = meshed()
    pp.create_switch(net, b[4], 4, et="l", closed=False)  # a line that keeps its charging
    pp.create_switch(net, b[4], 2, et="t", closed=False)  # a transformer that keeps its iron
    pp.create_switch(net, b[5], 0, et="t3", closed=False)
    extra = pp.create_bus(net, 20.0)
    pp.create_switch(net, b[9], extra, et="b", closed=True)  # a coupler
    pp.create_load(net, extra, 0.2, 0.1)
    ohmic = pp.create_bus(net, 20.0)
    pp.create_switch(net, b[9], ohmic, et="b", closed=True, z_ohm=0.4)
    pp.create_load(net, ohmic, 0.3, 0.1)
    pp.create_switch(net, b[3], b[4], et="b", closed=False)
    net.bus.loc[b[10], "in_service"] = False  # the line to it stays energised
    assert_same_answer(net, from_pandapower(net))


tap = st.fixed_dictionaries(
    {
        "tap_side": st.sampled_from(["hv", "lv"]),
        "tap_pos": st.integers(-6, 6),
        "tap_step": st.sampled_from([(1.25, 0.0), (1.5, 30.0), (0.9, 90.0), (1.1, -60.0)]),
        "kind": st.sampled_from(["Ratio", "Symmetrical", "Ideal", "Ideal chord", None]),
    }
)


def set_tap(net, table, index, tap, prefix="tap"):
    percent, degree = tap["tap_step"]
    if tap["kind"] == "Ideal":
        percent, degree = np.nan, degree / 20.0 + 1.0
    if tap["kind"] == "Ideal chord":
        degree = np.nan
    kind = "Ideal" if tap["kind"] == "Ideal chord" else tap["kind"]
    values = {"side": tap["tap_side"], "neutral": 0, "min": -8, "max": 8, "pos": tap["tap_pos"]}
    values |= {"step_percent": percent, "step_degree": degree, "changer_type": kind}
    for column, value in values.items():
        full = f"{prefix}_{column}"
        if full not in net[table]:
            net[table][full] = None if isinstance(value, str) or value is None else np.nan
        if isinstance(value, str) or value is None:
            net[table][full] = net[table][full].astype(object)
        net[table].loc[index, full] = value


@given(first=tap, second=tap, leakage=st.tuples(st.floats(0.2, 0.8), st.floats(0.2, 0.8)), parallel=st.integers(1, 3))
@settings(max_examples=12, deadline=None, derandomize=True)
def test_tap_changers(first, second, leakage, parallel):
    net, _ = meshed()
    set_tap(net, "trafo", 1, first)
    set_tap(net, "trafo", 2, second)
    net.trafo["leakage_resistance_ratio_hv"], net.trafo["leakage_reactance_ratio_hv"] = leakage
    net.trafo.loc[2, "parallel"] = parallel
    assert_same_answer(net, from_pandapower(net))


def test_second_tap_changer():
    net, _ = meshed()
    set_tap(net, "trafo", 1, {"tap_side": "hv", "tap_pos": 3, "tap_step": (1.25, 0.0), "kind": "Ratio"})
    for column, value in {"side": "lv", "neutral": 0, "pos": -2, "step_percent": 1.1, "step_degree": 60.0}.items():
        net.trafo[f"tap2_{column}"] = value
    net.trafo["tap2_changer_type"] = "Ratio"
    assert_same_answer(net, from_pandapower(net))


@pytest.mark.parametrize("loss_side", ["hv", "mv", "lv", "star"])
@pytest.mark.parametrize("tap_side", ["hv", "mv", "lv"])
@pytest.mark.parametrize("star", [False, True])
def test_three_windings(loss_side, tap_side, star):
    net, _ = meshed()
    net.trafo3w.loc[0, ["tap_side", "tap_at_star_point", "tap_step_degree"]] = tap_side, star, 25.0
    net.user_pf_options["trafo3w_losses"] = loss_side
    assert_same_answer(net, from_pandapower(net), trafo3w_losses=loss_side)


def test_tap_table_is_folded_and_listed():
    import pandas as pd

    net, _ = meshed()
    set_tap(net, "trafo", 1, {"tap_side": "lv", "tap_pos": 2, "tap_step": (1.0, 0.0), "kind": "Tabular"})
    net.trafo["tap_dependency_table"] = [False, True, False]
    net.trafo["id_characteristic_table"] = pd.array([None, 0, None], "Int64")
    net["trafo_characteristic_table"] = pd.DataFrame(
        {"id_characteristic": [0, 0], "step": [0, 2], "voltage_ratio": [1.0, 1.03], "angle_deg": [0.0, 1.5],
         "vk_percent": [11.0, 11.8], "vkr_percent": [0.4, 0.45], "vk_hv_percent": 0.0, "vkr_hv_percent": 0.0}
    )  # fmt: skip
    with pytest.raises(Untranslated, match="trafo 1: tap_dependency_table"):
        from_pandapower(net)
    assert_same_answer(net, from_pandapower(net, allow_loss=True))


def test_generator_as_reference_and_shared_references():
    import pandapower as pp

    net = shipped("case9")
    net.ext_grid = net.ext_grid.iloc[:0]
    pp.create_gen(net, 0, 0.0, 1.0, slack=True)
    assert_same_answer(net, from_pandapower(net))
    pp.create_ext_grid(net, 0, 1.0)
    pp.create_ext_grid(net, 0, 1.0)
    conversion = convert_pandapower(net)
    assert any("already has a reference" in n for n in conversion.notes)
    assert sum(k.quantity == "angle" for k in conversion.network.knowns()) == 1
    assert_same_answer(net, conversion.network)


def test_an_svc_is_refused_and_listed():
    import pandapower as pp

    net = shipped("case9")
    pp.create_svc(net, 4, 1.0, -10.0, 1.0, 90.0)
    with pytest.raises(Untranslated) as error:
        from_pandapower(net)
    assert error.value.items == ("svc: 1 rows",)
    assert len(from_pandapower(net, allow_loss=True)["buses"]) == 9


def test_an_asymmetric_load_is_listed_and_carried_as_its_sum():
    import pandapower as pp

    net = shipped("case9")
    pp.create_asymmetric_load(net, 4, p_a_mw=3.0, p_b_mw=2.0, p_c_mw=1.0, q_a_mvar=0.5, scaling=2.0)
    with pytest.raises(Untranslated, match="asymmetric_load 0: its phases differ"):
        from_pandapower(net)
    assert_same_answer(net, from_pandapower(net, allow_loss=True))


def test_what_is_not_understood_is_listed_by_table_and_column():
    net = shipped("case9")
    net.line["magic"] = 3.0
    net.gen["nothing"] = 0.0
    net["wizard"] = net.line.copy()
    net.impedance.loc[0, ["from_bus", "to_bus", "rft_pu", "xft_pu", "rtf_pu", "xtf_pu", "sn_mva", "in_service"]] = (
        0, 3, 0.1, 0.2, 0.1, 0.3, 100.0, True,
    )  # fmt: skip
    net.user_pf_options["trafo_model"] = "pi"
    items = "\n".join(convert_pandapower(net).lost)
    assert "line: column magic is not understood" in items
    assert "wizard: 9 rows of an unknown table" in items
    assert "impedance 0: differs by direction" in items
    assert "user_pf_options: trafo_model = 'pi'" in items
    assert "nothing" not in items
    assert from_pandapower(net, allow_loss=True)["lines"]["x_magic"][0] == 3.0


def test_costs_and_measurements_are_notes():
    import pandapower as pp

    net = shipped("case9")
    pp.create_measurement(net, "v", "bus", 1.0, 0.01, 0)
    conversion = convert_pandapower(net)
    assert not conversion.lost
    assert [n.split(":")[0] for n in conversion.notes] == ["measurement", "poly_cost"]
    assert conversion.network.sources["note 1"].startswith("measurement")


def test_names_stay_unique_and_remember_where_they_came_from():
    net = shipped("case9")
    net.line["name"] = "the same"
    net.bus.loc[0, "name"] = None
    network = from_pandapower(net)
    assert network["lines"].names[1] == "line 1 the same"
    assert network["lines"]["x_index"].tolist() == list(range(9))
    assert network["buses"].names[0] == "bus 0"
    assert len({n for t in network.tables.values() if t.kind != "setpoints" for n in t.names}) == sum(
        len(t) for t in network.tables.values() if t.kind != "setpoints"
    )


def test_degrees_are_told_from_schematic_positions():
    network = from_pandapower(shipped("mv_oberrhein"))
    assert np.rad2deg(np.nanmedian(network["buses"]["latitude"])) == pytest.approx(48.4, abs=0.5)
    network = from_pandapower(shipped("example_multivoltage"))
    assert np.isnan(network["buses"]["latitude"]).all()


def test_limits_are_carried():
    net, b = meshed()
    net.bus["max_vm_pu"], net.bus["min_vm_pu"] = 1.1, 0.9
    network = from_pandapower(net)
    assert network["lines"]["current_max"][0] == pytest.approx(540.0)
    assert network["generators"]["reactive_power_max"][1] == 20e6
    assert (network["buses"]["magnitude_min"][b[0]], network["buses"]["magnitude_max"][b[0]]) == (0.9, 1.1)
    pi = pi_branches(network.with_tables(switches=network["switches"].where(np.zeros(0, int))))
    assert pi.rating[0] == pytest.approx(np.sqrt(3) * 110e3 * 540.0 * 2 / 10e6)


def test_voltage_dependence_that_pandapower_averages_is_noted():
    import pandapower as pp

    net = shipped("case9")
    pp.create_load(net, 4, 1.0, 0.0, const_z_p_percent=50.0)
    assert any(n.startswith("buses 4: loads of different voltage dependence") for n in convert_pandapower(net).notes)


def test_pi_branches_needs_positions_where_there_are_switches():
    with pytest.raises(SeraiError, match="needs node_of_bus and closed"):
        pi_branches(from_pandapower(shipped("example_simple")))


def test_not_a_pandapower_network():
    with pytest.raises(SeraiError, match="not a pandapower network"):
        from_pandapower({})
