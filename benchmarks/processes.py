# SPDX-License-Identifier: Apache-2.0
"""What benchmarks of several processes share: the cores that all are held to, processor time, memory and its growth."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

CORES = (0, 1)
GROWTH = 1.05  # bar: the last quarter of the time over the second


def hold_to_cores() -> None:
    """Hold this process, and those that it starts, to two cores where it may have them."""
    free = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(CORES) & free or free)


def resident(pid: int) -> int:
    """Return the resident memory of a process [bytes]."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def spent(pid: int) -> float:
    """Return the processor time of a process [s]."""
    columns = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(columns[11]) + int(columns[12])) / os.sysconf("SC_CLK_TCK")


def flat(work: str, memory: np.ndarray, names: tuple[str, ...]) -> list[dict]:
    """Return a row for each process: mean memory of the last quarter of the time over that of the second.

    memory  (n_time, n_process) [bytes], at equal steps of time
    """
    quarter = max(1, len(memory) // 4)
    growth = memory[-quarter:].mean(axis=0) / memory[quarter : 2 * quarter].mean(axis=0)
    return [
        {"work": f"{work}: memory of the {name}, last quarter over second ({memory[-1, k] / 1e6:.0f} MB)",
         "figure": round(float(growth[k]), 3), "bar": GROWTH, "holds": bool(growth[k] <= GROWTH)}
        for k, name in enumerate(names)
    ]  # fmt: skip
