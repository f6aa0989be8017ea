# SPDX-License-Identifier: Apache-2.0
"""The converted tables, put into the equations of docs/pandapipes-equations.md, give pandapipes' own answer.

Every equation here is written from that page in SI units with the converted values alone; only the solved pressures
and flows come from pandapipes.
"""

import warnings
from copy import deepcopy
from functools import cache

import numpy as np
import pytest

from serai.errors import SeraiError, Untranslated
from serai.network.from_pandapipes import ambient_pressure, convert_pandapipes, from_pandapipes
from serai.units import GAS_CONSTANT

pytestmark = pytest.mark.filterwarnings("ignore")  # pandapipes and the libraries that it reads with

SHIPPED = [
    "gas_2eg_hnet", "gas_3parallel", "gas_meshed_delta", "gas_meshed_pumps", "gas_meshed_square",
    "gas_meshed_two_valves", "gas_one_pipe1", "gas_one_pipe2", "gas_strand_2pipes", "gas_strand_pump", "gas_tcross1",
    "gas_tcross2", "gas_versatility", "schutterwald_gas",
]  # fmt: skip
G = 9.81  # m/s2, as pandapipes rounds it


def shipped(name):
    return deepcopy(_shipped(name))


@cache
def _shipped(name):
    import pandapipes.networks

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(pandapipes.networks, name)()


def solve(net, friction="nikuradse"):
    import pandapipes

    net["user_pf_options"] = {**net.get("user_pf_options", {}), "friction_model": friction}
    options = {"max_iter_hyd": 300, "use_numba": False, "friction_model": friction}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pandapipes.pipeflow(net, tol_p=1e-11, tol_m=1e-11, tol_res=1e-11, **options)


def friction_factor(gas, m, D, k, A):
    Re = np.abs(m) * D / (gas.viscosity * A)
    with np.errstate(divide="ignore"):
        if gas.friction == "nikuradse-laminar":
            laminar = np.divide(64.0, Re, out=np.zeros_like(Re), where=Re > 1e-8)
            return laminar + (2.0 * np.log10(D / k) + 1.14) ** -2.0
        if gas.friction == "swamee-jain":
            return 0.25 / np.log10(k / (3.7 * D) + 5.74 / Re**0.9) ** 2
        lam = np.full_like(Re, 0.02)
        for _ in range(60):
            lam = (-2.0 * np.log10(k / (3.71 * D) + 2.51 / (Re * np.sqrt(lam)))) ** -2.0
        return lam


def mean_pressure(p1, p2):
    same = np.isclose(p1, p2, rtol=1e-15, atol=0.0)
    return np.where(same, p1, 2.0 / 3.0 * (p1**3 - p2**3) / np.where(same, 1.0, p1**2 - p2**2))


def drop(gas, p1, p2, m, *, resistance, A, T, gained):
    """Right side of the pipe equation [Pa], and its friction alone; `resistance` is lam L/D + zeta."""
    s = gas.coefficients[0] if gas.coefficients else 0.0
    RT = gas.specific_constant * T
    friction = (1.0 + s * mean_pressure(p1, p2)) * RT * resistance * m * np.abs(m) / (A**2 * (p1 + p2))
    density = 0.5 * (p1 / (RT * (1.0 + s * p1)) + p2 / (RT * (1.0 + s * p2)))
    return friction + density * G * gained, friction


def absolute(net, network):
    """Absolute pressure and height of every gas node that is a junction, by name."""
    t = network["gas_nodes"]
    rows = [k for k, i in enumerate(t["x_index"]) if i != ""]
    gauge = net.res_junction.p_bar.to_dict()
    pressure = {t.names[k]: gauge[t["x_index"][k]] * 1e5 + ambient_pressure(t["height"][k]) for k in rows}
    return pressure, dict(zip(t.names, t["height"], strict=True))


def pipe_balance(net, network):
    """(left minus right side, friction, mean pressure) of every solved pipe of one section [Pa]."""
    gas, t = network.gas, network["pipes"]
    pressure, height = absolute(net, network)
    flow = net.res_pipe.mdot_from_kg_per_s.to_dict()
    sections = net.pipe.sections.to_dict()
    keep = [
        k for k, i in enumerate(t["x_index"])
        if not np.isnan(flow[i]) and sections[i] == 1 and {t["from_node"][k], t["to_node"][k]} <= set(pressure)
    ]  # fmt: skip
    p1 = np.array([pressure[n] for n in t["from_node"][keep]])
    p2 = np.array([pressure[n] for n in t["to_node"][keep]])
    gained = np.array([height[b] - height[a] for a, b in zip(t["from_node"][keep], t["to_node"][keep], strict=True)])
    m = np.array([flow[i] for i in t["x_index"][keep]])
    D, A = t["diameter"][keep], np.pi * t["diameter"][keep] ** 2 / 4.0
    T = np.where(np.isnan(t["temperature"][keep]), gas.temperature, t["temperature"][keep])
    lam = np.where(m == 0.0, 0.0, friction_factor(gas, m, D, t["roughness"][keep], A))
    if gas.friction == "colebrook-white":  # pandapipes stops its own iteration of lambda at 1e-4
        theirs = np.where(m == 0.0, 0.0, net.res_pipe["lambda"].loc[t["x_index"][keep].tolist()])
        np.testing.assert_allclose(lam, theirs, rtol=1e-4)
        lam = theirs
    resistance = lam * t["length"][keep] / D + t["loss_coefficient"][keep]
    right, friction = drop(gas, p1, p2, m, resistance=resistance, A=A, T=T, gained=gained)
    assert len(keep) > 0
    return p1 - p2 - right, friction, (p1 + p2) / 2.0


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("friction", ["nikuradse", "colebrook", "swamee-jain"])
def test_the_equation_holds_on_every_pipe(name, friction):
    net = shipped(name)
    solve(net, friction)
    network = convert_pandapipes(net).network
    error, loss, pressure = pipe_balance(net, network)
    # 1e-9 of the pipe's friction loss, and what rounding of the pressures (about 5 digits of eps) leaves
    assert np.all(np.abs(error) <= 1e-9 * np.abs(loss) + 1e-14 * pressure)


def small():
    """Heights, a compressor, both controls, valves of both kinds, a storage, two grids at one junction."""
    import pandapipes as pps

    net = pps.create_empty_network("small", fluid="hgas")
    heights = [100.0, 140.0, 60.0, 300.0, 20.0, 0.0, 30.0, 50.0]
    j = [pps.create_junction(net, 10.0, 285.0, height_m=h, name=f"J{k}") for k, h in enumerate(heights)]
    for p in (20.0, 20.0):
        pps.create_ext_grid(net, j[0], p, 285.0)
    pipe = {"inner_diameter_mm": 300.0, "k_mm": 0.1}
    pps.create_pipe_from_parameters(net, j[0], j[1], 12.0, **pipe)
    pps.create_compressor(net, j[1], j[2], 1.4)
    pps.create_pipe_from_parameters(net, j[2], j[3], 9.0, loss_coefficient=3.0, **pipe)
    pps.create_pressure_control(net, j[3], j[4], j[4], 12.0)
    pps.create_pipe_from_parameters(net, j[4], j[5], 2.0, **pipe)
    pps.create_flow_control(net, j[3], j[6], 0.8)
    pps.create_pipe_from_parameters(net, j[6], j[7], 2.0, **pipe)
    pps.create_valve(net, j[3], j[5], "ju", 200.0, opened=False)
    pps.create_valve(net, j[5], j[7], "ju", 200.0, loss_coefficient=2.0)
    for k, m in ((5, 1.5), (7, 0.6)):
        pps.create_sink(net, j[k], m, scaling=0.9)
    pps.create_mass_storage(net, j[7], 0.26)
    pps.create_source(net, j[2], 0.3)
    return net, j


def test_every_element():
    net, _ = small()
    solve(net)
    network = from_pandapipes(net)
    error, loss, pressure = pipe_balance(net, network)
    assert np.all(np.abs(error) <= 1e-9 * np.abs(loss) + 1e-14 * pressure)
    known = {(k.quantity, k.where): k.value for k in network.knowns()}
    p, _ = absolute(net, network)
    assert known["pressure", "ext_grid 0"] == pytest.approx(p["junction 0 J0"], rel=1e-12)
    assert known["supply", "ext_grid 1"] == 0.0
    # a compressor whose ends differ in height also has the weight of the gas between them
    a, b = p["junction 1 J1"], p["junction 2 J2"]
    weight, _ = drop(network.gas, a, b, np.zeros(1), resistance=0.0, A=1.0, T=285.0, gained=60.0 - 140.0)
    assert b == pytest.approx(known["ratio", "compressor 0"] * a - weight[0], rel=1e-9)
    assert known["outlet_pressure", "press_control 0"] == pytest.approx(p["junction 4 J4"], rel=1e-12)
    assert known["flow", "flow_control 0"] == 0.8
    assert known["open", "valve 0"] == 0.0
    assert ("open", "valve 1") not in known
    assert known["withdrawal", "sink 0"] == pytest.approx(1.35)
    assert known["withdrawal", "mass_storage 0"] == 0.26
    assert known["supply", "source 0"] == 0.3
    assert network["pipes"]["loss_coefficient"].tolist() == [0.0, 3.0, 0.0, 0.0]


def test_nodes_balance():
    net, _ = small()
    solve(net)
    network = from_pandapipes(net)
    known = {(k.quantity, k.where): k.value for k in network.knowns()}
    given = sum(v for (q, _), v in known.items() if q == "withdrawal") - known["supply", "source 0"]
    assert -net.res_ext_grid.mdot_kg_per_s.sum() == pytest.approx(given, rel=1e-9)


def test_an_open_valve_follows_the_pipe_equation_without_length():
    net = shipped("gas_meshed_two_valves")
    net.valve["loss_coefficient"] = 40.0
    solve(net)
    network = from_pandapipes(net)
    t = network["valves"]
    p, h = absolute(net, network)
    for k, i in enumerate(t["x_index"]):
        m = net.res_valve.mdot_from_kg_per_s[i]
        if np.isnan(m):
            continue
        a, b = t["from_node"][k], t["to_node"][k]
        A = np.pi * t["diameter"][k] ** 2 / 4.0
        gas, zeta = network.gas, t["loss_coefficient"][k]
        right, loss = drop(gas, p[a], p[b], m, resistance=zeta, A=A, T=gas.temperature, gained=h[b] - h[a])
        assert abs(p[a] - p[b] - right) <= 1e-9 * abs(loss) + 1e-14 * p[a]


def test_a_valve_at_a_pipes_end_gets_a_node_of_its_own():
    import pandapipes as pps

    net, j = small()
    pps.create_valve(net, j[5], 2, "pi", 200.0, opened=True)  # at the far end of J4-J5
    network = from_pandapipes(net)
    new = network["valves"]["to_node"][2]
    assert new == "valve end of pipe 2"
    assert network["pipes"]["to_node"].tolist().count(new) == 1
    assert network["valves"]["from_node"][2] == "junction 5 J5"


def test_sections_repeat_the_loss_coefficient():
    net, _ = small()
    net.pipe.loc[1, "sections"] = 5
    network = from_pandapipes(net)
    assert network["pipes"]["loss_coefficient"][1] == 15.0
    assert network["pipes"]["x_sections"][1] == 5


def test_the_gas_has_pandapipes_normal_density():
    net, _ = small()
    gas = from_pandapipes(net).gas
    assert gas.standard_density == pytest.approx(net.fluid.get_density(273.15))
    assert gas.standard_pressure * gas.molar_mass / (GAS_CONSTANT * 273.15) == pytest.approx(gas.standard_density)
    assert gas.coefficients == pytest.approx((-0.0022e-5,))
    assert gas.gross_heating_value == pytest.approx(14.62197 * 3.6e6 * gas.standard_density)
    assert 1.2 < gas.heat_capacity_ratio < 1.4


def test_a_constant_compressibility_goes_into_the_gas_constant():
    import pandapipes as pps

    net, _ = small()
    pps.create_constant_property(net, "compressibility", 0.95, overwrite=True)
    pps.create_constant_property(net, "der_compressibility", 0.0, overwrite=True)
    solve(net)
    network = from_pandapipes(net)
    assert network.gas.compressibility == "ideal"
    error, loss, pressure = pipe_balance(net, network)
    assert np.all(np.abs(error) <= 1e-9 * np.abs(loss) + 1e-14 * pressure)


def test_ambient_pressure_falls_with_height():
    assert ambient_pressure(0.0) == pytest.approx(101_325.0)
    assert ambient_pressure(1000.0) == pytest.approx(89_875.0, rel=1e-4)  # ICAO standard atmosphere: 89 875 Pa


def test_a_liquid_is_refused():
    import pandapipes as pps

    net = pps.create_empty_network(fluid="water")
    with pytest.raises(SeraiError, match="'water' is a liquid"):
        from_pandapipes(net, allow_loss=True)


def test_not_a_pandapipes_network():
    with pytest.raises(SeraiError, match="not a pandapipes network"):
        from_pandapipes({})


def test_a_pump_and_heat_elements_are_listed():
    import pandapipes as pps

    net, j = small()
    pps.create_heat_exchanger(net, j[0], j[1], qext_w=1e3, inner_diameter_mm=100.0)
    net.sink["magic"] = 1.0
    with pytest.raises(Untranslated) as error:
        from_pandapipes(net)
    assert "heat_exchanger: 1 rows" in error.value.items
    assert "sink: column magic is not understood (kept as x_magic)" in error.value.items
    pumps = shipped("gas_strand_pump")
    with pytest.raises(Untranslated, match="pump 0: its curve of lift"):
        from_pandapipes(pumps)
    assert len(from_pandapipes(pumps, allow_loss=True)["compressors"]) == 1
