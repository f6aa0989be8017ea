# SPDX-License-Identifier: Apache-2.0
"""What is freed goes back to the system."""

from __future__ import annotations

import subprocess
import sys

import pytest

HOLDS = """
import sys
from serai.telemetry import memory
if sys.argv[1] == "level":
    memory.level()
import os
import numpy as np
from pathlib import Path
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
np.ones(3_000_000).sum()  # 24 MB: from here on glibc would take arrays of that size from its heap
before = resident()
kept = []
for k in range(20):
    large = np.ones(1_000_000)
    kept.append(np.ones(20_000))  # what stays behind a large array keeps its place in the heap
    del large
    kept.append(np.ones(1_000_000) if k % 2 else None)
kept = [x for x in kept if x is not None and len(x) < 1_000_000]
print(resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's own way of keeping memory")
def test_large_arrays_that_are_freed_do_not_stay_in_the_heap():
    grown = {
        how: int(subprocess.run([sys.executable, "-c", HOLDS, how], check=True, capture_output=True).stdout)
        for how in ("level", "as it comes")
    }
    assert grown["level"] < 10e6  # 3.2 MB are kept
    assert grown["level"] < 0.5 * grown["as it comes"]
