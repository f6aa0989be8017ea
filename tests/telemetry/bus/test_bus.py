# SPDX-License-Identifier: Apache-2.0
"""The bus within one process: bounded, positions under names, nothing done twice or forgotten."""

from __future__ import annotations

import asyncio

import pytest

from serai.errors import SeraiError
from serai.telemetry.bus import Batch, InProcess
from serai.telemetry.readings import Readings, Register

ONE = Readings.of(Register(), [("a", 1.0, 2.0, 0, 3.0)])


def batch(k):
    return Batch(str(k), "s", ONE)


async def ids(reader, most=100, patience=0.05):
    return [d.batch.id for d in await reader.next(most, patience)]


def test_every_subscriber_gets_every_batch_in_order():
    async def main():
        bus = InProcess()
        await bus.publish(batch(0))  # before anyone is there
        one, other = await bus.subscribe("one"), await bus.subscribe("other")
        for k in range(1, 5):
            await bus.publish(batch(k))
        assert await ids(one, 2) == ["0", "1"]
        assert await ids(one) == ["2", "3", "4"]
        assert await ids(other) == ["0", "1", "2", "3", "4"]
        assert await ids(one) == []
        assert bus.counts["published readings"] == 5

    asyncio.run(main())


def test_a_full_bus_makes_the_publisher_wait_for_the_slowest():
    async def main():
        bus = InProcess(capacity=3)
        slow, quick = await bus.subscribe("slow"), await bus.subscribe("quick")
        for k in range(3):
            await bus.publish(batch(k))
        waiting = asyncio.create_task(bus.publish(batch(3)))
        await quick.done(await quick.next(3))
        await asyncio.sleep(0.02)
        assert not waiting.done()  # the slow one has not even read
        found = await slow.next(3)
        await asyncio.sleep(0.02)
        assert not waiting.done()  # read is not done
        await slow.done(found[1:])
        await asyncio.sleep(0.02)
        assert not waiting.done()  # the oldest is still needed
        await slow.done(found[:1])
        await asyncio.wait_for(waiting, 1)
        assert bus.counts["waited for room"] == 1
        assert await ids(slow) == ["3"]

    asyncio.run(main())


def test_what_is_not_done_comes_again_under_the_same_name():
    async def main():
        bus = InProcess()
        reader = await bus.subscribe("historian")
        for k in range(4):
            await bus.publish(batch(k))
        found = await reader.next(3)
        assert [d.again for d in found] == [False] * 3
        await reader.done([found[0], found[2]])
        await reader.close()
        back = await bus.subscribe("historian")
        found = await back.next(10)
        assert [(d.batch.id, d.again) for d in found] == [("1", True), ("3", False)]
        await back.done(found)
        await back.done(found)  # twice is as once
        assert back.position == 4

    asyncio.run(main())


def test_who_leaves_for_good_holds_nothing_back():
    async def main():
        bus = InProcess(capacity=1)
        await bus.subscribe("gone")
        stays = await bus.subscribe("stays")
        await bus.publish(batch(0))
        await stays.done(await stays.next())
        waiting = asyncio.create_task(bus.publish(batch(1)))
        await asyncio.sleep(0.02)
        assert not waiting.done()
        await bus.unsubscribe("gone")
        await asyncio.wait_for(waiting, 1)

    asyncio.run(main())


def test_closing_wakes_everyone():
    async def main():
        bus = InProcess(capacity=1)
        reader = await bus.subscribe("r")
        await bus.publish(batch(0))
        publishing = asyncio.create_task(bus.publish(batch(1)))
        assert await ids(reader) == ["0"]
        reading = asyncio.create_task(reader.next(1, None))
        await asyncio.sleep(0.02)
        await bus.close()
        assert await asyncio.wait_for(reading, 1) == []
        with pytest.raises(SeraiError, match="batch 1: the bus is closed"):
            await asyncio.wait_for(publishing, 1)

    asyncio.run(main())
    with pytest.raises(SeraiError, match="at least 1 batch"):
        InProcess(capacity=0)
