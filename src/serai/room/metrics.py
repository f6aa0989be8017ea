# SPDX-License-Identifier: Apache-2.0
"""Figures for Prometheus: the newest Health and tally, and what the room itself counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client import Metric

    from serai.room.room import Room
    from serai.twin.desk import Plain

MEDIA = "text/plain; version=0.0.4; charset=utf-8"


def text(room: Room, health: Plain) -> bytes:
    """Return all figures in the text format; `health` as GET health has it."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Figures(room, health))
    return generate_latest(registry)


class Figures(Collector):
    """Yields every figure; what is not known is left out, never zero."""

    def __init__(self, room: Room, health: Plain) -> None:
        self._room = room
        self._health = health

    def collect(self) -> Iterable[Metric]:
        """Yield the figures of this moment."""
        health = self._health
        yield from _of_room(self._room)
        yield from _of_loop(health.get("loop") or {})
        yield from _of_sources(health.get("sources") or ())
        yield from _of_rest(health, _tally(self._room))


def _gauge(name: str, help_: str, rows: Iterable[tuple[tuple[str, ...], Any]], labels: tuple[str, ...] = ()) -> Metric:
    family = GaugeMetricFamily(f"serai_{name}", help_, labels=labels)
    for values, value in rows:
        if isinstance(value, (int, float)):
            family.add_metric(values, float(value))
    return family


def _counter(
    name: str, help_: str, rows: Iterable[tuple[tuple[str, ...], int]], labels: tuple[str, ...] = ()
) -> Metric:
    family = CounterMetricFamily(f"serai_{name}", help_, labels=labels)
    for values, value in rows:
        family.add_metric(values, float(value))
    return family


def _of_room(room: Room) -> Iterator[Metric]:
    hub = room.hub
    yield _gauge("loop_up", "Whether the loop answers the room", [((), int(hub.up))])
    yield _gauge("room_clients", "Open streams of events", [((), len(hub.clients))])
    yield _gauge("room_clients_behind", "Streams with events waiting", [((), hub.behind())])
    yield _gauge("room_sessions", "Sessions alive", [((), room.accounts.sessions())])
    yield _counter("room_events", "Events from the loop", [((), hub.counts["events"])])
    yield _counter(
        "room_events_skipped", "Events that newer ones replaced for slow clients", [((), hub.counts["behind"])]
    )
    yield _counter("room_loop_lost", "How often the loop stopped answering", [((), hub.counts["lost"])])
    yield _counter(
        "room_responses", "Answers by status", [((str(s),), n) for s, n in sorted(room.responses.items())], ("status",)
    )


def _of_loop(loop: dict[str, Any]) -> Iterator[Metric]:
    yield _gauge("loop_period_seconds", "Time from scan to scan", [((), loop.get("period_s"))])
    yield _gauge("loop_behind_seconds", "How far the loop is behind its clock", [((), loop.get("behind_s"))])
    stages = loop.get("stages") or ()
    rows = [
        ((str(stage.get("name")), quantile), _seconds(stage.get(field)))
        for stage in stages
        for quantile, field in (("0.5", "p50_ms"), ("0.99", "p99_ms"))
    ]
    yield _gauge("loop_stage_seconds", "Time of a stage of the scan", rows, ("stage", "quantile"))


def _of_sources(sources: Iterable[dict[str, Any]]) -> Iterator[Metric]:
    named = [((str(s.get("name")), str(s.get("protocol"))), s) for s in sources]
    labels = ("source", "protocol")
    yield _gauge("source_up", "Whether a source is up", [(k, int(s.get("status") == "up")) for k, s in named], labels)
    yield _gauge("source_age_seconds", "Age of its newest reading", [(k, s.get("age_s")) for k, s in named], labels)
    yield _gauge(
        "source_readings_per_second", "Readings of a source", [(k, s.get("readings_per_s")) for k, s in named], labels
    )


def _of_rest(health: dict[str, Any], tally: dict[str, Any]) -> Iterator[Metric]:
    history, quality = health.get("history") or {}, health.get("quality") or {}
    yield _gauge("history_rows", "Rows in the historian", [((), history.get("rows"))])
    yield _gauge("history_free_bytes", "Free space of the historian", [((), history.get("free_bytes"))])
    yield _gauge(
        "readings", "Readings by quality", [((k,), v) for k, v in quality.items() if k != "total"], ("quality",)
    )
    alarms = [((k,), v) for k, v in tally.items() if k != "unacknowledged"]
    yield _gauge("alarms", "Active alarms by priority", alarms, ("priority",))
    yield _gauge("alarms_unacknowledged", "Alarms that nobody acknowledged", [((), tally.get("unacknowledged"))])
    processes = [((str(p.get("name")),), p) for p in health.get("processes") or ()]
    yield _gauge(
        "process_up", "Whether a process runs", [(k, int(p.get("status") == "up")) for k, p in processes], ("process",)
    )
    yield _gauge(
        "process_restarts", "Restarts of a process", [(k, p.get("restarts")) for k, p in processes], ("process",)
    )


def _tally(room: Room) -> dict[str, Any]:
    newest = room.hub.newest
    if "tally" in newest:
        return newest["tally"].data
    return (newest["scan"].data.get("tally") or {}) if "scan" in newest else {}


def _seconds(milliseconds: Any) -> Any:
    return milliseconds / 1000.0 if isinstance(milliseconds, (int, float)) else None
