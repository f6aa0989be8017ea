# SPDX-License-Identifier: Apache-2.0
"""Estimates of gas, and of gas and power together, against a dense solution of the same problem (`dense.py`)."""

from functools import cache

import numpy as np
import pytest

import serai as sr
from estimate.dense import Dense
from gas.test_gaslib import NETS, stated
from serai.estimate import Estimator, Meter, estimate
from serai.known import Known
from serai.network import table
from serai.network.instruments import instruments
from serai.simulate.measured import measured

SAME = 1e-8  # of every unknown beside its scale, of J, of every variance


def readings(net, truth, meters, sigmas, seed):
    z = np.array([float(measured(truth, m.quantity, m.where)) for m in meters])
    z += np.array(sigmas) * np.random.default_rng(seed).standard_normal(len(z))
    return z, [Known(m.quantity, m.where, v, e) for m, v, e in zip(meters, z, sigmas, strict=True)]


def agree(dense, z, sigmas, found, steps=12):
    meters = found.meters
    x, J, spread, residuals, omega = dense.solve(meters, z, np.asarray(sigmas), dense.start(found), steps=steps)
    ours = dense.start(found)
    assert np.abs((ours - x) / np.maximum(np.abs(x), dense.scale)).max() < SAME
    assert abs(found.objective - J) < SAME * J
    assert np.abs(found.residuals - residuals).max() < SAME * np.abs(z).max()
    checked = omega > 1e-7 * np.asarray(sigmas) ** 2
    assert np.abs(found.omega[checked] / omega[checked] - 1.0).max() < 1e-6
    assert {m.where for m in found.critical} == {m.where for m, c in zip(meters, checked, strict=True) if not c}
    return spread


def test_gaslib_11(data):
    net = sr.read(data / "gas/gaslib/GasLib-11.zip")
    setpoints = stated("GasLib-11")
    truth = sr.steady(net, setpoints)
    meters = [Meter("pressure", n) for n in net["gas_nodes"].names]
    meters += [Meter("flow", n) for kind in ("pipes", "compressors") for n in net[kind].names]
    meters += [Meter("supply", n) for n in net["supplies"].names]
    meters += [Meter("withdrawal", n) for n in net["offtakes"].names]
    sigmas = [4e3 if m.quantity == "pressure" else 0.5 for m in meters]
    z, knowns = readings(net, truth, meters, sigmas, 1)
    found = estimate(net, knowns, setpoints=setpoints)
    assert found.converged, found.reason
    assert found.mismatch < 1e-9
    assert not found.unobservable
    dense = Dense(net, setpoints)
    spread = agree(dense, z, sigmas, found)
    for quantity, name in (("pressure", net["gas_nodes"].names[3]), ("flow", net["pipes"].names[2])):
        column = dense.eq.columns[quantity].index[name]
        assert found.sigma(quantity, name) == pytest.approx(spread[column], rel=1e-6)


def gas_only(net):
    """The gas of the country alone, and the set-points of its plants: what they burn is an offtake of their node."""
    whole = sr.steady(net)
    plants, burnt = net["plants"], {}
    for k, name in enumerate(plants.names):
        node = str(plants["gas_node"][k])
        burnt[node] = burnt.get(node, 0.0) + float(whole.plant_fuel[name])
    fuel = table("offtakes", [{"name": f"plants at {n}", "node": n, "kind": "power plant"} for n in burnt])
    offtakes = net["offtakes"]
    joined = {c: np.concatenate([v, fuel.columns[c]]) for c, v in offtakes.columns.items()}
    gone = ("buses", "lines", "transformers", "loads", "generators", "shunts", "plants")
    tables = {kind: net[kind].where(np.zeros(len(net[kind]), bool)) for kind in gone}
    drives = net["drives"]
    t, i = net["setpoints"], net["instruments"]
    kept = [net.kind_of(w) not in gone and q != "drive_power" for q, w in zip(i["quantity"], i["where"], strict=True)]
    tables |= {
        "offtakes": offtakes.replace(**joined), "drives": drives.where(drives["kind"] == "gas turbine"),
        "supplies": net["supplies"].replace(needs_power=[""] * len(net["supplies"])),
        "setpoints": t.where(~np.isin(t["quantity"], ("active_power", "reactive_power", "magnitude", "angle"))),
        "instruments": i.where(np.array(kept)),
    }  # fmt: skip
    return net.with_tables(**tables), [Known("withdrawal", f"plants at {n}", v) for n, v in burnt.items()]


def zone_of(net, inlet):
    """What pipes and short pipes join to a node, the rest out of service, and a supply at that node."""
    pairs = [(str(a), str(b)) for kind in ("pipes", "short_pipes")
             for a, b in zip(net[kind]["from_node"], net[kind]["to_node"], strict=True)]  # fmt: skip
    inside, before = {inlet}, set()
    while inside != before:
        before = inside
        inside = inside | {b for a, b in pairs if a in inside} | {a for a, b in pairs if b in inside}
    lost = [n for n in net["gas_nodes"].names if n not in inside]
    for kind, end in (("pipes", "from_node"), ("short_pipes", "from_node"), ("supplies", "node"), ("offtakes", "node")):
        lost += [n for n, at in zip(net[kind].names, net[kind][end], strict=True) if str(at) not in inside]
    lost += [n for kind in ("control_valves", "valves", "compressors", "resistors") for n in net[kind].names]
    left = net.with_status(lost)
    supplies = table("supplies", [{"name": "regulator", "node": inlet}])
    columns = {c: np.concatenate([v, supplies.columns[c]]) for c, v in left["supplies"].columns.items()}
    return left.with_tables(supplies=left["supplies"].replace(**columns))


@pytest.mark.parametrize("seed", range(4))
def test_a_zone_of_gaslib_582_that_carries_almost_nothing(data, seed):
    """90 nodes at 4 bar fed by one regulator with 0.9 kg/s: meters of 0.2 kg/s, most flows zero but for their noise.

    Gauss's steps alone wander here for ever, for the bends of the laws rule. Whether a state is stationary does not
    depend on them: the reference takes one full step from the answer and must stay there.
    """
    net = zone_of(sr.read(data / "gas/gaslib" / NETS["GasLib-582"][0]), "innode_367")
    net = net.with_status(["shortPipe_60"])  # opens a ring of short pipes, whose circulation the reference leaves open
    setpoints = [Known("pressure", "regulator", 4e5)]
    truth = sr.steady(net, setpoints)
    meters = [Meter("pressure", n) for n in net.active("gas_nodes").names]
    meters += [Meter("flow", n) for n in net.active("pipes").names[::2]]
    meters += [Meter("supply", n) for n in net.active("supplies").names]
    meters += [Meter("withdrawal", n) for n in net.active("offtakes").names]
    sigmas = [4e3 if m.quantity == "pressure" else 0.2 for m in meters]
    z, knowns = readings(net, truth, meters, sigmas, seed)
    found = estimate(net, knowns)
    assert found.converged, found.reason
    assert not found.problem.frame.steady  # a cold start
    agree(Dense(net), z, sigmas, found, steps=1)


@cache
def turkmenistan():
    return sr.read("turkmenistan")


@pytest.mark.parametrize("part", ["gas", "whole"])
def test_turkmenistan(part):
    net, setpoints = gas_only(turkmenistan()) if part == "gas" else (turkmenistan(), [])
    truth = sr.steady(net, setpoints)
    own = {i.tag: i for i in instruments(net)}
    meters = [*Estimator(net).meters, *(Meter(k.quantity, k.where) for k in setpoints)]
    exact = np.array([float(measured(truth, m.quantity, m.where)) for m in meters])
    sigmas = np.array([own[m.tag].sigma_at(v) if m.tag else 0.01 * v for m, v in zip(meters, exact, strict=True)])
    if part == "whole":
        assert len(sigmas) == 837
    z, knowns = readings(net, truth, meters, sigmas, 2)
    found = estimate(net, knowns, setpoints=setpoints)
    assert found.converged, found.reason
    assert found.mismatch < 1e-9
    agree(Dense(net, setpoints), z, sigmas, found)
    # the truth lies where the estimate says: within five standard deviations of everything metered
    told = np.array([found.sigma(m.quantity, m.where) for m in found.meters[::25]])
    assert np.all(np.abs(found.estimated[::25] - exact[::25]) < 5.0 * told)
