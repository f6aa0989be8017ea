# SPDX-License-Identifier: Apache-2.0
"""Bad input, odd states and limits of the gas side: each a clear answer or a clear error that names the element."""

import math
import re
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import serai as sr
from serai import Known
from serai.errors import NoReference, NotClosed, PhysicsRefused, SeraiError
from serai.laws import LAWS
from serai.network import Gas, Network, table
from serai.units import GRAVITY

IDEAL = Gas(temperature=288.15, molar_mass=0.0175, compressibility="ideal", friction="colebrook-white")
D, L, ROUGH = 0.5, 20e3, 5e-5
A = math.pi * D * D / 4.0
RT = IDEAL.specific_constant * IDEAL.temperature


def pipe(name, a, b, **more):
    return {"name": name, "from_node": a, "to_node": b, "length": L, "diameter": D, "roughness": ROUGH, **more}


def net(nodes, gas=IDEAL, **tables):
    """A network with a supply `S` at the first node and an offtake `to X` at every other one."""
    names = [n if isinstance(n, str) else n["name"] for n in nodes]
    built = {
        "gas_nodes": table("gas_nodes", [{"name": n} if isinstance(n, str) else n for n in nodes]),
        "supplies": table("supplies", [{"name": "S", "node": names[0]}]),
        "offtakes": table("offtakes", [{"name": f"to {n}", "node": n} for n in names[1:]]),
        **{kind: table(kind, rows) for kind, rows in tables.items()},
    }
    return Network(name="made up", tables=built, gas=gas)


def known(pressure=50e5, **withdrawn):
    return [Known("pressure", "S", pressure)] + [Known("withdrawal", f"to {n}", w) for n, w in withdrawn.items()]


def line(n=3, **more):
    nodes = [chr(ord("A") + k) for k in range(n)]
    return net(nodes, pipes=[pipe(a + b, a, b, **more) for a, b in pairwise(nodes)])


def station(name="C", a="B", b="C", **more):
    return {"name": name, "from_node": a, "to_node": b, "efficiency": 0.8, **more}


def stations(*those, pipes=()):
    """A - pipe - B - stations - C - pipe - D."""
    return net("ABCD", pipes=[pipe("AB", "A", "B"), pipe("CD", "C", "D"), *pipes], compressors=list(those))


# ------------------------------------------------------------------------------------------------- what is refused


def test_an_island_without_a_pressure_is_named():
    two = net("ABCD", pipes=[pipe("AB", "A", "B"), pipe("CD", "C", "D")])
    with pytest.raises(NoReference, match=r"gas island.*C, D.*no pressure") as error:
        sr.steady(two, known(B=1.0, C=-1.0, D=1.0))
    assert set(error.value.missing) == {"C", "D"}


def test_two_pressures_round_a_loop_of_fixed_ratios():
    loop = stations(station("C1"), station("C2"))
    with pytest.raises(NotClosed) as error:
        sr.steady(loop, [*known(B=0.0, C=0.0, D=10.0), Known("ratio", "C1", 1.1), Known("ratio", "C2", 1.2)])
    text = str(error.value)
    assert "C1" in text
    assert "C2" in text


def test_two_stations_that_hold_one_node():
    both = [Known("outlet_pressure", "C1", 60e5), Known("outlet_pressure", "C2", 55e5)]
    with pytest.raises(NotClosed, match="given twice") as error:
        sr.steady(stations(station("C1"), station("C2")), [*known(B=0.0, C=0.0, D=10.0), *both])
    assert set(error.value.twice) == {"C1", "C2"}
    same = [Known("outlet_pressure", n, 60e5) for n in ("C1", "C2")]
    with pytest.raises(NotClosed) as error:  # the same value does not say either how they share the flow
        sr.steady(stations(station("C1"), station("C2")), [*known(B=0.0, C=0.0, D=10.0), *same])
    assert "C1" in str(error.value)
    assert "C2" in str(error.value)


def test_a_demand_that_cannot_flow_is_named():
    with pytest.raises(PhysicsRefused, match=r"below zero at C") as error:
        sr.steady(line(), known(B=0.0, C=300.0))
    assert error.value.elements[0] == "C"


def test_what_is_not_a_number_is_refused():
    for value in (math.nan, math.inf):
        with pytest.raises(SeraiError, match="finite number"):
            Known("withdrawal", "to B", value)
    with pytest.raises(SeraiError, match="above 0"):
        sr.steady(line(), known(pressure=-1.0, B=0.0, C=0.0))


def test_every_flow_given_is_named():
    supplied = [Known("supply", "S", 5.0), Known("pressure", "B", 40e5)]
    with pytest.raises(NotClosed, match="nothing can balance"):
        sr.steady(line(), [*supplied, Known("withdrawal", "to B", 1.0), Known("withdrawal", "to C", 4.0)])


# ----------------------------------------------------------------------------------------------------- odd states


def test_no_flow_anywhere():
    result = sr.steady(line(), known(B=0.0, C=0.0))
    assert np.abs(result.flow.values).max() < 1e-9
    assert result.pressure.values == pytest.approx(50e5, rel=1e-12)


def test_a_sink_without_demand():
    result = sr.steady(line(), known(B=12.0, C=0.0))
    assert float(result.flow["AB"]) == pytest.approx(12.0, rel=1e-12)
    assert abs(float(result.flow["BC"])) < 1e-9
    assert float(result.pressure["C"]) == pytest.approx(float(result.pressure["B"]), rel=1e-12)


def test_reverse_flow_is_the_mirror_image():
    there = sr.steady(line(2), known(B=10.0))
    back = sr.steady(net("AB", pipes=[pipe("AB", "B", "A")]), known(B=10.0))
    assert float(back.flow["AB"]) == pytest.approx(-float(there.flow["AB"]), rel=1e-12)
    assert float(back.pressure["B"]) == pytest.approx(float(there.pressure["B"]), rel=1e-12)


def test_a_closed_valve_stops_and_an_open_one_joins():
    case = net("ABCD", pipes=[pipe("AB", "A", "B"), pipe("CD", "C", "D"), pipe("AC", "A", "C")],
               valves=[{"name": "V", "from_node": "B", "to_node": "C"}])  # fmt: skip
    demand = known(B=5.0, C=0.0, D=10.0)
    shut = sr.steady(case, [*demand, Known("open", "V", 0.0)])
    assert float(shut.flow["V"]) == 0.0
    assert float(shut.pressure["B"]) > float(shut.pressure["C"])
    open_ = sr.steady(case, demand)
    assert float(open_.pressure["B"]) == pytest.approx(float(open_.pressure["C"]), rel=1e-12)


def test_loops_without_resistance_do_not_circulate():
    """Two open valves and a short pipe side by side: each takes a third."""
    ends = {"from_node": "B", "to_node": "C"}
    case = net("ABCD", pipes=[pipe("AB", "A", "B"), pipe("CD", "C", "D")], short_pipes=[{"name": "K", **ends}],
               valves=[{"name": "V1", **ends}, {"name": "V2", "from_node": "C", "to_node": "B"}])  # fmt: skip
    result = sr.steady(case, known(B=0.0, C=0.0, D=9.0))
    assert [float(result.flow[n]) for n in ("K", "V1", "V2")] == pytest.approx([3.0, 3.0, -3.0], rel=1e-12)
    assert result.mismatch < 1e-12


# ------------------------------------------------------------------------------------- stations, valves and modes


def test_a_check_valve_closes_against_the_flow():
    ends = {"name": "N", "from_node": "B", "to_node": "C"}
    case = net("ABC", pipes=[pipe("AB", "A", "B")], check_valves=[ends])
    forward = sr.steady(case, known(B=0.0, C=3.0))
    assert float(forward.flow["N"]) == pytest.approx(3.0)
    two = net("ABCD", pipes=[pipe("AB", "A", "B"), pipe("AC", "A", "C"), pipe("CD", "C", "D")], check_valves=[ends])
    against = sr.steady(two, known(B=20.0, C=0.0, D=0.0))
    assert float(against.flow["N"]) == 0.0
    assert float(against.pressure["C"]) > float(against.pressure["B"])
    assert ("N", "closed") in [(name, mode) for _, name, mode in against.modes]


def test_a_control_valve_opens_when_its_inlet_is_too_low():
    case = net("ABCD", pipes=[pipe("AB", "A", "B"), pipe("CD", "C", "D")],
               control_valves=[{"name": "R", "from_node": "B", "to_node": "C"}])  # fmt: skip
    demand = known(B=0.0, C=0.0, D=10.0)
    holding = sr.steady(case, [*demand, Known("outlet_pressure", "R", 40e5)])
    assert float(holding.pressure["C"]) == pytest.approx(40e5)
    assert not holding.modes
    wide = sr.steady(case, [*demand, Known("outlet_pressure", "R", 60e5)])
    assert float(wide.pressure["C"]) == pytest.approx(float(wide.pressure["B"]), rel=1e-12)
    assert [(n, m) for _, n, m in wide.modes] == [("R", "open")]


def test_a_station_that_is_not_needed_is_bypassed():
    result = sr.steady(stations(station()), [*known(B=0.0, C=0.0, D=5.0), Known("outlet_pressure", "C", 45e5)])
    assert float(result.ratio["C"]) == 1.0
    assert float(result.power["C"]) == pytest.approx(0.0, abs=1e-3)
    assert [(n, m) for _, n, m in result.modes] == [("C", "bypass")]


def test_a_station_at_its_power():
    case = stations(station(power_max=1e6))
    result = sr.steady(case, [*known(B=0.0, C=0.0, D=30.0), Known("outlet_pressure", "C", 70e5)])
    assert float(result.power["C"]) == pytest.approx(1e6, rel=1e-9)
    assert float(result.pressure["C"]) < 70e5
    assert [(n, m) for _, n, m in result.modes] == [("C", "largest power")]


def test_a_station_at_its_ratio():
    case = stations(station(ratio_max=1.2))
    result = sr.steady(case, [*known(B=0.0, C=0.0, D=10.0), Known("outlet_pressure", "C", 70e5)])
    assert float(result.ratio["C"]) == pytest.approx(1.2, rel=1e-9)
    assert [(n, m) for _, n, m in result.modes] == [("C", "largest ratio")]


def test_parallel_stations_of_one_ratio_share():
    case = stations(station("C1"), station("C2"), station("C3"))
    for ratio in (1.0, 1.3):
        ratios = [Known("ratio", n, ratio) for n in ("C1", "C2", "C3")]
        result = sr.steady(case, [*known(B=0.0, C=0.0, D=9.0), *ratios])
        assert result.flow.sel(gas_branch=["C1", "C2", "C3"]).values == pytest.approx([3.0, 3.0, 3.0], rel=1e-12)
        assert result.mismatch < 1e-9


def test_parallel_stations_of_which_one_holds_the_pressure():
    case = stations(station("C1"), station("C2"))
    parts = [Known("outlet_pressure", "C1", 60e5), Known("flow", "C2", 4.0)]
    result = sr.steady(case, [*known(B=0.0, C=0.0, D=10.0), *parts])
    assert float(result.flow["C1"]) == pytest.approx(6.0)
    assert float(result.ratio["C1"]) == pytest.approx(float(result.ratio["C2"]), rel=1e-12)


def test_shaft_power_is_the_adiabatic_one():
    result = sr.steady(stations(station()), [*known(B=0.0, C=0.0, D=10.0), Known("ratio", "C", 1.4)])
    x = (IDEAL.heat_capacity_ratio - 1.0) / IDEAL.heat_capacity_ratio
    assert float(result.power["C"]) == pytest.approx(10.0 * RT / x * (1.4**x - 1.0) / 0.8, rel=1e-12)


# ------------------------------------------------------------------------------------------ against exact formulas


def test_elevation_against_the_exponential_formula():
    """p1^2 = e^S p2^2 + K m|m| (e^S - 1)/S for a constant Z; the law's trapezoid is of second order in the cell."""
    height, m, lam = 600.0, 15.0, 0.012
    up = net([{"name": "A"}, {"name": "B", "height": height}], pipes=[pipe("AB", "A", "B", friction_factor=lam)])
    S = 2.0 * GRAVITY * height / RT
    K = lam * L * RT / (D * A * A)
    exact = math.sqrt((50e5**2 - K * m * m * (math.exp(S) - 1.0) / S) / math.exp(S))
    errors = {n: abs(float(sr.steady(up, known(B=m), cell=L / n).pressure["B"]) - exact) / exact for n in (1, 2, 4, 8)}
    print("relative error of the outlet pressure by cells:", {n: f"{e:.1e}" for n, e in errors.items()})
    assert errors[1] < 1e-3
    for n in (1, 2, 4):
        assert 3.5 < errors[n] / errors[2 * n] < 4.5
    still = sr.steady(up, known(B=0.0), cell=L / 64)
    assert float(still.pressure["B"]) == pytest.approx(50e5 * math.exp(-S / 2.0), rel=1e-6)


@pytest.mark.parametrize("friction", ["colebrook-white", "swamee-jain", "chen", "hofer"])
def test_laminar_flow_is_hagen_poiseuille(friction):
    """p1^2 - p2^2 = 64 eta L R T m / (D^2 A): no friction formula matters below Re = 2000."""
    thin = net("AB", gas=Gas(**{**vars_of(IDEAL), "friction": friction}), pipes=[pipe("AB", "A", "B", diameter=0.02)])
    area, eta = math.pi * 0.02**2 / 4.0, IDEAL.viscosity
    m = 1000.0 * area * eta / 0.02
    lost = 64.0 * eta * L * RT * m / (0.02**2 * area)
    result = sr.steady(thin, known(pressure=2e5, B=m))
    assert float(result.pressure["B"]) == pytest.approx(math.sqrt(2e5**2 - lost), rel=1e-6)


def test_efficiency_scales_the_flow():
    """At the same pressures a pipe of efficiency E carries E times what the clean one does, for a given factor."""
    clean = sr.steady(line(2, friction_factor=0.012), known(B=20.0))
    worn = sr.steady(line(2, friction_factor=0.012, efficiency=0.9), known(B=18.0))
    assert float(worn.pressure["B"]) == pytest.approx(float(clean.pressure["B"]), rel=1e-12)


def test_linepack_is_the_integral_of_the_density():
    """The sum over cells comes to A L rho at the exact mean pressure, 2/3 (p1^3 - p2^3)/(p1^2 - p2^2)."""
    case = line(2, friction_factor=0.012)
    found = {}
    for n in (8, 16):
        result = sr.steady(case, known(B=40.0), cell=L / n)
        p1, p2 = float(result.pressure["A"]), float(result.pressure["B"])
        mean = 2.0 / 3.0 * (p1**3 - p2**3) / (p1**2 - p2**2)
        found[n] = abs(float(result.linepack_total) / (A * L * mean / RT) - 1.0)
    assert found[8] < 1e-3
    assert 3.5 < found[8] / found[16] < 4.5


def vars_of(gas):
    return {name: getattr(gas, name) for name in gas.__dataclass_fields__}


# ------------------------------------------------------------------------------------------------------- the laws


def test_every_law_says_what_it_is_and_where_it_comes_from():
    """Each symbol and a reference stand in its docstring, in its module's, or in that of the formula it shares."""
    for name, law in LAWS.items():
        module = sys.modules[law.module]
        shared = module._momentum.py_func.__doc__ if name.startswith("pipe_") else ""
        about = f"{law.formula.py_func.__doc__}\n{shared}\n{module.__doc__}"
        words = set(re.findall(r"[A-Za-z_]+[0-9]*", about))
        assert not {*law.columns, *law.parameters} - words, name
        assert re.search(r"\[\d|doi|Eq\.", about), f"{name}: no reference"
        assert law.valid.keys() <= {*law.columns, *law.parameters}, name


# ------------------------------------------------------------------------------------------------------- property


@st.composite
def networks(draw):
    """A random tree of pipes, some meshes, some valves (open and closed), some stations and control valves."""
    n = draw(st.integers(2, 14))
    nodes = [f"n{k}" for k in range(n)]
    made = {"pipes": [], "valves": [], "compressors": []}
    knowns = [Known("pressure", "S", draw(st.floats(40e5, 80e5)))]
    for k in range(1, n):
        ends = {"name": f"e{k}", "from_node": f"n{draw(st.integers(0, k - 1))}", "to_node": f"n{k}"}
        kind = draw(st.sampled_from(["pipes", "pipes", "pipes", "valves", "compressors"]))
        size = {"length": draw(st.floats(1e3, 40e3)), "diameter": draw(st.floats(0.4, 1.2)), "roughness": 5e-5}
        made[kind].append({**ends, **(size if kind == "pipes" else {})})
        if kind == "compressors":
            knowns.append(Known("ratio", f"e{k}", draw(st.floats(1.0, 1.3))))
        knowns.append(Known("withdrawal", f"to n{k}", draw(st.floats(0.0, 4.0))))
    for k in range(draw(st.integers(0, 4))):
        a, b = draw(st.integers(0, n - 1)), draw(st.integers(0, n - 1))
        if a == b:
            continue
        size = {"length": draw(st.floats(1e3, 40e3)), "diameter": 0.6, "roughness": 5e-5}
        made["pipes"].append({"name": f"m{k}", "from_node": f"n{a}", "to_node": f"n{b}", **size})
        if draw(st.booleans()):
            made["valves"].append({"name": f"v{k}", "from_node": f"n{a}", "to_node": f"n{b}"})
            knowns.append(Known("open", f"v{k}", 0.0))
    return net(nodes, **{kind: those for kind, those in made.items() if those}), knowns


@given(networks())
@settings(max_examples=60, deadline=None)
def test_any_network_keeps_its_mass(case):
    network, knowns = case
    try:
        result = sr.steady(network, knowns)
    except PhysicsRefused as error:
        assert error.elements  # noqa: PT017 - a demand that cannot flow may come up: then it is named
        return
    assert result.mismatch < 1e-9
    total = sum(k.value for k in knowns if k.quantity == "withdrawal")
    assert float(result.withdrawal.sum()) == pytest.approx(0.0, abs=1e-9 * max(total, 1.0))
    assert float(result.supplied["S"]) == pytest.approx(total, rel=1e-9, abs=1e-9)
    flow = {n: float(result.flow[n]) for n in result.dataset["gas_branch"].values}
    for kind in ("pipes", "valves", "compressors"):
        t = network[kind]
        for k, name in enumerate(t.names):
            result.withdrawal.loc[{"gas_node": str(t["from_node"][k])}] += flow[name]
            result.withdrawal.loc[{"gas_node": str(t["to_node"][k])}] -= flow[name]
    assert np.abs(result.withdrawal.values).max() < 1e-9 * max(total, 1.0)
