# SPDX-License-Identifier: Apache-2.0
"""The desk of a loop in another process: the same interface over its socket, connecting again after every loss."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serai.errors import SeraiError
from serai.twin.desk import ASKED, Event, Plain, Refused
from serai.twin.wire import LONGEST, pack, receive

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from collections.abc import AsyncIterator, Mapping, Sequence

AGAIN = (0.1, 0.2, 0.5, 1.0, 2.0)  # s between tries to connect
WAITING = 1024  # events that wait for who reads them here; then all is asked for anew
HERE = "127.0.0.1"
_AWAY = Refused("unavailable", "the loop is not there", "It is started again by itself; ask again in some seconds")


def _token(path: Path) -> str | None:
    """Return port and token where the loop listens on a port; None where the path is a Unix socket."""
    if hasattr(asyncio, "open_unix_connection") and path.is_socket():
        return None
    return path.read_text(encoding="ascii")


async def _connect(path: Path) -> tuple[StreamReader, StreamWriter]:
    """Return a connection to the loop at a path; OSError where there is none."""
    token = _token(path)
    if token is None:
        return await asyncio.open_unix_connection(str(path), limit=LONGEST)
    port, _, token = token.partition(" ")
    reader, writer = await asyncio.open_connection(HERE, int(port), limit=LONGEST)
    writer.write(pack({"token": token}))
    return reader, writer


class Client:
    """A `Desk` over a socket: `client = await Client.open(path)`; `close` at the end.

    up  whether the loop is there;  losses  how often it was lost
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._writer: StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None
        self._up = asyncio.Event()
        self.losses = 0

    @classmethod
    async def open(cls, path: str | Path, *, patience: float = 0.0) -> Client:
        """Return a client; it connects by itself. `patience` [s]: wait so long for the loop to be there."""
        client = cls(path)
        client._task = asyncio.create_task(client._stay(), name="client of the loop")
        if patience:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await client._up.wait()
        return client

    @property
    def up(self) -> bool:
        """Whether the loop is there."""
        return self._up.is_set()

    async def close(self) -> None:
        """End the connection."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _stay(self) -> None:
        """Keep a connection; what waits for an answer when it is lost is refused."""
        tries = 0
        while True:
            try:
                reader, writer = await _connect(self._path)
            except (OSError, ValueError):
                await asyncio.sleep(AGAIN[min(tries, len(AGAIN) - 1)])
                tries += 1
                continue
            self._writer, tries = writer, 0
            self._up.set()
            try:
                while (message := await receive(reader)) is not None:
                    self._take(message)
            except (SeraiError, OSError):
                pass
            finally:
                self._up.clear()
                self._writer = None
                self.losses += 1
                for waiting in self._waiting.values():
                    if not waiting.done():
                        waiting.set_exception(_AWAY)
                self._waiting.clear()
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()

    def _take(self, message: Any) -> None:
        waiting = self._waiting.pop(message.get("id"), None)
        if waiting is None or waiting.done():
            return
        if "answer" in message:
            waiting.set_result(message["answer"])
        else:
            r = message["refused"]
            waiting.set_exception(Refused(r["reason"], r["message"], r["what_to_do"]))

    async def _ask(self, name: str, **given: Any) -> Any:
        assert name in ASKED  # noqa: S101 - the methods below are all there is
        writer = self._writer
        if writer is None:
            raise _AWAY
        number = next(self._numbers)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            writer.write(pack({"id": number, "ask": name, "given": given}))
            await writer.drain()
            return await answer
        except OSError:
            raise _AWAY from None
        finally:
            self._waiting.pop(number, None)
            if answer.done() and not answer.cancelled():
                answer.exception()  # seen, where drain failed before it

    async def _one(self, name: str, **given: Any) -> Plain:
        found: Plain = await self._ask(name, **given)
        return found

    async def _many(self, name: str, **given: Any) -> list[Plain]:
        found: list[Plain] = await self._ask(name, **given)
        return found

    async def subscribe(self, after: int | None = None) -> AsyncIterator[Event]:
        """See `Desk`; over a connection of its own. Ends with Refused when the loop is lost: subscribe again."""
        try:
            reader, writer = await _connect(self._path)
        except (OSError, ValueError):
            raise _AWAY from None
        taken = _Taken(reader)
        pump = asyncio.create_task(taken.run(), name="events of the loop")
        try:
            writer.write(pack({"id": 0, "subscribe": after}))
            async for event in taken:
                yield event
            raise _AWAY
        finally:
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)
            writer.close()

    # --------------------------------------------------------------------------------- the desk, one line each

    async def case(self) -> Plain:
        """See `Desk`."""
        return await self._one("case")

    async def network(self) -> Plain:
        """See `Desk`."""
        return await self._one("network")

    async def layout(self) -> Plain:
        """See `Desk`."""
        return await self._one("layout")

    async def snapshot(self) -> Plain:
        """See `Desk`."""
        return await self._one("snapshot")

    async def health(self) -> Plain:
        """See `Desk`."""
        return await self._one("health")

    async def diagnosis(self) -> Plain:
        """See `Desk`."""
        return await self._one("diagnosis")

    async def readings(self, where: str | None = None, tag: str | None = None, limit: int = 1000) -> list[Plain]:
        """See `Desk`."""
        return await self._many("readings", where=where, tag=tag, limit=limit)

    async def ahead(self) -> Plain:
        """See `Desk`."""
        return await self._one("ahead")

    async def outages(self) -> Plain:
        """See `Desk`."""
        return await self._one("outages")

    async def plan(self) -> Plain:
        """See `Desk`."""
        return await self._one("plan")

    async def sheets(self, day: str | None = None) -> Plain:
        """See `Desk`."""
        return await self._one("sheets", day=day)

    async def trend(self, series: Sequence[str], start: str, end: str, points: int = 600) -> Plain:
        """See `Desk`."""
        return await self._one("trend", series=list(series), start=start, end=end, points=points)

    async def instant(self, time: str) -> Plain:
        """See `Desk`."""
        return await self._one("instant", time=time)

    async def alarms(self, state: Sequence[str] = (), limit: int = 1000) -> list[Plain]:
        """See `Desk`."""
        return await self._many("alarms", state=list(state), limit=limit)

    async def alarm(self, id: str) -> Plain:  # noqa: A002 - the word of the interface
        """See `Desk`."""
        return await self._one("alarm", id=id)

    async def alarm_history(self, start: str, end: str, limit: int = 1000) -> list[Plain]:
        """See `Desk`."""
        return await self._many("alarm_history", start=start, end=end, limit=limit)

    async def alarm_figures(self) -> Plain:
        """See `Desk`."""
        return await self._one("alarm_figures")

    async def acknowledge(self, id: str, who: str) -> Plain:  # noqa: A002 - the word of the interface
        """See `Desk`."""
        return await self._one("acknowledge", id=id, who=who)

    async def shelve(self, id: str, who: str, minutes: float, why: str) -> Plain:  # noqa: A002 - the word of the interface
        """See `Desk`."""
        return await self._one("shelve", id=id, who=who, minutes=minutes, why=why)

    async def unshelve(self, id: str, who: str) -> Plain:  # noqa: A002 - the word of the interface
        """See `Desk`."""
        return await self._one("unshelve", id=id, who=who)

    async def suppress(self, id: str, who: str, why: str, until: str) -> Plain:  # noqa: A002 - the word of the interface
        """See `Desk`."""
        return await self._one("suppress", id=id, who=who, why=why, until=until)

    async def out_of_service(self, id: str, who: str, why: str, permit: str) -> Plain:  # noqa: A002 - the word of the interface
        """See `Desk`."""
        return await self._one("out_of_service", id=id, who=who, why=why, permit=permit)

    async def into_service(self, id: str, who: str, why: str) -> Plain:  # noqa: A002 - the word of the interface
        """See `Desk`."""
        return await self._one("into_service", id=id, who=who, why=why)

    async def annotate(self, subject: str, text: str, who: str) -> Plain:
        """See `Desk`."""
        return await self._one("annotate", subject=subject, text=text, who=who)

    async def write(self, text: str, who: str, subject: str = "") -> Plain:
        """See `Desk`."""
        return await self._one("write", text=text, who=who, subject=subject)

    async def log(self, start: str | None = None, end: str | None = None, limit: int = 1000) -> list[Plain]:
        """See `Desk`."""
        return await self._many("log", start=start, end=end, limit=limit)

    async def commands(self, limit: int = 100) -> list[Plain]:
        """See `Desk`."""
        return await self._many("commands", limit=limit)

    async def propose(self, command: Mapping[str, Any], who: str) -> Plain:
        """See `Desk`."""
        return await self._one("propose", command=dict(command), who=who)

    async def confirm(self, id: str, who: str) -> Plain:  # noqa: A002 - the word of the interface
        """See `Desk`."""
        return await self._one("confirm", id=id, who=who)

    async def withdraw(self, id: str, who: str) -> Plain:  # noqa: A002 - the word of the interface
        """See `Desk`."""
        return await self._one("withdraw", id=id, who=who)


class _Taken:
    """Events that have come and wait for who reads them, bounded: who is too slow is told to ask for everything."""

    def __init__(self, reader: StreamReader) -> None:
        self._reader = reader
        self._events: deque[Event] = deque()
        self._came = asyncio.Event()
        self._ended = False

    async def run(self) -> None:
        """Take events until the connection ends."""
        try:
            while (message := await receive(self._reader)) is not None:
                if "event" not in message:
                    continue
                sequence, kind, data = message["event"]
                if len(self._events) >= WAITING:
                    self._events.clear()
                    self._events.append(Event(sequence, "hello", {"sequence": sequence, "restarted": True}))
                self._events.append(Event(sequence, kind, data))
                self._came.set()
        except (SeraiError, OSError):
            pass
        finally:
            self._ended = True
            self._came.set()

    async def __aiter__(self) -> AsyncIterator[Event]:
        while True:
            while self._events:
                yield self._events.popleft()
            if self._ended:
                return
            self._came.clear()
            await self._came.wait()
