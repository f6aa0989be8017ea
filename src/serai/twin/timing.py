# SPDX-License-Identifier: Apache-2.0
"""How long the stages of a loop take: the last ones, their median and the 99th of 100."""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

KEPT = 600  # of each stage


class Timing:
    """Times [s] of named stages."""

    def __init__(self) -> None:
        self._spent: dict[str, deque[float]] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what happens inside."""
        begun = perf_counter()
        try:
            yield
        finally:
            self.add(name, perf_counter() - begun)

    def add(self, name: str, seconds: float) -> None:
        """Note how long a stage took."""
        self._spent.setdefault(name, deque(maxlen=KEPT)).append(seconds)

    def last(self, name: str) -> float:
        """Return the last time of a stage [s]; nan before the first."""
        return self._spent[name][-1] if name in self._spent else float("nan")

    def table(self) -> list[dict[str, Any]]:
        """Return name, p50_ms, p99_ms, last_ms and n of every stage, in the order of their first time."""
        out = []
        for name, spent in self._spent.items():
            p50, p99 = np.quantile(np.array(spent), [0.5, 0.99]) * 1e3
            out.append({
                "name": name, "p50_ms": round(float(p50), 2), "p99_ms": round(float(p99), 2),
                "last_ms": round(1e3 * spent[-1], 2), "n": len(spent),
            })  # fmt: skip
        return out
