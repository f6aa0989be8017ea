# SPDX-License-Identifier: Apache-2.0
"""The loop's end of the socket: answers questions, hands out events; a slow reader holds up nobody but itself."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import structlog

from serai.errors import SeraiError
from serai.twin.desk import ASKED, Refused
from serai.twin.told import finite
from serai.twin.wire import ASKED_AT_MOST, pack, receive

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter

    from serai.twin.desk import Desk

log = structlog.get_logger()
AT_ONCE = 64  # questions of one client under way; then it waits
BUFFER = 8 * 1024 * 1024  # bytes that may wait in a client's socket before its events wait in their queue
PATIENCE = 30.0  # s that a client may take to read what it asked for; then its connection ends
HERE = "127.0.0.1"


class Server:
    """Serves a desk at a path: `async with Server(desk, path): ...`.

    clients  connections open now
    """

    def __init__(self, desk: Desk, path: str | Path) -> None:
        self._desk, self.path = desk, Path(path)
        self.clients = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._token = ""

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Listen; a socket that a dead loop left behind is taken over."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path.unlink(missing_ok=True)
        if hasattr(asyncio, "start_unix_server"):
            old = os.umask(0o177)
            try:
                self._server = await asyncio.start_unix_server(self._accept, str(self.path))
            finally:
                os.umask(old)
            return
        self._token = secrets.token_urlsafe(32)
        self._server = await asyncio.start_server(self._accept, HERE, 0)
        port = self._server.sockets[0].getsockname()[1]
        with os.fdopen(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{port} {self._token}")

    async def close(self) -> None:
        """Stop listening and end every connection."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.path.unlink(missing_ok=True)

    async def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self.clients += 1
        try:
            await _Client(self._desk, reader, writer).serve(self._token)
        except SeraiError as error:
            log.warning("a client of the loop was let go", reason=str(error))
        except (ConnectionError, TimeoutError):
            pass
        except asyncio.CancelledError:
            pass  # the server closes: a connection that ends with it is no fault
        finally:
            self.clients -= 1
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()


class _Client:
    """One connection."""

    def __init__(self, desk: Desk, reader: StreamReader, writer: StreamWriter) -> None:
        self._desk, self._reader, self._writer = desk, reader, writer
        self._room = asyncio.Semaphore(AT_ONCE)
        self._writing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        writer.transport.set_write_buffer_limits(high=BUFFER)

    async def serve(self, token: str) -> None:
        """Answer until the client leaves."""
        if token:
            first = await receive(self._reader, ASKED_AT_MOST)
            told = first.get("token", "") if isinstance(first, dict) else ""
            if not hmac.compare_digest(str(told), token):
                raise SeraiError("a client without the token")
        try:
            while (message := await receive(self._reader, ASKED_AT_MOST)) is not None:
                await self._room.acquire()
                self._start(self._take(message))
        finally:
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _take(self, message: Any) -> None:
        """Answer one message; what goes wrong is the answer."""
        number = message.get("id") if isinstance(message, dict) else None
        try:
            if isinstance(message, dict) and "subscribe" in message:
                self._room.release()
                await self._hand_out(message["subscribe"])
                return
            try:
                answer = await self._answer(message)
                await self._send({"id": number, "answer": answer})
            finally:
                self._room.release()
        except Refused as error:
            said = {"reason": error.reason, "message": error.message, "what_to_do": error.what_to_do}
            await self._send({"id": number, "refused": said})
        except (ConnectionError, TimeoutError):
            self._writer.close()
        except SeraiError as error:
            said = {"reason": "unavailable", "message": str(error), "what_to_do": ""}
            await self._send({"id": number, "refused": said})
        except Exception as fault:
            log.exception("fault while answering", ask=str(message)[:200])
            said = {
                "reason": "fault",
                "message": f"{type(fault).__name__}: {fault}",
                "what_to_do": "See the loop's log",
            }
            await self._send({"id": number, "refused": said})

    async def _answer(self, message: Any) -> Any:
        name = message.get("ask") if isinstance(message, dict) else None
        given = message.get("given", {}) if isinstance(message, dict) else {}
        if name not in ASKED or not isinstance(given, dict):
            raise Refused("invalid", f"nothing here is called {name!r}", "")
        try:
            asked = getattr(self._desk, name)(**given)
        except TypeError as error:
            raise Refused("invalid", f"{name}: {error}", "") from None
        return await asked

    async def _hand_out(self, after: Any) -> None:
        async for event in self._desk.subscribe(after if isinstance(after, int) else None):
            await self._send({"event": [event.sequence, event.kind, event.data]})

    async def _send(self, message: Any) -> None:
        try:
            frame = pack(message)
        except ValueError:  # nan or infinity slipped through: said as not known rather than not at all
            frame = pack(finite(message))
        async with self._writing, asyncio.timeout(PATIENCE):
            self._writer.write(frame)
            await self._writer.drain()
