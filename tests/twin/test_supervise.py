# SPDX-License-Identifier: Apache-2.0
"""Processes that are kept running, and end with their supervisor."""

import asyncio
import json
import os
import signal
import time

from serai.twin.supervise import Child, Supervisor, free_ports, is_free

SLEEPS = "import time; print('here', flush=True); time.sleep(600)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('here', flush=True); time.sleep(600)"


def there(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123 - a pseudo file
        return file.read().rpartition(")")[2].split()[0] != "Z"


async def until(what, patience=20.0):
    end = time.monotonic() + patience
    while not what():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.02)


def said(folder):
    try:
        return {p["name"]: p for p in json.loads((folder / "processes.json").read_text())["processes"]}
    except (OSError, ValueError):
        return {}


def child(name, code, folder, say=None):
    return Child(name, ["-c", code], folder / f"{name}.log", say)


def test_a_killed_child_comes_back_and_the_file_says_so_within_a_second(tmp_path):
    async def run():
        lines = []
        a, b = child("a", SLEEPS, tmp_path, lines.append), child("b", SLEEPS, tmp_path)
        supervisor = Supervisor([a, b], tmp_path)
        running = asyncio.create_task(supervisor.run())
        await until(lambda: lines == ["here"] and b.pid)
        first = a.pid
        os.kill(first, signal.SIGKILL)
        begun = time.monotonic()
        await until(lambda: said(tmp_path).get("a", {}).get("restarts") == 1)
        assert time.monotonic() - begun < 5.0
        await until(lambda: lines == ["here", "here"])
        await until(lambda: said(tmp_path)["a"]["status"] == "up")
        assert said(tmp_path)["b"]["restarts"] == 0
        pids = [a.pid, b.pid]
        assert pids[0] != first
        supervisor.end()
        await asyncio.wait_for(running, 20.0)
        assert not any(there(p) for p in pids)
        assert not (tmp_path / "processes.json").exists()

    asyncio.run(run())


def test_a_child_that_does_not_listen_is_ended_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr("serai.twin.supervise.GIVEN", 0.5)

    async def run():
        lines = []
        deaf = child("deaf", DEAF, tmp_path, lines.append)
        supervisor = Supervisor([deaf], tmp_path)
        running = asyncio.create_task(supervisor.run())
        await until(lambda: lines)
        pid = deaf.pid
        supervisor.end()
        await asyncio.wait_for(running, 10.0)
        assert not there(pid)

    asyncio.run(run())


def test_a_child_that_cannot_start_is_tried_with_longer_waits(tmp_path):
    async def run():
        bad = child("bad", "raise SystemExit(3)", tmp_path)
        supervisor = Supervisor([bad], tmp_path)
        running = asyncio.create_task(supervisor.run())
        await until(lambda: bad.restarts >= 2)
        await until(lambda: "code 3" in said(tmp_path).get("bad", {}).get("reason", ""))
        assert bad.restarts <= 4
        supervisor.end()
        await asyncio.wait_for(running, 10.0)

    asyncio.run(run())


def test_ports_in_a_row_are_free():
    first = free_ports(20)
    assert all(is_free(p) for p in range(first, first + 20))
