# SPDX-License-Identifier: Apache-2.0
"""TLS for IEC 60870-5-104 as IEC 62351-3 asks: both ends show certificates, TLS 1.2 or newer, strong ciphers only.

Contexts of the standard library are made here from files; any other `ssl.SSLContext` does as well. Beyond the chain to
the authority a peer can be held to an allow-list: SHA-256 fingerprints or common names of certificates.
"""

from __future__ import annotations

import hashlib
import ipaddress
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from serai.errors import SeraiError
from serai.telemetry.iec104.faults import PeerRefused, Violation

if TYPE_CHECKING:
    from pathlib import Path

# TLS 1.2 with forward secrecy and authenticated encryption only (IEC 62351-3:2014+AMD2:2020, 7; RFC 7525, 4.2)
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Files in PEM: who vouches for the peer, who we are.

    authority          certificate(s) that the peer's must chain to
    certificate, key   ours
    revoked            revocation list(s) of the authority; "" = not checked
    """

    authority: str | Path
    certificate: str | Path
    key: str | Path
    revoked: str | Path = ""

    def server(self) -> ssl.SSLContext:
        """Return the context of a controlled station; clients without a certificate are refused."""
        return self._context(ssl.PROTOCOL_TLS_SERVER)

    def client(self, *, check_hostname: bool = True) -> ssl.SSLContext:
        """Return the context of a controlling station; without `check_hostname` give it an allow-list."""
        context = self._context(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = check_hostname
        return context

    def _context(self, protocol: int) -> ssl.SSLContext:
        context = ssl.SSLContext(protocol)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
        context.set_ciphers(CIPHERS)
        try:
            context.load_verify_locations(self.authority)
            context.load_cert_chain(self.certificate, self.key)
            if self.revoked:
                context.load_verify_locations(self.revoked)
                context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
        except OSError as error:  # ssl.SSLError is one
            files = ", ".join(str(f) for f in (self.authority, self.certificate, self.key, self.revoked) if f)
            raise SeraiError(f"the certificates cannot be used ({error}); look at {files}") from None
        context.verify_mode = ssl.CERT_REQUIRED
        return context


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a certificate names: common name of the subject, SHA-256 fingerprint (lower case hex), end of validity."""

    name: str
    fingerprint: str
    expires: str


def identity(connection: ssl.SSLObject | None) -> Identity | None:
    """Return who is at the other end of a TLS connection; None without TLS or certificate."""
    octets = connection.getpeercert(binary_form=True) if connection is not None else None
    if connection is None or not octets:
        return None
    told: dict[str, Any] = dict(connection.getpeercert() or {})
    subject = dict(pair for part in told.get("subject", ()) for pair in part)
    return Identity(subject.get("commonName", ""), hashlib.sha256(octets).hexdigest(), told.get("notAfter", ""))


def reason(error: BaseException) -> str:
    """Return a short name for why a handshake or connection failed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate refused: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {(error.reason or str(error)).replace('_', ' ').lower()}"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ConnectionError):
        return "connection lost"
    return f"{type(error).__name__}: {error}"[:120]


@dataclass(frozen=True, slots=True)
class Peer:
    """One line of an allow-list: a controlling station that may connect.

    name           for counts, and of the buffer that is kept for it while it is away
    networks       addresses it may come from, as "10.1.2.3" or "10.1.0.0/16"; empty = any
    certificates   common names or SHA-256 fingerprints (hex) it may show; empty = any that the authority vouches for
    """

    name: str
    networks: tuple[str, ...] = ()
    certificates: tuple[str, ...] = ()

    def from_here(self, host: str) -> bool:
        """Whether the peer may come from an address."""
        address = ipaddress.ip_address(host)
        return not self.networks or any(address in ipaddress.ip_network(n, strict=False) for n in self.networks)


def certified(found: Identity | None, certificates: tuple[str, ...]) -> bool:
    """Whether an identity is on a list of common names and fingerprints; an empty list takes everyone."""
    if not certificates:
        return True
    allowed = {c.replace(":", "").lower() for c in certificates} | set(certificates)
    return found is not None and (found.fingerprint in allowed or found.name in certificates)


def admitted(peers: tuple[Peer, ...], host: str, found: Identity | None) -> Peer:
    """Return the first peer of an allow-list that fits an address and a certificate; PeerRefused when none does."""
    near = [p for p in peers if p.from_here(host)]
    if not near:
        raise PeerRefused(Violation.PEER_ADDRESS, host)
    for peer in near:
        if certified(found, peer.certificates):
            return peer
    shown = f"{found.name!r}, SHA-256 {found.fingerprint}, valid until {found.expires}" if found else "no certificate"
    raise PeerRefused(Violation.PEER_CERTIFICATE, f"{host} showed {shown}")
