# SPDX-License-Identifier: Apache-2.0
"""A link that comes back: connect, hand batches on, and after any loss connect again, every loss under its name."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from serai.errors import SeraiError
from serai.telemetry.ending import cancelled
from serai.telemetry.readings import Counts, Register, now

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from serai.telemetry.readings import Readings

WAITING = 64  # batches between the link and who takes them; a full queue holds the link back
CONNECTED, LOST = "connected", "lost"  # names under which every link counts
LEFT = "left behind at close"  # readings that came and were not taken


class Link(ABC):
    """What OPC UA, Modbus and MQTT have in common as a `Source`.

    name       of the link, for counts and messages
    register   numbers of the tags
    counts     `connected`, `lost: <reason>`, `readings`, `malformed: <what>`, ...
    up         whether it is connected now; `reason` why not
    heard      when the last readings came [µs since 1970 UTC]; 0 = none yet
    """

    def __init__(self, name: str, register: Register, *, retry: tuple[float, float] = (1.0, 30.0)) -> None:
        """Make a link; `retry` are the shortest and the longest wait [s] before it connects again."""
        self.name = name
        self.register = register
        self.counts = Counts(name)
        self.up = False
        self.reason = "not connected yet"
        self.heard = 0
        self._retry = retry
        self._queue: asyncio.Queue[Readings | None] = asyncio.Queue()
        self._room = asyncio.Semaphore(WAITING)  # bounds the queue, yet leaves its end a place
        self._task: asyncio.Task[None] | None = None

    async def readings(self) -> AsyncIterator[Readings]:
        """Yield batches as they come, connecting again by itself after a loss, until `close`."""
        if self._task is None:
            self._task = asyncio.create_task(self._stay(), name=self.name)
        elif self._task.done() and self._queue.empty():
            return
        try:
            while (batch := await self._queue.get()) is not None:
                self._room.release()
                yield batch
        finally:
            await self.close()
            while not self._queue.empty():
                if (left := self._queue.get_nowait()) is not None:
                    self.counts.add(LEFT, len(left))

    async def close(self) -> None:
        """End `readings`, after what has come already, and the connection."""
        if self._task is not None:
            await cancelled(self._task)

    # -------------------------------------------------------------------------------------------- for the protocols

    @abstractmethod
    async def _session(self) -> None:
        """Connect, call `_connected`, and `_deliver` what comes until the connection is lost; leave nothing open."""

    def _connected(self) -> None:
        self.counts.add(CONNECTED)
        self.up, self.reason = True, ""

    async def _deliver(self, batch: Readings) -> None:
        """Hand a batch on; waits while the one who takes them is behind."""
        if not len(batch):
            return
        self.counts.add("readings", len(batch))
        self.heard = now()
        if self._room.locked():
            self.counts.add("held back")  # by a slow consumer; nothing is lost by it
        try:
            await self._room.acquire()
        except asyncio.CancelledError:
            self.counts.add(LEFT, len(batch))
            raise
        self._queue.put_nowait(batch)

    async def _stay(self) -> None:
        """Keep a session, with a wait between two that doubles until one has brought readings."""
        first, longest = self._retry
        wait = first
        try:
            while True:
                heard = self.heard
                try:
                    await self._session()
                    self.reason = "connection lost"
                except Exception as error:  # noqa: BLE001 - whatever a library raises is counted under its name
                    self.reason = reason(error)
                self.up = False
                self.counts.add(f"{LOST}: {self.reason}")
                wait = first if self.heard > heard else min(2.0 * wait, longest)
                await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - spreads retries, guards nothing
        finally:
            self.up, self.reason = False, "closed"
            self._queue.put_nowait(None)


_NAMES: tuple[tuple[type[BaseException], str], ...] = (
    (ssl.SSLCertVerificationError, "certificate refused"),
    (ssl.SSLError, "tls failed"),
    (ConnectionRefusedError, "connection refused"),
    (TimeoutError, "no answer in time"),
    (asyncio.IncompleteReadError, "connection lost"),
    (ConnectionError, "connection lost"),
    (socket.gaierror, "unknown host"),
    (OSError, "unreachable"),
)


def reason(error: BaseException) -> str:
    """Return a short name for why a connection failed: of the first known error in its chain of causes."""
    if isinstance(error, SeraiError):
        return str(error)[:120]
    for link in _chain(error):
        for kind, name in _NAMES:
            if isinstance(link, kind):
                why = getattr(link, "verify_message", "") if kind is ssl.SSLCertVerificationError else ""
                return f"{name}: {why}" if why else name
    return f"{type(error).__name__}: {error}"[:80].rstrip(": ")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(10):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__
