# SPDX-License-Identifier: Apache-2.0
"""Addresses read as they are written, mistakes in them named, commands reach every element that has a station."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import serai as sr
from serai.errors import CaseError
from serai.telemetry.endpoints import Endpoint, read_endpoints, write_endpoints
from serai.telemetry.points import (
    COMMANDED,
    PROTOCOLS,
    REGISTERS,
    Iec104Address,
    ModbusAddress,
    address_of,
    commands,
    points,
    stations,
)
from serai.units import UNITS, to_si


@pytest.fixture(scope="module")
def country():
    return sr.read("turkmenistan")


MODBUS = st.builds(
    ModbusAddress,
    unit=st.integers(0, 255),
    register=st.integers(100, 60_000),
    type=st.sampled_from(sorted(REGISTERS)),
    words=st.sampled_from(["big", "little"]),
    scale=st.floats(1e-6, 1e6),
    table=st.sampled_from(["holding", "input"]),
    quality=st.none(),
)


@given(MODBUS, st.one_of(st.none(), st.integers(-90, -1), st.integers(4, 90)))
def test_a_modbus_address_is_read_as_it_is_written(address, apart):
    there = None if apart is None else address.register + apart
    address = ModbusAddress(
        address.unit, address.register, address.type, address.words, address.scale, address.table, there
    )
    assert address_of("modbus", str(address)) == address


@given(st.integers(1, 0xFFFE), st.integers(1, 0xFFFFFF))
def test_an_iec104_address_is_read_as_it_is_written(common, number):
    assert address_of("iec104", f"{common}/{number}") == Iec104Address(common, number)


@given(st.sampled_from(PROTOCOLS), st.text(max_size=30))
def test_any_text_is_an_address_or_a_named_mistake(protocol, text):
    try:
        address = address_of(protocol, text)
    except ValueError:
        return
    assert address_of(protocol, str(address)) == address


@pytest.mark.parametrize(
    ("protocol", "text"),
    [
        ("iec104", "1"), ("iec104", "0/1"), ("iec104", "65535/1"), ("iec104", "1/16777216"), ("iec104", "a/b"),
        ("iec104", "1/²"), ("opcua", "Malay"), ("opcua", "ns=x;s=a"), ("opcua", "ns=2;i=x"), ("opcua", "ns=2;s="),
        ("modbus", "256/0"), ("modbus", "1/65535"), ("modbus", "1/0;type=float16"), ("modbus", "1/0;scale=0"),
        ("modbus", "1/0;quality=1"), ("modbus", "1/0;quality=200"), ("modbus", "1/0;wrong=1"), ("mqtt", ""),
        ("mqtt", "a/+/b"), ("mqtt", "a/#"),
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(protocol, text):
    with pytest.raises(ValueError, match=r"."):
        address_of(protocol, text)


def test_every_instrument_of_the_country_has_a_point(country):
    found = points(country)
    t = country.active("instruments")
    assert [p.tag for p in found] == list(t.names)
    by = {name: {p.protocol for p in group} for name, group in stations(found).items()}
    assert all(len(spoken) == 1 for spoken in by.values())  # a station speaks one protocol
    spoken = Counter(p for (p,) in by.values())
    assert min(spoken[p] for p in ("opcua", "modbus", "mqtt")) >= 2
    assert spoken["iec104"] > 90


def test_what_is_sent_becomes_si_and_back(country):
    density = country.gas.standard_density
    for p in points(country):
        wanted = to_si(12.5, p.instrument.unit, density)
        assert p.si(12.5) == pytest.approx(wanted, rel=1e-12)
        assert p.sent(wanted) == pytest.approx(12.5, rel=1e-12)


def test_mistakes_in_addresses_are_all_named_with_their_rows(country):
    t = country["instruments"]
    address = t["address"].copy()
    address[0], address[3] = "nonsense", "0/5"
    tejen = [i for i in range(len(t)) if t["station"][i] == "Tejen Gate"]
    address[tejen[1]] = address[tejen[0]]
    with pytest.raises(CaseError) as caught:
        points(country.with_tables(instruments=t.replace(address=address)))
    assert [m.row for m in caught.value.mistakes] == [2, 5, tejen[1] + 2]
    assert "already that of 'Tejen Gate PT'" in str(caught.value)


def test_what_can_be_commanded_has_one_address_each(country):
    told = commands(country)
    assert len({(c.station, c.address) for c in told}) == len(told)
    assert len({c.tag for c in told}) == len(told)
    taken = {(p.station, p.address) for p in points(country)}
    assert not taken & {(c.station, c.address) for c in told}
    for c in told:
        assert UNITS[c.unit].dimension in ("", "pressure", "mass flow", "power", "per unit")
        assert c.si(c.sent(3.0)) == pytest.approx(3.0)
        assert not c.low > c.high
    reached = {(c.quantity, c.where) for c in told}
    reporting = {p.instrument.where for p in points(country)}
    for kind in ("compressors", "generators", "lines"):
        for name in set(country.active(kind).names) & reporting:
            assert all((q, name) in reached for q in COMMANDED[kind]), name


def test_commands_of_the_malay_station(country):
    own = [c for c in commands(country) if c.where == "Malay CS"]
    assert [c.quantity for c in own] == ["outlet_pressure", "ratio", "open", "in_service"]
    pressure = own[0]
    assert (pressure.station, pressure.unit, pressure.high) == ("Malay CS", "bara", 99e5)
    assert str(pressure.address) == "ns=2;s=Malay CS outlet pressure command"
    objects = [c.address.object for c in commands(country) if c.station == "Samandepe CS"]
    assert objects == list(range(6001, 6001 + len(objects)))


# -------------------------------------------------------------------------------------------------------- endpoints


def test_endpoints_survive_their_file(tmp_path):
    made = [
        Endpoint("A", "iec104", "127.0.0.1", 2404, "none"),
        Endpoint("B", "opcua", "host", 4840, "Basic256Sha256", "ca.pem", "own.pem", "own.key"),
        Endpoint("C, the third", "mqtt", "::1", 8883, "tls", "ca.pem"),
    ]
    write_endpoints(tmp_path / "endpoints.csv", made)
    came = read_endpoints(tmp_path / "endpoints.csv")
    assert [(e.station, e.protocol, e.host, e.port, e.security) for e in came] == [
        (e.station, e.protocol, e.host, e.port, e.security) for e in made
    ]
    assert came[1].authority == str(tmp_path / "ca.pem")
    assert came[0].authority == ""


def test_mistakes_in_endpoints_are_all_named(tmp_path):
    path = tmp_path / "endpoints.csv"
    path.write_text(
        "station,protocol,host,port,security,authority,certificate,key\n"
        "A,iec103,h,2404,none,,,\n"
        "B,opcua,h,4840,Basic256,,,\n"  # withdrawn
        "C,mqtt,h,70000,,,,\n"  # security must be said
        "D,modbus,,502,tls,,,\n"
        "A,iec104,h,2404,tls,ca.pem,,\n"
        "E,modbus,h,502,tls,ca.pem,own.pem,\n",
        encoding="utf-8",
    )
    with pytest.raises(CaseError) as caught:
        read_endpoints(path)
    said = [(m.row, m.column) for m in caught.value.mistakes]
    assert said == [
        (2, "protocol"), (3, "security"), (3, "authority"), (3, "certificate"), (3, "key"), (4, "port"),
        (4, "security"), (4, "authority"), (4, "certificate"), (4, "key"), (5, "host"), (5, "authority"),
        (6, "certificate"), (6, "key"), (6, "station"), (7, "key"),
    ]  # fmt: skip
    with pytest.raises(sr.SeraiError, match="serai field"):
        read_endpoints(tmp_path / "none.csv")


def test_limits_of_commands_are_those_of_the_elements(country):
    t = country.active("generators")
    limits = {c.where: (c.low, c.high) for c in commands(country) if c.quantity == "active_power"}
    own = np.array([limits[name] for name in t.names])
    np.testing.assert_array_equal(own[:, 0], t["active_power_min"])
    np.testing.assert_array_equal(own[:, 1], t["active_power_max"])
