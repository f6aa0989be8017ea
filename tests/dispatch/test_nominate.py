# SPDX-License-Identifier: Apache-2.0
"""Nomination checks against brute force, the published nominations and bad input."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import serai as sr
from dispatch.small_gas import everything
from serai import Known
from serai.cli import app
from serai.dispatch.nominate import nominate
from serai.dispatch.nomination_machines import envelopes
from serai.dispatch.nomination_model import BAR, pose
from serai.errors import BadNomination, SeraiError, UnknownName

TOWNS = ("Town A gas", "Town B gas")


def demand(size):
    return dict.fromkeys(TOWNS, size)


def least_violation(net, size):
    """Return the smallest worst violation [bar] of a pressure limit over a grid of all that can be set."""
    best = np.inf
    for pressure in np.linspace(40e5, 75e5, 8):
        for ratio in (1.0, *np.linspace(1.05, 1.6, 7)):
            station = Known("open", "Station", 1.0) if ratio == 1.0 else Known("ratio", "Station", ratio)
            knowns = [Known("pressure", "Field supply", pressure), station]
            try:
                result = sr.steady(net, [*knowns, *(Known("withdrawal", t, size) for t in TOWNS)])
            except SeraiError:
                continue
            t, p = net["gas_nodes"], result.pressure.values
            off = np.maximum(t["pressure_min"] - p, p - t["pressure_max"]).max() / BAR
            best = min(best, max(float(off), 0.0))
    return best


@pytest.mark.parametrize("size", [60.0, 132.0, 150.0, 190.0, 230.0])
def test_the_answer_agrees_with_brute_force(size):
    """Truth: every field pressure and ratio on a grid. Where one keeps all limits the answer is feasible."""
    net = sr.read("loop_with_station")
    best = least_violation(net, size)
    found = nominate(net, demand(size))
    if best == 0.0:
        assert found.status == "feasible"
    if found.status == "feasible":
        again = sr.steady(net, found.knowns)
        assert not again.breaks()
        assert again.mismatch <= 1e-6
        assert all(float(again.delivered[t]) == pytest.approx(size, rel=1e-9) for t in TOWNS)
    else:
        assert found.status == "infeasible"
        assert 0.0 < found.proof.violation <= best
        # within what a grid of 5 bar and a relaxation leave open, the bound is not idle
        assert best == np.inf or found.proof.violation >= 0.5 * best - 5.0
        assert found.proof.irreducible
        assert "high" in {side for _, side, _ in found.proof.binding}


def test_both_answers_occur_above():
    net = sr.read("loop_with_station")
    assert nominate(net, demand(60.0)).status == "feasible"
    assert nominate(net, demand(230.0)).status == "infeasible"


def test_each_binding_limit_is_needed():
    """Truth: without either limit of the proof the nomination is not proven infeasible any more."""
    net = sr.read("loop_with_station")
    proof = nominate(net, demand(230.0)).proof
    for element, side, _ in proof.binding:
        t = net["gas_nodes"]
        column = t[f"pressure_{'min' if side == 'low' else 'max'}"].copy()
        column[t.row(element)] = 0.1e5 if side == "low" else 130e5
        wider = {f"pressure_{'min' if side == 'low' else 'max'}": column}
        loose = nominate(net.with_tables(gas_nodes=t.replace(**wider)), demand(230.0))
        assert loose.proof is None or loose.proof.violation < proof.violation


def test_a_network_with_everything():
    net = everything()
    found = nominate(net, swing="field")
    assert found.status == "feasible"
    assert found.mismatch <= 1e-6
    assert not sr.steady(net, found.knowns).breaks()
    t = net["pipes"]
    longer = net.with_tables(pipes=t.replace(length=8.0 * t["length"]))
    assert nominate(longer, {"town C": 80.0, "town G": 110.0}).status == "infeasible"


def test_the_flow_limits_alone_can_forbid():
    net = everything()
    t = net["control_valves"]
    tight = net.with_tables(control_valves=t.replace(flow_max=np.array([20.0])))
    found = nominate(tight)
    assert found.status == "infeasible"
    assert ("valve to D", "high", 20.0) in found.proof.binding
    assert found.proof.violation == pytest.approx(10.0, abs=1e-3)  # 30 kg/s are taken behind it


def behind_a_low_field():
    """The bundled loop with a field that gives at most 45 bar, so that its towns need the station."""
    net = sr.read("loop_with_station")
    t = net["gas_nodes"]
    high = t["pressure_max"].copy()
    high[t.row("Field")] = 45e5
    return net.with_tables(gas_nodes=t.replace(pressure_max=high))


def test_a_station_runs_where_it_must():
    found = nominate(behind_a_low_field(), demand(100.0))
    assert found.status == "feasible"
    assert {k.quantity for k in found.setpoints} == {"pressure", "ratio"}
    assert float(found.result.power["Station"]) <= 12e6
    assert found.result.fuel_total > 0.0


def test_a_station_without_the_power_is_proven_too_weak():
    """100 kg/s a town at 45 bar need about 1.2 times the pressure: 5 MW; 0.5 MW is installed."""
    net = behind_a_low_field()
    found = nominate(
        net.with_tables(compressors=net["compressors"].replace(power_max=np.array([0.5e6]))), demand(100.0)
    )
    assert found.status == "infeasible"
    assert found.proof.violation > 1.0


def test_what_is_undecided_comes_with_its_violation():
    """Two stations side by side with 1.65 MW each: one with 3.3 MW is proven too weak above, but the relaxation lets
    either of two carry next to nothing, at any ratio. So there is no proof; the exact laws find no set-points either.
    """
    net = behind_a_low_field()
    t = net["compressors"]
    row = {c: t[c][0] for c in t.columns}
    pair = [{**row, "name": name, "power_max": 1.65e6} for name in ("Station", "Station 2")]
    found = nominate(net.with_tables(compressors=sr.table("compressors", pair)), demand(90.0), seconds=15.0)
    assert found.status == "undecided"
    assert found.proof is None
    assert found.tried >= 1
    assert found.result is not None
    assert found.mismatch <= 1e-6
    assert 0.0 < found.violation == max(b.share for b in found.broken)
    assert found.broken[0].element in repr(found)


@pytest.mark.parametrize(("size", "code", "word"), [("1", 0, "feasible"), ("4", 1, "infeasible")])
def test_the_command_answers_with_its_exit_code(size, code, word, tmp_path):
    out = tmp_path / "setpoints.csv"
    done = CliRunner().invoke(app, ["nominate", "loop_with_station", "--scale", size, "--json", "--out", str(out)])
    assert done.exit_code == code, done.stderr
    assert json.loads(done.stdout)["status"] == word
    assert out.exists() == (code == 0)


# ------------------------------------------------------------------------------------------------------------ bad input


def test_bad_input_is_named():
    net = everything()
    with pytest.raises(UnknownName, match="town X"):
        nominate(net, {"town X": 1.0})
    with pytest.raises(BadNomination, match="A has no supply or offtake"):
        nominate(net, {"A": 1.0})
    with pytest.raises(BadNomination, match="station is one of compressors"):
        nominate(net, {"station": 1.0})
    with pytest.raises(BadNomination, match=r"town C: 95 kg/s is beyond its limits.*field: 300 kg/s is beyond") as both:
        nominate(net, {"field": 300.0, "town C": 95.0})
    assert len(both.value.mistakes) == 3  # the balance too
    with pytest.raises(BadNomination, match=r"does not balance: exits exceed entries by 10 of 80 kg/s"):
        nominate(net, {"field": 70.0})
    with pytest.raises(BadNomination, match="finite"):
        nominate(net, {"field": float("nan")})
    with pytest.raises(SeraiError, match="power grid"):
        nominate(sr.read("four_buses"))


def test_a_node_stands_for_its_only_supply_or_offtake():
    found = nominate(everything(), {"C": 40.0})
    assert {k.where: k.value for k in found.knowns if k.quantity == "withdrawal"} == {"town C": 40.0, "town G": 30.0}


def test_a_time_limit_is_answered():
    found = nominate(everything(), seconds=0.0)
    assert found.status == "undecided"
    assert found.knowns == ()
    assert np.isinf(found.violation)
    assert "undecided" in repr(found)


# ------------------------------------------------------------------------------------------------------------ published

PUBLISHED = {"GasLib-11": ".zip", "GasLib-24": ".zip", "GasLib-40": ".zip"}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_nominations_are_feasible(data, name):
    """GasLib's nominations are meant to be feasible (Schmidt et al. 2017, Data 2(4):40)."""
    net = sr.read(data / "gas" / "gaslib" / f"{name}{PUBLISHED[name]}")
    found = nominate(net)
    assert found.status == "feasible"
    assert found.mismatch <= 1e-6
    assert not found.result.breaks()
    nominated = {k.where: k.value for k in net.knowns()}
    total = sum(v for n, v in nominated.items() if n.startswith("supply"))
    fuel = float(found.result.fuel_total) if "fuel_total" in found.result.dataset else 0.0
    for where, value in nominated.items():
        kind = found.result.supplied if where.startswith("supply") else found.result.delivered
        extra = fuel if where == found.swing else 0.0
        assert float(kind[where]) == pytest.approx(value + extra, abs=1e-6 * total)


def test_a_scaled_nomination_is_proven_infeasible(data):
    """GasLib-11 with twice its flows; no exact state of a random search comes below the bound."""
    net = sr.read(data / "gas" / "gaslib" / "GasLib-11.zip")
    flows = {k.where: 2.0 * k.value for k in net.knowns()}
    proof = nominate(net, flows).proof
    assert proof.violation > 1.0
    assert proof.irreducible
    rng = np.random.default_rng(7)
    nominated = [Known("supply" if n.startswith("supply") else "withdrawal", n, v) for n, v in flows.items()]
    seen = 0
    for _ in range(60):
        knowns = [Known("pressure", "supply entry01", rng.uniform(40e5, 72e5)), Known("open", "valve1", 0.0)]
        knowns = [k for k in knowns if k.where in net]
        for station in net["compressors"].names:
            knowns.append(Known("ratio", station, rng.uniform(1.0, 1.7)))
        try:
            p = sr.steady(net, [*nominated, *knowns]).pressure.values
        except SeraiError:
            continue
        seen += 1
        t = net["gas_nodes"]
        assert np.maximum(t["pressure_min"] - p, p - t["pressure_max"]).max() / BAR >= proof.violation
    assert seen >= 10


def test_measured_points_lie_inside_the_diagrams(data):
    """Truth: the points that GasLib lists as measured; its fits are off by up to 3 kJ/kg at the ends of the lines."""
    net = sr.read(data / "gas" / "gaslib" / "GasLib-135.zip")
    task = pose(net)
    found = envelopes(net, task.fluid, np.full(29, 40e5), np.full(29, 70e5), task.kappa)
    machines = {m.name: m for e in found.values() for stages in e.configurations.values() for s in stages for m in s}
    points = net["machine_points"]
    count = 0
    for k in range(0, len(points), 5):
        machine = machines[str(points["machine"][k])]
        Q, H = float(points["volumetric_flow"][k]), float(points["adiabatic_head"][k])
        if points["set"][k] != "characteristic diagram":
            continue
        off = machine.outside(Q, H, 1.0)
        assert max(off[b] for b in ("largest speed", "smallest speed", "surge line")) < 3.0
        low_q, high_q, low_h, high_h = machine.extent()
        assert low_q <= Q <= high_q
        assert low_h <= H <= high_h
        count += 1
    assert count > 50
