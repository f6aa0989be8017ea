# SPDX-License-Identifier: Apache-2.0
"""A station as a source of readings: tags, SI, quality, time, commands."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from serai.network.instruments import Instrument
from serai.telemetry.endpoints import Endpoint
from serai.telemetry.iec104 import ControlledStation, InformationObject, TypeId
from serai.telemetry.iec104.source import Iec104Source
from serai.telemetry.points import Command, Iec104Address, OpcuaAddress, Point
from serai.telemetry.readings import Quality, Register, now
from telemetry.certificates import Authority

OBJECTS = [
    *(InformationObject(a, TypeId.M_ME_TF_1) for a in (1, 2, 3, 9)),
    InformationObject(60, TypeId.C_SE_NC_1, select=True),
    InformationObject(61, TypeId.C_SC_NA_1),
]


def instrument(tag):
    """An instrument of which the tag alone matters here."""
    return Instrument(tag, "pressure", "Gedaim", "bara", 0.0, 1e7, 5e3, 0.0, 1.0, "Gedaim", "iec104", "")


def point(tag, number, factor=1.0, offset=0.0):
    return Point(instrument(tag), Iec104Address(5, number), factor, offset)


POINTS = [point("pressure", 3, 1e5), point("temperature", 1, 1.0, 273.15), point("flow", 2, 0.5)]
PRESSURE = Command("set pressure", "outlet_pressure", "Gedaim", "Gedaim", "iec104", Iec104Address(5, 60), "bara", 1e5)
SWITCH = Command("open", "open", "Gedaim", "Gedaim", "iec104", Iec104Address(5, 61))


async def some(source, count):
    rows = []
    async with asyncio.timeout(5):
        async for batch in source.readings():
            names = batch.register.names(batch.tag)
            columns = batch.value, batch.quality, batch.time, batch.received
            rows += zip(names, *(c.tolist() for c in columns), strict=True)
            if len(rows) >= count:
                return rows
    return rows


def endpoint(field, **more):
    return Endpoint("Gedaim", "iec104", "127.0.0.1", field.port, "none", **more)


def test_readings_are_tagged_in_si_and_marked():
    async def main():
        async with ControlledStation("Gedaim", {5: OBJECTS}) as field:
            register = Register(["another"])
            source = Iec104Source(endpoint(field), POINTS, register)
            assert not source.up
            assert source.reason == "not connected yet"
            await field.update(5, [1, 2, 3], [20.0, 8.0, 55.25], send=False)
            first = await some(source, 3)
            assert source.up
            assert {(tag, value) for tag, value, *_ in first} == {
                ("pressure", 5525000),
                ("temperature", 293.15),
                ("flow", 4),
            }
            time = now() - 5_000_000
            await field.update(5, [3, 9], [56.0, 1.0], quality=[0x20, 0], time=time)
            ((tag, value, quality, told, received),) = await some(source, 1)
            assert (tag, value, quality, told) == ("pressure", 5600000, Quality.SUBSTITUTED, time // 1000 * 1000)
            assert abs(received - now()) < 2_000_000
            assert source.counts["points not mapped"] == 2  # 9, in the interrogation and alone
            assert abs(source.heard - now()) < 2_000_000
            await field.update(5, [1, 2, 3], [np.nan, np.inf, 1.0], time=now() + 3_600_000_000)
            rows = {row[0]: row for row in await some(source, 3)}
            assert rows["temperature"][2] == Quality.INVALID | Quality.CLOCK_SKEW
            assert rows["flow"][2] == Quality.OVERFLOW | Quality.CLOCK_SKEW
            assert rows["pressure"][2] == Quality.CLOCK_SKEW
            assert source.counts["time in the future"] == 3
            await source.close()

    asyncio.run(main())


def test_a_station_that_never_measured_is_heard_as_invalid():
    async def main():
        async with ControlledStation("Gedaim", {5: OBJECTS}) as field:
            source = Iec104Source(endpoint(field), POINTS, Register())
            assert {row[2] for row in await some(source, 3)} == {Quality.INVALID | Quality.NOT_TOPICAL}
            await source.close()

    asyncio.run(main())


@pytest.mark.parametrize("select", [True, False])
def test_commands_arrive_in_the_stations_unit_and_refusals_are_answers(select):
    async def main():
        requests = []

        async def act(request):
            requests.append(request)
            return request.value < 90

        async with ControlledStation("Gedaim", {5: OBJECTS}, act=act) as field:
            source = Iec104Source(endpoint(field), POINTS, Register(), select=select, timeout=2.0)
            nobody = await source.command(PRESSURE, 5e6)
            assert not nobody.accepted
            assert "not connected" in nobody.reason
            reading = asyncio.create_task(some(source, 3))
            await reading
            answer = await source.command(PRESSURE, 5.5e6)
            assert answer.accepted == select  # the object asks for select before operate
            if select:
                assert [(r.address, r.value, r.select) for r in requests] == [(60, 55.0, True), (60, 55.0, False)]
                assert not (await source.command(PRESSURE, 9.5e6)).accepted
            assert (await source.command(SWITCH, 1.0)).accepted
            assert requests[-1].type == TypeId.C_SC_NA_1
            away = replace(PRESSURE, address=Iec104Address(5, 99))
            assert "unknown information object" in (await source.command(away, 5e6)).reason
            other = replace(PRESSURE, address=OpcuaAddress("ns=2;s=x"))
            assert "not reached over" in (await source.command(other, 5e6)).reason
            assert "holds" in (await source.command(PRESSURE, float("nan"))).reason
            await source.close()
            assert not (await source.command(SWITCH, 1.0)).accepted

    asyncio.run(main())


def test_over_tls_by_an_endpoint(tmp_path):
    async def main():
        from serai.telemetry.iec104 import Credentials, Peer

        authority = Authority(tmp_path)
        far, near = authority.files("Gedaim"), authority.files("room")
        tls = Credentials(authority.file, *far).server()
        async with ControlledStation("Gedaim", {5: OBJECTS}, tls=tls, peers=[Peer("room")]) as field:
            secured = Endpoint("Gedaim", "iec104", "127.0.0.1", field.port, "tls", authority.file, *near)
            source = Iec104Source(secured, POINTS, Register(), certificates=("Gedaim",))
            assert len(await some(source, 3)) == 3
            await source.close()

    asyncio.run(main())
