# SPDX-License-Identifier: Apache-2.0
"""Frames that no station would send, into both stations' links without sockets: nothing may crash, hang or grow."""

import asyncio
import random
import time
from pathlib import Path

import numpy as np

from serai.telemetry.iec104 import ControlledStation, ControllingStation, InformationObject, TypeId
from serai.telemetry.iec104.apci import Function, i_frame, s_frame, u_frame
from serai.telemetry.iec104.asdu import Asdu, octets
from serai.telemetry.iec104.controlled import Session
from serai.telemetry.iec104.link import Link, Settings
from serai.telemetry.iec104.outbox import Outbox
from serai.telemetry.iec104.types import LAYOUTS

POINTS = [InformationObject(k, TypeId(n)) for k, n in enumerate(sorted(LAYOUTS), start=1) if n <= 40 or 45 <= n <= 64]
SETTINGS = Settings(inbox=256)


class Nowhere(asyncio.Transport):
    """A transport into nothing."""

    def __init__(self, protocol):
        super().__init__()
        self.protocol, self.octets, self.over = protocol, 0, False

    def write(self, data):
        self.octets += len(data)

    def close(self):
        if not self.over:
            self.over = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    abort = close

    def get_extra_info(self, _name, default=None):
        return default

    def set_write_buffer_limits(self, high=None, low=None):
        pass

    def pause_reading(self):
        pass

    resume_reading = pause_reading


class Fuzzer:
    """Makes frames from a seed: whole ones of every type, then broken in some way, then in a stream."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def unit(self):
        """Octets of an ASDU that is right but for what is in it, three times out of four."""
        r = self.random
        number = r.choice([*LAYOUTS, r.randrange(256)])
        size = LAYOUTS[number].element.itemsize if number in LAYOUTS else r.randrange(12)
        sequence, count = r.random() < 0.3, r.choice([1, 1, 1, 0, 2, 5, r.randrange(128)])
        length = (3 + count * size if count else 0) if sequence else count * (3 + size)
        body = r.choice([1, r.randrange(60)]).to_bytes(3, "little") + r.randbytes(max(0, length - 3))
        cause = r.choice([3, 6, 7, 8, 10, 20, r.randrange(64)])
        common = r.choice([1, 1, 0xFFFF, r.randrange(65536)])
        return octets(Asdu(number, cause, common, body[:length], count, sequence, r.random() < 0.1))[:249]

    def broken(self, apdu):
        """The octets with one thing wrong."""
        r = self.random
        made = bytearray(apdu)
        how = r.randrange(6)
        at = r.randrange(len(made))
        if how == 0:
            made[at] ^= 1 << r.randrange(8)
        elif how == 1:
            del made[at:]
        elif how == 2:
            made[at:at] = r.randbytes(r.randrange(1, 8))
        elif how == 3:
            made[at] = r.choice([0, 0xFF, 0x68, 0x80, 0x7F])
        elif how == 4:
            made = bytearray(r.randbytes(r.randrange(1, 40)))
        else:
            made[1] = r.randrange(256)
        return bytes(made)

    def stream(self, frames, send, receive):
        """Octets of some frames, numbers right at first."""
        r = self.random
        parts = []
        for _ in range(frames):
            kind = r.random()
            if kind < 0.85:
                parts.append(i_frame(send % 32768, receive % 32768, self.unit()))
                send += 1
            elif kind < 0.93:
                parts.append(s_frame(receive % 32768))
            else:
                parts.append(u_frame(r.choice(list(Function))))
            if r.random() < 0.12:
                parts[-1] = self.broken(parts[-1])
        return b"".join(parts)


def resident():
    """Resident memory of this process [MB]."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


async def fuzz(frames, seed=0):
    """Send frames; return counts of both sides, the longest time of one stream [s] and memory [MB] at tenths."""

    async def act(request):
        return request.value > 0

    fuzzer, r = Fuzzer(seed), random.Random(seed + 1)
    field = ControlledStation("field", {1: POINTS}, act=act, settings=SETTINGS, buffer=200)
    room = ControllingStation("room", "nowhere", settings=SETTINGS)
    done, longest, memory = 0, 0.0, []
    while done < frames:
        controlling = r.random() < 0.5
        if controlling:
            link = Link(room, Outbox(200, room.counts), SETTINGS, controlling=True, name="fuzz")
        else:
            session = Session(field, "127.0.0.1")
            field.sessions.add(session)
            link = session.link
        transport = Nowhere(link)
        link.connection_made(transport)
        if controlling:
            asked = asyncio.ensure_future(link.start())
            await asyncio.sleep(0)
        link.data_received(u_frame(Function.STARTDT_CON if controlling else Function.STARTDT_ACT))
        while not transport.over and done < frames:
            count = r.choice([1, 1, 2, 5])
            stream = fuzzer.stream(count, link._next_in, link._next_out)
            cut = r.randrange(len(stream) + 1)
            begun = time.perf_counter()
            link.data_received(stream[:cut])
            link.data_received(stream[cut:])
            for _ in range(3):
                await asyncio.sleep(0)
            done += count
            async for points in taken(room):
                assert np.isfinite(points.time).all()
            longest = max(longest, time.perf_counter() - begun)
            if len(memory) < 10 * done // frames:
                memory.append(resident())
        link.close("end of the case")
        if controlling:
            await asyncio.gather(asked, return_exceptions=True)
        await link.over
    tasks = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert not field.sessions
    return {"field": field.counts.counted, "room": room.counts.counted, "longest_s": longest, "memory_mb": memory}


async def taken(room):
    """What has come, without waiting for more."""
    if room._arrived:
        room._closed = True
        async for points in room.points():
            yield points
