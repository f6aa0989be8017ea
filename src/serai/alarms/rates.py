# SPDX-License-Identifier: Apache-2.0
"""How fast alarms come, as they come: floods and chattering (EEMUA 191, ISA-18.2 clause 16)."""

from __future__ import annotations

from collections import OrderedDict, deque
from math import isfinite, nan
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from serai.alarms.rationale import Philosophy

REMEMBERED = 100_000  # alarms told, and points, that are remembered at most


class Rates:
    """The alarms told lately: whether there is a flood, and which points chatter."""

    def __init__(self, philosophy: Philosophy) -> None:
        """Hold them to a site's figures."""
        self._rules = philosophy
        self._told: deque[float] = deque(maxlen=REMEMBERED)
        self._of: OrderedDict[str, deque[float]] = OrderedDict()
        self.flood_since = nan

    def tell(self, alarm: str, time: float) -> None:
        """Count an alarm that is told to the operator at a time."""
        self._told.append(time)
        mine = self._of.pop(alarm, None)
        if mine is None:
            mine = deque(maxlen=max(1, self._rules.chattering_count))
        mine.append(time)
        self._of[alarm] = mine
        if len(self._of) > REMEMBERED:
            self._of.popitem(last=False)

    def step(self, time: float) -> str:
        """Forget what is past; return `flood begins` or `flood ends` where that is so now, else ""."""
        rules = self._rules
        while self._told and self._told[0] <= time - rules.flood_window:
            self._told.popleft()
        while self._of and next(iter(self._of.values()))[-1] <= time - rules.chattering_window:
            self._of.popitem(last=False)
        flooded = isfinite(self.flood_since)
        if not flooded and len(self._told) > rules.flood_begins:
            self.flood_since = time
            return "flood begins"
        if flooded and len(self._told) < rules.flood_ends:
            self.flood_since = nan
            return "flood ends"
        return ""

    def recent(self) -> int:
        """Return how many alarms were told within the flood window."""
        return len(self._told)

    def chattering(self, alarm: str, time: float) -> bool:
        """Tell whether a point has come so often within the window that it chatters."""
        mine = self._of.get(alarm)
        rules = self._rules
        return (
            mine is not None
            and len(mine) >= rules.chattering_count
            and mine[-rules.chattering_count] > time - rules.chattering_window
        )

    def chatterers(self, time: float) -> list[str]:
        """Return the ids of the points that chatter."""
        return [a for a in self._of if self.chattering(a, time)]
