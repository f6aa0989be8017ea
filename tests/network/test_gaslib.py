# SPDX-License-Identifier: Apache-2.0
"""GasLib files against values read from the same XML by independent code; the format's corners on made-up files."""

import io
import zipfile
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from network.gaslib_files import CS, NET, SCN
from network.test_casefolder import assert_same
from serai.errors import CaseError, Untranslated
from serai.network.casefolder import read_folder, write_folder
from serai.network.check import check
from serai.network.gaslib import account, account_table, read_gaslib
from serai.network.gaslib_stations import largest_power

NETWORKS = ("GasLib-11.zip", "GasLib-24.zip", "GasLib-40.zip", "GasLib-134.zip", "GasLib-135.zip", "GasLib-582.net")
COUNTS = {  # entries, exits, nodes, pipes, short pipes, valves, control valves, resistors, stations
    "GasLib-11.zip": (3, 3, 11, 8, 0, 1, 0, 0, 2),
    "GasLib-24.zip": (3, 5, 24, 19, 1, 0, 1, 1, 3),
    "GasLib-40.zip": (3, 29, 40, 39, 0, 0, 0, 0, 6),
    "GasLib-134.zip": (3, 45, 134, 86, 45, 0, 1, 0, 1),
    "GasLib-135.zip": (6, 99, 135, 141, 0, 0, 0, 0, 29),
    "GasLib-582.net": (31, 129, 582, 278, 269, 26, 23, 8, 5),
}
TABLES = (
    "supplies",
    "offtakes",
    "gas_nodes",
    "pipes",
    "short_pipes",
    "valves",
    "control_valves",
    "resistors",
    "compressors",
)
# a spread of the 1,234 days that GasLib-134 comes with, in both folders
DAYS = [
    f"{folder}/{day}.scn"
    for folder in ("Nominations-134", "Nominations-134-v2")
    for day in ("2011-11-01", "2014-05-17", "2014-10-23", "2016-02-17")
]


def local(tag):
    return tag.rpartition("}")[2]


def path_of(data, name):
    return data / "gas" / "gaslib" / name


def roots(path, *more):
    """File name -> XML root of the .net, .scn and .cs of a network, found without the reader."""
    if path.suffix != ".zip":
        files = {
            f.name: f.read_bytes() for f in (path, path.with_suffix(".scn"), path.with_suffix(".cs")) if f.exists()
        }
    else:
        with zipfile.ZipFile(path) as archive:
            names = [n for n in archive.namelist() if n.endswith((".net", ".cs")) or n in more]
            if not more:
                names += [n for n in archive.namelist() if n.endswith(".scn") and not n.startswith("Nominations")]
            files = {Path(n).name: archive.read(n) for n in names}
    return {name: ET.fromstring(text) for name, text in files.items()}  # noqa: S314 - our own test data


def raw_counts(element, path=""):
    """(element path, attribute) -> how often, for everything below an XML element."""
    path = f"{path}/{local(element.tag)}" if path else local(element.tag)
    found = Counter([(path, ""), *((path, local(a)) for a in element.attrib)])
    if (element.text or "").strip():
        found[path, "#text"] += 1
    for child in element:
        found += raw_counts(child, path)
    return found


def assert_accounted(rows, files):
    for name, root in files.items():
        expected = raw_counts(root)
        assert {(r.element, r.attribute): r.in_file for r in rows if r.file == name} == expected
        assert {(r.element, r.attribute): r.carried for r in rows if r.file == name} == expected
    assert {r.file for r in rows} == set(files)
    assert all(r.where for r in rows)


# -------------------------------------------------------------------------------------------- the six networks


@pytest.mark.parametrize("name", NETWORKS)
def test_every_element_and_attribute_is_accounted_for(data, name):
    path = path_of(data, name)
    rows = account(path)
    assert_accounted(rows, roots(path))
    assert len(account_table(rows).splitlines()) == len(rows) + 1


@pytest.mark.parametrize("day", DAYS)
def test_daily_nominations_are_accounted_for_and_become_setpoints(data, day):
    path = path_of(data, "GasLib-134.zip")
    files = roots(path, day)
    assert_accounted(account(path, day), files)
    assert_flows(read_gaslib(path, day), files[Path(day).name][0])


@pytest.mark.parametrize("name", NETWORKS)
def test_counts(data, name):
    net = read_gaslib(path_of(data, name))
    assert tuple(len(net[kind]) for kind in TABLES) == COUNTS[name]
    assert check(net) == []


# units and tables are written here again, on purpose
FACTOR = {
    "m": 1,
    "meter": 1,
    "km": 1000,
    "mm": 0.001,
    "bar": 1e5,
    "K": 1,
    "Celsius": 1,
    "MJ_per_m_cube": 1e6,
    "kg_per_m_cube": 1,
    "kg_per_kmol": 1e-3,
    "W_per_m_square_per_K": 1,
    None: 1,
}
SNAKE = {"calorificValue": "gross_heating_value", "gasTemperature": "temperature"}
WHERE = {
    "pipe": "pipes",
    "shortPipe": "short_pipes",
    "valve": "valves",
    "controlValve": "control_valves",
    "resistor": "resistors",
    "compressorStation": "compressors",
}


def column_of(tag):
    if tag in SNAKE:
        return SNAKE[tag]
    if tag.startswith("coefficient"):
        return f"heat_capacity_{tag[12].lower()}"
    tag = tag.replace("pseudocritical", "critical")
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in tag)


def assert_parameters(net, root):
    compared = 0
    for part in root:
        for element in part:
            name, kind = element.get("id"), local(element.tag)
            for child in element:
                tag, unit = local(child.tag), child.get("unit")
                if kind in WHERE:
                    table, row = WHERE[kind], name
                elif tag in {"height", "pressureMin", "pressureMax"}:
                    table, row = "gas_nodes", name
                else:
                    table, row = ("supplies", f"supply {name}") if kind == "source" else ("offtakes", f"offtake {name}")
                value = float(child.get("value"))
                if unit == "1000m_cube_per_hour":
                    value *= net.gas.standard_density / 3.6
                else:
                    value = value * FACTOR[unit] + 273.15 * (unit == "Celsius")
                found = net[table][column_of(tag)][net[table].row(row)]
                assert found == pytest.approx(value, rel=1e-14, abs=0), (name, tag)
                compared += 1
    assert compared > 3 * len(net["gas_nodes"])


@pytest.mark.parametrize("name", NETWORKS)
def test_every_parameter_of_the_net_file(data, name, tmp_path):
    """Without a nomination, every number of the .net is in its column in SI."""
    path = path_of(data, name)
    root = next(r for file, r in roots(path).items() if file.endswith(".net"))
    alone = tmp_path / "alone.net"
    alone.write_bytes(ET.tostring(root))
    net = read_gaslib(alone)
    assert_parameters(net, root)
    for kind in (*WHERE.values(), "gas_nodes"):
        elements = {e.get("id"): e for part in root for e in part if e.get("id")}
        for i, element in enumerate(net[kind].names):
            xml = elements[element]
            if kind != "gas_nodes":
                assert (net[kind]["from_node"][i], net[kind]["to_node"][i]) == (xml.get("from"), xml.get("to"))
            elif "x" in xml.attrib:
                assert (net[kind]["x"][i], net[kind]["y"][i]) == (float(xml.get("x")), float(xml.get("y")))
            if "geoWGS84Lat" in xml.attrib:
                assert np.rad2deg(net[kind]["latitude"][i]) == pytest.approx(float(xml.get("geoWGS84Lat")), rel=1e-14)
            for attribute in set(xml.attrib) - {"id", "from", "to", "x", "y", "geoWGS84Lat", "geoWGS84Long"}:
                assert net[kind][f"x_{attribute}"][i] == xml.get(attribute)


def assert_flows(net, scenario):
    """Every nominated flow is a set-point, and no other exists."""
    expected = {}
    for node in scenario:
        flows = {float(f.get("value")) for f in node if local(f.tag) == "flow"}
        if flows:
            (flow,) = flows
            key = ("supply", f"supply {node.get('id')}")
            if node.get("type") == "exit":
                key = ("withdrawal", f"offtake {node.get('id')}")
            expected[key] = flow * net.gas.standard_density / 3.6
    found = {(k.quantity, k.where): k.value for k in net.knowns()}
    assert found == pytest.approx(expected, rel=1e-14, abs=1e-20)


@pytest.mark.parametrize("name", [n for n in NETWORKS if n != "GasLib-134.zip"])
def test_the_nomination_becomes_setpoints_and_balances(data, name):
    path = path_of(data, name)
    net = read_gaslib(path)
    assert_flows(net, next(r for file, r in roots(path).items() if file.endswith(".scn"))[0])
    entries, exits = (sum(k.value for k in net.knowns() if k.quantity == q) for q in ("supply", "withdrawal"))
    assert entries == pytest.approx(exits, rel=1e-12)
    assert net.sources["nomination"].endswith("; balanced")
    assert "free" not in net.sources


def test_a_nomination_that_does_not_balance_is_named_with_the_amount(data):
    net = read_gaslib(path_of(data, "GasLib-134.zip"), "Nominations-134/2014-10-23.scn")
    entries, exits = (sum(k.value for k in net.knowns() if k.quantity == q) for q in ("supply", "withdrawal"))
    assert abs(entries - exits) / exits == pytest.approx(4.8e-4, rel=0.01)
    amount = abs(entries - exits) / net.gas.standard_density * 3.6
    assert (
        f"does not balance: {'entries exceed exits' if entries > exits else 'exits exceed entries'} by {amount:.6g}"[
            :-1
        ]
        in (net.sources["nomination"])
    )


def test_scenario_pressures_tighten_the_limits_and_keep_the_originals(data):
    net = read_gaslib(path_of(data, "GasLib-582.net"))
    nodes = net["gas_nodes"]
    i = nodes.row("sink_109")  # 50 barg from the scenario, 2.01325 bar from the network
    assert nodes["pressure_min"][i] == pytest.approx(51.01325e5, rel=1e-15)
    assert (nodes["x_pressureMin"][i], nodes["x_scenario_pressure_lower"][i]) == ("2.01325 bar", "50.0 barg")
    j = nodes.row("source_4")  # the scenario's 2.0133 and 86.013 bar against 2.01325 and 86.01325 bar
    assert (nodes["pressure_min"][j], nodes["pressure_max"][j]) == pytest.approx((2.0133e5, 86.013e5), rel=1e-15)
    assert nodes["x_contractPressureMax"][j] == "86.01325 bar"
    # 40: the scenario's 0 and 80 barg are the network's own limits, 1.01325 and 81.01325 bar
    net = read_gaslib(path_of(data, "GasLib-40.zip"))
    assert np.allclose(net["gas_nodes"]["pressure_max"], 81.01325e5, rtol=1e-15)


def test_what_the_files_do_not_say(data):
    """GasLib-24 gives no unit of its heights and a soil temperature in its scenario; 582 has no machine data."""
    net = read_gaslib(path_of(data, "GasLib-24.zip"))
    assert net.sources["heights"] == "24 heights have no unit in GasLib-24.net: read as m"
    assert set(net["gas_nodes"]["height"]) == {200.0}
    assert net["pipes"]["x_soilTemperature"][net["pipes"].row("L101")] == "311 K"
    net = read_gaslib(path_of(data, "GasLib-582.net"))
    assert np.isnan(net["compressors"]["power_max"]).all()
    assert len(net["drives"]) == 0
    assert net.sources["scenario_scenarioProbability"] == "0.017"


def test_the_gas_is_the_mean_of_the_nominated_sources(data):
    path = path_of(data, "GasLib-582.net")
    files = roots(path)
    flow = {n.get("id"): float(n[-1].get("value")) for n in files["GasLib-582.scn"][0] if n.get("type") == "entry"}
    values = {
        e.get("id"): {local(c.tag): float(c.get("value")) for c in e}
        for part in files["GasLib-582.net"]
        for e in part
        if local(e.tag) == "source"
    }
    weights = np.array([flow[s] for s in values])

    def mean(tag):
        return float(weights @ [v[tag] for v in values.values()] / weights.sum())

    gas = read_gaslib(path).gas
    assert gas.standard_density == 0.82
    assert gas.molar_mass == pytest.approx(mean("molarMass") * 1e-3, rel=1e-12)
    assert gas.temperature == pytest.approx(mean("gasTemperature") + 273.15, rel=1e-12)
    assert gas.critical_pressure == pytest.approx(mean("pseudocriticalPressure") * 1e5, rel=1e-12)
    assert (gas.friction, gas.compressibility, gas.standard_temperature) == ("nikuradse", "papay", 273.15)


# ------------------------------------------------------------------------------------------------ machine data


def test_machine_coefficients_reproduce_the_listed_points(data):
    """H = (1, Q, Q2) C (1, n, n2)T to round-off, surge line too; the fitted efficiency within 0.037."""
    net = read_gaslib(path_of(data, "GasLib-135.zip"))
    machines, points = net["machines"], net["machine_points"]
    assert (len(machines), len(points)) == (29, 2349)
    head_error, surge_error, efficiency_error = [], [], []
    for name in machines.names:
        i, mine = machines.row(name), points.where(points["machine"] == name)
        Q, n, H = (mine[c] for c in ("volumetric_flow", "speed", "adiabatic_head"))
        C, E = (
            np.array([machines[f"{fit}_isoline_coeff_{k}"][i] for k in range(1, 10)]).reshape(3, 3)
            for fit in ("n", "eta_ad")
        )
        powers = [np.stack([np.ones_like(v), v, v * v]) for v in (Q, n)]
        surge = mine["set"] == "surge line"
        on_line = (mine["set"] == "characteristic diagram") & (H > 0)
        head = np.einsum("ip,ij,jp->p", powers[0], C, powers[1])
        head_error.append(abs(head - H)[on_line] / H[on_line])
        efficiency = np.einsum("ip,ij,jp->p", powers[0], E, powers[1])
        efficiency_error.append(abs(efficiency - mine["adiabatic_efficiency"])[on_line])
        s = [machines[f"surgeline_coeff_{k}"][i] for k in (1, 2, 3)]
        surge_error.append(abs(s @ powers[0] - H)[surge] / H[surge])
        assert (surge.sum(), on_line.sum()) == (9, 72)
    assert np.concatenate(head_error).max() < 1e-9
    assert np.concatenate(surge_error).max() < 1e-9
    assert 0.03 < np.concatenate(efficiency_error).max() < 0.038


def test_stations_take_over_what_machine_data_give(data):
    net = read_gaslib(path_of(data, "GasLib-24.zip"))
    stations, drives = net["compressors"], net["drives"]
    row = stations.row("CS3")  # two machines, side by side or in series
    assert (stations["units"][row], stations["stages"][row]) == (2, 2)
    assert net["machines"].names == (
        *("CS3/T_CS3_M1", "CS3/T_CS3_M3", "CS2/T_CS2_M4"),
        *("CS1/Comp11", "CS1/Comp12", "CS1/Comp13"),
    )
    power, energy = 0.0, 0.0
    for name in ("CS3/P_CS3_M1", "CS3/P_CS3_M3"):
        i = net["machine_drives"].row(name)
        c = [net["machine_drives"][f"power_fun_coeff_{k}"][i] for k in range(1, 10)]
        n = 11600.0 if name.endswith("M1") else 6500.0
        own = sum(c[3 * t + s] * 15.0**t * n**s for t in range(3) for s in range(3))
        power += own
        energy += sum(net["machine_drives"][f"energy_rate_fun_coeff_{k}"][i] * own ** (k - 1) for k in (1, 2, 3))
    assert stations["power_max"][row] == pytest.approx(power * 1e3, rel=1e-12)
    assert drives["efficiency"][drives.row("drive CS3")] == pytest.approx(power / energy, rel=1e-12)
    assert drives["fuel_node"][drives.row("drive CS3")] == "N16"
    # 135: the energy rate 0.01 kW is a placeholder, so no drive can be made of it
    net = read_gaslib(path_of(data, "GasLib-135.zip"))
    assert len(net["drives"]) == 0
    assert "compressorStation_29" in net.sources["no_fuel_data"]
    assert set(net["compressors"]["efficiency"]) == {np.median(net["machine_points"]["adiabatic_efficiency"][9:81])}


# ------------------------------------------------------------------------------------------ made-up small files


@pytest.fixture
def small(tmp_path):
    for suffix, text in (("net", NET), ("scn", SCN), ("cs", CS)):
        (tmp_path / f"small.{suffix}").write_text(text, encoding="utf-8")
    return tmp_path / "small.net"


def test_every_element_kind_in_a_small_file(small):
    net = read_gaslib(small)
    assert check(net) == []
    assert_accounted(account(small), roots(small))
    nodes = net["gas_nodes"]
    assert list(nodes["kind"]) == ["entry", "entry", "exit", "exit", "junction", "junction"]
    assert nodes["pressure_min"][0] == 201325.0  # 1 barg of the network is above the 2 bar of the scenario
    assert nodes["pressure_max"][0] == 80e5
    assert (nodes["x_pressureMax"][0], nodes["x_scenario_pressure_upper"][0]) == ("80 bar", "90 bar")
    assert (nodes["longitude"][0], nodes["latitude"][0]) == pytest.approx((np.pi / 2, -np.pi / 4))
    assert (nodes["x_alias"][0], nodes["x_groundKind"][4]) == ("north", "clay")
    pipe = {c: v[0] for c, v in net["pipes"].columns.items()}
    assert (pipe["length"], pipe["diameter"], pipe["roughness"], pipe["pressure_max"]) == (2000.0, 0.9, 0.0, 84e5)
    assert pipe["x_soilTemperature"] == "280 K"
    valve = {c: v[0] for c, v in net["control_valves"].columns.items()}
    assert (valve["pressure_loss_in"], valve["pressure_differential_max"]) == (0.5e5, 50e5)
    assert (valve["x_gasPreheaterExisting"], valve["x_internalBypassRequired"]) == ("1", "0")
    assert list(net["resistors"]["drag_factor"][:1]) + list(net["resistors"]["pressure_loss"][1:]) == [7.0, 1e4]
    assert net.sources["zero_roughness"] == "pipes without roughness: P"
    assert net.sources["heights"].startswith("1 heights have no unit")
    assert net.gas.standard_density == pytest.approx(0.75 * 0.8 + 0.25 * 0.7)  # 300 and 100 nominated
    assert list(net["supplies"]["norm_density"]) == [0.8, 0.7]
    assert sum(k.value for k in net.knowns() if k.quantity == "supply") == pytest.approx(400 * 0.775 / 3.6)


def test_machines_in_a_small_file(small):
    net = read_gaslib(small)
    machines, points = net["machines"], net["machine_points"]
    assert list(machines["kind"]) == ["turboCompressor", "pistonCompressor"]
    assert machines["x_operatingVolume"][1] == "0.5 m_cube"
    assert list(points["set"]) == ["surge line", "characteristic diagram", "characteristic diagram"]
    assert points["adiabatic_efficiency"][1:].tolist() == [0.78, 0.82]
    assert points["volumetric_flow"][1] == 1.0
    drives = net["drive_points"]
    assert list(drives["set"]) == ["energy consumption", "largest power", "largest power"]
    assert drives["ambient_temperature"][1:].tolist() == [268.15, 268.15]
    assert (drives["power"][0], drives["energy_rate"][0]) == (10.5e6, 46.215e6)
    assert len(net["station_configurations"]) == 3
    assert net["compressors"]["efficiency"][0] == pytest.approx(0.80)
    turbine = {c: v[0] for c, v in net["machine_drives"].columns.items()}
    for speed, measured in ((4778, 11260), (6825, 12521)):  # settles the order of the nine coefficients
        assert largest_power(turbine, speed, -5.0) == pytest.approx(measured, rel=2e-3)
    motor = {c: v[1] for c, v in net["machine_drives"].columns.items()}
    assert largest_power(motor, 330) == pytest.approx(8750, rel=1e-3)
    assert net["compressors"]["power_max"][0] == 1e3 * (largest_power(turbine, 6825) + largest_power(motor, 330))


def test_another_scenario_of_the_file(small):
    net = read_gaslib(small, scenario_id="open")
    assert net.sources["scenarios"] == "cold, open"
    supply = {c: v[0] for c, v in net["supplies"].columns.items()}
    density = net.gas.standard_density / 3.6
    assert density == pytest.approx(0.75 / 3.6)  # nothing nominated: the plain mean
    assert (supply["flow_min"], supply["flow_max"]) == pytest.approx((10 * density, 20 * density))
    assert (supply["x_flowMin"], supply["x_flowMax"]) == ("0 1000m_cube_per_hour", "500 1000m_cube_per_hour")
    assert {(k.quantity, k.where) for k in net.knowns()} == {("pressure", "S1"), ("withdrawal", "offtake T1")}
    assert "supply S1: free between 10 thousand m3/h" in net.sources["free"]
    assert "offtake T2: not nominated, free between" in net.sources["free"]
    assert "the free flows make up for it" in net.sources["nomination"]
    assert_accounted(account(small, scenario_id="open"), roots(small))
    with pytest.raises(CaseError, match="has no scenario 'warm'; it has cold, open"):
        read_gaslib(small, scenario_id="warm")


@pytest.mark.parametrize(
    ("file", "old", "new", "above", "told"),
    [
        ("net", "</network>", "", -1, "not well-formed"),
        ("net", '<length value="2" unit="km"/>', '<length value="2"/>', 0, "P length: a length must have a unit"),
        ("net", 'value="2" unit="km"', 'value="2" unit="mile"', 0, "unit 'mile' is not known for a length; known: m,"),
        ("net", 'value="84" unit="bar"', 'value="84" unit="psi"', 0, "unit 'psi' is not known for a pressure"),
        ("net", 'value="2" unit="km"', 'value="two" unit="km"', 0, "must be a finite number, got 'two'"),
        ("net", 'value="2" unit="km"', 'value="nan" unit="km"', 0, "must be a finite number, got 'nan'"),
        ("net", 'value="2" unit="km"', 'value="-2" unit="km"', 0, "must be above 0, got -2"),
        ("net", '<length value="2" unit="km"/>', '<length unit="km"/>', 0, "must have an attribute value"),
        ("net", '<roughness value="0" unit="mm"/>', "", 4, "P roughness: must be given"),
        ("net", '<dragFactor value="7"/>', "", 0, "must have pressureLoss, or dragFactor and diameter"),
        ("net", 'from="S1" to="N1"', 'from="S9" to="N1"', 0, "from: 'S9' is no node"),
        ("net", 'fuelGasVertex="N1"', 'fuelGasVertex="N7"', 0, "fuelGasVertex: 'N7' is no node"),
        ("net", 'id="SP" from="S2" ', 'id="SP" ', 0, "must have an attribute from"),
        ("net", 'id="SP"', 'id="P"', 0, "'P' is already the name of the element in line 39"),
        ("net", "normDensity", "density", None, "no source gives the gas its norm density"),
        ("net", "<network ", "<net ", -63, "not well-formed XML: mismatched tag"),
        ("scn", 'id="T1"', 'id="T7"', 0, "'T7' does not exist in the network"),
        ("scn", '<pipe id="P">', '<pipe id="Q">', 0, "'Q' does not exist in the network"),
        ("scn", 'type="exit" id="T2"', 'type="entry" id="T2"', 0, "'T2' is no entry of the network"),
        ("scn", 'id="T2"', 'id="T1"', 0, "'T1' is nominated twice, first in line 11"),
        ("scn", 'value="250" bound="lower"', 'value="260" bound="lower"', 1, "the lower bound is above the upper one"),
        ("scn", 'value="250" bound="lower"', 'value="250" bound="upper"', -1, "the upper bound is given twice"),
        (
            "scn",
            'value="250" bound="lower"',
            'value="250" bound="below"',
            0,
            "must be lower, upper or both; got 'below'",
        ),
        (
            "scn",
            'value="2" bound="lower"',
            'value="81" bound="lower"',
            1,
            "no pressure meets the limits of network and",
        ),
        ("scn", "scenario", "scene", None, "holds no scenario"),
        (
            "cs",
            'compressorStation id="CS"',
            'compressorStation id="C"',
            0,
            "'C' is no compressor station of the network",
        ),
        ("cs", 'drive="turbine"', 'drive="engine"', 2, "'CS/engine' does not exist"),
        (
            "cs",
            '<compressor id="piston"',
            '<compressor id="pist"',
            62,
            "'CS/pist' does not exist; the station has CS/turbo",
        ),
        ("cs", 'nrOfSerialStages="2"', 'nrOfSerialStages="two"', 0, "must be a whole number of at least 1, got 'two'"),
        ("cs", 'value="165" unit="per_min"', 'value="165"', 0, "a speed [1/min] must have a unit"),
    ],
)
def test_a_mistake_is_named_with_file_and_line(small, file, old, new, above, told):  # noqa: PLR0917 - a table
    """`above` = lines between the change and the element that is named; None where no line can be."""
    text = {"net": NET, "scn": SCN, "cs": CS}[file]
    assert old in text
    small.with_suffix(f".{file}").write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(CaseError) as caught:
        read_gaslib(small)
    named = [m for m in caught.value.mistakes if told in str(m)]
    assert named, caught.value
    assert named[0].file == f"small.{file}"
    line = 0 if above is None else text[: text.index(old)].count("\n") + 1 - above
    assert named[0].row == line, caught.value


def test_all_mistakes_at_once(small):
    small.write_text(NET.replace('unit="km"', 'unit="mile"').replace('from="N2"', 'from="N8"'), encoding="utf-8")
    small.with_suffix(".scn").write_text(SCN.replace('id="T2"', 'id="T9"'), encoding="utf-8")
    with pytest.raises(CaseError) as caught:
        read_gaslib(small)
    assert len(caught.value.mistakes) == 5


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("net", "<shortPipe", '<teleporter id="X" from="S1" to="N1"/><shortPipe', "element .*teleporter 'X'"),
        ("net", "</framework:nodes>", "<oops/></framework:nodes>", "element network/nodes/oops"),
        ("net", '<length value="2" ', '<length colour="red" value="2" ', "attribute colour of .*pipe/length"),
        ("net", '<groundKind value="clay"/>', "<soil><kind/></soil>", "element network/nodes/innode/soil"),
        ("net", "<shortPipe", "stray words<shortPipe", "text of network/connections"),
        ("net", '<normDensity value="0.7"', '<normDensity value="0.9" unit="x"/><normDensity value="0.7"', ""),
        ("scn", "<scenarioProbability", "<odd><inner/></odd><scenarioProbability", "element .*scenario/odd"),
        ("cs", "<gasDrivenMotor", '<windmill id="w"/><gasDrivenMotor', "element .*drives/windmill 'w'"),
        ("cs", "<configurations>", "<spares/><configurations>", "element .*compressorStation/spares"),
    ],
)
def test_nothing_is_dropped_in_silence(small, file, old, new, told):
    text = {"net": NET, "scn": SCN, "cs": CS}[file]
    assert old in text
    small.with_suffix(f".{file}").write_text(text.replace(old, new, 1), encoding="utf-8")
    if not told:  # a parameter given twice with an unknown unit is a mistake before it is a loss
        with pytest.raises(CaseError, match="unit 'x' is not known"):
            read_gaslib(small)
        return
    with pytest.raises(Untranslated, match=f"small.{file} line \\d+: {told}") as caught:
        read_gaslib(small)
    assert len(caught.value.items) == 1
    net = read_gaslib(small, allow_loss=True)
    assert net.sources["lost"] == caught.value.items[0]
    assert any(r.carried < r.in_file for r in account(small))


def test_declarations_are_refused(small):
    bomb = '<!DOCTYPE network [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>'
    small.write_text(NET.replace("<!-- every", bomb + "<!-- every", 1).replace('alias="north"', 'alias="&b;"'))
    with pytest.raises(CaseError, match="declares a document type or an entity"):
        read_gaslib(small)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("<network>" + "<a>" * 100_000, "row 1: has more than 50 elements inside each other"),
        ('<?xml version="1.0" encoding="klingon"?><network/>', "row 1: "),
        ("", "row 1: is not well-formed XML: no element found"),
        ("<boundaryValue/>", "the outermost element must be network, got boundaryValue"),
        ("<network/>", "holds no nodes"),
    ],
)
def test_files_that_are_no_network(tmp_path, text, told):
    (tmp_path / "a.net").write_text(text)
    with pytest.raises(CaseError, match=told):
        read_gaslib(tmp_path / "a.net")


def zipped(path, **members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in members.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), text)
    path.write_bytes(buffer.getvalue())
    return path


def test_zip_files(tmp_path, small):
    whole = zipped(tmp_path / "a.zip", g__s_net=NET, g__s_scn=SCN, g__s_cs=CS, days__1_scn=SCN, more__1_scn=SCN)
    loose = read_gaslib(small)
    found = read_gaslib(whole)
    assert found.name == "s"
    assert found.gas == loose.gas
    assert {k: len(t) for k, t in found.tables.items()} == {k: len(t) for k, t in loose.tables.items()}
    assert len(read_gaslib(whole, "days/1.scn", scenario_id="open").knowns()) == 2
    assert len(read_gaslib(whole, small.with_suffix(".scn"), scenario_id="open").knowns()) == 2
    for wanted, told in (("1.scn", "not unique; say which: days/1.scn, more/1.scn"), ("2.scn", "holds no 2.scn")):
        with pytest.raises(CaseError, match=told):
            read_gaslib(whole, wanted)
    with pytest.raises(CaseError, match=r"must hold one \.net file, holds none"):
        read_gaslib(zipped(tmp_path / "b.zip", a_scn=SCN))
    with pytest.raises(CaseError, match=r"holds a\.net, b\.net"):
        read_gaslib(zipped(tmp_path / "c.zip", a_net=NET, b_net=NET))
    (tmp_path / "d.zip").write_bytes(b"no zip")
    with pytest.raises(CaseError, match="is not a readable zip file"):
        read_gaslib(tmp_path / "d.zip")
    with pytest.raises(CaseError, match=r"absent\.net: cannot be read"):
        read_gaslib(tmp_path / "absent.net")
    with pytest.raises(CaseError, match=r"absent\.scn: cannot be read"):
        read_gaslib(small, tmp_path / "absent.scn")
    small.with_suffix(".scn").unlink()
    with pytest.raises(CaseError, match=r"no \.scn file holds scenario 'cold'"):
        read_gaslib(small, scenario_id="cold")


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(NET) - 1), st.integers(0, 30), st.text(alphabet='<>/"=& -1eE.xid', max_size=6))
def test_a_damaged_file_is_read_or_refused_but_never_a_surprise(tmp_path_factory, at, cut, patch):
    path = tmp_path_factory.mktemp("damaged") / "a.net"
    path.write_text(NET[:at] + patch + NET[at + cut :], encoding="utf-8")
    try:
        net = read_gaslib(path)
    except (CaseError, Untranslated) as error:
        assert "a.net" in str(error)  # noqa: PT017 - both outcomes are fine
    else:
        assert np.isfinite(net["pipes"]["length"]).all()


# --------------------------------------------------------------------------------------------------- round trip


@pytest.mark.parametrize("name", NETWORKS)
def test_round_trip_through_a_case_folder(data, name, tmp_path):
    net = read_gaslib(path_of(data, name), "Nominations-134/2011-11-01.scn" if "134" in name else None)
    write_folder(net, tmp_path / "case")
    assert_same(net, read_folder(tmp_path / "case"))


def test_round_trip_of_the_small_file(small, tmp_path):
    for scenario in ("cold", "open"):
        net = read_gaslib(small, scenario_id=scenario)
        write_folder(net, tmp_path / scenario)
        assert_same(net, read_folder(tmp_path / scenario))
