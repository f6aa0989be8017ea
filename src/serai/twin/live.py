# SPDX-License-Identifier: Apache-2.0
"""The process of the loop: collector, twin and desk together, beside a field that it reaches over real protocols."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from serai.alarms.view import iso
from serai.errors import SeraiError
from serai.telemetry import historian
from serai.telemetry.bus import InProcess
from serai.telemetry.collect import Collector
from serai.telemetry.endpoints import read_endpoints
from serai.twin.loop import Loop, Settings
from serai.twin.memory import EVERY, keep, take_up
from serai.twin.server import Server
from serai.twin.slow import Slow
from serai.twin.twin import Around, Twin

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from serai.network import Network
    from serai.telemetry.endpoints import Endpoint
    from serai.telemetry.historian import Historian
    from serai.twin.loop import Judge

log = structlog.get_logger()
WAITING = 300.0  # s that the loop waits for a file of endpoints
CATCH_UP = 10.0  # periods that the clock of the beats may be behind before it jumps
RETRY = (0.5, 2.0)  # s between tries to reach a station: a field that comes back is heard within seconds
PROCESSES = "processes.json"  # written by the supervisor
CHATTY = ("asyncua", "pymodbus", "pymodbus.logging", "aiomqtt", "mqtt", "amqtt")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a loop keeps what it needs: one folder.

    socket   of its desk;  endpoints  of the field's stations
    """

    folder: Path
    socket: Path
    endpoints: Path

    @property
    def history(self) -> Path:
        """Return the folder of the history."""
        return self.folder / "history"

    @property
    def memory(self) -> Path:
        """Return the file of what the diagnosis remembers."""
        return self.folder / "diagnosis.json"


@dataclass(frozen=True, slots=True)
class Stored:
    """The state of a history, for health."""

    store: Historian
    collector: Collector

    def state(self) -> dict[str, Any]:
        """Return status, reason, rows and what is not stored yet."""
        waiting = self.collector.counts["readings"] - self.collector.stored
        failed = {n: c for n, c in self.store.counts.counted.items() if n.startswith("not stored")}
        stuck = waiting > 200_000
        return {
            "status": "down" if stuck else "up", "reason": next(iter(failed), "") if stuck else "",
            "rows": self.collector.stored, "waiting": max(waiting, 0), "last_sealed": _sealed(self.store),
        }  # fmt: skip


def _sealed(store: Historian) -> str | None:
    hours = getattr(store.engine, "last_sealed", None)
    return iso(hours / 1e6) if isinstance(hours, int) else None


async def endpoints(path: Path, patience: float = WAITING) -> list[Endpoint]:
    """Return the endpoints of a file, waiting for a field that is starting; SeraiError when it does not come."""
    until = time.monotonic() + patience
    while True:
        try:
            return read_endpoints(path)
        except SeraiError:
            if time.monotonic() > until:
                raise
        await asyncio.sleep(0.2)


async def live(
    network: Network, place: Place, make: Callable[[Network], Judge | None], ended: asyncio.Event, *,
    settings: Settings | None = None, writes: bool = False,
) -> None:  # fmt: skip
    """Run a loop until `ended` is set: collect, estimate, diagnose, alarm, record, serve the desk.

    make  makes the diagnosis over time of the network; it takes seconds and is done in a thread
    """
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    place.folder.mkdir(parents=True, exist_ok=True)
    making = asyncio.create_task(asyncio.to_thread(make, network))
    stations = await endpoints(place.endpoints)
    with historian.open(place.history) as store:
        bus = InProcess()
        collector = Collector(network, stations, store, bus=bus, retry=RETRY)
        readings = await bus.subscribe("twin")
        collecting = asyncio.create_task(collector.run(), name="collector")
        try:
            judge = await _unless(ended, making)
            if ended.is_set():
                return
            if judge is not None:
                take_up(judge, place.memory)
            loop = Loop(network, collector.register, judge, settings=settings)
            around = Around(
                links=collector, processes=_processes(place.folder), history=Stored(store, collector), store=store,
                archive=place.history,
                folder=place.folder, send=collector, writes=writes, slow=Slow(),
                plan=place.folder.parent / "plan.json",
            )  # fmt: skip
            twin = Twin(loop, around)
            async with Server(twin, place.socket):
                await _serve(twin, readings, collecting, ended, place)
        finally:
            making.cancel()
            collector.end()
            await asyncio.gather(collecting, return_exceptions=True)
            await bus.close()


def _processes(folder: Path) -> Callable[[], list[dict[str, Any]]]:
    """Return what reads how the processes do, as the supervisor says it in a file."""

    def read() -> list[dict[str, Any]]:
        try:
            said = json.loads((folder / PROCESSES).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []
        return list(said["processes"]) if isinstance(said, dict) else []

    return read


async def _unless(ended: asyncio.Event, making: asyncio.Task[Judge | None]) -> Judge | None:
    """Wait for what is being made, or for the end."""
    ending = asyncio.create_task(ended.wait())
    await asyncio.wait((making, ending), return_when=asyncio.FIRST_COMPLETED)
    ending.cancel()
    return making.result() if making.done() else None


async def _serve(twin: Twin, readings: Any, collecting: asyncio.Task[None], ended: asyncio.Event, place: Place) -> None:
    """Feed and beat until the end, or until the collector ends against all precautions."""
    tasks = [
        asyncio.create_task(feed(twin.loop, readings), name="feed"), asyncio.create_task(beats(twin), name="beats"),
        asyncio.create_task(_keep(twin, place.memory), name="memory"), asyncio.create_task(ended.wait(), name="end"),
    ]  # fmt: skip
    try:
        done, _ = await asyncio.wait((*tasks, collecting), return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await _save(twin, place.memory)
        await twin.close()


async def feed(loop: Loop, readings: Any) -> None:
    """Hand the loop what comes over the bus; the bus is never held up here."""
    while True:
        deliveries: Sequence[Any] = await readings.next(64, 1.0)
        for d in deliveries:
            loop.take(d.batch.readings)
        if deliveries:
            await readings.done(deliveries)


async def beats(twin: Twin) -> None:
    """Beat once a period by the clock; after a stall the beats that were missed are left out, and counted."""
    running = asyncio.get_running_loop()
    period = twin.loop.settings.period
    due = running.time()
    while True:
        try:
            await twin.beat(twin.around.now())
        except Exception:  # whatever it is, it is counted and logged whole, and the twin goes on: a blind room is worse
            twin.loop.counts.add("beats that failed")
            log.exception("a beat failed; the next one is tried")
        due += period
        late = running.time() - due
        twin.behind = max(0.0, late)
        if late > CATCH_UP * period:
            twin.loop.counts.add("beats left out", int(late / period))
            due = running.time()
        await asyncio.sleep(max(0.0, due - running.time()))


async def _keep(twin: Twin, path: Path) -> None:
    while True:
        await asyncio.sleep(EVERY)
        await _save(twin, path)


async def _save(twin: Twin, path: Path) -> None:
    """Save what the diagnosis remembers, between two of its scans."""
    judge = twin.loop.judge
    if judge is not None:
        with contextlib.suppress(SeraiError):
            await asyncio.to_thread(twin.loop.beside_diagnosis, lambda: keep(judge, path))
