# SPDX-License-Identifier: Apache-2.0
"""MQTT against the amqtt broker and paho clients: payloads, losses, sessions, TLS, commands."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta, timezone
from math import isnan, nan

import aiomqtt
import numpy as np
import pytest
from amqtt.broker import Broker
from hypothesis import given
from hypothesis import strategies as st

from serai.telemetry.endpoints import Endpoint
from serai.telemetry.mqtt import LARGEST, MqttSource, parsed, payload
from serai.telemetry.points import Command, address_of
from serai.telemetry.readings import MICROSECONDS, Quality, Register, now
from telemetry.certificates import Authority
from telemetry.wire import free_port, point, take, until

RETRY = (0.05, 0.2)
LOW = 0xF9  # the bits that IEC 60870-5-101 7.2.6.3 names


@pytest.fixture(autouse=True)
def _quiet():
    """Keep what broker and client log about connections that the test cuts out of the report."""
    names = ("amqtt", "mqtt", "transitions")
    before = {n: logging.getLogger(n).level for n in names}
    for n in names:
        logging.getLogger(n).setLevel(logging.CRITICAL + 1)
    yield
    for n, level in before.items():
        logging.getLogger(n).setLevel(level)


BROKERS = []  # those that run


@asynccontextmanager
async def broker(port=0, *, files=(), authority=""):
    port = port or free_port()
    listener = {"type": "tcp", "bind": f"127.0.0.1:{port}"}
    if files:
        listener |= {"ssl": True, "certfile": files[0], "keyfile": files[1], "cafile": authority}
    made = Broker(
        {
            "listeners": {"default": listener},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
    )
    serve, writers = made.stream_connected, set()

    async def connected(reader, writer, listener_name):  # amqtt leaves some connections open
        writers.add(writer)
        try:
            await serve(reader, writer, listener_name)
        finally:
            writer.close()
            writers.discard(writer)

    made.stream_connected = connected
    await made.start()
    BROKERS.append(made)
    try:
        yield Endpoint("broker", "mqtt", "127.0.0.1", port, "none")
    finally:
        await BROKERS.pop().shutdown()
        for writer in writers:
            writer.close()
        await asyncio.sleep(0)


def points(*names):
    return [point(n, "mqtt", f"serai/S/{n}") for n in names]


async def publish(endpoint, messages, context=None):
    async with aiomqtt.Client(endpoint.host, endpoint.port, tls_context=context) as client:
        for topic, data in messages:
            await client.publish(topic, data, qos=1)


# ---------------------------------------------------------------------------------------------------------- payloads


@given(st.floats(), st.integers(0, 4_000_000_000 * MICROSECONDS), st.integers(0, 0xFFFF))
def test_a_payload_survives(value, time, quality):
    came, moment, said = parsed(payload(value, time, quality))
    if np.isfinite(value):
        assert (came, said) == (value, quality & LOW)
    else:
        assert isnan(came)
        assert said == quality & LOW | Quality.INVALID
    assert moment == time


@given(st.binary(max_size=200))
def test_any_bytes_are_a_reading_or_a_named_mistake(data):
    try:
        value, time, quality = parsed(data)
    except ValueError as error:
        assert str(error) in {"no JSON", "no JSON object", "value", "time", "quality", "too large"}  # noqa: PT017 - either
        return
    assert isnan(value) or np.isfinite(value)
    assert time is None or time >= 0
    assert 0 <= quality <= 0xFF


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


@given(st.fixed_dictionaries({}, optional={"value": JSON, "time": JSON, "quality": JSON, "more": JSON}))
def test_any_json_is_a_reading_or_a_named_mistake(said):
    try:
        value, _, _ = parsed(json.dumps(said).encode())
    except ValueError as error:
        assert str(error) in {"no JSON", "value", "time", "quality"}  # noqa: PT017 - either way
    else:
        number = said["value"]
        assert isnan(value) if number is None else value == number


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("{", "no JSON"), ("[" * 9000, "no JSON"), ("[1]", "no JSON object"), ("{}", "value"),
        ('{"value": "7"}', "value"), ('{"value": 1, "time": 1e300}', "time"),
        ('{"value": 1e999}', "value"), ('{"value": NaN}', "no JSON"), (f'{{"value": 1{"0" * 400}}}', "value"),
        ('{"value": 1, "time": "noon"}', "time"), ('{"value": 1, "time": "2026-01-31T14:05:00"}', "time"),
        ('{"value": 1, "time": true}', "time"), ('{"value": 1, "time": -1}', "time"),
        ('{"value": 1, "quality": 256}', "quality"), ('{"value": 1, "quality": true}', "quality"),
        ('{"value": 1, "more": "' + "x" * LARGEST + '"}', "too large"),
    ],
)  # fmt: skip
def test_what_is_malformed_is_named(text, name):
    with pytest.raises(ValueError, match=f"^{name}$"):
        parsed(text.encode())


def test_times_may_be_texts_with_a_zone():
    wanted = datetime(2026, 1, 31, 14, 5, 0, 250_000, tzinfo=UTC)
    for text in ("2026-01-31T14:05:00.25Z", "2026-01-31T19:05:00.250+05:00"):
        _, time, _ = parsed(json.dumps({"value": 1, "time": text}).encode())
        assert time == round(wanted.timestamp() * MICROSECONDS)
    assert wanted.astimezone(timezone(timedelta(hours=5))) == wanted


# ------------------------------------------------------------------------------------------------------ over a socket


def test_readings_arrive_in_si_and_what_is_malformed_is_counted():
    async def run():
        async with broker() as endpoint:
            source = MqttSource(endpoint, points("A", "B"), Register(), retry=RETRY)
            task = asyncio.create_task(take(source, 6))
            await until(lambda: source.up)
            start = now()
            await publish(
                endpoint,
                [
                    ("serai/S/A", payload(57.25, start)),
                    ("serai/S/A", b"no JSON at all"),
                    ("serai/S/B", payload(3.5, start - 3600 * MICROSECONDS)),  # late
                    ("serai/S/B", payload(nan, start)),
                    ("serai/S/B", b'{"value": "x"}'),
                    (
                        "serai/S/A",
                        payload(58.0, start + 3600 * MICROSECONDS, Quality.SUBSTITUTED),
                    ),  # its clock is ahead
                    ("serai/S/A", b'{"value": 59}'),  # has no clock
                    ("serai/S/A", b'{"value": true, "time": 1}'),
                ],
            )
            return start, await task, source.counts

    start, got, counts = asyncio.run(run())
    rows = list(zip(got.register.names(got.tag), got.value, got.time - start, got.quality, strict=True))
    assert rows[0] == ("A", 57.25e5, 0, 0)
    assert rows[1] == ("B", 3.5e5, -3600 * MICROSECONDS, 0)
    assert isnan(rows[2][1])
    assert rows[2][3] == Quality.INVALID
    assert rows[3] == ("A", 58e5, 3600 * MICROSECONDS, Quality.SUBSTITUTED)
    assert rows[4][3] == Quality.ELAPSED_TIME_INVALID
    assert got.time[4] == got.received[4]
    assert (rows[5][1], got.time[5]) == (1e5, MICROSECONDS)
    assert counts["malformed: no JSON"] == counts["malformed: value"] == counts["without time"] == 1


def test_what_a_slow_reader_has_not_taken_is_not_acknowledged():
    async def run():
        async with broker() as endpoint:
            source = MqttSource(endpoint, points("A"), Register(), retry=RETRY)
            stream = source.readings()
            first = asyncio.create_task(anext(stream))
            await until(lambda: source.up)
            source._room = asyncio.Semaphore(1)
            start = now()
            feed = asyncio.create_task(publish(endpoint, [("serai/S/A", payload(n, start + n)) for n in range(300)]))
            got = (await first).value.tolist()
            await asyncio.sleep(0.3)
            async with asyncio.timeout(15.0):
                while len(got) < 300:
                    got.extend((await anext(stream)).value.tolist())
            await feed
            await stream.aclose()
            return got

    assert asyncio.run(run()) == [n * 1e5 for n in range(300)]


def test_a_broker_that_restarts_is_found_again():
    async def run():
        port, taken = free_port(), []
        endpoint = Endpoint("broker", "mqtt", "127.0.0.1", port, "none")
        source = MqttSource(endpoint, points("A"), Register(), retry=RETRY)

        async def collect():
            async for batch in source.readings():
                taken.extend(batch.value.tolist())

        task = asyncio.create_task(collect())
        await until(lambda: source.counts["lost: connection refused"] >= 1)
        for value in (1.0, 2.0):
            async with broker(port):
                await until(lambda: source.up)
                await publish(endpoint, [("serai/S/A", payload(value, now()))])
                await until(lambda value=value: value * 1e5 in taken)
            await until(lambda: not source.up)
        await source.close()
        await task

        return source.counts, taken

    counts, taken = asyncio.run(run())
    assert taken == [1e5, 2e5]
    assert counts["connected"] == 2


def test_a_broker_keeps_what_comes_while_the_collector_is_away():
    async def run():
        async with broker() as endpoint:
            first = MqttSource(endpoint, points("A"), Register(), retry=RETRY)
            there = asyncio.create_task(take(first, 1))
            await until(lambda: first.up)
            there.cancel()
            await asyncio.gather(there, return_exceptions=True)
            await until(lambda: all(s.transitions.is_disconnected() for s, _ in BROKERS[0]._sessions.values()))
            for session, _ in BROKERS[0]._sessions.values():
                session.is_anonymous = False  # this broker keeps nothing for clients without a name
            await publish(endpoint, [("serai/S/A", payload(n, now())) for n in range(5)])
            second = MqttSource(endpoint, points("A"), Register(), retry=RETRY)
            return await take(second, 5)

    assert asyncio.run(run()).value.tolist() == [n * 1e5 for n in range(5)]


# ---------------------------------------------------------------------------------------------------------- commands


def command(topic):
    return Command("c", "outlet_pressure", "CS", "S", "mqtt", address_of("mqtt", topic), "bara", 1e5)


async def station(endpoint, heard, ready):
    """Answer commands: 71 bar is accepted, other values are refused, and `silent` hears nothing."""
    async with aiomqtt.Client(endpoint.host, endpoint.port) as client:
        await client.subscribe("serai/S/command/P", qos=1)
        ready.set()
        async for message in client.messages:
            said = json.loads(message.payload)
            heard.append(said)
            answer = {"id": said["id"], "accepted": said["value"] == 71.0, "reason": "above its limit"}
            await client.publish(f"{message.topic}/answer", json.dumps(answer), qos=1)


def test_commands_are_answered_refused_or_time_out():
    async def run():
        async with broker() as endpoint:
            source = MqttSource(endpoint, points("A"), Register(), timeout=1.0, retry=RETRY)
            early = await source.command(command("serai/S/command/P"), 71e5)
            task = asyncio.create_task(take(source, 10**9, within=30.0))
            heard, ready = [], asyncio.Event()
            there = asyncio.create_task(station(endpoint, heard, ready))
            await ready.wait()
            await until(lambda: source.up)
            answers = [await source.command(command("serai/S/command/P"), v * 1e5) for v in (71.0, 99.0)]
            answers.append(await source.command(command("serai/S/command/nobody"), 71e5))
            await publish(endpoint, [("serai/S/command/P/answer", b'{"id": "x"}')])
            await until(lambda: source.counts["answers to nothing"] == 1)
            for t in (task, there):
                t.cancel()
            await asyncio.gather(task, there, return_exceptions=True)
            return early, answers, heard, source.counts

    early, answers, heard, counts = asyncio.run(run())
    assert not early.accepted
    assert [a.accepted for a in answers] == [True, False, False]
    assert [a.reason for a in answers[1:]] == ["above its limit", "no answer in time"]
    assert [h["value"] for h in heard] == [71.0, 99.0]
    assert heard[0]["time"] == pytest.approx(now() / MICROSECONDS, abs=60)
    assert (counts["commands"], counts["commands refused"], counts["commands unanswered"]) == (3, 1, 1)


# --------------------------------------------------------------------------------------------------------------- TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("mqtt"))


def test_tls_and_a_certificate_of_another_authority(authority, tmp_path):
    other = Authority(tmp_path, "stranger")

    async def run():
        async with broker(files=authority.files("broker"), authority=authority.file) as plain:
            there = (plain.station, "mqtt", plain.host, plain.port, "tls")
            source = MqttSource(Endpoint(*there, authority.file), points("A"), Register(), retry=RETRY)
            task = asyncio.create_task(take(source, 1))
            await until(lambda: source.up)
            context = ssl.create_default_context(cafile=authority.file)
            await publish(plain, [("serai/S/A", payload(42.0, now()))], context)
            got = await task
            wrong = MqttSource(Endpoint(*there, other.file), points("A"), Register(), retry=RETRY)
            task = asyncio.create_task(take(wrong, 1))
            await until(lambda: any(n.startswith("lost") for n in wrong.counts.counted))
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return got, wrong.counts

    got, counts = asyncio.run(run())
    assert got.value.tolist() == [42e5]
    assert counts["connected"] == 0
    assert counts["lost: certificate refused: self-signed certificate in certificate chain"] >= 1
