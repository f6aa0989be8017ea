# SPDX-License-Identifier: Apache-2.0
"""MQTT: readings as small JSON texts under a topic each, at least once (quality of service 1), plain or over TLS.

A payload is `{"value": 57.21, "time": "2026-01-31T14:05:00.250Z", "quality": 0}`:

value     a number in the unit of the point, true or false for a flag, null = none to be had
time      when it was taken: ISO 8601 with its zone, or seconds since 1970 UTC; may be missing
quality   the low byte of `Quality`, the bits of IEC 60870-5-101 7.2.6.3; 0 when missing

A command is `{"id": .., "value": .., "time": ..}` to its own topic, so that a station can refuse one that is old; it
answers `{"id": .., "accepted": true}` or, with `false` and a `reason`, under that topic + `/answer`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
from datetime import datetime
from itertools import count
from math import isfinite, nan
from typing import TYPE_CHECKING, Any, NoReturn

import aiomqtt
import numpy as np

from serai.telemetry.ending import cancelled
from serai.telemetry.endpoints import tls
from serai.telemetry.links import Link
from serai.telemetry.points import Answer, MqttAddress
from serai.telemetry.readings import MICROSECONDS, Quality, Readings, Register, now

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serai.telemetry.endpoints import Endpoint
    from serai.telemetry.points import Command, Point

LARGEST = 65_536  # bytes of a payload that is looked at
ANSWER = "/answer"
BATCH = 4_096  # readings in a batch at most
_YEARS = (0, 253_402_300_800 * MICROSECONDS)  # µs: times from 1970 up to the year 10000
_BITS = int(
    Quality.OVERFLOW | Quality.ELAPSED_TIME_INVALID | Quality.BLOCKED | Quality.SUBSTITUTED | Quality.NOT_TOPICAL
    | Quality.INVALID
)  # fmt: skip


def payload(value: float, time: int, quality: int = 0) -> bytes:
    """Return the payload of a reading: value in the unit of the point (nan = none), time [µs since 1970 UTC]."""
    said = value if isfinite(value) else None
    return json.dumps({"value": said, "time": time / MICROSECONDS, "quality": int(quality) & _BITS}).encode()


def parsed(data: bytes) -> tuple[float, int | None, int]:
    """Return value (nan = none), time [µs since 1970 UTC] (None = not said) and quality of a payload.

    ValueError names the part that is malformed.
    """
    if len(data) > LARGEST:
        raise ValueError("too large")
    try:
        said = json.loads(data, parse_constant=_refuse)
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        raise ValueError("no JSON") from None
    if not isinstance(said, dict):
        raise ValueError("no JSON object")  # noqa: TRY004 - of the payload, not of an argument
    value, quality = _value(said.get("value", "missing")), said.get("quality", 0)
    if isinstance(quality, bool) or not isinstance(quality, int) or not 0 <= quality <= _BITS | 0xFF:
        raise ValueError("quality")
    time = said.get("time")
    return value, None if time is None else _time(time), quality & _BITS | (Quality.INVALID if value != value else 0)  # noqa: PLR0124 - nan


def _refuse(_: str) -> NoReturn:
    raise ValueError("no number")


def _value(said: Any) -> float:
    if said is None:
        return nan
    if not isinstance(said, (int, float)):
        raise ValueError("value")  # noqa: TRY004 - of the payload, not of an argument
    try:
        value = float(said)
    except OverflowError:
        raise ValueError("value") from None
    if not isfinite(value):
        raise ValueError("value")
    return value


def _time(said: Any) -> int:
    """Return a time as whole microseconds since 1970 UTC."""
    try:
        micros = round(_seconds(said) * MICROSECONDS)
    except (ValueError, OverflowError):
        raise ValueError("time") from None
    if not _YEARS[0] <= micros < _YEARS[1]:
        raise ValueError("time")
    return micros


def _seconds(said: Any) -> float:
    if isinstance(said, str):
        moment = datetime.fromisoformat(said)
        if moment.tzinfo is not None:
            return moment.timestamp()
    elif isinstance(said, (int, float)) and not isinstance(said, bool):
        return said
    raise ValueError("time")


class MqttSource(Link):
    """The readings of stations behind one broker, and the way of their commands.

    A message is acknowledged to the broker after the one who takes the readings has them, so the broker keeps what a
    slow or absent collector has not taken (its session is kept under `identifier` while it is away).
    """

    def __init__(
        self, endpoint: Endpoint, points: Sequence[Point], register: Register, *, identifier: str = "",
        timeout: float = 10.0, retry: tuple[float, float] = (1.0, 30.0),
    ) -> None:  # fmt: skip
        """Make the source of MQTT points.

        identifier   of the session at the broker; made of host and topics if not given
        timeout      [s] of connecting, subscribing and of the answer to a command
        """
        super().__init__(endpoint.station, register, retry=retry)
        self.endpoint = endpoint
        self._timeout = timeout
        self._points = {str(p.address): (register.number(p.tag), p.factor, p.offset) for p in points}
        own = "\n".join((socket.gethostname(), endpoint.host, str(endpoint.port), *sorted(self._points)))
        # 23 characters are what every broker takes: MQTT 3.1.1, 3.1.3.1
        self._identifier = identifier or f"serai-{hashlib.sha256(own.encode()).hexdigest()[:16]}"
        self._client: aiomqtt.Client | None = None
        self._asked: dict[str, asyncio.Future[Answer]] = {}
        self._number = count(1)

    async def _session(self) -> None:
        secured = tls(self.endpoint)
        if secured is not None:  # paho hides why a handshake failed, and leaves its socket open
            opened = asyncio.open_connection(self.endpoint.host, self.endpoint.port, ssl=secured)
            _, writer = await asyncio.wait_for(opened, self._timeout)
            writer.close()
        client = aiomqtt.Client(
            self.endpoint.host, self.endpoint.port, identifier=self._identifier, clean_session=False,
            tls_context=secured, timeout=self._timeout, keepalive=20,
        )  # fmt: skip
        client._client.manual_ack_set(on=True)  # noqa: SLF001 - aiomqtt does not pass on what acknowledges by hand
        async with client:
            # A broker may send what it kept for us first, and answer the subscription when that is acknowledged
            subscribing, taking = (asyncio.create_task(c) for c in (self._subscribe(client), self._take_all(client)))
            try:
                await asyncio.wait((subscribing, taking), return_when=asyncio.FIRST_COMPLETED)
                if subscribing.done():
                    subscribing.result()
                    self._client = client
                    self._connected()
                await taking
            finally:
                self._client = None
                await cancelled(subscribing, taking)
                for future in self._asked.values():
                    if not future.done():
                        future.set_result(Answer(accepted=False, reason="connection lost"))

    async def _take_all(self, client: aiomqtt.Client) -> None:
        """Take messages as they come, and acknowledge those that are handed on."""
        while True:
            messages = [await anext(client.messages)]
            while len(client.messages) and len(messages) < BATCH:
                messages.append(await anext(client.messages))
            await self._take(messages)
            for message in messages:
                client._client.ack(message.mid, message.qos)  # noqa: SLF001 - as above

    async def _subscribe(self, client: aiomqtt.Client) -> None:
        topics = [(topic, 1) for topic in self._points]
        for k in range(0, len(topics), 100):
            granted = await client.subscribe(topics[k : k + 100])
            for (topic, _), answer in zip(topics[k : k + 100], granted, strict=True):
                if isinstance(answer, int) and answer >= 0x80:  # MQTT 3.1.1, 3.9.3
                    self.counts.add(f"subscription refused: {topic}")

    async def _take(self, messages: Sequence[aiomqtt.Message]) -> None:
        """Hand on what messages say; what cannot be read is counted under what is wrong with it."""
        received = now()
        rows: list[tuple[int, int, float, int]] = []
        for message in messages:
            topic, data = str(message.topic), bytes(message.payload)
            if topic.endswith(ANSWER) and topic not in self._points:
                self._answered(data)
                continue
            point = self._points.get(topic)
            if point is None:
                self.counts.add("unknown topic")
                continue
            try:
                value, time, quality = parsed(data)
            except ValueError as error:
                self.counts.add(f"malformed: {error}")
                continue
            if time is None:
                self.counts.add("without time")
                time, quality = received, quality | Quality.ELAPSED_TIME_INVALID
            number, factor, offset = point
            rows.append((number, time, factor * value + offset, quality))
        if rows:
            tags, times, values, qualities = zip(*rows, strict=True)
            batch = Readings(
                self.register, np.array(tags, np.int32), np.array(times, np.int64), np.array(values, np.float64),
                np.array(qualities, np.uint16), np.full(len(rows), received, np.int64),
            )  # fmt: skip
            await self._deliver(batch)

    def _answered(self, data: Any) -> None:
        try:
            said = json.loads(data)
            future = self._asked.pop(str(said["id"]))
            answer = Answer(accepted=said["accepted"] is True, reason=str(said.get("reason", "")))
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            self.counts.add("answers to nothing")
            return
        if not future.done():
            future.set_result(answer)

    async def command(self, command: Command, value: float) -> Answer:
        """Publish a command, `value` in SI, and wait for the answer of its station."""
        client = self._client
        if client is None or not isinstance(command.address, MqttAddress):
            return Answer(accepted=False, reason=f"not connected: {self.reason}")
        self.counts.add("commands")
        time, topic = now(), command.address.topic
        number = f"{self._identifier}-{next(self._number)}-{time}"
        said = json.dumps({"id": number, "value": command.sent(value), "time": time / MICROSECONDS})
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._asked[number] = future
        try:
            await client.subscribe(topic + ANSWER, qos=1)
            await client.publish(topic, said, qos=1)
            answer = await asyncio.wait_for(future, self._timeout)
        except (aiomqtt.MqttError, TimeoutError) as error:
            self.counts.add("commands unanswered")
            lost = "no answer in time" if isinstance(error, TimeoutError) else "connection lost"
            return Answer(accepted=False, reason=lost)
        finally:
            self._asked.pop(number, None)
        if not answer.accepted:
            self.counts.add("commands refused")
        return answer
