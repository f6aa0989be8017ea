# SPDX-License-Identifier: Apache-2.0
"""A full disk, a lost server, a failing stage: named and counted, what was acknowledged survives, the rest goes on."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import numpy as np
import pytest

from serai.errors import NotStored, SeraiError
from serai.telemetry import historian
from serai.telemetry.bus import Batch, InProcess
from serai.telemetry.historian import Outcome
from serai.telemetry.historian.ingest import Ingest, Pace
from serai.telemetry.readings import Readings, Register

NOON = 1_795_348_800_000_000


def readings(n=5000, start=0):
    k = np.arange(start, start + n)
    rng = np.random.default_rng(start)
    return Readings(
        Register(["a"]), np.zeros(n, np.int32), NOON + k, rng.standard_normal(n), np.zeros(n, np.uint16), NOON + k
    )


FULL = """
import resource, sys
import numpy as np
from serai.errors import NotStored
from serai.telemetry import historian
from telemetry.historian.test_failures import readings
history = historian.open(sys.argv[1], clock=lambda: 1_795_348_800_000_000)
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, hard))  # no file grows beyond 3 MB: the disk is full
stored, k = 0, 0
while True:
    try:
        history.append(str(k), readings(start=5000 * k))
    except NotStored as error:
        print(stored, error.reason, history.counts["not stored: disk full"], flush=True)
        break
    stored, k = stored + 1, k + 1
assert len(history.read()) == 5000 * stored  # what is there can still be read
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))  # someone makes room
print(history.append(str(k), readings(start=5000 * k)).name, len(history.read()), history.verify(), flush=True)
history.close()
"""


def test_a_full_disk_is_named_and_the_history_goes_on_when_there_is_room(tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "h")],
        capture_output=True, text=True, check=False, env={"PYTHONPATH": "tests", "PATH": "/usr/bin"},
    )  # fmt: skip
    first, second = run.stdout.splitlines() or [run.stderr, ""]
    stored = int(first.split()[0])
    assert stored >= 5
    assert first.split(maxsplit=1)[1] == "disk full 1"
    assert second == f"STORED {5000 * (stored + 1)} []"
    with historian.open(tmp_path / "h") as history:
        assert len(history.read()) == 5000 * (stored + 1)


def test_a_disk_that_is_full_while_sealing_leaves_what_was_stored(tmp_path, monkeypatch):
    with historian.open(tmp_path / "h", clock=lambda: NOON) as history:
        history.append("1", readings(12_000))
        write = history.engine.segments.write

        def full(*_arguments, **_named):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(history.engine.segments, "write", full)
        with pytest.raises(NotStored, match=r"sealing failed, disk full.*stays where it was"):
            history.seal(NOON + 7_200_000_000)
        with pytest.raises(NotStored, match="publishing failed, disk full"):
            history.publish()
        assert history.counts["sealing failed: disk full"] == 1
        assert len(history.read()) == 12_000
        assert history.append("2", readings(10, 12_000)) is Outcome.STORED
        monkeypatch.setattr(history.engine.segments, "write", write)
        assert history.seal(NOON + 7_200_000_000) == 12_010
        assert history.verify() == []


def test_a_lost_server_is_named_and_storing_goes_on_when_it_is_back(postgres):
    with historian.open(postgres.url, schema="lost") as history:
        history.append("1", readings())
        postgres.kill()
        with pytest.raises(NotStored, match="server lost") as caught:
            history.append("2", readings(start=5000))
        assert caught.value.reason == "server lost"
        with pytest.raises(SeraiError, match="cannot be read"):
            history.read()
        with pytest.raises(SeraiError, match="cannot be opened"):
            historian.open(postgres.url, schema="lost")
        postgres.start()
        assert history.append("1", readings()) is Outcome.REPEATED
        assert history.append("2", readings(start=5000)) is Outcome.STORED
        assert history.counts["not stored: server lost"] == 1
        assert len(history.read()) == 10_000
        assert history.verify() == []


def test_several_writers_on_postgresql_number_rows_once(postgres):
    with historian.open(postgres.url, schema="many") as one, historian.open(postgres.url, schema="many") as other:
        for k in range(6):
            history = (one, other)[k % 2]
            sent = readings(100, 100 * k)
            sent = Readings(Register([f"t{k}"]), sent.tag, sent.time, sent.value, sent.quality, sent.received)
            assert history.append(str(k), sent) is Outcome.STORED
            assert (other, one)[k % 2].append(str(k), sent) is Outcome.REPEATED
        assert len(one.read()) == len(other.read()) == 600
        assert sorted(one.register) == sorted(other.register)
        for k in range(6):
            np.testing.assert_array_equal(one.read([f"t{k}"]).value, other.read([f"t{k}"]).value)
        assert one.verify() == other.verify() == []


PACE = Pace(rows=20_000, seconds=0.05, publish=0.05, seal=0.1, again=0.01, longest=0.02)


def through(history, batches, spoil=lambda _history: None, pace=PACE, capacity=8):
    """Send batches over a bus into a history; returns the stage, after all are done."""

    async def main():
        bus = InProcess(capacity)
        stage = Ingest(await bus.subscribe("historian"), history, pace)
        running = asyncio.create_task(stage.run())
        spoil(history)
        for batch in batches:
            await asyncio.wait_for(bus.publish(batch), 30)
        done = ("batches: stored", "batches: repeated", "batches: conflict", "batches: refused")
        async with asyncio.timeout(30):
            while sum(stage.counts[name] for name in done) < len(batches):  # noqa: ASYNC110 - counts tell no one
                await asyncio.sleep(0.01)
        stage.end()
        await running
        return stage

    return asyncio.run(main())


def test_the_stage_stores_what_the_bus_brings_and_shows_it(tmp_path):
    with historian.open(tmp_path / "h") as history:
        batches = [Batch(f"{k}", "s", readings(50, 50 * k)) for k in range(200)]
        stage = through(history, [*batches, batches[3], Batch("5", "s", readings(7))])
        assert stage.counts["readings: stored"] == 10_000
        assert stage.counts["batches: repeated"] == 1
        assert stage.counts["batches: conflict"] == 1
        with historian.open(tmp_path / "h", read_only=True) as reader:
            assert len(reader.read()) == 10_000


def test_while_storing_fails_nothing_is_done_or_lost_and_the_bus_fills(tmp_path, monkeypatch):
    with historian.open(tmp_path / "h") as history:
        append_all, failures = history.append_all, iter(range(20))

        def failing(batches):
            if next(failures, None) is not None:
                msg = "the disk is full"
                raise NotStored(msg, "disk full")
            return append_all(batches)

        monkeypatch.setattr(history, "append_all", failing)
        stage = through(history, [Batch(f"{k}", "s", readings(50, 50 * k)) for k in range(40)])
        assert stage.counts["tried again: disk full"] == 20
        assert stage.counts["readings: stored"] == 2000
        assert len(history.read()) == 2000


def test_a_stage_that_died_before_marking_is_repeated_and_nothing_is_double(tmp_path):
    async def main():
        bus = InProcess()
        with historian.open(tmp_path / "h") as history:
            dying = await bus.subscribe("historian")
            for k in range(5):
                await bus.publish(Batch(f"{k}", "s", readings(50, 50 * k)))
            history.append_all([d.batch for d in await dying.next(3)])  # stored, not marked as done
            stage = Ingest(await bus.subscribe("historian"), history, PACE)
            running = asyncio.create_task(stage.run())
            async with asyncio.timeout(30):
                while stage.counts["readings: stored"] < 100:  # noqa: ASYNC110 - counts tell no one
                    await asyncio.sleep(0.01)
            stage.end()
            await running
            assert stage.counts["batches: repeated"] == 3
            assert len(history.versions()) == 250

    asyncio.run(main())
