# SPDX-License-Identifier: Apache-2.0
"""What every call works with: the desk, the accounts, the audit, the events, and how the site wants them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

import anyio.to_thread
from fastapi import Depends, Request

from serai.accounts import Accounts
from serai.audit import Audit
from serai.errors import SeraiError
from serai.room.events import Hub
from serai.room.limits import Buckets
from serai.room.said import Kept, coded
from serai.twin.desk import Desk, Plain

HERE = Path(__file__).parent
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Options:
    """How a site runs its room.

    hosts          names and addresses under which the room may be asked; another Host is refused (DNS rebinding)
    second_person  a command is confirmed by another account than the one that proposed it
    metrics_token  opens /metrics from afar, as a bearer token; without one only this machine may read them
    page           folder of the built page
    clients        most event streams at a time
    patience_s     how long the desk may take to answer
    per_second, burst   requests of one account (or of one address that is not signed in)
    """

    hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "::1")
    second_person: bool = False
    metrics_token: str | None = None
    page: Path = HERE / "page"
    clients: int = 2000
    patience_s: float = 15.0
    per_second: float = 50.0
    burst: int = 300


@dataclass(frozen=True, slots=True)
class Room:
    """All of it, one for an app. `asked` bounds how many questions wait at the desk at a time."""

    desk: Desk
    accounts: Accounts
    audit: Audit
    hub: Hub
    options: Options
    buckets: Buckets
    asked: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(32))
    hashing: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(1))
    responses: dict[int, int] = field(default_factory=dict)  # how many of each status

    page: dict[str, Kept] = field(default_factory=dict)  # files of the page by address
    words: dict[str, Kept] = field(default_factory=dict)  # catalogues by language
    _kept: dict[str, Kept] = field(default_factory=dict)

    async def kept(self, name: str, question: Callable[[], Awaitable[Plain]]) -> Kept:
        """Return what seldom changes, asked once until the loop begins anew."""
        if name not in self._kept:
            began = self.hub.began
            made = Kept.of(coded(await self.ask(question())))
            if not self.hub.up or began != self.hub.began:
                return made  # nobody would tell when it is outdated
            self._kept[name] = made
        return self._kept[name]

    def forget(self) -> None:
        """Forget what was kept of the loop."""
        self._kept.clear()

    async def health(self) -> Plain:
        """Return the Health of everything; a loop that does not answer is shown as down."""
        try:
            found = await self.ask(self.desk.health())
        except (SeraiError, TimeoutError) as error:
            found = self.hub.health_without_loop(str(error) or "no answer")
        return {**found, "room": self.hub.health_seen()}

    async def ask(self, question: Awaitable[T]) -> T:
        """Return the desk's answer; TimeoutError when it takes too long."""
        async with asyncio.timeout(self.options.patience_s):
            async with self.asked:
                return await question

    async def record(self, who: str, what: str, where: str, **about: Any) -> None:
        """Write into the audit, or raise: what cannot be recorded is not done."""
        await anyio.to_thread.run_sync(self.audit.append, who, what, {"where": where, **about})

    async def act(self, question: Awaitable[T], who: str, what: str, where: str, **about: Any) -> T:
        """Record what somebody is about to do, then let the desk do it; a failure is recorded too."""
        try:
            await self.record(who, what, where, **about)
        except BaseException:
            if asyncio.iscoroutine(question):
                question.close()
            raise
        try:
            return await self.ask(question)
        except Exception as error:
            await self.record(who, f"{what}: failed", where, error=f"{type(error).__name__}: {error}"[:500])
            raise

    async def of_accounts(self, call: Callable[[], T], *, hashes: bool = False) -> T:
        """Call what blocks in a thread; hashing one at a time, for each takes 64 MiB."""
        return await anyio.to_thread.run_sync(call, limiter=self.hashing if hashes else None)


def _room(request: Request) -> Room:
    room: Room = request.app.state.room
    return room


Here = Annotated[Room, Depends(_room)]
