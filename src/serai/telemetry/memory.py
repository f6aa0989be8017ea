# SPDX-License-Identifier: Apache-2.0
"""Memory of processes that run for months."""

from __future__ import annotations

import ctypes
import sys

import pyarrow as pa

ARENA_MAX, MMAP_THRESHOLD = -8, -3  # malloc.h
ARENAS, LARGE = 2, 1 << 20  # arenas; bytes from which an array gets pages of its own


def level() -> None:
    """Let what is freed go back to the system; call it before a process makes threads.

    glibc makes an arena for every thread, and with each large array that is freed it raises the size from which arrays
    get pages of their own: both keep what has been freed, in ever more pieces (mallopt(3)). Arrow's own pool does the
    like, so its columns come from glibc too. Elsewhere nothing is done.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(ARENA_MAX, ARENAS)
        mallopt(MMAP_THRESHOLD, LARGE)
        pa.set_memory_pool(pa.system_memory_pool())
