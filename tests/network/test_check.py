# SPDX-License-Identifier: Apache-2.0
from math import inf, nan
from pathlib import Path

import numpy as np
import pytest

from network.random_network import random_network
from serai.errors import CaseError
from serai.network import Day, Network, read, table, write
from serai.network.check import check
from serai.network.network import FRICTION
from serai.network.quantities import QUANTITIES, quantities_of
from serai.network.tables import KINDS
from serai.units import UNITS

CASE = """
name = "try"
day = "winter"
[[days]]
name = "winter"
profiles = "profiles/winter.csv"
"""
FILES = {
    "case.toml": CASE,
    "profiles/winter.csv": "hour,p\n" + "".join(f"{h},1\n" for h in range(24)),
    "network/gas_nodes.csv": "name,status\nA,\nB,\nC,\nOff,out of service\n",
    "network/pipes.csv": "name,from_node,to_node,length_km,diameter_mm\nP,A,B,10,500\n",
    "network/buses.csv": "name,voltage_kv,status\nS,110,\nT,110,\nU,110,\nDead,110,planned\n",
    "network/lines.csv": "name,from_bus,to_bus,length_km,resistance_ohm_per_km,reactance_ohm_per_km\nL,S,T,1,0.1,0.3\n",
    "network/compressors.csv": "name,from_node,to_node\nK,B,C\n",
    "network/loads.csv": "name,bus\nTown,T\n",
    "setpoints.csv": "quantity,where,value,unit\npressure,A,70,bara\n",
}
PIPES = "name,from_node,to_node,length_km,diameter_mm"
NODES = FILES["network/gas_nodes.csv"]
SETPOINTS = "day,quantity,where,value,unit,profile"
TRANSFORMER = "name,hv_bus,lv_bus,rating_mva,short_circuit_voltage_percent"
PRESSURES = " or ".join(f"pressure_max_{u}" for u in ("pa", "kpa", "mpa", "bara", "barg"))
TOO_RESISTIVE = "must be at most short_circuit_voltage_percent (10), got 11"


def mistakes(folder: Path, **changed: str | None) -> list[str]:
    for name, text in {**FILES, **changed}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        if text is None:
            (folder / name).unlink(missing_ok=True)
        else:
            (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    try:
        read(folder)
    except CaseError as error:
        return [str(m) for m in error.mistakes]
    return []


def pipes(row: str, header: str = PIPES) -> dict[str, str]:
    return {"network/pipes.csv": f"{header}\n{row}\n"}


def setpoint(row: str) -> dict[str, str]:
    return {"setpoints.csv": f"{SETPOINTS}\n{row}\n"}


def toml(text: str) -> dict[str, str]:
    return {"case.toml": f"{text}\n{CASE}" if "[" not in text else f"{CASE}\n{text}"}


def more(file: str, text: str) -> dict[str, str]:
    return {f"network/{file}.csv": text}


CELLS = [
    (pipes("P,A,B,x,500"), "pipes.csv row 2, length_km: must be a number, got 'x'"),
    (pipes("P,A,B,nan,500"), "pipes.csv row 2, length_km: must be a number, got 'nan'"),
    (pipes("P,A,B,10,inf"), "pipes.csv row 2, diameter_mm: must be a number, got 'inf'"),
    (pipes("P,A,B,10,1e999"), "pipes.csv row 2, diameter_mm: must be a number, got '1e999'"),
    (pipes("P,A,B,-3,500"), "pipes.csv row 2, length_km: must be above 0, got -3"),
    (pipes("P,A,B,0,500"), "pipes.csv row 2, length_km: must be above 0, got 0"),
    (pipes("P,A,B,,500"), "pipes.csv row 2, length_km: must be given"),
    (pipes(",A,B,1,500"), "pipes.csv row 2, name: must be given"),
    (pipes("P,,B,1,500"), "pipes.csv row 2, from_node: must be given"),
    (pipes("P,A,B,1,500,-1", f"{PIPES},roughness_mm"), "pipes.csv row 2, roughness_mm: must be at least 0, got -1"),
    (pipes("P,A,B,1,500,1.6", f"{PIPES},efficiency"), "pipes.csv row 2, efficiency: must be at most 1.5, got 1.6"),
    (
        pipes("P,A,B,1,500,-300", f"{PIPES},temperature_degc"),
        "pipes.csv row 2, temperature_degc: must be above -273.15, got -300",
    ),
    (
        pipes("P,A,B,1,500,in servise", f"{PIPES},status"),
        (
            "pipes.csv row 2, status: must be one of in service, out of service, planned; got 'in servise'; "
            "did you mean in service?"
        ),
    ),
    (
        more("drives", "name,compressor,kind,efficiency\nD,K,steam,0.3\n"),
        "drives.csv row 2, kind: must be one of gas turbine, electric motor; got 'steam'",
    ),
    (more("drives", "name,compressor,kind,efficiency\nD,K,,0.3\n"), "drives.csv row 2, kind: must be given"),
    (
        more("compressors", "name,from_node,to_node,units\nK,B,C,1.5\n"),
        "compressors.csv row 2, units: must be a whole number, got '1.5'",
    ),
    (
        more("compressors", "name,from_node,to_node,units\nK,B,C,0\n"),
        "compressors.csv row 2, units: must be at least 1, got 0",
    ),
    (pipes(" P,A,B,1,500"), "pipes.csv row 2, name: ' P' begins or ends with a space"),
]
COLUMNS = [
    (pipes("P,A,B,10", "name,from_node,to_node,length_km"), "pipes.csv row 1, diameter_mm: this column is missing"),
    (
        pipes("P,A,B,10,500,1", f"{PIPES},rougness_mm"),
        "pipes.csv row 1, rougness_mm: no such column; did you mean roughness_mm?",
    ),
    (pipes("P,A,B,10,500,1", f"{PIPES},zzz"), "pipes.csv row 1, zzz: no such column"),
    (
        pipes("P,A,B,10,500,1", f"{PIPES},pressure_max"),
        f"pipes.csv row 1, pressure_max: needs a unit: {PRESSURES}",
    ),
    (
        pipes("P,A,B,10,500,1", f"{PIPES},pressure_max_bar"),
        f"pipes.csv row 1, pressure_max_bar: bar is no unit of pressure; use {PRESSURES}",
    ),
    (
        pipes("P,A,B,10,500,1", f"{PIPES},efficiency_mw"),
        "pipes.csv row 1, efficiency_mw: takes no unit; use efficiency",
    ),
    (pipes("P,A,B,10,500,1", f"{PIPES},length_m"), "pipes.csv row 1, length_m: is given twice: length_km and length_m"),
    (pipes("P,A,B,10,500,1", f"{PIPES},"), "pipes.csv row 1: column 6 has no name"),
    (pipes("P,A,B,10,500,1"), "pipes.csv row 2: has 6 cells, the header has 5"),
    ({"network/pipes.csv": ""}, "pipes.csv: is empty; its first row names the columns: name, ..."),
    ({"network/pipes.csv": b"name\n\xff\n"}, "pipes.csv: must be UTF-8 text, but byte 6 is not"),
    ({"network/pipes.csv": 'name\n"P\n'}, "pipes.csv: is not a CSV file: unexpected end of data"),
]
NAMES = [
    (pipes("P,A,Q,10,500"), "pipes.csv row 2, to_node: no element 'Q' in gas_nodes"),
    (
        more("loads", "name,bus\nTown,town\n"),
        "loads.csv row 2, bus: no element 'town' in buses",
    ),
    (pipes("P,A,S,10,500"), "pipes.csv row 2, to_node: must be one of gas_nodes, but 'S' is in buses"),
    (pipes("A,A,B,10,500"), "pipes.csv row 2, name: 'A' is already the name of gas_nodes.csv row 2"),
    (pipes("P,A,A,10,500"), "pipes.csv row 2, to_node: must differ from from_node, got 'A' twice"),
    (
        pipes("P,A,Off,10,500"),
        "pipes.csv row 2, to_node: 'Off' is out of service, so this element cannot be in service",
    ),
    (
        more("loads", "name,bus\nTown,Dead\n"),
        "loads.csv row 2, bus: 'Dead' is planned, so this element cannot be in service",
    ),
    (more("pipe", "name\n"), "pipe.csv: no kind of element is called 'pipe'; did you mean pipes?"),
    ({"pipes.csv": "name\n"}, "pipes.csv: belongs in the folder network"),
    ({"set_points.csv": "name\n"}, "set_points.csv: is not read; did you mean setpoints.csv?"),
]
PAIRS = [
    (
        more("gas_nodes", "name,pressure_min_bara,pressure_max_barg\nA,60,50\nB,,\nC,,\n"),
        "gas_nodes.csv row 2, pressure_min_bara: must be at most pressure_max_barg (50), got 60",
    ),
    (
        more("hvdc_links", "name,from_bus,to_bus,reactive_power_min_to_mvar,reactive_power_max_to_mvar\nH,S,T,2,1\n"),
        "hvdc_links.csv row 2, reactive_power_min_to_mvar: must be at most reactive_power_max_to_mvar (1), got 2",
    ),
    (
        more("transformers", f"{TRANSFORMER},short_circuit_resistive_percent\nX,S,T,40,10,11\n"),
        f"transformers.csv row 2, short_circuit_resistive_percent: {TOO_RESISTIVE}",
    ),
    (
        more("transformers", f"{TRANSFORMER}\nX,S,S,40,10\n"),
        "transformers.csv row 2, lv_bus: must differ from hv_bus, got 'S' twice",
    ),
    (
        more("control_valves", "name,from_node,to_node,drag_factor_in\nR,A,B,5\n"),
        "control_valves.csv row 2, diameter_in_mm: must be given, because drag_factor_in refers to it",
    ),
    (
        more("resistors", "name,from_node,to_node,drag_factor\nR,A,B,5\n"),
        "resistors.csv row 2, diameter_mm: must be given, because drag_factor refers to it",
    ),
    (
        more("valves", "name,from_node,to_node,loss_coefficient\nV,A,B,5\n"),
        "valves.csv row 2, diameter_mm: must be given, because loss_coefficient refers to it",
    ),
    (
        more("resistors", "name,from_node,to_node\nR,A,B\n"),
        "resistors.csv row 2, pressure_loss_bar: must be given, or drag_factor and its diameter",
    ),
    (
        more("drives", "name,compressor,kind,efficiency\nD,K,electric motor,0.9\n"),
        "drives.csv row 2, bus: must be given for an electric motor",
    ),
    (more("switches", "name,bus\nW,S\n"), "switches.csv row 2, to_bus: must be given, or branch"),
    (
        more("switches", "name,bus,to_bus,branch\nW,S,T,L\n"),
        "switches.csv row 2, to_bus: give only one of to_bus and branch",
    ),
    (more("switches", "name,bus,branch\nW,U,L\n"), "switches.csv row 2, branch: 'L' does not end at bus 'U'"),
    (more("switches", "name,bus,to_bus\nW,U,U\n"), "switches.csv row 2, to_bus: must differ from bus, got 'U' twice"),
]
SETS = [
    (setpoint(",pressure,Z,70,bara,"), "setpoints.csv row 2, where: no element 'Z'"),
    (setpoint(",load,Town,70,mw,"), "setpoints.csv row 2, quantity: no quantity 'load'"),
    (setpoint(",presure,A,70,bara,"), "setpoints.csv row 2, quantity: no quantity 'presure'; did you mean pressure?"),
    (
        setpoint(",ratio,P,1.2,,"),
        f"setpoints.csv row 2, quantity: pipes have no ratio; they have {', '.join(quantities_of('pipes'))}",
    ),
    (
        setpoint(",flow,L,1,kg_per_s,"),
        f"setpoints.csv row 2, quantity: lines have no flow; they have {', '.join(quantities_of('lines'))}",
    ),
    (
        setpoint(",pressure,A,70,bar,"),
        "setpoints.csv row 2, unit: must be a unit of pressure (pa or kpa or mpa or bara or barg), got 'bar'",
    ),
    (
        setpoint(",pressure,A,70,,"),
        "setpoints.csv row 2, unit: must be a unit of pressure (pa or kpa or mpa or bara or barg), got ''",
    ),
    (setpoint(",ratio,K,70,pu,"), "setpoints.csv row 2, unit: must be empty, got 'pu'"),
    (setpoint(",pressure,A,70,brg,"), "setpoints.csv row 2, unit: no unit 'brg'; did you mean barg?"),
    (setpoint(",pressure,A,-5,barg,"), "setpoints.csv row 2, value: must be above -1.01325, got -5"),
    (setpoint(",open,K,0.5,,"), "setpoints.csv row 2, value: must be 0 or 1, got 0.5"),
    (setpoint(",pressure,A,,bara,"), "setpoints.csv row 2, value: must be given"),
    (setpoint(",pressure,A,much,bara,"), "setpoints.csv row 2, value: must be a number, got 'much'"),
    (setpoint("summer,pressure,A,70,bara,"), "setpoints.csv row 2, day: no day 'summer' in case.toml"),
    (setpoint("winter,pressure,A,70,bara,q"), "setpoints.csv row 2, profile: no profile 'q' on winter"),
    (setpoint(",pressure,A,70,bara,q"), "setpoints.csv row 2, profile: no profile 'q' on winter"),
    (setpoint(",pressure,A,70,bara,pp"), "setpoints.csv row 2, profile: no profile 'pp' on winter; did you mean p?"),
    (
        {**setpoint(",pressure,A,70,bara,q"), "case.toml": 'name = "no days"'},
        "setpoints.csv row 2, profile: no profile 'q': case.toml has no [[days]]",
    ),
    (
        setpoint(",pressure,A,70,bara,\n,pressure,A,71,bara,"),
        "setpoints.csv row 3, where: pressure of 'A' is already given in row 2",
    ),
]
TOML = [
    ({"case.toml": None}, "case.toml: is missing: a case folder has one"),
    ({"case.toml": "name ="}, "case.toml: is not TOML: Invalid value (at end of document)"),
    ({"case.toml": b"name = '\xff'"}, "case.toml: must be UTF-8 text, but byte 9 is not"),
    (toml("base_power_mv = 3"), "case.toml, base_power_mv: no such key; did you mean base_power_mva?"),
    (
        toml("base_power = 3"),
        "case.toml, base_power: no such key; needs a unit: base_power_va or base_power_kva or base_power_mva",
    ),
    (toml("base_power_mva = 0"), "case.toml, base_power_mva: must be above 0, got 0"),
    (toml("base_power_mva = nan"), "case.toml, base_power_mva: must be a number, got NaN"),
    (toml('frequency_hz = "50"'), 'case.toml, frequency_hz: must be a number, got "50"'),
    (toml("frequency_hz = true"), "case.toml, frequency_hz: must be a number, got true"),
    (toml("base_power_mva = 1\nbase_power_kva = 1"), "case.toml, base_power_kva: base_power is given twice"),
    (toml("utc_offset_h = 25"), "case.toml, utc_offset_h: must be at most 24, got 25"),
    (toml("title = 3"), "case.toml, title: must be a text in quotes; got 3"),
    (toml("gas = 3"), "case.toml, gas: must be a table: [gas]"),
    (toml("sources = 3"), "case.toml, sources: must be a table: [sources]"),
    (toml("[sources]\nyear = 2020"), "case.toml, sources.year: must be a text in quotes; got 2020"),
    (
        toml('[gas]\nfriction = "chenn"'),
        f'case.toml, gas.friction: must be one of {", ".join(FRICTION)}; got "chenn"; did you mean chen?',
    ),
    (toml("[gas]\ncoefficients = 3"), "case.toml, gas.coefficients: must be a list of numbers, got 3"),
    (toml('[gas]\ncoefficients = ["a"]'), 'case.toml, gas.coefficients: must be a number, got "a"'),
    (toml("[gas]\ncomposition = 3"), "case.toml, gas.composition: must be a table: [gas.composition]"),
    (toml("[gas.composition]\nmethane = 90"), "case.toml, gas.composition.methane: must be at most 1, got 90"),
    ({"case.toml": "days = 3"}, "case.toml, days: must be tables: [[days]]"),
    (toml('[[days]]\nnote = ""'), "case.toml, days 2, name: must be given"),
    (toml('[[days]]\nname = ""'), "case.toml, days 2, name: must be given"),
    (toml('[[days]]\nname = "winter"'), "case.toml, days 2, name: 'winter' is given twice"),
    ({"case.toml": 'day = "x"\n[[days]]\nname = "y"'}, "case.toml, day: no day 'x' under [[days]]"),
    ({"profiles/winter.csv": None}, "profiles/winter.csv: does not exist, but case.toml names it"),
    (
        {"profiles/winter.csv": FILES["profiles/winter.csv"].replace("\n5,1", "\n5,x")},
        "profiles/winter.csv row 7, p: must be a number, got 'x'",
    ),
    (
        {"profiles/winter.csv": FILES["profiles/winter.csv"].replace("23,1", "23,")},
        "profiles/winter.csv row 25, p: must be a number, got ''",
    ),
    (
        {"profiles/winter.csv": FILES["profiles/winter.csv"].replace("\n5,", "\n6,")},
        "profiles/winter.csv row 7, hour: must be 5: a row an hour from 0, got 6",
    ),
    ({"profiles/winter.csv": "hour,p\n0,1\n"}, "profiles/winter.csv: needs 24 hours or more, got 1"),
    (
        {"profiles/winter.csv": FILES["profiles/winter.csv"].replace("hour", "h")},
        "profiles/winter.csv row 1: the first column must be hour",
    ),
    (
        {"profiles/winter.csv": FILES["profiles/winter.csv"].replace("hour,p", "hour,hour")},
        "profiles/winter.csv row 1, hour: is given twice",
    ),
]


def test_the_files_of_these_tests_hold_no_mistake(tmp_path):
    assert mistakes(tmp_path) == []


@pytest.mark.parametrize(
    ("changed", "expected"),
    [*CELLS, *COLUMNS, *NAMES, *PAIRS, *SETS, *TOML],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_a_mistake_is_named_once_and_alone(tmp_path, changed, expected):
    assert mistakes(tmp_path, **changed) == [expected]


def test_all_mistakes_at_once(tmp_path):
    found = mistakes(
        tmp_path,
        **more("pipes", "name,from_node,to_node,length_m,diametr_mm\nP,A,Bb,-3,500\nP,A,A,x,500\n\nP2,A,B,1,500\n"),
        **setpoint("spring,ratio,P,1,mw,"),
        **toml("frequency_hz = -50"),
    )
    assert found == [
        "case.toml, frequency_hz: must be above 0, got -50",
        "pipes.csv row 1, diametr_mm: no such column; did you mean diameter_mm?",
        "pipes.csv row 1, diameter_mm: this column is missing",
        "pipes.csv row 3, length_m: must be a number, got 'x'",
        "pipes.csv row 3, name: 'P' is already the name of pipes.csv row 2",
        "pipes.csv row 2, length_m: must be above 0, got -3",
        "pipes.csv row 2, to_node: no element 'Bb' in gas_nodes; did you mean B?",
        "pipes.csv row 3, to_node: must differ from from_node, got 'A' twice",
        "setpoints.csv row 2, day: no day 'spring' in case.toml",
        f"setpoints.csv row 2, quantity: pipes have no ratio; they have {', '.join(quantities_of('pipes'))}",
        "setpoints.csv row 2, unit: must be empty, got 'mw'",
    ]


def test_a_profile_must_exist_on_every_day_that_has_no_set_point_of_its_own(tmp_path):
    days = toml('[[days]]\nname = "summer"')
    assert mistakes(tmp_path, **days, **setpoint(",pressure,A,70,bara,p")) == [
        "setpoints.csv row 2, profile: no profile 'p' on summer"
    ]
    assert mistakes(tmp_path, **days, **setpoint(",pressure,A,70,bara,p\nsummer,pressure,A,60,bara,")) == []


def test_rows_are_those_of_the_spreadsheet(tmp_path):
    text = f'{PIPES},source\nP,A,B,1,500,"two\nlines"\n,,,,,\nQ,A,B,-1,500,\n'
    assert mistakes(tmp_path, **more("pipes", text)) == ["pipes.csv row 4, length_km: must be above 0, got -1"]


# ------------------------------------------------------------------------------------- networks without a folder


def test_a_network_of_a_converter_is_checked_too():
    nodes = table("gas_nodes", [{"name": "A", "height": nan}, {"name": "B", "height": inf, "pressure_min": -1e5}])
    assert [str(m) for m in check(Network(tables={"gas_nodes": nodes}))] == [
        "gas_nodes.csv row 2, height_m: must be a number, got nan",
        "gas_nodes.csv row 3, height_m: must be a finite number, got inf",
        "gas_nodes.csv row 3, pressure_min_bara: must be at least 0, got -1",
    ]


def test_profiles_of_a_network():
    profiles = {"p": np.ones(24), "q": np.ones(30), "r": np.r_[np.ones(29), nan]}
    network = Network(days={"winter": Day("winter", profiles), "": Day("")}, day="wintr")
    assert [str(m) for m in check(network)] == [
        "case.toml, day: no day 'wintr' under [[days]]; did you mean winter?",
        "case.toml, days: every day needs a name",
        "profiles, p: day winter: has 24 hours; every profile of winter needs 30",
        "profiles row 31, r: day winter: must be a number, got nan",
    ]


def test_a_known_without_a_finite_value():
    nodes = table("gas_nodes", [{"name": "A"}])
    rows = [{"quantity": "pressure", "where": "A", "value": inf, "unit": "pa"}]
    network = Network(tables={"gas_nodes": nodes, "setpoints": table("setpoints", rows)})
    assert [str(m) for m in check(network)] == ["setpoints.csv row 2, value: must be a finite number, got inf"]


@pytest.mark.parametrize("seed", range(20))
def test_random_networks_are_sound(seed):
    assert check(random_network(seed)) == []


def test_every_quantity_has_kinds_a_dimension_and_a_sentence():
    dimensions = {u.dimension for u in UNITS.values()}
    for q in QUANTITIES.values():
        assert set(q.kinds) <= set(KINDS)
        assert q.dimension in dimensions
        assert q.doc


def test_writing_and_checking_agree(tmp_path):
    network = random_network(3)
    write(network, tmp_path / "case")
    assert check(read(tmp_path / "case")) == []
