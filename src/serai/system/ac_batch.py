# SPDX-License-Identifier: Apache-2.0
"""Many scenarios of one grid on all threads: blocks of eight, those left behind once more, then the proof of all.

Threads take chunks of blocks from a pile. The kernels let go of Python's lock; a keyboard interrupt ends the run
between two chunks.
"""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from serai.lanes import EIGHT
from serai.system.ac_curve import solve_carefully
from serai.system.ac_lanes import CONVERGED, LOST, SLOW, Answers, solve_range, work_for
from serai.system.ac_proof import prove_range

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from serai.system.ac_grid import Layout
    from serai.system.ac_lanes import Table, Work

    Ints = NDArray[np.int64]

WIDTH = len(EIGHT)
PIECES = 4  # that each thread takes of one table: few enough to cost nothing, enough to end together


def cores() -> int:
    """Return how many threads this process may run at once."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _crew(count: int) -> ThreadPoolExecutor:
    """Return helpers that wait for work; the caller's thread works beside them."""
    return ThreadPoolExecutor(count, thread_name_prefix="serai-lanes")


def share(count: int, threads: int, work: Callable[[int, int, int], None], *, grain: int = 0) -> None:
    """Run work(thread, first, last) over `count` scenarios, whole blocks at a time, on so many threads.

    grain  scenarios that a thread takes at once; 0 = what suits blocks
    """
    grain = grain or max(1, -(-count // (WIDTH * threads * PIECES))) * WIDTH
    pile = deque((first, min(first + grain, count)) for first in range(0, count, grain))

    def take(thread: int) -> None:
        while True:
            try:
                first, last = pile.popleft()
            except IndexError:
                return
            work(thread, first, last)

    helpers = [_crew(threads - 1).submit(take, k) for k in range(1, min(threads, len(pile)))] if threads > 1 else []
    try:
        take(0)
    finally:
        pile.clear()  # after an interrupt or an error the others stop as well
        for helper in helpers:
            helper.result()


class AcBatch:
    """The kernel and its workspaces for one grid; not for several Python threads at a time."""

    def __init__(self, layout: Layout, *, threads: int | None = None) -> None:
        self.layout = layout
        self.threads = threads or cores()
        self._work = [work_for(layout.grid) for _ in range(self.threads)]

    def workspace(self) -> int:
        """Return the memory of the workspaces [byte]."""
        return sum(array.nbytes for work in self._work for array in work)

    def answers(self, count: int) -> Answers:
        """Return room for answers; a caller that gives it back to `solve` saves the time to fetch new memory."""
        n = self.layout.n
        return Answers(
            np.empty((count, n)), np.empty((count, n)), np.zeros(count, np.int8), np.zeros(count, np.int16),
            np.full(count, np.nan), np.zeros((count, self.layout.grid.may.size), np.int8),
        )  # fmt: skip

    def solve(self, table: Table, count: int, *, tolerance: float, into: Answers | None = None) -> Answers:
        """Solve `count` scenarios; a state CONVERGED stands only where the proof agrees."""
        answers = self.answers(count) if into is None else into
        grid, proof = self.layout.grid, self.layout.proof
        order = np.arange(count)

        def first_try(thread: int, first: int, last: int) -> None:
            w = self._work[thread]
            solve_range(grid, table, answers, order, first, last, tolerance, w, EIGHT)
            prove_range(grid, proof, table, answers, order, first, last, w, EIGHT)

        # two threads that wait for the same compiler take longer than one
        share(count, self.threads if prove_range.signatures else 1, first_try)
        slow = np.flatnonzero(answers.state == SLOW)
        if slow.size:
            self._again(table, answers, slow, tolerance)
        doubtful = (answers.state == CONVERGED) & ~(answers.mismatch <= 2.0 * tolerance + 1e-10)
        lost = doubtful | (answers.state != CONVERGED)
        if lost.any():
            answers.state[doubtful] = LOST
            answers.magnitude[lost] = np.nan
            answers.angle[lost] = np.nan
        return answers

    def _again(self, table: Table, answers: Answers, slow: Ints, tolerance: float) -> None:
        """Gather the scenarios that were left behind and follow each along its curve."""
        grid, proof = self.layout.grid, self.layout.proof
        threads = self.threads if slow.size > WIDTH else 1  # waking helpers takes as long

        def second_try(thread: int, first: int, last: int) -> None:
            w: Work = self._work[thread]
            for k in range(first, last):
                mine = slow[k::threads]
                solve_carefully(grid, table, answers, mine, tolerance, w, EIGHT)
                found = mine[answers.state[mine] == CONVERGED]
                prove_range(grid, proof, table, answers, found, 0, found.size, w, EIGHT)

        share(threads, threads, second_try, grain=1)
