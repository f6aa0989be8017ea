# SPDX-License-Identifier: Apache-2.0
"""The historian on both engines: a day of 1,200 tags every 10 seconds, 10 million rows in batches of 20,000.

Writing is timed from the first `append_all` to the return of the last: batches go in groups of six to a transaction,
as the ingest stage sends them when it has a backlog; each is acknowledged by the commit (fsync on). A line below says
what one batch to a transaction gives. Sealing (DuckDB: sort, Parquet, hash, fsync; PostgreSQL: B-tree and CLUSTER) is
off that path and timed on its own line. Reading is timed on the sealed day, the median of 21 reads of different tags or
instants. Then content: the rows of every tag, sums that are computed from what was sent, the ledger, and every hash.

    python benchmarks/historian.py [--json] [--short] [--engine duckdb|postgresql]

`--short` is a tenth of the day. Exit status 1 when a figure or the content is off.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from serai.telemetry import historian
from serai.telemetry.bus import Batch
from serai.telemetry.historian.rows import HOUR
from serai.telemetry.readings import Readings, Register
from telemetry.historian.local_postgres import LocalPostgres

TAGS, SCAN, ROWS, GROUP = 1200, 10_000_000, 20_000, 6
START = 1_795_305_600_000_000  # 2026-11-22T00:00Z
DAY = 24 * HOUR
BARS = {"DuckDB": 5.0, "PostgreSQL": 0.5}  # million rows a second
ONE_TAG, ONE_INSTANT = 20.0, 50.0  # ms


def day(rows):
    """Yield the day in batches: slow waves with meter noise of class 0.2, some of bad quality, jitter on receipt."""
    rng = np.random.default_rng(20261122)
    register = Register(f"station {k // 24:02d}/point {k % 24:02d}" for k in range(TAGS))
    size = 10.0 ** rng.uniform(0, 7, TAGS)
    phase = rng.uniform(0, 2 * np.pi, TAGS)
    for first in range(0, rows, ROWS):
        k = np.arange(first, min(first + ROWS, rows))
        tag = (k % TAGS).astype(np.int32)
        at = START + (k // TAGS) * SCAN + rng.integers(0, 50_000, len(k))
        wave = 1.0 + 0.1 * np.sin(2 * np.pi * (at - START) / DAY + phase[tag])
        value = size[tag] * (wave + 0.002 * rng.standard_normal(len(k)))
        quality = np.where(rng.random(len(k)) < 0.001, 0x40, 0).astype(np.uint16)
        yield Batch(f"day {first // ROWS}", "a country", Readings(
            register, tag, at, value, quality, at + rng.integers(1_000, 400_000, len(k))
        ))  # fmt: skip


def truth(batches):
    """Return what must come back: rows and sums of values of each tag, and the sums of times and qualities."""
    count, total = np.zeros(TAGS, np.int64), np.zeros(TAGS)
    times, quality = 0, 0
    for b in batches:
        r = b.readings
        count += np.bincount(r.tag, minlength=TAGS)
        total += np.bincount(r.tag, weights=r.value, minlength=TAGS)
        times += int((r.time - START).sum()) + int((r.received - START).sum())
        quality += int(r.quality.sum())
    return count, total, times, quality


def found(history):
    """Return the same from the history, hour by hour."""
    count, total = np.zeros(TAGS, np.int64), np.zeros(TAGS)
    times, quality = 0, 0
    numbers = history.register.numbers(f"station {k // 24:02d}/point {k % 24:02d}" for k in range(TAGS))
    back = np.argsort(numbers)
    for start, end in history.windows():
        r = history.read(None, start, end)
        tag = back[r.tag]
        count += np.bincount(tag, minlength=TAGS)
        total += np.bincount(tag, weights=r.value, minlength=TAGS)
        times += int((r.time - START).sum()) + int((r.received - START).sum())
        quality += int(r.quality.sum())
    return count, total, times, quality


def same(a, b):
    """Return whether counts, times and qualities are equal, and sums of values up to the order of adding."""
    return bool((a[0] == b[0]).all() and np.allclose(a[1], b[1], rtol=1e-9, atol=0) and a[2:] == b[2:])


def milliseconds(read, times=21):
    """Return the median time [ms] of `read(k)`, and the first."""
    taken = []
    for k in range(times):
        begin = time.perf_counter()
        read(k)
        taken.append(1e3 * (time.perf_counter() - begin))
    return float(np.median(taken)), taken[0]


def measure(history, beside, batches, tell):
    """Write, seal, read and check one history (`beside` is another, for single batches); returns whether all hold."""
    rows = sum(len(b.readings) for b in batches)
    name = history.engine.name
    clock = time.perf_counter()
    slowest = 0.0
    for k in range(0, len(batches), GROUP):
        begin = time.perf_counter()
        outcomes = history.append_all(batches[k : k + GROUP])
        slowest = max(slowest, time.perf_counter() - begin)
        assert all(o is historian.Outcome.STORED for o in outcomes)
    seconds = time.perf_counter() - clock
    rate = rows / seconds / 1e6
    ok = tell(f"{name}: million rows/s written", rate, BARS[name], at_least=True, slowest_commit_ms=1e3 * slowest)
    single = [Batch(f"single {k}", b.source, b.readings) for k, b in enumerate(batches[:25])]
    begin = time.perf_counter()
    for b in single:
        beside.append(b.id, b.readings, b.source)
    one = sum(len(b.readings) for b in single) / (time.perf_counter() - begin) / 1e6
    tell(f"{name}: million rows/s with one batch of 20,000 to a transaction", one, None)
    begin = time.perf_counter()
    sealed = history.seal(START + 2 * DAY)
    tell(f"{name}: seconds of sealing {sealed} rows, off the hot path", time.perf_counter() - begin, None)
    names = list(history.register)
    last = START + rows // TAGS * SCAN
    median, first = milliseconds(lambda k: history.read([names[(k * 577) % TAGS]], START, last))
    ok &= tell(f"{name}: ms for one tag over the day", median, ONE_TAG, first_ms=first)
    median, first = milliseconds(lambda k: history.snapshot(START + (k + 1) * (last - START) // 22))
    ok &= tell(f"{name}: ms for all tags at one instant", median, ONE_INSTANT, first_ms=first)
    again = history.append_all(batches[:3])
    right = (
        same(truth(batches), found(history))
        and history.verify() == []
        and history.ledger().num_rows == len(batches)
        and all(o is historian.Outcome.REPEATED for o in again)
        and len(history.snapshot(last)) == TAGS
    )
    return tell(f"{name}: content as it was sent, ledger, no row twice", right, True) and ok


def main():
    """Measure the engines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one line of JSON for each figure")
    parser.add_argument("--short", action="store_true", help="a tenth of the day")
    parser.add_argument("--engine", choices=["duckdb", "postgresql"], help="only this one")
    arguments = parser.parse_args()

    def tell(work, figure, bar, *, at_least=False, **more):
        holds = bar is None or (figure >= bar if at_least else figure == bar if bar is True else figure <= bar)
        row = {"work": work, "figure": figure, "bar": bar, "holds": bool(holds), **more}
        print(
            json.dumps(row)
            if arguments.json
            else f"{work}: {figure}, bar {bar}, {'holds' if holds else 'FALLS SHORT'}",
            flush=True,
        )
        return bool(holds)

    rows = 10_000_000 // (10 if arguments.short else 1)
    batches = list(day(rows))
    ok = True
    if arguments.engine != "postgresql":
        folder = Path(tempfile.mkdtemp(prefix="serai-historian-"))
        try:
            with historian.open(folder / "day") as history, historian.open(folder / "single") as beside:
                ok &= measure(history, beside, batches, tell)
        finally:
            shutil.rmtree(folder)
    if arguments.engine != "duckdb":
        server = LocalPostgres()
        try:
            with historian.open(server.url) as history, historian.open(server.url, schema="single") as beside:
                ok &= measure(history, beside, batches, tell)
        finally:
            server.stop()
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
