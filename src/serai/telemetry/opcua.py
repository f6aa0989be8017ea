# SPDX-License-Identifier: Apache-2.0
"""OPC UA: a station's variables by subscription, with the times of their source and their status codes as quality.

Only policies that are not withdrawn are used (`endpoints.POLICIES`: OPC 10000-7 withdrew Basic128Rsa15 and Basic256),
with every message signed and encrypted; no security only where the endpoint says `none`. The server's certificate is
pinned: it must be the very one that the endpoint names.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from math import isfinite, nan
from typing import TYPE_CHECKING, Any

import numpy as np
from asyncua import Client, ua
from asyncua.crypto import security_policies, uacrypto
from asyncua.ua.uaerrors import UaError, UaStatusCodeError
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from serai.errors import SeraiError
from serai.telemetry.endpoints import POLICIES
from serai.telemetry.links import Link
from serai.telemetry.points import Answer, OpcuaAddress
from serai.telemetry.readings import MICROSECONDS, Quality, Readings, Register, now

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serai.telemetry.endpoints import Endpoint
    from serai.telemetry.points import Command, Point

PUBLISHING = 0.25  # s between what the server sends at most
QUEUE = 100  # values of one variable that the server keeps for a slow reader
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_GOOD, _UNCERTAIN = 0x0000_0000, 0x4000_0000  # severity, the upper two bits: OPC 10000-4, 7.39.1
_OVERFLOW = 0x0480  # DataValue info bits with Overflow: the server left out values, OPC 10000-4, 7.39.1
_MEANT = {  # status code without info bits -> quality; in the order in which a quality is told by a code
    ua.StatusCodes.GoodLocalOverride: Quality.SUBSTITUTED,
    ua.StatusCodes.GoodClamped: Quality.OVERFLOW,
    ua.StatusCodes.UncertainSensorNotAccurate: Quality.OVERFLOW,  # at one of the limits of the sensor
    ua.StatusCodes.UncertainEngineeringUnitsExceeded: Quality.OVERFLOW,
    ua.StatusCodes.UncertainSubstituteValue: Quality.SUBSTITUTED,
    ua.StatusCodes.UncertainLastUsableValue: Quality.NOT_TOPICAL,
    ua.StatusCodes.UncertainNoCommunicationLastUsableValue: Quality.NOT_TOPICAL,
    ua.StatusCodes.BadOutOfService: Quality.BLOCKED | Quality.INVALID,
    ua.StatusCodes.BadNoCommunication: Quality.NOT_TOPICAL | Quality.INVALID,
    ua.StatusCodes.BadWaitingForInitialData: Quality.NOT_TOPICAL | Quality.INVALID,
}
_TOLD = (  # the first one whose bits a quality has; the worst first
    (Quality.BLOCKED, ua.StatusCodes.BadOutOfService),
    (Quality.INVALID, ua.StatusCodes.BadSensorFailure),
    (Quality.SUBSTITUTED, ua.StatusCodes.UncertainSubstituteValue),
    (Quality.NOT_TOPICAL, ua.StatusCodes.UncertainLastUsableValue),
    (Quality.OVERFLOW, ua.StatusCodes.UncertainEngineeringUnitsExceeded),
)


def quality_of(code: int) -> Quality:
    """Return what a status code says against a value."""
    known = _MEANT.get(code & 0xFFFF_0000)
    if known is not None:
        return known
    severity = code & 0xC000_0000
    return {_GOOD: Quality.GOOD, _UNCERTAIN: Quality.NOT_TOPICAL}.get(severity, Quality.INVALID)


def status_of(quality: int) -> int:
    """Return the status code with which a station tells a quality; a code tells only the worst of its bits."""
    return next((code for bit, code in _TOLD if quality & bit), ua.StatusCodes.Good)


class OpcuaSource(Link):
    """The readings of one station over OPC UA, and the way of its commands.

    While the one who takes the readings is behind, no more are asked for; what the server then has no room for, it
    leaves out and says so: counted as `left out by the server`, the reading after the gap carries OVERFLOW.
    """

    def __init__(
        self, endpoint: Endpoint, points: Sequence[Point], register: Register, *, timeout: float = 4.0,
        retry: tuple[float, float] = (1.0, 30.0),
    ) -> None:  # fmt: skip
        """Make the source of the OPC UA points of a station; `timeout` [s] of an answer."""
        super().__init__(endpoint.station, register, retry=retry)
        self.endpoint = endpoint
        self._timeout = timeout
        self._nodes = [p.address.node for p in points if isinstance(p.address, OpcuaAddress)]
        self._tags = register.numbers(p.tag for p in points)
        self._factor = np.array([p.factor for p in points])
        self._offset = np.array([p.offset for p in points])
        self._scan = min((p.instrument.scan for p in points), default=1.0)
        self._client: Client | None = None

    async def _session(self) -> None:
        client = Client(f"opc.tcp://{self.endpoint.host}:{self.endpoint.port}", timeout=self._timeout)
        client.name = client.description = "Serai"
        await self._secure(client)
        lost: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()

        async def on_loss(error: Exception) -> None:
            if not lost.done():
                lost.set_result(error)

        client.connection_lost_callback = on_loss
        try:
            await self._open(client)
            self._client = client
            await self._subscribe(client)
            self._connected()
            raise await lost
        except UaStatusCodeError as error:
            raise SeraiError(type(error).__name__) from error
        finally:
            self._client = None
            await asyncio.shield(_leave(client))

    async def _open(self, client: Client) -> None:
        """Connect; where a server that is not the pinned one cannot read what we say, tell that."""
        try:
            await client.connect()
        except (OSError, TimeoutError) as error:
            if self.endpoint.security != "none" and not isinstance(error, ConnectionRefusedError):
                await self._compare()
            raise

    async def _compare(self) -> None:
        """Ask the server openly for its certificates; SeraiError when the pinned one is not among them."""
        pinned = await uacrypto.load_certificate(self.endpoint.authority)
        asking = Client(f"opc.tcp://{self.endpoint.host}:{self.endpoint.port}", timeout=self._timeout)
        shown = [e.ServerCertificate for e in await asking.connect_and_get_server_endpoints()]
        own = pinned.public_bytes(Encoding.DER)
        if not any((certificate or b"").startswith(own) for certificate in shown):
            raise SeraiError("certificate refused: the server shows another one")

    async def _secure(self, client: Client) -> None:
        """Set policy, certificates and key; SeraiError where they cannot be used."""
        e = self.endpoint
        if e.security == "none":
            return
        if e.security not in POLICIES:
            raise SeraiError(f"{e.station}: security must be none or one of {', '.join(POLICIES)}, got {e.security!r}")
        try:
            own = await uacrypto.load_certificate(e.certificate)
            theirs = await uacrypto.load_certificate(e.authority)
            names = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            client.application_uri = names.get_values_for_type(x509.UniformResourceIdentifier)[0]
            policy = getattr(security_policies, f"SecurityPolicy{e.security}")
            await client.set_security(policy, e.certificate, e.key, None, e.authority)
        except (OSError, ValueError, LookupError, x509.ExtensionNotFound) as error:
            raise SeraiError(f"{e.station}: certificates cannot be used: {error}") from None
        if not theirs.not_valid_before_utc <= datetime.now(UTC) <= theirs.not_valid_after_utc:
            raise SeraiError("certificate refused: expired or not yet valid")

    async def _subscribe(self, client: Client) -> None:
        """Have every change of the points sent; a node that does not exist is counted, the rest goes on."""
        wanted = ua.CreateSubscriptionParameters()
        wanted.RequestedPublishingInterval = 1e3 * min(PUBLISHING, self._scan)
        wanted.RequestedLifetimeCount, wanted.RequestedMaxKeepAliveCount = 10_000, 20
        wanted.MaxNotificationsPerPublish = 10_000
        wanted.PublishingEnabled = True
        made = await client.uaclient.create_subscription(wanted, self._published)
        asked = ua.CreateMonitoredItemsParameters()
        asked.SubscriptionId = made.SubscriptionId
        asked.TimestampsToReturn = ua.TimestampsToReturn.Both
        asked.ItemsToCreate = [self._item(k, node) for k, node in enumerate(self._nodes)]
        for node, item in zip(self._nodes, await client.uaclient.create_monitored_items(asked), strict=True):
            if not item.StatusCode.is_good():
                self.counts.add(f"refused: {item.StatusCode.name} {node}")

    def _item(self, handle: int, node: str) -> Any:
        item = ua.MonitoredItemCreateRequest()
        item.ItemToMonitor.NodeId = ua.NodeId.from_string(node)
        item.ItemToMonitor.AttributeId = ua.AttributeIds.Value
        item.MonitoringMode = ua.MonitoringMode.Reporting
        item.RequestedParameters.ClientHandle = handle
        item.RequestedParameters.SamplingInterval = 0.0  # every change, as it is written
        item.RequestedParameters.QueueSize = QUEUE
        item.RequestedParameters.DiscardOldest = True
        # a new time alone is a new reading too: the value of a steady meter repeats
        item.RequestedParameters.Filter = ua.DataChangeFilter(Trigger=ua.DataChangeTrigger.StatusValueTimestamp)
        return item

    async def _published(self, result: Any) -> None:
        """Take one message of the subscription; the next is asked for when this has returned."""
        received = now()
        rows: list[tuple[int, int, float, int]] = []
        for notification in result.NotificationMessage.NotificationData or ():
            for item in getattr(notification, "MonitoredItems", ()):
                if not 0 <= item.ClientHandle < len(self._nodes):
                    self.counts.add("malformed: handle")
                    continue
                rows.append((item.ClientHandle, *self._reading(item.Value, received)))
        if rows:
            handles, times, values, qualities = zip(*rows, strict=True)
            of = np.array(handles, np.intp)
            batch = Readings(
                self.register, self._tags[of], np.array(times, np.int64),
                self._factor[of] * np.array(values) + self._offset[of], np.array(qualities, np.uint16),
                np.full(len(rows), received, np.int64),
            )  # fmt: skip
            await self._deliver(batch)

    def _reading(self, data: Any, received: int) -> tuple[int, float, int]:
        """Return time [µs since 1970 UTC], value as sent and quality of a DataValue."""
        code = 0 if data.StatusCode is None else int(data.StatusCode.value)
        quality = quality_of(code)
        if code & _OVERFLOW == _OVERFLOW:
            self.counts.add("left out by the server")
            quality |= Quality.OVERFLOW
        sent = None if data.Value is None else data.Value.Value
        value = float(sent) if isinstance(sent, (bool, int, float)) and abs(sent) < 1e308 else nan
        if not isfinite(value):
            if not quality & Quality.INVALID:
                self.counts.add("malformed: value")
            value, quality = nan, quality | Quality.INVALID
        stamp = data.SourceTimestamp or data.ServerTimestamp
        if stamp is None:
            self.counts.add("without time")
            return received, value, quality | Quality.ELAPSED_TIME_INVALID
        stamp = stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC)
        return round((stamp - _EPOCH).total_seconds() * MICROSECONDS), value, quality

    async def command(self, command: Command, value: float) -> Answer:
        """Write a command, `value` in SI, to its node."""
        client = self._client
        if client is None or not isinstance(command.address, OpcuaAddress):
            return Answer(accepted=False, reason=f"not connected: {self.reason}")
        self.counts.add("commands")
        data = ua.DataValue(ua.Variant(command.sent(value), ua.VariantType.Double))
        try:
            await client.get_node(command.address.node).write_value(data)
        except (OSError, TimeoutError) as error:  # ConnectionError is one
            self.counts.add("commands unanswered")
            lost = "no answer in time" if isinstance(error, TimeoutError) else "connection lost"
            return Answer(accepted=False, reason=lost)
        except UaError as error:
            self.counts.add("commands refused")
            return Answer(accepted=False, reason=type(error).__name__)
        return Answer(accepted=True)


async def _leave(client: Client) -> None:
    """Close what is left of a session; where the other side is gone, only our end."""
    try:
        await asyncio.wait_for(client.disconnect(), 2.0)
    except Exception:  # noqa: BLE001 - the session is over either way
        client.disconnect_socket()
