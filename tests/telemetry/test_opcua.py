# SPDX-License-Identifier: Apache-2.0
"""OPC UA against asyncua's own server: values, times, status codes, losses, refusals, security, commands."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from math import isnan
from pathlib import Path
from shutil import copy

import pytest
from asyncua import Server, ua
from asyncua.crypto.truststore import TrustStore
from asyncua.crypto.validator import CertificateValidator, CertificateValidatorOptions
from hypothesis import given
from hypothesis import strategies as st

from serai.telemetry.endpoints import POLICIES, Endpoint
from serai.telemetry.opcua import QUEUE, OpcuaSource, quality_of, status_of
from serai.telemetry.points import Answer, Command, address_of
from serai.telemetry.readings import MICROSECONDS, Quality, Register, joined, microseconds, now
from telemetry.certificates import URI, Authority
from telemetry.wire import free_port, point, relay, take, until

RETRY = (0.05, 0.2)


@pytest.fixture(autouse=True)
def _quiet():
    """Keep what the library logs about connections that the test cuts out of the report."""
    before = logging.getLogger("asyncua").level
    logging.getLogger("asyncua").setLevel(logging.CRITICAL + 1)
    yield
    logging.getLogger("asyncua").setLevel(before)


class Station:
    """A server that the whole module uses; every test takes variables of its own, in namespace 2."""

    def __init__(self, server, port):
        self.server, self.endpoint, self.made = server, Endpoint("S", "opcua", "127.0.0.1", port, "none"), 0

    async def points(self, count, first=0.0):
        """Make variables; return their points."""
        names = [f"T{self.made + k}" for k in range(count)]
        self.made += count
        for name in names:
            await self.server.nodes.objects.add_variable(ua.NodeId(name, 2), name, first)
        return [point(name, "opcua", f"ns=2;s={name}") for name in names]

    def node(self, p):
        return self.server.get_node(str(p.address))

    async def write(self, p, value, *, seconds=0.0, code=ua.StatusCodes.Good):
        time = datetime.now(UTC) + timedelta(seconds=seconds)
        data = ua.DataValue(ua.Variant(value, ua.VariantType.Double), ua.StatusCode(code), SourceTimestamp=time)
        await self.server.write_attribute_value(self.node(p).nodeid, data)
        return int(microseconds([time.timestamp()])[0])


async def started(files=(), trusted=""):
    server = Server()
    await server.init()
    port = free_port()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}")
    if files:
        await server.set_application_uri(URI)
        server.set_security_policy([getattr(ua.SecurityPolicyType, f"{p}_SignAndEncrypt") for p in POLICIES])
        await server.load_certificate(files[0])
        await server.load_private_key(files[1])
        store = TrustStore([Path(trusted)], [])
        await store.load()
        server.set_certificate_validator(CertificateValidator(CertificateValidatorOptions.TRUSTED, store))
    else:
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    assert await server.register_namespace("urn:serai:station") == 2
    await server.start()
    return Station(server, port)


@pytest.fixture(scope="module")
def runner():
    with asyncio.Runner() as one:
        yield one


@pytest.fixture(scope="module")
def station(runner):
    made = runner.run(started())
    yield made
    runner.run(made.server.stop())


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    authority = Authority(tmp_path_factory.mktemp("opcua"))
    names = ("station", "collector", "stranger")
    return {n: authority.files(n) for n in names} | {"expired": authority.files("expired", days=(-30, -1))}


@pytest.fixture(scope="module")
def guarded(runner, files, tmp_path_factory):
    """A server with every policy that holds, which trusts the collector."""
    trusted = tmp_path_factory.mktemp("trusted")
    copy(files["collector"][0], trusted)
    made = runner.run(started(files["station"], trusted))
    yield made
    runner.run(made.server.stop())


async def watched(source, act, enough, *, within=10.0):
    """Return what a source yields while `act` is done, from when it is connected."""
    task = asyncio.create_task(take(source, enough, within=within))
    await until(lambda: source.heard > 0)
    acted = await act()
    return acted, await task


# --------------------------------------------------------------------------------------------------------- qualities


def test_status_codes_as_the_standard_numbers_them():
    """Numbers from the table of OPC 10000-6, A.2."""
    assert quality_of(0x0000_0000) == Quality.GOOD
    assert quality_of(0x0096_0000) == Quality.SUBSTITUTED  # GoodLocalOverride
    assert quality_of(0x4091_0000) == Quality.SUBSTITUTED  # UncertainSubstituteValue
    assert quality_of(0x4090_0000) == Quality.NOT_TOPICAL  # UncertainLastUsableValue
    assert quality_of(0x4094_0000) == Quality.OVERFLOW  # UncertainEngineeringUnitsExceeded
    assert quality_of(0x808D_0000) == Quality.BLOCKED | Quality.INVALID  # BadOutOfService
    assert quality_of(0x808C_0000) == Quality.INVALID  # BadSensorFailure
    assert quality_of(0x8031_0000) == Quality.INVALID | Quality.NOT_TOPICAL  # BadNoCommunication
    assert quality_of(0x40BC_0000) == Quality.NOT_TOPICAL  # another uncertain one
    assert quality_of(0xC000_0000) == Quality.INVALID  # reserved: to be treated as bad


@given(st.integers(0, 0xFF))
def test_a_quality_told_by_a_status_code_is_never_better_than_it_was(bits):
    came = quality_of(status_of(bits))
    told = (Quality.INVALID, Quality.BLOCKED, Quality.SUBSTITUTED, Quality.NOT_TOPICAL, Quality.OVERFLOW)
    assert bool(came) == any(bits & bit for bit in told)
    if bits & (Quality.INVALID | Quality.BLOCKED):
        assert came & Quality.INVALID


@given(st.integers(0, 0xFFFF_FFFF))
def test_only_a_good_code_is_good(code):
    if code >> 30:
        assert quality_of(code)


# ------------------------------------------------------------------------------------------------------ over a socket


def test_every_change_arrives_with_the_time_of_its_source(runner, station):
    async def run():
        listed = await station.points(3)
        source = OpcuaSource(station.endpoint, listed, Register(), retry=RETRY)

        async def act():
            times = {p.tag: [] for p in listed}
            for n in range(20):
                for k, p in enumerate(listed):
                    times[p.tag].append(await station.write(p, 10.0 * k + n))
                await asyncio.sleep(0.01)
            return times

        return await watched(source, act, 63), source.counts

    (times, got), counts = runner.run(run())
    for k, (tag, wanted) in enumerate(times.items()):
        own = got.take(got.tag == got.register.number(tag))
        assert own.value.tolist()[1:] == [(10.0 * k + n) * 1e5 for n in range(20)]  # the first is from before
        assert own.time.tolist()[1:] == wanted
    assert counts["connected"] == 1
    assert counts["left out by the server"] == 0


def test_a_value_that_repeats_is_a_reading_too(runner, station):
    async def run():
        (p,) = await station.points(1)
        source = OpcuaSource(station.endpoint, [p], Register(), retry=RETRY)

        async def act():
            for _ in range(5):
                await station.write(p, 7.0)
                await asyncio.sleep(0.01)

        return await watched(source, act, 6)

    assert runner.run(run())[1].value.tolist()[1:] == [7e5] * 5


def test_bad_qualities_late_readings_and_clock_steps_come_as_they_are(runner, station):
    async def run():
        bad, late, ahead, none = listed = await station.points(4)
        source = OpcuaSource(station.endpoint, listed, Register(), retry=RETRY)

        async def act():
            await station.write(bad, 1.0, code=ua.StatusCodes.UncertainSubstituteValue)
            await station.write(late, 2.0, seconds=-3600.0)
            await station.write(ahead, 3.0, seconds=+3600.0)
            await station.write(none, 4.0, code=ua.StatusCodes.BadSensorFailure)  # a bad one carries no value

        _, got = await watched(source, act, 8)
        last = {t: row for t, *row in zip(got.tag.tolist(), got.value, got.time - now(), got.quality, strict=True)}
        return [last[got.register.number(p.tag)] for p in listed], source.counts

    (bad, late, ahead, none), counts = runner.run(run())
    assert (bad[0], bad[2]) == (1e5, Quality.SUBSTITUTED)
    assert late[1] == pytest.approx(-3600 * MICROSECONDS, abs=10 * MICROSECONDS)
    assert ahead[1] == pytest.approx(+3600 * MICROSECONDS, abs=10 * MICROSECONDS)
    assert isnan(none[0])
    assert none[2] == Quality.INVALID
    assert not any(name.startswith("malformed") for name in counts.counted)


def test_what_is_no_number_is_counted_and_invalid(runner, station):
    async def run():
        (p,) = await station.points(1, "no number")
        source = OpcuaSource(station.endpoint, [p], Register())
        return await take(source, 1), source.counts

    got, counts = runner.run(run())
    assert isnan(got.value[0])
    assert got.quality[0] & Quality.INVALID
    assert counts["malformed: value"] == 1


def test_a_node_that_does_not_exist_is_counted_and_the_others_go_on(runner, station):
    async def run():
        listed = [*await station.points(1), point("no", "opcua", "ns=2;s=no")]
        source = OpcuaSource(station.endpoint, listed, Register(), retry=RETRY)
        return listed[0].tag, await take(source, 1), source.counts

    tag, got, counts = runner.run(run())
    assert got.register.names(got.tag) == [tag]
    assert counts["refused: BadNodeIdUnknown ns=2;s=no"] == 1


def test_a_link_that_is_cut_comes_back(runner, station):
    async def run():
        (p,) = await station.points(1)
        port, register, taken = free_port(), Register(), []
        endpoint = Endpoint("S", "opcua", "127.0.0.1", port, "none")
        source = OpcuaSource(endpoint, [p], register, timeout=2.0, retry=RETRY)

        async def collect():
            async for batch in source.readings():
                taken.extend(batch.value.tolist())

        task = asyncio.create_task(collect())
        await until(lambda: source.counts["lost: connection refused"] >= 1)  # nobody is there yet
        for value in (11.0, 12.0):
            async with relay(station.endpoint.port, port):
                await until(lambda: source.up)
                await station.write(p, value)
                await until(lambda value=value: value * 1e5 in taken)
            await until(lambda: not source.up)
        await source.close()
        await task
        return source.counts

    assert runner.run(run())["connected"] == 2


def test_a_slow_reader_loses_nothing_that_the_server_can_keep(runner, station):
    async def run():
        (p,) = await station.points(1)
        source = OpcuaSource(station.endpoint, [p], Register(), retry=RETRY)
        stream = source.readings()
        got = [await anext(stream)]
        source._room = asyncio.Semaphore(1)  # one batch may wait
        for n in range(QUEUE - 10):
            await station.write(p, float(n))
            await asyncio.sleep(0.02 if n % 10 == 0 else 0.0)  # the server publishes
        await until(lambda: source.counts["held back"] >= 1)
        async with asyncio.timeout(10.0):
            while sum(len(b) for b in got) <= QUEUE - 10:
                got.append(await anext(stream))
        await stream.aclose()
        return joined(got)

    assert runner.run(run()).value.tolist()[1:] == [n * 1e5 for n in range(QUEUE - 10)]


def test_what_the_server_left_out_is_counted_and_told():
    """asyncua's server never sets the Overflow bit (OPC 10000-4, 7.39.1), so its message is made here."""
    source = OpcuaSource(Endpoint("S", "opcua", "h", 1, "none"), [point("A", "opcua", "ns=2;s=A")], Register())
    value = ua.Variant(1.0, ua.VariantType.Double)
    for code, gaps in ((0x0000_0480, 1), (0x0000_0400, 1), (0x4090_0480, 2)):
        data = ua.DataValue(value, ua.StatusCode(code), SourceTimestamp=datetime.now(UTC))
        _, _, quality = source._reading(data, now())
        assert source.counts["left out by the server"] == gaps
        assert bool(quality & Quality.OVERFLOW) == bool(code & 0x80)


# ---------------------------------------------------------------------------------------------------------- commands


def command(node):
    return Command("c", "outlet_pressure", "CS", "S", "opcua", address_of("opcua", node), "bara", 1e5)


def test_commands_reach_the_nodes_and_refusals_say_why(runner, station):
    async def run():
        can, cannot = await station.points(2)
        await station.node(can).set_writable()
        source = OpcuaSource(station.endpoint, [can], Register(), retry=RETRY)
        early = await source.command(command(str(can.address)), 71e5)
        task = asyncio.create_task(take(source, 10**9))
        await until(lambda: source.up)
        nodes = (str(can.address), str(cannot.address))
        answers = [await source.command(command(node), 71e5) for node in nodes]
        written = await station.node(can).read_value()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return early, answers, written, source.counts

    early, answers, written, counts = runner.run(run())
    assert not early.accepted
    assert answers == [
        Answer(accepted=True),
        Answer(accepted=False, reason="BadUserAccessDenied"),
    ]
    assert written == 71.0
    assert (counts["commands"], counts["commands refused"]) == (2, 1)


# ---------------------------------------------------------------------------------------------------------- security


def secured(made, policy, theirs, own):
    return Endpoint("S", "opcua", "127.0.0.1", made.endpoint.port, policy, theirs[0], *own)


@pytest.mark.parametrize("policy", POLICIES)
def test_signed_and_encrypted_with_every_policy_that_holds(runner, guarded, files, policy):
    async def run():
        (p,) = await guarded.points(1)
        endpoint = secured(guarded, policy, files["station"], files["collector"])
        source = OpcuaSource(endpoint, [p], Register(), retry=RETRY)
        _, got = await watched(source, lambda: guarded.write(p, 5.0), 2)
        return got

    assert runner.run(run()).value[-1] == 5e5


@pytest.mark.parametrize(
    ("shown", "name"),
    [
        (("stranger", "collector"), "certificate refused: the server shows another one"),
        (("station", "stranger"), "BadCertificateUntrusted"),
        (("expired", "collector"), "certificate refused: expired or not yet valid"),
    ],
)
def test_who_cannot_prove_himself_is_refused_by_name(runner, guarded, files, shown, name):
    endpoint = secured(guarded, "Basic256Sha256", *(files[who] for who in shown))
    assert runner.run(losses(endpoint)) == {f"lost: {name}"}


def test_no_security_only_where_both_say_so(runner, guarded, station, files):
    withdrawn = secured(guarded, "Basic128Rsa15", files["station"], files["collector"])
    assert min(runner.run(losses(withdrawn))).startswith("lost: S: security must be none or one of Basic256Sha256")
    nothing = Endpoint("S", "opcua", "127.0.0.1", guarded.endpoint.port, "none")
    assert min(runner.run(losses(nothing))).startswith("lost: ")
    openly = secured(station, "Basic256Sha256", files["station"], files["collector"])
    assert min(runner.run(losses(openly))).startswith("lost: ")


async def losses(endpoint):
    """Return the names of why a source does not connect."""
    source = OpcuaSource(endpoint, [point("A", "opcua", "ns=2;s=T0")], Register(), timeout=1.0, retry=RETRY)
    task = asyncio.create_task(take(source, 1, within=20.0))
    await until(lambda: sum(n for name, n in source.counts.counted.items() if name.startswith("lost")) >= 2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert source.counts["connected"] == 0
    return {name for name in source.counts.counted if name.startswith("lost")}
