# SPDX-License-Identifier: Apache-2.0
"""Conditions in columns: which are true, since when, and which have been so for long enough."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from serai.alarms.rationale import Record

ROUND_OFF = 1e-6  # s, of sums of times


@dataclass(frozen=True, slots=True)
class Named:
    """What a condition is about: its alarm's id, record, element (with its kind), first-out group; "" = none."""

    id: str
    record: Record
    where: str
    element: str
    identity: str
    group: str


def identify(key: str, identity: str) -> str:
    """Return the id of an alarm: fit for an address, the same in every process and for ever."""
    return hashlib.sha256(f"{key}\n{identity}".encode()).hexdigest()[:12]


class Slots:
    """Conditions by number; numbers that are free are given again.

    true     (n,) the condition as its source tells it; active (n,): after the delays
    since    (n,) when `true` last changed [s since 1970 UTC]
    """

    def __init__(self, room: int = 256) -> None:
        """Make room."""
        self.true = np.zeros(room, dtype=bool)
        self.active = np.zeros(room, dtype=bool)
        self.since = np.zeros(room)
        self.on_delay = np.zeros(room)
        self.off_delay = np.zeros(room)
        self.named: list[Named | None] = []
        self.number: dict[str, int] = {}
        self._free: list[int] = []

    def __len__(self) -> int:
        return len(self.number)

    def add(self, named: Named) -> int:
        """Return the number of a condition, a new one where its id is new."""
        known = self.number.get(named.id)
        if known is not None:
            self.named[known] = named
            self._delays(known, named.record)
            return known
        if self._free:
            k = self._free.pop()
            self.named[k] = named
        else:
            k = len(self.named)
            self.named.append(named)
            if k == len(self.true):
                for column in ("true", "active", "since", "on_delay", "off_delay"):
                    old = getattr(self, column)
                    setattr(self, column, np.concatenate([old, np.zeros_like(old)]))
        self.number[named.id] = k
        self.true[k] = self.active[k] = False
        self.since[k] = -np.inf
        self._delays(k, named.record)
        return k

    def _delays(self, k: int, record: Record) -> None:
        self.on_delay[k], self.off_delay[k] = record.on_delay, record.off_delay

    def remove(self, k: int) -> None:
        """Give the number of a condition free."""
        named = self.of(k)
        del self.number[named.id]
        self.named[k] = None
        self.true[k] = self.active[k] = False
        self._free.append(k)

    def of(self, k: int) -> Named:
        """Return what condition k is about."""
        named = self.named[k]
        if named is None:  # a fault of the caller
            raise IndexError(k)
        return named

    def say(self, k: int, time: float, *, true: bool) -> None:
        """Take in what a source tells of condition k."""
        if self.true[k] != true:
            self.true[k], self.since[k] = true, time

    def back(self, seconds: float) -> None:
        """Take in that the clock was set back: what has waited has waited as long as before."""
        self.since -= seconds

    def due(self, time: float) -> NDArray[np.intp]:
        """Return the conditions that have lasted their delay, in the order in which they did."""
        n = len(self.named)
        turned = np.flatnonzero(self.true[:n] != self.active[:n])
        if not len(turned):
            return turned
        wait = np.where(self.true[turned], self.on_delay[turned], self.off_delay[turned])
        at = self.since[turned] + wait
        ripe = np.flatnonzero(at <= time + ROUND_OFF)
        return turned[ripe[np.argsort(at[ripe], kind="stable")]]
