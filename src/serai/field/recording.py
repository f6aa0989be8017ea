# SPDX-License-Identifier: Apache-2.0
"""Readings of a simulated field without sockets: what the stations would send, and the truth beside it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import ceil, inf
from typing import TYPE_CHECKING

import numpy as np

from serai.errors import SeraiError
from serai.field.meters import Arrivals, Meters
from serai.field.scenario import Label, Scenario
from serai.field.scenario_file import read_scenario
from serai.field.world import Path, World
from serai.known import Event, Known, seconds
from serai.system import override

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from serai.network import Network
    from serai.telemetry.readings import Readings

    Floats = NDArray[np.float64]

DAY_ONE = datetime(2026, 1, 15, tzinfo=UTC).timestamp()  # midnight at which a run begins when nothing else is said


def readings(
    network: Network,
    scenario: Scenario | str | os.PathLike[str] | None = None,
    *,
    hours: float | None = None,
    scan: float | str | None = None,
    seed: int | None = None,
    step: float | str | None = None,
    batch: float | str = "60s",
    start: float | None = None,
    tags: Iterable[str] | None = None,
    progress: Callable[[float], None] | None = None,
) -> Recording:
    """Simulate the field and return its readings: the truth is solved now, batches come as the result is iterated.

    network   the model; its instruments report
    scenario  what goes wrong: made by hand, a file, or the name of one that comes with the case; None = nothing, on the
              model's own network, with meters as in their class

    Other arguments
    hours     length, instead of the scenario's
    scan      one scan interval for all instruments, instead of their own: "60s" or seconds
    seed      of noise, bias, gaps and of the true network, instead of the scenario's
    step      time step of the truth, instead of the scenario's ("60s", "5min")
    batch     time that one batch of readings covers
    start     when the run begins [s since 1970 UTC]; None = 2026-01-15, at the scenario's local hour
    tags      report these instruments only
    progress  called with the share of the truth that is solved

    Raises what `transient` raises.
    """
    if not isinstance(scenario, Scenario):
        scenario = Scenario() if scenario is None else read_scenario(scenario, network)
    changes = {"hours": hours, "seed": seed, "step": None if step is None else seconds(step)}
    scenario = replace(scenario, **{k: v for k, v in changes.items() if v is not None})  # type: ignore[arg-type]  # of the fields' own types
    if scan is not None:
        t = network["instruments"]
        network = network.with_tables(instruments=t.replace(scan=np.full(len(t), seconds(scan))))
    network = network.on(scenario.day) if scenario.day else network
    begun = local_start(network, scenario) if start is None else start
    truth = solved(network, scenario, progress)
    return Recording(network, scenario, truth, begun, seconds(batch), None if tags is None else tuple(tags))


def local_start(network: Network, scenario: Scenario) -> float:
    """Return the time [s since 1970 UTC] at which a run begins at the scenario's local hour of 2026-01-15."""
    return DAY_ONE + 3600.0 * (scenario.start_hour - network.utc_offset)


def solved(network: Network, scenario: Scenario, progress: Callable[[float], None] | None = None) -> Solved:
    """Solve the truth of a scenario over all its hours."""
    length = 3600.0 * scenario.hours
    world = World(network, scenario, seed=scenario.seed, step=scenario.step)
    world.begin()
    world.advance(length, progress)
    story = story_of(network, scenario)
    if story is not None:
        story.begin()
        story.advance(length, progress)
    other = None if story is None else story.path()
    labels = [label if label.kind != "leak" else _sized(label, world) for label in scenario.labels()]
    ratio = network.gas.standard_density / world.network.gas.standard_density
    return Solved(world.exact.tags, world.path(), other, tuple(labels), ratio)


def story_of(network: Network, scenario: Scenario) -> World | None:
    """Return the world that a forger tells of, not begun; None where nothing is forged by stealth."""
    told = [f for f in scenario.forgeries if f.kind == "stealth"]
    if not told:
        return None
    if len({(f.begin, f.story) for f in told}) > 1:
        raise SeraiError("two stealth forgeries tell different stories: a scenario holds one")
    events = [Event(told[0].begin, k) for k in told[0].story]
    return World(network, scenario, seed=scenario.seed, step=scenario.step, story=events)


def _sized(label: Label, world: World) -> Label:
    return replace(label, size=world.leak_rate(label.where[0]))


@dataclass(frozen=True)
class Solved:
    """The truth of a scenario.

    tags    of the instruments
    path    what exact instruments read
    story   the same in a forger's world
    labels  what is wrong, with the sizes of leaks
    """

    tags: tuple[str, ...]
    path: Path
    story: Path | None
    labels: tuple[Label, ...]
    density_ratio: float = 1.0

    def at(self, time: float | Floats) -> Floats:
        """Return the exact readings at a time (n_instrument,), or at times (n, n_instrument), SI."""
        t = np.atleast_1d(np.asarray(time, float))
        n = len(self.tags)
        found = self.path(np.repeat(t, n), np.tile(np.arange(n), len(t))).reshape(len(t), n)
        return found[0] if np.ndim(time) == 0 else found


@dataclass(frozen=True)
class Recording:
    """Readings of a field over a scenario: iterate over it for batches, again and again the same.

    network   the model, on the scenario's day
    truth     what exact instruments would read, and what is wrong
    start     [s since 1970 UTC]
    batch     [s] that one batch covers
    tags      the only instruments reported; None = all
    """

    network: Network
    scenario: Scenario
    truth: Solved
    start: float
    batch: float = 60.0
    tags: tuple[str, ...] | None = None

    def with_seed(self, seed: int) -> Recording:
        """Return the same truth read by other meters: other bias, noise and gaps."""
        return replace(self, scenario=replace(self.scenario, seed=seed))

    def meters(self) -> Meters:
        """Return the meters."""
        found = Meters(
            self.network, self.scenario,
            seed=self.scenario.seed, start=self.start, density_ratio=self.truth.density_ratio,
        )  # fmt: skip
        if self.tags is not None:
            found.only(self.tags)
        return found

    def __iter__(self) -> Iterator[Readings]:
        """Yield what arrives in each span of time, in the order in which it arrives; what comes late at the end."""
        meters, arrivals, length = self.meters(), Arrivals(), 3600.0 * self.scenario.hours
        for k in range(ceil(length / self.batch - 1e-9)):
            begin, end = k * self.batch, min((k + 1) * self.batch, length)
            arrivals.add(meters.batch(begin, end, self.truth.path, self.truth.story))
            found = arrivals.until(self.start + end if end < length else inf)
            if found is not None:
                yield found

    def shown(self, time: float) -> list[Known]:
        """Return what the control room takes as given at a time [s since the start]: what is not measured, so believed.

        The set-points of its day, the commands in its log, statuses as they are shown; nothing of leaks or thefts.
        """
        hour = self.scenario.start_hour + time / 3600.0
        logged = [o.known for o in self.scenario.operations if o.logged and o.time <= time]
        found = self.network.knowns(hour)
        for known in logged:
            found = override(self.network, found, [known])
        statuses = [s.known for s in self.scenario.statuses if s.begin <= time <= s.end]
        return override(self.network, found, statuses)
