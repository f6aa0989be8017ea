# SPDX-License-Identifier: Apache-2.0
"""The twin: the loop with its alarms, its memory and its desk, which it answers in the same process."""

from __future__ import annotations

import asyncio
import json
import time as clock
from dataclasses import dataclass, field
from functools import cached_property
from math import inf, isfinite, nan
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from serai import errors
from serai.alarms import Alarms, Rationale, rationale
from serai.alarms.feeds import of_ahead, of_findings, of_health, of_quality
from serai.alarms.view import iso
from serai.audit import ShiftLog, signing_key
from serai.system import override
from serai.telemetry.readings import MICROSECONDS, Quality
from serai.twin import told
from serai.twin.archive import Archive, Recorder, moment
from serai.twin.commands import TRYING, Commands
from serai.twin.desk import Plain, Refused
from serai.twin.elements import elements, has_map
from serai.twin.events import Events
from serai.twin.health import History, Links, Seen, Sources, healthy, stored
from serai.twin.latest import NEVER
from serai.twin.layout import WORDS
from serai.twin.slow import Present, Slow, look_ahead, lose_each, try_command

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from pathlib import Path

    from serai.alarms import Alarm
    from serai.known import Known as KnownValue
    from serai.telemetry.collect import Seen as LinksSeen
    from serai.twin.archive import Stores
    from serai.twin.commands import Sends
    from serai.twin.desk import Event, EventKind, Reason
    from serai.twin.loop import Known, Loop

T = TypeVar("T")
ALL_DATA = 5.0  # s between two looks at the quality of every tag
HEALTH = 2.0  # s between two looks at links and processes
AGAIN = 60.0  # s after which a diagnosis that did not change is told again
EARLY = 0.5  # s by which a beat may come early
SLOWLY = 300.0  # s between two look-aheads, and between two rounds of single losses
STANDS = 0.05  # kg/s below which a station or field stands still
FIGURES = 28 * 86400.0  # s over which alarm figures are taken
MOST = 10_000  # rows of any list


@dataclass
class Around:
    """What stands around a loop where it runs; each may be absent.

    links    how the sources do;  history  how the store does;  store  takes estimates
    archive  place of the history, to read from;  folder  of the journals of alarms and shift log
    send     way of commands to the field; writes: whether they are switched on
    slow     process for slow questions;  plan  file of the plan that was computed last
    now      present time [s since 1970 UTC]
    """

    links: Links | None = None
    history: History | None = None
    store: Stores | None = None
    archive: str | Path | None = None
    folder: Path | None = None
    send: Sends | None = None
    writes: bool = False
    slow: Slow | None = None
    plan: Path | None = None
    now: Callable[[], float] = clock.time
    processes: Callable[[], list[Plain]] = field(default=list)


class Twin:
    """A running twin. `beat` is called once a period; everything else answers.

    Methods are those of `serai.twin.desk.Desk`, where they are described.
    """

    def __init__(self, loop: Loop, around: Around | None = None, *, book: Rationale | None = None) -> None:
        """Take up a loop; `book`: the rationalisation of alarms, not given = the case's own."""
        self.loop, self.around = loop, around or Around()
        folder = self.around.folder
        self.begun = self.around.now()
        self.events = Events(int(self.begun * 10.0))
        own = rationale(loop.network) if book is None else book
        self.alarms_kept = Alarms(own, loop.network, folder / "alarms.sqlite" if folder else None)
        self._limited = list(loop.layout.place)
        self.alarms_kept.watch(self._limited)
        self.shift = self._shift_log(folder)
        self.given = Commands(loop.network, send=self.around.send, writes=self.around.writes)
        self.recorder = Recorder(loop.layout, self.begun)
        self.past = Archive(self.around.archive, loop.layout) if self.around.archive else None
        self._signals = [(i.tag, i.station, i.where) for i in loop.latest.instruments]
        self._newest: dict[str, Plain] = {}
        self._incidents: tuple[Any, ...] = ()
        self._tally: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._asked: dict[str, float] = {}
        self._looked: dict[str, float] = {}
        if loop.shown is None:
            loop.shown = self.shown
        self.behind = 0.0
        self.links: LinksSeen | None = None
        self._sources = Sources()

    def _shift_log(self, folder: Path | None) -> ShiftLog | None:
        """Open the shift log; where it was tampered with the twin runs all the same, and says so."""
        if folder is None:
            return None
        try:
            return ShiftLog(folder / "shift.jsonl", signing_key(folder / "shift.pem"))
        except (errors.SeraiError, OSError) as error:
            self.loop.trouble["shift log"] = str(error)
            return None

    # ---------------------------------------------------------------------------------------------------------- beat

    def shown(self, now: float) -> list[KnownValue]:
        """Return what is taken as given: set-points of the day at this hour, and what was commanded since."""
        net = self.loop.network
        found = net.knowns((now / 3600.0 + net.utc_offset) % 24.0)
        for known in self.given.done():
            found = override(net, found, [known])
        return found

    def _due(self, what: str, now: float, every: float) -> bool:
        """Tell whether something is to be looked at again; beats may be of any period, clocks be set back."""
        if 0.0 <= now - self._looked.get(what, -inf) < every - EARLY:
            return False
        self._looked[what] = now
        return True

    async def beat(self, now: float) -> None:
        """Take one beat: all that reckons is done in a thread, and nobody here waits for a reader of events."""
        if self.around.links is not None and self._due("links", now, HEALTH):
            self.links = self.around.links.look()  # here, where the links live, not in the thread
        if self.loop.settings.inline:
            happened = self._beat(now)
        else:
            happened = await asyncio.to_thread(self._beat, now)
        for kind, data in happened:
            self.tell(kind, data)
        self._ask_slowly(now)

    def tell(self, kind: EventKind, data: Plain) -> None:
        """Publish something that happened; the newest of its kind is kept for who asks later."""
        if kind == "scan":
            data = {"sequence": self.events.sequence + 1, **data}
        self._newest[kind] = data
        self.events.tell(kind, data)

    def _beat(self, now: float) -> list[tuple[EventKind, Plain]]:
        loop, begun = self.loop, clock.perf_counter()
        known = loop.scan(now)
        out: list[tuple[EventKind, Plain]] = []
        with loop.timing.stage("alarms"):
            caused = self._alarm(known)
            out += [("alarm", t.alarm.shown()) for t in caused]
            tally = self.alarms_kept.tally()
        with loop.timing.stage("history"):
            self._record(known)
        with loop.timing.stage("publish"):
            if tally != self._tally:
                self._tally = tally
                out.append(("tally", dict(tally)))
            out.append(("scan", told.snapshot(loop, known, self.around.now(), tally)))
            if loop.incidents != self._incidents or (loop.judge is not None and self._due("told", now, AGAIN)):
                self._incidents = loop.incidents
                out.append(("diagnosis", self._diagnosis(known.time)))
            if self._due("health", now, HEALTH):
                out.append(("health", self._health()))
        loop.timing.add("beat", clock.perf_counter() - begun)
        return out

    def _alarm(self, known: Known) -> list[Any]:
        """Hold everything that is known to what alarms ask; return what happened."""
        a, now = self.alarms_kept, known.time
        good = (known.quality & np.uint16(int(Quality.INVALID | Quality.STALE | Quality.OUT_OF_RANGE))) == 0
        values = np.where(np.isfinite(known.estimate), known.estimate, np.where(good, known.measured, nan))
        caused = a.scan(now, values)
        incidents = self.loop.incidents
        if incidents != self._incidents or self._due("incidents", now, AGAIN):
            found = told.findings(self.loop.network, incidents)
            caused += a.report("diagnosis", now, of_findings(found, self.loop.network))
        if self._due("data", now, ALL_DATA):
            quality = self.loop.latest.quality_at(round(now * MICROSECONDS))
            caused += a.report("data", now, of_quality(self._signals, quality.tolist(), {}))
            caused += self._plants(known)
        if self._due("solver", now, HEALTH):
            caused += a.report("solver", now, of_health(self._own_health(now), self._signals))
        return caused

    def _own_health(self, now: float) -> Plain:
        return {**self._health(), "estimates": self._estimates(now)}

    def _plants(self, known: Known) -> list[Any]:
        """Tell which stations and fields stand still: their own alarms are then suppressed by design."""
        caused: list[Any] = []
        lo = self.loop.layout
        for kind, quantity in (("compressors", "flow"), ("supplies", "supply")):
            for name in self.loop.network.active(kind).names:
                k = lo.place.get((quantity, name), -1)
                if k >= 0 and isfinite(known.estimate[k]):
                    running = abs(known.estimate[k]) > STANDS
                    caused += self.alarms_kept.plant(name, known.time, running=bool(running))
        return caused

    def _estimates(self, now: float) -> dict[str, Plain]:
        out = {}
        for name, h in self.loop.health(now).items():
            out[name] = {"age_s": h["age_s"] or 0.0, "late": h["status"] != "estimate" and h["age_s"] is not None}
            if name == "gas":  # between two scans a prediction is what is meant to be shown
                out[name]["late"] = bool(h["age_s"] and h["age_s"] > 150.0)
        return out

    def _record(self, known: Known) -> None:
        gas = self.loop.gas
        at = self.loop.layout.at(self.loop.gas_sight.keys) if self.loop.gas_sight else np.empty(0, np.intp)
        batch = self.recorder.due(known, at, gas.time if gas is not None and gas.steps == 0 else -np.inf)
        if batch is not None and self.around.store is not None:
            self.recorder.store(self.around.store, batch)

    def _diagnosis(self, now: float) -> Plain:
        net, incidents = self.loop.network, self.loop.incidents
        found = told.findings(net, incidents)
        first = next((i for i in incidents if str(i.number) == found[0]["id"]), None) if found else None
        rest = 100.0 - sum(f["probability"] for f in found)
        return {
            "time": iso(now), "findings": found, "something_else": round(max(0.0, rest), 1) if found else None,
            "residuals": list(self.loop.residuals), "unobservable": list(self.loop.unobservable),
            "curve": told.curve(net, first) if first is not None else None,
            "scan_ms": _number(1e3 * self.loop.timing.last("diagnosis")),
        }  # fmt: skip

    def _health(self) -> Plain:
        a, now = self.around, self.around.now()
        sources = self._sources.shown(self.links, now)
        return healthy(
            self.loop, self.events, Seen(sources, stored(a.history, a.folder), a.processes(), self.behind), now
        )

    # ---------------------------------------------------------------------------------------------------- slow beat

    def present(self, now: float) -> Present:
        """Return what slow questions start from."""
        loop, known = self.loop, self.loop.known
        drawn: dict[tuple[str, str], float] = {}
        if known is not None:
            for kind, quantity in (("offtakes", "withdrawal"), ("loads", "active_power")):
                for name in loop.network.active(kind).names:
                    k = loop.layout.place.get((quantity, name))
                    if k is not None and isfinite(known.estimate[k]):
                        drawn[quantity, name] = float(known.estimate[k])
        state = loop.gas_sight.state(loop.gas) if loop.gas_sight is not None and loop.gas is not None else None
        return Present(loop.network, (now / 3600.0 + loop.network.utc_offset) % 24.0, now, drawn, state)

    def _ask_slowly(self, now: float) -> None:
        slow = self.around.slow
        if slow is None or self.loop.known is None or (self.loop.gas_sight is not None and self.loop.gas is None):
            return
        questions: tuple[tuple[EventKind, Callable[[Present], Plain]], ...] = (
            ("ahead", look_ahead), ("outages", lose_each),
        )  # fmt: skip
        for kind, question in questions:
            if not self._tasks and now - self._asked.get(kind, -np.inf) >= SLOWLY:
                self._asked[kind] = now
                task = asyncio.create_task(self._answer(kind, question, self.present(now)), name=kind)
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _answer(self, kind: EventKind, question: Callable[[Present], Plain], present: Present) -> None:
        assert self.around.slow is not None  # noqa: S101 - asked before
        try:
            found = await self.around.slow.ask(question, present)
        except Exception as error:  # noqa: BLE001 - what could not be answered is said, and asked again later
            self.loop.counts.add(f"no answer to {kind}: {type(error).__name__}")
            self.loop.trouble[kind] = str(error)
            return
        self.loop.trouble[kind] = ""
        self.tell(kind, found)
        if kind == "ahead":
            now = self.around.now()
            caused = await asyncio.to_thread(self.alarms_kept.report, "ahead", now, of_ahead(found["reached"]))
            for t in caused:
                self.tell("alarm", t.alarm.shown())

    # ---------------------------------------------------------------------------------------------- what there is

    @cached_property
    def _case(self) -> Plain:
        from serai import __version__  # noqa: PLC0415 - known when the package is whole

        net = self.loop.network
        return {
            "name": net.name, "title": net.title or net.name, "place": net.name.capitalize(),
            "time_zone": _zone(net.utc_offset), "utc_offset_h": net.utc_offset, "base_time": iso(self.begun),
            "day": net.day, "has_map": has_map(net), "languages": ["en", "tk", "ru"], "synthetic": True,
            "version": __version__, "field_writes": self.around.writes, "units": dict(WORDS),
            "period_s": self.loop.settings.period,
        }  # fmt: skip

    async def case(self) -> Plain:
        """See `Desk`."""
        return self._case

    @cached_property
    def _network(self) -> Plain:
        return {"elements": elements(self.loop.network), "outlines": None}

    async def network(self) -> Plain:
        """See `Desk`."""
        return self._network

    @cached_property
    def _layout(self) -> Plain:
        return {"version": f"{self.begun:.3f}", "values": self.loop.layout.plain()}

    async def layout(self) -> Plain:
        """See `Desk`."""
        return self._layout

    # ---------------------------------------------------------------------------------------------- what is so

    def _kept(self, kind: str, what: str) -> Plain:
        if kind not in self._newest:
            reason = self.loop.trouble.get(kind, "")
            raise Refused("not-ready", f"no {what} yet{': ' + reason if reason else ''}", "Ask again in some minutes")
        return self._newest[kind]

    async def snapshot(self) -> Plain:
        """See `Desk`."""
        return self._kept("scan", "scan")

    async def health(self) -> Plain:
        """See `Desk`."""
        return self._health()

    async def diagnosis(self) -> Plain:
        """See `Desk`."""
        return self._kept("diagnosis", "diagnosis")

    async def readings(self, where: str | None = None, tag: str | None = None, limit: int = 1000) -> list[Plain]:
        """See `Desk`."""
        latest, lo, known = self.loop.latest, self.loop.layout, self.loop.known
        name = None if where is None else where.partition("/")[2] if where not in self.loop.network else where
        if tag is not None and tag not in latest.place:
            raise Refused("unknown", f"no tag {tag!r}", "See the readings of its element")
        if name is not None and name not in self.loop.network:
            raise Refused("unknown", f"no element {where!r}", "")
        now = self.around.now()
        quality = latest.quality_at(round(now * MICROSECONDS))
        found = []
        for k, i in enumerate(latest.instruments):
            if (tag is not None and i.tag != tag) or (name is not None and i.where != name):
                continue
            at = lo.place.get((i.quantity, i.where), -1)
            there = at >= 0 and known is not None
            found.append(told.of_reading(self.loop.network, {
                "tag": i.tag, "quantity": i.quantity, "where": i.where, "station": i.station,
                "place": told.ident(self.loop.network, i.where), "value": float(latest.value[k]),
                "age": now - latest.time[k] / MICROSECONDS if latest.time[k] != NEVER else nan,
                "quality": _flags(int(quality[k])), "estimate": float(known.estimate[at]) if there and known else nan,
                "sigma": float(i.sigma_at(float(latest.value[k]))), "low": lo.low[at] if there else nan,
                "high": lo.high[at] if there else nan,
            }))  # fmt: skip
            if len(found) >= min(limit, MOST):
                break
        return found

    # ---------------------------------------------------------------------------------------------- what will be

    async def ahead(self) -> Plain:
        """See `Desk`."""
        return self._kept("ahead", "look-ahead")

    async def outages(self) -> Plain:
        """See `Desk`."""
        return self._kept("outages", "round of single losses")

    async def plan(self) -> Plain:
        """See `Desk`."""
        path = self.around.plan
        try:
            found: Plain = json.loads(await asyncio.to_thread(path.read_text, "utf-8")) if path is not None else {}
        except (OSError, ValueError):
            found = {}
        if not found:
            raise Refused("not-ready", "no plan was computed here", "Compute one with `serai plan`")
        shown: Plain = told.finite(found)
        return shown

    async def sheets(self, day: str | None = None) -> Plain:
        """See `Desk`."""
        from serai.twin.sheets import sheet  # noqa: PLC0415 - read when asked for

        return await self._of_past(lambda past: sheet(past, self.loop, day, self.around.now()))

    # ---------------------------------------------------------------------------------------------- what was

    async def _of_past(self, question: Callable[[Archive], T]) -> T:
        past = self.past
        if past is None:
            raise Refused("unavailable", "this twin keeps no history", "Run it with a folder for one")
        try:
            return await asyncio.to_thread(question, past)
        except (errors.SeraiError, OSError) as error:
            if isinstance(error, Refused):
                raise
            past.close()
            raise Refused("unavailable", f"the history cannot be read: {error}", "Try again in a minute") from None

    async def trend(self, series: Sequence[str], start: str, end: str, points: int = 600) -> Plain:
        """See `Desk`."""
        if not 1 <= len(series) <= 20:
            raise Refused("invalid", f"1 to 20 series, got {len(series)}", "")
        return await self._of_past(lambda past: past.trend(series, start, end, points))

    async def instant(self, time: str) -> Plain:
        """See `Desk`."""
        at, estimate, sigma, measured = await self._of_past(lambda past: past.instant(time))
        lo = self.loop.layout
        source = np.where(np.isfinite(estimate), "e", np.where(np.isfinite(measured), "m", "-"))
        return {
            "sequence": None, "time": iso(at), "clock": iso(at), "made": iso(self.around.now()),
            "estimate": lo.shown(estimate), "sigma": lo.shown_sigma(sigma), "measured": lo.shown(measured),
            "quality": [0] * len(lo), "source": "".join(source.tolist()), "key": {}, "exports": [], "tally": {},
            "health": {},
        }  # fmt: skip

    # ---------------------------------------------------------------------------------------------- alarms

    async def alarms(self, state: Sequence[str] = (), limit: int = 1000) -> list[Plain]:
        """See `Desk`."""
        return [a.shown() for a in self.alarms_kept.standing(state, min(limit, MOST))]

    async def alarm(self, id: str) -> Plain:  # noqa: A002 - the word of the interface
        """See `Desk`."""
        return (await self._act(lambda: self.alarms_kept.alarm(id))).shown()

    async def alarm_history(self, start: str, end: str, limit: int = 1000) -> list[Plain]:
        """See `Desk`."""
        begin, last = moment(start), moment(end)
        found = await asyncio.to_thread(self.alarms_kept.history, begin, last, min(limit, MOST))
        shown: list[Plain] = told.finite(found)
        return shown

    async def alarm_figures(self) -> Plain:
        """See `Desk`."""
        now = self.around.now()
        figures = await asyncio.to_thread(self.alarms_kept.figures, max(now - FIGURES, self.begun - FIGURES), now)
        shown: Plain = told.finite(figures.shown())
        return shown

    async def _act(self, action: Callable[[], T], *, wrong: Reason = "conflict") -> T:
        try:
            return await asyncio.to_thread(action)
        except errors.UnknownName as error:
            raise Refused("unknown", str(error), "") from None
        except errors.NotStored as error:
            raise Refused("unavailable", str(error), "Nothing was changed; try again") from None
        except errors.Refused as error:
            raise Refused(wrong, str(error), "") from None

    async def _changed(self, action: Callable[[], Alarm]) -> Plain:
        """Do what a person asks of an alarm, publish what follows from it, return the alarm."""
        alarm = await self._act(action)
        caused = await asyncio.to_thread(self.alarms_kept.step, self.around.now())
        for changed in {alarm.id: alarm, **{t.alarm.id: t.alarm for t in caused}}.values():
            self.tell("alarm", changed.shown())
        self._tally = self.alarms_kept.tally()
        self.tell("tally", dict(self._tally))
        return alarm.shown()

    async def acknowledge(self, id: str, who: str) -> Plain:  # noqa: A002 - as above
        """See `Desk`."""
        return await self._changed(lambda: self.alarms_kept.acknowledge(id, who=who, time=self.around.now()))

    async def shelve(self, id: str, who: str, minutes: float, why: str) -> Plain:  # noqa: A002 - as above
        """See `Desk`."""
        now = self.around.now()
        return await self._changed(lambda: self.alarms_kept.shelve(id, who=who, minutes=minutes, why=why, time=now))

    async def unshelve(self, id: str, who: str) -> Plain:  # noqa: A002 - as above
        """See `Desk`."""
        return await self._changed(lambda: self.alarms_kept.unshelve(id, who=who, time=self.around.now()))

    async def suppress(self, id: str, who: str, why: str, until: str) -> Plain:  # noqa: A002 - as above
        """See `Desk`."""
        now, end = self.around.now(), moment(until)
        return await self._changed(lambda: self.alarms_kept.suppress(id, who=who, why=why, time=now, until=end))

    async def out_of_service(self, id: str, who: str, why: str, permit: str) -> Plain:  # noqa: A002 - as above
        """See `Desk`."""
        a, now = self.alarms_kept, self.around.now()
        return await self._changed(lambda: a.out_of_service(id, who=who, why=why, time=now, permit=permit))

    async def into_service(self, id: str, who: str, why: str) -> Plain:  # noqa: A002 - as above
        """See `Desk`."""
        now = self.around.now()
        return await self._changed(lambda: self.alarms_kept.into_service(id, who=who, time=now, why=why))

    async def annotate(self, subject: str, text: str, who: str) -> Plain:
        """See `Desk`."""
        now = self.around.now()
        if any(a.id == subject for a in self.alarms_kept.standing()):
            alarm = await self._act(lambda: self.alarms_kept.note(subject, text, who=who, time=now))
            self.tell("alarm", alarm.shown())
        return await self.write(text, who, subject)

    # ---------------------------------------------------------------------------------------------- the shift log

    async def write(self, text: str, who: str, subject: str = "") -> Plain:
        """See `Desk`."""
        log = self._log()
        now = self.around.now()
        record = await self._act(lambda: log.write(text, who=who, subject=subject, time=now), wrong="invalid")
        entry = {"id": record.n, "time": record.time, "who": record.who, **record.about}
        self.tell("log", entry)
        return entry

    async def log(self, start: str | None = None, end: str | None = None, limit: int = 1000) -> list[Plain]:
        """See `Desk`."""
        log = self._log()
        begin = moment(start) if start else -inf
        last = moment(end) if end else inf
        found = await self._act(lambda: log.entries(begin, last, min(limit, MOST)))
        return [{"id": e["n"], **{k: v for k, v in e.items() if k != "n"}} for e in reversed(found)]

    def _log(self) -> ShiftLog:
        if self.shift is None:
            raise Refused("unavailable", self.loop.trouble.get("shift log") or "this twin keeps no shift log", "")
        return self.shift

    # ---------------------------------------------------------------------------------------------- commands

    async def commands(self, limit: int = 100) -> list[Plain]:
        """See `Desk`."""
        return self.given.listed(self.around.now(), min(limit, MOST))

    async def propose(self, command: Mapping[str, Any], who: str) -> Plain:
        """See `Desk`."""
        found = await self.given.propose(command, who, self.around.now(), self._trial)
        self.tell("command", found)
        return found

    async def _trial(self, known: KnownValue) -> Plain:
        present = self.present(self.around.now())
        async with asyncio.timeout(TRYING):
            if self.around.slow is not None:
                return await self.around.slow.ask(try_command, present, known)
            return await asyncio.to_thread(try_command, present, known)

    async def confirm(self, id: str, who: str) -> Plain:  # noqa: A002 - as above
        """See `Desk`."""
        found = await self.given.confirm(id, who, self.around.now())
        self.tell("command", found)
        return found

    async def withdraw(self, id: str, who: str) -> Plain:  # noqa: A002 - as above
        """See `Desk`."""
        found = self.given.withdraw(id, who, self.around.now())
        self.tell("command", found)
        return found

    # ---------------------------------------------------------------------------------------------- what happens

    def subscribe(self, after: int | None = None) -> AsyncIterator[Event]:
        """See `Desk`."""
        return self.events.subscribe(after)

    async def close(self) -> None:
        """End everything that was begun; what was stored stays."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.around.slow is not None:
            self.around.slow.close()
        self.loop.close()
        self.alarms_kept.close()
        if self.shift is not None:
            self.shift.close()
        if self.past is not None:
            self.past.close()


def _zone(offset: float) -> str:
    return {5.0: "Asia/Ashgabat", 0.0: "UTC"}.get(offset, f"Etc/GMT{-offset:+.0f}")


def _flags(quality: int) -> list[str]:
    return [str(b.name).lower().replace("_", "-") for b in Quality if b and quality & b] or ["good"]


def _number(value: float) -> float | None:
    return round(value, 1) if isfinite(value) else None
