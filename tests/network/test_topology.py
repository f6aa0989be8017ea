# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from serai.network import Day, Network, table
from serai.network.topology import end_columns, gas_islands, islands, power_islands, power_topology


def _line(name, a, b, **more):
    return {"name": name, "from_bus": a, "to_bus": b, "length": 1.0, "resistance": 0.1, "reactance": 0.3, **more}


@pytest.fixture
def grid() -> Network:
    """Two bus sections S1, S2 with a coupler, a line to T with a breaker at each end, U and V behind three windings."""
    buses = [{"name": b, "voltage": 110e3} for b in ("S1", "T", "S2", "U", "V")]
    buses.append({"name": "Off", "voltage": 110e3, "status": "planned"})
    windings = {f"{s}_{w}": 1e5 for s in ("hv", "mv", "lv") for w in ("rating", "voltage")}
    transformer = {"name": "X", "hv_bus": "S2", "mv_bus": "U", "lv_bus": "V", **windings}
    switches = [
        {"name": "coupler", "bus": "S1", "to_bus": "S2"},
        {"name": "breaker 1", "bus": "S1", "branch": "L"},
        {"name": "breaker 2", "bus": "T", "branch": "L"},
        {"name": "breaker 3", "bus": "V", "branch": "X"},
    ]
    return Network(
        tables={
            "buses": table("buses", buses),
            "lines": table("lines", [_line("L", "S1", "T"), _line("M", "S1", "Off", status="planned")]),
            "transformers3": table("transformers3", [transformer]),
            "switches": table("switches", switches),
        }
    )


def _closed(network, day="", **positions):
    rows = [{"quantity": "closed", "where": w, "value": float(v), "day": day} for w, v in positions.items()]
    return network.with_tables(setpoints=table("setpoints", rows))


def test_closed_couplers_make_one_node(grid):
    topology = power_topology(grid)
    assert topology.node_of_bus.tolist() == [0, 1, 0, 2, 3, -1]
    assert topology.names == ("S1 + S2", "T", "U", "V")
    assert topology.ends["lines"].tolist() == [[True, True], [False, False]]
    assert topology.ends["transformers3"].tolist() == [[True, True, True]]
    assert topology.ends["branches"].shape == (0, 2)
    assert power_islands(grid) == [("S1", "T", "S2", "U", "V")]


def test_an_open_coupler_separates(grid):
    grid = _closed(grid, coupler=0)
    topology = power_topology(grid)
    assert topology.node_of_bus.tolist() == [0, 1, 2, 3, 4, -1]
    assert topology.names == ("S1", "T", "S2", "U", "V")
    assert power_islands(grid) == [("S2", "U", "V"), ("S1", "T")]


def test_an_open_switch_opens_its_end_only(grid):
    grid = _closed(grid, **{"breaker 2": 0, "breaker 3": 0})
    topology = power_topology(grid)
    assert topology.ends["lines"].tolist() == [[True, False], [False, False]]
    assert topology.ends["transformers3"].tolist() == [[True, True, False]]
    assert power_islands(grid, topology) == [("S1", "S2", "U"), ("T",), ("V",)]


def test_the_days_position_holds_and_the_callers_wins(grid):
    winter = _closed(grid, day="winter", coupler=0)
    on = Network(tables=winter.tables, days={"winter": Day("winter")}, day="winter")
    assert len(power_topology(winter).names) == 4
    assert len(power_topology(on).names) == 5
    assert len(power_topology(on, {"coupler": 1.0}).names) == 4


def test_a_switch_out_of_service_does_not_conduct(grid):
    assert len(power_topology(grid.with_status(["coupler"])).names) == 5
    assert power_topology(grid.with_status(["breaker 1"])).ends["lines"][0].tolist() == [False, True]


def test_a_coupler_to_a_bus_out_of_service_connects_nothing(grid):
    topology = power_topology(grid.with_status(["S2"]))
    assert topology.node_of_bus.tolist() == [0, 1, -1, 2, 3, -1]
    assert topology.names[0] == "S1"
    assert topology.ends["transformers3"].tolist() == [[False, True, True]]


def test_no_grid_at_all():
    topology = power_topology(Network())
    assert (topology.node_of_bus.tolist(), topology.names) == ([], ())
    assert power_islands(Network()) == gas_islands(Network()) == []


def test_a_chain_of_couplers_in_any_order_is_one_node():
    names = [f"b{i}" for i in range(50)]
    order = np.random.default_rng(1).permutation(49)
    switches = [{"name": f"c{i}", "bus": names[i], "to_bus": names[i + 1]} for i in order]
    buses = table("buses", [{"name": n, "voltage": 1e5} for n in names])
    assert len(power_topology(Network(tables={"buses": buses, "switches": table("switches", switches)})).names) == 1


def test_gas_islands():
    pipe = {"length": 1.0, "diameter": 1.0}
    network = Network(
        tables={
            "gas_nodes": table("gas_nodes", [{"name": n} for n in "ABCDE"]),
            "pipes": table("pipes", [{"name": "p", "from_node": "A", "to_node": "B", **pipe}]),
            "valves": table("valves", [{"name": "v", "from_node": "C", "to_node": "B"}]),
            "compressors": table("compressors", [{"name": "c", "from_node": "D", "to_node": "E"}]),
        }
    )
    assert gas_islands(network) == [("A", "B", "C"), ("D", "E")]
    assert gas_islands(network, without={"v"}) == [("A", "B"), ("D", "E"), ("C",)]
    assert gas_islands(network.with_status(["B"])) == [("D", "E"), ("A",), ("C",)]
    assert gas_islands(network.with_status(["c"])) == [("A", "B", "C"), ("D",), ("E",)]


def test_islands_of_edges():
    assert islands(["a", "b", "c"], [("c", "a"), ("a", "nowhere")]) == [("a", "c"), ("b",)]


def test_end_columns():
    assert end_columns("transformers3") == ("hv_bus", "mv_bus", "lv_bus")
    assert end_columns("pipes") == ("from_node", "to_node")
