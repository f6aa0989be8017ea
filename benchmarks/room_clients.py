# SPDX-License-Identifier: Apache-2.0
"""Event clients of the control room: 200 that read, and 1,000 that read nothing beside one that does.

    python benchmarks/room_clients.py --json            # about five minutes
    python benchmarks/room_clients.py --json --short    # 40 seconds

The room is a process of its own with a loop of its own over a real socket; clients are raw sockets in this process,
which take gzip as browsers do. Figures: processor time of the room in shares of one core, its memory before and after.
Bars: 200 clients of 20,000 values each second take at most half a core and none misses a scan; 1,000 clients that read
nothing cost at most 200 MB, and one that reads beside them misses no scan. Values are those of a solved network with
the noise of its meters, new in every scan, so that they pack as live ones do.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import resource
import sys
import tempfile
import time
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import numpy as np

from accounts.opened import WORDS, opened
from room.small_desk import SmallDesk
from serai.room import Options, create, serve, trail

VALUES = 20_000


class NoisyDesk(SmallDesk):
    """A desk of many places, whose meters are noisy; the scans are made before, so that making them is not measured."""

    def __init__(self, places: int) -> None:
        super().__init__(places=places)
        rng = np.random.default_rng(1)
        true = np.array([value for *_, value in self.rows])
        noisy = [np.round(true + 0.05 * rng.standard_normal((2, len(true))), 2).tolist() for _ in range(16)]
        sigma = np.round(0.01 + 0.05 * rng.random(len(true)), 3).tolist()
        self._made = [
            {"estimate": estimate, "measured": measured, "sigma": sigma} for estimate, measured in noisy
        ]  # fmt: skip

    def _scan(self, time):
        return {**super()._scan(time), **self._made[self.sequence % len(self._made)]}


def room(folder: str, pipe, period: float) -> None:
    """Serve a room whose desk makes a scan every `period` s; sends its port and a token, ends with the pipe."""
    audit = trail.opened(Path(folder), "room")
    accounts, clock, _ = opened(Path(folder))
    clock.now = time.time()
    accounts._append = audit.append
    accounts.first(accounts.first_link(), "admin-one", WORDS)
    accounts.add("vera", ["viewer"], by="admin-one", password=WORDS)
    desk = NoisyDesk(VALUES)
    app = create(desk, accounts, audit, Options(page=Path(folder)))

    async def run() -> None:
        listening = serve.listen("127.0.0.1", 0, None)
        server = serve.server(app)
        pipe.send((listening.getsockname()[1], accounts.sign_in("vera", WORDS, "127.0.0.1")))

        async def beat() -> None:
            while not server.should_exit:
                await asyncio.sleep(period)
                desk.tick()
                if pipe.poll():
                    if pipe.recv() == "end":
                        server.should_exit = True
                    else:
                        used = resource.getrusage(resource.RUSAGE_SELF)
                        pipe.send((used.ru_utime + used.ru_stime, memory(), len(app.state.room.hub.clients)))

        await asyncio.gather(server.serve(sockets=[listening]), beat())

    asyncio.run(run())


def memory() -> float:
    """Return the resident memory of this process [MB]."""
    text = Path("/proc/self/status").read_text(encoding="ascii")
    return int(text.partition("VmRSS:")[2].split()[0]) / 1024.0


def asking(port: int, token: str) -> bytes:
    return (
        f"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nCookie: serai_session={token}\r\n"
        "Accept-Encoding: gzip\r\n\r\n"
    ).encode()


async def reading(port: int, token: str, seen: list[tuple[int, float]], stop: asyncio.Event, *, whole: bool) -> None:
    """Read a stream until told to stop; note the numbers of the scans and when they came."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    writer.write(asking(port, token))
    await reader.readuntil(b"\r\n\r\n")
    unpack, text = zlib.decompressobj(wbits=31), b""
    while not stop.is_set():
        try:
            size = int(await asyncio.wait_for(reader.readline(), 2.0), 16)
        except TimeoutError:
            continue
        piece = (await reader.readexactly(size + 2))[:-2]
        if not whole:  # to unpack in 200 readers of one process would measure them
            seen.append((size, time.monotonic()))
            continue
        text += unpack.decompress(piece)
        while b"\n\n" in text:
            event, _, text = text.partition(b"\n\n")
            if b"event: scan" in event:
                seen.append((json.loads(event.partition(b"data: ")[2])["sequence"], time.monotonic()))
    writer.close()


class Silent(asyncio.Protocol):
    """A client that asks and then reads nothing."""

    def __init__(self, request: bytes) -> None:
        self.request = request

    def connection_made(self, transport) -> None:
        transport.pause_reading()
        transport.write(self.request)


async def measured(pipe) -> tuple[float, float, int]:
    pipe.send("figures")
    return await asyncio.to_thread(pipe.recv)


async def readers(port: int, token: str, pipe, seconds: float, clients: int) -> dict:
    """Return what `clients` readers cost in so many seconds."""
    stop, seen = asyncio.Event(), [[] for _ in range(clients)]
    tasks = [asyncio.create_task(reading(port, token, seen[k], stop, whole=k == 0)) for k in range(clients)]
    await asyncio.sleep(5.0)
    began, before, _ = await measured(pipe)
    at = time.monotonic()
    await asyncio.sleep(seconds)
    used, after, open_ = await measured(pipe)
    wall = time.monotonic() - at
    stop.set()
    await asyncio.gather(*tasks)
    scans = [n for n, _ in seen[0]]
    return {
        "share": (used - began) / wall, "before": before, "after": after, "open": open_,
        "missed": scans[-1] - scans[0] + 1 - len(scans), "scans": len(scans),
        "bytes": sum(n for n, _ in seen[-1]) / len(scans),
    }  # fmt: skip


async def silent(port: int, token: str, pipe, seconds: float, clients: int) -> dict:
    """Return what `clients` that read nothing cost, and what one that reads still gets."""
    _, before, _ = await measured(pipe)
    loop, request = asyncio.get_running_loop(), asking(port, token)
    stop, seen = asyncio.Event(), []
    task = asyncio.create_task(reading(port, token, seen, stop, whole=True))
    while not seen:  # noqa: ASYNC110 - filled by another task
        await asyncio.sleep(0.1)
    links = [(await loop.create_connection(lambda: Silent(request), "127.0.0.1", port))[0] for _ in range(clients)]
    await asyncio.sleep(seconds)
    _, after, open_ = await measured(pipe)
    stop.set()
    await task
    scans = [n for n, _ in seen]
    for link in links:
        link.abort()
    await asyncio.sleep(3.0)
    _, end, left = await measured(pipe)
    return {
        "before": before, "after": after, "end": end, "open": open_, "left": left,
        "missed": scans[-1] - scans[0] + 1 - len(scans), "scans": len(scans),
    }  # fmt: skip


def rows(*, short: bool) -> list[dict]:
    """Return the rows of this benchmark."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    with tempfile.TemporaryDirectory() as folder:
        process = context.Process(target=room, args=(folder, theirs, 1.0))
        process.start()
        port, token = ours.recv()
        many = asyncio.run(readers(port, token, ours, 10.0 if short else 120.0, 200))
        slow = asyncio.run(silent(port, token, ours, 12.0 if short else 100.0, 1000))
        ours.send("end")
        process.join(20)
        process.kill()
    work = f"{VALUES:,} values each second ({many['bytes'] / 1024:.0f} kB packed)"
    return [
        row(f"200 event clients, {work}: share of one core", many["share"], 0.5),
        row(f"200 event clients, {work}: scans of {many['scans']} that a reader missed", many["missed"], 0),
        row(f"200 event clients, {work}: memory gained in the run [MB]", many["after"] - many["before"], 20.0),
        row(f"1,000 clients that read nothing ({slow['open']} open): memory gained [MB]",
            slow["after"] - slow["before"], 200.0),
        row(f"beside them: scans of {slow['scans']} that a reader missed", slow["missed"], 1),
        row("streams left open after they went", slow["left"], 0),
    ]  # fmt: skip


def row(work: str, figure: float, bar: float) -> dict:
    return {"work": work, "figure": round(figure, 3), "bar": bar, "holds": figure <= bar}


def main() -> int:
    """Print the rows; 1 when one falls short."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="a JSON line each")
    parser.add_argument("--short", action="store_true", help="40 seconds")
    given = parser.parse_args()
    found = rows(short=given.short)
    for line in found:
        print(json.dumps(line) if given.json else f"{line['work']:90s} {line['figure']:10} (bar {line['bar']})")
    return 0 if all(line["holds"] for line in found) else 1


if __name__ == "__main__":
    sys.exit(main())
