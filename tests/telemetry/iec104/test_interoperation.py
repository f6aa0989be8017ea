# SPDX-License-Identifier: Apache-2.0
"""Both stations against c104 (lib60870-C) in a process of its own: data, commands, clock, TLS, both ways round.

The interpreter with c104 is named in SERAI_C104_PYTHON (`.ci/run` makes it); without it these tests are skipped.
"""

import asyncio
import json
import os
import socket
import subprocess
import time
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from serai.telemetry.iec104 import (
    Cause,
    ControlledStation,
    ControllingStation,
    Credentials,
    InformationObject,
    Peer,
    Refused,
    TypeId,
)
from telemetry.certificates import Authority

PYTHON = os.environ.get("SERAI_C104_PYTHON")
pytestmark = pytest.mark.skipif(not PYTHON, reason="c104 is absent: SERAI_C104_PYTHON names no interpreter with it")
COMMON = 47
VALUES = {
    1001: (TypeId.M_SP_NA_1, 1.0),
    1002: (TypeId.M_SP_TB_1, 1.0),
    1003: (TypeId.M_DP_TB_1, 2.0),
    1004: (TypeId.M_ST_TB_1, -5.0),
    1005: (TypeId.M_BO_TB_1, float(0x0A0B0C0D)),
    1006: (TypeId.M_ME_NA_1, 0.25),
    1007: (TypeId.M_ME_TE_1, -1234.0),
    1008: (TypeId.M_ME_TF_1, 55.5),
    1009: (TypeId.M_ME_NC_1, -2.25),
    1010: (TypeId.M_IT_TB_1, 4711.0),
}
COMMANDS = [  # address, type, value, select first
    (6001, TypeId.C_SC_NA_1, 1.0, False),
    (6002, TypeId.C_DC_NA_1, 2.0, True),
    (6003, TypeId.C_RC_NA_1, 2.0, False),
    (6004, TypeId.C_SE_NA_1, 0.5, False),
    (6005, TypeId.C_SE_NB_1, -77.0, True),
    (6006, TypeId.C_SE_NC_1, 1.5, True),
    (6007, TypeId.C_SE_TC_1, 7.25, False),
    (6008, TypeId.C_BO_NA_1, 77.0, False),
]


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


@asynccontextmanager
async def c104(role, port, *files):
    """The peer: a function that gives it an order and returns its answer."""
    script = Path(__file__).with_name("c104_peer.py")
    # the TLS client of 2.2.1 ends every handshake (-0x5d80: no host name was set), so that of 2.2.0 is taken
    older = {"PYTHONPATH": str(Path(PYTHON).parents[1] / "tls-client")} if files and role == "client" else {}
    process = await asyncio.create_subprocess_exec(
        PYTHON, script, role, str(port), *map(str, files), env=os.environ | older,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL if files else None,
    )  # fmt: skip

    async def order(do, **more):
        process.stdin.write(json.dumps({"do": do, **more}).encode() + b"\n")
        while True:
            line = await asyncio.wait_for(process.stdout.readline(), 30)
            assert line, "c104 has ended"
            if line[:1] in b'{["tfn0123456789-' and not line.startswith(b"[c104"):  # it reports on standard output too
                break
        return json.loads(line)

    try:
        order.state = json.loads(await asyncio.wait_for(process.stdout.readline(), 30))["state"]
        yield order
    finally:
        if process.returncode is None:
            process.stdin.write(b'{"do": "quit"}\n')
            process.stdin.close()
            try:
                await asyncio.wait_for(process.wait(), 5)
            except TimeoutError:
                process.kill()
                await process.wait()


class Listener:
    """Takes the points of a controlling station as they come."""

    def __init__(self, control):
        self.latest = {}
        self.task = asyncio.create_task(self.listen(control))

    async def listen(self, control):
        async for points in control.points():
            rows = zip(
                points.address.tolist(), points.value.tolist(), points.cause.tolist(), points.time.tolist(), strict=True
            )
            self.latest |= {address: rest for address, *rest in rows}

    async def until(self, address, value):
        async with asyncio.timeout(10):
            while self.latest.get(address, (None,))[0] != value:  # noqa: ASYNC110 - waits for another process
                await asyncio.sleep(0.01)


async def seen_by(order, wanted, since=()):
    """What the peer saw, until `wanted` of it has come."""
    seen = list(since)
    async with asyncio.timeout(10):
        while not wanted(seen):
            seen += await order("seen")
            await asyncio.sleep(0.02)
    return seen


async def converse_with_server(order, control):
    listener = Listener(control)
    await control.interrogate(COMMON)
    await control.counters(COMMON)
    for address, (_, value) in VALUES.items():
        await listener.until(address, value)
    assert listener.latest[1008][1] == Cause.INTERROGATED
    assert abs(listener.latest[1008][2] / 1e6 - time.time()) < 30

    await order("transmit", address=1008, value=66.5)
    await listener.until(1008, 66.5)
    assert listener.latest[1008][1] == Cause.SPONTANEOUS
    assert (await control.read(COMMON, 1008)).value.tolist() == [66.5]

    for address, kind, value, select in COMMANDS:
        await control.command(COMMON, address, kind, value, select=select, end=select)
        assert [address, value, False] in await seen_by(order, len)
    with pytest.raises(Refused, match="negative confirmation"):
        await control.command(COMMON, 6007, TypeId.C_SE_TC_1, -1.0)
    await control.test(COMMON)
    await order("seen")
    await control.synchronise(COMMON)
    ((_, told),) = await seen_by(order, len)
    assert abs(told - time.time()) < 10
    assert not [name for name in control.counts.counted if name.startswith("violation")]
    with pytest.raises(Refused, match="negative confirmation"):  # the peer says so twice, in two ways
        await control.command(COMMON, 6999, TypeId.C_SC_NA_1, 1.0)
    listener.task.cancel()


def test_our_control_room_with_their_station():
    async def main():
        port = free_port()
        room = ControllingStation("room", "127.0.0.1", port, common_addresses=(COMMON,))
        async with c104("server", port) as order, room as control:
            await converse_with_server(order, control)

    asyncio.run(main())


OBJECTS = [
    *(InformationObject(address, kind) for address, (kind, _) in VALUES.items()),
    *(InformationObject(address, kind, select=select) for address, kind, _, select in COMMANDS),
]


async def converse_with_client(order, station, requests):
    async def show(address, value):
        await station.update(COMMON, [address], [value])
        found = await seen_by(order, lambda seen: any(s[:2] == [address, value] for s in seen))
        return next(s for s in found if s[:2] == [address, value])

    assert order.state.endswith("OPEN")
    for address, (_, value) in VALUES.items():
        await station.update(COMMON, [address], [value], send=False)
    assert await order("interrogate")
    everything = {a: v for a, (k, v) in VALUES.items() if k != TypeId.M_IT_TB_1}
    seen = await seen_by(order, lambda seen: {s[0] for s in seen} >= set(everything))
    assert {s[0]: s[1] for s in seen} == everything
    assert {s[2] for s in seen} == {Cause.INTERROGATED}
    assert await order("counters")
    seen = await seen_by(order, len)
    assert [s[:3] for s in seen] == [[1010, 4711.0, Cause.COUNTERS]]

    for address, value in ((1001, 0.0), (1003, 1), (1004, 63.0), (1006, -0.5), (1007, 32767.0), (1008, 12.25)):
        _, _, cause, _, recorded = await show(address, value)
        assert cause == Cause.SPONTANEOUS
        if VALUES[address][0].name.endswith(("TB_1", "TE_1", "TF_1")):
            assert abs(recorded - time.time()) < 30
    await station.update(COMMON, [1008], [1.0], quality=0x80 | 0x20)
    (marked,) = await seen_by(order, len)
    assert "Invalid" in marked[3]
    assert "Substituted" in marked[3]

    for address, kind, value, _ in COMMANDS:
        assert await order("transmit", address=address, value=value)
        assert requests[-1].address == address
        assert requests[-1].value == value
        assert requests[-1].type == kind
        assert station.counts["commands selected"] == sum(s for a, *_, s in COMMANDS if a <= address)
    assert not await order("transmit", address=6007, value=-1.0)  # refused
    assert await order("clock")
    assert await order("test")
    assert await order("read", address=1008)
    assert not [name for name in station.counts.counted if name.startswith("violation")]


def test_our_station_with_their_control_room():
    async def main():
        requests = []

        async def act(request):
            requests.append(request)
            return request.value >= 0 or request.address != 6007

        # c104 hears a point only with the type that it was given, so interrogations are answered with time tags
        field = ControlledStation("field", {COMMON: OBJECTS}, act=act, timed=True)
        async with field as station, c104("client", station.port) as order:
            await converse_with_client(order, station, requests)

    asyncio.run(main())


@pytest.fixture(scope="module")
def papers(tmp_path_factory):
    authority = Authority(tmp_path_factory.mktemp("certificates"))
    return {name: (authority.file, *authority.files(name)) for name in ("station", "room", "stranger")}


def test_their_station_over_tls(papers):
    async def main():
        port = free_port()
        tls = Credentials(*papers["room"]).client()
        async with c104("server", port, *papers["station"], papers["room"][1]) as order:
            options = {"common_addresses": (COMMON,), "tls": tls, "certificates": ("station",)}
            async with ControllingStation("room", "127.0.0.1", port, **options) as control:
                await converse_with_server(order, control)

    asyncio.run(main())


def test_our_station_over_tls_and_a_stranger(papers):
    async def main():
        requests = []

        async def act(request):
            requests.append(request)
            return request.value >= 0

        peers = [Peer("room", certificates=("room",))]
        tls = Credentials(*papers["station"]).server()
        async with ControlledStation("field", {COMMON: OBJECTS}, act=act, peers=peers, tls=tls) as station:
            async with c104("client", station.port, *papers["room"], papers["station"][1]) as order:
                assert order.state.endswith("OPEN")
                assert await order("interrogate")
                assert await order("transmit", address=6006, value=2.5)
                assert requests[-1].peer == "room"
            async with c104("client", station.port, *papers["stranger"]) as order:
                assert not order.state.endswith("OPEN")
            assert station.counts["violation: peer's certificate is not on the allow-list"] > 0

    asyncio.run(main())
