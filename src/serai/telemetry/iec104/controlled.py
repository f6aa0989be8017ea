# SPDX-License-Identifier: Apache-2.0
"""The controlled station (the field's side): a server with an image of the process, for several control rooms."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections import deque
from typing import TYPE_CHECKING, Any, Self

from serai.errors import SeraiError
from serai.telemetry.iec104.answers import Answers
from serai.telemetry.iec104.asdu import Asdu, octets
from serai.telemetry.iec104.commands import Selections
from serai.telemetry.iec104.faults import Violation
from serai.telemetry.iec104.image import Image
from serai.telemetry.iec104.link import Link, Seen, Settings
from serai.telemetry.iec104.outbox import Outbox, Outgoing
from serai.telemetry.iec104.tls import admitted, reason
from serai.telemetry.iec104.types import LAYOUTS, Cause, TypeId
from serai.telemetry.readings import Counts, now

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping

    from numpy.typing import ArrayLike

    from serai.telemetry.iec104.commands import Request
    from serai.telemetry.iec104.image import InformationObject
    from serai.telemetry.iec104.tls import Identity, Peer

CROWD = 32  # connections at once


class PartCounts(Counts):
    """The counts of one peer, which are counted for the whole station too."""

    def __init__(self, of: str, whole: Counts) -> None:
        super().__init__(of)
        self.whole = whole

    def add(self, name: str, n: int = 1) -> None:
        """Count `n` more of what `name` says, here and for the station."""
        super().add(name, n)
        self.whole.add(name, n)


class Session:
    """One controlling station that is connected: its link, its buffer, and the requests that wait for an answer."""

    def __init__(self, station: ControlledStation, host: str) -> None:
        self.station, self.host = station, host
        self.peer = host
        counts = PartCounts(f"{station.name} <- {host}", station.counts)
        self.outbox = Outbox(station.buffer, counts, station.settings.sizes.header)
        self.link = Link(
            self, self.outbox, station.settings, controlling=False, name=f"{station.name} <- {host}",
            watch=station.watch,
        )  # fmt: skip
        self._asked: deque[Asdu] = deque()
        self._some = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def admit(self, link: Link, shown: Identity | None, /) -> None:
        """Hold the peer to the allow-list before anything it says is heard."""
        if self.station.peers:
            peer = admitted(self.station.peers, self.host, shown)
            self.peer = peer.name
            self.outbox = link.outbox = self.station.kept[peer.name]
            link.counts = self.outbox.counts
        self.run(self._answer())

    def started(self, _link: Link, /) -> None:
        """Tell the peer, once after every start of the station, that it has been initialised."""
        for common_address in self.station.images:
            if (self.peer, common_address) not in self.station.announced:
                self.station.announced.add((self.peer, common_address))
                nothing = bytes(self.station.settings.sizes.address + 1)
                self.send(Asdu(TypeId.M_EI_NA_1, Cause.INITIALISED, common_address, nothing, 1))

    def stopped(self, _link: Link, /) -> None:
        """Nothing to do: the outbox has seen it."""

    def received(self, link: Link, asdus: list[Asdu], _time: int, /) -> None:
        """Queue requests; beyond the inbox the socket is not read."""
        self._asked.extend(asdus)
        self._some.set()
        if len(self._asked) > self.station.settings.inbox:
            link.pause(patient=False)

    def lost(self, _link: Link, _reason: str, /) -> None:
        """Forget the session; the buffer of a known peer stays."""
        for task in self._tasks:
            task.cancel()
        if not self.station.peers:
            self.outbox.retire()
        self.station.forget(self)

    def send(self, asdu: Asdu) -> None:
        """Send a confirmation."""
        self.outbox.urge(octets(asdu, self.station.settings.sizes))

    async def tell(self, asdus: Iterable[Asdu]) -> None:
        """Send data to this peer alone, in one piece, after what waits already."""
        sizes = self.station.settings.sizes
        items = [Outgoing(octets(a, sizes), a.count if LAYOUTS[a.type].monitors else 0) for a in asdus]
        await self.outbox.put(items)

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something that takes time, until the connection ends."""
        task = asyncio.create_task(work, name=self.link.name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.link.close(f"answering failed: {type(error).__name__}: {error}")

    async def _answer(self) -> None:
        """Answer requests one after the other."""
        most = self.station.settings.inbox
        while True:
            while self._asked:
                await self.outbox.answerable(most)
                asdu = self._asked.popleft()
                if 2 * len(self._asked) < most:
                    self.link.resume()
                await self.station.answers.answer(self, asdu)
            self._some.clear()
            await self._some.wait()


class ControlledStation:
    """A station of the field that controlling stations connect to.

    name        for messages and counts
    points      information objects by common address
    host, port  where it listens; port 0 = a free one, then `port` tells which
    act         decides on commands, parameters and resets, and does them: True = positive confirmation;
                with `request.select` or `request.test` it decides only and does nothing; None = all are refused
    peers       who may connect; empty = anyone, which only a loopback address may do, or with `tls`
    tls         context that asks for client certificates, as `Credentials.server` makes
    settings    of the links;  buffer   ASDUs that may wait for one peer;  timed   see `Image`
    select_timeout, command_age   seconds, see `Selections`
    watch       sees every frame and violation
    counts      what happened, by name; of one peer: `kept[peer].counts` or `session.outbox.counts`
    images      the last values by common address;  kept   the buffers of peers, by name;  sessions   who is connected
    """

    def __init__(
        self,
        name: str,
        points: Mapping[int, Iterable[InformationObject]],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        act: Callable[[Request], Awaitable[bool]] | None = None,
        peers: Iterable[Peer] = (),
        tls: ssl.SSLContext | None = None,
        settings: Settings | None = None,
        buffer: int = 2048,
        timed: bool = False,
        select_timeout: float = 30.0,
        command_age: float = 30.0,
        watch: Callable[[Seen], None] | None = None,
    ) -> None:
        self.name, self.host, self.port = name, host, port
        self.settings = settings or Settings()
        self.buffer, self.watch, self.tls = buffer, watch, tls
        self.counts = Counts(name)
        self.peers = tuple(peers)
        if not self.peers and tls is None and not ipaddress.ip_address(host).is_loopback:
            raise SeraiError(f"{name} would take commands from anyone on {host}: give it peers or tls")
        split = {ca: list(objects) for ca, objects in points.items()}
        self.images = {
            ca: Image(ca, [p for p in objects if LAYOUTS[p.type].monitors], self.settings.sizes, timed=timed)
            for ca, objects in split.items()
        }
        commands = {(ca, p.address): p for ca, objects in split.items() for p in objects if LAYOUTS[p.type].commands}
        self.answers = Answers(self, act, Selections(commands, select_timeout, command_age))
        self.clock = 0  # µs that the station's clock is ahead of this machine's, set by clock synchronisation
        self.kept: dict[str, Outbox] = {}
        self.announced: set[tuple[str, int]] = set()
        self.sessions: set[Session] = set()
        self._socket: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def start(self) -> None:
        """Listen. A station that was closed may be started again; it keeps its image and what waits for its peers."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        listening = socket.create_server((self.host, self.port), family=family, backlog=CROWD)
        listening.setblocking(False)  # noqa: FBT003 - the standard library's signature
        self.port = listening.getsockname()[1]
        self._socket = listening
        self.announced.clear()
        for peer in self.peers:
            if peer.name not in self.kept:
                counts = PartCounts(f"{self.name} <- {peer.name}", self.counts)
                self.kept[peer.name] = Outbox(self.buffer, counts, self.settings.sizes.header)
        self._spawn(self._accept(listening))

    async def close(self) -> None:
        """End all connections and stop listening."""
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        await asyncio.gather(*(session.link.end("the station closes") for session in self.sessions))

    async def update(
        self,
        common_address: int,
        addresses: ArrayLike,
        values: ArrayLike,
        quality: ArrayLike = 0,
        time: ArrayLike | None = None,
        *,
        cause: int = Cause.SPONTANEOUS,
        send: bool = True,
    ) -> None:
        """Take new values (n,) of points (n,) into the image and send them to every controlling station.

        quality (n,) or one: low byte of `readings.Quality`; time (n,) or one [µs since 1970 UTC], None = now.
        Waits while the buffer of a connected peer is full; for a peer that is away the newest are kept.
        `send` False: the image alone changes, the next interrogation tells.
        SeraiError for an address that the station does not have.
        """
        image = self.image(common_address)
        places = image.places(addresses)
        stamp = now() + self.clock if time is None else time
        image.update(places, values, quality, stamp)
        if not send:
            return
        sizes = self.settings.sizes
        told = image.told(places, values, quality, stamp, cause=cause)
        items = [Outgoing(octets(a, sizes), a.count, keep=True) for a in told]
        boxes = [*self.kept.values()] or [s.outbox for s in self.sessions if s.link.active]
        if len(boxes) == 1:
            await boxes[0].put(items)
        else:
            await asyncio.gather(*(box.put(items) for box in boxes))

    def image(self, common_address: int) -> Image:
        """Return the image at a common address."""
        found = self.images.get(common_address)
        if found is None:
            raise SeraiError(f"{self.name} has no common address {common_address}, only {sorted(self.images)}")
        return found

    def forget(self, session: Session) -> None:
        """Take note that a connection has ended."""
        self.sessions.discard(session)
        self.answers.selections.drop(session)

    # ---------------------------------------------------------------------------------------------- new connections

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=self.name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(listening)
            except OSError as error:  # no descriptor left, or the peer has gone already: the station goes on
                self.counts.add(f"accept failed: {error.strerror}")
                await asyncio.sleep(0.1)
                continue
            host = str(address[0])
            if len(self.sessions) >= CROWD:
                self._refuse(connection, host, Violation.CROWD, f"{CROWD} are connected")
            elif self.peers and not any(p.from_here(host) for p in self.peers):
                self._refuse(connection, host, Violation.PEER_ADDRESS, host)
            else:
                self._spawn(self._admit(connection, host))

    def _refuse(self, connection: socket.socket | None, host: str, violation: Violation, text: str) -> None:
        self.counts.add(f"violation: {violation}")
        if self.watch is not None:
            name = f"{self.name} <- {host}"
            self.watch(
                Seen(name, outward=False, time=now(), frame=None, asdu=None, octets=b"", violation=violation, text=text)
            )
        if connection is not None:
            connection.close()

    async def _admit(self, connection: socket.socket, host: str) -> None:
        """Shake hands and let the link run."""
        session = Session(self, host)
        self.sessions.add(session)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        loop = asyncio.get_running_loop()
        limit = self.settings.t1 if self.tls else None
        try:
            await loop.connect_accepted_socket(
                lambda: session.link, connection, ssl=self.tls, ssl_handshake_timeout=limit
            )
        except (OSError, TimeoutError) as error:
            self._refuse(connection, host, Violation.HANDSHAKE, reason(error))
            self.counts.add(f"refused: {reason(error)}")
            self.forget(session)
        except asyncio.CancelledError:
            connection.close()
            self.forget(session)
            raise
