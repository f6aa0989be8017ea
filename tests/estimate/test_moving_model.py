# SPDX-License-Identifier: Apache-2.0
"""Pipes parted at stations: the step against mass and the steady line, the slopes against differences."""

from dataclasses import replace
from math import pi

import numpy as np
import pytest

import serai as sr
from estimate.moving_line import PIPES, SCAN, START, USUAL, network
from serai.errors import SeraiError
from serai.estimate.moving_model import Pipes, exchanges, parted
from serai.network import Network, table
from serai.simulate.certificate import stored
from simulate.small import line, line_knowns, outlet_pressure

USUALLY = np.array(list(USUAL.values()))


@pytest.fixture(scope="module")
def pipes():
    return Pipes(network(), exchanges(network(), USUAL), cell=15e3, scan=SCAN)


@pytest.fixture(scope="module")
def settled(pipes):
    x = pipes.start(START)
    u = np.array([x.flow for x in pipes.exchanges])
    for _ in range(30):
        x = pipes.step(x, u, pipes.efficiency)
    return x, u


def test_a_station_is_an_exchange_with_both_of_its_sides(pipes):
    assert [x.where for x in pipes.exchanges] == ["field", "town", "export", "CS"]
    W = pipes.W[: pipes.shown]
    assert W[:, 3].tolist() == [0.0, 1.0, -1.0, 0.0, 0.0]  # out at B, in at C
    assert W[:, 0].tolist() == [-1.0, 0.0, 0.0, 0.0, 0.0]
    assert "compressors" not in parted(network()).tables


def test_what_enters_stays_or_leaves(pipes, settled):
    """Mass: the linepack changes by what the exchanges leave, to round-off of the solver."""
    x, u = settled
    u = u * np.array([1.1, 0.9, 1.05, 0.97])
    spilt = np.zeros(len(pipes.nodes))
    spilt[pipes.nodes.index("CD [3/6]")] = 4.0
    after = pipes.step(x, u, pipes.efficiency, spilt)
    change = stored(pipes.system, after).sum() - stored(pipes.system, x).sum()
    assert change == pytest.approx((u[0] - u[1] - u[2] - 4.0) * SCAN, abs=1e-3)


def test_at_rest_it_is_the_textbook_line():
    """A level ideal-gas line at constant flow settles at p2 = sqrt(p1^2 - K m^2) (by hand, `simulate.small`)."""
    net, m = line(), 50.0
    pipes = Pipes(net, exchanges(net, {("supply", "field"): m, ("withdrawal", "town"): m}), cell=10e3, scan=3600.0)
    x = pipes.start({"A": 60e5, "B": 55e5})
    for _ in range(400):
        x = pipes.step(x, np.array([m, m]), pipes.efficiency)
    p = pipes.pressures(x)
    assert p[1] == pytest.approx(outlet_pressure(m, p[0]), rel=1e-7)
    assert sr.steady(net, line_knowns(m, p[0])).pressure["B"] == pytest.approx(p[1], rel=1e-7)


def test_slopes_are_those_of_the_step(pipes, settled):
    """Central differences of the exact step, 20 Pa, 0.01 kg/s and 1e-4 of an efficiency wide."""
    x, u = settled
    e = pipes.efficiency
    x = pipes.step(x, u, e)
    s = pipes.slopes(x, u, e)
    # the slopes hold where the step ends, so they are compared from a state at rest in time
    for _ in range(3000):
        x = pipes.step(x, u, e)
    s = pipes.slopes(x, u, e)

    def end(p=0.0, du=0.0, de=0.0, spilt=None):
        return pipes.pressures(pipes.step(pipes.put(x, pipes.pressures(x) + p), u + du, e + de, spilt))

    for k in (0, 3, 8, len(pipes.nodes) - 1):
        one = np.eye(len(pipes.nodes))[k]
        assert (end(p=20.0 * one) - end(p=-20.0 * one)) / 40.0 == pytest.approx(s.A[:, k], abs=2e-6)
        assert (end(spilt=0.01 * one) - end(spilt=-0.01 * one)) / 0.02 == pytest.approx(s.T[:, k], rel=1e-4, abs=0.05)
    for k in range(3):
        one = np.eye(3)[k] * 1e-4
        rise = (end(de=one) - end(de=-one)) / 2e-4
        assert rise == pytest.approx(s.G[:, k], rel=1e-3, abs=1e-3 * np.abs(s.G).max())
    out = (end(du=0.01 * np.eye(4)[3]) - end(du=-0.01 * np.eye(4)[3])) / 0.02
    assert out == pytest.approx((s.T @ pipes.W)[:, 3], rel=1e-4, abs=0.05)


def test_places_and_cells(pipes):
    assert pipes.cuts() == {"AB": 4, "CD": 6, "DE": 5}
    assert pipes.place(pipes.nodes.index("CD [3/6]")) == ("CD", 0.5)
    assert pipes.place(pipes.nodes.index("D")) == ("D", 0.0)
    volume = sum(pi * 0.9**2 / 4 * x for *_, x in PIPES.values())
    assert pipes.system.gas.volume.sum() == pytest.approx(volume, rel=1e-12)


def test_a_start_from_few_pressures_takes_the_nearest(pipes):
    p = pipes.pressures(pipes.start({"A": 60e5, "E": 50e5}))
    assert p[pipes.nodes.index("AB [2/4]")] == 60e5
    assert p[pipes.nodes.index("C")] == 50e5


def test_no_pipes_is_said():
    nodes = table("gas_nodes", [{"name": "A"}])
    with pytest.raises(SeraiError, match="no pipes"):
        parted(Network(name="bare", tables={"gas_nodes": nodes}))


def test_a_node_between_two_stations_is_left_out():
    net = network()
    extra = [{"name": "CS", "from_node": "B", "to_node": "M"}, {"name": "CS2", "from_node": "M", "to_node": "C"}]
    nodes = table("gas_nodes", [{"name": n} for n in "ABCDEM"])
    net = net.with_tables(gas_nodes=nodes, compressors=table("compressors", extra))
    pipes = Pipes(replace(net, _kinds={}), exchanges(net, USUAL), cell=15e3, scan=SCAN)
    assert "M" not in pipes.nodes
    assert [x.at for x in pipes.exchanges if x.where.startswith("CS")] == [(("B", 1.0),), (("C", -1.0),)]
