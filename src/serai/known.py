# SPDX-License-Identifier: Apache-2.0
"""A Known: what a job takes as given. The laws never change; only the Knowns do."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite, isnan, nan
from re import fullmatch

from serai.errors import BadTimes, SeraiError


@dataclass(frozen=True, slots=True)
class Known:
    """One given value: a set-point, a meter reading, a forecast, a command.

    quantity  what is known: `pressure`, `withdrawal`, `ratio`, `outlet_pressure`, `magnitude`, ...
    where     the element that carries it, by name
    value     SI (Pa, kg/s, W, var, rad, per unit for `magnitude`)
    sigma     standard deviation in the same unit; 0 = a set-point, holds exactly
    time      seconds since the start of the job at which it begins to hold; nan = always
    source    where it comes from: a file row, a meter tag, a person
    """

    quantity: str
    where: str
    value: float
    sigma: float = 0.0
    time: float = nan
    source: str = ""

    def __post_init__(self) -> None:
        """Refuse values that no law can use."""
        if not isfinite(self.value):
            msg = f"Known {self.quantity} of {self.where}: the value must be a finite number, got {self.value}"
            raise SeraiError(msg)
        if isnan(self.sigma) or self.sigma < 0:
            msg = f"Known {self.quantity} of {self.where}: sigma must be 0 (exact) or above, got {self.sigma}"
            raise SeraiError(msg)

    @property
    def exact(self) -> bool:
        """Whether the value holds exactly (a set-point) instead of being weighed (a reading)."""
        return self.sigma == 0.0


@dataclass(frozen=True, slots=True)
class Series:
    """A Known that moves: values (n,) at rising times (n,) [s from the start], straight between, flat outside."""

    quantity: str
    where: str
    times: tuple[float, ...]
    values: tuple[float, ...]
    source: str = ""

    def __post_init__(self) -> None:
        """Refuse series that no time can be read from."""
        rising = all(a < b for a, b in pairwise(self.times))
        if not self.times or len(self.times) != len(self.values) or not rising:
            msg = f"Series {self.quantity} of {self.where}: give as many values as times, and times that rise"
            raise SeraiError(msg)

    def at(self, time: float) -> Known:
        """Return the Known at a time [s]."""
        k = bisect_right(self.times, time)
        if k == 0:
            value = self.values[0]
        elif k == len(self.times):
            value = self.values[-1]
        else:
            t0, t1 = self.times[k - 1], self.times[k]
            share = (time - t0) / (t1 - t0)
            value = (1.0 - share) * self.values[k - 1] + share * self.values[k]
        return Known(self.quantity, self.where, value, source=self.source or "series")


@dataclass(frozen=True, slots=True)
class Event:
    """A Known that begins to hold at a time [s since the start of the job] and replaces what it contradicts."""

    time: float
    known: Known


def at(when: str | float, known: Known) -> Event:
    """Return the event that `known` begins to hold at `when`: "06:00", "26:30", "6h", "90min", "45s" or seconds."""
    return Event(seconds(when), known)


def seconds(text: str | float) -> float:
    """Return a time or length of time in seconds: a number, "06:00" (hours:minutes), "2h", "15min" or "30s"."""
    if isinstance(text, (int, float)):
        return float(text)
    clock = fullmatch(r"\s*(\d+):(\d\d)(?::(\d\d))?\s*", text)
    if clock:
        h, m, s = (int(x or 0) for x in clock.groups())
        return 3600.0 * h + 60.0 * m + s
    length = fullmatch(r"\s*([0-9.]+)\s*(h|min|s|d)\s*", text)
    if length:
        try:
            return float(length[1]) * {"d": 86400.0, "h": 3600.0, "min": 60.0, "s": 1.0}[length[2]]
        except ValueError:
            pass
    msg = f"{text!r} is no time: write 06:00, 2h, 15min or 30s"
    raise BadTimes(msg)
