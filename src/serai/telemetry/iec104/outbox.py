# SPDX-License-Identifier: Apache-2.0
"""What waits for one peer: bounded, in order, felt by the sender while the peer is there, kept while it is away."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, NamedTuple, Protocol

from serai.telemetry.iec104.apci import LONGEST_ASDU
from serai.telemetry.iec104.asdu import MOST
from serai.telemetry.iec104.types import SIZES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from serai.telemetry.readings import Counts


class Outgoing(NamedTuple):
    """An encoded ASDU on its way, how many points it holds, and whether it outlives a lost connection."""

    octets: bytes
    points: int = 0
    keep: bool = False


class Sender(Protocol):
    """The link that empties an outbox; `active` between STARTDT and STOPDT."""

    active: bool

    def flush(self) -> None:
        """Send what the window allows."""
        ...

    def close(self, why: str) -> None:
        """End the connection."""
        ...


class Outbox:
    """ASDUs waiting for one peer and those sent but not yet acknowledged, at most `limit` waiting.

    Points that wait share ASDUs as far as they fit, so that one by one they need no more frames than in batches.
    While the peer takes data a sender waits for room. While it is away the newest `limit` are kept; what has to give
    way is counted. After a loss, events that were not acknowledged wait again at the head: they come at least once.
    """

    def __init__(self, limit: int, counts: Counts, header: int = SIZES.header) -> None:
        self.limit, self.header = limit, header
        self.counts = counts
        self.link: Sender | None = None
        self._waiting: deque[Outgoing] = deque()
        self._urgent: deque[Outgoing] = deque()
        self._sent: deque[Outgoing] = deque()
        self._room = asyncio.Event()
        self._turn = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._urgent)

    @property
    def open(self) -> bool:
        """Whether the peer takes data now."""
        return self.link is not None and self.link.active

    # -------------------------------------------------------------------------------------------------- the sender

    async def put(self, items: Sequence[Outgoing]) -> None:
        """Send items, in order, after what waits already; returns when all have found room."""
        async with self._turn:
            for at, item in enumerate(items):
                while not self._join(item):
                    if self.link is None or not self.link.active:
                        self.keep(items[at:])
                        return
                    if len(self._waiting) < self.limit:
                        self._waiting.append(item)
                        break
                    self.link.flush()
                    if len(self._waiting) >= self.limit:
                        self.counts.add("waited for room")
                        self._room.clear()
                        await self._room.wait()
            if self.link is not None:
                self.link.flush()

    def keep(self, items: Iterable[Outgoing]) -> None:
        """Hold events for a peer that is away; the oldest give way, answers to questions are not held at all."""
        for item in items:
            if not item.keep:
                self._drop(item.points, "peer away")
            elif not self._join(item):
                self._waiting.append(item)
        while len(self._waiting) > self.limit:
            self._drop(self._waiting.popleft().points, "peer away, buffer full")

    def _join(self, item: Outgoing) -> bool:
        """Put the points of an item into the last ASDU that waits, if that has the same header and room for them."""
        if not self._waiting or not item.points:
            return False
        last, added, h = self._waiting[-1].octets, item.octets, self.header
        if len(last) + len(added) - h > LONGEST_ASDU or last[1] + added[1] > MOST:  # a sequence has the highest bit
            return False
        if last[0] != added[0] or last[2:h] != added[2:h] or self._waiting[-1].keep != item.keep:
            return False
        octets = bytes((last[0], last[1] + added[1])) + last[2:] + added[h:]
        self._waiting[-1] = Outgoing(octets, self._waiting[-1].points + item.points, item.keep)
        return True

    def urge(self, octets: bytes) -> None:
        """Send a confirmation before what waits; dropped when the connection ends first."""
        if self.open and self.link is not None:
            self._urgent.append(Outgoing(octets))
            self.link.flush()

    async def answerable(self, most: int) -> None:
        """Wait while `most` confirmations wait already: the peer asks more than it takes answers."""
        while len(self._urgent) >= most:
            self._room.clear()
            await self._room.wait()

    # ---------------------------------------------------------------------------------------------------- the link

    def attach(self, link: Sender) -> None:
        """Take note that the peer takes data through `link`; an older connection of the same peer ends."""
        if self.link is not None and self.link is not link:
            self.link.close("replaced by another connection of the same peer")
            self.detach()
        self.link = link

    def take(self, most: int) -> list[Outgoing]:
        """Return up to `most` items to send now; they count as sent until acknowledged."""
        found: list[Outgoing] = []
        for queue in (self._urgent, self._waiting):
            while queue and len(found) < most:
                found.append(queue.popleft())
        self._sent.extend(found)
        if found:
            self._room.set()
        return found

    def acknowledged(self, count: int) -> None:
        """Forget the oldest `count` sent items."""
        points = sum(self._sent.popleft().points for _ in range(count))
        if points:
            self.counts.add("points acknowledged", points)

    def wake(self) -> None:
        """Let who waits for room look again."""
        self._room.set()

    def detach(self) -> None:
        """Take note that the peer is gone: events wait again, answers to it are dropped."""
        self.link = None
        every = [*self._sent, *self._waiting]
        for queue in (self._sent, self._waiting, self._urgent):
            queue.clear()
        self._waiting.extend(item for item in every if item.keep)
        self._drop(sum(item.points for item in every if not item.keep), "peer away")
        self.wake()

    def retire(self) -> None:
        """Hold nothing any more: the peer will not come back as the same."""
        self.limit = 0
        self.keep(())
        self.wake()

    def _drop(self, points: int, why: str) -> None:
        if points:
            self.counts.add(f"points dropped: {why}", points)
