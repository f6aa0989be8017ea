# SPDX-License-Identifier: Apache-2.0
"""The process for slow questions."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

HOLDS = """
import asyncio, os
from serai.twin.slow import Slow

async def run():
    slow = Slow()
    print(await slow.ask(os.getpid), flush=True)
    await asyncio.sleep(600.0)

if __name__ == "__main__":
    asyncio.run(run())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the system ends it on Linux alone")
def test_a_killed_loop_leaves_no_worker_behind(tmp_path):
    program = tmp_path / "holds.py"
    program.write_text(HOLDS)
    with subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE, text=True) as loop:
        worker = int(loop.stdout.readline())
        assert worker != loop.pid
        os.kill(worker, 0)  # it runs
        loop.kill()
    end = time.monotonic() + 20.0
    while time.monotonic() < end and _runs(worker):
        time.sleep(0.05)
    assert not _runs(worker)


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
