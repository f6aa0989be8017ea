# SPDX-License-Identifier: Apache-2.0
"""A stream of events to one client, and the beat that keeps streams and their sessions together."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import anyio.to_thread
import structlog
from starlette.responses import Response

from serai.errors import SeraiError
from serai.room.events import BEAT_S, GZIP_HEAD, PIECE, Client, Hub

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from serai.room.room import Room

log = structlog.get_logger("serai.room")


class Stream(Response):
    """The answer of GET events: goes on until the client leaves, its session ends, or the room does."""

    media_type = "text/event-stream"

    def __init__(self, hub: Hub, client: Client) -> None:
        super().__init__(media_type=self.media_type)
        self._hub = hub
        self._client = client

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - as ASGI has it
        """Send what the client's place holds whenever it holds something."""
        leaving = asyncio.create_task(self._left(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self._begin()})
            if self._client.zipped:
                await send({"type": "http.response.body", "body": GZIP_HEAD, "more_body": True})
            while events := await self._client.take(self._hub.sequence):
                await self._give(events, send)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            leaving.cancel()
            self._hub.leave(self._client)

    async def _give(self, events: list[bytes], send: Send) -> None:
        """Send events in pieces: it waits here, alone, while the client does not read."""
        for event in events:
            for at in range(0, len(event), PIECE):
                await send({"type": "http.response.body", "body": event[at : at + PIECE], "more_body": True})
                await asyncio.sleep(0)  # others go on, and a client that has left is noticed
                if self._client.ended:
                    return

    def _begin(self) -> list[tuple[bytes, bytes]]:
        zipped = [(b"content-encoding", b"gzip")] if self._client.zipped else []
        return [
            (b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"), (b"vary", b"Accept-Encoding"), *zipped,
        ]  # fmt: skip

    async def _left(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._client.wake(ended=True)


async def beats(room: Room) -> None:
    """Every few seconds: a comment to all streams, an end to those whose session has ended, and note the others."""
    while True:
        await asyncio.sleep(BEAT_S)
        try:
            sessions = {token: room.accounts.session(token) for token in {c.token for c in room.hub.clients}}
            room.hub.beat([c for c in room.hub.clients if c.token in sessions and sessions[c.token] is None])
            for session in sessions.values():
                if session is not None and session.idle:
                    await anyio.to_thread.run_sync(room.accounts.note, session)
        except SeraiError as error:  # the file of accounts cannot be read or written: streams that are open go on
            log.warning("sessions could not be looked at", reason=str(error))
            room.hub.beat(())
