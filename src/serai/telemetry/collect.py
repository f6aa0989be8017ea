# SPDX-License-Identifier: Apache-2.0
"""Collecting: from the stations of a case over their protocols, through the quality checks and the bus, into history.

    sources -> inbox -> checks -> bus -> ingest -> history

Every arrow waits when what follows is behind, up to the station, so memory stays bounded and nothing is overwritten.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from math import expm1, isnan
from time import monotonic
from typing import TYPE_CHECKING, Protocol

import numpy as np

from serai.errors import SeraiError
from serai.telemetry.bus import InProcess, Numbered
from serai.telemetry.historian.ingest import Ingest, Pace
from serai.telemetry.points import Answer, Commanding, points, stations
from serai.telemetry.quality import Checks, Limits
from serai.telemetry.readings import MICROSECONDS, Counts, Register, Source, joined, now

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from serai.network.network import Network
    from serai.telemetry.bus import Bus
    from serai.telemetry.endpoints import Endpoint
    from serai.telemetry.historian import Historian
    from serai.telemetry.points import Command, Point
    from serai.telemetry.readings import Readings

INBOX = 256  # batches from all sources that wait for the checks
GATHER = 0.05  # s in which batches of many sources become one
LARGEST = 20_000  # readings, about, in one batch of the bus
SMOOTH = 10.0  # s over which rates are averaged
LAST = 30.0  # s that the history has at the end to store what is under way


class Linked(Source, Commanding, Protocol):
    """A source that is a connection, as all four protocols are."""

    @property
    def up(self) -> bool:
        """Whether it is connected now."""
        ...

    @property
    def reason(self) -> str:
        """Why it is not; "" where it is."""
        ...


@dataclass(frozen=True, slots=True)
class Health:
    """How one link does.

    stations, protocol   what is behind it;  tags   how many
    up, reason           whether it is connected, and if not, why
    readings, rate       that came, in all and per second, averaged over some `SMOOTH` seconds
    age                  [s] since the last one came; inf = none yet
    flagged, silent      readings with any quality flag; tags that are overdue now
    lost                 how often the connection was lost, or not to be had
    """

    stations: tuple[str, ...]
    protocol: str
    tags: int
    up: bool
    reason: str
    readings: int
    rate: float
    age: float
    flagged: int
    silent: int
    lost: int

    @property
    def name(self) -> str:
        """The station, or how many there are behind one broker."""
        first, *more = self.stations
        return f"{first} and {len(more)} more" if more else first


@dataclass(frozen=True, slots=True)
class Seen:
    """All links at one instant.

    at                 [µs since 1970 UTC]
    links              in the order of the endpoints
    readings, rate     that came, in all and per second, averaged as those of the links
    stored             readings that are safe in the history
    delay              [s] from the time of a reading to its arrival, 99 of 100 since the last look; nan = none came
    flags              readings under the name of each flag
    """

    at: int
    links: tuple[Health, ...]
    readings: int
    rate: float
    stored: int
    delay: float
    flags: Mapping[str, int]


@dataclass(slots=True)
class _Tally:
    """What has come over a link."""

    readings: int = 0
    flagged: int = 0
    heard: int = 0
    shown: int = 0  # readings at the last look
    rate: float = float("nan")


@dataclass(frozen=True, slots=True)
class _Way:
    """One source, or why there is none."""

    endpoint: Endpoint
    stations: tuple[str, ...]
    points: tuple[Point, ...]
    source: Linked | None
    why: str = ""
    tally: _Tally = field(default_factory=_Tally)


class Collector:
    """Connects to all endpoints at once and stores what they send.

    counts   `readings` that came, `batches` they became, `not stored at the end`; `checks.counts` has the flags
    """

    def __init__(
        self, network: Network, endpoints: Sequence[Endpoint], history: Historian, *, bus: Bus | None = None,
        limits: Limits | None = None, retry: tuple[float, float] = (1.0, 30.0), pace: Pace | None = None,
    ) -> None:  # fmt: skip
        """Make a collector of a case; nothing is connected before `run`.

        bus     between checks and history; not given = one within this process
        limits  of the quality checks;  retry   [s] between tries to connect, shortest and longest
        Raises SeraiError when an endpoint names a station or a protocol that the case does not have.
        """
        self.register, self.counts = Register(), Counts("collect")
        found = points(network)
        self.checks = Checks(found, self.register, limits)
        self._history, self._bus, self._pace = history, bus or InProcess(), pace
        self._ways = _ways(stations(found), endpoints, self.register, retry)
        self._stations = {p.tag: p.station for p in found}
        self._by_station = {s: way for way in self._ways for s in way.stations}
        self._way_of = np.zeros(len(self.register), np.intp)
        for k, way in enumerate(self._ways):
            self._way_of[self.register.numbers(p.tag for p in way.points)] = k
        self._inbox: asyncio.Queue[Readings | None] = asyncio.Queue(INBOX)
        self._end = asyncio.Event()
        self._ingest: Ingest | None = None
        self._delays: list[np.ndarray] = []
        self._looked = monotonic()

    def end(self) -> None:
        """Let `run` close the links, store what has come and return."""
        self._end.set()

    async def run(self) -> None:
        """Collect until `end`, or until it is cancelled: either way what has come is stored before it returns."""
        self._ingest = Ingest(await self._bus.subscribe("historian"), self._history, self._pace)
        storing = asyncio.create_task(self._ingest.run())
        checking = asyncio.create_task(self._check())
        reading = [asyncio.create_task(self._read(way.source)) for way in self._ways if way.source is not None]
        ended = asyncio.create_task(self._end.wait())
        try:
            # a stage that fails, against all precautions, ends the whole and is heard of
            done, _ = await asyncio.wait((storing, checking, ended), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            ended.cancel()
            await asyncio.shield(self._finish(reading, checking, storing))

    async def _finish(
        self, reading: list[asyncio.Task[None]], checking: asyncio.Task[None], storing: asyncio.Task[None]
    ) -> None:
        """Close from the front to the back, so that every stage empties into the next; what is stuck is counted."""
        stages = [*reading, checking]
        try:
            async with asyncio.timeout(LAST if not storing.done() else 0.0):
                sources = [way.source for way in self._ways if way.source is not None]
                await asyncio.gather(*(source.close() for source in sources), return_exceptions=True)
                await asyncio.gather(*reading, return_exceptions=True)
                if not checking.done():
                    await self._inbox.put(None)
                await asyncio.gather(checking, return_exceptions=True)
                await self._bus.flush()
                while self.stored < self.counts["readings"] and not storing.done():  # noqa: ASYNC110 - it only counts
                    await asyncio.sleep(0.02)
        except TimeoutError:
            for task in stages:
                task.cancel()
        if self._ingest is not None:
            self._ingest.end()
        await asyncio.gather(*stages, storing, return_exceptions=True)
        if self.stored < self.counts["readings"]:
            self.counts.add("not stored at the end", self.counts["readings"] - self.stored)

    async def _read(self, source: Linked) -> None:
        async for batch in source.readings():
            self.counts.add("readings", len(batch))
            await self._inbox.put(batch)

    async def _check(self) -> None:
        """Join what has come from all links, check it, hand it to the bus."""
        numbered = Numbered("collect")
        more = True
        while more:
            gathered, more = await self._gather()
            if gathered:
                batch = self.checks.check(joined(gathered))
                self._tally(batch)
                await self._bus.publish(numbered.batch(batch))
                self.counts.add("batches")

    async def _gather(self) -> tuple[list[Readings], bool]:
        """Return the batches of the next moment, and whether there will be more."""
        batch = await self._inbox.get()
        if not self._inbox.full():
            await asyncio.sleep(GATHER)
        gathered: list[Readings] = []
        while batch is not None:
            gathered.append(batch)
            if self._inbox.empty() or sum(map(len, gathered)) >= LARGEST:
                return gathered, True
            batch = self._inbox.get_nowait()
        return gathered, False

    def _tally(self, batch: Readings) -> None:
        """Count what came over each link."""
        ways = self._way_of[batch.tag]
        self._delays = [*self._delays[-50:], batch.received - batch.time]
        came = np.bincount(ways, minlength=len(self._ways))
        flagged = np.bincount(ways[batch.quality != 0], minlength=len(self._ways))
        heard = int(batch.received.max())
        for k in np.flatnonzero(came).tolist():
            tally = self._ways[k].tally
            tally.readings += int(came[k])
            tally.flagged += int(flagged[k])
            tally.heard = heard

    # ------------------------------------------------------------------------------------------------------ seen

    @property
    def stored(self) -> int:
        """Readings that are safe in the history, or that it has refused by name."""
        counts = self._ingest.counts.counted if self._ingest is not None else {}
        return sum(n for name, n in counts.items() if name.startswith("readings: "))

    def look(self) -> Seen:
        """Return how all links do; rates are since the last look."""
        at, since = now(), max(monotonic() - self._looked, 1e-3)
        self._looked = monotonic()
        silent: dict[str, int] = defaultdict(int)
        for tag in self.checks.silent(at):
            silent[self._stations[tag]] += 1
        links = tuple(self._health(way, at, since, silent) for way in self._ways)
        total = sum(link.readings for link in links)
        delays, self._delays = self._delays, []
        late = float(np.quantile(np.concatenate(delays), 0.99)) / MICROSECONDS if delays else float("nan")
        flags = {name: n for name, n in self.checks.counts.counted.items() if name != "readings"}
        return Seen(at, links, total, sum(link.rate for link in links), self.stored, late, flags)

    def _health(self, way: _Way, at: int, since: float, silent: Mapping[str, int]) -> Health:
        tally, source = way.tally, way.source
        new, tally.shown = (tally.readings - tally.shown) / since, tally.readings
        tally.rate = new if isnan(tally.rate) else tally.rate + (new - tally.rate) * -expm1(-since / SMOOTH)
        lost = sum(losses(source).values()) if source else 0
        return Health(
            way.stations, way.endpoint.protocol, len(way.points),
            up=source is not None and source.up, reason=source.reason if source is not None else way.why,
            readings=tally.readings, rate=tally.rate,
            age=(at - tally.heard) / MICROSECONDS if tally.heard else float("inf"),
            flagged=tally.flagged, silent=sum(silent[s] for s in way.stations if s in silent), lost=lost,
        )  # fmt: skip

    def sources(self) -> dict[str, Linked]:
        """Return the sources by the stations behind them."""
        return {s: way.source for s, way in self._by_station.items() if way.source is not None}

    def tallies(self) -> list[Counts]:
        """Return what was counted behind the links: in joining, storing and keeping."""
        stage = self._ingest
        if stage is None:
            return [self.counts]
        behind = (getattr(part, "counts", None) for part in (self._bus, stage.subscription, stage, self._history))
        return [self.counts, *(c for c in behind if isinstance(c, Counts))]

    async def command(self, command: Command, value: float) -> Answer:
        """Send a command, `value` in SI, to its station; a refusal says why."""
        way = self._by_station.get(command.station)
        if way is None or way.source is None:
            why = way.why if way is not None else "it has no endpoint"
            return Answer(accepted=False, reason=f"{command.station}: {why}")
        return await way.source.command(command, value)


def losses(source: Linked) -> dict[str, int]:
    """Return how often a connection was lost or not to be had, by reason; our own closing is no loss."""
    found: Counter[str] = Counter()
    for name, n in source.counts.counted.items():
        kind, _, why = name.partition(": ")
        if kind in ("lost", "not connected") and why != "closed here":
            found[why] += n
    return dict(found)


# --------------------------------------------------------------------------------------------------------- sources


def _ways(
    by: Mapping[str, list[Point]], endpoints: Sequence[Endpoint], register: Register, retry: tuple[float, float]
) -> list[_Way]:
    """Return a way to every endpoint; stations behind one broker share one."""
    wrong = []
    together: dict[object, list[Endpoint]] = defaultdict(list)
    for e in endpoints:
        if e.station not in by:
            wrong.append(f"{e.station}: the case has no such station with points")
        elif by[e.station][0].protocol != e.protocol:
            wrong.append(f"{e.station}: its points are {by[e.station][0].protocol}, the endpoint is {e.protocol}")
        shared = replace(e, station="") if e.protocol == "mqtt" else e.station
        together[shared].append(e)
    if wrong:
        raise SeraiError("endpoints that do not fit the case:\n  " + "\n  ".join(wrong))
    ways = []
    for group in together.values():
        listed = tuple(p for e in group for p in by[e.station])
        names = tuple(e.station for e in group)
        try:
            ways.append(_Way(group[0], names, listed, source_of(group[0], listed, register, retry=retry)))
        except SeraiError as error:  # certificates that cannot be read, say: the others go on
            ways.append(_Way(group[0], names, listed, None, str(error)))
    return ways


def source_of(
    endpoint: Endpoint, listed: Sequence[Point], register: Register, *, retry: tuple[float, float] = (1.0, 30.0)
) -> Linked:
    """Return the source of an endpoint's points; SeraiError when it cannot be made."""
    try:
        match endpoint.protocol:
            case "iec104":
                from serai.telemetry.iec104.source import Iec104Source  # noqa: PLC0415 - only what is spoken

                return Iec104Source(endpoint, listed, register, retry=retry)
            case "opcua":
                from serai.telemetry.opcua import OpcuaSource  # noqa: PLC0415 - an optional dependency

                return OpcuaSource(endpoint, listed, register, retry=retry)
            case "modbus":
                from serai.telemetry.modbus import ModbusSource  # noqa: PLC0415 - an optional dependency

                return ModbusSource(endpoint, listed, register, retry=retry)
            case _:
                from serai.telemetry.mqtt import MqttSource  # noqa: PLC0415 - an optional dependency

                return MqttSource(endpoint, listed, register, retry=retry)
    except ImportError as error:
        msg = f"{endpoint.station}: {endpoint.protocol} needs {error.name}: pip install 'serai[telemetry]'"
        raise SeraiError(msg) from None
