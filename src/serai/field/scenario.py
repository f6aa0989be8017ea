# SPDX-License-Identifier: Apache-2.0
"""A field scenario: how the true world differs from the model, how meters err, and what goes wrong when.

Times are seconds since the start of the run; an end of inf = to the end of it. Values are SI. A scenario is made by
hand, or read from a file by `read_scenario`. Everything random follows from the seed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf, nan
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from serai.known import Known

METER_FAULTS = ("bias", "drift", "stuck", "noise", "unit", "dead", "invalid")
FORGERIES = ("replay", "offset", "stealth")


@dataclass(frozen=True, slots=True)
class Truth:
    """How the world that makes the readings differs from the model that is fitted to them.

    cell         longest pipe cell [m]
    efficiency   each pipe's efficiency is drawn within +- this share of its own
    temperature  [K] added to that of gas and soil
    composition  mole fractions of the true gas; empty = the model's
    wander       standard deviation of withdrawals and loads about their profile, as a share
    wander_time  [s] over which they forget (an Ornstein-Uhlenbeck process)
    """

    cell: float = 10e3
    efficiency: float = 0.0
    temperature: float = 0.0
    composition: Mapping[str, float] = field(default_factory=dict)
    wander: float = 0.0
    wander_time: float = 1800.0


@dataclass(frozen=True, slots=True)
class Metering:
    """How readings differ from the truth, beside the faults of single meters.

    bias      part of an instrument's standard deviation that is constant: drawn once a meter, uniform, inside its
              class; the rest is white noise, so that both together have the deviation of `instruments.csv`
    jitter    [s] standard deviation of the moment at which a scan is taken
    clock     [s] standard deviation of a station's clock error, constant
    dropout   share of readings that never come
    invalid   share of readings that come with the bit INVALID and no number
    latency   [s] mean of the time that a reading travels
    """

    bias: float = 0.9
    jitter: float = 0.1
    clock: float = 0.02
    dropout: float = 1e-3
    invalid: float = 1e-4
    latency: float = 0.1


@dataclass(frozen=True, slots=True)
class Operation:
    """A Known that begins to hold at a time: a start or stop, a set-point, a breaker. Not logged = nobody gave it."""

    time: float
    known: Known
    logged: bool = True


@dataclass(frozen=True, slots=True)
class Leak:
    """Gas that leaves a pipe at a share of its length: `rate` [kg/s], a `share` of its flow at the start, or a `hole`.

    hole  diameter [m]: the rate follows the pressure there (choked flow)
    """

    pipe: str
    fraction: float
    begin: float
    end: float = inf
    rate: float = nan
    share: float = nan
    hole: float = nan


@dataclass(frozen=True, slots=True)
class Theft:
    """An unmetered withdrawal at a gas node [kg/s] or bus [W]; `on` and `off` [s] make it come and go."""

    where: str
    rate: float
    begin: float
    end: float = inf
    on: float = inf
    off: float = 0.0


@dataclass(frozen=True, slots=True)
class MeterFault:
    """One fault of meters, one of METER_FAULTS.

    bias     value [SI] is added, or the reading is multiplied by `factor`
    drift    value [SI] a day is added more and more, or the factor grows by `factor` - 1 a day
    stuck    the reading before `begin` is repeated, with good quality
    noise    white noise and jitter of the number are `factor` times as large
    unit     what is sent stands in another unit: the reading comes out as factor x true + value
    dead     nothing comes
    invalid  readings come with the bit INVALID
    """

    tags: tuple[str, ...]
    fault: str
    begin: float
    end: float = inf
    value: float = 0.0
    factor: float = 1.0


@dataclass(frozen=True, slots=True)
class Forgery:
    """Readings that somebody replaces.

    replay   what the same meters sent `ago` seconds before
    offset   value [SI] is added, or the reading is multiplied by `factor`
    stealth  what the meters would read in a world in which `story` holds too: a = h(x + c) - h(x), of which a = H c is
             the linear part (Liu, Ning, Reiter 2011, ACM Trans. Inf. Syst. Secur. 14:13), so no law notices it where
             all meters that the story moves are forged
    """

    tags: tuple[str, ...]
    kind: str
    begin: float
    end: float = inf
    value: float = 0.0
    factor: float = 1.0
    ago: float = 86400.0
    story: tuple[Known, ...] = ()


@dataclass(frozen=True, slots=True)
class Status:
    """What the control room is shown of an element (a Known), whatever is true; `begin` to `end`."""

    known: Known
    begin: float
    end: float = inf


@dataclass(frozen=True, slots=True)
class Silence:
    """A station that restarts (its readings of the time are lost, the next is NOT_TOPICAL) or whose link is lost.

    kept  of a lost link: whether the station keeps its readings and sends them when the link is back
    """

    station: str
    begin: float
    end: float
    restart: bool = False
    kept: bool = True


@dataclass(frozen=True, slots=True)
class Label:
    """What is wrong, for those who judge a diagnosis: kind, where, from when to when [s], how much [SI]."""

    kind: str
    where: tuple[str, ...]
    begin: float
    end: float
    size: float = nan


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario.

    day, start_hour  operating day ("" = the network's own) and local hour at which the run starts
    hours, step      length [h], time step of the truth [s]
    """

    name: str = "clean"
    title: str = ""
    about: str = ""
    seed: int = 0
    day: str = ""
    start_hour: float = 0.0
    hours: float = 24.0
    step: float = 60.0
    truth: Truth = Truth()
    metering: Metering = Metering()
    operations: tuple[Operation, ...] = ()
    leaks: tuple[Leak, ...] = ()
    thefts: tuple[Theft, ...] = ()
    meter_faults: tuple[MeterFault, ...] = ()
    forgeries: tuple[Forgery, ...] = ()
    statuses: tuple[Status, ...] = ()
    silences: tuple[Silence, ...] = ()

    def labels(self) -> tuple[Label, ...]:
        """Return everything that is wrong, in the order of its beginning."""
        found = [Label("leak", (x.pipe,), x.begin, x.end, x.rate) for x in self.leaks]
        found += [Label("theft", (x.where,), x.begin, x.end, x.rate) for x in self.thefts]
        found += [Label(f"meter {x.fault}", x.tags, x.begin, x.end, x.value) for x in self.meter_faults]
        found += [Label(f"forged {x.kind}", x.tags, x.begin, x.end, x.value) for x in self.forgeries]
        found += [Label("status", (x.known.where,), x.begin, x.end, x.known.value) for x in self.statuses]
        found += [
            Label("command", (x.known.where,), x.time, inf, x.known.value) for x in self.operations if not x.logged
        ]
        found += [Label("restart" if x.restart else "link", (x.station,), x.begin, x.end) for x in self.silences]
        return tuple(sorted(found, key=lambda label: label.begin))
