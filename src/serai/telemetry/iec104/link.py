# SPDX-License-Identifier: Apache-2.0
"""One connection of IEC 60870-5-104, the same for both stations: numbers, windows, timers, start, stop and test.

IEC 60870-5-104:2006, 5. A link sends from an `Outbox` as far as the window k allows, acknowledges after w frames or
t2, and closes with a named reason when the peer breaks a rule or a timer runs out. Whatever happens is counted.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from serai.errors import SeraiError
from serai.telemetry.iec104.apci import LONGEST, MODULO, Frame, Function, frame, i_frame, s_frame, split, u_frame
from serai.telemetry.iec104.asdu import Asdu, parse
from serai.telemetry.iec104.faults import LinkLost, Malformed, PeerRefused, Violation
from serai.telemetry.iec104.tls import identity, reason
from serai.telemetry.iec104.types import SIZES, Sizes
from serai.telemetry.readings import now

if TYPE_CHECKING:
    from collections.abc import Callable

    from serai.telemetry.iec104.outbox import Outbox
    from serai.telemetry.iec104.tls import Identity

CLOSING = 2.0  # seconds for a peer to take what was sent before the end
WRITE_AHEAD = 64 * 1024  # octets that may wait in the socket's own buffer before the link stops sending


@dataclass(frozen=True, slots=True)
class Settings:
    """Parameters of a link, both stations alike (IEC 60870-5-104:2006, 9.6); defaults are the standard's.

    k, w         most I frames sent and not acknowledged; acknowledge at the latest after w received ones (w <= 2/3 k)
    t0, t1       seconds to wait for a connection; for an acknowledgement or a confirmation
    t2, t3       seconds after which to acknowledge (t2 < t1); of silence after which to test the link
    sizes        of the fields of an ASDU
    inbox        received ASDUs that may wait for their reader; beyond, the socket is not read
    """

    k: int = 12
    w: int = 8
    t0: float = 30.0
    t1: float = 15.0
    t2: float = 10.0
    t3: float = 20.0
    sizes: Sizes = SIZES
    inbox: int = 4096

    def __post_init__(self) -> None:
        """Refuse what no link can run with."""
        if not (0 < self.k < MODULO and 0 < self.w <= self.k and self.inbox > 0):
            msg = f"k must be 1..32767, w 1..k and inbox above 0, got k={self.k}, w={self.w}, inbox={self.inbox}"
            raise SeraiError(msg)
        if not (min(self.t0, self.t1, self.t2, self.t3) > 0 and self.t2 < self.t1):
            msg = f"times must be above 0 and t2 below t1, got t1={self.t1}, t2={self.t2}, t3={self.t3}"
            raise SeraiError(msg)


class Seen(NamedTuple):
    """What a protocol monitor sees: a frame that passed, or a violation (then `violation` is set, `text` says more).

    link      name of the link;  outward   sent from here
    time      [µs since 1970 UTC];  frame, asdu   what was decoded, as far as it could be;  octets   as on the wire
    """

    link: str
    outward: bool
    time: int
    frame: Frame | None
    asdu: Asdu | None
    octets: bytes
    violation: Violation | None = None
    text: str = ""


class Owner(Protocol):
    """The station that a link belongs to."""

    def admit(self, link: Link, shown: Identity | None, /) -> None:
        """Admit the peer, which showed a certificate or none; PeerRefused ends the connection."""
        ...

    def started(self, link: Link, /) -> None:
        """Take note that data may flow: STARTDT is confirmed."""
        ...

    def stopped(self, link: Link, /) -> None:
        """Take note that data may not flow: STOPDT is confirmed."""
        ...

    def received(self, link: Link, asdus: list[Asdu], time: int, /) -> None:
        """Take ASDUs that arrived together at a time [µs]."""
        ...

    def lost(self, link: Link, reason: str, /) -> None:
        """Take note that the connection has ended."""
        ...


class Link(asyncio.Protocol):
    """One connection. `controlling` = this end is the controlling station, which starts the transfer.

    Made before the connection; asyncio calls `connection_made` and so on. `over` is done when the connection has
    ended, with the reason.
    """

    def __init__(
        self,
        owner: Owner,
        outbox: Outbox,
        settings: Settings,
        *,
        controlling: bool,
        name: str,
        watch: Callable[[Seen], None] | None = None,
    ) -> None:
        self.owner, self.outbox, self.settings = owner, outbox, settings
        self.controlling, self.name, self.watch = controlling, name, watch
        self.counts = outbox.counts
        self.loop = asyncio.get_running_loop()
        self.over: asyncio.Future[str] = self.loop.create_future()
        self.active = False  # between STARTDT and STOPDT
        self._transport: asyncio.Transport | None = None
        self._secured = False
        self._rest = b""
        self._next_out = self._next_in = self._acknowledged_in = 0
        self._sent_at: deque[float] = deque()  # of the I frames not yet acknowledged by the peer
        self._unacknowledged_since = 0.0  # of the oldest I frame received and not acknowledged by us
        self._asked: dict[Function, tuple[float, asyncio.Future[None]]] = {}  # confirmations awaited, asked since
        self._heard = 0.0
        self._writable, self._readable, self._patient = True, True, False
        self._timer: asyncio.TimerHandle | None = None
        self._reason = ""

    # ------------------------------------------------------------------------------------------- what stations call

    async def start(self) -> None:
        """Start the transfer of data (controlling station); LinkLost when the peer does not confirm within t1."""
        await self._ask(Function.STARTDT_ACT)

    async def stop(self) -> None:
        """Stop the transfer of data (controlling station); the connection stays."""
        self._acknowledge()
        await self._ask(Function.STOPDT_ACT)

    async def test(self) -> None:
        """Ask the peer for a sign of life."""
        await self._ask(Function.TESTFR_ACT)

    def flush(self) -> None:
        """Send what waits, as far as the window k and the socket allow."""
        if not self.active or not self._writable or self._transport is None or self._reason:
            return
        if Function.STOPDT_ACT in self._asked:
            return
        items = self.outbox.take(self.settings.k - len(self._sent_at))
        if not items:
            return
        time = self.loop.time()
        frames = []
        points = 0
        for item in items:
            frames.append(i_frame(self._next_out, self._next_in, item.octets))
            self._next_out = (self._next_out + 1) % MODULO
            self._sent_at.append(time)
            points += item.points
        self._acknowledged_in = self._next_in
        for octets in frames if self._secured else (b"".join(frames),):
            self._write(octets)
        self.counts.add("I frames sent", len(frames))
        if points:
            self.counts.add("points sent", points)
        self._wake(time + self.settings.t1)
        if self.watch is not None:
            for octets in frames:
                self._show(octets, outward=True)

    def pause(self, *, patient: bool) -> None:
        """Stop reading from the peer: whoever takes what it sends is behind.

        patient   it is no fault of the peer's, so its timers stand still; else t1 goes on for what it has not confirmed
        """
        if self._readable and self._transport is not None and not self._reason:
            self.counts.add("held back")
            self._readable, self._patient = False, patient
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read from the peer again."""
        if not self._readable and self._transport is not None and not self._reason:
            self._readable = True
            self._transport.resume_reading()
            self._heard = self.loop.time()  # the silence was ours
            if self._patient:
                self._patient = False
                self._sent_at = deque([self._heard] * len(self._sent_at))
                self._asked = {f: (self._heard, asked) for f, (_, asked) in self._asked.items()}
            self._tick()

    def close(self, why: str, violation: Violation | None = None, text: str = "", octets: bytes = b"") -> None:
        """End the connection; the first reason counts, `octets` are what was wrong."""
        if self._reason:
            return
        self._reason = why
        if violation is not None:
            self.violated(violation, text, octets)
        if self._transport is not None:
            if violation is None and self._acknowledged_in != self._next_in:
                self._acknowledge()
            if violation is None and self._writable:
                self._transport.close()
            else:  # what waits for a peer that does not read would keep the socket open
                self._transport.abort()

    async def end(self, why: str) -> None:
        """End the connection and wait until it has; over TLS a peer that is stuck does not hold it for long."""
        self.close(why)
        if self._transport is not None and not self.over.done():
            await asyncio.wait([self.over], timeout=CLOSING)
            self._transport.abort()

    def violated(self, violation: Violation, text: str, octets: bytes, asdu: Asdu | None = None) -> None:
        """Count a violation of the peer and show it to the monitor."""
        self.counts.add(f"violation: {violation}")
        if self.watch is not None:
            self.watch(
                Seen(
                    self.name, outward=False, time=now(), frame=None, asdu=asdu, octets=octets,
                    violation=violation, text=text,
                )
            )  # fmt: skip

    # --------------------------------------------------------------------------------------------- what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - streams only; narrows the type
        self._transport = transport
        # a frame is a record of its own: some peers (lib60870) leave what follows in a record until the next one comes
        self._secured = transport.get_extra_info("ssl_object") is not None
        transport.set_write_buffer_limits(high=WRITE_AHEAD)
        self._heard = self.loop.time()
        try:
            self.owner.admit(self, identity(transport.get_extra_info("ssl_object")))
        except PeerRefused as refused:
            self.close(str(refused.violation), refused.violation, str(refused))
            return
        self.counts.add("connected")
        self._tick()

    def connection_lost(self, exc: Exception | None) -> None:
        """End: what was not acknowledged waits for the next connection."""
        self._reason = self._reason or (reason(exc) if exc else self._closed_by_peer())
        self.counts.add(f"lost: {self._reason}")
        if self._timer is not None:
            self._timer.cancel()
        self.active = False
        for _, asked in self._asked.values():
            if not asked.done():
                asked.set_exception(LinkLost(f"{self.name}: {self._reason}"))
        if self.outbox.link is self:
            self.outbox.detach()
        if not self.over.done():
            self.over.set_result(self._reason)
        self.owner.lost(self, self._reason)

    def _closed_by_peer(self) -> str:
        """Say what can be known: over TLS a refusal may reach us without its alert, after our own handshake is done."""
        unheard = self._secured and self.controlling and not self.counts["I frames received"]
        return "closed by the peer" + " before it said anything: does it refuse our certificate?" * unheard

    def pause_writing(self) -> None:
        """Stop sending: the peer does not read."""
        self._writable = False
        self.counts.add("peer reads slowly")

    def resume_writing(self) -> None:
        """Send again."""
        self._writable = True
        self.flush()

    def data_received(self, data: bytes) -> None:
        """Take octets: frames are handled in order, their ASDUs handed on together."""
        if self._reason:
            return
        self._heard = self.loop.time()
        asdus: list[Asdu] = []
        octets = self._rest + data
        try:
            apdus, whole = split(octets)
            self._rest = octets[whole:]
            for octets in apdus:
                self._take(octets, asdus)
                if self._reason:
                    break
        except Malformed as fault:
            self.close(str(fault.violation), fault.violation, str(fault), octets[: LONGEST + 2])
        if asdus:
            self.owner.received(self, asdus, now())
        if not self._reason:
            self._acknowledge_soon()
            self.flush()

    # ------------------------------------------------------------------------------------------------------- frames

    def _take(self, apdu: bytes, asdus: list[Asdu]) -> None:
        """Handle one frame; the ASDU of an I frame joins `asdus`."""
        found = frame(apdu)
        if found.format == "I":
            self._take_i(found, apdu, asdus)
            return
        if self.watch is not None:
            self._show(apdu, outward=False)
        if found.format == "S":
            self.counts.add("S frames received")
            self._confirmed(found.receive)
        elif found.function is not None:
            self._take_u(found.function)

    def _take_i(self, found: Frame, apdu: bytes, asdus: list[Asdu]) -> None:
        if not self.active:
            self.close(str(Violation.NOT_STARTED), Violation.NOT_STARTED, apdu.hex(" "))
            return
        if found.send != self._next_in:
            text = f"expected {self._next_in}, got {found.send}"
            self.close(str(Violation.SEND_NUMBER), Violation.SEND_NUMBER, text)
            return
        self._confirmed(found.receive)
        if self._reason:
            return
        if self._next_in == self._acknowledged_in:
            self._unacknowledged_since = self._heard
        self._next_in = (self._next_in + 1) % MODULO
        self.counts.add("I frames received")
        try:
            asdu = parse(found.asdu, self.settings.sizes)
        except Malformed as fault:  # the frame is whole, so the stream can be trusted: this ASDU alone is refused
            self.violated(fault.violation, str(fault), apdu)
            return
        asdus.append(asdu)
        if self.watch is not None:
            self.watch(Seen(self.name, outward=False, time=now(), frame=found, asdu=asdu, octets=apdu))

    def _take_u(self, function: Function) -> None:
        """Answer an activation, or take a confirmation."""
        answer = _ANSWERS.get(function)
        if answer is None:
            self._take_confirmation(function)
            return
        if self.controlling and function is not Function.TESTFR_ACT:
            self.close(str(Violation.WRONG_ROLE), Violation.WRONG_ROLE, function.name)
            return
        if function is Function.STOPDT_ACT:
            self._acknowledge()
            self._halt()
        self._write(u_frame(answer))
        if function is Function.STARTDT_ACT:
            self._begin()

    def _take_confirmation(self, function: Function) -> None:
        _, asked = self._asked.pop(_ASKED_BY[function], (0.0, None))
        if asked is None:
            self.close(str(Violation.UNASKED), Violation.UNASKED, function.name)
            return
        if not asked.done():
            asked.set_result(None)
        # at once, as data may follow in the same octets
        if function is Function.STARTDT_CON:
            self._begin()
        elif function is Function.STOPDT_CON:
            self._halt()

    def _begin(self) -> None:
        if not self.active:
            self.active = True
            self.outbox.attach(self)
            self.owner.started(self)

    def _halt(self) -> None:
        self.active = False
        self.outbox.wake()
        self.owner.stopped(self)

    def _confirmed(self, receive: int) -> None:
        """Take N(R) of the peer: all frames before it have arrived there."""
        count = (receive - (self._next_out - len(self._sent_at))) % MODULO
        if count > len(self._sent_at):
            text = f"N(R) {receive}, but {self._next_out} is next and {len(self._sent_at)} are open"
            self.close(str(Violation.RECEIVE_NUMBER), Violation.RECEIVE_NUMBER, text)
            return
        if count:
            for _ in range(count):
                self._sent_at.popleft()
            self.outbox.acknowledged(count)

    def _acknowledge_soon(self) -> None:
        """Acknowledge now after w frames; else the timer t2 does."""
        open_frames = (self._next_in - self._acknowledged_in) % MODULO
        if open_frames >= self.settings.w:
            self.flush()  # an I frame acknowledges too
            self._acknowledge()
        elif open_frames:
            self._wake(self._unacknowledged_since + self.settings.t2)

    def _acknowledge(self) -> None:
        if self._acknowledged_in != self._next_in:
            self._acknowledged_in = self._next_in
            self._write(s_frame(self._next_in))
            self.counts.add("S frames sent")

    async def _ask(self, function: Function) -> None:
        """Send an activation and wait for its confirmation."""
        if self._transport is None or self._reason:
            raise LinkLost(f"{self.name}: {self._reason or 'not connected'}")
        if function in self._asked:
            await asyncio.shield(self._asked[function][1])
            return
        await self._send_act(function)

    def _send_act(self, function: Function) -> asyncio.Future[None]:
        asked: asyncio.Future[None] = self.loop.create_future()
        asked.add_done_callback(lambda done: done.cancelled() or done.exception())  # who asked may be gone
        self._asked[function] = (self.loop.time(), asked)
        self._write(u_frame(function))
        self._wake(self.loop.time() + self.settings.t1)
        return asked

    def _write(self, octets: bytes) -> None:
        if self._transport is not None:
            self._transport.write(octets)
            if self.watch is not None and len(octets) == 6:
                self._show(octets, outward=True)

    def _show(self, octets: bytes, *, outward: bool) -> None:
        """Show a frame to the monitor."""
        found = frame(octets)
        asdu = parse(found.asdu, self.settings.sizes) if found.asdu else None
        if self.watch is not None:
            self.watch(Seen(self.name, outward=outward, time=now(), frame=found, asdu=asdu, octets=octets))

    # ------------------------------------------------------------------------------------------------------- timers

    def _wake(self, at: float) -> None:
        """Look at the timers at a time of the loop's clock, or earlier."""
        if self._timer is not None and self._timer.when() <= at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_at(at, self._tick)

    def _tick(self) -> None:
        """Do what is due: t1 closes, t2 acknowledges, t3 tests; then sleep until the next could be due."""
        self._timer = None
        if self._reason:
            return
        time = self.loop.time() + 1e-4  # the clock's own grain
        s = self.settings
        if self._sent_at and time >= self._sent_at[0] + s.t1 and not self._patient:
            text = f"{len(self._sent_at)} I frames are open"
            self.close(str(Violation.NO_ACKNOWLEDGEMENT), Violation.NO_ACKNOWLEDGEMENT, text)
            return
        late = [f for f, (since, _) in self._asked.items() if time >= since + s.t1]
        if late and not self._patient:
            self.close(str(Violation.NO_CONFIRMATION), Violation.NO_CONFIRMATION, late[0].name)
            return
        if self._next_in != self._acknowledged_in and time >= self._unacknowledged_since + s.t2:
            self._acknowledge()
        if time >= self._heard + s.t3 and Function.TESTFR_ACT not in self._asked and self._readable:
            self.counts.add("tests sent")
            self._send_act(Function.TESTFR_ACT)
        if not self._reason:
            self._wake(self._due(time))

    def _due(self, time: float) -> float:
        """Return when the next timer could run out; later than `time`."""
        s = self.settings
        due = [time + s.t3 if Function.TESTFR_ACT in self._asked else self._heard + s.t3]
        due += [since + s.t1 for since, _ in self._asked.values()]
        if self._sent_at:
            due.append(self._sent_at[0] + s.t1)
        if self._next_in != self._acknowledged_in:
            due.append(self._unacknowledged_since + s.t2)
        return max(min(due), time + (s.t2 if self._patient else 0.0))


_ANSWERS = {
    Function.STARTDT_ACT: Function.STARTDT_CON,
    Function.STOPDT_ACT: Function.STOPDT_CON,
    Function.TESTFR_ACT: Function.TESTFR_CON,
}
_ASKED_BY = {answer: asked for asked, answer in _ANSWERS.items()}
