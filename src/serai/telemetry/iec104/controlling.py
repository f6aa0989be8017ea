# SPDX-License-Identifier: Apache-2.0
"""The controlling station (the control room's side): a client that stays connected, asks, commands and listens."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np

from serai.telemetry.iec104.asdu import Asdu, asdus, octets
from serai.telemetry.iec104.faults import LinkLost, NoAnswer, PeerRefused, Refused, Violation
from serai.telemetry.iec104.link import Link, Seen, Settings
from serai.telemetry.iec104.outbox import Outbox
from serai.telemetry.iec104.points import Points, decoded
from serai.telemetry.iec104.tls import Identity, certified, reason
from serai.telemetry.iec104.types import BROADCAST, COUNTERS_ALL, INTERROGATE_STATION, LAYOUTS, Cause, TypeId
from serai.telemetry.iec104.values import elements, flags_of
from serai.telemetry.readings import Counts, now

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterable

T = TypeVar("T")
UNKNOWN_KEPT = 1000  # ASDUs of unknown types that can be looked at
UNENDED_KEPT = 256  # commands done without waiting for their end, whose termination may still come


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question under way: its confirmation, and its end where there is one."""

    confirmed: asyncio.Future[Asdu]
    ended: asyncio.Future[Asdu]


class ControllingStation:
    """A connection to one controlled station that comes back by itself.

    name            for messages and counts
    host, port      where the station listens
    common_addresses  interrogated after every connection and when the station tells that it was initialised;
                    empty = nothing is interrogated by itself
    tls             context that shows our certificate, as `Credentials.client` makes
    certificates    common names or SHA-256 fingerprints that the station may show; empty = any that the context takes
    settings        of the link;  originator   our number, 0 = none;  offset   see `times`
    answer          seconds to wait for the answer to a question
    retry           shortest and longest wait [s] before connecting again; it doubles in between
    local           address to connect from; "" = any
    watch           sees every frame and violation
    counts          what happened, by name;  unknown   the latest ASDUs of types that have no layout here
    up              whether data may flow now; `why` not, if it may not

    `points` must be read while connected: when nobody takes them, the socket is not read.
    """

    def __init__(
        self,
        name: str,
        host: str,
        port: int = 2404,
        *,
        common_addresses: Iterable[int] = (BROADCAST,),
        tls: ssl.SSLContext | None = None,
        certificates: Iterable[str] = (),
        settings: Settings | None = None,
        originator: int = 0,
        offset: int = 0,
        answer: float = 10.0,
        retry: tuple[float, float] = (1.0, 30.0),
        local: str = "",
        watch: Callable[[Seen], None] | None = None,
    ) -> None:
        self.name, self.host, self.port = name, host, port
        self.common_addresses = tuple(common_addresses)
        self.tls, self.certificates = tls, tuple(certificates)
        self.settings = settings or Settings()
        self.originator, self.offset, self.answer = originator, offset, answer
        self.watch = watch
        self.counts = Counts(name)
        self.unknown: deque[Asdu] = deque(maxlen=UNKNOWN_KEPT)
        self.why = "not connected yet"
        self._retry, self._local = retry, local
        self._link: Link | None = None
        self._started = asyncio.Event()
        self._arrived: deque[tuple[Asdu, int]] = deque()
        self._some = asyncio.Event()
        self._asked: dict[tuple[int, int, int, bool], _Asked] = {}
        self._unended: deque[tuple[int, int, int]] = deque(maxlen=UNENDED_KEPT)
        self._tests = 0
        self._read: dict[tuple[int, int], asyncio.Future[Points]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stay: asyncio.Task[None] | None = None
        self._closed = False

    async def __aenter__(self) -> Self:
        await self.connected()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def up(self) -> bool:
        """Whether data may flow now."""
        return self._link is not None and self._link.active

    def start(self) -> None:
        """Begin to connect, and to connect again after every loss, until `close`."""
        self._closed = False
        if self._stay is None:
            self._stay = asyncio.create_task(self._keep_connected(), name=self.name)

    async def connected(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - the error names the station
        """Wait until data may flow; LinkLost after `timeout` seconds, None = t0 + t1."""
        self.start()
        s = self.settings
        try:
            async with asyncio.timeout(s.t0 + s.t1 if timeout is None else timeout):
                await self._started.wait()
        except TimeoutError:
            raise LinkLost(f"{self.name}: not connected to {self.host}:{self.port}: {self.why}") from None

    async def close(self) -> None:
        """End the connection; `points` yields what has come and ends."""
        self._closed = True
        tasks = [t for t in (self._stay, *self._tasks) if t is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._link is not None:
            await self._link.end("closed here")
        self._stay = None
        self._some.set()

    async def points(self) -> AsyncIterator[Points]:
        """Yield points as they come, one batch for all that has come meanwhile, until `close`."""
        if not self._closed:
            self.start()
        while True:
            while self._arrived:
                arrived = list(self._arrived)
                self._arrived.clear()
                if self._link is not None:
                    self._link.resume()
                yield decoded(arrived, self.settings.sizes, self.offset)
            if self._closed:
                return
            self._some.clear()
            await self._some.wait()

    # --------------------------------------------------------------------------------------------------- questions

    async def interrogate(self, common_address: int, group: int = 0) -> None:
        """Ask for all points (group 0) or a group 1..16; returns when the last has come, by `points`."""
        await self._ask(TypeId.C_IC_NA_1, common_address, value=INTERROGATE_STATION + group, end=True)

    async def counters(self, common_address: int, group: int = 0, freeze: int = 0) -> None:
        """Ask for integrated totals, of all (0) or a group 1..4.

        freeze   0 = read; 1 = hold the counts for reading; 2 = hold and set to 0; 3 = set to 0
        """
        qualifier = (group or COUNTERS_ALL) | freeze << 6
        await self._ask(TypeId.C_CI_NA_1, common_address, value=qualifier, end=not freeze)

    async def read(self, common_address: int, address: int) -> Points:
        """Ask for one point and return it; it comes by `points` too."""
        place = common_address, address
        waits = self._read.setdefault(place, asyncio.get_running_loop().create_future())
        try:
            self._send(self._single(TypeId.C_RD_NA_1, place, Cause.REQUESTED, elements(TypeId.C_RD_NA_1, 0.0)))
            return await self._wait(asyncio.shield(waits), f"read of {common_address}/{address}")
        finally:
            self._read.pop(place, None)

    async def synchronise(self, common_address: int, time: int | None = None) -> None:
        """Set the station's clock to a time [µs since 1970 UTC], None = now."""
        await self._ask(TypeId.C_CS_NA_1, common_address, time=now() if time is None else time)

    async def test(self, common_address: int) -> None:
        """Ask the station for an answer that goes through its application layer."""
        self._tests = (self._tests + 1) % 2**16
        await self._ask(TypeId.C_TS_TA_1, common_address, value=self._tests)

    async def reset(self, common_address: int, qualifier: int = 1) -> None:
        """Reset the station's process: 1 = all of it, 2 = events with time tags that wait."""
        await self._ask(TypeId.C_RP_NA_1, common_address, value=qualifier)

    async def parameter(
        self, common_address: int, address: int, kind: TypeId, value: float, qualifier: int = 1
    ) -> None:
        """Set a parameter of a measured value (P_ME_...) or switch it on or off (P_AC_NA_1, `value` its qualifier)."""
        await self._ask(kind, common_address, address, value=value, qualifier=qualifier)

    async def command(
        self,
        common_address: int,
        address: int,
        kind: TypeId,
        value: float,
        *,
        select: bool = False,
        qualifier: int = 0,
        test: bool = False,
        end: bool = False,
    ) -> None:
        """Command a point; returns when the station has confirmed, or with `end` when it has said that it is done.

        kind        C_SC_NA_1 (0, 1), C_DC_NA_1 (1 = off, 2 = on), C_RC_NA_1 (1 = lower, 2 = higher), C_SE_NA_1,
                    C_SE_NB_1, C_SE_NC_1 (set-points), C_BO_NA_1, or the same with time tag (..._TA_1, TB, TC)
        select      select first, then execute;  qualifier   QU or QL, 0 = as the station likes it
        Refused: the station said no. NoAnswer: it may or may not have acted. LinkLost: there is no connection.
        """
        if select and LAYOUTS[kind].content != "bits command":  # a bit string has no place for the select bit
            await self._ask(kind, common_address, address, value=value, qualifier=qualifier, select=True, test=test)
        await self._ask(kind, common_address, address, value=value, qualifier=qualifier, test=test, end=end)

    async def select(self, common_address: int, address: int, kind: TypeId, value: float, qualifier: int = 0) -> None:
        """Select a point for a command with this value, without executing it."""
        await self._ask(kind, common_address, address, value=value, qualifier=qualifier, select=True)

    async def deactivate(self, common_address: int, address: int, kind: TypeId, value: float) -> None:
        """Take a selection back."""
        await self._ask(kind, common_address, address, value=value, cause=Cause.DEACTIVATION)

    async def _ask(
        self,
        kind: TypeId,
        common_address: int,
        address: int = 0,
        *,
        value: float = 0.0,
        qualifier: int = 0,
        select: bool = False,
        time: int | None = None,
        cause: Cause = Cause.ACTIVATION,
        end: bool = False,
        test: bool = False,
    ) -> None:
        """Send a question with one object and wait for its confirmation, with `end` for its termination."""
        flags = flags_of(kind, qualifier, select=select)
        made = elements(kind, value, flags, np.array([now() if time is None else time]), self.offset)
        key = int(kind), common_address, address, cause == Cause.DEACTIVATION
        what = f"{kind.name} to {common_address}/{address}"
        if key in self._asked:
            raise Refused(f"{self.name}: {what} is already under way", cause)
        loop = asyncio.get_running_loop()
        asked = _Asked(loop.create_future(), loop.create_future())
        for waits in (asked.confirmed, asked.ended):  # one of the two may never be awaited
            waits.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._asked[key] = asked
        try:
            self._send(self._single(kind, (common_address, address), cause, made, test=test))
            await self._wait(asked.confirmed, f"{what}: no confirmation")
            if end:
                await self._wait(asked.ended, f"{what}: confirmed, but no termination")
            elif not asked.ended.done() and not select:
                self._unended.append(key[:3])
        finally:
            del self._asked[key]

    def _single(
        self, kind: TypeId, place: tuple[int, int], cause: Cause, made: np.ndarray[Any, Any], *, test: bool = False
    ) -> Asdu:
        header = Asdu(kind, cause, place[0], b"", 1, test=test, originator=self.originator)
        return next(asdus(header, np.array([place[1]], np.int32), made, self.settings.sizes))

    def _send(self, asdu: Asdu) -> None:
        if self._link is None or not self._link.active:
            raise LinkLost(f"{self.name}: {self.why}")
        self._link.outbox.urge(octets(asdu, self.settings.sizes))

    async def _wait(self, waits: asyncio.Future[T], what: str) -> T:
        try:
            async with asyncio.timeout(self.answer):
                return await waits
        except TimeoutError:
            raise NoAnswer(f"{self.name}: {what} within {self.answer:g} s") from None

    # ----------------------------------------------------------------------------------------- what the link tells

    def admit(self, _link: Link, shown: Identity | None, /) -> None:
        """Hold the station to the allow-list."""
        if not certified(shown, self.certificates):
            text = f"{shown.name!r}, SHA-256 {shown.fingerprint}" if shown else "no certificate"
            raise PeerRefused(Violation.PEER_CERTIFICATE, f"{self.host} showed {text}")

    def started(self, link: Link, /) -> None:
        """Take note that data may flow, and ask for all of it."""
        self._link, self.why = link, ""
        self._started.set()
        self._refresh()

    def stopped(self, _link: Link, /) -> None:
        """Take note that data may not flow."""
        self.why = "transfer stopped"
        self._started.clear()

    def lost(self, _link: Link, why: str, /) -> None:
        """Take note of a lost connection: what was asked fails."""
        self.why = why
        self._started.clear()
        self._unended.clear()
        for asked in self._asked.values():
            for waits in (asked.confirmed, asked.ended):
                _fail(waits, LinkLost(f"{self.name}: {why}; whether the station acted is unknown"))
        for reading in self._read.values():
            _fail(reading, LinkLost(f"{self.name}: {why}"))

    def received(self, link: Link, arrived: list[Asdu], time: int, /) -> None:
        """Sort ASDUs: points wait for `points`, confirmations go to who asked."""
        points = 0
        for asdu in arrived:
            layout = LAYOUTS.get(asdu.type)
            if layout is None:
                self.unknown.append(asdu)
                link.violated(Violation.UNKNOWN_TYPE, asdu.name, asdu.body, asdu)
            elif not layout.monitors:
                self._take(link, asdu)
            elif asdu.count:
                self._arrived.append((asdu, time))
                points += asdu.count
                if asdu.cause == Cause.REQUESTED and self._read:
                    self._take_read(asdu, time)
        if points:
            self.counts.add("points received", points)
            self._some.set()
            if len(self._arrived) > self.settings.inbox:
                link.pause(patient=True)

    def _take(self, link: Link, asdu: Asdu) -> None:
        """Take what is no point: the end of initialisation, or an answer."""
        if asdu.type == TypeId.M_EI_NA_1:
            self.counts.add("station initialised")
            self._refresh()
            return
        answers = (Cause.ACTIVATION_CON, Cause.DEACTIVATION_CON, Cause.TERMINATION)
        if asdu.cause not in answers and not Cause.UNKNOWN_TYPE <= asdu.cause <= Cause.UNKNOWN_OBJECT:
            link.violated(Violation.DIRECTION, f"{asdu.name} with cause {asdu.cause}", asdu.body, asdu)
            return
        address = int.from_bytes(asdu.body[: self.settings.sizes.address], "little")
        refused = asdu.negative or asdu.cause >= Cause.UNKNOWN_TYPE
        asked = self._find(asdu, address)
        if asdu.type == TypeId.C_RD_NA_1:  # some stations confirm a read before the point comes
            reading = self._read.get((asdu.common_address, address))
            if refused and reading is not None:
                _fail(reading, self._refusal(asdu, address))
        elif asdu.cause == Cause.TERMINATION:
            self._ended(link, asdu, address, asked)
        elif asked is None:
            link.violated(Violation.UNASKED_ANSWER, f"{asdu.name} with cause {asdu.cause}", asdu.body, asdu)
        elif refused:
            _fail(asked.confirmed, self._refusal(asdu, address))
        elif not asked.confirmed.done():
            asked.confirmed.set_result(asdu)

    def _ended(self, link: Link, asdu: Asdu, address: int, asked: _Asked | None) -> None:
        """Take the end of an earlier command that nobody waits for, or of this one, even before it is confirmed."""
        for common in (asdu.common_address, BROADCAST):
            if (asdu.type, common, address) in self._unended:
                self._unended.remove((asdu.type, common, address))
                return
        if asked is not None:
            if not asked.ended.done():
                asked.ended.set_result(asdu)
            return
        link.violated(Violation.UNASKED_ANSWER, f"{asdu.name}: terminated, never confirmed", asdu.body, asdu)

    def _find(self, asdu: Asdu, address: int) -> _Asked | None:
        """Return the question that an ASDU answers; an answer to a broadcast has the station's own address."""
        unknown = asdu.cause >= Cause.UNKNOWN_TYPE
        for deactivates in (True, False) if unknown else (asdu.cause == Cause.DEACTIVATION_CON,):
            for common in (asdu.common_address, BROADCAST):
                found = self._asked.get((asdu.type, common, address, deactivates))
                if found is not None:
                    return found
        return None

    def _refusal(self, asdu: Asdu, address: int) -> Refused:
        why = _REASONS.get(asdu.cause, "negative confirmation")
        self.counts.add(f"refused: {why}")
        return Refused(f"{self.name}: {asdu.name} to {asdu.common_address}/{address}: {why}", asdu.cause)

    def _take_read(self, asdu: Asdu, time: int) -> None:
        came = decoded([(asdu, time)], self.settings.sizes, self.offset)
        for k, address in enumerate(came.address.tolist()):
            waits = self._read.get((asdu.common_address, address))
            if waits is not None and not waits.done():
                waits.set_result(came.take(np.array([k])))

    def _refresh(self) -> None:
        """Interrogate what is to be interrogated after every start of the link or the station."""
        for common_address in self.common_addresses:
            self._spawn(self._interrogate_quietly(common_address))

    async def _interrogate_quietly(self, common_address: int) -> None:
        if (TypeId.C_IC_NA_1, common_address, 0, False) in self._asked:
            return  # under way already
        try:
            await self.interrogate(common_address)
        except (Refused, NoAnswer, LinkLost) as error:
            self.counts.add(f"interrogation failed: {type(error).__name__}")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=self.name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ---------------------------------------------------------------------------------------------------- staying

    async def _keep_connected(self) -> None:
        """Connect, and connect again after a wait that doubles until a connection has lasted longer than it."""
        loop = asyncio.get_running_loop()
        shortest, longest = self._retry
        wait = shortest
        while True:
            begun = loop.time()
            try:
                self.why = await self._one_connection()
            except (OSError, TimeoutError, LinkLost) as error:
                self.why = str(error) if isinstance(error, LinkLost) else reason(error)
                self.counts.add(f"not connected: {self.why}")
            wait = shortest if loop.time() - begun > wait else min(2.0 * wait, longest)
            await asyncio.sleep(wait * random.uniform(0.75, 1.0))  # noqa: S311 - spreads retries, guards nothing

    async def _one_connection(self) -> str:
        """Connect, start the transfer, and return why the connection ended."""
        loop = asyncio.get_running_loop()
        outbox = Outbox(self.settings.inbox, self.counts)
        link = Link(self, outbox, self.settings, controlling=True, name=f"{self.name} -> {self.host}", watch=self.watch)
        try:
            async with asyncio.timeout(self.settings.t0):
                await loop.create_connection(
                    lambda: link, self.host, self.port, ssl=self.tls,
                    local_addr=(self._local, 0) if self._local else None,
                )  # fmt: skip
            await link.start()
            return await asyncio.shield(link.over)
        finally:
            link.close("closed here")


def _fail(waits: asyncio.Future[Any], error: Exception) -> None:
    if not waits.done():
        waits.set_exception(error)


_REASONS: dict[int, str] = {
    Cause.UNKNOWN_TYPE: "unknown type identification",
    Cause.UNKNOWN_CAUSE: "unknown cause of transmission",
    Cause.UNKNOWN_COMMON_ADDRESS: "unknown common address",
    Cause.UNKNOWN_OBJECT: "unknown information object address",
}
