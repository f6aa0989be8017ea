# SPDX-License-Identifier: Apache-2.0
"""Small grids against numbers worked out by hand, what is named when a grid cannot be solved, and the balance of power.

Truth: complex arithmetic on the equations of the MATPOWER manual (eq. 3.1 to 3.5), written out in each test.
"""

from cmath import exp, phase, polar, sqrt
from math import nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serai.errors import NoReference, NotClosed, NotConverged, PhysicsRefused, SeraiError
from serai.known import Known
from serai.network.network import Network
from serai.network.tables import table
from serai.simulate.steady import refuse_impossible, refuse_mismatch, steady
from serai.system import System

BASE = 100e6


def grid(setpoints, **tables):
    """A network from {kind: {column: values}} and (quantity, where, value)."""
    known = [{"quantity": q, "where": w, "value": v} for q, w, v in setpoints]
    made = {kind: table(kind, **columns) for kind, columns in tables.items()}
    return Network(tables={**made, "setpoints": table("setpoints", known)}, base_power=BASE)


def line(name, f, t, r=0.02, x=0.1, **more):
    return {"name": name, "from_bus": f, "to_bus": t, "resistance": r, "reactance": x, **more}


def lines(*rows):
    columns = {c: None for r in rows for c in r}
    default = {"susceptance": 0.0, "tap_ratio": 1.0, "phase_shift": 0.0}
    return {c: [r.get(c, default.get(c)) for r in rows] for c in columns}


def buses(*names):
    return {"name": list(names), "voltage": [220e3] * len(names)}


SLACK = [("angle", "A", 0.0), ("magnitude", "G", 1.02)]


def feeder(load=(60e6, 20e6), **more):
    """Reference A, a line, a load at B."""
    points = [*SLACK, ("active_power", "L", load[0]), ("reactive_power", "L", load[1])]
    tables = {
        "buses": buses("A", "B"), "branches": lines(line("AB", "A", "B")),
        "generators": {"name": ["G"], "bus": ["A"]}, "loads": {"name": ["L"], "bus": ["B"]},
    }  # fmt: skip
    return grid([*points, *more.pop("points", [])], **{**tables, **more})


def voltage(result, bus):
    return float(result.magnitude[bus]) * exp(1j * float(result.angle[bus]))


# ------------------------------------------------------------------------------------------------------------ by hand


def test_lossless_line_with_a_load():
    """V2^2 = u + sqrt(u^2 - x^2 |S|^2), u = V1^2/2 - Q x;  sin(a1 - a2) = P x / (V1 V2)."""
    P, Q, x, V1 = 0.6, 0.2, 0.1, 1.02
    result = steady(feeder(branches=lines(line("AB", "A", "B", r=0.0, x=x))))
    u = V1**2 / 2 - Q * x
    V2 = sqrt(u + sqrt(u**2 - x**2 * (P**2 + Q**2))).real
    assert float(result.magnitude["B"]) == pytest.approx(V2, abs=1e-12)
    assert np.sin(-float(result.angle["B"])) == pytest.approx(P * x / (V1 * V2), abs=1e-12)
    assert float(result.active_power["G"]) == pytest.approx(60e6, abs=1e-2)
    assert float(result.losses) == pytest.approx(0.0, abs=1e-2)


@pytest.mark.parametrize(("ratio", "shift"), [(1.0, 0.0), (0.95, 0.0), (1.0, 0.2), (1.08, -0.15)])
def test_tap_ratio_and_phase_shift(ratio, shift):
    """Both voltages given: S1 = V1 conj(I1), I1 = (y + jb/2)/t^2 V1 - y/(t e^-js) V2 (manual, eq. 3.2)."""
    z, b, V1, V2 = 0.02 + 0.1j, 0.06, 1.02, 0.99 * exp(-0.1j)
    branch = line("AB", "A", "B", susceptance=b, tap_ratio=ratio, phase_shift=shift)
    net = grid(
        [*SLACK, ("angle", "B", -0.1), ("magnitude", "H", 0.99)],
        buses=buses("A", "B"), branches=lines(branch), generators={"name": ["G", "H"], "bus": ["A", "B"]},
    )  # fmt: skip
    result = steady(net)
    y, T = 1 / z, ratio * exp(1j * shift)
    S1 = V1 * ((y + 0.5j * b) / ratio**2 * V1 - y / T.conjugate() * V2).conjugate() * BASE
    S2 = V2 * ((y + 0.5j * b) * V2 - y / T * V1).conjugate() * BASE
    assert float(result.active_power["G"]) == pytest.approx(S1.real, abs=1.0)
    assert float(result.reactive_power["G"]) == pytest.approx(S1.imag, abs=1.0)
    assert float(result.active_power["H"]) == pytest.approx(S2.real, abs=1.0)
    assert float(result.reactive_power["H"]) == pytest.approx(S2.imag, abs=1.0)
    assert float(result.active_power_from["AB"]) == pytest.approx(S1.real, abs=1.0)
    assert float(result.losses) == pytest.approx((S1 + S2).real, abs=1.0)


def test_shunt_is_an_admittance():
    """An unloaded bus with a capacitor of 30 Mvar at nominal voltage: V2 = V1 / (1 + z Y)."""
    shunts = {"name": ["C"], "bus": ["B"], "reactive_power": [-15e6], "active_power": [1e6], "steps": [2.0]}
    result = steady(feeder(load=(0.0, 0.0), shunts=shunts))
    V2 = 1.02 / (1 + (0.02 + 0.1j) * (0.02 + 0.3j))
    assert voltage(result, "B") == pytest.approx(V2, abs=1e-12)
    one = steady(feeder(load=(0.0, 0.0), shunts=shunts), [Known("steps", "C", 1.0)])
    assert voltage(one, "B") == pytest.approx(1.02 / (1 + (0.02 + 0.1j) * (0.01 + 0.15j)), abs=1e-12)


def test_load_of_constant_impedance_and_current():
    """P(V) = P (1 - z - i + i V + z V^2), Q likewise: the power that arrives over the line."""
    shares = {
        "constant_impedance_active": [0.5], "constant_current_active": [0.2],
        "constant_impedance_reactive": [0.1], "constant_current_reactive": [0.6],
    }  # fmt: skip
    result = steady(feeder(loads={"name": ["L"], "bus": ["B"], **shares}))
    V2 = voltage(result, "B")
    v = abs(V2)
    arrived = V2 * ((1.02 - V2) / (0.02 + 0.1j)).conjugate() * BASE
    assert arrived.real == pytest.approx(60e6 * (0.3 + 0.2 * v + 0.5 * v * v), abs=1e-2)
    assert arrived.imag == pytest.approx(20e6 * (0.3 + 0.6 * v + 0.1 * v * v), abs=1e-2)
    assert float(result.drawn["L"]) == pytest.approx(arrived.real, abs=1e-2)
    assert v < 1.0


def test_a_load_out_of_service_leaves_the_shares_of_others_alone():
    loads = {"bus": ["B", "B"], "name": ["X", "L"], "status": ["out of service", "in service"]}
    result = steady(feeder(loads={**loads, "constant_impedance_active": [0.0, 0.5]}))
    v = float(result.magnitude["B"])
    assert float(result.drawn["L"]) == pytest.approx(60e6 * (0.5 + 0.5 * v * v), abs=1e-2)
    assert float(result.active_power["G"]) == pytest.approx(float(result.drawn["L"] + result.losses), abs=1e-2)


def test_load_without_reactive_power_has_its_power_factor():
    points = [*SLACK, ("active_power", "L", 60e6)]
    tables = {
        "buses": buses("A", "B"),
        "branches": lines(line("AB", "A", "B")),
        "generators": {"name": ["G"], "bus": ["A"]},
    }
    result = steady(grid(points, loads={"name": ["L"], "bus": ["B"], "power_factor": [0.8]}, **tables))
    assert float(result.drawn_reactive["L"]) == pytest.approx(45e6)


def test_line_open_at_one_end_keeps_its_charging():
    """Seen from A: y11 - y12 y21 / y22 with y11 = y22 = 1/z + jb/2, y12 = y21 = -1/z."""
    b, z = 0.4, 0.02 + 0.1j
    switches = {"name": ["S"], "bus": ["B"], "branch": ["AB"]}
    branches = lines(line("AB", "A", "B", susceptance=b))
    tables = {
        "buses": buses("A", "B"),
        "branches": branches,
        "generators": {"name": ["G"], "bus": ["A"]},
        "switches": switches,
    }
    result = steady(grid([*SLACK, ("closed", "S", 0.0)], **tables))
    y = 1 / z + 0.5j * b
    S = 1.02**2 * (y - (1 / z) ** 2 / y).conjugate() * BASE
    assert float(result.active_power["G"]) == pytest.approx(S.real, abs=1e-2)
    assert float(result.reactive_power["G"]) == pytest.approx(S.imag, abs=1e-2)
    assert float(result.losses) == pytest.approx(S.real, abs=1e-2)
    assert [bus for bus, _ in result.dead] == ["B"]


def test_couplers_merge_buses_and_open_ones_part_them():
    tables = {
        "buses": buses("A", "B", "C"), "switches": {"name": ["K"], "bus": ["B"], "to_bus": ["C"]},
        "loads": {"name": ["L", "M"], "bus": ["B", "C"]},
    }  # fmt: skip
    points = [("active_power", "M", 10e6), ("reactive_power", "M", 5e6)]
    net = feeder(points=points, **tables)
    closed = steady(net)
    assert voltage(closed, "B") == voltage(closed, "C")
    assert voltage(closed, "B") == pytest.approx(voltage(steady(feeder(load=(70e6, 25e6))), "B"), abs=1e-13)
    opened = steady(net, [Known("closed", "K", 0.0)])
    assert voltage(opened, "B") == pytest.approx(voltage(steady(feeder()), "B"), abs=1e-13)
    assert [bus for bus, _ in opened.dead] == ["C"]
    assert np.isnan(float(opened.magnitude["C"]))


@pytest.mark.parametrize("sent", [50e6, 0.0, -50e6])
def test_direct_current_link_is_a_pair_of_injections(sent):
    """Received = sent - 1 MW - 2 % of |sent|; each end is a load or a source of its own bus."""
    links = {"name": ["D"], "from_bus": ["A"], "to_bus": ["B"], "loss_constant": [1e6], "loss_share": [0.02]}
    more = [("active_power", "D", sent), ("reactive_power_from", "D", 3e6), ("reactive_power_to", "D", 4e6)]
    result = steady(feeder(hvdc_links=links, points=more))
    received = sent - 1e6 - 0.02 * abs(sent)
    assert float(result.link_sent["D"]) == sent
    assert float(result.link_received["D"]) == pytest.approx(received, abs=0.1)  # |sent| is smoothed over 1 W
    alone = steady(feeder(load=(60e6 - received, 20e6 - 4e6)))
    assert voltage(result, "B") == pytest.approx(voltage(alone, "B"), abs=1e-9)
    swing = float(alone.active_power["G"]) + sent
    assert float(result.active_power["G"]) == pytest.approx(swing, abs=1.0)
    assert float(result.reactive_power["G"]) == pytest.approx(float(alone.reactive_power["G"]) - 3e6, abs=1.0)


def test_a_link_with_a_dead_end_is_named():
    links = {"name": ["D"], "from_bus": ["A"], "to_bus": ["C"]}
    result = steady(feeder(buses=buses("A", "B", "C"), hvdc_links=links, points=[("active_power", "D", 5e6)]))
    assert {"C", "D"} == {name for name, _ in result.dead}
    assert np.isnan(float(result.link_sent["D"]))


# ----------------------------------------------------------------------------------------------- references and islands


def islanded(*references):
    points = [(q, w, v) for g, bus in references for q, w, v in (("angle", bus, 0.1), ("magnitude", g, 1.01))]
    points += [(q, w, v) for w in ("L", "M") for q, v in (("active_power", 30e6), ("reactive_power", 10e6))]
    return grid(
        points,
        buses=buses("A", "B", "C", "D"), branches=lines(line("AB", "A", "B"), line("CD", "C", "D")),
        loads={"name": ["L", "M"], "bus": ["B", "D"]},
        generators={"name": [g for g, _ in references], "bus": [b for _, b in references]},
    )  # fmt: skip


def test_an_island_without_a_reference_is_dead_and_named():
    result = steady(islanded(("G", "A")))
    assert [bus for bus, _ in result.dead] == ["C", "D"]
    assert all("no energised path" in why for _, why in result.dead)
    assert np.isnan(float(result.magnitude["D"]))
    assert np.isnan(float(result.drawn["M"]))


def test_an_island_with_its_own_reference_is_solved():
    result = steady(islanded(("G", "A"), ("H", "C")))
    assert result.dead == ()
    assert voltage(result, "D") == pytest.approx(voltage(result, "B"), abs=1e-13)
    assert float(result.active_power["G"]) == pytest.approx(float(result.active_power["H"]))


def test_several_slacks_in_one_island_hold_their_angles():
    points = [("angle", "A", 0.0), ("magnitude", "G", 1.02), ("angle", "C", -0.05), ("magnitude", "H", 1.0)]
    points += [("active_power", "L", 60e6), ("reactive_power", "L", 20e6)]
    net = grid(
        points,
        buses=buses("A", "B", "C"), branches=lines(line("AB", "A", "B"), line("BC", "B", "C")),
        loads={"name": ["L"], "bus": ["B"]}, generators={"name": ["G", "H"], "bus": ["A", "C"]},
    )  # fmt: skip
    result = steady(net)
    assert voltage(result, "A") == 1.02
    assert polar(voltage(result, "C")) == pytest.approx((1.0, -0.05), abs=1e-14)
    made = float(result.active_power.sum())
    assert made == pytest.approx(60e6 + float(result.losses), abs=1e-3)


def test_a_grid_without_an_angle_names_its_buses():
    net = feeder()
    points = net["setpoints"].where(net["setpoints"]["quantity"] != "angle")
    with pytest.raises(NoReference, match="angle") as caught:
        steady(net.with_tables(setpoints=points))
    assert set(caught.value.missing) == {"A", "B"}


def test_two_voltages_at_one_bus_name_both():
    net = feeder(
        generators={"name": ["G", "H"], "bus": ["A", "A"]},
        points=[("magnitude", "H", 1.0), ("active_power", "H", 10e6)],
    )
    with pytest.raises(NotClosed, match="one voltage") as caught:
        steady(net)
    assert set(caught.value.twice) == {"G", "H"}


@pytest.mark.parametrize(
    ("points", "name"),
    [
        ([("magnitude", "H", 1.0)], "H"),  # a generator away from the reference without active power
        ([("active_power", "H", 10e6)], "H"),  # a generator without reactive power or voltage
    ],
)
def test_what_is_missing_at_a_generator_is_named(points, name):
    net = feeder(generators={"name": ["G", "H"], "bus": ["A", "B"]}, points=points)
    with pytest.raises(NotClosed, match=f"{name}: give its") as caught:
        steady(net)
    assert name in caught.value.missing


def test_a_load_without_active_power_is_named():
    net = feeder(loads={"name": ["L", "M"], "bus": ["B", "B"]})
    with pytest.raises(NotClosed, match="M") as caught:
        steady(net)
    assert caught.value.missing == ("M",)


def test_a_reference_with_all_its_power_given_is_too_much():
    with pytest.raises(NotClosed, match="too much is known"):
        steady(feeder(points=[("active_power", "G", 60e6)]))


def test_units_at_the_reference_share_by_size():
    net = feeder(
        generators={"name": ["G", "H"], "bus": ["A", "A"], "active_power_max": [300e6, 100e6]},
        points=[("magnitude", "H", 1.02)],
    )
    result = steady(net)
    assert float(result.active_power["G"]) == pytest.approx(3 * float(result.active_power["H"]))


def test_distributed_swing_keeps_set_points():
    """P = set-point + participation x signal in each island; a unit that takes no part keeps its set-point."""
    points = [
        ("magnitude", "H", 1.0), ("active_power", "H", 30e6), ("magnitude", "K", 1.0), ("active_power", "K", 5e6),
        ("active_power", "G", 10e6),
    ]  # fmt: skip
    net = feeder(
        buses=buses("A", "B", "C"), branches=lines(line("AB", "A", "B"), line("BC", "B", "C")),
        generators={"name": ["G", "H", "K"], "bus": ["A", "B", "C"], "participation": [1.0, 3.0, 0.0]}, points=points,
    )  # fmt: skip
    net = net.with_tables(setpoints=net["setpoints"])
    result = steady(net, distributed=True)
    G, H, K = (float(result.active_power[g]) for g in "GHK")
    assert pytest.approx(5e6) == K
    assert pytest.approx(3 * (G - 10e6), rel=1e-9) == H - 30e6
    assert pytest.approx(60e6 + float(result.losses), abs=1e-2) == G + H + K
    with pytest.raises(NotClosed):
        steady(net)  # without the shared swing the reference has too much given


# -------------------------------------------------------------------------------------------- what cannot be answered


def test_more_load_than_the_line_can_carry_is_refused_with_the_place_and_advice():
    with pytest.raises(NotConverged, match=r"balance of B.*take less load"):
        steady(feeder(load=(600e6, 200e6)))


@pytest.mark.parametrize("case", ["case14", "case118", "case300"])
def test_ten_times_the_load_of_a_case_does_not_converge_in_silence(case):
    from power.pandapower_arrays import file_of
    from serai.network import read

    net = read(file_of(case))
    t = net["setpoints"]
    ten = np.array([10.0 if str(w).startswith("load") else 1.0 for w in t["where"]])
    with pytest.raises(NotConverged, match=r"worst in the .* balance of bus \d+"):
        steady(net.with_tables(setpoints=t.replace(value=t["value"] * ten)), q_limits=False)


def test_no_answer_with_nan_is_accepted():
    with pytest.raises(SeraiError, match="finite"):
        Known("active_power", "L", nan)
    with pytest.raises(NotConverged):
        refuse_mismatch(nan, "power balance of B")


def test_a_voltage_below_zero_is_refused():
    """(-V, a) satisfies the equations like (V, a + pi) and means nothing."""
    net = feeder()
    system = System(net, net.knowns())
    x = system.equations.columns.start()
    refuse_impossible(system, x)
    x[system.equations.columns.find("magnitude", "B")] = -0.98
    with pytest.raises(PhysicsRefused, match="voltage") as caught:
        refuse_impossible(system, x)
    assert list(caught.value.elements) == ["B"]


# ------------------------------------------------------------------------------------------------------- the balance


@st.composite
def grids(draw):
    """A tree of 2 to 12 buses with some rings, taps, shifts, loads of every kind, a shunt and generators."""
    n = draw(st.integers(2, 12))
    number = st.floats(0.0, 1.0, allow_nan=False)
    rows = []
    joined = [(draw(st.integers(0, k - 1)), k) for k in range(1, n)]
    for _ in range(draw(st.integers(0, 4)) if n > 2 else 0):
        a, b = draw(st.integers(0, n - 1)), draw(st.integers(0, n - 1))
        if a != b:
            joined.append((a, b))
    for k, (a, b) in enumerate(joined):
        rows.append(
            line(
                f"branch {k}", f"bus {a}", f"bus {b}", r=0.001 + 0.02 * draw(number), x=0.005 + 0.05 * draw(number),
                susceptance=0.05 * draw(number), tap_ratio=0.97 + 0.06 * draw(number),
                phase_shift=0.02 * (draw(number) - 0.5),
            )
        )  # fmt: skip
    at = [draw(st.integers(0, n - 1)) for _ in range(draw(st.integers(1, 6)))]
    share = [0.3 * draw(number) if draw(st.booleans()) else 0.0 for _ in at]
    loads = {
        "name": [f"load {k}" for k in range(len(at))], "bus": [f"bus {b}" for b in at],
        "constant_impedance_active": share, "constant_current_reactive": share,
    }  # fmt: skip
    units = sorted({draw(st.integers(1, n - 1)) for _ in range(draw(st.integers(0, 3)))})
    generators = {"name": ["G", *(f"unit {b}" for b in units)], "bus": ["bus 0", *(f"bus {b}" for b in units)]}
    points = [("angle", "bus 0", 0.3), ("magnitude", "G", 1.0 + 0.02 * draw(number))]
    for name in loads["name"]:
        points += [("active_power", name, 8e6 * draw(number)), ("reactive_power", name, 4e6 * draw(number))]
    for b in units:
        points += [("active_power", f"unit {b}", 10e6 * draw(number)), ("magnitude", f"unit {b}", 1.0)]
    shunts = {
        "name": ["S"],
        "bus": [f"bus {n - 1}"],
        "active_power": [1e5],
        "reactive_power": [5e6 * (draw(number) - 0.5)],
    }
    names = [f"bus {k}" for k in range(n)]
    return grid(points, buses=buses(*names), branches=lines(*rows), loads=loads, generators=generators, shunts=shunts)


@settings(max_examples=60, deadline=None)
@given(grids())
def test_generation_is_load_and_losses(net):
    result = steady(net)
    v = float(result.magnitude[net["shunts"]["bus"][0]])
    made, drawn = float(result.active_power.sum()), float(result.drawn.sum()) + 1e5 * v * v
    assert abs(made - drawn - float(result.losses)) <= 1e-9 * BASE
    assert result.mismatch <= 1e-9
    assert float(result.losses) >= 0.0
    flows = result.active_power_from.values + result.active_power_to.values
    assert float(flows.sum()) == pytest.approx(float(result.losses), abs=1e-9 * BASE)
    assert phase(voltage(result, "bus 0")) == pytest.approx(0.3, abs=1e-15)
