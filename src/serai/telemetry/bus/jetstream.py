# SPDX-License-Identifier: Apache-2.0
"""The bus over NATS JetStream: several processes or machines, safe on the server's disk.

A message is one batch as an Arrow IPC stream (`serai.telemetry.bus.batch`) on the subject `<stream>.<source>`. It stays
in the stream until every named subscriber has marked it as done (interest retention); a full stream refuses new
messages, and the publisher waits and tries again, so nothing is overwritten. Publishing keeps a window of messages on
the way; each is sent again until the server has acknowledged it, also over a restart of the server. The server writes
before it acknowledges; how soon it forces that to the platter is its `sync_interval` (`always` survives a power cut).
"""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import nats
import nats.errors
from nats.js import api
from nats.js.errors import Error as JetStreamError
from nats.js.errors import NotFoundError

from serai.errors import SeraiError
from serai.telemetry.bus.batch import Batch, from_bytes, to_bytes
from serai.telemetry.bus.bus import Bus, Delivery
from serai.telemetry.readings import Counts, Register

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.js import JetStreamContext

LOST = (nats.errors.Error, JetStreamError, TimeoutError, OSError)  # all that a link or a server in trouble may raise
AGAIN, LONGEST = 0.05, 2.0  # [s] between tries
HEADROOM = 4096  # bytes of a message for its headers


async def connect(
    servers: str | list[str],
    *,
    stream: str = "readings",
    keep_for: Sequence[str] = ("historian",),
    window: int = 64,
    most_bytes: int = 8 << 30,
    again_after: float = 10.0,
    patience: float = 5.0,
    **options: Any,
) -> JetStream:
    """Return a bus on NATS servers (`nats://host:4222`), with its stream and its subscribers' positions made.

    keep_for     subscribers for whom everything is kept from now on, whether they are there or not
    window       messages on the way that the server has not acknowledged; then `publish` waits
    most_bytes   of the stream; a full stream makes publishers wait
    again_after  [s] until a batch that was handed out and not marked as done comes again
    patience     [s] to wait for the first connection
    options      go to `nats.connect`: `tls`, `user`, `password`, `user_credentials`, ...
    Raises SeraiError when no server answers now; later losses are mended by themselves.
    """
    bus = JetStream(stream, tuple(keep_for), window, most_bytes, again_after)
    try:
        async with asyncio.timeout(patience):  # left alone, the client would look for its first server for ever
            await bus.open(servers, options)
    except LOST as error:
        await bus.close()
        msg = f"no JetStream at {servers}: {error!r}; start nats-server with -js, and check address and rights"
        raise SeraiError(msg) from error
    return bus


class JetStream:
    """A bus on a JetStream stream; `connect` makes it."""

    def __init__(
        self, stream: str, keep_for: tuple[str, ...], window: int, most_bytes: int, again_after: float
    ) -> None:
        self.stream, self.keep_for = stream, keep_for
        self.most_bytes, self.again_after = most_bytes, again_after
        self.counts = Counts(f"bus {stream}")
        self._window = asyncio.Semaphore(window)
        self._on_the_way: set[asyncio.Task[None]] = set()
        self._client: Client | None = None
        self._closed = False

    async def open(self, servers: str | list[str], options: dict[str, Any]) -> None:
        """Connect and make what is not there."""
        self._client = await nats.connect(
            servers,
            **{
                "allow_reconnect": True,
                "max_reconnect_attempts": -1,
                "reconnect_time_wait": 0.1,
                "connect_timeout": 2,
                "ping_interval": 5,
                "max_outstanding_pings": 2,
                "error_cb": self._on_error,
                "disconnected_cb": self._on_loss,
                "reconnected_cb": self._on_return,
                **options,
            },
        )
        await self._make()

    async def _make(self) -> None:
        """Make the stream and the positions of those for whom everything is kept."""
        context = self._context()
        wanted = api.StreamConfig(
            name=self.stream,
            subjects=[f"{self.stream}.>"],
            retention=api.RetentionPolicy.INTEREST,
            discard=api.DiscardPolicy.NEW,
            max_bytes=self.most_bytes,
            storage=api.StorageType.FILE,
            duplicate_window=120,
        )
        try:
            await context.stream_info(self.stream)
        except NotFoundError:
            await context.add_stream(wanted)
        for name in self.keep_for:
            await self._make_position(name)

    async def _make_position(self, name: str) -> None:
        context = self._context()
        try:
            await context.consumer_info(self.stream, name)
        except NotFoundError:
            wanted = api.ConsumerConfig(
                durable_name=name,
                deliver_policy=api.DeliverPolicy.ALL,
                ack_policy=api.AckPolicy.EXPLICIT,
                ack_wait=self.again_after,
                max_deliver=-1,
                max_ack_pending=4096,
            )
            await context.add_consumer(self.stream, wanted)

    def _context(self) -> JetStreamContext:
        if self._client is None:
            msg = f"bus {self.stream}: is not connected"
            raise SeraiError(msg)
        return self._client.jetstream()

    async def _on_error(self, error: Exception) -> None:
        self.counts.add(f"link error: {type(error).__name__}")

    async def _on_loss(self) -> None:
        self.counts.add("link lost")

    async def _on_return(self) -> None:
        self.counts.add("link back")

    async def publish(self, batch: Batch) -> None:
        """Send a batch; waits while the window is full. It is safe on the server after `flush`.

        A batch above the largest message of the server goes as halves, with ids that follow from its own.
        """
        if self._closed or self._client is None:
            msg = f"batch {batch.id}: the bus is closed"
            raise SeraiError(msg)
        content = to_bytes(batch)
        if len(content) > self._client.max_payload - HEADROOM and len(batch.readings) > 1:
            for half in batch.halves():
                await self.publish(half)
            return
        if self._window.locked():
            self.counts.add("waited for room")
        await self._window.acquire()
        task = asyncio.create_task(self._send(batch, content))
        self._on_the_way.add(task)
        task.add_done_callback(self._arrived)

    def _arrived(self, task: asyncio.Task[None]) -> None:
        self._on_the_way.discard(task)
        self._window.release()

    async def _send(self, batch: Batch, content: bytes) -> None:
        """Send until the server has acknowledged."""
        subject = f"{self.stream}.{_token(batch.source)}"
        wait = AGAIN
        while not self._closed:
            try:
                headers = {str(api.Header.MSG_ID.value): batch.id}
                await self._context().publish(subject, content, timeout=2, headers=headers)
            except LOST as error:
                self.counts.add(f"sent again: {type(error).__name__}")
                await asyncio.sleep(wait)
                wait = min(2.0 * wait, LONGEST)
                if isinstance(error, nats.errors.NoRespondersError | NotFoundError):
                    with suppress(*LOST):
                        await self._make()  # a server that came back without its disk
            else:
                self.counts.add("published batches")
                self.counts.add("published readings", len(batch.readings))
                return
        self.counts.add("not acknowledged before closing")

    async def flush(self) -> None:
        """Wait until the server has acknowledged all that was published."""
        while self._on_the_way:
            await asyncio.wait(self._on_the_way)

    async def subscribe(self, name: str) -> Position:
        """Return the reader of this name; what it has not marked as done comes again."""
        try:
            await self._make_position(name)
            pulled = await self._context().pull_subscribe_bind(durable=name, stream=self.stream)
        except LOST as error:
            msg = f"bus {self.stream}, subscriber {name}: {error!r}; check that the server is up and try again"
            raise SeraiError(msg) from error
        return Position(name, pulled)

    async def close(self) -> None:
        """End the link; `flush` first, what is on the way is given up and counted."""
        self._closed = True
        for task in self._on_the_way:
            task.cancel()
        await asyncio.gather(*self._on_the_way, return_exceptions=True)
        if self._client is not None:
            with suppress(*LOST):
                await self._client.close()
        self._client = None


class Position:
    """A named reader of a stream, at its position on the server."""

    def __init__(self, name: str, pulled: JetStreamContext.PullSubscription) -> None:
        self.name = name
        self.register = Register()
        self.counts = Counts(f"subscriber {name}")
        self._pulled = pulled

    async def next(self, most: int = 1, patience: float | None = None) -> Sequence[Delivery]:
        """Return up to `most` batches; none after `patience` [s]. A message that is no batch is counted, put away."""
        loop = asyncio.get_running_loop()
        until = None if patience is None else loop.time() + patience
        while True:
            left = 5.0 if until is None else min(max(until - loop.time(), 0.01), 5.0)
            try:
                messages = await self._pulled.fetch(min(most, 256), timeout=left)
            except TimeoutError:
                messages = []
            except LOST as error:
                self.counts.add(f"link error: {type(error).__name__}")
                await asyncio.sleep(min(left, 0.1))
                messages = []
            found = [d for m in messages if (d := await self._delivery(m)) is not None]
            if found or (until is not None and loop.time() >= until):
                return found

    async def _delivery(self, message: Msg) -> Delivery | None:
        try:
            batch = from_bytes(message.data, self.register)
        except SeraiError:
            self.counts.add("no batch: put away")
            with suppress(*LOST):
                await message.term()
            return None
        again = message.metadata.num_delivered > 1
        self.counts.add("delivered again", int(again))
        self.counts.add("delivered batches")
        return Delivery(batch, message, again)

    async def done(self, deliveries: Sequence[Delivery]) -> None:
        """Mark batches as done; a mark that is lost makes a batch come again, which is harmless."""
        for delivery in deliveries:
            message: Any = delivery.place
            try:
                await message.ack()
            except LOST:
                self.counts.add("mark of done lost")

    async def close(self) -> None:
        """Leave; the position stays on the server."""
        with suppress(*LOST):
            await self._pulled.unsubscribe()


def _token(source: str) -> str:
    """Return a source as one token of a subject: NATS keeps `.`, `*`, `>` and white space for itself."""
    return re.sub(r"[^\w-]", "_", source) or "unnamed"


_: type[Bus] = JetStream  # the type checker compares it with what a bus is
