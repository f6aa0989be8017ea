# SPDX-License-Identifier: Apache-2.0
"""The bus: batches of readings from those that have them to those that want them, at least once.

A subscriber has a name and, under it, a position: the batches it has not yet marked as done come again when it comes
back. Publishing waits while the slowest subscriber is too far behind (back-pressure); nothing is overwritten. Together
with a historian that stores a batch id once, end to end nothing is lost and nothing is double.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from serai.errors import SeraiError
from serai.telemetry.readings import Counts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serai.telemetry.bus.batch import Batch


@dataclass(frozen=True, slots=True)
class Delivery:
    """A batch that came over a bus, to be marked as done when its effect is safe.

    place   where it stands in the bus, for the bus alone
    again   whether it may have come before: not marked as done in time, or its subscriber was away
    """

    batch: Batch
    place: object
    again: bool = False


class Subscription(Protocol):
    """One named reader of a bus."""

    name: str
    counts: Counts

    async def next(self, most: int = 1, patience: float | None = None) -> Sequence[Delivery]:
        """Return up to `most` batches; waits up to `patience` [s] for the first, None: for ever."""
        ...

    async def done(self, deliveries: Sequence[Delivery]) -> None:
        """Mark batches as done: they do not come again."""
        ...

    async def close(self) -> None:
        """Leave; the position stays under the name."""
        ...


class Bus(Protocol):
    """Where batches are published and read."""

    counts: Counts

    async def publish(self, batch: Batch) -> None:
        """Hand over a batch; waits while the bus is full."""
        ...

    async def flush(self) -> None:
        """Wait until all that was published is accepted and, on a durable bus, safe."""
        ...

    async def subscribe(self, name: str) -> Subscription:
        """Return the reader of this name, at its position; a new name starts at the oldest batch that is kept."""
        ...

    async def close(self) -> None:
        """End all subscriptions and links."""
        ...


class InProcess:
    """A bus within one process: bounded, lost with the process.

    capacity   batches that may wait for the slowest subscriber before `publish` waits; without a subscriber they wait
               for the first one
    """

    def __init__(self, capacity: int = 256) -> None:
        if capacity < 1:
            msg = f"a bus holds at least 1 batch, got a capacity of {capacity}"
            raise SeraiError(msg)
        self.capacity = capacity
        self.counts = Counts("bus")
        self._kept: deque[Batch] = deque()
        self._first = 0  # place of the oldest batch that is kept
        self._readers: dict[str, Reader] = {}
        self._changed = asyncio.Condition()
        self._closed = False

    async def publish(self, batch: Batch) -> None:
        """Hand over a batch; waits while `capacity` batches are not done by the slowest subscriber."""
        async with self._changed:
            if len(self._kept) >= self.capacity:
                self.counts.add("waited for room")
            await self._changed.wait_for(lambda: self._closed or len(self._kept) < self.capacity)
            if self._closed:
                msg = f"batch {batch.id}: the bus is closed"
                raise SeraiError(msg)
            self._kept.append(batch)
            self.counts.add("published batches")
            self.counts.add("published readings", len(batch.readings))
            self._changed.notify_all()

    async def flush(self) -> None:
        """Return at once: what was published is in the bus."""

    async def subscribe(self, name: str) -> Reader:
        """Return the reader of this name; its batches that are not done come again."""
        async with self._changed:
            reader = self._readers.setdefault(name, Reader(self, name, self._first))
            reader.read = reader.position
            self._changed.notify_all()
            return reader

    async def unsubscribe(self, name: str) -> None:
        """Forget a name and its position, so that it holds nothing back."""
        async with self._changed:
            self._readers.pop(name, None)
            self._drop_done()

    async def close(self) -> None:
        """Wake everyone up: publishing fails, reading ends when all is read."""
        async with self._changed:
            self._closed = True
            self._changed.notify_all()

    async def hand_out(self, reader: Reader, most: int, patience: float | None) -> list[Delivery]:
        """Return up to `most` batches that `reader` has not read; none after `patience` [s], or closed and all read."""
        async with self._changed:
            try:
                async with asyncio.timeout(patience):
                    await self._changed.wait_for(lambda: self._closed or reader.read < self._first + len(self._kept))
            except TimeoutError:
                return []
            found: list[Delivery] = []
            while reader.read < self._first + len(self._kept) and len(found) < most:
                if reader.read not in reader.ahead:
                    batch = self._kept[reader.read - self._first]
                    found.append(Delivery(batch, reader.read, again=reader.read < reader.seen))
                reader.read += 1
            reader.seen = max(reader.seen, reader.read)
            return found

    async def finish(self, reader: Reader, deliveries: Sequence[Delivery]) -> None:
        """Move the position of `reader` over what is done without a gap."""
        async with self._changed:
            places = (d.place for d in deliveries)
            reader.ahead.update(p for p in places if isinstance(p, int) and p >= reader.position)
            while reader.position in reader.ahead:
                reader.ahead.remove(reader.position)
                reader.position += 1
            self._drop_done()

    def _drop_done(self) -> None:
        """Let go of what every subscriber has done."""
        oldest = min((reader.position for reader in self._readers.values()), default=self._first)
        while self._kept and self._first < oldest:
            self._kept.popleft()
            self._first += 1
        self._changed.notify_all()


class Reader:
    """A named place in an `InProcess` bus.

    position   all before it is done
    read       all before it was handed out since the last subscription; `seen`: ever
    ahead      done, beyond a gap
    """

    def __init__(self, bus: InProcess, name: str, position: int) -> None:
        self.name = name
        self.counts = Counts(f"subscriber {name}")
        self.position = self.read = self.seen = position
        self.ahead: set[int] = set()
        self._bus = bus

    async def next(self, most: int = 1, patience: float | None = None) -> Sequence[Delivery]:
        """Return up to `most` batches; none after `patience` [s] or when the bus is closed and read to its end."""
        found = await self._bus.hand_out(self, most, patience)
        self.counts.add("delivered batches", len(found))
        self.counts.add("delivered again", sum(d.again for d in found))
        return found

    async def done(self, deliveries: Sequence[Delivery]) -> None:
        """Mark batches as done: they do not come again."""
        await self._bus.finish(self, deliveries)

    async def close(self) -> None:
        """Leave; what is not done comes again under this name."""
