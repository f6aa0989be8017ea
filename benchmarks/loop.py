# SPDX-License-Identifier: Apache-2.0
"""The live loop under load: 20,000 tags a second, 200 event clients, on two cores.

    python benchmarks/loop.py --json              twenty minutes
    python benchmarks/loop.py --json --short      two minutes
    python benchmarks/loop.py --json --minutes 60

The case is generated: the instruments of Turkmenistan, each as often as it takes to make 20,000, every one read once a
second. The model's own are estimated, all are checked, held to limits and stored. Readings are handed to the collector
where its links would hand them over (what links cost stands in telemetry_chain.py). The loop, with collector, checks,
bus, history, estimate, diagnosis, alarms, look-ahead and single losses, runs in one process and its worker; the control
room's server in another; 200 signed-in clients read its event stream. All are held to the same two cores, the clients
and this program too.

A scan's time is from the moment at which it is due until it is published. Memory is flat where the mean of the last
quarter of the time is at most 5 % above that of the second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from processes import flat, hold_to_cores, resident, spent

TAGS, CLIENTS = 20_000, 200
SCAN, SERVING, HEARD = 1.0, 0.5, 0.99  # bars
WARM = 60.0  # s before the window: compiling, first estimates, signing in
PASSWORD, NAME = "twenty thousand tags a second", "bench"


# ------------------------------------------------------------------------------------------------------------- loop


def generated(network, tags: int):
    """Return the instruments of a network over and over: those of the network first, the others with a number."""
    from dataclasses import replace

    from serai.network.instruments import instruments

    own = instruments(network)
    return [replace(own[k % len(own)], tag=own[k % len(own)].tag + (f" {k // len(own) + 1}" if k >= len(own) else ""),
                    scan=1.0) for k in range(tags)]  # fmt: skip


class Made:
    """A source that hands over readings of all tags once a second: the day's steady state and noise of each class."""

    def __init__(self, network, listed, register) -> None:
        import serai as sr
        from serai.simulate.measured import measured
        from serai.telemetry.readings import Counts

        self.name, self.register, self.counts = "generated", register, Counts("generated")
        self.up, self.reason, self.ended = True, "", asyncio.Event()
        hour = (time.time() / 3600.0 + network.utc_offset) % 24.0
        truth = sr.steady(network, hour=hour)
        own = {(i.quantity, i.where): 0.0 for i in listed}
        for key in own:
            own[key] = float(np.nan_to_num(float(measured(truth, *key))))
        self.exact = np.array([own[i.quantity, i.where] for i in listed])
        self.sigma = np.array([i.sigma_at(v) for i, v in zip(listed, self.exact, strict=True)])
        self.number = register.numbers(i.tag for i in listed)
        self.random = np.random.default_rng(1)

    async def readings(self):
        from serai.telemetry.readings import Readings, now

        due = time.monotonic()
        while not self.ended.is_set():
            value = self.exact + self.sigma * self.random.standard_normal(len(self.exact))
            at = np.full(len(value), now(), np.int64)
            received = at + 1000
            for part in np.array_split(np.arange(len(value)), 20):
                quality = np.zeros(len(part), np.uint16)
                yield Readings(self.register, self.number[part], at[part], value[part], quality, received[part])
            due += 1.0
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def close(self) -> None:
        self.ended.set()


def site(folder: Path, tags: int, store, bus):
    """Return collector, loop and twin of the generated case; the readings come from `Made`."""
    from dataclasses import replace

    import serai as sr
    from serai.network.tables import Table
    from serai.telemetry.collect import Collector, _Way
    from serai.telemetry.endpoints import Endpoint
    from serai.telemetry.points import points
    from serai.telemetry.quality import Checks
    from serai.twin.__main__ import judge
    from serai.twin.live import Stored
    from serai.twin.loop import Loop, Settings
    from serai.twin.slow import Slow
    from serai.twin.twin import Around, Twin

    net = sr.read("turkmenistan")
    t = net["instruments"]
    net = net.with_tables(instruments=Table("instruments", {c: t[c] for c in t.columns} | {"scan": np.ones(len(t))}))
    listed, own = generated(net, tags), points(net)
    collector = Collector(net, [], store, bus=bus)
    of = {p.tag: p for p in own}
    every = [replace(of.get(i.tag) or of[i.tag.rsplit(" ", 1)[0]], instrument=i) for i in listed]
    collector.checks = Checks(every, collector.register)
    source = Made(net, listed, collector.register)
    way = _Way(Endpoint("generated", "iec104", "127.0.0.1", 1, "none"), ("generated",), tuple(every), source)
    collector._ways.append(way)
    collector._stations = {p.tag: "generated" for p in every}
    collector._way_of = np.zeros(len(collector.register), np.intp)
    made = Loop(net, collector.register, judge(net), watched=listed[len(own) :], settings=Settings())
    around = Around(links=collector, history=Stored(store, collector), store=store, archive=folder / "history",
                    folder=folder, slow=Slow())  # fmt: skip
    return collector, made, Twin(made, around)


async def loop(folder: Path, tags: int) -> None:
    """Run the loop until SIGTERM; say at the end how long its scans took."""
    from serai.telemetry import historian
    from serai.telemetry.bus import InProcess
    from serai.twin.live import feed
    from serai.twin.server import Server

    ended, took, running = asyncio.Event(), [], asyncio.get_running_loop()
    running.add_signal_handler(signal.SIGTERM, ended.set)
    with historian.open(folder / "history") as store:
        bus = InProcess()
        readings = await bus.subscribe("twin")
        collector, made, twin = site(folder, tags, store, bus)
        async with Server(twin, folder / "s"):
            tasks = [asyncio.create_task(collector.run()), asyncio.create_task(feed(made, readings))]
            print(json.dumps({"tags": len(made.latest)}), flush=True)
            due = running.time()
            while not ended.is_set():
                await twin.beat(time.time())
                took.append((time.time(), running.time() - due))
                due = max(due + 1.0, running.time() - 1.0)
                twin.behind = max(0.0, running.time() - due)
                await asyncio.sleep(max(0.0, due - running.time()))
            health = await twin.health()
            collector.end()
            await asyncio.gather(tasks[0], return_exceptions=True)
            tasks[1].cancel()
            await twin.close()
        told = {"took": took, "stages": health["loop"]["stages"], "counts": health["loop"]["counts"],
                "quality": health["quality"], "stored": collector.stored, "came": collector.counts["readings"],
                "flags": dict(collector.checks.counts.counted)}  # fmt: skip
        (folder / "told.json").write_text(json.dumps(told))


# ---------------------------------------------------------------------------------------------------------- clients


class Client:
    """One signed-in browser's event stream: counts scans, and how old each was when it came."""

    def __init__(self) -> None:
        self.scans, self.ages, self.lost = 0, [], 0

    async def run(self, port: int, cookie: str) -> None:
        while True:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
            try:
                writer.write(
                    f"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nCookie: serai_session={cookie}\r\n"
                    "Accept: text/event-stream\r\n\r\n".encode()
                )
                head = await reader.readuntil(b"\r\n\r\n")
                if b" 200 " not in head.split(b"\r\n", 1)[0]:
                    raise RuntimeError(head.decode(errors="replace")[:300])
                while line := await reader.readline():
                    if line.startswith(b"event: scan"):
                        self.scans += 1
                    elif line.startswith(b"data:") and self.scans % 20 == 0 and b'"made":"' in line[:4000]:
                        at = line.index(b'"made":"') + 8
                        self.ages.append(time.time() - stamp(line[at : at + 24].decode()))
            finally:
                writer.close()
            self.lost += 1


def stamp(text: str) -> float:
    """Return the time [s] of 2026-11-22T12:00:00.000Z."""
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()


def sign_in(port: int) -> str:
    """Return the cookie of a session."""
    import http.client

    link = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    body = json.dumps({"name": NAME, "password": PASSWORD})
    link.request("POST", "/api/v1/session", body, {"Content-Type": "application/json"})
    answer = link.getresponse()
    text = answer.read().decode(errors="replace")
    if answer.status != 200:
        raise RuntimeError(f"signing in: {answer.status} {text[:300]}")
    return answer.headers["Set-Cookie"].split("serai_session=")[1].split(";")[0]


async def started(child, what: str, patience: float = 300.0) -> str:
    """Return the first line that a child prints."""
    line = await asyncio.wait_for(child.stdout.readline(), patience)
    if not line:
        raise RuntimeError(f"{what} ended before it began")
    return line.decode().strip()


async def measure(folder: Path, minutes: float, tags: int, clients: int):
    """Run loop, room and clients; return what each says."""
    from serai.accounts import Accounts

    (folder / "room").mkdir(mode=0o700)
    people = Accounts(folder / "room" / "accounts.sqlite", lambda *_: None)
    people.add(NAME, ["viewer"], by="benchmark", password=PASSWORD)
    people.close()
    pipe = asyncio.subprocess.PIPE
    running = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--loop", str(folder), "--tags", str(tags), stdout=pipe
    )
    room = None
    try:
        await started(running, "the loop")
        room = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "serai.room", "--socket", str(folder / "s"), "--folder", str(folder / "room"),
            "--port", "0", stdout=pipe, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        port = int((await started(room, "the room")).rsplit(":", 1)[1])
        cookie = await asyncio.to_thread(sign_in, port)
        made = [Client() for _ in range(clients)]
        reading = [asyncio.create_task(c.run(port, cookie)) for c in made]
        await asyncio.sleep(WARM)
        for task in reading:
            if task.done():
                task.result()
        begin, first = time.time(), [c.scans for c in made]
        served, memory = spent(room.pid), []
        while time.time() < begin + 60.0 * minutes:
            memory.append((resident(running.pid), resident(room.pid)))
            await asyncio.sleep(1.0)
        end, last = time.time(), [c.scans for c in made]
        served = (spent(room.pid) - served) / (end - begin)
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
        running.terminate()
        await asyncio.wait_for(running.wait(), 120.0)
        told = json.loads((folder / "told.json").read_text())
        took = np.array([s for at, s in told["took"] if begin <= at < end])
        heard = (np.array(last) - np.array(first)) / max(1, len(took))
        ages = np.concatenate([c.ages for c in made]) if any(c.ages for c in made) else np.array([np.nan])
        return took, served, np.array(memory), heard, ages, told, sum(c.lost for c in made)
    finally:
        for child in (room, running):
            if child is not None and child.returncode is None:
                child.terminate()
                await child.wait()


def main() -> int:
    """Measure and print."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--json", action="store_true", help="a JSON line for each figure")
    ask.add_argument("--short", action="store_true", help="two minutes instead of twenty")
    ask.add_argument("--minutes", type=float, default=None)
    ask.add_argument("--tags", type=int, default=TAGS)
    ask.add_argument("--clients", type=int, default=CLIENTS)
    ask.add_argument("--loop", type=Path, help=argparse.SUPPRESS)
    given = ask.parse_args()
    hold_to_cores()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # its children end with it
    if given.loop:
        from serai.telemetry import memory

        memory.level()  # as the processes of a site do
        asyncio.run(loop(given.loop, given.tags))
        return 0
    minutes = given.minutes or (2.0 if given.short else 20.0)
    with tempfile.TemporaryDirectory(prefix="serai-") as folder:
        took, served, memory, heard, ages, told, lost = asyncio.run(
            measure(Path(folder), minutes, given.tags, given.clients)
        )
    p50, p99 = np.quantile(took, [0.5, 0.99])
    work = f"{given.tags:,} tags at 1 Hz, {given.clients} clients, {minutes:g} min"
    rows = [
        {"work": f"{work}: scan, due to published, p99 [s]", "figure": round(float(p99), 3), "bar": SCAN,
         "holds": bool(p99 <= SCAN), "p50": round(float(p50), 3), "max": round(float(took.max()), 3)},
        {"work": f"{work}: the room's server [cores]", "figure": round(served, 3), "bar": SERVING,
         "holds": served <= SERVING},
        {"work": f"{work}: scans that the worst client got [share]", "figure": round(float(heard.min()), 4),
         "bar": HEARD, "holds": bool(heard.min() >= HEARD), "connections_lost": lost,
         "age_p99_s": round(float(np.nanquantile(ages, 0.99)), 3)},
        *flat(work, memory, ("loop", "room")),
        {"work": f"{work}: readings that came and are not in history", "figure": told["came"] - told["stored"],
         "bar": 0, "holds": told["came"] == told["stored"]},
    ]  # fmt: skip
    about = {k: told[k] for k in ("stages", "counts", "quality", "flags")}
    about["memory_mb"] = np.rint(memory[:: max(1, len(memory) // 20)] / 1e6).tolist()
    for row in rows:
        print(json.dumps(row) if given.json else f"{row['figure']:>12}  {row['work']}  (bar {row['bar']})")
    print(json.dumps(about), file=sys.stderr)
    return 0 if all(row["holds"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
