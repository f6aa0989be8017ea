# SPDX-License-Identifier: Apache-2.0
"""A peer made of nothing but octets, for tests of what a link does with what no good peer would send."""

import asyncio
import socket
from contextlib import asynccontextmanager, suppress

from serai.telemetry.iec104.apci import Frame, Function, frame, i_frame, s_frame, split, u_frame
from serai.telemetry.iec104.asdu import Asdu, asdus, octets
from serai.telemetry.iec104.types import Cause, TypeId
from serai.telemetry.iec104.values import elements

STARTDT, STOPDT, TESTFR = (u_frame(f) for f in (Function.STARTDT_ACT, Function.STOPDT_ACT, Function.TESTFR_ACT))


def interrogation(common=1, qualifier=20, cause=Cause.ACTIVATION):
    return octets(Asdu(TypeId.C_IC_NA_1, cause, common, bytes((0, 0, 0, qualifier)), 1))


def single(kind, common, address, value, *, qualifier=0, cause=Cause.ACTIVATION, time=None):
    import numpy as np

    made = elements(kind, value, qualifier, None if time is None else np.array([time]))
    return octets(next(asdus(Asdu(kind, cause, common, b"", 1), np.array([address], np.int32), made)))


class RawPeer:
    """Writes what it is told and reads frames."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.waiting = []
        self.rest = b""
        self.sent = self.got = 0
        self.polite = False  # acknowledges every frame

    def write(self, *parts):
        self.writer.write(b"".join(parts))

    def send(self, *units, receive=None):
        """I frames with the next numbers."""
        for unit in units:
            self.write(i_frame(self.sent % 32768, (self.got if receive is None else receive) % 32768, unit))
            self.sent += 1

    def acknowledge(self):
        self.write(s_frame(self.got % 32768))

    async def frame(self, wait=5.0) -> Frame | None:
        """The next frame; None when the connection has ended; TimeoutError when nothing comes."""
        async with asyncio.timeout(wait):
            while not self.waiting:
                data = await self.reader.read(65536)
                if not data:
                    return None
                self.rest += data
                found, used = split(self.rest)
                self.rest = self.rest[used:]
                self.waiting = [frame(apdu) for apdu in found]
        found = self.waiting.pop(0)
        self.got += found.format == "I"
        if self.polite and found.format == "I":
            self.acknowledge()
        return found

    async def until(self, wanted, wait=5.0):
        """The first frame that fits, and the ones before it."""
        seen = []
        while (found := await self.frame(wait)) is not None:
            seen.append(found)
            if wanted(found):
                return found, seen
        raise AssertionError(f"the connection ended after {seen}")

    async def start(self):
        self.write(STARTDT)
        await self.until(lambda f: f.function == Function.STARTDT_CON)

    async def ended(self, wait=5.0):
        """Whether the other side has ended the connection."""
        with suppress(ConnectionError):
            while await self.frame(wait) is not None:
                pass
        return True


@asynccontextmanager
async def raw(port, local="", buffer=None):
    end = socket.socket()
    if buffer:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    end.bind((local, 0))
    end.connect(("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=end, limit=buffer or 2**16)
    try:
        yield RawPeer(reader, writer)
    finally:
        writer.close()
        with suppress(ConnectionError, TimeoutError):
            await writer.wait_closed()
