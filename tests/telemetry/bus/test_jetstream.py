# SPDX-License-Identifier: Apache-2.0
"""The bus over a real NATS server: the same promises, and over its restarts."""

from __future__ import annotations

import asyncio

import nats
import numpy as np
import pytest

from serai.errors import SeraiError
from serai.telemetry.bus import Batch
from serai.telemetry.bus.jetstream import connect
from serai.telemetry.readings import Readings, Register
from telemetry.bus.local_nats import LocalNats


@pytest.fixture
def server():
    local = LocalNats()
    yield local
    local.stop()


def readings(n=3, start=0):
    k = np.arange(start, start + n)
    return Readings(Register(["a", "b"]), (k % 2).astype(np.int32), k, k * 1.0, np.zeros(n, np.uint16), k)


def test_batches_stay_for_named_subscribers_until_done(server):
    async def main():
        bus = await connect(server.url, keep_for=("historian", "live"))
        for k in range(5):
            await bus.publish(Batch(f"b{k}", "station.7 *", readings(start=k)))
        await bus.flush()
        other = await connect(server.url)
        reader = await other.subscribe("historian")
        found = []
        while len(found) < 5:
            found += await reader.next(5, 5.0)
        assert [(d.batch.id, d.batch.source) for d in found] == [(f"b{k}", "station.7 *") for k in range(5)]
        r = found[4].batch.readings
        assert r.value.tolist() == [4.0, 5.0, 6.0]
        assert r.register.names(r.tag) == ["a", "b", "a"]
        await reader.done(found)
        assert await reader.next(1, 0.1) == []
        live = await other.subscribe("live")
        assert len(await live.next(5, 5.0)) == 5
        await bus.close()
        await other.close()

    asyncio.run(main())


def test_what_is_not_done_comes_again(server):
    async def main():
        bus = await connect(server.url, again_after=0.5)
        await bus.publish(Batch("b", "s", readings()))
        await bus.flush()
        reader = await bus.subscribe("historian")
        first = await reader.next(1, 5.0)
        again = await reader.next(1, 5.0)
        assert [d.batch.id for d in (*first, *again)] == ["b", "b"]
        assert (first[0].again, again[0].again) == (False, True)
        assert reader.counts["delivered again"] == 1
        await bus.close()

    asyncio.run(main())


def test_sent_over_a_restart_of_the_server(server):
    async def main():
        bus = await connect(server.url, window=4)
        await bus.publish(Batch("before", "s", readings()))
        await bus.flush()
        server.kill()
        sending = [asyncio.create_task(bus.publish(Batch(f"during {k}", "s", readings(start=k)))) for k in range(8)]
        await asyncio.sleep(0.2)
        assert not all(task.done() for task in sending)  # the window is full: back-pressure, not memory
        server.start()
        await asyncio.gather(*sending)
        await bus.flush()
        reader = await bus.subscribe("historian")
        found = {}
        while len(found) < 9:
            for d in await reader.next(20, 5.0):
                found[d.batch.id] = d.batch.readings.value.tolist()
                await reader.done([d])
        assert set(found) == {"before", *(f"during {k}" for k in range(8))}
        assert bus.counts["link lost"] >= 1
        assert bus.counts["link back"] >= 1
        await bus.close()

    asyncio.run(main())


def test_a_full_stream_makes_the_publisher_wait(server):
    async def main():
        bus = await connect(server.url, most_bytes=20_000, window=2)
        sending = [asyncio.create_task(bus.publish(Batch(f"{k}", "s", readings(300, k)))) for k in range(6)]
        await asyncio.sleep(0.5)
        assert not all(task.done() for task in sending)
        reader = await bus.subscribe("historian")
        found = set()
        while len(found) < 6:
            for d in await reader.next(6, 5.0):
                found.add(d.batch.id)
                await reader.done([d])
        await asyncio.gather(*sending)
        assert sum(n for name, n in bus.counts.counted.items() if name.startswith("sent again")) >= 1
        await bus.close()

    asyncio.run(main())


def test_a_batch_above_the_largest_message_goes_in_parts(server):
    async def main():
        bus = await connect(server.url)
        await bus.publish(Batch("large", "s", readings(100_000)))
        await bus.flush()
        reader = await bus.subscribe("historian")
        found = []
        while sum(len(d.batch.readings) for d in found) < 100_000:
            found += await reader.next(10, 5.0)
        assert {d.batch.id.split(".")[0] for d in found} == {"large"}
        assert len({d.batch.id for d in found}) == len(found) > 1
        values = np.sort(np.concatenate([d.batch.readings.value for d in found]))
        np.testing.assert_array_equal(values, np.arange(100_000.0))
        await bus.close()

    asyncio.run(main())


def test_what_is_no_batch_is_put_away_and_the_rest_goes_on(server):
    async def main():
        bus = await connect(server.url)
        client = await nats.connect(server.url)
        await client.jetstream().publish("readings.stranger", b"no batch")
        await bus.publish(Batch("b", "s", readings()))
        await bus.flush()
        reader = await bus.subscribe("historian")
        found = []
        while not found:
            found += await reader.next(5, 5.0)
        assert [d.batch.id for d in found] == ["b"]
        assert reader.counts["no batch: put away"] == 1
        await client.close()
        await bus.close()

    asyncio.run(main())


def test_no_server_says_what_to_do():
    async def main():
        with pytest.raises(SeraiError, match="start nats-server with -js"):
            await connect("nats://127.0.0.1:9", patience=0.3)

    asyncio.run(main())
