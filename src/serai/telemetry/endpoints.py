# SPDX-License-Identifier: Apache-2.0
"""Where the stations of a case are reached, and how the way there is secured: the file `endpoints.csv`."""

from __future__ import annotations

import csv
import ssl
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from serai.errors import CaseError, Mistake, SeraiError
from serai.telemetry.points import PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Iterable

POLICIES = ("Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss")  # of OPC UA; older ones are refused
_FILES = ("authority", "certificate", "key")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row: a station and where it answers. For MQTT host and port are the broker's, the same for many stations.

    security     `none`, only where it is written; `tls`; for OPC UA one of `POLICIES` (sign and encrypt)
    authority    file with the certificate(s) that the other side's must chain to; OPC UA: the server's own
    certificate, key   files with ours, for stations that ask who we are (OPC UA always does)
    """

    station: str
    protocol: str
    host: str
    port: int
    security: str
    authority: str = ""
    certificate: str = ""
    key: str = ""


def write_endpoints(path: str | Path, endpoints: Iterable[Endpoint]) -> None:
    """Write endpoints as CSV, a row each."""
    names = [f.name for f in fields(Endpoint)]
    with Path(path).open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(names)
        rows.writerows([getattr(e, n) for n in names] for e in endpoints)


def read_endpoints(path: str | Path) -> list[Endpoint]:
    """Return the endpoints of a file, paths in it taken from its folder; CaseError lists every mistake."""
    path = Path(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise CaseError(path.name, [Mistake(path.name, 0, "", f"is no CSV in UTF-8: {error}")]) from None
    except OSError as error:
        raise SeraiError(f"{path}: {error.strerror}; `serai field` writes this file, or write it by hand") from None
    found: list[Endpoint] = []
    wrong: list[Mistake] = []
    seen: dict[str, int] = {}
    for number, row in enumerate(rows, start=2):
        texts = {f.name: (row.get(f.name) or "").strip() for f in fields(Endpoint)}
        mistakes = [Mistake(path.name, number, column, text) for column, text in _mistakes(texts)]
        if texts["station"] in seen:
            text = f"{texts['station']!r} already stands in row {seen[texts['station']]}"
            mistakes.append(Mistake(path.name, number, "station", text))
        seen.setdefault(texts["station"], number)
        wrong += mistakes
        if not mistakes:
            endpoint = Endpoint(**{**texts, "port": int(texts["port"])})  # type: ignore[arg-type] # port alone is no text
            near = {name: str(path.parent / texts[name]) for name in _FILES if texts[name]}
            found.append(replace(endpoint, **near))  # type: ignore[arg-type] # names of text fields
    if wrong:
        raise CaseError(path.name, wrong)
    return found


def _mistakes(texts: dict[str, str]) -> list[tuple[str, str]]:
    """Return (column, what is wrong) of one row."""
    wrong = [(c, "must be given") for c in ("station", "host") if not texts[c]]
    if texts["protocol"] not in PROTOCOLS:
        wrong.append(("protocol", f"must be one of {', '.join(PROTOCOLS)}, got {texts['protocol']!r}"))
    port = texts["port"]
    if not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        wrong.append(("port", f"must be a whole number from 1 to 65535, got {port!r}"))
    allowed = ("none", *POLICIES) if texts["protocol"] == "opcua" else ("none", "tls")
    if texts["security"] not in allowed:
        wrong.append(("security", f"must be one of {', '.join(allowed)}, got {texts['security']!r}"))
    one_sided = texts["security"] == "tls" and texts["protocol"] != "iec104"  # IEC 62351-3: both ends show who they are
    needed = () if texts["security"] == "none" else ("authority",) if one_sided else _FILES
    wrong += [(c, f"must be given for security {texts['security']}") for c in needed if not texts[c]]
    if bool(texts["certificate"]) != bool(texts["key"]):
        wrong.append(("key", "certificate and key are given together"))
    return wrong


def tls(endpoint: Endpoint) -> ssl.SSLContext | None:
    """Return what secures the way to a station (TLS 1.2 or above, the other side named and proven); None = nothing.

    SeraiError when a file cannot be used.
    """
    if endpoint.security == "none":
        return None
    try:
        context = ssl.create_default_context(cafile=endpoint.authority)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if endpoint.certificate:
            context.load_cert_chain(endpoint.certificate, endpoint.key)
    except OSError as error:  # ssl.SSLError is one
        files = ", ".join(f for f in (endpoint.authority, endpoint.certificate, endpoint.key) if f)
        raise SeraiError(f"{endpoint.station}: the certificates cannot be used ({error}); look at {files}") from None
    return context
