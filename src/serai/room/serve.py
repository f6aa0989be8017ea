# SPDX-License-Identifier: Apache-2.0
"""Serving a room: a socket that no client can fill for long, TLS by file, and never further than here without it."""

from __future__ import annotations

import ipaddress
import resource
import socket
import ssl
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
import uvicorn

from serai.errors import Refused

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.types import ASGIApp

STUCK_MS = 60_000  # a connection that takes nothing for so long is closed by the kernel (TCP_USER_TIMEOUT, RFC 5482)
SEND_BUFFER = 131_072  # bytes that the kernel holds for one client
FILES = 65_536  # most open files, where the system allows so many: a stream is one


@dataclass(frozen=True, slots=True)
class Tls:
    """Certificate chain and private key, PEM files."""

    certificate: Path
    key: Path

    def check(self) -> None:
        """Raise Refused when the files cannot be used together."""
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            raise Refused(f"TLS with {self.certificate} and {self.key}: {error}; both must be PEM and belong together",
                          "bad certificate") from None  # fmt: skip


def is_near(host: str) -> bool:
    """Return whether an address to listen on is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def listen(host: str, port: int, tls: Tls | None) -> socket.socket:
    """Return a socket that listens; Refused for an address beyond this machine without TLS, or one that is taken."""
    if tls is None and not is_near(host):
        raise Refused(f"{host} is reached from other machines, and there is no certificate: passwords would travel "
                      "in the open. Give a certificate and its key, or listen on 127.0.0.1", "no TLS")  # fmt: skip
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        made = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise Refused(f"cannot listen on {host}:{port}: {error.strerror or error}", "address taken") from None
    made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)  # connections inherit both
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STUCK_MS)
    return made


def address(listening: socket.socket, tls: Tls | None) -> str:
    """Return the address to open in a browser."""
    host, port = listening.getsockname()[:2]
    return f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def server(app: ASGIApp, tls: Tls | None = None) -> uvicorn.Server:
    """Return what serves an app until SIGTERM, once its `serve` is awaited with a socket of `listen`."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if most == resource.RLIM_INFINITY else min(FILES, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(wanted, resource.getrlimit(resource.RLIMIT_NOFILE)[0]), most))
    if tls is not None:
        tls.check()
    return uvicorn.Server(
        uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False, proxy_headers=False, ws="none",
            timeout_keep_alive=30, timeout_graceful_shutdown=2, lifespan="on",
            ssl_certfile=tls.certificate if tls else None, ssl_keyfile=tls.key if tls else None,
        )
    )  # fmt: skip


def log_to_stderr() -> None:
    """Write the log to standard error, one line each, without the values of variables: one may be a password."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
