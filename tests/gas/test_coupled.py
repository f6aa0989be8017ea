# SPDX-License-Identifier: Apache-2.0
"""GasLib-11 and a 5-bus grid, coupled (GasPowerModels), solved in one Newton.

How the three files are read: the grid by our MATPOWER reader; the gas side by our GasLib reader (GasLib-11-GPF.m is
the same network, rounded: its junctions have the same coordinates, by which deliveries are matched to exits); the links
from the json: generator 3 burns delivery 1, generator 5 burns delivery 3, in place of what is nominated there.

Heat rate curves: GasPowerModels says J/s. mgc.energy_factor x base_flow is 1/(38.2 MJ/kg), a heating value; but 1e5
J/s for a unit of output is 0.001 J of heat per J (unit = 100 MVA) or 0.1 (unit = 1 MW), so no reading of the published
number is a plant that can exist. We take it as 2e8 J/s per 100 MVA, a plant of 50 %: with it the published outputs burn
about what is nominated at the two deliveries. The published curve is solved as well, as J/s per unit of 100 MVA.

Station CS02 gets an electric motor on a bus of its own behind one line, so that it can lose its supply.
"""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

import serai as sr
from serai import Known
from serai.network import Network, table
from serai.network.matpower import read_matpower
from serai.system import Closed, System, override

STATION = "CS02_N04_N05"
FEEDER = "feeder CS02"
PLANTS = {"1": "exit03", "3": "exit01"}  # delivery -> exit
HEAT = 2e8 / 1e5  # our reading of the linear coefficient over the published one
BASE = 1e8  # VA


def matgas_rows(text, name):
    body = re.search(rf"mgc\.{name} = \[(.*?)\];", text, re.DOTALL)[1]
    return [line.split() for line in body.strip().splitlines() if line.strip() and not line.strip().startswith("%")]


def coupled(data, scale=HEAT) -> Network:
    folder = data / "coupled" / "gaslib11-case5"
    grid = read_matpower(folder / "case5-GPF.m")
    gas = sr.read(data / "gas" / "gaslib" / "GasLib-11.zip")
    matgas = (folder / "GasLib-11-GPF.m").read_text(encoding="utf-8")
    t = gas["gas_nodes"]
    places = {(t["x"][k], t["y"][k]): n for k, n in enumerate(t.names)}
    node = {r[0]: places[float(r[-2]), float(r[-1])] for r in matgas_rows(matgas, "junction")}
    assert sorted(node.values()) == sorted(t.names)
    delivery = {r[0]: node[r[1]] for r in matgas_rows(matgas, "delivery")}
    assert {d: delivery[d] for d in PLANTS} == PLANTS
    links = json.loads((folder / "GasLib-11-case5.json").read_text(encoding="utf-8"))["it"]["dep"]["delivery_gen"]
    plants = []
    for link in links.values():
        quadratic, linear, constant = link["heat_rate_curve_coefficients"]
        plants.append({
            "name": f"plant {link['gen']['id']}", "generator": f"generator {link['gen']['id']}",
            "gas_node": delivery[link["delivery"]["id"]],
            "heat_rate": scale * linear / BASE, "no_load": scale * constant,
            "heat_rate_slope": scale * quadratic / BASE**2,
        })  # fmt: skip
    burnt = {f"offtake {p['gas_node']}" for p in plants}
    points = [r for r in rows(gas["setpoints"]) if r["where"] not in burnt | {"supply entry01"}]
    points += rows(grid["setpoints"])
    points += [{"quantity": "withdrawal", "where": w, "value": 0.0} for w in sorted(burnt)]
    points += [
        {"quantity": "pressure", "where": "supply entry01", "value": 55e5},
        {"quantity": "open", "where": "CS01_entry03_N01", "value": 1.0},
        {"quantity": "ratio", "where": STATION, "value": 1.1},
    ]
    buses = table("buses", [*rows(grid["buses"]), {"name": "bus CS02", "voltage": 230e3}])
    feeder = {"name": FEEDER, "from_bus": "bus 2", "to_bus": "bus CS02", "resistance": 0.001, "reactance": 0.01}
    motor = {
        "name": "motor CS02", "compressor": STATION, "kind": "electric motor", "bus": "bus CS02", "efficiency": 0.95,
    }  # fmt: skip
    tables = {
        **gas.tables, **grid.tables, "buses": buses, "plants": table("plants", plants),
        "branches": table("branches", [*rows(grid["branches"]), feeder]), "drives": table("drives", [motor]),
        "setpoints": table("setpoints", points),
    }  # fmt: skip
    return replace(grid, name="gaslib11-case5", tables=tables, gas=gas.gas, sources={**grid.sources, **gas.sources})


def rows(t):
    return [{c: v[k] for c, v in t.columns.items()} for k in range(len(t))]


@pytest.fixture(scope="module")
def network(data):
    return coupled(data)


@pytest.fixture(scope="module")
def base(network):
    return sr.steady(network, q_limits=False)


def test_one_newton_solves_both(network):
    """One system with pressures and voltages in one vector of unknowns, closed once, solved by one Newton."""
    system = System(network, override(network, network.knowns(), []))
    closed = Closed(system, system.fix())
    free = {system.equations.columns.name(int(c))[0] for c in closed.free}
    assert {"pressure", "flow", "plant_fuel", "drive_power", "angle", "magnitude", "active_power"} <= free
    solution = closed.solve(cold=True)
    print(f"{closed.n} unknowns, {solution.iterations} Newton steps, mismatch {solution.mismatch:.1e}")
    assert solution.mismatch < 1e-9
    assert solution.iterations < 20


def test_the_answer_holds_across_the_links(network, base):
    assert base.mismatch < 1e-9
    lhv = network.gas.net_heating_value / network.gas.standard_density
    for number in (3, 5):
        made = float(base.active_power[f"generator {number}"])
        quadratic = HEAT / BASE**2 if number == 3 else 0.0
        heat = HEAT * 1e5 / BASE * made + quadratic * made**2
        assert float(base.plant_fuel[f"plant {number}"]) == pytest.approx(heat / lhv, rel=1e-9)
    shaft = float(base.power[STATION])
    assert shaft > 1e5
    assert float(base.drive_power[STATION]) == pytest.approx(shaft / 0.95, rel=1e-9)
    # what the feeder brings is what the motor draws: both sides of the link see one number
    assert -float(base.active_power_to[FEEDER]) == pytest.approx(shaft / 0.95, rel=1e-6)
    burnt = float(base.plant_fuel.sum())
    supplied, delivered = float(base.supplied.sum()), float(base.delivered.sum())
    assert supplied - delivered == pytest.approx(burnt, rel=1e-9)


@pytest.mark.parametrize(("number", "node"), [(3, "exit03"), (5, "exit01")])
def test_a_plant_that_runs_harder_lowers_the_pressure_at_its_node(network, base, number, node):
    generator = f"generator {number}"
    before = [float(base.pressure[node])]
    made = float(base.active_power[generator])
    for more in (20e6, 40e6):
        now = sr.steady(network, [Known("active_power", generator, made + more)], q_limits=False)
        assert float(now.plant_fuel[f"plant {number}"]) > float(base.plant_fuel[f"plant {number}"])
        before.append(float(now.pressure[node]))
    print(f"{node}: {[round(p / 1e5, 3) for p in before]} bar")
    assert before[0] - 1e3 > before[1] > before[2] + 1e3


def test_losing_the_motors_supply_is_seen_in_the_gas(network, base):
    dark = sr.steady(network, [Known("in_service", FEEDER, 0.0)], q_limits=False)
    assert any(where == STATION and "bypassed" in text for where, text in dark.notes)
    assert any(where == "bus CS02" for where, _ in dark.dead)
    assert float(dark.ratio[STATION]) == pytest.approx(1.0, abs=1e-12)
    for node in ("N05", "exit02", "exit03"):
        assert float(dark.pressure[node]) < float(base.pressure[node]) - 1e5
    assert dark.mismatch < 1e-9


def test_losing_it_during_the_day(network):
    lost = sr.at("01:00", Known("in_service", FEEDER, 0.0))
    day = sr.transient(network, hours=2, step="10min", events=[lost], cell=10e3, q_limits=False)
    p = day.pressure["exit03"].values
    assert p[:7] == pytest.approx(np.full(7, p[0]), rel=1e-6)
    assert p[-1] < p[0] - 1e5
    assert day.dataset.attrs["ledger_error"] < 1e-10


def test_the_published_curve(data):
    """0.001 J of heat per J: the plants burn next to nothing, to the number of the published formula."""
    network = coupled(data, scale=1.0)
    result = sr.steady(network, q_limits=False)
    lhv = network.gas.net_heating_value / network.gas.standard_density
    made = float(result.active_power["generator 5"]) / BASE
    assert float(result.plant_fuel["plant 5"]) == pytest.approx(1e5 * made / lhv, rel=1e-9)
    assert float(result.plant_fuel.sum()) < 0.1
