# SPDX-License-Identifier: Apache-2.0
"""What the tests of sources share: points out of nothing, free ports, readings taken until there are enough."""

from __future__ import annotations

import asyncio
import socket
from contextlib import aclosing, asynccontextmanager

from serai.network.instruments import Instrument
from serai.telemetry.points import Point, address_of
from serai.telemetry.readings import Readings, joined


def point(tag, protocol, address, *, scan=0.1, factor=1e5, station="S", quantity="pressure", **more):
    """Return a pressure transmitter of 0..100 bar that sends bar."""
    given = {"low": 0.0, "high": 100e5, "sigma": 5e3, "share": 0.0, "unit": "bara", "where": tag, **more}
    instrument = Instrument(
        tag=tag, quantity=quantity, scan=scan, station=station, protocol=protocol, address=address, **given
    )
    return Point(instrument, address_of(protocol, address), factor)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


async def take(source, enough, *, within=10.0) -> Readings:
    """Return what a source yields until `enough(readings)`, a number of them or a test."""
    wanted = enough if callable(enough) else lambda r: len(r) >= enough
    batches = []

    async def collect():
        async with aclosing(source.readings()) as stream:
            async for batch in stream:
                batches.append(batch)
                if wanted(joined(batches)):
                    return

    try:
        await asyncio.wait_for(collect(), within)
    except TimeoutError:
        got = len(joined(batches)) if batches else 0
        raise AssertionError(f"{got} readings in {within} s, counts {source.counts}") from None
    return joined(batches)


async def until(holds, *, within=10.0) -> None:
    """Wait until something holds."""
    end = asyncio.get_running_loop().time() + within
    while not holds():
        assert asyncio.get_running_loop().time() < end, "it never held"
        await asyncio.sleep(0.02)


@asynccontextmanager
async def relay(to, port):
    """Pass connections to `port` on to the port `to`; at the end every one of them is cut."""
    writers, tasks = [], []

    async def pump(reader, writer):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def accept(reader, writer):
        there_reader, there = await asyncio.open_connection("127.0.0.1", to)
        writers.extend((writer, there))
        tasks.extend((asyncio.create_task(pump(reader, there)), asyncio.create_task(pump(there_reader, writer))))

    server = await asyncio.start_server(accept, "127.0.0.1", port)
    try:
        yield
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
