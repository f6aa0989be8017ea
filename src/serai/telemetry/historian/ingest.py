# SPDX-License-Identifier: Apache-2.0
"""The stage from the bus to the historian: gathers batches, stores them, and only then marks them as done.

What a crash leaves undone comes again from the bus, and what was stored already is recognised by its batch id: end to
end nothing is lost and nothing is double. While storing fails nothing is marked as done and nothing more is taken, so
memory stays bounded and the senders wait.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import structlog

from serai.errors import NotStored, SeraiError
from serai.telemetry.historian.historian import Historian, Outcome
from serai.telemetry.readings import Counts

if TYPE_CHECKING:
    from serai.telemetry.bus import Delivery, Subscription

log = structlog.get_logger()
AT_ONCE = 16  # batches taken from the bus at a time: what a transaction may hold beyond the rows of the pace


@dataclass(frozen=True, slots=True)
class Pace:
    """When the stage acts.

    rows, seconds         a transaction is made when so many rows are gathered, or so long [s] after the first of them
    batches               most batches that are gathered
    publish, seal         [s] between showing what is stored to readers of files, and looking for hours to seal
    waiting               rows that may wait to be sealed; with more, a part of the running hour is
    again                 [s] until storing is tried again after it failed; doubles up to `longest`
    """

    rows: int = 20_000
    seconds: float = 0.25
    batches: int = 1024
    publish: float = 2.0
    seal: float = 60.0
    waiting: int = 1_000_000
    again: float = 0.2
    longest: float = 10.0


class Ingest:
    """Stores what one subscription of a bus delivers."""

    def __init__(self, subscription: Subscription, history: Historian, pace: Pace | None = None) -> None:
        self.subscription, self.history, self.pace = subscription, history, pace or Pace()
        self.counts = Counts("ingest")
        self._end = asyncio.Event()
        # one thread each, always the same: every thread that touches the database has memory of its own put by for it
        self._storing, self._keeping = (ThreadPoolExecutor(1, f"history {name}") for name in ("storing", "keeping"))

    def end(self) -> None:
        """Let `run` return after the transaction that is under way."""
        self._end.set()

    async def run(self) -> None:
        """Store until `end`; errors of disk and server are counted, and tried again."""
        keeping = asyncio.create_task(self._keep())
        try:
            while not self._end.is_set():
                gathered = await self._gather()
                if gathered and await self._store(gathered):
                    await self.subscription.done(gathered)
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
        await self._keeps(self.history.publish)
        for pool in (self._storing, self._keeping):
            pool.shutdown(wait=False)

    async def _gather(self) -> list[Delivery]:
        """Return the batches of one transaction."""
        pace = self.pace
        gathered = list(await self.subscription.next(AT_ONCE, 0.1))
        until = time.monotonic() + pace.seconds
        while gathered and sum(len(d.batch.readings) for d in gathered) < pace.rows and len(gathered) < pace.batches:
            left = until - time.monotonic()
            if left <= 0:
                break
            gathered += await self.subscription.next(min(AT_ONCE, pace.batches - len(gathered)), left)
        return gathered

    async def _store(self, gathered: list[Delivery]) -> bool:
        """Store batches, again and again while disk or server fail; returns whether they are stored."""
        wait = self.pace.again
        while True:
            try:
                outcomes = await asyncio.get_running_loop().run_in_executor(
                    self._storing, self.history.append_all, [d.batch for d in gathered]
                )
            except NotStored as error:
                self.counts.add(f"tried again: {error.reason}")
                log.warning("readings wait to be stored", reason=error.reason, batches=len(gathered), text=str(error))
                if self._end.is_set():
                    return False
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._end.wait()
                wait = min(2.0 * wait, self.pace.longest)
                continue
            for delivery, outcome in zip(gathered, outcomes, strict=True):
                self.counts.add(f"batches: {outcome.name.lower()}")
                self.counts.add(f"readings: {outcome.name.lower()}", len(delivery.batch.readings))
                if outcome in {Outcome.CONFLICT, Outcome.REFUSED}:
                    log.error("batch refused", batch=delivery.batch.id, source=delivery.batch.source, why=outcome.value)
            return True

    async def _keep(self) -> None:
        """Show and seal in the rhythm of the pace, beside storing."""
        seal_at = time.monotonic() + self.pace.seal
        while True:
            await asyncio.sleep(self.pace.publish)
            await self._keeps(self.history.publish)
            await self._keeps(partial(self.history.relieve, self.pace.waiting))
            if time.monotonic() >= seal_at:
                await self._keeps(self.history.seal)
                await self._keeps(self.history.compact)
                seal_at = time.monotonic() + self.pace.seal

    async def _keeps(self, action: object) -> None:
        await asyncio.get_running_loop().run_in_executor(self._keeping, self._try, action)

    def _try(self, action: object) -> None:
        """Do what may fail without harm: it is counted and comes again."""
        name = getattr(getattr(action, "func", action), "__name__", "keeping")
        try:
            if callable(action):
                action()
        except SeraiError as error:
            self.counts.add(f"{name} failed")
            log.warning("keeping the history failed", doing=name, text=str(error))
