# SPDX-License-Identifier: Apache-2.0
"""Trials in which something is killed with SIGKILL while readings are stored; shared by the test and the benchmark.

What a batch holds follows from its number, so it can be made again and compared without a second record of it.
As a program, `kill_trials.py FOLDER FIRST` is the writer: it stores batches from number FIRST on, seals, publishes and
compacts in between, and prints the number of each batch after `append` has returned.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import subprocess
import sys
import threading
import time
from functools import partial

import numpy as np

from serai.errors import NotStored
from serai.telemetry import historian
from serai.telemetry.bus import Batch
from serai.telemetry.historian import Outcome
from serai.telemetry.historian.ingest import Ingest, Pace
from serai.telemetry.readings import Readings, Register, joined

MINUTE = 60_000_000
START = 1_795_348_800_000_000
TAGS = Register(f"tag {k}" for k in range(50))


def batch(number):
    """The batch of a number: 1 to 5,000 readings of 50 tags around its own minute, none at a time of another batch."""
    rng = np.random.default_rng(number)
    size = int(rng.choice([1, 40, 5000]))
    tag = rng.integers(0, 50, size).astype(np.int32)
    at = START + number * MINUTE + np.arange(size)
    late = rng.random(size) < 0.01
    at[late] -= 180 * MINUTE  # an hour that may be sealed; the place in its minute is the batch's own
    at += 5000 * (number % 12_000)
    return Batch(str(number), "kill", Readings(TAGS, tag, at, rng.standard_normal(size), tag.astype(np.uint16), at + 7))


def write(folder, first):
    """The writer that is killed."""
    clock = iter(range(START + first * MINUTE, 1 << 60, MINUTE)).__next__
    with historian.open(folder, clock=clock) as history:
        for number in range(first, 1 << 30):
            b = batch(number)
            history.append(b.id, b.readings, b.source)
            print(number, flush=True)
            if number % 7 == 0:
                history.publish()
            if number % 30 == 0:
                history.seal(START + (number - 90) * MINUTE)
            if number % 100 == 0:
                history.compact()


def content(readings):
    """Readings as columns in one order: tag (by `TAGS`), time, value, quality, received."""
    tag = TAGS.numbers(readings.register)[readings.tag]
    order = np.lexsort((tag, readings.time))
    columns = (tag, readings.time, readings.value, readings.quality, readings.received)
    return [column[order] for column in columns]


def wrong(history, numbers):
    """What is wrong with a history that holds the batches of these numbers, once each; nothing = []."""
    faults = history.verify()
    found = sorted(int(line) for line in history.ledger().column("batch").to_pylist())
    if found != sorted(numbers):
        faults.append(f"ledger: {len(set(numbers) - set(found))} lost, {len(set(found) - set(numbers))} too many")
    every = joined([batch(n).readings for n in numbers])
    sent, got = content(every), content(history.read())
    if len(history.versions()) != len(every):
        faults.append(f"{len(history.versions())} rows instead of {len(every)}")
    elif not all(np.array_equal(a, b) for a, b in zip(sent, got, strict=True)):
        faults.append("rows differ from those that were sent")
    return faults


def kill_writer(folder, trials, seed=0, most=60):
    """Kill a writer `trials` times; returns (batches, how many were committed but not acknowledged, faults)."""
    rng = random.Random(seed)
    done, unacknowledged, faults = 0, 0, []
    for trial in range(trials):
        writer = subprocess.Popen([sys.executable, __file__, str(folder), str(done)], stdout=subprocess.PIPE, text=True)
        wanted = rng.randint(0, most)  # how many acknowledgements to see, then a moment anywhere in what follows
        lines = []
        for line in writer.stdout:
            lines.append(int(line))
            if len(lines) >= wanted:
                break
        time.sleep(rng.random() * 0.05)
        writer.kill()
        lines += [int(line) for line in writer.stdout.read().split()]
        writer.wait()
        writer.stdout.close()
        acknowledged = max(lines, default=done - 1) + 1
        with historian.open(folder, clock=partial(int, START + acknowledged * MINUTE)) as history:
            stored = history.ledger().num_rows
            if not acknowledged <= stored <= acknowledged + 1:
                faults.append(f"trial {trial}: {acknowledged} acknowledged, {stored} stored")
            unacknowledged += stored - acknowledged
            again = batch(acknowledged)  # what a source does that got no answer: it sends the batch again
            outcome = history.append(again.id, again.readings, again.source)
            if outcome is not (Outcome.REPEATED if stored > acknowledged else Outcome.STORED):
                faults.append(f"trial {trial}: sent again, {outcome}")
            done = acknowledged + 1
            if trial % 10 == 9 or trial == trials - 1:
                faults += [f"trial {trial}: {fault}" for fault in wrong(history, range(done))]
    return done, unacknowledged, faults


def kill_postgres(server, history, trials, seed=0):
    """Kill the server `trials` times while batches are stored, each again until it is; returns (batches, faults)."""
    rng = random.Random(seed)
    stop, number = threading.Event(), 0

    def killer():
        for _ in range(trials):
            seen = number
            while number < seen + 3:  # between two kills something is stored, also on a slow machine
                time.sleep(0.01)
            time.sleep(rng.random() * 0.5)
            server.kill()
            server.start()
        stop.set()

    thread = threading.Thread(target=killer)
    thread.start()
    try:
        while not stop.is_set():
            b = batch(number)
            try:
                history.append(b.id, b.readings, b.source)
            except NotStored as error:
                assert error.reason == "server lost", error  # noqa: PT017 - every error but this one ends the trial
                time.sleep(0.02)
            else:
                number += 1
    finally:
        thread.join()
    return number, wrong(history, range(number))


async def kill_nats(server, connect, history, trials, seed=0):
    """Kill the server `trials` times between publisher and ingest; returns (batches, repeated, faults)."""
    rng = random.Random(seed)
    sender, receiver = await connect(server.url, again_after=2.0), await connect(server.url)
    stage = Ingest(await receiver.subscribe("historian"), history, Pace(seconds=0.05))
    running = asyncio.create_task(stage.run())
    number, killed = 0, 0
    moment = time.monotonic() + rng.random() * 0.5
    while killed < trials:
        await sender.publish(batch(number))
        number += 1
        if time.monotonic() > moment:
            server.kill()
            await asyncio.sleep(rng.random() * 0.1)
            server.start()
            killed += 1
            moment = time.monotonic() + rng.random() * 0.5
    await sender.flush()
    until = time.monotonic() + 60
    while stage.counts["batches: stored"] < number and time.monotonic() < until:  # noqa: ASYNC110 - counts tell no one
        await asyncio.sleep(0.05)
    stage.end()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    await sender.close()
    await receiver.close()
    return number, stage.counts["batches: repeated"], wrong(history, range(number))


if __name__ == "__main__":
    write(sys.argv[1], int(sys.argv[2]))
