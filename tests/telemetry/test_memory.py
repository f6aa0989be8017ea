# SPDX-License-Identifier: Apache-2.0
"""What is freed goes back to the system."""

from __future__ import annotations

import subprocess
import sys

import pytest

HOLDS = """
import ctypes, sys
import numpy as np
from serai.telemetry import memory

class Said(ctypes.Structure):  # mallinfo2(3)
    _fields_ = [(name, ctypes.c_size_t) for name in
                "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]

libc = ctypes.CDLL("libc.so.6")
libc.mallinfo2.restype = Said
libc.mallopt(-3, 32 << 20)  # where its own threshold ends once large arrays were freed
if sys.argv[1] == "level":
    memory.level()
before = libc.mallinfo2().hblkhd
held = np.ones(1_000_000)
print(libc.mallinfo2().hblkhd - before)  # bytes more that have pages of their own
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's own way of keeping memory")
def test_a_large_array_has_pages_of_its_own():
    own = {
        how: int(subprocess.run([sys.executable, "-c", HOLDS, how], check=True, capture_output=True).stdout)
        for how in ("level", "as it comes")
    }
    assert own["level"] >= 8_000_000
    assert own["as it comes"] < 8_000_000  # what `level` is for
