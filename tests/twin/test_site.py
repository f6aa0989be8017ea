# SPDX-License-Identifier: Apache-2.0
"""Field and loop as processes over real protocols: killed one after the other, they come back, and nothing is lost."""

import asyncio
import os
import signal
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from serai.network import write
from serai.telemetry import historian
from serai.twin.client import Client
from serai.twin.desk import Refused
from serai.twin.live import Place
from serai.twin.supervise import Site, Supervisor, children
from twin.desks import grid

SAID = 5.0  # s in which health must say it
PATIENCE = 120.0


async def until(question, patience=PATIENCE):
    """Wait until an answer is true; return it and how long that took."""
    begun = time.monotonic()
    while True:
        try:
            found = await question()
        except Refused:
            found = None
        took = time.monotonic() - begun
        if found:
            return found, took
        assert took < patience, "it did not happen in time"
        await asyncio.sleep(0.1)


async def kill(supervisor, name):
    """End a process as nobody should."""
    victim = next(c for c in supervisor.children if c.name == name)
    os.kill(victim.pid, signal.SIGKILL)


async def refused(client):
    """Ask for health until it is refused; return for which reason."""
    end = time.monotonic() + SAID
    while time.monotonic() < end:
        try:
            await client.health()
        except Refused as error:
            return error.reason
        await asyncio.sleep(0.1)
    return "it was not said in time"


def gaps(folder, tag):
    """The longest time between two readings of a tag in the history that carry the station's own time [s]."""
    with historian.open(folder / "history", read_only=True) as store:
        found = store.read([tag])
        found = found.take(found.time != found.received)
    return float(np.diff(np.unique(found.time)).max()) / 1e6


@pytest.fixture
def place(tmp_path):
    with tempfile.TemporaryDirectory(prefix="serai-") as private:
        yield Place(tmp_path / "site", Path(private) / "s", Path(private) / "endpoints.csv")


def test_any_process_may_be_killed(tmp_path, place):
    write(grid(), tmp_path / "case")

    async def run():
        site = Site(str(tmp_path / "case"), place, room=False)
        supervisor = Supervisor(children(site, 2, print), place.folder)
        running = asyncio.create_task(supervisor.run())
        client = await Client.open(place.socket)

        async def well():
            h, s = await client.health(), await client.snapshot()
            up = len(h["sources"]) == 2 and all(x["status"] == "up" for x in h["sources"])
            return up and s["health"]["power"]["status"] == "estimate"

        async def links_down():
            return all(x["status"] == "down" for x in (await client.health())["sources"])

        try:
            await until(well)
            await asyncio.sleep(3.0)
            await kill(supervisor, "loop")
            assert await refused(client) == "unavailable"
            await until(well)
            await asyncio.sleep(4.0)
            assert gaps(place.folder, "Bus 1 UT") < 2.5  # scanned every second; the stations kept what came meanwhile
            await kill(supervisor, "field")
            _, took = await until(links_down)
            assert took < SAID
            health = await client.health()
            assert {p["name"] for p in health["processes"]} == {"loop", "field"}
            await until(well)
            restarts = {c.name: c.restarts for c in supervisor.children}
            assert restarts == {"loop": 1, "field": 1}
        finally:
            supervisor.end()
            await asyncio.wait_for(running, 40.0)
            await client.close()
        assert all(c.pid is None for c in supervisor.children)

    asyncio.run(run())
