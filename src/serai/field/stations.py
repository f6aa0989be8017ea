# SPDX-License-Identifier: Apache-2.0
"""What every simulated station can do, whatever protocol it speaks: answer, send readings, fall silent, take commands.

A station is handed columns of readings in its own unit and tells the field of every command that reaches it; the
field decides. The protocols differ only in how they say it.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from serai.telemetry.endpoints import Endpoint
    from serai.telemetry.points import Command, Point
    from serai.telemetry.readings import Readings


@dataclass(frozen=True, slots=True)
class Sent:
    """Readings of one station as it sends them: every point at most once.

    point    (n,) which of the station's points
    value    (n,) in the unit of the point; nan = no number
    quality  (n,) `Quality`; time (n,) [µs since 1970 UTC]
    """

    point: NDArray[np.intp]
    value: NDArray[np.float64]
    quality: NDArray[np.uint16]
    time: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the field says to a command.

    why     "" = accepted; `off`: field writes are switched off; `beyond`: outside what the element allows; `refused`:
            it is not in service, or the network has no answer to it
    reason  in words
    """

    why: str = ""
    reason: str = ""

    @property
    def accepted(self) -> bool:
        """Whether it is done."""
        return not self.why


class Decide(Protocol):
    """The field, which decides on every command; `trial`: only whether it would be taken."""

    async def __call__(self, command: Command, value: float, by: str, *, trial: bool = False) -> Verdict:
        """Decide on a command, `value` in SI, and do it."""
        ...


@dataclass(frozen=True, slots=True)
class Site:
    """What a station is made of: its points and commands, who decides, where it listens (port 0 = a free one).

    keep  whether it knows its control room and keeps for it what it cannot send (IEC 104)
    """

    name: str
    points: Sequence[Point]
    commands: Sequence[Command]
    decide: Decide
    host: str
    port: int = 0
    keep: bool = False


class Station(Protocol):
    """A simulated station."""

    name: str

    async def start(self) -> Endpoint:
        """Listen; return where. May be called again after `close`."""
        ...

    def heard(self) -> bool:
        """Tell whether what is sent now reaches someone, as far as the protocol knows."""
        ...

    async def send(self, sent: Sent) -> None:
        """Tell new readings to whoever listens."""
        ...

    async def close(self) -> None:
        """Fall silent: no connection is left open."""
        ...


class Columns:
    """Which readings belong to which points of a station, and how their numbers become those that are sent."""

    def __init__(self, points: Sequence[Point], numbers: dict[str, int], tags: int) -> None:
        self.points = list(points)
        self._place = np.full(tags, -1, np.intp)
        self._place[[numbers[p.tag] for p in points]] = np.arange(len(points))
        self._factor = np.array([p.factor for p in points])
        self._offset = np.array([p.offset for p in points])

    def of(self, batch: Readings) -> Iterator[Sent]:
        """Yield the readings of these points in as few parts as hold every point once, oldest first."""
        place = self._place[batch.tag]
        mine = np.flatnonzero(place >= 0)
        if not len(mine):
            return
        place = place[mine]
        order = np.argsort(place, kind="stable")
        first = np.r_[True, place[order][1:] != place[order][:-1]]
        begins = np.flatnonzero(first)
        turn = np.empty(len(place), np.intp)
        turn[order] = np.arange(len(place)) - np.repeat(begins, np.diff(np.r_[begins, len(place)]))
        for k in range(int(turn.max()) + 1):
            now = turn == k
            at, p = mine[now], place[now]
            value = (batch.value[at] - self._offset[p]) / self._factor[p]
            short = value.astype(np.float32).astype(np.float64)  # exactly what the meter model rounded to
            yield Sent(p, short, batch.quality[at], batch.time[at])


def free_port(host: str) -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as s:
        s.bind((host, 0))
        return int(s.getsockname()[1])
