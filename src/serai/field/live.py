# SPDX-License-Identifier: Apache-2.0
"""The live field: the stations of a case as protocol servers over a simulated network, in real time or faster.

The truth is solved one step ahead of the clock, so a command begins to act at the end of the step that is running.
Everything runs in one process and one event loop; the solver runs in a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self, TypeVar

from serai.errors import SeraiError
from serai.field.iec104 import Iec104Station
from serai.field.meters import Arrivals, Meters
from serai.field.recording import story_of
from serai.field.scenario import Scenario
from serai.field.scenario_file import read_scenario
from serai.field.stations import Columns, Site, Verdict
from serai.field.world import World
from serai.known import Known
from serai.telemetry.ending import cancelled
from serai.telemetry.points import commands, points, stations
from serai.telemetry.readings import MICROSECONDS, Counts, now

if TYPE_CHECKING:
    import os
    from collections.abc import Awaitable, Iterable

    from serai.field.stations import Station
    from serai.network import Network
    from serai.telemetry.endpoints import Endpoint
    from serai.telemetry.points import Command, Point
    from serai.telemetry.readings import Readings

T = TypeVar("T")
SLICE = 0.1  # s of wall time between two deliveries
CATCH_UP = 30.0  # s of wall time that are made good; a field further behind (asleep, a slow solver) goes on from there
KEEP = 180.0  # s of the truth that are kept, and ten steps at least, beside what a replay needs: meters ask for 60 s
ARRIVE = 60.0  # s in which a station must listen, or the broker; nothing of a start takes longer but what hangs
LEAVE = 20.0  # s in which a station or the broker must have closed; after that it is left
PATIENCE = 60.0  # s of wall time that a station waits for its control room to come back, before it goes on alone
BACKLOG = 2000  # deliveries that may wait for one station; then its oldest are overwritten, and counted
STEPS = (1.0, 2.0, 4.0, 6.0, 10.0, 15.0, 20.0, 30.0, 60.0)  # s, of the truth


@dataclass(frozen=True, slots=True)
class Entry:
    """One command that reached the field: when [s since the start], what, value [SI], by whom, and what was said.

    known  what holds since then; None = nothing does
    """

    time: float
    command: Command
    value: float
    by: str
    verdict: Verdict
    known: Known | None = None


class Field:
    """A running field: `async with Field(...) as field: await field.run()`.

    network, scenario   as for `readings`
    speed               field seconds per second; above 1 the solver must follow. What the field falls behind (a busy
                        machine) it makes good; from CATCH_UP on, it goes on from there (`counts["seconds behind"]`)
    step                [s] of the truth; None = about two seconds of wall time, at most a minute
    allow_commands      whether commands act; off, every one is refused
    host, port          where stations listen: port, port + 1, ... in the order of their names; 0 = free ones
    broker              (host, port) for stations over MQTT; None = one of our own, in this process
    start               when the run begins [s since 1970 UTC]. None: now at speed 1; faster, so that field time reaches
                        the present at the end of the scenario and no reading is from the future
    only                stations to run; None = all
    keep                stations over IEC 104 know one control room and keep for it what it does not hear; without,
                        anyone here may listen, and a reading that nobody hears is gone
    log                 every command that came; counts; endpoints of the stations
    """

    def __init__(
        self,
        network: Network,
        scenario: Scenario | str | os.PathLike[str] | None = None,
        *,
        speed: float = 1.0,
        step: float | None = None,
        allow_commands: bool = False,
        host: str = "127.0.0.1",
        port: int = 0,
        broker: tuple[str, int] | None = None,
        start: float | None = None,
        seed: int | None = None,
        only: Iterable[str] | None = None,
        keep: bool = False,
    ) -> None:
        if not 0.0 < speed <= 3600.0:
            raise SeraiError(f"the speed must be above 0 and at most 3600, got {speed:g}")
        if not ipaddress.ip_address(host).is_loopback:
            raise SeraiError(f"the field listens on this machine alone, it has no certificates: 127.0.0.1, not {host}")
        if not isinstance(scenario, Scenario):
            scenario = Scenario() if scenario is None else read_scenario(scenario, network)
        self.network = network.on(scenario.day) if scenario.day else network
        self.scenario, self.speed, self.allow_commands = scenario, speed, allow_commands
        self.step = step or next((s for s in STEPS if s >= 2.0 * speed), STEPS[-1])
        self.seed = scenario.seed if seed is None else seed
        length = 3600.0 * scenario.hours
        present = now() / MICROSECONDS
        self._present = start is None and speed == 1.0
        self.start = start if start is not None else present - max(0.0, length - length / speed)
        self.world = World(self.network, scenario, seed=self.seed, step=self.step)
        self.story = story_of(self.network, scenario)
        ratio = self.network.gas.standard_density / self.world.network.gas.standard_density
        self.meters = Meters(self.network, scenario, seed=self.seed, start=self.start, density_ratio=ratio)
        self.time = 0.0  # s, field time up to which readings have been told
        self.log: list[Entry] = []
        self.counts = Counts("field")
        self.endpoints: list[Endpoint] = []
        self._place = host, port, broker
        self._keep = keep
        self._only = None if only is None else set(only)
        self._arrivals = Arrivals()
        self._solving = asyncio.Lock()
        self._stations: dict[str, Station] = {}
        self._columns: dict[str, Columns] = {}
        self._queues: dict[str, asyncio.Queue[Readings]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._silent: set[str] = set()
        self._keeping: set[str] = set()
        self._done: list[Known] = []
        self._broker: Any = None

    # ------------------------------------------------------------- begin and end

    async def __aenter__(self) -> Self:
        try:
            await self.open()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Solve the start and let every station listen."""
        await asyncio.to_thread(self._begin)
        listed = points(self.network)
        told: dict[str, list[Command]] = {}
        for command in commands(self.network, listed):
            told.setdefault(command.station, []).append(command)
        by_station = stations(listed)
        if self._only is not None:
            lost = self._only - by_station.keys()
            if lost:
                raise SeraiError(f"no station {', '.join(sorted(lost))} in {self.network.name}")
            by_station = {name: own for name, own in by_station.items() if name in self._only}
        if any(own[0].protocol == "mqtt" for own in by_station.values()) and self._place[2] is None:
            await self._own_broker()
        numbers = {tag: k for k, tag in enumerate(self.meters.tags)}
        for k, name in enumerate(sorted(by_station)):
            own = by_station[name]
            station = self._made(name, own, told.get(name, []), k)
            self._stations[name] = station
            self.endpoints.append(await _listening(station))
            self._columns[name] = Columns(own, numbers, len(numbers))
            self._queues[name] = asyncio.Queue(BACKLOG)
            self._tasks.append(asyncio.create_task(self._tell(name), name=f"field {name}"))

    def _begin(self) -> None:
        self.world.begin()
        if self.story is not None:
            self.story.begin()

    async def _own_broker(self) -> None:
        from serai.field.mqtt import Broker  # noqa: PLC0415 - an optional package

        host, port, _ = self._place
        self._broker = Broker(host, port + 1000 if port else 0)
        await _within(ARRIVE, self._broker.start(), "the broker for stations over MQTT")
        self._place = host, port, (self._broker.host, self._broker.port)

    def _made(self, name: str, own: list[Point], told: list[Command], number: int) -> Station:
        """Return the station in the protocol of its points; packages are loaded where they are needed."""
        host, port, broker = self._place
        protocol = own[0].protocol
        odd = [p.tag for p in own if p.protocol != protocol]
        if odd:
            raise SeraiError(f"station {name} speaks {protocol}, {', '.join(odd[:3])} does not: one protocol a station")
        if protocol == "mqtt" and broker is not None:
            host, port, number = *broker, 0
        site = Site(name, own, told, self.decide, host, port + number if port else 0, self._keep)
        if protocol == "iec104":
            return Iec104Station(site)
        if protocol == "opcua":
            from serai.field.opcua import OpcuaStation, quiet  # noqa: PLC0415 - an optional package

            quiet()
            return OpcuaStation(site)
        if protocol == "modbus":
            from serai.field.modbus import ModbusStation  # noqa: PLC0415 - an optional package

            return ModbusStation(site)
        from serai.field.mqtt import MqttStation  # noqa: PLC0415 - an optional package

        return MqttStation(site)

    async def close(self) -> None:
        """Stop all stations."""
        await cancelled(*self._tasks)
        self._tasks.clear()
        leaving = [asyncio.wait_for(s.close(), LEAVE) for s in self._stations.values()]
        await asyncio.gather(*leaving, return_exceptions=True)
        if self._broker is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._broker.close(), LEAVE)

    # ------------------------------------------------------------------- running

    async def run(self, hours: float | None = None) -> None:
        """Run for some hours of field time; None = until cancelled."""
        end = None if hours is None else self.time + 3600.0 * hours
        self._set_clock()
        begun, first = _awake_or_asleep(), self.time
        ahead = asyncio.create_task(self._solve(self.time + self.step))
        try:
            while end is None or self.time < end - 1e-9:
                await ahead
                self._collect(self.time, self.time + self.step)
                ahead = asyncio.create_task(self._solve(self.time + 2.0 * self.step))
                target, n = self.time, max(1, round(self.step / self.speed / SLICE))
                for k in range(1, n + 1):
                    self.time = target + k * self.step / n
                    late = _awake_or_asleep() - begun - (self.time - first) / self.speed
                    if late > CATCH_UP:
                        begun += late
                        self._set_clock()
                        self.counts.add("seconds behind", round(late))
                    await asyncio.sleep(max(0.0, -late))
                    await self._silences()
                    self._deliver()
        finally:
            ahead.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ahead

    def _set_clock(self) -> None:
        """Let field time be the present, where that is what was asked for: at speed 1, with no start of its own."""
        if self._present:
            self.start = self.meters.start = now() / MICROSECONDS - self.time

    async def _solve(self, to: float) -> None:
        async with self._solving:
            await asyncio.to_thread(self._advance, to)

    def _advance(self, to: float) -> None:
        for world in (self.world, self.story):
            if world is None:
                continue
            while world.time < to:
                try:
                    world.advance(to)
                except SeraiError as error:
                    if not self._taken_back(str(error)):
                        raise
            keep = max(KEEP, 10.0 * self.step)
            ago = max([keep, *(f.ago + keep for f in self.scenario.forgeries if f.kind == "replay")])
            if world.times[0] < to - ago - 0.5 * keep:
                world.forget(to - ago)

    def _collect(self, begin: float, end: float) -> None:
        """Let the readings of a span set out."""
        story = None if self.story is None else self.story.path()
        batch = self.meters.batch(begin, end, self.world.path(), story)
        self.counts.add("readings", len(batch))
        self._arrivals.add(batch)

    def _deliver(self) -> None:
        """Hand each station what it has to tell by now."""
        batch = self._arrivals.until(self.start + self.time)
        if batch is None:
            return
        for queue in self._queues.values():
            if queue.full():
                self.counts.add("readings overwritten", len(queue.get_nowait()))
            queue.put_nowait(batch)

    async def _tell(self, name: str) -> None:
        """Send what a station has to tell, one delivery after the other."""
        station, columns, queue = self._stations[name], self._columns[name], self._queues[name]
        while True:
            batch = await queue.get()
            await self._until_heard(name, station)
            for sent in columns.of(batch):
                try:
                    await station.send(sent)
                except (OSError, SeraiError) as error:
                    self.counts.add(f"not sent: {type(error).__name__}", len(sent.point))

    async def _until_heard(self, name: str, station: Station) -> None:
        """Wait, once its link is back, until somebody listens to a station that has kept its readings."""
        patience = PATIENCE
        while name in self._keeping and (name in self._silent or not station.heard()) and patience > 0.0:
            await asyncio.sleep(SLICE)
            patience -= 0.0 if name in self._silent else SLICE
        if name not in self._silent:
            self._keeping.discard(name)

    async def _silences(self) -> None:
        """Close the stations that are silent by the scenario, open those that are back."""
        silent = {s.station for s in self.scenario.silences if s.begin <= self.time < s.end} & self._stations.keys()
        for name in silent - self._silent:
            await self._stations[name].close()
        for name in self._silent - silent:
            await _listening(self._stations[name])
        keeping = {s.station for s in self.scenario.silences if s.kept and not s.restart}
        self._keeping |= (silent - self._silent) & keeping
        self._silent = silent

    # ------------------------------------------------------------------ commands

    async def decide(self, command: Command, value: float, by: str, *, trial: bool = False) -> Verdict:
        """Decide on a command and do it, unless it is only tried; every one is entered in the log."""
        verdict, known = self._judged(command, value), None
        if verdict.accepted and not trial:
            try:
                known = Known(command.quantity, command.where, value, source=f"command by {by}")
                async with self._solving:
                    await asyncio.to_thread(self._told, known)
            except SeraiError as error:
                verdict = Verdict("refused", str(error))
        if not trial or not verdict.accepted:
            self.log.append(Entry(self.time, command, value, by, verdict, known if verdict.accepted else None))
            self.counts.add("commands done" if verdict.accepted else f"commands refused: {verdict.why}")
        return verdict

    def _judged(self, command: Command, value: float) -> Verdict:
        if not self.allow_commands:
            return Verdict("off", "field writes are switched off")
        room = 1e-6 * max(abs(command.low), abs(command.high), 1e-9) if command.low == command.low else 0.0
        if value < command.low - room or value > command.high + 1e-6 * abs(command.high):
            return Verdict("beyond", f"{command.tag} takes {command.low:g} to {command.high:g}, got {value:g}")
        if command.flag and value not in (0.0, 1.0):
            return Verdict("beyond", f"{command.tag} takes 1 or 0, got {value:g}")
        if command.quantity != "in_service" and not self._running(command.where):
            return Verdict("refused", f"{command.where} is not in service")
        return Verdict()

    def _running(self, where: str) -> bool:
        """Tell whether an element is in service after all that was told."""
        told = [e.known for e in self.world.events if e.known.where == where and e.known.quantity == "in_service"]
        if told:
            return told[-1].value == 1.0
        t = self.world.network[self.world.network.kind_of(where)]
        return str(t["status"][t.row(where)]) == "in service"

    def _told(self, known: Known) -> None:
        self.world.tell(known)
        if self.story is not None:
            self.story.tell(known)
        self._done.append(known)

    def _taken_back(self, why: str) -> bool:
        """Take back the last command, which the network cannot keep up; False = there is none."""
        if not self._done:
            return False
        known = self._done.pop()
        for world in (self.world, self.story):
            if world is not None:
                world.take_back(known)
        self.counts.add("commands taken back")
        old = next(e for e in reversed(self.log) if e.known is known)
        self.log.append(replace(old, time=self.time, verdict=Verdict("refused", f"taken back: {why}"), known=None))
        return True


async def _listening(station: Station) -> Endpoint:
    """Let a station listen; SeraiError where it takes too long."""
    return await _within(ARRIVE, station.start(), f"station {station.name}")


def _awake_or_asleep() -> float:
    """Return seconds of a clock that goes on while the machine sleeps, where there is one."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


async def _within(seconds: float, starting: Awaitable[T], what: str) -> T:
    try:
        async with asyncio.timeout(seconds):
            return await starting
    except TimeoutError:
        raise SeraiError(f"{what} did not listen within {seconds:g} s: is this machine overloaded?") from None
