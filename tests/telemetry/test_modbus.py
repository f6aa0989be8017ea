# SPDX-License-Identifier: Apache-2.0
"""Modbus against pymodbus' own server: values, types, losses, refusals, TLS, commands."""

from __future__ import annotations

import asyncio
import ssl
import struct
from contextlib import asynccontextmanager

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer, ModbusTlsServer
from pymodbus.simulator import DataType, SimData, SimDevice

from serai.telemetry.endpoints import Endpoint
from serai.telemetry.modbus import ModbusSource, blocks, registers_of
from serai.telemetry.points import LONGEST_BLOCK, REGISTERS, Answer, Command, ModbusAddress, address_of
from serai.telemetry.readings import MICROSECONDS, Quality, Register, now
from telemetry.certificates import Authority
from telemetry.wire import free_port, point, take, until

RETRY = (0.05, 0.2)


@asynccontextmanager
async def station(words, port=0, *, action=None, secured=None, unit=7):
    """Serve holding registers {first: [words]} as one device."""
    data = [SimData(first, values=list(held), datatype=DataType.REGISTERS) for first, held in words.items()]
    device = SimDevice(unit, simdata=data, action=action)
    port = port or free_port()
    if secured:
        server = ModbusTlsServer([device], address=("127.0.0.1", port), sslctx=secured)
    else:
        server = ModbusTcpServer([device], address=("127.0.0.1", port))
    await server.serve_forever(background=True)
    try:
        yield Endpoint("S", "modbus", "127.0.0.1", port, "none")
    finally:
        await server.shutdown()


def floats(*values):
    """Return registers of float32 values, each followed by a quality of 0."""
    return [w for v in values for w in (*struct.unpack(">2H", struct.pack(">f", v)), 0)]


# --------------------------------------------------------------------------------------------------------- registers


@pytest.mark.parametrize(
    ("address", "value", "words"),
    [  # IEEE 754 and two's complement by hand
        ("1/0", 1.0, [0x3F80, 0x0000]),
        ("1/0;words=little", 1.0, [0x0000, 0x3F80]),
        ("1/0;type=float64", -2.0, [0xC000, 0, 0, 0]),
        ("1/0;type=int16;scale=0.1", -1.5, [0xFFF1]),
        ("1/0;type=uint32", 65_537.0, [1, 1]),
        ("1/0;type=int32;words=little", -2.0, [0xFFFE, 0xFFFF]),
    ],
)
def test_registers_as_the_standards_write_them(address, value, words):
    assert registers_of(address_of("modbus", address), value) == words


def test_a_number_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="does not fit int16"):
        registers_of(address_of("modbus", "1/0;type=int16"), 40_000)


ADDRESSES = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 400), st.sampled_from(sorted(REGISTERS)), st.booleans(), st.booleans()),
    min_size=1,
    max_size=60,
)


@given(ADDRESSES, st.integers(0, 1000))
def test_blocks_read_every_value_and_quality_and_no_register_besides(drawn, seed):
    made = []
    for unit, first, kind, little, q in drawn:
        quality = first + REGISTERS[kind] if q else None
        made.append(ModbusAddress(unit, first, kind, "little" if little else "big", 1.0, "holding", quality))
    held = np.random.default_rng(seed).integers(0, 0x10000, (4, 500)).tolist()
    found = blocks(made, [1.0] * len(made))
    spanned = {(a.unit, r) for a in made for r in range(a.register, a.register + a.width + (a.quality is not None))}
    asked = {(b.unit, r) for b in found for r in range(b.first, b.first + b.count)}
    assert asked == spanned
    assert sorted(k for b in found for k in b.points.tolist()) == list(range(len(made)))
    for b in found:
        assert b.count <= LONGEST_BLOCK
        values, quality = b.read([held[b.unit][r] for r in range(b.first, b.first + b.count)])
        for k, value, said in zip(b.points.tolist(), values, quality, strict=True):
            a = made[k]
            words = [held[a.unit][a.register + w] for w in range(a.width)]
            raw = struct.pack(f">{a.width}H", *(words if a.words == "big" else words[::-1]))
            code = {"int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "float32": "f", "float64": "d"}[a.type]
            (wanted,) = struct.unpack(f">{code}", raw)
            low = 0 if a.quality is None else held[a.unit][a.quality] & 0xFF
            if np.isfinite(wanted):
                assert (value, said) == (wanted, low)
            else:
                assert np.isnan(value)
                assert said == low | Quality.INVALID


# ------------------------------------------------------------------------------------------------------ over a socket


def test_values_arrive_in_si_with_quality_and_the_time_of_arrival():
    async def run():
        words = floats(57.25, 3.5)
        words[5] = Quality.SUBSTITUTED | Quality.INVALID
        async with station({0: words, 40: [0xFF38]}) as endpoint:
            listed = [
                point("A", "modbus", "7/0"), point("B", "modbus", "7/3"),
                point("C", "modbus", "7/40;type=int16;scale=0.5;quality=none"),
            ]  # fmt: skip
            source = ModbusSource(endpoint, listed, Register(), retry=RETRY)
            before = now()
            return before, await take(source, 9), source.counts

    before, got, counts = asyncio.run(run())
    last = {got.register[t]: (v, q) for t, v, q in zip(got.tag, got.value, got.quality, strict=True)}
    assert last["A"] == (57.25e5, 0)
    assert last["B"] == (3.5e5, Quality.SUBSTITUTED | Quality.INVALID)
    assert last["C"] == (-100.0e5, 0)
    assert np.all((got.time >= before) & (got.time == got.received))
    assert counts["connected"] == 1
    assert counts["readings"] >= len(got)


def test_the_scan_of_each_point_is_kept():
    async def run():
        async with station({0: floats(1.0, 2.0)}) as endpoint:
            listed = [point("fast", "modbus", "7/0", scan=0.05), point("slow", "modbus", "7/3", scan=0.5)]
            source = ModbusSource(endpoint, listed, Register(), retry=RETRY)
            return await take(source, lambda r: (r.tag == 1).sum() >= 3)

    got = asyncio.run(run())
    for tag, scan in ((0, 0.05), (1, 0.5)):
        assert np.median(np.diff(got.time[got.tag == tag])) == pytest.approx(scan * MICROSECONDS, rel=0.2)


def test_a_nan_in_the_registers_is_invalid():
    async def run():
        async with station({0: floats(float("nan"))}) as endpoint:
            return await take(ModbusSource(endpoint, [point("A", "modbus", "7/0")], Register()), 1)

    got = asyncio.run(run())
    assert np.isnan(got.value[0])
    assert got.quality[0] == Quality.INVALID


def test_a_block_that_is_refused_is_counted_and_the_others_go_on():
    async def run():
        async with station({0: floats(1.0)}) as endpoint:
            listed = [point("A", "modbus", "7/0"), point("none", "modbus", "7/900"), point("no unit", "modbus", "9/0")]
            source = ModbusSource(endpoint, listed, Register(), timeout=0.3, retry=RETRY)
            got = await take(source, 3)
            return got, source.counts

    got, counts = asyncio.run(run())
    assert set(got.register.names(got.tag)) == {"A"}
    assert counts["refused: illegal address"] >= 1
    assert sum(n for name, n in counts.counted.items() if name.startswith(("refused", "no answer"))) >= 2


def test_a_station_that_restarts_is_found_again():
    async def run():
        port, register = free_port(), Register()
        source = ModbusSource(
            Endpoint("S", "modbus", "127.0.0.1", port, "none"), [point("A", "modbus", "7/0", scan=0.02)], register,
            timeout=0.5, retry=RETRY,
        )  # fmt: skip
        taken = []

        async def collect():
            async for batch in source.readings():
                taken.extend(batch.value.tolist())

        task = asyncio.create_task(collect())
        await until(lambda: source.counts["lost: connection refused"] >= 1)  # nobody is there yet
        for value in (1.0, 2.0):
            async with station({0: floats(value)}, port):
                await until(lambda value=value: value * 1e5 in taken)
            await until(lambda: not source.up)
        await source.close()
        await task
        return source.counts

    counts = asyncio.run(run())
    assert counts["connected"] == 2
    assert sum(n for name, n in counts.counted.items() if name.startswith("lost: ")) >= 3


def test_a_station_that_is_asked_once_a_minute_is_missed_within_seconds():
    async def run():
        async with station({0: floats(1.0)}) as endpoint:
            source = ModbusSource(endpoint, [point("A", "modbus", "7/0", scan=60.0)], Register(), retry=RETRY)
            task = asyncio.create_task(take(source, 2, within=60.0))
            await until(lambda: source.counts["readings"] == 1)
        async with asyncio.timeout(3.0):
            await until(lambda: not source.up)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())


def test_a_station_that_stops_answering_is_counted_and_left():
    held = asyncio.Event()

    async def silent(*_):
        await held.wait()

    async def run():
        async with station({0: floats(1.0)}, action=silent) as endpoint:
            source = ModbusSource(
                endpoint, [point("A", "modbus", "7/0", scan=0.05)], Register(), timeout=0.1, retry=RETRY
            )
            task = asyncio.create_task(take(source, 1, within=3.0))
            await until(lambda: source.counts["connected"] >= 2)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            held.set()
            return source.counts

    counts = asyncio.run(run())
    assert counts["no answer: no answer in time"] >= 2
    assert counts["lost: connection lost"] >= 1


def test_answers_that_are_no_modbus_are_counted_and_the_link_comes_back():
    async def run():
        async def babble(reader, writer):
            while await reader.read(64):
                writer.write(bytes(range(1, 60)))  # no transaction, no length, no function
            writer.close()

        server = await asyncio.start_server(babble, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        source = ModbusSource(
            Endpoint("S", "modbus", "127.0.0.1", port, "none"), [point("A", "modbus", "7/0", scan=0.05)], Register(),
            timeout=0.1, retry=RETRY,
        )  # fmt: skip
        task = asyncio.create_task(take(source, 1, within=5.0))
        await until(lambda: source.counts["connected"] >= 2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        server.close()
        return source.counts

    counts = asyncio.run(run())
    assert counts["readings"] == 0
    assert sum(n for name, n in counts.counted.items() if name.startswith(("lost", "no answer"))) >= 2


def test_a_slow_answer_is_late_by_its_time_of_arrival():
    async def slow(*_):
        await asyncio.sleep(0.3)

    async def run():
        async with station({0: floats(1.0)}, action=slow) as endpoint:
            source = ModbusSource(endpoint, [point("A", "modbus", "7/0", scan=0.1)], Register(), retry=RETRY)
            got = await take(source, 4)
            return got, source.counts

    got, counts = asyncio.run(run())
    assert np.all(np.diff(got.time) >= 0.29 * MICROSECONDS)  # never said to be older or newer than they are
    assert counts["scans left out"] >= 4


# ---------------------------------------------------------------------------------------------------------- commands


def command(address, **more):
    return Command("c", "outlet_pressure", "CS", "S", "modbus", address_of("modbus", address), "bara", 1e5, **more)


def test_commands_reach_the_registers_and_refusals_say_why():
    written = []

    async def keep(function, _start, address, count, _now, values):
        if values is not None:
            written.append((function, address, count, list(values)))
            if address == 5002:
                return ExcCodes.ILLEGAL_VALUE
        return None

    async def run():
        async with station({0: floats(1.0), 5000: [0] * 4}, action=keep) as endpoint:
            source = ModbusSource(endpoint, [point("A", "modbus", "7/0")], Register(), retry=RETRY)
            early = await source.command(command("7/5000"), 71e5)
            task = asyncio.create_task(take(source, 10**9))
            await until(lambda: source.up)
            answers = [await source.command(command(f"7/{r}"), 71e5) for r in (5000, 5002, 9000)]
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return early, answers, source.counts

    early, answers, counts = asyncio.run(run())
    assert early == Answer(accepted=False, reason="not connected: not connected yet")
    assert answers == [
        Answer(accepted=True),
        Answer(accepted=False, reason="illegal value"),
        Answer(accepted=False, reason="illegal address"),
    ]
    assert written[0] == (16, 5000, 2, list(struct.unpack(">2H", struct.pack(">f", 71.0))))
    assert (counts["commands"], counts["commands refused"]) == (3, 2)


# --------------------------------------------------------------------------------------------------------------- TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("modbus"))


def served(authority, name="station", *, clients=False):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.files(name))
    if clients:
        context.load_verify_locations(authority.file)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def test_tls_with_client_certificate_and_a_command(authority):
    async def run():
        async with station({0: floats(42.0), 5000: [0, 0]}, secured=served(authority, clients=True)) as plain:
            secured = Endpoint(
                "S", "modbus", plain.host, plain.port, "tls", authority.file, *authority.files("collector")
            )
            source = ModbusSource(secured, [point("A", "modbus", "7/0")], Register(), retry=RETRY)
            answers = []

            async def tell():
                await until(lambda: source.up)
                answers.append(await source.command(command("7/5000"), 5e5))

            told = asyncio.create_task(tell())
            got = await take(source, 10)
            await told
            return got, answers

    got, answers = asyncio.run(run())
    assert set(got.value) == {42e5}
    assert answers == [Answer(accepted=True)]


def test_a_certificate_of_another_authority_is_refused_by_name(authority, tmp_path):
    other = Authority(tmp_path, "stranger")

    async def run():
        async with station({0: floats(1.0)}, secured=served(other)) as plain:
            endpoint = Endpoint("S", "modbus", plain.host, plain.port, "tls", authority.file)
            source = ModbusSource(endpoint, [point("A", "modbus", "7/0")], Register(), retry=RETRY)
            task = asyncio.create_task(take(source, 1))
            named = "lost: certificate refused: unable to get local issuer certificate"
            await until(lambda: source.counts[named] >= 2)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return source.counts

    assert asyncio.run(run())["connected"] == 0
