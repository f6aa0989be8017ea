# SPDX-License-Identifier: Apache-2.0
import shutil
from dataclasses import fields
from math import copysign, nan
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from network.random_network import random_network
from serai.errors import CaseError
from serai.network import KINDS, Day, Gas, Network, read, table, write
from serai.network.casefolder import _GAS, _TOP, read_folder, write_folder
from serai.network.sheet import number, number_text, resolve
from serai.units import UNITS, to_si


def assert_same(a: Network, b: Network) -> None:
    """Equal to the last bit."""
    own = ("name", "title", "base_power", "frequency", "day", "utc_offset", "gas_day_start", "heat_demand", "sources")
    for f in own:
        assert getattr(a, f) == getattr(b, f), f
    for f in fields(Gas):
        assert repr(getattr(a.gas, f.name)) == repr(getattr(b.gas, f.name)), f.name
    assert list(a.days) == list(b.days)
    for name, day in a.days.items():
        assert (day.note, day.hot, list(day.profiles)) == (
            b.days[name].note,
            b.days[name].hot,
            list(b.days[name].profiles),
        )
        assert repr(day.air_temperature) == repr(b.days[name].air_temperature)
        for p, values in day.profiles.items():
            assert values.tobytes() == b.days[name].profiles[p].tobytes()
    for kind in KINDS:
        assert set(a[kind].columns) == set(b[kind].columns) or not len(a[kind])
        for c, values in a[kind].columns.items():
            other = b[kind][c]
            same = values.tolist() == other.tolist() if values.dtype == object else values.tobytes() == other.tobytes()
            assert values.dtype == other.dtype, (kind, c)
            assert same, (kind, c, values, other)


@pytest.fixture
def small() -> Network:
    return Network(
        name="small",
        tables={
            "gas_nodes": table("gas_nodes", [{"name": "A", "pressure_max": 80e5}, {"name": "B"}]),
            "pipes": table("pipes", [{"name": "P", "from_node": "A", "to_node": "B", "length": 1e4, "diameter": 0.5}]),
            "setpoints": table("setpoints", [{"quantity": "pressure", "where": "A", "value": 70e5, "unit": "bara"}]),
        },
        days={"winter": Day("winter", {"p": np.ones(24)})},
        day="winter",
    )


@pytest.fixture
def folder(small, tmp_path) -> Path:
    write(small, tmp_path / "small")
    return tmp_path / "small"


# ------------------------------------------------------------------------------------------------------ exact


@settings(max_examples=1500, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(sorted(UNITS)))
@example(-0.0, "degc")
@example(-0.0, "km")
@example(5e-324, "km")
@example(1.7976931348623157e308, "mm")
def test_every_float_survives_its_text_in_every_unit(value, unit):
    text = number_text(value, unit, 0.6785)
    back = number(text, unit, 0.6785)
    assert back == value
    assert copysign(1.0, back) == copysign(1.0, value) or UNITS[unit].offset  # no -0 barg


@settings(max_examples=300, deadline=None)
@given(
    st.decimals(-9999, 9999, places=4),
    st.sampled_from(["km", "bara", "barg", "mw", "percent", "degc", "million_m3_per_day"]),
)
def test_short_decimals_stay_short(decimal, unit):
    text = f"{float(decimal):.12g}"
    value = number(text, unit, 0.6785)
    assert len(number_text(value, unit, 0.6785)) <= max(len(text), len("-0.") + 17 + len("e-05"))
    if unit in ("km", "bara", "mw"):
        assert float(number_text(value, unit)) == float(decimal)


def test_texts_are_the_ones_a_person_would_write():
    assert number_text(300.0, "km") == "0.3"
    assert number_text(80e5, "bara") == "80"
    assert number_text(288.15, "degc") == "15"
    assert number_text(0.0, "degc") == "-273.15"
    assert number_text(-0.0, "km") == "-0"


@pytest.mark.parametrize(
    "text", ["", "nan", "inf", "-Infinity", "1_000", "0x10", "1,5", "abc", "1e999", "1e99999", "--1", "\u0663"]
)
def test_what_is_no_number(text):
    with pytest.raises(ValueError):  # noqa: PT011 - its text is the given one
        number(text)


def test_no_header_means_two_things():
    for columns in (*(k.columns for k in KINDS.values()), _TOP, _GAS):
        meanings: dict[str, str] = {}
        for c in columns:
            for u in UNITS:
                if u == c.unit or (u and c.unit and UNITS[u].dimension == UNITS[c.unit].dimension):
                    header = f"{c.name}_{u}" if u else c.name
                    assert meanings.setdefault(header, c.name) == c.name
                    assert resolve(header, columns) == (c, u)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_round_trip_changes_no_bit(tmp_path_factory, seed):
    network = random_network(seed)
    folder = tmp_path_factory.mktemp("case") / "case"
    write_folder(network, folder)
    once = read_folder(folder)
    assert_same(network, once)
    texts = {f.relative_to(folder): f.read_bytes() for f in folder.rglob("*") if f.is_file()}
    write_folder(once, folder)
    assert texts == {f.relative_to(folder): f.read_bytes() for f in folder.rglob("*") if f.is_file()}
    shutil.rmtree(folder)


# -------------------------------------------------------------------------------------------- what people write


def test_any_unit_of_the_dimension(folder):
    (folder / "network/pipes.csv").write_text(
        "name,from_node,to_node,length_m,diameter_m,flow_max_million_m3_per_day\nP,A,B,10000,0.5,3\n"
    )
    (folder / "network/gas_nodes.csv").write_text("name,pressure_max_barg,latitude_deg,x_owner\nA,79,38.5,we\nB,,,\n")
    (folder / "setpoints.csv").write_text(
        "quantity,where,value,unit\npressure,A,6.9,mpa\nwithdrawal,B,7.5,million_m3_per_day\n"
    )
    network = read(folder)
    assert network["pipes"]["length"][0] == 1e4
    assert network["pipes"]["flow_max"][0] == to_si(3.0, "million_m3_per_day", network.gas.standard_density)
    assert network["gas_nodes"]["pressure_max"][0] == 79e5 + 101325.0
    assert network["gas_nodes"]["latitude"][0] == np.deg2rad(38.5)
    assert network["gas_nodes"]["x_owner"].tolist() == ["we", ""]
    assert [k.value for k in network.knowns()] == [
        6.9e6,
        to_si(7.5, "million_m3_per_day", network.gas.standard_density),
    ]


def test_gas_keys_in_other_units(folder):
    (folder / "case.toml").write_text(
        "[gas]\ntemperature_k = 280\ncritical_pressure_mpa = 4.5\nstandard_temperature_degc = 20\n"
    )
    gas = read(folder).gas
    assert (gas.temperature, gas.critical_pressure, gas.standard_temperature) == (280.0, 4.5e6, 293.15)
    assert gas.standard_density == Gas(standard_temperature=293.15).standard_density
    assert read(folder).name == "small"


def test_spreadsheets_with_bom_crlf_semicolons_and_decimal_commas(folder, small):
    text = 'name;from_node;to_node;length_km;diameter_mm;source\r\nP;A;B;10,0;500;"a;b, ""c"""\r\n;;;;;\r\n'
    (folder / "network/pipes.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    network = read(folder)
    assert network["pipes"]["source"][0] == 'a;b, "c"'
    assert_same(small.with_tables(pipes=small["pipes"].replace(source=np.array(['a;b, "c"'], dtype=object))), network)


def test_a_comma_is_no_decimal_sign_in_a_file_with_points(folder):
    (folder / "network/pipes.csv").write_text("name;from_node;to_node;length_km;diameter_mm\nP;A;B;1,234;500.0\n")
    with pytest.raises(CaseError, match=r"pipes.csv row 2, length_km: must be a number, got '1,234'"):
        read(folder)


def test_flags_and_whole_numbers(folder):
    (folder / "network/compressors.csv").write_text("name,from_node,to_node,units\nC,A,B,3.0\n")
    assert read(folder)["compressors"]["units"].tolist() == [3]


def test_no_day_given_means_the_first(folder):
    text = (folder / "case.toml").read_text().replace('day = "winter"\n', "")
    (folder / "case.toml").write_text(text)
    assert read(folder).day == "winter"


# ------------------------------------------------------------------------------------------------------ writing


def test_columns_that_say_nothing_are_left_out(folder):
    assert (folder / "network/pipes.csv").read_text() == "name,from_node,to_node,length_km,diameter_mm\nP,A,B,10,500\n"
    assert (folder / "setpoints.csv").read_text() == "quantity,where,value,unit\npressure,A,70,bara\n"
    assert sorted(f.name for f in folder.iterdir()) == ["case.toml", "network", "profiles", "setpoints.csv"]


def test_other_files_stay(folder, small):
    (folder / "corridors.csv").write_text("tag\n")
    (folder / "profiles/prices.csv").write_text("hour\n")
    (folder / "network/map.geojson").write_text("{}")
    write(small.with_tables(pipes=table("pipes", [])), folder)
    assert (folder / "corridors.csv").read_text() == "tag\n"
    assert (folder / "profiles/prices.csv").exists()
    assert sorted(f.name for f in (folder / "network").iterdir()) == ["gas_nodes.csv", "map.geojson"]


def test_a_writer_that_fails_leaves_the_old_case(folder, small, monkeypatch):
    before = {f: f.read_bytes() for f in folder.rglob("*") if f.is_file()}

    def full(self, *_):
        raise OSError(28, "No space left on device")

    for method in ("write_bytes", "rename"):
        with monkeypatch.context() as m:
            m.setattr(Path, method, full)
            with pytest.raises(OSError, match="No space"):
                write(small, folder)
        assert before == {f: f.read_bytes() for f in folder.rglob("*") if f.is_file()}
        assert [f.name for f in folder.parent.iterdir()] == ["small"]


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), KeyboardInterrupt()], ids=["disk", "interrupt"])
def test_an_exchange_that_fails_half_way_is_undone(folder, small, monkeypatch, error):
    rename = Path.rename

    def only_the_old(self, target):
        if self.name == "new":
            raise error
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", only_the_old)
    with pytest.raises(type(error)):
        write(small, folder)
    assert read(folder).name == "small"


def test_only_case_folders_are_replaced(small, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/chapter.tex").write_text("")
    with pytest.raises(CaseError) as error:
        write(small, tmp_path / "thesis")
    assert (
        str(error.value.mistakes[0])
        == "thesis: is not a case folder (it has no case.toml) and not empty; choose another"
    )
    (tmp_path / "file").write_text("")
    with pytest.raises(CaseError, match="file: is a file; choose another name for the case folder"):
        write(small, tmp_path / "file")
    (tmp_path / "empty").mkdir()
    write(small, tmp_path / "empty")
    write(small, tmp_path / "deep/er")
    assert_same(read(tmp_path / "empty"), read(tmp_path / "deep/er"))


def test_what_could_not_be_read_back_is_not_written(small, tmp_path):
    pipes = small["pipes"].replace(length=np.array([nan]))
    with pytest.raises(CaseError, match=r"pipes.csv row 2, length_km: must be given"):
        write(small.with_tables(pipes=pipes), tmp_path / "bad")
    pipes = small["pipes"].replace(source=np.array(["\ud800"], dtype=object))
    with pytest.raises(CaseError, match="a character that UTF-8 does not have"):
        write(small.with_tables(pipes=pipes), tmp_path / "bad")
    assert not list(tmp_path.iterdir())
