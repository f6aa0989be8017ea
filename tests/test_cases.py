# SPDX-License-Identifier: Apache-2.0
"""The bundled cases: complete, balanced, traceable; the teaching cases against the numbers of their READMEs."""

import re
from collections import Counter
from math import acos, pi, sqrt, tan
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import serai
from serai.network.casefolder import read_folder
from serai.network.network import Network
from serai.network.tables import KINDS
from serai.system import Closed, System
from serai.units import DAY, GAS_CONSTANT

CASES = Path(serai.__file__).parent / "cases"
EXPECTED = Path(__file__).parent / "cases" / "turkmenistan"
DAYS = ("winter peak", "average 2023", "summer")
COUNTS = {  # rows, rows in service
    "gas_nodes": (107, 96),
    "pipes": (102, 88),
    "compressors": (18, 17),
    "drives": (18, 17),
    "control_valves": (4, 4),
    "supplies": (11, 11),
    "offtakes": (59 + 8, 59 + 5),  # home use + gas exports
    "buses": (52, 50),
    "lines": (77, 75),
    "transformers": (17, 17),
    "shunts": (19, 19),
    "generators": (45, 45),
    "loads": (47 + 5, 47 + 5),  # home use + power exports
    "plants": (44, 44),
    "instruments": (837, 837),
}


@pytest.fixture(scope="module")
def country() -> Network:
    return read_folder(CASES / "turkmenistan")


def expected(name: str, day: str) -> pd.DataFrame:
    frame = pd.read_csv(EXPECTED / name)
    return frame[frame["day"] == day]


def knowns(net: Network, day: str, hour: float | None = None) -> dict[tuple[str, str], float]:
    return {(k.quantity, k.where): k.value for k in net.on(day).knowns(hour)}


def million_m3(net: Network, kg_per_s: float) -> float:
    return kg_per_s * DAY / net.gas.standard_density / 1e6


def fuel_of_plants(net: Network, found: dict[tuple[str, str], float], balance: float) -> dict[str, float]:
    """Standard volume a day [million m3] that each gas-fired unit burns; `balance` [W] of the balance unit."""
    t = net["plants"]
    power = [found.get(("active_power", str(g)), balance) for g in t["generator"]]
    volume = t["heat_rate"] * np.array(power) / net.gas.net_heating_value
    return dict(zip(t.names, volume * DAY / 1e6, strict=True))


# ------------------------------------------------------------------------------------------------ the whole case


@pytest.mark.parametrize("name", sorted(p.name for p in CASES.iterdir() if (p / "case.toml").exists()))
def test_case_reads_without_a_mistake(name: str) -> None:
    net = read_folder(CASES / name)
    assert net.name == name
    assert net.title
    assert net.sources
    for t in net.tables.values():
        assert all(t["source"])
        assert all(t["confidence"])


def test_country_has_every_row(country: Network) -> None:
    found = {k: (len(country[k]), len(country.active(k))) for k in KINDS if k != "setpoints" and len(country[k])}
    assert found == COUNTS


def test_share_of_low_confidence_is_printed_and_stated(country: Network, capsys: pytest.CaptureFixture[str]) -> None:
    text = (CASES / "turkmenistan" / "SOURCES.md").read_text(encoding="utf-8")
    with capsys.disabled():
        print("\nrows of low confidence, turkmenistan:")
        for kind, t in country.tables.items():
            low = round(100 * float(np.mean(t["confidence"] == "low")))
            print(f"  {kind:15} {len(t):4} rows  {low:3} %")
            assert re.search(rf"^\| {kind} \| {len(t)} \|.*\| {low} %", text, re.MULTILINE), kind


def test_facts_that_rows_name_are_there(country: Network) -> None:
    frame = pd.read_csv(CASES / "turkmenistan" / "facts.csv")
    assert frame[["entry", "source", "confidence"]].notna().all().all()
    facts = " ".join(frame["entry"] + " " + frame["section"])
    for kind, t in country.tables.items():
        for source in {str(s) for s in t["source"] if "facts.csv" in s}:
            after = source.split("facts.csv", 1)[1]
            words = re.findall(r"[A-Za-z0-9_]{4,}", after) or re.findall(r"[A-Za-z0-9_]{4,}", source)
            assert any(w.rstrip("_") in facts for w in words), (kind, source)


# --------------------------------------------------------------------------------------------------- the balances


@pytest.mark.parametrize("day", DAYS)
def test_gas_of_the_day_balances(country: Network, day: str) -> None:
    found = knowns(country, day)
    total: Counter[str] = Counter()
    for (quantity, _), value in found.items():
        if quantity in ("supply", "withdrawal"):
            total[quantity] += million_m3(country, value)
    results = expected("results_days.csv", day)
    swing = results[(results["table"] == "supplies")].set_index("name")["value"]
    assert list(swing.index) == ["Galkynysh field"]
    balance = expected_generation(country, day)
    plants = fuel_of_plants(country, found, balance)
    wanted = results[results["table"] == "plants"].set_index("name")["value"]
    assert set(wanted.index) == set(plants)
    assert max(abs(plants[n] - wanted[n]) for n in plants) < 6e-5  # rounding of the expected values
    gas = expected("results_gas.csv", day)
    stations = gas[gas["quantity"] == "fuel"]["value"].sum()
    left = total["supply"] + swing.iloc[0] - total["withdrawal"] - sum(plants.values()) - stations
    assert abs(left) < 1e-3
    assert sum(plants.values()) == pytest.approx(
        {"winter peak": 30.4917, "average 2023": 26.3010, "summer": 29.3307}[day], abs=1e-3
    )


def expected_generation(country: Network, day: str) -> float:
    """Day mean [W] of the balance unit: what its expected gas makes at its heat rate."""
    results = expected("results_days.csv", day).set_index("name")["value"]
    t = country["plants"]
    i = t.row("Mary CC1 fuel")
    return float(results["Mary CC1 fuel"]) * 1e6 / DAY * country.gas.net_heating_value / float(t["heat_rate"][i])


@pytest.mark.parametrize(("day", "losses"), [("winter peak", 56.79), ("average 2023", 42.16), ("summer", 52.41)])
def test_power_of_the_day_balances(country: Network, day: str, losses: float) -> None:
    found = knowns(country, day)
    p = {w: v / 1e6 for (q, w), v in found.items() if q == "active_power"}
    made = sum(p[g] for g in country["generators"].names if g in p) + expected_generation(country, day) / 1e6
    used = sum(p[n] for n in country["loads"].names)
    results = expected("results_days.csv", day)
    motor = results[(results["table"] == "drives") & (results["quantity"] == "active power")]["value"].sum()
    assert made - used - motor == pytest.approx(losses, abs=0.02)
    balance = [g for g in country["generators"].names if ("active_power", g) not in found]
    assert balance == ["Mary CC1"]


def test_year_of_the_average_day_is_the_national_balance(country: Network) -> None:
    found = knowns(country, "average 2023")
    year = {k: million_m3(country, v) * 0.365 for k, v in found.items() if k[0] in ("supply", "withdrawal")}
    results = expected("results_days.csv", "average 2023").set_index("name")["value"]
    exports = set(country["offtakes"].where(country["offtakes"]["kind"] == "export").names)
    produced = sum(v for (q, _), v in year.items() if q == "supply") + results["Galkynysh field"] * 0.365
    exported = sum(v for (q, w), v in year.items() if q == "withdrawal" and w in exports)
    assert produced == pytest.approx(76.30, rel=1e-4)
    assert exported == pytest.approx(41.00, rel=1e-4)
    assert produced - exported == pytest.approx(35.30, rel=2e-4)


@pytest.mark.parametrize("day", DAYS)
def test_expected_flows_balance_at_every_node(country: Network, day: str) -> None:
    """The expected results, the set-points and the topology of the case fit together at each of the 96 nodes."""
    left: Counter[str] = Counter()
    ends: dict[str, tuple[str, str]] = {}
    for kind in ("pipes", "compressors", "control_valves"):
        t = country.active(kind)
        ends |= {n: (str(a), str(z)) for n, a, z in zip(t.names, t["from_node"], t["to_node"], strict=True)}
    gas = expected("results_gas.csv", day)
    flows = gas[gas["quantity"] == "flow"].set_index("name")["value"]
    assert set(flows.index) == set(ends)
    for name, flow in flows.items():
        start, end = ends[str(name)]
        left[start] -= flow
        left[end] += flow
    for name, fuel in gas[gas["quantity"] == "fuel"].set_index("name")["value"].items():
        left[ends[str(name)][0]] -= fuel
    found = knowns(country, day)
    for kind, quantity, sign in (("supplies", "supply", 1.0), ("offtakes", "withdrawal", -1.0)):
        t = country.active(kind)
        for name, node in zip(t.names, t["node"], strict=True):
            left[str(node)] += sign * million_m3(country, found.get((quantity, name), 0.0))
    results = expected("results_days.csv", day).set_index("name")["value"]
    left["Galkynysh"] += results["Galkynysh field"]
    t = country["plants"]
    for name, node in zip(t.names, t["gas_node"], strict=True):
        left[str(node)] -= results[name]
    assert set(left) == set(country.active("gas_nodes").names)
    assert max(map(abs, left.values())) < 1e-3


def test_days_differ(country: Network) -> None:
    days = [knowns(country, d) for d in DAYS]
    assert tuple(country.days) == DAYS
    assert days[0] == knowns(country, country.day)
    keys = set.union(*map(set, days))
    for a, b in ((0, 1), (1, 2), (0, 2)):
        assert sum(days[a].get(k) != days[b].get(k) for k in keys) > 90


@pytest.mark.parametrize("day", DAYS)
def test_profiles_have_mean_one_and_units_keep_their_limits(country: Network, day: str) -> None:
    for name, values in country.days[day].profiles.items():
        assert len(values) == 24
        assert np.mean(values) == pytest.approx(1.0, abs=1e-4), name
    t = country["generators"]
    top = t["active_power_max_summer" if day == "summer" else "active_power_max"]
    for hour in range(24):
        found = knowns(country, day, hour)
        for i, name in enumerate(t.names):
            power = found.get(("active_power", name), np.nan)
            assert not power > top[i], (name, hour)
            assert power == 0.0 or not power < t["active_power_min"][i], (name, hour)


def test_units_that_stand_hold_no_voltage(country: Network) -> None:
    for day in DAYS:
        found = knowns(country, day)
        for g in country["generators"].names:
            assert (("magnitude", g) in found) != (("reactive_power", g) in found), (day, g)
            if ("magnitude", g) in found:
                assert found.get(("active_power", g), 1.0) > 0


# ------------------------------------------------------------------------------------- power flow by another program


@pytest.mark.parametrize("day", DAYS)
def test_pandapower_finds_the_expected_voltages_in_these_tables(country: Network, day: str) -> None:
    pp = pytest.importorskip("pandapower")
    found = knowns(country, day)
    net = pp.create_empty_network(sn_mva=100.0, f_hz=50.0)
    t = country.active("buses")
    bus = {n: pp.create_bus(net, v / 1e3) for n, v in zip(t.names, t["voltage"], strict=True)}
    kv = dict(zip(t.names, t["voltage"] / 1e3, strict=True))
    t = country.active("lines")
    for i in range(len(t)):
        pp.create_line_from_parameters(
            net, bus[t["from_bus"][i]], bus[t["to_bus"][i]], t["length"][i] / 1e3,
            t["resistance"][i] * 1e3, t["reactance"][i] * 1e3, t["susceptance"][i] / (2 * pi * 50) * 1e12,
            t["current_max"][i] / 1e3,
        )  # fmt: skip
    t = country.active("transformers")
    for i in range(len(t)):
        hv, lv = str(t["hv_bus"][i]), str(t["lv_bus"][i])
        pp.create_transformer_from_parameters(
            net, bus[hv], bus[lv], t["rating"][i] / 1e6, kv[hv], kv[lv], t["short_circuit_resistive"][i] * 100,
            t["short_circuit_voltage"][i] * 100, t["iron_loss"][i] / 1e3, t["no_load_current"][i] * 100,
            tap_side=t["tap_side"][i], tap_neutral=t["tap_neutral"][i],
            tap_min=t["tap_min"][i], tap_max=t["tap_max"][i],
            tap_step_percent=t["tap_step"][i] * 100, tap_pos=t["tap_position"][i], tap_changer_type="Ratio",
        )  # fmt: skip
    t = country.active("shunts")
    for i in range(len(t)):
        pp.create_shunt(net, bus[t["bus"][i]], q_mvar=t["reactive_power"][i] / 1e6, step=int(t["steps"][i]))
    t = country.active("loads")
    for i, name in enumerate(t.names):
        p = found["active_power", name] / 1e6
        pp.create_load(net, bus[t["bus"][i]], p, p * tan(acos(t["power_factor"][i])))
    motor = expected("results_days.csv", day)
    motor = motor[motor["table"] == "drives"].set_index("quantity")["value"]
    pp.create_load(net, bus["Samandepe 220"], motor["active power"], motor["reactive power"])
    t = country.active("generators")
    for i, name in enumerate(t.names):
        at = bus[t["bus"][i]]
        if ("active_power", name) not in found:
            pp.create_ext_grid(net, at, found["magnitude", name])
        elif ("magnitude", name) in found:
            pp.create_gen(net, at, found["active_power", name] / 1e6, found["magnitude", name])
        else:
            p, q = found["active_power", name], found["reactive_power", name]
            pp.create_sgen(net, at, p / 1e6, q / 1e6)
    pp.runpp(net, tolerance_mva=1e-6, calculate_voltage_angles=True, numba=False)
    results = expected("results_power.csv", day)
    voltage = results[results["quantity"] == "voltage"].set_index("name")["value"].dropna()
    assert set(voltage.index) == set(bus)
    assert max(abs(net.res_bus.vm_pu[bus[n]] - v) for n, v in voltage.items()) < 1e-5


# ------------------------------------------------------------------------------------------ the cases in our solver


def solved(net: Network) -> dict[str, dict[str, float]]:
    """Quantity -> element -> SI value of the steady state of the case's own set-points."""
    system = System(net, net.knowns())
    x = Closed(system, system.fix()).solve().x
    c = system.equations.columns
    wanted = ("pressure", "flow", "power", "fuel", "magnitude", "angle")
    return {q: dict(zip(c[q].names, x[c[q][:]].tolist(), strict=True)) for q in wanted if q in c}


@pytest.mark.parametrize("day", DAYS)
def test_country_solves_to_the_expected_results(country: Network, day: str) -> None:
    """Asked for: 0.1 bar, 1e-3 pu. Held: 1e-3 bar and 1e-5 pu, the rounding of the expected values."""
    found = solved(country.on(day))
    gas = expected("results_gas.csv", day)
    pressure = gas[gas["quantity"] == "pressure"].set_index("name")["value"]
    assert set(pressure.index) == set(country.active("gas_nodes").names)
    assert max(abs(found["pressure"][str(n)] / 1e5 - p) for n, p in pressure.items()) < 1e-3
    power = expected("results_power.csv", day)
    voltage = power[power["quantity"] == "voltage"].set_index("name")["value"].dropna()
    assert max(abs(found["magnitude"][str(n)] - v) for n, v in voltage.items()) < 1e-5


def test_teaching_cases_solve_to_the_numbers_of_their_readmes() -> None:
    found = {n: solved(read_folder(CASES / n)) for n in ("two_pipes", "loop_with_station", "four_buses")}
    for name, nodes in (
        ("two_pipes", ("Town A", "Town B")),
        ("loop_with_station", ("Town A", "Town B")),
        ("four_buses", ("Town", "Plant gate")),
    ):
        for node in nodes:
            assert f"{found[name]['pressure'][node] / 1e5:.4f}" in numbers(name)
    loop, grid = found["loop_with_station"], found["four_buses"]
    assert abs(loop["flow"]["Cross pipe"]) < 1e-4
    assert f"f = W / (0.32 x 50.24526 MJ/kg) = {loop['fuel']['Station drive']:.6f} kg/s" in numbers("loop_with_station")
    for bus in ("Bus 1", "Bus 2", "Bus 3", "Bus 4"):
        angle = grid["angle"][bus] * 180 / pi
        assert f"| {bus} | {grid['magnitude'][bus]:.6f} | {angle:.6f} |" in numbers("four_buses")


# ---------------------------------------------------------------------------------------------- the teaching cases


def numbers(name: str) -> str:
    return (CASES / name / "README.md").read_text(encoding="utf-8")


def end_pressure(net: Network, pipe: str, start: float, flow: float) -> float:
    """p2 = sqrt(p1^2 - lambda L R T m^2 / (M D A^2)), ideal gas on level ground [Pa]."""
    t = net["pipes"]
    i = t.row(pipe)
    d = t["diameter"][i]
    rt = GAS_CONSTANT / net.gas.molar_mass * net.gas.temperature
    k = t["friction_factor"][i] * t["length"][i] * rt / (d * (pi * d * d / 4) ** 2)
    return sqrt(start * start - k * flow * flow)


def test_two_pipes_by_hand() -> None:
    net = read_folder(CASES / "two_pipes")
    a = end_pressure(net, "Pipe 1", 60e5, 70.0)
    b = end_pressure(net, "Pipe 2", a, 30.0)
    assert (round(a / 1e5, 4), round(b / 1e5, 4)) == (53.7800, 49.7274)
    for p in (a, b):
        assert f"**{p / 1e5:.4f}**" in numbers("two_pipes")


def test_loop_with_station_by_hand() -> None:
    net = read_folder(CASES / "loop_with_station")
    gas = net.gas
    p = end_pressure(net, "Pipe A", 1.4 * 50e5, 60.0)
    x = (gas.heat_capacity_ratio - 1) / gas.heat_capacity_ratio
    head = GAS_CONSTANT / gas.molar_mass * gas.temperature / x * (1.4**x - 1)
    power = 120 * head / 0.8
    fuel = power / 0.32 / (gas.net_heating_value / gas.standard_density)
    text = numbers("loop_with_station")
    for shown in (f"{p / 1e5:.4f} bara", f"{head:.2f} J/kg", f"{power / 1e6:.5f} MW", f"{120 + fuel:.6f} kg/s"):
        assert shown in text


def test_four_buses_by_hand() -> None:
    net = read_folder(CASES / "four_buses")
    heat = net.gas.net_heating_value / net.gas.standard_density
    fuel = 150e6 * float(net["plants"]["heat_rate"][0]) / heat
    town = end_pressure(net, "Trunk", 55e5, 20.0 + fuel)
    gate = end_pressure(net, "Plant branch", town, fuel)
    text = numbers("four_buses")
    for shown in (f"{fuel:.6f} kg/s", f"**{town / 1e5:.4f}**", f"**{gate / 1e5:.4f}**"):
        assert shown in text
