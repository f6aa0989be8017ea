# SPDX-License-Identifier: Apache-2.0
"""The figures of an alarm list: EEMUA 191 (3rd edition, 2013), chapter 4.2 and appendix 12; ISA-18.2 clause 16."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from math import ceil, isfinite, nan
from typing import TYPE_CHECKING, Any

from serai.alarms.states import Priority, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from serai.alarms.journal import Row
    from serai.alarms.rationale import Philosophy

WINDOW = 600.0  # s: rates are per 10 minutes


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure, what the site holds it to (nan = nothing), and whether it is kept (None = cannot be told)."""

    name: str
    value: float
    bound: float
    kept: bool | None


@dataclass(frozen=True)
class Figures:
    """The figures of a time; alarms are those that were told (became unacknowledged).

    alarms        how many; by_priority
    rate          per 10 minutes, on average; peak: in the worst 10 minutes (windows counted from `start`)
    flooded       share of the 10-minute windows with more than flood_begins alarms
    standing      alarms whose condition is true now; stale: for longer than the philosophy says
    chattering    ids of points that chattered within the time; frequent: the ten that came most, with how often
    shares        of alarms by priority, of those that call for action (without `data`)
    acknowledged  median and 95 % quantile of the time to the acknowledgement [s], over those that were
    held          alarms on the shelf, suppressed, out of service now
    """

    start: float
    end: float
    alarms: int
    by_priority: Mapping[str, int]
    rate: float
    peak: int
    flooded: float
    standing: int
    stale: int
    chattering: tuple[str, ...]
    frequent: tuple[tuple[str, str, int], ...]
    shares: Mapping[str, float]
    acknowledged: tuple[float, float]
    held: Mapping[str, int]
    against: tuple[Figure, ...] = ()

    def shown(self) -> dict[str, Any]:
        """Return them as JSON can say it, null = cannot be told."""
        doc = asdict(self)
        doc["acknowledged"] = {"median_s": _or_none(self.acknowledged[0]), "most_s": _or_none(self.acknowledged[1])}
        doc["shares"] = {name: _or_none(share) for name, share in self.shares.items()}
        doc["frequent"] = [{"element": e, "key": k, "alarms": n} for e, k, n in self.frequent]
        doc["against"] = [
            {"name": f.name, "value": _or_none(f.value), "bound": _or_none(f.bound), "kept": f.kept}
            for f in self.against
        ]
        return doc


def figures(
    rows: Iterable[Row], start: float, end: float, rules: Philosophy, now: tuple[Mapping[str, float], Mapping[str, int]]
) -> Figures:
    """Return the figures of the rows of a journal from `start` to `end` [s since 1970 UTC].

    now  of the alarms that stand now: id -> since when; and how many are held, by state
    """
    began, held = now
    told: list[tuple[float, str, str, str, str]] = []
    waits: list[float] = []
    since: dict[str, float] = {}
    for _, time, alarm, key, priority, element, event, _, after, *_ in rows:
        if after == State.UNACKNOWLEDGED:
            told.append((time, alarm, key, priority, element))
            since[alarm] = time
        elif event == "acknowledge" and alarm in since:
            waits.append(time - since.pop(alarm))
    windows = Counter(int((time - start) // WINDOW) for time, *_ in told)
    length = max(1, ceil((end - start) / WINDOW))
    counts = Counter(priority for *_, priority, _ in told)
    for_action = sum(n for p, n in counts.items() if p != Priority.DATA)
    found = Figures(
        start, end, len(told), {p.value: counts[p.value] for p in Priority}, len(told) * WINDOW / max(end - start, 1.0),
        max(windows.values(), default=0), sum(n > rules.flood_begins for n in windows.values()) / length,
        len(began), sum(end - t > rules.stale for t in began.values()), _chattering(told, rules),
        tuple((e, k, n) for (e, k), n in Counter((e, k) for _, _, k, _, e in told).most_common(10)),
        {p.value: counts[p.value] / for_action if for_action else nan for p in Priority if p is not Priority.DATA},
        (_quantile(waits, 0.5), _quantile(waits, 0.95)), dict(held),
    )  # fmt: skip
    return Figures(**{**{f: getattr(found, f) for f in found.__dataclass_fields__}, "against": _against(found, rules)})


def _chattering(told: list[tuple[float, str, str, str, str]], rules: Philosophy) -> tuple[str, ...]:
    """Return the points that came `chattering_count` times within `chattering_window`."""
    times: dict[str, list[float]] = {}
    for time, alarm, *_ in told:
        times.setdefault(alarm, []).append(time)
    n = rules.chattering_count
    return tuple(
        sorted(
            a for a, t in times.items()
            if any(t[k + n - 1] - t[k] < rules.chattering_window for k in range(len(t) - n + 1))
        )
    )  # fmt: skip


def _against(f: Figures, rules: Philosophy) -> tuple[Figure, ...]:
    """Hold the figures to what the site has set itself."""
    pairs = [
        ("rate", f.rate, rules.rate), ("peak", float(f.peak), rules.peak),
        ("standing", float(f.standing), float(rules.standing)), ("stale", float(f.stale), float(rules.stale_most)),
        ("chattering", float(len(f.chattering)), float(rules.chattering_most)),
        ("acknowledged", f.acknowledged[0], rules.acknowledged_within),
        # of the split by priority only too much urgency is a fault
        *(("share " + p, f.shares.get(p, nan), rules.shares.get(p, nan)) for p in ("urgent", "high")),
    ]  # fmt: skip
    return tuple(Figure(n, v, b, v <= b if isfinite(v) and isfinite(b) else None) for n, v, b in pairs)


def _quantile(values: list[float], share: float) -> float:
    """Return the smallest value that `share` of all do not pass; nan of none."""
    return sorted(values)[max(0, ceil(share * len(values)) - 1)] if values else nan


def _or_none(value: float) -> float | None:
    return value if isfinite(value) else None
