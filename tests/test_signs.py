# SPDX-License-Identifier: Apache-2.0
"""The page docs/units-and-signs.md, line by line: each sign is held by a small network."""

from pathlib import Path

import pytest

import serai as sr
from serai.known import Known
from serai.network import Network, table
from simulate.small import GRID, electric_station, line, line_knowns

BUSES = [{"name": b, "voltage": 110e3} for b in ("one", "two")]
LINE = {"name": "L", "from_bus": "one", "to_bus": "two", "length": 50e3, "resistance": 1e-4, "reactance": 4e-4}
HELD = [Known("angle", "one", 0.0), Known("magnitude", "G", 1.0)]


def grid(**more):
    tables = {
        "buses": table("buses", BUSES),
        "lines": table("lines", [LINE]),
        "generators": table("generators", [{"name": "G", "bus": "one"}]),
        "loads": table("loads", [{"name": "town", "bus": "two"}]),
    }
    return Network(name="grid", tables={**tables, **more})


def drawn(P=20e6, Q=5e6):
    return [*HELD, Known("active_power", "town", P), Known("reactive_power", "town", Q)]


def test_gas_signs():
    now = sr.steady(line(), line_knowns(50.0))
    assert float(now.withdrawal["B"]) == 50.0  # withdrawal: out of the network
    assert float(now.withdrawal["A"]) == pytest.approx(-50.0)  # offtakes less supplies
    assert float(now.supplied["field"]) == pytest.approx(50.0)  # supply: into it
    assert float(now.flow["P"]) > 0  # from -> to
    back = sr.steady(line(), [Known("pressure", "town", 60e5), Known("withdrawal", "A", 50.0)])
    assert float(back.flow["P"]) == pytest.approx(-50.0)


def test_height_is_above_sea_level():
    net = line()
    up = net.with_tables(gas_nodes=net["gas_nodes"].replace(height=[0.0, 500.0]))
    level, climbing = (sr.steady(n, line_knowns(0.0)).pressure["B"] for n in (net, up))
    assert float(climbing) < float(level)


def test_linepack_grows_when_more_arrives_than_leaves():
    day = sr.transient(line(), hours=1, knowns=line_knowns(), events=[sr.at(0.0, Known("withdrawal", "town", 10.0))])
    assert float(day.linepack_total[-1]) > float(day.linepack_total[0])


def test_shaft_power_is_given_to_the_gas():
    base = [*GRID, *line_knowns(30.0), Known("ratio", "CS", 1.3)]
    now = sr.steady(electric_station(), base)
    assert float(now.power["CS"]) > 0
    assert float(now.drive_power["CS"]) > float(now.power["CS"])


def test_loads_consume_and_generators_produce():
    now = sr.steady(grid(), drawn())
    assert float(now.drawn["town"]) == 20e6
    assert float(now.active_withdrawal["two"]) == 20e6
    assert float(now.active_power["G"]) > 20e6
    assert float(now.reactive_power["G"]) > 5e6
    assert float(now.active_power_from["L"]) == pytest.approx(float(now.active_power["G"]))  # into the branch
    assert float(now.active_power_to["L"]) == pytest.approx(-20e6)
    assert float(now.active_power_from["L"] + now.active_power_to["L"]) == pytest.approx(float(now.losses))
    assert float(now.angle["two"]) < 0  # behind the reference


def test_a_reactor_absorbs_and_a_capacitor_raises_the_voltage():
    def voltage(q):
        shunt = table("shunts", [{"name": "S", "bus": "two", "reactive_power": q}])
        return float(sr.steady(grid(shunts=shunt), drawn()).magnitude["two"])

    assert voltage(10e6) < voltage(0.0) < voltage(-10e6)


def test_phase_shift_lets_the_from_side_lead():
    branch = {"name": "T", "from_bus": "one", "to_bus": "two", "resistance": 0.0, "reactance": 0.1, "phase_shift": 0.1}
    net = grid(lines=table("lines", []), branches=table("branches", [branch]))
    now = sr.steady(net, drawn(0.0, 0.0))
    assert float(now.angle["one"] - now.angle["two"]) == pytest.approx(0.1)


def test_a_link_carries_from_its_from_bus():
    far = {"name": "H", "bus": "two"}
    link = table("hvdc_links", [{"name": "DC", "from_bus": "one", "to_bus": "two", "loss_constant": 1e6}])
    net = grid(
        lines=table("lines", []),
        hvdc_links=link,
        generators=table("generators", [{"name": "G", "bus": "one"}, far]),
    )
    own = [Known("angle", "two", 0.0), Known("magnitude", "H", 1.0), Known("active_power", "DC", 5e6)]
    now = sr.steady(net, [*drawn(), *own])
    assert float(now.link_sent["DC"]) == 5e6
    assert float(now.link_received["DC"]) == pytest.approx(4e6)
    assert float(now.active_power["G"]) == pytest.approx(5e6)
    assert float(now.active_power["H"]) == pytest.approx(16e6)


def test_plant_fuel_is_a_withdrawal():
    net = sr.read("four_buses")
    now = sr.steady(net)
    fuel = float(now.plant_fuel.values[0])
    assert fuel > 0
    assert float(now.supplied.sum()) == pytest.approx(float(now.delivered.sum()) + fuel)


def test_every_quantity_of_the_page_is_held_here():
    page = Path(__file__).parents[1].joinpath("docs", "units-and-signs.md").read_text(encoding="utf-8")
    table_rows = [
        line.split("|")[1].strip() for line in page.split("## Signs")[1].splitlines() if line.startswith("| ")
    ]
    held = ("withdrawal", "supply", "offtake", "flow", "height", "power", "load", "generator", "shunt", "branch",
            "phase_shift", "angle", "HVDC", "linepack", "heat rate", "mismatch")  # fmt: skip
    left = [row for row in table_rows[1:] if not any(word in row for word in held)]
    assert left == []
