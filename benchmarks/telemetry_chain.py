# SPDX-License-Identifier: Apache-2.0
"""The whole chain: a simulated field with 20,000 meters, over IEC 104, checks and bus, into history; two processes.

    python benchmarks/telemetry_chain.py --json            ten minutes
    python benchmarks/telemetry_chain.py --json --short    one minute

The case is generated: the stations of Turkmenistan, each meter as often as it takes to make 20,000, every one scanned
once a second over IEC 104. The field runs in a process of its own at the pace of the clock; the collector is this one.
For a window of time both sides add up a number and a checksum of (tag, time, value): one of what the meters sent, the
other of what is read back from the history. Between them nothing may differ. The delay of a reading is from the time
that its meter stamped on it until the transaction that holds it is on disk. Memory is flat where the mean of the last
quarter of the window is at most 5 % above that of the second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from processes import flat, hold_to_cores, resident

import serai as sr
from serai.field.live import Field
from serai.field.scenario import Metering, Scenario
from serai.network.tables import Table
from serai.telemetry import historian
from serai.telemetry.collect import Collector
from serai.telemetry.endpoints import read_endpoints, write_endpoints
from serai.telemetry.memory import level
from serai.telemetry.points import points
from serai.telemetry.readings import MICROSECONDS, now

TAGS = 20_000
DELAY = 1.0  # bar
LONGEST = 120_000  # ms: later is counted as this
EXACT = Metering(jitter=0.0, clock=0.0, dropout=0.0, invalid=0.0, latency=0.0)  # the chain is measured, not the meters
LEAD, AFTER = 6.0, 3.0  # s before the window, and after its last reading for what is under way


def generated(tags: int):
    """Return the network whose stations report so many meters, every second, over IEC 104."""
    net = sr.read("turkmenistan")
    t = net["instruments"]
    which = np.arange(tags) % len(t)
    columns = {name: t[name][which] for name in t.columns}
    turn = np.arange(tags) // len(t)
    columns["name"] = np.array([f"{n} {k + 1}" if k else n for n, k in zip(columns["name"], turn, strict=True)])
    columns["scan"], columns["protocol"] = np.ones(tags), np.full(tags, "iec104")
    number, taken, address = {}, {}, []
    for station in columns["station"].tolist():
        common = number.setdefault(station, len(number) + 1)
        taken[station] = taken.get(station, 0) + 1
        address.append(f"{common}/{taken[station]}")
    columns["address"] = np.array(address)
    return net.with_tables(instruments=Table("instruments", columns))


class Sum:
    """Number and checksum of readings in a window, in any order and in any batches."""

    def __init__(self, net) -> None:
        listed = points(net)
        self.factor = np.array([p.factor for p in listed])
        self.offset = np.array([p.offset for p in listed])
        self.count, self.sum = 0, np.uint64(0)

    def add(self, index, time, value) -> None:
        """Add readings: which meter (n,), time [us] (n,), value [SI] (n,)."""
        sent = ((value - self.offset[index]) / self.factor[index]).astype(np.float32).view(np.uint32)
        with np.errstate(over="ignore"):
            h = index.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
            h ^= (time // 1000).astype(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F)
            h ^= sent.astype(np.uint64) * np.uint64(0x165667B19E3779F9)
            h ^= h >> np.uint64(29)
            h *= np.uint64(0xBF58476D1CE4E5B9)
            h ^= h >> np.uint64(32)
            self.sum += h.sum(dtype=np.uint64)
        self.count += len(index)


# ------------------------------------------------------------------------------------------------------------- field


class Counted(Field):
    """A field that adds up what its meters send in a window."""

    window = (0, 0)

    async def open(self) -> None:
        await super().open()
        make = self.meters.batch

        def counted(*span):
            batch = make(*span)
            inside = (batch.time >= self.window[0]) & (batch.time < self.window[1])
            self.total.add(batch.tag[inside], batch.time[inside], batch.value[inside])
            return batch

        self.meters.batch = counted


async def field(folder: Path, tags: int) -> None:
    """Run the field: say when it listens, take the window from standard input, say what was sent in it."""
    net = generated(tags)
    async with Counted(net, Scenario(metering=EXACT)) as made:
        made.total = Sum(net)
        write_endpoints(folder / "endpoints.csv", made.endpoints)
        print(json.dumps({"stations": len(made.endpoints)}), flush=True)
        running = asyncio.create_task(made.run())
        begin, end = (int(x) for x in (await asyncio.to_thread(sys.stdin.readline)).split())
        made.window, spent, behind = (begin, end), time.process_time(), made.counts["seconds behind"]
        while made.start + made.time < end / MICROSECONDS + 2.0 and not running.done():
            await asyncio.wait((running,), timeout=0.5)
        seconds = (end - begin) / MICROSECONDS + LEAD
        told = {"count": made.total.count, "sum": int(made.total.sum), **made.counts.counted}
        told["seconds behind in the window"] = made.counts["seconds behind"] - behind
        print(json.dumps({**told, "cores": round((time.process_time() - spent) / seconds, 2)}), flush=True)
        await asyncio.to_thread(sys.stdin.readline)  # the links stay until all has been taken
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


# --------------------------------------------------------------------------------------------------------- collector


class Delays:
    """Times when transactions of a history were done, against the times of the readings in them: how many by the
    millisecond, which takes the same memory from beginning to end.
    """

    def __init__(self, store) -> None:
        self.store, self.append_all, self.window = store, store.append_all, (0, 0)
        self.found, self.by_second = np.zeros(LONGEST, np.int64), {}
        store.append_all = self._append

    def _append(self, batches):
        outcomes = self.append_all(batches)
        done = now()
        for batch in batches:
            r = batch.readings
            inside = (r.time >= self.window[0]) & (r.time < self.window[1])
            late = (done - r.time[inside]) // 1000
            self.found += np.bincount(np.clip(late, 0, LONGEST - 1), minlength=LONGEST)
            if late.size:
                second = int(done - self.window[0]) // MICROSECONDS
                self.by_second[second] = max(self.by_second.get(second, 0), int(late.max()))
        return outcomes

    def quantile(self, share: float) -> float:
        """Return the delay [s] that this share of the readings keeps, to the millisecond above."""
        return float(np.searchsorted(self.found.cumsum(), share * self.found.sum()) + 1) / 1e3


async def chain(folder: Path, tags: int, seconds: float):
    """Run the chain; return what the field says and what the history holds."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--field", str(folder), "--tags", str(tags),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        await asyncio.wait_for(child.stdout.readline(), 300.0)
        net = generated(tags)
        with historian.open(folder / "history") as store:
            delays = Delays(store)
            collector = Collector(net, read_endpoints(folder / "endpoints.csv"), store)
            running = asyncio.create_task(collector.run())
            while not all(link.up for link in collector.look().links):  # noqa: ASYNC110 - links tell no event
                await asyncio.sleep(0.2)
            begin = (now() // MICROSECONDS + 1 + int(LEAD)) * MICROSECONDS  # the field makes readings 2 s ahead
            delays.window = window = (begin, begin + int(seconds) * MICROSECONDS)
            child.stdin.write(f"{window[0]} {window[1]}\n".encode())
            told, memory = asyncio.create_task(child.stdout.readline()), []
            while not told.done():
                await asyncio.wait((told,), timeout=1.0)
                if window[0] <= now() < window[1]:
                    memory.append((resident(os.getpid()), resident(child.pid)))
            await asyncio.sleep(AFTER)
            collector.end()
            await running
            child.stdin.write(b"end\n")
            told = json.loads(told.result())
            return told, kept(net, store, window), delays, np.array(memory), collector
    finally:
        if child.returncode is None:
            child.terminate()
        await child.wait()


def kept(net, store, window):
    """Return number and checksum of what is read back from the history, minute by minute."""
    total, step = Sum(net), 60 * MICROSECONDS
    index = {p.tag: k for k, p in enumerate(points(net))}
    own = np.array([index[tag] for tag in store.register])
    for at in range(window[0], window[1], step):
        r = store.read(start=at, end=min(at + step, window[1]))
        r = r.take(r.time != r.received)  # an interrogation answers without a time
        total.add(own[r.tag], r.time, r.value)
    return total


def main() -> int:
    """Run the chain and print its figures."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--json", action="store_true", help="a JSON line for each figure")
    ask.add_argument("--short", action="store_true", help="one minute instead of ten")
    ask.add_argument("--tags", type=int, default=TAGS)
    ask.add_argument("--seconds", type=float, default=None)
    ask.add_argument("--field", type=Path, help=argparse.SUPPRESS)
    given = ask.parse_args()
    hold_to_cores()
    level()  # as `serai field` and `serai collect` do
    if given.field:
        asyncio.run(field(given.field, given.tags))
        return 0
    seconds = given.seconds or (60.0 if given.short else 600.0)
    with tempfile.TemporaryDirectory() as folder:
        begun = time.process_time()
        told, held, delays, memory, collector = asyncio.run(chain(Path(folder), given.tags, seconds))
        spent = time.process_time() - begun
    work = f"{given.tags:,} tags a second, {seconds:g} s"
    wanted = int(given.tags * seconds)
    late = delays.quantile(0.99)
    checked = {name: n for name, n in collector.checks.counts.counted.items() if name != "readings"}
    rows = [
        {"work": f"{work}: sent by the meters", "figure": told["count"], "bar": wanted,
         "holds": told["count"] == wanted},
        {"work": f"{work}: read back from history", "figure": held.count, "bar": told["count"],
         "holds": held.count == told["count"]},
        {"work": f"{work}: checksums of tag, time and value agree", "figure": int(int(held.sum) == told["sum"]),
         "bar": 1, "holds": int(held.sum) == told["sum"]},
        {"work": f"{work}: sensor to stored, p99 [s]", "figure": round(late, 3), "bar": DELAY, "holds": late <= DELAY},
        *flat(work, memory, ("collector", "field")),
    ]  # fmt: skip
    about = {
        "p50_s": delays.quantile(0.5),
        "max_s": delays.quantile(1.0),
        "worst_second_ms": dict(sorted(delays.by_second.items(), key=lambda x: -x[1])[:20]),
        "collector_cores": round(spent / (seconds + LEAD + AFTER), 2),
        "collector_mb": np.rint(memory[:: max(1, len(memory) // 20), 0] / 1e6).tolist(),
        "flags": checked,
        "field": told,
        "collect": dict(collector.counts.counted),
    }
    for row in rows:
        print(json.dumps(row) if given.json else f"{row['figure']:>16,}  {row['work']}  (bar {row['bar']})")
    print(json.dumps(about) if given.json else about, file=sys.stderr)
    return 0 if all(row["holds"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
