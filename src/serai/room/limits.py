# SPDX-License-Identifier: Apache-2.0
"""How many requests one caller may make: a bucket that fills steadily, and a bounded number of callers remembered."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_CALLERS = 10_000


class Buckets:
    """`burst` requests at once, `per_second` on the long run, for each caller."""

    def __init__(self, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # caller -> (tokens, when)

    def wait(self, caller: str) -> float:
        """Take one; return 0, or after how many seconds the next one will be there."""
        now = self._clock()
        left, when = self._left.pop(caller, (float(self._burst), now))
        left = min(self._burst, left + (now - when) * self._per_second)
        taken = left >= 1.0
        self._left[caller] = (left - taken, now)
        while len(self._left) > MOST_CALLERS:
            self._left.popitem(last=False)
        return 0.0 if taken else (1.0 - left) / self._per_second
