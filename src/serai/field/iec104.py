# SPDX-License-Identifier: Apache-2.0
"""A simulated station over IEC 60870-5-104."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from serai.telemetry.endpoints import Endpoint
from serai.telemetry.iec104 import ControlledStation, InformationObject, Peer, TypeId
from serai.telemetry.points import Iec104Address

if TYPE_CHECKING:
    from serai.field.stations import Sent, Site
    from serai.telemetry.iec104 import Request
    from serai.telemetry.points import Command

LOW_BYTE = 0xFF  # what the quality descriptor of IEC 60870-5-101 carries


class Iec104Station:
    """One station: floats and flags with time tags out, set-points and switches in."""

    def __init__(self, site: Site) -> None:
        self.name = site.name
        self._decide, self._host = site.decide, site.host
        self._commands: dict[tuple[int, int], Command] = {}
        objects: dict[int, list[InformationObject]] = defaultdict(list)
        self._common = np.zeros(len(site.points), np.int32)
        self._object = np.zeros(len(site.points), np.int32)
        for k, p in enumerate(site.points):
            if isinstance(p.address, Iec104Address):
                self._common[k], self._object[k] = p.address.common, p.address.object
                kind = TypeId.M_SP_TB_1 if p.flag else TypeId.M_ME_TF_1
                objects[p.address.common].append(InformationObject(p.address.object, kind))
        for c in site.commands:
            if isinstance(c.address, Iec104Address):
                self._commands[c.address.common, c.address.object] = c
                kind = TypeId.C_SC_NA_1 if c.flag else TypeId.C_SE_NC_1
                objects[c.address.common].append(InformationObject(c.address.object, kind))
        peers = (Peer("control room"),) if site.keep else ()
        self.station = ControlledStation(site.name, objects, host=site.host, port=site.port, act=self._act, peers=peers)

    async def start(self) -> Endpoint:
        """Listen."""
        await self.station.start()
        return Endpoint(self.name, "iec104", self._host, self.station.port, "none")

    def heard(self) -> bool:
        """Tell whether a control room is connected and wants data."""
        return any(session.link.active for session in self.station.sessions)

    async def send(self, sent: Sent) -> None:
        """Send spontaneously, with time tags."""
        common = self._common[sent.point]
        for number in np.unique(common).tolist():
            which = common == number
            addresses, quality = self._object[sent.point[which]], sent.quality[which] & LOW_BYTE
            await self.station.update(number, addresses, sent.value[which], quality, sent.time[which])

    async def close(self) -> None:
        """Fall silent."""
        await self.station.close()

    async def _act(self, request: Request) -> bool:
        command = self._commands.get((request.common_address, request.address))
        if command is None:
            return False
        trial = request.select or request.test
        verdict = await self._decide(command, command.si(request.value), request.peer, trial=trial)
        return verdict.accepted
