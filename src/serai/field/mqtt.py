# SPDX-License-Identifier: Apache-2.0
"""Simulated stations over MQTT: each publishes to a broker, amqtt's own in this process where none is given."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from math import isfinite
from typing import TYPE_CHECKING, Any

import aiomqtt

from serai.errors import SeraiError
from serai.field.stations import Verdict, free_port
from serai.telemetry.ending import cancelled
from serai.telemetry.endpoints import Endpoint
from serai.telemetry.mqtt import ANSWER, payload
from serai.telemetry.points import MqttAddress
from serai.telemetry.readings import MICROSECONDS, now

if TYPE_CHECKING:
    from serai.field.stations import Sent, Site

AGE = 30.0  # s: an older command is refused


class Broker:
    """A broker on this machine, for stations that have none: amqtt, one listener, no passwords."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port or free_port(host)
        self._broker: Any = None
        self._serve: Any = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Listen; SeraiError where amqtt is not installed."""
        try:
            from amqtt.broker import Broker as Amqtt  # type: ignore[import-untyped] # noqa: PLC0415 - no types; optional
            from amqtt.errors import BrokerError  # type: ignore[import-untyped] # noqa: PLC0415 - the same
        except ImportError:
            msg = "stations over MQTT need a broker: name one (host:port), or install amqtt"
            raise SeraiError(msg) from None
        logging.getLogger("amqtt").setLevel(logging.ERROR)
        logging.getLogger("transitions").setLevel(logging.ERROR)
        listener = {"type": "tcp", "bind": f"{self.host}:{self.port}"}
        anyone = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
        broker = Amqtt({"listeners": {"default": listener}, "plugins": anyone})
        self._serve, broker.stream_connected = broker.stream_connected, self._connected
        try:
            await broker.start()
        except BrokerError as error:
            raise SeraiError(f"the broker for stations over MQTT at {self.host}:{self.port}: {error}") from None
        self._broker = broker

    async def close(self) -> None:
        """Stop."""
        if self._broker is not None:
            await self._broker.shutdown()
            for writer in self._writers:
                writer.close()
            await asyncio.sleep(0)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str) -> None:
        """Serve a client and close its connection, which amqtt leaves open after some of them."""
        self._writers.add(writer)
        try:
            await self._serve(reader, writer, listener_name)
        finally:
            writer.close()
            self._writers.discard(writer)


class MqttStation:
    """One station: a topic for each point, one for each command, and their answers."""

    def __init__(self, site: Site) -> None:
        self.name = site.name
        self._decide, self._host, self._port = site.decide, site.host, site.port
        self._topics = [p.address.topic for p in site.points if isinstance(p.address, MqttAddress)]
        self._commands = {c.address.topic: c for c in site.commands if isinstance(c.address, MqttAddress)}
        self._client: aiomqtt.Client | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> Endpoint:
        """Connect to the broker and listen for commands."""
        self._client = aiomqtt.Client(self._host, self._port, timeout=10.0)
        await self._client.__aenter__()
        for topic in self._commands:
            await self._client.subscribe(topic, qos=1)
        self._task = asyncio.create_task(self._listen(self._client), name=f"{self.name} commands")
        return Endpoint(self.name, "mqtt", self._host, self._port, "none")

    def heard(self) -> bool:
        """Tell whether it answers: the broker keeps what a client has missed."""
        return self._client is not None

    async def send(self, sent: Sent) -> None:
        """Publish each reading."""
        if self._client is None:
            return
        for k, value, quality, time in zip(
            sent.point.tolist(), sent.value.tolist(), sent.quality.tolist(), sent.time.tolist(), strict=True
        ):
            with contextlib.suppress(aiomqtt.MqttError):  # the broker is gone: the reading is lost, as a real one is
                await self._client.publish(self._topics[k], payload(value, time, quality), qos=1)

    async def close(self) -> None:
        """Leave the broker."""
        client, self._client = self._client, None
        if self._task is not None:
            await cancelled(self._task)
        if client is not None:
            with contextlib.suppress(aiomqtt.MqttError):
                await client.__aexit__(None, None, None)

    async def _listen(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            topic = str(message.topic)
            command = self._commands.get(topic)
            if command is None:
                continue
            try:
                said = json.loads(bytes(message.payload))
                number, value, time = str(said["id"]), float(said["value"]), float(said["time"])
            except (ValueError, TypeError, KeyError, UnicodeDecodeError):
                continue  # no answer to what is no command
            if not isfinite(value):
                verdict = Verdict("beyond", "no number")
            elif abs(now() / MICROSECONDS - time) > AGE:
                verdict = Verdict("refused", "it was sent too long ago")
            else:
                verdict = await self._decide(command, command.si(value), "mqtt client")
            reply = {"id": number, "accepted": verdict.accepted, "reason": verdict.reason}
            await client.publish(topic + ANSWER, json.dumps(reply), qos=1)
