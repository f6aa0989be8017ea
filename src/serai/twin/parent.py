# SPDX-License-Identifier: Apache-2.0
"""Processes that end with the one that started them, however that ends."""

from __future__ import annotations

import ctypes
import signal
import sys

PARENT_GONE = 1  # PR_SET_PDEATHSIG, linux/prctl.h
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def end_with_parent() -> None:
    """Let the system end this process when the thread that started it ends; call it in the child. Linux alone."""
    if _LIBC is not None:
        _LIBC.prctl(PARENT_GONE, signal.SIGTERM)
