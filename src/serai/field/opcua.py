# SPDX-License-Identifier: Apache-2.0
"""A simulated station over OPC UA, by asyncua's server."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import TYPE_CHECKING, Any

from asyncua import Server, ua
from asyncua.common.callback import CallbackType
from asyncua.common.utils import ServiceError

from serai.field.stations import free_port
from serai.telemetry.endpoints import Endpoint
from serai.telemetry.opcua import status_of
from serai.telemetry.points import OpcuaAddress

if TYPE_CHECKING:
    from serai.field.stations import Sent, Site

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SPACES = 8  # namespaces that a station registers, so that node ids of any of them have a place


class OpcuaStation:
    """One station: a variable for each point and one that can be written for each command."""

    def __init__(self, site: Site) -> None:
        self.name = site.name
        self._decide, self._host, self._port = site.decide, site.host, site.port
        self._points = [(p.tag, p.address.node) for p in site.points if isinstance(p.address, OpcuaAddress)]
        self._commands = {
            ua.NodeId.from_string(c.address.node): c for c in site.commands if isinstance(c.address, OpcuaAddress)
        }
        self._nodes = [ua.NodeId.from_string(node) for _, node in self._points]
        self._server: Server | None = None

    async def start(self) -> Endpoint:
        """Listen; variables say that they wait for their first value."""
        self._port = self._port or free_port(self._host)
        server = Server()
        await server.init()
        server.set_endpoint(f"opc.tcp://{self._host}:{self._port}")
        server.set_server_name(f"{self.name} (simulated)")
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        for k in range(2, SPACES):
            await server.register_namespace(f"urn:serai:field:{k}")
        waiting = ua.DataValue(ua.Variant(0.0, ua.VariantType.Double), _status(ua.StatusCodes.BadWaitingForInitialData))
        for (tag, _), node in zip(self._points, self._nodes, strict=True):
            made = await server.nodes.objects.add_variable(node, tag, 0.0, ua.VariantType.Double)
            await server.write_attribute_value(made.nodeid, waiting)
        for node, command in self._commands.items():
            made = await server.nodes.objects.add_variable(node, command.tag, 0.0, ua.VariantType.Double)
            await made.set_writable()
        server.subscribe_server_callback(CallbackType.PreWrite, self._before_write)
        await server.start()
        self._server = server
        return Endpoint(self.name, "opcua", self._host, self._port, "none")

    def heard(self) -> bool:
        """Tell whether it answers: what a client has missed it asks for itself."""
        return self._server is not None

    async def send(self, sent: Sent) -> None:
        """Write value, source time and status of each point."""
        if self._server is None:
            return
        for k, value, quality, time in zip(
            sent.point.tolist(), sent.value.tolist(), sent.quality.tolist(), sent.time.tolist(), strict=True
        ):
            data = ua.DataValue(
                ua.Variant(value, ua.VariantType.Double),
                _status(status_of(quality)),
                SourceTimestamp=ua.DateTime.fromtimestamp(0, UTC) + timedelta(microseconds=time),
            )
            await self._server.write_attribute_value(self._nodes[k], data)

    async def close(self) -> None:
        """Fall silent."""
        server, self._server = self._server, None
        if server is not None:
            await server.stop()

    async def _before_write(self, event: Any, _dispatcher: Any) -> None:
        """Let the field decide on what a client writes; a refusal is a fault of the whole request."""
        if not event.is_external:
            return
        for item in event.request_params.NodesToWrite:
            command = self._commands.get(item.NodeId)
            if command is None or item.AttributeId != ua.AttributeIds.Value:
                raise ServiceError(ua.StatusCodes.BadUserAccessDenied)
            value = item.Value.Value.Value if item.Value.Value is not None else None
            if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
                raise ServiceError(ua.StatusCodes.BadTypeMismatch)
            verdict = await self._decide(command, command.si(float(value)), "opcua client")
            if not verdict.accepted:
                raise ServiceError(_CODES[verdict.why])


def _status(code: int) -> ua.StatusCode:
    return ua.StatusCode(ua.UInt32(code))


_CODES = {
    "off": ua.StatusCodes.BadUserAccessDenied,
    "beyond": ua.StatusCodes.BadOutOfRange,
    "refused": ua.StatusCodes.BadInvalidState,
}


def quiet() -> None:
    """Let asyncua log what is wrong only, not every connection."""
    logging.getLogger("asyncua").setLevel(logging.ERROR)
