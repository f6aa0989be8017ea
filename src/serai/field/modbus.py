# SPDX-License-Identifier: Apache-2.0
"""A simulated station over Modbus TCP, by pymodbus' server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from serai.field.stations import free_port
from serai.telemetry.endpoints import Endpoint
from serai.telemetry.modbus import registers_of
from serai.telemetry.points import ModbusAddress
from serai.telemetry.readings import Quality

if TYPE_CHECKING:
    from serai.field.stations import Sent, Site

WRITES = (6, 16)  # function codes that write holding registers
_CODES = {"off": ExcCodes.ILLEGAL_FUNCTION, "beyond": ExcCodes.ILLEGAL_VALUE, "refused": ExcCodes.DEVICE_FAILURE}


class ModbusStation:
    """One station: registers with value and quality of each point, pairs of them for commands. It knows no time."""

    def __init__(self, site: Site) -> None:
        self.name = site.name
        self._decide, self._host, self._port = site.decide, site.host, site.port
        self._points = [p.address for p in site.points if isinstance(p.address, ModbusAddress)]
        self._words: dict[int, dict[int, int]] = {}  # unit -> register -> word
        for a in self._points:
            held = self._words.setdefault(a.unit, {})
            held.update(dict.fromkeys(range(a.register, a.register + a.width), 0))
            if a.quality is not None:
                held[a.quality] = int(Quality.INVALID | Quality.NOT_TOPICAL)  # before its first value
        placed = [(c, c.address) for c in site.commands]
        self._commands = {(a.unit, a.register): c for c, a in placed if isinstance(a, ModbusAddress)}
        for unit, register in self._commands:
            self._words.setdefault(unit, {}).update({register: 0, register + 1: 0})
        self._server: ModbusTcpServer | None = None

    async def start(self) -> Endpoint:
        """Listen."""
        self._port = self._port or free_port(self._host)
        devices = [self._device(unit, held) for unit, held in self._words.items()]
        self._server = ModbusTcpServer(devices, address=(self._host, self._port))
        await self._server.serve_forever(background=True)
        return Endpoint(self.name, "modbus", self._host, self._port, "none")

    def _device(self, unit: int, held: dict[int, int]) -> SimDevice:
        async def act(*request: Any) -> ExcCodes | None:
            function, start, address, count, registers, values = request
            if values is not None and function in WRITES:
                return await self._written(unit, address, values)
            for k in range(address, address + count):
                registers[k - start] = held[k]
            return None

        data = [SimData(first, values=[0] * n, datatype=DataType.REGISTERS) for first, n in _runs(sorted(held))]
        return SimDevice(unit, simdata=data, action=act)

    def heard(self) -> bool:
        """Tell whether it answers: what a client has missed it cannot ask for."""
        return self._server is not None

    async def send(self, sent: Sent) -> None:
        """Lay values and qualities into their registers."""
        for k, value, quality in zip(sent.point.tolist(), sent.value.tolist(), sent.quality.tolist(), strict=True):
            a = self._points[k]
            try:
                words = registers_of(a, value) if np.isfinite(value) else None
            except ValueError:
                words, quality = None, quality | int(Quality.OVERFLOW)  # noqa: PLW2901 - it is what is sent
            held = self._words[a.unit]
            if words is not None:
                held.update(zip(range(a.register, a.register + a.width), words, strict=True))
            if a.quality is not None:
                held[a.quality] = quality & 0xFF

    async def close(self) -> None:
        """Fall silent."""
        server, self._server = self._server, None
        if server is not None:
            await server.shutdown()  # type: ignore[no-untyped-call]  # pymodbus leaves it untyped

    async def _written(self, unit: int, address: int, values: list[int]) -> ExcCodes | None:
        """Let the field decide on a pair of registers that is written as one."""
        command = self._commands.get((unit, address))
        if command is None or len(values) != 2:
            return ExcCodes.ILLEGAL_ADDRESS
        number = float(np.array(values, ">u2").view(">f4")[0])
        if not np.isfinite(number):
            return ExcCodes.ILLEGAL_VALUE
        verdict = await self._decide(command, command.si(number), "modbus client")
        if verdict.accepted:
            self._words[unit].update({address: values[0], address + 1: values[1]})
            return None
        return _CODES[verdict.why]


def _runs(registers: list[int]) -> list[tuple[int, int]]:
    """Return (first, count) of registers that follow each other without a gap."""
    found: list[tuple[int, int]] = []
    for r in registers:
        if found and found[-1][0] + found[-1][1] == r:
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((r, 1))
    return found
