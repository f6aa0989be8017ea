# SPDX-License-Identifier: Apache-2.0
"""Incidents: one thing wrong over time, told once it has stood for some scans, kept until it is over."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from math import inf, isfinite, nan
from typing import Any

STANDS = {"gas in motion": 3, "scan": 2, "sequence": 1}  # scans before it is told
OVER = {"gas in motion": 15, "scan": 5, "sequence": 5}  # scans without it after which it is over
OF_METERS = ("bias or forged", "forged", "unit", "stuck")
ENDED = 100  # incidents that are kept when they are over


@dataclass(frozen=True)
class Incident:
    """One thing that is wrong.

    number     in the order in which they were told, from 1; 0 = not told yet
    kind       leak, leak or theft, bias or forged (a reading that is wrong), forged (proved), power loss, branch open,
               branch closed, position, valve open, efficiency, resistance, command, unit, stuck
    suspects   (kind, element or meter): the set that the data cannot tell apart, the likeliest first
    pipe, share, share_sigma   place of a leak: share of the pipe's length before it; "" and nan for others
    size, sigma, unit   estimated size, its standard deviation, SI
    onset, told, seen   [s since 1970 UTC] when it began (estimated), was told, was last there
    score, limit        what it scores, over its spread on clean days, and what it had to pass
    false_alarm         how often clean days reach the score [1/month]
    smallest            size of it that is told nine times in ten
    source     which test: `gas in motion`, `scan`, `sequence`
    order      in which it was removed among those of the same test
    """

    kind: str
    suspects: tuple[tuple[str, str], ...]
    source: str
    onset: float
    seen: float
    size: float = nan
    sigma: float = nan
    unit: str = ""
    score: float = nan
    limit: float = nan
    false_alarm: float = nan
    smallest: float = nan
    pipe: str = ""
    share: float = nan
    share_sigma: float = nan
    order: int = 1
    number: int = 0
    told: float = nan

    @property
    def where(self) -> tuple[str, ...]:
        """All elements and meters in the set, the likeliest first."""
        return tuple(dict.fromkeys(name for _, name in self.suspects))

    def __str__(self) -> str:
        """Say it in one line."""
        place = f" at {self.share:.0%} of {self.pipe}" if self.pipe else ""
        also = f"; as well: {', '.join(self.where[1:5])}" if len(self.where) > 1 else ""
        sure = f", score {self.score:.1f} of {self.limit:.1f}" if isfinite(self.score) else ""
        rate = f", {self.false_alarm:.1g} a month by chance" if isfinite(self.false_alarm) else ""
        size = f": {self.size:.4g} +/- {self.sigma:.2g} {self.unit}" if isfinite(self.size) else ""
        what = self.where[0] if not self.pipe else ""
        return f"{self.kind} {what}{place}{size} since {clock(self.onset)}{sure}{rate}{also}".replace("  ", " ")

    def alike(self, other: Incident) -> bool:
        """Tell whether another is the same thing seen again."""
        if self.kind in OF_METERS and other.kind in OF_METERS:
            return bool(set(self.where) & set(other.where))
        if self.source != other.source:
            return False
        if self.pipe and self.pipe == other.pipe:
            return True
        return bool(set(self.suspects) & set(other.suspects)) or (
            self.source == "gas in motion" and self.kind.startswith("leak") and bool(set(self.where) & set(other.where))
        )


def clock(time: float) -> str:
    """Return a time [s since 1970 UTC] in words."""
    if not isfinite(time):
        return "an unknown time"
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M UTC")


@dataclass
class Ledger:
    """What is wrong now, from what each scan says.

    open     told and not over, by number; waiting: not told yet, with the scans in which they stood
    closed   the last that are over
    absent, out   by number: scans in a row without it, and in which what leads its set was not in it
    """

    open: list[Incident] = field(default_factory=list)
    waiting: list[tuple[Incident, int]] = field(default_factory=list)
    closed: deque[Incident] = field(default_factory=lambda: deque(maxlen=ENDED))
    absent: dict[int, int] = field(default_factory=dict)
    out: dict[int, int] = field(default_factory=dict)
    last: int = 0

    def take(self, source: str, found: list[Incident]) -> None:
        """Take what one scan of one test says; what it says no more is over after a while."""
        seen: set[int] = set()
        waiting = []
        for new in found:
            known = next((k for k, old in enumerate(self.open) if new.alike(old)), None)
            if known is not None:
                old = self.open[known]
                seen.add(old.number)
                if old.source == source and old.number not in {x.number for x in self.open[:known]}:
                    self.open[known] = self._goes_on(old, new)
                continue
            before = next(((old, n) for old, n in self.waiting if old.source == source and new.alike(old)), None)
            stood = 1 + (before[1] if before else 0)
            begun = replace(new, onset=min(new.onset, before[0].onset)) if before and source == "scan" else new
            if stood >= STANDS[source]:
                self.last += 1
                seen.add(self.last)
                self.open.append(replace(begun, number=self.last, told=new.seen))
            else:
                waiting.append((begun, stood))
        self.waiting = [w for w in self.waiting if w[0].source != source] + waiting
        self._end(source, seen)

    def _goes_on(self, old: Incident, new: Incident) -> Incident:
        """Return an incident as it is seen now. Of a set that no scan tells apart the likeliest changes by chance.

        So the one that was told first goes on leading it, until it is out of the set for some scans in a row.
        """
        kept = replace(new, number=old.number, told=old.told, onset=self._onset(old, new))
        lead = old.suspects[0]
        if new.source != "scan" or new.suspects[0] == lead:
            self.out.pop(old.number, None)
            return kept
        if lead in new.suspects:
            self.out.pop(old.number, None)
            others = tuple(x for x in new.suspects if x != lead)
            return replace(
                kept, kind=old.kind, suspects=(lead, *others), size=old.size, sigma=old.sigma, unit=old.unit,
                smallest=old.smallest,
            )  # fmt: skip
        self.out[old.number] = self.out.get(old.number, 0) + 1
        if self.out[old.number] < OVER["scan"]:
            return replace(old, seen=new.seen)
        self.out.pop(old.number)
        return kept

    @staticmethod
    def _onset(old: Incident, new: Incident) -> float:
        """The watch estimates the onset anew with every scan; a scan only knows when it was first seen."""
        return new.onset if new.source == "gas in motion" else old.onset

    def _end(self, source: str, seen: set[int]) -> None:
        kept = []
        for x in self.open:
            if x.source == source:
                self.absent[x.number] = 0 if x.number in seen else self.absent.get(x.number, 0) + 1
            if self.absent.get(x.number, 0) >= OVER[x.source]:
                self.closed.append(x)
                self.absent.pop(x.number)
                self.out.pop(x.number, None)
            else:
                kept.append(x)
        self.open = kept

    def ranked(self) -> tuple[Incident, ...]:
        """Return what is wrong now: the surest first, by how often chance would say so, then by score over limit."""

        def key(x: Incident) -> tuple[float, float]:
            sure = x.score / x.limit if isfinite(x.score) and x.limit > 0.0 else inf
            return (x.false_alarm if isfinite(x.false_alarm) else 0.0, -abs(sure))

        return tuple(sorted(self.open, key=key))

    def save(self) -> dict[str, Any]:
        """Return what `restore` takes: numbers, texts, lists."""
        return {
            "open": [asdict(x) for x in self.open], "waiting": [[asdict(x), n] for x, n in self.waiting],
            "closed": [asdict(x) for x in self.closed], "absent": [[k, v] for k, v in self.absent.items()],
            "last": self.last,
        }  # fmt: skip

    def restore(self, saved: dict[str, Any]) -> None:
        """Take up what was kept."""
        self.open = [_incident(x) for x in saved["open"]]
        self.waiting = [(_incident(x), int(n)) for x, n in saved["waiting"]]
        self.closed = deque((_incident(x) for x in saved["closed"]), maxlen=ENDED)
        self.absent = {int(k): int(v) for k, v in saved["absent"]}
        self.last = int(saved["last"])


def _incident(saved: dict[str, Any]) -> Incident:
    return Incident(**{**saved, "suspects": tuple((str(k), str(n)) for k, n in saved["suspects"])})
