# SPDX-License-Identifier: Apache-2.0
"""Modbus TCP: a station's registers read in blocks, each block at the scan of its points, plain or over TLS.

Modbus carries no time and no quality. The time of a reading is when the answer came; its quality is what the station
writes in the quality register of the point (`ModbusAddress`), the low byte of `Quality`. Over TLS the frames are those
of Modbus TCP (MODBUS/TCP Security, v2.1, 2018, section 5).
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from pymodbus import ModbusException
from pymodbus.client import AsyncModbusTcpClient, AsyncModbusTlsClient
from pymodbus.constants import ExcCodes

from serai.telemetry.endpoints import tls
from serai.telemetry.links import Link, reason
from serai.telemetry.points import LONGEST_BLOCK, Answer, ModbusAddress
from serai.telemetry.readings import Quality, Readings, Register, now

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from serai.telemetry.endpoints import Endpoint
    from serai.telemetry.points import Command, Point

_DTYPES = {"int16": ">i2", "uint16": ">u2", "int32": ">i4", "uint32": ">u4", "float32": ">f4", "float64": ">f8"}
_LOW_BYTE = 0xFF
NOTICED = 1.0  # s in which a lost connection is noticed, however long the wait for the next scan is


def registers_of(address: ModbusAddress, sent: float) -> list[int]:
    """Return the registers that hold a value, `sent` in the unit of the point; ValueError where it does not fit."""
    kind = np.dtype(_DTYPES[address.type])
    value = sent / address.scale
    if kind.kind != "f":
        limits = np.iinfo(kind)
        if not limits.min <= round(value) <= limits.max:
            raise ValueError(f"{value:g} does not fit {address.type}")
        value = round(value)
    words: list[int] = np.asarray([value], kind).view(">u2").tolist()
    return words if address.words == "big" else words[::-1]


@dataclass(frozen=True, slots=True)
class Block:
    """Registers that are read at once, and where the values of its points stand in them.

    unit, table, first, count   what is asked for; scan [s] between two readings
    points       which ones of the source, (n,)
    groups       per type and word order: which rows of the block (m,), their registers (m, width)
    quality      registers of the qualities, (n,); -1 = none
    """

    unit: int
    table: str
    first: int
    count: int
    scan: float
    points: NDArray[np.intp]
    groups: tuple[tuple[str, NDArray[np.intp], NDArray[np.intp]], ...]
    scale: NDArray[np.float64]
    quality: NDArray[np.intp]

    def read(self, registers: Sequence[int]) -> tuple[NDArray[np.float64], NDArray[np.uint16]]:
        """Return values in the units of the points (n,) and qualities (n,) from the registers (count,)."""
        words = np.asarray(registers, dtype=np.uint16)
        values = np.empty(len(self.points))
        with np.errstate(invalid="ignore", over="ignore"):  # a signalling nan becomes a quiet one
            for kind, rows, places in self.groups:
                values[rows] = words[places].astype(">u2").view(_DTYPES[kind])[:, 0]
            values *= self.scale
        quality = np.where(self.quality >= 0, words[self.quality] & _LOW_BYTE, 0).astype(np.uint16)
        unusable = ~np.isfinite(values)
        values[unusable] = np.nan
        quality[unusable] |= np.uint16(Quality.INVALID)
        return values, quality


def blocks(addresses: Sequence[ModbusAddress], scans: Sequence[float]) -> list[Block]:
    """Return the fewest blocks that read all addresses, each with registers that some address spans and no others."""
    alike: dict[tuple[int, str, float], list[int]] = defaultdict(list)
    for k, (address, scan) in enumerate(zip(addresses, scans, strict=True)):
        alike[address.unit, address.table, scan].append(k)
    return [
        _block(addresses, members, scan)
        for (_, _, scan), all_members in alike.items()
        for members in _runs(addresses, all_members)
    ]


def _reach(address: ModbusAddress) -> tuple[int, int]:
    """Return the first register of an address and the one after its last, quality included."""
    ends = (address.register, address.register + address.width)
    if address.quality is None:
        return ends
    return min(ends[0], address.quality), max(ends[1], address.quality + 1)


def _runs(addresses: Sequence[ModbusAddress], members: list[int]) -> Iterator[list[int]]:
    """Yield the members whose registers follow each other without a gap, as far as one answer reaches."""
    ordered = sorted(members, key=lambda k: _reach(addresses[k]))
    run: list[int] = ordered[:1]
    for _, k in pairwise(ordered):
        first, end = _reach(addresses[run[0]])[0], max(_reach(addresses[j])[1] for j in run)
        low, high = _reach(addresses[k])
        if low > end or max(high, end) - first > LONGEST_BLOCK:
            yield run
            run = []
        run.append(k)
    yield run


def _block(addresses: Sequence[ModbusAddress], members: list[int], scan: float) -> Block:
    own = [addresses[k] for k in members]
    first = min(_reach(a)[0] for a in own)
    count = max(_reach(a)[1] for a in own) - first
    alike: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row, address in enumerate(own):
        alike[address.type, address.words].append(row)
    groups = []
    for (kind, words), rows in alike.items():
        places = np.array([[own[r].register - first + w for w in range(own[r].width)] for r in rows], dtype=np.intp)
        ordered = places if words == "big" else places[:, ::-1]
        groups.append((kind, np.array(rows, dtype=np.intp), np.ascontiguousarray(ordered)))
    quality = np.array([-1 if a.quality is None else a.quality - first for a in own], dtype=np.intp)
    return Block(
        own[0].unit, own[0].table, first, count, scan, np.array(members, dtype=np.intp), tuple(groups),
        np.array([a.scale for a in own]), quality,
    )  # fmt: skip


class ModbusSource(Link):
    """The readings of one station over Modbus TCP, and the way of its commands.

    A block that the station refuses, or that is not answered in time, is counted and asked for again at its next scan.
    """

    def __init__(
        self, endpoint: Endpoint, points: Sequence[Point], register: Register, *, timeout: float = 3.0,
        retry: tuple[float, float] = (1.0, 30.0),
    ) -> None:  # fmt: skip
        """Make the source of the Modbus points of a station; `timeout` [s] of an answer."""
        super().__init__(endpoint.station, register, retry=retry)
        self.endpoint = endpoint
        self._timeout = timeout
        self._tags = register.numbers(p.tag for p in points)
        self._factor = np.array([p.factor for p in points])
        self._offset = np.array([p.offset for p in points])
        addresses = [p.address for p in points if isinstance(p.address, ModbusAddress)]
        self._blocks = blocks(addresses, [p.instrument.scan for p in points])
        self._client: AsyncModbusTcpClient | None = None

    async def _session(self) -> None:
        client = await self._open()
        try:
            self._client = client
            self._connected()
            await self._scan(client)
        finally:
            self._client = None
            client.close()

    async def _open(self) -> AsyncModbusTcpClient:
        """Return a connected client; raises what kept it from connecting."""
        host, port, secured = self.endpoint.host, self.endpoint.port, tls(self.endpoint)
        # it connects again by our rules, not by its own: reconnect_delay=0
        client = (
            AsyncModbusTcpClient(host, port=port, timeout=self._timeout, retries=0, reconnect_delay=0)
            if secured is None
            else AsyncModbusTlsClient(
                host, port=port, sslctx=secured, timeout=self._timeout, retries=0, reconnect_delay=0
            )
        )
        if not await client.connect():
            client.close()
            # the client only logs why; asking once more tells
            opened = asyncio.open_connection(host, port, ssl=secured)
            _, writer = await asyncio.wait_for(opened, self._timeout)
            writer.close()
            raise ConnectionError(f"{self.name}: connection lost while connecting")
        return client

    async def _scan(self, client: AsyncModbusTcpClient) -> None:
        """Read every block at its scan until the connection is lost."""
        loop = asyncio.get_running_loop()
        due = [loop.time()] * len(self._blocks)
        while client.connected:
            k = min(range(len(due)), key=due.__getitem__)
            wait = due[k] - loop.time()
            if wait > 0.0:
                await asyncio.sleep(min(wait, NOTICED))
                continue
            await self._ask(client, self._blocks[k])
            due[k] += self._blocks[k].scan
            behind = int((loop.time() - due[k]) // self._blocks[k].scan) + 1
            if behind > 0:  # the station answers more slowly than it is scanned
                self.counts.add("scans left out", behind)
                due[k] += behind * self._blocks[k].scan

    async def _ask(self, client: AsyncModbusTcpClient, block: Block) -> None:
        """Read one block; what goes wrong with it alone is counted."""
        ask = client.read_holding_registers if block.table == "holding" else client.read_input_registers
        try:
            answer = await ask(block.first, count=block.count, device_id=block.unit)
        except ModbusException as error:
            self.counts.add(f"no answer: {_short(error)}")
            return
        if answer.isError():
            self.counts.add(f"refused: {_exception(answer.exception_code)}")
            return
        if len(answer.registers) != block.count:
            self.counts.add("malformed: number of registers")
            return
        values, quality = block.read(answer.registers)
        received = np.full(len(values), now(), dtype=np.int64)
        of = block.points
        batch = Readings(
            self.register, self._tags[of], received, self._factor[of] * values + self._offset[of], quality, received
        )
        await self._deliver(batch)

    async def command(self, command: Command, value: float) -> Answer:
        """Write a command, `value` in SI, to its holding registers (function 16)."""
        client, address = self._client, command.address
        if client is None or not isinstance(address, ModbusAddress):
            return Answer(accepted=False, reason=f"not connected: {self.reason}")
        self.counts.add("commands")
        try:
            words = registers_of(address, command.sent(value))
            answer = await client.write_registers(address.register, words, device_id=address.unit)
        except ValueError as error:
            return Answer(accepted=False, reason=str(error))
        except (ModbusException, OSError) as error:
            self.counts.add("commands unanswered")
            return Answer(accepted=False, reason=reason(error) if isinstance(error, OSError) else _short(error))
        if answer.isError():
            self.counts.add("commands refused")
            return Answer(accepted=False, reason=_exception(answer.exception_code))
        return Answer(accepted=True)


def _exception(code: int) -> str:
    """Return the name of an exception code: MODBUS Application Protocol V1.1b3, 7."""
    try:
        return ExcCodes(code).name.lower().replace("_", " ")
    except ValueError:
        return f"exception {code}"


def _short(error: ModbusException) -> str:
    text = str(error).lower()
    for sign, name in (
        ("no response", "no answer in time"), ("request uses", "answer to another request"), ("decode", "malformed"),
        ("not connected", "connection lost"), ("cannot connect", "connection lost"), ("disconnect", "connection lost"),
    ):  # fmt: skip
        if sign in text:
            return name
    return type(error).__name__
