# SPDX-License-Identifier: Apache-2.0
"""How the twin itself does: its stages, its sources, its history, its processes. Every status has a reason in words."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from serai.alarms.view import iso
from serai.telemetry.readings import MICROSECONDS

if TYPE_CHECKING:
    from serai.telemetry.collect import Health
    from serai.telemetry.collect import Seen as LinksSeen
    from serai.twin.events import Events
    from serai.twin.loop import Loop

LATE = 3.0  # periods that a beat may be behind before the loop is called late
QUIET = 30.0  # s without a reading after which a link that is up is called late
FEW = 200e6  # bytes of disk below which the history is in danger


class Links(Protocol):
    """What tells how the links do, as `telemetry.collect.Collector` does."""

    def look(self) -> LinksSeen:
        """Return all links at one instant."""
        ...


class History(Protocol):
    """How the store of readings does."""

    def state(self) -> dict[str, Any]:
        """Return status, reason, rows, last_sealed."""
        ...


@dataclass(frozen=True, slots=True)
class Seen:
    """What health is told of: sources as `Sources` shows them, state of the history, processes.

    processes  as their supervisor says, this one too where it has one
    behind     [s] that the beats are behind their clock
    """

    sources: list[dict[str, Any]]
    history: dict[str, Any]
    processes: list[dict[str, Any]]
    behind: float


def healthy(loop: Loop, events: Events, seen: Seen, now: float) -> dict[str, Any]:
    """Return the Health of a twin."""
    quality = loop.latest.tally(loop.latest.quality_at(round(now * MICROSECONDS)))
    quality["beyond"] = int(loop.beyond.sum())
    late = seen.behind > LATE * loop.settings.period
    trouble = "; ".join(f"{k}: {v}" for k, v in loop.trouble.items() if v)
    return {
        "loop": {
            "status": "late" if late else "up", "reason": trouble, "sequence": events.sequence,
            "period_s": loop.settings.period, "stages": loop.timing.table(), "behind_s": round(seen.behind, 2),
            "beats": loop.beat, "counts": dict(loop.counts.counted),
        },
        "sources": seen.sources,
        "history": seen.history, "processes": processes(seen.processes),
        "quality": quality, "room": {"clients": events.readers, "behind": events.behind},
    }  # fmt: skip


class Sources:
    """How the links do, and since when each has done so."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[str, float]] = {}

    def shown(self, links: LinksSeen | None, now: float) -> list[dict[str, Any]]:
        """Return how every link does at a time [s since 1970 UTC]; None = there are none."""
        found = [] if links is None else [_source(link, now) for link in links.links]
        for source in found:
            before = self._since.get(source["name"])
            if before is None or before[0] != source["status"]:
                before = self._since[source["name"]] = source["status"], now
            source["since"] = iso(before[1])
        return found


def _source(link: Health, now: float) -> dict[str, Any]:
    """Return how a link does."""
    quiet = isfinite(link.age) and link.age > QUIET + 60.0
    status = "down" if not link.up else "late" if quiet or link.silent == link.tags > 0 else "up"
    return {
        "name": link.name, "stations": list(link.stations), "protocol": link.protocol,
        "status": status, "tags": link.tags,
        "readings_per_s": round(link.rate, 2) if isfinite(link.rate) else None,
        "last": iso(now - link.age) if isfinite(link.age) else None,
        "age_s": round(link.age, 1) if isfinite(link.age) else None, "reason": link.reason,
        "silent": link.silent, "flagged": link.flagged, "lost": link.lost,
    }  # fmt: skip


def stored(history: History | None, folder: Path | None) -> dict[str, Any]:
    """Return how the history does, and the disk under it."""
    if history is None:
        return {}
    found = history.state()
    free = shutil.disk_usage(folder).free if folder is not None and folder.exists() else None
    if free is not None and free < FEW and found["status"] == "up":
        found = {**found, "status": "danger", "reason": f"{free / 1e6:.0f} MB of disk are left"}
    return {**found, "free_bytes": free}


def processes(said: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return how this process does, by what it knows itself and how often it was started again, and the others."""
    own = {"name": "loop", "pid": os.getpid(), "status": "up", "memory_mb": memory(os.getpid())}
    supervised = next((p for p in said if p["name"] == "loop"), {"restarts": 0, "reason": ""})
    return [supervised | own, *(p for p in said if p["name"] != "loop")]


def memory(pid: int) -> float | None:
    """Return the resident memory of a process [MB]; None where the system does not say."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)
