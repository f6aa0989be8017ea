# SPDX-License-Identifier: Apache-2.0
"""Live events: the hub by itself, streams over real sockets, slow clients, a lost loop."""

import asyncio
import json
import re
import zlib

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from room.opened_room import API, get, post, running, served, site, visit
from room.small_desk import SmallDesk
from serai.room import events as live
from serai.room.events import GZIP_HEAD, NEWEST, RING, WAITING, Hub, Worded, packed
from serai.twin.desk import Event


def read(data: bytes) -> list[tuple[str, int | None, dict]]:
    """Return the events of a text/event-stream (kind, number, data); an independent reader after the HTML standard."""
    found = []
    for block in data.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if line and line[0] != ":")
        if "event" in fields:
            found.append((fields["event"], int(fields["id"]) if "id" in fields else None, json.loads(fields["data"])))
    return found


async def taken(client, hub):
    return read(b"".join(await client.take(hub.sequence)))


def scan(number):
    return Event(number, "scan", {"sequence": number})


def alarm(number):
    return Event(number, "alarm", {"id": f"a{number}"})


def made_hub():
    hub = Hub(SmallDesk())
    hub.take(Event(0, "hello", {"sequence": 0}))
    return hub


# ----------------------------------------------------------------------------------------------------------- the hub


def test_a_new_client_is_greeted_and_gets_the_newest_of_everything():
    async def go():
        hub = made_hub()
        for n in range(1, 4):
            hub.take(scan(n))
        hub.take(alarm(4))
        client = hub.join("", zipped=False, after=None)
        return await taken(client, hub)

    found = asyncio.run(go())
    assert [(kind, number) for kind, number, _ in found] == [("hello", 4), ("scan", 3)]
    assert found[0][2]["resumed"] is False


def test_a_client_that_comes_back_gets_what_it_missed_once_and_in_order():
    async def go():
        hub = made_hub()
        for n in range(1, 101):
            hub.take(scan(n) if n % 2 else alarm(n))
        return await taken(hub.join("", zipped=False, after=90), hub)

    found = asyncio.run(go())
    assert [(k, n) for k, n, _ in found] == [
        ("hello", 90), ("alarm", 92), ("alarm", 94), ("alarm", 96), ("alarm", 98), ("scan", 99), ("alarm", 100),
    ]  # fmt: skip
    assert found[0][2]["resumed"] is True


@pytest.mark.parametrize(("after", "resumed"), [(50, True), (49, False), (0, False), (800, True), (801, False)])
def test_who_was_away_too_long_is_told_to_load_everything(after, resumed):
    """The ring holds 600 alarms: of 650 the first 50 are gone."""

    async def go():
        hub = made_hub()
        for n in range(1, 651):
            hub.take(alarm(n))
        for n in range(651, 801):
            hub.take(scan(n))
        client = hub.join("", zipped=False, after=after)
        return [e for e in await taken(client, hub) if e[0] == "hello"]

    assert RING == 600
    (found,) = asyncio.run(go())
    assert found[2]["resumed"] is resumed


def test_a_loop_that_began_anew_makes_every_client_load_everything():
    async def go():
        hub = made_hub()
        hub.take(alarm(1))
        client = hub.join("", zipped=False, after=None)
        await client.take(0)
        hub.take(Event(1000, "hello", {"sequence": 1000, "restarted": True}))
        again = hub.join("", zipped=False, after=1)
        return await taken(client, hub), await taken(again, hub)

    for found in asyncio.run(go()):
        assert [(k, n, d["resumed"]) for k, n, d in found] == [("hello", 1000, False)]


def test_a_slow_client_gets_the_newest_scan_and_every_alarm():
    async def go():
        hub = made_hub()
        client = hub.join("", zipped=False, after=None)
        await client.take(0)
        for n in range(1, 201):
            hub.take(scan(n) if n % 2 else alarm(n))
        return await taken(client, hub), client.behind

    found, behind = asyncio.run(go())
    assert [n for k, n, _ in found if k == "scan"] == [199]
    assert [n for k, n, _ in found if k == "alarm"] == list(range(2, 201, 2))
    assert behind == 99


def test_a_client_that_reads_nothing_holds_a_bounded_number_of_events():
    async def go():
        hub = made_hub()
        client = hub.join("", zipped=False, after=None)
        for n in range(1, 10_001):
            hub.take(alarm(n))
        held = len(client._rest) + len(client._newest)
        return held, await taken(client, hub), client.lost

    held, found, lost = asyncio.run(go())
    assert held <= WAITING + len(NEWEST)
    assert found[0][0] == "hello"
    assert found[0][2]["resumed"] is False
    assert lost is False


@settings(max_examples=40)
@given(
    st.lists(st.sampled_from(["scan", "alarm", "tally", "log", "read", "beat"]), max_size=120),
    st.integers(2, 6),
)
def test_any_mixture_against_a_model(steps, most):
    """What a client is given is the newest of each replaceable kind and all others in order, or a call to reload."""

    async def go():
        hub = made_hub()
        client = hub.join("", zipped=False, after=None)
        await client.take(0)
        newest, rest, lost, number = {}, [], False, 0
        for step in steps:
            if step == "beat":
                hub.beat(())
            elif step == "read":
                if not (newest or rest or lost):
                    continue
                got = [(k, n) for k, n, _ in await taken(client, hub)]
                expected = sorted([*newest.items(), *((k, n) for n, k in rest)], key=lambda e: e[1])
                assert got == ([("hello", number), *expected] if lost else expected)
                newest, rest, lost = {}, [], False
            else:
                number += 1
                hub.take(Event(number, step, {}))
                if step in NEWEST:
                    newest[step] = number
                elif len(rest) < most:
                    rest.append((number, step))
                else:
                    rest, lost = [], True

    whole, live.WAITING = live.WAITING, most
    try:
        asyncio.run(go())
    finally:
        live.WAITING = whole


def test_an_event_is_put_into_words_once_for_all():
    async def go():
        hub = made_hub()
        clients = [hub.join("", zipped=bool(k % 2), after=None) for k in range(50)]
        for client in clients:
            await client.take(0)
        hub.take(scan(1))
        return [await client.take(0) for client in clients]

    pieces = asyncio.run(go())
    assert len({id(p[0]) for p in pieces[::2]}) == 1
    assert len({id(p[0]) for p in pieces[1::2]}) == 1


@given(st.lists(st.binary(max_size=2000), min_size=1, max_size=8))
def test_packed_pieces_in_any_order_are_one_gzip_stream(pieces):
    """Against zlib's own decoder: blocks packed apart join to a stream that can be read as it comes."""
    reader = zlib.decompressobj(wbits=31)
    assert reader.decompress(GZIP_HEAD) == b""
    for piece in [*pieces, *pieces[::-1]]:
        assert reader.decompress(packed(piece)) == piece


@given(st.dictionaries(st.text(), st.text() | st.floats(allow_nan=False, allow_infinity=False) | st.none(), max_size=5))
def test_words_survive_the_wire(data):
    assert read(Worded(7, "log", data).plain) == [("log", 7, data)]


# ------------------------------------------------------------------------------------------------------- over sockets


async def collected(port, token, seconds, until=None, **headers):
    """Return what a stream sends until `until` matches or so many seconds have gone."""
    data = b""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", cookies={"serai_session": token}) as client:
        try:
            async with asyncio.timeout(seconds), client.stream("GET", API + "/events", headers=headers) as answer:
                assert answer.status_code == 200
                assert answer.headers["content-type"].startswith("text/event-stream")
                async for piece in answer.aiter_bytes():
                    data += piece
                    if until and re.search(until, data):
                        break
        except TimeoutError:
            pass
    return data


async def until(holds):
    """Wait until something holds: on a busy machine nothing comes at its time."""
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - what is waited for lives in another thread
            await asyncio.sleep(0.02)


@pytest.fixture
def stage(tmp_path, monkeypatch):
    """A room over a socket, whose streams beat ten times a second."""
    monkeypatch.setattr("serai.room.stream.BEAT_S", 0.1)
    with site(tmp_path) as made, served(made.app) as port:
        made.port = port
        asyncio.run(_ready(made))
        yield made


async def _ready(made):
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{made.port}") as client:
        for _ in range(200):
            if (await client.get("/healthz")).json()["loop"] == "up":
                return
            await asyncio.sleep(0.02)
    raise AssertionError("the room did not come up")


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_a_stream_brings_scans_and_alarms_and_beats(stage, encoding):
    async def go():
        reading = asyncio.create_task(
            collected(stage.port, stage.sign_in("vera"), 20, rb"event: alarm", **{"accept-encoding": encoding})
        )
        await until(lambda: stage.room.hub.clients)
        await asyncio.sleep(0.4)  # some beats
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{stage.port}") as client:
            session = stage.accounts.session(stage.sign_in("oper"))
            client.cookies.set("serai_session", stage.tokens["oper"])
            done = await client.post(API + "/alarms/low1/acknowledge", headers={"x-serai-csrf": session.csrf})
        assert done.status_code == 200
        return await reading

    data = asyncio.run(go())
    found = read(data)
    assert [kind for kind, *_ in found if kind in {"hello", "alarm"}] == ["hello", "alarm"]
    assert found[-1][2]["state"] == "acknowledged"
    assert b"\n: \n\n" in data or data.startswith(b": \n\n")


def test_a_stream_ends_with_its_session(stage):
    async def go():
        reading = asyncio.create_task(collected(stage.port, stage.sign_in("vera"), 60))
        await until(lambda: stage.room.hub.clients)
        stage.accounts.revoke("vera", by="secadm")
        began = asyncio.get_running_loop().time()
        await reading
        return asyncio.get_running_loop().time() - began

    assert asyncio.run(go()) < 5.0
    assert not stage.room.hub.clients


def test_an_open_stream_keeps_its_session_for_a_shift_and_no_longer(stage):
    async def go():
        reading = asyncio.create_task(collected(stage.port, stage.sign_in("vera"), 60))
        await until(lambda: stage.room.hub.clients)
        for _ in range(3):
            stage.clock.now += 25 * 60  # idle sessions end after 30 minutes
            await until(lambda: not stage.accounts.session(stage.tokens["vera"]).idle)
            assert not reading.done()
        stage.clock.now += 12 * 3600
        await until(reading.done)

    asyncio.run(go())


def test_streams_have_a_most(tmp_path):
    with site(tmp_path, clients=3) as made, served(made.app) as port:

        async def go():
            token = made.sign_in("vera")
            hold = [asyncio.create_task(collected(port, token, 30)) for _ in range(3)]
            await until(lambda: len(made.room.hub.clients) == 3)
            async with httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{port}", cookies={"serai_session": token}
            ) as client:
                answer = await client.get(API + "/events")
            for task in hold:
                task.cancel()
            await asyncio.gather(*hold, return_exceptions=True)
            return answer

        answer = asyncio.run(go())
    assert answer.status_code == 503
    assert answer.json()["error"]["kind"] == "full"
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize("number", ["", "x", "-1", "1e9", "٣", "9" * 39])
def test_a_last_event_id_that_is_none_of_ours_begins_anew(stage, number):
    headers = {"last-event-id": number.encode()}
    data = asyncio.run(collected(stage.port, stage.sign_in("vera"), 20, rb"event: hello.*\n.*\n\n", **headers))
    assert [d["resumed"] for k, _, d in read(data) if k == "hello"] == [False]


# ---------------------------------------------------------------------------------------------------------- lost loop


def test_a_lost_loop_is_shown_as_down_and_comes_back_by_itself(tmp_path, monkeypatch):
    """Within 5 s for the defaults: 2 s of silence and 2.5 s for an answer; here in tenths of it."""
    assert live.SILENT_S + live.PATIENCE_S < 5.0
    with site(tmp_path) as made:
        made.room.hub._silent_s = 0.1

        async def go():
            async with running(made.app):
                client = made.room.hub.join("", zipped=False, after=None)
                await until(lambda: "health" in made.room.hub.newest)
                await client.take(0)
                made.desk.lose()
                seen = []
                while not any(d.get("loop", {}).get("status") == "down" for k, _, d in seen if k == "health"):
                    seen += await taken(client, made.room.hub)
                async with made.client("vera") as asking:
                    health = await asking.get(API + "/health")
                    refused = await asking.get(API + "/snapshot")
                    metrics = await asking.get("/metrics")
                made.desk.down = False
                await until(lambda: made.room.hub.up)
                made.desk.tick()
                while not any(k == "scan" for k, *_ in seen):
                    seen += await taken(client, made.room.hub)
                return health, refused, metrics

        health, refused, metrics = asyncio.run(asyncio.wait_for(go(), 30))
    assert health.status_code == 200
    assert health.json()["loop"]["status"] == "down"
    assert health.json()["sources"][0]["name"] == "Town A"  # as it was last known
    assert (refused.status_code, refused.json()["error"]["kind"]) == (503, "unavailable")
    assert "serai_loop_up 0.0" in metrics.text


def test_a_loop_that_answers_too_late_is_said_to(tmp_path):
    with site(tmp_path, patience_s=0.05) as made:
        made.desk.slow_s = 1.0
        (answer, health) = visit(made, ("vera", get("/snapshot")), ("vera", get("/health")))
    assert (answer.status_code, answer.json()["error"]["kind"]) == (503, "unavailable")
    assert health.json()["loop"]["status"] == "down"


def test_an_act_that_the_loop_refuses_is_recorded_as_failed(tmp_path):
    with site(tmp_path) as made:
        made.desk.down = True
        (answer,) = visit(made, ("oper", post("/alarms/low1/acknowledge")))
        assert answer.status_code == 503
        assert [r[:2] for r in made.recorded()[-2:]] == [("oper", "acknowledge"), ("oper", "acknowledge: failed")]


def test_layout_and_network_are_kept_until_the_loop_begins_anew(tmp_path):
    with site(tmp_path) as made:

        async def scene(client):
            await until(lambda: made.room.hub.up)
            first = await client.get(API + "/layout")
            await client.get(API + "/layout")
            same = await client.get(API + "/layout", headers={"if-none-match": first.headers["etag"]})
            asked = made.desk.asked.count("layout")
            made.room.hub.take(Event(9, "hello", {"sequence": 9, "restarted": True}))
            made.desk.rows.pop()
            other = await client.get(API + "/layout", headers={"if-none-match": first.headers["etag"]})
            return first, same, asked, other

        ((first, same, asked, other),) = visit(made, ("vera", scene), listening=True)
    assert (first.status_code, same.status_code, other.status_code) == (200, 304, 200)
    assert same.content == b""
    assert asked == 1
    assert len(other.json()["values"]) == len(first.json()["values"]) - 1


# -------------------------------------------------------------------------------------------------------- slow clients


class Silent(asyncio.Protocol):
    """Asks for events and then reads nothing."""

    def __init__(self, request):
        self.request = request

    def connection_made(self, transport):
        transport.pause_reading()
        transport.write(self.request)


def test_clients_that_read_nothing_hold_little_and_hold_up_nobody(tmp_path):
    """60 silent clients and one that reads, 400 kB a scan: what waits is bounded, and the reader is up to date."""
    desk = SmallDesk(places=20_000)
    with site(tmp_path, desk=desk) as made, served(made.app) as port:
        token = made.sign_in("vera")
        request = (
            f"GET {API}/events HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: serai_session={token}\r\n"
            "Accept-Encoding: identity\r\n\r\n"
        ).encode()

        async def go():
            loop = asyncio.get_running_loop()
            links = [(await loop.create_connection(lambda: Silent(request), "127.0.0.1", port))[0] for _ in range(60)]
            reading = asyncio.create_task(collected(port, token, 60, rb"id: 12\nevent: scan\ndata: [^\n]*\n\n"))
            await until(lambda: len(made.room.hub.clients) == 61)
            for _ in range(12):
                before = desk.sequence
                desk.tick()
                await until(lambda n=before: made.room.hub.sequence > n)
                await until(lambda: sum(not c.waits() for c in made.room.hub.clients) >= 1)
                await asyncio.sleep(0.05)
            data = await reading
            waiting = [len(c._rest) + len(c._newest) for c in made.room.hub.clients]
            for link in links:
                link.abort()
            await until(lambda: not made.room.hub.clients)
            return data, waiting

        data, waiting = asyncio.run(go())
    assert [n for k, n, _ in read(data) if k == "scan"][-1] == 12
    assert max(waiting) <= len(NEWEST)
    assert sum(waiting) >= 60  # they are behind, and the room knows it
