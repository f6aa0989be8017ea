# SPDX-License-Identifier: Apache-2.0
"""Work that runs beside the scan: one job at a time in a thread of its own, or at once where a test wants it so."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from time import perf_counter
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Beside(Generic[T]):
    """One worker: `start` a job, ask for its `result` later; a job that is late holds nobody up.

    spent  [s] the last job took;  late: how many results came later than they were asked for
    """

    def __init__(self, name: str, *, inline: bool = False) -> None:
        """Make a worker; `inline`: jobs are done at once by who starts them."""
        self._pool = None if inline else ThreadPoolExecutor(1, name)
        self._job: Future[T] | None = None
        self.spent, self.begun, self.late = float("nan"), 0.0, 0

    @property
    def busy(self) -> bool:
        """Whether a job is under way."""
        return self._job is not None and not self._job.done()

    @property
    def waits(self) -> float:
        """How long the job has been under way [s]; 0 = none is."""
        return perf_counter() - self.begun if self.busy else 0.0

    def start(self, job: Callable[[], T]) -> bool:
        """Start a job; False while another is under way or its result is not taken yet."""
        if self._job is not None:
            return False
        self.begun = perf_counter()

        def timed() -> T:
            begun = perf_counter()
            try:
                return job()
            finally:
                self.spent = perf_counter() - begun

        if self._pool is not None:
            self._job = self._pool.submit(timed)
            return True
        self._job = Future()
        try:
            self._job.set_result(timed())
        except Exception as error:  # noqa: BLE001 - told to who takes the result, as the thread would
            self._job.set_exception(error)
        return True

    def result(self, patience: float = 0.0) -> T | None:
        """Return the result of a job, waiting up to `patience` [s]; None = none is done. Raises what it raised."""
        job = self._job
        if job is None:
            return None
        try:
            found = job.result(timeout=patience)
        except TooLate:
            if not job.done():
                self.late += 1
                return None
            self._job = None
            raise
        except BaseException:
            self._job = None
            raise
        self._job = None
        return found

    def close(self) -> None:
        """Let the thread end after its job."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
