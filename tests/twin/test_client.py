# SPDX-License-Identifier: Apache-2.0
"""The desk over its socket: every method, refusals, a loop that goes and comes back, broken frames, slow readers."""

import asyncio
import inspect
import stat

import pytest

from serai.twin.client import Client
from serai.twin.desk import ASKED, Desk, Refused
from serai.twin.server import ASKED_AT_MOST, Server
from serai.twin.wire import pack, receive
from twin.desks import REFUSED, Fixed


def given(method):
    """Arguments for every parameter of a method of the desk."""
    values = {"limit": 3, "points": 5, "minutes": 2.0, "series": ["pressure:A"], "state": ["shelved"],
              "command": {"quantity": "ratio"}}  # fmt: skip
    return {p: values.get(p, f"some {p}") for p in inspect.signature(method).parameters if p != "self"}


def test_client_and_desk_have_the_same_methods():
    for name in ASKED:
        own, wanted = (inspect.signature(getattr(cls, name)) for cls in (Client, Desk))
        assert list(own.parameters) == list(wanted.parameters), name
        assert [p.default for p in own.parameters.values()] == [p.default for p in wanted.parameters.values()], name
    assert {n for n in vars(Desk) if not n.startswith("_")} == {*ASKED, "subscribe"}


def test_every_method_reaches_the_desk_with_its_arguments(tmp_path):
    async def run():
        desk = Fixed({name: {"name": name} for name in ASKED})
        async with Server(desk, tmp_path / "s"):
            client = await Client.open(tmp_path / "s", patience=5.0)
            for name in ASKED:
                asked = given(getattr(Desk, name))
                assert await getattr(client, name)(**asked) == {"name": name}
                assert desk.asked[-1] == (name, asked)
            await client.close()

    asyncio.run(run())


def test_only_its_owner_may_enter_the_socket(tmp_path):
    async def run():
        async with Server(Fixed(), tmp_path / "s"):
            assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o600

    asyncio.run(run())


def test_a_refusal_comes_as_it_was_meant(tmp_path):
    async def run():
        async with Server(Fixed({"alarm": REFUSED, "plan": ValueError("broken")}), tmp_path / "s"):
            client = await Client.open(tmp_path / "s", patience=5.0)
            with pytest.raises(Refused) as found:
                await client.alarm("x")
            assert (found.value.reason, found.value.message) == ("conflict", "it is acknowledged")
            with pytest.raises(Refused, match="ValueError: broken") as found:
                await client.plan()
            assert found.value.reason == "fault"
            with pytest.raises(Refused, match="called"):
                await by_hand(tmp_path)
            await client.close()

    asyncio.run(run())


async def by_hand(tmp_path):
    """Ask for something that is no method of the desk."""
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
    writer.write(pack({"id": 1, "ask": "__class__", "given": {}}))
    answer = await receive(reader)
    writer.close()
    r = answer["refused"]
    raise Refused(r["reason"], r["message"], r["what_to_do"])


def test_a_loop_that_goes_is_said_and_one_that_comes_back_is_found(tmp_path):
    async def run():
        desk = Fixed({"health": {"up": True}})
        first = Server(desk, tmp_path / "s")
        await first.open()
        client = await Client.open(tmp_path / "s", patience=5.0)
        assert await client.health() == {"up": True}
        await first.close()
        await asyncio.sleep(0.1)
        with pytest.raises(Refused) as found:
            await client.health()
        assert found.value.reason == "unavailable"
        async with Server(desk, tmp_path / "s"):
            for _ in range(50):
                await asyncio.sleep(0.1)
                if client.up:
                    break
            assert await client.health() == {"up": True}
        await client.close()

    asyncio.run(run())


def test_events_come_over_the_socket_and_end_with_the_loop(tmp_path):
    async def run():
        desk = Fixed()
        server = Server(desk, tmp_path / "s")
        await server.open()
        client = await Client.open(tmp_path / "s", patience=5.0)
        stream = client.subscribe()
        assert (await anext(stream)).kind == "hello"
        desk.events.tell("alarm", {"text": "düwme"})
        event = await anext(stream)
        assert (event.kind, event.data, event.sequence) == ("alarm", {"text": "düwme"}, 1)
        await server.close()
        with pytest.raises(Refused, match="not there"):
            await anext(stream)
        await client.close()

    asyncio.run(run())


def test_a_reader_that_does_not_read_holds_up_nobody(tmp_path):
    async def run():
        desk = Fixed({"health": {"ok": 1}})
        async with Server(desk, tmp_path / "s"):
            reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"), limit=1024)
            writer.write(pack({"id": 0, "subscribe": None}))
            client = await Client.open(tmp_path / "s", patience=5.0)
            big = {"estimate": [1.5] * 20_000}
            for _ in range(200):  # 24 MB: more than sockets and buffers hold
                desk.events.tell("scan", big)
                await asyncio.sleep(0)
            assert await asyncio.wait_for(client.health(), 5.0) == {"ok": 1}
            assert desk.events.behind <= 260
            writer.close()
            await client.close()
            del reader

    asyncio.run(run())


@pytest.mark.parametrize(
    "sent", [b"\xff\xff\xff\xff", (ASKED_AT_MOST + 1).to_bytes(4, "big"), b"\0\0\0\3{x}", pack([1, 2]), pack({"id": 1})]
)
def test_what_is_no_question_is_refused_and_the_next_client_served(tmp_path, sent):
    async def run():
        async with Server(Fixed({"health": {"ok": 1}}), tmp_path / "s"):
            reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
            writer.write(sent)
            answer = await asyncio.wait_for(receive(reader), 5.0)
            assert answer is None or answer["refused"]["reason"] == "invalid"
            writer.close()
            client = await Client.open(tmp_path / "s", patience=5.0)
            assert await client.health() == {"ok": 1}
            await client.close()

    asyncio.run(run())


def test_a_frame_cannot_hold_what_is_no_json():
    with pytest.raises(ValueError, match="JSON"):
        pack({"value": float("nan")})
