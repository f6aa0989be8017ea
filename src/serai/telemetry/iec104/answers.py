# SPDX-License-Identifier: Apache-2.0
"""How a controlled station answers: each type of request in control direction (IEC 60870-5-101:2003, 7.4)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from serai.telemetry.iec104.asdu import Asdu, objects
from serai.telemetry.iec104.commands import Selections, request
from serai.telemetry.iec104.faults import Violation
from serai.telemetry.iec104.times import since_1970
from serai.telemetry.iec104.types import BROADCAST, COUNTERS_ALL, INTERROGATE_STATION, LAYOUTS, Cause, TypeId
from serai.telemetry.readings import now

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable

    from serai.telemetry.iec104.commands import Request
    from serai.telemetry.iec104.image import Image
    from serai.telemetry.iec104.link import Link, Settings
    from serai.telemetry.readings import Counts


class Asker(Protocol):
    """The connection that a request came by."""

    peer: str
    link: Link

    def send(self, asdu: Asdu) -> None:
        """Send a confirmation."""
        ...

    async def tell(self, asdus: Iterable[Asdu]) -> None:
        """Send data to this peer alone."""
        ...

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something that takes time, until the connection ends."""
        ...


class Answering(Protocol):
    """The station that is asked."""

    images: dict[int, Image]
    counts: Counts
    settings: Settings
    clock: int


class Answers:
    """Answers requests one by one; whatever cannot be done gets a negative confirmation with its cause."""

    def __init__(
        self,
        station: Answering,
        act: Callable[[Request], Awaitable[bool]] | None,
        selections: Selections,
    ) -> None:
        self.station, self.act, self.selections = station, act, selections
        self._acting: set[asyncio.Future[bool]] = set()
        self._running: set[tuple[object, int, int, int]] = set()  # interrogations under way

    async def answer(self, asker: Asker, asdu: Asdu) -> None:
        """Answer one request."""
        layout = LAYOUTS.get(asdu.type)
        how = self._how(asdu.type)
        if layout is None or how is None:
            wrong = Violation.UNKNOWN_TYPE if layout is None else Violation.DIRECTION
            self._refuse(asker, asdu, Cause.UNKNOWN_TYPE, wrong)
            return
        stops = asdu.type == TypeId.C_RD_NA_1 or asdu.cause in (Cause.ACTIVATION, Cause.DEACTIVATION)
        if not stops or (asdu.type == TypeId.C_RD_NA_1 and asdu.cause != Cause.REQUESTED):
            self._refuse(asker, asdu, Cause.UNKNOWN_CAUSE, Violation.UNKNOWN_CAUSE)
            return
        if asdu.count != 1:
            self._refuse(asker, asdu, self._confirms(asdu), Violation.OBJECTS)
            return
        to_all = asdu.common_address == BROADCAST and not layout.commands and asdu.type != TypeId.C_RD_NA_1
        for one in self.station.images if to_all else (asdu.common_address,):
            if one in self.station.images:
                await how(asker, replace(asdu, common_address=one), self.station.images[one])
            else:
                self._refuse(asker, asdu, Cause.UNKNOWN_COMMON_ADDRESS, Violation.UNKNOWN_COMMON_ADDRESS)

    def _how(self, number: int) -> Callable[[Asker, Asdu, Image], Awaitable[None]] | None:
        if number in LAYOUTS and LAYOUTS[number].commands:
            return self._command
        return {
            TypeId.C_IC_NA_1: self._interrogation,
            TypeId.C_CI_NA_1: self._counters,
            TypeId.C_RD_NA_1: self._read,
            TypeId.C_CS_NA_1: self._clock,
            TypeId.C_TS_NA_1: self._mirror,
            TypeId.C_TS_TA_1: self._mirror,
            TypeId.C_CD_NA_1: self._mirror,
            TypeId.C_RP_NA_1: self._ask,
            TypeId.P_ME_NA_1: self._ask,
            TypeId.P_ME_NB_1: self._ask,
            TypeId.P_ME_NC_1: self._ask,
            TypeId.P_AC_NA_1: self._ask,
        }.get(TypeId(number) if number in LAYOUTS else None)  # type: ignore[arg-type] # None finds nothing

    @staticmethod
    def _confirms(asdu: Asdu) -> Cause:
        return Cause.DEACTIVATION_CON if asdu.cause == Cause.DEACTIVATION else Cause.ACTIVATION_CON

    def _refuse(self, asker: Asker, asdu: Asdu, cause: int, violation: Violation, text: str = "") -> None:
        asker.link.violated(violation, text or f"{asdu.name} at {asdu.common_address}", b"", asdu)
        asker.send(replace(asdu, cause=cause, negative=True))

    # ------------------------------------------------------------------------------------- commands and their like

    async def _command(self, asker: Asker, asdu: Asdu, _: Image) -> None:
        wanted = request(asdu, asker.peer, self.station.settings.sizes)
        if asdu.cause == Cause.DEACTIVATION:
            found = self.selections.deactivate(wanted, asker)
            asker.send(replace(asdu, cause=Cause.DEACTIVATION_CON, negative=not found))
            return
        clock = now() + self.station.clock
        cause, violation = self.selections.judge(wanted, asker, asker.link.loop.time(), clock)
        if violation is not None:
            self._refuse(asker, asdu, cause, violation, repr(wanted))
        elif not await self._act(asker, asdu, wanted) and wanted.select:
            self.selections.deactivate(wanted, asker)

    async def _ask(self, asker: Asker, asdu: Asdu, _: Image) -> None:
        """Parameters and resets: the station's `act` decides."""
        await self._act(asker, asdu, request(asdu, asker.peer, self.station.settings.sizes))

    async def _act(self, asker: Asker, asdu: Asdu, wanted: Request) -> bool:
        """Let the station's `act` decide and confirm what it said; return that."""
        done = False
        try:
            done = self.act is not None and await asyncio.shield(self._begun(self.act(wanted)))
        except asyncio.CancelledError:
            self.station.counts.add("commands whose connection was lost under way")
            raise
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is told and counted, the station goes on
            text = f"{wanted!r}: {type(error).__name__}: {error}"
            asker.link.violated(Violation.COMMAND_FAILED, text, b"", asdu)
        self.station.counts.add(f"commands {('selected' if wanted.select else 'done') if done else 'refused'}")
        asker.send(replace(asdu, cause=self._confirms(asdu), negative=not done))
        if done and LAYOUTS[asdu.type].commands and not wanted.select:
            asker.send(replace(asdu, cause=Cause.TERMINATION))
        return done

    def _begun(self, acting: Awaitable[bool]) -> asyncio.Future[bool]:
        """Begin what a lost connection must not stop half way."""
        task = asyncio.ensure_future(acting)
        self._acting.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Future[bool]) -> None:
        self._acting.discard(task)
        if not task.cancelled():
            task.exception()  # whoever asked may be gone; the loss is counted where it happened

    # -------------------------------------------------------------------------------------------------- questions

    async def _interrogation(self, asker: Asker, asdu: Asdu, image: Image) -> None:
        group = self._qualifier(asdu) - INTERROGATE_STATION
        if not 0 <= group <= 16 or asdu.cause != Cause.ACTIVATION:
            asker.send(replace(asdu, cause=self._confirms(asdu), negative=True))
            return
        self._long(asker, asdu, lambda: image.interrogated(group))

    async def _counters(self, asker: Asker, asdu: Asdu, image: Image) -> None:
        qualifier = self._qualifier(asdu)
        wanted, freeze = qualifier & 0x3F, qualifier >> 6
        if not 1 <= wanted <= COUNTERS_ALL or asdu.cause != Cause.ACTIVATION:
            asker.send(replace(asdu, cause=self._confirms(asdu), negative=True))
            return
        group = wanted % COUNTERS_ALL
        if freeze:  # 1 = hold, 2 = hold and reset, 3 = reset
            image.freeze(group, hold=freeze < 3, reset=freeze > 1)
            asker.send(replace(asdu, cause=Cause.ACTIVATION_CON))
            asker.send(replace(asdu, cause=Cause.TERMINATION))
        else:
            self._long(asker, asdu, lambda: image.counted(group))

    def _long(self, asker: Asker, asdu: Asdu, told: Callable[[], Iterable[Asdu]]) -> None:
        """Confirm, tell, terminate, without keeping commands waiting; once at a time for each question."""
        key = asker, asdu.type, asdu.common_address, self._qualifier(asdu)
        if key in self._running:
            asker.send(replace(asdu, cause=Cause.ACTIVATION_CON, negative=True))
            return
        self._running.add(key)
        asker.send(replace(asdu, cause=Cause.ACTIVATION_CON))

        async def tell() -> None:
            try:
                # all at once: an update that comes meanwhile waits behind, so no older value follows a newer one
                await asker.tell([*told(), replace(asdu, cause=Cause.TERMINATION)])
            finally:
                self._running.discard(key)

        asker.run(tell())

    def _qualifier(self, asdu: Asdu) -> int:
        return asdu.body[self.station.settings.sizes.address]

    async def _read(self, asker: Asker, asdu: Asdu, image: Image) -> None:
        address = int.from_bytes(asdu.body, "little")
        if address not in image.address:
            self._refuse(asker, asdu, Cause.UNKNOWN_OBJECT, Violation.UNKNOWN_OBJECT, f"{address}")
            return
        asker.run(asker.tell(image.last(int(image.places([address])[0]), Cause.REQUESTED)))

    async def _clock(self, asker: Asker, asdu: Asdu, _: Image) -> None:
        told, good = since_1970(objects([asdu], self.station.settings.sizes)[1]["time"])
        if good[0]:
            self.station.clock = int(told[0]) - now()
            self.station.counts.add("clock set")
        asker.send(replace(asdu, cause=self._confirms(asdu), negative=not good[0]))

    async def _mirror(self, asker: Asker, asdu: Asdu, _: Image) -> None:
        asker.send(replace(asdu, cause=self._confirms(asdu)))
