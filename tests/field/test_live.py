# SPDX-License-Identifier: Apache-2.0
"""The live field over real sockets: the readings of a recording, commands, silence. Each protocol by our own source."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np
import pytest

from field.metered import found, grid
from serai import field
from serai.errors import SeraiError
from serai.field import Field, Metering, Scenario, Silence
from serai.telemetry.iec104.source import Iec104Source
from serai.telemetry.modbus import ModbusSource
from serai.telemetry.mqtt import MqttSource
from serai.telemetry.opcua import OpcuaSource
from serai.telemetry.points import commands, points, stations
from serai.telemetry.readings import Quality, Register

MADE = {"iec104": Iec104Source, "opcua": OpcuaSource, "modbus": ModbusSource, "mqtt": MqttSource}
START = 1_768_000_000.0
BASE = Scenario(hours=0.1, metering=Metering(dropout=0.02, invalid=0.02))
_WAITING = int(Quality.INVALID | Quality.NOT_TOPICAL)


@pytest.fixture(autouse=True)
def _quiet():
    """Keep what libraries log about refusals and cut connections out of the report."""
    names = ("asyncua", "amqtt", "transitions", "pymodbus", "pymodbus.logging", "mqtt")
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    yield
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


class Room:
    """A control room: a source for every station, and what came."""

    def __init__(self, made):
        self.register = Register()
        own = stations(points(made.network))
        self.sources = {
            e.station: MADE[e.protocol](e, own[e.station], self.register, retry=(0.05, 0.2)) for e in made.endpoints
        }
        self.batches = []
        self.told = {c.tag: c for c in commands(made.network)}
        self._tasks = [asyncio.create_task(self._take(s)) for s in self.sources.values()]

    async def _take(self, source):
        async for batch in source.readings():
            self.batches.append(batch)

    async def up(self):
        for _ in range(200):
            if all(s.up for s in self.sources.values()):
                return
            await asyncio.sleep(0.05)
        raise AssertionError({name: s.reason for name, s in self.sources.items() if not s.up})

    async def command(self, tag, value):
        told = self.told[tag]
        return await self.sources[told.station].command(told, value)

    async def close(self):
        for source in self.sources.values():
            await source.close()
        await asyncio.wait_for(asyncio.gather(*self._tasks), 10.0)


@asynccontextmanager
async def running(scenario=BASE, **more):
    """Open a field and a control room that is connected to all of it."""
    given = {"speed": 40.0, "step": 10.0, "start": START, **more}
    async with Field(grid(), scenario, **given) as made:
        room = Room(made)
        try:
            await room.up()
            yield made, room
        finally:
            await room.close()


def exact(made, tag):
    """Return the present true reading of a tag."""
    return made.world.values[-1, made.world.exact.tags.index(tag)]


def test_sockets_bring_the_readings_of_a_recording_bit_by_bit():
    async def run():
        async with running(speed=10.0) as (made, room):
            await made.run(hours=40.0 / 3600.0)
            await asyncio.sleep(0.8)
            return found(room.batches)

    came = asyncio.run(run())
    untimed = {"Field FT", "Field PT"}  # over Modbus
    recorded = found(field.readings(grid(), replace(BASE, hours=40.0 / 3600.0), step="10s", batch="10s", start=START))
    timed = {k: r for k, r in recorded.items() if k[0] not in untimed}
    on_time = {k: r for k, r in timed.items() if r[2] <= (START + 40.0) * 1e6}  # the others were still on their way
    missing = on_time.keys() - came.keys()
    assert not missing
    assert len(on_time) > 150
    for key, (value, quality, _) in on_time.items():
        assert came[key][1] == quality, key
        assert came[key][0] == value or quality & Quality.INVALID, key  # IEC 104 has no float that is no number
    made_up = {k for k, r in came.items() if k[0] not in untimed and k not in timed and not r[1] & _WAITING}
    assert not made_up  # before its first reading a station says so
    modbus = {(k[0], r[0]) for k, r in recorded.items() if k[0] in untimed and not np.isnan(r[0])}
    seen = {(k[0], r[0]) for k, r in came.items() if k[0] in untimed and not np.isnan(r[0]) and r[1] == 0}
    assert seen
    assert seen <= modbus


def test_commands_are_refused_unless_they_are_switched_on():
    async def run():
        async with running() as (made, room):
            going = asyncio.create_task(made.run())
            answers = [
                await room.command("Gas unit active power command", 100e6),  # IEC 104
                await room.command("Works load in service command", 0.0),  # OPC UA
                await room.command("Field supply pressure command", 50e5),  # Modbus
                await room.command("Town gas withdrawal command", 10.0),  # MQTT
            ]
            going.cancel()
            await asyncio.gather(going, return_exceptions=True)
            return answers, made.log, made.counts, made.world.events

    answers, log, counts, events = asyncio.run(run())
    assert [a.accepted for a in answers] == [False] * 4
    assert answers[1].reason == "BadUserAccessDenied"
    assert answers[2].reason == "illegal function"
    assert answers[3].reason == "field writes are switched off"
    assert {e.verdict.why for e in log} == {"off"}
    assert counts["commands refused: off"] == 4
    assert not events


def test_commands_act_on_the_simulated_network_and_bad_ones_are_refused_with_a_reason():
    async def run():
        async with running(allow_commands=True) as (made, room):
            going = asyncio.create_task(made.run())
            done = [
                await room.command("Gas unit active power command", 100e6),
                await room.command("Works load in service command", 0.0),
                await room.command("Field supply pressure command", 50e5),
                await room.command("Town gas withdrawal command", 10.0),
            ]
            refused = [await room.command("Gas unit active power command", 900e6)]  # its largest is 200 MW
            await asyncio.sleep(1.2)
            exact_now = {tag: exact(made, tag) for tag in ("P gas unit", "P works", "Field PT", "Town FT")}
            done.append(await room.command("Gas unit in service command", 0.0))
            refused.append(await room.command("Gas unit active power command", 100e6))
            going.cancel()
            await asyncio.gather(going, return_exceptions=True)
            return done, refused, exact_now, made.log, found(room.batches)

    done, refused, exact_now, log, came = asyncio.run(run())
    assert [a.accepted for a in done] == [True] * 5, done
    assert exact_now["P gas unit"] == pytest.approx(100e6)
    assert exact_now["P works"] == 0.0
    assert exact_now["Field PT"] == pytest.approx(50e5)
    assert exact_now["Town FT"] == pytest.approx(10.0)
    latest = max(time for tag, time in came if tag == "Town FT")
    assert came["Town FT", latest][0] == pytest.approx(10.0, rel=0.03)  # and the control room sees it
    assert [a.accepted for a in refused] == [False, False]
    assert [e.verdict.why for e in log] == ["", "", "", "", "beyond", "", "refused"]
    assert log[-1].verdict.reason == "Gas unit is not in service"
    assert {e.by for e in log} >= {"opcua client", "modbus client", "mqtt client"}


def test_a_command_that_the_network_cannot_keep_up_is_taken_back():
    async def run():
        async with running(allow_commands=True, speed=400.0, step=60.0, only=["Town"]) as (made, room):
            going = asyncio.create_task(made.run(hours=0.5))
            answer = await room.command("Town gas withdrawal command", 400.0)
            await going
            return answer, made.log, made.counts, exact(made, "Town FT")

    answer, log, counts, town = asyncio.run(run())
    assert answer.accepted
    assert counts["commands taken back"] == 1
    assert log[-1].verdict.reason.startswith("taken back: ")
    assert town == pytest.approx(20.0)


@pytest.mark.parametrize(("patience", "behind"), [(30.0, 0), (0.5, 1)])
def test_a_field_that_was_held_up_tells_the_present_again(monkeypatch, patience, behind):
    monkeypatch.setattr("serai.field.live.CATCH_UP", patience)

    async def run():
        async with Field(grid(), BASE, step=1.0) as made:
            await asyncio.sleep(0.3)
            advance, slow = made._advance, [2.5]

            def held_up(to):
                if to > 2.0 and slow:
                    time.sleep(slow.pop())
                advance(to)

            made._advance = held_up
            begun = time.time()
            await made.run(hours=5.0 / 3600.0)
            return made, begun, time.time()

    made, begun, end = asyncio.run(run())
    assert made.start + made.time == pytest.approx(end, abs=0.7)  # s behind the clock of the wall
    assert made.start == pytest.approx(begun, abs=0.5 if not behind else 2.5)
    assert (made.counts["seconds behind"] > 0) == bool(behind)
    assert end - begun == pytest.approx(5.0 if not behind else 6.5, abs=1.2)


def test_a_silent_station_cannot_be_reached_and_what_it_kept_comes_later():
    async def run():
        silent = (Silence("City", 8.0, 20.0), Silence("Plant", 8.0, 20.0, restart=True))
        scenario = replace(BASE, silences=silent, metering=Metering(dropout=0.0))
        async with running(scenario, speed=8.0, step=4.0, only=["City", "Plant"]) as (made, room):
            states = []
            going = asyncio.create_task(made.run(hours=60.0 / 3600.0))
            while not going.done():
                states.append((made.time, room.sources["City"].up, room.sources["Plant"].up))
                await asyncio.sleep(0.1)
            await going
            await asyncio.sleep(1.0)
            return states, found(room.batches)

    states, came = asyncio.run(run())
    assert any(not city and not plant for time, city, plant in states if 10.0 < time < 20.0)
    assert all(city and plant for time, city, plant in states if time < 8.0)
    due = {tag: {round((t / 1e6 - START + 0.4) / 2.0) * 2 for g, t in came if g == tag} for tag in ("U2", "U1")}
    assert due["U2"] >= set(range(2, 57, 2))  # kept and sent when the link is back
    assert not due["U1"] & set(range(10, 21, 2))
    assert due["U1"] >= set(range(28, 57, 2))


def test_what_cannot_be_run_is_said():
    with pytest.raises(SeraiError, match="speed"):
        Field(grid(), speed=0.0)
    with pytest.raises(SeraiError, match="no certificates"):
        Field(grid(), host="192.0.2.1")
    two = grid()
    t = two["instruments"]
    protocol = t["protocol"].copy()
    protocol[t.row("U1")] = "mqtt"
    address = t["address"].copy()
    address[t.row("U1")] = "serai/U1"
    two = two.with_tables(instruments=t.replace(protocol=protocol, address=address))

    async def opened(network, **more):
        async with Field(network, **more):
            pass

    with pytest.raises(SeraiError, match="one protocol a station"):
        asyncio.run(opened(two, only=["Plant"]))
    with pytest.raises(SeraiError, match="no station Atlantis"):
        asyncio.run(opened(grid(), only=["Atlantis"]))
