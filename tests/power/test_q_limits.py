# SPDX-License-Identifier: Apache-2.0
"""Reactive power limits: every bus with generators meets complementarity, checked from tables and results alone.

    Q inside its limits and V at its set-point,   or   Q at the upper limit and V <= set-point,
                                                  or   Q at the lower limit and V >= set-point

Exempt: reference buses, which have no one to hand their voltage to (their Q is reported by `breaks`). A range of zero
(Qmin = Qmax) is both limits at once, so V may lie on either side. Differences from pandapower's `enforce_q_lims`, which
never gives a voltage back, stand in docs/q-limits.md; benchmarks/q_limits.py writes them.
"""

import numpy as np
import pytest

from power.pandapower_arrays import file_of, largest_difference, solved, voltages
from serai.network import read
from serai.network.network import Network
from serai.network.tables import table
from serai.simulate.steady import steady

CASES = ["case14", "case30", "case57", "case118", "case300", "case1354pegase", "case2869pegase", "case9241pegase"]
SWITCHED = {"case118": 6, "case300": 10, "case1354pegase": 25, "case2869pegase": 72, "case9241pegase": 196}
TOLERANCE = 1e-6  # of the base power, and per unit of voltage


def broken(network, result):
    """Every bus with generators whose reactive power and voltage do not fit each other: (bus, sentence)."""
    t = network.active("generators")
    known = {(k.where, k.quantity): k.value for k in network.knowns()}
    exempt = {k.where for k in network.knowns() if k.quantity == "angle"}
    exempt |= {str(t["bus"][t.row(g)]) for g in exempt if g in t}
    at = {}
    for k, name in enumerate(t.names):
        if (name, "magnitude") in known:
            at.setdefault(str(t["bus"][k]), []).append(k)
    Q = result.reactive_power.sel(generator=list(t.names)).values
    low, high = t["reactive_power_min"], t["reactive_power_max"]
    slack = TOLERANCE * network.base_power
    out = []
    for bus, those in at.items():
        if bus in exempt:
            continue
        v, target = float(result.magnitude[bus]), known[t.names[those[0]], "magnitude"]
        if any(Q[k] > high[k] + slack or Q[k] < low[k] - slack for k in those):
            out.append((bus, "reactive power beyond a limit"))
        upper, lower = all(Q[k] >= high[k] - slack for k in those), all(Q[k] <= low[k] + slack for k in those)
        if v < target - TOLERANCE and not upper:
            out.append((bus, f"voltage {v - target:.1e} below its set-point without being at the upper limit"))
        if v > target + TOLERANCE and not lower:
            out.append((bus, f"voltage {v - target:.1e} above its set-point without being at the lower limit"))
    return out


@pytest.mark.parametrize("case", CASES)
def test_every_bus_meets_complementarity(case):
    network = read(file_of(case))
    result = steady(network)
    assert broken(network, result) == []
    assert result.mismatch <= 1e-9
    assert len(result.modes) == SWITCHED.get(case, 0)


@pytest.mark.parametrize("case", CASES[:-1])
def test_same_answer_as_pandapower_where_it_need_not_switch_back(case):
    theirs, _ = solved(case, q_limits=True)
    assert largest_difference(voltages(steady(read(file_of(case)))), theirs) <= 1e-8


def test_the_check_finds_what_is_wrong():
    network = read(file_of("case118"))
    found = dict(broken(network, steady(network, q_limits=False)))
    assert len(found) >= 6
    assert set(found.values()) == {"reactive power beyond a limit"}


def feeder(limits, load=(80e6, 40e6), **known):
    """A strong bus, a line, and a bus with a load and generators of the given (Qmin, Qmax) [Mvar]."""
    n = len(limits)
    names = [f"G{k + 1}" for k in range(n)]
    points = [
        ("angle", "A", 0.0), ("magnitude", "source", 1.0),
        ("active_power", "L", load[0]), ("reactive_power", "L", load[1]),
        *((q, g, v) for g in names for q, v in (("active_power", 0.0), ("magnitude", known.get("held", 1.0)))),
    ]  # fmt: skip
    tables = {
        "buses": table("buses", name=["A", "B"], voltage=[220e3, 220e3]),
        "branches": table(
            "branches", name=["line"], from_bus=["A"], to_bus=["B"], resistance=[0.02], reactance=[0.1],
        ),
        "loads": table("loads", name=["L"], bus=["B"]),
        "generators": table(
            "generators", name=["source", *names], bus=["A", *["B"] * n],
            reactive_power_min=[np.nan, *(low * 1e6 for low, _ in limits)],
            reactive_power_max=[np.nan, *(high * 1e6 for _, high in limits)],
        ),
        "setpoints": table("setpoints", [{"quantity": q, "where": w, "value": v} for q, w, v in points]),
    }  # fmt: skip
    return Network(tables={k: t for k, t in tables.items() if len(t)})


def test_free_within_wide_limits():
    result = steady(feeder([(-100.0, 100.0)]))
    assert float(result.magnitude["B"]) == 1.0
    assert not result.modes


@pytest.mark.parametrize("limits", [(-10.0, 20.0), (np.nan, 20.0)])
def test_upper_limit_lets_the_voltage_fall(limits):
    result = steady(feeder([limits]))
    assert result.modes == ((0.0, "B", "reactive limit, upper"),)
    assert float(result.reactive_power["G1"]) == pytest.approx(20e6, rel=1e-12)
    assert float(result.magnitude["B"]) < 1.0


@pytest.mark.parametrize("limits", [(-10.0, 20.0), (-10.0, np.nan)])
def test_lower_limit_lets_the_voltage_rise(limits):
    result = steady(feeder([limits], load=(-80e6, -60e6)))
    assert result.modes == ((0.0, "B", "reactive limit, lower"),)
    assert float(result.reactive_power["G1"]) == pytest.approx(-10e6, rel=1e-12)
    assert float(result.magnitude["B"]) > 1.0


@pytest.mark.parametrize("limits", [(np.nan, -90.0), (np.nan, np.nan), (-90.0, np.nan)])
def test_one_side_without_a_limit_never_binds(limits):
    load = (-80e6, -150e6) if limits[1] == -90.0 else (80e6, 40e6)
    result = steady(feeder([limits], load=load))
    assert float(result.magnitude["B"]) == 1.0
    assert not result.modes


def test_zero_range_is_a_generator_of_fixed_reactive_power():
    result = steady(feeder([(15.0, 15.0)]))
    assert float(result.reactive_power["G1"]) == pytest.approx(15e6, rel=1e-12)
    assert float(result.magnitude["B"]) < 1.0


def test_generators_of_a_bus_share_by_their_ranges_and_meet_their_limits_together():
    inside = steady(feeder([(-30.0, 60.0), (-10.0, 20.0), (5.0, 5.0)]))
    Q = [float(inside.reactive_power[g]) / 1e6 for g in ("G1", "G2", "G3")]
    assert Q[2] == pytest.approx(5.0)
    assert (Q[0] + 30.0) / 90.0 == pytest.approx((Q[1] + 10.0) / 30.0)
    outside = steady(feeder([(-30.0, 10.0), (-10.0, 20.0), (5.0, 5.0)]))
    assert outside.reactive_power.sel(generator=["G1", "G2", "G3"]).values == pytest.approx([10e6, 20e6, 5e6])


def test_a_voltage_is_taken_back():
    """Two limits reached at once by the first guess; with the first at its limit the second is no longer at its own."""
    network = read(file_of("case9241pegase"))
    ours, (theirs, _) = steady(network), solved("case9241pegase", q_limits=True)
    kept = {name for _, name, _ in ours.modes}
    assert "bus 6753" not in kept  # pandapower leaves it at its lower limit, below its set-point
    known = {k.where: k.value for k in network.knowns() if k.quantity == "magnitude"}
    t = network.active("generators")
    target = next(known[g] for k, g in enumerate(t.names) if t["bus"][k] == "bus 6753")
    assert abs(theirs["bus 6753"]) < target - 1e-6
    assert float(ours.magnitude["bus 6753"]) == pytest.approx(target, abs=1e-12)
