# SPDX-License-Identifier: Apache-2.0
"""What happens, numbered, kept for a while, and handed to everyone who asked: nobody who is slow holds anybody up."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from serai.twin.desk import Event, EventKind, Plain

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

KEPT = 600  # events, besides those that a newer one replaces, that a client who comes back may have missed
WAITING = 256  # events that wait for one client; more, and it is told to ask for everything
REPLACED = frozenset({"scan", "health", "diagnosis", "ahead", "outages", "tally"})  # the newest says all


class Events:
    """The last events, and those who wait for the next.

    sequence   of the last event
    """

    def __init__(self, first: int = 0) -> None:
        """Begin to count behind `first`: a loop that starts again goes on where it was, or further."""
        self.sequence = first
        self.begun = first
        self._ring: deque[Event] = deque()
        self._newest: dict[EventKind, Event] = {}  # a scan alone is a quarter of a megabyte: of these only the last
        self._floor = first  # what came after this number is kept, or was replaced by what is
        self._readers: set[Reader] = set()

    def tell(self, kind: EventKind, data: Plain) -> Event:
        """Number an event and hand it to every reader."""
        self.sequence += 1
        event = Event(self.sequence, kind, data)
        if kind in REPLACED:
            self._newest[kind] = event
        else:
            self._ring.append(event)
            if len(self._ring) > KEPT:
                self._floor = self._ring.popleft().sequence
        for reader in self._readers:
            reader.put(event)
        return event

    @property
    def readers(self) -> int:
        """How many read."""
        return len(self._readers)

    @property
    def behind(self) -> int:
        """How many events wait for the slowest reader."""
        return max((len(r) for r in self._readers), default=0)

    async def subscribe(self, after: int | None = None) -> AsyncIterator[Event]:
        """Yield a `hello`, what came after `after` where that is still kept, and what happens from now on."""
        reader = Reader()
        reader.put(Event(self.sequence, "hello", {"sequence": self.sequence, "restarted": not self._kept_since(after)}))
        if after is not None and self._kept_since(after):
            for event in sorted((*self._ring, *self._newest.values()), key=lambda e: e.sequence):
                if event.sequence > after:
                    reader.put(event)
        self._readers.add(reader)
        try:
            while True:
                yield await reader.next()
        finally:
            self._readers.discard(reader)

    def _kept_since(self, after: int | None) -> bool:
        """Tell whether all that came after a sequence is still kept."""
        return after is None or self._floor <= after <= self.sequence


class Reader:
    """What waits for one client: bounded. A newer scan replaces an older one; alarms are never replaced."""

    def __init__(self) -> None:
        self._waiting: deque[Event] = deque()
        self._came = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, event: Event) -> None:
        """Let an event wait, in the place of an older one that it replaces."""
        if event.kind in REPLACED:
            self._waiting = deque(e for e in self._waiting if e.kind != event.kind)
        if len(self._waiting) >= WAITING:  # alarms alone fill it: the client is told to ask for everything
            self._waiting.clear()
            self._waiting.append(Event(event.sequence, "hello", {"sequence": event.sequence, "restarted": True}))
        self._waiting.append(event)
        self._came.set()

    async def next(self) -> Event:
        """Return the next event; waits for it."""
        while not self._waiting:
            self._came.clear()
            await self._came.wait()
        return self._waiting.popleft()
