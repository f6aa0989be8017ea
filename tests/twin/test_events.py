# SPDX-License-Identifier: Apache-2.0
"""Events: numbered, resumed, bounded; who is slow loses old scans, never an alarm without being told."""

import asyncio

from serai.twin.events import KEPT, WAITING, Events


async def take(events, count, after=None):
    found = []
    stream = events.subscribe(after)
    async for event in stream:
        found.append(event)
        if len(found) == count:
            break
    await stream.aclose()
    return found


def test_who_comes_back_gets_what_came_since_and_of_scans_the_newest():
    async def run():
        events = Events(100)
        for k in range(5):
            events.tell("scan", {"k": k})
            events.tell("alarm", {"k": k})
        hello, *rest = await take(events, 4, after=105)
        assert (hello.kind, hello.data) == ("hello", {"sequence": 110, "restarted": False})
        assert [(e.sequence, e.kind) for e in rest] == [(106, "alarm"), (108, "alarm"), (109, "scan")]

    asyncio.run(run())


def test_who_was_away_too_long_or_knows_another_loop_is_told_to_ask_for_everything():
    async def run():
        events = Events(0)
        for k in range(KEPT + 10):
            events.tell("scan", {"k": k})
        hello, newest = await take(events, 2, after=3)
        assert not hello.data["restarted"]  # nothing that counts was lost
        assert newest.data["k"] == KEPT + 9
        for k in range(KEPT + 10):
            events.tell("alarm", {"k": k})
        (old,) = await take(events, 1, after=3)
        (ahead,) = await take(events, 1, after=10**9)
        assert old.data["restarted"]
        assert ahead.data["restarted"]

    asyncio.run(run())


def test_a_slow_reader_gets_the_newest_scan_and_every_alarm():
    async def run():
        events = Events(0)
        stream = events.subscribe()
        assert (await anext(stream)).kind == "hello"
        for k in range(3 * WAITING):
            events.tell("scan", {"k": k})
            if k % 10 == 0:
                events.tell("alarm", {"k": k})
        assert events.behind <= WAITING + 1
        found = [await anext(stream) for _ in range(events.behind)]
        assert [e.data["k"] for e in found if e.kind == "alarm"] == list(range(0, 3 * WAITING, 10))
        assert [e.data["k"] for e in found if e.kind == "scan"][-1] == 3 * WAITING - 1
        assert [e.sequence for e in found] == sorted(e.sequence for e in found)
        await stream.aclose()
        assert events.readers == 0

    asyncio.run(run())


def test_alarms_alone_cannot_grow_without_end_and_their_loss_is_said():
    async def run():
        events = Events(0)
        stream = events.subscribe()
        await anext(stream)
        for k in range(10 * WAITING):
            events.tell("alarm", {"k": k})
        assert events.behind <= WAITING
        found = [await anext(stream) for _ in range(events.behind)]
        assert any(e.kind == "hello" and e.data["restarted"] for e in found)
        assert found[-1].data["k"] == 10 * WAITING - 1
        await stream.aclose()

    asyncio.run(run())
