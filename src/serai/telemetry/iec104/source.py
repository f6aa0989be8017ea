# SPDX-License-Identifier: Apache-2.0
"""A station over IEC 60870-5-104 as a `Source`: readings by tag in SI, and the way of its commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from serai.errors import SeraiError
from serai.telemetry.endpoints import tls
from serai.telemetry.iec104.controlling import ControllingStation
from serai.telemetry.iec104.types import BROADCAST, TypeId
from serai.telemetry.points import Answer, Iec104Address
from serai.telemetry.readings import MICROSECONDS, Quality, Readings, Register

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence

    from serai.telemetry.endpoints import Endpoint
    from serai.telemetry.iec104.link import Seen, Settings
    from serai.telemetry.iec104.points import Points
    from serai.telemetry.points import Command, Point

FUTURE = 60.0  # seconds that a station's clock may be ahead before its readings are marked CLOCK_SKEW


class Iec104Source:
    """The readings of one station over IEC 60870-5-104, and the way of its commands.

    name       of the station;  register   numbers of the tags
    counts     of its link: `points received`, `points not mapped`, `time in the future`, `violation: ...`, ...
    up         whether data may flow now;  reason   why not;  heard   when readings came last [µs], 0 = never
    station    the controlling station below, for questions that `Source` does not know
    """

    def __init__(
        self, endpoint: Endpoint, points: Sequence[Point], register: Register, *, timeout: float = 10.0,
        retry: tuple[float, float] = (1.0, 30.0), settings: Settings | None = None, select: bool = True,
        certificates: Iterable[str] = (), watch: Callable[[Seen], None] | None = None,
    ) -> None:  # fmt: skip
        """Make the source of the IEC 60870-5-104 points of a station.

        timeout       [s] of an answer;  retry   shortest and longest wait [s] before it connects again
        select        commands select before they operate
        certificates  common names or SHA-256 fingerprints that the station may show; empty = any of the authority
        """
        self.name = endpoint.station
        self.register = register
        self.heard = 0
        self._timeout, self._select = timeout, select
        placed = [(p, p.address) for p in points if isinstance(p.address, Iec104Address)]
        commons = sorted({address.common for _, address in placed})
        self.station = ControllingStation(
            endpoint.station, endpoint.host, endpoint.port, common_addresses=commons or (BROADCAST,),
            tls=tls(endpoint), certificates=certificates, settings=settings, answer=timeout, retry=retry, watch=watch,
        )  # fmt: skip
        self.counts = self.station.counts
        keys = np.array([address.common << 24 | address.object for _, address in placed], np.int64)
        order = np.argsort(keys)
        self._keys = keys[order]
        self._tags = register.numbers(p.tag for p, _ in placed)[order]
        self._factor = np.array([p.factor for p, _ in placed])[order]
        self._offset = np.array([p.offset for p, _ in placed])[order]

    @property
    def up(self) -> bool:
        """Whether data may flow now."""
        return self.station.up

    @property
    def reason(self) -> str:
        """Why data may not flow; "" where they may."""
        return self.station.why

    async def readings(self) -> AsyncIterator[Readings]:
        """Yield batches as they come, connecting again by itself after a loss, until `close`."""
        async for points in self.station.points():
            batch = self._in_si(points)
            if len(batch):
                self.heard = int(batch.received[-1])
                yield batch

    async def close(self) -> None:
        """End `readings` and the connection."""
        await self.station.close()

    async def command(self, command: Command, value: float) -> Answer:
        """Send one command, `value` in SI; no answer in time is a refusal with that reason, never an exception."""
        if not isinstance(command.address, Iec104Address):
            return Answer(accepted=False, reason=f"{command.tag} is not reached over IEC 60870-5-104")
        kind = TypeId.C_SC_NA_1 if command.flag else TypeId.C_SE_NC_1
        place = command.address.common, command.address.object
        try:
            await self.station.command(*place, kind, command.sent(value), select=self._select)
        except SeraiError as error:
            return Answer(accepted=False, reason=str(error))
        return Answer(accepted=True)

    def _in_si(self, points: Points) -> Readings:
        """Return the readings of points that have a tag; the others are counted."""
        keys = points.common_address.astype(np.int64) << 24 | points.address
        places = np.searchsorted(self._keys, keys)
        mapped = np.append(self._keys, -1)[places] == keys
        if not mapped.all():
            self.counts.add("points not mapped", int((~mapped).sum()))
            points, places = points.take(mapped), places[mapped]
        ahead = points.time > points.received + int(FUTURE * MICROSECONDS)
        if ahead.any():
            self.counts.add("time in the future", int(ahead.sum()))
            points.quality[ahead] |= np.uint16(Quality.CLOCK_SKEW)
        usable = np.isfinite(points.value)
        value = np.where(usable, self._factor[places] * points.value + self._offset[places], np.nan)
        return Readings(self.register, self._tags[places], points.time, value, points.quality, points.received)
