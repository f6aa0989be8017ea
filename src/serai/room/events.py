# SPDX-License-Identifier: Apache-2.0
"""Live events: one subscription at the desk, any number of clients, each event put into words once.

A client has a bounded place to wait: of what is only ever wanted new (a scan, the health) it holds the newest, of the
rest (alarms, log, commands) at most 1024. Who falls behind on those is told to load everything again (`hello` with
`resumed` false). Nobody waits for a client: what is slow is its own coroutine.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections import deque
from dataclasses import dataclass, field
from functools import cached_property
from traceback import format_exception
from typing import TYPE_CHECKING, Any

import structlog

from serai.errors import SeraiError
from serai.twin.desk import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from serai.twin.desk import Desk, Plain

log = structlog.get_logger("serai.room")

NEWEST = frozenset({"scan", "tally", "health", "diagnosis", "ahead", "outages"})  # an old one is worth nothing
RING = 600  # events kept for those who come back
WAITING = 1024  # of the rest, for one client; more than the ring, which one who comes back may get whole
PIECE = 32_768  # bytes given to a connection at a time: what a client that reads nothing can hold of ours
BEAT_S = 5.0
SILENT_S = 2.0  # without any event from the desk for so long, ask how it is
PATIENCE_S = 2.5  # for that answer; together under 5 s until a lost loop is shown as lost
AGAIN_S = (0.2, 0.5, 1.0, 2.0)  # waits between attempts to subscribe again

GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"  # RFC 1952: deflate, no name, no time, fastest
BEAT = b": \n\n"


def packed(data: bytes) -> bytes:
    """Return data as deflate blocks that stand for themselves: one packing serves every client (RFC 1951, 3.2.4)."""
    made = zlib.compressobj(level=1, wbits=-15)
    return made.compress(data) + made.flush(zlib.Z_FULL_FLUSH)


BEATS = {False: BEAT, True: packed(BEAT)}


@dataclass(eq=False)
class Worded:
    """One event as it goes over the wire; put into words and packed once, whoever asks first."""

    sequence: int | None  # None: said by the room itself, not numbered
    kind: str
    data: Plain

    def place(self) -> int:
        """Return its place in the order of sending: a greeting first, then what the room says, then by number."""
        return -2 if self.kind == "hello" else -1 if self.sequence is None else self.sequence

    @cached_property
    def plain(self) -> bytes:
        """The event as text/event-stream."""
        number = "" if self.sequence is None else f"id: {self.sequence}\n"
        text = json.dumps(self.data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return f"{number}event: {self.kind}\ndata: {text}\n\n".encode("utf-8", "replace")

    @cached_property
    def gzip(self) -> bytes:
        """The same, packed."""
        return packed(self.plain)


@dataclass(eq=False)
class Client:
    """One open stream: what waits for it."""

    zipped: bool
    token: str = field(repr=False)  # of the session that it belongs to, and ends with
    page: str | None = None  # version of the page that is served
    behind: int = 0  # events that newer ones replaced
    lost: bool = False
    ended: bool = False
    _newest: dict[str, Worded] = field(default_factory=dict)
    _rest: deque[Worded] = field(default_factory=deque)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, event: Worded) -> None:
        """Give it an event; never waits."""
        if event.kind in NEWEST:
            self.behind += event.kind in self._newest
            self._newest[event.kind] = event
        elif len(self._rest) < WAITING:
            self._rest.append(event)
        else:
            self.behind += len(self._rest) + 1
            self.lost = True
            self._rest.clear()
        self._wake.set()

    def wake(self, *, ended: bool = False) -> None:
        """Let it say that it is alive, or end it."""
        self.ended |= ended
        self._wake.set()

    def waits(self) -> bool:
        """Return whether something waits for it."""
        return bool(self._newest or self._rest)

    async def take(self, number: int) -> list[bytes]:
        """Return what to send now, waiting for it; [] at the end. `number` is that of the desk's last event."""
        await self._wake.wait()
        self._wake.clear()
        if self.ended:
            return []
        events = sorted((*self._newest.values(), *self._rest), key=Worded.place)
        self._newest.clear()
        self._rest.clear()
        if self.lost:
            self.lost = False
            events.insert(0, hello(number, resumed=False, page=self.page))
        if not events:
            return [BEATS[self.zipped]]
        return [e.gzip if self.zipped else e.plain for e in events]


def hello(sequence: int, *, resumed: bool, page: str | None = None) -> Worded:
    """Return the event that begins a stream; not resumed = load everything again; `page` = version of the page."""
    from serai import __version__  # noqa: PLC0415 - known when the package is whole

    return Worded(sequence, "hello", {"version": __version__, "sequence": sequence, "resumed": resumed, "page": page})


class Hub:
    """Takes events from the desk and gives them to clients; says by itself when the loop is silent."""

    def __init__(self, desk: Desk, *, page: str | None = None, silent_s: float = SILENT_S) -> None:
        self._desk = desk
        self.page = page
        self._silent_s = silent_s
        self._ring: deque[Worded] = deque()
        self._floor = 0  # what came after this number is all in the ring
        self._heard = asyncio.Event()
        self.clients: set[Client] = set()
        self.newest: dict[str, Worded] = {}
        self.sequence = 0
        self.up = False
        self.began = 0  # how often the loop greeted
        self.counts = {"events": 0, "behind": 0, "lost": 0}
        self.changed: list[Callable[[], None]] = []  # told when the loop began anew

    # ---------------------------------------------------------------------------------------------------- from the desk

    async def run(self) -> None:
        """Listen to the desk until cancelled, subscribing again after every loss."""
        watching = asyncio.create_task(self._watch())
        attempt = 0
        try:
            while True:
                try:
                    async for event in self._desk.subscribe(self.sequence or None):
                        attempt = 0
                        self.take(event)
                except SeraiError as error:
                    if attempt == 0:  # said once for each loss
                        log.warning("no events from the loop", reason=str(error))
                except Exception as error:  # noqa: BLE001 - whatever the loop does, the room goes on
                    log.warning("fault while listening to the loop", traceback="".join(format_exception(error)))
                await asyncio.sleep(AGAIN_S[min(attempt, len(AGAIN_S) - 1)])
                attempt += 1
        finally:
            watching.cancel()
            for client in self.clients:
                client.wake(ended=True)

    def take(self, event: Event) -> None:
        """Take one event from the desk to everybody."""
        self._heard.set()
        self.up = True
        if event.kind == "hello":
            self._greeted(event)
            return
        self.counts["events"] += 1
        self.sequence = max(self.sequence, event.sequence)
        worded = Worded(event.sequence, event.kind, event.data)
        if event.kind in NEWEST:
            self.newest[event.kind] = worded
        else:
            self._ring.append(worded)
            if len(self._ring) > RING:
                self._floor = self._ring.popleft().sequence or self._floor
        self._give(worded)

    def _greeted(self, event: Event) -> None:
        """Take the desk's own greeting: where numbers begin, and whether something was missed."""
        began = event.data.get("restarted", False) or not self.sequence
        self.began += 1
        for told in self.changed:
            told()
        if began:
            self._ring.clear()
            self.newest = {kind: event for kind, event in self.newest.items() if kind == "health"}
            self.sequence = self._floor = event.sequence
            self._give(hello(self.sequence, resumed=False, page=self.page))

    def _give(self, worded: Worded) -> None:
        for client in self.clients:
            before = client.behind
            client.put(worded)
            self.counts["behind"] += client.behind - before

    async def _watch(self) -> None:
        """Ask a silent loop how it is; where it does not answer, say so."""
        while True:
            self._heard.clear()
            try:
                async with asyncio.timeout(self._silent_s):
                    await self._heard.wait()
                continue
            except TimeoutError:
                pass
            try:
                async with asyncio.timeout(PATIENCE_S):
                    self._tell(await self._desk.health())
            except Exception as error:  # noqa: BLE001 - any failure to answer means one thing here
                self.fallen(str(error) or "no answer")

    def fallen(self, reason: str) -> None:
        """Say that the loop does not answer."""
        self.counts["lost"] += self.up
        self.up = False
        self._tell(self.health_without_loop(reason))

    def _tell(self, health: Plain) -> None:
        worded = Worded(None, "health", health)
        self.newest["health"] = worded
        self._give(worded)

    def health_without_loop(self, reason: str) -> Plain:
        """Return the last Health with the loop marked as down; everything else in it is as it was then."""
        last = self.newest["health"].data if "health" in self.newest else {}
        loop = {"sequence": self.sequence or None, "period_s": None, "stages": [], "behind_s": None,
                **last.get("loop", {}), "status": "down", "reason": reason}  # fmt: skip
        empty: Plain = {"sources": [], "history": {"status": "unknown", "rows": None, "last_sealed": None,
                        "free_bytes": None}, "processes": [], "quality": None}  # fmt: skip
        return {**empty, **last, "loop": loop}

    # --------------------------------------------------------------------------------------------------------- clients

    def join(self, token: str, *, zipped: bool, after: int | None) -> Client:
        """Return a new client, with a `hello` and what it needs: what came since, or the newest of everything."""
        client = Client(zipped, token, self.page)
        resumed = after is not None and self._floor <= after <= self.sequence
        client.put(hello(after if resumed and after is not None else self.sequence, resumed=resumed, page=self.page))
        if resumed and after is not None:
            for event in self._ring:
                if (event.sequence or 0) > after:
                    client.put(event)
        for event in self.newest.values():
            client.put(event)
        self.clients.add(client)
        return client

    def leave(self, client: Client) -> None:
        """Forget a client."""
        self.clients.discard(client)

    def beat(self, ended: Iterable[Client]) -> None:
        """Let every client say that it is alive; those whose session has ended, end."""
        for client in ended:
            client.wake(ended=True)
        for client in self.clients:
            client.wake()

    def behind(self) -> int:
        """Return how many clients have something waiting for them."""
        return sum(client.waits() for client in self.clients)

    def health_seen(self) -> dict[str, Any]:
        """Return what Health says of the room itself."""
        return {"clients": len(self.clients), "behind": self.behind()}
